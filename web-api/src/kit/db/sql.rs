//! One statement with its values, the same text for both databases, and how rows become values.
//!
//! It opens no connection; `db` runs what is built here.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{
    DeviceId, GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId,
};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Arguments, AssertSqlSafe, Database, Encode, FromRow, SqlStr, Type};
use uuid::Uuid;

use crate::kit::db::DbError;

/// Rows that one multi-row statement carries at most: 500 rows of 12 values stay far below
/// SQLite's 32,766 and PostgreSQL's 65,535 parameters.
const ROWS_PER_STATEMENT_MAX: usize = 500;

/// A row type that both databases can fill; `#[derive(FromRow)]` gives it.
pub(crate) trait Row:
    for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
}

impl<T> Row for T
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    T: for<'r> FromRow<'r, SqliteRow>,
{
}

/// A statement and the values of its `$1`, `$2`, …
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    text: SqlText,
    values: Vec<Value>,
}

#[derive(Debug, Clone)]
enum SqlText {
    Fixed(&'static str),
    /// A `SELECT` whose rows stay locked until the transaction ends.
    Locking(&'static str),
    /// Made of literals and placeholders only. Its length varies, so it is not kept prepared.
    Built(String),
    /// Put together from a few parts, so that there are few texts: it stays prepared.
    Composed(String),
}

impl Sql {
    /// A statement for both databases.
    pub(crate) fn new(text: &'static str) -> Self {
        Self {
            text: SqlText::Fixed(text),
            values: Vec::new(),
        }
    }

    /// A `SELECT` that also locks its rows. PostgreSQL needs `FOR UPDATE`; on SQLite the
    /// transaction holds the only write lock already.
    pub(crate) fn locking(text: &'static str) -> Self {
        Self {
            text: SqlText::Locking(text),
            values: Vec::new(),
        }
    }

    /// Statements that put `rows` as a `VALUES` list between `head` and `tail`, as few as the
    /// databases' limits allow. No rows, no statements.
    pub(crate) fn with_rows<const COLUMNS: usize>(
        head: &'static str,
        rows: Vec<[Value; COLUMNS]>,
        tail: &'static str,
    ) -> Vec<Self> {
        let mut rows = rows.into_iter().peekable();
        let mut statements = Vec::new();
        while rows.peek().is_some() {
            let chunk: Vec<_> = rows.by_ref().take(ROWS_PER_STATEMENT_MAX).collect();
            let text = format!("{head} {} {tail}", placeholders(chunk.len(), COLUMNS));
            let values = chunk.into_iter().flatten().collect();
            statements.push(Self {
                text: SqlText::Built(text),
                values,
            });
        }
        statements
    }

    /// Begins a statement that [`Sql::push`] and [`Sql::push_value`] go on with.
    pub(crate) fn composed(head: &'static str) -> Self {
        Self {
            text: SqlText::Composed(head.to_owned()),
            values: Vec::new(),
        }
    }

    /// Appends text to a composed statement.
    #[must_use]
    pub(crate) fn push(mut self, more: &'static str) -> Self {
        if let SqlText::Composed(text) = &mut self.text {
            text.push_str(more);
        }
        self
    }

    /// Appends text and the next placeholder, with its value, to a composed statement.
    #[must_use]
    pub(crate) fn push_value(self, more: &'static str, value: impl Into<Value>) -> Self {
        let mut sql = self.push(more).bind(value);
        let number = sql.values.len();
        if let SqlText::Composed(text) = &mut sql.text {
            // Writing to a String cannot fail.
            let _ = write!(text, "${number}");
        }
        sql
    }

    /// Gives the next placeholder its value.
    #[must_use]
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Splits into what a driver wants: the text, its values, and whether to keep it prepared.
    pub(crate) fn for_driver<DB>(self) -> Result<(SqlStr, DB::Arguments, bool), DbError>
    where
        DB: Dialect,
        Option<Uuid>: Bindable<DB>,
        bool: Bindable<DB>,
        Option<i64>: Bindable<DB>,
        Option<String>: Bindable<DB>,
        Option<Vec<u8>>: Bindable<DB>,
    {
        let persistent = !matches!(self.text, SqlText::Built(_));
        let text = match self.text {
            SqlText::Fixed(text) => AssertSqlSafe(std::borrow::Cow::Borrowed(text)),
            SqlText::Locking(text) => AssertSqlSafe(format!("{text}{}", DB::ROW_LOCK).into()),
            SqlText::Built(text) | SqlText::Composed(text) => AssertSqlSafe(text.into()),
        };
        let mut arguments = DB::Arguments::default();
        for value in self.values {
            match value {
                Value::Id(id) => arguments.add(id),
                Value::Flag(flag) => arguments.add(flag),
                Value::Integer(number) => arguments.add(number),
                Value::Text(text) => arguments.add(text),
                Value::Bytes(bytes) => arguments.add(bytes),
            }
            .map_err(|source| DbError::Database(sqlx::Error::Encode(source)))?;
        }
        Ok((sqlx::SqlSafeStr::into_sql_str(text), arguments, persistent))
    }
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}${}", row * columns + column + 1);
        }
        text.push(')');
    }
    text
}

