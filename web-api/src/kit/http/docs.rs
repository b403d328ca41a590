//! The page at `/docs` that tries the API. All its files are inside the program, and all its links
//! are relative, so that it works behind a path prefix.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::kit::http::Http;

/// The frame around Swagger UI: for phones too, and with a way back.
const PAGE: &str = include_str!("docs.html");
/// The way back, which leads nowhere when there is no console.
const WAY_BACK: &str = "<a href=\"../\">Back to the start page</a> · ";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let document = format!("..{}/openapi.json", crate::kit::http::BASE_PATH);
    Arc::new(Config::new([document]).persist_authorization(true))
});

/// The page and its files.
pub(crate) fn pages<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Http: FromRef<S>,
{
    Router::new()
        .route("/docs", get(lead_to_page))
        .route("/docs/", get(page))
        .route("/docs/{*file}", get(file))
}

/// Relative, because only the client knows what stands in front of the path.
async fn lead_to_page() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "docs/")]).into_response()
}

async fn page(State(http): State<Http>) -> Response {
    if http.shows_console() {
        Html(PAGE).into_response()
    } else {
        Html(PAGE.replace(WAY_BACK, "")).into_response()
    }
}

async fn file(Path(name): Path<String>) -> Response {
    match utoipa_swagger_ui::serve(&name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => {
            let media_type = [(header::CONTENT_TYPE, file.content_type)];
            (media_type, file.bytes).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(
                error = &*error as &dyn std::error::Error,
                "a file of the page at /docs could not be made"
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
