//! What an operator can ask for, as one type: the same words in this process and over the admin socket.
//!
//! [`Admin::run`] is the one door. Its answer is the JSON of the view that the method of the same name returns.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::blacklist::Selection;
use super::events::EventsWanted;
use super::import::{Effect, Existing, Hashes, PortableUser};
use super::interactions::{Acceptance, Refused, WhichInteraction};
use super::{Admin, AdminError, GrantFilter, KeyTurn, MIN_PASSWORD_CHARS};
use crate::claims::attributes::UserChange;
use crate::config::ClientDefinition;
use crate::passwords::MAX_PASSWORD_LEN;

/// The most users, grants or events in one answer.
const MAX_PAGE: u32 = 1000;

/// Something to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Who answers: [`Status`].
    Status,
    /// [`Admin::back_up`].
    Backup {
        /// Where to: an absolute path, as the server sees it.
        file: std::path::PathBuf,
    },
    /// Read the configuration again: [`Reloaded`](crate::app::Reloaded).
    Reload,
    /// [`Admin::add_client`].
    AddClient {
        /// What to add.
        definition: Box<ClientDefinition>,
    },
    /// [`Admin::clients`].
    Clients,
    /// [`Admin::client`]; null if it is not there.
    Client {
        /// Its identifier.
        id: String,
    },
    /// [`Admin::client_detail`].
    ClientDetail {
        /// Its identifier.
        id: String,
    },
    /// [`Admin::put_client`].
    PutClient {
        /// What it is from now on.
        definition: Box<ClientDefinition>,
        /// The [`ClientDetail::version`](super::ClientDetail::version) that it was made from: any, if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// [`Admin::remove_client`].
    RemoveClient {
        /// Its identifier.
        id: String,
    },
    /// [`Admin::new_registration_token`].
    NewRegistrationToken {
        /// What it is for.
        label: String,
        /// For how many clients.
        uses: u32,
        /// For how long.
        lifetime: Duration,
    },
    /// [`Admin::registration_tokens`].
    RegistrationTokens,
    /// [`Admin::remove_registration_token`].
    RemoveRegistrationToken {
        /// Its id.
        id: String,
    },
    /// [`Admin::add_user`].
    AddUser {
        /// The name to log in with.
        name: String,
        /// The password.
        password: Password,
    },
    /// [`Admin::users`].
    Users {
        /// The last name of the page before.
        after: String,
        /// At most this many, and never more than 1000.
        limit: u32,
    },
    /// [`Admin::set_password`].
    SetPassword {
        /// Whose.
        name: String,
        /// The new one.
        password: Password,
    },
    /// [`Admin::set_user_disabled`].
    SetUserDisabled {
        /// Whom.
        name: String,
        /// Off or on.
        disabled: bool,
    },
    /// [`Admin::rotate_client_secret`].
    RotateClientSecret {
        /// Whose.
        id: String,
        /// The hash of the new one.
        secret_hash: String,
        /// How long the old one works.
        overlap: Duration,
    },
    /// [`Admin::keys`].
    Keys,
    /// [`Admin::rotate_key`].
    RotateKey {
        /// `tag`, `seed`, `sealing` or `signing`.
        kind: String,
        /// Of a signing key.
        algorithm: Option<String>,
        /// When it takes effect.
        turn: KeyTurn,
    },
    /// [`Admin::compromise_key`].
    CompromiseKey {
        /// As above.
        kind: String,
        /// Its number, or its `kid`.
        id: String,
    },
    /// [`Admin::retire_key`].
    RetireKey {
        /// As above.
        kind: String,
        /// Its number, or its `kid`.
        id: String,
    },
    /// [`Admin::user_detail`].
    User {
        /// Whom.
        name: String,
    },
    /// [`Admin::set_user`].
    SetUser {
        /// Whom.
        name: String,
        /// What to change.
        change: Box<UserChange>,
    },
    /// [`Admin::remove_user`].
    RemoveUser {
        /// Whom.
        name: String,
    },
    /// [`Admin::import_users`].
    ImportUsers {
        /// Whom.
        users: Vec<PortableUser>,
        /// What to do with those who are there.
        existing: Existing,
        /// Whether to write.
        effect: Effect,
    },
    /// [`Admin::export_users`].
    ExportUsers {
        /// The last name of the page before.
        after: String,
        /// At most this many, and never more than 1000.
        limit: u32,
        /// Whether the hashes of passwords are wanted.
        hashes: Hashes,
    },
    /// [`Admin::events`].
    Events {
        /// Which.
        wanted: EventsWanted,
    },
    /// [`Admin::verify_events`].
    VerifyEvents,
    /// [`Admin::explain`].
    Explain {
        /// A token, the id of a grant, or a correlation id.
        what: Password,
    },
    /// [`Admin::webhooks`].
    Webhooks,
    /// [`Admin::logouts`].
    Logouts,
    /// [`Admin::retry_webhook`].
    RetryWebhook {
        /// Its name.
        name: String,
    },
    /// [`Admin::drop_dead_letters`].
    DropDeadLetters {
        /// Whose.
        name: String,
    },
    /// [`Admin::grants`]: a pair of the page and the number to go on after.
    Grants {
        /// Which.
        filter: GrantFilter,
        /// The last number of the page before.
        after: u64,
        /// At most this many, and never more than 1000.
        limit: u32,
    },
    /// [`Admin::grant`]: a pair of the grant and its events.
    Grant {
        /// Its id.
        id: String,
    },
    /// [`Admin::revoke_grant`]: whether it was live.
    RevokeGrant {
        /// Its id.
        id: String,
        /// Why, for whoever looks at it later.
        reason: String,
    },
    /// [`Admin::revoke_selected`].
    RevokeSelected {
        /// What.
        selection: Selection,
        /// Whether to do it.
        effect: Effect,
        /// Why, for whoever looks at it later.
        reason: String,
    },
    /// [`Admin::revoke_tokens`].
    RevokeTokens {
        /// Of any kind.
        tokens: Vec<Password>,
        /// Why, for whoever looks at it later.
        reason: String,
    },
    /// [`Admin::revocations`].
    Revocations,
    /// [`Admin::undo_revocation`].
    UndoRevocation {
        /// Its number.
        id: u64,
    },
    /// [`Admin::interaction`].
    Interaction {
        /// Which.
        which: WhichInteraction,
    },
    /// [`Admin::accept_interaction`].
    AcceptInteraction {
        /// What is answered.
        acceptance: Box<Acceptance>,
    },
    /// [`Admin::reject_interaction`].
    RejectInteraction {
        /// What is answered.
        refused: Refused,
    },
    /// [`Admin::withdraw_consent`].
    WithdrawConsent {
        /// Whose.
        name: String,
        /// For which client.
        client: String,
    },
}

