//! The database went back: a standby that COMMIT did not wait for has taken over, and knows less than was answered.
//!
//! Each node counts its commits in a row of its own, and remembers of how many it was told. A row that says less was lost with the
//! primary:
//!
//! | the node's row says      | what happened                                               | what is done                          |
//! |--------------------------|-------------------------------------------------------------|---------------------------------------|
//! | as many, or more         | nothing; the answer to a COMMIT was lost                    | nothing                               |
//! | nothing; rows were swept | it was silent for a day                                     | a new row                             |
//! | less, or nothing         | commits that were answered are not there                    | noted in `lost_commits`, in the database itself |
//! | what it should, and there are fewer seals than it has seen ([`guard`](super::guard)) | another node's are not there, or older rows were put back | the same |
//!
//! As long as there is such a note of the present era, no node decides anything: spent refresh tokens would work again, honest ones would
//! be from the future, and revocations are undone. `regrant recover` opens the next era, with what an operator decided; the nodes go on
//! by themselves.
//!
//! The lost span begins where the oldest of the rows that went back ends: up to there all is known. It ends with the newest time that one
//! of these nodes was told of.

use regrant_core::Timestamp;
use regrant_core::keys::DeploymentId;

use super::batch;
use super::line::{Fault, Line};
use super::news::{self, News};
use super::values::{Columns, P, at, n};
use crate::{Cause, Mark, Unavailable};

/// What a node has seen of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    /// How many commits it was told of.
    pub(super) commits: u64,
    /// When it began: at this time the database knew all.
    pub(super) begun_at: Timestamp,
    /// The newest time that it was told of.
    pub(super) newest: Timestamp,
    /// How many rows of nodes were swept by then.
    pub(super) swept: u64,
}

impl Told {
    /// What is known where nobody knows what time the database is of: the last commit may be gone, and anything since this node began.
    pub(super) const fn unseen(&self) -> (u64, Timestamp) {
        (self.commits.saturating_sub(1), self.begun_at)
    }
}

/// What of it is gone: how many commits are there, and up to when.
pub(super) fn lost(told: Told, row: Option<(u64, Timestamp)>, news: &News) -> Option<(u64, Timestamp)> {
    match row {
        _ if told.commits == 0 => None,
        Some((commits, _)) if commits >= told.commits => None,
        Some(known) => Some(known),
        None if news.swept > told.swept => None,
        None => Some((0, told.begun_at)),
    }
}

/// The node's own row.
pub(super) async fn row(line: &Line, node: &str) -> Result<Option<(u64, Timestamp)>, Fault> {
    const SQL: &str = "SELECT commits, high_water FROM nodes WHERE id = $1";
    let rows = line.rows(SQL, &[P::T(node)]).await.map_err(|error| Fault::of(&error))?;
    let read = |row| {
        let mut columns = Columns::of(row);
        let found = (columns.u64(), columns.time());
        columns.whole(found)
    };
    rows.first().map(read).transpose()
}

/// Notes it where every node and whoever recovers reads it. The first note of an era stands: later ones would know of later times.
pub(super) async fn note(
    line: &Line,
    node: &str,
    told: Told,
    known: (u64, Timestamp),
    news: &News,
) -> Result<(), Fault> {
    const SQL: &str = "INSERT INTO lost_commits (node, era, known, known_at, told, told_at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (node) DO NOTHING";
    let fault = |error: tokio_postgres::Error| Fault::of(&error);
    let era = P::N(i64::from(news.changes.era));
    let parameters = [P::T(node), era, n(known.0), at(known.1), n(told.commits), at(told.newest)];
    line.simple(batch::BEGIN).await.map_err(fault)?;
    line.done(SQL, &parameters).await.map_err(fault)?;
    line.simple("COMMIT").await.map_err(fault)
}

/// What an operator hears.
pub(super) fn said(told: Told, known: (u64, Timestamp)) -> String {
    format!(
        "the database went back: this node was told of {} commits, and the database knows of {} of them. A standby that had not heard of \
         the others has taken over. No node answers before it is decided what becomes of what was lost: run `regrant recover --dry-run`, and \
         then `regrant recover` (docs/operations.md, \"A failover that lost something\")",
        told.commits, known.0
    )
}

/// What clients are answered with meanwhile: 503.
pub(super) fn refused() -> Unavailable {
    let detail = "the database went back: nothing is decided before `regrant recover`".to_owned();
    Unavailable { cause: Cause::Unreachable, detail }
}

/// Where the database is, and how far it had come by what nodes have noted; nothing, if none of them has.
pub(super) async fn marks(line: &Line) -> Result<(Mark, Option<Mark>), Fault> {
    const FOUND: &str = "SELECT deployment, era, (SELECT coalesce(sum(commits), 0)::bigint FROM nodes) FROM meta \
        WHERE single = 1 AND deployment IS NOT NULL";
    const SEEN: &str = "SELECT count(*), coalesce(sum(c.known), 0)::bigint, coalesce(min(c.known_at), 0), \
        coalesce(sum(c.told), 0)::bigint, coalesce(max(c.told_at), 0) FROM lost_commits c, meta m WHERE c.era >= m.era";
    let fault = |error: tokio_postgres::Error| Fault::of(&error);
    let news = news::now(line).await?;
    let rows = line.rows(FOUND, &[]).await.map_err(fault)?;
    let row = rows.first().ok_or_else(|| Fault::damaged("there is no deployment in the database"))?;
    let mut columns = Columns::of(row);
    let (deployment, era, commits) = (DeploymentId(columns.array()), columns.small(), columns.u64());
    let found = columns.whole(Mark { deployment, era, commits, at: news.high_water, seals: 0 })?;
    let rows = line.rows(SEEN, &[]).await.map_err(fault)?;
    let row = rows.first().ok_or_else(|| Fault::damaged("what was lost has no count"))?;
    let mut columns = Columns::of(row);
    let (nodes, known, known_at) = (columns.u64(), columns.u64(), columns.time());
    let (told, told_at) = (columns.u64(), columns.time());
    columns.whole(())?;
    if nodes == 0 {
        return Ok((found, None));
    }
    Ok((Mark { commits: known, at: known_at, ..found }, Some(Mark { commits: told, at: told_at, ..found })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_what_was_told_and_is_not_there() {
        let at = Timestamp::from_millis;
        let told = Told { commits: 5, begun_at: at(1), newest: at(9), swept: 2 };
        let news = News { swept: 2, ..News::default() };
        let later = News { swept: 3, ..News::default() };
        for (told, row, news, expected) in [
            (told, Some((5, at(9))), news, None),
            (told, Some((6, at(10))), news, None),
            (told, Some((3, at(7))), news, Some((3, at(7)))),
            (told, Some((3, at(7))), later, Some((3, at(7)))),
            (told, None, news, Some((0, at(1)))),
            (told, None, later, None),
            (Told::default(), None, news, None),
            (Told::default(), Some((1, at(1))), news, None),
        ] {
            assert_eq!(lost(told, row, &news), expected, "{told:?} and {row:?}");
        }
    }
}
