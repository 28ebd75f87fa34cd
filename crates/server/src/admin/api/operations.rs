//! The one table of the admin API. The router, the judgement of bodies and the OpenAPI document are made of it: an operation is
//! added by an entry here, and an example in `examples.rs` for what it takes and gives.

use std::sync::OnceLock;

use axum::http::StatusCode;
use regrant_core::one_time::{client_secret, client_secret_hash};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::cursor::Position;
use super::examples as show;
use super::operation::{Asked, Operation, Plan, Versions, behind, delete, full, get, patch, post, put};
use super::problem::{Kind, Problem, Told};
use super::shapes::{
    AnyCommand, BulkRevoke, ClientAdded, Enabled, EndGrant, EventsQuery, ExistingWanted, ExplainWanted, ExportQuery,
    GrantDetail, GrantEnded, GrantsQuery, HashesWanted, Import, ImportDone, LeakedTokens, NewPassword,
    NewRegistrationToken, NewUser, NoQuery, RotateKey, RotateSecret, SecretMade, TokensRevoked, UserPatch,
};
use crate::admin::blacklist::{BulkRevoked, RevocationView};
use crate::admin::chain::ChainReport;
use crate::admin::clients::ClientDetail;
use crate::admin::events::{EventLine, EventsWanted};
use crate::admin::explain::Explanation;
use crate::admin::import::{Existing, Hashes, PortableUser};
use crate::admin::interactions::{Acceptance, InteractionView, Refused, SendBrowserTo, WhichInteraction};
use crate::admin::logouts::LogoutsView;
use crate::admin::registration::RegistrationTokenView;
use crate::admin::users::UserDetail;
use crate::admin::webhooks::{Retried, WebhookView};
use crate::admin::{ClientView, Command, GrantFilter, GrantView, KeyDone, KeyView, Status, UserView};
use crate::app::Reloaded;
use crate::chance;
use crate::claims::attributes::UserChange;
use crate::config::{ClientDefinition, PlainSecret, duration, hash_text};

/// How long an old secret works unless the request says.
const OVERLAP: &str = "24h";

/// All operations, and the schemas that theirs refer to.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) operations: Vec<Operation>,
    pub(super) definitions: Map<String, Value>,
}

/// The table, made once.
pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        // OpenAPI 3.1 takes JSON Schema 2020-12 as it is.
        let settings =
            SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
        let mut schemas = SchemaGenerator::new(settings);
        let mut operations = general(&mut schemas);
        operations.extend(clients(&mut schemas));
        operations.extend(registration_tokens(&mut schemas));
        operations.extend(users(&mut schemas));
        operations.extend(grants(&mut schemas));
        operations.extend(events(&mut schemas));
        operations.extend(revocations(&mut schemas));
        operations.extend(keys(&mut schemas));
        operations.extend(interactions(&mut schemas));
        schemas.subschema_for::<Told<'_>>();
        Table { operations, definitions: schemas.take_definitions(true) }
    })
}

fn general(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/status", "readStatus", "Who answers, and whether all is well")
            .answers::<Status>(show::STATUS)
            .plan("status", |_| Command::Status)
            .finish(schemas),
        post("/reload", "reload", "Read the configuration again; what is wrong with it changes nothing")
            .answers::<Reloaded>(show::RELOADED)
            .plan("reload", |_| Command::Reload)
            .finish(schemas),
        post(
            "/commands",
            "runCommand",
            "Run a command in the words of `regrant` of the same version; what `regrant --server` calls",
        )
        .answers::<Value>(show::STATUS)
        .large()
        .takes::<AnyCommand>(r#"{"command": "status"}"#, "", |_, asked| any(asked))
        .finish(schemas),
    ]
}

