//! The browser's login session, its cookies, and the form tokens against cross-site requests.
//!
//! A cookie holds 256 random bits; the store holds a keyed hash of them. The session id is new at each login. Form tokens are
//! bound to the cookie and to the very request that the page shows: a page of one browser, of one user, or of another request
//! decides nothing here (checks W11, W14, W16).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use regrant_core::openid::{ACR_PASSWORD, AMR_PASSWORD};
use regrant_core::{Timestamp, codec};
use regrant_store::{Answer, EventRecord, Outcome, Question, Record, Session, Unavailable, User};
use zeroize::Zeroizing;

use crate::answer::Failure;
use crate::app::App;
use crate::cascade::{self, Happened};
use crate::chance;
use crate::limits::budget::Budget;
use crate::limits::guessing::Place;
use crate::passwords::Busy;
use crate::passwords::Stored;

/// A login lasts this long: 12 hours.
pub(crate) const LOGIN_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// The longest user name, in bytes.
pub(crate) const MAX_USERNAME_LEN: usize = 256;

const COOKIE_PREFIX: &str = "rgb_";

/// Someone who is logged in here.
#[derive(Clone, Debug)]
pub(crate) struct LoggedIn {
    pub(crate) session: Session,
    pub(crate) user: User,
    /// The cookie's bytes, which form tokens are bound to.
    pub(crate) cookie: Zeroizing<[u8; 32]>,
    /// How many wide revocations there had been before all this was looked at.
    pub(crate) epoch: u64,
}

/// What a form token is for: one for the login page opens no consent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FormKind {
    Login,
    Consent,
    Logout,
    Account,
    Device,
    /// The page that shows the account.
    Select,
    /// No form: that the browser comes from the login page, or from the one that shows the account, with this request.
    LoggedIn,
    Chose,
    /// No form either: that an interaction began in this browser.
    Interaction,
}

impl FormKind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Login => b"login",
            Self::Consent => b"consent",
            Self::Logout => b"logout",
            Self::Account => b"account",
            Self::Device => b"device",
            Self::Select => b"select",
            Self::LoggedIn => b"logged in",
            Self::Chose => b"chose",
            Self::Interaction => b"interaction",
        }
    }
}

/// Who is logged in at this browser, if the session lives and its user may log in.
pub(crate) async fn current(app: &App, headers: &HeaderMap) -> Result<Option<LoggedIn>, Unavailable> {
    let Some(cookie) = read_cookie(app, headers, "session") else { return Ok(None) };
    let epoch = app.engine.epoch_of_all().await?;
    let Answer::Session(Some(session)) = app.engine.ask(Question::Session(session_id(app, &cookie))).await? else {
        return Ok(None);
    };
    if session.expires_at.is_over(app.engine.now()) {
        return Ok(None);
    }
    let Answer::User(Some(user)) = app.engine.ask(Question::UserBySubject(session.subject.clone())).await? else {
        return Ok(None);
    };
    Ok(user.disabled_at.is_none().then_some(LoggedIn { session, user, cookie, epoch }))
}

/// A session that has begun.
pub(crate) struct Begun {
    /// The `Set-Cookie` value.
    pub(crate) header: HeaderValue,
    /// The cookie's bytes.
    pub(crate) cookie: Zeroizing<[u8; 32]>,
    /// The root of the session.
    pub(crate) root: [u8; 32],
}

/// Whether the user has this password still, and may log in.
async fn is_still(app: &App, user: &User) -> Result<bool, Unavailable> {
    let found = app.engine.ask(Question::UserBySubject(user.subject.clone())).await?;
    Ok(matches!(found, Answer::User(Some(now)) if now.password == user.password && now.disabled_at.is_none()))
}

/// How somebody has logged in.
#[derive(Clone, Debug)]
pub(crate) struct How {
    /// When; now unless said.
    pub(crate) at: Option<Timestamp>,
    /// How strongly.
    pub(crate) acr: String,
    /// By what, space-separated.
    pub(crate) amr: String,
    /// What else is said of it: a JSON object, or nothing.
    pub(crate) claims: String,
    /// How long the session lasts, at most [`LOGIN_LIFETIME`].
    pub(crate) lifetime: Duration,
    /// Whether the browser keeps the session when it is closed.
    pub(crate) is_remembered: bool,
}

impl How {
    /// By password, here.
    pub(crate) fn by_password() -> Self {
        Self {
            at: None,
            acr: ACR_PASSWORD.to_owned(),
            amr: AMR_PASSWORD.to_owned(),
            claims: String::new(),
            lifetime: LOGIN_LIFETIME,
            is_remembered: true,
        }
    }
}

