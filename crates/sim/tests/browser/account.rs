//! A user's own page: RFC 9700 section 4.14.2 and OAuth 2.1 section 7.9: users list and revoke what they gave.

use std::time::Duration;

use serde_json::Value;
use sim::wire::story::{is_active, next, refused, secs, tokens, world};
use sim::wire::{Browser, CONFIG, PASSWORD, Reply, USER, World, authorization, text};

use super::support::{Chance, is_consent, is_login, logged_in};

const PAGE: &str = "/account";
const DAY: u64 = 86_400;

/// A form of the page with what is hidden in all of them.
async fn act(browser: &mut Browser, fields: &[(&str, &str)]) -> Reply {
    let page = browser.get(PAGE).await;
    let mut fields = fields.to_vec();
    let csrf = csrf(&page);
    fields.push(("csrf", &csrf));
    browser.post(PAGE, &fields).await
}

fn csrf(page: &Reply) -> String {
    let text = page.text();
    let after = text.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no form in {text}")).1;
    after.split_once('"').expect("a value").0.to_owned()
}

/// The grants on the page.
fn listed(page: &Reply) -> Vec<String> {
    let text = page.text();
    let ids = text.split("name=\"grant\" value=\"").skip(1);
    ids.map(|rest| rest.split_once('"').expect("a value").0.to_owned()).collect()
}

/// Connects `client` through this browser: its first tokens.
async fn connect(world: &World, browser: &mut Browser, client: &str) -> Value {
    let code = browser.log_in_for_code(&authorization(client, &[])).await;
    world.redeem(client, &code).await.expect_status(200).json()
}

async fn done(reply: Reply, word: &str) {
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (303, format!("/account?done={word}")),
        "{}",
        reply.text()
    );
}

/// Whoever is not logged in logs in first, and is then where he wanted to be; no form leads elsewhere (check R13).
#[tokio::test]
async fn the_page_asks_for_a_login_and_goes_on_there() {
    let world = world().await;
    let mut browser = world.browser();
    let page = browser.get(PAGE).await;
    assert!(is_login(&page));
    let page = browser.log_in(&page, USER).await;
    assert!(page.text().contains("id=\"account-password\""), "{}", page.text());
    for elsewhere in ["account/", "//evil.example", "account?x", "https://evil.example/"] {
        let mut browser = world.browser();
        let page = browser.get(PAGE).await;
        let form = sim::wire::browser::form(&page.text());
        let token = form.hidden.iter().find(|(name, _)| name == "csrf").expect("a token").1.clone();
        let fields = [("request", elsewhere), ("csrf", &token), ("username", USER), ("password", PASSWORD)];
        let reply = browser.post("/login", &fields).await;
        assert_eq!(reply.status, 403, "another request has another form token");
    }
}