/// What differs between the two databases in one statement.
pub(crate) trait Dialect: Database {
    /// Ends a `SELECT` that locks its rows.
    const ROW_LOCK: &'static str;
}

impl Dialect for sqlx::Postgres {
    const ROW_LOCK: &'static str = " FOR UPDATE";
}

impl Dialect for sqlx::Sqlite {
    const ROW_LOCK: &'static str = "";
}

/// Short for the two traits that every bound value needs.
pub(crate) trait Bindable<DB: Database>: for<'q> Encode<'q, DB> + Type<DB> {}

impl<DB: Database, T: for<'q> Encode<'q, DB> + Type<DB>> Bindable<DB> for T {}

/// A value for a placeholder: the few types that both databases store alike.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Id(Option<Uuid>),
    Flag(bool),
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($it: $from) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    Uuid => |id| Self::Id(Some(id));
    Option<Uuid> => |id| Self::Id(id);
    PlayerId => |id| Self::Id(Some(id.0));
    SessionId => |id| Self::Id(Some(id.0));
    Option<SessionId> => |id| Self::Id(id.map(|id| id.0));
    MatchId => |id| Self::Id(Some(id.0));
    InstanceId => |id| Self::Id(Some(id.0));
    DeviceId => |id| Self::Id(Some(id.0));
    bool => |flag| Self::Flag(flag);
    i64 => |number| Self::Integer(Some(number));
    u32 => |number| Self::Integer(Some(number.into()));
    u16 => |number| Self::Integer(Some(number.into()));
    Option<i64> => |number| Self::Integer(number);
    Option<u16> => |number| Self::Integer(number.map(i64::from));
    Seat => |seat| Self::Integer(Some(seat.0.into()));
    // PostgreSQL has no unsigned numbers: the run number keeps its bits.
    InstanceEpoch => |epoch| Self::Integer(Some(epoch.0.cast_signed()));
    Option<InstanceEpoch> => |epoch| Self::Integer(epoch.map(|epoch| epoch.0.cast_signed()));
    DateTime<Utc> => |at| Self::Integer(Some(at.timestamp_millis()));
    String => |text| Self::Text(Some(text));
    &str => |text| Self::Text(Some(text.to_owned()));
    &GameId => |game| Self::Text(Some(game.as_str().to_owned()));
    Option<String> => |text| Self::Text(text);
    Option<&str> => |text| Self::Text(text.map(str::to_owned));
    Vec<u8> => |bytes| Self::Bytes(Some(bytes));
    Option<Vec<u8>> => |bytes| Self::Bytes(bytes);
    &[u8; 32] => |bytes| Self::Bytes(Some(bytes.to_vec()));
}

/// The time that a `_ms` column holds.
pub(crate) fn time(column: &'static str, unix_ms: i64) -> Result<DateTime<Utc>, DbError> {
    DateTime::from_timestamp_millis(unix_ms).ok_or_else(|| corrupt(column, unix_ms))
}

/// A number in its narrower type.
pub(crate) fn narrow<T: TryFrom<i64>>(column: &'static str, value: i64) -> Result<T, DbError> {
    T::try_from(value).map_err(|_| corrupt(column, value))
}

/// A SHA-256 or a key. The error tells the length only, because the bytes may be secret.
pub(crate) fn bytes32(column: &'static str, bytes: Vec<u8>) -> Result<[u8; 32], DbError> {
    <[u8; 32]>::try_from(bytes).map_err(|bytes| corrupt(column, format!("{} bytes", bytes.len())))
}

/// A game's name.
pub(crate) fn game(column: &'static str, text: String) -> Result<GameId, DbError> {
    GameId::new(text.clone()).map_err(|_| corrupt(column, text))
}

/// The error for a value that this build does not know.
pub(crate) fn corrupt(column: &'static str, value: impl std::fmt::Display) -> DbError {
    DbError::Corrupt {
        column,
        value: value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through_all_rows() {
        assert_eq!(placeholders(2, 3), "($1, $2, $3), ($4, $5, $6)");
    }

    #[test]
    fn many_rows_are_split_and_no_rows_need_no_statement() {
        let rows = |count| vec![[Value::from(1_i64)]; count];
        let statements = |count| Sql::with_rows("INSERT INTO t VALUES", rows(count), "").len();
        assert_eq!(
            [
                statements(0),
                statements(1),
                statements(500),
                statements(501)
            ],
            [0, 1, 1, 2]
        );
    }

    #[test]
    fn the_run_number_of_an_instance_keeps_all_64_bits() {
        let Value::Integer(Some(stored)) = Value::from(InstanceEpoch(u64::MAX)) else {
            panic!("an epoch is an integer");
        };
        assert_eq!(stored.cast_unsigned(), u64::MAX);
    }

    #[test]
    fn a_corrupt_secret_is_not_printed() {
        let error = bytes32("devices.secret_hash", b"planted-canary".to_vec()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted-canary"));
    }
}
