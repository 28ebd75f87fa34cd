//! The authorization endpoint: RFC 6749 sections 3.1, 4.1.1 and 4.2.1, RFC 7636, RFC 8707, RFC 9207.
//!
//! Reading a request has two halves. Until client and redirect URI are certain, an error is a page: RFC 6749 section 4.1.2.1,
//! "MUST NOT automatically redirect the user-agent to the invalid redirection URI". From then on an error goes to the client.

use std::sync::Arc;

use regrant_core::client::GrantType;
use regrant_core::issue::{self, Ask, Granted, SubjectStatus};
use regrant_core::secret::Hash;
use regrant_core::{Client, ClientId, Refusal, Resources, Scope, pkce, redirect};

use crate::app::App;
use crate::form::{self, Form};
use crate::sight;

/// The longest authorization request that is read, in bytes: it must fit into a URL again.
pub const MAX_REQUEST: usize = 8 * 1024;
/// The longest `state`.
const MAX_STATE: usize = 4 * 1024;

/// A valid authorization request.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client: Arc<Client>,
    pub(crate) to: Destination,
    pub(crate) flow: Flow,
    /// What could be granted, were the user to consent.
    pub(crate) granted: Granted,
    /// The `redirect_uri` parameter, if one was sent: a code is bound to it.
    pub(crate) redirect_parameter: Option<String>,
    pub(crate) challenge: Option<Hash>,
    pub(crate) prompt: Prompt,
}

/// Where an answer goes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) redirect_uri: String,
    state: Option<String>,
    in_fragment: bool,
}

/// The two flows that begin here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// `response_type=code`.
    Code,
    /// `response_type=token`: never yields a refresh token.
    Implicit,
}

/// What the client wants the user to be asked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Prompt {
    pub(crate) none: bool,
    pub(crate) login: bool,
    pub(crate) consent: bool,
}

/// What is wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Wrong {
    /// Shown to the user: there is nowhere to redirect to.
    Page(&'static str, &'static str),
    /// Told to the client.
    Redirect(Destination, Denied),
}

/// RFC 6749 section 4.1.2.1, and OpenID Connect Core section 3.1.2.6.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

impl Denied {
    const fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }

    pub(crate) const ACCESS: Self = Self::new("access_denied", "the user denied the request");
    pub(crate) const LOGIN_REQUIRED: Self = Self::new("login_required", "the user is not logged in");
    pub(crate) const CONSENT_REQUIRED: Self = Self::new("consent_required", "the user has not consented");
    pub(crate) const HOOK: Self = Self::new("access_denied", "the request was denied");
    pub(crate) const TOO_MANY_CODES: Self =
        Self::new("temporarily_unavailable", "too many codes were issued to this user; ask again in a minute");
    pub(crate) const UNAVAILABLE: Self =
        Self::new("temporarily_unavailable", "the server cannot answer now; ask again shortly with the same request");

    /// What a refusal of the rules is called here.
    pub(crate) const fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ScopeExceeded | Refusal::ScopeNotAllowed => {
                Self::new("invalid_scope", "the scope is unknown, or the client may not have it")
            }
            Refusal::TargetExceeded | Refusal::TargetNotAllowed => {
                Self::new("invalid_target", "the resource is unknown, or the client may not have tokens for it")
            }
            Refusal::ClientDisabled | Refusal::GrantTypeNotAllowed => {
                Self::new("unauthorized_client", "the client may not use this flow")
            }
            _ => Self::ACCESS,
        }
    }
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
        // The response type decides where the answer stands; an unreadable one is told in the query.
        let response_type = form.credential("response_type").unwrap_or_default().to_owned();
        let to = Destination {
            redirect_uri,
            // RFC 6749 section 4.1.2: "the exact value received from the client". A repeated one is no value, and one that is
            // not UTF-8 cannot be given back as it was.
            state: form.utf8("state").filter(|_| !form.is_repeated("state")).map(str::to_owned),
            in_fragment: response_type == "token",
        };
        let rest = Rest { form: &form, client: &client, response_type: &response_type };
        match rest.read() {
            Ok((flow, granted, challenge, prompt)) => {
                Ok(Self { client, to, flow, granted, redirect_parameter, challenge, prompt })
            }
            Err(denied) => Err(Wrong::Redirect(to, denied)),
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
    form: &'a Form,
    client: &'a Client,
    response_type: &'a str,
}

type Read = (Flow, Granted, Option<Hash>, Prompt);

