//! What a scope means to the resources that a token is for: RFC 8707 section 2.2, RFC 9068 section 3.

use regrant_core::issue::Granted;
use regrant_core::{Refusal, Resources, Scope};

use super::Settings;
use crate::config::{ADMIN_RESOURCE, ADMIN_SCOPES};

impl Settings {
    /// A verdict that leaves a token something to say. RFC 6749 section 3.3 has no word for a scope of nothing ("scope-token *( SP
    /// scope-token )"), and section 5.1 reads an answer without `scope` as all that was asked for.
    ///
    /// # Errors
    /// [`Refusal::ScopeNotAllowed`] where none of the scopes means anything to any of the resources.
    pub fn meaningful(&self, granted: Granted) -> Result<Granted, Refusal> {
        if self.is_meaningless(&granted.scope, &granted.resources) {
            Err(Refusal::ScopeNotAllowed)
        } else {
            Ok(granted)
        }
    }

    /// Whether nothing of this scope means anything to any of these resources.
    #[must_use]
    pub fn is_meaningless(&self, scope: &Scope, resources: &Resources) -> bool {
        !scope.is_empty() && self.scope_at(scope, resources).is_empty()
    }

    /// What of a scope means something to these resources: scopes that another resource owns are left out (RFC 8707
    /// section 2.2, RFC 9068 section 3).
    #[must_use]
    pub fn scope_at(&self, scope: &Scope, resources: &Resources) -> Scope {
        if resources.is_empty() {
            return scope.clone();
        }
        scope.filtered(|token| {
            if ADMIN_SCOPES.contains(&token) {
                return resources.contains(ADMIN_RESOURCE);
            }
            let mut owners = self.config.resources.iter().filter(|resource| resource.scopes.contains(token)).peekable();
            owners.peek().is_none() || owners.any(|owner| resources.contains(&owner.uri))
        })
    }
}
