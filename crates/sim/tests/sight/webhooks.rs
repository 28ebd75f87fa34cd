//! Events at webhooks and as lines of JSON: each at least once, in order, signed; and never in the way of a request.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sim::process::Scratch;
use sim::wire::{Act, CONFIG, Hook, START, World, text};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The usual clients, and one webhook.
fn config(hook: &Hook, directory: &Path, more: &str, events: &str) -> String {
    let secret = directory.join("webhook.secret");
    std::fs::write(&secret, KEY).expect("a secret");
    let (url, secret) = (hook.url(), secret.display());
    format!(
        "[events]\n{events}\n[[webhook]]\nname = \"alerts\"\nurl = \"{url}\"\nsecret_file = \"{secret}\"\nbackoff = \"10ms\"\n{more}\n{CONFIG}"
    )
}

struct Place {
    hook: Hook,
    world: World,
    scratch: Scratch,
}

impl Place {
    async fn new(more: &str, events: &str) -> Self {
        let (hook, scratch) = (Hook::start().await, Scratch::new("webhook"));
        let world = World::with(&config(&hook, scratch.path(), more, events)).await;
        let place = Self { hook, world, scratch };
        place.begun().await;
        place
    }

    /// Waits until it is written down where the delivery begins: what happens from then on is delivered.
    async fn begun(&self) {
        while self.webhook().await.position.is_none() {
            tokio::task::yield_now().await;
        }
    }

    async fn webhook(&self) -> regrant_server::admin::webhooks::WebhookView {
        self.world.app.admin().webhooks().await.expect("an answer").remove(0)
    }

    /// Waits until nothing waits.
    async fn delivered(&self) {
        while self.webhook().await.waiting > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends a grant by a replay, and returns its spent token.
    async fn replay(&self) -> String {
        let first = self.world.first("phone").await;
        let mut token = first.clone();
        for _ in 0..2 {
            token = text(&self.world.refresh("phone", &token).await.expect_status(200).json(), "refresh_token");
        }
        self.world.advance(Duration::from_secs(3600));
        let _ = self.world.refresh("phone", &first).await.expect_status(400);
        first
    }
}

fn kinds(hook: &Hook) -> Vec<String> {
    hook.heard().iter().map(|heard| text(&heard.json(), "type")).collect()
}

/// Signed as Standard Webhooks 1.0 says, with what `regrant events --json` shows; nothing in it is a secret.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_told_signed_and_whole() {
    let place = Place::new("kinds = [\"grant_created\"]", "").await;
    let refresh = place.world.first("phone").await;
    place.hook.has_heard(1).await;
    let heard = &place.hook.heard()[0];
    let (id, timestamp) = (heard.header("webhook-id"), heard.header("webhook-timestamp"));
    let at = place.world.app.engine.now().seconds();
    assert_eq!((timestamp.clone(), at), ((START / 1000).to_string(), START / 1000));
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&heard.body);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), &signed);
    // The head was put into lower case.
    assert_eq!(heard.header("webhook-signature"), format!("v1,{}", STANDARD.encode(signature)).to_lowercase());
    let body = heard.json();
    assert_eq!((text(&body, "type"), text(&body, "issuer")), ("grant_created".to_owned(), place.world.base.clone()));
    let wanted = regrant_server::admin::events::EventsWanted { limit: 1, ..Default::default() };
    let listed = place.world.app.admin().events(&wanted).await.expect("events");
    assert_eq!(body["data"], serde_json::to_value(&listed[0]).expect("JSON"));
    assert!(id.starts_with(&format!("evt_{}_", listed[0].id)));
    assert!(!String::from_utf8_lossy(&heard.body).contains(&refresh));
}

/// 10,000 replays of one token are one alert: in the store, and at whoever is told of alerts.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_replays_are_one_alert() {
    let place = Place::new("kinds = [\"grant_ended\", \"replay_refused\", \"alarm\"]", "").await;
    let spent = place.replay().await;
    let http = place.world.http();
    let form = [("grant_type", "refresh_token"), ("refresh_token", spent.as_str()), ("client_id", "phone")];
    for _ in 0..10_000 {
        let _ = http.post("/oauth2/token", &form, &[]).await.expect_status(400);
    }
    place.delivered().await;
    assert_eq!(kinds(&place.hook), ["grant_ended"]);
    let (_, events) = place.world.seen(&spent).await;
    let alerts = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((alerts("grant_ended"), alerts("replay_refused"), alerts("refused")), (1, 0, 1));
}

/// The same where the policy is only to refuse: one alert, for days.
#[tokio::test(flavor = "multi_thread")]
async fn replays_that_are_only_refused_are_one_alert_for_days() {
    let (hook, scratch) = (Hook::start().await, Scratch::new("webhook"));
    let text_of = config(&hook, scratch.path(), "kinds = [\"replay_refused\"]", "");
    let refusing = text_of.replace("id = \"web-single\"", "on_replay = \"refuse\"\nid = \"web-single\"");
    let place = Place { world: World::with(&refusing).await, hook, scratch };
    place.begun().await;
    let first = place.world.first("web-single").await;
    let mut token = first.clone();
    for _ in 0..2 {
        token = text(&place.world.refresh("web-single", &token).await.expect_status(200).json(), "refresh_token");
    }
    for _ in 0..200 {
        place.world.advance(Duration::from_secs(3600));
        let _ = place.world.refresh("web-single", &first).await.expect_status(400);
    }
    place.delivered().await;
    assert_eq!(kinds(&place.hook), ["replay_refused"]);
}

