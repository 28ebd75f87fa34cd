//! Requests that are wrong in some way: pieces of right ones and of known attacks, put together by dice.

use std::sync::LazyLock;

use regrant_server::admin;

use crate::process::Dice;
use crate::wire::{CALLBACK, CHALLENGE, SECRET, VERIFIER, http};

const POST: &[&str] = &["POST", "POST", "POST", "POST", "POST", "GET", "PUT", "OPTIONS", "HEAD"];
const BOTH: &[&str] = &["GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "DELETE"];
const GET: &[&str] = &["GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PATCH"];
const ALL: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND"];

/// A route, and what an honest request to it carries: some of that is changed.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// As the router has it; what is in braces is replaced by something.
    pub path: &'static str,
    methods: &'static [&'static str],
    form: &'static [(&'static str, &'static str)],
    json: &'static str,
}

const fn endpoint(
    path: &'static str,
    methods: &'static [&'static str],
    form: &'static [(&'static str, &'static str)],
) -> Endpoint {
    Endpoint { path, methods, form, json: "" }
}

const AUTHORIZATION: &[(&str, &str)] = &[
    ("response_type", "code"),
    ("client_id", "phone"),
    ("redirect_uri", CALLBACK),
    ("scope", "openid read"),
    ("state", "s"),
    ("nonce", "n"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];
const REFRESH: &[(&str, &str)] =
    &[("grant_type", "refresh_token"), ("client_id", "phone-strict"), ("refresh_token", "rgr_0")];
const CODE: &[(&str, &str)] = &[
    ("grant_type", "authorization_code"),
    ("client_id", "once"),
    ("code", "rgc_0"),
    ("redirect_uri", CALLBACK),
    ("code_verifier", VERIFIER),
];
const PAGE: &[(&str, &str)] =
    &[("request", "response_type=code"), ("csrf", "x"), ("username", "alice"), ("decision", "allow")];
const REGISTRATION: &str = r#"{"redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],"token_endpoint_auth_method":"none","scope":"read"}"#;
const GLOBAL: &str = r#"{"sub_id":{"format":"iss_sub","iss":"https://as.example","sub":"usr_1"}}"#;

/// All endpoints of the main listener but the admin API's, each of which is `/admin/v1`.
pub const ENDPOINTS: [Endpoint; 31] = [
    endpoint("/oauth2/authorize", BOTH, AUTHORIZATION),
    endpoint("/login", POST, PAGE),
    endpoint("/consent", POST, PAGE),
    endpoint("/select", POST, PAGE),
    endpoint("/interaction", GET, &[("verifier", "x")]),
    endpoint("/logout", BOTH, &[("csrf", "x"), ("request", "x")]),
    endpoint("/device", BOTH, &[("user_code", "BCDF-GHJK"), ("csrf", "x")]),
    endpoint("/account", BOTH, &[("csrf", "x"), ("action", "end"), ("grant", "1")]),
    endpoint("/account/history", GET, &[("cursor", "x")]),
    endpoint("/oauth2/logout", BOTH, &[("id_token_hint", "e30.e30."), ("post_logout_redirect_uri", CALLBACK)]),
    endpoint("/oauth2/check-session", GET, &[]),
    endpoint("/oauth2/device_authorization", POST, &[("client_id", "phone"), ("scope", "read")]),
    endpoint("/oauth2/token", POST, REFRESH),
    endpoint("/oauth2/token", POST, CODE),
    endpoint(
        "/oauth2/revoke",
        POST,
        &[("client_id", "phone"), ("token", "rgr_0"), ("token_type_hint", "refresh_token")],
    ),
    endpoint("/oauth2/introspect", POST, &[("token", "rga_0"), ("token_type_hint", "access_token")]),
    Endpoint { path: "/oauth2/global-revoke", methods: POST, form: &[], json: GLOBAL },
    endpoint("/oauth2/userinfo", BOTH, &[("access_token", "rga_0")]),
    endpoint("/oauth2/revocations", GET, &[("after", "0")]),
    endpoint("/oauth2/status-lists/{name}", GET, &[]),
    Endpoint { path: "/oauth2/register", methods: POST, form: &[], json: REGISTRATION },
    Endpoint { path: "/oauth2/register/{id}", methods: ALL, form: &[], json: REGISTRATION },
    endpoint("/oauth2/jwks", GET, &[]),
    endpoint("/.well-known/oauth-authorization-server", GET, &[]),
    endpoint("/.well-known/openid-configuration", GET, &[]),
    endpoint("/assets/{file}", GET, &[]),
    endpoint("/reasons", GET, &[]),
    endpoint("/", GET, &[]),
    endpoint("/healthz", GET, &[]),
    endpoint("/readyz", GET, &[]),
    Endpoint { path: "/admin/v1", methods: ALL, form: &[], json: r#"{"name":"x","username":"x","all":false}"# },
];

const NAMES: [&str; 26] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "resource",
    "code",
    "token",
    "refresh_token",
    "redirect_uri",
    "response_type",
    "response_mode",
    "prompt",
    "max_age",
    "claims",
    "request",
    "request_uri",
    "id_token_hint",
    "ui_locales",
    "client_assertion",
    "client_assertion_type",
    "username",
    "device_code",
    "",
    "%00",
    "%",
    "a[]",
];
const VALUES: [&str; 34] = [
    "",
    "%",
    "%FF%FE",
    "%00",
    "%0d%0aset-cookie:%20a=b",
    "+",
    "a b",
    "..%2f..%2fetc%2fpasswd",
    "'--",
    "{}",
    "{\"id_token\":{\"sub\":{\"value\":7}}}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "refresh_token",
    "authorization_code",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "web",
    "phone-strict",
    "daemon",
    "nobody",
    "https://app.example/cb",
    "https://app.example/cb%23",
    "javascript:alert(1)",
    "//evil.example",
    "none",
    "login consent",
    "-1",
    "1e400",
    "9007199254740993",
    "eyJhbGciOiJub25lIn0.e30.",
    "e30.e30.e30.e30.e30",
    "rgr_0",
    "<script>alert(1)</script>",
];
const JSON: [&str; 14] = [
    "{",
    "null",
    "[]",
    "\"\\ud800\"",
    "{}{}",
    "{\"a\":1,\"a\":2}",
    "{\"redirect_uris\":7}",
    "{\"redirect_uris\":[\"javascript:alert(1)\"]}",
    "{\"jwks_uri\":\"http://169.254.169.254/\",\"redirect_uris\":[\"https://a.example/\"]}",
    "{\"client_name\":\"\\u0000\\r\\n\"}",
    "{\"exp\":1e400}",
    "{\"jwks\":{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}}",
    "\u{fffe}",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}}}}}",
];
const TYPES: [&str; 8] = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-7",
    "application/json",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
];
const HEADERS: [&str; 22] = [
    "authorization: Basic",
    "authorization: Basic eDp5",
    "authorization: Basic d2ViLXNpbmdsZTo=",
    "authorization: Bearer",
    "authorization: Bearer e30.e30.",
    "authorization: Bearer rga_0",
    "authorization: DPoP e30.e30.",
    "authorization: Digest x",
    "cookie: __Host-session=x; session=\"",
    "cookie: =; ; a=b=c",
    "dpop: e30.e30.e30",
    "origin: https://evil.example",
    "origin: null",
    "referer: https://evil.example/",
    "accept-language: x-*-*, en;q=9",
    "accept: application/token-introspection+jwt, */*;q=zz",
    "idempotency-key: \u{e9}",
    "if-match: \"",
    "content-encoding: gzip",
    "expect: 100-continue",
    "forwarded: for=\"[::1]:x\"",
    "x-forwarded-for: 1.2.3.4, ::, x",
];
const HEADS: [&str; 10] = [
    "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /oauth2/token HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n",
    "POST /oauth2/token HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /oauth2/token HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n",
    "POST /oauth2/token HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "GET /\u{0} HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n folded: x\r\n\r\n",
    "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
];