fn clients(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/clients", "listClients", "List the clients of the file and of the store, by identifier")
            .lists::<NoQuery, ClientView>(
                show::CLIENT,
                "clients",
                |asked, NoQuery {}| asked.after_text().map(|_| Command::Clients),
                |list, asked| behind(list, asked, |client| text(client, "id")),
            )
            .finish(schemas),
        post("/clients", "addClient", "Add a client; a confidential one gets a secret, which is shown once")
            .answers::<ClientAdded>(show::CLIENT_ADDED)
            .status(StatusCode::CREATED)
            .takes::<ClientDefinition>(show::DEFINITION, "add_client", |_, definition| Ok(add_client(definition)))
            .finish(schemas),
        get("/clients/{id}", "readClient", "One client, with the definition that it was made from")
            .answers::<ClientDetail>(show::CLIENT_DETAIL)
            .versions(Versions::Shown)
            .plan("client_detail", |asked| Command::ClientDetail { id: asked.path("id") })
            .finish(schemas),
        put(
            "/clients/{id}",
            "putClient",
            "Add a client, or replace it whole; without a secret in it, it keeps its own",
        )
        .answers::<ClientDetail>(show::CLIENT_DETAIL)
        .gives_with_status(|mut written| {
            let is_new = written["is_new"] == json!(true);
            (if is_new { StatusCode::CREATED } else { StatusCode::OK }, written["detail"].take())
        })
        .versions(Versions::Asked)
        .takes::<ClientDefinition>(show::DEFINITION, "put_client", put_client)
        .finish(schemas),
        delete(
            "/clients/{id}",
            "removeClient",
            "Remove a client of the store; its grants end, or are unusable until it returns (on_client_removed)",
        )
        .versions(Versions::Asked)
        .plan("remove_client", |asked| Command::RemoveClient { id: asked.path("id") })
        .finish(schemas),
        post("/clients/{id}/secret", "rotateClientSecret", "Give a client another secret, which is shown once")
            .answers::<SecretMade>(show::SECRET_MADE)
            .versions(Versions::Asked)
            .takes::<RotateSecret>(r#"{"overlap": "24h"}"#, "rotate_client_secret", rotate_secret)
            .finish(schemas),
    ]
}

fn registration_tokens(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    const SHOWN: &str = r#"{"id": "0123456789abcdef", "label": "for the fair", "uses": 10, "created_at": "2026-11-24T01:30:00Z", "expires_at": "2026-12-01T01:30:00Z"}"#;
    vec![
        get(
            "/registration-tokens",
            "listRegistrationTokens",
            "List the tokens with which clients can register themselves",
        )
        .lists::<NoQuery, RegistrationTokenView>(
            SHOWN,
            "registration_tokens",
            |asked, NoQuery {}| asked.after_text().map(|_| Command::RegistrationTokens),
            |list, asked| behind(by_id(list), asked, |token| text(token, "id")),
        )
        .finish(schemas),
        post(
            "/registration-tokens",
            "makeRegistrationToken",
            "Make a token with which clients can register themselves; it is shown once",
        )
        .answers::<RegistrationTokenView>(SHOWN)
        .status(StatusCode::CREATED)
        .takes::<NewRegistrationToken>(
            r#"{"label": "for the fair", "uses": 10, "lifetime": "7d"}"#,
            "new_registration_token",
            |_, wanted| new_registration_token(wanted),
        )
        .finish(schemas),
        delete(
            "/registration-tokens/{id}",
            "removeRegistrationToken",
            "Remove such a token; clients that used it stay",
        )
        .plan("remove_registration_token", |asked| Command::RemoveRegistrationToken { id: asked.path("id") })
        .finish(schemas),
    ]
}

fn new_registration_token(wanted: NewRegistrationToken) -> Result<Plan, Problem> {
    let Some(lifetime) = duration::parse(wanted.lifetime.as_deref().unwrap_or("7d")) else {
        return Err(Problem::at("/lifetime", "it is no duration", "Write it like \"7d\" or \"24h\"."));
    };
    let (label, uses) = (wanted.label.unwrap_or_default(), wanted.uses.unwrap_or(1));
    Ok(Command::NewRegistrationToken { label, uses, lifetime }.into())
}

fn by_id(mut list: Value) -> Value {
    if let Value::Array(items) = &mut list {
        items.sort_by_key(|item| text(item, "id"));
    }
    list
}

