//! What the sections share: a client of every response type, a user of whom everything is known, and the eyes of a client.

use std::collections::BTreeMap;
use std::time::Duration;

use regrant_jose::{Expected, JwkSet, Typ, Unverified, VerifyingKey};
use regrant_server::claims::attributes::UserChange;
use regrant_server::form::Form;
use serde_json::{Map, Value};
use sim::wire::browser::form;
use sim::wire::{Browser, CALLBACK, Reply, START, USER, World, text};

pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";
pub(crate) const STATE: &str = "s t&=%+";
pub(crate) const RESPONSE_TYPES: [&str; 7] =
    ["code", "id_token", "id_token token", "code id_token", "code token", "code id_token token", "token"];

/// The client `rp` of every response type, with more settings; it sends no PKCE.
pub(crate) fn rp(more: &str) -> String {
    let quoted: Vec<String> = RESPONSE_TYPES.iter().map(|kind| format!("{kind:?}")).collect();
    format!(
        "{}\n[[client]]\nid = \"rp\"\nname = \"Relying Party\"\nsecret_hash = \"HASH\"\n\
         token_endpoint_auth_method = \"client_secret_post\"\nredirect_uris = [{CALLBACK:?}]\n\
         grant_types = [\"authorization_code\", \"refresh_token\", \"implicit\"]\nresponse_types = [{}]\n\
         scopes = [\"openid\", \"profile\", \"email\", \"address\", \"phone\", \"offline_access\", \"read\"]\n\
         require_pkce = false\n{more}\n",
        sim::wire::CONFIG,
        quoted.join(", ")
    )
}

/// A world with that client.
pub(crate) async fn world() -> World {
    with("").await
}

/// The same with more settings of the client.
pub(crate) async fn with(more: &str) -> World {
    known(&rp(more)).await
}

/// A world of this configuration, with a user of whom everything is known.
pub(crate) async fn known(config: &str) -> World {
    let world = World::with(config).await;
    let texts = [
        ("name", "Alice Doe"),
        ("given_name", "Alice"),
        ("family_name", "Doe"),
        ("middle_name", "B."),
        ("nickname", "al"),
        ("profile", "https://alice.example/"),
        ("picture", "https://alice.example/me.png"),
        ("website", "https://alice.example/blog"),
        ("gender", "female"),
        ("birthdate", "1990-02-03"),
        ("zoneinfo", "Europe/Berlin"),
        ("locale", "de-DE"),
        ("email", "alice@example.com"),
        ("email_verified", "true"),
        ("phone_number", "+49 30 1"),
        ("phone_number_verified", "false"),
        ("address.country", "DE"),
        ("address.locality", "Berlin"),
        ("department", "research"),
    ];
    let texts = texts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    world.app.admin().set_user(USER, &UserChange { texts, ..UserChange::default() }).await.expect("a change");
    world
}

/// A request of `rp` for this response type, with more or other parameters; an empty one is left out.
pub(crate) fn request(response_type: &str, more: &[(&str, &str)]) -> String {
    request_of("rp", response_type, more)
}

pub(crate) fn request_of(client: &str, response_type: &str, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("response_type", response_type),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("state", STATE),
        ("nonce", NONCE),
    ];
    for (name, value) in more {
        parameters.retain(|(known, _)| known != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    format!("/oauth2/authorize?{}", regrant_server::form::write(&parameters))
}

/// An answer that came to the client.
#[derive(Debug)]
pub(crate) struct Answered {
    /// `query`, `fragment` or `form_post`.
    pub(crate) mode: &'static str,
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Answered {
    pub(crate) fn of(&self, name: &str) -> &str {
        self.parameters.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.parameters))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    pub(crate) fn error(&self) -> &str {
        assert!(!["code", "access_token", "id_token"].iter().any(|name| self.has(name)), "{self:?}");
        self.of("error")
    }
}

/// What the client hears, if the reply is an answer to it.
pub(crate) fn heard(reply: &Reply) -> Answered {
    if reply.status == 200 {
        let form = form(&reply.text());
        assert_eq!(form.action, CALLBACK, "{}", reply.text());
        return Answered { mode: "form_post", parameters: form.hidden.into_iter().collect() };
    }
    assert_eq!(reply.status, 303, "{}", reply.text());
    let location = reply.header("location");
    let rest = location.strip_prefix(CALLBACK).unwrap_or_else(|| panic!("elsewhere: {location}"));
    let (mode, text) = match rest.split_at(1) {
        ("?", text) => ("query", text),
        ("#", text) => ("fragment", text),
        _ => panic!("neither query nor fragment: {location}"),
    };
    let form = Form::parse(text.as_bytes()).expect("parameters, each once");
    let parameters = text.split('&').filter_map(|pair| {
        let (name, _) = pair.split_once('=')?;
        Some((name.to_owned(), form.credential(name)?.to_owned()))
    });
    Answered { mode, parameters: parameters.collect() }
}

/// Asks, logs in and allows where that is wanted.
pub(crate) async fn ask_with(browser: &mut Browser, path: &str) -> Answered {
    let reply = browser.get(path).await;
    let mut reply = browser.follow(reply).await;
    if reply.text().contains("id=\"login-submit\"") {
        reply = browser.log_in(&reply, USER).await;
    }
    if reply.text().contains("id=\"consent-allow\"") {
        reply = browser.submit(&reply, &[("decision", "allow")]).await;
    }
    heard(&reply)
}

pub(crate) async fn ask(world: &World, path: &str) -> Answered {
    ask_with(&mut world.browser(), path).await
}

/// A browser in which the user is logged in and has allowed `rp` this scope.
pub(crate) async fn at_home(world: &World, scope: &str) -> Browser {
    let mut browser = world.browser();
    let _ = ask_with(&mut browser, &request("code", &[("scope", scope)])).await;
    browser
}

/// The tokens for a code, without PKCE.
pub(crate) async fn redeem(world: &World, client: &str, code: &str) -> Value {
    let parameters = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    world.token(client, &parameters).await.expect_status(200).json()
}

/// From the request to the tokens.
pub(crate) async fn tokens(world: &World, more: &[(&str, &str)]) -> Value {
    let code = ask(world, &request("code", more)).await.of("code").to_owned();
    redeem(world, "rp", &code).await
}

/// An ID token as a client reads it: Core section 3.1.3.7, with the published keys.
pub(crate) async fn verified(world: &World, client: &str, token: &str) -> (regrant_jose::Header, Map<String, Value>) {
    let reply = world.http().get("/oauth2/jwks", &[]).await.expect_status(200);
    let set: JwkSet = serde_json::from_slice(&reply.body).expect("a key set");
    let keys: Vec<VerifyingKey> = set.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok()).collect();
    let read = Unverified::parse(token).expect("a token").verify(Typ::JwtOrAbsent, &keys).expect("a good signature");
    let now = world.app.engine.now().seconds().cast_unsigned();
    let expected = Expected { issuer: &world.base, audience: client, now, leeway: 0 };
    expected.check(&read.claims).expect("issuer, audience and times");
    (read.header, read.claims)
}

/// The claims of an ID token of `rp`.
pub(crate) async fn id_token(world: &World, answer: &Value) -> Map<String, Value> {
    verified(world, "rp", &text(answer, "id_token")).await.1
}

pub(crate) async fn userinfo(world: &World, token: &str) -> Reply {
    world.http().get("/oauth2/userinfo", &[("authorization", &format!("Bearer {token}"))]).await
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When every world begins, in seconds.
pub(crate) const BEGIN: i64 = START / 1000;
