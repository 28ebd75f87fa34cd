//! What happened: events by kind, user, client and time, newest first.
//!
//! The store is asked for one window of positions after the other, so that no question keeps the writer from its refreshes, however
//! rare what is looked for.

use std::collections::HashMap;

use regrant_core::EventKind;
use regrant_core::grant::EndReason;
use regrant_core::{GrantId, Link, Refusal, Timestamp};
use regrant_store::{Answer, EventFilter, Question, StoredEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, rfc3339};
use crate::config::duration;

/// The positions that one question looks through.
const WINDOW: u64 = 5_000;
/// The most events of one answer.
pub const MOST_EVENTS: u32 = 10_000;

/// The words for all kinds of event.
pub const EVENT_KINDS: [&str; 13] = [
    EventKind::GrantCreated.as_str(),
    EventKind::GrantEnded(EndReason::RevokedByOperator).as_str(),
    EventKind::Straggler.as_str(),
    EventKind::ReplayRefused.as_str(),
    EventKind::Refused(Refusal::Replayed).as_str(),
    EventKind::HookDenied.as_str(),
    EventKind::Alarm.as_str(),
    EventKind::Login.as_str(),
    EventKind::LoginFailed.as_str(),
    EventKind::Logout.as_str(),
    EventKind::LogoutUndelivered.as_str(),
    EventKind::Consent.as_str(),
    EventKind::Admin.as_str(),
];

/// Which events to list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EventsWanted {
    /// Only of this kind, one of [`EVENT_KINDS`].
    pub kind: Option<String>,
    /// Only about the user of this name.
    pub user: Option<String>,
    /// Only of this client.
    pub client: Option<String>,
    /// Only since then: `2h`, `7d`, or a time as `2026-11-24T01:30:00Z`.
    pub since: Option<String>,
    /// Only after this position; 0 for all.
    #[serde(default)]
    pub after: u64,
    /// Only before this position; 0 for the newest.
    pub before: u64,
    /// At most this many.
    pub limit: u32,
}

/// An event, as it is listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// Its position, never used twice: where the next page begins.
    pub id: u64,
    /// RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// The stable reason code.
    pub reason: Option<String>,
    /// The grant, as `regrant grants show` takes it; absent if it is gone.
    pub grant: Option<String>,
    /// The client that asked.
    pub client: Option<String>,
    /// The user's `sub`.
    pub subject: Option<String>,
    /// The user's name, if the user is there.
    pub user: Option<String>,
    /// For people.
    pub detail: String,
    /// What the client was told in the answer.
    pub correlation: String,
    /// Its link in the chain of events, 64 hexadecimal digits.
    pub link: Option<String>,
}

