//! RFC 8628, OAuth 2.0 Device Authorization Grant.
//!
//! - 3.2: "device_code REQUIRED … user_code REQUIRED … verification_uri REQUIRED … expires_in REQUIRED".
//! - 3.5: "slow_down: A variant of "authorization_pending", the authorization request is still pending and polling should continue, but
//!   the interval MUST be increased by 5 seconds for this and all subsequent requests."
//! - 5.2: "the authorization server MUST … protect against … brute force" of device codes by their entropy.

use std::time::Duration;

use serde_json::json;
use sim::wire::story::claims;
use sim::wire::{CONFIG, USER, World, text};

use super::support::{DEVICE_CODE, DEVICES, Device, browser_of, devices};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// RFC 8628 section 3.2.
#[tokio::test]
async fn a_device_is_told_what_to_show_and_how_often_to_ask() {
    for base in ["", "/op"] {
        let config = format!("{CONFIG}{DEVICES}");
        let world = if base.is_empty() {
            World::with(&config).await
        } else {
            World::at_path(base).await.restart_with(Some(&config)).await
        };
        let answer = world.post(&format!("{base}/oauth2/device_authorization"), "tv", &[("scope", "read")], &[]).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let answer = answer.expect_status(200).json();
        let (uri, code) = (text(&answer, "verification_uri"), text(&answer, "user_code"));
        assert_eq!(uri, format!("{}/device", world.app.issuer()));
        assert_eq!(text(&answer, "verification_uri_complete"), format!("{uri}?user_code={code}"));
        assert_eq!((&answer["expires_in"], &answer["interval"]), (&json!(600), &json!(5)));
        assert!(text(&answer, "device_code").starts_with("rgd_"));
        let metadata = world.http().get(&format!("{base}/.well-known/openid-configuration"), &[]).await.json();
        let endpoint = format!("{}/oauth2/device_authorization", world.app.issuer());
        assert_eq!(metadata["device_authorization_endpoint"], json!(endpoint));
        assert!(metadata["grant_types_supported"].as_array().is_some_and(|types| types.contains(&json!(DEVICE_CODE))));
    }
}

/// RFC 8628 section 3.1: "The client authentication requirements of Section 3.2.1 of [RFC6749] apply".
#[tokio::test]
async fn who_may_not_have_a_grant_is_given_no_code() {
    let world = devices().await;
    let path = "/oauth2/device_authorization";
    world.http().post(path, &[("client_id", "box")], &[]).await.expect_error(401, "invalid_client");
    world.http().post(path, &[], &[]).await.expect_error(401, "invalid_client");
    world.post(path, "phone", &[], &[]).await.expect_error(400, "unauthorized_client");
    world.post(path, "tv", &[("scope", "files")], &[]).await.expect_error(400, "invalid_scope");
    world.post(path, "tv", &[("resource", "https://api.example/")], &[]).await.expect_error(400, "invalid_target");
    world.http().get(path, &[]).await.expect_error(405, "invalid_request");
    assert_eq!(Device::ask(&world, "box").await.user_code.len(), 11);
}

/// RFC 8628 section 3.4, from the first question to a refresh.
#[tokio::test]
async fn a_device_polls_until_somebody_allows_it_and_then_has_tokens() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    for _ in 0..3 {
        device.poll(&world).await.expect_error(400, "authorization_pending");
        world.advance(seconds(5));
    }
    let mut browser = browser_of(&world, USER).await;
    let done = device.answer(&mut browser, "allow").await.expect_status(200);
    assert!(done.text().contains("Your device is connected"), "{}", done.text());
    let tokens = device.poll(&world).await.expect_status(200).json();
    assert_eq!(tokens["scope"], json!("read"));
    let next = world.refresh("tv", &text(&tokens, "refresh_token")).await.expect_status(200).json();
    assert_eq!(world.introspect(&text(&next, "access_token")).await["active"], json!(true));
}

/// RFC 8707 section 2.2: `resource` means the same "for all grant types": one that was not granted is refused, nothing is consumed.
#[tokio::test]
async fn a_device_asks_for_the_resources_that_it_was_granted() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let _ = device.answer(&mut browser_of(&world, USER).await, "allow").await.expect_status(200);
    for resource in ["https://other.example/", "no URI", "https://other.example/#part"] {
        let form = [("grant_type", DEVICE_CODE), ("device_code", device.device_code.as_str()), ("resource", resource)];
        world.token("tv", &form).await.expect_error(400, "invalid_target");
    }
    let _ = device.poll(&world).await.expect_status(200);
}

