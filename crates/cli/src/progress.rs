//! How far a long command is: a bar on standard error, where that is a terminal.

use std::io::{IsTerminal as _, Write as _};

/// A bar over so many bytes.
pub(crate) struct Progress {
    size: u64,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn over(size: u64) -> Self {
        Self { size, is_shown: std::io::stderr().is_terminal() }
    }

    /// None: standard error is for a program.
    pub(crate) const fn unseen() -> Self {
        Self { size: 0, is_shown: false }
    }

    pub(crate) fn show(&self, read: u64) {
        if self.is_shown {
            let percent = read.saturating_mul(100).checked_div(self.size).unwrap_or(100).min(100);
            let full = usize::try_from(percent / 4).unwrap_or(25);
            let bar = format!("\r[{}{}] {percent:3} %", "#".repeat(full), ".".repeat(25 - full));
            let _ = write!(std::io::stderr(), "{bar}");
        }
    }

    pub(crate) fn end(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
