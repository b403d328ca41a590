//! The numbers of a report that scripts and gates read. Does not know how they come about.

use gameserver_contract::ids::SessionId;
use gameserver_contract::session::SessionState;
use serde::Serialize;

/// A run in numbers. They are the report's top-level fields and part of the contract with scripts;
/// a number that was not measured is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// The bots were the bottleneck, so the run says nothing of the server.
    pub void: bool,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub void_reason: Option<String>,
    /// Players that were asked for.
    pub players: u32,
    /// Matches that they were spread over.
    pub matches: u32,
    /// Time that counted.
    pub seconds: f64,
    /// Ticks a second of one match, the mean over all; with `bots`, of their own simulations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticks_per_s: Option<f64>,
    /// Half of the server's ticks take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_p50_ms: Option<f64>,
    /// All but one of a hundred take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_p99_ms: Option<f64>,
    /// From sending an input to having its state, the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_to_state_p50_ms: Option<f64>,
    /// The same, all but one of twenty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_to_state_p95_ms: Option<f64>,
    /// The same, all but one of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_to_state_p99_ms: Option<f64>,
    /// Snapshots a second of the bot in the middle, over its whole time that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots_per_s: Option<f64>,
    /// The same as a share of the game's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_rate_median: Option<f64>,
    /// The same of the bot with the fewest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_rate_min: Option<f64>,
    /// Bots that were admitted.
    pub connected: u64,
    /// Bots that were refused.
    pub refused: u64,
    /// From asking for a seat to being refused, all but one of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_ms_p99: Option<f64>,
    /// Refusals that did not say when to try again.
    pub refused_without_retry: u64,
    /// Connections that ended without being asked to.
    pub disconnects: u64,
    /// Payload bytes a second that all but one of twenty bots do not exceed, received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_down_per_s_p95: Option<f64>,
    /// The same, sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_up_per_s_p95: Option<f64>,
    /// Cores that the server used, the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_cores: Option<f64>,
    /// Memory of the server at most, ramp included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_rss_mib_max: Option<f64>,
    /// What it grew by in the last 30 seconds that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_growth_last_30s_mib: Option<f64>,
    /// How late the bots' own work began, all but one of a hundred cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_lag_ms_p99: Option<f64>,
    /// How long tasks of the bots' network waited for their turn, all but one of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_lag_ms_p99: Option<f64>,
    /// Opponents defeated, by all players.
    pub kills: u64,
    /// What the whole clients among the players measured.
    #[serde(flatten)]
    pub clients: Option<ClientFigures>,
    /// What is known only when everybody plays in one session.
    #[serde(flatten)]
    pub session: Option<SessionFigures>,
    /// Memory that the server had more, after everybody had left, than before anybody came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_growth_mib: Option<f64>,
    /// The same of open files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_left: Option<f64>,
    /// The same of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_left: Option<f64>,
    /// The same of entities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities_left: Option<f64>,
}

/// What whole clients measured while it counted; states must never differ and always count.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClientFigures {
    /// Ticks of the own players whose prediction could be compared with the server's state.
    pub predicted_ticks: u64,
    /// Of these, ticks that were predicted wrongly.
    pub mispredicted_ticks: u64,
    /// Rollbacks a minute and client.
    pub rollbacks_per_min: f64,
    /// Ticks that a rollback repeated, the mean.
    pub rollback_depth_mean: f64,
    /// States of an entity in a tick that two clients of a match received.
    pub compared_states: u64,
    /// Of these, states that differed.
    pub wrong_states: u64,
}

/// What `bots` knows of its one session, beyond [`ClientFigures`] of all its players.
#[derive(Debug, Clone, Serialize)]
pub struct SessionFigures {
    /// The session.
    pub session: SessionId,
    /// Its state afterwards.
    pub session_state: SessionState,
    /// Results stored for it: 1 when the match was played to its end.
    pub results: usize,
    /// Connections that were replaced, by another transport or by a new one of the same.
    pub reconnects: u64,
    /// Ticks in which the server's rules moved a player; these are not compared.
    pub moved_by_server_ticks: u64,
    /// Ticks that the server simulated without a bot's input.
    pub inputs_late: u64,
    /// Longest time that a frame of the bots began too late.
    pub own_lag_ms_max: f64,
}

impl ClientFigures {
    /// For the gate; none when nothing was compared.
    pub(crate) fn wrong_states(&self) -> Option<f64> {
        (self.compared_states > 0).then_some(self.wrong_states as f64)
    }

    /// Mispredicted of the ticks that were compared, 0–1; none without any.
    pub(crate) fn mispredicted_share(&self) -> Option<f64> {
        let share = self.mispredicted_ticks as f64 / self.predicted_ticks as f64;
        (self.predicted_ticks > 0).then_some(share)
    }

    /// One line for the summary.
    pub(crate) fn line(&self) -> String {
        format!(
            "canaries: {} of {} states wrong, {} of {} ticks mispredicted, \
             {:.1} rollbacks a minute of {:.1} ticks",
            self.wrong_states,
            self.compared_states,
            self.mispredicted_ticks,
            self.predicted_ticks,
            self.rollbacks_per_min,
            self.rollback_depth_mean,
        )
    }
}
