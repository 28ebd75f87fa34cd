//! What an operator is told of attacks: failed log-ins, at most one a minute and user, and alarms.

use regrant_core::EventKind;
use regrant_store::{Answer, Question};

use super::{Admin, AdminError, EventView, event_view};

/// The most events that are looked through.
const MOST: u32 = 10_000;

impl Admin {
    /// Failed log-ins and alarms, newest first: among them the one that says that the passwords of an account are being guessed.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn attacks(&self, limit: u32) -> Result<Vec<EventView>, AdminError> {
        let question = Question::Events { grant: None, limit: MOST };
        let Answer::Events(events) = self.app.engine.ask(question).await? else { return Ok(Vec::new()) };
        let kinds = [EventKind::LoginFailed, EventKind::Alarm].map(EventKind::as_str);
        let told = events.iter().filter(|event| kinds.contains(&event.kind.as_str()));
        Ok(told.take(usize::try_from(limit).unwrap_or(usize::MAX)).map(event_view).collect())
    }
}
