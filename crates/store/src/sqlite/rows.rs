//! A grant's row, to SQLite and back.
//!
//! Every column is read back into what [`Grant::mac`] covers, in one spelling only, so that no change to a row goes
//! unnoticed (check K8). A value that we cannot have written (an era of -1, a scope with two spaces, half a pair) is no
//! error of the whole batch: the row comes back as far as it can be read, with a MAC of key 0, which no grant has. So it is
//! this grant alone that is refused as tampered with.

use std::sync::Arc;

use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation, RowMac};
use regrant_core::issue::SubjectStatus;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, GrantId, Resources, Scope, Terms, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Row, ToSql, named_params};

use crate::Loaded;

/// The beginning of every statement that reads grants, in the order in which [`read`] takes the columns. A hot half
/// without its cold half is found too, and cannot be read. (A macro, for `concat!` takes literals only.)
macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT g.number, g.random, g.version, g.write_id, g.generation, g.current, g.ratchet, g.tag_key, g.era, ",
            "g.seed_key, g.rotated_at, g.previously_rotated_at, g.answered_at, g.retries, g.retry_proof, g.idle_at, ",
            "g.absolute_at, g.ended_at, g.end_reason, g.redeemed_at, g.mac_key, g.mac, ",
            "t.client, t.subject, t.scope, t.resources, t.binding, t.binding_key, t.rotation, t.refreshable, ",
            "t.authenticated_at, t.created_at, t.code_secret, t.code_challenge, t.code_redirect_uri, t.code_expires_at, ",
            "t.epoch, t.session, ",
            "u.subject IS NOT NULL, u.disabled_at IS NOT NULL ",
            "FROM grants g LEFT JOIN grant_terms t ON t.number = g.number LEFT JOIN users u ON u.subject = t.subject ",
            $rest
        )
    };
}
pub(super) use select_grants;

pub(super) const SELECT_ONE: &str = select_grants!("WHERE g.number = ?1");

pub(super) const INSERT_HOT: &str = "INSERT INTO grants (number, random, version, write_id, generation, current, \
    ratchet, tag_key, era, seed_key, rotated_at, previously_rotated_at, answered_at, retries, retry_proof, idle_at, \
    absolute_at, ended_at, end_reason, redeemed_at, mac_key, mac) VALUES (:number, :random, :version, :write_id, \
    :generation, :current, :ratchet, :tag_key, :era, :seed_key, :rotated_at, :previously_rotated_at, :answered_at, \
    :retries, :retry_proof, :idle_at, :absolute_at, :ended_at, :end_reason, :redeemed_at, :mac_key, :mac) \
    ON CONFLICT DO NOTHING";

/// Compare-and-set: no row is changed if another version is there.
pub(super) const UPDATE_HOT: &str = "UPDATE grants SET version = :version, write_id = :write_id, \
    generation = :generation, current = :current, ratchet = :ratchet, tag_key = :tag_key, era = :era, \
    seed_key = :seed_key, rotated_at = :rotated_at, previously_rotated_at = :previously_rotated_at, \
    answered_at = :answered_at, retries = :retries, retry_proof = :retry_proof, idle_at = :idle_at, \
    absolute_at = :absolute_at, ended_at = :ended_at, end_reason = :end_reason, redeemed_at = :redeemed_at, \
    mac_key = :mac_key, mac = :mac WHERE number = :number AND version = :expected";

/// Replaces what may be left of a row whose hot half somebody removed by hand.
pub(super) const INSERT_COLD: &str = "INSERT OR REPLACE INTO grant_terms (number, client, subject, scope, resources, binding, \
    binding_key, rotation, refreshable, authenticated_at, created_at, code_secret, code_challenge, code_redirect_uri, \
    code_expires_at, epoch, session) VALUES (:number, :client, :subject, :scope, :resources, :binding, :binding_key, :rotation, \
    :refreshable, :authenticated_at, :created_at, :code_secret, :code_challenge, :code_redirect_uri, :code_expires_at, \
    :epoch, :session)";

/// Runs [`INSERT_HOT`]: 0 rows if the number is taken.
pub(super) fn insert_hot(statement: &mut CachedStatement<'_>, grant: &Grant, mac: RowMac) -> rusqlite::Result<usize> {
    bind_hot(statement, grant, mac)?;
    bind(statement, ":random", grant.id.random.cast_signed())?;
    statement.raw_execute()
}

/// Runs [`UPDATE_HOT`]: 0 rows if another version is there.
pub(super) fn update_hot(
    statement: &mut CachedStatement<'_>,
    grant: &Grant,
    mac: RowMac,
    expected: u64,
) -> rusqlite::Result<usize> {
    bind_hot(statement, grant, mac)?;
    bind(statement, ":expected", expected.cast_signed())?;
    statement.raw_execute()
}

