//! Rows of grants: many read by one statement, many written by one.

use std::borrow::Cow;
use std::sync::Arc;

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation, RowMac};
use regrant_core::issue::SubjectStatus;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, GrantId, OpenId, Resources, Terms, Timestamp};
use tokio_postgres::Row;

use super::line::Fault;
use super::values::{Columns, P, escaped};
use crate::{Consent, Loaded, spelling};

/// The columns of a whole grant, with what its user is and has said. (A macro, for `concat!` takes literals only.)
macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT g.number, g.random, g.version, g.write_id, g.generation, g.current, g.ratchet, g.tag_key, g.era, g.seed_key, ",
            "g.rotated_at, g.previously_rotated_at, g.answered_at, g.retries, g.retry_proof, g.idle_at, g.absolute_at, ",
            "g.ended_at, g.end_reason, g.redeemed_at, g.mac_key, g.mac, ",
            "t.client, t.subject, t.scope, t.resources, t.binding, t.binding_key, t.rotation, t.refreshable, ",
            "t.authenticated_at, t.created_at, t.code_secret, t.code_challenge, t.code_redirect_uri, t.code_expires_at, ",
            "t.epoch, t.session, t.openid, ",
            "u.subject IS NOT NULL, u.disabled_at IS NOT NULL, c.paused_at, c.ends_at ",
            $rest
        )
    };
}

const COLD: usize = 22;
const USER: usize = COLD + 17;

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
pub(super) const UPDATE: &str = "UPDATE grants g SET version = n.version, write_id = n.write_id, rotated_at = n.rotated_at, \
    previously_rotated_at = n.previously_rotated_at, answered_at = n.answered_at, idle_at = n.idle_at, absolute_at = n.absolute_at, \
    ended_at = n.ended_at, redeemed_at = n.redeemed_at, generation = n.generation, seed_key = n.seed_key, retries = n.retries, \
    era = n.era, tag_key = n.tag_key, end_reason = n.end_reason, mac_key = n.mac_key, mac = n.mac, current = n.current, \
    ratchet = n.ratchet, retry_proof = n.retry_proof \
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
    AS n (number, version, write_id, rotated_at, previously_rotated_at, answered_at, idle_at, absolute_at, ended_at, redeemed_at, \
    generation, seed_key, retries, era, tag_key, end_reason, mac_key, mac, current, ratchet, retry_proof, expected) \
    WHERE g.number = n.number AND g.version = n.expected RETURNING g.number";

/// New rows: those whose number is taken are not among the answers.
pub(super) const INSERT: &str = "INSERT INTO grants (number, version, write_id, rotated_at, previously_rotated_at, answered_at, \
    idle_at, absolute_at, ended_at, redeemed_at, generation, seed_key, retries, era, tag_key, end_reason, mac_key, mac, current, \
    ratchet, retry_proof, random) \
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
    ON CONFLICT DO NOTHING RETURNING number";

/// Their terms. Replaces what may be left of a row whose hot half somebody removed by hand.
pub(super) const INSERT_TERMS: &str = "INSERT INTO grant_terms (number, authenticated_at, created_at, epoch, code_expires_at, \
    binding, rotation, refreshable, client, subject, scope, resources, binding_key, code_secret, code_challenge, \
    code_redirect_uri, session, openid) \
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
    ON CONFLICT (number) DO UPDATE SET authenticated_at = excluded.authenticated_at, created_at = excluded.created_at, \
    epoch = excluded.epoch, code_expires_at = excluded.code_expires_at, binding = excluded.binding, \
    rotation = excluded.rotation, refreshable = excluded.refreshable, client = excluded.client, subject = excluded.subject, \
    scope = excluded.scope, resources = excluded.resources, binding_key = excluded.binding_key, \
    code_secret = excluded.code_secret, code_challenge = excluded.code_challenge, \
    code_redirect_uri = excluded.code_redirect_uri, session = excluded.session, openid = excluded.openid";

/// The key id of a row that cannot be one of ours: no grant has it, so no MAC fits.
const UNREADABLE: u8 = 0;

/// One row that is to be written.
pub(super) type Written<'a> = (&'a Grant, RowMac);

