//! How a set is written in a row: in one spelling only, so that no change to a row goes unnoticed (check K8); and what
//! stands in place of what cannot be read.

use regrant_core::grant::{Binding, Rotation};
use regrant_core::{ClientId, Resources, Scope, Terms, Timestamp};

/// A scope as we write it. What reads as the same set and is written otherwise was not written by us.
///
/// Not [`Scope::parse`], whose limit on the whole text is for requests: what a client's settings allow may be longer.
pub(crate) fn scope(text: &str) -> Option<Scope> {
    let read = if text.is_empty() { Scope::default() } else { Scope::from_tokens(text.split(' ')).ok()? };
    (read.to_string() == text).then_some(read)
}

/// Resources as we write them.
pub(crate) fn resources(text: &str) -> Option<Resources> {
    Resources::parse(text).ok().filter(|read| read.to_string() == text)
}

/// In place of terms that cannot be read: no MAC is over them.
pub(crate) fn unreadable(client: ClientId, subject: String) -> Terms {
    let never = Timestamp::EPOCH;
    Terms {
        client,
        subject,
        scope: Scope::default(),
        resources: Resources::default(),
        binding: Binding::Bearer,
        rotation: Rotation::SingleUse,
        refreshable: false,
        authenticated_at: never,
        created_at: never,
        epoch: 0,
        session: None,
        code: None,
        openid: None,
    }
}
