//! Phones in tunnels: each has a session of the client library, and every twentieth answer to it is lost once the server has heard the
//! question. Time is virtual, the network is a function, and server and library are the real ones.
//!
//! | server                                                  | whoever loses an answer                                     |
//! |---------------------------------------------------------|-------------------------------------------------------------|
//! | Regrant with its defaults                               | asks again, and hears the same                              |
//! | one that rotates and forgives nothing ([`Strict`])      | is a thief, and is logged out                               |

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use regrant_client::answer::{Answer, TokenAnswer};
use regrant_client::{Answered, Call, Clock, Error, MemoryStore, NoAnswer, Profile, Session, Settings, Transport};
use regrant_core::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::process::{Dice, Home, Inside, Scratch, fresh_seed};
use crate::revoking::{add_users, grant};
use crate::wire::{CONFIG, START};

/// How often in a day a phone is taken out.
const TIMES: u32 = 4;
/// Every so many answers, one is lost.
const LOST: u64 = 20;
/// Phones that are awake at the same time: as many as wait in a full network.
const AT_ONCE: usize = 512;
/// Real time, so not much of it.
const REPEAT_AFTER: Duration = Duration::from_millis(1);
/// Nobody holds another phone's lock.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Month {
    /// How many phones.
    pub phones: u64,
    /// How many days.
    pub days: u32,
    /// Where the chance comes from.
    pub seed: u64,
}

/// The same, on the command line.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 10_000)]
    phones: u64,
    /// For how many days.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Where the chance comes from; a fresh one is printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// What became of the phones at one server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Requests that the server has heard.
    pub asked: u64,
    /// Answers that no phone has heard.
    pub lost: u64,
    /// Phones whose user must log in again.
    pub logged_out: u64,
    /// Times a phone was taken out and had no token yet.
    pub waited: u64,
}

/// The same phones at both servers.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    month: Month,
    /// At Regrant.
    pub regrant: Seen,
    /// At the other one.
    pub strict: Seen,
}

impl Report {
    /// Whether nobody was logged out here, although answers were lost; and whether the other server shows that this counts something.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.regrant.lost > 0 && self.regrant.logged_out == 0 && self.strict.logged_out > 0
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let seen = |seen: &Seen| json!({"asked": seen.asked, "lost": seen.lost, "logged_out": seen.logged_out, "waited": seen.waited});
        json!({
            "phones": self.month.phones, "days": self.month.days, "seed": self.month.seed,
            "regrant": seen(&self.regrant), "strict": seen(&self.strict), "holds": self.holds(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} phones, {} days, {TIMES} times a day; one answer in {LOST} is lost",
            self.month.phones, self.month.days
        )?;
        for (name, seen) in [("Regrant's defaults", self.regrant), ("no tolerance", self.strict)] {
            let Seen { asked, lost, logged_out, waited } = seen;
            writeln!(
                f,
                "{name:<20}{asked} requests, {lost} answers lost, {waited} times no token yet; logged out: {logged_out}"
            )?;
        }
        Ok(())
    }
}

/// Compares, and tells it to whoever looks: whether nobody was logged out.
///
/// # Panics
/// If a server fails.
pub async fn tell(arguments: &Arguments, json: bool) -> bool {
    let Arguments { phones, days, seed } = *arguments;
    let month = Month { phones, days, seed: seed.unwrap_or_else(fresh_seed) };
    let scratch = Scratch::new("phones");
    let told = |what: &str| {
        if !json {
            println!("{what}");
        }
    };
    told(&format!("seed {}", month.seed));
    let report = compare(scratch.path(), month, |day| told(&format!("day {day} of {}", 2 * days))).await;
    told(&report.to_string());
    if json {
        println!("{}", report.json());
    }
    report.holds()
}

/// A month at each of the servers.
///
/// # Panics
/// If a server fails.
pub async fn compare(directory: &Path, month: Month, mut progress: impl FnMut(u32)) -> Report {
    let regrant = at_regrant(directory, month, &mut progress).await;
    let strict = at_strict(month, |day| progress(month.days + day)).await;
    Report { month, regrant, strict }
}

