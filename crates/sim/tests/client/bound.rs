//! Tokens that are bound to a key (RFC 9449), at a server and an API that want nonces of their own.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use regrant_client::{Bearer, Clock, Error, MemoryStore, Profile, Session};
use regrant_jose::{Algorithm, Jwk, Typ, Unverified, VerifyingKey, base64url};
use serde_json::{Map, Value};
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::support::settings;

/// What the server and the API have seen: the name of the key, and each `jti`.
#[derive(Default)]
struct Seen {
    base: String,
    key: Option<String>,
    ids: HashSet<String>,
    asked: u32,
    answered: u32,
}

type Shared = Arc<Mutex<Seen>>;

/// RFC 9449 section 4.3: every check that a receiver makes. The claims, if the proof has a signature of its own key.
fn proof(seen: &mut Seen, method: &Method, uri: &Uri, headers: &HeaderMap) -> Map<String, Value> {
    let mut proofs = headers.get_all("dpop").iter();
    let proof = proofs.next().expect("a proof").to_str().expect("text");
    assert!(proofs.next().is_none(), "one proof");
    let parsed = Unverified::parse(proof).expect("a JWS");
    let jwk: Jwk = serde_json::from_value(parsed.header().members["jwk"].clone()).expect("a public key");
    let key = VerifyingKey::from_jwk_for(&jwk, Algorithm::Es256).expect("a key");
    let name = key.kid().to_owned();
    let claims = parsed.verify(Typ::Is("dpop+jwt"), &[key]).expect("its own signature").claims;
    assert_eq!(seen.key.get_or_insert(name.clone()), &name, "the key is another");
    assert!(seen.ids.insert(claims["jti"].to_string()), "a proof comes twice");
    assert_eq!(
        (claims["htm"].as_str(), claims["htu"].as_str()),
        (Some(method.as_str()), Some(&*format!("{}{}", seen.base, uri.path())))
    );
    claims
}

async fn answer(State(seen): State<Shared>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let seen = &mut *seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.asked += 1;
    let claims = proof(seen, &method, &uri, &headers);
    let nonce = format!("nonce of {}", uri.path());
    let is_api = uri.path() == "/api";
    if claims.get("nonce").and_then(Value::as_str) != Some(&nonce) {
        let status = if is_api { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let challenge = [("dpop-nonce", nonce.as_str()), ("www-authenticate", "DPoP error=\"use_dpop_nonce\"")];
        return (status, challenge, r#"{"error":"use_dpop_nonce"}"#).into_response();
    }
    seen.answered += 1;
    if is_api {
        assert_eq!(headers.get("authorization").expect("a token"), "DPoP bound");
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"bound");
        assert_eq!(claims["ath"], base64url::encode(hash.as_ref()));
    }
    r#"{"access_token":"bound","token_type":"DPoP","expires_in":60}"#.into_response()
}

/// A server whose tokens are bound to a key, and who asks it.
struct Bound {
    base: String,
    seen: Shared,
    profile: Profile,
    /// The same without a socket.
    api: Router,
}

async fn bound() -> Bound {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let seen: Shared = Arc::new(Mutex::new(Seen { base: base.clone(), ..Seen::default() }));
    let api = Router::new().fallback(answer).with_state(seen.clone());
    let router = api.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let profile = Profile::new("s", &base, "robot")
        .with_token_endpoint(format!("{base}/token"))
        .with_client_credentials("")
        .with_dpop();
    Bound { base, seen, profile, api }
}

/// One key for the token and for all requests with it, a proof for each, and each origin's nonce in the next one.
#[tokio::test(flavor = "multi_thread")]
async fn each_request_proves_the_key_that_the_token_is_bound_to() {
    let Bound { base, seen, profile, .. } = bound().await;
    let store = Arc::new(MemoryStore::new());
    let session =
        Session::open_with(store.clone(), profile.clone(), settings(&Clock::manual())).await.expect("a session");
    for _ in 0..2 {
        let answer = session.client().get(format!("{base}/api?page=1#top")).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK.as_u16());
    }
    assert!(session.tokens().is_some_and(|tokens| tokens.is_bound()));
    // The next process has the same key; nonces it learns anew.
    let next = Session::open_with(store, profile, settings(&Clock::manual())).await.expect("a session");
    let answer = next.client().get(format!("{base}/api")).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK.as_u16());
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    // One token and three requests; refused for want of a nonce: the token, the first request of each process.
    assert_eq!((seen.answered, seen.asked), (4, 7));
}

/// The same through the tower layer: it proves the key for each request, and sends one that was refused for want of a nonce again.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_proves_the_key_as_well() {
    let Bound { base, seen, profile, api } = bound().await;
    let store = Arc::new(MemoryStore::new());
    let session = Session::open_with(store, profile, settings(&Clock::manual())).await.expect("a session");
    let inner = tower::service_fn(move |request: Request<String>| {
        let asked = api.clone().oneshot(request.map(Body::from));
        async move { asked.await.map_err(|never| -> Error { match never {} }) }
    });
    let mut layered = Bearer::new(session).layer(inner);
    for _ in 0..2 {
        let request = Request::get(format!("{base}/api?page=1")).body(String::new()).expect("a request");
        let answer = layered.ready().await.expect("ready").call(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    // Asked twice for want of a nonce: for the token, and for the first request.
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!((seen.answered, seen.asked), (3, 5));
}
