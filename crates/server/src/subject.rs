//! By which `sub` a client knows a user, and by which `sid` a session: OpenID Connect Core section 8.
//!
//! Inside, a user has one subject; whatever a client hears of him (ID token, userinfo, introspection) names him by this function. The
//! token hook, events and revocations know the one inside.

use aws_lc_rs::hmac;
use regrant_core::client::{SUBJECT_PREFIX, SubjectType};
use regrant_core::{Client, codec};

use crate::app::App;
use crate::session;

/// The `sub` for this client. A client that acts for itself is its own subject, and stays it.
pub(crate) fn told(app: &App, client: &Client, subject: &str) -> String {
    match &client.subject_type {
        SubjectType::Pairwise(sector) if subject.starts_with(SUBJECT_PREFIX) => {
            pairwise(&app.pairwise_key, sector, subject)
        }
        SubjectType::Public | SubjectType::Pairwise(_) => subject.to_owned(),
    }
}

/// Section 8.1: "The Subject Identifier value MUST NOT be reversible by any party other than the OpenID Provider. Distinct Sector
/// Identifier values MUST result in distinct Subject Identifier values. The algorithm MUST be deterministic." With the prefix of every
/// subject, which no client id may have, and twice as long as a user's own.
fn pairwise(key: &hmac::Key, sector: &str, subject: &str) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(&(sector.len() as u64).to_be_bytes());
    context.update(sector.as_bytes());
    context.update(subject.as_bytes());
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    format!("{SUBJECT_PREFIX}{}", codec::encode_plain(&tag))
}

/// The `sid` of a session for this client, by the session's root. Clients of one sector know a session by one name, as they know its user; a
/// pairwise client's is of no use to those of other sectors, or two of them could find out by it that their users are one.
pub(crate) fn sid(app: &App, client: &Client, root: &[u8; 32]) -> String {
    match &client.subject_type {
        SubjectType::Pairwise(sector) => {
            let mut context = hmac::Context::with_key(&app.pairwise_session_key);
            context.update(root);
            context.update(sector.as_bytes());
            let mut tag = [0; 32];
            tag.copy_from_slice(context.sign().as_ref());
            codec::encode_plain(&tag)
        }
        SubjectType::Public => session::sid(root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sector_knows_a_user_by_another_name_and_always_the_same() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let known = pairwise(&key, "app.example", "usr_1");
        assert_eq!(known, pairwise(&key, "app.example", "usr_1"));
        let others = [
            pairwise(&key, "app.example", "usr_2"),
            pairwise(&key, "other.example", "usr_1"),
            pairwise(&key, "app.exampleu", "sr_1"),
            pairwise(&hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]), "app.example", "usr_1"),
        ];
        assert!(!others.contains(&known));
        assert!(known.starts_with(SUBJECT_PREFIX) && known.len() == SUBJECT_PREFIX.len() + 43);
    }
}
