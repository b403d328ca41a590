//! Frames as JSON and back, for programs without MessagePack: the same arrays, bytes as lower-case
//! hex. It trusts neither side and knows no frame.

use std::fmt::Write as _;

use gameserver_contract::number::integer_of;
use rmp::{Marker, decode, encode};
use serde::de::{self, DeserializeSeed, Deserializer as _, SeqAccess, Visitor};

/// Arrays in arrays: a frame, a list in it, an entry of that, and some for games.
pub(crate) const DEPTH_MAX: usize = 16;
/// Numbers with a fraction end where integers of 64 bits do, because a larger one that was meant
/// as an integer looks the same as they do.
const FLOAT_MAX: f64 = 9_223_372_036_854_775_808.0;

const IN_MEMORY: &str = "writing to memory cannot fail";

/// Why a frame has no equal in the other form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TranscodeError {
    /// The bytes are no MessagePack, or there are more of them than the frame has.
    #[error("the bytes are no frame")]
    Malformed,
    /// Maps, extensions and numbers that are none.
    #[error("frames have no {0}")]
    NotInFrames(&'static str),
    /// Arrays in arrays in arrays.
    #[error("more than {DEPTH_MAX} arrays in each other")]
    TooDeep,
    /// Half of a character, as is left where a text was cut.
    #[error("a text ends in half of a character")]
    HalfCharacter,
    /// The text is no JSON, or none that frames have.
    #[error("the text is no frame: {0}")]
    Text(String),
}

// --- to JSON

/// Writes a frame as JSON.
pub(crate) fn from_message_pack(frame: &[u8]) -> Result<String, TranscodeError> {
    let mut reader = MessagePackReader {
        rest: frame,
        text: String::with_capacity(2 * frame.len()),
    };
    reader.array(0)?;
    if reader.rest.is_empty() {
        Ok(reader.text)
    } else {
        Err(TranscodeError::Malformed)
    }
}

struct MessagePackReader<'a> {
    rest: &'a [u8],
    text: String,
}

impl<'a> MessagePackReader<'a> {
    fn array(&mut self, depth: usize) -> Result<(), TranscodeError> {
        let length = read(decode::read_array_len(&mut self.rest))?;
        if depth == DEPTH_MAX {
            return Err(TranscodeError::TooDeep);
        }
        self.text.push('[');
        for index in 0..length {
            if index > 0 {
                self.text.push(',');
            }
            self.value(depth + 1)?;
        }
        self.text.push(']');
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), TranscodeError> {
        let first = *self.rest.first().ok_or(TranscodeError::Malformed)?;
        match Marker::from_u8(first) {
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => return self.array(depth),
            Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                let value: u64 = read(decode::read_int(&mut self.rest))?;
                self.write(format_args!("{value}"));
            }
            Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
                let value: i64 = read(decode::read_int(&mut self.rest))?;
                self.write(format_args!("{value}"));
            }
            Marker::F32 => {
                let value = read(decode::read_f32(&mut self.rest))?;
                self.float(f64::from(value))?;
            }
            Marker::F64 => {
                let value = read(decode::read_f64(&mut self.rest))?;
                self.float(value)?;
            }
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => self.string()?,
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.hex()?,
            Marker::Null => self.word("null"),
            Marker::True => self.word("true"),
            Marker::False => self.word("false"),
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                return Err(TranscodeError::NotInFrames("maps"));
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32
            | Marker::Reserved => return Err(TranscodeError::NotInFrames("extensions")),
        }
        Ok(())
    }

    fn write(&mut self, value: std::fmt::Arguments<'_>) {
        self.text.write_fmt(value).expect(IN_MEMORY);
    }

    fn word(&mut self, word: &str) {
        self.rest = &self.rest[1..];
        self.text.push_str(word);
    }

    fn float(&mut self, value: f64) -> Result<(), TranscodeError> {
        if !value.is_finite() {
            return Err(TranscodeError::NotInFrames("numbers without end"));
        }
        // The shortest text that reads as the same number, always with a point or an exponent.
        self.write(format_args!("{value:?}"));
        Ok(())
    }

    fn string(&mut self) -> Result<(), TranscodeError> {
        let length = read(decode::read_str_len(&mut self.rest))?;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| TranscodeError::Malformed)?;
        let quoted = serde_json::to_string(text).map_err(|_| TranscodeError::Malformed)?;
        self.text.push_str(&quoted);
        Ok(())
    }

    fn hex(&mut self) -> Result<(), TranscodeError> {
        let length = read(decode::read_bin_len(&mut self.rest))?;
        let bytes = self.take(length)?;
        self.text.push('"');
        for byte in bytes {
            self.write(format_args!("{byte:02x}"));
        }
        self.text.push('"');
        Ok(())
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], TranscodeError> {
        let length = read(usize::try_from(length))?;
        let taken = self.rest.split_at_checked(length);
        let (taken, rest) = taken.ok_or(TranscodeError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn read<T, E>(result: Result<T, E>) -> Result<T, TranscodeError> {
    result.map_err(|_| TranscodeError::Malformed)
}

// --- from JSON

/// Reads a frame that was written as JSON. Text stays text: only who knows the frame can tell it
/// from bytes, and clients send none.
pub(crate) fn to_message_pack(text: &str) -> Result<Vec<u8>, TranscodeError> {
    transcode(text).map_err(|error| {
        // All else in it has to be right.
        let whole = with_whole_characters(text).is_some_and(|text| transcode(&text).is_ok());
        if whole {
            TranscodeError::HalfCharacter
        } else {
            error
        }
    })
}

/// The same JSON with another character in the place of each lone surrogate; none without any.
fn with_whole_characters(text: &str) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let (mut at, mut differs) = (0, false);
    while at < bytes.len() {
        let pair = [escaped(&bytes, at), escaped(&bytes, at + ESCAPE)];
        at += match pair {
            _ if bytes[at] != b'\\' => 1,
            [None, _] => 2,
            [Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)] => 2 * ESCAPE,
            [Some(0xd800..=0xdfff), _] => {
                bytes[at..at + ESCAPE].copy_from_slice(br"\ufffd");
                differs = true;
                ESCAPE
            }
            [Some(_), _] => ESCAPE,
        };
    }
    differs.then(|| String::from_utf8(bytes).ok()).flatten()
}

