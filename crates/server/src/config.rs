//! The configuration: one TOML file, read whole, checked whole.
//!
//! Every error is told, not only the first, each with its line, its key, what is wrong and what to do. Unknown keys are
//! errors: a setting that is silently ignored is worse than none. Relative paths are relative to the file. Secrets never
//! stand in it. [`example`] explains each setting with its default. Each setting can come from the environment as well
//! ([`environment`]).

mod admin_api;
mod claims;
mod client;
mod declared;
mod document;
pub mod duration;
pub mod environment;
mod events;
mod example;
mod files;
pub mod http;
mod interactions;
mod keys;
mod limits;
mod log;
mod metrics;
mod outbound;
mod pages;
mod places;
mod problem;
pub mod proxies;
mod registration;
mod revocation;
mod revocation_feed;
mod suggest;
#[cfg(test)]
mod tests;
pub mod tls;
mod token_hook;
mod top;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use regrant_core::Client;
use regrant_store::{PostgresOptions, SqliteOptions, Writes};
use toml::de::DeTable;

pub use admin_api::AdminApi;
pub(crate) use client::is_hidden;
pub use client::{
    ClientContext, ClientDefinition, LONGEST_ACCESS_TOKEN, ObjectAlgorithm, PlainSecret, Registration, hash_text,
    parse_hash_text,
};
pub use declared::{ResourceSetting, ScopeSetting};
pub use events::{EventsSetting, Lines, WebhookSetting};
pub use example::example;
pub use interactions::InteractionsSetting;
pub use keys::KeySettings;
pub use limits::{Limits, Rate};
pub use log::{LogFormat, LogSetting};
pub use metrics::MetricsSetting;
pub use outbound::OutboundSetting;
pub use pages::PagesSetting;
pub use places::missing_credential;
pub use problem::{ConfigError, ConfigErrors, Problem};
pub use registration::{RegistrationMode, RegistrationSetting};
pub use revocation::{OnEvent, RevocationSettings};
pub use revocation_feed::{Readers, RevocationFeed};
pub use token_hook::{HookSecret, OnFailure, TokenHookSetting};

use document::{Report, Section};
use environment::Environment;
use files::Sections;
use http::HttpSettings;
use proxies::TrustedProxies;
use tls::TlsSettings;
use top::TOP;

/// Scopes that need no declaration: OpenID Connect Core 1.0 sections 5.4 and 11.
pub const BUILT_IN_SCOPES: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];
/// The scope that opens the admin API. It is always there, and means something at [`ADMIN_RESOURCE`] alone.
pub const ADMIN_SCOPE: &str = "regrant.admin";
/// The scope that opens what the admin API shows, and nothing that it changes.
pub const ADMIN_READ_SCOPE: &str = "regrant.admin.read";
/// The scope that opens the answers to interactions, and nothing else of the admin API.
pub const INTERACTIONS_SCOPE: &str = "regrant.interactions";
/// The scopes of the admin API. They are always there, and mean something at [`ADMIN_RESOURCE`] alone.
pub const ADMIN_SCOPES: [&str; 3] = [ADMIN_SCOPE, ADMIN_READ_SCOPE, INTERACTIONS_SCOPE];
/// The resource indicator of the admin API (RFC 8707), whatever its address. It is always there.
pub const ADMIN_RESOURCE: &str = "urn:regrant:admin";
/// `listen` unless set.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8420";
/// `store` unless set.
pub const DEFAULT_STORE: &str = "sqlite:regrant.db";
/// `root_key_file` unless set.
pub const DEFAULT_ROOT_KEY_FILE: &str = "root.key";
/// `token_endpoint_aliases` unless set.
pub const DEFAULT_ALIASES: [&str; 1] = ["/oauth/v2/accessToken"];

/// The longest file that is read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
const MAX_SCOPES: usize = 1000;
const MAX_RESOURCES: usize = 1000;
const MAX_CLIENTS: usize = 10_000;

