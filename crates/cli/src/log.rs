//! The log on standard error: one event a line, as text for people or as JSON for programs.
//!
//! Whatever a value holds, it stays on its line and moves no cursor: control characters are written as `\u{…}` (check O8). Other
//! programs' parts that see headers and bodies (h2, hyper, rustls, rusqlite) are never asked for more than `info`, whatever the
//! filter says: what they tell at `trace` are the secrets that pass through them (law L6).

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use clap::ValueEnum;
use regrant_server::config::{LogFormat, LogSetting};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// `--log-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Wish {
    /// For people.
    Text,
    /// One object a line, for programs.
    Json,
}

/// Begins to log. What cannot be done is said in the log, and the server serves without it.
pub(crate) fn start(setting: &LogSetting, wish: Option<Wish>) {
    let is_terminal = std::io::stderr().is_terminal();
    let style = match (wish, setting.format) {
        (Some(Wish::Json), _) | (None, LogFormat::Json) => Style::Json,
        (None, LogFormat::Auto) if !is_terminal => Style::Json,
        _ if is_terminal && std::env::var_os("NO_COLOR").is_none() => Style::Coloured,
        _ => Style::Plain,
    };
    let variable = std::env::var("REGRANT_LOG").ok();
    let asked = variable.as_deref().map(EnvFilter::try_new);
    let refused = matches!(asked, Some(Err(_)));
    let filter = asked.and_then(Result::ok).or_else(|| EnvFilter::try_new(&setting.filter).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info")).and(filter_fn(is_fit));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines(style)).with_writer(std::io::stderr);
    // A logger that is there already stays.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    if refused {
        tracing::warn!(
            "REGRANT_LOG is no filter and is left aside; write it like \"info\" or \"regrant_server=debug\""
        );
    }
}

/// Ours at every level; of everybody else nothing below `info`.
fn is_fit(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("regrant")
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    Json,
    Plain,
    Coloured,
}

/// Writes one event on one line.
struct Lines(Style);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let paint = match self.0 {
            Style::Json => return json(&mut writer, event),
            Style::Plain => Paint::NONE,
            Style::Coloured => Paint::of(*event.metadata().level()),
        };
        let mut time = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "{}", fields.text(event.metadata(), &time, paint))
    }
}

/// Flat: `timestamp`, `level`, `target`, and the fields in their order, `message` among them. This is done for each request, so
/// that it is written where it goes, and nothing is gathered first.
fn json(writer: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    writer.write_str("{\"timestamp\":\"")?;
    SystemTime.format_time(writer)?;
    write!(writer, "\",\"level\":\"{}\",\"target\":", metadata.level())?;
    quoted(writer, metadata.target())?;
    let mut members = Members { writer: writer.by_ref(), written: Ok(()) };
    event.record(&mut members);
    members.written?;
    writer.write_str("}\n")
}

/// The fields of an event as members of a JSON object that others stand before.
struct Members<'a> {
    writer: Writer<'a>,
    written: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // Names that stand there already would make two members of one name.
        if self.written.is_ok() && !matches!(field.name(), "timestamp" | "level" | "target") {
            self.written = write!(self.writer, ",\"{}\":", field.name()).and_then(|()| value(&mut self.writer));
        }
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |writer| quoted(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |writer| quoted(writer, &format!("{value:?}")));
    }
}

/// A JSON string. What needs no encoding, which is nearly everything, goes as it is.
fn quoted(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        writer.write_char('"')?;
        writer.write_str(text)?;
        return writer.write_char('"');
    }
    writer.write_str(&Value::String(encoded(text)).to_string())
}

