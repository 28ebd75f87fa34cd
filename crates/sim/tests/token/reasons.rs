//! Every reason of `docs/reasons.md` that the rules have, reached over HTTP: the log, the answer to a client that may hear it
//! (`tell_reason`) and the list say the same code.

use std::collections::BTreeSet;
use std::sync::Arc;

use regrant_core::grant::{Binding, EndReason, Rotation};
use regrant_core::recovery::{Recovery, Unproven};
use regrant_core::secret::Hash;
use regrant_core::token::Code;
use regrant_core::{Grant, Refusal, Seed, Terms};
use regrant_server::reasons;
use regrant_store::{Before, Consent, Outcome, Record};
use serde_json::Value;
use sim::process::Scratch;
use sim::wire::device::{DEVICES, Device, browser_of};
use sim::wire::log::reason;
use sim::wire::story::reload;
use sim::wire::{Act, CALLBACK, CONFIG, Hook, PASSWORD, Reply, USER, VERIFIER, World, authorization, text};

use super::support::{DAY, millis, next, secs, with_setting, world, world_with};

/// The usual clients, all of them told.
fn told() -> String {
    CONFIG.replace("[[client]]\n", "[[client]]\ntell_reason = true\n")
}

/// What was heard so far.
#[derive(Default)]
struct Heard(BTreeSet<String>);

impl Heard {
    /// The log has a reason, the list has it with the code and status that the client heard, and the client was told if it was its own
    /// business.
    #[track_caller]
    fn note(&mut self, reply: &Reply) {
        let logged = reason(reply);
        let known = reasons::named(&logged).unwrap_or_else(|| panic!("{logged:?} is no reason: {}", reply.json()));
        let answer = reply.json();
        assert_eq!((answer["error"].as_str(), reply.status.as_u16()), (Some(known.outside), known.status), "{logged}");
        assert_eq!(answer["correlation_id"], Value::from(reply.header("x-correlation-id")));
        let refusal = Refusal::all().find(|refusal| refusal.as_str() == logged).expect("one of the rules");
        let shown = (!refusal.is_about_a_stranger()).then_some(logged.as_str());
        assert_eq!(answer["reason"].as_str(), shown, "{answer}");
        // RFC 6749 section 5.2: where it is explained, with the reason and never without.
        let explained = answer["error_uri"].as_str().and_then(|uri| uri.split_once("/reasons#")).map(|(_, code)| code);
        assert_eq!(explained, shown, "{answer}");
        self.0.insert(logged);
    }
}

/// A copy of the row under another number with other terms, and its token: for grants that nobody can be given any more.
async fn copy(world: &World, token: &str, change: impl FnOnce(&mut Terms)) -> String {
    let row = world.row(token).await;
    let mut terms = (*row.terms).clone();
    change(&mut terms);
    let mut grant = Grant { terms: Arc::new(terms), version: 1, ..row };
    grant.id.number += 1_000_000;
    let (id, mac) = (grant.id, grant.mac(&world.app.engine.keys()));
    let record = Record::Grant { expected: None, grant, mac, events: Vec::new() };
    world.app.engine.commit(vec![record]).await.expect("the store takes it");
    world.forge(token, |token| token.grant = id)
}

async fn about_strangers_and_rows(heard: &mut Heard) {
    let world = world_with(&told()).await;
    let token = world.first("phone").await;
    heard.note(&world.refresh("phone", "rgr_mistyped").await);
    heard.note(&world.refresh("phone", &world.forge(&token, |token| token.grant.number = 1 << 40)).await);
    heard.note(&world.refresh("phone-strict", &token).await);
    let bound = copy(&world, &token, |terms| terms.binding = Binding::Key(Hash([1; 32]))).await;
    heard.note(&world.refresh("phone", &bound).await);
    let token = world.first("web-single").await;
    let unrefreshable = copy(&world, &token, |terms| terms.refreshable = false).await;
    heard.note(&world.refresh("web-single", &unrefreshable).await);
    let token = world.first("phone").await;
    let reusable = copy(&world, &token, |terms| terms.rotation = Rotation::Reusable).await;
    heard.note(&world.refresh("phone", &reusable).await);
    for change in [
        (|token| token.generation = 9) as fn(&mut regrant_core::token::RefreshToken),
        |token| token.era = 9,
        |token| {
            token.generation = 0;
        },
    ] {
        heard.note(&world.refresh("phone", &world.forge(&token, change)).await);
    }
    let row = world.row(&token).await;
    let mac = regrant_core::grant::RowMac { key_id: 1, mac: [0; 16] };
    let tampered = Grant { version: row.version + 1, ..row.clone() };
    let record = Record::Grant { expected: Some(row.version), grant: tampered, mac, events: Vec::new() };
    world.app.engine.commit(vec![record]).await.expect("the store takes it");
    heard.note(&world.refresh("phone", &token).await);
}

