//! What people see: login, consent, logout, and the error page. Plain HTML; nothing here needs a script. Or what the operator's own
//! application shows them (`elsewhere.rs`): what is asked, and what an answer leads to, is the same (`core/src/interaction.rs`).
//!
//! The state of an interaction is the authorization request itself, carried by the page and read again, whole, at each step:
//! there is nothing to expire, to fill up, or to be taken over by another browser. Redirects are 303 (RFC 9700 section 4.12).

mod account;
mod answer;
mod came;
mod device;
pub(crate) mod elsewhere;
mod end_session;
mod login;
mod remembered;
pub(crate) mod sealed;
mod select;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use regrant_core::interaction::{self, Kind, Rejection, Reply, Rules, Then};
use regrant_core::openid::ACR_PASSWORD;
use regrant_core::prompt::{self, Next, Present};
use regrant_core::redeem;
use regrant_core::{Client, Event, EventKind, Scope, Timestamp, redirect};
use regrant_store::{EventRecord, Record, Unavailable};

use crate::app::{App, Settings};
use crate::authorize::{AuthorizationRequest, Denied, Destination, MAX_REQUEST, Wrong, source};
use crate::config::{BUILT_IN_SCOPES, ScopeSetting};
use crate::correlation::Correlation;
use crate::form::Form;
use crate::outbound::check_link;
use crate::pages::{self, Language, Voice};
use crate::peer::Peer;
use crate::request::{is_form, read_form};
use crate::request_object;
use crate::session::{self, FormKind, LoggedIn};
use crate::sight;
use crate::subject;

pub(crate) use account::{account, history};
pub(crate) use device::device;
pub(crate) use elsewhere::answered;
pub(crate) use end_session::end_session;

/// One request of a browser.
struct Visit {
    app: Arc<App>,
    headers: HeaderMap,
    /// The request that it is about, as it came: for the language of whatever is said.
    about: String,
    peer: Peer,
    correlation: Correlation,
}

/// `GET` and `POST /oauth2/authorize`.
pub(crate) async fn authorize(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let response = if parts.method == Method::POST {
        // RFC 6749 section 3.1: POST is for requests that do not fit a URL. Ours fit, and a GET carries the cookies.
        match read_body(&visit.headers, body, MAX_REQUEST).await {
            Some(query) => {
                let query = came::printable(&query);
                visit.redirect(&format!("{}/oauth2/authorize?{query}", visit.app.issuer.path()))
            }
            _ => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_request"),
        }
    } else {
        visit.authorize(parts.uri.query().unwrap_or_default()).await
    };
    visit.correlation.mark(response)
}

/// `POST /login`.
pub(crate) async fn login(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut visit = Visit::of(app, &parts);
    let response = match read_form(&visit.headers, body).await {
        Ok(form) => visit.about(&form).login(&form).await,
        Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
    };
    visit.correlation.mark(response)
}

/// `POST /consent`.
pub(crate) async fn consent(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut visit = Visit::of(app, &parts);
    let response = match read_form(&visit.headers, body).await {
        Ok(form) => visit.about(&form).consent(&form).await,
        Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
    };
    visit.correlation.mark(response)
}

/// `POST /select`.
pub(crate) async fn select(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut visit = Visit::of(app, &parts);
    let response = match read_form(&visit.headers, body).await {
        Ok(form) => visit.about(&form).select(&form).await,
        Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
    };
    visit.correlation.mark(response)
}

/// `GET` and `POST /logout`.
pub(crate) async fn logout(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut visit = Visit::of(app, &parts);
    let response = if parts.method == Method::POST {
        match read_form(&visit.headers, body).await {
            Ok(form) => visit.about(&form).logout(&form).await,
            Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
        }
    } else {
        visit.ask_to_log_out().await
    };
    visit.correlation.mark(response)
}

/// `GET /`.
pub(crate) async fn home(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let username = session::current_name(&app, request.headers()).await;
    let page = pages::Home { base: app.issuer.path(), issuer: app.issuer(), username: username.as_deref() };
    html(StatusCode::OK, voice(&app, request.headers(), "").home(&page), "")
}

/// Every path that is none of ours.
pub(crate) async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let visit = Visit::of(app, &request.into_parts().0);
    let response = visit.own_page_error(StatusCode::NOT_FOUND, pages::NOT_FOUND, "not_found");
    visit.correlation.mark(response)
}

