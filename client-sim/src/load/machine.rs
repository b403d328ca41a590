//! The machine that a run was made on, as far as its figures depend on it. Linux tells all of it,
//! other systems less.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Settings of the kernel that decide what a loopback carries.
const SETTINGS: [&str; 4] = [
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.somaxconn",
];

/// What a run was made on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// Processor, cores and memory.
    pub name: String,
    /// The kernel's release.
    pub kernel: String,
    /// Settings of the kernel, by name.
    pub settings: BTreeMap<String, String>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or("unknown".to_owned(), |value| value.1.trim().to_owned())
        };
        let cores = cpu.lines().filter(|line| line.starts_with("processor"));
        let kib: f64 = field(&memory, "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(0.0);
        let name = format!(
            "{}, {} cores, {:.0} GiB",
            field(&cpu, "model name"),
            cores.count(),
            kib / 1024.0 / 1024.0
        );
        let setting = |name: &str| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            fs::read_to_string(path).map(|value| (name.to_owned(), value.trim().to_owned()))
        };
        Self {
            name,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            settings: SETTINGS
                .iter()
                .filter_map(|name| setting(name).ok())
                .collect(),
        }
    }
}

/// Processor time that this process has used; none where the system does not tell.
pub(super) fn own_cpu() -> Option<Duration> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Some(Duration::from_secs_f64(
        ticks / procfs::ticks_per_second() as f64,
    ))
}

/// Datagrams that the kernel has dropped since it started: no room in a socket or before it.
pub(super) fn kernel_drops() -> Option<u64> {
    let snmp = procfs::net::snmp().ok()?;
    let softnet = fs::read_to_string("/proc/net/softnet_stat").ok()?;
    // The second column of each processor's line, hexadecimal.
    let backlog = softnet.lines().filter_map(|line| {
        let dropped = line.split_whitespace().nth(1)?;
        u64::from_str_radix(dropped, 16).ok()
    });
    let sockets = [snmp.udp_rcvbuf_errors, snmp.udp_sndbuf_errors];
    Some(sockets.into_iter().sum::<u64>() + backlog.sum::<u64>())
}
