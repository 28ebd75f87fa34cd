//! What is carried out once however often it is asked for: a mark goes into the first commit of what is done, so that both are durable or
//! neither is.

use std::cell::Cell;
use std::future::Future;

use regrant_store::Record;

tokio::task_local! {
    static MARK: Cell<Option<Record>>;
}

/// Carries something out. Its first commit takes the mark along; one that it had no commit for comes back.
pub(crate) async fn with_first_commit<T>(mark: Option<Record>, what: impl Future<Output = T>) -> (T, Option<Record>) {
    let marked = async {
        let done = what.await;
        (done, take())
    };
    MARK.scope(Cell::new(mark), marked).await
}

/// The mark, if this task has one that no commit took yet.
pub(super) fn take() -> Option<Record> {
    MARK.try_with(Cell::take).ok().flatten()
}
