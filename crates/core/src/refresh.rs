//! Refreshing an access token: RFC 6749 section 6, with the rotation of RFC 9700 section 4.14.2.
//!
//! | [`Age`]        | what happened                            | what we do                  |
//! |----------------|------------------------------------------|-----------------------------|
//! | `Live`         | an honest refresh                        | step to the next generation |
//! | `JustReplaced` | our last answer was lost on its way      | give the same answer again  |
//! | `Straggler`    | an honest worker came a moment late      | ask again shortly, no token |
//! | `Spent`        | two parties hold tokens of one grant     | revoke, as policy says      |
//! | `Unissued`     | the store was set back behind its tokens | alarm                       |
//!
//! After a recovery that an operator has opened, [`recovery`](crate::recovery) is asked before the age about tokens and rows of an
//! earlier era: holders of a key roll forward, and what nobody can know about the others is decided by a setting.
//!
//! Asked before the age, in this order, because nothing before "this is the client's own token" may change state (law L11):
//! the grant is there, it is this client's, it is bound to this key, it has not ended, client and user may still have it,
//! and no more is asked for than was granted.

use std::time::Duration;

use crate::client::{Class, Client, GrantType, OnReplay, Policy};
use crate::decision::{Change, Decision, EventKind, Write, ended, event, next_version};
use crate::grant::{Binding, EndReason, Grant, Rotation};
use crate::issue::{self, Ask, Granted, SubjectStatus};
use crate::keys::{KeyStatus, Keys, SeedKeyMissing};
use crate::recovery::{Doubt, doubt};
use crate::refusal::Refusal;
use crate::scope::{Resources, Scope};
use crate::secret::{Entropy, Hash, Seed};
use crate::time::Timestamp;
use crate::token::{RefreshToken, next_seed};

/// A late worker's token is not a replay within this long after the last answer: his newer one is in his own store by then.
pub const STRAGGLER_WINDOW: Duration = Duration::from_secs(30);
/// Duplicates this soon after a rotation are not counted: proxies and double clicks.
pub const UNCOUNTED: Duration = Duration::from_secs(5);
/// How many counted retries a plain public client has, besides the first answer.
pub const MAX_RETRIES: u32 = 3;
/// What a late worker is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A refresh, parsed: the client is authenticated and the token's tag is good.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The presented token.
    pub token: &'a RefreshToken,
    /// The scope asked for, if any.
    pub scope: Option<&'a Scope>,
    /// The resources asked for; empty if none.
    pub resources: &'a Resources,
    /// SHA-256 of the `Idempotency-Key` header.
    pub idempotency_key: Option<Hash>,
    /// SHA-256 of the key that the holder proved (DPoP, mTLS).
    pub holder_key: Option<Hash>,
}

/// A refresh that is answered 200.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// What happened, for the counters.
    pub how: How,
    /// The refresh token to answer with.
    pub token: RefreshToken,
    /// The grant as it is now.
    pub grant: Grant,
    /// What the access token may carry.
    pub granted: Granted,
    /// Its `expires_in`, in seconds.
    pub expires_in: u64,
    /// When this was decided: what all announced times count from.
    pub at: Timestamp,
}

/// The three ways to be answered 200.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// A new generation.
    Rotated,
    /// The answer of the last rotation, again.
    Retried,
    /// The same token, which is reusable.
    Reused,
}

/// Where a token stands in the life of its grant. Every presented token is in exactly one of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Age {
    /// The one that works.
    Live,
    /// Its direct predecessor, within the retry rule; with the seed that it leads to.
    JustReplaced(Seed),
    /// Too old, and too recent to be called a replay.
    Straggler,
    /// Replaced for good.
    Spent,
    /// Never minted by this store as it is now.
    Unissued(Refusal),
    /// A retry that needs a seed key which is not to be had.
    KeyMissing(SeedKeyMissing),
}

