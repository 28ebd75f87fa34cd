//! Wide revocations in the feed (checks O7, T26, T33): each grant that one of them ended is heard of, in one line for many or in one for each;
//! where a line means more, that is stated in docs/resource-servers.md.

use regrant_server::admin::blacklist::Selection;
use regrant_server::admin::import::Effect;
use regrant_server::sweep;
use serde_json::{Value, json};
use sim::wire::{CONFIG, USER, World, authorization, text};

use super::status_lists::is_revoked;
use super::support::{feed, is_about, lines, secs, verified, world, world_with};

async fn revoke(world: &World, selection: Selection) {
    let _ = world.app.admin().revoke_selected(&selection, Effect::Write, "because").await.expect("revoked");
}

async fn access(world: &World, client: &str) -> String {
    text(&world.grant(client).await, "access_token")
}

/// The parts of those lines that are about many.
fn all(lines: &[Value]) -> Vec<Vec<&str>> {
    let parts = |line: &'_ Value| line["all"].as_object().cloned();
    let named = |all: serde_json::Map<String, Value>| {
        ["client_id", "sub_hash"].into_iter().filter(|name| all.contains_key(*name)).collect()
    };
    lines.iter().filter_map(parts).map(named).collect()
}

/// All of a user, of a client, of a user at a client: one line each, whatever the number of grants.
#[tokio::test]
async fn all_of_somebodys_is_one_line() {
    let world = world().await;
    for _ in 0..5 {
        let _ = access(&world, "phone").await;
    }
    let (user, client) = (Some(USER.to_owned()), Some("phone".to_owned()));
    revoke(&world, Selection { user: user.clone(), ..Selection::default() }).await;
    revoke(&world, Selection { client: client.clone(), ..Selection::default() }).await;
    revoke(&world, Selection { user, client, ..Selection::default() }).await;
    let (told, _) = lines(&world, "").await;
    assert_eq!(all(&told), [vec!["sub_hash"], vec!["client_id"], vec!["client_id", "sub_hash"]]);
    // What the sweep writes into the rows later is nothing new.
    world.advance(secs(86_400 * 8));
    sweep::pass(&world.app, secs(0)).await.expect("a pass");
    assert_eq!(lines(&world, "").await.0.len(), 0);
}

/// Less than all of a user's: a line for each grant that ended, and none for the others.
#[tokio::test]
async fn some_of_a_users_are_a_line_each() {
    let world = world().await;
    let form = [("grant_type", "password"), ("username", USER), ("password", sim::wire::PASSWORD), ("scope", "read")];
    let narrow = text(&world.token("phone", &form).await.expect_status(200).json(), "access_token");
    let wide = access(&world, "phone").await;
    let scope = Some("write".to_owned());
    revoke(&world, Selection { user: Some(USER.to_owned()), scope, ..Selection::default() }).await;
    let (told, _) = lines(&world, "").await;
    assert!(told.len() == 1 && is_about(&told[0], &wide) && !is_about(&told[0], &narrow), "{told:?}");
}

/// Less than all, of nobody in particular: the grants that have ended, and what shows it by itself. No narrowed token can hide behind what
/// it does not show, and no other grant is meant.
#[tokio::test]
async fn less_than_all_of_nobody_in_particular_is_told_exactly() {
    let (web, api) = ("web".to_owned(), "https://api.example/".to_owned());
    for (selection, expected) in [
        (Selection { scope: Some("files".to_owned()), ..Selection::default() }, json!({"scope": "files"})),
        (Selection { issued_before: Some("5s".to_owned()), ..Selection::default() }, json!({})),
        (
            Selection { client: Some(web), resource: Some(api.clone()), ..Selection::default() },
            json!({"client_id": "web", "aud": api}),
        ),
    ] {
        let world = world().await;
        let meant = world.grant("web").await;
        let asked =
            [("grant_type", "refresh_token"), ("refresh_token", &text(&meant, "refresh_token")), ("scope", "read")];
        let narrow = text(&world.token("web", &asked).await.expect_status(200).json(), "access_token");
        world.advance(secs(10));
        let other = access(&world, "phone").await;
        revoke(&world, selection).await;
        let (told, _) = lines(&world, "").await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(is_about(&told[0], &narrow) && !is_about(&told[0], &other), "{told:?}");
        assert_eq!(told[1]["all"], expected);
        assert_eq!((&told[0]["id"], &told[1]["id"]), (&json!(1), &json!(1)), "it can be taken back");
    }
}

