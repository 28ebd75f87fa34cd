//! How a set is written in a row: in one spelling only, so that no change to a row goes unnoticed (check K8).

use regrant_core::Scope;

/// A scope as we write it. What reads as the same set and is written otherwise was not written by us.
///
/// Not [`Scope::parse`], whose limit on the whole text is for requests: what a client's settings allow may be longer.
pub(crate) fn scope(text: &str) -> Option<Scope> {
    let read = if text.is_empty() { Scope::default() } else { Scope::from_tokens(text.split(' ')).ok()? };
    (read.to_string() == text).then_some(read)
}