impl Visit {
    fn of(app: Arc<App>, parts: &Parts) -> Self {
        let (headers, peer) = (parts.headers.clone(), Peer::of(&parts.extensions));
        let about = parts.uri.query().unwrap_or_default().to_owned();
        Self { app, headers, about, peer, correlation: sight::correlation() }
    }

    /// The same, about the request that a form carries.
    fn about(&mut self, form: &Form) -> &Self {
        form.credential("request").unwrap_or_default().clone_into(&mut self.about);
        self
    }

    /// Speaks to this browser.
    fn voice(&self) -> Voice {
        voice(&self.app, &self.headers, &self.about)
    }

    /// One step of an authorization: whatever is missing is asked for; nothing missing, the answer goes to the client.
    async fn authorize(&self, query: &str) -> Response<Body> {
        let (query, proof) = came::split(query);
        let query = match request_object::effective(&self.app, query, &self.correlation).await {
            Ok(None) => Cow::Borrowed(query),
            Ok(Some(effective)) => Cow::Owned(effective),
            // Without the object only what stands outside of it says where an answer may go.
            Err(denied) => return self.refuse_object(query, &denied),
        };
        self.proceed(&query, proof).await
    }

    /// A request object that does not count.
    fn refuse_object(&self, query: &str, denied: &Denied) -> Response<Body> {
        match Destination::read(&self.app, query) {
            Ok(to) => self.deny(&to, denied),
            Err(_) => self.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, denied.error),
        }
    }

    /// The same for a request that is whole.
    async fn proceed(&self, query: &str, proof: Option<&str>) -> Response<Body> {
        let request = match AuthorizationRequest::read(&self.app, query) {
            Ok(request) => request,
            Err(Wrong::Page(message, reason)) => return self.page_error(StatusCode::BAD_REQUEST, message, reason),
            Err(Wrong::Redirect(to, denied)) => return self.deny(&to, &denied),
        };
        match self.step(&request, query, proof).await {
            Ok(response) => response,
            Err(trouble) => {
                tracing::error!(correlation = %self.correlation, %trouble, "the store failed during an authorization");
                self.denied(&request, &Denied::UNAVAILABLE)
            }
        }
    }

    async fn step(
        &self,
        request: &AuthorizationRequest,
        query: &str,
        proof: Option<&str>,
    ) -> Result<Response<Body>, Unavailable> {
        let who = session::current(&self.app, &self.headers).await?;
        let present = match &who {
            None => None,
            Some(who) => {
                let sub = subject::told(&self.app, &request.client, &who.user.subject);
                let (came, came_at) = came::from(&self.app, &who.cookie, query, proof);
                Some(Present {
                    authenticated_at: who.session.authenticated_at,
                    is_named: request.wishes.named.iter().all(|named| *named == sub),
                    is_strong: request.wishes.acrs.is_empty() || request.wishes.acrs.contains(&who.session.acr),
                    consented: self.is_consented(request, who).await?,
                    came,
                    came_at,
                })
            }
        };
        match (prompt::next(request.prompt, request.max_age(), present, self.app.engine.now()), who) {
            (Next::LoginRequired, _) => Ok(self.denied(request, &Denied::LOGIN_REQUIRED)),
            (Next::ConsentRequired, _) => Ok(self.denied(request, &Denied::CONSENT_REQUIRED)),
            (Next::Unmet, _) => Ok(self.denied(request, &Denied::UNMET)),
            (Next::Select, Some(who)) => Ok(self.select_page(request, query, &who)),
            (Next::Consent, Some(who)) => Ok(self.consent_page(request, query, &who)),
            (Next::Answer, Some(who)) => self.grant(request, &who).await,
            (Next::Login, _) | (Next::Select | Next::Consent | Next::Answer, None) => {
                Ok(self.login_page(StatusCode::OK, Some(request), query, &request.wishes.login_hint, None))
            }
        }
    }

    /// Whether this user need not be asked: the client is trusted, or all of it was allowed before.
    async fn is_consented(&self, request: &AuthorizationRequest, who: &LoggedIn) -> Result<bool, Unavailable> {
        if request.client.skip_consent {
            return Ok(true);
        }
        // RFC 8252 section 8.6: "unless the identity of the client can be proven, the request SHOULD be processed as if no
        // previous request had been approved": any program on the device could be this client.
        if request.client.is_public() && !request.to.redirect_uri.starts_with("https://") {
            return Ok(false);
        }
        let Some(known) = self.remembered(&request.client, who).await? else { return Ok(false) };
        Ok(request.asks_for().is_within(&known.scope) && request.granted.resources.is_within(&known.resources))
    }

    /// Allow or deny was pressed.
    async fn consent(&self, form: &Form) -> Response<Body> {
        let query = form.credential("request").unwrap_or_default();
        let token = form.credential("csrf").unwrap_or_default();
        let who = match session::current(&self.app, &self.headers).await {
            Ok(Some(who)) => who,
            Ok(None) => return self.authorize(query).await,
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        // Bound to the session that was shown the page: a page of another user decides nothing (check W16).
        let Some(shown_at) = came::proved_at(&self.app, FormKind::Consent, &who.cookie, query, token) else {
            return self.page_error(StatusCode::FORBIDDEN, pages::SESSION_CHANGED, "foreign_form");
        };
        let request = match AuthorizationRequest::read(&self.app, query) {
            Ok(request) => request,
            Err(Wrong::Page(message, reason)) => return self.page_error(StatusCode::BAD_REQUEST, message, reason),
            Err(Wrong::Redirect(to, denied)) => return self.deny(&to, &denied),
        };
        // A login that the client wanted to be of this moment is not one of an hour ago, when somebody went away from this page.
        let wants_it_fresh = request.prompt.login || request.max_age().is_some();
        if wants_it_fresh && self.app.engine.now().since(shown_at) > prompt::JUST_NOW {
            return self.authorize(query).await;
        }
        if self.app.settings().config.interactions.consent.is_some() {
            // Whoever asks now is somebody else: this page was shown before.
            return self.consent_page(&request, query, &who);
        }
        let reply = match form.credential("decision") {
            Some("allow") => Reply::Allowed(request.asks_for()),
            _ => Reply::Rejected(Rejection::AccessDenied),
        };
        let now = self.app.engine.now();
        match interaction::then(&own_page(Kind::Consent, &request.asks_for(), now), reply, now) {
            Ok(Then::Answer(_)) => self.allow(&request, &who, true).await,
            _ => self.denied(&request, &Denied::ACCESS),
        }
    }

    /// The user allows what the request asks for.
    async fn allow(&self, request: &AuthorizationRequest, who: &LoggedIn, is_remembered: bool) -> Response<Body> {
        match self.remember_and_grant(request, who, is_remembered).await {
            Ok(response) => response,
            Err(trouble) => {
                tracing::error!(correlation = %self.correlation, %trouble, "the store failed during a consent");
                self.denied(request, &Denied::UNAVAILABLE)
            }
        }
    }

    async fn remember_and_grant(
        &self,
        request: &AuthorizationRequest,
        who: &LoggedIn,
        is_remembered: bool,
    ) -> Result<Response<Body>, Unavailable> {
        if is_remembered {
            self.remember(&request.client, request.asks_for(), &request.granted.resources, who).await?;
        }
        sight::outcome("consented");
        self.note(EventKind::Consent, &who.user.subject, Some(request)).await;
        self.grant(request, who).await
    }

    fn login_page(
        &self,
        status: StatusCode,
        request: Option<&AuthorizationRequest>,
        query: &str,
        username: &str,
        error: Option<&str>,
    ) -> Response<Body> {
        if let Some(url) = &self.app.settings().config.interactions.login {
            return self.challenge(url, Kind::Login, query, None);
        }
        let (cookie, set) = session::browser(&self.app, &self.headers);
        let csrf = session::form_token(&self.app, FormKind::Login, &cookie, query);
        let client_name = request.map_or("", |request| request.client.name.as_str());
        let page =
            pages::Login { base: self.app.issuer.path(), client_name, request: query, csrf: &csrf, username, error };
        let action = self.form_action(request.map(|request| &request.to));
        let mut response = html(status, voice(&self.app, &self.headers, query).login(&page), &action);
        if let Some(set) = set {
            response.headers_mut().append(SET_COOKIE, set);
        }
        response
    }

    fn consent_page(&self, request: &AuthorizationRequest, query: &str, who: &LoggedIn) -> Response<Body> {
        if let Some(url) = &self.app.settings().config.interactions.consent {
            return self.challenge(url, Kind::Consent, query, Some(who));
        }
        let csrf = came::proof(&self.app, FormKind::Consent, &who.cookie, query);
        let voice = voice(&self.app, &self.headers, query);
        let scopes = described(&self.app.settings(), &voice, &request.asks_for());
        let scopes: Vec<pages::ScopeLine<'_>> =
            scopes.iter().map(|(name, description)| pages::ScopeLine { name, description }).collect();
        let resources: Vec<&str> = request.granted.resources.iter().collect();
        let lifetime = lifetime(&voice, request);
        let profile = self.app.settings().clients.profile(&request.client.id);
        let links = profile.map(|profile| profile.links.clone()).unwrap_or_default();
        let page = pages::Consent {
            base: self.app.issuer.path(),
            client_name: &request.client.name,
            client_host: redirect::shown(&request.to.redirect_uri),
            username: &who.user.name,
            scopes: &scopes,
            resources: &resources,
            lifetime: &lifetime,
            links: &links,
            request: query,
            csrf: &csrf,
        };
        let mut response = html(StatusCode::OK, voice.consent(&page), &self.form_action(Some(&request.to)));
        show_image(&mut response, links.logo.as_deref());
        response
    }

    /// Where a form's redirects may lead: to the client, and to the operator's own pages.
    fn form_action(&self, to: Option<&Destination>) -> String {
        let settings = self.app.settings();
        let own = settings.config.interactions.urls().map(|url| source(&url.to_string()));
        let mut sources: Vec<String> = to.map(Destination::form_action).into_iter().chain(own).collect();
        sources.dedup();
        sources.join(" ")
    }

    /// RFC 9700 section 4.12: "the authorization server MUST use HTTP status code 303".
    fn redirect(&self, url: &str) -> Response<Body> {
        let Ok(location) = HeaderValue::try_from(url) else {
            return self.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "unprintable_location");
        };
        let mut response = html(StatusCode::SEE_OTHER, String::new(), "");
        response.headers_mut().insert(LOCATION, location);
        response
    }

    /// What went wrong where there is nobody but the user to tell it to: by our own page, or the operator's.
    fn page_error(&self, status: StatusCode, message: &'static str, reason: &'static str) -> Response<Body> {
        match &self.app.settings().config.interactions.error {
            Some(url) => self.told_elsewhere(url, status, message, reason),
            None => self.own_page_error(status, message, reason),
        }
    }

    fn own_page_error(&self, status: StatusCode, message: &'static str, reason: &'static str) -> Response<Body> {
        sight::outcome(reason);
        tracing::debug!(correlation = %self.correlation, status = status.as_u16(), reason, "error page");
        let voice = self.voice();
        let (title, message) = (failure_title(&voice, status), voice.say(message));
        let page = pages::Failure {
            base: self.app.issuer.path(),
            title: &title,
            message: &message,
            correlation: self.correlation.as_str(),
        };
        html(status, voice.failure(&page), "")
    }

    fn unavailable(&self, reason: &str) -> Response<Body> {
        tracing::error!(correlation = %self.correlation, reason, "the store failed");
        let response = self.page_error(StatusCode::SERVICE_UNAVAILABLE, pages::UNAVAILABLE, "store_unavailable");
        later(response, 1)
    }

    /// A query again, in the characters that a URI has.
    fn address(&self, path: &str, query: &str) -> String {
        format!("{}{path}?{}", self.app.issuer.path(), came::printable(query))
    }

    /// Leaves an event about a user. That it cannot be kept does not undo what it tells of.
    async fn note(&self, kind: EventKind, subject: &str, request: Option<&AuthorizationRequest>) {
        let event = Event {
            kind,
            grant: None,
            client: request.map(|request| request.client.id.clone()),
            subject: Some(subject.to_owned()),
            detail: String::new(),
        };
        let at = self.app.engine.now();
        let record = EventRecord { at, event, correlation: self.correlation.as_str().to_owned() };
        if let Err(trouble) = self.app.engine.commit(vec![Record::Event(record)]).await {
            tracing::error!(correlation = %self.correlation, %trouble, "an event could not be kept");
        }
    }
}