/// OpenID Connect Core section 3.1.3.3, for a flow that it does not know: who was granted `openid` has an ID token from the first answer
/// on, and not only with the first refresh.
#[tokio::test]
async fn a_device_that_asks_who_it_is_is_told_with_its_first_tokens() {
    let world = devices().await;
    let device = Device::ask_for(&world, "tv", "openid read").await;
    device.poll(&world).await.expect_error(400, "authorization_pending");
    world.advance(seconds(5));
    let _ = device.answer(&mut browser_of(&world, USER).await, "allow").await.expect_status(200);
    let tokens = device.poll(&world).await.expect_status(200).json();
    let said = claims(&text(&tokens, "id_token"));
    assert_eq!((&said["aud"], &said["amr"]), (&json!("tv"), &json!(["pwd"])));
    assert!(said["at_hash"].is_string() && said.get("sid").is_none(), "{said}");
    let next = world.refresh("tv", &text(&tokens, "refresh_token")).await.expect_status(200).json();
    assert_eq!(claims(&text(&next, "id_token"))["sub"], said["sub"]);
}

/// RFC 8628 section 3.5: "the interval MUST be increased by 5 seconds for this and all subsequent requests".
#[tokio::test]
async fn a_device_that_asks_too_often_is_told_to_slow_down() {
    let world = devices().await;
    let (device, other) = (Device::ask(&world, "tv").await, Device::ask(&world, "tv").await);
    device.poll(&world).await.expect_error(400, "authorization_pending");
    world.advance(seconds(2));
    device.poll(&world).await.expect_error(400, "slow_down");
    other.poll(&world).await.expect_error(400, "authorization_pending");
    world.advance(seconds(7));
    device.poll(&world).await.expect_error(400, "slow_down");
    world.advance(seconds(15));
    device.poll(&world).await.expect_error(400, "authorization_pending");
    // It is never too soon for what is there.
    assert_eq!(device.answer(&mut browser_of(&world, USER).await, "allow").await.status, 200);
    assert_eq!(device.poll(&world).await.status, 200);
}

/// RFC 8628 section 3.5: `access_denied`, "The authorization request was denied", however often the device asks.
#[tokio::test]
async fn a_device_that_was_denied_hears_so_and_never_gets_a_token() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let mut browser = browser_of(&world, USER).await;
    let done = device.answer(&mut browser, "deny").await.expect_status(200);
    assert!(done.text().contains("was not connected"));
    for _ in 0..3 {
        device.poll(&world).await.expect_error(400, "access_denied");
    }
    let again = device.page(&mut browser).await;
    assert_eq!(again.status, 400, "who denied cannot allow any more");
    assert!(!again.text().contains("device-allow"));
}

/// RFC 8628 section 3.5: `expired_token`, "The "device_code" has expired"; also when nothing of it is left.
#[tokio::test]
async fn a_device_code_expires_whether_or_not_it_was_allowed() {
    let world = devices().await;
    let (idle, allowed) = (Device::ask(&world, "tv").await, Device::ask(&world, "tv").await);
    let mut browser = browser_of(&world, USER).await;
    assert_eq!(allowed.answer(&mut browser, "allow").await.status, 200);
    world.advance(seconds(599));
    idle.poll(&world).await.expect_error(400, "authorization_pending");
    assert!(idle.page(&mut browser).await.text().contains("device-allow"));
    world.advance(seconds(1));
    for device in [&idle, &allowed] {
        device.poll(&world).await.expect_error(400, "expired_token");
        assert_eq!(device.page(&mut browser).await.status, 400);
    }
    world.advance(seconds(1));
    let _more = Device::ask(&world, "tv").await;
    idle.poll(&world).await.expect_error(400, "expired_token");
}

/// Law L2: a device code is redeemed once. A second poll a moment later is refused and ends nothing; a later one ends the grant.
#[tokio::test]
async fn a_device_code_is_never_redeemed_twice() {
    let world = devices().await;
    let mut browser = browser_of(&world, USER).await;
    let device = Device::ask(&world, "tv").await;
    device.answer(&mut browser, "allow").await;
    let tokens = device.poll(&world).await.expect_status(200).json();
    world.advance(Duration::from_millis(499));
    device.poll(&world).await.expect_error(400, "invalid_grant");
    let next = world.refresh("tv", &text(&tokens, "refresh_token")).await.expect_status(200).json();
    world.advance(Duration::from_millis(1));
    device.poll(&world).await.expect_error(400, "invalid_grant");
    world.refresh("tv", &text(&next, "refresh_token")).await.expect_error(400, "invalid_grant");
    assert_eq!(world.introspect(&text(&next, "access_token")).await["active"], json!(false));
}

