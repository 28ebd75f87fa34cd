//! `--server`: the commands on a server elsewhere, through its admin API. The command is the same as over the admin socket; what
//! differs is who may: there a user of the machine, here whoever holds an access token with the scope `regrant.admin`.
//!
//! A request whose answer is lost on its way is sent again with the same `Idempotency-Key`: it is done once.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use regrant_server::admin::{AdminError, Command};
use regrant_server::config::{ADMIN_RESOURCE, ADMIN_SCOPE};
use regrant_server::{chance, form};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::Reach;
use crate::context::{Failure, runtime};

/// Where the API takes commands, below the server's URL.
const COMMANDS: &str = "/admin/v1/commands";
/// The most that is read of an answer.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The longest file of a token or a secret.
const MAX_FILE: u64 = 16 * 1024;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a request is sent whose answer is not there yet.
const MOST_ATTEMPTS: usize = 30;

/// A server elsewhere, and how to prove who asks.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Args {
    /// Work on a server elsewhere, through its admin API; else REGRANT_SERVER, unless --config is given. A token is in REGRANT_TOKEN, or:
    #[arg(long, global = true, value_name = "URL", display_order = 902)]
    pub(crate) server: Option<String>,
    /// Read the access token from this file.
    #[arg(long, global = true, value_name = "FILE", display_order = 903, conflicts_with = "client_id")]
    token_file: Option<PathBuf>,
    /// Ask for a token as this client; else REGRANT_CLIENT_ID.
    #[arg(long, global = true, value_name = "ID", display_order = 904)]
    pub(crate) client_id: Option<String>,
    /// Its secret; else REGRANT_CLIENT_SECRET_FILE.
    #[arg(long, global = true, value_name = "FILE", display_order = 905)]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// Who gives the token, where that is another URL than --server; else REGRANT_TOKEN_ISSUER.
    #[arg(long, global = true, value_name = "URL", display_order = 906)]
    token_issuer: Option<String>,
}

impl Args {
    /// What was not said comes from the environment. With it, what is to be said of a server that is named there and left aside: a file
    /// that the command line names goes before it (`names_config`), and so does the machine of a command that works on its own.
    pub(crate) fn or_environment(mut self, reach: Reach, names_config: bool) -> (Self, Option<&'static str>) {
        let mut left_aside = None;
        if self.server.is_none() {
            (self.server, left_aside) = weighed(variable("REGRANT_SERVER"), reach, names_config);
        }
        self.token_issuer = self.token_issuer.or_else(|| variable("REGRANT_TOKEN_ISSUER"));
        if reach == Reach::Nowhere {
            // `regrant login` has profiles of its own: who asks an admin API is not the client of one of them.
            return (self, left_aside);
        }
        if self.token_file.is_none() {
            self.client_id = self.client_id.or_else(|| variable("REGRANT_CLIENT_ID"));
        }
        self.client_secret_file =
            self.client_secret_file.or_else(|| variable("REGRANT_CLIENT_SECRET_FILE").map(PathBuf::from));
        (self, left_aside)
    }

    /// The server, if one was named.
    pub(crate) fn open(&self) -> Result<Option<Remote>, Failure> {
        let Some(server) = &self.server else { return Ok(None) };
        let server = trusted("--server", server)?;
        let proof = match (&self.token_file, &self.client_id, &self.client_secret_file) {
            (Some(file), ..) => Proof::Token(read(file)?),
            (None, Some(id), Some(file)) => {
                let issuer = self.token_issuer.as_deref().map(|url| trusted("--token-issuer", url)).transpose()?;
                let secret = read(file)?;
                let endpoint = format!("{}/oauth2/token", issuer.unwrap_or_else(|| server.clone()));
                Proof::Client { endpoint, id: id.clone(), secret }
            }
            (None, Some(_), None) => {
                return Err(Failure::new(
                    2,
                    "--client-id is there, and no secret\n  remedy: name its file with --client-secret-file",
                ));
            }
            (None, None, _) => match std::env::var("REGRANT_TOKEN") {
                Ok(token) if !token.trim().is_empty() => Proof::Token(Zeroizing::new(token.trim().to_owned())),
                _ => {
                    let remedy = "set REGRANT_TOKEN, or name --token-file, or --client-id and --client-secret-file";
                    return Err(Failure::new(2, format!("--server needs an access token\n  remedy: {remedy}")));
                }
            },
        };
        Remote::new(&server, proof).map(Some)
    }
}

