//! The hand-over of jobs to the writer: many who put, one who takes.
//!
//! | who                         | what is promised                                                                     |
//! |-----------------------------|--------------------------------------------------------------------------------------|
//! | puts, and there is room     | the job is taken once, in the order in which its sender put it, or dropped with the queue: both are heard |
//! | puts, and there is none     | hears so at once, and takes nobody's place                                             |
//! | takes                       | what waits, without a timer; of a kind with a share never more waits than that share    |

use super::sync::{Arc, AtomicUsize, Ordering, mpsc};

/// A job that has a place in the queue.
pub(super) trait Job {
    /// The share that it counts against. `None` may fill the queue.
    fn share(&self) -> Option<Share>;
}

/// What has a share of the queue, and no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Share {
    /// Reads.
    Reads,
    /// Writes that are no decisions.
    Commits,
}

/// How many may wait: of all, and of each share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) all: usize,
    pub(super) reads: usize,
    pub(super) commits: usize,
}

/// Why a job was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// Too many wait.
    Full,
    /// Nobody takes any more.
    Over,
}

/// How many jobs of each share are in the queue.
#[derive(Debug)]
struct Shares {
    reads: AtomicUsize,
    commits: AtomicUsize,
    room: Room,
}

impl Shares {
    const fn of(&self, share: Share) -> (&AtomicUsize, usize) {
        match share {
            Share::Reads => (&self.reads, self.room.reads),
            Share::Commits => (&self.commits, self.room.commits),
        }
    }

    /// Takes a place, or none.
    fn take(&self, share: Option<Share>) -> Result<(), Refused> {
        let Some((count, most)) = share.map(|share| self.of(share)) else { return Ok(()) };
        if count.fetch_add(1, Ordering::AcqRel) < most {
            return Ok(());
        }
        count.fetch_sub(1, Ordering::AcqRel);
        Err(Refused::Full)
    }

    fn give_back(&self, share: Option<Share>) {
        if let Some((count, _)) = share.map(|share| self.of(share)) {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Where jobs are put. When the last one is dropped, [`Taking::wait`] ends.
pub(super) struct Putting<J> {
    jobs: mpsc::SyncSender<J>,
    shares: Arc<Shares>,
}

impl<J> Clone for Putting<J> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), shares: Arc::clone(&self.shares) }
    }
}

/// Where they are taken. When it is dropped, so are the jobs that wait.
pub(super) struct Taking<J> {
    jobs: mpsc::Receiver<J>,
    shares: Arc<Shares>,
}

/// A queue with so much room.
pub(super) fn queue<J: Job>(room: Room) -> (Putting<J>, Taking<J>) {
    let (put, taken) = mpsc::sync_channel(room.all);
    let shares = Arc::new(Shares { reads: AtomicUsize::new(0), commits: AtomicUsize::new(0), room });
    (Putting { jobs: put, shares: Arc::clone(&shares) }, Taking { jobs: taken, shares })
}

impl<J: Job> Putting<J> {
    /// Puts a job in, or says at once why not.
    pub(super) fn put(&self, job: J) -> Result<(), Refused> {
        let share = job.share();
        self.shares.take(share)?;
        self.jobs.try_send(job).map_err(|refused| {
            self.shares.give_back(share);
            match refused {
                mpsc::TrySendError::Full(_) => Refused::Full,
                mpsc::TrySendError::Disconnected(_) => Refused::Over,
            }
        })
    }
}

impl<J: Job> Taking<J> {
    /// Waits for a job, and takes what waits behind it, so many that they are `most`. `None` when nobody can put any more.
    pub(super) fn wait(&self, most: usize) -> Option<Vec<J>> {
        self.jobs.recv().ok().map(|first| self.behind(first, most))
    }

    /// The same, without waiting: `None` if there is none.
    pub(super) fn now(&self, most: usize) -> Option<Vec<J>> {
        self.jobs.try_recv().ok().map(|first| self.behind(first, most))
    }

    fn behind(&self, first: J, most: usize) -> Vec<J> {
        let mut taken = vec![first];
        taken.extend(self.jobs.try_iter().take(most.saturating_sub(1)));
        taken.iter().for_each(|job| self.shares.give_back(job.share()));
        taken
    }
}
