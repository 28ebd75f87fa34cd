//! How resource servers that validate JWTs by themselves hear of what is over: a feed of deltas, and status lists
//! (draft-ietf-oauth-status-list).
//!
//! | path                           | says                                                            | as                        |
//! |--------------------------------|-----------------------------------------------------------------|---------------------------|
//! | `/oauth2/revocations?since=C`  | what has come since the cursor C: grants, tokens, wide revocations | `revocations+jwt`      |
//! | `/oauth2/status-lists/{name}`  | of 65,536 grants, which have ended: a bit each                  | `statuslist+jwt`          |
//!
//! The truth is the store: a row in `revocations` is written in the transaction that ends something, and read from there by its
//! position. What is held here is a copy that is begun anew at each start and in each era, caught up with at most once a second, and as large as
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
use index::{Ended, Index};
use told::Told;

pub(crate) use endpoint::{feed, lists, status_list};

/// How old the copy may be.
const FRESH: Duration = Duration::from_secs(1);
/// Rows of one read.
const PAGE: u32 = 4096;
/// Up to so many grants that a wide revocation ended are a line each; more are told together.
const MAX_EXPANDED: usize = 16;
/// The most grants that are looked at for one wide revocation: with more, one line means all of its client's, or of everybody.
const MAX_LOOKED_AT: usize = 65_536;
/// Grants of one read.
const SLICE: u32 = 512;

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
        if self.index().is_fresh(app.engine.keys().era(), app.engine.clock().ran(), FRESH) {
            return Ok(());
        }
        let _reading = self.reading.lock().await;
        let (keys, began) = (app.engine.keys(), app.engine.clock().ran());
        if self.index().is_fresh(keys.era(), began, FRESH) {
            return Ok(());
        }
        self.index().come_to(keys.era());
        loop {
            let after = self.index().last();
            let Answer::Revocations(rows) = app.engine.ask(Question::Revocations { after, limit: PAGE }).await? else {
                break;
            };
            let is_last = rows.len() < PAGE as usize;
            let (mut told, mut places) = (Vec::new(), Vec::new());
            for row in &rows {
                let (told_as, ended) = told_as(app, row, &keys).await?;
                told.push((row.position, told_as));
                places.push(ended);
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

/// What a row is told as, and which bits of status lists it sets. A line may mean more tokens than have ended, never fewer:
///
/// | what was revoked                            | is told as                                              | bits             |
/// |---------------------------------------------|---------------------------------------------------------|------------------|
/// | a grant                                     | itself                                                  | its own          |
/// | a token                                     | itself                                                  |                  |
/// | all of a user, a client, a user at a client | one line that says so                                   | the user's       |
/// | less: a scope, a resource, a time …         | the grants that have ended, a line each or together; and a line for tokens that show it themselves | theirs |
/// | the same, of too many to look at or to tell | all of the user's or the client's, or of everybody      | the user's       |
/// | a wide revocation that was taken back       | its number: what it said by that number is over         | its own go       |
///
/// A narrowed token does not show all scopes and resources of its grant, and no token its session: those cannot be asked for in a line. A
/// client's own token has no grant, and shows what it has.
/// Tokens of users without a grant name no list, and are introspected. Grants whose last token is over are left out.
async fn told_as(app: &App, row: &Revocation, keys: &Keys) -> Result<(Vec<Told>, Ended), Unavailable> {
    let (bulk, selector) = match &row.revoked {
        Revoked::Matching(selector) => (None, selector),
        Revoked::Bulk(number, selector) => (Some(*number), selector),
        Revoked::Grant(number) => {
            let set = vec![Place::of(*number, keys)];
            return Ok((vec![Told::Line(row.clone())], Ended { at: row.at, bulk: None, set, taken_back: None }));
        }
        Revoked::Access(_) => return Ok((vec![Told::Line(row.clone())], Ended::nothing(row.at))),
        Revoked::TakenBack(number) => {
            let ended = Ended { taken_back: Some(*number), ..Ended::nothing(row.at) };
            return Ok((vec![Told::Line(row.clone())], ended));
        }
    };
    let whole = Selector { subject: selector.subject.clone(), client: selector.client.clone(), ..Selector::default() };
    let as_whole = || {
        let whole = whole.clone();
        let revoked = bulk.map_or(Revoked::Matching(whole.clone()), |number| Revoked::Bulk(number, whole));
        vec![Told::Line(Revocation { revoked, ..row.clone() })]
    };
    let ended = |numbers: &[u64]| {
        let set = numbers.iter().map(|number| Place::of(*number, keys)).collect();
        Ended { at: row.at, bulk, set, taken_back: None }
    };
    if *selector == whole {
        let is_of_user = *selector == of_user(selector);
        let bits = match () {
            () if is_of_user => grants_of(app, selector, keys, |grant| grant.terms.created_at <= row.at).await?,
            () if selector.subject.is_some() => {
                let is_meant = |grant: &Grant| grant.ended.is_some() && grant.terms.created_at <= row.at;
                grants_of(app, selector, keys, is_meant).await?
            }
            // A bit each would be a look at every grant of a client.
            () => Some(Vec::new()),
        };
        return Ok((as_whole(), ended(&bits.unwrap_or_default())));
    }
    let alive = app.engine.now().minus(window(app));
    // Others of the client or user may have ended by something else, which can be taken back without this, or this without that.
    let is_meant = |grant: &Grant| {
        grant.ended.is_some() && selector.fits(grant) && grant.terms.created_at <= row.at && grant.answered_at >= alive
    };
    let found = grants_of(app, selector, keys, is_meant).await?;
    let Some(numbers) = found else { return Ok((as_whole(), ended(&[]))) };
    let grants = if numbers.len() <= MAX_EXPANDED {
        Some(numbers.iter().map(|number| Told::Grant { number: *number, bulk, at: row.at }).collect())
    } else {
        let places: Vec<Place> = numbers.iter().map(|number| Place::of(*number, keys)).collect();
        told::sets(&places, bulk, row.at)
    };
    let Some(mut lines) = grants else { return Ok((as_whole(), ended(&numbers))) };
    lines.extend(shown(row, selector, bulk).map(Told::Line));
    Ok((lines, ended(&numbers)))
}

/// The tokens that show by themselves that a wide revocation means them, by the rule of [`Epoch::covers_access`](regrant_core::Epoch): a
/// user's that fits is of a grant that has ended.
fn shown(row: &Revocation, selector: &Selector, bulk: Option<u64>) -> Option<Revocation> {
    let Selector { subject, client, session, tag_key, scope, resource, issued_before, .. } = selector;
    if subject.is_some() || session.is_some() || tag_key.is_some() {
        return None;
    }
    // Of the last second before it, for tokens tell whole ones.
    let before = issued_before.map(|before| Timestamp::from_millis(before.seconds().saturating_mul(1000) - 1));
    let selector =
        Selector { client: client.clone(), scope: scope.clone(), resource: resource.clone(), ..Selector::default() };
    let revoked = bulk.map_or(Revoked::Matching(selector.clone()), |number| Revoked::Bulk(number, selector));
    Some(Revocation { revoked, at: before.map_or(row.at, |before| before.min(row.at)), ..row.clone() })
}

fn of_user(selector: &Selector) -> Selector {
    Selector { subject: Some(selector.subject.clone().unwrap_or_default()), ..Selector::default() }
}

/// Numbers of the grants of a user, a client, both or anybody, as everybody is to see them, that are `wanted`: by an index where there is
/// one. `None` if there are too many to look at.
async fn grants_of(
    app: &App,
    selector: &Selector,
    keys: &Keys,
    wanted: impl Fn(&Grant) -> bool,
) -> Result<Option<Vec<u64>>, Unavailable> {
    let (mut numbers, mut after, mut looked_at) = (Vec::new(), 0, 0);
    loop {
        let client = selector.client.as_ref().map(ToString::to_string);
        let question = Question::Grants { client, subject: selector.subject.clone(), after, limit: SLICE };
        let Answer::Grants(grants) = app.engine.ask(question).await? else { break };
        let Some(last) = grants.last() else { break };
        after = last.grant.id.number;
        looked_at += grants.len();
        if looked_at > MAX_LOOKED_AT {
            return Ok(None);
        }
        let believed = grants.into_iter().filter_map(|found| found.believed(keys));
        numbers.extend(believed.filter(|found| wanted(&found.grant)).map(|found| found.grant.id.number));
    }
    Ok(Some(numbers))
}
