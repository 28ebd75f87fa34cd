//! What operators do: clients, users, grants. The commands reach it through the running server's admin socket, or on a
//! stopped server's store; programs that mount the server call it directly.

pub mod acting;
pub mod api;
pub mod blacklist;
mod client_view;
pub mod clients;
mod command;
pub mod socket;

pub mod import;
pub mod interactions;
pub mod users;

mod client_secret;
mod keys;
pub mod registration;
mod views;

pub mod chain;
pub mod events;
pub mod explain;
pub mod logouts;
pub mod webhooks;

use std::sync::Arc;

use regrant_core::client::SUBJECT_PREFIX;
use regrant_core::decision::Event;
use regrant_core::grant::EndReason;
use regrant_core::{Decision, EventKind, Grant, GrantId, Timestamp, codec, revoke};
use regrant_store::{Answer, Before, Cause, EventRecord, Loaded, Outcome, Question, Record, Unavailable, User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use client_view::ClientView;
pub use command::{Command, Password, Status};
use tokio::sync::MutexGuard;
use zeroize::Zeroizing;

use crate::app::{App, Reloaded};
use crate::cascade::Happened;
use crate::chance;
use crate::config::{ClientDefinition, StoreLocation, is_hidden};
use crate::engine::beforehand;
use crate::keyring::schedule::Lifetimes;
use crate::keyring::{Keyring, KeyringError};
use crate::passwords::MAX_PASSWORD_LEN;
use crate::recover::Backup;
use crate::rotation;
use crate::session::{MAX_USERNAME_LEN, normalise};

pub use acting::{Acting, Condition, Operator};
pub use client_secret::SecretReplaced;
pub use clients::{ClientDetail, ClientRemoved, ClientWritten};
pub use keys::{KeyDone, KeyTurn, KeyView};
use views::{client_view, event_view, grant_view, user_view};

/// The shortest password that is taken, in characters (NIST SP 800-63B section 3.1.1.2 for passwords that stand alone: 15; 8 with
/// a second factor. Here: 8, and no other rule).
pub const MIN_PASSWORD_CHARS: usize = 8;

/// What an event says of a user whose password was set.
const NEW_PASSWORD: &str = "has a new password";
/// The longest reason for the end of a grant, in characters.
const MAX_REASON: usize = 200;

/// An operator's hands.
#[derive(Clone, Debug)]
pub struct Admin {
    app: Arc<App>,
    acting: Acting,
}

/// What is true of a command that met a store in trouble, and what to do.
const fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Unkept => {
            "it was done, and only an older copy of the store could bring it back\n  remedy: free some space where `revocations_file` is: it is kept there with the next change"
        }
        Cause::Device | Cause::Unknown => "look whether it was done before you do it again",
        Cause::Full => "nothing was changed\n  remedy: free some space, and do it again",
        Cause::ReadOnly => {
            "nothing was changed\n  remedy: let the server write its file and its directory, and do it again"
        }
        Cause::Locked => "nothing was changed\n  remedy: end what else holds the file, and do it again",
        Cause::Io => "nothing was changed\n  remedy: look into the system's log for failures of the device",
        Cause::Unreachable => {
            "nothing was changed\n  remedy: look whether the database runs and can be reached, and do it again"
        }
        Cause::Clock => "nothing was changed\n  remedy: set the clock right, and do it again",
        Cause::Damaged => {
            "nothing was changed\n  remedy: stop the server, keep a copy of the store, and restore a backup"
        }
    }
}

/// Why something could not be done. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The store failed.
    #[error("the store failed: {0}; {advice}", advice = advice(.0.cause))]
    Unavailable(#[from] Unavailable),
    /// The definition is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The configuration is wrong, and stays as it was.
    #[error("{0}\nnothing was changed")]
    Config(String),
    /// It is there already.
    #[error("{0}")]
    Exists(String),
    /// It is not there.
    #[error("{0}")]
    NotFound(String),
    /// It is not as whoever changes it has read it. Nothing was changed.
    #[error("{0}")]
    Changed(String),
    /// A key could not be made or changed.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The pool is full.
    #[error("too many passwords wait to be hashed; try again")]
    Busy,
    /// What the running server said.
    #[error("{message}")]
    Told {
        /// As [`AdminError::exit_code`] there.
        exit_code: u8,
        /// Its words.
        message: String,
    },
}

