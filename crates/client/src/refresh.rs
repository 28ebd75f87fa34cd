//! One refresh, from the lock to the kept answer.
//!
//! ```text
//! lock ── read ── somebody else's is newer? take it
//!           │
//!           └─ keep the intent (its key, or the key of an intent that is there already) ── send ── judge ── keep the answer
//! ```
//!
//! What if we end here?
//!
//! | after                | then                                                                                                 |
//! |----------------------|------------------------------------------------------------------------------------------------------|
//! | the intent is kept   | the next refresh finds it and sends the same key: a server that heard us answers the same            |
//! | the answer came      | the same; until then it is held in memory, and kept as soon as the store can                         |
//! | the answer is kept   | nothing is missing                                                                                    |
//!
//! Nothing is sent before the store has taken a write: a disk that is full does not cost a session.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{self, Verdict};
use crate::chance;
use crate::dpop::DpopKey;
use crate::error::{Error, StoreError};
use crate::freshness::{self, Freshness};
use crate::id_token;
use crate::record::{Intent, Record, Tokens};
use crate::secret::Secret;
use crate::server::Server;
use crate::store::{Replaced, Store};
use crate::transport::{Call, Form};

/// How often a request without an answer is sent again at once, each time with the same key.
const REPEATS: u32 = 2;
/// The longest pause that is waited for with the lock held.
const SHORT: Duration = Duration::from_secs(2);
/// How often a record that somebody else replaces meanwhile is read again.
const ROUNDS: u32 = 8;

/// Why a token is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// The one that is there is over, or soon will be.
    Expired,
    /// An API refused the one with this fingerprint.
    Refused(String),
}

/// What a refresh led to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Ours, kept.
    Renewed(Record),
    /// Somebody else's, newer than what we had.
    Adopted(Record),
    /// Ours, for the token of that fingerprint, and in memory only: the store failed after the answer.
    Unkept(Record, String, StoreError),
}

/// What a refresh is made with.
#[derive(Debug)]
pub(crate) struct Refresher {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: Server,
    pub(crate) patience: Duration,
    pub(crate) repeat_after: Duration,
}

impl Refresher {
    /// Under which name the session is kept.
    pub(crate) fn name(&self) -> &str {
        &self.server.profile.name
    }

    /// Renews the tokens, or finds them renewed.
    pub(crate) async fn refresh(&self, why: &Why) -> Result<Outcome, Error> {
        // Before the lock, and before anything is written: a server that cannot be found costs nobody a wait.
        let url = self.server.metadata().await?.token_endpoint.clone();
        let _lock = self.store.lock(self.name(), self.patience).await?;
        let Some((record, intent)) = self.intend(why).await? else { return self.stored().await.map(Outcome::Adopted) };
        let call = self.call(url, &record, &intent)?;
        let key = self.key(&record)?;
        let mut repeats = 0;
        loop {
            let verdict = match self.server.send_proved(&call, key.as_ref()).await {
                Ok(answer) => answer::judge(&answer),
                Err(no_answer) => Verdict::Later { after: self.repeat_after, cause: no_answer.to_string() },
            };
            match verdict {
                Verdict::Success(mut tokens) => {
                    tokens.dpop_key = key.as_ref().map(|key| key.secret().clone());
                    tokens.id_token = tokens.id_token.filter(|token| id_token::is_of(&self.server.profile, token));
                    let tokens = Tokens::from_answer(*tokens, self.server.clock.now(), record.tokens.as_ref());
                    return self.keep(record.revision, &intent.of, tokens).await;
                }
                Verdict::Over(words) => return self.end(&record, words).await,
                Verdict::Refused(words) => return Err(Error::Misconfigured(words)),
                Verdict::Later { after, cause } => {
                    // A server that saw a straggler says so: whoever was first may have kept his answer by now.
                    let stored = self.stored().await?;
                    if stored.revision != record.revision && self.serves(&stored, why) {
                        return Ok(Outcome::Adopted(stored));
                    }
                    repeats += 1;
                    if repeats > REPEATS || after > SHORT {
                        return Err(Error::Retry { after, cause });
                    }
                    tokio::time::sleep(after * repeats).await;
                }
            }
        }
    }

    /// The record as it is now. Tokens of another client or server are none of ours, and are not sent to this one.
    pub(crate) async fn stored(&self) -> Result<Record, Error> {
        let record = self.store.load(self.name()).await?.unwrap_or_default();
        let own = self.server.profile.owner();
        match record.owner.as_ref().filter(|owner| record.tokens.is_some() && **owner != own) {
            None => Ok(record),
            Some(owner) => {
                Err(Error::Misconfigured(format!("the session that is kept is that of {owner}: log in again")))
            }
        }
    }

