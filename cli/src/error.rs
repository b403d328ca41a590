//! Reasons for a command's failure, and their exit codes.

use std::error::Error;
use std::net::SocketAddr;

use gameserver_web_api::DbError;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
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
    #[error("failed to open {address} for {purpose}: {cause}; {advice}")]
    Port {
        address: SocketAddr,
        purpose: &'static str,
        cause: String,
        advice: String,
    },
    #[error("failed to use the database")]
    Store(#[from] DbError),
    #[error("failed to use the cache")]
    Cache(#[from] gameserver_web_api::CacheError),
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
    Game(#[from] gameserver_server::GameError),
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
    #[error("{bad} of {all} logs are not verified")]
    Replay {
        bad: usize,
        all: usize,
        /// The worst of them.
        finding: ReplayFinding,
    },
    #[error("{0}")]
    Unhealthy(String),
    #[error("{0}")]
    Usage(String),
}

/// The fault of a log that is not verified, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReplayFinding {
    /// Good up to a tick; a later part is missing or unreadable.
    Damaged,
    /// The file cannot be opened.
    Unreadable,
    /// Recorded by another game or by another version of it.
    NotVerifiable,
    /// Something else than a log.
    NotALog,
    /// The simulation differs from the record, or the file was changed.
    Differs,
}

impl ReplayFinding {
    fn exit_code(self) -> u8 {
        match self {
            Self::Unreadable => 1,
            Self::Damaged => 4,
            Self::Differs => 5,
            Self::NotALog => 6,
            Self::NotVerifiable => 7,
        }
    }
}

impl CliError {
    /// 2 for faults in the command line or the settings, 3 for a void measurement, 4 to 7 for logs
    /// that are not verified, 1 for the rest.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Usage(_) | Self::Store(DbError::Url(_)) => 2,
            // Neither good nor bad.
            Self::Void => 3,
            Self::Replay { finding, .. } => finding.exit_code(),
            Self::Runtime(_)
            | Self::Logging(_)
            | Self::Metrics(_)
            | Self::DataFolder { .. }
            | Self::Port { .. }
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

#[cfg(test)]
mod tests {
    use gameserver_client_sim::BotsError;

    use super::*;

    #[test]
    fn a_cause_that_a_message_holds_already_is_told_once() {
        let error = CliError::Bots(BotsError::System(std::io::Error::other("no sockets")));
        assert_eq!(
            explain(&error),
            "failed to play: failed to get what bots run on: no sockets"
        );
    }

    #[test]
    fn each_kind_of_failure_has_an_exit_code_of_its_own() {
        let replay = |finding| CliError::Replay {
            bad: 1,
            all: 1,
            finding,
        };
        let codes = [
            CliError::Gates.exit_code(),
            CliError::Usage(String::new()).exit_code(),
            CliError::Void.exit_code(),
            replay(ReplayFinding::Damaged).exit_code(),
            replay(ReplayFinding::Differs).exit_code(),
            replay(ReplayFinding::NotALog).exit_code(),
            replay(ReplayFinding::NotVerifiable).exit_code(),
        ];
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7]);
    }
}
