//! Users from another server, and to one: `regrant user import` and `export`.
//!
//! | member          | means                                                                                          |
//! |-----------------|------------------------------------------------------------------------------------------------|
//! | `username`      | the name to log in with                                                                        |
//! | `password_hash` | as `passwords/stored.rs` reads it; without one nobody can log in until a password is set       |
//! | `disabled`      | `true` for a user who may not log in                                                           |
//! | `sub`           | a subject of this program (`usr_…`), to bring users back under their old one; made anew unless set |
//! | any other       | an attribute                                                                                   |
//!
//! Lines stand alone: what is wrong with one keeps nothing of it out of the store but itself.

use std::fmt;

use regrant_core::client::SUBJECT_PREFIX;
use regrant_core::codec;
use regrant_store::{Answer, Outcome, Question, Record, User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Admin, AdminError, checked_name};
use crate::cascade::Happened;
use crate::chance;
use crate::claims::Attributes;
use crate::claims::attributes::{LISTS, UserChange};
use crate::passwords::{MAX_HASH_LEN, Stored};

/// The most users that are imported at once: one durable transaction.
pub const MAX_BATCH: usize = 1000;
/// The longest line of a file, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// What separates the entries of a list in CSV.
const LIST_SEPARATOR: char = ';';

/// A user on the way in or out.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PortableUser {
    /// The name to log in with.
    pub username: String,
    /// The password's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Whether the user may not log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// What tokens can carry.
    #[serde(flatten)]
    pub attributes: Map<String, Value>,
}

impl fmt::Debug for PortableUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortableUser").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What to do with a name that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Existing {
    /// Leave it.
    Skip,
    /// Take over what the line says; keep the rest.
    Update,
}

/// Whether anything is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// Only tell what would happen.
    Check,
    /// Do it.
    Write,
}

/// What became of one user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Imported {
    /// New.
    Added,
    /// It was there, and is as the line says now.
    Updated,
    /// The name or the subject was there already.
    Skipped,
    /// Not taken, for this reason.
    Refused(String),
}

/// Whether an export holds the hashes of passwords.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Hashes {
    /// They stay here.
    Left,
    /// They are in it: whoever reads it can guess at them.
    Included,
}

impl PortableUser {
    /// Reads one line of JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(line: &[u8]) -> Result<Self, String> {
        let members = regrant_jose::read_object(line).map_err(|fault| format!("the line {fault}"))?;
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())
    }

    /// Reads one record of CSV under its header. An empty field is absent; lists are separated by `;`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_fields(header: &[String], fields: &[String]) -> Result<Self, String> {
        if fields.len() != header.len() {
            return Err(format!("it has {} fields, and the header has {}", fields.len(), header.len()));
        }
        let (mut user, mut change) = (Self::default(), UserChange::default());
        for (name, field) in header.iter().zip(fields).filter(|(_, field)| !field.is_empty()) {
            match name.as_str() {
                "username" => user.username.clone_from(field),
                "password_hash" => user.password_hash = Some(field.clone()),
                "sub" => user.sub = Some(field.clone()),
                "disabled" => {
                    let disabled = field.parse().map_err(|_| "disabled: it must be true or false".to_owned())?;
                    user.disabled = Some(disabled);
                }
                list if LISTS.contains(&list) => {
                    let entries = field.split(LIST_SEPARATOR).map(str::trim).filter(|entry| !entry.is_empty());
                    change.add.extend(entries.map(|entry| (list.to_owned(), entry.to_owned())));
                }
                _ => change.texts.push((name.clone(), field.clone())),
            }
        }
        let attributes = Attributes::default().changed(&change).map_err(|bad| bad.to_string())?;
        user.attributes = attributes.members().clone();
        Ok(user)
    }
}

impl Admin {
    /// Adds or updates at most [`MAX_BATCH`] users in one durable transaction, and tells what became of each, in order. Of
    /// two with one name the first counts.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for too many at once, [`AdminError::Unavailable`]: nothing was changed then.
    pub async fn import_users(
        &self,
        users: &[PortableUser],
        existing: Existing,
        effect: Effect,
    ) -> Result<Vec<Imported>, AdminError> {
        if users.len() > MAX_BATCH {
            return Err(AdminError::Invalid(format!("more than {MAX_BATCH} users at once")));
        }
        let _changing = self.app.changing.lock().await;
        let mut outcomes = Vec::with_capacity(users.len());
        let mut records = Vec::new();
        for user in users {
            let outcome = match self.planned(user, existing).await? {
                Ok((outcome, planned)) => {
                    let position = records.len();
                    records.extend(planned);
                    (outcome, (records.len() > position).then_some(position))
                }
                Err(reason) => (Imported::Refused(reason), None),
            };
            outcomes.push(outcome);
        }
        let written = if effect == Effect::Check || records.is_empty() {
            vec![Outcome::Committed; records.len()]
        } else {
            records.push(self.note(format!("{} users imported", outcomes.len())));
            let done = self.commit(records).await?;
            done.ended?;
            done.outcomes
        };
        let told =
            outcomes.into_iter().map(|(outcome, position)| match position.and_then(|position| written.get(position)) {
                Some(Outcome::Stale) if outcome == Imported::Updated => {
                    Imported::Refused("somebody else changed the user at this moment: import it again".to_owned())
                }
                Some(Outcome::Stale) => Imported::Skipped,
                Some(Outcome::Committed) | None => outcome,
            });
        Ok(told.collect())
    }

