//! Asks a package's tests whether they notice each change of `cargo mutants`, with one build for all of them.
//!
//! `cargo mutants` compiles each change by itself, which takes most of its time. Here a copy of the source is rewritten once: every change
//! stands beside what it changes, behind a switch that is read from the environment. Changes that do not compile are found by the place of
//! the compiler's errors, and left out. Then the test programs run once for each change.

mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rewrite::{Change, Rewritten, rewrite};
use serde_json::Value;

/// The environment's switch.
const SWITCH: &str = "REGRANT_MUTANT";
/// No test program takes so many seconds of a processor, unless it does not end: a busy machine makes nothing look endless.
const PROCESSOR: &str = "60";
/// Nor so many KiB of memory: what reads for ever may keep what it reads.
const MEMORY: &str = "8388608";
/// Nor does it wait so long, unless it waits for ever.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a process gets that has used up its processor time.
const SIGXCPU: i32 = 24;
/// Tests that take most of the time, and are asked about a change that all others have missed.
const SLOW: [&str; 4] = ["--skip", "texts::", "--skip", "clocks::"];
/// More rounds than this mean that an error was laid to the wrong change.
const ROUNDS: usize = 40;

/// The rewritten copy, and what of it compiles.
struct Tree {
    root: PathBuf,
    /// The package's own folder: where its tests run.
    home: PathBuf,
    /// Which tests are asked, as the test programs filter them; all if empty.
    tests: Vec<String>,
    changes: Vec<Change>,
    left_out: BTreeSet<usize>,
    /// Functions that something constant calls: they stay `const`, and what would change them is left out.
    constant: BTreeSet<String>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, list, root, package, tests, rest @ ..] = arguments.as_slice() else {
        panic!("regrant-mutants LIST.json TREE PACKAGE TESTS [file …]");
    };
    let list: Value = serde_json::from_slice(&std::fs::read(list).expect("a list")).expect("JSON");
    let is_meant = |change: &Value| rest.is_empty() || rest.iter().any(|file| change["file"] == file.as_str());
    let changes: Vec<Change> =
        list.as_array().expect("an array").iter().filter(|change| is_meant(change)).map(Change::read).collect();
    let home = changes.first().and_then(|change| change.file.split_once("/src/")).expect("no change is listed").0;
    let (root, home) = (PathBuf::from(root), Path::new(root).join(home));
    let tests = tests.split_whitespace().map(str::to_owned).collect();
    let mut tree = Tree { root, home, tests, changes, left_out: BTreeSet::new(), constant: BTreeSet::new() };
    let mut programs = tree.compile(package);
    programs.retain(|(_, program)| tree.has_tests(program));
    assert!(!programs.is_empty(), "no test is asked");
    for (name, program) in &programs {
        let began = Instant::now();
        assert!(tree.passes(program, 0, &[]), "{name} fails without a change");
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    let survivors = tree.try_all(&programs);
    tree.tell(&survivors);
}

impl Tree {
    /// Rewrites, compiles and leaves out, until it compiles. Returns the test programs.
    fn compile(&mut self, package: &str) -> Vec<(String, PathBuf)> {
        let mut sources: BTreeMap<String, String> = BTreeMap::new();
        for change in &self.changes {
            if !sources.contains_key(&change.file) {
                let text = std::fs::read_to_string(self.root.join(&change.file)).expect("a source");
                sources.insert(change.file.clone(), text);
            }
        }
        let lib = self.home.join("src/lib.rs");
        let plain = std::fs::read_to_string(&lib).expect("lib.rs");
        assert!(!plain.contains("fn mutant_switch"), "the tree was rewritten already");
        write(&lib, &format!("{plain}\n{}", rewrite::SWITCH_SOURCE));
        for round in 1..=ROUNDS {
            let mut written: BTreeMap<String, Rewritten> = BTreeMap::new();
            for (file, source) in &sources {
                let mine: Vec<&Change> = self.changes.iter().filter(|change| change.file == *file).collect();
                let rewritten = rewrite(source, &mine, &self.left_out, &self.constant);
                self.left_out.extend(&rewritten.not_placed);
                write(&self.root.join(file), &rewritten.text);
                written.insert(file.clone(), rewritten);
            }
            let (errors, programs) = self.build(package);
            if errors.is_empty() {
                return programs;
            }
            let before = (self.left_out.len(), self.constant.len());
            for error in &errors {
                self.blame(error, &written);
            }
            eprintln!("round {round}: {} errors, {} left out", errors.len(), self.left_out.len());
            if before == (self.left_out.len(), self.constant.len()) {
                let told: Vec<_> = errors.iter().filter_map(|error| error["rendered"].as_str()).collect();
                panic!("no change is to blame for: {}", told.join("\n"));
            }
        }
        panic!("it does not compile after {ROUNDS} rounds");
    }

