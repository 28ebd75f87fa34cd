//! What resource servers must hear of: one row for each thing that is over before its time, in the order of the commits.
//!
//! A store writes the row itself, in the transaction of the record that it follows from, so that no way of ending can forget it:
//!
//! | record                                              | row                                   |
//! |-----------------------------------------------------|---------------------------------------|
//! | [`Record::Grant`](crate::Record::Grant) of a row that has ended | [`Revoked::Grant`]        |
//! | [`Record::DenyAccess`](crate::Record::DenyAccess)   | [`Revoked::Access`]                   |
//! | [`Record::PutUser`](crate::Record::PutUser) with `disabled_at`, [`Record::RemoveUser`](crate::Record::RemoveUser) | [`Revoked::Matching`] the user |
//! | [`Record::RemoveClient`](crate::Record::RemoveClient) | [`Revoked::Matching`] the client    |
//! | [`Record::Revoke`](crate::Record::Revoke)           | what it says                          |
//!
//! There is one row for each thing. A later time replaces it, at a new position; the same time or an earlier one changes nothing.

use regrant_core::{Grant, Timestamp};

use crate::User;

/// A row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// Greater than that of every row before it, and never used twice.
    pub position: u64,
    /// What is over.
    pub revoked: Revoked,
    /// Since when. Nothing that was made later is meant.
    pub at: Timestamp,
    /// When it would have been over by itself, where that is known.
    pub expires_at: Option<Timestamp>,
}

/// Whose access tokens are over.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Revoked {
    /// Those of the grant of this number.
    Grant(u64),
    /// The one whose `jti` has this SHA-256.
    Access([u8; 32]),
    /// All for which everything that is said is true.
    Matching(TokenSelector),
}

/// Which tokens are meant: those for which each part that is there fits. Without any, all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct TokenSelector {
    /// Of this client.
    pub client: Option<String>,
    /// Of this user.
    pub subject: Option<String>,
    /// With this scope token.
    pub scope: Option<String>,
    /// For this resource.
    pub resource: Option<String>,
}

impl TokenSelector {
    /// All of a user.
    #[must_use]
    pub fn user(subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..Self::default() }
    }

    /// All of a client.
    #[must_use]
    pub fn client(client: &str) -> Self {
        Self { client: Some(client.to_owned()), ..Self::default() }
    }
}

impl Revoked {
    /// What there is one row of: no two values have the same bytes.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Grant(number) => format!("grant{number}").into_bytes(),
            Self::Access(jti) => [b"token".as_slice(), jti].concat(),
            Self::Matching(TokenSelector { client, subject, scope, resource }) => {
                let mut key = b"match".to_vec();
                for part in [client, subject, scope, resource] {
                    let length = part.as_ref().map_or(u64::MAX, |part| part.len() as u64);
                    key.extend_from_slice(&length.to_be_bytes());
                    key.extend_from_slice(part.as_deref().unwrap_or_default().as_bytes());
                }
                key
            }
        }
    }
}

/// What follows from a grant's row.
pub(crate) fn of_grant(grant: &Grant) -> Option<(Revoked, Timestamp)> {
    grant.ended.map(|(at, _)| (Revoked::Grant(grant.id.number), at))
}

/// What follows from a user's row.
pub(crate) fn of_user(user: &User) -> Option<(Revoked, Timestamp)> {
    user.disabled_at.map(|at| (Revoked::Matching(TokenSelector::user(&user.subject)), at))
}
