//! Those to whom events are delivered: how far each is, what could not be delivered, and one more try for it.

use regrant_store::beside::DeadLetter;
use regrant_store::{Answer, Question, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, rfc3339};
use crate::deliver;
use crate::deliver::recipient::{self, LINES, Recipient};

/// The most dead letters that are shown, tried again or dropped at once.
const MOST: u32 = 1000;

/// A recipient, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WebhookView {
    /// Its name; `json lines` for the file.
    pub name: String,
    /// Its URL, or the file.
    pub to: String,
    /// The kinds that it hears of; empty for all.
    pub kinds: Vec<String>,
    /// Up to which position everything was delivered or given up; absent before its first start.
    pub position: Option<u64>,
    /// Positions from there to the newest event.
    pub waiting: u64,
    /// RFC 3339: when the oldest event happened that waits.
    pub oldest_waiting_at: Option<String>,
    /// What could not be delivered, at most 1000.
    pub dead_letters: Vec<DeadLetterView>,
}

/// An event that was given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterView {
    /// Its position.
    pub event: u64,
    /// RFC 3339: when it was given up.
    pub at: String,
    /// Why.
    pub failure: String,
}

/// What became of dead letters.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Retried {
    /// Delivered now.
    pub delivered: u64,
    /// Dropped: by the operator, or because retention has removed the event.
    pub dropped: u64,
    /// Still there.
    pub left: u64,
    /// Why the first of those is still there.
    pub failure: Option<String>,
}

impl Admin {
    /// All recipients of the configuration, in its order.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, AdminError> {
        let config = self.app.settings().config.clone();
        let (ends, known) = (deliver::ends(&self.app).await?, deliver::deliveries(&self.app).await?);
        let mut views = Vec::new();
        for name in recipient::names(&config) {
            let Some(recipient) = Recipient::named(&config, &name) else { continue };
            let position = known.iter().find(|known| known.to == name).map(|known| known.position);
            let oldest = match position {
                Some(position) => deliver::read(&self.app, position, 1).await?.pop(),
                None => None,
            };
            let letters = self.dead_letters(&name).await?;
            views.push(WebhookView {
                to: recipient.place(),
                kinds: recipient.kinds().to_vec(),
                position,
                waiting: position.map_or(0, |position| ends.newest.0.saturating_sub(position)),
                oldest_waiting_at: oldest.map(|event| rfc3339(event.at)),
                dead_letters: letters
                    .into_iter()
                    .map(|letter| DeadLetterView {
                        event: letter.event,
                        at: rfc3339(letter.at),
                        failure: letter.failure,
                    })
                    .collect(),
                name,
            });
        }
        Ok(views)
    }

    /// One more try for the dead letters of a webhook, in order, until one fails.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] if the configuration has no such webhook.
    pub async fn retry_webhook(&self, name: &str) -> Result<Retried, AdminError> {
        let config = self.app.settings().config.clone();
        let missing = || AdminError::NotFound(format!("there is no [[webhook]] {name}"));
        let recipient = Recipient::named(&config, name).filter(|_| name != LINES).ok_or_else(missing)?;
        let letters = self.dead_letters(name).await?;
        let mut retried = Retried::default();
        for letter in &letters {
            let found = deliver::read(&self.app, letter.event.saturating_sub(1), 1).await?;
            let found: Vec<_> = found.into_iter().filter(|event| event.id == letter.event).collect();
            match self.lines(found).await?.pop() {
                None => retried.dropped += 1,
                Some(line) => match recipient.send(&self.app, &line).await {
                    Ok(()) => retried.delivered += 1,
                    Err(failure) => {
                        retried.failure = Some(failure.to_string());
                        break;
                    }
                },
            }
            // Told with the first that goes: from then on something has changed.
            let is_first = retried.delivered + retried.dropped == 1;
            let told = is_first.then(|| self.note(format!("dead letters of webhook {name} tried again")));
            self.app.engine.commit(std::iter::once(remove(letter)).chain(told).collect()).await?;
        }
        retried.left = letters.len() as u64 - retried.delivered - retried.dropped;
        Ok(retried)
    }

    /// Lets the dead letters of a recipient go; also of one that is no longer in the configuration.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn drop_dead_letters(&self, name: &str) -> Result<Retried, AdminError> {
        let letters = self.dead_letters(name).await?;
        let dropped = letters.len() as u64;
        if dropped > 0 {
            let mut records: Vec<Record> = letters.iter().map(remove).collect();
            records.push(self.note(format!("{dropped} dead letters of webhook {name} dropped")));
            self.app.engine.commit(records).await?;
        }
        Ok(Retried { dropped, ..Retried::default() })
    }

    async fn dead_letters(&self, to: &str) -> Result<Vec<DeadLetter>, AdminError> {
        match self.app.engine.ask(Question::DeadLetters { to: to.to_owned(), limit: MOST }).await? {
            Answer::DeadLetters(letters) => Ok(letters),
            _ => Ok(Vec::new()),
        }
    }
}

fn remove(letter: &DeadLetter) -> Record {
    Record::RemoveDeadLetter { to: letter.to.clone(), event: letter.event }
}
