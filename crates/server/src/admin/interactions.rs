//! Interactions, for the application that shows them: what is asked, and the answer to it. Nothing is written here: what an answer leads to
//! happens when the browser comes back with it (`interaction/elsewhere.rs`), under the same rules as judged it here.

use regrant_core::interaction::{self, Kind, Rejection, Unfit};
use regrant_core::{Scope, Timestamp, redirect};
use regrant_store::{Answer as Found, Question, User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Admin, AdminError, rfc3339};
use crate::authorize::AuthorizationRequest;
use crate::claims::attributes::LISTS;
use crate::claims::{check_name, check_value};
use crate::form::{self, Form};
use crate::interaction::elsewhere::{RETURN, acrs, rules};
use crate::interaction::sealed::{Answer, Challenge, Verifier};
use crate::interaction::{described, voice};
use crate::session::{self, LOGIN_LIFETIME};

/// What all claims together may take, in bytes of JSON: they travel in a URL.
const MAX_CLAIMS: usize = 2048;
/// The shortest session.
const LEAST_LIFETIME: u64 = 60;

/// What is asked of a user.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InteractionView {
    /// `login`, `select_account`, `consent` or `logout`.
    pub kind: String,
    /// The client that asks; absent where none does.
    pub client: Option<AskingClient>,
    /// What the client asks for, with what it means to people.
    pub scope: Vec<AskedScope>,
    /// For which resources (RFC 8707).
    pub resources: Vec<String>,
    /// Who is logged in at the browser, for `select_account`, `consent` and `logout`.
    pub user: Option<AskedUser>,
    /// `login_hint` of the request.
    pub login_hint: String,
    /// `ui_locales` of the request.
    pub ui_locales: String,
    /// `display` of the request.
    pub display: String,
    /// `acr_values` of the request: wishes, the first the dearest.
    pub acr_values: Vec<String>,
    /// One of these the login must have.
    pub acr_needed: Vec<String>,
    /// Whether only a login of after `began_at` counts: `prompt=login`, `max_age=0`.
    pub must_log_in_anew: bool,
    /// `max_age` in seconds.
    pub max_age: Option<u64>,
    /// The request as the client sent it, a query string.
    pub request: String,
    /// RFC 3339.
    pub began_at: String,
    /// RFC 3339: until then an answer counts.
    pub expires_at: String,
}

/// A client that asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AskingClient {
    /// Its identifier.
    pub id: String,
    /// The name that it chose for itself.
    pub name: String,
    /// Where answers go: a host, or the scheme of an installed application. It cannot be made up.
    pub host: String,
    /// Its home page.
    pub client_uri: Option<String>,
    /// Its picture, to be loaded by the browser and by nobody else.
    pub logo_uri: Option<String>,
    /// Its privacy policy.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
}

/// A scope, and what it means to people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AskedScope {
    /// As on the wire.
    pub name: String,
    /// A few words; may be empty.
    pub description: String,
}

/// Who is logged in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AskedUser {
    /// `sub`, as the server itself knows the user.
    pub subject: String,
    /// The name to log in with.
    pub name: String,
    /// The browser's session, as `sid` names it.
    pub session: Option<String>,
}

/// Which interaction.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichInteraction {
    /// The parameter `challenge` with which the browser came.
    #[schemars(length(max = 16384))]
    pub challenge: String,
}

/// Yes. Which members belong to which kind is in docs/interactions.md; another one is refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The parameter `challenge` with which the browser came.
    #[schemars(length(max = 16384))]
    pub challenge: String,
    /// Of a login: the `sub` of the user who has logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub subject: Option<String>,
    /// Of a login: the user's name, in place of `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub user: Option<String>,
    /// Of a login: when, in seconds since 1970. Now unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// Of a login: how strongly. One of `acr_values` of the configuration, or `urn:regrant:acr:password`, which it is unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub acr: Option<String>,
    /// Of a login: by what (RFC 8176). Nothing unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// Of a login, how many seconds the session lasts: 60 to 43200, which it is unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// Of a login: whether the browser keeps the session when it is closed. Of a consent: whether the user is not to be asked again. `true`
    /// unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember: Option<bool>,
    /// Of a login, for all ID tokens of the session; of a consent, for those of this grant. Names of your own: none of the protocol's and none
    /// of the standard claims, which are the user's attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Map<String, Value>>,
    /// Of `select_account`: whether another account is wanted. `false` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub another_account: Option<bool>,
    /// Of a consent: what is allowed, space-separated. All that is asked for unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub scope: Option<String>,
}

