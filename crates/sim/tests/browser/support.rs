//! What the stories of the browser share: asking, and the three things that can come of it: a page, an error page, an answer.

use regrant_server::form;
use sim::wire::browser::parameter;
use sim::wire::{Browser, CALLBACK, CHALLENGE, CONFIG, Reply, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The value of `state` in [`sim::wire::authorization`]: every character of it means something in a URL.
pub(crate) const STATE: &str = "s t&=%+";

/// An authorization request of exactly these parameters.
pub(crate) fn request(parameters: &[(&str, &str)]) -> String {
    format!("/oauth2/authorize?{}", form::write(parameters))
}

/// A complete request of `phone` with this redirect URI.
pub(crate) fn request_to(client: &str, redirect_uri: &str) -> String {
    request(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ])
}

/// The usual configuration and one client more.
pub(crate) fn config_with(client: &str) -> String {
    format!("{CONFIG}\n[[client]]\n{client}\n")
}

/// What a browser without cookies hears.
pub(crate) async fn ask(world: &World, path: &str) -> Reply {
    world.http().get(path, &[]).await
}

/// A browser in which a user is logged in, after a request that it left unanswered.
pub(crate) async fn logged_in(world: &World, name: &str) -> Browser {
    let mut browser = world.browser();
    let page = browser.get(&sim::wire::authorization("web", &[])).await;
    let page = browser.log_in(&page, name).await;
    assert!(is_consent(&page), "{}", page.text());
    browser
}

pub(crate) fn is_login(reply: &Reply) -> bool {
    reply.status == 200 && reply.text().contains("id=\"login-submit\"")
}

pub(crate) fn is_consent(reply: &Reply) -> bool {
    reply.status == 200 && reply.text().contains("id=\"consent-allow\"")
}

/// An error page: nobody is sent anywhere.
pub(crate) fn assert_stopped(reply: &Reply, what: &str) {
    assert_eq!(reply.status, 400, "{what}: {}", reply.text());
    assert_eq!(reply.header("location"), "", "{what} must not redirect");
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.text().contains("role=\"alert\""), "the user is informed of {what}");
}

/// An error that is told to the client: where the browser is sent.
pub(crate) fn assert_denied(reply: &Reply, error: &str) -> String {
    assert_eq!(reply.status, 303, "{}", reply.text());
    let location = reply.header("location");
    assert_eq!(parameter(&location, "error").as_deref(), Some(error), "{location}");
    assert!(location.starts_with(CALLBACK), "{location}");
    assert_eq!((parameter(&location, "code"), parameter(&location, "access_token")), (None, None), "{location}");
    location
}

/// Bytes as they are, for what no HTTP library would send. The whole answer.
pub(crate) async fn raw(world: &World, request: &[u8]) -> String {
    let address = world.base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(request).await.expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A `GET` of a request target that is not looked at before it is sent.
pub(crate) async fn raw_get(world: &World, target: &[u8], headers: &str) -> String {
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(target);
    request
        .extend_from_slice(format!(" HTTP/1.1\r\nhost: id.example\r\n{headers}connection: close\r\n\r\n").as_bytes());
    raw(world, &request).await
}

/// The values of a header in a raw answer.
pub(crate) fn raw_header(answer: &str, name: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

/// The same numbers in each run: what fails can be repeated.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}
