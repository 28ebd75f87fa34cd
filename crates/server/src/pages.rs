//! The built-in HTML pages: login, consent, logout, errors, home.
//!
//! Plain HTML and one style sheet, no JavaScript (but two lines that press the button of [`FormPost`]) and nothing inline, so that they
//! work under
//! `default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'`
//! (RFC 9700 section 4.16 asks for the last). Every value is HTML-escaped, and so may come from anybody. Names
//! are shown isolated (`<bdi>`): right-to-left marks in an application's name cannot turn the text around it.
//!
//! | page          | form posts to       | sends                                                       |
//! |---------------|---------------------|-------------------------------------------------------------|
//! | [`Login`]     | `{base}/login`      | `request`, `csrf`, `username`, `password`                   |
//! | [`Consent`]   | `{base}/consent`    | `request`, `csrf`, `decision` = `allow` or `deny`           |
//! | [`Logout`]    | `{base}/logout`     | `request`, `csrf`                                           |
//! | [`Select`]    | `{base}/select`     | `request`, `csrf`, `account` = `this` or `other`            |
//! | [`Device`]    | `{base}/device` (GET) | `user_code`                                               |
//! | [`DeviceConfirm`] | `{base}/device` | `user_code`, `csrf`, `decision` = `allow` or `deny`         |
//! | [`Account`]   | `{base}/account`    | `csrf`, `action` and what it is about                       |
//! | [`FormPost`]  | the redirect URI    | the answer to the client                                    |
//! | [`LoggedOut`], [`DeviceDone`], [`Failure`], [`Home`] | – |                                        |
//!
//! `base` is everywhere the path of the issuer without a slash at its end: `""` or `"/op"`. The pages refer to
//! `{base}/assets/` + the file name of [`stylesheet`], and to `{base}/assets/favicon.svg` ([`FAVICON`]).
//!
//! They are served with `Referrer-Policy: no-referrer`, under which browsers send `Origin: null` with the forms: it is the
//! form token that tells our own forms from others', never the origin.

mod account;
mod answer;
mod device;

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::profile::Links;

pub use account::{Account, Allowed, Connection, Happened};
pub use answer::{Field, FormPost, Select, form_post_script};
pub use device::{Device, DeviceConfirm, DeviceDone};

/// For [`Login::error`]: the same for an unknown user and a wrong password, so that nobody learns who has an account.
pub const WRONG_CREDENTIALS: &str = "That username and password do not match.";
/// For [`Login::error`] or [`Failure::message`]: no capacity right now (status 503); nothing was done.
pub const BUSY: &str = "The server is busy. Please wait a moment and try again.";
/// For [`Login::error`] or [`Failure::message`]: the form's CSRF token is too old or of another browser session.
pub const EXPIRED_FORM: &str = "This page was open for too long. Please try again.";
/// For [`Failure::message`]: the login session ended, or changed its user, between the page and its answer.
pub const SESSION_CHANGED: &str =
    "Your login has changed since this page was opened. Please go back to the application and start again.";
/// For [`Failure::message`]: `client_id` is missing or unknown. RFC 6749 section 4.1.2.1: then "inform the resource
/// owner of the error" and do not redirect.
pub const UNKNOWN_CLIENT: &str = "This server does not know the application that sent you here.";
/// For [`Failure::message`]: the `redirect_uri` is missing or not a registered one; no redirect, as above.
pub const UNKNOWN_REDIRECT: &str =
    "The application asked to send you to an address it has not registered. For your safety we stopped here.";
/// For [`Failure::message`]: the request is malformed (status 400).
pub const BAD_REQUEST: &str = "The link or form that brought you here is not one this server understands.";
/// For [`Failure::message`]: no such page (status 404).
pub const NOT_FOUND: &str = "There is no page at this address.";
/// For [`Failure::message`]: our own failure (status 500 or 503); the log has the reason beside the correlation id.
pub const UNAVAILABLE: &str = "Something went wrong on our side. Please try again later.";

/// The icon of the browser tab and of the pages' head, for `{base}/assets/favicon.svg` (`image/svg+xml`).
pub const FAVICON: &str = concat!(
    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">"##,
    r##"<rect width="32" height="32" rx="9" fill="#0c6b61"/>"##,
    r##"<path d="M23.8 16a7.8 7.8 0 1 1-2.6-5.8" fill="none" stroke="#fff" stroke-width="2.8" stroke-linecap="round"/>"##,
    r##"<path d="M22.6 5.6v6.2h-6.2z" fill="#fff"/><circle cx="16" cy="16" r="2.6" fill="#8fe3d4"/></svg>"##,
);