/// What may this refresh token do? `grant` is the row that the token names, if there is one, and its user's status.
pub fn decide(
    grant: Option<(&Grant, SubjectStatus)>,
    request: &Request<'_>,
    client: &Client,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Refreshed> {
    let Some((grant, subject)) = grant.filter(|(grant, _)| grant.id == request.token.grant) else {
        return Decision::refuse(Refusal::UnknownGrant);
    };
    // Whose token is it? RFC 6749 section 6: "ensure that the refresh token was issued to the authenticated client".
    // Asked first: a stranger may learn nothing of the grant, nor end it.
    let tell = |refusal, detail| Decision::tell(refusal, grant, &client.id, detail);
    if grant.terms.client != client.id {
        return tell(Refusal::OtherClient, ages(request.token, grant));
    }
    // RFC 9449 section 5: for public clients "the refresh token MUST be bound to the respective public key".
    if let Binding::Key(key) = grant.terms.binding
        && request.holder_key != Some(key)
    {
        return tell(Refusal::OtherKey, ages(request.token, grant));
    }
    let ask = ask(grant, subject, client, request.scope, request.resources);
    if let Err(refusal) = stands(grant, &ask, now) {
        return tell(refusal, ages(request.token, grant));
    }
    // Asked before the age is looked at: the same answer in every state, or a thief could poll it.
    let granted = match issue::what(&ask) {
        Ok(granted) => granted,
        Err(refusal) => return tell(refusal, issue::exceeded(&ask)),
    };
    let answer = Answer { request, granted, client, keys, now, entropy };
    match doubt(keys.recovery(), keys.era(), request.token, grant, &client.policy) {
        Doubt::None => {}
        Doubt::Superseded => return answer.lost(grant, Refusal::Superseded),
        // What a compromised key tagged proves nothing: it neither rolls forward nor ends anything.
        Doubt::RollForward | Doubt::Lost if keys.tag_status(request.token.tag_key) == KeyStatus::Compromised => {}
        Doubt::RollForward => return answer.roll_forward(grant),
        Doubt::Lost => return answer.lost(grant, Refusal::Lost),
    }
    match Age::of(request, grant, &client.policy, keys, now) {
        Age::Live if grant.terms.rotation == Rotation::Reusable => answer.reuse(grant),
        Age::Live => answer.rotate(grant),
        Age::JustReplaced(seed) => answer.repeat(grant, seed),
        Age::Straggler => Decision::report(
            Refusal::Straggler { retry_after: RETRY_AFTER },
            event(EventKind::Straggler, grant, ages(request.token, grant)),
        ),
        Age::Spent => answer.replayed(grant),
        Age::Unissued(refusal) => {
            Decision::report(refusal, event(EventKind::AlarmAt(refusal), grant, ages(request.token, grant)))
        }
        Age::KeyMissing(SeedKeyMissing::NotYet) => Decision::refuse(Refusal::SeedKeyNotYet),
        Age::KeyMissing(SeedKeyMissing::Gone) => tell(Refusal::SeedKeyGone, ages(request.token, grant)),
    }
}

/// Whether this grant can refresh at all, whatever the age of the token that its holder has, and what he would get who asked for
/// all of it: the part of [`decide`] that looks at no token.
///
/// # Errors
/// The [`Refusal`] that the live token would meet.
pub fn standing(grant: &Grant, subject: SubjectStatus, client: &Client, now: Timestamp) -> Result<Granted, Refusal> {
    let none = Resources::default();
    let ask = ask(grant, subject, client, None, &none);
    stands(grant, &ask, now)?;
    // RFC 6749 section 4.1.2: a code alone is no session yet.
    if grant.current.is_none() {
        return Err(Refusal::NotRefreshable);
    }
    issue::what(&ask)
}

/// Whether a grant that was made at once has anything still, before its first answer goes out: whoever ended something in the meantime
/// has ended this, too (law L9).
///
/// # Errors
/// The [`Refusal`] that its user or client, or the grant itself, now meets.
pub fn lives(
    grant: &Grant,
    subject: SubjectStatus,
    client: &Client,
    grant_type: GrantType,
    now: Timestamp,
) -> Result<(), Refusal> {
    let none = Resources::default();
    is_alive(grant, subject, now)?;
    issue::who(&Ask { grant_type, ..ask(grant, subject, client, None, &none) })
}

/// What the request asks for, of its client's own grant that stands, and may have: the same in every state of the token.
#[must_use]
pub fn asked(
    grant: Option<(&Grant, SubjectStatus)>,
    request: &Request<'_>,
    client: &Client,
    now: Timestamp,
) -> Option<Granted> {
    let (grant, subject) = grant.filter(|(grant, _)| {
        let is_held = !matches!(grant.terms.binding, Binding::Key(key) if request.holder_key != Some(key));
        grant.id == request.token.grant && grant.terms.client == client.id && is_held
    })?;
    let ask = ask(grant, subject, client, request.scope, request.resources);
    stands(grant, &ask, now).and_then(|()| issue::what(&ask)).ok()
}

fn ask<'a>(
    grant: &'a Grant,
    subject: SubjectStatus,
    client: &'a Client,
    scope: Option<&'a Scope>,
    resources: &'a Resources,
) -> Ask<'a> {
    let held = Some(issue::Held { scope: &grant.terms.scope, resources: &grant.terms.resources });
    Ask { client, grant_type: GrantType::RefreshToken, subject, scope, resources, held }
}

