//! Budgets: what fails is counted by network, what is genuine by its grant, who has proved himself by his client; so that nobody honest
//! is refused because of strangers, wherever they are.
//!
//! RFC 6585 section 4: "The 429 status code indicates that the user has sent too many requests in a given amount of time […] and MAY
//! include a Retry-After header indicating how long to wait before making a new request."

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use regrant_core::keys::RootKey;
use regrant_core::{ChainKey, GrantId, Timestamp};
use regrant_server::sweep;
use regrant_server::{App, Clock, Peer};
use regrant_store::{Answer, Forged, Loaded, Memory, Outcome, Question, Record, Store, Unavailable};
use sim::wire::assertion::{TYPE, claims, key, sign};
use sim::wire::http::basic;
use sim::wire::{
    CONFIG, PASSWORD, ROOT, Reply, SECRET, START, USER, VERIFIER, World, authorization, config, log, text,
};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::support::{millis, next, own_basic, refused, secs, userinfo, world_with};

fn with(limits: &str) -> String {
    format!("{CONFIG}\n[limits]\n{limits}\n")
}

fn too_many(reply: &Reply, reason: &str) {
    refused(reply, 429, "temporarily_unavailable", reason);
}

async fn token_request(world: &World, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    world.http().post("/oauth2/token", form, headers).await
}

/// A token with one character changed, and its checksum made right again: it fails at the tag and not before.
fn forged(world: &World, token: &str) -> String {
    let digits = &token[4..token.len() - 6];
    let other = if digits.starts_with('1') { "2" } else { "1" };
    let body = format!("rgr_{other}{}", &digits[1..]);
    assert!(regrant_core::token::RefreshToken::open(&body, &world.app.engine.keys()).is_none());
    format!("{body}{}", &token[token.len() - 6..])
}

/// Check B4, and what this is all for: from the victim's own address, strangers flood with forged tokens, wrong secrets and garbage. Every
/// one of the victims' refreshes is answered, and the strangers hear 429.
#[tokio::test]
async fn a_flood_from_the_same_address_refuses_no_valid_refresh() {
    let world = world_with(&with("requests_per_grant = \"off\"\nrefusals_logged = \"off\"")).await;
    let (mut phone, mut web, mut opaque) =
        (world.first("phone").await, world.first("web").await, world.first("opaque").await);
    let forged = forged(&world, &phone);
    let wrong = basic("web-single", &SECRET.replace('3', "4"));
    let mut heard = std::collections::BTreeMap::new();
    for round in 0..700 {
        let forgery = [("grant_type", "refresh_token"), ("refresh_token", forged.as_str()), ("client_id", "phone")];
        let secret = [("grant_type", "client_credentials")];
        for reply in [
            token_request(&world, &forgery, &[]).await,
            token_request(&world, &secret, &[("authorization", &wrong)]).await,
            token_request(&world, &[("grant_type", "x"), ("client_id", "phone")], &[]).await,
            world.http().post_raw("/oauth2/token", "%%%", "text/plain", &[]).await,
        ] {
            *heard.entry(reply.status.as_u16()).or_insert(0) += 1;
        }
        if round % 20 == 0 {
            phone = next(world.refresh("phone", &phone).await);
            web = next(world.refresh("web", &web).await);
            opaque = next(world.refresh("opaque", &opaque).await);
            let _ = world.post("/oauth2/introspect", "api", &[("token", &phone)], &[]).await.expect_status(200);
        }
    }
    assert!(heard[&429] > 2000, "{heard:?}");
    let told = heard.values().sum::<u32>() - heard[&429];
    assert!((400..=600).contains(&told), "at most 600 a minute are told what was wrong: {heard:?}");
    // A confidential client proves itself by its secret: it is told the truth about a bad token still.
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", forged.as_str())];
    refused(&world.token("web", &parameters).await, 400, "invalid_grant", "not_ours");
    too_many(&world.token("phone", &parameters).await, "too_many_failures_from_network");
    // Elsewhere nobody has heard of it, and here it is over after a tenth of a second.
    let elsewhere = world.http_from("127.0.0.9").post("/oauth2/token", &[("grant_type", "x")], &[]).await;
    refused(&elsewhere, 400, "unsupported_grant_type", "unsupported_grant_type");
    world.advance(millis(100));
    refused(&world.token("phone", &parameters).await, 400, "invalid_grant", "not_ours");
}

