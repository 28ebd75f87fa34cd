//! The token endpoint: RFC 6749 section 3.2, with sections 4.1.3, 4.3.2, 4.4.2 and 6.
//!
//! The answer has one precedence, which a test pins: a malformed request, then `invalid_client`, then the token. The work may
//! be done in the cheap order, but nothing is read from the grant store, and nothing is told about the token, before the
//! client is authenticated.
//!
//! Where a token carries more than RFC 9068 prescribes, that is found before the decision: see `claims/prepare.rs`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use regrant_core::client::GrantType;
use regrant_core::issue::{self, Ask, Granted, SubjectStatus};
use regrant_core::redeem::{self, Consent, Issued};
use regrant_core::refresh::{self, How, Refreshed};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, RefreshToken};
use regrant_core::{Client, Grant, GrantId, Refusal, Resources, Scope, Timestamp};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use zeroize::Zeroizing;

use crate::answer::{Failure, json};
use crate::app::{App, Settings};
use crate::claims::TokenClaims;
use crate::claims::prepare::{self, Minting};
use crate::client_auth;
use crate::correlation::Correlation;
use crate::cors;
use crate::engine::{Moment, Row};
use crate::form::{Form, Malformed};
use crate::limits::guessing::{self, Place};
use crate::mint::{self, Access};
use crate::peer::Peer;
use crate::request::post_form;
use crate::session;
use crate::sight;

/// `POST /oauth2/token` and its aliases.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let (origin, peer) = (cors::origin(request.headers()), Peer::of(request.extensions()));
    // Once: the request sees one configuration, whatever is reloaded meanwhile.
    let settings = app.settings();
    let mut client = None;
    let answered = answer(&app, &settings, request, &correlation, &mut client).await;
    let mut response = match answered {
        Ok(tokens) => json(StatusCode::OK, &tokens),
        Err(failure) => {
            let failure = app.limits.failed(&app, peer, client.as_deref(), failure);
            failure.answer_to(client.as_deref(), &app, &settings, &correlation)
        }
    };
    cors::allow(&mut response, origin.as_deref(), client.as_deref(), &settings.clients);
    correlation.mark(response)
}

async fn answer(
    app: &App,
    settings: &Settings,
    request: Request,
    correlation: &Correlation,
    client: &mut Option<Arc<Client>>,
) -> Result<Tokens, Failure> {
    let (parts, form) = post_form(request).await?;
    let peer = Peer::of(&parts.extensions);
    let asked = Asked::read(&form, &parts.headers)?;
    let known = client_auth::read(&parts.headers, &form)??.prove(app, settings, peer, correlation)?;
    *client = Some(Arc::clone(&known));
    let ask = Asking { app, settings, client: &known, peer, correlation };
    match asked? {
        Asked::Refresh(asked) => ask.refresh(asked).await,
        Asked::Code(asked) => ask.redeem(asked).await,
        Asked::Password(asked) => ask.password(asked).await,
        Asked::ClientCredentials { scope, resources } => ask.client_credentials(scope.as_ref(), &resources).await,
    }
}

/// A token request, parsed.
enum Asked {
    Refresh(RefreshRequest),
    Code(CodeRequest),
    Password(PasswordRequest),
    ClientCredentials { scope: Option<Scope>, resources: Resources },
}

struct RefreshRequest {
    token: Zeroizing<String>,
    scope: Option<Scope>,
    resources: Resources,
    idempotency_key: Option<Hash>,
}

struct CodeRequest {
    code: Zeroizing<String>,
    redirect_uri: Option<String>,
    verifier: Option<Zeroizing<String>>,
    resources: Resources,
}

struct PasswordRequest {
    username: String,
    password: Zeroizing<String>,
    scope: Option<Scope>,
    resources: Resources,
}

