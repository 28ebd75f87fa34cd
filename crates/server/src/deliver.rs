//! Telling others what happened: each event at least once and in order, to each webhook and to the file of JSON lines.
//!
//! Events are in the store, and so is how far each recipient has come: no queue is kept in memory, and no request ever waits for a
//! recipient. What a failure means:
//!
//! | what happens                             | then                                                                      |
//! |------------------------------------------|---------------------------------------------------------------------------|
//! | 2xx                                      | on to the next event                                                      |
//! | anything else                            | the same event again, after `backoff`, twice as long each time, with jitter |
//! | 4xx that is about the event, five times  | it goes to the dead letters, and the next one is tried                    |
//! | it is older than `give_up_after`         | the same                                                                  |
//! | the server stops or crashes              | up to 50 events come again: a recipient knows them by `webhook-id`        |
//! | retention removes what was not delivered | it is lost, and the log says how much                                     |
//! | a recovery opens a new era               | on from where the store says: positions of before are of another history  |
//!
//! A recipient that is new begins with what happens from then on.

pub(crate) mod logout;
pub(crate) mod recipient;

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use regrant_core::Timestamp;
use regrant_store::beside::{DeadLetter, Delivery};
use regrant_store::{Answer, ChainEnds, Question, Record, StoredEvent, Unavailable};
use tokio::task::JoinSet;

use crate::admin::AdminError;
use crate::app::App;
use crate::chance;
use recipient::{Failed, Recipient};

/// Events that are read, and delivered, before it is written down how far it went.
const PAGE: u32 = 50;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// So many refusals of one event, and it is the event.
const REFUSALS: u32 = 5;
/// When the store could not be asked.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest failure that is kept, in characters.
const MAX_FAILURE: usize = 200;

/// Runs for as long as the server does, for all recipients of the configuration of each moment.
pub(crate) async fn run(app: Arc<App>) {
    let mut reloaded = app.reloaded();
    let (mut tasks, mut running) = (JoinSet::new(), HashSet::new());
    loop {
        for name in recipient::names(&app.settings().config) {
            if running.insert(name.clone()) {
                tasks.spawn(follow(Arc::clone(&app), name));
            }
        }
        tokio::select! {
            changed = reloaded.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(Ok(ended)) = tasks.join_next(), if !tasks.is_empty() => {
                running.remove(&ended);
            }
        }
    }
}

/// What to do after a turn.
enum Turn {
    /// There may be more.
    Goes,
    /// All was delivered.
    Waits,
    /// The same event again, after this.
    Again(Duration),
}

/// One recipient, until it is no longer in the configuration. Returns its name.
async fn follow(app: Arc<App>, name: String) -> String {
    let (mut news, mut reloaded) = (app.engine.news(), app.reloaded());
    let mut progress = Progress::default();
    loop {
        news.mark_unchanged();
        let Some(recipient) = Recipient::named(&app.settings().config, &name) else {
            app.metrics.deliveries.forget(&name);
            return name;
        };
        let again = match progress.turn(&app, &recipient).await {
            Ok(Turn::Goes) => continue,
            Ok(Turn::Waits) => None,
            Ok(Turn::Again(wait)) => Some(wait),
            Err(trouble) => {
                tracing::warn!(recipient = %name, %trouble, "events could not be read or their delivery noted; nothing is lost");
                Some(PAUSE)
            }
        };
        let waits = async {
            match again {
                Some(wait) => tokio::time::sleep(wait).await,
                None if news.changed().await.is_err() => pending().await,
                None => {}
            }
        };
        tokio::select! {
            () = waits => {}
            _ = reloaded.changed() => {}
        }
    }
}

/// How far one recipient has come.
#[derive(Default)]
struct Progress {
    /// `None` until the store was asked.
    position: Option<u64>,
    /// Of which that is.
    era: u16,
    /// Failures of the event behind it.
    tries: u32,
}

