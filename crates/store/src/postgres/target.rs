//! A database into which a store is moved ([`moving`](crate::moving)): marked until everything is there, so that no node opens it.

use super::line::Fault;
use super::values::{Columns, P, escaped};
use super::{Postgres, PostgresOptions, told};
use crate::moving::{Kind, Table, Value};
use crate::{OpenError, Unavailable};

/// See the module's description.
pub(crate) struct Target(Postgres);

impl Target {
    /// Connects, and makes the schema.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        Postgres::migrate(options, |_| {})?;
        Postgres::connected(options).map(Self)
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

    /// Whether a move into it was begun, and not finished.
    pub(crate) fn is_begun(&mut self) -> Result<bool, Unavailable> {
        self.0.once(async |line| super::is_marked(line).await).map_err(told)
    }

    pub(crate) fn is_empty(&mut self) -> Result<bool, Unavailable> {
        const SQL: &str = "SELECT NOT EXISTS (SELECT 1 FROM grants) AND NOT EXISTS (SELECT 1 FROM users)";
        self.0
            .once(async |line| Ok(line.unnamed(SQL, &[]).await?.first().is_some_and(|row| Columns::of(row).boolean())))
            .map_err(told)
    }

    pub(crate) fn begin(&mut self) -> Result<(), Unavailable> {
        self.0
            .once(async |line| {
                let mark = "CREATE TABLE IF NOT EXISTS regrant_moving (begun_at timestamptz NOT NULL DEFAULT now())";
                line.simple(mark).await.map_err(|error| Fault::of(&error))
            })
            .map_err(told)
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
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let marks: Vec<String> = (1..=names.len()).map(|number| format!("${number}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING",
            table.name,
            names.join(", "),
            marks.join(", ")
        );
        let column = |place: usize| page.iter().map(move |row| row.get(place));
        let parameters: Vec<P<'_>> = table
            .columns
            .iter()
            .enumerate()
            .map(|(place, (_, kind))| match kind {
                Kind::Number => P::Os(column(place).map(number).collect()),
                Kind::Text => P::Us(column(place).map(|value| text(value).map(escaped)).collect()),
                Kind::Bytes => P::Cs(column(place).map(bytes).collect()),
            })
            .collect();
        self.0.once(async |line| line.unnamed(&sql, &parameters).await.map(|_| ())).map_err(told)
    }

    /// The deployment's identity and the ledger, and the mark goes: all of it or nothing.
    pub(crate) fn finish(&mut self, row: &[Value]) -> Result<(), Unavailable> {
        const META: &str = "UPDATE meta SET deployment = $1, root_check = $2, era = $3, next_grant = $4, high_water = $5, \
            lost_from = $6, lost_until = $7, unproven = $8";
        const LEDGER: &str = "UPDATE ledger SET removed = $1, removed_link = $2, newest = $3, newest_link = $4, revocation = $5, \
            notice = $6, epoch = $7, seals = $8, seal = $9, sealed_epochs = NULL, sealed_keys = NULL";
        let (meta, ledger) = row.split_at(row.len().min(8));
        let (meta, ledger): (Vec<P<'_>>, Vec<P<'_>>) =
            (meta.iter().map(as_parameter).collect(), ledger.iter().map(as_parameter).collect());
        self.0
            .once(async |line| {
                let fault = |error: tokio_postgres::Error| Fault::of(&error);
                line.simple(super::batch::BEGIN).await.map_err(fault)?;
                line.unnamed(META, &meta).await?;
                line.unnamed(LEDGER, &ledger).await?;
                line.simple("DROP TABLE regrant_moving").await.map_err(fault)?;
                line.simple("COMMIT").await.map_err(fault)
            })
            .map_err(told)
    }
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
