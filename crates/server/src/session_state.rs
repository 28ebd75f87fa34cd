//! OpenID Connect Session Management 1.0: `session_state`, the page that compares it, and the cookie that the page reads.
//!
//! An application hears with its code a hash of the browser's state here. Its own page asks ours, in a frame, whether the hash is
//! still right: no request is sent for that. The cookie says nothing and opens nothing; it is set where an answer with
//! `session_state` is given, and follows what becomes of the session at each login and logout.
//!
//! Browsers that give a frame no cookies of its own site (Safari, Firefox with strict protection) always see "changed".

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response};
use regrant_core::codec;
use regrant_core::secret::Hash;

use crate::app::App;
use crate::chance;
use crate::pages;
use crate::session::{self, LOGIN_LIFETIME};

/// Section 3.2: "The OP iframe MUST … recalculate it from the previously obtained Client ID, the source origin URL (from the
/// postMessage), and the current OP User Agent state." A hash of these and a salt, and the salt behind it.
pub(crate) fn session_state(client_id: &str, origin: &str, browser_state: &str, salt: &str) -> String {
    let hash = Hash::of(format!("{client_id} {origin} {browser_state} {salt}").as_bytes());
    let mut text: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('.');
    text.push_str(salt);
    text
}

/// `session_state` for an answer to this redirect URI; `None` where no page of a browser gets it.
pub(crate) fn for_answer(app: &App, client_id: &str, redirect_uri: &str, root: &[u8; 32]) -> Option<String> {
    let salt = codec::encode_plain(&chance::bytes::<8>());
    Some(session_state(client_id, &origin(redirect_uri)?, &session::browser_state(app, root), &salt))
}

/// RFC 6454 section 6.2: the origin as browsers write it, without the scheme's own port.
fn origin(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let own = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    Some(format!("{scheme}://{}", authority.strip_suffix(own).unwrap_or(&authority)))
}

/// The `Set-Cookie` value of a session's state. A script reads it, so it is no secret.
pub(crate) fn cookie(app: &App, root: &[u8; 32]) -> HeaderValue {
    set_cookie(app, &session::browser_state(app, root), LOGIN_LIFETIME)
}

/// The `Set-Cookie` value after a login or a logout, for a browser that has one.
pub(crate) fn followed(app: &App, headers: &HeaderMap, root: Option<&[u8; 32]>) -> Option<HeaderValue> {
    let name = app.issuer.cookie("state");
    session::cookie_texts(headers, &name).next()?;
    Some(root.map_or_else(|| set_cookie(app, "", Duration::ZERO), |root| cookie(app, root)))
}

/// Frames of other sites are given it: over https it is `SameSite=None`, which needs `Secure`.
fn set_cookie(app: &App, value: &str, lifetime: Duration) -> HeaderValue {
    let name = app.issuer.cookie("state");
    let reach = if app.issuer.is_https() { "SameSite=None; Secure" } else { "SameSite=Lax" };
    let text = format!("{name}={value}; Path=/; {reach}; Max-Age={}", lifetime.as_secs());
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// `GET /oauth2/check-session`: the one page that may be framed and that has a script.
pub(crate) async fn check_session(State(app): State<Arc<App>>) -> Response<Body> {
    let (script, _) = pages::check_session_script();
    let (base, cookie) = (app.issuer.path(), app.issuer.cookie("state"));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\" data-cookie=\"{cookie}\">\n<head><meta charset=\"utf-8\"><title>Session</title>\n\
         <script src=\"{base}/assets/{script}\"></script></head>\n<body></body>\n</html>\n"
    );
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // It holds nothing of a user.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *",
        ),
    );
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_say_it_is() {
        for (uri, expected) in [
            ("https://App.Example/cb?x=1", Some("https://app.example")),
            ("https://app.example:443/cb", Some("https://app.example")),
            ("http://127.0.0.1:8080/cb", Some("http://127.0.0.1:8080")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("com.example.app:/cb", None),
        ] {
            assert_eq!(origin(uri).as_deref(), expected, "{uri}");
        }
    }
}
