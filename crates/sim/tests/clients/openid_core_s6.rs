//! OpenID Connect Core section 6, request objects, and RFC 9101:
//!
//! - 6: "If one of these parameters is used, the other MUST NOT be used in the same request."
//! - 6.1: "the values for the response_type and client_id parameters MUST be included using the OAuth 2.0 request syntax […] The values
//!   for these parameters MUST match those in the Request Object, if present." "request and request_uri parameters MUST NOT be included
//!   in Request Objects." "The Request Object MAY be signed or unsigned".
//! - 6.2: "the fragment component […] the base64url-encoded SHA-256 hash of the file contents"; "If the fragment value used for a URI
//!   changes, that signals the server that any cached value for that URI with the old fragment value is no longer valid."
//! - 6.3.3: "The Authorization Request parameters are assembled"; those in the object win.
//! - RFC 9101 section 10.8: "never use the client ID as the "sub" value in a Request Object."
//! - RFC 9101 section 7: `invalid_request_uri`, `invalid_request_object`.

use std::time::Duration;

use regrant_jose::{Algorithm, SigningKey, base64url};
use serde_json::{Value, json};
use sim::wire::assertion::{self, sign, sign_with_header};
use sim::wire::browser::parameter;
use sim::wire::{Act, CALLBACK, CHALLENGE, Hook, VERIFIER, World};

use super::support::{but, site};

/// `object`: signed by its key; `plain`: not signed; `refers`: also by reference, `REQUEST` stands for where.
const CLIENTS: &str = r#"
[[scope]]
name = "read"
description = "Read your things"
[[scope]]
name = "write"
description = "Change your things"
[[client]]
id = "object"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
jwks = KEYS
request_uris = ["REQUEST"]
redirect_uris = ["https://app.example/cb", "https://app.example/other"]
scopes = ["read", "write"]
[[client]]
id = "plain"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
request_object_signing_alg = "none"
redirect_uris = ["https://app.example/cb"]
scopes = ["read", "write"]
"#;

async fn world() -> (World, Hook) {
    let (site, setting) = site().await;
    (World::with(&format!("{setting}{}", CLIENTS.replace("REQUEST", site.url()))).await, site)
}

fn object(world: &World, client: &str) -> Value {
    json!({
        "iss": client, "aud": world.app.issuer(), "client_id": client, "response_type": "code", "redirect_uri": CALLBACK,
        "scope": "read", "state": "inside", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        "exp": world.clock.now().seconds() + 60,
    })
}

fn asked(client: &str, more: &[(&str, &str)]) -> String {
    let mut all = vec![("client_id", client), ("response_type", "code")];
    all.extend(more);
    format!("/oauth2/authorize?{}", regrant_server::form::write(&all))
}

fn signed(claims: &Value) -> String {
    sign(assertion::key(), claims)
}

fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    format!("{}.{}.", part(&json!({"alg": "none"})), part(claims))
}

/// Where an answer without a page went, or what the page says.
async fn refusal(world: &World, path: &str) -> (u16, String) {
    let reply = world.browser().get(path).await;
    let error = parameter(&reply.header("location"), "error").unwrap_or_default();
    (reply.status.as_u16(), error)
}

/// The whole way: the parameters of the object are those of the request.
#[tokio::test]
async fn a_signed_object_is_the_request() {
    let (world, _) = world().await;
    let path = asked("object", &[("request", &signed(&object(&world, "object")))]);
    let location = world.browser().authorize_as(&path, sim::wire::USER).await;
    assert!(location.starts_with(CALLBACK), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("inside"));
    let code = parameter(&location, "code").expect("a code");
    let tokens = world.redeem("object", &code).await.expect_status(200).json();
    assert_eq!(tokens["scope"], "read");
    let _ = VERIFIER;
}

