//! Reassembles messages that were too large for a packet.

use std::collections::BTreeMap;

use gameserver_packets::Fragment;

/// Messages that may be incomplete; the oldest is dropped.
const MESSAGES_MAX: usize = 8;
/// Parts of one message; larger ones are not taken.
const PARTS_MAX: u64 = 64;

/// Messages of which parts have come.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    /// By channel and number.
    messages: BTreeMap<(u16, u16), Parts>,
    /// In the order of arrival.
    begun: u64,
}

#[derive(Debug)]
struct Parts {
    begun: u64,
    parts: Vec<Option<Vec<u8>>>,
}

impl Fragments {
    /// Adds a part; the whole message when it was the last that was missing.
    pub(crate) fn take(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let count = usize::try_from(fragment.count.min(PARTS_MAX + 1)).ok()?;
        let index = usize::try_from(fragment.index).ok()?;
        if fragment.count > PARTS_MAX || index >= count {
            return None;
        }
        let name = (fragment.channel, fragment.message);
        if !self.messages.contains_key(&name) {
            self.make_room();
            self.begun += 1;
            let begun = self.begun;
            let parts = vec![None; count];
            self.messages.insert(name, Parts { begun, parts });
        }
        let parts = &mut self.messages.get_mut(&name)?.parts;
        *parts.get_mut(index)? = Some(fragment.bytes.to_vec());
        if parts.iter().any(Option::is_none) {
            return None;
        }
        let whole = self.messages.remove(&name)?;
        Some(whole.parts.into_iter().flatten().flatten().collect())
    }

    fn make_room(&mut self) {
        if self.messages.len() < MESSAGES_MAX {
            return;
        }
        let oldest = self.messages.iter().min_by_key(|row| row.1.begun);
        if let Some(name) = oldest.map(|row| *row.0) {
            self.messages.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(message: u16, index: u64, bytes: &[u8]) -> Fragment<'_> {
        Fragment {
            channel: 1,
            message,
            index,
            count: 3,
            bytes,
        }
    }

    #[test]
    fn a_message_is_whole_when_its_last_part_came_in_whatever_order() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.take(&part(5, 2, &[5])), None);
        assert_eq!(fragments.take(&part(6, 0, &[9])), None);
        assert_eq!(fragments.take(&part(5, 0, &[1, 2])), None);
        assert_eq!(fragments.take(&part(5, 0, &[1, 2])), None);
        let whole = fragments.take(&part(5, 1, &[3, 4]));
        assert_eq!(whole, Some(vec![1, 2, 3, 4, 5]));
    }

    #[test]
    fn what_claims_too_much_takes_no_memory() {
        let mut fragments = Fragments::default();
        let huge = Fragment {
            count: u64::MAX,
            ..part(0, 0, &[1])
        };
        let beyond = part(0, 3, &[1]);
        assert_eq!(fragments.take(&huge), None);
        assert_eq!(fragments.take(&beyond), None);
        assert!(fragments.messages.is_empty());
        for message in 0..1_000 {
            fragments.take(&part(message, 0, &[1]));
        }
        assert_eq!(fragments.messages.len(), MESSAGES_MAX);
        assert_eq!(fragments.take(&part(999, 1, &[2])), None);
        assert!(fragments.take(&part(999, 2, &[3])).is_some());
    }
}
