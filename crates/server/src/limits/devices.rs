//! Devices: how many codes, how many guesses at what they show, and how often they ask (RFC 8628 sections 3.5, 5.1 and 5.2).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regrant_core::device::{LIFETIME, Pace, Soon};
use regrant_core::{Client, GrantId};
use regrant_store::MOST_DEVICE_REQUESTS;

use super::Limits;
use super::budget::{Budget, over};
use super::gcra::Wait;
use super::prefix::Prefix;
use crate::answer::Failure;
use crate::config::Rate;
use crate::peer::Peer;

/// When each device asked last. Only those are in it that wait for an answer, of which the store keeps no more than so many. A
/// restart forgets it: devices then begin at the interval that they were told.
#[derive(Debug, Default)]
pub(super) struct Polls(Mutex<HashMap<u64, Pace>>);

impl Limits {
    /// A device asks whether somebody has answered.
    pub(crate) fn poll(&self, grant: GrantId) -> Soon {
        let now = self.now();
        let mut polls = self.polls.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = usize::try_from(MOST_DEVICE_REQUESTS).unwrap_or(usize::MAX);
        if polls.len() >= most && !polls.contains_key(&grant.number) {
            polls.retain(|_, pace| now.saturating_sub(pace.asked()) < LIFETIME);
            if polls.len() >= most {
                return Soon::Yes;
            }
        }
        let Some(known) = polls.get_mut(&grant.number) else {
            polls.insert(grant.number, Pace::begin(now));
            return Soon::No;
        };
        let (next, soon) = known.again(now);
        *known = next;
        soon
    }

    /// A device code is asked for: each is a row (check X9). A public client proves nothing by its name.
    pub(crate) fn device_code(&self, rate: Rate, client: &Client, peer: Peer) -> Result<(), Failure> {
        let taken = if client.is_public() {
            let Some(prefix) = Prefix::of(peer) else { return Ok(()) };
            self.strangers.take(("device", prefix), rate, self.now())
        } else {
            self.known.take(("device", client.id.as_str()), rate, self.now())
        };
        taken.map_err(over(Budget::Devices))
    }

    /// A user entered a code that no device shows (check B5).
    pub(crate) fn wrong_user_code(&self, rate: Rate, subject: &str, peer: Peer) {
        let _ = self.known.take(("user code", subject), rate, self.now());
        if let Some(prefix) = Prefix::of(peer) {
            let _ = self.strangers.take(("user code", prefix), rate, self.now());
        }
    }

    /// Before a user code is looked up: how long to wait, where too many wrong ones were entered. Where the network has entered too many, only
    /// those wait who entered one of them, of whom none is forgotten yet: a neighbour with the right code gets in.
    pub(crate) fn before_a_user_code(&self, rate: Rate, subject: &str, peer: Peer) -> Result<(), Duration> {
        let (own, now) = (("user code", subject), self.now());
        self.known.look(own, rate, now).map_err(|Wait(wait)| wait)?;
        let Some(prefix) = Prefix::of(peer) else { return Ok(()) };
        let Err(Wait(of_network)) = self.strangers.look(("user code", prefix), rate, now) else { return Ok(()) };
        // All of the budget at once is there for whoever has not used any of it.
        let whole = Rate { amount: 1, ..rate };
        self.known.look(own, whole, now).map_err(|Wait(of_own)| of_own.min(of_network))
    }
}
