//! Clocks: what is announced is what is enforced, to the second (design section 4.1); order comes from generations, never from clocks,
//! and a clock that steps back revives nothing (law L10).

use sim::wire::assertion::{TYPE, claims, key, sign, start};
use sim::wire::{CONFIG, Reply, START, World, text};

use regrant_core::Timestamp;

use super::support::{
    DAY, HOUR, REFRESHING, chain, is_active, millis, next, refused, secs, start_plus, with_setting, world, world_with,
};

const YEARS: i64 = 10 * 365 * 86_400;

fn ends_in(reply: &Reply) -> u64 {
    reply.json()["refresh_token_expires_in"].as_u64().expect("whole seconds")
}

/// Check T32: the idle clock, to the second, for each class: a second before its end a refresh works, at its instant it does not, and
/// nothing brings it back.
#[tokio::test]
async fn the_idle_clock_ends_at_its_instant() {
    for client in REFRESHING {
        let world = world().await;
        let first = world.first(client).await;
        world.advance(secs(30 * DAY - 1));
        let second = next(world.refresh(client, &first).await);
        world.advance(secs(30 * DAY));
        for after in [0, 1] {
            world.advance(secs(after));
            let before = world.row(&second).await;
            refused(&world.refresh(client, &second).await, 400, "invalid_grant", "idle_expired");
            assert_eq!(world.row(&second).await, before);
        }
        assert_eq!(world.seen(&second).await.0.state, "idle_expired");
    }
}

/// Check T32: the absolute clock: rotation never extends it, to the second.
#[tokio::test]
async fn the_absolute_clock_is_never_extended() {
    for client in REFRESHING {
        let world = world().await;
        let mut token = world.first(client).await;
        let end = world.row(&token).await.absolute_at;
        assert_eq!(end, start_plus(365 * 86_400));
        for _ in 0..14 {
            world.advance(secs(26 * DAY));
            token = next(world.refresh(client, &token).await);
            assert_eq!(world.row(&token).await.absolute_at, end);
        }
        world.clock.set(end.minus(secs(1)));
        let reply = world.refresh(client, &token).await.expect_status(200);
        assert_eq!(
            (ends_in(&reply), reply.json()["expires_in"].as_u64()),
            (1, Some(1)),
            "no access token outlives its grant"
        );
        token = next(reply);
        world.advance(secs(1));
        refused(&world.refresh(client, &token).await, 400, "invalid_grant", "absolute_expired");
        world.advance(secs(1));
        refused(&world.refresh(client, &token).await, 400, "invalid_grant", "absolute_expired");
    }
}

/// Check T39: `refresh_token_expires_in` is true to the second: at the first answer, at a refresh and at a retry, between seconds too.
#[tokio::test]
async fn the_announced_end_is_the_real_one() {
    let config =
        with_setting("phone", "idle_lifetime = \"10m\"\naccess_token_lifetime = \"5m\"\nabsolute_lifetime = \"25m\"");
    for (steps, retried) in [(0, false), (1, false), (2, false), (3, false), (1, true), (3, true)] {
        for past in [999, 1000] {
            let world = world_with(&config).await;
            world.advance(millis(377));
            let form = [("grant_type", "password"), ("username", "alice"), ("password", sim::wire::PASSWORD)];
            let mut reply = world.token("phone", &form).await;
            for _ in 0..steps {
                world.advance(millis(460_001));
                let token = next(reply);
                reply = world.refresh("phone", &token).await;
                if retried {
                    world.advance(millis(20_500));
                    reply = world.refresh("phone", &token).await;
                }
            }
            let json = reply.clone().expect_status(200).json();
            assert_eq!(json["refresh_token_timeout"], json["refresh_token_expires_in"]);
            assert!(json["authorization_expires_in"].as_u64() >= json["refresh_token_expires_in"].as_u64());
            let (seconds, token) = (ends_in(&reply), next(reply));
            // Whole seconds are rounded down: at the announced end minus a millisecond it works, a second behind it is over.
            world.advance(millis(seconds * 1000 - 1));
            if past == 1000 {
                world.advance(millis(1001));
                let reply = world.refresh("phone", &token).await;
                assert!(
                    ["idle_expired", "absolute_expired"].contains(&sim::wire::log::reason(&reply).as_str()),
                    "{}",
                    reply.text()
                );
            } else {
                let _ = next(world.refresh("phone", &token).await);
            }
        }
    }
}

