//! A value as its source provides it: text from the environment, typed from a file.
//!
//! It guesses nothing: text stays text, whatever it looks like, until a setting needs a number.

use toml::de::DeValue;

/// A value that is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawValue {
    /// Text of a variable or a flag, which its setting interprets.
    Plain(String),
    /// Text in quotes.
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Self>),
    /// Something that no setting takes, as it was written.
    Other(String),
}

impl RawValue {
    /// The value of a file's entry.
    pub(super) fn of(value: &DeValue<'_>, written: &str) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Other(written.to_owned()), Self::Number),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Array(items) => {
                let items = items.iter().map(|item| Self::of(item.get_ref(), written));
                Self::List(items.collect())
            }
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
                Self::Other(written.to_owned())
            }
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text),
            Self::Number(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Plain(text) => text.trim().parse().ok(),
            Self::Text(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Plain(text) => text.trim().parse().ok(),
            Self::Text(_) | Self::Number(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    /// Comma-separated where it is plain text.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Plain(text) => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                Some(items.map(|item| Self::Plain(item.to_owned())).collect())
            }
            Self::Text(_) | Self::Number(_) | Self::Flag(_) | Self::Other(_) => None,
        }
    }

    /// As people would write it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Plain(text) | Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::shown).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Other(written) => written.clone(),
        }
    }
}
