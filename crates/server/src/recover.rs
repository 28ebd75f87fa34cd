//! A copy of the store, and what follows when one is put back: what an operator does on the worst day (checks Z15, K3).
//!
//! A restored store is older than what was answered; so is a database whose standby took over without having heard of all of it. [`recover`] makes it fit to be served from, in this order, so that a crash at any
//! point leaves a store that refuses to start and can be recovered again:
//!
//! 1. replays the revocation journal: what was revoked after the copy was made is revoked again, and who was disabled, removed or logged
//!    out, or has another password, is that again
//! 2. opens the next era in one transaction: the lost span and the decision about it are in the store, grant numbers of the lost
//!    span are not used again, time goes on from the newest that was answered
//! 3. sets the anchor, where the store is a file
//!
//! What becomes of each grant from then on is [`regrant_core::recovery`]'s to say.

mod bulk;
mod state;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use regrant_core::client::Class;
use regrant_core::decision::Event;
use regrant_core::grant::{Binding, EndReason, Rotation};
use regrant_core::keys::{DeploymentId, Keys, Purpose, RootKey};
use regrant_core::recovery::{Recovery, Unproven};
use regrant_core::{Epoch, EventKind, Grant, GrantId, Timestamp, Write, revoke};
use regrant_store::{
    Answer, Copied, CopyError, EventRecord, Look, Mark, OpenError, Outcome, Postgres, Question, Record, Sqlite,
    SqliteOptions, Store, Unavailable,
};
use serde::{Deserialize, Serialize};

use crate::admin::rfc3339;
use crate::app::{self, Clients, StartError};
use crate::chance;
use crate::clock::Clock;
use crate::config::{Config, StoreLocation};
use crate::keyring::schedule::Lifetimes;
use crate::keyring::{self, Keyring, KeyringError};
use crate::revocations::{self, Compromised, Contents, Revoked};
use crate::timekeeper;

/// Rows of one step.
const SLICE: usize = 256;
/// How many grant numbers are left behind: more than can have been used in any span that is lost.
const NUMBERS_LEFT: u64 = 1 << 40;

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Backup {
    /// The file.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Up to which commit.
    pub commits: u64,
    /// RFC 3339: the newest time in it.
    pub at: String,
    /// Its era.
    pub era: u16,
    /// Grants, those that have ended included.
    pub grants: u64,
    /// Users.
    pub users: u64,
    /// Clients that are not in the configuration.
    pub clients: u64,
}

impl Backup {
    /// Of a copy.
    #[must_use]
    pub fn of(file: &Path, copied: &Copied) -> Self {
        let Copied { mark, grants, users, clients, bytes } = *copied;
        let Mark { era, commits, at, .. } = mark;
        Self { file: file.display().to_string(), bytes, commits, at: rfc3339(at), era, grants, users, clients }
    }
}

/// Why nothing was restored or recovered. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// As a start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The journal.
    #[error(
        "the revocation journal {path} cannot be read: {source}\n  remedy: name the right file (revocations_file, --revocations); without it nobody knows what was revoked since the backup. Nothing was changed"
    )]
    Journal {
        /// Where.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// There is nothing to recover.
    #[error("{0}\n  remedy: start the server; nothing was changed")]
    NotNeeded(String),
    /// It is of an older program.
    #[error(
        "the store has schema version {0}, and this program brings it to {1} first: nothing can be counted before\n  remedy: run `regrant recover --yes` without --dry-run"
    )]
    OlderSchema(u32, u32),
    /// There is no anchor to tell what was lost.
    #[error(
        "the store has no anchor, so that nothing tells whether it went back\n  remedy: if it was restored from an older copy, say --without-anchor: everything from its newest time until now counts as lost. Nothing was changed"
    )]
    NoAnchor,
    /// No node has noticed that the database went back.
    #[error(
        "no node has noticed that the database went back\n  remedy: if it was restored from an older copy, or a standby took over when no node was left to notice it, say --without-anchor: everything from its newest time until now counts as lost. Nothing was changed"
    )]
    NotNoticed,
    /// A store that is no file.
    #[error(
        "the store is no SQLite file: there is nothing that this command could put back\n  remedy: restore a PostgreSQL with its own tools, and run `regrant recover` (docs/operations.md), or name a file in `store`"
    )]
    Memory,
}

