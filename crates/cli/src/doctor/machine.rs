//! The machine: its clock, and what it lets a process have.

use std::path::Path;

use regrant_server::Clock;
use regrant_server::admin::Status;
use rustix::process::{Resource, getrlimit};

use super::Finding;

/// Connections take a descriptor each.
const FEW_FILES: u64 = 4096;
/// A clock that is further than this behind the newest time in the store has stepped back.
const STEP: i64 = 5_000;
/// 2026-01-01: no machine that runs this is older.
const OLDEST: i64 = 1_767_225_600_000;

/// Whether the clock can be right, and whether something keeps it so.
pub(super) fn clock(status: Option<&Status>) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let now = Clock::system().now().millis();
    let remedy = "Let the machine keep its time by NTP (systemd-timesyncd, chrony), and set it right once.";
    if now < OLDEST {
        return vec![Finding::problem(CHECK, "it stands before this program was made", remedy)];
    }
    let millis = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    let newest = status.and_then(|status| millis(&status.now));
    let behind = newest.map_or(0, |newest| newest - now);
    if behind > STEP {
        let says = format!(
            "it stands {} s behind the newest time in the store: it was ahead once, or has stepped back",
            behind / 1000
        );
        let more = "Until it has caught up, the server uses the newest time that it knows.";
        return vec![Finding::problem(CHECK, says, format!("{remedy} {more}"))];
    }
    let kept = [
        "/run/systemd/timesync/synchronized",
        "/run/chrony/chronyd.pid",
        "/var/run/chrony/chronyd.pid",
        "/run/ntpd.pid",
    ];
    if kept.iter().any(|path| Path::new(path).exists()) {
        vec![Finding::fine(CHECK, "it is kept by NTP, and not behind the store")]
    } else {
        vec![Finding::note(CHECK, "nothing was seen that keeps it right", remedy)]
    }
}

/// How many files a process may have open.
pub(super) fn limits() -> Vec<Finding> {
    const CHECK: &str = "open files";
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let says = format!("a process of yours may have {most} open");
    if most < FEW_FILES {
        let remedy =
            "Raise it for the server: LimitNOFILE=65536 in its unit, or ulimit -n 65536. Each connection takes one.";
        vec![Finding::note(CHECK, says, remedy)]
    } else {
        vec![Finding::fine(CHECK, says)]
    }
}
