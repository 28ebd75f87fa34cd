//! A database that went back in time is noticed when it is opened (check Z16): its log is missing, it is an older copy, or another
//! one; and nothing is changed by noticing it.

use std::fs;
use std::path::{Path, PathBuf};

use regrant_core::Timestamp;
use regrant_core::keys::DeploymentId;
use regrant_store::{Look, OpenError, Outcome, Question, Record, Sqlite, SqliteOptions, Store as _, WentBack};

mod place;
mod rows;

fn open(path: &Path) -> Result<Sqlite, OpenError> {
    Sqlite::open(path, &SqliteOptions::default())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// A store of this deployment with so many grants, each in a commit of its own. It is killed and not closed: its log is full.
fn killed(path: &Path, deployment: u8, grants: std::ops::Range<u64>) {
    let mut store = open(path).expect("the store opens");
    let identity = Record::Initialise { deployment: DeploymentId([deployment; 16]), root_check: [0; 16] };
    store.commit(&[identity], Timestamp::EPOCH).expect("the store can be written");
    for number in grants {
        let write = rows::write(None, &rows::grant(number), &rows::keys());
        let at = Timestamp::from_millis(i64::try_from(number).expect("small"));
        assert_eq!(store.commit(&[write], at), Ok(vec![Outcome::Committed]));
    }
    // What a killed process leaves: closing would move the log into the file.
    let kept: Vec<_> = files(path).into_iter().map(|file| (fs::read(&file).expect("a file"), file)).collect();
    drop(store);
    for (bytes, file) in kept {
        fs::write(file, bytes).expect("written");
    }
}

/// All files of a store but its lock, the index of its log, which is made again from it, and a log in which there is nothing.
fn files(path: &Path) -> Vec<PathBuf> {
    let holds = |file: &PathBuf| file.metadata().is_ok_and(|found| found.len() > 0);
    ["", "-wal", ".anchor"].map(|ending| beside(path, ending)).into_iter().filter(holds).collect()
}

/// It does not open, and every file is as it was.
fn refused(path: &Path) -> WentBack {
    let contents = || files(path).into_iter().map(|file| (fs::read(&file).expect("a file"), file)).collect::<Vec<_>>();
    let before = contents();
    let back = match open(path) {
        Err(OpenError::WentBack(back)) => *back,
        other => panic!("it must not open: {other:?}"),
    };
    assert!(contents() == before, "something was changed");
    let text = back.to_string();
    assert!(text.contains("remedy: ") && text.contains(&path.display().to_string()), "{text}");
    back
}

fn holds(path: &Path, grants: std::ops::Range<u64>) {
    let mut store = open(path).expect("the store opens");
    let ids: Vec<_> = grants.map(|number| rows::grant(number).id).collect();
    assert!(store.load(&ids).expect("readable").iter().all(Option::is_some), "everything is there");
}

/// Check Z16: copied without its log, or the log was removed.
#[test]
fn a_store_without_its_log_is_refused_until_the_log_is_back() {
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..20);
    let log = fs::read(beside(&path, "-wal")).expect("a log");
    fs::remove_file(beside(&path, "-wal")).expect("removed");
    let back = refused(&path);
    let found = back.found.expect("a store");
    assert!((found.commits, back.seen.commits) == (0, 20) || found.commits < 20, "{back:?}");
    assert!(back.to_string().contains("commit 20") && back.to_string().contains("-wal"), "{back}");
    fs::write(beside(&path, "-wal"), &log).expect("put back");
    holds(&path, 1..20);
}

/// Check Z16: the log ends earlier than it did, at whatever frame it was cut.
#[test]
fn a_store_with_a_part_of_its_log_is_refused() {
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..6);
    let log = fs::read(beside(&path, "-wal")).expect("a log");
    const FRAME: usize = 24 + 8192;
    let frames = (log.len() - 32) / FRAME;
    assert!(frames > 10, "{frames}");
    for kept in 0..frames {
        fs::write(beside(&path, "-wal"), &log[..32 + kept * FRAME]).expect("cut");
        let back = refused(&path);
        assert!(back.found.is_none_or(|found| found.commits < back.seen.commits));
    }
    fs::write(beside(&path, "-wal"), &log).expect("put back");
    holds(&path, 1..6);
}

