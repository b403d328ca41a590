//! Who plays where, and as what.

use std::fmt;

/// What the players of a run speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// The snapshot stream.
    #[default]
    Thin,
    /// lightyear's packets.
    Native,
    /// Half of each match this, half that.
    Mixed,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thin => "thin",
            Self::Native => "native",
            Self::Mixed => "mixed",
        })
    }
}

/// What one of the crowd is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A thin player, or one who watches.
    Thin,
    /// A light native player.
    Native,
    /// A whole client.
    Canary,
}

/// Where one of the crowd plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the matches.
    pub(super) session: usize,
    pub(super) kind: Kind,
}

/// A place for each of the players. Every match has as many as any other, but for one more in the
/// first. Canaries come first and in pairs, because two of a match have something to compare.
pub(super) fn places(
    players: usize,
    canaries: usize,
    matches: usize,
    protocol: Protocol,
) -> Vec<Place> {
    let seats = |session: usize| players / matches + usize::from(session < players % matches);
    let mut taken = vec![0; matches];
    let mut next_free = |wanted: usize, at_once: usize| {
        let mut all = (wanted..matches).chain(0..wanted);
        let session = all.find(|session| taken[*session] + at_once <= seats(*session))?;
        taken[session] += at_once;
        Some(session)
    };
    let mut places = Vec::with_capacity(players);
    let canary = |session| Place {
        session,
        kind: Kind::Canary,
    };
    let canaries = canaries.min(players);
    for pair in 0..canaries.div_ceil(2) {
        let size = (canaries - pair * 2).min(2);
        match next_free(pair % matches, size) {
            Some(session) => places.extend(std::iter::repeat_n(canary(session), size)),
            // Every match has one seat left at most.
            None => places.extend((0..size).filter_map(|_| next_free(0, 1)).map(canary)),
        }
    }
    let mut others = vec![0_usize; matches];
    let mut wanted = 0;
    while places.len() < players
        && let Some(session) = next_free(wanted, 1)
    {
        let is_thin = match protocol {
            Protocol::Thin => true,
            Protocol::Native => false,
            Protocol::Mixed => others[session] % 2 == 1,
        };
        others[session] += 1;
        let kind = if is_thin { Kind::Thin } else { Kind::Native };
        places.push(Place { session, kind });
        wanted = (session + 1) % matches;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of that kind are in each match.
    fn count(places: &[Place], matches: usize, kind: Kind) -> Vec<usize> {
        let of = |session| Place { session, kind };
        let count = |session| places.iter().filter(|place| **place == of(session)).count();
        (0..matches).map(count).collect()
    }

    #[test]
    fn matches_are_filled_evenly_and_canaries_come_in_pairs() {
        let places = places(512, 4, 32, Protocol::Native);
        assert_eq!(places.len(), 512);
        let canaries = count(&places, 32, Kind::Canary);
        assert_eq!(canaries[..3], [2, 2, 0]);
        let natives = count(&places, 32, Kind::Native);
        let all: Vec<_> = canaries
            .iter()
            .zip(&natives)
            .map(|row| row.0 + row.1)
            .collect();
        assert_eq!(all, [16; 32]);
        let early: Vec<_> = places[..6].iter().map(|place| place.session).collect();
        assert_eq!(early, [0, 0, 1, 1, 0, 1]);
    }

    #[test]
    fn mixed_matches_are_half_this_and_half_that() {
        let places = places(50, 2, 3, Protocol::Mixed);
        assert_eq!(count(&places, 3, Kind::Canary), [2, 0, 0]);
        assert_eq!(count(&places, 3, Kind::Native), [8, 9, 8]);
        assert_eq!(count(&places, 3, Kind::Thin), [7, 8, 8]);
    }

    #[test]
    fn there_may_be_nothing_but_canaries_and_no_match_that_takes_two() {
        for (players, canaries, matches) in [(4, 4, 1), (3, 3, 1), (4, 4, 4), (5, 4, 4), (3, 9, 2)]
        {
            let places = places(players, canaries, matches, Protocol::Thin);
            let here = (players, canaries, matches);
            assert_eq!(places.len(), players, "{here:?}");
            let found = count(&places, matches, Kind::Canary);
            assert_eq!(
                found.iter().sum::<usize>(),
                canaries.min(players),
                "{here:?}"
            );
        }
    }
}
