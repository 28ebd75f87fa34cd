//! The store of many nodes: one PostgreSQL, written by every node's one writer.
//!
//! A node keeps nothing that another one could make wrong, but for what is compared with every batch ([`news`]):
//!
//! | what a decision rests on              | how it is known to be true at the commit                                          |
//! |---------------------------------------|------------------------------------------------------------------------------------|
//! | the grant's row                       | compare-and-set on its version: `Stale`, and it is decided again                   |
//! | its user, what the user said of the client | read with the row; a count of restrictions is compared behind the commit       |
//! | wide revocations                      | in memory; the same count, and what is new is read before anything is answered     |
//! | the newest time                       | a row for each node; the newest of them is read with every batch                   |
//!
//! Where the count has risen between the look at a row and its commit, the row is looked at again before anybody is answered: what was
//! revoked in between is `Stale`, is decided again, and then has ended (law L9).
//!
//! What can go wrong, and what is done:
//!
//! | trouble                                          | what is known      | what is done                                       |
//! |--------------------------------------------------|--------------------|----------------------------------------------------|
//! | 40001, 40P01, 55P03                              | nothing happened   | the batch is done again                            |
//! | 57P01, 08xxx, 25006, a closed or silent connection | nothing happened | the same on another connection, to whichever host can be written |
//! | the answer to COMMIT is lost                     | nothing            | [`Cause::Unknown`]: settled by reading the rows, behind a commit of our own |
//! | no host can be written, or none in time          | nothing happened   | [`Cause::Unreachable`]: 503                        |
//!
//! A connection begins with a commit of its own, so that what is read over it is what a standby has, too: a server that was restarted
//! shows rows of which no standby has heard.

mod batch;
mod grants;
mod ledger;
mod line;
mod news;
mod options;
mod people;
mod places;
mod questions;
mod records;
mod schema;
mod target;
mod tls;
mod values;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use regrant_core::issue::SubjectStatus;
use regrant_core::{ChainKey, Epoch, GrantId, Timestamp};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use tokio_postgres::Config;

use crate::epochs::Epochs;
use crate::{Answer, Cause, Forged, Loaded, OpenError, Outcome, Question, Record, Store, Unavailable};
use batch::Writer;
use line::{Fault, Line, PATIENCE, wait};
use news::News;
pub use options::PostgresOptions;
pub use schema::{Migration, SchemaState, known};
pub(crate) use target::Target;
use tls::Tls;
use values::{Columns, P};

/// How often something is tried that failed without a trace, and the rests in between.
const RESTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400)];
/// For a connection, whatever the number of hosts.
const REACH_ALL: Duration = Duration::from_secs(5);

/// One node's hold on the database.
#[derive(Debug)]
pub struct Postgres {
    /// `None` when it is dropped.
    runtime: Option<Runtime>,
    options: PostgresOptions,
    config: Config,
    tls: Tls,
    /// `None` until it is needed again.
    line: Option<Line>,
    /// The name of this node's row.
    node: String,
    key: ChainKey,
    epochs: Epochs,
    /// As of the last look.
    news: News,
    /// The count of restrictions under which rows were looked at last.
    looked: u64,
    /// How many commits of this node were answered.
    commits: u64,
    /// Whether the server has standbys, and waits for none.
    is_asynchronous: bool,
    notices: VecDeque<String>,
}

