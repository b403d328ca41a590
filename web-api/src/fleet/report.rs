//! Reads what instances report: that they run, how they are, which matches they host.
//!
//! It opens no connection and keeps nothing.

use std::collections::{BTreeMap, HashSet};

use gameserver_contract::game::GameDescriptor;
use gameserver_contract::ids::{InstanceEpoch, MatchId, PlayerId, Seat};
use gameserver_contract::session::{SessionState, TransportKind, TransportOffer};
use gameserver_control::{Admits, HeartbeatRequest, MatchStatus, RegisterRequest, SeatStatus};

use crate::config::REPORTED_MATCHES_MAX;
use crate::fleet::{InstanceRecord, Load, Refuses};
use crate::kit::db::DbError;

/// Most games and most transports of one instance.
const OFFERS_MAX: usize = 32;
/// Longest region, build or URL in bytes.
const TEXT_LENGTH_MAX: usize = 256;

/// The present truth about a match, as its instance reports it.
#[derive(Debug, Clone)]
pub(crate) struct MatchReport {
    /// The match.
    pub(crate) match_id: MatchId,
    /// Where it is in its life.
    pub(crate) state: SessionState,
    /// Who sits where.
    pub(crate) seats: Vec<(Seat, PlayerId)>,
    /// People who watch.
    pub(crate) spectators: u32,
}

/// Why an instance's call is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A field that no instance of ours would send.
    #[error("read {0}")]
    Malformed(&'static str),
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
}

pub(crate) fn read_instance(request: RegisterRequest) -> Result<InstanceRecord, RegistryError> {
    let texts = [&request.region, &request.build, &request.control_url];
    let is_bad = |text: &String| text.len() > TEXT_LENGTH_MAX || text.contains('\0');
    if texts.into_iter().any(is_bad) || request.region.is_empty() {
        return Err(RegistryError::Malformed("region, build or control_url"));
    }
    if tonic::transport::Endpoint::from_shared(request.control_url.clone()).is_err() {
        return Err(RegistryError::Malformed("control_url"));
    }
    if request.games_json.len() > OFFERS_MAX || request.transports.len() > OFFERS_MAX {
        return Err(RegistryError::Malformed(
            "games_json or transports: too many",
        ));
    }
    Ok(InstanceRecord {
        id: parse(&request.instance_id, "instance_id")?,
        epoch: InstanceEpoch(request.epoch),
        region: request.region,
        build: request.build,
        control_url: request.control_url,
        transports: request
            .transports
            .into_iter()
            .map(read_transport)
            .collect::<Result<_, _>>()?,
        matches_max: request.matches_max,
        players_max: request.players_max,
        games: request
            .games_json
            .iter()
            .map(|json| read_game(json))
            .collect::<Result<_, _>>()?,
        load: Load::default(),
        refusing: BTreeMap::new(),
    })
}

fn read_transport(
    transport: gameserver_control::Transport,
) -> Result<TransportOffer, RegistryError> {
    let kinds = [
        TransportKind::Quic,
        TransportKind::WebTransport,
        TransportKind::WebSocket,
    ];
    let kind = kinds
        .into_iter()
        .find(|kind| kind.as_str() == transport.kind);
    let certificate = transport.certificate_sha256;
    if transport.url.len() > TEXT_LENGTH_MAX || certificate.len() > TEXT_LENGTH_MAX {
        return Err(RegistryError::Malformed("transports"));
    }
    Ok(TransportOffer {
        kind: kind.ok_or(RegistryError::Malformed("transports"))?,
        url: transport.url,
        certificate_sha256: Some(certificate).filter(|hash| !hash.is_empty()),
    })
}

fn read_game(json: &str) -> Result<GameDescriptor, RegistryError> {
    let game: GameDescriptor =
        serde_json::from_str(json).map_err(|_| RegistryError::Malformed("games_json"))?;
    game.check()
        .map_err(|_| RegistryError::Malformed("games_json"))?;
    let has_nul = |text: &String| text.contains('\0');
    if has_nul(&game.name) || game.modes.iter().any(|mode| has_nul(&mode.id)) {
        return Err(RegistryError::Malformed("games_json"));
    }
    Ok(game)
}

