//! The token hook: a program of the operator's that is asked before a token is made, and can deny it or add claims.
//!
//! Whatever it does or fails to do, it is asked before anything is consumed: a denial, a time-out, nonsense and a crash leave code
//! and refresh token as they were (law L1). And it hears of nothing that is not the caller's own (law L11).

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regrant_core::Grant;
use serde_json::{Value, json};
use sim::process::Scratch;
use sim::wire::log::reason;
use sim::wire::story::reload;
use sim::wire::{Act, CONFIG, Hook, PASSWORD, Reply, SECRET, START, USER, World, authorization, text};

use super::support::{claims, next, refused, with_setting, world_with};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A hook, a world that asks it, and the directory of its secret.
struct Place {
    hook: Hook,
    world: World,
    scratch: Scratch,
}

impl Place {
    async fn new() -> Self {
        Self::with(CONFIG, "").await
    }

    async fn with(clients: &str, settings: &str) -> Self {
        let hook = Hook::start().await;
        let scratch = Scratch::new("hook");
        let world = world_with(&config(hook.url(), scratch.path(), clients, settings)).await;
        Self { hook, world, scratch }
    }

    /// What every failed or denied request must leave as it was.
    async fn refresh_and_code(&self) -> (String, String, [Grant; 2]) {
        let (refresh, code) = (self.world.first("web-single").await, self.world.code("phone").await);
        let rows = [self.world.row(&refresh).await, self.world.row(&code).await];
        (refresh, code, rows)
    }

    /// Every flow of the token endpoint, once.
    async fn every_flow(&self, refresh: &str, code: &str) -> [Reply; 4] {
        [
            self.world.refresh("web-single", refresh).await,
            self.world.redeem("phone", code).await,
            password(&self.world).await,
            self.world.token("daemon", &[("grant_type", "client_credentials")]).await,
        ]
    }
}

/// Time enough for an honest answer on a busy machine; what waits for the end of it says so itself.
fn config(url: &str, directory: &Path, clients: &str, settings: &str) -> String {
    let secret = directory.join("hook.secret");
    std::fs::write(&secret, format!("{KEY}\n")).expect("a secret");
    let timeout = if settings.contains("timeout") { "" } else { "timeout = \"20s\"\n" };
    format!("[token_hook]\nurl = \"{url}\"\nsecret_file = \"{}\"\n{timeout}{settings}\n{clients}", secret.display())
}

async fn password(world: &World) -> Reply {
    world.token("phone", &[("grant_type", "password"), ("username", USER), ("password", PASSWORD)]).await
}

fn minted(answer: &Value) -> Value {
    claims(&text(answer, "access_token"))
}

/// Law L1: a denial in every flow: `access_denied`, and nothing was consumed. The reason is for the operator alone.
#[tokio::test]
async fn a_denial_consumes_nothing() {
    let place = Place::new().await;
    let (refresh, code, rows) = place.refresh_and_code().await;
    let grants = place.world.grants().await;
    place.hook.does(Act::denies());
    for reply in place.every_flow(&refresh, &code).await {
        let reply = reply.expect_status(400);
        assert_eq!(
            reply.json()["error"],
            json!("access_denied"),
            "not invalid_grant: clients would throw their token away"
        );
        assert!(!String::from_utf8_lossy(&reply.body).contains("Sunday"));
        assert_eq!(reason(&reply), "hook_denied");
    }
    assert_eq!([place.world.row(&refresh).await, place.world.row(&code).await], rows);
    assert_eq!(place.world.grants().await, grants);
    place.hook.does(Act::allows());
    for reply in place.every_flow(&refresh, &code).await {
        let _ = reply.expect_status(200);
    }
}