/// A checked configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where it was read, so that it can be read again.
    pub source: Source,
    /// The issuer (RFC 8414 section 2); `None` means `http://` and the bound address.
    pub issuer: Option<String>,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data is.
    pub store: StoreLocation,
    /// How it writes changed rows of grants.
    pub store_writes: Writes,
    /// The file that holds the password of a PostgreSQL.
    pub store_password_file: Option<PathBuf>,
    /// Where `store` is written: a file and its line, or a variable.
    pub store_place: Option<String>,
    /// Where the anchor of a SQLite store is; beside it unless set.
    pub anchor_file: Option<PathBuf>,
    /// Where the revocation journal of a SQLite store is; beside it unless set.
    pub revocations_file: Option<PathBuf>,
    /// The file of the root key.
    pub root_key_file: PathBuf,
    /// Where the commands reach the running server; beside the store unless set. `Some` of an empty path means nowhere.
    pub admin_socket: Option<PathBuf>,
    /// Where the admin API answers.
    pub admin_api: AdminApi,
    /// Other paths of the token endpoint.
    pub token_endpoint_aliases: Vec<String>,
    /// Whom to ask before a token is made.
    pub token_hook: Option<TokenHookSetting>,
    /// How long what happened is kept, and where it is written.
    pub events: EventsSetting,
    /// Whom to tell what happened, in the order of the file.
    pub webhooks: Vec<WebhookSetting>,
    /// Where clients' URLs may lead.
    pub outbound: OutboundSetting,
    /// How the built-in pages look, and what they speak.
    pub pages: PagesSetting,
    /// What an application of the operator's own shows in their place.
    pub interactions: Box<InteractionsSetting>,
    /// Who may register clients.
    pub registration: RegistrationSetting,
    /// How much of what is too much.
    pub limits: Limits,
    /// What resource servers hear of what is over.
    pub revocation_feed: RevocationFeed,
    /// What is told to Prometheus.
    pub metrics: MetricsSetting,
    /// How the log is written.
    pub log: LogSetting,
    /// The proxies whose word about a client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// The limits of connections and requests.
    pub http: HttpSettings,
    /// How TLS is spoken; `None` means plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Declared scopes, in the order of the file.
    pub scopes: Vec<ScopeSetting>,
    /// Declared resources, in the order of the file.
    pub resources: Vec<ResourceSetting>,
    /// When keys are replaced.
    pub keys: KeySettings,
    /// What ends by itself.
    pub revocation: RevocationSettings,
    /// Declared clients, in the order of the file.
    pub clients: Vec<Client>,
    /// How the declared clients were written, in the same order.
    pub definitions: Vec<ClientDefinition>,
    /// What choices cost; for `config check` and the log at start.
    pub notices: Vec<String>,
}

/// Where a configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// The file; without one it is [`Config::safe_defaults`].
    pub file: Option<PathBuf>,
    /// Where the data is without a file.
    pub data_dir: PathBuf,
    /// Our variables, which win over the file.
    pub variables: environment::Variables,
    /// What the command line says of `listen`, which wins over both.
    pub listen: Option<SocketAddr>,
    /// What `listen` said when the server started, and where it listens: elsewhere if the service manager passed on a socket, or the
    /// port was 0.
    pub bound: Option<(SocketAddr, SocketAddr)>,
}

/// Where a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLocation {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL, which many nodes share.
    Postgres(PostgresOptions),
    /// Nothing remains. For tests and programs; no file can say it.
    Memory,
}

