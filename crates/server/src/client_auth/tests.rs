//! Client authentication (RFC 6749 section 2.3): each way of it, each way to get it wrong, and each reason.

use std::path::Path;

use axum::http::{HeaderMap, HeaderValue};
use regrant_core::keys::RootKey;
use regrant_store::Memory;

use super::*;
use crate::config::{Config, hash_text};
use crate::{App, Clock};

const SECRET: &str = "a secret, of more than thirty-two characters: 0123456789";
const OLD: &str = "another one that is over, of more than thirty-two characters";
const HARD: &str = "50%+more: of & what=hard, and of more than thirty-two characters";
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

const CLIENTS: &str = r#"
listen = "127.0.0.1:0"
store = "sqlite:regrant.db"
root_key_file = "root.key"
[[scope]]
name = "read"
description = "Read"
[[client]]
id = "basic"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
grant_types = ["client_credentials"]
scopes = ["read"]
[[client]]
id = "post"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
grant_types = ["client_credentials"]
scopes = ["read"]
[[client]]
id = "hard"
secret_hash = "HARD"
token_endpoint_auth_method = "client_secret_basic"
grant_types = ["client_credentials"]
scopes = ["read"]
[[client]]
id = "public"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code"]
scopes = ["read"]
[limits]
"#;

fn config(limits: &str) -> Config {
    let hash = |secret: &str| hash_text(&client_secret_hash(secret));
    let text = CLIENTS.replace("HASH", &hash(SECRET)).replace("HARD", &hash(HARD)) + limits;
    Config::parse(&text, "regrant.toml", Path::new("/")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn headers(authorizations: &[&str]) -> HeaderMap {
    let values = authorizations.iter().map(|text| HeaderValue::from_bytes(text.as_bytes()).expect("a header"));
    values.map(|value| (AUTHORIZATION, value)).collect()
}

/// The header of these credentials, as they are.
fn basic_of(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn read_of(authorizations: &[&str], form: &str) -> Result<Result<Presented, NotAuthenticated>, Malformed> {
    read(&headers(authorizations), &Form::parse(form.as_bytes()).expect("a form"))
}

/// What is wrong with a request that cannot be read.
fn malformed(authorizations: &[&str], form: &str) -> Option<Malformed> {
    read_of(authorizations, form).err()
}

/// The client that a readable request proves to be, at this moment.
fn verified(authorizations: &[&str], form: &str) -> Result<String, NotAuthenticated> {
    let clients = crate::app::clients(&config(""), Vec::new()).expect("clients");
    let presented = read_of(authorizations, form).expect("a request that can be read")?;
    presented.verify(&clients, NOW).map(|client| client.id.as_str().to_owned())
}

/// What a JWT would look like whose claims are these; its signature is none.
fn assertion_of(claims: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("none"))
}

fn with_assertion(assertion: &str, more: &str) -> String {
    format!("client_assertion_type={}&client_assertion={assertion}{more}", client_assertion::TYPE)
}

fn web(text: &str) -> String {
    crate::form::write(&[("v", text)]).trim_start_matches("v=").to_owned()
}

/// Check C2: each client by its registered method, and by no other one, whatever it says.
#[test]
fn a_client_is_who_it_proves_to_be_by_its_own_method() {
    let (basic, secret) = (basic_of("basic", SECRET), web(SECRET));
    assert_eq!(verified(&[&basic], ""), Ok("basic".to_owned()));
    assert_eq!(verified(&[&basic], "client_id=basic"), Ok("basic".to_owned()));
    assert_eq!(verified(&[], &format!("client_id=post&client_secret={secret}")), Ok("post".to_owned()));
    assert_eq!(verified(&[], "client_id=public"), Ok("public".to_owned()));
    let other = Err(NotAuthenticated::OtherMethod);
    for form in ["client_id=basic", "client_id=post", &format!("client_id=basic&client_secret={secret}")] {
        assert_eq!(verified(&[], form), other, "{form}");
    }
    assert_eq!(verified(&[], &format!("client_id=public&client_secret={secret}")), other);
    for client in ["post", "public"] {
        assert_eq!(verified(&[&basic_of(client, SECRET)], ""), other, "{client}");
    }
}

/// Checks C3, C11: only the whole secret is the secret; an empty one fits nothing.
#[test]
fn a_wrong_secret_proves_nothing() {
    let wrong = Err(NotAuthenticated::WrongSecret);
    let long = SECRET.repeat(100);
    for secret in ["", "x", &SECRET[1..], &format!("{SECRET} "), OLD, &long] {
        assert_eq!(verified(&[&basic_of("basic", secret)], ""), wrong, "{secret}");
    }
    assert_eq!(verified(&[], &format!("client_id=post&client_secret={}", web(OLD))), wrong);
    assert_eq!(verified(&[&basic_of("nobody", SECRET)], ""), Err(NotAuthenticated::UnknownClient));
    assert_eq!(verified(&[], "client_id=nobody"), Err(NotAuthenticated::UnknownClient));
    assert_eq!(verified(&[&basic_of("no client id: ü", SECRET)], ""), Err(NotAuthenticated::UnknownClient));
}

/// Check C11: each secret until its own end, in whatever order they stand; and the longest one that is looked at.
#[test]
fn each_secret_is_good_until_its_own_end() {
    let longest = "s".repeat(MAX_SECRET_LEN);
    let clients = crate::app::clients(&config(""), Vec::new()).expect("clients");
    let known = clients.get(&ClientId::parse("basic").expect("an id")).expect("a client");
    let secret =
        |text: &str, expires_at| regrant_core::client::ClientSecret { hash: client_secret_hash(text), expires_at };
    let now = NOW.plus(std::time::Duration::from_secs(60));
    let secrets = vec![secret(OLD, Some(now)), secret(SECRET, None), secret(&longest, None), secret("", None)];
    let fits = |offered: &str, now| {
        let client = Client { secrets: secrets.clone(), ..Client::clone(&known) };
        Presented::one(AuthMethod::ClientSecretBasic, "basic", offered).fits(&client, offered, now)
    };
    assert_eq!((fits(OLD, NOW), fits(SECRET, NOW), fits(&longest, NOW)), (Ok(()), Ok(()), Ok(())));
    assert_eq!((fits(OLD, now), fits(SECRET, now)), (Err(NotAuthenticated::WrongSecret), Ok(())));
    // Who was given the same secret again still has it.
    let twice = Client { secrets: vec![secret(SECRET, Some(now)), secret(SECRET, None)], ..Client::clone(&known) };
    let presented = Presented::one(AuthMethod::ClientSecretBasic, "basic", SECRET);
    assert_eq!((presented.fits(&twice, SECRET, NOW), presented.fits(&twice, SECRET, now)), (Ok(()), Ok(())));
    // Whatever the table holds.
    assert_eq!(fits("", NOW), Err(NotAuthenticated::WrongSecret));
    let longer = format!("{longest}s");
    let held = Client { secrets: vec![secret(&longer, None)], ..Client::clone(&known) };
    let offered = Presented::one(AuthMethod::ClientSecretBasic, "basic", &longer);
    assert_eq!(offered.fits(&held, &longer, NOW), Err(NotAuthenticated::WrongSecret));
}

/// Check C12: a secret in the header works as section 2.3.1 wants it, encoded as a form, and as most clients send it.
#[test]
fn a_secret_of_hard_characters_works_encoded_and_as_it_is() {
    for secret in [HARD, &web(HARD)] {
        assert_eq!(verified(&[&basic_of("hard", secret)], ""), Ok("hard".to_owned()), "{secret}");
    }
    // Where nothing is encoded there is one reading, and where something is, two: in this order.
    let readings = |id: &str, secret: &str| {
        let presented = read_of(&[&basic_of(id, secret)], "").expect("readable").expect("a client");
        presented.readings.iter().map(|(id, secret)| format!("{id}:{}", secret.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(readings("basic", "plain"), ["basic:plain"]);
    assert_eq!(readings("basic", "a%62c"), ["basic:abc", "basic:a%62c"]);
    assert_eq!(readings("b%61sic", "plain"), ["basic:plain", "b%61sic:plain"]);
    assert_eq!(readings("basic", "a+b&c"), ["basic:a b&c", "basic:a+b&c"]);
    assert_eq!(readings("basic", "50%"), ["basic:50%"]);
    assert_eq!(readings("", "a%62"), [":ab", ":a%62"]);
    // Whoever says `client_id` as well means one of the readings.
    assert_eq!(malformed(&[&basic_of("b%61sic", "s")], "client_id=basic"), None);
    assert_eq!(malformed(&[&basic_of("b%61sic", "s")], "client_id=b%2561sic"), None);
    assert_eq!(malformed(&[&basic_of("basic", "s")], "client_id=post"), Some(Malformed::OtherClientId));
}

/// Check C1: two authentications at once are a malformed request.
#[test]
fn two_authentications_are_malformed() {
    let (two, basic) = (Some(Malformed::TwoAuthentications), basic_of("basic", SECRET));
    assert_eq!(malformed(&[&basic, &basic], ""), two);
    assert_eq!(malformed(&[&basic], "client_secret=x"), two);
    assert_eq!(malformed(&[&basic], "client_id=basic&client_secret=x"), two);
    let assertion = with_assertion(&assertion_of(r#"{"sub":"jwt"}"#), "");
    assert_eq!(malformed(&[&basic], &assertion), two);
    assert_eq!(malformed(&[], &format!("{assertion}&client_secret=x")), two);
    assert_eq!(malformed(&[], &assertion), None);
    // An empty parameter is none (RFC 6749 section 3.2).
    assert_eq!(malformed(&[&basic], "client_secret="), None);
}

/// A header that cannot be read is malformed, and one of another scheme is no authentication of ours.
#[test]
fn a_header_is_basic_or_nothing() {
    let credentials = STANDARD.encode(format!("basic:{SECRET}"));
    for header in [format!("basic {credentials}"), format!("BASIC    {credentials}")] {
        assert_eq!(verified(&[&header], ""), Ok("basic".to_owned()), "{header}");
    }
    for header in ["Bearer x", "Basicx", "", &credentials] {
        assert_eq!(verified(&[header], ""), Err(NotAuthenticated::UnknownScheme), "{header}");
    }
    let no_colon = format!("Basic {}", STANDARD.encode("basic"));
    let no_text = format!("Basic {}", STANDARD.encode([0xFF, b':', 0xFE]));
    for header in ["Basic", "Basic !", &no_colon, &no_text, "Basic ü"] {
        assert_eq!(malformed(&[header], ""), Some(Malformed::Authorization), "{header}");
    }
}

#[test]
fn a_request_that_names_no_client_has_none() {
    for form in ["", "client_secret=x", "client_id="] {
        assert_eq!(verified(&[], form), Err(NotAuthenticated::NoClient), "{form}");
    }
    let long = format!("client_id={}", "a".repeat(256));
    assert_eq!(malformed(&[], &long), Some(Malformed::Characters("client_id")));
    assert_eq!(malformed(&[], &long[..long.len() - 1]), None);
}

/// RFC 7523 section 2.2, RFC 7521 section 4.2, checks C3 and C10.
#[test]
fn an_assertion_names_its_client() {
    let assertion = assertion_of(r#"{"sub":"jwt"}"#);
    let presented = read_of(&[], &with_assertion(&assertion, "&client_id=jwt")).expect("readable").expect("a client");
    assert_eq!((presented.claimed(), presented.method), ("jwt", AuthMethod::PrivateKeyJwt));
    assert_eq!(presented.assertion.as_deref(), Some(&assertion));
    let other = with_assertion(&assertion, "&client_id=basic");
    assert_eq!(malformed(&[], &other), Some(Malformed::OtherClientId));
    let missing = |name| Some(Malformed::Missing(name));
    assert_eq!(malformed(&[], "client_assertion=x"), missing("client_assertion_type"));
    let kind = format!("client_assertion_type={}", client_assertion::TYPE);
    assert_eq!(malformed(&[], &kind), missing("client_assertion"));
    assert_eq!(malformed(&[], &format!("{kind}&client_assertion=")), missing("client_assertion"));
    assert_eq!(
        verified(&[], &format!("client_assertion_type=x&client_assertion={assertion}")),
        Err(NotAuthenticated::UnknownAssertionType)
    );
    for bad in ["x", &assertion_of("{}"), &assertion_of(r#"{"sub":1}"#)] {
        assert_eq!(verified(&[], &with_assertion(bad, "")), Err(NotAuthenticated::BadAssertion), "{bad}");
    }
    // And it is never taken for a secret or for nothing.
    for client in ["public", "basic"] {
        let assertion = assertion_of(&format!(r#"{{"sub":"{client}"}}"#));
        assert_eq!(verified(&[], &with_assertion(&assertion, "")), Err(NotAuthenticated::OtherMethod));
    }
}

/// Law L6: whoever puts a credential in the place of a name has its name kept from the log.
#[test]
fn what_is_claimed_is_a_name() {
    let claimed = |id: &str| Presented::one(AuthMethod::None, id, "").claimed().to_owned();
    assert_eq!(claimed("web"), "web");
    let secret = regrant_core::one_time::client_secret([7; 32]);
    assert_eq!(claimed(&secret), "(a credential in place of a name)");
    let nobody = Presented { method: AuthMethod::None, assertion: None, readings: Vec::new(), beside: None };
    assert_eq!(nobody.claimed(), "");
}

#[test]
fn each_reason_has_its_code() {
    use NotAuthenticated::{
        AssertionAudience, AssertionClaims, AssertionReplayed, AssertionTimes, BadAssertion, NoClient, NoKeys,
        OtherMethod, UnknownAssertionType, UnknownClient, UnknownScheme, WrongSecret,
    };
    let all = [
        (NoClient, "no_client"),
        (UnknownClient, "unknown_client"),
        (OtherMethod, "other_auth_method"),
        (WrongSecret, "wrong_client_secret"),
        (UnknownScheme, "unknown_auth_scheme"),
        (UnknownAssertionType, "unknown_assertion_type"),
        (BadAssertion, "bad_client_assertion"),
        (NoKeys, "no_client_keys"),
        (AssertionClaims, "client_assertion_claims"),
        (AssertionAudience, "client_assertion_audience"),
        (AssertionTimes, "client_assertion_times"),
        (AssertionReplayed, "client_assertion_replayed"),
    ];
    for (reason, code) in all {
        assert_eq!(reason.as_str(), code);
    }
}

/// What a server says to a request at its token endpoint.
async fn proved(app: &App, authorizations: &[&str], form: &str) -> Result<String, Failure> {
    let presented = read_of(authorizations, form).expect("readable").map_err(Failure::from)?;
    let peer = Peer { address: Some([192, 0, 2, 1].into()) };
    let proved = presented.prove(app, &app.settings(), peer, "/oauth2/token", &Correlation::new()).await;
    proved.map(|client| client.id.as_str().to_owned())
}

fn app(limits: &str) -> Arc<App> {
    let root = RootKey::new([1; 32]);
    let clock = Clock::manual(NOW);
    App::open_with(config(limits), Box::new(Memory::new()), root, clock).unwrap_or_else(|error| panic!("{error}"))
}

/// Check B4: wrong secrets are counted by client and network, and the right one is never refused for them.
#[tokio::test]
async fn wrong_secrets_are_limited_and_the_right_one_is_not() {
    let app = app("wrong_secrets = \"3/m\"\nrequests_per_client = \"off\"\n");
    let (right, wrong) = (basic_of("basic", SECRET), basic_of("basic", OLD));
    for _ in 0..3 {
        let refused = proved(&app, &[&wrong], "").await;
        assert!(matches!(refused, Err(Failure::Client(NotAuthenticated::WrongSecret))), "{refused:?}");
    }
    let refused = proved(&app, &[&wrong], "").await;
    assert!(matches!(refused, Err(Failure::TooMany(..))), "{refused:?}");
    assert_eq!(proved(&app, &[&right], "").await.ok(), Some("basic".to_owned()));
    let unknown = proved(&app, &[&basic_of("nobody", SECRET)], "").await;
    assert!(matches!(unknown, Err(Failure::Client(NotAuthenticated::UnknownClient))), "{unknown:?}");
}

/// A client that has proved who it is has a limit of its own.
#[tokio::test]
async fn a_client_asks_as_often_as_it_may() {
    let app = app("requests_per_client = \"2/m\"\n");
    let right = basic_of("basic", SECRET);
    for _ in 0..2 {
        assert_eq!(proved(&app, &[&right], "").await.ok(), Some("basic".to_owned()));
    }
    let refused = proved(&app, &[&right], "").await;
    assert!(matches!(refused, Err(Failure::TooMany(..))), "{refused:?}");
}

/// An assertion is verified as one: a client without keys has none that fits.
#[tokio::test]
async fn an_assertion_is_not_a_secret() {
    let app = app("");
    let refused = proved(&app, &[], &with_assertion(&assertion_of(r#"{"sub":"basic"}"#), "")).await;
    assert!(matches!(refused, Err(Failure::Client(why)) if why != NotAuthenticated::WrongSecret), "{refused:?}");
}
