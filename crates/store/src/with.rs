//! What goes together: records that are written only along with another, and on condition of what is there.

use crate::{Outcome, Record};

/// What must stand where something is put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Before<T> {
    /// Whatever it is.
    Whatever,
    /// Nothing.
    Nothing,
    /// This, to the letter: nobody has changed it since it was read.
    This(T),
}

impl<T: PartialEq> Before<T> {
    /// Whether that is it.
    #[must_use]
    pub fn is(&self, found: Option<&T>) -> bool {
        match self {
            Self::Whatever => true,
            Self::Nothing => found.is_none(),
            Self::This(read) => found == Some(read),
        }
    }
}

/// What was read must still stand there.
impl<T> From<Option<T>> for Before<T> {
    fn from(read: Option<T>) -> Self {
        read.map_or(Self::Nothing, Self::This)
    }
}

impl Record {
    /// This and what it entails, for one commit: the latter only if the former is `Committed`.
    #[must_use]
    pub fn entailing(self, more: impl IntoIterator<Item = Self>) -> Vec<Self> {
        std::iter::once(self).chain(more.into_iter().map(Self::with)).collect()
    }

    /// Only if the one before it is `Committed`.
    #[must_use]
    pub fn with(self) -> Self {
        if let Self::With(_) = self { self } else { Self::With(Box::new(self)) }
    }

    /// What is written, without the condition.
    #[must_use]
    pub const fn bare(&self) -> &Self {
        match self {
            Self::With(record) => record,
            record => record,
        }
    }

    /// Whether the next of these is to be written, after what became of those before it.
    pub(crate) fn is_due(records: &[Self], outcomes: &[Outcome]) -> bool {
        match records.get(outcomes.len()) {
            Some(Self::With(_)) => {
                let mut before = records.iter().zip(outcomes).rev();
                // What folds is no change, and stores do it each in their own way.
                let decides = before.find(|(record, _)| !matches!(record, Self::With(_) | Self::Fold));
                decides.is_none_or(|(_, outcome)| *outcome == Outcome::Committed)
            }
            _ => true,
        }
    }
}
