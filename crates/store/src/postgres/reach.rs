//! Reaching the server: connections, the first words on them, and what is tried again.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::batch::{self, Writer};
use super::doubt::{self, Told};
use super::line::{Fault, Line, PATIENCE, wait};
use super::values::Columns;
use super::{Postgres, PostgresOptions, SchemaState, news};
use crate::{Cause, OpenError, Unavailable};

/// How often something is tried that failed without a trace, and the rests in between.
pub(super) const RESTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400)];
/// For a connection, whatever the number of hosts.
const REACH_ALL: Duration = Duration::from_secs(5);

impl Postgres {
    /// A new connection, to a server that keeps what it has answered.
    pub(super) fn connect(&mut self) -> Result<Line, Fault> {
        const CHECK: &str = "SELECT pg_is_in_recovery(), current_setting('fsync') = 'on', \
            current_setting('full_page_writes') = 'on', current_setting('server_encoding') = 'UTF8', \
            current_setting('synchronous_standby_names') <> '', (SELECT count(*) FROM pg_stat_replication), \
            current_setting('server_version_num')::bigint";
        // A password that was changed is in the file by now, or will be: whoever asks again shortly is served.
        let config = self.options.config().map_err(Fault::Gone)?;
        let (tls, prepares) = (self.tls.clone(), self.options.prepares);
        let opening = async {
            let line = Line::open(&config, tls, prepares).await.map_err(|error| Fault::of(&error))?;
            let rows = line.rows(CHECK, &[]).await.map_err(|error| Fault::of(&error))?;
            Ok((line, rows))
        };
        let opened = wait(self.runtime()?, async { timeout(REACH_ALL, opening).await });
        let (line, rows) = opened.unwrap_or_else(|_| Err(Fault::Gone("no host answered in time".to_owned())))?;
        let row = rows.first().ok_or_else(|| Fault::damaged("the server says nothing of itself"))?;
        let mut columns = Columns::of(row);
        let (is_standby, syncs, whole_pages, is_utf8) =
            (columns.boolean(), columns.boolean(), columns.boolean(), columns.boolean());
        let (waits, standbys, version) = (columns.boolean(), columns.u64(), columns.u64());
        columns.whole(())?;
        let refused = |cause, detail: &str| Err(Fault::Refused(Unavailable { cause, detail: detail.to_owned() }));
        if is_standby {
            return Err(Fault::Gone("this host is a standby".to_owned()));
        }
        if !syncs || !whole_pages {
            return refused(
                Cause::Device,
                "the server runs with fsync=off or full_page_writes=off: it may lose what was answered, and more; set both to on",
            );
        }
        if !is_utf8 {
            return refused(
                Cause::Damaged,
                "the database is not encoded in UTF8; create it with ENCODING 'UTF8' TEMPLATE template0",
            );
        }
        if version < 150_000 {
            return refused(Cause::Damaged, "the server is older than PostgreSQL 15");
        }
        let is_asynchronous = standbys > 0 && !waits;
        if is_asynchronous && !self.is_asynchronous {
            self.notices.push_back(format!(
                "the database has {standbys} standbys and waits for none of them (synchronous_standby_names is empty): if one of them takes over, \
                 refreshes and revocations that were answered may be lost with the primary. Set synchronous_standby_names, or know what \
                 docs/operations.md says of a failover that lost something"
            ));
        }
        self.is_asynchronous = is_asynchronous;
        Ok(line)
    }

    /// The first thing on a connection: whether the database knows what we were told; a commit, which waits for the standby and so for
    /// everything that can be read; and all that this node keeps in memory.
    pub(super) fn greet(&mut self, line: &Line) -> Result<(), Fault> {
        let (node, told, guard, seen) = (self.node.as_str(), self.told, self.guard.clone(), self.news);
        let writer = Writer { node, key: &guard };
        let greeting = async {
            let found = news::now(line).await?;
            let lost = doubt::lost(told, doubt::row(line, node).await?, &found);
            if let Some(known) = lost {
                doubt::note(line, node, told, known, &found).await?;
            }
            // At a time that is known: what we know beside may be of what was lost.
            let written = batch::write(line, writer, &[], found.high_water).await?;
            let epochs = guard.all_epochs(line).await?;
            let mut news = news::now(line).await?;
            if news.server != found.server {
                return Err(Fault::Gone("another server answers by now".to_owned()));
            }
            let mut lost = lost;
            if lost.is_none() && news.is_before(&seen) {
                let known = told.unseen();
                doubt::note(line, node, told, known, &news).await?;
                (lost, news.is_in_doubt) = (Some(known), true);
            }
            Ok((written, epochs, news, lost))
        };
        let greeted = wait(self.runtime()?, async { timeout(PATIENCE * 2, greeting).await });
        let silent = || Fault::Gone("the database did not answer in time".to_owned());
        let (written, epochs, news, lost) = greeted.map_err(|_| silent())??;
        line.met(news.server);
        if let Some(known) = lost {
            self.notices.push_back(doubt::said(told, known));
        }
        if told.commits == 0 {
            self.told.begun_at = news.high_water;
        }
        self.told = Told { commits: written.commits, swept: news.swept, ..self.told };
        self.took_epochs(epochs);
        self.forged = None;
        self.took(news);
        Ok(())
    }

