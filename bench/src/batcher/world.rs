//! The batcher on virtual time: clients that ask again as soon as they are answered, nodes that each have one batch under way, one database.
//!
//! | step of a refresh                     | takes                                                                   |
//! |---------------------------------------|-------------------------------------------------------------------------|
//! | the client asks                       | processor time where the clients are                                    |
//! | the node reads it, answers it         | processor time of the node, for each refresh                            |
//! | it waits for the batch that is under way | until that is durable; then all that waits is the next batch           |
//! | its one writer decides, makes the batch | processor time of the node, for each batch and for each refresh in it |
//! | the database takes it                 | processor time of the database, for each batch and for each row         |
//! | the way there and back, twice         | the time of the network                                                 |
//! | COMMIT                                | a flush of the one device: whoever comes while one is under way is in the next |
//! | its part of a wait that no processor explains | wake-ups between threads and processes                          |
//!
//! A processor takes one piece of work after the other, in the order in which they come. A piece of work takes between nothing and twice its
//! mean, drawn from a fixed seed: without that all nodes would march in step.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The most that one batch holds.
const MOST: usize = 1024;

/// What takes how long, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Costs {
    /// Of the client, for a request.
    pub load: f64,
    /// Of the node, for a refresh and for a batch.
    pub node: Line,
    /// The share of what a refresh costs the node that its one writer does, within the batch and one after the other.
    pub writer: f64,
    /// Of the database.
    pub database: Line,
    /// Until the device has confirmed.
    pub flush: f64,
    /// Of a batch, beside all this.
    pub wake: f64,
    /// One way and back between a node and the database.
    pub network: f64,
}

/// So much for each batch, and so much more for each row.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    /// For a batch.
    pub batch: f64,
    /// For a row.
    pub row: f64,
}

/// Who is there, and who shares processors with whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// How many nodes.
    pub nodes: usize,
    /// How many clients, over all nodes.
    pub clients: usize,
    /// Whether everything is on one machine, of so many processors.
    pub shared: Option<usize>,
    /// Of each node, where it has its own machine.
    pub node_processors: usize,
    /// Of the database, where it has its own.
    pub database_processors: usize,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Seen {
    /// Refreshes a second.
    pub per_second: f64,
    /// Rows of a batch, on average.
    pub batch: f64,
    /// How long a refresh took, in milliseconds: half of them, and 99 of 100.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The share of the database's processors that was busy.
    pub database_busy: f64,
}

/// What happens next, in the order in which it was said where times are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    /// A request is on its way to its node.
    Sent(usize),
    /// It is there.
    Read(usize),
    /// The node has done for it what is done for each, and it waits for a batch.
    Ready(usize),
    /// The node has made its batch.
    Made(usize),
    /// It has come to the database.
    Come(usize),
    /// The database has taken it.
    Taken(usize),
    /// The device has confirmed.
    Flushed,
    /// The node hears of it.
    Heard(usize),
}

/// Processors that take one piece of work after the other.
struct Processors {
    free_at: BinaryHeap<Reverse<u64>>,
    busy: u64,
    dice: u64,
}

impl Processors {
    fn new(count: usize, seed: u64) -> Self {
        Self { free_at: (0..count.max(1)).map(|_| Reverse(0)).collect(), busy: 0, dice: seed }
    }

    /// When a piece of work that comes now, and takes so long on average, is done.
    fn take(&mut self, now: u64, mean: u64) -> u64 {
        // SplitMix64.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((mixed ^ (mixed >> 31)) >> 32) as f64 / f64::from(u32::MAX);
        let work = (mean as f64 * 2.0 * share) as u64;
        let Reverse(free) = self.free_at.pop().unwrap_or(Reverse(now));
        let done = free.max(now) + work;
        self.free_at.push(Reverse(done));
        self.busy += work;
        done
    }

    /// How much of the work was done by now; the rest waits.
    fn busy_by(&self, now: u64) -> u64 {
        self.busy - self.free_at.iter().map(|Reverse(free)| free.saturating_sub(now)).sum::<u64>()
    }
}

#[derive(Default)]
struct Node {
    waiting: VecDeque<usize>,
    under_way: Vec<usize>,
}

