//! `sim`: how we know, by command: as many kills, states, answers or forgeries as one has time for. Never shipped.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

mod bar;
mod cuts;
mod searching;
mod seeds;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bar::Bar;
use clap::{Parser, Subcommand, ValueEnum};
use regrant_server::config::StoreLocation;
use regrant_server::{App, Clock, Config, keyring};
use regrant_store::{Sqlite, SqliteOptions, Synchronous, Writes};
use seeds::{alone, print_it, simulate_all};
use serde_json::json;
use sim::exploit::{Haul, Loot, format};
use sim::process::{Home, Inside, Scratch, fresh_seed};
use sim::syscalls::inject::{self, Template};
use sim::{abuse, cluster, flood, kill, phones, revoking, simulate, startup, syscalls, timing, wire};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Parser, Debug)]
#[command(
    name = "sim",
    about = "How we know: kill tests, recordings of system calls, the model, the exploit, the flood."
)]
struct Arguments {
    /// Print one JSON object for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Kill the real server again and again under load: nothing acknowledged is lost, nobody is logged out, nothing forks.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 60)]
        cycles: u64,
        /// How many clients refresh at the same time.
        #[arg(long, default_value_t = 64)]
        clients: u64,
        /// Where the chance comes from; a fresh one is printed.
        #[arg(long)]
        seed: Option<u64>,
        /// How the store writes.
        #[arg(long, value_enum, default_value = "journal")]
        writes: Way,
    },
    /// Let the power fail under the real server, its store on a file system that forgets what nobody waited for (FUSE): the same holds.
    Power(cuts::Arguments),
    /// Nodes over a PostgreSQL with a synchronous standby: killed, failed over and cut off under load. Nothing answered is lost.
    Cluster(cluster::Arguments),
    /// Record the server's system calls: every 200 comes after the device has confirmed its batch. Then EIO, ENOSPC and SIGKILL at each of them.
    Syscalls {
        /// How many clients refresh at the same time.
        #[arg(long, default_value_t = 8)]
        clients: u64,
        /// How often each of them refreshes.
        #[arg(long, default_value_t = 30)]
        times: u64,
        /// `off` must fail: it shows that the check bites.
        #[arg(long, value_enum, default_value = "full")]
        synchronous: Waits,
        /// Replay one fault, like rotation:fdatasync:eio:1, and nothing else.
        #[arg(long)]
        only: Option<inject::Case>,
        /// Only the recording, without the faults.
        #[arg(long)]
        recording_only: bool,
        /// How the store writes.
        #[arg(long, value_enum, default_value = "journal")]
        writes: Way,
    },
    /// Open idle and slow connections to the real server, and measure honest refreshes without and with them.
    Connections {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        count: usize,
        /// How often each of the eight honest clients refreshes.
        #[arg(long, default_value_t = 2_000)]
        rounds: usize,
    },
    /// Search the small worlds, one for each kind of client.
    Model(searching::Arguments),
    /// Simulate whole deployments from seeds, on virtual time, with everything that can go wrong: Hist1 to Hist10 after each step.
    Simulate {
        /// How many histories.
        #[arg(long, default_value_t = 5_000)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many steps each has.
        #[arg(long, default_value_t = 1_000)]
        steps: u64,
        /// Every so many histories, one is on SQLite on a file whose power fails; 0 for none.
        #[arg(long, default_value_t = 20)]
        file_every: u64,
        /// Plant a fault, which must be found.
        #[arg(long, value_enum)]
        mutant: Option<simulate::Mutant>,
        /// Tell each step of the first history.
        #[arg(long)]
        tell: bool,
        /// Put the run aside in this file after each thousand histories. The next run of the same program goes on from there.
        #[arg(long, value_name = "FILE", conflicts_with = "tell")]
        checkpoint: Option<PathBuf>,
    },
    /// Plant each fault of the simulator, and find it.
    Mutants,
    /// Write docs/evidence.md; with --run, run the commands of all claims first, or of those that are named.
    Evidence {
        /// Run the commands.
        #[arg(long)]
        run: bool,
        /// Which claims.
        names: Vec<String>,
    },
    /// Every point of an operation × {crash, error, stall}.
    Failpoints,
    /// Every order in which the parts of a server can meet: commit queue, keys, assertions.
    Orders,
    /// Whether the time of an answer tells a guesser anything (Welch's t below 4.5).
    Timing {
        /// Samples of each comparison.
        #[arg(long, default_value_t = 1_000_000)]
        samples: u64,
        /// Samples of a login, each of which takes a password's time.
        #[arg(long, default_value_t = 1_000)]
        logins: u64,
    },
    /// Start the real server on a store of many grants: how soon it is ready, and how much memory it holds.
    Startup {
        /// How many grants.
        #[arg(long, default_value_t = 1_000_000)]
        grants: u64,
        /// How many seconds to watch its memory.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// End a million stored grants by one row: how soon it is answered, and that it is obeyed on the next request.
    Epochs {
        /// How many grants are revoked; a tenth more are not.
        #[arg(long, default_value_t = 1_000_000)]
        grants: u64,
        /// Of how many users.
        #[arg(long, default_value_t = 1_000)]
        users: u64,
        /// How many of the revoked, and of the others, are refreshed.
        #[arg(long, default_value_t = 1_000)]
        asked: usize,
    },
    /// Refresh and revoke at the same time, again and again: nothing works after the revocation was answered.
    Races {
        /// How often.
        #[arg(long, default_value_t = 100_000)]
        races: u64,
    },
    /// Phones with the client library that refresh for a month of virtual time while every twentieth answer is lost: who must log in again,
    /// at this server with its defaults and at one that forgives nothing.
    Phones(phones::Arguments),
    /// Refresh so often beside wide revocations of others, for `perf stat -e instructions:u` to count what they cost.
    Refreshes {
        /// How many revocations there are.
        #[arg(long, default_value_t = 0)]
        revocations: u64,
        /// How many refreshes.
        #[arg(long, default_value_t = 10_000)]
        refreshes: u64,
    },
    /// Send forged tokens as fast as this machine can, beside an honest client: the store is not asked, the client not refused.
    Flood {
        /// How long.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Over how many connections.
        #[arg(long, default_value_t = 32)]
        connections: u64,
    },
    /// Send malformed requests to every endpoint, and keys that nobody has used before: no failure, no panic, no token, no growth, and honest
    /// clients are served.
    Abuse {
        /// How many to each endpoint.
        #[arg(long, default_value_t = 1_000_000)]
        each: u64,
        /// How many keys that are each used once: clients, tokens, assertions, networks, languages, cookies.
        #[arg(long, default_value_t = 10_000_000)]
        distinct: u64,
        /// Over how many connections.
        #[arg(long, default_value_t = 4)]
        connections: u64,
        /// How often each of eight honest clients refreshes where its time is measured.
        #[arg(long, default_value_t = 2_000)]
        rounds: usize,
        /// Where the chance comes from; a fresh one is printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Try to mint a working refresh token from a deployment's database and all its keys. Works on copies.
    Exploit {
        /// The directory with `regrant.toml`.
        directory: PathBuf,
        /// A refresh token that was stolen from a client, to see what it adds.
        #[arg(long)]
        token: Option<String>,
    },
    /// Serve the clients of the tests on a store that may be told not to wait for the device.
    Serve {
        /// The SQLite file.
        #[arg(long)]
        store: PathBuf,
        /// The root key file.
        #[arg(long)]
        root: PathBuf,
        /// What COMMIT waits for.
        #[arg(long, value_enum, default_value = "full")]
        synchronous: Waits,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
}

/// What COMMIT waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Waits {
    /// The device.
    Full,
    /// Nothing.
    Off,
}

/// How the store writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Way {
    /// One row a batch.
    Journal,
    /// Each in its place.
    Rows,
    /// The two in turns, from start to start.
    Turns,
}

