//! One line in the log for each request, and its numbers: around every endpoint, in one place.
//!
//! Endpoints say what they know with [`outcome`], [`client`] and [`grant`]; the line is written when the answer is there. Nothing in
//! it is chosen by the sender but a well-formed `traceparent`: the path is the route's template, and a client stands in it only if
//! it is registered, for what else is sent as a name may be a password (law L6). So a request costs the log one line of bounded
//! length, whatever it holds (check X11).

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, HeaderName, Method, Response};
use axum::middleware::Next;
use regrant_core::{Client, Grant, GrantId};

use crate::app::App;
use crate::clock::Stopwatch;
use crate::correlation::{Correlation, HEADER};
use crate::limits::budget::Line as Budgeted;
use crate::metrics::{Rotation, Told, Verdict};
use crate::peer::Peer;
use crate::spans::{Answered, Asked, Parent};
use crate::whereabouts::{Whereabouts, network};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    static SEEN: Seen;
}

/// What is known of the request under way.
struct Seen {
    correlation: Correlation,
    outcome: Cell<&'static str>,
    detail: RefCell<String>,
    client: RefCell<Option<Arc<Client>>>,
    grant: Cell<Option<GrantId>>,
    rotation: Cell<Option<Rotation>>,
    span: Parent,
    from: Whereabouts,
}

/// The name of the request under way; a new one outside of any.
pub(crate) fn correlation() -> Correlation {
    SEEN.try_with(|seen| seen.correlation).unwrap_or_else(|_| Correlation::new())
}

/// What spans of its parts are below; nothing outside of any.
pub(crate) fn span() -> Parent {
    SEEN.try_with(|seen| seen.span.clone()).unwrap_or_default()
}

/// Where it came from; nothing outside of any.
pub(crate) fn whereabouts() -> Option<Whereabouts> {
    SEEN.try_with(|seen| seen.from.clone()).ok()
}

/// What became of it, in one of our own words. The last one counts.
pub(crate) fn outcome(word: &'static str) {
    let _ = SEEN.try_with(|seen| seen.outcome.set(word));
}

/// What became of it, and more for people: never anything that was sent.
pub(crate) fn refused(word: &'static str, detail: &str) {
    let _ = SEEN.try_with(|seen| {
        seen.outcome.set(word);
        seen.detail.replace(detail.to_owned());
    });
}

/// The registered client that it names. That it is that client is not said: the outcome tells.
pub(crate) fn client(client: &Arc<Client>) {
    let _ = SEEN.try_with(|seen| seen.client.replace(Some(Arc::clone(client))));
}

/// The grant that it is about.
pub(crate) fn grant(grant: GrantId) {
    let _ = SEEN.try_with(|seen| seen.grant.set(Some(grant)));
}

/// It was answered with tokens of this grant.
pub(crate) fn granted(grant: &Grant, how: &'static str) {
    let _ = SEEN.try_with(|seen| {
        seen.outcome.set(how);
        seen.grant.set(Some(grant.id));
        seen.rotation.set(Some(Rotation::of(grant)));
    });
}

/// Around every endpoint.
pub(crate) async fn watch(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let watch = Stopwatch::start();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = method(request.method());
    let peer = Peer::of(request.extensions()).address;
    let traceparent = traceparent(request.headers()).map(str::to_owned);
    let route = path.as_ref().map_or("", MatchedPath::as_str);
    let endpoint = endpoint(&app, route);
    let span = app.spans.request(&Asked { endpoint, method, route, traceparent: traceparent.as_deref() });
    let seen = Seen {
        correlation: Correlation::new(),
        outcome: Cell::new(""),
        detail: RefCell::default(),
        client: RefCell::default(),
        grant: Cell::new(None),
        rotation: Cell::new(None),
        span: span.as_parent(),
        from: Whereabouts { address: peer, agent: request.headers().get(USER_AGENT).cloned() },
    };
    SEEN.scope(seen, async move {
        let mut response = next.run(request).await;
        SEEN.with(|seen| {
            if !response.headers().contains_key(HEADER)
                && let Ok(value) = seen.correlation.as_str().parse()
            {
                response.headers_mut().insert(HEADER, value);
            }
            let verdict = Verdict::of(response.status());
            let outcome = match seen.outcome.get() {
                "" => verdict.as_str(),
                told => told,
            };
            let path = path.as_ref().map_or("", MatchedPath::as_str);
            let known = seen.client.borrow();
            let client = known.as_ref().map(|client| &client.id);
            let took = watch.elapsed();
            let retried = seen.rotation.get().filter(|_| outcome == "retried");
            let told = Told { endpoint, outcome, verdict, client, retried, took };
            app.metrics.answered(&told);
            let line = Line {
                path,
                method,
                status: response.status().as_u16(),
                client: client.map_or("", |client| client.as_str()),
                peer,
                traceparent: traceparent.as_deref().unwrap_or_default(),
            };
            line.write(&app, seen, &told);
            let (status, correlation) = (line.status, seen.correlation.as_str());
            span.answered(&Answered { status, outcome, client: line.client, correlation });
        });
        response
    })
    .await
}

