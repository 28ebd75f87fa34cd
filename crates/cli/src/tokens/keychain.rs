//! The key of the sealed sessions in a keychain of the machine: the file `keychain` beside them says in which, and under which account.

use std::path::Path;

use clap::ValueEnum;
use regrant_client::Sealing;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::context::{Done, Failure};

/// A keychain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// The one of the user's desktop: the Secret Service (GNOME, KDE, KeePassXC), or macOS's Keychain.
    Desktop,
    /// The Linux kernel's keyring: the sessions end when the machine restarts.
    Kernel,
}

impl Which {
    const fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Kernel => "kernel",
        }
    }
}

/// Where the key is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    keychain: Which,
    account: String,
}

/// What the sessions are sealed with, if a keychain has the key.
pub(super) fn sealing(directory: &Path) -> Result<Option<Sealing>, Failure> {
    match kept(directory)? {
        Some(kept) => held::sealing(kept.keychain, kept.account).map(Some),
        None => Ok(None),
    }
}

/// From now on the key is there. One that is in a file already is moved.
pub(super) fn choose(place: &Place, which: Which) -> Done {
    let kept = kept(place.directory())?;
    if let Some(kept) = kept.as_ref().filter(|kept| kept.keychain != which) {
        let remedy = "log out of all profiles and remove the file `keychain` there, then log in";
        return Err(Failure::new(
            2,
            format!(
                "the key of the sessions is in another keychain already ({})\n  remedy: {remedy}",
                kept.keychain.name()
            ),
        ));
    }
    let is_new = kept.is_none();
    let account = || format!("sessions-{:016x}", u64::from_be_bytes(regrant_server::chance::bytes()));
    let kept = kept.unwrap_or_else(|| Kept { keychain: which, account: account() });
    // In the keychain, then known to be there, then gone from the disk: after a crash in between the sessions open all the same.
    let file = place.key_file();
    held::adopt(which, &kept.account, &file)?;
    if is_new {
        let text = serde_json::to_string_pretty(&kept).map_err(|error| Failure::new(70, error))?;
        super::place::replace(&place.directory().join("keychain"), &text)?;
    }
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(74, format!("{}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

fn kept(directory: &Path) -> Result<Option<Kept>, Failure> {
    let path = directory.join("keychain");
    if !path.exists() {
        return Ok(None);
    }
    let text = super::place::read(&path)?;
    let kept = serde_json::from_str(&text);
    kept.map(Some).map_err(|error| Failure::new(78, format!("{}: {error}", path.display())))
}

/// With the feature `keychain`.
#[cfg(feature = "keychain")]
mod held {
    use std::path::Path;

    use regrant_client::{Keychain, Sealing, StoreError};

    use super::Which;
    use crate::context::{Done, Failure};
    use crate::output;

    /// The name that keychains show.
    const SERVICE: &str = "regrant";

    fn open(which: Which) -> Result<Keychain, Failure> {
        let opened = match which {
            Which::Desktop => Keychain::desktop(SERVICE),
            #[cfg(target_os = "linux")]
            Which::Kernel => Keychain::kernel(SERVICE),
            #[cfg(not(target_os = "linux"))]
            Which::Kernel => Err(StoreError("the kernel's keyring is Linux's".to_owned())),
        };
        opened.map_err(failed)
    }

    pub(super) fn sealing(which: Which, account: String) -> Result<Sealing, Failure> {
        open(which).map(|keychain| Sealing::Keychain(keychain, account))
    }

    pub(super) fn adopt(which: Which, account: &str, file: &Path) -> Done {
        let keychain = open(which)?;
        if !keychain.is_lasting() {
            output::note("this keychain forgets: when the machine restarts, the sessions are over");
        }
        if file.exists() { keychain.adopt_key(account, file).map_err(failed) } else { Ok(()) }
    }

    fn failed(error: StoreError) -> Failure {
        Failure::new(74, error)
    }
}

/// Without it.
#[cfg(not(feature = "keychain"))]
mod held {
    use std::path::Path;

    use regrant_client::Sealing;

    use super::Which;
    use crate::context::{Done, Failure};

    fn missing() -> Failure {
        let remedy = "cargo build --features keychain";
        Failure::new(78, format!("this regrant was built without keychains\n  remedy: {remedy}"))
    }

    pub(super) fn sealing(_: Which, _: String) -> Result<Sealing, Failure> {
        Err(missing())
    }

    pub(super) fn adopt(_: Which, _: &str, _: &Path) -> Done {
        Err(missing())
    }
}