/// Law L2: of polls that race, one has tokens.
#[tokio::test(flavor = "multi_thread")]
async fn two_polls_that_race_make_one_family_of_tokens() {
    let world = std::sync::Arc::new(devices().await);
    let mut browser = browser_of(&world, USER).await;
    for _ in 0..5 {
        let device = std::sync::Arc::new(Device::ask(&world, "tv").await);
        assert_eq!(device.answer(&mut browser, "allow").await.status, 200);
        let polls: Vec<_> = (0..8)
            .map(|_| {
                let (world, device) = (std::sync::Arc::clone(&world), std::sync::Arc::clone(&device));
                tokio::spawn(async move { device.poll(&world).await.status.as_u16() })
            })
            .collect();
        let mut answers = Vec::new();
        for poll in polls {
            answers.push(poll.await.expect("an answer"));
        }
        answers.sort_unstable();
        assert_eq!(answers, [200, 400, 400, 400, 400, 400, 400, 400]);
    }
}

/// Law L11: RFC 8628 section 3.5, a device code of another client is `invalid_grant`, and changes nothing for its own.
#[tokio::test]
async fn a_device_code_is_good_for_its_own_client_only() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    device.poll_as(&world, "box").await.expect_error(400, "invalid_grant");
    device.poll_as(&world, "phone").await.expect_error(400, "invalid_grant");
    device.answer(&mut browser_of(&world, USER).await, "allow").await;
    device.poll_as(&world, "box").await.expect_error(400, "invalid_grant");
    assert_eq!(device.poll(&world).await.status, 200);
}

/// Check B6: a device code cannot be guessed: what was not minted here is known by its tag, before any state is looked at.
#[tokio::test]
async fn a_device_code_that_was_not_minted_here_is_told_without_a_read() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let before = world.watch.reads();
    for at in [4, 20, 60, 100] {
        let mut forged = device.device_code.clone().into_bytes();
        forged[at] = if forged[at] == b'a' { b'b' } else { b'a' };
        let forged = String::from_utf8(forged).expect("ASCII");
        let reply = world.token("tv", &[("grant_type", DEVICE_CODE), ("device_code", &forged)]).await;
        reply.expect_error(400, "invalid_grant");
    }
    assert_eq!(world.watch.reads(), before);
    world.token("tv", &[("grant_type", DEVICE_CODE)]).await.expect_error(400, "invalid_request");
    device.poll(&world).await.expect_error(400, "authorization_pending");
}

/// Law L1: what was answered is there after a restart, at every step.
#[tokio::test]
async fn each_step_of_a_device_survives_a_restart() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let world = world.restart().await;
    device.poll(&world).await.expect_error(400, "authorization_pending");
    assert_eq!(device.answer(&mut browser_of(&world, USER).await, "allow").await.status, 200);
    let world = world.restart().await;
    let tokens = device.poll(&world).await.expect_status(200).json();
    let world = world.restart().await;
    device.poll(&world).await.expect_error(400, "invalid_grant");
    world.advance(seconds(1));
    assert!(tokens["refresh_token"].is_string());
}

/// Check X9: no network, and no client, fills the table.
#[tokio::test]
async fn device_codes_are_limited_by_network_and_by_client() {
    let world = World::with(&format!("[limits]\ndevice_codes = \"3/m\"\n{CONFIG}{DEVICES}")).await;
    for client in ["tv", "box"] {
        for _ in 0..3 {
            Device::ask(&world, client).await;
        }
        let refused = world.post("/oauth2/device_authorization", client, &[], &[]).await;
        refused.expect_error(429, "temporarily_unavailable");
        assert!(!refused.header("retry-after").is_empty());
    }
    let elsewhere =
        world.http_from("127.0.0.9").post("/oauth2/device_authorization", &[("client_id", "tv")], &[]).await;
    assert_eq!(elsewhere.status, 200, "another network has its own");
}

/// Check B9: a user who is disabled while the device waits gives it nothing.
#[tokio::test]
async fn a_user_who_was_disabled_meanwhile_gives_nothing() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    assert_eq!(device.answer(&mut browser_of(&world, USER).await, "allow").await.status, 200);
    world.app.admin().set_user_disabled(USER, true).await.expect("disabled");
    device.poll(&world).await.expect_error(400, "invalid_grant");
}