fn users(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/users", "listUsers", "List the users, by name")
            .lists::<NoQuery, UserView>(
                show::USER,
                "users",
                |asked, NoQuery {}| Ok(Command::Users { after: asked.after_text()?, limit: asked.limit }),
                |list, asked| full(list, asked, |user| name_of(user, "name")),
            )
            .finish(schemas),
        post("/users", "addUser", "Add a user")
            .answers::<UserView>(show::USER)
            .status(StatusCode::CREATED)
            .takes::<NewUser>(r#"{"name": "alice", "password": "correct horse battery"}"#, "add_user", |_, user| {
                Ok(Command::AddUser { name: user.name, password: user.password }.into())
            })
            .finish(schemas),
        get("/users/{name}", "readUser", "One user, with everything that is known but the password's hash")
            .answers::<UserDetail>(show::USER_DETAIL)
            .versions(Versions::Shown)
            .plan("user", |asked| Command::User { name: asked.path("name") })
            .finish(schemas),
        patch("/users/{name}", "changeUser", "Change attributes; access tokens carry them from the next one on")
            .answers::<UserDetail>(show::USER_DETAIL)
            .versions(Versions::Asked)
            .takes::<UserPatch>(
                r#"{"attributes": {"email": "alice@example.com", "groups": ["staff"], "nickname": null}}"#,
                "set_user",
                |asked, patch| Ok(change(asked, patch).into()),
            )
            .finish(schemas),
        delete("/users/{name}", "removeUser", "Remove a user; nothing of the user's is refreshed or vouched for again")
            .versions(Versions::Asked)
            .plan("remove_user", |asked| Command::RemoveUser { name: asked.path("name") })
            .finish(schemas),
        put("/users/{name}/password", "setPassword", "Set a user's password, and end the user's browser sessions")
            .versions(Versions::Asked)
            .takes::<NewPassword>(r#"{"password": "staple battery horse"}"#, "set_password", |asked, new| {
                Ok(Command::SetPassword { name: asked.path("name"), password: new.password }.into())
            })
            .finish(schemas),
        put("/users/{name}/enabled", "setUserEnabled", "Switch a user off or on")
            .versions(Versions::Asked)
            .takes::<Enabled>(r#"{"enabled": false}"#, "set_user_disabled", |asked, Enabled { enabled }| {
                Ok(Command::SetUserDisabled { name: asked.path("name"), disabled: !enabled }.into())
            })
            .finish(schemas),
        post(
            "/user-imports",
            "importUsers",
            "Add or update users, in one transaction, with their hashes from elsewhere",
        )
        .answers::<ImportDone>(r#"{"outcomes": [{"outcome": "added"}]}"#)
        .gives(|outcomes, _| import_done(outcomes))
        .large()
        .takes::<Import>(show::IMPORT, "import_users", |_, import| Ok(import_users(import).into()))
        .finish(schemas),
        get("/user-exports", "exportUsers", "Users as an import takes them, by name")
            .lists::<ExportQuery, PortableUser>(
                show::PORTABLE_USER,
                "export_users",
                |asked, ExportQuery { hashes }| {
                    let hashes = match hashes {
                        HashesWanted::Left => Hashes::Left,
                        HashesWanted::Included => Hashes::Included,
                    };
                    Ok(Command::ExportUsers { after: asked.after_text()?, limit: asked.limit, hashes })
                },
                |list, asked| full(list, asked, |user| name_of(user, "username")),
            )
            .finish(schemas),
    ]
}

fn grants(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/grants", "listGrants", "List grants, in the order of their making")
            .lists::<GrantsQuery, GrantView>(
                show::GRANT,
                "grants",
                |asked, GrantsQuery { client, user }| {
                    let filter = GrantFilter { client, user };
                    Ok(Command::Grants { filter, after: asked.after_number()?, limit: asked.limit })
                },
                |mut pair, _| {
                    let next = pair[1].as_u64().map(Position::Number);
                    (pair[0].as_array_mut().map(std::mem::take).unwrap_or_default(), next)
                },
            )
            .finish(schemas),
        get("/grants/{id}", "readGrant", "One grant, and what happened to it")
            .answers::<GrantDetail>(show::GRANT_DETAIL)
            .gives(|mut pair, _| json!({"grant": pair[0].take(), "events": pair[1].take()}))
            .plan("grant", |asked| Command::Grant { id: asked.path("id") })
            .finish(schemas),
        post("/grants/{id}/end", "endGrant", "End a grant: its refresh token is blacklisted from this moment")
            .answers::<GrantEnded>(r#"{"was_live": true}"#)
            .gives(|was_live, _| json!({"was_live": was_live}))
            .takes::<EndGrant>(r#"{"reason": "lost laptop"}"#, "revoke_grant", |asked, EndGrant { reason }| {
                Ok(Command::RevokeGrant { id: asked.path("id"), reason }.into())
            })
            .finish(schemas),
        // POST, for a token has no place in a URL: logs and histories keep those.
        post(
            "/explain",
            "explain",
            "Why was I logged out? The life of a grant, by any token of it, its id, or a correlation id; nothing is written",
        )
        .answers::<Explanation>(show::EXPLANATION)
        .takes::<ExplainWanted>(r#"{"what": "6f1b2c3d4e5f6071"}"#, "explain", |_, ExplainWanted { what }| {
            Ok(Command::Explain { what }.into())
        })
        .finish(schemas),
    ]
}