/// Begins a session of the user as the password was compared with. Where this browser had one of the same user, it goes on under another
/// cookie; another user's is ended, as by a logout. `None` if the password was changed, or the user disabled or removed, while it was
/// compared: what that ended must not begin again.
pub(crate) async fn begin(
    app: &App,
    headers: &HeaderMap,
    user: &User,
    how: &How,
) -> Result<Option<Begun>, Unavailable> {
    let cookie = Zeroizing::new(chance::bytes::<32>());
    let now = app.engine.now();
    let id = session_id(app, &cookie);
    let subject = user.subject.clone();
    let lifetime = how.lifetime.min(LOGIN_LIFETIME);
    let session = Session {
        id,
        root: id,
        subject,
        authenticated_at: how.at.unwrap_or(now).min(now),
        expires_at: now.plus(lifetime),
        acr: how.acr.clone(),
        amr: how.amr.clone(),
        claims: how.claims.clone(),
    };
    let mut root = id;
    match before(app, headers).await? {
        Some(old) if old.subject == user.subject && !old.expires_at.is_over(now) => {
            let renewed = Session { root: old.root, ..session.clone() };
            let renew = Record::RenewSession { before: old.id, session: renewed };
            // Somebody ended it meanwhile: this is the first one, then.
            if app.engine.commit(vec![renew]).await?.first() == Some(&Outcome::Committed) {
                root = old.root;
            } else {
                app.engine.commit(vec![Record::PutSession(session)]).await?;
            }
        }
        Some(old) => {
            let happened = logged_out(app, &old);
            let settings = app.settings();
            let follows =
                happened.iter().filter_map(|happened| cascade::follows(happened, &settings.config.revocation, now));
            let end = Record::EndSession { id: old.id };
            let records = [end].into_iter().chain(follows).chain([Record::PutSession(session)]).collect();
            app.engine.commit(records).await?;
        }
        None => {
            app.engine.commit(vec![Record::PutSession(session)]).await?;
        }
    }
    // Looked at behind the commit, and before anybody has the cookie: what ends sessions from here on ends this one as well.
    if !is_still(app, user).await? {
        app.engine.commit(vec![Record::EndSession { id }]).await?;
        return Ok(None);
    }
    let kept = how.is_remembered.then_some(lifetime);
    let header = set_cookie(app, "session", &codec::encode(COOKIE_PREFIX, cookie.as_ref()), kept);
    Ok(Some(Begun { header, cookie, root }))
}

/// What it is that the user of a session logs out of it.
pub(crate) fn logged_out<'a>(app: &App, session: &'a Session) -> Vec<Happened<'a>> {
    let settings = app.settings();
    cascade::logged_out(session, &settings.clients, &settings.config.revocation)
}

