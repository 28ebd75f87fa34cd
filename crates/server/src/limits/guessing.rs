//! Guessing of passwords: RFC 6749 section 10.10, "The authorization server MUST prevent attackers from guessing access tokens,
//! authorization codes, refresh tokens, resource owner passwords, and client credentials."
//!
//! Nobody is locked out; whoever fails waits, twice as long each time. Failures are counted in the store, in three ways:
//!
//! - by account and where it was tried from, a network or a browser that the account knows: so that one network cannot make
//!   another one wait (check B3). A few are free, then 1 s, 2 s, 4 s … up to the longest wait; a success forgets them.
//! - by network, whatever the accounts: against the one password that is tried with all names.
//! - by account, from wherever: against the many networks of a botnet. It refuses nobody; while it is over its limit, each
//!   network gets a single attempt before it waits, from 32 s on. Whoever has not failed yet is let in by the right password.
//!
//! The name is normalised as for the log-in itself, so that all its spellings share one bucket (check B1). A name that nobody
//! has is counted the same, looked up the same and hashed the same (check B2). A refused attempt looks at no password, and is
//! not counted: an attacker cannot prolong a wait, and has no oracle.
//!
//! A confidential client that sends passwords (RFC 6749 section 4.3) is a place of its own: its users' networks are not seen
//! here. Without a network, in a program that calls the router itself, everybody is in one place, and nothing is counted by
//! network.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use regrant_core::{Event, EventKind, Refusal, Timestamp};
use regrant_store::{Answer, EventRecord, Failures, Question, Record, User};
use zeroize::Zeroizing;

use super::budget::Budget;
use super::known_browser::BrowserName;
use super::prefix::Prefix;
use crate::answer::Failure;
use crate::app::App;
use crate::config::{self, Rate};
use crate::correlation::Correlation;
use crate::engine::Engine;
use crate::peer::Peer;
use crate::session::{self, Verified};

/// Where a password came from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Place(Inside);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Inside {
    Network(Prefix),
    Browser(BrowserName),
    Client(String),
    Nowhere,
}

impl Place {
    /// The browser, if the account knows it, or else its network.
    pub(crate) fn browser(known: Option<BrowserName>, peer: Peer) -> Self {
        known.map_or_else(|| Self::network(peer), |name| Self(Inside::Browser(name)))
    }

    /// A network.
    pub(crate) fn network(peer: Peer) -> Self {
        Self(Prefix::of(peer).map_or(Inside::Nowhere, Inside::Network))
    }

    /// A client that has proved who it is.
    pub(crate) fn client(id: &str) -> Self {
        Self(Inside::Client(id.to_owned()))
    }

    /// How many of `places` in the queue of passwords it may have at once: a client stands for many users.
    pub(crate) const fn share(&self, places: usize) -> usize {
        match self.0 {
            Inside::Client(_) | Inside::Nowhere => places / 2,
            Inside::Network(_) | Inside::Browser(_) => places / 8,
        }
    }
}

/// The key of a row: a keyed hash, for the table shall tell neither names nor addresses.
type Key = [u8; 32];

/// What is known of attempts beside the store.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// How many are being looked at: they count as failures until they are none, or many could be tried at once.
    under_way: Mutex<HashMap<Key, u32>>,
    /// Since when somebody waits, by the time that cannot stand still (check X14), for this last failure.
    waiting: Mutex<HashMap<Key, (Timestamp, Duration)>>,
}

/// The most that wait and are remembered; beyond it all are forgotten, and wait by the date alone.
const MAX_WAITING: usize = 4096;
/// The first wait under attack: 2^5 seconds.
const BRAKED: u32 = 5;

/// The buckets of one attempt.
struct Keys {
    here: Key,
    network: Option<Key>,
    account: Key,
}

impl Keys {
    fn of(app: &App, account: &str, place: &Place) -> Self {
        let key = |kind: &[u8], place: &[u8], account: &str| {
            let mut context = hmac::Context::with_key(&app.csrf_key);
            context.update(b"guessing v1");
            for part in [kind, place] {
                context.update(&[u8::try_from(part.len()).unwrap_or(u8::MAX)]);
                context.update(part);
            }
            context.update(account.as_bytes());
            let mut key = [0; 32];
            key.copy_from_slice(context.sign().as_ref());
            key
        };
        let here = match &place.0 {
            Inside::Network(prefix) => key(b"network", &prefix.bytes(), account),
            Inside::Browser(name) => key(b"browser", name, account),
            Inside::Client(id) => key(b"client", id.as_bytes(), account),
            Inside::Nowhere => key(b"nowhere", b"", account),
        };
        let network = match &place.0 {
            Inside::Network(prefix) => Some(key(b"all accounts", &prefix.bytes(), "")),
            // A known browser is not counted with its network, and a client has as many users as it has.
            Inside::Browser(_) | Inside::Client(_) | Inside::Nowhere => None,
        };
        Self { here, network, account: key(b"account", b"", account) }
    }

