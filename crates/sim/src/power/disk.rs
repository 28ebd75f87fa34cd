//! A disk whose power can fail: it knows what was written, and what of that the device was ever asked to keep.
//!
//! | what                                   | is kept                                             | may be there after the cut                           |
//! |----------------------------------------|-----------------------------------------------------|------------------------------------------------------|
//! | bytes of a file, its length            | by `fsync` or `fdatasync` of the file               | none, all, those up to a moment, or any of the sectors |
//! | a name: made, removed, or moved        | by `fsync` of the directory, and by nothing else    | any of the changes, in their order, without the others |
//! | sectors between what has survived      |                                                     | zeros, or what lay there before                       |
//! | mode, owner, times                     | at once                                             |                                                      |
//!
//! Of two writes to one sector the later one counts, if it has survived: that the earlier one may land after it is the same as if the later one
//! were lost. A move is whole or not at all. There is one directory, for a store needs no more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::process::Dice;

/// The directory.
pub const ROOT: u64 = 1;

/// Why something cannot be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// There is no such name.
    Missing,
    /// The name is taken.
    Taken,
    /// It is no file.
    NoFile,
    /// The power has failed.
    Off,
}

/// What a name leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes.
    File,
    /// The address of a listener, which is nothing after a cut.
    Socket,
}

/// Something with a number.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Who may do what with it.
    pub mode: u16,
    /// Its owner: user and group.
    pub owner: (u32, u32),
    now: Vec<u8>,
    kept: Vec<u8>,
    since: Vec<Change>,
}

impl Node {
    fn new(kind: Kind, mode: u16, owner: (u32, u32)) -> Self {
        Self { kind, mode, owner, now: Vec::new(), kept: Vec::new(), since: Vec::new() }
    }

    /// Its bytes, as whoever reads them now sees them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.now
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone, Debug)]
enum Renaming {
    Put { name: OsString, number: u64 },
    Remove { name: OsString, number: u64 },
    Move { from: OsString, to: OsString, number: u64 },
}

type Names = BTreeMap<OsString, u64>;

/// What a cut has taken, and what was waited for before it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Cuts that came before a change, and not at some moment.
    pub struck: u64,
    /// Calls of `fsync` and `fdatasync` that were answered.
    pub syncs: u64,
    /// Writes that nothing had waited for when the power failed.
    pub unsynced: u64,
    /// Of those, the ones that are gone, whole or in part.
    pub lost: u64,
    /// Of those, the ones of which a part is there.
    pub torn: u64,
    /// Names whose making, removal or move is undone.
    pub names: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            struck: self.struck + other.struck,
            syncs: self.syncs + other.syncs,
            unsynced: self.unsynced + other.unsynced,
            lost: self.lost + other.lost,
            torn: self.torn + other.torn,
            names: self.names + other.names,
        }
    }
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    names: Names,
    kept: Names,
    since: Vec<Renaming>,
    next: u64,
    is_off: bool,
    syncs: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            names: Names::new(),
            kept: Names::new(),
            since: Vec::new(),
            next: ROOT + 1,
            is_off: false,
            syncs: 0,
        }
    }
}

impl Disk {
    /// What a name leads to.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::Off`].
    pub fn find(&self, name: &OsStr) -> Result<u64, Trouble> {
        self.on()?;
        self.names.get(name).copied().ok_or(Trouble::Missing)
    }

    /// What has this number.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::Off`].
    pub fn node(&self, number: u64) -> Result<&Node, Trouble> {
        self.on()?;
        self.nodes.get(&number).ok_or(Trouble::Missing)
    }

    /// The same, to change mode and owner.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::Off`].
    pub fn node_mut(&mut self, number: u64) -> Result<&mut Node, Trouble> {
        self.on()?;
        self.nodes.get_mut(&number).ok_or(Trouble::Missing)
    }

    /// All names.
    pub fn list(&self) -> impl Iterator<Item = (&OsStr, u64)> {
        self.names.iter().map(|(name, number)| (name.as_os_str(), *number))
    }

