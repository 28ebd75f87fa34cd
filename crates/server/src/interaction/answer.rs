//! Everything is known: the client gets its answer. RFC 6749 sections 4.1.2 and 4.2.2; OpenID Connect Core sections 3.1.2.5, 3.2.2.5 and
//! 3.3.2.5.
//!
//! In this order, so that what can fail comes before the row of the code: the access token (the hook is asked), the code, the ID token,
//! which names both by their hashes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, SET_COOKIE};
use axum::http::{Response, StatusCode};
use regrant_core::client::GrantType;
use regrant_core::decision::{Change, Decision};
use regrant_core::issue::SubjectStatus;
use regrant_core::redeem::{self, CodeRequest};
use regrant_core::repeated::{Use, Value};
use regrant_core::{Event, EventKind, GrantId, Refusal, redirect};
use regrant_store::{EventRecord, Outcome, Record, Unavailable};
use zeroize::Zeroizing;

use super::{Visit, html};
use crate::answer::Failure;
use crate::authorize::{AuthorizationRequest, Denied, Destination, Way, verdict};
use crate::claims::prepare::{self, Minting};
use crate::encryption::{self, Kind, Recipient};
use crate::id_token::{self, IdToken};
use crate::mint::{self, Access};
use crate::pages;
use crate::session::LoggedIn;
use crate::session_state;
use crate::sight;

/// How long a code may be redeemed: 60 seconds (RFC 6749 section 4.1.2 recommends at most ten minutes).
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// An access token that the user's browser carries.
struct FrontToken {
    text: Zeroizing<String>,
    expires_in: String,
    scope: String,
}

/// Told to the client, or the store's failure.
enum NotGiven {
    Denied(Denied),
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotGiven {
    fn from(trouble: Unavailable) -> Self {
        Self::Unavailable(trouble)
    }
}

impl Visit {
    pub(super) async fn grant(
        &self,
        request: &AuthorizationRequest,
        who: &LoggedIn,
    ) -> Result<Response<Body>, Unavailable> {
        match self.given(request, who).await {
            Ok(response) => Ok(response),
            Err(NotGiven::Denied(denied)) => Ok(self.denied(request, &denied)),
            Err(NotGiven::Unavailable(trouble)) => Err(trouble),
        }
    }

