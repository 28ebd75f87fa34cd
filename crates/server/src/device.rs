//! The device authorization endpoint: RFC 8628 sections 3.1 and 3.2.
//!
//! One durable commit: what the device asked for. What it polls with is the name of a grant that nobody has given yet
//! (`core/src/device.rs`); where people answer is `interaction/device.rs`.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use regrant_core::client::GrantType;
use regrant_core::device::{self, INTERVAL, LIFETIME, UserCode};
use regrant_core::issue::{self, Ask, SubjectStatus};
use regrant_core::{Client, Decision, Refusal, Resources, Scope, Write};
use regrant_store::beside::Place;
use regrant_store::{DeviceRequest, Outcome, Record};
use serde_json::{Value, json};

use crate::answer::{self, Failure};
use crate::app::{App, Settings};
use crate::chance;
use crate::client_auth;
use crate::correlation::Correlation;
use crate::cors;
use crate::peer::Peer;
use crate::request::post_form;
use crate::sight;

const PATH: &str = "/oauth2/device_authorization";
/// So many user codes are tried before the table is thought to be full.
const TRIES: usize = 3;

/// `POST /oauth2/device_authorization`.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let (origin, peer) = (cors::origin(request.headers()), Peer::of(request.extensions()));
    let settings = app.settings();
    let mut client = None;
    let mut response = match begin(&app, &settings, request, &correlation, &mut client).await {
        Ok(begun) => answer::json(StatusCode::OK, &begun),
        Err(failure) => {
            let failure = app.limits.failed(&app, peer, client.as_deref(), failure);
            failure.answer_to(client.as_deref(), &app, &settings, &correlation)
        }
    };
    cors::allow(&mut response, origin.as_deref(), client.as_deref(), &settings.clients);
    correlation.mark(response)
}

async fn begin(
    app: &App,
    settings: &Settings,
    request: Request,
    correlation: &Correlation,
    client: &mut Option<Arc<Client>>,
) -> Result<Value, Failure> {
    let (parts, form) = post_form(request, "POST, OPTIONS").await?;
    let peer = Peer::of(&parts.extensions);
    // RFC 8628 section 3.1: "The client authentication requirements of Section 3.2.1 of [RFC6749] apply to requests on this
    // endpoint".
    let known = client_auth::read(&parts.headers, &form)??.prove(app, settings, peer, PATH, correlation).await?;
    *client = Some(Arc::clone(&known));
    let scope = form.credential("scope").map(Scope::parse).transpose().map_err(|_| Failure::MalformedScope)?;
    let resources = Resources::new(form.all("resource")).map_err(|_| Failure::MalformedTarget)?;
    let granted = settings.meaningful(issue::verdict(&Ask {
        client: &known,
        grant_type: GrantType::DeviceCode,
        subject: SubjectStatus::None,
        scope: scope.as_ref(),
        resources: &resources,
        held: None,
    })?)?;
    app.limits.device_code(settings.config.limits.device_codes, &known, peer)?;
    // A number of its own, at no write: the grant of that number is made by whoever answers.
    let asking = Arc::clone(&known);
    let (asked, code) = app
        .engine
        .create(correlation.as_str(), move |id, moment| {
            let (asked, code) = device::ask(id, &asking, granted.clone(), moment.keys, moment.now, &moment.entropy);
            let outcome = code.text(moment.keys).map(|text| (asked, text)).ok_or(Refusal::SeedKeyNotYet);
            Decision { write: Write::Nothing, event: None, outcome }
        })
        .await??;
    let place = sight::whereabouts().map_or_else(
        || Place { at: asked.asked_at, network: String::new(), agent: String::new() },
        |from| from.place(asked.asked_at),
    );
    for _ in 0..TRIES {
        let user_code = UserCode::new(chance::bytes());
        let hashed = hash(app, &user_code);
        let request = DeviceRequest { asked: asked.clone(), user_code: hashed, place: place.clone() };
        // Durable before the device hears of it.
        if app.engine.commit(vec![Record::PutDeviceRequest(request)]).await?.first() == Some(&Outcome::Committed) {
            sight::outcome("device_asked");
            return Ok(answered(app, &code, &user_code));
        }
    }
    Err(Failure::Busy)
}

/// RFC 8628 section 3.2.
fn answered(app: &App, device_code: &str, user_code: &UserCode) -> Value {
    let (uri, shown) = (app.issuer.url("/device"), user_code.text());
    json!({
        "device_code": device_code,
        "user_code": shown,
        "verification_uri": uri,
        "verification_uri_complete": format!("{uri}?user_code={shown}"),
        "expires_in": LIFETIME.as_secs(),
        "interval": INTERVAL.as_secs(),
    })
}

/// What the store knows of a user code.
pub(crate) fn hash(app: &App, code: &UserCode) -> [u8; 32] {
    let mut hashed = [0; 32];
    hashed.copy_from_slice(hmac::sign(&app.user_code_key, code.text().as_bytes()).as_ref());
    hashed
}
