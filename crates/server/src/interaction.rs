//! What people see: login, consent, logout, and the error page. Plain HTML; nothing here needs a script.
//!
//! The state of an interaction is the authorization request itself, carried by the page and read again, whole, at each step:
//! there is nothing to expire, to fill up, or to be taken over by another browser. Redirects are 303 (RFC 9700 section 4.12).

mod account;
mod login;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use regrant_core::client::GrantType;
use regrant_core::decision::{Change, Decision};
use regrant_core::issue::SubjectStatus;
use regrant_core::redeem::{self, CodeRequest};
use regrant_core::{Event, EventKind, Refusal, Resources, Scope, Timestamp, redirect};
use regrant_store::{Answer, Consent, EventRecord, Question, Record, Unavailable};
use zeroize::Zeroizing;

use crate::answer::Failure;
use crate::app::App;
use crate::authorize::{AuthorizationRequest, Denied, Flow, MAX_REQUEST, Wrong, verdict};
use crate::cascade::Happened;
use crate::claims::prepare::{self, Minting};
use crate::correlation::Correlation;
use crate::form::{self, Form};
use crate::mint::{self, Access};
use crate::pages;
use crate::peer::Peer;
use crate::request::{is_form, read_form};
use crate::session::{self, FormKind, LoggedIn};
use crate::sight;

pub(crate) use account::{account, history};

/// How long a code may be redeemed: 60 seconds (RFC 6749 section 4.1.2 recommends at most ten minutes).
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// One request of a browser.
struct Visit {
    app: Arc<App>,
    headers: HeaderMap,
    peer: Peer,
    correlation: Correlation,
}

