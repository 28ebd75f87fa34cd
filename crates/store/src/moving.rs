//! Moving a store from a SQLite file to a PostgreSQL: every row as it is, under the same MACs, so that no session is lost.
//!
//! The file is held meanwhile, so that no server writes to it. Until the end the database is marked, and no node opens it. The mark tells
//! what the file was when the move was begun:
//!
//! | the database                                   | what is done                                                          |
//! |------------------------------------------------|-----------------------------------------------------------------------|
//! | is empty                                       | it is marked, and everything is copied                                |
//! | is marked, and the file is as it was           | it goes on: rows that are there are not written again                 |
//! | is marked, and the file was served meanwhile   | it is emptied, and everything is copied anew                          |
//! | is marked by a move of another deployment      | [`MoveError::InUse`]                                                  |
//! | has this deployment's identity, and no mark    | both are compared; where they differ, nodes serve from it by now      |
//! | has anything else                              | [`MoveError::InUse`]                                                  |
//!
//! At the end every row of every table is read on both sides and compared, and every grant through the contract as well. Only then the
//! database is given its identity, and the mark goes, in one transaction. Beside the file a note says where it has gone, and no server opens
//! it any more: two stores that both rotate would know nothing of each other.

mod tables;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};

use crate::postgres::Target;
use crate::{Answer, OpenError, PostgresOptions, Question, Sqlite, Store, Unavailable};
use tables::{DEPLOYMENT, DEPLOYMENT_KINDS, IDENTITY, TABLES};
pub(crate) use tables::{Kind, Table, Value, table_names};

/// Rows that are sent, or compared, at once.
const PAGE: usize = 1000;

/// Why a store could not be moved. What is in the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The server cannot be opened.
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
    /// The move was finished before, and one of the two was served from since.
    #[error(
        "the database {0} has had this deployment since an earlier move, and one of the two was served from since\n  remedy: serve from the database, or look first at what was done on which: `regrant events` on either. Nothing was changed"
    )]
    Finished(String),
    /// The file cannot be read.
    #[error("the file could not be read: {0}\n  remedy: check it with `regrant doctor`; the move can be begun again")]
    Read(String),
    /// The server failed.
    #[error("the database failed: {0}\n  remedy: look at the server's log, and begin again: it goes on where it was")]
    Write(#[from] Unavailable),
    /// Both do not say the same.
    #[error(
        "the copy is not what the file holds: {0}\n  remedy: begin again: the database, which no node opens, is emptied first. If it is said again, keep the file, and report this"
    )]
    Differs(String),
}

/// What was moved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Rows, table by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Grants that were read on both sides, and were the same.
    pub compared: u64,
    /// Whether the file was another one than an earlier move had begun with, so that the database was emptied.
    pub began_anew: bool,
    /// Why no note could be left beside the file: nothing hinders a server from opening it.
    pub unnoted: Option<String>,
}

