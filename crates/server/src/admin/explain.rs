//! "Why was I logged out?" The life of a grant, told from what is kept: by a token of it, its id, or the correlation id of an answer.
//!
//! Any genuine token will do, expired, revoked and superseded ones too, for as long as the grant's tombstone is kept. What presenting
//! it now would do is asked of the very rule that would decide, and nothing is written.

use regrant_core::access::ACCESS_PREFIX;
use regrant_core::issue::SubjectStatus;
use regrant_core::redeem;
use regrant_core::refresh::{self, How};
use regrant_core::token::{CODE_PREFIX, Code, REFRESH_PREFIX, RefreshToken};
use regrant_core::{Client, Decision, Grant, GrantId, Keys, Refusal, Resources, Timestamp};
use regrant_store::beside::Place;
use regrant_store::{Answer, EventFilter, Loaded, Question};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::EventLine;
use super::{Admin, AdminError, GrantView, rfc3339};
use crate::chance;
use crate::introspect;
use crate::reasons;

/// The most events that are told.
const MOST_EVENTS: u32 = 1000;
/// The positions that one question for a correlation id looks through.
const WINDOW: u64 = 5_000;
/// The longest text that is looked at.
pub(super) const MAX_TEXT: usize = 20_000;

/// The life of a grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What was asked about: `refresh_token`, `access_token`, `authorization_code`, `grant` or `correlation_id`.
    pub asked_about: String,
    /// What the token is, if it was one.
    pub token: Option<TokenView>,
    /// What refused the request, if it was a correlation id, or would refuse the token.
    pub refused: Option<ReasonView>,
    /// The grant; absent for what belongs to none.
    pub grant: Option<GrantView>,
    /// Where it was made.
    pub made_from: Option<PlaceView>,
    /// Where it was used last, and since when from there.
    pub used_from: Option<PlaceView>,
    /// Times that end something, in order.
    pub clocks: Vec<ClockView>,
    /// What happened, oldest first; of one request for a correlation id without a grant.
    pub events: Vec<EventLine>,
}

/// A token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its generation, where it has one.
    pub generation: Option<u32>,
    /// The grant's generation now.
    pub current: Option<u32>,
    /// What presenting it now would do: `rotated`, `retried`, `reused`, `redeemed`, `active`, or `refused`.
    pub now: String,
}

/// A reason, as `docs/reasons.md` has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReasonView {
    /// Its code.
    pub code: String,
    /// What the client hears.
    pub outside: String,
    /// What happened.
    pub happened: String,
    /// What would have been accepted, or what to do.
    pub accepted: String,
}

/// A place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlaceView {
    /// RFC 3339: since when.
    pub since: String,
    /// The network, shortened.
    pub network: String,
    /// The family of the program.
    pub agent: String,
}

/// A time that ends something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClockView {
    /// What it ends.
    pub ends: String,
    /// RFC 3339.
    pub at: String,
    /// Whether it is over.
    pub is_over: bool,
}

/// What a text names.
enum Named {
    Refresh(RefreshToken),
    Code(Code),
    Access(regrant_core::access::AccessToken),
    Grant(GrantId),
    Correlation(String),
}

impl Admin {
    /// Explains a token, a grant or a request.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] if nothing is known of it; [`AdminError::Invalid`] if it is nothing of ours.
    pub async fn explain(&self, text: &str) -> Result<Explanation, AdminError> {
        match self.named(text.trim())? {
            Named::Correlation(id) => self.explain_request(&id).await,
            Named::Grant(id) => {
                let found = self.row(id).await?;
                self.life("grant", &found, None, None).await
            }
            Named::Refresh(token) => {
                let found = self.row(token.grant).await?;
                let decision = self.would_refresh(&found, &token);
                let generation = Some(token.generation);
                let (now, refused) = outcome(decision, |refreshed| match refreshed.how {
                    How::Rotated => "rotated",
                    How::Retried => "retried",
                    How::Reused => "reused",
                });
                let view = TokenView { generation, current: Some(found.grant.generation), now };
                self.life("refresh_token", &found, Some(view), refused).await
            }
            Named::Code(code) => {
                let found = self.row(code.grant).await?;
                let (now, refused) = would_redeem(&found.grant, self.app.engine.now());
                let view = TokenView { generation: Some(0), current: Some(found.grant.generation), now };
                self.life("authorization_code", &found, Some(view), refused).await
            }
            Named::Access(token) => {
                let is_active = introspect::active(&self.app, &self.app.settings(), token.clone()).await?.is_some();
                let now = if is_active { "active" } else { "refused" }.to_owned();
                let refused = (!is_active).then(|| named_reason("invalid_bearer_token")).flatten();
                let generation = token.grant.map(|(_, generation)| generation);
                let Some((number, _)) = token.grant else {
                    let view = TokenView { generation, current: None, now };
                    return Ok(Explanation { token: Some(view), refused, ..Explanation::about("access_token") });
                };
                let found = introspect::by_number(&self.app, number).await?.ok_or_else(gone)?;
                let view = TokenView { generation, current: Some(found.grant.generation), now };
                let expires = Timestamp::from_millis(token.expires_at.saturating_mul(1000));
                let mut life = self.life("access_token", &found, Some(view), refused).await?;
                life.clocks.push(self.clock("this access token", expires));
                life.clocks.sort_by(|one, other| one.at.cmp(&other.at));
                Ok(life)
            }
        }
    }

