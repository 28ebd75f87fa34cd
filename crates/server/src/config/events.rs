//! `[events]` and `[[webhook]]`: how long what happened is kept, and to whom it is told.
//!
//! A URL is the operator's own, so it may name a private address; but never plain http to another machine, for events name people.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use super::document::Section;
use super::problem::Problem;
use super::token_hook::{HookSecret, SECRET_REMEDY, check_url, read_secret};
use super::{TOP, places};
use crate::admin::events::EVENT_KINDS;

/// `kept` and `tombstones_kept` unless set: 90 days.
const DEFAULT_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// An hour, below which nobody could look, to ten years.
const KEPT: std::ops::RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(3650 * 86_400);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_BACKOFF: Duration = Duration::from_secs(1);
const DEFAULT_GIVE_UP: Duration = Duration::from_secs(86_400);
const GIVE_UP: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(90 * 86_400);
const MAX_NAME: usize = 64;
/// What is looked at of a file to which lines shall be added.
const BEGINNING: u64 = 4096;
/// The most entries of `[[webhook]]`.
pub(super) const MAX_WEBHOOKS: usize = 16;

/// What is kept, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventsSetting {
    /// How long events are kept.
    pub kept: Duration,
    /// How long the row of an ended grant is kept, so that an operator can still see why it ended.
    pub tombstones_kept: Duration,
    /// Where each event is written as a line of JSON.
    pub json_lines: Option<Lines>,
}

impl Default for EventsSetting {
    fn default() -> Self {
        Self { kept: DEFAULT_KEPT, tombstones_kept: DEFAULT_KEPT, json_lines: None }
    }
}

impl EventsSetting {
    /// What to tell of a file whose directory is missing: it may be on another machine than the one where this is asked, and what
    /// happens is kept until it is there.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let Some(Lines::File(path)) = &self.json_lines else { return None };
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty() && !path.is_dir())?;
        let (shown, directory) = (path.display(), directory.display());
        Some(format!(
            "no line of json_lines can be written here: the directory of {shown} is not there\n  remedy: make {directory}, for the user that runs \
             the server"
        ))
    }
}

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lines {
    /// Standard output.
    Stdout,
    /// The end of this file.
    File(PathBuf),
}

/// A `[[webhook]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookSetting {
    /// What it is known by, also after its URL has changed.
    pub name: String,
    /// Where to post: https, or http on a loopback address.
    pub url: Uri,
    /// What requests are signed with.
    pub secret: HookSecret,
    /// The kinds of event that it hears of; empty for all.
    pub kinds: Vec<String>,
    /// From the request to the last byte of the answer.
    pub timeout: Duration,
    /// How long to wait before the second try; twice as long before each further one, at most an hour.
    pub backoff: Duration,
    /// An event that is older than this, and was tried, is given up.
    pub give_up_after: Duration,
}

/// Reads `[events]`.
pub(super) fn read(section: &Section<'_>, base: &Path) -> EventsSetting {
    let mut setting = EventsSetting::default();
    setting.kept = section.duration("kept", KEPT).unwrap_or(setting.kept);
    setting.tombstones_kept = section.duration("tombstones_kept", KEPT).unwrap_or(setting.tombstones_kept);
    match section.string("json_lines").as_deref() {
        None => {}
        Some("stdout") => setting.json_lines = Some(Lines::Stdout),
        Some(path) if path.is_empty() || path.contains('\0') => {
            section.problem(Problem::new("json_lines", "it is no path", "Write \"events.jsonl\" or \"stdout\"."));
        }
        Some(path) => {
            let path = places::under(base, path);
            if let Some((what, remedy)) = unfit(&path) {
                section.problem(Problem::new("json_lines", what, remedy));
            }
            setting.json_lines = Some(Lines::File(path));
        }
    }
    section.finish(&TOP);
    setting
}