impl AdminError {
    /// For the process: 69 if the store failed, 65 for bad input, 1 otherwise.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Unavailable(_) | Self::Busy | Self::Keys(KeyringError::Store(_)) => 69,
            Self::Invalid(_) => 65,
            Self::Config(_) => 78,
            Self::Exists(_) | Self::NotFound(_) | Self::Changed(_) | Self::Keys(_) => 1,
            Self::Told { exit_code, .. } => *exit_code,
        }
    }
}

/// A user, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// The name to log in with.
    pub name: String,
    /// `sub`.
    pub subject: String,
    /// Whether the user may log in.
    pub enabled: bool,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub disabled_at: Option<String>,
}

/// A grant, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GrantView {
    /// For commands and logs.
    pub id: String,
    /// Its client.
    pub client: String,
    /// Its user's `sub`.
    pub subject: String,
    /// Its user's name, if the user is there.
    pub user: Option<String>,
    /// What was granted.
    pub scope: String,
    /// For which resources.
    pub resources: String,
    /// `single_use` or `reusable`.
    pub rotation: String,
    /// Of its refresh token; 0 if there is none.
    pub generation: u32,
    /// Counted retries of the last rotation.
    pub retries: u32,
    /// `code`, `live`, `code_expired`, `idle_expired`, `absolute_expired`, `revoked` or `tampered`.
    pub state: String,
    /// Why it was ended.
    pub reason: Option<String>,
    /// The browser session in which it was given, as `regrant revoke --session` takes it.
    pub session: Option<String>,
    /// RFC 3339, as all of the following.
    pub ended_at: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When its last refresh was answered.
    pub last_refreshed_at: Option<String>,
    /// When it ends without use.
    pub idle_ends_at: String,
    /// When it ends at the latest.
    pub absolute_ends_at: String,
}

/// An event, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// The stable reason code.
    pub reason: Option<String>,
    /// The client that asked.
    pub client: Option<String>,
    /// The user.
    pub subject: Option<String>,
    /// For people.
    pub detail: String,
    /// What the client was told in the answer.
    pub correlation: String,
}

/// Which grants to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GrantFilter {
    /// Only of this client.
    pub client: Option<String>,
    /// Only of the user of this name.
    pub user: Option<String>,
}

