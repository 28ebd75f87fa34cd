//! What is carried out once however often it is asked for: a mark goes into the first commit of what is done, so that both are durable or
//! neither is.

use std::cell::Cell;
use std::future::Future;

use regrant_store::Record;

tokio::task_local! {
    static MARK: Cell<Option<Record>>;
}

/// Carries something out. The first of its commits that is not refused takes the mark along; one that it had no
/// commit for comes back.
pub(crate) async fn with_first_commit<T>(mark: Option<Record>, what: impl Future<Output = T>) -> (T, Option<Record>) {
    let marked = async {
        let done = what.await;
        (done, take())
    };
    MARK.scope(Cell::new(mark), marked).await
}

/// No commit took it after all.
pub(super) fn put_back(mark: Option<Record>) {
    let _ = MARK.try_with(|cell| cell.set(mark));
}

/// Carries out what only prepares the rest: the mark is kept for what follows.
pub(crate) async fn beforehand<T>(what: impl Future<Output = T>) -> T {
    MARK.scope(Cell::new(None), what).await
}

/// The mark, if this task has one that no commit took yet.
pub(super) fn take() -> Option<Record> {
    MARK.try_with(Cell::take).ok().flatten()
}
