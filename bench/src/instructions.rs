//! A guard that noise cannot fool: how many instructions a request takes, under callgrind, from the router to the store and back.
//!
//! What runs is this same program, as `bench drive`: the real router, the real engine and a real SQLite file, without sockets and
//! without a log. Requests come in rounds of [`ROUND`]; the writer is held back until a round waits for it, so that each round is
//! one batch, and time stands still. A run of twice as many rounds, less a run of so many, leaves what a round takes: starting and
//! ending fall out.
//!
//! The counts hold for one compiler. Under another one they are told, and nothing fails. What wide revocations of others cost a refresh is
//! no count of a compiler, but a share: it is asked of the same program without them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use regrant_core::decision::Decision;
use regrant_core::token::RefreshToken;
use regrant_core::{GrantId, Refusal, Timestamp};
use regrant_server::Clock;
use regrant_server::engine::{Engine, Moment, Row};
use serde::{Deserialize, Serialize};
use sim::process::{Home, Inside, Scratch};
use sim::revoking;
use sim::startup;
use sim::wire::{SECRET, START};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::case::{CLIENT, Case, Flow, Kind, clients};
use crate::http::member;
use crate::stock;

/// Requests of a round, each of a grant of its own.
pub const ROUND: usize = 32;
/// Rounds of the shorter run.
const ROUNDS: usize = 16;
/// More than this above what is stored fails.
const TOLERANCE: f64 = 0.05;
/// How many wide revocations of others a refresh is counted beside.
pub const REVOCATIONS: u64 = 1000;
/// More than this for them fails.
const FOR_REVOCATIONS: f64 = 0.03;
/// What is counted.
const SCENARIOS: [&str; 3] = ["refresh-single_use-opaque", "refresh-single_use-es256", "introspect-opaque"];

/// `bench/instructions.toml`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Stored {
    /// The compiler of these counts, as `rustc --version` names it.
    pub compiler: String,
    /// Instructions for one request, by scenario.
    pub instructions: BTreeMap<String, u64>,
}

/// One scenario, then and now.
#[derive(Clone, Debug)]
pub struct Count {
    /// Which.
    pub scenario: &'static str,
    /// What is stored, if anything is.
    pub stored: Option<u64>,
    /// What it takes now.
    pub now: u64,
}

impl Count {
    /// How much it grew.
    #[must_use]
    pub fn growth(&self) -> f64 {
        self.stored.map_or(0.0, |stored| self.now as f64 / stored as f64 - 1.0)
    }

    /// Whether it may stay so.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.stored.is_some() && self.growth() <= TOLERANCE
    }
}

/// Counts all scenarios, and says what each took as soon as it is known.
///
/// # Errors
/// What valgrind said.
pub fn count(stored: &Stored, mut told: impl FnMut(&Count)) -> Result<Vec<Count>, String> {
    let mut counts = Vec::new();
    for scenario in SCENARIOS {
        let now = one(scenario, 0)?;
        let count = Count { scenario, stored: stored.instructions.get(scenario).copied(), now };
        told(&count);
        counts.push(count);
    }
    Ok(counts)
}

/// A refresh without wide revocations, and beside [`REVOCATIONS`] of others.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Without.
    pub plain: u64,
    /// Beside them.
    pub now: u64,
}

impl Beside {
    /// How much more it takes.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.now as f64 / self.plain.max(1) as f64 - 1.0
    }

    /// Whether that is little enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.cost() <= FOR_REVOCATIONS
    }
}

/// Counts the first scenario beside wide revocations; `counts` has it without.
///
/// # Errors
/// What valgrind said.
pub fn beside_revocations(counts: &[Count]) -> Result<Beside, String> {
    let [scenario, ..] = SCENARIOS;
    let plain = counts.iter().find(|count| count.scenario == scenario).map_or(0, |count| count.now);
    Ok(Beside { plain, now: one(scenario, REVOCATIONS)? })
}

fn one(scenario: &str, revocations: u64) -> Result<u64, String> {
    let (short, long) = (run(scenario, ROUNDS, revocations)?, run(scenario, 2 * ROUNDS, revocations)?);
    Ok(long.saturating_sub(short) / (ROUNDS * ROUND) as u64)
}

/// The compiler on this machine.
#[must_use]
pub fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).into_owned();
    version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// All instructions of one run.
fn run(scenario: &str, rounds: usize, revocations: u64) -> Result<u64, String> {
    let scratch = Scratch::new("instructions");
    let out = scratch.path().join("callgrind.out");
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let home = scratch.path().join("home");
    let prepared = Command::new(&program).args(["drive", scenario, "--rounds", "0", "--directory"]).arg(&home).output();
    let prepared = prepared.map_err(|error| error.to_string())?;
    if !prepared.status.success() {
        return Err(format!("{scenario}: {}\n{}", prepared.status, String::from_utf8_lossy(&prepared.stderr)));
    }
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--fair-sched=yes", "--zero-before=*instructions*rounds_begin*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["drive", scenario, "--rounds", &rounds.to_string(), "--revocations", &revocations.to_string()])
        .arg("--directory")
        .arg(&home)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind does not run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{scenario}: {}\n{said}", output.status));
    }
    let told = std::fs::read_to_string(&out).map_err(|error| error.to_string())?;
    let total = told.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| format!("{scenario}: callgrind told no total\n{said}"))
}

