//! What is not left half done when whoever asked for it goes away.

use tokio::runtime::Handle;

/// Does it in a task of its own: whoever hangs up ends none of it. [`None`] if it panicked, or the runtime ends.
///
/// Where there is no runtime, as in simulated time, nobody can go away: it is done where it is asked for.
pub(crate) fn to_the_end<T: Send + 'static>(
    doing: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Option<T>> {
    let doing = match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn(doing)),
        Err(_) => Err(Box::pin(doing)),
    };
    async {
        match doing {
            Ok(task) => task.await.ok(),
            Err(here) => Some(here.await),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn who_goes_away_ends_nothing() {
        let (done, hears) = tokio::sync::oneshot::channel();
        let (go, waits) = tokio::sync::oneshot::channel::<()>();
        let doing = async move {
            let _ = waits.await;
            let _ = done.send(7);
        };
        {
            let mut asked = pin!(to_the_end(doing));
            let mut context = Context::from_waker(Waker::noop());
            assert!(asked.as_mut().poll(&mut context).is_pending());
        }
        assert!(go.send(()).is_ok(), "it still waits");
        assert_eq!(hears.await, Ok(7));
    }

    #[test]
    fn without_a_runtime_it_is_done_on_the_spot() {
        let mut asked = pin!(to_the_end(async { 7 }));
        assert_eq!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Some(7)));
    }
}
