//! The machine that a run was made on, as far as its figures depend on it. Linux
//! reports all of it, other systems less.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use procfs::{CpuInfo, Current as _, Meminfo};
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
        let (cpu, memory) = (CpuInfo::current().ok(), Meminfo::current().ok());
        let model = cpu.as_ref().and_then(|cpu| cpu.model_name(0));
        let name = format!(
            "{}, {} cores, {:.0} GiB",
            model.unwrap_or("unknown"),
            cpu.as_ref().map_or(0, CpuInfo::num_cores),
            memory.map_or(0, |memory| memory.mem_total) as f64 / f64::from(1 << 30),
        );
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let setting = |name: &str| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            fs::read_to_string(path).map(|value| (name.to_owned(), value.trim().to_owned()))
        };
        Self {
            name,
            kernel: kernel.trim().to_owned(),
            settings: SETTINGS
                .iter()
                .filter_map(|name| setting(name).ok())
                .collect(),
        }
    }
}

/// Processor time that this process has used; none where the system does not report it.
pub(crate) fn own_cpu() -> Option<Duration> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Some(Duration::from_secs_f64(
        ticks / procfs::ticks_per_second() as f64,
    ))
}

/// Datagrams that the kernel has dropped since it started: no room in a socket or before it.
pub(crate) fn kernel_drops() -> Option<u64> {
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