    /// A new name.
    ///
    /// # Errors
    /// [`Trouble::Taken`], [`Trouble::Off`].
    pub fn make(&mut self, name: &OsStr, kind: Kind, mode: u16, owner: (u32, u32)) -> Result<u64, Trouble> {
        self.on()?;
        if self.names.contains_key(name) {
            return Err(Trouble::Taken);
        }
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, Node::new(kind, mode, owner));
        self.rename(Renaming::Put { name: name.to_owned(), number });
        Ok(number)
    }

    /// Removes a name. Whoever has it open still reads and writes.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::Off`].
    pub fn remove(&mut self, name: &OsStr) -> Result<(), Trouble> {
        let number = self.find(name)?;
        self.rename(Renaming::Remove { name: name.to_owned(), number });
        Ok(())
    }

    /// Gives it another name, in the place of what had that one.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::Off`].
    pub fn put_at(&mut self, from: &OsStr, to: &OsStr) -> Result<(), Trouble> {
        let number = self.find(from)?;
        self.rename(Renaming::Move { from: from.to_owned(), to: to.to_owned(), number });
        Ok(())
    }

    /// Writes.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::NoFile`], [`Trouble::Off`].
    pub fn write(&mut self, number: u64, at: usize, bytes: &[u8]) -> Result<(), Trouble> {
        self.change(number, Change::Write { at, bytes: bytes.to_owned() })
    }

    /// Cuts off, or adds zeros.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::NoFile`], [`Trouble::Off`].
    pub fn resize(&mut self, number: u64, length: usize) -> Result<(), Trouble> {
        self.change(number, Change::Resize(length))
    }

    /// `fsync` or `fdatasync` of a file: what was written of it is kept from here on.
    ///
    /// # Errors
    /// [`Trouble::Missing`], [`Trouble::Off`].
    pub fn sync(&mut self, number: u64) -> Result<(), Trouble> {
        let Node { kept, since, .. } = self.node_mut(number)?;
        since.drain(..).for_each(|change| apply(kept, &change));
        self.syncs += 1;
        Ok(())
    }

    /// `fsync` of the directory: the names are kept from here on.
    ///
    /// # Errors
    /// [`Trouble::Off`].
    pub fn sync_names(&mut self) -> Result<(), Trouble> {
        self.on()?;
        let Self { kept, since, .. } = self;
        since.drain(..).for_each(|change| rename(kept, &change));
        self.syncs += 1;
        Ok(())
    }

    /// The power fails: from here on nothing is answered.
    pub const fn fail(&mut self) {
        self.is_off = true;
    }

    /// The power fails, or has failed: this disk answers nothing any more. What the next one finds is drawn from the dice.
    pub fn cut(&mut self, dice: &mut Dice) -> (Self, Counts) {
        let struck = u64::from(self.is_off);
        self.fail();
        let mut counts = Counts { struck, syncs: self.syncs, ..Counts::default() };
        let mut names = self.kept.clone();
        let fate = Fate::drawn(dice, self.since.len());
        for (place, change) in self.since.iter().enumerate() {
            if fate.keeps(place, dice) {
                rename(&mut names, change);
            } else {
                counts.names += 1;
            }
        }
        names.retain(|_, number| self.nodes.get(number).is_some_and(|node| node.kind == Kind::File));
        let mut nodes = BTreeMap::new();
        for number in names.values() {
            let Some(node) = self.nodes.get(number) else { continue };
            let bytes = survived(node, dice, &mut counts);
            nodes.insert(*number, Node { now: bytes.clone(), kept: bytes, since: Vec::new(), ..node.clone() });
        }
        let next = Self { nodes, kept: names.clone(), names, next: self.next, ..Self::default() };
        (next, counts)
    }

    const fn on(&self) -> Result<(), Trouble> {
        if self.is_off { Err(Trouble::Off) } else { Ok(()) }
    }

    fn rename(&mut self, change: Renaming) {
        rename(&mut self.names, &change);
        self.since.push(change);
    }

    fn change(&mut self, number: u64, change: Change) -> Result<(), Trouble> {
        let node = self.node_mut(number)?;
        if node.kind != Kind::File {
            return Err(Trouble::NoFile);
        }
        apply(&mut node.now, &change);
        node.since.push(change);
        Ok(())
    }
}

/// What becomes of changes that nothing has waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Lost,
    Kept,
    /// The first so many are there: what an ordered device does.
    UpTo(usize),
    /// Any of them may be there, in pieces of so many bytes: what other devices do.
    Any(usize),
}

impl Fate {
    fn drawn(dice: &mut Dice, changes: usize) -> Self {
        match dice.below(8) {
            0 | 1 => Self::Lost,
            2 => Self::Kept,
            3 | 4 => Self::UpTo(dice.below(changes + 1)),
            5 | 6 => Self::Any(512),
            _ => Self::Any(4096),
        }
    }

    fn keeps(self, place: usize, dice: &mut Dice) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::UpTo(moment) => place < moment,
            Self::Any(_) => dice.one_in(2),
        }
    }
}

fn survived(node: &Node, dice: &mut Dice, counts: &mut Counts) -> Vec<u8> {
    let fate = Fate::drawn(dice, node.since.len());
    let mut bytes = node.kept.clone();
    // Where a device gives space before it writes to it, what lay there before is read.
    let filler = if dice.one_in(2) { 0 } else { dice.next() as u8 };
    for (place, change) in node.since.iter().enumerate() {
        let Change::Write { at, bytes: written } = change else {
            if fate.keeps(place, dice) {
                apply(&mut bytes, change);
            }
            continue;
        };
        let size = if let Fate::Any(size) = fate { size } else { written.len().max(1) };
        let (mut there, mut gone) = (false, false);
        for (from, piece) in pieces(*at, written, size) {
            if !fate.keeps(place, dice) {
                gone = true;
                continue;
            }
            there = true;
            if bytes.len() < from {
                bytes.resize(from, filler);
            }
            apply(&mut bytes, &Change::Write { at: from, bytes: piece.to_owned() });
        }
        counts.unsynced += 1;
        counts.lost += u64::from(gone);
        counts.torn += u64::from(gone && there);
    }
    bytes
}

