//! Each operation, once, in the order in which somebody would meet them; what each answers is as the document says.

use axum::http::Method;
use serde_json::{Value, json};
use sim::process::Scratch;
use sim::wire::{Act, CONFIG, Hook, PASSWORD, World, text};

use super::document::{Seen, answer_is_as_documented};
use super::support::{OPS, Ops, definition, problem};

const NEW_PASSWORD: &str = "staple battery horse";

/// A program that administers, and notes which operations it has called.
struct Tour {
    ops: Ops,
    seen: Seen,
}

impl Tour {
    async fn call(&mut self, method: Method, path: &str, template: &str, body: Option<&Value>, status: u16) -> Value {
        let reply = self.ops.send(method.clone(), path, body, &[]).await.expect_status(status);
        answer_is_as_documented(&method, template, &reply);
        self.seen.insert((method.to_string(), format!("/admin/v1{template}")));
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }

    async fn get(&mut self, path: &str, template: &str) -> Value {
        self.call(Method::GET, path, template, None, 200).await
    }

    async fn post(&mut self, path: &str, template: &str, body: Value, status: u16) -> Value {
        self.call(Method::POST, path, template, Some(&body), status).await
    }

    /// Check O8: who did it, what, when, and under which name of the request.
    async fn is_told(&self, what: &str) {
        let event = self.ops.newest().await;
        assert_eq!(event["detail"], format!("{what}; by client ops on the admin API"), "{event}");
        assert_eq!((event["kind"].as_str(), event["client"].as_str()), (Some("admin"), Some("ops")), "{event}");
        assert!(event["correlation"].as_str().is_some_and(|id| id.len() == 16), "{event}");
        assert_eq!(event["at"], "2026-01-01T00:00:00Z");
    }
}

/// Check O8: every operation of the document does what it says, and every write leaves an event with who, what and when.
#[tokio::test]
async fn every_operation_is_called_and_every_write_is_told() {
    let (hook, scratch) = (Hook::start().await, Scratch::new("tour"));
    let world = World::with(&format!("{}{CONFIG}{OPS}", webhook(&hook, &scratch))).await;
    let mut tour = Tour { ops: Ops::of(world).await, seen: Seen::default() };
    let status = tour.get("/status", "/status").await;
    assert_eq!(status["issuer"], tour.ops.world.app.issuer());
    clients(&mut tour).await;
    registration_tokens(&mut tour).await;
    users(&mut tour).await;
    grants(&mut tour).await;
    explained(&mut tour).await;
    webhooks(&mut tour, &hook).await;
    revocations(&mut tour).await;
    interactions(&mut tour).await;
    let told = tour
        .post("/commands", "/commands", json!({"command": "set_user_disabled", "name": "alice", "disabled": true}), 200)
        .await;
    assert_eq!(told, Value::Null);
    tour.is_told("user alice disabled").await;
    // What works on files of the server's machine is asked for there.
    let backup = json!({"command": "backup", "file": "/tmp/stolen.db"});
    problem(&tour.ops.post("/commands", &backup).await, 400, "malformed");
    keys(&mut tour).await;
    let document = tour.get("/openapi.json", "/openapi.json").await;
    assert_eq!(&document, regrant_server::admin::api::document());
    // A world in memory has no file: the safe defaults are read, and alone they know no client of its store.
    let reply = tour.ops.send(Method::POST, "/reload", None, &[]).await;
    assert!([200, 422].contains(&reply.status.as_u16()), "{}", reply.text());
    tour.seen.insert(("POST".to_owned(), "/admin/v1/reload".to_owned()));
    let missed = super::document::all().difference(&tour.seen).cloned().collect::<Vec<_>>();
    assert!(missed.is_empty(), "no test has called {missed:?}");
}

