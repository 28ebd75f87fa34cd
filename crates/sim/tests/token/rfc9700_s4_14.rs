//! RFC 9700 section 4.14.2, refresh token rotation and replay:
//!
//! - "Authorization servers MUST utilize one of these methods to detect refresh token replay by malicious actors for public clients":
//!   sender-constraining, or rotation: "the authorization server issues a new refresh token with every access token refresh response. The
//!   previous refresh token is invalidated, but information about the relationship is retained by the authorization server."
//! - "If a refresh token is compromised and subsequently used by both the attacker and the legitimate client, one of them will present
//!   an invalidated refresh token, which will inform the authorization server of the breach. The authorization server cannot determine
//!   which party submitted the invalid refresh token, but it will revoke the active refresh token."

use sim::wire::{Reply, World, text};

use super::support::{
    DAY, HOUR, ROTATING, chain, is_active, millis, next, refused, refused_without_a_trace, secs, tokens, userinfo,
    with_setting, world, world_with,
};

async fn with_key(world: &World, token: &str, keys: &[&str]) -> Reply {
    let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
    world.post("/oauth2/token", "phone", &[("grant_type", "refresh_token"), ("refresh_token", token)], &headers).await
}

/// Asserts the 503 of a late worker: no token, nothing changed, a short wait.
async fn asked_again(world: &World, client: &str, token: &str) {
    let before = world.row(token).await;
    let reply = world.refresh(client, token).await;
    refused(&reply, 503, "temporarily_unavailable", "straggler");
    assert_eq!(reply.header("retry-after"), "2");
    assert_eq!(world.row(token).await, before);
}

/// Checks T8, T19, law L3: a plain public client whose answer was lost hears the same successor: as often as it likes for 5 s, then three
/// times within its window; the next one is asked to wait, and nothing is revoked.
#[tokio::test]
async fn a_lost_answer_is_given_again_and_again() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    for _ in 0..20 {
        assert_eq!(next(world.refresh("phone", &first).await), second);
    }
    world.advance(millis(4_999));
    assert_eq!(next(world.refresh("phone", &first).await), second);
    assert_eq!(world.row(&first).await.retries, 0);
    for retries in 1..=3 {
        world.advance(secs(10));
        assert_eq!(next(world.refresh("phone", &first).await), second);
        assert_eq!(world.row(&first).await.retries, retries);
    }
    for after in [0, 10_000, 14_000] {
        world.advance(millis(after));
        asked_again(&world, "phone", &first).await;
    }
    let seen = world.seen(&first).await;
    assert_eq!((seen.0.generation, seen.0.state.as_str()), (2, "live"), "retries step no generation");
    let _ = next(world.refresh("phone", &second).await);
}

/// Law L3: each retry brings a fresh access token that works, of the same generation, and extends no clock.
#[tokio::test]
async fn a_retry_brings_a_fresh_access_token_and_extends_nothing() {
    let world = world().await;
    for client in ["phone", "web-single", "opaque"] {
        let first = world.first(client).await;
        let (one, _) = tokens(world.refresh(client, &first).await);
        let before = world.row(&first).await;
        world.advance(secs(20));
        let (two, _) = tokens(world.refresh(client, &first).await);
        assert!(one != two && is_active(&world, &one).await && is_active(&world, &two).await);
        let after = world.row(&first).await;
        assert_eq!(
            (after.generation, after.idle_at, after.absolute_at),
            (before.generation, before.idle_at, before.absolute_at)
        );
    }
}

/// Check T8: the window of a plain public client ends at its instant: a retry before, a replay at it.
#[tokio::test]
async fn the_window_ends_at_its_instant() {
    for (after, lives) in [(59_999, true), (60_000, false), (61_000, false)] {
        let world = world().await;
        let first = world.first("phone").await;
        let second = next(world.refresh("phone", &first).await);
        world.advance(millis(after));
        let reply = world.refresh("phone", &first).await;
        if lives {
            assert_eq!(next(reply), second);
        } else {
            refused(&reply, 400, "invalid_grant", "replayed");
        }
    }
}

/// Check T8, law L3: an authenticated client may repeat for as long as nobody has presented the successor, days later too.
#[tokio::test]
async fn an_authenticated_client_may_repeat_for_as_long_as_the_grant_lives() {
    let world = world().await;
    for client in ["web-single", "opaque"] {
        let first = world.first(client).await;
        let second = next(world.refresh(client, &first).await);
        for _ in 0..29 {
            world.advance(secs(DAY));
            regrant_server::sweep::pass(&world.app, millis(0)).await.expect("a sweep");
            assert_eq!(
                next(world.refresh(client, &first).await),
                second,
                "seed keys rotate daily, and those that are needed stay"
            );
        }
        let _ = next(world.refresh(client, &second).await);
        world.advance(secs(60));
        assert_ne!(next(world.refresh(client, &second).await), second);
        refused(&world.refresh(client, &first).await, 503, "temporarily_unavailable", "straggler");
    }
}

