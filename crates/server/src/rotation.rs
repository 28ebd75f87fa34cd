//! Carrying out the steps of the keys' lives in a running server: by schedule, and at an operator's word.
//!
//! | a crash …                | finds at the next start                                             |
//! |--------------------------|---------------------------------------------------------------------|
//! | before the commit        | the keys as they were; the new key was never used and is forgotten  |
//! | after it                 | the new keys; nothing had been minted under them, which is no loss  |
//!
//! Steps are carried out one after the other, each in one commit, while the keyring is held. Reading requests never wait for it:
//! they take the keys of their moment.

use std::sync::Arc;
use std::time::Duration;

use regrant_core::EventKind;
use regrant_core::decision::Event;
use regrant_jose::{KeyError, SigningKey};
use regrant_store::{Answer, EventRecord, KeyKind, Outcome, Question, Record};
use tokio::sync::MutexGuard;

use crate::admin::Acting;
use crate::app::App;
use crate::keyring::schedule::Lifetimes;
use crate::keyring::step::{LAST_ID, Step};
use crate::keyring::{Keyring, KeyringError};

/// Between two looks at the schedule.
const REST: Duration = Duration::from_secs(60);
/// An operator who does not listen is told once a day.
const ALARM_AGAIN: Duration = Duration::from_secs(86_400);

/// Runs for as long as the server does.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        if let Err(trouble) = tend(&app).await {
            tracing::error!(%trouble, "the keys could not be rotated; the old ones stay in use");
        }
        tokio::time::sleep(REST).await;
    }
}

/// Who wants a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By<'a> {
    /// Nobody in particular.
    Schedule,
    /// Somebody, who finds it among the events.
    Operator(&'a Acting),
}