fn stands(grant: &Grant, ask: &Ask<'_>, now: Timestamp) -> Result<(), Refusal> {
    is_alive(grant, ask.subject, now).and_then(|()| issue::who(ask)).and_then(|()| is_refreshable(grant, ask.client))
}

impl Age {
    /// A total function: every token that is the client's own, against every row, has one age.
    #[must_use]
    pub fn of(request: &Request<'_>, grant: &Grant, policy: &Policy, keys: &Keys, now: Timestamp) -> Self {
        let token = request.token;
        if token.generation == 0 {
            return Self::Unissued(Refusal::ImpossibleGeneration);
        }
        if token.era > keys.era() {
            return Self::Unissued(Refusal::EraAhead);
        }
        // Checked subtraction, so that nothing wraps: `None` means "from the future".
        match grant.generation.checked_sub(token.generation) {
            None => Self::Unissued(Refusal::Unissued),
            Some(0) if grant.current == Some(token.seed.hash()) => Self::Live,
            Some(0) => Self::Spent,
            Some(1) => Self::of_predecessor(request, grant, policy, keys, now),
            Some(2) if is_recent(grant.answered_at, now) => Self::Straggler,
            Some(_) if is_recent(grant.rotated_at, now) && is_recent(grant.previously_rotated_at, now) => {
                Self::Straggler
            }
            Some(_) => Self::Spent,
        }
    }

    /// The direct predecessor of the live token: the only one that may still be answered.
    fn of_predecessor(request: &Request<'_>, grant: &Grant, policy: &Policy, keys: &Keys, now: Timestamp) -> Self {
        let rule = retry_rule(request, grant, policy, now);
        if let Retry::Holds = rule {
            match successor(request.token, grant, keys) {
                Ok(Some(seed)) => return Self::JustReplaced(seed),
                Err(missing) => return Self::KeyMissing(missing),
                Ok(None) => {}
            }
        }
        let used_up = rule == Retry::UsedUp;
        let recent = is_recent(grant.answered_at, now)
            || (is_recent(grant.rotated_at, now) && is_recent(grant.previously_rotated_at, now));
        if used_up || recent { Self::Straggler } else { Self::Spent }
    }
}

/// What the retry rule says of the direct predecessor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Retry {
    /// It may be answered again.
    Holds,
    /// Inside its window, and answered often enough.
    UsedUp,
    /// Too late, or with another proof.
    Fails,
}

/// The retry rule, by what the holder can prove. "Always" ends with the idle clock, which was asked before.
///
/// | who holds the token            | the predecessor may be presented again          |
/// |--------------------------------|-------------------------------------------------|
/// | a key, or a client secret      | always                                          |
/// | public, with `Idempotency-Key` | always, with the same key                       |
/// | public, plain                  | within `retry_window`, at most 3 counted times  |
fn retry_rule(request: &Request<'_>, grant: &Grant, policy: &Policy, now: Timestamp) -> Retry {
    match (class_of(grant, policy), grant.retry_proof) {
        (Class::Key | Class::Secret, _) => Retry::Holds,
        (Class::Public, Some(proof)) if request.idempotency_key == Some(proof) => Retry::Holds,
        (Class::Public, Some(_)) => Retry::Fails,
        (Class::Public, None) if now.since(grant.rotated_at) >= policy.retry_window => Retry::Fails,
        (Class::Public, None) if is_uncounted(grant, now) || grant.retries < MAX_RETRIES => Retry::Holds,
        (Class::Public, None) => Retry::UsedUp,
    }
}

/// The seed that this predecessor leads to, if it is the genuine one: it must hash to what the row holds.
fn successor(token: &RefreshToken, grant: &Grant, keys: &Keys) -> Result<Option<Seed>, SeedKeyMissing> {
    let Some(ratchet) = &grant.ratchet else {
        return Ok(None);
    };
    let key = keys.seed_key(grant.seed_key)?;
    let seed = next_seed(key, ratchet, &token.seed, &grant.id.to_wire(keys), grant.generation);
    Ok((grant.current == Some(seed.hash())).then_some(seed))
}

