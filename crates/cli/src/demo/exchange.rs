//! One exchange over HTTP, and how it is printed: the way people write it down, one parameter a line.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use regrant_server::form;
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::Trouble;
use super::telling::{gap, line, require};

/// The order of RFC 6749 section 5, and of the article.
const ORDER: [&str; 12] = [
    "active",
    "error",
    "error_description",
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "refresh_token_expires_in",
    "scope",
    "refresh_token_timeout",
    "authorization_expires_in",
    "correlation_id",
];
/// The headers of an answer that mean something here.
const SHOWN: [&str; 5] = ["Content-Type", "Cache-Control", "WWW-Authenticate", "Retry-After", "Location"];
/// The longest answer that the network of [`Wire::lose`] swallows.
const MAX_SWALLOWED: u64 = 1 << 20;

/// An HTTP client for the demonstration. It follows no redirect, and opens a connection for each request.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    client: Client<HttpConnector, Body>,
    address: String,
    full: bool,
}

/// A request, before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    form: Vec<(&'static str, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Ask {
    /// A form to a path of the server.
    pub(super) fn post(path: &str, form: &[(&'static str, &str)]) -> Self {
        let form = form.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { method: Method::POST, url: path.to_owned(), headers: Vec::new(), form }
    }

    /// A page or a resource: a path of the server, or a whole URL.
    pub(super) fn get(url: &str) -> Self {
        Self { method: Method::GET, url: url.to_owned(), headers: Vec::new(), form: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn body(&self) -> String {
        let pairs: Vec<(&str, &str)> = self.form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        form::write(&pairs)
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// A member of the body that is a string, or nothing.
    pub(super) fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// A member of the body that is a number, or 0.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.json()[name].as_u64().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// Whether it is what everybody hears whose token does not work: 400 `invalid_grant`.
    pub(super) fn is_refusal(&self) -> bool {
        self.status == StatusCode::BAD_REQUEST && self.text("error") == "invalid_grant"
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }
}

impl Wire {
    pub(super) fn new(address: &str, full: bool) -> Self {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new());
        Self { client, address: address.to_owned(), full }
    }

    /// Host and port of the server.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends without printing.
    pub(super) async fn quietly(&self, ask: &Ask) -> Result<Answer, Trouble> {
        let url = if ask.url.starts_with("http://") {
            ask.url.clone()
        } else {
            format!("http://{}{}", self.address, ask.url)
        };
        let mut request = Request::builder().method(ask.method.clone()).uri(url);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if ask.method == Method::POST {
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
        }
        let request = request.body(Body::from(ask.body())).map_err(Trouble::new)?;
        let response = self.client.request(request).await.map_err(Trouble::new)?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(Trouble::new)?.to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Sends, and prints both sides.
    pub(super) async fn show(&self, ask: &Ask) -> Result<Answer, Trouble> {
        self.print_request(ask);
        let answer = self.quietly(ask).await?;
        self.print_answer(&answer);
        Ok(answer)
    }

    /// Sends over a network that swallows the answer: the server has given it, and the client's connection ends without a byte of
    /// it. What is returned is the swallowed answer, which the client never sees.
    pub(super) async fn lose(&self, ask: &Ask) -> Result<Answer, Trouble> {
        let network = TcpListener::bind("127.0.0.1:0").await.map_err(Trouble::new)?;
        let address = network.local_addr().map_err(Trouble::new)?.to_string();
        let through = Self { address, ..self.clone() };
        let last = ask.clone().with("Host", &self.address).with("Connection", "close");
        let (swallowed, heard) = tokio::join!(swallow(network, &self.address), through.quietly(&last));
        require(heard.is_err(), "the client hears nothing")?;
        let text = String::from_utf8(swallowed.map_err(Trouble::new)?).map_err(Trouble::new)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| Trouble::new("no answer was swallowed"))?;
        let status =
            head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| Trouble::new("no status"))?;
        Ok(Answer { status, headers: HeaderMap::new(), body: body.to_owned() })
    }

    pub(super) fn print_request(&self, ask: &Ask) {
        let blue = anstyle::AnsiColor::Cyan.on_default();
        let (host, target) = match ask.url.strip_prefix("http://").and_then(|url| url.split_once('/')) {
            Some((host, path)) => (host, format!("/{path}")),
            None => (self.address.as_str(), ask.url.clone()),
        };
        gap();
        line(&format!("  {blue}{} {} HTTP/1.1{blue:#}", ask.method, self.url_by_line(&target)));
        line(&format!("  Host: {host}"));
        for (name, value) in &ask.headers {
            line(&format!("  {name}: {}", self.short(value)));
        }
        if ask.form.is_empty() {
            gap();
            return;
        }
        line("  Content-Type: application/x-www-form-urlencoded");
        gap();
        for (position, (name, value)) in ask.form.iter().enumerate() {
            let and = if position == 0 { "" } else { "&" };
            line(&format!("  {and}{name}={}", self.short(value)));
        }
        gap();
    }

    pub(super) fn print_answer(&self, answer: &Answer) {
        let is_good = answer.status.is_success() || answer.status.is_redirection();
        let color = if is_good { anstyle::AnsiColor::Green } else { anstyle::AnsiColor::Yellow };
        let style = color.on_default();
        gap();
        line(&format!("  {style}HTTP/1.1 {}{style:#}", answer.status));
        for name in SHOWN {
            let value = answer.header(name);
            if !value.is_empty() {
                line(&format!("  {name}: {}", self.url_by_line(&value)));
            }
        }
        if let Value::Object(members) = answer.json() {
            gap();
            self.print_members(&members);
        }
        gap();
    }

    /// A JSON object, a member a line, in the order in which people read it.
    fn print_members(&self, members: &Map<String, Value>) {
        let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
        sorted.sort_by_key(|(name, _)| place(name));
        line("  {");
        for (position, (name, value)) in sorted.iter().enumerate() {
            let comma = if position + 1 < sorted.len() { "," } else { "" };
            let value = match value {
                Value::String(text) => Value::String(self.short(text)),
                other => (*other).clone(),
            };
            line(&format!("    \"{name}\": {value}{comma}"));
        }
        line("  }");
    }

    /// A URL with its query or fragment one parameter a line.
    fn url_by_line(&self, url: &str) -> String {
        let Some(start) = url.find(['?', '#']).filter(|_| url.contains('&')) else { return self.short(url) };
        let (before, parameters) = url.split_at(start);
        format!("{before}\n      {}", self.short(parameters).replace('&', "\n      &"))
    }

    /// Tokens, secrets and other long words are shortened in their middle, unless everything is to be seen.
    pub(super) fn short(&self, text: &str) -> String {
        if self.full {
            return text.to_owned();
        }
        let mut out = String::new();
        for part in text.split_inclusive(['&', '?', '#', ' ', '=']) {
            let (word, end) = match part.char_indices().next_back() {
                Some((at, last)) if "&?# =".contains(last) => part.split_at(at),
                _ => (part, ""),
            };
            let is_opaque =
                word.len() > 40 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if is_opaque {
                out.push_str(&format!("{}…{}", &word[..8], &word[word.len() - 6..]));
            } else {
                out.push_str(word);
            }
            out.push_str(end);
        }
        out
    }
}

/// The network: passes the request on, keeps the answer, and ends both connections.
async fn swallow(network: TcpListener, server: &str) -> std::io::Result<Vec<u8>> {
    let (mut client, _) = network.accept().await?;
    let (from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let mut answer = Vec::new();
    let mut from_server = from_server.take(MAX_SWALLOWED);
    tokio::select! {
        passed = tokio::io::copy(&mut client, &mut to_server) => { passed?; }
        read = from_server.read_to_end(&mut answer) => { read?; }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_long_and_opaque_is_shortened() {
        let token = format!("rgr_{}", "a1B2".repeat(20));
        let wire = Wire::new("127.0.0.1:1", false);
        assert_eq!(wire.short(&token), "rgr_a1B2…B2a1B2");
        assert_eq!(
            wire.short(&format!("http://a/cb?code={token}&state=x")),
            "http://a/cb?code=rgr_a1B2…B2a1B2&state=x"
        );
        let prose = "the grant is invalid, expired, revoked, or was issued to another client";
        assert_eq!(wire.short(prose), prose);
        assert_eq!(Wire::new("127.0.0.1:1", true).short(&token), token);
    }
}
