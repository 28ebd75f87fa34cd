//! The measurement: Regrant, a bare HTTP server and one that waits for the device, in turn, in slices of the same minute, by one
//! load generator. What else the machine does meanwhile meets all three.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regrant_core::access::AccessToken;
use regrant_jose::{JwkSet, VerifyingKey};
use sim::wire::SECRET;
use tokio::runtime::Runtime;

use crate::case::{CLIENT, Case, Flow, Format, Kind, clients};
use crate::load::{Load, Measured, drive};
use crate::pool::Pool;
use crate::progress::Progress;
use crate::report::{Row, round};
use crate::servers::{Running, Written};
use crate::speak::{Clients, Expected, Form};
use crate::stock::Stock;

/// The longest slice.
const SLICE: f64 = 2.0;
/// Access tokens that introspection is asked about.
const INTROSPECTED: usize = 20_000;
/// The most codes that are made for a second of load.
const CODES_PER_SECOND: f64 = 25_000.0;
/// Grants made in a second, for the plan only.
const MADE_PER_SECOND: f64 = 30_000.0;
/// Refreshes before a measurement, however few grants there are.
pub const LEAST_WARM_UP: u64 = 100_000;
/// For the time estimate.
const WARMED_PER_SECOND: f64 = 20_000.0;
/// Connections of the warm-up.
const WARM_CONNECTIONS: usize = 64;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which cases.
    pub cases: Vec<Case>,
    /// At how many connections.
    pub connections: Vec<usize>,
    /// Over how many grants.
    pub grants: Vec<u64>,
    /// Seconds for each server in each case.
    pub seconds: f64,
    /// Refreshes before the first measurement of a case of refreshes; without a number one for each grant, and [`LEAST_WARM_UP`] at least.
    pub warm_up: Option<u64>,
    /// Where stores are made: on the disk that is meant.
    pub directory: PathBuf,
    /// Where Regrant's log goes.
    pub log: PathBuf,
}

/// What was measured, and what was found wrong: nothing, or the figures are worth nothing.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    /// The figures.
    pub rows: Vec<Row>,
    /// Refresh tokens and access tokens that were verified.
    pub verified: u64,
    /// Rotations that were answered, and that the stores hold.
    pub rotations: (u64, u64),
    /// In words.
    pub wrong: Vec<String>,
}

/// Measures everything.
///
/// # Errors
/// If a server fails or the disk does.
///
/// # Panics
/// If a server does not start.
pub fn run(options: &Options, runtime: &Runtime) -> std::io::Result<Outcome> {
    let mut progress = Progress::new(planned(options));
    let mut outcome = Outcome::default();
    for grants in &options.grants {
        for kind in Kind::ALL {
            let cases: Vec<Case> = options.cases.iter().copied().filter(|case| case.kind() == kind).collect();
            if cases.is_empty() {
                continue;
            }
            let directory = options.directory.join(format!("{}-{grants}", kind.as_str()));
            let _ = std::fs::remove_dir_all(&directory);
            let name = format!("{} grants, {}", crate::report::thousands(*grants as f64), kind.as_str());
            let mut show = |made| {
                progress.show_within(&format!("making {name}: {made}"), made as f64 / MADE_PER_SECOND);
            };
            let stock = runtime.block_on(Stock::make(&directory, kind, *grants, &mut show));
            progress.done(*grants as f64 / MADE_PER_SECOND);
            let mut bench = Bench { options, runtime, progress: &mut progress, outcome: &mut outcome, stock, codes: 0 };
            for case in cases {
                bench.case(case)?;
            }
            bench.compare();
            std::fs::remove_dir_all(&directory)?;
        }
    }
    progress.clear();
    Ok(outcome)
}

fn planned(options: &Options) -> f64 {
    let measured = options.seconds * 3.0 * (options.cases.len() * options.connections.len()) as f64;
    let kinds = Kind::ALL.into_iter().filter(|kind| options.cases.iter().any(|case| case.kind() == *kind)).count();
    let refreshes = options.cases.iter().filter(|case| case.flow.is_refresh()).count() as f64;
    let of = |grants: &u64| {
        let warm_up = options.warm_up.unwrap_or((*grants).max(LEAST_WARM_UP)) as f64 / WARMED_PER_SECOND;
        measured + kinds as f64 * *grants as f64 / MADE_PER_SECOND + refreshes * warm_up
    };
    options.grants.iter().map(of).sum()
}

/// The measurements on one store.
struct Bench<'a> {
    options: &'a Options,
    runtime: &'a Runtime,
    progress: &'a mut Progress,
    outcome: &'a mut Outcome,
    stock: Stock,
    /// Codes that were redeemed: each is a grant of generation 1 now.
    codes: u64,
}

