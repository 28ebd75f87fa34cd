//! The wire: a real server on loopback with a virtual clock, and clients that speak real HTTP to it.
//!
//! Tests read as stories over a [`World`]; nothing sleeps, for time is [`World::advance`]d.

pub mod assertion;
pub mod browser;
pub mod device;
pub mod hook;
pub mod http;
mod inside;
pub mod log;
pub mod pipeline;
pub mod story;
pub mod watch;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_core::keys::RootKey;
use regrant_server::config::Limits;
use regrant_server::{App, Clock, Config};
use regrant_store::{Memory, Sqlite, SqliteOptions, Store};
use serde_json::Value;

pub use browser::Browser;
pub use hook::{Act, Hook};
pub use http::{Http, Reply};
pub use watch::Watch;

/// The client secret of every confidential client in [`CONFIG`].
pub const SECRET: &str = "rgs_0000000000000000000000000000000000000000000003DX";
/// The user of every world.
pub const USER: &str = "alice";
/// The user's password.
pub const PASSWORD: &str = "correct horse battery";
/// A verifier of RFC 7636 and its challenge.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The S256 challenge of [`VERIFIER`].
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where the clients of [`CONFIG`] want their answers.
pub const CALLBACK: &str = "https://app.example/cb";
/// The root key of every world.
pub const ROOT: [u8; 32] = [7; 32];
/// When every world begins: 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;

/// One client of each kind. `HASH` stands for the hash of [`SECRET`].
pub const CONFIG: &str = r#"
[[scope]]
name = "read"
description = "Read your things"
[[scope]]
name = "write"
description = "Change your things"
[[resource]]
uri = "https://api.example/"
scopes = ["read", "write"]
[[resource]]
uri = "https://files.example/"
scopes = ["files"]
[[scope]]
name = "files"
description = "See your files"

[[client]]
id = "web"                       # confidential, reusable
name = "Web App"
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password"]
scopes = ["openid", "read", "write", "files"]
resources = ["https://api.example/", "https://files.example/"]

[[client]]
id = "web-single"                # confidential, single use
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password"]
scopes = ["openid", "read", "write"]
rotation = "single_use"

[[client]]
id = "phone"                     # public, single use
name = "Phone App"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example/cb", "http://127.0.0.1/cb"]
grant_types = ["authorization_code", "refresh_token", "password"]
scopes = ["openid", "read", "write"]
allowed_origins = ["https://app.example"]

[[client]]
id = "phone-strict"              # public, no retry window
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password"]
scopes = ["openid", "read", "write"]
retry_window = "0s"

[[client]]
id = "once"                      # a code, no refresh token
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code"]
scopes = ["read"]

[[client]]
id = "spa-old"                   # implicit
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example/cb"]
grant_types = ["implicit"]
scopes = ["read"]

[[client]]
id = "daemon"                    # client credentials
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
grant_types = ["client_credentials"]
scopes = ["read", "write"]
resources = ["https://api.example/"]

[[client]]
id = "api"                       # a resource server
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_basic"
grant_types = ["client_credentials"]
may_introspect = true

[[client]]
id = "opaque"                    # opaque access tokens, trusted without consent
secret_hash = "HASH"
token_endpoint_auth_method = "client_secret_post"
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token", "password"]
scopes = ["read", "write"]
access_token_format = "opaque"
skip_consent = true
may_introspect = true
rotation = "single_use"
"#;

/// Beside [`CONFIG`]: the admin API at the main listener, and the client that may use it.
pub const OPERATOR: &str = r#"
[admin_api]
listen = "main"

[[client]]
id = "ops"
secret_hash = "HASH"
grant_types = ["client_credentials"]
scopes = ["regrant.admin"]
resources = ["urn:regrant:admin"]
"#;
/// Beside [`CONFIG`]: clients register themselves.
pub const REGISTRATION: &str = r#"
[registration]
mode = "open"
grant_types = ["authorization_code", "refresh_token"]
"#;

/// A running server, its clock and its store.
pub struct World {
    /// The server.
    pub app: Arc<App>,
    /// Its time.
    pub clock: Clock,
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    /// What it asks of its store.
    pub watch: Watch,
    config: Config,
    kept: Kept,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What a restart finds again.
#[derive(Clone)]
enum Kept {
    Memory(Memory),
    Sqlite(std::path::PathBuf),
}

impl World {
    /// The usual world: [`CONFIG`] in memory, and the user [`USER`].
    pub async fn new() -> Self {
        Self::with(CONFIG).await
    }

    /// A world of another configuration, in memory.
    pub async fn with(config: &str) -> Self {
        let memory = Memory::new();
        Self::start(config, Kept::Memory(memory), "").await.with_user(USER).await
    }

