//! Pages of your own: login, consent, logout and errors of a Regrant server, shown by another application. Here users log in with a number
//! that a device of theirs would show; how yours do is your affair.
//!
//! ```text
//! LOGIN_APP_SECRET=rgs_… cargo run -p sim --example login_app -- http://127.0.0.1:8420
//! ```
//! The server needs this, and the client `login-app` its secret (docs/interactions.md):
//!
//! ```toml
//! [interactions]
//! login = "http://127.0.0.1:3001/login"
//! consent = "http://127.0.0.1:3001/consent"
//! logout = "http://127.0.0.1:3001/logout"
//! error = "http://127.0.0.1:3001/error"
//! acr_values = ["urn:example:acr:number"]
//!
//! [[client]]
//! id = "login-app"
//! secret_file = "login-app.secret"
//! grant_types = ["client_credentials"]
//! scopes = ["regrant.interactions"]
//! resources = ["urn:regrant:admin"]
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, State};
use axum::http::{Method, Request, Response, StatusCode};
use axum::routing::get;
use base64::Engine as _;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The longest form that is read.
const MAX_FORM: usize = 64 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The server, as its admin API sees us. Over https, bring a connector that speaks it (`hyper-rustls`).
pub(crate) struct Regrant {
    pub(crate) issuer: String,
    pub(crate) secret: String,
    /// Who may log in with which number. A real application has this in a place of its own.
    pub(crate) numbers: HashMap<String, String>,
    client: Client<HttpConnector, Body>,
}

impl Regrant {
    pub(crate) fn new(issuer: &str, secret: &str, numbers: &[(&str, &str)]) -> Self {
        let numbers = numbers.iter().map(|(user, number)| ((*user).to_owned(), (*number).to_owned())).collect();
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { issuer: issuer.to_owned(), secret: secret.to_owned(), numbers, client }
    }

    async fn send(&self, path: &str, headers: &[(&str, String)], body: String) -> Result<Value, Failure> {
        let mut request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.issuer));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = self.client.request(request.body(Body::from(body))?).await?;
        let status = answer.status();
        let bytes = to_bytes(Body::new(answer.into_body()), MAX_FORM).await?;
        let value: Value = serde_json::from_slice(&bytes)?;
        if status.is_success() { Ok(value) } else { Err(value["detail"].as_str().unwrap_or("refused").into()) }
    }

    /// A real application keeps the token for as long as `expires_in` says.
    async fn token(&self) -> Result<String, Failure> {
        let credentials = base64::prelude::BASE64_STANDARD.encode(format!("login-app:{}", self.secret));
        let form = "grant_type=client_credentials&scope=regrant.interactions&resource=urn%3Aregrant%3Aadmin";
        let headers = [
            ("authorization", format!("Basic {credentials}")),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        let told = self.send("/oauth2/token", &headers, form.to_owned()).await?;
        Ok(told["access_token"].as_str().unwrap_or_default().to_owned())
    }

    /// One of the three operations: `read`, `accept`, `reject`.
    async fn interactions(&self, operation: &str, body: &Value) -> Result<Value, Failure> {
        let headers = [
            ("authorization", format!("Bearer {}", self.token().await?)),
            ("content-type", "application/json".to_owned()),
        ];
        self.send(&format!("/admin/v1/interactions/{operation}"), &headers, body.to_string()).await
    }

    /// Sends the browser back with an answer.
    async fn answer(&self, operation: &str, body: &Value) -> Response<Body> {
        match self.interactions(operation, body).await {
            Ok(told) => redirect(told["redirect_to"].as_str().unwrap_or_default()),
            Err(failure) => {
                page(StatusCode::BAD_REQUEST, &format!("<h1>Sorry</h1><p>{}</p>", escaped(&failure.to_string())))
            }
        }
    }
}

pub(crate) fn app(server: Arc<Regrant>) -> Router {
    Router::new()
        .route("/login", get(ask).post(log_in))
        .route("/consent", get(ask).post(consent))
        .route("/logout", get(ask).post(log_out))
        .route("/error", get(tell))
        .with_state(server)
}

