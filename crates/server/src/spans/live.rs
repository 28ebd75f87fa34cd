//! With the feature `otlp`: spans by the OpenTelemetry SDK, sent in batches by a thread of its own.
//!
//! There is no span before [`Spans::start`], and none if nobody named a collector. A span that finds the queue full is dropped: who
//! watches must not slow down what is watched.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, SdkTracer, SdkTracerProvider, Span as SdkSpan,
};
use regrant_store::Unavailable;

use super::collector::Collector;
use super::{Answered, Asked};
use crate::chance;
use crate::config::LogSetting;

/// The most spans that wait to be sent, and the most in one message.
const MAX_WAITING: usize = 4096;
const MAX_MESSAGE: usize = 512;
/// How long what is left may take when the server stops.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// The most links of a commit. Each decision is linked with its commit in any case.
const MAX_LINKS: u32 = 128;

/// All spans of one server. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Spans(Arc<OnceLock<Live>>);

struct Live {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A span, which ends when it is dropped. Empty if nobody is told of it.
pub(crate) struct Span(Option<Box<SdkSpan>>);

/// What may be the parent of another span.
#[derive(Clone, Default)]
pub(crate) struct Parent(Option<SpanContext>);

impl Spans {
    /// None, until [`Spans::start`].
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Begins to send, if the configuration or the environment names a collector. What cannot be done is said in the log, and the
    /// server serves without it.
    pub(crate) fn start(&self, setting: &LogSetting) {
        if setting.otlp_endpoint.is_none() && !is_named_by_environment() {
            return;
        }
        match exporter(setting.otlp_endpoint.as_deref()) {
            Ok(exporter) => {
                let _ = self.0.set(Live::new(exporter));
                tracing::info!("spans are sent by OTLP");
            }
            Err(error) => {
                tracing::warn!(%error, "no spans are sent: the settings of the collector make no sense; look at [log] otlp_endpoint and the variables OTEL_EXPORTER_OTLP_…");
            }
        }
    }

    /// Sends what is left, within two seconds.
    pub(crate) async fn stop(&self) {
        if let Some(live) = self.0.get() {
            let provider = live.provider.clone();
            // It waits for the thread that sends.
            let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_SPANS)).await;
            if !matches!(stopped, Ok(Ok(()))) {
                tracing::warn!("the collector did not take the last spans");
            }
        }
    }

    /// The span of a request. Its parent is what the sender says it is, if the sender records it too. Probes have none.
    pub(crate) fn request(&self, asked: &Asked<'_>) -> Span {
        if matches!(asked.endpoint, "healthz" | "readyz") {
            return Span(None);
        }
        self.begin(|| {
            let name = if asked.route.is_empty() {
                asked.method.into()
            } else {
                format!("{} {}", asked.method, asked.route).into()
            };
            let mut attributes = vec![KeyValue::new("http.request.method", asked.method)];
            if !asked.route.is_empty() {
                attributes.push(KeyValue::new("http.route", asked.route.to_owned()));
            }
            let parent = asked.traceparent.and_then(sampled_parent);
            let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
            Some((SpanBuilder { name, attributes: Some(attributes), ..kind(SpanKind::Server) }, context))
        })
    }

    /// A span below another one; none below none.
    pub(crate) fn child(&self, name: &'static str, parent: &Parent) -> Span {
        self.begin(|| Some((SpanBuilder { name: name.into(), ..kind(SpanKind::Internal) }, below(parent.0.clone()?))))
    }

    /// The commit that these decisions wait for.
    pub(crate) fn commit<'a>(&self, decisions: impl Iterator<Item = &'a mut Span>) -> Span {
        let mut decisions = decisions.filter_map(|span| span.0.as_deref_mut()).filter(|span| span.is_recording());
        let Some(first) = decisions.next() else { return Span(None) };
        let mut others: Vec<&mut SdkSpan> = decisions.collect();
        let most = usize::try_from(MAX_LINKS).unwrap_or(usize::MAX);
        let links = others.iter().take(most).map(|span| Link::with_context(span.span_context().clone())).collect();
        let builder = SpanBuilder { name: "commit".into(), links: Some(links), ..kind(SpanKind::Internal) };
        let context = below(first.span_context().clone());
        let mut commit = self.begin(|| Some((builder, context)));
        if let Some(commit) = &mut commit.0 {
            let jobs = i64::try_from(others.len()).unwrap_or(i64::MAX).saturating_add(1);
            commit.set_attribute(KeyValue::new("regrant.decisions", jobs));
            for other in &mut others {
                other.add_link(commit.span_context().clone(), Vec::new());
            }
        }
        commit
    }

    fn begin(&self, span: impl FnOnce() -> Option<(SpanBuilder, Context)>) -> Span {
        let Some(live) = self.0.get() else { return Span(None) };
        Span(span().map(|(builder, context)| Box::new(live.tracer.build_with_context(builder, &context))))
    }
}

