//! The load generator: one thread, one epoll, one request under way on each connection, and the next one as soon as the answer
//! is there (a closed loop).
//!
//! It shares the machine with what it measures, so it does little: it writes bytes that it was given, reads an answer by hand
//! (`http.rs`), counts the time between in a histogram, and leaves the rest to a [`Speaker`]. A connection that breaks ends the
//! measurement with an error: servers that we started ourselves have no reason to.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::histogram::Histogram;
use crate::http::Answer;
use crate::time::Watch;

/// The largest answer.
const MAX_ANSWER: usize = 64 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked on the connections, and what is thought of the answers.
pub trait Speaker {
    /// Appends a whole request for this connection, which has none under way. `false`: there is nothing more to ask.
    fn ask(&mut self, connection: usize, request: &mut Vec<u8>) -> bool;

    /// Hears the answer to it.
    fn hear(&mut self, connection: usize, answer: &Answer<'_>) -> Heard;
}

/// What an answer was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// What was asked for.
    Answered,
    /// The server asked us to come again; the next request of this connection does.
    Retry,
    /// Neither.
    Wrong,
}

/// Where, on how many connections, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// After this nothing more is asked; what is under way is still heard.
    pub duration: Duration,
}

/// What was seen.
#[derive(Clone, Default, Debug)]
pub struct Measured {
    /// What was asked for and given.
    pub answered: u64,
    /// Answers that asked us to come again.
    pub retried: u64,
    /// Other answers.
    pub wrong: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// The times between a request and its answer, of those that were answered.
    pub latencies: Histogram,
}

impl Measured {
    /// Answers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.answered as f64 / self.elapsed.as_secs_f64() }
    }

    /// Adds another measurement of the same.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.retried += other.retried;
        self.wrong += other.wrong;
        self.elapsed += other.elapsed;
        self.latencies.add(&other.latencies);
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    asked: Watch,
}

/// Opens the connections and speaks on them until the time is over or there is nothing more to ask.
///
/// # Errors
/// If a connection fails, a server closes one, speaks no HTTP, or does not answer within 30 seconds.
pub fn drive(load: Load, speaker: &mut dyn Speaker) -> io::Result<Measured> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::with_capacity(load.connections);
    for number in 0..load.connections {
        let stream = TcpStream::connect(load.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&epoll, &stream, EventData::new_u64(number as u64), EventFlags::IN)?;
        connections.push(Connection { stream, received: Vec::with_capacity(4096), asked: Watch::start() });
    }
    let mut driver = Driver { connections, speaker, request: Vec::new(), seen: Measured::default() };
    let started = Watch::start();
    let deadline = started.after(load.duration);
    let (mut now, mut under_way) = (started, 0);
    for number in 0..load.connections {
        under_way += usize::from(driver.ask(number)?);
    }
    let mut events = Vec::with_capacity(1024);
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    while under_way > 0 {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "no answer")),
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        now = Watch::start();
        let is_over = !now.is_before(deadline);
        for event in &events {
            let number = event.data.u64() as usize;
            if driver.hear(number)? && (is_over || !driver.ask(number)?) {
                under_way -= 1;
            }
        }
    }
    driver.seen.elapsed = now.since(started);
    Ok(driver.seen)
}

struct Driver<'a> {
    connections: Vec<Connection>,
    speaker: &'a mut dyn Speaker,
    request: Vec<u8>,
    seen: Measured,
}

impl Driver<'_> {
    /// Whether something is under way on it now.
    fn ask(&mut self, number: usize) -> io::Result<bool> {
        self.request.clear();
        if !self.speaker.ask(number, &mut self.request) {
            return Ok(false);
        }
        let connection = &mut self.connections[number];
        connection.asked = Watch::start();
        // One small request: the socket's buffer always takes it whole.
        let written = connection.stream.write(&self.request)?;
        if written < self.request.len() { Err(ErrorKind::WriteZero.into()) } else { Ok(true) }
    }

    /// Whether its answer is whole now.
    fn hear(&mut self, number: usize) -> io::Result<bool> {
        let connection = &mut self.connections[number];
        let length = connection.received.len();
        if length >= MAX_ANSWER {
            return Err(io::Error::new(ErrorKind::InvalidData, "the answer is too large"));
        }
        let mut chunk = [0; 4096];
        match connection.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => connection.received.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        let answer = Answer::read(&connection.received)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the answer is no HTTP"))?;
        let Some((answer, _)) = answer else { return Ok(false) };
        let latency = connection.asked.elapsed();
        match self.speaker.hear(number, &answer) {
            Heard::Answered => {
                self.seen.answered += 1;
                self.seen.latencies.record(latency);
            }
            Heard::Retry => self.seen.retried += 1,
            Heard::Wrong => self.seen.wrong += 1,
        }
        // Nothing was asked after it, so nothing follows it.
        connection.received.clear();
        Ok(true)
    }
}
