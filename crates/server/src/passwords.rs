//! Passwords: Argon2id in a pool of few threads with a bounded queue (RFC 9106).
//!
//! One verification takes 19 MiB and a whole core for tens of milliseconds, so the pool bounds both: at most
//! [`THREADS`] at once, at most [`MAX_WAITING`] in the queue; beyond that the caller is told to come again. An unknown user
//! costs the same work as a known one, so that the answer's time does not tell who exists. One place, a network for instance,
//! has an eighth of the queue at most, so that it cannot fill it for all (check X6).
//!
//! A hash that another server made (see [`Stored`]) is verified at its own cost, and made anew with ours at the first login
//! that it lets in. Until then its cost, if it differs from ours, is visible in the time of an answer: `docs/users.md` says
//! what that tells.

mod memory;
mod stored;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::chance;
use crate::limits::guessing::Place;
use crate::metrics::{PasswordPlace, PasswordQueue};
use memory::Memory;

pub(crate) use stored::{MAX_HASH_LEN, Stored};

/// How many verifications run at once: 38 MiB, which are kept once they were needed.
pub(crate) const THREADS: usize = 2;
/// How many may wait.
pub(crate) const MAX_WAITING: usize = 64;
/// The longest password that is read, in bytes.
pub(crate) const MAX_PASSWORD_LEN: usize = 1024;

/// m = 19 MiB, t = 2, p = 1: the smaller recommendation of OWASP, about 20 ms of one core.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;

/// Verifies and hashes passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    jobs: mpsc::SyncSender<Job>,
    /// How many jobs of each place wait or run: as many entries as there are jobs at most.
    shares: Arc<Mutex<HashMap<Place, usize>>>,
    /// What no password is known to fit, for users that are not there.
    decoy: Arc<Stored>,
    waiting: PasswordQueue,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

/// No password is looked at now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Busy {
    /// The queue is full: the client hears 503 with `Retry-After`.
    Full,
    /// This place has its share of it: the client hears 429.
    Share,
}

struct Job {
    password: Zeroizing<String>,
    /// The hash to compare with; `None` makes a new one.
    hash: Option<Stored>,
    reply: oneshot::Sender<Done>,
    /// Counted until it is done.
    place: PasswordPlace,
    /// Held as long, also where nobody waits for the answer any more: who goes away leaves his job in the queue.
    _share: Option<Share>,
}

enum Done {
    Verified(bool),
    Hashed(Option<String>),
}

impl Passwords {
    /// Starts the pool.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(waiting: PasswordQueue) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(MAX_WAITING);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("regrant-argon2-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, shares: Arc::default(), decoy: Arc::new(Stored::decoy()), waiting })
    }

    /// Whether this is the password of `hash`. `None`, and a text that is no hash, do the same work for nothing and answer no.
    ///
    /// # Errors
    /// [`Busy`] if too many wait.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<&str>,
        place: &Place,
    ) -> Result<bool, Busy> {
        let share = Share::take(&self.shares, place)?;
        let stored = hash.and_then(|text| Stored::read(text).ok());
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| Stored::clone(&self.decoy));
        match self.run(password, Some(stored), Some(share)).await? {
            Done::Verified(fits) => Ok(fits && known),
            Done::Hashed(_) => Err(Busy::Full),
        }
    }

    /// The PHC string of a new password.
    ///
    /// # Errors
    /// [`Busy`] if too many wait.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Busy> {
        match self.run(password, None, None).await? {
            Done::Hashed(Some(hash)) => Ok(hash),
            Done::Hashed(None) | Done::Verified(_) => Err(Busy::Full),
        }
    }

    async fn run(&self, password: Zeroizing<String>, hash: Option<Stored>, share: Option<Share>) -> Result<Done, Busy> {
        let (reply, done) = oneshot::channel();
        let job = Job { password, hash, reply, place: self.waiting.enter(), _share: share };
        self.jobs.try_send(job).inspect_err(|_| self.waiting.refused()).map_err(|_| Busy::Full)?;
        done.await.map_err(|_| Busy::Full)
    }
}

/// One of the places in the queue that a place has; given back when it is dropped.
struct Share {
    shares: Arc<Mutex<HashMap<Place, usize>>>,
    place: Place,
}

impl Share {
    fn take(shares: &Arc<Mutex<HashMap<Place, usize>>>, place: &Place) -> Result<Self, Busy> {
        let mut held = shares.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(place).copied().unwrap_or(0);
        if count >= place.share(MAX_WAITING) {
            return Err(Busy::Share);
        }
        held.insert(place.clone(), count + 1);
        drop(held);
        Ok(Self { shares: Arc::clone(shares), place: place.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.place);
            }
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    let mut memory = Memory::default();
    loop {
        // The lock is held while waiting, not while working.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.reply.is_closed() {
            continue;
        }
        let done = match &job.hash {
            Some(known) => Done::Verified(known.fits(job.password.as_bytes(), &mut memory)),
            None => Done::Hashed(hash(&job.password, &mut memory)),
        };
        drop(job.place);
        let _ = job.reply.send(done);
    }
}

/// The PHC string of a new password.
fn hash(password: &Zeroizing<String>, memory: &mut Memory) -> Option<String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_LEN)).ok()?;
    let (salt, mut out) = (chance::bytes::<SALT_LEN>(), [0_u8; HASH_LEN]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    memory.hash(&argon2, password.as_bytes(), &salt, &mut out).ok()?;
    let (salt, out) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(out));
    Some(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${out}"))
}

#[cfg(test)]
mod tests;
