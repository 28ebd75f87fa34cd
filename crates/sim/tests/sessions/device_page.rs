//! RFC 8628 sections 3.3, 5.1, 5.4 and 6.1: the page on which a user answers a device.
//!
//! - 3.3.1: "the server SHOULD display the "user_code" to the user and ask the user to verify that it matches the "user_code" being
//!   displayed on the device".
//! - 5.1: "the user code … MUST … combined with … rate-limiting".
//! - 5.4: "the authorization server SHOULD display information about the device so that the user could notice if a software client was
//!   attempting to impersonate a hardware device".

use sim::wire::browser::form;
use sim::wire::{CONFIG, USER, World};

use super::support::{DEVICES, Device, browser_of, devices};

/// RFC 8628 section 3.3: login, the code, the question, the answer; with no script anywhere.
#[tokio::test]
async fn whoever_scans_the_code_logs_in_and_is_asked() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let mut browser = world.browser();
    let login = device.page(&mut browser).await;
    assert!(login.text().contains("id=\"login-submit\""));
    let page = browser.log_in(&login, USER).await;
    assert!(page.text().contains("id=\"device-allow\"") && page.text().contains("id=\"device-deny\""));
    device.poll(&world).await.expect_error(400, "authorization_pending");
    let done = browser.submit(&page, &[("decision", "allow")]).await.expect_status(200);
    assert!(!done.text().contains("<script"));
    assert_eq!(device.poll(&world).await.status, 200);
}

/// RFC 8628 sections 3.3.1 and 5.4: the page names the client, the code, the time and the place, and warns.
#[tokio::test]
async fn the_page_says_who_asks_from_where_and_since_when() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let page = device.page(&mut browser_of(&world, USER).await).await.expect_status(200).text();
    for shown in
        ["Telly", device.user_code.as_str(), "127.0.0.0&#x2f;24", "1 January 2026, 00:00 UTC", "Read your things", USER]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(page.contains("id=\"device-warning\"") && !page.contains("id=\"device-elsewhere\""));
}

/// RFC 8628 section 6.1: "the server should ignore any characters like punctuation that are not in the user code character set" and
/// uppercase what was typed.
#[tokio::test]
async fn a_code_is_read_however_it_is_typed() {
    let world = devices().await;
    let device = Device::ask(&world, "tv").await;
    let mut browser = browser_of(&world, USER).await;
    let plain = device.user_code.replace('-', "");
    for typed in [plain.clone(), plain.to_lowercase(), format!("%20{}.{}%20", &plain[..3], &plain[3..])] {
        let page = browser.get(&format!("/device?user_code={typed}")).await;
        assert!(page.text().contains("id=\"device-allow\""), "{typed}: {}", page.text());
    }
}

/// A slip is told at once by the checksum, and is no guess.
#[tokio::test]
async fn a_mistyped_code_is_told_at_once_and_costs_nothing() {
    let world = World::with(&format!("[limits]\nwrong_user_codes = \"3/h\"\n{CONFIG}{DEVICES}")).await;
    let device = Device::ask(&world, "tv").await;
    let mut browser = browser_of(&world, USER).await;
    let first = if device.user_code.starts_with('B') { 'C' } else { 'B' };
    let mistyped = format!("{first}{}", &device.user_code[1..]);
    for _ in 0..10 {
        let page = browser.get(&format!("/device?user_code={mistyped}")).await;
        assert_eq!(page.status, 400);
        assert!(page.text().contains("A letter of that code is wrong") && page.text().contains(&mistyped));
    }
    assert!(device.page(&mut browser).await.text().contains("id=\"device-allow\""));
}

