//! A server without tolerance, sessions at it and at the real one, and programs that are this program again.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use regrant_client::answer::{Answer, TokenAnswer, Verdict, judge};
use regrant_client::{Answered, Call, Clock, Http, MemoryStore, Profile, Session, Settings, Store, Transport};
use serde_json::Value;
use sim::process::{Home, Scratch, Server, regrant};
use sim::wire::{Browser, CONFIG, Http as Plain, SECRET, USER, World, text};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Real time, so not much of it.
pub(crate) const REPEAT_AFTER: Duration = Duration::from_millis(1);

/// A server that rotates, gives no second chance, and ends a family when a token comes again. It counts.
#[derive(Clone)]
pub(crate) struct Strict {
    pub(crate) base: String,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    lifetime: u64,
    made: u64,
    /// The family of each refresh token that is live, and of each that was.
    live: HashMap<String, u64>,
    spent: HashMap<String, u64>,
    dead: Vec<u64>,
    asked_at: Vec<i64>,
    refused: u64,
    unavailable: u32,
}

impl Strict {
    /// With access tokens of so many seconds.
    pub(crate) async fn start(lifetime: u64) -> Self {
        let kept = Arc::new(Mutex::new(Kept { lifetime, ..Kept::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().route("/token", post(Self::answer)).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, kept }
    }

    async fn answer(State(kept): State<Arc<Mutex<Kept>>>, body: String) -> Response {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked_at.push(Clock::default().ran());
        if kept.unavailable > 0 {
            kept.unavailable -= 1;
            return (StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>").into_response();
        }
        let token = body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).unwrap_or_default().to_owned();
        if let Some(family) = kept.live.remove(&token) {
            kept.spent.insert(token, family);
            let answer = kept.mint(family);
            return ([("content-type", "application/json")], answer.to_string()).into_response();
        }
        kept.refused += 1;
        if let Some(family) = kept.spent.get(&token).copied() {
            kept.dead.push(family);
            kept.live.retain(|_, other| *other != family);
        }
        (StatusCode::BAD_REQUEST, [("content-type", "application/json")], r#"{"error":"invalid_grant"}"#)
            .into_response()
    }

    /// The first tokens of a new family.
    pub(crate) fn first(&self) -> TokenAnswer {
        let mut kept = self.kept();
        let family = kept.made;
        tokens(&kept.mint(family))
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.kept().asked_at.len()
    }

    /// When, in milliseconds.
    pub(crate) fn asked_at(&self) -> Vec<i64> {
        self.kept().asked_at.clone()
    }

    /// How often it has refused.
    pub(crate) fn refused(&self) -> u64 {
        self.kept().refused
    }

    /// Whether every family has a live token.
    pub(crate) fn all_live(&self) -> bool {
        self.kept().dead.is_empty()
    }

    /// The next requests are answered by something that stands in front of it.
    pub(crate) fn be_unavailable(&self, times: u32) {
        self.kept().unavailable = times;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its only client.
    pub(crate) fn profile(&self, name: &str) -> Profile {
        Profile::new(name, &self.base, "app").with_token_endpoint(format!("{}/token", self.base))
    }

    /// A session at it, with tokens of its own.
    pub(crate) async fn session(&self, store: Arc<dyn Store>, clock: &Clock) -> Session {
        Session::adopt(store, self.profile("s"), self.first(), settings(clock)).await.expect("a session")
    }
}

impl Kept {
    fn mint(&mut self, family: u64) -> Value {
        self.made += 1;
        let refresh = format!("r{}", self.made);
        self.live.insert(refresh.clone(), family);
        serde_json::json!({
            "access_token": format!("a{}", self.made), "token_type": "Bearer", "expires_in": self.lifetime,
            "refresh_token": refresh,
        })
    }
}

/// The tokens of an answer.
pub(crate) fn tokens(answer: &Value) -> TokenAnswer {
    let answer = Answer { status: 200, body: answer.to_string().into_bytes(), ..Answer::default() };
    let Verdict::Success(tokens) = judge(&answer) else { panic!("no tokens") };
    *tokens
}

/// Real HTTP, without the `Date` of answers: that is the machine's, and the servers of these tests have days of their own.
#[derive(Debug)]
struct Undated(Http);

impl Transport for Undated {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move { self.0.send(call).await.map(|answer| Answer { date: None, ..answer }) })
    }
}

/// Real HTTP, and this clock.
pub(crate) fn settings(clock: &Clock) -> Settings {
    let transport = Undated(Http::new().expect("certificates"));
    Settings { transport: Arc::new(transport), clock: clock.clone(), patience: PATIENCE, repeat_after: REPEAT_AFTER }
}

/// A client of [`CONFIG`](sim::wire::CONFIG), as the library knows it.
pub(crate) fn profile(world: &World, name: &str, client: &str) -> Profile {
    Profile::new(name, world.app.issuer(), client)
}

/// A session of a public client of the real server.
pub(crate) async fn session(world: &World, clock: &Clock) -> Session {
    session_in(world, Arc::new(MemoryStore::new()), clock).await
}

/// The same in this store.
pub(crate) async fn session_in(world: &World, store: Arc<dyn Store>, clock: &Clock) -> Session {
    let first = tokens(&world.grant("phone").await);
    Session::adopt(store, profile(world, "s", "phone"), first, settings(clock)).await.expect("a session")
}

/// Time goes by, for server and client alike.
pub(crate) fn pass(world: &World, clock: &Clock, time: Duration) {
    world.advance(time);
    clock.advance(time);
}

/// This program again, as one of its own tests.
pub(crate) fn again(test: &str, environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads", "1"]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs a program while the servers of this one go on.
pub(crate) async fn ran(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output()).await.expect("it is waited for").expect("it runs")
}

/// A real server on disk, and a user's own directory of profiles.
pub(crate) struct Desk {
    pub(crate) server: Server,
    scratch: Scratch,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new("desk");
        let home = Home::make_with(&scratch.path().join("server"), &format!("{CONFIG}{}", sim::wire::device::DEVICES));
        home.add_user();
        std::fs::write(scratch.path().join("secret"), format!("{SECRET}\n")).expect("a file");
        Self { server: Server::start(&home), scratch }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    /// `regrant` as this user calls it.
    pub(crate) fn regrant(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(regrant());
        command.args(arguments);
        self.at_home(&mut command);
        command
    }

    /// Gives a program this user's environment.
    pub(crate) fn at_home(&self, command: &mut Command) {
        command.env("REGRANT_HOME", self.file("home")).env("XDG_RUNTIME_DIR", self.scratch.path());
        let beside = regrant().parent().expect("a directory").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{beside}:{path}")).stdin(Stdio::null());
    }

    /// What it prints, when it must work.
    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        let output = ran(self.regrant(arguments)).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// How it fails: its code, and what it says.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = ran(self.regrant(arguments)).await;
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// `regrant login` in a browser.
    pub(crate) async fn log_in(&self, profile: &str) {
        let base = self.server.base();
        let arguments = ["login", profile, "--issuer", base, "--client-id", "phone", "--scope", "openid read"];
        let mut child = Running::start(self.regrant(&[&arguments[..], &["--redirect-path", "/cb", "--json"]].concat()));
        let told: Value = serde_json::from_str(&child.line()).expect("JSON");
        let url = text(&told, "open");
        let path = url.strip_prefix(base).expect("a page of the server");
        let answer = Browser::new(base).authorize_as(path, USER).await;
        let (base, path) = answer.split_at(answer.find("/cb").expect("the path"));
        assert_eq!(Plain::new(base).get(path, &[]).await.status, 200);
        let said = child.rest();
        assert!(child.child.wait().expect("it ends").success(), "{said}");
    }

    /// A program that says in its first line, in JSON, where it is.
    pub(crate) fn start(&self, arguments: &[&str]) -> (Running, Value) {
        let mut running = Running::start(self.regrant(arguments));
        let line = running.line();
        let told = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{arguments:?} said {line:?}"));
        (running, told)
    }
}

/// A program that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }

    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other half of a test was told.
pub(crate) fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("no {name}"))
}