/// All of it. Times are nanoseconds.
struct World {
    shape: Shape,
    costs: Costs,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    said: u64,
    /// Of the one machine, or else of the database's.
    central: Processors,
    /// Empty on one machine.
    apart: Vec<Processors>,
    nodes: Vec<Node>,
    /// Batches whose flush is under way, and those that wait for the next one.
    flushing: Vec<usize>,
    to_flush: Vec<usize>,
    asked_at: Vec<u64>,
    took: Vec<u64>,
    batches: u64,
    answered: u64,
    /// What was busy before it was counted.
    counted_from: u64,
    busy_before: u64,
}

fn nanos(micros: f64) -> u64 {
    (micros.max(0.0) * 1000.0).round() as u64
}

impl World {
    fn at(&mut self, time: u64, event: Event) {
        self.said += 1;
        self.events.push(Reverse((time, self.said, event)));
    }

    const fn node_of(&self, client: usize) -> usize {
        client % self.shape.nodes
    }

    /// Work of a node, on its own machine or on the one.
    fn work(&mut self, node: usize, micros: f64) -> u64 {
        let processors = self.apart.get_mut(node).unwrap_or(&mut self.central);
        processors.take(self.now, nanos(micros))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Sent(client) => {
                // Elsewhere the clients have as many processors as they need.
                let load = nanos(self.costs.load);
                let sent = match self.shape.shared {
                    Some(_) => self.central.take(self.now, load),
                    None => self.now + load,
                };
                self.asked_at[client] = self.now;
                self.at(sent, Event::Read(client));
            }
            Event::Read(client) => {
                let node = self.node_of(client);
                let ready = self.work(node, self.costs.node.row * (1.0 - self.costs.writer));
                self.at(ready, Event::Ready(client));
            }
            Event::Ready(client) => {
                let node = self.node_of(client);
                self.nodes[node].waiting.push_back(client);
                if self.nodes[node].under_way.is_empty() {
                    self.begin(node);
                }
            }
            Event::Made(node) => self.at(self.now + nanos(self.costs.network * 2.0), Event::Come(node)),
            Event::Come(node) => {
                let rows = self.nodes[node].under_way.len() as f64;
                let work = self.costs.database.batch + self.costs.database.row * rows;
                let taken = self.central.take(self.now, nanos(work));
                self.at(taken, Event::Taken(node));
            }
            Event::Taken(node) => {
                self.to_flush.push(node);
                if self.flushing.is_empty() {
                    self.flush();
                }
            }
            Event::Flushed => {
                let heard = self.now + nanos(self.costs.wake);
                for node in std::mem::take(&mut self.flushing) {
                    self.at(heard, Event::Heard(node));
                }
                if !self.to_flush.is_empty() {
                    self.flush();
                }
            }
            Event::Heard(node) => {
                self.batches += 1;
                for client in std::mem::take(&mut self.nodes[node].under_way) {
                    self.answered += 1;
                    self.took.push(self.now - self.asked_at[client]);
                    self.at(self.now, Event::Sent(client));
                }
                if !self.nodes[node].waiting.is_empty() {
                    self.begin(node);
                }
            }
        }
    }

    /// All that waits is the next batch.
    fn begin(&mut self, node: usize) {
        let room = self.nodes[node].waiting.len().min(MOST);
        let batch = self.nodes[node].waiting.drain(..room).collect();
        self.nodes[node].under_way = batch;
        let Line { batch, row } = self.costs.node;
        let made = self.work(node, batch + row * self.costs.writer * room as f64);
        self.at(made, Event::Made(node));
    }

    fn flush(&mut self) {
        self.flushing = std::mem::take(&mut self.to_flush);
        self.at(self.now + nanos(self.costs.flush), Event::Flushed);
    }

    fn until(&mut self, end: u64) {
        while self.events.peek().is_some_and(|Reverse((time, ..))| *time <= end) {
            let Some(Reverse((time, _, event))) = self.events.pop() else { break };
            self.now = time;
            self.happen(event);
        }
        self.now = end;
    }

    /// What was before this is not counted.
    fn count_from_here(&mut self) {
        (self.batches, self.answered, self.counted_from, self.busy_before) =
            (0, 0, self.now, self.central.busy_by(self.now));
        self.took.clear();
    }

    fn seen(mut self) -> Seen {
        let seconds = (self.now - self.counted_from) as f64 / 1e9;
        self.took.sort_unstable();
        let at = |share: f64| {
            let place = (self.took.len() as f64 * share) as usize;
            self.took.get(place.min(self.took.len().saturating_sub(1))).map_or(0.0, |took| *took as f64 / 1e6)
        };
        let processors = self.shape.shared.unwrap_or(self.shape.database_processors) as f64;
        Seen {
            per_second: self.answered as f64 / seconds,
            batch: self.answered as f64 / self.batches.max(1) as f64,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            database_busy: (self.central.busy_by(self.now) - self.busy_before) as f64 / 1e9 / seconds / processors,
        }
    }
}