/// A password or a token on its way: never shown, erased when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes it.
    #[must_use]
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

impl JsonSchema for Password {
    fn schema_name() -> Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let length = MIN_PASSWORD_CHARS;
        json_schema!({"type": "string", "format": "password", "minLength": length, "maxLength": MAX_PASSWORD_LEN})
    }
}

/// The server that answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its issuer.
    pub issuer: String,
    /// Where its configuration was read; `None` for safe defaults.
    pub config: Option<String>,
    /// RFC 3339: its clock, or the newest time in the store if that is later.
    pub now: String,
    /// RFC 3339: its machine's clock.
    pub clock: String,
    /// Why it answers with 503; `None` if it does not.
    pub trouble: Option<String>,
    /// Clients of the file and of the store.
    pub clients: usize,
}

impl Command {
    /// Whether its answer holds hashes of passwords. Who has them guesses at them, and then logs in: that is more than to look.
    #[must_use]
    pub const fn tells_hashes(&self) -> bool {
        matches!(self, Self::ExportUsers { hashes: Hashes::Included, .. })
    }

    /// Whether it may be asked for over the network at all: what works on files of the server's machine is asked for there.
    #[must_use]
    pub const fn is_for_this_machine_only(&self) -> bool {
        // Without `_`: whoever adds a command decides.
        match self {
            Self::Status
            | Self::Reload
            | Self::AddClient { .. }
            | Self::Clients
            | Self::Client { .. }
            | Self::ClientDetail { .. }
            | Self::PutClient { .. }
            | Self::RemoveClient { .. }
            | Self::NewRegistrationToken { .. }
            | Self::RegistrationTokens
            | Self::RemoveRegistrationToken { .. }
            | Self::AddUser { .. }
            | Self::Users { .. }
            | Self::SetPassword { .. }
            | Self::SetUserDisabled { .. }
            | Self::RotateClientSecret { .. }
            | Self::Keys
            | Self::RotateKey { .. }
            | Self::CompromiseKey { .. }
            | Self::RetireKey { .. }
            | Self::User { .. }
            | Self::SetUser { .. }
            | Self::RemoveUser { .. }
            | Self::ImportUsers { .. }
            | Self::ExportUsers { .. }
            | Self::Events { .. }
            | Self::Grants { .. }
            | Self::Grant { .. }
            | Self::RevokeGrant { .. }
            | Self::RevokeSelected { .. }
            | Self::RevokeTokens { .. }
            | Self::Revocations
            | Self::UndoRevocation { .. }
            | Self::WithdrawConsent { .. }
            | Self::Interaction { .. }
            | Self::AcceptInteraction { .. }
            | Self::RejectInteraction { .. }
            | Self::VerifyEvents
            | Self::Explain { .. }
            | Self::Webhooks
            | Self::Logouts
            | Self::RetryWebhook { .. }
            | Self::DropDeadLetters { .. } => false,
            Self::Backup { .. } => true,
        }
    }
}

