//! One connection to the server, and what can go wrong with it.
//!
//! The writer thread waits; the connection itself is driven by a thread of its own. Every wait has an end: a half-open connection is one
//! that does not answer, and is let go of.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::poll_fn;
use tokio::runtime::Runtime;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};

use super::tls::Tls;
use super::values::P;
use crate::{Cause, Unavailable};

/// No statement of ours takes longer, but for migrations.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Nor does a connection, per host.
pub(super) const REACH: Duration = Duration::from_secs(2);

/// What went wrong, and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing has happened, and the same may succeed at once: somebody was in the way.
    Again(String),
    /// Nothing has happened, and the same may succeed on another connection: this one is of no use.
    Gone(String),
    /// The answer to COMMIT was lost.
    Lost(String),
    /// Nothing has happened, and the same would fail again.
    Refused(Unavailable),
}

impl Fault {
    pub(super) fn damaged(detail: &str) -> Self {
        Self::Refused(Unavailable { cause: Cause::Damaged, detail: detail.to_owned() })
    }

    /// Of a statement before COMMIT.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let detail = words(error);
        let Some(state) = error.code() else {
            // The connection, or what it carried.
            return Self::Gone(detail);
        };
        let refused = |cause| Self::Refused(Unavailable { cause, detail: detail.clone() });
        match state.code() {
            // Serialization failure, deadlock, a lock that was not to be had in time, a name that somebody else took at this moment; also
            // that of a table, where two nodes begin in an empty database.
            "40001" | "40P01" | "55P03" | "23505" | "42710" | "42P07" => Self::Again(detail),
            // A prepared statement that a pooler's other connection does not know, or whose table has changed. A standby: the primary
            // is elsewhere by now. No room for one more connection. A password that was changed, and is read anew with the next one.
            "26000" | "0A000" | "42P05" | "25006" | "53200" | "53300" | "53400" | "28000" | "28P01" => {
                Self::Gone(detail)
            }
            "53100" => refused(Cause::Full),
            "42501" => refused(Cause::ReadOnly),
            code if code.starts_with("08") || code.starts_with("57") => Self::Gone(detail),
            code if ["XX", "42", "22", "23"].iter().any(|class| code.starts_with(class)) => refused(Cause::Damaged),
            _ => refused(Cause::Io),
        }
    }
}

/// The server's own words.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => {
            let mut words = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(deeper) = source {
                words = format!("{words}: {deeper}");
                source = deeper.source();
            }
            words
        }
    }
}

/// Whether the server has said no to a COMMIT: nothing of it is there. Everything else leaves it open.
pub(super) fn is_answered_no(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| {
        let code = state.code();
        code.starts_with("40") && *state != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN || code.starts_with("23")
    })
}

/// Whether the server warns, in whatever language it speaks: only the other of its two words for that is the same in all of them.
fn is_warning(notice: &DbError) -> bool {
    notice.parsed_severity().map_or(notice.severity() == "WARNING", |severity| severity == Severity::Warning)
}

/// A connection.
pub(super) struct Line {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    /// Whether statements are prepared once; not behind a pooler that forgets them.
    prepares: bool,
    /// How many warnings the server has sent: one of them says that a COMMIT no longer waits for the standby.
    warnings: Arc<AtomicU64>,
    /// When the server was started to which the first words were said; 0 before that.
    server: AtomicI64,
}

impl Line {
    /// Connects to whichever of the hosts can be written to.
    pub(super) async fn open(config: &Config, tls: Tls, prepares: bool) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = config.connect(tls).await?;
        let warnings = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&warnings);
        tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) if is_warning(&notice) => {
                        told.fetch_add(1, Ordering::AcqRel);
                    }
                    Ok(_) => {}
                    // Whoever waits for an answer hears that the connection is closed.
                    Err(_) => break,
                }
            }
        });
        Ok(Self { client, statements: Mutex::new(HashMap::new()), prepares, warnings, server: AtomicI64::new(0) })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Acquire)
    }

    /// The first words were said to this server.
    pub(super) fn met(&self, server: i64) {
        self.server.store(server, Ordering::Release);
    }

    /// Whether it is that server which answers: behind a pooler another one may. Then the first words have to be said again.
    pub(super) fn still(&self, server: i64) -> Result<(), Fault> {
        match self.server.load(Ordering::Acquire) {
            met if met == 0 || met == server => Ok(()),
            _ => Err(Fault::Gone("another server answers by now".to_owned())),
        }
    }

    /// Statements without parameters, in one message.
    pub(super) async fn simple(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql).await
    }

    /// Prepares a statement, so that the next use of it is one message and goes out at once. Needed before several are sent in a row.
    pub(super) async fn prepare(&self, sql: &'static str, types: &[Type]) -> Result<(), tokio_postgres::Error> {
        if !self.prepares || self.known(sql).is_some() {
            return Ok(());
        }
        let statement = self.client.prepare_typed(sql, types).await?;
        self.remember(sql, statement);
        Ok(())
    }

    fn remember(&self, sql: &'static str, statement: Statement) {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, statement);
    }

    fn known(&self, sql: &'static str) -> Option<Statement> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    /// The rows of a statement.
    pub(super) async fn rows(
        &self,
        sql: &'static str,
        parameters: &[P<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.run(sql, parameters).await.map(|(rows, _)| rows)
    }

    /// How many rows a statement has changed.
    pub(super) async fn done(&self, sql: &'static str, parameters: &[P<'_>]) -> Result<u64, tokio_postgres::Error> {
        self.run(sql, parameters).await.map(|(_, changed)| changed)
    }

    /// The rows of a statement that is used once, or not known before.
    pub(super) async fn unnamed(&self, sql: &str, parameters: &[P<'_>]) -> Result<Vec<Row>, Fault> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> =
            parameters.iter().map(|value| (value as &(dyn ToSql + Sync), value.of_type())).collect();
        self.client.query_typed(sql, &typed).await.map_err(|error| Fault::of(&error))
    }

    async fn run(&self, sql: &'static str, parameters: &[P<'_>]) -> Result<(Vec<Row>, u64), tokio_postgres::Error> {
        let stream = if self.prepares {
            let statement = match self.known(sql) {
                Some(statement) => statement,
                None => {
                    let types: Vec<Type> = parameters.iter().map(P::of_type).collect();
                    let statement = self.client.prepare_typed(sql, &types).await?;
                    self.remember(sql, statement.clone());
                    statement
                }
            };
            let plain = parameters.iter().map(|value| value as &(dyn ToSql + Sync));
            self.client.query_raw(&statement, plain).await?
        } else {
            let typed = parameters.iter().map(|value| (value as &(dyn ToSql + Sync), value.of_type()));
            self.client.query_typed_raw(sql, typed).await?
        };
        let mut stream = pin!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.as_mut().try_next().await? {
            rows.push(row);
        }
        Ok((rows, stream.rows_affected().unwrap_or(0)))
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Wakes a thread that waits.
struct Waiter(Thread);

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, which may belong to another runtime, for what `runtime` drives.
pub(super) fn wait<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    let _entered = runtime.enter();
    let waker = Waker::from(Arc::new(Waiter(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        thread::park();
    }
}