impl Config {
    /// Reads and checks a file, without a look at the environment.
    ///
    /// # Errors
    /// Everything that is wrong with it; one error without a line if it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::from_source(&Source { file: Some(path.to_owned()), ..Source::default() })
    }

    /// Reads and checks everything that a source names.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_source(source: &Source) -> Result<Self, ConfigErrors> {
        let alone = |file: String, key: &str, problem: String, remedy: String| {
            ConfigErrors(vec![ConfigError { file, line: 0, key: key.to_owned(), entry: None, problem, remedy }])
        };
        let (text, shown, base) = match &source.file {
            None => (String::new(), "the safe defaults".to_owned(), source.data_dir.as_path()),
            Some(path) => {
                let shown = path.display().to_string();
                let text = read(path).map_err(|(problem, remedy)| alone(shown.clone(), "", problem, remedy))?;
                (text, shown, path.parent().unwrap_or(Path::new("")))
            }
        };
        let mut config = Self::parse_with(&text, &shown, base, &source.variables)?;
        if let Some(listen) = source.listen {
            config
                .set_listen(listen)
                .map_err(|Problem { key, what, remedy, .. }| alone("--listen".to_owned(), key, what, remedy))?;
        }
        Ok(Self { source: source.clone(), ..config })
    }

    /// Checks a text. `file` names it in messages; `base` is what its relative paths are relative to.
    ///
    /// # Errors
    /// Everything that is wrong with it. While it is no TOML, only that.
    pub fn parse(text: &str, file: &str, base: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file, base, &environment::Variables::new())
    }

    /// The same with variables, which win over the text.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with(
        text: &str,
        file: &str,
        base: &Path,
        variables: &environment::Variables,
    ) -> Result<Self, ConfigErrors> {
        let variables = environment::as_document(variables);
        let variables = DeTable::parse(&variables).ok();
        let environment = Environment::new(variables.as_ref().map(|table| table.get_ref()));
        let empty = DeTable::new();
        let report = Report::new(file, text, environment, &empty);
        let (document, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            let at = error.span().map_or(0, |span| span.start);
            let key = error.span().filter(|_| error.message() == "duplicate key").and_then(|span| text.get(span));
            let key = key.map(|key| format!(" {key}")).unwrap_or_default();
            let what = format!("this is no TOML: {}{key}", error.message());
            let problem = Problem::new("", what, "See https://toml.io.");
            report.add(at, String::new(), None, problem);
        }
        let config = if syntax.is_empty() { Some(read_all(&report, document.get_ref(), base)) } else { None };
        match (config, report.finish()) {
            (Some(config), errors) if errors.is_empty() => Ok(config),
            (_, errors) => Err(ConfigErrors(errors)),
        }
    }

    /// What runs without a file: loopback only, no clients, everything in one directory.
    #[must_use]
    pub fn safe_defaults(data_dir: &Path) -> Self {
        Self {
            source: Source { data_dir: data_dir.to_owned(), ..Source::default() },
            issuer: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8420)),
            store: StoreLocation::Sqlite(data_dir.join("regrant.db")),
            store_writes: Writes::default(),
            store_password_file: None,
            store_place: None,
            anchor_file: None,
            revocations_file: None,
            root_key_file: data_dir.join(DEFAULT_ROOT_KEY_FILE),
            admin_socket: None,
            admin_api: AdminApi::Closed,
            token_endpoint_aliases: DEFAULT_ALIASES.map(str::to_owned).to_vec(),
            token_hook: None,
            events: EventsSetting::default(),
            webhooks: Vec::new(),
            outbound: OutboundSetting::default(),
            pages: PagesSetting::default(),
            interactions: Box::default(),
            registration: RegistrationSetting::default(),
            limits: Limits::default(),
            revocation_feed: RevocationFeed::default(),
            metrics: MetricsSetting::default(),
            log: LogSetting::default(),
            trusted_proxies: TrustedProxies::default(),
            http: HttpSettings::default(),
            tls: None,
            scopes: Vec::new(),
            resources: Vec::new(),
            keys: KeySettings::default(),
            revocation: RevocationSettings::default(),
            clients: Vec::new(),
            definitions: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// What the definition of an added client may refer to.
    #[must_use]
    pub fn client_context(&self) -> ClientContext<'_> {
        ClientContext { scopes: &self.scopes, resources: &self.resources, secret_files: None }
    }

    /// The client that a definition of the store describes under this configuration.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn resolve_added(&self, definition: &ClientDefinition) -> Result<Client, String> {
        let resolved = definition.resolve(&self.client_context());
        resolved
            .map(|(client, _)| client)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    /// How a SQLite store is opened.
    #[must_use]
    pub fn sqlite_options(&self) -> SqliteOptions {
        SqliteOptions { anchor: self.anchor_file.clone(), writes: self.store_writes, ..SqliteOptions::default() }
    }

    /// Takes over what a running server cannot change, and tells which of it `self` wanted otherwise.
    pub fn keep_what_needs_a_restart(&mut self, running: &Self) -> Vec<&'static str> {
        let mut waiting = Vec::new();
        keep("issuer", &mut self.issuer, &running.issuer, &mut waiting);
        // Port 0 took a free one, and a socket of the service manager is where it is: only another wish is a change.
        self.source.bound = running.source.bound;
        let is_wanted_as_before = running.source.bound.is_some_and(|(wanted, _)| wanted == self.listen);
        if is_wanted_as_before || (self.listen.port() == 0 && self.listen.ip() == running.listen.ip()) {
            self.listen = running.listen;
        }
        keep("listen", &mut self.listen, &running.listen, &mut waiting);
        keep("store", &mut self.store, &running.store, &mut waiting);
        keep("store_writes", &mut self.store_writes, &running.store_writes, &mut waiting);
        keep("store_password_file", &mut self.store_password_file, &running.store_password_file, &mut waiting);
        keep("anchor_file", &mut self.anchor_file, &running.anchor_file, &mut waiting);
        keep("revocations_file", &mut self.revocations_file, &running.revocations_file, &mut waiting);
        keep("root_key_file", &mut self.root_key_file, &running.root_key_file, &mut waiting);
        keep("admin_socket", &mut self.admin_socket, &running.admin_socket, &mut waiting);
        keep("admin_api", &mut self.admin_api, &running.admin_api, &mut waiting);
        let aliases = (&mut self.token_endpoint_aliases, &running.token_endpoint_aliases);
        keep("token_endpoint_aliases", aliases.0, aliases.1, &mut waiting);
        keep("metrics", &mut self.metrics, &running.metrics, &mut waiting);
        keep("log", &mut self.log, &running.log, &mut waiting);
        keep("http.max_connections", &mut self.http.connections, &running.http.connections, &mut waiting);
        // Other files of the same kind are taken up at once; whether there is TLS at all was decided at the start.
        let kind = |tls: &Option<TlsSettings>| tls.as_ref().map(std::mem::discriminant);
        let asks_itself = matches!(self.tls, Some(TlsSettings::Acme(_)));
        if kind(&self.tls) != kind(&running.tls) || asks_itself {
            keep("tls", &mut self.tls, &running.tls, &mut waiting);
        }
        waiting
    }

    /// Listens elsewhere than the file says.
    ///
    /// # Errors
    /// If others could reach the address and there is no issuer that they could use.
    pub fn set_listen(&mut self, listen: SocketAddr) -> Result<(), Problem> {
        let before = reach_notice(self.listen, self).ok().flatten();
        let after = reach_notice(listen, self)?;
        self.notices.retain(|notice| Some(notice) != before.as_ref());
        self.notices.extend(after);
        self.listen = listen;
        Ok(())
    }
}

