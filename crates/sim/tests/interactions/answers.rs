//! What an application is told, what it may answer, and what follows.

use std::time::Duration;

use serde_json::{Value, json};
use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, START, USER, World, authorization, text};

use super::support::{
    APPLICATION, STRONG, accept, as_client, ask, assert_told, at_consent, challenge, id_token, read, world,
};

const REQUEST: [(&str, &str); 2] = [("scope", "openid read write"), ("resource", "https://api.example/")];

#[tokio::test]
async fn what_is_asked_is_told_in_full() {
    let world = world().await;
    let mut browser = world.browser();
    let more = [("login_hint", "bob"), ("ui_locales", "de en"), ("acr_values", "a b"), ("max_age", "60")];
    let request = authorization("web", &[&REQUEST[..], &more].concat());
    let asked = read(&world, &challenge(&browser.get(&request).await, "login")).await;
    assert_eq!(
        (&asked["kind"], &asked["client"]["id"], &asked["client"]["name"]),
        (&json!("login"), &json!("web"), &json!("Web App"))
    );
    assert_eq!((&asked["client"]["host"], &asked["user"]), (&json!("app.example"), &Value::Null));
    assert_eq!(
        (&asked["login_hint"], &asked["acr_values"], &asked["max_age"]),
        (&json!("bob"), &json!(["a", "b"]), &json!(60))
    );
    assert_eq!(
        (&asked["began_at"], &asked["expires_at"]),
        (&json!("2026-01-01T00:00:00Z"), &json!("2026-01-01T00:10:00Z"))
    );
    let scopes = asked["scope"].as_array().expect("a list");
    let described =
        |name: &str| scopes.iter().find(|scope| scope["name"] == name).map(|scope| scope["description"].clone());
    assert_eq!(
        described("openid"),
        Some(json!("Erfahren, wer Sie sind")),
        "in the language that the request wishes for"
    );
    assert_eq!(described("read"), Some(json!("Read your things")), "the operator's own words");
    assert_eq!(asked["resources"], json!(["https://api.example/"]));
    let (_, consent) = at_consent(&world, &request, json!({"user": USER})).await;
    let asked = read(&world, &consent).await;
    assert_eq!((&asked["kind"], &asked["user"]["name"]), (&json!("consent"), &json!(USER)));
    assert!(text(&asked["user"], "subject").starts_with("usr_") && asked["user"]["session"].is_string());
}

#[tokio::test]
async fn a_login_says_when_how_strongly_and_by_what() {
    let world = world().await;
    let strong = json!({
        "user": "ALICE ", "auth_time": START / 1000 - 30, "acr": STRONG, "amr": ["hwk", "pin"], "claims": {"desk": {"floor": 3}}
    });
    let (mut browser, consent) = at_consent(&world, &authorization("web", &REQUEST), strong).await;
    let back = accept(&world, &consent, json!({"claims": {"ticket": 7}})).await;
    let claims = id_token(&world, &browser.get(&back).await.header("location")).await;
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!(STRONG), &json!(["hwk", "pin"])));
    assert_eq!(
        (&claims["auth_time"], &claims["desk"], &claims["ticket"]),
        (&json!(START / 1000 - 30), &json!({"floor": 3}), &json!(7))
    );
    // The login's are of the session; the consent's of their grant alone.
    let next = browser.get(&authorization("web", &REQUEST)).await.header("location");
    let claims = id_token(&world, &next).await;
    assert_eq!(
        (&claims["acr"], &claims["desk"]["floor"], &claims["ticket"]),
        (&json!(STRONG), &json!(3), &Value::Null)
    );
}

/// OpenID Connect Core section 12.2: what a refreshed ID token says of the login is what the first one said.
#[tokio::test]
async fn a_refreshed_id_token_and_userinfo_say_the_same() {
    let world = world().await;
    let login = json!({"user": USER, "acr": STRONG, "amr": ["hwk"], "claims": {"desk": "north"}});
    let (mut browser, consent) = at_consent(&world, &authorization("web", &[("scope", "openid")]), login).await;
    let back = accept(&world, &consent, json!({})).await;
    let location = browser.get(&back).await.header("location");
    let told = world.redeem("web", &parameter(&location, "code").expect("a code")).await.expect_status(200).json();
    let again = world.refresh("web", &text(&told, "refresh_token")).await.expect_status(200).json();
    let claims = super::support::claims(&text(&again, "id_token"));
    assert_eq!((&claims["acr"], &claims["amr"], &claims["desk"]), (&json!(STRONG), &json!(["hwk"]), &json!("north")));
    let bearer = format!("Bearer {}", text(&again, "access_token"));
    let known = world.http().get("/oauth2/userinfo", &[("authorization", &bearer)]).await.expect_status(200).json();
    assert_eq!(known["desk"], "north");
}

