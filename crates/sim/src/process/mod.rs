//! The real thing, as an operator has it: a directory with a configuration, a root key and a store; a process; signals.
//!
//! What a test of the whole process needs and a test over [`World`](crate::wire::World) does not: [`Home`] is a deployment on
//! disk, [`Server`] a running `regrant`, [`Inside`] the same server opened within this process, on the same files.

mod home;
mod inside;
mod server;

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use home::Home;
pub(crate) use home::UNLIMITED;
pub use inside::Inside;
pub use server::{Refused, Server, regrant};

use crate::wire::{SECRET, http};

/// A directory of its own, removed with everything in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh one in the system's temporary directory.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    /// The same in memory, where there is a place for that: for files of which nothing has to outlive the machine.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn in_memory(name: &str) -> Self {
        let shared = Path::new("/dev/shm");
        if shared.is_dir() { Self::within(shared, name) } else { Self::new(name) }
    }

    fn within(place: &Path, name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("regrant-{name}-{}-{count}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Chance that can be had again: SplitMix64 from a seed.
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `times`.
    pub const fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

/// A seed that nobody chose, to be printed.
#[must_use]
pub fn fresh_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// Lets real time pass: processes have no virtual clock.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Whether a test may say that it cannot run here. Under CI nothing is skipped.
///
/// # Panics
/// If `CI=true`.
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} cannot run here, and CI skips nothing: {why}");
    println!("skipped: {what}: {why}");
}

/// Who a client of [`CONFIG`](crate::wire::CONFIG) is, and how it proves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Public, nothing but its token: `phone`.
    Plain,
    /// The same with an `Idempotency-Key`: `phone`.
    Keyed,
    /// `client_secret_basic`, single use: `web-single`.
    SingleUse,
    /// `client_secret_post`, reusable: `web`.
    Reusable,
}

/// Parameters and headers.
pub type Asked<'a> = (Vec<(&'a str, &'a str)>, Vec<(&'static str, String)>);

impl Holder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Keyed, Self::SingleUse, Self::Reusable];

    /// Its `client_id`.
    #[must_use]
    pub const fn client(self) -> &'static str {
        match self {
            Self::Plain | Self::Keyed => "phone",
            Self::SingleUse => "web-single",
            Self::Reusable => "web",
        }
    }

    /// The parameters and headers of a token request of this client.
    #[must_use]
    pub fn request<'a>(self, parameters: &[(&'a str, &'a str)], idempotency_key: &'a str) -> Asked<'a> {
        let mut parameters = parameters.to_vec();
        let mut headers = Vec::new();
        match self {
            Self::Plain => parameters.push(("client_id", self.client())),
            Self::Keyed => {
                parameters.push(("client_id", self.client()));
                if !idempotency_key.is_empty() {
                    headers.push(("idempotency-key", idempotency_key.to_owned()));
                }
            }
            Self::SingleUse => headers.push(("authorization", http::basic(self.client(), SECRET))),
            Self::Reusable => parameters.extend([("client_id", self.client()), ("client_secret", SECRET)]),
        }
        (parameters, headers)
    }
}