    fn named(&self, text: &str) -> Result<Named, AdminError> {
        let keys = self.app.engine.keys();
        let is_correlation = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let found = match text {
            text if text.len() > MAX_TEXT => None,
            text if text.starts_with(REFRESH_PREFIX) => RefreshToken::open(text, &keys).map(Named::Refresh),
            text if text.starts_with(CODE_PREFIX) => Code::open(text, &keys).map(Named::Code),
            text if text.starts_with(ACCESS_PREFIX) || text.matches('.').count() == 2 => {
                introspect::open_access_token(&self.app, text).map(Named::Access)
            }
            text if is_correlation => Some(Named::Correlation(text.to_owned())),
            text => GrantId::parse(text, &keys).map(Named::Grant),
        };
        found.ok_or_else(|| {
            AdminError::Invalid(
                "it is no token that this server minted (or a character of it is wrong), no id of a grant and no correlation id"
                    .to_owned(),
            )
        })
    }

    async fn row(&self, id: GrantId) -> Result<Loaded, AdminError> {
        self.app.engine.load(id).await?.ok_or_else(gone)
    }

    /// The events of one request. If they tell of a grant, its life.
    async fn explain_request(&self, id: &str) -> Result<Explanation, AdminError> {
        let mut before = u64::MAX;
        let mut found = Vec::new();
        // A window at a time, so that no question keeps the writer from its refreshes.
        loop {
            let newest = EventFilter { before, limit: 1, ..EventFilter::default() };
            let Some(newest) = self.ask_events(newest).await?.pop() else { break };
            let after = newest.id.saturating_sub(WINDOW);
            let filter = EventFilter {
                correlation: Some(id.to_owned()),
                before: newest.id.saturating_add(1),
                after,
                limit: MOST_EVENTS,
                ..EventFilter::default()
            };
            found.extend(self.ask_events(filter).await?);
            if !found.is_empty() || after == 0 {
                break;
            }
            before = after.saturating_add(1);
        }
        if found.is_empty() {
            return Err(AdminError::NotFound(format!(
                "no event carries the correlation id {id}: its request changed nothing that is kept, or was one of many alike in its minute; \
                 the log line with it has the outcome"
            )));
        }
        found.sort_by_key(|event| event.id);
        let number = found.iter().find_map(|event| event.grant);
        let refused = found.iter().rev().find_map(|event| event.reason.as_deref()).and_then(named_reason);
        let told = match number {
            Some(number) => introspect::by_number(&self.app, number).await?,
            None => None,
        };
        match told {
            Some(row) => {
                let life = self.life("correlation_id", &row, None, None).await?;
                Ok(Explanation { refused, ..life })
            }
            None => {
                let events = self.lines(found).await?;
                Ok(Explanation { refused, events, ..Explanation::about("correlation_id") })
            }
        }
    }

    async fn life(
        &self,
        about: &str,
        found: &Loaded,
        token: Option<TokenView>,
        refused: Option<ReasonView>,
    ) -> Result<Explanation, AdminError> {
        let grant = &found.grant;
        let places = match self.app.engine.ask(Question::Places(grant.id.number)).await? {
            Answer::Places(places) => places,
            _ => None,
        };
        let question = Question::Events { grant: Some(grant.id.number), limit: MOST_EVENTS };
        let mut events = match self.app.engine.ask(question).await? {
            Answer::Events(events) => events,
            _ => Vec::new(),
        };
        events.reverse();
        Ok(Explanation {
            token,
            refused,
            grant: Some(self.grant_view(&found.grant, true).await?),
            made_from: places.as_ref().map(|places| place(&places.first)),
            used_from: places.as_ref().map(|places| place(&places.last)),
            clocks: self.clocks(grant),
            events: self.lines(events).await?,
            ..Explanation::about(about)
        })
    }

