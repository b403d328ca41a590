//! The join ticket: web-api signs it, an instance verifies it offline. It is the only proof of
//! identity that an instance accepts.
//!
//! Text form: base64url without padding of `claims || signature`. The claims are a MessagePack
//! array in the field order of [`JoinTicket`], the signature is Ed25519 (RFC 8032) over
//! [`SIGNING_CONTEXT`] and the claims. Single use is the instance's duty: it remembers
//! [`JoinTicket::id`] until the ticket has expired.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::entropy::{Entropy, random_bytes};
use crate::ids::{InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId};
use crate::session::Role;
use crate::spectator::SpectatorClaim;

/// Version of the claims' layout.
pub const TICKET_VERSION: u8 = 2;
/// Put before the signed bytes, so that a signature made for something else is no ticket.
pub const SIGNING_CONTEXT: &[u8] = b"gameserver join ticket v1\0";
/// Longest life of a ticket: 30 s. One that claims more is refused even when well signed.
pub const LIFETIME_MS_MAX: i64 = 30_000;
/// How far the clocks of web-api and an instance may differ.
pub const CLOCK_SKEW_MS: i64 = 5_000;
/// Longest text form in bytes; anything longer is refused unread.
pub const TEXT_LENGTH_MAX: usize = 512;
const SIGNATURE_LENGTH: usize = 64;

/// The right to connect to one seat of one match, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTicket {
    /// Layout version, [`TICKET_VERSION`].
    pub version: u8,
    /// Random, unique: what single use is counted by.
    pub id: [u8; 16],
    /// Who may connect.
    pub player: PlayerId,
    /// Name that other players see.
    pub display_name: String,
    /// The session joined.
    pub session: SessionId,
    /// The match to connect to.
    pub match_id: MatchId,
    /// The reserved seat; none for spectators.
    pub seat: Option<Seat>,
    /// Play or watch.
    pub role: Role,
    /// What a spectator sees; none for players.
    pub watch: Option<SpectatorClaim>,
    /// The only instance that accepts it.
    pub instance: InstanceId,
    /// The only run of that instance that accepts it.
    pub epoch: InstanceEpoch,
    /// When it was signed, milliseconds since 1970.
    pub issued_at_ms: i64,
    /// When it ends, milliseconds since 1970.
    pub expires_at_ms: i64,
}

/// Why a ticket is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not base64url, too long, too short, or not the claims' layout.
    #[error("the ticket cannot be read")]
    Malformed,
    /// Signed by nobody we know, or changed after it was signed.
    #[error("the ticket's signature is wrong")]
    BadSignature,
    /// Its time is over.
    #[error("the ticket has expired")]
    Expired,
    /// Signed in the future or for longer than allowed.
    #[error("the ticket's times are not acceptable")]
    BadTimes,
    /// For another instance, or for an earlier run of this one.
    #[error("the ticket is for another instance")]
    WrongInstance,
}

impl TicketError {
    /// The label that `gs_ticket_rejected_total` counts it under.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::BadTimes => "bad_times",
            Self::WrongInstance => "wrong_instance",
        }
    }
}

/// Signs tickets. Lives in web-api only.
#[derive(Clone)]
pub struct TicketSigner {
    key: SigningKey,
}

impl std::fmt::Debug for TicketSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketSigner").finish_non_exhaustive()
    }
}