/// Section 6.3.3: what is inside wins, what is only outside stays.
#[tokio::test]
async fn what_is_inside_wins() {
    let (world, _) = world().await;
    let inside = but(&object(&world, "object"), json!({"state": null}));
    let more = [
        ("request", signed(&inside)),
        ("scope", "write".to_owned()),
        ("redirect_uri", "https://app.example/other".to_owned()),
        ("state", "outside".to_owned()),
    ];
    let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let location = world.browser().authorize_as(&asked("object", &more), sim::wire::USER).await;
    assert!(location.starts_with(CALLBACK), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("outside"));
    let tokens = world.redeem("object", &parameter(&location, "code").expect("a code")).await.expect_status(200).json();
    assert_eq!(tokens["scope"], "read", "a user who edits his own address bar changes nothing that was signed");
}

/// Section 6.1, `request_object_signing_alg`: not signed only where that was agreed on.
#[tokio::test]
async fn an_unsigned_object_is_for_who_is_registered_so() {
    let (world, _) = world().await;
    let path = asked("plain", &[("request", &unsigned(&object(&world, "plain")))]);
    let code = world.browser().log_in_for_code(&path).await;
    let _ = world.redeem("plain", &code).await.expect_status(200);
    let to = ("redirect_uri", CALLBACK);
    let path = asked("object", &[("request", &unsigned(&object(&world, "object"))), to]);
    assert_eq!(refusal(&world, &path).await, (303, "invalid_request_object".to_owned()));
    let path = asked("plain", &[("request", &signed(&object(&world, "plain"))), to]);
    assert_eq!(refusal(&world, &path).await, (303, "invalid_request_object".to_owned()));
    for algorithm in ["None", "nOnE", "NONE", "HS256"] {
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let claims = object(&world, "plain");
        let odd = format!("{}.{}.", part(&json!({"alg": algorithm})), part(&claims));
        assert_eq!(
            refusal(&world, &asked("plain", &[("request", &odd), to])).await.1,
            "invalid_request_object",
            "{algorithm}"
        );
    }
    let with_signature = format!("{}AAAA", unsigned(&object(&world, "plain")));
    assert_eq!(refusal(&world, &asked("plain", &[("request", &with_signature), to])).await.1, "invalid_request_object");
}

/// Every fault of an object has its code, at the redirect URI that stands outside; where none does, on a page.
#[tokio::test]
async fn a_bad_object_is_refused() {
    let (world, _) = world().await;
    let good = object(&world, "object");
    let now = assertion::start();
    let stranger = SigningKey::generate(Algorithm::Es256).expect("a key");
    let mut all = vec![
        sign(&stranger, &good),
        sign_with_header(assertion::key(), &json!({"alg": "ES256", "typ": "at+jwt"}), &good),
        sign_with_header(assertion::key(), &json!({"alg": "ES256", "crit": ["x"], "x": 1}), &good),
        "x".to_owned(),
        "a.b.c".to_owned(),
        "....".to_owned(),
        format!("{}x", signed(&good)),
    ];
    for changes in [
        json!({"iss": "plain"}),
        json!({"iss": 1}),
        json!({"aud": "https://other.example"}),
        json!({"aud": 1}),
        json!({"exp": now - 60}),
        json!({"exp": "soon"}),
        json!({"nbf": now + 60}),
        json!({"client_id": "plain"}),
        json!({"client_id": 1}),
        json!({"response_type": "token"}),
        json!({"sub": "object"}),
        json!({"request": "x"}),
        json!({"request_uri": "https://app.example/r"}),
        json!({"resource": [1]}),
    ] {
        all.push(signed(&but(&good, changes)));
    }
    for bad in &all {
        let to = asked("object", &[("request", bad), ("redirect_uri", CALLBACK), ("state", "s")]);
        let reply = world.browser().get(&to).await;
        let location = reply.header("location");
        assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_request_object"), "{bad}: {location}");
        assert_eq!(parameter(&location, "state").as_deref(), Some("s"));
        // Two redirect URIs are registered: without one outside there is nowhere to go.
        let nowhere = world.browser().get(&asked("object", &[("request", bad)])).await;
        assert_eq!((nowhere.status.as_u16(), nowhere.header("location")), (400, String::new()), "{bad}");
    }
    // The redirect URI of an object is compared like every other.
    let evil = signed(&but(&good, json!({"redirect_uri": "https://evil.example/cb"})));
    let reply = world.browser().get(&asked("object", &[("request", &evil), ("redirect_uri", CALLBACK)])).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (400, String::new()));
    let both = asked(
        "object",
        &[("request", &signed(&good)), ("request_uri", "https://app.example/r"), ("redirect_uri", CALLBACK)],
    );
    assert_eq!(refusal(&world, &both).await, (303, "invalid_request".to_owned()));
}

