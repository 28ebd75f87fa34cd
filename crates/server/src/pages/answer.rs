//! What the pages show on the way of an answer to its client: which account, and the form that carries the answer (OAuth 2.0 Form Post
//! Response Mode 1.0).

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;

const FORM_POST: &str = include_str!("form_post.js");

/// Shows which account is logged in, to go on with it or to log in to another.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Select<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The application that asks.
    pub client_name: &'a str,
    /// Who is logged in.
    pub username: &'a str,
    /// As in [`Login::request`].
    pub request: &'a str,
    /// Comes back as the field `csrf`.
    pub csrf: &'a str,
}

/// A field of [`FormPost`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Field<'a> {
    /// The parameter.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// Carries an answer to the client: a form that submits itself, or by its button.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FormPost<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The redirect URI.
    pub action: &'a str,
    /// As in [`Consent::client_host`].
    pub client_host: &'a str,
    /// The answer.
    pub fields: &'a [Field<'a>],
    /// The file name of [`form_post_script`].
    pub script: &'a str,
}

/// File name and text of the script that presses the button of [`FormPost`], named after its text as the style sheet is.
pub fn form_post_script() -> (&'static str, &'static str) {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, FORM_POST.as_bytes()));
        format!("form-post-{hash}.js")
    });
    (&NAME, FORM_POST)
}
