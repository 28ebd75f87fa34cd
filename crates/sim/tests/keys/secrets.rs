//! Two live client secrets while one is replaced: nobody has to switch in the same second.

use regrant_server::config::{ClientDefinition, hash_text};
use sim::wire::{Reply, SECRET, World, http, log};

use super::support::{refused, secs, with_setting, world};

const SECOND: &str = "rgs_1111111111111111111111111111111111111111111111AA";
const THIRD: &str = "rgs_2222222222222222222222222222222222222222222222BB";

fn hash(secret: &str) -> String {
    hash_text(&regrant_core::one_time::client_secret_hash(secret))
}

async fn ask(world: &World, client: &str, secret: &str) -> Reply {
    let basic = http::basic(client, secret);
    world.http().post("/oauth2/token", &[("grant_type", "client_credentials")], &[("authorization", &basic)]).await
}

async fn works(world: &World, client: &str, secret: &str) -> bool {
    let reply = ask(world, client, secret).await;
    if reply.status == 200 {
        return true;
    }
    refused(&reply, 401, "invalid_client", "wrong_client_secret");
    false
}

async fn with_added() -> World {
    let world = world().await;
    let definition = ClientDefinition {
        id: "job".to_owned(),
        secret_hash: Some(hash(SECRET)),
        grant_types: Some(vec!["client_credentials".to_owned()]),
        ..ClientDefinition::default()
    };
    let _ = world.app.admin().add_client(definition).await.expect("added");
    world
}

/// The new one works at once, the old one to the second on which the overlap ends, across a restart; the revocation and introspection
/// endpoints agree.
#[tokio::test]
async fn the_old_secret_works_until_the_overlap_ends() {
    let world = with_added().await;
    let replaced = world.app.admin().rotate_client_secret("job", &hash(SECOND), secs(3600)).await.expect("replaced");
    assert_eq!(replaced.previous_works_until.as_deref(), Some("2026-01-01T01:00:00Z"));
    assert!(!replaced.dropped_an_older_one);
    let world = world.restart().await;
    assert!(works(&world, "job", SECRET).await && works(&world, "job", SECOND).await);
    world.advance(secs(3599));
    assert!(works(&world, "job", SECRET).await && works(&world, "job", SECOND).await);
    for path in ["/oauth2/revoke", "/oauth2/introspect"] {
        for (secret, status) in [(SECRET, 200), (SECOND, 200), (THIRD, 401)] {
            let basic = http::basic("job", secret);
            let _ =
                world.http().post(path, &[("token", "x")], &[("authorization", &basic)]).await.expect_status(status);
        }
    }
    world.advance(secs(1));
    assert!(!works(&world, "job", SECRET).await && works(&world, "job", SECOND).await);
    let basic = http::basic("job", SECRET);
    let _ =
        world.http().post("/oauth2/revoke", &[("token", "x")], &[("authorization", &basic)]).await.expect_status(401);
}

/// At most two are live: a second rotation within the overlap drops the oldest, and says so. Without an overlap the old one is dead.
#[tokio::test]
async fn at_most_two_secrets_are_live() {
    let world = with_added().await;
    let admin = world.app.admin();
    let _ = admin.rotate_client_secret("job", &hash(SECOND), secs(86_400)).await.expect("replaced");
    let again = admin.rotate_client_secret("job", &hash(THIRD), secs(86_400)).await.expect("replaced");
    assert!(again.dropped_an_older_one);
    assert!(!works(&world, "job", SECRET).await);
    assert!(works(&world, "job", SECOND).await && works(&world, "job", THIRD).await);
    let at_once = admin.rotate_client_secret("job", &hash(SECRET), secs(0)).await.expect("replaced");
    assert_eq!(at_once.previous_works_until, None);
    assert!(works(&world, "job", SECRET).await);
    assert!(!works(&world, "job", SECOND).await && !works(&world, "job", THIRD).await);
    let told = super::support::told(&world, "admin").await;
    assert_eq!(told.iter().filter(|detail| detail.starts_with("client job has a new secret")).count(), 3);
    assert!(told.iter().all(|detail| !detail.contains(SECRET) && !detail.contains("sha256:")));
}

/// What cannot be: a public client, one of the file (with what to write there), one that is not there, an overlap without an end.
#[tokio::test]
async fn what_has_no_secret_of_the_store_is_refused() {
    let world = with_added().await;
    let admin = world.app.admin();
    for (client, overlap, says) in [
        ("daemon", 60, "previous_secret_expires_at"),
        ("nobody", 60, "there is no client nobody"),
        ("job", 91 * 86_400, "at most 90d"),
    ] {
        let refusal = admin.rotate_client_secret(client, &hash(SECOND), secs(overlap)).await.expect_err(client);
        assert!(refusal.to_string().contains(says), "{refusal}");
    }
    let public = ClientDefinition {
        id: "app".to_owned(),
        token_endpoint_auth_method: Some("none".to_owned()),
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        ..ClientDefinition::default()
    };
    let _ = admin.add_client(public).await.expect("added");
    let refusal = admin.rotate_client_secret("app", &hash(SECOND), secs(60)).await.expect_err("it is public");
    assert!(refusal.to_string().contains("it has no secret"), "{refusal}");
    assert!(admin.rotate_client_secret("job", "a secret", secs(60)).await.is_err(), "this is no hash");
    assert!(works(&world, "job", SECRET).await);
}

/// For clients of the file the file says it.
#[tokio::test]
async fn a_client_of_the_file_has_two_secrets_while_the_file_says_so() {
    log::listen();
    let until = "previous_secret_expires_at = \"2026-01-01T00:10:00Z\"";
    let setting = format!("previous_secret_hash = \"{}\"\n{until}", hash(SECOND));
    let world = World::with(&with_setting("daemon", &setting)).await;
    world.advance(secs(599));
    assert!(works(&world, "daemon", SECRET).await && works(&world, "daemon", SECOND).await);
    world.advance(secs(1));
    assert!(works(&world, "daemon", SECRET).await && !works(&world, "daemon", SECOND).await);
}
