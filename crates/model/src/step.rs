//! What can happen next, and what comes of it.

use std::fmt;

use regrant_core::Refusal;
use regrant_core::decision::Change;
use regrant_core::grant::EndReason;
use regrant_core::recovery::Unproven;
use regrant_core::refresh::How;

use super::bench::{Ask, Bench, Ruling};
use super::laws::{self, Law};
use super::report::Counters;
use super::state::{Actor, Message, OLD, Row, SLOTS, Said, Stage, State, Token, proof_of};
use super::{Fault, Holder, Options};

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Ask(u8),
    Steal,
    ThiefAsks,
    Load(u8),
    Commit(u8),
    Deliver(u8),
    Lose(u8),
    Double(u8),
    CrashBefore,
    CrashAfter(u8),
    Revoke,
    Copy,
    RollBack,
    Pass(u8),
}

impl Step {
    /// In one byte: which, and where.
    pub(super) const fn code(self) -> u8 {
        let (kind, place) = match self {
            Self::Ask(worker) => (0, worker),
            Self::Steal => (1, 0),
            Self::ThiefAsks => (2, 0),
            Self::Load(place) => (3, place),
            Self::Commit(place) => (4, place),
            Self::Deliver(place) => (5, place),
            Self::Lose(place) => (6, place),
            Self::Double(place) => (7, place),
            Self::CrashBefore => (8, 0),
            Self::CrashAfter(place) => (9, place),
            Self::Revoke => (10, 0),
            Self::Copy => (11, 0),
            Self::RollBack => (12, 0),
            Self::Pass(OLD) => (13, 0),
            Self::Pass(_) => (13, 1),
        };
        kind << 4 | place
    }

    /// The step of a code, in a world of this tick.
    pub(super) const fn of_code(code: u8, tick: u8) -> Option<Self> {
        let place = code & 15;
        Some(match code >> 4 {
            0 => Self::Ask(place),
            1 => Self::Steal,
            2 => Self::ThiefAsks,
            3 => Self::Load(place),
            4 => Self::Commit(place),
            5 => Self::Deliver(place),
            6 => Self::Lose(place),
            7 => Self::Double(place),
            8 => Self::CrashBefore,
            9 => Self::CrashAfter(place),
            10 => Self::Revoke,
            11 => Self::Copy,
            12 => Self::RollBack,
            13 if place == 0 => Self::Pass(OLD),
            13 => Self::Pass(tick),
            _ => return None,
        })
    }
}

/// A step as it is told in a trace: with whose message it was.
pub(super) struct Told<'a>(pub(super) Step, pub(super) &'a State);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message =
            |place: u8| self.1.messages().find(|(at, _)| *at == usize::from(place)).map(|(_, message)| message);
        let told = |place: u8| message(place).map_or_else(String::new, |message| Whose(message).to_string());
        match self.0 {
            Step::Ask(worker) => write!(f, "worker {worker} presents generation {}", self.1.store.generation),
            Step::Steal => write!(f, "the thief copies generation {}", self.1.store.generation),
            Step::ThiefAsks => {
                write!(f, "the thief presents generation {}", self.1.thief.unwrap_or_default().generation)
            }
            Step::Load(place) => write!(f, "the server loads the row for {}", told(place)),
            Step::Commit(place) => write!(f, "the server commits for {}", told(place)),
            Step::Deliver(place) => write!(f, "delivered: {}", told(place)),
            Step::Lose(place) => write!(f, "lost: {}", told(place)),
            Step::Double(place) => write!(f, "doubled: {}", told(place)),
            Step::CrashBefore => f.write_str("the server crashes before the commit"),
            Step::CrashAfter(place) => write!(f, "the server commits and crashes before it answers {}", told(place)),
            Step::Revoke => f.write_str("an operator revokes the grant"),
            Step::Copy => f.write_str("the store is copied"),
            Step::RollBack => f.write_str("the store is restored from the copy, and recovered"),
            Step::Pass(seconds) => write!(f, "{seconds} s pass"),
        }
    }
}

struct Whose(Message);

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.actor {
            Actor::Worker(number) => write!(f, "worker {number}'s generation {}", self.0.token.generation)?,
            Actor::Thief => write!(f, "the thief's generation {}", self.0.token.generation)?,
        }
        match self.0.stage {
            Stage::Asked | Stage::Loaded { .. } => Ok(()),
            Stage::Answered(Said::Token(token)) => write!(f, ", answered with generation {}", token.generation),
            Stage::Answered(Said::Later) => f.write_str(", answered 503"),
            Stage::Answered(Said::Refused) => f.write_str(", answered 400"),
        }
    }
}

