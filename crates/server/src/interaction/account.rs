//! A user's own account: what is connected and what was allowed, to be ended by the user (RFC 9700 section 4.14.2, OAuth 2.1
//! section 7.9: let users list and revoke; check W13), the password, and the user's own history.
//!
//! | form         | what it does                                            | durable as                                         |
//! |--------------|---------------------------------------------------------|----------------------------------------------------|
//! | `end`        | ends one grant                                          | the grant's row                                    |
//! | `end_others` | ends every grant and session but this browser's         | one wide revocation, with the sessions             |
//! | `end_all`    | ends every grant and every session                      | one wide revocation, with the sessions             |
//! | `pause`      | a client gets nothing until it is resumed               | the consent's row                                  |
//! | `until`      | the grants of a client end that day at the latest       | the consent's row                                  |
//! | `withdraw`   | forgets the consent, and ends what it gave              | one wide revocation, with the consent's removal    |
//! | `password`   | another password                                        | as an operator's change, which ends other sessions |
//!
//! What is listed is what can refresh: [`refresh::standing`] decides here as it does there.

mod words;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, SET_COOKIE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Event, EventKind, Grant, GrantId, Refusal, Selector, Timestamp, refresh, revoke};
use regrant_store::{Answer, Consent, EventRecord, Loaded, Outcome, Question, Record, StoredEvent, Unavailable};
use serde_json::json;
use zeroize::Zeroizing;

use super::remembered::{held, put_consent};
use super::{Visit, html, later};
use crate::admin::{AdminError, MIN_PASSWORD_CHARS, rfc3339};
use crate::answer::{self, Failure};
use crate::app::{App, Settings};
use crate::cascade::{self, Happened};
use crate::form::Form;
use crate::limits::guessing;
use crate::limits::known_browser;
use crate::pages::{self, Voice};
use crate::passwords::MAX_PASSWORD_LEN;
use crate::request::read_form;
use crate::session::{self, Begun, FormKind, How, LoggedIn};
use crate::sight;
pub(super) use words::place;
use words::{LIMITED, PAUSED, RESUMED, Shown, UNLIMITED, WITHDRAWN, Words};

/// What the login page carries in place of an authorization request when it leads here.
pub(super) const ACCOUNT: &str = "account";
/// The most grants of one user that are looked at for the page.
const MOST_ROWS: usize = 5000;
/// The most that are shown.
const MOST_SHOWN: usize = 100;
/// Rows asked for at once.
const SLICE: u32 = 256;
/// The lines of the history on the page.
const LINES: u32 = 12;
/// The most events in a download.
const MOST_EVENTS: usize = 10_000;
/// The furthest end that can be set, in days.
const FURTHEST: i64 = 36_500;

/// `GET` and `POST /account`.
pub(crate) async fn account(State(app): State<std::sync::Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let who = match session::current(&visit.app, &visit.headers).await {
        Ok(who) => who,
        Err(trouble) => return visit.correlation.mark(visit.unavailable(&trouble.to_string())),
    };
    let response = match (who, parts.method == Method::POST) {
        (None, _) => visit.login_page(StatusCode::OK, None, ACCOUNT, "", None),
        (Some(who), false) => visit.account(&who, StatusCode::OK, &Said::after(parts.uri.query())).await,
        (Some(who), true) => match read_form(&visit.headers, body).await {
            Ok(form) => visit.change(&who, &form).await,
            Err(_) => visit.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
        },
    };
    visit.correlation.mark(response)
}

/// `GET /account/history`.
pub(crate) async fn history(State(app): State<std::sync::Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let visit = Visit::of(app, &parts);
    let response = match session::current(&visit.app, &visit.headers).await {
        Ok(None) => visit.login_page(StatusCode::OK, None, ACCOUNT, "", None),
        Ok(Some(who)) => match visit.download(&who).await {
            Ok(response) => response,
            Err(trouble) => visit.unavailable(&trouble.to_string()),
        },
        Err(trouble) => visit.unavailable(&trouble.to_string()),
    };
    visit.correlation.mark(response)
}

