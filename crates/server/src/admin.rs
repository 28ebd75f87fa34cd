//! What operators do: clients, users, grants. The commands reach it through the running server's admin socket, or on a
//! stopped server's store; programs that mount the server call it directly.

pub mod blacklist;
mod command;
pub mod socket;

pub mod import;
pub mod users;

mod client_secret;
mod keys;

pub mod events;

use std::sync::Arc;

use regrant_core::client::{AccessTokenFormat, OnReplay, SUBJECT_PREFIX};
use regrant_core::decision::Event;
use regrant_core::grant::{EndReason, Rotation};
use regrant_core::{ClientId, EventKind, Grant, GrantId, Keys, Timestamp, codec, revoke};
use regrant_store::{Answer, EventRecord, Loaded, Outcome, Question, Record, StoredEvent, Unavailable, User};
use serde::{Deserialize, Serialize};

pub use command::{Command, Password, Status};
use tokio::sync::MutexGuard;
use zeroize::Zeroizing;

use crate::app::{App, Reloaded};
use crate::cascade::Happened;
use crate::chance;
use crate::config::ClientDefinition;
use crate::keyring::schedule::Lifetimes;
use crate::keyring::{Keyring, KeyringError};
use crate::passwords::MAX_PASSWORD_LEN;
use crate::rotation;
use crate::session::{MAX_USERNAME_LEN, normalise};

pub use client_secret::SecretReplaced;
pub use keys::{KeyDone, KeyTurn, KeyView};

/// The shortest password that is taken, in characters (NIST SP 800-63B section 3.1.1.2 for passwords that stand alone: 15; 8 with
/// a second factor. Here: 8, and no other rule).
pub const MIN_PASSWORD_CHARS: usize = 8;

/// An operator's hands.
#[derive(Clone, Debug)]
pub struct Admin {
    app: Arc<App>,
}

/// Why something could not be done. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The store failed.
    #[error("the store failed: {0}; {advice}", advice = if matches!(.0.cause, regrant_store::Cause::Device | regrant_store::Cause::Unknown) { "look whether it was done before you do it again" } else { "nothing was changed" })]
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
            Self::Exists(_) | Self::NotFound(_) | Self::Keys(_) => 1,
            Self::Told { exit_code, .. } => *exit_code,
        }
    }
}

/// A client, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientView {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is defined: `file` or `store`.
    pub origin: String,
    /// How it authenticates.
    pub token_endpoint_auth_method: String,
    /// What it may use.
    pub grant_types: Vec<String>,
    /// What it may ask the authorization endpoint for.
    pub response_types: Vec<String>,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// Its scopes.
    pub scope: String,
    /// Its resources.
    pub resources: Vec<String>,
    /// `single_use` or `reusable`.
    pub rotation: String,
    /// Seconds; of public clients only.
    pub retry_window: Option<u64>,
    /// `revoke` or `refuse`.
    pub on_replay: String,
    /// Seconds.
    pub idle_lifetime: u64,
    /// Seconds.
    pub absolute_lifetime: u64,
    /// Seconds.
    pub access_token_lifetime: u64,
    /// `jwt` or `opaque`.
    pub access_token_format: String,
    /// Whether it may introspect.
    pub may_introspect: bool,
    /// Whether it may revoke everything of a user.
    pub may_revoke_users: bool,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Whether PKCE is required.
    pub require_pkce: bool,
    /// Origins whose scripts may call the token endpoint.
    pub allowed_origins: Vec<String>,
    /// Whether its users are not asked for consent.
    pub skip_consent: bool,
}

