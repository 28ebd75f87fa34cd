//! A password was sent with the login page: OpenID Connect Core section 3.1.2.3.
//!
//! Whatever was wrong, the page says the same; whoever has failed too often is told how long to wait.

use axum::body::Body;
use axum::http::header::SET_COOKIE;
use axum::http::{Response, StatusCode};
use regrant_core::interaction::{self, Kind, Reply, Then};
use regrant_core::{EventKind, Refusal, Scope};
use regrant_store::{Unavailable, User};
use zeroize::Zeroizing;

use super::account::ACCOUNT;
use super::device;
use super::{Visit, came, later, own_page, rounded_up};
use crate::answer::Failure;
use crate::authorize::AuthorizationRequest;
use crate::form::Form;
use crate::limits::guessing::{self, Place};
use crate::limits::known_browser;
use crate::pages;
use crate::passwords::MAX_PASSWORD_LEN;
use crate::session::{self, FormKind, How, MAX_USERNAME_LEN};
use crate::sight;

impl Visit {
    /// A password was sent.
    pub(super) async fn login(&self, form: &Form) -> Response<Body> {
        let query = form.credential("request").unwrap_or_default();
        let request = AuthorizationRequest::read(&self.app, query).ok();
        if self.app.settings().config.interactions.login.is_some() {
            // Passwords are the application's to ask for: a page of before opens nothing.
            return self.login_page(StatusCode::OK, request.as_ref(), query, "", None);
        }
        let token = form.credential("csrf").unwrap_or_default();
        let username = form.text("username", MAX_USERNAME_LEN).ok().flatten().unwrap_or_default();
        let own = session::known_browser(&self.app, &self.headers)
            .is_some_and(|cookie| session::is_own_form(&self.app, FormKind::Login, &cookie, query, token));
        if !own {
            return self.login_page(
                StatusCode::FORBIDDEN,
                request.as_ref(),
                query,
                username,
                Some(&self.voice().say(pages::EXPIRED_FORM)),
            );
        }
        let password = form.text("password", MAX_PASSWORD_LEN).ok().flatten().unwrap_or_default();
        let password = Zeroizing::new(password.to_owned());
        let voice = self.voice();
        let again = |status, error: &str| self.login_page(status, request.as_ref(), query, username, Some(error));
        let account = session::normalise(username);
        let place = Place::browser(known_browser::name(&self.app, &self.headers, &account), self.peer);
        let user = match guessing::verify_password(&self.app, username, password, &place, &self.correlation).await {
            Ok(Ok(user)) => user,
            // A disabled user hears what a wrong password hears.
            Ok(Err(refusal)) => {
                sight::refused("login_failed", refusal.as_str());
                return again(StatusCode::UNAUTHORIZED, &voice.say(pages::WRONG_CREDENTIALS));
            }
            Err(failure @ Failure::TooMany(_, wait)) => {
                sight::refused("login_refused", &failure.reason());
                let seconds = wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1);
                let text = voice.say_with("login.wait_error", &[("time", &voice.spoken(rounded_up(seconds)))]);
                return later(again(StatusCode::TOO_MANY_REQUESTS, &text), seconds);
            }
            Err(Failure::Busy) => {
                sight::outcome("busy");
                return later(again(StatusCode::SERVICE_UNAVAILABLE, &voice.say(pages::BUSY)), 2);
            }
            Err(failure) => return self.unavailable(&failure.reason()),
        };
        let how = How::by_password();
        let (none, now) = (Scope::default(), self.app.engine.now());
        let reply = Reply::LoggedIn { at: now, acr: how.acr.clone(), amr: vec![how.amr.clone()] };
        if interaction::then(&own_page(Kind::Login, &none, now), reply, now) != Ok(Then::BeginSession) {
            return again(StatusCode::UNAUTHORIZED, &voice.say(pages::WRONG_CREDENTIALS));
        }
        match self.logged_in(query, request.as_ref(), &user, &how).await {
            Ok(Some(mut response)) => {
                let known = known_browser::remember(&self.app, &self.headers, &account);
                response.headers_mut().append(SET_COOKIE, known);
                response
            }
            // It was the user's password when it was sent.
            Ok(None) => {
                sight::refused("login_failed", Refusal::WrongPassword.as_str());
                again(StatusCode::UNAUTHORIZED, &voice.say(pages::WRONG_CREDENTIALS))
            }
            Err(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    /// Somebody has logged in, here or with the application that asks in our place: a session begins, and whatever led to the login goes
    /// on. `None` if the user must not log in any more.
    pub(super) async fn logged_in(
        &self,
        query: &str,
        request: Option<&AuthorizationRequest>,
        user: &User,
        how: &How,
    ) -> Result<Option<Response<Body>>, Unavailable> {
        // The session id is renewed at login (check G1).
        let Some(begun) = session::begin(&self.app, &self.headers, user, how).await? else { return Ok(None) };
        sight::outcome("logged_in");
        self.note(EventKind::Login, &user.subject, request).await;
        // Where one goes on is one of these three: no form leads to an address of somebody else's (check R13).
        let to = match query {
            "" => format!("{}/", self.app.issuer.path()),
            ACCOUNT => format!("{}/account", self.app.issuer.path()),
            query => match device::after_login(&self.app, query) {
                Some(to) => to,
                None => came::back(&self.app, FormKind::LoggedIn, &begun.cookie, query),
            },
        };
        let mut response = self.redirect(&to);
        self.follow_session(&mut response, Some(&begun.root));
        response.headers_mut().append(SET_COOKIE, begun.header);
        Ok(Some(response))
    }
}