/// Asks for username and password.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Login<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The application that asks; empty if none does.
    pub client_name: &'a str,
    /// The query string of the authorization request; comes back byte for byte as the field `request`.
    pub request: &'a str,
    /// Comes back as the field `csrf`.
    pub csrf: &'a str,
    /// Filled in already: what the user typed before, or `login_hint`. May be empty.
    pub username: &'a str,
    /// What was wrong with the last try, a sentence.
    pub error: Option<&'a str>,
}

/// One line of what a client asks for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ScopeLine<'a> {
    /// The scope as on the wire, `notes.read`.
    pub name: &'a str,
    /// What it means to the user, "Read your notes"; if empty, the name stands alone.
    pub description: &'a str,
}

/// Asks whether a client may have what it asks for. Neither button has the focus: a stray key decides nothing.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Consent<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The name that the client chose for itself.
    pub client_name: &'a str,
    /// Host, or scheme of an installed application, of the redirect URI. Unlike the name it cannot be made up.
    pub client_host: &'a str,
    /// Who is logged in.
    pub username: &'a str,
    /// What the grant would hold.
    pub scopes: &'a [ScopeLine<'a>],
    /// The resource indicators (RFC 8707), if the request names any.
    pub resources: &'a [&'a str],
    /// "30 days without use, 365 days at most"; empty if the client gets no refresh token.
    pub lifetime: &'a str,
    /// Where the client says more of itself: https, and its own words.
    pub links: &'a Links,
    /// As in [`Login::request`].
    pub request: &'a str,
    /// Comes back as the field `csrf`.
    pub csrf: &'a str,
}

/// Asks whether to end the session.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Logout<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The application that asks; empty if none does.
    pub client_name: &'a str,
    /// Who is logged in, if known.
    pub username: Option<&'a str>,
    /// The query string of the logout request; comes back byte for byte as the field `request`.
    pub request: &'a str,
    /// Comes back as the field `csrf`.
    pub csrf: &'a str,
}

/// Says that the session has ended, to the user and by frames to applications (OpenID Connect Front-Channel Logout 1.0 section 2).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LoggedOut<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Where the user goes on; empty if nowhere.
    pub next: &'a str,
    /// The host of it, for people.
    pub next_host: &'a str,
    /// What is shown to nobody, and tells applications.
    pub frames: &'a [String],
}

/// Says what went wrong when there is nowhere to redirect to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Failure<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// A few words: "This page has expired".
    pub title: &'a str,
    /// A sentence or two, constant per kind of failure (the constants above).
    pub message: &'a str,
    /// The id under which the log has the details; empty if there is none.
    pub correlation: &'a str,
}

/// The page at `{base}/`: what this server is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Home<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The issuer, as in the metadata.
    pub issuer: &'a str,
    /// Who is logged in.
    pub username: Option<&'a str>,
}

/// Renders the login page.
pub fn login(page: &Login<'_>) -> String {
    // The title is what a screen reader says first.
    render("login", if page.error.is_some() { "Error: Log in" } else { "Log in" }, page)
}

/// Renders the consent page.
pub fn consent(page: &Consent<'_>) -> String {
    render("consent", "Allow access?", page)
}

/// Renders the page that shows the account.
pub fn select(page: &Select<'_>) -> String {
    render("select", "Which account?", page)
}

/// Renders the page that posts an answer to the client.
pub fn form_post(page: &FormPost<'_>) -> String {
    render("form_post", "Back to the application", page)
}

/// Renders the page that asks before it logs out.
pub fn logout(page: &Logout<'_>) -> String {
    render("logout", "Log out?", page)
}

/// Renders the page after a logout.
pub fn logged_out(page: &LoggedOut<'_>) -> String {
    render("logged_out", "Logged out", page)
}

/// Renders the page that asks for a user code.
pub fn device(page: &Device<'_>) -> String {
    render("device", if page.error.is_some() { "Error: Connect a device" } else { "Connect a device" }, page)
}

