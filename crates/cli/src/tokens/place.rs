//! Where profiles and sessions are: REGRANT_HOME, else `regrant` in XDG_CONFIG_HOME, else in ~/.config.
//!
//! ```text
//! profiles/NAME.json   which client of which server; no secret is in it
//! sessions/            the sealed sessions
//! key                  what they are sealed with, unless REGRANT_PASSPHRASE_COMMAND prints a passphrase
//! keychain             or which keychain has the key
//! ```

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use regrant_client::discovery::Metadata;
use regrant_client::{Credential, FileStore, Profile, Sealing, Secret};
use regrant_jose::{Algorithm, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::context::Failure;

/// The largest file of a profile, a secret or a key.
const LARGEST: u64 = 64 * 1024;

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

/// A profile as it is kept.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Kept {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) client_credentials: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) secret_in_form: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key_algorithm: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dpop: bool,
    /// For a server that publishes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Metadata>,
}

/// What a profile was opened with: another one means that it was set up anew, a client secret that was rotated included.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Stamp(Kept, Vec<Option<(u64, SystemTime, u64)>>);

impl Kept {
    /// Taken before it is opened, so that what changes meanwhile is noticed the next time.
    pub(crate) fn stamp(&self) -> Stamp {
        let of = |file: &PathBuf| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.ino(), metadata.modified().ok()?, metadata.len()))
        };
        let files = [&self.client_secret_file, &self.client_key_file];
        Stamp(self.clone(), files.into_iter().flatten().map(of).collect())
    }

    /// The profile with its secret, read now.
    pub(crate) fn opened(&self, name: &str) -> Result<Profile, Failure> {
        let credential = match (&self.client_secret_file, &self.client_key_file) {
            (Some(file), _) => {
                let secret = Secret::new(read(file)?.trim_ascii_end());
                if self.secret_in_form { Credential::Post(secret) } else { Credential::Basic(secret) }
            }
            (None, Some(file)) => {
                let algorithm = self.client_key_algorithm.as_deref().unwrap_or("ES256");
                Credential::PrivateKeyJwt(Arc::new(key(file, algorithm)?))
            }
            (None, None) => Credential::None,
        };
        let mut profile = Profile::new(name, &self.issuer, &self.client_id).with_credential(credential);
        profile.is_dpop = self.dpop;
        profile.scope.clone_from(&self.scope);
        profile.resources.clone_from(&self.resources);
        profile.metadata.clone_from(&self.metadata);
        Ok(match self.client_credentials {
            true => profile.with_client_credentials(self.scope.clone().unwrap_or_default()),
            false => profile,
        })
    }
}