impl From<KeyringError> for RecoverError {
    fn from(error: KeyringError) -> Self {
        StartError::from(error).into()
    }
}

impl From<Unavailable> for RecoverError {
    fn from(error: Unavailable) -> Self {
        StartError::from(error).into()
    }
}

impl From<OpenError> for RecoverError {
    fn from(error: OpenError) -> Self {
        StartError::from(error).into()
    }
}

impl RecoverError {
    /// For the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Start(error) => error.exit_code(),
            Self::Copy(CopyError::Exists(_)) | Self::NotNeeded(_) | Self::OlderSchema(..) => 1,
            Self::Copy(CopyError::Damaged { .. } | CopyError::HasLog(_)) => 65,
            Self::Copy(CopyError::Open(OpenError::InUse { .. })) => 75,
            Self::Copy(_) | Self::Journal { .. } => 69,
            Self::NoAnchor | Self::NotNoticed | Self::Memory => 78,
        }
    }
}

/// What a restore did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RestoreDone {
    /// What is in the store's place now.
    pub backup: Backup,
    /// Where the store is that was there.
    pub kept: Option<String>,
    /// Up to which commit the anchor has seen the store, and the time then.
    pub seen: Option<(u64, String)>,
    /// Whether the root key was there, and fits.
    pub root_key_fits: bool,
}

/// Puts a backup in the place of the store. Nothing else is done: the next start is refused until [`recover`].
///
/// # Errors
/// [`RecoverError`]; nothing was changed.
pub fn restore(config: &Config, from: &Path, clock: &Clock) -> Result<RestoreDone, RecoverError> {
    let StoreLocation::Sqlite(store) = &config.store else { return Err(RecoverError::Memory) };
    let copied = regrant_store::look_at(from)?;
    let root_key_fits = match keyring::read_root_key(&config.root_key_file) {
        Err(KeyringError::NoCredential(_)) => false,
        read => fits(from, &read?)?,
    };
    let done = regrant_store::restore(from, store, &config.sqlite_options(), clock.now().max(copied.mark.at))?;
    Ok(RestoreDone {
        backup: Backup::of(from, &done.copied),
        kept: done.kept.map(|path| path.display().to_string()),
        seen: done.seen.map(|seen| (seen.commits, rfc3339(seen.at))),
        root_key_fits,
    })
}

/// Whether a root key is the copy's; another one is an error.
fn fits(from: &Path, root: &RootKey) -> Result<bool, RecoverError> {
    let (mut look, _) = Look::before_recovery(from, &SqliteOptions::default())?;
    let (version, known) = look.versions();
    if version != known {
        return Ok(false);
    }
    match look.ask(&Question::Deployment)? {
        Answer::Deployment(Some(deployment)) if root.check_value(deployment.id) != deployment.root_check => {
            Err(KeyringError::RootKeyMismatch.into())
        }
        _ => Ok(true),
    }
}

/// How to recover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What becomes of grants whose holder proves nothing.
    pub unproven: Unproven,
    /// Whether a missing anchor is no hindrance.
    pub anchor: AnchorNeed,
    /// Revocation journals of other nodes, beside that of the configuration: each node keeps its own.
    pub journals: Vec<PathBuf>,
}

/// Whether the anchor must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnchorNeed {
    /// It must.
    Needed,
    /// Everything until now counts as lost without it.
    Waived,
}

/// What a recovery finds, and does or would do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// The era that it opens.
    pub era: u16,
    /// Where the store is: commit and time.
    pub found: (u64, String),
    /// How far it had come by its anchor.
    pub seen: Option<(u64, String)>,
    /// RFC 3339: the lost span.
    pub lost_from: String,
    /// RFC 3339: its end.
    pub lost_until: String,
    /// What is done with grants whose holder proves nothing.
    pub unproven: String,
    /// What the revocation journal says.
    pub revocations: Replayed,
    /// Grants that live.
    pub grants: Counted,
}