fn bind_hot(statement: &mut CachedStatement<'_>, grant: &Grant, mac: RowMac) -> rusqlite::Result<()> {
    bind(statement, ":number", grant.id.number.cast_signed())?;
    bind(statement, ":version", grant.version.cast_signed())?;
    bind(statement, ":write_id", grant.write_id.cast_signed())?;
    bind(statement, ":generation", grant.generation)?;
    bind(statement, ":current", grant.current.as_ref().map(|hash| hash.0.as_slice()))?;
    bind(statement, ":ratchet", grant.ratchet.as_ref().map(<[u8; 32]>::as_slice))?;
    bind(statement, ":tag_key", grant.tag_key)?;
    bind(statement, ":era", grant.era)?;
    bind(statement, ":seed_key", grant.seed_key)?;
    bind(statement, ":rotated_at", grant.rotated_at.millis())?;
    bind(statement, ":previously_rotated_at", grant.previously_rotated_at.millis())?;
    bind(statement, ":answered_at", grant.answered_at.millis())?;
    bind(statement, ":retries", grant.retries)?;
    bind(statement, ":retry_proof", grant.retry_proof.as_ref().map(|hash| hash.0.as_slice()))?;
    bind(statement, ":idle_at", grant.idle_at.millis())?;
    bind(statement, ":absolute_at", grant.absolute_at.millis())?;
    bind(statement, ":ended_at", grant.ended.map(|(at, _)| at.millis()))?;
    bind(statement, ":end_reason", grant.ended.map(|(_, reason)| reason.code()))?;
    bind(statement, ":redeemed_at", grant.redeemed_at.map(Timestamp::millis))?;
    bind(statement, ":mac_key", mac.key_id)?;
    bind(statement, ":mac", mac.mac.as_slice())
}

fn bind(statement: &mut CachedStatement<'_>, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    let index =
        statement.parameter_index(name)?.ok_or_else(|| rusqlite::Error::InvalidParameterName(name.to_owned()))?;
    statement.raw_bind_parameter(index, value)
}

/// Runs [`INSERT_COLD`].
pub(super) fn insert_cold(statement: &mut CachedStatement<'_>, grant: &Grant) -> rusqlite::Result<usize> {
    let terms = &grant.terms;
    let (binding, key) = match &terms.binding {
        Binding::Bearer => (0, None),
        Binding::Client => (1, None),
        Binding::Key(hash) => (2, Some(hash.0.as_slice())),
    };
    let code = terms.code.as_ref();
    statement.execute(named_params! {
        ":number": grant.id.number.cast_signed(),
        ":client": terms.client.as_str(),
        ":subject": terms.subject,
        ":scope": terms.scope.to_string(),
        ":resources": terms.resources.to_string(),
        ":binding": binding,
        ":binding_key": key,
        ":rotation": i64::from(terms.rotation == Rotation::Reusable),
        ":refreshable": i64::from(terms.refreshable),
        ":authenticated_at": terms.authenticated_at.millis(),
        ":created_at": terms.created_at.millis(),
        ":code_secret": code.map(|code| code.secret.0.as_slice()),
        ":code_challenge": code.and_then(|code| code.challenge.as_ref()).map(|hash| hash.0.as_slice()),
        ":code_redirect_uri": code.and_then(|code| code.redirect_uri.as_ref()).map(|hash| hash.0.as_slice()),
        ":code_expires_at": code.map(|code| code.expires_at.millis()),
        ":epoch": terms.epoch.cast_signed(),
        ":session": terms.session.as_ref().map(<[u8; 32]>::as_slice),
    })
}

/// Reads a row of [`select_grants`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Loaded> {
    let mut columns = Columns { row, next: 0, is_sound: true };
    let (number, random) = (columns.u64()?, columns.u64()?);
    let (version, write_id) = (columns.u64()?, columns.u64()?);
    let generation = columns.small()?;
    let (current, ratchet) = (columns.hash()?, columns.hash()?);
    let (tag_key, era, seed_key) = (columns.small()?, columns.small()?, columns.small()?);
    let (rotated_at, previously_rotated_at, answered_at) = (columns.time()?, columns.time()?, columns.time()?);
    let (retries, retry_proof) = (columns.small()?, columns.hash()?);
    let (idle_at, absolute_at) = (columns.time()?, columns.time()?);
    let ended = match (columns.optional_time()?, columns.optional_i64()?) {
        (None, None) => None,
        (Some(at), Some(reason)) => {
            let reason = u8::try_from(reason).ok().and_then(EndReason::from_code);
            columns.sound(reason).map(|reason| (at, reason))
        }
        _ => columns.sound(None),
    };
    let redeemed_at = columns.optional_time()?;
    let (key_id, mac) = (columns.small()?, columns.mac()?);
    let terms = terms(&mut columns)?;
    let subject = match (columns.i64()?, columns.i64()?) {
        (0, _) => SubjectStatus::Gone,
        (_, 0) => SubjectStatus::Enabled,
        _ => SubjectStatus::Disabled,
    };
    let key_id = if columns.is_sound { key_id } else { UNREADABLE };
    let grant = Grant {
        id: GrantId { number, random },
        version,
        write_id,
        generation,
        current: current.map(Hash),
        ratchet,
        tag_key,
        era,
        seed_key,
        rotated_at,
        previously_rotated_at,
        answered_at,
        retries,
        retry_proof: retry_proof.map(Hash),
        idle_at,
        absolute_at,
        ended,
        redeemed_at,
        terms: Arc::new(terms),
    };
    Ok(Loaded { grant, mac: RowMac { key_id, mac }, subject, covered: None })
}

