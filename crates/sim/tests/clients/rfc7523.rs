//! RFC 7523, JWTs for client authentication:
//!
//! - 2.2: `client_assertion_type` "is "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"". "The value of the "client_assertion"
//!   parameter contains a single JWT."
//! - 3: "1. The JWT MUST contain an "iss" (issuer) claim". "2. B. For client authentication, the subject MUST be the client_id".
//!   "3. The JWT MUST contain an "aud" (audience) claim […] that identifies the authorization server as an intended audience."
//!   "4. The JWT MUST contain an "exp" (expiration time) claim". "9. The JWT MUST be digitally signed or have a Message Authentication
//!   Code".
//! - 3.2: "the value of the "error" parameter MUST be the "invalid_client" error code".

use regrant_jose::{Algorithm, SigningKey, base64url};
use serde_json::{Value, json};
use sim::wire::assertion::{self, TYPE, sign, sign_with_header, sign_with_secret};
use sim::wire::{Act, SECRET, World, text};

use super::support::{ask, but, claims, clients, directory, grant, remote, site, world};

/// Every method proves a client, at every endpoint that clients prove themselves at.
#[tokio::test]
async fn a_signed_assertion_proves_a_client() {
    let world = world().await;
    for client in ["robot", "shared"] {
        let tokens = grant(&world, client).await;
        let _ = world.refresh(client, &text(&tokens, "refresh_token")).await.expect_status(200);
        let told = world.post("/oauth2/introspect", "api", &[("token", &text(&tokens, "access_token"))], &[]).await;
        assert_eq!(told.expect_status(200).json()["active"], true);
        let token = text(&tokens, "refresh_token");
        let _ = world.post("/oauth2/revoke", client, &[("token", &token)], &[]).await.expect_status(200);
        world.refresh(client, &token).await.expect_error(400, "invalid_grant");
    }
}

/// Check C4: an assertion is good once; also at another endpoint, at another node on the same store, and after a restart.
#[tokio::test]
async fn an_assertion_is_good_once() {
    let memory = regrant_store::Memory::new();
    let world = World::node(&clients(), &memory).await;
    let other = World::node(&clients(), &memory).await;
    let mut said = claims(&world, "robot");
    said["aud"] = world.app.issuer().into();
    let signed = sign(assertion::key(), &said);
    let _ = ask(&world.http(), &signed, &[]).await.expect_status(200);
    ask(&world.http(), &signed, &[]).await.expect_error(401, "invalid_client");
    let form = [("token", "x"), ("client_assertion_type", TYPE), ("client_assertion", signed.as_str())];
    world.http().post("/oauth2/revoke", &form, &[]).await.expect_error(401, "invalid_client");
    let again = sign(assertion::key(), &but(&said, json!({"iat": assertion::start() + 1})));
    ask(&world.http(), &again, &[]).await.expect_error(401, "invalid_client");
    let elsewhere = sign(assertion::key(), &but(&said, json!({"aud": other.app.issuer()})));
    ask(&other.http(), &elsewhere, &[]).await.expect_error(401, "invalid_client");
    let world = world.restart().await;
    ask(&world.http(), &signed, &[]).await.expect_error(401, "invalid_client");
    let shared = sign_with_secret(&but(&claims(&world, "shared"), json!({"jti": said["jti"]})));
    let _ = ask(&world.http(), &shared, &[]).await.expect_status(200);
}

/// Check C4, on a file: what was used is durable before the answer is.
#[tokio::test]
async fn a_used_assertion_survives_the_process() {
    let world = World::on_sqlite_with(&clients(), &directory().join("regrant.db")).await;
    let signed = sign(assertion::key(), &claims(&world, "robot"));
    let _ = ask(&world.http(), &signed, &[]).await.expect_status(200);
    let world = world.restart().await;
    ask(&world.http(), &signed, &[]).await.expect_error(401, "invalid_client");
    let _ = ask(&world.http(), &sign(assertion::key(), &claims(&world, "robot")), &[]).await.expect_status(200);
}

/// A request that fails for another reason uses nothing up but its assertion (law L1).
#[tokio::test]
async fn a_refused_assertion_uses_nothing_up() {
    let world = world().await;
    let late = but(&claims(&world, "robot"), json!({"exp": assertion::start() - 60}));
    ask(&world.http(), &sign(assertion::key(), &late), &[]).await.expect_error(401, "invalid_client");
    let good = but(&late, json!({"exp": assertion::start() + 60}));
    let _ = ask(&world.http(), &sign(assertion::key(), &good), &[]).await.expect_status(200);
}