    /// Users in order of name, after this name, as [`Admin::import_users`] takes them.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn export_users(&self, after: &str, limit: u32, hashes: Hashes) -> Result<Vec<PortableUser>, AdminError> {
        let question = Question::Users { after: after.to_owned(), limit };
        let Answer::Users(users) = self.app.engine.ask(question).await? else { return Ok(Vec::new()) };
        if hashes == Hashes::Included && !users.is_empty() {
            // Who has read them can guess at them elsewhere: that he did is to be known.
            let note = self.note(format!("the password hashes of {} users exported", users.len()));
            self.app.engine.commit(vec![note]).await?;
        }
        let portable = users.into_iter().map(|user| {
            Ok(PortableUser {
                attributes: Attributes::stored(&user)?.members().clone(),
                username: user.name,
                password_hash: Some(user.password).filter(|hash| hashes == Hashes::Included && !hash.is_empty()),
                disabled: user.disabled_at.map(|_| true),
                sub: Some(user.subject),
            })
        });
        portable.collect()
    }

    /// What would be written for one user. The inner error is what is wrong with it.
    async fn planned(
        &self,
        portable: &PortableUser,
        existing: Existing,
    ) -> Result<Result<(Imported, Vec<Record>), String>, AdminError> {
        let checked = match checked(portable) {
            Ok(checked) => checked,
            Err(reason) => return Ok(Err(reason)),
        };
        let question = Question::UserByName(checked.name.clone());
        let Answer::User(known) = self.app.engine.ask(question).await? else {
            return Ok(Ok((Imported::Skipped, vec![])));
        };
        let now = self.app.engine.now();
        let Some(known) = known else {
            let subject = portable
                .sub
                .clone()
                .unwrap_or_else(|| format!("{SUBJECT_PREFIX}{}", codec::encode_plain(&chance::bytes::<16>())));
            let attributes = match Attributes::default().changed(&checked.change) {
                Ok(attributes) => attributes.text(),
                Err(bad) => return Ok(Err(bad.to_string())),
            };
            let user = User {
                subject,
                name: checked.name,
                password: portable.password_hash.clone().unwrap_or_default(),
                disabled_at: portable.disabled.unwrap_or(false).then_some(now),
                created_at: now,
                updated_at: now,
                version: 1,
                attributes,
            };
            return Ok(Ok((Imported::Added, vec![Record::AddUser(user)])));
        };
        if existing == Existing::Skip {
            return Ok(Ok((Imported::Skipped, Vec::new())));
        }
        if portable.sub.as_ref().is_some_and(|subject| *subject != known.subject) {
            return Ok(Err("sub: the user of this name has another subject, which never changes".to_owned()));
        }
        let attributes = match Attributes::stored(&known)?.changed(&checked.change) {
            Ok(attributes) => attributes.text(),
            Err(bad) => return Ok(Err(bad.to_string())),
        };
        let password = portable.password_hash.clone().unwrap_or_else(|| known.password.clone());
        let disabled_at = match portable.disabled {
            None => known.disabled_at,
            Some(disabled) => disabled.then(|| known.disabled_at.unwrap_or(now)),
        };
        // As a new password or a disabled user would: whoever is logged in must log in again.
        let subject = known.subject.clone();
        let mut ends = Vec::new();
        if password != known.password {
            ends.extend(self.follows(&Happened::PasswordChanged(&subject)));
        }
        if disabled_at.is_some() && known.disabled_at.is_none() {
            ends.extend(self.follows(&Happened::UserDisabled(&subject)));
        }
        if password != known.password || (disabled_at.is_some() && known.disabled_at.is_none()) {
            ends.push(Record::EndSessionsOf { subject, but: None });
        }
        let version = known.version.saturating_add(1);
        let (expected, user) =
            (known.version, User { password, disabled_at, updated_at: now, version, attributes, ..known });
        Ok(Ok((Imported::Updated, Record::PutUser { expected, user }.entailing(ends))))
    }
}

struct Checked {
    name: String,
    change: UserChange,
}

fn checked(portable: &PortableUser) -> Result<Checked, String> {
    let name = checked_name(&portable.username).map_err(|error| format!("username: {error}"))?;
    if let Some(hash) = &portable.password_hash {
        if hash.len() > MAX_HASH_LEN {
            return Err(format!("password_hash: it is longer than {MAX_HASH_LEN} characters"));
        }
        Stored::read(hash).map_err(|bad| format!("password_hash: {bad}"))?;
    }
    let is_subject = |subject: &str| {
        subject
            .strip_prefix(SUBJECT_PREFIX)
            .is_some_and(|rest| (8..=64).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    if portable.sub.as_deref().is_some_and(|subject| !is_subject(subject)) {
        return Err(format!("sub: it is no subject of this program: {SUBJECT_PREFIX} and 8 to 64 letters and digits"));
    }
    let values = portable.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let change = UserChange { values, ..UserChange::default() };
    // Judged on nobody's record: what is wrong with it is wrong in a dry run too.
    Attributes::default().changed(&change).map_err(|bad| bad.to_string())?;
    Ok(Checked { name, change })
}
