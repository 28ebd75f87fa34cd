//! Check I2 and the sentences of every endpoint's specification about bad requests: five thousand at each, of classes that are named here
//! with the answer that each must have. Every tenth request is honest and succeeds; nothing is ever a 5xx.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use serde_json::json;
use sim::wire::http::basic;
use sim::wire::{CALLBACK, Http, Reply, World, text};

use super::support::{NONCE, known, request, rp, tokens};

/// At each endpoint.
const REQUESTS: usize = 5_000;
/// Connections at once.
const TASKS: usize = 8;
const FORM: &str = "application/x-www-form-urlencoded";

/// A small generator of one's own: the same requests in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next(of.len())]
    }

    /// Text of any characters that a form can say.
    fn noise(&mut self) -> String {
        let length = self.next(40) + 1;
        (0..length).map(|_| char::from_u32(0x21 + self.next(0x5e) as u32).unwrap_or('x')).collect()
    }
}

/// What an answer must be: a status, and an error code where there is one; `None` is a page, or an answer without one.
type Expected = (u16, Option<&'static str>);

/// One request of a class.
struct Asked {
    class: &'static str,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    expected: Expected,
}

impl Asked {
    fn post(class: &'static str, path: &str, parameters: &[(&str, &str)], expected: Expected) -> Self {
        Self::raw(class, path, FORM, regrant_server::form::write(parameters), expected)
    }

    fn raw(class: &'static str, path: &str, media: &str, body: String, expected: Expected) -> Self {
        let headers = vec![("content-type".to_owned(), media.to_owned())];
        Self { class, method: Method::POST, path: path.to_owned(), headers, body, expected }
    }

    fn get(class: &'static str, path: String, expected: Expected) -> Self {
        Self { class, method: Method::GET, path, headers: Vec::new(), body: String::new(), expected }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn send(self, http: &Http) {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = http.send(self.method.clone(), &self.path, &headers, Body::from(self.body.clone())).await;
        let shown = || format!("{}: {} {} {:?}: {}", self.class, self.path, reply.status, self.body, reply.text());
        assert!(reply.status.as_u16() < 500 && !reply.text().contains("<script>"), "{}", shown());
        assert_eq!(
            (reply.status.as_u16(), error(&reply).as_deref()),
            (self.expected.0, self.expected.1),
            "{}",
            shown()
        );
    }
}

/// The code that a client hears: of a body, or of a redirect to it.
fn error(reply: &Reply) -> Option<String> {
    if reply.status == 303 {
        let location = reply.header("location");
        assert!(location.starts_with(CALLBACK), "{location}");
        return sim::wire::browser::parameter(&location.replace('#', "?"), "error");
    }
    let body: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
    body["error"].as_str().map(str::to_owned)
}

/// A world, and what is honest in it.
struct Site {
    world: World,
    access: String,
}

impl Site {
    async fn new() -> Arc<Self> {
        let more = "[[client]]\nid = \"tv\"\ntoken_endpoint_auth_method = \"none\"\n\
             grant_types = [\"urn:ietf:params:oauth:grant-type:device_code\"]\nscopes = [\"openid\"]\n";
        let world = known(&format!("{}\n{more}", rp(""))).await;
        let access = text(&tokens(&world, &[("scope", "openid email")]).await, "access_token");
        Arc::new(Self { world, access })
    }
}

#[derive(Clone, Copy)]
enum Endpoint {
    Token,
    Revoke,
    Introspect,
    Userinfo,
    Device,
    Authorize,
    Logout,
}

/// From several tasks at once, each with its own connections and chance.
async fn disturb(endpoint: Endpoint) {
    let site = Site::new().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                let (http, mut chance) = (site.world.http(), Chance(task as u64 + 1));
                for count in 0..REQUESTS / TASKS {
                    if count % 10 == 0 {
                        endpoint.honest(&site, &http).await;
                    } else {
                        endpoint.malformed(&site, &mut chance).send(&http).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("every answer as it must be");
    }
    let told = text(&tokens(&site.world, &[]).await, "access_token");
    assert!(!told.is_empty(), "and whoever is honest goes on");
}

const SECRET: (&str, &str) = ("client_secret", sim::wire::SECRET);
const RP: (&str, &str) = ("client_id", "rp");

impl Endpoint {
    /// Something that succeeds.
    async fn honest(self, site: &Site, http: &Http) {
        let bearer = format!("Bearer {}", site.access);
        let reply = match self {
            Self::Token => {
                let own = basic("daemon", sim::wire::SECRET);
                http.post("/oauth2/token", &[("grant_type", "client_credentials")], &[("authorization", &own)]).await
            }
            Self::Revoke => http.post("/oauth2/revoke", &[("token", "unknown"), RP, SECRET], &[]).await,
            Self::Introspect => {
                let own = basic("api", sim::wire::SECRET);
                let reply =
                    http.post("/oauth2/introspect", &[("token", &site.access)], &[("authorization", &own)]).await;
                assert_eq!(reply.json()["active"], true, "{}", reply.text());
                reply
            }
            Self::Userinfo => http.get("/oauth2/userinfo", &[("authorization", &bearer)]).await,
            Self::Device => {
                http.post("/oauth2/device_authorization", &[("client_id", "tv"), ("scope", "openid")], &[]).await
            }
            Self::Authorize => http.get(&request("code", &[]), &[]).await,
            Self::Logout => http.get("/oauth2/logout?client_id=rp", &[]).await,
        };
        assert!(matches!(reply.status.as_u16(), 200 | 303), "{}: {}", reply.status, reply.text());
    }

    fn malformed(self, site: &Site, chance: &mut Chance) -> Asked {
        let noise = chance.noise();
        let (invalid_request, invalid_client) = ((400, Some("invalid_request")), (401, Some("invalid_client")));
        match self {
            Self::Token => token(chance, &noise, invalid_request, invalid_client),
            Self::Revoke => match chance.next(6) {
                0 => Asked::post("no token", "/oauth2/revoke", &[RP, SECRET], invalid_request),
                1 => Asked::post(
                    "wrong secret",
                    "/oauth2/revoke",
                    &[("token", "x"), RP, ("client_secret", &noise)],
                    invalid_client,
                ),
                2 => Asked::post(
                    "nobody's client",
                    "/oauth2/revoke",
                    &[("token", "x"), ("client_id", &format!("no-{}", noise.len()))],
                    invalid_client,
                ),
                3 => Asked::get("by GET", "/oauth2/revoke?token=x".to_owned(), (405, Some("invalid_request"))),
                4 => Asked::raw(
                    "twice",
                    "/oauth2/revoke",
                    FORM,
                    "token=a&token=b&client_id=rp".to_owned(),
                    invalid_request,
                ),
                // RFC 7009 section 2.2: "invalid tokens do not cause an error response".
                _ => Asked::post("no token of ours", "/oauth2/revoke", &[("token", &noise), RP, SECRET], (200, None)),
            },
            Self::Introspect => match chance.next(6) {
                0 => Asked::post("no token", "/oauth2/introspect", &[("x", "y")], invalid_request)
                    .with("authorization", &basic("api", sim::wire::SECRET)),
                1 => Asked::post("nobody", "/oauth2/introspect", &[("token", &site.access)], invalid_client),
                2 => Asked::post("wrong secret", "/oauth2/introspect", &[("token", "x")], invalid_client)
                    .with("authorization", &basic("api", &noise)),
                3 => Asked::get("by GET", "/oauth2/introspect".to_owned(), (405, Some("invalid_request"))),
                4 => Asked::raw(
                    "not a form",
                    "/oauth2/introspect",
                    "application/json",
                    json!({"token": noise}).to_string(),
                    invalid_request,
                ),
                _ => Asked::post("no token of ours", "/oauth2/introspect", &[("token", &noise)], (200, None))
                    .with("authorization", &basic("api", sim::wire::SECRET)),
            },
            Self::Userinfo => {
                let get = |class, value: &str, expected| {
                    Asked::get(class, "/oauth2/userinfo".to_owned(), expected).with("authorization", value)
                };
                match chance.next(6) {
                    0 => Asked::get("no token", "/oauth2/userinfo".to_owned(), (401, None)),
                    1 => get("no token of ours", &format!("Bearer {noise}"), (401, Some("invalid_token"))),
                    2 => get("another scheme", &format!("Basic {noise}"), (401, None)),
                    3 => {
                        let cut = site.access.len() - 1 - chance.next(20);
                        get("a token cut off", &format!("Bearer {}", &site.access[..cut]), (401, Some("invalid_token")))
                    }
                    4 => Asked::post(
                        "in two ways",
                        "/oauth2/userinfo",
                        &[("access_token", &site.access)],
                        invalid_request,
                    )
                    .with("authorization", &format!("Bearer {}", site.access)),
                    // RFC 6750 section 2.3 is not taken: a token in a URL is in every log.
                    _ => Asked::get(
                        "in the query",
                        format!("/oauth2/userinfo?access_token={}", site.access),
                        (401, None),
                    ),
                }
            }
            Self::Device => {
                let post = |class, parameters: &[(&str, &str)], expected| {
                    Asked::post(class, "/oauth2/device_authorization", parameters, expected)
                };
                match chance.next(5) {
                    0 => post("nobody", &[("scope", "openid")], invalid_client),
                    1 => post("nobody's client", &[("client_id", &format!("no-{}", noise.len()))], invalid_client),
                    2 => post("not its grant type", &[RP, SECRET], (400, Some("unauthorized_client"))),
                    3 => post(
                        "a scope that it may not have",
                        &[("client_id", "tv"), ("scope", "nobodys")],
                        (400, Some("invalid_scope")),
                    ),
                    _ => {
                        Asked::get("by GET", "/oauth2/device_authorization".to_owned(), (405, Some("invalid_request")))
                    }
                }
            }
            Self::Authorize => authorize(chance, &noise),
            Self::Logout => {
                let get = |class, parameters: &[(&str, &str)]| {
                    let query = regrant_server::form::write(parameters);
                    Asked::get(class, format!("/oauth2/logout?{query}"), (400, None))
                };
                match chance.next(4) {
                    0 => get("no ID token of ours", &[("id_token_hint", &noise)]),
                    1 => get("nobody's client", &[("client_id", &format!("no-{}", noise.len()))]),
                    2 => get(
                        "to nowhere",
                        &[RP, ("post_logout_redirect_uri", &format!("https://evil.example/{}", noise.len()))],
                    ),
                    _ => get("to a place of nobody's", &[("post_logout_redirect_uri", CALLBACK)]),
                }
            }
        }
    }
}

fn token(chance: &mut Chance, noise: &str, invalid_request: Expected, invalid_client: Expected) -> Asked {
    let path = "/oauth2/token";
    let post = |class, parameters: &[(&str, &str)], expected| {
        Asked::post(class, path, &[&[RP, SECRET], parameters].concat(), expected)
    };
    let refresh = ("grant_type", "refresh_token");
    match chance.next(13) {
        0 => post("no grant type", &[("x", noise)], invalid_request),
        1 => post("an unknown grant type", &[("grant_type", noise)], (400, Some("unsupported_grant_type"))),
        2 => post("no refresh token", &[refresh], invalid_request),
        3 => post("no token of ours", &[refresh, ("refresh_token", noise)], (400, Some("invalid_grant"))),
        4 => post(
            "no code of ours",
            &[("grant_type", "authorization_code"), ("code", noise)],
            (400, Some("invalid_grant")),
        ),
        5 => post("no code", &[("grant_type", "authorization_code")], invalid_request),
        6 => Asked::post(
            "wrong secret",
            path,
            &[refresh, ("refresh_token", "x"), RP, ("client_secret", noise)],
            invalid_client,
        ),
        7 => Asked::post(
            "nobody's client",
            path,
            &[refresh, ("refresh_token", "x"), ("client_id", "nobodys")],
            invalid_client,
        ),
        8 => Asked::raw(
            "twice",
            path,
            FORM,
            format!("grant_type=refresh_token&grant_type={}", noise.len()),
            invalid_request,
        ),
        9 => Asked::raw(
            "not a form",
            path,
            "application/json",
            json!({"grant_type": noise}).to_string(),
            invalid_request,
        ),
        10 => {
            let body =
                format!("grant_type=refresh_token&refresh_token={}", chance.pick(&["%zz", "%f", "%", "a%", "%%41"]));
            Asked::raw("bad escapes", path, FORM, body, invalid_request)
        }
        11 => Asked::get("by GET", path.to_owned(), (405, Some("invalid_request"))),
        _ => Asked::post(
            "not its grant type",
            path,
            &[("grant_type", "password"), ("username", "a"), ("password", noise), RP, SECRET],
            (400, Some("unauthorized_client")),
        ),
    }
}

fn authorize(chance: &mut Chance, noise: &str) -> Asked {
    let back = |class, more: &[(&str, &str)], code| Asked::get(class, request("code", more), (303, Some(code)));
    let page = |class, more: &[(&str, &str)]| Asked::get(class, request("code", more), (400, None));
    match chance.next(14) {
        0 => page("nobody's client", &[("client_id", &format!("no-{}", noise.len()))]),
        1 => page("to nowhere", &[("redirect_uri", &format!("https://evil.example/{}", noise.len()))]),
        2 => page(
            "to almost there",
            &[("redirect_uri", &format!("{CALLBACK}{}", chance.pick(&["/", "?x", "#y", "%20", "//"])))],
        ),
        3 => back("no response type", &[("response_type", "")], "invalid_request"),
        4 => back("an unknown response type", &[("response_type", noise)], "unsupported_response_type"),
        5 => back("a scope that it may not have", &[("scope", "openid regrant.admin")], "invalid_scope"),
        6 => back("prompt", &[("prompt", "none login")], "invalid_request"),
        7 => back("max_age", &[("max_age", chance.pick(&["-1", "x", "1.5", "1e3"]))], "invalid_request"),
        8 => back("a request object that is none", &[("request", noise)], "invalid_request_object"),
        9 => back("a request object that does not open", &[("request", "e30.a.a.a.a")], "invalid_request_object"),
        10 => back("a request_uri of nobody's", &[("request_uri", "https://evil.example/x")], "invalid_request_uri"),
        11 => back(
            "claims",
            &[("claims", chance.pick(&["x", "[]", "{\"userinfo\":1}", "{\"a\":1,\"a\":2}"]))],
            "invalid_request",
        ),
        12 => back("an ID token of nobody's", &[("id_token_hint", noise)], "invalid_request"),
        _ => Asked::get(
            "nobody is logged in",
            request("code", &[("prompt", "none"), ("nonce", NONCE)]),
            (303, Some("login_required")),
        ),
    }
}

/// Checks R, I2, C3, C10: `/oauth2/token`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_token_endpoint() {
    disturb(Endpoint::Token).await;
}

/// Check I2: `/oauth2/revoke`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_revocation_endpoint() {
    disturb(Endpoint::Revoke).await;
}

/// Checks I2, O1, O2: `/oauth2/introspect`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_introspection_endpoint() {
    disturb(Endpoint::Introspect).await;
}

/// Check I2: `/oauth2/userinfo`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_userinfo_endpoint() {
    disturb(Endpoint::Userinfo).await;
}

/// Checks I2, X9: `/oauth2/device_authorization`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_device_endpoint() {
    disturb(Endpoint::Device).await;
}

/// Checks I2, R6, R13: `/oauth2/authorize`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_authorization_endpoint() {
    disturb(Endpoint::Authorize).await;
}

/// Checks I2, R7: `/oauth2/logout`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_at_the_end_of_sessions() {
    disturb(Endpoint::Logout).await;
}
