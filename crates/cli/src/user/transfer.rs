//! `regrant user import` and `export`: users from another server, and to one. Files are read and written a batch at a time.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use regrant_server::admin::Command as Ask;
use regrant_server::admin::import::{Effect, Existing, Hashes, Imported, MAX_LINE, PortableUser};

use super::csv;
use crate::context::{Context, Done, Failure, Hands};
use crate::output;
use crate::progress::Progress;

/// Users in one durable transaction: small enough to be sent to a running server in one message.
const BATCH: usize = 200;
/// Users asked for at once.
const PAGE: u32 = 200;
/// Bad lines that are told one by one; of the others only the number.
const MAX_TOLD: u64 = 1000;

/// What to read, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// JSON lines, or CSV with a header if its name ends in .csv.
    file: PathBuf,
    /// Take over what a line says of a user who is there already. Without it such lines are skipped.
    #[arg(long)]
    update: bool,
    /// Check every line and tell what would happen; change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What to write.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// Where to; must not exist, and is made readable by its owner only. Standard output without it.
    file: Option<PathBuf>,
    /// Include the hashes of passwords, for a server that takes over: whoever reads them can guess at them.
    #[arg(long)]
    with_password_hashes: bool,
}

#[derive(Default, serde::Serialize)]
struct Count {
    added: u64,
    updated: u64,
    skipped: u64,
    refused: u64,
}

/// What became of all lines.
#[derive(Default)]
struct Heard {
    count: Count,
    /// The first [`MAX_TOLD`] that were not taken, where a program asked: people are told each at once.
    bad: Option<Vec<Bad>>,
}

/// A line that was not taken.
#[derive(serde::Serialize)]
struct Bad {
    line: u64,
    reason: String,
}

pub(crate) fn import(context: &Context, import: &Import) -> Done {
    let Import { file, update, dry_run } = import;
    let cannot = |error| Failure::new(65, format!("{} cannot be read: {error}", file.display()));
    let source = File::open(file).map_err(cannot)?;
    let size = source.metadata().map_err(cannot)?.len();
    let existing = if *update { Existing::Update } else { Existing::Skip };
    let effect = if *dry_run { Effect::Check } else { Effect::Write };
    let lines = Lines::open(BufReader::new(source), file);
    let heard = Heard { bad: context.json.then(Vec::new), ..Heard::default() };
    let progress = if context.json { Progress::unseen() } else { Progress::over(size) };
    let (Heard { count, mut bad }, broken) =
        context.operate(|hands| Ok(import_all(hands, lines, (existing, effect), heard, &progress)))?;
    if let Some(bad) = &mut bad {
        // What is wrong with a line itself is known before what the server says of those before it.
        bad.sort_by_key(|bad| bad.line);
        output::json(&serde_json::json!({"dry_run": dry_run, "users": count, "refused": bad}));
    } else {
        let Count { added, updated, skipped, refused } = count;
        let what = if *dry_run { "checked, nothing was changed" } else { "imported" };
        output::done(&format!("{what}: {added} added, {updated} updated, {skipped} skipped, {refused} refused"));
    }
    if let Some(trouble) = broken {
        return Err(trouble);
    }
    let place = if bad.is_some() { "in `refused` on standard output" } else { "above" };
    match count.refused {
        0 => Ok(()),
        1 => Err(Failure::new(65, format!("one line was not taken; it is named {place}"))),
        refused if refused > MAX_TOLD => {
            Err(Failure::new(65, format!("{refused} lines were not taken; the first {MAX_TOLD} are named {place}")))
        }
        refused => Err(Failure::new(65, format!("{refused} lines were not taken; each is named {place}"))),
    }
}

/// Batch after batch; stops at the first that the store cannot take, and tells what was done until then.
fn import_all(
    hands: &mut Hands,
    mut lines: Lines,
    (existing, effect): (Existing, Effect),
    mut heard: Heard,
    progress: &Progress,
) -> (Heard, Option<Failure>) {
    let mut batch: Vec<(u64, PortableUser)> = Vec::with_capacity(BATCH);
    loop {
        let next = lines.next();
        let is_last = matches!(next, Ok(None));
        match next {
            Ok(Some((line, Ok(user)))) => batch.push((line, user)),
            Ok(Some((line, Err(reason)))) => tell(&mut heard, Bad { line, reason }),
            Ok(None) => {}
            Err(error) => return (heard, Some(Failure::new(65, format!("the file cannot be read: {error}")))),
        }
        if batch.len() == BATCH || (is_last && !batch.is_empty()) {
            let (numbers, users): (Vec<u64>, Vec<PortableUser>) = batch.drain(..).unzip();
            match hands.ask::<Vec<Imported>>(Ask::ImportUsers { users, existing, effect }) {
                Ok(outcomes) => {
                    for (line, outcome) in numbers.into_iter().zip(outcomes) {
                        add(&mut heard, line, outcome);
                    }
                }
                Err(error) => return (heard, Some(stopped(&error, numbers.first().copied()))),
            }
            progress.show(lines.read);
        }
        if is_last {
            progress.end();
            return (heard, None);
        }
    }
}