    /// The usual world, on a SQLite file.
    pub async fn on_sqlite(path: &Path) -> Self {
        Self::start(CONFIG, Kept::Sqlite(path.to_owned()), "").await.with_user(USER).await
    }

    /// A world of another configuration, on a SQLite file.
    pub async fn on_sqlite_with(config: &str, path: &Path) -> Self {
        Self::start(config, Kept::Sqlite(path.to_owned()), "").await.with_user(USER).await
    }

    /// The usual world, on what this store holds already; no user is added.
    pub async fn on_memory(memory: &Memory) -> Self {
        Self::start(CONFIG, Kept::Memory(memory.clone()), "").await
    }

    /// Another node: a world of this configuration on what this store holds already; no user is added.
    pub async fn node(config: &str, memory: &Memory) -> Self {
        Self::start(config, Kept::Memory(memory.clone()), "").await
    }

    /// A world whose issuer has a path.
    pub async fn at_path(path: &str) -> Self {
        Self::start(CONFIG, Kept::Memory(Memory::new()), path).await.with_user(USER).await
    }

    async fn start(text: &str, kept: Kept, path: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("bound");
        let base = format!("http://{address}");
        let mut config = config(text);
        // A test that is about the issuer writes one itself, as if a proxy stood in front.
        config.issuer.get_or_insert_with(|| format!("{base}{path}"));
        let clock = Clock::manual(Timestamp::from_millis(START));
        Self::serve(config, kept, clock, listener, base, Watch::default()).await
    }

