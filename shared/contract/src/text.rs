//! Text that people write for other people: one rule for all names, and the filter of chat.
//!
//! It knows which characters show something, which only move or hide others, and which names look
//! like those of the service itself. It knows no language and no bad words.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use icu_properties::props::{
    BidiControl, BinaryProperty as _, DefaultIgnorableCodePoint, EnumeratedProperty as _,
    GeneralCategory, GeneralCategoryGroup, VariationSelector,
};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

/// Combining marks on one character: what writing needs. More of them climb over the lines above.
pub const MARKS_MAX: usize = 4;

/// Names that the service alone goes by, as a whole name, however they are spelled.
const RESERVED: [&str; 17] = [
    "admin",
    "administrator",
    "console",
    "gameserver",
    "mod",
    "moderator",
    "official",
    "operator",
    "root",
    "server",
    "staff",
    "superuser",
    "support",
    "sysadmin",
    "sysop",
    "system",
    "webmaster",
];

/// Why a text is no name. Each fits "must …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Line breaks, direction marks, zero-width and format characters.
    #[error("not contain control, invisible or direction characters")]
    Invisible,
    /// A mark with nothing below it, or a pile of them.
    #[error("have at most {MARKS_MAX} combining marks on a character, and none alone")]
    Marks,
    /// Too short or too long.
    #[error("have 1 to {0} characters")]
    Length(usize),
    /// It reads like a name of the service.
    #[error("not be a name that is reserved for the service")]
    Reserved,
}

/// Normalises a name (NFC, no white space around, one space between words) and checks that it has
/// 1 to `length_max` characters, that all of them show, that none moves others, and that it is not
/// reserved.
///
/// # Errors
///
/// Why it is no name.
pub fn clean_name(text: &str, length_max: usize) -> Result<String, NameError> {
    let composed: String = text.nfc().collect();
    // White space is cut to single spaces below; a line break is no white space of a name.
    let is_space = |c: char| GeneralCategory::for_char(c) == GeneralCategory::SpaceSeparator;
    let words: Vec<&str> = composed
        .split(is_space)
        .filter(|it| !it.is_empty())
        .collect();
    let name = words.join(" ");
    let shown = keep_shown(&name);
    if shown.hidden > 0 {
        return Err(NameError::Invisible);
    }
    if shown.marks > 0 {
        return Err(NameError::Marks);
    }
    if !(1..=length_max).contains(&name.chars().count()) {
        return Err(NameError::Length(length_max));
    }
    if is_reserved(&name) {
        return Err(NameError::Reserved);
    }
    Ok(name)
}

/// A line of chat as it may be shown: without control and direction characters, without what is
/// invisible, and with at most [`MARKS_MAX`] marks on a character. `None` when nothing is left to
/// see.
#[must_use]
pub fn clean_line(text: &str) -> Option<String> {
    let composed: String = text.nfc().collect();
    // A line break stands between words; other control characters are dropped.
    let spaced = composed.replace(['\n', '\r', '\t', '\u{2028}', '\u{2029}'], " ");
    // What was apart may stand together now.
    let line: String = keep_shown(&spaced).text.nfc().collect();
    let trimmed = line.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// True when a name reads like one that the service goes by: whatever its case, its accents, its
/// punctuation, and letters of other scripts that look the same.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    static FORMS: LazyLock<BTreeSet<String>> =
        LazyLock::new(|| RESERVED.iter().flat_map(|name| looks(name)).collect());
    looks(name).iter().any(|look| FORMS.contains(look))
}

/// What a name looks like in each case, because look-alikes differ: I is like l, i is not.
fn looks(name: &str) -> [String; 3] {
    let plain: String = name.nfkc().collect();
    [
        look(&plain),
        look(&plain.to_lowercase()),
        look(&plain.to_uppercase()),
    ]
}

fn look(text: &str) -> String {
    let bare: String = text.nfd().filter(|c| c.is_alphanumeric()).collect();
    let skeleton: String = skeleton(&bare).filter(|c| c.is_alphanumeric()).collect();
    skeleton.to_lowercase()
}

/// What of a text shows, and how much does not.
struct Shown {
    text: String,
    /// Characters that show nothing or move others.
    hidden: usize,
    /// Marks that are too many, or have nothing to stand on.
    marks: usize,
}

fn keep_shown(text: &str) -> Shown {
    let mut shown = Shown {
        text: String::with_capacity(text.len()),
        hidden: 0,
        marks: 0,
    };
    // Marks on the last character; none when there is nothing that a mark could stand on.
    let mut marks: Option<usize> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let goes_on = rest.peek().copied().is_some_and(shows);
        match (Kind::of(c), marks) {
            (Kind::Space, _) => marks = None,
            (Kind::Plain, _) => marks = Some(0),
            (Kind::Mark, Some(count)) if count < MARKS_MAX => marks = Some(count + 1),
            // It says how the character before it looks, or joins it with the next one.
            (Kind::Variation, Some(0)) => {}
            (Kind::Joiner, Some(_)) if goes_on => {}
            (Kind::Mark, _) => {
                shown.marks += 1;
                continue;
            }
            (Kind::Hidden | Kind::Variation | Kind::Joiner, _) => {
                shown.hidden += 1;
                continue;
            }
        }
        shown.text.push(c);
    }
    shown
}

/// What a character does to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Space,
    /// Stands on the character before it.
    Mark,
    /// Chooses between two looks of the character before it; emoji need it.
    Variation,
    /// Joins or parts the characters around it; emoji and some scripts need it.
    Joiner,
    /// Shows nothing, or moves others.
    Hidden,
}

