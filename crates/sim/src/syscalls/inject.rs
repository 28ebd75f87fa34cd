//! A machine that misbehaves: EIO, ENOSPC or SIGKILL at the Nth system call of one kind (checks Z2, Z4, Z5, Z16, T6).
//!
//! The real binary under `strace -e inject=…:when=N`, on a copy of one deployment that was killed with a full write-ahead log. First
//! each moment is run undisturbed and its calls are counted; then every call of every kind fails once, in a run of its own.
//! After the fault the server is started again, if it ended, and asked:
//!
//! | moment     | what must hold                                                                                     |
//! |------------|----------------------------------------------------------------------------------------------------|
//! | rotation   | answered: the successor works. Not answered: the same token works. One generation, in every case     |
//! | redemption | answered: its token works, and the code is spent. Not answered: the code yields one grant, or none   |
//! | revocation | answered: it holds. Not answered: asked again it holds                                             |
//! | start      | it starts, and everything is there; or it says why not, with a remedy, and the next start does       |
//! | stop       | as a kill: everything that was answered is there. Here the log is moved into the file                |
//!
//! And always: another session goes on, nothing panics, the file is whole, a server that ends by itself says why and ends with 74,
//! and no device that failed to confirm is asked to confirm again (check Z4).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use regrant_core::token::RefreshToken;
use regrant_store::Writes;

use crate::process::{Holder, Home, Refused, Server};
use crate::wire::{Browser, CALLBACK, PASSWORD, Reply, USER, VERIFIER, authorization, text};

/// Calls on the files of the store.
const ON_STORE: [&str; 10] =
    ["pwrite64", "fdatasync", "fsync", "ftruncate", "fallocate", "openat", "unlink", "mmap", "pread64", "fcntl"];
/// Calls on sockets.
const ON_SOCKETS: [&str; 3] = ["sendto", "writev", "recvfrom"];
/// `write` on the log.
const ON_LOG: &str = "write";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the fault comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Moment {
    /// A refresh.
    Rotation,
    /// A code is redeemed.
    Redemption,
    /// A token is revoked.
    Revocation,
    /// The server starts on what a killed one left.
    Start,
    /// The server stops.
    Stop,
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hit {
    /// The call fails: the device.
    Eio,
    /// The call fails: no room.
    Enospc,
    /// The process is killed.
    Kill,
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// When.
    pub moment: Moment,
    /// Which system call.
    pub call: String,
    /// What happens to it.
    pub hit: Hit,
    /// The how manieth of its thread, from 1.
    pub nth: u32,
}

const MOMENTS: [(&str, Moment); 5] = [
    ("rotation", Moment::Rotation),
    ("redemption", Moment::Redemption),
    ("revocation", Moment::Revocation),
    ("start", Moment::Start),
    ("stop", Moment::Stop),
];
const HITS: [(&str, Hit); 3] = [("eio", Hit::Eio), ("enospc", Hit::Enospc), ("kill", Hit::Kill)];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = MOMENTS.iter().find(|(_, moment)| *moment == self.moment).map_or("", |(name, _)| name);
        let hit = HITS.iter().find(|(_, hit)| *hit == self.hit).map_or("", |(name, _)| name);
        write!(f, "{moment}:{}:{hit}:{}", self.call, self.nth)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no case: write it like rotation:fdatasync:eio:1");
        let parts: Vec<&str> = text.split(':').collect();
        let [moment, call, hit, nth] = parts[..] else { return Err(wrong()) };
        Ok(Self {
            moment: MOMENTS.iter().find(|(name, _)| *name == moment).ok_or_else(wrong)?.1,
            call: call.to_owned(),
            hit: HITS.iter().find(|(name, _)| *name == hit).ok_or_else(wrong)?.1,
            nth: nth.parse().map_err(|_| wrong())?,
        })
    }
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// Whether the fault came: a count may differ by one from run to run.
    pub fired: bool,
    /// What must not be.
    pub violations: Vec<String>,
}

