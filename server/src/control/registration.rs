//! Keeps the instance known to web-api: registers, then sends a heartbeat with its whole state
//! every second and whenever something changed. It does not know why something changed.

use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::ids::{InstanceEpoch, InstanceId, MatchId};
use gameserver_contract::session::SessionState;
use gameserver_contract::ticket::TicketVerifier;
use gameserver_control::{
    HeartbeatRequest, HeartbeatResponse, MatchStatus, RegisterRequest, SeatStatus, Transport,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Registry;
use crate::gateway::AdmissionControl;
use crate::host::{MatchHost, MatchSummary};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two heartbeats, however much changes.
const HEARTBEAT_SPACING: Duration = Duration::from_millis(50);
/// Time for the last heartbeat, which nobody waits for longer.
const LAST_HEARTBEAT_DEADLINE: Duration = Duration::from_secs(1);
/// Wait after a failed call, doubled each time up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// Who this instance is and how it is reached.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Its name.
    pub id: InstanceId,
    /// This run of it.
    pub epoch: InstanceEpoch,
    /// What is sent to register.
    pub request: RegisterRequest,
    /// The transports that count, instead of those in the request; a change is reported at once.
    pub transports: watch::Receiver<Vec<Transport>>,
}

struct Registrar {
    announcement: Announcement,
    registry: Registry,
    host: Arc<MatchHost>,
    admission: Arc<AdmissionControl>,
    sequence: u64,
}

/// Runs until it is stopped. `registered` turns true when web-api knows the instance.
pub async fn run(
    announcement: Announcement,
    registry: Registry,
    host: Arc<MatchHost>,
    admission: Arc<AdmissionControl>,
    registered: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let mut registrar = Registrar {
        announcement,
        registry,
        host,
        admission,
        sequence: 0,
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = registrar.keep_known(&registered) => {}
    }
    registrar.send_last_heartbeat().await;
}

impl Registrar {
    async fn keep_known(&mut self, registered: &watch::Sender<bool>) {
        let mut retry = RETRY_FIRST;
        loop {
            match self.register().await {
                Ok(()) => {
                    tracing::info!("registered with web-api");
                    registered.send_replace(true);
                    retry = RETRY_FIRST;
                    self.heartbeat_until_stale(registered).await;
                }
                Err(status) => {
                    tracing::warn!(%status, retry_in_ms = retry.as_millis(), "not registered");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_LONGEST);
                }
            }
        }
    }

    async fn register(&mut self) -> Result<(), tonic::Status> {
        let transports = self.announcement.transports.borrow_and_update().clone();
        let request = RegisterRequest {
            transports,
            ..self.announcement.request.clone()
        };
        let response = self.registry.register(request).await?.into_inner();
        let keys: Result<Vec<[u8; 32]>, _> = response
            .ticket_public_keys
            .into_iter()
            .map(TryInto::try_into)
            .collect();
        let keys = keys.map_err(|_| tonic::Status::internal("a ticket key has no 32 bytes"))?;
        let (id, epoch) = (self.announcement.id, self.announcement.epoch);
        let verifier = TicketVerifier::new(&keys, id, epoch)
            .map_err(|error| tonic::Status::internal(error.to_string()))?;
        self.admission.set_verifier(verifier);
        Ok(())
    }

    /// Returns when web-api does not know this instance, or not its transports.
    async fn heartbeat_until_stale(&mut self, registered: &watch::Sender<bool>) {
        let mut next = Instant::now();
        let directory = self.host.directory().clone();
        let mut transports = self.announcement.transports.clone();
        let mut has_reported_draining = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                // At once: every ticket given out from now on is one that will be refused.
                () = directory.wait_draining(), if !has_reported_draining => {
                    has_reported_draining = true;
                }
                Ok(()) = transports.changed() => return,
                () = directory.changed() => tokio::time::sleep(HEARTBEAT_SPACING).await,
            }
            next = Instant::now() + HEARTBEAT_INTERVAL;
            match self.heartbeat().await {
                Ok(response) if response.known => self.apply(response),
                Ok(_) => {
                    registered.send_replace(false);
                    tracing::warn!("web-api does not know this instance any more");
                    return;
                }
                // The lease may survive a short silence; only web-api can say that it did not.
                Err(status) => tracing::warn!(%status, "heartbeat not delivered"),
            }
        }
    }

    /// Nobody is sent here any more after it, although the lease lives on for a while.
    async fn send_last_heartbeat(&mut self) {
        match tokio::time::timeout(LAST_HEARTBEAT_DEADLINE, self.heartbeat()).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => tracing::warn!(%status, "last heartbeat not delivered"),
            Err(_) => tracing::warn!("last heartbeat not delivered in time"),
        }
    }

    async fn heartbeat(&mut self) -> Result<HeartbeatResponse, tonic::Status> {
        self.sequence += 1;
        let directory = self.host.directory();
        let matches = directory.summaries();
        let failed: Vec<MatchId> = matches
            .iter()
            .filter(|(_, hosted)| hosted.state == SessionState::Failed)
            .map(|(id, _)| *id)
            .collect();
        let request = HeartbeatRequest {
            instance_id: self.announcement.id.to_string(),
            epoch: self.announcement.epoch.0,
            sequence: self.sequence,
            draining: directory.is_draining(),
            tick_budget_used: directory.busiest_worker(),
            matches: matches
                .iter()
                .map(|(id, hosted)| match_status(*id, hosted))
                .collect(),
        };
        let response = self.registry.heartbeat(request).await?.into_inner();
        // A failed match is reported once; then nothing of it is left here.
        for id in failed {
            self.host.directory().remove(id);
        }
        Ok(response)
    }

    fn apply(&self, response: HeartbeatResponse) {
        for kick in response.kick_players {
            let (Ok(id), Ok(player)) = (kick.match_id.parse(), kick.player_id.parse()) else {
                continue;
            };
            if let Err(error) = self.host.kick(id, player, kick.reason) {
                tracing::warn!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "unwanted player not removed"
                );
            }
        }
        for id in response.stop_match_ids {
            let Ok(id) = id.parse::<MatchId>() else {
                continue;
            };
            if let Err(error) = self.host.stop_match(id) {
                tracing::warn!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "unwanted match not stopped"
                );
            }
        }
    }
}

fn match_status(id: MatchId, hosted: &MatchSummary) -> MatchStatus {
    let seats = hosted.seats.iter().map(|(seat, player)| SeatStatus {
        seat: u32::from(seat.0),
        player_id: player.to_string(),
    });
    MatchStatus {
        match_id: id.to_string(),
        state: hosted.state.as_str().to_owned(),
        seats: seats.collect(),
        spectators: hosted.spectators,
        admits: hosted.admits.into(),
    }
}