/// What callgrind looks at: so many rounds of a scenario. No rounds at all make the store with its keys, for the others to be run on:
/// how long it takes to find the primes of an RSA key is chance.
///
/// # Panics
/// If an answer is wrong.
pub async fn drive(case: Case, rounds: usize, revocations: u64, directory: &Path) {
    let home = match rounds {
        0 => Home::make_with(directory, &clients(Kind::SingleUse, case.format)),
        _ => Home::at(directory),
    };
    let clock = Clock::manual(Timestamp::from_millis(START));
    let inside = Inside::open(home.config(), clock).unwrap_or_else(|error| panic!("{error}"));
    if rounds == 0 {
        return inside.close(&home.store()).await;
    }
    stock::add_users(&inside, 1).await;
    revoking::revoke_others(&inside, revocations).await;
    let keys = inside.app.engine.keys();
    let mut tokens = Vec::new();
    startup::make(
        &inside,
        CLIENT,
        ROUND as u64,
        |_| stock::subject(0),
        |issued| {
            tokens.push(issued.token.and_then(|token| token.text(&keys)).expect("a refresh token"));
        },
    )
    .await;
    let open = |text: &str| RefreshToken::open(text, &keys).expect("our token");
    let rounds_of = Rounds {
        engine: inside.app.engine.clone(),
        router: regrant_server::router(Arc::clone(&inside.app)),
        barrier: open(&tokens[0]).grant,
    };
    let refresh = async |tokens: &[String]| {
        rounds_of.ask("/oauth2/token", "grant_type=refresh_token&refresh_token=", tokens).await
    };
    let mut answers = refresh(&tokens).await;
    rounds_begin();
    for _ in 0..rounds {
        if case.flow == Flow::Introspect {
            let told = rounds_of.ask("/oauth2/introspect", "token=", &members(&answers, "access_token")).await;
            assert!(told.iter().all(|body| body.starts_with(b"{\"active\":true")), "a live token is active");
        } else {
            answers = refresh(&members(&answers, "refresh_token")).await;
        }
    }
    let last = open(&members(&answers, "refresh_token")[0]);
    let expected = if case.flow == Flow::Introspect { 2 } else { rounds + 2 };
    assert_eq!(last.generation as usize, expected, "each round was a refresh");
    drop(rounds_of);
    inside.close(&home.store()).await;
}

/// Callgrind forgets here what it has counted. Up to here most of it is the library's own source of chance, which measures how long the
/// processor takes: a different number each time, and larger than all rounds together.
#[inline(never)]
fn rounds_begin() {
    std::hint::black_box(());
}

/// What asks in rounds.
struct Rounds {
    engine: Engine,
    router: Router,
    /// The grant in whose name the writer is held back.
    barrier: GrantId,
}

impl Rounds {
    /// Asks with each text, all in one batch, and returns the bodies.
    async fn ask(&self, path: &'static str, form: &str, texts: &[String]) -> Vec<Vec<u8>> {
        let (release, held) = mpsc::channel::<()>();
        let (engine, barrier) = (self.engine.clone(), self.barrier);
        // The writer decides this first, and waits in it until the others are in its queue.
        let barrier = tokio::spawn(async move {
            let decide = move |_: Row<'_>, _: &Moment<'_>| {
                let _ = held.recv();
                Decision::<()>::refuse(Refusal::UnknownGrant)
            };
            engine.decide(barrier, "", decide).await
        });
        tokio::task::yield_now().await;
        let mut tasks = JoinSet::new();
        for (index, text) in texts.iter().enumerate() {
            let request = Request::post(path)
                .header(HOST, "127.0.0.1:8080")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}"))))
                .body(Body::from(format!("{form}{text}")))
                .expect("a request");
            let router = self.router.clone();
            tasks.spawn(async move {
                let response = router.oneshot(request).await.expect("an answer");
                assert_eq!(response.status(), StatusCode::OK);
                (index, response.into_body().collect().await.expect("a whole answer").to_bytes().to_vec())
            });
        }
        // One thread: when this goes on, each of them has run as far as it gets without the writer.
        tokio::task::yield_now().await;
        drop(release);
        let mut answers = tasks.join_all().await;
        let _ = barrier.await;
        answers.sort_unstable_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, body)| body).collect()
    }
}

fn members(bodies: &[Vec<u8>], name: &str) -> Vec<String> {
    let text = |body: &Vec<u8>| member(body, name).map(|value| String::from_utf8_lossy(value).into_owned());
    bodies.iter().map(|body| text(body).expect("an answer with tokens")).collect()
}
