//! May this client have this, in this way, for this user? The one function that every flow asks (check M1).
//!
//! Half of the incidents in this field are one check that is missing at one of several doors: so there is one door.
//! The order is the order of the answers: the client, the flow, the user, the scope, the resources.

use crate::client::{Client, GrantType};
use crate::refusal::Refusal;
use crate::scope::{Resources, Scope};
use crate::time::Timestamp;

/// What the store knows of the user behind a request, and of what the user said about its client since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubjectStatus {
    /// There is no user: the client acts for itself.
    None,
    /// The user may log in.
    Enabled,
    /// The user was switched off.
    Disabled,
    /// The user is no longer there.
    Gone,
    /// The user may log in, and has paused the client: it gets nothing until the user resumes it.
    Paused,
    /// The user may log in, and what the client was allowed ends then.
    Until(Timestamp),
}

impl SubjectStatus {
    /// Whether tokens may be made and vouched for, as far as the user is concerned. An end is a matter of time.
    #[must_use]
    pub const fn is_in_order(self) -> bool {
        match self {
            Self::None | Self::Enabled | Self::Until(_) => true,
            Self::Disabled | Self::Gone | Self::Paused => false,
        }
    }

    /// When the user ends it, if that was said.
    #[must_use]
    pub const fn end(self) -> Option<Timestamp> {
        match self {
            Self::Until(end) => Some(end),
            Self::None | Self::Enabled | Self::Disabled | Self::Gone | Self::Paused => None,
        }
    }

    /// Whether that time has come.
    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        self.end().is_some_and(|end| end.is_over(now))
    }
}

/// What was granted before, which bounds a refresh.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The grant's scope.
    pub scope: &'a Scope,
    /// The grant's resources.
    pub resources: &'a Resources,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks, already authenticated.
    pub client: &'a Client,
    /// By which flow.
    pub grant_type: GrantType,
    /// For whom.
    pub subject: SubjectStatus,
    /// The scope asked for; `None` asks for all that can be had.
    pub scope: Option<&'a Scope>,
    /// The resources asked for; empty asks for all that can be had.
    pub resources: &'a Resources,
    /// What bounds the answer, for a refresh or the redemption of a code.
    pub held: Option<Held<'a>>,
}

/// The answer: what a token may carry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// Its scope.
    pub scope: Scope,
    /// Its audience; empty means the server's own.
    pub resources: Resources,
}

/// Decides.
///
/// # Errors
/// The first [`Refusal`] in the order of the module's description.
pub fn verdict(ask: &Ask<'_>) -> Result<Granted, Refusal> {
    who(ask)?;
    what(ask)
}

/// The part that does not depend on what is asked for: client, flow, user, and whether the user has paused the client.
pub(crate) fn who(ask: &Ask<'_>) -> Result<(), Refusal> {
    if ask.client.disabled {
        return Err(Refusal::ClientDisabled);
    }
    if !ask.client.may_use(ask.grant_type) {
        return Err(Refusal::GrantTypeNotAllowed);
    }
    match ask.subject {
        SubjectStatus::Disabled => Err(Refusal::SubjectDisabled),
        SubjectStatus::Gone => Err(Refusal::SubjectGone),
        SubjectStatus::Paused => Err(Refusal::ConsentPaused),
        SubjectStatus::Enabled | SubjectStatus::None | SubjectStatus::Until(_) => Ok(()),
    }
}

/// Scope and resources: within what was granted, and within what the client may have now.
pub(crate) fn what(ask: &Ask<'_>) -> Result<Granted, Refusal> {
    let allowed = &ask.client.scopes;
    let scope = match (ask.scope, ask.held) {
        // RFC 6749 section 6: "The requested scope MUST NOT include any scope not originally granted by the resource owner".
        (Some(wanted), Some(held)) if !wanted.is_within(held.scope) => {
            return Err(Refusal::ScopeExceeded);
        }
        (Some(wanted), _) if !wanted.is_within(allowed) => return Err(Refusal::ScopeNotAllowed),
        (Some(wanted), _) => wanted.clone(),
        // "and if omitted is treated as equal to the scope originally granted": less what the client has lost since.
        (None, Some(held)) => {
            let left = held.scope.intersection(allowed);
            if left.is_empty() && !held.scope.is_empty() {
                return Err(Refusal::ScopeNotAllowed);
            }
            left
        }
        (None, None) => allowed.clone(),
    };
    let resources = match ask.held {
        Some(held) if !ask.resources.is_within(held.resources) => {
            return Err(Refusal::TargetExceeded);
        }
        _ if !ask.resources.is_within(&ask.client.resources) => {
            return Err(Refusal::TargetNotAllowed);
        }
        _ if !ask.resources.is_empty() => ask.resources.clone(),
        Some(held) => {
            let left = held.resources.intersection(&ask.client.resources);
            if left.is_empty() && !held.resources.is_empty() {
                return Err(Refusal::TargetNotAllowed);
            }
            left
        }
        None => ask.client.resources.clone(),
    };
    Ok(Granted { scope, resources })
}

/// What would have been within bounds, for people. What was asked for stays out of it: a sender can put anything there.
pub(crate) fn exceeded(ask: &Ask<'_>) -> String {
    let (scope, resources) = match ask.held {
        Some(held) => (held.scope.intersection(&ask.client.scopes), held.resources.intersection(&ask.client.resources)),
        None => (ask.client.scopes.clone(), ask.client.resources.clone()),
    };
    format!("would have been accepted: scope \"{scope}\", resources \"{resources}\"")
}