/// The fields of an event, in their order: for people.
#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Fields {
    /// The message, and what is not empty of the fields.
    fn text(self, metadata: &Metadata<'_>, time: &str, paint: Paint) -> String {
        let Paint { level, dim, reset } = paint;
        let mut line = format!("{dim}{time}{reset} {level}{:5}{reset} {}", metadata.level(), encoded(&self.message));
        for (name, value) in self.fields {
            let _ = match value {
                Value::String(text) if text.is_empty() => Ok(()),
                Value::String(text) if is_word(&text) => write!(line, " {dim}{name}={reset}{text}"),
                Value::String(text) => write!(line, " {dim}{name}={reset}\"{}\"", encoded(&text).replace('"', "\\\"")),
                other => write!(line, " {dim}{name}={reset}{other}"),
            };
        }
        line
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, Value::String(value.to_owned()))),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::from(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Value::from(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Value::from(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Colours, for a terminal.
#[derive(Clone, Copy)]
struct Paint {
    level: &'static str,
    dim: &'static str,
    reset: &'static str,
}

impl Paint {
    const NONE: Self = Self { level: "", dim: "", reset: "" };

    const fn of(level: Level) -> Self {
        let level = match level {
            Level::ERROR => "\u{1b}[31m",
            Level::WARN => "\u{1b}[33m",
            Level::INFO => "\u{1b}[32m",
            _ => "\u{1b}[34m",
        };
        Self { level, dim: "\u{1b}[2m", reset: "\u{1b}[0m" }
    }
}

/// Needs no quotes.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'))
}

/// Without anything that ends a line, moves a cursor, or turns the direction of writing.
fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.extend(c.escape_unicode());
            }
            c if c.is_control() => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What is written while `told` tells.
    fn written(style: Style, told: impl FnOnce()) -> String {
        let page = Page::default();
        let lines = tracing_subscriber::fmt::layer().event_format(Lines(style)).with_writer(page.clone());
        let filter = EnvFilter::new("trace").and(filter_fn(is_fit));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.with_filter(filter)), told);
        let bytes = page.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// Check O8: CR, LF and ANSI sequences in a value are written as what they are, in each style; an event is one line.
    #[test]
    fn a_value_cannot_begin_a_line_or_colour_the_terminal() {
        let forged = "x\r\n2026-11-24T00:00:00Z INFO forged=\"yes\"\u{1b}[2J\u{9b}31m\u{2028}\u{202e}\u{7f}\u{85}";
        for style in [Style::Json, Style::Plain, Style::Coloured] {
            let told = || {
                tracing::info!(target: "regrant", name = forged, debug = ?forged, shown = %forged, "the message: {forged}");
            };
            let line = written(style, told);
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            let body = line.trim_end_matches('\n');
            let own = ["\u{1b}[2m", "\u{1b}[32m", "\u{1b}[0m"]
                .iter()
                .fold(body.to_owned(), |body, own| body.replace(own, ""));
            assert!(!own.chars().any(char::is_control), "{own:?}");
            assert!(!own.contains(['\u{2028}', '\u{202e}']), "{own:?}");
            assert!(own.contains("\\u{1b}[2J") || own.contains("\\\\u{1b}[2J"), "{own}");
        }
    }

    #[test]
    fn json_is_flat_and_text_leaves_out_what_is_empty() {
        let told = || tracing::info!(target: "regrant", client = "", status = 200_u16, name = "two words", ok = true, "request");
        let json: Value = serde_json::from_str(&written(Style::Json, told)).expect("JSON");
        assert_eq!((&json["message"], &json["level"]), (&"request".into(), &"INFO".into()));
        assert_eq!((&json["client"], &json["status"], &json["ok"]), (&"".into(), &200.into(), &true.into()));
        assert!(json["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
        let text = written(Style::Plain, told);
        assert!(
            text.ends_with(" INFO  request status=200 name=\"two words\" ok=true\n")
                || text.ends_with("  INFO request status=200 name=\"two words\" ok=true\n"),
            "{text}"
        );
    }

    /// Law L6: whatever the filter asks for, those who see headers and bodies are not heard below `info`.
    #[test]
    fn others_are_not_heard_below_info() {
        let log = written(Style::Json, || {
            tracing::trace!(target: "h2::codec", "a frame with a secret");
            tracing::debug!(target: "hyper::proto", "headers with a secret");
            tracing::debug!(target: "rustls::conn", "keys with a secret");
            tracing::info!(target: "h2::server", "heard");
            tracing::trace!(target: "regrant_server::token", "heard, too");
        });
        assert!(!log.contains("secret"), "{log}");
        assert_eq!(log.lines().count(), 2, "{log}");
    }
}