/// Check T4: without a window, the loser of an honest race is asked to wait, and its other worker's token is what goes on.
#[tokio::test]
async fn the_loser_of_a_race_is_not_logged_out() {
    let world = world().await;
    let first = world.first("phone-strict").await;
    let second = next(world.refresh("phone-strict", &first).await);
    for after in [0, 15_000, 14_999] {
        world.advance(millis(after));
        asked_again(&world, "phone-strict", &first).await;
    }
    // It reads its store again, where the winner's token is.
    let third = next(world.refresh("phone-strict", &second).await);
    world.advance(secs(30));
    // Check T9: and thirty seconds after the last answer, an old token is a replay.
    refused(&world.refresh("phone-strict", &first).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("phone-strict", &third).await, 400, "invalid_grant", "refresh_replayed");
}

/// Check T9: two generations back and older never succeed: first they are asked to wait, then they are a replay.
#[tokio::test]
async fn two_generations_back_never_succeeds() {
    for client in ROTATING {
        for distance in [0, 29] {
            let world = world().await;
            let first = world.first(client).await;
            let second = next(world.refresh(client, &first).await);
            world.advance(secs(distance));
            let third = next(world.refresh(client, &second).await);
            for after in [0, 29_999] {
                world.advance(millis(after));
                asked_again(&world, client, &first).await;
            }
            world.advance(millis(1));
            refused(&world.refresh(client, &first).await, 400, "invalid_grant", "replayed");
            refused(&world.refresh(client, &third).await, 400, "invalid_grant", "refresh_replayed");
        }
    }
}

/// Check T12: rotations within one millisecond: all different, each recognised for what it is, by generation and not by time.
#[tokio::test]
async fn rotations_in_one_millisecond_are_told_apart() {
    let world = world().await;
    for client in ["web-single", "phone"] {
        let mut tokens = vec![world.first(client).await];
        for generation in 2..=8 {
            tokens.push(next(world.refresh(client, tokens.last().expect("one")).await));
            assert_eq!(world.open(tokens.last().expect("one")).generation, generation);
        }
        let mut distinct = tokens.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 8);
        assert_eq!(next(world.refresh(client, &tokens[6]).await), tokens[7]);
        for old in &tokens[..6] {
            asked_again(&world, client, old).await;
        }
        world.advance(secs(60));
        refused(&world.refresh(client, &tokens[5]).await, 400, "invalid_grant", "replayed");
    }
}

/// Check T11: a replay revokes the active refresh token and all its access tokens at once, with one event; the user's other grants,
/// also with the same client, go on.
#[tokio::test]
async fn a_replay_ends_this_grant_and_only_this() {
    for client in ROTATING {
        let world = world().await;
        let (other_client, sibling) = (world.first("web").await, world.first(client).await);
        let first = world.first(client).await;
        let (old_access, second) = tokens(world.refresh(client, &first).await);
        let (new_access, third) = tokens(world.refresh(client, &second).await);
        world.advance(secs(60));
        assert!(is_active(&world, &old_access).await && is_active(&world, &new_access).await);
        let reply = world.refresh(client, &first).await;
        refused(&reply, 400, "invalid_grant", "replayed");
        for access in [&old_access, &new_access] {
            assert!(!is_active(&world, access).await);
            assert_eq!(userinfo(&world, access).await.status.as_u16(), 401);
        }
        for token in [&first, &second, &third] {
            refused_without_a_trace(&world, client, token, "invalid_grant", "refresh_replayed").await;
        }
        let (grant, events) = world.seen(&first).await;
        assert_eq!((grant.state.as_str(), grant.reason.as_deref()), ("revoked", Some("refresh_replayed")));
        let ended: Vec<_> = events.iter().filter(|event| event.kind == "grant_ended").collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].correlation, reply.header("x-correlation-id"));
        assert_eq!(ended[0].detail, "presented generation 1, current 3");
        let _ = next(world.refresh(client, &sibling).await);
        let _ = next(world.refresh("web", &other_client).await);
    }
}

/// Checks T9, T10, law L4: a spent token is recognised an hour, a day, 90 days and 11 months later, through sweeps, daily seed keys and
/// restarts, at no byte per token.
#[tokio::test]
async fn a_spent_token_is_recognised_for_ever() {
    for client in ["web-single", "phone"] {
        for (days, steps) in [(0, 3), (1, 3), (18, 5), (28, 12)] {
            let mut world = world().await;
            let first = world.first(client).await;
            let mut live = first.clone();
            for step in 0..steps {
                world.advance(secs(days * DAY + HOUR));
                live = next(world.refresh(client, &live).await);
                regrant_server::sweep::pass(&world.app, millis(0)).await.expect("a sweep");
                if step == 1 {
                    world = world.restart().await;
                }
            }
            world.advance(secs(HOUR));
            assert_eq!(world.grants().await, 1);
            refused(&world.refresh(client, &first).await, 400, "invalid_grant", "replayed");
            refused(&world.refresh(client, &live).await, 400, "invalid_grant", "refresh_replayed");
        }
    }
}