/// Everything an answer needs, once it is certain that the token is the client's own.
struct Answer<'a> {
    request: &'a Request<'a>,
    granted: Granted,
    client: &'a Client,
    keys: &'a Keys,
    now: Timestamp,
    entropy: &'a Entropy,
}

impl Answer<'_> {
    /// One step of the ratchet: a new seed that only the presented one can lead to, a new generation, a new idle clock.
    fn rotate(self, grant: &Grant) -> Decision<Refreshed> {
        let Some(generation) = grant.generation.checked_add(1) else {
            let row = ended(grant, self.now, EndReason::GenerationsExhausted, self.entropy);
            let told = event(EventKind::GrantEnded(EndReason::GenerationsExhausted), grant, String::new());
            return Decision::end(row, Refusal::GenerationsExhausted, told);
        };
        let (policy, ratchet, seed_key) = (&self.client.policy, self.entropy.secret(), self.keys.current_seed());
        let Ok(key) = self.keys.seed_key(seed_key) else {
            return Decision::refuse(Refusal::SeedKeyNotYet);
        };
        let seed = next_seed(key, &ratchet, &self.request.token.seed, &grant.id.to_wire(self.keys), generation);
        let is_plain = class_of(grant, policy) == Class::Public;
        let row = Grant {
            generation,
            current: Some(seed.hash()),
            ratchet: Some(ratchet),
            tag_key: self.keys.current_tag(),
            era: self.keys.era(),
            seed_key,
            rotated_at: self.now,
            previously_rotated_at: grant.rotated_at,
            answered_at: self.now,
            retries: 0,
            retry_proof: self.request.idempotency_key.filter(|_| is_plain),
            idle_at: self.now.plus(policy.idle_lifetime).min(grant.absolute_at),
            ..next_version(grant, self.entropy)
        };
        let answer = self.answer(How::Rotated, &row, seed);
        Decision::accept(Change::Rotated, row, answer)
    }

    /// The same token again, under the current tag key; only the idle clock and the last answer change.
    fn reuse(self, grant: &Grant) -> Decision<Refreshed> {
        let row = Grant {
            tag_key: self.keys.current_tag(),
            era: self.keys.era(),
            answered_at: self.now,
            idle_at: self.now.plus(self.client.policy.idle_lifetime).min(grant.absolute_at),
            ..next_version(grant, self.entropy)
        };
        let answer = self.answer(How::Reused, &row, self.request.token.seed.clone());
        Decision::accept(Change::Reused, row, answer)
    }

    /// Takes the token of the lost time as the live one, and then answers it: as if its rotation had not been lost.
    fn roll_forward(self, grant: &Grant) -> Decision<Refreshed> {
        let token = self.request.token;
        // A code whose redemption was lost: both clocks run from its making, so that neither runs longer than it did.
        let (redeemed_at, absolute_at) = match grant.redeemed_at {
            Some(redeemed_at) => (redeemed_at, grant.absolute_at),
            None => (grant.terms.created_at, grant.terms.created_at.plus(self.client.policy.absolute_lifetime)),
        };
        if absolute_at.is_over(self.now) {
            return Decision::refuse(Refusal::AbsoluteExpired);
        }
        let live = Grant {
            generation: token.generation,
            current: Some(token.seed.hash()),
            ratchet: None,
            tag_key: token.tag_key,
            redeemed_at: Some(redeemed_at),
            absolute_at,
            ..grant.clone()
        };
        let told = event(EventKind::Alarm, grant, format!("rolled forward after a restore: {}", ages(token, grant)));
        let decided = if live.terms.rotation == Rotation::Reusable { self.reuse(&live) } else { self.rotate(&live) };
        if decided.event.is_some() { decided } else { decided.with_event(told) }
    }

    /// Ends a grant of which nobody can know which token is its newest.
    fn lost(self, grant: &Grant, refusal: Refusal) -> Decision<Refreshed> {
        let reason = EndReason::LostInRestore;
        let told = event(EventKind::GrantEnded(reason), grant, ages(self.request.token, grant));
        Decision::end(ended(grant, self.now, reason, self.entropy), refusal, told)
    }

    /// The successor again: no new generation, and no clock is extended (law L3).
    fn repeat(self, grant: &Grant, seed: Seed) -> Decision<Refreshed> {
        if is_uncounted(grant, self.now) {
            let answer = self.answer(How::Retried, grant, seed).within(grant, self.now);
            return Decision { write: Write::Nothing, event: None, outcome: Ok(answer) };
        }
        let retries = grant.retries.saturating_add(1);
        let row = Grant { answered_at: self.now, retries, ..next_version(grant, self.entropy) };
        let answer = self.answer(How::Retried, &row, seed).within(grant, self.now);
        Decision::accept(Change::Retried, row, answer)
    }

    /// RFC 9700 section 4.14.2: "the authorization server cannot determine which party submitted the invalid refresh token,
    /// but it will revoke the active refresh token". What a compromised key tagged proves nothing, and ends nothing.
    fn replayed(self, grant: &Grant) -> Decision<Refreshed> {
        let detail = ages(self.request.token, grant);
        if self.keys.tag_status(self.request.token.tag_key) == KeyStatus::Compromised {
            return Decision::tell(Refusal::SpentUnderCompromisedKey, grant, &self.client.id, detail);
        }
        match self.client.policy.on_replay {
            OnReplay::Refuse => {
                Decision::report(Refusal::ReplayRefused, event(EventKind::ReplayRefused, grant, detail))
            }
            OnReplay::Revoke => {
                let told = event(EventKind::GrantEnded(EndReason::RefreshReplayed), grant, detail);
                Decision::end(ended(grant, self.now, EndReason::RefreshReplayed, self.entropy), Refusal::Replayed, told)
            }
        }
    }

    fn answer(&self, how: How, row: &Grant, seed: Seed) -> Refreshed {
        Refreshed {
            how,
            token: row.token(seed),
            grant: row.clone(),
            granted: self.granted.clone(),
            expires_in: expires_in(row, &self.client.policy, self.now, self.entropy),
            at: self.now,
        }
    }
}

