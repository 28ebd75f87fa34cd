//! OpenID Connect Core section 10.2, encryption:
//!
//! - 2: "If the ID Token is encrypted, it MUST be signed then encrypted, with the result being a Nested JWT".
//! - 5.3.2: "If the UserInfo Response is signed and/or encrypted, then the Claims are returned in a JWT and the content-type MUST be
//!   application/jwt."
//! - 6.1: a request object may be encrypted; 3.1.2.1: "The Client MAY re-encrypt the signed ID token to the Authentication Server".
//! - 10.2: "The encrypting party MUST select an encryption algorithm based on the algorithms supported by the recipient."

use regrant_jose::jwe::{ContentAlgorithm, Decrypted, DecryptingKey, EncryptingKey, KeyAlgorithm, decrypt};
use regrant_jose::{Algorithm, JwkSet, SigningKey, base64url};
use serde_json::{Value, json};
use sim::wire::assertion::{self, sign};
use sim::wire::{CALLBACK, World, text};

use super::support::{ask, request, tokens, userinfo, verified, with};

/// The client's keys: one on P-256, one RSA for each padding.
struct Keys {
    own: Vec<DecryptingKey>,
}

impl Keys {
    fn new() -> Self {
        let rsa = SigningKey::generate(Algorithm::Rs256).expect("a key").to_pkcs8();
        let of = |algorithm| DecryptingKey::from_rsa_pkcs8(algorithm, &rsa).expect("a key");
        let ec = DecryptingKey::from_p256(&[3; 32]).expect("a key");
        let (new, old) = (of(KeyAlgorithm::RsaOaep256).called("new"), of(KeyAlgorithm::RsaOaep).called("old"));
        Self { own: vec![ec, new, old] }
    }

    fn set(&self) -> Value {
        json!({"keys": self.own.iter().map(DecryptingKey::public_jwk).collect::<Vec<_>>()})
    }

    fn open(&self, token: &str) -> Decrypted {
        decrypt(token, &self.own).expect("encrypted to the client")
    }

    fn nested(&self, token: &str) -> String {
        let opened = self.open(token);
        assert_eq!(opened.header["cty"], "JWT");
        String::from_utf8(opened.content.to_vec()).expect("a token")
    }

    async fn world(&self, more: &str) -> World {
        with(&format!("jwks = {}\n{more}", assertion::toml(&self.set()))).await
    }
}

#[tokio::test]
async fn an_id_token_is_signed_and_then_encrypted_with_every_algorithm() {
    let keys = Keys::new();
    for (alg, enc) in KeyAlgorithm::ALL.into_iter().zip(ContentAlgorithm::ALL.into_iter().cycle()) {
        let more = format!("id_token_encrypted_response_alg = \"{alg}\"\nid_token_encrypted_response_enc = \"{enc}\"");
        let world = keys.world(&more).await;
        let answer = tokens(&world, &[("scope", "openid offline_access"), ("prompt", "consent")]).await;
        let refreshed = world.refresh("rp", &text(&answer, "refresh_token")).await.expect_status(200).json();
        let front = ask(&world, &request("id_token", &[])).await;
        for token in [text(&answer, "id_token"), text(&refreshed, "id_token"), front.of("id_token").to_owned()] {
            let opened = keys.open(&token);
            assert_eq!((opened.algorithm, opened.encryption), (alg, enc));
            let (header, claims) = verified(&world, "rp", &keys.nested(&token)).await;
            assert_eq!((header.algorithm, claims["aud"].as_str()), (Algorithm::Rs256, Some("rp")));
        }
    }
}

/// Registration section 2: "The default, if […] id_token_encrypted_response_enc is omitted, is A128CBC-HS256."
#[tokio::test]
async fn the_content_is_encrypted_as_the_default_has_it() {
    let keys = Keys::new();
    let world = keys.world("id_token_encrypted_response_alg = \"ECDH-ES\"").await;
    let answer = tokens(&world, &[]).await;
    assert_eq!(keys.open(&text(&answer, "id_token")).encryption, ContentAlgorithm::A128CbcHs256);
}

#[tokio::test]
async fn a_userinfo_answer_is_encrypted_signed_or_not() {
    let keys = Keys::new();
    for signed in ["", "userinfo_signed_response_alg = \"ES256\""] {
        let world = keys.world(&format!("userinfo_encrypted_response_alg = \"RSA-OAEP-256\"\n{signed}")).await;
        let answer = tokens(&world, &[("scope", "openid email")]).await;
        let reply = userinfo(&world, &text(&answer, "access_token")).await.expect_status(200);
        assert_eq!(reply.header("content-type"), "application/jwt");
        let opened = keys.open(&reply.text());
        let claims: Value = if signed.is_empty() {
            assert_eq!(opened.header.get("cty"), None);
            serde_json::from_slice(&opened.content).expect("claims")
        } else {
            let inner = keys.nested(&reply.text());
            let payload = inner.split('.').nth(1).expect("three parts").to_owned();
            serde_json::from_slice(&base64url::decode(&payload).expect("base64url")).expect("claims")
        };
        assert_eq!(claims["email"], "alice@example.com");
    }
}

