//! A client's secret: read from a file or given as a hash; the configuration never holds the secret itself.

use std::io::Read as _;
use std::path::Path;

use regrant_core::Timestamp;
use regrant_core::client::{AuthMethod, ClientSecret};
use regrant_core::one_time::{MAX_SECRET_LEN, MIN_SECRET_LEN, client_secret_hash};
use regrant_core::secret::Hash;
use zeroize::Zeroizing;

use super::super::problem::Problem;
use super::{Checks, ClientDefinition, PlainSecret};

/// What `secret_hash` begins with.
const HASH_PREFIX: &str = "sha256:";

impl ClientDefinition {
    /// The client's secrets, for the methods that have one: the one in use, and the one before it while both work.
    pub(super) fn secrets(
        &self,
        auth: Option<AuthMethod>,
        files: Option<&Path>,
        checks: &mut Checks,
    ) -> Vec<ClientSecret> {
        let current = self.secret(auth, files, checks).map(|hash| ClientSecret { hash, expires_at: None });
        let previous = self.previous_secret(auth, files, checks);
        current.into_iter().chain(previous).collect()
    }

    fn previous_secret(
        &self,
        auth: Option<AuthMethod>,
        files: Option<&Path>,
        checks: &mut Checks,
    ) -> Option<ClientSecret> {
        let key = if self.previous_secret_file.is_some() { "previous_secret_file" } else { "previous_secret_hash" };
        let end = "previous_secret_expires_at";
        let given = self.previous_secret_file.is_some() || self.previous_secret_hash.is_some();
        let (true, Some(until)) = (given, &self.previous_secret_expires_at) else {
            if given {
                let remedy = "Write when it ends, for example \"2026-12-01T00:00:00Z\": a secret that never ends was never replaced.";
                checks.problem(Problem::new(key, "there is no previous_secret_expires_at beside it", remedy));
            } else if self.previous_secret_expires_at.is_some() {
                let remedy = "Remove it, or add previous_secret_file or previous_secret_hash.";
                checks.problem(Problem::new(end, "there is no previous secret that it could end", remedy));
            }
            return None;
        };
        if let Some(method @ (AuthMethod::None | AuthMethod::PrivateKeyJwt | AuthMethod::ClientSecretJwt)) = auth {
            let what = format!("a client of method \"{}\" has no secret before this one", method.as_str());
            checks.problem(Problem::new(key, what, "Remove it."));
            return None;
        }
        let expires_at = until.parse::<jiff::Timestamp>().map(|at| Timestamp::from_millis(at.as_millisecond()));
        if expires_at.is_err() {
            let remedy = "Write it in UTC like \"2026-12-01T00:00:00Z\".";
            checks.problem(Problem::new(end, "it is no time of RFC 3339", remedy));
        }
        let hash = match (&self.previous_secret_file, &self.previous_secret_hash) {
            (Some(_), Some(_)) => {
                let what = "there is a previous_secret_file as well";
                checks.problem(Problem::new("previous_secret_hash", what, "Keep one of the two."));
                None
            }
            (Some(path), None) => self.in_file("previous_secret_file", path, files, checks),
            (None, Some(hash)) => checked("previous_secret_hash", parse_hash(hash), checks),
            (None, None) => None,
        };
        Some(ClientSecret { hash: hash?, expires_at: Some(expires_at.ok()?) })
    }

    /// Reads the secret of a client of `client_secret_jwt` from its file: a hash would not do. What is wrong with the file is
    /// told where the definition is resolved.
    pub(in crate::config) fn take_secret(&mut self, base: &Path) {
        let wants = self.token_endpoint_auth_method.as_deref() == Some(AuthMethod::ClientSecretJwt.as_str());
        if let Some(file) = self.secret_file.as_deref().filter(|_| wants) {
            self.shared_secret = read_text(&super::super::places::under(base, file)).ok().map(PlainSecret::new);
        }
    }

