//! A million strangers who register stay bounded: by network and time, in number, in size, and by what is never used.

use std::time::Duration;

use http::Method;
use regrant_server::admin::events::EventsWanted;
use serde_json::{Value, json};
use sim::wire::assertion::{self, sign};
use sim::wire::{Http, Reply, World};

use super::support::{ask, but, claims, clients, first_tokens, member, open, register, web};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_network_registers_so_many_and_then_waits() {
    let world = World::with(&format!("[limits]\nregistrations_per_network = \"3/h\"\n{}", open(""))).await;
    for _ in 0..3 {
        let _ = register(&world, &web(), &[]).await.expect_status(201);
    }
    register(&world, &web(), &[]).await.expect_error(429, "temporarily_unavailable");
    let elsewhere = world.http_from("127.0.0.9");
    let _ =
        elsewhere.post_raw("/oauth2/register", &web().to_string(), "application/json", &[]).await.expect_status(201);
    world.advance(Duration::from_secs(1200));
    let _ = register(&world, &web(), &[]).await.expect_status(201);
}

/// What others send from the same address costs a client that signs nothing, wherever it signs; only who sends its very name can, and
/// then this client alone, and no more signatures are verified for that than its secret could be guessed.
#[tokio::test]
async fn a_flood_from_the_same_address_costs_a_client_that_signs_nothing() {
    let limits = "[limits]\nfailures_per_network = \"10/m\"\nwrong_secrets = \"5/m\"\n";
    let world = World::with(&format!("{limits}{}", clients())).await;
    let wrong = async || world.http().post("/oauth2/token", &[("grant_type", "x"), ("client_id", "robot")], &[]).await;
    for _ in 0..10 {
        wrong().await.expect_error(400, "unsupported_grant_type");
    }
    wrong().await.expect_error(429, "temporarily_unavailable");
    let good = |client: &str| sign(assertion::key(), &claims(&world, client));
    let with_good = async |client: &str| ask(&world.http(), &good(client), &[]).await;
    for _ in 0..20 {
        let _ = with_good("robot").await.expect_status(200);
        let told = world.post("/oauth2/introspect", "api", &[("token", "x")], &[]).await;
        assert_eq!(told.expect_status(200).json()["active"], false);
    }
    // Names of nobody, and of clients that do not sign, are not worth a look.
    for name in ["nobody", "basic"] {
        with_good(name).await.expect_error(429, "temporarily_unavailable");
    }
    for _ in 0..5 {
        let signed = good("robot");
        let forged = signed.rsplit_once('.').expect("signed").0.to_owned() + ".AAAA";
        ask(&world.http(), &forged, &[]).await.expect_error(429, "temporarily_unavailable");
    }
    with_good("robot").await.expect_error(429, "temporarily_unavailable");
    let _ = ask(&world.http_from("127.0.0.9"), &good("robot"), &[]).await.expect_status(200);
    let told = world.post("/oauth2/introspect", "api", &[("token", "x")], &[]).await;
    assert_eq!(told.expect_status(200).json()["active"], false, "another client is not concerned");
}

/// Anybody can register many clients that sign: all of them together are worth as many signatures as one network.
#[tokio::test]
async fn registered_clients_share_the_signatures_that_a_flood_costs() {
    let world = World::with(&format!("[limits]\nfailures_per_network = \"4/m\"\n{}", open(""))).await;
    let keys = json!({"keys": [assertion::set(&[assertion::key()])["keys"][0]]});
    let signer = but(&web(), json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys}));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(member(&register(&world, &signer, &[]).await.expect_status(201).json(), "client_id"));
    }
    for _ in 0..6 {
        let _ = world.http().post("/oauth2/token", &[("grant_type", "x"), ("client_id", "robot")], &[]).await;
    }
    let good = |id: &str| sign(assertion::key(), &claims(&world, id));
    ask(&world.http(), &good(&ids[1]), &[]).await.expect_error(400, "unauthorized_client");
    for _ in 0..4 {
        let forged = good(&ids[0]).rsplit_once('.').expect("signed").0.to_owned() + ".AAAA";
        ask(&world.http(), &forged, &[]).await.expect_error(429, "temporarily_unavailable");
    }
    for id in &ids {
        ask(&world.http(), &good(id), &[]).await.expect_error(429, "temporarily_unavailable");
    }
}