/// The deployment that each case gets a copy of: killed, with a log that is not yet in the file.
#[derive(Debug)]
pub struct Template {
    home: Home,
    first: String,
    control: String,
}

impl Template {
    /// Makes it; its store writes so.
    ///
    /// # Panics
    /// If the server does not run.
    pub async fn make(directory: &Path, writes: Writes) -> Self {
        let home = Home::make(directory);
        home.write_by(writes);
        home.add_user();
        let server = Server::start(&home);
        let asked = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let reply = send(&server, "/oauth2/token", &asked).await.expect("an answer").expect_status(200);
            tokens.push(text(&reply.json(), "refresh_token"));
        }
        server.kill();
        let control = tokens.pop().unwrap_or_default();
        Self { home, first: tokens.pop().unwrap_or_default(), control }
    }

    /// Counts the calls of each moment, and lists every fault.
    ///
    /// # Panics
    /// If an undisturbed run fails.
    pub async fn cases(&self, directory: &Path) -> Vec<Case> {
        let mut cases = Vec::new();
        for (name, moment) in MOMENTS {
            let mut counts = BTreeMap::new();
            for group in [&ON_STORE[..], &ON_SOCKETS[..], &[ON_LOG]] {
                let run = Run { template: self, moment, calls: group.join(","), inject: None };
                let home = self.home.copy_to(&directory.join(format!("count-{name}-{}", group[0])));
                let done = run.go(&home).await;
                assert!(done.violations.is_empty(), "undisturbed: {:?}", done.violations);
                counts.extend(most_per_thread(&done.trace));
            }
            for (call, count) in counts {
                for (_, hit) in HITS {
                    let has_no_room =
                        ["pwrite64", "ftruncate", "fallocate", "openat", "write"].contains(&call.as_str());
                    // The runtime hears of signals through sockets of its own, which no device can fail.
                    let is_a_socket = ON_SOCKETS.contains(&call.as_str());
                    let is_its_own = moment == Moment::Stop && is_a_socket && hit == Hit::Eio;
                    if hit == Hit::Enospc && !has_no_room || is_its_own {
                        continue;
                    }
                    cases.extend((1..=count).map(|nth| Case { moment, call: call.clone(), hit, nth }));
                }
            }
        }
        cases
    }

    /// Runs one case on a copy in `directory`.
    ///
    /// # Panics
    /// If strace does not run.
    pub async fn run(&self, case: &Case, directory: &Path) -> Outcome {
        let home = self.home.copy_to(directory);
        let run = Run { template: self, moment: case.moment, calls: case.call.clone(), inject: Some(case) };
        let done = run.go(&home).await;
        let fired = done.trace.contains("INJECTED") || done.trace.contains("killed by SIGKILL");
        let _ = std::fs::remove_dir_all(directory);
        Outcome { case: case.clone(), fired, violations: done.violations }
    }
}