/// Check N5, F6: `expires_in` is within (0, the setting], and true: active a second before, inactive at it, for each class, down to the
/// shortest setting.
#[tokio::test]
async fn an_access_token_lives_as_long_as_it_says() {
    for lifetime in ["1s", "2s", "5m", "30d"] {
        let world = world_with(&with_setting("phone", &format!("access_token_lifetime = \"{lifetime}\""))).await;
        let whole = match lifetime {
            "1s" => 1,
            "2s" => 2,
            "5m" => 300,
            _ => 30 * DAY,
        };
        for _ in 0..10 {
            let answer = world.grant("phone").await;
            let (seconds, access) = (answer["expires_in"].as_u64().expect("a number"), text(&answer, "access_token"));
            assert!(seconds > 0 && seconds <= whole && seconds >= whole - whole / 5, "{seconds} of {whole}");
            world.advance(secs(seconds) - millis(1));
            assert!(is_active(&world, &access).await);
            world.advance(millis(1));
            assert!(!is_active(&world, &access).await);
        }
    }
}

/// Check N1, law L10: ten years back, an hour back: refreshes work, lifetimes stay within their settings, and the end does not move.
#[tokio::test]
async fn a_clock_that_steps_back_stops_nobody_and_lengthens_nothing() {
    for client in REFRESHING {
        for back in [3600, YEARS] {
            let world = world().await;
            let mut token = world.first(client).await;
            let end = world.row(&token).await.absolute_at;
            world.clock.set(start_plus(-back));
            for _ in 0..3 {
                let reply = world.refresh(client, &token).await.expect_status(200);
                assert!(reply.json()["expires_in"].as_u64().is_some_and(|seconds| (1..=3600).contains(&seconds)));
                assert_eq!(ends_in(&reply), 30 * DAY, "counted from the newest time that was seen, not from the clock");
                assert!(is_active(&world, &text(&reply.json(), "access_token")).await);
                token = next(reply);
                assert_eq!(world.row(&token).await.absolute_at, end);
            }
        }
    }
}

/// Check N1, law L10: the clock jumps ten years ahead: nothing is decided at such a time, everything is 503 and nothing is written; when it is
/// back every session goes on, and none of the ten years has passed for anybody.
#[tokio::test]
async fn a_clock_that_jumps_ten_years_ends_no_session() {
    for client in REFRESHING {
        let world = world().await;
        let (answer, code) = (world.grant(client).await, world.code("phone").await);
        let (access, refresh) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
        let before = world.row(&refresh).await;
        let commits = world.watch.commits();
        world.clock.set(start_plus(YEARS));
        for _ in 0..2 {
            world.refresh(client, &refresh).await.expect_error(503, "temporarily_unavailable");
            world.redeem("phone", &code).await.expect_error(503, "temporarily_unavailable");
            let daemon = world.token("daemon", &[("grant_type", "client_credentials")]).await;
            daemon.expect_error(503, "temporarily_unavailable");
            let shown = world.post("/oauth2/introspect", "api", &[("token", &access)], &[]).await;
            shown.expect_error(503, "temporarily_unavailable");
            let ready = world.http().get("/readyz", &[]).await.expect_status(503);
            assert!(ready.text().contains("clock"), "{}", ready.text());
            let _ = world.http().get("/healthz", &[]).await.expect_status(200);
        }
        assert_eq!(world.watch.commits(), commits, "nothing was written at such a time");
        world.clock.set(start_plus(5));
        assert_eq!(world.row(&refresh).await, before);
        assert!(is_active(&world, &access).await);
        let _ = next(world.redeem("phone", &code).await);
        let reply = world.refresh(client, &refresh).await.expect_status(200);
        assert_eq!(ends_in(&reply), 30 * DAY);
    }
}

