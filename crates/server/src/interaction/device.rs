//! Where a user answers a device: RFC 8628 section 3.3.
//!
//! The user logs in first: who guesses at codes has an account, and a limit of his own (section 5.1). A code is shown again, with
//! what asks, when and from where, and is allowed or denied by a press that no other site can make (section 5.4). What the user
//! allowed before does not count here: the device may be anybody's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use regrant_core::client::GrantType;
use regrant_core::device::{self, Reply, UserCode};
use regrant_core::issue::{self, Ask, SubjectStatus};
use regrant_core::openid::{ClaimsAsked, SCOPE};
use regrant_core::redeem::Consent;
use regrant_core::{Client, OpenId, Refusal};
use regrant_store::{Answer, DeviceRequest, Question, Unavailable};

use super::account::place;
use super::{Visit, described, html, later, rounded_up};
use crate::app::App;
use crate::device::hash;
use crate::form::Form;
use crate::pages::{self, qr};
use crate::peer::Peer;
use crate::request::read_form;
use crate::session::{self, FormKind, LoggedIn};
use crate::sight;
use crate::whereabouts::network;

/// What the login page carries in place of an authorization request.
pub(super) const DEVICE: &str = "device";

const MISTYPED: &str = "device.mistyped_error";
const UNKNOWN: &str = "device.unknown_error";
/// For [`pages::Failure::message`].
const ANSWERED: &str = "error.device_answered";

/// `GET` and `POST /device`.
pub(crate) async fn device(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let form = if parts.method == Method::POST {
        read_form(&visit.headers, body).await
    } else {
        Form::parse(parts.uri.query().unwrap_or_default().as_bytes())
    };
    let response = match form {
        Ok(form) if parts.method == Method::POST => visit.answer_device(&form).await,
        Ok(form) => visit.device(form.text("user_code", 64).ok().flatten().unwrap_or_default()).await,
        Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
    };
    visit.correlation.mark(response)
}

/// Why there is nothing to answer.
enum NoDevice {
    Mistyped,
    Unknown,
    TooMany(std::time::Duration),
    Unavailable(Unavailable),
}

impl From<Unavailable> for NoDevice {
    fn from(trouble: Unavailable) -> Self {
        Self::Unavailable(trouble)
    }
}

