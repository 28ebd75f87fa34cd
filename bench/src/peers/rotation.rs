//! The load: on each connection a few sessions, refreshed in turn, each with the token of its last answer.

use std::collections::VecDeque;

use super::door::{Door, Said};
use crate::http::Answer;
use crate::load::{Heard, Speaker};

/// Sessions of one connection: no session is refreshed again within the same moment.
pub const SESSIONS: usize = 4;

/// What the clients hold.
#[derive(Debug)]
pub struct Rotation {
    door: Door,
    connections: Vec<VecDeque<String>>,
}

impl Rotation {
    /// These sessions, dealt out to this many connections.
    #[must_use]
    pub fn new(door: Door, connections: usize, tokens: Vec<String>) -> Self {
        let mut dealt = vec![VecDeque::new(); connections];
        for (number, token) in tokens.into_iter().enumerate() {
            dealt[number % connections].push_back(token);
        }
        Self { door, connections: dealt }
    }
}

impl Speaker for Rotation {
    fn ask(&mut self, connection: usize, request: &mut Vec<u8>) -> bool {
        let Some(token) = self.connections[connection].front() else { return false };
        request.extend_from_slice(&self.door.refresh_request(token.as_bytes()));
        true
    }

    fn hear(&mut self, connection: usize, answer: &Answer<'_>) -> Heard {
        let said = Door::said(answer);
        let heard = Heard::from(&said);
        let sessions = &mut self.connections[connection];
        match said {
            Said::Token(new) => {
                sessions.pop_front();
                sessions.push_back(new);
            }
            Said::Later => {}
            // Its session is over; it is counted as wrong and not asked for again.
            Said::No => _ = sessions.pop_front(),
        }
        heard
    }
}

/// The same bytes every time, for what answers the same bytes every time.
#[derive(Debug)]
pub struct Same(pub Vec<u8>);

impl Speaker for Same {
    fn ask(&mut self, _connection: usize, request: &mut Vec<u8>) -> bool {
        request.extend_from_slice(&self.0);
        true
    }

    fn hear(&mut self, _connection: usize, answer: &Answer<'_>) -> Heard {
        if answer.status == 200 { Heard::Answered } else { Heard::Wrong }
    }
}
