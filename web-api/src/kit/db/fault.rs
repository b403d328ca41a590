//! Sorts the errors of both drivers: what is wrong with the database, and whether the connection
//! that an error came on may be used again.

use crate::kit::db::DbError;
use crate::kit::fault::Fault;

/// What becomes of the connection that an error came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// It is as good as before.
    Keep,
    /// It is in a state that the next statement would suffer from.
    Close,
    /// It leads to a server that is going, gone or not the primary; so may all the others.
    CloseAll,
}

impl DbError {
    /// What is wrong with the database; `None` when it is fine and the request or the data is not.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Database(error) => Some(fault(error)),
            Self::Deadline(_) => Some(Fault::Slow),
            Self::Unreachable { .. } => Some(Fault::Unreachable),
            Self::Migration(_) | Self::Url(_) | Self::Newer { .. } | Self::Corrupt { .. } => None,
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "errors of the driver that say nothing of the server are many, and may become more"
)]
fn fault(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed => Fault::Unreachable,
        sqlx::Error::PoolTimedOut => Fault::Slow,
        sqlx::Error::Database(answer) => match answer.code() {
            // Codes of PostgreSQL have five characters, those of SQLite are shorter numbers.
            Some(code) if code.len() == 5 => fault_of_postgres(&code),
            Some(code) => fault_of_sqlite(&code),
            None => Fault::Failing,
        },
        // What is left has nothing to do with where the database is.
        _ => Fault::Failing,
    }
}

/// By SQLSTATE, appendix A of PostgreSQL's manual.
fn fault_of_postgres(code: &str) -> Fault {
    match code {
        // read_only_sql_transaction
        "25006" => Fault::ReadOnly,
        // lock_not_available, deadlock_detected
        "55P03" | "40P01" => Fault::Locked,
        // query_canceled: the statement took too long. too_many_connections.
        "57014" | "53300" => Fault::Slow,
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout
        "57P01" | "57P02" | "57P03" | "57P05" => Fault::Unreachable,
        _ if code.starts_with("08") => Fault::Unreachable,
        // disk_full, out_of_memory and the rest of insufficient_resources
        _ if code.starts_with("53") => Fault::Full,
        _ => Fault::Failing,
    }
}

/// By result code; an extended one has its primary code in the lowest byte.
fn fault_of_sqlite(code: &str) -> Fault {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Ok(5 | 6) => Fault::Locked,
        // SQLITE_READONLY
        Ok(8) => Fault::ReadOnly,
        // SQLITE_FULL
        Ok(13) => Fault::Full,
        // SQLITE_IOERR, SQLITE_CANTOPEN
        Ok(10 | 14) => Fault::Unreachable,
        _ => Fault::Failing,
    }
}

/// What an error means for its connection to PostgreSQL.
pub(crate) fn consequence(error: &DbError) -> Consequence {
    let DbError::Database(error) = error else {
        return Consequence::Keep;
    };
    match fault(error) {
        Fault::ReadOnly | Fault::Unreachable => Consequence::CloseAll,
        Fault::Failing if leaves_a_bad_session(error) => Consequence::Close,
        Fault::Slow | Fault::Locked | Fault::Full | Fault::Failing => Consequence::Keep,
    }
}

/// Class 25: the session is inside of a transaction that it should not be in, or was thrown out of
/// one. 26000 and 0A000: a prepared statement is not what it was, behind a pooler or after a
/// migration.
fn leaves_a_bad_session(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("25") || code == "26000" || code == "0A000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_postgres_are_sorted_by_what_an_operator_can_do() {
        for (code, fault) in [
            ("25006", Fault::ReadOnly),
            ("57P01", Fault::Unreachable),
            ("57P02", Fault::Unreachable),
            ("57P03", Fault::Unreachable),
            ("08006", Fault::Unreachable),
            ("53100", Fault::Full),
            ("53300", Fault::Slow),
            ("55P03", Fault::Locked),
            ("57014", Fault::Slow),
            ("23505", Fault::Failing),
        ] {
            assert_eq!(fault_of_postgres(code), fault, "{code}");
        }
    }

    #[test]
    fn extended_codes_of_sqlite_are_sorted_by_their_primary_code() {
        assert_eq!(fault_of_sqlite("13"), Fault::Full);
        assert_eq!(fault_of_sqlite("1032"), Fault::ReadOnly);
        assert_eq!(fault_of_sqlite("517"), Fault::Locked);
        assert_eq!(fault_of_sqlite("1"), Fault::Failing);
    }
}
