//! The stage: a real server on a real store, a clock that can be moved, a protected resource, users and clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regrant_core::one_time::{client_secret, client_secret_hash};
use regrant_jose::{JwkSet, VerifyingKey};
use regrant_server::config::hash_text;
use regrant_server::{App, Clock, Config, chance};

use super::exchange::{Ask, Wire};
use super::resource::{self, Guard, RESOURCE};
use super::{Trouble, flow};
use crate::context::write_root_key;
use crate::output;

/// Says that a directory is a demonstration's own, and may be replaced by the next.
const MARKER: &str = ".regrant-demo";
/// The demonstration's user.
pub(super) const USER: &str = "demo";
/// The user's password.
pub(super) const PASSWORD: &str = "correct horse battery";
/// Where the clients want their answers.
pub(super) const CALLBACK: &str = "http://127.0.0.1/callback";

/// Everything that the acts play on.
pub(super) struct Stage {
    pub(super) app: Arc<App>,
    pub(super) clock: Clock,
    pub(super) wire: Wire,
    /// The URL of the protected resource.
    pub(super) things: String,
    pub(super) secret: String,
    dir: PathBuf,
    server: tokio::task::JoinHandle<()>,
}

impl Stage {
    /// Makes the directory, the key, the store, the clients and the user, and starts serving.
    pub(super) async fn build(dir: &Path, full: bool) -> Result<Self, Trouble> {
        clear(dir)?;
        let secret = client_secret(chance::bytes()).to_string();
        let text = configuration(&hash_text(&client_secret_hash(&secret)));
        let file = dir.join("regrant.toml");
        std::fs::write(&file, text).map_err(|error| cannot(&file, &error))?;
        let key = dir.join("root.key");
        write_root_key(&key).map_err(|error| cannot(&key, &error))?;
        let mut config = Config::load(&file).map_err(Trouble::new)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Trouble::new)?;
        let address = listener.local_addr().map_err(Trouble::new)?;
        config.listen = address;
        let clock = Clock::manual(Clock::system().now());
        let app = App::open(config, clock.clone()).map_err(Trouble::new)?;
        app.admin().add_user(USER, PASSWORD.to_owned().into()).await.map_err(Trouble::new)?;
        let serving = Arc::clone(&app);
        let server = tokio::spawn(async move {
            let _ = regrant_server::serve(serving, listener, std::future::pending()).await;
        });
        let wire = Wire::new(&address.to_string(), full);
        let things = protect(&app, &wire, clock.clone()).await?;
        output::line(&format!(
            "A server with a fresh root key, an empty SQLite store and the user `{USER}` runs at {}.",
            app.issuer()
        ));
        output::line(&format!("Its files are in {}. Its clock moves when this demonstration moves it.", dir.display()));
        Ok(Self { app, clock, wire, things, secret, dir: dir.to_owned(), server })
    }

    /// Leaves the server up, on the machine's clock, with a grant that is alive.
    pub(super) async fn keep(self) -> Result<(), Trouble> {
        let Self { app, wire, secret, dir, server, .. } = self;
        let address = app.issuer().trim_start_matches("http://").to_owned();
        server.abort();
        let _ = server.await;
        drop(app);
        let mut config = Config::load(&dir.join("regrant.toml")).map_err(Trouble::new)?;
        config.listen = address.parse().map_err(Trouble::new)?;
        let app = reopen(&config).await?;
        let listener = tokio::net::TcpListener::bind(&address).await.map_err(Trouble::new)?;
        let serving = Arc::clone(&app);
        let server = tokio::spawn(async move {
            let stop = async {
                let _ = tokio::signal::ctrl_c().await;
            };
            let _ = regrant_server::serve(serving, listener, stop).await;
        });
        let tokens = flow::log_in(&wire, "12345", Some(&secret)).await?;
        let refresh_token = tokens.text("refresh_token");
        let issuer = app.issuer();
        output::line("\nThe server stays up until Ctrl-C. Try:\n");
        output::line(&format!("curl {issuer}/.well-known/oauth-authorization-server\n"));
        output::line(&format!(
            "curl {issuer}/oauth/v2/accessToken -d grant_type=refresh_token -d client_id=12345 \\\n  -d client_secret={secret} \\\n  -d refresh_token={refresh_token}\n"
        ));
        output::line(&format!(
            "curl {issuer}/oauth2/introspect -d client_id=12345 -d client_secret={secret} \\\n  -d token={refresh_token}\n"
        ));
        output::line(&format!(
            "curl {issuer}/oauth2/revoke -d client_id=12345 -d client_secret={secret} \\\n  -d token={refresh_token}\n"
        ));
        output::line(&format!(
            "In a browser, as {USER} with the password `{PASSWORD}`:\n{issuer}{}\n",
            flow::authorization_path("phone")
        ));
        server.await.map_err(Trouble::new)
    }
}