fn keep<T: Clone + PartialEq>(key: &'static str, new: &mut T, running: &T, waiting: &mut Vec<&'static str>) {
    if new != running {
        waiting.push(key);
        new.clone_from(running);
    }
}

fn read(path: &Path) -> Result<String, (String, String)> {
    let cannot = |error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "`regrant init DIR` writes a commented one.",
            std::io::ErrorKind::IsADirectory => "Name the file in it: regrant.toml, as `regrant init` writes it.",
            _ => "Check its permissions.",
        };
        (format!("it cannot be read: {error}"), remedy.to_owned())
    };
    let length = std::fs::metadata(path).map_err(cannot)?.len();
    if length > MAX_FILE {
        let remedy = "Keep clients that programs add in the store: `regrant client add`.";
        return Err((format!("it has {length} bytes, and {MAX_FILE} are the limit"), remedy.to_owned()));
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        (format!("line {line} is not UTF-8"), "Save the file as UTF-8.".to_owned())
    })
}

/// Reads every section; what is wrong goes to the report, and the result counts only if nothing is.
fn read_all<'a>(report: &'a Report<'a>, table: &'a DeTable<'a>, base: &Path) -> Config {
    let top = Section::new(report, "", table, 0..0, None);
    let mut config = Config::safe_defaults(base);
    top::read(&top, base, &mut config);
    let (token_hook, keys, revocation) = (top.table("token_hook"), top.table("keys"), top.table("revocation"));
    let (metrics, log) = (top.table("metrics"), top.table("log"));
    let admin_api = top.table("admin_api");
    config.http = top.table("http").as_ref().map(http::read).unwrap_or_default();
    config.revocation_feed = top.table("revocation_feed").as_ref().map(revocation_feed::read).unwrap_or_default();
    let tls = top.table("tls");
    if let Some(section) = &tls {
        config.tls = tls::read(section, base);
        top::check_tls_issuer(&top, &config);
    }
    let scopes = top.entries("scope", "name", MAX_SCOPES);
    let resources = top.entries("resource", "uri", MAX_RESOURCES);
    let clients = top.entries("client", "id", MAX_CLIENTS);
    let limits = top.table("limits");
    let (outbound, registration) = (top.table("outbound"), top.table("registration"));
    let (pages, interactions) = (top.table("pages"), top.table("interactions"));
    let (events, webhooks) = (top.table("events"), top.entries("webhook", "name", events::MAX_WEBHOOKS));
    match reach_notice(config.listen, &config) {
        Ok(notice) => config.notices.extend(notice),
        Err(problem) => top.problem(problem),
    }
    top.finish(&[]);
    config.token_hook = token_hook.as_ref().and_then(|section| token_hook::read(section, base));
    if let Some(section) = &limits {
        config.limits = Limits::read(section);
        section.finish(&TOP);
    }
    if let Some(section) = &keys {
        config.keys = KeySettings::read(section);
        config.notices.extend(config.keys.costs());
    }
    if let Some(section) = &admin_api {
        config.admin_api = admin_api::read(section, config.tls.is_some(), config.listen);
    }
    if let Some(section) = &revocation {
        config.revocation = RevocationSettings::read(section);
        config.notices.extend(config.revocation.costs());
    }
    config.events = events.as_ref().map(|section| events::read(section, base)).unwrap_or_default();
    config.notices.extend(config.events.notice());
    config.webhooks = events::read_webhooks(&webhooks, base);
    config.outbound = outbound.map(|section| outbound::read(&section, base)).unwrap_or_default();
    config.registration = registration.as_ref().map(registration::read).unwrap_or_default();
    config.pages = pages.as_ref().map(|section| pages::read(section, base)).unwrap_or_default();
    config.interactions =
        interactions.as_ref().map(|section| Box::new(interactions::read(section))).unwrap_or_default();
    config.notices.extend(config.interactions.notice(config.admin_api == AdminApi::Closed));
    let taken: Vec<_> = [Some(config.listen), config.admin_api.address()].into_iter().flatten().collect();
    config.metrics = metrics.as_ref().map(|section| metrics::read(section, &taken)).unwrap_or_default();
    config.log = log.as_ref().map(log::read).unwrap_or_default();
    config.notices.extend(config.log.notice());
    for section in &scopes {
        declared::read_scope(section, &mut config);
    }
    for section in &resources {
        declared::read_resource(section, &mut config);
    }
    let mut ids = std::collections::BTreeSet::new();
    for section in &clients {
        let mut definition = read_client(section);
        definition.take_secret(base);
        if !definition.id.is_empty() && !ids.insert(definition.id.clone()) {
            section.problem(Problem::new(
                "id",
                "another client of this file has the same id",
                "Rename or remove one of them.",
            ));
        }
        let context = ClientContext { secret_files: Some(base), ..config.client_context() };
        match definition.resolve(&context) {
            Ok((client, notices)) => {
                config.clients.push(client);
                config.definitions.push(definition);
                config.notices.extend(notices);
            }
            Err(problems) => problems.into_iter().for_each(|problem| section.problem(problem)),
        }
    }
    let (tls, events, token_hook) = (tls.as_ref(), events.as_ref(), token_hook.as_ref());
    let sections = Sections { top: &top, tls, events, token_hook, webhooks: &webhooks, clients: &clients };
    files::check(&config, base, Path::new(report.file), &sections);
    config.notices.extend(report.unknown_variables());
    config
}