fn events(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/events", "listEvents", "What happened, newest first")
            .lists::<EventsQuery, EventLine>(
                show::EVENT,
                "events",
                |asked, EventsQuery { kind, user, client, since }| {
                    let (before, limit) = (asked.after_number()?, asked.limit);
                    let wanted = EventsWanted { kind, user, client, since, after: 0, before, limit };
                    Ok(Command::Events { wanted })
                },
                |list, asked| full(list, asked, |event| event.get("id")?.as_u64().map(Position::Number)),
            )
            .finish(schemas),
        get(
            "/events/chain",
            "verifyEvents",
            "Follow the chain of events from the oldest that is kept: is any changed or missing?",
        )
        .answers::<ChainReport>(show::CHAIN)
        .plan("verify_events", |_| Command::VerifyEvents)
        .finish(schemas),
        get("/webhooks", "listWebhooks", "List those to whom events are delivered, by name, and how far each is")
            .lists::<NoQuery, WebhookView>(
                show::WEBHOOK,
                "webhooks",
                |asked, NoQuery {}| asked.after_text().map(|_| Command::Webhooks),
                |list, asked| behind(by_name(list), asked, |webhook| text(webhook, "name")),
            )
            .finish(schemas),
        get(
            "/logouts",
            "listLogouts",
            "List the clients that have not heard of a logout: what waits, and what was given up",
        )
        .lists::<NoQuery, LogoutsView>(
            show::LOGOUTS,
            "logouts",
            |asked, NoQuery {}| asked.after_text().map(|_| Command::Logouts),
            |list, asked| behind(list, asked, |logouts| text(logouts, "client")),
        )
        .finish(schemas),
        post(
            "/webhooks/{name}/retry",
            "retryWebhook",
            "Try once more to deliver the dead letters of a webhook, in order, until one fails",
        )
        .answers::<Retried>(show::RETRIED)
        .plan("retry_webhook", |asked| Command::RetryWebhook { name: asked.path("name") })
        .finish(schemas),
        delete(
            "/webhooks/{name}/dead-letters",
            "dropDeadLetters",
            "Let the dead letters of a webhook go, also of one that is no longer configured; the events stay",
        )
        .answers::<Retried>(show::DROPPED)
        .plan("drop_dead_letters", |asked| Command::DropDeadLetters { name: asked.path("name") })
        .finish(schemas),
    ]
}

fn revocations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get(
            "/revocations",
            "listRevocations",
            "List wide revocations that are not yet written into their grants, oldest first",
        )
        .lists::<NoQuery, RevocationView>(
            show::REVOCATION,
            "revocations",
            |asked, NoQuery {}| asked.after_text().map(|_| Command::Revocations),
            |list, asked| behind(list, asked, |one| format!("{:020}", one["id"].as_u64().unwrap_or_default())),
        )
        .finish(schemas),
        post(
            "/revocations",
            "revokeInBulk",
            "Revoke everything of a user, a client, a session, a key, a scope, a resource or a time",
        )
        .answers::<BulkRevoked>(show::BULK_DONE)
        .takes::<BulkRevoke>(show::BULK, "revoke_selected", |_, BulkRevoke { selection, effect, reason }| {
            Ok(Command::RevokeSelected { selection, effect: effect.into(), reason }.into())
        })
        .finish(schemas),
        post("/revocations/{id}/undo", "undoRevocation", "Take a bulk revocation back, while that is possible")
            .answers::<RevocationView>(show::REVOCATION)
            .plans("undo_revocation", |asked| {
                let missing = |_| Problem::new(Kind::NotFound, "A bulk revocation has a number.");
                Ok(Command::UndoRevocation { id: asked.path("id").parse().map_err(missing)? }.into())
            })
            .finish(schemas),
        post("/token-revocations", "revokeTokens", "Revoke leaked tokens of any kind and age, one by one")
            .answers::<TokensRevoked>(show::TOKENS_REVOKED)
            .gives(|outcomes, _| json!({ "outcomes": outcomes }))
            .large()
            .takes::<LeakedTokens>(
                r#"{"tokens": ["rgr_…", "rga_…"], "reason": "found in a log"}"#,
                "revoke_tokens",
                |_, leaked| Ok(Command::RevokeTokens { tokens: leaked.tokens, reason: leaked.reason }.into()),
            )
            .finish(schemas),
        delete("/users/{name}/consents/{client}", "withdrawConsent", "Withdraw what a user allowed a client")
            .plan("withdraw_consent", |asked| Command::WithdrawConsent {
                name: asked.path("name"),
                client: asked.path("client"),
            })
            .finish(schemas),
    ]
}