/// What a variable says; an empty one says nothing.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The server of the environment if it counts, or what to say of it if it does not.
fn weighed(server: Option<String>, reach: Reach, names_config: bool) -> (Option<String>, Option<&'static str>) {
    match (server, reach) {
        (None, _) | (Some(_), Reach::Nowhere) => (None, None),
        (Some(_), Reach::Here) => {
            (None, Some("REGRANT_SERVER is left aside: this command works on the machine it runs on"))
        }
        (Some(_), Reach::Elsewhere) if names_config => {
            (None, Some("REGRANT_SERVER is left aside: --config names a deployment of this machine"))
        }
        (server, Reach::Elsewhere) => (server, None),
    }
}

/// What proves who asks.
enum Proof {
    Token(Zeroizing<String>),
    Client { endpoint: String, id: String, secret: Zeroizing<String> },
}

/// A server elsewhere.
pub(crate) struct Remote {
    url: String,
    proof: Proof,
    token: Option<Zeroizing<String>>,
    client: Client<HttpsConnector<HttpConnector>, Body>,
    runtime: tokio::runtime::Runtime,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An answer, whole.
struct Heard {
    status: StatusCode,
    retry_after: Option<u64>,
    body: Value,
}

impl Remote {
    fn new(server: &str, proof: Proof) -> Result<Self, Failure> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| Failure::new(69, format!("the machine's certificates cannot be read: {error}")))?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url: format!("{server}{COMMANDS}"), proof, token: None, client, runtime: runtime()? })
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, command: &Command) -> Result<Value, Failure> {
        let body = Zeroizing::new(serde_json::to_vec(command).map_err(|error| Failure::new(1, error))?);
        let key = format!("{:032x}", u128::from_be_bytes(chance::bytes()));
        let (mut lost, mut has_new_token) = (None, false);
        for _ in 0..MOST_ATTEMPTS {
            let token = self.token()?;
            match self.send(&token, &key, &body) {
                // A second loss is not by chance.
                Err(why) if lost.is_some() => return Err(gone(&self.url, &why)),
                Err(why) => lost = Some(why),
                Ok(heard) if heard.status.is_success() => return Ok(heard.body),
                // It was given before the token ended.
                Ok(heard) if heard.status == StatusCode::UNAUTHORIZED && !has_new_token => {
                    if matches!(self.proof, Proof::Token(_)) {
                        return Err(told(&heard));
                    }
                    (has_new_token, self.token) = (true, None);
                }
                Ok(heard) if heard.body["type"] == "urn:regrant:problem:under-way" => {
                    let wait = Duration::from_secs(heard.retry_after.unwrap_or(1).min(10));
                    self.wait_for(tokio::time::sleep(wait))?;
                }
                Ok(heard) => return Err(told(&heard)),
            }
        }
        Err(gone(&self.url, "it is still under way"))
    }

    fn send(&self, token: &str, key: &str, body: &[u8]) -> Result<Heard, String> {
        let request = Request::post(&self.url)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_vec()))
            .map_err(|error| error.to_string())?;
        self.exchange(request)
    }

    fn exchange(&self, request: Request<Body>) -> Result<Heard, String> {
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| chain(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?.to_bytes();
            let header = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_default() };
            Ok(Heard { status: parts.status, retry_after: header, body })
        };
        let answered = self.wait_for(async { tokio::time::timeout(PATIENCE, exchange).await });
        let silent = |_| Err(format!("there was no answer for {} s", PATIENCE.as_secs()));
        answered.map_err(|failure| failure.to_string())?.unwrap_or_else(silent)
    }

    /// Waits on a thread of its own: a command that is asynchronous itself may be the one that waits.
    fn wait_for<T: Send>(&self, future: impl Future<Output = T> + Send) -> Result<T, Failure> {
        let waited = std::thread::scope(|scope| scope.spawn(|| self.runtime.block_on(future)).join());
        waited.map_err(|_| Failure::new(69, "the request was broken off"))
    }

    /// The token, asked for at the first use (RFC 6749 section 4.4).
    fn token(&mut self) -> Result<Zeroizing<String>, Failure> {
        let (endpoint, id, secret) = match (&self.token, &self.proof) {
            (Some(token), _) | (None, Proof::Token(token)) => return Ok(token.clone()),
            (None, Proof::Client { endpoint, id, secret }) => (endpoint, id, secret),
        };
        let pair = Zeroizing::new(format!("{}:{}", form::encode(id), form::encode(secret)));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let asked =
            form::write(&[("grant_type", "client_credentials"), ("scope", ADMIN_SCOPE), ("resource", ADMIN_RESOURCE)]);
        let request = Request::post(endpoint)
            .header(AUTHORIZATION, basic.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(asked))
            .map_err(|error| Failure::new(2, format!("{endpoint} cannot be asked for a token: {error}")))?;
        let heard =
            self.exchange(request).map_err(|why| Failure::new(69, format!("{endpoint} cannot be reached: {why}")))?;
        let Some(token) = heard.body["access_token"].as_str().filter(|_| heard.status == StatusCode::OK) else {
            let why =
                heard.body["error_description"].as_str().or(heard.body["error"].as_str()).unwrap_or("no reason given");
            let remedy = "its client needs client_credentials, the scope regrant.admin and the resource urn:regrant:admin; if tokens \
                          are given at another URL, name it with --token-issuer or REGRANT_TOKEN_ISSUER";
            return Err(Failure::new(
                77,
                format!("{endpoint} gives no token ({}): {why}\n  remedy: {remedy}", heard.status),
            ));
        };
        let token = Zeroizing::new(token.to_owned());
        self.token = Some(token.clone());
        Ok(token)
    }
}