impl Admin {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app, acting: Acting::default() }
    }

    /// The same hands for somebody: each write tells of him, and is made only if it finds what he wants it to.
    #[must_use]
    pub fn acting(self, acting: Acting) -> Self {
        Self { acting, ..self }
    }

    /// Reads the configuration again. What is wrong with it changes nothing.
    ///
    /// # Errors
    /// [`AdminError::Config`] with everything that is wrong.
    pub async fn reload(&self) -> Result<Reloaded, AdminError> {
        let reloaded = self.app.reload().await.map_err(|error| AdminError::Config(error.to_string()))?;
        // It is done, whether or not it can be noted: a full disk is no reason to say otherwise.
        if let Err(trouble) = self.app.engine.commit(vec![self.note("configuration reloaded".to_owned())]).await {
            tracing::error!(%trouble, "the reload could not be noted as an event");
        }
        Ok(reloaded)
    }

    /// Copies the store to a file that is not there yet, while it is used.
    ///
    /// # Errors
    /// [`AdminError::Told`] with what is in the way.
    pub async fn back_up(&self, file: std::path::PathBuf) -> Result<Backup, AdminError> {
        let config = Arc::clone(&self.app.settings().config);
        let StoreLocation::Sqlite(store) = config.store.clone() else {
            return Err(AdminError::Invalid(
                "the store is no SQLite file: copy a PostgreSQL with its own tools (pg_basebackup and WAL archiving)"
                    .to_owned(),
            ));
        };
        let to = file.clone();
        let copied = tokio::task::spawn_blocking(move || regrant_store::back_up(&store, &to)).await;
        let failed = |message: String| AdminError::Told { exit_code: 69, message };
        let copied = copied.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        let backup = Backup::of(&file, &copied);
        let note = self.note(format!("backup made: {} at commit {}", file.display(), backup.commits));
        if let Err(trouble) = self.app.engine.commit(vec![note]).await {
            tracing::error!(%trouble, "the backup could not be noted as an event");
        }
        Ok(backup)
    }

    /// Adds a client to the store.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] if the definition is, [`AdminError::Exists`] if the identifier is taken.
    pub async fn add_client(&self, definition: ClientDefinition) -> Result<ClientView, AdminError> {
        let _changing = self.app.changing.lock().await;
        let definition = self.new_in_store(definition);
        let client = self.app.resolve_added(&definition).map_err(AdminError::Invalid)?;
        let exists = || AdminError::Exists(format!("client {} is there already", client.id));
        if self.held(client.id.as_str()).await? != Before::Nothing
            || self.app.settings().clients.get(&client.id).is_some()
        {
            return Err(exists());
        }
        let definition = self.sealed(definition)?;
        let text = serde_json::to_string(&definition).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let _held = self.prepare_for(&client).await?;
        let put = Record::PutClient { id: client.id.as_str().to_owned(), before: Before::Nothing, definition: text };
        let records = put.entailing([self.note(format!("client {} added", client.id))]);
        if self.app.engine.commit(records).await?.first() != Some(&Outcome::Committed) {
            return Err(exists());
        }
        let view = client_view(&client, false, definition.tell_reason == Some(true));
        self.app.put_client(&client.id, &definition);
        Ok(view)
    }

    /// Before its first token: its algorithm has a key, and the keys know how long its tokens may live. The keyring is held until
    /// the client is there.
    async fn prepare_for(&self, client: &regrant_core::Client) -> Result<MutexGuard<'_, Keyring>, AdminError> {
        let settings = self.app.settings();
        let all = settings.clients.all().chain(std::iter::once(client));
        Ok(beforehand(Box::pin(rotation::prepare(&self.app, &Lifetimes::of_clients(all)))).await?)
    }

    /// All clients, in order of identifier.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientView> {
        let settings = self.app.settings();
        let clients = &settings.clients;
        let mut views: Vec<ClientView> = clients
            .iter()
            .map(|(client, added)| client_view(client, added.is_none(), clients.is_told(&client.id)))
            .collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// One client.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<ClientView> {
        self.clients().into_iter().find(|client| client.id == id)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a name or password that is not taken, [`AdminError::Exists`] if the name is.
    pub async fn add_user(&self, name: &str, password: Zeroizing<String>) -> Result<UserView, AdminError> {
        let name = checked_name(name)?;
        let password = self.hashed(password).await?;
        let created_at = self.app.engine.now();
        let subject = format!("{SUBJECT_PREFIX}{}", codec::encode_plain(&chance::bytes::<16>()));
        let user = User {
            subject,
            name,
            password,
            disabled_at: None,
            created_at,
            updated_at: created_at,
            version: 1,
            attributes: "{}".to_owned(),
        };
        let note = self.note_about(&user, format!("user {} added", user.name));
        match self.app.engine.commit(Record::AddUser(user.clone()).entailing([note])).await?.first() {
            Some(Outcome::Committed) => Ok(user_view(&user)),
            Some(Outcome::Stale) | None => Err(AdminError::Exists(format!("user {} is there already", user.name))),
        }
    }

    /// Users in order of name, after this name.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn users(&self, after: &str, limit: u32) -> Result<Vec<UserView>, AdminError> {
        let question = Question::Users { after: after.to_owned(), limit };
        let Answer::Users(users) = self.app.engine.ask(question).await? else { return Ok(Vec::new()) };
        Ok(users.iter().map(user_view).collect())
    }

    /// Gives a user another password, and ends the user's browser sessions; by `on_password_changed` also all grants.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] or [`AdminError::Invalid`].
    pub async fn set_password(&self, name: &str, password: Zeroizing<String>) -> Result<(), AdminError> {
        self.user(name).await?;
        let password = self.hashed(password).await?;
        self.change_user(name, NEW_PASSWORD, |user| Ok(self.with_password(user, &password))).await?;
        Ok(())
    }

    /// The same for a user who has proved the password before it; `None` if that was replaced by somebody else meanwhile.
    pub(crate) async fn replace_password(
        &self,
        proved: &User,
        password: Zeroizing<String>,
    ) -> Result<Option<User>, AdminError> {
        let password = self.hashed(password).await?;
        let changed = self.change_user(&proved.name, NEW_PASSWORD, |user| {
            let is_his = user.subject == proved.subject && user.password == proved.password;
            let changed = is_his.then(|| self.with_password(user, &password));
            changed.ok_or_else(|| AdminError::Changed("the password was replaced meanwhile".to_owned()))
        });
        match changed.await {
            Ok(user) => Ok(Some(user)),
            Err(AdminError::Changed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The user with this hash, and what ends with the one before it.
    fn with_password(&self, user: &User, password: &str) -> (User, Vec<Record>) {
        let mut records = vec![Record::EndSessionsOf { subject: user.subject.clone(), but: None }];
        records.extend(self.follows(&Happened::PasswordChanged(&user.subject)));
        (User { password: password.to_owned(), ..user.clone() }, records)
    }

    /// Switches a user off or on. Switched off, nothing of the user's is refreshed or vouched for; by `on_user_disabled` not again when the
    /// user is switched on, either.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn set_user_disabled(&self, name: &str, disabled: bool) -> Result<(), AdminError> {
        let word = if disabled { "disabled" } else { "enabled" };
        self.change_user(name, word, |user| {
            let disabled_at = disabled.then(|| user.disabled_at.unwrap_or_else(|| self.app.engine.now()));
            let mut records = Vec::new();
            if disabled {
                records.push(Record::EndSessionsOf { subject: user.subject.clone(), but: None });
                records.extend(self.follows(&Happened::UserDisabled(&user.subject)));
            }
            Ok((User { disabled_at, ..user.clone() }, records))
        })
        .await?;
        Ok(())
    }

    /// Grants in order of their making. `after` is the last number of the page before; the answer carries the next.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] if the filter names a user who is not there.
    pub async fn grants(
        &self,
        filter: &GrantFilter,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<GrantView>, Option<u64>), AdminError> {
        let subject = match &filter.user {
            Some(name) => Some(self.user(name).await?.subject),
            None => None,
        };
        let question = Question::Grants { client: filter.client.clone(), subject, after, limit };
        let Answer::Grants(grants) = self.app.engine.ask(question).await? else { return Ok((Vec::new(), None)) };
        let next = grants.last().filter(|_| grants.len() == limit as usize).map(|last| last.grant.id.number);
        let mut views = Vec::with_capacity(grants.len());
        let keys = self.app.engine.keys();
        for found in grants {
            views.push(match found.clone().believed(&keys) {
                Some(found) => self.grant_view(&found.grant, true).await?,
                None => self.grant_view(&found.grant, false).await?,
            });
        }
        Ok((views, next))
    }

    /// One grant and its events, newest first.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn grant(&self, id: &str) -> Result<(GrantView, Vec<EventView>), AdminError> {
        let found = self.find(id).await?;
        let question = Question::Events { grant: Some(found.grant.id.number), limit: 200 };
        let Answer::Events(events) = self.app.engine.ask(question).await? else {
            return Ok((self.grant_view(&found.grant, true).await?, Vec::new()));
        };
        Ok((self.grant_view(&found.grant, true).await?, events.iter().map(event_view).collect()))
    }

    /// Ends a grant: its refresh token is blacklisted from this moment. `false` if it had ended before.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn revoke_grant(&self, id: &str, detail: &str) -> Result<bool, AdminError> {
        let found = self.find(id).await?;
        let detail = self.acting.told(checked_reason(detail)?);
        let ended = self
            .app
            .engine
            .end(found.grant.id, &self.acting.correlation, move |row, moment| match row {
                Some((grant, _)) => {
                    let (was_live, now) = (grant.ended.is_none(), moment.now);
                    let decision = revoke::end(grant, EndReason::RevokedByOperator, &detail, now, &moment.entropy);
                    let Decision { write, event, outcome } = decision;
                    Decision { write, event, outcome: outcome.map(|()| was_live) }
                }
                None => Decision::refuse(regrant_core::Refusal::UnknownGrant),
            })
            .await?;
        ended.map_err(|refusal| AdminError::Invalid(refusal.as_str().to_owned()))
    }

    async fn find(&self, id: &str) -> Result<Loaded, AdminError> {
        let missing = || AdminError::NotFound(format!("there is no grant {id}"));
        let grant = GrantId::parse(id, &self.app.engine.keys()).ok_or_else(missing)?;
        self.app.engine.load(grant).await?.ok_or_else(missing)
    }

    async fn user(&self, name: &str) -> Result<User, AdminError> {
        let question = Question::UserByName(normalise(name));
        match self.app.engine.ask(question).await? {
            Answer::User(Some(user)) => Ok(user),
            _ => Err(AdminError::NotFound(format!("there is no user {name}"))),
        }
    }

    async fn hashed(&self, password: Zeroizing<String>) -> Result<String, AdminError> {
        if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_LEN {
            return Err(AdminError::Invalid(format!(
                "a password has at least {MIN_PASSWORD_CHARS} characters and at most {MAX_PASSWORD_LEN} bytes"
            )));
        }
        if password.chars().any(char::is_control) {
            return Err(AdminError::Invalid("a password holds no control characters".to_owned()));
        }
        self.app.passwords.hash(password).await.map_err(|_| AdminError::Busy)
    }

    async fn grant_view(&self, grant: &Grant, is_intact: bool) -> Result<GrantView, AdminError> {
        let keys = self.app.engine.keys();
        let question = Question::UserBySubject(grant.terms.subject.clone());
        let user = match self.app.engine.ask(question).await? {
            Answer::User(user) => user.map(|user| user.name),
            _ => None,
        };
        Ok(grant_view(grant, user, is_intact, &keys, self.app.engine.now()))
    }

    fn note(&self, detail: String) -> Record {
        self.event(None, detail)
    }

    fn note_about(&self, user: &User, detail: String) -> Record {
        self.event(Some(user.subject.clone()), detail)
    }

    fn event(&self, subject: Option<String>, detail: String) -> Record {
        let (client, detail) = (self.acting.client(), self.acting.told(detail));
        let event = Event { kind: EventKind::Admin, grant: None, client, subject, detail };
        let at = self.app.engine.now();
        Record::Event(EventRecord { at, event, correlation: self.acting.correlation.clone() })
    }
}

/// Why a grant was ended, for whoever looks at it later: bounded, and on one line.
fn checked_reason(reason: &str) -> Result<String, AdminError> {
    if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(AdminError::Invalid(format!(
            "a reason has at most {MAX_REASON} characters and no control characters"
        )));
    }
    Ok(reason.to_owned())
}

fn checked_name(name: &str) -> Result<String, AdminError> {
    let name = normalise(name);
    if name.is_empty() || name.len() > MAX_USERNAME_LEN || name.chars().any(is_hidden) {
        return Err(AdminError::Invalid(format!(
            "a user name has 1 to {MAX_USERNAME_LEN} bytes and no control characters or ones without a width"
        )));
    }
    Ok(name)
}

/// `2026-11-23T12:00:00Z`; times that no calendar holds are shown as milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_| format!("{} ms", at.millis()), |at| at.to_string())
}
