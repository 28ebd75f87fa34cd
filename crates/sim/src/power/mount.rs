//! The disk as a file system: what the kernel asks of it is answered by [`Disk`], and only while there is power.
//!
//! Nothing is written back late by the kernel (no writeback cache), so that each `write` is here before it is answered; what is written
//! through a mapping, as the index of a write-ahead log is, comes at `fsync` or when the mapping ends. Locks are the kernel's own.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use rustix::process::Pid;

use super::disk::{Counts, Disk, Kind, Node, ROOT, Trouble};
use super::end;
use crate::process::Dice;

/// Nobody else changes anything: what the kernel knows it may keep.
const FOREVER: Duration = Duration::from_secs(86_400);

/// Whether a file system can be mounted here.
///
/// # Errors
/// Why not.
pub fn can_mount(scratch: &Path) -> Result<(), String> {
    Mounted::new(scratch, Disk::default()).map(drop).map_err(|error| error.to_string())
}

/// A disk in its place. Dropping it takes it away.
#[derive(Debug)]
pub struct Mounted {
    place: PathBuf,
    disk: Arc<Mutex<Powered>>,
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// Mounts a disk on a directory.
    ///
    /// # Errors
    /// Without `/dev/fuse`, or without the right to mount.
    pub fn new(place: &Path, disk: Disk) -> io::Result<Self> {
        let disk = Arc::new(Mutex::new(Powered { disk, failing: None }));
        let session = Some(mount(place, &disk)?);
        Ok(Self { place: place.to_owned(), disk, session })
    }

    /// The power will fail before so many further changes are made, and this process end with it.
    pub fn fail_before(&self, changes: u64, process: Pid) {
        lock(&self.disk).failing = Some(Failing { changes, process });
    }

    /// The power fails, if it has not yet; `meanwhile` is done before anything else is answered. What has survived is mounted in the same
    /// place.
    ///
    /// # Errors
    /// If it cannot be mounted again.
    pub fn cut(&mut self, dice: &mut Dice, meanwhile: impl FnOnce(), after: impl FnOnce()) -> io::Result<Counts> {
        let mut powered = lock(&self.disk);
        meanwhile();
        let (disk, counts) = powered.disk.cut(dice);
        drop(powered);
        after();
        self.unmount()?;
        self.disk = Arc::new(Mutex::new(Powered { disk, failing: None }));
        self.session = Some(mount(&self.place, &self.disk)?);
        Ok(counts)
    }

    /// Waits until nothing is asked any more. That the kernel has ended the connection is how that is heard.
    fn unmount(&mut self) -> io::Result<()> {
        match self.session.take().map(BackgroundSession::umount_and_join) {
            Some(Err(error)) if error.kind() != io::ErrorKind::ConnectionAborted => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

fn mount(place: &Path, disk: &Arc<Mutex<Powered>>) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("regrant-power".to_owned()), MountOption::NoDev];
    fuser::spawn_mount(Files(Arc::clone(disk)), place, &config)
}

fn lock(disk: &Mutex<Powered>) -> MutexGuard<'_, Powered> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk, and when its power fails.
#[derive(Debug)]
struct Powered {
    disk: Disk,
    failing: Option<Failing>,
}

/// Before which change, and who ends then.
#[derive(Clone, Copy, Debug)]
struct Failing {
    changes: u64,
    process: Pid,
}

impl Powered {
    /// The disk, for one more change: its power may fail before that.
    fn changing(&mut self) -> &mut Disk {
        match self.failing.take() {
            Some(Failing { changes: 0, process }) => {
                end(process);
                self.disk.fail();
            }
            Some(Failing { changes, process }) => self.failing = Some(Failing { changes: changes - 1, process }),
            None => {}
        }
        &mut self.disk
    }
}

struct Files(Arc<Mutex<Powered>>);

impl Files {
    fn powered(&self) -> MutexGuard<'_, Powered> {
        lock(&self.0)
    }

    fn about(&self, number: u64) -> Result<FileAttr, Trouble> {
        if number == ROOT {
            Ok(attributes_of_root())
        } else {
            self.powered().disk.node(number).map(|node| attributes(number, node))
        }
    }

