//! OpenID Connect RP-Initiated Logout 1.0.
//!
//! - 2: "OPs MUST support the use of the HTTP GET and POST methods defined in RFC 7231 at the Logout Endpoint."
//! - 2: `post_logout_redirect_uri`, "The value MUST have been previously registered with the OP".
//! - 2: "When both client_id and id_token_hint are present, the OP MUST verify that the Client Identifier matches the one used when
//!   issuing the ID Token."
//! - 3: "The OP MUST NOT perform post-logout redirection if the post_logout_redirect_uri value supplied does not exactly match one of the
//!   previously registered post_logout_redirect_uris values."

use std::time::Duration;

use regrant_server::form::write;
use sim::wire::browser::parameter;
use sim::wire::{Browser, Reply, USER, World, authorization, text};

use super::support::{browser_of, id_token, log_in_to, sid, subject, told_at};

const BYE: &str = "https://app.example/bye";

async fn world() -> World {
    World::with(&told_at("", "")).await
}

fn at(parameters: &[(&str, &str)]) -> String {
    format!("/oauth2/logout?{}", write(parameters))
}

fn asks(reply: &Reply) -> bool {
    reply.status == 200 && reply.text().contains("id=\"logout-confirm\"")
}

async fn is_logged_in(browser: &mut Browser) -> bool {
    browser.get("/logout").await.text().contains("You are logged in as")
}

/// The whole way: asked, confirmed, sent back with `state` as it was sent.
#[tokio::test]
async fn a_user_is_asked_and_then_sent_back() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let parameters = [("client_id", "shop"), ("post_logout_redirect_uri", BYE), ("state", "a b&=%+ä")];
    let page = browser.get(&at(&parameters)).await;
    assert!(asks(&page) && page.text().contains("The Shop"), "{}", page.text());
    assert!(page.header("content-security-policy").contains("form-action 'self' https:;"));
    assert!(is_logged_in(&mut browser).await, "asking ends nothing");
    let back = browser.submit(&page, &[]).await;
    assert_eq!(back.status, 303);
    let location = back.header("location");
    assert!(location.starts_with("https://app.example/bye?"), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("a b&=%+ä"));
    assert!(!is_logged_in(&mut browser).await);
}

/// Section 2: a query that the registered URI has stays, and no `state` is sent that none was sent with.
#[tokio::test]
async fn a_registered_query_stays() {
    let world = world().await;
    let uri = "https://app.example/bye?from=op";
    for (state, expected) in [(None, uri.to_owned()), (Some("s"), format!("{uri}&state=s"))] {
        let mut parameters = vec![("client_id", "shop"), ("post_logout_redirect_uri", uri)];
        parameters.extend(state.map(|state| ("state", state)));
        let mut browser = browser_of(&world, USER).await;
        let page = browser.get(&at(&parameters)).await;
        assert_eq!(browser.submit(&page, &[]).await.header("location"), expected);
    }
}

/// "OPs MUST support the use of the HTTP GET and POST methods": a POST of an application, which brings no cookie, becomes a GET.
#[tokio::test]
async fn a_logout_may_be_asked_for_by_post() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let parameters = [("client_id", "shop"), ("post_logout_redirect_uri", BYE), ("state", "s")];
    let reply = world.http().post("/oauth2/logout", &parameters, &[]).await;
    assert_eq!(reply.status, 303);
    let page = browser.get(&reply.header("location")).await;
    assert!(asks(&page));
    assert_eq!(browser.submit(&page, &[]).await.header("location"), format!("{BYE}?state=s"));
}

