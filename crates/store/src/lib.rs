//! What must survive: one contract, in two verbs over batches.
//!
//! [`Store::load`] reads rows; [`Store::commit`] makes a batch of [`Record`]s durable in one transaction, or nothing of it.
//! When `commit` has returned `Ok`, every record it calls [`Committed`](Outcome::Committed) survives a power cut (law L1).
//! The contract grows by kinds of record, not by methods. It is synchronous: one OS thread owns a store and asks it.
//!
//! | store      | for                                             |
//! |------------|-------------------------------------------------|
//! | [`Memory`] | tests, and programs that want nothing to remain |
//! | [`Sqlite`] | one node, embedded, durable                     |
//! | [`Postgres`] | many nodes over one server, durable           |

#![warn(missing_docs)]

pub mod beside;
pub mod contract;
mod device;
mod epochs;
mod event;
mod failures;
mod hot;
mod key;
mod logout;
mod memory;
mod moving;
mod once;
mod postgres;
mod question;
mod revocation;
mod seal;
mod spelling;
mod sqlite;
mod terms;
mod with;

use std::fmt;

use regrant_core::grant::RowMac;
use regrant_core::issue::SubjectStatus;
use regrant_core::keys::DeploymentId;
use regrant_core::recovery::Recovery;
use regrant_core::{ChainKey, Covered, Epoch, Grant, GrantId, Keys, Timestamp};

use beside::{DeadLetter, Delivery, Place};

pub use device::{DeviceRequest, MOST_DEVICE_REQUESTS};
pub use epochs::{MOST_BROAD, MOST_EPOCHS};
pub use event::{ChainEnds, EventFilter, EventRecord, StoredEvent};
pub use failures::Failures;
pub use key::{KeyChange, KeyKind, KeyRecord};
pub use logout::LogoutNotice;
pub use memory::Memory;
pub use moving::{MoveError, Moved, move_store};
pub use once::RegistrationToken;
pub use postgres::{Migration, Postgres, PostgresOptions, RecoveringPostgres, SchemaState, known as known_schema};
pub use question::{Answer, Changes, Question};
pub use revocation::{Revocation, Revoked};
pub use sqlite::{
    Copied, CopyError, Look, Mark, OpenError, Recovering, Restored, Sqlite, SqliteOptions, Synchronous, WentBack,
    Writes, back_up, give_to_owner, look_at, part, restore,
};
pub use with::Before;

/// The contract. See the module's description.
pub trait Store: Send {
    /// The rows of these grants, in the order asked, with the status of each one's user. `None` where there is no row of
    /// that number, or its random half differs.
    ///
    /// # Errors
    /// [`Unavailable`] if the store cannot be read.
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable>;

    /// Makes the records durable in one transaction, in order, and raises the high-water time to `now` (never lowers it).
    /// One outcome per record, in the same order. A `Stale` record changes nothing, nor do its events; the others stand.
    ///
    /// # Errors
    /// [`Unavailable`] if nothing of the batch was made durable; with [`Cause::Device`] or [`Cause::Unknown`] it may be found
    /// there later.
    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable>;

    /// The newest time that was ever committed (law L10). Known from opening on, without a read.
    fn high_water(&self) -> Timestamp;

    /// How many wide revocations there ever were: what a new grant keeps. Known from opening on, without a read.
    fn epoch(&self) -> u64;

    /// Answers a question about the small, read-mostly things.
    ///
    /// # Errors
    /// [`Unavailable`] if the store cannot be read.
    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable>;

    /// Chains the events of later commits under this key, and seals what has no MAC of its own. A store that was given none chains them
    /// under [`ChainKey::public`], and seals nothing.
    ///
    /// # Errors
    /// [`Forged`] if the seal that is there does not fit what is there.
    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged>;

    /// Why nothing more may be asked of this store before it is opened anew. Also a commit that succeeded may leave it so: the
    /// checkpoint behind it failed.
    fn failure(&self) -> Option<Unavailable>;

    /// Something that an operator should hear and that hinders nobody. Told once.
    fn notice(&mut self) -> Option<String> {
        None
    }

    /// Whether other nodes write to it: then what is kept of it in memory is compared with [`Question::Changes`].
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether what it holds may not be what was answered from it, as far as it has noticed by now: nothing is vouched for meanwhile, also
    /// where the store is not asked.
    fn is_in_doubt(&self) -> bool {
        false
    }
}

/// Somebody without the key changed the store: what was sealed is not there as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Forged(pub String);

