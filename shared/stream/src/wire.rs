//! MessagePack at the speed of the hot path: integers and headers straight into a buffer, and a
//! reader that trusts nobody.

use gameserver_contract::number::integer_of;
use rmp::Marker;
use rmp::decode::{self, RmpRead as _};

/// Deepest nesting that a reader follows.
const DEPTH_MAX: usize = 8;
/// First bytes of floating-point numbers.
const FLOAT_32: u8 = 0xca;
const FLOAT_64: u8 = 0xcb;

/// Appends an unsigned integer in its shortest form.
pub(crate) fn put_uint(out: &mut Vec<u8>, value: u32) {
    let [a, b, c, d] = value.to_be_bytes();
    match value {
        0..=0x7f => out.push(d),
        0x80..=0xff => out.extend_from_slice(&[0xcc, d]),
        0x100..=0xffff => out.extend_from_slice(&[0xcd, c, d]),
        _ => out.extend_from_slice(&[0xce, a, b, c, d]),
    }
}

/// How many bytes [`put_uint`] appends.
pub(crate) fn uint_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// Appends a signed integer in its shortest form.
pub(crate) fn put_int(out: &mut Vec<u8>, value: i32) {
    // Writing to a Vec cannot fail.
    let _ = rmp::encode::write_sint(out, i64::from(value));
}

/// Appends an unsigned integer of 64 bits in its shortest form.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    let _ = rmp::encode::write_uint(out, value);
}

/// Appends a number with a fraction.
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    let _ = rmp::encode::write_f64(out, value);
}

/// Appends a text.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    let _ = rmp::encode::write_str(out, text);
}

/// Appends nil.
pub(crate) fn put_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends the header of an array of so many elements.
pub(crate) fn put_array(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let _ = rmp::encode::write_array_len(out, len);
}

/// Bytes that are not the frame they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Cut off, of another type, or out of range.
    #[error("{0} cannot be read")]
    Malformed(&'static str),
    /// More of something than allowed.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// Bytes after the frame.
    #[error("bytes follow the frame")]
    TrailingBytes,
    /// A frame number that has no meaning here.
    #[error("frame {0} has no meaning here")]
    UnknownFrame(u32),
}

