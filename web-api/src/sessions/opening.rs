//! Opening a session: the record, its key and the call that starts its match stand together, so
//! that whoever dies in between has done all of it or nothing.
//!
//! A session whose instance does not answer `StartMatch` fails and the next candidate gets a new
//! one: a late answer of the first instance can then never revive it. A start that nobody finished
//! is finished by whoever comes first, the repeated request or [`Sessions::deliver_starts`].

use std::net::IpAddr;

use futures_util::future::join_all;
use gameserver_contract::entropy::random_bytes;
use gameserver_contract::game::GameMode;
use gameserver_contract::ids::{GameId, MatchId, PlayerId, SessionId};
use gameserver_contract::problem::FieldError;
use gameserver_contract::session::{CreateSession, SessionState, SessionVisibility};
use gameserver_contract::spectator::SpectatorsPolicy;
use gameserver_control::StartMatchRequest;

use crate::config::{
    INSTANCES_TRIED_MAX, MATCH_START_ATTEMPTS_MAX, MATCH_START_DUE, MATCH_STARTS_AT_ONCE_MAX,
};
use crate::fleet::InstanceRecord;
use crate::fleet::control::ControlError;
use crate::fleet::error::Error as FleetError;
use crate::fleet::placement::{PlacementRequest, candidates};
use crate::kit::db::idempotency::{IdempotencyRecord, RecordedResponse};
use crate::kit::error::{KitError, field};
use crate::kit::idempotency::IdempotentRequest;
use crate::kit::text::{check_label, clean_name, clear_text};
use crate::sessions::error::Error;
use crate::sessions::store::openings::{AnswerSession, MatchStart, Opened, Opening, Started};
use crate::sessions::store::records::NewSession;
use crate::sessions::{Sessions, spectators};

/// Longest name of a session, in characters.
const NAME_LENGTH_MAX: usize = 64;
/// Most labels of a session.
const TAGS_MAX: usize = 8;
/// Letters of a join code.
const JOIN_CODE_LENGTH: usize = 6;

/// Who opens a session, and how they are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opener<'a> {
    pub(crate) player: PlayerId,
    pub(crate) from: IpAddr,
    pub(crate) request: Option<&'a IdempotentRequest>,
    pub(crate) answer: AnswerSession,
}

impl Sessions {
    /// Opens a session and has an instance host its match.
    pub(crate) async fn create_session(
        &self,
        opener: Opener<'_>,
        create: CreateSession,
    ) -> Result<RecordedResponse, Error> {
        if let Some(answer) = self.opened_before(&opener).await? {
            return Ok(answer);
        }
        let create = ValidatedCreateSession::of(create)?;
        let who = opener.player.0.as_bytes();
        self.kit.rates.spend(self.opening_rate, who).await?;
        let instances = self.fleet.instances().await?;
        self.check_game(&instances, &create).await?;
        let found = candidates(&instances, create.as_placement());
        let mut failure = FleetError::NoCapacity;
        for instance in found.into_iter().take(INSTANCES_TRIED_MAX) {
            match Box::pin(self.open_on(instance, &opener, &create)).await {
                // Its last place went to somebody else since its last heartbeat.
                Err(Error::Fleet(FleetError::Unavailable(cause))) if cause.is_full() => {}
                Err(Error::Fleet(FleetError::Unavailable(cause))) => {
                    failure = FleetError::Unavailable(cause);
                }
                done => return done,
            }
        }
        count_created("refused");
        Err(failure.into())
    }

    async fn opened_before(&self, opener: &Opener<'_>) -> Result<Option<RecordedResponse>, Error> {
        let Some(request) = opener.request else {
            return Ok(None);
        };
        match self.kit.recall_request(request).await? {
            Some(record) => self.answer_again(opener, record).await,
            None => Ok(None),
        }
    }

