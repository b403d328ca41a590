//! What instances tell: that they run, how they are, which matches they host.

use std::collections::{BTreeMap, HashSet};

use gameserver_contract::game::GameDescriptor;
use gameserver_contract::ids::{GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat};
use gameserver_contract::session::{SessionState, TransportKind, TransportOffer};
use gameserver_control::{
    Admits, HeartbeatRequest, HeartbeatResponse, KickPlayerRequest, MatchStatus, RegisterRequest,
    RegisterResponse, SeatStatus,
};
use tokio::sync::Mutex;

use crate::compose::App;
use crate::config::{INSTANCE_LEASE, REPORTED_MATCHES_MAX};
use crate::fleet::{InstanceRecord, Load, Refuses};
use crate::kit::db::StoreError;
use crate::sessions::store::reports::MatchReport;

/// Most games and most transports of one instance.
const OFFERS_MAX: usize = 32;
/// Players whose removal one answer asks for; the next one asks for the rest.
const KICKS_MAX: usize = 256;
/// Longest region, build or URL in bytes.
const TEXT_LENGTH_MAX: usize = 256;

/// Lets one heartbeat of an instance at a time compare sequence numbers and write. Instances
/// share the locks by their id; a replica that is not told of another's work loses at most one
/// interval, because every heartbeat tells the whole state.
#[derive(Debug, Default)]
pub(crate) struct HeartbeatOrder([Mutex<()>; 16]);

impl HeartbeatOrder {
    fn of(&self, instance: InstanceId) -> &Mutex<()> {
        &self.0[usize::from(instance.0.as_bytes()[15] % 16)]
    }
}

/// Why an instance's call is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A field that no instance of ours would send.
    #[error("read {0}")]
    Malformed(&'static str),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Enters a run of an instance, also while the cache is away. Sessions of its other runs fail:
    /// their matches are gone. Epochs have no order, so the run that registers last is the one that
    /// counts.
    pub(crate) async fn register(
        &self,
        request: RegisterRequest,
    ) -> Result<RegisterResponse, RegistryError> {
        let instance = read_instance(request)?;
        let _order = self.heartbeats.of(instance.id).lock().await;
        let games: Vec<GameId> = instance.games.iter().map(|game| game.id.clone()).collect();
        self.store.remember_games(&games, self.now()).await?;
        self.fleet.renew(&instance).await?;
        // Whoever waited for this instance may play at once.
        self.hosted_games.forget().await;
        let epoch = Some(instance.epoch);
        let failed = self
            .store
            .fail_sessions_of(instance.id, epoch, self.now())
            .await?;
        self.tell_changed(&failed).await;
        tracing::info!(
            instance.id = %instance.id, instance.region = %instance.region,
            instance.build = %instance.build, sessions.failed = failed.len(),
            "an instance registered"
        );
        Ok(RegisterResponse {
            ticket_public_keys: vec![self.tickets.public_key().to_vec()],
            lease_ms: u32::try_from(INSTANCE_LEASE.as_millis()).unwrap_or(u32::MAX),
        })
    }

    /// Renews a lease and makes the lobby equal to what the instance hosts.
    pub(crate) async fn heartbeat(
        &self,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatResponse, RegistryError> {
        let id = parse(&request.instance_id, "instance_id")?;
        let mut reports = read_matches(&request.matches)?;
        if request.draining {
            reports.iter_mut().for_each(drain);
        }
        let _order = self.heartbeats.of(id).lock().await;
        let known = self.known_instance(id).await;
        let Some(instance) = known.filter(|known| known.epoch.0 == request.epoch) else {
            return Ok(HeartbeatResponse {
                known: false,
                ..HeartbeatResponse::default()
            });
        };
        if request.sequence <= instance.load.sequence {
            return Ok(HeartbeatResponse {
                known: true,
                ..HeartbeatResponse::default()
            });
        }
        let epoch = instance.epoch;
        let instance = InstanceRecord {
            load: load(&request, &reports),
            refusing: refusing(&request.matches, &reports),
            ..instance
        };
        self.fleet.renew(&instance).await?;
        let applied = self
            .store
            .apply_reports(id, epoch, &reports, self.now())
            .await?;
        self.tell_changed(&applied.changed).await;
        let kick = |(match_id, player): &(MatchId, PlayerId)| KickPlayerRequest {
            match_id: match_id.to_string(),
            player_id: player.to_string(),
            reason: "logged out".to_owned(),
        };
        let kick_players = applied.evicted.iter().take(KICKS_MAX).map(kick).collect();
        let stop_match_ids = applied.unwanted.iter().map(MatchId::to_string).collect();
        Ok(HeartbeatResponse {
            known: true,
            stop_match_ids,
            kick_players,
        })
    }

    /// An instance that neither the cache nor this replica knows is to register: that works without
    /// the cache.
    async fn known_instance(&self, id: InstanceId) -> Option<InstanceRecord> {
        self.fleet.instance(id).await.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error, instance.id = %id,
                "an instance is not looked up in the cache"
            );
            None
        })
    }
}

fn read_instance(request: RegisterRequest) -> Result<InstanceRecord, RegistryError> {
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

fn load(request: &HeartbeatRequest, reports: &[MatchReport]) -> Load {
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
fn drain(report: &mut MatchReport) {
    if report.state.is_joinable() {
        report.state = SessionState::Draining;
    }
}

/// The reports are those of the same matches in the same order.
fn refusing(matches: &[MatchStatus], reports: &[MatchReport]) -> BTreeMap<MatchId, Refuses> {
    let refuses = |status: &MatchStatus| match status.admits() {
        Admits::Everybody => None,
        Admits::Players => Some(Refuses::Spectators),
        Admits::Nobody => Some(Refuses::Everybody),
    };
    let both = matches.iter().zip(reports);
    both.filter_map(|(status, report)| Some((report.match_id, refuses(status)?)))
        .collect()
}

fn read_matches(matches: &[MatchStatus]) -> Result<Vec<MatchReport>, RegistryError> {
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

fn parse<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, RegistryError> {
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