/// An address that others can reach wants a name that others can use, and TLS: our own, or that of a proxy that is named.
fn reach_notice(listen: SocketAddr, config: &Config) -> Result<Option<String>, Problem> {
    if places::is_loopback(listen.ip()) {
        return Ok(None);
    }
    let Some(issuer) = &config.issuer else {
        let what =
            format!("{listen} can be reached from elsewhere, and without an issuer http://{listen} would be its name");
        let remedy = "Set issuer to the https URL that clients use, or listen on 127.0.0.1.";
        return Err(Problem::new("listen", what, remedy));
    };
    if config.tls.is_some() || !config.trusted_proxies.networks.is_empty() {
        return Ok(None);
    }
    Ok(Some(if issuer.starts_with("https:") {
        format!(
            "listen = {listen}: without [tls] tokens and passwords pass unencrypted between the TLS proxy for {issuer} and this port; \
             set [tls], or name the proxy in trusted_proxies and let nobody else reach the port, or listen on 127.0.0.1 if the proxy is \
             on this machine"
        )
    } else {
        format!(
            "listen = {listen} with the issuer {issuer}: other machines can reach this port, and whatever they send and get, tokens \
             and passwords included, is unencrypted; listen on 127.0.0.1, or set [tls] and an https issuer"
        )
    }))
}