/// `GET` and `POST /oauth2/authorize`.
pub(crate) async fn authorize(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let response = if parts.method == Method::POST {
        // RFC 6749 section 3.1: POST is for requests that do not fit a URL. Ours fit, and a GET carries the cookies.
        match read_body(&visit.headers, body).await {
            Some(query) if query.len() <= MAX_REQUEST => visit.redirect(&visit.url(&query)),
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
    let visit = Visit::of(app, &parts);
    let response = match read_form(&visit.headers, body).await {
        Ok(form) => visit.login(&form).await,
        Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
    };
    visit.correlation.mark(response)
}

/// `POST /consent`.
pub(crate) async fn consent(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let response = match read_form(&visit.headers, body).await {
        Ok(form) => visit.consent(&form).await,
        Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
    };
    visit.correlation.mark(response)
}

/// `GET` and `POST /logout`.
pub(crate) async fn logout(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let response = if parts.method == Method::POST {
        match read_form(&visit.headers, body).await {
            Ok(form) => visit.logout(&form).await,
            Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
        }
    } else {
        visit.logout_page().await
    };
    visit.correlation.mark(response)
}

/// `GET /`.
pub(crate) async fn home(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let username = session::current_name(&app, request.headers()).await;
    let page = pages::Home { base: app.issuer.path(), issuer: app.issuer(), username: username.as_deref() };
    html(StatusCode::OK, pages::home(&page), "")
}

/// Every path that is none of ours.
pub(crate) async fn not_found(State(app): State<Arc<App>>) -> Response<Body> {
    let (headers, peer) = (HeaderMap::new(), Peer { address: None });
    let visit = Visit { app, headers, peer, correlation: sight::correlation() };
    let response = visit.page_error(StatusCode::NOT_FOUND, pages::NOT_FOUND, "not_found");
    visit.correlation.mark(response)
}

/// A consent of before, as far as it counts.
struct Remembered {
    scope: Scope,
    resources: Resources,
    ends_at: Option<Timestamp>,
}

impl Visit {
    fn of(app: Arc<App>, parts: &Parts) -> Self {
        let (headers, peer) = (parts.headers.clone(), Peer::of(&parts.extensions));
        Self { app, headers, peer, correlation: sight::correlation() }
    }

    /// One step of an authorization: whatever is missing is asked for; nothing missing, the answer goes to the client.
    async fn authorize(&self, query: &str) -> Response<Body> {
        let request = match AuthorizationRequest::read(&self.app, query) {
            Ok(request) => request,
            Err(Wrong::Page(message, reason)) => return self.page_error(StatusCode::BAD_REQUEST, message, reason),
            Err(Wrong::Redirect(to, denied)) => return self.deny(&to.error(self.app.issuer(), &denied), &denied),
        };
        match self.step(&request, query).await {
            Ok(response) => response,
            Err(trouble) => {
                tracing::error!(correlation = %self.correlation, %trouble, "the store failed during an authorization");
                self.denied(&request, &Denied::UNAVAILABLE)
            }
        }
    }

    async fn step(&self, request: &AuthorizationRequest, query: &str) -> Result<Response<Body>, Unavailable> {
        let who = session::current(&self.app, &self.headers).await?;
        let Some(who) = who.filter(|_| !request.prompt.login) else {
            if request.prompt.none {
                return Ok(self.denied(request, &Denied::LOGIN_REQUIRED));
            }
            return Ok(self.login_page(StatusCode::OK, Some(request), query, "", None));
        };
        if !self.is_consented(request, &who).await? {
            if request.prompt.none {
                return Ok(self.denied(request, &Denied::CONSENT_REQUIRED));
            }
            return Ok(self.consent_page(request, query, &who));
        }
        self.grant(request, &who).await
    }

    /// Whether this user need not be asked: the client is trusted, or all of it was allowed before.
    async fn is_consented(&self, request: &AuthorizationRequest, who: &LoggedIn) -> Result<bool, Unavailable> {
        if request.prompt.consent {
            return Ok(false);
        }
        if request.client.skip_consent {
            return Ok(true);
        }
        // RFC 8252 section 8.6: "unless the identity of the client can be proven, the request SHOULD be processed as if no
        // previous request had been approved": any program on the device could be this client.
        if request.client.is_public() && !request.to.redirect_uri.starts_with("https://") {
            return Ok(false);
        }
        let Some(known) = self.remembered(request, who).await? else { return Ok(false) };
        Ok(request.granted.scope.is_within(&known.scope) && request.granted.resources.is_within(&known.resources))
    }

    /// What this user allowed this client before. What was paused, or is over, is asked anew.
    async fn remembered(
        &self,
        request: &AuthorizationRequest,
        who: &LoggedIn,
    ) -> Result<Option<Remembered>, Unavailable> {
        let question =
            Question::Consent { subject: who.user.subject.clone(), client: request.client.id.as_str().to_owned() };
        let Answer::Consent(Some(known)) = self.app.engine.ask(question).await? else { return Ok(None) };
        let ends_at = known.ends_at;
        if known.paused_at.is_some() || ends_at.is_some_and(|end| end.is_over(self.app.engine.now())) {
            return Ok(None);
        }
        let scope = Scope::parse(&known.scope).unwrap_or_default();
        let resources = Resources::parse(&known.resources).unwrap_or_default();
        Ok(Some(Remembered { scope, resources, ends_at }))
    }

    /// Everything is known: a code, or for the implicit flow an access token, goes to the client.
    async fn grant(&self, request: &AuthorizationRequest, who: &LoggedIn) -> Result<Response<Body>, Unavailable> {
        let (scope, resources) = (&request.granted.scope, &request.granted.resources);
        let granted = match verdict(&request.client, request.flow, SubjectStatus::Enabled, Some(scope), resources) {
            Ok(granted) => granted,
            Err(refusal) => return Ok(self.denied(request, &Denied::of(refusal))),
        };
        let consent = redeem::Consent {
            subject: who.user.subject.clone(),
            granted,
            authenticated_at: who.session.authenticated_at,
            session: Some(who.session.id),
            epoch: who.epoch,
        };
        match request.flow {
            Flow::Code => {
                // Each code is a row (check X9).
                let rate = self.app.settings().config.limits.codes_per_user;
                if self.app.limits.code(rate, &consent.subject).is_err() {
                    return Ok(self.denied(request, &Denied::TOO_MANY_CODES));
                }
                self.grant_code(request, consent).await
            }
            Flow::Implicit => Ok(self.grant_token(request, &consent).await),
        }
    }

    async fn grant_code(
        &self,
        request: &AuthorizationRequest,
        consent: redeem::Consent,
    ) -> Result<Response<Body>, Unavailable> {
        let client = Arc::clone(&request.client);
        let bound = CodeRequest {
            challenge: request.challenge,
            redirect_uri: request.redirect_parameter.clone(),
            lifetime: CODE_LIFETIME,
        };
        let made = self
            .app
            .engine
            .create(self.correlation.as_str(), move |id, moment| {
                let (grant, code) = redeem::grant_with_code(
                    id,
                    &client,
                    consent.clone(),
                    &bound,
                    moment.keys,
                    moment.now,
                    &moment.entropy,
                );
                match code.text(moment.keys) {
                    Some(text) => Decision::accept(Change::Created, grant, Zeroizing::new(text)),
                    None => Decision::refuse(Refusal::SeedKeyNotYet),
                }
            })
            .await?;
        let Ok(code) = made else { return Ok(self.denied(request, &Denied::UNAVAILABLE)) };
        tracing::info!(correlation = %self.correlation, client = %request.client.id, "authorization code issued");
        Ok(self.redirect(&request.to.answer(self.app.issuer(), &[("code", &code)])))
    }

    /// RFC 6749 section 4.2.2: "The authorization server MUST NOT issue a refresh token."
    async fn grant_token(&self, request: &AuthorizationRequest, consent: &redeem::Consent) -> Response<Body> {
        let settings = self.app.settings();
        let minting = Minting {
            client: &request.client,
            grant_type: GrantType::Implicit,
            subject: &consent.subject,
            granted: &consent.granted,
            grant: None,
            auth_time: Some(consent.authenticated_at.seconds()),
            correlation: &self.correlation,
        };
        let claims = match prepare::of((&self.app, &settings), minting).await {
            Ok(claims) => claims,
            Err(Failure::HookDenied) => return self.denied(request, &Denied::HOOK),
            Err(failure) => {
                tracing::error!(correlation = %self.correlation, reason = %failure.reason(), "no access token");
                return self.denied(request, &Denied::UNAVAILABLE);
            }
        };
        let expires_in = request.client.policy.access_token_lifetime.as_secs().max(1);
        let scope = settings.scope_at(&consent.granted.scope, &consent.granted.resources);
        let access = Access {
            grant: None,
            client: &request.client,
            subject: &consent.subject,
            scope: &scope,
            resources: &consent.granted.resources,
            authenticated_at: Some(consent.authenticated_at),
            claims: &claims,
            expires_in,
            now: self.app.engine.now(),
        };
        tracing::warn!(correlation = %self.correlation, client = %request.client.id, "implicit grant used: RFC 9700 section 2.1.2 says that it SHOULD NOT be");
        let Some(token) = mint::access_token(&self.app, &settings, &access).map(Zeroizing::new) else {
            return self.denied(request, &Denied::UNAVAILABLE);
        };
        let (expires_in, scope) = (expires_in.to_string(), scope.to_string());
        let mut parameters =
            vec![("access_token", token.as_str()), ("token_type", "Bearer"), ("expires_in", expires_in.as_str())];
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        self.redirect(&request.to.answer(self.app.issuer(), &parameters))
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
        if !session::is_own_form(&self.app, FormKind::Consent, &who.cookie, query, token) {
            return self.page_error(StatusCode::FORBIDDEN, pages::SESSION_CHANGED, "foreign_form");
        }
        let request = match AuthorizationRequest::read(&self.app, query) {
            Ok(request) => request,
            Err(Wrong::Page(message, reason)) => return self.page_error(StatusCode::BAD_REQUEST, message, reason),
            Err(Wrong::Redirect(to, denied)) => return self.deny(&to.error(self.app.issuer(), &denied), &denied),
        };
        if form.credential("decision") != Some("allow") {
            return self.denied(&request, &Denied::ACCESS);
        }
        match self.remember_and_grant(&request, &who).await {
            Ok(response) => response,
            Err(trouble) => {
                tracing::error!(correlation = %self.correlation, %trouble, "the store failed during a consent");
                self.denied(&request, &Denied::UNAVAILABLE)
            }
        }
    }

    async fn remember_and_grant(
        &self,
        request: &AuthorizationRequest,
        who: &LoggedIn,
    ) -> Result<Response<Body>, Unavailable> {
        let granted = &request.granted;
        // What was allowed before at the same places stays allowed. At other places it does not count there: it is replaced.
        let (scope, ends_at) = match self.remembered(request, who).await? {
            Some(Remembered { scope, resources, ends_at }) if resources == granted.resources => {
                let both = Scope::from_tokens(scope.iter().chain(granted.scope.iter()));
                (both.unwrap_or_else(|_| granted.scope.clone()), ends_at)
            }
            _ => (granted.scope.clone(), None),
        };
        let consent = Consent {
            subject: who.user.subject.clone(),
            client: request.client.id.as_str().to_owned(),
            scope: scope.to_string(),
            resources: granted.resources.to_string(),
            at: self.app.engine.now(),
            paused_at: None,
            ends_at,
        };
        self.app.engine.commit(vec![Record::PutConsent(consent)]).await?;
        sight::outcome("consented");
        self.note(EventKind::Consent, &who.user.subject, Some(request)).await;
        self.grant(request, who).await
    }

    async fn logout(&self, form: &Form) -> Response<Body> {
        let token = form.credential("csrf").unwrap_or_default();
        let who = match session::current(&self.app, &self.headers).await {
            Ok(who) => who,
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        if let Some(who) = &who {
            if !session::is_own_form(&self.app, FormKind::Logout, &who.cookie, "", token) {
                return self.page_error(StatusCode::FORBIDDEN, pages::EXPIRED_FORM, "foreign_form");
            }
            self.note(EventKind::Logout, &who.user.subject, None).await;
        }
        let happened = who.as_ref().map(|who| Happened::LoggedOut(who.session.id, &who.session.subject));
        let cookie = match session::end(&self.app, &self.headers, happened.as_ref()).await {
            Ok(cookie) => cookie,
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        let page = pages::logged_out(&pages::LoggedOut { base: self.app.issuer.path() });
        let mut response = html(StatusCode::OK, page, "");
        response.headers_mut().append(SET_COOKIE, cookie);
        response
    }

    async fn logout_page(&self) -> Response<Body> {
        let who = session::current(&self.app, &self.headers).await.ok().flatten();
        let csrf = who
            .as_ref()
            .map(|who| session::form_token(&self.app, FormKind::Logout, &who.cookie, ""))
            .unwrap_or_default();
        let username = who.as_ref().map(|who| who.user.name.as_str());
        let page = pages::Logout { base: self.app.issuer.path(), username, csrf: &csrf };
        html(StatusCode::OK, pages::logout(&page), "")
    }

    fn login_page(
        &self,
        status: StatusCode,
        request: Option<&AuthorizationRequest>,
        query: &str,
        username: &str,
        error: Option<&str>,
    ) -> Response<Body> {
        let (cookie, set) = session::browser(&self.app, &self.headers);
        let csrf = session::form_token(&self.app, FormKind::Login, &cookie, query);
        let client_name = request.map_or("", |request| request.client.name.as_str());
        let page =
            pages::Login { base: self.app.issuer.path(), client_name, request: query, csrf: &csrf, username, error };
        let action = request.map(|request| request.to.form_action()).unwrap_or_default();
        let mut response = html(status, pages::login(&page), &action);
        if let Some(set) = set {
            response.headers_mut().append(SET_COOKIE, set);
        }
        response
    }

    fn consent_page(&self, request: &AuthorizationRequest, query: &str, who: &LoggedIn) -> Response<Body> {
        let settings = self.app.settings();
        let csrf = session::form_token(&self.app, FormKind::Consent, &who.cookie, query);
        let described = |name: &str| {
            let declared = settings.config.scopes.iter().find(|scope| scope.name == name);
            declared.map_or_else(|| built_in(name), |scope| scope.description.as_str()).to_owned()
        };
        let scopes: Vec<(String, String)> =
            request.granted.scope.iter().map(|name| (name.to_owned(), described(name))).collect();
        let scopes: Vec<pages::ScopeLine<'_>> =
            scopes.iter().map(|(name, description)| pages::ScopeLine { name, description }).collect();
        let resources: Vec<&str> = request.granted.resources.iter().collect();
        let lifetime = lifetime(request);
        let page = pages::Consent {
            base: self.app.issuer.path(),
            client_name: &request.client.name,
            client_host: redirect::shown(&request.to.redirect_uri),
            username: &who.user.name,
            scopes: &scopes,
            resources: &resources,
            lifetime: &lifetime,
            request: query,
            csrf: &csrf,
        };
        html(StatusCode::OK, pages::consent(&page), &request.to.form_action())
    }

    fn denied(&self, request: &AuthorizationRequest, denied: &Denied) -> Response<Body> {
        self.deny(&request.to.error(self.app.issuer(), denied), denied)
    }

    fn deny(&self, url: &str, denied: &Denied) -> Response<Body> {
        sight::refused(denied.error, denied.description);
        tracing::debug!(correlation = %self.correlation, error = denied.error, reason = denied.description, "authorization denied");
        self.redirect(url)
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

    fn page_error(&self, status: StatusCode, message: &str, reason: &'static str) -> Response<Body> {
        sight::outcome(reason);
        tracing::debug!(correlation = %self.correlation, status = status.as_u16(), reason, "error page");
        let title = status.canonical_reason().unwrap_or("Error");
        let page =
            pages::Failure { base: self.app.issuer.path(), title, message, correlation: self.correlation.as_str() };
        html(status, pages::failure(&page), "")
    }

    fn unavailable(&self, reason: &str) -> Response<Body> {
        tracing::error!(correlation = %self.correlation, reason, "the store failed");
        let response = self.page_error(StatusCode::SERVICE_UNAVAILABLE, pages::UNAVAILABLE, "store_unavailable");
        later(response, 1)
    }

    /// The request again, in the characters that a URI has: some clients send others, and we send none on (check R16).
    fn url(&self, query: &str) -> String {
        let mut url = format!("{}/oauth2/authorize?", self.app.issuer.path());
        for byte in query.bytes() {
            match byte {
                0x21..=0x7E => url.push(char::from(byte)),
                other => url.push_str(&format!("%{other:02X}")),
            }
        }
        url
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

/// Come again after so many seconds.
fn later(mut response: Response<Body>, seconds: u64) -> Response<Body> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The query of a `POST`, written again as one.
async fn read_body(headers: &HeaderMap, body: Body) -> Option<String> {
    let bytes =
        http_body_util::BodyExt::collect(http_body_util::Limited::new(body, MAX_REQUEST)).await.ok()?.to_bytes();
    let text = std::str::from_utf8(&bytes).ok()?;
    (is_form(headers) && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}

/// The request without the login that it asked for, which has been done: or the login page would come again and again. What
/// else `prompt` asks for stays.
fn without_login(query: &str) -> String {
    let done = |pair: &str| {
        let form = Form::parse_repeated(pair.as_bytes()).ok()?;
        let words = form.credential("prompt")?.split(' ');
        let left: Vec<&str> = words.filter(|word| !matches!(*word, "login" | "select_account")).collect();
        Some(form::write(&[("prompt", &left.join(" "))]))
    };
    query.split('&').map(|pair| done(pair).unwrap_or_else(|| pair.to_owned())).collect::<Vec<_>>().join("&")
}

/// For the consent page: how long the application keeps what it gets.
fn lifetime(request: &AuthorizationRequest) -> String {
    let policy = &request.client.policy;
    if request.flow == Flow::Implicit || !request.client.may_use(regrant_core::client::GrantType::RefreshToken) {
        return String::new();
    }
    format!("{} without use, {} at most", spoken(policy.idle_lifetime), spoken(policy.absolute_lifetime))
}

/// What the scopes of OpenID Connect Core sections 5.4 and 11 mean to people.
fn built_in(scope: &str) -> &'static str {
    match scope {
        "openid" => "Know who you are",
        "profile" => "See your profile",
        "email" => "See your email address",
        "address" => "See your postal address",
        "phone" => "See your phone number",
        "offline_access" => "Stay connected while you are away",
        _ => "",
    }
}

fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// An HTML answer under the one policy of all pages: no script, nothing from elsewhere, no frame (checks W1 to W3, W6).
/// `form_action` is where a form's redirect may lead besides here.
pub(crate) fn html(status: StatusCode, body: String, form_action: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self' {form_action}; base-uri 'none'; frame-ancestors 'none'"
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
