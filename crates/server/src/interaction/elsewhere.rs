//! Interactions that an application of the operator's shows: out with a challenge, back with a verifier.
//!
//! ```text
//! browser → /oauth2/authorize → 303 {login}?challenge=rgq_…            nothing is stored
//! application → admin API: what is asked? accepted, or rejected → redirect_to
//! browser → /interaction?verifier=rgv_… → used, once → on, as behind our own page
//! ```
//! A verifier is looked at in this order, and nothing is used up before it is this browser's own:
//!
//! | what is wrong                                                 | then                                       |
//! |---------------------------------------------------------------|--------------------------------------------|
//! | it is none of ours                                            | an error page                              |
//! | it began in another browser, or that one's session has changed | an error page; whoever it belongs to can still use it |
//! | it is too old, or was used                                    | an error page                              |
//! | what it says does not fit any more (`core/src/interaction.rs`) | an error page; it is used                  |

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{Response, StatusCode, Uri};
use regrant_core::interaction::{self, Kind, Rejection, Reply, Rules, Then};
use regrant_core::secret::Hash;
use regrant_core::{Scope, Timestamp};
use regrant_store::{Answer as Found, Outcome, Question, Record, Unavailable};
use serde_json::Value;

use super::sealed::{Answer, Challenge, VERIFIER_LIFETIME, Verifier};
use super::{Visit, came};
use crate::app::App;
use crate::authorize::{AuthorizationRequest, Denied, Wrong};
use crate::chance;
use crate::form::{self, Form};
use crate::pages;
use crate::session::{self, FormKind, How, LoggedIn};
use crate::sight;

/// Where a verifier comes back to, below the issuer.
pub(crate) const RETURN: &str = "/interaction";

/// `GET /interaction`.
pub(crate) async fn answered(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let mut visit = Visit::of(app, &parts);
    let form = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let text = form.as_ref().ok().and_then(|form| form.credential("verifier")).unwrap_or_default();
    let response = match visit.app.interactions.open_verifier(text) {
        None => visit.over("bad_verifier"),
        Some(verifier) => {
            verifier.challenge.request.clone_into(&mut visit.about);
            visit.take(verifier).await
        }
    };
    visit.correlation.mark(response)
}

/// What an answer must fit, of the request as it is read now. `None` for a kind that is none.
pub(crate) fn rules<'a>(
    challenge: &Challenge,
    request: Option<&AuthorizationRequest>,
    acrs: &'a [&'a str],
    scope: &'a Scope,
    lifetime: Duration,
) -> Option<Rules<'a>> {
    let max_age = request.and_then(AuthorizationRequest::max_age);
    Some(Rules {
        kind: Kind::parse(&challenge.kind)?,
        began_at: Timestamp::from_millis(challenge.began_at),
        lifetime,
        anew: max_age == Some(0) || request.is_some_and(|request| request.prompt.login),
        max_age,
        acrs,
        scope,
    })
}

/// The `acr`s of which a login must have one.
pub(crate) fn acrs<'a>(known: Vec<&'a str>, request: Option<&'a AuthorizationRequest>) -> Vec<&'a str> {
    match request.map(|request| &request.wishes.acrs).filter(|acrs| !acrs.is_empty()) {
        Some(needed) => known.into_iter().filter(|acr| needed.iter().any(|needed| needed == acr)).collect(),
        None => known,
    }
}

impl Answer {
    /// In the words of the rules.
    pub(crate) fn reply(&self) -> Option<Reply> {
        Some(match self {
            Self::Login { at, acr, amr, .. } => {
                Reply::LoggedIn { at: Timestamp::from_millis(*at), acr: acr.clone(), amr: amr.clone() }
            }
            Self::Account { is_this } => Reply::Account { is_this: *is_this },
            Self::Consent { scope, .. } => Reply::Allowed(Scope::parse(scope).ok()?),
            Self::Logout => Reply::Confirmed,
            Self::Rejected { error } => Reply::Rejected(Rejection::parse(error)?),
        })
    }
}