async fn about_ends(heard: &mut Heard) {
    let world = world_with(&format!("[revocation]\non_user_disabled = \"suspend\"\n{}", told())).await;
    let late = world.first("phone").await;
    world.put_row(|row| row.absolute_at = row.rotated_at, &late).await;
    heard.note(&world.refresh("phone", &late).await);
    let idle = world.first("phone").await;
    let revoked = world.first("phone").await;
    let _ = world.post("/oauth2/revoke", "phone", &[("token", &revoked)], &[]).await.expect_status(200);
    heard.note(&world.refresh("phone", &revoked).await);
    let blacklisted = world.first("phone").await;
    let id = world.grant_of(&blacklisted).display(&world.app.engine.keys());
    world.app.admin().revoke_grant(&id, "stolen").await.expect("it is there");
    heard.note(&world.refresh("phone", &blacklisted).await);
    // Every way in which a grant can have ended, the ways that have no door of their own yet among them.
    for ended in EndReason::ALL.into_iter() {
        let token = world.first("phone").await;
        world.put_row(|row| row.ended = Some((row.rotated_at, ended)), &token).await;
        heard.note(&world.refresh("phone", &token).await);
    }
    let last = world.first("phone").await;
    world.put_row(|row| row.generation = u32::MAX, &last).await;
    heard.note(&world.refresh("phone", &world.forge(&last, |token| token.generation = u32::MAX)).await);
    world.advance(secs(31 * DAY));
    heard.note(&world.refresh("phone", &idle).await);
    let token = world.first("phone").await;
    let subject = world.row(&token).await.terms.subject.clone();
    let now = world.app.engine.now();
    for (paused_at, ends_at) in [(Some(now), None), (None, Some(now)), (None, None)] {
        let (subject, client) = (subject.clone(), "phone".to_owned());
        let (scope, resources) = (String::new(), String::new());
        let consent = Consent { subject, client, scope, resources, at: now, paused_at, ends_at };
        let put = Record::PutConsent { consent, before: Before::Whatever };
        let _ = world.app.engine.commit(vec![put]).await.expect("the store writes");
        if paused_at.or(ends_at).is_some() {
            heard.note(&world.refresh("phone", &token).await);
        }
    }
    world.app.admin().set_user_disabled(USER, true).await.expect("alice is there");
    heard.note(&world.refresh("phone", &token).await);
    // Removed by a command, a user's grants have ended. Here only the user's row is gone.
    let _ = world.app.engine.commit(vec![Record::RemoveUser { subject }]).await.expect("the store writes");
    heard.note(&world.refresh("phone", &token).await);
}

async fn about_ages(heard: &mut Heard) {
    let clients = with_setting("web-single", "on_replay = \"refuse\"");
    let world = world_with(&clients.replace("[[client]]\n", "[[client]]\ntell_reason = true\n")).await;
    for client in ["phone", "web-single"] {
        let first = world.first(client).await;
        let second = next(world.refresh(client, &first).await);
        let _ = next(world.refresh(client, &second).await);
        heard.note(&world.refresh(client, &first).await);
        world.advance(secs(DAY));
        heard.note(&world.refresh(client, &first).await);
    }
    for seed_key in [0, 99] {
        let first = world.first("web-single").await;
        let second = next(world.refresh("web-single", &first).await);
        world.put_row(|row| row.seed_key = seed_key, &second).await;
        heard.note(&world.refresh("web-single", &first).await);
    }
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    let _ = next(world.refresh("phone", &second).await);
    world.advance(secs(DAY));
    world.app.admin().compromise_key("tag", "1").await.expect("the key is there");
    heard.note(&world.refresh("phone", &first).await);
}

async fn about_what_is_asked_for(heard: &mut Heard) {
    let world = world_with(&told()).await;
    let refresh = |client: &'static str, token: String, more: (&'static str, &'static str)| {
        let world = &world;
        async move {
            let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), more];
            world.token(client, &asked).await
        }
    };
    let token = world.first("phone").await;
    heard.note(&refresh("phone", token, ("scope", "files")).await);
    let token = world.first("phone").await;
    reload(&world, &told().replace("id = \"phone\" ", "disabled = true\nid = \"phone\" ")).await;
    heard.note(&world.refresh("phone", &token).await);
    reload(&world, &told()).await;
    let _ = next(world.refresh("phone", &token).await);
    let token = world.first("web").await;
    let narrow = copy(&world, &token, |terms| {
        terms.resources = regrant_core::Resources::new(["https://api.example/"]).expect("a resource");
    })
    .await;
    heard.note(&refresh("web", narrow, ("resource", "https://files.example/")).await);
    let password = |client: &'static str, password: &'static str, more: (&'static str, &'static str)| {
        let world = &world;
        async move {
            let asked = [("grant_type", "password"), ("username", USER), ("password", password), more];
            world.token(client, &asked).await
        }
    };
    heard.note(&password("phone", PASSWORD, ("scope", "files")).await);
    heard.note(&password("phone", PASSWORD, ("resource", "https://other.example/")).await);
    heard.note(&password("phone", "wrong horse", ("scope", "read")).await);
    heard.note(&password("once", PASSWORD, ("scope", "read")).await);
}