/// What another revocation has ended is its own: taken back, nothing else says that it is over.
#[tokio::test]
async fn what_another_revocation_ended_is_not_told_twice() {
    let world = world().await;
    let mut tokens = Vec::new();
    for scope in ["read", "write"] {
        let form =
            [("grant_type", "password"), ("username", USER), ("password", sim::wire::PASSWORD), ("scope", scope)];
        tokens.push(text(&world.token("phone", &form).await.expect_status(200).json(), "access_token"));
        revoke(&world, Selection { scope: Some(scope.to_owned()), ..Selection::default() }).await;
    }
    let (told, _) = lines(&world, "").await;
    let about = |token: &str| told.iter().filter(|line| is_about(line, token)).map(|line| line["id"].clone()).collect();
    let ids: [Vec<Value>; 2] = [about(&tokens[0]), about(&tokens[1])];
    assert_eq!(ids, [vec![json!(1)], vec![json!(2)]], "{told:?}");
}

/// Check T26: a logout that ends grants is about those of its own session.
#[tokio::test]
async fn a_logout_is_about_its_own_session() {
    let world = world_with(&format!("[revocation]\non_logout = \"end\"\n{CONFIG}")).await;
    let mut tokens = Vec::new();
    let mut browsers = Vec::new();
    for _ in 0..2 {
        let mut browser = world.browser();
        let location = browser.authorize_as(&authorization("web", &[]), USER).await;
        let code = sim::wire::browser::parameter(&location, "code").expect("a code");
        tokens.push(text(&world.redeem("web", &code).await.expect_status(200).json(), "access_token"));
        browsers.push(browser);
    }
    let page = browsers[0].get("/logout").await;
    let _ = browsers[0].submit(&page, &[]).await.expect_status(200);
    let (told, _) = lines(&world, "").await;
    assert!(told.len() == 1 && is_about(&told[0], &tokens[0]) && !is_about(&told[0], &tokens[1]), "{told:?}");
}

/// Many are one line for each list, some 2 bytes a grant.
#[tokio::test]
async fn many_grants_are_told_together() {
    let world = world().await;
    for _ in 0..40 {
        let _ = access(&world, "phone").await;
    }
    let (user, scope) = (Some(USER.to_owned()), Some("openid".to_owned()));
    revoke(&world, Selection { user, scope, ..Selection::default() }).await;
    let (told, _) = lines(&world, "").await;
    assert_eq!((told.len(), all(&told).len()), (1, 0), "{told:?}");
    let places = told[0]["idxs"].as_str().expect("places");
    assert!((54..=160).contains(&places.len()), "{places}");
}

/// What was taken back is told as that, and its bits are 0 again; what something else has ended stays over.
#[tokio::test]
async fn an_undo_is_told_and_takes_back_its_own_alone() {
    let world = world().await;
    let (one, other) = (world.grant("phone").await, world.grant("phone").await);
    let everything = || Selection { scope: Some("read".to_owned()), ..Selection::default() };
    revoke(&world, everything()).await;
    let (_, cursor) = lines(&world, "").await;
    let _ = world.app.admin().undo_revocation(1).await.expect("taken back");
    let _ = world
        .post("/oauth2/revoke", "phone", &[("token", &text(&other, "refresh_token"))], &[])
        .await
        .expect_status(200);
    let reply = feed(&world, &cursor, &[]).await.expect_status(200);
    let page = verified(&world, &reply.text(), "revocations+jwt").await;
    assert_eq!(page["taken_back"][0]["id"], 1);
    assert!(page["taken_back"][0]["expires_at"].as_u64().is_some());
    let told = page["revocations"].as_array().expect("lines");
    let [one, other] = [one, other].map(|grant| text(&grant, "access_token"));
    assert!(told.len() == 1 && is_about(&told[0], &other), "{told:?}");
    assert_eq!((is_revoked(&world, &one).await, is_revoked(&world, &other).await), (false, true));
}