/// At this server as it is by default: a SQLite file, a public client, the usual limits.
///
/// # Panics
/// If it fails.
pub async fn at_regrant(directory: &Path, month: Month, progress: impl FnMut(u32)) -> Seen {
    let home = Home::make_with(directory, &format!("{CONFIG}\n[limits]\n"));
    let date = regrant_server::Clock::manual(Timestamp::from_millis(START));
    let inside = Inside::open(home.config(), date.clone()).unwrap_or_else(|error| panic!("{error}"));
    add_users(&inside, month.phones).await;
    let client = Arc::new((*inside.app.client("phone").expect("the client is declared")).clone());
    let (clock, server) = (Clock::manual(), Arc::new(Within(regrant_server::router(Arc::clone(&inside.app)))));
    let tunnel = Tunnel::new(server, month.seed);
    let issuer = "https://as.example";
    let profile = Profile::new("s", issuer, "phone").with_token_endpoint(format!("{issuer}/oauth2/token"));
    let mut phones = Vec::new();
    for number in 0..month.phones {
        let first = TokenAnswer::of_refresh_token(regrant_client::Secret::new(grant(&inside, &client, number).await));
        phones.push(tunnel.phone(&profile, first, &clock).await);
    }
    let pass = |time| {
        date.advance(time);
        clock.advance(time);
    };
    tunnel.seen(phones, month, pass, progress).await
}

/// At the other one.
///
/// # Panics
/// If the library fails.
pub async fn at_strict(month: Month, progress: impl FnMut(u32)) -> Seen {
    let (clock, server) = (Clock::manual(), Arc::new(Strict::default()));
    let tunnel = Tunnel::new(Arc::clone(&server), month.seed);
    let profile =
        Profile::new("s", "https://strict.example", "phone").with_token_endpoint("https://strict.example/token");
    let mut phones = Vec::new();
    for family in 0..month.phones {
        let first = TokenAnswer::of_refresh_token(regrant_client::Secret::new(server.first(family)));
        phones.push(tunnel.phone(&profile, first, &clock).await);
    }
    tunnel.seen(phones, month, |time| clock.advance(time), progress).await
}

/// A network that loses answers.
#[derive(Debug)]
struct Tunnel<T> {
    server: T,
    dice: Mutex<Dice>,
    asked: AtomicU64,
    lost: AtomicU64,
}

impl<T: Transport + 'static> Tunnel<T> {
    fn new(server: T, seed: u64) -> Arc<Self> {
        Arc::new(Self { server, dice: Mutex::new(Dice::new(seed)), asked: AtomicU64::new(0), lost: AtomicU64::new(0) })
    }

    async fn phone(self: &Arc<Self>, profile: &Profile, first: TokenAnswer, clock: &Clock) -> Session {
        let transport: Arc<dyn Transport> = self.clone();
        let settings = Settings { transport, clock: clock.clone(), patience: PATIENCE, repeat_after: REPEAT_AFTER };
        Session::adopt(Arc::new(MemoryStore::new()), profile.clone(), first, settings).await.expect("a session")
    }

    /// Takes every phone out until the month is over.
    async fn seen(
        &self,
        mut phones: Vec<Session>,
        month: Month,
        pass: impl Fn(Duration),
        mut progress: impl FnMut(u32),
    ) -> Seen {
        let (mut logged_out, mut waited) = (0, 0);
        for time in 0..month.days * TIMES {
            pass(Duration::from_secs(86_400 / u64::from(TIMES)));
            let mut awake = JoinSet::new();
            let mut asleep = phones.into_iter();
            phones = Vec::new();
            loop {
                while awake.len() < AT_ONCE
                    && let Some(phone) = asleep.next()
                {
                    awake.spawn(async move {
                        let token = phone.token().await;
                        (phone, token)
                    });
                }
                let Some(asked) = awake.join_next().await else { break };
                match asked.expect("it ends") {
                    (_, Err(Error::Terminal(_))) => logged_out += 1,
                    // No network just now is no logout: the next time there is one.
                    (phone, Err(Error::Retry { .. })) => {
                        waited += 1;
                        phones.push(phone);
                    }
                    (phone, token) => {
                        token.expect("a token, or an error that says to wait");
                        phones.push(phone);
                    }
                }
            }
            progress(time / TIMES + 1);
        }
        let [asked, lost] = [&self.asked, &self.lost].map(|count| count.load(Ordering::SeqCst));
        Seen { asked, lost, logged_out, waited }
    }
}