/// A grant's row as it was found. Whether its MAC fits is the caller's question: [`Loaded::believed`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The row, as it was written.
    pub grant: Grant,
    /// The MAC beside it.
    pub mac: RowMac,
    /// Its user.
    pub subject: SubjectStatus,
    /// The wide revocation that ends it, if one does.
    pub covered: Option<Covered>,
}

impl Loaded {
    /// The row as everybody is to see it: `None` if it is not as we wrote it, and ended where a wide revocation covers it. The one door
    /// from a row to what is decided about it.
    #[must_use]
    pub fn believed(self, keys: &Keys) -> Option<Self> {
        let is_intact = self.grant.is_intact(self.mac, keys);
        is_intact.then(|| Self { grant: self.grant.seen_under(self.covered).seen_until(self.subject.end()), ..self })
    }
}

/// Something to make durable.
#[derive(Clone, Debug)]
pub enum Record {
    /// A grant's row and what it tells of, together or not at all.
    Grant {
        /// The version it replaces; `None` for a new grant. Another version, or a number already taken, is `Stale`.
        expected: Option<u64>,
        /// The row. Of a grant that is there already only the hot half is written: its id and terms never change.
        grant: Grant,
        /// Its MAC.
        mac: RowMac,
        /// Events of the same decision.
        events: Vec<EventRecord>,
    },
    /// Removes a grant that has long ended. Another version is `Stale`.
    RemoveGrant {
        /// Which.
        number: u64,
        /// The version that was judged.
        expected: u64,
    },
    /// Written only if the last record before it that is none of these was `Committed`; else `Stale`. So what a change entails is there
    /// together with it, or not at all. Never a grant's row.
    With(Box<Self>),
    /// An event without a grant's write.
    Event(EventRecord),
    /// Sets the deployment's identity in a fresh store; `Stale` if it is set.
    Initialise {
        /// 16 random bytes.
        deployment: DeploymentId,
        /// Proves that a root key belongs to this store.
        root_check: [u8; 16],
    },
    /// Opens a new era after a restore; `Stale` if the store has reached it.
    OpenEra {
        /// The new era.
        era: u16,
        /// What was lost, and what was decided about it.
        recovery: Recovery,
        /// Grant numbers below it may have been used in the time that was lost.
        next_grant: u64,
    },
    /// Reserves grant numbers below `next`; `Stale` if they are reserved already.
    ReserveGrants {
        /// The first number that is not reserved.
        next: u64,
    },
    /// Adds or replaces a client; `Stale` if something else stands there.
    PutClient {
        /// Its `client_id`.
        id: String,
        /// What must stand there.
        before: Before<String>,
        /// Its definition, JSON, opaque to the store.
        definition: String,
    },
    /// Removes a client; `Stale` if it is not there.
    RemoveClient {
        /// Its `client_id`.
        id: String,
    },
    /// Adds a user; `Stale` if the name or the subject is taken.
    AddUser(User),
    /// Replaces a user found by subject; `Stale` if it is not there at the version `expected`, or another has the name.
    PutUser {
        /// The version that was read.
        expected: u64,
        /// The user, with the version it has from now on.
        user: User,
    },
    /// Removes a user; `Stale` if it is not there.
    RemoveUser {
        /// Its subject.
        subject: String,
    },
    /// A browser's login session.
    PutSession(Session),
    /// The same user logged in again in the same browser: the session goes on under another cookie, and nobody hears of a logout.
    /// `Stale` if the one before it is not there, or is another user's.
    RenewSession {
        /// The hash of the cookie before.
        before: [u8; 32],
        /// The session from now on, with the root of the one before it.
        session: Session,
    },
    /// Ends a session, named by the hash of its cookie or by its root; fine if it is not there. Every client that was logged in to in
    /// it is to hear of it: a [`LogoutNotice`] for each, in the same commit.
    EndSession {
        /// Which.
        id: [u8; 32],
    },
    /// Ends all sessions of a user, likewise.
    EndSessionsOf {
        /// The user.
        subject: String,
        /// But for the one of this root.
        but: Option<[u8; 32]>,
    },
    /// A client was logged in to in a session; `Stale` if the session is not there.
    PutLogin {
        /// The root of the session.
        session: [u8; 32],
        /// The client.
        client: String,
    },
    /// A client has heard of a logout, or never will; `Stale` if it is not there.
    RemoveLogoutNotice {
        /// Its position.
        id: u64,
    },
    /// What a device asks for. `Stale` if its user code is another's, or if [`MOST_DEVICE_REQUESTS`] wait. A few of those that are
    /// over go with it, so that whoever fills the table also empties it.
    PutDeviceRequest(DeviceRequest),
    /// Remembers what a user allowed a client: replaces what was remembered; `Stale` if that is something else.
    PutConsent {
        /// What is allowed.
        consent: Consent,
        /// What must stand there.
        before: Before<Consent>,
    },
    /// Forgets it.
    RemoveConsent {
        /// The user.
        subject: String,
        /// The client.
        client: String,
    },
    /// Refuses one access token from now on.
    DenyAccess {
        /// SHA-256 of its `jti`.
        jti: [u8; 32],
        /// When it ends by itself and the record may be swept.
        expires_at: Timestamp,
    },
    /// Tells resource servers what is over, where no other record says so (see [`Revocation`]).
    Revoke {
        /// What.
        revoked: Revoked,
        /// Since when.
        at: Timestamp,
    },
    /// Removes at most `limit` [`Revocation`]s that were made before `before`: no access token is left that they could concern.
    ForgetRevocations {
        /// Older ones go.
        before: Timestamp,
        /// The most rows to remove.
        limit: u32,
    },
    /// Adds keys and moves keys through their lives, with what is told of it: all of it or, if one of them is not as it was
    /// expected, nothing and `Stale`.
    Keys {
        /// In order.
        changes: Vec<KeyChange>,
        /// Events of the same step.
        events: Vec<EventRecord>,
    },
    /// A wide revocation: from the commit on, every grant that it selects is ended. Number 0 takes whichever is the next. `Stale` if
    /// another number is not the next, or if there are too many ([`MOST_EPOCHS`], [`MOST_BROAD`]).
    Epoch {
        /// What to write.
        epoch: Epoch,
        /// Events of the same act.
        events: Vec<EventRecord>,
    },
    /// Takes a wide revocation back; `Stale` if it is not there, is final, or was taken back.
    UndoEpoch {
        /// Which.
        number: u64,
        /// When.
        at: Timestamp,
        /// Events of the same act.
        events: Vec<EventRecord>,
    },
    /// Forgets wide revocations that cover nothing any more. Their numbers are not used again.
    ForgetEpochs {
        /// Which.
        numbers: Vec<u64>,
    },
    /// Counts a failed log-in, at the time of the commit. A few of the failures that are forgotten go with it, so that
    /// whoever fills the table also empties it.
    CountFailure {
        /// A keyed hash of who failed where.
        key: [u8; 32],
        /// After how long one failure is forgotten, in milliseconds.
        leak: i64,
        /// The most that are counted.
        most: u32,
    },
    /// Forgets all failures; fine if there are none.
    ForgetFailures {
        /// The same hash.
        key: [u8; 32],
    },
    /// A grant was used from this place. The first is kept as the place where it was made; later ones replace the last, if they
    /// are others. A grant that is not there leaves a row that its removal takes away.
    Seen {
        /// The grant's number.
        grant: u64,
        /// From where.
        place: Place,
    },
    /// How far the delivery of events to a recipient has come.
    PutDelivery(Delivery),
    /// An event was given up; of one recipient at most [`beside::MOST_DEAD_LETTERS`] are kept.
    PutDeadLetter(DeadLetter),
    /// It was delivered after all, or an operator let it go; `Stale` if it is not there.
    RemoveDeadLetter {
        /// The recipient.
        to: String,
        /// The event's position.
        event: u64,
    },
    /// Uses something that is good once; `Stale` if it was used before and what was used is not over yet.
    UseOnce {
        /// A hash of what it is.
        key: [u8; 32],
        /// When it is over by itself, and the record may be swept.
        expires_at: Timestamp,
    },
    /// Adds a client that registered itself, and takes one use of the token that let it; `Stale`, and nothing of it, if the id is
    /// taken or the token is used up or over.
    RegisterClient {
        /// Its `client_id`.
        id: String,
        /// Its definition.
        definition: String,
        /// The hash of the token.
        token: Option<[u8; 32]>,
    },
    /// Adds or replaces a token with which clients can be registered.
    PutRegistrationToken(RegistrationToken),
    /// Removes one; `Stale` if it is not there.
    RemoveRegistrationToken {
        /// Its hash.
        hash: [u8; 32],
    },
    /// Removes at most `limit` each of: sessions, their logins, what devices asked for, denied access tokens, what was used once,
    /// registration tokens and failures that were over before `now`, and from the
    /// oldest position on events older than `events_before`, up to the first that is not. Nothing depends on it.
    Sweep {
        /// Events older than this go.
        events_before: Timestamp,
        /// The most rows of each kind to remove.
        limit: u32,
    },
    /// Brings a slice of what a store has put off into its place; `Stale` if nothing was put off. Nothing depends on it but how
    /// long an erased ratchet can be found in the file.
    Fold,
}

