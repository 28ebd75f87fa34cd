//! Rows of grants: many read by one statement, many written by one.

use std::borrow::Cow;
use std::sync::Arc;

use regrant_core::grant::RowMac;
use regrant_core::issue::SubjectStatus;
use regrant_core::{ClientId, Grant, GrantId, Terms};
use tokio_postgres::Row;

use super::line::Fault;
use super::values::{Columns, P, escaped};
use crate::hot::Hot;
use crate::terms::{self, Anew};
use crate::{Consent, Loaded, spelling};

/// Most hot halves are shorter.
const LENGTH: usize = 144;

/// The columns of a whole grant, with what its user is and has said. (A macro, for `concat!` takes literals only.)
macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT g.number, g.random, g.version, g.hot, ",
            "t.client, t.subject, t.terms, ",
            "u.subject IS NOT NULL, u.disabled_at IS NOT NULL, c.paused_at, c.ends_at ",
            $rest
        )
    };
}

const COLD: usize = 4;
const USER: usize = COLD + 3;

/// Many, by their numbers: one snapshot for the row, its user and what the user said of its client. Each is looked up by its key,
/// whatever the planner believes of tables whose statistics are old: `OFFSET 0` keeps it from reading a whole table to join it.
pub(super) const LOAD: &str = select_grants!(
    "FROM unnest($1) AS asked (number) \
     CROSS JOIN LATERAL (SELECT * FROM grants WHERE grants.number = asked.number OFFSET 0) g \
     LEFT JOIN LATERAL (SELECT * FROM grant_terms WHERE grant_terms.number = asked.number OFFSET 0) t ON true \
     LEFT JOIN LATERAL (SELECT subject, disabled_at FROM users WHERE users.subject = t.subject OFFSET 0) u ON true \
     LEFT JOIN LATERAL (SELECT paused_at, ends_at FROM consents WHERE consents.subject = t.subject AND consents.client = t.client \
     OFFSET 0) c ON true"
);

const PAGE: &str = select_grants!(
    "FROM grants g LEFT JOIN grant_terms t ON t.number = g.number LEFT JOIN users u ON u.subject = t.subject \
     LEFT JOIN consents c ON c.subject = t.subject AND c.client = t.client \
     WHERE g.number BETWEEN $1 AND $2 ORDER BY g.number LIMIT $3"
);
const PAGE_OF_CLIENT: &str = select_grants!(
    "FROM grant_terms t JOIN grants g ON g.number = t.number LEFT JOIN users u ON u.subject = t.subject \
     LEFT JOIN consents c ON c.subject = t.subject AND c.client = t.client \
     WHERE t.number BETWEEN $1 AND $2 AND t.client = $4 ORDER BY t.number LIMIT $3"
);
const PAGE_OF_SUBJECT: &str = select_grants!(
    "FROM grant_terms t JOIN grants g ON g.number = t.number LEFT JOIN users u ON u.subject = t.subject \
     LEFT JOIN consents c ON c.subject = t.subject AND c.client = t.client \
     WHERE t.number BETWEEN $1 AND $2 AND t.subject = $4 ORDER BY t.number LIMIT $3"
);
const PAGE_OF_BOTH: &str = select_grants!(
    "FROM grant_terms t JOIN grants g ON g.number = t.number LEFT JOIN users u ON u.subject = t.subject \
     LEFT JOIN consents c ON c.subject = t.subject AND c.client = t.client \
     WHERE t.number BETWEEN $1 AND $2 AND t.client = $4 AND t.subject = $5 ORDER BY t.number LIMIT $3"
);

/// Compare-and-set of many rows: those of which another version is there are not among the answers. The random half never changes.
pub(super) const UPDATE: &str = "UPDATE grants g SET version = n.version, hot = n.hot \
    FROM unnest($1, $2, $3, $4) AS n (number, version, hot, expected) \
    WHERE g.number = n.number AND g.version = n.expected RETURNING g.number";

/// New rows: those whose number is taken are not among the answers.
pub(super) const INSERT: &str = "INSERT INTO grants (number, version, hot, random) SELECT * FROM unnest($1, $2, $3, $4) \
    ON CONFLICT DO NOTHING RETURNING number";

