//! The writer thread: the only one that touches the store. The steps of a batch, and what a failure means, are told in
//! [`engine`](super).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

use regrant_core::decision::{Decision, Event};
use regrant_core::issue::SubjectStatus;
use regrant_core::{EventKind, Grant, GrantId, Keys, Refusal, Timestamp, Write};
use regrant_store::{Answer, Cause, Changes, EventRecord, Loaded, Outcome, Question, Record, Store, Unavailable};
use tokio::sync::{oneshot, watch};

use super::current::Current;
use super::heard::{self, Asked, Teller};
use super::queue::Taking;
use super::told::{self, Told};
use super::{GRANT_BLOCK, Job, MAX_ATTEMPTS, MAX_BATCH, MAX_RECORDS, Moment, Reply};
use crate::chance;
use crate::metrics::WriterQueue;
use crate::revocations::{Entry, Revocations};
use crate::settle::{Settled, settle};
use crate::spans::{Parent, Span, Spans};
use crate::timekeeper::Timekeeper;
use crate::whereabouts::Places;

/// The thread's own state.
pub(super) struct Writer {
    pub(super) store: Box<dyn Store>,
    pub(super) revocations: Option<Revocations>,
    /// Grants whose end is committed, and not in the journal because that cannot be written: nobody is told of it yet.
    pub(super) unkept: HashSet<u64>,
    pub(super) time: Arc<Timekeeper>,
    pub(super) failing: Failing,
    pub(super) keys: Current<Keys>,
    pub(super) newest: Arc<AtomicI64>,
    pub(super) epoch: Arc<AtomicU64>,
    pub(super) doubted: Arc<AtomicBool>,
    pub(super) unused: std::ops::Range<u64>,
    pub(super) waiting: WriterQueue,
    pub(super) spans: Spans,
    pub(super) telling: watch::Sender<u64>,
    pub(super) ending: watch::Sender<u64>,
    pub(super) told: Told,
    pub(super) places: Places,
    pub(super) teller: Teller,
    /// What was known of other nodes' doings when somebody asked last.
    pub(super) changes: Changes,
}

/// Tells the process that it must end; also where the writer panics, for nobody would be answered any more.
pub(super) struct Failing(pub(super) watch::Sender<Option<Unavailable>>);

impl Failing {
    fn tell(&self, trouble: &Unavailable) {
        if self.0.borrow().is_none() {
            tracing::error!(cause = %trouble.cause, detail = %trouble.detail, "the store must be opened anew: nothing more is answered, and the server ends; what was answered with 200 is safe");
            self.0.send_replace(Some(trouble.clone()));
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell(&Unavailable {
                cause: Cause::Io,
                detail: "the writer panicked: a bug, please report it".to_owned(),
            });
        }
    }
}

/// A job that was decided and waits for the commit.
struct Pending {
    job: Decided,
    verdict: Result<(), Refusal>,
    /// The grant whose row this outcome rests on, if it is among those written.
    grant: Option<u64>,
}

struct Decided {
    grant: Option<GrantId>,
    is_new: bool,
    asked: Box<dyn Asked>,
    /// Ends with the job.
    span: Span,
    reply: heard::Reply,
    attempts: usize,
}

/// A grant's working copy within one batch.
struct Working {
    number: u64,
    found: Option<(Grant, SubjectStatus)>,
    /// The row as it was written, where only a wide revocation ends it.
    beneath: Option<Grant>,
    /// The version in the store, which the write replaces.
    expected: Option<u64>,
    changed: bool,
    intact: bool,
    events: Vec<EventRecord>,
}

impl Writer {
    pub(super) fn run(mut self, queue: &Taking<Job>) {
        while let Some(jobs) = queue.wait(MAX_BATCH) {
            if let Some(reply) = self.turn(jobs) {
                drop(self);
                let _ = reply.send(());
                return;
            }
        }
    }