    /// The answer to a request that was made before. `None` when its session failed before anybody
    /// was told of it: the request may be done anew.
    async fn answer_again(
        &self,
        opener: &Opener<'_>,
        record: IdempotencyRecord,
    ) -> Result<Option<RecordedResponse>, Error> {
        let Some(id) = record.opening else {
            return Ok(Some(record.answer));
        };
        if let Some(start) = self.store.match_start(id, self.kit.now()).await? {
            let instance = self.instance_of(&start.session).await?;
            // Whoever made the request first may try elsewhere; until it is clear that nobody
            // does, a second session would be one too many.
            let instance = instance.ok_or(KitError::IdempotencyInProgress)?;
            self.start_match(&instance, &start)
                .await
                .map_err(|_| KitError::IdempotencyInProgress)?;
        }
        match self.finish_opening(id, opener).await? {
            Started::Answer(answer) => Ok(Some(answer)),
            Started::Failed => Ok(None),
        }
    }

    /// Distinguishes a request that can never be granted from one that cannot be granted now.
    async fn check_game(
        &self,
        instances: &[InstanceRecord],
        create: &ValidatedCreateSession,
    ) -> Result<(), Error> {
        let mut hosting = instances
            .iter()
            .filter(|instance| instance.hosts(&create.game));
        if instances
            .iter()
            .any(|it| it.mode(&create.game, create.mode.as_deref()).is_some())
        {
            Ok(())
        } else if hosting.next().is_some() {
            Err(FleetError::ModeUnknown.into())
        } else if self.fleet.knows_game(&create.game).await? {
            Err(FleetError::NoCapacity.into())
        } else {
            Err(FleetError::GameUnknown.into())
        }
    }

    async fn open_on(
        &self,
        instance: &InstanceRecord,
        opener: &Opener<'_>,
        create: &ValidatedCreateSession,
    ) -> Result<RecordedResponse, Error> {
        let mode = instance
            .mode(&create.game, create.mode.as_deref())
            .ok_or(FleetError::ModeUnknown)?;
        let players_max = create.players_max(mode)?;
        let session = self.new_session(instance, opener, create, mode, players_max);
        let (id, seed) = (session.id, self.kit.entropy.next_u64());
        let key = opener
            .request
            .map(|request| self.kit.idempotency_key(request));
        let opening = Opening {
            session,
            seed,
            start_due_at: self.kit.now() + MATCH_START_DUE,
            key: key.map(|key| (key, opener.answer)),
            limits: self.limits,
        };
        let start = match self.store.open_session(opening).await? {
            Opened::New(session) => MatchStart {
                session: *session,
                seed,
                attempts: 0,
            },
            Opened::PlayerLimit(max) => return Err(Error::PlayerLimit(max)),
            Opened::AddressLimit(max) => return Err(Error::AddressLimit(max)),
            Opened::Known(record) => {
                let record = IdempotentRequest::check(opener.request, record)?;
                let answer = self.answer_again(opener, record).await?;
                return Ok(answer.ok_or(KitError::IdempotencyInProgress)?);
            }
        };
        if let Err(cause) = self.start_match(instance, &start).await
            && self.store.give_up_start(id, self.kit.now()).await?
        {
            self.announce(&[id]).await;
            return Err(FleetError::Unavailable(cause).into());
        }
        match self.finish_opening(id, opener).await? {
            Started::Answer(answer) => Ok(answer),
            Started::Failed => Err(Error::InstanceLost),
        }
    }

    async fn finish_opening(&self, id: SessionId, opener: &Opener<'_>) -> Result<Started, Error> {
        let key = opener
            .request
            .map(|request| self.kit.idempotency_key(request));
        let started = self
            .store
            .finish_opening(id, opener.answer, key, self.kit.now())
            .await?;
        self.announce(&[id]).await;
        Ok(started)
    }

