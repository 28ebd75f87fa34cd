//! RFC 7591, OAuth 2.0 Dynamic Client Registration:
//!
//! - 2: "The authorization server MUST ignore any client metadata sent by the client that it does not understand". "If unspecified or
//!   omitted, the default is "client_secret_basic"". "The "jwks_uri" and "jwks" parameters MUST NOT both be present".
//! - 3: "the endpoint MUST be protected by a transport-layer security mechanism"; "an initial access token".
//! - 3.2.1: "The server responds with an HTTP 201 Created status code and a body of type "application/json"". "client_secret_expires_at
//!   REQUIRED if "client_secret" is issued."
//! - 3.2.2: "invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement".

use std::time::Duration;

use serde_json::{Value, json};
use sim::wire::{VERIFIER, World, authorization, text};

use super::support::{but, first_tokens, member, open, register, web};

async fn world() -> World {
    World::with(&open("")).await
}

/// RFC 7591 section 3.1: "application/json". Who sends another type is told which one it is.
#[tokio::test]
async fn who_registers_by_a_form_is_told_to_send_json() {
    let world = world().await;
    let reply = world.http().post("/oauth2/register", &[("client_name", "Fair App")], &[]).await;
    reply.expect_error(400, "invalid_request");
    assert_eq!(reply.json()["error_description"], "the content type must be application/json");
}

/// From the registration to a refreshed session, over real pages; and again after a restart.
#[tokio::test]
async fn a_registered_client_is_a_client() {
    let world = world().await;
    let reply = register(&world, &web(), &[]).await.expect_status(201);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    let client = reply.json();
    let (id, secret) = (member(&client, "client_id"), member(&client, "client_secret"));
    assert_eq!(client["client_secret_expires_at"], 0);
    assert_eq!(client["client_id_issued_at"], sim::wire::assertion::start());
    assert_eq!(client["client_name"], "Fair App");
    assert_eq!(client["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(client["response_types"], json!(["code"]));
    assert!(member(&client, "scope").split(' ').any(|scope| scope == "openid"), "{client}");
    let world = world.restart().await;
    // A confidential one that registered itself may do without PKCE; here it uses it.
    let tokens = first_tokens(&world, &client, &[("scope", "openid")]).await;
    let refresh = text(&tokens, "refresh_token");
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", &id), ("client_secret", &secret)];
    let _ = world.http().post("/oauth2/token", &form, &[]).await.expect_status(200);
    let bare = authorization(&id, &[("code_challenge", ""), ("code_challenge_method", "")]);
    world.browser().log_in_for_code(&bare).await;
}

/// The consent page tells where its links lead, and the server asks for none of them.
#[tokio::test]
async fn what_a_client_says_of_itself_is_on_the_consent_page() {
    let world = world().await;
    let said = but(
        &web(),
        json!({
            "client_uri": "https://app.example/", "logo_uri": "https://app.example/logo.png",
            "policy_uri": "https://app.example/policy", "tos_uri": "https://app.example/terms",
            "contacts": ["ann@app.example"], "client_name#de": "Messe-App",
        }),
    );
    let client = register(&world, &said, &[]).await.expect_status(201).json();
    assert_eq!(client["contacts"], json!(["ann@app.example"]));
    assert_eq!(client["client_name#de"], "Messe-App");
    assert_eq!(client["tos_uri"], "https://app.example/terms");
    let mut browser = world.browser();
    let page = browser.get(&authorization(&member(&client, "client_id"), &[("scope", "openid")])).await;
    let page = browser.log_in(&page, sim::wire::USER).await;
    let page = browser.follow(page).await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("img-src 'self' https://app.example data:"), "{policy}");
    let page = page.text().replace("&#x2f;", "/");
    for link in ["https://app.example/policy", "https://app.example/terms", "https://app.example/logo.png"] {
        assert!(page.contains(link), "{link}: {page}");
    }
}

/// Section 2: what is omitted, what is unknown, and what is null.
#[tokio::test]
async fn defaults_are_told() {
    let world = world().await;
    let said = json!({"redirect_uris": ["https://app.example/cb"], "new_member": {"a": [1]}, "logo_uri": null});
    let client = register(&world, &said, &[]).await.expect_status(201).json();
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client["grant_types"], json!(["authorization_code"]));
    assert_eq!(client["response_types"], json!(["code"]));
    assert!(client.get("new_member").is_none() && client.get("logo_uri").is_none());
    let public = but(&said, json!({"token_endpoint_auth_method": "none"}));
    let client = register(&world, &public, &[]).await.expect_status(201).json();
    assert!(client.get("client_secret").is_none(), "{client}");
    // And it must use PKCE.
    let bare = authorization(&member(&client, "client_id"), &[("code_challenge", ""), ("code_challenge_method", "")]);
    let reply = world.browser().get(&bare).await;
    assert!(reply.header("location").contains("error=invalid_request"), "{}", reply.header("location"));
}