/// What the application kept out of its URL by a POST does not get into one of ours: histories and logs of proxies hold no ID token. Nor is
/// one too long that a URL could not carry.
#[tokio::test]
async fn an_id_token_that_was_posted_stands_in_no_url() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    log_in_to(&mut browser, "shop").await;
    let sid = sid(&mut browser, &world).await;
    let token = id_token(&world, "shop", &subject(&world).await, Some(&sid));
    let padding = "x".repeat(12_000);
    let parameters = [
        ("id_token_hint", token.as_str()),
        ("post_logout_redirect_uri", BYE),
        ("state", "s p"),
        ("ui_locales", "de"),
        ("logout_hint", padding.as_str()),
    ];
    let reply = world.http().post("/oauth2/logout", &parameters, &[]).await;
    let location = reply.header("location");
    assert_eq!(reply.status, 303);
    assert!(!location.contains("eyJ") && !location.contains(&token) && location.len() < 1000, "{location}");
    assert!(location.contains("client_id=shop") && location.contains("ui_locales=de"), "{location}");
    for changed in
        [location.replace("rgl_", "rgq_"), location.replace("rgl_", "rgl_A"), location.replace("shop", "mail")]
    {
        assert_eq!(browser.get(&changed).await.status, 400, "{changed}");
    }
    assert!(is_logged_in(&mut browser).await);
    assert_eq!(
        browser.get(&location).await.header("location"),
        format!("{BYE}?state=s%20p"),
        "of this very session: not asked"
    );
    assert!(!is_logged_in(&mut browser).await);
    for bad in
        [("id_token_hint", "eyJ.x.y"), ("client_id", "nobody"), ("post_logout_redirect_uri", "https://evil.example/")]
    {
        assert_eq!(world.http().post("/oauth2/logout", &[bad], &[]).await.status, 400, "{bad:?}");
    }
    let endless = "x".repeat(40_000);
    assert_eq!(world.http().post("/oauth2/logout", &[("logout_hint", &endless)], &[]).await.status, 400);
}

/// Check R7: "The OP MUST NOT perform post-logout redirection if the post_logout_redirect_uri value supplied does not exactly match".
#[tokio::test]
async fn nobody_is_sent_to_what_is_not_registered() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let token = id_token(&world, "shop", &subject(&world).await, None);
    for bad in [
        "https://evil.example/",
        "https://app.example/bye/",
        "https://app.example/bye?x",
        "https://app.example/bye#",
        "https://app.example/Bye",
        "https://app.example:443/bye",
        "http://app.example/bye",
        "https://app.example/cb",
        "https://mail.example/bye",
        "//app.example/bye",
        "javascript:alert(1)",
        "https://app.example/bye\r\nx: y",
    ] {
        for known in [("client_id", "shop"), ("id_token_hint", token.as_str()), ("logout_hint", "shop")] {
            let reply = browser.get(&at(&[known, ("post_logout_redirect_uri", bad)])).await;
            assert_eq!((reply.status.as_u16(), reply.header("location").as_str()), (400, ""), "{bad}");
        }
    }
    let reply = browser.get(&at(&[("post_logout_redirect_uri", BYE)])).await;
    assert_eq!(reply.status, 400, "whose it is must be known");
    assert!(is_logged_in(&mut browser).await, "and nothing ends");
}

/// "If … the id_token_hint … is that of another RP": the hint and `client_id` must be of one client.
#[tokio::test]
async fn a_hint_of_another_client_is_refused() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let token = id_token(&world, "shop", &subject(&world).await, None);
    let reply = browser.get(&at(&[("id_token_hint", &token), ("client_id", "mail")])).await;
    assert_eq!(reply.status, 400);
    let reply = browser.get(&at(&[("client_id", "nobody")])).await;
    assert_eq!(reply.status, 400);
    assert!(is_logged_in(&mut browser).await);
}

/// A hint that this server did not sign, or that is another kind of token, is none.
#[tokio::test]
async fn a_hint_that_is_not_ours_is_refused() {
    let world = world().await;
    let subject = subject(&world).await;
    let own = id_token(&world, "shop", &subject, None);
    let access = text(&world.grant("web").await, "access_token");
    let mut modified = own.clone();
    let last = modified.pop().expect("a character");
    modified.insert(own.len() - 40, if last == 'A' { 'B' } else { 'A' });
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", own.split('.').nth(1).expect("a payload"));
    let mut browser = browser_of(&world, USER).await;
    for bad in [access.as_str(), &modified, &unsigned, "x", "a.b.c"] {
        let reply = browser.get(&at(&[("id_token_hint", bad), ("post_logout_redirect_uri", BYE)])).await;
        assert_eq!((reply.status.as_u16(), reply.header("location").as_str()), (400, ""), "{bad}");
    }
    assert!(is_logged_in(&mut browser).await);
}

