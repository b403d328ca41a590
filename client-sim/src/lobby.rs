//! The REST API as a player's program uses it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::account::{
    GameStats, GuestLogin, LoginResponse, MatchRecord, RefreshLogin,
};
use gameserver_contract::ids::{PlayerId, SessionId};
use gameserver_contract::problem::Problem;
use gameserver_contract::session::{CreateSession, JoinResponse, JoinSession, Page, Session};
use reqwest::header::RETRY_AFTER;
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

/// What the API answers to an access token whose time is over.
const TOKEN_EXPIRED: &str = "auth.token_expired";

/// A way to the API; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lobby {
    http: reqwest::Client,
    base: String,
}

/// The API as one logged-in player. Clones share the login, which is renewed when the access token
/// has expired.
#[derive(Clone)]
pub struct LoggedIn {
    lobby: Lobby,
    tokens: Arc<Mutex<Tokens>>,
    /// Who logged in.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
}

/// What a login is proven with. Not for logs.
struct Tokens {
    access: String,
    /// Good for one new pair.
    refresh: String,
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggedIn")
            .field("player", &self.player)
            .finish_non_exhaustive()
    }
}

/// Why the API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LobbyError {
    /// It could not be reached, or its answer could not be read.
    #[error("failed to reach the API at {url}: {source}")]
    Unreachable {
        /// What was called.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It said no.
    #[error("the API refused: {}", spell_out(&.0.problem))]
    Refused(Box<Refusal>),
    /// It answered something that is no problem document, such as a proxy does.
    #[error("the API answered {0}")]
    Unexpected(StatusCode),
}

/// What the API says when it says no.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub problem: Problem,
    /// After how long to try again, when it says so (`Retry-After` in seconds).
    pub retry_after: Option<Duration>,
}

/// A list that has no cursor.
#[derive(Debug, serde::Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl Lobby {
    /// Talks to the API at this address, for example `http://127.0.0.1:8080`.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be made.
    pub fn new(base: &str) -> Result<Self, LobbyError> {
        let http = http_client(base).timeout(Duration::from_secs(10)).build();
        let base = base.trim_end_matches('/').to_owned();
        let http = http.map_err(|source| LobbyError::Unreachable {
            url: base.clone(),
            source,
        })?;
        Ok(Self { http, base })
    }

    /// Logs a new guest in.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn log_in_as_guest(&self) -> Result<LoggedIn, LobbyError> {
        let request = self
            .request(Method::POST, "/auth/guest")
            .json(&GuestLogin::default());
        let answer: LoginResponse = self.call(request).await?;
        Ok(LoggedIn {
            lobby: self.clone(),
            tokens: Arc::new(Mutex::new(Tokens {
                access: answer.access_token,
                refresh: answer.refresh_token,
            })),
            player: answer.player.id,
            display_name: answer.player.display_name,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1{path}", self.base))
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, LobbyError> {
        let unreachable = |source| LobbyError::Unreachable {
            url: self.base.clone(),
            source,
        };
        let response = request.send().await.map_err(unreachable)?;
        if response.status().is_success() {
            return response.json().await.map_err(unreachable);
        }
        Err(refusal(response).await)
    }
}

/// Title, code, and what is wrong with each field.
fn spell_out(problem: &Problem) -> String {
    let title = problem.title.trim_end_matches('.');
    let fields = problem.errors.iter().map(|error| {
        let field = error.pointer.trim_start_matches('/');
        format!("{field} must {}", error.detail)
    });
    let fields: Vec<_> = fields.collect();
    let colon = if fields.is_empty() { "" } else { ": " };
    format!("{title} ({}){colon}{}", problem.code, fields.join(", "))
}

async fn refusal(response: Response) -> LobbyError {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER);
    let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = seconds.map(Duration::from_secs);
    match response.json::<Problem>().await {
        Ok(problem) => LobbyError::Refused(Box::new(Refusal {
            problem,
            retry_after,
        })),
        Err(_) => LobbyError::Unexpected(status),
    }
}

impl LoggedIn {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn create_session(&self, request: &CreateSession) -> Result<Session, LobbyError> {
        self.post("/sessions", request).await
    }