/// Section 3.2.2: each fault has its code.
#[tokio::test]
async fn each_fault_has_its_code() {
    let world = world().await;
    let (uri, bad) = ("invalid_redirect_uri", "invalid_client_metadata");
    for (changes, error) in [
        (json!({"redirect_uris": null}), uri),
        (json!({"redirect_uris": []}), uri),
        (json!({"redirect_uris": "https://app.example/cb"}), uri),
        (json!({"redirect_uris": [1]}), uri),
        (json!({"redirect_uris": ["https://app.example/cb#f"]}), uri),
        (json!({"redirect_uris": ["http://app.example/cb"]}), uri),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), uri),
        (json!({"redirect_uris": ["JavaScript:alert(1)"]}), uri),
        (json!({"redirect_uris": ["data:text/html,x"]}), uri),
        (json!({"redirect_uris": ["https://a@app.example/cb"]}), uri),
        (json!({"redirect_uris": ["https://app.example/*"], "application_type": "web"}), uri),
        (json!({"redirect_uris": ["com.example.app:/cb"]}), uri),
        (json!({"grant_types": ["password"]}), bad),
        (json!({"grant_types": ["client_credentials"]}), bad),
        (json!({"grant_types": ["implicit"]}), bad),
        (json!({"grant_types": []}), bad),
        (json!({"grant_types": "authorization_code"}), bad),
        (json!({"response_types": ["token"]}), bad),
        (json!({"response_types": ["code", "x"]}), bad),
        (json!({"token_endpoint_auth_method": "tls_client_auth"}), bad),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), bad),
        (json!({"token_endpoint_auth_method": 1}), bad),
        (json!({"token_endpoint_auth_signing_alg": "none"}), bad),
        (json!({"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": "RS256"}), bad),
        (json!({"jwks_uri": "http://app.example/jwks"}), bad),
        (json!({"jwks_uri": "https://a@app.example/jwks"}), bad),
        (json!({"jwks": {"keys": []}}), bad),
        (json!({"jwks": "keys"}), bad),
        (json!({"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}}), bad),
        (json!({"jwks": {"keys": []}, "jwks_uri": "https://app.example/jwks"}), bad),
        (json!({"logo_uri": "http://app.example/"}), bad),
        (json!({"logo_uri": "https://x.example;script-src/"}), bad),
        (json!({"logo_uri": "https://*/x"}), bad),
        (json!({"logo_uri": "https://x.example:99999/"}), bad),
        (json!({"client_name": "Fair\u{200b}App"}), bad),
        (json!({"logo_uri": "javascript:alert(1)"}), bad),
        (json!({"policy_uri": "data:,x"}), bad),
        (json!({"tos_uri": 1}), bad),
        (json!({"client_uri": "https://"}), bad),
        (json!({"client_name": ""}), bad),
        (json!({"client_name": "a\u{202e}b"}), bad),
        (json!({"client_name": "x".repeat(201)}), bad),
        (json!({"client_name#": "x"}), bad),
        (json!({"contacts": "ann@app.example"}), bad),
        (json!({"contacts": [""]}), bad),
        (json!({"scope": ["openid"]}), bad),
        (json!({"application_type": "desktop"}), bad),
        (json!({"subject_type": "secret"}), bad),
        (json!({"default_max_age": -1}), bad),
        (json!({"default_max_age": "60"}), bad),
        (json!({"require_auth_time": "yes"}), bad),
        (json!({"initiate_login_uri": "http://app.example/"}), bad),
        (json!({"id_token_signed_response_alg": "none"}), bad),
        (json!({"userinfo_signed_response_alg": "HS256"}), bad),
        (json!({"request_object_signing_alg": "HS256"}), bad),
        (json!({"request_object_signing_alg": "ES256"}), bad),
        (json!({"request_uris": ["http://app.example/r"]}), bad),
        (json!({"introspection_signed_response_alg": "RS256"}), bad),
        (json!({"software_statement": "x"}), "invalid_software_statement"),
        (json!({"software_statement": 1}), "invalid_software_statement"),
        (json!({"software_statement": "eyJhbGciOiJub25lIn0.e30."}), "unapproved_software_statement"),
    ] {
        let reply = register(&world, &but(&web(), changes.clone()), &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["error"].as_str()),
            (400, Some(error)),
            "{changes}: {}",
            reply.text()
        );
    }
    for body in ["", "[]", "null", "{", "{\"redirect_uris\":[\"https://a.example/\"],\"redirect_uris\":[]}", "\u{0}"] {
        let reply = world.http().post_raw("/oauth2/register", body, "application/json", &[]).await;
        reply.expect_error(400, "invalid_client_metadata");
    }
    world
        .http()
        .post_raw("/oauth2/register", "a=b", "application/x-www-form-urlencoded", &[])
        .await
        .expect_error(400, "invalid_request");
    let large = json!({"client_name": "x".repeat(40_000)}).to_string();
    world
        .http()
        .post_raw("/oauth2/register", &large, "application/json", &[])
        .await
        .expect_error(413, "invalid_request");
    assert_eq!(world.app.settings().clients.registered(), 0, "nothing of it was kept");
}