/// An ID token outlives the key that signed it in the hands of its client. Such a hint says nothing: the user is asked, and is sent on only
/// for the sake of a client that is named beside it.
#[tokio::test]
async fn a_hint_of_a_key_that_is_gone_is_no_hint() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let sid = sid(&mut browser, &world).await;
    let gone = id_token(&world, "shop", &subject(&world).await, Some(&sid));
    let kid = regrant_jose::Unverified::parse(&gone).expect("a token").header().kid.clone().expect("a kid");
    let _ = world.app.admin().compromise_key("signing", &kid).await.expect("compromised");
    for (named, next) in [(&[][..], false), (&[("client_id", "shop")], true)] {
        let hint = [named, &[("id_token_hint", &gone), ("post_logout_redirect_uri", BYE)]].concat();
        let page = browser.get(&at(&hint)).await;
        assert!(asks(&page), "{}", page.text());
        assert!(is_logged_in(&mut browser).await);
        let reply = browser.submit(&page, &[]).await;
        assert_eq!(reply.header("location") == BYE, next, "{}", reply.header("location"));
        assert!(!is_logged_in(&mut browser).await);
        browser = browser_of(&world, USER).await;
    }
    let reply = browser.get(&at(&[("id_token_hint", &gone), ("client_id", "nobody")])).await;
    assert_eq!(reply.status, 400, "and what is named beside it is looked at");
}

/// A hint of this very session logs out at once, also when it is long expired (section 4).
#[tokio::test]
async fn a_hint_of_this_session_is_enough_however_old_it_is() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let sid = sid(&mut browser, &world).await;
    let token = id_token(&world, "shop", &subject(&world).await, Some(&sid));
    world.advance(Duration::from_secs(6 * 3600));
    let reply = browser.get(&at(&[("id_token_hint", &token), ("post_logout_redirect_uri", BYE), ("state", "s")])).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, format!("{BYE}?state=s")), "{}", reply.text());
    assert!(!is_logged_in(&mut browser).await);
}

/// Without a hint, or with one of another session or user, the user is asked: "the OP MUST ask the End-User this question if …".
#[tokio::test]
async fn without_a_hint_of_this_session_the_user_is_always_asked() {
    let world = world().await;
    world.add_user("bob").await;
    let (mut browser, mut other) = (browser_of(&world, USER).await, browser_of(&world, USER).await);
    let mut bob = browser_of(&world, "bob").await;
    let me = subject(&world).await;
    let (others, bobs) = (sid(&mut other, &world).await, sid(&mut bob, &world).await);
    assert_ne!(others, sid(&mut browser, &world).await, "each browser's is its own");
    let own = sid(&mut browser, &world).await;
    for token in [
        id_token(&world, "shop", &me, None),
        id_token(&world, "shop", &me, Some(&others)),
        id_token(&world, "shop", &me, Some(&bobs)),
        id_token(&world, "shop", "usr_other", Some(&own)),
    ] {
        assert!(asks(&browser.get(&at(&[("id_token_hint", &token), ("post_logout_redirect_uri", BYE)])).await));
    }
    for parameters in
        [&[][..], &[("client_id", "shop")], &[("logout_hint", "x"), ("ui_locales", "de fr")], &[("state", "s")]]
    {
        assert!(asks(&browser.get(&at(parameters)).await), "{parameters:?}");
    }
    assert!(is_logged_in(&mut browser).await);
}

/// Where nobody is logged in there is nothing to ask.
#[tokio::test]
async fn without_a_session_the_user_goes_on_at_once() {
    let world = world().await;
    let parameters = [("client_id", "shop"), ("post_logout_redirect_uri", BYE)];
    assert_eq!(world.browser().get(&at(&parameters)).await.header("location"), BYE);
    let page = world.browser().get("/oauth2/logout").await.expect_status(200);
    assert!(page.text().contains("You are logged out"));
}

/// Checks W11, W14: the confirmation is bound to the very request that was shown.
#[tokio::test]
async fn a_confirmation_is_good_for_its_own_request_only() {
    let world = world().await;
    let mut browser = browser_of(&world, USER).await;
    let page = browser.get(&at(&[("client_id", "shop"), ("post_logout_redirect_uri", BYE)])).await;
    let hidden = sim::wire::browser::form(&page.text()).hidden;
    let csrf = &hidden.iter().find(|(name, _)| name == "csrf").expect("a token").1;
    let other = write(&[("client_id", "mail"), ("post_logout_redirect_uri", "https://mail.example/bye")]);
    for request in ["", other.as_str()] {
        assert_eq!(browser.post("/logout", &[("csrf", csrf), ("request", request)]).await.status, 403);
    }
    assert!(is_logged_in(&mut browser).await);
}

