//! The blacklist: everything of a user, a client, a session, a key, a scope, a resource or a time at once, and tokens one by one.
//!
//! A bulk revocation is one durable row, whatever the number of grants, and bites at the next request. It can be looked at before it is done,
//! and taken back for a while; browser sessions that ended with it stay ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::keys::KeyStatus;
use regrant_core::scope::{MAX_RESOURCE_LEN, MAX_SCOPE_LEN};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, RefreshToken};
use regrant_core::{ClientId, Decision, Epoch, Refusal, Selector, Timestamp, client, codec, revoke};
use regrant_store::{Answer, KeyKind, Outcome, Question, Record, Unavailable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::import::Effect;
use super::{Admin, AdminError, Password, checked_reason, events, rfc3339};
use crate::introspect::open_access_token;

/// Grants looked at in one step of a count.
const SLICE: u32 = 1024;
/// How often a bulk revocation is numbered again because one that followed from something else took its number.
const MAX_ATTEMPTS: usize = 64;
/// The most tokens in one command.
pub const MOST_TOKENS: usize = 1000;
/// A longer `sub` is nobody's: OpenID Connect allows 255 characters.
const MAX_SUBJECT_LEN: usize = 255;

/// What to revoke: everything for which all that is given fits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// The name of a user, or a subject (`usr_…`), which need not be there any more.
    pub user: Option<String>,
    /// A client, which need not be there any more.
    pub client: Option<String>,
    /// A browser session, as [`GrantView::session`](super::GrantView::session) names it.
    pub session: Option<String>,
    /// The number of a tag key that is no longer in use.
    pub key: Option<u32>,
    /// A scope that the grant holds.
    pub scope: Option<String>,
    /// A resource that the grant holds.
    pub resource: Option<String>,
    /// Made before this time: `2h` ago, or `2026-11-24T01:30:00Z`.
    pub issued_before: Option<String>,
}

/// What a bulk revocation does, or would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BulkRevoked {
    /// Its number, for `regrant revoke --undo`; `None` if nothing was done.
    pub id: Option<u64>,
    /// The reason that its grants tell.
    pub reason: String,
    /// How many live grants it ends; `None` if they were not counted.
    pub grants: Option<u64>,
    /// Of how many users.
    pub users: Option<u64>,
    /// At how many clients.
    pub clients: Option<u64>,
    /// RFC 3339: until when it can be taken back; `None` if it cannot.
    pub undo_until: Option<String>,
    /// Whether browser sessions end with it, for good.
    pub ends_browser_sessions: bool,
}

/// A wide revocation, as it is listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RevocationView {
    /// Its number.
    pub id: u64,
    /// RFC 3339.
    pub at: String,
    /// The reason that its grants tell.
    pub reason: String,
    /// What it selects, in words.
    pub selects: String,
    /// Why, in an operator's words.
    pub detail: String,
    /// `live`, `final` or `undone`.
    pub state: String,
    /// RFC 3339: until when it can be taken back, while it can.
    pub undo_until: Option<String>,
}

/// What became of one token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenRevoked {
    /// `revoked`, `access_token_revoked`, or why there was nothing to do: `ended_before`, `expired`, `not_ours`, `unknown_grant`,
    /// `proves_nothing`, `unissued`.
    pub outcome: String,
    /// Its grant, if it has one that is there.
    pub grant: Option<String>,
}

/// What a commit of an operator's came to.
pub(super) struct Done {
    /// Of each record.
    pub(super) outcomes: Vec<Outcome>,
    /// Whether what has to end with it has ended. That it has not is said, and never passed over: whoever is shut out would stay in.
    pub(super) ended: Result<(), AdminError>,
}

const NO_ROOM: &str = "this is done, but the sessions that should have ended with it have NOT: there is no room for one more wide revocation; end them one by one (regrant grants list), or ask for this again in an hour";

