//! Moving a store from a SQLite file to a PostgreSQL: every row as it is, under the same MACs, so that no session is lost.
//!
//! The file is held meanwhile, so that no server writes to it. What was interrupted goes on where it was: rows that are there are not
//! written again. Until the end the database is marked, and no node opens it; the mark goes in the transaction that gives it its
//! identity. Then both are read through the contract, page by page, and compared.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};

use crate::postgres::Target;
use crate::{
    Answer, OpenError, Postgres, PostgresOptions, Question, Sqlite, SqliteOptions, Store, Unavailable, Writes,
};

/// How a column is kept on either side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A number.
    Number,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

/// A table of the same name on both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// Whether the first column is a number that orders it: then it goes on behind the last that is there.
    pub(crate) is_ordered: bool,
}

/// A value on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

const N: Kind = Kind::Number;
const T: Kind = Kind::Text;
const B: Kind = Kind::Bytes;

/// All tables, but for the deployment's one row.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "grant_terms",
        columns: &[("number", N), ("client", T), ("subject", T), ("terms", B)],
        is_ordered: true,
    },
    Table { name: "grants", columns: &[("number", N), ("random", N), ("version", N), ("hot", B)], is_ordered: true },
    Table {
        name: "grant_places",
        columns: &[
            ("number", N),
            ("first_at", N),
            ("first_network", T),
            ("first_agent", T),
            ("last_at", N),
            ("last_network", T),
            ("last_agent", T),
        ],
        is_ordered: true,
    },
    Table { name: "clients", columns: &[("id", T), ("definition", T)], is_ordered: false },
    Table {
        name: "users",
        columns: &[
            ("subject", T),
            ("name", T),
            ("password", T),
            ("disabled_at", N),
            ("created_at", N),
            ("updated_at", N),
            ("version", N),
            ("attributes", T),
        ],
        is_ordered: false,
    },
    Table {
        name: "sessions",
        columns: &[
            ("id", B),
            ("root", B),
            ("subject", T),
            ("authenticated_at", N),
            ("expires_at", N),
            ("acr", T),
            ("amr", T),
            ("claims", T),
        ],
        is_ordered: false,
    },
    Table { name: "logins", columns: &[("session", B), ("client", T), ("expires_at", N)], is_ordered: false },
    Table {
        name: "logout_notices",
        columns: &[("id", N), ("client", T), ("subject", T), ("session", B), ("at", N)],
        is_ordered: true,
    },
    Table {
        name: "device_requests",
        columns: &[
            ("number", N),
            ("random", N),
            ("secret", B),
            ("user_code", B),
            ("client", T),
            ("scope", T),
            ("resources", T),
            ("asked_at", N),
            ("expires_at", N),
            ("network", T),
            ("agent", T),
        ],
        is_ordered: true,
    },
    Table {
        name: "consents",
        columns: &[
            ("subject", T),
            ("client", T),
            ("scope", T),
            ("resources", T),
            ("at", N),
            ("paused_at", N),
            ("ends_at", N),
        ],
        is_ordered: false,
    },
    Table { name: "denied_access", columns: &[("jti", B), ("expires_at", N)], is_ordered: false },
    Table { name: "used_once", columns: &[("key", B), ("expires_at", N)], is_ordered: false },
    Table {
        name: "registration_tokens",
        columns: &[("hash", B), ("label", T), ("uses", N), ("created_at", N), ("expires_at", N)],
        is_ordered: false,
    },
    Table { name: "login_failures", columns: &[("key", B), ("last_at", N), ("forgotten_at", N)], is_ordered: false },
    Table {
        name: "events",
        columns: &[
            ("id", N),
            ("at", N),
            ("kind", T),
            ("reason", T),
            ("grant_number", N),
            ("client", T),
            ("subject", T),
            ("detail", T),
            ("correlation", T),
            ("minute", N),
            ("link", B),
        ],
        is_ordered: true,
    },
    Table { name: "deliveries", columns: &[("recipient", T), ("position", N)], is_ordered: false },
    Table {
        name: "dead_letters",
        columns: &[("recipient", T), ("event", N), ("at", N), ("failure", T)],
        is_ordered: false,
    },
    Table {
        name: "keys",
        columns: &[
            ("kind", T),
            ("id", N),
            ("status", T),
            ("algorithm", T),
            ("wrapped", B),
            ("outlived_by", N),
            ("created_at", N),
            ("current_at", N),
            ("verify_at", N),
            ("gone_at", N),
        ],
        is_ordered: false,
    },
    Table { name: "seed_keys", columns: &[("id", N), ("wrapped", B)], is_ordered: true },
    Table {
        name: "epochs",
        columns: &[
            ("number", N),
            ("at", N),
            ("subject", T),
            ("client", T),
            ("session", B),
            ("tag_key", N),
            ("scope", T),
            ("resource", T),
            ("issued_before", N),
            ("online_only", N),
            ("reason", N),
            ("detail", T),
            ("undo_until", N),
            ("undone_at", N),
            ("but_session", B),
            ("among", T),
        ],
        is_ordered: true,
    },
    Table {
        name: "revocations",
        columns: &[
            ("position", N),
            ("about", B),
            ("at", N),
            ("expires_at", N),
            ("grant_number", N),
            ("jti", B),
            ("client", T),
            ("subject", T),
            ("scope", T),
            ("resource", T),
            ("session", B),
            ("tag_key", N),
            ("online_only", N),
            ("issued_before", N),
            ("bulk", N),
            ("taken_back", N),
            ("but_session", B),
            ("among", T),
        ],
        is_ordered: true,
    },
];