/// Checks T23, T24, T25: what a logout does to grants is `on_logout`: those of the session end with it, unless they may outlive it.
#[tokio::test]
async fn grants_end_with_the_session_unless_they_have_offline_access() {
    let config = format!("[revocation]\non_logout = \"end_online\"\n{}", told_at("", ""));
    let world = World::with(&config).await;
    let mut browser = browser_of(&world, USER).await;
    let mut tokens = Vec::new();
    for scope in ["openid read", "openid read offline_access"] {
        let code = browser.log_in_for_code(&authorization("shop", &[("scope", scope)])).await;
        tokens.push(text(&world.redeem("shop", &code).await.expect_status(200).json(), "refresh_token"));
    }
    let page = browser.get(&at(&[])).await;
    assert_eq!(browser.submit(&page, &[]).await.status, 200);
    world.refresh("shop", &tokens[0]).await.expect_error(400, "invalid_grant");
    assert_eq!(world.refresh("shop", &tokens[1]).await.status, 200);
}

/// Check T26: a client's own `on_logout` goes before that of all clients, also when another user takes over the browser; what a client got in
/// another session is not concerned.
#[tokio::test]
async fn each_client_may_say_itself_what_a_logout_ends() {
    for (all, own, scope, shop_lives, mail_lives) in [
        ("keep", "end", "openid read offline_access", false, true),
        ("keep", "end_online", "openid read", false, true),
        ("keep", "end_online", "openid read offline_access", true, true),
        ("end", "keep", "openid read", true, false),
        ("end", "end_online", "openid read offline_access", true, false),
        ("end", "end", "openid read", false, false),
        ("end_online", "keep", "openid read", true, false),
    ] {
        for taken_over in [false, true] {
            let clients = told_at(&format!("on_logout = \"{own}\""), "");
            let world = World::with(&format!("[revocation]\non_logout = \"{all}\"\n{clients}")).await;
            world.add_user("bob").await;
            let (mut browser, mut elsewhere) = (browser_of(&world, USER).await, browser_of(&world, USER).await);
            let token = async |browser: &mut Browser, client, scope| {
                let code = browser.log_in_for_code(&authorization(client, &[("scope", scope)])).await;
                text(&world.redeem(client, &code).await.expect_status(200).json(), "refresh_token")
            };
            let shop = token(&mut browser, "shop", scope).await;
            let mail = token(&mut browser, "mail", "openid read").await;
            let other = token(&mut elsewhere, "shop", scope).await;
            if taken_over {
                let page = browser.get(&authorization("shop", &[("prompt", "login")])).await;
                browser.log_in(&page, "bob").await;
            } else {
                let page = browser.get(&at(&[])).await;
                assert_eq!(browser.submit(&page, &[]).await.status, 200);
            }
            for (client, token, lives) in
                [("shop", &shop, shop_lives), ("mail", &mail, mail_lives), ("shop", &other, true)]
            {
                let status = if lives { 200 } else { 400 };
                assert_eq!(
                    world.refresh(client, token).await.status,
                    status,
                    "{all} {own} {scope} {client} {taken_over}"
                );
            }
        }
    }
}

/// A user who logs in again in the same browser goes on in the same session: what was given in it before ends with it, too.
#[tokio::test]
async fn a_session_is_one_however_often_its_user_logs_in() {
    let config = format!("[revocation]\non_logout = \"end\"\n{}", told_at("", ""));
    let world = World::with(&config).await;
    let mut browser = browser_of(&world, USER).await;
    let before = sid(&mut browser, &world).await;
    let code = browser.log_in_for_code(&authorization("shop", &[])).await;
    let token = text(&world.redeem("shop", &code).await.json(), "refresh_token");
    let page = browser.get(&authorization("shop", &[("prompt", "login")])).await;
    browser.log_in(&page, USER).await;
    assert_eq!(sid(&mut browser, &world).await, before);
    let page = browser.get(&at(&[])).await;
    assert_eq!(browser.submit(&page, &[]).await.status, 200);
    world.refresh("shop", &token).await.expect_error(400, "invalid_grant");
    let page = browser.get("/device").await;
    browser.log_in(&page, USER).await;
    assert_ne!(sid(&mut browser, &world).await, before, "another session after that");
}

/// What is announced works (section 2.1).
#[tokio::test]
async fn the_logout_endpoint_is_announced() {
    for base in ["", "/op"] {
        let world = World::at_path(base).await;
        let metadata = world.http().get(&format!("{base}/.well-known/openid-configuration"), &[]).await.json();
        let endpoint = text(&metadata, "end_session_endpoint");
        let path = endpoint.strip_prefix(&world.base).expect("its own").to_owned();
        assert_eq!(world.http().get(&path, &[]).await.status, 200);
    }
}
