//! Names that people give to themselves and to their sessions: normalised once, at the edge.

use gameserver_contract::problem::FieldError;
use unicode_normalization::UnicodeNormalization as _;

use super::field;

/// Normalises a name (NFC, no white space around, one space between words) and checks that it has
/// 1 to `length_max` characters, none of them invisible.
pub(super) fn clean_name(
    text: &str,
    length_max: usize,
    pointer: &str,
) -> Result<String, FieldError> {
    let composed: String = text.nfc().collect();
    if composed.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(field(
            pointer,
            "not contain control or invisible characters",
        ));
    }
    let name = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    if (1..=length_max).contains(&name.chars().count()) {
        Ok(name)
    } else {
        Err(field(pointer, format!("have 1 to {length_max} characters")))
    }
}

/// Checks a short name for programs: 1 to 32 of `a-z`, `0-9`, `-`, `_`, `.`.
pub(super) fn check_label(text: &str, pointer: &str) -> Result<(), FieldError> {
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

/// Characters without width or that turn the direction of writing: they make two names look
/// alike. The joiner U+200D stays, because many emoji need it.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_composed_and_trimmed() {
        assert_eq!(clean_name("  Zoe\u{308}   K ", 32, "/x").unwrap(), "Zoë K");
    }

    #[test]
    fn an_empty_long_or_invisible_name_is_refused() {
        let long = "x".repeat(33);
        for bad in ["", "   ", &long, "a\u{202e}b", "a\nb", "\u{200b}"] {
            assert!(clean_name(bad, 32, "/x").is_err(), "{bad:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in "\\PC{0,40}") {
            if let Ok(name) = clean_name(&text, 32, "/x") {
                prop_assert_eq!(clean_name(&name, 32, "/x").unwrap(), name);
            }
        }
    }
}