/// What the server said, in its own words.
fn told(heard: &Heard) -> Failure {
    let code = heard.body["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok());
    let code = code.unwrap_or(match heard.status.as_u16() {
        401 | 403 => 77,
        429 | 500.. => 69,
        _ => 1,
    });
    let says = heard.body["detail"].as_str().map(str::to_owned);
    let message = says.unwrap_or_else(|| {
        let remedy = "--server wants the URL under which the admin API answers ([admin_api] in its configuration)";
        format!("the answer is {} and no problem that is known here\n  remedy: {remedy}", heard.status)
    });
    AdminError::Told { exit_code: code, message }.into()
}

fn gone(url: &str, why: &str) -> Failure {
    Failure::new(69, format!("{url} gave no answer ({why}): look whether it was done, and try again"))
}

/// A URL that a token may go to: https, or this machine. Without a slash at the end.
fn trusted(flag: &str, url: &str) -> Result<String, Failure> {
    let refuse = |what: &str| {
        Failure::new(
            2,
            format!("{flag}: {url} {what}\n  remedy: write it like https://auth.example.com, or http://127.0.0.1:8421"),
        )
    };
    let uri: Uri = url.parse().map_err(|_| refuse("is no URL"))?;
    let host = uri.host().ok_or_else(|| refuse("is no URL"))?;
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_here = host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback());
    let has_more = uri.query().is_some() || uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if has_more => Err(refuse("has more than a host and a path")),
        Some("https") => Ok(url.trim_end_matches('/').to_owned()),
        Some("http") if is_here => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(refuse("would show the token to whoever is on the way")),
    }
}

/// The first line of a file.
fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let cannot = |why: String| Failure::new(2, format!("{} cannot be read: {why}", file.display()));
    let mut text = Zeroizing::new(String::new());
    let opened = std::fs::File::open(file).map_err(|error| cannot(error.to_string()))?;
    opened.take(MAX_FILE).read_to_string(&mut text).map_err(|error| cannot(error.to_string()))?;
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().trim().to_owned());
    if line.is_empty() { Err(cannot("its first line is empty".to_owned())) } else { Ok(line) }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_on_the_command_line_goes_before_the_servers_variable() {
        let weighed = |reach, names_config| weighed(Some("https://auth.example.com".to_owned()), reach, names_config);
        let (server, left_aside) = weighed(Reach::Elsewhere, false);
        assert!(server.is_some() && left_aside.is_none());
        for (reach, names_config, why) in [
            (Reach::Elsewhere, true, "--config"),
            (Reach::Here, false, "the machine"),
            (Reach::Here, true, "the machine"),
        ] {
            let (server, left_aside) = weighed(reach, names_config);
            assert!(server.is_none() && left_aside.is_some_and(|says| says.contains(why)), "{reach:?}: {left_aside:?}");
        }
        assert_eq!(weighed(Reach::Nowhere, true), (None, None), "a client's commands have nothing to do with it");
        assert_eq!(super::weighed(None, Reach::Here, true), (None, None));
    }

    #[test]
    fn a_token_goes_to_https_or_to_this_machine() {
        let is_trusted = |url: &str| trusted("--server", url).ok();
        assert_eq!(is_trusted("https://auth.example.com/").as_deref(), Some("https://auth.example.com"));
        assert_eq!(is_trusted("https://auth.example.com/a").as_deref(), Some("https://auth.example.com/a"));
        for here in ["http://127.0.0.1:8421", "http://localhost:1", "http://[::1]:8421"] {
            assert_eq!(is_trusted(here).as_deref(), Some(here));
        }
        for bad in [
            "http://auth.example.com",
            "auth.example.com",
            "",
            "ftp://127.0.0.1",
            "https://a@b.example",
            "https://a/?x=1",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
        ] {
            assert_eq!(is_trusted(bad), None, "{bad}");
        }
    }
}
