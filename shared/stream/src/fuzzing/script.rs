//! Bytes as a script: what happens next, one decision at a time, until they end.

/// What is left of a script.
#[derive(Debug)]
pub(super) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next decision; none at the end.
    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The next decision; 0 at the end.
    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// Any number of 16 bits.
    pub(super) fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Any number of 32 bits.
    pub(super) fn number(&mut self) -> u32 {
        u32::from(self.short()) << 16 | u32::from(self.short())
    }

    /// One of `count` things; none when there is none.
    pub(super) fn one_of(&mut self, count: usize) -> Option<usize> {
        usize::from(self.byte()).checked_rem(count)
    }
}
