//! Refresh tokens: opaque to everybody, stored as a hash, spent once.
//!
//! A token is the HMAC of a random seed. The store keeps a successor's seed beside its spent
//! predecessor, so that a client which lost the answer can be given the very same successor
//! again, and yet nobody who reads the database can make a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};

use crate::config::SecretKey;

/// Separates refresh tokens from anything else that is made with the same key.
const CONTEXT: &[u8] = b"gameserver refresh token v1\0";

/// Makes refresh tokens.
#[derive(Debug, Clone)]
pub(crate) struct RefreshTokens {
    key: SecretKey,
}

impl RefreshTokens {
    /// Makes tokens with this key.
    pub(crate) fn new(key: SecretKey) -> Self {
        Self { key }
    }

    /// The one token of this seed, in its text form.
    pub(crate) fn token(&self, seed: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.bytes());
        let mut mac = mac.expect("HMAC takes keys of any length");
        mac.update(CONTEXT);
        mac.update(seed);
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

/// What the store keeps of a token; `None` for a text that is no token of ours.
pub(crate) fn hash(token: &str) -> Option<[u8; 32]> {
    let is_token = URL_SAFE_NO_PAD
        .decode(token)
        .is_ok_and(|bytes| bytes.len() == 32);
    is_token.then(|| Sha256::digest(token).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_token_under_the_same_key_only() {
        let ours = RefreshTokens::new(SecretKey::from_bytes([1; 32]));
        let theirs = RefreshTokens::new(SecretKey::from_bytes([2; 32]));
        assert_eq!(ours.token(b"seed"), ours.token(b"seed"));
        assert_ne!(ours.token(b"seed"), ours.token(b"other"));
        assert_ne!(ours.token(b"seed"), theirs.token(b"seed"));
    }

    #[test]
    fn a_text_of_another_shape_has_no_hash() {
        let token = RefreshTokens::new(SecretKey::from_bytes([1; 32])).token(b"seed");
        assert!(hash(&token).is_some());
        assert_eq!(hash("c2hvcnQ"), None);
        assert_eq!(hash("not base64!"), None);
    }
}