    /// Everything that ends, in order.
    fn clocks(&self, grant: &Grant) -> Vec<ClockView> {
        let kept = self.app.settings().config.events.tombstones_kept;
        let code = grant.terms.code.as_ref().filter(|_| grant.redeemed_at.is_none());
        let mut times = match (code, grant.ended) {
            (Some(code), None) => vec![("the authorization code", code.expires_at)],
            (_, Some((at, _))) => {
                vec![("the grant was ended", at), ("this explanation: the tombstone is removed", at.plus(kept))]
            }
            (None, None) => vec![
                ("the grant, without a refresh before", grant.idle_at),
                ("the grant, whatever is done", grant.absolute_at),
                ("this explanation: the tombstone is removed", grant.ends_at().plus(kept)),
            ],
        };
        if let Some(window) = self.retry_ends(grant).filter(|_| grant.ended.is_none()) {
            times.push(("the retry of the last refresh", window));
        }
        times.sort_by_key(|(_, at)| *at);
        times.into_iter().map(|(ends, at)| self.clock(ends, at)).collect()
    }

    /// Of plain public clients alone: for the others the predecessor can be presented for as long as the grant lives.
    fn retry_ends(&self, grant: &Grant) -> Option<Timestamp> {
        let client = self.app.client(grant.terms.client.as_str())?;
        let is_plain = client.is_public() && grant.ratchet.is_some() && grant.retry_proof.is_none();
        is_plain.then(|| grant.rotated_at.plus(client.policy.retry_window))
    }

    fn clock(&self, ends: &str, at: Timestamp) -> ClockView {
        ClockView { ends: ends.to_owned(), at: rfc3339(at), is_over: at.is_over(self.app.engine.now()) }
    }

    /// The rule's own word, as if its own client presented the token now, with the proof that it gave at the last refresh. What it
    /// would write is dropped.
    fn would_refresh(&self, found: &Loaded, token: &RefreshToken) -> Decision<refresh::Refreshed> {
        let (grant, keys) = (&found.grant, self.app.engine.keys());
        let Some(client) = self.app.client(grant.terms.client.as_str()) else {
            return Decision::refuse(Refusal::ClientDisabled);
        };
        decide(grant, found.subject, token, &client, &keys, self.app.engine.now())
    }
}

impl Explanation {
    fn about(what: &str) -> Self {
        Self {
            asked_about: what.to_owned(),
            token: None,
            refused: None,
            grant: None,
            made_from: None,
            used_from: None,
            clocks: Vec::new(),
            events: Vec::new(),
        }
    }
}

fn decide(
    grant: &Grant,
    subject: SubjectStatus,
    token: &RefreshToken,
    client: &Client,
    keys: &Keys,
    now: Timestamp,
) -> Decision<refresh::Refreshed> {
    let holder_key = match grant.terms.binding {
        regrant_core::grant::Binding::Key(key) => Some(key),
        regrant_core::grant::Binding::Bearer | regrant_core::grant::Binding::Client => None,
    };
    let request = refresh::Request {
        token,
        scope: None,
        resources: &Resources::default(),
        idempotency_key: grant.retry_proof,
        holder_key,
    };
    refresh::decide(Some((grant, subject)), &request, client, keys, now, &chance::entropy())
}

/// A code's other proofs are its client's to give: only what is known without them is told.
fn would_redeem(grant: &Grant, now: Timestamp) -> (String, Option<ReasonView>) {
    let expires_at = grant.terms.code.as_ref().map(|code| code.expires_at);
    let refusal = match (grant.ended, grant.redeemed_at, expires_at) {
        (Some((_, reason)), _, _) => Some(Refusal::Ended(reason)),
        (None, Some(at), _) if now.since(at) < redeem::DOUBLE_CLICK => Some(Refusal::CodeSpent),
        (None, Some(_), _) => Some(Refusal::CodeReplayed),
        (None, None, Some(at)) if at.is_over(now) => Some(Refusal::CodeExpired),
        (None, None, _) => None,
    };
    match refusal {
        None => ("redeemed".to_owned(), None),
        Some(refusal) => ("refused".to_owned(), Some(reason_view(&reasons::of(refusal)))),
    }
}

fn outcome<T>(decision: Decision<T>, how: impl FnOnce(&T) -> &'static str) -> (String, Option<ReasonView>) {
    match decision.outcome {
        Ok(outcome) => (how(&outcome).to_owned(), None),
        Err(refusal) => ("refused".to_owned(), Some(reason_view(&reasons::of(refusal)))),
    }
}

fn named_reason(code: &str) -> Option<ReasonView> {
    reasons::named(code).as_ref().map(reason_view)
}

fn reason_view(reason: &reasons::Reason) -> ReasonView {
    ReasonView {
        code: reason.code.to_owned(),
        outside: reason.outside.to_owned(),
        happened: reason.happened.to_owned(),
        accepted: reason.accepted.to_owned(),
    }
}

fn place(place: &Place) -> PlaceView {
    PlaceView { since: rfc3339(place.at), network: place.network.clone(), agent: place.agent.clone() }
}

fn gone() -> AdminError {
    AdminError::NotFound(
        "it is ours, and its grant is not there any more: its tombstone was removed, the store was set back, or its row was changed"
            .to_owned(),
    )
}
