//! What a job of a batch hears, and how: with one wake-up for all of them.
//!
//! A wake-up from the writer's thread is a system call, and often another one: whoever was woken has gone to sleep again before the next
//! is told. So the writer hands all answers of a batch to one task of the runtime, which passes them on: from one thread of the runtime to
//! its own tasks that takes no system call. That task waits for nobody, so that no client can hold up another one's answer.
//!
//! What a job was made of comes back with its answer. The memory is freed where it was taken, and the writer, of whom there is one,
//! has no part in it.

use std::any::Any;

use regrant_core::decision::Decision;
use regrant_core::{GrantId, Refusal};
use regrant_store::Unavailable;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Moment, Row};
use crate::whereabouts::Whereabouts;

/// A question about one grant, on its way to the writer and back.
pub(super) trait Asked: Send {
    /// Decides, and keeps the outcome.
    fn decide(&mut self, row: Row<'_>, id: GrantId, moment: &Moment<'_>) -> Decision<()>;
    /// The name of the request.
    fn correlation(&self) -> &str;
    /// Whether it ends the grant for a reason of its own, and so looks beneath a wide revocation that can be taken back.
    fn ends(&self) -> bool;
    /// Where it came from.
    fn from(&self) -> Option<&Whereabouts>;
    /// An `Option` with the outcome of the last decision, if that was no refusal.
    fn outcome(&mut self) -> &mut dyn Any;
}

/// A question whose outcome is a `T`.
pub(super) struct Asking<F, T> {
    pub(super) decide: F,
    pub(super) correlation: String,
    pub(super) ends: bool,
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

    fn ends(&self) -> bool {
        self.ends
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
pub(super) type Reply = oneshot::Sender<Told>;

/// Tells the jobs of a batch what they wait for.
pub(super) struct Teller {
    /// Where those run who wait, if they run on a runtime.
    runtime: Option<Handle>,
}

impl Teller {
    /// For jobs that are asked from where this is called.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::try_current().ok() }
    }

    pub(super) fn tell(&self, all: Vec<(Reply, Told)>) {
        let tell = |all: Vec<(Reply, Told)>| {
            for (reply, told) in all {
                // Who has gone hears nothing, and the next one does.
                let _ = reply.send(told);
            }
        };
        match &self.runtime {
            Some(runtime) if all.len() > 1 => drop(runtime.spawn(async move { tell(all) })),
            _ => tell(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> (Reply, Told, oneshot::Receiver<Told>) {
        let (reply, answer) = oneshot::channel();
        let decide = |_: Row<'_>, _: GrantId, _: &Moment<'_>| Decision::<()>::refuse(Refusal::UnknownGrant);
        let question = Asking { decide, correlation: String::new(), ends: false, from: None, outcome: None };
        (reply, Ok((Err(Refusal::UnknownGrant), Box::new(question))), answer)
    }

    /// Law L3 rests on it: who can be answered is answered, whoever else has gone or does not listen.
    #[tokio::test]
    async fn no_answer_waits_for_another_client() {
        for runtime in [None, Handle::try_current().ok()] {
            let teller = Teller { runtime };
            let (mut all, mut answers) = (Vec::new(), Vec::new());
            for _ in 0..5 {
                let (reply, told, answer) = asked();
                all.push((reply, told));
                answers.push(answer);
            }
            // One has gone, and one never looks at its answer.
            drop(answers.swap_remove(2));
            let deaf = answers.swap_remove(0);
            teller.tell(all);
            for answer in answers {
                assert!(answer.await.is_ok_and(|told| told.is_ok()));
            }
            drop(deaf);
        }
    }
}