/// Bytes of an escaped unit of UTF-16: `\u` and four digits.
const ESCAPE: usize = 6;

/// The unit of UTF-16 that is escaped here, if one is.
fn escaped(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + ESCAPE)?.strip_prefix(br"\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn transcode(text: &str) -> Result<Vec<u8>, TranscodeError> {
    let wrong = |error: serde_json::Error| TranscodeError::Text(error.to_string());
    let mut frame = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let array = Array {
        out: &mut frame,
        depth: 0,
    };
    reader.deserialize_seq(array).map_err(wrong)?;
    reader.end().map_err(wrong)?;
    Ok(frame)
}

/// Writes the array that comes.
struct Array<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if self.depth == DEPTH_MAX {
            return Err(de::Error::custom(TranscodeError::TooDeep));
        }
        let begin = self.out.len();
        let mut length = 0u32;
        while let Some(()) = elements.next_element_seed(Element {
            out: &mut *self.out,
            depth: self.depth + 1,
        })? {
            length += 1;
        }
        // The length comes first but is known last.
        let mut header = Vec::new();
        encode::write_array_len(&mut header, length).expect(IN_MEMORY);
        self.out.splice(begin..begin, header);
        Ok(())
    }
}

/// Writes the value that comes.
struct Element<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array, a number, a text or null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        Array { out, depth }.visit_seq(elements)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        encode::write_uint(self.out, value).expect(IN_MEMORY);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        encode::write_sint(self.out, value).expect(IN_MEMORY);
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        // Some programs write every number so.
        if let Some(integer) = integer_of(value) {
            return self.visit_i64(integer);
        }
        if value.abs() >= FLOAT_MAX {
            return Err(de::Error::custom("a number does not fit 64 bits"));
        }
        encode::write_f64(self.out, value).expect(IN_MEMORY);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        encode::write_str(self.out, value).expect(IN_MEMORY);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        encode::write_bool(self.out, value).expect(IN_MEMORY);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        encode::write_nil(self.out).expect(IN_MEMORY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any frame, as JSON. Fractions are odd sixteenths, which every reader reads exactly.
    fn value(depth: u32) -> BoxedStrategy<serde_json::Value> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<i32>().prop_map(|number| (f64::from(number) / 8.0 + 0.0625).into()),
            any::<String>().prop_map(Into::into),
            any::<bool>().prop_map(Into::into),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(depth, 64, 40, |inner| {
            prop::collection::vec(inner, 0..40).prop_map(Into::into)
        })
        .boxed()
    }

    fn frame() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::vec(value(4), 0..20).prop_map(Into::into)
    }

    proptest! {
        #[test]
        fn a_frame_is_the_same_after_both_ways(frame in frame()) {
            let text = frame.to_string();
            let packed = to_message_pack(&text).unwrap();
            prop_assert_eq!(from_message_pack(&packed).unwrap(), text);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_message_pack(&bytes);
            let _ = to_message_pack(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn integers_take_their_shortest_form_and_bytes_become_hex() {
        let packed = to_message_pack("[16, 0, [[-100, 100, 65535, 3]], 7, 1]").unwrap();
        let expected = b"\x95\x10\x00\x91\x94\xd0\x9c\x64\xcd\xff\xff\x03\x07\x01";
        assert_eq!(packed, expected);
        let bytes = b"\x92\xc4\x03\x00\xab\xff\xa1\x22";
        assert_eq!(from_message_pack(bytes).unwrap(), r#"["00abff","\""]"#);
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer_however_it_is_written() {
        let integers = to_message_pack("[16, 70000, [[0, -100, 65535, 1]], 7, 0]").unwrap();
        let floats = "[16.0, 7e4, [[-0.0, -100.0, 65535.0, 1.0]], 7.0, 0.0]";
        assert_eq!(to_message_pack(floats).unwrap(), integers);
        let half = to_message_pack("[0.5]").unwrap();
        assert_eq!(from_message_pack(&half).unwrap(), "[0.5]");
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for fits in ["18446744073709551615", "-9223372036854775808", "0.5", "1e9"] {
            assert!(to_message_pack(&format!("[{fits}]")).is_ok(), "{fits}");
        }
        for wide in [
            "18446744073709551616",
            "-9223372036854775809",
            "1e300",
            "1e999",
        ] {
            assert!(to_message_pack(&format!("[{wide}]")).is_err(), "{wide}");
        }
        let nan = b"\x91\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00";
        assert!(from_message_pack(nan).is_err());
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for text in [
            "", "{}", "1", "null", "[1", "[1]]", "[1] 2", "[{}]", "[1,]", "['a']",
        ] {
            assert!(to_message_pack(text).is_err(), "{text}");
        }
        for bytes in [
            b"".as_slice(),
            b"\x01",
            b"\x91",
            b"\x90\x00",
            b"\x91\x80",
            b"\x91\xa2a",
        ] {
            assert!(from_message_pack(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn half_a_character_is_told_from_what_is_no_frame() {
        let half = Err(TranscodeError::HalfCharacter);
        for text in [
            r#"[19,"\ud83d"]"#,
            r#"[19,"cut \uD83D"]"#,
            r#"[19,"\ude00\ud83d\ude00"]"#,
            r#"[19,"\ud83d\u0041"]"#,
            r#"[19,"\\\ud83d\\"]"#,
        ] {
            assert_eq!(to_message_pack(text), half, "{text}");
        }
        assert!(to_message_pack(r#"[19,"\ud83d\ude00 \\ud83d"]"#).is_ok());
        for text in [r#"[19,"\ud83d"#, r#"[19,"\ud83d",{}]"#, r#"[19,"\ud83"]"#] {
            let refused = to_message_pack(text);
            assert!(matches!(refused, Err(TranscodeError::Text(_))), "{text}");
        }
    }

    #[test]
    fn depth_is_limited_both_ways() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(to_message_pack(&nested(DEPTH_MAX)).is_ok());
        assert!(to_message_pack(&nested(DEPTH_MAX + 1)).is_err());
        assert!(to_message_pack(&nested(8000)).is_err());
        let packed = |depth: usize| [vec![0x91; depth - 1], vec![0x90]].concat();
        assert!(from_message_pack(&packed(DEPTH_MAX)).is_ok());
        let deep = from_message_pack(&packed(DEPTH_MAX + 1));
        assert_eq!(deep, Err(TranscodeError::TooDeep));
    }

    #[test]
    fn an_array_that_claims_too_much_costs_nothing() {
        let claim = from_message_pack(b"\xdd\xff\xff\xff\xff");
        assert_eq!(claim, Err(TranscodeError::Malformed));
    }
}