/// The most calls that one thread made, by name: strace counts for each thread.
fn most_per_thread(trace: &str) -> BTreeMap<String, u32> {
    let mut threads: HashMap<(&str, &str), u32> = HashMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if ON_STORE.contains(&name) || ON_SOCKETS.contains(&name) || name == ON_LOG {
            *threads.entry((thread, name)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in threads {
        let highest: &mut u32 = most.entry(name.to_owned()).or_default();
        *highest = count.max(*highest);
    }
    most
}

/// One run: with a fault, or to count.
struct Run<'a> {
    template: &'a Template,
    moment: Moment,
    calls: String,
    inject: Option<&'a Case>,
}

#[derive(Default)]
struct Done {
    trace: String,
    violations: Vec<String>,
}

impl Run<'_> {
    async fn go(&self, home: &Home) -> Done {
        let mut done = Done::default();
        let trace = home.directory().join("trace.txt");
        let answer = match self.moment {
            Moment::Start => self.start(home, &trace, &mut done).await,
            _ => self.disturb(home, &trace, &mut done).await,
        };
        done.trace = String::from_utf8_lossy(&std::fs::read(&trace).unwrap_or_default()).into_owned();
        done.confirmed_twice();
        let server = match Server::try_start(home.command(&["serve"]), &home.log()) {
            Ok(server) => server,
            Err(refused) => {
                done.violations.push(format!("the next start was refused: {refused:?}"));
                return done;
            }
        };
        self.judge(&server, answer, &mut done).await;
        let log = server.stop();
        done.must(!log.contains("panicked"), "something panicked");
        self.look_into(home, &mut done).await;
        done
    }

    /// strace with what is traced, and what is injected.
    fn strace(&self, home: &Home, trace: &Path) -> Command {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "32", "-o"]).arg(trace).args(["-e", &format!("trace={}", self.calls)]);
        if let Some(Case { call, hit, nth, .. }) = self.inject {
            let what = match hit {
                Hit::Eio => "error=EIO",
                Hit::Enospc => "error=ENOSPC",
                Hit::Kill => "signal=KILL",
            };
            command.args(["-e", &format!("inject={call}:{what}:when={nth}")]);
        }
        let first = self.calls.split(',').next().unwrap_or_default();
        let mut paths: Vec<PathBuf> = Vec::new();
        if first == ON_LOG {
            paths.push(home.log());
        } else if ON_STORE.contains(&first) {
            let store = home.store();
            paths.extend(["", "-wal", "-shm"].map(|ending| PathBuf::from(format!("{}{ending}", store.display()))));
        }
        for path in paths {
            command.arg("-P").arg(path);
        }
        command
    }

    /// The fault comes while the server starts; if it starts, a refresh follows.
    async fn start(&self, home: &Home, trace: &Path, done: &mut Done) -> Option<Reply> {
        let mut command = self.strace(home, trace);
        let traced = home.command(&["serve"]);
        command.arg("--").arg(traced.get_program()).args(traced.get_args());
        match Server::try_start(command, &home.log()) {
            Ok(server) => {
                let answer = self.act(&server, "").await;
                server.kill_all(&home.store());
                answer
            }
            Err(Refused { code, said }) => {
                let is_told = code.is_some_and(|code| [69, 74, 75, 78].contains(&code)) && said.contains("remedy");
                let is_killed = self.inject.is_some_and(|case| case.hit == Hit::Kill);
                done.must(is_told || is_killed, &format!("ended at start with {code:?}: {said}"));
                None
            }
        }
    }

    /// The fault comes while the server runs.
    async fn disturb(&self, home: &Home, trace: &Path, done: &mut Done) -> Option<Reply> {
        let server = Server::start(home);
        let code = if self.moment == Moment::Redemption {
            Browser::new(server.base()).log_in_for_code(&authorization("phone", &[])).await
        } else {
            String::new()
        };
        let mut answer = if self.moment == Moment::Stop { self.act(&server, &code).await } else { None };
        let mut strace = self.strace(home, trace);
        let mut tracer = attach(strace.arg("-p").arg(server.pid().to_string()));
        if self.moment == Moment::Stop {
            let _ = Command::new("kill").args(["-TERM", &server.pid().to_string()]).status();
            let ended = server.ended(PATIENCE).await;
            done.must(ended.is_ok(), &format!("told to stop: {ended:?}"));
        } else {
            answer = self.act(&server, &code).await;
            let mut failed = server.log_text().contains("must be opened anew");
            let was_answered = answer.as_ref().is_some_and(|reply| reply.status.as_u16() == 200);
            let kills = self.inject.is_some_and(|case| case.hit == Hit::Kill);
            if !failed && !was_answered && !kills {
                // It goes on by itself: asked again in the same process, the same request is answered; or it ends now.
                end(&mut tracer);
                let again = self.act(&server, &code).await;
                let status = again.as_ref().map(|reply| reply.status.as_u16());
                let spent = self.moment == Moment::Redemption && status == Some(400);
                let log = server.log_text();
                let why = log.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
                let what = format!("asked again, the running server said {status:?}: {why}");
                failed = log.contains("must be opened anew");
                done.must(status == Some(200) || spent || failed, &what);
                answer = again.filter(|reply| reply.status.as_u16() == 200);
            }
            if failed {
                let ended = server.ended(PATIENCE).await;
                done.must(ended == Ok(Some(74)), &format!("ended with {ended:?} and not with 74"));
            } else {
                server.kill();
            }
        }
        end(&mut tracer);
        if self.moment == Moment::Redemption {
            std::fs::write(home.directory().join("code"), code).expect("a note");
        }
        answer
    }

    async fn act(&self, server: &Server, code: &str) -> Option<Reply> {
        match self.moment {
            Moment::Rotation | Moment::Start | Moment::Stop => refresh(server, &self.template.first).await,
            Moment::Redemption => redeem(server, code).await,
            Moment::Revocation => revoke(server, &self.template.first).await,
        }
    }

    /// The next server is asked what is true.
    async fn judge(&self, server: &Server, answer: Option<Reply>, done: &mut Done) {
        let answer = answer.filter(|reply| {
            let status = reply.status.as_u16();
            done.must([200, 503].contains(&status), &format!("answered {status} {}", reply.text()));
            status == 200
        });
        let first = &self.template.first;
        match self.moment {
            Moment::Rotation | Moment::Start | Moment::Stop => {
                let known = match answer {
                    Some(reply) => Some(text(&reply.json(), "refresh_token")),
                    None => done.next(refresh(server, first).await, "the token that was not answered"),
                };
                if let Some(token) = known {
                    done.next(refresh(server, &token).await, "the successor");
                }
            }
            Moment::Redemption => {
                let code = std::fs::read_to_string(server.log_path().with_file_name("code")).unwrap_or_default();
                match answer {
                    Some(reply) => {
                        let token = text(&reply.json(), "refresh_token");
                        done.next(refresh(server, &token).await, "the token of the code");
                    }
                    None => {
                        let again = redeem(server, &code).await;
                        let status = again.as_ref().map(|reply| reply.status.as_u16());
                        done.must(matches!(status, Some(200 | 400)), &format!("the code was answered {status:?}"));
                        if let Some(reply) = again.filter(|reply| reply.status.as_u16() == 200) {
                            let token = text(&reply.json(), "refresh_token");
                            done.next(refresh(server, &token).await, "the token of the code");
                        }
                    }
                }
                let status = redeem(server, &code).await.map(|reply| reply.status.as_u16());
                done.must(status == Some(400), &format!("a code that is spent was answered {status:?}"));
            }
            Moment::Revocation => {
                if answer.is_none() {
                    let status = revoke(server, first).await.map(|reply| reply.status.as_u16());
                    done.must(status == Some(200), &format!("the revocation was answered {status:?}"));
                }
                let status = refresh(server, first).await.map(|reply| reply.status.as_u16());
                done.must(status == Some(400), &format!("a revoked token was answered {status:?}"));
            }
        }
        done.next(refresh(server, &self.template.control).await, "the session of somebody else");
    }

    /// Generations in the rows, and the file.
    async fn look_into(&self, home: &Home, done: &mut Done) {
        let inside = home.open_inside();
        let keys = inside.app.engine.keys();
        if let Some(token) = RefreshToken::open(&self.template.first, &keys) {
            let row = inside.app.engine.load(token.grant).await.ok().flatten();
            let generation = row.map_or(0, |row| row.grant.generation);
            let expected = match self.moment {
                Moment::Rotation | Moment::Start | Moment::Stop => 3,
                Moment::Redemption | Moment::Revocation => 1,
            };
            done.must(generation == expected, &format!("the row has generation {generation}, and not {expected}"));
        }
        inside.close(&home.store()).await;
        let verdict = rusqlite::Connection::open(home.store())
            .and_then(|sql| sql.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
        done.must(verdict.as_deref() == Ok("ok"), &format!("the file: {verdict:?}"));
    }
}