impl Way {
    const fn in_turn(self) -> &'static [Writes] {
        match self {
            Self::Journal => &[Writes::Journal],
            Self::Rows => &[Writes::Rows],
            Self::Turns => &[Writes::Journal, Writes::Rows],
        }
    }
}

fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let holds = runtime.block_on(async {
        match command {
            Command::Kill { cycles, clients, seed, writes } => {
                let seed = seed.unwrap_or_else(fresh_seed);
                let options = kill::Options { cycles, clients, seed, fault: None, writes: writes.in_turn() };
                kill_again(options, json).await
            }
            Command::Power(arguments) => cuts::cut(&arguments, json).await,
            Command::Cluster(arguments) => cluster::tell(&arguments, json).await,
            Command::Syscalls { only, clients, times, synchronous, recording_only, writes } => {
                let mut holds = true;
                for way in writes.in_turn() {
                    if only.is_some() {
                        holds &= faults(only.clone(), *way, json).await;
                        continue;
                    }
                    holds &= record((clients, times), synchronous, *way, json).await;
                    if !recording_only && synchronous == Waits::Full {
                        holds = holds && faults(None, *way, json).await;
                    }
                }
                holds
            }
            Command::Connections { count, rounds } => connections(count, rounds, json).await,
            Command::Model(arguments) => searching::search(&arguments, json).await,
            Command::Simulate { seeds, from, steps, file_every, mutant, tell, checkpoint } => {
                let options = simulate::Options { seeds, from, steps, file_every, mutant, ..Default::default() };
                simulate_all(&options, checkpoint.as_deref(), tell, json)
            }
            Command::Mutants => alone(|| seeds::mutants(json)),
            Command::Evidence { run, names } => alone(|| seeds::evidence(run, &names)),
            Command::Failpoints => {
                let report = alone(simulate::failpoints::all);
                print_it(&report, &report.json(), json);
                report.wrong.is_empty()
            }
            Command::Orders => {
                let orders = alone(simulate::orders::all);
                print_it(&orders, &orders.json(), json);
                orders.wrong.is_empty()
            }
            Command::Timing { samples, logins } => {
                let mut report = timing::run(samples);
                report.0.push(timing::users(logins).await);
                print_it(&report, &report.json(), json);
                report.holds()
            }
            Command::Startup { grants, seconds } => start_large(grants, Duration::from_secs(seconds), json).await,
            Command::Epochs { grants, users, asked } => epochs(revoking::Size { grants, users, asked }, json).await,
            Command::Refreshes { revocations, refreshes } => {
                revoking::refreshes(Scratch::new("refreshes").path(), revocations, refreshes).await;
                true
            }
            Command::Races { races } => race(races, json).await,
            Command::Phones(arguments) => phones::tell(&arguments, json).await,
            Command::Flood { seconds, connections } => flood_it(flood::Options { seconds, connections }, json).await,
            Command::Abuse { each, distinct, connections, rounds, seed } => {
                let seed = seed.unwrap_or_else(fresh_seed);
                abuse_it(abuse::Options { each, distinct, connections, rounds, seed }, json).await
            }
            Command::Exploit { directory, token } => exploit(&directory, token.as_deref(), json).await,
            Command::Serve { store, root, synchronous, listen } => serve(&store, &root, synchronous, listen).await,
        }
    });
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn kill_again(options: kill::Options, json: bool) -> bool {
    if !json {
        println!("seed {}", options.seed);
    }
    let scratch = Scratch::new("kill");
    let mut progress = |now: &kill::Report| {
        let (done, all) = (now.cycles, options.cycles);
        let (told, broken) = (now.acknowledged, now.interrupted);
        let wrong = now.lost + now.forks + now.sessions_lost;
        show(&format!(
            "cycle {done} of {all}: {told} rotations acknowledged, {broken} requests interrupted, {wrong} wrong"
        ));
    };
    let report = kill::run(options, scratch.path(), &mut progress).await;
    show("");
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds()
}

