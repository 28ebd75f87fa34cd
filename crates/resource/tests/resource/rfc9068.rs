//! RFC 9068 section 4, validating JWT access tokens:
//!
//! - "The resource server MUST verify that the "typ" header value is "at+jwt" or "application/at+jwt" and reject tokens carrying any other
//!   value."
//! - "The issuer identifier for the authorization server […] MUST exactly match the value of the "iss" claim."
//! - "The resource server MUST validate that the "aud" claim contains a resource indicator value corresponding to an identifier the resource
//!   server expects for itself. The JWT access token MUST be rejected if "aud" does not contain a resource indicator of the current resource
//!   server as a valid audience."
//! - "MUST reject any JWT in which the value of "alg" is "none". The resource server MUST use the keys provided by the authorization server."
//! - "The current time MUST be before the time represented by the "exp" claim. Implementers MAY provide for some small leeway".

use regrant_jose::{Algorithm, base64url};
use regrant_resource::Refusal;
use serde_json::{Value, json};

use crate::authority::{AUDIENCE, Authority, NOW, new_key};

/// What is said of the user and the client comes through to the handler.
#[tokio::test]
async fn a_good_token_is_taken() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let token = server.judge(&authority.token(&json!({"groups": ["a"]}))).await.expect("a good token");
    assert_eq!((token.subject(), token.client_id(), token.expires_at()), ("usr_1", "app", NOW + 3600));
    assert!(token.has_scope("notes:read") && !token.has_scope("notes") && token.scope().len() == 2);
    assert_eq!(token.claims()["groups"], json!(["a"]));
    for audience in [json!([AUDIENCE]), json!(["https://x.example/", AUDIENCE])] {
        assert!(server.judge(&authority.token(&json!({"aud": audience}))).await.is_ok());
    }
}

/// Every claim that is missing, of another type, or for somebody else.
#[tokio::test]
async fn a_token_for_elsewhere_is_refused() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    for (name, value) in [
        ("iss", json!("https://other.example")),
        ("iss", json!(format!("{}/", authority.base))),
        ("iss", Value::Null),
        ("aud", json!("https://notes.example")),
        ("aud", json!(["https://other.example/"])),
        ("aud", json!([AUDIENCE, 1])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("iat", Value::Null),
        ("iat", json!(NOW + 60)),
        ("nbf", json!(NOW + 60)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("client_id", json!(7)),
        ("jti", Value::Null),
        ("scope", json!(["notes:read"])),
    ] {
        let token = authority.token(&json!({name: value}));
        assert_eq!(server.judge(&token).await, Err(Refusal::OtherClaims), "{name}: {value}");
    }
}

/// To the second, give or take the leeway.
#[tokio::test]
async fn a_token_ends_at_its_exp() {
    for leeway in [0, 5, 300] {
        let authority = Authority::start().await;
        let server = authority.server().leeway(std::time::Duration::from_secs(leeway)).build().expect("good settings");
        let token = authority.token(&json!({}));
        authority.clock.advance(3600 + leeway - 1);
        assert!(server.judge(&token).await.is_ok(), "{leeway}");
        authority.clock.advance(1);
        assert_eq!(server.judge(&token).await, Err(Refusal::OtherClaims), "{leeway}");
    }
}

/// Other types, other keys, other algorithms, and none.
#[tokio::test]
async fn what_is_not_signed_as_an_access_token_is_refused() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    let (key, claims) = (authority.inside().keys[0].clone(), authority.claims(&json!({})));
    for typ in ["JWT", "jwt", "revocations+jwt", "token-introspection+jwt", "at+jwt2"] {
        let token = key.sign(typ, &claims).expect("a token");
        assert_eq!(server.judge(&token).await, Err(Refusal::NotVerified), "{typ}");
    }
    assert!(server.judge(&key.sign("application/at+jwt", &claims).expect("a token")).await.is_ok());
    let foreign = new_key(Algorithm::Es256).sign("at+jwt", &claims).expect("a token");
    assert_eq!(server.judge(&foreign).await, Err(Refusal::NotVerified));
    let good = authority.token(&json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let kid = key.kid();
    for alg in ["RS256", "PS256", "EdDSA"] {
        let header = base64url::encode(json!({"alg": alg, "typ": "at+jwt", "kid": kid}).to_string().as_bytes());
        assert_eq!(server.judge(&format!("{header}.{payload}.{signature}")).await, Err(Refusal::NotVerified), "{alg}");
    }
    for alg in ["none", "None", "HS256"] {
        let header = base64url::encode(json!({"alg": alg, "typ": "at+jwt", "kid": kid}).to_string().as_bytes());
        for signature in ["", signature] {
            assert_eq!(
                server.judge(&format!("{header}.{payload}.{signature}")).await,
                Err(Refusal::Malformed),
                "{alg}"
            );
        }
    }
    let other = base64url::encode(authority.claims(&json!({"sub": "usr_2"})).to_string().as_bytes());
    assert_eq!(server.judge(&format!("{header}.{other}.{signature}")).await, Err(Refusal::NotVerified));
}

/// What is no token costs nobody anything.
#[tokio::test]
async fn what_is_no_jwt_is_refused_unasked() {
    let authority = Authority::start().await;
    let server = authority.server().build().expect("good settings");
    for text in
        ["", "a", "a.b", "a.b.c", "a.b.c.d.e", "rga_0", &"a".repeat(20_000), &format!("{}.a.a", "a".repeat(20_000))]
    {
        assert_eq!(server.judge(text).await, Err(Refusal::Malformed));
    }
    assert_eq!(authority.asked("/metadata"), 0);
}
