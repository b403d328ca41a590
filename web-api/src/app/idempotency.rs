//! `Idempotency-Key`: the same request with the same key is done once and answered alike.
//!
//! Only successes are remembered. A refused request changed nothing, so it may be tried again
//! under the same key.

use std::time::Duration;

use gameserver_contract::ids::PlayerId;

use super::{App, Error};
use crate::config::ANSWER_REMEMBERED;
use crate::store::RememberedAnswer;

/// How long a request may hold its key: longer than any request is allowed to take.
const IN_PROGRESS_LIFETIME: Duration = Duration::from_secs(30);

/// What a key stands for.
#[derive(Debug, Clone)]
pub(crate) struct IdempotentRequest {
    /// Keys of different players never meet.
    pub(crate) player: PlayerId,
    /// As the client sent it.
    pub(crate) key: String,
    /// SHA-256 of method, path and body.
    pub(crate) request_hash: [u8; 32],
}

impl App {
    /// Returns the remembered answer, or does the work and remembers its success (under the
    /// request's own hash).
    pub(crate) async fn once(
        &self,
        request: &IdempotentRequest,
        work: impl Future<Output = Result<RememberedAnswer, Error>>,
    ) -> Result<RememberedAnswer, Error> {
        if let Some(answer) = self.recall(request).await? {
            return Ok(answer);
        }
        let lock = format!("idempotency:{}:{}", request.player, request.key);
        if !self
            .cache
            .put_if_absent(&lock, &[], IN_PROGRESS_LIFETIME)
            .await?
        {
            return Err(Error::IdempotencyInProgress);
        }
        let answer = self.recall_or_do(request, work).await;
        self.cache.remove(&lock).await?;
        answer
    }

    async fn recall_or_do(
        &self,
        request: &IdempotentRequest,
        work: impl Future<Output = Result<RememberedAnswer, Error>>,
    ) -> Result<RememberedAnswer, Error> {
        // The first request may have finished between the look and the lock.
        if let Some(answer) = self.recall(request).await? {
            return Ok(answer);
        }
        let answer = RememberedAnswer {
            request_hash: request.request_hash,
            ..work.await?
        };
        let expires_at = self.now() + ANSWER_REMEMBERED;
        self.store
            .remember_answer(request.player, &request.key, &answer, expires_at)
            .await?;
        Ok(answer)
    }

    async fn recall(&self, request: &IdempotentRequest) -> Result<Option<RememberedAnswer>, Error> {
        let now = self.now();
        match self
            .store
            .remembered_answer(request.player, &request.key, now)
            .await?
        {
            Some(answer) if answer.request_hash == request.request_hash => Ok(Some(answer)),
            Some(_) => Err(Error::IdempotencyKeyReused),
            None => Ok(None),
        }
    }
}