/// No.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The parameter `challenge` with which the browser came.
    #[schemars(length(max = 16384))]
    pub challenge: String,
    /// What the client hears: `access_denied` unless set, or another code of docs/interactions.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub error: Option<String>,
}

/// Where the application sends the browser.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SendBrowserTo {
    /// A URL of this server. It works once, in the browser that began, within two minutes.
    pub redirect_to: String,
}

impl Admin {
    /// What is asked.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for a challenge that is none, or is over.
    pub async fn interaction(&self, which: &WhichInteraction) -> Result<InteractionView, AdminError> {
        let (challenge, kind) = self.open(&which.challenge)?;
        let settings = self.app.settings();
        let form = Form::parse_repeated(challenge.request.as_bytes()).ok();
        let text = |name: &'static str| {
            let value = form.as_ref().and_then(|form| form.text(name, 1024).ok().flatten());
            value.unwrap_or_default().to_owned()
        };
        let request = AuthorizationRequest::read(&self.app, &challenge.request).ok();
        let voice = voice(&self.app, &axum::http::HeaderMap::new(), &challenge.request);
        let asked = request.as_ref().map(AuthorizationRequest::asks_for).unwrap_or_default();
        let client = request.as_ref().map(|request| {
            let links = settings.clients.profile(&request.client.id).map(|profile| profile.links.clone());
            let links = links.unwrap_or_default();
            AskingClient {
                id: request.client.id.as_str().to_owned(),
                name: request.client.name.clone(),
                host: redirect::shown(&request.to.redirect_uri).to_owned(),
                client_uri: links.home,
                logo_uri: links.logo,
                policy_uri: links.policy,
                tos_uri: links.terms,
            }
        });
        // A logout request names its client, too.
        let client = client.or_else(|| {
            let client = form.as_ref()?.credential("client_id").filter(|_| kind == Kind::Logout)?;
            let client = self.app.client(client)?;
            let (id, name) = (client.id.as_str().to_owned(), client.name.clone());
            let (host, client_uri, logo_uri, policy_uri, tos_uri) = (String::new(), None, None, None, None);
            Some(AskingClient { id, name, host, client_uri, logo_uri, policy_uri, tos_uri })
        });
        let scopes = described(&settings, &voice, &asked).into_iter();
        let resources = request.iter().flat_map(|request| request.granted.resources.iter()).map(str::to_owned);
        let began_at = Timestamp::from_millis(challenge.began_at);
        let user = match &challenge.subject {
            Some(subject) => self.user_of(subject).await?.map(|user| AskedUser {
                subject: user.subject,
                name: user.name,
                session: challenge.session.clone(),
            }),
            None => None,
        };
        let none = Scope::default();
        let rules = rules(&challenge, request.as_ref(), &[], &none, settings.config.interactions.lifetime);
        Ok(InteractionView {
            kind: kind.as_str().to_owned(),
            client,
            scope: scopes.map(|(name, description)| AskedScope { name, description }).collect(),
            resources: resources.collect(),
            user,
            login_hint: request.as_ref().map(|request| request.wishes.login_hint.clone()).unwrap_or_default(),
            ui_locales: text("ui_locales"),
            display: text("display"),
            acr_values: text("acr_values").split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            acr_needed: request.as_ref().map(|request| request.wishes.acrs.clone()).unwrap_or_default(),
            must_log_in_anew: kind == Kind::Login && rules.is_some_and(|rules| rules.anew),
            max_age: request.as_ref().and_then(AuthorizationRequest::max_age),
            request: challenge.request.clone(),
            began_at: rfc3339(began_at),
            expires_at: rfc3339(began_at.plus(settings.config.interactions.lifetime)),
        })
    }

    /// Yes.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for a challenge that is none, or is over; [`AdminError::Invalid`] for an answer that does not fit it.
    pub async fn accept_interaction(&self, acceptance: &Acceptance) -> Result<SendBrowserTo, AdminError> {
        let (challenge, kind) = self.open(&acceptance.challenge)?;
        foreign_member(acceptance, kind)?;
        let claims = acceptance.claims.clone().unwrap_or_default();
        check_claims(&claims)?;
        let remember = acceptance.remember.unwrap_or(true);
        let answer = match kind {
            Kind::Login => {
                let user = self.logging_in(acceptance).await?;
                let now = self.app.engine.now();
                let at = match acceptance.auth_time {
                    None => now.millis(),
                    Some(seconds) => {
                        i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000)).unwrap_or(i64::MAX)
                    }
                };
                let most = LOGIN_LIFETIME.as_secs();
                let lifetime = acceptance.lifetime.unwrap_or(most);
                if !(LEAST_LIFETIME..=most).contains(&lifetime) {
                    return Err(invalid(&format!("lifetime is {LEAST_LIFETIME} to {most} seconds")));
                }
                Answer::Login {
                    subject: user.subject,
                    at,
                    acr: acceptance.acr.clone().unwrap_or_else(|| regrant_core::openid::ACR_PASSWORD.to_owned()),
                    amr: acceptance.amr.clone().unwrap_or_default(),
                    claims,
                    lifetime,
                    remember,
                }
            }
            Kind::Select => Answer::Account { is_this: !acceptance.another_account.unwrap_or(false) },
            Kind::Consent => {
                let request = AuthorizationRequest::read(&self.app, &challenge.request);
                let request = request.map_err(|_| invalid("the request of this challenge is not valid any more"))?;
                let scope = acceptance.scope.clone().unwrap_or_else(|| request.asks_for().to_string());
                Answer::Consent { scope, claims, remember }
            }
            Kind::Logout => Answer::Logout,
        };
        self.answer(challenge, answer)
    }

    /// No.
    ///
    /// # Errors
    /// As [`Admin::accept_interaction`].
    pub fn reject_interaction(&self, refused: &Refused) -> Result<SendBrowserTo, AdminError> {
        let (challenge, _) = self.open(&refused.challenge)?;
        let error = refused.error.clone().unwrap_or_else(|| Rejection::AccessDenied.as_str().to_owned());
        if Rejection::parse(&error).is_none() {
            let known = Rejection::ALL.map(Rejection::as_str).join(", ");
            return Err(invalid(&format!("error is one of {known}")));
        }
        self.answer(challenge, Answer::Rejected { error })
    }

    fn open(&self, text: &str) -> Result<(Challenge, Kind), AdminError> {
        let none = || AdminError::NotFound("there is no such challenge: begin again in the browser".to_owned());
        let challenge = self.app.interactions.open_challenge(text).ok_or_else(none)?;
        let lifetime = self.app.settings().config.interactions.lifetime;
        let age = self.app.engine.now().since(Timestamp::from_millis(challenge.began_at));
        if age >= lifetime {
            return Err(AdminError::NotFound("the challenge is over: begin again in the browser".to_owned()));
        }
        let kind = Kind::parse(&challenge.kind).ok_or_else(none)?;
        Ok((challenge, kind))
    }

    /// Judged as it will be when it comes back: a mistake of the application is told to it, and not to the user.
    fn answer(&self, challenge: Challenge, answer: Answer) -> Result<SendBrowserTo, AdminError> {
        let settings = self.app.settings();
        let request = AuthorizationRequest::read(&self.app, &challenge.request).ok();
        let asked = request.as_ref().map(AuthorizationRequest::asks_for).unwrap_or_default();
        let known = acrs(settings.config.interactions.all_acr_values(), request.as_ref());
        let rules = rules(&challenge, request.as_ref(), &known, &asked, settings.config.interactions.lifetime);
        let reply = answer.reply().ok_or_else(|| invalid("scope is malformed"))?;
        let now = self.app.engine.now();
        let rules = rules.ok_or_else(|| invalid("the challenge is of a kind that this server does not know"))?;
        interaction::then(&rules, reply, now).map_err(|unfit| invalid(told(unfit)))?;
        let verifier = Verifier { challenge, at: now.millis(), answer };
        let text = self.app.interactions.verifier(&verifier);
        let text = text.ok_or_else(|| invalid("request and claims together are longer than a URL may be"))?;
        let url = self.app.issuer.url(RETURN);
        Ok(SendBrowserTo { redirect_to: format!("{url}?{}", form::write(&[("verifier", &text)])) })
    }

    async fn logging_in(&self, acceptance: &Acceptance) -> Result<User, AdminError> {
        let question = match (&acceptance.subject, &acceptance.user) {
            (Some(subject), None) => Question::UserBySubject(subject.clone()),
            (None, Some(name)) => Question::UserByName(session::normalise(name)),
            _ => return Err(invalid("a login names its user by subject or by user, and not by both")),
        };
        match self.app.engine.ask(question).await? {
            Found::User(Some(user)) if user.disabled_at.is_none() => Ok(user),
            Found::User(Some(_)) => Err(invalid("the user is switched off")),
            _ => Err(invalid("there is no such user: add the user first")),
        }
    }

    async fn user_of(&self, subject: &str) -> Result<Option<User>, AdminError> {
        match self.app.engine.ask(Question::UserBySubject(subject.to_owned())).await? {
            Found::User(user) => Ok(user),
            _ => Ok(None),
        }
    }
}

