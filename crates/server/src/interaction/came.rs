//! Where a browser comes from: the last parameter of the request, added by the login page and by the page that shows the account, says that
//! this very request has passed it. Nobody else can write it, for it is bound to the session's cookie and to the request; and the request
//! stays as its client wrote it, so that what it asks for is asked for in every other browser.

use regrant_core::Timestamp;
use regrant_core::prompt::Came;

use crate::app::App;
use crate::session::{self, FormKind};

const PARAMETER: &str = "&regrant_came=";

/// The request of the client, and what we added to it.
pub(super) fn split(query: &str) -> (&str, Option<&str>) {
    match query.rsplit_once(PARAMETER) {
        Some((request, proof)) if !proof.contains('&') => (request, Some(proof)),
        _ => (query, None),
    }
}

/// Which page this browser comes from with this request, and since when.
pub(super) fn from(app: &App, cookie: &[u8; 32], query: &str, proof: Option<&str>) -> (Came, Timestamp) {
    let is = |kind| proof.and_then(|proof| proved_at(app, kind, cookie, query, proof));
    if let Some(at) = is(FormKind::LoggedIn) {
        (Came::LoggedIn, at)
    } else if let Some(at) = is(FormKind::Chose) {
        (Came::Chose, at)
    } else {
        (Came::Fresh, app.engine.now())
    }
}

/// The URL of the request for a browser that comes from such a page.
pub(super) fn back(app: &App, kind: FormKind, cookie: &[u8; 32], query: &str) -> String {
    let query = printable(query);
    let proof = proof(app, kind, cookie, &query);
    format!("{}/oauth2/authorize?{query}{PARAMETER}{proof}", app.issuer.path())
}

/// A form token that says when it was made, in seconds.
pub(super) fn proof(app: &App, kind: FormKind, cookie: &[u8; 32], query: &str) -> String {
    let at = app.engine.now().seconds();
    format!("{at}-{}", session::form_token(app, kind, cookie, &format!("{at} {query}")))
}

/// When a proof was made, if it is ours.
pub(super) fn proved_at(app: &App, kind: FormKind, cookie: &[u8; 32], query: &str, proof: &str) -> Option<Timestamp> {
    let (at, token) = proof.split_once('-')?;
    let is_own = session::is_own_form(app, kind, cookie, &format!("{at} {query}"), token);
    let at: i64 = at.parse().ok().filter(|_| is_own)?;
    Some(Timestamp::from_millis(at.saturating_mul(1000)))
}

/// The request again, in the characters that a URI has: some clients send others, and we send none on (check R16).
pub(super) fn printable(query: &str) -> String {
    let mut url = String::with_capacity(query.len());
    for byte in query.bytes() {
        match byte {
            0x21..=0x7E => url.push(char::from(byte)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url
}
