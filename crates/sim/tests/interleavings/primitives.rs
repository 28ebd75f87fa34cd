//! Primitives that the scheduler interleaves: a queue that behaves as that of the standard library (whoever drops the receiver drops what
//! waits, which shuttle's own does not), and two with a planted fault.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{LockResult, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// `std::sync::mpsc`, as far as it is used.
pub(crate) mod mpsc {
    use std::collections::VecDeque;
    use std::sync::PoisonError;
    pub(crate) use std::sync::mpsc::{RecvError, TryRecvError, TrySendError};

    use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};

    struct Shared<T> {
        state: Mutex<State<T>>,
        came: Condvar,
    }

    struct State<T> {
        waiting: VecDeque<T>,
        most: usize,
        senders: usize,
        is_received: bool,
    }

    impl<T> Shared<T> {
        fn lock(&self) -> MutexGuard<'_, State<T>> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    pub(crate) struct SyncSender<T>(Arc<Shared<T>>);
    pub(crate) struct Receiver<T>(Arc<Shared<T>>);

    pub(crate) fn sync_channel<T>(most: usize) -> (SyncSender<T>, Receiver<T>) {
        let state = State { waiting: VecDeque::new(), most, senders: 1, is_received: true };
        let shared = Arc::new(Shared { state: Mutex::new(state), came: Condvar::new() });
        (SyncSender(Arc::clone(&shared)), Receiver(shared))
    }

    impl<T> SyncSender<T> {
        pub(crate) fn try_send(&self, it: T) -> Result<(), TrySendError<T>> {
            let mut state = self.0.lock();
            if !state.is_received {
                return Err(TrySendError::Disconnected(it));
            }
            if state.waiting.len() >= state.most {
                return Err(TrySendError::Full(it));
            }
            state.waiting.push_back(it);
            drop(state);
            self.0.came.notify_one();
            Ok(())
        }
    }

    impl<T> Clone for SyncSender<T> {
        fn clone(&self) -> Self {
            self.0.lock().senders += 1;
            Self(Arc::clone(&self.0))
        }
    }

    impl<T> Drop for SyncSender<T> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                return;
            }
            self.0.lock().senders -= 1;
            self.0.came.notify_one();
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            let mut state = self.0.lock();
            loop {
                match state.waiting.pop_front() {
                    Some(it) => return Ok(it),
                    None if state.senders == 0 => return Err(RecvError),
                    None => state = self.0.came.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            }
        }

        pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
            let mut state = self.0.lock();
            let gone = if state.senders == 0 { TryRecvError::Disconnected } else { TryRecvError::Empty };
            state.waiting.pop_front().ok_or(gone)
        }

        pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> {
            std::iter::from_fn(|| self.try_recv().ok())
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                return;
            }
            let mut state = self.0.lock();
            state.is_received = false;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            drop(waiting);
        }
    }
}

/// Planted: a counter that is read, and then written.
#[derive(Debug)]
pub(crate) struct Torn(AtomicUsize);

impl Torn {
    pub(crate) fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    pub(crate) fn fetch_add(&self, more: usize, order: Ordering) -> usize {
        let before = self.0.load(Ordering::Acquire);
        self.0.store(before.wrapping_add(more), order_of_store(order));
        before
    }

    pub(crate) fn fetch_sub(&self, less: usize, order: Ordering) -> usize {
        self.fetch_add(less.wrapping_neg(), order)
    }
}

fn order_of_store(order: Ordering) -> Ordering {
    if order == Ordering::Relaxed { order } else { Ordering::Release }
}

/// Planted: readers see what was there before the last write.
#[derive(Debug)]
pub(crate) struct Lagging<T> {
    seen: RwLock<T>,
    next: Mutex<Option<T>>,
}

pub(crate) struct Published<'a, T: Clone> {
    lock: &'a Lagging<T>,
    seen: RwLockWriteGuard<'a, T>,
    next: Option<T>,
}

impl<T: Clone> Lagging<T> {
    pub(crate) fn new(first: T) -> Self {
        Self { seen: RwLock::new(first), next: Mutex::new(None) }
    }

    pub(crate) fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.seen.read()
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the one it stands for")]
    pub(crate) fn write(&self) -> LockResult<Published<'_, T>> {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = self.next.lock().unwrap_or_else(PoisonError::into_inner).take() {
            *seen = before;
        }
        let next = Some(seen.clone());
        Ok(Published { lock: self, seen, next })
    }
}

impl<T: Clone> Deref for Published<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.next.as_ref().unwrap_or(&self.seen)
    }
}

impl<T: Clone> DerefMut for Published<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.next.as_mut().unwrap_or(&mut self.seen)
    }
}

impl<T: Clone> Drop for Published<'_, T> {
    fn drop(&mut self) {
        *self.lock.next.lock().unwrap_or_else(PoisonError::into_inner) = self.next.take();
    }
}