/// Check B4: wrong secrets are limited for each client and network, at every endpoint that takes one, and equally for a client that is not
/// there. Who has the right secret is never refused.
#[tokio::test]
async fn guessing_a_client_secret_is_limited_and_hinders_nobody() {
    let world = world_with(&with("wrong_secrets = \"3/m\"")).await;
    let paths = ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"];
    let form = [("grant_type", "client_credentials"), ("token", "x")];
    for client in ["daemon", "nobody"] {
        let wrong = basic(client, "wrong");
        let reason = if client == "daemon" { "wrong_client_secret" } else { "unknown_client" };
        for path in paths {
            let reply = world.http().post(path, &form, &[("authorization", &wrong)]).await;
            refused(&reply, 401, "invalid_client", reason);
        }
        for path in paths {
            let reply = world.http().post(path, &form, &[("authorization", &wrong)]).await;
            too_many(&reply, "too_many_wrong_secrets");
            assert_eq!(reply.header("retry-after"), "20");
        }
    }
    let _ = world.token("daemon", &form).await.expect_status(200);
    let elsewhere = basic("daemon", "wrong");
    let reply = world.http_from("127.0.0.9").post("/oauth2/token", &form, &[("authorization", &elsewhere)]).await;
    refused(&reply, 401, "invalid_client", "wrong_client_secret");
}

