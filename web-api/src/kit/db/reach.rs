//! Whether a database can be reached, tried once before a pool hides why not: a pool asks again and
//! again, and at last only says that time ran out.
//!
//! Nothing here repeats the URL: it may hold a password.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::kit::db::DbError;

/// Longest wait for the first connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// SQLSTATEs of a user or password that is not accepted.
const REFUSED: [&str; 2] = ["28P01", "28000"];

/// Connects once.
pub(crate) async fn try_postgres(options: &PgConnectOptions) -> Result<(), DbError> {
    let unreachable = |cause| DbError::Unreachable {
        place: place(options),
        cause,
    };
    match tokio::time::timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => {
            // Whether the goodbye arrives does not matter.
            let _ = connection.close().await;
            Ok(())
        }
        Ok(Err(error)) => Err(unreachable(cause(&error))),
        Err(_) => Err(unreachable(format!(
            "nobody answered within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

/// Host and port, or the socket.
fn place(options: &PgConnectOptions) -> String {
    options.get_socket().map_or_else(
        || format!("{}, port {}", options.get_host(), options.get_port()),
        |socket| socket.display().to_string(),
    )
}

fn cause(error: &sqlx::Error) -> String {
    if let sqlx::Error::Io(error) = error {
        return io_cause(error);
    }
    let Some(refusal) = error.as_database_error() else {
        return error.to_string();
    };
    let code = refusal.code().unwrap_or_default();
    let message = refusal.message();
    if REFUSED.contains(&&*code) {
        return format!("{message}; if the password is right, {ENCODE}");
    }
    message.to_owned()
}

fn io_cause(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return "nobody listens there (connection refused)".to_owned();
    }
    if error.to_string().contains("lookup") {
        return format!(
            "the host name cannot be resolved ({error}); if it is not the host that was meant, \
             {ENCODE}"
        );
    }
    error.to_string()
}

const ENCODE: &str = "write its special characters percent-encoded: / is %2F, ? is %3F, # is %23, \
                      @ is %40, : is %3A, % is %25";

/// Refuses a URL whose password ends where another part begins: what would be taken for the host is
/// part of a secret.
pub(crate) fn check_url(url: &str) -> Result<(), DbError> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let before_at = behind.split_once('@').map(|(before, _)| before);
    let is_parameter = |text: &str| {
        text.split_once('?')
            .is_some_and(|(_, query)| query.contains('='))
    };
    match before_at {
        Some(before) if !authority.contains('@') && !is_parameter(before) => {
            Err(DbError::Url(format!("its password is cut off; {ENCODE}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Why a file of SQLite's cannot be opened, with its path.
pub(crate) fn sqlite_unusable(options: &SqliteConnectOptions, error: &sqlx::Error) -> DbError {
    let path = options.get_filename();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let refusal = error.as_database_error();
    let cause = refusal.map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned());
    DbError::Unreachable {
        place: path.display().to_string(),
        cause: format!("{cause}; the file and its folder must be this user's to write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_cut_off_is_refused_without_being_told() {
        for url in [
            "postgres://u:12/canary@db/gameserver",
            "postgres://u:12?canary@db/gameserver",
            "postgres://u:12#canary@db/gameserver",
        ] {
            let error = check_url(url).unwrap_err().to_string();
            assert!(error.contains("percent-encoded: / is %2F"), "{error}");
            assert!(
                !error.contains("canary") && !error.contains("12"),
                "{error}"
            );
        }
    }

    #[test]
    fn urls_that_hold_an_at_elsewhere_are_left_alone() {
        for url in [
            "postgres://u:p@db/gameserver",
            "postgres://u:p%2Fq@db:5432/gameserver?sslmode=require",
            "postgres://db/gameserver?user=u@tenant",
            "postgres://u:a@b@db/gameserver",
            "postgres:///gameserver?host=/run/postgresql",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
    }
}
