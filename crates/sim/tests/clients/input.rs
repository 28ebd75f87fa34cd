//! Five thousand malformed requests at each of the endpoints of this part, from a seed: each class asserts its own code, no answer is a
//! 5xx, and every tenth request is honest and succeeds.

use serde_json::{Value, json};
use sim::wire::World;
use sim::wire::assertion::{self, TYPE, sign};

use super::support::{ask, but, claims, clients, member, open, register, web};

const REQUESTS: usize = 5000;

/// A small generator of one's own: the same requests in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn value(&mut self) -> Value {
        match self.next(9) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(1e308),
            4 => json!(""),
            5 => json!("\u{0}\u{202e}<script>"),
            6 => json!(["a", 1, {"b": []}]),
            7 => json!({"a": {"b": {"c": []}}}),
            _ => json!("x".repeat(self.next(3000))),
        }
    }
}

fn assert_sane(status: u16, text: &str) {
    assert!(status < 500, "{status}: {text}");
    assert!(!text.contains("<script>"), "{text}");
}

#[tokio::test]
async fn assertions_that_are_none() {
    let world = World::with(&clients()).await;
    let (mut chance, http) = (Chance(1), world.http());
    let names = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
    for count in 0..REQUESTS {
        let good = claims(&world, "robot");
        if count % 10 == 0 {
            let _ = ask(&http, &sign(assertion::key(), &good), &[]).await.expect_status(200);
            continue;
        }
        let mut signed = match chance.next(2) {
            0 => {
                let name = names[chance.next(names.len())];
                let mut value = chance.value();
                while value.is_null() && matches!(name, "nbf" | "iat")
                    || (name == "jti" && value.as_str().is_some_and(|text| (1..256).contains(&text.len())))
                {
                    value = json!({});
                }
                sign(assertion::key(), &but(&good, json!({name: value})))
            }
            _ => {
                let token = sign(assertion::key(), &good);
                let (at, byte) = (chance.next(token.len()), b'!' + chance.next(90) as u8);
                let mut bytes = token.into_bytes();
                bytes[at] = if bytes[at] == byte { b'~' } else { byte };
                String::from_utf8(bytes).expect("ASCII")
            }
        };
        if chance.next(20) == 0 {
            signed.truncate(chance.next(signed.len()));
        }
        let form =
            [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", &signed)];
        let reply = http.post("/oauth2/token", &form, &[]).await;
        assert_sane(reply.status.as_u16(), &reply.text());
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(
            error == "invalid_client" || (signed.is_empty() && error == "invalid_request"),
            "{signed}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn registrations_that_are_none() {
    let world = World::with(&open("most = 5000")).await;
    let mut chance = Chance(2);
    let names = [
        "redirect_uris",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "scope",
        "jwks",
        "jwks_uri",
        "contacts",
        "logo_uri",
        "client_name",
        "subject_type",
        "application_type",
        "default_max_age",
        "request_uris",
        "software_statement",
    ];
    for count in 0..REQUESTS {
        if count % 10 == 0 {
            let _ = register(&world, &web(), &[]).await.expect_status(201);
            continue;
        }
        let name = names[chance.next(names.len())];
        let value = chance.value();
        let is_told_as_absent = value.is_null() && name != "redirect_uris";
        let reply = register(&world, &but(&web(), json!({name: value.clone()})), &[]).await;
        assert_sane(reply.status.as_u16(), &reply.text());
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        let expected = match name {
            _ if is_told_as_absent => "",
            "scope" if value.is_string() => "",
            "client_name" | "contacts" if reply.status == 201 => "",
            "redirect_uris" => "invalid_redirect_uri",
            "software_statement" => "invalid_software_statement",
            _ => "invalid_client_metadata",
        };
        assert_eq!(error, expected, "{name} {value}: {}", reply.text());
    }
}

#[tokio::test]
async fn management_that_is_none() {
    let world = World::with(&open("")).await;
    let client = register(&world, &web(), &[]).await.expect_status(201).json();
    let (id, token) = (member(&client, "client_id"), member(&client, "registration_access_token"));
    let (mut chance, http) = (Chance(3), world.http());
    for count in 0..REQUESTS {
        let good = format!("Bearer {token}");
        let header = if count % 10 == 0 {
            good
        } else {
            let at = 7 + chance.next(good.len() - 7);
            let mut bytes = good.into_bytes();
            bytes[at] = if bytes[at] == b'!' { b'?' } else { b'!' };
            String::from_utf8(bytes).expect("ASCII")
        };
        let reply = http.get(&format!("/oauth2/register/{id}"), &[("authorization", &header)]).await;
        assert_sane(reply.status.as_u16(), &reply.text());
        if count % 10 == 0 {
            assert_eq!(reply.status, 200);
        } else {
            reply.expect_error(401, "invalid_token");
        }
    }
}