/// Ends this browser's session, with what follows from it and is told of it, in one commit. Returns the `Set-Cookie` value that clears the cookie.
pub(crate) async fn end(
    app: &App,
    headers: &HeaderMap,
    ended: Option<(&[Happened<'_>], EventRecord)>,
) -> Result<HeaderValue, Unavailable> {
    if let Some(cookie) = read_cookie(app, headers, "session") {
        let (settings, now) = (app.settings(), app.engine.now());
        let mut records = vec![Record::EndSession { id: session_id(app, &cookie) }];
        if let Some((happened, told)) = ended {
            let revocation = &settings.config.revocation;
            records.extend(happened.iter().filter_map(|happened| cascade::follows(happened, revocation, now)));
            records.push(Record::Event(told));
        }
        app.engine.commit(records).await?;
    }
    Ok(cleared(app))
}

/// The session that this browser had, whatever has become of it.
async fn before(app: &App, headers: &HeaderMap) -> Result<Option<Session>, Unavailable> {
    let Some(cookie) = read_cookie(app, headers, "session") else { return Ok(None) };
    match app.engine.ask(Question::Session(session_id(app, &cookie))).await? {
        Answer::Session(session) => Ok(session),
        _ => Ok(None),
    }
}

/// The `sid` of a session, by its root: what ID tokens, logout tokens, commands and views call it. It is the keyed hash of the session's
/// first cookie, which opens nothing; the same for as long as the browser stays logged in as this user.
pub(crate) fn sid(root: &[u8; 32]) -> String {
    codec::encode_plain(root)
}

/// What scripts see of a session: OpenID Connect Session Management 1.0 section 3.2.
pub(crate) fn browser_state(app: &App, root: &[u8; 32]) -> String {
    let state = hmac::sign(&app.browser_state_key, root);
    codec::encode_plain(state.as_ref().get(..16).unwrap_or_default())
}

/// The `Set-Cookie` value that clears the cookie.
pub(crate) fn cleared(app: &App) -> HeaderValue {
    set_cookie(app, "session", "", Some(Duration::ZERO))
}

/// The cookie that binds a login page to its browser before anybody is logged in; a new one where there is none.
pub(crate) fn browser(app: &App, headers: &HeaderMap) -> (Zeroizing<[u8; 32]>, Option<HeaderValue>) {
    if let Some(known) = read_cookie(app, headers, "browser") {
        return (known, None);
    }
    let fresh = Zeroizing::new(chance::bytes::<32>());
    let header = set_cookie(app, "browser", &codec::encode(COOKIE_PREFIX, fresh.as_ref()), None);
    (fresh, Some(header))
}

/// The browser's cookie, if it has one.
pub(crate) fn known_browser(app: &App, headers: &HeaderMap) -> Option<Zeroizing<[u8; 32]>> {
    read_cookie(app, headers, "browser")
}

/// A form token for this page, this cookie and this request.
pub(crate) fn form_token(app: &App, kind: FormKind, cookie: &[u8; 32], request: &str) -> String {
    let mut context = hmac::Context::with_key(&app.csrf_key);
    context.update(kind.label());
    context.update(cookie);
    context.update(request.as_bytes());
    codec::encode_plain(context.sign().as_ref().get(..20).unwrap_or_default())
}

/// Whether a form came from our own page.
pub(crate) fn is_own_form(app: &App, kind: FormKind, cookie: &[u8; 32], request: &str, token: &str) -> bool {
    let expected = form_token(app, kind, cookie, request);
    constant_time::verify_slices_are_equal(expected.as_bytes(), token.as_bytes()).is_ok()
}

/// Names are compared without case and surrounding space, so that one user has one name (check B1).
pub(crate) fn normalise(name: &str) -> String {
    name.trim().to_lowercase()
}

/// What came of a password.
#[derive(Debug)]
pub(crate) enum Verified {
    /// It is this user's, who may have been disabled.
    Fits(User),
    /// It is not this user's, or there is none.
    Wrong(Option<User>),
}

/// Whether this is the user's password. An unknown name costs the same work. How often one may ask is decided elsewhere:
/// [`guessing::verify_password`](crate::limits::guessing::verify_password).
pub(crate) async fn verify_password(
    app: &App,
    name: &str,
    password: Zeroizing<String>,
    place: &Place,
) -> Result<Verified, Failure> {
    let Answer::User(user) = app.engine.ask(Question::UserByName(normalise(name))).await? else {
        return Ok(Verified::Wrong(None));
    };
    let hash = user.as_ref().map(|user| user.password.as_str());
    let fits = app.passwords.verify(password.clone(), hash, place).await.map_err(|busy| match busy {
        Busy::Full => Failure::Busy,
        Busy::Share => Failure::TooMany(Budget::Passwords, Duration::from_secs(1)),
    })?;
    Ok(match user {
        Some(user) if fits && user.disabled_at.is_none() => Verified::Fits(renewed(app, user, password).await),
        Some(user) if fits => Verified::Fits(user),
        user => Verified::Wrong(user),
    })
}

/// Makes a hash of another server, or of weaker parameters than today's, anew: the password is known at this moment only. One
/// durable write. Where it cannot be done now it is done at the next login; and never over what an operator wrote meanwhile.
/// The user as he is then.
async fn renewed(app: &App, user: User, password: Zeroizing<String>) -> User {
    if Stored::read(&user.password).is_ok_and(|stored| stored.is_current()) {
        return user;
    }
    let Ok(password) = app.passwords.hash(password).await else { return user };
    let renewed = User { password, version: user.version.saturating_add(1), ..user.clone() };
    let put = Record::PutUser { expected: user.version, user: renewed.clone() };
    match app.engine.commit(vec![put]).await.as_deref() {
        Ok([Outcome::Committed]) => {
            tracing::info!(subject = %user.subject, "password hash renewed");
            return renewed;
        }
        Ok(_) => tracing::info!(subject = %user.subject, "password hash not renewed: the user was changed meanwhile"),
        Err(trouble) => tracing::warn!(subject = %user.subject, %trouble, "password hash not renewed"),
    }
    user
}

fn session_id(app: &App, cookie: &[u8; 32]) -> [u8; 32] {
    let mut id = [0; 32];
    id.copy_from_slice(hmac::sign(&app.session_key, cookie).as_ref());
    id
}

fn read_cookie(app: &App, headers: &HeaderMap, kind: &str) -> Option<Zeroizing<[u8; 32]>> {
    let name = app.issuer.cookie(kind);
    cookie_texts(headers, &name).find_map(|value| codec::decode(COOKIE_PREFIX, value).map(Zeroizing::new))
}

/// The values of a cookie, as they were sent.
pub(crate) fn cookie_texts<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// `HttpOnly`, so that no script reads it; `SameSite=Lax`, for a login begins with a link from elsewhere.
pub(crate) fn set_cookie(app: &App, kind: &str, value: &str, lifetime: Option<Duration>) -> HeaderValue {
    let name = app.issuer.cookie(kind);
    let secure = if app.issuer.is_https() { "; Secure" } else { "" };
    let age = lifetime.map_or_else(String::new, |lifetime| format!("; Max-Age={}", lifetime.as_secs()));
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whoever is logged in, for a page that only shows the name.
pub(crate) async fn current_name(app: &Arc<App>, headers: &HeaderMap) -> Option<String> {
    current(app, headers).await.ok().flatten().map(|who| who.user.name)
}