async fn about_codes(heard: &mut Heard) {
    let plain = with_setting("web", "require_pkce = false");
    let world = world_with(&plain.replace("[[client]]\n", "[[client]]\ntell_reason = true\n")).await;
    let redeem = |client: &'static str, code: String, uri: &'static str, verifier: &'static str| {
        let world = &world;
        async move {
            let asked = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", uri),
                ("code_verifier", verifier),
            ];
            let asked: Vec<_> = asked.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            world.token(client, &asked).await
        }
    };
    let code = world.code("phone").await;
    let keys = world.app.engine.keys();
    let forged = Code { seed: Seed::new([9; 32]), ..Code::open(&code, &keys).expect("ours") };
    heard.note(&redeem("phone", forged.text(&keys).expect("a text"), CALLBACK, VERIFIER).await);
    heard.note(&redeem("phone", code.clone(), "http://127.0.0.1/cb", VERIFIER).await);
    heard.note(&redeem("phone", code.clone(), CALLBACK, "").await);
    heard.note(&redeem("phone", code.clone(), CALLBACK, "short").await);
    heard.note(&redeem("phone", code.clone(), CALLBACK, "0123456789012345678901234567890123456789012").await);
    let unchallenged = authorization("web", &[("code_challenge", ""), ("code_challenge_method", "")]);
    let bare = world.browser().log_in_for_code(&unchallenged).await;
    heard.note(&redeem("web", bare, CALLBACK, VERIFIER).await);
    let _ = next(redeem("phone", code.clone(), CALLBACK, VERIFIER).await);
    heard.note(&redeem("phone", code.clone(), CALLBACK, VERIFIER).await);
    world.advance(secs(1));
    heard.note(&redeem("phone", code, CALLBACK, VERIFIER).await);
    let late = world.code("phone").await;
    world.advance(secs(60));
    heard.note(&redeem("phone", late, CALLBACK, VERIFIER).await);
}

async fn about_races(heard: &mut Heard) {
    let (hook, scratch) = (Hook::start().await, Scratch::new("reasons"));
    std::fs::write(scratch.path().join("secret"), "0123456789abcdef0123456789abcdef").expect("a secret");
    let secret = scratch.path().join("secret");
    let setting =
        format!("[token_hook]\nurl = \"{}\"\nsecret_file = \"{}\"\ntimeout = \"20s\"\n", hook.url(), secret.display());
    let world = Arc::new(world_with(&format!("{setting}{}", told())).await);
    let token = world.first("phone").await;
    let questions = hook.heard().len();
    hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
    let (asking, presented) = (Arc::clone(&world), token.clone());
    let asked = tokio::spawn(async move { asking.refresh("phone", &presented).await });
    hook.has_heard(questions + 1).await;
    // Somebody has gone on with the grant, long ago by its own times.
    world
        .put_row(
            |row| {
                let long_ago = row.rotated_at.minus(secs(DAY));
                row.generation += 5;
                (row.rotated_at, row.previously_rotated_at, row.answered_at) = (long_ago, long_ago, long_ago);
            },
            &token,
        )
        .await;
    hook.release();
    heard.note(&asked.await.expect("an answer"));
}

/// A store that went back behind what was answered, and that an operator has recovered: one of a copy that has the grants, and not their
/// last refresh.
async fn about_restores(heard: &mut Heard) {
    let world = world_with(&told()).await;
    let (superseded, code) = (world.first("phone").await, world.code("phone").await);
    let first = world.first("web-single").await;
    let copied = world.row(&first).await;
    world.advance(secs(1));
    let lost = next(world.refresh("web-single", &first).await);
    let version = world.row(&lost).await.version;
    world.put_row(|row| *row = Grant { version, ..copied.clone() }, &lost).await;
    let recovery =
        Recovery { lost_from: copied.rotated_at, lost_until: world.app.engine.now(), unproven: Unproven::End };
    let opened = world.app.engine.commit(vec![Record::OpenEra { era: 1, recovery, next_grant: 1 << 40 }]).await;
    assert_eq!(opened.as_deref(), Ok([Outcome::Committed].as_slice()));
    let world = world.restart().await;
    heard.note(&world.redeem("phone", &code).await);
    heard.note(&world.refresh("phone", &superseded).await);
    heard.note(&world.refresh("web-single", &lost).await);
}