#[tokio::test]
async fn a_consent_can_be_for_less_and_need_not_be_remembered() {
    let world = world().await;
    let request = authorization("web", &REQUEST);
    let (mut browser, consent) = at_consent(&world, &request, json!({"user": USER})).await;
    let back = accept(&world, &consent, json!({"scope": "openid read", "remember": false})).await;
    let location = browser.get(&back).await.header("location");
    assert!(location.starts_with(CALLBACK), "{location}");
    let code = parameter(&location, "code").expect("a code");
    let told = world.redeem("web", &code).await.expect_status(200).json();
    assert_eq!(told["scope"], "openid read");
    let consent = challenge(&browser.get(&authorization("web", &[("scope", "openid read")])).await, "consent");
    let back = accept(&world, &consent, json!({})).await;
    assert!(parameter(&browser.get(&back).await.header("location"), "code").is_some());
    let known = browser.get(&authorization("web", &[("scope", "openid read")])).await.header("location");
    assert!(parameter(&known, "code").is_some(), "remembered unless said otherwise: {known}");
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_application_says_and_is_kept_if_it_says_so() {
    let world = world().await;
    for (login, kept) in [
        (json!({"user": USER, "lifetime": 60}), "Max-Age=60"),
        (json!({"user": USER, "remember": false}), "SameSite=Lax"),
    ] {
        let mut browser = world.browser();
        let asked = challenge(&browser.get(&authorization("opaque", &[])).await, "login");
        let reply = browser.get(&accept(&world, &asked, login).await).await;
        let cookies: Vec<_> =
            reply.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()).collect();
        let session = cookies.iter().find(|cookie| cookie.contains("regrant-session")).expect("a session");
        assert!(session.ends_with(kept) && session.contains("HttpOnly"), "{session}");
    }
    let mut browser = world.browser();
    let asked = challenge(&browser.get(&authorization("opaque", &[])).await, "login");
    let reply = browser.get(&accept(&world, &asked, json!({"user": USER, "lifetime": 60})).await).await;
    browser.follow(reply).await;
    world.advance(Duration::from_secs(60));
    challenge(&browser.get(&authorization("opaque", &[])).await, "login");
}

/// What would not count is refused where it is said: the application hears it, and not its user.
#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused_to_the_application() {
    let world = world().await;
    world.add_user("mallory").await;
    world.app.admin().set_user_disabled("mallory", true).await.expect("switched off");
    let mut browser = world.browser();
    let login = challenge(&browser.get(&authorization("web", &REQUEST)).await, "login");
    let anew = challenge(&browser.get(&authorization("web", &[("prompt", "login")])).await, "login");
    let needed = r#"{"id_token":{"acr":{"essential":true,"values":["urn:example:acr:strong"]}}}"#;
    let strong = authorization("web", &[("scope", "openid"), ("claims", needed)]);
    let strong = challenge(&browser.get(&strong).await, "login");
    let (_, consent) = at_consent(&world, &authorization("web", &REQUEST), json!({"user": USER})).await;
    for (challenge, answer, why) in [
        (&login, json!({}), "subject or by user"),
        (&login, json!({"user": USER, "subject": "usr_1"}), "not by both"),
        (&login, json!({"user": "nobody"}), "no such user"),
        (&login, json!({"user": "mallory"}), "switched off"),
        (&login, json!({"user": USER, "acr": "urn:example:acr:other"}), "acr is none of"),
        (&login, json!({"user": USER, "auth_time": START / 1000 + 1}), "future"),
        (&login, json!({"user": USER, "auth_time": u64::MAX}), "future"),
        (&login, json!({"user": USER, "amr": ["a b"]}), "amr"),
        (&login, json!({"user": USER, "lifetime": 59}), "lifetime"),
        (&login, json!({"user": USER, "lifetime": 43_201}), "lifetime"),
        (&login, json!({"user": USER, "scope": "openid"}), "scope means nothing"),
        (&login, json!({"user": USER, "claims": {"sub": "usr_2"}}), "claims"),
        (&login, json!({"user": USER, "claims": {"email": "a@b.example"}}), "attribute of the user"),
        (&login, json!({"user": USER, "claims": {"x": "y".repeat(2048)}}), "2048 bytes"),
        (&anew, json!({"user": USER, "auth_time": START / 1000 - 1}), "has to log in now"),
        (&strong, json!({"user": USER}), "acr_needed"),
        (&consent, json!({"scope": "openid read write files"}), "more than the client asks for"),
        (&consent, json!({"scope": "read"}), "leaves out openid"),
        (&consent, json!({"scope": "\"\""}), "malformed"),
        (&consent, json!({"user": USER}), "user means nothing"),
    ] {
        let mut body = json!({ "challenge": challenge });
        body.as_object_mut().expect("an object").extend(answer.as_object().expect("an object").clone());
        let reply = ask(&world, "accept", &body).await;
        assert_eq!(reply.status, 422, "{answer}: {}", reply.text());
        assert!(reply.text().contains(why), "{answer}: {}", reply.text());
    }
    let reply = ask(&world, "reject", &json!({"challenge": login, "error": "invalid_grant"})).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!(read(&world, &anew).await["must_log_in_anew"], true);
    assert_eq!(read(&world, &strong).await["acr_needed"], json!([STRONG]));
}

