//! Limits: who may ask how often, such that no stranger can use up what somebody honest needs.
//!
//! | what                          | counted by                        | where               | who is over it hears        |
//! |-------------------------------|-----------------------------------|---------------------|-----------------------------|
//! | a failed log-in               | account and network, or browser   | the store           | 429, and how long to wait   |
//! | a failed log-in               | network                           | the store           | 429                         |
//! | a failed log-in               | account                           | the store           | one attempt per network     |
//! | a wrong client secret         | client and network                | memory              | 429 in place of 401         |
//! | a request that proves nothing | network                           | memory              | 429 in place of its error   |
//! | a wrong assertion             | client and network; network, of clients that registered themselves | memory | 429, where its network has failed too often |
//! | a genuine token               | its grant, per client             | memory              | 429, the queue is not asked |
//! | a proved client               | the client                        | memory              | 429                         |
//! | an authorization code         | user                              | memory              | `temporarily_unavailable`   |
//! | a registration                | network                           | memory              | 429                         |
//! | a change of one               | client, and network               | memory              | 429                         |
//! | a device code                 | network; or client, if it proved itself | memory        | 429                         |
//! | a wrong user code             | user; where there are many from a network, one for each user there | memory | 429, and how long to wait |
//! | a device that asks too often  | its code                          | memory              | `slow_down`                 |
//! | a password being verified     | network, browser or client        | the pool            | 429                         |
//! | a line in the log             | kind                              | memory              | a count takes its place     |
//!
//! Nothing that succeeds is ever counted by network, but registrations, which a session never needs: a flood from behind the same
//! address costs an honest client nothing.

pub(crate) mod budget;
pub(crate) mod devices;
mod gcra;
pub(crate) mod guessing;
pub(crate) mod known_browser;
pub(crate) mod prefix;

use std::time::Duration;

use crate::clock::Clock;
use gcra::Gcra;

/// What the limits remember in memory: constant in size.
#[derive(Debug)]
pub(crate) struct Limits {
    clock: Clock,
    /// By keys that anybody can have as many of as he likes.
    strangers: Gcra,
    /// By keys that only we give out, so that no stranger can push them out.
    known: Gcra,
    left_out: budget::LeftOut,
    attempts: guessing::Attempts,
    polls: devices::Polls,
}

impl Limits {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            strangers: Gcra::new(),
            known: Gcra::new(),
            left_out: budget::LeftOut::default(),
            attempts: guessing::Attempts::default(),
            polls: devices::Polls::default(),
        }
    }

    /// The time of what is counted in memory: it goes on where the date stands still (check X14).
    fn now(&self) -> Duration {
        self.clock.ran()
    }
}
