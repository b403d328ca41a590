//! What instances report, as far as it concerns sessions: runs that begin, and how matches stand.

use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_control::{
    HeartbeatRequest, HeartbeatResponse, KickPlayerRequest, RegisterRequest, RegisterResponse,
};

use crate::config::INSTANCE_LEASE;
use crate::fleet::InstanceRecord;
use crate::fleet::report::{self, RegistryError};
use crate::sessions::Sessions;

/// Players whose removal one answer asks for; the next one asks for the rest.
const KICKS_MAX: usize = 256;

impl Sessions {
    /// Enters a run of an instance, also while the cache is away. Sessions of its other runs fail:
    /// their matches are gone. Epochs have no order, so the run that registers last is the one that
    /// counts.
    pub(crate) async fn register(
        &self,
        request: RegisterRequest,
    ) -> Result<RegisterResponse, RegistryError> {
        let instance = report::read_instance(request)?;
        let _turn = self.fleet.turn(instance.id).await;
        self.fleet.enter(&instance).await?;
        let epoch = Some(instance.epoch);
        let failed = self
            .store
            .fail_sessions_of(instance.id, epoch, self.kit.now())
            .await?;
        self.announce(&failed).await;
        tracing::info!(
            instance.id = %instance.id, instance.region = %instance.region,
            instance.build = %instance.build, sessions.failed = failed.len(),
            "an instance registered"
        );
        Ok(RegisterResponse {
            ticket_public_keys: vec![self.ticket_key().to_vec()],
            lease_ms: u32::try_from(INSTANCE_LEASE.as_millis()).unwrap_or(u32::MAX),
        })
    }

    /// Renews a lease and makes the lobby equal to what the instance hosts. Reports of one instance
    /// are applied one after the other; those that a newer one overtakes while they wait are not.
    pub(crate) async fn heartbeat(
        &self,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatResponse, RegistryError> {
        let id = report::parse(&request.instance_id, "instance_id")?;
        let mut reports = report::read_matches(&request.matches)?;
        if request.draining {
            reports.iter_mut().for_each(report::drain);
        }
        let known = self.fleet.known_instance(id).await;
        let Some(instance) = known.filter(|known| known.epoch.0 == request.epoch) else {
            return Ok(HeartbeatResponse::default());
        };
        if request.sequence <= instance.load.sequence {
            return Ok(nothing_to_do());
        }
        let epoch = instance.epoch;
        let instance = InstanceRecord {
            load: report::load(&request, &reports),
            refusing: report::refusing(&request.matches, &reports),
            ..instance
        };
        // A lease never waits for the database, which a crowd that joins keeps busy for seconds.
        self.fleet.renew(&instance).await?;
        let _turn = self.fleet.turn(id).await;
        if self.fleet.is_overtaken(&instance) {
            return Ok(nothing_to_do());
        }
        let applied = self
            .store
            .apply_reports(id, epoch, &reports, self.kit.now())
            .await?;
        self.announce(&applied.changed).await;
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
}

/// The response to an instance that is known and asked for nothing.
fn nothing_to_do() -> HeartbeatResponse {
    HeartbeatResponse {
        known: true,
        ..HeartbeatResponse::default()
    }
}