/// Check Z15: an older copy.
#[test]
fn an_older_copy_is_refused_and_the_newer_one_opens() {
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..5);
    drop(open(&path).expect("the store opens"));
    let older = fs::read(&path).expect("a copy");
    holds(&path, 1..5);
    let mut store = open(&path).expect("the store opens");
    store.commit(&[rows::write(None, &rows::grant(9), &rows::keys())], Timestamp::EPOCH).expect("one commit more");
    drop(store);
    let newer = fs::read(&path).expect("a copy");
    fs::write(&path, older).expect("put back");
    let back = refused(&path);
    assert_eq!(back.found.map(|found| found.commits + 1), Some(back.seen.commits), "one commit is enough");
    fs::write(&path, newer).expect("put back");
    holds(&path, 9..10);
}

/// Check Z16: another database, another database's log beside this one, or none at all.
#[test]
fn another_store_or_its_log_is_refused() {
    let (here, there) = (place::Directory::new(), place::Directory::new());
    let (path, other) = (here.file(), there.file());
    killed(&path, 7, 1..5);
    killed(&other, 8, 1..50);
    let [file, log] = ["", "-wal"].map(|ending| fs::read(beside(&path, ending)).expect("a file"));
    fs::copy(beside(&other, "-wal"), beside(&path, "-wal")).expect("another log");
    let back = refused(&path);
    assert!(back.to_string().contains("another deployment"), "{back}");
    fs::copy(&other, &path).expect("another store");
    assert!(refused(&path).to_string().contains("another deployment"));
    for ending in ["", "-wal"] {
        fs::remove_file(beside(&path, ending)).expect("removed");
    }
    assert!(refused(&path).to_string().contains("not there"));
    assert!(!path.exists(), "nothing is made in its place");
    fs::write(&path, "").expect("an empty file");
    assert!(refused(&path).to_string().contains("is empty"));
    fs::write(&path, file).expect("put back");
    fs::write(beside(&path, "-wal"), log).expect("put back");
    holds(&path, 1..5);
}

#[test]
fn a_lost_or_damaged_anchor_is_made_anew_and_told() {
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..5);
    assert_eq!(open(&path).expect("the store opens").notice(), None);
    for damaged in [None, Some("RGANCHR2, and nothing whole behind it"), Some("")] {
        match damaged {
            None => fs::remove_file(beside(&path, ".anchor")).expect("removed"),
            Some(text) => fs::write(beside(&path, ".anchor"), text).expect("damaged"),
        }
        let mut store = open(&path).expect("the store opens");
        let notice = store.notice().expect("it is told");
        assert!(notice.contains("commit 5") && notice.contains("made anew"), "{notice}");
        assert_eq!(store.notice(), None, "once");
    }
    let older = fs::read(&path).expect("a copy");
    let mut store = open(&path).expect("the store opens");
    store.commit(&[], Timestamp::from_millis(99)).expect("one commit more");
    drop(store);
    fs::write(&path, older).expect("put back");
    refused(&path);
}

/// A power cut can leave the anchor behind, never ahead.
#[test]
fn an_anchor_that_is_behind_follows() {
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..5);
    let behind = fs::read(beside(&path, ".anchor")).expect("an anchor");
    let mut store = open(&path).expect("the store opens");
    store.commit(&[], Timestamp::from_millis(99)).expect("one commit more");
    let mark = store.mark();
    drop(store);
    fs::write(beside(&path, ".anchor"), behind).expect("behind");
    let store = open(&path).expect("the store opens");
    assert_eq!(store.mark(), mark);
    drop(store);
    assert_eq!(Look::at(&path, &SqliteOptions::default()).expect("a look").mark(), mark);
}

/// Check Z15: a recovery that is broken off leaves a store that is refused as before, however much it wrote; one that opens an era
/// leaves one that opens, and the copies before it stay refused.
#[test]
fn a_recovery_is_done_when_it_has_opened_an_era_and_not_before() {
    use regrant_core::recovery::{Recovery, Unproven};
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..5);
    drop(open(&path).expect("the store opens"));
    let older = fs::read(&path).expect("a copy");
    let mut store = open(&path).expect("the store opens");
    store.commit(&[], Timestamp::from_millis(99)).expect("one commit more");
    let lost = store.mark();
    drop(store);
    let options = SqliteOptions::default();
    fs::write(&path, &older).expect("put back");
    for number in 10..14 {
        let mut recovering = Sqlite::recover(&path, &options).expect("it can be recovered");
        assert_eq!((recovering.found.commits + 1, recovering.seen), (lost.commits, Some(lost)));
        let write = rows::write(None, &rows::grant(number), &rows::keys());
        assert_eq!(recovering.store.commit(&[write], Timestamp::EPOCH), Ok(vec![Outcome::Committed]));
        drop(recovering);
        refused(&path);
    }
    let mut recovering = Sqlite::recover(&path, &options).expect("it can be recovered");
    let recovery = Recovery { lost_from: Timestamp::EPOCH, lost_until: lost.at, unproven: Unproven::End };
    let era = Record::OpenEra { era: 1, recovery, next_grant: 1000 };
    assert_eq!(recovering.store.commit(&[era], lost.at), Ok(vec![Outcome::Committed]));
    drop(recovering);
    let mut store = open(&path).expect("the store opens");
    assert_eq!((store.mark().era, store.high_water()), (1, lost.at));
    assert!(store.load(&[rows::grant(13).id]).expect("readable")[0].is_some());
    store.commit(&[], Timestamp::from_millis(200)).expect("it goes on");
    drop(store);
    drop(open(&path).expect("the store opens again"));
    fs::write(&path, &older).expect("put back");
    refused(&path);
}