/// What became of the entries of the revocation journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Replayed {
    /// All entries.
    pub entries: u64,
    /// Grants that are revoked again.
    pub grants: u64,
    /// Grants that had ended in the copy, too.
    pub ended_already: u64,
    /// Grants that the copy does not have: none of their tokens works anyway.
    pub not_in_the_copy: u64,
    /// Access tokens that are refused again.
    pub access_tokens: u64,
    /// Bulk revocations that are in force again.
    pub bulk: u64,
    /// Bulk revocations that the copy has, or whose grants have ended in it.
    pub bulk_ended_already: u64,
    /// Bulk revocations that an operator took back in the lost span.
    pub bulk_taken_back: u64,
    /// Users who are disabled, removed, or have their newer password again.
    pub users: u64,
    /// Clients that are removed, or as they were, again.
    pub clients: u64,
    /// Consents that are withdrawn, paused or limited again.
    pub consents: u64,
    /// Ends of browser sessions: of one, or of all of a user.
    pub sessions: u64,
    /// Keys that are compromised again.
    pub keys: u64,
    /// Whether there is no journal: then nobody knows what was revoked.
    pub is_missing: bool,
    /// Entries that somebody changed, or the device lost.
    pub damaged: u64,
    /// Entries of a kind that this program does not know.
    pub unknown: u64,
}

/// Living grants of the copy, by what their holders can prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counted {
    /// A key: they go on, also with tokens of the lost span.
    pub of_keys: u64,
    /// A client secret, with a token that never changes: they go on.
    pub of_secrets: u64,
    /// A client secret, rotated: they go on with a token of the copy; with one of the lost span the setting decides.
    pub of_secrets_rotated: u64,
    /// Nothing: the setting decides.
    pub of_public_clients: u64,
    /// Rows that something else changed.
    pub tampered: u64,
}

/// Says what [`recover`] would do. Nothing is changed.
///
/// # Errors
/// [`RecoverError`].
pub fn rehearse(config: &Config, clock: &Clock, plan: &Plan) -> Result<Report, RecoverError> {
    let root = keyring::read_root_key(&config.root_key_file)?;
    let contents;
    let (mut store, span): (Box<dyn Store>, Span) = match &config.store {
        StoreLocation::Sqlite(path) => {
            let (look, seen) = Look::before_recovery(path, &config.sqlite_options())?;
            contents = journals(config, plan, &root, look.mark().deployment)?;
            let span = Span::of((look.mark(), seen), &contents, clock, plan)?;
            let (version, known) = look.versions();
            if version != known {
                return Err(RecoverError::OlderSchema(version, known));
            }
            (Box::new(look), span)
        }
        StoreLocation::Postgres(options) => {
            let recovering = Postgres::recover(options)?;
            contents = journals(config, plan, &root, recovering.found.deployment)?;
            let span = Span::of_nodes((recovering.found, recovering.seen), &contents, clock, plan)?;
            (Box::new(recovering.store), span)
        }
        StoreLocation::Memory => return Err(RecoverError::Memory),
    };
    let store = store.as_mut();
    let keyring = Keyring::open(store, root, span.now)?;
    let keys = keyring.keys_to_read()?;
    let clients = clients(config, store)?;
    let (revocations, records) = replay(store, &contents, &keys, span.from)?;
    let revoked = records.iter().filter_map(|record| match record {
        Record::Grant { grant, .. } => Some(grant.id.number),
        _ => None,
    });
    let keys_again = keyring.believed_again(&Compromised::all(&contents.entries));
    let coming = Coming { grants: revoked.collect(), bulk: bulk::to_come(&records) };
    let grants = count(store, &clients, &keys, span.now, &coming)?;
    let revocations = Replayed { keys: keys_again, ..revocations };
    Ok(Report { revocations, grants, ..span.report(keyring.deployment.era, &contents, plan) })
}