/// While the webhook fails, requests are answered as ever and nothing is lost: it hears everything in order when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_again_in_order() {
    let place = Place::new("kinds = [\"grant_created\"]", "").await;
    place.hook.does(Act::Answer(500, Vec::new(), String::new()));
    for _ in 0..5 {
        let _ = place.world.first("phone").await;
    }
    place.hook.has_heard(3).await;
    let before: Vec<Value> = place.hook.heard().iter().map(|heard| heard.json()["data"]["id"].clone()).collect();
    assert!(before.iter().all(|id| *id == before[0]), "the first one again and again: {before:?}");
    assert!(place.webhook().await.waiting >= 5 && place.webhook().await.oldest_waiting_at.is_some());
    let metrics = place.world.app.metrics_text();
    assert!(metrics.contains("regrant_webhook_waiting_events{webhook=\"alerts\"}"), "{metrics}");
    assert!(metrics.contains("regrant_webhook_deliveries_total{webhook=\"alerts\",result=\"failed\"}"), "{metrics}");
    place.hook.does(Act::Answer(204, Vec::new(), String::new()));
    place.delivered().await;
    let mut ids: Vec<u64> = place.hook.heard().iter().filter_map(|heard| heard.json()["data"]["id"].as_u64()).collect();
    assert!(ids.is_sorted(), "in order: {ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

/// A restart goes on where it was; what came twice has the same `webhook-id`.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let Place { hook, world, scratch } = Place::new("kinds = [\"grant_created\"]", "").await;
    let _ = world.first("phone").await;
    hook.has_heard(1).await;
    let place = Place { hook, world, scratch };
    place.delivered().await;
    let Place { hook, world, scratch } = place;
    hook.does(Act::Answer(503, Vec::new(), String::new()));
    let _ = world.first("phone").await;
    hook.has_heard(2).await;
    let world = world.restart().await;
    hook.does(Act::allows());
    let place = Place { hook, world, scratch };
    place.delivered().await;
    let mut ids: Vec<String> = place.hook.heard().iter().map(|heard| heard.header("webhook-id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

/// An event that a webhook refuses is a dead letter, and does not keep the others; an operator sees it, tries it again, or lets it go.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_a_dead_letter_that_can_be_tried_again() {
    let place = Place::new("kinds = [\"grant_created\"]", "").await;
    let admin = place.world.app.admin();
    place.hook.does(Act::Answer(422, Vec::new(), String::new()));
    let _ = place.world.first("phone").await;
    let _ = place.world.first("phone").await;
    place.delivered().await;
    let letters = place.webhook().await.dead_letters;
    assert_eq!(letters.iter().map(|letter| letter.failure.as_str()).collect::<Vec<_>>(), ["status 422", "status 422"]);
    assert!(place.world.app.metrics_text().contains("regrant_webhook_dead_letters_total{webhook=\"alerts\"} 2"));
    let failed = admin.retry_webhook("alerts").await.expect("an answer");
    assert_eq!((failed.delivered, failed.left, failed.failure.as_deref()), (0, 2, Some("status 422")));
    place.hook.does(Act::allows());
    let done = admin.retry_webhook("alerts").await.expect("an answer");
    assert_eq!((done.delivered, done.left), (2, 0));
    assert!(place.webhook().await.dead_letters.is_empty());
    assert!(admin.retry_webhook("nobody").await.is_err());
    place.hook.does(Act::Answer(400, Vec::new(), String::new()));
    let _ = place.world.first("phone").await;
    place.delivered().await;
    assert_eq!(admin.drop_dead_letters("alerts").await.expect("an answer").dropped, 1);
    assert!(place.webhook().await.dead_letters.is_empty());
}

/// What is too old to be news is given up, and the rest goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_give_up_after_is_a_dead_letter() {
    let place = Place::new("kinds = [\"grant_created\"]\ngive_up_after = \"1h\"", "").await;
    place.hook.does(Act::Answer(503, Vec::new(), String::new()));
    let _ = place.world.first("phone").await;
    place.hook.has_heard(2).await;
    place.world.advance(Duration::from_secs(3601));
    place.delivered().await;
    assert_eq!(place.webhook().await.dead_letters.len(), 1);
}

/// The file holds each event as a line, as `regrant events --follow --json` shows it; where it cannot be written, it is written later.
#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_a_line_of_the_file() {
    let (hook, scratch) = (Hook::start().await, Scratch::new("lines"));
    let (folder, file) = (scratch.path().join("log"), scratch.path().join("log/events.jsonl"));
    let setting = format!("json_lines = \"{}\"", file.display());
    let world = World::with(&config(&hook, scratch.path(), "", &setting)).await;
    let position = || async { world.app.admin().webhooks().await.expect("an answer").remove(1).position };
    while position().await.is_none() {
        tokio::task::yield_now().await;
    }
    let _ = world.first("phone").await;
    std::fs::create_dir(&folder).expect("a folder");
    let _ = world.first("web").await;
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    let clients = || {
        let parsed = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_default();
        let clients = lines().lines().filter_map(|line| parsed(line)["client"].as_str().map(str::to_owned)).collect();
        let clients: Vec<String> = clients;
        clients
    };
    while clients().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(clients(), ["phone", "web"]);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "events name people");
}

/// A reload brings webhooks and takes them away.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_a_webhook() {
    let (hook, scratch) = (Hook::start().await, Scratch::new("webhook"));
    let world = World::new().await;
    let text_of = config(&hook, scratch.path(), "", "");
    let mut next = sim::wire::config(&text_of);
    next.issuer = Some(world.base.clone());
    let _ = world.app.replace_config(next).await.expect("a good configuration");
    let place = Place { hook, world, scratch };
    place.begun().await;
    let _ = place.world.first("phone").await;
    place.hook.has_heard(1).await;
    assert_eq!(kinds(&place.hook), ["grant_created"]);
    assert!(place.scratch.path().exists());
}