/// OpenID Connect Core section 5.5.1.1: a login that is not strong enough for a request is asked for again, and a strong one is.
#[tokio::test]
async fn a_request_that_needs_a_strong_login_asks_for_one() {
    let world = world().await;
    let needed = r#"{"id_token":{"acr":{"essential":true,"values":["urn:example:acr:strong"]}}}"#;
    let strong = authorization("web", &[("scope", "openid"), ("claims", needed)]);
    let (mut browser, consent) =
        at_consent(&world, &authorization("web", &[("scope", "openid")]), json!({"user": USER})).await;
    let back = accept(&world, &consent, json!({})).await;
    browser.get(&back).await;
    let silent = browser.get(&format!("{strong}&prompt=none")).await.header("location");
    assert_eq!(parameter(&silent, "error").as_deref(), Some("login_required"), "{silent}");
    let asked = challenge(&browser.get(&strong).await, "login");
    let back = accept(&world, &asked, json!({"user": USER, "acr": STRONG})).await;
    let reply = browser.get(&back).await;
    let answered = browser.follow(reply).await.header("location");
    assert_eq!(id_token(&world, &answered).await["acr"], STRONG);
}

#[tokio::test]
async fn a_no_is_told_to_the_client_with_a_code_that_it_knows() {
    let world = world().await;
    for error in ["access_denied", "login_required", "interaction_required", "temporarily_unavailable"] {
        let mut browser = world.browser();
        let asked = challenge(&browser.get(&authorization("web", &[])).await, "login");
        let told = ask(&world, "reject", &json!({"challenge": asked, "error": error})).await.expect_status(200).json();
        let back = text(&told, "redirect_to");
        let location = browser.get(&back).await.header("location");
        assert_eq!(parameter(&location, "error").as_deref(), Some(error), "{location}");
        assert_eq!(parameter(&location, "state").as_deref(), Some("s t&=%+"));
        challenge(&browser.get(&authorization("web", &[])).await, "login");
    }
    // Nobody is told where nobody asked: the user is taken home.
    let mut browser = world.browser();
    let asked = challenge(&browser.get("/account").await, "login");
    let told = ask(&world, "reject", &json!({"challenge": asked})).await.expect_status(200).json();
    assert_eq!(browser.get(&text(&told, "redirect_to")).await.header("location"), "/");
}

/// A login for the account's page or for a device goes back there.
#[tokio::test]
async fn whatever_led_to_the_login_goes_on() {
    let world = world().await;
    for (from, to) in [("/account", "/account"), ("/device", "/device")] {
        let mut browser = world.browser();
        let asked = challenge(&browser.get(from).await, "login");
        assert_eq!(read(&world, &asked).await["client"], Value::Null);
        let reply = browser.get(&accept(&world, &asked, json!({"user": USER})).await).await;
        assert_eq!(reply.header("location"), to);
    }
}

