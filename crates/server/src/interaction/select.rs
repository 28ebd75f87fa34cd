//! `prompt=select_account`: OpenID Connect Core section 3.1.2.1, "prompt the End-User to select a user account". A browser has one account
//! at a time: to go on with it, or to log in to another.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use regrant_core::Scope;
use regrant_core::interaction::{self, Kind, Reply, Then};

use super::{Visit, came, html, own_page, voice};
use crate::authorize::AuthorizationRequest;
use crate::form::Form;
use crate::pages;
use crate::session::{self, FormKind, LoggedIn};

impl Visit {
    pub(super) fn select_page(&self, request: &AuthorizationRequest, query: &str, who: &LoggedIn) -> Response<Body> {
        if let Some(url) = &self.app.settings().config.interactions.login {
            return self.challenge(url, Kind::Select, query, Some(who));
        }
        let csrf = session::form_token(&self.app, FormKind::Select, &who.cookie, query);
        let page = pages::Select {
            base: self.app.issuer.path(),
            client_name: &request.client.name,
            username: &who.user.name,
            request: query,
            csrf: &csrf,
        };
        let voice = voice(&self.app, &self.headers, query);
        html(StatusCode::OK, voice.select(&page), &self.form_action(Some(&request.to)))
    }

    /// An account was chosen.
    pub(super) async fn select(&self, form: &Form) -> Response<Body> {
        let query = form.credential("request").unwrap_or_default();
        let token = form.credential("csrf").unwrap_or_default();
        let who = match session::current(&self.app, &self.headers).await {
            Ok(Some(who)) => who,
            Ok(None) => return self.authorize(query).await,
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        if !session::is_own_form(&self.app, FormKind::Select, &who.cookie, query, token) {
            return self.page_error(StatusCode::FORBIDDEN, pages::SESSION_CHANGED, "foreign_form");
        }
        let reply = Reply::Account { is_this: form.credential("account") == Some("this") };
        let (none, now) = (Scope::default(), self.app.engine.now());
        match interaction::then(&own_page(Kind::Select, &none, now), reply, now) {
            Ok(Then::GoOn) => self.redirect(&came::back(&self.app, FormKind::Chose, &who.cookie, query)),
            _ => self.another_account(query),
        }
    }

    pub(super) fn another_account(&self, query: &str) -> Response<Body> {
        let request = AuthorizationRequest::read(&self.app, query).ok();
        let hint = request.as_ref().map_or("", |request| request.wishes.login_hint.as_str());
        self.login_page(StatusCode::OK, request.as_ref(), query, hint, None)
    }
}