/// A write by the sectors of the file that it touches.
fn pieces(at: usize, mut bytes: &[u8], size: usize) -> Vec<(usize, &[u8])> {
    let (mut from, mut all) = (at, Vec::new());
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((size - from % size).min(bytes.len()));
        all.push((from, piece));
        from += piece.len();
        bytes = rest;
    }
    all
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Resize(length) => bytes.resize(*length, 0),
        Change::Write { at, bytes: written } => {
            let end = at + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(written);
        }
    }
}

fn rename(names: &mut Names, change: &Renaming) {
    match change {
        Renaming::Put { name, number } => {
            names.insert(name.clone(), *number);
        }
        Renaming::Remove { name, number } => {
            if names.get(name) == Some(number) {
                names.remove(name);
            }
        }
        Renaming::Move { from, to, number } => {
            if names.get(from) == Some(number) {
                names.remove(from);
            }
            names.insert(to.clone(), *number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    /// A disk with one kept file of two sectors.
    fn disk() -> (Disk, u64) {
        let mut disk = Disk::default();
        let file = disk.make(name("a"), Kind::File, 0o600, (0, 0)).unwrap();
        disk.write(file, 0, &[1; 1024]).unwrap();
        disk.sync(file).unwrap();
        disk.sync_names().unwrap();
        (disk, file)
    }

    fn ends(disk: &Disk, look: impl Fn(&Disk) -> Option<Vec<u8>>) -> std::collections::BTreeSet<Option<Vec<u8>>> {
        (0..400).map(|seed| look(&disk.clone().cut(&mut Dice::new(seed)).0)).collect()
    }

    fn bytes_of(disk: &Disk, of: &str) -> Option<Vec<u8>> {
        let number = disk.find(name(of)).ok()?;
        disk.node(number).ok().map(|node| node.bytes().to_owned())
    }

    #[test]
    fn what_was_waited_for_is_there_after_every_cut() {
        let (disk, _) = disk();
        assert_eq!(ends(&disk, |disk| bytes_of(disk, "a")), [Some(vec![1; 1024])].into());
    }

    #[test]
    fn a_name_that_no_directory_was_synced_for_may_be_missing() {
        let mut disk = Disk::default();
        let file = disk.make(name("a"), Kind::File, 0o600, (0, 0)).unwrap();
        disk.write(file, 0, b"bytes").unwrap();
        disk.sync(file).unwrap();
        assert_eq!(ends(&disk, |disk| bytes_of(disk, "a")), [None, Some(b"bytes".to_vec())].into());
    }

    #[test]
    fn of_a_write_that_nothing_waited_for_any_sector_may_be_there() {
        let (mut disk, file) = disk();
        disk.write(file, 0, &[2; 1024]).unwrap();
        let of = |first: u8, second: u8| Some([[first; 512], [second; 512]].concat());
        let all = [of(1, 1), of(1, 2), of(2, 1), of(2, 2)];
        assert_eq!(ends(&disk, |disk| bytes_of(disk, "a")), all.into());
        // And the later of two without the earlier.
        disk.write(file, 512, &[3; 512]).unwrap();
        let found = ends(&disk, |disk| bytes_of(disk, "a"));
        assert!(found.contains(&of(1, 3)) && found.contains(&of(2, 2)) && found.len() == 6, "{}", found.len());
    }

    #[test]
    fn a_move_is_whole_or_not_at_all() {
        let (mut disk, _) = disk();
        let other = disk.make(name("b"), Kind::File, 0o600, (0, 0)).unwrap();
        disk.write(other, 0, b"new").unwrap();
        disk.sync(other).unwrap();
        disk.sync_names().unwrap();
        disk.put_at(name("b"), name("a")).unwrap();
        let names = |disk: &Disk| Some(disk.list().flat_map(|(name, _)| name.as_encoded_bytes().to_vec()).collect());
        assert_eq!(ends(&disk, names), [Some(b"ab".to_vec()), Some(b"a".to_vec())].into());
        assert!(ends(&disk, |disk| bytes_of(disk, "a")).len() == 2);
    }

    #[test]
    fn a_disk_without_power_answers_nothing() {
        let (mut disk, file) = disk();
        let (_, counts) = disk.cut(&mut Dice::new(1));
        assert_eq!((counts.syncs, counts.unsynced), (2, 0));
        assert_eq!(disk.write(file, 0, b"late"), Err(Trouble::Off));
        assert_eq!(disk.sync(file), Err(Trouble::Off));
        assert_eq!(disk.find(name("a")), Err(Trouble::Off));
    }

    #[test]
    fn what_is_removed_is_read_by_whoever_has_it_open() {
        let (mut disk, file) = disk();
        disk.remove(name("a")).unwrap();
        assert_eq!(disk.find(name("a")), Err(Trouble::Missing));
        assert_eq!(disk.node(file).unwrap().bytes().len(), 1024);
    }
}
