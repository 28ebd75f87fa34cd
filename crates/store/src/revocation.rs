//! What resource servers must hear of: one row for each thing that is over before its time, in the order of the commits.
//!
//! A store writes the row itself, in the transaction of the record that it follows from, so that no way of ending can forget it:
//!
//! | record                                              | row                                   |
//! |-----------------------------------------------------|---------------------------------------|
//! | [`Record::Grant`](crate::Record::Grant) of a row that has ended by itself | [`Revoked::Grant`]        |
//! | [`Record::DenyAccess`](crate::Record::DenyAccess)   | [`Revoked::Access`]                   |
//! | [`Record::PutUser`](crate::Record::PutUser) with `disabled_at`, [`Record::RemoveUser`](crate::Record::RemoveUser) | [`Revoked::Matching`] the user |
//! | [`Record::RemoveClient`](crate::Record::RemoveClient) | [`Revoked::Matching`] the client    |
//! | [`Record::Epoch`](crate::Record::Epoch)             | [`Revoked::Matching`] what it selects; [`Revoked::Bulk`] if it can be taken back |
//! | [`Record::UndoEpoch`](crate::Record::UndoEpoch)     | [`Revoked::TakenBack`]                |
//! | [`Record::Revoke`](crate::Record::Revoke)           | what it says                          |
//!
//! There is one row for each thing. A later time replaces it, at a new position; the same time or an earlier one changes nothing.

use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Grant, Selector, Timestamp};

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
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Revoked {
    /// Those of the grant of this number.
    Grant(u64),
    /// The one whose `jti` has this SHA-256.
    Access([u8; 32]),
    /// Those of the grants that fit, and what fits without a grant.
    Matching(Selector),
    /// The same, by the wide revocation of this number: it can be taken back, and what others have ended is then still over.
    Bulk(u64, Selector),
    /// Nothing any more, by the wide revocation of this number.
    TakenBack(u64),
}

impl Revoked {
    /// All of a user.
    #[must_use]
    pub fn user(subject: &str) -> Self {
        Self::Matching(Selector { subject: Some(subject.to_owned()), ..Selector::default() })
    }

    /// All of a client.
    #[must_use]
    pub fn client(client: ClientId) -> Self {
        Self::Matching(Selector { client: Some(client), ..Selector::default() })
    }

    /// What there is one row of: no two values have the same bytes.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Grant(number) => format!("grant{number}").into_bytes(),
            Self::Access(jti) => [b"token".as_slice(), jti].concat(),
            Self::Bulk(number, _) => format!("bulk{number}").into_bytes(),
            Self::TakenBack(number) => format!("undo{number}").into_bytes(),
            Self::Matching(Selector {
                subject,
                client,
                session,
                tag_key,
                scope,
                resource,
                issued_before,
                online_only,
                among,
                but_session,
            }) => {
                let mut key = b"match".to_vec();
                let before = issued_before.map(|before| before.millis().to_be_bytes());
                // The key of a row of before there was this part has none.
                let before = before.as_ref().map(|before| Some(before.as_slice()));
                let parts = [
                    subject.as_ref().map(String::as_bytes),
                    client.as_ref().map(|client| client.as_str().as_bytes()),
                    session.as_ref().map(<[u8; 32]>::as_slice),
                    tag_key.as_ref().map(std::slice::from_ref),
                    scope.as_ref().map(String::as_bytes),
                    resource.as_ref().map(String::as_bytes),
                    online_only.then_some(&[]),
                ];
                for part in parts.into_iter().chain(before) {
                    let length = part.map_or(u64::MAX, |part| part.len() as u64);
                    key.extend_from_slice(&length.to_be_bytes());
                    key.extend_from_slice(part.unwrap_or_default());
                }
                // Nor has it these, which say by a word what they are.
                if let Some(among) = among {
                    key.extend_from_slice(format!("among {}\0", among.text()).as_bytes());
                }
                if let Some(session) = but_session {
                    key.extend_from_slice(b"but session ");
                    key.extend_from_slice(session);
                }
                key
            }
        }
    }
}

/// What follows from a grant's row: nothing where a wide revocation was written into it, which had its own row.
pub(crate) fn of_grant(grant: &Grant) -> Option<(Revoked, Timestamp)> {
    let (at, reason) = grant.ended?;
    match reason {
        EndReason::RefreshReplayed
        | EndReason::CodeReplayed
        | EndReason::RevokedByClient
        | EndReason::RevokedByOperator
        | EndReason::RevokedByUser
        | EndReason::GenerationsExhausted
        | EndReason::DeniedByUser
        | EndReason::LostInRestore => Some((Revoked::Grant(grant.id.number), at)),
        EndReason::UserRevoked
        | EndReason::ClientRevoked
        | EndReason::UserAtClientRevoked
        | EndReason::SessionRevoked
        | EndReason::KeyRevoked
        | EndReason::ScopeRevoked
        | EndReason::ResourceRevoked
        | EndReason::IssuedBeforeRevoked
        | EndReason::SelectionRevoked
        | EndReason::PasswordChanged
        | EndReason::UserDisabled
        | EndReason::LoggedOut
        | EndReason::ConsentWithdrawn
        | EndReason::ClientRemoved
        | EndReason::ClientSwitchedOff
        | EndReason::ClientSecretRotated
        | EndReason::RedirectUrisReduced
        | EndReason::GlobalRevocation
        | EndReason::UserRemoved => None,
    }
}

/// What follows from a user's row.
pub(crate) fn of_user(user: &User) -> Option<(Revoked, Timestamp)> {
    user.disabled_at.map(|at| (Revoked::user(&user.subject), at))
}

/// What follows from the end of a client: an identifier that is none of ours has no tokens.
pub(crate) fn of_client(id: &str, at: Timestamp) -> Option<(Revoked, Timestamp)> {
    ClientId::parse(id).map(|client| (Revoked::client(client), at))
}

/// What follows from a wide revocation, which has this number.
pub(crate) fn of_epoch(epoch: &Epoch, number: u64) -> (Revoked, Timestamp) {
    let selector = epoch.selector.clone();
    (if epoch.undo_until.is_some() { Revoked::Bulk(number, selector) } else { Revoked::Matching(selector) }, epoch.at)
}
