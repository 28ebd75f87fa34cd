//! The laws of a history: Hist1 to Hist10, looked at after each step. What is known here was seen from outside, in answers and in the
//! durable rows; no decision of the server's is asked.

use std::collections::BTreeMap;
use std::fmt;

use regrant_core::keys::Keys;
use regrant_core::token::RefreshToken;
use regrant_core::{Grant, GrantId};

use super::parties::Class;

/// What must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// At most one distinct successor value per generation of a grant.
    Hist1,
    /// An acknowledged generation is never lower later.
    Hist2,
    /// No success starts after an acknowledged end of the grant has returned.
    Hist3,
    /// Every success presented the current token or, under the retry rule, its direct predecessor.
    Hist4,
    /// A superseded token never succeeds: not out of its window, not by another key, not for a stranger.
    Hist5,
    /// A code yields at most one grant.
    Hist6,
    /// An honest client within its retry rule is never refused while nobody ended its grant.
    Hist7,
    /// Every access token belongs to an acknowledged or recoverable generation, its scope is within the grant's, and it lives as long as
    /// its answer says.
    Hist8,
    /// 200 is answered after the durable commit, and what was refused for the store's sake consumed nothing.
    Hist9,
    /// The audit log has exactly one event of each issue and of each end, and its chain fits.
    Hist10,
    /// Whatever happens, answers are of the protocol: no 5xx but 503.
    NoOtherError,
    /// Nothing panics.
    NoPanic,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A law that was broken, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The seed of the history.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// Which.
    pub law: Law,
    /// How.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by seed {} at step {}: {}", self.law, self.seed, self.step, self.what)
    }
}

pub(super) type Judged = Result<(), (Law, String)>;

/// What is known of one grant.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    pub(super) grant: Option<GrantId>,
    /// The newest generation that was answered with.
    pub(super) issued: u32,
    /// The same before the batch under way.
    pub(super) floor: u32,
    /// SHA-256 of the seed of each generation.
    seeds: BTreeMap<u32, [u8; 32]>,
    /// The store's newest time when a generation was first answered with: it was committed by then.
    first_answered: BTreeMap<u32, i64>,
    redeemed: u32,
    /// Since which step everybody must know that it has ended.
    confirmed_end: Option<u64>,
    seen_end: Option<u64>,
    /// Whether the durable row was seen to be redeemed.
    seen_redeemed: bool,
    /// Why its client may be refused from now on.
    pub(super) excuse: Option<&'static str>,
    /// Until when it was promised to live.
    pub(super) promised: i64,
    /// The row's version, as last seen.
    pub(super) version: u64,
}

/// A success, as it was answered.
pub(super) struct Success<'a> {
    pub(super) class: Class,
    /// What was presented; 0 for a code.
    pub(super) presented: u32,
    pub(super) token: &'a RefreshToken,
    /// The step at which the node had the question.
    pub(super) began: u64,
    /// The store's newest time then: no decision goes by an earlier one.
    pub(super) began_at: i64,
    /// The store's newest time now.
    pub(super) newest: i64,
    pub(super) is_thief: bool,
    /// Generation and scope of the access token.
    pub(super) access: Option<(u32, String)>,
    pub(super) expires_in: i64,
    pub(super) ends_in: i64,
}

/// What `retry_window` is by default, in milliseconds.
const WINDOW: i64 = 60_000;
/// What `access_token_lifetime` is by default, in seconds.
const ACCESS_LIFETIME: i64 = 3_600;
/// What every grant may have.
pub(super) const SCOPE: &str = "read write";

impl Life {
    /// A 200 with a refresh token was made.
    pub(super) fn succeeded(&mut self, success: &Success<'_>) -> Judged {
        let (from, to) = (success.presented, success.token.generation);
        let hash = success.token.seed.hash().0;
        self.is_open(success.began, "a success")?;
        if *self.seeds.entry(to).or_insert(hash) != hash {
            return Err((Law::Hist1, format!("generation {to} has two successors")));
        }
        if from == 0 {
            self.redeemed += 1;
            if self.redeemed > 1 || to != 1 {
                return Err((Law::Hist6, format!("a code was redeemed {} times, to generation {to}", self.redeemed)));
            }
        } else {
            self.refreshed(success)?;
        }
        let Some((generation, scope)) = &success.access else {
            return Err((Law::Hist8, "an access token that is not ours".to_owned()));
        };
        let is_within = scope.split(' ').all(|word| SCOPE.split(' ').any(|granted| granted == word));
        if *generation != to || !is_within || !(1..=ACCESS_LIFETIME).contains(&success.expires_in) {
            let what = format!("an access token of generation {generation} for {scope:?}, beside {to}");
            return Err((Law::Hist8, format!("{what}, for {} s", success.expires_in)));
        }
        self.issued = self.issued.max(to);
        self.first_answered.entry(to).or_insert(success.newest);
        self.promised = self.promised.max(success.began_at + success.ends_in * 1000);
        Ok(())
    }