    /// Keeps the intent to refresh, and tells the record with it; `None` if somebody else has done the work.
    async fn intend(&self, why: &Why) -> Result<Option<(Record, Intent)>, Error> {
        for _ in 0..ROUNDS {
            let record = self.stored().await?;
            if self.serves(&record, why) {
                return Ok(None);
            }
            let of = match (record.refresh_token(), &self.server.profile.client_credentials, &record.ended) {
                (Some(token), ..) => token.fingerprint(),
                (None, Some(_), _) => String::new(),
                (None, None, Some(ended)) => return Err(Error::Terminal(ended.clone())),
                (None, None, None) if record.tokens.is_some() => {
                    return Err(Error::Terminal("the server gave no refresh token".to_owned()));
                }
                (None, None, None) => return Err(Error::LoggedOut),
            };
            let begun = record.intent.clone().filter(|intent| intent.of == of);
            let intent = begun.unwrap_or_else(|| Intent { key: Secret::new(chance::text()), of });
            let intending = record.intending(intent.clone());
            if self.store.replace(self.name(), record.revision, &intending).await? == Replaced::Done {
                return Ok(Some((intending, intent)));
            }
        }
        let cause = "others write the session all the time".to_owned();
        Err(Error::Retry { after: answer::PAUSE, cause })
    }

    /// Whether these tokens are what is wanted.
    fn serves(&self, record: &Record, why: &Why) -> bool {
        let Some(tokens) = &record.tokens else { return false };
        // Whoever began that refresh is gone, or would have the lock: it is finished before the next one is thought of.
        if record.intent.is_some() {
            return false;
        }
        let lifetime = tokens.expires_in.map(Duration::from_secs);
        let freshness = freshness::judge(lifetime, tokens.at.age(&self.server.clock.now()), 0.0);
        match why {
            Why::Expired => freshness == Freshness::Fresh,
            Why::Refused(fingerprint) => {
                freshness != Freshness::Over && tokens.access_token.fingerprint() != *fingerprint
            }
        }
    }

    fn call(&self, url: String, record: &Record, intent: &Intent) -> Result<Call, Error> {
        let profile = &self.server.profile;
        let mut form: Form = match record.refresh_token() {
            Some(token) => {
                vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.expose().to_owned())]
            }
            None => {
                let scope = profile.client_credentials.clone().filter(|scope| !scope.is_empty());
                let scope = scope.map(|scope| ("scope", scope));
                std::iter::once(("grant_type", "client_credentials".to_owned())).chain(scope).collect()
            }
        };
        form.extend(profile.resource_parameters());
        let call = self.server.call(url, form)?;
        Ok(Call { idempotency_key: Some(intent.key.expose().to_owned()), ..call })
    }

    /// The key of the tokens; a new one where nobody logs in and the first token is asked for.
    fn key(&self, record: &Record) -> Result<Option<DpopKey>, Error> {
        match record.tokens.as_ref().and_then(|tokens| tokens.dpop_key.as_ref()) {
            Some(kept) => DpopKey::kept(kept).map(Some),
            None if self.server.profile.is_dpop && record.refresh_token().is_none() => DpopKey::generate().map(Some),
            None => Ok(None),
        }
    }

    /// Keeps the answer to a refresh of the token with the fingerprint `of`. A record that still has that token gives way, whatever
    /// else was written to it: its token was exchanged for ours. Any other was somebody else's success or a new login, and is adopted.
    pub(crate) async fn keep(&self, expected: u64, of: &str, tokens: Tokens) -> Result<Outcome, Error> {
        let owner = Some(self.server.profile.owner());
        let mut record = Record { revision: expected, owner, ..Record::default() }.followed_by(tokens);
        for _ in 0..ROUNDS {
            match self.store.replace(self.name(), record.revision - 1, &record).await {
                Ok(Replaced::Done) => return Ok(Outcome::Renewed(record)),
                Ok(Replaced::Stale) => {
                    let stored = match self.stored().await {
                        Ok(stored) => stored,
                        Err(_) => break,
                    };
                    if stored.refresh_token().map_or_else(String::new, Secret::fingerprint) != of {
                        return match stored.tokens {
                            Some(_) => Ok(Outcome::Adopted(stored)),
                            None => Err(stored.ended.map_or(Error::LoggedOut, Error::Terminal)),
                        };
                    }
                    record.revision = stored.revision + 1;
                }
                Err(error) => return Ok(Outcome::Unkept(record, of.to_owned(), error)),
            }
        }
        let error = StoreError("others write the session all the time".to_owned());
        Ok(Outcome::Unkept(record, of.to_owned(), error))
    }

    /// The server says that the session is over. It is, if the token that it spoke of is still the one on record.
    async fn end(&self, record: &Record, words: String) -> Result<Outcome, Error> {
        let mut seen = record.clone();
        for _ in 0..ROUNDS {
            if self.store.replace(self.name(), seen.revision, &seen.ended(words.clone())).await? == Replaced::Done {
                break;
            }
            seen = self.stored().await?;
            match seen.refresh_token() {
                Some(token) if Some(token) != record.refresh_token() => return Ok(Outcome::Adopted(seen)),
                Some(_) => {}
                None => break,
            }
        }
        Err(Error::Terminal(words))
    }
}
