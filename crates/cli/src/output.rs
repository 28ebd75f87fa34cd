//! Printing: tables for people, JSON for programs, colours on a terminal only. A reader who goes away is no error; a device that takes no
//! more is one, which the end of the command tells ([`unwritten`]).

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use anstream::ColorChoice;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

/// The narrowest terminal, in columns, for which a table is broken into lines.
const NARROWEST: u16 = 60;

/// What first stood in the way of standard output.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// One line on standard output.
pub(crate) fn line(text: &str) {
    took(&writeln!(anstream::stdout().lock(), "{text}"));
}

/// Whether standard output took it.
fn took(written: &std::io::Result<()>) -> bool {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = UNWRITTEN.set(error.to_string());
    }
    written.is_ok()
}

/// Why standard output does not hold all that was printed, if it does not: its disk is full, say.
pub(crate) fn unwritten() -> Option<&'static str> {
    took(&std::io::stdout().flush());
    UNWRITTEN.get().map(String::as_str)
}

/// One line on standard output, at once; false if nobody reads any more.
pub(crate) fn told(text: &str) -> bool {
    let mut output = anstream::stdout().lock();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    took(&written)
}

/// One line on standard error.
pub(crate) fn error(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Bytes on standard output, as they are.
pub(crate) fn raw(bytes: &[u8]) {
    took(&std::io::stdout().write_all(bytes));
}

/// Indented JSON on standard output.
pub(crate) fn json(value: &impl Serialize) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A table with a header. The first column holds what is copied into the next command, so it is never broken; a narrow terminal
/// breaks the others. What is no terminal gets one line for each row, without rules, for `grep` and the like.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let is_terminal = std::io::stdout().is_terminal();
    let mut table = Table::new();
    let style = if is_terminal { presets::UTF8_HORIZONTAL_ONLY } else { presets::NOTHING };
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    if anstream::AutoStream::choice(&std::io::stdout()) == ColorChoice::Never {
        table.force_no_tty();
    }
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.map(|text| {
            let shown = clean(&text);
            let cell = Cell::new(if is_terminal { shown } else { shown.replace('\n', " ") });
            match color(&text) {
                Some(color) => cell.fg(color),
                None => cell,
            }
        }));
    }
    // A terminal that does not know its width, or is hopelessly narrow, gets long lines instead of columns of letters.
    if table.width().is_some_and(|width| width < NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    if is_terminal {
        line(&table.to_string());
    } else {
        table.lines().for_each(|row| line(row.trim_end()));
    }
}

/// States that an operator looks for.
fn color(text: &str) -> Option<Color> {
    match text.split([':', ' ']).next() {
        Some("live" | "enabled" | "current") => Some(Color::Green),
        Some("revoked" | "tampered" | "disabled" | "compromised") => Some(Color::Red),
        Some("idle_expired" | "absolute_expired" | "code_expired" | "gone") => Some(Color::DarkGrey),
        _ => None,
    }
}

/// What came from outside must not move the cursor or colour the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A time for a table: `2026-11-24 01:30 UTC` out of RFC 3339 in UTC.
pub(crate) fn minute(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(10..11), rfc3339.get(11..16)) {
        (Some(day), Some("T"), Some(time)) if rfc3339.ends_with('Z') => format!("{day} {time} UTC"),
        _ => rfc3339.to_owned(),
    }
}

/// So many of something: "1 client", "2 clients".
pub(crate) fn count(count: impl TryInto<u64>, word: &str) -> String {
    let count: u64 = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Names and values, one pair a line.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) {
    let dim = anstyle::Style::new().dimmed();
    for (name, value) in pairs {
        if !value.is_empty() {
            line(&format!("{dim}{name:<24}{dim:#}{}", clean(&value)));
        }
    }
}

/// How a finding is marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sign {
    /// Nothing to do.
    Fine,
    /// To be known.
    Note,
    /// To be mended.
    Problem,
}

/// One thing that was looked at, with its remedy below it.
pub(crate) fn finding(check: &str, says: &str, remedy: &str, sign: Sign) {
    let (mark, color) = match sign {
        Sign::Fine => ("✓", anstyle::AnsiColor::Green),
        Sign::Note => ("!", anstyle::AnsiColor::Yellow),
        Sign::Problem => ("✗", anstyle::AnsiColor::Red),
    };
    let (color, dim) = (color.on_default(), anstyle::Style::new().dimmed());
    let pad = " ".repeat(14_usize.saturating_sub(check.len()));
    line(&format!("{color}{mark}{color:#} {dim}{check}{dim:#}{pad}{}", clean(says)));
    if !remedy.is_empty() {
        line(&format!("{:16}{dim}→{dim:#} {}", "", clean(remedy)));
    }
}

/// A short answer that something was done.
pub(crate) fn done(text: &str) {
    let green = anstyle::AnsiColor::Green.on_default();
    line(&format!("{green}✓{green:#} {text}"));
}

/// What a choice costs.
pub(crate) fn note(text: &str) {
    let yellow = anstyle::AnsiColor::Yellow.on_default();
    error(&format!("{yellow}note:{yellow:#} {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_minutes_and_no_control_characters() {
        assert_eq!(minute("2026-11-24T01:30:59.5Z"), "2026-11-24 01:30 UTC");
        assert_eq!(minute("9 ms"), "9 ms");
        assert_eq!(clean("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
