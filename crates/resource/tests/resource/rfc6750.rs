//! RFC 6750, bearer tokens:
//!
//! - 3: "If the protected resource request does not include authentication credentials or does not contain an access token that enables
//!   access to the protected resource, the resource server MUST include the HTTP "WWW-Authenticate" response header field".
//! - 3.1: `invalid_request` 400, `invalid_token` 401, `insufficient_scope` 403. "If the request lacks any authentication information […], the
//!   resource server SHOULD NOT include an error code or other error information."

use serde_json::json;

use crate::authority::{Authority, call};

/// Headers, the scope that is needed, the status, and what the challenge says behind the realm.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], u16, &'a str);

const REALM: &str = "Bearer realm=\"https://notes.example/\"";

#[tokio::test]
async fn each_error_has_its_status_and_its_challenge() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let good = format!("Bearer {}", authority.token(&json!({"scope": "notes:read"})));
    let over = format!("Bearer {}", authority.token(&json!({"exp": 1})));
    let two = [("authorization", good.as_str()), ("authorization", good.as_str())];
    let cases: [Case<'_>; 10] = [
        (&[], &[], 401, ""),
        (&[("authorization", "Basic eDp5")], &[], 401, ""),
        (&two, &[], 400, ", error=\"invalid_request\""),
        (&[("authorization", "Bearer")], &[], 400, ", error=\"invalid_request\""),
        (&[("authorization", "Bearer a b")], &[], 400, ", error=\"invalid_request\""),
        (&[("authorization", "Bearer ä")], &[], 400, ", error=\"invalid_request\""),
        (&[("authorization", "Bearer a,b")], &[], 400, ", error=\"invalid_request\""),
        (&[("authorization", "Bearer x")], &[], 401, ", error=\"invalid_token\""),
        (&[("authorization", &over)], &["notes:read"], 401, ", error=\"invalid_token\""),
        (
            &[("authorization", &good)],
            &["notes:read", "notes:write"],
            403,
            ", error=\"insufficient_scope\", scope=\"notes:read notes:write\"",
        ),
    ];
    for (headers, scope, status, more) in cases {
        assert_eq!(call(&server, scope, headers).await, (status, format!("{REALM}{more}")), "{headers:?}");
    }
    let lower = good.replace("Bearer", "bearer");
    for header in [&good, &lower] {
        assert_eq!(call(&server, &["notes:read"], &[("authorization", header)]).await, (200, String::new()));
    }
}

/// Where nothing can be known nothing is said of the token: it may work in a moment.
#[tokio::test]
async fn an_authority_that_does_not_answer_is_503() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let good = format!("Bearer {}", authority.token(&json!({})));
    authority.inside().broken = vec!["/jwks"];
    assert_eq!(call(&server, &[], &[("authorization", &good)]).await, (503, String::new()));
    authority.inside().broken.clear();
    authority.clock.advance(5);
    assert_eq!(call(&server, &[], &[("authorization", &good)]).await.0, 200);
}