/// What was wrong with a form: in words once it is known who reads it.
#[derive(Clone, Copy)]
enum Wrong {
    /// A sentence.
    Key(&'static str),
    /// How long a password is.
    PasswordSize,
    /// To be waited.
    Wait(Duration),
}

impl Wrong {
    fn said(self, voice: &Voice) -> String {
        match self {
            Self::Key(key) => voice.say(key),
            Self::PasswordSize => {
                let (least, most) = (MIN_PASSWORD_CHARS.to_string(), MAX_PASSWORD_LEN.to_string());
                voice.say_with("account.password_size_error", &[("least", &least), ("most", &most)])
            }
            Self::Wait(time) => voice.say_with("login.wait_error", &[("time", &voice.spoken(time))]),
        }
    }
}

/// What the page says of the form before it.
#[derive(Default)]
struct Said {
    done: &'static str,
    error: Option<Wrong>,
    password: bool,
}

/// What was done, in the redirect behind a form: `done.` and the word is what is said of it.
const DONE: [&str; 8] = ["end", "end_others", "pause", "resume", "until", "no_end", "withdraw", "password"];

impl Said {
    fn after(query: Option<&str>) -> Self {
        let word = query.and_then(|query| query.strip_prefix("done=")).unwrap_or_default();
        let done = DONE.into_iter().find(|known| *known == word).unwrap_or_default();
        Self { done, ..Self::default() }
    }

    fn wrong(key: &'static str) -> Self {
        Self::of(Wrong::Key(key))
    }

    fn of(error: Wrong) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

/// Why a form was not carried out.
enum NotDone {
    /// The page again, which says what is wrong.
    Wrong(StatusCode, Said),
    /// Too many attempts, for so long.
    Wait(StatusCode, Wrong, u64),
    /// The store failed; nothing was done, or not all of it.
    Unavailable(String),
}

fn no_permission() -> NotDone {
    NotDone::Wrong(StatusCode::NOT_FOUND, Said::wrong("account.no_permission_error"))
}

/// What a user says of a client that stays allowed.
#[derive(Clone, Copy)]
enum Limit {
    Paused,
    Resumed,
    End(Option<Timestamp>),
}

impl NotDone {
    /// Whole seconds are told, and after them there is room.
    fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1);
        Self::Wait(StatusCode::TOO_MANY_REQUESTS, Wrong::Wait(Duration::from_secs(seconds)), seconds)
    }
}

impl From<Unavailable> for NotDone {
    fn from(trouble: Unavailable) -> Self {
        Self::Unavailable(trouble.to_string())
    }
}

impl From<AdminError> for NotDone {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Invalid(_) => Self::Wrong(StatusCode::BAD_REQUEST, Said::of(Wrong::PasswordSize)),
            AdminError::Busy => Self::Wait(StatusCode::SERVICE_UNAVAILABLE, Wrong::Key(pages::BUSY), 2),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl Visit {
    /// A form of the page.
    async fn change(&self, who: &LoggedIn, form: &Form) -> Response<Body> {
        // Bound to the session that was shown the page (checks W11, W16).
        let token = form.credential("csrf").unwrap_or_default();
        if !session::is_own_form(&self.app, FormKind::Account, &who.cookie, "", token) {
            return self.page_error(StatusCode::FORBIDDEN, pages::SESSION_CHANGED, "foreign_form");
        }
        let rate = self.app.settings().config.limits.codes_per_user;
        if let Err(time) = self.app.limits.account(rate, &who.user.subject) {
            return self.not_done(who, NotDone::too_many(time)).await;
        }
        let action = form.credential("action").unwrap_or_default();
        let done = match action {
            "end" => self.end(who, form.credential("grant").unwrap_or_default()).await.map(|()| "end"),
            "end_others" => self.end_others(who).await.map(|()| "end_others"),
            "end_all" => match self.end_all(who).await {
                Ok(frames) => return self.left(&frames),
                Err(not_done) => Err(not_done),
            },
            "pause" | "resume" | "until" => self.limit(who, action, form).await,
            "withdraw" => self.withdraw(who, form.credential("client").unwrap_or_default()).await.map(|()| "withdraw"),
            "password" => return self.password(who, form).await,
            _ => return self.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "malformed_form"),
        };
        match done {
            Ok(done) => self.done(done),
            Err(not_done) => self.not_done(who, not_done).await,
        }
    }

