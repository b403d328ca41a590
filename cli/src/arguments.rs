//! The command line.

use std::path::PathBuf;

use clap::builder::{RangedI64ValueParser, RangedU64ValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use gameserver_client_sim::load::ClientProtocol;
use gameserver_client_sim::load::gates::Gate;
use gameserver_client_sim::load::native::PACKET_TICKS_MAX;
use gameserver_conditions::NetworkConditions;
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::TransportKind;

use crate::error::CliError;
use crate::settings::MATCHES_MAX;

/// A multiplayer game server: authoritative simulation and player services in one binary.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Settings file; `gameserver.toml` is read when it exists.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Options of dev, which is the default")]
    pub(crate) dev: DevArguments,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Arguments {
    /// The command that was asked for. Options of `dev` mean `dev` when no command is named.
    pub(crate) fn command(self) -> Result<Command, CliError> {
        match self.command {
            None => Ok(Command::Dev(self.dev)),
            Some(command) if self.dev == DevArguments::default() => Ok(command),
            Some(_) => Err(CliError::Usage(
                "options of dev stand before a command; write them behind `dev`".to_owned(),
            )),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one terminal with nothing to install (the default).
    Dev(DevArguments),
    /// The player services, for production.
    Api,
    /// A process that hosts matches, for production.
    Instance(InstanceArguments),
    /// Full game clients without a window join a session and play.
    Bots(BotsArguments),
    /// Measures a server with thousands of players who implement the protocol only.
    Load(LoadArguments),
    /// The database's schema.
    Migrate {
        #[command(subcommand)]
        direction: MigrateCommand,
    },
    /// Settings: check them, or print each with its source.
    Config {
        #[command(subcommand)]
        action: ConfigCommand,
    },
    /// Recorded matches: inspect, verify and play them.
    Replay {
        #[command(subcommand)]
        action: ReplayCommand,
    },
    /// Asks a running service whether it is ready; for containers.
    Healthcheck(HealthcheckArguments),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct DevArguments {
    /// Open no sample sessions.
    #[arg(long)]
    pub(crate) no_bots: bool,
    /// Keep nothing: the data folder is temporary.
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Port of the REST API and its pages. Default 8080.
    #[arg(long, value_name = "PORT")]
    pub(crate) port_http: Option<u16>,
    /// Port of the game: UDP and TCP. Default 7777.
    #[arg(long, value_name = "PORT")]
    pub(crate) port_game: Option<u16>,
    /// Moves all five ports up by so many, but those that are 0 or named by a flag, and keeps data
    /// in a folder of that number: for a second one on the same machine.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port_offset: u16,
    /// Reproducible ids and matches; implies --ephemeral.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InstanceArguments {
    /// Matches at once.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=MATCHES_MAX))]
    pub(crate) matches_max: Option<u16>,
    /// End when the first match is over.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BotsArguments {
    /// Address of the REST API.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) api: String,
    /// How many bots.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) players: u16,
    /// How long they play at most; they stop when the match is over.
    #[arg(long, default_value_t = 600, value_parser = seconds(1))]
    pub(crate) seconds: u64,
    /// The game; the program's first one that bots can play when absent.
    #[arg(long)]
    pub(crate) game: Option<String>,
    /// The game's mode; its first one when absent.
    #[arg(long)]
    pub(crate) mode: Option<String>,
    /// Join this session instead of opening one.
    #[arg(long)]
    pub(crate) session: Option<SessionId>,
    /// Try this transport only.
    #[arg(long)]
    pub(crate) transport: Option<TransportArgument>,
    /// The network between: none, lan, broadband, mobile or bad, and fields that differ, for
    /// example `mobile,loss=3%`.
    #[arg(long, value_name = "CONDITIONS", default_value = "none")]
    pub(crate) conditions: NetworkConditions,
    /// Seed of the bots' behaviour and of the network's.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArguments {
    /// Address of the REST API.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) api: String,
    /// Address of the server's metrics. The run does not begin without an answer there.
    #[arg(long, default_value = "http://127.0.0.1:9090/metrics")]
    pub(crate) metrics: String,
    /// Measure from the outside only; nothing is known of the server's ticks then.
    #[arg(long, conflicts_with_all = ["metrics", "settle"])]
    pub(crate) no_metrics: bool,
    /// The game; the program's largest one that bots can play when absent.
    #[arg(long)]
    pub(crate) game: Option<String>,
    /// The game's mode; its first one when absent.
    #[arg(long)]
    pub(crate) mode: Option<String>,
    /// Players in all.
    #[arg(long, default_value_t = 1_000, value_parser = crowd(1))]
    pub(crate) players: u32,
    /// Their protocol: the snapshot stream, lightyear's packets, or half of each.
    #[arg(long, default_value = "thin")]
    pub(crate) protocol: ProtocolArgument,
    /// How many of the players are whole clients, which predict and check the server's state.
    /// Default 2, but 0 among thin players.
    #[arg(long)]
    pub(crate) canaries: Option<u32>,
    /// How many ticks' inputs light native players put into one packet; the game's number when
    /// absent. More of them cost server and bots less, and come later.
    #[arg(long, value_name = "TICKS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(PACKET_TICKS_MAX)))]
    pub(crate) packet_ticks: Option<u16>,
    /// Spectators besides them.
    #[arg(long, default_value_t = 0, value_parser = crowd(0))]
    pub(crate) spectators: u32,
    /// Matches that they are spread over.
    #[arg(long, default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=MATCHES_MAX))]
    pub(crate) matches: u32,
    /// The only transport.
    #[arg(long, default_value = "quic")]
    pub(crate) transport: TransportArgument,
    /// The network between: none, lan, broadband, mobile or bad, and fields that differ, for
    /// example `mobile,loss=3%` or `delay=40ms,jitter=10ms,loss=1%,burst=4,rate=500kB/s`.
    #[arg(long, value_name = "CONDITIONS", default_value = "none")]
    pub(crate) conditions: NetworkConditions,
    /// Seconds in which they come.
    #[arg(long, default_value_t = 10, value_parser = seconds(0))]
    pub(crate) ramp: u64,
    /// Seconds that count, after the ramp.
    #[arg(long, default_value_t = 60, value_parser = seconds(1))]
    pub(crate) seconds: u64,
    /// Players a second who leave after the ramp, and as many who join.
    #[arg(long, default_value_t = 0, value_name = "PLAYERS",
        value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub(crate) churn: u32,
    /// Seconds to watch the server after all have left: does it return to its state before?
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = seconds(0))]
    pub(crate) settle: u64,
    /// Seed of the bots' behaviour and of the network's.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads that play the bots.
    #[arg(long, default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX))]
    pub(crate) threads: u16,
    /// A limit to keep, for example `tick_p99_ms=16.6`; exit code 1 when it is not. Can be
    /// repeated.
    #[arg(long, value_name = "NAME=NUMBER")]
    pub(crate) gate: Vec<Gate>,
    /// Write the report: JSON, or a page when the name ends in .html. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
    /// A line a second instead of a view, on a terminal too.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// Longest duration that a command accepts, in seconds: a week.
const SECONDS_MAX: u64 = 604_800;
/// Most players or spectators of a crowd.
const CROWD_MAX: i64 = 100_000;
/// Most threads that play bots.
const THREADS_MAX: i64 = 512;

fn seconds(min: u64) -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(min..=SECONDS_MAX)
}

fn crowd(min: i64) -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(min..=CROWD_MAX)
}

/// The protocol of a crowd.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProtocolArgument {
    Thin,
    Native,
    Mixed,
}