/// Whole minutes where minutes are spoken of: whoever waits as long as he reads gets in.
fn rounded_up(seconds: u64) -> Duration {
    Duration::from_secs(if seconds < 120 { seconds } else { seconds.div_ceil(60) * 60 })
}

/// Come again after so many seconds.
fn later(mut response: Response<Body>, seconds: u64) -> Response<Body> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The query of a `POST`, written again as one.
async fn read_body(headers: &HeaderMap, body: Body, most: usize) -> Option<String> {
    let bytes = http_body_util::BodyExt::collect(http_body_util::Limited::new(body, most)).await.ok()?.to_bytes();
    let text = std::str::from_utf8(&bytes).ok()?;
    (is_form(headers) && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}

/// What an answer on a page of our own must fit: the form's token says that it is of this browser and this request, however old.
fn own_page(kind: Kind, scope: &Scope, now: Timestamp) -> Rules<'_> {
    let lifetime = prompt::JUST_NOW;
    Rules { kind, began_at: now, lifetime, anew: true, max_age: None, acrs: &[ACR_PASSWORD], scope }
}

/// In the language that the request, the browser or the operator asks for.
pub(crate) fn voice(app: &App, headers: &HeaderMap, request: &str) -> Voice {
    let settings = app.settings();
    let pages = &settings.config.pages;
    let form = Form::parse_repeated(request.as_bytes()).ok();
    let wished = form.as_ref().and_then(|form| form.credential("ui_locales"));
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Voice::new(Arc::clone(&pages.theme), Language::choose(wished, accepted, pages.language))
}