    fn done(&self, done: &'static str) -> Response<Body> {
        sight::outcome("account_changed");
        self.redirect(&format!("{}/account?done={done}", self.app.issuer.path()))
    }

    async fn not_done(&self, who: &LoggedIn, not_done: NotDone) -> Response<Body> {
        match not_done {
            NotDone::Wrong(status, said) => self.account(who, status, &said).await,
            NotDone::Wait(status, text, seconds) => {
                let said = Said { password: true, ..Said::of(text) };
                later(self.account(who, status, &said).await, seconds)
            }
            NotDone::Unavailable(trouble) => self.unavailable(&trouble),
        }
    }

    /// Logged out, everywhere.
    fn left(&self, frames: &[String]) -> Response<Body> {
        sight::outcome("account_changed");
        let mut response = self.logged_out(None, frames);
        response.headers_mut().append(SET_COOKIE, session::cleared(&self.app));
        self.follow_session(&mut response, None);
        response
    }

    /// Ends one grant, if it is the user's own: another one's is answered like one that is not there.
    async fn end(&self, who: &LoggedIn, id: &str) -> Result<(), NotDone> {
        let gone = || NotDone::Wrong(StatusCode::NOT_FOUND, Said::wrong("account.not_connected_error"));
        let id = GrantId::parse(id, &self.app.engine.keys()).ok_or_else(gone)?;
        self.end_grant(who, id).await?.map_err(|_| gone())
    }

    async fn end_grant(&self, who: &LoggedIn, id: GrantId) -> Result<Result<(), Refusal>, Unavailable> {
        let subject = who.user.subject.clone();
        self.app
            .engine
            .end(id, self.correlation.as_str(), move |row, moment| match row {
                Some((grant, _)) if grant.terms.subject == subject => {
                    revoke::end(grant, EndReason::RevokedByUser, "", moment.now, &moment.entropy)
                }
                _ => regrant_core::Decision::refuse(Refusal::UnknownGrant),
            })
            .await
    }

    /// Ends what was not given in this browser session.
    async fn end_others(&self, who: &LoggedIn) -> Result<(), NotDone> {
        self.end_all_but(who, Some(who.session.root)).await
    }

    /// One by one. A crash in between leaves some of them: nothing was answered then, and whoever looks sees what is left.
    async fn end_each(&self, who: &LoggedIn, which: impl Fn(&Grant) -> bool) -> Result<(), Unavailable> {
        let mut after = 0;
        while let Some(slice) = self.slice(&who.user.subject, &mut after).await? {
            for found in slice.into_iter().filter(|found| found.grant.ended.is_none() && which(&found.grant)) {
                let _ = self.end_grant(who, found.grant.id).await?;
            }
        }
        Ok(())
    }

    async fn end_all(&self, who: &LoggedIn) -> Result<Vec<String>, NotDone> {
        // Of this browser's session: it knows no other.
        let frames = self.frames(&who.session.root).await?;
        self.end_all_but(who, None).await.map(|()| frames)
    }

    /// One durable write, whatever the number of grants. What an operator has ended meanwhile, and may take back, is ended by it as well,
    /// and for good.
    async fn end_all_but(&self, who: &LoggedIn, but: Option<[u8; 32]>) -> Result<(), NotDone> {
        let subject = who.user.subject.clone();
        let epoch = Epoch {
            // Whichever is next.
            number: 0,
            at: self.app.engine.now(),
            selector: Selector { subject: Some(subject.clone()), but_session: but, ..Selector::default() },
            reason: EndReason::RevokedByUser,
            detail: String::new(),
            undo_until: None,
            undone_at: None,
        };
        let told = self.told(EventKind::GrantEnded(EndReason::RevokedByUser), who, None);
        let records = vec![Record::Epoch { epoch, events: vec![told] }, Record::EndSessionsOf { subject, but }];
        if self.app.engine.commit(records).await?.first() != Some(&Outcome::Committed) {
            // So many wide revocations are kept that there is no room for another one.
            self.end_each(who, |grant| but.is_none() || grant.terms.session != but).await?;
        }
        Ok(())
    }

