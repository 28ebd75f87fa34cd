//! The writer, before it has its thread.
//!
//! A server starts it and never sees it again. A simulation keeps it, and lets it work when it wants to, one batch at a time: the same
//! code, in one thread, at a moment of one's own choice.

use std::thread;

use super::Job;
use super::queue::Taking;
use super::writer::Writer;

/// A writer without a thread. What is asked of its [`Engine`](super::Engine) waits until it takes a step.
pub struct Stepped {
    writer: Writer,
    queue: Taking<Job>,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stepped")
    }
}

impl Stepped {
    pub(super) const fn new(writer: Writer, queue: Taking<Job>) -> Self {
        Self { writer, queue }
    }

    /// Gives it its thread, which ends with the last handle of its engine.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(self) -> std::io::Result<()> {
        let Self { writer, queue } = self;
        thread::Builder::new().name("regrant-writer".to_owned()).spawn(move || writer.run(&queue))?;
        Ok(())
    }

    /// One batch of at most so many jobs, if any waits; whether there was one. Who asked it to stop hears nothing.
    pub fn step(&mut self, most: usize) -> bool {
        let Some(jobs) = self.queue.now(most) else { return false };
        drop(self.writer.turn(jobs));
        true
    }
}