/// The key id of a row that cannot be one of ours: no grant has it, so no MAC fits.
const UNREADABLE: u8 = 0;

fn terms(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Terms> {
    let client = columns.text()?;
    let client = columns.sound(ClientId::parse(&client));
    let subject = columns.text()?;
    let (scope, resources) = (columns.text()?, columns.text()?);
    // One spelling only: what reads as the same set and is written otherwise was not written by us.
    let scope = columns.sound(read_scope(&scope).filter(|read| read.to_string() == scope));
    let resources = columns.sound(Resources::parse(&resources).ok().filter(|read| read.to_string() == resources));
    let binding = match (columns.i64()?, columns.hash()?) {
        (0, None) => Some(Binding::Bearer),
        (1, None) => Some(Binding::Client),
        (2, Some(key)) => Some(Binding::Key(Hash(key))),
        _ => None,
    };
    let binding = columns.sound(binding).unwrap_or(Binding::Bearer);
    let rotation = match columns.i64()? {
        0 => Some(Rotation::SingleUse),
        1 => Some(Rotation::Reusable),
        _ => None,
    };
    let rotation = columns.sound(rotation).unwrap_or(Rotation::SingleUse);
    let refreshable = columns.flag()?;
    let (authenticated_at, created_at) = (columns.time()?, columns.time()?);
    let (secret, challenge, redirect_uri) = (columns.hash()?, columns.hash()?, columns.hash()?);
    let code = match (secret, columns.optional_time()?) {
        (Some(secret), Some(expires_at)) => Some(CodeTerms {
            secret: Hash(secret),
            challenge: challenge.map(Hash),
            redirect_uri: redirect_uri.map(Hash),
            expires_at,
        }),
        (None, None) if challenge.is_none() && redirect_uri.is_none() => None,
        _ => columns.sound(None),
    };
    let (epoch, session) = (columns.u64()?, columns.hash()?);
    Ok(Terms {
        client: client.or_else(|| ClientId::parse("unreadable")).ok_or(rusqlite::Error::InvalidQuery)?,
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
    })
}

/// Not [`Scope::parse`], whose limit on the whole text is for requests: what a client's settings allow may be longer.
fn read_scope(text: &str) -> Option<Scope> {
    if text.is_empty() { Some(Scope::default()) } else { Scope::from_tokens(text.split(' ')).ok() }
}

/// Takes columns one by one. What cannot be ours is replaced and noted in `is_sound`.
struct Columns<'row, 'statement> {
    row: &'row Row<'statement>,
    next: usize,
    is_sound: bool,
}

impl Columns<'_, '_> {
    fn take(&mut self) -> rusqlite::Result<ValueRef<'_>> {
        let column = self.next;
        self.next += 1;
        self.row.get_ref(column)
    }

    /// Notes that a value was missing.
    fn sound<T>(&mut self, value: Option<T>) -> Option<T> {
        self.is_sound &= value.is_some();
        value
    }

    fn optional_i64(&mut self) -> rusqlite::Result<Option<i64>> {
        let (value, is_sound) = match self.take()? {
            ValueRef::Null => (None, true),
            ValueRef::Integer(number) => (Some(number), true),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => (None, false),
        };
        self.is_sound &= is_sound;
        Ok(value)
    }

    fn i64(&mut self) -> rusqlite::Result<i64> {
        let number = self.optional_i64()?;
        Ok(self.sound(number).unwrap_or(0))
    }

    fn u64(&mut self) -> rusqlite::Result<u64> {
        Ok(self.i64()?.cast_unsigned())
    }

    fn small<T: TryFrom<i64> + Default>(&mut self) -> rusqlite::Result<T> {
        let number = T::try_from(self.i64()?).ok();
        Ok(self.sound(number).unwrap_or_default())
    }

    fn flag(&mut self) -> rusqlite::Result<bool> {
        let number = self.i64()?;
        Ok(self.sound(matches!(number, 0 | 1).then_some(number == 1)).unwrap_or(false))
    }

    fn time(&mut self) -> rusqlite::Result<Timestamp> {
        Ok(Timestamp::from_millis(self.i64()?))
    }

    fn optional_time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        Ok(self.optional_i64()?.map(Timestamp::from_millis))
    }

    fn text(&mut self) -> rusqlite::Result<String> {
        let text = match self.take()? {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        };
        Ok(self.sound(text).unwrap_or_default())
    }

    fn hash(&mut self) -> rusqlite::Result<Option<[u8; 32]>> {
        let (value, is_sound) = match self.take()? {
            ValueRef::Null => (None, true),
            ValueRef::Blob(bytes) => (bytes.try_into().ok(), bytes.len() == 32),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => (None, false),
        };
        self.is_sound &= is_sound;
        Ok(value)
    }

    fn mac(&mut self) -> rusqlite::Result<[u8; 16]> {
        let mac = match self.take()? {
            ValueRef::Blob(bytes) => bytes.try_into().ok(),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => None,
        };
        Ok(self.sound(mac).unwrap_or_default())
    }
}
