//! RFC 8252, OAuth for native apps:
//!
//! - 7.1: private-use schemes "based on a domain name under their control, expressed in reverse order".
//! - 7.3: "The authorization server MUST allow any port to be specified at the time of the request for loopback IP redirect URIs".
//! - 8.3: "use of "localhost" is NOT RECOMMENDED".
//! - 8.4: "Authorization servers MUST require clients to register their complete redirect URI (including the path component) and reject
//!   authorization requests that specify a redirect URI that doesn't exactly match".

use sim::wire::browser::parameter;
use sim::wire::{USER, VERIFIER, World};

use super::support::{ask, assert_stopped, config_with, is_login, request_to};

fn native() -> String {
    config_with(
        "id = \"native\"\ntoken_endpoint_auth_method = \"none\"\ngrant_types = [\"authorization_code\", \"refresh_token\"]\n\
         redirect_uris = [\"http://127.0.0.1/cb\", \"http://[::1]:1/cb?x=1\", \"http://localhost:3000/cb\", \"com.example.app:/cb\"]",
    )
}

/// Check R2: any port of the loopback address, and the code goes to that port; it is redeemed with the URI that was sent.
#[tokio::test]
async fn any_port_of_the_loopback_address_will_do() {
    let world = World::with(&native()).await;
    for uri in [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:49152/cb",
        "http://127.0.0.1:65535/cb",
        "http://[::1]/cb?x=1",
        "http://[::1]:8080/cb?x=1",
        "http://localhost:3000/cb",
        "com.example.app:/cb",
    ] {
        let location = world.browser().authorize_as(&request_to("native", uri), USER).await;
        assert!(location.starts_with(uri), "{location}");
        let code = parameter(&location, "code").expect("a code");
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ];
        let elsewhere = parameters
            .map(|(name, value)| (name, if name == "redirect_uri" { "http://127.0.0.1:2/cb" } else { value }));
        world.token("native", &elsewhere).await.expect_error(400, "invalid_grant");
        assert_eq!(world.token("native", &parameters).await.status, 200);
    }
}

/// Check R2: only the port may differ, and only of an address: 127.0.0.1 is not localhost, and localhost has the port it has.
#[tokio::test]
async fn nothing_but_the_port_may_differ() {
    let world = World::with(&native()).await;
    for uri in [
        "http://localhost/cb",
        "http://localhost:3001/cb",
        "http://LOCALHOST:3000/cb",
        "http://127.0.0.1:80/",
        "http://127.0.0.1:80/cb/",
        "http://127.0.0.1:80/cb?x",
        "http://127.0.0.1:80/cb#x",
        "http://127.0.0.1:80/%63b",
        "http://127.0.0.1:80//cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:+80/cb",
        "http://127.0.0.1:8 0/cb",
        "http://127.0.0.1:80:80/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://evil.example:80@127.0.0.1/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1./cb",
        "http://127.0.0.2/cb",
        "http://127.1/cb",
        "http://0x7f.1/cb",
        "http://2130706433/cb",
        "http://0.0.0.0/cb",
        "https://127.0.0.1/cb",
        "http://[::1]/cb",
        "http://[::2]/cb?x=1",
        "http://[::1%25lo]/cb?x=1",
        "http://[::ffff:127.0.0.1]/cb",
        "http://[0:0:0:0:0:0:0:1]/cb?x=1",
        "http://127.0.0.1:80\\@evil.example/cb",
        "com.example.app:80/cb",
        "com.example.app://cb",
        "com.example.apps:/cb",
    ] {
        assert_stopped(&ask(&world, &request_to("native", uri)).await, uri);
    }
    assert!(is_login(&ask(&world, &request_to("native", "http://127.0.0.1:80/cb")).await));
}