/// Recovers a store that went back.
///
/// # Errors
/// [`RecoverError`]; the store refuses to start as before, and can be recovered again.
pub fn recover(config: &Config, clock: &Clock, plan: &Plan) -> Result<Report, RecoverError> {
    let root = keyring::read_root_key(&config.root_key_file)?;
    match &config.store {
        StoreLocation::Sqlite(path) => {
            let recovering = Sqlite::recover(path, &config.sqlite_options())?;
            let contents = journals(config, plan, &root, recovering.found.deployment)?;
            let span = Span::of((recovering.found, recovering.seen), &contents, clock, plan)?;
            let mut store = recovering.store;
            let report = recovered(config, &mut store, root, &span, &contents, plan)?;
            store.checkpoint()?;
            Ok(report)
        }
        StoreLocation::Postgres(options) => {
            let recovering = Postgres::recover(options)?;
            let contents = journals(config, plan, &root, recovering.found.deployment)?;
            let span = Span::of_nodes((recovering.found, recovering.seen), &contents, clock, plan)?;
            let mut store = recovering.store;
            recovered(config, &mut store, root, &span, &contents, plan)
        }
        StoreLocation::Memory => Err(RecoverError::Memory),
    }
}

fn recovered(
    config: &Config,
    store: &mut dyn Store,
    root: RootKey,
    span: &Span,
    contents: &Contents,
    plan: &Plan,
) -> Result<Report, RecoverError> {
    let mut keyring = Keyring::open(store, root, span.now)?;
    let keys = keyring.keys_to_read()?;
    let clients = clients(config, store)?;
    let (mut revocations, records) = replay(store, contents, &keys, span.from)?;
    for slice in records.chunks(SLICE) {
        let outcomes = store.commit(slice, span.from)?;
        bulk::end_each(store, slice, &outcomes, &keys, span.from)?;
    }
    let grants = count(store, &clients, &keys, span.now, &Coming::default())?;
    let lifetimes = Lifetimes::of_clients(clients.all());
    revocations.keys = keyring.compromise_again(store, &Compromised::all(&contents.entries), &lifetimes, span.from)?;
    let report = Report { revocations, grants, ..span.report(keyring.deployment.era, contents, plan) };
    let next_grant = keyring.deployment.next_grant.saturating_add(NUMBERS_LEFT);
    let recovery = Recovery { lost_from: span.from, lost_until: span.until, unproven: plan.unproven };
    let open = Record::OpenEra { era: report.era, recovery, next_grant };
    let detail = format!(
        "recovered: era {}, lost from {} until {}, unproven grants {}, {} revocations and {} in bulk replayed",
        report.era,
        report.lost_from,
        report.lost_until,
        report.unproven,
        report.revocations.grants,
        report.revocations.bulk
    );
    let event = Event { kind: EventKind::Admin, grant: None, client: None, subject: None, detail };
    let told = Record::Event(EventRecord { at: span.now, event, correlation: String::new() });
    // Before it is opened: one that was not leaves a gap in the count, and one that nobody knows of would be opened twice.
    if let Some(path) = config.revocations_file() {
        app::open_journal(&path, config, &keyring).and_then(|mut journal| {
            journal.keep_era(report.era, span.now).map_err(|source| StartError::Revocations { path, source })
        })?;
    }
    if store.commit(&[open, told], span.now)?.first() != Some(&Outcome::Committed) {
        return Err(RecoverError::NotNeeded("another recovery was first".to_owned()));
    }
    if let Some(notice) = store.notice() {
        tracing::warn!("{notice}");
    }
    Ok(report)
}

/// What was lost.
struct Span {
    found: Mark,
    seen: Option<Mark>,
    from: Timestamp,
    until: Timestamp,
    /// Never behind what was answered (law L10).
    now: Timestamp,
}

