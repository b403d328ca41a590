//! Which bot plays in which match, and as what.

use super::config::ClientProtocol;

/// What a bot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BotKind {
    /// A thin player or a spectator.
    Thin,
    /// A light native player.
    Native,
    /// A full client.
    Canary,
}

/// Where a bot plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    /// Which of the matches.
    pub(super) session: usize,
    pub(super) kind: BotKind,
}

/// A placement for each of the players. Every match has as many as any other, but for one more in
/// the first ones. Canaries come first and in pairs: two of a match have something to compare.
pub(super) fn placements(
    players: usize,
    canaries: usize,
    matches: usize,
    protocol: ClientProtocol,
) -> Vec<Placement> {
    let seats = |session: usize| players / matches + usize::from(session < players % matches);
    let mut taken = vec![0; matches];
    let mut next_free = |wanted: usize, at_once: usize| {
        let mut all = (wanted..matches).chain(0..wanted);
        let session = all.find(|session| taken[*session] + at_once <= seats(*session))?;
        taken[session] += at_once;
        Some(session)
    };
    let mut placements = Vec::with_capacity(players);
    let canary = |session| Placement {
        session,
        kind: BotKind::Canary,
    };
    let canaries = canaries.min(players);
    for pair in 0..canaries.div_ceil(2) {
        let size = (canaries - pair * 2).min(2);
        match next_free(pair % matches, size) {
            Some(session) => placements.extend(std::iter::repeat_n(canary(session), size)),
            // Every match has one seat left at most.
            None => placements.extend((0..size).filter_map(|_| next_free(0, 1)).map(canary)),
        }
    }
    let mut others = vec![0_usize; matches];
    let mut wanted = 0;
    while placements.len() < players
        && let Some(session) = next_free(wanted, 1)
    {
        let is_thin = match protocol {
            ClientProtocol::Thin => true,
            ClientProtocol::Native => false,
            ClientProtocol::Mixed => others[session] % 2 == 1,
        };
        others[session] += 1;
        let kind = if is_thin {
            BotKind::Thin
        } else {
            BotKind::Native
        };
        placements.push(Placement { session, kind });
        wanted = (session + 1) % matches;
    }
    placements
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of that kind are in each match.
    fn count(placements: &[Placement], matches: usize, kind: BotKind) -> Vec<usize> {
        let of = |session| Placement { session, kind };
        let count = |session| {
            placements
                .iter()
                .filter(|place| **place == of(session))
                .count()
        };
        (0..matches).map(count).collect()
    }

    #[test]
    fn matches_are_filled_evenly_and_canaries_come_in_pairs() {
        let placements = placements(512, 4, 32, ClientProtocol::Native);
        assert_eq!(placements.len(), 512);
        let canaries = count(&placements, 32, BotKind::Canary);
        assert_eq!(canaries[..3], [2, 2, 0]);
        let natives = count(&placements, 32, BotKind::Native);
        let all: Vec<_> = canaries
            .iter()
            .zip(&natives)
            .map(|row| row.0 + row.1)
            .collect();
        assert_eq!(all, [16; 32]);
        let early: Vec<_> = placements[..6].iter().map(|place| place.session).collect();
        assert_eq!(early, [0, 0, 1, 1, 0, 1]);
    }

    #[test]
    fn mixed_matches_are_half_this_and_half_that() {
        let placements = placements(50, 2, 3, ClientProtocol::Mixed);
        assert_eq!(count(&placements, 3, BotKind::Canary), [2, 0, 0]);
        assert_eq!(count(&placements, 3, BotKind::Native), [8, 9, 8]);
        assert_eq!(count(&placements, 3, BotKind::Thin), [7, 8, 8]);
    }

    #[test]
    fn there_may_be_nothing_but_canaries_and_no_match_that_takes_two() {
        for (players, canaries, matches) in [(4, 4, 1), (3, 3, 1), (4, 4, 4), (5, 4, 4), (3, 9, 2)]
        {
            let placements = placements(players, canaries, matches, ClientProtocol::Thin);
            let here = (players, canaries, matches);
            assert_eq!(placements.len(), players, "{here:?}");
            let found = count(&placements, matches, BotKind::Canary);
            assert_eq!(
                found.iter().sum::<usize>(),
                canaries.min(players),
                "{here:?}"
            );
        }
    }
}
