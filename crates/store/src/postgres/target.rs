//! A database into which a store is moved ([`moving`](crate::moving)): marked until everything is there, so that no node opens it.

use regrant_core::keys::DeploymentId;

use super::line::{Fault, Line};
use super::reach::refused;
use super::values::{Columns, P, escaped};
use super::{Postgres, PostgresOptions, told};
use crate::moving::{Kind, Table, Value, table_names};
use crate::{Answer, Mark, OpenError, Question, Store as _, Unavailable};

/// The mark, and what the file was: nothing in those of before that was kept. Without its count the rows are of no file that is known.
const MARK: &str = "CREATE TABLE IF NOT EXISTS regrant_moving (begun_at timestamptz NOT NULL DEFAULT now()); \
    ALTER TABLE regrant_moving ADD COLUMN IF NOT EXISTS deployment bytea, ADD COLUMN IF NOT EXISTS era bigint, \
    ADD COLUMN IF NOT EXISTS commits bigint, ADD COLUMN IF NOT EXISTS high_water bigint, ADD COLUMN IF NOT EXISTS seals bigint";
const SET_FILE: &str =
    "INSERT INTO regrant_moving (deployment, era, commits, high_water, seals) VALUES ($1, $2, $3, $4, $5)";
const FILE: &str = "SELECT deployment, era, commits, high_water, seals FROM regrant_moving";

/// A move that was begun, and not finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Begun {
    /// Of which deployment, if that was noted.
    pub(crate) deployment: Option<[u8; 16]>,
    /// What the file was. `None` where that was not noted, or what is there is not what the file held.
    pub(crate) file: Option<Mark>,
}

/// See the module's description.
pub(crate) struct Target(Postgres);

impl Target {
    /// Connects, and makes the schema.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        Postgres::migrate(options, |_| {})?;
        let mut store = Postgres::connected(options)?;
        // What is asked of it is asked as of a database that is only looked at.
        store.recovers = true;
        store.name().map_err(|fault| refused(options, fault))?;
        Ok(Self(store))
    }

    /// Whose it is, if it is somebody's.
    pub(crate) fn deployment(&mut self) -> Result<Option<[u8; 16]>, Unavailable> {
        self.0
            .once(async |line| {
                let rows = line.unnamed("SELECT deployment FROM meta WHERE deployment IS NOT NULL", &[]).await?;
                rows.first()
                    .map(|row| {
                        let mut columns = Columns::of(row);
                        let id = columns.array();
                        columns.whole(id)
                    })
                    .transpose()
            })
            .map_err(told)
    }

    /// The move into it that was begun, and not finished.
    pub(crate) fn begun(&mut self) -> Result<Option<Begun>, Unavailable> {
        self.0
            .once(async |line| {
                if !super::is_marked(line).await? {
                    return Ok(None);
                }
                line.simple(MARK).await.map_err(|error| Fault::of(&error))?;
                marked(line).await.map(Some)
            })
            .map_err(told)
    }

    pub(crate) fn is_empty(&mut self) -> Result<bool, Unavailable> {
        let names = table_names();
        let none: Vec<String> = names.split(", ").map(|table| format!("NOT EXISTS (SELECT 1 FROM {table})")).collect();
        let sql = format!("SELECT ({})", none.join(" AND "));
        self.0
            .once(async |line| Ok(line.unnamed(&sql, &[]).await?.first().is_some_and(|row| Columns::of(row).boolean())))
            .map_err(told)
    }

    /// Marks an empty database.
    pub(crate) fn begin(&mut self, file: &Mark) -> Result<(), Unavailable> {
        self.mark(file, MARK)
    }

    /// Empties a database that is marked, and marks it again: all of it or nothing.
    pub(crate) fn begin_anew(&mut self, file: &Mark) -> Result<(), Unavailable> {
        self.mark(file, &format!("DELETE FROM regrant_moving; TRUNCATE {}", table_names()))
    }

    fn mark(&mut self, file: &Mark, prepared_by: &str) -> Result<(), Unavailable> {
        let parameters = [
            P::B(&file.deployment.0),
            P::N(i64::from(file.era)),
            P::N(file.commits.cast_signed()),
            P::N(file.at.millis()),
            P::N(file.seals.cast_signed()),
        ];
        self.0
            .once(async |line| {
                let fault = |error: tokio_postgres::Error| Fault::of(&error);
                line.simple(super::batch::BEGIN).await.map_err(fault)?;
                line.simple(prepared_by).await.map_err(fault)?;
                line.unnamed(SET_FILE, &parameters).await?;
                line.simple("COMMIT").await.map_err(fault)
            })
            .map_err(told)
    }

    /// What is there is not what the file holds: the next move empties it.
    pub(crate) fn distrust(&mut self) -> Result<(), Unavailable> {
        self.0
            .once(async |line| {
                line.simple("UPDATE regrant_moving SET commits = NULL").await.map_err(|error| Fault::of(&error))
            })
            .map_err(told)
    }

    /// Asks it as a node would.
    pub(crate) fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        self.0.ask(question)
    }

    /// How many rows are there, and behind which of an ordered table it goes on.
    pub(crate) fn progress(&mut self, table: &Table) -> Result<(u64, Option<i64>), Unavailable> {
        let first = table.columns.first().map_or("", |(name, _)| *name);
        let last = if table.is_ordered { format!("max({first})::bigint") } else { "NULL::bigint".to_owned() };
        let sql = format!("SELECT count(*), {last} FROM {}", table.name);
        self.0
            .once(async |line| {
                let rows = line.unnamed(&sql, &[]).await?;
                let row = rows.first().ok_or_else(|| Fault::damaged("a table has no count"))?;
                let mut columns = Columns::of(row);
                let progress = (columns.u64(), columns.optional_i64());
                columns.whole(progress)
            })
            .map_err(told)
    }

    /// Rows that are there already are left as they are.
    pub(crate) fn put(&mut self, table: &Table, page: &[Vec<Value>]) -> Result<(), Unavailable> {
        let names = table.names();
        let marks: Vec<String> = (1..=table.columns.len()).map(|number| format!("${number}")).collect();
        let sql = format!(
            "INSERT INTO {} ({names}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING",
            table.name,
            marks.join(", ")
        );
        let parameters = columns_of(table.columns, page);
        self.0.once(async |line| line.unnamed(&sql, &parameters).await.map(|_| ())).map_err(told)
    }

    /// The rows that have the keys of these, in the same order.
    pub(crate) fn rows_like(&mut self, table: &Table, page: &[Vec<Value>]) -> Result<Vec<Vec<Value>>, Unavailable> {
        let keys = table.columns.get(..table.keys).unwrap_or_default();
        let (mut marks, mut named, mut same) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (name, _)) in (1..).zip(keys) {
            marks.push(format!("${number}"));
            named.push(format!("key{number}"));
            same.push(format!("{name} = key{number}"));
        }
        let sql = format!(
            "SELECT {} FROM unnest({}) WITH ORDINALITY AS wanted ({}, place) JOIN {} ON {} ORDER BY place",
            table.names(),
            marks.join(", "),
            named.join(", "),
            table.name,
            same.join(" AND ")
        );
        let parameters = columns_of(keys, page);
        let read = |row: &tokio_postgres::Row| {
            let mut columns = Columns::of(row);
            let values = table.columns.iter().map(|(_, kind)| match kind {
                Kind::Number => Value::Number(columns.optional_i64()),
                Kind::Text => Value::Text(columns.optional_text()),
                Kind::Bytes => Value::Bytes(columns.bytes()),
            });
            let values = values.collect();
            columns.whole(values)
        };
        self.0.once(async |line| line.unnamed(&sql, &parameters).await?.iter().map(read).collect()).map_err(told)
    }

    /// What has an order among all nodes.
    pub(crate) fn set_ledger(&mut self, row: &[Value]) -> Result<(), Unavailable> {
        const LEDGER: &str = "UPDATE ledger SET removed = $1, removed_link = $2, newest = $3, newest_link = $4, revocation = $5, \
            notice = $6, epoch = $7, seals = $8, seal = $9, sealed_epochs = NULL, sealed_keys = NULL";
        let row: Vec<P<'_>> = row.iter().map(as_parameter).collect();
        self.0.once(async |line| line.unnamed(LEDGER, &row).await.map(|_| ())).map_err(told)
    }

    /// The deployment's identity, and the mark goes: both or nothing. `false` if somebody else has begun here meanwhile.
    pub(crate) fn finish(&mut self, row: &[Value], file: &Mark) -> Result<bool, Unavailable> {
        const META: &str = "UPDATE meta SET deployment = $1, root_check = $2, era = $3, next_grant = $4, high_water = $5, \
            lost_from = $6, lost_until = $7, unproven = $8 WHERE deployment IS NULL RETURNING 1::bigint";
        let row: Vec<P<'_>> = row.iter().map(as_parameter).collect();
        self.0
            .once(async |line| {
                let fault = |error: tokio_postgres::Error| Fault::of(&error);
                line.simple(super::batch::BEGIN).await.map_err(fault)?;
                // Held to the end: another move waits here, and finds no mark then.
                line.simple("LOCK TABLE regrant_moving").await.map_err(fault)?;
                let is_ours = marked(line).await?.file == Some(*file);
                if !is_ours || line.unnamed(META, &row).await?.is_empty() {
                    line.simple("ROLLBACK").await.map_err(fault)?;
                    return Ok(false);
                }
                line.simple("DROP TABLE regrant_moving").await.map_err(fault)?;
                line.simple("COMMIT").await.map_err(fault)?;
                Ok(true)
            })
            .map_err(told)
    }
}