/// What the deployment's one row says here, and the ledger there.
const DEPLOYMENT: &str = "SELECT m.deployment, m.root_check, m.era, m.next_grant, m.high_water, m.lost_from, m.lost_until, m.unproven, \
    c.removed, c.removed_link, c.newest, c.newest_link, \
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0), \
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'logout_notices'), 0), m.epoch, m.seals, m.seal FROM meta m, event_chain c";
const DEPLOYMENT_KINDS: [Kind; 17] = [B, B, N, N, N, N, N, T, N, B, N, B, N, N, N, N, B];

/// Rows that are sent at once.
const PAGE: usize = 1000;

/// Why a store could not be moved. What is in the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file or the server cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file has no deployment in it.
    #[error("there is no deployment in {0}\n  remedy: name the file of a store that was used")]
    Empty(String),
    /// The file is of before there were seals: nothing there could tell what is missing here.
    #[error(
        "the store {0} has no seal yet\n  remedy: start the server on it once, which seals it, and stop it; then begin again"
    )]
    Unsealed(String),
    /// Another deployment is in the database.
    #[error("the database {0} is in use already\n  remedy: name an empty database; nothing was changed")]
    InUse(String),
    /// The file cannot be read.
    #[error("the file could not be read: {0}\n  remedy: check it with `regrant doctor`; the move can be begun again")]
    Read(String),
    /// The server failed.
    #[error("the database failed: {0}\n  remedy: look at the server's log, and begin again: it goes on where it was")]
    Write(#[from] Unavailable),
    /// Both do not say the same.
    #[error("the copy is not what the file holds: {0}\n  remedy: keep the file, drop the database, and report this")]
    Differs(String),
}

/// What was moved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Rows, table by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Grants that were read on both sides, and were the same.
    pub compared: u64,
}

