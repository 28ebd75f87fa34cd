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
//! | 28xxx: the password was changed                  | nothing happened   | the same with what is in its file now              |
//! | the answer to COMMIT is lost                     | nothing            | [`Cause::Unknown`]: settled by reading the rows, behind a commit of our own |
//! | no host can be written, or none in time          | nothing happened   | [`Cause::Unreachable`]: 503                        |
//! | a server that forgot what it had answered        | ([`doubt`])        | 503 until an operator has decided                  |
//!
//! A connection begins with a commit of its own, so that what is read over it is what a standby has, too: a server that was restarted
//! shows rows of which no standby has heard.

mod batch;
mod doubt;
mod grants;
mod guard;
mod halves;
mod ledger;
mod line;
mod look;
mod news;
mod options;
mod people;
mod places;
mod questions;
mod reach;
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

use crate::epochs::Epochs;
use crate::seal::Sum;
use crate::{Answer, Cause, Forged, Loaded, Mark, OpenError, Outcome, Question, Record, Store, Unavailable};
use batch::Writer;
use doubt::Told;
use guard::{FORGED, Guard, Seen};
use line::{Fault, Line, wait};
use news::News;
pub use options::PostgresOptions;
use reach::{RESTS, not_upgraded, refused, told};
pub use schema::{Migration, SchemaState, known};
pub(crate) use target::Target;
use tls::Tls;
use values::{Columns, P};

/// One node's hold on the database.
#[derive(Debug)]
pub struct Postgres {
    /// `None` when it is dropped.
    runtime: Option<Runtime>,
    options: PostgresOptions,
    tls: Tls,
    /// `None` until it is needed again.
    line: Option<Line>,
    /// The name of this node's row.
    node: String,
    guard: Guard,
    epochs: Epochs,
    /// Over their rows.
    sum: Sum,
    /// Why the database is not believed, until it is again.
    forged: Option<String>,
    /// As of the last look.
    news: News,
    /// The count of restrictions under which rows were looked at last.
    looked: u64,
    /// What of this node's commits was answered.
    told: Told,
    /// Whether it is opened to decide about what was lost.
    recovers: bool,
    /// The era that somebody was told of last.
    told_era: u16,
    /// The era whose keys decide; `None` as long as nobody holds keys.
    era: Option<u16>,
    /// Whether the server has standbys, and waits for none.
    is_asynchronous: bool,
    notices: VecDeque<String>,
}

/// A database that went back, opened for recovery.
#[derive(Debug)]
pub struct RecoveringPostgres {
    /// The store. It serves nobody.
    pub store: Postgres,
    /// Where it is: up to there all is known.
    pub found: Mark,
    /// How far it had come, by what nodes were told; `None` if no node has noticed anything.
    pub seen: Option<Mark>,
}

