//! OpenID Connect Dynamic Client Registration 1.0:
//!
//! - 2: `application_type`: "Web Clients using the OAuth Implicit Grant Type MUST only register URLs using the https scheme as
//!   redirect_uris; they MUST NOT use localhost as the hostname."
//! - 2: "sector_identifier_uri": "The URL references a file with a single JSON array of redirect_uri values."
//! - 5: "the values of the registered redirect_uris MUST be included in the elements of the array".

use serde_json::json;
use sim::wire::{Act, World};

use super::support::{but, member, open, register, site, web};

#[tokio::test]
async fn the_kind_of_application_decides_where_answers_may_go() {
    let world = World::with(&open("")).await;
    let implicit =
        json!({"grant_types": ["implicit"], "response_types": ["token"], "token_endpoint_auth_method": "none"});
    for (uri, changes, status) in [
        ("https://app.example/cb", implicit.clone(), 201),
        ("https://localhost/cb", implicit.clone(), 400),
        ("http://127.0.0.1/cb", implicit, 400),
        ("http://127.0.0.1/cb", json!({"application_type": "native", "token_endpoint_auth_method": "none"}), 201),
        ("com.example.app:/cb", json!({"application_type": "native", "token_endpoint_auth_method": "none"}), 201),
        ("http://app.example/cb", json!({"application_type": "native"}), 400),
        ("com.example.app:/cb", json!({"application_type": "web"}), 400),
    ] {
        let said = but(&but(&web(), changes.clone()), json!({"redirect_uris": [uri]}));
        let reply = register(&world, &said, &[]).await;
        assert_eq!(reply.status.as_u16(), status, "{uri} {changes}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_sector_names_the_redirect_uris_of_its_clients() {
    let (site, setting) = site().await;
    let world = World::with(&format!("{setting}{}", open(""))).await;
    let said = |more: serde_json::Value| {
        but(
            &but(
                &web(),
                json!({
                    "redirect_uris": ["https://app.example/cb", "https://other.example/cb"], "subject_type": "pairwise",
                    "sector_identifier_uri": site.url(),
                }),
            ),
            more,
        )
    };
    site.does(Act::says(r#"["https://app.example/cb","https://other.example/cb","https://third.example/cb"]"#));
    let client = register(&world, &said(json!({})), &[]).await.expect_status(201).json();
    assert_eq!(client["sector_identifier_uri"], site.url());
    for body in [r#"["https://app.example/cb"]"#, "[]", "{}", "x", r#"[1]"#] {
        site.does(Act::says(body));
        register(&world, &said(json!({})), &[]).await.expect_error(400, "invalid_client_metadata");
    }
    register(&world, &said(json!({"sector_identifier_uri": null})), &[])
        .await
        .expect_error(400, "invalid_client_metadata");
    let inside = said(json!({"sector_identifier_uri": "https://10.0.0.1/"}));
    register(&world, &inside, &[]).await.expect_error(400, "invalid_client_metadata");
}

/// Section 2: what a client says of its ID tokens, its userinfo answers and its `sub` is what it gets, in every response type.
#[tokio::test]
async fn what_is_registered_of_openid_connect_is_obeyed() {
    let world = World::with(&open("scopes = [\"openid\", \"email\"]")).await;
    let said = but(
        &web(),
        json!({
            "id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "EdDSA", "subject_type": "pairwise",
            "default_max_age": 60, "response_types": ["code", "code id_token token"],
            "grant_types": ["authorization_code", "implicit", "refresh_token"], "scope": "openid email",
        }),
    );
    let client = register(&world, &said, &[]).await.expect_status(201).json();
    assert_eq!((&client["default_max_age"], &client["subject_type"]), (&json!(60), &json!("pairwise")));
    let path = sim::wire::authorization(
        &member(&client, "client_id"),
        &[
            ("response_type", "code id_token token"),
            ("scope", "openid email"),
            ("nonce", "n"),
            ("code_challenge", ""),
            ("code_challenge_method", ""),
        ],
    );
    let mut browser = world.browser();
    let location = browser.authorize_as(&path, sim::wire::USER).await;
    let of = |name| sim::wire::browser::parameter(&location, name).unwrap_or_else(|| panic!("no {name} in {location}"));
    let read = |token: &str| regrant_jose::Unverified::parse(token).expect("a token").header().algorithm.as_str();
    assert_eq!(read(&of("id_token")), "ES256");
    let bearer = format!("Bearer {}", of("access_token"));
    let told = world.http().get("/oauth2/userinfo", &[("authorization", &bearer)]).await.expect_status(200);
    assert_eq!((told.header("content-type").as_str(), read(&told.text())), ("application/jwt", "EdDSA"));
    world.advance(std::time::Duration::from_secs(61));
    let page = browser.get(&path).await;
    assert!(page.text().contains("id=\"login-submit\""), "default_max_age is over: {}", page.text());
}