/// The parameters of [`UPDATE`] and [`INSERT`] but for the last one.
pub(super) fn hot<'a>(rows: &[Written<'a>]) -> Vec<P<'a>> {
    let numbers = |of: fn(&Grant) -> i64| P::Ns(rows.iter().map(|(grant, _)| of(grant)).collect());
    let times = |of: fn(&Grant) -> Timestamp| P::Ns(rows.iter().map(|(grant, _)| of(grant).millis()).collect());
    let maybe = |of: fn(&Grant) -> Option<i64>| P::Os(rows.iter().map(|(grant, _)| of(grant)).collect());
    vec![
        numbers(|grant| grant.id.number.cast_signed()),
        numbers(|grant| grant.version.cast_signed()),
        numbers(|grant| grant.write_id.cast_signed()),
        times(|grant| grant.rotated_at),
        times(|grant| grant.previously_rotated_at),
        times(|grant| grant.answered_at),
        times(|grant| grant.idle_at),
        times(|grant| grant.absolute_at),
        maybe(|grant| grant.ended.map(|(at, _)| at.millis())),
        maybe(|grant| grant.redeemed_at.map(Timestamp::millis)),
        numbers(|grant| i64::from(grant.generation.cast_signed())),
        numbers(|grant| i64::from(grant.seed_key.cast_signed())),
        numbers(|grant| i64::from(grant.retries.cast_signed())),
        numbers(|grant| i64::from(grant.era)),
        numbers(|grant| i64::from(grant.tag_key)),
        maybe(|grant| grant.ended.map(|(_, reason)| i64::from(reason.code()))),
        P::Ns(rows.iter().map(|(_, mac)| i64::from(mac.key_id)).collect()),
        P::Macs(rows.iter().map(|(_, mac)| mac.mac).collect()),
        P::Cs(rows.iter().map(|(grant, _)| grant.current.as_ref().map(|hash| hash.0.as_slice())).collect()),
        P::Cs(rows.iter().map(|(grant, _)| grant.ratchet.as_ref().map(<[u8; 32]>::as_slice)).collect()),
        P::Cs(rows.iter().map(|(grant, _)| grant.retry_proof.as_ref().map(|hash| hash.0.as_slice())).collect()),
    ]
}

/// The parameters of [`INSERT_TERMS`].
pub(super) fn cold<'a>(rows: &[Written<'a>]) -> Vec<P<'a>> {
    let each = || rows.iter().map(|(grant, _)| (grant.id.number, &*grant.terms));
    let bytes = |of: fn(&Terms) -> Option<&[u8]>| P::Cs(each().map(|(_, terms)| of(terms)).collect());
    let texts = |of: &dyn Fn(&'a Terms) -> Option<Cow<'a, str>>| {
        P::Us(rows.iter().map(|(grant, _)| of(&grant.terms)).collect())
    };
    let numbers = |of: fn(&Terms) -> i64| P::Ns(each().map(|(_, terms)| of(terms)).collect());
    vec![
        P::Ns(each().map(|(number, _)| number.cast_signed()).collect()),
        numbers(|terms| terms.authenticated_at.millis()),
        numbers(|terms| terms.created_at.millis()),
        numbers(|terms| terms.epoch.cast_signed()),
        P::Os(each().map(|(_, terms)| terms.code.as_ref().map(|code| code.expires_at.millis())).collect()),
        numbers(|terms| match terms.binding {
            Binding::Bearer => 0,
            Binding::Client => 1,
            Binding::Key(_) => 2,
        }),
        numbers(|terms| i64::from(terms.rotation == Rotation::Reusable)),
        numbers(|terms| i64::from(terms.refreshable)),
        texts(&|terms| Some(Cow::Borrowed(terms.client.as_str()))),
        texts(&|terms| Some(escaped(&terms.subject))),
        texts(&|terms| Some(Cow::Owned(escaped(&terms.scope.to_string()).into_owned()))),
        texts(&|terms| Some(Cow::Owned(escaped(&terms.resources.to_string()).into_owned()))),
        bytes(|terms| match &terms.binding {
            Binding::Key(hash) => Some(hash.0.as_slice()),
            Binding::Bearer | Binding::Client => None,
        }),
        bytes(|terms| terms.code.as_ref().map(|code| code.secret.0.as_slice())),
        bytes(|terms| terms.code.as_ref().and_then(|code| code.challenge.as_ref()).map(|hash| hash.0.as_slice())),
        bytes(|terms| terms.code.as_ref().and_then(|code| code.redirect_uri.as_ref()).map(|hash| hash.0.as_slice())),
        bytes(|terms| terms.session.as_ref().map(<[u8; 32]>::as_slice)),
        texts(&|terms| terms.openid.as_ref().map(|openid| Cow::Owned(escaped(&openid.text()).into_owned()))),
    ]
}