async fn abuse_it(options: abuse::Options, json: bool) -> bool {
    if !json {
        println!("seed {}", options.seed);
    }
    let scratch = Scratch::new("abuse");
    let bar = Bar::begin();
    let report = abuse::run(options, scratch.path(), &|done, all| bar.show("request", done, all)).await;
    show("");
    print_it(&report, &report.json(), json);
    report.holds()
}

async fn flood_it(options: flood::Options, json: bool) -> bool {
    let scratch = Scratch::new("flood");
    let report = flood::run(options, scratch.path()).await;
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds()
}

async fn epochs(size: revoking::Size, json: bool) -> bool {
    let scratch = Scratch::new("epochs");
    let report = revoking::epochs(scratch.path(), size, |made| show(&format!("{made} grants made"))).await;
    show("");
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds()
}

async fn race(races: u64, json: bool) -> bool {
    let scratch = Scratch::new("races");
    let bar = Bar::begin();
    let report = revoking::race(scratch.path(), races, |done| bar.show("race", done, races)).await;
    show("");
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds()
}

async fn record((clients, times): (u64, u64), synchronous: Waits, writes: Writes, json: bool) -> bool {
    if let Err(why) = syscalls::can_record() {
        eprintln!("strace cannot run: {why}");
        return false;
    }
    let scratch = Scratch::new("syscalls");
    let home = Home::make(scratch.path());
    home.write_by(writes);
    home.add_user();
    let instead = (synchronous == Waits::Off).then(|| {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg("serve").arg("--store").arg(home.store()).arg("--root").arg(home.root_key_file());
        command.args(["--synchronous", "off"]);
        command
    });
    let (recording, told) = syscalls::record(&home, clients, times, instead).await;
    let syscalls::Checked { answers, log_writes, syncs, violations } = syscalls::check(&recording, &told);
    if json {
        println!("{}", json!({"answers": answers, "log_writes": log_writes, "syncs": syncs, "violations": violations}));
    } else {
        println!("answers with 200          {answers}");
        println!("writes to the log         {log_writes}");
        println!("confirmed by the device   {syncs}");
        println!("answered too early        {}", violations.len());
        violations.iter().take(5).for_each(|violation| println!("  {violation}"));
    }
    violations.is_empty()
}