    /// One batch. Whoever is to hear that the store is closed, if it is to be.
    pub(super) fn turn(&mut self, waiting: Vec<Job>) -> Option<oneshot::Sender<()>> {
        self.waiting.taken(waiting.len());
        let stop = self.batch(waiting);
        // Reading can be what it noticed it by.
        if let Some(trouble) = self.store.failure() {
            self.failing.tell(&trouble);
        }
        if let Some(notice) = self.store.notice() {
            tracing::warn!("{notice}");
        }
        stop
    }

    /// Does the jobs, up to one that says stop: whoever is told when the store is closed.
    ///
    /// Nobody who sent one of them has heard from another one, so that their order is ours. Writes that are no decision come first, in one
    /// transaction: what revokes is obeyed by the decisions of the same batch. Reads come last. In between they would cut the batch into
    /// many commits.
    fn batch(&mut self, jobs: Vec<Job>) -> Option<oneshot::Sender<()>> {
        let (mut decided, mut commits, mut reads, mut stop) = (Vec::new(), Vec::new(), Vec::new(), None);
        for job in jobs {
            match job {
                Job::Decide { grant, asked, span, reply } => {
                    let is_new = grant.is_none();
                    decided.push(Decided { grant, is_new, asked, span, reply, attempts: 0 });
                }
                Job::Commit { records, below, reply } => commits.push((records, below, reply)),
                Job::Ask { .. } | Job::Load { .. } => reads.push(job),
                Job::Stop { reply } => {
                    stop = Some(reply);
                    break;
                }
            }
        }
        self.commit_all(commits);
        self.decide_all(decided);
        for job in reads {
            self.read(job);
        }
        stop
    }