impl Done {
    fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.violations.push(what.to_owned());
        }
    }

    fn next(&mut self, reply: Option<Reply>, what: &str) -> Option<String> {
        let status = reply.as_ref().map(|reply| reply.status.as_u16());
        self.must(status == Some(200), &format!("{what} was answered {status:?}"));
        reply.filter(|reply| reply.status.as_u16() == 200).map(|reply| text(&reply.json(), "refresh_token"))
    }

    /// Check Z4: behind a failed wait for a file of the store, no other wait for the same file.
    fn confirmed_twice(&mut self) {
        let file = |line: &str| {
            let (_, rest) = line.split_once("sync(")?;
            rest.split_once('<')?.1.split_once('>').map(|(path, _)| path.to_owned())
        };
        let mut failed: Option<String> = None;
        let lines: Vec<String> = self.trace.lines().map(str::to_owned).collect();
        for line in lines {
            let Some(path) = file(&line) else { continue };
            if failed.as_ref() == Some(&path) {
                self.violations.push(format!("{path} was asked to confirm again after it had failed"));
                return;
            }
            if line.contains("INJECTED") && line.contains("EIO") {
                failed = Some(path);
            }
        }
    }
}

/// Starts strace and waits until it holds the process.
fn attach(strace: &mut Command) -> Child {
    let mut child = strace.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while said.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.contains("attached") {
            break;
        }
        line.clear();
    }
    // What it says later is read, or it would wait for a reader.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    child
}