/// Checks C5 and C6: one text, that names us.
#[tokio::test]
async fn the_audience_is_this_server_and_nobody_else() {
    let world = world().await;
    let issuer = world.app.issuer().to_owned();
    let token = format!("{issuer}/oauth2/token");
    // A client that knows the token endpoint by another of its paths names that one.
    let alias = format!("{issuer}/oauth/v2/accessToken");
    for good in [json!(issuer), json!(token), json!(alias)] {
        let said = but(&claims(&world, "robot"), json!({"aud": good}));
        let _ = ask(&world.http(), &sign(assertion::key(), &said), &[]).await.expect_status(200);
    }
    for bad in [
        json!([issuer]),
        json!([issuer, "https://other.example"]),
        json!([token]),
        json!("https://other.example"),
        json!(format!("{issuer}/")),
        json!(issuer.to_uppercase()),
        json!(format!("{issuer}/oauth2/revoke")),
        json!(""),
        json!([]),
        json!(1),
        json!({"a": issuer}),
        json!(true),
        Value::Null,
    ] {
        let said = but(&claims(&world, "robot"), json!({"aud": bad}));
        let reply = ask(&world.http(), &sign(assertion::key(), &said), &[]).await;
        assert_eq!(reply.status, 401, "{bad}: {}", reply.text());
    }
}

/// Check C7.
#[tokio::test]
async fn issuer_and_subject_are_the_client() {
    let world = world().await;
    for changes in [
        json!({"iss": "shared"}),
        json!({"iss": null}),
        json!({"iss": ""}),
        json!({"iss": ["robot"]}),
        json!({"sub": "shared"}),
        json!({"sub": null}),
        json!({"sub": "nobody"}),
        json!({"sub": ["robot"]}),
        json!({"sub": "usr_1", "iss": "usr_1"}),
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"jti": 1}),
        json!({"jti": "x".repeat(256)}),
    ] {
        let said = but(&claims(&world, "robot"), changes.clone());
        let reply = ask(&world.http(), &sign(assertion::key(), &said), &[]).await;
        assert_eq!(reply.status, 401, "{changes}: {}", reply.text());
    }
}

/// Checks C8 and J: every form of a time that is none, and every time that is not now.
#[tokio::test]
async fn an_assertion_has_an_end_that_is_near() {
    let world = world().await;
    let now = assertion::start();
    for changes in [
        json!({"exp": null}),
        json!({"exp": 0}),
        json!({"exp": -1}),
        json!({"exp": now - 31}),
        json!({"exp": now + 3631}),
        json!({"exp": (now + 60).to_string()}),
        json!({"exp": true}),
        json!({"exp": [now + 60]}),
        json!({"exp": 9_223_372_036_854_775_808_u64}),
        json!({"exp": 1e300}),
        json!({"exp": (now + 60) * 1000}),
        json!({"nbf": now + 60}),
        json!({"nbf": "now"}),
        json!({"iat": now + 60}),
        json!({"iat": "now"}),
        json!({"iat": false}),
    ] {
        let said = but(&claims(&world, "robot"), changes.clone());
        let reply = ask(&world.http(), &sign(assertion::key(), &said), &[]).await;
        assert_eq!(reply.status, 401, "{changes}: {}", reply.text());
    }
    for changes in
        [json!({"exp": now + 3600}), json!({"exp": now as f64 + 60.5}), json!({"iat": null}), json!({"nbf": now})]
    {
        let said = but(&claims(&world, "robot"), changes.clone());
        let reply = ask(&world.http(), &sign(assertion::key(), &said), &[]).await;
        assert_eq!(reply.status, 200, "{changes}: {}", reply.text());
    }
}