impl Asked {
    /// The outer error is a malformed request. The inner one is told only to an authenticated client: an unknown grant type,
    /// scope or resource.
    fn read(form: &Form, headers: &HeaderMap) -> Result<Result<Asked, Failure>, Failure> {
        let grant_type = form.ascii("grant_type", 128)?.ok_or(Malformed::Missing("grant_type"))?;
        // What can be wrong with these is told after authentication; that they are there, before.
        let scope = || match form.credential("scope") {
            None => Ok(None),
            Some(text) => Scope::parse(text).map(Some).map_err(|_| Failure::MalformedScope),
        };
        let resources = || Resources::new(form.all("resource")).map_err(|_| Failure::MalformedTarget);
        let required = |name: &'static str| form.credential(name).ok_or(Malformed::Missing(name));
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let asked = match grant_type {
            "refresh_token" => {
                let token = secret(required("refresh_token")?);
                let idempotency_key = idempotency_key(headers)?;
                scope().and_then(|scope| {
                    Ok(Asked::Refresh(RefreshRequest { token, scope, resources: resources()?, idempotency_key }))
                })
            }
            "authorization_code" => {
                let code = secret(required("code")?);
                let redirect_uri = form.credential("redirect_uri").map(str::to_owned);
                let verifier = form.credential("code_verifier").map(secret);
                resources().map(|resources| Asked::Code(CodeRequest { code, redirect_uri, verifier, resources }))
            }
            "password" => {
                let username =
                    form.text("username", session::MAX_USERNAME_LEN)?.ok_or(Malformed::Missing("username"))?;
                let password =
                    form.text("password", crate::passwords::MAX_PASSWORD_LEN)?.ok_or(Malformed::Missing("password"))?;
                let (username, password) = (username.to_owned(), secret(password));
                scope().and_then(|scope| {
                    Ok(Asked::Password(PasswordRequest { username, password, scope, resources: resources()? }))
                })
            }
            "client_credentials" => {
                scope().and_then(|scope| Ok(Asked::ClientCredentials { scope, resources: resources()? }))
            }
            _ => return Err(Failure::UnsupportedGrantType),
        };
        Ok(asked)
    }
}

/// `Idempotency-Key`: 1 to 255 visible ASCII characters; empty is absent; twice is malformed.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<Hash>, Malformed> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.len() > 255 || !value.as_bytes().iter().all(u8::is_ascii_graphic) {
        return Err(Malformed::IdempotencyKey);
    }
    Ok((!value.is_empty()).then(|| Hash::of(value.as_bytes())))
}

/// An authenticated client's question.
struct Asking<'a> {
    app: &'a App,
    settings: &'a Settings,
    client: &'a Arc<Client>,
    peer: Peer,
    correlation: &'a Correlation,
}