/// Check W13: what is listed is what can refresh, exactly, whatever was done before. Each step is drawn; the seed is printed.
#[tokio::test]
async fn what_is_listed_is_what_can_refresh() {
    for seed in [3, 17, 4242] {
        println!("seed {seed}");
        let world = world().await;
        let mut chance = Chance::of(seed);
        let mut browser = logged_in(&world, USER).await;
        let clients = ["web", "web-single", "phone", "phone-strict", "opaque", "once"];
        let mut held: Vec<(String, String)> = Vec::new();
        for _ in 0..25 {
            let (client, which) =
                (*chance.pick(&[&clients[0], &clients[1], &clients[2], &clients[3], &clients[4]]), chance.below(10));
            let at = if held.is_empty() { None } else { Some(chance.below(held.len())) };
            match (which, at) {
                (0..=3, _) => {
                    let answer = connect(&world, &mut browser, client).await;
                    held.push((client.to_owned(), text(&answer, "refresh_token")));
                }
                (4, _) => {
                    // A code that nobody redeems, and a grant without a refresh token.
                    let _ = browser.log_in_for_code(&authorization(client, &[])).await;
                    let _ = connect(&world, &mut browser, "once").await;
                }
                (5, Some(at)) => {
                    let (client, token) = &mut held[at];
                    let reply = world.refresh(client, token).await;
                    if reply.status == 200 {
                        *token = next(reply);
                    }
                }
                (6, Some(at)) => {
                    let (client, token) = &held[at];
                    let _ = world.post("/oauth2/revoke", client, &[("token", token)], &[]).await.expect_status(200);
                }
                (7, Some(_)) => {
                    let page = browser.get(PAGE).await;
                    if let Some(id) = listed(&page).first() {
                        done(act(&mut browser, &[("action", "end"), ("grant", id)]).await, "end").await;
                    }
                }
                (8, _) => {
                    let action = *chance.pick(&[&"pause", &"resume", &"withdraw"]);
                    let _ = act(&mut browser, &[("action", action), ("client", client)]).await;
                }
                _ => world.advance(secs(9 * DAY)),
            }
            if !browser.get(PAGE).await.text().contains("account-password") {
                // Twelve hours are over.
                let page = browser.get(PAGE).await;
                let _ = browser.log_in(&page, USER).await;
            }
            let page = browser.get(PAGE).await;
            let mut can = 0;
            for (client, token) in &mut held {
                let reply = world.refresh(client, token).await;
                if reply.status == 200 {
                    can += 1;
                    *token = next(reply);
                }
            }
            assert_eq!(listed(&page).len(), can, "seed {seed}: {}", page.text());
        }
    }
}

/// One application is disconnected, and no other; another user's grant is answered like one that is not there.
#[tokio::test]
async fn one_application_is_disconnected() {
    let world = world().await;
    world.add_user("bob").await;
    let mut browser = world.browser();
    let one = connect(&world, &mut browser, "web").await;
    world.advance(secs(1));
    let other = connect(&world, &mut browser, "phone").await;
    let page = browser.get(PAGE).await;
    assert!(page.text().contains("this browser") && page.text().contains("Web App"), "{}", page.text());
    let ids = listed(&page);
    assert_eq!(ids.len(), 2);
    let mut stranger = logged_in(&world, "bob").await;
    for id in [ids[0].as_str(), "", "x", "0000000000000000000000"] {
        let reply = act(&mut stranger, &[("action", "end"), ("grant", id)]).await;
        assert_eq!(reply.status, 404, "{}", reply.text());
    }
    // The newest use stands first: that of `phone`.
    done(act(&mut browser, &[("action", "end"), ("grant", &ids[1])]).await, "end").await;
    let gone = world.refresh("web", &text(&one, "refresh_token")).await;
    refused(&gone, 400, "invalid_grant", "revoked_by_user");
    assert!(!is_active(&world, &text(&one, "access_token")).await);
    let _ = next(world.refresh("phone", &text(&other, "refresh_token")).await);
    assert_eq!(listed(&browser.get(PAGE).await), [ids[0].clone()]);
}

/// "All others": what this browser's login gave stays, and so does this login.
#[tokio::test]
async fn everything_else_is_disconnected() {
    let world = world().await;
    let (mut here, mut there) = (world.browser(), world.browser());
    let kept = connect(&world, &mut here, "web").await;
    let lost = connect(&world, &mut there, "phone").await;
    let by_password = world.first("web-single").await;
    done(act(&mut here, &[("action", "end_others")]).await, "end_others").await;
    let _ = next(world.refresh("web", &text(&kept, "refresh_token")).await);
    refused(&world.refresh("phone", &text(&lost, "refresh_token")).await, 400, "invalid_grant", "revoked_by_user");
    refused(&world.refresh("web-single", &by_password).await, 400, "invalid_grant", "revoked_by_user");
    assert!(is_login(&there.get(PAGE).await), "the other login has ended");
    assert!(!is_login(&here.get(PAGE).await));
}