impl From<ProtocolArgument> for ClientProtocol {
    fn from(argument: ProtocolArgument) -> Self {
        match argument {
            ProtocolArgument::Thin => Self::Thin,
            ProtocolArgument::Native => Self::Native,
            ProtocolArgument::Mixed => Self::Mixed,
        }
    }
}

/// A transport of bots.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TransportArgument {
    Quic,
    Websocket,
}

impl From<TransportArgument> for TransportKind {
    fn from(argument: TransportArgument) -> Self {
        match argument {
            TransportArgument::Quic => Self::Quic,
            TransportArgument::Websocket => Self::WebSocket,
        }
    }
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Brings the schema up to date.
    Up,
    /// Undoes the newest migration.
    Down,
    /// Lists the migrations.
    Status,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Reads the settings and reports what is wrong with them.
    Check,
    /// Prints every setting with its source; secrets are not shown.
    Print,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ReplayCommand {
    /// Prints the contents of a log, and up to which tick it is whole.
    Info {
        /// The log.
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Simulates matches again and compares every tick. Exit code 0: verified; 4: verified up to a
    /// tick, damaged after it; 5: differs; 6: not a log; 7: recorded by another build.
    Verify {
        /// The logs.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Writes a log as text: one JSON object a line for each record.
    Export {
        /// The log.
        file: PathBuf,
        /// Where to; `-` is the terminal.
        #[arg(long, value_name = "OUT")]
        json: PathBuf,
    },
    /// Plays a log in a browser on this machine: serves the page and the file.
    Serve {
        /// The log.
        file: PathBuf,
        /// Port; 0 is any that is free.
        #[arg(long, default_value_t = 8090)]
        port: u16,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct HealthcheckArguments {
    /// The URL to ask; the metrics port of this machine's settings when absent.
    #[arg(long)]
    pub(crate) url: Option<String>,
}