/// Check N1, law L10: a step that a sleeping machine makes is believed: what is over by then has ended, and a step back revives nothing.
#[tokio::test]
async fn a_step_ahead_ends_what_is_over_and_a_step_back_revives_nothing() {
    let world = world().await;
    let old = world.grant("phone").await;
    let (access, refresh) = (text(&old, "access_token"), text(&old, "refresh_token"));
    world.clock.set(start_plus(30 * 86_400));
    refused(&world.refresh("phone", &refresh).await, 400, "invalid_grant", "idle_expired");
    assert!(!is_active(&world, &access).await);
    let young = world.first("phone").await;
    for to in [start_plus(0), start_plus(-YEARS), Timestamp::from_millis(START)] {
        world.clock.set(to);
        refused(&world.refresh("phone", &refresh).await, 400, "invalid_grant", "idle_expired");
        assert!(!is_active(&world, &access).await);
    }
    let _ = next(world.refresh("phone", &young).await);
}

/// Checks N1, N5: an hour ahead and back again: every session goes on, a refresh in between and behind it, and nothing is lengthened beyond its end.
#[tokio::test]
async fn an_hour_ahead_and_back_logs_nobody_out() {
    for client in REFRESHING {
        let world = world().await;
        let quiet = world.first(client).await;
        let mut busy = world.first(client).await;
        let end = world.row(&busy).await.absolute_at;
        for at in [3600, 0, -3600, 3600, 1, 7200] {
            world.clock.set(start_plus(at));
            let reply = world.refresh(client, &busy).await.expect_status(200);
            assert!(reply.json()["expires_in"].as_u64().is_some_and(|seconds| (1..=3600).contains(&seconds)));
            assert!(ends_in(&reply) <= 30 * DAY);
            busy = next(reply);
            assert_eq!(world.row(&busy).await.absolute_at, end);
        }
        let _ = next(world.refresh(client, &quiet).await);
    }
}

/// Checks N5, X14: a clock that stands still: sessions live, each retry and each replay is told from the generations, across a restart too.
#[tokio::test]
async fn a_clock_that_stands_still_stops_nobody_and_hides_no_replay() {
    let mut world = world().await;
    let tokens = chain(&world, "phone", 5).await;
    world = world.restart().await;
    let reply = world.refresh("phone", &tokens[5]).await.expect_status(200);
    assert!(reply.json()["expires_in"].as_u64().is_some_and(|seconds| (1..=3600).contains(&seconds)));
    let last = next(reply);
    assert_eq!(next(world.refresh("phone", &tokens[5]).await), last);
    assert_ne!(world.refresh("phone", &tokens[0]).await.status.as_u16(), 200);
    let _ = next(world.refresh("phone", &last).await);
}

/// Check N1: a start on a clock that is ten years ahead of the store is refused, with a remedy, and changes nothing; on the right clock
/// everybody goes on. An operator who says that the clock is right is believed, once and for all.
#[tokio::test]
async fn a_start_ten_years_ahead_is_refused_until_an_operator_says_that_it_is_right() {
    let memory = regrant_store::Memory::new();
    let config = || sim::wire::config(sim::wire::CONFIG);
    let root = || regrant_core::keys::RootKey::new(sim::wire::ROOT);
    let open = |clock| regrant_server::App::open_with(config(), Box::new(memory.clone()), root(), clock);
    let right = || regrant_server::Clock::manual(Timestamp::from_millis(START)).doubted();
    let wrong = || regrant_server::Clock::manual(start_plus(YEARS)).doubted();
    let app = open(right()).expect("a fresh store has nothing to lose");
    app.engine.stop().await;
    for _ in 0..2 {
        let refused = open(wrong()).expect_err("ten years ahead");
        assert_eq!(refused.exit_code(), 78);
        let text = refused.to_string();
        assert!(
            text.contains("3650 days ahead") && text.contains("--accept-clock") && text.contains("remedy"),
            "{text}"
        );
    }
    open(right()).expect("nothing was changed").engine.stop().await;
    open(wrong().accepted()).expect("an operator said so").engine.stop().await;
    open(wrong()).expect("the store has seen that time now").engine.stop().await;
}

