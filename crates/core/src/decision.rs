//! What a decision says: what to write, what to tell, what to answer.
//!
//! A decision is not a `Result`: a refusal may have something to write (a replay ends the grant), and `?` must not be able
//! to drop it. The engine writes first, in one durable transaction, and answers afterwards (law L1).

use crate::client::ClientId;
use crate::grant::{EndReason, Grant, GrantId};
use crate::refusal::Refusal;
use crate::repeated;
use crate::secret::Entropy;

/// The outcome of one of this crate's `decide` functions.
#[derive(Clone, Debug)]
#[must_use = "a decision that is not carried out loses what it has to write"]
pub struct Decision<T> {
    /// What must be durable before anybody hears the outcome.
    pub write: Write,
    /// What an operator should be told; stored in the same transaction.
    pub event: Option<Event>,
    /// What to answer once the write is durable.
    pub outcome: Result<T, Refusal>,
}

impl<T> Decision<T> {
    /// Refuses without a write and without an event.
    pub const fn refuse(refusal: Refusal) -> Self {
        Self { write: Write::Nothing, event: None, outcome: Err(refusal) }
    }

    /// Refuses without a write to the grant, and leaves an event.
    pub const fn report(refusal: Refusal, event: Event) -> Self {
        Self { write: Write::Nothing, event: Some(event), outcome: Err(refusal) }
    }

    /// Refuses a request that presented a genuine token of this grant, and leaves an event that says so.
    pub(crate) fn tell(refusal: Refusal, grant: &Grant, asker: &ClientId, detail: String) -> Self {
        let about = event(EventKind::Refused(refusal), grant, detail);
        Self::report(refusal, Event { client: Some(asker.clone()), ..about })
    }

    /// Ends the grant and refuses.
    pub const fn end(grant: Grant, refusal: Refusal, event: Event) -> Self {
        Self { write: Write::Grant { change: Change::Ended, grant }, event: Some(event), outcome: Err(refusal) }
    }

    /// Writes the grant and accepts.
    pub const fn accept(change: Change, grant: Grant, outcome: T) -> Self {
        Self { write: Write::Grant { change, grant }, event: None, outcome: Ok(outcome) }
    }

    /// Adds an event.
    pub fn with_event(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }
}

/// What a decision writes.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "most decisions write; a box would cost each of them an allocation")]
pub enum Write {
    /// Nothing.
    Nothing,
    /// The grant's new row, which replaces the version before it.
    Grant {
        /// What happened to it.
        change: Change,
        /// The row to store.
        grant: Grant,
    },
}

impl Write {
    /// What happens to the grant.
    #[must_use]
    pub const fn change(&self) -> Change {
        match self {
            Self::Nothing => Change::Nothing,
            Self::Grant { change, .. } => *change,
        }
    }
}

/// What a write does to a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// No column changes.
    Nothing,
    /// A new grant.
    Created,
    /// Its code was redeemed.
    Redeemed,
    /// Its refresh token was replaced by the next generation.
    Rotated,
    /// A retry was counted.
    Retried,
    /// A reusable token was used.
    Reused,
    /// It was ended.
    Ended,
}

/// Something worth a row in the event table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which grant.
    pub grant: Option<GrantId>,
    /// Which client asked.
    pub client: Option<ClientId>,
    /// Whose grant it is.
    pub subject: Option<String>,
    /// More, for people: numbers and reason codes, never a secret.
    pub detail: String,
}

/// The kinds of event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventKind {
    /// A grant was made.
    GrantCreated,
    /// A grant was ended, and why.
    GrantEnded(EndReason),
    /// A late worker was asked to come again.
    Straggler,
    /// A replay was refused without ending the grant.
    ReplayRefused,
    /// Something that should be impossible, or an attack under way.
    Alarm,
    /// The same, where a request was refused for it: a token from the future, an impossible generation or a tampered row.
    AlarmAt(Refusal),
    /// The same, where nothing was refused: a client uses one value in several sessions that is to be made anew for each transaction.
    Constant(repeated::Value),
    /// A request that presented a genuine token of the grant was refused, and why.
    Refused(Refusal),
    /// The token hook denied a token.
    HookDenied,
    /// A user logged in.
    Login,
    /// A log-in failed.
    LoginFailed,
    /// A user logged out.
    Logout,
    /// A client could not be told that a session has ended.
    LogoutUndelivered,
    /// A user consented.
    Consent,
    /// An operator changed something.
    Admin,
}

