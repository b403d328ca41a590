//! Why a command failed, and what its exit code says.

use std::error::Error;

/// What can end a command early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("failed to read the configuration")]
    Settings(#[from] crate::settings::SettingsError),
    #[error("failed to start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("failed to set up the logs")]
    Logging(#[source] Box<dyn Error + Send + Sync>),
    #[error("failed to set up the metrics")]
    Metrics(#[source] Box<dyn Error + Send + Sync>),
    #[error("failed to use the folder {path}")]
    DataFolder {
        path: String,
        source: std::io::Error,
    },
    #[error("failed to use the database")]
    Store(#[from] gameserver_web_api::store::StoreError),
    #[error("failed to use the cache")]
    Cache(#[from] gameserver_web_api::cache::CacheError),
    #[error("failed to start web-api")]
    WebApi(#[from] gameserver_web_api::StartError),
    #[error("failed to start the instance")]
    Instance(#[from] gameserver_server::StartError),
    #[error("failed to play")]
    Bots(#[from] gameserver_client_sim::BotsError),
    #[error("failed to put the server under load")]
    Load(#[from] gameserver_client_sim::load::LoadError),
    #[error("the server did not keep its limits")]
    Gates,
    #[error("this run says nothing: the bots were the bottleneck")]
    Void,
    #[error("stopped before the end; there is no report")]
    Interrupted,
    #[error("failed to use the terminal; --plain prints lines instead")]
    Terminal(#[source] std::io::Error),
    #[error("failed to offer a game")]
    Game(#[from] gameserver_contract::game::DescriptorError),
    #[error("failed to write {path}")]
    Report {
        path: String,
        source: std::io::Error,
    },
    #[error("failed to read {path}")]
    ReplayFile {
        path: String,
        source: std::io::Error,
    },
    #[error("failed to read {path}")]
    ReplayLog {
        path: String,
        source: gameserver_stream::log::LogError,
    },
    #[error("{0}")]
    Diverged(String),
    #[error("{0}")]
    Unhealthy(String),
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    /// 2 for what the caller can mend in the command line or the settings, 3 for a measurement
    /// that is none, 1 for the rest.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Usage(_) => 2,
            // Neither good nor bad.
            Self::Void => 3,
            Self::Runtime(_)
            | Self::Logging(_)
            | Self::Metrics(_)
            | Self::DataFolder { .. }
            | Self::Store(_)
            | Self::Cache(_)
            | Self::WebApi(_)
            | Self::Instance(_)
            | Self::Bots(_)
            | Self::Load(_)
            | Self::Gates
            | Self::Interrupted
            | Self::Terminal(_)
            | Self::Game(_)
            | Self::Report { .. }
            | Self::ReplayFile { .. }
            | Self::ReplayLog { .. }
            | Self::Diverged(_)
            | Self::Unhealthy(_) => 1,
        }
    }
}

/// The whole chain of causes on one line. Some libraries repeat the cause in their own text.
pub(crate) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