/// A scope that registered clients may not have is left out, and the answer says so (section 3.2.1).
#[tokio::test]
async fn a_client_gets_no_scope_that_is_not_for_it() {
    let config = "[[scope]]\nname = \"read\"\n[[scope]]\nname = \"write\"\n".to_owned()
        + &open("scopes = [\"openid\", \"read\"]");
    let world = World::with(&config).await;
    let said = but(&web(), json!({"scope": "openid read write regrant.admin profile"}));
    let client = register(&world, &said, &[]).await.expect_status(201).json();
    assert_eq!(client["scope"], "openid read");
    let id = member(&client, "client_id");
    let reply = world.browser().get(&authorization(&id, &[("scope", "write")])).await;
    assert!(reply.header("location").contains("error=invalid_scope"), "{}", reply.header("location"));
    // What no registration may ever have: trust without consent, introspection, other people's origins.
    let more = but(
        &web(),
        json!({"skip_consent": true, "may_introspect": true, "allowed_origins": ["https://evil.example"], "resources": ["urn:regrant:admin"], "rotation": "reusable", "id": "web", "client_id": "web", "client_secret": "x", "disabled": true, "registration": {"token_hash": ""}, "sealed_secret": "x", "secret_hash": "x", "secret_file": "/etc/passwd"}),
    );
    let client = register(&world, &more, &[]).await.expect_status(201).json();
    let view = world.app.admin().client(&member(&client, "client_id")).expect("it is there");
    assert!(!view.skip_consent && !view.may_introspect && view.allowed_origins.is_empty() && view.resources.is_empty());
}

