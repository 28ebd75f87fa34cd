//! The revocation journal: what was revoked, outside of the database, so that no older copy of it can bring it back.
//!
//! A restored database does not know what was revoked after the copy was made. So each revocation is appended here and made durable
//! behind its commit and before it is answered, and `regrant recover` replays it. Only a batch that revokes something pays for it:
//! one write and one fsync.
//!
//! ```text
//! header  magic 8 | deployment 16
//! entry   length of body 2 | kind 1 | at 8 | over at 8 | body | MAC 16
//! body    1 grant: number 8 | random half 8 | reason 1;   2 access token: SHA-256 of its jti 32
//!         3 bulk revocation, 4 the same taken back: see `bulk`;   5 what restricts without ending a grant: see `state`
//!         6 no revocation: the era that a recovery opened 2;   7 a compromised key: see `keys`
//! MAC     HMAC-SHA-256(K, the MAC before | the entry up to here), cut to 128 bits; before the first: of the header
//! ```
//!
//! Big-endian. An entry is of no use once nothing that it ended could live, or a later one says what its thing is: then it may be left
//! out, and is when the file has doubled. A kind that this program does not know is kept as it is. A last entry that is not whole was never answered.

mod bulk;
mod entry;
mod keys;
mod missed;
mod state;

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::{constant_time, hmac};
use regrant_core::keys::DeploymentId;
use regrant_core::{Epoch, Timestamp};
use regrant_store::{Outcome, Record};

pub use bulk::Bulk;
pub use entry::{Entry, Revoked};
pub use keys::Compromised;
pub(crate) use missed::missed;
pub use state::State;

const MAGIC: [u8; 8] = *b"RGREVOK1";
const HEADER: usize = 24;
const HEAD: usize = 19;
const MAC: usize = 16;
/// The longest body: those of kinds to come included.
const MAX_BODY: usize = 64_000;
/// When what is never left out is over.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
/// Below this size nothing is left out.
const SMALL: u64 = 4 * 1024 * 1024;

/// What a journal holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// Every entry whose MAC fits, in order.
    pub entries: Vec<Entry>,
    /// Entries whose MAC does not fit, or whose place cannot be known: somebody else wrote them, or the device lost them.
    pub damaged: u64,
    /// Where the last whole entry ends, and its MAC.
    end: u64,
    last: [u8; MAC],
}

impl Contents {
    /// The time of the youngest entry.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.entries.iter().map(|entry| entry.at).max()
    }

    /// The last era that a recovery opened.
    #[must_use]
    pub fn era(&self) -> Option<u16> {
        let era = |entry: &Entry| if let Revoked::Era(era) = entry.what { Some(era) } else { None };
        self.entries.iter().filter_map(era).max()
    }

    /// Whether there is none, or none that was begun.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.end == 0
    }

    /// What another node kept of the same deployment, with this, in order of time.
    pub(crate) fn add(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.entries.sort_by_key(|entry| entry.at);
        self.damaged += other.damaged;
        self.end = self.end.max(other.end);
    }

    /// Whether a store of this era that has come to this time may have made all of it.
    #[must_use]
    pub fn is_behind(&self, era: u16, at: Timestamp) -> bool {
        self.era().is_none_or(|seen| seen <= era) && self.newest().is_none_or(|seen| seen <= at)
    }
}

/// Where the journal of a store is unless said otherwise.
#[must_use]
pub fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".revocations");
    name.into()
}

/// Reads a journal; one that is not there, or whose header a crash cut off, is empty.
///
/// # Errors
/// If it cannot be read, or is another deployment's.
pub fn read(path: &Path, key: &hmac::Key, deployment: DeploymentId) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
        opened => opened?.read_to_end(&mut bytes)?,
    };
    let header = header(deployment);
    let is_nothing = bytes.len() <= HEADER && bytes.iter().all(|byte| *byte == 0);
    if is_nothing || (bytes.len() < HEADER && header.starts_with(&bytes)) {
        return Ok(Contents::default());
    }
    if !bytes.starts_with(&header) {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is no revocation journal of this deployment"));
    }
    let mut contents = Contents { end: HEADER as u64, last: mac(key, &[&header]), ..Contents::default() };
    let mut rest = &bytes[HEADER..];
    while let Some((length, _)) = rest.split_at_checked(2) {
        let body = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if body > MAX_BODY {
            contents.damaged += 1;
            break;
        }
        let Some((entry, behind)) = rest.split_at_checked(HEAD + body + MAC) else { break };
        let (entry, found) = entry.split_at(HEAD + body);
        let fits = constant_time::verify_slices_are_equal(&mac(key, &[&contents.last, entry]), found).is_ok();
        // What is torn at the very end was never answered.
        if !fits && behind.is_empty() {
            break;
        }
        match Entry::read(entry).filter(|_| fits) {
            Some(entry) => contents.entries.push(entry),
            None => contents.damaged += 1,
        }
        contents.last.copy_from_slice(found);
        contents.end += (HEAD + body + MAC) as u64;
        rest = behind;
    }
    Ok(contents)
}

