//! `regrant explain`: a user asks why he was logged out, and an operator tells him, from any token of the grant, its id, or the
//! correlation id of the answer.

use std::time::Duration;

use regrant_server::admin::AdminError;
use regrant_server::admin::explain::Explanation;
use sim::wire::{USER, World, text};

async fn explain(world: &World, what: &str) -> Explanation {
    world.app.admin().explain(what).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn refused(told: &Explanation) -> &str {
    told.refused.as_ref().map_or("", |reason| reason.code.as_str())
}

fn now(told: &Explanation) -> &str {
    told.token.as_ref().map_or("", |token| token.now.as_str())
}

/// Three generations of a phone's token, an hour apart.
async fn three_generations(world: &World) -> [String; 3] {
    let first = world.first("phone").await;
    let mut tokens = vec![first];
    for _ in 0..2 {
        world.advance(Duration::from_secs(3600));
        let reply = world.refresh("phone", tokens.last().expect("a token")).await.expect_status(200);
        tokens.push(text(&reply.json(), "refresh_token"));
    }
    tokens.try_into().expect("three")
}

/// Law L12: what each token would do now is what it does, and asking changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_would_do_is_told_without_doing_it() {
    let world = World::new().await;
    let [first, second, third] = three_generations(&world).await;
    let before = world.row(&third).await;
    let commits = world.watch.commits();
    for (token, would, reason, generation) in
        [(&third, "rotated", "", 3), (&second, "retried", "", 2), (&first, "refused", "straggler", 1)]
    {
        let told = explain(&world, token).await;
        let view = told.token.as_ref().expect("a token");
        assert_eq!((now(&told), refused(&told)), (would, reason));
        assert_eq!((view.generation, view.current), (Some(generation), Some(3)));
        assert_eq!(told.grant.as_ref().and_then(|grant| grant.user.as_deref()), Some(USER));
    }
    world.advance(Duration::from_secs(3600));
    assert_eq!(refused(&explain(&world, &first).await), "replayed");
    assert_eq!(refused(&explain(&world, &second).await), "replayed");
    assert_eq!((world.row(&third).await, world.watch.commits()), (before, commits), "nothing was written");
    let _ = world.refresh("phone", &first).await.expect_status(400);
    assert_eq!(refused(&explain(&world, &third).await), "refresh_replayed");
}

/// The whole story of a session that ended by a replay, found by the correlation id that the user sends in, by the grant's id, and by
/// the last token.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_session_is_explained_by_its_correlation_id() {
    let world = World::new().await;
    let [first, _, third] = three_generations(&world).await;
    world.advance(Duration::from_secs(3600));
    let reply = world.refresh("phone", &first).await.expect_status(400);
    let correlation = reply.header("x-correlation-id");
    let asked = world.refresh("phone", &third).await.expect_status(400).header("x-correlation-id");
    let id = world.grant_of(&third).display(&world.app.engine.keys());
    for (what, reason) in
        [(&correlation, "refresh_replayed"), (&asked, "refresh_replayed"), (&third, "refresh_replayed"), (&id, "")]
    {
        let told = explain(&world, what).await;
        assert_eq!(refused(&told), reason, "{what}");
        let kinds: Vec<_> = told.events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["grant_created", "grant_ended", "refused"]);
        assert_eq!(told.events[1].correlation, correlation);
        assert!(told.events[1].detail.contains("presented generation 1, current 3"));
        let grant = told.grant.as_ref().expect("the grant");
        assert_eq!((grant.id.as_str(), grant.state.as_str(), grant.generation), (id.as_str(), "revoked", 3));
        assert!(
            told.clocks.iter().any(|clock| clock.ends.contains("tombstone") && !clock.is_over),
            "{:?}",
            told.clocks
        );
    }
}

/// Each reason of an end says what it was, for as long as the tombstone is kept, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_is_kept_as_long_as_the_setting_says() {
    let config = format!("[events]\ntombstones_kept = \"10d\"\n{}", sim::wire::CONFIG);
    let world = World::with(&config).await;
    let token = world.first("phone").await;
    let _ = world.http().post("/oauth2/revoke", &[("token", &token), ("client_id", "phone")], &[]).await;
    for (days, is_known) in [(9, true), (2, false)] {
        world.advance(Duration::from_secs(days * 86_400));
        regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
        match world.app.admin().explain(&token).await {
            Ok(told) => assert!(is_known && refused(&told) == "revoked_by_client"),
            Err(error) => assert!(!is_known && matches!(error, AdminError::NotFound(_)), "{error}"),
        }
    }
}

/// Expired, by an access token and a code as well; what is nothing of ours is said to be that.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_token_is_explained() {
    let world = World::new().await;
    let code = world.code("phone").await;
    assert_eq!(now(&explain(&world, &code).await), "redeemed");
    let answer = world.redeem("phone", &code).await.expect_status(200).json();
    assert_eq!(refused(&explain(&world, &code).await), "code_spent");
    let access = text(&answer, "access_token");
    assert_eq!(now(&explain(&world, &access).await), "active");
    let opaque = world.grant("opaque").await;
    assert_eq!(now(&explain(&world, &text(&opaque, "access_token")).await), "active");
    world.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(refused(&explain(&world, &access).await), "invalid_bearer_token");
    let told = explain(&world, &text(&answer, "refresh_token")).await;
    assert_eq!(refused(&told), "idle_expired");
    assert!(told.clocks.iter().any(|clock| clock.is_over && clock.ends.contains("without a refresh")));
    let daemon = world.token("daemon", &[("grant_type", "client_credentials")]).await.expect_status(200).json();
    let told = explain(&world, &text(&daemon, "access_token")).await;
    assert!(told.grant.is_none() && now(&told) == "active");
    for nothing in ["", "rgr_x", "a.b.c", "hello", "0123456789abcdef"] {
        assert!(world.app.admin().explain(nothing).await.is_err(), "{nothing}");
    }
}

/// Where it was made and used last: shortened, written when it changes, and not with each refresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_known_by_where_it_is_used() {
    let world = World::new().await;
    let password =
        [("grant_type", "password"), ("username", USER), ("password", sim::wire::PASSWORD), ("client_id", "phone")];
    let firefox = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    let reply = world.http().post("/oauth2/token", &password, &[firefox]).await.expect_status(200);
    let mut token = text(&reply.json(), "refresh_token");
    let made = explain(&world, &token).await.made_from.expect("a place");
    assert_eq!((made.network.as_str(), made.agent.as_str()), ("127.0.0.0/24", "Firefox on Linux"));
    for (network, agent, told) in [
        ("127.0.0.9", "okhttp/5.1.0 secret@example.com", ("127.0.0.0/24", "OkHttp")),
        ("127.0.7.1", "curl/8 \u{1}", ("127.0.7.0/24", "curl")),
    ] {
        world.advance(Duration::from_secs(3600));
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "phone")];
        let agent = agent.replace('\u{1}', "");
        let reply =
            world.http_from(network).post("/oauth2/token", &form, &[("user-agent", &agent)]).await.expect_status(200);
        token = text(&reply.json(), "refresh_token");
        let seen = explain(&world, &token).await;
        let used = seen.used_from.expect("a place");
        assert_eq!((used.network.as_str(), used.agent.as_str()), told);
        assert_eq!(seen.made_from.expect("a place"), made, "the first stays");
    }
}
