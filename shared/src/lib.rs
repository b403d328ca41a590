//! The engine that knows no game: what server and clients share to simulate one match.
//!
//! A user writes one crate that implements [`game::Game`]; everything else (transport, tickets,
//! ticks, prediction, rollback, results) is the engine's. This crate does no I/O and reads no
//! clock: a simulation sees its tick, its inputs and a seeded random source, nothing else.
//!
//! Reading order: [`game`], [`tick`], [`input`], [`player`], [`net_id`], [`flow`], [`event`],
//! [`determinism`], [`state`], [`turns`], [`snapshot`], [`sight`], [`grid`], [`protocol`], [`wire_ids`],
//! [`bot`].

pub mod bot;
pub mod determinism;
pub mod event;
pub mod flow;
pub mod game;
pub mod grid;
pub mod input;
pub mod net_id;
pub mod player;
pub mod protocol;
pub mod sight;
pub mod snapshot;
pub mod state;
pub mod tick;
pub mod turns;
pub mod wire_ids;

pub use gameserver_contract as contract;
pub use gameserver_stream as stream;

/// What a game's crate usually needs.
pub mod prelude {
    pub use gameserver_contract::game::{GameDescriptor, GameMode, NetcodeModel};
    pub use gameserver_contract::ids::Seat;

    pub use crate::bot::BotPolicy;
    pub use crate::determinism::MatchRng;
    pub use crate::event::MatchEvent;
    pub use crate::flow::{MatchOver, MatchPhase, MatchSettings, MatchStatus, Standing};
    pub use crate::game::{Game, PredictedState};
    pub use crate::input::{InputRefusal, PlayerAction, PlayerInput};
    pub use crate::net_id::NetId;
    pub use crate::player::{Avatar, PlayerJoined, PlayerLeft, Simulated};
    pub use crate::sight::{Glance, Sight, Visible};
    pub use crate::snapshot::{
        Audience, Field, OnStage, Quantised, ShownKind, SnapshotSystems, Team, Values,
    };
    pub use crate::state::RecordState;
    pub use crate::tick::{CurrentTick, TickSystems};
    pub use crate::turns::Turns;
}