fn stopped(error: &Failure, line: Option<u64>) -> Failure {
    let line = line.unwrap_or_default();
    let remedy = "run the same command again: what is there already is skipped";
    Failure::new(error.code(), format!("{error}, from line {line} on\n  remedy: {remedy}"))
}

fn add(heard: &mut Heard, line: u64, outcome: Imported) {
    match outcome {
        Imported::Added => heard.count.added += 1,
        Imported::Updated => heard.count.updated += 1,
        Imported::Skipped => heard.count.skipped += 1,
        Imported::Refused(reason) => tell(heard, Bad { line, reason }),
    }
}

/// The line's number and what is wrong, never the line itself: it holds a hash.
fn tell(heard: &mut Heard, bad: Bad) {
    heard.count.refused += 1;
    if heard.count.refused > MAX_TOLD {
        return;
    }
    match &mut heard.bad {
        Some(all) => all.push(bad),
        None => output::error(&format!("line {}: {}", bad.line, bad.reason.escape_debug())),
    }
}

pub(crate) fn export(context: &Context, export: &Export) -> Done {
    let hashes = if export.with_password_hashes { Hashes::Included } else { Hashes::Left };
    let mut out: Box<dyn std::io::Write> = match &export.file {
        None => Box::new(std::io::stdout()),
        Some(path) => {
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let cannot = |error| Failure::new(1, format!("{} cannot be made: {error}", path.display()));
            Box::new(BufWriter::new(made.map_err(cannot)?))
        }
    };
    let written = context.operate(|hands| {
        let mut after = String::new();
        loop {
            let page: Vec<PortableUser> = hands.ask(Ask::ExportUsers { after: after.clone(), limit: PAGE, hashes })?;
            let is_last = page.len() < PAGE as usize;
            for user in &page {
                let line = serde_json::to_string(user).unwrap_or_default();
                if let Err(error) = writeln!(out, "{line}") {
                    return Ok(Err(error));
                }
            }
            match page.last() {
                Some(last) if !is_last => after.clone_from(&last.username),
                _ => return Ok(out.flush()),
            }
        }
    })?;
    match written {
        // A reader who goes away is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let shown = export.file.as_ref().map_or("standard output".to_owned(), |file| file.display().to_string());
            let remedy = "make room there, and export again: what was written is not whole";
            Err(Failure::new(74, format!("{shown} cannot be written: {error}\n  remedy: {remedy}")))
        }
        Ok(()) => Ok(()),
    }
}

/// The users of a file, one by one, with the number of the line on which each begins.
struct Lines {
    source: BufReader<File>,
    header: Option<Vec<String>>,
    is_csv: bool,
    line: u64,
    /// Bytes, for the progress.
    read: u64,
}

impl Lines {
    fn open(source: BufReader<File>, path: &Path) -> Self {
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        Self { source, header: None, is_csv, line: 0, read: 0 }
    }

    /// `None` at the end; the inner error is what is wrong with this line.
    fn next(&mut self) -> std::io::Result<Option<(u64, Result<PortableUser, String>)>> {
        loop {
            let begins = self.line + 1;
            let (taken, lines) = if self.is_csv {
                csv::record(&mut self.source, MAX_LINE)?
            } else {
                csv::line(&mut self.source, MAX_LINE)?
            };
            let Some(taken) = taken else { return Ok(None) };
            (self.line, self.read) = (self.line + lines, self.read + taken.bytes);
            let text = match taken.text {
                Ok(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(text) => text,
                Err(reason) => return Ok(Some((begins, Err(reason)))),
            };
            if !self.is_csv {
                return Ok(Some((begins, PortableUser::from_json(&text))));
            }
            let fields = match csv::fields(&text) {
                Ok(fields) => fields,
                Err(reason) => return Ok(Some((begins, Err(reason)))),
            };
            match &self.header {
                Some(header) => return Ok(Some((begins, PortableUser::from_fields(header, &fields)))),
                None => self.header = Some(fields),
            }
        }
    }
}
