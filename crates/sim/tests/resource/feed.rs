//! The revocation feed: every way in which something ends is heard of, once, in order, after a restart too; and it stays small.

use regrant_core::{ClientId, Selector};
use regrant_server::sweep;
use regrant_store::{Record, Revoked};
use serde_json::{Value, json};
use sim::wire::{CONFIG, USER, World, http, text};

use super::support::{api, claims, feed, is_about, lines, place, refused, secs, with_setting, world, world_with};

/// A grant of this client: its access token and its refresh token.
async fn grant(world: &World, client: &str) -> (String, String) {
    let grant = world.grant(client).await;
    (text(&grant, "access_token"), text(&grant, "refresh_token"))
}

fn of<'a>(lines: &'a [Value], token: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| is_about(line, token)).collect()
}

/// Checks T22, A3, T11: client, operator, replay of a refresh token, replay of a code.
#[tokio::test]
async fn each_way_in_which_a_grant_ends_is_heard_of() {
    let world = world().await;
    let (kept, _) = grant(&world, "phone").await;
    let mut ended = Vec::new();
    let (access, refresh) = grant(&world, "phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
    ended.push(access);
    let (access, refresh) = grant(&world, "phone").await;
    let id = world.row(&refresh).await.id.display(&world.app.engine.keys());
    assert!(world.app.admin().revoke_grant(&id, "").await.expect("the grant is there"));
    ended.push(access);
    let (access, first) = grant(&world, "phone-strict").await;
    for _ in 0..3 {
        world.advance(secs(60));
        let _ = world.refresh("phone-strict", &first).await;
    }
    ended.push(access);
    let code = world.code("phone").await;
    let access = text(&world.redeem("phone", &code).await.expect_status(200).json(), "access_token");
    world.advance(secs(2));
    let _ = world.redeem("phone", &code).await.expect_status(400);
    ended.push(access);
    let (lines, _) = lines(&world, "").await;
    for token in &ended {
        assert_eq!(of(&lines, token).len(), 1, "{lines:?}");
        assert_eq!(world.introspect(token).await, json!({"active": false}));
    }
    assert_eq!((of(&lines, &kept).len(), lines.len()), (0, ended.len()));
}

/// What concerns many is one line: a user who is switched off, a client that is removed, here or in the file, and whatever else is said of many.
#[tokio::test]
async fn a_user_and_a_client_are_one_line_each() {
    let world = world().await;
    let (access, _) = grant(&world, "phone").await;
    world.app.admin().set_user_disabled(USER, true).await.expect("the user is there");
    // Of no grant that is there: only what tokens show by themselves.
    let wide = Selector { client: ClientId::parse("web"), scope: Some("read".to_owned()), ..Selector::default() };
    let at = world.app.engine.now();
    let bulk = Record::Revoke { revoked: Revoked::Matching(wide), at };
    world.app.engine.commit(vec![bulk]).await.expect("written");
    let mut config = sim::wire::config(&CONFIG.replace("id = \"once\"", "id = \"twice\""));
    config.issuer = Some(world.base.clone());
    world.app.replace_config(config).await.expect("a good configuration");
    let (lines, _) = lines(&world, "").await;
    let said: Vec<&Value> = lines.iter().map(|line| &line["all"]).collect();
    let subject = regrant_core::secret::Hash::of(text(&claims(&access), "sub").as_bytes());
    let hash = regrant_jose::base64url::encode(&subject.0);
    // The client's end, and that of its grants, which can be taken back.
    let once = json!({"client_id": "once"});
    assert_eq!(said, [&json!({"sub_hash": hash}), &json!({"client_id": "web", "scope": "read"}), &once, &once]);
    assert_eq!(lines.iter().filter(|line| line.get("id").is_some()).count(), 1);
    let issued = claims(&access)["iat"].as_i64().expect("a number");
    assert!(lines[0]["revoked_at"].as_i64().expect("a number") >= issued, "a token of the same second is meant");
}

/// A token that is revoked by itself: only its hash is told.
#[tokio::test]
async fn a_token_that_is_revoked_by_itself_is_named_by_a_hash() {
    let world = world().await;
    let (access, _) = grant(&world, "phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &access)], &[]).await.expect_status(200);
    let (lines, _) = lines(&world, "").await;
    let jti = text(&claims(&access), "jti");
    let hash = regrant_core::secret::Hash::of(jti.as_bytes()).0;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["jti_hash"].as_str(), Some(regrant_jose::base64url::encode(&hash).as_str()));
    assert!(lines[0]["expires_at"].as_i64() >= claims(&access)["exp"].as_i64());
}

/// Who comes with a cursor hears what is new and no more, in order; with one of another era, or none of ours, everything.
#[tokio::test]
async fn a_cursor_goes_on_where_it_was() {
    let world = world().await;
    let end = async || {
        let (access, refresh) = grant(&world, "phone").await;
        let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
        access
    };
    let first = end().await;
    let (all, cursor) = lines(&world, "").await;
    assert!(all.len() == 1 && is_about(&all[0], &first));
    let (none, same) = lines(&world, &cursor).await;
    assert_eq!((none.len(), &same), (0, &cursor));
    let second = end().await;
    let (new, _) = lines(&world, &cursor).await;
    assert!(new.len() == 1 && is_about(&new[0], &second));
    for cursor in ["7.1", "0.99999", "x", "0", "-1.1", "0.1.1"] {
        assert_eq!(lines(&world, cursor).await.0.len(), 2, "{cursor}");
    }
}

/// Many lines come in pages of a size that a token may have.
#[tokio::test]
async fn a_long_feed_comes_in_pages() {
    let world = world().await;
    let at = world.app.engine.now();
    let many = (1..=1000).map(|number| Record::Revoke { revoked: Revoked::Grant(number), at }).collect();
    world.app.engine.commit(many).await.expect("written");
    let reply = feed(&world, "", &[]).await.expect_status(200);
    assert!(reply.body.len() < 16 * 1024, "{} bytes", reply.body.len());
    let (lines, _) = lines(&world, "").await;
    let distinct: std::collections::BTreeSet<String> = lines.iter().map(Value::to_string).collect();
    assert_eq!((lines.len(), distinct.len()), (1000, 1000));
}

/// Law L1: what was ended is told after a restart as before, and a crash behind the answer loses nothing: it is the same commit.
#[tokio::test]
async fn the_feed_survives_a_restart() {
    let place = std::env::temp_dir().join(format!("regrant-feed-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a directory");
    let world = World::on_sqlite(&place.join("regrant.db")).await;
    let (access, refresh) = grant(&world, "phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
    let (before, cursor) = lines(&world, "").await;
    let world = world.restart().await;
    let (after, same) = lines(&world, "").await;
    assert_eq!((after, &same), (before.clone(), &cursor));
    assert!(is_about(&before[0], &access));
    assert_eq!(lines(&world, &cursor).await.0.len(), 0);
    drop(world);
    let _ = std::fs::remove_dir_all(&place);
}

/// It stays small: nothing is told of what concerns no token any more, and the sweep removes it.
#[tokio::test]
async fn what_concerns_no_token_any_more_is_forgotten() {
    let world = world().await;
    let (_, refresh) = grant(&world, "phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
    let (told, cursor) = lines(&world, "").await;
    let expires_at = told[0]["expires_at"].as_i64().expect("a number");
    assert_eq!(expires_at, sim::wire::START / 1000 + 3600 + 1, "the longest life of an access token here");
    world.advance(secs(3700));
    assert_eq!(lines(&world, "").await.0.len(), 0);
    world.advance(secs(600));
    sweep::pass(&world.app, secs(0)).await.expect("a pass");
    let question = regrant_store::Question::Revocations { after: 0, limit: 10 };
    let answer = world.app.engine.ask(question).await.expect("an answer");
    assert!(matches!(answer, regrant_store::Answer::Revocations(rows) if rows.is_empty()));
    let _ = lines(&world, &cursor).await;
}

/// RFC 9110 section 13: who has it already is told so, and it may be held for as long as is announced.
#[tokio::test]
async fn an_answer_can_be_held() {
    let world = world().await;
    let first = feed(&world, "", &[]).await.expect_status(200);
    let etag = first.header("etag");
    assert_eq!(first.header("cache-control"), "private, max-age=5");
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let again = feed(&world, "", &[("if-none-match", &known)]).await.expect_status(304);
        assert_eq!((again.body.len(), again.header("etag")), (0, etag.clone()));
    }
    let (_, refresh) = grant(&world, "phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &refresh)], &[]).await.expect_status(200);
    let changed = feed(&world, "", &[("if-none-match", &etag)]).await.expect_status(200);
    assert_ne!(changed.header("etag"), etag);
}

/// Check X16: however often it is asked for, with whatever cursors, it is read once a second and signed once.
#[tokio::test]
async fn many_questions_are_one_read_and_one_signature() {
    let world = world().await;
    let header = api();
    let first = feed(&world, "", &[]).await.expect_status(200).text();
    let asked = world.watch.reads();
    for number in 0..100 {
        let path = format!("/oauth2/revocations?since=0.{number}");
        let reply = world.http().get(&path, &[("authorization", &header)]).await.expect_status(200);
        assert_eq!(reply.text(), first);
    }
    assert_eq!(world.watch.reads(), asked, "the store was asked in the same second");
}

/// Check O1: who may read is a setting; without one, those who may introspect.
#[tokio::test]
async fn who_may_read_is_a_setting() {
    let world = world().await;
    let (access, _) = grant(&world, "phone").await;
    let list = place(&access).0;
    for path in ["/oauth2/revocations", &list] {
        refused(&world.http().get(path, &[]).await, 401, "invalid_client", "no_client");
        let wrong = http::basic("api", "wrong");
        refused(
            &world.http().get(path, &[("authorization", &wrong)]).await,
            401,
            "invalid_client",
            "wrong_client_secret",
        );
        let other = http::basic("daemon", sim::wire::SECRET);
        refused(
            &world.http().get(path, &[("authorization", &other)]).await,
            403,
            "unauthorized_client",
            "not_a_reader",
        );
        let _ = world.http().get(path, &[("authorization", &api())]).await.expect_status(200);
    }
    let metadata = world.http().get("/.well-known/oauth-authorization-server", &[]).await.json();
    assert_eq!(text(&metadata, "revocation_feed_endpoint"), format!("{}/oauth2/revocations", world.base));
    assert!(list.starts_with(&text(&metadata, "status_list_endpoint")));

    let public = world_with(&format!("[revocation_feed]\nreaders = \"public\"\nmax_age = \"1m\"\n{CONFIG}")).await;
    let reply = public.http().get("/oauth2/revocations", &[]).await.expect_status(200);
    assert_eq!(
        (reply.header("cache-control").as_str(), reply.header("access-control-allow-origin").as_str()),
        ("public, max-age=60", "*")
    );

    let none = world_with(&format!("[revocation_feed]\nreaders = \"nobody\"\n{CONFIG}")).await;
    let _ = none.http().get("/oauth2/revocations", &[("authorization", &api())]).await.expect_status(404);
    let metadata = none.http().get("/.well-known/oauth-authorization-server", &[]).await.json();
    assert!(metadata["revocation_feed_endpoint"].is_null() && metadata["status_list_endpoint"].is_null());
    assert!(claims(&grant(&none, "phone").await.0)["status"].is_null());
}

/// A user of this server cannot be told from another by what is told to strangers.
#[tokio::test]
async fn the_feed_names_neither_users_nor_numbers() {
    let world = world_with(&with_setting("api", "resources = [\"https://files.example/\"]")).await;
    let (access, refresh) = grant(&world, "phone").await;
    world.app.admin().set_user_disabled(USER, true).await.expect("the user is there");
    let id = world.row(&refresh).await.id;
    let _ = world.app.admin().revoke_grant(&id.display(&world.app.engine.keys()), "").await.expect("there");
    let text = serde_json::to_string(&lines(&world, "").await.0).expect("JSON");
    let subject = sim::wire::text(&claims(&access), "sub");
    for secret in [subject.as_str(), USER, &id.display(&world.app.engine.keys())] {
        assert!(!text.contains(secret), "{text}");
    }
}
