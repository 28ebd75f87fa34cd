//! RFC 9700 section 2.1.1: "Authorization servers are encouraged to make a reasonable effort at detecting and preventing the use of constant
//! values for the PKCE challenge or OpenID Connect nonce."

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regrant_server::admin::events::{EventLine, EventsWanted};
use sim::wire::story::{DAY, secs};
use sim::wire::{World, authorization};

/// A client begins a transaction in a browser that was never here, with these parameters besides; what comes of it is a code.
async fn code(world: &World, client: &str, more: &[(&str, &str)]) -> String {
    world.browser().log_in_for_code(&authorization(client, more)).await
}

fn challenge(number: u8) -> String {
    URL_SAFE_NO_PAD.encode([number; 32])
}

/// What was told of constant values, oldest first.
async fn told(world: &World) -> Vec<EventLine> {
    let wanted = EventsWanted { kind: Some("alarm".to_owned()), limit: 100, ..EventsWanted::default() };
    let mut told = world.app.admin().events(&wanted).await.expect("events");
    told.reverse();
    told
}

/// How often values came again: in the same session, in another one.
fn counted(world: &World, value: &str) -> [u64; 2] {
    let text = world.app.metrics_text();
    ["same", "other"].map(|session| {
        let series = format!("regrant_repeated_values_total{{value=\"{value}\",session=\"{session}\"}} ");
        let number = text.lines().find_map(|line| line.strip_prefix(&series)).expect("a series");
        number.parse().expect("a number")
    })
}

/// Check P9: a client whose challenge is constant is told of once, however many logins it has; its users notice nothing.
#[tokio::test]
async fn a_client_with_a_constant_challenge_is_told_of_once() {
    let world = World::new().await;
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(code(&world, "web", &[]).await);
    }
    let told = told(&world).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let event = &told[0];
    let names = (event.client.as_deref(), event.reason.as_deref(), event.subject.as_deref());
    assert_eq!(names, (Some("web"), Some("constant_code_challenge"), None));
    assert_eq!(counted(&world, "code_challenge"), [0, 11]);
    // It is in the life of the grant that it was noticed at, and where the request's correlation id is asked about.
    for about in [&codes[1], &event.correlation] {
        let life = world.app.admin().explain(about).await.expect("its life");
        assert!(life.events.iter().any(|known| known.id == event.id), "{life:?}");
    }
    let _ = world.redeem("web", &codes[11]).await.expect_status(200);
}

/// Check P9: whoever makes a new one each time is never told of, and another client's values are its own.
#[tokio::test]
async fn clients_with_fresh_challenges_are_never_told_of() {
    let world = World::new().await;
    for number in 0..12 {
        for client in ["web", "web-single", "phone"] {
            let nonce = format!("{client} {number}");
            let more = [("code_challenge", &*challenge(number)), ("nonce", &nonce), ("scope", "openid")];
            let _ = code(&world, client, &more).await;
        }
    }
    assert_eq!(told(&world).await, []);
    assert_eq!((counted(&world, "code_challenge"), counted(&world, "nonce")), ([0, 0], [0, 0]));
}

/// Check P9: reloads, the button back and double clicks are a user's, and no client's fault.
#[tokio::test]
async fn a_reload_in_the_same_session_is_only_counted() {
    let world = World::new().await;
    let mut browser = world.browser();
    let path = authorization("web", &[("nonce", "n"), ("scope", "openid")]);
    for _ in 0..5 {
        let _ = browser.log_in_for_code(&path).await;
    }
    // A page that was shown and not answered gives nothing: it is no use of the challenge.
    for _ in 0..5 {
        let _ = world.browser().get(&path).await.expect_status(200);
    }
    assert_eq!(told(&world).await, []);
    assert_eq!((counted(&world, "code_challenge"), counted(&world, "nonce")), ([4, 0], [4, 0]));
}

/// Check P9: a day after it was seen last, a value is new again; a day after it was told of last, a client is told of again.
#[tokio::test]
async fn after_a_day_it_is_forgotten() {
    let world = World::new().await;
    let _ = code(&world, "web", &[]).await;
    world.advance(secs(DAY));
    let _ = code(&world, "web", &[]).await;
    assert_eq!(told(&world).await, [], "a day later it is another transaction's");
    world.advance(secs(DAY - 1));
    let _ = code(&world, "web", &[]).await;
    assert_eq!(told(&world).await.len(), 1, "a second before");
    for _ in 0..3 {
        world.advance(secs(DAY / 4));
        let _ = code(&world, "web", &[]).await;
    }
    assert_eq!(told(&world).await.len(), 1, "not twice a day");
    world.advance(secs(DAY / 4));
    let _ = code(&world, "web", &[]).await;
    assert_eq!(told(&world).await.len(), 2);
}

/// Check P9: the same for the nonce, also where there is no code that could be exchanged.
#[tokio::test]
async fn a_constant_nonce_is_told_of() {
    let world = World::new().await;
    for number in 0..4 {
        let more = [("code_challenge", &*challenge(number)), ("nonce", "constant"), ("scope", "openid")];
        let _ = code(&world, "phone", &more).await;
    }
    let told = told(&world).await;
    let reasons: Vec<_> = told.iter().map(|event| (event.client.as_deref(), event.reason.as_deref())).collect();
    assert_eq!(reasons, [(Some("phone"), Some("constant_nonce"))]);
    assert_eq!((counted(&world, "code_challenge"), counted(&world, "nonce")), ([0, 0], [0, 3]));
}
