//! Logging out: OpenID Connect RP-Initiated Logout 1.0, and the page for whoever comes by himself.
//!
//! | the request                                                         | then                                             |
//! |---------------------------------------------------------------------|--------------------------------------------------|
//! | cannot be read, or names an unknown client                          | an error page: nothing ends, nobody is sent on   |
//! | has an `id_token_hint` that is not ours, or is another client's     | the same                                         |
//! | has an `id_token_hint` of a key that is gone                        | as if it had none; nobody is sent on for its sake |
//! | names a `post_logout_redirect_uri` that its client did not register | the same; without a client none is registered    |
//! | comes where nobody is logged in                                     | on to the registered URI, or "you are logged out"|
//! | has an `id_token_hint` of this very session                         | logged out at once: the application has shown that it is its |
//! | anything else                                                       | the user is asked (`#logout-confirm`)            |
//!
//! What ends with the session is the table of `cascade.rs`; who is told is in the store's commit (`deliver/logout.rs`), and by frames of
//! the page behind it (OpenID Connect Front-Channel Logout 1.0).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use regrant_core::interaction::{self, Kind, Reply, Then};
use regrant_core::{Client, ClientId, Event, EventKind, Scope, redirect};
use regrant_store::{Answer, EventRecord, Question, Unavailable};
use serde_json::{Map, Value};

use super::sealed::Logout;
use super::{Visit, framing, html, own_page, voice};
use crate::app::App;
use crate::authorize::{MAX_REQUEST, schemes, source};
use crate::form::{self, Form};
use crate::id_token_hint::{self, NoHint};
use crate::pages;
use crate::session::{self, FormKind, LoggedIn};
use crate::session_state;
use crate::sight;
use crate::subject;

/// Frames of one page, and seconds that they are given.
const MOST_FRAMES: usize = 50;
const FRAMES_TAKE: u8 = 3;
/// The longest request by POST, in bytes: an ID token with as many claims as one can have, and encrypted.
const MAX_POST: usize = 32 * 1024;
/// The parameter that stands for what was posted.
const POSTED: &str = "logout_request";

/// `GET` and `POST /oauth2/logout`.
pub(crate) async fn end_session(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let response = if parts.method == Method::POST {
        match super::read_body(&visit.headers, body, MAX_POST).await {
            Some(form) => visit.end_session_by_post(&form),
            None => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_request"),
        }
    } else {
        visit.end_session(parts.uri.query().unwrap_or_default()).await
    };
    visit.correlation.mark(response)
}

/// A logout request whose words have been believed.
#[derive(Default)]
struct LogoutRequest {
    client: Option<Arc<Client>>,
    /// Where the user goes on, as it was registered.
    next: Option<String>,
    state: Option<String>,
    hint: Option<Hint>,
}

/// What an ID token of ours says, however old it is.
struct Hint {
    subject: String,
    sid: Option<String>,
}

/// For the error page, and for the log.
type Wrong = (&'static str, &'static str);

const UNREADABLE: Wrong = (pages::BAD_REQUEST, "malformed_request");
const NO_CLIENT: Wrong = (pages::UNKNOWN_CLIENT, "unknown_client");
const NO_REDIRECT: Wrong = (pages::UNKNOWN_REDIRECT, "unknown_post_logout_redirect_uri");
const NO_HINT: Wrong = (pages::BAD_REQUEST, "bad_id_token_hint");

impl LogoutRequest {
    fn read(app: &App, query: &str) -> Result<Self, Wrong> {
        if query.len() > MAX_REQUEST {
            return Err(UNREADABLE);
        }
        Self::of(app, &Form::parse(query.as_bytes()).map_err(|_| UNREADABLE)?)
    }

