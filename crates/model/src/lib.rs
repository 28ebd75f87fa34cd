//! The small worlds, exhaustively: every order in which workers, a thief, a lossy network, a crashing server and time can act
//! on one grant, within small numbers, driven through the core's own `decide` functions.
//!
//! | part        | what it may do                                                                              |
//! |-------------|---------------------------------------------------------------------------------------------|
//! | workers     | one or two honest ones with one token store, which each reads again before it asks          |
//! | thief       | copies the store once or twice, at any instant, and presents what he has whenever he likes  |
//! | network     | loses and doubles requests and answers, and delays each for less than 30 s                  |
//! | server      | loads a row, decides, commits by compare-and-set; crashes before or after the commit        |
//! | operator    | revokes the grant; restores the store from an older copy, and recovers (security 4.4)       |
//! | time        | passes in steps that tell the core's limits apart (5 s, 30 s, 60 s)                         |
//!
//! Breadth first, so that the first violation found has the shortest way to it. What is checked in every state: [`Law`].
//! Planted [`Fault`]s prove that the search finds what it is for.

use regrant_core::recovery::Unproven;

mod bench;
mod known;
mod laws;
mod packed;
mod report;
mod saved;
mod search;
mod state;
mod step;

pub use laws::Law;
pub use report::{Counters, Report, Violation};
pub use saved::program;
pub use search::{Search, run};

/// What the honest client can prove, and so which retry rule it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A key at each refresh; the thief has not got it.
    Key,
    /// A client secret; the thief is another client.
    Secret,
    /// A public client with an `Idempotency-Key`; the thief copies it too, if it is there when he comes.
    IdempotencyKey,
    /// A public client with nothing but its token.
    Plain,
}

impl Holder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Key, Self::Secret, Self::IdempotencyKey, Self::Plain];

    /// Whether the token alone is no use to a thief.
    #[must_use]
    pub const fn is_bound(self) -> bool {
        matches!(self, Self::Key | Self::Secret)
    }
}

/// Ways to get it wrong, as others did: each wraps the core's function, and the search must find what comes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The row is written as it was decided, whatever was committed in between.
    ReadThenWrite,
    /// The row is compared only where something is written: an uncounted retry is answered from a row that was read earlier.
    AnswerUncompared,
    /// The predecessor of the live token is answered for ever.
    RetryWithoutBound,
    /// A spent token ends its grant before anybody asks whose it is.
    RevokeBeforeClient,
    /// A predecessor is never answered: each token works once, and a lost answer is a lost session.
    NoRetry,
    /// A retry is answered with a new successor instead of the same one.
    RetryBranches,
    /// After a restore the revocation journal is not replayed.
    JournalForgotten,
    /// After a restore the era is what it was: nobody has opened a recovery.
    EraKept,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ReadThenWrite,
        Self::AnswerUncompared,
        Self::RetryWithoutBound,
        Self::RevokeBeforeClient,
        Self::NoRetry,
        Self::RetryBranches,
        Self::JournalForgotten,
        Self::EraKept,
    ];
}

/// Whether a search goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// It does.
    On,
    /// It is put aside.
    Pause,
}

/// A world's size. Each number is a budget for the whole of one history.
#[derive(Clone, Debug)]
pub struct Options {
    /// The honest client.
    pub holder: Holder,
    /// How many honest workers share its store: 1 or 2.
    pub workers: u8,
    /// Whether somebody copies the store.
    pub thief: bool,
    /// How often he does, if he does.
    pub thefts: u8,
    /// Whether the history begins with an authorization code; else with the first refresh token.
    pub from_code: bool,
    /// Nobody asks for a generation beyond this.
    pub generations: u8,
    /// Messages lost.
    pub losses: u8,
    /// Messages doubled.
    pub doubles: u8,
    /// Crashes of the server.
    pub crashes: u8,
    /// Revocations by an operator.
    pub revocations: u8,
    /// Restores from a copy that was taken at any instant before: 0 or 1. Whatever is under way then is lost, the era steps, and the
    /// revocation journal is replayed, as `regrant restore` and `regrant recover` do.
    pub rollbacks: u8,
    /// What the operator decides of holders that prove no key.
    pub unproven: Unproven,
    /// Time passes in steps of this many seconds, and of 60. The stories of the core know the limits to the millisecond; here
    /// 15 s tells all of them apart (5 s, 30 s, 60 s) with the fewest states.
    pub tick: u8,
    /// Messages under way at once: at most 4.
    pub slots: u8,
    /// What is wrong with the server; `None` is the core as it is.
    pub fault: Option<Fault>,
    /// The search stops after this many distinct states.
    pub states: u64,
}

impl Options {
    /// A world that is searched to its end in about a second.
    #[must_use]
    pub const fn small(holder: Holder) -> Self {
        Self {
            workers: 1,
            generations: 3,
            losses: 1,
            doubles: 1,
            crashes: 1,
            revocations: 0,
            slots: 2,
            states: u64::MAX,
            ..Self::new(holder)
        }
    }

    /// A world that nobody has seen the end of: more generations, losses, crashes and messages at once (as many nodes may have loaded the row), a
    /// thief who comes twice, and a restore.
    #[must_use]
    pub const fn large(holder: Holder) -> Self {
        Self {
            thefts: 2,
            generations: 6,
            losses: 3,
            doubles: 2,
            crashes: 2,
            rollbacks: 1,
            slots: 4,
            states: 100_000_000,
            ..Self::new(holder)
        }
    }

    /// A world of moderate size with everything in it.
    #[must_use]
    pub const fn new(holder: Holder) -> Self {
        Self {
            holder,
            workers: 2,
            thief: true,
            thefts: 1,
            from_code: false,
            generations: 4,
            losses: 2,
            doubles: 1,
            crashes: 1,
            revocations: 1,
            rollbacks: 0,
            unproven: Unproven::End,
            tick: 15,
            slots: 3,
            fault: None,
            states: 1_000_000,
        }
    }
}

/// How often, at most, a thief of this class is answered with a token and the honest client goes on unharmed afterwards, so
/// that nobody notices. A result equal to `generations - 1` means that the bound of the search was the limit, not the rule.
#[must_use]
pub fn thief_rides(holder: Holder, generations: u8) -> u32 {
    let options = Options { generations, doubles: 0, crashes: 0, ..Options::small(holder) };
    run(&options, &mut |_| {}).rides
}
