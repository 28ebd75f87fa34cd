//! `regrant proxy`: a reverse proxy on this machine that adds a fresh token to each request.
//!
//! Whoever can connect to it acts as the user. So it listens on 127.0.0.1 or a Unix socket alone; it takes requests for its own name
//! only, so that no page can reach it by a name that it points here (DNS rebinding); and none that a page of another origin sends.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use http::header::{CONNECTION, HOST, ORIGIN};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use regrant_client::Bearer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_layer::Layer as _;
use tower_service::Service;

use super::place::Place;
use super::serving::{Sessions, Trouble, room, serve};
use crate::context::{Context, Done, Failure, runtime};
use crate::output;

/// The largest request: it is held, so that it can be sent once more.
const LARGEST: usize = 16 * 1024 * 1024;
/// What belongs to a connection and not to a request (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// From where to where.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Whoever can connect to it acts as you: on a machine that others use as well,\n`regrant agent` asks the kernel who is there. Requests of web pages are refused.\n\nExamples:\n  regrant proxy work --to https://api.example --listen 127.0.0.1:8000\n  curl http://127.0.0.1:8000/thing"
)]
pub(crate) struct Args {
    /// The profile, as it was named at `regrant login`.
    profile: String,
    /// The API. What is asked of the proxy is asked of this address and path.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Where to listen, on this machine; port 0 for any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

struct Proxy {
    sessions: Sessions,
    profile: String,
    to: Uri,
    api: Api,
}

/// What sends requests to the API.
#[derive(Clone)]
struct Api(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

pub(crate) fn run(_: &Context, args: &Args) -> Done {
    if !args.listen.ip().is_loopback() {
        let remedy = "listen on 127.0.0.1 or [::1]";
        return Err(Failure::new(
            2,
            format!("{} is open to others, who would be you\n  remedy: {remedy}", args.listen),
        ));
    }
    let to: Uri = args.to.parse().map_err(|error| Failure::new(2, format!("{}: {error}", args.to)))?;
    let is_here = matches!(to.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match to.scheme_str() {
        Some("https") => {}
        Some("http") if is_here => {}
        _ => {
            return Err(Failure::new(
                2,
                format!("{} takes no token: name an https URL (http on this machine only)", args.to),
            ));
        }
    }
    let place = Place::find()?;
    place.profile(&args.profile)?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| Failure::new(69, format!("the machine's certificates cannot be read: {error}")))?
        .https_or_http()
        .enable_http1()
        .build();
    let api = Api(Client::builder(TokioExecutor::new()).build(connector));
    let proxy = Arc::new(Proxy { sessions: Sessions::at(place), profile: args.profile.clone(), to, api });
    runtime()?.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener =
            listener.map_err(|error| Failure::new(69, format!("cannot listen on {}: {error}", args.listen)))?;
        let address = listener.local_addr()?;
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        output::told(&serde_json::json!({"listen": address.to_string(), "to": args.to}).to_string());
        let room = room();
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            };
            let Ok((stream, _)) = stream else {
                tokio::task::yield_now().await;
                continue;
            };
            let proxy = Arc::clone(&proxy);
            serve(stream, &room, move |request| {
                let proxy = Arc::clone(&proxy);
                async move { proxy.pass(request).await.unwrap_or_else(|trouble| trouble.answer()) }
            });
        }
    })
}

impl Proxy {
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Body>, Trouble> {
        let (mut parts, body) = request.into_parts();
        if !is_for_this_machine(&parts.headers) || comes_from_a_page(&parts.headers) {
            return Err(Trouble::new(
                StatusCode::FORBIDDEN,
                "not_allowed",
                "this proxy is for programs of its machine",
            ));
        }
        let body = Limited::new(body, LARGEST).collect().await;
        let too_long = |_| Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a request is 16 MiB at most");
        let body = body.map_err(too_long)?.to_bytes();
        strip(&mut parts.headers);
        parts.headers.remove(HOST);
        parts.uri = target(&self.to, parts.uri.path_and_query())?;
        parts.version = Version::HTTP_11;
        let session = self.sessions.session(&self.profile).await?;
        // When it is sent again, and with what, is the library's rule.
        Bearer::new(session).layer(self.api.clone()).call(Request::from_parts(parts, Full::new(body))).await
    }
}

impl Service<Request<Full<Bytes>>> for Api {
    type Response = Response<Body>;
    type Error = Trouble;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Trouble>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Trouble>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let answered = self.0.request(request);
        Box::pin(async move {
            let no_answer = |error| Trouble::new(StatusCode::BAD_GATEWAY, "no_answer", chain(&error));
            let mut answered = answered.await.map_err(no_answer)?.map(Body::new);
            strip(answered.headers_mut());
            Ok(answered)
        })
    }
}

/// The path and query of a request, below the address of the API.
fn target(to: &Uri, asked: Option<&PathAndQuery>) -> Result<Uri, Trouble> {
    let wrong = |_| Trouble::new(StatusCode::BAD_REQUEST, "no_target", "this is no path");
    let base = to.path().trim_end_matches('/');
    let mut parts = to.clone().into_parts();
    let whole = format!("{base}{}", asked.map_or("/", PathAndQuery::as_str));
    parts.path_and_query = Some(whole.parse().map_err(wrong)?);
    Uri::from_parts(parts).map_err(|_| Trouble::new(StatusCode::BAD_REQUEST, "no_target", "this is no path"))
}

/// A page that reaches us by a name of its own says that name.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host =
        hosts.next().and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<http::uri::Authority>().ok());
    hosts.next().is_none()
        && host.is_some_and(|host| {
            let name = host.host().trim_start_matches('[').trim_end_matches(']');
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
}

/// Browsers say so themselves: with an origin, or with what led to the request.
fn comes_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.get("sec-fetch-site").is_some_and(|site| site != "none")
}

/// Takes out what belongs to the connection.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// An error with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse().expect("a name"), value.parse().expect("a value"));
        pairs.iter().map(pair).collect::<HeaderMap>()
    }

    #[test]
    fn a_page_cannot_use_the_proxy() {
        for (host, is_ours) in [
            ("127.0.0.1:8000", true),
            ("localhost:8000", true),
            ("[::1]:8000", true),
            ("evil.example:8000", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_for_this_machine(&headers(&[("host", host)])), is_ours, "{host}");
        }
        assert!(!is_for_this_machine(&headers(&[])));
        assert!(comes_from_a_page(&headers(&[("origin", "null")])));
        assert!(comes_from_a_page(&headers(&[("sec-fetch-site", "cross-site")])));
        assert!(!comes_from_a_page(&headers(&[("sec-fetch-site", "none")])));
    }

    #[test]
    fn the_path_stays_below_the_address() {
        let at = |to: &str, asked: &str| {
            target(&to.parse().expect("a URL"), Some(&asked.parse().expect("a path"))).expect("a target").to_string()
        };
        assert_eq!(at("https://api.example", "/thing?a=1"), "https://api.example/thing?a=1");
        assert_eq!(at("https://api.example/v2/", "/thing"), "https://api.example/v2/thing");
    }

    #[test]
    fn what_belongs_to_a_connection_is_not_passed_on() {
        let mut given =
            headers(&[("connection", "close, x-hop"), ("x-hop", "1"), ("te", "trailers"), ("accept", "*/*")]);
        strip(&mut given);
        assert_eq!(given, headers(&[("accept", "*/*")]));
    }
}
