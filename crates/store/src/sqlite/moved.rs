//! The note beside a file that was moved to a database: no server opens the file again, for two stores that both rotate would know nothing
//! of each other.
//!
//! A file of its own, so that the store stays as it was moved and whoever wants it back has only to remove the note.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::open::{self, OpenError};

/// Where the note of a database is.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".moved");
    name.into()
}

/// Leaves the note, durably.
pub(super) fn note(file: &Path, to: &str) -> io::Result<()> {
    let path = beside(file);
    let mut note = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    open::give_to_owner(&note, file);
    writeln!(note, "{to}")?;
    note.sync_all()?;
    open::sync_directory(file)
}

/// Refuses a file that was moved. A note that cannot be read is one.
pub(super) fn refuse(path: &Path, file: &Path) -> Result<(), OpenError> {
    let note = beside(file);
    let to = match std::fs::read_to_string(&note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => format!("another place (which, cannot be read: {error})"),
        Ok(to) => to.trim().to_owned(),
    };
    Err(OpenError::Moved { path: path.to_owned(), to, note })
}
