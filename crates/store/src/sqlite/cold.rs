//! The cold half of a grant: its terms, written once, and the status of its user.
//!
//! Every column is read back into what [`Grant::mac`] covers, in one spelling only, so that no change to a row goes
//! unnoticed (check K8): a scope with two spaces, or half a pair, cannot be ours.

use std::sync::Arc;

use regrant_core::grant::{Binding, CodeTerms, Rotation};
use regrant_core::issue::SubjectStatus;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Grant, OpenId, Resources, Scope, Terms};
use rusqlite::{CachedStatement, Row, named_params};

use super::bounded::Bounded;
use super::columns::Columns;
use crate::spelling;

/// One cold row by its number.
pub(super) const SELECT: &str = "SELECT client, subject, scope, resources, binding, binding_key, rotation, refreshable, \
    authenticated_at, created_at, code_secret, code_challenge, code_redirect_uri, code_expires_at, \
    epoch, session, openid FROM grant_terms WHERE number = ?1";

/// How many columns a cold row has, without its number.
pub(super) const COLUMNS: usize = 17;

/// Replaces what may be left of a row whose hot half somebody removed by hand.
pub(super) const INSERT: &str = "INSERT OR REPLACE INTO grant_terms (number, client, subject, scope, resources, binding, \
    binding_key, rotation, refreshable, authenticated_at, created_at, code_secret, code_challenge, code_redirect_uri, \
    code_expires_at, epoch, session, openid) VALUES (:number, :client, :subject, :scope, :resources, :binding, :binding_key, :rotation, \
    :refreshable, :authenticated_at, :created_at, :code_secret, :code_challenge, :code_redirect_uri, :code_expires_at, \
    :epoch, :session, :openid)";

/// Terms as they were found.
#[derive(Clone, Debug)]
pub(super) struct Cold {
    pub(super) terms: Arc<Terms>,
    /// Whether we can have written them.
    pub(super) is_sound: bool,
}

/// Runs [`INSERT`].
pub(super) fn insert(statement: &mut CachedStatement<'_>, grant: &Grant) -> rusqlite::Result<usize> {
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
        ":openid": terms.openid.as_ref().map(OpenId::text),
    })
}

/// Sets that were read before: most grants have one of a few.
#[derive(Debug)]
pub(super) struct Spellings {
    scopes: Bounded<Box<str>, Scope>,
    resources: Bounded<Box<str>, Resources>,
}

impl Default for Spellings {
    fn default() -> Self {
        Self { scopes: Bounded::new(256), resources: Bounded::new(256) }
    }
}

impl Spellings {
    /// One spelling only: what reads as the same set and is written otherwise was not written by us.
    fn scope(&mut self, text: &str) -> Option<Scope> {
        if let Some(known) = self.scopes.find(text) {
            return Some(known.clone());
        }
        let read = spelling::scope(text)?;
        self.scopes.remember(text.into(), read.clone());
        Some(read)
    }

    fn resources(&mut self, text: &str) -> Option<Resources> {
        if let Some(known) = self.resources.find(text) {
            return Some(known.clone());
        }
        let read = Resources::parse(text).ok().filter(|read| read.to_string() == text)?;
        self.resources.remember(text.into(), read.clone());
        Some(read)
    }
}

/// What the two columns say that tell whether there is a user, and whether he may log in.
pub(super) const fn status(is_there: bool, is_disabled: bool) -> SubjectStatus {
    match (is_there, is_disabled) {
        (false, _) => SubjectStatus::Gone,
        (true, false) => SubjectStatus::Enabled,
        (true, true) => SubjectStatus::Disabled,
    }
}

impl Cold {
    /// Reads the columns from this one on.
    pub(super) fn read(row: &Row<'_>, first: usize, spellings: &mut Spellings) -> rusqlite::Result<Self> {
        let mut columns = Columns::from(row, first);
        let terms = Arc::new(terms(&mut columns, spellings)?);
        Ok(Self { terms, is_sound: columns.is_sound })
    }

    /// In place of a row that is not there.
    pub(super) fn missing() -> rusqlite::Result<Self> {
        let client = ClientId::parse("unreadable").ok_or(rusqlite::Error::InvalidQuery)?;
        let terms = spelling::unreadable(client, String::new());
        Ok(Self { terms: Arc::new(terms), is_sound: false })
    }
}

fn terms(columns: &mut Columns<'_, '_>, spellings: &mut Spellings) -> rusqlite::Result<Terms> {
    let client = columns.text_as(ClientId::parse)?;
    let client = columns.sound(client.flatten());
    let subject = columns.text()?;
    let scope = columns.text_as(|text| spellings.scope(text))?;
    let scope = columns.sound(scope.flatten());
    let resources = columns.text_as(|text| spellings.resources(text))?;
    let resources = columns.sound(resources.flatten());
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
    let openid = match columns.optional_text_as(OpenId::parse)? {
        Some(read) => columns.sound(read),
        None => None,
    };
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
        openid,
    })
}