impl Admin {
    /// Revokes in bulk, or tells what that would end.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a selection of nothing, of a time to come, or of the key in use; [`AdminError::NotFound`] for a user, a
    /// session or a key that is not there.
    pub async fn revoke_selected(
        &self,
        selection: &Selection,
        effect: Effect,
        detail: &str,
    ) -> Result<BulkRevoked, AdminError> {
        let detail = checked_reason(detail)?;
        let selector = self.selector(selection).await?;
        let ends_browser_sessions = ends_sessions(&selector);
        if effect == Effect::Check {
            let (grants, users, clients) = self.count(&selector).await?;
            let counted = (Some(grants), Some(users), Some(clients));
            return Ok(bulk(&selector, None, counted, None, ends_browser_sessions));
        }
        let window = self.app.settings().config.revocation.undo_window;
        for _ in 0..MAX_ATTEMPTS {
            let now = self.app.engine.now();
            let undo_until = (!window.is_zero()).then(|| now.plus(window));
            let (number, committed) = self.numbered(|number| {
                let epoch = Epoch {
                    number,
                    at: now,
                    reason: selector.reason(),
                    selector: selector.clone(),
                    detail: detail.clone(),
                    undo_until,
                    undone_at: None,
                };
                let told = format!("bulk revocation {number} of {}: {detail}", described(&selector));
                let event = self.record_about(&selector, told);
                Record::Epoch { epoch, events: vec![event] }.entailing(sessions_of(&selector))
            });
            let committed = committed.await;
            if let Ok([Outcome::Committed, ..]) = committed.as_deref() {
                tracing::warn!(number, selects = %described(&selector), "bulk revocation by an operator");
                let undo_until = undo_until.map(rfc3339);
                return Ok(bulk(&selector, Some(number), (None, None, None), undo_until, ends_browser_sessions));
            }
            *lock(&self.app.numbering) = 0;
            committed?;
            // It was the next one, and there is no room. Otherwise another one took the number, or the one before it was not written.
            if self.app.engine.epoch().saturating_add(1) == number {
                break;
            }
        }
        Err(AdminError::Exists(
            "there are too many wide revocations of the same user, client or kind: take back those that were a mistake (regrant revoke list), or try again when the oldest can no longer be taken back".to_owned(),
        ))
    }

    /// Sends what `records` makes of the next number. Those that are asked for at once share their commits.
    fn numbered<F: FnOnce(u64) -> Vec<Record>>(
        &self,
        records: F,
    ) -> (u64, impl Future<Output = Result<Vec<Outcome>, Unavailable>> + use<F>) {
        let mut last = lock(&self.app.numbering);
        let number = last.max(self.app.engine.epoch()).saturating_add(1);
        *last = number;
        (number, self.app.engine.committing(records(number)))
    }