    /// Reads a session.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn session(&self, id: SessionId) -> Result<Session, LobbyError> {
        self.get(&format!("/sessions/{id}")).await
    }

    /// Lists sessions of a game that are open.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn sessions(&self, game: &str) -> Result<Vec<Session>, LobbyError> {
        let page: Page<Session> = self
            .get(&format!("/sessions?game={game}&limit=100"))
            .await?;
        Ok(page.items)
    }

    /// Reserves a seat and gets the right to connect.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn join(
        &self,
        id: SessionId,
        request: &JoinSession,
    ) -> Result<JoinResponse, LobbyError> {
        self.post(&format!("/sessions/{id}/join"), request).await
    }

    /// Ends a session that this player opened.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn end_session(&self, id: SessionId) -> Result<Session, LobbyError> {
        self.post(&format!("/sessions/{id}/end"), &()).await
    }

    /// A player's totals by game.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn stats(&self, player: PlayerId) -> Result<Vec<GameStats>, LobbyError> {
        let list: Items<GameStats> = self.get(&format!("/players/{player}/stats")).await?;
        Ok(list.items)
    }

    /// A player's latest matches.
    ///
    /// # Errors
    ///
    /// See [`LobbyError`].
    pub async fn matches(&self, player: PlayerId) -> Result<Vec<MatchRecord>, LobbyError> {
        let page: Page<MatchRecord> = self.get(&format!("/players/{player}/matches")).await?;
        Ok(page.items)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LobbyError> {
        self.call(|| self.lobby.request(Method::GET, path)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, LobbyError> {
        self.call(|| self.lobby.request(Method::POST, path).json(body))
            .await
    }

    /// Calls with the access token, and once more with a new one when it has expired: the API
    /// refuses it before it does anything.
    async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, LobbyError> {
        let access = self.tokens.lock().await.access.clone();
        let answer = self.lobby.call(request().bearer_auth(&access)).await;
        match answer {
            Err(LobbyError::Refused(refusal)) if refusal.problem.code == TOKEN_EXPIRED => {
                let access = self.renew(&access).await?;
                self.lobby.call(request().bearer_auth(access)).await
            }
            answer => answer,
        }
    }

    /// The access token that follows on an expired one. A clone may have got it already.
    async fn renew(&self, expired: &str) -> Result<String, LobbyError> {
        let mut tokens = self.tokens.lock().await;
        if tokens.access == expired {
            let login = RefreshLogin {
                refresh_token: tokens.refresh.clone(),
            };
            let request = self.lobby.request(Method::POST, "/auth/refresh");
            let answer: LoginResponse = self.lobby.call(request.json(&login)).await?;
            *tokens = Tokens {
                access: answer.access_token,
                refresh: answer.refresh_token,
            };
        }
        Ok(tokens.access.clone())
    }
}

/// A client for this address. A proxy that the environment names is for other machines: nobody
/// reaches this one through it.
pub(crate) fn http_client(url: &str) -> ClientBuilder {
    let client = reqwest::Client::builder();
    if is_loopback(url) {
        client.no_proxy()
    } else {
        client
    }
}

fn is_loopback(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str);
    let host = host.unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use gameserver_contract::problem::FieldError;

    use super::*;

    #[test]
    fn this_machine_is_recognised_however_it_is_written() {
        for url in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9/metrics",
            "http://LOCALHOST:8080/",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://[fd00::1]/",
            "x",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn a_refusal_names_each_field_and_what_it_must_be() {
        let field = |pointer: &str, detail: &str| FieldError {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        };
        let problem = Problem {
            code: "request.invalid".to_owned(),
            status: 422,
            title: "Some fields of the request are not acceptable.".to_owned(),
            details: std::collections::BTreeMap::new(),
            request_id: String::new(),
            errors: vec![
                field("/players_max", "be 2 to 64"),
                field("/name", "not be empty"),
            ],
        };
        let error = LobbyError::Refused(Box::new(Refusal {
            problem,
            retry_after: None,
        }));
        assert_eq!(
            error.to_string(),
            "the API refused: Some fields of the request are not acceptable (request.invalid): \
             players_max must be 2 to 64, name must not be empty"
        );
    }
}
