//! `Idempotency-Key`: the same request with the same key is done once and answered alike.
//!
//! Only successes are remembered. A refused request changed nothing, so it may be tried again
//! under the same key. The store claims a key in the transaction that does the work.

use gameserver_contract::ids::PlayerId;

use crate::config::ANSWER_REMEMBERED;
use crate::kit::Kit;
use crate::kit::db::idempotency::{IdempotencyKey, IdempotencyRecord};
use crate::kit::error::KitError;

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

impl IdempotentRequest {
    /// The record, when it is that of this very request.
    pub(crate) fn check(
        request: Option<&Self>,
        record: IdempotencyRecord,
    ) -> Result<IdempotencyRecord, KitError> {
        if request.is_some_and(|request| request.request_hash == record.request_hash) {
            Ok(record)
        } else {
            Err(KitError::IdempotencyKeyReused)
        }
    }
}

impl Kit {
    /// What the request's key stands for already.
    pub(crate) async fn recall_request(
        &self,
        request: &IdempotentRequest,
    ) -> Result<Option<IdempotencyRecord>, KitError> {
        let record = self
            .db
            .idempotency_record(request.player, &request.key, self.now())
            .await?;
        record
            .map(|record| IdempotentRequest::check(Some(request), record))
            .transpose()
    }

    /// What the store claims for the request.
    pub(crate) fn idempotency_key(&self, request: &IdempotentRequest) -> IdempotencyKey {
        let now = self.now();
        IdempotencyKey {
            player: request.player,
            key: request.key.clone(),
            request_hash: request.request_hash,
            now,
            expires_at: now + ANSWER_REMEMBERED,
        }
    }
}