/// What became of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is durable.
    Committed,
    /// Somebody was first: load and decide again.
    Stale,
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// `sub`: begins with `usr_`, never changes, never used twice.
    pub subject: String,
    /// The name to log in with, normalised.
    pub name: String,
    /// The hash of the password, in one of the forms that the server verifies; empty if no password fits.
    pub password: String,
    /// Since when the user may not log in.
    pub disabled_at: Option<Timestamp>,
    /// When the user was added.
    pub created_at: Timestamp,
    /// When anything of it but the form of the hash was last changed.
    pub updated_at: Timestamp,
    /// How many times it was written: no write is lost to another one that was decided on the same row.
    pub version: u64,
    /// What is known of the user: a JSON object, opaque to the store.
    pub attributes: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("subject", &self.subject)
            .field("disabled_at", &self.disabled_at)
            .finish_non_exhaustive()
    }
}

/// A browser's login session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// A keyed hash of its cookie: the cookie itself is never stored.
    pub id: [u8; 32],
    /// The id that it had when it began: stays when the user logs in again, and names the session to everybody else.
    pub root: [u8; 32],
    /// Who logged in.
    pub subject: String,
    /// When.
    pub authenticated_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How strong the login was (OpenID Connect Core section 2).
    pub acr: String,
    /// By what the user logged in, space-separated (RFC 8176).
    pub amr: String,
    /// What else was said of the login, for ID tokens: a JSON object in one line, or nothing.
    pub claims: String,
}

