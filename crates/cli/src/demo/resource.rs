//! A small protected resource: what a resource server must check of an RFC 9068 access token, and nothing else. Beside it, the page
//! to which browsers are sent back.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use regrant_jose::{Expected, JwkSet, VerifyingKey, verify};
use regrant_server::Clock;
use regrant_server::form::Form;
use serde_json::{Value, json};

use super::Trouble;
use super::exchange::{Ask, Wire};

/// The resource indicator of the demonstration's API.
pub(super) const RESOURCE: &str = "https://api.demo.example/";
/// The scope that reading wants.
const SCOPE: &str = "things.read";

/// What it knows: whom it trusts, by which keys, and the time.
#[derive(Clone)]
pub(super) struct Guard {
    issuer: String,
    keys: Arc<Vec<VerifyingKey>>,
    clock: Arc<RwLock<Clock>>,
}

/// `GET /things`, and `GET /callback`.
pub(super) fn router(guard: Guard) -> Router {
    Router::new().route("/things", get(things)).route("/callback", get(callback)).with_state(guard)
}

async fn things(State(guard): State<Guard>, request: Request) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match guard.accepts(token) {
        Ok(subject) => json_answer(&json!({"things": ["one", "two"], "seen_by": subject})).into_response(),
        Err(why) => {
            // RFC 6750 section 3.1: "The access token provided is expired, revoked, malformed, or invalid for other reasons."
            let why = why.replace('"', "'");
            let challenge =
                [(WWW_AUTHENTICATE, format!("Bearer error=\"invalid_token\", error_description=\"{why}\""))];
            (StatusCode::UNAUTHORIZED, challenge, json_answer(&json!({"error": "invalid_token"}))).into_response()
        }
    }
}

/// What an application does behind the scenes, for people to see. Plain text: what is in the URL is anybody's.
async fn callback(request: Request) -> Response {
    let form = Form::parse(request.uri().query().unwrap_or_default().as_bytes()).ok();
    let code = form.as_ref().and_then(|form| form.credential("code")).filter(|code| !code.contains(char::is_control));
    let text = match code {
        Some(code) => format!(
            "You are back at the application, and it has a code:\n\n{code}\n\nIt is good for 60 seconds and works once. Paste it into the \
             curl line in your terminal that says PASTE_THE_CODE.\n"
        ),
        None => "You are back at the application, and there is no code: the request was denied.\n".to_owned(),
    };
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}

fn json_answer(body: &Value) -> impl axum::response::IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], body.to_string())
}

impl Guard {
    /// Asks the server for its name and its keys over HTTP, as any resource server would.
    pub(super) async fn new(wire: &Wire, clock: Clock) -> Result<Self, Trouble> {
        let metadata = wire.quietly(&Ask::get("/.well-known/oauth-authorization-server")).await?;
        let published = wire.quietly(&Ask::get(&metadata.text("jwks_uri"))).await?;
        let set: JwkSet = serde_json::from_str(&published.body).map_err(Trouble::new)?;
        // One of them is to encrypt to.
        let signing = set.keys.iter().filter(|key| key.usage.as_deref() != Some("enc"));
        let keys = signing.map(VerifyingKey::from_jwk).collect::<Result<_, _>>().map_err(Trouble::new)?;
        Ok(Self { issuer: metadata.text("issuer"), keys: Arc::new(keys), clock: Arc::new(RwLock::new(clock)) })
    }

    /// Goes by another clock from now on.
    pub(super) fn go_by(&self, clock: Clock) {
        *self.clock.write().unwrap_or_else(PoisonError::into_inner) = clock;
    }

    /// RFC 9068 section 4: type, signature, issuer, audience, time; then the scope. The subject, or what is wrong.
    fn accepts(&self, token: &str) -> Result<String, String> {
        let verified = verify(token, "at+jwt", &self.keys).map_err(|error| error.to_string())?;
        let now = self.clock.read().unwrap_or_else(PoisonError::into_inner).now();
        let now = u64::try_from(now.seconds()).map_err(|_| "the clock is wrong".to_owned())?;
        let expected = Expected { issuer: &self.issuer, audience: RESOURCE, now, leeway: 0 };
        expected.check(&verified.claims).map_err(|error| error.to_string())?;
        let word = |name: &str| verified.claims.get(name).and_then(Value::as_str).unwrap_or_default();
        if !word("scope").split(' ').any(|scope| scope == SCOPE) {
            return Err(format!("the scope {SCOPE} is missing"));
        }
        Ok(word("sub").to_owned())
    }
}