/// What entries are authenticated with, of what is derived for them.
pub(crate) fn key(derived: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, derived)
}

fn header(deployment: DeploymentId) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..].copy_from_slice(&deployment.0);
    header
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; MAC] {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let mut cut = [0; MAC];
    cut.copy_from_slice(&context.sign().as_ref()[..MAC]);
    cut
}

/// The journal of a running server.
#[derive(Debug)]
pub struct Revocations {
    file: File,
    path: PathBuf,
    key: hmac::Key,
    deployment: DeploymentId,
    last: [u8; MAC],
    size: u64,
    /// The size at which it is looked through again.
    full_at: u64,
    /// Committed, and not yet here.
    waiting: Vec<Entry>,
    /// The grants whose end is here.
    here: HashSet<u64>,
}

impl Revocations {
    /// Opens a journal to append to, and makes it if it is not there. What is over is left out.
    ///
    /// # Errors
    /// If it cannot be read or written, or is another deployment's.
    pub fn open(path: &Path, key: hmac::Key, deployment: DeploymentId, own: impl FnOnce(&File)) -> io::Result<Self> {
        let contents = read(path, &key, deployment)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        own(&file);
        let mut journal = Self {
            file,
            path: path.to_owned(),
            key,
            deployment,
            last: contents.last,
            size: contents.end,
            full_at: 0,
            waiting: Vec::new(),
            here: contents.entries.iter().filter_map(Entry::grant).collect(),
        };
        if contents.end == 0 {
            let header = header(deployment);
            journal.last = mac(&journal.key, &[&header]);
            journal.file.set_len(0)?;
            journal.file.write_all(&header)?;
            journal.size = HEADER as u64;
            sync_directory(path)?;
        }
        journal.file.set_len(journal.size)?;
        journal.file.sync_all()?;
        journal.full_at = SMALL.max(journal.size * 2);
        Ok(journal)
    }