/// A genuine token is charged to its grant before its state is looked at: live, spent, revoked or gone, the answer is the same, and the
/// store is not asked.
#[tokio::test]
async fn a_grants_budget_says_nothing_of_its_state() {
    let world = world_with(&with("requests_per_grant = \"4/m\"")).await;
    let mut told = Vec::new();
    for state in ["live", "spent", "revoked", "gone"] {
        let first = world.first("phone").await;
        let token = match state {
            "spent" => {
                let _ = next(world.refresh("phone", &first).await);
                first
            }
            "revoked" => {
                let _ = world.post("/oauth2/revoke", "phone", &[("token", &first)], &[]).await.expect_status(200);
                first
            }
            "gone" => world.forge(&first, |token| token.grant = GrantId { number: 999, random: 1 }),
            _ => first,
        };
        for _ in 0..4 {
            let _ = world.refresh("phone", &token).await;
        }
        let reads = world.watch.reads();
        let reply = world.refresh("phone", &token).await;
        too_many(&reply, "too_many_requests_for_grant");
        assert_eq!(world.watch.reads(), reads, "{state}: no read");
        let mut body = reply.json();
        body["correlation_id"] = "".into();
        told.push((body, reply.header("retry-after")));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    world.advance(secs(60));
    let other = world.first("phone").await;
    let _ = next(world.refresh("phone", &other).await);
}

/// Law L11: a client that a token was never given to cannot use up its budget.
#[tokio::test]
async fn a_stranger_with_a_token_uses_up_his_own_budget() {
    let world = world_with(&with("requests_per_grant = \"4/m\"")).await;
    let token = world.first("phone").await;
    for _ in 0..4 {
        refused(&world.refresh("phone-strict", &token).await, 400, "invalid_grant", "other_client");
    }
    too_many(&world.refresh("phone-strict", &token).await, "too_many_requests_for_grant");
    let _ = next(world.refresh("phone", &token).await);
}

/// Check B10: a header that claims another address makes no other network of it, unless somebody trusted sends it.
#[tokio::test]
async fn a_claimed_address_is_no_other_network() {
    let world = world_with(&with("failures_per_network = \"5/m\"\nlogin_failures_per_network = \"5/h\"")).await;
    let login = [("grant_type", "password"), ("client_id", "phone"), ("password", "wrong")];
    for number in 0..5 {
        let claimed = format!("192.0.2.{number}");
        let headers =
            [("x-forwarded-for", claimed.as_str()), ("x-real-ip", &claimed), ("forwarded", &format!("for={claimed}"))];
        let _ = token_request(&world, &[("grant_type", "x")], &headers).await.expect_status(400);
        let name = format!("user{number}");
        let _ = token_request(&world, &[&login[..], &[("username", name.as_str())]].concat(), &headers).await;
    }
    let headers = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")];
    too_many(&token_request(&world, &[("grant_type", "x")], &headers).await, "too_many_failures_from_network");
    let reply = token_request(&world, &[&login[..], &[("username", "another")]].concat(), &headers).await;
    too_many(&reply, "too_many_failed_logins");
}

/// A client that has proved itself has a budget of its own at all endpoints; a public one has none, for anybody has its name.
#[tokio::test]
async fn a_proved_client_has_a_budget_and_a_public_one_none() {
    let world = world_with(&with("requests_per_client = \"3/m\"")).await;
    let form = [("grant_type", "client_credentials")];
    for _ in 0..3 {
        let _ = world.token("daemon", &form).await.expect_status(200);
    }
    let reply = world.token("daemon", &form).await;
    too_many(&reply, "too_many_requests_from_client");
    assert_eq!(reply.header("retry-after"), "20");
    too_many(
        &world.post("/oauth2/introspect", "daemon", &[("token", "x")], &[]).await,
        "too_many_requests_from_client",
    );
    let mut token = world.first("phone").await;
    for _ in 0..10 {
        token = next(world.refresh("phone", &token).await);
    }
    world.advance(secs(20));
    let _ = world.token("daemon", &form).await.expect_status(200);
}

/// The order of the answers stays: what is malformed is told first, then who has not proved himself, then the token's budget.
#[tokio::test]
async fn budgets_keep_the_order_of_the_answers() {
    let world = world_with(&with("requests_per_grant = \"1/m\"\nrequests_per_client = \"4/m\"")).await;
    let token = world.first("web-single").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let token = next(world.token("web-single", &form).await);
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    too_many(&world.token("web-single", &form).await, "too_many_requests_for_grant");
    let wrong = basic("web-single", "wrong");
    refused(
        &token_request(&world, &form, &[("authorization", &wrong)]).await,
        401,
        "invalid_client",
        "wrong_client_secret",
    );
    let twice = format!("grant_type=refresh_token&refresh_token={token}&refresh_token={token}");
    let own = own_basic("web-single");
    let media = "application/x-www-form-urlencoded";
    let reply = world.http().post_raw("/oauth2/token", &twice, media, &[("authorization", &own)]).await;
    refused(&reply, 400, "invalid_request", "malformed: Repeated");
    let scope = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "a\tb")];
    refused(&world.token("web-single", &scope).await, 400, "invalid_scope", "malformed_scope");
}

/// Check X16: whoever proves nothing costs no read and no write of the store, whatever he sends and however often.
#[tokio::test]
async fn unproved_requests_never_reach_the_store() {
    let world = world_with(&with("")).await;
    let first = world.first("phone").await;
    let forged = forged(&world, &first);
    let jwt = world.refresh("phone", &first).await.json()["access_token"].as_str().expect("a token").to_owned();
    let bad_signature = format!("{}AAAA", &jwt[..jwt.len() - 4]);
    let before = (world.watch.reads(), world.watch.commits());
    for _ in 0..200 {
        let _ = world.refresh("phone", &forged).await;
        let _ = world.refresh("phone", "rgr_x").await;
        let _ = world.redeem("phone", &forged.replace("rgr_", "rgk_")).await;
        let _ = world.post("/oauth2/revoke", "phone", &[("token", &forged)], &[]).await;
        let _ = token_request(&world, &[("grant_type", "password"), ("client_id", "web")], &[]).await;
        let _ = userinfo(&world, &bad_signature).await;
        let _ = world.http().get("/oauth2/authorize?client_id=x", &[]).await;
        let _ = world.http().post("/login", &[("username", USER), ("password", PASSWORD)], &[]).await;
        let _ = world.http().get(&authorization("web", &[]), &[("cookie", "regrant-session-x=y")]).await;
    }
    assert_eq!((world.watch.reads(), world.watch.commits()), before);
}