impl Postgres {
    /// Connects, and makes the schema in an empty database.
    ///
    /// # Errors
    /// [`OpenError::Server`].
    pub fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        let mut store = Self::usable(options, true)?;
        store.begin().map_err(|fault| refused(options, fault))?;
        store.doubt().map_or(Ok(store), Err)
    }

    /// Opens a database that went back, for whoever decides what becomes of that. Nothing is changed before the first commit.
    ///
    /// # Errors
    /// [`OpenError::Server`].
    pub fn recover(options: &PostgresOptions) -> Result<RecoveringPostgres, OpenError> {
        let mut store = Self::usable(options, false)?;
        store.recovers = true;
        let marks = store.once(async |line| doubt::marks(line).await);
        let (found, seen) = marks.map_err(|fault| refused(options, fault))?;
        store.name().map_err(|fault| refused(options, fault))?;
        Ok(RecoveringPostgres { store, found, seen })
    }

    /// Connected, with the schema of this program.
    fn usable(options: &PostgresOptions, makes: bool) -> Result<Self, OpenError> {
        let mut store = Self::connected(options)?;
        let refused = |fault| refused(options, fault);
        let mut state = store.once(async |line| schema::look(line).await).map_err(refused)?;
        while state.version == 0 && makes {
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
            let remedy = "look at what is missing with `regrant migrate plan`, which says whether nodes of the version before go on meanwhile, and apply it with `regrant migrate apply`".to_owned();
            return Err(OpenError::Server { place, problem, remedy });
        }
        if store.once(async |line| is_marked(line).await).map_err(refused)? {
            let problem = "a store is being moved into it, or that was interrupted".to_owned();
            let remedy =
                "run `regrant copy` again: it goes on where it was, or begins anew if the file has changed".to_owned();
            return Err(OpenError::Server { place, problem, remedy });
        }
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
            let found = store.once(async |line| schema::look(line).await).map_err(|fault| refused(options, fault))?;
            let applied = store.migrate_next().map_err(|fault| not_upgraded(options, found, fault))?;
            if applied.is_empty() {
                return Ok(());
            }
            applied.into_iter().for_each(&mut told);
        }
    }

    /// Nodes that do it at the same moment are in each other's way, once.
    fn migrate_next(&mut self) -> Result<Vec<&'static Migration>, Fault> {
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
        options.config().map_err(broken)?;
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
            tls,
            line: None,
            node: String::new(),
            guard: Guard::public(),
            epochs: Epochs::default(),
            sum: Sum::default(),
            forged: None,
            news: News::default(),
            looked: 0,
            told: Told::default(),
            recovers: false,
            told_era: 0,
            era: None,
            is_asynchronous: false,
            notices: VecDeque::new(),
        };
        store.line = Some(store.connect().map_err(|fault| refused(options, fault))?);
        Ok(store)
    }

    /// Takes a name for this node.
    fn name(&mut self) -> Result<(), Fault> {
        self.node = self.once(async |line| {
            let rows = line.rows("SELECT gen_random_uuid()::text", &[]).await.map_err(|error| Fault::of(&error))?;
            let row = rows.first().ok_or_else(|| Fault::damaged("there is no name for this node"))?;
            let mut columns = Columns::of(row);
            let name = columns.text();
            columns.whole(name)
        })?;
        Ok(())
    }

    /// Takes a name, and reads what it keeps in memory.
    fn begin(&mut self) -> Result<(), Fault> {
        self.name()?;
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

    /// Whether anything may be decided, or vouched for.
    fn sure(&mut self) -> Result<(), Unavailable> {
        if self.forged.is_none() && self.news.is_in_doubt && !self.recovers {
            // An operator may have decided in the meantime.
            self.look_for_news()?;
        }
        self.believed()
    }

    /// The same, by what is known.
    fn believed(&self) -> Result<(), Unavailable> {
        match &self.forged {
            Some(detail) => Err(Unavailable { cause: Cause::Damaged, detail: detail.clone() }),
            None if self.news.is_in_doubt && !self.recovers => Err(doubt::refused()),
            None => Ok(()),
        }
    }

    /// What is sealed, looked at; told once.
    fn look_at_seal(&mut self) -> Result<(), Unavailable> {
        let guard = self.guard.clone();
        let looked = self.read(async |line| guard::within(line, async || guard.look(line).await).await.map(|_| ()));
        self.judged(looked)
    }

    /// Takes note of whether the database is believed.
    fn judged<T>(&mut self, looked: Result<T, Unavailable>) -> Result<T, Unavailable> {
        match &looked {
            Ok(_) => self.forged = None,
            Err(trouble) if trouble.detail == FORGED => {
                let said = format!(
                    "the database was changed by something that is not this program: {FORGED}. Nothing is decided until it fits again: find out who \
                     can write the database, and restore it from a backup of before"
                );
                if self.forged.is_none() {
                    self.notices.push_back(said.clone());
                }
                self.forged = Some(said);
            }
            Err(_) => {}
        }
        looked
    }

    fn look_for_news(&mut self) -> Result<(), Unavailable> {
        let news = self.read(async |line| {
            let news = news::now(line).await?;
            line.still(news.server).map(|()| news)
        })?;
        self.learn(news)
    }

    /// Takes over what a commit says of this node.
    fn count(&mut self, commits: u64, news: &News) -> Result<(), Unavailable> {
        let told = self.told;
        if commits <= told.commits && news.swept <= told.swept {
            // Behind a pooler the connection has outlived the server: nobody knows what time the row was of.
            let known = (commits.saturating_sub(1), told.begun_at);
            let (node, found) = (self.node.clone(), *news);
            self.read(async |line| doubt::note(line, &node, told, known, &found).await)?;
            self.notices.push_back(doubt::said(told, known));
            self.news.is_in_doubt = true;
        }
        self.told = Told { commits, newest: told.newest.max(news.high_water), swept: news.swept, ..self.told };
        Ok(())
    }

    fn took(&mut self, news: News) {
        let high_water = self.news.high_water.max(news.high_water);
        self.news = News { high_water, ..news };
    }

    /// Takes over what is new; wide revocations are read before anything that they may cover is answered.
    fn learn(&mut self, news: News) -> Result<(), Unavailable> {
        self.went_back(&news)?;
        let is_rewritten = news.rewritten != self.news.rewritten || news.epoch < self.epochs.counter();
        if is_rewritten || news.epoch > self.epochs.counter() {
            self.learn_epochs(is_rewritten)?;
            self.epochs.count(news.epoch);
        }
        self.took(news);
        Ok(())
    }

    fn learn_epochs(&mut self, is_rewritten: bool) -> Result<(), Unavailable> {
        if !is_rewritten {
            let (guard, known) = (self.guard.clone(), (self.epochs.counter(), self.sum));
            let newer = self.read(async |line| guard::within(line, async || guard.epochs(line, known).await).await);
            let newer = self.judged(newer)?;
            // A connection that was made anew meanwhile has read them all; what was taken back meanwhile does not fit the sum.
            if newer.fits && known == (self.epochs.counter(), self.sum) {
                newer.epochs.into_iter().for_each(|epoch: Epoch| self.epochs.insert(epoch));
                self.epochs.count(newer.counter);
                self.sum = newer.sum;
                return Ok(());
            }
        }
        let guard = self.guard.clone();
        let all = self.read(async |line| guard.all_epochs(line).await);
        let all = self.judged(all)?;
        self.took_epochs(all);
        Ok(())
    }

    fn took_epochs(&mut self, seen: Seen) {
        self.epochs = Epochs::new(seen.counter, seen.epochs);
        self.sum = seen.sum;
    }

    /// Fewer seals than this node has seen, in the same era: what it has answered from is not there.
    fn went_back(&mut self, news: &News) -> Result<(), Unavailable> {
        if self.recovers || !news.is_before(&self.news) {
            return Ok(());
        }
        let told = self.told;
        let known = told.unseen();
        let (node, found) = (self.node.clone(), *news);
        self.read(async |line| doubt::note(line, &node, told, known, &found).await)?;
        self.notices.push_back(doubt::said(told, known));
        self.news.is_in_doubt = true;
        Err(doubt::refused())
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

/// Whether something is answered by it that an operator's decision may change: everything but what tells that there is one to be made,
/// and what has happened.
const fn vouches(question: &Question) -> bool {
    !matches!(
        question,
        Question::Changes
            | Question::Events { .. }
            | Question::EventsOf { .. }
            | Question::EventsAfter { .. }
            | Question::FindEvents(_)
            | Question::Deliveries
            | Question::DeadLetters { .. }
    )
}

/// Whether a store is being moved into it.
async fn is_marked(line: &Line) -> Result<bool, Fault> {
    let rows = line.unnamed("SELECT (to_regclass('regrant_moving') IS NOT NULL)", &[]).await?;
    Ok(rows.first().is_some_and(|row| Columns::of(row).boolean()))
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
        self.sure()?;
        let (news, rows) = self.read(async |line| {
            let parameters = [P::Ns(numbers.clone())];
            line.prepare(news::SELECT, &[]).await.map_err(|error| Fault::of(&error))?;
            // The count of restrictions first: the rows are as it says, or newer.
            let (news, rows) = tokio::join!(line.rows(news::SELECT, &[]), line.rows(grants::LOAD, &parameters));
            let news = news::read(&news.map_err(|error| Fault::of(&error))?)?;
            line.still(news.server)?;
            let rows = rows.map_err(|error| Fault::of(&error))?;
            let rows = rows.iter().map(grants::read).collect::<Result<Vec<Loaded>, Fault>>()?;
            Ok((news, rows))
        })?;
        self.looked = news.restrictions;
        self.learn(news)?;
        self.sure()?;
        if self.era.is_some_and(|told| told != news.changes.era) {
            // Its keys and what was decided about what was lost are being taken over.
            let detail = "a new era was opened a moment ago".to_owned();
            return Err(Unavailable { cause: Cause::Unreachable, detail });
        }
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
        self.sure()?;
        let (node, guard) = (self.node.clone(), self.guard.clone());
        let writer = Writer { node: &node, key: &guard };
        let written = self.again(async |line| batch::write(line, writer, records, now).await);
        let written = self.judged(written)?;
        // Durable from here. What cannot be looked at is not vouched for; who asks again hears what became of it.
        let unknown = |trouble: Unavailable| Unavailable { cause: Cause::Unknown, ..trouble };
        let news = News { high_water: written.news.high_water.max(now), ..written.news };
        self.learn(news).map_err(unknown)?;
        self.count(written.commits, &news).map_err(unknown)?;
        self.sure().map_err(unknown)?;
        for record in records {
            if let Record::OpenEra { era, .. } = record.bare() {
                (self.told_era, self.era) = (*era, self.era.map(|_| *era));
            }
        }
        let mut outcomes = written.outcomes;
        let is_restricted = news.restrictions != self.looked.wrapping_add(written.restricted);
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
            Question::Epochs
                | Question::CoveredAccess(_)
                | Question::Grants { .. }
                | Question::Revocations { .. }
                | Question::Changes
                | Question::Deployment
        );
        if needs_news {
            self.look_for_news()?;
        }
        let is_sealed = matches!(question, Question::Keys(_) | Question::Chain);
        if vouches(question) && !is_sealed {
            self.sure()?;
        }
        match question {
            Question::Epochs => {
                return Ok(Answer::Epochs { counter: self.epochs.counter(), epochs: self.epochs.all() });
            }
            Question::CoveredAccess(token) => return Ok(Answer::CoveredAccess(self.epochs.covering_access(token))),
            Question::Changes => {
                self.look_at_seal()?;
                return Ok(Answer::Changes(self.news.changes));
            }
            _ => {}
        }
        let answer = if is_sealed {
            let guard = self.guard.clone();
            let sealed = self.read(async |line| {
                guard::within(line, async || {
                    guard.look(line).await?;
                    questions::answer(line, question).await
                })
                .await
            });
            self.judged(sealed)
        } else {
            self.read(async |line| questions::answer(line, question).await)
        };
        let mut answer = answer?;
        if vouches(question) {
            // The connection may be one to another server, which has forgotten what was answered.
            self.believed()?;
        }
        if let Answer::Grants(rows) = &mut answer {
            rows.iter_mut().for_each(|row| self.epochs.cover(row));
        }
        match &answer {
            Answer::Deployment(Some(deployment)) => self.told_era = deployment.era,
            // Asked behind it, when that was taken over.
            Answer::Keys(_) => self.era = Some(self.told_era),
            _ => {}
        }
        Ok(answer)
    }

    fn chain_under(&mut self, key: ChainKey) -> Result<(), Forged> {
        self.guard = Guard { key, is_keyed: true };
        let guard = self.guard.clone();
        let seen = self.read(async |line| guard.all_epochs(line).await);
        match self.judged(seen) {
            Ok(seen) => self.took_epochs(seen),
            Err(trouble) if trouble.cause == Cause::Damaged => return Err(Forged(trouble.detail)),
            // It cannot be reached, and is looked at with the next connection, before anything is decided.
            Err(_) => self.line = None,
        }
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

    fn is_in_doubt(&self) -> bool {
        self.believed().is_err()
    }
}