/// What an operator has ended meanwhile, and then takes back, does not come back for a user who has ended it: and what stays, stays.
#[tokio::test]
async fn all_others_are_disconnected_for_good_whatever_an_operator_does() {
    use regrant_server::admin::blacklist::Selection;
    use regrant_server::admin::import::Effect;
    let world = world().await;
    let (mut here, mut there) = (world.browser(), world.browser());
    let kept = connect(&world, &mut here, "web").await;
    let lost = connect(&world, &mut there, "phone").await;
    let everything = Selection { client: Some("phone".to_owned()), ..Selection::default() };
    let bulk = world.app.admin().revoke_selected(&everything, Effect::Write, "a mistake").await.expect("revoked");
    done(act(&mut here, &[("action", "end_others")]).await, "end_others").await;
    world.app.admin().undo_revocation(bulk.id.expect("a number")).await.expect("in time");
    let _ = next(world.refresh("web", &text(&kept, "refresh_token")).await);
    refused(&world.refresh("phone", &text(&lost, "refresh_token")).await, 400, "invalid_grant", "revoked_by_user");
    let again = connect(&world, &mut there, "phone").await;
    let _ = next(world.refresh("phone", &text(&again, "refresh_token")).await);
}

/// Law L9: whoever has the user's browser disconnects all others as often as he likes, and there is room still for what shuts him out.
#[tokio::test]
async fn a_thief_in_the_browser_cannot_take_the_room_of_his_own_end() {
    let world = world().await;
    for (round, reason) in ["password_changed", "user_disabled", "user_revoked"].into_iter().enumerate() {
        let mut thief = world.browser();
        let stolen = text(&connect(&world, &mut thief, "web").await, "refresh_token");
        for _ in 0..300 {
            done(act(&mut thief, &[("action", "end_others")]).await, "end_others").await;
        }
        let stolen = next(world.refresh("web", &stolen).await);
        let admin = world.app.admin();
        match round {
            0 => admin.set_password(USER, PASSWORD.to_owned().into()).await.expect("a new password"),
            1 => {
                admin.set_user_disabled(USER, true).await.expect("off");
                admin.set_user_disabled(USER, false).await.expect("and on");
            }
            _ => {
                let all =
                    regrant_server::admin::blacklist::Selection { user: Some(USER.to_owned()), ..Default::default() };
                let effect = regrant_server::admin::import::Effect::Write;
                let _ = admin.revoke_selected(&all, effect, "a thief").await.expect("there is room");
            }
        }
        refused(&world.refresh("web", &stolen).await, 400, "invalid_grant", reason);
    }
}

/// Check X9: each form is a row or two: a user's are limited as codes are.
#[tokio::test]
async fn the_forms_of_a_user_are_limited() {
    let world = World::with(&format!("{CONFIG}\n[limits]\ncodes_per_user = \"3/m\"\n")).await;
    let mut browser = logged_in(&world, USER).await;
    for _ in 0..3 {
        done(act(&mut browser, &[("action", "end_others")]).await, "end_others").await;
    }
    let reply = act(&mut browser, &[("action", "end_others")]).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after").is_empty()), (429, false), "{}", reply.text());
    world.advance(std::time::Duration::from_secs(21));
    done(act(&mut browser, &[("action", "end_others")]).await, "end_others").await;
}

/// "All": one durable write ends every grant and every login, also this one.
#[tokio::test]
async fn everything_is_disconnected() {
    let world = world().await;
    let mut browser = world.browser();
    let held = connect(&world, &mut browser, "web").await;
    let by_password = world.first("web-single").await;
    let reply = act(&mut browser, &[("action", "end_all")]).await;
    assert!(reply.status == 200 && reply.text().contains("Logged out"), "{}", reply.text());
    refused(&world.refresh("web", &text(&held, "refresh_token")).await, 400, "invalid_grant", "revoked_by_user");
    refused(&world.refresh("web-single", &by_password).await, 400, "invalid_grant", "revoked_by_user");
    assert!(!is_active(&world, &text(&held, "access_token")).await);
    assert!(is_login(&browser.get(PAGE).await));
    let _ = connect(&world, &mut browser, "web").await;
}