    /// Forgets the consent, and ends what it had given: asked again, the client has to ask the user.
    async fn withdraw(&self, who: &LoggedIn, client: &str) -> Result<(), NotDone> {
        let known = self.consent_for(who, client).await?;
        let mut records = Vec::new();
        if let Some(id) = ClientId::parse(&known.client) {
            let happened = Happened::ConsentWithdrawn(&known.subject, id);
            records.extend(cascade::follows(&happened, &self.app.settings().config.revocation, self.app.engine.now()));
        }
        records.push(Record::Event(self.told(EventKind::Consent, who, Some((WITHDRAWN, &known.client)))));
        records.push(Record::RemoveConsent { subject: known.subject.clone(), client: known.client.clone() });
        if self.app.engine.commit(records).await?.first() != Some(&Outcome::Committed) {
            self.end_each(who, |grant| grant.terms.client.as_str() == client).await?;
        }
        Ok(())
    }

    fn told(&self, kind: EventKind, who: &LoggedIn, about: Option<(&str, &str)>) -> EventRecord {
        let event = Event {
            kind,
            grant: None,
            client: about.and_then(|(_, client)| ClientId::parse(client)),
            subject: Some(who.user.subject.clone()),
            detail: about.map_or_else(|| "everything, by the user".to_owned(), |(what, _)| what.to_owned()),
        };
        EventRecord { at: self.app.engine.now(), event, correlation: self.correlation.as_str().to_owned() }
    }

    /// The user's consent for this client.
    async fn consent_for(&self, who: &LoggedIn, client: &str) -> Result<Consent, NotDone> {
        held(&self.app.engine, &who.user.subject, client).await?.ok_or_else(no_permission)
    }

