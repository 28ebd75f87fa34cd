//! How many connections there are, of everybody and of each address: one stranger cannot take all seats, and all strangers
//! together cannot take those of the store's files.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config::proxies::Network;

/// How many seats each address has.
type Taken = Arc<Mutex<HashMap<Network, usize>>>;

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
    of: Option<(Taken, Network)>,
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

    /// Done when this connection's seat is wanted. In the order of asking.
    pub(super) fn wanted(&self) -> impl Future<Output = ()> {
        self.wanted.notified()
    }

    /// Sits down, unless the address has `most` seats already. An address is an IPv4 address or an IPv6 network of 64 bits,
    /// which is what one customer of a provider has. Proxies, who come for many, are not counted.
    pub(super) fn sit(&self, permit: OwnedSemaphorePermit, address: IpAddr, most: Option<usize>) -> Option<Seat> {
        let Some(most) = most else { return Some(Seat { _permit: permit, of: None }) };
        let network = Network::around(address, 32, 64);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat { _permit: permit, of: Some((Arc::clone(&self.taken), network)) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((taken, network)) = self.of.take() else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&network);
            }
        }
    }
}
