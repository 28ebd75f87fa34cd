//! Logging in at the real server, as a web back end, a program on its user's machine, and a device.

use std::sync::Arc;
use std::time::Duration;

use regrant_client::login::Pending;
use regrant_client::{Clock, Credential, Device, Error, Login, MemoryStore, Profile, Secret, Session};
use regrant_jose::SigningKey;
use sim::wire::device::{browser_of, devices};
use sim::wire::{CALLBACK, CONFIG, Http, SECRET, USER, World, assertion};

use super::support::{profile, settings};

fn web(world: &World) -> Profile {
    profile(world, "web", "web").with_credential(Credential::Post(Secret::new(SECRET))).with_scope("openid read")
}

fn login(profile: Profile) -> Login {
    // The server's day is a manual one: ours is the same.
    let clock = Clock::manual();
    clock.set_date(sim::wire::START);
    Login::with(profile, settings(&clock))
}

/// Where the browser is sent, as the browser of these tests wants it.
fn path(world: &World, url: &str) -> String {
    url.strip_prefix(&world.base).expect("a page of this server").to_owned()
}

/// Begin, redirect, finish; what is pending goes through the browser's session as text.
#[tokio::test(flavor = "multi_thread")]
async fn a_web_back_end_logs_its_users_in() {
    let world = World::new().await;
    world.add_user("bob").await;
    let login = login(web(&world));
    let store = Arc::new(MemoryStore::new());
    let mut subjects = Vec::new();
    for user in [USER, "bob"] {
        let begun = login.begin(CALLBACK).await.expect("an address");
        let kept = serde_json::to_string(&begun.pending).expect("text");
        let answer = world.browser().authorize_as(&path(&world, &begun.url), user).await;
        let pending: Pending = serde_json::from_str(&kept).expect("what was kept");
        let logged_in = login.finish(&pending, &answer).await.expect("tokens");
        subjects.push(logged_in.identity.as_ref().expect("an ID token").subject().to_owned());
        let named = Profile { name: user.to_owned(), ..web(&world) };
        let session = Session::begin(store.clone(), named, logged_in).await.expect("a session");
        let token = session.token().await.expect("a token");
        assert_eq!(&world.introspect(token.expose()).await["sub"], subjects.last().expect("one"));
    }
    assert_ne!(subjects[0], subjects[1]);
}

/// RFC 6749 section 10.12, RFC 9207 section 2.4, OpenID Connect Core section 3.1.3.7: what is not the answer to this login is none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_answer_to_this_login_is_refused() {
    let world = World::new().await;
    let login = login(web(&world));
    let begun = login.begin(CALLBACK).await.expect("an address");
    let answer = world.browser().authorize_as(&path(&world, &begun.url), USER).await;
    let other = login.begin(CALLBACK).await.expect("an address").pending;
    let issuer = regrant_server::form::write(&[("iss", world.app.issuer())]);
    let query = answer.split_once('?').expect("a query").1.to_owned();
    assert!(query.contains(&issuer), "{query}");
    for (pending, answer, why) in [
        (&other, query.clone(), "its state is another"),
        (&begun.pending, query.replace(&issuer, "iss=https%3A%2F%2Fevil.example"), "it is another server's"),
        (&begun.pending, query.replace(&issuer, "x=1"), "it names no server"),
        (&begun.pending, query.replace("state=", "state=x&state="), "its state is another"),
        (&begun.pending, query.replace("code=", "kode="), "it has no code"),
    ] {
        let refused = login.finish(pending, &answer).await;
        assert!(matches!(&refused, Err(Error::Misconfigured(says)) if says.contains(why)), "{why}: {refused:?}");
    }
    // A nonce of another login: the code is good, the ID token is not.
    let swapped = Pending { nonce: other.nonce, ..begun.pending.clone() };
    let refused = login.finish(&swapped, &query).await;
    assert!(matches!(&refused, Err(Error::Misconfigured(says)) if says.contains("nonce")), "{refused:?}");
}