impl Span {
    /// By what nodes have noted in the database itself.
    fn of_nodes(
        (found, seen): (Mark, Option<Mark>),
        contents: &Contents,
        clock: &Clock,
        plan: &Plan,
    ) -> Result<Self, RecoverError> {
        match seen {
            None if plan.anchor == AnchorNeed::Needed => Err(RecoverError::NotNoticed),
            _ => Self::of((found, seen), contents, clock, plan),
        }
    }

    fn of(
        (found, seen): (Mark, Option<Mark>),
        contents: &Contents,
        clock: &Clock,
        plan: &Plan,
    ) -> Result<Self, RecoverError> {
        let went_back = |seen: Mark| (found.era, found.commits) < (seen.era, seen.commits);
        // An anchor that was made anew for an older copy knows of nothing else; the journal does.
        let seen = seen.filter(|seen| went_back(*seen) || contents.is_behind(found.era, found.at));
        if let Some(seen) = seen.filter(|seen| !went_back(*seen)) {
            let says = format!(
                "the store did not go back: it is at commit {} of {}, and its anchor has seen commit {}",
                found.commits,
                rfc3339(found.at),
                seen.commits
            );
            return Err(RecoverError::NotNeeded(says));
        }
        if seen.is_none() && plan.anchor == AnchorNeed::Needed {
            return Err(RecoverError::NoAnchor);
        }
        let newest = seen.map_or(found.at, |seen| seen.at.max(found.at)).max(contents.newest().unwrap_or(found.at));
        if let Some(ahead) = timekeeper::ahead_at_start(clock.now(), newest)
            && !clock.is_accepted()
        {
            return Err(StartError::Clock(ahead).into());
        }
        let now = clock.now().max(newest);
        let until = if seen.is_some() { newest } else { now };
        Ok(Self { found, seen, from: found.at, until, now })
    }

    fn report(&self, era: u16, contents: &Contents, plan: &Plan) -> Report {
        // An era that the copy does not know may have been opened in what was lost.
        let last = era.max(self.seen.map_or(0, |seen| seen.era)).max(contents.era().unwrap_or(0));
        Report {
            era: last.saturating_add(1),
            found: (self.found.commits, rfc3339(self.found.at)),
            seen: self.seen.map(|seen| (seen.commits, rfc3339(seen.at))),
            lost_from: rfc3339(self.from),
            lost_until: rfc3339(self.until),
            unproven: plan.unproven.as_str().to_owned(),
            ..Report::default()
        }
    }
}

fn clients(config: &Config, store: &mut dyn Store) -> Result<Clients, RecoverError> {
    let added = match store.ask(&Question::Clients)? {
        Answer::Clients(added) => added,
        _ => Vec::new(),
    };
    Ok(app::fitting(config, added).0)
}

/// What was revoked, by the journal of this node and those of others that an operator has brought here.
fn journals(config: &Config, plan: &Plan, root: &RootKey, deployment: DeploymentId) -> Result<Contents, RecoverError> {
    let key = revocations::key(&root.derive(Purpose::Revocations, deployment, 1));
    let failed = |path: &Path, source| RecoverError::Journal { path: path.display().to_string(), source };
    let read = |path: &Path| revocations::read(path, &key, deployment).map_err(|source| failed(path, source));
    let mut contents = config.revocations_file().map_or_else(|| Ok(Contents::default()), |path| read(&path))?;
    for path in &plan.journals {
        let other = read(path)?;
        if other.is_missing() {
            return Err(failed(path, ErrorKind::NotFound.into()));
        }
        contents.add(other);
    }
    Ok(contents)
}