/// What of the line is not in the numbers.
struct Line<'a> {
    path: &'a str,
    method: &'static str,
    status: u16,
    client: &'a str,
    peer: Option<IpAddr>,
    traceparent: &'a str,
}

impl Line<'_> {
    fn write(&self, app: &App, seen: &Seen, told: &Told<'_>) {
        // Probes that find all well come every few seconds, and tell nothing.
        if matches!(told.endpoint, "healthz" | "readyz") && told.verdict == Verdict::Done {
            tracing::debug!(correlation = %seen.correlation, endpoint = self.path, status = self.status, "probe");
            return;
        }
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        // What anybody can cause, as often as he likes, has a budget of lines (check X11); what is about a grant is rarer.
        if told.verdict == Verdict::Refused && seen.grant.get().is_none() && !app.limits.may_log(app, budget(told)) {
            return;
        }
        let grant = seen.grant.get().map(|grant| grant.display(&app.engine.keys())).unwrap_or_default();
        tracing::info!(
            correlation = %seen.correlation,
            endpoint = self.path,
            method = self.method,
            status = self.status,
            outcome = told.outcome,
            detail = seen.detail.borrow().as_str(),
            client = self.client,
            grant,
            duration_us = u64::try_from(told.took.as_micros()).unwrap_or(u64::MAX),
            peer = self.peer.map(network).unwrap_or_default(),
            traceparent = self.traceparent,
            "request"
        );
    }
}

/// Which budget of lines a request that was refused is charged to.
fn budget(told: &Told<'_>) -> Budgeted {
    match told.endpoint {
        "token" | "revoke" | "introspect" | "global_revoke" | "userinfo" => Budgeted::Refused,
        _ => Budgeted::Page,
    }
}

/// Our own word for a route: what a label may hold.
fn endpoint(app: &App, path: &str) -> &'static str {
    let base = app.issuer.path();
    match path.strip_prefix(base).unwrap_or(path) {
        "" | "/" if path.is_empty() => "none",
        "" | "/" => "home",
        "/oauth2/token" => "token",
        "/oauth2/revoke" => "revoke",
        "/oauth2/introspect" => "introspect",
        "/oauth2/global-revoke" => "global_revoke",
        "/oauth2/userinfo" => "userinfo",
        "/oauth2/authorize" => "authorize",
        "/oauth2/device_authorization" => "device_authorization",
        "/oauth2/logout" => "end_session",
        "/oauth2/check-session" => "check_session",
        "/oauth2/jwks" => "jwks",
        "/login" => "login",
        "/consent" => "consent",
        "/logout" => "logout",
        "/device" => "device",
        "/healthz" => "healthz",
        "/readyz" => "readyz",
        path if path.starts_with("/admin/v1") => "admin",
        path if path.starts_with("/.well-known/") => "metadata",
        path if path.starts_with("/assets/") => "assets",
        path if app.settings().config.token_endpoint_aliases.iter().any(|alias| alias == path) => "token",
        _ => "other",
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// W3C Trace Context section 3.2: `traceparent`, if it is there once and well-formed. It is noted, and never taken for our own name
/// of the request: whoever sends it can make it lie.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may have more parts, which we do not need and do not keep.
    let is_hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let fits = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || text.len() == 55)
        && is_hex(trace, 32)
        && is_set(trace)
        && is_hex(parent, 16)
        && is_set(parent)
        && is_hex(flags, 2);
    if fits { text.get(..55) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_noted_only_if_it_is_well_formed() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-01");
        let parsed = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("traceparent", value.parse().expect("a header value"));
            }
            traceparent(&headers).map(str::to_owned)
        };
        assert_eq!(parsed(&[&good]), Some(good.clone()));
        assert_eq!(
            parsed(&[&format!("cc-{trace}-b7ad6b7169203331-01-what-comes")]),
            Some(good.replacen("00", "cc", 1))
        );
        for bad in [
            String::new(),
            "00".to_owned(),
            good.to_uppercase(),
            format!("{good}-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{trace}-b7ad6b7169203331-0g"),
            format!("00-{trace}0-b7ad6b7169203331-1"),
        ] {
            assert_eq!(parsed(&[&bad]), None, "{bad}");
        }
        assert_eq!(parsed(&[&good, &good]), None, "sent twice");
    }
}
