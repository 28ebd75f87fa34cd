//! RFC 9207, issuer identification:
//!
//! - 2: "In authorization responses to the client, including error responses, an authorization server supporting this specification MUST
//!   indicate its identity by including the "iss" parameter in the response."
//! - 2: "Its value MUST be a URL that uses the "https" scheme without any query or fragment components." (https, or here loopback)
//! - 3: the server "MUST indicate support […] authorization_response_iss_parameter_supported".

use sim::wire::browser::parameter;
use sim::wire::{CALLBACK, USER, World, authorization};

use super::support::{ask, assert_denied, is_login};

/// Check F10: the issuer stands in a success and in an error, once, byte for byte as the metadata has it; also where it has a path.
#[tokio::test]
async fn the_issuer_names_itself_in_every_answer() {
    for path in ["", "/tenants/a"] {
        let world = World::at_path(path).await;
        let document = ask(&world, &format!("/.well-known/oauth-authorization-server{path}")).await.json();
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        let issuer = document["issuer"].as_str().map(str::to_owned);
        assert_eq!(issuer.as_deref(), Some(format!("{}{path}", world.base).as_str()));
        let success = world.browser().authorize_as(&format!("{path}{}", authorization("web", &[])), USER).await;
        let error = ask(&world, &format!("{path}{}", authorization("web", &[("scope", "admin")]))).await;
        let error = assert_denied(&error, "invalid_scope");
        for location in [success, error] {
            assert!(location.starts_with(CALLBACK));
            assert_eq!(parameter(&location, "iss"), issuer, "{location}");
            assert_eq!(location.matches("iss=").count(), 1);
        }
    }
}

/// A client cannot be told another name by what it sends itself.
#[tokio::test]
async fn the_request_does_not_choose_the_issuer() {
    let world = World::new().await;
    let path = authorization("web", &[("iss", "https://evil.example"), ("state", "&iss=https://evil.example")]);
    assert!(is_login(&ask(&world, &path).await));
    let location = world.browser().authorize_as(&path, USER).await;
    assert_eq!(parameter(&location, "iss").as_deref(), Some(world.base.as_str()));
    assert_eq!(location.matches("&iss=").count(), 1, "{location}");
}
