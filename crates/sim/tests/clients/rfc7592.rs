//! RFC 7592, management of a registration:
//!
//! - 2.1: "the authorization server responds with all registered metadata about this client".
//! - 2.2: "This request MUST include all client metadata fields as returned to the client […] The client MUST NOT include the
//!   "registration_access_token", "registration_client_uri", "client_secret_expires_at", or "client_id_issued_at" fields". "MUST include
//!   its "client_id" field in the request, and it MUST be the same".
//! - 2.3: "the authorization server responds with an HTTP 204 No Content message"; "SHOULD immediately invalidate all existing
//!   authorization grants and currently active access tokens".
//! - 3: "registration_client_uri REQUIRED"; "registration_access_token REQUIRED".
//! - 3: "If the client does not exist on this server, the server MUST respond with HTTP 401 Unauthorized".

use http::Method;
use regrant_server::admin::events::EventsWanted;
use serde_json::{Value, json};
use sim::wire::{Reply, World, text};
use tower::ServiceExt as _;

use super::support::{but, directory, first_tokens, member, open, register, web};

async fn world() -> (World, Value) {
    let world = World::with(&open("")).await;
    let client = register(&world, &web(), &[]).await.expect_status(201).json();
    (world, client)
}

async fn ask(world: &World, method: Method, id: &str, token: &str, body: Option<&Value>) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = body.map(ToString::to_string).unwrap_or_default();
    world.http().send(method, &format!("/oauth2/register/{id}"), &headers, body.into()).await
}

fn wanted(client: &Value, changes: Value) -> Value {
    but(&but(&web(), json!({"client_id": client["client_id"]})), changes)
}

#[tokio::test]
async fn a_client_reads_what_it_registered() {
    let (world, client) = world().await;
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    assert_eq!(member(&client, "registration_client_uri"), format!("{}/oauth2/register/{id}", world.base));
    let read = ask(&world, Method::GET, &id, &token, None).await.expect_status(200).json();
    // The secret alone is not given again: it is "OPTIONAL" (RFC 7591 section 3.2.1), and its hash is all that is kept.
    let told = but(&client, json!({"client_secret": null, "client_secret_expires_at": null}));
    assert_eq!(read, told);
}

/// Section 3, and check A9: another's token, another kind of token, and none at all are one answer.
#[tokio::test]
async fn only_its_own_token_opens_a_registration() {
    let (world, client) = world().await;
    let other = register(&world, &web(), &[]).await.expect_status(201).json();
    let id = member(&client, "client_id");
    for token in [
        member(&other, "registration_access_token"),
        member(&client, "client_secret"),
        "x".to_owned(),
        "rgm_".to_owned(),
        member(&client, "registration_access_token").to_uppercase(),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let reply = ask(&world, method, &id, &token, Some(&wanted(&client, json!({})))).await;
            reply.expect_error(401, "invalid_token");
        }
    }
    let token = member(&client, "registration_access_token");
    for nobody in ["dyn_0", "web", "..%2f..", "%00", "%ff", &member(&other, "client_id")] {
        ask(&world, Method::GET, nobody, &token, None).await.expect_error(401, "invalid_token");
    }
    ask(&world, Method::POST, &id, &token, None).await.expect_error(405, "invalid_request");
    assert_eq!(world.http().get(&format!("/oauth2/register/{id}"), &[]).await.status, 401);
}

