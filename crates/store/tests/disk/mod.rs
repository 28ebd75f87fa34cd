//! A disk of 1 MB: a real one, on a tmpfs. Mounting takes root.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::Directory;

/// A tmpfs, unmounted when dropped. `None` where mounting is not permitted.
pub(crate) struct Disk {
    directory: Directory,
}

impl Disk {
    pub(crate) fn new() -> Option<Self> {
        let disk = Self { directory: Directory::new() };
        let mounted = disk.mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &disk.root());
        if !mounted {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "mounting must be permitted");
            println!("skipped: mounting a tmpfs is not permitted here");
        }
        mounted.then_some(disk)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.file().parent().expect("a directory").to_owned()
    }

    /// The store on it.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.file()
    }

    pub(crate) fn mount(&self, options: &[&str], at: &Path) -> bool {
        Command::new("mount").args(options).arg(at).output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is mounted on the file goes first; of what is not mounted, nobody needs to hear.
        for path in [self.directory.file(), self.root()] {
            let _ = Command::new("umount").arg("-l").arg(path).output();
        }
    }
}