    /// All wide revocations that are not yet written into their grants, also those that followed from something else. Oldest first.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn revocations(&self) -> Result<Vec<RevocationView>, AdminError> {
        let now = self.app.engine.now();
        Ok(self.epochs().await?.iter().map(|epoch| view(epoch, now)).collect())
    }

    /// The last of them that is this one.
    pub(super) async fn newest_revocation(
        &self,
        is_it: impl Fn(&Epoch) -> bool,
    ) -> Result<Option<RevocationView>, AdminError> {
        let now = self.app.engine.now();
        let found = self.epochs().await?.into_iter().filter(is_it).max_by_key(|epoch| epoch.number);
        Ok(found.map(|epoch| view(&epoch, now)))
    }

    /// Takes a bulk revocation back: what it ended lives again, unless something else ended it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or [`AdminError::Invalid`] if it is final or was taken back.
    pub async fn undo_revocation(&self, number: u64) -> Result<RevocationView, AdminError> {
        let now = self.app.engine.now();
        let missing = || AdminError::NotFound(format!("there is no bulk revocation {number}: `regrant revoke list`"));
        let epoch = self.epochs().await?.into_iter().find(|epoch| epoch.number == number).ok_or_else(missing)?;
        let refused = match (epoch.undone_at, epoch.undo_until) {
            (Some(at), _) => Some(format!("was taken back at {}", rfc3339(at))),
            (None, None) => Some(format!("is final: {}", epoch.reason.as_str())),
            (None, Some(until)) if until.is_over(now) => Some(format!("could be taken back until {}", rfc3339(until))),
            (None, Some(_)) => None,
        };
        if let Some(refused) = refused {
            return Err(AdminError::Invalid(format!("bulk revocation {number} {refused}; nothing was changed")));
        }
        let told = format!("bulk revocation {number} of {} taken back", described(&epoch.selector));
        let events = vec![self.record_about(&epoch.selector, told)];
        match self.app.engine.commit(vec![Record::UndoEpoch { number, at: now, events }]).await?.first() {
            Some(Outcome::Committed) => {
                tracing::warn!(number, "bulk revocation taken back by an operator");
                Ok(view(&Epoch { undone_at: Some(now), ..epoch }, now))
            }
            Some(Outcome::Stale) | None => {
                Err(AdminError::Exists(format!("bulk revocation {number} was changed by somebody else")))
            }
        }
    }

    /// Revokes tokens of any kind, one by one: refresh tokens of any generation and codes end their grant, access tokens are refused from
    /// now on by themselves. Expired ones, too: the tag proves that they were ours. One outcome for each, in the same order.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for more than [`MOST_TOKENS`], [`AdminError::Unavailable`] if the store failed: some may be revoked by then.
    pub async fn revoke_tokens(&self, tokens: Vec<Password>, detail: &str) -> Result<Vec<TokenRevoked>, AdminError> {
        if tokens.len() > MOST_TOKENS {
            return Err(AdminError::Invalid(format!("at most {MOST_TOKENS} tokens at once")));
        }
        let detail = checked_reason(detail)?;
        let mut outcomes = vec![told("not_ours"); tokens.len()];
        let mut waiting = JoinSet::new();
        for (place, token) in tokens.into_iter().enumerate() {
            let (admin, detail) = (self.clone(), detail.clone());
            // At once, so that they share their commits.
            waiting.spawn(async move { (place, admin.revoke_token(token.text(), &detail).await) });
        }
        while let Some(done) = waiting.join_next().await {
            let (place, outcome) = done.map_err(|error| AdminError::Invalid(error.to_string()))?;
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = outcome?;
            }
        }
        Ok(outcomes)
    }

    async fn revoke_token(&self, text: &str, detail: &str) -> Result<TokenRevoked, AdminError> {
        let keys = self.app.engine.keys();
        if let Some(token) = RefreshToken::open(text, &keys) {
            let (grant, detail) = (token.grant, self.acting.told(detail.to_owned()));
            let ended = self
                .app
                .engine
                .end(grant, &self.acting.correlation, move |row, moment| {
                    match row.filter(|(found, _)| found.id == grant) {
                        // Two ids of one number differ in their random half.
                        None => Decision::refuse(Refusal::UnknownGrant),
                        Some((grant, _)) => match revoke::is_proof(grant, &token, moment.keys) {
                            Err(refusal) => Decision::refuse(refusal),
                            Ok(()) => end(grant, &detail, moment.now, &moment.entropy),
                        },
                    }
                })
                .await?;
            return Ok(TokenRevoked { grant: Some(grant.display(&keys)), ..of_grant(ended) });
        }
        if let Some(code) = Code::open(text, &keys) {
            let (grant, detail) = (code.grant, self.acting.told(detail.to_owned()));
            let ended = self
                .app
                .engine
                .end(grant, &self.acting.correlation, move |row, moment| {
                    match row.filter(|(found, _)| found.id == grant) {
                        // Two ids of one number differ in their random half.
                        None => Decision::refuse(Refusal::UnknownGrant),
                        Some((grant, _)) => end(grant, &detail, moment.now, &moment.entropy),
                    }
                })
                .await?;
            return Ok(TokenRevoked { grant: Some(grant.display(&keys)), ..of_grant(ended) });
        }
        let Some(token) = open_access_token(&self.app, text) else { return Ok(told("not_ours")) };
        let expires_at = Timestamp::from_millis(token.expires_at.saturating_mul(1000));
        if expires_at.is_over(self.app.engine.now()) {
            return Ok(told("expired"));
        }
        let jti = Hash::of(token.jti.as_bytes()).0;
        let note = self.note(format!("an access token of client {} revoked: {detail}", token.client));
        self.app.engine.commit(vec![Record::DenyAccess { jti, expires_at }, note]).await?;
        Ok(told("access_token_revoked"))
    }

    /// Withdraws what a user allowed a client: it is asked for again, and by policy what was given by it ends.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] if there is no such user, or nothing was allowed.
    pub async fn withdraw_consent(&self, name: &str, client: &str) -> Result<(), AdminError> {
        let user = self.user(name).await?;
        let missing = || AdminError::NotFound(format!("user {name} has allowed client {client} nothing"));
        let id = ClientId::parse(client).ok_or_else(missing)?;
        let question = Question::Consent { subject: user.subject.clone(), client: client.to_owned() };
        let Answer::Consent(Some(_)) = self.app.engine.ask(question).await? else { return Err(missing()) };
        let happened = crate::cascade::Happened::ConsentWithdrawn(&user.subject, id);
        let mut records = vec![Record::RemoveConsent { subject: user.subject.clone(), client: client.to_owned() }];
        records.extend(self.follows(&happened));
        records.push(self.note_about(&user, format!("consent of user {} for client {client} withdrawn", user.name)));
        self.commit(records).await?.ended
    }

    /// Makes records durable, together with what follows from them.
    pub(super) async fn commit(&self, records: Vec<Record>) -> Result<Done, AdminError> {
        let kinds: Vec<(bool, bool)> = records
            .iter()
            .map(|record| (matches!(record, Record::With(_)), matches!(record.bare(), Record::Epoch { .. })))
            .collect();
        let outcomes = self.app.engine.commit(records).await?;
        // One that goes with what was refused has not even tried.
        let (mut has_no_room, mut head) = (false, Outcome::Committed);
        for ((goes_with, ends), outcome) in kinds.into_iter().zip(&outcomes) {
            has_no_room |= ends && *outcome == Outcome::Stale && (!goes_with || head == Outcome::Committed);
            if !goes_with {
                head = *outcome;
            }
        }
        let ended = if has_no_room { Err(AdminError::Exists(NO_ROOM.to_owned())) } else { Ok(()) };
        Ok(Done { outcomes, ended })
    }

    /// What must be durable together with what happened.
    pub(super) fn follows(&self, happened: &crate::cascade::Happened<'_>) -> Option<Record> {
        let settings = self.app.settings();
        crate::cascade::follows(happened, &settings.config.revocation, self.app.engine.now())
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, AdminError> {
        match self.app.engine.ask(Question::Epochs).await? {
            Answer::Epochs { epochs, .. } => Ok(epochs),
            _ => Ok(Vec::new()),
        }
    }

    async fn selector(&self, selection: &Selection) -> Result<Selector, AdminError> {
        let invalid = |what: String| Err(AdminError::Invalid(what));
        let Selection { user, client, session, key, scope, resource, issued_before } = selection;
        let subject = match user {
            None => None,
            Some(subject) if subject.starts_with(client::SUBJECT_PREFIX) => Some(subject.clone()),
            Some(name) => Some(self.user(name).await?.subject),
        };
        let client = match client {
            None => None,
            Some(id) => match ClientId::parse(id) {
                Some(id) => Some(id),
                None => return invalid(format!("{id:?} is no client id")),
            },
        };
        let session = match session {
            None => None,
            Some(text) => match codec::decode_plain::<32>(text) {
                Some(session) => Some(session),
                None => return invalid(format!("{text:?} is no session; `regrant grants show` names it")),
            },
        };
        let tag_key = match key {
            None => None,
            Some(id) => Some(self.old_tag_key(*id).await?),
        };
        let now = self.app.engine.now();
        let issued_before = match issued_before {
            None => None,
            Some(text) => match events::since(text, now)? {
                time if time > now => return invalid(format!("{text:?} is still to come")),
                time => Some(time),
            },
        };
        let (scope, resource) = (scope.clone(), resource.clone());
        for (text, most) in [(&subject, MAX_SUBJECT_LEN), (&scope, MAX_SCOPE_LEN), (&resource, MAX_RESOURCE_LEN)] {
            if text.as_ref().is_some_and(|text| text.len() > most) {
                return invalid(format!("no user, scope or resource is longer than {most} bytes"));
            }
        }
        let online_only = false;
        let none = Selector::default();
        let selector =
            Selector { subject, client, session, tag_key, scope, resource, issued_before, online_only, ..none };
        if selector.is_everything() {
            return invalid("say what to revoke: nothing was selected".to_owned());
        }
        Ok(selector)
    }

    /// What is minted from now on must not be covered, and the key in use mints.
    async fn old_tag_key(&self, id: u32) -> Result<u8, AdminError> {
        let keyring = self.app.keyring.lock().await;
        let missing = || AdminError::NotFound(format!("there is no tag key {id}: `regrant keys list --all`"));
        let row = keyring.of_kind(KeyKind::Tag).find(|row| row.id == id).ok_or_else(missing)?;
        if row.status == KeyStatus::Current {
            let remedy = format!(
                "first `regrant keys rotate tag`, or `regrant keys compromise tag {id}` if it is known to others"
            );
            return Err(AdminError::Invalid(format!(
                "tag key {id} is in use: new tokens would die, too\n  remedy: {remedy}"
            )));
        }
        u8::try_from(id).map_err(|_| missing())
    }

    /// A walk over the grants that may fit, in slices: other requests go on between them.
    async fn count(&self, selector: &Selector) -> Result<(u64, u64, u64), AdminError> {
        let would = Epoch {
            number: u64::MAX,
            at: self.app.engine.now(),
            selector: selector.clone(),
            reason: selector.reason(),
            detail: String::new(),
            undo_until: None,
            undone_at: None,
        };
        let (mut grants, mut after) = (0, 0);
        let (mut users, mut clients) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        loop {
            let question = Question::Grants {
                client: selector.client.as_ref().map(ToString::to_string),
                subject: selector.subject.clone(),
                after,
                limit: SLICE,
            };
            let Answer::Grants(slice) = self.app.engine.ask(question).await? else { break };
            let Some(last) = slice.last() else { break };
            after = last.grant.id.number;
            let (keys, now) = (self.app.engine.keys(), self.app.engine.now());
            for found in slice.into_iter().filter_map(|found| found.believed(&keys)) {
                if would.covers(&found.grant) && !found.grant.is_over(now) {
                    grants += 1;
                    users.insert(Hash::of(found.grant.terms.subject.as_bytes()).0);
                    clients.insert(found.grant.terms.client.clone());
                }
            }
        }
        Ok((grants, users.len() as u64, clients.len() as u64))
    }

    fn record_about(&self, selector: &Selector, detail: String) -> regrant_store::EventRecord {
        let event = regrant_core::Event {
            kind: regrant_core::EventKind::Admin,
            grant: None,
            client: selector.client.clone().or_else(|| self.acting.client()),
            subject: selector.subject.clone(),
            detail: self.acting.told(detail),
        };
        regrant_store::EventRecord { at: self.app.engine.now(), event, correlation: self.acting.correlation.clone() }
    }
}

