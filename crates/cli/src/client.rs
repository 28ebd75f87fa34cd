//! `regrant client`: clients of the store. Those of the file are shown, and changed there.

use regrant_core::one_time::{client_secret, client_secret_hash};
use regrant_server::admin::ClientView;
use regrant_server::chance;
use regrant_server::config::{ClientDefinition, hash_text};

use crate::context::{Context, Done, Failure};
use crate::output;

/// What to do with clients.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Add a client to the store. A confidential one gets a secret, which is shown once.
    Add(Box<Add>),
    /// List all clients.
    List,
    /// Show one client.
    Show {
        /// Its identifier.
        id: String,
    },
    /// Remove a client from the store. Its grants are unusable until it returns.
    Remove {
        /// Its identifier.
        id: String,
    },
    /// Make a secret, and the hash of it for `secret_hash` in the configuration.
    Secret,
}

/// A client, in flags named like the settings.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  regrant client add web --redirect-uri https://app.example/cb --scope openid --scope read\n  regrant client add phone --public --redirect-uri com.example.app:/cb\n  regrant client add daemon --grant-type client_credentials --scope read\n  regrant client add api --grant-type client_credentials --may-introspect"
)]
pub(crate) struct Add {
    /// Its identifier.
    id: String,
    /// What people see when they are asked for consent.
    #[arg(long)]
    name: Option<String>,
    /// A client without a secret: a browser, phone or desktop application.
    #[arg(long, conflicts_with = "auth_method")]
    public: bool,
    /// client_secret_basic (default), client_secret_post or none.
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,
    /// Where answers may go; may be repeated.
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// What it may use; may be repeated. Default: authorization_code and refresh_token.
    #[arg(long, value_name = "TYPE")]
    grant_type: Vec<String>,
    /// code or token; may be repeated. Default: what fits the grant types.
    #[arg(long, value_name = "TYPE")]
    response_type: Vec<String>,
    /// A scope it may have; may be repeated.
    #[arg(long)]
    scope: Vec<String>,
    /// A resource it may have tokens for; may be repeated.
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Do not require PKCE. Confidential clients only.
    #[arg(long)]
    no_pkce: bool,
    /// It may introspect tokens.
    #[arg(long)]
    may_introspect: bool,
    /// An origin whose scripts may call the token endpoint; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    allowed_origin: Vec<String>,
    /// Do not ask its users for consent.
    #[arg(long)]
    skip_consent: bool,
    /// auto, single_use or reusable.
    #[arg(long)]
    rotation: Option<String>,
    /// For public clients, e.g. 60s.
    #[arg(long, value_name = "TIME")]
    retry_window: Option<String>,
    /// revoke or refuse.
    #[arg(long)]
    on_replay: Option<String>,
    /// e.g. 30d.
    #[arg(long, value_name = "TIME")]
    idle_lifetime: Option<String>,
    /// e.g. 365d.
    #[arg(long, value_name = "TIME")]
    absolute_lifetime: Option<String>,
    /// e.g. 1h.
    #[arg(long, value_name = "TIME")]
    access_token_lifetime: Option<String>,
    /// jwt or opaque.
    #[arg(long, value_name = "FORMAT")]
    access_token_format: Option<String>,
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    match command {
        Command::Add(add) => self::add(context, *add),
        Command::List => list(context),
        Command::Show { id } => show(context, &id),
        Command::Remove { id } => {
            context.with_admin(async |admin| admin.remove_client(&id).await)?;
            confirm(context, &format!("client {id} removed; its grants are unusable until it returns"), &id);
            Ok(())
        }
        Command::Secret => {
            let (secret, hash) = new_secret();
            if context.json {
                output::json(&serde_json::json!({"secret": secret, "secret_hash": hash}));
            } else {
                output::pairs([("client_secret", secret), ("secret_hash", hash)]);
            }
            Ok(())
        }
    }
}

fn new_secret() -> (String, String) {
    let secret = client_secret(chance::bytes()).to_string();
    let hash = hash_text(&client_secret_hash(&secret));
    (secret, hash)
}