/// The rules of one world.
pub(super) struct World<'a> {
    pub(super) options: &'a Options,
    pub(super) bench: Bench,
    pub(super) counters: Counters,
}

impl World<'_> {
    /// Everything that can happen in this state.
    pub(super) fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        let options = self.options;
        steps.clear();
        let under_way = state.count(|_| true);
        let has_room = under_way < usize::from(options.slots).min(SLOTS);
        let honest = state.count(|message| message.actor != Actor::Thief);
        for worker in 0..options.workers {
            // One worker alone may lose patience and ask again while its request is still under way.
            let own = state.count(|message| message.actor == Actor::Worker(worker));
            let is_patient = if options.workers == 1 { own < 2 } else { own == 0 && honest < 2 };
            if has_room && is_patient && !state.is_logged_out && state.store.generation < options.generations {
                steps.push(Step::Ask(worker));
            }
        }
        if options.thief && state.thefts < options.thefts && state.thief != Some(state.store) {
            steps.push(Step::Steal);
        }
        let thief_may_ask = state.thief.is_some_and(|token| token.generation < options.generations);
        if has_room && thief_may_ask && state.count(|message| message.actor == Actor::Thief) == 0 {
            steps.push(Step::ThiefAsks);
        }
        for (place, message) in state.messages() {
            let at = place as u8;
            match message.stage {
                Stage::Asked => steps.push(Step::Load(at)),
                Stage::Loaded { .. } => {
                    steps.push(Step::Commit(at));
                    if state.crashes < options.crashes {
                        steps.push(Step::CrashAfter(at));
                    }
                    continue;
                }
                Stage::Answered(_) => steps.push(Step::Deliver(at)),
            }
            if state.losses < options.losses {
                steps.push(Step::Lose(at));
            }
            if has_room && state.doubles < options.doubles {
                steps.push(Step::Double(at));
            }
        }
        if state.crashes < options.crashes && state.count(is_loaded) > 0 {
            steps.push(Step::CrashBefore);
        }
        if state.revocations < options.revocations && state.row.ended == 0 {
            steps.push(Step::Revoke);
        }
        if state.era < options.rollbacks {
            steps.push(if state.copy.is_some() { Step::RollBack } else { Step::Copy });
        }
        steps.extend([Step::Pass(options.tick), Step::Pass(OLD)]);
    }

    /// The state after a step, or the law that it broke.
    pub(super) fn after(&mut self, state: &State, step: Step) -> Result<State, Law> {
        let counters = &mut self.counters;
        let next = *state;
        Ok(match step {
            Step::Ask(worker) => self.asked(next, Actor::Worker(worker), state.store),
            Step::ThiefAsks => self.asked(next, Actor::Thief, state.thief.unwrap_or_default()),
            Step::Steal => {
                let thefts = next.thefts + 1;
                State { thefts, thief: Some(next.store), thief_has_key: next.is_pending, ..next }
            }
            Step::Pass(seconds) => next.after(seconds),
            Step::Revoke => {
                counters.revocations += 1;
                let row = self.bench.revoke(&next.row).unwrap_or(next.row);
                State { row, revocations: next.revocations + 1, ..next }
            }
            Step::Copy => State { copy: Some(next.row), ..next },
            Step::RollBack => {
                counters.rollbacks += 1;
                self.rolled_back(next)
            }
            Step::CrashBefore => {
                counters.crashes_before_commit += 1;
                State { crashes: next.crashes + 1, ..without_loaded(next) }
            }
            Step::Lose(place) => {
                counters.losses += 1;
                State { losses: next.losses + 1, ..next.replaced(usize::from(place), None) }
            }
            Step::Double(place) => {
                counters.doubles += 1;
                let doubled = message_at(&next, place).map_or(next, |message| next.with(message));
                State { doubles: next.doubles + 1, ..doubled }
            }
            Step::Load(place) => load(next, place),
            Step::Commit(place) => self.committed(next, place)?,
            Step::CrashAfter(place) => {
                counters.crashes_after_commit += 1;
                let committed = self.committed(next, place)?.replaced(usize::from(place), None);
                State { crashes: next.crashes + 1, ..without_loaded(committed) }
            }
            Step::Deliver(place) => deliver(next, place, self.options)?,
        })
    }

    /// Everything under way is lost: the server was down for longer than anybody waits. What was revoked is in the revocation journal.
    fn rolled_back(&self, state: State) -> State {
        let row = Row { version: state.row.version + 1, ..state.copy.unwrap_or(state.row) };
        let is_replayed = state.revocations > 0 && self.options.fault != Some(Fault::JournalForgotten);
        let again = if is_replayed { self.bench.revoke(&row) } else { None };
        State { row: again.unwrap_or(row), era: state.era + 1, copy: None, net: [None; SLOTS], ..state }
    }

    /// The era that the server is in.
    fn era(&self, state: &State) -> u8 {
        if self.options.fault == Some(Fault::EraKept) { 0 } else { state.era }
    }

    fn asked(&self, state: State, actor: Actor, token: Token) -> State {
        let is_thief = actor == Actor::Thief;
        let has_key = self.options.holder == Holder::IdempotencyKey && token.generation > 0;
        let proof = match (has_key, is_thief) {
            (false, _) => 0,
            (true, false) => proof_of(token.generation, false),
            (true, true) => proof_of(token.generation, !state.thief_has_key),
        };
        // What is sent is made and saved first: a repeat carries the same key.
        let is_pending = state.is_pending || (has_key && !is_thief);
        let is_repeat = token.generation < state.row.generation;
        let message = Message { actor, token, proof, age: 0, is_repeat, stage: Stage::Asked };
        State { is_pending, ..state }.with(message)
    }

    /// The commit: by compare-and-set, so that a row which somebody else has written is loaded and decided on again.
    fn committed(&mut self, state: State, place: u8) -> Result<State, Law> {
        let Some((message, seen, age, chance)) = loaded_at(&state, place) else {
            return Ok(state);
        };
        let ask = Ask { actor: message.actor, token: message.token, proof: message.proof, era: self.era(&state) };
        let is_compared = match self.options.fault {
            Some(Fault::ReadThenWrite) => false,
            Some(Fault::AnswerUncompared) => self.bench.rule(&seen, ask, chance).write.is_some(),
            _ => true,
        };
        let is_stale = is_compared && seen.version != state.row.version;
        let (row, age) = if is_stale { (state.row, 0) } else { (seen, age) };
        self.counters.stale += u64::from(is_stale);
        let ruling = self.bench.rule(&row, ask, chance);
        // The truth is what the store holds now, at the age at which it was judged.
        let truth = if row.version == state.row.version { row } else { state.row };
        let leads = self.bench.leads(ask.token.seed, &truth);
        let law =
            ruling.outcome.ok().and_then(|answer| laws::of_answer(self.options.holder, &truth, ask, answer, leads));
        if let Some(law) = law {
            return Err(law);
        }
        // Whatever the row says: what was revoked once is never answered again.
        if state.revocations > 0 && ruling.outcome.is_ok() {
            return Err(Law::NothingAfterRevocation);
        }
        let next = self.judged(state, &truth, &message, &ruling)?;
        let write = ruling.write.map(|(_, row)| Row { version: state.row.version + 1, ..row.aged(age) });
        let said = match ruling.outcome {
            Ok(answer) => Said::Token(answer.token),
            Err(Refusal::Straggler { .. }) => Said::Later,
            Err(_) => Said::Refused,
        };
        let answer = Message { age: 0, stage: Stage::Answered(said), ..message };
        Ok(State { row: write.unwrap_or(state.row), ..next }.replaced(usize::from(place), Some(answer)))
    }

    /// Whom an answer concerns, and whether it may be.
    fn judged(&mut self, state: State, truth: &Row, message: &Message, ruling: &Ruling) -> Result<State, Law> {
        let era = self.era(&state);
        let (counters, holder) = (&mut self.counters, self.options.holder);
        let ask = Ask { actor: message.actor, token: message.token, proof: message.proof, era };
        let is_thief = message.actor == Actor::Thief;
        let mut next = state;
        // A thief who cannot pass for the client is no excuse for anything.
        next.has_thief_acted |= is_thief && !holder.is_bound();
        let is_predecessor = ask.token.generation + 1 == truth.generation && ask.token.generation > 0;
        next.is_excused |= !is_thief && message.is_repeat && is_predecessor && !laws::may_retry(holder, truth, ask);
        match ruling.outcome {
            Ok(answer) => {
                match answer.how {
                    None => counters.redemptions += 1,
                    Some(How::Rotated) => counters.rotations += 1,
                    Some(How::Retried | How::Reused) => counters.retries += 1,
                }
                next.redemptions += u8::from(answer.how.is_none());
                if next.redemptions > 1 {
                    return Err(Law::CodeOnce);
                }
                next = ridden(next, is_thief, answer.token.generation);
            }
            Err(Refusal::Straggler { .. }) => counters.stragglers += 1,
            Err(Refusal::OtherClient | Refusal::OtherKey) => counters.strangers += 1,
            Err(_) => counters.refusals += 1,
        }
        let Some((Change::Ended, row)) = ruling.write else {
            return Ok(next);
        };
        counters.replays += 1;
        let is_code = row.ended == EndReason::CodeReplayed.code();
        next.is_excused |= is_code && !is_thief;
        if is_fault_of_nobody(&next, self.options) { Err(Law::HonestClientGoesOn) } else { Ok(next) }
    }
}

