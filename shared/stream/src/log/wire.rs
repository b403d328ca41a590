//! MessagePack as the log uses it: writing to memory, and reading without believing a length.

use rmp::{decode, encode};

use super::error::RecordError;

const TO_MEMORY: &str = "memory takes every write";

/// Appends MessagePack to memory.
pub(super) struct Out<'a>(pub(super) &'a mut Vec<u8>);

impl Out<'_> {
    pub(super) fn array(&mut self, length: usize) -> &mut Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        encode::write_array_len(self.0, length).expect(TO_MEMORY);
        self
    }

    pub(super) fn uint(&mut self, number: impl Into<u64>) -> &mut Self {
        encode::write_uint(self.0, number.into()).expect(TO_MEMORY);
        self
    }

    pub(super) fn int(&mut self, number: i64) -> &mut Self {
        encode::write_sint(self.0, number).expect(TO_MEMORY);
        self
    }

    pub(super) fn str(&mut self, text: &str) -> &mut Self {
        encode::write_str(self.0, text).expect(TO_MEMORY);
        self
    }

    pub(super) fn bin(&mut self, bytes: &[u8]) -> &mut Self {
        encode::write_bin(self.0, bytes).expect(TO_MEMORY);
        self
    }

    /// Begins bytes whose parts are appended by the caller.
    pub(super) fn bin_of(&mut self, length: usize) -> &mut Vec<u8> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        encode::write_bin_len(self.0, length).expect(TO_MEMORY);
        self.0
    }
}

/// What is left to read of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn array(&mut self) -> Result<usize, RecordError> {
        let length = decode::read_array_len(&mut self.0).map_err(malformed)?;
        usize::try_from(length).map_err(malformed)
    }

    pub(super) fn uint(&mut self) -> Result<u64, RecordError> {
        decode::read_int(&mut self.0).map_err(malformed)
    }

    /// A number that must fit the type; `name` is what the error says.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Result<T, RecordError> {
        T::try_from(self.uint()?).map_err(|_| RecordError::OutOfRange(name))
    }

    pub(super) fn int(&mut self) -> Result<i64, RecordError> {
        decode::read_int(&mut self.0).map_err(malformed)
    }

    pub(super) fn str(&mut self) -> Result<&'a str, RecordError> {
        let length = decode::read_str_len(&mut self.0).map_err(malformed)?;
        std::str::from_utf8(self.take(length)?).map_err(malformed)
    }

    pub(super) fn bin(&mut self) -> Result<&'a [u8], RecordError> {
        let length = decode::read_bin_len(&mut self.0).map_err(malformed)?;
        self.take(length)
    }

    pub(super) fn bin_of<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], RecordError> {
        self.bin()?.try_into().map_err(malformed)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], RecordError> {
        let length = usize::try_from(length).map_err(malformed)?;
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn malformed<E>(_: E) -> RecordError {
    RecordError::Malformed
}
