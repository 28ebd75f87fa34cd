//! The anchor: outside of the database, how far the database had come (check Z16).
//!
//! A database without its log, or an older copy of it, is sound in itself: every MAC fits, and nothing in it can tell that spent
//! tokens work again and that revocations are gone. So the count of commits, which each transaction raises, is written into a
//! file of its own before the batch is answered, and compared when the store is opened.
//!
//! | the store has              | what happened                                              | what is done                              |
//! |----------------------------|------------------------------------------------------------|-------------------------------------------|
//! | as many commits, or more   | nothing; a power cut left the anchor behind                | it opens, and the anchor follows           |
//! | a later era                | an operator recovered it elsewhere                         | the same                                   |
//! | fewer, or an earlier era   | its log is missing, or an older copy was put back          | [`WentBack`]: refused, nothing is changed  |
//! | another deployment's id    | another database, or another database's log                | the same                                   |
//! | no database at all         | it was removed or not mounted                              | the same                                   |
//! | no anchor, and was used    | it was moved here without it, or somebody removed it       | made anew, and an operator is told         |
//!
//! What is there and does not begin as an anchor is somebody else's file: it is refused, and nothing is written to it. An anchor of
//! ours of which no slot is whole is damaged, and is made anew.
//!
//! One `pwrite` in place for each batch and no fsync: after a power cut the anchor may be behind, which only makes it less
//! sharp; it is never ahead of what is durable. Two slots, written in turn, each with its checksum: a torn write leaves the
//! other. It is made durable when the log is moved into the file, when the era changes, and when the store is closed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use regrant_core::Timestamp;
use regrant_core::keys::DeploymentId;

const MAGIC: [u8; 8] = *b"RGANCHR2";
/// What a slot holds: magic, deployment, era, commits, time, seals, CRC-32.
const SLOT: usize = 8 + 16 + 2 + 8 + 8 + 8 + 4;
/// The same of before there were seals.
const FIRST_MAGIC: [u8; 8] = *b"RGANCHR1";
const FIRST_SLOT: usize = SLOT - 8;
/// What a slot of any form begins with, those to come included.
const NAME: &[u8] = MAGIC.split_at(7).0;
/// Slots are a sector apart: a device writes sectors whole.
const APART: u64 = 512;

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchor").field("path", &self.path).field("mark", &self.mark).finish_non_exhaustive()
    }
}

/// How far a store has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Which store; zero while it has no identity.
    pub deployment: DeploymentId,
    /// How many times an operator has recovered it.
    pub era: u16,
    /// How many transactions it has made durable.
    pub commits: u64,
    /// The newest time in it.
    pub at: Timestamp,
    /// How often there was another seal ([`guard`](super::guard)).
    pub seals: u64,
}

impl Mark {
    /// Whether it is about a store that was used: one without an identity has nothing to lose.
    const fn is_used(&self) -> bool {
        !matches!(self.deployment, DeploymentId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    }

    fn bytes(&self) -> [u8; SLOT] {
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&MAGIC);
        slot[8..24].copy_from_slice(&self.deployment.0);
        slot[24..26].copy_from_slice(&self.era.to_be_bytes());
        slot[26..34].copy_from_slice(&self.commits.to_be_bytes());
        slot[34..42].copy_from_slice(&self.at.millis().to_be_bytes());
        slot[42..50].copy_from_slice(&self.seals.to_be_bytes());
        let sum = crc32fast::hash(&slot[..50]);
        slot[50..].copy_from_slice(&sum.to_be_bytes());
        slot
    }

    fn read(slot: &[u8; SLOT]) -> Option<Self> {
        let is_first = slot[..8] == FIRST_MAGIC;
        let (body, sum) = if is_first { slot[..FIRST_SLOT].split_at(42) } else { slot.split_at(50) };
        if (!is_first && body[..8] != MAGIC) || crc32fast::hash(body).to_be_bytes() != sum {
            return None;
        }
        let seals = if is_first { 0 } else { u64::from_be_bytes(body[42..50].try_into().ok()?) };
        Some(Self {
            deployment: DeploymentId(body[8..24].try_into().ok()?),
            era: u16::from_be_bytes(body[24..26].try_into().ok()?),
            commits: u64::from_be_bytes(body[26..34].try_into().ok()?),
            at: Timestamp::from_millis(i64::from_be_bytes(body[34..42].try_into().ok()?)),
            seals,
        })
    }
}