    /// Pauses a client, lets it go on, or gives it an end.
    async fn limit(&self, who: &LoggedIn, action: &str, form: &Form) -> Result<&'static str, NotDone> {
        let client = form.credential("client").unwrap_or_default();
        let now = self.app.engine.now();
        let (limit, done, word) = match action {
            "pause" => (Limit::Paused, "pause", PAUSED),
            "resume" => (Limit::Resumed, "resume", RESUMED),
            _ => match form.credential("date").unwrap_or_default() {
                "" => (Limit::End(None), "no_end", UNLIMITED),
                day => (Limit::End(Some(end_of(day, now)?)), "until", LIMITED),
            },
        };
        put_consent(&self.app.engine, (&who.user.subject, client), |held: Option<&Consent>| {
            let held = held.cloned().ok_or_else(no_permission)?;
            let consent = match limit {
                Limit::Paused => Consent { paused_at: held.paused_at.or(Some(now)), ..held },
                Limit::Resumed => Consent { paused_at: None, ..held },
                Limit::End(ends_at) => Consent { ends_at, ..held },
            };
            let told = self.told(EventKind::Consent, who, Some((word, client)));
            Ok::<_, NotDone>(Some((consent, Some(Record::Event(told)))))
        })
        .await?;
        Ok(done)
    }

    async fn password(&self, who: &LoggedIn, form: &Form) -> Response<Body> {
        match self.change_password(who, form).await {
            Ok(begun) => {
                let mut response = self.done("password");
                response.headers_mut().append(SET_COOKIE, begun.header);
                self.follow_session(&mut response, Some(&begun.root));
                response
            }
            Err(NotDone::Wrong(status, said)) => self.account(who, status, &Said { password: true, ..said }).await,
            Err(not_done) => self.not_done(who, not_done).await,
        }
    }

    /// Whoever found a browser open does not know the password: it is asked for again, and guessing it is limited like a login.
    async fn change_password(&self, who: &LoggedIn, form: &Form) -> Result<Begun, NotDone> {
        let text = |name| form.text(name, MAX_PASSWORD_LEN).ok().flatten().map(|text| Zeroizing::new(text.to_owned()));
        let (Some(current), Some(new)) = (text("current_password"), text("new_password")) else {
            return Err(NotDone::Wrong(StatusCode::BAD_REQUEST, Said::wrong("account.both_passwords_error")));
        };
        let name = &who.user.name;
        let place = guessing::Place::browser(known_browser::name(&self.app, &self.headers, name), self.peer);
        let proved = match guessing::verify_password(&self.app, name, current, &place, &self.correlation).await {
            Ok(Ok(user)) => user,
            Ok(Err(refusal)) => {
                sight::refused("password_not_changed", refusal.as_str());
                return Err(NotDone::Wrong(StatusCode::UNAUTHORIZED, Said::wrong("account.wrong_password_error")));
            }
            Err(Failure::TooMany(_, wait)) => return Err(NotDone::too_many(wait)),
            Err(Failure::Busy) => {
                return Err(NotDone::Wait(StatusCode::SERVICE_UNAVAILABLE, Wrong::Key(pages::BUSY), 2));
            }
            Err(failure) => return Err(NotDone::Unavailable(failure.reason())),
        };
        let not_now = || NotDone::Wrong(StatusCode::UNAUTHORIZED, Said::wrong("account.wrong_password_error"));
        let changed = self.app.admin().replace_password(&proved, new).await?.ok_or_else(not_now)?;
        // Every session has ended with the old password; this browser has just proved the user.
        session::begin(&self.app, &self.headers, &changed, &How::by_password()).await?.ok_or_else(not_now)
    }

    /// Some grants of a user, as everybody is to see them; those behind `after`, which goes on. `None` at the end.
    async fn slice(&self, subject: &str, after: &mut u64) -> Result<Option<Vec<Loaded>>, Unavailable> {
        let question =
            Question::Grants { client: None, subject: Some(subject.to_owned()), after: *after, limit: SLICE };
        let Answer::Grants(found) = self.app.engine.ask(question).await? else { return Ok(None) };
        let Some(last) = found.last() else { return Ok(None) };
        *after = last.grant.id.number;
        let keys = self.app.engine.keys();
        Ok(Some(found.into_iter().filter_map(|found| found.believed(&keys)).collect()))
    }

    /// What of this user's can refresh, newest use first; and whether there may be more.
    async fn connections(&self, who: &LoggedIn, settings: &Settings) -> Result<(Vec<Grant>, bool), Unavailable> {
        let (mut after, mut seen, mut standing) = (0, 0, Vec::new());
        let mut more = false;
        while let Some(slice) = self.slice(&who.user.subject, &mut after).await? {
            seen += slice.len();
            let now = self.app.engine.now();
            standing.extend(slice.into_iter().filter_map(|found| {
                let client = settings.clients.get(&found.grant.terms.client)?;
                refresh::standing(&found.grant, found.subject, &client, now).ok().map(|_| found.grant)
            }));
            if seen >= MOST_ROWS {
                more = true;
                break;
            }
        }
        standing.sort_by_key(|grant| std::cmp::Reverse(grant.answered_at));
        more |= standing.len() > MOST_SHOWN;
        standing.truncate(MOST_SHOWN);
        Ok((standing, more))
    }

    async fn account(&self, who: &LoggedIn, status: StatusCode, said: &Said) -> Response<Body> {
        match self.account_page(who, status, said).await {
            Ok(response) => response,
            Err(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    async fn account_page(
        &self,
        who: &LoggedIn,
        status: StatusCode,
        said: &Said,
    ) -> Result<Response<Body>, Unavailable> {
        let settings = self.app.settings();
        let voice = self.voice();
        let words = Words { settings: &settings, voice: &voice };
        let (standing, more) = self.connections(who, &settings).await?;
        let consents = match self.app.engine.ask(Question::ConsentsOf(who.user.subject.clone())).await? {
            Answer::Consents(consents) => consents,
            _ => Vec::new(),
        };
        let events = self.events_of(who, u64::MAX, LINES).await?;
        let keys = self.app.engine.keys();
        let mut grants = Vec::with_capacity(standing.len());
        for grant in &standing {
            let place = match self.app.engine.ask(Question::Places(grant.id.number)).await? {
                Answer::Places(places) => places.map(|places| words::place(&places.last)).unwrap_or_default(),
                _ => String::new(),
            };
            let mut shown = words.grant(grant, &grant.id.display(&keys), who);
            shown.place = place;
            grants.push(shown);
        }
        let allowed: Vec<Shown> = consents.iter().map(|consent| words.consent(consent)).collect();
        let lines: Vec<Shown> = events.iter().map(|event| words.event(event)).collect();
        let scopes: Vec<Vec<pages::ScopeLine<'_>>> =
            grants.iter().chain(&allowed).map(|shown| shown.scope_lines()).collect();
        let connections: Vec<pages::Connection<'_>> =
            grants.iter().zip(&scopes).map(|(shown, scopes)| shown.connection(scopes)).collect();
        let of_consents = scopes.get(grants.len()..).unwrap_or_default();
        let allowed: Vec<pages::Allowed<'_>> =
            allowed.iter().zip(of_consents).map(|(shown, scopes)| shown.allowed(scopes)).collect();
        let happened: Vec<pages::Happened<'_>> = lines.iter().map(Shown::happened).collect();
        let csrf = session::form_token(&self.app, FormKind::Account, &who.cookie, "");
        let error = said.error.map(|error| error.said(&voice));
        let done = if said.done.is_empty() { String::new() } else { voice.say(&format!("done.{}", said.done)) };
        let page = pages::Account {
            base: self.app.issuer.path(),
            username: &who.user.name,
            csrf: &csrf,
            done: &done,
            error: error.as_deref(),
            password_failed: said.password,
            grants: &connections,
            consents: &allowed,
            history: &happened,
            more,
        };
        Ok(html(status, voice.account(&page), ""))
    }

    async fn events_of(&self, who: &LoggedIn, before: u64, limit: u32) -> Result<Vec<StoredEvent>, Unavailable> {
        let question = Question::EventsOf { subject: who.user.subject.clone(), before, limit };
        match self.app.engine.ask(question).await? {
            Answer::Events(events) => Ok(events),
            _ => Ok(Vec::new()),
        }
    }

    /// The user's own history, newest first. What operators wrote for each other is not in it.
    async fn download(&self, who: &LoggedIn) -> Result<Response<Body>, Unavailable> {
        let (mut lines, mut before) = (Vec::new(), u64::MAX);
        while lines.len() < MOST_EVENTS {
            let events = self.events_of(who, before, 1000).await?;
            let Some(last) = events.last() else { break };
            before = last.id;
            lines.extend(events.into_iter().map(|event| {
                json!({
                    "at": rfc3339(event.at),
                    "kind": event.kind,
                    "reason": event.reason,
                    "client": event.client,
                    "correlation": event.correlation,
                })
            }));
        }
        let body = json!({ "user": who.user.name, "sub": who.user.subject, "events": lines });
        let mut response = answer::json(StatusCode::OK, &body);
        let name = HeaderValue::from_static("attachment; filename=\"history.json\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
        response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

/// The end of a day that is given as `2027-01-31`: when the next one begins, in UTC.
fn end_of(day: &str, now: Timestamp) -> Result<Timestamp, NotDone> {
    let wrong = |text: &'static str| NotDone::Wrong(StatusCode::BAD_REQUEST, Said::wrong(text));
    let day: jiff::civil::Date = day.parse().map_err(|_| wrong("account.no_date_error"))?;
    let next = day.tomorrow().and_then(|next| jiff::tz::TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)));
    let end = next.map(|next| Timestamp::from_millis(next.as_millisecond()));
    let end = end.map_err(|_| wrong("account.no_date_error"))?;
    if end.is_over(now) {
        return Err(wrong("account.past_error"));
    }
    if end.since(now) > Duration::from_secs(FURTHEST.unsigned_abs() * 86_400) {
        return Err(wrong("account.far_error"));
    }
    Ok(end)
}