    fn new_session(
        &self,
        instance: &InstanceRecord,
        opener: &Opener<'_>,
        create: &ValidatedCreateSession,
        mode: &GameMode,
        players_max: u16,
    ) -> NewSession {
        let private = create.visibility == SessionVisibility::Private;
        NewSession {
            id: SessionId::generate(&*self.kit.clock, &*self.kit.entropy),
            game: create.game.clone(),
            mode: mode.id.clone(),
            name: create.name_in(instance),
            region: instance.region.clone(),
            visibility: create.visibility,
            join_code: private.then(|| clear_text::<JOIN_CODE_LENGTH>(&*self.kit.entropy)),
            tags: create.tags.clone(),
            players_max,
            spectators: create.spectators,
            host: opener.player,
            opened_from: Some(self.kit.rates.network_hash(opener.from)),
            match_id: MatchId::generate(&*self.kit.clock, &*self.kit.entropy),
            instance: instance.id,
            epoch: instance.epoch,
            result_key: random_bytes(&*self.kit.entropy),
            now: self.kit.now(),
        }
    }

    async fn start_match(
        &self,
        instance: &InstanceRecord,
        start: &MatchStart,
    ) -> Result<(), ControlError> {
        let session = &start.session.session;
        let request = StartMatchRequest {
            match_id: session.match_id.to_string(),
            session_id: session.id.to_string(),
            game: session.game.to_string(),
            mode: session.mode.clone(),
            players_max: session.players_max.into(),
            seed: start.seed,
            result_key: start.session.result_key.to_vec(),
            spectators_delay_s: spectators::delay_to_keep(session.spectators_policy).into(),
        };
        let started = self.fleet.control.start_match(instance, request).await;
        match &started {
            Ok(_) => count_created("created"),
            Err(cause) => tracing::warn!(
                instance.id = %instance.id, session.id = %session.id,
                error = cause as &dyn std::error::Error,
                "an instance did not start a match"
            ),
        }
        started.map(drop)
    }

    /// Finishes an opening that nobody else did. A session fails when its instance cannot host it,
    /// or did not say so often enough; one whose instance has gone silent is left to the search for
    /// lost instances.
    async fn deliver_start(&self, start: MatchStart) -> Result<(), Error> {
        let id = start.session.session.id;
        let Some(instance) = self.instance_of(&start.session).await? else {
            return Ok(());
        };
        match self.start_match(&instance, &start).await {
            Ok(()) => {
                // Somebody may have done so, or ended the session, in the meantime.
                self.store
                    .transition_from(
                        id,
                        SessionState::Created,
                        SessionState::Filling,
                        self.kit.now(),
                    )
                    .await?;
            }
            Err(cause) if cause.is_final() || start.attempts >= MATCH_START_ATTEMPTS_MAX => {
                self.store.give_up_start(id, self.kit.now()).await?;
            }
            Err(_) => return Ok(()),
        }
        self.announce(&[id]).await;
        Ok(())
    }

    /// Starts the matches whose openings were left unfinished. Returns how many there were.
    pub(crate) async fn deliver_starts(&self) -> Result<usize, Error> {
        let now = self.kit.now();
        let starts = self
            .store
            .take_due_starts(now, now + MATCH_START_DUE, MATCH_STARTS_AT_ONCE_MAX)
            .await?;
        let count = starts.len();
        let outcomes = join_all(starts.into_iter().map(|start| self.deliver_start(start))).await;
        outcomes.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(count)
    }
}

fn count_created(outcome: &'static str) {
    metrics::counter!("gs_sessions_created_total", "outcome" => outcome).increment(1);
}

/// A `CreateSession` whose texts are clean.
struct ValidatedCreateSession {
    game: GameId,
    mode: Option<String>,
    name: Option<String>,
    region: Option<String>,
    players_max: Option<u16>,
    visibility: SessionVisibility,
    tags: Vec<String>,
    spectators: SpectatorsPolicy,
}

impl ValidatedCreateSession {
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
            return Err(KitError::Invalid(complaints).into());
        }
        Ok(Self {
            game: GameId::new(create.game).map_err(|_| FleetError::GameUnknown)?,
            mode: create.mode,
            name,
            region: create.region,
            players_max: create.players_max,
            visibility: create.visibility,
            tags: create.tags,
            spectators: create.spectators,
        })
    }

    fn as_placement(&self) -> PlacementRequest<'_> {
        PlacementRequest {
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
        Err(KitError::Invalid(vec![field("/players_max", detail)]).into())
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
