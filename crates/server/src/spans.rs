//! Spans: where the time of one request went, for a collector that speaks OTLP. Built only with the feature `otlp`.
//!
//! | span             | from                                          | to                              |
//! |------------------|-----------------------------------------------|---------------------------------|
//! | `METHOD ROUTE`   | the request is routed                         | its answer is there             |
//! | `decide`         | a decision is put into the writer's queue     | its outcome is told             |
//! | `commit`         | a batch is decided                            | it is durable, or has failed    |
//!
//! A commit serves many requests, and a span has one parent. So it is a child of the first decision that it makes durable, and
//! linked with the others, in both directions: the trace of a request that was alone is one tree, and from any other one the commit
//! that it waited for is one step away. A commit that belongs to no request (a sweep, a step of a key's life) has no span.
//!
//! What a span carries is what the log line carries and no more (law L6): our own words, the route's template, numbers, and a client
//! if it is registered. Nothing of the log goes this way, and no span of another library: what those know are the secrets that pass
//! through them. That is why the spans are made here, and not by a bridge from `tracing`.
//!
//! Without the feature, every type here is empty and every function does nothing: the code is not there.

#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod live;
#[cfg(not(feature = "otlp"))]
mod none;

#[cfg(feature = "otlp")]
pub(crate) use live::{Parent, Span, Spans};
#[cfg(not(feature = "otlp"))]
pub(crate) use none::{Parent, Span, Spans};

/// A request, as it is known before it is answered.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody is told"))]
pub(crate) struct Asked<'a> {
    /// Our own word for the route.
    pub(crate) endpoint: &'static str,
    /// One of our own words.
    pub(crate) method: &'static str,
    /// The route's template; empty if there is none.
    pub(crate) route: &'a str,
    /// Well-formed, if it is there.
    pub(crate) traceparent: Option<&'a str>,
}

/// What became of it.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody is told"))]
pub(crate) struct Answered<'a> {
    /// The HTTP status.
    pub(crate) status: u16,
    /// One of our own words.
    pub(crate) outcome: &'static str,
    /// If it is registered; else empty.
    pub(crate) client: &'a str,
    /// What the client was told in the answer.
    pub(crate) correlation: &'a str,
}
