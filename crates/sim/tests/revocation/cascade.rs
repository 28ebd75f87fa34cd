//! What happens to a user, a session or a consent, and what ends with it by policy: a test for each cell of the table in
//! `docs/revocation.md` (checks T23 to T29).

use regrant_server::admin::import::{Effect, Existing, PortableUser};
use sim::wire::{USER, World, text};

use super::support::{
    alive, dead, ended, heard, held, held_by, next, secs, where_, with_client, world, world_where, world_with,
};

async fn disable(world: &World, disabled: bool) {
    world.app.admin().set_user_disabled(USER, disabled).await.expect("the user is there");
}

/// Checks T23, T24: a disabled user's grants end for ever; enabled again, the user must log in.
#[tokio::test]
async fn disabling_a_user_ends_everything_and_enabling_revives_nothing() {
    let world = world().await;
    world.add_user("bob").await;
    let mut bob = held_by(&world, "web", "bob", None).await;
    for client in ["web", "opaque"] {
        let mut before = held(&world, client).await;
        disable(&world, true).await;
        assert_eq!(before.ask(&world).await, ended("user_disabled", "login_required"));
        disable(&world, false).await;
        assert_eq!(before.ask(&world).await, ended("user_disabled", "login_required"));
        assert_eq!(held(&world, client).await.ask(&world).await, alive());
    }
    assert_eq!(bob.ask(&world).await, alive());
}

/// The other policy: nothing is vouched for while the user is disabled, and all of it works again afterwards; browser sessions do not.
#[tokio::test]
async fn a_suspended_users_grants_come_back() {
    let world = world_where("on_user_disabled = \"suspend\"").await;
    for client in ["web", "opaque"] {
        let mut before = held(&world, client).await;
        disable(&world, true).await;
        assert_eq!(before.ask(&world).await, ended("subject_disabled", "login_required"));
        disable(&world, false).await;
        assert_eq!(before.ask(&world).await, heard("ok", true, 200, "login_required"));
    }
}

/// Check T23: a removed user's grants stay dead when an import brings the same subject back.
#[tokio::test]
async fn a_removed_users_grants_do_not_come_back_with_the_subject() {
    let world = world().await;
    let mut before = held(&world, "web").await;
    let admin = world.app.admin();
    let users = admin.export_users("", 10, regrant_server::admin::import::Hashes::Included).await.expect("exported");
    admin.remove_user(USER).await.expect("removed");
    assert_eq!(before.ask(&world).await, ended("user_removed", "login_required"));
    admin.import_users(&users, Existing::Skip, Effect::Write).await.expect("imported");
    assert_eq!(before.ask(&world).await, ended("user_removed", "login_required"));
    assert_eq!(held(&world, "web").await.ask(&world).await, alive());
}

/// Check T25: a new password ends all grants and all browser sessions, unless the policy keeps the grants.
#[tokio::test]
async fn a_new_password_ends_what_was_given_under_the_old_one() {
    for (settings, expected) in [
        ("", ended("password_changed", "login_required")),
        ("on_password_changed = \"keep\"", heard("ok", true, 200, "login_required")),
    ] {
        let world = world_where(settings).await;
        let mut before = held(&world, "opaque").await;
        world.app.admin().set_password(USER, sim::wire::PASSWORD.to_owned().into()).await.expect("changed");
        assert_eq!(before.ask(&world).await, expected);
        assert_eq!(held(&world, "opaque").await.ask(&world).await, alive());
    }
}