    async fn given(&self, request: &AuthorizationRequest, who: &LoggedIn) -> Result<Response<Body>, NotGiven> {
        let kind = request.response_type;
        let (scope, resources) = (&request.granted.scope, &request.granted.resources);
        let granted = verdict(&request.client, kind, SubjectStatus::Enabled, Some(scope), resources);
        let granted = granted.map_err(|refusal| NotGiven::Denied(Denied::of(refusal)))?;
        let consent = redeem::Consent {
            subject: who.user.subject.clone(),
            granted,
            authenticated_at: who.session.authenticated_at,
            session: Some(who.session.root),
            epoch: who.epoch,
            openid: request.openid(&who.session),
        };
        // Before the code, of which there would be a row.
        let recipient = if kind.has_id_token() { self.recipient(request).await? } else { None };
        self.note_login(request, who).await?;
        let token = if kind.has_token() { Some(self.front_token(request, &consent).await?) } else { None };
        let code = if kind.has_code() { Some(self.code(request, &consent).await?) } else { None };
        let access_token = token.as_ref().map(|token| token.text.as_str());
        let (code, grant) = code.unzip();
        let code = code.as_ref().map(|code| code.as_str());
        let id_token = if kind.has_id_token() {
            Some(self.id_token(request, who, &consent, (access_token, code), recipient.as_ref())?)
        } else {
            None
        };
        self.look_for_constants(request, who, grant).await;
        let mut parameters: Vec<(&str, &str)> = code.map(|code| ("code", code)).into_iter().collect();
        if let Some(token) = &token {
            parameters.extend([
                ("access_token", token.text.as_str()),
                ("token_type", "Bearer"),
                ("expires_in", token.expires_in.as_str()),
            ]);
            if !token.scope.is_empty() {
                parameters.push(("scope", &token.scope));
            }
        }
        parameters.extend(id_token.as_ref().map(|text| ("id_token", text.as_str())));
        let root = consent.openid.is_some().then_some(&who.session.root);
        let state = root.and_then(|root| {
            session_state::for_answer(&self.app, request.client.id.as_str(), &request.to.redirect_uri, root)
        });
        parameters.extend(state.as_deref().map(|state| ("session_state", state)));
        tracing::info!(correlation = %self.correlation, client = %request.client.id, response_type = kind.as_str(), "answered");
        let mut response = self.answer(&request.to, &parameters);
        if state.is_some() {
            let cookie = session_state::cookie(&self.app, &who.session.root);
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    async fn recipient(&self, request: &AuthorizationRequest) -> Result<Option<Recipient>, NotGiven> {
        let settings = self.app.settings();
        let found =
            encryption::recipient(&self.app, &settings, &request.client, Kind::IdToken, &self.correlation).await;
        found.map_err(|_| NotGiven::Denied(Denied::UNAVAILABLE))
    }

    /// Known to the session before the client hears anything of it: whoever ends the session makes the client told.
    async fn note_login(&self, request: &AuthorizationRequest, who: &LoggedIn) -> Result<(), NotGiven> {
        if !request.client.logout.is_told() {
            return Ok(());
        }
        let (session, client) = (who.session.root, request.client.id.as_str().to_owned());
        match self.app.engine.commit(vec![Record::PutLogin { session, client }]).await?.first() {
            Some(Outcome::Committed) => Ok(()),
            // It has ended meanwhile.
            Some(Outcome::Stale) | None => Err(NotGiven::Denied(Denied::LOGIN_REQUIRED)),
        }
    }

    async fn code(
        &self,
        request: &AuthorizationRequest,
        consent: &redeem::Consent,
    ) -> Result<(Zeroizing<String>, GrantId), NotGiven> {
        // Each code is a row (check X9).
        let rate = self.app.settings().config.limits.codes_per_user;
        if self.app.limits.code(rate, &consent.subject).is_err() {
            return Err(NotGiven::Denied(Denied::TOO_MANY_CODES));
        }
        let (client, consent) = (Arc::clone(&request.client), consent.clone());
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
                    Some(text) => Decision::accept(Change::Created, grant, (Zeroizing::new(text), id)),
                    None => Decision::refuse(Refusal::SeedKeyNotYet),
                }
            })
            .await?;
        made.map_err(|_| NotGiven::Denied(Denied::UNAVAILABLE))
    }

    /// RFC 9700 section 2.1.1: "detecting […] the use of constant values for the PKCE challenge or OpenID Connect nonce". The user gets his
    /// answer all the same.
    async fn look_for_constants(&self, request: &AuthorizationRequest, who: &LoggedIn, grant: Option<GrantId>) {
        let (client, now) = (&request.client.id, self.app.engine.now());
        // Where there is no code, a challenge protects nothing.
        let challenge = request.challenge.as_ref().filter(|_| grant.is_some()).map(|hash| hash.0.as_slice());
        let nonce = request.wishes.nonce.as_deref().map(str::as_bytes);
        for (kind, value) in [(Value::CodeChallenge, challenge), (Value::Nonce, nonce)] {
            let Some(value) = value else { continue };
            let used = self.app.repeated.used(client, kind, value, &who.session.root, now);
            self.app.metrics.repeated.count(kind, used);
            if used != Use::OtherSession || !self.app.repeated.is_to_be_told(client, now) {
                continue;
            }
            tracing::warn!(correlation = %self.correlation, client = %client, reason = kind.reason(), "a client uses one value in several sessions that is to be made anew for each");
            let detail = "seen in another session within a day before".to_owned();
            let event =
                Event { kind: EventKind::Constant(kind), grant, client: Some(client.clone()), subject: None, detail };
            let record = EventRecord { at: now, event, correlation: self.correlation.as_str().to_owned() };
            if let Err(trouble) = self.app.engine.commit(vec![Record::Event(record)]).await {
                tracing::error!(correlation = %self.correlation, %trouble, "an event could not be kept");
            }
        }
    }

