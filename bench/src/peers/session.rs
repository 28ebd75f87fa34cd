//! What becomes of a session: the same refresh asked several times at once, an answer that is lost, an old token that comes again.
//!
//! | what is done | what it stands for |
//! |---|---|
//! | N identical refreshes at once | tabs or workers of one client that share a token |
//! | the answer is thrown away, and the same refresh asked again at once | a phone in a tunnel |
//! | generation 1 after three refreshes | a thief with an old copy, or a restored backup |
//! | the same, more than half a minute later | the same, when no honest explanation is left |
//!
//! A session counts as alive if what a client was given, or still has to ask with, can be refreshed afterwards. Its branches are
//! the tokens that can: more than one means that two parties can go on beside each other and nobody will ever notice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::door::{Door, Said};
use crate::time::pause;

/// How many identical refreshes.
pub const AT_ONCE: [usize; 3] = [2, 5, 20];
/// How much later a replay is nobody's mistake.
pub const LATER: Duration = Duration::from_secs(31);

/// What was seen of one server.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// In the order of [`AT_ONCE`].
    pub at_once: Vec<AtOnce>,
    /// What became of sessions whose answer was lost, and how often.
    pub lost: Fates,
    /// What became of sessions whose first token was presented right after three refreshes.
    pub replayed: Fates,
    /// The same, [`LATER`].
    pub replayed_later: Fates,
}

/// Identical refreshes at once.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct AtOnce {
    /// How many of them.
    pub requests: usize,
    /// In how many sessions.
    pub sessions: usize,
    /// Sessions alive afterwards.
    pub alive: usize,
    /// Answers with a token, of all sessions.
    pub answers: usize,
    /// The most branches that one session had afterwards.
    pub branches: usize,
}

/// How often what happened.
pub type Fates = BTreeMap<&'static str, usize>;

impl Sessions {
    /// Does it to this many sessions each.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn observe(door: &Door, sessions: usize, progress: &dyn Fn(&str)) -> io::Result<Self> {
        let mut at_once = Vec::new();
        for requests in AT_ONCE {
            progress(&format!("{requests} identical refreshes at once, {sessions} times"));
            at_once.push(ask_at_once(door, requests, sessions)?);
        }
        progress(&format!("lost answers and replays, {sessions} times each"));
        let mut lost = Fates::new();
        for token in door.mint(sessions)? {
            *lost.entry(lose(door, &token)?).or_default() += 1;
        }
        let mut replayed = Fates::new();
        for token in door.mint(sessions)? {
            let newest = refresh_thrice(door, &token)?;
            *replayed.entry(replay(door, &token, &newest)?).or_default() += 1;
        }
        let waiting = door.mint(sessions)?;
        let waiting = waiting
            .into_iter()
            .map(|first| Ok((refresh_thrice(door, &first)?, first)))
            .collect::<io::Result<Vec<_>>>()?;
        progress(&format!("replays after {} s", LATER.as_secs()));
        pause(LATER);
        let mut replayed_later = Fates::new();
        for (newest, first) in waiting {
            *replayed_later.entry(replay(door, &first, &newest)?).or_default() += 1;
        }
        Ok(Self { at_once, lost, replayed, replayed_later })
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let at_once = self.at_once.iter().map(|seen| {
            json!({"requests": seen.requests, "sessions": seen.sessions, "alive": seen.alive, "answers": seen.answers,
                "most_branches": seen.branches})
        });
        json!({"at_once": at_once.collect::<Vec<_>>(), "answer_lost": self.lost, "replay_at_once": self.replayed,
            "replay_later": self.replayed_later})
    }
}

/// All connections are open before the first request is written, and all requests written before the first answer is read.
fn ask_at_once(door: &Door, requests: usize, sessions: usize) -> io::Result<AtOnce> {
    let mut lines = (0..requests).map(|_| door.line()).collect::<io::Result<Vec<_>>>()?;
    let mut seen = AtOnce { requests, sessions, ..AtOnce::default() };
    for first in door.mint(sessions)? {
        // A session in the middle of its life: its token comes from a refresh.
        let token = expect(lines[0].refresh(door, &first)?)?;
        let request = door.refresh_request(token.as_bytes());
        lines.iter_mut().try_for_each(|line| line.send(&request))?;
        let said = lines.iter_mut().map(|line| line.hear(Door::said)).collect::<io::Result<Vec<_>>>()?;
        seen.answers += said.iter().filter(|said| matches!(said, Said::Token(_))).count();
        let mut held: BTreeSet<String> = said
            .iter()
            .filter_map(|said| if let Said::Token(token) = said { Some(token.clone()) } else { None })
            .collect();
        if held.is_empty() && said.contains(&Said::Later) {
            // Asked to come again with the same token, which a client therefore still holds.
            held.insert(token);
        }
        let mut branches = 0;
        for token in held {
            branches += usize::from(matches!(lines[0].refresh(door, &token)?, Said::Token(_)));
        }
        seen.alive += usize::from(branches > 0);
        seen.branches = seen.branches.max(branches);
    }
    Ok(seen)
}

/// The client has asked, the server has done it, and the answer never arrived.
fn lose(door: &Door, token: &str) -> io::Result<&'static str> {
    let mut line = door.line()?;
    let unseen = expect(line.refresh(door, token)?)?;
    drop(line);
    let mut line = door.line()?;
    Ok(match line.refresh(door, token)? {
        Said::Token(again) if again == unseen => match line.refresh(door, &again)? {
            Said::Token(_) => "the same successor",
            Said::Later | Said::No => "the same successor, which is dead",
        },
        Said::Token(again) => {
            let goes_on = matches!(line.refresh(door, &again)?, Said::Token(_));
            let forked = matches!(line.refresh(door, &unseen)?, Said::Token(_));
            match (goes_on, forked) {
                (true, true) => "a second branch",
                (true, false) => "another successor",
                (false, _) => "another successor, which is dead",
            }
        }
        Said::Later => "asked to come again",
        Said::No => "logged out",
    })
}

fn refresh_thrice(door: &Door, first: &str) -> io::Result<String> {
    let mut line = door.line()?;
    let mut token = first.to_owned();
    for _ in 0..3 {
        token = expect(line.refresh(door, &token)?)?;
    }
    Ok(token)
}

fn replay(door: &Door, old: &str, newest: &str) -> io::Result<&'static str> {
    let mut line = door.line()?;
    let said = line.refresh(door, old)?;
    let goes_on = matches!(line.refresh(door, newest)?, Said::Token(_));
    Ok(match (said, goes_on) {
        (Said::Token(_), true) => "accepted",
        (Said::Token(_), false) => "accepted, the newest token dead",
        (Said::Later, true) => "asked to come again",
        (Said::Later, false) => "asked to come again, revoked",
        (Said::No, true) => "refused, the newest token lives on",
        (Said::No, false) => "refused, revoked",
    })
}

/// An honest refresh.
fn expect(said: Said) -> io::Result<String> {
    match said {
        Said::Token(token) => Ok(token),
        Said::Later | Said::No => Err(io::Error::other(format!("an honest refresh was answered {said:?}"))),
    }
}