impl Endpoint {
    /// A request, from dice. `live` is a refresh token that works: a piece of it may be in there, never the whole.
    #[must_use]
    pub fn request(&self, host: &str, bearer: &str, live: &str, dice: &mut Dice) -> Vec<u8> {
        if dice.one_in(200) {
            return pick(&HEADS, dice).as_bytes().to_vec();
        }
        let method = pick(self.methods, dice);
        let path = self.place(dice);
        let parameters = self.parameters(live, dice);
        let (in_query, in_body) = match method {
            "GET" | "HEAD" => (true, dice.one_in(8)),
            _ => (dice.one_in(8), true),
        };
        let query = if in_query { format!("?{}", String::from_utf8_lossy(&parameters)) } else { String::new() };
        // What is no character of a URL would be another request.
        let query: String = query.chars().filter(char::is_ascii_graphic).collect();
        let is_json = !self.json.is_empty() && !dice.one_in(6);
        let body = match (in_body, is_json) {
            (false, _) => Vec::new(),
            (true, true) => self.document(dice),
            (true, false) => parameters,
        };
        let media = if is_json && !dice.one_in(6) { "application/json" } else { pick(&TYPES, dice) };
        let mut head = format!("{method} {path}{query} HTTP/1.1\r\nhost: {host}\r\n");
        if !media.is_empty() {
            head.push_str(&format!("content-type: {media}\r\n"));
        }
        // Behind the door is where most of the code is.
        let known = match self.path {
            "/admin/v1" => Some(bearer.to_owned()),
            "/oauth2/introspect" | "/oauth2/revocations" | "/oauth2/global-revoke" => Some(http::basic("api", SECRET)),
            _ => None,
        };
        if let Some(known) = known.filter(|_| !dice.one_in(4)) {
            head.push_str(&format!("authorization: {known}\r\n"));
        }
        for _ in 0..dice.below(3) {
            head.push_str(pick(&HEADERS, dice));
            head.push_str("\r\n");
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        [head.into_bytes(), body].concat()
    }

    fn place(&self, dice: &mut Dice) -> String {
        let odd = ["x", "%00", "%0d%0a", "%ff", "..%2f..", "%2e%2e", "a%2fb", "'%20OR%201", "%F0%9F%A6%80", "1"];
        if self.path == "/admin/v1" {
            static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
                let document = admin::api::document();
                document["paths"].as_object().map(|paths| paths.keys().cloned().collect()).unwrap_or_default()
            });
            return with_names(&PATHS[dice.below(PATHS.len())], &odd, dice);
        }
        let path = with_names(self.path, &odd, dice);
        match dice.below(60) {
            0 => format!("{path}/"),
            1 => format!("/{path}"),
            2 => format!("{path}%00"),
            3 => format!("/.{path}"),
            _ => path,
        }
    }

    /// An honest form with something about it, or pieces.
    fn parameters(&self, live: &str, dice: &mut Dice) -> Vec<u8> {
        let mut parameters: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        if !dice.one_in(3) {
            parameters.extend(self.form.iter().map(|(name, value)| (name.as_bytes().to_vec(), encoded(value))));
        }
        for _ in 0..dice.between(1, 4) {
            let value = match dice.below(6) {
                0 => (0..dice.below(64)).map(|_| dice.next() as u8).collect(),
                1 => live.as_bytes()[..dice.below(live.len())].to_vec(),
                2 => pick(&VALUES, dice).repeat(dice.below(40)).into_bytes(),
                _ => pick(&VALUES, dice).as_bytes().to_vec(),
            };
            let at = dice.below(parameters.len() + 1);
            if at == parameters.len() || dice.one_in(4) {
                parameters.insert(at, (pick(&NAMES, dice).as_bytes().to_vec(), value));
            } else if dice.one_in(8) {
                parameters.remove(at);
            } else {
                parameters[at].1 = value;
            }
        }
        let mut written = Vec::new();
        for (name, value) in parameters {
            written.extend(name);
            written.push(b"========&;"[dice.below(10)]);
            written.extend(value);
            written.push(b'&');
        }
        written
    }

    fn document(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.json.as_bytes().to_vec();
        match dice.below(4) {
            0 => return pick(&JSON, dice).as_bytes().to_vec(),
            1 => bytes.truncate(dice.below(bytes.len())),
            2 => {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
            _ => {
                let from = dice.below(bytes.len());
                let piece: Vec<u8> = bytes[from..].iter().copied().take(16).collect();
                bytes.splice(from..from, piece);
            }
        }
        bytes
    }
}

fn pick<'a>(of: &[&'a str], dice: &mut Dice) -> &'a str {
    of[dice.below(of.len())]
}

fn with_names(path: &str, odd: &[&str], dice: &mut Dice) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { pick(odd, dice) } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn encoded(value: &str) -> Vec<u8> {
    value.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace(' ', "+").into_bytes()
}
