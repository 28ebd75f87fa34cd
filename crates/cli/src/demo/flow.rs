//! What clients and browsers do: pages, forms, cookies, the redirect that leaves the server, and the requests after it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use regrant_core::secret::Hash;
use regrant_jose::base64url;
use regrant_server::chance;
use regrant_server::form::{self, Form};

use super::Trouble;
use super::exchange::{Answer, Ask};
use super::stage::{Stage, USER};
use super::telling::{self, require};

/// The path of the article; `/oauth2/token` is the same.
pub(super) const ARTICLE_PATH: &str = "/oauth/v2/accessToken";
/// The most pages of one login.
const MAX_PAGES: usize = 6;

/// A login on its way: what the application remembers until the browser comes back.
pub(super) struct Login {
    client: &'static str,
    pub(super) state: String,
    pub(super) verifier: String,
}

impl Login {
    pub(super) fn new(client: &'static str) -> Self {
        let word = |bytes: &[u8]| base64url::encode(bytes);
        Self { client, state: word(&chance::bytes::<8>()), verifier: word(&chance::bytes::<32>()) }
    }

    /// Where the application sends the browser, to get a code or, by the implicit grant, a token.
    pub(super) fn path(&self, stage: &Stage, response_type: &str) -> String {
        // RFC 7636 section 4.2: "code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))".
        let challenge = base64url::encode(&Hash::of(self.verifier.as_bytes()).0);
        let mut parameters = vec![
            ("response_type", response_type),
            ("client_id", self.client),
            ("redirect_uri", &stage.callback),
            ("scope", if stage.secrets.of(self.client).is_some() { "things.read things.write" } else { "things.read" }),
            ("state", &self.state),
        ];
        if response_type == "code" {
            parameters.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        format!("/oauth2/authorize?{}", form::write(&parameters))
    }

    /// The request that redeems the code.
    pub(super) fn redemption(&self, stage: &Stage, code: &str) -> Ask {
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", stage.callback.as_str()),
            ("code_verifier", &self.verifier),
        ];
        as_client(stage, self.client, "/oauth2/token", &parameters)
    }
}

/// A whole login, unseen, down to the tokens.
pub(super) async fn log_in(stage: &Stage, client: &'static str) -> Result<Answer, Trouble> {
    let login = Login::new(client);
    let back = browse(stage, &login.path(stage, "code")).await?;
    let code = parameter(&back.location, "code").ok_or_else(|| Trouble::new("no code in the redirect"))?;
    let tokens = stage.wire.quietly(&login.redemption(stage, &code)).await?;
    require(tokens.is_ok() && !tokens.text("refresh_token").is_empty(), "a login gives a refresh token")?;
    Ok(tokens)
}

