//! A session: it always has a fresh token, or says why not.
//!
//! Within a process one refresh is under way at a time, in a task of its own: whoever needs a token waits for it, and whoever stops
//! waiting changes nothing. Among processes the store's lock and revision do the same ([`refresh`](crate::refresh)).

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::sync::{broadcast, watch};

use crate::answer::PAUSE;
use crate::chance;
use crate::client::Client;
use crate::clock::{Clock, Stamp};
use crate::dpop::DpopKey;
use crate::error::Error;
use crate::freshness;
use crate::login::LoggedIn;
use crate::profile::Profile;
use crate::record::{Record, Tokens};
use crate::refresh::{Outcome, Refresher, Why};
use crate::secret::Secret;
use crate::server::Server;
use crate::store::{Replaced, Store};
use crate::transport::{Http, Transport};

/// How long a holder of the lock is waited for, unless set.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a lost answer the request is repeated, unless set.
const REPEAT_AFTER: Duration = Duration::from_millis(300);
/// The longest pause after a row of failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A session that ends sooner than this is warned of, unless each use of it puts the end off.
const SOON: Duration = Duration::from_secs(3 * 24 * 3600);
/// How many events wait for a reader that is slow.
const EVENTS: usize = 64;

/// What a session is made with, where the usual is not wanted.
#[derive(Debug)]
pub struct Settings {
    /// What sends requests to the authorization server.
    pub transport: Arc<dyn Transport>,
    /// Where time comes from.
    pub clock: Clock,
    /// How long a holder of the session's lock is waited for: longer than a refresh can take.
    pub patience: Duration,
    /// How long after a request without an answer it is repeated at once; twice that, the second time.
    pub repeat_after: Duration,
}

impl Settings {
    /// The usual.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the system's certificates cannot be read.
    pub fn usual() -> Result<Self, Error> {
        Ok(Self {
            transport: Arc::new(Http::new()?),
            clock: Clock::default(),
            patience: PATIENCE,
            repeat_after: REPEAT_AFTER,
        })
    }
}

/// What happened, for those who show it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A refresh has begun: what comes of it is the next event.
    Renewing,
    /// The tokens were renewed.
    Renewed,
    /// Another task or process has renewed them.
    Adopted,
    /// It did not work, and will be tried again.
    Retrying {
        /// When.
        after: Duration,
        /// What was in the way.
        cause: String,
    },
    /// The tokens were renewed and could not be kept: they are in memory, and are kept as soon as the store can.
    NotKept(String),
    /// The session ends soon, by what the server announced: ask the user to log in again.
    EndsSoon(Duration),
    /// The session is over.
    Over(String),
    /// Somebody has logged out.
    LoggedOut,
}

/// A session. Clones are one session.
#[derive(Clone, Debug)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    refresher: Refresher,
    held: RwLock<Held>,
    flight: Mutex<Option<watch::Receiver<Option<Landed>>>>,
    breaker: Mutex<Breaker>,
    unkept: Mutex<Option<Unkept>>,
    events: broadcast::Sender<Event>,
    jitter: f64,
}

/// What a flight brought.
type Landed = Result<(), Error>;

/// An answer that no store has yet, and the fingerprint of the refresh token that it was for.
type Unkept = (String, Record);

/// The access token, and when it turns, by the clock that only goes forward.
#[derive(Debug, Default)]
struct Held {
    token: Option<Secret>,
    ahead_at: i64,
    over_at: i64,
    tokens: Option<Tokens>,
    revision: u64,
    /// What each request must prove, if the token is bound.
    key: Option<Arc<DpopKey>>,
}

/// A row of failures, and until when nothing is sent.
#[derive(Clone, Debug, Default)]
struct Breaker {
    failures: u32,
    until: i64,
    cause: String,
}

