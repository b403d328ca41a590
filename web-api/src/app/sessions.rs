//! The lobby: sessions are opened, found, left and ended.
//!
//! A session whose instance does not answer `StartMatch` fails and the next candidate gets a new
//! one: a late answer of the first instance can then never revive it.

use std::fmt::Write as _;

use gameserver_contract::entropy::random_bytes;
use gameserver_contract::game::GameMode;
use gameserver_contract::ids::{GameId, MatchId, PlayerId, SessionId};
use gameserver_contract::problem::FieldError;
use gameserver_contract::session::{CreateSession, Page, Session, SessionState, Visibility};
use gameserver_contract::watch::SpectatorsPolicy;
use gameserver_control::{KickPlayerRequest, StartMatchRequest, StopMatchRequest};

use super::cursor::Paging;
use super::text::{check_label, clean_name};
use super::{App, Error, field, spectators};
use crate::config::INSTANCES_TRIED_MAX;
use crate::fleet::InstanceRecord;
use crate::fleet::choice::{Wish, candidates};
use crate::identity::guest::clear_text;
use crate::store::{After, NewSession, SessionFilter, SessionRow};

/// Longest name of a session, in characters.
const NAME_LENGTH_MAX: usize = 64;
/// Most labels of a session.
const TAGS_MAX: usize = 8;
/// Letters of a join code.
const JOIN_CODE_LENGTH: usize = 6;

impl App {
    /// Opens a session and has an instance host its match.
    pub(crate) async fn create_session(
        &self,
        host: PlayerId,
        create: CreateSession,
    ) -> Result<SessionRow, Error> {
        let wishes = CleanWishes::of(create)?;
        self.count_session(host).await?;
        let instances = self.fleet.instances().await?;
        self.check_game(&instances, &wishes).await?;
        let found = candidates(&instances, wishes.as_wish());
        let mut failure = Error::NoCapacity;
        for instance in found.into_iter().take(INSTANCES_TRIED_MAX) {
            match self.open_on(instance, host, &wishes).await {
                // Its last place went to somebody else since its last heartbeat.
                Err(Error::InstanceUnavailable(cause)) if cause.is_full() => {}
                Err(Error::InstanceUnavailable(cause)) => {
                    failure = Error::InstanceUnavailable(cause);
                }
                done => return done,
            }
        }
        count_created("refused");
        Err(failure)
    }

    /// Tells a wish that can never be fulfilled from one that cannot be fulfilled now.
    async fn check_game(
        &self,
        instances: &[InstanceRecord],
        wishes: &CleanWishes,
    ) -> Result<(), Error> {
        let mut hosting = instances
            .iter()
            .filter(|instance| instance.hosts(&wishes.game));
        if instances
            .iter()
            .any(|it| it.mode(&wishes.game, wishes.mode.as_deref()).is_some())
        {
            Ok(())
        } else if hosting.next().is_some() {
            Err(Error::ModeUnknown)
        } else if self.fleet.knows_game(&wishes.game).await? {
            Err(Error::NoCapacity)
        } else {
            Err(Error::GameUnknown)
        }
    }

    async fn open_on(
        &self,
        instance: &InstanceRecord,
        host: PlayerId,
        wishes: &CleanWishes,
    ) -> Result<SessionRow, Error> {
        let mode = instance
            .mode(&wishes.game, wishes.mode.as_deref())
            .ok_or(Error::ModeUnknown)?;
        let players_max = wishes.players_max(mode)?;
        let new = self.new_session(instance, host, wishes, mode, players_max);
        let row = self.store.insert_session(new).await?;
        let request = self.start_request(&row);
        if let Err(cause) = self.instances.start_match(instance, request).await {
            tracing::warn!(
                instance.id = %instance.id, session.id = %row.session.id,
                error = &cause as &dyn std::error::Error,
                "an instance did not start a match"
            );
            self.store
                .transition(row.session.id, SessionState::Failed, self.now())
                .await?;
            self.tell_changed(&[row.session.id]).await;
            return Err(Error::InstanceUnavailable(cause));
        }
        count_created("created");
        let row = self.now_filling(row).await?;
        self.tell_changed(&[row.session.id]).await;
        Ok(row)
    }

    fn new_session(
        &self,
        instance: &InstanceRecord,
        host: PlayerId,
        wishes: &CleanWishes,
        mode: &GameMode,
        players_max: u16,
    ) -> NewSession {
        let private = wishes.visibility == Visibility::Private;
        NewSession {
            id: SessionId::generate(&*self.clock, &*self.entropy),
            game: wishes.game.clone(),
            mode: mode.id.clone(),
            name: wishes.name_in(instance),
            region: instance.region.clone(),
            visibility: wishes.visibility,
            join_code: private.then(|| clear_text::<JOIN_CODE_LENGTH>(&*self.entropy)),
            tags: wishes.tags.clone(),
            players_max,
            spectators: wishes.spectators,
            host,
            match_id: MatchId::generate(&*self.clock, &*self.entropy),
            instance: instance.id,
            epoch: instance.epoch,
            result_key: random_bytes(&*self.entropy),
            now: self.now(),
        }
    }

