//! A logout, and what meets it on its way. Where `on_logout` is `"end"`:
//!
//! - the session, its grants and what tells its clients end in one commit: all of it, or nothing;
//! - OpenID Connect Front-Channel Logout section 2: the page behind it has a frame for each client of this session and for no other;
//! - law L9: of what was refreshed, redeemed or authorized meanwhile nothing works once the page is there.

use regrant_server::form::write;
use regrant_store::Cause;
use serde_json::Value;
use sim::wire::browser::parameter;
use sim::wire::story::is_active;
use sim::wire::{Browser, Reply, USER, World, authorization, text};

use super::support::{browser_of, log_in_to, told_at};

async fn world() -> World {
    let frame = |name: &str| format!("frontchannel_logout_uri = \"https://{name}.example/out\"");
    World::with(&format!("[revocation]\non_logout = \"end\"\n{}", told_at(&frame("shop"), &frame("mail")))).await
}

/// First tokens of a client in this browser's session: access and refresh token.
async fn connect(world: &World, browser: &mut Browser, client: &str) -> (String, String) {
    let location = log_in_to(browser, client).await;
    let code = parameter(&location, "code").expect("a code");
    pair(&world.redeem(client, &code).await.expect_status(200).json())
}

fn pair(answer: &Value) -> (String, String) {
    (text(answer, "access_token"), text(answer, "refresh_token"))
}

/// The places of the frames of a page.
fn frames(page: &Reply) -> Vec<String> {
    let html = page.text().replace("&#x2f;", "/");
    let places = html.split("<iframe").skip(1).map(|rest| rest.split("src=\"").nth(1).expect("a place"));
    places.map(|rest| rest.split('"').next().expect("its end").to_owned()).collect()
}

/// Asks for a code without a page, in the session of this browser.
async fn silently(browser: &mut Browser) -> Result<String, String> {
    let more = [("scope", "openid read"), ("prompt", "none")];
    let location = browser.get(&authorization("shop", &more)).await.header("location");
    parameter(&location, "code").ok_or_else(|| parameter(&location, "error").unwrap_or_default())
}

/// Law L9: thirty logouts, each met by refreshes, by a code that is redeemed and by requests for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_works_behind_a_logout_whatever_met_it() {
    let world = world().await;
    let (mut before, mut behind) = (0, 0);
    for round in 0..30 {
        let (mut here, mut there) = (browser_of(&world, USER).await, browser_of(&world, USER).await);
        let shop = connect(&world, &mut here, "shop").await;
        let mail = connect(&world, &mut there, "mail").await;
        let spare = parameter(&log_in_to(&mut here, "shop").await, "code").expect("a code");
        let page = here.get("/oauth2/logout").await;
        let (mut asking, redeemed) = (here.clone(), spare.clone());
        // Whoever comes first: the writer is kept waiting until all are there, or it is not.
        if round % 3 == 0 {
            world.watch.hold();
        }
        let log_out = async {
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            here.submit(&page, &[]).await
        };
        let refresh = async {
            let (mut heard, mut token) = (Vec::new(), shop.1.clone());
            for _ in 0..4 {
                let reply = world.refresh("shop", &token).await;
                if reply.status != 200 {
                    assert_eq!(reply.status, 400, "{}", reply.text());
                    break;
                }
                heard.push(pair(&reply.json()));
                token = text(&reply.json(), "refresh_token");
            }
            heard
        };
        let authorize = async {
            let mut codes = Vec::new();
            for _ in 0..4 {
                codes.extend(silently(&mut asking).await.ok());
            }
            codes
        };
        let redeem = async { world.redeem("shop", &redeemed).await };
        let release = async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            world.watch.release();
        };
        let (page, refreshed, codes, answer, ()) = tokio::join!(log_out, refresh, authorize, redeem, release);
        assert_eq!(page.status, 200, "{}", page.text());
        assert_eq!(frames(&page), ["https://shop.example/out"], "round {round}");
        before += refreshed.len();
        behind += usize::from(refreshed.len() < 4);
        let mut tokens = refreshed;
        tokens.push(shop);
        if answer.status == 200 {
            tokens.push(pair(&answer.json()));
        }
        for (access, refresh) in &tokens {
            assert!(!is_active(&world, access).await, "round {round}");
            world.refresh("shop", refresh).await.expect_error(400, "invalid_grant");
        }
        for code in codes.iter().chain([&spare]) {
            world.redeem("shop", code).await.expect_error(400, "invalid_grant");
        }
        assert_eq!(silently(&mut here).await, Err("login_required".to_owned()));
        // The same user's other session is not concerned.
        assert!(is_active(&world, &mail.0).await);
        let _ = world.refresh("mail", &mail.1).await.expect_status(200);
    }
    assert!(before > 0 && behind > 0, "both orders were seen: {before} refreshes before, {behind} rounds behind");
}

