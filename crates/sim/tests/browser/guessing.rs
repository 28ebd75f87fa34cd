//! Guessing of passwords, in the browser and by the password grant. RFC 6749 section 10.10: "The authorization server MUST prevent
//! attackers from guessing access tokens, authorization codes, refresh tokens, resource owner passwords, and client credentials."
//!
//! Whoever fails waits; nobody is locked out, and nobody can make somebody else wait who is elsewhere, or in a browser of her own.

use std::sync::Arc;
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_store::{Answer, Memory, Question, StoredEvent};
use sim::wire::{Browser, CONFIG, PASSWORD, Reply, START, USER, World, authorization};

use super::support::is_consent;

/// What guards the server unless it is told otherwise.
fn guarded() -> String {
    format!("{CONFIG}\n[limits]\n")
}

fn with(limits: &str) -> String {
    format!("{CONFIG}\n[limits]\n{limits}\n")
}

async fn try_in(browser: &mut Browser, name: &str, password: &str) -> Reply {
    let page = browser.get(&authorization("web", &[("prompt", "login")])).await;
    browser.submit(&page, &[("username", name), ("password", password)]).await
}

/// A log-in in a browser that was never here, from a network.
async fn attempt(world: &World, network: &str, name: &str, password: &str) -> Reply {
    try_in(&mut world.browser().moved_to(network), name, password).await
}

/// By the password grant, as a public client.
async fn by_grant(world: &World, network: &str, name: &str, password: &str) -> Reply {
    let form = [("grant_type", "password"), ("client_id", "phone"), ("username", name), ("password", password)];
    world.http_from(network).post("/oauth2/token", &form, &[]).await
}

/// How long this answer asks to wait; nothing if it does not.
fn wait(reply: &Reply) -> Option<u64> {
    (reply.status == 429).then(|| reply.header("retry-after").parse().expect("seconds"))
}

