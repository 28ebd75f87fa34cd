//! Wide revocations that are final are written into the rows they cover, a slice at a time, and then forgotten: so their number stays
//! small, whatever happens to how many people. Were this never to run, every answer would be the same, and there would be no room for more
//! one day.

use std::time::Duration;

use regrant_core::client::GrantType;
use regrant_core::{Epoch, Grant, Timestamp};
use regrant_store::{Answer, Question, Record, Unavailable};

use crate::app::App;
use crate::chance;

/// Access tokens without a grant know of a revocation by its row alone: it is kept for as long as they can live, and a day at the least.
const LEAST_KEPT: Duration = Duration::from_secs(86_400);

/// Those that were final when a pass began: a grant made later is none of theirs.
pub(super) struct Settled {
    epochs: Vec<Epoch>,
    /// Whether every row was written that had to be.
    pub(super) is_complete: bool,
}

impl Settled {
    pub(super) async fn begin(app: &App) -> Result<Self, Unavailable> {
        let now = app.engine.now();
        let mut epochs = match app.engine.ask(Question::Epochs).await? {
            Answer::Epochs { epochs, .. } => epochs,
            _ => Vec::new(),
        };
        // One that can be taken back stays what it is; of those taken back nobody can change his mind.
        epochs.retain(|epoch| !epoch.can_be_undone(now));
        Ok(Self { epochs, is_complete: true })
    }

    /// The row as it is to be written, if one of them ends it.
    pub(super) fn ends(&self, grant: &Grant) -> Option<Grant> {
        if grant.ended.is_some() {
            return None;
        }
        let epoch = self.epochs.iter().find(|epoch| epoch.covers(grant))?;
        let write_id = chance::entropy().write_id();
        let row = Grant { ratchet: None, version: grant.version + 1, write_id, ..grant.clone() };
        Some(row.seen_under(Some(epoch.covered())))
    }

    /// Forgets those that have done their work.
    pub(super) async fn forget(self, app: &App) -> Result<u64, Unavailable> {
        if !self.is_complete {
            return Ok(0);
        }
        let (now, kept) = (app.engine.now(), longest_access_token(app).max(LEAST_KEPT));
        let in_browsers = longest_in_browsers(app);
        let numbers: Vec<u64> = self
            .epochs
            .iter()
            .filter(|epoch| is_done(epoch, in_browsers, kept, now))
            .map(|epoch| epoch.number)
            .collect();
        let forgotten = numbers.len() as u64;
        if forgotten > 0 {
            app.engine.commit(vec![Record::ForgetEpochs { numbers }]).await?;
        }
        Ok(forgotten)
    }
}

/// Those of a key concern no token without a grant, and those of a session only what the implicit grant gave in it.
fn is_done(epoch: &Epoch, in_browsers: Duration, kept: Duration, now: Timestamp) -> bool {
    let selector = &epoch.selector;
    let kept = match (selector.tag_key, selector.session) {
        (Some(_), _) => Duration::ZERO,
        (None, Some(_)) => in_browsers,
        (None, None) => kept,
    };
    epoch.at.plus(kept).is_over(now)
}

/// How long a token lives that a browser carries: not at all, where no client has the implicit grant.
fn longest_in_browsers(app: &App) -> Duration {
    let settings = app.settings();
    let implicit = settings.clients.all().filter(|client| client.grant_types.contains(&GrantType::Implicit));
    implicit.map(|client| client.policy.access_token_lifetime).max().unwrap_or_default()
}

fn longest_access_token(app: &App) -> Duration {
    let settings = app.settings();
    settings.clients.all().map(|client| client.policy.access_token_lifetime).max().unwrap_or_default()
}