    fn all(&self) -> Vec<Key> {
        [Some(self.here), Some(self.account), self.network].into_iter().flatten().collect()
    }
}

/// The user, if this is the password, he may log in, and nothing speaks against trying.
///
/// # Errors
/// [`Failure::TooMany`], [`Failure::Busy`] or [`Failure::Unavailable`]; then the password was not looked at, or nothing is
/// told of it.
pub(crate) async fn verify_password(
    app: &App,
    name: &str,
    password: Zeroizing<String>,
    place: &Place,
    correlation: &Correlation,
) -> Result<Result<User, Refusal>, Failure> {
    let limits = app.settings().config.limits;
    let account = session::normalise(name);
    let keys = Keys::of(app, &account, place);
    let (under_way, [others_here, others_there]) =
        UnderWay::begin(&app.limits.attempts, [Some(keys.here), keys.network]);
    let Answer::Failures(found) = app.engine.ask(Question::Failures(keys.all())).await? else {
        return Err(Failure::Busy);
    };
    let mut found = found.into_iter();
    let (here, at_account, network) = (found.next().flatten(), found.next().flatten(), found.next().flatten());
    let now = app.engine.now();
    let is_braked = matches!(place.0, Inside::Network(_) | Inside::Nowhere)
        && at_account.is_some_and(|failures| is_over(&failures, limits.login_failures_per_account, now));
    let own = Rule::own(&limits, is_braked);
    let shared = Rule::shared(&limits);
    let (attempts, moment) = (&app.limits.attempts, (now, app.limits.now()));
    let wait_here = attempts.wait(keys.here, here, own, others_here, moment);
    let wait_there = keys.network.map(|key| attempts.wait(key, network, shared, others_there, moment));
    let wait = wait_here.max(wait_there.unwrap_or_default());
    if !wait.is_zero() {
        return Err(Failure::TooMany(Budget::Logins, wait));
    }
    let failure = Counted { app, limits: &limits, keys: &keys, own, shared, now, correlation };
    // Whoever goes away before he hears the answer has guessed all the same.
    let mut abandoned = Abandoned { engine: app.engine.clone(), records: failure.counts() };
    let verified = session::verify_password(app, name, password, place).await;
    abandoned.records.clear();
    let (user, refusal) = match verified? {
        Verified::Fits(user) if user.disabled_at.is_none() => {
            if here.is_some() {
                app.engine.commit(vec![Record::ForgetFailures { key: keys.here }]).await?;
            }
            return Ok(Ok(user));
        }
        // He hears what a wrong password hears, and so it counts as one (check B9).
        Verified::Fits(user) => (Some(user), Refusal::SubjectDisabled),
        Verified::Wrong(user) => (user, Refusal::WrongPassword),
    };
    failure.keep(user.as_ref(), at_account).await?;
    drop(under_way);
    Ok(Err(refusal))
}

/// When one has to wait after how many failures, and for how long.
#[derive(Clone, Copy)]
struct Rule {
    rate: Rate,
    free: u32,
    /// The first wait is 2 to the power of this, in seconds.
    first: u32,
    longest: Duration,
}

impl Rule {
    fn own(limits: &config::Limits, is_braked: bool) -> Self {
        let rate = limits.login_failures;
        let (free, first) = if is_braked { (1, BRAKED) } else { (rate.amount, 0) };
        Self { rate, free, first, longest: limits.longest_login_wait }
    }

    fn shared(limits: &config::Limits) -> Self {
        let rate = limits.login_failures_per_network;
        Self { rate, free: rate.amount, first: 0, longest: limits.longest_login_wait }
    }

    fn after(self, failures: u32) -> Duration {
        if self.rate.is_off() || failures < self.free {
            return Duration::ZERO;
        }
        let doublings = (failures - self.free).saturating_add(self.first).min(32);
        Duration::from_secs(1_u64 << doublings).min(self.longest)
    }

    /// As many as make the longest wait: what is counted is forgotten, too.
    fn most(self) -> u32 {
        self.rate.amount.saturating_add(64 - self.longest.as_secs().leading_zeros()).saturating_add(1)
    }
}

/// How long a failure of this rate is remembered, in milliseconds.
fn leak(rate: Rate) -> i64 {
    let millis = u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX) / u64::from(rate.amount.max(1));
    i64::try_from(millis).unwrap_or(i64::MAX).max(1)
}

fn is_over(failures: &Failures, rate: Rate, now: Timestamp) -> bool {
    !rate.is_off() && failures.remembered(now, leak(rate)) >= rate.amount
}

