//! `[token_hook]`: whom to ask before a token is made, and what to do without an answer.
//!
//! The URL is the operator's own, so it may name a private address; but never plain http to another machine, for the answer
//! decides what tokens say and nothing in it is signed.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use regrant_core::client::GrantType;
use zeroize::Zeroizing;

use super::document::Section;
use super::problem::Problem;
use super::{TOP, duration, places};

/// `timeout` unless set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time-out: a client does not wait longer either.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// The shortest and longest secret, in bytes.
const SECRET_LEN: std::ops::RangeInclusive<usize> = 24..=512;
/// How a secret begins that is Base64, as the libraries for Standard Webhooks want it.
const BASE64_PREFIX: &str = "whsec_";
/// The longest URL.
const MAX_URL: usize = 2048;

/// A `[token_hook]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenHookSetting {
    /// Where to ask: https, or http on a loopback address.
    pub url: Uri,
    /// What requests are signed with.
    pub secret: HookSecret,
    /// From the question to the last byte of the answer.
    pub timeout: Duration,
    /// What to do without an answer.
    pub on_failure: OnFailure,
    /// The flows that are asked about.
    pub grant_types: BTreeSet<GrantType>,
}

/// What to do without an answer: a time-out, an error, nonsense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// The client hears 503 and asks again; nothing is consumed.
    Deny,
    /// The token is made without what the hook would have added.
    Allow,
}

/// The key of the signatures.
#[derive(Clone)]
pub struct HookSecret(Zeroizing<Vec<u8>>);

impl HookSecret {
    /// The bytes, for the signature.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for HookSecret {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for HookSecret {}

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HookSecret(…)")
    }
}

/// Reads the section. `None` if anything is wrong with it, which is then reported.
pub(super) fn read(section: &Section<'_>, base: &Path) -> Option<TokenHookSetting> {
    let url = section.string("url");
    let file = section.string("secret_file");
    let timeout = section.string("timeout");
    let on_failure = section.string("on_failure");
    let grant_types = section.strings("grant_types");
    section.finish(&TOP);
    let noted = |problem: Problem| section.problem(problem);
    let url = match url.as_deref().map(|url| check_url(url, "the answer decides what tokens say")) {
        Some(Ok(url)) => Some(url),
        Some(Err(problem)) => {
            noted(problem);
            None
        }
        None => {
            noted(Problem::new("url", "it is missing", "Write url = \"https://hooks.example.com/token\"."));
            None
        }
    };
    let secret = match file.as_deref().map(|file| read_secret(&places::under(base, file))) {
        Some(Ok(secret)) => Some(secret),
        Some(Err(what)) => {
            noted(Problem::new("secret_file", what, SECRET_REMEDY));
            None
        }
        None => {
            noted(Problem::new("secret_file", "it is missing", SECRET_REMEDY));
            None
        }
    };
    let timeout = timeout.map_or(Some(DEFAULT_TIMEOUT), |text| {
        let read = read_timeout(&text);
        if read.is_none() {
            let what = "it is no duration between 10ms and 30s";
            noted(Problem::new("timeout", what, "Write \"2s\" or \"500ms\": the client waits as long."));
        }
        read
    });
    let on_failure = match on_failure.as_deref() {
        None | Some("deny") => Some(OnFailure::Deny),
        Some("allow") => Some(OnFailure::Allow),
        Some(_) => {
            let remedy = "Write \"deny\" (503, nothing is consumed) or \"allow\" (a token without the hook's claims).";
            noted(Problem::new("on_failure", "it is none of the choices", remedy));
            None
        }
    };
    let grant_types = read_grant_types(section, grant_types)?;
    Some(TokenHookSetting { url: url?, secret: secret?, timeout: timeout?, on_failure: on_failure?, grant_types })
}

pub(super) const SECRET_REMEDY: &str = "Name a file with one line of 24 to 512 characters, or \"whsec_\" and Base64; `regrant client secret --out FILE` makes one.";

fn read_grant_types(section: &Section<'_>, words: Option<Vec<String>>) -> Option<BTreeSet<GrantType>> {
    let Some(words) = words else { return Some(GrantType::ALL.into()) };
    let mut found = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        match GrantType::ALL.into_iter().find(|grant_type| grant_type.as_str() == word) {
            Some(grant_type) => drop(found.insert(grant_type)),
            None => {
                let all = GrantType::ALL.map(GrantType::as_str).join(", ");
                let what = format!("{:?} is no grant type", word.chars().take(80).collect::<String>());
                section.problem(Problem::new("grant_types", what, format!("Choose of {all}.")).at(index));
                return None;
            }
        }
    }
    if found.is_empty() {
        let remedy = "Name at least one, or remove [token_hook].";
        section.problem(Problem::new("grant_types", "it is empty, so the hook is never asked", remedy));
        return None;
    }
    Some(found)
}

/// `why` says what plain http would give away.
pub(super) fn check_url(text: &str, why: &str) -> Result<Uri, Problem> {
    let refuse = |what: &str, remedy: &str| Err(Problem::new("url", what, remedy));
    let remedy = "Write it like \"https://hooks.example.com/token\".";
    let Some(url) = text.parse::<Uri>().ok().filter(|_| text.len() <= MAX_URL) else {
        return refuse("it is no URL of at most 2048 characters", remedy);
    };
    if text.contains('#') {
        return refuse("it has a fragment", remedy);
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return refuse("it has user information before the host", "Requests are signed: see secret_file.");
    }
    let host = url.host().unwrap_or_default();
    match url.scheme_str() {
        _ if host.is_empty() => refuse("it is no absolute URL", remedy),
        Some("https") => Ok(url),
        Some("http") if is_loopback(host) => Ok(url),
        Some("http") => refuse("plain http is for loopback addresses only", &format!("Use https: {why}.")),
        _ => refuse("its scheme is not https", remedy),
    }
}

/// An address and not a name: what a name means is for others to say.
fn is_loopback(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse().is_ok_and(places::is_loopback)
}

fn read_timeout(text: &str) -> Option<Duration> {
    let millis = text.strip_suffix("ms").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let read = match millis {
        Some(digits) => digits.parse().ok().map(Duration::from_millis),
        None => duration::parse(text),
    };
    read.filter(|timeout| (Duration::from_millis(10)..=MAX_TIMEOUT).contains(timeout))
}

pub(super) fn read_secret(path: &Path) -> Result<HookSecret, String> {
    let cannot = |error: &std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut text = Zeroizing::new(String::with_capacity(2048));
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    file.take(2048).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    let secret = text.trim();
    let bytes = match secret.strip_prefix(BASE64_PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).unwrap_or_default(),
        None if secret.bytes().all(|byte| byte.is_ascii_graphic()) => secret.as_bytes().to_vec(),
        None => Vec::new(),
    };
    let bytes = Zeroizing::new(bytes);
    if !SECRET_LEN.contains(&bytes.len()) {
        return Err(format!("{} holds no secret of 24 to 512 visible ASCII characters or bytes", path.display()));
    }
    Ok(HookSecret(bytes))
}