    fn start_request(&self, row: &SessionRow) -> StartMatchRequest {
        StartMatchRequest {
            match_id: row.session.match_id.to_string(),
            session_id: row.session.id.to_string(),
            game: row.session.game.to_string(),
            mode: row.session.mode.clone(),
            players_max: row.session.players_max.into(),
            seed: self.entropy.next_u64(),
            result_key: row.result_key.to_vec(),
            spectators_delay_s: spectators::delay_to_keep(row.session.spectators_policy).into(),
        }
    }

    /// The instance hosts the match. Its first heartbeat may have said so before us.
    async fn now_filling(&self, row: SessionRow) -> Result<SessionRow, Error> {
        let id = row.session.id;
        match self
            .store
            .transition(id, SessionState::Filling, self.now())
            .await?
        {
            Some(Ok(row)) => Ok(row),
            Some(Err(state)) if state.is_final() => Err(Error::InstanceLost),
            Some(Err(_)) => self.session(id).await,
            None => Err(Error::SessionNotFound),
        }
    }

    /// Public sessions, newest first.
    pub(crate) async fn list_sessions(
        &self,
        filter: &SessionFilter,
        paging: &Paging,
    ) -> Result<Page<SessionRow>, Error> {
        let list = list_name(filter);
        let after = self.cursors.read(&list, paging)?;
        let limit = paging.limit + 1;
        let rows = self
            .store
            .list_sessions(filter, after, limit, self.now())
            .await?;
        let position = |row: &SessionRow| After {
            at: row.session.created_at,
            id: row.session.id.0,
        };
        Ok(self.cursors.page(&list, paging, rows, position))
    }

    /// One session.
    pub(crate) async fn session(&self, id: SessionId) -> Result<SessionRow, Error> {
        self.store
            .session(id, self.now())
            .await?
            .ok_or(Error::SessionNotFound)
    }

    /// Gives a player's seat back and closes their connection. Leaving twice is leaving once.
    pub(crate) async fn leave_session(&self, id: SessionId, player: PlayerId) -> Result<(), Error> {
        let row = self.session_for(id, player).await?;
        // The connection goes first: a free seat that somebody still sits on could be given away.
        if !row.session.state.is_final() {
            self.kick(&row, player, "left").await?;
        }
        if self.store.release_seat(id, player, self.now()).await? {
            self.tell_changed(&[id]).await;
        }
        Ok(())
    }

    async fn kick(&self, row: &SessionRow, player: PlayerId, reason: &str) -> Result<(), Error> {
        let Some(instance) = self.instance_of(row).await? else {
            return Ok(());
        };
        let request = KickPlayerRequest {
            match_id: row.session.match_id.to_string(),
            player_id: player.to_string(),
            reason: reason.to_owned(),
        };
        if let Err(cause) = self.instances.kick_player(&instance, request).await {
            // The seat returns with the next heartbeat after the instance lets the player go.
            tracing::warn!(
                instance.id = %instance.id, session.id = %row.session.id,
                error = &cause as &dyn std::error::Error,
                "an instance did not close a connection"
            );
        }
        Ok(())
    }

    /// Ends a session for everybody; only its host may. The session is `ended` once the instance
    /// has handed in the (aborted) result.
    pub(crate) async fn end_session(
        &self,
        id: SessionId,
        player: PlayerId,
    ) -> Result<SessionRow, Error> {
        let row = self.session_for(id, player).await?;
        if row.session.host_player_id != player {
            return Err(Error::NotHost);
        }
        let ending = match self
            .store
            .transition(id, SessionState::Ending, self.now())
            .await?
        {
            Some(Ok(row)) => row,
            Some(Err(state)) => return Err(Error::IllegalTransition(state)),
            None => return Err(Error::SessionNotFound),
        };
        self.tell_changed(&[id]).await;
        match self.stop_match(&ending).await? {
            Stopped::ResultFollows => Ok(ending),
            Stopped::NotHosted => self.settle(ending, SessionState::Ended).await,
            Stopped::InstanceLost => self.settle(ending, SessionState::Failed).await,
        }
    }