impl Postgres {
    /// Connects, and makes the schema in an empty database.
    ///
    /// # Errors
    /// [`OpenError::Server`].
    pub fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        let mut store = Self::connected(options)?;
        let refused = |fault| refused(options, fault);
        let mut state = store.once(async |line| schema::look(line).await).map_err(refused)?;
        while state.version == 0 {
            store.migrate_next().map_err(refused)?;
            state = store.once(async |line| schema::look(line).await).map_err(refused)?;
        }
        let place = options.address.clone();
        if state.is_newer() {
            let problem = format!("its schema {} needs a newer program: this one knows {}", state.version, known());
            let remedy = "run the newer version of Regrant; nothing was changed".to_owned();
            return Err(OpenError::Server { place, problem, remedy });
        }
        if state.pending().next().is_some() {
            let problem = format!("its schema is {}, and this program needs {}", state.version, known());
            let remedy = "look at what is missing with `regrant migrate plan`, and apply it with `regrant migrate apply`: nodes of the version before go on meanwhile".to_owned();
            return Err(OpenError::Server { place, problem, remedy });
        }
        if store.once(async |line| is_marked(line).await).map_err(refused)? {
            let problem = "a store is being moved into it, or that was interrupted".to_owned();
            let remedy = "run `regrant copy` again: it goes on where it was".to_owned();
            return Err(OpenError::Server { place, problem, remedy });
        }
        store.begin().map_err(refused)?;
        Ok(store)
    }

    /// What the database says of its schema; nothing is changed.
    ///
    /// # Errors
    /// [`OpenError::Server`].
    pub fn schema(options: &PostgresOptions) -> Result<SchemaState, OpenError> {
        let mut store = Self::connected(options)?;
        store.once(async |line| schema::look(line).await).map_err(|fault| refused(options, fault))
    }

    /// Applies what is missing, and calls `told` with each step that is done.
    ///
    /// # Errors
    /// [`OpenError::Server`]; the steps before the one that failed stand.
    pub fn migrate(options: &PostgresOptions, mut told: impl FnMut(&Migration)) -> Result<(), OpenError> {
        let mut store = Self::connected(options)?;
        loop {
            match store.migrate_next().map_err(|fault| refused(options, fault))? {
                Some(migration) => told(migration),
                None => return Ok(()),
            }
        }
    }

    /// Nodes that do it at the same moment are in each other's way, once.
    fn migrate_next(&mut self) -> Result<Option<&'static Migration>, Fault> {
        let mut done = self.once(async |line| schema::apply_next(line).await);
        for rest in RESTS {
            if !matches!(done, Err(Fault::Again(_))) {
                break;
            }
            wait(self.runtime()?, async { sleep(rest).await });
            done = self.once(async |line| schema::apply_next(line).await);
        }
        done
    }

    fn connected(options: &PostgresOptions) -> Result<Self, OpenError> {
        let broken = |problem: String| OpenError::Server {
            place: options.address.clone(),
            problem,
            remedy: "correct `store` in the configuration, and the files that it names".to_owned(),
        };
        let config = options.config().map_err(broken)?;
        let tls = Tls::new(options.authorities.as_deref()).map_err(broken)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("regrant-postgres")
            .enable_all()
            .build()
            .map_err(|error| broken(format!("a thread cannot be started: {error}")))?;
        let mut store = Self {
            runtime: Some(runtime),
            options: options.clone(),
            config,
            tls,
            line: None,
            node: String::new(),
            key: ChainKey::public(),
            epochs: Epochs::default(),
            news: News::default(),
            looked: 0,
            commits: 0,
            is_asynchronous: false,
            notices: VecDeque::new(),
        };
        store.line = Some(store.connect().map_err(|fault| refused(options, fault))?);
        Ok(store)
    }

    /// Takes a name for this node, and reads what it keeps in memory.
    fn begin(&mut self) -> Result<(), Fault> {
        self.node = self.once(async |line| {
            let rows = line.rows("SELECT gen_random_uuid()::text", &[]).await.map_err(|error| Fault::of(&error))?;
            let row = rows.first().ok_or_else(|| Fault::damaged("there is no name for this node"))?;
            let mut columns = Columns::of(row);
            let name = columns.text();
            columns.whole(name)
        })?;
        let line = match self.line.take() {
            Some(line) => line,
            None => self.connect()?,
        };
        self.greet(&line)?;
        self.line = Some(line);
        Ok(())
    }

    fn runtime(&self) -> Result<&Runtime, Fault> {
        self.runtime.as_ref().ok_or_else(|| Fault::damaged("the store is closed"))
    }

    /// A new connection, to a server that keeps what it has answered.
    fn connect(&mut self) -> Result<Line, Fault> {
        const CHECK: &str = "SELECT pg_is_in_recovery(), current_setting('fsync') = 'on', \
            current_setting('full_page_writes') = 'on', current_setting('server_encoding') = 'UTF8', \
            current_setting('synchronous_standby_names') <> '', (SELECT count(*) FROM pg_stat_replication), \
            current_setting('server_version_num')::bigint";
        let (config, tls, prepares) = (&self.config, self.tls.clone(), self.options.prepares);
        let opening = async {
            let line = Line::open(config, tls, prepares).await.map_err(|error| Fault::of(&error))?;
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

    /// The first thing on a connection: a commit, which waits for the standby and so for everything that can be read; and all that this
    /// node keeps in memory.
    fn greet(&mut self, line: &Line) -> Result<(), Fault> {
        let writer = Writer { node: &self.node, key: &self.key };
        let high_water = self.news.high_water;
        let greeting = async {
            let written = batch::write(line, writer, &[], high_water).await?;
            let epochs = questions::epochs(line, 0).await?;
            let news = news::read(&line.rows(news::SELECT, &[]).await.map_err(|error| Fault::of(&error))?)?;
            Ok((written, epochs, news))
        };
        let (written, epochs, news) = wait(self.runtime()?, greeting)?;
        if written.commits <= self.commits {
            // Our own row has forgotten commits that we were told of.
            self.notices.push_back(format!(
                "the database went back: this node was told of {} commits, and the database knows of {} before this one. A standby that had \
                 not heard of them has taken over. Sessions that were refreshed in the meantime are refused with an alarm, and what was \
                 revoked in the meantime lives: stop all nodes, and see docs/operations.md, \"A failover that lost something\"",
                self.commits,
                written.commits.saturating_sub(1)
            ));
        }
        self.commits = written.commits;
        self.epochs = Epochs::new(news.epoch, epochs);
        self.took(news);
        Ok(())
    }

    fn took(&mut self, news: News) {
        let high_water = self.news.high_water.max(news.high_water);
        self.news = News { high_water, ..news };
    }

    /// Does something once, on the connection that is there or a new one, without a word to the server about who we are.
    fn once<T>(&mut self, act: impl AsyncFnOnce(&Line) -> Result<T, Fault>) -> Result<T, Fault> {
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
    fn again<T>(&mut self, mut act: impl AsyncFnMut(&Line) -> Result<T, Fault>) -> Result<T, Unavailable> {
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

    fn attempt<T>(&mut self, act: &mut impl AsyncFnMut(&Line) -> Result<T, Fault>) -> Result<T, Fault> {
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
    fn read<T>(&mut self, mut act: impl AsyncFnMut(&Line) -> Result<T, Fault>) -> Result<T, Unavailable> {
        self.again(async |line| match timeout(PATIENCE, act(line)).await {
            Ok(done) => done,
            Err(_) => Err(Fault::Gone("the database did not answer in time".to_owned())),
        })
    }

    /// Takes over what is new; wide revocations are read before anything that they may cover is answered.
    fn learn(&mut self, news: News) -> Result<(), Unavailable> {
        if news.rewritten != self.news.rewritten || news.epoch < self.epochs.counter() {
            let epochs = self.read(async |line| questions::epochs(line, 0).await)?;
            self.epochs = Epochs::new(news.epoch, epochs);
        } else if news.epoch > self.epochs.counter() {
            let known = self.epochs.counter();
            let newer = self.read(async |line| questions::epochs(line, known).await)?;
            // A connection that was made anew meanwhile has read them all.
            let known = self.epochs.counter();
            newer.into_iter().filter(|epoch| epoch.number > known).for_each(|epoch: Epoch| self.epochs.insert(epoch));
            self.epochs.count(news.epoch);
        }
        self.took(news);
        Ok(())
    }

    /// What was restricted between the look at these rows and their commit: decided again, they have ended.
    fn look_again(&mut self, records: &[Record], outcomes: &mut [Outcome]) -> Result<(), Unavailable> {
        let lives = |(record, outcome): (&Record, &Outcome)| match record {
            Record::Grant { expected: Some(_), grant, .. }
                if *outcome == Outcome::Committed && grant.ended.is_none() =>
            {
                Some(grant.id)
            }
            _ => None,
        };
        let ids: Vec<GrantId> = records.iter().zip(outcomes.iter()).filter_map(lives).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = self.load(&ids)?.into_iter().flatten();
        let ended = rows.filter(|row| row.covered.is_some() || row.subject != SubjectStatus::Enabled);
        let ended: HashSet<u64> = ended.map(|row| row.grant.id.number).collect();
        for (record, outcome) in records.iter().zip(outcomes) {
            if matches!(record, Record::Grant { grant, .. } if ended.contains(&grant.id.number)) {
                *outcome = Outcome::Stale;
            }
        }
        Ok(())
    }
}

/// Whether a store is being moved into it.
async fn is_marked(line: &Line) -> Result<bool, Fault> {
    let rows = line.unnamed("SELECT (to_regclass('regrant_moving') IS NOT NULL)", &[]).await?;
    Ok(rows.first().is_some_and(|row| Columns::of(row).boolean()))
}

/// What the contract calls a fault that nothing could be done about.
fn told(fault: Fault) -> Unavailable {
    match fault {
        Fault::Again(detail) | Fault::Gone(detail) => Unavailable { cause: Cause::Unreachable, detail },
        Fault::Lost(detail) => Unavailable { cause: Cause::Unknown, detail },
        Fault::Refused(trouble) => trouble,
    }
}

fn refused(options: &PostgresOptions, fault: Fault) -> OpenError {
    let problem = told(fault).detail;
    let remedy = "check that the server runs, that the user may log in from here and owns the database, and what the server's log says".to_owned();
    OpenError::Server { place: options.address.clone(), problem, remedy }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Our row goes, and its time stays: a node that is killed leaves its row to the sweep of another.
            if let Some(line) = self.line.take().filter(|line| !line.is_closed() && !self.node.is_empty()) {
                const LEAVE: &str = "WITH gone AS (DELETE FROM nodes WHERE id = $1 RETURNING high_water) \
                    UPDATE meta SET high_water = greatest(meta.high_water, gone.high_water) FROM gone";
                let node = [P::T(&self.node)];
                let _ = wait(&runtime, async { timeout(Duration::from_secs(1), line.done(LEAVE, &node)).await });
            }
            runtime.shutdown_background();
        }
    }
}

impl Store for Postgres {
    fn load(&mut self, ids: &[GrantId]) -> Result<Vec<Option<Loaded>>, Unavailable> {
        let numbers: Vec<i64> = ids.iter().map(|id| id.number.cast_signed()).collect();
        let (news, rows) = self.read(async |line| {
            let parameters = [P::Ns(numbers.clone())];
            line.prepare(news::SELECT, &[]).await.map_err(|error| Fault::of(&error))?;
            // The count of restrictions first: the rows are as it says, or newer.
            let (news, rows) = tokio::join!(line.rows(news::SELECT, &[]), line.rows(grants::LOAD, &parameters));
            let news = news::read(&news.map_err(|error| Fault::of(&error))?)?;
            let rows = rows.map_err(|error| Fault::of(&error))?;
            let rows = rows.iter().map(grants::read).collect::<Result<Vec<Loaded>, Fault>>()?;
            Ok((news, rows))
        })?;
        self.looked = news.restrictions;
        self.learn(news)?;
        let mut found: HashMap<u64, Loaded> = rows.into_iter().map(|row| (row.grant.id.number, row)).collect();
        for row in found.values_mut() {
            self.epochs.cover(row);
        }
        Ok(ids.iter().map(|id| found.get(&id.number).filter(|row| row.grant.id == *id).cloned()).collect())
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        if records.is_empty() && now <= self.news.high_water {
            return Ok(Vec::new());
        }
        let (node, key) = (self.node.clone(), self.key.clone());
        let writer = Writer { node: &node, key: &key };
        let written = self.again(async |line| batch::write(line, writer, records, now).await)?;
        // Durable from here.
        self.commits = written.commits;
        let mut outcomes = written.outcomes;
        let is_restricted = written.news.restrictions != self.looked.wrapping_add(written.restricted);
        // What cannot be looked at is not vouched for; who asks again hears what became of it.
        let unknown = |trouble: Unavailable| Unavailable { cause: Cause::Unknown, ..trouble };
        self.learn(News { high_water: written.news.high_water.max(now), ..written.news }).map_err(unknown)?;
        if is_restricted {
            self.look_again(records, &mut outcomes).map_err(unknown)?;
        }
        Ok(outcomes)
    }

    fn high_water(&self) -> Timestamp {
        self.news.high_water
    }

    fn epoch(&self) -> u64 {
        self.epochs.counter()
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Unavailable> {
        let needs_news = matches!(
            question,
            Question::Epochs | Question::CoveredAccess(_) | Question::Grants { .. } | Question::Changes
        );
        if needs_news {
            let news = self.read(async |line| {
                let rows = line.rows(news::SELECT, &[]).await.map_err(|error| Fault::of(&error))?;
                news::read(&rows)
            })?;
            self.learn(news)?;
        }
        match question {
            Question::Epochs => {
                return Ok(Answer::Epochs { counter: self.epochs.counter(), epochs: self.epochs.all() });
            }
            Question::CoveredAccess(token) => return Ok(Answer::CoveredAccess(self.epochs.covering_access(token))),
            Question::Changes => return Ok(Answer::Changes(self.news.changes)),
            _ => {}
        }
        let mut answer = self.read(async |line| questions::answer(line, question).await)?;
        if let Answer::Grants(rows) = &mut answer {
            rows.iter_mut().for_each(|row| self.epochs.cover(row));
        }
        Ok(answer)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.key = key;
        Ok(())
    }

    /// A database that cannot be reached now can be reached later: nothing here is in doubt for good.
    fn failure(&self) -> Option<Unavailable> {
        None
    }

    fn notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    fn is_shared(&self) -> bool {
        true
    }
}