/// So many virtual seconds of it, behind half of one that is not counted.
#[must_use]
pub fn simulate(shape: Shape, costs: Costs, seconds: f64) -> Seen {
    let apart = match shape.shared {
        Some(_) => Vec::new(),
        None => (1..=shape.nodes).map(|node| Processors::new(shape.node_processors, node as u64)).collect(),
    };
    let mut world = World {
        shape,
        costs,
        now: 0,
        events: BinaryHeap::new(),
        said: 0,
        central: Processors::new(shape.shared.unwrap_or(shape.database_processors), 0),
        apart,
        nodes: (0..shape.nodes).map(|_| Node::default()).collect(),
        flushing: Vec::new(),
        to_flush: Vec::new(),
        asked_at: vec![0; shape.clients],
        took: Vec::new(),
        batches: 0,
        answered: 0,
        counted_from: 0,
        busy_before: 0,
    };
    for client in 0..shape.clients {
        world.at(0, Event::Sent(client));
    }
    world.until(500_000_000);
    world.count_from_here();
    world.until(500_000_000 + (seconds * 1e9) as u64);
    world.seen()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        load: 0.0,
        node: Line { batch: 0.0, row: 0.0 },
        writer: 0.0,
        database: Line { batch: 0.0, row: 0.0 },
        flush: 1000.0,
        wake: 0.0,
        network: 0.0,
    };

    fn shape(nodes: usize, clients: usize) -> Shape {
        Shape { nodes, clients, shared: None, node_processors: 1, database_processors: 1 }
    }

    /// One client, nothing but a flush of a millisecond: a thousand a second, each of them a batch.
    #[test]
    fn alone_each_refresh_waits_for_its_own_flush() {
        let seen = simulate(shape(1, 1), COSTS, 1.0);
        assert_eq!((seen.per_second, seen.batch, seen.p50_ms), (1000.0, 1.0, 1.0));
    }

    /// What comes while a batch is under way is the next one: the more ask, the larger the batches, at the same pace.
    #[test]
    fn batches_grow_with_the_number_of_clients() {
        for clients in [2, 10, 100] {
            let seen = simulate(shape(1, clients), COSTS, 1.0);
            // All of them, or half and half in turns.
            assert!(seen.batch >= clients as f64 / 2.0, "{seen:?}");
            assert!((seen.per_second - 1000.0 * seen.batch).abs() < 1.0 + seen.batch, "{seen:?}");
        }
    }

    /// Nodes share a flush; what the database's one processor must do for each row bounds them all.
    #[test]
    fn nodes_share_flushes_and_the_database() {
        let one = simulate(shape(1, 8), COSTS, 1.0);
        let ten = simulate(shape(10, 80), COSTS, 1.0);
        // Each waits for its own flush, and for at most one that is under way when it comes.
        assert!(ten.per_second >= one.per_second * 5.0, "{one:?} {ten:?}");
        let slow = Costs { database: Line { batch: 0.0, row: 100.0 }, ..COSTS };
        let bound = simulate(shape(50, 5_000), slow, 5.0);
        assert!((bound.per_second - 10_000.0).abs() < 500.0 && bound.database_busy > 0.97, "{bound:?}");
    }

    /// The seed is fixed.
    #[test]
    fn it_is_the_same_each_time() {
        let slow = Costs {
            load: 7.0,
            node: Line { batch: 90.0, row: 30.0 },
            database: Line { batch: 300.0, row: 20.0 },
            ..COSTS
        };
        assert_eq!(simulate(shape(7, 70), slow, 0.5), simulate(shape(7, 70), slow, 0.5));
    }
}