/// Renders the page that asks whether a device may have what it asks for.
pub fn device_confirm(page: &DeviceConfirm<'_>) -> String {
    render("device_confirm", "Connect a device?", page)
}

/// Renders the page after the answer.
pub fn device_done(page: &DeviceDone<'_>) -> String {
    render("device_done", if page.allowed { "Device connected" } else { "Device not connected" }, page)
}

/// File name and text of the script of the page for OpenID Connect Session Management. The name holds a hash of the text.
pub fn check_session_script() -> (&'static str, &'static str) {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, CHECK_SESSION.as_bytes()));
        format!("check-session-{hash}.js")
    });
    (&NAME, CHECK_SESSION)
}

const CHECK_SESSION: &str = include_str!("pages/check_session.js");

/// Renders a user's own page.
pub fn account(page: &Account<'_>) -> String {
    render("account", if page.error.is_some() { "Error: Your account" } else { "Your account" }, page)
}

/// Renders the error page.
pub fn failure(page: &Failure<'_>) -> String {
    render("failure", page.title, page)
}

/// Renders the home page.
pub fn home(page: &Home<'_>) -> String {
    render("home", "Regrant", page)
}

/// File name and text of the style sheet. The name holds a hash of the text: serve it as `immutable`.
pub fn stylesheet() -> (&'static str, &'static str) {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, CSS.as_bytes()));
        format!("style-{hash}.css")
    });
    (&NAME, CSS)
}

const CSS: &str = include_str!("pages/style.css");

/// Name and text of each template, between `head.html` and `foot.html`.
const TEMPLATES: [(&str, &str); 12] = [
    ("select", include_str!("pages/select.html")),
    ("form_post", include_str!("pages/form_post.html")),
    ("login", include_str!("pages/login.html")),
    ("consent", include_str!("pages/consent.html")),
    ("logout", include_str!("pages/logout.html")),
    ("logged_out", include_str!("pages/logged_out.html")),
    ("failure", include_str!("pages/failure.html")),
    ("home", include_str!("pages/home.html")),
    ("account", include_str!("pages/account.html")),
    ("device", include_str!("pages/device.html")),
    ("device_confirm", include_str!("pages/device_confirm.html")),
    ("device_done", include_str!("pages/device_done.html")),
];

/// Shown if a template fails, which the tests below rule out for the templates as they are.
const FALLBACK: &str = "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Error</title></head>\n\
    <body><main role=\"alert\"><h1>This page could not be shown</h1><p>Please go back and try again.</p></main></body>\n</html>\n";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A line that holds only a block tag leaves nothing behind. If this failed the pages would have empty lines more.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    for (name, body) in TEMPLATES {
        let whole = [include_str!("pages/head.html"), body, include_str!("pages/foot.html")].concat();
        // A template that does not parse is missing below, and its page is the fallback.
        let _ = environment.add_template_owned(name, whole);
    }
    environment
});