impl Attempts {
    /// How long is left to wait. By the date, for that is what survives a restart and is the same on all nodes; but never
    /// longer than the wait itself takes by the time that goes on where the date stands still.
    fn wait(
        &self,
        key: Key,
        found: Option<Failures>,
        rule: Rule,
        under_way: u32,
        (now, ran): (Timestamp, Duration),
    ) -> Duration {
        let counted = found.map_or(0, |failures| failures.remembered(failures.last_at, leak(rule.rate)));
        let whole = rule.after(counted);
        let left = found.map_or(Duration::ZERO, |failures| failures.last_at.plus(whole).since(now));
        if left.is_zero() {
            let remembered = found.map_or(0, |failures| failures.remembered(now, leak(rule.rate)));
            let is_too_much = under_way > 0 && !rule.after(remembered.saturating_add(under_way)).is_zero();
            return if is_too_much { Duration::from_secs(1) } else { Duration::ZERO };
        }
        let Some(failures) = found else { return left };
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= MAX_WAITING {
            waiting.clear();
        }
        let (last_at, since) = waiting.entry(key).or_insert((failures.last_at, ran));
        if *last_at != failures.last_at {
            (*last_at, *since) = (failures.last_at, ran);
        }
        left.min(whole.saturating_sub(ran.saturating_sub(*since)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An attempt that is being looked at, in its two buckets.
struct UnderWay<'a> {
    attempts: &'a Attempts,
    keys: [Option<Key>; 2],
}

impl<'a> UnderWay<'a> {
    /// Also tells how many there were before it.
    fn begin(attempts: &'a Attempts, keys: [Option<Key>; 2]) -> (Self, [u32; 2]) {
        let mut under_way = lock(&attempts.under_way);
        let before = keys.map(|key| key.and_then(|key| under_way.get(&key).copied()).unwrap_or(0));
        for key in keys.into_iter().flatten() {
            *under_way.entry(key).or_insert(0) += 1;
        }
        (Self { attempts, keys }, before)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.attempts.under_way);
        for key in self.keys.into_iter().flatten() {
            if let Some(count) = under_way.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    under_way.remove(&key);
                }
            }
        }
    }
}

/// An attempt whose sender does not wait for the answer: counted when it is dropped, unless it was emptied before.
struct Abandoned {
    engine: Engine,
    records: Vec<Record>,
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let records = std::mem::take(&mut self.records);
        if let (false, Ok(runtime)) = (records.is_empty(), tokio::runtime::Handle::try_current()) {
            let engine = self.engine.clone();
            runtime.spawn(async move {
                if let Err(trouble) = engine.commit(records).await {
                    tracing::warn!(%trouble, "an attempt that was broken off could not be counted");
                }
            });
        }
    }
}

/// A failure, to be kept before anybody hears of it.
struct Counted<'a> {
    app: &'a App,
    limits: &'a config::Limits,
    keys: &'a Keys,
    own: Rule,
    shared: Rule,
    now: Timestamp,
    correlation: &'a Correlation,
}

impl Counted<'_> {
    /// One more in each bucket.
    fn counts(&self) -> Vec<Record> {
        let count = |key: Key, rate: Rate, most: u32| {
            (!rate.is_off()).then(|| Record::CountFailure { key, leak: leak(rate), most })
        };
        let per_account = self.limits.login_failures_per_account;
        [
            count(self.keys.here, self.own.rate, self.own.most()),
            self.keys.network.and_then(|key| count(key, self.shared.rate, self.shared.most())),
            // Twice as many as its limit: an attack that has ended is forgotten after one more period.
            count(self.keys.account, per_account, per_account.amount.saturating_mul(2)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    async fn keep(&self, user: Option<&User>, at_account: Option<Failures>) -> Result<(), Failure> {
        let per_account = self.limits.login_failures_per_account;
        let mut records = self.counts();
        records.push(self.event(EventKind::LoginFailed, user, String::new()));
        let counted = Failures::counted(at_account, self.now, leak(per_account), per_account.amount.saturating_mul(2));
        if let Some(user) = user.filter(|_| is_over(&counted, per_account, self.now)) {
            let detail = format!(
                "passwords of this account are being guessed: {} failed log-ins are remembered",
                counted.remembered(self.now, leak(per_account))
            );
            records.push(self.event(EventKind::Alarm, Some(user), detail));
        }
        self.app.engine.commit(records).await?;
        // A new wait begins, also where the date is the same as at the last one.
        let mut waiting = lock(&self.app.limits.attempts.waiting);
        for key in [Some(self.keys.here), self.keys.network].into_iter().flatten() {
            waiting.remove(&key);
        }
        Ok(())
    }

    fn event(&self, kind: EventKind, user: Option<&User>, detail: String) -> Record {
        let subject = user.map(|user| user.subject.clone());
        let event = Event { kind, grant: None, client: None, subject, detail };
        Record::Event(EventRecord { at: self.now, event, correlation: self.correlation.as_str().to_owned() })
    }
}
