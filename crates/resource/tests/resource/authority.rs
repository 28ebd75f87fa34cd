//! A small authorization server on loopback, which does what a test wants, and counts what it is asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::routing::{get, post};
use regrant_jose::{Algorithm, JwkSet, SigningKey};
use regrant_resource::{Builder, Clock, Credentials, ResourceServer};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;
pub(crate) const AUDIENCE: &str = "https://notes.example/";

/// A clock that is moved by hand; every copy is the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn date(&self) -> u64 {
        NOW + self.0.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// The server, and the time of both.
pub(crate) struct Authority {
    pub(crate) base: String,
    pub(crate) clock: Hands,
    state: Arc<Mutex<Inside>>,
}

/// What it holds.
pub(crate) struct Inside {
    base: String,
    clock: Hands,
    /// All of them are published; the first signs.
    pub(crate) keys: Vec<Arc<SigningKey>>,
    /// The feed, two lines a page.
    pub(crate) lines: Vec<Value>,
    /// What every page says was taken back.
    pub(crate) taken_back: Vec<Value>,
    /// What introspection says; of other tokens that they are not active.
    pub(crate) known: HashMap<String, Value>,
    /// Paths that answer 500.
    pub(crate) broken: Vec<&'static str>,
    /// What is in the metadata beside what is always there.
    pub(crate) metadata: Value,
    asked: HashMap<String, usize>,
}

impl Authority {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let clock = Hands::default();
        let inside = Inside {
            base: base.clone(),
            clock: clock.clone(),
            keys: vec![new_key(Algorithm::Es256)],
            lines: Vec::new(),
            taken_back: Vec::new(),
            known: HashMap::new(),
            broken: Vec::new(),
            metadata: json!({}),
            asked: HashMap::new(),
        };
        let state = Arc::new(Mutex::new(inside));
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/jwks", get(jwks))
            .route("/feed", get(feed))
            .route("/introspect", post(introspect))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, clock, state }
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.inside().asked.get(path).copied().unwrap_or(0)
    }

    /// A resource server of this authority, on the same time.
    pub(crate) fn server(&self) -> Builder {
        ResourceServer::builder(&self.base, AUDIENCE).clock(self.clock.clone())
    }

    /// One that follows the feed and may introspect.
    pub(crate) fn follower(&self) -> Builder {
        self.server().credentials(Credentials::new("notes-api", "s3cret")).follow_revocations()
    }

    /// A good token's claims, with others in place of some; `null` takes one away.
    pub(crate) fn claims(&self, other: &Value) -> Value {
        let mut claims = json!({
            "iss": self.base, "aud": AUDIENCE, "sub": "usr_1", "client_id": "app", "jti": "j1",
            "iat": self.clock.date(), "exp": self.clock.date() + 3600, "scope": "notes:read notes:write",
            "status": {"status_list": {"idx": 7, "uri": format!("{}/lists/abc", self.base)}},
        });
        let members = claims.as_object_mut().expect("an object");
        for (name, value) in other.as_object().expect("an object") {
            if value.is_null() {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    /// A token with these claims.
    pub(crate) fn token(&self, other: &Value) -> String {
        let key = Arc::clone(&self.inside().keys[0]);
        key.sign("at+jwt", &self.claims(other)).expect("a token")
    }

    /// Something is over.
    pub(crate) fn revoke(&self, mut line: Value) {
        let now = self.clock.date();
        line["revoked_at"] = json!(now);
        line["expires_at"] = json!(now + 3600);
        self.inside().lines.push(line);
    }
}

pub(crate) fn new_key(algorithm: Algorithm) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(algorithm).expect("a key"))
}

/// Sends a request through the layer: the answer's status and `WWW-Authenticate`.
pub(crate) async fn call(server: &ResourceServer, scope: &[&str], headers: &[(&str, &str)]) -> (u16, String) {
    let hello = get(|axum::Extension(token): axum::Extension<regrant_resource::AccessToken>| async move {
        token.subject().to_owned()
    });
    let app: Router = Router::new().route("/", hello.layer(server.require(scope.iter().copied())));
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer: Response<Body> = app.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let challenge =
        answer.headers().get("www-authenticate").map_or("", |value| value.to_str().expect("text")).to_owned();
    (answer.status().as_u16(), challenge)
}

/// The same with one token, and the status alone.
pub(crate) async fn status(server: &ResourceServer, token: &str) -> u16 {
    call(server, &[], &[("authorization", &format!("Bearer {token}"))]).await.0
}

type Shared = State<Arc<Mutex<Inside>>>;

fn entered<'a>(state: &'a Shared, path: &'static str) -> Result<MutexGuard<'a, Inside>, StatusCode> {
    let mut inside = state.0.lock().unwrap_or_else(PoisonError::into_inner);
    *inside.asked.entry(path.to_owned()).or_default() += 1;
    if inside.broken.contains(&path) { Err(StatusCode::INTERNAL_SERVER_ERROR) } else { Ok(inside) }
}

async fn metadata(state: Shared) -> Result<String, StatusCode> {
    let inside = entered(&state, "/metadata")?;
    let url = |path: &str| format!("{}{path}", inside.base);
    let mut document = json!({
        "issuer": inside.base, "jwks_uri": url("/jwks"), "introspection_endpoint": url("/introspect"),
        "revocation_feed_endpoint": url("/feed"),
    });
    let members = document.as_object_mut().expect("an object");
    members.extend(inside.metadata.as_object().expect("an object").clone());
    Ok(document.to_string())
}

async fn jwks(state: Shared) -> Result<String, StatusCode> {
    let inside = entered(&state, "/jwks")?;
    let set = JwkSet { keys: inside.keys.iter().map(|key| key.public_jwk()).collect() };
    Ok(serde_json::to_string(&set).expect("JSON"))
}

async fn feed(state: Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response<Body>, StatusCode> {
    let inside = entered(&state, "/feed")?;
    let since = query.as_deref().and_then(|query| query.strip_prefix("since="));
    let since = since.and_then(|since| since.parse().ok()).unwrap_or(0).min(inside.lines.len());
    let until = (since + 2).min(inside.lines.len());
    let etag = format!("\"{since}-{until}-{}\"", inside.lines.len());
    if headers.get("if-none-match").is_some_and(|known| known == etag.as_str()) {
        return Response::builder().status(304).body(Body::empty()).map_err(|_| StatusCode::IM_A_TEAPOT);
    }
    let now = inside.clock.date();
    let page = json!({
        "iss": inside.base, "iat": now, "exp": now + 300, "cursor": until.to_string(),
        "more": until < inside.lines.len(), "status_lists": format!("{}/lists/", inside.base),
        "revocations": &inside.lines[since..until], "taken_back": &inside.taken_back,
    });
    let page = inside.keys[0].sign("revocations+jwt", &page).map_err(|_| StatusCode::IM_A_TEAPOT)?;
    Response::builder().header("etag", etag).body(Body::from(page)).map_err(|_| StatusCode::IM_A_TEAPOT)
}

async fn introspect(state: Shared, headers: HeaderMap, body: String) -> Result<String, StatusCode> {
    let inside = entered(&state, "/introspect")?;
    // notes-api:s3cret
    if headers.get("authorization").is_none_or(|value| value != "Basic bm90ZXMtYXBpOnMzY3JldA==") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let token = body.strip_prefix("token=").and_then(|body| body.split_once('&')).map_or("", |(token, _)| token);
    Ok(inside.known.get(token).cloned().unwrap_or(json!({"active": false})).to_string())
}
