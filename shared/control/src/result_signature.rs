//! Signs the result of a match with a key that only its instance and web-api have, so that a
//! stolen instance can forge the results of its own matches only.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs one match's result; made by web-api, given to the instance by `StartMatch`.
pub type ResultKey = [u8; 32];

/// HMAC-SHA-256 (RFC 2104) of the encoded result.
#[must_use]
pub fn sign(key: &ResultKey, result: &[u8]) -> [u8; 32] {
    mac(key, result).finalize().into_bytes().into()
}

/// True when the signature was made with this key for these bytes. Takes the same time for every
/// wrong signature.
#[must_use]
pub fn verify(key: &ResultKey, result: &[u8], signature: &[u8]) -> bool {
    mac(key, result).verify_slice(signature).is_ok()
}

fn mac(key: &ResultKey, result: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(result);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_and_its_bytes_only() {
        let signature = sign(&[1; 32], b"result");
        assert!(verify(&[1; 32], b"result", &signature));
        assert!(!verify(&[2; 32], b"result", &signature));
        assert!(!verify(&[1; 32], b"other", &signature));
        assert!(!verify(&[1; 32], b"result", &signature[1..]));
    }
}