fn read_client(section: &Section<'_>) -> ClientDefinition {
    let definition = ClientDefinition {
        id: section.string("id").unwrap_or_default(),
        name: section.string("name"),
        secret_file: section.string("secret_file"),
        secret_hash: section.string("secret_hash"),
        token_endpoint_auth_method: section.string("token_endpoint_auth_method"),
        redirect_uris: section.strings("redirect_uris").unwrap_or_default(),
        grant_types: section.strings("grant_types"),
        response_types: section.strings("response_types"),
        scopes: section.strings("scopes").unwrap_or_default(),
        resources: section.strings("resources").unwrap_or_default(),
        require_pkce: section.flag("require_pkce"),
        may_introspect: section.flag("may_introspect"),
        may_revoke_users: section.flag("may_revoke_users"),
        disabled: section.flag("disabled"),
        allowed_origins: section.strings("allowed_origins").unwrap_or_default(),
        skip_consent: section.flag("skip_consent"),
        rotation: section.string("rotation"),
        retry_window: section.string("retry_window"),
        on_replay: section.string("on_replay"),
        idle_lifetime: section.string("idle_lifetime"),
        absolute_lifetime: section.string("absolute_lifetime"),
        access_token_lifetime: section.string("access_token_lifetime"),
        access_token_format: section.string("access_token_format"),
        access_token_claims: section.strings("access_token_claims").unwrap_or_default(),
        static_claims: section.json("static_claims").unwrap_or_default(),
        token_hook: section.flag("token_hook"),
        tell_reason: section.flag("tell_reason"),
        post_logout_redirect_uris: section.strings("post_logout_redirect_uris").unwrap_or_default(),
        backchannel_logout_uri: section.string("backchannel_logout_uri"),
        backchannel_logout_session_required: section.flag("backchannel_logout_session_required"),
        frontchannel_logout_uri: section.string("frontchannel_logout_uri"),
        frontchannel_logout_session_required: section.flag("frontchannel_logout_session_required"),
        on_logout: section.string("on_logout"),
        access_token_signed_response_alg: section.string("access_token_signed_response_alg"),
        introspection_signed_response_alg: section.string("introspection_signed_response_alg"),
        id_token_signed_response_alg: section.string("id_token_signed_response_alg"),
        userinfo_signed_response_alg: section.string("userinfo_signed_response_alg"),
        id_token_encrypted_response_alg: section.string("id_token_encrypted_response_alg"),
        id_token_encrypted_response_enc: section.string("id_token_encrypted_response_enc"),
        userinfo_encrypted_response_alg: section.string("userinfo_encrypted_response_alg"),
        userinfo_encrypted_response_enc: section.string("userinfo_encrypted_response_enc"),
        request_object_encryption_alg: section.string("request_object_encryption_alg"),
        request_object_encryption_enc: section.string("request_object_encryption_enc"),
        subject_type: section.string("subject_type"),
        sector_identifier_uri: section.string("sector_identifier_uri"),
        default_max_age: section.string("default_max_age"),
        refresh_tokens: section.string("refresh_tokens"),
        previous_secret_file: section.string("previous_secret_file"),
        previous_secret_hash: section.string("previous_secret_hash"),
        previous_secret_expires_at: section.string("previous_secret_expires_at"),
        jwks: section.json("jwks"),
        jwks_uri: section.string("jwks_uri"),
        token_endpoint_auth_signing_alg: section.string("token_endpoint_auth_signing_alg"),
        request_object_signing_alg: section.string("request_object_signing_alg"),
        request_uris: section.strings("request_uris").unwrap_or_default(),
        client_uri: section.string("client_uri"),
        logo_uri: section.string("logo_uri"),
        policy_uri: section.string("policy_uri"),
        tos_uri: section.string("tos_uri"),
        contacts: section.strings("contacts").unwrap_or_default(),
        shared_secret: None,
        sealed_secret: None,
        added_at: None,
        registration: None,
    };
    section.finish(&TOP);
    definition
}