/// Moves everything. `told` hears of the table, the rows of it that are there, and how many there are.
///
/// # Errors
/// [`MoveError`]; begun again, it goes on where it was.
pub fn move_store(
    source: &mut Sqlite,
    to: &PostgresOptions,
    mut told: impl FnMut(&'static str, u64, u64),
) -> Result<Moved, MoveError> {
    source.fold_all().map_err(|trouble| MoveError::Read(trouble.detail))?;
    let Answer::Deployment(Some(deployment)) = asked(source, &Question::Deployment)? else {
        return Err(MoveError::Empty(source.path()));
    };
    const UNSEALED: &str = "SELECT length(seal) = 0 AND EXISTS (SELECT 1 FROM keys WHERE kind <> 'seed') FROM meta";
    if source.connection().query_row(UNSEALED, [], |row| row.get(0)).map_err(|error| unread(&error))? {
        return Err(MoveError::Unsealed(source.path()));
    }
    let mut moved = Moved::default();
    for table in TABLES {
        moved.rows.push((table.name, count(source.connection(), table)?));
    }
    let mut target = Target::open(to)?;
    let in_use = || MoveError::InUse(to.address.clone());
    match (target.deployment()?, target.begun()?) {
        (Some(found), None) if found == deployment.id.0 => {
            moved.compared = compare(source, &mut target, &mut told).map_err(|error| match error {
                MoveError::Differs(_) => MoveError::Finished(to.address.clone()),
                error => error,
            })?;
        }
        (None, Some(begun)) if begun.deployment.is_none_or(|of| of == deployment.id.0) => {
            moved.began_anew = begun.file != Some(source.mark());
            if moved.began_anew {
                target.begin_anew(&source.mark())?;
            }
            fill(source, &mut target, &mut moved, &mut told, in_use)?;
        }
        (None, None) if target.is_empty()? => {
            target.begin(&source.mark())?;
            fill(source, &mut target, &mut moved, &mut told, in_use)?;
        }
        _ => return Err(in_use()),
    }
    // The lock is still held: no server opens the file between its end and the note.
    moved.unnoted = source.note_moved(&to.address).err().map(|error| error.to_string());
    Ok(moved)
}

/// Copies and compares what is not there yet, and then gives the database its identity.
fn fill(
    source: &mut Sqlite,
    target: &mut Target,
    moved: &mut Moved,
    told: &mut impl FnMut(&'static str, u64, u64),
    in_use: impl Fn() -> MoveError,
) -> Result<(), MoveError> {
    for table in TABLES {
        move_table(source.connection(), target, table, told)?;
    }
    let row = source
        .connection()
        .query_row(DEPLOYMENT, [], |row| values(row, DEPLOYMENT_KINDS.iter().copied()))
        .map_err(|error| unread(&error))?;
    let (identity, ledger) = row.split_at(row.len().min(IDENTITY));
    target.set_ledger(ledger)?;
    moved.compared = match compare(source, target, told) {
        Err(MoveError::Differs(what)) => {
            // What is there is not to be gone on from.
            target.distrust()?;
            return Err(MoveError::Differs(what));
        }
        compared => compared?,
    };
    if target.finish(identity, &source.mark())? { Ok(()) } else { Err(in_use()) }
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
    let first = table.columns.first().map_or("", |(name, _)| *name);
    let mut sql = format!("SELECT {} FROM {}", table.names(), table.name);
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

fn asked(source: &mut Sqlite, question: &Question) -> Result<Answer, MoveError> {
    source.ask(question).map_err(|trouble| MoveError::Read(trouble.detail))
}

/// Reads everything on both sides; how many grants there are.
fn compare(
    source: &mut Sqlite,
    target: &mut Target,
    told: &mut impl FnMut(&'static str, u64, u64),
) -> Result<u64, MoveError> {
    for table in TABLES {
        compare_table(source.connection(), target, table)?;
    }
    compare_answers(source, target, told)
}

/// As many rows here as there, and each of those here is there as it is here. By their keys, so that neither memory nor an order of texts is
/// needed that both sides have in common.
fn compare_table(source: &Connection, target: &mut Target, table: &Table) -> Result<(), MoveError> {
    let differs = |what: &str| Err(MoveError::Differs(format!("{what} of the table {} are not the same", table.name)));
    let (here, (there, _)) = (count(source, table)?, target.progress(table)?);
    if here != there {
        return differs(&format!("{here} rows in the file and {there} in the database"));
    }
    let mut statement =
        source.prepare(&format!("SELECT {} FROM {}", table.names(), table.name)).map_err(|error| unread(&error))?;
    let mut rows = statement.query([]).map_err(|error| unread(&error))?;
    loop {
        let page = page(&mut rows, table).map_err(|error| unread(&error))?;
        if page.is_empty() {
            return Ok(());
        }
        if target.rows_like(table, &page)? != page {
            return differs("rows");
        }
    }
}

/// Reads every grant on both sides, with its user, its terms, its MAC, and what has ended it.
fn compare_answers(
    source: &mut Sqlite,
    target: &mut Target,
    told: &mut impl FnMut(&'static str, u64, u64),
) -> Result<u64, MoveError> {
    let all = source.connection().query_row("SELECT count(*) FROM grants", [], |row| row.get::<_, i64>(0));
    let all = all.map_err(|error| unread(&error))?.cast_unsigned();
    let (mut after, mut compared) = (0, 0);
    loop {
        let question = Question::Grants { client: None, subject: None, after, limit: PAGE as u32 };
        let (Answer::Grants(here), Answer::Grants(there)) = (asked(source, &question)?, target.ask(&question)?) else {
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
    for question in [Question::Clients, Question::Epochs, Question::Chain] {
        let (here, there) = (asked(source, &question)?, target.ask(&question)?);
        if format!("{here:?}") != format!("{there:?}") {
            return Err(MoveError::Differs(format!("{question:?} is not answered alike")));
        }
    }
    Ok(compared)
}