    async fn stop_match(&self, row: &SessionRow) -> Result<Stopped, Error> {
        let Some(instance) = self.instance_of(row).await? else {
            return Ok(Stopped::InstanceLost);
        };
        // Should the call be lost, the answer to the next heartbeat says it again.
        self.fleet
            .wish_stop(instance.id, row.session.match_id)
            .await?;
        let request = StopMatchRequest {
            match_id: row.session.match_id.to_string(),
            reason: "ended by the host".to_owned(),
        };
        match self.instances.stop_match(&instance, request).await {
            Ok(answer) if answer.stopped => Ok(Stopped::ResultFollows),
            Ok(_) => Ok(Stopped::NotHosted),
            Err(cause) => {
                tracing::warn!(
                    instance.id = %instance.id, session.id = %row.session.id,
                    error = &cause as &dyn std::error::Error,
                    "an instance did not stop a match; its next heartbeat will ask again"
                );
                Ok(Stopped::ResultFollows)
            }
        }
    }

    /// Moves a session on; when somebody else did so before, shows what it has become.
    async fn settle(&self, row: SessionRow, state: SessionState) -> Result<SessionRow, Error> {
        match self
            .store
            .transition(row.session.id, state, self.now())
            .await?
        {
            Some(Ok(row)) => {
                self.tell_changed(&[row.session.id]).await;
                Ok(row)
            }
            _ => self.session(row.session.id).await,
        }
    }

    /// The run of the instance that hosts a session, while its lease lives.
    pub(super) async fn instance_of(
        &self,
        row: &SessionRow,
    ) -> Result<Option<InstanceRecord>, Error> {
        let instance = self.fleet.instance(row.instance).await?;
        Ok(instance.filter(|instance| instance.epoch == row.epoch))
    }
}

/// What asking an instance to stop a match came to.
enum Stopped {
    ResultFollows,
    NotHosted,
    InstanceLost,
}

/// A session as this player may see it: the join code is the host's.
pub(crate) fn visible_to(player: PlayerId, row: SessionRow) -> Session {
    let mut session = row.session;
    if session.host_player_id != player {
        session.join_code = None;
    }
    session
}

/// The list's name for its cursors. Debug quotes texts, so that no filter looks like another.
fn list_name(filter: &SessionFilter) -> String {
    let mut name = "sessions".to_owned();
    let _ = write!(
        name,
        "{:?}{:?}{:?}{:?}{:?}{:?}",
        filter.game, filter.mode, filter.region, filter.state, filter.free_slots_min, filter.tag
    );
    name
}

fn count_created(outcome: &'static str) {
    metrics::counter!("gs_sessions_created_total", "outcome" => outcome).increment(1);
}

/// A `CreateSession` whose texts are clean.
struct CleanWishes {
    game: GameId,
    mode: Option<String>,
    name: Option<String>,
    region: Option<String>,
    players_max: Option<u16>,
    visibility: Visibility,
    tags: Vec<String>,
    spectators: SpectatorsPolicy,
}

impl CleanWishes {
    fn of(create: CreateSession) -> Result<Self, Error> {
        let mut complaints = Vec::new();
        let name = create
            .name
            .map(|name| clean_name(&name, NAME_LENGTH_MAX, "/name"));
        let name = name.transpose().unwrap_or_else(|complaint| {
            complaints.push(complaint);
            None
        });
        complaints.extend(
            create
                .region
                .iter()
                .filter_map(|it| check_label(it, "/region").err()),
        );
        complaints.extend(tag_complaints(&create.tags));
        complaints.extend(spectators::policy_complaint(create.spectators));
        if !complaints.is_empty() {
            return Err(Error::Invalid(complaints));
        }
        Ok(Self {
            game: GameId::new(create.game).map_err(|_| Error::GameUnknown)?,
            mode: create.mode,
            name,
            region: create.region,
            players_max: create.players_max,
            visibility: create.visibility,
            tags: create.tags,
            spectators: create.spectators,
        })
    }

    fn as_wish(&self) -> Wish<'_> {
        Wish {
            game: &self.game,
            mode: self.mode.as_deref(),
            region: self.region.as_deref(),
        }
    }

    fn players_max(&self, mode: &GameMode) -> Result<u16, Error> {
        let wanted = self.players_max.unwrap_or(mode.players_default);
        if (mode.players_min..=mode.players_max).contains(&wanted) {
            return Ok(wanted);
        }
        let detail = format!("be {} to {}", mode.players_min, mode.players_max);
        Err(Error::Invalid(vec![field("/players_max", detail)]))
    }

    fn name_in(&self, instance: &InstanceRecord) -> String {
        let game = instance.games.iter().find(|game| game.id == self.game);
        let default = || game.map_or_else(|| self.game.to_string(), |game| game.name.clone());
        self.name.clone().unwrap_or_else(default)
    }
}

fn tag_complaints(tags: &[String]) -> Vec<FieldError> {
    if tags.len() > TAGS_MAX {
        return vec![field("/tags", format!("have at most {TAGS_MAX} entries"))];
    }
    let complaint = |(index, tag): (usize, &String)| check_label(tag, &format!("/tags/{index}"));
    tags.iter()
        .enumerate()
        .filter_map(|entry| complaint(entry).err())
        .collect()
}