#[test]
fn the_anchor_may_be_elsewhere() {
    let (here, there) = (place::Directory::new(), place::Directory::new());
    let options = SqliteOptions { anchor: Some(there.file()), ..SqliteOptions::default() };
    drop(Sqlite::open(&here.file(), &options).expect("the store opens"));
    assert!(there.file().exists() && !beside(&here.file(), ".anchor").exists());
    let nowhere = SqliteOptions { anchor: Some(there.file().join("x")), ..SqliteOptions::default() };
    let error = Sqlite::open(&here.file(), &nowhere).expect_err("no such place");
    assert!(matches!(error, OpenError::Anchor { .. }) && error.to_string().contains("anchor_file"), "{error}");
}

/// A root key, another file of the store, or whatever else somebody names by mistake.
#[test]
fn a_file_that_is_no_anchor_is_refused_and_not_written_over() {
    let directory = place::Directory::new();
    let (path, key) = (directory.file(), directory.file().with_file_name("root.key"));
    killed(&path, 7, 1..5);
    fs::write(&key, "rgroot_of_somebody\n").expect("a key");
    for other in [key, path.clone(), beside(&path, "-wal")] {
        let contents = || [&other, &path].map(|file| fs::read(file).expect("readable"));
        let (before, options) = (contents(), SqliteOptions { anchor: Some(other.clone()), ..SqliteOptions::default() });
        for error in [
            Sqlite::open(&path, &options).err(),
            Sqlite::recover(&path, &options).err(),
            Look::at(&path, &options).err(),
        ] {
            let error = error.expect("it is no anchor").to_string();
            let says =
                [&other.display().to_string(), "is no anchor", "remedy: ", "`anchor_file`", "Nothing was changed"];
            assert!(says.iter().all(|says| error.contains(says)), "{error}");
        }
        assert!(contents() == before, "{} was changed", other.display());
    }
    holds(&path, 1..5);
}

/// What `doctor` does: everything is seen, what is still in the log, too, and no file is made or changed.
#[test]
fn a_look_changes_nothing_and_sees_the_log() {
    let directory = place::Directory::new();
    let path = directory.file();
    killed(&path, 7, 1..20);
    for ending in ["-shm", ".lock"] {
        let _ = fs::remove_file(beside(&path, ending));
    }
    let all = || {
        let names = fs::read_dir(path.parent().expect("a directory")).expect("readable").flatten();
        let mut all: Vec<_> = names.map(|entry| (entry.path(), fs::read(entry.path()).expect("a file"))).collect();
        all.sort();
        all
    };
    let before = all();
    let mut look = Look::at(&path, &SqliteOptions::default()).expect("a look");
    assert!(look.load(&[rows::grant(19).id]).expect("readable")[0].is_some(), "the newest is in the log");
    assert!(look.ask(&Question::Clients).is_ok());
    assert_eq!((look.mark().commits, look.high_water()), (20, Timestamp::from_millis(19)));
    assert!(look.commit(&[], Timestamp::MAX).is_err());
    drop(look);
    assert!(all() == before, "something was changed");
    let log = fs::read(beside(&path, "-wal")).expect("a log");
    fs::remove_file(beside(&path, "-wal")).expect("removed");
    let error = Look::at(&path, &SqliteOptions::default()).expect_err("its log is missing");
    assert!(matches!(error, OpenError::WentBack(_)), "{error:?}");
    fs::write(beside(&path, "-wal"), log).expect("put back");
    let store = open(&path).expect("the store opens");
    let error = Look::at(&path, &SqliteOptions::default()).expect_err("somebody has it open");
    assert!(matches!(error, OpenError::InUse { pid, .. } if pid == Some(std::process::id())), "{error:?}");
    drop(store);
}
