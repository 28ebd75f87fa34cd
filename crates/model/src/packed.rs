//! States as bytes: the states that wait to be looked at are tens of millions, and wait in little room.

use std::collections::VecDeque;

use super::state::{Actor, Message, Row, SLOTS, Said, Stage, State, Token};

/// Of which pieces a queue is made: what was looked at is given back by pieces.
const PIECE: usize = 1 << 20;

/// States in the order in which they were found.
#[derive(Default)]
pub(super) struct Queue {
    pieces: VecDeque<Vec<u8>>,
    /// How far the first piece was read.
    read: usize,
}

impl Queue {
    pub(super) fn push(&mut self, state: &State) {
        if self.pieces.back().is_none_or(|last| last.len() > PIECE) {
            self.pieces.push_back(Vec::with_capacity(PIECE + 1024));
        }
        if let Some(last) = self.pieces.back_mut() {
            write(state, last);
        }
    }

    pub(super) fn pop(&mut self) -> Option<State> {
        let first = self.pieces.front()?;
        let mut bytes = Bytes(first.get(self.read..)?);
        let state = bytes.state()?;
        self.read = first.len() - bytes.0.len();
        if self.read == first.len() {
            self.pieces.pop_front();
            self.read = 0;
        }
        Some(state)
    }

    /// What waits, as it is kept in a file.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let read = |place: usize| if place == 0 { self.read } else { 0 };
        self.pieces.iter().enumerate().map(move |(place, piece)| piece.get(read(place)..).unwrap_or_default())
    }

    /// A piece of a file. Pieces are of whole states.
    pub(super) fn add(&mut self, piece: Vec<u8>) {
        self.pieces.push_back(piece);
    }
}

const NONE: u8 = u8::MAX;

fn write(state: &State, out: &mut Vec<u8>) {
    let flags = [
        state.is_pending,
        state.is_logged_out,
        state.thief.is_some(),
        state.thief_has_key,
        state.has_thief_acted,
        state.is_excused,
        state.is_ridden,
        state.copy.is_some(),
    ];
    out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    out.push((0..SLOTS).rev().fold(0, |bits, place| bits << 1 | u8::from(state.net[place].is_some())));
    out.extend([state.losses, state.doubles, state.crashes, state.revocations, state.redemptions, state.thefts]);
    out.extend([state.ridden_until, state.rides, state.era]);
    write_row(&state.row, out);
    write_token(state.store, out);
    state.thief.iter().for_each(|token| write_token(*token, out));
    state.copy.iter().for_each(|row| write_row(row, out));
    state.net.iter().flatten().for_each(|message| write_message(message, out));
}

fn write_row(row: &Row, out: &mut Vec<u8>) {
    [row.version, row.current, row.ratchet].iter().for_each(|number| out.extend(number.to_le_bytes()));
    out.extend([row.generation, row.era, row.rotated, row.previously, row.answered, row.retries, row.proof, row.ended]);
    out.push(row.redeemed.unwrap_or(NONE));
}

fn write_token(token: Token, out: &mut Vec<u8>) {
    out.extend([token.generation, token.era]);
    out.extend(token.seed.to_le_bytes());
}