/// A user, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    pub(crate) const fn new(app: Arc<App>) -> Self {
        Self { app }
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

    /// Adds a client to the store.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] if the definition is, [`AdminError::Exists`] if the identifier is taken.
    pub async fn add_client(&self, definition: ClientDefinition) -> Result<ClientView, AdminError> {
        let _changing = self.app.changing.lock().await;
        let client = self.app.resolve_added(&definition).map_err(AdminError::Invalid)?;
        if self.app.settings().clients.get(&client.id).is_some() {
            return Err(AdminError::Exists(format!("client {} is there already", client.id)));
        }
        let text = serde_json::to_string(&definition).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let _held = self.prepare_for(&client).await?;
        let put = Record::PutClient { id: client.id.as_str().to_owned(), definition: text };
        self.app.engine.commit(vec![put, self.note(format!("client {} added", client.id))]).await?;
        let view = client_view(&client, false);
        self.app.put_client(client, &definition);
        Ok(view)
    }

    /// Before its first token: its algorithm has a key, and the keys know how long its tokens may live. The keyring is held until
    /// the client is there.
    async fn prepare_for(&self, client: &regrant_core::Client) -> Result<MutexGuard<'_, Keyring>, AdminError> {
        let settings = self.app.settings();
        let all = settings.clients.all().chain(std::iter::once(client));
        Ok(rotation::prepare(&self.app, &Lifetimes::of_clients(all)).await?)
    }

    /// All clients, in order of identifier.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientView> {
        let settings = self.app.settings();
        let clients = &settings.clients;
        let mut views: Vec<ClientView> =
            clients.iter().map(|(client, added)| client_view(client, added.is_none())).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// One client.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<ClientView> {
        self.clients().into_iter().find(|client| client.id == id)
    }

    /// Removes a client from the store. Its grants end, or by `on_client_removed` are unusable until it returns.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] if it is not in the store.
    pub async fn remove_client(&self, id: &str) -> Result<(), AdminError> {
        let _changing = self.app.changing.lock().await;
        let view = self.client(id).ok_or_else(|| AdminError::NotFound(format!("there is no client {id}")))?;
        let known = ClientId::parse(id).filter(|_| view.origin == "store").ok_or_else(|| {
            AdminError::Invalid(format!("client {id} is declared in the configuration file: remove it there"))
        })?;
        let mut records = vec![Record::RemoveClient { id: id.to_owned() }];
        records.extend(self.follows(&Happened::ClientRemoved(known.clone())));
        records.push(self.note(format!("client {id} removed")));
        self.app.engine.commit(records).await?;
        self.app.drop_client(&known);
        Ok(())
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
        match self.app.engine.commit(vec![Record::AddUser(user.clone()), note]).await?.first() {
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
        self.change_user(name, "has a new password", |user| {
            let mut records = vec![Record::EndSessionsOf { subject: user.subject.clone() }];
            records.extend(self.follows(&Happened::PasswordChanged(&user.subject)));
            Ok((User { password: password.clone(), ..user.clone() }, records))
        })
        .await?;
        Ok(())
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
                records.push(Record::EndSessionsOf { subject: user.subject.clone() });
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
        let detail = detail.to_owned();
        let was_live = found.grant.ended.is_none();
        let ended = self
            .app
            .engine
            .decide(found.grant.id, "", move |row, moment| match row {
                Some((grant, _)) => {
                    revoke::end(grant, EndReason::RevokedByOperator, &detail, moment.now, &moment.entropy)
                }
                None => regrant_core::Decision::refuse(regrant_core::Refusal::UnknownGrant),
            })
            .await?;
        ended.map(|()| was_live).map_err(|refusal| AdminError::Invalid(refusal.as_str().to_owned()))
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
        let event = Event { kind: EventKind::Admin, grant: None, client: None, subject, detail };
        let at = self.app.engine.now();
        Record::Event(EventRecord { at, event, correlation: String::new() })
    }
}

fn checked_name(name: &str) -> Result<String, AdminError> {
    let name = normalise(name);
    if name.is_empty() || name.len() > MAX_USERNAME_LEN || name.chars().any(char::is_control) {
        return Err(AdminError::Invalid(format!(
            "a user name has 1 to {MAX_USERNAME_LEN} bytes and no control characters"
        )));
    }
    Ok(name)
}