impl Refreshed {
    /// The idle clock has run since the rotation: no access token outlives it.
    fn within(self, grant: &Grant, now: Timestamp) -> Self {
        let expires_in = self.expires_in.min(grant.ends_at().since(now).as_secs()).max(1);
        Self { expires_in, ..self }
    }
}

/// `expires_in`: at most the setting, at least 1 s, never behind the grant's absolute end. For plain public clients it is
/// drawn from 80 to 100 % of the setting for each answer, so that a thief cannot time the retry window.
#[must_use]
pub fn expires_in(grant: &Grant, policy: &Policy, now: Timestamp, entropy: &Entropy) -> u64 {
    let lifetime = policy.access_token_lifetime.as_secs();
    let spread = match class_of(grant, policy) {
        Class::Public => (lifetime / 5).saturating_mul(u64::from(entropy.draw())) >> 32,
        Class::Key | Class::Secret => 0,
    };
    (lifetime - spread).min(grant.absolute_at.since(now).as_secs()).max(1)
}

/// The earlier clock, asked in the order in which operators think of it.
fn is_alive(grant: &Grant, subject: SubjectStatus, now: Timestamp) -> Result<(), Refusal> {
    if let Some((_, reason)) = grant.ended {
        return Err(Refusal::Ended(reason));
    }
    if subject.is_over(now) {
        return Err(Refusal::ConsentOver);
    }
    // While there is only a code, no refresh clock has started; a refresh token is then one from the future.
    if grant.redeemed_at.is_some() {
        if grant.absolute_at.is_over(now) {
            return Err(Refusal::AbsoluteExpired);
        }
        if grant.idle_at.is_over(now) {
            return Err(Refusal::IdleExpired);
        }
    }
    Ok(())
}

fn is_refreshable(grant: &Grant, client: &Client) -> Result<(), Refusal> {
    if !grant.terms.refreshable {
        return Err(Refusal::NotRefreshable);
    }
    // RFC 9700 section 4.14.2: tokens of public clients are rotated or bound to a key. A client that becomes public loses
    // its reusable grants.
    if grant.terms.rotation == Rotation::Reusable && class_of(grant, &client.policy) == Class::Public {
        return Err(Refusal::ReusableForPublic);
    }
    Ok(())
}

/// A key bound to the grant is what its holder proves, whatever the client is.
fn class_of(grant: &Grant, policy: &Policy) -> Class {
    if matches!(grant.terms.binding, Binding::Key(_)) { Class::Key } else { policy.class }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < STRAGGLER_WINDOW
}

fn is_uncounted(grant: &Grant, now: Timestamp) -> bool {
    now.since(grant.rotated_at) < UNCOUNTED
}

fn ages(token: &RefreshToken, grant: &Grant) -> String {
    format!("presented generation {}, current {}", token.generation, grant.generation)
}
