//! What other nodes change, followed (a store that many share; check Z12).
//!
//! Polling is the truth. What restricts is read with each batch, inside the store; the rest is copies, and may be behind by [`REST`]:
//!
//! | copy                       | until it is renewed                                                                        |
//! |----------------------------|--------------------------------------------------------------------------------------------|
//! | clients                    | a client that was removed or changed elsewhere is served as before; its grants have ended at once, for that is a wide revocation |
//! | keys that are derived      | the next one of each kind verifies before it is known ([`Keyring::decision_keys`](crate::keyring::Keyring::decision_keys)) |
//! | seed keys                  | a retry that needs one is answered with 503                                                |
//! | signing keys               | those of the schedule are published long before they sign                                   |
//! | the era, and what was lost | tokens of the era before are judged as before                                              |
//!
//! One node at a time has the [duty](on_duty) of what would otherwise be done many times over: the sweep, the keys' schedule, deliveries.
//! Nobody is elected: time is cut into turns, and whoever uses up the turn's one-time value has it. A node that dies is missed for the
//! rest of its turn.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use regrant_core::Timestamp;
use regrant_store::{Answer, Changes, Outcome, Question, Record};
use tokio::task::JoinSet;

use crate::app::App;
use crate::{deliver, rotation, sweep};

/// Between two looks.
const REST: Duration = Duration::from_millis(400);
/// How long a turn is, in milliseconds.
const TURN: i64 = 20_000;
/// Whoever has the duty takes the next turn so long before its beginning.
const EARLY: i64 = 5_000;

/// Runs for as long as the server does.
pub(crate) async fn run(app: Arc<App>) {
    // Whatever was read at the start may have been changed since.
    let mut known = None;
    loop {
        match look(&app, known).await {
            Ok(changes) => known = Some(changes),
            Err(trouble) => {
                tracing::warn!(%trouble, "what other nodes have changed could not be read; it is asked for again");
            }
        }
        tokio::time::sleep(REST).await;
    }
}

/// One look, and what it says is taken over. What could not be taken over is looked at again.
async fn look(app: &App, known: Option<Changes>) -> Result<Changes, String> {
    let changes = match app.engine.ask(Question::Changes).await {
        Ok(Answer::Changes(changes)) => changes,
        Ok(_) => return Err("the store answers another question".to_owned()),
        Err(trouble) => return Err(trouble.to_string()),
    };
    let is_new = |of: fn(&Changes) -> u64| known.as_ref().is_none_or(|known| of(known) != of(&changes));
    if is_new(|changes| changes.keys) || is_new(|changes| u64::from(changes.era)) {
        rotation::follow(app).await.map_err(|error| error.to_string())?;
    }
    if is_new(|changes| changes.clients) {
        app.follow_clients().await.map_err(|error| error.to_string())?;
    }
    Ok(changes)
}

/// Does what one node does for all, while it is this one's turn.
pub(crate) async fn on_duty(app: Arc<App>) {
    let mut duties = JoinSet::new();
    let mut had = None;
    loop {
        let now = app.engine.now().millis();
        let turn = now.div_euclid(TURN);
        let until_next = (turn + 1) * TURN - now;
        let wanted = match had {
            Some(mine) if mine == turn && until_next <= EARLY => turn + 1,
            Some(mine) if mine >= turn => {
                tokio::time::sleep(wait(until_next - EARLY)).await;
                continue;
            }
            _ => turn,
        };
        match take(&app, wanted).await {
            true => {
                had = Some(wanted);
                if duties.is_empty() {
                    begin(&app, &mut duties);
                }
            }
            false if wanted > turn => {
                // Somebody else was first with the next one: this one is still ours.
                tokio::time::sleep(wait(until_next)).await;
            }
            false => {
                had = None;
                duties.shutdown().await;
                tokio::time::sleep(wait(until_next)).await;
            }
        }
    }
}

fn begin(app: &Arc<App>, duties: &mut JoinSet<()>) {
    duties.spawn(sweep::run(Arc::clone(app)));
    duties.spawn(rotation::run(Arc::clone(app)));
    duties.spawn(deliver::run(Arc::clone(app)));
    duties.spawn(deliver::logout::run(Arc::clone(app)));
}

/// Uses up what only one can use: that of this turn.
async fn take(app: &App, turn: i64) -> bool {
    let mut key = [0; 32];
    let name = format!("regrant duty {turn}");
    key.copy_from_slice(digest::digest(&digest::SHA256, name.as_bytes()).as_ref());
    let expires_at = Timestamp::from_millis(turn.saturating_add(10).saturating_mul(TURN));
    match app.engine.commit(vec![Record::UseOnce { key, expires_at }]).await {
        Ok(outcomes) => outcomes == [Outcome::Committed],
        Err(trouble) => {
            tracing::warn!(%trouble, "the duty of this turn could not be taken");
            false
        }
    }
}

fn wait(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(10))
}