/// A ride: the thief was answered with a token, then the client was. Once for each generation, however often both repeat.
fn ridden(state: State, is_thief: bool, generation: u8) -> State {
    if is_thief {
        return State { is_ridden: state.is_ridden || generation > state.ridden_until, ..state };
    }
    match state.is_ridden {
        true => State { is_ridden: false, ridden_until: generation, rides: state.rides + 1, ..state },
        false => state,
    }
}

/// Nobody but the server is to blame for what the client hears. After a restore an operator may have decided that whoever proves no key
/// logs in again.
fn is_fault_of_nobody(state: &State, options: &Options) -> bool {
    let is_decided = state.era > 0 && options.holder != Holder::Key && options.unproven == Unproven::End;
    !state.has_thief_acted && !state.is_excused && state.revocations == 0 && !is_decided
}

fn is_loaded(message: &Message) -> bool {
    matches!(message.stage, Stage::Loaded { .. })
}

fn message_at(state: &State, place: u8) -> Option<Message> {
    state.messages().find(|(at, _)| *at == usize::from(place)).map(|(_, message)| message)
}

fn loaded_at(state: &State, place: u8) -> Option<(Message, Row, u8, u8)> {
    let message = message_at(state, place)?;
    match message.stage {
        Stage::Loaded { row, age, chance } => Some((message, row, age, chance)),
        Stage::Asked | Stage::Answered(_) => None,
    }
}