/// Reads MessagePack from bytes of a stranger.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn uint(&mut self, what: &'static str) -> Result<u32, WireError> {
        match self.float() {
            Some(value) => whole(value, what),
            None => decode::read_int(&mut self.rest).map_err(|_| WireError::Malformed(what)),
        }
    }

    pub(crate) fn int(&mut self, what: &'static str) -> Result<i32, WireError> {
        match self.float() {
            Some(value) => whole(value, what),
            None => decode::read_int(&mut self.rest).map_err(|_| WireError::Malformed(what)),
        }
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        match self.float() {
            Some(value) => whole(value, what),
            None => decode::read_int(&mut self.rest).map_err(|_| WireError::Malformed(what)),
        }
    }

    /// Takes a floating-point number if one is next: some programs write every number so.
    fn float(&mut self) -> Option<f64> {
        match *self.rest.first()? {
            FLOAT_32 => decode::read_f32(&mut self.rest).ok().map(f64::from),
            FLOAT_64 => decode::read_f64(&mut self.rest).ok(),
            _ => None,
        }
    }

    pub(crate) fn f64(&mut self, what: &'static str) -> Result<f64, WireError> {
        decode::read_f64(&mut self.rest).map_err(|_| WireError::Malformed(what))
    }

    /// The length of an array: at most `max`, and at most what the remaining bytes can hold.
    pub(crate) fn array(&mut self, what: &'static str, max: usize) -> Result<usize, WireError> {
        let len = decode::read_array_len(&mut self.rest).map_err(|_| WireError::Malformed(what))?
            as usize;
        if len > max {
            return Err(WireError::TooLong(what));
        }
        if len > self.rest.len() {
            return Err(WireError::Malformed(what));
        }
        Ok(len)
    }

    pub(crate) fn str(&mut self, what: &'static str, max: usize) -> Result<&'a str, WireError> {
        let bytes = self.text_bytes(what)?;
        if bytes.len() > max {
            return Err(WireError::TooLong(what));
        }
        std::str::from_utf8(bytes).map_err(|_| WireError::Malformed(what))
    }

    /// The bytes of a text, whatever they are.
    pub(crate) fn text_bytes(&mut self, what: &'static str) -> Result<&'a [u8], WireError> {
        let len = decode::read_str_len(&mut self.rest).map_err(|_| WireError::Malformed(what))?;
        self.take(len as usize, what)
    }

    /// Takes a nil if one is next.
    pub(crate) fn nil(&mut self) -> bool {
        let is_nil = self.rest.first() == Some(&0xc0);
        if is_nil {
            self.rest = &self.rest[1..];
        }
        is_nil
    }

    /// The bytes of the next value, whatever it is.
    pub(crate) fn value(&mut self, what: &'static str) -> Result<&'a [u8], WireError> {
        let before = self.rest;
        self.skip(what, DEPTH_MAX)?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    pub(crate) fn finish(&self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::TrailingBytes)
        }
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(WireError::Malformed(what))?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip(&mut self, what: &'static str, depth: usize) -> Result<(), WireError> {
        let values = self.step(what)?;
        if values > 0 && depth == 0 {
            return Err(WireError::TooLong(what));
        }
        for _ in 0..values {
            self.skip(what, depth - 1)?;
        }
        Ok(())
    }

    /// Takes the next value but for those in it, and says how many these are.
    fn step(&mut self, what: &'static str) -> Result<usize, WireError> {
        let marker = decode::read_marker(&mut self.rest).map_err(|_| WireError::Malformed(what))?;
        let (bytes, values) = match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                (0, 0)
            }
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixStr(len) => (usize::from(len), 0),
            Marker::Str8 | Marker::Bin8 => (self.length::<1>(what)?, 0),
            Marker::Str16 | Marker::Bin16 => (self.length::<2>(what)?, 0),
            Marker::Str32 | Marker::Bin32 => (self.length::<4>(what)?, 0),
            Marker::FixArray(len) => (0, usize::from(len)),
            Marker::Array16 => (0, self.length::<2>(what)?),
            Marker::Array32 => (0, self.length::<4>(what)?),
            Marker::FixMap(len) => (0, 2 * usize::from(len)),
            Marker::Map16 => (0, 2 * self.length::<2>(what)?),
            Marker::Map32 => (0, 2 * self.length::<4>(what)?),
            Marker::Reserved
            | Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => return Err(WireError::Malformed(what)),
        };
        self.take(bytes, what)?;
        Ok(values)
    }

    fn length<const BYTES: usize>(&mut self, what: &'static str) -> Result<usize, WireError> {
        let mut bytes = [0; BYTES];
        self.rest
            .read_exact_buf(&mut bytes)
            .map_err(|_| WireError::Malformed(what))?;
        Ok(bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }
}

fn whole<T: TryFrom<i64>>(value: f64, what: &'static str) -> Result<T, WireError> {
    let integer = integer_of(value).and_then(|integer| T::try_from(integer).ok());
    integer.ok_or(WireError::Malformed(what))
}

/// These values with every floating-point number that has no fraction written as an integer; none
/// when there is no such number in them, or they cannot be read.
#[must_use]
pub fn with_integers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(bytes);
    let mut written = Vec::with_capacity(bytes.len());
    let mut differs = false;
    while !reader.rest.is_empty() {
        let before = reader.rest;
        let integer = reader.float().map(integer_of);
        if integer.is_none() {
            reader.step("value").ok()?;
        }
        if let Some(Some(integer)) = integer {
            let _ = rmp::encode::write_sint(&mut written, integer);
            differs = true;
        } else {
            let taken = before.len() - reader.rest.len();
            written.extend_from_slice(&before[..taken]);
        }
    }
    differs.then_some(written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_is_written_in_its_shortest_form_and_read_again(value: u32) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            put_uint(&mut ours, value);
            rmp::encode::write_uint(&mut theirs, u64::from(value)).unwrap();
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(ours.len(), uint_len(value));
            prop_assert_eq!(Reader::new(&ours).uint("value"), Ok(value));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            let read = reader.value("value").map(<[u8]>::len);
            prop_assert!(read.is_err() || read.unwrap() <= bytes.len());
        }
    }

    #[test]
    fn an_integer_is_read_however_it_is_written() {
        let float = |value: f64| {
            let mut bytes = Vec::new();
            put_f64(&mut bytes, value);
            bytes
        };
        assert_eq!(Reader::new(&float(70_000.0)).uint("value"), Ok(70_000));
        assert_eq!(Reader::new(&float(-100.0)).int("value"), Ok(-100));
        assert_eq!(
            Reader::new(&float(9e15)).u64("value"),
            Ok(9_000_000_000_000_000)
        );
        assert_eq!(Reader::new(&[0xca, 0x40, 0, 0, 0]).uint("value"), Ok(2));
        for value in [0.5, -1.0, 1e300, f64::NAN] {
            let refused = Reader::new(&float(value)).uint("value");
            assert_eq!(refused, Err(WireError::Malformed("value")), "{value}");
        }
    }

    #[test]
    fn only_floating_point_numbers_without_a_fraction_are_written_again() {
        // [1.0, "a", [-2.0], 0.5]: the text's byte looks like a number's first.
        let mut bytes = vec![0x94];
        put_f64(&mut bytes, 1.0);
        bytes.extend_from_slice(&[0xd9, 1, b'a', 0x91]);
        put_f64(&mut bytes, -2.0);
        put_f64(&mut bytes, 0.5);
        let mut expected = vec![0x94, 1, 0xd9, 1, b'a', 0x91, 0xfe];
        put_f64(&mut expected, 0.5);
        assert_eq!(with_integers(&bytes), Some(expected.clone()));
        assert_eq!(with_integers(&expected), None);
        assert_eq!(with_integers(&bytes[..5]), None);
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let bytes = [0x91; 64];
        assert_eq!(
            Reader::new(&bytes).value("value"),
            Err(WireError::TooLong("value"))
        );
    }
}