/// Law L4: a grant that ended long ago is swept away; its tokens are then unknown, and stay refused.
#[tokio::test]
async fn a_swept_grant_stays_refused() {
    let world = world().await;
    let tokens = chain(&world, "phone", 2).await;
    world.advance(secs(60));
    refused(&world.refresh("phone", &tokens[0]).await, 400, "invalid_grant", "replayed");
    world.advance(secs(91 * DAY));
    regrant_server::sweep::pass(&world.app, millis(0)).await.expect("a sweep");
    assert_eq!(world.grants().await, 0);
    for token in &tokens {
        refused(&world.refresh("phone", token).await, 400, "invalid_grant", "unknown_grant");
    }
}

/// Check T18: with an `Idempotency-Key` the same key brings the same successor for as long as the grant lives; another key or none is
/// asked to wait for 30 s after the last answer, and is then a replay.
#[tokio::test]
async fn the_same_idempotency_key_brings_the_same_successor() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(with_key(&world, &first, &["attempt-1"]).await);
    for keys in [vec!["attempt-2"], vec![], vec![""], vec!["Attempt-1"]] {
        let before = world.row(&first).await;
        refused(&with_key(&world, &first, &keys).await, 503, "temporarily_unavailable", "straggler");
        assert_eq!(world.row(&first).await, before);
    }
    for after in [0, 120, HOUR, 20 * DAY] {
        world.advance(secs(after));
        assert_eq!(next(with_key(&world, &first, &["attempt-1"]).await), second);
    }
    world.advance(millis(29_999));
    refused(&with_key(&world, &first, &["attempt-2"]).await, 503, "temporarily_unavailable", "straggler");
    world.advance(millis(1));
    refused(&with_key(&world, &first, &["attempt-2"]).await, 400, "invalid_grant", "replayed");
    refused(&with_key(&world, &second, &["attempt-3"]).await, 400, "invalid_grant", "refresh_replayed");
}

/// Check T18: the request that rotates decides the rule: without a key it is the plain one, and a key that comes later proves nothing.
#[tokio::test]
async fn the_request_that_rotates_decides_the_rule() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    assert_eq!(next(with_key(&world, &first, &["late"]).await), second);
    world.advance(secs(60));
    refused(&with_key(&world, &first, &["late"]).await, 400, "invalid_grant", "replayed");
    // A key is of one rotation only.
    let first = world.first("phone").await;
    let second = next(with_key(&world, &first, &["one"]).await);
    let third = next(with_key(&world, &second, &["two"]).await);
    refused(&with_key(&world, &second, &["one"]).await, 503, "temporarily_unavailable", "straggler");
    assert_eq!(next(with_key(&world, &second, &["two"]).await), third);
}

/// Check T18: an authenticated client needs none: its header changes nothing.
#[tokio::test]
async fn an_authenticated_client_needs_no_idempotency_key() {
    let world = world().await;
    let first = world.first("web-single").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
    let second = next(world.post("/oauth2/token", "web-single", &form, &[("idempotency-key", "a")]).await);
    assert_eq!(next(world.post("/oauth2/token", "web-single", &form, &[("idempotency-key", "b")]).await), second);
    assert_eq!(world.row(&first).await.retry_proof, None);
}

/// A malformed `Idempotency-Key` is a malformed request, and consumes nothing.
#[tokio::test]
async fn a_malformed_idempotency_key_is_refused() {
    let world = world().await;
    let first = world.first("phone").await;
    let before = world.row(&first).await;
    let long = "k".repeat(256);
    for keys in [vec![long.as_str()], vec!["a b"], vec!["a\tb"], vec!["\u{e9}"], vec!["a", "a"], vec!["", ""]] {
        refused(&with_key(&world, &first, &keys).await, 400, "invalid_request", "malformed: IdempotencyKey");
    }
    assert_eq!(world.row(&first).await, before);
    let longest = "k".repeat(255);
    let second = next(with_key(&world, &first, &[&longest]).await);
    world.advance(secs(HOUR));
    assert_eq!(next(with_key(&world, &first, &[&longest]).await), second);
}

