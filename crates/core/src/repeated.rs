//! What a client must make anew for each transaction: RFC 9700 section 2.1.1, "the PKCE challenge or OpenID Connect nonce MUST be
//! transaction-specific […] Authorization servers are encouraged to make a reasonable effort at detecting and preventing the use of constant
//! values".
//!
//! A constant one protects its client from nothing: whoever injects a stolen code knows the challenge that it was bound to. It is looked
//! at where an answer is given, and not where a page is loaded:
//!
//! | a client gets an answer, and its challenge or nonce | what happened                              | what we do                          |
//! |-----------------------------------------------------|--------------------------------------------|-------------------------------------|
//! | was not seen within [`REMEMBERED`]                  | an honest transaction                      | remember it                         |
//! | was seen in this very session                       | a reload, a double click, the button back  | count it                            |
//! | was seen in another session                         | the value is constant, or somebody's else  | count it, and tell of it once a day |
//!
//! Nobody is refused: an honest user of a careless client would be the one who pays.

use std::time::Duration;

use crate::time::Timestamp;

/// How long a value is remembered since it was seen last, and how long nothing more is told of its client: a day.
pub const REMEMBERED: Duration = Duration::from_secs(86_400);

/// What is made anew for each transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Value {
    /// `code_challenge` (RFC 7636).
    CodeChallenge,
    /// `nonce` (OpenID Connect Core section 3.1.2.1).
    Nonce,
}

impl Value {
    /// The stable code of the event that tells of it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::CodeChallenge => "constant_code_challenge",
            Self::Nonce => "constant_nonce",
        }
    }
}

/// When a value was seen last, and in which session: its fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// In which session.
    pub session: u64,
    /// When.
    pub at: Timestamp,
}

/// How a value is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Not seen before, as far as is remembered.
    First,
    /// Seen before in the same session.
    SameSession,
    /// Seen before in another session.
    OtherSession,
}

/// The table of this module.
#[must_use]
pub fn judge(before: Option<Seen>, now: Seen) -> Use {
    match before {
        Some(before) if is_over(before.at, now.at) => Use::First,
        Some(before) if before.session == now.session => Use::SameSession,
        Some(_) => Use::OtherSession,
        None => Use::First,
    }
}

/// Whether what was remembered or told at that time counts no more.
#[must_use]
pub fn is_over(at: Timestamp, now: Timestamp) -> bool {
    at.plus(REMEMBERED).is_over(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check P9: every row of the table, to the millisecond.
    #[test]
    fn a_value_of_another_session_is_constant_for_a_day() {
        let begin = Timestamp::from_millis(1_767_225_600_000);
        let seen = |session, after| Seen { session, at: begin.plus(after) };
        let (now, almost) = (Duration::ZERO, REMEMBERED - Duration::from_millis(1));
        for (before, after, expected) in [
            (None, now, Use::First),
            (Some(1), now, Use::SameSession),
            (Some(1), almost, Use::SameSession),
            (Some(1), REMEMBERED, Use::First),
            (Some(2), now, Use::OtherSession),
            (Some(2), almost, Use::OtherSession),
            (Some(2), REMEMBERED, Use::First),
        ] {
            let before = before.map(|session| seen(session, Duration::ZERO));
            assert_eq!(judge(before, seen(1, after)), expected, "{before:?} {after:?}");
        }
    }

    /// What an operator filters by is the parameter that is constant.
    #[test]
    fn each_value_is_told_of_by_its_own_code() {
        assert_eq!(Value::CodeChallenge.reason(), "constant_code_challenge");
        assert_eq!(Value::Nonce.reason(), "constant_nonce");
    }

    /// Law L10: a clock that steps back forgets nothing, and finds nothing over.
    #[test]
    fn a_clock_that_steps_back_forgets_nothing() {
        let (early, late) = (Timestamp::from_millis(1000), Timestamp::from_millis(REMEMBERED.as_millis() as i64));
        assert_eq!(judge(Some(Seen { session: 2, at: late }), Seen { session: 1, at: early }), Use::OtherSession);
    }
}
