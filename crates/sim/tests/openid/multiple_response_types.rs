//! OAuth 2.0 Multiple Response Type Encoding Practices 1.0:
//!
//! - 2.1: "If response_mode is not present in a request, the default Response Mode mechanism specified by the Response Type is used."
//! - 3: "the default Response Mode […] is the fragment encoding and the query encoding MUST NOT be used" for `id_token` and every type with
//!   a token. "The order of the space-separated sub-values is not significant".
//! - 5: "all […] error responses […] are encoded in the fragment" by default.
//!
//! And ours: a client has the types that it was given.

use sim::wire::authorization;

use super::support::{RESPONSE_TYPES, ask, heard, request, request_of, world};

#[tokio::test]
async fn each_type_has_its_mode_unless_the_request_names_one() {
    let world = world().await;
    for kind in RESPONSE_TYPES {
        let expected = if kind == "code" { "query" } else { "fragment" };
        assert_eq!(ask(&world, &request(kind, &[])).await.mode, expected, "{kind}");
    }
    assert_eq!(ask(&world, &request("code", &[("response_mode", "fragment")])).await.mode, "fragment");
}

#[tokio::test]
async fn tokens_never_stand_in_a_query() {
    let world = world().await;
    for kind in RESPONSE_TYPES.into_iter().filter(|kind| *kind != "code") {
        let answer = heard(&world.browser().get(&request(kind, &[("response_mode", "query")])).await);
        assert_eq!((answer.mode, answer.error()), ("fragment", "invalid_request"), "{kind}");
    }
}

#[tokio::test]
async fn an_error_stands_where_the_answer_would() {
    let world = world().await;
    for kind in RESPONSE_TYPES {
        let answer = heard(&world.browser().get(&request(kind, &[("prompt", "none")])).await);
        let expected = if kind == "code" { "query" } else { "fragment" };
        assert_eq!((answer.mode, answer.error()), (expected, "login_required"), "{kind}");
    }
    for mode in ["jwt", "query.jwt", "web_message", "FORM_POST"] {
        let answer = heard(&world.browser().get(&request("code", &[("response_mode", mode)])).await);
        assert_eq!((answer.mode, answer.error()), ("query", "invalid_request"), "{mode}");
    }
}

#[tokio::test]
async fn a_client_has_the_types_that_it_was_given() {
    let world = world().await;
    for kind in RESPONSE_TYPES.into_iter().filter(|kind| *kind != "code") {
        let path = authorization("web", &[("response_type", kind), ("scope", "openid"), ("nonce", "n")]);
        assert_eq!(heard(&world.browser().get(&path).await).error(), "unauthorized_client", "{kind}");
    }
    let path = request_of("spa-old", "id_token", &[("scope", "read")]);
    assert_eq!(heard(&world.browser().get(&path).await).error(), "unauthorized_client", "implicit alone is `token`");
}