impl EventKind {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GrantCreated => "grant_created",
            Self::GrantEnded(_) => "grant_ended",
            Self::Straggler => "straggler",
            Self::ReplayRefused => "replay_refused",
            Self::Alarm | Self::AlarmAt(_) | Self::Constant(_) => "alarm",
            Self::Refused(_) => "refused",
            Self::HookDenied => "hook_denied",
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::Logout => "logout",
            Self::LogoutUndelivered => "logout_undelivered",
            Self::Consent => "consent",
            Self::Admin => "admin",
        }
    }

    /// Whether at most one is kept per grant, kind and minute, so that nobody can fill the table by repeating himself.
    #[must_use]
    pub const fn is_once_a_minute(self) -> bool {
        matches!(
            self,
            Self::Straggler | Self::Alarm | Self::AlarmAt(_) | Self::Refused(_) | Self::HookDenied | Self::LoginFailed
        )
    }

    /// Whether at most one is kept per grant, for as long as events are kept: however often a spent token is presented, it is one
    /// alert.
    #[must_use]
    pub const fn is_once_a_grant(self) -> bool {
        matches!(self, Self::ReplayRefused)
    }

    /// The stable reason code, for the kinds that have one.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::GrantEnded(reason) => Some(reason.as_str()),
            Self::AlarmAt(refusal) | Self::Refused(refusal) => Some(refusal.as_str()),
            Self::Constant(value) => Some(value.reason()),
            Self::Straggler => Some("straggler"),
            Self::ReplayRefused => Some("replay_refused"),
            Self::HookDenied => Some("hook_denied"),
            Self::GrantCreated
            | Self::Alarm
            | Self::Login
            | Self::LoginFailed
            | Self::Logout
            | Self::LogoutUndelivered
            | Self::Consent
            | Self::Admin => None,
        }
    }
}

/// A row's next version, with this write's name.
#[must_use]
pub(crate) fn next_version(grant: &Grant, entropy: &Entropy) -> Grant {
    Grant { version: grant.version + 1, write_id: entropy.write_id(), ..grant.clone() }
}

/// The row that ends the grant: no ratchet is kept, for nothing will be derived from it again.
#[must_use]
pub(crate) fn ended(grant: &Grant, at: crate::Timestamp, reason: EndReason, entropy: &Entropy) -> Grant {
    Grant { ended: Some((at, reason)), ratchet: None, ..next_version(grant, entropy) }
}

/// An event about a grant.
#[must_use]
pub(crate) fn event(kind: EventKind, grant: &Grant, detail: String) -> Event {
    Event {
        kind,
        grant: Some(grant.id),
        client: Some(grant.terms.client.clone()),
        subject: Some(grant.terms.subject.clone()),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_event_has_its_word_its_reason_and_its_limit() {
        let often = [
            (
                EventKind::GrantEnded(EndReason::RefreshReplayed),
                "grant_ended",
                Some(EndReason::RefreshReplayed.as_str()),
            ),
            (EventKind::GrantCreated, "grant_created", None),
            (EventKind::Constant(repeated::Value::Nonce), "alarm", Some(repeated::Value::Nonce.reason())),
            (EventKind::Login, "login", None),
            (EventKind::Logout, "logout", None),
            (EventKind::LogoutUndelivered, "logout_undelivered", None),
            (EventKind::Consent, "consent", None),
            (EventKind::Admin, "admin", None),
        ];
        let once_a_minute = [
            (EventKind::Straggler, "straggler", Some("straggler")),
            (EventKind::Alarm, "alarm", None),
            (EventKind::AlarmAt(Refusal::Unissued), "alarm", Some(Refusal::Unissued.as_str())),
            (EventKind::Refused(Refusal::OtherKey), "refused", Some(Refusal::OtherKey.as_str())),
            (EventKind::HookDenied, "hook_denied", Some("hook_denied")),
            (EventKind::LoginFailed, "login_failed", None),
        ];
        let once_a_grant = [(EventKind::ReplayRefused, "replay_refused", Some("replay_refused"))];
        for (kinds, limits) in
            [(&often[..], (false, false)), (&once_a_minute, (true, false)), (&once_a_grant, (false, true))]
        {
            for (kind, word, reason) in kinds {
                assert_eq!((kind.as_str(), kind.reason()), (*word, *reason), "{kind:?}");
                assert_eq!((kind.is_once_a_minute(), kind.is_once_a_grant()), limits, "{kind:?}");
            }
        }
    }
}