    fn build(&self, package: &str) -> (Vec<Value>, Vec<(String, PathBuf)>) {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["test", "--tests", "--no-run", "--message-format=json", "--package", package])
            .current_dir(&self.root);
        let output = cargo.output().expect("cargo");
        let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let (mut errors, mut programs) = (Vec::new(), Vec::new());
        for message in messages.collect::<Vec<Value>>() {
            if message["message"]["level"] == "error"
                && message["message"]["spans"].as_array().is_some_and(|all| !all.is_empty())
            {
                errors.push(message["message"].clone());
            }
            if let Some(program) = message["executable"].as_str() {
                let name = message["target"]["name"].as_str().unwrap_or_default();
                programs.push((name.to_owned(), PathBuf::from(program)));
            }
        }
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || !errors.is_empty(), "cargo fails, and no place is told: {told}");
        (errors, programs)
    }

    /// Leaves out what an error is about.
    fn blame(&mut self, error: &Value, written: &BTreeMap<String, Rewritten>) {
        if error["code"]["code"] == "E0015" || error["code"]["code"] == "E0658" {
            let message = error["message"].as_str().unwrap_or_default();
            let called = message.split('`').nth(1).unwrap_or_default();
            let called = called.split("::").last().unwrap_or_default();
            if called != "mutant_switch" {
                self.constant.insert(called.to_owned());
                return;
            }
        }
        let spans = error["spans"].as_array().cloned().unwrap_or_default();
        let mut found = false;
        for primary in [true, false] {
            for span in spans.iter().filter(|span| span["is_primary"] == primary) {
                let file = span["file_name"].as_str().unwrap_or_default();
                let Some(rewritten) = written.iter().find(|(name, _)| file.ends_with(name.as_str())) else { continue };
                let at = span["byte_start"].as_u64().unwrap_or_default() as usize;
                let narrowest = rewritten.1.places.iter().filter(|place| place.start <= at && at < place.end);
                if let Some(place) = narrowest.min_by_key(|place| place.end - place.start) {
                    self.left_out.extend(&place.changes);
                    found = true;
                } else if error["code"]["code"] == "E0004" {
                    // A match that is no longer exhaustive: the next arm that has got a guard.
                    let arms = rewritten.1.places.iter().filter(|place| place.start > at && place.changes.len() == 1);
                    let is_arm = |number: &usize| self.changes[number - 1].genre == "MatchArm";
                    if let Some(place) =
                        arms.filter(|place| place.changes.iter().all(is_arm)).min_by_key(|place| place.start)
                    {
                        self.left_out.extend(&place.changes);
                        found = true;
                    }
                }
            }
            if found {
                return;
            }
        }
    }

    /// The numbers of the changes that no program notices.
    fn try_all(&self, programs: &[(String, PathBuf)]) -> Vec<usize> {
        let open: Vec<usize> =
            self.changes.iter().map(|change| change.number).filter(|n| !self.left_out.contains(n)).collect();
        let (next, survivors, began) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(number) = open.get(next.fetch_add(1, Ordering::SeqCst)) {
                        if [&SLOW[..], &[]]
                            .iter()
                            .all(|skipped| programs.iter().all(|(_, program)| self.passes(program, *number, skipped)))
                        {
                            println!("survives: {}", self.changes[number - 1].name);
                            survivors.lock().expect("not poisoned").push(*number);
                        }
                        let done = next.load(Ordering::SeqCst).min(open.len());
                        if done.is_multiple_of(50) {
                            let left = began.elapsed().as_secs_f64() / done as f64 * (open.len() - done) as f64;
                            eprintln!("{done} of {}, {left:.0} s left", open.len());
                        }
                    }
                });
            }
        });
        survivors.into_inner().expect("not poisoned")
    }

    /// Whether a test program has one of the tests that are asked.
    fn has_tests(&self, program: &Path) -> bool {
        let output = Command::new(program).arg("--list").args(&self.tests).current_dir(&self.home).output();
        String::from_utf8_lossy(&output.expect("a test program").stdout).lines().any(|line| line.ends_with(": test"))
    }

    /// Whether a test program passes with this change, within its time.
    fn passes(&self, program: &Path, number: usize, arguments: &[&str]) -> bool {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -S -t {PROCESSOR}; ulimit -v {MEMORY}; exec \"$0\" \"$@\"")])
            .arg(program)
            .arg("--quiet");
        command.args(arguments).args(&self.tests).current_dir(&self.home).env(SWITCH, number.to_string());
        command.env("PROPTEST_FAILURE_PERSISTENCE", "off").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a test program");
        let began = Instant::now();
        loop {
            match child.try_wait().expect("a child") {
                Some(status) if status.signal() != Some(SIGXCPU) => return status.success(),
                None if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
                Some(_) | None => break,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        println!("does not end: {}", self.changes.get(number.wrapping_sub(1)).map_or("", |change| &change.name));
        false
    }

    fn tell(&self, survivors: &[usize]) {
        let mut files: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for change in &self.changes {
            let counts = files.entry(&change.file).or_default();
            counts[0] += 1;
            counts[1] += usize::from(self.left_out.contains(&change.number));
            counts[2] += usize::from(survivors.contains(&change.number));
        }
        println!("| file | changes | left out | noticed | survivors |\n|---|---|---|---|---|");
        let mut all = [0; 3];
        for (file, [changes, left_out, survivors]) in &files {
            println!("| `{file}` | {changes} | {left_out} | {} | {survivors} |", changes - left_out - survivors);
            all = [all[0] + changes, all[1] + left_out, all[2] + survivors];
        }
        println!("| all | {} | {} | {} | {} |", all[0], all[1], all[0] - all[1] - all[2], all[2]);
        println!("left out:");
        for number in &self.left_out {
            println!("  {}", self.changes[number - 1].name);
        }
    }
}

fn write(path: &Path, text: &str) {
    if std::fs::read_to_string(path).ok().as_deref() != Some(text) {
        std::fs::write(path, text).expect("a file of the tree");
    }
}