impl Progress {
    async fn turn(&mut self, app: &Arc<App>, recipient: &Recipient) -> Result<Turn, AdminError> {
        let era = app.engine.keys().era();
        let ends = ends(app).await?;
        if self.era != era || self.position.is_some_and(|position| position > ends.newest.0) {
            *self = Self { era, ..Self::default() };
        }
        let mut position = match self.position {
            Some(position) => position,
            None => begin(app, recipient.name()).await?,
        };
        if ends.removed.0 > position {
            tracing::error!(
                recipient = recipient.name(),
                events = ends.removed.0 - position,
                "events were removed by retention before they could be delivered"
            );
            position = ends.removed.0;
        }
        self.position = Some(position);
        let page = read(app, position, PAGE).await?;
        let oldest = page.first().map(|event| event.at);
        app.metrics.deliveries.waiting(recipient.name(), ends.newest.0.saturating_sub(position), oldest);
        if page.is_empty() {
            return Ok(Turn::Waits);
        }
        let (times, lines): (Vec<Timestamp>, _) =
            (page.iter().map(|event| event.at).collect(), app.admin().lines(page).await?);
        if let Recipient::Lines(to) = recipient {
            let last = lines.last().map_or(position, |line| line.id);
            return match recipient::write_lines(to, &lines).await {
                Ok(()) => {
                    app.metrics.deliveries.sent(recipient.name(), true, lines.len() as u64);
                    self.come_to(app, recipient, last, None).await?;
                    Ok(Turn::Goes)
                }
                Err(failure) => Ok(self.failed(app, recipient, &failure)),
            };
        }
        let mut letters = None;
        for (line, at) in lines.iter().zip(times) {
            if recipient.wants(&line.kind)
                && let Err(failure) = recipient.send(app, line).await
            {
                let turn = self.failed(app, recipient, &failure);
                let age = app.engine.now().since(at);
                let is_refused = failure.is_about_the_event() && self.tries >= REFUSALS;
                if !is_refused && recipient.give_up_after().is_none_or(|most| age < most) {
                    self.come_to(app, recipient, line.id.saturating_sub(1).max(position), None).await?;
                    return Ok(turn);
                }
                tracing::error!(recipient = recipient.name(), event = line.id, %failure, "an event could not be delivered: it is among the dead letters (`regrant webhooks`)");
                let failure = failure.to_string().chars().take(MAX_FAILURE).collect();
                let letter =
                    DeadLetter { to: recipient.name().to_owned(), event: line.id, at: app.engine.now(), failure };
                app.metrics.deliveries.died(recipient.name());
                self.come_to(app, recipient, line.id, Some(letter)).await?;
                letters = Some(line.id);
            }
            self.tries = 0;
            position = line.id;
        }
        if letters != Some(position) {
            self.come_to(app, recipient, position, None).await?;
        }
        Ok(Turn::Goes)
    }

    /// One more failure of the same event.
    fn failed(&mut self, app: &App, recipient: &Recipient, failure: &Failed) -> Turn {
        self.tries = self.tries.saturating_add(1);
        app.metrics.deliveries.sent(recipient.name(), false, 1);
        let wait = wait(recipient.backoff(), self.tries);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(recipient = recipient.name(), tries = self.tries, %failure, again_in_ms = millis, "an event could not be delivered");
        Turn::Again(wait)
    }

    /// Durable before the next event is read.
    async fn come_to(
        &mut self,
        app: &App,
        recipient: &Recipient,
        position: u64,
        letter: Option<DeadLetter>,
    ) -> Result<(), Unavailable> {
        if self.position == Some(position) && letter.is_none() {
            return Ok(());
        }
        let mut records = vec![Record::PutDelivery(Delivery { to: recipient.name().to_owned(), position })];
        records.extend(letter.map(Record::PutDeadLetter));
        app.engine.commit(records).await?;
        self.position = Some(position);
        Ok(())
    }
}

/// Where a recipient goes on: where it was, or with what comes next if it is new.
async fn begin(app: &App, name: &str) -> Result<u64, Unavailable> {
    if let Some(known) = deliveries(app).await?.into_iter().find(|known| known.to == name) {
        return Ok(known.position);
    }
    let position = ends(app).await?.newest.0;
    app.engine.commit(vec![Record::PutDelivery(Delivery { to: name.to_owned(), position })]).await?;
    Ok(position)
}

/// The `tries`th wait: twice as long each time, and between half of it and all of it, so that many do not come at once.
fn wait(backoff: Duration, tries: u32) -> Duration {
    let doubled = backoff.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    let longest = doubled.min(LONGEST_WAIT);
    let [draw] = chance::bytes::<1>();
    longest / 2 + (longest / 2).mul_f64(f64::from(draw) / 255.0)
}

/// The ends of the chain.
pub(crate) async fn ends(app: &App) -> Result<ChainEnds, Unavailable> {
    match app.engine.ask(Question::Chain).await? {
        Answer::Chain(ends) => Ok(ends),
        _ => Err(nonsense()),
    }
}

/// Events behind a position, in order.
pub(crate) async fn read(app: &App, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Unavailable> {
    match app.engine.ask(Question::EventsAfter { after, limit }).await? {
        Answer::Events(events) => Ok(events),
        _ => Err(nonsense()),
    }
}

/// How far each recipient has come.
pub(crate) async fn deliveries(app: &App) -> Result<Vec<Delivery>, Unavailable> {
    match app.engine.ask(Question::Deliveries).await? {
        Answer::Deliveries(deliveries) => Ok(deliveries),
        _ => Err(nonsense()),
    }
}

fn nonsense() -> Unavailable {
    Unavailable { cause: regrant_store::Cause::Damaged, detail: "the store answers another question".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_about_twice_as_long_and_at_most_an_hour() {
        let second = Duration::from_secs(1);
        for (tries, longest) in [(1, 1), (2, 2), (5, 16), (13, 3600), (200, 3600)] {
            let waited = wait(second, tries);
            let longest = Duration::from_secs(longest);
            assert!(longest / 2 <= waited && waited <= longest, "{tries}: {waited:?}");
        }
    }
}
