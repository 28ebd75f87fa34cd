//! What a server has in its store: how many rows or keys, and how many bytes they take.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::output;

/// Where to look.
#[derive(Clone, Debug)]
pub enum Books {
    /// Nothing is kept.
    None,
    /// A SQLite database and its write-ahead log.
    Sqlite(PathBuf),
    /// A Redis server on this port.
    Redis(u16),
    /// A database of a PostgreSQL server on this port; `psql`'s path first.
    Postgres(PathBuf, u16, &'static str),
}

/// What is there.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Size {
    /// Rows of all tables, or keys.
    pub rows: i64,
    /// Bytes: of SQLite's and PostgreSQL's files, of Redis's memory.
    pub bytes: i64,
}

/// Rows of every table, whatever their names.
pub(crate) const ROWS: &str = "SELECT coalesce(sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', table_name), \
    false, true, '')))[1]::text::bigint), 0) FROM information_schema.tables WHERE table_schema = 'public'";

impl Books {
    /// Counts.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(&self) -> Result<Size, String> {
        match self {
            Self::None => Ok(Size::default()),
            Self::Sqlite(path) => sqlite(path).map_err(|error| format!("{}: {error}", path.display())),
            Self::Redis(port) => {
                let rows = number(&redis(*port, &["DBSIZE"])?)?;
                let memory = redis(*port, &["INFO", "memory"])?;
                let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
                Ok(Size { rows, bytes: number(used.unwrap_or_default())? })
            }
            Self::Postgres(psql, port, database) => {
                let ask = |query: &str| {
                    let port = port.to_string();
                    output(Command::new(psql).args([
                        "-h",
                        "127.0.0.1",
                        "-p",
                        &port,
                        "-U",
                        CLUSTER_OWNER,
                        "-At",
                        "-c",
                        query,
                        database,
                    ]))
                };
                Ok(Size {
                    rows: number(&ask(ROWS)?)?,
                    bytes: number(&ask("SELECT pg_database_size(current_database())")?)?,
                })
            }
        }
    }
}

/// The name of PostgreSQL's superuser, which is trusted on the loopback port.
pub const CLUSTER_OWNER: &str = "bench";

fn sqlite(path: &Path) -> rusqlite::Result<Size> {
    let store = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut tables = store.prepare(names)?;
    let mut size = Size::default();
    for table in tables.query_map([], |row| row.get::<_, String>(0))? {
        let count = format!("SELECT count(*) FROM \"{}\"", table?.replace('"', "\"\""));
        size.rows += store.query_row(&count, [], |row| row.get::<_, i64>(0))?;
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    for file in [path.as_os_str(), &log] {
        size.bytes += std::fs::metadata(file).map_or(0, |file| i64::try_from(file.len()).unwrap_or(i64::MAX));
    }
    Ok(size)
}

fn redis(port: u16, command: &[&str]) -> Result<String, String> {
    output(Command::new("redis-cli").args(["-p", &port.to_string()]).args(command))
}

fn number(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("no number: {text}"))
}
