//! Endpoints, whole: the server's router and writer in this thread, so that a fuzzer sees what each byte leads to. No answer is 5xx but 503,
//! none leads a browser elsewhere, and none holds what only an honest client may have.

use std::cell::RefCell;
use std::future::Future as _;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use regrant_core::Timestamp;
use regrant_core::keys::RootKey;
use regrant_server::engine::Stepped;
use regrant_server::{App, Clock};
use regrant_store::Memory;
use tower::ServiceExt as _;

use crate::wire::{CONFIG, OPERATOR, REGISTRATION, ROOT, SECRET, START, http};

/// After so many requests the server is another one: what they left is gone.
const LIFE: u32 = 2_000;

struct Door {
    router: Router,
    writer: Stepped,
    bearer: String,
    left: u32,
    _app: Arc<App>,
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

thread_local! {
    static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) };
}

impl Door {
    fn open() -> Self {
        let mut config = crate::wire::config(&format!("{CONFIG}{OPERATOR}{REGISTRATION}"));
        config.issuer = Some("http://127.0.0.1:8080".to_owned());
        let clock = Clock::manual(Timestamp::from_millis(START));
        let opened = App::open_stepped(config, Box::new(Memory::new()), RootKey::new(ROOT), clock);
        let (app, writer) = opened.expect("the server opens");
        let router = regrant_server::router(Arc::clone(&app));
        let mut door = Self { router, writer, bearer: String::new(), left: LIFE, _app: app };
        let form = "grant_type=client_credentials&scope=regrant.admin&resource=urn%3Aregrant%3Aadmin";
        let request = post("/oauth2/token", form.as_bytes(), "application/x-www-form-urlencoded");
        let request = request.map(|mut request| {
            let basic = http::basic("ops", SECRET).parse().expect("a header");
            request.headers_mut().insert("authorization", basic);
            request
        });
        let body = request.and_then(|request| door.ask(request)).map(|(_, body)| body).unwrap_or_default();
        let answer: serde_json::Value = serde_json::from_slice(&body).expect("a token for the operator");
        door.bearer = format!("Bearer {}", answer["access_token"].as_str().expect("a token"));
        door
    }

    /// The answer, if it needs no other thread (passwords have threads of their own).
    fn ask(&mut self, request: Request<Body>) -> Option<(Response<()>, Vec<u8>)> {
        let router = self.router.clone();
        let mut answering = Box::pin(async move {
            let Ok(response) = router.oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = http_body_util::BodyExt::collect(body).await.map(|body| body.to_bytes().to_vec());
            (Response::from_parts(parts, ()), body.unwrap_or_default())
        });
        // Who asks somebody else for something needs a runtime to wait in; nobody waits here.
        let _inside = RUNTIME.enter();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(answer) = answering.as_mut().poll(&mut context) {
                return Some(answer);
            }
            if !self.writer.step(usize::MAX) {
                return None;
            }
        }
    }
}

/// Sends it, and looks at the answer.
fn send(request: Option<Request<Body>>, is_operator: bool) {
    let Some(mut request) = request else { return };
    DOOR.with_borrow_mut(|door| {
        let mut open = door.take().filter(|door| door.left > 0).unwrap_or_else(Door::open);
        open.left -= 1;
        if is_operator {
            request.headers_mut().insert("authorization", open.bearer.parse().expect("a header"));
        }
        let told = open.ask(request);
        if let Some((answer, body)) = told {
            judge(&answer, &body);
        }
        *door = Some(open);
    });
}

fn judge(answer: &Response<()>, body: &[u8]) {
    let status = answer.status();
    assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{status}: {}", text(body));
    for (name, value) in answer.headers() {
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n')), "{name}");
    }
    if let Some(location) = answer.headers().get("location") {
        let location = location.to_str().expect("a location in ASCII");
        let ours = ["/", "https://app.example/cb", "http://127.0.0.1"].iter().any(|own| location.starts_with(own));
        assert!(ours && !location.starts_with("//"), "sent to {location}");
    }
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn post(path: &str, body: &[u8], media_type: &str) -> Option<Request<Body>> {
    Request::post(path).header("content-type", media_type).body(Body::from(body.to_vec())).ok()
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The first line is an `Authorization` header, or nothing; the rest is the body.
pub(super) fn token(data: &[u8]) {
    send(with_authorization("/oauth2/token", data), false);
}

/// The same, of introspection and revocation.
pub(super) fn introspect(data: &[u8]) {
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        send(with_authorization(path, data), false);
    }
}

fn with_authorization(path: &str, data: &[u8]) -> Option<Request<Body>> {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (header, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut request = post(path, body, FORM)?;
    if !header.is_empty() {
        let header = axum::http::HeaderValue::from_bytes(header).ok()?;
        request.headers_mut().insert("authorization", header);
    }
    Some(request)
}

pub(super) fn authorize(data: &[u8]) {
    let query = text(data);
    send(Request::get(format!("/oauth2/authorize?{query}")).body(Body::empty()).ok(), false);
    send(post("/oauth2/authorize", data, FORM), false);
}

/// But for documents elsewhere: what a fuzzer makes up is asked of nobody.
pub(super) fn register(data: &[u8]) {
    if text(data).contains("sector_identifier_uri") {
        return;
    }
    send(post("/oauth2/register", data, "application/json"), false);
}

pub(super) fn cookies(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (cookie, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for (path, posts) in
        [("/account", false), ("/login", true), ("/consent", true), ("/device", true), ("/logout", true)]
    {
        let request = if posts { post(path, body, FORM) } else { Request::get(path).body(Body::empty()).ok() };
        let request = request.and_then(|mut request| {
            request.headers_mut().insert("cookie", axum::http::HeaderValue::from_bytes(cookie).ok()?);
            Some(request)
        });
        send(request, false);
    }
}

pub(super) fn cursors(data: &[u8]) {
    let query = text(data);
    for path in ["grants", "users", "events", "clients"] {
        send(Request::get(format!("/admin/v1/{path}?{query}")).body(Body::empty()).ok(), true);
    }
}

pub(super) fn admin(data: &[u8]) {
    for path in ["/admin/v1/clients", "/admin/v1/revocations", "/admin/v1/tokens/revoke", "/admin/v1/keys/rotate"] {
        send(post(path, data, "application/json"), true);
    }
}

/// Method, path, and a header for each further line.
pub(super) fn heads(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = text(lines.next().unwrap_or_default());
    let mut words = first.splitn(2, ' ');
    let Ok(method) = Method::from_bytes(words.next().unwrap_or_default().as_bytes()) else { return };
    let mut request = Request::builder().method(method).uri(words.next().unwrap_or("/"));
    for line in lines.take(32) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        request = request.header(halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    }
    send(request.body(Body::empty()).ok(), false);
}