    /// The hash of the client's secret.
    fn secret(&self, auth: Option<AuthMethod>, files: Option<&Path>, checks: &mut Checks) -> Option<Hash> {
        let auth = auth?;
        if let (AuthMethod::ClientSecretJwt, Some(secret)) = (auth, &self.shared_secret) {
            return Some(secret.hash());
        }
        match (auth, &self.secret_file, &self.secret_hash) {
            (AuthMethod::PrivateKeyJwt, None, None) => None,
            (AuthMethod::PrivateKeyJwt, file, _) => {
                let key = if file.is_some() { "secret_file" } else { "secret_hash" };
                checks.problem(Problem::new(
                    key,
                    "a client of \"private_key_jwt\" has keys and no secret",
                    "Remove it.",
                ));
                None
            }
            // `check_proofs` says what is missing.
            (AuthMethod::ClientSecretJwt, None, _) => None,
            (AuthMethod::None, None, None) => None,
            (AuthMethod::None, file, _) => {
                let key = if file.is_some() { "secret_file" } else { "secret_hash" };
                let remedy =
                    "Remove it, or remove token_endpoint_auth_method: with a secret the client is confidential.";
                checks.problem(Problem::new(key, "a client of method \"none\" has no secret", remedy));
                None
            }
            (_, Some(_), Some(_)) => {
                let remedy = "Keep one of the two.";
                checks.problem(Problem::new("secret_hash", "there is a secret_file as well", remedy));
                None
            }
            (_, None, None) => {
                let key = "token_endpoint_auth_method";
                let what = match &self.token_endpoint_auth_method {
                    None => "it is \"client_secret_basic\" unless set (RFC 7591 section 2), and there is no secret"
                        .to_owned(),
                    Some(_) => format!("\"{}\" needs a secret, and there is none", auth.as_str()),
                };
                let remedy = "Add secret_file or secret_hash; for a public client (browser, phone, desktop) write token_endpoint_auth_method = \"none\".";
                checks.problem(Problem::new(key, what, remedy));
                None
            }
            (_, None, Some(hash)) => checked("secret_hash", parse_hash(hash), checks),
            (_, Some(path), None) => self.in_file("secret_file", path, files, checks),
        }
    }

    fn in_file(&self, key: &'static str, path: &str, files: Option<&Path>, checks: &mut Checks) -> Option<Hash> {
        let Some(base) = files else {
            let remedy = "Give the hash of the secret instead.";
            checks.problem(Problem::new(key, "an added client cannot name a file", remedy));
            return None;
        };
        let path = super::super::places::under(base, path);
        if readable_by_others(&path) {
            let path = path.display();
            checks.notices.push(format!(
                "client \"{}\": other users of this machine can read {path}; close it with `chmod 600 {path}`",
                self.id
            ));
        }
        checked(key, read(&path), checks)
    }
}

type Refused = (String, &'static str);

fn checked(key: &'static str, read: Result<Hash, Refused>, checks: &mut Checks) -> Option<Hash> {
    read.map_err(|(what, remedy)| checks.problem(Problem::new(key, what, remedy))).ok()
}

/// The text of a hash that [`ClientDefinition`] takes.
#[must_use]
pub fn hash_text(hash: &Hash) -> String {
    let digits: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HASH_PREFIX}{digits}")
}

/// Never repeats what was written: somebody may have written the secret itself.
fn parse_hash(text: &str) -> Result<Hash, Refused> {
    let digits = text.strip_prefix(HASH_PREFIX).map(str::as_bytes).filter(|digits| digits.len() == 64);
    let mut out = [0_u8; 32];
    let parsed = digits.is_some_and(|digits| {
        out.iter_mut().zip(digits.chunks(2)).all(|(byte, pair)| {
            let pair =
                std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).map(|value| *byte = value).is_some()
        })
    });
    if parsed {
        return Ok(Hash(out));
    }
    let what = format!("it is not \"{HASH_PREFIX}\" and 64 hexadecimal digits");
    Err((what, "`regrant client secret` makes a secret and prints its hash."))
}

fn read(path: &Path) -> Result<Hash, Refused> {
    read_text(path).map(|secret| client_secret_hash(&secret))
}

/// The hash that such a text says.
#[must_use]
pub fn parse_hash_text(text: &str) -> Option<Hash> {
    parse_hash(text).ok()
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, Refused> {
    let remedy =
        "Put the secret alone into the file, on one line; `regrant client secret --out FILE` makes such a file.";
    let cannot = |error: &std::io::Error| (format!("{} cannot be read: {error}", path.display()), remedy);
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET_LEN * 4));
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    file.take(4 * MAX_SECRET_LEN as u64).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    let secret = text.trim();
    // RFC 6749 appendix A.2: client-secret = *VSCHAR.
    if secret.lines().count() > 1 || !secret.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
        return Err((format!("{} holds more than one line of visible ASCII characters", path.display()), remedy));
    }
    if !(MIN_SECRET_LEN..=MAX_SECRET_LEN).contains(&secret.len()) {
        let what = format!(
            "the secret in {} has {} characters, not {MIN_SECRET_LEN} to {MAX_SECRET_LEN}",
            path.display(),
            secret.len()
        );
        return Err((what, remedy));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}