impl Visit {
    async fn device(&self, typed: &str) -> Response<Body> {
        let who = match session::current(&self.app, &self.headers).await {
            Ok(Some(who)) => who,
            Ok(None) => return self.login_page(StatusCode::OK, None, &carried(typed), "", None),
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        // A code that another site put into a link is shown, to be sent from here: no site makes a user guess.
        if typed.is_empty() || self.is_from_another_site() {
            return self.device_page(StatusCode::OK, &who, typed, None);
        }
        match self.find(typed, &who).await {
            Ok((code, request, client)) => self.device_confirm(&code, &request, &client, &who),
            Err(none) => self.no_device(typed, &who, none),
        }
    }

    /// As the browser says it (Fetch Metadata Request Headers section 2.3). One that says nothing is as before there was such a header.
    fn is_from_another_site(&self) -> bool {
        self.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
    }

    async fn answer_device(&self, form: &Form) -> Response<Body> {
        let typed = form.text("user_code", 64).ok().flatten().unwrap_or_default();
        let token = form.credential("csrf").unwrap_or_default();
        let who = match session::current(&self.app, &self.headers).await {
            Ok(Some(who)) => who,
            Ok(None) => return self.login_page(StatusCode::OK, None, &carried(typed), "", None),
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        // Bound to the session that was shown this very code (checks W11, W14, W16).
        if !session::is_own_form(&self.app, FormKind::Device, &who.cookie, typed, token) {
            return self.page_error(StatusCode::FORBIDDEN, pages::SESSION_CHANGED, "foreign_form");
        }
        let (_, request, client) = match self.find(typed, &who).await {
            Ok(found) => found,
            Err(none) => return self.no_device(typed, &who, none),
        };
        let reply = if form.credential("decision") == Some("allow") { Reply::Allow } else { Reply::Refuse };
        match self.reply(request, &client, reply, &who).await {
            Ok(Ok(())) => {
                let page = pages::DeviceDone {
                    base: self.app.issuer.path(),
                    client_name: &client.name,
                    allowed: reply == Reply::Allow,
                };
                html(StatusCode::OK, self.voice().device_done(&page), "")
            }
            Ok(Err(refusal)) => self.page_error(StatusCode::CONFLICT, ANSWERED, refusal.as_str()),
            Err(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    /// The device that shows this code, and waits.
    async fn find(&self, typed: &str, who: &LoggedIn) -> Result<(UserCode, DeviceRequest, Arc<Client>), NoDevice> {
        // What cannot be a code is no guess at one.
        let code = UserCode::parse(typed).map_err(|_| NoDevice::Mistyped)?;
        let (limits, rate) = (&self.app.limits, self.app.settings().config.limits.wrong_user_codes);
        limits.before_a_user_code(rate, &who.user.subject, self.peer).map_err(NoDevice::TooMany)?;
        match waiting(&self.app, &code).await? {
            Some((request, client)) => Ok((code, request, client)),
            None => {
                limits.wrong_user_code(rate, &who.user.subject, self.peer);
                Err(NoDevice::Unknown)
            }
        }
    }

    /// One durable commit: the grant, allowed or refused. What was allowed is remembered first, as of any consent.
    async fn reply(
        &self,
        request: DeviceRequest,
        client: &Arc<Client>,
        reply: Reply,
        who: &LoggedIn,
    ) -> Result<Result<(), Refusal>, Unavailable> {
        let asked = request.asked;
        if reply == Reply::Allow {
            let verdict = issue::verdict(&Ask {
                client,
                grant_type: GrantType::DeviceCode,
                subject: SubjectStatus::Enabled,
                scope: Some(&asked.granted.scope),
                resources: &asked.granted.resources,
                held: None,
            });
            if let Err(refusal) = verdict {
                return Ok(Err(refusal));
            }
            let granted = &asked.granted;
            self.remember(client, granted.scope.clone(), &granted.resources, who).await?;
        }
        let consent = Consent {
            subject: who.user.subject.clone(),
            granted: asked.granted.clone(),
            authenticated_at: who.session.authenticated_at,
            // The device is not this browser: it stays connected when the user logs out here.
            session: None,
            epoch: who.epoch,
            openid: asked.granted.scope.contains(SCOPE).then(|| OpenId {
                nonce: None,
                acr: who.session.acr.clone(),
                amr: who.session.amr.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
                claims: ClaimsAsked::default(),
                more: who.session.claims.clone(),
            }),
        };
        let (grant, client) = (asked.grant, Arc::clone(client));
        let answer = device::Answer { asked, reply, consent };
        let outcome = self
            .app
            .engine
            .decide(grant, self.correlation.as_str(), move |row, moment| {
                let row = row.map(|(grant, _)| grant);
                device::answer(row, &answer, &client, moment.keys, moment.now, &moment.entropy)
            })
            .await?;
        if outcome.is_ok() {
            sight::outcome(if reply == Reply::Allow { "device_allowed" } else { "device_refused" });
        }
        Ok(outcome)
    }

    fn no_device(&self, typed: &str, who: &LoggedIn, none: NoDevice) -> Response<Body> {
        match none {
            NoDevice::Mistyped => {
                self.device_page(StatusCode::BAD_REQUEST, who, typed, Some(&self.voice().say(MISTYPED)))
            }
            NoDevice::Unknown => {
                sight::outcome("unknown_user_code");
                self.device_page(StatusCode::BAD_REQUEST, who, typed, Some(&self.voice().say(UNKNOWN)))
            }
            NoDevice::TooMany(wait) => {
                sight::outcome("too_many_wrong_user_codes");
                let seconds = wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1);
                let voice = self.voice();
                let text = voice.say_with("device.wait_error", &[("time", &voice.spoken(rounded_up(seconds)))]);
                later(self.device_page(StatusCode::TOO_MANY_REQUESTS, who, typed, Some(&text)), seconds)
            }
            NoDevice::Unavailable(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    fn device_page(&self, status: StatusCode, who: &LoggedIn, typed: &str, error: Option<&str>) -> Response<Body> {
        // The code that was typed is wrong here, or none yet: the phone begins anew.
        let text = self.app.issuer.url("/device");
        let drawn = qr::drawn(&text);
        let qr = drawn.as_ref().map(|(size, path)| pages::Qr { size: *size, path, text: &text });
        let page =
            pages::Device { base: self.app.issuer.path(), username: &who.user.name, user_code: typed, error, qr };
        html(status, self.voice().device(&page), "")
    }

    fn device_confirm(
        &self,
        code: &UserCode,
        request: &DeviceRequest,
        client: &Client,
        who: &LoggedIn,
    ) -> Response<Body> {
        let user_code = code.text();
        let csrf = session::form_token(&self.app, FormKind::Device, &who.cookie, &user_code);
        let voice = self.voice();
        let scopes = described(&self.app.settings(), &voice, &request.asked.granted.scope);
        let scopes: Vec<pages::ScopeLine<'_>> =
            scopes.iter().map(|(name, description)| pages::ScopeLine { name, description }).collect();
        let resources: Vec<&str> = request.asked.granted.resources.iter().collect();
        let lifetime = super::lifetime_of(&voice, client, &request.asked.granted.scope);
        let page = pages::DeviceConfirm {
            base: self.app.issuer.path(),
            client_name: &client.name,
            username: &who.user.name,
            user_code: &user_code,
            asked_at: &voice.minute(request.asked.asked_at),
            place: &place(&request.place),
            elsewhere: is_elsewhere(self.peer, &request.place.network),
            scopes: &scopes,
            resources: &resources,
            lifetime: &lifetime,
            csrf: &csrf,
        };
        html(StatusCode::OK, voice.device_confirm(&page), "")
    }
}

/// What a device asked for that shows this code and that nobody has answered.
async fn waiting(app: &App, code: &UserCode) -> Result<Option<(DeviceRequest, Arc<Client>)>, Unavailable> {
    let Answer::DeviceRequest(Some(request)) =
        app.engine.ask(Question::DeviceRequestByUserCode(hash(app, code))).await?
    else {
        return Ok(None);
    };
    if request.asked.expires_at.is_over(app.engine.now()) || app.engine.load(request.asked.grant).await?.is_some() {
        return Ok(None);
    }
    Ok(app.settings().clients.get(&request.asked.client).map(|client| (request, client)))
}

/// RFC 8628 section 5.4: whoever sent the code to its victim asked from somewhere else.
fn is_elsewhere(peer: Peer, asked_from: &str) -> bool {
    peer.address.is_some_and(|address| !asked_from.is_empty() && network(address) != asked_from)
}

/// For the login page: what to come back to. Of what was typed only what can be a code.
fn carried(typed: &str) -> String {
    match UserCode::parse(typed) {
        Ok(code) => format!("{DEVICE}?user_code={}", code.text()),
        Err(_) => DEVICE.to_owned(),
    }
}

/// Where a login goes on that began here.
pub(super) fn after_login(app: &App, request: &str) -> Option<String> {
    let rest = request.strip_prefix(DEVICE)?;
    let code = rest.strip_prefix("?user_code=").and_then(|typed| UserCode::parse(typed).ok());
    match code {
        Some(code) => Some(format!("{}/device?user_code={}", app.issuer.path(), code.text())),
        None => rest.is_empty().then(|| format!("{}/device", app.issuer.path())),
    }
}