impl Place {
    pub(crate) fn find() -> Result<Self, Failure> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let place = named("REGRANT_HOME")
            .or_else(|| named("XDG_CONFIG_HOME").map(|config| config.join("regrant")))
            .or_else(|| named("HOME").map(|home| home.join(".config/regrant")));
        place.map(Self).ok_or_else(|| Failure::new(78, "there is no HOME\n  remedy: set REGRANT_HOME to a directory"))
    }

    /// Where the agent's socket is, unless it is named: in XDG_RUNTIME_DIR, else here.
    pub(crate) fn socket(&self) -> PathBuf {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        runtime.map_or_else(|| self.0.join("agent.sock"), |runtime| runtime.join("regrant-agent.sock"))
    }

    pub(crate) fn store(&self) -> Result<FileStore, Failure> {
        let sealing = match std::env::var("REGRANT_PASSPHRASE_COMMAND") {
            Ok(command) if !command.is_empty() => Sealing::Passphrase(passphrase(&command)?),
            _ => super::keychain::sealing(&self.0)?.unwrap_or_else(|| Sealing::KeyFile(self.key_file())),
        };
        FileStore::open(self.0.join("sessions"), &sealing).map_err(|error| Failure::new(74, error))
    }

    /// The key, if no keychain has it.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.0.join("key")
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn profile(&self, name: &str) -> Result<Kept, Failure> {
        let path = self.path(name)?;
        if !path.exists() {
            let known: Vec<String> = self.profiles()?.into_keys().collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            let remedy = format!("regrant login {name} --issuer URL --client-id ID");
            return Err(Failure::new(1, format!("there is no profile {name}; there are: {known}\n  remedy: {remedy}")));
        }
        let text = read(&path)?;
        serde_json::from_str(&text).map_err(|error| Failure::new(78, format!("{}: {error}", path.display())))
    }

    pub(crate) fn profiles(&self) -> Result<BTreeMap<String, Kept>, Failure> {
        let Ok(entries) = std::fs::read_dir(self.0.join("profiles")) else { return Ok(BTreeMap::new()) };
        let names = entries.flatten().filter_map(|entry| {
            entry.file_name().to_str()?.strip_suffix(".json").filter(|name| is_name(name)).map(str::to_owned)
        });
        names.map(|name| self.profile(&name).map(|profile| (name, profile))).collect()
    }

    /// Keeps a profile: beside the old one, then over it.
    pub(crate) fn keep(&self, name: &str, profile: &Kept) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(profile).map_err(|error| Failure::new(70, error))?;
        replace(&self.path(name)?, &text)
    }

    /// Forgets what a profile says.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path(name)?;
        std::fs::remove_file(&path)
            .map_err(|error| Failure::new(74, format!("{} cannot be removed: {error}", path.display())))
    }

    fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        if !is_name(name) {
            let remedy = "use 1 to 64 letters, digits, '-', '_' and '.', beginning with a letter or a digit";
            return Err(Failure::new(2, format!("{name:?} is no name of a profile\n  remedy: {remedy}")));
        }
        Ok(self.0.join("profiles").join(format!("{name}.json")))
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Keeps a text for its owner alone: beside the old one, then over it.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(74, format!("{}: {error}", path.display()));
    let directory = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(failed)
}

/// A file of text, zeroed when it was used.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| Failure::new(65, format!("{} cannot be read: {error}", path.display()));
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)).map_err(failed)?;
    Ok(text)
}

/// A token on standard input.
pub(crate) fn standard_input() -> Result<Secret, Failure> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin().take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::new(65, format!("standard input cannot be read: {error}")))?;
    match text.trim() {
        "" => Err(Failure::new(65, "there is no token on standard input")),
        token => Ok(Secret::new(token)),
    }
}

/// A private key in PKCS#8, as PEM.
fn key(path: &Path, algorithm: &str) -> Result<SigningKey, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new(65, format!("{}: {why}", path.display()));
    let algorithm: Algorithm = algorithm.parse().map_err(|error| wrong(&error))?;
    let text = read(path)?;
    let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    let body = text.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    let (body, _) = body.ok_or_else(|| wrong(&"this is no private key in PKCS#8 (openssl genpkey makes one)"))?;
    let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
    let der = base64::engine::general_purpose::STANDARD.decode(body.as_bytes()).map_err(|error| wrong(&error))?;
    SigningKey::from_pkcs8(algorithm, &Zeroizing::new(der)).map_err(|error| wrong(&error))
}

/// The first line of what a command prints: how the keychain of any desktop is asked.
fn passphrase(command: &str) -> Result<Secret, Failure> {
    let ran = std::process::Command::new("sh").arg("-c").arg(command).stderr(std::process::Stdio::inherit()).output();
    let ran = ran.map_err(|error| Failure::new(78, format!("REGRANT_PASSPHRASE_COMMAND: {error}")))?;
    let printed = Zeroizing::new(ran.stdout);
    let line = std::str::from_utf8(&printed).ok().and_then(|text| text.lines().next()).unwrap_or_default();
    if !ran.status.success() || line.is_empty() {
        return Err(Failure::new(78, format!("REGRANT_PASSPHRASE_COMMAND printed no passphrase ({})", ran.status)));
    }
    Ok(Secret::new(line))
}
