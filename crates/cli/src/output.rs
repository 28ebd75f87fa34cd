//! Printing: tables for people, JSON for programs, colours on a terminal only. A reader who goes away is no error.

use std::io::Write as _;

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde::Serialize;

/// One line on standard output.
pub(crate) fn line(text: &str) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

/// One line on standard error.
pub(crate) fn error(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Bytes on standard output, as they are.
pub(crate) fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

/// Indented JSON on standard output.
pub(crate) fn json(value: &impl Serialize) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A table with a header.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row);
    }
    line(&table.to_string());
}

/// Names and values, one pair a line.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) {
    let dim = anstyle::Style::new().dimmed();
    for (name, value) in pairs {
        if !value.is_empty() {
            line(&format!("{dim}{name:<24}{dim:#}{value}"));
        }
    }
}

/// A short answer that something was done.
pub(crate) fn done(text: &str) {
    let green = anstyle::AnsiColor::Green.on_default();
    line(&format!("{green}✓{green:#} {text}"));
}