/// Their terms. Replaces what may be left of a row whose hot half somebody removed by hand.
pub(super) const INSERT_TERMS: &str = "INSERT INTO grant_terms (number, client, subject, terms) \
    SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT (number) DO UPDATE SET client = excluded.client, \
    subject = excluded.subject, terms = excluded.terms";

/// One row that is to be written.
pub(super) type Written<'a> = (&'a Grant, RowMac);

/// The parameters of [`UPDATE`] and [`INSERT`] but for the last one.
pub(super) fn hot<'a>(rows: &[Written<'a>]) -> Vec<P<'a>> {
    let numbers = |of: fn(&Grant) -> u64| P::Ns(rows.iter().map(|(grant, _)| of(grant).cast_signed()).collect());
    let body = |(grant, mac): &Written<'a>| {
        let mut body = Vec::with_capacity(LENGTH);
        Hot::of(grant, *mac).encode(&mut body);
        body
    };
    vec![numbers(|grant| grant.id.number), numbers(|grant| grant.version), P::Bodies(rows.iter().map(body).collect())]
}

/// The parameters of [`INSERT_TERMS`].
pub(super) fn cold<'a>(rows: &[Written<'a>]) -> Vec<P<'a>> {
    let texts = |of: fn(&Terms) -> Cow<'_, str>| P::Us(rows.iter().map(|(grant, _)| Some(of(&grant.terms))).collect());
    vec![
        P::Ns(rows.iter().map(|(grant, _)| grant.id.number.cast_signed()).collect()),
        texts(|terms| Cow::Borrowed(terms.client.as_str())),
        texts(|terms| escaped(&terms.subject)),
        P::Bodies(rows.iter().map(|(grant, _)| terms::encode(&grant.terms)).collect()),
    ]
}

/// Reads a row of `select_grants!`. A value that we cannot have written leaves a grant whose MAC does not fit.
pub(super) fn read(row: &Row) -> Result<Loaded, Fault> {
    let mut columns = Columns::of(row);
    let id = GrantId { number: columns.u64(), random: columns.u64() };
    let version = columns.u64();
    let read = Hot::decode(id.number, columns.slice());
    let hot = Hot::found(id, version, read);
    let mut cold = Columns::from(row, COLD);
    let terms = Arc::new(cold_of(&mut cold)?);
    let mut user = Columns::from(row, USER);
    let subject = match (user.boolean(), user.boolean()) {
        (false, _) => SubjectStatus::Gone,
        (true, true) => SubjectStatus::Disabled,
        (true, false) => Consent::said(user.optional_time(), user.optional_time()),
    };
    Ok(if columns.is_sound && cold.is_sound { hot } else { hot.doubted() }.with(terms, subject))
}

/// All of it is read back into what [`Grant::mac`] covers.
fn cold_of(columns: &mut Columns<'_>) -> Result<Terms, Fault> {
    let client = ClientId::parse(&columns.text());
    let client = columns.sound(client).or_else(|| ClientId::parse("unreadable"));
    let client = client.ok_or_else(|| Fault::damaged("no client"))?;
    let subject = columns.text();
    let read = terms::decode(client.clone(), subject.clone(), columns.slice(), &mut Anew);
    Ok(columns.sound(read).unwrap_or_else(|| spelling::unreadable(client, subject)))
}

/// The statements of a page of grants: numbers are kept as bit patterns, so that the upper half of them is negative and comes last.
pub(super) fn page<'a>(
    (client, subject): (Option<&'a str>, Option<&'a str>),
    (first, last): (u64, u64),
    limit: u32,
) -> (&'static str, Vec<P<'a>>) {
    let mut parameters = vec![P::N(first.cast_signed()), P::N(last.cast_signed()), P::N(i64::from(limit))];
    let sql = match (client, subject) {
        (None, None) => PAGE,
        (Some(client), None) => {
            parameters.push(P::T(client));
            PAGE_OF_CLIENT
        }
        (None, Some(subject)) => {
            parameters.push(P::T(subject));
            PAGE_OF_SUBJECT
        }
        (Some(client), Some(subject)) => {
            parameters.extend([P::T(client), P::T(subject)]);
            PAGE_OF_BOTH
        }
    };
    (sql, parameters)
}
