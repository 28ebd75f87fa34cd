//! One exchange over HTTP, and how it is printed: the way people write it down.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use regrant_server::form;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt as _;

use super::Trouble;
use crate::output;

/// The order of RFC 6749 section 5, and of the article.
const ORDER: [&str; 11] = [
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

/// An HTTP client for the demonstration. It follows no redirect.
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

    /// A page or a resource.
    pub(super) fn get(url: &str) -> Self {
        Self { method: Method::GET, url: url.to_owned(), headers: Vec::new(), form: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
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

    pub(super) fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub(super) fn new(address: &str, full: bool) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { client, address: address.to_owned(), full }
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
        let body = ask.body();
        if ask.method == Method::POST {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(Body::from(body)).map_err(Trouble::new)?;
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

    /// Sends and hangs up without reading a byte, once `done` says that the server is through with it.
    pub(super) async fn hang_up(
        &self,
        ask: &Ask,
        done: impl AsyncFn() -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        self.print_request(ask);
        let mut socket = tokio::net::TcpStream::connect(&self.address).await.map_err(Trouble::new)?;
        let body = ask.body();
        let text = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            ask.url,
            self.address,
            body.len()
        );
        socket.write_all(text.as_bytes()).await.map_err(Trouble::new)?;
        for _ in 0..100_000 {
            if done().await? {
                drop(socket);
                output::line("\n  … the line breaks before a byte of the answer is read.\n");
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Err(Trouble::new("the server never got the request"))
    }

    fn print_request(&self, ask: &Ask) {
        let blue = anstyle::AnsiColor::Cyan.on_default();
        let (host, path) = match ask.url.strip_prefix("http://").and_then(|url| url.split_once('/')) {
            Some((host, path)) => (host, format!("/{path}")),
            None => (self.address.as_str(), ask.url.clone()),
        };
        output::line(&format!("  {blue}{} {} HTTP/1.1{blue:#}", ask.method, self.short(&path)));
        output::line(&format!("  Host: {host}"));
        for (name, value) in &ask.headers {
            output::line(&format!("  {name}: {}", self.short(value)));
        }
        if ask.form.is_empty() {
            return;
        }
        output::line("  Content-Type: application/x-www-form-urlencoded\n");
        for (position, (name, value)) in ask.form.iter().enumerate() {
            let and = if position == 0 { "" } else { "&" };
            output::line(&format!("  {and}{name}={}", self.short(value)));
        }
    }

    pub(super) fn print_answer(&self, answer: &Answer) {
        let color = if answer.status.is_success() || answer.status.is_redirection() {
            anstyle::AnsiColor::Green
        } else {
            anstyle::AnsiColor::Yellow
        };
        let style = color.on_default();
        output::line("");
        output::line(&format!("  {style}HTTP/1.1 {}{style:#}", answer.status));
        for name in ["content-type", "cache-control", "www-authenticate", "retry-after", "location"] {
            let value = answer.header(name);
            if !value.is_empty() {
                output::line(&format!("  {name}: {}", self.short(&value)));
            }
        }
        if let Value::Object(members) = answer.json() {
            output::line("");
            self.print_members(&members);
        }
        output::line("");
    }

    /// A JSON object, a member a line, in the order in which people read it.
    fn print_members(&self, members: &Map<String, Value>) {
        let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
        sorted.sort_by_key(|(name, _)| place(name));
        output::line("  {");
        for (position, (name, value)) in sorted.iter().enumerate() {
            let comma = if position + 1 < sorted.len() { "," } else { "" };
            let value = match value {
                Value::String(text) => Value::String(self.short(text)),
                other => (*other).clone(),
            };
            output::line(&format!("    \"{name}\": {value}{comma}"));
        }
        output::line("  }");
    }

    /// Long words are shortened in their middle, unless everything is to be seen. So are the values in a query.
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
            let is_secret = word.len() > 40 && !word.starts_with("http") && !word.contains('/') || word.len() > 100;
            if is_secret && word.is_ascii() {
                out.push_str(&format!("{}…{}", &word[..10], &word[word.len() - 6..]));
            } else {
                out.push_str(word);
            }
            out.push_str(end);
        }
        out
    }
}