/// The user says no.
#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_told_as_one() {
    let world = World::new().await;
    let login = login(web(&world));
    let begun = login.begin(CALLBACK).await.expect("an address");
    let mut browser = world.browser();
    let page = browser.get(&path(&world, &begun.url)).await;
    let page = browser.follow(page).await;
    let page = browser.log_in(&page, USER).await;
    let answer = browser.submit(&page, &[("decision", "deny")]).await.header("location");
    let refused = login.finish(&begun.pending, &answer).await;
    assert!(matches!(&refused, Err(Error::Refused(why)) if why.starts_with("access_denied")), "{refused:?}");
}

/// RFC 8252 section 7.3: a listener on any port of this machine. What is no answer to this login does not end it.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_hears_the_answer_on_a_port_of_its_own() {
    let world = World::new().await;
    let login = login(profile(&world, "work", "phone").with_scope("openid read"));
    let loopback = login.loopback("/cb").await.expect("a port");
    let url = path(&world, &loopback.url);
    let waiting = tokio::spawn(loopback.wait());
    let answer = world.browser().authorize_as(&url, USER).await;
    let (base, rest) = answer.split_at(answer.find("/cb").expect("the path"));
    // Browsers connect in advance, and say nothing.
    let _silent = tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await.expect("it listens");
    let http = Http::new(base);
    assert_eq!(http.get("/favicon.ico", &[]).await.status, 404);
    assert_eq!(http.get("/cb?state=guessed&code=injected", &[]).await.status, 404);
    let page = http.get(rest, &[]).await;
    assert_eq!((page.status.as_u16(), page.text().contains("You are logged in")), (200, true));
    let logged_in = waiting.await.expect("it ends").expect("tokens");
    assert!(logged_in.identity.is_some() && logged_in.tokens.refresh_token.is_some());
}

/// RFC 8628: the code is shown, the user answers elsewhere, and the device has tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_logged_in_by_a_code() {
    let world = devices().await;
    let login = login(profile(&world, "tv", "tv").with_scope("openid read"));
    let mut device = login.device().await.expect("a code");
    world.advance(device.interval());
    assert!(device.ask().await.expect("patience").is_none());
    // Asked again at once: the pace goes down.
    let before = device.interval();
    assert!(device.ask().await.expect("patience").is_none());
    assert_eq!(device.interval(), before + Duration::from_secs(5));
    allow(&world, &device).await;
    world.advance(device.interval());
    let logged_in = device.ask().await.expect("an answer").expect("tokens");
    assert!(logged_in.tokens.refresh_token.is_some());
    // This server says who it was with the first refresh.
    let clock = Clock::manual();
    let tv = profile(&world, "tv", "tv");
    let session =
        Session::adopt(Arc::new(MemoryStore::new()), tv, logged_in.tokens, settings(&clock)).await.expect("a session");
    super::support::pass(&world, &clock, Duration::from_secs(7200));
    session.token().await.expect("a token");
    assert!(session.tokens().and_then(|tokens| tokens.identity()).is_some_and(|who| !who.subject().is_empty()));
}

async fn allow(world: &World, device: &Device) {
    let mut browser = browser_of(world, USER).await;
    let page = browser.get(&format!("/device?user_code={}", device.user_code)).await;
    browser.submit(&page, &[("decision", "allow")]).await;
}

/// RFC 8628 section 3.5.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_nobody_answered_is_over() {
    let world = devices().await;
    let mut device = login(profile(&world, "tv", "tv")).device().await.expect("a code");
    world.advance(device.expires_in + Duration::from_secs(1));
    let refused = device.ask().await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}

/// RFC 7523: the client's key signs, and no secret is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_itself_with_its_key() {
    let key = assertion::key();
    let set = assertion::toml(&assertion::set(&[key]));
    let config = format!(
        "{CONFIG}\n[[client]]\nid = \"signer\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\njwks = {set}\n\
         grant_types = [\"client_credentials\"]\nscopes = [\"read\"]\n"
    );
    let world = World::with(&config).await;
    let ours = SigningKey::from_pkcs8(key.algorithm(), &key.to_pkcs8()).expect("the key");
    let profile = profile(&world, "signer", "signer")
        .with_credential(Credential::PrivateKeyJwt(Arc::new(ours)))
        .with_client_credentials("read");
    let clock = Clock::manual();
    clock.set_date(sim::wire::START);
    let session = Session::open_with(Arc::new(MemoryStore::new()), profile, settings(&clock)).await.expect("a session");
    assert_eq!(world.introspect(session.token().await.expect("a token").expose()).await["active"], true);
}
