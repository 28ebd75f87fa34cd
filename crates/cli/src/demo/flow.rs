//! Logging in the way a browser does: pages, forms, cookies, and the redirect that leaves the server.

use std::collections::BTreeMap;

use regrant_server::form::{self, Form};

use super::exchange::{Answer, Ask, Wire};
use super::stage::{CALLBACK, PASSWORD, USER};
use super::{Trouble, check};

/// A PKCE verifier and its S256 challenge: the pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The path of an authorization request for a code.
pub(super) fn authorization_path(client: &str) -> String {
    let parameters = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "af0ifjsldkj"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    format!("/oauth2/authorize?{}", form::write(&parameters))
}

/// From the authorization request to where the browser is sent, through the real pages.
pub(super) async fn authorize(wire: &Wire, path: &str) -> Result<String, Trouble> {
    let mut browser = Browser { wire, cookies: BTreeMap::new() };
    let mut page = browser.visit(Ask::get(path)).await?;
    for _ in 0..6 {
        let location = page.header("location");
        page = if page.status.as_u16() == 303 && location.starts_with('/') {
            browser.visit(Ask::get(&location)).await?
        } else if page.status.as_u16() == 303 {
            return Ok(location);
        } else if page.body.contains("login-submit") {
            browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await?
        } else if page.body.contains("consent-allow") {
            browser.submit(&page, &[("decision", "allow")]).await?
        } else {
            return Err(Trouble::new(format!("an unexpected page, status {}", page.status)));
        };
    }
    Err(Trouble::new("the login did not come to an end"))
}

/// The request that redeems a code.
pub(super) fn redemption(client: &str, secret: Option<&str>, code: &str) -> Ask {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", client),
    ];
    form.extend(secret.map(|secret| ("client_secret", secret)));
    Ask::post("/oauth2/token", &form)
}

/// A whole login, unseen.
pub(super) async fn log_in(wire: &Wire, client: &str, secret: Option<&str>) -> Result<Answer, Trouble> {
    let location = authorize(wire, &authorization_path(client)).await?;
    let code = parameter(&location, "code").ok_or_else(|| Trouble::new("no code in the redirect"))?;
    let tokens = wire.quietly(&redemption(client, secret, &code)).await?;
    check(tokens.status.as_u16() == 200, "a code is redeemed")?;
    Ok(tokens)
}

/// A parameter of a redirect's query or fragment.
pub(super) fn parameter(location: &str, name: &str) -> Option<String> {
    let start = location.find(['?', '#'])?;
    let form = Form::parse(location.get(start + 1..)?.as_bytes()).ok()?;
    form.credential(name).map(str::to_owned)
}

struct Browser<'a> {
    wire: &'a Wire,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    async fn visit(&mut self, ask: Ask) -> Result<Answer, Trouble> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.wire.quietly(&ask.with("cookie", &cookies.join("; "))).await?;
        for header in answer.headers.get_all("set-cookie") {
            let pair = header.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }

    /// Sends the form of a page: its hidden fields, and what a person types or presses.
    async fn submit(&mut self, page: &Answer, typed: &[(&'static str, &str)]) -> Result<Answer, Trouble> {
        let action = attribute(&page.body, "<form", "action").ok_or_else(|| Trouble::new("a page without a form"))?;
        let (request, csrf) = (hidden(&page.body, "request"), hidden(&page.body, "csrf"));
        let mut fields = vec![("request", request.as_str()), ("csrf", csrf.as_str())];
        fields.extend(typed);
        self.visit(Ask::post(&action, &fields)).await
    }
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
