//! The true reason of each refusal, as an operator finds it in the log by the correlation id of the answer (law L12).

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::Reply;

static LISTENING: Once = Once::new();
static REASONS: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);
static TOLD: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// From now on this process remembers the reasons that it logs. A subscriber that is already set stays.
pub fn listen() {
    LISTENING.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Reasons));
    });
}

/// The logged reason of this answer; empty if nothing was refused, or nobody [listened](listen).
#[must_use]
pub fn reason(reply: &Reply) -> String {
    let reasons = REASONS.lock().unwrap_or_else(PoisonError::into_inner);
    reasons.as_ref().and_then(|reasons| reasons.get(&reply.header("x-correlation-id")).cloned()).unwrap_or_default()
}

/// Whether an operator who logs as usual, at info, has a line about this request.
#[must_use]
pub fn is_told(reply: &Reply) -> bool {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.as_ref().is_some_and(|told| told.contains(&reply.header("x-correlation-id")))
}

struct Reasons;

impl<S: Subscriber> Layer<S> for Reasons {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::DEBUG && metadata.target().starts_with("regrant")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut found = Fields::default();
        event.record(&mut found);
        if let Some(correlation) = found.correlation.as_ref().filter(|_| *event.metadata().level() <= Level::INFO) {
            let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            told.get_or_insert_default().insert(correlation.clone());
        }
        if let (Some(correlation), Some(reason)) = (found.correlation, found.reason) {
            let mut reasons = REASONS.lock().unwrap_or_else(PoisonError::into_inner);
            reasons.get_or_insert_default().insert(correlation, reason);
        }
    }
}

#[derive(Default)]
struct Fields {
    correlation: Option<String>,
    reason: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "correlation" => self.correlation = Some(value.to_owned()),
            "reason" => self.reason = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