/// The database went back: it knows less than was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WentBack {
    /// The database.
    pub path: PathBuf,
    /// The anchor.
    pub anchor: PathBuf,
    /// What the database says of itself; `None` if there is none, or nothing in it.
    pub found: Option<Mark>,
    /// What the anchor has seen.
    pub seen: Mark,
}

impl WentBack {
    /// Whether it is an earlier state of the same store: then it can be recovered.
    #[must_use]
    pub fn is_of_the_same_store(&self) -> bool {
        self.found.is_some_and(|found| found.deployment == self.seen.deployment)
    }
}

impl fmt::Display for WentBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, anchor, found, seen } = self;
        let (path, anchor, log) = (path.display(), anchor.display(), format!("{}-wal", path.display()));
        let (commits, at) = (seen.commits, time(seen.at));
        match found {
            None => write!(
                f,
                "the store {path} is not there or is empty, and its anchor {anchor} has seen commit {commits} of {at}\n  \
                 remedy: put the store back, or mount its disk; to begin anew without anything that was in it, remove the anchor. Nothing was changed"
            ),
            Some(found) if found.deployment != seen.deployment => write!(
                f,
                "the store {path} is another deployment's, or has the log of another one: it is at commit {} of {}, and its anchor {anchor} \
                 has seen commit {commits} of {at} of the deployment that was here\n  \
                 remedy: put the right store back, with its own {log}; if this one shall be here from now on, remove the anchor. Nothing was changed",
                found.commits,
                time(found.at)
            ),
            Some(found) => write!(
                f,
                "the store {path} went back: it is at commit {} of {} (era {}), and its anchor {anchor} has seen commit {commits} of {at} (era {}). \
                 Probably its log {log} was removed, or not copied with it, or an older copy was put back. Started as it is, spent refresh \
                 tokens would work again and revocations would be undone\n  \
                 remedy: put the store and its log back as they were when it ran last; if they are lost, and this copy is the best there is, run \
                 `regrant recover`: it replays the revocations, and says what happens to whom. Nothing was changed",
                found.commits,
                time(found.at),
                found.era,
                seen.era
            ),
        }
    }
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_| "an impossible time".to_owned(), |at| at.to_string())
}

/// Where the anchor of a database is unless said otherwise.
pub(super) fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".anchor");
    name.into()
}

/// What an anchor has seen. A file that is not there, or of which no slot is whole, has seen nothing.
///
/// # Errors
/// If it cannot be read; [`ErrorKind::InvalidData`] if it is something else.
pub(super) fn read(path: &Path) -> io::Result<Option<Mark>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    refuse_anything_else(&file)?;
    let slots = [slot(&file, 0)?, slot(&file, 1)?];
    Ok(slots.into_iter().flatten().max_by_key(|mark| (mark.era, mark.commits)))
}

/// Whether a file is empty or begins as an anchor does, in either slot. One whose first write was torn, or lost with its length kept, holds
/// nothing but zeros and, in the second slot, the beginning of a name.
fn refuse_anything_else(file: &File) -> io::Result<()> {
    let mut beginning = [0; APART as usize + SLOT];
    let length = fill(file, &mut beginning, 0)?;
    let (first, second) = beginning.split_at(APART as usize);
    let is_begun = first.iter().all(|byte| *byte == 0) && {
        let written = second.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        NAME.starts_with(&second[..written]) && file.metadata()?.len() == length as u64
    };
    if is_begun || first.starts_with(NAME) || second.starts_with(NAME) {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidData, "it is no anchor"))
}

fn slot(file: &File, number: u64) -> io::Result<Option<Mark>> {
    let mut slot = [0; SLOT];
    fill(file, &mut slot, number * APART)?;
    // What is missing is zero: no slot of today's form, and perhaps one of the form before it.
    Ok(Mark::read(&slot))
}