/// All of it, or nothing: a commit that is not made ends neither the session nor its grants, and frames nobody; one whose answer is lost
/// ended both.
#[tokio::test]
async fn session_and_grants_end_in_one_commit() {
    type Trouble = fn(&World);
    let not_made: [Trouble; 2] = [|world| world.watch.refuse(Cause::Io, 1), |world| world.watch.lose_the_question()];
    for (trouble, is_made) in not_made
        .map(|trouble| (trouble, false))
        .into_iter()
        .chain([((|world| world.watch.lose_the_answer()) as Trouble, true)])
    {
        let world = world().await;
        let mut browser = browser_of(&world, USER).await;
        let shop = connect(&world, &mut browser, "shop").await;
        let page = browser.get("/oauth2/logout").await;
        // The cookie is kept, whatever the answer says: a browser that did not hear it still has it.
        let mut deaf = browser.clone();
        trouble(&world);
        let reply = browser.submit(&page, &[]).await;
        world.watch.heal();
        assert!(is_made || reply.status == 503, "{} {}", reply.status, reply.text());
        assert!(reply.status == 200 || frames(&reply).is_empty());
        let silent = silently(&mut deaf).await;
        let refreshed = world.refresh("shop", &shop.1).await;
        assert_eq!((silent.is_err(), refreshed.status == 400), (is_made, is_made), "{silent:?} {}", refreshed.text());
        if is_made {
            continue;
        }
        // He does it again, and everybody who is to hear of it does.
        let page = deaf.get("/oauth2/logout").await;
        let reply = deaf.submit(&page, &[]).await.expect_status(200);
        assert_eq!(frames(&reply), ["https://shop.example/out"]);
        let (access, refresh) = pair(&refreshed.json());
        assert!(!is_active(&world, &access).await);
        world.refresh("shop", &refresh).await.expect_error(400, "invalid_grant");
        assert_eq!(silently(&mut deaf).await, Err("login_required".to_owned()));
    }
}

/// An application that logs out at once, by its ID token, while the user confirms it in another tab: one session, one end, and each page
/// frames at most the clients of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_logouts_of_one_session_are_one_end() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let location = log_in_to(&mut browser, "shop").await;
    let code = parameter(&location, "code").expect("a code");
    let answer = world.redeem("shop", &code).await.expect_status(200).json();
    let page = browser.get("/oauth2/logout").await;
    let hint = write(&[("id_token_hint", &text(&answer, "id_token"))]);
    let mut other = browser.clone();
    let path = format!("/oauth2/logout?{hint}");
    let (confirmed, at_once) = tokio::join!(browser.submit(&page, &[]), other.get(&path));
    for reply in [&confirmed, &at_once] {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(frames(reply).iter().all(|frame| frame == "https://shop.example/out"), "{}", reply.text());
    }
    assert!(!(frames(&confirmed).is_empty() && frames(&at_once).is_empty()), "somebody tells the shop");
    let (access, refresh) = pair(&answer);
    assert!(!is_active(&world, &access).await);
    world.refresh("shop", &refresh).await.expect_error(400, "invalid_grant");
    assert_eq!(silently(&mut browser).await, Err("login_required".to_owned()));
}