fn write_message(message: &Message, out: &mut Vec<u8>) {
    out.push(match message.actor {
        Actor::Worker(number) => number,
        Actor::Thief => NONE,
    });
    write_token(message.token, out);
    out.extend([message.proof, message.age, u8::from(message.is_repeat)]);
    match &message.stage {
        Stage::Asked => out.push(0),
        Stage::Loaded { row, age, chance } => {
            out.extend([1, *age, *chance]);
            write_row(row, out);
        }
        Stage::Answered(Said::Token(token)) => {
            out.push(2);
            write_token(*token, out);
        }
        Stage::Answered(Said::Later) => out.push(3),
        Stage::Answered(Said::Refused) => out.push(4),
    }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn state(&mut self) -> Option<State> {
        let (flags, places) = (self.byte()?, self.byte()?);
        let is = |bit: u8| flags >> bit & 1 == 1;
        let mut state = State {
            is_pending: is(0),
            is_logged_out: is(1),
            thief_has_key: is(3),
            has_thief_acted: is(4),
            is_excused: is(5),
            is_ridden: is(6),
            losses: self.byte()?,
            doubles: self.byte()?,
            crashes: self.byte()?,
            revocations: self.byte()?,
            redemptions: self.byte()?,
            thefts: self.byte()?,
            ridden_until: self.byte()?,
            rides: self.byte()?,
            era: self.byte()?,
            ..State::begin(self.row()?, self.token()?)
        };
        if is(2) {
            state.thief = Some(self.token()?);
        }
        if is(7) {
            state.copy = Some(self.row()?);
        }
        for place in (0..SLOTS).filter(|place| places >> place & 1 == 1) {
            state.net[place] = Some(self.message()?);
        }
        Some(state)
    }

    fn row(&mut self) -> Option<Row> {
        Some(Row {
            version: self.number()?,
            current: self.number()?,
            ratchet: self.number()?,
            generation: self.byte()?,
            era: self.byte()?,
            rotated: self.byte()?,
            previously: self.byte()?,
            answered: self.byte()?,
            retries: self.byte()?,
            proof: self.byte()?,
            ended: self.byte()?,
            redeemed: Some(self.byte()?).filter(|age| *age != NONE),
        })
    }

    fn token(&mut self) -> Option<Token> {
        Some(Token { generation: self.byte()?, era: self.byte()?, seed: self.number()? })
    }

    fn message(&mut self) -> Option<Message> {
        Some(Message {
            actor: match self.byte()? {
                NONE => Actor::Thief,
                number => Actor::Worker(number),
            },
            token: self.token()?,
            proof: self.byte()?,
            age: self.byte()?,
            is_repeat: self.byte()? == 1,
            stage: match self.byte()? {
                0 => Stage::Asked,
                1 => {
                    let (age, chance) = (self.byte()?, self.byte()?);
                    Stage::Loaded { row: self.row()?, age, chance }
                }
                2 => Stage::Answered(Said::Token(self.token()?)),
                3 => Stage::Answered(Said::Later),
                4 => Stage::Answered(Said::Refused),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8) -> Row {
        Row {
            version: 300 + u16::from(number),
            current: 2,
            ratchet: 3,
            generation: 4,
            era: 1,
            rotated: 15,
            previously: 30,
            answered: 45,
            retries: 2,
            proof: 6,
            ended: 7,
            redeemed: (number > 0).then_some(60),
        }
    }

    fn states() -> Vec<State> {
        let (one, two) = (Token { generation: 3, seed: 513, era: 1 }, Token { generation: 2, seed: 9, era: 0 });
        let bare = State::begin(row(0), one);
        let message =
            |stage| Message { actor: Actor::Worker(1), token: two, proof: 8, age: 15, is_repeat: true, stage };
        let mut full = State {
            is_pending: true,
            is_excused: true,
            thief: Some(two),
            thief_has_key: true,
            losses: 1,
            doubles: 2,
            crashes: 3,
            revocations: 4,
            redemptions: 5,
            thefts: 6,
            ridden_until: 7,
            rides: 8,
            era: 1,
            copy: Some(row(2)),
            ..bare
        };
        full.net[0] =
            Some(Message { actor: Actor::Thief, ..message(Stage::Loaded { row: row(1), age: 30, chance: 2 }) });
        full.net[2] = Some(message(Stage::Answered(Said::Token(one))));
        full.net[3] = Some(Message { is_repeat: false, ..message(Stage::Asked) });
        let mut said = State { is_logged_out: true, has_thief_acted: true, is_ridden: true, ..bare };
        said.net[1] = Some(message(Stage::Answered(Said::Later)));
        said.net[2] = Some(message(Stage::Answered(Said::Refused)));
        vec![bare, full, said]
    }

    #[test]
    fn a_state_comes_out_of_the_queue_as_it_went_in() {
        let mut queue = Queue::default();
        for _ in 0..10_000 {
            states().iter().for_each(|state| queue.push(state));
        }
        for _ in 0..10_000 {
            for state in states() {
                assert_eq!(format!("{:?}", queue.pop()), format!("{:?}", Some(state)));
            }
        }
        assert!(queue.pop().is_none());
    }

    #[test]
    fn a_queue_is_made_again_of_its_pieces() {
        let mut queue = Queue::default();
        for _ in 0..10_000 {
            states().iter().for_each(|state| queue.push(state));
        }
        queue.pop();
        let mut again = Queue::default();
        queue.pieces().for_each(|piece| again.add(piece.to_owned()));
        for _ in 1..30_000 {
            assert_eq!(format!("{:?}", again.pop()), format!("{:?}", queue.pop()));
        }
        assert!(again.pop().is_none() && queue.pop().is_none());
    }

    #[test]
    fn bytes_that_end_too_early_are_no_state() {
        let mut bytes = Vec::new();
        states().iter().for_each(|state| write(state, &mut bytes));
        let mut queue = Queue::default();
        queue.add(bytes[..bytes.len() - 1].to_owned());
        assert!(queue.pop().is_some() && queue.pop().is_some() && queue.pop().is_none());
    }
}
