//! What becomes of wide revocations: the sweep writes them into the rows they cover and forgets them, and nobody notices. So their number
//! stays small, whatever happens.

use std::time::Duration;

use regrant_server::sweep::{self, Swept};
use sim::wire::{USER, World};

use super::support::{alive, dead, ended, held, next, of_client, of_user, revoke, secs, world, world_where};

async fn sweep(world: &World) -> Swept {
    sweep::pass(&world.app, Duration::ZERO).await.expect("the store answers")
}

/// As long as it can be taken back a revocation stays a row of its own; then its grants' rows tell the same, for ever, and it goes.
#[tokio::test]
async fn a_final_revocation_is_written_into_the_rows_and_forgotten() {
    let mut world = world().await;
    let (mut web, mut opaque) = (held(&world, "web").await, held(&world, "opaque").await);
    revoke(&world, of_client("opaque")).await;
    let swept = sweep(&world).await;
    assert_eq!((swept.ended, swept.epochs), (0, 0), "it can still be taken back");
    world.advance(secs(3601));
    let swept = sweep(&world).await;
    assert_eq!((swept.ended, swept.epochs), (1, 0), "an access token without a grant may still need it");
    assert_eq!(opaque.ask(&world).await.refresh, "client_revoked");
    world.advance(secs(86_400));
    let swept = sweep(&world).await;
    assert_eq!((swept.ended, swept.epochs), (0, 1));
    assert_eq!(world.app.admin().revocations().await.expect("listed"), []);
    world = world.restart().await;
    dead(&world.refresh("opaque", &opaque.refresh).await, "client_revoked");
    assert!(!super::support::active(&world, "opaque", &opaque.refresh).await);
    let (seen, _) = world.seen(&opaque.refresh).await;
    assert_eq!((seen.state.as_str(), seen.ended_at.as_deref()), ("revoked", Some("2026-01-01T00:00:00Z")));
    web.refresh = next(world.refresh("web", &web.refresh).await);
    let mut again = held(&world, "opaque").await;
    assert_eq!(again.ask(&world).await, alive());
    // The next one has another number, and ends what came after the forgotten one.
    assert_eq!(revoke(&world, of_client("opaque")).await.id, Some(2));
    assert_eq!(again.ask(&world).await, ended("client_revoked", "code"));
}

/// Final ones are written before those that can be taken back: nothing that is final comes back with an undo.
#[tokio::test]
async fn an_undo_brings_back_only_what_it_ended() {
    let world = world().await;
    let mut before = held(&world, "web").await;
    let id = revoke(&world, of_client("web")).await.id.expect("a number");
    world.app.admin().set_password(USER, "another long password".to_owned().into()).await.expect("changed");
    assert_eq!(before.ask(&world).await.refresh, "client_revoked", "the first reason");
    for swept in [0, 1] {
        if swept == 1 {
            assert_eq!(sweep(&world).await.ended, 1);
        }
        assert_eq!(before.ask(&world).await.introspect, (false, false));
    }
    world.app.admin().undo_revocation(id).await.expect("in time");
    assert_eq!(before.ask(&world).await, ended("password_changed", "login_required"));
}

/// One that was taken back is forgotten when its time is over, and ends nothing on the way.
#[tokio::test]
async fn what_was_taken_back_is_forgotten_without_a_trace() {
    let world = world().await;
    let token = world.first("phone").await;
    let id = revoke(&world, of_user(USER)).await.id.expect("a number");
    world.app.admin().undo_revocation(id).await.expect("in time");
    assert_eq!(sweep(&world).await.ended, 0);
    world.advance(secs(86_401));
    let swept = sweep(&world).await;
    assert_eq!((swept.ended, swept.epochs), (0, 1));
    let _ = next(world.refresh("phone", &token).await);
}

/// Thousands of logouts leave nothing behind but their grants' rows.
#[tokio::test]
async fn logouts_leave_no_rows_behind() {
    let world = world_where("on_logout = \"end\"").await;
    let mut all = Vec::new();
    for _ in 0..20 {
        let mut one = held(&world, "opaque").await;
        let page = one.browser.get("/logout").await;
        let _ = one.browser.submit(&page, &[]).await.expect_status(200);
        all.push(one);
    }
    assert_eq!(world.app.admin().revocations().await.expect("listed").len(), 20);
    // A client of this world has the implicit grant: what a browser carries may live for an hour.
    let swept = sweep(&world).await;
    assert_eq!((swept.ended, swept.epochs), (20, 0));
    world.advance(secs(3600));
    assert_eq!(sweep(&world).await.epochs, 20);
    for one in &mut all {
        assert_eq!(one.ask(&world).await.refresh, "logged_out");
    }
}