    /// RFC 6749 section 4.2.2: "The authorization server MUST NOT issue a refresh token."
    async fn front_token(
        &self,
        request: &AuthorizationRequest,
        consent: &redeem::Consent,
    ) -> Result<FrontToken, NotGiven> {
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
        let mut claims = prepare::of((&self.app, &settings), minting).await.map_err(|failure| match failure {
            Failure::HookDenied => NotGiven::Denied(Denied::HOOK),
            failure => {
                tracing::error!(correlation = %self.correlation, reason = %failure.reason(), "no access token");
                NotGiven::Denied(Denied::UNAVAILABLE)
            }
        })?;
        // There is no grant in which the userinfo endpoint could look them up.
        claims.ask_at_userinfo(&request.wishes.claims.userinfo);
        let expires_in = request.client.policy.access_token_lifetime.as_secs().max(1);
        let scope = settings.scope_at(&consent.granted.scope, &consent.granted.resources);
        let access = Access {
            grant: None,
            client: &request.client,
            subject: &consent.subject,
            scope: &scope,
            resources: &consent.granted.resources,
            session: consent.session,
            authenticated_at: Some(consent.authenticated_at),
            claims: &claims,
            expires_in,
            now: self.app.engine.now(),
        };
        tracing::warn!(correlation = %self.correlation, client = %request.client.id, "implicit grant used: RFC 9700 section 2.1.2 says that it SHOULD NOT be");
        let text = mint::without_grant(&self.app, &settings, access, consent.epoch).await?.map(Zeroizing::new);
        let text = text.ok_or(NotGiven::Denied(Denied::UNAVAILABLE))?;
        Ok(FrontToken { text, expires_in: expires_in.to_string(), scope: scope.to_string() })
    }

    fn id_token(
        &self,
        request: &AuthorizationRequest,
        who: &LoggedIn,
        consent: &redeem::Consent,
        (access_token, code): (Option<&str>, Option<&str>),
        recipient: Option<&Recipient>,
    ) -> Result<Zeroizing<String>, NotGiven> {
        let openid = consent.openid.as_ref().ok_or(NotGiven::Denied(Denied::UNAVAILABLE))?;
        let claims = id_token::claims_at_once(&who.user, request.response_type, &consent.granted.scope, openid)?;
        let claims = claims.ok_or(NotGiven::Denied(Denied::TOO_LARGE))?;
        let token = IdToken {
            client: &request.client,
            subject: &consent.subject,
            openid,
            nonce: openid.nonce.as_deref(),
            authenticated_at: consent.authenticated_at,
            session: consent.session.as_ref(),
            access_token,
            code,
            claims,
            now: self.app.engine.now(),
            recipient,
        };
        id_token::mint(&self.app, token).map(Zeroizing::new).ok_or(NotGiven::Denied(Denied::UNAVAILABLE))
    }

    pub(super) fn denied(&self, request: &AuthorizationRequest, denied: &Denied) -> Response<Body> {
        self.deny(&request.to, denied)
    }

    pub(super) fn deny(&self, to: &Destination, denied: &Denied) -> Response<Body> {
        sight::refused(denied.error, denied.description);
        tracing::debug!(correlation = %self.correlation, error = denied.error, reason = denied.description, "authorization denied");
        self.answer(to, &[("error", denied.error), ("error_description", denied.description)])
    }

    fn answer(&self, to: &Destination, parameters: &[(&str, &str)]) -> Response<Body> {
        match to.answer(self.app.issuer(), parameters) {
            Way::Redirect(url) => self.redirect(&url),
            Way::Post(fields) => self.form_post(to, &fields),
        }
    }

    /// OAuth 2.0 Form Post Response Mode section 2: "encoded as HTML form values that are auto-submitted in the User Agent"; by a
    /// button where there are no scripts.
    fn form_post(&self, to: &Destination, fields: &[(String, String)]) -> Response<Body> {
        let fields: Vec<pages::Field<'_>> = fields.iter().map(|(name, value)| pages::Field { name, value }).collect();
        let page = pages::FormPost {
            base: self.app.issuer.path(),
            action: &to.redirect_uri,
            client_host: redirect::shown(&to.redirect_uri),
            fields: &fields,
            script: pages::form_post_script().0,
        };
        let mut response = html(StatusCode::OK, self.voice().form_post(&page), "");
        // The one page with a script, our own.
        let schemes = to.form_action();
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action {schemes}; base-uri 'none'; frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}