/// Reads what there is, and tells how much.
fn fill(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = into.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// Whether a store may be opened under what its anchor has seen.
///
/// # Errors
/// [`WentBack`].
pub(super) fn compare(
    path: &Path,
    anchor: &Path,
    found: Option<Mark>,
    seen: Option<Mark>,
) -> Result<(), Box<WentBack>> {
    let Some(seen) = seen.filter(Mark::is_used) else { return Ok(()) };
    let fits = found.is_some_and(|found| {
        found.deployment == seen.deployment && (found.era, found.commits) >= (seen.era, seen.commits)
    });
    if fits {
        Ok(())
    } else {
        Err(Box::new(WentBack { path: path.to_owned(), anchor: anchor.to_owned(), found, seen }))
    }
}

/// Gives a file that was made to whom it belongs.
type Own = Box<dyn Fn(&File) + Send>;

/// An anchor.
pub(super) struct Anchor {
    /// `None` while it is held.
    file: Option<File>,
    own: Own,
    path: PathBuf,
    mark: Mark,
    /// Which slot is older.
    next: u64,
    /// What an operator should hear, once.
    notice: Option<String>,
    /// A device that failed to write or to confirm is not asked again (check Z4).
    failed: bool,
    /// No room, or a file system that became read-only: asked again with the next batch, and told once.
    waits: bool,
}

impl Anchor {
    /// Opens or makes the file, and unless it says so already writes the mark into both slots, durably.
    pub(super) fn set(path: &Path, mark: Mark, own: impl Fn(&File) + Send + 'static) -> io::Result<Self> {
        let mut anchor = Self::held(path, mark, own);
        anchor.put(mark)?;
        Ok(anchor)
    }

    /// One that is neither made nor written before the era after `mark`'s.
    pub(super) fn held(path: &Path, mark: Mark, own: impl Fn(&File) + Send + 'static) -> Self {
        let (path, own) = (path.to_owned(), Box::new(own));
        Self { file: None, own, path, mark, next: 0, notice: None, failed: false, waits: false }
    }

    fn put(&mut self, mark: Mark) -> io::Result<()> {
        let is_new = !self.path.exists();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        refuse_anything_else(&file)?;
        for number in [0, 1] {
            if slot(&file, number)? == Some(mark) {
                (self.next, self.file) = (number ^ 1, Some(file));
                return Ok(());
            }
        }
        for place in [APART, 0] {
            file.write_all_at(&mark.bytes(), place)?;
        }
        file.sync_all()?;
        if is_new {
            (self.own)(&file);
            super::open::sync_directory(&self.path)?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Whether the store is being recovered: nothing is counted before the next era.
    pub(super) const fn is_held(&self) -> bool {
        self.file.is_none()
    }

    /// The last mark that was written.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// The store is there when it was opened: counted from here, and written with the first commit.
    pub(super) const fn begin(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Follows the store, which has made `mark` durable.
    pub(super) fn follow(&mut self, mark: Mark) {
        let is_new_era = mark.era > self.mark.era;
        self.mark = mark;
        let done = match &self.file {
            _ if self.failed => return,
            None if is_new_era => self.put(mark),
            None => return,
            Some(file) => {
                let done = file.write_all_at(&mark.bytes(), self.next * APART);
                self.next ^= 1;
                done
            }
        };
        self.noted(done);
    }

    /// Makes it durable.
    pub(super) fn sync(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|_| !self.failed) {
            let done = file.sync_data();
            self.noted(done);
        }
    }

    /// What was committed is durable, anchor or not: nobody's request fails for it.
    fn noted(&mut self, done: io::Result<()>) {
        let Err(error) = done else {
            self.waits = false;
            return;
        };
        let was_told = self.waits;
        self.waits = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem);
        self.failed = !self.waits;
        if !was_told || self.failed {
            let path = self.path.display();
            self.tell(format!(
                "the anchor {path} cannot be written: {error}. Until it can, a database that is put back to a time after {} would not be noticed. \
                 Look after the disk that it is on{}",
                time(self.mark.at),
                if self.failed { ", and start the server again then" } else { "" }
            ));
        }
    }

    pub(super) fn tell(&mut self, notice: String) {
        self.notice = Some(notice);
    }

    pub(super) const fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mark(era: u16, commits: u64) -> Mark {
        Mark { deployment: DeploymentId([7; 16]), era, commits, at: Timestamp::from_millis(1), seals: commits }
    }

    fn verdict(found: Option<Mark>, seen: Option<Mark>) -> bool {
        compare(Path::new("store"), Path::new("anchor"), found, seen).is_ok()
    }

    #[test]
    fn only_what_went_back_is_refused() {
        let other = Mark { deployment: DeploymentId([8; 16]), ..mark(0, 9) };
        let blank = Mark { deployment: DeploymentId([0; 16]), ..mark(0, 9) };
        for (found, seen, expected) in [
            (Some(mark(0, 5)), Some(mark(0, 5)), true),
            (Some(mark(0, 6)), Some(mark(0, 5)), true),
            (Some(mark(0, 4)), Some(mark(0, 5)), false),
            (Some(mark(1, 4)), Some(mark(0, 5)), true),
            (Some(mark(0, 9)), Some(mark(1, 5)), false),
            (Some(other), Some(mark(0, 5)), false),
            (Some(blank), Some(mark(0, 5)), false),
            (None, Some(mark(0, 5)), false),
            (Some(mark(0, 5)), Some(blank), true),
            (Some(mark(0, 5)), None, true),
            (None, None, true),
        ] {
            assert_eq!(verdict(found, seen), expected, "{found:?} under {seen:?}");
        }
    }

    #[test]
    fn a_torn_write_leaves_the_mark_before_it() {
        let path = std::env::temp_dir().join(format!("regrant-anchor-{}", std::process::id()));
        let mut anchor = Anchor::set(&path, mark(0, 1), |_| {}).expect("a file");
        for commits in 2..10 {
            anchor.follow(mark(0, commits));
            assert_eq!(read(&path).expect("readable"), Some(mark(0, commits)));
            // Every prefix of the next write.
            let (next, whole) = (mark(0, commits + 1).bytes(), std::fs::read(&path).expect("readable"));
            for torn in 0..SLOT {
                let file = anchor.file.as_ref().expect("open");
                file.write_all_at(&next[..torn], anchor.next * APART).expect("writable");
                let seen = read(&path).expect("readable").expect("one slot is whole").commits;
                assert!((commits..=commits + 1).contains(&seen), "{seen} after {commits}");
                std::fs::write(&path, &whole).expect("writable");
            }
        }
        let _ = std::fs::remove_file(&path);
    }

    /// Whatever a crash leaves of the first writes, and of an older form, is ours; nothing else is.
    #[test]
    fn a_damaged_anchor_is_made_anew_and_another_file_is_refused() {
        let path = std::env::temp_dir().join(format!("regrant-anchor-or-not-{}", std::process::id()));
        let (whole, place) = (mark(0, 1).bytes(), APART as usize);
        let mut begun: Vec<Vec<u8>> = vec![Vec::new(), vec![0; place], vec![0; place + SLOT]];
        begun.extend((0..=SLOT).map(|torn| [&vec![0; place][..], &whole[..torn]].concat()));
        begun.extend((0..=SLOT).map(|torn| [&whole[..torn], &vec![0; place - torn][..], &whole].concat()));
        begun.push([&FIRST_MAGIC[..], &[9; 60]].concat());
        for bytes in begun {
            std::fs::write(&path, &bytes).expect("writable");
            read(&path).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
            drop(Anchor::set(&path, mark(0, 2), |_| {}).unwrap_or_else(|error| panic!("{error}: {bytes:?}")));
            assert_eq!(read(&path).expect("readable"), Some(mark(0, 2)));
        }
        let database = [&b"SQLite format 3\0"[..], &[0; 4096]].concat();
        for other in [&b"rgroot_x\n"[..], b"x", b"RGREVOK1", &[0; 2000], &database] {
            std::fs::write(&path, other).expect("writable");
            assert_eq!(read(&path).expect_err("no anchor").kind(), ErrorKind::InvalidData);
            assert!(Anchor::set(&path, mark(0, 2), |_| {}).is_err());
            assert_eq!(std::fs::read(&path).expect("readable"), other, "nothing is written to it");
        }
        let _ = std::fs::remove_file(&path);
    }
}
