//! OpenID Connect Core section 5.1, `email_verified` and `phone_number_verified`: "True if the End-User's e-mail address has been verified;
//! otherwise false. When this Claim Value is true, this means that the OP took affirmative steps to ensure that this e-mail address was
//! controlled by the End-User". So no door that users, clients or strangers come through may set them, or groups and roles, or make one
//! user another. The list of doors is `server/src/router.rs`; what is posted to them besides is [`FORGED`].

use axum::body::Body;
use axum::http::Method;
use regrant_server::admin::users::UserDetail;
use regrant_server::claims::attributes::UserChange;
use serde_json::{Map, Value, json};
use sim::wire::browser::parameter;
use sim::wire::device::{DEVICES, Device, browser_of};
use sim::wire::story::claims;
use sim::wire::{Browser, PASSWORD, Reply, SECRET, USER, World, text};

use super::support::{ask_with, known, redeem, request, request_of, rp, tokens, userinfo};

/// What nobody may say of himself, in the spellings that other servers have taken it in.
const FORGED: [(&str, &str); 16] = [
    ("email", "mallory@evil.example"),
    ("email_verified", "true"),
    ("phone_number", "+1 555 0100"),
    ("phone_number_verified", "true"),
    ("groups", "admin"),
    ("roles", "admin"),
    ("entitlements", "everything"),
    ("attributes", r#"{"email_verified":true,"groups":["admin"]}"#),
    ("attributes.email_verified", "true"),
    ("attributes[email_verified]", "true"),
    ("user[groups][]", "admin"),
    ("user", "bob"),
    ("sub", "bob"),
    ("subject", "bob"),
    ("name", "bob"),
    ("enabled", "false"),
];

/// A world with alice, whose addresses nobody has verified, bob, a device, and a door for clients.
async fn world() -> World {
    let world = known(&format!("{}{DEVICES}\n[registration]\nmode = \"open\"\n", rp(""))).await;
    world.add_user("bob").await;
    let texts = vec![("email_verified".to_owned(), "false".to_owned())];
    world.app.admin().set_user(USER, &UserChange { texts, ..UserChange::default() }).await.expect("a change");
    world
}

/// What must be as it was, of both.
async fn records(world: &World) -> [(String, String, bool, Map<String, Value>); 2] {
    let mut records = Vec::new();
    for name in [USER, "bob"] {
        let UserDetail { name, subject, enabled, attributes, .. } =
            world.app.admin().user_detail(name).await.expect("a user");
        records.push((name, subject, enabled, attributes));
    }
    records.try_into().expect("two")
}

/// Submits the form of a page with these fields, and with whatever of [`FORGED`] it does not have itself.
async fn submit(browser: &mut Browser, page: &Reply, fields: &[(&str, &str)]) -> Reply {
    let own: Vec<String> = sim::wire::browser::form(&page.text()).hidden.into_iter().map(|(name, _)| name).collect();
    let is_free =
        |name: &str| !own.iter().any(|known| known == name) && !fields.iter().any(|(known, _)| *known == name);
    let more: Vec<(&str, &str)> = FORGED.into_iter().filter(|(name, _)| is_free(name)).collect();
    browser.submit(page, &[fields, &more].concat()).await
}

/// Check G8: no field of a page of ours, and no parameter of an endpoint, changes what is known of a user, or makes him another.
#[tokio::test]
async fn no_posted_field_says_anything_of_a_user() {
    let world = world().await;
    let before = records(&world).await;
    let mut browser = world.browser();
    // Login, choice of the account, consent.
    let page = browser.get(&request("code", &[("scope", "openid email phone"), ("prompt", "select_account")])).await;
    let reply = submit(&mut browser, &page, &[("username", USER), ("password", PASSWORD)]).await;
    let mut page = browser.follow(reply).await;
    if page.text().contains("id=\"select-this\"") {
        let reply = submit(&mut browser, &page, &[("account", "this")]).await;
        page = browser.follow(reply).await;
    }
    assert!(page.text().contains("id=\"consent-allow\""), "{}", page.text());
    let reply = submit(&mut browser, &page, &[("decision", "allow")]).await;
    let location = reply.header("location");
    assert_eq!(records(&world).await, before);
    // The endpoints of clients, which take what they do not know for nothing.
    let code = parameter(&location, "code").unwrap_or_else(|| panic!("no code in {location}"));
    let own = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", sim::wire::CALLBACK)];
    let answer = world.token("rp", &[&own[..], &FORGED].concat()).await.expect_status(200).json();
    let refresh = text(&answer, "refresh_token");
    let own = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let again = world.token("rp", &[&own[..], &FORGED].concat()).await.expect_status(200).json();
    let access = text(&again, "access_token");
    let form = [&[("access_token", access.as_str())][..], &FORGED].concat();
    let told = world.http().post("/oauth2/userinfo", &form, &[]).await.expect_status(200).json();
    for said in [claims(&text(&answer, "id_token")), claims(&text(&again, "id_token")), told.clone()] {
        assert_eq!(said["sub"], before[0].1);
    }
    assert_eq!((&told["email"], &told["email_verified"]), (&json!("alice@example.com"), &json!(false)));
    assert_eq!((&told["phone_number_verified"], told.get("groups")), (&json!(false), None));
    // The page of the account, with what it knows and with what it does not.
    for action in [
        "pause",
        "resume",
        "until",
        "withdraw",
        "end",
        "end_others",
        "email",
        "profile",
        "set",
        "attributes",
        "user",
        "",
    ] {
        let page = browser.get("/account").await;
        let _ = submit(&mut browser, &page, &[("action", action), ("client", "rp"), ("date", "")]).await;
        assert_eq!(records(&world).await, before, "{action}");
    }
    let page = browser.get("/account").await;
    let fields = [("action", "password"), ("current_password", PASSWORD), ("new_password", "another long password")];
    assert_eq!(submit(&mut browser, &page, &fields).await.header("location"), "/account?done=password");
    assert_eq!(records(&world).await, before);
    let _ = browser_of(&world, "bob").await;
    // A device, and the end.
    let device = Device::ask(&world, "tv").await;
    let page = device.page(&mut browser).await;
    let _ = submit(&mut browser, &page, &[("decision", "allow")]).await.expect_status(200);
    let told = device.poll(&world).await.expect_status(200).json();
    assert_eq!(world.introspect(&text(&told, "access_token")).await["sub"], before[0].1);
    let page = browser.get("/logout").await;
    let _ = submit(&mut browser, &page, &[]).await.expect_status(200);
    assert_eq!(records(&world).await, before);
}

/// Check G8: what a request wishes to hear is a wish. The values of `claims` and hints are compared, and never told.
#[tokio::test]
async fn no_request_chooses_what_is_said_of_a_user() {
    let world = world().await;
    let wish = json!({
        "userinfo": {"email_verified": {"value": true, "essential": true}, "groups": {"value": ["admin"]}, "roles": null},
        "id_token": {"email_verified": {"value": true}, "email": {"value": "mallory@evil.example"}, "groups": {"values": ["admin"]}},
    });
    let wish = wish.to_string();
    let more =
        [("scope", "openid email"), ("claims", wish.as_str()), ("login_hint", "bob"), ("email_verified", "true")];
    let answer = tokens(&world, &more).await;
    let (said, told) = (
        claims(&text(&answer, "id_token")),
        userinfo(&world, &text(&answer, "access_token")).await.expect_status(200).json(),
    );
    for said in [&said, &told] {
        assert_eq!((&said["email"], &said["email_verified"]), (&json!("alice@example.com"), &json!(false)), "{said}");
        assert_eq!((said.get("groups"), said.get("roles")), (None, None), "{said}");
    }
    // Nothing of a user can be written where it is read.
    let bearer = format!("Bearer {}", text(&answer, "access_token"));
    for (method, path) in [
        (Method::PUT, "/oauth2/userinfo"),
        (Method::PATCH, "/oauth2/userinfo"),
        (Method::PUT, "/account"),
        (Method::PATCH, "/account"),
    ] {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = Body::from(r#"{"email_verified":true,"groups":["admin"]}"#);
        let reply = world.http().send(method, path, &headers, body).await;
        assert_eq!(reply.status, 405, "{path}");
    }
}

/// Check G8: a client that registers itself cannot say what its tokens say of users, nor that nobody is to be asked.
#[tokio::test]
async fn no_registration_says_anything_of_users() {
    let world = world().await;
    let before = records(&world).await;
    let metadata = json!({
        "redirect_uris": [sim::wire::CALLBACK], "token_endpoint_auth_method": "client_secret_post", "scope": "openid email",
        "grant_types": ["authorization_code", "refresh_token"],
        "access_token_claims": ["groups", "roles"], "static_claims": {"email_verified": true, "groups": ["admin"], "tier": 1},
        "skip_consent": true, "may_introspect": true, "token_hook": false, "resources": ["urn:regrant:admin"],
        "client_id": "web", "client_secret": SECRET, "subject": "bob", "sub": "bob", "email_verified": true, "groups": ["admin"],
    });
    let post = |path: String, method: Method, token: String, body: Value| {
        let http = world.http();
        async move {
            let bearer = format!("Bearer {token}");
            let mut headers = vec![("content-type", "application/json")];
            if !token.is_empty() {
                headers.push(("authorization", bearer.as_str()));
            }
            http.send(method, &path, &headers, Body::from(body.to_string())).await
        }
    };
    let at = "/oauth2/register".to_owned();
    let made = post(at.clone(), Method::POST, String::new(), metadata.clone()).await.expect_status(201).json();
    let (id, token) = (text(&made, "client_id"), text(&made, "registration_access_token"));
    assert_ne!(id, "web");
    let mut changed = metadata;
    changed["client_id"] = json!(id);
    changed.as_object_mut().expect("an object").remove("client_secret");
    let again = post(format!("{at}/{id}"), Method::PUT, token, changed).await.expect_status(200).json();
    let (id, secret) = (text(&made, "client_id"), text(&made, "client_secret"));
    for told in [&made, &again] {
        for name in [
            "access_token_claims",
            "static_claims",
            "skip_consent",
            "may_introspect",
            "token_hook",
            "resources",
            "sub",
            "groups",
        ] {
            assert!(told.get(name).is_none(), "{name} in {told}");
        }
    }
    let mut browser = world.browser();
    let page = browser.get(&request_of(&id, "code", &[("scope", "openid email")])).await;
    let page = browser.log_in(&page, USER).await;
    assert!(page.text().contains("id=\"consent-allow\""), "the user is asked: {}", page.text());
    let answered = super::support::heard(&browser.submit(&page, &[("decision", "allow")]).await);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", answered.of("code")),
        ("redirect_uri", sim::wire::CALLBACK),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    let answer = world.http().post("/oauth2/token", &form, &[]).await.expect_status(200).json();
    for said in [claims(&text(&answer, "access_token")), claims(&text(&answer, "id_token"))] {
        assert_eq!((said.get("groups"), said.get("tier"), said.get("email_verified")), (None, None, None), "{said}");
        assert_eq!(said["sub"], before[0].1);
    }
    let told = userinfo(&world, &text(&answer, "access_token")).await.expect_status(200).json();
    assert_eq!((&told["email_verified"], told.get("groups")), (&json!(false), None));
    let form = [("token", text(&answer, "access_token")), ("client_id", id), ("client_secret", secret)];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let seen = world.http().post("/oauth2/introspect", &form, &[]).await.expect_status(200).json();
    assert_eq!(seen, json!({"active": false}), "it may not introspect");
    assert_eq!(records(&world).await, before);
}

/// Check G8: a new address is not verified, whoever sets it, until somebody says so.
#[tokio::test]
async fn a_new_address_is_not_verified() {
    let world = world().await;
    let admin = world.app.admin();
    let change = async |pairs: &[(&str, &str)]| {
        let texts = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        admin.set_user(USER, &UserChange { texts, ..UserChange::default() }).await.expect("a change");
    };
    let told = async || {
        let mut browser = world.browser();
        let code = ask_with(&mut browser, &request("code", &[("scope", "openid email")])).await.of("code").to_owned();
        let access = text(&redeem(&world, "rp", &code).await, "access_token");
        userinfo(&world, &access).await.expect_status(200).json()["email_verified"].clone()
    };
    change(&[("email_verified", "true")]).await;
    assert_eq!(told().await, json!(true));
    change(&[("email", "other@example.com")]).await;
    assert_eq!(told().await, json!(false));
}