/// Check T36: a generation that was never issued is refused and raises an alarm; the grant lives.
#[tokio::test]
async fn a_token_from_the_future_is_an_alarm() {
    let world = world().await;
    for client in ["web", "phone", "web-single"] {
        let live = chain(&world, client, 2).await.remove(2);
        let reached = world.open(&live).generation;
        for (forged, reason) in [
            (world.forge(&live, |token| token.generation += 1), "unissued"),
            (world.forge(&live, |token| token.generation = u32::MAX), "unissued"),
            (world.forge(&live, |token| token.era = u16::MAX), "era_ahead"),
            (world.forge(&live, |token| token.generation = 0), "impossible_generation"),
        ] {
            refused_without_a_trace(&world, client, &forged, "invalid_grant", reason).await;
        }
        assert_eq!(world.events(&live, "alarm").await, 3, "at most one of a reason a minute");
        assert_eq!(world.seen(&live).await.0.generation, reached);
        let _ = next(world.refresh(client, &live).await);
    }
}

/// Check T34: the largest generation is reached, answered and repeated; presenting it ends the grant, and nothing wraps.
#[tokio::test]
async fn the_largest_generation_is_the_last() {
    for client in ["web-single", "phone"] {
        let world = world().await;
        let token = chain(&world, client, 1).await.remove(1);
        world.put_row(|grant| grant.generation = u32::MAX - 1, &token).await;
        let before_last = world.forge(&token, |token| token.generation = u32::MAX - 1);
        let last = next(world.refresh(client, &before_last).await);
        assert_eq!(world.open(&last).generation, u32::MAX);
        assert_eq!(next(world.refresh(client, &before_last).await), last);
        refused(&world.refresh(client, &last).await, 400, "invalid_grant", "generations_exhausted_now");
        assert_eq!(world.seen(&last).await.0.reason.as_deref(), Some("generations_exhausted"));
        refused_without_a_trace(&world, client, &before_last, "invalid_grant", "generations_exhausted").await;
    }
}

/// `on_replay = "refuse"`, for those who can prove who they are: a replay is refused and told, and the grant lives.
#[tokio::test]
async fn a_client_may_have_replays_refused_only() {
    let world = world_with(&with_setting("web-single", "on_replay = \"refuse\"")).await;
    let tokens = chain(&world, "web-single", 3).await;
    world.advance(secs(60));
    for _ in 0..3 {
        refused_without_a_trace(&world, "web-single", &tokens[0], "invalid_grant", "replay_refused").await;
    }
    assert_eq!(world.events(&tokens[0], "replay_refused").await, 1, "one alert");
    world.advance(secs(60));
    refused_without_a_trace(&world, "web-single", &tokens[1], "invalid_grant", "replay_refused").await;
    assert_eq!(world.events(&tokens[0], "replay_refused").await, 1, "however often");
    let _ = next(world.refresh("web-single", &tokens[3]).await);
}

/// Law L2: through rotations, losses and repeats, at most one of all the tokens that were ever answered is live.
#[tokio::test]
async fn of_all_tokens_ever_answered_one_is_live() {
    let world = world().await;
    let mut all = vec![world.first("opaque").await];
    for round in 0..30_u64 {
        world.advance(secs([0, 1, 7, 31, 3600][round as usize % 5]));
        let last = all.last().expect("one").clone();
        for _ in 0..=round % 3 {
            let answered = next(world.refresh("opaque", &last).await);
            if !all.contains(&answered) {
                all.push(answered);
            }
        }
    }
    let mut live = Vec::new();
    for token in &all {
        let answer = world.post("/oauth2/introspect", "opaque", &[("token", token)], &[]).await.json();
        live.extend((answer["active"] == true).then_some(token));
    }
    assert_eq!((all.len(), live), (31, vec![all.last().expect("one")]));
}

/// Law L12: what happened to a grant, an operator reads in its events, and finds the client's answer by its correlation id.
#[tokio::test]
async fn an_operator_can_tell_what_happened() {
    let world = world().await;
    let first = world.first("phone-strict").await;
    let second = next(world.refresh("phone-strict", &first).await);
    let late = world.refresh("phone-strict", &first).await;
    world.advance(secs(60));
    let replay = world.refresh("phone-strict", &first).await;
    let (grant, events) = world.seen(&second).await;
    let told: Vec<_> =
        events.iter().map(|event| (event.kind.as_str(), event.reason.as_deref(), event.correlation.clone())).collect();
    assert_eq!(told[0], ("grant_ended", Some("refresh_replayed"), text(&replay.json(), "correlation_id")));
    assert_eq!(told[1], ("straggler", None, text(&late.json(), "correlation_id")));
    assert_eq!((told[2].0, told.len()), ("grant_created", 3));
    assert_eq!(
        (grant.state.as_str(), grant.reason.as_deref(), grant.client.as_str()),
        ("revoked", Some("refresh_replayed"), "phone-strict")
    );
}
