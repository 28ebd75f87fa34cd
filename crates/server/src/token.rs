//! The token endpoint: RFC 6749 section 3.2, with sections 4.1.3, 4.3.2, 4.4.2 and 6, and RFC 8628 section 3.4.
//!
//! The answer has one precedence, which a test pins: a malformed request, then `invalid_client`, then the token. The work may
//! be done in the cheap order, but nothing is read from the grant store, and nothing is told about the token, before the
//! client is authenticated.
//!
//! Where a token carries more than RFC 9068 prescribes, that is found before the decision: see `claims/prepare.rs`.

mod tokens;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode};
use regrant_core::client::GrantType;
use regrant_core::decision::Decision;
use regrant_core::device::{self, Soon};
use regrant_core::issue::{self, Ask, Granted, SubjectStatus};
use regrant_core::openid::SCOPE;
use regrant_core::redeem::{self, Consent, Issued};
use regrant_core::refresh::{self, How, Refreshed};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, DeviceCode, RefreshToken};
use regrant_core::{Client, Grant, GrantId, Refusal, Resources, Scope, Timestamp, Wiped};
use regrant_store::{Answer, Question};
use zeroize::Zeroizing;

use crate::answer::{self, Failure};
use crate::app::{App, Settings};
use crate::claims::TokenClaims;
use crate::claims::prepare::{self, Grants, Minting};
use crate::client_auth;
use crate::correlation::Correlation;
use crate::cors;
use crate::encryption::{self, Kind, Recipient};
use crate::engine::{Moment, Row};
use crate::form::{Form, Malformed};
use crate::id_token::{self, IdToken};
use crate::limits::guessing::{self, Place};
use crate::mint::{self, Access};
use crate::peer::Peer;
use crate::request::post_form;
use crate::session;
use crate::sight;
use tokens::{RefreshAnswer, Tokens};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// `POST /oauth2/token` and its aliases.
pub(crate) async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let (origin, peer) = (cors::origin(request.headers()), Peer::of(request.extensions()));
    // Once: the request sees one configuration, whatever is reloaded meanwhile.
    let settings = app.settings();
    let mut client = None;
    let answered = answer(&app, &settings, request, &correlation, &mut client).await;
    let mut response = match answered {
        Ok(tokens) => answer::json_text(StatusCode::OK, tokens.text().into_bytes()),
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
    settings: &Arc<Settings>,
    request: Request,
    correlation: &Correlation,
    client: &mut Option<Arc<Client>>,
) -> Result<Tokens, Failure> {
    let (parts, form) = post_form(request, "POST, OPTIONS").await?;
    let peer = Peer::of(&parts.extensions);
    let asked = Asked::read(&form, &parts.headers)?;
    let presented = client_auth::read(&parts.headers, &form)??;
    let known = presented.prove(app, settings, peer, "/oauth2/token", correlation).await?;
    *client = Some(Arc::clone(&known));
    let ask = Asking { app, settings, client: &known, peer, correlation };
    match asked? {
        Asked::Refresh(asked) => ask.refresh(asked).await,
        Asked::Code(asked) => ask.redeem(asked).await,
        Asked::Password(asked) => ask.password(asked).await,
        Asked::Device { code, resources } => ask.device(&code, resources).await,
        Asked::ClientCredentials { scope, resources } => ask.client_credentials(scope.as_ref(), &resources).await,
    }
}

/// A token request, parsed.
enum Asked {
    Refresh(RefreshRequest),
    Code(CodeRequest),
    Password(PasswordRequest),
    Device { code: Wiped<String>, resources: Resources },
    ClientCredentials { scope: Option<Scope>, resources: Resources },
}

struct RefreshRequest {
    token: Wiped<String>,
    scope: Option<Scope>,
    resources: Resources,
    idempotency_key: Option<Hash>,
}

struct CodeRequest {
    code: Wiped<String>,
    redirect_uri: Option<String>,
    verifier: Option<Wiped<String>>,
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
        let secret = |text: &str| Wiped::new(text.to_owned());
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
                let (username, password) = (username.to_owned(), Zeroizing::new(password.to_owned()));
                scope().and_then(|scope| {
                    Ok(Asked::Password(PasswordRequest { username, password, scope, resources: resources()? }))
                })
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let code = secret(required("device_code")?);
                resources().map(|resources| Asked::Device { code, resources })
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
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.len() > 255 || !value.as_bytes().iter().all(u8::is_ascii_graphic) {
        return Err(Malformed::IdempotencyKey);
    }
    Ok((!value.is_empty()).then(|| Hash::of(value.as_bytes())))
}

