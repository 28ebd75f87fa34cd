//! The figures, as tables for people and documents, and as JSON for programs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::process::{Usage, output};
use super::servers::Server;
use super::session::{AT_ONCE, Fates, LATER, Sessions};
use super::store::{Books, Size};
use super::{Case, SLICES};
use crate::load::Measured;

/// Above this many runnable processes somebody else uses the machine.
const QUIET: f64 = 0.3;
/// What stands around the tables in a document.
const BEGIN: &str = "<!-- measured -->\n";
const END: &str = "<!-- end -->\n";

/// One run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How long each case.
    pub seconds: u64,
    /// On how many connections.
    pub connections: u64,
    /// What was measured.
    pub rows: Vec<Row>,
    /// What was not, and why.
    pub skipped: Vec<(&'static str, String)>,
}

/// Where and when.
#[derive(Clone, Debug)]
pub struct Machine {
    date: String,
    cores: usize,
    /// The load average of the last minute, before the run.
    busy: f64,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub case: Case,
    version: String,
    per_second: f64,
    millis: [f64; 3],
    answered: u64,
    retried: u64,
    wrong: u64,
    /// Of the server with its store; milliseconds of the processor.
    cpu_millis: f64,
    memory_mib: f64,
    /// For each refresh; nothing without a store.
    stored: Option<Stored>,
    /// What becomes of sessions, where it was looked at.
    pub sessions: Option<Sessions>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    rows: f64,
    bytes: f64,
    written: f64,
}

impl Machine {
    /// Now, before anything is started.
    pub fn look() -> Self {
        let busy = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: output(Command::new("date").args(["-u", "+%F %H:%M UTC"])).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            busy: busy.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0),
        }
    }

    /// If the machine is not ours alone.
    pub fn warning(&self) -> Option<String> {
        let Self { busy, cores, .. } = self;
        (*busy > QUIET).then(|| {
            format!(
                "Other work was running on this machine when the run began (load average {busy:.1} on {cores} cores): the \
                figures are too low, the others' more so, for what is compiled while it runs had no time to warm up. Repeat \
                it on a quiet machine before you use them."
            )
        })
    }
}

impl Row {
    /// What was seen of a server, what it used for that, and its store before and after.
    pub fn of(case: Case, server: &Server, seen: &Measured, used: &Usage, stores: [Size; 2]) -> Self {
        let each = |sum: f64| sum / (seen.answered as f64).max(1.0);
        let [before, after] = stores;
        let stored = (!matches!(server.books, Books::None)).then(|| Stored {
            rows: each((after.rows - before.rows) as f64),
            bytes: each((after.bytes - before.bytes) as f64),
            written: each(used.written as f64),
        });
        Self {
            case,
            version: server.version.clone(),
            per_second: seen.per_second(),
            millis: [0.5, 0.99, 0.999].map(|share| seen.latencies.millis(share)),
            answered: seen.answered,
            retried: seen.retried,
            wrong: seen.wrong,
            cpu_millis: each(used.cpu.as_secs_f64() * 1000.0),
            memory_mib: used.memory as f64 / f64::from(1 << 20),
            stored,
            sessions: None,
        }
    }
}

impl Report {
    /// What could not be measured is told, and no reason to leave out the rest.
    pub fn leave_out(&mut self, case: Case, why: String) {
        eprintln!("{}: left out: {why}", case.name());
        self.skipped.push((case.name(), why));
    }

