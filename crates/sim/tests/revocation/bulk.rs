//! What can be revoked in bulk: one durable row ends every grant that it selects, at the next request (checks T33, O7, K3).

use std::sync::Arc;

use regrant_server::admin::KeyTurn;
use regrant_server::admin::blacklist::Selection;
use regrant_server::admin::import::Effect;
use regrant_store::Cause;
use sim::wire::{CONFIG, USER, World, text};

use super::support::{
    Held, alive, dead, ended, held, held_by, next, of_client, of_user, revoke, secs, where_, with_client, world,
    world_where, world_with, would,
};

/// Check T33: one commit ends all grants of a user at every client, and nobody else's; who logs in afterwards has a grant again.
#[tokio::test]
async fn everything_of_a_user_ends_at_once() {
    let world = world().await;
    world.add_user("bob").await;
    let (mut web, mut opaque) = (held(&world, "web").await, held(&world, "opaque").await);
    let mut bob = held_by(&world, "web", "bob", None).await;
    let found = would(&world, &of_user(USER)).await;
    assert_eq!((found.id, found.grants, found.users, found.clients), (None, Some(2), Some(1), Some(2)));
    assert_eq!(web.ask(&world).await, alive(), "looking at it changes nothing");
    let commits = world.watch.commits();
    let done = revoke(&world, of_user(USER)).await;
    assert_eq!((world.watch.commits(), done.id, done.reason.as_str()), (commits + 1, Some(1), "user_revoked"));
    for held in [&mut web, &mut opaque] {
        assert_eq!(held.ask(&world).await, ended("user_revoked", "login_required"));
    }
    assert_eq!(bob.ask(&world).await, alive());
    assert_eq!(would(&world, &of_user(USER)).await.grants, Some(0));
    let mut again = held(&world, "web").await;
    assert_eq!(again.ask(&world).await, alive());
    let (seen, _) = world.seen(&web.refresh).await;
    assert_eq!((seen.state.as_str(), seen.reason.as_deref()), ("revoked", Some("user_revoked")));
}

/// Each selector ends what fits it and nothing else, on the next request.
#[tokio::test]
async fn each_selector_ends_what_fits_it_and_nothing_else() {
    let both = Some("read write");
    for (selector, reason) in [
        ("client", "client_revoked"),
        ("user at client", "user_at_client_revoked"),
        ("session", "session_revoked"),
        ("scope", "scope_revoked"),
        ("resource", "resource_revoked"),
        ("issued before", "issued_before_revoked"),
        ("client and scope", "selection_revoked"),
    ] {
        let world = world().await;
        world.add_user("bob").await;
        let mut hit = held_by(&world, "web", USER, both).await;
        world.advance(secs(5));
        let session = world.seen(&hit.refresh).await.0.session;
        let cut = "2026-01-01T00:00:03Z".to_owned();
        let none = Selection::default();
        let (missed, selection): (Held, Selection) = match selector {
            "client" => (held(&world, "opaque").await, of_client("web")),
            "user at client" => (
                held_by(&world, "web", "bob", both).await,
                Selection { client: Some("web".to_owned()), ..of_user(USER) },
            ),
            "session" => (held_by(&world, "web", USER, both).await, Selection { session, ..none }),
            "scope" => {
                let scope = Some("write".to_owned());
                (held_by(&world, "web", USER, Some("read")).await, Selection { scope, ..none })
            }
            "resource" => {
                let resource = Some("https://api.example/".to_owned());
                (held(&world, "opaque").await, Selection { resource, ..none })
            }
            "issued before" => {
                (held_by(&world, "web", USER, both).await, Selection { issued_before: Some(cut), ..none })
            }
            _ => {
                let scope = Some("write".to_owned());
                (held_by(&world, "web", USER, Some("read")).await, Selection { scope, ..of_client("web") })
            }
        };
        let mut missed = missed;
        assert_eq!(would(&world, &selection).await.grants, Some(1), "{selector}");
        let done = revoke(&world, selection).await;
        assert_eq!(done.reason, reason, "{selector}");
        let silently = if selector == "session" { "login_required" } else { "code" };
        assert_eq!(done.ends_browser_sessions, selector == "session");
        assert_eq!(hit.ask(&world).await, ended(reason, silently), "{selector}");
        assert_eq!(missed.ask(&world).await, alive(), "{selector}");
    }
}

