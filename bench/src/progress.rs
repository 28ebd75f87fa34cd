//! One line on a terminal that says what is done and how long it will go on; nothing where nobody looks.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use crate::time::Watch;

/// How far we are, in seconds of work as they were planned.
#[derive(Debug)]
pub struct Progress {
    started: Watch,
    planned: f64,
    done: f64,
}

impl Progress {
    /// Of work that should take so many seconds.
    #[must_use]
    pub fn new(planned: f64) -> Self {
        Self { started: Watch::start(), planned, done: 0.0 }
    }

    /// Says what is going on.
    pub fn show(&self, what: &str) {
        self.line(what, self.done);
    }

    /// Says it, with this much more done of what is going on.
    pub fn show_within(&self, what: &str, seconds: f64) {
        self.line(what, self.done + seconds);
    }

    /// This much of the plan is done.
    pub fn done(&mut self, seconds: f64) {
        self.done += seconds;
    }

    /// Takes the line away.
    pub fn clear(&self) {
        write("");
    }

    fn line(&self, what: &str, done: f64) {
        let spent = self.started.elapsed().as_secs_f64();
        let left = (self.planned - done).max(0.0);
        // The plan is believed until some of it has been seen.
        let left = if done > 5.0 { left * spent / done } else { left };
        let share = if self.planned > 0.0 { (done / self.planned).clamp(0.0, 1.0) } else { 0.0 };
        let bar = "#".repeat((share * 24.0) as usize);
        write(&format!("[{bar:<24}] {} left · {what}", minutes(Duration::from_secs_f64(left))));
    }
}

fn minutes(left: Duration) -> String {
    format!("{}:{:02}", left.as_secs() / 60, left.as_secs() % 60)
}

fn write(line: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = write!(out, "\r\x1b[2K{line}");
        let _ = out.flush();
    }
}
