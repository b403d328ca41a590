//! Access tokens: JWTs signed with Ed25519, short-lived, verified without a look into the store.
//!
//! The library checks signature, issuer and audience; times are checked here against the
//! service's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use gameserver_contract::entropy::{Entropy, random_bytes};
use gameserver_contract::ids::PlayerId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::{
    ACCESS_TOKEN_LEEWAY, ACCESS_TOKEN_LENGTH_MAX, ACCESS_TOKEN_LIFETIME, Keys, SecretKey,
};

/// `typ` of an access token (RFC 9068): a JWT made for something else is refused.
const TYPE: &str = "at+jwt";

/// Signs and verifies access tokens.
#[derive(Clone)]
pub(crate) struct AccessTokens {
    issuer: String,
    audience: String,
    header: Header,
    signing_key: EncodingKey,
    validation: Validation,
    keys: BTreeMap<String, PublicKey>,
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessTokens")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct PublicKey {
    /// As the JWKS shows it.
    x: String,
    decoding_key: DecodingKey,
}

/// Public keys for others to verify our tokens with (RFC 7517).
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Jwks {
    /// The keys; several while one is being replaced.
    pub(crate) keys: Vec<Jwk>,
}

/// One public key (RFC 8037).
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Jwk {
    /// Always `OKP`.
    pub(crate) kty: String,
    /// Always `Ed25519`.
    pub(crate) crv: String,
    /// The public key in base64url.
    pub(crate) x: String,
    /// Name of the key, as in a token's header.
    pub(crate) kid: String,
    /// Always `EdDSA`.
    pub(crate) alg: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub(crate) usage: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: PlayerId,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    /// The login, so that its tokens can end with it. Tokens of older builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
}

/// What a good token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Whose it is.
    pub(crate) player: PlayerId,
    /// The login that it was issued for.
    pub(crate) login: Option<Uuid>,
}

/// Why an access token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not a token of ours, or changed, or for somebody else.
    #[error("the access token is not valid")]
    Invalid,
    /// It was good once.
    #[error("the access token has expired")]
    Expired,
}

impl AccessTokens {
    /// Signs with the newest key and accepts the previous ones.
    pub(crate) fn new(keys: &Keys, issuer: &str, audience: &str) -> Self {
        let newest = signing_key(&keys.access_token);
        let all = std::iter::once(&keys.access_token).chain(&keys.access_token_previous);
        let public = all.map(|key| public_key(&signing_key(key))).collect();
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            header: Header {
                typ: Some(TYPE.to_owned()),
                kid: Some(public_key(&newest).0),
                ..Header::new(Algorithm::EdDSA)
            },
            signing_key: encoding_key(&newest),
            validation: validation(issuer, audience),
            keys: public,
        }
    }

    /// Makes a token for a player's login.
    ///
    /// # Panics
    ///
    /// Never: the claims are plain data and the key was made by ourselves.
    pub(crate) fn issue(
        &self,
        player: PlayerId,
        login: Uuid,
        now: DateTime<Utc>,
        entropy: &dyn Entropy,
    ) -> String {
        let issued_at = now.timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: player,
            iat: issued_at,
            nbf: issued_at,
            exp: issued_at + seconds(ACCESS_TOKEN_LIFETIME),
            jti: URL_SAFE_NO_PAD.encode(random_bytes::<16>(entropy)),
            sid: Some(login),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing_key)
            .expect("our own Ed25519 key signs plain data")
    }

    /// Reads a token.
    pub(crate) fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Verified, TokenError> {
        if token.len() > ACCESS_TOKEN_LENGTH_MAX {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Invalid);
        }
        let key = header
            .kid
            .and_then(|kid| self.keys.get(&kid))
            .ok_or(TokenError::Invalid)?;
        let data = jsonwebtoken::decode::<Claims>(token, &key.decoding_key, &self.validation);
        let claims = data.map_err(|_| TokenError::Invalid)?.claims;
        check_times(&claims, now.timestamp())?;
        Ok(Verified {
            player: claims.sub,
            login: claims.sid,
        })
    }

    /// The public keys.
    pub(crate) fn jwks(&self) -> Jwks {
        let jwk = |(kid, key): (&String, &PublicKey)| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: key.x.clone(),
            kid: kid.clone(),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        };
        Jwks {
            keys: self.keys.iter().map(jwk).collect(),
        }
    }
}

fn check_times(claims: &Claims, now: i64) -> Result<(), TokenError> {
    let leeway = seconds(ACCESS_TOKEN_LEEWAY);
    let lifetime = claims.exp.saturating_sub(claims.iat);
    let from_the_future = claims.iat.max(claims.nbf) > now.saturating_add(leeway);
    if from_the_future || lifetime > seconds(ACCESS_TOKEN_LIFETIME) || claims.jti.is_empty() {
        return Err(TokenError::Invalid);
    }
    if claims.exp.saturating_add(leeway) <= now {
        return Err(TokenError::Expired);
    }
    Ok(())
}

fn validation(issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
    // The library reads the operating system's clock; `check_times` takes ours.
    validation.validate_exp = false;
    validation
}

