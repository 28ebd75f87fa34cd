//! The authorization endpoint: RFC 6749 sections 3.1, 4.1.1 and 4.2.1, RFC 7636, RFC 8707, RFC 9207; OpenID Connect Core section 3.
//!
//! Reading a request has two halves. Until client and redirect URI are certain, an error is a page: RFC 6749 section 4.1.2.1,
//! "MUST NOT automatically redirect the user-agent to the invalid redirection URI". From then on an error goes to the client.

mod denied;
mod destination;
mod openid;

use std::sync::Arc;

use regrant_core::client::RefreshTokens;
use regrant_core::issue::{self, Ask, Granted, SubjectStatus};
use regrant_core::openid::{OFFLINE_ACCESS, SCOPE, scope_of};
use regrant_core::prompt::{BadPrompt, Prompt};
use regrant_core::response_type::{BadMode, mode_of_unknown};
use regrant_core::secret::Hash;
use regrant_core::{Client, ClientId, OpenId, Refusal, Resources, ResponseMode, ResponseType, Scope, pkce, redirect};
use regrant_store::Session;
use serde_json::{Map, Value};

use crate::app::App;
use crate::config::{ADMIN_SCOPES, BUILT_IN_SCOPES};
use crate::form::Form;
use crate::sight;

pub(crate) use denied::Denied;
pub(crate) use destination::{Destination, Way, schemes, source};
pub(crate) use openid::Wishes;

/// The longest authorization request that is read, in bytes: it must fit into a URL again.
pub const MAX_REQUEST: usize = 8 * 1024;
/// The longest `state`.
const MAX_STATE: usize = 4 * 1024;

/// A valid authorization request.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client: Arc<Client>,
    pub(crate) to: Destination,
    pub(crate) response_type: ResponseType,
    /// What could be granted, were the user to consent.
    pub(crate) granted: Granted,
    /// The `redirect_uri` parameter, if one was sent: a code is bound to it.
    pub(crate) redirect_parameter: Option<String>,
    pub(crate) challenge: Option<Hash>,
    pub(crate) prompt: Prompt,
    pub(crate) wishes: Wishes,
    /// What an application that showed the consent said for the ID tokens of this grant: a JSON object, or nothing.
    pub(crate) said: String,
}

/// What is wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Wrong {
    /// Shown to the user: there is nowhere to redirect to.
    Page(&'static str, &'static str),
    /// Told to the client.
    Redirect(Destination, Denied),
}

const NO_CLIENT: Wrong = Wrong::Page(crate::pages::UNKNOWN_CLIENT, "unknown_client");
const NO_REDIRECT: Wrong = Wrong::Page(crate::pages::UNKNOWN_REDIRECT, "unknown_redirect_uri");
const UNREADABLE: Wrong = Wrong::Page(crate::pages::BAD_REQUEST, "malformed_request");

impl AuthorizationRequest {
    /// Reads the parameters of an authorization request.
    pub(crate) fn read(app: &App, query: &str) -> Result<Self, Wrong> {
        if query.len() > MAX_REQUEST {
            return Err(UNREADABLE);
        }
        let form = Form::parse_repeated(query.as_bytes()).map_err(|_| UNREADABLE)?;
        let client = client(app, &form)?;
        let (redirect_uri, redirect_parameter) = redirect_uri(&form, &client)?;
        // OpenID Connect Core section 3.1.2.1: "redirect_uri REQUIRED", also where OAuth alone lets it be left out.
        if redirect_parameter.is_none()
            && form.credential("scope").is_some_and(|scope| scope.split(' ').any(|it| it == SCOPE))
        {
            return Err(NO_REDIRECT);
        }
        let kind = form.credential("response_type").and_then(ResponseType::parse);
        let named = form.credential("response_mode");
        let to = Destination::of(redirect_uri, &form);
        let fits =
            |mode| if mode == ResponseMode::FormPost && to.mode != mode { Err(BadMode::Unknown) } else { Ok(mode) };
        let mode = kind.map(|kind| (kind, kind.mode(named).and_then(fits)));
        let rest = Rest { app, form: &form, client: &client, mode };
        match rest.read() {
            Ok(Read { response_type, granted, challenge, prompt, wishes }) => Ok(Self {
                client,
                to,
                response_type,
                granted,
                redirect_parameter,
                challenge,
                prompt,
                wishes,
                said: String::new(),
            }),
            Err(denied) => Err(Wrong::Redirect(to, denied)),
        }
    }

    /// What the user is asked for: the scope, and the scopes of the claims that are asked for by name.
    pub(crate) fn asks_for(&self) -> Scope {
        let scope = &self.granted.scope;
        let all = Scope::from_tokens(scope.iter().chain(self.wishes.claims.scopes()));
        all.unwrap_or_else(|_| scope.clone())
    }

    /// What the ID tokens of a session say, if there are to be any.
    pub(crate) fn openid(&self, session: &Session) -> Option<OpenId> {
        self.granted.scope.contains(SCOPE).then(|| OpenId {
            nonce: self.wishes.nonce.clone(),
            acr: session.acr.clone(),
            amr: session.amr.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            claims: self.wishes.claims.clone(),
            more: together(&session.claims, &self.said),
        })
    }