/// RFC 6749 section 5.1: `scope` is "OPTIONAL, if identical to the scope requested by the client; otherwise, REQUIRED": it is left
/// out where there was nothing to ask for, and empty where a resource was chosen to which nothing of the grant means anything.
fn answered(granted: &Scope, told: &Scope) -> Option<String> {
    (!granted.is_empty()).then(|| told.to_string())
}

/// An authenticated client's question.
struct Asking<'a> {
    app: &'a App,
    settings: &'a Arc<Settings>,
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
        // The request alone says so: the answer is the same in every state of the grant.
        if scope.as_ref().is_some_and(|scope| self.settings.is_meaningless(scope, &resources)) {
            return Err(Refusal::ScopeNotAllowed.into());
        }
        let settings = Arc::clone(self.settings);
        let judge = move |row: Row<'_>, moment: &Moment<'_>| {
            let request = refresh::Request {
                token: &token,
                scope: scope.as_ref(),
                resources: &resources,
                idempotency_key,
                holder_key: None,
            };
            // Nor does anything of it mean something to the resources of the grant: the same answer in every state, or a thief could poll it.
            if let Some(scope) = &scope
                && let Some(granted) = refresh::asked(row, &request, &client, moment.now)
                && settings.is_meaningless(scope, &granted.resources)
            {
                return Decision::refuse(Refusal::ScopeNotAllowed);
            }
            refresh::decide(row, &request, &client, moment.keys, moment.now, &moment.entropy)
        };
        let recipient = self.recipient().await?;
        let (refreshed, claims) = self.decided(grant, GrantType::RefreshToken, judge).await?;
        self.granted(
            &refreshed.grant,
            match refreshed.how {
                How::Rotated => "rotated",
                How::Retried => "retried",
                How::Reused => "reused",
            },
        );
        let Refreshed { grant, granted, token, expires_in, at, .. } = &refreshed;
        let tokens = self.tokens(grant, Some(token), granted, &claims, *expires_in, *at)?;
        // OpenID Connect Core section 12.2: the answer "might not contain an id_token", and "it SHOULD NOT have a nonce Claim".
        Ok(match self.id_token(grant, granted, None, &tokens.access_token, *at, recipient.as_ref()).await {
            Some(id_token) => Tokens { id_token, ..tokens },
            None => tokens,
        })
    }

    /// Whom ID tokens are encrypted to, if they are: found before anything is consumed.
    async fn recipient(&self) -> Result<Option<Recipient>, Failure> {
        encryption::recipient(self.app, self.settings, self.client, Kind::IdToken, self.correlation).await
    }

    /// What a token or code that is presented leads to, and what the tokens for it carry, which is found before.
    async fn decided<T: Grants + Send + 'static>(
        &self,
        grant: GrantId,
        grant_type: GrantType,
        mut judge: impl FnMut(Row<'_>, &Moment<'_>) -> Decision<T> + Send + 'static,
    ) -> Result<(T, TokenClaims), Failure> {
        let caller = (self.client.as_ref(), grant_type, self.correlation);
        let prepared = prepare::of_grant((self.app, self.settings), caller, grant, &mut judge).await?;
        let claims = prepared.claims();
        self.is_still_there()?;
        let decided = self
            .app
            .engine
            .decide(grant, self.correlation.as_str(), move |row, moment| prepared.vet(judge(row, moment)))
            .await?;
        Ok((decided.inspect_err(|refusal| self.refused(grant, *refusal))?, claims))
    }

    /// Whoever was asked for claims may have thought for a while: a client that was switched off meanwhile gets nothing (law L9).
    fn is_still_there(&self) -> Result<(), Refusal> {
        let settings = self.app.settings();
        let is_there = || settings.clients.get(&self.client.id).is_some_and(|client| !client.disabled);
        if Arc::ptr_eq(&settings, self.settings) || is_there() { Ok(()) } else { Err(Refusal::ClientDisabled) }
    }

    /// RFC 6749 section 4.1.3.
    async fn redeem(&self, asked: CodeRequest) -> Result<Tokens, Failure> {
        let CodeRequest { code, redirect_uri, verifier, resources } = asked;
        let code = Code::open(&code, &self.app.engine.keys()).ok_or(Refusal::NotOurs)?;
        let (grant, client) = (code.grant, Arc::clone(self.client));
        self.charge(grant)?;
        let judge = move |row: Row<'_>, moment: &Moment<'_>| {
            let request = redeem::Request {
                code: &code,
                redirect_uri: redirect_uri.as_deref(),
                verifier: verifier.as_ref().map(|verifier| verifier.as_str()),
                resources: &resources,
            };
            redeem::decide(row, &request, &client, moment.keys, moment.now, &moment.entropy)
        };
        let recipient = self.recipient().await?;
        let (issued, claims) = self.decided(grant, GrantType::AuthorizationCode, judge).await?;
        let tokens = self.first_tokens(&issued, &claims, "redeemed")?;
        self.with_id_token(&issued, tokens, recipient.as_ref()).await
    }

    /// OpenID Connect Core section 3.1.3.3: the first answer must have it. A device has no redirect and is told the same.
    async fn with_id_token(
        &self,
        issued: &Issued,
        tokens: Tokens,
        recipient: Option<&Recipient>,
    ) -> Result<Tokens, Failure> {
        let Issued { grant, granted, at, .. } = issued;
        let nonce = grant.terms.openid.as_ref().and_then(|openid| openid.nonce.as_deref());
        let id_token = self.id_token(grant, granted, nonce, &tokens.access_token, *at, recipient).await;
        Ok(Tokens { id_token: id_token.ok_or(Failure::Busy)?, ..tokens })
    }

    /// RFC 8628 section 3.4: a device asks whether somebody has answered.
    async fn device(&self, code: &str, resources: Resources) -> Result<Tokens, Failure> {
        let code = DeviceCode::open(code, &self.app.engine.keys()).ok_or(Refusal::NotOurs)?;
        let (grant, client) = (code.grant(), Arc::clone(self.client));
        self.charge(grant)?;
        // Read before the grant: whoever answers in between is seen.
        let asked = match self.app.engine.ask(Question::DeviceRequest(grant.number)).await? {
            Answer::DeviceRequest(found) => found.map(|request| request.asked),
            _ => None,
        };
        let is_its_own = asked.as_ref().is_some_and(|asked| asked.grant == grant && asked.client == client.id);
        let soon = if is_its_own { self.app.limits.poll(grant) } else { Soon::No };
        let judge = move |row: Row<'_>, moment: &Moment<'_>| {
            let poll = device::Poll { code: &code, asked: asked.as_ref(), soon, resources: &resources };
            device::decide(row, &poll, &client, moment.keys, moment.now, &moment.entropy)
        };
        let recipient = self.recipient().await?;
        let (issued, claims) = self.decided(grant, GrantType::DeviceCode, judge).await?;
        let tokens = self.first_tokens(&issued, &claims, "given_to_device")?;
        self.with_id_token(&issued, tokens, recipient.as_ref()).await
    }

    /// RFC 6749 section 4.3.2. RFC 9700 section 2.4: "The resource owner password credentials grant MUST NOT be used": off
    /// unless a client was given it, and then said aloud at start and here.
    async fn password(&self, asked: PasswordRequest) -> Result<Tokens, Failure> {
        // Before a password is looked at: may this client do this at all?
        let subject = SubjectStatus::Enabled;
        let granted = self.verdict(GrantType::Password, subject, asked.scope.as_ref(), &asked.resources)?;
        tracing::warn!(correlation = %self.correlation, client = %self.client.id, "password grant used: RFC 9700 section 2.4 says that it MUST NOT be");
        let epoch = self.app.engine.epoch_of_all().await?;
        // A client that has proved who it is sends the passwords of many: its address is not theirs.
        let place =
            if self.client.is_public() { Place::network(self.peer) } else { Place::client(self.client.id.as_str()) };
        let user =
            guessing::verify_password(self.app, &asked.username, asked.password, &place, self.correlation).await??;
        let minting = self.minting(GrantType::Password, &user.subject, &granted, Some(self.app.engine.now()));
        let claims = prepare::of((self.app, self.settings), minting).await?;
        self.is_still_there()?;
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
                    openid: None,
                };
                redeem::grant_at_once(id, &client, consent, moment.keys, moment.now, &moment.entropy)
            })
            .await??;
        self.lives(&issued.grant).await?;
        self.first_tokens(&issued, &claims, "granted_by_password")
    }

    /// A grant is made without a look at its user: he, or all that he gave, may have been switched off since the password was verified
    /// (law L9).
    async fn lives(&self, grant: &Grant) -> Result<(), Failure> {
        let found = self.app.engine.load(grant.id).await?.ok_or(Refusal::UnknownGrant)?;
        refresh::lives(&found.grant, found.subject, self.client, GrantType::Password, self.app.engine.now())
            .inspect_err(|refusal| self.refused(grant.id, *refusal))?;
        Ok(())
    }

    /// RFC 6749 section 4.4.3: "A refresh token SHOULD NOT be included." Here it never is: there is no user, and the client
    /// can ask again at any time.
    async fn client_credentials(&self, scope: Option<&Scope>, resources: &Resources) -> Result<Tokens, Failure> {
        let epoch = self.app.engine.epoch();
        // Nothing is asked of the store here: a server that must end vouches for nothing all the same (check Z4).
        self.app.engine.check()?;
        let granted = self.verdict(GrantType::ClientCredentials, SubjectStatus::None, scope, resources)?;
        let minting = self.minting(GrantType::ClientCredentials, self.client.id.as_str(), &granted, None);
        let claims = prepare::of((self.app, self.settings), minting).await?;
        self.is_still_there()?;
        let now = self.app.engine.now();
        let expires_in = self.client.policy.access_token_lifetime.as_secs().max(1);
        let scope = self.settings.scope_at(&granted.scope, &granted.resources);
        let access = Access {
            grant: None,
            client: self.client,
            subject: self.client.id.as_str(),
            scope: &scope,
            resources: &granted.resources,
            session: None,
            authenticated_at: None,
            claims: &claims,
            expires_in,
            now,
        };
        sight::outcome("granted_by_client_credentials");
        let access_token = mint::without_grant(self.app, self.settings, access, epoch).await?.ok_or(Failure::Busy)?;
        let scope = answered(&granted.scope, &scope);
        Ok(Tokens { access_token, token_type: "Bearer", expires_in, refresh: None, id_token: None, scope })
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
        let ask = Ask { client: self.client, grant_type, subject, scope, resources, held: None };
        self.settings.meaningful(issue::verdict(&ask)?)
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
            session: None,
            authenticated_at: Some(grant.terms.authenticated_at),
            claims,
            expires_in,
            now,
        };
        let access_token = mint::access_token(self.app, self.settings, &access).ok_or(Failure::Busy)?;
        let refresh = refresh_token.and_then(|token| Some(RefreshAnswer::new(token.text(&keys)?, grant, now)));
        let scope = answered(&granted.scope, &scope);
        Ok(Tokens { access_token, token_type: "Bearer", expires_in, refresh, id_token: None, scope })
    }

    /// The ID token of an answer: `Some(None)` for a grant, or a narrowed scope, that has none. `None` if it cannot be made.
    async fn id_token(
        &self,
        grant: &Grant,
        granted: &Granted,
        nonce: Option<&str>,
        access_token: &str,
        now: Timestamp,
        recipient: Option<&Recipient>,
    ) -> Option<Option<String>> {
        let Some(openid) = grant.terms.openid.as_ref().filter(|_| granted.scope.contains(SCOPE)) else {
            return Some(None);
        };
        let claims = id_token::claims_of_grant(self.app, grant, openid).await;
        let token = IdToken {
            client: self.client,
            subject: &grant.terms.subject,
            openid,
            nonce,
            authenticated_at: grant.terms.authenticated_at,
            session: grant.terms.session.as_ref(),
            access_token: Some(access_token),
            code: None,
            claims,
            now,
            recipient,
        };
        id_token::mint(self.app, token).map(Some)
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