#[tokio::test]
async fn a_logout_is_confirmed_or_not() {
    let world = world().await;
    let (mut browser, consent) = at_consent(&world, &authorization("web", &[]), json!({"user": USER})).await;
    let asked = challenge(&browser.get("/logout").await, "logout");
    assert_eq!(read(&world, &asked).await["user"]["name"], USER);
    let told = ask(&world, "reject", &json!({"challenge": asked})).await.expect_status(200).json();
    assert_eq!(browser.get(&text(&told, "redirect_to")).await.header("location"), "/");
    let asked = challenge(&browser.get("/oauth2/logout?client_id=web").await, "logout");
    assert_eq!(read(&world, &asked).await["client"]["name"], "Web App");
    let out = browser.get(&accept(&world, &asked, json!({})).await).await;
    assert!(out.text().contains("You are logged out"), "{}", out.text());
    // The consent that was on its way is nobody's any more.
    let late = accept(&world, &consent, json!({})).await;
    assert_told(&browser.get(&late).await, "foreign_interaction");
}

/// The built-in page is closed where the application asks: nobody gets in by a password that it would not have taken.
#[tokio::test]
async fn the_pages_in_whose_place_the_application_asks_are_closed() {
    let before = World::with(sim::wire::CONFIG).await;
    let mut browser = before.browser();
    let page = browser.get(&authorization("web", &[])).await;
    let form = sim::wire::browser::form(&page.text());
    let config = sim::wire::config(&super::support::settings(APPLICATION));
    before.app.replace_config(config).await.expect("a reload");
    let mut fields: Vec<(&str, &str)> =
        form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("username", USER), ("password", sim::wire::PASSWORD)]);
    let reply = browser.post("/login", &fields).await;
    challenge(&reply, "login");
}

/// Check O6: the application has a scope of its own, which opens nothing else; and what looks may not answer.
#[tokio::test]
async fn the_scope_of_the_application_opens_interactions_and_nothing_else() {
    let world = world().await;
    let mut browser = world.browser();
    let body = json!({ "challenge": challenge(&browser.get(&authorization("web", &[])).await, "login") });
    let own = ("login-app", "regrant.interactions");
    for (who, path, status) in [
        (own, "/interactions/read", 200),
        (("ops", "regrant.admin"), "/interactions/read", 200),
        (("ops", "regrant.admin.read"), "/interactions/read", 403),
        (own, "/reload", 403),
        (own, "/commands", 403),
        (own, "/users", 403),
    ] {
        assert_eq!(as_client(&world, who, path, &body).await.status, status, "{who:?} {path}");
    }
    let anybody =
        world.http().post_raw("/admin/v1/interactions/read", &body.to_string(), "application/json", &[]).await;
    assert_eq!(anybody.status, 401);
}

/// Check G8: an application says who has logged in, and never what is known of a user: addresses, whether they are verified, groups, roles.
/// Neither does the browser that carries its answer.
#[tokio::test]
async fn an_application_says_nothing_that_is_an_attribute_of_a_user() {
    let world = world().await;
    world.add_user("bob").await;
    let request = authorization("web", &[("scope", "openid read")]);
    let mut browser = world.browser();
    let login = challenge(&browser.get(&request).await, "login");
    let attributes = [
        "email",
        "email_verified",
        "phone_number",
        "phone_number_verified",
        "groups",
        "roles",
        "entitlements",
        "updated_at",
    ];
    for name in attributes {
        let body = json!({"challenge": login, "user": USER, "claims": {name: ["admin"]}});
        let refused = ask(&world, "accept", &body).await.expect_status(422);
        assert!(refused.text().contains("attribute of the user"), "{name}: {}", refused.text());
        // Beside the claims there is no place for it at all.
        assert!(
            ask(&world, "accept", &json!({"challenge": login, "user": USER, name: true}))
                .await
                .status
                .is_client_error()
        );
    }
    let back = accept(&world, &login, json!({"user": USER})).await;
    let back = format!("{back}&user=bob&subject=bob&email_verified=true&groups=admin");
    let reply = browser.get(&back).await;
    let reply = browser.follow(reply).await;
    let consent = challenge(&reply, "consent");
    for (name, value) in [("user", json!("bob")), ("subject", json!("bob")), ("claims", json!({"groups": ["admin"]}))] {
        assert_eq!(ask(&world, "accept", &json!({"challenge": consent, name: value})).await.status, 422, "{name}");
    }
    let back = accept(&world, &consent, json!({})).await;
    let claims = id_token(&world, &browser.get(&back).await.header("location")).await;
    let subject = world.app.admin().user_detail(USER).await.expect("the user").subject;
    assert_eq!((&claims["sub"], claims.get("groups"), claims.get("email_verified")), (&json!(subject), None, None));
}