    fn made(&self, name: &OsStr, kind: Kind, mode: u32, request: &Request) -> Result<FileAttr, Trouble> {
        let owner = (request.uid(), request.gid());
        let number = self.powered().changing().make(name, kind, (mode & 0o7777) as u16, owner)?;
        self.about(number)
    }
}

fn attributes_of_root() -> FileAttr {
    let node = FileAttr { kind: FileType::Directory, perm: 0o755, nlink: 2, ..blank(ROOT) };
    let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    FileAttr { uid: owner.0, gid: owner.1, ..node }
}

fn attributes(number: u64, node: &Node) -> FileAttr {
    let (size, kind) = (
        node.bytes().len() as u64,
        match node.kind {
            Kind::File => FileType::RegularFile,
            Kind::Socket => FileType::Socket,
        },
    );
    let (uid, gid) = node.owner;
    FileAttr { size, blocks: size.div_ceil(512), kind, perm: node.mode, uid, gid, ..blank(number) }
}

fn blank(number: u64) -> FileAttr {
    let never = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(number),
        size: 0,
        blocks: 0,
        atime: never,
        mtime: never,
        ctime: never,
        crtime: never,
        kind: FileType::RegularFile,
        perm: 0o600,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

const fn number_of(trouble: Trouble) -> Errno {
    match trouble {
        Trouble::Missing => Errno::ENOENT,
        Trouble::Taken => Errno::EEXIST,
        Trouble::NoFile => Errno::EINVAL,
        Trouble::Off => Errno::EIO,
    }
}

fn done(result: Result<(), Trouble>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(trouble) => reply.error(number_of(trouble)),
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.powered().disk.find(name);
        match found.and_then(|number| self.about(number)) {
            Ok(about) => reply.entry(&FOREVER, &about, Generation(0)),
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.about(number.0) {
            Ok(about) => reply.attr(&FOREVER, &about),
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut powered = self.powered();
        let disk = if size.is_some() { powered.changing() } else { &mut powered.disk };
        let changed = match size {
            Some(length) => disk.resize(number.0, length as usize),
            None => Ok(()),
        };
        if let Ok(node) = disk.node_mut(number.0) {
            node.mode = mode.map_or(node.mode, |mode| (mode & 0o7777) as u16);
            node.owner = (uid.unwrap_or(node.owner.0), gid.unwrap_or(node.owner.1));
        }
        drop(powered);
        match changed.and_then(|()| self.about(number.0)) {
            Ok(about) => reply.attr(&FOREVER, &about),
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    fn mknod(&self, request: &Request, _: INodeNo, name: &OsStr, mode: u32, umask: u32, _: u32, reply: ReplyEntry) {
        let kind = match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::Socket => Kind::Socket,
            rustix::fs::FileType::RegularFile => Kind::File,
            _ => return reply.error(Errno::EPERM),
        };
        match self.made(name, kind, mode & !umask, request) {
            Ok(about) => reply.entry(&FOREVER, &about, Generation(0)),
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    fn create(&self, request: &Request, _: INodeNo, name: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        match self.made(name, Kind::File, mode & !umask, request) {
            Ok(about) => reply.created(&FOREVER, &about, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.powered().changing().remove(name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.is_empty() {
            done(self.powered().changing().put_at(name, new_name), reply);
        } else {
            reply.error(Errno::EINVAL);
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.powered().disk.node(number.0) {
            Ok(node) => {
                let rest = node.bytes().get(offset as usize..).unwrap_or_default();
                reply.data(&rest[..rest.len().min(size as usize)]);
            }
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.powered().changing().write(number.0, offset as usize, data);
        match written {
            Ok(()) => reply.written(data.len() as u32),
            Err(trouble) => reply.error(number_of(trouble)),
        }
    }

    /// A `close`, which keeps nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.powered().changing().sync(number.0), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.powered().changing().sync_names(), reply);
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let powered = self.powered();
        for (place, (name, number)) in (1..).zip(powered.disk.list()).skip(offset as usize) {
            let kind = powered.disk.node(number).map_or(FileType::RegularFile, |node| attributes(number, node).kind);
            if reply.add(INodeNo(number), place, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCKS: u64 = 1 << 20;
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
