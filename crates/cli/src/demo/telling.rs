//! How the demonstration speaks: titles, sentences wrapped to the terminal, ticks for what was checked, the last table.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use regrant_core::Timestamp;

use super::Trouble;
use crate::output;

/// Longer lines are hard to read, however wide the terminal is.
const WIDEST: u16 = 100;
/// Below this, wrapping makes nothing better.
const NARROWEST: u16 = 40;

/// A row of the last table: the act, what happened in it, and the values that prove it.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row {
    pub(super) act: &'static str,
    pub(super) happened: String,
    pub(super) proof: String,
}

/// The title of an act.
pub(super) fn act(title: &str) {
    let bold = Style::new().bold();
    let rule = "─".repeat(width().saturating_sub(title.chars().count() + 4));
    gap();
    line(&format!("{bold}── {title} {rule}{bold:#}"));
    gap();
}

/// A paragraph.
pub(super) fn say(text: &str) {
    gap();
    for part in wrap(text, width()) {
        line(&part);
    }
    gap();
}

/// Goes on only if the server did what is claimed, and says so.
pub(super) fn check(holds: bool, claim: &str) -> Result<(), Trouble> {
    require(holds, claim)?;
    let green = AnsiColor::Green.on_default();
    for (position, part) in wrap(claim, width() - 4).iter().enumerate() {
        let tick = if position == 0 { "✓" } else { " " };
        line(&format!("  {green}{tick}{green:#} {part}"));
    }
    Ok(())
}

/// The same without saying so, for what nobody would ask.
pub(super) fn require(holds: bool, claim: &str) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(Trouble::new(format!("the server did otherwise than this: {claim}"))) }
}

/// Whether the last line was blank. What is printed stands between blank lines, and two of them are one.
static IS_BLANK: AtomicBool = AtomicBool::new(false);

/// Whether the story is told to nobody: a program wants the last table, and checks what people are told just the same.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Tells nothing from now on.
pub(super) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// A line as it is.
pub(super) fn line(text: &str) {
    IS_BLANK.store(false, Ordering::Relaxed);
    if !IS_QUIET.load(Ordering::Relaxed) {
        output::line(text);
    }
}

/// A blank line, if the last one was none.
pub(super) fn gap() {
    if !IS_BLANK.swap(true, Ordering::Relaxed) && !IS_QUIET.load(Ordering::Relaxed) {
        output::line("");
    }
}

/// What another module prints, between blank lines.
pub(super) fn aside(print: impl FnOnce()) {
    gap();
    if !IS_QUIET.load(Ordering::Relaxed) {
        print();
    }
    IS_BLANK.store(false, Ordering::Relaxed);
    gap();
}

/// Names and values below each other, to be compared.
pub(super) fn compare(rows: &[(&str, &str)]) {
    let widest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    gap();
    for (name, value) in rows {
        line(&format!("  {name:<widest$}  {value}"));
    }
    gap();
}

/// That time went by.
pub(super) fn later(by: Duration, now: Timestamp) {
    let style = AnsiColor::Magenta.on_default();
    let at = regrant_server::admin::rfc3339(Timestamp::from_millis(now.seconds() * 1000));
    gap();
    line(&format!("  {style}… {} later, at {at} on the server's clock{style:#}", words(by)));
    gap();
}

/// A time as people say it.
pub(super) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let told = |(count, unit): (u64, &str)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    parts.into_iter().filter(|(count, _)| *count > 0).map(told).collect::<Vec<_>>().join(" ")
}

/// The last table.
pub(super) fn summary(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width()).unwrap_or(WIDEST));
    table.set_header(["", "", "act", "what happened", "proof"]);
    for (position, Row { act, happened, proof }) in rows.iter().enumerate() {
        table.add_row(["✓", &(position + 1).to_string(), act, happened, proof]);
    }
    gap();
    for row in table.to_string().lines() {
        line(row.trim_end());
    }
}

/// Commands to type, each with what it is for.
pub(super) fn commands(commands: &[(String, &str)]) {
    let dim = Style::new().dimmed();
    for (command, purpose) in commands {
        gap();
        line(&format!("  {dim}# {purpose}{dim:#}\n  {command}"));
    }
}

/// How this program was called, for commands to copy.
pub(super) fn command() -> String {
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release --".to_owned();
    }
    std::env::args().next().unwrap_or_else(|| "regrant".to_owned())
}

fn width() -> usize {
    static WIDTH: OnceLock<u16> = OnceLock::new();
    usize::from(*WIDTH.get_or_init(|| Table::new().width().unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)))
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut last = String::new();
    for word in text.split_whitespace() {
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut last));
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines.push(last);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal_but_for_one_long_word() {
        assert_eq!(wrap("a bb ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrap("a https://long.example/ b", 6), ["a", "https://long.example/", "b"]);
    }

    #[test]
    fn times_are_said_in_days_hours_minutes_and_seconds() {
        let said = [1, 7200, 86_400, 86_399].map(|seconds| words(Duration::from_secs(seconds)));
        assert_eq!(said, ["1 second", "2 hours", "1 day", "23 hours 59 minutes 59 seconds"]);
    }
}