fn failure_title(voice: &Voice, status: StatusCode) -> String {
    voice.say(match status.as_u16() {
        400 => "failure.400",
        403 => "failure.403",
        404 => "failure.404",
        409 => "failure.409",
        503 => "failure.503",
        _ => "failure.other",
    })
}

/// Scopes with what they mean to people: in the operator's words, or in ours. Those that are always there first, then the operator's in
/// the order of the file.
pub(crate) fn described(settings: &Settings, voice: &Voice, scope: &Scope) -> Vec<(String, String)> {
    let described = |name: &str| {
        let declared = settings.config.scopes.iter().find(|scope| scope.name == name);
        let own =
            |scope: &ScopeSetting| scope.descriptions.get(&voice.language()).unwrap_or(&scope.description).clone();
        declared.map_or_else(|| built_in(voice, name), own)
    };
    let place = |name: &str| {
        let declared = settings.config.scopes.iter().map(|scope| scope.name.as_str());
        BUILT_IN_SCOPES.iter().copied().chain(declared).position(|known| known == name)
    };
    let mut scopes: Vec<(String, String)> = scope.iter().map(|name| (name.to_owned(), described(name))).collect();
    scopes.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
    scopes
}

/// What the scopes of OpenID Connect Core sections 5.4 and 11 mean to people.
fn built_in(voice: &Voice, scope: &str) -> String {
    if BUILT_IN_SCOPES.contains(&scope) { voice.say(&format!("scope.{scope}")) } else { String::new() }
}