/// What to write so that everything that was revoked is revoked again. One arm for each kind of entry.
fn replay(
    store: &mut dyn Store,
    contents: &Contents,
    keys: &Keys,
    lost_from: Timestamp,
) -> Result<(Replayed, Vec<Record>), RecoverError> {
    let entries = contents.entries.len() as u64;
    let is_missing = contents.is_missing();
    let mut replayed = Replayed { entries, damaged: contents.damaged, is_missing, ..Replayed::default() };
    let (mut records, mut again) = (Vec::new(), HashSet::new());
    for slice in contents.entries.chunks(SLICE) {
        let ids: Vec<GrantId> = slice.iter().filter_map(|entry| Some(entry.ended()?.0)).collect();
        let mut found = store.load(&ids)?.into_iter();
        for entry in slice {
            match &entry.what {
                Revoked::Grant(id, reason) => {
                    let row = found.next().flatten().filter(|row| row.grant.is_intact(row.mac, keys));
                    let Some(row) = row else {
                        replayed.not_in_the_copy += 1;
                        continue;
                    };
                    match ended_again(&row.grant, *reason, entry.at, keys).filter(|_| again.insert(*id)) {
                        Some(record) => {
                            replayed.grants += 1;
                            records.push(record);
                        }
                        None => replayed.ended_already += 1,
                    }
                }
                Revoked::AccessToken(jti) => {
                    replayed.access_tokens += 1;
                    records.push(Record::DenyAccess { jti: *jti, expires_at: entry.over_at });
                }
                // All of them together, below.
                Revoked::Bulk(_) | Revoked::TakenBack(_) | Revoked::State(_) | Revoked::Era(_) | Revoked::Key(_) => {}
                Revoked::Other(..) => replayed.unknown += 1,
            }
        }
    }
    records.extend(bulk::replay(store, &contents.entries, lost_from, &mut replayed)?);
    records.extend(state::replay(store, &contents.entries, lost_from, &mut replayed)?);
    Ok((replayed, records))
}

/// The row that ends a grant as it was ended before; `None` if it has ended.
fn ended_again(grant: &Grant, reason: EndReason, at: Timestamp, keys: &Keys) -> Option<Record> {
    let detail = "replayed from the revocation journal after a restore";
    let decision = revoke::end(grant, reason, detail, at, &chance::entropy());
    let Write::Grant { grant: row, .. } = decision.write else { return None };
    let told = |event| EventRecord { at, event, correlation: String::new() };
    let events = decision.event.into_iter().map(told).collect();
    let mac = row.mac(keys);
    Some(Record::Grant { expected: Some(grant.version), grant: row, mac, events })
}

/// What a rehearsal would end, and has not.
#[derive(Default)]
struct Coming {
    grants: HashSet<u64>,
    bulk: Vec<Epoch>,
}

fn count(
    store: &mut dyn Store,
    clients: &Clients,
    keys: &Keys,
    now: Timestamp,
    coming: &Coming,
) -> Result<Counted, RecoverError> {
    let (mut counted, mut after) = (Counted::default(), 0);
    loop {
        let question = Question::Grants { client: None, subject: None, after, limit: SLICE as u32 };
        let Answer::Grants(slice) = store.ask(&question)? else { break };
        let Some(last) = slice.last() else { break };
        after = last.grant.id.number;
        for row in &slice {
            let is_revoked = row.covered.is_some()
                || coming.grants.contains(&row.grant.id.number)
                || bulk::is_ended(&row.grant, &coming.bulk);
            if !row.grant.is_intact(row.mac, keys) {
                counted.tampered += 1;
            } else if !row.grant.is_over(now) && row.grant.current.is_some() && !is_revoked {
                *place(&row.grant, clients, &mut counted) += 1;
            }
        }
    }
    Ok(counted)
}

fn place<'a>(grant: &Grant, clients: &Clients, counted: &'a mut Counted) -> &'a mut u64 {
    let class = clients.get(&grant.terms.client).map_or(Class::Secret, |client| client.policy.class);
    let is_rotated = grant.terms.rotation == Rotation::SingleUse;
    match (&grant.terms.binding, class) {
        (Binding::Key(_), _) | (_, Class::Key) => &mut counted.of_keys,
        (_, Class::Secret) if is_rotated => &mut counted.of_secrets_rotated,
        (_, Class::Secret) => &mut counted.of_secrets,
        (_, Class::Public) => &mut counted.of_public_clients,
    }
}