impl Visit {
    /// Sends the browser to the application, with what is asked.
    pub(super) fn challenge(&self, url: &Uri, kind: Kind, request: &str, who: Option<&LoggedIn>) -> Response<Body> {
        let id = regrant_jose::base64url::encode(&chance::bytes::<16>());
        let (cookie, set) = match who {
            Some(who) => (who.cookie.clone(), None),
            None => session::browser(&self.app, &self.headers),
        };
        let challenge = Challenge {
            browser: session::form_token(&self.app, FormKind::Interaction, &cookie, &id),
            id,
            kind: kind.as_str().to_owned(),
            request: request.to_owned(),
            began_at: self.app.engine.now().millis(),
            subject: who.map(|who| who.user.subject.clone()),
            session: who.map(|who| session::sid(&who.session.root)),
        };
        let Some(text) = self.app.interactions.challenge(&challenge) else {
            return self.page_error(StatusCode::BAD_REQUEST, pages::BAD_REQUEST, "request_too_long");
        };
        sight::outcome("asked_elsewhere");
        let mut response = self.redirect(&with(url, &[("challenge", &text)]));
        if let Some(set) = set {
            response.headers_mut().append(SET_COOKIE, set);
        }
        response
    }

    /// Sends the browser to the application that tells of errors. The sentence is one of ours, and the same for everybody.
    pub(super) fn told_elsewhere(
        &self,
        url: &Uri,
        status: StatusCode,
        message: &'static str,
        reason: &'static str,
    ) -> Response<Body> {
        sight::outcome(reason);
        tracing::debug!(correlation = %self.correlation, status = status.as_u16(), reason, "error told elsewhere");
        let (said, status) = (self.voice().say(message), status.as_str().to_owned());
        let told = [
            ("error", reason),
            ("error_key", message),
            ("error_description", said.as_str()),
            ("status", status.as_str()),
            ("correlation_id", self.correlation.as_str()),
        ];
        self.redirect(&with(url, &told))
    }

    fn over(&self, reason: &'static str) -> Response<Body> {
        self.page_error(StatusCode::BAD_REQUEST, pages::INTERACTION_OVER, reason)
    }

    /// The table of this file.
    async fn take(&self, verifier: Verifier) -> Response<Body> {
        let Verifier { challenge, at, answer } = verifier;
        let who = match session::current(&self.app, &self.headers).await {
            Ok(who) => who,
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        };
        // What began without a session belongs to the browser, anything else to that very session (checks W11, W14, W16).
        let cookie = match (&challenge.session, &who) {
            (Some(_), Some(who)) => Some(who.cookie.clone()),
            (Some(_), None) => None,
            (None, _) => session::known_browser(&self.app, &self.headers),
        };
        let is_own = cookie.is_some_and(|cookie| {
            session::is_own_form(&self.app, FormKind::Interaction, &cookie, &challenge.id, &challenge.browser)
        });
        if !is_own {
            return self.page_error(StatusCode::FORBIDDEN, pages::INTERACTION_OVER, "foreign_interaction");
        }
        let given_at = Timestamp::from_millis(at);
        let now = self.app.engine.now();
        if now.since(given_at) >= VERIFIER_LIFETIME {
            return self.over("verifier_expired");
        }
        let key = Hash::of(format!("regrant interaction {}", challenge.id).as_bytes()).0;
        // Longer than any answer to this challenge can be good: none of them is used after another.
        let lifetime = self.app.settings().config.interactions.lifetime;
        let expires_at = now.plus(lifetime).plus(VERIFIER_LIFETIME);
        match self.app.engine.commit(vec![Record::UseOnce { key, expires_at }]).await.as_deref() {
            Ok([Outcome::Committed]) => {}
            Ok(_) => return self.over("verifier_used"),
            Err(trouble) => return self.unavailable(&trouble.to_string()),
        }
        match self.follow(&challenge, answer, who, given_at).await {
            Ok(response) => response,
            Err(trouble) => self.unavailable(&trouble.to_string()),
        }
    }