async fn marked(line: &Line) -> Result<Begun, Fault> {
    let rows = line.unnamed(FILE, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Begun { deployment: None, file: None }) };
    let mut columns = Columns::of(row);
    let deployment = columns.bytes().and_then(|id| id.try_into().ok());
    let (era, commits) = (columns.optional_i64(), columns.optional_u64());
    let (at, seals) = (columns.optional_time(), columns.optional_u64());
    let file = || {
        Some(Mark {
            deployment: DeploymentId(deployment?),
            era: era?.try_into().ok()?,
            commits: commits?,
            at: at?,
            seals: seals?,
        })
    };
    columns.whole(Begun { deployment, file: file() })
}

/// These columns of the rows, each as one parameter.
fn columns_of<'a>(columns: &[(&str, Kind)], page: &'a [Vec<Value>]) -> Vec<P<'a>> {
    let column = |place: usize| page.iter().map(move |row| row.get(place));
    columns
        .iter()
        .enumerate()
        .map(|(place, (_, kind))| match kind {
            Kind::Number => P::Os(column(place).map(number).collect()),
            Kind::Text => P::Us(column(place).map(|value| text(value).map(escaped)).collect()),
            Kind::Bytes => P::Cs(column(place).map(bytes).collect()),
        })
        .collect()
}

fn as_parameter(value: &Value) -> P<'_> {
    match value {
        Value::Number(number) => P::O(*number),
        Value::Text(text) => P::U(text.as_deref()),
        Value::Bytes(bytes) => P::C(bytes.as_deref()),
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Number(number)) => *number,
        _ => None,
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => text.as_deref(),
        _ => None,
    }
}

fn bytes(value: Option<&Value>) -> Option<&[u8]> {
    match value {
        Some(Value::Bytes(bytes)) => bytes.as_deref(),
        _ => None,
    }
}