impl<T: Transport> Transport for Tunnel<T> {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move {
            let answer = self.server.send(call).await?;
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.dice.lock().unwrap_or_else(PoisonError::into_inner).one_in(LOST) {
                self.lost.fetch_add(1, Ordering::SeqCst);
                return Err(NoAnswer("a tunnel".to_owned()));
            }
            Ok(answer)
        })
    }
}

/// The real server, without a socket.
struct Within(Router);

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Within")
    }
}

impl Transport for Within {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(async move {
            let form: Vec<(&str, &str)> =
                call.form.iter().flatten().map(|(name, value)| (*name, value.as_str())).collect();
            let path = call.url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..]));
            let mut request =
                Request::post(path.expect("a path")).header("content-type", "application/x-www-form-urlencoded");
            if let Some(key) = &call.idempotency_key {
                request = request.header("idempotency-key", key);
            }
            let request = request.body(Body::from(regrant_server::form::write(&form))).expect("a request");
            let (parts, body) = self.0.clone().oneshot(request).await.expect("an answer").into_parts();
            let text = |name: &str| parts.headers.get(name)?.to_str().ok().map(str::to_owned);
            let (content_type, retry_after) = (text("content-type"), text("retry-after"));
            let body = body.collect().await.map_err(|error| NoAnswer(error.to_string()))?.to_bytes().to_vec();
            // Its `Date` is the machine's, and the days here are others.
            Ok(Answer { status: parts.status.as_u16(), content_type, retry_after, body, ..Answer::default() })
        })
    }
}

/// A server that rotates, gives no second chance, and ends a family when a token comes again.
#[derive(Debug, Default)]
struct Strict(Mutex<Families>);

#[derive(Debug, Default)]
struct Families {
    made: u64,
    /// The family of each token, and the token of each family that is live.
    known: HashMap<String, u64>,
    live: HashMap<u64, String>,
}

impl Families {
    fn mint(&mut self, family: u64) -> String {
        self.made += 1;
        let token = format!("r{}", self.made);
        self.known.insert(token.clone(), family);
        self.live.insert(family, token.clone());
        token
    }
}

impl Strict {
    fn first(&self, family: u64) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).mint(family)
    }

    fn answer(&self, call: &Call) -> Answer {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut form = call.form.iter().flatten();
        let token = form.find(|(name, _)| *name == "refresh_token").map_or("", |(_, value)| value);
        let content_type = Some("application/json".to_owned());
        let family = families.known.get(token).copied();
        let is_live = family.is_some_and(|family| families.live.get(&family).is_some_and(|live| live == token));
        match family {
            Some(family) if is_live => {
                let next = families.mint(family);
                let body =
                    json!({"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "refresh_token": next});
                Answer { status: 200, content_type, body: body.to_string().into_bytes(), ..Answer::default() }
            }
            replayed => {
                replayed.map(|family| families.live.remove(&family));
                let body = br#"{"error":"invalid_grant"}"#.to_vec();
                Answer { status: 400, content_type, body, ..Answer::default() }
            }
        }
    }
}

impl Transport for Strict {
    fn send<'a>(&'a self, call: &'a Call) -> Answered<'a> {
        Box::pin(std::future::ready(Ok(self.answer(call))))
    }
}