    fn of(app: &App, form: &Form) -> Result<Self, Wrong> {
        let known = |id: &str| {
            let client = ClientId::parse(id).and_then(|id| app.settings().clients.get(&id));
            client.filter(|client| !client.disabled).ok_or(NO_CLIENT)
        };
        let named = form.credential("client_id");
        if let Some(posted) = form.credential(POSTED) {
            let Logout { client, next, state, subject, sid } =
                app.interactions.open_logout(posted).ok_or(UNREADABLE)?;
            // What stands beside it is for the eye alone.
            if named.is_some() && named != client.as_deref() {
                return Err(UNREADABLE);
            }
            let client = client.as_deref().map(known).transpose()?;
            let next = next.map(|uri| registered(client.as_deref(), &uri)).transpose()?;
            return Ok(Self { client, next, state, hint: subject.map(|subject| Hint { subject, sid }) });
        }
        let told = form.credential("id_token_hint").map(|token| id_token_hint::read(app, token));
        let is_forgotten = matches!(told, Some(Err(NoHint::KeyGone)));
        let hint = match told {
            None | Some(Err(NoHint::KeyGone)) => None,
            Some(Err(NoHint::NotOurs)) => return Err(NO_HINT),
            Some(Ok(claims)) => Some(Hint::read(&claims).ok_or(NO_HINT)?),
        };
        // "If both are present, the OP MUST verify that the Client Identifier matches the one used when issuing the ID Token."
        if let (Some(named), Some((_, audience))) = (named, &hint)
            && !audience.iter().any(|known| known == named)
        {
            return Err(NO_HINT);
        }
        let of = hint.as_ref().and_then(|(_, audience)| audience.first().map(String::as_str));
        let client = named.or(of).map(known).transpose()?;
        let next = match form.credential("post_logout_redirect_uri") {
            None => None,
            // Section 3: "the information that failed to validate MUST NOT be used". Whose it would be is not known, so it is not
            // followed; the user can log out all the same.
            Some(_) if client.is_none() && is_forgotten => None,
            Some(uri) => Some(registered(client.as_deref(), uri)?),
        };
        let state = form.utf8("state").map(str::to_owned);
        Ok(Self { client, next, state, hint: hint.map(|(hint, _)| hint) })
    }

    /// The same as a query, in which no ID token stands: it would be in histories and in the logs of proxies.
    fn sealed(self, app: &App, locales: Option<&str>) -> Option<String> {
        let client = self.client.map(|client| client.id.as_str().to_owned());
        let (subject, sid) = self.hint.map_or((None, None), |hint| (Some(hint.subject), hint.sid));
        let logout = Logout { client: client.clone(), next: self.next, state: self.state, subject, sid };
        let posted = app.interactions.logout(&logout)?;
        let beside = [("client_id", client.as_deref()), ("ui_locales", locales)];
        let beside = beside.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let all: Vec<(&str, &str)> = std::iter::once((POSTED, posted.as_str())).chain(beside).collect();
        Some(form::write(&all)).filter(|query| query.len() <= MAX_REQUEST)
    }

    /// "If included in the logout request, the OP passes this value back to the RP using the state parameter".
    fn goes_on(&self) -> Option<String> {
        let next = self.next.as_deref()?;
        let Some(state) = &self.state else { return Some(next.to_owned()) };
        let separator = if next.contains('?') { '&' } else { '?' };
        Some(format!("{next}{separator}{}", form::write(&[("state", state)])))
    }

    /// Whether the application has shown that this session is the one that it was logged in to in.
    fn is_of(&self, app: &App, who: &LoggedIn) -> bool {
        let (Some(hint), Some(client)) = (&self.hint, &self.client) else { return false };
        let subject = subject::told(app, client, &who.user.subject);
        hint.subject == subject && hint.sid.as_deref() == Some(subject::sid(app, client, &who.session.root).as_str())
    }
}

impl Hint {
    /// With whose it is: `azp` first, where there is one.
    fn read(claims: &Map<String, Value>) -> Option<(Self, Vec<String>)> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut audience: Vec<String> = text("azp").into_iter().collect();
        match claims.get("aud")? {
            Value::String(one) => audience.push(one.clone()),
            Value::Array(many) => audience.extend(many.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => return None,
        }
        Some((Self { subject: text("sub")?, sid: text("sid") }, audience))
    }
}

