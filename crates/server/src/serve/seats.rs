//! How many connections there are, of everybody and of each address: one stranger cannot take all seats, and all strangers
//! together cannot take those of the store's files.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::limits::prefix::Prefix;

/// How many seats each address has, and how those who sit there are told that one of theirs is wanted.
type Taken = Arc<Mutex<HashMap<Prefix, Row>>>;

#[derive(Debug, Default)]
struct Row {
    count: usize,
    wanted: Arc<Notify>,
}

/// All seats.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Taken,
    /// Tells the connection that has waited longest without a request that its seat is wanted.
    wanted: Arc<Notify>,
}

/// A seat, taken until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    of: Option<(Taken, Prefix)>,
    /// Everybody's, and its row's.
    wanted: (Arc<Notify>, Option<Arc<Notify>>),
}

impl Seat {
    /// Done when this connection's seat is wanted. In the order of asking.
    pub(super) async fn wanted(&self) {
        match &self.wanted {
            (all, None) => all.notified().await,
            (all, Some(row)) => tokio::select! {
                () = all.notified() => {}
                () = row.notified() => {}
            },
        }
    }
}

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { free, taken: Arc::default(), wanted: Arc::default() }
    }

    /// A free seat. Where there is none, whoever has waited longest without a request is asked to leave.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        if let Some(permit) = self.free_now() {
            return permit;
        }
        self.wanted.notify_one();
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(permit) => permit,
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    /// A free seat, if there is one.
    pub(super) fn free_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Sits down. An address is what limits take for one party ([`Prefix`]); proxies, who come for many, are not counted. Where
    /// an address has `most` seats already, whoever of it has waited longest without a request is asked to leave for the
    /// newcomer, so that a stranger behind the same address cannot shut it out; only one that keeps many requests under way is
    /// refused more, at a quarter above.
    pub(super) fn sit(&self, permit: OwnedSemaphorePermit, address: IpAddr, most: Option<usize>) -> Option<Seat> {
        let all = Arc::clone(&self.wanted);
        let Some(most) = most else { return Some(Seat { _permit: permit, of: None, wanted: (all, None) }) };
        let network = Prefix::around(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let row = taken.entry(network).or_default();
        if row.count >= most {
            row.wanted.notify_one();
            if row.count >= most + most.div_ceil(4) {
                return None;
            }
        }
        row.count += 1;
        let wanted = (all, Some(Arc::clone(&row.wanted)));
        drop(taken);
        Some(Seat { _permit: permit, of: Some((Arc::clone(&self.taken), network)), wanted })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((taken, network)) = self.of.take() else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = taken.get_mut(&network) {
            row.count -= 1;
            if row.count == 0 {
                taken.remove(&network);
            }
        }
    }
}