fn lock(numbering: &Mutex<u64>) -> MutexGuard<'_, u64> {
    numbering.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who is revoked whole must log in again (draft-parecki-oauth-global-token-revocation asks for the same).
fn ends_sessions(selector: &Selector) -> bool {
    sessions_of(selector).is_some()
}

fn sessions_of(selector: &Selector) -> Option<Record> {
    let whole_user = Selector { subject: selector.subject.clone(), ..Selector::default() };
    let whole_session = Selector { session: selector.session, ..Selector::default() };
    match (&selector.subject, selector.session) {
        (Some(subject), None) if *selector == whole_user => {
            Some(Record::EndSessionsOf { subject: subject.clone(), but: None })
        }
        (None, Some(id)) if *selector == whole_session => Some(Record::EndSession { id }),
        _ => None,
    }
}

fn end(grant: &regrant_core::Grant, detail: &str, now: Timestamp, entropy: &regrant_core::Entropy) -> Decision<()> {
    match grant.ended {
        Some((_, reason)) => Decision::refuse(Refusal::Ended(reason)),
        None => revoke::end(grant, EndReason::RevokedByOperator, detail, now, entropy),
    }
}

fn of_grant(ended: Result<(), Refusal>) -> TokenRevoked {
    told(match ended {
        Ok(()) => "revoked",
        Err(Refusal::Ended(_)) => "ended_before",
        Err(Refusal::SpentUnderCompromisedKey) => "proves_nothing",
        Err(Refusal::Unissued) => "unissued",
        Err(_) => "unknown_grant",
    })
}

