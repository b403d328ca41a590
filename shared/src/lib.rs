//! The engine that knows no game: what server and clients share to simulate one match.
//!
//! A user writes one crate that implements [`game::Game`]; everything else (transport, tickets,
//! ticks, prediction, rollback, results) is the engine's. This crate does no I/O and reads no
//! clock: a simulation sees its tick, its inputs and a seeded random source, nothing else.
//!
//! Reading order: [`game`], [`tick`], [`input`], [`player`], [`net_id`], [`flow`], [`event`],
//! [`determinism`], [`declaration`], [`state`], [`send_schedule`], [`snapshot`], [`visibility`],
//! [`grid`], [`walls`], [`protocol`], [`wire_ids`], [`bot`], [`offline`].

pub mod bot;
pub mod declaration;
pub mod determinism;
pub mod event;
pub mod flow;
pub mod game;
pub mod grid;
pub mod input;
pub mod net_id;
pub mod offline;
pub mod player;
pub mod protocol;
pub mod send_schedule;
pub mod snapshot;
pub mod state;
pub mod tick;
pub mod visibility;
pub mod walls;
pub mod wire_ids;

pub use gameserver_contract as contract;
pub use gameserver_stream as stream;

/// What a game's crate usually needs.
pub mod prelude {
    pub use gameserver_contract::game::{GameDescriptor, GameMode, NetcodeModel};
    pub use gameserver_contract::ids::Seat;

    pub use crate::bot::{BotGame, BotTally, BotView};
    pub use crate::declaration::{Declaration, MatchState, StateBuilder};
    pub use crate::determinism::MatchRng;
    pub use crate::event::MatchEvent;
    pub use crate::flow::{EndMatch, MatchPhase, MatchRules, MatchSettings, MatchStatus, Score};
    pub use crate::game::{Game, PredictedState};
    pub use crate::input::{InputFields, InputRefusal, PlayerAction, PlayerInput};
    pub use crate::net_id::NetId;
    pub use crate::player::{Avatar, NewPlayers, PlayerJoined, PlayerLeft, Simulated};
    pub use crate::send_schedule::SendSchedule;
    pub use crate::snapshot::{Audience, Field, SnapshotSlot, SnapshotSystems, Team};
    pub use crate::tick::{CurrentTick, TickSystems};
    pub use crate::visibility::{LineOfSight, Visibility, Visible, limit_visibility};
}