/// The writer of the server before lets go of the store when its last batch is done.
async fn reopen(config: &Config) -> Result<Arc<App>, Trouble> {
    let mut last = Trouble::new("the store is still in use");
    for _ in 0..100_000 {
        match App::open(config.clone(), Clock::system()) {
            Ok(app) => return Ok(app),
            Err(error) if error.exit_code() == 75 => last = Trouble::new(error),
            Err(error) => return Err(Trouble::new(error)),
        }
        tokio::task::yield_now().await;
    }
    Err(last)
}

/// Replaces an earlier demonstration's directory, and nothing else.
fn clear(dir: &Path) -> Result<(), Trouble> {
    if dir.exists() {
        if !dir.join(MARKER).exists() {
            let shown = dir.display();
            return Err(Trouble::new(format!(
                "{shown} is there and is no demonstration's\n  remedy: name another directory with --dir"
            )));
        }
        std::fs::remove_dir_all(dir).map_err(|error| cannot(dir, &error))?;
    }
    std::fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))?;
    std::fs::write(dir.join(MARKER), "").map_err(|error| cannot(dir, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(format!("{} cannot be written: {error}\n  remedy: name another directory with --dir", path.display()))
}

/// Starts the protected resource, which gets the server's keys over HTTP as any other would.
async fn protect(app: &App, wire: &Wire, clock: Clock) -> Result<String, Trouble> {
    let published = wire.quietly(&Ask::get("/oauth2/jwks")).await?;
    let set: JwkSet = serde_json::from_str(&published.body).map_err(Trouble::new)?;
    let keys = set.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok()).collect();
    let guard = Guard { issuer: app.issuer().to_owned(), keys, clock };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Trouble::new)?;
    let address = listener.local_addr().map_err(Trouble::new)?;
    tokio::spawn(async move {
        let _ = axum::serve(listener, resource::router(guard)).await;
    });
    Ok(format!("http://{address}/things"))
}

fn configuration(secret_hash: &str) -> String {
    let confidential = |id: &str, rotation: &str| {
        format!(
            "[[client]]\nid = \"{id}\"\nname = \"Demo App\"\nsecret_hash = \"{secret_hash}\"\n\
             token_endpoint_auth_method = \"client_secret_post\"\nredirect_uris = [\"{CALLBACK}\"]\n\
             scopes = [\"things.read\", \"things.write\"]\nresources = [\"{RESOURCE}\"]\nrotation = \"{rotation}\"\nmay_introspect = true\n\n"
        )
    };
    format!(
        "# Written by `regrant demo`.\nstore = \"sqlite:demo.db\"\n\n\
         [[scope]]\nname = \"things.read\"\ndescription = \"Read your things\"\n\n\
         [[scope]]\nname = \"things.write\"\ndescription = \"Change your things\"\n\n\
         [[resource]]\nuri = \"{RESOURCE}\"\nscopes = [\"things.read\", \"things.write\"]\n\n\
         {}{}\
         [[client]]\nid = \"phone\"\nname = \"Demo Phone App\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"{CALLBACK}\"]\n\
         scopes = [\"things.read\"]\nresources = [\"{RESOURCE}\"]\n\n\
         [[client]]\nid = \"old-browser-app\"\ntoken_endpoint_auth_method = \"none\"\nredirect_uris = [\"{CALLBACK}\"]\n\
         grant_types = [\"implicit\"]\nscopes = [\"things.read\"]\nresources = [\"{RESOURCE}\"]\n\n\
         [[client]]\nid = \"daemon\"\nsecret_hash = \"{secret_hash}\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
         grant_types = [\"client_credentials\"]\nscopes = [\"things.read\"]\nresources = [\"{RESOURCE}\"]\n",
        confidential("12345", "reusable"),
        confidential("67890", "single_use"),
    )
}