/// Lets go of the process; a second time it does nothing.
fn end(tracer: &mut Child) {
    if matches!(tracer.try_wait(), Ok(None)) {
        let _ = Command::new("kill").args(["-INT", &tracer.id().to_string()]).status();
        let _ = tracer.wait();
    }
}

async fn refresh(server: &Server, token: &str) -> Option<Reply> {
    send(server, "/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

async fn redeem(server: &Server, code: &str) -> Option<Reply> {
    let asked =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    send(server, "/oauth2/token", &asked).await
}

async fn revoke(server: &Server, token: &str) -> Option<Reply> {
    send(server, "/oauth2/revoke", &[("token", token)]).await
}

/// As the phone, on a connection of its own. `None` if there is no answer.
async fn send(server: &Server, path: &str, parameters: &[(&str, &str)]) -> Option<Reply> {
    let (parameters, _) = Holder::Plain.request(parameters, "");
    let body = Body::from(regrant_server::form::write(&parameters));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let http = server.http();
    let sent = http.try_send(Method::POST, path, &headers, body);
    tokio::time::timeout(PATIENCE, sent).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_written_as_it_is_read() {
        for text in ["rotation:fdatasync:eio:1", "start:pwrite64:enospc:12", "stop:unlink:kill:2"] {
            assert_eq!(text.parse::<Case>().map(|case| case.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "rotation", "rotation:fdatasync:eio:x", "lunch:fdatasync:eio:1", "stop:a:b:1"] {
            assert!(text.parse::<Case>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_device_that_is_asked_twice_is_noticed() {
        let failed = "7 fdatasync(9</d/regrant.db-wal>) = -1 EIO (Input/output error) (INJECTED)";
        let again = "7 fdatasync(9</d/regrant.db-wal>) = 0";
        let another = "7 fdatasync(8</d/regrant.db>) = 0";
        for (lines, wrong) in [([failed, again], 1), ([again, failed], 0), ([failed, another], 0)] {
            let mut done = Done { trace: lines.join("\n"), violations: Vec::new() };
            done.confirmed_twice();
            assert_eq!(done.violations.len(), wrong, "{lines:?}");
        }
    }

    #[test]
    fn calls_are_counted_for_each_thread() {
        let trace =
            "7 pwrite64(9</d/x>, …) = 1\n7 pwrite64(9</d/x>, …) = 1\n8 pwrite64(9</d/x>, …) = 1\n8 other() = 0\n";
        assert_eq!(most_per_thread(trace), BTreeMap::from([("pwrite64".to_owned(), 2)]));
    }
}