/// Moves everything. `told` hears of the table, the rows of it that are there, and how many there are.
///
/// # Errors
/// [`MoveError`]; begun again, it goes on where it was.
pub fn move_store(
    from: &Path,
    to: &PostgresOptions,
    mut told: impl FnMut(&'static str, u64, u64),
) -> Result<Moved, MoveError> {
    // Held, and every row in its place.
    let options = SqliteOptions { create: false, writes: Writes::Rows, ..SqliteOptions::default() };
    let mut source = Sqlite::open(from, &options)?;
    let Answer::Deployment(Some(deployment)) = source.ask(&Question::Deployment)? else {
        return Err(MoveError::Empty(from.display().to_string()));
    };
    const UNSEALED: &str = "SELECT length(seal) = 0 AND EXISTS (SELECT 1 FROM keys WHERE kind <> 'seed') FROM meta";
    if source.connection().query_row(UNSEALED, [], |row| row.get(0)).map_err(|error| unread(&error))? {
        return Err(MoveError::Unsealed(from.display().to_string()));
    }
    let mut target = Target::open(to)?;
    if let Some(found) = target.deployment()? {
        if found != deployment.id.0 || target.is_begun()? {
            return Err(MoveError::InUse(to.address.clone()));
        }
    } else {
        if !target.is_begun()? && !target.is_empty()? {
            return Err(MoveError::InUse(to.address.clone()));
        }
        target.begin()?;
        for table in TABLES {
            move_table(source.connection(), &mut target, table, &mut told)?;
        }
        let row = source
            .connection()
            .query_row(DEPLOYMENT, [], |row| values(row, DEPLOYMENT_KINDS.iter().copied()))
            .map_err(|error| unread(&error))?;
        target.finish(&row)?;
    }
    drop(target);
    let mut moved = Moved::default();
    for table in TABLES {
        moved.rows.push((table.name, count(source.connection(), table)?));
    }
    moved.compared = compare(&mut source, &mut Postgres::open(to)?, &mut told)?;
    Ok(moved)
}

fn move_table(
    source: &Connection,
    target: &mut Target,
    table: &Table,
    told: &mut impl FnMut(&'static str, u64, u64),
) -> Result<(), MoveError> {
    let all = count(source, table)?;
    let (mut done, behind) = target.progress(table)?;
    told(table.name, done, all);
    if done >= all && !table.is_ordered {
        return Ok(());
    }
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let first = columns.first().copied().unwrap_or_default();
    let mut sql = format!("SELECT {} FROM {}", columns.join(", "), table.name);
    if let Some(behind) = behind {
        sql.push_str(&format!(" WHERE {first} > {behind}"));
    }
    if table.is_ordered {
        sql.push_str(&format!(" ORDER BY {first}"));
    } else {
        // Rows that are there are not written again, but counted again.
        done = 0;
    }
    let mut statement = source.prepare(&sql).map_err(|error| unread(&error))?;
    let mut rows = statement.query([]).map_err(|error| unread(&error))?;
    loop {
        let page = page(&mut rows, table).map_err(|error| unread(&error))?;
        if page.is_empty() {
            return Ok(());
        }
        target.put(table, &page)?;
        done += page.len() as u64;
        told(table.name, done, all);
    }
}

fn page(rows: &mut Rows<'_>, table: &Table) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut page = Vec::with_capacity(PAGE);
    while page.len() < PAGE
        && let Some(row) = rows.next()?
    {
        page.push(values(row, table.columns.iter().map(|(_, kind)| *kind))?);
    }
    Ok(page)
}

fn values(row: &Row<'_>, kinds: impl Iterator<Item = Kind>) -> rusqlite::Result<Vec<Value>> {
    kinds
        .enumerate()
        .map(|(column, kind)| {
            let wrong = || rusqlite::Error::InvalidColumnType(column, String::new(), rusqlite::types::Type::Null);
            Ok(match (kind, row.get_ref(column)?) {
                (Kind::Number, ValueRef::Null) => Value::Number(None),
                (Kind::Text, ValueRef::Null) => Value::Text(None),
                (Kind::Bytes, ValueRef::Null) => Value::Bytes(None),
                (Kind::Number, ValueRef::Integer(number)) => Value::Number(Some(number)),
                (Kind::Text, ValueRef::Text(text)) => {
                    Value::Text(Some(std::str::from_utf8(text).map_err(|_| wrong())?.to_owned()))
                }
                (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(Some(bytes.to_vec())),
                _ => return Err(wrong()),
            })
        })
        .collect()
}

fn count(source: &Connection, table: &Table) -> Result<u64, MoveError> {
    let sql = format!("SELECT count(*) FROM {}", table.name);
    let rows: i64 = source.query_row(&sql, [], |row| row.get(0)).map_err(|error| unread(&error))?;
    Ok(rows.cast_unsigned())
}

fn unread(error: &rusqlite::Error) -> MoveError {
    MoveError::Read(error.to_string())
}

/// Reads every grant on both sides, with its user, its terms, its MAC, and what has ended it.
fn compare(
    source: &mut Sqlite,
    target: &mut Postgres,
    told: &mut impl FnMut(&'static str, u64, u64),
) -> Result<u64, MoveError> {
    let all = source.connection().query_row("SELECT count(*) FROM grants", [], |row| row.get::<_, i64>(0));
    let all = all.map_err(|error| unread(&error))?.cast_unsigned();
    let (mut after, mut compared) = (0, 0);
    loop {
        let question = Question::Grants { client: None, subject: None, after, limit: PAGE as u32 };
        let (Answer::Grants(here), Answer::Grants(there)) = (source.ask(&question)?, target.ask(&question)?) else {
            return Err(MoveError::Differs("one of them answers another question".to_owned()));
        };
        if here != there {
            return Err(MoveError::Differs(format!("grants behind number {after} are not the same")));
        }
        let Some(last) = here.last() else { break };
        after = last.grant.id.number;
        compared += here.len() as u64;
        told("compared", compared, all);
    }
    for question in [Question::Deployment, Question::Clients, Question::Epochs, Question::Chain] {
        let (here, there) = (source.ask(&question)?, target.ask(&question)?);
        if format!("{here:?}") != format!("{there:?}") {
            return Err(MoveError::Differs(format!("{question:?} is not answered alike")));
        }
    }
    Ok(compared)
}
