//! A world whose admin API is open on the main listener, and what its stories share.

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use sim::wire::{CONFIG, Reply, World, text};

/// The client that may: its own grant type, scope and resource.
pub(crate) const OPS: &str = r#"
[admin_api]
listen = "main"

[[client]]
id = "ops"
secret_hash = "HASH"
grant_types = ["client_credentials"]
scopes = ["regrant.admin"]
resources = ["urn:regrant:admin"]

[[client]]
id = "ops-opaque"
secret_hash = "HASH"
grant_types = ["client_credentials"]
scopes = ["regrant.admin", "read", "profile"]
resources = ["urn:regrant:admin", "https://api.example/"]
access_token_format = "opaque"
"#;

/// The usual world, with [`OPS`].
pub(crate) async fn world() -> World {
    World::with(&format!("{CONFIG}{OPS}")).await
}

/// An access token for the admin API.
pub(crate) async fn token(world: &World, client: &str) -> String {
    let asked = [("grant_type", "client_credentials"), ("scope", "regrant.admin"), ("resource", "urn:regrant:admin")];
    text(&world.token(client, &asked).await.expect_status(200).json(), "access_token")
}

/// A program that administers, with its token.
pub(crate) struct Ops {
    pub(crate) world: World,
    pub(crate) bearer: String,
}

impl Ops {
    pub(crate) async fn new() -> Self {
        Self::of(world().await).await
    }

    /// Of a world whose configuration has [`OPS`].
    pub(crate) async fn of(world: World) -> Self {
        let bearer = format!("Bearer {}", token(&world, "ops").await);
        Self { world, bearer }
    }

    /// A request below `/admin/v1`, with more headers.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>, more: &[(&str, &str)]) -> Reply {
        let mut headers = vec![("authorization", self.bearer.as_str())];
        headers.extend(more);
        let body = body.map(Value::to_string);
        if body.is_some() && !more.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type", "application/json"));
        }
        let path = if path.starts_with("/admin/v1") { path.to_owned() } else { format!("/admin/v1{path}") };
        self.world.http().send(method, &path, &headers, body.map_or_else(Body::empty, Body::from)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, Some(body), &[]).await
    }

    /// The newest event.
    pub(crate) async fn newest(&self) -> Value {
        self.get("/events?limit=1").await.expect_status(200).json()["items"][0].clone()
    }
}

/// Asserts a problem: its type and status, and what every problem carries.
pub(crate) fn problem(reply: &Reply, status: u16, word: &str) -> Value {
    let told = reply.json();
    let kind = format!("urn:regrant:problem:{word}");
    assert_eq!((reply.status.as_u16(), told["type"].as_str()), (status, Some(kind.as_str())), "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(told["status"], status);
    // An answer that is given again tells of the request that it was made for.
    let is_the_first = reply.header("idempotency-replayed").is_empty();
    assert_eq!(told["correlation_id"].as_str() == Some(reply.header("x-correlation-id").as_str()), is_the_first);
    assert!(
        !told["title"].as_str().unwrap_or_default().is_empty()
            && !told["detail"].as_str().unwrap_or_default().is_empty()
    );
    assert_eq!(status == 401 || status == 403, !reply.header("www-authenticate").is_empty(), "{}", reply.text());
    assert_eq!(status == 503 || status == 429 || word == "under-way", !reply.header("retry-after").is_empty());
    told
}

/// The confidential client of these stories.
pub(crate) fn definition(id: &str) -> Value {
    serde_json::json!({
        "id": id, "redirect_uris": ["https://new.example/cb"], "scopes": ["openid", "read"], "resources": ["https://api.example/"]
    })
}
