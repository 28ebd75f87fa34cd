//! What an operator sees: metrics, events, and that the dashboard and the alerts name what there is.

mod sight {
    mod chain;
    mod events;
    mod explain;
    mod metrics;
    mod monitoring;
    #[cfg(feature = "otlp")]
    mod otlp;
    mod webhooks;
}