/// Section 2.3: whoever hangs up in the middle leaves nothing half done. What the store has forgotten is nobody in memory, what it
/// has taken is what it is told.
#[tokio::test]
async fn a_hang_up_leaves_no_registration_half_done() {
    // On a file, where a commit takes longer than it takes to hang up.
    let world = World::on_sqlite_with(&open(""), &directory().join("regrant.db")).await;
    let router = regrant_server::router(std::sync::Arc::clone(&world.app));
    let request = |method: Method, path: &str, token: &str, body: &Value| {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        router.clone().oneshot(request.body(axum::body::Body::from(body.to_string())).expect("a request"))
    };
    let mut done = 0;
    for turns in 1..6 {
        for method in [Method::PUT, Method::DELETE, Method::POST] {
            let client = register(&world, &web(), &[]).await.expect_status(201).json();
            let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
            let name = format!("Name {turns}");
            let path =
                if method == Method::POST { "/oauth2/register".to_owned() } else { format!("/oauth2/register/{id}") };
            let body = if method == Method::POST {
                but(&web(), json!({"client_name": name}))
            } else {
                wanted(&client, json!({"client_name": name}))
            };
            hang_up_after(turns, request(method.clone(), &path, &token, &body)).await;
            // Behind whatever it has begun.
            let _ = register(&world, &web(), &[]).await.expect_status(201);
            let events = events(&world).await;
            let told = |what: &str| events.iter().any(|event| event.contains(&id) && event.contains(what));
            let known = world.app.settings().clients.get(&regrant_core::ClientId::parse(&id).expect("an id"));
            match method {
                Method::DELETE => assert_eq!(known.is_none(), told("removed itself"), "{turns}"),
                Method::PUT => {
                    let is_new = known.expect("there").name == name;
                    assert_eq!(is_new, told("changed its registration"), "{turns}");
                }
                _ => {}
            }
            done += usize::from(told("removed itself") || told("changed its registration"));
        }
    }
    assert!(done > 0, "nothing was broken off behind its commit");
}

/// Polls a request so many times, and is gone when it could go on.
async fn hang_up_after<F: Future>(turns: u32, request: F) {
    let (mut request, mut left) = (Box::pin(request), turns);
    std::future::poll_fn(|context| match left.checked_sub(1) {
        None => std::task::Poll::Ready(()),
        Some(fewer) => {
            left = fewer;
            request.as_mut().poll(context).map(drop)
        }
    })
    .await;
}

async fn events(world: &World) -> Vec<String> {
    let wanted = EventsWanted { limit: 100, ..EventsWanted::default() };
    world.app.admin().events(&wanted).await.expect("events").into_iter().map(|event| event.detail).collect()
}

/// Section 3: "the client MUST immediately discard its previous […] registration access token". Whoever shows it when the newest one has come is
/// somebody else, and the newest one goes on.
#[tokio::test]
async fn the_token_before_the_newest_is_nobodys_once_that_was_used() {
    let (world, client) = world().await;
    let (id, first) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let change = wanted(&client, json!({"client_name": "Other"}));
    let changed = ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_status(200).json();
    let second = member(&changed, "registration_access_token");
    let _ = ask(&world, Method::GET, &id, &first, None).await.expect_status(200);
    let _ = ask(&world, Method::HEAD, &id, &second, None).await.expect_status(200);
    let world = world.restart().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        ask(&world, method, &id, &first, Some(&change)).await.expect_error(401, "invalid_token");
    }
    let read = ask(&world, Method::GET, &id, &second, None).await.expect_status(200).json();
    assert_eq!(
        (member(&read, "client_name"), member(&read, "application_type")),
        ("Other".to_owned(), "web".to_owned())
    );
}

/// Section 2.2. The token is another with each change; the one before works until the new one was used: an answer that was lost locks
/// nobody out.
#[tokio::test]
async fn a_client_changes_its_registration() {
    let (world, client) = world().await;
    let (id, first) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let change = wanted(
        &client,
        json!({"client_name": "Other", "redirect_uris": ["https://app.example/cb", "https://app.example/2"]}),
    );
    let changed = ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_status(200).json();
    assert_eq!((member(&changed, "client_name"), member(&changed, "client_id")), ("Other".to_owned(), id.clone()));
    assert!(changed.get("client_secret").is_none(), "it keeps its secret");
    let second = member(&changed, "registration_access_token");
    assert_ne!(first, second);
    // The answer was lost: the same again, with the token that it has.
    let again = ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_status(200).json();
    assert_eq!(again, changed);
    let world = world.restart().await;
    let third = ask(&world, Method::PUT, &id, &second, Some(&change)).await.expect_status(200).json();
    ask(&world, Method::GET, &id, &first, None).await.expect_error(401, "invalid_token");
    let _ = ask(&world, Method::GET, &id, &member(&third, "registration_access_token"), None).await.expect_status(200);
    // Its secret is what it was.
    let secret = member(&client, "client_secret");
    let form = [("token", "x"), ("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let _ = world.http().post("/oauth2/revoke", &form, &[]).await.expect_status(200);
}

#[tokio::test]
async fn a_change_says_what_it_must_and_nothing_that_it_must_not() {
    let (world, client) = world().await;
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    for changes in [
        json!({"client_id": null}),
        json!({"client_id": "other"}),
        json!({"client_id": 1}),
        json!({"registration_access_token": token}),
        json!({"registration_client_uri": "https://x.example/"}),
        json!({"client_secret_expires_at": 0}),
        json!({"client_id_issued_at": 0}),
        json!({"client_secret": "wrong"}),
        json!({"client_secret": 1}),
        json!({"grant_types": ["password"]}),
    ] {
        let reply = ask(&world, Method::PUT, &id, &token, Some(&wanted(&client, changes.clone()))).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["error"].as_str()),
            (400, Some("invalid_client_metadata")),
            "{changes}: {}",
            reply.text()
        );
    }
    let same = wanted(&client, json!({"client_secret": client["client_secret"]}));
    let _ = ask(&world, Method::PUT, &id, &token, Some(&same)).await.expect_status(200);
}