fn invalid(text: &str) -> AdminError {
    AdminError::Invalid(text.to_owned())
}

const fn told(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::Over => "the challenge is over: begin again in the browser",
        Unfit::Other => "the answer is to another kind of question",
        Unfit::NotThen => "auth_time is in the future",
        Unfit::TooOld => "auth_time is older than the request allows: the user has to log in now",
        Unfit::Acr => "acr is none of acr_values of [interactions], or none that the request needs (acr_needed)",
        Unfit::Amr => "amr is at most 8 words of visible ASCII characters, each at most 64 long",
        Unfit::Wider => "scope has more than the client asks for",
        Unfit::WithoutOpenId => "scope leaves out openid, without which the request would be another one",
    }
}

/// A member that belongs to another kind would be taken for one that counts.
fn foreign_member(acceptance: &Acceptance, kind: Kind) -> Result<(), AdminError> {
    let Acceptance {
        challenge: _,
        subject,
        user,
        auth_time,
        acr,
        amr,
        lifetime,
        remember,
        claims,
        another_account,
        scope,
    } = acceptance;
    let there = [
        ("subject", subject.is_some(), &[Kind::Login][..]),
        ("user", user.is_some(), &[Kind::Login]),
        ("auth_time", auth_time.is_some(), &[Kind::Login]),
        ("acr", acr.is_some(), &[Kind::Login]),
        ("amr", amr.is_some(), &[Kind::Login]),
        ("lifetime", lifetime.is_some(), &[Kind::Login]),
        ("remember", remember.is_some(), &[Kind::Login, Kind::Consent]),
        ("claims", claims.is_some(), &[Kind::Login, Kind::Consent]),
        ("another_account", another_account.is_some(), &[Kind::Select]),
        ("scope", scope.is_some(), &[Kind::Consent]),
    ];
    match there.into_iter().find(|(_, is_there, kinds)| *is_there && !kinds.contains(&kind)) {
        Some((name, ..)) => Err(invalid(&format!("{name} means nothing in the answer to {}", kind.as_str()))),
        None => Ok(()),
    }
}

fn check_claims(claims: &Map<String, Value>) -> Result<(), AdminError> {
    for (name, value) in claims {
        check_name(name).map_err(|bad| invalid(&format!("claims: {bad}")))?;
        check_value(value).map_err(|bad| invalid(&format!("claims: {bad}")))?;
        // Of the record, also where no scope of OpenID Connect names it (check G8).
        if regrant_core::openid::scope_of(name).is_some() || LISTS.contains(&name.as_str()) {
            return Err(invalid(&format!("claims: {name:.40} is an attribute of the user: set it there")));
        }
    }
    let bytes = serde_json::to_string(claims).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_CLAIMS { Err(invalid(&format!("claims take more than {MAX_CLAIMS} bytes"))) } else { Ok(()) }
}
