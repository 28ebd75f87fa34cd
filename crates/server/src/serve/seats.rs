//! How many connections there are, of everybody and of each address: one stranger cannot take all seats, and all strangers
//! together cannot take those of the store's files. Where a seat is wanted, whoever has waited longest without a request is asked
//! to leave; who has a request under way never is.
//!
//! | a connection  | stands in the lists                      | until                                            |
//! |---------------|------------------------------------------|--------------------------------------------------|
//! | `Waits`       | by a time that is not later than its last request | it is asked, or found at work           |
//! | `Works`       | not                                      | its last request ends                            |
//! | `Asked`       | not                                      | it is gone; or it has begun a request, and passes the wish on |
//!
//! A request costs no list anything. Only who looks for the longest wait looks at the connection itself, and puts it where it
//! belongs: each of these steps is paid for by a request that came since the last one.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::pace::Pace;
use crate::limits::prefix::Prefix;

/// How long somebody who was asked may take to leave before the next one is asked, too: an HTTP/2 client is told beforehand.
const PATIENCE: Duration = Duration::from_millis(50);

/// All seats.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    room: Arc<Mutex<Room>>,
}

/// Who sits where.
#[derive(Debug, Default)]
struct Room {
    seated: HashMap<u64, Seated>,
    all: List,
    rows: HashMap<Prefix, Row>,
    /// How many listeners have no seat for the next connection.
    listeners: usize,
    next: u64,
}

/// The seats of one address.
#[derive(Debug, Default)]
struct Row {
    list: List,
    count: usize,
    most: usize,
}

/// Who could leave.
#[derive(Debug, Default)]
struct List {
    /// Who waits for a request, the longest first.
    waiting: BTreeSet<(Instant, u64)>,
    /// How many have been asked.
    asked: usize,
}

#[derive(Debug)]
struct Seated {
    place: Arc<Place>,
    of: Option<Prefix>,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Waits(Instant),
    Works,
    Asked,
}

/// A seat, taken until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    place: Arc<Place>,
}

/// Where a connection sits, and what it does there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) pace: Pace,
    number: u64,
    wanted: Notify,
    room: Arc<Mutex<Room>>,
}

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { free, room: Arc::default() }
    }

    /// A free seat. Where there is none, whoever has waited longest without a request is asked to leave; where all are at work,
    /// whoever is done first.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        if let Some(permit) = self.free_now() {
            return permit;
        }
        let _listening = Listening::begin(&self.room);
        loop {
            enter(&self.room).ask(None);
            match timeout(PATIENCE, Arc::clone(&self.free).acquire_owned()).await {
                Ok(Ok(permit)) => return permit,
                // Nobody closes the semaphore.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => {}
            }
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
        let of = most.map(|_| Prefix::around(address));
        let mut room = enter(&self.room);
        if let (Some(of), Some(most)) = (of, most) {
            let row = room.rows.entry(of).or_default();
            row.most = most;
            if row.count >= most + most.div_ceil(4) {
                room.make_room(Some(of));
                return None;
            }
            row.count += 1;
            room.make_room(Some(of));
        }
        let number = room.next;
        room.next += 1;
        let now = Instant::now();
        let (pace, room_of_all) = (Pace::new(now), Arc::clone(&self.room));
        let place = Arc::new(Place { pace, number, wanted: Notify::new(), room: room_of_all });
        room.seated.insert(number, Seated { place: Arc::clone(&place), of, standing: Standing::Works });
        room.stand(number, Standing::Waits(now));
        drop(room);
        Some(Seat { _permit: permit, place })
    }
}

impl Seat {
    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Done when this connection's seat is wanted.
    pub(super) async fn wanted(&self) {
        self.place.wanted.notified().await;
    }

    /// It was asked, and has a request under way: another one is asked in its place.
    pub(super) fn pass_on(&self) {
        enter(&self.place.room).settle(self.place.number, Standing::Asked);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut room = enter(&self.place.room);
        room.stand(self.place.number, Standing::Works);
        let Some(Seated { of: Some(of), .. }) = room.seated.remove(&self.place.number) else { return };
        if let Some(row) = room.rows.get_mut(&of) {
            row.count -= 1;
            if row.count == 0 {
                room.rows.remove(&of);
            }
        }
    }
}

impl Place {
    /// A request has ended. Who was found at work waits again.
    pub(super) fn ended(&self) {
        if self.pace.end(Instant::now()) {
            enter(&self.room).settle(self.number, Standing::Works);
        }
    }
}

impl Room {
    /// Asks whoever has waited longest, of everybody or of a row.
    fn ask(&mut self, of: Option<Prefix>) {
        loop {
            let list = match of {
                None => Some(&self.all),
                Some(of) => self.rows.get(&of).map(|row| &row.list),
            };
            let Some(&(since, number)) = list.and_then(|list| list.waiting.first()) else { return };
            let Some(place) = self.seated.get(&number).map(|seated| Arc::clone(&seated.place)) else { return };
            match place.pace.waits_since() {
                Some(last) if last == since => {
                    self.stand(number, Standing::Asked);
                    place.wanted.notify_one();
                    return;
                }
                later => self.stand(number, later.map_or(Standing::Works, Standing::Waits)),
            }
        }
    }

    /// Asks one of those who wait, if there are more connections than there should be, without those who have been asked.
    fn make_room(&mut self, of: Option<Prefix>) {
        if self.listeners > self.all.asked {
            self.ask(None);
        }
        if of.and_then(|of| self.rows.get(&of)).is_some_and(|row| row.count > row.most + row.list.asked) {
            self.ask(of);
        }
    }

    /// Lets a connection that stood elsewhere stand where it belongs now, and asks for the seat that is still wanted.
    fn settle(&mut self, number: u64, before: Standing) {
        let Some(seated) = self.seated.get(&number).filter(|seated| seated.standing == before) else { return };
        let (since, of) = (seated.place.pace.waits_since(), seated.of);
        self.stand(number, since.map_or(Standing::Works, Standing::Waits));
        self.make_room(of);
    }

    fn stand(&mut self, number: u64, standing: Standing) {
        let Some(seated) = self.seated.get_mut(&number) else { return };
        let before = std::mem::replace(&mut seated.standing, standing);
        let row = seated.of.and_then(|of| self.rows.get_mut(&of));
        for list in [Some(&mut self.all), row.map(|row| &mut row.list)].into_iter().flatten() {
            match before {
                Standing::Waits(since) => drop(list.waiting.remove(&(since, number))),
                Standing::Asked => list.asked -= 1,
                Standing::Works => {}
            }
            match standing {
                Standing::Waits(since) => drop(list.waiting.insert((since, number))),
                Standing::Asked => list.asked += 1,
                Standing::Works => {}
            }
        }
    }
}

/// A listener without a seat, until it is dropped.
struct Listening<'a>(&'a Mutex<Room>);

impl<'a> Listening<'a> {
    fn begin(room: &'a Mutex<Room>) -> Self {
        enter(room).listeners += 1;
        Self(room)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        enter(self.0).listeners -= 1;
    }
}

fn enter(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}