/// RFC 9101 section 10.8, "Cross-JWT Confusion": a request object goes through a browser, and whoever sees it there is not the client for
/// it. Without a `typ` its claims tell it.
#[tokio::test]
async fn a_request_object_proves_no_client() {
    let world = world().await;
    for (name, value) in [("response_type", "code"), ("redirect_uri", "https://app.example/cb"), ("client_id", "robot")]
    {
        let said = but(&claims(&world, "robot"), json!({name: value}));
        ask(&world.http(), &sign(assertion::key(), &said), &[]).await.expect_error(401, "invalid_client");
        let mut by_secret = but(&claims(&world, "shared"), json!({name: value}));
        if name == "client_id" {
            by_secret[name] = "shared".into();
        }
        ask(&world.http(), &sign_with_secret(&by_secret), &[]).await.expect_error(401, "invalid_client");
    }
    let _ = ask(&world.http(), &sign(assertion::key(), &claims(&world, "robot")), &[]).await.expect_status(200);
}

/// Checks C9 and J: who verifies chooses the algorithm, and not the header.
#[tokio::test]
async fn the_header_chooses_nothing() {
    let world = world().await;
    let said = claims(&world, "robot");
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let public = assertion::key().public_jwk();
    let pem_like = serde_json::to_string(&public).expect("JSON");
    // The public key as the secret of an HMAC.
    let confused = regrant_jose::sign_shared("JWT", &said, pem_like.as_bytes()).expect("a token");
    let mut all = vec![confused, sign_with_secret(&said)];
    for algorithm in [
        "none",
        "None",
        "nOnE",
        "NONE",
        "",
        "HS256",
        "HS512",
        "ES384",
        "RS512",
        "es256",
        "ES256K",
        "dir",
        "PBES2-HS256+A128KW",
    ] {
        let unsigned = format!("{}.{}.", part(&json!({"alg": algorithm})), part(&said));
        all.push(format!("{unsigned}AAAA"));
        all.push(unsigned);
    }
    let stranger = SigningKey::generate(Algorithm::Es256).expect("a key");
    all.push(sign(&stranger, &said));
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa] {
        all.push(sign(&SigningKey::generate(algorithm).expect("a key"), &said));
    }
    for signed in &all {
        let reply = ask(&world.http(), signed, &[]).await;
        assert_eq!(reply.status, 401, "{signed}: {}", reply.text());
    }
    // Registered for another algorithm than its own key's.
    let strict = sign(assertion::key(), &claims(&world, "strict"));
    ask(&world.http(), &strict, &[]).await.expect_error(401, "invalid_client");
    // One of client_secret_jwt does not sign by a key, even if it has one; one of a hash has no secret to sign with.
    for client in ["shared", "basic"] {
        ask(&world.http(), &sign(assertion::key(), &claims(&world, client)), &[])
            .await
            .expect_error(401, "invalid_client");
    }
    ask(&world.http(), &sign_with_secret(&claims(&world, "basic")), &[]).await.expect_error(401, "invalid_client");
    let _ = ask(&world.http(), &sign(assertion::key(), &said), &[]).await.expect_status(200);
}