impl Rest<'_> {
    fn read(&self) -> Result<Read, Denied> {
        const REPEATED: Denied = Denied::new("invalid_request", "a parameter is included more than once");
        const KNOWN: [&str; 9] = [
            "response_type",
            "response_mode",
            "scope",
            "state",
            "code_challenge",
            "code_challenge_method",
            "prompt",
            "nonce",
            "request",
        ];
        if KNOWN.iter().any(|name| self.form.is_repeated(name)) {
            return Err(REPEATED);
        }
        if self.form.text("state", MAX_STATE).is_err() {
            return Err(Denied::new("invalid_request", "state is too long or holds control characters"));
        }
        if self.form.credential("request").is_some() {
            return Err(Denied::new("request_not_supported", "request objects are not supported"));
        }
        if self.form.credential("request_uri").is_some() {
            return Err(Denied::new("request_uri_not_supported", "request objects are not supported"));
        }
        let flow = self.flow()?;
        let challenge = self.challenge(flow)?;
        let prompt = self.prompt()?;
        let scope = match self.form.credential("scope") {
            None => None,
            Some(text) => Some(Scope::parse(text).map_err(|_| Denied::new("invalid_scope", "the scope is malformed"))?),
        };
        let resources = Resources::new(self.form.all("resource"))
            .map_err(|_| Denied::new("invalid_target", "a resource is malformed"))?;
        let granted =
            verdict(self.client, flow, SubjectStatus::Enabled, scope.as_ref(), &resources).map_err(Denied::of)?;
        Ok((flow, granted, challenge, prompt))
    }

    fn flow(&self) -> Result<Flow, Denied> {
        let flow = match self.response_type {
            "" => return Err(Denied::new("invalid_request", "response_type is missing")),
            "code" => Flow::Code,
            "token" => Flow::Implicit,
            _ => return Err(Denied::new("unsupported_response_type", "the response type is not supported")),
        };
        if !self.client.response_types.contains(self.response_type) {
            return Err(Denied::new("unauthorized_client", "the client may not use this response type"));
        }
        match (self.form.credential("response_mode"), flow) {
            (None, _) | (Some("query"), Flow::Code) | (Some("fragment"), Flow::Implicit) => Ok(flow),
            _ => Err(Denied::new("invalid_request", "the response mode is not supported")),
        }
    }

    fn challenge(&self, flow: Flow) -> Result<Option<Hash>, Denied> {
        let (challenge, method) =
            (self.form.credential("code_challenge"), self.form.credential("code_challenge_method"));
        // There is no code to protect in the implicit flow.
        let required = self.client.require_pkce && flow == Flow::Code;
        pkce::challenge(challenge, method, required).map_err(|bad| match bad {
            pkce::BadChallenge::PlainMethod | pkce::BadChallenge::UnknownMethod => {
                Denied::new("invalid_request", "code_challenge_method must be S256")
            }
            pkce::BadChallenge::Missing => {
                Denied::new("invalid_request", "code_challenge is missing: PKCE is required")
            }
            pkce::BadChallenge::Malformed | pkce::BadChallenge::MethodWithoutChallenge => {
                Denied::new("invalid_request", "code_challenge must be 43 base64url characters")
            }
        })
    }

    fn prompt(&self) -> Result<Prompt, Denied> {
        let mut prompt = Prompt::default();
        for word in self.form.credential("prompt").unwrap_or_default().split(' ') {
            match word {
                "none" => prompt.none = true,
                "login" | "select_account" => prompt.login = true,
                "consent" => prompt.consent = true,
                _ => {}
            }
        }
        if prompt.none && (prompt.login || prompt.consent) {
            return Err(Denied::new("invalid_request", "prompt=none cannot be combined"));
        }
        Ok(prompt)
    }
}

/// The verdict for a flow that begins here.
pub(crate) fn verdict(
    client: &Client,
    flow: Flow,
    subject: SubjectStatus,
    scope: Option<&Scope>,
    resources: &Resources,
) -> Result<Granted, Refusal> {
    let grant_type = match flow {
        Flow::Code => GrantType::AuthorizationCode,
        Flow::Implicit => GrantType::Implicit,
    };
    issue::verdict(&Ask { client, grant_type, subject, scope, resources, held: None })
}

impl Destination {
    /// The URL of an error answer (RFC 6749 section 4.1.2.1), with `iss` (RFC 9207 section 2).
    pub(crate) fn error(&self, issuer: &str, denied: &Denied) -> String {
        self.answer(issuer, &[("error", denied.error), ("error_description", denied.description)])
    }

    /// The URL of an answer: the parameters, `state` as it was sent, and `iss`.
    pub(crate) fn answer(&self, issuer: &str, parameters: &[(&str, &str)]) -> String {
        let mut all = parameters.to_vec();
        all.extend(self.state.as_deref().map(|state| ("state", state)));
        all.push(("iss", issuer));
        let separator = match (self.in_fragment, self.redirect_uri.contains('?')) {
            (true, _) => '#',
            (false, true) => '&',
            (false, false) => '?',
        };
        format!("{}{separator}{}", self.redirect_uri, form::write(&all))
    }

    /// For the `form-action` of our pages: browsers apply it to the redirect that follows a form, too.
    pub(crate) fn form_action(&self) -> String {
        let Some((scheme, rest)) = self.redirect_uri.split_once(':') else { return String::new() };
        let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?']).next());
        match authority {
            // A host source cannot hold an IPv6 address: the scheme stands for it.
            Some(authority) if scheme.starts_with("http") && !authority.starts_with('[') => {
                format!("{scheme}://{authority}")
            }
            _ => format!("{scheme}:"),
        }
    }
}