/// Section 6.2: by reference, from a place that was registered; what a fragment is the hash of.
#[tokio::test]
async fn a_request_uri_leads_to_the_request() {
    let (world, site) = world().await;
    let body = signed(&object(&world, "object"));
    site.does(Act::says(&body));
    let code = world.browser().log_in_for_code(&asked("object", &[("request_uri", site.url())])).await;
    let _ = world.redeem("object", &code).await.expect_status(200);
    let hash = base64url::encode(&regrant_core::secret::Hash::of(body.as_bytes()).0);
    let pinned = format!("{}#{hash}", site.url());
    world.browser().log_in_for_code(&asked("object", &[("request_uri", &pinned)])).await;
    world.advance(Duration::from_secs(61));
    world.browser().log_in_for_code(&asked("object", &[("request_uri", &pinned)])).await;
    assert_eq!(site.heard().len(), 1, "what has that hash never changes");
    site.does(Act::says(&signed(&but(&object(&world, "object"), json!({"state": "later"})))));
    // Check S11: the same place is asked once a minute.
    for _ in 0..20 {
        world.browser().get(&asked("object", &[("request_uri", site.url())])).await;
    }
    assert_eq!(site.heard().len(), 2);
    world.advance(Duration::from_secs(59));
    site.does(Act::says(&signed(&but(&object(&world, "object"), json!({"state": "newer"})))));
    world.advance(Duration::from_secs(1));
    let location =
        world.browser().authorize_as(&asked("object", &[("request_uri", site.url())]), sim::wire::USER).await;
    assert_eq!(parameter(&location, "state").as_deref(), Some("newer"));
}

/// The OpenID Foundation's suite registers a `request_uri` with a random fragment of the form of a SHA-256, and uses it: it is a word
/// about a cache, and nothing to refuse. What it does not name is not held as what never changes.
#[tokio::test]
async fn a_fragment_that_is_not_the_hash_refuses_nothing() {
    let (site, setting) = site().await;
    let other = format!("{}#{}", site.url(), base64url::encode(&[7; 32]));
    let world = World::with(&format!("{setting}{}", CLIENTS.replace("REQUEST", &other))).await;
    let path = asked("object", &[("request_uri", &other)]);
    for (round, state) in ["one", "two"].into_iter().enumerate() {
        site.does(Act::says(&signed(&but(&object(&world, "object"), json!({"state": state})))));
        for _ in 0..2 {
            let location = world.browser().authorize_as(&path, sim::wire::USER).await;
            assert_eq!(parameter(&location, "state").as_deref(), Some(state), "{location}");
        }
        assert_eq!(site.heard().len(), round + 1);
        world.advance(Duration::from_secs(60));
    }
    site.does(Act::Answer(503, Vec::new(), String::new()));
    let gone = asked("object", &[("request_uri", &other), ("redirect_uri", CALLBACK)]);
    assert_eq!(refusal(&world, &gone).await, (303, "invalid_request_uri".to_owned()), "it may be another one by now");
}

