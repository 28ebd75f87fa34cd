//! The global token revocation endpoint (draft-parecki-oauth-global-token-revocation): JSON in, 204 out, everything of a user dead.

use regrant_server::claims::attributes::UserChange;
use regrant_store::Cause;
use serde_json::{Value, json};
use sim::wire::{CONFIG, Reply, SECRET, USER, World, http, text};

use super::support::{alive, dead, ended, held, next, refused, world_with};

const TOOL: &str = "\n[[client]]\nid = \"siem\"\nsecret_hash = \"HASH\"\ngrant_types = []\nmay_revoke_users = true\n";
const PATH: &str = "/oauth2/global-revoke";

async fn post(world: &World, client: &str, body: &str) -> Reply {
    let basic = http::basic(client, SECRET);
    world.http().post_raw(PATH, body, "application/json", &[("authorization", &basic)]).await
}

async fn ask(world: &World, sub_id: Value) -> Reply {
    post(world, "siem", &json!({"sub_id": sub_id}).to_string()).await
}

async fn world() -> World {
    world_with(&format!("{CONFIG}{TOOL}")).await
}

async fn subject(world: &World) -> String {
    text(&serde_json::to_value(world.app.admin().user_detail(USER).await.expect("the user")).expect("JSON"), "subject")
}

/// Every way to name a user; afterwards nothing of the user's works, and the browser must log in again. No operator takes it back.
#[tokio::test]
async fn everything_of_the_named_user_ends() {
    for named in ["iss_sub", "opaque", "email by name", "email"] {
        let world = world().await;
        world.add_user("bob@example.com").await;
        let mut before = held(&world, "web").await;
        let mut bob = super::support::held_by(&world, "web", "bob@example.com", None).await;
        let subject = subject(&world).await;
        let texts = vec![("email".to_owned(), "Alice@Example.com".to_owned())];
        let change = UserChange { texts, ..UserChange::default() };
        world.app.admin().set_user(USER, &change).await.expect("set");
        let sub_id = match named {
            "iss_sub" => json!({"format": "iss_sub", "iss": world.app.issuer(), "sub": subject}),
            "opaque" => json!({"format": "opaque", "id": subject}),
            "email" => json!({"format": "email", "email": "alice@example.com"}),
            _ => json!({"format": "email", "email": "BOB@example.com"}),
        };
        let reply = ask(&world, sub_id).await.expect_status(204);
        assert_eq!((reply.text().as_str(), reply.header("cache-control").as_str()), ("", "no-store"));
        let (hit, missed) = if named == "email by name" { (&mut bob, &mut before) } else { (&mut before, &mut bob) };
        assert_eq!(hit.ask(&world).await, ended("global_revocation", "login_required"), "{named}");
        assert_eq!(missed.ask(&world).await, alive(), "{named}");
        assert!(world.app.admin().undo_revocation(1).await.is_err(), "final");
        assert_eq!(held(&world, "web").await.ask(&world).await, alive());
    }
}

/// Check O1: who may not, or cannot be read, changes nothing; each refusal has its reason.
#[tokio::test]
async fn nobody_else_revokes_users() {
    let world = world().await;
    let token = world.first("phone").await;
    let subject = subject(&world).await;
    let good = json!({"sub_id": {"format": "opaque", "id": subject}}).to_string();
    refused(&post(&world, "api", &good).await, 403, "access_denied", "may_not_revoke");
    refused(&post(&world, "nobody", &good).await, 401, "invalid_client", "unknown_client");
    let wrong = http::basic("siem", "rgs_wrong");
    let reply = world.http().post_raw(PATH, &good, "application/json", &[("authorization", &wrong)]).await;
    refused(&reply, 401, "invalid_client", "wrong_client_secret");
    refused(&world.http().post_raw(PATH, &good, "application/json", &[]).await, 401, "invalid_client", "no_client");
    for bad in [
        "",
        "{}",
        "[]",
        "{\"sub_id\":{}}",
        "{\"sub_id\":{\"format\":\"phone_number\",\"phone_number\":\"+1\"}}",
        "{\"sub_id\":{\"format\":\"opaque\"}}",
    ] {
        refused(&post(&world, "siem", bad).await, 400, "invalid_request", "malformed");
    }
    let basic = http::basic("siem", SECRET);
    let reply = world.http().post_raw(PATH, &good, "text/plain", &[("authorization", &basic)]).await;
    refused(&reply, 400, "invalid_request", "malformed");
    let long = format!("{{\"sub_id\":{{\"format\":\"opaque\",\"id\":\"{}\"}}}}", "x".repeat(9000));
    refused(&post(&world, "siem", &long).await, 413, "invalid_request", "malformed");
    assert_eq!(world.http().get(PATH, &[]).await.status.as_u16(), 405);
    for unknown in [
        json!({"format": "opaque", "id": "usr_00000000"}),
        json!({"format": "opaque", "id": "phone"}),
        json!({"format": "email", "email": "nobody@example.com"}),
        json!({"format": "iss_sub", "iss": "https://other.example", "sub": subject}),
    ] {
        refused(&ask(&world, unknown).await, 404, "invalid_request", "no_such_subject");
    }
    let _ = next(world.refresh("phone", &token).await);
}

/// Check T21: 204 only if it is durable; a store that fails is 503, and nothing has happened.
#[tokio::test]
async fn a_failed_store_is_503_and_revokes_nothing() {
    let world = world().await;
    let token = world.first("phone").await;
    let sub_id = json!({"format": "opaque", "id": subject(&world).await});
    world.watch.refuse(Cause::Full, 1);
    ask(&world, sub_id.clone()).await.expect_error(503, "temporarily_unavailable");
    let token = next(world.refresh("phone", &token).await);
    let _ = ask(&world, sub_id).await.expect_status(204);
    dead(&world.refresh("phone", &token).await, "global_revocation");
}

/// It is announced where a client may use it, and only there.
#[tokio::test]
async fn the_metadata_announce_it_where_it_can_be_used() {
    let document = "/.well-known/oauth-authorization-server";
    let with = world().await;
    let announced = with.http().get(document, &[]).await.json()["global_token_revocation_endpoint"].clone();
    assert_eq!(announced, format!("{}{PATH}", with.app.issuer()));
    let without = super::support::world().await;
    assert!(without.http().get(document, &[]).await.json()["global_token_revocation_endpoint"].is_null());
}
