//! Names that people give to themselves and to their sessions, and short names for programs:
//! checked once, at the edge. Also codes that people read to each other.

use gameserver_contract::entropy::Entropy;
use gameserver_contract::problem::FieldError;
use gameserver_contract::text;

use crate::kit::error::field;

/// Letters and digits that nobody confuses when reading them aloud: no 0, O, 1, I or L.
const CLEAR_LETTERS: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

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

/// Draws a code that people can read to each other.
pub(crate) fn clear_text<const LENGTH: usize>(entropy: &dyn Entropy) -> String {
    let letter = |_| {
        let index = entropy.next_u64() % CLEAR_LETTERS.len() as u64;
        char::from(CLEAR_LETTERS[usize::try_from(index).unwrap_or(0)])
    };
    (0..LENGTH).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use gameserver_contract::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn a_code_has_no_letter_that_looks_like_another() {
        let code = clear_text::<200>(&*SeededEntropy::new(3));
        assert!(!code.contains(['0', 'O', '1', 'I', 'L']), "{code}");
    }
}
