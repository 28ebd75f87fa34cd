//! What can be asked of a store beside its grants, and what it answers.

use regrant_core::access::AccessToken;
use regrant_core::{Covered, Epoch, Timestamp};

use crate::beside::{DeadLetter, Delivery, Places};
use crate::{
    ChainEnds, Consent, Deployment, DeviceRequest, EventFilter, Failures, KeyKind, KeyRecord, Loaded, LogoutNotice,
    RegistrationToken, Revocation, Session, StoredEvent, User,
};

/// A question about small things.
#[derive(Clone, Debug)]
pub enum Question {
    /// The deployment's row.
    Deployment,
    /// All clients.
    Clients,
    /// The client of this identifier, if there is one; answered with [`Answer::Clients`].
    Client(String),
    /// The user of this name.
    UserByName(String),
    /// The user of this subject.
    UserBySubject(String),
    /// Users in order of name, after this name, at most this many.
    Users {
        /// The last name of the page before; empty for the first.
        after: String,
        /// The size of the page.
        limit: u32,
    },
    /// The session of this id.
    Session([u8; 32]),
    /// The clients that were logged in to in the session of this root, in order.
    Logins([u8; 32]),
    /// Logouts that clients are to hear of, in order.
    LogoutNotices {
        /// Of this client.
        client: String,
        /// The most to return.
        limit: u32,
    },
    /// The clients that are to hear of logouts, in order, after this one.
    LogoutClients {
        /// The last of the page before; empty for the first.
        after: String,
        /// The most to return.
        limit: u32,
    },
    /// What the device asked for whose grant will be of this number.
    DeviceRequest(u64),
    /// What the device asked for that shows the user code of this hash.
    DeviceRequestByUserCode([u8; 32]),
    /// What this user allowed this client.
    Consent {
        /// The user.
        subject: String,
        /// The client.
        client: String,
    },
    /// Everything that this user allowed, in order of client.
    ConsentsOf(String),
    /// What happened to this user, newest first: answered like [`Question::Events`].
    EventsOf {
        /// The user.
        subject: String,
        /// At a smaller position.
        before: u64,
        /// The size of the page.
        limit: u32,
    },
    /// Whether the access token of this hashed `jti` is denied.
    AccessDenied([u8; 32]),
    /// Whether this was used once, and is not over yet.
    UsedOnce {
        /// A hash of what it is.
        key: [u8; 32],
        /// Now.
        now: Timestamp,
    },
    /// The failed log-ins under these hashes, in the order asked.
    Failures(Vec<[u8; 32]>),
    /// All keys of a kind in order of id, those that are gone included.
    Keys(KeyKind),
    /// Grants in order of number.
    Grants {
        /// Only of this client.
        client: Option<String>,
        /// Only of this user.
        subject: Option<String>,
        /// After this number.
        after: u64,
        /// The size of the page.
        limit: u32,
    },
    /// How many wide revocations there ever were, and those that are left.
    Epochs,
    /// Which wide revocation covers this access token, which belongs to no grant.
    CoveredAccess(Box<AccessToken>),
    /// Events, newest first.
    Events {
        /// Only of this grant.
        grant: Option<u64>,
        /// The most to return.
        limit: u32,
    },
    /// What resource servers must hear of, in order.
    Revocations {
        /// After this position.
        after: u64,
        /// The size of the page.
        limit: u32,
    },
    /// Events that fit, newest first: answered like [`Question::Events`].
    FindEvents(EventFilter),
    /// Events behind this position, in order: answered like [`Question::Events`].
    EventsAfter {
        /// The position.
        after: u64,
        /// The most to return.
        limit: u32,
    },
    /// The ends of the chain of events.
    Chain,
    /// Where this grant was made and used.
    Places(u64),
    /// How far each delivery has come.
    Deliveries,
    /// What could not be delivered to this recipient, in order of position.
    DeadLetters {
        /// The recipient.
        to: String,
        /// The most to return.
        limit: u32,
    },
    /// The tokens with which clients can be registered: all, or the one of this hash. The oldest first.
    RegistrationTokens(Option<[u8; 32]>),
    /// How often that was changed of which whoever asks keeps a copy.
    Changes,
}

/// Counts that rise with each change, by whichever node. In a store that nobody shares they stand still: whoever changes something there
/// knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Of clients.
    pub clients: u64,
    /// Of keys.
    pub keys: u64,
    /// The era.
    pub era: u16,
    /// The position of the newest event.
    pub events: u64,
    /// The number of the newest logout that somebody is to hear of.
    pub notices: u64,
}

/// The answer to a [`Question`], of the same name.
#[derive(Clone, Debug)]
pub enum Answer {
    /// `None` in a fresh store.
    Deployment(Option<Deployment>),
    /// Id and definition.
    Clients(Vec<(String, String)>),
    /// To both questions for one user.
    User(Option<User>),
    /// A page.
    Users(Vec<User>),
    /// Whether or not it has ended.
    Session(Option<Session>),
    /// Their identifiers.
    Logins(Vec<String>),
    /// A page.
    LogoutNotices(Vec<LogoutNotice>),
    /// A page.
    LogoutClients(Vec<String>),
    /// To both questions for one; it may be over.
    DeviceRequest(Option<DeviceRequest>),
    /// What was remembered.
    Consent(Option<Consent>),
    /// All of a user's.
    Consents(Vec<Consent>),
    /// Denied or not.
    AccessDenied(bool),
    /// Whether it was.
    UsedOnce(bool),
    /// `None` where there are none; they may be forgotten by now.
    Failures(Vec<Option<Failures>>),
    /// A page.
    Revocations(Vec<Revocation>),
    /// With their wrapped bytes, where they have any.
    Keys(Vec<KeyRecord>),
    /// In order of number.
    Epochs {
        /// The number of the newest that there ever was.
        counter: u64,
        /// Those that are left.
        epochs: Vec<Epoch>,
    },
    /// `None` if it is not covered.
    CoveredAccess(Option<Covered>),
    /// A page.
    Grants(Vec<Loaded>),
    /// A page.
    Events(Vec<StoredEvent>),
    /// Of all events.
    Chain(ChainEnds),
    /// `None` if nobody has said.
    Places(Option<Places>),
    /// One for each recipient that ever was.
    Deliveries(Vec<Delivery>),
    /// A page.
    DeadLetters(Vec<DeadLetter>),
    /// Used up and expired ones too, until they are swept.
    RegistrationTokens(Vec<RegistrationToken>),
    /// Of this moment.
    Changes(Changes),
}