/// Section 2.3: gone for good, with what it had.
#[tokio::test]
async fn a_client_removes_itself_with_all_it_has() {
    let (world, client) = world().await;
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let secret = member(&client, "client_secret");
    let proof = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let tokens = first_tokens(&world, &client, &[]).await;
    let reply = ask(&world, Method::DELETE, &id, &token, None).await.expect_status(204);
    assert!(reply.body.is_empty());
    ask(&world, Method::GET, &id, &token, None).await.expect_error(401, "invalid_token");
    let refresh = text(&tokens, "refresh_token");
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    form.extend(proof);
    world.http().post("/oauth2/token", &form, &[]).await.expect_error(401, "invalid_client");
    let world = world.restart().await;
    world.http().post("/oauth2/token", &form, &[]).await.expect_error(401, "invalid_client");
}

/// A redirect URI that goes takes the grants with it, as for every other client (`on_redirect_uris_reduced`).
#[tokio::test]
async fn a_change_has_the_consequences_that_an_operators_has() {
    let (world, client) = world().await;
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let change = wanted(&client, json!({"token_endpoint_auth_method": "none"}));
    let changed = ask(&world, Method::PUT, &id, &token, Some(&change)).await.expect_status(200).json();
    let back = wanted(&client, json!({}));
    let token = member(&changed, "registration_access_token");
    let again = ask(&world, Method::PUT, &id, &token, Some(&back)).await.expect_status(200).json();
    assert_ne!(again["client_secret"], client["client_secret"], "public in between, it gets a new secret");
    assert_eq!(again["client_secret_expires_at"], 0);
}

/// Two requests at once, or one that the network repeats after its answer was heard: each is told the same token, and that one is good.
#[tokio::test]
async fn a_change_that_comes_twice_gives_one_token() {
    let (world, client) = world().await;
    let (id, first) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let change = wanted(&client, json!({"client_name": "Other"}));
    let asked = || async {
        loop {
            let reply = ask(&world, Method::PUT, &id, &first, Some(&change)).await;
            // Another one is being written: "the same request a second later".
            if reply.status != 503 {
                return member(&reply.expect_status(200).json(), "registration_access_token");
            }
        }
    };
    let (second, others) = tokio::join!(asked(), async { tokio::join!(asked(), asked()) });
    assert_eq!(others, (second.clone(), second.clone()));
    assert_ne!(second, first);
    let noted = world.app.settings().clients.iter().find_map(|(_, added)| added?.registration.clone());
    // One that only repeats writes nothing.
    world.advance(std::time::Duration::from_secs(60));
    let _ = ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_status(200);
    assert_eq!(world.app.settings().clients.iter().find_map(|(_, added)| added?.registration.clone()), noted);
    let _ = ask(&world, Method::GET, &id, &second, None).await.expect_status(200);
    ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_error(401, "invalid_token");
}