    /// What follows from an answer, at the moment it was given.
    async fn follow(
        &self,
        challenge: &Challenge,
        answer: Answer,
        who: Option<LoggedIn>,
        given_at: Timestamp,
    ) -> Result<Response<Body>, Unavailable> {
        let settings = self.app.settings();
        let query = challenge.request.as_str();
        let request = AuthorizationRequest::read(&self.app, query);
        let asked = request.as_ref().map(AuthorizationRequest::asks_for).unwrap_or_default();
        let known = acrs(settings.config.interactions.all_acr_values(), request.as_ref().ok());
        let lifetime = settings.config.interactions.lifetime;
        let rules = rules(challenge, request.as_ref().ok(), &known, &asked, lifetime);
        let then = rules.zip(answer.reply()).map(|(rules, reply)| interaction::then(&rules, reply, given_at));
        let Some(Ok(then)) = then else { return Ok(self.over("unfit_answer")) };
        match (then, answer, who) {
            (Then::BeginSession, Answer::Login { subject, at, acr, amr, claims, lifetime, remember }, _) => {
                let Found::User(Some(user)) = self.app.engine.ask(Question::UserBySubject(subject)).await? else {
                    return Ok(self.over("no_such_user"));
                };
                if user.disabled_at.is_some() {
                    return Ok(self.over("user_disabled"));
                }
                let how = How {
                    at: Some(Timestamp::from_millis(at)),
                    acr,
                    amr: amr.join(" "),
                    claims: if claims.is_empty() { String::new() } else { Value::Object(claims).to_string() },
                    lifetime: Duration::from_secs(lifetime),
                    is_remembered: remember,
                };
                let begun = self.logged_in(query, request.as_ref().ok(), &user, &how).await?;
                Ok(begun.unwrap_or_else(|| self.over("user_changed")))
            }
            (Then::GoOn, _, Some(who)) => {
                Ok(self.redirect(&came::back(&self.app, FormKind::Chose, &who.cookie, query)))
            }
            (Then::AskForLogin, ..) => Ok(self.another_account(query)),
            (Then::Answer(scope), Answer::Consent { claims, remember, .. }, Some(who)) => match request {
                Ok(mut request) => {
                    request.narrow(&scope);
                    request.said = if claims.is_empty() { String::new() } else { Value::Object(claims).to_string() };
                    Ok(self.allow(&request, &who, remember).await)
                }
                Err(Wrong::Page(message, reason)) => Ok(self.page_error(StatusCode::BAD_REQUEST, message, reason)),
                Err(Wrong::Redirect(to, denied)) => Ok(self.deny(&to, &denied)),
            },
            (Then::EndSession, _, who) => Ok(self.confirmed(query, who.as_ref()).await),
            (Then::Stay, ..) => Ok(self.redirect(&format!("{}/", self.app.issuer.path()))),
            (Then::Tell(why), ..) => match request {
                Ok(request) => Ok(self.denied(&request, &Denied::rejected(why))),
                Err(Wrong::Redirect(to, denied)) => Ok(self.deny(&to, &denied)),
                // A login for the account or a device: there is no client to tell.
                Err(Wrong::Page(..)) => Ok(self.redirect(&format!("{}/", self.app.issuer.path()))),
            },
            (Then::BeginSession | Then::GoOn | Then::Answer(_), ..) => Ok(self.over("unfit_answer")),
        }
    }
}

/// A URL of the operator's with parameters added.
fn with(url: &Uri, parameters: &[(&str, &str)]) -> String {
    let separator = if url.query().is_some() { '&' } else { '?' };
    format!("{url}{separator}{}", form::write(parameters))
}
