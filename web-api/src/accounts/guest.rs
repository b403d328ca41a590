//! Guests: a device and a secret that the server hands out once and keeps as a hash only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gameserver_contract::entropy::{Entropy, random_bytes};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::kit::text::clear_text;

/// Longest device secret that is hashed at all, in bytes; ours have 43.
pub(crate) const SECRET_LENGTH_MAX: usize = 128;

/// Draws a device secret in its text form.
pub(crate) fn new_secret(entropy: &dyn Entropy) -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>(entropy))
}

/// What the store keeps of a secret.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// True when the secret has this hash. An unknown device (`None`) takes as long as a wrong secret.
pub(crate) fn secret_fits(secret: &str, stored: Option<&[u8; 32]>) -> bool {
    let given = hash(secret);
    let equal = given.ct_eq(stored.unwrap_or(&[0; 32]));
    bool::from(equal) && stored.is_some()
}

/// Name of a new guest until they choose one.
pub(crate) fn new_display_name(entropy: &dyn Entropy) -> String {
    format!("Guest-{}", clear_text::<5>(entropy))
}

#[cfg(test)]
mod tests {
    use gameserver_contract::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn a_secret_fits_its_own_hash_only() {
        let entropy = SeededEntropy::new(3);
        let secret = new_secret(&*entropy);
        assert!(secret_fits(&secret, Some(&hash(&secret))));
        assert!(!secret_fits(&new_secret(&*entropy), Some(&hash(&secret))));
        assert!(!secret_fits(&secret, None));
    }
}
