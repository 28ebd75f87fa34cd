//! What is counted of each request, once, when it is answered.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use regrant_core::ClientId;

use super::Labels;
use super::histogram::Histogram;
use super::saved::Saved;

pub(crate) use super::saved::Rotation;

/// How a request ended, roughly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It got what it asked for, or the next page.
    Done,
    /// It was refused.
    Refused,
    /// The server could not.
    Unavailable,
}

impl Verdict {
    pub(super) const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Unavailable];

    pub(crate) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            500.. => Self::Unavailable,
            400..500 => Self::Refused,
            _ => Self::Done,
        }
    }

    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A request that was answered.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    /// Our own word for where it went.
    pub(crate) endpoint: &'static str,
    /// Our own word for what became of it.
    pub(crate) outcome: &'static str,
    pub(crate) verdict: Verdict,
    /// The registered client that was named.
    pub(crate) client: Option<&'a ClientId>,
    /// What was retried, if it was a retry.
    pub(crate) retried: Option<Rotation>,
    pub(crate) took: Duration,
}

/// Series by endpoint, and those that an operator looks at first.
#[derive(Debug)]
pub(crate) struct Requests {
    all: Family<Labels<2>, Counter>,
    latency: Family<Labels<2>, Histogram, fn() -> Histogram>,
    saved: Saved,
    stragglers: Counter,
    replays_revoked: Counter,
    replays_refused: Counter,
    codes_redeemed: Counter,
    codes_replayed: Counter,
    logins_ok: Counter,
    logins_failed: Counter,
    consents_allowed: Counter,
    consents_denied: Counter,
}

impl Requests {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let all = Family::default();
        registry.register("requests", "Requests that were answered, by endpoint and outcome", Family::clone(&all));
        let latency = Family::new_with_constructor(Histogram::latency as fn() -> Histogram);
        let help = "From the request's head to the answer's, by endpoint and result";
        registry.register_with_unit("request_duration", help, Unit::Seconds, Family::clone(&latency));
        let saved = Saved::default();
        let help = "Sessions that the retry rule saved: the answer was lost, and the spent token was answered again";
        registry.register("sessions_saved", help, saved.count.clone());
        let stragglers = Counter::default();
        registry.register("stragglers", "Late requests that were asked to come again", stragglers.clone());
        let mut pair = |name, help, label: &'static str, words: [&'static str; 2]| {
            let family = Family::<Labels<1>, Counter>::default();
            registry.register(name, help, family.clone());
            words.map(|word| family.get_or_create_owned(&[(label, word)]))
        };
        let help = "Refresh tokens presented after they were spent, by what became of the grant";
        let [replays_revoked, replays_refused] = pair("replays", help, "action", ["revoked", "refused"]);
        let [codes_redeemed, codes_replayed] =
            pair("codes", "Authorization codes presented, by outcome", "outcome", ["redeemed", "replayed"]);
        let [logins_ok, logins_failed] = pair("logins", "Passwords verified, by result", "result", ["ok", "failed"]);
        let [consents_allowed, consents_denied] =
            pair("consents", "Answers on the consent page", "decision", ["allowed", "denied"]);
        Self {
            all,
            latency,
            saved,
            stragglers,
            replays_revoked,
            replays_refused,
            codes_redeemed,
            codes_replayed,
            logins_ok,
            logins_failed,
            consents_allowed,
            consents_denied,
        }
    }

    /// Counts a request; whether it saved a session that was not counted yet.
    pub(crate) fn count(&self, told: &Told<'_>) -> bool {
        self.all.get_or_create(&[("endpoint", told.endpoint), ("outcome", told.outcome)]).inc();
        let labels = [("endpoint", told.endpoint), ("result", told.verdict.as_str())];
        self.latency.get_or_create(&labels).took(told.took);
        let counter = match told.outcome {
            "retried" => {
                return told.retried.is_some_and(|rotation| self.saved.retried(rotation));
            }
            "straggler" => &self.stragglers,
            "replayed" => &self.replays_revoked,
            "replay_refused" => &self.replays_refused,
            "redeemed" => &self.codes_redeemed,
            "code_replayed_now" | "code_replayed" => &self.codes_replayed,
            "logged_in" | "granted_by_password" => &self.logins_ok,
            "login_failed" | "wrong_password" => &self.logins_failed,
            "consented" => &self.consents_allowed,
            "access_denied" => &self.consents_denied,
            _ => return false,
        };
        counter.inc();
        false
    }
}
