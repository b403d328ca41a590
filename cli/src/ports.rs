//! The ports of a command: the purpose of each, its setting, and the process that has it when it
//! is taken. It opens none.

use std::io;
use std::net::{IpAddr, SocketAddr};

use procfs::net::{TcpState, tcp, tcp6, udp, udp6};
use procfs::process::{FDTarget, all_processes};

use crate::error::CliError;
use crate::settings::{Settings, SettingsError};

/// Processes that are searched for a socket before its owner counts as unknown.
const PROCESSES_MAX: usize = 10_000;

/// A port that a command opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port {
    pub(crate) setting: &'static str,
    pub(crate) purpose: &'static str,
    pub(crate) address: SocketAddr,
}

/// All ports of one process.
#[derive(Debug, Clone)]
pub(crate) struct Ports(Vec<Port>);

impl Ports {
    /// Those of `gameserver dev`.
    pub(crate) fn of_dev(settings: &Settings) -> Result<Self, SettingsError> {
        let all = [of_api(settings), of_instance(settings)];
        Self::apart(all.concat(), settings)
    }

    /// Those of `gameserver api`.
    pub(crate) fn of_api(settings: &Settings) -> Result<Self, SettingsError> {
        Self::apart(of_api(settings), settings)
    }

    /// Those of `gameserver instance`.
    pub(crate) fn of_instance(settings: &Settings) -> Result<Self, SettingsError> {
        Self::apart(of_instance(settings), settings)
    }

    /// With that of the metrics, each another one.
    fn apart(mut ports: Vec<Port>, settings: &Settings) -> Result<Self, SettingsError> {
        ports.push(Port {
            setting: "metrics.address",
            purpose: "metrics and health",
            address: settings.metrics.address,
        });
        for (index, first) in ports.iter().enumerate() {
            let same = ports[index + 1..]
                .iter()
                .find(|second| collide(first.address, second.address));
            if let Some(second) = same {
                return Err(SettingsError::SamePort {
                    first: first.setting,
                    second: second.setting,
                    port: first.address.port(),
                });
            }
        }
        Ok(Self(ports))
    }

    /// The reason why this address could not be opened, with its setting and the port's owner.
    pub(crate) fn not_opened(&self, address: SocketAddr, error: &io::Error) -> CliError {
        let port = self.0.iter().find(|port| port.address == address);
        let (purpose, setting) = port.map_or(("this command", "another port"), |port| {
            (port.purpose, port.setting)
        });
        CliError::Port {
            address,
            purpose,
            cause: cause(address, error),
            advice: format!("set {setting}, or move all ports of dev with --port-offset"),
        }
    }
}

/// The reason why an address could not be opened, in the words of operators.
pub(crate) fn cause(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        return match holder(address) {
            Some(holder) => format!("it is in use by {holder}"),
            None => "it is in use".to_owned(),
        };
    }
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return "this machine has no such address".to_owned();
    }
    error.to_string()
}

fn of_api(settings: &Settings) -> Vec<Port> {
    vec![
        Port {
            setting: "http.address",
            purpose: "the REST API",
            address: settings.http.address,
        },
        Port {
            setting: "control.address",
            purpose: "instances that call web-api",
            address: settings.control.address,
        },
    ]
}

fn of_instance(settings: &Settings) -> Vec<Port> {
    vec![
        Port {
            setting: "game.address",
            purpose: "players (UDP and TCP)",
            address: settings.game.address,
        },
        Port {
            setting: "instance.control_address",
            purpose: "web-api that calls this instance",
            address: settings.instance.control_address,
        },
    ]
}

/// Whether a process can have only one of these.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0 && one.port() == other.port() && overlap(one.ip(), other.ip())
}

/// `[::]` takes the port of IPv4 as well, unless the system is configured otherwise.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

/// The process that has this port, as far as the system reports it.
fn holder(address: SocketAddr) -> Option<String> {
    let sockets = sockets_at(address);
    let (_, user) = sockets.first().copied()?;
    let processes = all_processes().ok()?;
    for process in processes.flatten().take(PROCESSES_MAX) {
        // Those of other users do not show their files.
        let Ok(mut files) = process.fd() else {
            continue;
        };
        let has_it = files.any(|file| {
            let Ok(FDTarget::Socket(inode)) = file.map(|file| file.target) else {
                return false;
            };
            sockets.iter().any(|(held, _)| *held == inode)
        });
        if has_it {
            let name = process
                .stat()
                .map_or_else(|_| "?".to_owned(), |stat| stat.comm);
            return Some(format!("{name} (process {})", process.pid));
        }
    }
    Some(format!("a process of the user {user}"))
}

/// Inode and user of each socket that listens there.
fn sockets_at(address: SocketAddr) -> Vec<(u64, u32)> {
    let is_there = |held: SocketAddr| collide(held, address);
    let listening = [tcp(), tcp6()].into_iter().flatten().flatten();
    let listening = listening
        .filter(|entry| entry.state == TcpState::Listen && is_there(entry.local_address))
        .map(|entry| (entry.inode, entry.uid));
    let listening: Vec<_> = listening.collect();
    if !listening.is_empty() {
        return listening;
    }
    // Only the game port is UDP as well.
    let bound = [udp(), udp6()].into_iter().flatten().flatten();
    let bound = bound
        .filter(|entry| is_there(entry.local_address))
        .map(|entry| (entry.inode, entry.uid));
    bound.collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn the_process_that_has_a_port_is_named() {
        let me = format!("(process {})", std::process::id());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let found = holder(listener.local_addr().unwrap()).unwrap();
        assert!(found.ends_with(&me), "{found}");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let found = holder((Ipv4Addr::UNSPECIFIED, port).into()).unwrap();
        assert!(found.ends_with(&me), "{found}");
    }

    #[test]
    fn a_process_does_not_get_one_port_twice() {
        let mut settings = Settings::default();
        assert!(Ports::of_dev(&settings).is_ok());
        settings.metrics.address = ([0, 0, 0, 0], 8082).into();
        assert!(Ports::of_api(&settings).is_ok());
        let message = Ports::of_instance(&settings).unwrap_err().to_string();
        assert!(
            message.contains("instance.control_address and metrics.address"),
            "{message}"
        );
        settings.metrics.address.set_port(0);
        settings.instance.control_address.set_port(0);
        assert!(Ports::of_dev(&settings).is_ok());
    }
}