/// Check X10: a signature is looked at only if its token is short enough and names a key of ours, and not for a network that has failed too
/// often: then even a good one is not, while a refresh from there goes on.
#[tokio::test]
async fn signatures_are_not_verified_for_a_network_that_floods() {
    let world = world_with(&with("failures_per_network = \"10/m\"")).await;
    let tokens = world.grant("phone").await;
    let (access, refresh) =
        (tokens["access_token"].as_str().expect("one"), tokens["refresh_token"].as_str().expect("one"));
    assert_eq!(userinfo(&world, access).await.status, 200);
    let huge = format!("{}{}", access, "A".repeat(20_000));
    let unknown = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IngifQ.e30.AAAA";
    for (number, token) in [huge.as_str(), unknown, "x.y.z"].into_iter().cycle().take(10).enumerate() {
        assert_eq!(userinfo(&world, token).await.status.as_u16() / 100, 4, "{number}");
    }
    too_many(&userinfo(&world, access).await, "too_many_failures_from_network");
    too_many(&world.post("/oauth2/revoke", "phone", &[("token", access)], &[]).await, "too_many_failures_from_network");
    let _ = next(world.refresh("phone", refresh).await);
    assert_eq!(world.introspect(access).await["active"], true, "a proved client is not concerned");
    world.advance(secs(6));
    assert_eq!(userinfo(&world, access).await.status, 200);
}

/// Check B4, for clients that sign: a token of ours beside the assertion is worth a look at its signature, whatever others send from
/// the same address; a forged one is not, and each grant has a budget of them.
#[tokio::test]
async fn a_token_beside_an_assertion_vouches_for_it() {
    let signer = "[[client]]\nid = \"signer\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\njwks = KEYS\n\
                  grant_types = [\"authorization_code\", \"refresh_token\"]\nredirect_uris = [\"https://app.example/cb\"]\n\
                  scopes = [\"read\"]\nrotation = \"single_use\"\n";
    let limits = "failures_per_network = \"10/m\"\nrequests_per_grant = \"4/m\"\nwrong_secrets = \"1/m\"";
    let world = world_with(&format!("{}\n{signer}", with(limits))).await;
    let assertion = || sign(key(), &claims("signer", world.app.issuer(), world.clock.now().seconds()));
    let ask = async |path: &str, form: &[(&str, &str)]| {
        let assertion = assertion();
        let signed = [("client_assertion_type", TYPE), ("client_assertion", assertion.as_str())];
        world.http().post(path, &[form, &signed].concat(), &[]).await
    };
    let code = world.code("signer").await;
    let with_code = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
        ("redirect_uri", "https://app.example/cb"),
    ];
    for _ in 0..11 {
        let _ = token_request(&world, &[("grant_type", "x"), ("client_id", "phone")], &[]).await;
    }
    // Somebody there says its name: from now on its own assertions alone are not looked at, either.
    let unsigned = assertion().rsplit_once('.').expect("signed").0.to_owned() + ".AAAA";
    let wrong = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", TYPE),
        ("client_assertion", unsigned.as_str()),
    ];
    too_many(&token_request(&world, &wrong, &[]).await, "too_many_failures_from_network");
    too_many(&ask("/oauth2/token", &[("grant_type", "client_credentials")]).await, "too_many_failures_from_network");
    let tokens = ask("/oauth2/token", &with_code).await.expect_status(200).json();
    let first = text(&tokens, "refresh_token");
    let forged = forged(&world, &first);
    let refresh =
        async |token: &str| ask("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    too_many(&refresh(&forged).await, "too_many_failures_from_network");
    let second = next(refresh(&first).await);
    let _ = ask("/oauth2/revoke", &[("token", &second)]).await.expect_status(200);
    refused(&refresh(&second).await, 400, "invalid_grant", "revoked_by_client");
    too_many(&refresh(&second).await, "too_many_requests_for_grant");
}

