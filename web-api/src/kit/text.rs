//! Names that people give to themselves and to their sessions, and short names for programs:
//! checked once, at the edge.

use gameserver_contract::problem::FieldError;
use gameserver_contract::text;

use crate::kit::error::field;

/// Normalises a name and checks it by the [one rule for all names](text::clean_name).
pub(crate) fn clean_name(
    text: &str,
    length_max: usize,
    pointer: &str,
) -> Result<String, FieldError> {
    text::clean_name(text, length_max).map_err(|error| field(pointer, error.to_string()))
}

/// Checks a short name for programs: 1 to 32 of `a-z`, `0-9`, `-`, `_`, `.`.
pub(crate) fn check_label(text: &str, pointer: &str) -> Result<(), FieldError> {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if (1..=32).contains(&text.len()) && text.chars().all(allowed) {
        Ok(())
    } else {
        Err(field(
            pointer,
            "have 1 to 32 characters a-z, 0-9, -, _ or .",
        ))
    }
}
