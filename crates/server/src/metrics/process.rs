//! The process itself, as Linux tells of it; elsewhere these series stay at 0.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Default)]
pub(super) struct Process {
    resident: Gauge,
    files: Gauge,
    threads: Gauge,
}

impl Process {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let process = Self::default();
        registry.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, process.resident.clone());
        registry.register("open_fds", "Open file descriptors", process.files.clone());
        registry.register("threads", "Threads", process.threads.clone());
        process
    }

    /// Reads them anew.
    pub(super) fn read(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse::<i64>().ok()
        };
        self.resident.set(number("VmRSS").unwrap_or(0).saturating_mul(1024));
        self.threads.set(number("Threads").unwrap_or(0));
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.files.set(i64::try_from(files).unwrap_or(i64::MAX));
    }
}