/// Check X11: a flood writes a bounded number of lines, and the next second tells how many were left out.
#[tokio::test]
async fn a_flood_does_not_fill_the_log() {
    let world =
        world_with(&with("refusals_logged = \"50/s\"\nfailures_per_network = \"off\"\nwrong_secrets = \"off\"")).await;
    let mut written = 0;
    for _ in 0..500 {
        let reply = world.refresh("phone", "rgr_x").await;
        reply.expect_error(400, "invalid_grant");
        written += usize::from(log::is_told(&reply));
        let reply = token_request(&world, &[("grant_type", "refresh_token"), ("refresh_token", "x")], &[]).await;
        written += usize::from(log::is_told(&reply));
        let _ = world.http().get("/oauth2/authorize", &[]).await;
    }
    assert_eq!(written, 50, "of a thousand");
    world.advance(millis(20));
    assert!(log::is_told(&world.refresh("phone", "rgr_x").await), "fifty more each second");
}

/// Check X14: budgets go by how long the machine has run: a date that stands still or jumps refuses nobody for ever.
#[tokio::test]
async fn a_clock_that_stands_still_refuses_nobody_for_ever() {
    let world = world_with(&with("requests_per_grant = \"2/m\"\nfailures_per_network = \"2/m\"")).await;
    let mut token = world.first("phone").await;
    for date in [START, START - 315_360_000_000, START] {
        world.clock.set(Timestamp::from_millis(date));
        for _ in 0..2 {
            token = next(world.refresh("phone", &token).await);
        }
        too_many(&world.refresh("phone", &token).await, "too_many_requests_for_grant");
        for _ in 0..2 {
            world.refresh("phone", "x").await.expect_error(400, "invalid_grant");
        }
        too_many(&world.refresh("phone", "x").await, "too_many_failures_from_network");
        world.clock.run_without_the_date(secs(60));
    }
    let _ = next(world.refresh("phone", &token).await);
}

/// Check X9: a user who is logged in cannot fill the store with codes; and codes that nobody redeems are swept within the hour.
#[tokio::test]
async fn codes_are_limited_per_user_and_swept() {
    let world = world_with(&with("codes_per_user = \"5/m\"")).await;
    world.add_user("bob").await;
    let path = authorization("opaque", &[]);
    let (mut alice, mut bob) = (world.browser(), world.browser());
    for _ in 0..5 {
        let _ = alice.log_in_for_code(&path).await;
    }
    for _ in 0..10 {
        let location = alice.authorize_as(&path, USER).await;
        assert!(location.contains("error=temporarily_unavailable") && location.contains("state="), "{location}");
    }
    assert!(bob.authorize_as(&path, "bob").await.contains("code="), "another user has his own budget");
    assert_eq!(world.grants().await, 6);
    world.advance(secs(12));
    let code = alice.log_in_for_code(&path).await;
    let refresh = next(world.redeem("opaque", &code).await);
    let unredeemed = alice.get(&path).await.header("location");
    assert!(unredeemed.contains("error="), "{unredeemed}");
    world.advance(secs(3600 + 61));
    sweep::pass(&world.app, millis(0)).await.expect("the store answers");
    assert_eq!(world.grants().await, 1, "what was redeemed stays");
    let _ = next(world.refresh("opaque", &refresh).await);
}

/// A store whose reads wait until they are let go.
struct Slow {
    store: Memory,
    gate: Receiver<()>,
}

impl Store for Slow {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        self.store.load(ids)
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        self.store.commit(records, now)
    }

    fn high_water(&self) -> Timestamp {
        self.store.high_water()
    }

    fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        // The reads of the start are not concerned.
        if matches!(question, Question::UserBySubject(_)) {
            let _ = self.gate.recv();
        }
        self.store.ask(question)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.store.chain_under(key)
    }

    fn failure(&self) -> Option<Unavailable> {
        self.store.failure()
    }
}