async fn events(world: &World) -> Vec<StoredEvent> {
    let question = Question::Events { grant: None, limit: 1000 };
    let Ok(Answer::Events(events)) = world.app.engine.ask(question).await else { panic!("no events") };
    events
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HERE: &str = "127.0.0.2";
const ELSEWHERE: &str = "127.0.0.3";

/// Check B1: whoever goes away before he hears the answer has guessed all the same.
#[tokio::test]
async fn an_attempt_that_is_broken_off_counts() {
    let world = World::with(&with("login_failures = \"3/h\"\nlogin_failures_per_network = \"off\"")).await;
    for _ in 0..3 {
        let commits = world.watch.commits();
        {
            let guess = std::pin::pin!(by_grant(&world, HERE, USER, "a wrong guess"));
            let looked_up = world.watch.reads() + 2;
            let begun = async {
                while world.watch.reads() < looked_up {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = begun => {}
                reply = guess => assert_eq!(reply.status, 400, "it was quicker than we: counted as usual"),
            }
        }
        while world.watch.commits() == commits {
            tokio::task::yield_now().await;
        }
    }
    assert!(wait(&by_grant(&world, HERE, USER, PASSWORD).await).is_some(), "three were counted");
    assert_eq!(by_grant(&world, ELSEWHERE, USER, PASSWORD).await.status, 200, "and nobody else waits");
}

/// Checks B1, B3: five failures are free, then each makes the next one wait twice as long, up to the longest. Being refused costs nothing,
/// and whoever has waited is looked at.
#[tokio::test]
async fn each_failure_makes_the_next_wait_twice_as_long() {
    let world = World::with(&with("login_failures_per_account = \"off\"\nlongest_login_wait = \"40s\"")).await;
    for _ in 0..5 {
        assert_eq!(attempt(&world, HERE, USER, "wrong").await.status, 401);
    }
    for expected in [1, 2, 4, 8, 16, 32, 40, 40, 40] {
        for password in ["wrong", PASSWORD] {
            let refused = attempt(&world, HERE, USER, password).await;
            assert_eq!(wait(&refused), Some(expected), "the right password is not looked at either");
            assert!(refused.text().contains("Too many attempts. Please wait "), "{}", refused.text());
        }
        world.advance(secs(expected - 1) + Duration::from_millis(1));
        assert_eq!(wait(&attempt(&world, HERE, USER, PASSWORD).await), Some(1), "refused attempts prolong nothing");
        world.advance(Duration::from_millis(999));
        assert_eq!(attempt(&world, HERE, USER, "wrong").await.status, 401);
    }
    let page = attempt(&world, HERE, USER, PASSWORD).await;
    assert!(page.text().contains("Please wait 40 seconds and try again."), "in words: {}", page.text());
    world.advance(secs(40));
    assert_eq!(attempt(&world, HERE, USER, PASSWORD).await.status, 303);
    for _ in 0..5 {
        assert_eq!(attempt(&world, HERE, USER, "wrong").await.status, 401, "a success forgets all failures");
    }
}

/// Check B1: letter case and space around a name make no other bucket of it.
#[tokio::test]
async fn all_spellings_of_a_name_share_one_bucket() {
    let world = World::with(&guarded()).await;
    for name in ["alice", "ALICE", " Alice", "aLiCe\u{a0}", "alicE  "] {
        assert_eq!(attempt(&world, HERE, name, "wrong").await.status, 401, "{name:?}");
    }
    for name in ["alice", "\u{2003}ALICE", "Alice "] {
        assert_eq!(wait(&attempt(&world, HERE, name, PASSWORD).await), Some(1), "{name:?}");
        assert_eq!(wait(&by_grant(&world, HERE, name, PASSWORD).await), Some(1), "{name:?}, by the other way in");
    }
}

/// Check B2: a name that nobody has is answered, written and limited like one that somebody has.
#[tokio::test]
async fn an_unknown_user_cannot_be_told_from_a_known_one() {
    let world = World::with(&guarded()).await;
    let mut told = Vec::new();
    for name in [USER, "nobody"] {
        let mut heard = Vec::new();
        for _ in 0..8 {
            let (reads, commits) = (world.watch.reads(), world.watch.commits());
            let reply = by_grant(&world, HERE, name, "wrong").await;
            let mut body = reply.json();
            body["correlation_id"] = "".into();
            let asked = (world.watch.reads() - reads, world.watch.commits() - commits);
            heard.push((reply.status, reply.header("retry-after"), body, asked));
        }
        assert_eq!(heard.iter().filter(|(status, ..)| *status == 429).count(), 3);
        told.push(heard);
    }
    assert_eq!(told[0], told[1]);
}

/// Check B3: whoever guesses at an account from one network makes nobody wait on another one.
#[tokio::test]
async fn nobody_can_lock_a_victim_out_from_another_network() {
    let world = World::with(&guarded()).await;
    for _ in 0..100 {
        let _ = attempt(&world, HERE, USER, "wrong").await;
        world.advance(secs(60));
    }
    assert!(wait(&attempt(&world, HERE, USER, PASSWORD).await).is_some());
    assert_eq!(attempt(&world, ELSEWHERE, USER, PASSWORD).await.status, 303);
    let _ = by_grant(&world, ELSEWHERE, USER, PASSWORD).await.expect_status(200);
}

/// Check B3: nor do a hundred networks; but each of them gets one attempt and then waits, so that many cannot guess much. The operator is
/// told of the attack, once a minute.
#[tokio::test]
async fn many_networks_slow_down_each_other_and_not_the_victim() {
    let world = World::with(&guarded()).await;
    let mut looked_at = 0;
    for _ in 0..5 {
        for host in 1..=100 {
            let network = format!("127.0.7.{host}");
            looked_at += u32::from(by_grant(&world, &network, USER, "wrong").await.status == 400);
        }
        world.advance(secs(1));
    }
    assert!((100..=110).contains(&looked_at), "{looked_at} of 500 guesses were looked at");
    assert_eq!(attempt(&world, ELSEWHERE, USER, PASSWORD).await.status, 303, "a network that has not failed gets in");
    let alarms: Vec<StoredEvent> = events(&world).await.into_iter().filter(|event| event.kind == "alarm").collect();
    assert_eq!(alarms.len(), 1, "once a minute: {alarms:?}");
    assert!(alarms[0].subject.is_some() && alarms[0].detail.contains("being guessed"), "{alarms:?}");
    let attacks = world.app.admin().attacks(1).await.expect("the store answers");
    assert_eq!(attacks.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["alarm"], "an operator sees it");
    // A mistake during the attack costs more than a second, and not for ever.
    assert_eq!(attempt(&world, "127.0.0.4", USER, "wrong").await.status, 401);
    assert_eq!(wait(&attempt(&world, "127.0.0.4", USER, PASSWORD).await), Some(32));
    world.advance(secs(32));
    assert_eq!(attempt(&world, "127.0.0.4", USER, PASSWORD).await.status, 303);
}

/// Check B3: from the same network, the victim gets in with a browser that she has used before; and the attacker's own account, with a
/// browser that it knows, opens no other one.
#[tokio::test]
async fn a_browser_that_was_used_before_is_not_made_to_wait() {
    let world = World::with(&guarded()).await;
    world.add_user("mallory").await;
    let mut hers = world.browser().moved_to(HERE);
    let mut his = world.browser().moved_to(HERE);
    assert_eq!(try_in(&mut hers, USER, PASSWORD).await.status, 303);
    assert_eq!(try_in(&mut his, "mallory", PASSWORD).await.status, 303);
    for _ in 0..200 {
        let _ = try_in(&mut his, USER, "wrong").await;
        let _ = attempt(&world, HERE, "mallory", "wrong").await;
    }
    assert!(wait(&attempt(&world, HERE, USER, PASSWORD).await).is_some(), "a strange browser waits");
    assert!(wait(&try_in(&mut his, USER, PASSWORD).await).is_some(), "and so does the attacker's");
    let page = try_in(&mut hers, USER, PASSWORD).await;
    assert!(is_consent(&hers.follow(page).await));
    // Nor is the cookie a way around: what fails with it is counted, too.
    for _ in 0..5 {
        assert_eq!(try_in(&mut hers, USER, "wrong").await.status, 401);
    }
    assert_eq!(wait(&try_in(&mut hers, USER, PASSWORD).await), Some(1));
}

/// A known browser is known for what we gave it, to the account that we gave it for.
#[tokio::test]
async fn a_known_browser_cannot_be_made_up() {
    let world = World::with(&guarded()).await;
    let mut browser = world.browser().moved_to(HERE);
    assert_eq!(try_in(&mut browser, USER, PASSWORD).await.status, 303);
    let (name, value) = browser.cookies().iter().find(|(name, _)| name.contains("-known-")).expect("a cookie");
    for _ in 0..30 {
        let _ = attempt(&world, HERE, USER, "wrong").await;
    }
    let asked = async |cookie: String| {
        let mut fresh = world.browser().moved_to(HERE);
        let page = fresh.get(&authorization("web", &[])).await;
        let form = sim::wire::browser::form(&page.text());
        let mut fields: Vec<_> = form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.extend([("username", USER), ("password", PASSWORD)]);
        let mut cookies: Vec<String> = fresh.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.push(format!("{name}={cookie}"));
        world.http_from(HERE).post(&form.action, &fields, &[("cookie", &cookies.join("; "))]).await.status
    };
    for forged in ["", "x", ".....", &value.to_lowercase(), &value[1..], &format!("{value}0"), &"rgb_0.".repeat(500)] {
        assert_eq!(asked(forged.to_owned()).await, 429, "{forged:.60}");
    }
    assert_eq!(asked(value.clone()).await, 303);
}

/// Check B8: what was counted is there after a restart, and on every node.
#[tokio::test]
async fn failures_survive_a_restart_and_count_on_all_nodes() {
    let memory = Memory::new();
    let (one, other) = (World::node(&guarded(), &memory).await, World::node(&guarded(), &memory).await);
    one.add_user(USER).await;
    for node in [&one, &other, &one, &other, &one] {
        assert_eq!(by_grant(node, HERE, USER, "wrong").await.status, 400);
    }
    for node in [&one, &other] {
        assert_eq!(wait(&by_grant(node, HERE, USER, PASSWORD).await), Some(1));
    }
    let one = one.restart().await;
    assert_eq!(wait(&by_grant(&one, HERE, USER, PASSWORD).await), Some(1));
    one.advance(secs(1));
    let _ = by_grant(&one, HERE, USER, PASSWORD).await.expect_status(200);
}

/// Check B9: a user who was switched off gets nothing by any grant type, and hears what a wrong password hears.
#[tokio::test]
async fn a_disabled_user_gets_nothing_by_any_grant_type() {
    let world = World::with(&guarded()).await;
    let (refresh, code) = (world.first("phone").await, world.code("web").await);
    let mut browser = world.browser();
    assert_eq!(try_in(&mut browser, USER, PASSWORD).await.status, 303);
    world.app.admin().set_user_disabled(USER, true).await.expect("switched off");
    world.refresh("phone", &refresh).await.expect_error(400, "invalid_grant");
    world.redeem("web", &code).await.expect_error(400, "invalid_grant");
    by_grant(&world, HERE, USER, PASSWORD).await.expect_error(400, "invalid_grant");
    assert_eq!(attempt(&world, HERE, USER, PASSWORD).await.status, 401);
    let page = browser.get(&authorization("spa-old", &[("response_type", "token")])).await;
    assert!(page.text().contains("id=\"login-submit\""), "the session has ended with him");
    // Right passwords of such a user are counted like wrong ones, or they could be found out.
    for _ in 0..3 {
        assert_eq!(attempt(&world, HERE, USER, PASSWORD).await.status, 401);
    }
    assert_eq!(wait(&attempt(&world, HERE, USER, PASSWORD).await), Some(1));
}

/// Many guesses at once are no way around: what is being looked at counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_the_same_time_are_counted() {
    let world = Arc::new(World::with(&guarded()).await);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { by_grant(&world, HERE, USER, "wrong").await.status })
        })
        .collect();
    let mut looked_at = 0;
    for task in tasks {
        looked_at += u32::from(task.await.expect("no panic") == 400);
    }
    assert!((1..=5).contains(&looked_at), "{looked_at} of 100 were looked at");
}