/// A webhook that hears of grants alone.
fn webhook(hook: &Hook, scratch: &Scratch) -> String {
    let secret = scratch.path().join("webhook.secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("a secret");
    let (url, secret) = (hook.url(), secret.display());
    format!(
        "[[webhook]]\nname = \"alerts\"\nurl = \"{url}\"\nsecret_file = \"{secret}\"\nbackoff = \"10ms\"\nkinds = [\"grant_created\"]\n"
    )
}

/// What they do with a challenge that is one is told in `interactions/`.
async fn interactions(tour: &mut Tour) {
    for operation in ["read", "accept", "reject"] {
        let path = format!("/interactions/{operation}");
        let told = tour.post(&path, &path, json!({"challenge": "rgq_x"}), 404).await;
        assert_eq!(told["type"], "urn:regrant:problem:not-found", "{told}");
    }
}

async fn registration_tokens(tour: &mut Tour) {
    let wanted = json!({"label": "for the fair", "uses": 3, "lifetime": "1d"});
    let made = tour.post("/registration-tokens", "/registration-tokens", wanted, 201).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    assert!(made["token"].as_str().is_some_and(|token| token.starts_with("rgi_")), "{made}");
    tour.is_told(&format!("registration token {id} made for 3 clients")).await;
    let listed = tour.get("/registration-tokens", "/registration-tokens").await;
    assert!(listed.to_string().contains(&id) && !listed.to_string().contains("rgi_"), "{listed}");
    tour.call(Method::DELETE, &format!("/registration-tokens/{id}"), "/registration-tokens/{id}", None, 204).await;
    tour.is_told(&format!("registration token {id} removed")).await;
}

async fn clients(tour: &mut Tour) {
    let added = tour.post("/clients", "/clients", definition("new"), 201).await;
    tour.is_told("client new added").await;
    let secret = text(&added, "client_secret");
    assert!(secret.starts_with("rgs_"));
    let read = tour.get("/clients/new", "/clients/{id}").await;
    assert_eq!(read["client"]["redirect_uris"], json!(["https://new.example/cb"]));
    assert!(!read.to_string().contains("sha256:"), "{read}");
    // What was read can be sent back with one thing changed; the secret stays as it is.
    let mut changed = read["definition"].clone();
    changed["name"] = json!("New App");
    let replaced = tour.call(Method::PUT, "/clients/new", "/clients/{id}", Some(&changed), 200).await;
    assert_eq!(replaced["client"]["name"], "New App");
    tour.is_told("client new replaced").await;
    let works = async |tour: &Tour, secret: &str| {
        let basic = sim::wire::http::basic("new", secret);
        let form = [("token", "x")];
        tour.ops.world.http().post("/oauth2/revoke", &form, &[("authorization", &basic)]).await.status == 200
    };
    assert!(works(tour, &secret).await, "a replaced client has its secret still");
    let made = tour.post("/clients/new/secret", "/clients/{id}/secret", json!({"overlap": "0"}), 200).await;
    assert!(!works(tour, &secret).await && works(tour, &text(&made, "client_secret")).await);
    tour.is_told("client new has a new secret; the one before works until now").await;
    let listed = tour.get("/clients", "/clients").await;
    assert!(listed["items"].as_array().is_some_and(|items| items.iter().any(|client| client["id"] == "new")));
    assert_eq!(tour.call(Method::DELETE, "/clients/new", "/clients/{id}", None, 204).await, Value::Null);
    tour.is_told("client new removed").await;
    problem(&tour.ops.get("/clients/new").await, 404, "not-found");
    problem(&tour.ops.put("/clients/web", &definition("web")).await, 422, "invalid");
    problem(&tour.ops.post("/clients", &definition("web")).await, 409, "conflict");
}

async fn users(tour: &mut Tour) {
    let added = tour.post("/users", "/users", json!({"name": "Bob", "password": PASSWORD}), 201).await;
    assert_eq!(added["name"], "bob");
    tour.is_told("user bob added").await;
    let patch = json!({"attributes": {"email": "bob@example.com", "groups": ["staff"], "nickname": "b"}});
    let _ = tour.call(Method::PATCH, "/users/bob", "/users/{name}", Some(&patch), 200).await;
    tour.is_told("user bob set (email, groups, nickname)").await;
    let patch = json!({"attributes": {"nickname": null}});
    let read = tour.call(Method::PATCH, "/users/bob", "/users/{name}", Some(&patch), 200).await;
    assert_eq!(read["attributes"], json!({"email": "bob@example.com", "email_verified": false, "groups": ["staff"]}));
    assert_eq!(tour.get("/users/bob", "/users/{name}").await, read);
    let password = json!({"password": NEW_PASSWORD});
    let _ = tour.call(Method::PUT, "/users/bob/password", "/users/{name}/password", Some(&password), 204).await;
    tour.is_told("user bob has a new password").await;
    let logs_in = async |tour: &Tour, password: &str| {
        let form = [("grant_type", "password"), ("username", "bob"), ("password", password)];
        tour.ops.world.token("phone", &form).await.status == 200
    };
    assert!(!logs_in(tour, PASSWORD).await && logs_in(tour, NEW_PASSWORD).await);
    for enabled in [false, true] {
        let body = json!({ "enabled": enabled });
        let _ = tour.call(Method::PUT, "/users/bob/enabled", "/users/{name}/enabled", Some(&body), 204).await;
        tour.is_told(if enabled { "user bob enabled" } else { "user bob disabled" }).await;
        assert_eq!(logs_in(tour, NEW_PASSWORD).await, enabled);
    }
    let listed = tour.get("/users", "/users").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let hash = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let import = json!({"users": [
        {"username": "carol", "password_hash": hash, "email": "carol@example.com"}, {"username": "bob"}, {"username": ""}
    ]});
    let done = tour.post("/user-imports", "/user-imports", import, 200).await;
    let outcomes: Vec<_> =
        done["outcomes"].as_array().expect("outcomes").iter().map(|done| text(done, "outcome")).collect();
    assert_eq!(outcomes, ["added", "skipped", "refused"], "{done}");
    tour.is_told("3 users imported").await;
    let exported = tour.get("/user-exports", "/user-exports").await.to_string();
    assert!(exported.contains("carol@example.com") && !exported.contains(hash));
    assert!(tour.get("/user-exports?hashes=included", "/user-exports").await.to_string().contains(hash));
    tour.is_told("the password hashes of 3 users exported").await;
    let _ = tour.call(Method::DELETE, "/users/bob", "/users/{name}", None, 204).await;
    tour.is_told("user bob removed").await;
    problem(&tour.ops.get("/users/bob").await, 404, "not-found");
    problem(&tour.ops.post("/users", &json!({"name": "carol", "password": PASSWORD})).await, 409, "conflict");
}

async fn grants(tour: &mut Tour) {
    let refresh = tour.ops.world.first("phone").await;
    let listed = tour.get("/grants?client=phone&user=alice", "/grants").await;
    let id = text(&listed["items"][0], "id");
    assert_eq!(tour.get(&format!("/grants/{id}"), "/grants/{id}").await["grant"]["state"], "live");
    let path = format!("/grants/{id}/end");
    let ended = tour.post(&path, "/grants/{id}/end", json!({"reason": "lost laptop"}), 200).await;
    assert_eq!(ended["was_live"], true);
    assert_eq!(tour.post(&path, "/grants/{id}/end", json!({}), 200).await["was_live"], false);
    assert_eq!(tour.ops.world.refresh("phone", &refresh).await.status, 400);
    let read = tour.get(&format!("/grants/{id}"), "/grants/{id}").await;
    // Newest first: the refresh that came too late, and before it the end.
    let told = &read["events"][1];
    assert_eq!(read["events"][0]["reason"], "revoked_by_operator", "{read}");
    assert_eq!(told["detail"], "lost laptop; by client ops on the admin API");
    assert!(told["correlation"].as_str().is_some_and(|id| id.len() == 16), "{told}");
    let events = tour.get("/events?kind=grant_ended&client=phone&user=alice&since=1h", "/events").await;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
    problem(&tour.ops.get("/grants/nothing").await, 404, "not-found");
    problem(&tour.ops.get("/grants?user=nobody").await, 404, "not-found");
    problem(&tour.ops.get("/events?kind=nothing").await, 422, "invalid");
}

async fn explained(tour: &mut Tour) {
    let refresh = tour.ops.world.first("phone").await;
    let asked = |what: &str| json!({ "what": what });
    let before = tour.ops.newest().await;
    let told = tour.post("/explain", "/explain", asked(&refresh), 200).await;
    assert_eq!((told["asked_about"].as_str(), told["token"]["now"].as_str()), (Some("refresh_token"), Some("rotated")));
    let id = text(&told["grant"], "id");
    assert_eq!(tour.post("/explain", "/explain", asked(&id), 200).await["grant"], told["grant"]);
    assert_eq!(tour.ops.newest().await, before, "a question writes nothing");
    let _ = tour.ops.post(&format!("/grants/{id}/end"), &json!({})).await.expect_status(200);
    let correlation = tour.ops.world.refresh("phone", &refresh).await.expect_status(400).header("x-correlation-id");
    let told = tour.post("/explain", "/explain", asked(&correlation), 200).await;
    assert_eq!((told["refused"]["code"].as_str(), &told["grant"]["id"]), (Some("revoked_by_operator"), &json!(id)));
    // What is asked about is never said back: it may be a token.
    let refused = tour.ops.post("/explain", &asked("rgr_almost")).await;
    problem(&refused, 422, "invalid");
    assert!(!refused.text().contains("rgr_almost"), "{}", refused.text());
    problem(&tour.ops.post("/explain", &asked("0123456789abcdef")).await, 404, "not-found");
    problem(&tour.ops.get("/explain?what=0123456789abcdef").await, 405, "method-not-allowed");
    let chain = tour.get("/events/chain", "/events/chain").await;
    assert_eq!((&chain["broken"], &chain["newest"]), (&Value::Null, &tour.ops.newest().await["id"]), "{chain}");
}

/// The one webhook, once all that happened is delivered to it or given up.
async fn delivered(tour: &mut Tour) -> Value {
    loop {
        let webhook = tour.get("/webhooks", "/webhooks").await["items"][0].take();
        if webhook["position"].is_u64() && webhook["waiting"] == 0 {
            return webhook;
        }
        tokio::task::yield_now().await;
    }
}

async fn webhooks(tour: &mut Tour, hook: &Hook) {
    let letters = async |tour: &mut Tour| delivered(tour).await["dead_letters"].as_array().map(Vec::len);
    let (retry, drop) = ("/webhooks/{name}/retry", "/webhooks/{name}/dead-letters");
    assert_eq!(letters(tour).await, Some(0));
    hook.does(Act::Answer(422, Vec::new(), String::new()));
    for _ in 0..2 {
        let _ = tour.ops.world.first("web-single").await;
    }
    assert_eq!(letters(tour).await, Some(2));
    let before = tour.ops.newest().await;
    let failed = tour.call(Method::POST, "/webhooks/alerts/retry", retry, None, 200).await;
    assert_eq!(failed, json!({"delivered": 0, "dropped": 0, "left": 2, "failure": "status 422"}));
    assert_eq!(tour.ops.newest().await, before, "nothing has changed");
    hook.does(Act::allows());
    let done = tour.call(Method::POST, "/webhooks/alerts/retry", retry, None, 200).await;
    assert_eq!(done, json!({"delivered": 2, "dropped": 0, "left": 0, "failure": null}));
    tour.is_told("dead letters of webhook alerts tried again").await;
    hook.does(Act::Answer(422, Vec::new(), String::new()));
    let _ = tour.ops.world.first("web-single").await;
    assert_eq!(letters(tour).await, Some(1));
    let dropped = tour.call(Method::DELETE, "/webhooks/alerts/dead-letters", drop, None, 200).await;
    assert_eq!(dropped["dropped"], 1);
    tour.is_told("1 dead letters of webhook alerts dropped").await;
    assert_eq!(letters(tour).await, Some(0));
    hook.does(Act::allows());
    assert_eq!(tour.get("/logouts", "/logouts").await["items"], json!([]), "nobody was logged out");
    problem(&tour.ops.send(Method::POST, "/webhooks/nobody/retry", None, &[]).await, 404, "not-found");
}

async fn revocations(tour: &mut Tour) {
    let (one, two) = (tour.ops.world.first("phone").await, tour.ops.world.first("web").await);
    let select = |effect: &str| json!({"selection": {"client": "phone"}, "effect": effect, "reason": "phone stolen"});
    let would = tour.post("/revocations", "/revocations", select("check"), 200).await;
    assert_eq!((&would["id"], &would["grants"]), (&Value::Null, &json!(1)), "{would}");
    let done = tour.post("/revocations", "/revocations", select("write"), 200).await;
    let id = done["id"].as_u64().expect("a number");
    let event = tour.ops.newest().await;
    let told = format!("bulk revocation {id} of client phone: phone stolen; by client ops on the admin API");
    assert_eq!(
        (event["detail"].as_str(), event["correlation"].as_str().map(str::len)),
        (Some(told.as_str()), Some(16))
    );
    assert_eq!(tour.ops.world.refresh("phone", &one).await.status, 400);
    // Behind those that followed from what was done to Bob.
    let listed = tour.get("/revocations", "/revocations").await;
    assert_eq!(listed["items"].as_array().and_then(|items| items.last()).map(|last| &last["id"]), Some(&json!(id)));
    let undo = format!("/revocations/{id}/undo");
    let _ = tour.call(Method::POST, &undo, "/revocations/{id}/undo", None, 200).await;
    let _ = tour.ops.world.refresh("phone", &one).await.expect_status(200);
    problem(&tour.ops.send(Method::POST, &undo, None, &[]).await, 422, "invalid");
    problem(&tour.ops.send(Method::POST, "/revocations/x/undo", None, &[]).await, 404, "not-found");
    problem(&tour.ops.post("/revocations", &json!({"selection": {}})).await, 422, "invalid");
    let leaked = json!({"tokens": [two, "nonsense"], "reason": "found in a log"});
    let done = tour.post("/token-revocations", "/token-revocations", leaked, 200).await;
    assert_eq!(
        (done["outcomes"][0]["outcome"].as_str(), done["outcomes"][1]["outcome"].as_str()),
        (Some("revoked"), Some("not_ours"))
    );
    assert_eq!(tour.ops.world.refresh("web", &two).await.status, 400);
    let code = tour.ops.world.code("phone").await;
    let _ = tour.ops.world.redeem("phone", &code).await.expect_status(200);
    let consent = "/users/{name}/consents/{client}";
    let _ = tour.call(Method::DELETE, "/users/alice/consents/phone", consent, None, 204).await;
    tour.is_told("consent of user alice for client phone withdrawn").await;
    problem(&tour.ops.send(Method::DELETE, "/users/alice/consents/phone", None, &[]).await, 404, "not-found");
}

async fn keys(tour: &mut Tour) {
    let listed = tour.get("/keys", "/keys").await;
    assert!(listed["items"].as_array().is_some_and(|keys| keys.len() >= 4), "{listed}");
    let body = json!({"algorithm": "ES256", "turn": "at_once"});
    let done = tour.post("/keys/signing/rotate", "/keys/{kind}/rotate", body, 200).await;
    tour.is_told(&text(&done, "done")).await;
    problem(&tour.ops.send(Method::POST, "/keys/signing/1/retire", None, &[]).await, 422, "invalid");
    tour.ops.world.advance(std::time::Duration::from_secs(86_400));
    tour.ops.bearer = format!("Bearer {}", super::support::token(&tour.ops.world, "ops").await);
    let _ = tour.call(Method::POST, "/keys/signing/1/retire", "/keys/{kind}/{id}/retire", None, 200).await;
    let compromise = "/keys/{kind}/{id}/compromise";
    let _ = tour.call(Method::POST, "/keys/sealing/1/compromise", compromise, None, 200).await;
    problem(&tour.ops.send(Method::POST, "/keys/sealing/1/compromise", None, &[]).await, 422, "invalid");
    problem(&tour.ops.post("/keys/door/rotate", &json!({})).await, 422, "invalid");
}