/// Check K3: what a tag key made can be revoked once it mints no more; before, new tokens would die, too.
#[tokio::test]
async fn a_replaced_tag_key_takes_its_tokens_with_it() {
    let world = world().await;
    let (mut old, mut renewed) = (held(&world, "web").await, held(&world, "opaque").await);
    let of_key = |key| Selection { key: Some(key), ..Selection::default() };
    let admin = world.app.admin();
    let refused = admin.revoke_selected(&of_key(1), Effect::Check, "").await.expect_err("in use").to_string();
    assert!(refused.contains("in use") && refused.contains("remedy"), "{refused}");
    assert!(admin.revoke_selected(&of_key(7), Effect::Check, "").await.is_err(), "there is none");
    admin.rotate_key("tag", None, KeyTurn::AtOnce).await.expect("replaced");
    // A refresh mints under the new key.
    renewed.refresh = next(world.refresh("opaque", &renewed.refresh).await);
    assert_eq!(would(&world, &of_key(1)).await.grants, Some(1));
    assert_eq!(revoke(&world, of_key(1)).await.reason, "key_revoked");
    assert_eq!(old.ask(&world).await, ended("key_revoked", "code"));
    assert_eq!(renewed.ask(&world).await, alive());
}

/// Access tokens that belong to no grant die with their user, their client, their scope.
#[tokio::test]
async fn an_access_token_without_a_grant_is_revoked_as_well() {
    for selection in [
        of_client("daemon"),
        Selection { scope: Some("write".to_owned()), ..Selection::default() },
        Selection { resource: Some("https://api.example/".to_owned()), ..Selection::default() },
        Selection { issued_before: Some("0s".to_owned()), ..Selection::default() },
    ] {
        let world = world().await;
        let own = || async {
            text(&world.token("daemon", &[("grant_type", "client_credentials")]).await.json(), "access_token")
        };
        let before = own().await;
        assert!(super::support::active(&world, "api", &before).await);
        world.advance(secs(1));
        revoke(&world, selection.clone()).await;
        assert!(!super::support::active(&world, "api", &before).await, "{selection:?}");
        world.advance(secs(1));
        assert!(super::support::active(&world, "api", &own().await).await, "{selection:?}: what comes later lives");
    }
}

/// An authorization code that waits for its redemption is a grant already.
#[tokio::test]
async fn a_code_does_not_outlive_its_user() {
    let world = world().await;
    let code = world.code("web").await;
    revoke(&world, of_user(USER)).await;
    dead(&world.redeem("web", &code).await, "user_revoked");
}

/// Law L9: a consent page that was shown before the revocation gives nothing afterwards: its session has ended.
#[tokio::test]
async fn a_page_from_before_gives_nothing() {
    let world = world().await;
    let mut browser = world.browser();
    let page = browser.get(&sim::wire::authorization("web", &[])).await;
    let page = browser.log_in(&page, USER).await;
    revoke(&world, of_user(USER)).await;
    let reply = browser.submit(&page, &[("decision", "allow")]).await;
    assert!(reply.text().contains("id=\"login-submit\""), "{}", reply.text());
}

/// Law L9: only an operator takes a bulk revocation back, in time, and once; what it ended lives again, browser sessions apart.
#[tokio::test]
async fn an_operator_takes_a_bulk_revocation_back_in_time() {
    let world = world().await;
    let mut held = held(&world, "web").await;
    let done = revoke(&world, of_client("web")).await;
    let id = done.id.expect("a number");
    assert_eq!(done.undo_until.as_deref(), Some("2026-01-01T01:00:00Z"));
    assert_eq!(held.ask(&world).await, ended("client_revoked", "code"));
    let admin = world.app.admin();
    assert_eq!(admin.revocations().await.expect("listed")[0].state, "live");
    world.advance(secs(3599));
    assert_eq!(admin.undo_revocation(id).await.expect("taken back").state, "undone");
    held.access = text(
        &world.token("web", &[("grant_type", "refresh_token"), ("refresh_token", &held.refresh)]).await.json(),
        "access_token",
    );
    assert_eq!(held.ask(&world).await, alive());
    assert!(admin.undo_revocation(id).await.is_err(), "once only");
    let late = revoke(&world, of_client("web")).await.id.expect("a number");
    world.advance(secs(3600));
    let refused = admin.undo_revocation(late).await.expect_err("too late").to_string();
    assert!(refused.contains("could be taken back until"), "{refused}");
    dead(&world.refresh("web", &held.refresh).await, "client_revoked");
    assert!(admin.undo_revocation(99).await.is_err());
}

