//! After a restore from an older copy: what the store has lost, and what an operator decided about it.
//!
//! Between the copy and the loss there is a span of time of which the store knows nothing. A refresh token that it takes for live may
//! have been replaced in that span, and one from the future was minted in it. Which of the two a grant of an earlier era holds
//! cannot be known; what its holder can prove decides:
//!
//! | the holder proves                    | live by the row                     | from the future                            |
//! |--------------------------------------|-------------------------------------|--------------------------------------------|
//! | a key (private_key_jwt, mTLS, DPoP)  | goes on: a thief lacks the key      | rolls forward: taken as live, then answered |
//! | a client secret                      | goes on: a thief lacks the secret   | [`Unproven`]: ended, or rolled forward      |
//! | nothing (public, single-use)         | [`Unproven`]: ended, or goes on     | [`Unproven`]: ended, or rolled forward      |
//!
//! A grant is in doubt until it was answered in the era of the recovery; from then on its tokens are as good as any.

use crate::client::{Class, Policy};
use crate::grant::{Binding, Grant, Rotation};
use crate::time::Timestamp;
use crate::token::RefreshToken;

/// What becomes of grants whose holder proves nothing that a thief of an older token could not prove as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unproven {
    /// They end: their users log in again, and no superseded token works.
    End,
    /// They go on, under whichever token of theirs comes first: nobody logs in again, and a superseded token that a thief has kept
    /// may be that one.
    Accept,
}

impl Unproven {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Accept => "accept",
        }
    }

    /// Reverses [`Unproven::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::End, Self::Accept].into_iter().find(|known| known.as_str() == word)
    }
}

/// The last recovery that an operator has opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// Where what the store knows ends.
    pub lost_from: Timestamp,
    /// Where what was answered ends.
    pub lost_until: Timestamp,
    /// What was decided.
    pub unproven: Unproven,
}

/// What a recovery says of one grant and one token of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// Nothing: the ages of the table stand.
    None,
    /// It may have been replaced in the lost span, and whoever holds it proves nothing: it ends the grant.
    Superseded,
    /// Minted in the lost span: its generation and seed are taken as live.
    RollForward,
    /// Minted in the lost span, and whoever holds it does not prove a key: it ends the grant.
    Lost,
}

/// Judges a token of the client's own. Both the token and the row must be of an earlier era: what was answered in this one is known.
#[must_use]
pub fn doubt(recovery: Option<&Recovery>, era: u16, token: &RefreshToken, grant: &Grant, policy: &Policy) -> Doubt {
    let Some(recovery) = recovery.filter(|_| token.era < era && grant.era < era && token.generation > 0) else {
        return Doubt::None;
    };
    let class = if matches!(grant.terms.binding, Binding::Key(_)) { Class::Key } else { policy.class };
    let is_from_the_future = token.generation > grant.generation;
    match (is_from_the_future, class, recovery.unproven) {
        (true, Class::Key, _) | (true, Class::Secret | Class::Public, Unproven::Accept) => Doubt::RollForward,
        (true, Class::Secret | Class::Public, Unproven::End) => Doubt::Lost,
        (false, Class::Public, Unproven::End) if is_in_doubt(grant, token) => Doubt::Superseded,
        (false, Class::Key | Class::Secret | Class::Public, Unproven::End | Unproven::Accept) => Doubt::None,
    }
}

/// Whether the token is one that the row would answer: the live one, or the one before it.
fn is_in_doubt(grant: &Grant, token: &RefreshToken) -> bool {
    matches!(grant.terms.rotation, Rotation::SingleUse) && grant.generation - token.generation <= 1
}