    /// The same request for less: what the user allowed of it.
    pub(crate) fn narrow(&mut self, scope: &Scope) {
        self.granted.scope = self.granted.scope.filtered(|token| scope.contains(token));
        let is_allowed = |name: &String| scope_of(name).is_none_or(|of| scope.contains(of));
        self.wishes.claims.id_token.retain(is_allowed);
        self.wishes.claims.userinfo.retain(is_allowed);
    }

    /// How old the login may be, in seconds.
    pub(crate) fn max_age(&self) -> Option<u64> {
        self.wishes.max_age.or_else(|| self.client.default_max_age.map(|age| age.as_secs()))
    }
}

impl Destination {
    /// Where an answer may go by the parameters alone, were nothing else of the request to be read.
    pub(crate) fn read(app: &App, query: &str) -> Result<Self, Wrong> {
        let form = Form::parse_repeated(query.as_bytes()).map_err(|_| UNREADABLE)?;
        let client = client(app, &form)?;
        let (redirect_uri, _) = redirect_uri(&form, &client)?;
        Ok(Self::of(redirect_uri, &form))
    }

    /// Response type and mode decide where an answer stands, an error as well.
    fn of(redirect_uri: String, form: &Form) -> Self {
        let response_type = form.credential("response_type").unwrap_or_default();
        // No browser posts a form to an application of its machine.
        let is_web = redirect_uri.split_once(':').is_some_and(|(scheme, _)| redirect::is_web(scheme));
        let named =
            form.credential("response_mode").filter(|named| is_web || *named != ResponseMode::FormPost.as_str());
        Self {
            redirect_uri,
            // RFC 6749 section 4.1.2: "the exact value received from the client". A repeated one is no value, and one that is
            // not UTF-8 cannot be given back as it was.
            state: form.utf8("state").filter(|_| !form.is_repeated("state")).map(str::to_owned),
            mode: match ResponseType::parse(response_type) {
                Some(kind) => kind.mode(named).unwrap_or(kind.default_mode()),
                None => mode_of_unknown(response_type, named),
            },
        }
    }
}

fn client(app: &App, form: &Form) -> Result<Arc<Client>, Wrong> {
    if form.is_repeated("client_id") {
        return Err(UNREADABLE);
    }
    let id = form.credential("client_id").and_then(ClientId::parse).ok_or(NO_CLIENT)?;
    app.settings().clients.get(&id).inspect(sight::client).ok_or(NO_CLIENT)
}

/// RFC 6749 section 3.1.2.3: the parameter may be left out where exactly one URI is registered.
fn redirect_uri(form: &Form, client: &Client) -> Result<(String, Option<String>), Wrong> {
    if form.is_repeated("redirect_uri") {
        return Err(UNREADABLE);
    }
    match (form.credential("redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(uri), registered) if redirect::matches(uri, registered.iter().map(String::as_str)) => {
            Ok((uri.to_owned(), Some(uri.to_owned())))
        }
        (None, [only]) => Ok((only.clone(), None)),
        _ => Err(NO_REDIRECT),
    }
}

/// The second half: whatever is wrong here is told to the client.
struct Rest<'a> {
    app: &'a App,
    form: &'a Form,
    client: &'a Client,
    /// `None` for a response type that is none of ours.
    mode: Option<(ResponseType, Result<ResponseMode, BadMode>)>,
}

struct Read {
    response_type: ResponseType,
    granted: Granted,
    challenge: Option<Hash>,
    prompt: Prompt,
    wishes: Wishes,
}