fn add(context: &Context, add: Add) -> Done {
    let method = if add.public { Some("none".to_owned()) } else { add.auth_method };
    let secret = (method.as_deref() != Some("none")).then(new_secret);
    let optional = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let definition = ClientDefinition {
        id: add.id,
        name: add.name,
        secret_file: None,
        secret_hash: secret.as_ref().map(|(_, hash)| hash.clone()),
        token_endpoint_auth_method: method,
        redirect_uris: add.redirect_uri,
        grant_types: optional(add.grant_type),
        response_types: optional(add.response_type),
        scopes: add.scope,
        resources: add.resource,
        require_pkce: add.no_pkce.then_some(false),
        may_introspect: add.may_introspect.then_some(true),
        allowed_origins: add.allowed_origin,
        skip_consent: add.skip_consent.then_some(true),
        rotation: add.rotation,
        retry_window: add.retry_window,
        on_replay: add.on_replay,
        idle_lifetime: add.idle_lifetime,
        absolute_lifetime: add.absolute_lifetime,
        access_token_lifetime: add.access_token_lifetime,
        access_token_format: add.access_token_format,
    };
    let view = context.with_admin(async |admin| admin.add_client(definition).await)?;
    let secret = secret.map(|(secret, _)| secret);
    if context.json {
        let mut value = serde_json::to_value(&view).unwrap_or_default();
        if let (Some(members), Some(secret)) = (value.as_object_mut(), secret) {
            members.insert("client_secret".to_owned(), secret.into());
        }
        output::json(&value);
        return Ok(());
    }
    output::done(&format!("client {} added", view.id));
    if let Some(secret) = secret {
        output::pairs([("client_id", view.id), ("client_secret", secret)]);
        output::line("This is the only time that the secret is shown: the store keeps its hash.");
    }
    Ok(())
}

fn list(context: &Context) -> Done {
    let clients = context.with_app(|app| Ok(app.admin().clients()))?;
    if context.json {
        output::json(&clients);
        return Ok(());
    }
    if clients.is_empty() {
        output::line("no clients yet: `regrant client add ID --redirect-uri URI`");
        return Ok(());
    }
    output::table(
        ["client", "name", "authentication", "grant types", "rotation", "defined in"],
        clients.into_iter().map(|client| {
            let method = client.token_endpoint_auth_method.to_owned();
            let grant_types = client.grant_types.join("\n");
            [client.id, client.name, method, grant_types, client.rotation.to_owned(), client.origin.to_owned()]
        }),
    );
    Ok(())
}

fn show(context: &Context, id: &str) -> Done {
    let client = context
        .with_app(|app| app.admin().client(id).ok_or_else(|| Failure::new(1, format!("there is no client {id}"))))?;
    if context.json {
        output::json(&client);
        return Ok(());
    }
    let seconds = |seconds: u64| regrant_server::config::duration::write(std::time::Duration::from_secs(seconds));
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let ClientView {
        id, name, origin, token_endpoint_auth_method, grant_types, redirect_uris, scope, resources, ..
    } = &client;
    output::pairs([
        ("client", id.clone()),
        ("name", name.clone()),
        ("defined in", (*origin).to_owned()),
        ("authentication", (*token_endpoint_auth_method).to_owned()),
        ("grant types", grant_types.join(" ")),
        ("redirect URIs", redirect_uris.join(" ")),
        ("scope", scope.clone()),
        ("resources", resources.join(" ")),
        ("rotation", client.rotation.to_owned()),
        ("idle lifetime", seconds(client.idle_lifetime)),
        ("absolute lifetime", seconds(client.absolute_lifetime)),
        ("access token lifetime", seconds(client.access_token_lifetime)),
        ("requires PKCE", yes(client.require_pkce)),
        ("may introspect", yes(client.may_introspect)),
    ]);
    Ok(())
}

fn confirm(context: &Context, text: &str, id: &str) {
    if context.json {
        output::json(&serde_json::json!({"ok": true, "id": id}));
    } else {
        output::done(text);
    }
}