impl Bench<'_> {
    fn start(&self, format: Format) -> Running {
        self.stock.home.configure(&clients(self.stock.kind, format));
        Running::regrant(&self.stock.home, &self.options.log)
    }

    /// By the same process that is measured: what it remembers of grants, it has learnt then.
    fn warm_up(&mut self, server: &Running) -> std::io::Result<()> {
        let most = self.options.warm_up.unwrap_or(self.stock.grants.max(LEAST_WARM_UP));
        self.progress.show("warming up");
        let (form, expected) = (form(server, self.stock.kind, Flow::RefreshSingleUse), refreshes(self.stock.kind));
        let mut clients = Clients::new(form, &mut self.stock.pool, expected, None);
        clients.most = most;
        let load = Load { address: server.address, connections: WARM_CONNECTIONS, duration: Duration::from_secs(3600) };
        let seen = if most > 0 { drive(load, &mut clients)? } else { Measured::default() };
        if seen.wrong > 0 {
            self.outcome.wrong.push(format!("warm-up: {}", clients.first_wrong.unwrap_or_default()));
        }
        self.progress.done(most as f64 / WARMED_PER_SECOND);
        Ok(())
    }

    /// One case at every number of connections.
    fn case(&mut self, case: Case) -> std::io::Result<()> {
        let slices = (self.options.seconds / SLICE).ceil().max(1.0);
        let mut other = match case.flow {
            Flow::Code | Flow::IdToken => {
                let wanted = self.options.seconds * self.options.connections.len() as f64 * CODES_PER_SECOND;
                self.progress.show("making codes");
                Some(self.runtime.block_on(self.stock.codes(wanted as u64, case.flow)))
            }
            Flow::ClientCredentials => Some(Pool::new(["read"])),
            _ => None,
        };
        let server = self.start(case.format);
        if case.flow.is_refresh() {
            self.warm_up(&server)?;
        }
        if case.flow == Flow::Introspect {
            other = Some(self.access_tokens(&server)?);
        }
        let expected = match case.flow {
            Flow::Introspect => Expected::Active,
            Flow::Code | Flow::IdToken => Expected::First,
            Flow::ClientCredentials => Expected::Anything,
            Flow::RefreshSingleUse | Flow::RefreshReusable => refreshes(self.stock.kind),
        };
        let keys = other.is_none().then(|| self.stock.keys.clone());
        let pool = other.as_mut().unwrap_or(&mut self.stock.pool);
        let form = form(&server, self.stock.kind, case.flow);
        // An answer, to know how long they are, and for the ceilings a request as long as the real ones.
        let mut clients = Clients::new(form.clone(), pool, expected, keys);
        clients.most = 1;
        let once = |address| Load { address, connections: 1, duration: Duration::from_secs(10) };
        let mut answered = drive(once(server.address), &mut clients)?.answered;
        let length = clients.body_length;
        let durable_file = self.options.directory.join("durable");
        let ceilings = [Running::ceiling(length, None), Running::ceiling(length, Some(&durable_file))];
        clients.most = u64::MAX;
        for connections in &self.options.connections {
            let mut seen = [Measured::default(), Measured::default(), Measured::default()];
            let duration = Duration::from_secs_f64(self.options.seconds / slices);
            let (mut cpu, mut work, mut busy) = (Duration::ZERO, Written::default(), Duration::ZERO);
            for _ in 0..slices as usize {
                self.progress.show(&format!("{case} · {connections} connections"));
                for (ceiling, seen) in ceilings.iter().zip(&mut seen[1..]) {
                    let mut padding = Pool::new(["x".repeat(113).as_str()]);
                    let mut bare = Clients::new(form.at("/oauth2/token"), &mut padding, Expected::Anything, None);
                    let load = Load { address: ceiling.address, connections: *connections, duration };
                    seen.add(&drive(load, &mut bare)?);
                }
                let before = (server.cpu(), self.runtime.block_on(server.written()));
                let load = Load { address: server.address, connections: *connections, duration };
                let slice = drive(load, &mut clients)?;
                let after = (server.cpu(), self.runtime.block_on(server.written()));
                cpu += after.0.saturating_sub(before.0);
                work.add(&before.1, &after.1);
                busy += slice.elapsed;
                seen[0].add(&slice);
                self.progress.done(3.0 * duration.as_secs_f64());
            }
            answered += seen[0].answered;
            let store = self.stock.home.store();
            let bytes = |file: &Path| std::fs::metadata(file).map_or(0.0, |file| file.len() as f64);
            let row = Row {
                grants: self.stock.grants,
                bytes_per_grant: round(bytes(&store) / self.stock.grants.max(1) as f64, 1),
                wal_mib: round(bytes(&PathBuf::from(format!("{}-wal", store.display()))) / (1024.0 * 1024.0), 2),
                rss_mib: round(server.rss_mib(), 1),
                cpu_us: round(cpu.as_secs_f64() * 1e6 / seen[0].answered.max(1) as f64, 2),
                fdatasync_per_second: round(work.commits / busy.as_secs_f64().max(1e-9), 1),
                batch: round(work.jobs / work.batches.max(1.0), 2),
                ..Row::new(case, *connections, &seen)
            };
            if row.wrong > 0 {
                let first = clients.first_wrong.take().unwrap_or_default();
                self.outcome.wrong.push(format!("{case} at {connections}: {} wrong answers: {first}", row.wrong));
            }
            self.outcome.rows.push(row);
        }
        let (verified, kept) = (clients.verified, std::mem::take(&mut clients.access_tokens));
        if matches!(case.flow, Flow::Code | Flow::IdToken) {
            self.codes += answered;
        }
        self.outcome.verified += verified;
        self.verify(case, &server, &kept);
        server.stop();
        std::fs::remove_file(durable_file)
    }

    /// Refreshes until there are access tokens enough to ask about.
    fn access_tokens(&mut self, server: &Running) -> std::io::Result<Pool> {
        let form = form(server, self.stock.kind, Flow::RefreshSingleUse);
        let mut clients = Clients::new(form, &mut self.stock.pool, refreshes(self.stock.kind), None);
        (clients.keep, clients.most) = (INTROSPECTED, INTROSPECTED as u64);
        let load = Load { address: server.address, connections: WARM_CONNECTIONS, duration: Duration::from_secs(600) };
        drive(load, &mut clients)?;
        // They differ in length where numbers in them do.
        let length = clients.access_tokens.first().map_or(0, String::len);
        let alike = clients.access_tokens.iter().filter(|token| token.len() == length);
        Ok(Pool::new(alike.map(String::as_str)))
    }

    /// Opens what access tokens were kept: with the sealing key, or with the keys that the server publishes.
    fn verify(&mut self, case: Case, server: &Running, kept: &[String]) {
        let published = self.runtime.block_on(server.get("/oauth2/jwks"));
        let keys: Vec<VerifyingKey> = serde_json::from_slice::<JwkSet>(&published)
            .map(|set| set.keys.iter().filter_map(|key| VerifyingKey::from_jwk(key).ok()).collect())
            .unwrap_or_default();
        let holds = |token: &String| match case.format {
            Format::Opaque => AccessToken::open(token, &self.stock.keys).is_some_and(|token| token.client == CLIENT),
            Format::Es256 => regrant_jose::verify(token, "at+jwt", &keys)
                .is_ok_and(|token| token.claims.get("client_id").is_some_and(|client| client == CLIENT)),
        };
        let broken = kept.iter().filter(|token| !holds(token)).count();
        self.outcome.verified += kept.len() as u64;
        if broken > 0 || (kept.is_empty() && case.flow != Flow::Introspect) {
            self.outcome.wrong.push(format!("{case}: {broken} of {} access tokens do not hold", kept.len()));
        }
    }

    /// Law L1, counted: as many rotations are in the store as were answered.
    fn compare(&mut self) {
        self.progress.show("counting generations");
        let rotated = if self.stock.kind == Kind::Reusable { 0 } else { self.stock.pool.replaced };
        let expected = self.stock.grants + self.codes + rotated;
        let held = self.runtime.block_on(self.stock.generations());
        self.outcome.rotations.0 += rotated;
        self.outcome.rotations.1 += held.saturating_sub(self.stock.grants + self.codes);
        if expected != held {
            let name = self.stock.kind.as_str();
            self.outcome.wrong.push(format!("{name}: {expected} generations were answered, the store holds {held}"));
        }
    }
}

fn refreshes(kind: Kind) -> Expected {
    if kind == Kind::Reusable { Expected::Same } else { Expected::Next }
}

/// What is asked, but for the last value.
pub(crate) fn form(server: &Running, kind: Kind, flow: Flow) -> Form {
    let (headers, who) = match kind {
        Kind::Public => (String::new(), format!("client_id={CLIENT}&")),
        Kind::SingleUse | Kind::Reusable => {
            (format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{CLIENT}:{SECRET}"))), String::new())
        }
    };
    let (path, body) = match flow {
        Flow::RefreshSingleUse | Flow::RefreshReusable => ("/oauth2/token", "grant_type=refresh_token&refresh_token="),
        Flow::Code | Flow::IdToken => ("/oauth2/token", "grant_type=authorization_code&code="),
        Flow::ClientCredentials => ("/oauth2/token", "grant_type=client_credentials&scope="),
        Flow::Introspect => ("/oauth2/introspect", "token="),
    };
    Form::new(path, &server.address.to_string(), &headers, &format!("{who}{body}"))
}
