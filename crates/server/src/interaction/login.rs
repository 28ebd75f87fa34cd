//! A password was sent with the login page: OpenID Connect Core section 3.1.2.3.
//!
//! Whatever was wrong, the page says the same; whoever has failed too often is told how long to wait.

use axum::body::Body;
use axum::http::header::SET_COOKIE;
use axum::http::{Response, StatusCode};
use regrant_core::{EventKind, Refusal};
use zeroize::Zeroizing;

use super::account::ACCOUNT;
use super::device;
use super::{Visit, came, later, rounded_up, spoken};
use crate::answer::Failure;
use crate::authorize::AuthorizationRequest;
use crate::form::Form;
use crate::limits::guessing::{self, Place};
use crate::limits::known_browser;
use crate::pages;
use crate::passwords::MAX_PASSWORD_LEN;
use crate::session::{self, FormKind, MAX_USERNAME_LEN};
use crate::session_state;
use crate::sight;

impl Visit {
    /// A password was sent.
    pub(super) async fn login(&self, form: &Form) -> Response<Body> {
        let query = form.credential("request").unwrap_or_default();
        let request = AuthorizationRequest::read(&self.app, query).ok();
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
                Some(pages::EXPIRED_FORM),
            );
        }
        let password = form.text("password", MAX_PASSWORD_LEN).ok().flatten().unwrap_or_default();
        let password = Zeroizing::new(password.to_owned());
        let again = |status, error: &str| self.login_page(status, request.as_ref(), query, username, Some(error));
        let account = session::normalise(username);
        let place = Place::browser(known_browser::name(&self.app, &self.headers, &account), self.peer);
        let user = match guessing::verify_password(&self.app, username, password, &place, &self.correlation).await {
            Ok(Ok(user)) => user,
            // A disabled user hears what a wrong password hears.
            Ok(Err(refusal)) => {
                sight::refused("login_failed", refusal.as_str());
                return again(StatusCode::UNAUTHORIZED, pages::WRONG_CREDENTIALS);
            }
            Err(failure @ Failure::TooMany(_, wait)) => {
                sight::refused("login_refused", &failure.reason());
                let seconds = wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1);
                let text = format!("Too many attempts. Please wait {} and try again.", spoken(rounded_up(seconds)));
                return later(again(StatusCode::TOO_MANY_REQUESTS, &text), seconds);
            }
            Err(Failure::Busy) => {
                sight::outcome("busy");
                return later(again(StatusCode::SERVICE_UNAVAILABLE, pages::BUSY), 2);
            }
            Err(failure) => return self.unavailable(&failure.reason()),
        };
        // The session id is renewed at login (check G1).
        let begun = match session::begin(&self.app, &self.headers, &user).await {
            Ok(Some(begun)) => begun,
            // It was the user's password when it was sent.
            Ok(None) => {
                sight::refused("login_failed", Refusal::WrongPassword.as_str());
                return again(StatusCode::UNAUTHORIZED, pages::WRONG_CREDENTIALS);
            }
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        sight::outcome("logged_in");
        self.note(EventKind::Login, &user.subject, request.as_ref()).await;
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
        if let Some(state) = session_state::followed(&self.app, &self.headers, Some(&begun.root)) {
            response.headers_mut().append(SET_COOKIE, state);
        }
        let known = known_browser::remember(&self.app, &self.headers, &account);
        response.headers_mut().append(SET_COOKIE, begun.header);
        response.headers_mut().append(SET_COOKIE, known);
        response
    }
}
