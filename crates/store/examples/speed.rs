//! The store alone, as the writer thread drives it: batches of random grants are loaded, stepped and committed.
//!
//! `cargo run --release -p regrant-store --example speed -- FILE GRANTS BATCH BATCHES [journal|rows] [full|off] [kill]` fills FILE with
//! GRANTS grants if it is not there, runs BATCHES batches of BATCH grants as a warm-up and as many again that are measured, and
//! tells how fast they were, how large the files are and how much memory it holds. `kill` ends it as a crash would. Under
//! `valgrind --tool=callgrind --toggle-collect='*measured*'` the instructions of the measured half are counted.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regrant_core::grant::{Binding, Rotation, RowMac};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, GrantId, Resources, Scope, Terms, Timestamp};
use regrant_store::{Outcome, Record, Sqlite, SqliteOptions, Store, Synchronous, User, Writes};

const DAY: i64 = 86_400_000;
/// Grants share so many users.
const USERS: u64 = 100_000;

struct Asked {
    file: PathBuf,
    grants: u64,
    batch: usize,
    batches: usize,
    options: SqliteOptions,
    kill: bool,
}

fn main() -> Result<(), String> {
    let asked = asked().ok_or("speed FILE GRANTS BATCH BATCHES [journal|rows] [full|off] [kill]")?;
    if !asked.file.exists() {
        let off = SqliteOptions { synchronous: Synchronous::Off, ..asked.options.clone() };
        fill(&mut open(&asked.file, &off)?, asked.grants)?;
    }
    let began = now();
    let mut store = open(&asked.file, &asked.options)?;
    println!("opened in {:.0} ms", millis(began.elapsed()));
    let mut chance = Chance(7);
    let mut time = store.high_water().millis();
    let warm_up = run(&mut store, &asked, &mut chance, &mut time)?;
    let size = size(&asked.file);
    let measured = measured(&mut store, &asked, &mut chance, &mut time)?;
    tell("warm-up ", &warm_up, &asked);
    tell("measured", &measured, &asked);
    let after = self::size(&asked.file);
    let growth = (after as f64 / size as f64 - 1.0) * 100.0;
    println!(
        "file {after} bytes, {:.0} a grant, {growth:+.2} % in the measured half",
        after as f64 / asked.grants as f64
    );
    println!("log at most {} bytes; {}", warm_up.log.max(measured.log), memory());
    if asked.kill {
        std::mem::forget(store);
        return Ok(());
    }
    let began = now();
    drop(store);
    println!("closed in {:.0} ms", millis(began.elapsed()));
    Ok(())
}

fn asked() -> Option<Asked> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next()?.into();
    let grants = arguments.next()?.parse().ok()?;
    let (batch, batches) = (arguments.next()?.parse().ok()?, arguments.next()?.parse().ok()?);
    let (mut options, mut kill) = (SqliteOptions::default(), false);
    for word in arguments {
        match word.as_str() {
            "journal" => options.writes = Writes::Journal,
            "rows" => options.writes = Writes::Rows,
            "full" => options.synchronous = Synchronous::Full,
            "kill" => kill = true,
            "off" => options.synchronous = Synchronous::Off,
            _ => return None,
        }
    }
    Some(Asked { file, grants, batch, batches, options, kill })
}

fn open(file: &Path, options: &SqliteOptions) -> Result<Sqlite, String> {
    Sqlite::open(file, options).map_err(|error| error.to_string())
}

/// As many batches, and nothing else: the function whose instructions are counted.
#[inline(never)]
fn measured(store: &mut Sqlite, asked: &Asked, chance: &mut Chance, time: &mut i64) -> Result<Run, String> {
    run(store, asked, chance, time)
}

#[derive(Default)]
struct Run {
    took: Duration,
    batches: Vec<Duration>,
    log: u64,
}

fn run(store: &mut Sqlite, asked: &Asked, chance: &mut Chance, time: &mut i64) -> Result<Run, String> {
    let mut run = Run::default();
    let log = PathBuf::from(format!("{}-wal", asked.file.display()));
    let began = now();
    for _ in 0..asked.batches {
        let mut ids: Vec<GrantId> = (0..asked.batch).map(|_| id(1 + chance.next() % asked.grants)).collect();
        ids.sort_unstable();
        ids.dedup();
        *time += 1;
        let at = now();
        batch(store, &ids, chance, Timestamp::from_millis(*time))?;
        run.batches.push(at.elapsed());
        run.log = run.log.max(log.metadata().map_or(0, |found| found.len()));
    }
    run.took = began.elapsed();
    run.batches.sort_unstable();
    Ok(run)
}

