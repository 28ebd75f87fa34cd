//! Which PKCE challenges and nonces were seen lately: RFC 9700 section 2.1.1. The rule is `core/src/repeated.rs`.
//!
//! The memory is constant in size, like that of the limits (`limits/gcra.rs`): a value has eight places it can be in, and when all are
//! taken, the one that was seen longest ago makes room. What it holds are keyed hashes of client and value, under a key of this process:
//! each node, and each start, remembers for itself. So a server of many logins sees back less than a day; a value that is constant comes
//! with every login of its client.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use regrant_core::repeated::{self, Seen, Use, Value};
use regrant_core::{ClientId, Timestamp};

const WAYS: usize = 8;
/// 65,536 values, in a MiB and a half.
const SETS: usize = 8192;
/// 4,096 clients of which something was told.
const TOLD_SETS: usize = 512;

/// Fingerprint of the value, fingerprint of the session, and when, in milliseconds. Zeroes are an empty place.
type Place = [u64; 3];

/// What is remembered.
pub(crate) struct Repeated {
    hasher: RandomState,
    values: Memory,
    told: Memory,
}

impl std::fmt::Debug for Repeated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repeated")
    }
}

impl Repeated {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), values: Memory::new(SETS), told: Memory::new(TOLD_SETS) }
    }

    /// A client gets an answer for a request with this value, in this session.
    pub(crate) fn used(&self, client: &ClientId, kind: Value, value: &[u8], session: &[u8], at: Timestamp) -> Use {
        let seen = Seen { session: self.hasher.hash_one(session), at };
        let before = self.values.replace(self.hasher.hash_one((client, kind, value)), seen, |_| true);
        repeated::judge(before, seen)
    }

    /// Whether to tell of this client now; then no more for a day.
    pub(crate) fn is_to_be_told(&self, client: &ClientId, at: Timestamp) -> bool {
        let is_due = |before: Option<Seen>| before.is_none_or(|before| repeated::is_over(before.at, at));
        is_due(self.told.replace(self.hasher.hash_one(client), Seen { session: 0, at }, is_due))
    }
}

/// When a fingerprint was seen last.
struct Memory {
    places: Mutex<Vec<Place>>,
    sets: usize,
}

impl Memory {
    fn new(sets: usize) -> Self {
        Self { places: Mutex::new(vec![[0; 3]; sets * WAYS]), sets }
    }

    /// What was known of it before. The new is put in its place, if that is wanted.
    fn replace(&self, fingerprint: u64, seen: Seen, is_wanted: impl Fn(Option<Seen>) -> bool) -> Option<Seen> {
        let first = fingerprint as usize % self.sets * WAYS;
        // Never that of an empty place.
        let fingerprint = fingerprint | 1 << 63;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let set = places.get_mut(first..first + WAYS)?;
        let known = set.iter().position(|[known, ..]| *known == fingerprint);
        let before = known.and_then(|way| set.get(way)).map(|[_, session, at]| Seen {
            session: *session,
            at: Timestamp::from_millis(i64::try_from(*at).unwrap_or(i64::MAX)),
        });
        if is_wanted(before) {
            // Its own place, an empty one, or the one that was seen longest ago.
            let oldest = || set.iter().enumerate().min_by_key(|(_, [.., at])| *at).map_or(0, |(way, _)| way);
            let way = known.unwrap_or_else(oldest);
            if let Some(place) = set.get_mut(way) {
                *place = [fingerprint, seen.session, u64::try_from(seen.at.millis()).unwrap_or(0)];
            }
        }
        before
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.places.lock().expect("no panic").iter().filter(|[fingerprint, ..]| *fingerprint != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BEGIN: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn client(number: u32) -> ClientId {
        ClientId::parse(&format!("client-{number}")).expect("an identifier")
    }

    /// Check P9: 100,000 different challenges use not a byte more than the first ones; the constant one among them is seen all the while.
    #[test]
    fn the_memory_of_challenges_is_bounded() {
        let (repeated, one) = (Repeated::new(), client(1));
        let mut constant = 0;
        for number in 0_u32..100_000 {
            let (at, session) = (BEGIN.plus(Duration::from_millis(u64::from(number))), number.to_be_bytes());
            let used = repeated.used(&one, Value::CodeChallenge, &number.to_be_bytes(), &session, at);
            assert_eq!(used, Use::First, "a fresh one is never taken for another");
            if number % 1000 == 0 {
                let used = repeated.used(&one, Value::CodeChallenge, b"constant", &session, at);
                constant += usize::from(used == Use::OtherSession);
            }
        }
        assert_eq!(constant, 99);
        assert!(repeated.values.len() <= SETS * WAYS && repeated.values.len() > SETS * WAYS / 2);
        for number in 0..100_000 {
            assert!(repeated.is_to_be_told(&client(number), BEGIN));
        }
        assert!(repeated.told.len() <= TOLD_SETS * WAYS);
    }

    #[test]
    fn a_value_is_one_clients_and_of_one_kind() {
        let repeated = Repeated::new();
        assert_eq!(repeated.used(&client(1), Value::Nonce, b"n", b"a", BEGIN), Use::First);
        assert_eq!(repeated.used(&client(2), Value::Nonce, b"n", b"b", BEGIN), Use::First);
        assert_eq!(repeated.used(&client(1), Value::CodeChallenge, b"n", b"b", BEGIN), Use::First);
        assert_eq!(repeated.used(&client(1), Value::Nonce, b"n", b"a", BEGIN), Use::SameSession);
        assert_eq!(repeated.used(&client(1), Value::Nonce, b"n", b"b", BEGIN), Use::OtherSession);
    }

    #[test]
    fn a_client_is_told_of_once_a_day() {
        let (repeated, one) = (Repeated::new(), client(1));
        let told = |hours: u64| repeated.is_to_be_told(&one, BEGIN.plus(Duration::from_secs(hours * 3600)));
        assert_eq!([0, 0, 12, 23, 24, 25, 47, 48].map(told), [true, false, false, false, true, false, false, true]);
    }
}