/// Section 3: where a token is needed, only who has a good one registers; each use is durable with what it let in.
#[tokio::test]
async fn an_initial_access_token_lets_so_many_in() {
    let world = World::with("[registration]\nmode = \"token\"\n").await;
    let none = register(&world, &web(), &[]).await;
    assert_eq!(none.status, 401);
    assert!(none.header("www-authenticate").starts_with("Bearer "));
    let made = world.app.admin().new_registration_token("fair", 2, Duration::from_secs(3600)).await.expect("made");
    let bearer = format!("Bearer {}", made.token.expect("shown once"));
    for bad in ["Bearer x", "Bearer ", "Basic eDp5", &bearer[..bearer.len() - 1], "Bearer rgi_0"] {
        let reply = register(&world, &web(), &[("authorization", bad)]).await;
        assert!(matches!(reply.status.as_u16(), 400 | 401), "{bad}: {}", reply.text());
    }
    let header = [("authorization", bearer.as_str())];
    register(&world, &but(&web(), json!({"redirect_uris": []})), &header)
        .await
        .expect_error(400, "invalid_redirect_uri");
    let _ = register(&world, &web(), &header).await.expect_status(201);
    let world = world.restart().await;
    let _ = register(&world, &web(), &header).await.expect_status(201);
    register(&world, &web(), &header).await.expect_error(401, "invalid_token");
    let late = world.app.admin().new_registration_token("late", 9, Duration::from_secs(60)).await.expect("made");
    let header = format!("Bearer {}", late.token.expect("shown once"));
    world.advance(Duration::from_secs(60));
    register(&world, &web(), &[("authorization", &header)]).await.expect_error(401, "invalid_token");
    let shown = world.app.admin().registration_tokens().await.expect("a list");
    assert!(shown.iter().all(|token| token.token.is_none()));
    let gone = world.app.admin().new_registration_token("gone", 9, Duration::from_secs(3600)).await.expect("made");
    world.app.admin().remove_registration_token(&gone.id).await.expect("removed");
    let header = format!("Bearer {}", gone.token.expect("shown once"));
    register(&world, &web(), &[("authorization", &header)]).await.expect_error(401, "invalid_token");
}

/// Off unless set: no endpoint is announced, and none answers.
#[tokio::test]
async fn registration_is_off_unless_it_is_on() {
    let world = World::new().await;
    register(&world, &web(), &[]).await.expect_error(403, "access_denied");
    let metadata = world.http().get("/.well-known/openid-configuration", &[]).await.json();
    assert_eq!(metadata.get("registration_endpoint"), None);
    let open = self::world().await;
    let metadata = open.http().get("/.well-known/openid-configuration", &[]).await.json();
    assert_eq!(metadata["registration_endpoint"], format!("{}/oauth2/register", open.base));
}

/// A client that signs: its keys are registered with it, and prove it.
#[tokio::test]
async fn a_client_registers_its_keys() {
    let world = world().await;
    let keys = sim::wire::assertion::set(&[sim::wire::assertion::key()]);
    let said = but(
        &web(),
        json!({"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "jwks": keys}),
    );
    let client = register(&world, &said, &[]).await.expect_status(201).json();
    assert!(client.get("client_secret").is_none());
    assert_eq!(client["jwks"], keys);
    let id = member(&client, "client_id");
    let code = world.browser().log_in_for_code(&authorization(&id, &[])).await;
    let _ = world.redeem(&id, &code).await.expect_status(200);
    // And one that shares a secret, which the store keeps wrapped.
    let said = but(&web(), json!({"token_endpoint_auth_method": "client_secret_jwt"}));
    let client: Value = register(&world, &said, &[]).await.expect_status(201).json();
    let (id, secret) = (member(&client, "client_id"), member(&client, "client_secret"));
    let world = world.restart().await;
    let code = world.browser().log_in_for_code(&authorization(&id, &[])).await;
    let said = sim::wire::assertion::claims(&id, world.app.issuer(), world.clock.now().seconds());
    let signed = regrant_jose::sign_shared("JWT", &said, secret.as_bytes()).expect("a token");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.example/cb"),
        ("code_verifier", VERIFIER),
        ("client_assertion_type", sim::wire::assertion::TYPE),
        ("client_assertion", signed.as_str()),
    ];
    let _ = world.http().post("/oauth2/token", &form, &[]).await.expect_status(200);
}