    /// Keeps what these records revoked, durably, and of `epochs` what they took back. What it cannot keep it keeps with the next
    /// commit.
    pub(crate) fn keep(
        &mut self,
        records: &[Record],
        outcomes: &[Outcome],
        now: Timestamp,
        epochs: &[Epoch],
    ) -> io::Result<()> {
        let committed = records.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Committed);
        self.waiting.extend(committed.filter_map(|(record, _)| Entry::of(record, now, epochs)));
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.append()?;
        if self.size >= self.full_at {
            // It is only longer than it need be.
            if let Err(error) = self.leave_out(now) {
                tracing::warn!(%error, "the revocation journal could not be shortened");
                self.full_at = self.size * 2;
            }
        }
        Ok(())
    }

    /// Keeps ends of grants that were committed before, if they are not here.
    pub(crate) fn keep_ends(&mut self, ended: Vec<Entry>) -> io::Result<()> {
        for entry in ended {
            let is_here = entry.grant().is_none_or(|number| self.here.contains(&number));
            if !is_here && self.waiting.iter().all(|waiting| waiting.grant() != entry.grant()) {
                self.waiting.push(entry);
            }
        }
        if self.waiting.is_empty() { Ok(()) } else { self.append() }
    }

    /// Keeps what an earlier run could not.
    pub(crate) fn keep_missed(&mut self, missed: Vec<Entry>) -> io::Result<()> {
        self.waiting.extend(missed);
        if self.waiting.is_empty() { Ok(()) } else { self.append() }
    }

    /// Keeps which era a recovery is about to open. It is never left out.
    pub(crate) fn keep_era(&mut self, era: u16, now: Timestamp) -> io::Result<()> {
        self.waiting.push(Entry { at: now, over_at: NEVER, what: Revoked::Era(era) });
        self.append()
    }

    /// The grants whose end is committed and not yet here.
    pub(crate) fn unkept(&self) -> HashSet<u64> {
        self.waiting.iter().filter_map(Entry::grant).collect()
    }

    /// Whether something is committed and not yet here.
    pub(crate) const fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn append(&mut self) -> io::Result<()> {
        let (mut bytes, mut last) = (Vec::new(), self.last);
        for entry in &self.waiting {
            let entry = entry.write();
            last = mac(&self.key, &[&last, &entry]);
            bytes.extend_from_slice(&entry);
            bytes.extend_from_slice(&last);
        }
        // A failed attempt may have left a part of itself.
        self.file.seek(SeekFrom::Start(self.size))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.size += bytes.len() as u64;
        self.last = last;
        self.here.extend(self.waiting.iter().filter_map(Entry::grant));
        self.waiting.clear();
        Ok(())
    }

    /// Writes the journal anew without what is over, or said again later. It takes the old one's place only when it is durable.
    fn leave_out(&mut self, now: Timestamp) -> io::Result<()> {
        let contents = read(&self.path, &self.key, self.deployment)?;
        if contents.damaged > 0 {
            // Evidence is not thrown away.
            self.full_at = self.size * 2;
            return Ok(());
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let name = PathBuf::from(name);
        let _ = std::fs::remove_file(&name);
        let mut shorter = Self::open(&name, self.key.clone(), self.deployment, |_| {})?;
        shorter.waiting = state::last_words(contents.entries);
        shorter.waiting.retain(|entry| !entry.over_at.is_over(now));
        if !shorter.waiting.is_empty() {
            shorter.append()?;
        }
        std::fs::rename(&name, &self.path)?;
        sync_directory(&self.path)?;
        shorter.path.clone_from(&self.path);
        shorter.full_at = SMALL.max(shorter.size * 2);
        *self = shorter;
        Ok(())
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    mod refused;

    use regrant_core::grant::EndReason;
    use regrant_core::{GrantId, Selector};

    use super::*;

    const HERE: DeploymentId = DeploymentId([7; 16]);

    fn key() -> hmac::Key {
        super::key(&[9; 32])
    }

    fn entry(number: u64, over_at: i64) -> Entry {
        let selector = Selector { subject: Some(format!("usr_{number}")), ..Selector::default() };
        let at = Timestamp::from_millis(1);
        let bulk = Bulk { at, reason: selector.reason(), selector, undo_until: None };
        let what = match number % 8 {
            0 => Revoked::AccessToken([3; 32]),
            1 => Revoked::Grant(GrantId { number, random: 5 }, EndReason::RevokedByUser),
            2 => Revoked::Bulk(bulk),
            3 => Revoked::TakenBack(bulk),
            4 => Revoked::State(State::NoUser { subject: format!("usr_{number}") }),
            7 => Revoked::Key(Compromised { kind: regrant_store::KeyKind::Tag, id: 3, created_at: at }),
            5 => Revoked::Era(300),
            _ => Revoked::Other(200, vec![1; 40]),
        };
        Entry { at, over_at: Timestamp::from_millis(over_at), what }
    }

    fn place(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("regrant-revocations-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn journal(path: &Path, numbers: std::ops::Range<u64>) -> Vec<Entry> {
        let mut journal = Revocations::open(path, key(), HERE, |_| {}).expect("a journal");
        let entries: Vec<Entry> = numbers.map(|number| entry(number, 100 + number.cast_signed())).collect();
        for entry in &entries {
            journal.waiting = vec![entry.clone()];
            journal.append().expect("room");
        }
        entries
    }

    #[test]
    fn what_is_kept_is_read_again_in_order_and_across_openings() {
        let path = place("kept");
        let mut kept = journal(&path, 0..5);
        kept.extend(journal(&path, 5..9));
        let contents = read(&path, &key(), HERE).expect("readable");
        assert_eq!((contents.entries, contents.damaged), (kept, 0));
        let grant =
            Entry { what: Revoked::Grant(GrantId { number: 1, random: 2 }, EndReason::RevokedByUser), ..entry(1, 2) };
        assert_eq!(grant.write().len() + MAC, 52, "the size of an entry about a grant");
        assert!(read(&path, &key(), DeploymentId([8; 16])).is_err(), "another deployment's");
        let _ = std::fs::remove_file(&path);
    }

    /// A crash in the middle of an append: every length that the file can have.
    #[test]
    fn a_torn_end_costs_only_what_was_never_answered() {
        let path = place("torn");
        let kept = journal(&path, 0..4);
        let whole = std::fs::read(&path).expect("readable");
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("writable");
            let found = read(&path, &key(), HERE).expect("readable").entries;
            assert!(kept.starts_with(&found), "{length}");
            let more = journal(&path, 10..11);
            let again = read(&path, &key(), HERE).expect("readable");
            assert_eq!((again.entries, again.damaged), ([found, more].concat(), 0), "{length}");
        }
        let _ = std::fs::remove_file(&path);
    }

    /// A store that is of an older era, or has not come to the time of an entry, is not the one that wrote it.
    #[test]
    fn a_store_that_went_back_is_told_by_what_it_revoked() {
        let path = place("behind");
        let at = Timestamp::from_millis;
        let found = || read(&path, &key(), HERE).expect("readable");
        assert!(found().is_behind(0, Timestamp::EPOCH), "there is none");
        let _ = journal(&path, 0..2);
        assert_eq!((found().newest(), found().era()), (Some(at(1)), None));
        assert!(found().is_behind(0, at(1)) && !found().is_behind(0, at(0)));
        let mut journal = Revocations::open(&path, key(), HERE, |_| {}).expect("a journal");
        journal.keep_era(2, at(5)).expect("room");
        journal.leave_out(at(1000)).expect("room");
        assert_eq!((found().newest(), found().era()), (Some(at(5)), Some(2)), "an era is never left out");
        assert!(found().is_behind(2, at(5)) && found().is_behind(3, at(9)));
        assert!(!found().is_behind(1, at(9)) && !found().is_behind(2, at(4)));
        let _ = std::fs::remove_file(&path);
    }

    #[test]
    fn a_changed_byte_costs_its_entry_and_is_told() {
        let path = place("changed");
        let kept = journal(&path, 0..6);
        let whole = std::fs::read(&path).expect("readable");
        for changed in HEADER..whole.len() {
            let mut bytes = whole.clone();
            bytes[changed] ^= 0x40;
            std::fs::write(&path, &bytes).expect("writable");
            let found = read(&path, &key(), HERE).expect("readable");
            assert!(found.entries.iter().all(|entry| kept.contains(entry)), "nothing is made up: {changed}");
            assert!(found.entries.len() < kept.len(), "{changed}");
        }
        let _ = std::fs::remove_file(&path);
    }

    /// A crash, or a full disk, between the commit and this: whoever was not answered asks again, and then it is here. Once.
    #[test]
    fn an_end_that_is_not_here_is_kept_when_it_is_asked_for_again() {
        let path = place("again");
        let mut kept = journal(&path, 1..2);
        for _ in 0..2 {
            let mut journal = Revocations::open(&path, key(), HERE, |_| {}).expect("a journal");
            for _ in 0..2 {
                journal.keep_ends(vec![entry(1, 101), entry(9, 109), entry(9, 109)]).expect("room");
            }
        }
        kept.push(entry(9, 109));
        assert_eq!(read(&path, &key(), HERE).expect("readable").entries, kept);
        let _ = std::fs::remove_file(&path);
    }

    #[test]
    fn only_what_is_over_is_left_out() {
        let path = place("short");
        let kept = journal(&path, 0..9);
        let mut journal = Revocations::open(&path, key(), HERE, |_| {}).expect("a journal");
        let before = journal.size;
        journal.leave_out(Timestamp::from_millis(104)).expect("room");
        assert!(journal.size < before);
        journal.waiting = vec![entry(50, 999)];
        journal.append().expect("room");
        let found = read(&path, &key(), HERE).expect("readable");
        assert_eq!((found.entries, found.damaged), ([&kept[5..], &[entry(50, 999)]].concat(), 0));
        let _ = std::fs::remove_file(&path);
    }

    /// Which one was taken back is known by its number in the store alone; what is kept of it is what it was.
    #[test]
    fn a_bulk_revocation_and_its_undo_are_the_same_one() {
        let selector = Selector { scope: Some("files".to_owned()), ..Selector::default() };
        let epoch = Epoch {
            number: 7,
            at: Timestamp::from_millis(3),
            reason: selector.reason(),
            selector,
            detail: String::new(),
            undo_until: Some(Timestamp::from_millis(90)),
            undone_at: None,
        };
        let now = Timestamp::from_millis(5);
        let made = Record::Epoch { epoch: Epoch { number: 0, ..epoch.clone() }, events: Vec::new() };
        let made = Entry::of(&made, now, &[]).expect("an entry");
        let undo = Record::UndoEpoch { number: 7, at: now, events: Vec::new() };
        let undone = Entry::of(&undo, now, &[Epoch { undone_at: Some(now), ..epoch.clone() }]).expect("an entry");
        assert_eq!((made.what, undone.what), (Revoked::Bulk(Bulk::of(&epoch)), Revoked::TakenBack(Bulk::of(&epoch))));
        assert_eq!(made.at, now, "the time of the commit");
        assert_eq!(Entry::of(&undo, now, &[]), None, "unknown: it would come back, which errs on the safe side");
    }
}