fn keys(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        get("/keys", "listKeys", "List all keys, with what hangs on them")
            .lists::<NoQuery, KeyView>(
                show::KEY,
                "keys",
                |asked, NoQuery {}| asked.after_text().map(|_| Command::Keys),
                |list, asked| {
                    behind(list, asked, |key| {
                        format!("{} {:010}", text(key, "kind"), key["id"].as_u64().unwrap_or_default())
                    })
                },
            )
            .finish(schemas),
        post(
            "/keys/{kind}/rotate",
            "rotateKey",
            "Replace the current key of a kind: `tag`, `seed`, `sealing` or `signing`",
        )
        .answers::<KeyDone>(show::KEY_DONE)
        .takes::<RotateKey>(r#"{"algorithm": "ES256", "turn": "announced"}"#, "rotate_key", |asked, wanted| {
            let RotateKey { algorithm, turn } = wanted;
            Ok(Command::RotateKey { kind: asked.path("kind"), algorithm, turn: turn.into() }.into())
        })
        .finish(schemas),
        post(
            "/keys/{kind}/{id}/compromise",
            "compromiseKey",
            "A key is known to others: replace it, and believe it nothing",
        )
        .answers::<KeyDone>(show::KEY_DONE)
        .plan("compromise_key", |asked| Command::CompromiseKey { kind: asked.path("kind"), id: asked.path("id") })
        .finish(schemas),
        post("/keys/{kind}/{id}/retire", "retireKey", "Destroy a key on which nothing hangs any more")
            .answers::<KeyDone>(show::KEY_DONE)
            .plan("retire_key", |asked| Command::RetireKey { kind: asked.path("kind"), id: asked.path("id") })
            .finish(schemas),
    ]
}

/// POST, for what goes with a challenge has no place in a URL: logs and histories keep those.
fn interactions(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        post("/interactions/read", "readInteraction", "What a user is asked, for the application that shows it")
            .answers::<InteractionView>(show::INTERACTION)
            .takes::<WhichInteraction>(r#"{"challenge": "rgq_…"}"#, "interaction", |_, which| {
                Ok(Command::Interaction { which }.into())
            })
            .finish(schemas),
        post("/interactions/accept", "acceptInteraction", "The user said yes; where to send the browser then")
            .answers::<SendBrowserTo>(show::SEND_BROWSER_TO)
            .takes::<Acceptance>(show::ACCEPTANCE, "accept_interaction", |_, acceptance| {
                Ok(Command::AcceptInteraction { acceptance: Box::new(acceptance) }.into())
            })
            .finish(schemas),
        post("/interactions/reject", "rejectInteraction", "The user said no; where to send the browser then")
            .answers::<SendBrowserTo>(show::SEND_BROWSER_TO)
            .takes::<Refused>(
                r#"{"challenge": "rgq_…", "error": "access_denied"}"#,
                "reject_interaction",
                |_, refused| Ok(Command::RejectInteraction { refused }.into()),
            )
            .finish(schemas),
    ]
}