/// What is asked is in the challenge: one page for all of it.
async fn ask(State(server): State<Arc<Regrant>>, RawQuery(query): RawQuery) -> Response<Body> {
    let challenge = field(&query.unwrap_or_default(), "challenge");
    let asked = match server.interactions("read", &json!({ "challenge": challenge })).await {
        Ok(asked) => asked,
        Err(failure) => {
            return page(StatusCode::NOT_FOUND, &format!("<h1>Sorry</h1><p>{}</p>", escaped(&failure.to_string())));
        }
    };
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let (client, user) = (text(&asked["client"]["name"]), text(&asked["user"]["name"]));
    // The challenge is what binds the form: nobody else knows it, and what it leads to works in its own browser alone.
    let carried = format!("<input type=\"hidden\" name=\"challenge\" value=\"{}\">", escaped(&challenge));
    let body = match asked["kind"].as_str() {
        Some("login") => format!(
            "<h1>Your number</h1><p>{client} asks you to log in.</p><form method=\"post\" action=\"/login\">{carried}\
             <label>Name <input name=\"user\" value=\"{}\"></label><label>Number <input name=\"number\"></label>\
             <button name=\"answer\" value=\"yes\">Log in</button><button name=\"answer\" value=\"no\">Not now</button></form>",
            text(&asked["login_hint"])
        ),
        Some("select_account") => format!(
            "<h1>Go on as {user}?</h1><form method=\"post\" action=\"/login\">{carried}\
             <button name=\"answer\" value=\"this\">Yes</button><button name=\"answer\" value=\"other\">Somebody else</button></form>"
        ),
        Some("consent") => {
            let scopes = asked["scope"].as_array().into_iter().flatten().map(|scope| {
                let (name, description) = (text(&scope["name"]), text(&scope["description"]));
                format!(
                    "<label><input type=\"checkbox\" name=\"scope\" value=\"{name}\" checked> {description}</label>"
                )
            });
            format!(
                "<h1>Is {client} welcome, {user}?</h1><form method=\"post\" action=\"/consent\">{carried}{}\
                 <button name=\"answer\" value=\"yes\">Yes</button><button name=\"answer\" value=\"no\">No</button></form>",
                scopes.collect::<String>()
            )
        }
        _ => format!(
            "<h1>Leave, {user}?</h1><form method=\"post\" action=\"/logout\">{carried}\
             <button name=\"answer\" value=\"yes\">Yes</button><button name=\"answer\" value=\"no\">No</button></form>"
        ),
    };
    page(StatusCode::OK, &body)
}

async fn log_in(State(server): State<Arc<Regrant>>, form: String) -> Response<Body> {
    let (challenge, user) = (field(&form, "challenge"), field(&form, "user"));
    match field(&form, "answer").as_str() {
        "this" => return server.answer("accept", &json!({ "challenge": challenge })).await,
        "other" => return server.answer("accept", &json!({ "challenge": challenge, "another_account": true })).await,
        "yes" => {}
        _ => return server.answer("reject", &json!({ "challenge": challenge })).await,
    }
    // Count the wrong numbers of a user here, and stop: the server sees only those that were right.
    if server.numbers.get(&user).is_none_or(|number| *number != field(&form, "number")) {
        return page(StatusCode::UNAUTHORIZED, "<h1>That is not the number</h1><p>Go back and try again.</p>");
    }
    let accepted = json!({
        "challenge": challenge, "user": user, "acr": "urn:example:acr:number", "amr": ["otp"],
        "claims": { "desk": "north" }
    });
    server.answer("accept", &accepted).await
}

async fn consent(State(server): State<Arc<Regrant>>, form: String) -> Response<Body> {
    let challenge = field(&form, "challenge");
    if field(&form, "answer") != "yes" {
        return server.answer("reject", &json!({ "challenge": challenge, "error": "access_denied" })).await;
    }
    let scope: Vec<String> = fields(&form, "scope").collect();
    server.answer("accept", &json!({ "challenge": challenge, "scope": scope.join(" ") })).await
}

async fn log_out(State(server): State<Arc<Regrant>>, form: String) -> Response<Body> {
    let operation = if field(&form, "answer") == "yes" { "accept" } else { "reject" };
    server.answer(operation, &json!({ "challenge": field(&form, "challenge") })).await
}

async fn tell(RawQuery(query): RawQuery) -> Response<Body> {
    let query = query.unwrap_or_default();
    let (said, code) = (field(&query, "error_description"), field(&query, "correlation_id"));
    page(StatusCode::OK, &format!("<h1>Sorry</h1><p>{}</p><code>{}</code>", escaped(&said), escaped(&code)))
}

fn page(status: StatusCode, body: &str) -> Response<Body> {
    let mut response =
        Response::new(Body::from(format!("<!doctype html><html lang=\"en\"><title>Example</title>{body}</html>")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        // The challenge is in our address: it is told to nobody.
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    ] {
        headers.insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}

fn redirect(to: &str) -> Response<Body> {
    let response = Response::builder().status(StatusCode::SEE_OTHER).header("location", to).body(Body::empty());
    response.unwrap_or_else(|_| page(StatusCode::BAD_GATEWAY, "<h1>Sorry</h1>"))
}

/// The first field of a name in a form, decoded.
fn field(form: &str, name: &str) -> String {
    fields(form, name).next().unwrap_or_default()
}

fn fields<'a>(form: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| decoded(value))
}

fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (hex(rest.next()), hex(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(b'?'),
                _ => b'?',
            },
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(issuer) = std::env::args().nth(1) else { return Err("usage: login_app ISSUER".into()) };
    let server = Regrant::new(&issuer, &std::env::var("LOGIN_APP_SECRET")?, &[("alice", "271828"), ("bob", "314159")]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    axum::serve(listener, app(Arc::new(server))).await?;
    Ok(())
}