fn told(outcome: &str) -> TokenRevoked {
    TokenRevoked { outcome: outcome.to_owned(), grant: None }
}

fn bulk(
    selector: &Selector,
    id: Option<u64>,
    (grants, users, clients): (Option<u64>, Option<u64>, Option<u64>),
    undo_until: Option<String>,
    ends_browser_sessions: bool,
) -> BulkRevoked {
    let reason = selector.reason().as_str().to_owned();
    BulkRevoked { id, reason, grants, users, clients, undo_until, ends_browser_sessions }
}

fn view(epoch: &Epoch, now: Timestamp) -> RevocationView {
    let state = match epoch.undone_at {
        Some(_) => "undone",
        None if epoch.can_be_undone(now) => "live",
        None => "final",
    };
    RevocationView {
        id: epoch.number,
        at: rfc3339(epoch.at),
        reason: epoch.reason.as_str().to_owned(),
        selects: described(&epoch.selector),
        detail: epoch.detail.clone(),
        state: state.to_owned(),
        undo_until: epoch.undo_until.filter(|_| epoch.can_be_undone(now)).map(rfc3339),
    }
}

fn described(selector: &Selector) -> String {
    let Selector { subject, client, session, tag_key, scope, resource, issued_before, online_only, among, but_session } =
        selector;
    let parts = [
        subject.as_ref().map(|subject| format!("user {subject}")),
        client.as_ref().map(|client| format!("client {client}")),
        session.as_ref().map(|session| format!("session {}", codec::encode_plain(session))),
        tag_key.map(|key| format!("tag key {key}")),
        scope.as_ref().map(|scope| format!("scope {scope}")),
        resource.as_ref().map(|resource| format!("resource {resource}")),
        issued_before.map(|before| format!("issued before {}", rfc3339(before))),
        online_only.then(|| "without offline_access".to_owned()),
        among.as_ref().map(|among| match among {
            Among::Only(clients) => format!("{} clients that say so", clients.len()),
            Among::But(clients) => format!("all but {} clients that say otherwise", clients.len()),
        }),
        but_session.map(|session| format!("not session {}", codec::encode_plain(&session))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