/// Law L10: the newest time is the store's, not the process's: a restart on a clock that runs behind revives nothing.
#[tokio::test]
async fn a_restart_with_a_slow_clock_revives_nothing() {
    let world = world().await;
    let old = world.first("phone").await;
    world.advance(secs(31 * DAY));
    let _young = world.first("phone").await;
    let world = world.restart().await;
    world.clock.set(start_plus(0));
    refused(&world.refresh("phone", &old).await, 400, "invalid_grant", "idle_expired");
}

/// Check N3, law L10: a step back between two rotations: the generations say what is old, and no lifetime grows.
#[tokio::test]
async fn a_step_back_during_a_rotation_hides_no_replay() {
    for client in ["web-single", "phone"] {
        for back in [1, 59, 3600, YEARS] {
            let world = world().await;
            let first = world.first(client).await;
            world.advance(secs(HOUR));
            let second = next(world.refresh(client, &first).await);
            let end = world.row(&second).await.ends_at();
            let stood = world.clock.now();
            world.clock.set(stood.minus(secs(back as u64)));
            let third = next(world.refresh(client, &second).await);
            assert_eq!(world.row(&third).await.ends_at(), end, "the clock went back: the end stays where it was");
            assert_eq!(next(world.refresh(client, &second).await), third);
            refused(&world.refresh(client, &first).await, 503, "temporarily_unavailable", "straggler");
            world.clock.set(stood.plus(secs(60)));
            refused(&world.refresh(client, &first).await, 400, "invalid_grant", "replayed");
            refused(&world.refresh(client, &third).await, 400, "invalid_grant", "refresh_replayed");
        }
    }
}

/// Law L10, check N1: a clock that was ahead for a moment, by what is believed, and is right again: time goes on behind it, if slowly. Replays
/// are told and end their grants, codes end, the retry window closes, and clients that sign with the right time are known.
#[tokio::test]
async fn behind_a_clock_that_was_ahead_everything_still_ends() {
    let signer = "\n[[client]]\nid = \"robot\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\njwks = KEYS\n\
                  grant_types = [\"client_credentials\"]\nscopes = [\"read\"]\n";
    let world = world_with(&format!("{CONFIG}{signer}")).await;
    world.clock.set(start_plus(20 * 86_400));
    let tokens = chain(&world, "phone", 2).await;
    let code = world.code("phone").await;
    world.clock.set(start_plus(0));
    let said = claims("robot", world.app.issuer(), start());
    let assertion = sign(key(), &said);
    let form =
        [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", &assertion)];
    let ask = async || world.http().post("/oauth2/token", &form, &[]).await.status.as_u16();
    assert_eq!((ask().await, ask().await), (200, 401), "known by its own time, and once");
    world.advance(secs(50));
    assert_eq!(ask().await, 401, "it is still kept that it was used");
    assert_eq!(next(world.refresh("phone", &tokens[1]).await), tokens[2], "a lost answer");
    world.advance(secs(100));
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_expired");
    refused(&world.refresh("phone", &tokens[0]).await, 400, "invalid_grant", "replayed");
    refused(&world.refresh("phone", &tokens[2]).await, 400, "invalid_grant", "refresh_replayed");
}

/// A code's clock is the same: a step back does not give it more time.
#[tokio::test]
async fn a_step_back_gives_a_code_no_more_time() {
    let world = world().await;
    let code = world.code("phone").await;
    world.advance(secs(60));
    let _seen = world.first("web").await;
    world.clock.set(start_plus(0));
    refused(&world.redeem("phone", &code).await, 400, "invalid_grant", "code_expired");
}

/// A changed setting acts at the next rotation, and never on the absolute end.
#[tokio::test]
async fn a_changed_lifetime_acts_at_the_next_rotation() {
    let world = world().await;
    let live = chain(&world, "phone", 1).await.remove(1);
    let before = world.row(&live).await;
    let shorter = with_setting("phone", "idle_lifetime = \"7d\"\nabsolute_lifetime = \"14d\"");
    let world: World = world.restart_with(Some(&shorter)).await;
    assert_eq!(world.row(&live).await, before);
    let reply = world.refresh("phone", &live).await.expect_status(200);
    assert_eq!(ends_in(&reply), 7 * DAY);
    assert_eq!(world.row(&live).await.absolute_at, before.absolute_at);
}
