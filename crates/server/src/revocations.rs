//! How resource servers that validate JWTs by themselves hear of what is over: a feed of deltas, and status lists
//! (draft-ietf-oauth-status-list).
//!
//! | path                           | says                                                            | as                        |
//! |--------------------------------|-----------------------------------------------------------------|---------------------------|
//! | `/oauth2/revocations?since=C`  | what has come since the cursor C: grants, tokens, wide revocations | `revocations+jwt`      |
//! | `/oauth2/status-lists/{name}`  | of 65,536 grants, which have ended: a bit each                  | `statuslist+jwt`          |
//!
//! The truth is the store: a row in `revocations` is written in the transaction that ends something, and read from there by its
//! position. What is held here is a copy that is begun anew at each start, caught up with at most once a second, and as large as
//! what has ended within the longest life of an access token; older rows concern no token, and the sweep removes them. A request
//! costs at most one read by primary key and one signature, whatever the number of grants.
//!
//! What a reader learns: how many grants end, and when; of a grant only the place that its own tokens name (`core/status.rs`); of a
//! user only a hash of `sub`, which says something to those who have seen a token of his.

mod endpoint;
mod index;
mod told;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrant_core::status::Place;
use regrant_core::{Keys, Timestamp};
use regrant_store::{Answer, Question, Revocation, Revoked, TokenSelector, Unavailable};

use crate::app::App;
use crate::config::LONGEST_ACCESS_TOKEN;
use index::Index;

pub(crate) use endpoint::{feed, lists, status_list};

/// How old the copy may be.
const FRESH: Duration = Duration::from_secs(1);
/// Rows of one read.
const PAGE: u32 = 4096;
/// The most grants of one user that are looked up for the status lists.
const MAX_GRANTS_OF_A_USER: usize = 16_384;

/// The copy, and who is at work on it.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    index: Mutex<Index>,
    reading: tokio::sync::Mutex<()>,
}

impl Feed {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is new, unless that was done within the last second. One reads at a time; the others wait for him.
    async fn catch_up(&self, app: &App) -> Result<(), Unavailable> {
        app.engine.check()?;
        if self.index().is_fresh(app.engine.clock().ran(), FRESH) {
            return Ok(());
        }
        let _reading = self.reading.lock().await;
        let began = app.engine.clock().ran();
        if self.index().is_fresh(began, FRESH) {
            return Ok(());
        }
        let keys = app.engine.keys();
        loop {
            let after = self.index().last();
            let Answer::Revocations(rows) = app.engine.ask(Question::Revocations { after, limit: PAGE }).await? else {
                break;
            };
            let is_last = rows.len() < PAGE as usize;
            let mut places = Vec::new();
            for row in &rows {
                places.extend(ended_places(app, row, &keys).await?);
            }
            self.index().add(rows, places, app.engine.now().minus(window(app)));
            if is_last {
                break;
            }
        }
        self.index().caught_up(began);
        Ok(())
    }
}

/// For how long what has ended can concern an access token: as long as the signing keys know that one may live.
pub(crate) fn window(app: &App) -> Duration {
    Duration::from_secs(app.signing().outlived_by).min(LONGEST_ACCESS_TOKEN)
}

/// Which bits of status lists a row sets. What is wider than a user is in the feed alone: a bit each would be a look at every grant.
async fn ended_places(app: &App, row: &Revocation, keys: &Keys) -> Result<Vec<(Place, Timestamp)>, Unavailable> {
    let subject = match &row.revoked {
        Revoked::Grant(number) => return Ok(vec![(Place::of(*number, keys), row.at)]),
        Revoked::Matching(TokenSelector { client: None, subject: Some(subject), scope: None, resource: None }) => {
            subject
        }
        Revoked::Access(_) | Revoked::Matching(_) => return Ok(Vec::new()),
    };
    let (mut places, mut after) = (Vec::new(), 0);
    while places.len() < MAX_GRANTS_OF_A_USER {
        let question = Question::Grants { client: None, subject: Some(subject.clone()), after, limit: 256 };
        let Answer::Grants(grants) = app.engine.ask(question).await? else { break };
        let Some(last) = grants.last() else { break };
        after = last.grant.id.number;
        let of_then = grants.iter().filter(|found| found.grant.terms.created_at <= row.at);
        places.extend(of_then.map(|found| (Place::of(found.grant.id.number, keys), row.at)));
    }
    Ok(places)
}