/// What devices hear while nobody has answered, too often, when somebody has said no, and when it is too late.
async fn about_devices(heard: &mut Heard) {
    let world =
        world_with(&format!("{}{}", told(), DEVICES.replace("[[client]]\n", "[[client]]\ntell_reason = true\n"))).await;
    let (device, denied) = (Device::ask(&world, "tv").await, Device::ask(&world, "tv").await);
    heard.note(&device.poll(&world).await);
    heard.note(&device.poll(&world).await);
    let _ = denied.answer(&mut browser_of(&world, USER).await, "deny").await.expect_status(200);
    heard.note(&denied.poll(&world).await);
    world.advance(secs(DAY));
    heard.note(&device.poll(&world).await);
}

/// Law L12: every reason code of the rules is reached over HTTP, is the same in the log, the list and the answer to a client that may
/// hear it, and says nothing of a token that is not the client's own.
#[tokio::test(flavor = "multi_thread")]
async fn every_reason_of_the_rules_is_reached_and_told_alike() {
    let mut heard = Heard::default();
    Box::pin(about_strangers_and_rows(&mut heard)).await;
    Box::pin(about_ends(&mut heard)).await;
    Box::pin(about_ages(&mut heard)).await;
    Box::pin(about_what_is_asked_for(&mut heard)).await;
    Box::pin(about_codes(&mut heard)).await;
    Box::pin(about_races(&mut heard)).await;
    Box::pin(about_restores(&mut heard)).await;
    Box::pin(about_devices(&mut heard)).await;
    let expected: BTreeSet<String> = Refusal::all().map(|refusal| refusal.as_str().to_owned()).collect();
    let missing: Vec<_> = expected.difference(&heard.0).collect();
    assert!(missing.is_empty(), "nobody was refused for {missing:?}");
}

/// Law L12: without the setting the answer is bland, whatever the reason.
#[tokio::test]
async fn nobody_is_told_a_reason_unless_it_is_set() {
    let world = world().await;
    let first = world.first("phone").await;
    let second = next(world.refresh("phone", &first).await);
    let _ = next(world.refresh("phone", &second).await);
    world.advance(secs(DAY));
    for _ in 0..2 {
        let reply = world.refresh("phone", &first).await.expect_status(400);
        assert!(reply.json()["reason"].is_null());
        assert_eq!(reply.json().as_object().map(serde_json::Map::len), Some(3), "{}", reply.json());
    }
}

/// Laws L5, L12: a refused request leaves one event per grant, reason and minute, which says what would have been accepted.
#[tokio::test]
async fn a_refusal_is_told_once_a_minute() {
    let world = world().await;
    let token = world.first("phone").await;
    let commits = world.watch.commits();
    for _ in 0..50 {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "files")];
        let _ = world.token("phone", &asked).await.expect_status(400);
        let _ = world.refresh("phone-strict", &token).await.expect_status(400);
    }
    assert!(world.watch.commits() - commits <= 2, "what is told already costs no commit");
    let (_, events) = world.seen(&token).await;
    let told: Vec<_> = events.iter().filter(|event| event.kind == "refused").collect();
    let reasons: Vec<_> = told.iter().map(|event| event.reason.clone().unwrap_or_default()).collect();
    assert_eq!(reasons, ["other_client", "scope_exceeded"]);
    assert_eq!(told[0].client.as_deref(), Some("phone-strict"), "who asked, and not whose it is");
    assert!(told[1].detail.contains("openid read write") && !told[1].detail.contains("files"), "{}", told[1].detail);
    world.advance(millis(60_000));
    let _ = world.refresh("phone-strict", &token).await.expect_status(400);
    assert_eq!(world.events(&token, "refused").await, 3);
}

/// The page that `error_uri` names has a place for each reason of the list.
#[tokio::test]
async fn every_reason_has_its_place_on_the_page() {
    let world = world().await;
    let reply = world.http().get("/reasons", &[]).await.expect_status(200);
    assert!(reply.header("content-type").starts_with("text/html"));
    for reason in reasons::all() {
        assert!(reply.text().contains(&format!("<dt id=\"{}\">", reason.code)), "{}", reason.code);
    }
}

/// L11: a token that nobody was given is a line in the log and a number, and no row.
#[tokio::test]
async fn a_forged_token_leaves_no_row() {
    let world = world().await;
    let token = world.first("phone").await;
    let commits = world.watch.commits();
    for presented in ["rgr_x".to_owned(), world.forge(&token, |token| token.grant.number = 1 << 40)] {
        let _ = world.refresh("phone", &presented).await.expect_status(400);
    }
    assert_eq!(world.watch.commits(), commits);
    let _ = text(&world.grant("phone").await, "refresh_token");
}