/// For the consent page: how long the application keeps what it gets.
fn lifetime(voice: &Voice, request: &AuthorizationRequest) -> String {
    if !request.response_type.has_code() {
        return String::new();
    }
    lifetime_of(voice, &request.client, &request.granted.scope)
}

fn lifetime_of(voice: &Voice, client: &Client, scope: &Scope) -> String {
    let policy = &client.policy;
    if !redeem::may_refresh(client, scope) {
        return String::new();
    }
    let (idle, most) = (voice.spoken(policy.idle_lifetime), voice.spoken(policy.absolute_lifetime));
    voice.say_with("asked.lifetime", &[("idle", &idle), ("most", &most)])
}

/// Lets a page show one image more: from this origin, and from no other.
fn show_image(response: &mut Response<Body>, url: Option<&str>) {
    let authority = url.and_then(check_link).and_then(|url| url.authority().map(ToString::to_string));
    let Some(authority) = authority else { return };
    let headers = response.headers_mut();
    let known = headers.get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let policy =
        known.map(|policy| policy.replacen("img-src 'self'", &format!("img-src 'self' https://{authority}"), 1));
    if let Some(Ok(policy)) = policy.map(HeaderValue::try_from) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
}

/// An HTML answer under the one policy of all pages: no script, nothing from elsewhere, no frame (checks W1 to W3, W6).
/// `form_action` is where a form's redirect may lead besides here.
pub(crate) fn html(status: StatusCode, body: String, form_action: &str) -> Response<Body> {
    framing(status, body, form_action, "")
}

/// The same with frames from these places.
fn framing(status: StatusCode, body: String, form_action: &str, frames: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let frames = if frames.is_empty() { String::new() } else { format!(" frame-src {frames};") };
    let policy = format!(
        "default-src 'none';{frames} style-src 'self'; img-src 'self' data:; form-action 'self' {form_action}; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in
        [("x-frame-options", "DENY"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