impl Admin {
    /// Does what a command says.
    ///
    /// # Errors
    /// As the method that it names.
    pub async fn run(&self, command: Command) -> Result<Value, AdminError> {
        match command {
            Command::Status => told(self.status()),
            Command::Backup { file } => told(self.back_up(file).await?),
            Command::Reload => told(self.reload().await?),
            Command::AddClient { definition } => told(self.add_client(*definition).await?),
            Command::Clients => told(self.clients()),
            Command::Client { id } => told(self.client(&id)),
            Command::ClientDetail { id } => told(self.client_detail(&id)?),
            Command::PutClient { definition, version } => {
                told(self.put_client_of(version.as_deref(), *definition).await?)
            }
            Command::RemoveClient { id } => told(self.remove_client(&id).await?),
            Command::NewRegistrationToken { label, uses, lifetime } => {
                told(self.new_registration_token(&label, uses, lifetime).await?)
            }
            Command::RegistrationTokens => told(self.registration_tokens().await?),
            Command::RemoveRegistrationToken { id } => told(self.remove_registration_token(&id).await?),
            Command::AddUser { name, password } => told(self.add_user(&name, password.0).await?),
            Command::Users { after, limit } => told(self.users(&after, limit.min(MAX_PAGE)).await?),
            Command::SetPassword { name, password } => told(self.set_password(&name, password.0).await?),
            Command::SetUserDisabled { name, disabled } => told(self.set_user_disabled(&name, disabled).await?),
            Command::RotateClientSecret { id, secret_hash, overlap } => {
                told(self.rotate_client_secret(&id, &secret_hash, overlap).await?)
            }
            Command::Keys => told(self.keys().await?),
            Command::RotateKey { kind, algorithm, turn } => {
                told(self.rotate_key(&kind, algorithm.as_deref(), turn).await?)
            }
            Command::CompromiseKey { kind, id } => told(self.compromise_key(&kind, &id).await?),
            Command::RetireKey { kind, id } => told(self.retire_key(&kind, &id).await?),
            Command::User { name } => told(self.user_detail(&name).await?),
            Command::SetUser { name, change } => told(self.set_user(&name, &change).await?),
            Command::RemoveUser { name } => told(self.remove_user(&name).await?),
            Command::ImportUsers { users, existing, effect } => {
                told(self.import_users(&users, existing, effect).await?)
            }
            Command::ExportUsers { after, limit, hashes } => {
                told(self.export_users(&after, limit.min(MAX_PAGE), hashes).await?)
            }
            Command::Events { wanted } => told(self.events(&wanted).await?),
            Command::VerifyEvents => told(self.verify_events().await?),
            Command::Explain { what } => told(self.explain(&what.0).await?),
            Command::Webhooks => told(self.webhooks().await?),
            Command::Logouts => told(self.logouts().await?),
            Command::RetryWebhook { name } => told(self.retry_webhook(&name).await?),
            Command::DropDeadLetters { name } => told(self.drop_dead_letters(&name).await?),
            Command::Grants { filter, after, limit } => told(self.grants(&filter, after, limit.min(MAX_PAGE)).await?),
            Command::Grant { id } => told(self.grant(&id).await?),
            Command::RevokeGrant { id, reason } => told(self.revoke_grant(&id, &reason).await?),
            Command::RevokeSelected { selection, effect, reason } => {
                told(self.revoke_selected(&selection, effect, &reason).await?)
            }
            Command::RevokeTokens { tokens, reason } => told(self.revoke_tokens(tokens, &reason).await?),
            Command::Revocations => told(self.revocations().await?),
            Command::UndoRevocation { id } => told(self.undo_revocation(id).await?),
            Command::Interaction { which } => told(self.interaction(&which).await?),
            Command::AcceptInteraction { acceptance } => told(self.accept_interaction(&acceptance).await?),
            Command::RejectInteraction { refused } => told(self.reject_interaction(&refused)?),
            Command::WithdrawConsent { name, client } => told(self.withdraw_consent(&name, &client).await?),
        }
    }

    /// Who answers.
    #[must_use]
    pub fn status(&self) -> Status {
        let settings = self.app.settings();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            issuer: self.app.issuer().to_owned(),
            config: settings.config.source.file.as_ref().map(|file| file.display().to_string()),
            now: super::rfc3339(self.app.engine.now()),
            clock: super::rfc3339(self.app.engine.clock().now()),
            trouble: self.app.engine.check().err().map(|trouble| trouble.to_string()),
            clients: settings.clients.iter().count(),
        }
    }
}

fn told(value: impl Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(value).map_err(|error| AdminError::Invalid(error.to_string()))
}

/// What goes over the socket in answer to a [`Command`].
pub(super) fn reply(done: Result<Value, AdminError>) -> Value {
    match done {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"error": error.to_string(), "exit_code": error.exit_code()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_back_as_it_went_and_shows_no_password() {
        let command =
            Command::AddUser { name: "alice".to_owned(), password: Password::new("canary password".to_owned().into()) };
        assert!(!format!("{command:?}").contains("canary"));
        let text = serde_json::to_string(&command).expect("JSON");
        assert!(matches!(serde_json::from_str(&text), Ok(Command::AddUser { name, .. }) if name == "alice"), "{text}");
        assert!(serde_json::from_str::<Command>(r#"{"command":"users","after":"","limit":1,"x":1}"#).is_err());
    }
}