    fn rate(&self, case: Case) -> Option<f64> {
        self.rows.iter().find(|row| row.case == case).map(|row| row.per_second)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "case": row.case.name(), "version": row.version, "connections": self.connections,
                "per_second": row.per_second, "p50_ms": row.millis[0], "p99_ms": row.millis[1], "p999_ms": row.millis[2],
                "of_ceiling": self.rate(Case::Ceiling).map(|ceiling| row.per_second / ceiling),
                "regrant_is_times": self.rate(Case::Regrant).map(|regrant| regrant / row.per_second),
                "answered": row.answered, "retried": row.retried, "wrong": row.wrong,
                "cpu_ms_per_refresh": row.cpu_millis, "memory_mib": row.memory_mib,
                "rows_per_refresh": row.stored.map(|stored| stored.rows),
                "bytes_per_refresh": row.stored.map(|stored| stored.bytes),
                "written_per_refresh": row.stored.map(|stored| stored.written),
                "sessions": row.sessions.as_ref().map(Sessions::to_json),
            })
        });
        let skipped = self.skipped.iter().map(|(case, why)| json!({"case": case, "why": why}));
        json!({
            "date": self.machine.date, "cores": self.machine.cores, "load_average_before": self.machine.busy,
            "seconds": self.seconds, "rows": rows.collect::<Vec<_>>(), "skipped": skipped.collect::<Vec<_>>(),
        })
    }

    /// For people, and for documents.
    pub fn to_markdown(&self) -> String {
        let Machine { date, cores, .. } = &self.machine;
        let mut text = format!(
            "{date}, {cores} cores, {} connections, {} s each in {SLICES} slices by turns; the load generator, \
            the servers and their stores share the machine.\n",
            self.connections, self.seconds
        );
        if let Some(warning) = self.machine.warning() {
            let _ = write!(text, "\n**{warning}**\n");
        }
        let _ = write!(text, "\n{}\n", self.speed());
        if self.rows.iter().any(|row| row.stored.is_some()) {
            let _ = write!(text, "\n{}\n", self.storage());
        }
        if self.rows.iter().any(|row| row.sessions.is_some()) {
            let _ = write!(text, "\n{}\n", self.damage());
        }
        for row in self.rows.iter().filter(|row| row.retried + row.wrong > 0) {
            let Row { case, retried, wrong, answered, .. } = row;
            let _ = write!(
                text,
                "\n{}: beside {answered} answers {retried} to come again and {wrong} refusals.\n",
                case.name()
            );
        }
        for (case, why) in &self.skipped {
            let _ = write!(text, "\n{case} was left out: {why}.\n");
        }
        text
    }

    fn speed(&self) -> Table {
        let mut table = table([
            "case",
            "version",
            "refreshes/s",
            "p50 / p99 / p99.9 ms",
            "of the ceiling",
            "Regrant is",
            "CPU ms each",
            "memory MiB",
        ]);
        for row in &self.rows {
            let of_ceiling = self.rate(Case::Ceiling).map(|ceiling| 100.0 * row.per_second / ceiling);
            let times = self.rate(Case::Regrant).filter(|_| row.case != Case::Regrant && row.case != Case::Ceiling);
            table.add_row([
                row.case.name().to_owned(),
                row.version.clone(),
                format!("{:.0}", row.per_second),
                row.millis.map(short).join(" / "),
                of_ceiling.map_or_else(dash, |share| format!("{} %", short(share))),
                times.map_or_else(dash, |regrant| format!("{} ×", short(regrant / row.per_second))),
                short(row.cpu_millis),
                format!("{:.0}", row.memory_mib),
            ]);
        }
        right(table, 2..8)
    }

    fn storage(&self) -> Table {
        let mut table =
            table(["for each refresh", "rows or keys", "bytes that the store grew", "bytes written to the disk"]);
        for (row, stored) in self.rows.iter().filter_map(|row| Some((row, row.stored?))) {
            table.add_row([
                row.case.name().to_owned(),
                short(stored.rows),
                format!("{:.0}", stored.bytes),
                format!("{:.0}", stored.written),
            ]);
        }
        right(table, 1..4)
    }

    fn damage(&self) -> Table {
        let at_once = AT_ONCE.map(|count| count.to_string()).join(", ");
        let mut table = table([
            "case".to_owned(),
            format!("{at_once} identical at once: sessions alive afterwards"),
            "most branches of one".to_owned(),
            "answer lost, asked again at once".to_owned(),
            "replay of generation 1 after three quick refreshes".to_owned(),
            format!("the same {} s later", LATER.as_secs()),
        ]);
        for (row, seen) in self.rows.iter().filter_map(|row| Some((row, row.sessions.as_ref()?))) {
            let each = |told: &dyn Fn(&super::session::AtOnce) -> String| {
                seen.at_once.iter().map(told).collect::<Vec<_>>().join(", ")
            };
            table.add_row([
                row.case.name().to_owned(),
                each(&|seen| format!("{:.0} %", 100.0 * seen.alive as f64 / (seen.sessions as f64).max(1.0))),
                each(&|seen| seen.branches.to_string()),
                fates(&seen.lost),
                fates(&seen.replayed),
                fates(&seen.replayed_later),
            ]);
        }
        table
    }

    /// Puts the tables between the two marks of a document.
    pub fn put_into(&self, file: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(file).map_err(failed)?;
        let text = between(&text, &self.to_markdown()).ok_or_else(|| format!("{}: no marks", file.display()))?;
        std::fs::write(file, text).map_err(failed)
    }
}

/// The document with what stands between its marks replaced.
fn between(document: &str, tables: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// What all sessions had in common, or each fate with its number.
fn fates(fates: &Fates) -> String {
    match fates.iter().next() {
        Some((only, _)) if fates.len() == 1 => (*only).to_owned(),
        _ => fates.iter().map(|(fate, count)| format!("{count} × {fate}")).collect::<Vec<_>>().join("; "),
    }
}

/// Three digits, as many as these measurements are worth.
fn short(number: f64) -> String {
    let digits = match number.abs() {
        size if size < 0.0005 => 0,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{number:.digits$}");
    if text == "-0" { "0".to_owned() } else { text }
}

fn dash() -> String {
    "–".to_owned()
}

fn table<T: ToString, const N: usize>(header: [T; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.map(|name| name.to_string()));
    table
}

fn right(mut table: Table, columns: std::ops::Range<usize>) -> Table {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_a_document_are_replaced_and_nothing_else() {
        let document = format!("# Title\n{BEGIN}old\n{END}after\n");
        assert_eq!(
            between(&document, "new\n").as_deref(),
            Some("# Title\n<!-- measured -->\n\nnew\n\n<!-- end -->\nafter\n")
        );
        assert_eq!(between(&between(&document, "x\n").unwrap(), "new\n"), between(&document, "new\n"));
        assert_eq!(between("# Title\n", "new\n"), None);
    }

    #[test]
    fn numbers_have_the_digits_that_they_are_worth() {
        let numbers = [0.0, -0.0001, 0.0132, 0.56, 2.349, 24.44, 2471.3];
        assert_eq!(numbers.map(short), ["0", "0", "0.013", "0.560", "2.35", "24.4", "2471"]);
    }
}