fn client_view(client: &regrant_core::Client, declared: bool) -> ClientView {
    ClientView {
        id: client.id.as_str().to_owned(),
        name: client.name.clone(),
        origin: if declared { "file" } else { "store" }.to_owned(),
        token_endpoint_auth_method: client.auth.as_str().to_owned(),
        grant_types: client.grant_types.iter().map(|grant_type| grant_type.as_str().to_owned()).collect(),
        response_types: client.response_types.iter().cloned().collect(),
        redirect_uris: client.redirect_uris.clone(),
        scope: client.scopes.to_string(),
        resources: client.resources.iter().map(str::to_owned).collect(),
        rotation: rotation(client.policy.rotation).to_owned(),
        retry_window: client.is_public().then_some(client.policy.retry_window.as_secs()),
        on_replay: on_replay(client.policy.on_replay).to_owned(),
        idle_lifetime: client.policy.idle_lifetime.as_secs(),
        absolute_lifetime: client.policy.absolute_lifetime.as_secs(),
        access_token_lifetime: client.policy.access_token_lifetime.as_secs(),
        access_token_format: format(client.policy.access_token_format).to_owned(),
        may_introspect: client.may_introspect,
        may_revoke_users: client.may_revoke_users,
        disabled: client.disabled,
        require_pkce: client.require_pkce,
        allowed_origins: client.allowed_origins.clone(),
        skip_consent: client.skip_consent,
    }
}

fn user_view(user: &User) -> UserView {
    UserView {
        name: user.name.clone(),
        subject: user.subject.clone(),
        enabled: user.disabled_at.is_none(),
        created_at: rfc3339(user.created_at),
        disabled_at: user.disabled_at.map(rfc3339),
    }
}

fn grant_view(grant: &Grant, user: Option<String>, is_intact: bool, keys: &Keys, now: Timestamp) -> GrantView {
    let state = match (grant.ended, grant.redeemed_at) {
        _ if !is_intact => "tampered",
        (Some(_), _) => "revoked",
        (None, None) if grant.is_over(now) => "code_expired",
        (None, None) => "code",
        (None, Some(_)) if grant.absolute_at.is_over(now) => "absolute_expired",
        (None, Some(_)) if grant.idle_at.is_over(now) => "idle_expired",
        (None, Some(_)) => "live",
    };
    GrantView {
        id: grant.id.display(keys),
        client: grant.terms.client.as_str().to_owned(),
        subject: grant.terms.subject.clone(),
        user,
        scope: grant.terms.scope.to_string(),
        resources: grant.terms.resources.to_string(),
        rotation: rotation(grant.terms.rotation).to_owned(),
        generation: grant.generation,
        retries: grant.retries,
        state: state.to_owned(),
        reason: grant.ended.map(|(_, reason)| reason.as_str().to_owned()),
        session: grant.terms.session.map(|session| codec::encode_plain(&session)),
        ended_at: grant.ended.map(|(at, _)| rfc3339(at)),
        created_at: rfc3339(grant.terms.created_at),
        last_refreshed_at: grant.redeemed_at.map(|_| rfc3339(grant.answered_at)),
        idle_ends_at: rfc3339(grant.idle_at),
        absolute_ends_at: rfc3339(grant.absolute_at),
    }
}

fn event_view(event: &StoredEvent) -> EventView {
    EventView {
        at: rfc3339(event.at),
        kind: event.kind.clone(),
        reason: event.reason.clone(),
        client: event.client.clone(),
        subject: event.subject.clone(),
        detail: event.detail.clone(),
        correlation: event.correlation.clone(),
    }
}

const fn rotation(rotation: Rotation) -> &'static str {
    match rotation {
        Rotation::SingleUse => "single_use",
        Rotation::Reusable => "reusable",
    }
}

const fn on_replay(on_replay: OnReplay) -> &'static str {
    match on_replay {
        OnReplay::Revoke => "revoke",
        OnReplay::Refuse => "refuse",
    }
}

const fn format(format: AccessTokenFormat) -> &'static str {
    match format {
        AccessTokenFormat::Jwt => "jwt",
        AccessTokenFormat::Opaque => "opaque",
    }
}

/// `2026-11-23T12:00:00Z`; times that no calendar holds are shown as milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_| format!("{} ms", at.millis()), |at| at.to_string())
}