fn signing_key(seed: &SecretKey) -> SigningKey {
    SigningKey::from_bytes(seed.bytes())
}

fn encoding_key(key: &SigningKey) -> EncodingKey {
    let document = key
        .to_pkcs8_der()
        .expect("an Ed25519 key always has a PKCS#8 form");
    EncodingKey::from_ed_der(document.as_bytes())
}

/// The key under its name, the thumbprint of RFC 7638.
fn public_key(key: &SigningKey) -> (String, PublicKey) {
    let bytes = key.verifying_key().to_bytes();
    let x = URL_SAFE_NO_PAD.encode(bytes);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
    (
        kid,
        PublicKey {
            x,
            decoding_key: DecodingKey::from_ed_der(&bytes),
        },
    )
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use gameserver_contract::entropy::SeededEntropy;

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const LOGIN: Uuid = Uuid::from_u128(8);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn keys(seed: u64) -> Keys {
        Keys::generate(&*SeededEntropy::new(seed))
    }

    fn tokens() -> AccessTokens {
        AccessTokens::new(&keys(1), "https://us", "game")
    }

    fn player() -> PlayerId {
        PlayerId(Uuid::from_u128(7))
    }

    fn verified(login: Option<Uuid>) -> Verified {
        Verified {
            player: player(),
            login,
        }
    }

    fn issue(from: &AccessTokens) -> String {
        from.issue(player(), LOGIN, at(NOW), &*SeededEntropy::new(2))
    }

    fn signed(header: &Header, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(header, claims, &tokens().signing_key).unwrap()
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({
            "iss": "https://us", "aud": "game", "sub": player(), "jti": "x",
            "iat": NOW, "nbf": NOW, "exp": NOW + 900,
        })
    }

    #[test]
    fn a_token_names_its_player_and_login_until_it_ends() {
        let token = issue(&tokens());
        for second in [NOW, NOW + 929] {
            let good = tokens().verify(&token, at(second));
            assert_eq!(good, Ok(verified(Some(LOGIN))));
        }
        assert_eq!(
            tokens().verify(&token, at(NOW + 930)),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn a_token_of_another_key_issuer_or_audience_is_refused() {
        for other in [
            AccessTokens::new(&keys(9), "https://us", "game"),
            AccessTokens::new(&keys(1), "https://them", "game"),
            AccessTokens::new(&keys(1), "https://us", "shop"),
        ] {
            assert_eq!(
                tokens().verify(&issue(&other), at(NOW)),
                Err(TokenError::Invalid)
            );
        }
    }

    #[test]
    fn a_token_of_the_previous_key_is_still_accepted() {
        let mut rotated = keys(9);
        rotated.access_token_previous = vec![keys(1).access_token];
        let rotated = AccessTokens::new(&rotated, "https://us", "game");
        let old = issue(&tokens());
        assert_eq!(rotated.verify(&old, at(NOW)), Ok(verified(Some(LOGIN))));
        assert_eq!(rotated.jwks().keys.len(), 2);
    }

    #[test]
    fn every_claim_but_the_login_is_required() {
        let header = tokens().header;
        assert_eq!(
            tokens().verify(&signed(&header, &claims()), at(NOW)),
            Ok(verified(None))
        );
        for name in ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            let verdict = tokens().verify(&signed(&header, &claims), at(NOW));
            assert_eq!(verdict, Err(TokenError::Invalid), "{name}");
        }
    }

    #[test]
    fn another_type_or_key_name_is_refused() {
        let ours = tokens().header;
        for header in [
            Header {
                typ: Some("JWT".to_owned()),
                ..ours.clone()
            },
            Header {
                typ: None,
                ..ours.clone()
            },
            Header {
                kid: Some("unknown".to_owned()),
                ..ours.clone()
            },
            Header { kid: None, ..ours },
        ] {
            let verdict = tokens().verify(&signed(&header, &claims()), at(NOW));
            assert_eq!(verdict, Err(TokenError::Invalid), "{header:?}");
        }
    }

    #[test]
    fn another_algorithm_is_refused_even_with_the_public_key_as_its_secret() {
        let public = URL_SAFE_NO_PAD.decode(&tokens().jwks().keys[0].x).unwrap();
        let header = Header {
            alg: Algorithm::HS256,
            ..tokens().header
        };
        let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&public));
        assert_eq!(
            tokens().verify(&forged.unwrap(), at(NOW)),
            Err(TokenError::Invalid)
        );
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        let token = format!("{none}.{}.", URL_SAFE_NO_PAD.encode(claims().to_string()));
        assert_eq!(tokens().verify(&token, at(NOW)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_from_the_future_or_for_too_long_is_refused() {
        let header = tokens().header;
        for (name, value) in [("nbf", NOW + 31), ("iat", NOW + 31), ("exp", NOW + 901)] {
            let mut claims = claims();
            claims[name] = value.into();
            let verdict = tokens().verify(&signed(&header, &claims), at(NOW));
            assert_eq!(verdict, Err(TokenError::Invalid), "{name}");
        }
    }
}