    /// Writes that are no decision, those of one job together.
    fn commit_all(&mut self, jobs: Vec<(Vec<Record>, Parent, Reply<Vec<Outcome>>)>) {
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let (mut together, mut count) = (Vec::new(), 0);
            while let Some(job) = jobs.next_if(|(records, ..)| count == 0 || count + records.len() <= MAX_RECORDS) {
                count += job.0.len();
                together.push(job);
            }
            let spans: Vec<Span> = together.iter().map(|(_, below, _)| self.spans.child("commit", below)).collect();
            let records: Vec<Record> = together.iter_mut().flat_map(|(records, ..)| records.iter().cloned()).collect();
            let committed = self.now().and_then(|now| self.commit(&records, now));
            let mut from = 0;
            for ((own, _, reply), span) in together.into_iter().zip(spans) {
                let until = from + own.len();
                let of_job = committed.clone().map(|outcomes| outcomes.get(from..until).unwrap_or_default().to_vec());
                from = until;
                span.committed(own.len(), &of_job);
                let _ = reply.send(of_job.and_then(|outcomes| self.confirm(&own, outcomes)));
            }
        }
    }

    fn read(&mut self, job: Job) {
        match job {
            Job::Ask { question, reply } => {
                let answer = self.usable().and_then(|()| self.store.ask(&question));
                self.learn(answer.as_ref().ok());
                let _ = reply.send(answer);
            }
            Job::Load { ids, reply } => {
                let rows = self.usable().and_then(|()| self.store.load(&ids));
                self.learn(None);
                let _ = reply.send(rows);
            }
            Job::Decide { .. } | Job::Commit { .. } | Job::Stop { .. } => {}
        }
    }

    /// Reading, too, tells of what other nodes have done: known before anybody is answered.
    fn learn(&mut self, answer: Option<&Answer>) {
        self.newest.store(self.store.high_water().millis(), Ordering::Release);
        self.epoch.store(self.store.epoch(), Ordering::Release);
        self.doubted.store(self.store.is_in_doubt(), Ordering::Release);
        let Some(Answer::Changes(found)) = answer else { return };
        if found.events != self.changes.events {
            self.telling.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        if found.notices != self.changes.notices {
            self.ending.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        self.changes = *found;
    }

    /// Decides and commits, and again for those whose row somebody else wrote meanwhile.
    fn decide_all(&mut self, mut jobs: Vec<Decided>) {
        while !jobs.is_empty() {
            jobs = match self.decide_once(jobs) {
                Ok(again) => again,
                Err((jobs, trouble)) => {
                    tracing::error!(cause = %trouble.cause, detail = %trouble.detail, jobs = jobs.len(), "a batch failed; its clients hear 503 and may ask again");
                    self.teller.tell(jobs.into_iter().map(|job| (job.reply, Err(trouble.clone()))).collect());
                    return;
                }
            };
        }
    }

    fn decide_once(&mut self, mut jobs: Vec<Decided>) -> Result<Vec<Decided>, (Vec<Decided>, Unavailable)> {
        let now = match self.now() {
            Ok(now) => now,
            Err(trouble) => return Err((jobs, trouble)),
        };
        let keys = self.keys.get();
        // The ids are sorted and each is asked for once; those of new grants come from the reserved block.
        if let Err(trouble) = self.name_new_grants(&mut jobs) {
            return Err((jobs, trouble));
        }
        let mut rows = match self.load(&jobs, &keys) {
            Ok(rows) => rows,
            Err(trouble) => return Err((jobs, trouble)),
        };
        self.places.begin();
        let (mut loose, mut had_ended) = (HashMap::new(), Vec::new());
        let chances = chance::entropies(jobs.len());
        let mut pending: Vec<Pending> = jobs
            .into_iter()
            .zip(chances)
            .map(|(job, entropy)| {
                decide(job, &mut rows, &mut loose, &mut had_ended, &Moment { now, keys: &keys, entropy })
            })
            .collect();
        // Everything is decided, nothing is durable: a crash here loses nothing.
        let mut records = Vec::with_capacity(rows.len());
        for mut row in rows {
            row.events.retain(|event| self.told.is_news(event));
            if let (true, Some((grant, _))) = (row.changed, row.found) {
                // Once for all that the batch did to it.
                let mac = grant.mac(&keys);
                records.push(Record::Grant { expected: row.expected, grant, mac, events: row.events });
            } else {
                records.extend(row.events.into_iter().map(Record::Event));
            }
        }
        let loose = loose.into_values().flatten().filter(|event| self.told.is_news(event));
        records.extend(loose.map(Record::Event));
        records.extend(pending.iter().filter_map(|pending| self.place(pending, now)));
        let outcomes = if records.is_empty() {
            Ok(Some(Vec::new()))
        } else {
            let span = self.spans.commit(pending.iter_mut().map(|pending| &mut pending.job.span));
            let committed = self.commit_or_settle(&records, now);
            span.committed(records.len(), &committed);
            committed
        };
        match outcomes {
            Err(trouble) => Err((pending.into_iter().map(|pending| pending.job).collect(), trouble)),
            // Nothing of it is there: decided again, as if nobody had asked.
            Ok(None) => Ok(again(&self.teller, pending.into_iter().map(|pending| pending.job))),
            Ok(Some(outcomes)) => {
                // Durable from here.
                let mut stale: Vec<u64> = Vec::new();
                for (outcome, record) in outcomes.iter().zip(&records) {
                    if let (Outcome::Stale, Record::Grant { grant, .. }) = (outcome, record) {
                        stale.push(grant.id.number);
                    }
                }
                self.keep_ends(had_ended);
                Ok(answer(&self.teller, pending, &stale, &self.unkept))
            }
        }
    }

    /// Commits; where the answer was lost, reads what became of it. `None` if nothing of it is there.
    fn commit_or_settle(&mut self, records: &[Record], now: Timestamp) -> Result<Option<Vec<Outcome>>, Unavailable> {
        let trouble = match self.commit(records, now) {
            Ok(outcomes) => return Ok(Some(outcomes)),
            Err(trouble) if trouble.cause == Cause::Unknown => trouble,
            Err(trouble) => return Err(trouble),
        };
        let settled = settle(self.store.as_mut(), records)?;
        tracing::warn!(detail = %trouble.detail, ?settled, "the answer to a commit was lost, and the rows were read instead");
        match settled {
            Settled::Committed(outcomes) => Ok(Some(outcomes)),
            Settled::NotCommitted => Ok(None),
            Settled::Unknown => Err(trouble),
        }
    }

    fn commit(&mut self, records: &[Record], now: Timestamp) -> Result<Vec<Outcome>, Unavailable> {
        self.usable()?;
        let committed = self.store.commit(records, now);
        self.doubted.store(self.store.is_in_doubt(), Ordering::Release);
        if let Some(trouble) = self.store.failure() {
            self.failing.tell(&trouble);
        }
        let outcomes = committed.inspect_err(|trouble| {
            if trouble.cause == Cause::Device {
                self.failing.tell(trouble);
            }
        })?;
        self.told.committed(records, &outcomes);
        self.places.committed(records, now);
        let ends_sessions =
            |record: &Record| matches!(record.bare(), Record::EndSession { .. } | Record::EndSessionsOf { .. });
        if records.iter().any(ends_sessions) {
            self.ending.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        if records.iter().any(|record| told::events_of(record).next().is_some()) {
            self.telling.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        // Before anybody is answered: whoever hears the answer must not find an earlier time.
        self.newest.store(self.store.high_water().millis(), Ordering::Release);
        self.epoch.store(self.store.epoch(), Ordering::Release);
        self.doubted.store(self.store.is_in_doubt(), Ordering::Release);
        self.keep_revocations(records, &outcomes, now);
        Ok(outcomes)
    }

    /// What was revoked goes into the journal before anybody hears of it. Where that fails, it is committed all the same, and is kept
    /// with the next commit that finds the journal writable: until then whoever asks about it hears 503 and asks again.
    fn keep_revocations(&mut self, records: &[Record], outcomes: &[Outcome], now: Timestamp) {
        let Some(journal) = &mut self.revocations else { return };
        let was_behind = journal.is_behind();
        let took_back = records.iter().any(|record| matches!(record.bare(), Record::UndoEpoch { .. }));
        // Were they not to be had, a restore would bring the revocation back: it errs on that side.
        let epochs = match took_back.then(|| self.store.ask(&Question::Epochs)) {
            Some(Ok(Answer::Epochs { epochs, .. })) => epochs,
            _ => Vec::new(),
        };
        match journal.keep(records, outcomes, now, &epochs) {
            Ok(()) => self.unkept.clear(),
            Err(error) => {
                self.unkept = journal.unkept();
                if !was_behind {
                    tracing::error!(%error, "the revocation journal cannot be written: what is revoked is revoked, and is not confirmed before the journal has it; look after its disk");
                }
            }
        }
    }

    /// What had ended before is asked again by whoever was not answered: a crash, or a full disk, may have kept it from the journal.
    fn keep_ends(&mut self, had_ended: Vec<Entry>) {
        let Some(journal) = self.revocations.as_mut().filter(|_| !had_ended.is_empty()) else { return };
        match journal.keep_ends(had_ended) {
            Ok(()) => self.unkept.clear(),
            Err(error) => {
                self.unkept = journal.unkept();
                tracing::error!(%error, "the revocation journal cannot be written: what had been revoked is not confirmed");
            }
        }
    }

    /// What revokes something is not confirmed while the journal is behind, though it is committed.
    fn confirm(&self, records: &[Record], outcomes: Vec<Outcome>) -> Result<Vec<Outcome>, Unavailable> {
        let revokes = |record: &Record| match record.bare() {
            Record::Epoch { .. }
            | Record::DenyAccess { .. }
            | Record::PutUser { .. }
            | Record::RemoveUser { .. }
            | Record::PutClient { .. }
            | Record::RemoveClient { .. }
            | Record::RemoveConsent { .. }
            | Record::Keys { .. }
            | Record::EndSession { .. }
            | Record::EndSessionsOf { .. } => true,
            Record::Grant { grant, .. } => self.unkept.contains(&grant.id.number),
            _ => false,
        };
        if self.revocations.as_ref().is_some_and(Revocations::is_behind) && records.iter().any(revokes) {
            return Err(not_kept());
        }
        Ok(outcomes)
    }

    /// Where a grant was used from, if it was written and nobody knows yet.
    fn place(&self, pending: &Pending, now: Timestamp) -> Option<Record> {
        let (Some(grant), Some(from), true) = (pending.grant, pending.job.asked.from(), pending.verdict.is_ok()) else {
            return None;
        };
        self.places.news(grant, from, now)
    }

    /// Law L10: never behind the newest time in the store, and never at a time that cannot be.
    fn now(&self) -> Result<Timestamp, Unavailable> {
        self.time.now(self.store.high_water())
    }

    /// Once the device has failed, the store is not asked again, not even to read.
    fn usable(&self) -> Result<(), Unavailable> {
        self.failing.0.borrow().clone().map_or(Ok(()), Err)
    }

    /// Gives each job that makes a grant its id, and another one each time it is decided.
    fn name_new_grants(&mut self, jobs: &mut [Decided]) -> Result<(), Unavailable> {
        for job in jobs.iter_mut().filter(|job| job.is_new) {
            let number = match self.unused.next() {
                Some(number) => number,
                None => self.reserve()?,
            };
            let random = u64::from_be_bytes(chance::bytes());
            job.grant = Some(GrantId { number, random });
        }
        Ok(())
    }

    /// Reserves a block with one durable row update, before any number of it is used.
    fn reserve(&mut self) -> Result<u64, Unavailable> {
        loop {
            let first = self.unused.end;
            let next = first.saturating_add(GRANT_BLOCK);
            let now = self.now()?;
            match self.commit(&[Record::ReserveGrants { next }], now)?.first() {
                Some(Outcome::Committed) => {
                    self.unused = first + 1..next;
                    return Ok(first);
                }
                // Another node has that block, and perhaps many behind it: go behind what it says.
                Some(Outcome::Stale) | None => {
                    let next = match self.store.ask(&Question::Deployment)? {
                        Answer::Deployment(Some(deployment)) => deployment.next_grant.max(next),
                        _ => next,
                    };
                    self.unused = next..next;
                }
            }
        }
    }

    /// The rows that the jobs name, in order of number.
    fn load(&mut self, jobs: &[Decided], keys: &Keys) -> Result<Vec<Working>, Unavailable> {
        let mut ids: Vec<GrantId> = jobs.iter().filter_map(|job| job.grant).collect();
        ids.sort_unstable();
        ids.dedup();
        self.usable()?;
        let found = self.store.load(&ids)?;
        let mut rows: Vec<Working> = Vec::with_capacity(ids.len());
        for (GrantId { number, .. }, found) in ids.into_iter().zip(found) {
            // Two ids of one number differ in their random half: at most one of them is a row.
            let is_told = rows.last().is_some_and(|last| last.number == number);
            if is_told && found.is_none() {
                continue;
            }
            rows.truncate(rows.len() - usize::from(is_told));
            let expected = found.as_ref().map(|found| found.grant.version);
            // What decisions see of a row that a wide revocation covers has ended; nothing is written over an ended one but an end.
            let covered = found.as_ref().filter(|found| found.covered.is_some() && found.grant.ended.is_none());
            let beneath = covered.map(|found| found.grant.clone().seen_until(found.subject.end()));
            let (was_there, found) = (found.is_some(), found.and_then(|found| found.believed(keys)));
            let intact = found.is_some() || !was_there;
            let found = found.map(|Loaded { grant, subject, .. }| (grant, subject));
            rows.push(Working { number, found, beneath, expected, changed: false, intact, events: Vec::new() });
        }
        Ok(rows)
    }
}

/// Asks one job about its working copy and applies what it says to the copy.
fn decide(
    mut job: Decided,
    rows: &mut [Working],
    loose: &mut HashMap<(u64, EventKind), Vec<EventRecord>>,
    had_ended: &mut Vec<Entry>,
    moment: &Moment<'_>,
) -> Pending {
    job.attempts += 1;
    let id = job.grant.unwrap_or(GrantId { number: 0, random: 0 });
    let place = rows.binary_search_by_key(&id.number, |row| row.number).ok();
    let Some(row) = place.and_then(|place| rows.get_mut(place)) else {
        return Pending { job, verdict: Err(Refusal::UnknownGrant), grant: None };
    };
    if !row.intact {
        // Check K8: a row that was changed behind our back is refused, and somebody is told.
        let event = Event {
            kind: EventKind::AlarmAt(Refusal::TamperedRow),
            grant: Some(id),
            client: None,
            subject: None,
            detail: "the row's MAC does not fit: it was changed by something else".to_owned(),
        };
        tracing::error!(grant = %id.display(moment.keys), correlation = job.asked.correlation(), "tampered row");
        let record = EventRecord { at: moment.now, event, correlation: job.asked.correlation().to_owned() };
        loose.entry((id.number, EventKind::AlarmAt(Refusal::TamperedRow))).or_insert_with(|| vec![record]);
        return Pending { job, verdict: Err(Refusal::TamperedRow), grant: None };
    }
    let beneath = row.beneath.as_ref().filter(|_| job.asked.ends());
    let found = row.found.as_ref().map(|(grant, subject)| (beneath.unwrap_or(grant), *subject));
    let Decision { write, event, outcome: verdict } = job.asked.decide(found, id, moment);
    if let Write::Grant { grant, .. } = write {
        // Folded into one write per batch: the store compares with the version it has.
        let version = row.expected.map_or(grant.version, |expected| expected + 1);
        let grant = Grant { version, ..grant };
        let subject = row.found.as_ref().map_or(SubjectStatus::Enabled, |(_, subject)| *subject);
        (row.found, row.beneath) = (Some((grant, subject)), None);
        row.changed = true;
    } else if let Some((grant, _)) = row.found.as_ref().filter(|_| job.asked.ends()) {
        had_ended.extend(Entry::of_ended(grant));
    }
    if let Some(event) = event {
        row.events.push(EventRecord { at: moment.now, event, correlation: job.asked.correlation().to_owned() });
    }
    // An outcome that rests on this row's write must wait for it, also one that only read the working copy.
    let grant = row.changed.then_some(id.number);
    Pending { job, verdict, grant }
}

fn not_kept() -> Unavailable {
    Unavailable { cause: Cause::Unkept, detail: "the revocation journal cannot be written".to_owned() }
}

/// Tells every job its outcome, but for those that rest on a row which somebody else wrote: they are decided again.
fn answer(teller: &Teller, pending: Vec<Pending>, stale: &[u64], unkept: &HashSet<u64>) -> Vec<Decided> {
    let (mut overtaken, mut told) = (Vec::new(), Vec::with_capacity(pending.len()));
    for Pending { job, verdict, grant } in pending {
        if job.grant.is_some_and(|id| unkept.contains(&id.number)) {
            told.push((job.reply, Err(not_kept())));
        } else if grant.is_some_and(|number| stale.contains(&number)) {
            overtaken.push(job);
        } else {
            told.push((job.reply, Ok((verdict, job.asked))));
        }
    }
    teller.tell(told);
    again(teller, overtaken)
}

/// Those jobs that may be decided once more; the others hear that it is enough.
fn again(teller: &Teller, jobs: impl IntoIterator<Item = Decided>) -> Vec<Decided> {
    let (again, weary): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.attempts < MAX_ATTEMPTS);
    let detail = "the grant is written to without end by others".to_owned();
    let trouble = Unavailable { cause: Cause::Locked, detail };
    teller.tell(weary.into_iter().map(|job| (job.reply, Err(trouble.clone()))).collect());
    again
}
