//! What a job of a batch hears, and how: with one wake-up for all of them.
//!
//! A wake-up from the writer's thread is a system call, and often another one: whoever was woken has gone to sleep again before the next
//! is told. So the writer wakes one, and hands it the answers of the others to pass on. From one thread of the runtime to its
//! own tasks that takes no system call. They are passed on as soon as they come, and also where nobody waits for them any more: what
//! passes them on is that they are dropped, and so no answer is lost with a client that has gone.
//!
//! What a job was made of comes back with its answer. The memory is freed where it was taken, and the writer, of whom there is one,
//! has no part in it.

use std::any::Any;

use regrant_core::decision::Decision;
use regrant_core::{GrantId, Refusal};
use regrant_store::Unavailable;
use tokio::sync::oneshot;

use super::{Moment, Row};
use crate::whereabouts::Whereabouts;

/// A question about one grant, on its way to the writer and back.
pub(super) trait Asked: Send {
    /// Decides, and keeps the outcome.
    fn decide(&mut self, row: Row<'_>, id: GrantId, moment: &Moment<'_>) -> Decision<()>;
    /// The name of the request.
    fn correlation(&self) -> &str;
    /// Where it came from.
    fn from(&self) -> Option<&Whereabouts>;
    /// An `Option` with the outcome of the last decision, if that was no refusal.
    fn outcome(&mut self) -> &mut dyn Any;
}

/// A question whose outcome is a `T`.
pub(super) struct Asking<F, T> {
    pub(super) decide: F,
    pub(super) correlation: String,
    pub(super) from: Option<Whereabouts>,
    pub(super) outcome: Option<T>,
}

impl<F, T> Asked for Asking<F, T>
where
    F: FnMut(Row<'_>, GrantId, &Moment<'_>) -> Decision<T> + Send,
    T: Send + 'static,
{
    fn decide(&mut self, row: Row<'_>, id: GrantId, moment: &Moment<'_>) -> Decision<()> {
        let Decision { write, event, outcome } = (self.decide)(row, id, moment);
        Decision { write, event, outcome: outcome.map(|outcome| self.outcome = Some(outcome)) }
    }

    fn correlation(&self) -> &str {
        &self.correlation
    }

    fn from(&self) -> Option<&Whereabouts> {
        self.from.as_ref()
    }

    fn outcome(&mut self) -> &mut dyn Any {
        &mut self.outcome
    }
}

/// The verdict with the question, or that nothing has happened.
pub(super) type Told = Result<(Result<(), Refusal>, Box<dyn Asked>), Unavailable>;
/// Where it is waited for.
pub(super) type Reply = oneshot::Sender<Heard>;

/// What one job hears.
pub(super) struct Heard {
    pub(super) told: Told,
    /// To be dropped at once.
    pub(super) others: Others,
}

/// What others are to hear, when this is dropped.
#[derive(Default)]
pub(super) struct Others(Vec<(Reply, Told)>);

impl Drop for Others {
    fn drop(&mut self) {
        for (reply, told) in self.0.drain(..) {
            let _ = reply.send(Heard { told, others: Self::default() });
        }
    }
}

/// Tells each job what it waits for. Where the first one does not listen, the others hear it from this thread.
pub(super) fn tell(mut all: Vec<(Reply, Told)>) {
    if let Some((reply, told)) = all.pop() {
        let _ = reply.send(Heard { told, others: Others(all) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> (Reply, Told, oneshot::Receiver<Heard>) {
        let (reply, answer) = oneshot::channel();
        let decide = |_: Row<'_>, _: GrantId, _: &Moment<'_>| Decision::<()>::refuse(Refusal::UnknownGrant);
        let question = Asking { decide, correlation: String::new(), from: None, outcome: None };
        (reply, Ok((Err(Refusal::UnknownGrant), Box::new(question))), answer)
    }

    /// Law L3 rests on it: who can be answered is answered, whoever else has gone, and whenever.
    #[test]
    fn no_answer_is_lost_with_a_client_that_has_gone() {
        for (is_gone_before, is_heard) in [(true, false), (false, false), (false, true)] {
            let (mut all, mut answers) = (Vec::new(), Vec::new());
            for _ in 0..5 {
                let (reply, told, answer) = asked();
                all.push((reply, told));
                answers.push(answer);
            }
            let mut first = answers.pop();
            if is_gone_before {
                first = None;
            }
            tell(all);
            if is_heard {
                let heard = first.as_mut().expect("it is there").try_recv().expect("it was told first");
                assert!(
                    answers.iter_mut().all(|answer| answer.try_recv().is_err()),
                    "the others hear it from the first"
                );
                drop(heard);
            }
            drop(first);
            assert!(answers.iter_mut().all(|answer| answer.try_recv().is_ok_and(|heard| heard.told.is_ok())));
        }
    }
}
