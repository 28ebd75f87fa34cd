//! What each client asks for: registered clients only, and of these the first few; the others are `other`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use regrant_core::ClientId;

use super::requests::Verdict;

/// The label of all clients beyond the first few.
const OTHER: &str = "other";

type Label = [(&'static str, String); 2];

/// One line of series for each client, up to a limit.
#[derive(Debug)]
pub(crate) struct Clients {
    requests: Family<Label, Counter>,
    refreshes: Family<Label, Counter>,
    sessions: Family<Label, Counter>,
    known: RwLock<HashMap<ClientId, Arc<Series>>>,
    other: Arc<Series>,
    most: usize,
}

#[derive(Debug)]
struct Series {
    requests: [Counter; 3],
    /// Rotated, retried, reused.
    refreshes: [Counter; 3],
    /// Saved by the retry rule, ended by a replay, or not ended by one.
    sessions: [Counter; 3],
}

impl Clients {
    pub(super) fn new(registry: &mut Registry, most: usize) -> Self {
        let (requests, refreshes) = (Family::<Label, Counter>::default(), Family::<Label, Counter>::default());
        let sessions = Family::<Label, Counter>::default();
        let help = "Requests of a registered client, by result; clients beyond metrics.clients are \"other\"";
        registry.register("client_requests", help, requests.clone());
        let help = "Refreshes that were answered with tokens, by client and how";
        registry.register("refreshes", help, refreshes.clone());
        let help = "Sessions by client and fate: saved by the retry rule, ended by a replay, or a replay that was only refused";
        registry.register("client_sessions", help, sessions.clone());
        let other = Arc::new(series(&requests, &refreshes, &sessions, OTHER));
        Self { requests, refreshes, sessions, known: RwLock::default(), other, most }
    }

    /// Counts a request of this client. `saved` is whether it saved a session.
    pub(super) fn count(&self, client: &ClientId, verdict: Verdict, outcome: &str, saved: Saved) {
        let series = self.series(client);
        if let Some(counter) = series.requests.get(verdict as usize) {
            counter.inc();
        }
        let [rotated, retried, reused] = &series.refreshes;
        match outcome {
            "rotated" => rotated.inc(),
            "retried" => retried.inc(),
            "reused" => reused.inc(),
            _ => 0,
        };
        let [saved_by_retry, revoked, refused] = &series.sessions;
        match (saved, outcome) {
            (Saved::Counted, _) => saved_by_retry.inc(),
            (Saved::Nothing, "replayed") => revoked.inc(),
            (Saved::Nothing, "replay_refused") => refused.inc(),
            (Saved::Nothing, _) => 0,
        };
    }

    fn series(&self, client: &ClientId) -> Arc<Series> {
        if let Some(series) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(client) {
            return Arc::clone(series);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most && !known.contains_key(client) {
            return Arc::clone(&self.other);
        }
        let make = || Arc::new(series(&self.requests, &self.refreshes, &self.sessions, client.as_str()));
        Arc::clone(known.entry(client.clone()).or_insert_with(make))
    }
}

/// Whether a request saved a session that was not counted yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Saved {
    /// It did.
    Counted,
    /// It did not, or again.
    Nothing,
}

fn series(
    requests: &Family<Label, Counter>,
    refreshes: &Family<Label, Counter>,
    sessions: &Family<Label, Counter>,
    client: &str,
) -> Series {
    let one = |family: &Family<Label, Counter>, name, value: &str| {
        family.get_or_create_owned(&[("client", client.to_owned()), (name, value.to_owned())])
    };
    Series {
        requests: Verdict::ALL.map(|verdict| one(requests, "result", verdict.as_str())),
        refreshes: ["rotated", "retried", "reused"].map(|how| one(refreshes, "how", how)),
        sessions: ["saved", "replay_revoked", "replay_refused"].map(|fate| one(sessions, "fate", fate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check X7: however many clients there are, the series of clients are bounded.
    #[test]
    fn clients_beyond_the_limit_are_counted_as_other() {
        let mut registry = Registry::default();
        let clients = Clients::new(&mut registry, 2);
        for number in 0..100_000 {
            let id = ClientId::parse(&format!("client-{number}")).expect("an identifier");
            clients.count(&id, Verdict::Done, "rotated", Saved::Nothing);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        assert!(text.contains("client_requests_total{client=\"client-1\",result=\"ok\"} 1"), "{text}");
        assert!(text.contains("refreshes_total{client=\"other\",how=\"rotated\"} 99998"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("client=")).count(), 27);
        assert_eq!(clients.known.read().expect("no panic").len(), 2);
    }
}