    /// Does something once, on the connection that is there or a new one, without a word to the server about who we are.
    pub(super) fn once<T>(&mut self, act: impl AsyncFnOnce(&Line) -> Result<T, Fault>) -> Result<T, Fault> {
        let line = match self.line.take() {
            Some(line) if !line.is_closed() => line,
            _ => self.connect()?,
        };
        let done = wait(self.runtime()?, act(&line));
        if done.is_ok() {
            self.line = Some(line);
        }
        done
    }

    /// Does something that leaves nothing behind where it fails, until it is done or enough was tried.
    pub(super) fn again<T>(&mut self, mut act: impl AsyncFnMut(&Line) -> Result<T, Fault>) -> Result<T, Unavailable> {
        let mut trouble = String::new();
        for rest in RESTS {
            if !rest.is_zero() {
                let runtime = self.runtime().map_err(told)?;
                wait(runtime, async { sleep(rest).await });
            }
            let fault = match self.attempt(&mut act) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            match fault {
                Fault::Again(detail) | Fault::Gone(detail) => trouble = detail,
                Fault::Lost(_) | Fault::Refused(_) => return Err(told(fault)),
            }
        }
        Err(Unavailable { cause: Cause::Unreachable, detail: trouble })
    }

    pub(super) fn attempt<T>(&mut self, act: &mut impl AsyncFnMut(&Line) -> Result<T, Fault>) -> Result<T, Fault> {
        let line = match self.line.take() {
            Some(line) if !line.is_closed() => line,
            _ => {
                let line = self.connect()?;
                self.greet(&line)?;
                line
            }
        };
        let runtime = self.runtime()?;
        let done = wait(runtime, act(&line));
        // Nothing of a failed transaction may stay open; a connection that nobody knows the state of is let go.
        let is_clean = match &done {
            Ok(_) => true,
            Err(Fault::Again(_) | Fault::Refused(_)) => {
                wait(runtime, async { timeout(PATIENCE, line.simple("ROLLBACK")).await })
                    .is_ok_and(|ended| ended.is_ok())
            }
            Err(Fault::Gone(_) | Fault::Lost(_)) => false,
        };
        if is_clean {
            self.line = Some(line);
        }
        done
    }

    /// Reads; a server that does not answer is a connection of no use.
    pub(super) fn read<T>(&mut self, mut act: impl AsyncFnMut(&Line) -> Result<T, Fault>) -> Result<T, Unavailable> {
        self.again(async |line| match timeout(PATIENCE, act(line)).await {
            Ok(done) => done,
            Err(_) => Err(Fault::Gone("the database did not answer in time".to_owned())),
        })
    }
}

/// What the contract calls a fault that nothing could be done about.
pub(super) fn told(fault: Fault) -> Unavailable {
    match fault {
        Fault::Again(detail) | Fault::Gone(detail) => Unavailable { cause: Cause::Unreachable, detail },
        Fault::Lost(detail) => Unavailable { cause: Cause::Unknown, detail },
        Fault::Refused(trouble) => trouble,
    }
}

/// A migration that failed. Each is one transaction.
pub(super) fn not_upgraded(options: &PostgresOptions, found: SchemaState, fault: Fault) -> OpenError {
    let Some(next) = found.pending().next() else { return refused(options, fault) };
    let problem = format!(
        "the upgrade to schema {} failed: {}. What was applied before it stays, and of this one there is nothing or all: `regrant migrate \
         plan` tells",
        next.version,
        told(fault).detail
    );
    let remedy =
        "look into the server's log, apply it again when the server is well, and report this if it fails again"
            .to_owned();
    OpenError::Server { place: options.address.clone(), problem, remedy }
}

pub(super) fn refused(options: &PostgresOptions, fault: Fault) -> OpenError {
    let problem = told(fault).detail;
    let remedy = "check that the server runs, that the user may log in from here and owns the database, and what the server's log says".to_owned();
    OpenError::Server { place: options.address.clone(), problem, remedy }
}
