//! The stage: a real server on a real store, a clock that can be moved, a protected resource, a user and clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_core::one_time::client_secret;
use regrant_server::{App, Clock, Config, chance};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::exchange::Wire;
use super::resource::{self, Guard};
use super::telling;
use super::{Trouble, place};

/// The client of the article. It keeps one refresh token.
pub(super) const REUSABLE: &str = "12345";
/// The confidential client whose refresh tokens work once.
pub(super) const SINGLE_USE: &str = "67890";
/// The public client, whose refresh tokens work once.
pub(super) const PUBLIC: &str = "phone";
/// The client of the implicit grant.
pub(super) const IMPLICIT: &str = "old-browser-app";
/// The client without a user.
pub(super) const JOB: &str = "nightly-job";
/// The demonstration's user.
pub(super) const USER: &str = "alice";

/// How long ago the demonstration's clock begins. All that it moves must fit, so that it ends before now: a store never goes back
/// behind the newest time it has seen, and goes on with the machine's clock afterwards.
const BEFORE: Duration = Duration::from_secs(61 * 86_400);
/// How long a server that was stopped may take to let go of its store.
const PATIENCE: Duration = Duration::from_secs(10);

/// The clients' secrets, made anew each time.
pub(super) struct Secrets {
    pub(super) reusable: String,
    pub(super) single_use: String,
    pub(super) job: String,
}

impl Secrets {
    fn new() -> Self {
        let [reusable, single_use, job] = std::array::from_fn(|_| client_secret(chance::bytes()).to_string());
        Self { reusable, single_use, job }
    }

    /// The secret of a client; a public one has none.
    pub(super) fn of(&self, client: &str) -> Option<&str> {
        match client {
            REUSABLE => Some(&self.reusable),
            SINGLE_USE => Some(&self.single_use),
            JOB => Some(&self.job),
            _ => None,
        }
    }
}

/// Everything that the acts play on.
pub(super) struct Stage {
    pub(super) wire: Wire,
    pub(super) secrets: Secrets,
    pub(super) password: String,
    /// The URL of the protected resource.
    pub(super) things: String,
    /// Where browsers are sent back to.
    pub(super) callback: String,
    clock: Clock,
    guard: Guard,
    dir: PathBuf,
    server: Option<Server>,
}

/// A server that runs.
struct Server {
    app: Arc<App>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Stage {
    /// Makes the directory, the key, the store, the clients and the user, and starts serving.
    pub(super) async fn build(dir: &Path, full: bool) -> Result<Self, Trouble> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Trouble::new)?;
        let address = listener.local_addr().map_err(Trouble::new)?;
        let secrets = Secrets::new();
        place::make(dir, address, &secrets)?;
        let start = Clock::system().now().millis() - i64::try_from(BEFORE.as_millis()).unwrap_or(0);
        let clock = Clock::manual(Timestamp::from_millis(start));
        let server = Server::start(&load(dir)?, clock.clone(), listener).await?;
        let password = password();
        server.app.admin().add_user(USER, password.clone().into()).await.map_err(Trouble::new)?;
        let wire = Wire::new(&address.to_string(), full);
        let guard = Guard::new(&wire, clock.clone()).await?;
        let api = TcpListener::bind("127.0.0.1:0").await.map_err(Trouble::new)?;
        let base = format!("http://{}", api.local_addr().map_err(Trouble::new)?);
        let router = resource::router(guard.clone());
        tokio::spawn(async move { axum::serve(api, router).await });
        let (things, callback) = (format!("{base}/things"), format!("{base}/callback"));
        Ok(Self { wire, secrets, password, things, callback, clock, guard, dir: dir.to_owned(), server: Some(server) })
    }

    /// Says what is there.
    pub(super) fn introduce(&self) {
        telling::act("The refresh token grant, on a real server");
        telling::say(
            "An OAuth authorization server runs in this process, and everything below goes to it over HTTP. The texts between the \
             exchanges say what to look for; sentences in quotation marks are what introductions to OAuth promise. A line with a \
             tick was checked.",
        );
        let began = regrant_server::admin::rfc3339(Timestamp::from_millis(self.clock.now().seconds() * 1000));
        let keys = format!("{} (mode 0400, made just now)", self.dir.join("root.key").display());
        telling::compare(&[
            ("server", &format!("http://{}", self.wire.address())),
            ("store", &format!("{} (SQLite, empty)", self.dir.join("regrant.db").display())),
            ("root key", &keys),
            ("settings", &place::config_file(&self.dir).display().to_string()),
            ("user", USER),
            ("clients", "12345 (has a secret), 67890 (the same, single-use tokens), phone (no secret), …"),
            ("clock", &format!("its own, which stands at {began}: to wait is to move it")),
        ]);
        telling::say("Tokens are shortened in their middle; --full shows them whole.");
    }

    /// The server.
    pub(super) fn app(&self) -> Result<&Arc<App>, Trouble> {
        self.server.as_ref().map(|server| &server.app).ok_or_else(|| Trouble::new("the server is stopped"))
    }

    /// The server's time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time goes by, and it is said.
    pub(super) fn wait(&self, by: Duration) {
        self.clock.advance(by);
        telling::later(by, self.now());
    }

    /// Stops the server: it answers what is under way, and lets go of its store.
    pub(super) async fn stop(&mut self) -> Result<(), Trouble> {
        let Some(Server { app, stop, serving }) = self.server.take() else { return Ok(()) };
        let _ = stop.send(());
        drop(app);
        let stopped =
            tokio::time::timeout(PATIENCE, serving).await.map_err(|_| Trouble::new("the server does not stop"))?;
        stopped.map_err(Trouble::new)?.map_err(Trouble::new)
    }

    /// Starts it again: the same files, the same address, from now on by the machine's clock.
    pub(super) async fn start_again(&mut self) -> Result<(), Trouble> {
        let listener = TcpListener::bind(self.wire.address()).await.map_err(Trouble::new)?;
        self.clock = Clock::system();
        self.server = Some(Server::start(&load(&self.dir)?, Clock::system(), listener).await?);
        self.guard.go_by(Clock::system());
        Ok(())
    }

    /// Serves until the listener fails.
    pub(super) async fn serving(&mut self) -> Result<(), Trouble> {
        let Some(server) = &mut self.server else { return Ok(()) };
        (&mut server.serving).await.map_err(Trouble::new)?.map_err(Trouble::new)
    }
}

impl Server {
    async fn start(config: &Config, clock: Clock, listener: TcpListener) -> Result<Self, Trouble> {
        let app = open(config, &clock).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = regrant_server::serve(Arc::clone(&app), listener, async move {
            let _ = stopped.await;
        });
        Ok(Self { app, stop, serving: tokio::spawn(serving) })
    }
}

/// The writer of a server before lets go of the store when its last batch is done: this waits for it.
async fn open(config: &Config, clock: &Clock) -> Result<Arc<App>, Trouble> {
    let patiently = async {
        loop {
            match App::open(config.clone(), clock.clone()) {
                Err(error) if error.exit_code() == 75 => tokio::time::sleep(Duration::from_millis(2)).await,
                opened => return opened.map_err(Trouble::new),
            }
        }
    };
    tokio::time::timeout(PATIENCE, patiently).await.map_err(|_| Trouble::new("the store is still in use"))?
}

fn load(dir: &Path) -> Result<Config, Trouble> {
    Config::load(&place::config_file(dir)).map_err(Trouble::new)
}

/// A password for the demonstration's user, which people can type: 48 bits, for a server on this machine only.
fn password() -> String {
    let hex: Vec<String> =
        chance::bytes::<6>().chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
    hex.join("-")
}