    async fn serve(
        config: Config,
        kept: Kept,
        clock: Clock,
        listener: tokio::net::TcpListener,
        base: String,
        watch: Watch,
    ) -> Self {
        let store: Box<dyn Store> = match &kept {
            Kept::Memory(memory) => Box::new(memory.clone()),
            Kept::Sqlite(path) => Box::new(Sqlite::open(path, &SqliteOptions::default()).expect("the store opens")),
        };
        let store = watch.over(store);
        let app = App::open_with(config.clone(), store, RootKey::new(ROOT), clock.clone()).expect("the server opens");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = Arc::clone(&app);
        let served = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            let engine = serving.engine.clone();
            let served = regrant_server::serve(serving, listener, stopped).await;
            assert_eq!(served.is_err(), engine.failure().is_some(), "{served:?}");
        });
        Self { app, clock, base, watch, config, kept, stop: Some(stop), served: Some(served) }
    }

    async fn with_user(self, name: &str) -> Self {
        self.add_user(name).await;
        self
    }

    /// Adds a user with [`PASSWORD`].
    pub async fn add_user(&self, name: &str) {
        self.app.admin().add_user(name, PASSWORD.to_owned().into()).await.expect("a new user");
    }

    /// Stops the server as an operator does, and waits until it has.
    pub async fn stop(mut self) {
        if let (Some(stop), Some(served)) = (self.stop.take(), self.served.take()) {
            let _ = stop.send(());
            served.await.expect("the server stops");
        }
    }

    /// Stops the server and starts it again on what its store kept, at the same address and time.
    pub async fn restart(self) -> Self {
        self.restart_with(None).await
    }

    /// The same, with another configuration.
    pub async fn restart_with(self, text: Option<&str>) -> Self {
        self.restart_meanwhile(text, || {}).await
    }

    /// Stops the server, does something to what its store kept, and starts it again.
    pub async fn restart_after(self, meanwhile: impl FnOnce()) -> Self {
        self.restart_meanwhile(None, meanwhile).await
    }

    async fn restart_meanwhile(mut self, text: Option<&str>, meanwhile: impl FnOnce()) -> Self {
        let address = self.base.trim_start_matches("http://").to_owned();
        let (mut next, kept, clock, base) =
            (self.config.clone(), self.kept.clone(), self.clock.clone(), self.base.clone());
        let watch = self.watch.clone();
        if let Some(text) = text {
            let issuer = next.issuer.clone();
            next = config(text);
            next.issuer = issuer;
        }
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(served) = self.served.take() {
            served.abort();
            let _ = served.await;
        }
        drop(self);
        // The writer thread ends when its last handle is gone; a store on a file is free only then.
        if let Kept::Sqlite(path) = &kept {
            let lock = path.clone();
            tokio::task::spawn_blocking(move || {
                for _ in 0..10_000 {
                    if Sqlite::open(&lock, &SqliteOptions::default()).is_ok() {
                        return;
                    }
                    std::thread::yield_now();
                }
            })
            .await
            .expect("waiting for the lock");
        }
        meanwhile();
        let listener = bind_again(&address).await;
        Self::serve(next, kept, clock, listener, base, watch).await
    }

    /// Time goes by.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A client that speaks HTTP.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.base)
    }

    /// A client on another network: an address of 127.0.0.0/8.
    #[must_use]
    pub fn http_from(&self, address: &str) -> Http {
        Http::from(&self.base, address)
    }

    /// A browser without cookies.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(&self.base)
    }

    /// `POST /oauth2/token` as this client, authenticated as it is registered.
    pub async fn token(&self, client: &str, parameters: &[(&str, &str)]) -> Reply {
        self.post("/oauth2/token", client, parameters, &[]).await
    }

    /// A form to an endpoint as this client, with more headers.
    pub async fn post(&self, path: &str, client: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let mut parameters = parameters.to_vec();
        let basic = http::basic(client, SECRET);
        let mut headers = headers.to_vec();
        match self.app.client(client).map(|client| client.auth) {
            Some(regrant_core::client::AuthMethod::ClientSecretBasic) => headers.push(("authorization", &basic)),
            Some(regrant_core::client::AuthMethod::ClientSecretPost) => {
                parameters.extend([("client_id", client), ("client_secret", SECRET)]);
            }
            Some(regrant_core::client::AuthMethod::None) | None => parameters.push(("client_id", client)),
            Some(
                method @ (regrant_core::client::AuthMethod::PrivateKeyJwt
                | regrant_core::client::AuthMethod::ClientSecretJwt),
            ) => {
                let claims = assertion::claims(client, self.app.issuer(), self.clock.now().seconds());
                let is_by_key = method == regrant_core::client::AuthMethod::PrivateKeyJwt;
                let signed = if is_by_key {
                    assertion::sign(assertion::key(), &claims)
                } else {
                    assertion::sign_with_secret(&claims)
                };
                parameters.extend([("client_assertion_type", assertion::TYPE), ("client_assertion", &signed)]);
                return self.http().post(path, &parameters, &headers).await;
            }
        }
        self.http().post(path, &parameters, &headers).await
    }

    /// Refreshes.
    pub async fn refresh(&self, client: &str, token: &str) -> Reply {
        self.token(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// First tokens by the password grant: the short way to a grant.
    pub async fn grant(&self, client: &str) -> Value {
        let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        self.token(client, &parameters).await.expect_status(200).json()
    }

    /// The first refresh token of a new grant.
    pub async fn first(&self, client: &str) -> String {
        text(&self.grant(client).await, "refresh_token")
    }

    /// An authorization code through the real pages, for [`CALLBACK`] with [`CHALLENGE`].
    pub async fn code(&self, client: &str) -> String {
        self.browser().log_in_for_code(&authorization(client, &[])).await
    }

    /// Redeems a code with [`VERIFIER`].
    pub async fn redeem(&self, client: &str, code: &str) -> Reply {
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(client, &parameters).await
    }

    /// What an introspecting resource server hears.
    pub async fn introspect(&self, token: &str) -> Value {
        self.post("/oauth2/introspect", "api", &[("token", token)], &[]).await.expect_status(200).json()
    }
}

/// A member of a JSON answer that must be a string.
#[must_use]
pub fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

/// The path and query of an authorization request for a code, with more or other parameters.
#[must_use]
pub fn authorization(client: &str, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "s t&=%+"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in more {
        parameters.retain(|(known, _)| known != name || *name == "resource");
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    format!("/oauth2/authorize?{}", regrant_server::form::write(&parameters))
}

/// Reads a configuration in which `HASH` stands for the hash of [`SECRET`], and `KEYS` for the public half of [`assertion::key`]. Nothing is limited unless it has `[limits]`: a test
/// may ask a thousand times in a moment of its time that stands still.
#[must_use]
pub fn config(text: &str) -> Config {
    let hash = regrant_core::one_time::client_secret_hash(SECRET);
    let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = text.replace("HASH", &format!("sha256:{hex}"));
    let text = if text.contains("KEYS") {
        text.replace("KEYS", &assertion::toml(&assertion::set(&[assertion::key()])))
    } else {
        text
    };
    let mut config = Config::parse(&text, "test.toml", Path::new(".")).unwrap_or_else(|errors| panic!("{errors}"));
    if !text.contains("[limits]") {
        config.limits = Limits::OFF;
    }
    config
}

/// The same port. Whoever got it for a connection of its own meanwhile, as a test beside this one may, gives it back before long.
async fn bind_again(address: &str) -> tokio::net::TcpListener {
    for _ in 0..200 {
        if let Ok(listener) = tokio::net::TcpListener::bind(address).await {
            return listener;
        }
        crate::process::pause(Duration::from_millis(50)).await;
    }
    tokio::net::TcpListener::bind(address).await.expect("the same port")
}