/// A paused application gets nothing, keeps its token, and goes on with it. It hears no `invalid_grant`, by which it would throw it away.
#[tokio::test]
async fn a_paused_application_goes_on_later() {
    let world = world().await;
    let mut browser = world.browser();
    let (access, refresh) = tokens_of(&connect(&world, &mut browser, "web").await);
    done(act(&mut browser, &[("action", "pause"), ("client", "web")]).await, "pause").await;
    refused(&world.refresh("web", &refresh).await, 400, "access_denied", "consent_paused");
    assert!(!is_active(&world, &access).await);
    assert!(listed(&browser.get(PAGE).await).is_empty());
    let code = world.code("phone").await;
    assert_eq!(world.redeem("phone", &code).await.status, 200, "another application is not paused");
    // Asked for anew, it has to ask the user.
    assert!(is_consent(&browser.get(&authorization("web", &[])).await));
    done(act(&mut browser, &[("action", "resume"), ("client", "web")]).await, "resume").await;
    assert!(is_active(&world, &access).await);
    let (_, _) = tokens(world.refresh("web", &refresh).await);
}

/// What a user gave until a day ends with that day, to the second, and says so before.
#[tokio::test]
async fn a_permission_ends_on_its_day() {
    let world = world().await;
    let mut browser = world.browser();
    let (access, refresh) = tokens_of(&connect(&world, &mut browser, "web").await);
    for (day, error) in
        [("2025-12-31", "over"), ("yesterday", "not a date"), ("2026-13-01", "not a date"), ("9999-12-31", "")]
    {
        let reply = act(&mut browser, &[("action", "until"), ("client", "web"), ("date", day)]).await;
        assert!(reply.status == 400 && reply.text().contains(error), "{day}: {}", reply.text());
    }
    // The world began at midnight: this day and the next are left.
    let date = [("action", "until"), ("client", "web"), ("date", "2026-01-02")];
    done(act(&mut browser, &date).await, "until").await;
    let answer = world.refresh("web", &refresh).await.expect_status(200).json();
    assert_eq!(
        (answer["refresh_token_expires_in"].as_u64(), answer["authorization_expires_in"].as_u64()),
        (Some(2 * DAY), Some(2 * DAY))
    );
    let code = browser.log_in_for_code(&authorization("web", &[])).await;
    let again = world.redeem("web", &code).await.expect_status(200).json();
    assert_eq!(again["refresh_token_expires_in"].as_u64(), Some(2 * DAY), "a new grant ends then, too");
    world.advance(secs(2 * DAY) - Duration::from_millis(1));
    let _ = next(world.refresh("web", &refresh).await);
    world.advance(Duration::from_millis(1));
    refused(&world.refresh("web", &refresh).await, 400, "invalid_grant", "consent_over");
    assert!(!is_active(&world, &access).await);
}

/// Consent for another resource is a consent of its own; the day is the client's.
#[tokio::test]
async fn a_permission_for_another_place_ends_on_the_same_day() {
    let world = world().await;
    let mut browser = world.browser();
    let at = |scope, resource| authorization("web", &[("scope", scope), ("resource", resource)]);
    let location = browser.authorize_as(&at("read", "https://api.example/"), USER).await;
    assert!(location.contains("code="), "{location}");
    let date = [("action", "until"), ("client", "web"), ("date", "2026-01-02")];
    done(act(&mut browser, &date).await, "until").await;
    let page = browser.get(&at("files", "https://files.example/")).await;
    assert!(is_consent(&page), "{}", page.text());
    let location = browser.submit(&page, &[("decision", "allow")]).await.header("location");
    let code = sim::wire::browser::parameter(&location, "code").expect("a code");
    let elsewhere = world.redeem("web", &code).await.expect_status(200).json();
    assert_eq!(elsewhere["refresh_token_expires_in"].as_u64(), Some(2 * DAY), "{elsewhere}");
}