/// Check B5: RFC 8628 section 5.1, guesses at user codes are limited, by user and by network.
#[tokio::test]
async fn guesses_at_user_codes_are_limited() {
    let world = World::with(&format!("[limits]\nwrong_user_codes = \"3/h\"\n{CONFIG}{DEVICES}")).await;
    let device = Device::ask(&world, "tv").await;
    let mut browser = browser_of(&world, USER).await;
    for random in 0..3_u8 {
        let guess = regrant_core::device::UserCode::new([random + 1; 16]).text();
        assert_eq!(browser.get(&format!("/device?user_code={guess}")).await.status, 400);
    }
    let page = device.page(&mut browser).await;
    assert_eq!(page.status, 429, "also the right one waits");
    assert!(page.text().contains("Too many wrong codes") && !page.header("retry-after").is_empty());
    world.add_user("bob").await;
    let mut bob = browser_of(&world, "bob").await;
    assert!(
        device.page(&mut bob).await.text().contains("id=\"device-allow\""),
        "others of his network guessed, not he"
    );
    let guess = regrant_core::device::UserCode::new([9; 16]).text();
    assert_eq!(bob.get(&format!("/device?user_code={guess}")).await.status, 400);
    assert_eq!(device.page(&mut bob).await.status, 429, "of a network that has guessed each user has one guess");
    let mut elsewhere = bob.moved_to("127.0.0.9");
    assert!(device.page(&mut elsewhere).await.text().contains("id=\"device-allow\""));
    let mut guesser = browser.moved_to("127.0.0.9");
    assert_eq!(device.page(&mut guesser).await.status, 429, "the user has, wherever he goes");
}

/// No other site makes a user's browser guess: what its links carry stands in the field, and nothing is looked up.
#[tokio::test]
async fn a_link_of_another_site_is_no_guess() {
    let world = World::with(&format!("[limits]\nwrong_user_codes = \"3/h\"\n{CONFIG}{DEVICES}")).await;
    let device = Device::ask(&world, "tv").await;
    let mut browser = browser_of(&world, USER).await;
    for random in 0..9_u8 {
        let guess = regrant_core::device::UserCode::new([random + 1; 16]).text();
        let page = browser.get_from_another_site(&format!("/device?user_code={guess}")).await.expect_status(200).text();
        assert!(page.contains(&guess) && !page.contains("role=\"alert\""), "{page}");
    }
    let page = browser.get_from_another_site(&format!("/device?user_code={}", device.user_code)).await.text();
    assert!(page.contains(&device.user_code) && !page.contains("id=\"device-allow\""));
    assert!(device.page(&mut browser).await.text().contains("id=\"device-allow\""));
}

/// Checks W11, W14, W16: no other site, session or page answers for the user.
#[tokio::test]
async fn only_the_page_that_was_shown_can_answer() {
    let world = devices().await;
    world.add_user("bob").await;
    let (device, other) = (Device::ask(&world, "tv").await, Device::ask(&world, "tv").await);
    let (mut browser, mut bob) = (browser_of(&world, USER).await, browser_of(&world, "bob").await);
    let csrf = |page: &str| form(page).hidden.into_iter().find(|(name, _)| name == "csrf").expect("a token").1;
    let of_other = csrf(&other.page(&mut browser).await.text());
    let of_bob = csrf(&device.page(&mut bob).await.text());
    for token in ["", "x", &of_other, &of_bob] {
        let fields = [("user_code", device.user_code.as_str()), ("csrf", token), ("decision", "allow")];
        assert_eq!(browser.post("/device", &fields).await.status, 403, "{token}");
    }
    device.poll(&world).await.expect_error(400, "authorization_pending");
}

/// Of two answers the first counts.
#[tokio::test]
async fn a_device_is_answered_once() {
    let world = devices().await;
    world.add_user("bob").await;
    let device = Device::ask(&world, "tv").await;
    let (mut browser, mut bob) = (browser_of(&world, USER).await, browser_of(&world, "bob").await);
    let (page, bobs) = (device.page(&mut browser).await, device.page(&mut bob).await);
    assert_eq!(browser.submit(&page, &[("decision", "allow")]).await.status, 200);
    assert_eq!(bob.submit(&bobs, &[("decision", "deny")]).await.status, 400, "it is answered");
    assert_eq!(browser.submit(&page, &[("decision", "allow")]).await.status, 400);
    assert_eq!(device.poll(&world).await.status, 200);
}

/// What a user allowed a client before is no answer to a device: it may be anybody's.
#[tokio::test]
async fn a_device_is_asked_about_each_time() {
    let world = devices().await;
    let mut browser = browser_of(&world, USER).await;
    for _ in 0..2 {
        let device = Device::ask(&world, "tv").await;
        assert_eq!(device.answer(&mut browser, "allow").await.status, 200);
        assert_eq!(device.poll(&world).await.status, 200);
    }
}
