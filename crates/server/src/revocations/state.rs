//! What restricts without ending a grant, in the revocation journal: users who may not log in, passwords, clients, consents, logouts.
//!
//! Each entry is the whole state of its thing at that moment, so that the last one of a thing is what a recovery puts back. JSON, for
//! they are few: operators and users make them, not refreshes. A form that this program does not know is one of a newer program.
//!
//! A password's entry holds its hash, as the store does: with the one of the copy, a password that was changed because others knew it
//! would work again.

use regrant_core::Timestamp;
use regrant_store::{Consent, Record, User};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Entry, Revoked};

/// The longest that is kept: what does not fit says that it is not there.
const MAX_STATE: usize = 60_000;
/// A consent that is written so long after it was given is one that was changed.
const A_MOMENT: Duration = Duration::from_secs(60);

/// What a thing was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// A user who was written.
    User {
        /// `sub`.
        subject: String,
        /// The hash.
        password: String,
        /// Since when the user may not log in, in milliseconds.
        disabled_at: Option<i64>,
    },
    /// A user who was removed.
    NoUser {
        /// `sub`.
        subject: String,
    },
    /// A client of the store that was written.
    Client {
        /// Its `client_id`.
        id: String,
        /// Its definition.
        definition: String,
    },
    /// A client that was removed.
    NoClient {
        /// Its `client_id`.
        id: String,
    },
    /// A consent that was paused, limited, narrowed, or set free again.
    Consent {
        /// The user.
        subject: String,
        /// The client.
        client: String,
        /// Scopes.
        scope: String,
        /// Resources.
        resources: String,
        /// When it was given, in milliseconds, as all times here.
        at: i64,
        /// Since when it is paused.
        paused_at: Option<i64>,
        /// When it ends.
        ends_at: Option<i64>,
    },
    /// A consent that was withdrawn.
    NoConsent {
        /// The user.
        subject: String,
        /// The client.
        client: String,
    },
    /// A browser's session that was ended.
    NoSession {
        /// The hash of its cookie.
        id: [u8; 32],
    },
    /// All of a user's.
    NoSessions {
        /// The user.
        subject: String,
        /// But for the one of this root.
        #[serde(default)]
        but: Option<[u8; 32]>,
    },
}

impl State {
    /// What a record made of its thing, if that can restrict anything.
    pub(super) fn of(record: &Record, now: Timestamp) -> Option<Self> {
        Some(match record {
            Record::PutUser { user: User { subject, password, disabled_at, .. }, .. } => Self::User {
                subject: subject.clone(),
                password: password.clone(),
                disabled_at: disabled_at.map(Timestamp::millis),
            },
            Record::RemoveUser { subject } => Self::NoUser { subject: subject.clone() },
            Record::PutClient { id, definition, .. } => Self::Client { id: id.clone(), definition: definition.clone() },
            Record::RemoveClient { id } => Self::NoClient { id: id.clone() },
            Record::PutConsent { consent, .. } if is_changed(consent, now) => {
                let Consent { subject, client, scope, resources, at, paused_at, ends_at } = consent.clone();
                let (at, paused_at, ends_at) =
                    (at.millis(), paused_at.map(Timestamp::millis), ends_at.map(Timestamp::millis));
                Self::Consent { subject, client, scope, resources, at, paused_at, ends_at }
            }
            Record::RemoveConsent { subject, client } => {
                Self::NoConsent { subject: subject.clone(), client: client.clone() }
            }
            Record::EndSession { id } => Self::NoSession { id: *id },
            Record::EndSessionsOf { subject, but } => Self::NoSessions { subject: subject.clone(), but: *but },
            _ => return None,
        })
    }

