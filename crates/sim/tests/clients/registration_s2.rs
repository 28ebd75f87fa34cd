//! OpenID Connect Dynamic Client Registration 1.0:
//!
//! - 2: `application_type`: "Web Clients using the OAuth Implicit Grant Type MUST only register URLs using the https scheme as
//!   redirect_uris; they MUST NOT use localhost as the hostname."
//! - 2: "sector_identifier_uri": "The URL references a file with a single JSON array of redirect_uri values."
//! - 5: "the values of the registered redirect_uris MUST be included in the elements of the array".

use serde_json::json;
use sim::wire::{Act, World};

use super::support::{but, open, register, site, web};

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