/// Law L9: what is ended for a reason of its own beneath a bulk revocation stays ended when that one is taken back: by its client (RFC 7009), by an
/// operator's hand. And it alone.
#[tokio::test]
async fn what_is_revoked_beneath_a_bulk_revocation_is_final() {
    let world = world().await;
    let (by_client, mut by_operator, mut other) =
        (world.first("phone").await, held(&world, "web").await, held(&world, "web").await);
    let admin = world.app.admin();
    let ids = [revoke(&world, of_client("web")).await.id, revoke(&world, of_client("phone")).await.id];
    let form = [("token", by_client.as_str()), ("client_id", "phone")];
    let _ = world.http().post("/oauth2/revoke", &form, &[]).await.expect_status(200);
    let id = world.seen(&by_operator.refresh).await.0.id;
    assert!(admin.revoke_grant(&id, "lost").await.expect("it is there"), "it is done now");
    // Again, as whoever heard no answer does.
    let _ = world.http().post("/oauth2/revoke", &form, &[]).await.expect_status(200);
    dead(&world.refresh("phone", &by_client).await, "revoked_by_client");
    for id in ids.into_iter().flatten() {
        admin.undo_revocation(id).await.expect("in time");
    }
    dead(&world.refresh("phone", &by_client).await, "revoked_by_client");
    assert_eq!(by_operator.ask(&world).await.refresh, "revoked_by_operator");
    assert_eq!(other.ask(&world).await.refresh, "ok");
}

/// `undo_window = "0s"`: nothing can be taken back.
#[tokio::test]
async fn without_a_window_everything_is_final() {
    let world = world_where("undo_window = \"0s\"").await;
    let done = revoke(&world, of_client("web")).await;
    assert_eq!(done.undo_until, None);
    let refused = world.app.admin().undo_revocation(1).await.expect_err("final").to_string();
    assert!(refused.contains("is final"), "{refused}");
}

/// Check T21: what was answered is durable, and a store that fails says so: nothing is revoked by halves.
#[tokio::test]
async fn a_bulk_revocation_is_done_only_if_it_is_durable() {
    let place = sim::process::Scratch::new("revocation-durable");
    let mut world = World::on_sqlite(&place.path().join("regrant.db")).await;
    sim::wire::log::listen();
    let token = world.first("phone").await;
    world.watch.refuse(Cause::Full, 1);
    let failed = world.app.admin().revoke_selected(&of_user(USER), Effect::Write, "").await.expect_err("a full disk");
    assert_eq!(failed.exit_code(), 69, "{failed}");
    let token = next(world.refresh("phone", &token).await);
    assert_eq!(revoke(&world, of_user(USER)).await.id, Some(1), "the number was not used up");
    world = world.restart().await;
    dead(&world.refresh("phone", &token).await, "user_revoked");
}

/// Nothing selected, a time to come, a user who is not there: said, and nothing changes.
#[tokio::test]
async fn a_selection_that_cannot_be_meant_is_refused() {
    let world = world().await;
    let token = world.first("phone").await;
    let none = Selection::default;
    for selection in [
        none(),
        Selection { issued_before: Some("2027-01-01T00:00:00Z".to_owned()), ..none() },
        Selection { issued_before: Some("yesterday".to_owned()), ..none() },
        Selection { session: Some("x".to_owned()), ..none() },
        Selection { client: Some("usr_x".to_owned()), ..none() },
        of_user("nobody"),
    ] {
        let refused = world.app.admin().revoke_selected(&selection, Effect::Write, "").await;
        assert!(refused.is_err(), "{selection:?}");
    }
    // A user who was removed is named by the subject; a client that was removed by its id.
    revoke(&world, of_user("usr_00000000000000000000aa")).await;
    revoke(&world, of_client("gone")).await;
    let _ = next(world.refresh("phone", &token).await);
}

/// A grant that ended by itself keeps its reason, and a scope that the client lost since is not looked at.
#[tokio::test]
async fn a_grant_keeps_its_first_reason() {
    let world = world_with(&where_("", CONFIG)).await;
    let token = world.first("phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &token)], &[]).await.expect_status(200);
    revoke(&world, of_user(USER)).await;
    dead(&world.refresh("phone", &token).await, "revoked_by_client");
    let world = world_with(&with_client(
        "phone",
        "scopes = [\"openid\", \"read\", \"write\"]",
        "scopes = [\"openid\", \"read\"]",
    ))
    .await;
    let token = world.first("phone").await;
    revoke(&world, of_client("phone")).await;
    revoke(&world, of_user(USER)).await;
    dead(&world.refresh("phone", &token).await, "client_revoked");
}

/// Check T33: many at once share their commits, and each has its own number and is in force when it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn bulk_revocations_that_are_asked_for_at_once_have_each_their_number() {
    let world = Arc::new(world().await);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..50 {
        let world = Arc::clone(&world);
        asked.spawn(async move {
            // One that is refused, for its reason is too long, takes no number from the others.
            let detail = if number % 10 == 0 { "x".repeat(5000) } else { String::new() };
            let selection = Selection { scope: Some(format!("scope{number}")), ..Selection::default() };
            world.app.admin().revoke_selected(&selection, Effect::Write, &detail).await.ok().and_then(|done| done.id)
        });
    }
    let mut numbers: Vec<u64> = asked.join_all().await.into_iter().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=45).collect::<Vec<_>>());
    assert_eq!(world.app.admin().revocations().await.expect("listed").len(), 45);
}