/// Every fault, or one.
async fn faults(only: Option<inject::Case>, writes: Writes, json: bool) -> bool {
    if let Err(why) = syscalls::can_record() {
        eprintln!("strace cannot run: {why}");
        return false;
    }
    let scratch = Scratch::new("faults");
    let template = Template::make(&scratch.path().join("template"), writes).await;
    let cases = match only {
        Some(case) => vec![case],
        None => template.cases(scratch.path()).await,
    };
    let (all, clock) = (cases.len(), Clock::system());
    let (began, mut fired, mut failed) = (clock.ran(), 0_u32, Vec::new());
    for (number, case) in (1..).zip(&cases) {
        let outcome = template.run(case, &scratch.path().join("case")).await;
        fired += u32::from(outcome.fired);
        if !outcome.violations.is_empty() {
            failed.push(outcome);
        }
        let spent = clock.ran().saturating_sub(began).as_secs_f64();
        let left = spent / f64::from(number) * (all as f64 - f64::from(number));
        let bar = "#".repeat(30 * number as usize / all.max(1));
        show(&format!("[{bar:<30}] {number} of {all}, {} wrong, {left:.0} s left: {case}", failed.len()));
    }
    show("");
    if json {
        let wrong: Vec<_> = failed
            .iter()
            .map(|outcome| json!({"case": outcome.case.to_string(), "violations": outcome.violations}))
            .collect();
        println!("{}", json!({"cases": all, "fired": fired, "wrong": wrong, "holds": failed.is_empty()}));
    } else {
        println!("faults                    {all} ({fired} came)");
        println!("wrong                     {}", failed.len());
        for outcome in &failed {
            let way = format!("{writes:?}").to_lowercase();
            println!("  cargo run --release -p sim -- syscalls --writes {way} --only {}", outcome.case);
            outcome.violations.iter().for_each(|violation| println!("    {violation}"));
        }
    }
    failed.is_empty()
}

async fn connections(count: usize, rounds: usize, json: bool) -> bool {
    let scratch = Scratch::new("connections");
    let report = sim::connections::run(&Home::make(scratch.path()), count, rounds).await;
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    report.holds()
}

async fn start_large(grants: u64, watched: Duration, json: bool) -> bool {
    let scratch = Scratch::new("startup");
    let home = Home::make(scratch.path());
    startup::fill(&home, grants, |made| show(&format!("{made} of {grants} grants made"))).await;
    show("watching the server");
    let startup::Startup { bytes, events, ready, rss_ready, rss_most, .. } = startup::watch(&home, grants, watched);
    show("");
    let ready = ready.as_secs_f64() * 1000.0;
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    if json {
        println!(
            "{}",
            json!({"grants": grants, "bytes": bytes, "event_bytes": events, "ready_ms": ready, "rss_ready_mib": mib(rss_ready), "rss_most_mib": mib(rss_most)})
        );
    } else {
        let each = |bytes: u64| bytes as f64 / grants.max(1) as f64;
        println!("grants                    {grants}, {:.0} bytes each", each(bytes - events));
        println!("events of their making    {:.0} bytes each, until the sweep removes them", each(events));
        println!("ready after               {ready:.0} ms");
        println!("resident memory           {:.1} MiB", mib(rss_ready));
        println!("the most, while sweeping  {:.1} MiB", mib(rss_most));
    }
    true
}