impl Span {
    /// What others may be below.
    pub(crate) fn as_parent(&self) -> Parent {
        Parent(self.0.as_ref().map(|span| span.span_context().clone()))
    }

    /// Ends the span of a request.
    pub(crate) fn answered(self, answered: &Answered<'_>) {
        let Some(mut span) = self.0 else { return };
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(answered.status)));
        span.set_attribute(KeyValue::new("regrant.outcome", answered.outcome));
        span.set_attribute(KeyValue::new("regrant.correlation_id", answered.correlation.to_owned()));
        if !answered.client.is_empty() {
            span.set_attribute(KeyValue::new("regrant.client_id", answered.client.to_owned()));
        }
        if answered.status >= 500 {
            span.set_attribute(KeyValue::new("error.type", answered.outcome));
            span.set_status(Status::error(""));
        }
    }

    /// Ends the span of a commit.
    pub(crate) fn committed<T>(self, records: usize, done: &Result<T, Unavailable>) {
        let Some(mut span) = self.0 else { return };
        span.set_attribute(KeyValue::new("regrant.records", i64::try_from(records).unwrap_or(i64::MAX)));
        if let Err(trouble) = done {
            span.set_attribute(KeyValue::new("error.type", trouble.cause.to_string()));
            span.set_status(Status::error(""));
        }
    }
}

impl Live {
    fn new(exporter: SpanExporter) -> Self {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(MAX_MESSAGE)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_id_generator(Ids)
            .with_max_links_per_span(MAX_LINKS)
            .with_resource(resource())
            .build();
        Self { tracer: provider.tracer("regrant"), provider }
    }
}

impl Drop for Live {
    /// Where the server was dropped and not stopped: the SDK would wait for its thread right here, on a thread of the runtime.
    fn drop(&mut self) {
        let provider = self.provider.clone();
        let _ = std::thread::Builder::new().spawn(move || provider.shutdown_with_timeout(LAST_SPANS));
    }
}

/// Names from the one place that asks for chance.
#[derive(Debug)]
struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(u128::from_be_bytes(chance::bytes()))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(u64::from_be_bytes(chance::bytes()))
    }
}

/// OpenTelemetry, OTLP exporter configuration: the settings of the program come before those of the environment, and the path of
/// the traces is added to an endpoint that is not theirs alone.
fn exporter(endpoint: Option<&str>) -> Result<SpanExporter, ExporterBuildError> {
    // Sent once: whatever the collector did not take is dropped, and the thread is free for the next.
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new())
        .with_retry_policy(RetryPolicy::disabled())
        .with_protocol(Protocol::HttpBinary);
    if let Some(endpoint) = endpoint {
        let base = endpoint.trim_end_matches('/');
        let path = if base.ends_with("/v1/traces") { "" } else { "/v1/traces" };
        builder = builder.with_endpoint(format!("{base}{path}"));
    }
    builder.build()
}

/// What all spans are of: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, else our own name.
fn resource() -> Resource {
    let told = Resource::builder().build();
    let is_named = told
        .get(&Key::from_static_str("service.name"))
        .is_some_and(|name| !name.as_str().is_empty() && !name.as_str().starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if is_named { builder.build() } else { builder.with_service_name("regrant").build() }
}

fn is_named_by_environment() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    !off && ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].iter().any(|name| set(name).is_some())
}

fn kind(kind: SpanKind) -> SpanBuilder {
    SpanBuilder { span_kind: Some(kind), ..SpanBuilder::default() }
}

fn below(parent: SpanContext) -> Context {
    Context::new().with_remote_span_context(parent)
}

/// W3C Trace Context section 3.2.2.5.1: "When set, the least significant bit (right-most), denotes that the caller may have
/// recorded trace data." Below a span that nobody recorded ours would be lost, so it is then a root.
fn sampled_parent(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, parent) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(parent).ok()?);
    flags.is_sampled().then(|| SpanContext::new(trace, parent, TraceFlags::SAMPLED, true, TraceState::NONE))
}
