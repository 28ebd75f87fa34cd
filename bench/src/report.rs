//! The figures: as rows for programs, and as a table for people.

use anstream::ColorChoice;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;

use crate::case::{Case, Flow, Format};
use crate::load::Measured;

/// One case at one number of connections, beside both ceilings of the same minute.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub case: String,
    /// How many at the same time.
    pub connections: usize,
    /// Answers in a second.
    pub per_second: f64,
    /// Half of them came within this time, in milliseconds.
    pub p50_ms: f64,
    /// All but one of a hundred.
    pub p99_ms: f64,
    /// All but one of a thousand.
    pub p999_ms: f64,
    /// Their share of what a bare HTTP server answered.
    pub of_ceiling: f64,
    /// Their share of what one answered that waits for the device.
    pub of_durable_ceiling: f64,
    /// Resident memory of the server afterwards.
    pub rss_mib: f64,
    /// Transactions in a second: each waits for one fdatasync.
    pub fdatasync_per_second: f64,
    /// Jobs in a batch of the writer.
    pub batch: f64,
    /// Grants in the store.
    pub grants: u64,
    /// Processor time of the server for each answer, in microseconds.
    pub cpu_us: f64,
    /// What was answered, in all.
    pub answered: u64,
    /// Answers that asked the client to come again.
    pub retried: u64,
    /// Answers that were wrong: none, or nothing here is to be believed.
    pub wrong: u64,
    /// What the bare server answered in a second.
    pub ceiling_per_second: f64,
    /// All but one of a hundred of its answers.
    pub ceiling_p99_ms: f64,
    /// What the one answered in a second that waits for the device.
    pub durable_ceiling_per_second: f64,
    /// All but one of a hundred of its answers.
    pub durable_ceiling_p99_ms: f64,
}

impl Row {
    /// What was measured of a server and of both ceilings.
    #[must_use]
    pub fn new(case: Case, connections: usize, [server, ceiling, durable]: &[Measured; 3]) -> Self {
        let share = |of: &Measured| if of.answered == 0 { 0.0 } else { server.per_second() / of.per_second() };
        Self {
            case: case.to_string(),
            connections,
            per_second: round(server.per_second(), 1),
            p50_ms: round(server.latencies.millis(0.5), 3),
            p99_ms: round(server.latencies.millis(0.99), 3),
            p999_ms: round(server.latencies.millis(0.999), 3),
            of_ceiling: round(share(ceiling), 4),
            of_durable_ceiling: round(share(durable), 4),
            rss_mib: 0.0,
            fdatasync_per_second: 0.0,
            batch: 0.0,
            grants: 0,
            cpu_us: 0.0,
            answered: server.answered,
            retried: server.retried,
            wrong: server.wrong,
            ceiling_per_second: round(ceiling.per_second(), 1),
            ceiling_p99_ms: round(ceiling.latencies.millis(0.99), 3),
            durable_ceiling_per_second: round(durable.per_second(), 1),
            durable_ceiling_p99_ms: round(durable.latencies.millis(0.99), 3),
        }
    }

    /// The share of the bare ceiling that this case is to reach at 64 connections and more.
    fn aim(&self) -> Option<f64> {
        let case: Case = self.case.parse().ok()?;
        match (case.flow, case.format) {
            (Flow::RefreshSingleUse, Format::Opaque) if self.connections >= 64 => Some(0.60),
            (Flow::RefreshSingleUse, Format::Es256) if self.connections >= 64 => Some(0.35),
            _ => None,
        }
    }
}

/// A number with so many digits after its point.
#[must_use]
pub fn round(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

const HEADS: [&str; 13] = [
    "case",
    "grants",
    "conns",
    "per second",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "of ceiling",
    "of durable",
    "CPU µs",
    "RSS MiB",
    "fsync/s",
    "batch",
];

/// The table, with colours where the terminal has them: green is a share that was aimed at and reached.
#[must_use]
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(HEADS);
    if anstream::AutoStream::choice(&std::io::stdout()) == ColorChoice::Never {
        table.force_no_tty();
    }
    for row in rows {
        let share = match row.aim() {
            Some(aim) if row.of_ceiling >= aim => Cell::new(percent(row.of_ceiling)).fg(Color::Green),
            Some(_) => Cell::new(percent(row.of_ceiling)).fg(Color::Yellow),
            None => Cell::new(percent(row.of_ceiling)),
        };
        let mut cells: Vec<Cell> = words(row).into_iter().map(Cell::new).collect();
        cells[7] = share;
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The same for a document.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text = format!("| {} |\n|---|{}\n", HEADS.join(" | "), "--:|".repeat(HEADS.len() - 1));
    for row in rows {
        text += &format!("| {} |\n", words(row).join(" | "));
    }
    text
}

fn words(row: &Row) -> [String; 13] {
    [
        row.case.clone(),
        thousands(row.grants as f64),
        row.connections.to_string(),
        thousands(row.per_second),
        format!("{:.2}", row.p50_ms),
        format!("{:.2}", row.p99_ms),
        format!("{:.2}", row.p999_ms),
        percent(row.of_ceiling),
        percent(row.of_durable_ceiling),
        format!("{:.1}", row.cpu_us),
        format!("{:.0}", row.rss_mib),
        thousands(row.fdatasync_per_second),
        format!("{:.1}", row.batch),
    ]
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// With commas, as people read large numbers.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_written_in_threes() {
        let shown = [0.0, 999.4, 1_000.0, 63_912.6, 1_234_567.0].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "63,913", "1,234,567"]);
    }
}
