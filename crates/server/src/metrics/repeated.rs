//! PKCE challenges and nonces that came again (RFC 9700 section 2.1.1): reloads, and constant values.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use regrant_core::repeated::{Use, Value};

use super::Labels;

/// Four series.
#[derive(Debug, Default)]
pub(crate) struct RepeatedValues(Family<Labels<2>, Counter>);

impl RepeatedValues {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "PKCE challenges and nonces that were seen within a day before, in the same session (a reload) or in another one (constant)";
        registry.register("repeated_values", help, self.0.clone());
        for value in [Value::CodeChallenge, Value::Nonce] {
            for session in ["same", "other"] {
                drop(self.0.get_or_create(&[("value", word(value)), ("session", session)]));
            }
        }
    }

    pub(crate) fn count(&self, value: Value, used: Use) {
        let session = match used {
            Use::First => return,
            Use::SameSession => "same",
            Use::OtherSession => "other",
        };
        self.0.get_or_create(&[("value", word(value)), ("session", session)]).inc();
    }
}

const fn word(value: Value) -> &'static str {
    match value {
        Value::CodeChallenge => "code_challenge",
        Value::Nonce => "nonce",
    }
}