impl Session {
    /// Opens the session that is kept under the profile's name.
    ///
    /// # Errors
    /// [`Error::LoggedOut`] if there is none: log in first, or [`Session::adopt`] tokens; [`Error::Terminal`] if it has ended.
    pub async fn open(store: Arc<dyn Store>, profile: Profile) -> Result<Self, Error> {
        Self::open_with(store, profile, Settings::usual()?).await
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open_with(store: Arc<dyn Store>, profile: Profile, settings: Settings) -> Result<Self, Error> {
        let session = Self::make(store, profile, settings);
        let refresher = &session.0.refresher;
        let record = refresher.stored().await?;
        if record.tokens.is_none() && refresher.server.profile.client_credentials.is_none() {
            return Err(record.ended.map_or(Error::LoggedOut, Error::Terminal));
        }
        session.0.hold(&record);
        Ok(session)
    }

    /// Begins a session with tokens that were got elsewhere, in place of whatever was kept under that name.
    ///
    /// # Errors
    /// [`Error::Store`] if they cannot be kept.
    pub async fn adopt(
        store: Arc<dyn Store>,
        profile: Profile,
        tokens: crate::answer::TokenAnswer,
        settings: Settings,
    ) -> Result<Self, Error> {
        let session = Self::make(store, profile, settings);
        let refresher = &session.0.refresher;
        let tokens = Tokens::from_answer(tokens, refresher.server.clock.now(), None);
        let name = refresher.name();
        // A refresh of the old session may be under way: its answer must not come after ours.
        let _lock = refresher.store.lock(name, refresher.patience).await?;
        loop {
            let before = refresher.store.load(name).await?.unwrap_or_default();
            let owner = Some(refresher.server.profile.owner());
            let record = Record { owner, ..before.followed_by(tokens.clone()) };
            if refresher.store.replace(name, before.revision, &record).await? == Replaced::Done {
                session.0.hold(&record);
                return Ok(session);
            }
        }
    }

    /// Begins a session with what came of a [`Login`](crate::Login).
    ///
    /// # Errors
    /// [`Error::Store`] if the tokens cannot be kept.
    pub async fn begin(store: Arc<dyn Store>, profile: Profile, logged_in: LoggedIn) -> Result<Self, Error> {
        Self::adopt(store, profile, logged_in.tokens, Settings::usual()?).await
    }

    /// Forgets what is kept under a name, and tells no server.
    ///
    /// # Errors
    /// [`Error::Store`] if it cannot be.
    pub async fn forget(store: &dyn Store, name: &str) -> Result<(), Error> {
        loop {
            let Some(before) = store.load(name).await? else { return Ok(()) };
            let gone = Record { revision: before.revision + 1, ..Record::default() };
            if store.replace(name, before.revision, &gone).await? == Replaced::Done {
                return Ok(());
            }
        }
    }

    fn make(store: Arc<dyn Store>, profile: Profile, settings: Settings) -> Self {
        let Settings { transport, clock, patience, repeat_after } = settings;
        let refresher = Refresher { store, server: Server::new(transport, clock, profile), patience, repeat_after };
        Self(Arc::new(Inner {
            refresher,
            held: RwLock::default(),
            flight: Mutex::default(),
            breaker: Mutex::default(),
            unkept: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            jitter: chance::share(),
        }))
    }

    /// A fresh access token.
    ///
    /// # Errors
    /// See [`Error`]: each kind says what to do.
    pub async fn token(&self) -> Result<Secret, Error> {
        let now = self.0.refresher.server.clock.ran();
        let (token, is_ahead) = {
            let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
            (held.token.clone().filter(|_| now < held.over_at), now >= held.ahead_at)
        };
        match token {
            Some(token) => {
                if is_ahead && self.0.may_send(now).is_ok() {
                    let _ = self.0.fly(Why::Expired);
                }
                Ok(token)
            }
            None => self.renewed(Why::Expired).await,
        }
    }

    /// A token other than this one, which an API has refused as invalid.
    ///
    /// # Errors
    /// As [`Session::token`].
    pub async fn token_after(&self, refused: &Secret) -> Result<Secret, Error> {
        let held = self.held_token();
        match held {
            Some(held) if held != *refused => self.token().await,
            _ => self.renewed(Why::Refused(refused.fingerprint())).await,
        }
    }

    fn held_token(&self) -> Option<Secret> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner).token.clone()
    }

    async fn renewed(&self, why: Why) -> Result<Secret, Error> {
        self.0.may_send(self.0.refresher.server.clock.ran())?;
        let mut flight = self.0.fly(why);
        let landed = flight.wait_for(Option::is_some).await.map(|landed| landed.clone());
        match landed {
            Ok(Some(Err(error))) => Err(error),
            Ok(_) => self.held_token().ok_or(Error::LoggedOut),
            Err(_) => Err(Error::Retry { after: PAUSE, cause: "the refresh was broken off".to_owned() }),
        }
    }

    /// The scheme with its space, and the proof where the token is bound to a key.
    fn proved(&self, token: &Secret, method: &str, url: &str) -> Result<(&'static str, Option<String>), Error> {
        let key = self.0.held.read().unwrap_or_else(PoisonError::into_inner).key.clone();
        let Some(key) = key else { return Ok(("Bearer ", None)) };
        let server = &self.0.refresher.server;
        let proof = key.proof(method, url, server.nonces.of(url).as_deref(), Some(token), server.date())?;
        Ok(("DPoP ", Some(proof)))
    }

    /// Puts what a request with this token carries into its headers, in place of what was there: `Authorization`, and `DPoP` if the token is
    /// bound to a key.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the key cannot sign, or the token is fit for no header.
    pub fn present(&self, token: &Secret, method: &str, url: &str, headers: &mut HeaderMap) -> Result<(), Error> {
        let (scheme, proof) = self.proved(token, method, url)?;
        let unfit = |_| Error::Misconfigured("the access token is fit for no header".to_owned());
        // Written once, into what the header keeps.
        let text = [scheme, token.expose()].concat();
        let mut value = HeaderValue::try_from(text).map_err(unfit)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        headers.remove("dpop");
        if let Some(proof) = proof {
            headers.insert("dpop", HeaderValue::try_from(proof).map_err(unfit)?);
        }
        Ok(())
    }

    /// Remembers the `DPoP-Nonce` of an answer from there, for the next request (RFC 9449 section 9).
    pub fn heard_nonce(&self, url: &str, nonce: Option<&str>) {
        self.0.refresher.server.nonces.note(url, nonce);
    }

    /// What time it is, by the clock of this session.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.0.refresher.server.clock.now()
    }

    /// The server's date as far as it is known, in seconds since the epoch: ours may be wrong.
    #[must_use]
    pub fn server_date(&self) -> u64 {
        self.0.refresher.server.date()
    }

    /// Reads the store again: what another process has logged in, renewed or logged out is so here from now on.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn reread(&self) -> Result<(), Error> {
        let refresher = &self.0.refresher;
        let record = refresher.stored().await?;
        if self.0.is_kept() {
            self.0.hold_newer(&record);
        }
        match record.tokens {
            None if refresher.server.profile.client_credentials.is_none() => {
                Err(record.ended.map_or(Error::LoggedOut, Error::Terminal))
            }
            _ => Ok(()),
        }
    }

    /// All tokens, as they were last renewed.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner).tokens.clone()
    }

    /// How long until the session ends, by what the server announced; `None` if it announced nothing.
    #[must_use]
    pub fn ends_in(&self) -> Option<Duration> {
        self.tokens()?.ends_in(&self.0.refresher.server.clock.now())
    }

    /// What happens from now on. A reader that is slow misses the oldest.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// An HTTP client that presents a fresh token with each request.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.clone(), reqwest::Client::new())
    }

    /// The same with an HTTP client that you have set up.
    #[must_use]
    pub fn client_with(&self, http: reqwest::Client) -> Client {
        Client::new(self.clone(), http)
    }

    /// Logs out: gives the refresh token back to the server (RFC 7009), then forgets all tokens.
    ///
    /// # Errors
    /// [`Error::Retry`] or [`Error::Misconfigured`] if the server did not take it back; the tokens are forgotten all the same.
    pub async fn logout(&self) -> Result<(), Error> {
        let refresher = &self.0.refresher;
        let name = refresher.name();
        let _lock = refresher.store.lock(name, refresher.patience).await?;
        let mut record = refresher.stored().await?;
        let revoked = match record.refresh_token() {
            Some(token) => refresher.server.give_back(token).await,
            None => Ok(()),
        };
        let given_back = record.refresh_token().cloned();
        loop {
            let gone = Record { revision: record.revision + 1, ..Record::default() };
            if refresher.store.replace(name, record.revision, &gone).await? == Replaced::Done {
                self.0.hold(&gone);
                self.0.tell(Event::LoggedOut);
                return revoked;
            }
            // Somebody wrote although we have the lock. A newer login is his, and is left alone.
            record = refresher.store.load(name).await?.unwrap_or_default();
            if record.refresh_token() != given_back.as_ref() {
                self.0.hold(&record);
                return revoked;
            }
        }
    }
}

