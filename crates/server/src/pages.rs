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
//! How they look is a [`Theme`], which an operator's directory may change; what they say is in the languages of `words/`. A [`Voice`] is both.
//! The constants below name sentences: docs/pages.md lists them.
//!
//! `base` is everywhere the path of the issuer without a slash at its end: `""` or `"/op"`. The pages refer to
//! `{base}/assets/` + the file name of the style sheet, and to `{base}/assets/favicon.svg` ([`FAVICON`]).
//!
//! They are served with `Referrer-Policy: no-referrer`, under which browsers send `Origin: null` with the forms: it is the
//! form token that tells our own forms from others', never the origin.

mod account;
mod answer;
mod device;
pub mod qr;
mod samples;
mod theme;
mod voice;
mod words;

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::profile::Links;
use crate::reasons::Reason;

pub use account::{Account, Allowed, Connection, Happened};
pub use answer::{Field, FormPost, Select, form_post_script};
pub use device::{Device, DeviceConfirm, DeviceDone};
pub use qr::Qr;
pub use theme::{BRAND, Fault, Theme, built_in_files};
pub use voice::Voice;
pub use words::Language;

/// For [`Login::error`]: the same for an unknown user and a wrong password, so that nobody learns who has an account.
pub const WRONG_CREDENTIALS: &str = "login.wrong_error";
/// For [`Login::error`] or [`Failure::message`]: no capacity right now (status 503); nothing was done.
pub const BUSY: &str = "error.busy";
/// For [`Login::error`] or [`Failure::message`]: the form's CSRF token is too old or of another browser session.
pub const EXPIRED_FORM: &str = "error.expired_form";
/// For [`Failure::message`]: the login session ended, or changed its user, between the page and its answer.
pub const SESSION_CHANGED: &str = "error.session_changed";
/// For [`Failure::message`]: `client_id` is missing or unknown. RFC 6749 section 4.1.2.1: then "inform the resource
/// owner of the error" and do not redirect.
pub const UNKNOWN_CLIENT: &str = "error.unknown_client";
/// For [`Failure::message`]: the `redirect_uri` is missing or not a registered one; no redirect, as above.
pub const UNKNOWN_REDIRECT: &str = "error.unknown_redirect";
/// For [`Failure::message`]: the request is malformed (status 400).
pub const BAD_REQUEST: &str = "error.bad_request";
/// For [`Failure::message`]: no such page (status 404).
pub const NOT_FOUND: &str = "error.not_found";
/// For [`Failure::message`]: the verifier of an interaction was used, is too old, or is another browser's.
pub const INTERACTION_OVER: &str = "error.interaction_over";
/// For [`Failure::message`]: our own failure (status 500 or 503); the log has the reason beside the correlation id.
pub const UNAVAILABLE: &str = "error.unavailable";

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

/// The page at `{base}/reasons`: what each reason means.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reasons<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// All of them.
    pub reasons: &'a [Reason],
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

/// Shown if a template fails, which the tests below rule out for the templates as they are.
const FALLBACK: &str = "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Error</title></head>\n\
    <body><main role=\"alert\"><h1>This page could not be shown</h1><p>Please go back and try again.</p></main></body>\n</html>\n";

#[cfg(test)]
mod tests;