impl Admin {
    /// Failed log-ins and alarms, newest first: among them the one that says that the passwords of an account are being guessed.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn attacks(&self, limit: u32) -> Result<Vec<EventLine>, AdminError> {
        let mut found = Vec::new();
        for kind in [EventKind::LoginFailed, EventKind::Alarm] {
            let kind = Some(kind.as_str().to_owned());
            found.extend(self.events(&EventsWanted { kind, limit, ..EventsWanted::default() }).await?);
        }
        found.sort_by_key(|event| std::cmp::Reverse(event.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a kind or a time that is none, [`AdminError::NotFound`] for a user who is not there.
    pub async fn events(&self, wanted: &EventsWanted) -> Result<Vec<EventLine>, AdminError> {
        let found = self.find_events(wanted).await?;
        self.lines(found).await
    }

    /// These events as they are listed.
    pub(crate) async fn lines(&self, found: Vec<StoredEvent>) -> Result<Vec<EventLine>, AdminError> {
        let (mut grants, mut users) = (HashMap::new(), HashMap::new());
        let mut lines = Vec::with_capacity(found.len());
        for event in found {
            let grant = match event.grant {
                Some(number) => self.known_grant(number, &mut grants).await?,
                None => None,
            };
            let user = match &event.subject {
                Some(subject) => self.known_user(subject, &mut users).await?,
                None => None,
            };
            let StoredEvent { id, at, kind, reason, client, subject, detail, correlation, link, .. } = event;
            lines.push(EventLine {
                id,
                at: rfc3339(at),
                kind,
                reason,
                grant,
                client,
                subject,
                user,
                detail,
                correlation,
                link: link.as_ref().map(Link::hex),
            });
        }
        Ok(lines)
    }

    async fn find_events(&self, wanted: &EventsWanted) -> Result<Vec<StoredEvent>, AdminError> {
        if let Some(kind) = wanted.kind.as_deref().filter(|kind| !EVENT_KINDS.contains(kind)) {
            let known = EVENT_KINDS.join(", ");
            return Err(AdminError::Invalid(format!("{kind:?} is no kind of event; the kinds are {known}")));
        }
        let subject = match &wanted.user {
            Some(name) => Some(self.user(name).await?.subject),
            None => None,
        };
        let since = wanted.since.as_deref().map(|text| since(text, self.app.engine.now())).transpose()?;
        let limit = usize::try_from(wanted.limit.min(MOST_EVENTS)).unwrap_or(0);
        let mut before = if wanted.before == 0 { u64::MAX } else { wanted.before };
        let mut found = Vec::new();
        while found.len() < limit {
            // The newest event below tells where the window is; where there is none, all was seen.
            let newest = EventFilter { before, limit: 1, ..EventFilter::default() };
            let Some(newest) = self.ask_events(newest).await?.pop() else { break };
            if newest.id <= wanted.after || since.is_some_and(|since| newest.at < since) {
                break;
            }
            let filter = EventFilter {
                kind: wanted.kind.clone(),
                client: wanted.client.clone(),
                subject: subject.clone(),
                correlation: None,
                since,
                before: newest.id.saturating_add(1),
                after: newest.id.saturating_sub(WINDOW).max(wanted.after),
                limit: u32::try_from(limit - found.len()).unwrap_or(MOST_EVENTS),
            };
            before = newest.id.saturating_sub(WINDOW).saturating_add(1);
            found.extend(self.ask_events(filter).await?);
        }
        Ok(found)
    }

    pub(super) async fn ask_events(&self, filter: EventFilter) -> Result<Vec<StoredEvent>, AdminError> {
        match self.app.engine.ask(Question::FindEvents(filter)).await? {
            Answer::Events(events) => Ok(events),
            _ => Ok(Vec::new()),
        }
    }

    async fn known_grant(
        &self,
        number: u64,
        known: &mut HashMap<u64, Option<String>>,
    ) -> Result<Option<String>, AdminError> {
        if let Some(known) = known.get(&number) {
            return Ok(known.clone());
        }
        let question = Question::Grants { client: None, subject: None, after: number.saturating_sub(1), limit: 1 };
        let id: Option<GrantId> = match self.app.engine.ask(question).await? {
            Answer::Grants(grants) => grants.first().map(|found| found.grant.id).filter(|id| id.number == number),
            _ => None,
        };
        let shown = id.map(|id| id.display(&self.app.engine.keys()));
        known.insert(number, shown.clone());
        Ok(shown)
    }

    async fn known_user(
        &self,
        subject: &str,
        known: &mut HashMap<String, Option<String>>,
    ) -> Result<Option<String>, AdminError> {
        if let Some(known) = known.get(subject) {
            return Ok(known.clone());
        }
        let name = match self.app.engine.ask(Question::UserBySubject(subject.to_owned())).await? {
            Answer::User(user) => user.map(|user| user.name),
            _ => None,
        };
        known.insert(subject.to_owned(), name.clone());
        Ok(name)
    }
}

/// A span of time before now, or a point in time.
pub(super) fn since(text: &str, now: Timestamp) -> Result<Timestamp, AdminError> {
    if let Some(span) = duration::parse(text) {
        return Ok(now.minus(span));
    }
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(|at| Timestamp::from_millis(at.as_millisecond())).map_err(|_| {
        AdminError::Invalid(format!("{text:?} is no time; write it like \"2h\", \"7d\" or \"2026-11-24T01:30:00Z\""))
    })
}