/// The same by an import that brings another hash, or switches the user off.
#[tokio::test]
async fn an_import_has_the_same_consequences() {
    for (line, reason) in [
        (r#"{"username":"alice","password_hash":"HASH"}"#, "password_changed"),
        (r#"{"username":"alice","disabled":true}"#, "user_disabled"),
    ] {
        let world = world().await;
        world.add_user("bob").await;
        let admin = world.app.admin();
        let users =
            admin.export_users("", 10, regrant_server::admin::import::Hashes::Included).await.expect("exported");
        let other = users
            .iter()
            .find(|user| user.username == "bob")
            .and_then(|user| user.password_hash.clone())
            .expect("a hash");
        let mut before = held(&world, "web").await;
        let user = PortableUser::from_json(line.replace("HASH", &other).as_bytes()).expect("a user");
        admin.import_users(&[user], Existing::Update, Effect::Write).await.expect("imported");
        assert_eq!(before.ask(&world).await, ended(reason, "login_required"));
    }
}

/// Check T26: logout ends the browser's session; the grants given in it go on, end, or end without `offline_access`, as policy says. Other
/// sessions are not concerned.
#[tokio::test]
async fn logout_ends_the_grants_of_its_session_by_policy() {
    let offline = "scopes = [\"openid\", \"read\", \"offline_access\"]";
    let config = with_client("opaque", "scopes = [\"read\", \"write\"]", offline);
    let kept = || heard("ok", true, 200, "login_required");
    let over = || ended("logged_out", "login_required");
    for (settings, online, offline) in
        [("", kept(), kept()), ("on_logout = \"end_online\"", over(), kept()), ("on_logout = \"end\"", over(), over())]
    {
        for (scope, expected) in [("read", online), ("read offline_access", offline)] {
            let world = world_with(&where_(settings, &config)).await;
            let mut before = held_by(&world, "opaque", USER, Some(scope)).await;
            let mut elsewhere = held_by(&world, "opaque", USER, Some(scope)).await;
            let page = before.browser.get("/logout").await;
            let _ = before.browser.submit(&page, &[]).await.expect_status(200);
            assert_eq!(before.ask(&world).await, expected, "{settings} {scope}");
            assert_eq!(elsewhere.ask(&world).await, alive(), "{settings} {scope}");
        }
    }
}

/// Check T27: a withdrawn consent is asked for again, and what was given by it ends, at this client only, unless the policy keeps it.
#[tokio::test]
async fn a_withdrawn_consent_ends_what_it_gave() {
    for (settings, expected) in [
        ("", ended("consent_withdrawn", "consent_required")),
        ("on_consent_withdrawn = \"keep\"", heard("ok", true, 200, "consent_required")),
    ] {
        let world = world_where(settings).await;
        let (mut before, mut other) = (held(&world, "web").await, held(&world, "opaque").await);
        let admin = world.app.admin();
        admin.withdraw_consent(USER, "web").await.expect("withdrawn");
        assert_eq!(before.ask(&world).await, expected);
        assert_eq!(other.ask(&world).await, alive());
        assert!(admin.withdraw_consent(USER, "web").await.is_err(), "nothing is allowed any more");
        assert!(admin.withdraw_consent("nobody", "web").await.is_err());
        assert_eq!(held(&world, "web").await.ask(&world).await, alive());
    }
}

/// A code or a refresh token that comes twice ends its own grant, and no other of the same user or session.
#[tokio::test]
async fn a_replay_ends_its_own_grant_only() {
    let world = world().await;
    let mut other = held(&world, "opaque").await;
    let code = world.code("web").await;
    let answer = world.redeem("web", &code).await.expect_status(200).json();
    world.advance(secs(5));
    dead(&world.redeem("web", &code).await, "code_replayed_now");
    dead(&world.refresh("web", &text(&answer, "refresh_token")).await, "code_replayed");
    let first = world.first("phone").await;
    world.advance(secs(100));
    let second = next(world.refresh("phone", &first).await);
    world.advance(secs(100));
    dead(&world.refresh("phone", &first).await, "replayed");
    dead(&world.refresh("phone", &second).await, "refresh_replayed");
    assert_eq!(other.ask(&world).await, alive());
    assert_eq!(world.app.admin().revocations().await.expect("listed").len(), 0, "no wide revocation is needed");
}

/// What follows from what happened to people is final: no operator takes it back.
#[tokio::test]
async fn what_happened_to_people_is_final() {
    let world = world_where("on_logout = \"end\"").await;
    let mut before = held(&world, "web").await;
    let page = before.browser.get("/logout").await;
    let _ = before.browser.submit(&page, &[]).await.expect_status(200);
    let admin = world.app.admin();
    admin.set_password(USER, "another long password".to_owned().into()).await.expect("changed");
    disable(&world, true).await;
    let listed = admin.revocations().await.expect("listed");
    let reasons: Vec<&str> = listed.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["logged_out", "password_changed", "user_disabled"]);
    for one in &listed {
        assert_eq!((one.state.as_str(), &one.undo_until), ("final", &None));
        assert!(admin.undo_revocation(one.id).await.is_err());
    }
}