/// A server reads the row. Its chance is not that of another who has read it.
fn load(state: State, place: u8) -> State {
    let Some(message) = message_at(&state, place) else {
        return state;
    };
    let is_taken = |number: u8| {
        state.count(|message| matches!(message.stage, Stage::Loaded { chance, .. } if chance == number)) > 0
    };
    let chance = (0..SLOTS as u8).find(|number| !is_taken(*number)).unwrap_or(0);
    let stage = Stage::Loaded { row: state.row, age: 0, chance };
    state.replaced(usize::from(place), Some(Message { stage, ..message }))
}

fn without_loaded(mut state: State) -> State {
    for place in 0..SLOTS {
        if state.messages().any(|(at, message)| at == place && is_loaded(&message)) {
            state = state.replaced(place, None);
        }
    }
    state
}

/// An answer arrives. A worker saves a token only in the place of the one that it presented: its store may be further.
fn deliver(state: State, place: u8, options: &Options) -> Result<State, Law> {
    let Some(message) = message_at(&state, place) else {
        return Ok(state);
    };
    let next = state.replaced(usize::from(place), None);
    let Stage::Answered(said) = message.stage else {
        return Ok(state);
    };
    let is_current = state.store == message.token;
    Ok(match (message.actor, said) {
        (Actor::Thief, Said::Token(token)) => State { thief: Some(token), thief_has_key: false, ..next },
        (Actor::Worker(_), Said::Token(token)) if is_current => State { store: token, is_pending: false, ..next },
        (Actor::Worker(_), Said::Refused) if is_current => {
            // A code is never redeemed twice: whoever lost that answer logs in again.
            if is_fault_of_nobody(&next, options) && message.token.generation > 0 {
                return Err(Law::HonestClientGoesOn);
            }
            State { is_logged_out: true, ..next }
        }
        (Actor::Thief | Actor::Worker(_), Said::Token(_) | Said::Later | Said::Refused) => next,
    })
}