/// Carries out what is due by the engine's clock, and tells how many steps that were.
///
/// # Errors
/// [`KeyringError`]; the steps before the one that failed stand, and the next round goes on.
pub async fn tend(app: &App) -> Result<usize, KeyringError> {
    let mut keyring = app.keyring.lock().await;
    take_over_from_store(app, &mut keyring).await?;
    let settings = app.settings();
    let lifetimes = settings.lifetimes();
    let mut done = 0;
    for step in keyring.due(&settings.config.keys, &lifetimes, app.engine.now()) {
        match carry_out(app, &mut keyring, &step, &lifetimes, By::Schedule).await {
            Ok(note) => {
                done += 1;
                tracing::info!(step = %note, "key step by schedule");
            }
            Err(error @ (KeyringError::IdsUsedUp(kind) | KeyringError::NoIdLeft(kind))) => {
                alarm(app, &mut keyring, kind, error.to_string()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Takes over what another node has made durable: rows of keys, and the era.
///
/// # Errors
/// [`KeyringError`]; the keys stay as they were, and are asked for again.
pub(crate) async fn follow(app: &App) -> Result<(), KeyringError> {
    let mut keyring = app.keyring.lock().await;
    if let Answer::Deployment(Some(found)) = app.engine.ask(Question::Deployment).await?
        && (found.era, found.recovery) != (keyring.deployment.era, keyring.deployment.recovery)
    {
        keyring.deployment = found;
        app.engine.replace_keys(keyring.decision_keys()?);
        tracing::warn!(era = found.era, "another node has opened a new era");
    }
    take_over_from_store(app, &mut keyring).await
}

/// Makes what these clients need before they are served: a key of each algorithm, and knowledge of how long their tokens live.
/// The keyring is to be held until they are served: a round of [`tend`] in between would know only the clients of before, and
/// could withdraw what was just made.
///
/// # Errors
/// [`KeyringError`]; the clients should then not be served.
pub(crate) async fn prepare<'a>(app: &'a App, lifetimes: &Lifetimes) -> Result<MutexGuard<'a, Keyring>, KeyringError> {
    let mut keyring = app.keyring.lock().await;
    for step in keyring.missing(lifetimes) {
        carry_out(app, &mut keyring, &step, lifetimes, By::Schedule).await?;
    }
    Ok(keyring)
}

/// Plans a step, makes it durable, and lets it take effect; the answer says in words what was done.
pub(crate) async fn carry_out(
    app: &App,
    keyring: &mut Keyring,
    step: &Step,
    lifetimes: &Lifetimes,
    by: By<'_>,
) -> Result<String, KeyringError> {
    let made = match keyring.pair_needed(step) {
        // An RSA key takes a second or more: neither the writer nor a thread of requests waits for it.
        Some(algorithm) => {
            let made = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
            Some(made.unwrap_or(Err(KeyError::Generation)).map_err(|error| KeyringError::Crypto(error.to_string()))?)
        }
        None => None,
    };
    let planned = keyring.plan(step, made.as_ref(), lifetimes, app.engine.now())?;
    // Everything that can fail comes before the commit.
    let next = keyring.with(planned.rows())?;
    let (keys, signing) = (next.decision_keys()?, next.signing()?);
    let note = planned.note;
    let mut events = Vec::new();
    // A seed key a day is no news.
    let is_routine = by == By::Schedule && planned.changes.iter().all(|change| change.key.kind == KeyKind::Seed);
    if !note.is_empty() && !is_routine {
        events.push(match by {
            By::Schedule => event(app, EventKind::Admin, note.clone()),
            By::Operator(acting) => by_operator(app, acting, note.clone()),
        });
    }
    if let Some(kind) = planned.runs_out {
        let used = planned.changes.iter().map(|change| change.key.id).max().unwrap_or(0);
        let detail =
            format!("{used} of {LAST_ID} {kind} key ids are used, and an id is never used twice: rotate less often");
        tracing::error!(%kind, used, "key ids run out");
        events.push(event(app, EventKind::Alarm, detail));
    }
    let record = Record::Keys { changes: planned.changes, events };
    match app.engine.commit(vec![record]).await?.first() {
        Some(Outcome::Committed) => {}
        Some(Outcome::Stale) | None => {
            take_over_from_store(app, keyring).await?;
            return Err(KeyringError::Changed);
        }
    }
    // Durable from here.
    *keyring = next;
    app.engine.replace_keys(keys);
    app.replace_signing(signing);
    Ok(note)
}

/// What is durable counts: the commit of a step whose caller went away, and another process's.
async fn take_over_from_store(app: &App, keyring: &mut Keyring) -> Result<(), KeyringError> {
    let mut changed = Vec::new();
    for kind in KeyKind::ALL {
        if let Answer::Keys(rows) = app.engine.ask(Question::Keys(kind)).await? {
            changed.extend(rows.into_iter().filter(|row| keyring.rows().get(&(kind, row.id)) != Some(row)));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let next = keyring.with(changed)?;
    let (keys, signing) = (next.decision_keys()?, next.signing()?);
    *keyring = next;
    app.engine.replace_keys(keys);
    app.replace_signing(signing);
    Ok(())
}

async fn alarm(app: &App, keyring: &mut Keyring, kind: KeyKind, detail: String) -> Result<(), KeyringError> {
    let now = app.engine.now();
    if keyring.alarmed_at.get(&kind).is_some_and(|told| !told.plus(ALARM_AGAIN).is_over(now)) {
        return Ok(());
    }
    tracing::error!(%kind, "{detail}");
    app.engine.commit(vec![Record::Event(event(app, EventKind::Alarm, detail))]).await?;
    keyring.alarmed_at.insert(kind, now);
    Ok(())
}

fn by_operator(app: &App, acting: &Acting, note: String) -> EventRecord {
    let mut told = event(app, EventKind::Admin, acting.told(note));
    told.event.client = acting.client();
    told.correlation.clone_from(&acting.correlation);
    told
}

fn event(app: &App, kind: EventKind, detail: String) -> EventRecord {
    let event = Event { kind, grant: None, client: None, subject: None, detail };
    EventRecord { at: app.engine.now(), event, correlation: String::new() }
}