fn any(asked: AnyCommand) -> Result<Plan, Problem> {
    let unknown = || {
        Problem::at(
            "/command",
            "this is no command that this version of the server knows",
            "Use the `regrant` of the same version.",
        )
    };
    // The parser passes over members beside a command that has none.
    if asked.has_more() && serde_json::from_value::<Command>(asked.alone()).is_ok() {
        return Err(Problem::at("/command", "there is a member beside it that it does not have", "Leave it out."));
    }
    // The parser's own words may quote what it read, and that may be a password.
    let command: Command = serde_json::from_value(asked.whole()).map_err(|_| unknown())?;
    if command.is_for_this_machine_only() {
        let remedy = "Run it on the server's machine, without --server.";
        return Err(Problem::at("/command", "it works on files of the server's own machine", remedy));
    }
    Ok(command.into())
}

fn new_secret() -> (String, String) {
    let secret = client_secret(chance::bytes()).to_string();
    let hash = hash_text(&client_secret_hash(&secret));
    (secret, hash)
}

/// A confidential client without a secret gets one; what is wrong with the rest is said where it is judged.
fn add_client(mut definition: ClientDefinition) -> Plan {
    let method = definition.token_endpoint_auth_method.as_deref();
    if method == Some("client_secret_jwt") {
        let made = definition.shared_secret.is_none().then(new_secret).map(|(secret, _)| secret);
        definition.shared_secret =
            definition.shared_secret.or_else(|| made.clone().map(|secret| PlainSecret::new(secret.into())));
        return Plan { command: Command::AddClient { definition: Box::new(definition) }, secret: made };
    }
    let has_none = matches!(method, Some("none" | "private_key_jwt"));
    let made = (!has_none && definition.secret_hash.is_none() && definition.secret_file.is_none()).then(new_secret);
    let (secret, hash) = made.unzip();
    definition.secret_hash = definition.secret_hash.or(hash);
    Plan { command: Command::AddClient { definition: Box::new(definition) }, secret }
}

fn put_client(asked: &Asked, definition: ClientDefinition) -> Result<Plan, Problem> {
    if definition.id != asked.path("id") {
        return Err(Problem::at("/id", "it is not the one of the path", "Write the same in both."));
    }
    Ok(Command::PutClient { definition: Box::new(definition), version: None }.into())
}

fn rotate_secret(asked: &Asked, wanted: RotateSecret) -> Result<Plan, Problem> {
    let overlap = wanted.overlap.as_deref().unwrap_or(OVERLAP);
    let Some(overlap) = duration::parse(overlap) else {
        return Err(Problem::at("/overlap", "it is no duration", "Write it like \"24h\", \"7d\" or \"0\"."));
    };
    let (secret, secret_hash) = match wanted.secret_hash {
        Some(hash) => (None, hash),
        None => {
            let (secret, hash) = new_secret();
            (Some(secret), hash)
        }
    };
    Ok(Plan { command: Command::RotateClientSecret { id: asked.path("id"), secret_hash, overlap }, secret })
}

/// RFC 7396: `null` removes a member.
fn change(asked: &Asked, patch: UserPatch) -> Command {
    let (unset, values): (Vec<_>, Vec<_>) = patch.attributes.into_iter().partition(|(_, value)| value.is_null());
    let unset = unset.into_iter().map(|(name, _)| name).collect();
    Command::SetUser {
        name: asked.path("name"),
        change: Box::new(UserChange { unset, values, ..UserChange::default() }),
    }
}

fn import_users(import: Import) -> Command {
    let existing = match import.existing {
        ExistingWanted::Skip => Existing::Skip,
        ExistingWanted::Update => Existing::Update,
    };
    Command::ImportUsers { users: import.users, existing, effect: import.effect.into() }
}

/// `"Added"` and `{"Refused": "why"}` in the words of the API.
fn import_done(outcomes: Value) -> Value {
    let Value::Array(outcomes) = outcomes else { return json!({"outcomes": []}) };
    let told = outcomes.into_iter().map(|outcome| match outcome {
        Value::String(word) => json!({"outcome": word.to_lowercase()}),
        other => json!({"outcome": "refused", "reason": other.get("Refused")}),
    });
    json!({"outcomes": told.collect::<Vec<_>>()})
}

/// The configuration has its own order, which a reload may change between two pages.
fn by_name(mut list: Value) -> Value {
    if let Value::Array(items) = &mut list {
        items.sort_by_key(|item| text(item, "name"));
    }
    list
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn name_of(members: &Map<String, Value>, name: &str) -> Option<Position> {
    members.get(name).and_then(Value::as_str).map(|text| Position::Text(text.to_owned()))
}
