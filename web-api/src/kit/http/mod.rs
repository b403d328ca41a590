//! The REST face: thin handlers, one file per resource, and the layers around them.
//!
//! It knows no SQL and no rule of the lobby: handlers read the request, call `app` and write the
//! answer.

pub(crate) mod code;
pub(crate) mod console;
pub(crate) mod context;
mod docs;
pub(crate) mod etag;
pub(crate) mod extract;
mod forwarded;
pub(crate) mod framing;
mod health;
pub(crate) mod openapi;
pub(crate) mod problem;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;

use crate::accounts::{api as auth, guard, me_api as me, players_api as players};
use crate::compose::SharedApp;
use crate::config::{ForwardedHeader, Limits, WebApiConfig};
use crate::fleet::api as games;
use crate::matches::replay_api as replays;
use crate::server::RenderMetrics;
use crate::sessions::{api as sessions, events_api as events};

/// Where every resource stands.
pub(crate) const BASE_PATH: &str = "/api/v1";

/// What the handlers see.
#[derive(Clone)]
pub(crate) struct HttpState {
    pub(crate) app: SharedApp,
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    trusted_proxy_hops: usize,
    forwarded_header: ForwardedHeader,
    has_warned_of_forwarding: AtomicBool,
    cors_origins: Vec<HeaderValue>,
    render_metrics: Option<RenderMetrics>,
    shows_console: bool,
    path_prefix: String,
    is_playable: Option<watch::Receiver<bool>>,
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

impl HttpState {
    /// Takes what concerns HTTP from the configuration.
    pub(crate) fn new(
        app: SharedApp,
        config: &WebApiConfig,
        render_metrics: Option<RenderMetrics>,
    ) -> Self {
        let origins = config
            .cors_origins
            .iter()
            .filter_map(|origin| origin.parse().ok());
        let shared = Shared {
            limits: config.limits,
            trusted_proxy_hops: config.trusted_proxy_hops,
            forwarded_header: config.forwarded_header,
            has_warned_of_forwarding: AtomicBool::new(false),
            cors_origins: origins.collect(),
            render_metrics,
            shows_console: config.console,
            path_prefix: path_prefix(&config.public_url),
            is_playable: config.is_playable.clone(),
        };
        Self {
            app,
            shared: Arc::new(shared),
        }
    }

    /// What trusted proxies write the client's address to, and how many there are.
    pub(crate) fn forwarding(&self) -> (ForwardedHeader, usize) {
        (self.shared.forwarded_header, self.shared.trusted_proxy_hops)
    }

    /// False while the matches' half of this process is not there.
    pub(crate) fn is_playable(&self) -> bool {
        let playable = self.shared.is_playable.as_ref();
        playable.is_none_or(|playable| *playable.borrow())
    }

    /// True the first time that it is called.
    pub(crate) fn is_first_unread_forwarding(&self) -> bool {
        !self
            .shared
            .has_warned_of_forwarding
            .swap(true, Ordering::Relaxed)
    }

    pub(crate) fn request_deadline(&self) -> Duration {
        self.shared.limits.request_deadline
    }

    pub(crate) fn body_read_timeout(&self) -> Duration {
        self.shared.limits.body_read_timeout
    }

    /// What a proxy takes off the path of every request: empty, or `/…` without a slash at the end.
    pub(crate) fn path_prefix(&self) -> &str {
        &self.shared.path_prefix
    }

    pub(crate) fn shows_console(&self) -> bool {
        self.shared.shows_console
    }

    pub(crate) fn metrics(&self) -> Option<String> {
        self.shared.render_metrics.as_ref().map(|render| render())
    }
}

/// The path of the URL that clients reach the service by.
fn path_prefix(public_url: &str) -> String {
    let url: Option<Uri> = public_url.parse().ok();
    url.map_or_else(String::new, |url| {
        url.path().trim_end_matches('/').to_owned()
    })
}

/// The whole REST face, ready to be served.
pub(crate) fn router(state: HttpState) -> Router {
    let routes: Router<HttpState> = routes(&state).into();
    with_layers(routes.merge(docs::pages()), state)
}

/// Puts around some routes what every request needs, the outermost layer last.
pub(crate) fn with_layers(routes: Router<HttpState>, state: HttpState) -> Router {
    let app = state.app.clone();
    routes
        .fallback(console::serve)
        .layer(DefaultBodyLimit::max(state.shared.limits.body_bytes_max))
        .layer(from_fn_with_state(app, context::finish_writes))
        .layer(CatchPanicLayer::custom(context::answer_panic))
        .layer(from_fn_with_state(state.clone(), context::limit_time))
        .layer(from_fn(framing::refuse_malformed))
        .layer(cors(&state))
        .layer(from_fn_with_state(state.clone(), context::observe))
        .with_state(state)
}

/// Every route with its documentation.
fn routes(state: &HttpState) -> OpenApiRouter<HttpState> {
    let limited = from_fn_with_state(state.app.clone(), guard::limit_logins);
    let guarded = from_fn_with_state(state.app.clone(), guard::authenticate);
    documented_routes(
        |logins| logins.route_layer(limited.clone()),
        |private| private.route_layer(guarded.clone()),
    )
}

/// Every route, with the given layers before logins and before what only players may call.
fn documented_routes(
    limit: impl Fn(OpenApiRouter<HttpState>) -> OpenApiRouter<HttpState>,
    guard: impl Fn(OpenApiRouter<HttpState>) -> OpenApiRouter<HttpState>,
) -> OpenApiRouter<HttpState> {
    let private = OpenApiRouter::new()
        .merge(me::routes())
        .merge(players::routes())
        .merge(sessions::routes())
        .merge(replays::routes())
        .merge(events::routes());
    let versioned = OpenApiRouter::new()
        .merge(limit(auth::routes()))
        .merge(guard(private))
        .merge(games::routes())
        .merge(openapi::routes());
    OpenApiRouter::new()
        .nest(BASE_PATH, versioned)
        .merge(auth::well_known_routes())
        .merge(health::routes())
}

fn cors(state: &HttpState) -> CorsLayer {
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(state.shared.cors_origins.clone()))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
            name("idempotency-key"),
            name(context::REQUEST_ID),
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            name(replays::COMPLETE),
            name("ratelimit-limit"),
            name("ratelimit-remaining"),
            name("ratelimit-reset"),
            name(context::REQUEST_ID),
        ])
        .max_age(Duration::from_mins(10))
}