impl TicketSigner {
    /// Signs with the Ed25519 key that this seed stands for.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
        }
    }

    /// Signs with a fresh key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::from_seed(&random_bytes(entropy))
    }

    /// The public half, which instances are given.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Returns the ticket's text form.
    ///
    /// # Panics
    ///
    /// Never: the claims have no value that MessagePack cannot express.
    #[must_use]
    pub fn sign(&self, ticket: &JoinTicket) -> String {
        let mut bytes = rmp_serde::to_vec(ticket).expect("claims are plain data");
        let signature = self.key.sign(&signed_bytes(&bytes));
        bytes.extend_from_slice(&signature.to_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Verifies tickets offline. Lives in instances.
#[derive(Debug, Clone)]
pub struct TicketVerifier {
    keys: Vec<VerifyingKey>,
    instance: InstanceId,
    epoch: InstanceEpoch,
}

/// A public key that is no point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key")]
pub struct InvalidPublicKey;

impl TicketVerifier {
    /// Accepts tickets of any of these keys (several while web-api rotates its key) for this run
    /// of this instance.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicKey`] when a key is no Ed25519 public key.
    pub fn new(
        public_keys: &[[u8; 32]],
        instance: InstanceId,
        epoch: InstanceEpoch,
    ) -> Result<Self, InvalidPublicKey> {
        let keys = public_keys
            .iter()
            .map(VerifyingKey::from_bytes)
            .collect::<Result<_, _>>();
        Ok(Self {
            keys: keys.map_err(|_| InvalidPublicKey)?,
            instance,
            epoch,
        })
    }

    /// Reads a ticket, cheapest check first.
    ///
    /// # Errors
    ///
    /// Why it is refused. Nothing of the ticket may be used then.
    pub fn verify(&self, text: &str, now_ms: i64) -> Result<JoinTicket, TicketError> {
        if text.len() > TEXT_LENGTH_MAX {
            return Err(TicketError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| TicketError::Malformed)?;
        let claims_length = bytes
            .len()
            .checked_sub(SIGNATURE_LENGTH)
            .ok_or(TicketError::Malformed)?;
        let (claims, signature) = bytes.split_at(claims_length);
        let signature = Signature::from_slice(signature).map_err(|_| TicketError::Malformed)?;
        let signed = signed_bytes(claims);
        if !self
            .keys
            .iter()
            .any(|key| key.verify_strict(&signed, &signature).is_ok())
        {
            return Err(TicketError::BadSignature);
        }
        let ticket: JoinTicket =
            rmp_serde::from_slice(claims).map_err(|_| TicketError::Malformed)?;
        self.check_claims(&ticket, now_ms)?;
        Ok(ticket)
    }

    fn check_claims(&self, ticket: &JoinTicket, now_ms: i64) -> Result<(), TicketError> {
        if ticket.version != TICKET_VERSION {
            return Err(TicketError::Malformed);
        }
        if ticket.instance != self.instance || ticket.epoch != self.epoch {
            return Err(TicketError::WrongInstance);
        }
        let lifetime_ms = ticket.expires_at_ms.saturating_sub(ticket.issued_at_ms);
        let from_the_future = ticket.issued_at_ms > now_ms.saturating_add(CLOCK_SKEW_MS);
        if from_the_future || !(0..=LIFETIME_MS_MAX).contains(&lifetime_ms) {
            return Err(TicketError::BadTimes);
        }
        if ticket.expires_at_ms <= now_ms {
            return Err(TicketError::Expired);
        }
        Ok(())
    }
}

fn signed_bytes(claims: &[u8]) -> Vec<u8> {
    [SIGNING_CONTEXT, claims].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::spectator::SpectatorView;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn ticket() -> JoinTicket {
        JoinTicket {
            version: TICKET_VERSION,
            id: [7; 16],
            player: PlayerId(Uuid::from_u128(1)),
            display_name: "ann".to_owned(),
            session: SessionId(Uuid::from_u128(2)),
            match_id: MatchId(Uuid::from_u128(3)),
            seat: Some(Seat(4)),
            role: Role::Player,
            watch: None,
            instance: InstanceId(Uuid::from_u128(5)),
            epoch: InstanceEpoch(6),
            issued_at_ms: NOW_MS,
            expires_at_ms: NOW_MS + 10_000,
        }
    }

    fn signer() -> TicketSigner {
        TicketSigner::from_seed(&[42; 32])
    }

    fn verifier() -> TicketVerifier {
        let ticket = ticket();
        TicketVerifier::new(&[signer().public_key()], ticket.instance, ticket.epoch).unwrap()
    }

    fn verify(ticket: &JoinTicket) -> Result<JoinTicket, TicketError> {
        verifier().verify(&signer().sign(ticket), NOW_MS)
    }

    #[test]
    fn a_signed_ticket_comes_back_as_it_was() {
        assert_eq!(verify(&ticket()), Ok(ticket()));
    }

    #[test]
    fn the_layout_is_the_one_that_the_documentation_shows() {
        let watching = JoinTicket {
            seat: None,
            role: Role::Spectator,
            watch: Some(SpectatorClaim {
                view: SpectatorView::Team,
                team: Some(1),
                delay_s: 30,
            }),
            ..ticket()
        };
        assert_eq!(verify(&watching), Ok(watching.clone()));
        assert_eq!(
            signer().sign(&ticket()),
            concat!(
                "nQLcABAHBwcHBwcHBwcHBwcHBwcHxBAAAAAAAAAAAAAAAAAAAAABo2FubsQQAAAAAAAAAAAAAAAAAAAA",
                "AsQQAAAAAAAAAAAAAAAAAAAAAwSmcGxheWVywMQQAAAAAAAAAAAAAAAAAAAABQbPAAABi8_laADPAAAB",
                "i8_ljxAGwjISx7YUpsXrevAyNl2guc0NR9HYTU3xal7NGERlbn4K6MXU9KazgIiA_26QKyqZwInBiw2o",
                "7BX9d9MCmA8M",
            )
        );
        assert_eq!(
            signer().sign(&watching),
            concat!(
                "nQLcABAHBwcHBwcHBwcHBwcHBwcHxBAAAAAAAAAAAAAAAAAAAAABo2FubsQQAAAAAAAAAAAAAAAAAAAA",
                "AsQQAAAAAAAAAAAAAAAAAAAAA8Cpc3BlY3RhdG9yk6R0ZWFtAR7EEAAAAAAAAAAAAAAAAAAAAAUGzwAA",
                "AYvP5WgAzwAAAYvP5Y8QwA4JiVgekU48b5LlRSklDGEzSPQXiySjsLiApb42agP98hsSn4kp0laQlU6H",
                "6PRqN2H7m2QYnWQQwj2xSUUSBQ",
            )
        );
    }

    #[test]
    fn a_ticket_of_another_layout_version_is_refused() {
        let old = JoinTicket {
            version: 1,
            ..ticket()
        };
        assert_eq!(verify(&old), Err(TicketError::Malformed));
    }

    #[test]
    fn a_ticket_ends_at_its_expiry() {
        let text = signer().sign(&ticket());
        assert!(verifier().verify(&text, NOW_MS + 9_999).is_ok());
        assert_eq!(
            verifier().verify(&text, NOW_MS + 10_000),
            Err(TicketError::Expired)
        );
    }

    #[test]
    fn a_ticket_for_another_instance_or_run_is_refused() {
        let elsewhere = JoinTicket {
            instance: InstanceId(Uuid::from_u128(9)),
            ..ticket()
        };
        let earlier = JoinTicket {
            epoch: InstanceEpoch(5),
            ..ticket()
        };
        assert_eq!(verify(&elsewhere), Err(TicketError::WrongInstance));
        assert_eq!(verify(&earlier), Err(TicketError::WrongInstance));
    }

    #[test]
    fn a_ticket_from_the_future_or_for_too_long_is_refused() {
        let future = JoinTicket {
            issued_at_ms: NOW_MS + CLOCK_SKEW_MS + 1,
            ..ticket()
        };
        let long = JoinTicket {
            expires_at_ms: NOW_MS + LIFETIME_MS_MAX + 1,
            ..ticket()
        };
        assert_eq!(verify(&future), Err(TicketError::BadTimes));
        assert_eq!(verify(&long), Err(TicketError::BadTimes));
    }

    #[test]
    fn a_ticket_of_an_unknown_key_is_refused() {
        let stranger = TicketSigner::from_seed(&[43; 32]).sign(&ticket());
        assert_eq!(
            verifier().verify(&stranger, NOW_MS),
            Err(TicketError::BadSignature)
        );
    }

    #[test]
    fn an_oversized_text_is_refused_unread() {
        let text = "A".repeat(TEXT_LENGTH_MAX + 1);
        assert_eq!(
            verifier().verify(&text, NOW_MS),
            Err(TicketError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn no_changed_byte_goes_unnoticed(index in 0usize..100, flip in 1u8..=255) {
            let text = signer().sign(&ticket());
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let index = index % bytes.len();
            bytes[index] ^= flip;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert!(verifier().verify(&changed, NOW_MS).is_err());
        }

        #[test]
        fn no_text_makes_the_verifier_panic(text in ".{0,600}") {
            prop_assert!(verifier().verify(&text, NOW_MS).is_err());
        }
    }
}
