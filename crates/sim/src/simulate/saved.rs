//! A run put aside in a file, and taken up again by the same program: ten million histories are more than one night's.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Coverage, Options, Place, Report, at};

/// What is lost at most when the process is killed.
const SLICE: u64 = 1_000;

/// What the file says.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    /// A hash of the program and of what it was told: under another one histories are others.
    run: String,
    seeds: u64,
    coverage: Coverage,
}

/// The same as [`run`](super::run), put aside after each thousand histories: goes on where the file ends. A run with a broken law is not put
/// aside behind it: it finds it again.
///
/// # Errors
/// If the file cannot be read or written, is damaged, or is another run's.
pub fn run_in(options: &Options, file: &Path, progress: &(dyn Fn(u64) + Sync)) -> io::Result<Report> {
    let run = name(options)?;
    let mut report = Report::of(options);
    match std::fs::read(file) {
        Ok(text) => {
            let saved: Saved = serde_json::from_slice(&text)?;
            if saved.run != run {
                let word = "it is of another run: another program, or other --from, --steps, --file-every, --mutant";
                return Err(io::Error::other(word));
            }
            (report.seeds, report.coverage) = (saved.seeds, saved.coverage);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let place = Place::make();
    while report.seeds < options.seeds && report.holds() {
        let done = report.seeds;
        let slice = Options { from: options.from + done, seeds: SLICE.min(options.seeds - done), ..*options };
        report.take(at(&place, &slice, &|more| progress(done + more)));
        if report.holds() {
            let saved = Saved { run: run.clone(), seeds: report.seeds, coverage: report.coverage.clone() };
            put(file, &serde_json::to_vec(&saved)?)?;
        }
    }
    Ok(report)
}

/// How many histories a file holds; none if there is no such file.
#[must_use]
pub fn saved_in(file: &Path) -> u64 {
    let saved = std::fs::read(file).ok().and_then(|text| serde_json::from_slice::<Saved>(&text).ok());
    saved.map_or(0, |saved| saved.seeds)
}

fn name(options: &Options) -> io::Result<String> {
    let program: String = model::program()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let Options { from, steps, file_every, mutant, .. } = options;
    Ok(format!("{program} from {from}, {steps} steps, file every {file_every}, {mutant:?}"))
}

/// In place of the earlier one: half a file is none.
fn put(file: &Path, text: &[u8]) -> io::Result<()> {
    let part = file.with_extension("part");
    let mut out = File::create(&part)?;
    out.write_all(text)?;
    out.sync_all()?;
    std::fs::rename(part, file)
}
