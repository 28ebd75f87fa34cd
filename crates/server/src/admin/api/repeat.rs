//! `Idempotency-Key`: a POST whose answer was lost is sent again, and answered again instead of done again.
//!
//! That it was done is durable in the commit that does it ([`mark`]): after a restart, or when its answer was dropped for others, a
//! repetition is not carried out again, and is told so. Its answer is
//! remembered in memory only, for [`LIFE`], [`MOST`] of them in [`MOST_BYTES`], the oldest going first: long enough for a client that
//! tries again, and no disk ever holds what an answer held (a new secret is shown once). Later, a repetition is a new request.
//! What takes several commits (an import, a list of tokens) is marked behind the last: each of them does nothing the second time.
//!
//! Keys are each caller's own. The same key with another request is refused (draft-ietf-httpapi-idempotency-key-header), and so is
//! one whose first request is still under way. What the server could not do, or did not want to do now, is not remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderName, StatusCode};
use regrant_core::Timestamp;
use regrant_core::secret::Hash;
use regrant_store::{Question, Record};
use zeroize::Zeroizing;

/// How long an answer is remembered.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// The most that are remembered.
pub(super) const MOST: usize = 1000;
/// The most bytes of answers.
pub(super) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What the commit takes along that does what this caller asked for with this key.
pub(super) fn mark(caller: &str, key: &str, now: Timestamp) -> Record {
    Record::UseOnce { key: durable_key(caller, key), expires_at: now.plus(LIFE) }
}

/// Whether it was done.
pub(super) fn was_done(caller: &str, key: &str, now: Timestamp) -> Question {
    Question::UsedOnce { key: durable_key(caller, key), now }
}

fn durable_key(caller: &str, key: &str) -> [u8; 32] {
    // No caller and no key holds a zero byte.
    Hash::of(format!("regrant repeat\0{caller}\0{key}").as_bytes()).0
}

/// An answer, as it can be given again.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// May hold a secret.
    pub(super) body: Arc<Zeroizing<Vec<u8>>>,
    /// The word for it in the log and the metrics, if it is not that all went well.
    pub(super) outcome: &'static str,
}

/// What a request with a key is.
#[derive(Debug)]
pub(super) enum Begun {
    /// The first: to be done, and told what became of it.
    First(Ticket),
    /// Answered before.
    Again(Remembered),
    /// Still under way.
    UnderWay,
    /// Another request had this key.
    Reused,
}

#[derive(Debug)]
struct Entry {
    request: Hash,
    at: Duration,
    answer: Option<Remembered>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<[u8; 32], Entry>,
    /// In the order of their time.
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

/// What is remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Entries>>);

impl Memory {
    /// Looks a key of this caller up, and takes it if it is free.
    pub(super) fn begin(&self, caller: &str, key: &str, request: Hash, now: Duration) -> Begun {
        let key = Hash::of(format!("{caller} {key}").as_bytes()).0;
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.make_room(now);
        match entries.by_key.get(&key) {
            Some(entry) if entry.request != request => Begun::Reused,
            Some(Entry { answer: Some(answer), .. }) => Begun::Again(answer.clone()),
            Some(Entry { answer: None, .. }) => Begun::UnderWay,
            None => {
                entries.by_key.insert(key, Entry { request, at: now, answer: None });
                entries.order.push_back(key);
                Begun::First(Ticket { memory: self.clone(), key, is_done: false })
            }
        }
    }
}

impl Entries {
    fn make_room(&mut self, now: Duration) {
        while let Some(oldest) = self.order.front().copied() {
            let is_over = self.by_key.get(&oldest).is_none_or(|entry| now.saturating_sub(entry.at) >= LIFE);
            if !is_over && self.order.len() < MOST && self.bytes <= MOST_BYTES {
                return;
            }
            self.order.pop_front();
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &[u8; 32]) {
        let answer = self.by_key.remove(key).and_then(|entry| entry.answer);
        self.bytes = self.bytes.saturating_sub(answer.map_or(0, |answer| answer.body.len()));
    }
}

/// A request under way. Dropped without an answer, its key is free again.
#[derive(Debug)]
pub(super) struct Ticket {
    memory: Memory,
    key: [u8; 32],
    is_done: bool,
}

impl Ticket {
    /// Keeps the answer, if a repetition is to hear it: what failed for now is to be tried again.
    pub(super) fn done(mut self, answer: Remembered) {
        if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        let mut entries = self.memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = answer.body.len();
        if let Some(entry) = entries.by_key.get_mut(&self.key) {
            entry.answer = Some(answer);
            entries.bytes += length;
        }
        drop(entries);
        self.is_done = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut entries = self.memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.forget(&self.key);
        entries.order.retain(|key| *key != self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, bytes: usize) -> Remembered {
        let status = StatusCode::from_u16(status).expect("a status");
        Remembered { status, body: Arc::new(Zeroizing::new(vec![b'x'; bytes])), ..Remembered::default() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ticket(memory: &Memory, key: &str, now: Duration) -> Ticket {
        match memory.begin("ops", key, Hash::of(b"a"), now) {
            Begun::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_caller_and_request_alone() {
        let memory = Memory::default();
        let first = ticket(&memory, "k", at(0));
        let begin = |caller, request: &[u8], now| memory.begin(caller, "k", Hash::of(request), now);
        assert!(matches!(begin("ops", b"a", at(0)), Begun::UnderWay));
        first.done(answer(201, 3));
        assert!(matches!(begin("ops", b"a", at(599)), Begun::Again(told) if told.status == 201));
        assert!(matches!(begin("ops", b"b", at(599)), Begun::Reused));
        assert!(matches!(begin("eve", b"a", at(599)), Begun::First(_)));
        assert!(matches!(begin("ops", b"a", at(600)), Begun::First(_)), "its life is over");
    }

    #[test]
    fn what_failed_or_was_broken_off_may_be_tried_again() {
        let memory = Memory::default();
        drop(ticket(&memory, "k", at(0)));
        for status in [500, 503, 429] {
            ticket(&memory, "k", at(0)).done(answer(status, 1));
        }
        ticket(&memory, "k", at(0)).done(answer(409, 1));
        assert!(matches!(memory.begin("ops", "k", Hash::of(b"a"), at(0)), Begun::Again(_)));
    }

    /// Check X4: whatever is sent, what is remembered has an end in number and in bytes.
    #[test]
    fn what_is_remembered_is_bounded() {
        let memory = Memory::default();
        let sizes = |memory: &Memory| {
            let entries = memory.0.lock().expect("sound");
            (entries.by_key.len(), entries.order.len(), entries.bytes)
        };
        for number in 0..3 * MOST {
            ticket(&memory, &number.to_string(), at(0)).done(answer(200, 10));
        }
        assert_eq!(sizes(&memory), (MOST, MOST, 10 * MOST));
        for number in 0..20 {
            ticket(&memory, &format!("big {number}"), at(1)).done(answer(200, MOST_BYTES / 4));
            assert!(sizes(&memory).2 <= MOST_BYTES + MOST_BYTES / 4);
        }
        drop(ticket(&memory, "last", at(601)));
        assert_eq!(sizes(&memory), (0, 0, 0));
    }
}