    fn refreshed(&self, success: &Success<'_>) -> Judged {
        let (from, to) = (success.presented, success.token.generation);
        let is_reusable = success.class == Class::Reusable;
        let is_step = if is_reusable { to == from } else { to == from + 1 };
        if !is_step {
            return Err((Law::Hist4, format!("generation {from} was answered with {to}")));
        }
        if from + 1 < self.floor {
            return Err((Law::Hist4, format!("generation {from} was taken, and {} is out", self.floor)));
        }
        if success.is_thief && success.class.is_bound() {
            return Err((Law::Hist5, "a stranger refreshed a grant that is bound to its client".to_owned()));
        }
        // A predecessor of a client that proves nothing has its window.
        if success.class == Class::Plain
            && let Some(committed) = self.first_answered.get(&to)
            && success.began_at.saturating_sub(*committed) >= WINDOW
        {
            return Err((Law::Hist5, format!("generation {from} was taken out of its window")));
        }
        Ok(())
    }

    /// Something vouches for the grant.
    pub(super) fn is_open(&self, began: u64, what: &str) -> Judged {
        let ended = [self.confirmed_end, self.seen_end].into_iter().flatten().min();
        match ended {
            Some(end) if began > end => Err((Law::Hist3, format!("{what} began at step {began}, ended since {end}"))),
            _ => Ok(()),
        }
    }

    /// Its end was confirmed to whoever asked for it.
    pub(super) fn end_was_confirmed(&mut self, step: u64) {
        self.confirmed_end.get_or_insert(step);
    }

    /// The durable row, looked at after a step.
    pub(super) fn is_durable(&mut self, row: Option<&Grant>, step: u64) -> Judged {
        let Some(row) = row else {
            let was_there = self.version > 0;
            return if was_there { Err((Law::Hist2, "the row is gone".to_owned())) } else { Ok(()) };
        };
        if row.generation < self.issued {
            return Err((Law::Hist2, format!("{} was answered with, the row has {}", self.issued, row.generation)));
        }
        let seed = self.seeds.get(&row.generation);
        if seed.is_some() && row.current.map(|hash| hash.0) != seed.copied() {
            return Err((Law::Hist9, format!("the row has another successor of generation {}", row.generation)));
        }
        if row.version < self.version {
            return Err((Law::Hist2, format!("the row was of version {}, and is of {}", self.version, row.version)));
        }
        self.version = row.version;
        self.seen_redeemed |= row.redeemed_at.is_some();
        match (row.ended.is_some(), self.seen_end) {
            (true, None) => self.seen_end = Some(step),
            (false, Some(end)) => return Err((Law::Hist3, format!("what had ended at step {end} is live again"))),
            (true, Some(_)) | (false, None) => {}
        }
        Ok(())
    }

    /// Its events, by kind.
    pub(super) fn is_told(&self, created: usize, ended: usize) -> Judged {
        let is_redeemed = self.redeemed > 0 || self.seen_redeemed;
        let ends = usize::from(self.seen_end.is_some());
        if created > 1 || (is_redeemed && created != 1) {
            return Err((Law::Hist10, format!("{created} events tell that it was made")));
        }
        if ended > 1 || ended < ends {
            return Err((Law::Hist10, format!("{ended} events tell that it was ended")));
        }
        Ok(())
    }
}

/// Generation and scope of an access token of ours.
pub(super) fn access_of(text: &str, keys: &Keys) -> Option<(u32, String)> {
    use regrant_core::access::{AccessToken, open_jti};
    if let Some(token) = AccessToken::open(text, keys) {
        return Some((token.grant?.1, token.scope));
    }
    let payload = regrant_jose::base64url::decode(text.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let (_, generation) = open_jti(claims.get("jti")?.as_str()?, keys)??;
    Some((generation, claims.get("scope")?.as_str()?.to_owned()))
}
