//! Specs of the binary: it is run as a user runs it, over real sockets.

mod clients;
mod crashes;
mod first_run;
mod load;
mod load_native;
mod matches;
mod operations;
mod overload;
mod replays;
mod settings;
mod support;
mod surroundings;
mod unread;