/// Reads a row of `select_grants!`. A value that we cannot have written leaves a grant whose MAC does not fit.
pub(super) fn read(row: &Row) -> Result<Loaded, Fault> {
    let mut columns = Columns::of(row);
    let id = GrantId { number: columns.u64(), random: columns.u64() };
    let (version, write_id, generation) = (columns.u64(), columns.u64(), columns.pattern());
    let (current, ratchet) = (columns.hash().map(Hash), columns.hash());
    let (tag_key, era, seed_key) = (columns.small(), columns.small(), columns.pattern());
    let (rotated_at, previously_rotated_at, answered_at) = (columns.time(), columns.time(), columns.time());
    let (retries, retry_proof) = (columns.pattern(), columns.hash().map(Hash));
    let (idle_at, absolute_at) = (columns.time(), columns.time());
    let ended = match (columns.optional_time(), columns.optional_i64()) {
        (None, None) => None,
        (Some(at), Some(reason)) => {
            let reason = u8::try_from(reason).ok().and_then(EndReason::from_code);
            columns.sound(reason).map(|reason| (at, reason))
        }
        _ => columns.sound(None),
    };
    let redeemed_at = columns.optional_time();
    let mut mac = RowMac { key_id: columns.small(), mac: columns.array() };
    let mut cold = Columns::from(row, COLD);
    let terms = Arc::new(terms(&mut cold)?);
    if !(columns.is_sound && cold.is_sound) {
        mac.key_id = UNREADABLE;
    }
    let mut user = Columns::from(row, USER);
    let subject = match (user.boolean(), user.boolean()) {
        (false, _) => SubjectStatus::Gone,
        (true, true) => SubjectStatus::Disabled,
        (true, false) => Consent::said(user.optional_time(), user.optional_time()),
    };
    let grant = Grant {
        id,
        version,
        write_id,
        generation,
        current,
        ratchet,
        tag_key,
        era,
        seed_key,
        rotated_at,
        previously_rotated_at,
        answered_at,
        retries,
        retry_proof,
        idle_at,
        absolute_at,
        ended,
        redeemed_at,
        terms,
    };
    Ok(Loaded { grant, mac, subject, covered: None })
}

/// Every column is read back into what [`Grant::mac`] covers, in one spelling only: a scope with two spaces, or half a pair, cannot be ours.
fn terms(columns: &mut Columns<'_>) -> Result<Terms, Fault> {
    let client = ClientId::parse(&columns.text());
    let client = columns.sound(client);
    let subject = columns.text();
    let scope = columns.text();
    let scope = columns.sound(spelling::scope(&scope));
    let resources = columns.text();
    let resources = columns.sound(Resources::parse(&resources).ok().filter(|read| read.to_string() == resources));
    let binding = match (columns.i64(), columns.hash()) {
        (0, None) => Some(Binding::Bearer),
        (1, None) => Some(Binding::Client),
        (2, Some(key)) => Some(Binding::Key(Hash(key))),
        _ => None,
    };
    let binding = columns.sound(binding).unwrap_or(Binding::Bearer);
    let rotation = match columns.i64() {
        0 => Some(Rotation::SingleUse),
        1 => Some(Rotation::Reusable),
        _ => None,
    };
    let rotation = columns.sound(rotation).unwrap_or(Rotation::SingleUse);
    let refreshable = columns.flag();
    let (authenticated_at, created_at) = (columns.time(), columns.time());
    let (secret, challenge, redirect_uri) = (columns.hash(), columns.hash(), columns.hash());
    let code = match (secret, columns.optional_time()) {
        (Some(secret), Some(expires_at)) => Some(CodeTerms {
            secret: Hash(secret),
            challenge: challenge.map(Hash),
            redirect_uri: redirect_uri.map(Hash),
            expires_at,
        }),
        (None, None) if challenge.is_none() && redirect_uri.is_none() => None,
        _ => columns.sound(None),
    };
    let (epoch, session) = (columns.u64(), columns.hash());
    let openid = match columns.optional_text() {
        Some(text) => columns.sound(OpenId::parse(&text)),
        None => None,
    };
    Ok(Terms {
        client: client.or_else(|| ClientId::parse("unreadable")).ok_or_else(|| Fault::damaged("no client"))?,
        subject,
        scope: scope.unwrap_or_default(),
        resources: resources.unwrap_or_default(),
        binding,
        rotation,
        refreshable,
        authenticated_at,
        created_at,
        epoch,
        session,
        code,
        openid,
    })
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