/// The server's own key, as clients find it.
async fn server_key(world: &World, algorithm: KeyAlgorithm) -> EncryptingKey {
    let reply = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let set: JwkSet = serde_json::from_slice(&reply.body).expect("a key set");
    EncryptingKey::of_set(&set, algorithm).expect("a key to encrypt to")
}

fn object(world: &World) -> String {
    let claims = json!({
        "iss": "rp", "aud": world.app.issuer(), "client_id": "rp", "response_type": "code", "redirect_uri": CALLBACK,
        "scope": "openid", "state": "inside", "nonce": "n",
    });
    sign(assertion::key(), &claims)
}

async fn asked(world: &World, object: &str) -> super::support::Answered {
    let parameters = [("client_id", "rp"), ("response_type", "code"), ("redirect_uri", CALLBACK), ("request", object)];
    ask(world, &format!("/oauth2/authorize?{}", regrant_server::form::write(&parameters))).await
}

/// Section 6.1: encrypted to the key that discovery leads to, with each algorithm; whoever wrote it is still asked for inside.
#[tokio::test]
async fn a_request_object_may_be_encrypted_to_the_server() {
    let world = with("jwks = KEYS").await;
    for algorithm in KeyAlgorithm::ECDH {
        let key = server_key(&world, algorithm).await;
        for enc in ContentAlgorithm::ALL {
            let encrypted = key.encrypt(enc, Some("JWT"), object(&world).as_bytes()).expect("encrypted");
            assert_eq!(asked(&world, &encrypted).await.of("state"), "inside", "{algorithm} {enc}");
        }
        let forged = sign(&SigningKey::generate(Algorithm::Es256).expect("a key"), &json!({"client_id": "rp"}));
        for bad in [forged.as_bytes(), b"x", b"", &[0xff, 0xfe]] {
            let encrypted = key.encrypt(ContentAlgorithm::A256Gcm, Some("JWT"), bad).expect("encrypted");
            assert_eq!(asked(&world, &encrypted).await.error(), "invalid_request_object");
        }
        let good = key.encrypt(ContentAlgorithm::A256Gcm, Some("JWT"), object(&world).as_bytes()).expect("encrypted");
        let cut = &good[..good.len() - 3];
        assert_eq!(asked(&world, cut).await.error(), "invalid_request_object");
    }
}

/// Registration section 2, `request_object_encryption_alg`: what the client has declared is what is taken.
#[tokio::test]
async fn a_declared_encryption_is_the_one_that_is_taken() {
    let declared =
        "jwks = KEYS\nrequest_object_encryption_alg = \"ECDH-ES\"\nrequest_object_encryption_enc = \"A256GCM\"";
    let world = with(declared).await;
    let encrypt = async |algorithm, enc| {
        let key = server_key(&world, algorithm).await;
        key.encrypt(enc, Some("JWT"), object(&world).as_bytes()).expect("encrypted")
    };
    let good = encrypt(KeyAlgorithm::EcdhEs, ContentAlgorithm::A256Gcm).await;
    assert_eq!(asked(&world, &good).await.of("state"), "inside");
    for (algorithm, enc) in
        [(KeyAlgorithm::EcdhEsA128Kw, ContentAlgorithm::A256Gcm), (KeyAlgorithm::EcdhEs, ContentAlgorithm::A128Gcm)]
    {
        assert_eq!(asked(&world, &encrypt(algorithm, enc).await).await.error(), "invalid_request_object");
    }
    assert_eq!(asked(&world, &object(&world)).await.of("state"), "inside", "it may encrypt, and need not");
}

/// Section 3.1.2.1: the client decrypts its ID token, and may encrypt it to the server when it sends it back.
#[tokio::test]
async fn an_id_token_hint_may_be_encrypted_to_the_server() {
    let world = with("").await;
    let hint = text(&tokens(&world, &[]).await, "id_token");
    let key = server_key(&world, KeyAlgorithm::EcdhEsA256Kw).await;
    let encrypted = key.encrypt(ContentAlgorithm::A128Gcm, Some("JWT"), hint.as_bytes()).expect("encrypted");
    let answer = ask(&world, &request("code", &[("id_token_hint", &encrypted)])).await;
    assert!(answer.has("code"), "{answer:?}");
    let out = regrant_server::form::write(&[("id_token_hint", &encrypted)]);
    let _ = world.browser().get(&format!("/oauth2/logout?{out}")).await.expect_status(200);
    let bad = regrant_server::form::write(&[("id_token_hint", &encrypted[..encrypted.len() - 2])]);
    let _ = world.browser().get(&format!("/oauth2/logout?{bad}")).await.expect_status(400);
}
