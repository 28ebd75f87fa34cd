//! What wide revocations cost a refresh that none of them covers: a fixed number of refreshes, for `perf stat -e instructions:u` to count.
//! `bench instructions` counts the same under callgrind.

use std::path::Path;
use std::sync::Arc;

use regrant_core::grant::EndReason;
use regrant_core::{Epoch, Selector, Timestamp};
use regrant_store::Record;

use super::{add_users, grant, subject};
use crate::process::{Home, Inside};

/// Revocations in one commit.
const AT_ONCE: u64 = 1000;

/// Refreshes so often, one after the other, beside so many revocations of other users.
///
/// # Panics
/// If the server fails.
pub async fn refreshes(directory: &Path, revocations: u64, refreshes: u64) {
    let inside = Home::make(directory).open_inside();
    add_users(&inside, 1).await;
    revoke_others(&inside, revocations).await;
    let client = Arc::new((*inside.app.client("phone").expect("the client is declared")).clone());
    let mut token = grant(&inside, &client, 0).await;
    for _ in 0..refreshes {
        token = inside.next("phone", &token).await;
    }
}

/// So many wide revocations, each of another user who is not there.
///
/// # Panics
/// If the server fails.
pub async fn revoke_others(inside: &Inside, revocations: u64) {
    let epoch = |number: u64| Epoch {
        number: 0,
        at: Timestamp::EPOCH,
        selector: Selector { subject: Some(subject(number)), ..Selector::default() },
        reason: EndReason::UserRevoked,
        detail: String::new(),
        undo_until: None,
        undone_at: None,
    };
    let mut made = 0;
    while made < revocations {
        let next = revocations.min(made + AT_ONCE);
        let records = (made..next).map(|number| Record::Epoch { epoch: epoch(number + 1), events: Vec::new() });
        inside.app.engine.commit(records.collect()).await.expect("the store answers");
        made = next;
    }
}
