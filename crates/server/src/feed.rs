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
use regrant_core::{Client, Grant, Keys, Selector, Timestamp};
use regrant_store::{Answer, Question, Record, Revocation, Revoked, Unavailable};

use crate::app::{App, Clients};
use crate::config::LONGEST_ACCESS_TOKEN;
use index::Index;

pub(crate) use endpoint::{feed, lists, status_list};

/// How old the copy may be.
const FRESH: Duration = Duration::from_secs(1);
/// Rows of one read.
const PAGE: u32 = 4096;
/// The most grants that take the place of a row about some of a user's.
const MAX_EXPANDED: usize = 16;
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
            let (mut told, mut places) = (Vec::new(), Vec::new());
            for row in &rows {
                told.push((row.position, told_as(app, row, &keys).await?));
                places.extend(ended_places(app, row, &keys).await?);
            }
            self.index().add(told, places, app.engine.now().minus(window(app)));
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

/// What resource servers hear of clients that a reload takes away or switches off, whatever becomes of their grants: a token that is made
/// until it has taken effect is meant as well.
pub(crate) fn without<'a>(
    before: &'a Clients,
    after: &'a Clients,
    now: Timestamp,
) -> impl Iterator<Item = Record> + 'a {
    let is_there = |client: &Client| after.get(&client.id).is_some_and(|client| !client.disabled);
    let gone = before.all().filter(move |client| !client.disabled && !is_there(client));
    gone.map(move |client| Record::Revoke { revoked: Revoked::client(client.id.clone()), at: now.plus(FRESH) })
}

/// What a row is told as. A line may mean more tokens than have ended, never fewer:
///
/// | what was revoked                          | is told as                                                                   |
/// |-------------------------------------------|------------------------------------------------------------------------------|
/// | a grant, a token                          | itself                                                                       |
/// | all of a user, a client, a user at a client | one line that says so                                                      |
/// | less of a user: a session, a scope …      | the user's grants that have ended; beyond [`MAX_EXPANDED`] all of the user's |
/// | less than all, of nobody in particular    | all of the client's, or of everybody: who is refused wrongly refreshes       |
///
/// A narrowed token does not show all scopes and resources of its grant, and no token its session: those cannot be asked for in a line.
/// Tokens of users without a grant name no list, and are introspected.
async fn told_as(app: &App, row: &Revocation, keys: &Keys) -> Result<Vec<Revocation>, Unavailable> {
    let Revoked::Matching(selector) = &row.revoked else { return Ok(vec![row.clone()]) };
    let whole = Selector { subject: selector.subject.clone(), client: selector.client.clone(), ..Selector::default() };
    if *selector != whole && selector.subject.is_some() {
        let ended = grants_of(app, selector, keys, |grant| grant.ended.is_some()).await?;
        if ended.len() <= MAX_EXPANDED {
            let told = |number: &u64| Revocation { revoked: Revoked::Grant(*number), ..row.clone() };
            return Ok(ended.iter().map(told).collect());
        }
    }
    Ok(vec![Revocation { revoked: Revoked::Matching(whole), ..row.clone() }])
}

/// Which bits of status lists a row sets. What is wider than a user is in the feed alone: a bit each would be a look at every grant.
async fn ended_places(app: &App, row: &Revocation, keys: &Keys) -> Result<Vec<(Place, Timestamp)>, Unavailable> {
    let numbers = match &row.revoked {
        Revoked::Grant(number) => vec![*number],
        Revoked::Matching(selector) if *selector == of_user(selector) => {
            grants_of(app, selector, keys, |grant| grant.terms.created_at <= row.at).await?
        }
        Revoked::Matching(selector) if selector.subject.is_some() => {
            grants_of(app, selector, keys, |grant| grant.ended.is_some()).await?
        }
        Revoked::Access(_) | Revoked::Matching(_) => Vec::new(),
    };
    Ok(numbers.into_iter().map(|number| (Place::of(number, keys), row.at)).collect())
}

fn of_user(selector: &Selector) -> Selector {
    Selector { subject: Some(selector.subject.clone().unwrap_or_default()), ..Selector::default() }
}

/// Numbers of a user's grants, as everybody is to see them, that are `wanted`: by the index of users.
async fn grants_of(
    app: &App,
    selector: &Selector,
    keys: &Keys,
    wanted: impl Fn(&Grant) -> bool,
) -> Result<Vec<u64>, Unavailable> {
    let (mut numbers, mut after) = (Vec::new(), 0);
    while numbers.len() < MAX_GRANTS_OF_A_USER {
        let client = selector.client.as_ref().map(ToString::to_string);
        let question = Question::Grants { client, subject: selector.subject.clone(), after, limit: 256 };
        let Answer::Grants(grants) = app.engine.ask(question).await? else { break };
        let Some(last) = grants.last() else { break };
        after = last.grant.id.number;
        let believed = grants.into_iter().filter_map(|found| found.believed(keys));
        numbers.extend(believed.filter(|found| wanted(&found.grant)).map(|found| found.grant.id.number));
    }
    Ok(numbers)
}