fn render(name: &str, title: &str, page: &impl Serialize) -> String {
    let (stylesheet, _) = stylesheet();
    ENVIRONMENT
        .get_template(name)
        .and_then(|template| template.render(context! { title, stylesheet, page => Serde(page) }))
        .unwrap_or_else(|_| FALLBACK.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Stands for a harmless value: one character that no template contains.
    const MARK: &str = "\u{e000}";

    /// Every page in every shape it can take, with `value` in each of its string fields.
    fn every_page(value: &str) -> Vec<String> {
        let scopes = [ScopeLine { name: value, description: value }, ScopeLine { name: value, description: "" }];
        let asking =
            Login { base: value, client_name: value, request: value, csrf: value, username: value, error: None };
        let links = Links::default();
        let full = Consent {
            base: value,
            client_name: value,
            client_host: value,
            username: value,
            scopes: &scopes,
            resources: &[value, value],
            lifetime: value,
            links: &links,
            request: value,
            csrf: value,
        };
        let fields = [Field { name: value, value }, Field { name: value, value: "" }];
        let posted = FormPost { base: value, action: value, client_host: value, fields: &fields, script: value };
        let connection = Connection {
            id: value,
            client_name: value,
            here: true,
            place: value,
            since: value,
            used: value,
            idle: value,
            end: value,
            scopes: &scopes,
        };
        let connections = [connection, Connection { here: false, place: "", scopes: &[], ..connection }];
        let allowed =
            Allowed { client: value, client_name: value, since: value, until: value, paused: true, scopes: &scopes };
        let consents = [allowed, Allowed { until: "", paused: false, scopes: &[], ..allowed }];
        let happened = Happened { at: value, what: value, client_name: value };
        let history = [happened, Happened { client_name: "", ..happened }];
        let whole = Account {
            base: value,
            username: value,
            csrf: value,
            done: value,
            error: Some(value),
            password_failed: true,
            grants: &connections,
            consents: &consents,
            history: &history,
            more: true,
        };
        let empty = Account { done: "", error: None, grants: &[], consents: &[], history: &[], ..whole };
        let asked = DeviceConfirm {
            base: value,
            client_name: value,
            username: value,
            user_code: value,
            asked_at: value,
            place: value,
            elsewhere: true,
            scopes: &scopes,
            resources: &[value, value],
            lifetime: value,
            csrf: value,
        };
        vec![
            account(&whole),
            account(&empty),
            account(&Account { done: "", error: None, password_failed: false, more: false, ..whole }),
            login(&asking),
            login(&Login { client_name: "", username: "", error: Some(value), ..asking }),
            consent(&full),
            consent(&Consent { scopes: &[], resources: &[], lifetime: "", ..full }),
            select(&Select { base: value, client_name: value, username: value, request: value, csrf: value }),
            form_post(&posted),
            form_post(&FormPost { fields: &[], ..posted }),
            logout(&Logout { base: value, client_name: value, username: Some(value), request: value, csrf: value }),
            logout(&Logout { base: value, client_name: "", username: None, request: "", csrf: value }),
            logged_out(&LoggedOut { base: value, next: "", next_host: "", frames: &[] }),
            logged_out(&LoggedOut { base: value, next: value, next_host: value, frames: &[] }),
            device(&Device { base: value, username: value, user_code: value, error: Some(value) }),
            device(&Device { base: value, username: value, user_code: "", error: None }),
            device_confirm(&asked),
            device_confirm(&DeviceConfirm {
                place: "",
                elsewhere: false,
                scopes: &[],
                resources: &[],
                lifetime: "",
                ..asked
            }),
            device_done(&DeviceDone { base: value, client_name: value, allowed: true }),
            device_done(&DeviceDone { base: value, client_name: value, allowed: false }),
            failure(&Failure { base: value, title: value, message: value, correlation: value }),
            failure(&Failure { base: value, title: value, message: value, correlation: "" }),
            home(&Home { base: value, issuer: value, username: Some(value) }),
            home(&Home { base: value, issuer: value, username: None }),
        ]
    }

    #[derive(Debug, PartialEq)]
    enum Token<'a> {
        Open(&'a str, Vec<(&'a str, String)>),
        Close(&'a str),
        Text(String),
    }

    impl<'a> Token<'a> {
        /// The same token with `value` where [`MARK`] was: in texts and attribute values, never in a name.
        fn with(&self, value: &str) -> Token<'a> {
            match self {
                Token::Text(text) => Token::Text(text.replace(MARK, value)),
                Token::Close(name) => Token::Close(name),
                Token::Open(name, attributes) => {
                    let filled = attributes.iter().map(|(name, old)| (*name, old.replace(MARK, value)));
                    Token::Open(name, filled.collect())
                }
            }
        }

        fn attribute(&self, name: &str) -> Option<&str> {
            let Token::Open(_, attributes) = self else { return None };
            attributes.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
        }
    }

    /// Reads only the HTML that our templates are written in, and panics at anything else.
    fn scan(page: &str) -> Vec<Token<'_>> {
        let mut rest = page.strip_prefix("<!doctype html>").expect("a doctype");
        let mut tokens = Vec::new();
        while let Some((text, tag)) = rest.split_once('<') {
            tokens.push(Token::Text(decoded(text)));
            if let Some(tag) = tag.strip_prefix('/') {
                let (name, after) = name(tag);
                tokens.push(Token::Close(name));
                rest = after;
            } else {
                let (tag, mut after) = name(tag);
                let mut attributes = Vec::new();
                while let Some(attribute) = after.strip_prefix(' ') {
                    let (name, value) = name(attribute);
                    let quoted = value.strip_prefix("=\"").map(|value| value.split_once('"').expect("a closing quote"));
                    attributes.push((name, decoded(quoted.map_or("", |(raw, _)| raw))));
                    after = quoted.map_or(value, |(_, after)| after);
                }
                tokens.push(Token::Open(tag, attributes));
                rest = after;
            }
            rest = rest.strip_prefix('>').expect("the end of a tag");
        }
        assert_eq!(rest, "\n", "nothing after the last tag");
        tokens
    }

    fn name(text: &str) -> (&str, &str) {
        let is_letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let end = text.bytes().take_while(is_letter).count();
        assert!(end > 0, "no name at {text:.40}");
        text.split_at(end)
    }

    fn decoded(raw: &str) -> String {
        assert!(!"<>\"'".chars().any(|c| raw.contains(c)), "not escaped: {raw:.80}");
        let mut parts = raw.split('&');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (entity, after) = part.split_once(';').expect("an escaped ampersand");
            text.push(match entity {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "#x27" => '\'',
                "#x2f" => '/',
                other => panic!("an entity of somebody else: {other:.20}"),
            });
            text.push_str(after);
        }
        text
    }

    const PIECES: [&str; 50] = [
        "\"",
        "'",
        "`",
        ">",
        "\">",
        "'>",
        "/>",
        "<",
        "</",
        " ",
        "\n",
        "\t",
        "\r",
        "/",
        "\0",
        "&",
        ";",
        "=",
        "-->",
        "<!--",
        "]]>",
        "<![CDATA[",
        "</title>",
        "</p>",
        "</main>",
        "</code>",
        "<script>alert(1)</script>",
        "<ScRiPt/x>",
        "</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<base href=//evil.example>",
        "<form action=//evil.example>",
        "<meta http-equiv=refresh content=0>",
        "<style>@import'//evil.example'</style>",
        " onfocus=alert(1) autofocus x=",
        " style=display:none ",
        " formaction=//evil.example ",
        "javascript:alert(1)",
        "&lt;script&gt;",
        "&#60;script&#62;",
        "&quot;",
        "+ADw-script+AD4-",
        "{{ 7 * 7 }}",
        "{{ page.csrf|safe }}",
        "{% raw %}",
        "{# ",
        "\u{202e}",
        "\u{2028}",
        "＜script＞",
    ];

    /// 10,000 different payloads of one to six pieces, the same in each run.
    fn payloads() -> HashSet<String> {
        let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut below = |limit: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % limit as u64) as usize
        };
        let mut payloads: HashSet<String> = PIECES.iter().map(|&piece| piece.to_owned()).collect();
        while payloads.len() < 10_000 {
            let length = 1 + below(6);
            payloads.insert((0..length).map(|_| PIECES[below(PIECES.len())]).collect());
        }
        payloads
    }

    /// No value can add a tag or an attribute, or leave its place; and each arrives as it was, `state` for instance.
    #[test]
    fn hostile_values_stay_text() {
        let harmless = every_page(MARK);
        let harmless: Vec<Vec<Token<'_>>> = harmless.iter().map(|page| scan(page)).collect();
        for payload in payloads() {
            for (page, tokens) in every_page(&payload).iter().zip(&harmless) {
                let expected: Vec<Token<'_>> = tokens.iter().map(|token| token.with(&payload)).collect();
                assert_eq!(scan(page), expected, "for {payload:?}");
            }
        }
    }

    #[test]
    fn every_page_is_rendered_whatever_it_holds() {
        for value in ["", " ", MARK, "\0", &"<\"&'>".repeat(100_000)] {
            for page in every_page(value) {
                assert_ne!(page, FALLBACK);
                assert!(page.ends_with("</html>\n"));
            }
        }
        assert_eq!(render("no such page", "", &()), FALLBACK);
        assert_eq!(render("login", "", &()), FALLBACK, "a missing field must not go unnoticed");
    }

    #[test]
    fn nothing_is_inline() {
        for tag in every_page(MARK).iter().flat_map(|page| scan(page)) {
            let Token::Open(name, attributes) = &tag else { continue };
            assert!(!matches!(*name, "style" | "iframe" | "object" | "embed" | "base"), "{name}");
            assert!(*name != "script" || tag.attribute("src").is_some(), "a script of a file of ours");
            for (attribute, _) in attributes {
                assert!(*attribute != "style" && !attribute.starts_with("on"), "{attribute}");
            }
        }
        assert!(!CSS.contains("url(") && !CSS.contains("@import"), "default-src 'none' would stop it");
    }

    #[test]
    fn every_page_can_be_heard_and_typed() {
        for page in every_page(MARK) {
            let tokens = scan(&page);
            let with = |name: &str| tokens.iter().filter(|t| t.attribute(name).is_some()).collect::<Vec<_>>();
            let count = |tag: &str| tokens.iter().filter(|t| matches!(t, Token::Open(name, _) if *name == tag)).count();
            assert_eq!((count("html"), count("main"), count("h1")), (1, 1, 1), "{page}");
            assert_eq!(with("lang")[0].attribute("lang"), Some("en"));
            assert!(page.contains("name=\"viewport\""));
            assert!(with("autofocus").len() <= 1 && with("tabindex").is_empty(), "the order is that of the text");
            let ids: HashSet<_> = with("id").iter().filter_map(|t| t.attribute("id")).collect();
            assert_eq!(ids.len(), with("id").len(), "an id stands for one element");
            for reference in ["for", "aria-describedby", "aria-labelledby"] {
                assert!(with(reference).iter().filter_map(|t| t.attribute(reference)).all(|id| ids.contains(id)));
            }
            let labelled: HashSet<_> = with("for").iter().filter_map(|t| t.attribute("for")).collect();
            for input in tokens.iter().filter(|t| matches!(t, Token::Open("input", _))) {
                assert!(
                    input.attribute("type") == Some("hidden")
                        || labelled.contains(input.attribute("id").expect("an id"))
                );
            }
        }
    }

    #[test]
    fn a_failed_login_is_heard_with_the_field() {
        let page =
            Login { base: "/op", client_name: "Notes", request: "a=b", csrf: "c", username: "ada", error: Some(BUSY) };
        let page = login(&page);
        let tokens = scan(&page);
        let focused = tokens.iter().find(|t| t.attribute("autofocus").is_some()).expect("a field with the focus");
        assert_eq!(focused.attribute("name"), Some("password"), "the name is there already");
        let error = tokens.iter().find(|t| t.attribute("role") == Some("alert")).expect("an alert");
        assert_eq!(focused.attribute("aria-describedby"), error.attribute("id"));
    }

    #[test]
    fn the_style_sheet_is_named_after_its_text() {
        let (name, css) = stylesheet();
        let hash = name.strip_prefix("style-").and_then(|rest| rest.strip_suffix(".css")).expect("style-HASH.css");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(hash).expect("base64url"), digest(&SHA256, css.as_bytes()).as_ref());
        let page = logged_out(&LoggedOut { base: "/op", next: "", next_host: "", frames: &[] });
        assert!(page.contains(&format!("href=\"&#x2f;op/assets/{name}\"")), "{page}");
    }

    /// WCAG 2.2 section 1.4.3 asks for 4.5 for text, section 1.4.11 for 3 for the edge of a field.
    #[test]
    fn colours_have_contrast_by_day_and_by_night() {
        let (day, night) = CSS.split_once("prefers-color-scheme: dark").expect("both schemes");
        for scheme in [day, night] {
            let luminance = |name: &str| {
                let (_, after) = scheme.split_once(&format!("--{name}: #")).expect("a colour");
                let channel = |at: usize| {
                    let value = f64::from(u8::from_str_radix(&after[at..at + 2], 16).expect("hex")) / 255.0;
                    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
                };
                0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
            };
            let text =
                [("ink", "surface"), ("ink", "soft"), ("muted", "surface"), ("muted", "ground"), ("muted", "soft")];
            let marked = [
                ("accent", "surface"),
                ("on-accent", "accent"),
                ("on-accent", "accent-strong"),
                ("alert", "alert-ground"),
            ];
            let least = |pairs: &[(&str, &str)]| {
                let contrast = |&(one, other): &(&str, &str)| {
                    let (one, other) = (luminance(one), luminance(other));
                    (one.max(other) + 0.05) / (one.min(other) + 0.05)
                };
                pairs.iter().map(contrast).fold(f64::INFINITY, f64::min)
            };
            assert!(least(&text) >= 4.5 && least(&marked) >= 4.5, "{} {}", least(&text), least(&marked));
            assert!(least(&[("edge", "surface")]) >= 3.0);
        }
    }
}
