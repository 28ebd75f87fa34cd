//! What must hold in every state and of every answer, written without the core: laws L1, L2, L3, L4 and L9 of the design.

use std::fmt;

use regrant_core::refresh::How;

use super::Holder;
use super::bench::{Answer, Ask, Bench};
use super::state::{Actor, Row, State, Token};

/// What was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// L1: a token that somebody was answered with is no longer, or not yet, what the store knows.
    AcknowledgedIsDurable,
    /// L2: two different tokens of one generation were answered, or two tokens would rotate.
    OneLiveToken,
    /// L3: an honest client that kept to its rule was logged out, or heard another successor.
    HonestClientGoesOn,
    /// L3: a code was redeemed twice.
    CodeOnce,
    /// L4: a spent token was answered with a token outside its retry rule.
    SpentIsSpent,
    /// L9: something was issued after the revocation's commit.
    NothingAfterRevocation,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AcknowledgedIsDurable => "L1: an acknowledged token was lost",
            Self::OneLiveToken => "L2: a grant has two live refresh tokens",
            Self::HonestClientGoesOn => "L3: an honest client was logged out",
            Self::CodeOnce => "L3: a code was redeemed twice",
            Self::SpentIsSpent => "L4: a spent token was answered with a token",
            Self::NothingAfterRevocation => "L9: issued after the revocation",
        })
    }
}

/// Asked of every state.
pub(super) fn of_state(state: &State, bench: &mut Bench) -> Option<Law> {
    let mut seen: [Token; 12] = [Token::default(); 12];
    let mut distinct = 0;
    for token in state.acknowledged() {
        // One seed under two tags is one token.
        let is_same = |known: &Token| known.generation == token.generation && known.seed == token.seed;
        if !seen[..distinct].iter().any(is_same) && distinct < seen.len() {
            seen[distinct] = token;
            distinct += 1;
        }
    }
    let tokens = &seen[..distinct];
    // What was answered before the store was set back, and what is answered since, may share a generation: the store knows of one.
    let is_forked =
        |a: &Token| tokens.iter().any(|b| a.generation == b.generation && a.seed != b.seed && a.era == b.era);
    if tokens.iter().any(is_forked) {
        return Some(Law::OneLiveToken);
    }
    let row = &state.row;
    let is_lost = |token: &Token| {
        let is_ahead =
            token.generation > row.generation || (token.generation == row.generation && token.seed != row.current);
        is_ahead && token.era == state.era
    };
    if tokens.iter().any(is_lost) {
        return Some(Law::AcknowledgedIsDurable);
    }
    // Which of two tokens a restored store has lost cannot be known until one of them was answered.
    if row.era < state.era {
        return None;
    }
    let live = tokens.iter().filter(|token| would_rotate(row, **token, state.era, bench)).count();
    (live > 1).then_some(Law::OneLiveToken)
}

fn would_rotate(row: &Row, token: Token, era: u8, bench: &mut Bench) -> bool {
    let ask = Ask { actor: Actor::Worker(0), token, proof: 0, era };
    bench.rule(row, ask, 0).outcome.is_ok_and(|answer| answer.how == Some(How::Rotated))
}

/// Asked of every answer with a token: `row` is what the store held when it was committed.
pub(super) fn of_answer(holder: Holder, row: &Row, ask: Ask, answer: Answer, leads: bool) -> Option<Law> {
    if row.ended != 0 {
        return Some(Law::NothingAfterRevocation);
    }
    if ask.token.generation == 0 {
        return row.redeemed.is_some().then_some(Law::CodeOnce);
    }
    if ask.token.generation == row.generation && ask.token.seed == row.current {
        return None;
    }
    // Minted in a span that the store has lost: it rolls forward once, before anything else is answered.
    if ask.token.era < ask.era && row.era < ask.era && ask.token.generation > row.generation {
        return None;
    }
    if ask.token.generation + 1 != row.generation || !leads || !may_retry(holder, row, ask) {
        return Some(Law::SpentIsSpent);
    }
    let is_same = (answer.token.generation, answer.token.seed) == (row.generation, row.current);
    (!is_same).then_some(Law::OneLiveToken)
}

/// The retry rule, a second time and as plainly as possible.
pub(super) fn may_retry(holder: Holder, row: &Row, ask: Ask) -> bool {
    match holder {
        Holder::Key | Holder::Secret => ask.actor != Actor::Thief,
        Holder::IdempotencyKey => row.proof != 0 && row.proof == ask.proof,
        Holder::Plain => row.rotated < 60 && (row.rotated < 5 || row.retries < 3),
    }
}