impl Asking<'_> {
    /// RFC 6749 section 6.
    async fn refresh(&self, asked: RefreshRequest) -> Result<Tokens, Failure> {
        let RefreshRequest { token, scope, resources, idempotency_key } = asked;
        // Pure: a forged or mistyped token ends here, without a read and without a place in the queue.
        let token = RefreshToken::open(&token, &self.app.engine.keys()).ok_or(Refusal::NotOurs)?;
        let (grant, client) = (token.grant, Arc::clone(self.client));
        self.charge(grant)?;
        let mut judge = move |row: Row<'_>, moment: &Moment<'_>| {
            let request = refresh::Request {
                token: &token,
                scope: scope.as_ref(),
                resources: &resources,
                idempotency_key,
                holder_key: None,
            };
            refresh::decide(row, &request, &client, moment.keys, moment.now, &moment.entropy)
        };
        let caller = (self.client.as_ref(), GrantType::RefreshToken, self.correlation);
        let prepared = prepare::of_grant((self.app, self.settings), caller, grant, &mut judge).await?;
        let claims = prepared.claims();
        let refreshed = self
            .app
            .engine
            .decide(grant, self.correlation.as_str(), move |row, moment| prepared.vet(judge(row, moment)))
            .await?;
        let refreshed = refreshed.inspect_err(|refusal| self.refused(grant, *refusal))?;
        self.granted(
            &refreshed.grant,
            match refreshed.how {
                How::Rotated => "rotated",
                How::Retried => "retried",
                How::Reused => "reused",
            },
        );
        let Refreshed { grant, granted, token, expires_in, at, .. } = &refreshed;
        self.tokens(grant, Some(token), granted, &claims, *expires_in, *at)
    }

    /// RFC 6749 section 4.1.3.
    async fn redeem(&self, asked: CodeRequest) -> Result<Tokens, Failure> {
        let CodeRequest { code, redirect_uri, verifier, resources } = asked;
        let code = Code::open(&code, &self.app.engine.keys()).ok_or(Refusal::NotOurs)?;
        let (grant, client) = (code.grant, Arc::clone(self.client));
        self.charge(grant)?;
        let mut judge = move |row: Row<'_>, moment: &Moment<'_>| {
            let request = redeem::Request {
                code: &code,
                redirect_uri: redirect_uri.as_deref(),
                verifier: verifier.as_ref().map(|verifier| verifier.as_str()),
                resources: &resources,
            };
            redeem::decide(row, &request, &client, moment.keys, moment.now, &moment.entropy)
        };
        let caller = (self.client.as_ref(), GrantType::AuthorizationCode, self.correlation);
        let prepared = prepare::of_grant((self.app, self.settings), caller, grant, &mut judge).await?;
        let claims = prepared.claims();
        let issued = self
            .app
            .engine
            .decide(grant, self.correlation.as_str(), move |row, moment| prepared.vet(judge(row, moment)))
            .await?;
        let issued = issued.inspect_err(|refusal| self.refused(grant, *refusal))?;
        self.first_tokens(&issued, &claims, "redeemed")
    }

    /// RFC 6749 section 4.3.2. RFC 9700 section 2.4: "The resource owner password credentials grant MUST NOT be used": off
    /// unless a client was given it, and then said aloud at start and here.
    async fn password(&self, asked: PasswordRequest) -> Result<Tokens, Failure> {
        // Before a password is looked at: may this client do this at all?
        let subject = SubjectStatus::Enabled;
        let granted = self.verdict(GrantType::Password, subject, asked.scope.as_ref(), &asked.resources)?;
        tracing::warn!(correlation = %self.correlation, client = %self.client.id, "password grant used: RFC 9700 section 2.4 says that it MUST NOT be");
        let epoch = self.app.engine.epoch();
        // A client that has proved who it is sends the passwords of many: its address is not theirs.
        let place =
            if self.client.is_public() { Place::network(self.peer) } else { Place::client(self.client.id.as_str()) };
        let user =
            guessing::verify_password(self.app, &asked.username, asked.password, &place, self.correlation).await??;
        let minting = self.minting(GrantType::Password, &user.subject, &granted, Some(self.app.engine.now()));
        let claims = prepare::of((self.app, self.settings), minting).await?;
        let client = Arc::clone(self.client);
        let issued = self
            .app
            .engine
            .create(self.correlation.as_str(), move |id, moment| {
                let consent = Consent {
                    subject: user.subject.clone(),
                    granted: granted.clone(),
                    authenticated_at: moment.now,
                    session: None,
                    epoch,
                };
                redeem::grant_at_once(id, &client, consent, moment.keys, moment.now, &moment.entropy)
            })
            .await??;
        self.first_tokens(&issued, &claims, "granted_by_password")
    }

    /// RFC 6749 section 4.4.3: "A refresh token SHOULD NOT be included." Here it never is: there is no user, and the client
    /// can ask again at any time.
    async fn client_credentials(&self, scope: Option<&Scope>, resources: &Resources) -> Result<Tokens, Failure> {
        // Nothing is asked of the store here: a server that must end vouches for nothing all the same (check Z4).
        self.app.engine.check()?;
        let granted = self.verdict(GrantType::ClientCredentials, SubjectStatus::None, scope, resources)?;
        let minting = self.minting(GrantType::ClientCredentials, self.client.id.as_str(), &granted, None);
        let claims = prepare::of((self.app, self.settings), minting).await?;
        let now = self.app.engine.now();
        let expires_in = self.client.policy.access_token_lifetime.as_secs().max(1);
        let scope = self.settings.scope_at(&granted.scope, &granted.resources);
        let access = Access {
            grant: None,
            client: self.client,
            subject: self.client.id.as_str(),
            scope: &scope,
            resources: &granted.resources,
            authenticated_at: None,
            claims: &claims,
            expires_in,
            now,
        };
        sight::outcome("granted_by_client_credentials");
        let access_token = mint::access_token(self.app, self.settings, &access).ok_or(Failure::Busy)?;
        Ok(Tokens { access_token, token_type: "Bearer", expires_in, refresh: None, scope: scope.to_string() })
    }

    /// A genuine token is charged to its grant, before its state is known and before anybody waits for it.
    fn charge(&self, grant: GrantId) -> Result<(), Failure> {
        self.app.limits.grant(self.settings.config.limits.requests_per_grant, grant, self.client)
    }

    fn verdict(
        &self,
        grant_type: GrantType,
        subject: SubjectStatus,
        scope: Option<&Scope>,
        resources: &Resources,
    ) -> Result<Granted, Refusal> {
        issue::verdict(&Ask { client: self.client, grant_type, subject, scope, resources, held: None })
    }

    fn minting<'a>(
        &'a self,
        grant_type: GrantType,
        subject: &'a str,
        granted: &'a Granted,
        authenticated_at: Option<Timestamp>,
    ) -> Minting<'a> {
        let (client, correlation) = (self.client.as_ref(), self.correlation);
        let auth_time = authenticated_at.map(Timestamp::seconds);
        Minting { client, grant_type, subject, granted, grant: None, auth_time, correlation }
    }

    fn first_tokens(&self, issued: &Issued, claims: &TokenClaims, how: &'static str) -> Result<Tokens, Failure> {
        let Issued { grant, granted, token, expires_in, at } = issued;
        self.granted(grant, how);
        self.tokens(grant, token.as_ref(), granted, claims, *expires_in, *at)
    }

    /// Mints and signs what was decided. The commit is durable by now: were minting to fail, the client's retry gets it.
    fn tokens(
        &self,
        grant: &Grant,
        refresh_token: Option<&RefreshToken>,
        granted: &Granted,
        claims: &TokenClaims,
        expires_in: u64,
        now: Timestamp,
    ) -> Result<Tokens, Failure> {
        let keys = self.app.engine.keys();
        let scope = self.settings.scope_at(&granted.scope, &granted.resources);
        let access = Access {
            grant: Some(grant),
            client: self.client,
            subject: &grant.terms.subject,
            scope: &scope,
            resources: &granted.resources,
            authenticated_at: Some(grant.terms.authenticated_at),
            claims,
            expires_in,
            now,
        };
        let access_token = mint::access_token(self.app, self.settings, &access).ok_or(Failure::Busy)?;
        let refresh = refresh_token.and_then(|token| Some(RefreshAnswer::new(token.text(&keys)?, grant, now)));
        Ok(Tokens { access_token, token_type: "Bearer", expires_in, refresh, scope: scope.to_string() })
    }

    fn granted(&self, grant: &Grant, how: &'static str) {
        sight::granted(grant, how);
        tracing::debug!(correlation = %self.correlation, grant = %grant.id.display(&self.app.engine.keys()), generation = grant.generation, "{how}");
    }

    fn refused(&self, grant: GrantId, refusal: Refusal) {
        sight::grant(grant);
        tracing::debug!(correlation = %self.correlation, client = %self.client.id, grant = %grant.display(&self.app.engine.keys()), reason = refusal.as_str(), "grant refused");
    }
}