impl Kind {
    fn of(c: char) -> Self {
        use GeneralCategory::{
            Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, SpaceSeparator,
        };
        let category = GeneralCategory::for_char(c);
        match c {
            '\u{200c}' | '\u{200d}' => Self::Joiner,
            '\u{fe00}'..='\u{fe0f}' => Self::Variation,
            // Blank although their category says that they are symbols.
            '\u{2800}' | '\u{1d159}' | '\u{fffc}' => Self::Hidden,
            _ if BidiControl::for_char(c)
                || DefaultIgnorableCodePoint::for_char(c)
                || VariationSelector::for_char(c) =>
            {
                Self::Hidden
            }
            _ if category == SpaceSeparator => Self::Space,
            _ if [
                Control,
                Format,
                LineSeparator,
                ParagraphSeparator,
                PrivateUse,
            ]
            .contains(&category) =>
            {
                Self::Hidden
            }
            _ if GeneralCategoryGroup::Mark.contains(category) => Self::Mark,
            _ => Self::Plain,
        }
    }
}

/// True for what a joiner may join.
fn shows(c: char) -> bool {
    Kind::of(c) == Kind::Plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_composed_and_trimmed() {
        assert_eq!(clean_name("  Zoe\u{308}   K ", 32).unwrap(), "Zoë K");
        assert_eq!(clean_name("a\u{a0}\u{3000}b", 32).unwrap(), "a b");
    }

    #[test]
    fn names_of_all_scripts_and_emoji_are_names() {
        for good in [
            "Nguyễn Thị Ánh",
            "नमस्ते",
            "สวัสดี",
            "שָׁלוֹם",
            "محمد",
            "می\u{200c}خواهم",
            "ジョン",
            "王小明",
            "❤\u{fe0f}",
            "👨\u{200d}👩\u{200d}👧",
            "👍🏽",
            "Ann_42",
            "Adminton",
            "Systema",
        ] {
            let composed: String = good.nfc().collect();
            assert_eq!(clean_name(good, 32), Ok(composed));
        }
    }

    #[test]
    fn a_name_that_shows_nothing_or_moves_others_is_refused() {
        for bad in [
            "\u{3164}",
            "\u{ffa0}\u{115f}",
            "\u{2800}",
            "\u{200b}",
            "\u{200d}",
            "\u{ad}",
            "\u{feff}Ann",
            "Ann\u{200d}",
            "\u{200c}Ann",
            "An\u{3164}n",
            "An\u{200e}n",
            "a\u{202e}b",
            "a\u{2067}b",
            "\u{61c}a",
            "a\u{e0041}",
            "a\nb",
            "a\u{2028}b",
            "a\u{0}",
            "\u{e000}",
            "\u{fe0f}",
        ] {
            assert_eq!(clean_name(bad, 32), Err(NameError::Invisible), "{bad:?}");
        }
    }

    #[test]
    fn a_pile_of_marks_and_a_mark_alone_are_refused() {
        let pile = format!("a{}", "\u{336}".repeat(MARKS_MAX + 1));
        for bad in [&pile, "\u{301}", "a \u{301}b"] {
            assert_eq!(clean_name(bad, 32), Err(NameError::Marks), "{bad:?}");
        }
        let writing = format!("a{}", "\u{336}".repeat(MARKS_MAX));
        assert!(clean_name(&writing, 32).is_ok());
    }

    #[test]
    fn a_name_is_neither_empty_nor_too_long() {
        for bad in ["", "   ", &"x".repeat(33)] {
            assert_eq!(clean_name(bad, 32), Err(NameError::Length(32)), "{bad:?}");
        }
        assert!(clean_name(&"x".repeat(32), 32).is_ok());
    }

    #[test]
    fn names_of_the_service_are_reserved_however_they_are_spelled() {
        for bad in [
            "admin",
            "Admin",
            "ADMIN",
            "SYSTEM",
            "S y s t e m",
            "[Admin]",
            "m.o.d",
            "\u{430}dmin",
            "ADM\u{406}N",
            "ADMlN",
            "ADM1N",
            "r00t",
            "\u{405}YSTEM",
            "\u{ff21}\u{ff24}\u{ff2d}\u{ff29}\u{ff2e}",
            "\u{1d41a}\u{1d41d}\u{1d426}\u{1d422}\u{1d427}",
            "\u{e1}dmin",
            "Server",
        ] {
            assert_eq!(clean_name(bad, 32), Err(NameError::Reserved), "{bad:?}");
        }
    }

    #[test]
    fn a_line_is_shown_without_what_hides_moves_or_climbs() {
        let pile = format!("a{}", "\u{300}".repeat(80));
        let kept = format!("a{}", "\u{300}".repeat(MARKS_MAX));
        for (said, shown) in [
            ("good game ♥", Some("good game ♥")),
            ("a\u{202e}b\u{2066}c", Some("abc")),
            ("two\nlines\tand\u{7} a bell", Some("two lines and a bell")),
            ("👨\u{200d}👩\u{200d}👧", Some("👨\u{200d}👩\u{200d}👧")),
            ("\u{200b}\u{200d}\u{2060}", None),
            (" \u{3164}\u{2800} ", None),
            ("\u{301}", None),
            ("", None),
        ] {
            assert_eq!(clean_line(said).as_deref(), shown, "{said:?}");
        }
        let composed: String = kept.nfc().collect();
        let line = clean_line(&pile).unwrap();
        assert!(
            line.chars().count() <= composed.chars().count() + 1,
            "{line:?}"
        );
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in "\\PC{0,40}") {
            if let Ok(name) = clean_name(&text, 32) {
                prop_assert_eq!(clean_name(&name, 32).unwrap(), name);
            }
            if let Some(line) = clean_line(&text) {
                prop_assert_eq!(clean_line(&line), Some(line.clone()));
                prop_assert!(!line.chars().any(BidiControl::for_char));
            }
        }
    }
}
