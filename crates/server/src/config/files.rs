//! No two settings name one file where the server writes to one of them: what it writes there would destroy the other.
//!
//! Files that are only read may be one: a certificate with its key behind it, one secret of two clients. Paths are compared as the system
//! would follow them, through links and `..`, whether or not the file is there yet.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::document::Section;
use super::problem::Problem;
use super::tls::{KeyPlace, TlsSettings};
use super::{Config, Lines, StoreLocation, places};

/// The longest chain of links to a file that is not there.
const MOST_LINKS: u32 = 8;
/// What the server keeps beside a SQLite store, whatever else is set.
const BESIDE_STORE: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];
const REMEDY: &str = "Give each a file of its own: what the server writes to one would destroy the other.";

/// The sections that name files.
pub(super) struct Sections<'s, 'a> {
    pub(super) top: &'s Section<'a>,
    pub(super) tls: Option<&'s Section<'a>>,
    pub(super) events: Option<&'s Section<'a>>,
    pub(super) token_hook: Option<&'s Section<'a>>,
    pub(super) webhooks: &'s [Section<'a>],
    pub(super) clients: &'s [Section<'a>],
}

/// What the server does with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It writes to it, or makes it; or nothing else may ever be in it.
    Alone,
    Reads,
}

/// Whether a setting says the file itself, or only where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Said,
    Beside,
}

struct Named<'s, 'a> {
    /// `None` for the configuration itself.
    by: Option<(&'s Section<'a>, &'static str)>,
    how: Use,
    name: Name,
    shown: PathBuf,
    real: PathBuf,
    /// Device and number, if it is there: two names of one file.
    number: Option<(u64, u64)>,
}

impl<'s, 'a> Named<'s, 'a> {
    fn new(by: Option<(&'s Section<'a>, &'static str)>, how: Use, name: Name, path: &Path) -> Self {
        let number = path.metadata().ok().filter(std::fs::Metadata::is_file).map(|found| (found.dev(), found.ino()));
        Self { by, how, name, shown: path.to_owned(), real: real(path, 0), number }
    }

    fn is(&self, other: &Self) -> bool {
        self.real.as_os_str() == other.real.as_os_str() || (self.number.is_some() && self.number == other.number)
    }

    fn is_of(&self, other: &Self) -> bool {
        match (self.by, other.by) {
            (Some((section, key)), Some((others, other))) => key == other && std::ptr::eq(section, others),
            _ => false,
        }
    }

    /// Where its setting is written, if an operator named the file.
    fn place(&self) -> Option<String> {
        self.by.filter(|_| self.name == Name::Said).and_then(|(section, key)| section.place(key))
    }

    /// For the message about the other one.
    fn said(&self) -> String {
        let Some((section, key)) = self.by else { return "the configuration itself".to_owned() };
        let place = section.place(key).unwrap_or_else(|| "as it is unless set".to_owned());
        let what = if self.name == Name::Said { "the file of" } else { "a file that the server keeps beside" };
        format!("{what} {} ({place})", section.full_name(key))
    }
}

/// Reports each file that two settings name, at one that an operator has written.
pub(super) fn check(config: &Config, base: &Path, file: &Path, sections: &Sections<'_, '_>) {
    let named = all(config, base, file, sections);
    for (index, later) in named.iter().enumerate() {
        let is_one = |earlier: &&Named<'_, '_>| {
            (later.how == Use::Alone || earlier.how == Use::Alone) && later.is(earlier) && !later.is_of(earlier)
        };
        let Some(earlier) = named[..index].iter().find(is_one) else { continue };
        let (told, other) = if later.place().is_some() { (later, earlier) } else { (earlier, later) };
        let Some((section, key)) = told.by else { continue };
        let what = format!("it names {}: {}", other.said(), told.shown.display());
        section.problem(Problem::new(key, what, REMEDY));
    }
}

fn all<'s, 'a>(config: &Config, base: &Path, file: &Path, sections: &Sections<'s, 'a>) -> Vec<Named<'s, 'a>> {
    let Sections { top, tls, events, token_hook, webhooks, clients } = *sections;
    let mut named = vec![Named::new(None, Use::Reads, Name::Said, file)];
    let mut add = |section, key, how, name, path: &Path| named.push(Named::new(Some((section, key)), how, name, path));
    let beside = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    if let StoreLocation::Sqlite(store) = &config.store {
        add(top, "store", Use::Alone, Name::Said, store);
        BESIDE_STORE.iter().for_each(|ending| add(top, "store", Use::Alone, Name::Beside, &beside(store, ending)));
        if config.anchor_file.is_none() {
            add(top, "store", Use::Alone, Name::Beside, &beside(store, ".anchor"));
        }
    }
    add(top, "root_key_file", Use::Alone, Name::Said, &config.root_key_file);
    if let Some(path) = &config.anchor_file {
        add(top, "anchor_file", Use::Alone, Name::Said, path);
    }
    if let Some(path) = config.revocations_file() {
        let (key, name) = match config.revocations_file {
            Some(_) => ("revocations_file", Name::Said),
            None => ("store", Name::Beside),
        };
        add(top, key, Use::Alone, name, &path);
        // Where it is written anew when it is shortened.
        add(top, key, Use::Alone, Name::Beside, &beside(&path, ".new"));
    }
    if let Some(path) = config.admin_socket() {
        let (key, name) = match config.admin_socket {
            Some(_) => ("admin_socket", Name::Said),
            None => ("store", Name::Beside),
        };
        add(top, key, Use::Alone, name, &path);
    }
    if let Some(path) = &config.store_password_file {
        add(top, "store_password_file", Use::Reads, Name::Said, path);
    }
    if let (Some(section), Some(TlsSettings::Files(files))) = (tls, &config.tls) {
        add(section, "certificate_file", Use::Reads, Name::Said, &files.certificate);
        if let KeyPlace::File(path) = &files.key {
            add(section, "key_file", Use::Reads, Name::Said, path);
        }
    }
    if let (Some(section), Some(Lines::File(path))) = (events, &config.events.json_lines) {
        add(section, "json_lines", Use::Alone, Name::Said, path);
    }
    for section in token_hook.into_iter().chain(webhooks).chain(clients) {
        for key in ["secret_file", "previous_secret_file"] {
            if let Some(path) = section.said(key) {
                add(section, key, Use::Reads, Name::Said, &places::under(base, &path));
            }
        }
    }
    named
}

/// The path that the system would come to.
fn real(path: &Path, links: u32) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let Some(parent) = path.parent() else { return path };
    // A link to what is not there: whoever makes it makes it where the link leads.
    if let Some(target) = path.read_link().ok().filter(|_| links < MOST_LINKS) {
        return real(&parent.join(target), links + 1);
    }
    let mut directory = real(parent, links);
    match path.file_name() {
        Some(name) => directory.push(name),
        None => {
            directory.pop();
        }
    }
    directory
}
