//! Putting a copy in the place of a store: the store that was there is kept aside, and what follows is told and not done.
//!
//! An anchor that is ahead of the copy stays, so that the copy is what it is: older than what was answered. Where there is none, or one that
//! was made for an older copy or another deployment (another machine), one is made that is ahead. Either way the next start is refused
//! until `regrant recover` has opened a new era.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use regrant_core::Timestamp;

use super::SqliteOptions;
use super::anchor::{self, Anchor, Mark};
use super::backup::{Copied, CopyError, look_at, part};
use super::open::{self, OpenError};

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// What the copy holds.
    pub copied: Copied,
    /// Where the store is now that was there before.
    pub kept: Option<PathBuf>,
    /// What the anchor has seen; `None` if there was none.
    pub seen: Option<Mark>,
}

/// Puts the copy `from` in the place of the store `to`, which no server may have open. `at` names what is kept aside.
///
/// # Errors
/// [`CopyError`]; the store is then as it was.
pub fn restore(from: &Path, to: &Path, options: &SqliteOptions, at: Timestamp) -> Result<Restored, CopyError> {
    let copied = look_at(from)?;
    let mut log = from.as_os_str().to_owned();
    log.push("-wal");
    if PathBuf::from(&log).metadata().is_ok_and(|log| log.len() > 0) {
        return Err(CopyError::HasLog(from.to_owned()));
    }
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| CopyError::Unwritable { path, source }
    };
    let file = match to.canonicalize() {
        Ok(file) => file,
        Err(_) => open::one_name(to, true).map_err(|source| open::unusable_directory(to, source))?,
    };
    let _lock = open::lock(to, &file)?;
    let place = options.anchor.clone().unwrap_or_else(|| anchor::beside(&file));
    let seen = anchor::read(&place).map_err(|source| OpenError::Anchor { path: place.clone(), source })?;
    let part = part(&file);
    let _ = std::fs::remove_file(&part);
    let mut source = File::open(from).map_err(unwritable(from))?;
    let mut copy =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(unwritable(&part))?;
    io::copy(&mut source, &mut copy).and_then(|_| copy.sync_all()).map_err(unwritable(&part))?;
    open::give_to_owner(&copy, &file);
    // Before the copy is in its place: it must not start without it.
    let own_mark = seen.filter(|seen| seen.deployment == copied.mark.deployment);
    let is_ahead = own_mark.is_some_and(|seen| (seen.era, seen.commits) > (copied.mark.era, copied.mark.commits));
    let ahead = Mark { commits: copied.mark.commits + 1, at: copied.mark.at.max(at), ..copied.mark };
    if !is_ahead {
        if seen.is_some() && own_mark.is_none() {
            let aside = aside(&place, at, "");
            std::fs::rename(&place, &aside).map_err(unwritable(&aside))?;
        }
        let own = file.clone();
        Anchor::set(&place, ahead, move |made| open::give_to_owner(made, &own))
            .map_err(|source| OpenError::Anchor { path: place.clone(), source })?;
    }
    let mut kept = None;
    for ending in ["-wal", "-shm", ""] {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        let name = PathBuf::from(name);
        if name.exists() {
            let aside = aside(&file, at, ending);
            if aside.exists() {
                return Err(CopyError::Exists(aside));
            }
            std::fs::rename(&name, &aside).map_err(unwritable(&aside))?;
            kept = Some(aside);
        }
    }
    std::fs::rename(&part, &file).and_then(|()| open::sync_directory(&file)).map_err(unwritable(&file))?;
    Ok(Restored { copied, kept, seen: own_mark })
}

/// Where something is kept.
fn aside(path: &Path, at: Timestamp, ending: &str) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".before-restore-{}{ending}", at.millis()));
    aside.into()
}