/// Whoever has one registration does not fill the disk with changes of it: neither the store, nor the events, nor the revocation journal.
#[tokio::test]
async fn a_registration_is_changed_so_often_and_then_waits() {
    let world = World::with(&format!("[limits]\nregistrations_per_network = \"3/h\"\n{}", open(""))).await;
    let client = register(&world, &web(), &[]).await.expect_status(201).json();
    let other = register(&world, &web(), &[]).await.expect_status(201).json();
    let (mut token, mut told) = (member(&client, "registration_access_token"), 0);
    for number in 0..6 {
        let reply = change(&world.http(), &client, &token, &format!("Name {number}")).await;
        if reply.status == 200 {
            token = member(&reply.json(), "registration_access_token");
            told += 1;
        } else {
            reply.expect_error(429, "temporarily_unavailable");
        }
        // Read as often as it likes.
        let (path, bearer) = (path(&client), format!("Bearer {token}"));
        let _ = world.http().get(&path, &[("authorization", &bearer)]).await.expect_status(200);
    }
    assert_eq!(told, 3);
    // From elsewhere, too; and another one from here.
    let elsewhere = world.http_from("127.0.0.9");
    change(&elsewhere, &client, &token, "Other").await.expect_error(429, "temporarily_unavailable");
    let others = member(&other, "registration_access_token");
    change(&world.http(), &other, &others, "Other").await.expect_error(429, "temporarily_unavailable");
    let _ = change(&elsewhere, &other, &others, "Other").await.expect_status(200);
    // A change is one event, and that its token has come is none.
    let events =
        world.app.admin().events(&EventsWanted { limit: 100, ..EventsWanted::default() }).await.expect("events");
    let changes = events.iter().filter(|event| event.detail.contains("registration"));
    assert_eq!(changes.count(), told + 1);
    world.advance(Duration::from_secs(1200));
    let _ = change(&world.http(), &client, &token, "Other").await.expect_status(200);
}

fn path(client: &Value) -> String {
    format!("/oauth2/register/{}", member(client, "client_id"))
}

async fn change(http: &Http, client: &Value, token: &str, name: &str) -> Reply {
    let body = but(&web(), json!({"client_id": client["client_id"], "client_name": name}));
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    http.send(Method::PUT, &path(client), &headers, body.to_string().into()).await
}

#[tokio::test]
async fn there_are_no_more_than_so_many() {
    let world = World::with(&open("most = 5")).await;
    for _ in 0..5 {
        let _ = register(&world, &web(), &[]).await.expect_status(201);
    }
    for _ in 0..20 {
        register(&world, &web(), &[]).await.expect_error(503, "temporarily_unavailable");
    }
    assert_eq!(world.app.settings().clients.registered(), 5);
}

/// What nobody uses goes; what somebody is logged in with stays, however long.
#[tokio::test]
async fn a_registration_without_a_living_grant_is_reaped() {
    let world = World::with(&open("reap_after = \"7d\"\nmost = 2")).await;
    let used = register(&world, &web(), &[]).await.expect_status(201).json();
    let unused = register(&world, &web(), &[]).await.expect_status(201).json();
    let id = member(&used, "client_id");
    let _ = first_tokens(&world, &used, &[]).await;
    world.advance(DAY * 6);
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
    assert_eq!(world.app.settings().clients.registered(), 2);
    world.advance(DAY * 2);
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
    assert!(world.app.client(&id).is_some(), "somebody is logged in with it");
    assert!(world.app.client(&member(&unused, "client_id")).is_none());
    let _ = register(&world, &web(), &[]).await.expect_status(201);
    // The grant ends, and so does the client.
    world.advance(DAY * 40);
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
    assert!(world.app.client(&id).is_none());
    let world = world.restart().await;
    assert_eq!(world.app.settings().clients.registered(), 0);
}

/// Who only logs people in has no grant that lives: used daily, it stays; left alone, it goes.
#[tokio::test]
async fn a_registration_that_only_logs_people_in_is_used_while_they_do() {
    let world = World::with(&open("reap_after = \"7d\"")).await;
    let metadata = but(&web(), json!({"grant_types": ["authorization_code"]}));
    let client = register(&world, &metadata, &[]).await.expect_status(201).json();
    let id = member(&client, "client_id");
    for _ in 0..4 {
        world.advance(DAY * 5);
        let _ = first_tokens(&world, &client, &[]).await;
        world.advance(DAY);
        regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
        assert!(world.app.client(&id).is_some(), "somebody logged in yesterday");
    }
    world.advance(DAY * 40);
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
    assert!(world.app.client(&id).is_none());
}

/// Assertions that were used are forgotten when they have expired: the table does not grow with the years.
#[tokio::test]
async fn used_assertions_are_swept_when_they_are_over() {
    let world = super::support::world().await;
    let signed = || sim::wire::assertion::sign(sim::wire::assertion::key(), &super::support::claims(&world, "robot"));
    for _ in 0..20 {
        let _ = super::support::ask(&world.http(), &signed(), &[]).await.expect_status(200);
    }
    let fixed = sim::wire::assertion::sign(
        sim::wire::assertion::key(),
        &but(&super::support::claims(&world, "robot"), json!({"jti": "once"})),
    );
    let _ = super::support::ask(&world.http(), &fixed, &[]).await.expect_status(200);
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
    super::support::ask(&world.http(), &fixed, &[]).await.expect_error(401, "invalid_client");
}
