//! Malformed requests at every endpoint of the real server, and keys that nobody has used before: no answer is 5xx, nothing panics, nobody
//! gets a token, honest clients are served, and the server's memory does not grow with what strangers send (checks I2, X7).

mod caches;
mod report;
mod requests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;

pub use report::{Report, Row};
pub use requests::{ENDPOINTS, Endpoint};

use crate::connections::{self, Times};
use crate::process::{Dice, Home, Server, UNLIMITED};
use crate::wire::pipeline::{Answer, Pipeline};
use crate::wire::{CONFIG, OPERATOR, REGISTRATION, SECRET, http, text};

/// How many requests are sent at once.
const TOGETHER: u64 = 32;
/// The connections beside which the time of honest refreshes is taken, each with one request at a time: a few who abuse a server, on the
/// cores that the honest ones need, too.
const GENTLE: u64 = 2;
/// How many broken answers are told.
const TOLD: usize = 20;

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Malformed requests at each endpoint.
    pub each: u64,
    /// Distinct keys of all kinds together.
    pub distinct: u64,
    /// Over how many connections.
    pub connections: u64,
    /// How often each honest client refreshes where its time is measured.
    pub rounds: usize,
    /// Where the chance comes from.
    pub seed: u64,
}

/// Abuses a server in a directory. `progress` is told how many requests of how many are done.
///
/// # Panics
/// If the server does not start or an honest client is refused.
pub async fn run(options: Options, directory: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Report {
    // Only registration is limited, and the log, so that all requests get as far as they can.
    let limits = UNLIMITED.replace("refusals_logged = \"off\"\n", "");
    let home = Home::make_with(&directory.join("requests"), &format!("{CONFIG}{OPERATOR}{REGISTRATION}{limits}"));
    home.add_user();
    let server = Server::start(&home);
    let tokens = connections::log_in(&server).await;
    let live = connections::log_in(&server).await.swap_remove(0);
    let bearer = operator(&server).await;
    let mut sender = Sender { seed: options.seed, base: server.base().to_owned(), bearer, live };

    let (_, tokens) = connections::measure(&server, tokens, options.rounds / 4 + 1).await;
    let (alone, tokens) = connections::measure(&server, tokens, options.rounds).await;
    let (beside, tokens) = beside_a_few(&server, &sender, tokens, options.rounds).await;
    let mut report = Report { seed: options.seed, p99: [alone.p99, beside.p99], ..Report::default() };

    let is_over = Arc::new(AtomicBool::new(false));
    let honest = tokio::spawn(refresh_until(server.http(), tokens, Arc::clone(&is_over)));
    let all = options.each * ENDPOINTS.len() as u64 + options.distinct;
    let mut done = 0;
    for number in 0..ENDPOINTS.len() {
        // A long run outlives a token.
        sender.bearer = operator(&server).await;
        let row = sender.endpoint(number, options, &|some| progress(done + some, all)).await;
        done += options.each;
        report.rows.push(row);
    }
    is_over.store(true, Ordering::SeqCst);
    report.honest = honest.await.expect("every honest refresh is answered with 200");
    report.panics = panics(&server.stop());
    caches::fill(&mut report, options, &directory.join("keys"), &|some| progress(done + some, all)).await;
    report
}

/// An operator's token, as a header says it.
async fn operator(server: &Server) -> String {
    let form = [("grant_type", "client_credentials"), ("scope", "regrant.admin"), ("resource", "urn:regrant:admin")];
    let basic = http::basic("ops", SECRET);
    let reply = server.http().post("/oauth2/token", &form, &[("authorization", &basic)]).await.expect_status(200);
    format!("Bearer {}", text(&reply.json(), "access_token"))
}

async fn beside_a_few(server: &Server, sender: &Sender, tokens: Vec<String>, rounds: usize) -> (Times, Vec<String>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut few = JoinSet::new();
    for number in 0..GENTLE {
        let (sender, is_over) = (sender.clone(), Arc::clone(&is_over));
        few.spawn(async move {
            let mut pipeline = Pipeline::to(&sender.base);
            let mut dice = Dice::new(sender.seed ^ number);
            while !is_over.load(Ordering::SeqCst) {
                let endpoint = ENDPOINTS[dice.below(ENDPOINTS.len())];
                let request = endpoint.request(pipeline.address(), &sender.bearer, &sender.live, &mut dice);
                drop(pipeline.ask(&[request]).await);
            }
        });
    }
    let measured = connections::measure(server, tokens, rounds).await;
    is_over.store(true, Ordering::SeqCst);
    drop(few.join_all().await);
    measured
}

/// Honest clients go on beside the worst of it; each must be answered with 200.
async fn refresh_until(http: http::Http, mut tokens: Vec<String>, is_over: Arc<AtomicBool>) -> u64 {
    let mut refreshes = 0;
    while !is_over.load(Ordering::SeqCst) {
        for token in &mut tokens {
            let asked = [("grant_type", "refresh_token"), ("client_id", "phone"), ("refresh_token", token.as_str())];
            let reply = http.post("/oauth2/token", &asked, &[]).await.expect_status(200);
            *token = text(&reply.json(), "refresh_token");
            refreshes += 1;
        }
        crate::process::pause(std::time::Duration::from_millis(20)).await;
    }
    refreshes
}

/// How many lines of a log tell of a panic.
fn panics(log: &str) -> u64 {
    log.lines().filter(|line| line.contains("panicked")).count() as u64
}

/// Who sends.
#[derive(Clone, Debug)]
struct Sender {
    seed: u64,
    base: String,
    bearer: String,
    live: String,
}

impl Sender {
    /// So many requests at one endpoint.
    async fn endpoint(&self, number: usize, options: Options, progress: &(dyn Fn(u64) + Sync)) -> Row {
        let batch = Arc::new(AtomicU64::new(0));
        let batches = options.each.div_ceil(TOGETHER);
        let mut tasks = JoinSet::new();
        for _ in 0..options.connections {
            tasks.spawn(self.clone().batches(number, Arc::clone(&batch), batches));
        }
        let mut row = Row { path: ENDPOINTS[number].path, ..Row::default() };
        loop {
            let look = crate::process::pause(std::time::Duration::from_millis(500));
            tokio::select! {
                biased;
                done = tasks.join_next() => match done {
                    Some(part) => row.add(part.expect("the server listens")),
                    None => break,
                },
                () = look => {}
            }
            progress((batch.load(Ordering::Relaxed) * TOGETHER).min(options.each));
        }
        row
    }

    async fn batches(self, number: usize, next: Arc<AtomicU64>, all: u64) -> Row {
        let endpoint = ENDPOINTS[number];
        let mut row = Row { path: endpoint.path, ..Row::default() };
        let mut pipeline = Pipeline::to(&self.base);
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= all {
                return row;
            }
            let mut dice = Dice::new(self.seed ^ ((number as u64) << 48) ^ batch);
            let mut rest: Vec<Vec<u8>> = (0..TOGETHER)
                .map(|_| endpoint.request(pipeline.address(), &self.bearer, &self.live, &mut dice))
                .collect();
            while !rest.is_empty() {
                let came = pipeline.ask(&rest).await;
                if came.hangs {
                    row.tell(&rest[came.answers.len()], "no answer and no end");
                }
                // Who closes behind a malformed head owes the requests behind it nothing: they come again. One who closes at once has
                // answered the first of them.
                let closed_at_once = usize::from(came.answers.is_empty());
                row.unanswered += closed_at_once as u64;
                for (request, answer) in rest.iter().zip(&came.answers) {
                    *row.answers.entry(answer.status).or_insert(0) += 1;
                    if let Some(why) = wrong(answer) {
                        row.tell(request, why);
                    }
                }
                rest.drain(..(came.answers.len() + closed_at_once).min(rest.len()));
            }
        }
    }
}

/// What is wrong with an answer to a malformed request.
fn wrong(answer: &Answer) -> Option<&'static str> {
    let head = answer.head.to_ascii_lowercase();
    let holds = |wanted: &[u8]| answer.body.windows(wanted.len()).any(|window| window == wanted);
    match answer.status {
        503 if head.contains("\r\nretry-after:") => None,
        500.. | 0 => Some("a failure of the server"),
        200..300 if holds(b"\"access_token\":\"") || holds(b"\"refresh_token\":\"") => Some("a token"),
        _ if head.contains("\r\nset-cookie: a=b") => Some("a header that was sent in a parameter"),
        _ => None,
    }
}
