//! Why a part that the service depends on does not do its work, as far as an operator can act on
//! it.
//!
//! It does not know which part: `store` and `cache` sort their drivers' errors into these few.

/// What is wrong with a database or a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time, or no connection was free in time.
    Slow,
    /// Somebody else holds a lock for too long.
    Locked,
    /// It answers reads and refuses writes: a standby, a former primary.
    ReadOnly,
    /// No room is left: the disk, or the memory that it may use.
    Full,
    /// It answers with another error.
    Failing,
}

impl Fault {
    /// As responses, logs and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Slow => "slow",
            Self::Locked => "locked",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Failing => "failing",
        }
    }
}