    /// Which user, client or consent it is the last word about. `None` of sessions: of those each is kept.
    pub(crate) fn thing(&self) -> Option<(u8, String, String)> {
        Some(match self {
            Self::User { subject, .. } | Self::NoUser { subject } => (0, subject.clone(), String::new()),
            Self::Client { id, .. } | Self::NoClient { id } => (1, id.clone(), String::new()),
            Self::Consent { subject, client, .. } | Self::NoConsent { subject, client } => {
                (2, subject.clone(), client.clone())
            }
            Self::NoSession { .. } | Self::NoSessions { .. } => return None,
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let written = serde_json::to_vec(self).unwrap_or_default();
        match self {
            // Longer than any that a person writes: better no client than one that has its old secret again.
            Self::Client { id, .. } if written.len() > MAX_STATE => Self::NoClient { id: id.clone() }.write(),
            _ => written,
        }
    }

    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Without those about things of which a later entry tells: a recovery goes by the last one. Never one that is younger than it.
pub(super) fn last_words(entries: Vec<Entry>) -> Vec<Entry> {
    let mut told = BTreeMap::new();
    let is_last = |entry: &Entry| {
        let Revoked::State(state) = &entry.what else { return true };
        let Some(thing) = state.thing() else { return true };
        match told.get(&thing) {
            Some(later) => *later < entry.at,
            None => told.insert(thing, entry.at).is_none(),
        }
    };
    let mut kept: Vec<Entry> = entries.into_iter().rev().filter(is_last).collect();
    kept.reverse();
    kept
}

/// Not the one that a user gives in this moment: that is no restriction, and everybody gives some.
fn is_changed(consent: &Consent, now: Timestamp) -> bool {
    consent.paused_at.is_some() || consent.ends_at.is_some() || now.since(consent.at) > A_MOMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_as_it_was_written() {
        let text = |text: &str| text.to_owned();
        for state in [
            State::User { subject: text("usr_1"), password: text("$argon2id$"), disabled_at: Some(-1) },
            State::NoUser { subject: text("usr_1") },
            State::Client { id: text("app"), definition: text("{\"id\": \"app\"}") },
            State::NoClient { id: text("app") },
            State::Consent {
                subject: text("usr_1"),
                client: text("app"),
                scope: text("read"),
                resources: String::new(),
                at: 1,
                paused_at: None,
                ends_at: Some(2),
            },
            State::NoConsent { subject: text("usr_1"), client: text("app") },
            State::NoSession { id: [7; 32] },
            State::NoSessions { subject: text("usr_1"), but: Some([7; 32]) },
        ] {
            assert_eq!(State::read(&state.write()), Some(state));
        }
        assert_eq!(State::read(b"{\"something_newer\": {}}"), None);
        let long = State::Client { id: text("app"), definition: "x".repeat(70_000) };
        assert_eq!(State::read(&long.write()), Some(State::NoClient { id: text("app") }));
    }

    #[test]
    fn of_a_thing_only_the_last_word_is_kept() {
        let at = |millis: i64, what: Revoked| {
            let at = Timestamp::from_millis(millis);
            Entry { at, over_at: at, what }
        };
        let client = |millis, id: &str, definition: &str| {
            at(millis, Revoked::State(State::Client { id: id.to_owned(), definition: definition.to_owned() }))
        };
        let logout = |millis| at(millis, Revoked::State(State::NoSession { id: [7; 32] }));
        let gone = at(9, Revoked::State(State::NoClient { id: "b".to_owned() }));
        let entries = vec![
            client(1, "a", "one"),
            logout(2),
            client(3, "b", "one"),
            client(5, "a", "two"),
            logout(6),
            at(7, Revoked::Era(2)),
            client(8, "a", "three"),
            gone.clone(),
        ];
        let last = [logout(2), logout(6), at(7, Revoked::Era(2)), client(8, "a", "three"), gone];
        assert_eq!(last_words(entries), last);
        // A recovery looks at those from a time on: what is younger than its last word stays.
        let back = vec![client(9, "a", "one"), client(8, "a", "two")];
        assert_eq!(last_words(back.clone()), back);
    }
}