pub(crate) fn load(request: &HeartbeatRequest, reports: &[MatchReport]) -> Load {
    let players: usize = reports.iter().map(|report| report.seats.len()).sum();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Load {
        sequence: request.sequence,
        draining: request.draining,
        tick_budget_used: request.tick_budget_used,
        matches: count(reports.len()),
        players: count(players),
    }
}

/// Nobody new may join a match of an instance that is about to stop.
pub(crate) fn drain(report: &mut MatchReport) {
    if report.state.is_joinable() {
        report.state = SessionState::Draining;
    }
}

/// The reports are those of the same matches in the same order.
pub(crate) fn refusing(
    matches: &[MatchStatus],
    reports: &[MatchReport],
) -> BTreeMap<MatchId, Refuses> {
    let refuses = |status: &MatchStatus| match status.admits() {
        Admits::Everybody => None,
        Admits::Players => Some(Refuses::Spectators),
        Admits::Nobody => Some(Refuses::Everybody),
    };
    let both = matches.iter().zip(reports);
    both.filter_map(|(status, report)| Some((report.match_id, refuses(status)?)))
        .collect()
}

pub(crate) fn read_matches(matches: &[MatchStatus]) -> Result<Vec<MatchReport>, RegistryError> {
    if matches.len() > REPORTED_MATCHES_MAX {
        return Err(RegistryError::Malformed("matches: too many"));
    }
    matches.iter().map(read_match).collect()
}

fn read_match(status: &MatchStatus) -> Result<MatchReport, RegistryError> {
    let state = SessionState::parse(&status.state);
    let hosted =
        |state: &SessionState| !matches!(state, SessionState::Created | SessionState::Ended);
    let seats = status
        .seats
        .iter()
        .map(read_seat)
        .collect::<Result<Vec<_>, _>>()?;
    let (mut places, mut players) = (HashSet::new(), HashSet::new());
    if !seats
        .iter()
        .all(|(seat, player)| places.insert(seat) && players.insert(player))
    {
        return Err(RegistryError::Malformed(
            "seats: a seat or a player stands twice",
        ));
    }
    Ok(MatchReport {
        match_id: parse(&status.match_id, "match_id")?,
        state: state
            .filter(hosted)
            .ok_or(RegistryError::Malformed("state"))?,
        seats,
        spectators: status.spectators,
    })
}

fn read_seat(status: &SeatStatus) -> Result<(Seat, PlayerId), RegistryError> {
    let seat = u16::try_from(status.seat).map_err(|_| RegistryError::Malformed("seat"))?;
    Ok((Seat(seat), parse(&status.player_id, "player_id")?))
}

pub(crate) fn parse<T: std::str::FromStr>(
    text: &str,
    field: &'static str,
) -> Result<T, RegistryError> {
    text.parse().map_err(|_| RegistryError::Malformed(field))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn status(state: &str, seats: &[(u32, u128)]) -> MatchStatus {
        let seat = |(seat, player): &(u32, u128)| SeatStatus {
            seat: *seat,
            player_id: Uuid::from_u128(*player).to_string(),
        };
        MatchStatus {
            match_id: Uuid::from_u128(1).to_string(),
            state: state.to_owned(),
            seats: seats.iter().map(seat).collect(),
            spectators: 0,
            admits: Admits::Everybody.into(),
        }
    }

    #[test]
    fn a_report_with_a_seat_or_a_player_twice_is_refused() {
        assert!(read_match(&status("running", &[(0, 1), (1, 2)])).is_ok());
        assert!(read_match(&status("running", &[(0, 1), (0, 2)])).is_err());
        assert!(read_match(&status("running", &[(0, 1), (1, 1)])).is_err());
        assert!(read_match(&status("running", &[(70_000, 1)])).is_err());
    }

    #[test]
    fn an_instance_cannot_report_states_that_only_the_lobby_gives() {
        for (state, good) in [
            ("filling", true),
            ("failed", true),
            ("created", false),
            ("ended", false),
            ("x", false),
        ] {
            assert_eq!(read_match(&status(state, &[])).is_ok(), good, "{state}");
        }
    }
}
