//! Writes what packets contain behind their headers.

/// Appends a varint; values of more than 30 bits are never sent.
pub fn put_varint(packet: &mut Vec<u8>, value: u32) {
    match value {
        0..0x40 => packet.extend_from_slice(&value.to_be_bytes()[3..]),
        0x40..0x4000 => packet.extend_from_slice(&(value | 0x4000).to_be_bytes()[2..]),
        _ => packet.extend((value | 0x8000_0000).to_be_bytes()),
    }
}

/// Begins a batch of so many messages, at most 255.
pub fn put_batch(packet: &mut Vec<u8>, channel: u16, count: usize) {
    put_varint(packet, channel.into());
    packet.push(u8::try_from(count).unwrap_or(u8::MAX));
}

/// Appends a message to the batch that was begun.
pub fn put_message(packet: &mut Vec<u8>, number: Option<u16>, bytes: &[u8]) {
    packet.push(u8::from(number.is_some()));
    packet.extend(number.iter().flat_map(|number| number.to_be_bytes()));
    put_varint(packet, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    packet.extend_from_slice(bytes);
}