impl Inner {
    /// Holds what was read or renewed.
    fn hold(&self, record: &Record) {
        let held = self.held_of(record);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Holds what was read, unless something newer was renewed meanwhile.
    fn hold_newer(&self, record: &Record) {
        let read = self.held_of(record);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if read.revision > held.revision {
            *held = read;
        }
    }

    fn held_of(&self, record: &Record) -> Held {
        let clock = &self.refresher.server.clock;
        let (now, ran) = (clock.now(), clock.ran());
        let after = |turn: Duration, age: Duration| {
            let left = i64::try_from(turn.saturating_sub(age).as_millis()).unwrap_or(i64::MAX);
            ran.saturating_add(left)
        };
        let revision = record.revision;
        match &record.tokens {
            None => Held { revision, ..Held::default() },
            Some(tokens) => {
                let (ahead_at, over_at) = match (tokens.expires_in, tokens.at.age(&now)) {
                    (_, None) => (ran, ran),
                    (None, _) => (i64::MAX, i64::MAX),
                    (Some(seconds), Some(age)) => {
                        let (ahead, over) = freshness::turns(Duration::from_secs(seconds), self.jitter);
                        (after(ahead, age), after(over, age))
                    }
                };
                // A refresh that was begun and not finished is finished first, or its answer is lost with the server's patience.
                let ahead_at = if record.intent.is_some() { ran } else { ahead_at };
                // A key that cannot be read is told at the next refresh; until then the API says no.
                let key = tokens.dpop_key.as_ref().filter(|_| tokens.is_bound());
                let key = key.and_then(|key| DpopKey::kept(key).ok()).map(Arc::new);
                let tokens = Some(tokens.clone());
                Held {
                    token: tokens.as_ref().map(|tokens| tokens.access_token.clone()),
                    ahead_at,
                    over_at,
                    tokens,
                    revision,
                    key,
                }
            }
        }
    }

    /// Whether the store has all that we have.
    fn is_kept(&self) -> bool {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Whether a row of failures forbids to send.
    fn may_send(&self, now: i64) -> Result<(), Error> {
        let breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        match u64::try_from(breaker.until - now) {
            Ok(left @ 1..) => Err(Error::Retry { after: Duration::from_millis(left), cause: breaker.cause.clone() }),
            _ => Ok(()),
        }
    }

    /// The refresh that is under way, or a new one.
    fn fly(self: &Arc<Self>, why: Why) -> watch::Receiver<Option<Landed>> {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return under_way.clone();
        }
        let (landing, flying) = watch::channel(None);
        *flight = Some(flying.clone());
        drop(flight);
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let landed = inner.refresh(&why).await;
            // From here on the next one who needs a token begins anew: he has seen what this one brought.
            *inner.flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = landing.send(Some(landed));
        });
        flying
    }

    async fn refresh(&self, why: &Why) -> Landed {
        self.tell(Event::Renewing);
        self.keep_unkept().await;
        match self.refresher.refresh(why).await {
            Ok(outcome) => {
                self.land(outcome);
                *self.breaker.lock().unwrap_or_else(PoisonError::into_inner) = Breaker::default();
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// An answer that could not be kept when it came is kept before anything else is asked.
    async fn keep_unkept(&self) {
        let unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((of, Record { revision, tokens: Some(tokens), .. })) = unkept
            && !matches!(self.refresher.keep(revision - 1, &of, tokens).await, Ok(Outcome::Unkept(..)))
        {
            *self.unkept.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn land(&self, outcome: Outcome) {
        let (record, event) = match outcome {
            Outcome::Renewed(record) => (record, Event::Renewed),
            Outcome::Adopted(record) => (record, Event::Adopted),
            Outcome::Unkept(record, of, error) => {
                *self.unkept.lock().unwrap_or_else(PoisonError::into_inner) = Some((of, record.clone()));
                (record, Event::NotKept(error.to_string()))
            }
        };
        let before = self.held.read().unwrap_or_else(PoisonError::into_inner).tokens.clone();
        self.hold(&record);
        self.tell(event);
        let now = self.refresher.server.clock.now();
        let ends_in = |tokens: &Tokens| tokens.ends_in(&now);
        let (before, after) = (before.as_ref().and_then(ends_in), record.tokens.as_ref().and_then(ends_in));
        if let Some(left) = after.filter(|left| *left <= SOON) {
            let is_fixed = record.tokens.as_ref().is_some_and(|tokens| tokens.authorization_expires_in.is_some());
            if is_fixed || before.is_some_and(|before| left <= before + Duration::from_secs(60)) {
                self.tell(Event::EndsSoon(left));
            }
        }
    }

    fn fail(&self, error: &Error) {
        match error {
            Error::Terminal(words) => {
                self.hold(&Record::default());
                self.tell(Event::Over(words.clone()));
            }
            Error::LoggedOut => self.hold(&Record::default()),
            Error::Retry { after, cause } => self.pause(*after, cause),
            Error::Misconfigured(cause) | Error::Refused(cause) => self.pause(LONGEST_PAUSE, cause),
            Error::Store(cause) => self.pause(Duration::from_secs(1), cause),
        }
    }

    /// Sends nothing for a while: as long as the server asks for, and longer with each failure in a row.
    fn pause(&self, after: Duration, cause: &str) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let row = Duration::from_millis(250 << breaker.failures.min(10)).min(LONGEST_PAUSE);
        let after = after.max(row);
        breaker.failures = breaker.failures.saturating_add(1);
        let millis = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        breaker.until = self.refresher.server.clock.ran().saturating_add(millis);
        cause.clone_into(&mut breaker.cause);
        drop(breaker);
        self.tell(Event::Retrying { after, cause: cause.to_owned() });
    }

    fn tell(&self, event: Event) {
        // Nobody listening is no fault.
        let _ = self.events.send(event);
    }
}
