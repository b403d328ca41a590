//! How to start a Redis that keeps nothing on disk.

use std::io;

use super::install::Installation;
use super::supervised::{Plan, Supervised};
use crate::interrupt::Interrupts;

/// Starts Redis on `port`.
pub(super) fn start(
    installation: &Installation,
    port: u16,
    interrupts: &Interrupts,
) -> io::Result<Supervised> {
    let folder = super::data_folder("redis", port)?;
    let options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut command_line = vec![installation.redis_server.display().to_string()];
    command_line.extend(options.map(str::to_owned));
    command_line.extend(["--port".to_owned(), port.to_string()]);
    command_line.extend(["--dir".to_owned(), folder.display().to_string()]);
    let plan = Plan {
        name: "Redis",
        command_line,
        folder,
        account: None,
        port,
        probe: b"PING\r\n",
        ready_answer: b"+PONG",
    };
    Supervised::start(&plan, interrupts)
}
