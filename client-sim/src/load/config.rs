//! What a run is asked to do, and why there was none.

use std::fmt;
use std::time::Duration;

use gameserver_conditions::NetworkConditions;
use gameserver_contract::session::TransportKind;

use super::gates::Gate;
use super::server_metrics::MetricsError;
use crate::lobby::LobbyError;

/// What a run does.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Address of the API.
    pub api: String,
    /// Address of the server's metrics, which must answer; nothing is known of the server without.
    pub metrics: Option<String>,
    /// The game's mode; its first one when absent.
    pub mode: Option<String>,
    /// Players in all.
    pub players: u32,
    /// What they speak.
    pub protocol: ClientProtocol,
    /// How many of the players are full clients, which check what they receive.
    pub canaries: u32,
    /// Ticks whose inputs light native players put into one packet, clamped to 1 to
    /// [`PACKET_TICKS_MAX`](super::native::PACKET_TICKS_MAX). The game's number when absent.
    pub packet_ticks: Option<u16>,
    /// Spectators besides.
    pub spectators: u32,
    /// Matches to spread them over.
    pub matches: u32,
    /// The only transport.
    pub transport: TransportKind,
    /// The network between.
    pub conditions: NetworkConditions,
    /// Time in which they join.
    pub ramp: Duration,
    /// Time that counts, after the ramp.
    pub duration: Duration,
    /// Players a second who leave after the ramp, and as many who come.
    pub churn_per_s: u32,
    /// How long the server is watched when everybody has left.
    pub settle: Duration,
    /// The command that repeats the run, word by word.
    pub command: Vec<String>,
    /// Seed of their behaviour and of the network's.
    pub seed: u64,
    /// Threads that play them.
    pub threads: usize,
    /// Limits to keep.
    pub gates: Vec<Gate>,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The API refused before anybody joined.
    #[error(transparent)]
    Lobby(#[from] LobbyError),
    /// The operating system gave no thread or no socket.
    #[error("failed to get what the bots run on: {0}")]
    System(#[from] std::io::Error),
    /// More players than fit into the matches.
    #[error("{players} players do not fit into {matches} matches of at most {each}; add --matches")]
    TooMany {
        /// Players in all.
        players: u32,
        /// Matches.
        matches: u32,
        /// Players in one.
        each: u16,
    },
    /// More full clients than players.
    #[error("{canaries} canaries are more than {players} players")]
    TooManyCanaries {
        /// Players in all.
        players: u32,
        /// Of these, full clients.
        canaries: u32,
    },
    /// The server's metrics were asked for, and are not there.
    #[error(
        "nothing would be known of the server; name its metrics with --metrics, or do without \
         them with --no-metrics"
    )]
    Metrics(#[from] MetricsError),
    /// The game has no such mode.
    #[error("the game has no mode {0:?}")]
    UnknownMode(String),
}

/// What the players of a run speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientProtocol {
    /// The snapshot stream.
    #[default]
    Thin,
    /// lightyear's packets.
    Native,
    /// Half of each match this, half that.
    Mixed,
}

impl fmt::Display for ClientProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thin => "thin",
            Self::Native => "native",
            Self::Mixed => "mixed",
        })
    }
}
