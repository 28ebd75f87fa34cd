//! What is done, where it can go wrong, and how.

use std::fmt;

use super::super::parties::Class;

/// What is done to a deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A client refreshes.
    Rotate(Holder),
    /// A client that lost an answer asks again.
    Retry(Holder),
    /// A spent token comes: the grant ends.
    Replay,
    /// A code is redeemed.
    Redeem,
    /// A client revokes.
    Revoke,
    /// An operator revokes.
    End,
    /// A user is switched off.
    Disable,
    /// A client registers itself.
    Register,
    /// A device asks, is answered, or gets its tokens (RFC 8628).
    Device(Step),
    /// A key of this kind is rotated.
    Key(&'static str),
}

/// A step of a device on its way to tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It asks for a code.
    Ask,
    /// Its user allows it.
    Allow,
    /// Its user refuses it.
    Refuse,
    /// It asks for its tokens.
    Redeem,
}

/// Who holds the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A public client.
    Plain,
    /// A public client with an `Idempotency-Key`.
    Keyed,
    /// A client with a secret, single use.
    Secret,
    /// The same, reusable.
    Reusable,
}

impl Holder {
    pub(super) const fn class(self) -> Class {
        match self {
            Self::Plain => Class::Plain,
            Self::Keyed => Class::Keyed,
            Self::Secret => Class::Secret,
            Self::Reusable => Class::Reusable,
        }
    }
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Rotate(Holder::Plain),
        Self::Rotate(Holder::Keyed),
        Self::Rotate(Holder::Secret),
        Self::Rotate(Holder::Reusable),
        Self::Retry(Holder::Plain),
        Self::Retry(Holder::Keyed),
        Self::Retry(Holder::Secret),
        Self::Replay,
        Self::Redeem,
        Self::Revoke,
        Self::End,
        Self::Disable,
        Self::Register,
        Self::Device(Step::Ask),
        Self::Device(Step::Allow),
        Self::Device(Step::Refuse),
        Self::Device(Step::Redeem),
        Self::Key("tag"),
        Self::Key("seed"),
        Self::Key("mac"),
    ];
}

/// What happens at a point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The process ends.
    Crash,
    /// The store fails.
    Error,
    /// Three seconds pass, and the same comes to another node.
    Stall,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Crash, Self::Error, Self::Stall];
}

/// A point of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Point(pub(super) String);

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Of which operation.
    pub operation: Operation,
    /// Where.
    pub point: Point,
    /// What.
    pub mode: Mode,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}, {:?}", self.operation, self.point, self.mode)
    }
}