/// What it adds is in the token, and in what introspection tells of it; also of an opaque one.
#[tokio::test]
async fn what_the_hook_adds_is_in_the_token() {
    let clients = with_setting("opaque", "static_claims = { tenant = \"acme\", plan = \"free\" }");
    let place = Place::with(&clients, "").await;
    place.hook.does(Act::says(r#"{"allow":true,"claims":{"plan":"gold","limits":{"gb":5}}}"#));
    let opaque = text(&place.world.grant("opaque").await, "access_token");
    let told = place.world.introspect(&opaque).await;
    assert_eq!((&told["plan"], &told["limits"], &told["tenant"]), (&json!("gold"), &json!({"gb": 5}), &json!("acme")));
    let jwt = place.world.grant("phone").await;
    assert_eq!((&minted(&jwt)["plan"], &minted(&jwt)["limits"]), (&json!("gold"), &json!({"gb": 5})));
    assert_eq!(place.world.introspect(&text(&jwt, "access_token")).await["plan"], json!("gold"));
    assert_eq!(place.hook.connections(), 1, "one connection was kept for all of them");
}

/// Checks S4, S5, S7, S8, S10, law L1: whatever goes wrong is one and the same to the client, comes to an end, and consumes
/// nothing. A redirect is not followed.
#[tokio::test]
async fn a_hook_that_fails_consumes_nothing() {
    let place = Place::with(CONFIG, "timeout = \"300ms\"").await;
    let elsewhere = Hook::start().await;
    let (refresh, code, rows) = place.refresh_and_code().await;
    let grants = place.world.grants().await;
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let allowed = r#"{"allow":true}"#.to_owned();
    for act in [
        Act::Silence,
        Act::BreakOff,
        Act::Endless,
        Act::Answer(500, Vec::new(), allowed.clone()),
        Act::Answer(204, Vec::new(), String::new()),
        Act::Answer(307, header("location", elsewhere.url()), allowed.clone()),
        Act::Answer(200, header("content-encoding", "gzip"), allowed.clone()),
        Act::says("<html>"),
        Act::says(""),
        Act::says(&format!("{{\"allow\":true,\"more\":\"{}\"}}", "x".repeat(70_000))),
        Act::says(r#"{"allow":true,"claims":{"sub":"usr_evil"}}"#),
        Act::says(r#"{"allow":true,"allow":true}"#),
    ] {
        place.hook.does(act.clone());
        for reply in place.every_flow(&refresh, &code).await {
            let reply = reply.expect_status(503);
            assert_eq!(reply.json()["error"], json!("temporarily_unavailable"), "{act:?}");
            assert!(!reply.header("retry-after").is_empty());
            assert_eq!(reason(&reply), "hook_failed", "{act:?}");
        }
        assert_eq!([place.world.row(&refresh).await, place.world.row(&code).await], rows, "{act:?}");
    }
    assert_eq!(place.world.grants().await, grants);
    assert!(elsewhere.heard().is_empty(), "a redirect is no answer");
    place.hook.does(Act::allows());
    let _ = place.world.redeem("phone", &code).await.expect_status(200);
    let _ = place.world.refresh("web-single", &refresh).await.expect_status(200);
}

/// Law L1: nobody listens at the hook's address. That too consumes nothing.
#[tokio::test]
async fn a_hook_that_is_gone_consumes_nothing() {
    let scratch = Scratch::new("hook");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", nobody.local_addr().expect("bound"));
    drop(nobody);
    // Grants are made by a flow that is not asked about.
    let world = world_with(&config(&url, scratch.path(), CONFIG, "grant_types = [\"refresh_token\"]")).await;
    let token = world.first("web-single").await;
    let row = world.row(&token).await;
    let reply = world.refresh("web-single", &token).await.expect_status(503);
    assert_eq!(reason(&reply), "hook_failed");
    assert_eq!(world.row(&token).await, row);
}

/// The operator's other choice: a token without what the hook would have added. A denial is still one.
#[tokio::test]
async fn a_failed_hook_may_be_allowed_to_add_nothing() {
    let clients = with_setting("phone", "static_claims = { tenant = \"acme\" }");
    let place = Place::with(&clients, "on_failure = \"allow\"\ntimeout = \"300ms\"").await;
    for act in
        [Act::Silence, Act::BreakOff, Act::says("?"), Act::says(r#"{"allow":true,"claims":{"iss":"x","plan":"gold"}}"#)]
    {
        place.hook.does(act);
        let token = minted(&password(&place.world).await.expect_status(200).json());
        assert_eq!((&token["tenant"], token.get("plan")), (&json!("acme"), None));
        assert_eq!(token["iss"].as_str(), Some(place.world.base.as_str()));
    }
    place.hook.does(Act::denies());
    let _ = password(&place.world).await.expect_status(400);
}

/// Check S9, law L6: it hears what the grant is known to be, signed; no token, no code, no secret, no password, no cookie.
#[tokio::test]
async fn what_the_hook_is_told() {
    let place = Place::new().await;
    let refresh = place.world.first("web-single").await;
    let code = place.world.code("web").await;
    let _ = place.world.redeem("web", &code).await.expect_status(200);
    let again = next(place.world.refresh("web-single", &refresh).await);
    let heard = place.hook.heard();
    let told: Vec<Value> = heard.iter().map(|heard| heard.json()).collect();
    let types: Vec<&str> = told.iter().filter_map(|told| told["grant_type"].as_str()).collect();
    assert_eq!(types, ["password", "authorization_code", "refresh_token"]);
    let (web, single) = (&told[1], &told[2]);
    assert_eq!((&web["client_id"], &web["scope"]), (&json!("web"), &json!("files openid read write")));
    assert_eq!(web["resources"], json!(["https://api.example/", "https://files.example/"]));
    assert_eq!((&web["issuer"], &web["auth_time"]), (&json!(place.world.base), &json!(START / 1000)));
    assert_eq!((&web["type"], &web["sub"]), (&json!("token"), &single["sub"]));
    assert_eq!(single["grant"], json!(place.world.grant_of(&again).display(&place.world.app.engine.keys())));
    for heard in &heard {
        let signed = [heard.header("webhook-id"), heard.header("webhook-timestamp")].join(".");
        let mut text = format!("{signed}.").into_bytes();
        text.extend_from_slice(&heard.body);
        let head = heard.head.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned());
        let mut names: Vec<String> = head.skip(1).collect();
        names.sort();
        let known = [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "webhook-id",
            "webhook-signature",
            "webhook-timestamp",
        ];
        assert_eq!(names, known);
        assert_eq!(heard.header("webhook-id"), heard.json()["correlation_id"], "the name that the client is told");
        assert_eq!(heard.header("webhook-timestamp"), (START / 1000).to_string());
        // Header values are remembered in lower case, and so is what they are compared with.
        let signature = STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), &text));
        assert_eq!(heard.header("webhook-signature"), format!("v1,{}", signature.to_lowercase()));
        let all = format!("{}{}", heard.head, String::from_utf8_lossy(&heard.body));
        for secret in [&refresh, &again, &code, PASSWORD, SECRET, KEY] {
            assert!(!all.contains(secret) && !all.contains(&secret.to_lowercase()), "{secret} in {all}");
        }
    }
}

/// Law L11: it hears nothing of a client that did not prove itself, of a token that is not ours or not the caller's, and of a grant
/// that would be refused anyway. A replay ends its grant as ever.
#[tokio::test]
async fn the_hook_is_asked_only_about_what_would_be_granted() {
    let place = Place::new().await;
    let world = &place.world;
    let first = world.first("web-single").await;
    let second = next(world.refresh("web-single", &first).await);
    let (code, theirs) = (world.code("web").await, world.first("phone").await);
    let heard = place.hook.heard().len();
    let wrong = [
        ("grant_type", "refresh_token"),
        ("refresh_token", second.as_str()),
        ("client_id", "web-single"),
        ("client_secret", "wrong"),
    ];
    let _ = world.http().post("/oauth2/token", &wrong, &[]).await.expect_status(401);
    let wider = [("grant_type", "refresh_token"), ("refresh_token", second.as_str()), ("scope", "files")];
    let _ = world.token("web-single", &wider).await.expect_status(400);
    for (client, token) in [("web-single", "rgr_nothing"), ("web-single", theirs.as_str()), ("web", second.as_str())] {
        let _ = world.refresh(client, token).await.expect_status(400);
    }
    let badly =
        [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", "https://app.example/other")];
    let _ = world.token("web", &badly).await.expect_status(400);
    let _ = world
        .token("phone", &[("grant_type", "password"), ("username", USER), ("password", "wrong")])
        .await
        .expect_status(400);
    world.advance(super::support::secs(3600));
    let replay = world.refresh("web-single", &first).await;
    // Confidential clients retry for as long as the successor was not presented: it is presented, and then the first is spent.
    let _ = replay.expect_status(200);
    assert_eq!(place.hook.heard().len(), heard + 1, "only the retry");
    let third = next(world.refresh("web-single", &second).await);
    world.advance(super::support::secs(3600));
    let reply = world.refresh("web-single", &first).await.expect_status(400);
    assert_eq!(reason(&reply), "replayed");
    let _ = world.refresh("web-single", &third).await.expect_status(400);
    assert_eq!(place.hook.heard().len(), heard + 2, "neither the replay nor what it ended");
}

/// Law L3: a repeated refresh gets the same refresh token, and asks again: what is allowed now is what counts.
#[tokio::test]
async fn a_retry_is_asked_about_again() {
    let place = Place::new().await;
    let first = place.world.first("phone").await;
    place.hook.does(Act::says(r#"{"allow":true,"claims":{"plan":"gold"}}"#));
    let lost = place.world.refresh("phone", &first).await.expect_status(200).json();
    place.hook.does(Act::denies());
    let _ = place.world.refresh("phone", &first).await.expect_status(400);
    place.hook.does(Act::says(r#"{"allow":true,"claims":{"plan":"free"}}"#));
    let again = place.world.refresh("phone", &first).await.expect_status(200).json();
    assert_eq!(text(&again, "refresh_token"), text(&lost, "refresh_token"));
    assert_eq!((&minted(&lost)["plan"], &minted(&again)["plan"]), (&json!("gold"), &json!("free")));
    assert_eq!(place.hook.heard().len(), 4);
}

/// Only the flows that are named, and only clients that did not opt out.
#[tokio::test]
async fn flows_and_clients_can_be_left_out() {
    let clients = with_setting("web-single", "token_hook = false");
    let place = Place::with(&clients, "grant_types = [\"refresh_token\"]").await;
    place.hook.does(Act::denies());
    let (asked, not) = (place.world.first("phone").await, place.world.first("web-single").await);
    let _ = place.world.refresh("web-single", &not).await.expect_status(200);
    let _ = place.world.refresh("phone", &asked).await.expect_status(400);
    assert_eq!(place.hook.heard().len(), 1);
}

/// Law L9: a revocation that is committed while the hook thinks wins: no token goes out, whatever the hook says then.
#[tokio::test]
async fn a_revocation_wins_over_a_hook_that_still_thinks() {
    let place = Place::new().await;
    let token = place.world.first("web-single").await;
    place.hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
    let asked = place.hook.heard().len() + 1;
    let (reply, ()) = tokio::join!(place.world.refresh("web-single", &token), async {
        place.hook.has_heard(asked).await;
        let _ = place.world.post("/oauth2/revoke", "web-single", &[("token", &token)], &[]).await.expect_status(200);
        place.hook.release();
    });
    assert_eq!(reply.expect_status(400).json()["error"], json!("invalid_grant"));
}

/// Law L9: nor does one go to a client that is switched off meanwhile; its grant is as it was when it is switched on again.
#[tokio::test]
async fn a_client_that_is_switched_off_while_the_hook_thinks_gets_nothing() {
    let place = Place::new().await;
    let token = place.world.first("web-single").await;
    let before = place.world.row(&token).await;
    place.hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
    let asked = place.hook.heard().len() + 1;
    let file = |clients: &str| config(place.hook.url(), place.scratch.path(), clients, "");
    let (reply, ()) = tokio::join!(place.world.refresh("web-single", &token), async {
        place.hook.has_heard(asked).await;
        reload(&place.world, &file(&with_setting("web-single", "disabled = true"))).await;
        place.hook.release();
    });
    refused(&reply, 400, "unauthorized_client", "client_disabled");
    reload(&place.world, &file(CONFIG)).await;
    assert_eq!(place.world.row(&token).await, before);
    place.hook.does(Act::says(r#"{"allow":true}"#));
    let _ = next(place.world.refresh("web-single", &token).await);
}

/// Law L9: the same where a grant is made at once: a user who is switched off meanwhile, also by one who switches him on again, and a
/// client that is, get neither tokens nor a grant that lives.
#[tokio::test]
async fn who_is_switched_off_while_the_hook_thinks_of_a_new_grant_gets_nothing() {
    let place = Place::new().await;
    let file = |clients: &str| config(place.hook.url(), place.scratch.path(), clients, "");
    for again in [false, true] {
        place.hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
        let asked = place.hook.heard().len() + 1;
        let (reply, ()) = tokio::join!(password(&place.world), async {
            place.hook.has_heard(asked).await;
            place.world.app.admin().set_user_disabled(USER, true).await.expect("switched off");
            if again {
                place.world.app.admin().set_user_disabled(USER, false).await.expect("switched on");
            }
            place.hook.release();
        });
        refused(&reply, 400, "invalid_grant", "user_disabled");
        if !again {
            place.world.app.admin().set_user_disabled(USER, false).await.expect("switched on");
        }
    }
    for flow in ["password", "client_credentials"] {
        place.hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
        let asked = place.hook.heard().len() + 1;
        let client = if flow == "password" { "phone" } else { "daemon" };
        let form = [("grant_type", flow), ("username", USER), ("password", PASSWORD)];
        let form = if flow == "password" { &form[..] } else { &form[..1] };
        let (reply, ()) = tokio::join!(place.world.token(client, form), async {
            place.hook.has_heard(asked).await;
            reload(&place.world, &file(&with_setting(client, "disabled = true"))).await;
            place.hook.release();
        });
        refused(&reply, 400, "unauthorized_client", "client_disabled");
        reload(&place.world, &file(CONFIG)).await;
    }
}

/// Law L2: two workers with one token, both at the hook at the same time: one rotation, one successor.
#[tokio::test]
async fn two_workers_at_the_hook_get_one_successor() {
    let place = Place::new().await;
    let token = place.world.first("web-single").await;
    place.hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
    let asked = place.hook.heard().len() + 2;
    let (one, other, ()) =
        tokio::join!(place.world.refresh("web-single", &token), place.world.refresh("web-single", &token), async {
            place.hook.has_heard(asked).await;
            place.hook.release();
        });
    let (one, other) = (next(one), next(other));
    assert_eq!(one, other);
    assert_eq!(place.world.row(&one).await.generation, 2);
}

/// Check X8: a hook that does not answer keeps nobody else waiting, and no more than 64 questions are open at once.
#[tokio::test]
async fn a_slow_hook_keeps_nobody_else_waiting() {
    let clients = with_setting("web-single", "token_hook = false");
    let place = Place::with(&clients, "").await;
    let free = place.world.first("web-single").await;
    place.hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
    let before = place.hook.heard().len();
    let daemon = || place.world.token("daemon", &[("grant_type", "client_credentials")]);
    let many = async {
        let mut all = Vec::new();
        for _ in 0..100 {
            all.push(Box::pin(daemon()));
        }
        join_all(all).await
    };
    let (answered, ()) = tokio::join!(many, async {
        place.hook.has_heard(before + 64).await;
        let _ = place.world.refresh("web-single", &free).await.expect_status(200);
        assert_eq!(place.hook.most_at_once(), 64, "the others wait for a place");
        place.hook.release();
    });
    assert_eq!(answered.iter().filter(|reply| reply.status == 200).count(), 100);
    assert_eq!(place.hook.most_at_once(), 64);
}

/// All of them at the same time.
async fn join_all<F: Future<Output = Reply> + Unpin>(mut waiting: Vec<F>) -> Vec<Reply> {
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| match std::pin::Pin::new(future).poll(context) {
            std::task::Poll::Ready(reply) => {
                done.push(reply);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

/// The implicit flow is asked about too, and hears a denial in the words of its own section.
#[tokio::test]
async fn an_implicit_token_is_asked_about() {
    let place = Place::new().await;
    place.hook.does(Act::says(r#"{"allow":true,"claims":{"plan":"gold"}}"#));
    let request =
        authorization("spa-old", &[("response_type", "token"), ("code_challenge", ""), ("code_challenge_method", "")]);
    let mut answers = Vec::new();
    for act in [Act::says(r#"{"allow":true,"claims":{"plan":"gold"}}"#), Act::denies(), Act::says("?")] {
        place.hook.does(act);
        answers.push(place.world.browser().authorize_as(&request, USER).await);
    }
    assert!(answers[0].contains("access_token="), "{}", answers[0]);
    assert!(answers[1].contains("error=access_denied") && !answers[1].contains("access_token"), "{}", answers[1]);
    assert!(answers[2].contains("error=temporarily_unavailable"), "{}", answers[2]);
    assert_eq!(place.hook.heard().len(), 3);
}

/// One request, one configuration: what is reloaded while the hook is asked counts from the next request on.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_sees_one_configuration_to_its_end() {
    let Place { hook, world, scratch } = Place::new().await;
    let world = Arc::new(world);
    let token = world.first("web").await;
    let refresh = async |world: &World| {
        let asked =
            [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("resource", "https://api.example/")];
        minted(&world.token("web", &asked).await.expect_status(200).json())["scope"].clone()
    };
    let questions = hook.heard().len();
    hook.does(Act::Hold(r#"{"allow":true}"#.to_owned()));
    let reloaded = async {
        hook.has_heard(questions + 1).await;
        // From now on `write` is the other resource's.
        let changed = CONFIG
            .replace("scopes = [\"read\", \"write\"]\n[[resource]]", "scopes = [\"read\"]\n[[resource]]")
            .replace("scopes = [\"files\"]\n", "scopes = [\"files\", \"write\"]\n");
        assert_ne!(changed, CONFIG);
        reload(&world, &config(hook.url(), scratch.path(), &changed, "")).await;
        hook.release();
    };
    let (scope, ()) = tokio::join!(refresh(&world), reloaded);
    assert_eq!(scope, "openid read write", "as the resource was when the request came");
    hook.does(Act::allows());
    assert_eq!(refresh(&world).await, "openid read");
}
