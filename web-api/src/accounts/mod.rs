//! Logins: guests and the rotation of refresh tokens.

pub(crate) mod access_token;
pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod guest;
pub(crate) mod profile;
pub(crate) mod profile_api;
pub(crate) mod refresh_token;
pub(crate) mod store;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use gameserver_contract::account::{Device, GuestLogin, LoginResponse, Player, RefreshLogin};
use gameserver_contract::entropy::random_bytes;
use gameserver_contract::ids::{DeviceId, PlayerId};
use uuid::Uuid;

use crate::accounts::access_token::{AccessTokens, Jwks, TokenError, Verified};
use crate::accounts::error::Error;
use crate::accounts::refresh_token::RefreshTokens;
use crate::accounts::store::AccountsStore;
use crate::accounts::store::logins::{NewRefreshToken, RotateRefreshToken, Rotation};
use crate::accounts::store::players::NewGuest;
use crate::config::{
    ACCESS_TOKEN_LIFETIME, LOGIN_END_REMEMBERED, LOGIN_LIFE_REMEMBERED, REFRESH_GRACE,
    REFRESH_TOKEN_LIFETIME, WebApiConfig,
};
use crate::kit::Kit;
use crate::kit::cache::{Key, RateDecision};
use crate::kit::db::DbError;
use crate::kit::error::{KitError, field};
use crate::kit::rate::{RatePolicy, network};

/// What the cache remembers of a login.
const LIVES: &[u8] = b"lives";
const ENDED: &[u8] = b"ended";

/// Accounts and their logins.
#[derive(Debug)]
pub(crate) struct Accounts {
    kit: Kit,
    store: AccountsStore,
    access_tokens: AccessTokens,
    refresh_tokens: RefreshTokens,
    auth_rate: RatePolicy,
    device_rate: RatePolicy,
    request_rate: RatePolicy,
}

impl Accounts {
    /// Issues tokens with the keys of this configuration.
    pub(crate) fn new(kit: &Kit, config: &WebApiConfig) -> Self {
        let policy = |class, per_minute| RatePolicy { class, per_minute };
        let limits = config.rate_limits;
        Self {
            kit: kit.clone(),
            store: AccountsStore(kit.db.clone()),
            access_tokens: AccessTokens::new(&config.keys, &config.public_url, &config.audience),
            refresh_tokens: RefreshTokens::new(config.keys.refresh.clone()),
            auth_rate: policy("address", limits.auth_per_address),
            device_rate: policy("device", limits.logins_per_device),
            request_rate: policy("player", limits.requests_per_player),
        }
    }

    /// Counts a call of `/auth/*` from an address. `None` when there is no limit.
    pub(crate) async fn count_auth(&self, from: IpAddr) -> Result<Option<RateDecision>, Error> {
        let who = network(from);
        Ok(self.kit.rates.count(self.auth_rate, &who).await?)
    }