/// What a user allowed a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// The user.
    pub subject: String,
    /// The client.
    pub client: String,
    /// Scopes, space-separated.
    pub scope: String,
    /// Resources, space-separated.
    pub resources: String,
    /// When.
    pub at: Timestamp,
    /// Since when the user has paused the client.
    pub paused_at: Option<Timestamp>,
    /// When it ends, if the user said so.
    pub ends_at: Option<Timestamp>,
}

impl Consent {
    /// What it means for a grant of a user who is in order.
    #[must_use]
    pub const fn status(&self) -> SubjectStatus {
        Self::said(self.paused_at, self.ends_at)
    }

    /// The same of the two times alone.
    pub(crate) const fn said(paused_at: Option<Timestamp>, ends_at: Option<Timestamp>) -> SubjectStatus {
        match (paused_at, ends_at) {
            (Some(_), _) => SubjectStatus::Paused,
            (None, Some(end)) => SubjectStatus::Until(end),
            (None, None) => SubjectStatus::Enabled,
        }
    }
}

/// The deployment's own row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// Its identity.
    pub id: DeploymentId,
    /// Proves that a root key belongs to it.
    pub root_check: [u8; 16],
    /// How many restores it has seen.
    pub era: u16,
    /// The first grant number that is not reserved.
    pub next_grant: u64,
    /// The last recovery, if there was one.
    pub recovery: Option<Recovery>,
}

/// The store cannot answer now; nothing of what was asked has happened. The client hears 503.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{cause}: {detail}")]
pub struct Unavailable {
    /// What kind of trouble.
    pub cause: Cause,
    /// The engine's own words, for the log.
    pub detail: String,
}

/// Kinds of trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Cause {
    /// No space is left.
    #[error("the disk is full")]
    Full,
    /// The file cannot be written.
    #[error("the database is read-only")]
    ReadOnly,
    /// Somebody else holds it.
    #[error("the database is locked by another process")]
    Locked,
    /// The device failed before anything was made durable: nothing of the batch has happened, or will be found later.
    #[error("the device failed")]
    Io,
    /// The device failed under COMMIT or in a checkpoint: what it holds is unknown until the store is opened anew, and nothing may
    /// be written behind it before.
    #[error("the device failed while it was written; what it holds is unknown until the store is opened anew")]
    Device,
    /// The database's server cannot be reached, or cannot be written: nothing of the batch has happened.
    #[error("the database cannot be reached")]
    Unreachable,
    /// The answer to COMMIT was lost, and the store can be read: whether the rows are there is a question of reading them.
    #[error("the answer to a commit was lost")]
    Unknown,
    /// The clock jumped further than any clock should: nothing is decided at such a time. Only the engine says this.
    #[error("the clock is not plausible")]
    Clock,
    /// It is committed, and the revocation journal does not have it. Only the engine says this.
    #[error("it is done, and the revocation journal does not have it")]
    Unkept,
    /// What was read cannot have been written by us.
    #[error("the database is damaged")]
    Damaged,
}
