//! What must be so in every schedule.

use regrant_core::Timestamp;
use regrant_store::{Memory, Outcome, Record, Store};
use shuttle::future::block_on;
use shuttle::thread;
use tokio::sync::oneshot;

use super::current::Current;
use super::queue::{Job, Putting, Refused, Room, Share, Taking, queue};

const ROOM: Room = Room { all: 2, reads: 1, commits: 1 };

/// What is asked of the writer here.
struct Asked {
    sender: usize,
    number: usize,
    what: What,
    reply: oneshot::Sender<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Decide,
    Read,
    Commit,
    Stop,
}

impl Job for Asked {
    fn share(&self) -> Option<Share> {
        match self.what {
            What::Decide | What::Stop => None,
            What::Read => Some(Share::Reads),
            What::Commit => Some(Share::Commits),
        }
    }
}

fn put(queue: &Putting<Asked>, sender: usize, number: usize, what: What) -> Result<oneshot::Receiver<u64>, Refused> {
    let (reply, answer) = oneshot::channel();
    queue.put(Asked { sender, number, what, reply }).map(|()| answer)
}

/// Takes until nobody can put any more, or somebody says stop, and answers with the number of the batch.
fn write(taking: &Taking<Asked>) {
    let (mut last, mut batches) = ([None; 3], 0);
    while let Some(batch) = taking.wait(2) {
        batches += 1;
        assert!(batch.len() <= 2, "a batch of {}", batch.len());
        for share in [What::Read, What::Commit] {
            let count = batch.iter().filter(|job| job.what == share).count();
            assert!(count <= 1, "{count} of a share of one were in the queue");
        }
        for job in batch {
            assert!(last[job.sender] < Some(job.number), "a sender was overtaken by itself");
            last[job.sender] = Some(job.number);
            let _ = job.reply.send(batches);
            if job.what == What::Stop {
                return;
            }
        }
    }
}

/// Three senders, each of which puts in two jobs before it waits for either.
pub(crate) fn jobs_are_heard_and_keep_their_share() {
    let (putting, taking) = queue::<Asked>(ROOM);
    let writer = thread::spawn(move || write(&taking));
    let kinds = [[What::Read, What::Commit], [What::Read, What::Decide], [What::Commit, What::Read]];
    let senders: Vec<_> = kinds
        .into_iter()
        .enumerate()
        .map(|(sender, kinds)| {
            let putting = putting.clone();
            thread::spawn(move || {
                let answers: Vec<_> =
                    kinds.into_iter().enumerate().map(|(number, what)| put(&putting, sender, number, what)).collect();
                let mut before = 0;
                for answer in answers {
                    match answer {
                        Ok(answer) => {
                            let batch = block_on(answer).expect("who was taken in is heard");
                            assert!(batch >= before, "the second was answered before the first");
                            before = batch;
                        }
                        Err(refused) => assert_eq!(refused, Refused::Full),
                    }
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
    // Nobody waits any more: each share is whole again, and not more than whole.
    for (number, what) in [(2, What::Read), (3, What::Commit)] {
        let answer = put(&putting, 0, number, what).expect("room");
        block_on(answer).expect("an answer");
    }
    drop(putting);
    writer.join().expect("the writer");
}

/// Somebody says stop while others put in.
pub(crate) fn a_stop_leaves_nobody_waiting() {
    let (putting, taking) = queue::<Asked>(Room { all: 3, ..ROOM });
    let writer = thread::spawn(move || write(&taking));
    let senders: Vec<_> = [What::Decide, What::Stop, What::Read]
        .into_iter()
        .enumerate()
        .map(|(sender, what)| {
            let putting = putting.clone();
            // An answer or none: what counts is that this ends.
            thread::spawn(move || put(&putting, sender, 0, what).map(|answer| block_on(answer).is_ok()))
        })
        .collect();
    let heard: Vec<_> = senders.into_iter().map(|sender| sender.join().expect("a sender")).collect();
    assert_eq!(heard[1], Ok(true), "the stop itself was not heard");
    writer.join().expect("the writer");
    // Over; or full, if what was dropped with the queue had the share: at once, in any case.
    assert!(put(&putting, 0, 1, What::Read).is_err());
    assert_eq!(put(&putting, 0, 1, What::Decide).map(|_| ()), Err(Refused::Over));
}

/// Keys are replaced by one, who then asks; others ask and look all the time.
pub(crate) fn what_comes_after_a_swap_sees_it() {
    let (putting, taking) = queue::<Asked>(ROOM);
    let keys = Current::new((0_u64, 0_u64));
    let of_writer = keys.clone();
    let writer = thread::spawn(move || {
        while let Some(batch) = taking.wait(2) {
            let keys = of_writer.get();
            assert_eq!(keys.0, keys.1, "halves of two rings");
            for job in batch {
                let _ = job.reply.send(keys.0);
            }
        }
    });
    let (of_rotation, asks) = (keys.clone(), putting.clone());
    let rotation = thread::spawn(move || {
        for next in 1..=2 {
            of_rotation.replace((next, next));
            if let Ok(answer) = put(&asks, 0, 0, What::Decide) {
                let under = block_on(answer).expect("an answer");
                assert!(under >= next, "decided under keys {under} after {next} were there");
            }
        }
    });
    let (of_reader, asks) = (keys, putting);
    let reader = thread::spawn(move || {
        let before = of_reader.get().0;
        let under = put(&asks, 1, 0, What::Decide).ok().and_then(|answer| block_on(answer).ok()).unwrap_or(before);
        let after = of_reader.get().0;
        assert!(before <= under && under <= after, "keys went from {before} to {under} and {after}");
    });
    for thread in [rotation, reader, writer] {
        thread.join().expect("it ends");
    }
}

/// Two nodes over one store, three who show the same assertion.
pub(crate) fn a_jti_is_used_once() {
    let memory = Memory::new();
    let nodes: Vec<_> = (0..2)
        .map(|_| {
            let (putting, taking) = queue::<Asked>(Room { commits: 2, ..ROOM });
            let mut store = memory.clone();
            let writer = thread::spawn(move || {
                while let Some(batch) = taking.wait(2) {
                    let now = Timestamp::from_millis(1);
                    let used = Record::UseOnce { key: [7; 32], expires_at: Timestamp::from_millis(60_000) };
                    let outcomes = store.commit(&vec![used; batch.len()], now).expect("memory");
                    for (job, outcome) in batch.into_iter().zip(outcomes) {
                        let _ = job.reply.send(u64::from(outcome == Outcome::Committed));
                    }
                }
            });
            (putting, writer)
        })
        .collect();
    let shown: Vec<_> = [0, 0, 1]
        .into_iter()
        .enumerate()
        .map(|(sender, node)| {
            let putting = nodes[node].0.clone();
            thread::spawn(move || {
                let answer = put(&putting, sender, 0, What::Commit).expect("room");
                block_on(answer).expect("an answer")
            })
        })
        .collect();
    let good: u64 = shown.into_iter().map(|shown| shown.join().expect("an answer")).sum();
    assert_eq!(good, 1, "one assertion was good {good} times");
    for (putting, writer) in nodes {
        drop(putting);
        writer.join().expect("the writer");
    }
}