/// Why lines may not be added to a file, and what to do: something else is in it. Whether it can be written is for the user that runs the
/// server, who need not be who checks.
fn unfit(path: &Path) -> Option<(String, String)> {
    let shown = path.display();
    let found = path.metadata().ok()?;
    if found.is_dir() {
        return Some((
            format!("{shown} is a directory"),
            "Name a file in it, for example \"events.jsonl\".".to_owned(),
        ));
    }
    // A device or a pipe has no beginning.
    let mut beginning = Vec::new();
    let file = File::open(path).ok().filter(|_| found.is_file())?;
    file.take(BEGINNING).read_to_end(&mut beginning).ok()?;
    // What a crash left unwritten reads as zeros.
    let first = beginning.iter().find(|byte| **byte != 0 && !byte.is_ascii_whitespace());
    first.filter(|first| **first != b'{')?;
    let what = format!("{shown} is there, and does not hold lines of JSON: whatever it is would be spoilt");
    Some((what, "Name another file, or move this one away if nobody needs it there.".to_owned()))
}

/// Reads the entries of `[[webhook]]`; one that something is wrong with is reported and left out.
pub(super) fn read_webhooks(sections: &[Section<'_>], base: &Path) -> Vec<WebhookSetting> {
    let mut webhooks: Vec<WebhookSetting> = Vec::new();
    for section in sections {
        let Some(webhook) = read_webhook(section, base) else { continue };
        if webhooks.iter().any(|known| known.name == webhook.name) {
            section.problem(Problem::new("name", "another [[webhook]] has the same name", "Rename one of them."));
        }
        webhooks.push(webhook);
    }
    webhooks
}

fn read_webhook(section: &Section<'_>, base: &Path) -> Option<WebhookSetting> {
    let (name, url, file) = (section.string("name"), section.string("url"), section.string("secret_file"));
    let kinds = section.strings("kinds").unwrap_or_default();
    let timeout = millis(section, "timeout", DEFAULT_TIMEOUT, Duration::from_secs(30));
    let backoff = millis(section, "backoff", DEFAULT_BACKOFF, Duration::from_secs(3600));
    let give_up_after = section.duration("give_up_after", GIVE_UP).unwrap_or(DEFAULT_GIVE_UP);
    section.finish(&TOP);
    let problem = |problem: Problem| section.problem(problem);
    let name = name.filter(|name| is_name(name)).or_else(|| {
        let remedy = "Write 1 to 64 of a-z A-Z 0-9 - _: it is known by this name, also when its URL changes.";
        problem(Problem::new("name", "it is no name", remedy));
        None
    });
    let url = match url.as_deref().map(|url| check_url(url, "events name people")) {
        Some(Ok(url)) => Some(url),
        Some(Err(wrong)) => {
            problem(wrong);
            None
        }
        None => {
            problem(Problem::new("url", "it is missing", "Write url = \"https://hooks.example.com/events\"."));
            None
        }
    };
    let secret = match file.as_deref().map(|file| read_secret(&places::under(base, file))) {
        Some(Ok(secret)) => Some(secret),
        Some(Err(what)) => {
            problem(Problem::new("secret_file", what, SECRET_REMEDY));
            None
        }
        None => {
            problem(Problem::new("secret_file", "it is missing", SECRET_REMEDY));
            None
        }
    };
    for (index, kind) in kinds.iter().enumerate() {
        if !EVENT_KINDS.contains(&kind.as_str()) {
            let what = format!("{:?} is no kind of event", kind.chars().take(80).collect::<String>());
            let remedy = format!("Choose of {}.", EVENT_KINDS.join(", "));
            problem(Problem::new("kinds", what, remedy).at(index));
        }
    }
    Some(WebhookSetting {
        name: name?,
        url: url?,
        secret: secret?,
        kinds,
        timeout: timeout?,
        backoff: backoff?,
        give_up_after,
    })
}

fn millis(section: &Section<'_>, key: &'static str, default: Duration, most: Duration) -> Option<Duration> {
    let Some(text) = section.string(key) else { return Some(default) };
    let digits = text.strip_suffix("ms").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let read = match digits {
        Some(digits) => digits.parse().ok().map(Duration::from_millis),
        None => super::duration::parse(&text),
    };
    let fits = read.filter(|read| (Duration::from_millis(10)..=most).contains(read));
    if fits.is_none() {
        let most = super::duration::write(most);
        let remedy = "Write \"5s\" or \"500ms\".";
        section.problem(Problem::new(key, format!("it is no duration between 10ms and {most}"), remedy));
    }
    fits
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