impl Rest<'_> {
    fn read(&self) -> Result<Read, Denied> {
        const REPEATED: Denied = Denied::invalid("a parameter is included more than once");
        const KNOWN: [&str; 19] = [
            "response_type",
            "response_mode",
            "scope",
            "state",
            "code_challenge",
            "code_challenge_method",
            "prompt",
            "nonce",
            "max_age",
            "id_token_hint",
            "login_hint",
            "claims",
            "acr_values",
            "display",
            "ui_locales",
            "claims_locales",
            "request",
            "request_uri",
            "registration",
        ];
        if KNOWN.iter().any(|name| self.form.is_repeated(name)) {
            return Err(REPEATED);
        }
        if self.form.text("state", MAX_STATE).is_err() {
            return Err(Denied::invalid("state is too long or holds control characters"));
        }
        if self.form.credential("registration").is_some() {
            return Err(Denied::new("registration_not_supported", "the registration parameter is not supported"));
        }
        let response_type = self.response_type()?;
        let challenge = self.challenge(response_type)?;
        let prompt = Prompt::parse(self.form.credential("prompt").unwrap_or_default());
        let prompt = prompt.map_err(|bad| {
            Denied::invalid(match bad {
                BadPrompt::NoneWithOthers => "prompt=none cannot be combined",
                BadPrompt::Unknown => "a value of prompt is not supported",
            })
        })?;
        let scope = match self.form.credential("scope") {
            None => None,
            Some(text) => {
                let scope = Scope::parse(text).map_err(|_| Denied::new("invalid_scope", "the scope is malformed"))?;
                Some(self.understood(scope))
            }
        };
        let resources = Resources::new(self.form.all("resource"))
            .map_err(|_| Denied::new("invalid_target", "a resource is malformed"))?;
        let granted = verdict(self.client, response_type, SubjectStatus::Enabled, scope.as_ref(), &resources);
        let granted = granted.and_then(|granted| self.app.settings().meaningful(granted));
        let mut granted = granted.map_err(Denied::of)?;
        if self.client.refresh_tokens == RefreshTokens::OfflineAccess && self.client.skip_consent && !prompt.consent {
            // OpenID Connect Core section 11: "the Authorization Server MUST explicitly receive or have consent"; nobody is asked here.
            granted.scope = granted.scope.filtered(|token| token != OFFLINE_ACCESS);
        }
        let wishes = Wishes::read(self.app, self.form, self.client, prompt)?;
        if response_type.has_id_token() {
            if !granted.scope.contains(SCOPE) {
                return Err(Denied::invalid("the response type has an ID token, and the scope lacks openid"));
            }
            // OpenID Connect Core sections 3.2.2.1 and 3.3.2.11: "REQUIRED".
            if wishes.nonce.is_none() {
                return Err(Denied::invalid("nonce is missing: the response type has an ID token"));
            }
        }
        Ok(Read { response_type, granted, challenge, prompt, wishes })
    }

    /// OpenID Connect Core section 3.1.2.1: "Scope values used that are not understood by an implementation SHOULD be ignored." Those
    /// that mean something here, and that the client may not have, are told; and by OAuth alone (RFC 6749 section 4.1.2.1) all are.
    fn understood(&self, scope: Scope) -> Scope {
        if !scope.contains(SCOPE) {
            return scope;
        }
        let settings = self.app.settings();
        scope.filtered(|name| {
            BUILT_IN_SCOPES.contains(&name)
                || ADMIN_SCOPES.contains(&name)
                || self.client.scopes.contains(name)
                || settings.config.scopes.iter().any(|declared| declared.name == name)
        })
    }

    fn response_type(&self) -> Result<ResponseType, Denied> {
        let Some((kind, mode)) = self.mode else {
            return Err(match self.form.credential("response_type") {
                None => Denied::invalid("response_type is missing"),
                Some(_) => Denied::new("unsupported_response_type", "the response type is not supported"),
            });
        };
        if !self.client.response_types.contains(kind.as_str()) {
            return Err(Denied::new("unauthorized_client", "the client may not use this response type"));
        }
        match mode {
            Ok(_) => Ok(kind),
            Err(BadMode::Unknown) => Err(Denied::invalid("the response mode is not supported")),
            Err(BadMode::TokensInQuery) => {
                Err(Denied::invalid("the response mode cannot carry what the response type has"))
            }
        }
    }

    fn challenge(&self, kind: ResponseType) -> Result<Option<Hash>, Denied> {
        let (challenge, method) =
            (self.form.credential("code_challenge"), self.form.credential("code_challenge_method"));
        // Where there is no code, there is none to protect.
        let required = self.client.require_pkce && kind.has_code();
        pkce::challenge(challenge, method, required).map_err(|bad| {
            Denied::invalid(match bad {
                pkce::BadChallenge::PlainMethod | pkce::BadChallenge::UnknownMethod => {
                    "code_challenge_method must be S256"
                }
                pkce::BadChallenge::Missing => "code_challenge is missing: PKCE is required",
                pkce::BadChallenge::Malformed | pkce::BadChallenge::MethodWithoutChallenge => {
                    "code_challenge must be 43 base64url characters"
                }
            })
        })
    }
}

/// Two JSON objects, the second over the first; nothing if both are.
fn together(first: &str, second: &str) -> String {
    let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let mut all = read(first);
    all.extend(read(second));
    if all.is_empty() { String::new() } else { Value::Object(all).to_string() }
}

/// The verdict for a flow that begins here: for each grant type that its response type stands for.
pub(crate) fn verdict(
    client: &Client,
    response_type: ResponseType,
    subject: SubjectStatus,
    scope: Option<&Scope>,
    resources: &Resources,
) -> Result<Granted, Refusal> {
    let mut granted = Err(Refusal::GrantTypeNotAllowed);
    for grant_type in response_type.grant_types() {
        let ask = Ask { client, grant_type: *grant_type, subject, scope, resources, held: None };
        granted = Ok(issue::verdict(&ask)?);
    }
    let mut granted = granted?;
    if !response_type.has_code() {
        // OpenID Connect Core section 11: the server "MUST ignore the offline_access request unless the Client is using a
        // response_type value that would result in an Authorization Code being returned".
        granted.scope = granted.scope.filtered(|token| token != OFFLINE_ACCESS);
    }
    Ok(granted)
}
