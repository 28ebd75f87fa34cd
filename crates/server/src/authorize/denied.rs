//! What a client is told when it gets no answer: RFC 6749 section 4.1.2.1, and OpenID Connect Core section 3.1.2.6.

use regrant_core::Refusal;
use regrant_core::interaction::Rejection;

/// An error and what is said of it: constant, for it stands in URLs.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

impl Denied {
    pub(super) const fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }

    pub(super) const fn invalid(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    pub(crate) const ACCESS: Self = Self::new("access_denied", "the user denied the request");
    pub(crate) const LOGIN_REQUIRED: Self =
        Self::new("login_required", "the user is not logged in as the request asks for");
    pub(crate) const CONSENT_REQUIRED: Self = Self::new("consent_required", "the user has not consented");
    pub(crate) const HOOK: Self = Self::new("access_denied", "the request was denied");
    /// OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
    pub(crate) const UNMET: Self = Self::new(
        "unmet_authentication_requirements",
        "no login of this server is of the acr that the request asks for",
    );
    pub(crate) const TOO_MANY_CODES: Self =
        Self::new("temporarily_unavailable", "too many codes were issued to this user; ask again in a minute");
    pub(crate) const UNAVAILABLE: Self =
        Self::new("temporarily_unavailable", "the server cannot answer now; ask again shortly with the same request");
    pub(crate) const TOO_LARGE: Self =
        Self::new("server_error", "the claims that the ID token would carry are more than a token may");

    /// What the application that asked the user said.
    pub(crate) const fn rejected(why: Rejection) -> Self {
        match why {
            Rejection::AccessDenied => Self::ACCESS,
            Rejection::LoginRequired => Self::LOGIN_REQUIRED,
            Rejection::ConsentRequired => Self::CONSENT_REQUIRED,
            Rejection::AccountSelectionRequired => {
                Self::new("account_selection_required", "the user has not chosen an account")
            }
            Rejection::InteractionRequired => {
                Self::new("interaction_required", "something that only the user can give is missing")
            }
            Rejection::UnmetAuthenticationRequirements => Self::UNMET,
            Rejection::TemporarilyUnavailable => Self::UNAVAILABLE,
        }
    }

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
