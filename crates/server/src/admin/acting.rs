//! For whom an operator's hands work, and on what condition: what every write tells of itself (check O8), and what it must find
//! before it is made (RFC 9110 section 13).

use std::fmt;

use regrant_core::ClientId;
use regrant_core::secret::Hash;
use serde::Serialize;

use super::AdminError;

/// Who has it done. The events tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Operator {
    /// The program that mounts the server: what it does is its own to note.
    #[default]
    Program,
    /// The command line, on the store of a server that does not run.
    CommandLine,
    /// A user of this machine, through the admin socket.
    Socket {
        /// Whose process it was, as the kernel says.
        uid: u32,
    },
    /// SIGHUP.
    Signal,
    /// A client, through the admin API.
    Client(ClientId),
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("the program"),
            Self::CommandLine => f.write_str("the command line"),
            Self::Socket { uid } => write!(f, "uid {uid} on the admin socket"),
            Self::Signal => f.write_str("SIGHUP"),
            Self::Client(id) => write!(f, "client {id} on the admin API"),
        }
    }
}

/// What a write must find of the thing that it changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Condition {
    /// Nothing in particular.
    #[default]
    None,
    /// One of these versions (RFC 9110 section 13.1.1, `If-Match`).
    Version(Vec<String>),
    /// That it is there (`If-Match: *`).
    There,
    /// That it is not (RFC 9110 section 13.1.2, `If-None-Match: *`).
    Absent,
}

/// For whom, on what condition, and under which name of the request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acting {
    /// Who.
    pub by: Operator,
    /// The request's correlation id, or empty.
    pub correlation: String,
    /// What must be found.
    pub condition: Condition,
}

impl Acting {
    /// Without a condition, and outside of any request.
    #[must_use]
    pub fn new(by: Operator) -> Self {
        Self { by, ..Self::default() }
    }

    /// What an event says: what was done, and by whom.
    pub(crate) fn told(&self, what: String) -> String {
        if self.by == Operator::Program { what } else { format!("{what}; by {}", self.by) }
    }

    /// The client of an event.
    pub(crate) fn client(&self) -> Option<ClientId> {
        match &self.by {
            Operator::Client(id) => Some(id.clone()),
            Operator::Program | Operator::CommandLine | Operator::Socket { .. } | Operator::Signal => None,
        }
    }

    /// Judges what was found, in the moment in which nobody else can change it. `current` is what a reader of the thing is shown.
    pub(super) fn check(&self, what: &str, current: Option<&impl Serialize>) -> Result<(), AdminError> {
        let is_met = match (&self.condition, current) {
            (Condition::None, _) | (Condition::There, Some(_)) | (Condition::Absent, None) => true,
            (Condition::Version(versions), Some(current)) => versions.contains(&entity_tag(current)),
            (Condition::Version(_) | Condition::There, None) | (Condition::Absent, Some(_)) => false,
        };
        if is_met {
            return Ok(());
        }
        Err(AdminError::Changed(match current {
            None => format!("{what} is not there"),
            Some(_) if self.condition == Condition::Absent => format!("{what} is there already"),
            Some(_) => format!("{what} is not as you have read it\n  remedy: read it again, and decide again"),
        }))
    }
}

/// The version of what is shown: half of the SHA-256 of its JSON.
pub(crate) fn entity_tag(shown: &impl Serialize) -> String {
    // By way of a value, so that it does not matter whether a struct or its JSON is shown.
    let text = serde_json::to_value(shown).map(|value| value.to_string()).unwrap_or_default();
    Hash::of(text.as_bytes()).0.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_by_what_it_names_alone() {
        let there = Some(&"now");
        let version = |tags: &[&str]| Condition::Version(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let now = entity_tag(&"now");
        for (condition, current, is_met) in [
            (Condition::None, None, true),
            (Condition::None, there, true),
            (Condition::There, there, true),
            (Condition::There, None, false),
            (Condition::Absent, None, true),
            (Condition::Absent, there, false),
            (version(&["x", &now]), there, true),
            (version(&["x"]), there, false),
            (version(&[]), there, false),
            (version(&[&now]), None, false),
        ] {
            let acting = Acting { condition: condition.clone(), ..Acting::default() };
            assert_eq!(acting.check("it", current).is_ok(), is_met, "{condition:?} {current:?}");
        }
    }
}
