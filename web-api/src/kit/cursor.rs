//! Cursors: where a list goes on, in a text that clients can only hand back.
//!
//! Text form: base64url of `microseconds (8 bytes) || id (16 bytes) || tag (16 bytes)`. The tag is
//! an HMAC over the list's name, its filter and the position, so that a cursor is good for the
//! list and the filter it was made for and for nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use gameserver_contract::session::Page;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::config::SecretKey;
use crate::kit::error::KitError;

const POSITION_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;
const TEXT_LENGTH_MAX: usize = 64;

/// Where a list goes on: after this row, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct After {
    /// The time that the list is sorted by.
    pub(crate) at: DateTime<Utc>,
    /// The row's id, which decides between rows of one time.
    pub(crate) id: Uuid,
}

/// What a list must stay before: the given row, or the end of time.
pub(crate) fn before(after: Option<After>) -> (i64, Uuid) {
    after.map_or((i64::MAX, Uuid::max()), |row| {
        (row.at.timestamp_millis(), row.id)
    })
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paging {
    /// Most entries to return.
    pub(crate) limit: u16,
    /// The previous page's `next_cursor`.
    pub(crate) cursor: Option<String>,
}

/// Makes and reads cursors.
#[derive(Debug, Clone)]
pub(crate) struct Cursors {
    key: SecretKey,
}

impl Cursors {
    /// Authenticates with this key.
    pub(crate) fn new(key: SecretKey) -> Self {
        Self { key }
    }

    /// Reads where to go on. `list` names the list and its filter.
    pub(crate) fn read(&self, list: &str, paging: &Paging) -> Result<Option<After>, KitError> {
        let Some(text) = &paging.cursor else {
            return Ok(None);
        };
        self.parse(list, text)
            .map(Some)
            .ok_or(KitError::CursorInvalid)
    }

    /// Makes a page of rows that were fetched one more than asked for: the surplus one says that
    /// there is a next page.
    pub(crate) fn page<T>(
        &self,
        list: &str,
        paging: &Paging,
        mut rows: Vec<T>,
        position: impl Fn(&T) -> After,
    ) -> Page<T> {
        let limit = usize::from(paging.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let end = rows.last().filter(|_| more);
        let next_cursor = end.map(|row| self.text(list, position(row)));
        Page {
            items: rows,
            next_cursor,
        }
    }

    fn text(&self, list: &str, after: After) -> String {
        let mut bytes = after.at.timestamp_micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(after.id.as_bytes());
        let tag = self.mac(list, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG_LENGTH]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parse(&self, list: &str, text: &str) -> Option<After> {
        if text.len() > TEXT_LENGTH_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (position, tag) = bytes.split_at_checked(POSITION_LENGTH)?;
        let whole_tag = tag.len() == TAG_LENGTH;
        if !whole_tag || self.mac(list, position).verify_truncated_left(tag).is_err() {
            return None;
        }
        let (micros, id) = position.split_at_checked(8)?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        Some(After {
            at,
            id: Uuid::from_slice(id).ok()?,
        })
    }

    fn mac(&self, list: &str, position: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.bytes());
        let mut mac = mac.expect("HMAC takes keys of any length");
        // The position has a fixed length, so that list and position cannot run into each other.
        mac.update(position);
        mac.update(list.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursors() -> Cursors {
        Cursors::new(SecretKey::from_bytes([5; 32]))
    }

    fn after() -> After {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        After {
            at,
            id: Uuid::from_u128(9),
        }
    }

    fn read(list: &str, text: &str) -> Option<After> {
        cursors().parse(list, text)
    }

    #[test]
    fn a_cursor_leads_back_to_its_row() {
        let text = cursors().text("sessions", after());
        assert_eq!(read("sessions", &text), Some(after()));
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_key_only() {
        let text = cursors().text("sessions", after());
        assert_eq!(read("matches", &text), None);
        let other = Cursors::new(SecretKey::from_bytes([6; 32]));
        assert_eq!(other.parse("sessions", &text), None);
    }

    #[test]
    fn a_page_has_a_cursor_only_when_more_follows() {
        let paging = Paging {
            limit: 2,
            cursor: None,
        };
        let page = |rows| cursors().page("list", &paging, rows, |_: &u8| after());
        assert_eq!(page(vec![1, 2]).next_cursor, None);
        let more = page(vec![1, 2, 3]);
        assert_eq!(more.items, [1, 2]);
        assert!(more.next_cursor.is_some());
    }

    proptest! {
        #[test]
        fn no_changed_byte_goes_unnoticed(index in 0usize..40, flip in 1u8..=255) {
            let mut bytes = URL_SAFE_NO_PAD.decode(cursors().text("list", after())).unwrap();
            bytes[index] ^= flip;
            prop_assert_eq!(read("list", &URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}") {
            prop_assert_eq!(read("list", &text), None);
        }
    }
}
