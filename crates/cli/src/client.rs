//! `regrant client`: clients of the store. Those of the file are shown, and changed there.

mod remove;
mod secret;
mod set;

use std::path::PathBuf;

use regrant_server::admin::{ClientView, Command as Ask};
use regrant_server::config::{ClientDefinition, PlainSecret, Problem};

use crate::context::{self, Context, Done, Failure, operate_on};
use crate::output;

/// What to do with clients.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Add a client to the store. A confidential one gets a secret, which is shown once.
    Add(Box<Add>),
    /// Change a client of the store. What is not named stays as it is, its secret too.
    Set(Box<set::Set>),
    /// Switch a client off: everything is refused it. What becomes of its grants says on_client_disabled.
    Disable {
        /// Its identifier.
        id: String,
    },
    /// Switch a client on again.
    Enable {
        /// Its identifier.
        id: String,
    },
    /// List all clients.
    List,
    /// Show one client.
    Show {
        /// Its identifier.
        id: String,
    },
    /// Remove a client from the store. Its grants end; with on_client_removed = "suspend" they are unusable until it returns.
    Remove {
        /// Its identifier.
        id: String,
    },
    /// Give a client another secret, which is shown once. The old one works until the overlap ends.
    RotateSecret {
        /// Its identifier.
        id: String,
        /// How long both secrets work: at most 90d, "0" for not at all.
        #[arg(long, value_name = "TIME", default_value = "24h")]
        overlap: String,
    },
    /// Make a secret, and the hash of it for `secret_hash` in the configuration.
    #[command(
        after_help = "Examples:\n  regrant client secret\n  regrant client secret --out ops.secret     # for secret_file in the configuration"
    )]
    Secret {
        /// Write the secret alone into this file, readable by its owner only, instead of printing it. For `secret_file`. Never over a file that
        /// is there.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// A client, in flags named like the settings.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  regrant client add web --redirect-uri https://app.example/cb --scope \"openid notes:read\"\n  regrant client add phone --public --redirect-uri com.example.app:/cb\n  regrant client add daemon --grant-type client_credentials --scope notes:read\n  regrant client add api --may-introspect"
)]
pub(crate) struct Add {
    /// Its identifier.
    id: String,
    /// What people see when they are asked for consent.
    #[arg(long, help_heading = "Who it is")]
    name: Option<String>,
    /// A client without a secret: a browser, phone or desktop application.
    #[arg(long, conflicts_with = "auth_method", help_heading = "Who it is")]
    public: bool,
    /// client_secret_basic (default), client_secret_post, client_secret_jwt, private_key_jwt or none.
    #[arg(long, value_name = "METHOD", help_heading = "Who it is")]
    auth_method: Option<String>,
    /// The hash of a secret that it has already, as `regrant client secret` prints it. Without it a secret is made.
    #[arg(long, value_name = "HASH", conflicts_with = "public", help_heading = "Who it is")]
    secret_hash: Option<String>,
    /// A file with its public keys, a JWK set. For private_key_jwt and signed request objects.
    #[arg(long, value_name = "FILE", value_parser = key_set, conflicts_with = "jwks_uri", help_heading = "Who it is")]
    jwks: Option<serde_json::Map<String, serde_json::Value>>,
    /// Where its public keys are: an https URL, read again when it signs with a new one.
    #[arg(long, value_name = "URL", help_heading = "Who it is")]
    jwks_uri: Option<String>,
    /// What its assertions are signed with: RS256, PS256, ES256 or EdDSA. Default: whichever its keys fit.
    #[arg(long, value_name = "ALG", help_heading = "Who it is")]
    token_endpoint_auth_signing_alg: Option<String>,
    /// What its request objects are signed with; "none" for not at all. Default: whichever its keys fit.
    #[arg(long, value_name = "ALG", help_heading = "Who it is")]
    request_object_signing_alg: Option<String>,
    /// Where its request objects may be; may be repeated.
    #[arg(long, value_name = "URL", help_heading = "Who it is")]
    request_uri: Vec<String>,
    /// Its home page, for the consent page.
    #[arg(long, value_name = "URL", help_heading = "Who it is")]
    client_uri: Option<String>,
    /// Its logo, for the consent page.
    #[arg(long, value_name = "URL", help_heading = "Who it is")]
    logo_uri: Option<String>,
    /// Its privacy policy, for the consent page.
    #[arg(long, value_name = "URL", help_heading = "Who it is")]
    policy_uri: Option<String>,
    /// Its terms of service, for the consent page.
    #[arg(long, value_name = "URL", help_heading = "Who it is")]
    tos_uri: Option<String>,
    /// Somebody who answers for it; may be repeated.
    #[arg(long, value_name = "ADDRESS", help_heading = "Who it is")]
    contact: Vec<String>,
    /// Where answers may go; may be repeated.
    #[arg(long, value_name = "URI", help_heading = "What it may do")]
    redirect_uri: Vec<String>,
    /// What it may use; may be repeated. Default: authorization_code and refresh_token.
    #[arg(long, value_name = "TYPE", help_heading = "What it may do")]
    grant_type: Vec<String>,
    /// code or token; may be repeated. Default: what fits the grant types.
    #[arg(long, value_name = "TYPE", help_heading = "What it may do")]
    response_type: Vec<String>,
    /// Scopes it may have, separated by spaces; may be repeated.
    #[arg(long, help_heading = "What it may do")]
    scope: Vec<String>,
    /// A resource it may have tokens for; may be repeated.
    #[arg(long, value_name = "URI", help_heading = "What it may do")]
    resource: Vec<String>,
    /// Do not require PKCE. Confidential clients only.
    #[arg(long, help_heading = "What it may do")]
    no_pkce: bool,
    /// It may introspect tokens. With neither a grant type nor a redirect URI, it may do nothing else.
    #[arg(long, help_heading = "What it may do")]
    may_introspect: bool,
    /// It may revoke everything of a user at the global revocation endpoint. With neither a grant type nor a redirect URI, it may do nothing
    /// else.
    #[arg(long, help_heading = "What it may do")]
    may_revoke_users: bool,
    /// An origin whose scripts may call the token endpoint; may be repeated.
    #[arg(long, value_name = "ORIGIN", help_heading = "What it may do")]
    allowed_origin: Vec<String>,
    /// Do not ask its users for consent.
    #[arg(long, help_heading = "What it may do")]
    skip_consent: bool,
    /// Where its users may be sent after a logout; may be repeated.
    #[arg(long, value_name = "URI", help_heading = "Logout")]
    post_logout_redirect_uri: Vec<String>,
    /// Where it is told that a session has ended, by a POST of the server.
    #[arg(long, value_name = "URI", help_heading = "Logout")]
    backchannel_logout_uri: Option<String>,
    /// Its logout tokens must carry sid. They do all the same.
    #[arg(long, requires = "backchannel_logout_uri", help_heading = "Logout")]
    backchannel_logout_session_required: bool,
    /// What is shown in a frame when its user logs out.
    #[arg(long, value_name = "URI", help_heading = "Logout")]
    frontchannel_logout_uri: Option<String>,
    /// Add iss and sid to it.
    #[arg(long, requires = "frontchannel_logout_uri", help_heading = "Logout")]
    frontchannel_logout_session_required: bool,
    /// keep, end_online or end: what becomes of its grants when their user logs out. As [revocation] says unless given.
    #[arg(long, value_name = "CHOICE", help_heading = "Logout")]
    on_logout: Option<String>,
    /// auto (default), single_use or reusable: whether a refresh gives a new refresh token.
    #[arg(long, value_name = "MODE", help_heading = "Its tokens")]
    rotation: Option<String>,
    /// For public clients: how long a lost answer can be had again. Default: 60s; "0" for never.
    #[arg(long, value_name = "TIME", help_heading = "Its tokens")]
    retry_window: Option<String>,
    /// revoke (default) or refuse: what a spent refresh token does when it comes again.
    #[arg(long, value_name = "WHAT", help_heading = "Its tokens")]
    on_replay: Option<String>,
    /// A session ends after this long without a refresh. Default: 30d.
    #[arg(long, value_name = "TIME", help_heading = "Its tokens")]
    idle_lifetime: Option<String>,
    /// A session ends this long after the login, whatever is done. Default: 365d.
    #[arg(long, value_name = "TIME", help_heading = "Its tokens")]
    absolute_lifetime: Option<String>,
    /// How long an access token works. Default: 1h.
    #[arg(long, value_name = "TIME", help_heading = "Its tokens")]
    access_token_lifetime: Option<String>,
    /// jwt (default) or opaque.
    #[arg(long, value_name = "FORMAT", help_heading = "Its tokens")]
    access_token_format: Option<String>,
    /// What signs its JWT access tokens: ES256 (default), EdDSA, PS256 or RS256.
    #[arg(long, value_name = "ALG", help_heading = "Its tokens")]
    access_token_signed_response_alg: Option<String>,
    /// What signs the introspection answers that it asks for as JWT: RS256 (default), ES256, EdDSA or PS256.
    #[arg(long, value_name = "ALG", help_heading = "Its tokens")]
    introspection_signed_response_alg: Option<String>,
    /// What signs its ID tokens: RS256 (default), ES256, EdDSA or PS256.
    #[arg(long, value_name = "ALG", help_heading = "OpenID Connect")]
    id_token_signed_response_alg: Option<String>,
    /// What signs its userinfo answers; plain JSON unless said.
    #[arg(long, value_name = "ALG", help_heading = "OpenID Connect")]
    userinfo_signed_response_alg: Option<String>,
    /// How its ID tokens are encrypted to a key of its own: ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A256KW, RSA-OAEP-256 or RSA-OAEP.
    #[arg(long, value_name = "ALG", help_heading = "OpenID Connect")]
    id_token_encrypted_response_alg: Option<String>,
    /// With what: A128CBC-HS256 (default), A128GCM or A256GCM.
    #[arg(long, value_name = "ENC", help_heading = "OpenID Connect")]
    id_token_encrypted_response_enc: Option<String>,
    /// The same of its userinfo answers.
    #[arg(long, value_name = "ALG", help_heading = "OpenID Connect")]
    userinfo_encrypted_response_alg: Option<String>,
    /// With what: A128CBC-HS256 (default), A128GCM or A256GCM.
    #[arg(long, value_name = "ENC", help_heading = "OpenID Connect")]
    userinfo_encrypted_response_enc: Option<String>,
    /// How it encrypts request objects, where only that is to be taken: ECDH-ES, ECDH-ES+A128KW or ECDH-ES+A256KW.
    #[arg(long, value_name = "ALG", help_heading = "OpenID Connect")]
    request_object_encryption_alg: Option<String>,
    /// With what: A128CBC-HS256 (default), A128GCM or A256GCM.
    #[arg(long, value_name = "ENC", help_heading = "OpenID Connect")]
    request_object_encryption_enc: Option<String>,
    /// public (default), or pairwise: a sub of its own for each user.
    #[arg(long, value_name = "TYPE", help_heading = "OpenID Connect")]
    subject_type: Option<String>,
    /// An https URI whose host is the sector of a pairwise client. Default: the host of its redirect URIs.
    #[arg(long, value_name = "URI", help_heading = "OpenID Connect")]
    sector_identifier_uri: Option<String>,
    /// How old a login may be for requests that do not say it.
    #[arg(long, value_name = "TIME", help_heading = "OpenID Connect")]
    default_max_age: Option<String>,
    /// When it gets refresh tokens: always (default), or offline_access.
    #[arg(long, value_name = "WHEN", help_heading = "OpenID Connect")]
    refresh_tokens: Option<String>,
    /// An attribute of the user that its access tokens carry, like groups or "department as dept". Again for each.
    #[arg(long, value_name = "ATTRIBUTE", help_heading = "Its tokens")]
    access_token_claim: Vec<String>,
    /// A claim that all its access tokens carry. The value is JSON, or else a text. Again for each.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, help_heading = "Its tokens")]
    static_claim: Vec<(String, serde_json::Value)>,
    /// Do not ask the token hook about this client.
    #[arg(long, help_heading = "Its tokens")]
    no_token_hook: bool,
    /// Its error answers carry the reason code of a refusal: for who develops it.
    #[arg(long, help_heading = "Its tokens")]
    tell_reason: bool,
}

