//! What is known of a user: set, shown, removed.
//!
//! A change is decided on the record as it was read, and written only if it still is: two operators, or an operator and a
//! login that renews a hash, lose nothing to each other.

use regrant_store::{Outcome, Record, User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Admin, AdminError, rfc3339};
use crate::cascade::Happened;
use crate::claims::Attributes;
use crate::claims::attributes::UserChange;
use crate::passwords::Stored;

/// How often a change is decided again on a record that somebody else wrote.
pub(super) const MAX_ATTEMPTS: usize = 8;

/// A user with everything that is known, but for the password's hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserDetail {
    /// The name to log in with.
    pub name: String,
    /// `sub`.
    pub subject: String,
    /// Whether the user may log in.
    pub enabled: bool,
    /// RFC 3339, as all of the following.
    pub created_at: String,
    /// When anything of it was last changed.
    pub updated_at: String,
    /// Since when the user may not log in.
    pub disabled_at: Option<String>,
    /// How the password is hashed: `argon2id`, the scheme of an imported hash, or `none`.
    pub password: String,
    /// What tokens can carry.
    pub attributes: Map<String, Value>,
    /// How many times anything of it was written.
    #[serde(default)]
    pub version: u64,
}

impl Admin {
    /// One user.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn user_detail(&self, name: &str) -> Result<UserDetail, AdminError> {
        detail(&self.user(name).await?)
    }

    /// Changes what is known of a user. Access tokens carry it from the next minting on.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or [`AdminError::Invalid`] for a name or value that is not taken: then nothing is changed.
    pub async fn set_user(&self, name: &str, change: &UserChange) -> Result<UserDetail, AdminError> {
        let texts = change.texts.iter().map(|(name, _)| name).chain(change.values.iter().map(|(name, _)| name));
        let lists = change.add.iter().chain(&change.remove).map(|(list, _)| list);
        let mut names: Vec<&str> = texts.chain(lists).chain(&change.unset).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        // Names and not values: events are kept, and shown to whoever looks for something else.
        let what = format!("set ({})", names.join(", "));
        let user = self
            .change_user(name, &what, |user| {
                let attributes = Attributes::stored(user)?.changed(change);
                let attributes = attributes.map_err(|bad| AdminError::Invalid(bad.to_string()))?;
                Ok((User { attributes: attributes.text(), ..user.clone() }, Vec::new()))
            })
            .await?;
        detail(&user)
    }

    /// Removes a user: browser sessions end, and nothing of the user's is refreshed or vouched for again. The subject is never
    /// given to anybody else; where an import brings it back, its grants do not come back with it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn remove_user(&self, name: &str) -> Result<(), AdminError> {
        let _changing = self.app.changing.lock().await;
        let user = self.user(name).await?;
        self.acting.check(&format!("user {}", user.name), Some(&detail(&user)?))?;
        let mut entailed = vec![Record::EndSessionsOf { subject: user.subject.clone(), but: None }];
        entailed.extend(self.follows(&Happened::UserRemoved(&user.subject)));
        entailed.push(self.note_about(&user, format!("user {} removed", user.name)));
        let removed = Record::RemoveUser { subject: user.subject.clone() };
        self.commit(removed.entailing(entailed)).await?.ended
    }

    /// Reads a user, changes it, and writes it if it is still as it was read, with what `change` says must be durable at the
    /// same moment.
    pub(super) async fn change_user(
        &self,
        name: &str,
        what: &str,
        change: impl Fn(&User) -> Result<(User, Vec<Record>), AdminError>,
    ) -> Result<User, AdminError> {
        // Operators one after the other; a login that renews a hash at this moment is met by the version.
        let _changing = self.app.changing.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let user = self.user(name).await?;
            self.acting.check(&format!("user {}", user.name), Some(&detail(&user)?))?;
            let (changed, mut entailed) = change(&user)?;
            let version = user.version.saturating_add(1);
            let changed = User { version, updated_at: self.app.engine.now(), ..changed };
            entailed.push(self.note_about(&user, format!("user {} {what}", user.name)));
            let put = Record::PutUser { expected: user.version, user: changed.clone() };
            let done = self.commit(put.entailing(entailed)).await?;
            if done.outcomes.first() == Some(&Outcome::Committed) {
                return done.ended.map(|()| changed);
            }
        }
        Err(AdminError::Exists(format!("user {name} is being changed by somebody else; try again")))
    }
}

fn detail(user: &User) -> Result<UserDetail, AdminError> {
    Ok(UserDetail {
        name: user.name.clone(),
        subject: user.subject.clone(),
        enabled: user.disabled_at.is_none(),
        created_at: rfc3339(user.created_at),
        updated_at: rfc3339(user.updated_at),
        disabled_at: user.disabled_at.map(rfc3339),
        password: Stored::read(&user.password).map_or("none", |stored| stored.scheme()).to_owned(),
        attributes: Attributes::stored(user)?.members().clone(),
        version: user.version,
    })
}
