//! Specs of the whole system: each file tells what one part promises.

mod admission;
mod docker;
mod draining;
mod fallback;
mod fog;
mod game_port;
mod hostile;
mod inputs;
mod isolation;
mod logins;
mod native_packets;
mod overload;
mod play;
mod replays;
mod repo;
mod resting;
mod thin;
mod tick_parts;
mod watching;