/// Check X8: reads that never end take half of the queue and no more: a refresh still finds a place, and is answered when the writer is
/// free, in one batch with all that waited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_cannot_take_the_place_of_a_refresh() {
    let (go, gate) = channel();
    let clock = Clock::manual(Timestamp::from_millis(START));
    let store = Slow { store: Memory::new(), gate };
    let app = App::open_with(config(CONFIG), Box::new(store), RootKey::new(ROOT), clock).expect("it opens");
    let mut reads = JoinSet::new();
    for _ in 0..20_000 {
        let app = Arc::clone(&app);
        reads.spawn(async move { app.engine.ask(Question::UserBySubject("x".to_owned())).await.is_ok() });
    }
    // Those beyond the share are told at once; the others wait.
    let mut refused = 0;
    while refused < 20_000 - 8192 - 1024 {
        assert!(!reads.join_next().await.expect("one of them").expect("no panic"), "the gate is shut");
        refused += 1;
    }
    let writes: Vec<_> = (0..100)
        .map(|_| {
            let app = Arc::clone(&app);
            tokio::spawn(async move {
                let grant = GrantId { number: 1, random: 1 };
                let decided = app.engine.decide::<()>(grant, "", |row, _| {
                    assert!(row.is_none());
                    regrant_core::Decision::refuse(regrant_core::Refusal::UnknownGrant)
                });
                decided.await.is_ok()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(go);
    for write in writes {
        assert!(write.await.expect("no panic"), "a decision always finds its place");
    }
    while let Some(read) = reads.join_next().await {
        refused += usize::from(!read.expect("no panic"));
    }
    assert!((20_000 - 8192 - 1024..=20_000 - 8192).contains(&refused), "{refused} were refused");
}

fn login_from(address: &str, name: &str, password: &str) -> Request<Body> {
    let form = [("grant_type", "password"), ("client_id", "phone"), ("username", name), ("password", password)];
    Request::post("/oauth2/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(Peer { address: Some(address.parse::<IpAddr>().expect("an address")) })
        .body(Body::from(regrant_server::form::write(&form)))
        .expect("a request")
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Check X6: ten thousand log-ins at once, from one /64: a few are looked at, the others are told to come again, the memory does not grow,
/// and an honest log-in from elsewhere gets through meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_logins_at_once_leave_room_for_others() {
    let world = world_with(&with("")).await;
    let router = regrant_server::router(Arc::clone(&world.app));
    let before = peak_memory();
    let mut flood = JoinSet::new();
    for number in 0..10_000 {
        let request = login_from(&format!("2001:db8::{number:x}"), &format!("user{number}"), "wrong");
        flood.spawn(router.clone().oneshot(request));
    }
    let honest = router.clone().oneshot(login_from("2001:db8:0:1::1", USER, PASSWORD)).await.expect("an answer");
    assert_eq!(honest.status(), StatusCode::OK, "elsewhere there is room");
    let mut looked_at = 0;
    while let Some(answer) = flood.join_next().await {
        let answer = answer.expect("no panic").expect("an answer");
        match answer.status().as_u16() {
            400 => looked_at += 1,
            429 | 503 => assert!(answer.headers().contains_key("retry-after")),
            other => panic!("{other}"),
        }
    }
    assert!((1..=70).contains(&looked_at), "{looked_at} were looked at");
    let grown = peak_memory().saturating_sub(before) / 1024;
    assert!(grown < 512, "{grown} MiB more; ten thousand at once would be 190 GB");
}

/// Without a network there are no limits by network, and everything else is as it was.
#[tokio::test]
async fn a_router_without_a_network_limits_nobody_by_it() {
    let world = world_with(&with("failures_per_network = \"1/m\"\nlogin_failures_per_network = \"1/h\"")).await;
    let router = regrant_server::router(Arc::clone(&world.app));
    for number in 0..10 {
        let mut request = login_from("::1", &format!("user{number}"), "wrong");
        request.extensions_mut().insert(Peer { address: None });
        let answer = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
}