/// "the value MUST have been previously registered with the OP": byte by byte.
fn registered(client: Option<&Client>, uri: &str) -> Result<String, Wrong> {
    let all = client.map(|client| client.logout.post_logout_redirect_uris.as_slice()).unwrap_or_default();
    if all.iter().any(|known| known == uri) { Ok(uri.to_owned()) } else { Err(NO_REDIRECT) }
}

impl Visit {
    /// Section 2: "OPs MUST support the use of the HTTP GET and POST methods". Our cookies come with a GET only.
    fn end_session_by_post(&self, body: &str) -> Response<Body> {
        let read = Form::parse(body.as_bytes()).map_err(|_| UNREADABLE);
        let asked = read.and_then(|form| {
            let locales = form.credential("ui_locales").map(str::to_owned);
            LogoutRequest::of(&self.app, &form)?.sealed(&self.app, locales.as_deref()).ok_or(UNREADABLE)
        });
        match asked {
            Ok(query) => self.redirect(&self.address("/oauth2/logout", &query)),
            Err((message, reason)) => self.page_error(StatusCode::BAD_REQUEST, message, reason),
        }
    }

    async fn end_session(&self, query: &str) -> Response<Body> {
        let request = match LogoutRequest::read(&self.app, query) {
            Ok(request) => request,
            Err((message, reason)) => return self.page_error(StatusCode::BAD_REQUEST, message, reason),
        };
        match session::current(&self.app, &self.headers).await {
            Ok(Some(who)) if !request.is_of(&self.app, &who) => self.logout_page(query, &request, Some(&who)),
            Ok(who) => self.log_out(&request, who.as_ref()).await,
            Err(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    /// `GET /logout`.
    pub(super) async fn ask_to_log_out(&self) -> Response<Body> {
        let who = session::current(&self.app, &self.headers).await.ok().flatten();
        self.logout_page("", &LogoutRequest::default(), who.as_ref())
    }

    fn logout_page(&self, query: &str, request: &LogoutRequest, who: Option<&LoggedIn>) -> Response<Body> {
        if let (Some(url), Some(_)) = (&self.app.settings().config.interactions.logout, who) {
            return self.challenge(url, Kind::Logout, query, who);
        }
        let csrf = who.map(|who| session::form_token(&self.app, FormKind::Logout, &who.cookie, query));
        let page = pages::Logout {
            base: self.app.issuer.path(),
            client_name: request.client.as_ref().map_or("", |client| client.name.as_str()),
            username: who.map(|who| who.user.name.as_str()),
            request: query,
            csrf: csrf.as_deref().unwrap_or_default(),
        };
        html(
            StatusCode::OK,
            voice(&self.app, &self.headers, query).logout(&page),
            &request.goes_on().as_deref().map(schemes).unwrap_or_default(),
        )
    }

    /// `POST /logout`: it was confirmed.
    pub(super) async fn logout(&self, form: &Form) -> Response<Body> {
        let query = form.credential("request").unwrap_or_default();
        let token = form.credential("csrf").unwrap_or_default();
        let who = match session::current(&self.app, &self.headers).await {
            Ok(who) => who,
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        if let Some(who) = &who
            && !session::is_own_form(&self.app, FormKind::Logout, &who.cookie, query, token)
        {
            return self.page_error(StatusCode::FORBIDDEN, pages::EXPIRED_FORM, "foreign_form");
        }
        if self.app.settings().config.interactions.logout.is_some() && who.is_some() {
            // Whoever asks now is somebody else: this page was shown before.
            return self.end_session(query).await;
        }
        let (none, now) = (Scope::default(), self.app.engine.now());
        match interaction::then(&own_page(Kind::Logout, &none, now), Reply::Confirmed, now) {
            Ok(Then::EndSession) => self.confirmed(query, who.as_ref()).await,
            _ => self.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "unfit_answer"),
        }
    }

    /// It was confirmed, here or elsewhere.
    pub(super) async fn confirmed(&self, query: &str, who: Option<&LoggedIn>) -> Response<Body> {
        match LogoutRequest::read(&self.app, query) {
            Ok(request) => self.log_out(&request, who).await,
            Err((message, reason)) => self.page_error(StatusCode::BAD_REQUEST, message, reason),
        }
    }

    /// Ends the session, with all that follows, in one commit; then tells the applications that only the browser can tell.
    async fn log_out(&self, request: &LogoutRequest, who: Option<&LoggedIn>) -> Response<Body> {
        match self.ended(who).await {
            Ok((frames, cookie)) => {
                sight::outcome("logged_out");
                let mut response = self.logged_out(request.goes_on().as_deref(), &frames);
                response.headers_mut().append(SET_COOKIE, cookie);
                self.follow_session(&mut response, None);
                response
            }
            Err(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    /// The cookie of the session's state follows what became of the session.
    pub(super) fn follow_session(&self, response: &mut Response<Body>, root: Option<&[u8; 32]>) {
        if let Some(state) = session_state::followed(&self.app, &self.headers, root) {
            response.headers_mut().append(SET_COOKIE, state);
        }
    }

    async fn ended(&self, who: Option<&LoggedIn>) -> Result<(Vec<String>, HeaderValue), Unavailable> {
        let Some(who) = who else {
            return Ok((Vec::new(), session::end(&self.app, &self.headers, None).await?));
        };
        let frames = self.frames(&who.session.root).await?;
        let happened = session::logged_out(&self.app, &who.session);
        let subject = Some(who.user.subject.clone());
        let event = Event { kind: EventKind::Logout, grant: None, client: None, subject, detail: String::new() };
        let correlation = self.correlation.as_str().to_owned();
        let told = EventRecord { at: self.app.engine.now(), event, correlation };
        Ok((frames, session::end(&self.app, &self.headers, Some((&happened, told))).await?))
    }

    /// What tells the session's clients by the browser: Front-Channel Logout 1.0 section 2.
    pub(super) async fn frames(&self, root: &[u8; 32]) -> Result<Vec<String>, Unavailable> {
        let Answer::Logins(clients) = self.app.engine.ask(Question::Logins(*root)).await? else {
            return Ok(Vec::new());
        };
        let settings = self.app.settings();
        let of = |id: String| {
            let client = settings.clients.get(&ClientId::parse(&id)?)?;
            let uri = client.logout.frontchannel.as_deref()?;
            if !client.logout.frontchannel_session_required {
                return Some(uri.to_owned());
            }
            let separator = if uri.contains('?') { '&' } else { '?' };
            let sid = subject::sid(&self.app, &client, root);
            Some(format!("{uri}{separator}{}", form::write(&[("iss", self.app.issuer()), ("sid", &sid)])))
        };
        Ok(clients.into_iter().filter_map(of).take(MOST_FRAMES).collect())
    }

    /// The frames have their time before the browser goes on: by itself after some seconds, without a script, or by the link.
    pub(super) fn logged_out(&self, next: Option<&str>, frames: &[String]) -> Response<Body> {
        if let (Some(next), []) = (next, frames) {
            return self.redirect(next);
        }
        let next = next.unwrap_or_default();
        let page = pages::LoggedOut { base: self.app.issuer.path(), next, next_host: redirect::shown(next), frames };
        let sources: Vec<String> = frames.iter().map(|frame| source(frame)).collect();
        let mut response = framing(StatusCode::OK, self.voice().logged_out(&page), "", &sources.join(" "));
        if let (false, Ok(refresh)) = (next.is_empty(), HeaderValue::try_from(format!("{FRAMES_TAKE}; url={next}"))) {
            response.headers_mut().insert("refresh", refresh);
        }
        response
    }
}