/// One password that is tried with all names: the network waits, whatever the names; nobody else does.
#[tokio::test]
async fn a_network_that_tries_many_names_waits() {
    let world = World::with(&with("login_failures_per_network = \"6/h\"")).await;
    for number in 0..6 {
        assert_eq!(attempt(&world, HERE, &format!("user{number}"), "winter").await.status, 401);
    }
    assert_eq!(wait(&attempt(&world, HERE, USER, PASSWORD).await), Some(1));
    assert_eq!(attempt(&world, ELSEWHERE, USER, PASSWORD).await.status, 303);
}

/// Check X14: a clock that stands still makes nobody wait for ever: the wait ends by the time that the machine has run.
#[tokio::test]
async fn a_clock_that_stands_still_ends_every_wait() {
    let world = World::with(&guarded()).await;
    for _ in 0..5 {
        let _ = attempt(&world, HERE, USER, "wrong").await;
    }
    for expected in [1, 2, 4, 8] {
        assert_eq!(wait(&attempt(&world, HERE, USER, PASSWORD).await), Some(expected));
        world.clock.run_without_the_date(secs(expected));
        assert_eq!(attempt(&world, HERE, USER, "wrong").await.status, 401);
    }
    let left = wait(&attempt(&world, HERE, USER, PASSWORD).await).expect("he waits");
    world.clock.run_without_the_date(secs(left));
    assert_eq!(attempt(&world, HERE, USER, PASSWORD).await.status, 303);
    // Nor does one that has jumped back.
    for _ in 0..6 {
        let _ = attempt(&world, HERE, USER, "wrong").await;
    }
    world.clock.set(Timestamp::from_millis(START - 315_360_000_000));
    let left = wait(&attempt(&world, HERE, USER, PASSWORD).await).expect("he waits");
    assert!(left <= 900);
    world.clock.run_without_the_date(secs(left));
    assert_eq!(attempt(&world, HERE, USER, PASSWORD).await.status, 303);
}

/// A failed log-in is an event, once a minute and user, so that nobody fills the table with them.
#[tokio::test]
async fn failed_logins_are_events_once_a_minute() {
    let world = World::with(&with("login_failures = \"off\"\nlogin_failures_per_account = \"off\"")).await;
    for name in [USER, USER, "nobody", "nobody2", USER] {
        let _ = by_grant(&world, HERE, name, "wrong").await;
    }
    let failed = |events: Vec<StoredEvent>| events.into_iter().filter(|event| event.kind == "login_failed").count();
    assert_eq!(failed(events(&world).await), 2, "one of alice, one of all that do not exist");
    world.advance(secs(60));
    let _ = by_grant(&world, HERE, USER, "wrong").await;
    assert_eq!(failed(events(&world).await), 3);
}