/// Check J: keys in the header are nobody's: nothing is fetched, nothing is used.
#[tokio::test]
async fn a_key_in_the_header_is_not_used() {
    let (trap, setting) = site().await;
    let world = World::with(&format!("{setting}{}", clients())).await;
    let stranger = SigningKey::generate(Algorithm::Es256).expect("a key");
    let public = serde_json::to_value(stranger.public_jwk()).expect("JSON");
    for extra in [
        json!({"jwk": public}),
        json!({"jku": trap.url(), "kid": public["kid"]}),
        json!({"x5u": trap.url()}),
        json!({"x5c": ["MIIB"]}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' OR 1=1 --"}),
        json!({"kid": trap.url()}),
        json!({"kid": "k".repeat(10_000)}),
        json!({"kid": [assertion::key().kid()]}),
        json!({"crit": ["exp"], "exp": 1}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"zip": "DEF"}),
        json!({"typ": "at+jwt"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": "token-introspection+jwt"}),
        json!({"typ": "oauth-authz-req+jwt"}),
        json!({"typ": 1}),
    ] {
        let mut header = json!({"alg": "ES256"});
        header.as_object_mut().expect("an object").extend(extra.as_object().cloned().expect("an object"));
        let token = sign_with_header(&stranger, &header, &claims(&world, "robot"));
        ask(&world.http(), &token, &[]).await.expect_error(401, "invalid_client");
        // With the client's own key only what would change its meaning is refused.
        let own = sign_with_header(assertion::key(), &header, &claims(&world, "robot"));
        let is_harmless = ["jwk", "x5u", "x5c", "zip"].iter().any(|name| extra.get(name).is_some());
        let reply = ask(&world.http(), &own, &[]).await;
        assert_eq!(reply.status.as_u16(), if is_harmless { 200 } else { 401 }, "{extra}: {}", reply.text());
    }
    assert!(trap.heard().is_empty(), "nothing is asked for that a header names");
}

/// Check J: shapes that are no compact JWS with JSON in it.
#[tokio::test]
async fn what_is_no_jwt_is_refused() {
    let world = world().await;
    let good = sign(assertion::key(), &claims(&world, "robot"));
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |text: &str| base64url::encode(text.as_bytes());
    let deep = format!("{{\"sub\":\"robot\",\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let twice = r#"{"iss":"robot","sub":"robot","sub":"robot","aud":"x","jti":"1","exp":1}"#;
    for bad in [
        format!("{good}."),
        format!("{good}.x"),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], encode(twice), parts[2]),
        format!("{}.{}.{}", parts[0], encode(&deep), parts[2]),
        format!("{}.{}.{}", encode(r#"{"alg":"ES256","alg":"ES256"}"#), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], encode("[]"), parts[2]),
        format!("{}.{}.{}", parts[0], encode("null"), parts[2]),
        format!("{}.{}.{}", parts[0], encode(&good), parts[2]),
        json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string(),
        // The signature of zeroes, which some accept for every message.
        format!("{}.{}.{}", parts[0], parts[1], base64url::encode(&[0; 64])),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(20_000)),
        "x".to_owned(),
        "a.b.c".to_owned(),
        "....".to_owned(),
        encode(r#"{"alg":"RSA-OAEP","enc":"A128GCM","zip":"DEF"}"#) + ".AA.AA.AA.AA",
        encode(r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A128GCM"}"#) + ".AA.AA.AA.AA",
    ] {
        let reply = ask(&world.http(), &bad, &[]).await;
        assert!(matches!(reply.status.as_u16(), 400 | 401), "{bad}: {}", reply.text());
        assert_eq!(reply.json()["error"], "invalid_client", "{bad}");
    }
    let _ = ask(&world.http(), &good, &[]).await.expect_status(200);
}

/// Checks C1, C2, C3 and C10.
#[tokio::test]
async fn an_assertion_comes_alone() {
    let world = world().await;
    let signed = || sign(assertion::key(), &claims(&world, "robot"));
    let (one, basic) = (signed(), sim::wire::http::basic("basic", SECRET));
    ask(&world.http(), &one, &[("client_secret", SECRET)]).await.expect_error(400, "invalid_request");
    ask(&world.http(), &one, &[("client_id", "basic")]).await.expect_error(400, "invalid_request");
    let form = [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", &one)];
    let both = world.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await;
    both.expect_error(400, "invalid_request");
    for (kind, assertion) in [(TYPE, ""), ("", one.as_str())] {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "robot"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        world.http().post("/oauth2/token", &form, &[]).await.expect_error(400, "invalid_request");
    }
    // Both without a value are as none (RFC 6749 section 3.2): no second authentication.
    let form = [("token", "x"), ("client_assertion_type", ""), ("client_assertion", "")];
    let _ = world.http().post("/oauth2/revoke", &form, &[("authorization", &basic)]).await.expect_status(200);
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    let form = [("grant_type", "client_credentials"), ("client_assertion_type", saml), ("client_assertion", &one)];
    world.http().post("/oauth2/token", &form, &[]).await.expect_error(401, "invalid_client");
    // The name alone, or a secret, is not the registered method.
    for more in [vec![], vec![("client_secret", SECRET)]] {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", "robot")];
        form.extend(more);
        world.http().post("/oauth2/token", &form, &[]).await.expect_error(401, "invalid_client");
    }
    let _ = ask(&world.http(), &one, &[("client_id", "robot")]).await.expect_status(200);
}

/// Keys that cannot be had are no 500, and no proof.
#[tokio::test]
async fn a_client_without_keys_proves_nothing() {
    let (site, setting) = site().await;
    let world = World::with(&format!("{setting}{}", remote(site.url()))).await;
    site.does(Act::Answer(500, Vec::new(), String::new()));
    let signed = sign(assertion::key(), &claims(&world, "remote"));
    let reply = ask(&world.http(), &signed, &[]).await;
    reply.expect_error(503, "temporarily_unavailable");
    assert!(!reply.text().contains("500") && !reply.text().contains("127.0.0.1"), "check S10: {}", reply.text());
}