    /// What an access token of ours says.
    pub(crate) fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        self.access_tokens.verify(token, self.kit.clock.now())
    }

    /// The public keys of access tokens.
    pub(crate) fn jwks(&self) -> Jwks {
        self.access_tokens.jwks()
    }

    /// Deletes logins and tokens that have ended; returns how many tokens.
    pub(crate) async fn sweep(&self) -> Result<u64, DbError> {
        self.store.sweep(self.kit.now()).await
    }

    /// Makes a new guest, or logs a known device's guest in again.
    pub(crate) async fn login_guest(&self, login: GuestLogin) -> Result<LoginResponse, Error> {
        match (login.device_id, login.device_secret) {
            (None, None) => self.login_new_guest().await,
            (Some(device), Some(secret)) => self.login_known_guest(device, &secret).await,
            (Some(_), None) => Err(missing("/device_secret", "device_id")),
            (None, Some(_)) => Err(missing("/device_id", "device_secret")),
        }
    }

    async fn login_new_guest(&self) -> Result<LoginResponse, Error> {
        let secret = guest::new_secret(&*self.kit.entropy);
        let device = DeviceId::generate(&*self.kit.clock, &*self.kit.entropy);
        let id = PlayerId::generate(&*self.kit.clock, &*self.kit.entropy);
        let new_guest = NewGuest {
            player: id,
            display_name: guest::new_display_name(&*self.kit.entropy),
            device,
            device_secret_hash: guest::hash(&secret),
            now: self.kit.now(),
        };
        // In one transaction: nobody could ever log in as a guest who was made without a login.
        let family = self.new_family(id)?;
        let (login, token) = (family.first.family, family.token);
        let player = self
            .store
            .create_guest(new_guest, Some(family.first))
            .await?;
        metrics::counter!("gs_logins_total", "kind" => "new_guest").increment(1);
        Ok(LoginResponse {
            device: Some(Device { id: device, secret }),
            ..self.answer(player, login, token)
        })
    }

    async fn login_known_guest(&self, id: DeviceId, secret: &str) -> Result<LoginResponse, Error> {
        let who = id.0.as_bytes();
        self.kit.rates.spend(self.device_rate, who).await?;
        if secret.len() > guest::SECRET_LENGTH_MAX {
            return Err(Error::InvalidCredentials);
        }
        let known = self.store.device(id).await?;
        let hash = known.as_ref().map(|(device, _)| &device.secret_hash);
        let fits = guest::secret_fits(secret, hash);
        let (_, player) = known.filter(|_| fits).ok_or(Error::InvalidCredentials)?;
        metrics::counter!("gs_logins_total", "kind" => "guest").increment(1);
        let family = self.new_family(player.id)?;
        let login = family.first.family;
        self.store.insert_refresh_token(family.first).await?;
        Ok(self.answer(player, login, family.token))
    }

    /// A login family that is about to begin, with its first refresh token.
    fn new_family(&self, player: PlayerId) -> Result<NewFamily, Error> {
        let seed = random_bytes::<32>(&*self.kit.entropy);
        let token = self.refresh_tokens.token(&seed);
        let now = self.kit.now();
        let first = NewRefreshToken {
            hash: refresh_token::hash(&token).ok_or(Error::RefreshRefused)?,
            family: uuid::Builder::from_random_bytes(random_bytes(&*self.kit.entropy)).into_uuid(),
            player,
            issued_at: now,
            expires_at: now + REFRESH_TOKEN_LIFETIME,
        };
        Ok(NewFamily { first, token })
    }

    /// Spends a refresh token for a new pair of tokens.
    pub(crate) async fn refresh(&self, login: &RefreshLogin) -> Result<LoginResponse, Error> {
        let old_hash = refresh_token::hash(&login.refresh_token).ok_or(Error::RefreshRefused)?;
        let seed = random_bytes::<32>(&*self.kit.entropy);
        let token = self.refresh_tokens.token(&seed);
        let now = self.kit.now();
        let rotate = RotateRefreshToken {
            old_hash,
            new_hash: refresh_token::hash(&token).ok_or(Error::RefreshRefused)?,
            successor_seed: seed.to_vec(),
            now,
            expires_at: now + REFRESH_TOKEN_LIFETIME,
            grace: REFRESH_GRACE,
        };
        let (player, login, token) = match self.store.rotate_refresh_token(rotate).await? {
            Rotation::Rotated { player, login } => (player, login, token),
            Rotation::Repeated {
                player,
                login,
                successor_seed,
            } => (player, login, self.refresh_tokens.token(&successor_seed)),
            Rotation::Reused { player, login } => {
                self.end_access(login).await?;
                tracing::warn!(player.id = %player, "a refresh token was reused; family revoked");
                metrics::counter!("gs_refresh_reused_total").increment(1);
                return Err(Error::RefreshReused);
            }
            Rotation::Refused => return Err(Error::RefreshRefused),
        };
        let row = self
            .store
            .player(player)
            .await?
            .ok_or(Error::RefreshRefused)?;
        Ok(self.answer(row.player, login, token))
    }

    /// Revokes the login that the token belongs to, and its access tokens with it. Unknown tokens
    /// change nothing.
    pub(crate) async fn logout(&self, login: &RefreshLogin) -> Result<(), Error> {
        if let Some(hash) = refresh_token::hash(&login.refresh_token)
            && let Some(login) = self.store.revoke_refresh_family(&hash).await?
        {
            self.end_access(login).await?;
        }
        Ok(())
    }

    /// Tells all replicas at once that a login has ended. That it has stands in the store, also
    /// when the cache is lost or away now.
    async fn end_access(&self, login: Uuid) -> Result<(), Error> {
        Ok(self.kit.cache.remember(&LoginKey(login), ENDED).await?)
    }

    /// Refuses a call of a login that was ended while access tokens of it are out; counts any other
    /// call of its player. `None` when there is no limit.
    pub(crate) async fn admit(
        &self,
        player: PlayerId,
        login: Option<Uuid>,
    ) -> Result<Option<RateDecision>, Error> {
        // Tokens of older builds name no login.
        let Some(login) = login else {
            let rate = self.kit.rates.count(self.request_rate, player.0.as_bytes());
            return Ok(rate.await?);
        };
        let key = LoginKey(login).text();
        let (remembered, rate) = self
            .kit
            .rates
            .count_unless((&key, ENDED), self.request_rate, player.0.as_bytes())
            .await?;
        match remembered.as_deref() {
            Some(ENDED) => Err(KitError::LoginEnded.into()),
            Some(_) => Ok(rate),
            None => self.look_up_login(login).await.map(|()| rate),
        }
    }

    /// The store knows whether a login has ended; the cache remembers what it said for
    /// [`LOGIN_LIFE_REMEMBERED`].
    async fn look_up_login(&self, login: Uuid) -> Result<(), Error> {
        if !self.store.is_login_live(login).await? {
            self.end_access(login).await?;
            return Err(KitError::LoginEnded.into());
        }
        // Only where nothing stands: a logout in between has the last word.
        let key = LoginKey(login).text();
        let remembered = self.kit.cache.put_hint(&key, LIVES, LOGIN_LIFE_REMEMBERED);
        Ok(remembered.await?)
    }

    fn answer(&self, player: Player, login: Uuid, refresh_token: String) -> LoginResponse {
        let access_token =
            self.access_tokens
                .issue(player.id, login, self.kit.clock.now(), &*self.kit.entropy);
        LoginResponse {
            player,
            access_token,
            refresh_token,
            expires_in_s: u32::try_from(ACCESS_TOKEN_LIFETIME.as_secs()).unwrap_or(u32::MAX),
            device: None,
        }
    }
}

/// A login that is not stored yet.
struct NewFamily {
    first: NewRefreshToken,
    /// What the client is given.
    token: String,
}

/// Whether a login lives or was ended.
struct LoginKey(Uuid);

impl Key for LoginKey {
    const PREFIX: &'static str = "login";
    const LIFETIME: Duration = LOGIN_END_REMEMBERED;

    fn id(&self) -> impl Display {
        self.0
    }
}

fn missing(pointer: &str, with: &str) -> Error {
    let detail = format!("be given together with {with}");
    KitError::Invalid(vec![field(pointer, detail)]).into()
}