fn name_and_value(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("it is not of the form NAME=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// A file of public keys.
fn key_set(file: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    let text = std::fs::read(file).map_err(|error| format!("it cannot be read: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("it is no JWK set: {error}"))
}

pub(crate) fn run(context: &Context, command: Command) -> Done {
    match command {
        Command::Add(add) => self::add(context, *add),
        Command::Set(set) => set::run(context, *set),
        Command::Disable { id } => set::switch(context, &id, set::Switch::Off),
        Command::Enable { id } => set::switch(context, &id, set::Switch::On),
        Command::List => list(context),
        Command::Show { id } => show(context, &id),
        Command::Remove { id } => remove::run(context, &id),
        Command::RotateSecret { id, overlap } => secret::rotate(context, &id, &overlap),
        Command::Secret { out } => secret::make(context, out.as_deref()),
    }
}

fn add(context: &Context, add: Add) -> Done {
    let (definition, secret) = define(add);
    let (view, notices) = if context.is_elsewhere() {
        // What it may refer to is known there alone.
        let definition = Box::new(definition);
        (context.operate(|hands| hands.ask::<ClientView>(Ask::AddClient { definition }))?, Vec::new())
    } else {
        context.say_defaults();
        let config = context.load_or_begin(None)?;
        // Judged here too, so that what is wrong is said in the words of the command line.
        let (_, notices) = definition.resolve(&config.client_context()).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(in_flags).collect();
            Failure::new(65, lines.join("\n"))
        })?;
        let definition = Box::new(definition);
        (operate_on(config, |hands| hands.ask::<ClientView>(Ask::AddClient { definition }))?, notices)
    };
    let remedy = format!("`regrant client rotate-secret {} --overlap 0` gives it another secret", view.id);
    let shown = || context::shown("the client was added, and its secret is not shown", &remedy);
    if context.json {
        let has_secret = secret.is_some();
        let mut value = serde_json::to_value(&view).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.extend(secret.map(|secret| ("client_secret".to_owned(), secret.into())));
            members.insert("notices".to_owned(), notices.into());
        }
        output::json(&value);
        return if has_secret { shown() } else { Ok(()) };
    }
    for notice in &notices {
        output::note(notice);
    }
    output::done(&format!("client {} added", view.id));
    if let Some(secret) = secret {
        output::pairs([("client_id", view.id), ("client_secret", secret)]);
        shown()?;
        output::error("This is the only time that the secret is shown: the store keeps its hash.");
    }
    Ok(())
}

/// The definition that the flags describe, and the secret that was made for it.
fn define(add: Add) -> (ClientDefinition, Option<String>) {
    let asks_only =
        (add.may_introspect || add.may_revoke_users) && add.grant_type.is_empty() && add.redirect_uri.is_empty();
    let mut definition = described(add);
    let method = definition.token_endpoint_auth_method.as_deref();
    let has_none = matches!(method, Some("none" | "private_key_jwt"));
    // A hash computes no HMAC: the server has to know this one, and keeps it wrapped.
    let is_known = method == Some("client_secret_jwt");
    let made = (!has_none && definition.secret_hash.is_none()).then(secret::new);
    let (secret, hash) = made.unzip();
    definition.shared_secret = secret.clone().filter(|_| is_known).map(|secret| PlainSecret::new(secret.into()));
    definition.secret_hash = definition.secret_hash.or(hash.filter(|_| !is_known));
    if asks_only {
        definition.grant_types = Some(Vec::new());
    }
    (definition, secret)
}

/// What the flags say, and nothing else.
fn described(add: Add) -> ClientDefinition {
    let method = if add.public { Some("none".to_owned()) } else { add.auth_method };
    let optional = |list: Vec<String>| (!list.is_empty()).then_some(list);
    ClientDefinition {
        id: add.id,
        name: add.name,
        secret_file: None,
        previous_secret_file: None,
        previous_secret_hash: None,
        previous_secret_expires_at: None,
        access_token_signed_response_alg: add.access_token_signed_response_alg,
        introspection_signed_response_alg: add.introspection_signed_response_alg,
        id_token_signed_response_alg: add.id_token_signed_response_alg,
        userinfo_signed_response_alg: add.userinfo_signed_response_alg,
        id_token_encrypted_response_alg: add.id_token_encrypted_response_alg,
        id_token_encrypted_response_enc: add.id_token_encrypted_response_enc,
        userinfo_encrypted_response_alg: add.userinfo_encrypted_response_alg,
        userinfo_encrypted_response_enc: add.userinfo_encrypted_response_enc,
        request_object_encryption_alg: add.request_object_encryption_alg,
        request_object_encryption_enc: add.request_object_encryption_enc,
        subject_type: add.subject_type,
        sector_identifier_uri: add.sector_identifier_uri,
        default_max_age: add.default_max_age,
        refresh_tokens: add.refresh_tokens,
        secret_hash: add.secret_hash,
        token_endpoint_auth_method: method,
        redirect_uris: add.redirect_uri,
        grant_types: optional(add.grant_type),
        response_types: optional(add.response_type),
        scopes: add.scope.iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect(),
        resources: add.resource,
        require_pkce: add.no_pkce.then_some(false),
        may_introspect: add.may_introspect.then_some(true),
        may_revoke_users: add.may_revoke_users.then_some(true),
        disabled: None,
        allowed_origins: add.allowed_origin,
        skip_consent: add.skip_consent.then_some(true),
        rotation: add.rotation,
        retry_window: add.retry_window,
        on_replay: add.on_replay,
        idle_lifetime: add.idle_lifetime,
        absolute_lifetime: add.absolute_lifetime,
        access_token_lifetime: add.access_token_lifetime,
        access_token_format: add.access_token_format,
        access_token_claims: add.access_token_claim,
        static_claims: add.static_claim.into_iter().collect(),
        token_hook: add.no_token_hook.then_some(false),
        tell_reason: add.tell_reason.then_some(true),
        jwks: add.jwks,
        jwks_uri: add.jwks_uri,
        token_endpoint_auth_signing_alg: add.token_endpoint_auth_signing_alg,
        shared_secret: None,
        sealed_secret: None,
        added_at: None,
        request_object_signing_alg: add.request_object_signing_alg,
        request_uris: add.request_uri,
        client_uri: add.client_uri,
        logo_uri: add.logo_uri,
        policy_uri: add.policy_uri,
        tos_uri: add.tos_uri,
        contacts: add.contact,
        registration: None,
        post_logout_redirect_uris: add.post_logout_redirect_uri,
        backchannel_logout_uri: add.backchannel_logout_uri,
        backchannel_logout_session_required: add.backchannel_logout_session_required.then_some(true),
        frontchannel_logout_uri: add.frontchannel_logout_uri,
        frontchannel_logout_session_required: add.frontchannel_logout_session_required.then_some(true),
        on_logout: add.on_logout,
    }
}

/// A problem with the name of the flag instead of the setting's.
fn in_flags(problem: &Problem) -> String {
    let flag = match problem.key {
        "id" => "ID".to_owned(),
        "token_endpoint_auth_method" => "--auth-method".to_owned(),
        "require_pkce" => "--no-pkce".to_owned(),
        "token_hook" => "--no-token-hook".to_owned(),
        // Lists are named in the plural in the file, and given one by one here.
        key @ ("redirect_uris"
        | "post_logout_redirect_uris"
        | "grant_types"
        | "response_types"
        | "scopes"
        | "resources"
        | "allowed_origins"
        | "request_uris"
        | "contacts"
        | "access_token_claims"
        | "static_claims") => {
            format!("--{}", key.trim_end_matches('s').replace('_', "-"))
        }
        key => format!("--{}", key.replace('_', "-")),
    };
    // What to write stands there as for the file.
    let remedy = problem.remedy.replace(
        "redirect_uris = [\"https://app.example.com/callback\"]",
        "--redirect-uri https://app.example.com/callback",
    );
    format!("{flag}: {}. {remedy}", problem.what)
}

fn list(context: &Context) -> Done {
    let clients: Vec<ClientView> = context.operate(|hands| hands.ask(Ask::Clients))?;
    if context.json {
        output::json(&clients);
        return Ok(());
    }
    if clients.is_empty() {
        output::line("no clients yet: `regrant client add ID --redirect-uri URI`");
        return Ok(());
    }
    output::table(
        ["client", "name", "state", "authentication", "grant types", "rotation", "defined in"],
        clients.into_iter().map(|client| {
            let method = client.token_endpoint_auth_method;
            let grant_types = client.grant_types.join("\n");
            let state = if client.disabled { "disabled" } else { "enabled" }.to_owned();
            [client.id, client.name, state, method, grant_types, client.rotation, client.origin]
        }),
    );
    Ok(())
}

fn show(context: &Context, id: &str) -> Done {
    let client = context
        .operate(|hands| hands.ask::<Option<ClientView>>(Ask::Client { id: id.to_owned() }))?
        .ok_or_else(|| Failure::new(1, format!("there is no client {id}")))?;
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
        ("defined in", origin.clone()),
        ("authentication", token_endpoint_auth_method.clone()),
        ("grant types", grant_types.join(" ")),
        ("response types", client.response_types.join(" ")),
        ("redirect URIs", redirect_uris.join(" ")),
        ("scope", scope.clone()),
        ("resources", resources.join(" ")),
        ("rotation", client.rotation.clone()),
        ("retry window", client.retry_window.map(seconds).unwrap_or_default()),
        ("on replay", client.on_replay.clone()),
        ("idle lifetime", seconds(client.idle_lifetime)),
        ("absolute lifetime", seconds(client.absolute_lifetime)),
        ("access token lifetime", seconds(client.access_token_lifetime)),
        ("access token format", client.access_token_format.clone()),
        ("requires PKCE", yes(client.require_pkce)),
        ("may introspect", yes(client.may_introspect)),
        ("may revoke users", yes(client.may_revoke_users)),
        ("switched off", yes(client.disabled)),
        ("skips consent", yes(client.skip_consent)),
        ("told the reason", yes(client.tell_reason)),
        ("allowed origins", client.allowed_origins.join(" ")),
        ("refresh tokens", client.refresh_tokens.clone()),
        ("subject type", client.subject_type.clone()),
        ("default max_age", client.default_max_age.map(seconds).unwrap_or_default()),
        ("ID token signature", client.id_token_signed_response_alg.clone()),
        ("userinfo signature", client.userinfo_signed_response_alg.clone().unwrap_or_default()),
        ("introspection signature", client.introspection_signed_response_alg.clone()),
        ("access token signature", client.access_token_signed_response_alg.clone()),
        ("after a logout to", client.post_logout_redirect_uris.join(" ")),
        ("told of a logout at", client.backchannel_logout_uri.clone().unwrap_or_default()),
        ("told by the browser at", client.frontchannel_logout_uri.clone().unwrap_or_default()),
        ("on logout", client.on_logout.clone().unwrap_or_default()),
    ]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    /// Every setting of a client has a flag, and a problem with it names that flag.
    #[test]
    fn every_setting_has_a_flag() {
        let line = Line::command();
        let flags: Vec<String> =
            line.get_arguments().filter_map(|flag| flag.get_long()).map(|flag| format!("--{flag}")).collect();
        for key in [
            "name",
            "secret_hash",
            "token_endpoint_auth_method",
            "redirect_uris",
            "grant_types",
            "response_types",
            "scopes",
            "resources",
            "require_pkce",
            "may_introspect",
            "may_revoke_users",
            "allowed_origins",
            "skip_consent",
            "rotation",
            "retry_window",
            "on_replay",
            "idle_lifetime",
            "absolute_lifetime",
            "access_token_lifetime",
            "access_token_format",
            "access_token_signed_response_alg",
            "introspection_signed_response_alg",
            "id_token_signed_response_alg",
            "userinfo_signed_response_alg",
            "id_token_encrypted_response_alg",
            "id_token_encrypted_response_enc",
            "userinfo_encrypted_response_alg",
            "userinfo_encrypted_response_enc",
            "request_object_encryption_alg",
            "request_object_encryption_enc",
            "subject_type",
            "sector_identifier_uri",
            "default_max_age",
            "refresh_tokens",
            "post_logout_redirect_uris",
            "backchannel_logout_uri",
            "frontchannel_logout_uri",
            "on_logout",
        ] {
            let shown = in_flags(&Problem::new(key, "x", "y"));
            assert!(flags.iter().any(|flag| shown.starts_with(&format!("{flag}:"))), "{shown}: {flags:?}");
        }
    }

    #[test]
    fn a_secret_is_made_for_those_that_can_keep_one() {
        let define = |line: &[&str]| define(Line::parse_from([&["add"], line].concat()).add);
        let (web, secret) = define(&["web", "--scope", "a b", "--scope", "c"]);
        assert!(secret.is_some() && web.secret_hash.is_some() && web.scopes == ["a", "b", "c"]);
        let (app, secret) = define(&["app", "--public"]);
        assert!(secret.is_none() && app.secret_hash.is_none());
        let (known, secret) = define(&["known", "--secret-hash", "sha256:0"]);
        assert!(secret.is_none() && known.secret_hash.as_deref() == Some("sha256:0"));
        let (api, _) = define(&["api", "--may-introspect"]);
        assert_eq!(api.grant_types.as_deref(), Some(&[][..]));
    }
}