fn batch(store: &mut Sqlite, ids: &[GrantId], chance: &mut Chance, now: Timestamp) -> Result<(), String> {
    let found = store.load(ids).map_err(|trouble| trouble.to_string())?;
    let mut records = Vec::with_capacity(ids.len());
    for found in found {
        let Grant { version, generation, rotated_at, .. } = found.as_ref().ok_or("a grant is missing")?.grant;
        let grant = Grant {
            version: version + 1,
            write_id: chance.next(),
            generation: generation + 1,
            current: Some(Hash(chance.bytes())),
            ratchet: Some(chance.bytes()),
            rotated_at: now,
            previously_rotated_at: rotated_at,
            answered_at: now,
            idle_at: now.plus(Duration::from_secs(30 * 86_400)),
            ..found.ok_or("a grant is missing")?.grant
        };
        records.push(Record::Grant { expected: Some(version), grant, mac: mac(chance), events: Vec::new() });
    }
    let outcomes = store.commit(&records, now).map_err(|trouble| trouble.to_string())?;
    let all = outcomes.iter().all(|outcome| *outcome == Outcome::Committed);
    if all { Ok(()) } else { Err("a record was stale".to_owned()) }
}

fn fill(store: &mut Sqlite, grants: u64) -> Result<(), String> {
    let mut chance = Chance(1);
    let now = Timestamp::from_millis(1_800_000_000_000);
    let mut commit = |records: &[Record]| store.commit(records, now).map(|_| ()).map_err(|trouble| trouble.to_string());
    for first in (0..USERS.min(grants)).step_by(1024) {
        let users: Vec<_> =
            (first..USERS.min(grants).min(first + 1024)).map(|user| Record::AddUser(self::user(user))).collect();
        commit(&users)?;
    }
    for first in (1..=grants).step_by(1024) {
        let new = |number| {
            let grant = grant(number, now, &mut chance);
            Record::Grant { expected: None, grant, mac: mac(&mut chance), events: Vec::new() }
        };
        let new: Vec<_> = (first..=grants.min(first + 1023)).map(new).collect();
        commit(&new)?;
    }
    Ok(())
}

fn user(number: u64) -> User {
    User {
        subject: subject(number),
        name: format!("user{number}@example.com"),
        password: String::new(),
        disabled_at: None,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        version: 1,
        attributes: "{}".to_owned(),
    }
}

fn subject(user: u64) -> String {
    format!("usr_{user:022}")
}

fn id(number: u64) -> GrantId {
    GrantId { number, random: Chance(number).next() }
}

/// As the server makes it for a confidential client that has redeemed a code without PKCE.
fn grant(number: u64, now: Timestamp, chance: &mut Chance) -> Grant {
    Grant {
        id: id(number),
        version: 2,
        write_id: chance.next(),
        generation: 1,
        current: Some(Hash(chance.bytes())),
        ratchet: None,
        tag_key: 1,
        era: 0,
        seed_key: 1,
        rotated_at: now,
        previously_rotated_at: now,
        answered_at: now,
        retries: 0,
        retry_proof: None,
        idle_at: Timestamp::from_millis(now.millis() + 30 * DAY),
        absolute_at: Timestamp::from_millis(now.millis() + 365 * DAY),
        ended: None,
        redeemed_at: Some(now),
        terms: Arc::new(Terms {
            client: ClientId::parse("web-single").unwrap_or_else(|| unreachable!("a client id")),
            subject: subject(number % USERS),
            scope: Scope::parse("openid profile read").unwrap_or_default(),
            resources: Resources::default(),
            binding: Binding::Client,
            rotation: Rotation::SingleUse,
            refreshable: true,
            authenticated_at: now,
            created_at: now,
            epoch: 0,
            session: None,
            openid: None,
            code: None,
        }),
    }
}

fn mac(chance: &mut Chance) -> RowMac {
    let [mac, _] = [chance.bytes::<16>(), chance.bytes::<16>()];
    RowMac { key_id: 1, mac }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
        bytes
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
fn now() -> Instant {
    Instant::now()
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn size(file: &Path) -> u64 {
    file.metadata().map_or(0, |found| found.len())
}

fn tell(name: &str, run: &Run, asked: &Asked) {
    let at = |share: f64| {
        let index = ((run.batches.len() as f64 * share) as usize).min(run.batches.len().saturating_sub(1));
        run.batches.get(index).map_or(0.0, |took| millis(*took))
    };
    println!(
        "{name} {:.0} a second; a batch of {} takes {:.2} ms, p99 {:.2}, p99.9 {:.2}, longest {:.2}",
        (asked.batch * asked.batches) as f64 / run.took.as_secs_f64(),
        asked.batch,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

/// What the system says of our memory.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