/// Check S11: a fragment is never sent, so that sixty of them are one question.
#[tokio::test]
async fn no_fragment_makes_the_server_ask_again() {
    let (world, site) = world().await;
    site.does(Act::says(&signed(&object(&world, "object"))));
    for number in 0..60_u8 {
        for fragment in [number.to_string(), base64url::encode(&[number; 32])] {
            let uri = format!("{}#{fragment}", site.url());
            assert_eq!(world.browser().get(&asked("object", &[("request_uri", &uri)])).await.status, 200, "{uri}");
        }
    }
    assert_eq!(site.heard().len(), 1);
}

#[tokio::test]
async fn a_request_uri_is_a_registered_one() {
    let (world, site) = world().await;
    let to = ("redirect_uri", CALLBACK);
    let longer = format!("{}/../x", site.url());
    let query = format!("{}?x", site.url());
    for uri in [
        longer.as_str(),
        query.as_str(),
        "https://127.0.0.1/",
        "http://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "urn:ietf:params:oauth:request_uri:x",
        "x",
    ] {
        assert_eq!(
            refusal(&world, &asked("object", &[("request_uri", uri), to])).await,
            (303, "invalid_request_uri".to_owned()),
            "{uri}"
        );
    }
    assert!(site.heard().is_empty());
    for act in [Act::Answer(404, Vec::new(), String::new()), Act::Silence, Act::Endless] {
        let (world, site) = self::world().await;
        site.does(act);
        let path = asked("object", &[("request_uri", site.url()), to]);
        assert_eq!(refusal(&world, &path).await, (303, "invalid_request_uri".to_owned()));
    }
}

/// Nothing is verified or fetched for who is not there.
#[tokio::test]
async fn an_unknown_clients_object_is_not_looked_at() {
    let (world, site) = world().await;
    let reply = world.browser().get(&asked("nobody", &[("request_uri", site.url())])).await;
    assert_eq!(reply.status, 400);
    assert!(site.heard().is_empty());
}

/// Registration section 2, `request_object_signing_alg`: "The default, if omitted, is that any algorithm supported by the OP and the RP MAY
/// be used." So a client that registered itself and said nothing may send one that is not signed, by value or by reference; what is inside
/// wins, a redirect URI as well. One that said how it signs may not.
#[tokio::test]
async fn a_client_that_registered_itself_may_leave_open_how_it_signs() {
    let (site, setting) = site().await;
    let world = World::with(&format!("{setting}{}", super::support::open(""))).await;
    let said = but(&super::support::web(), json!({"request_uris": [site.url()]}));
    let client = super::support::register(&world, &said, &[]).await.expect_status(201).json();
    let id = super::support::member(&client, "client_id");
    let inside = but(&object(&world, &id), json!({"scope": "openid", "iss": null, "aud": null, "exp": null}));
    let plain = unsigned(&inside);
    site.does(Act::says(&plain));
    for by in [("request", plain.as_str()), ("request_uri", site.url())] {
        let path = asked(&id, &[by, ("redirect_uri", "https://elsewhere.example/cb"), ("scope", "openid")]);
        let location = world.browser().authorize_as(&path, sim::wire::USER).await;
        assert!(location.starts_with(CALLBACK) && parameter(&location, "code").is_some(), "{by:?}: {location}");
        assert_eq!(parameter(&location, "state").as_deref(), Some("inside"), "{by:?}");
    }
    let strict = but(
        &super::support::web(),
        json!({"request_object_signing_alg": "ES256", "jwks": assertion::set(&[assertion::key()])}),
    );
    let client = super::support::register(&world, &strict, &[]).await.expect_status(201).json();
    let id = super::support::member(&client, "client_id");
    let inside = but(&object(&world, &id), json!({"scope": "openid"}));
    let path = |object: &str| asked(&id, &[("request", object), ("redirect_uri", CALLBACK)]);
    assert_eq!(refusal(&world, &path(&unsigned(&inside))).await, (303, "invalid_request_object".to_owned()));
    assert_eq!(refusal(&world, &path(&signed(&inside))).await, (200, String::new()));
}
