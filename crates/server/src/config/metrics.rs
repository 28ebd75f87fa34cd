//! `[metrics]`: where Prometheus scrapes, and how many clients get a label of their own.

use std::net::SocketAddr;

use super::document::Section;
use super::places;
use super::problem::Problem;

/// `clients` unless set.
pub(super) const DEFAULT_CLIENTS: usize = 100;
const MOST_CLIENTS: u64 = 10_000;

/// How much is told, and to whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricsSetting {
    /// Where `/metrics` is; nowhere unless set.
    pub listen: Option<SocketAddr>,
    /// How many clients get a label of their own; the others are `other`.
    pub clients: usize,
}

impl Default for MetricsSetting {
    fn default() -> Self {
        Self { listen: None, clients: DEFAULT_CLIENTS }
    }
}

/// Reads the section. `taken` are the addresses of the other listeners.
pub(super) fn read(section: &Section<'_>, taken: &[SocketAddr]) -> MetricsSetting {
    let mut setting = MetricsSetting::default();
    let remote = section.flag("allow_remote").unwrap_or(false);
    if let Some(text) = section.string("listen") {
        match places::listen(&text) {
            Ok(listen) if !remote && !places::is_loopback(listen.ip()) => {
                let what = format!(
                    "{listen} can be reached from elsewhere, and whoever reaches it reads the metrics unencrypted"
                );
                let remedy = "Listen on 127.0.0.1, or write allow_remote = true beside it if only your scraper can reach the port.";
                section.problem(Problem::new("listen", what, remedy));
            }
            Ok(listen) if places::is_taken(listen, taken) => section.problem(places::taken(listen)),
            Ok(listen) => setting.listen = Some(listen),
            Err(problem) => section.problem(problem),
        }
    }
    if let Some(clients) = section.whole_number("clients", 0..=MOST_CLIENTS) {
        setting.clients = usize::try_from(clients).unwrap_or(DEFAULT_CLIENTS);
    }
    section.finish(&super::TOP);
    setting
}