/// A permission that is withdrawn ends what it gave, and is asked for again.
#[tokio::test]
async fn a_withdrawn_permission_ends_what_it_gave() {
    let world = world().await;
    let mut browser = world.browser();
    let (access, refresh) = tokens_of(&connect(&world, &mut browser, "web").await);
    let other = text(&connect(&world, &mut browser, "phone").await, "refresh_token");
    done(act(&mut browser, &[("action", "withdraw"), ("client", "web")]).await, "withdraw").await;
    refused(&world.refresh("web", &refresh).await, 400, "invalid_grant", "consent_withdrawn");
    assert!(!is_active(&world, &access).await);
    let _ = next(world.refresh("phone", &other).await);
    assert!(is_consent(&browser.get(&authorization("web", &[])).await));
    let reply = act(&mut browser, &[("action", "withdraw"), ("client", "web")]).await;
    assert_eq!(reply.status, 404, "it is not there any more");
}

/// The password is changed by whoever knows it; other logins end, this one goes on.
#[tokio::test]
async fn the_password_is_changed_by_who_knows_it() {
    let world = world().await;
    let (mut here, mut there) = (logged_in(&world, USER).await, logged_in(&world, USER).await);
    let new = "another fine password";
    let change = |now: &'static str, new: &'static str| {
        [("action", "password"), ("current_password", now), ("new_password", new)]
    };
    for (fields, status) in [(change("wrong", new), 401), (change(PASSWORD, "short"), 400), (change("", new), 400)] {
        let reply = act(&mut here, &fields).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(reply.text().contains("id=\"account-error\""));
    }
    assert!(!is_login(&there.get(PAGE).await), "nothing has changed yet");
    done(act(&mut here, &change(PASSWORD, new)).await, "password").await;
    assert!(is_login(&there.get(PAGE).await));
    assert!(here.get("/account?done=password").await.text().contains("Your password is changed"));
    let page = there.get(PAGE).await;
    let reply = there.submit(&page, &[("username", USER), ("password", PASSWORD)]).await;
    assert_eq!(reply.status, 401, "the old one is of no use");
    let reply = there.submit(&page, &[("username", USER), ("password", new)]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location").as_str()), (303, "/account"));
}

/// Checks W11 and W16: a form of another page, another session or nobody's does nothing; nor does an unknown one.
#[tokio::test]
async fn foreign_forms_change_nothing() {
    let world = world().await;
    world.add_user("bob").await;
    let mut browser = world.browser();
    let held = text(&connect(&world, &mut browser, "web").await, "refresh_token");
    let id = listed(&browser.get(PAGE).await).remove(0);
    let mut stranger = logged_in(&world, "bob").await;
    let foreign = csrf(&stranger.get(PAGE).await);
    let logout = csrf(&browser.get("/logout").await);
    for token in ["", "x", foreign.as_str(), logout.as_str()] {
        let reply = browser.post(PAGE, &[("action", "end"), ("grant", &id), ("csrf", token)]).await;
        assert_eq!(reply.status, 403, "{token}");
    }
    assert_eq!(act(&mut browser, &[("action", "nothing")]).await.status, 400);
    assert!(is_login(&world.browser().post(PAGE, &[("action", "end_all")]).await));
    let _ = next(world.refresh("web", &held).await);
}

/// The own history, and nobody else's: as a file, and without what operators wrote for each other.
#[tokio::test]
async fn the_own_history_is_downloaded() {
    let world = world().await;
    world.add_user("bob").await;
    let mut stranger = logged_in(&world, "bob").await;
    let _ = connect(&world, &mut stranger, "phone").await;
    let mut browser = world.browser();
    let _ = connect(&world, &mut browser, "web").await;
    let reply = browser.get("/account/history").await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-disposition").as_str()),
        (200, "attachment; filename=\"history.json\"")
    );
    assert_eq!(reply.header("cache-control"), "no-store");
    let history = reply.json();
    let kinds: Vec<String> =
        history["events"].as_array().expect("events").iter().map(|event| text(event, "kind")).collect();
    assert_eq!(kinds, ["grant_created", "consent", "login", "admin"], "{history}");
    assert_eq!(history["events"][0]["client"], "web");
    assert!(history["events"][3].get("detail").is_none());
    assert!(is_login(&world.browser().get("/account/history").await));
}

fn tokens_of(answer: &Value) -> (String, String) {
    (text(answer, "access_token"), text(answer, "refresh_token"))
}
