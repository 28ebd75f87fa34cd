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
    known: RwLock<HashMap<ClientId, Arc<Series>>>,
    other: Arc<Series>,
    most: usize,
}

#[derive(Debug)]
struct Series {
    requests: [Counter; 3],
    /// Rotated, retried, reused.
    refreshes: [Counter; 3],
}

impl Clients {
    pub(super) fn new(registry: &mut Registry, most: usize) -> Self {
        let (requests, refreshes) = (Family::<Label, Counter>::default(), Family::<Label, Counter>::default());
        let help = "Requests of a registered client, by result; clients beyond metrics.clients are \"other\"";
        registry.register("client_requests", help, requests.clone());
        let help = "Refreshes that were answered with tokens, by client and how";
        registry.register("refreshes", help, refreshes.clone());
        let other = Arc::new(series(&requests, &refreshes, OTHER));
        Self { requests, refreshes, known: RwLock::default(), other, most }
    }

    /// Counts a request of this client.
    pub(super) fn count(&self, client: &ClientId, verdict: Verdict, outcome: &str) {
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
    }

    fn series(&self, client: &ClientId) -> Arc<Series> {
        if let Some(series) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(client) {
            return Arc::clone(series);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most && !known.contains_key(client) {
            return Arc::clone(&self.other);
        }
        let make = || Arc::new(series(&self.requests, &self.refreshes, client.as_str()));
        Arc::clone(known.entry(client.clone()).or_insert_with(make))
    }
}

fn series(requests: &Family<Label, Counter>, refreshes: &Family<Label, Counter>, client: &str) -> Series {
    let one = |family: &Family<Label, Counter>, name, value: &str| {
        family.get_or_create_owned(&[("client", client.to_owned()), (name, value.to_owned())])
    };
    Series {
        requests: Verdict::ALL.map(|verdict| one(requests, "result", verdict.as_str())),
        refreshes: ["rotated", "retried", "reused"].map(|how| one(refreshes, "how", how)),
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
            clients.count(&id, Verdict::Done, "rotated");
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        assert!(text.contains("client_requests_total{client=\"client-1\",result=\"ok\"} 1"), "{text}");
        assert!(text.contains("refreshes_total{client=\"other\",how=\"rotated\"} 99998"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("client=")).count(), 18);
        assert_eq!(clients.known.read().expect("no panic").len(), 2);
    }
}
