//! The parts of every REST API: extractors, problems, layers, and pages that need no capability.
//!
//! It knows no route of a capability; `compose` puts the router together.

pub(crate) mod code;
pub(crate) mod console;
pub(crate) mod context;
pub(crate) mod docs;
pub(crate) mod etag;
pub(crate) mod extract;
mod forwarded;
pub(crate) mod framing;
pub(crate) mod health;
pub(crate) mod openapi;
pub(crate) mod problem;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use gameserver_contract::entropy::SharedEntropy;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::{ForwardedHeader, Limits, WebApiConfig};
use crate::kit::Kit;
use crate::kit::readiness::Readiness;
use crate::kit::tasks::Tasks;

/// Writes all metrics of the process in Prometheus' text format. The process may share one
/// recorder among its services.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Where every resource stands.
pub(crate) const BASE_PATH: &str = "/api/v1";

/// What concerns HTTP alone; cheap to clone.
#[derive(Clone)]
pub(crate) struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    entropy: SharedEntropy,
    tasks: Tasks,
    readiness: Readiness,
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

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// Takes what concerns HTTP from the configuration.
    pub(crate) fn new(
        kit: &Kit,
        config: &WebApiConfig,
        render_metrics: Option<RenderMetrics>,
    ) -> Self {
        let origins = config
            .cors_origins
            .iter()
            .filter_map(|origin| origin.parse().ok());
        let shared = Shared {
            entropy: Arc::clone(&kit.entropy),
            tasks: kit.tasks.clone(),
            readiness: Readiness::new(kit.clone()),
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

/// Puts around some routes what every request needs, the outermost layer last.
pub(crate) fn with_layers<S>(routes: Router<S>, http: &Http) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Http: FromRef<S>,
{
    routes
        .fallback(console::serve)
        .layer(DefaultBodyLimit::max(http.shared.limits.body_bytes_max))
        .layer(from_fn_with_state(http.clone(), context::finish_writes))
        .layer(CatchPanicLayer::custom(context::answer_panic))
        .layer(from_fn_with_state(http.clone(), context::limit_time))
        .layer(from_fn(framing::refuse_malformed))
        .layer(cors(http))
        .layer(from_fn_with_state(http.clone(), context::observe))
}

fn cors(http: &Http) -> CorsLayer {
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(http.shared.cors_origins.clone()))
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
            name("x-replay-complete"),
            name("ratelimit-limit"),
            name("ratelimit-remaining"),
            name("ratelimit-reset"),
            name(context::REQUEST_ID),
        ])
        .max_age(Duration::from_mins(10))
}