/// Loots a copy, and attacks a server on another copy: nothing happens to the deployment itself.
async fn exploit(directory: &Path, token: Option<&str>, json: bool) -> bool {
    let file = directory.join("regrant.toml");
    let mut config = match Config::load(&file) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors.to_string()),
    };
    let StoreLocation::Sqlite(store) = config.store.clone() else { return refuse("there is no file to steal") };
    let scratch = Scratch::new("exploit");
    let copies = ["looted.db", "served.db"].map(|name| scratch.path().join(name));
    for copy in &copies {
        for ending in ["", "-wal"] {
            let with = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
            if with(&store).exists() && std::fs::copy(with(&store), with(copy)).is_err() {
                return refuse("the store cannot be copied");
            }
        }
    }
    let [looted, served] = copies;
    let loot = match Loot::take(&looted, &config.root_key_file) {
        Ok(loot) => loot,
        Err(why) => return refuse(&why),
    };
    let seeds = token.and_then(format::Token::read).map(|token| token.seed).into_iter().collect();
    let haul = Haul { copies: vec![loot], seeds };
    let (live, looked_at) = haul.live_seeds();
    config.store = StoreLocation::Sqlite(served);
    let server = match Inside::open(config, Clock::system()) {
        Ok(server) => server,
        Err(error) => return refuse(&error.to_string()),
    };
    let outcome = Haul::attack(haul.forge(), async |forged| sim::exploit::present(&server, forged).await).await;
    let (grants, keys) = haul.copies.first().map_or((0, 0), |loot| (loot.rows.len(), loot.seed_keys.len()));
    if json {
        println!(
            "{}",
            json!({"grants": grants, "seed_keys": keys, "guesses": looked_at, "live_seeds": live.len(),
                "presented": outcome.attempts, "answers": outcome.answers, "accepted": outcome.accepted.len()})
        );
    } else {
        println!("looted: {grants} grants, {keys} seed keys, the root key and all that it derives");
        println!("seeds that hash to a row, out of {looked_at} guesses: {}", live.len());
        println!("presented {} forged tokens and codes; the answers:", outcome.attempts);
        outcome.answers.iter().for_each(|(answer, count)| println!("  {count:>8}  {answer}"));
        println!("accepted: {}", outcome.accepted.len());
    }
    outcome.accepted.is_empty()
}

fn refuse(why: &str) -> bool {
    eprintln!("{why}");
    false
}

/// The server as a library, on a store of our choice.
async fn serve(store: &Path, root: &Path, synchronous: Waits, listen: SocketAddr) -> bool {
    let synchronous = match synchronous {
        Waits::Full => Synchronous::Full,
        Waits::Off => Synchronous::Off,
    };
    let served = async {
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| error.to_string())?;
        let bound = listener.local_addr().map_err(|error| error.to_string())?;
        let options = SqliteOptions { synchronous, ..SqliteOptions::default() };
        let store = Sqlite::open(store, &options).map_err(|error| error.to_string())?;
        let root = keyring::read_root_key(root).map_err(|error| error.to_string())?;
        let mut config = wire::config(wire::CONFIG);
        config.listen = bound;
        let app = App::open_with(config, Box::new(store), root, Clock::system()).map_err(|error| error.to_string())?;
        // Before anybody knows where we are: a signal that comes at once must be heard.
        let terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        println!("{}", json!({"issuer": app.issuer(), "listen": bound.to_string()}));
        let _ = std::io::stdout().flush();
        regrant_server::serve(app, listener, stop(terminate)).await.map_err(|error| error.to_string())
    };
    served.await.map_or_else(|error: String| refuse(&error), |()| true)
}

async fn stop(mut terminate: Signal) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// One line of progress, over the last one; nothing where nobody looks.
fn show(line: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = write!(out, "\r\x1b[2K{line}");
        let _ = out.flush();
    }
}