/// RFC 6749 section 5.1.
struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh: Option<RefreshAnswer>,
    scope: String,
}

impl Serialize for Tokens {
    /// In the order in which people read it; what is not there is left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("access_token", &self.access_token)?;
        object.serialize_entry("token_type", self.token_type)?;
        object.serialize_entry("expires_in", &self.expires_in)?;
        if let Some(refresh) = &self.refresh {
            object.serialize_entry("refresh_token", &refresh.refresh_token)?;
            object.serialize_entry("refresh_token_expires_in", &refresh.refresh_token_expires_in)?;
            object.serialize_entry("refresh_token_timeout", &refresh.refresh_token_timeout)?;
            object.serialize_entry("authorization_expires_in", &refresh.authorization_expires_in)?;
        }
        if !self.scope.is_empty() {
            object.serialize_entry("scope", &self.scope)?;
        }
        object.end()
    }
}

/// The refresh token, and when it all ends: an upper bound, for a revocation may come earlier.
struct RefreshAnswer {
    refresh_token: String,
    /// Whole seconds to the earlier of the two clocks: the de-facto name.
    refresh_token_expires_in: u64,
    /// draft-ietf-oauth-refresh-token-expiration: seconds for which it may be held without a refresh.
    refresh_token_timeout: u64,
    /// The same draft: seconds of the user's authorization.
    authorization_expires_in: u64,
}

impl RefreshAnswer {
    fn new(refresh_token: String, grant: &Grant, now: Timestamp) -> Self {
        let ends_in = grant.ends_at().since(now).as_secs();
        Self {
            refresh_token,
            refresh_token_expires_in: ends_in,
            refresh_token_timeout: ends_in,
            authorization_expires_in: grant.absolute_at.since(now).as_secs(),
        }
    }
}