/// The article's request, as the client that holds the token.
pub(super) fn refresh(stage: &Stage, client: &str, token: &str) -> Ask {
    as_client(stage, client, ARTICLE_PATH, &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// What the server says of a token, asked by the first client.
pub(super) fn introspection(stage: &Stage, token: &str) -> Ask {
    as_client(stage, super::stage::REUSABLE, "/oauth2/introspect", &[("token", token)])
}

/// A form of a client, with what it proves itself by.
pub(super) fn as_client(stage: &Stage, client: &str, path: &str, parameters: &[(&'static str, &str)]) -> Ask {
    let mut form = parameters.to_vec();
    form.push(("client_id", client));
    form.extend(stage.secrets.of(client).map(|secret| ("client_secret", secret)));
    Ask::post(path, &form)
}

/// The protected resource, with a token.
pub(super) fn things(stage: &Stage, access_token: &str) -> Ask {
    Ask::get(&stage.things).with("Authorization", &format!("Bearer {access_token}"))
}

/// A parameter of a redirect's query or fragment.
pub(super) fn parameter(location: &str, name: &str) -> Option<String> {
    let start = location.find(['?', '#'])?;
    let form = Form::parse(location.get(start + 1..)?.as_bytes()).ok()?;
    form.credential(name).map(str::to_owned)
}

/// How a visit at the authorization endpoint ended.
pub(super) struct Back {
    /// The redirect that leaves the server.
    pub(super) answer: Answer,
    /// Where it leads.
    pub(super) location: String,
    /// Each step in between, a line each.
    pub(super) steps: Vec<String>,
}

/// From the authorization request to where the browser is sent, through the real pages, as the user.
pub(super) async fn browse(stage: &Stage, path: &str) -> Result<Back, Trouble> {
    let mut browser = Browser { stage, cookies: BTreeMap::new(), steps: Vec::new() };
    let mut page = browser.visit(Ask::get(path), "").await?;
    for _ in 0..MAX_PAGES {
        let location = page.header("location");
        page = if page.status == StatusCode::SEE_OTHER && location.starts_with('/') {
            browser.visit(Ask::get(&location), "").await?
        } else if page.status == StatusCode::SEE_OTHER {
            return Ok(Back { answer: page, location, steps: browser.steps });
        } else if page.body.contains("login-submit") {
            browser.submit(&page, &[("username", USER), ("password", &stage.password)], "username, password").await?
        } else if page.body.contains("consent-allow") {
            browser.submit(&page, &[("decision", "allow")], "decision=allow").await?
        } else {
            return Err(Trouble::new(format!("an unexpected page, status {}", page.status)));
        };
    }
    Err(Trouble::new("the login did not come to an end"))
}

struct Browser<'a> {
    stage: &'a Stage,
    cookies: BTreeMap<String, String>,
    steps: Vec<String>,
}

impl Browser<'_> {
    async fn visit(&mut self, ask: Ask, typed: &str) -> Result<Answer, Trouble> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let sent = if cookies.is_empty() { ask.clone() } else { ask.clone().with("Cookie", &cookies.join("; ")) };
        let answer = self.stage.wire.quietly(&sent).await?;
        for header in answer.headers.get_all("set-cookie") {
            let (pair, attributes) = header.to_str().unwrap_or_default().split_once(';').unwrap_or_default();
            match pair.split_once('=') {
                Some((name, _)) if attributes.contains("Max-Age=0") => drop(self.cookies.remove(name)),
                Some((name, value)) => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
                None => {}
            }
        }
        self.steps.push(told(&ask, typed, &answer));
        Ok(answer)
    }

    /// Sends the form of a page: its hidden fields, and what a person types or presses.
    async fn submit(&mut self, page: &Answer, typed: &[(&'static str, &str)], told: &str) -> Result<Answer, Trouble> {
        let action = attribute(&page.body, "<form", "action").ok_or_else(|| Trouble::new("a page without a form"))?;
        let (request, csrf) = (hidden(&page.body, "request"), hidden(&page.body, "csrf"));
        let mut fields = vec![("request", request.as_str()), ("csrf", csrf.as_str())];
        fields.extend(typed);
        self.visit(Ask::post(&action, &fields), told).await
    }
}

/// A step of a browser in one line: what it sends, what it gets.
fn told(ask: &Ask, typed: &str, answer: &Answer) -> String {
    let path = ask.url().split('?').next().unwrap_or_default();
    let request = format!("{:<4} {path}", ask.method().as_str());
    let got = match answer.header("location") {
        location if !location.is_empty() => {
            let to = location.split(['?', '#']).next().unwrap_or_default();
            format!("→ {to}")
        }
        _ if answer.body.contains("login-submit") => "the login page".to_owned(),
        _ if answer.body.contains("consent-allow") => "the consent page".to_owned(),
        _ => String::new(),
    };
    format!("{request:<24} {typed:<20} {} {got}", answer.status.as_u16())
}

/// Prints the steps of a login.
pub(super) fn print_steps(steps: &[String]) {
    telling::gap();
    for step in steps {
        telling::line(&format!("  {step}"));
    }
    telling::gap();
}

fn hidden(page: &str, name: &str) -> String {
    page.split("<input")
        .find(|input| input.contains(&format!("name=\"{name}\"")))
        .and_then(|input| attribute(input, "", "value"))
        .unwrap_or_default()
}

fn attribute(page: &str, tag: &str, name: &str) -> Option<String> {
    let page = &page[page.find(tag)?..];
    let start = page.find(&format!("{name}=\""))? + name.len() + 2;
    let value = page[start..].split('"').next()?;
    let entities = [("&#x2f;", "/"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&#x27;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, plain)| text.replace(entity, plain)))
}
