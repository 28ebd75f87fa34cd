//! OpenID Connect Core section 9, client authentication; and what a client that holds a key is given for it.
//!
//! - "iss REQUIRED. […] MUST contain the client_id". "sub REQUIRED." "aud REQUIRED." "jti REQUIRED. […] These tokens MUST only be used
//!   once". "exp REQUIRED."
//! - "The Audience SHOULD be the URL of the Authorization Server's Token Endpoint."

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use regrant_core::keys::RootKey;
use regrant_core::recovery::Unproven;
use regrant_server::recover::{AnchorNeed, Plan, recover};
use sim::wire::{ROOT, World, text};

use super::support::{clients, directory, grant, world};

/// Who holds a key is no thief: its refresh token stays as it is (FAPI 2.0 section 5.3.2.1).
#[tokio::test]
async fn a_client_with_a_key_keeps_its_refresh_token() {
    let world = world().await;
    let first = text(&grant(&world, "robot").await, "refresh_token");
    for _ in 0..3 {
        world.advance(Duration::from_secs(3600));
        let again = world.refresh("robot", &first).await.expect_status(200).json();
        assert_eq!(text(&again, "refresh_token"), first);
    }
}

/// Where it is single-use by setting: the one before may be presented again for as long as nobody used the one after it; and a replay
/// is refused, and ends nothing.
#[tokio::test]
async fn a_replay_by_a_client_with_a_key_ends_nothing() {
    let config = clients().replace("id = \"robot\"\n", "id = \"robot\"\nrotation = \"single_use\"\n");
    let world = World::with(&config).await;
    let first = text(&grant(&world, "robot").await, "refresh_token");
    let second = text(&world.refresh("robot", &first).await.expect_status(200).json(), "refresh_token");
    world.advance(Duration::from_secs(86_400));
    let retried = text(&world.refresh("robot", &first).await.expect_status(200).json(), "refresh_token");
    assert_eq!(retried, second);
    let third = text(&world.refresh("robot", &second).await.expect_status(200).json(), "refresh_token");
    world.advance(Duration::from_secs(3600));
    world.refresh("robot", &first).await.expect_error(400, "invalid_grant");
    let _ = world.refresh("robot", &third).await.expect_status(200);
}

/// After a restore from an older copy a client with a key rolls forward: it holds what the store has lost, and a thief would lack the
/// key. One with a secret is not believed.
#[tokio::test]
async fn after_a_restore_a_client_with_a_key_rolls_forward() {
    let place = directory();
    let (path, copy, root) = (place.join("regrant.db"), place.join("copy.db"), place.join("root.key"));
    std::fs::write(&root, RootKey::new(ROOT).text().as_str()).expect("a file");
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o400)).expect("permissions");
    let config = clients()
        .replace("id = \"robot\"\n", "id = \"robot\"\nrotation = \"single_use\"\n")
        .replace("id = \"shared\"\n", "id = \"shared\"\nrotation = \"single_use\"\n");
    let config =
        format!("store = \"sqlite:{}\"\nroot_key_file = {:?}\n{config}", path.display(), root.display().to_string());
    let world = World::on_sqlite_with(&config, &path).await;
    let robot = text(&grant(&world, "robot").await, "refresh_token");
    let shared = text(&grant(&world, "shared").await, "refresh_token");
    world.app.admin().back_up(copy.clone()).await.expect("a backup");
    // In the span that will be lost, both go two steps on.
    let mut newest = [robot, shared];
    for _ in 0..2 {
        world.advance(Duration::from_secs(60));
        for (client, token) in ["robot", "shared"].into_iter().zip(&mut newest) {
            *token = text(&world.refresh(client, token).await.expect_status(200).json(), "refresh_token");
        }
    }
    let clock = world.clock.clone();
    let recovered = world.restart_after(|| {
        for beside in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{beside}", path.display()));
        }
        std::fs::copy(&copy, &path).expect("a copy");
        let plan = Plan { unproven: Unproven::End, anchor: AnchorNeed::Waived, journals: Vec::new() };
        recover(&sim::wire::config(&config), &clock, &plan).expect("a recovery");
    });
    let world = recovered.await;
    let again = world.refresh("robot", &newest[0]).await.expect_status(200).json();
    let _ = world.refresh("robot", &text(&again, "refresh_token")).await.expect_status(200);
    world.refresh("shared", &newest[1]).await.expect_error(400, "invalid_grant");
}