/// A secret is told once, but to whoever did not hear the answer: the same to the same request, and never another.
#[tokio::test]
async fn a_secret_whose_answer_was_lost_is_told_again() {
    for method in ["client_secret_basic", "client_secret_jwt"] {
        let world = World::with(&open("")).await;
        let public = but(&web(), json!({"token_endpoint_auth_method": "none"}));
        let client = register(&world, &public, &[]).await.expect_status(201).json();
        let (id, first) = (member(&client, "client_id"), member(&client, "registration_access_token"));
        let change = wanted(&client, json!({"token_endpoint_auth_method": method}));
        let lost = ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_status(200).json();
        let world = world.restart().await;
        let again = ask(&world, Method::PUT, &id, &first, Some(&change)).await.expect_status(200).json();
        assert_eq!(again, lost);
        let secret = member(&again, "client_secret");
        let second = member(&again, "registration_access_token");
        let renamed = but(&change, json!({"client_name": "Other", "client_secret": secret}));
        let renamed = ask(&world, Method::PUT, &id, &second, Some(&renamed)).await.expect_status(200).json();
        assert!(renamed.get("client_secret").is_none(), "it was told");
    }
}

/// What an operator has set on it is the operator's: the client's own change does not take it back.
#[tokio::test]
async fn a_change_keeps_what_an_operator_has_set() {
    let resource = "[[resource]]\nuri = \"https://api.example/\"\n";
    let world = World::with(&open(&format!("scopes = [\"openid\", \"profile\", \"email\"]\n{resource}"))).await;
    let client = register(&world, &web(), &[]).await.expect_status(201).json();
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let admin = world.app.admin();
    let read = admin.client_detail(&id).expect("it is there");
    let set = regrant_server::config::ClientDefinition {
        scopes: vec!["openid".to_owned()],
        resources: vec!["https://api.example/".to_owned()],
        require_pkce: Some(true),
        access_token_lifetime: Some("60s".to_owned()),
        ..read.definition
    };
    admin.put_client(set.clone()).await.expect("a good definition");
    let new = format!("sha256:{}", "ab".repeat(32));
    let replaced = admin.rotate_client_secret(&id, &new, std::time::Duration::from_secs(86_400)).await;
    assert!(replaced.expect("it has a secret").previous_works_until.is_some());
    // Twice, and across a restart: its own change opens nothing for the next one.
    let change = wanted(&client, json!({"client_name": "Other", "scope": "openid profile email"}));
    let changed = ask(&world, Method::PUT, &id, &token, Some(&change)).await.expect_status(200).json();
    let world = world.restart().await;
    let token = member(&changed, "registration_access_token");
    let none = but(&change, json!({"scope": null}));
    let changed = ask(&world, Method::PUT, &id, &token, Some(&none)).await.expect_status(200).json();
    assert_eq!((member(&changed, "scope"), member(&changed, "client_name")), ("openid".to_owned(), "Other".to_owned()));
    let found = world.app.admin().client_detail(&id).expect("it is there").definition;
    assert_eq!(
        (found.scopes, found.resources, found.require_pkce, found.access_token_lifetime),
        (set.scopes, set.resources, set.require_pkce, set.access_token_lifetime)
    );
    // Its old secret works until the time that was set.
    let secret = member(&client, "client_secret");
    let form = [("token", "x"), ("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let _ = world.http().post("/oauth2/revoke", &form, &[]).await.expect_status(200);
}

/// `mode = "off"` closes changes, too: "403 Forbidden" (RFC 7592 section 2.2). To read and to leave are always a client's own.
#[tokio::test]
async fn where_registration_is_off_a_client_reads_and_removes_itself_and_changes_nothing() {
    let (world, client) = world().await;
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let world = world.restart_with(Some("[registration]\nmode = \"off\"\n")).await;
    let change = wanted(&client, json!({"client_name": "Other"}));
    ask(&world, Method::PUT, &id, &token, Some(&change)).await.expect_error(403, "access_denied");
    let read = ask(&world, Method::GET, &id, &token, None).await.expect_status(200).json();
    assert_eq!(member(&read, "client_name"), "Fair App");
    let _ = ask(&world, Method::DELETE, &id, &token, None).await.expect_status(204);
}
