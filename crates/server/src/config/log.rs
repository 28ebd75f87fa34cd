//! `[log]`: how the log on standard error is written. `--log-format` and `REGRANT_LOG` come before it.

use super::document::Section;
use super::problem::Problem;

/// `filter` unless set.
pub(super) const DEFAULT_FILTER: &str = "info";
const MAX_FILTER: usize = 1000;

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One object a line, for programs.
    Json,
}

/// What is logged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSetting {
    /// How.
    pub format: LogFormat,
    /// What: a filter of tracing-subscriber, as `info` or `regrant_server=debug`.
    pub filter: String,
    /// Where spans go, by OTLP over HTTP, if this was built with the feature `otlp`: the collector's base URL.
    pub otlp_endpoint: Option<String>,
}

impl LogSetting {
    /// What is set and cannot be done.
    pub(super) fn notice(&self) -> Option<String> {
        let is_vain = self.otlp_endpoint.is_some() && !cfg!(feature = "otlp");
        is_vain.then(|| {
            "[log] otlp_endpoint is set, and this build sends no spans: build it with `--features otlp`".to_owned()
        })
    }
}

impl Default for LogSetting {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: DEFAULT_FILTER.to_owned(), otlp_endpoint: None }
    }
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> LogSetting {
    let mut setting = LogSetting::default();
    match section.string("format").as_deref() {
        None | Some("auto") => {}
        Some("text") => setting.format = LogFormat::Text,
        Some("json") => setting.format = LogFormat::Json,
        Some(_) => {
            section.problem(Problem::new("format", "it is no log format", "Choose \"auto\", \"text\" or \"json\"."));
        }
    }
    if let Some(filter) = section.string("filter") {
        match check_filter(&filter) {
            Ok(()) => setting.filter = filter,
            Err(what) => {
                section.problem(Problem::new(
                    "filter",
                    what,
                    "Write it like \"info\" or \"info,regrant_server=debug\".",
                ));
            }
        }
    }
    if let Some(endpoint) = section.string("otlp_endpoint") {
        if !is_base_url(&endpoint) {
            let remedy = "Write the collector's URL, like \"http://127.0.0.1:4318\"; what it wants for a proof goes into the variable OTEL_EXPORTER_OTLP_HEADERS.";
            section.problem(Problem::new("otlp_endpoint", "it is no http URL", remedy));
        }
        setting.otlp_endpoint = Some(endpoint);
    }
    section.finish(&super::TOP);
    setting
}

/// http or https, a host, perhaps a path, and nothing else.
fn is_base_url(endpoint: &str) -> bool {
    let fits = |uri: http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
            && uri.query().is_none()
    };
    !endpoint.contains('#') && endpoint.parse().is_ok_and(fits)
}

/// Directives, separated by commas: a level, or a target with a level. Spans and fields are not filtered by.
fn check_filter(filter: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    if filter.len() > MAX_FILTER {
        return Err(format!("it is longer than {MAX_FILTER} characters"));
    }
    let is_target = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
    };
    let is_level = |text: &str| LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level));
    for directive in filter.split(',').map(str::trim) {
        let fits = match directive.split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(directive),
        };
        if !fits {
            return Err(format!("{directive:?} is no directive"));
        }
    }
    Ok(())
}
