//! What every [`Store`] must do, as a test that a store of your own can call: `contract::holds(&store).await` panics where it does not.

use std::time::Duration;

use super::{Replaced, Store};
use crate::clock::Clock;
use crate::record::{Intent, Record, Tokens};
use crate::secret::Secret;

/// Tries a store, under names that begin with `contract-` and that it must not know yet.
///
/// # Panics
/// Where the store breaks its contract.
pub async fn holds(store: &dyn Store) {
    a_record_comes_back_whole(store).await;
    only_the_revision_that_was_seen_is_replaced(store).await;
    names_do_not_meet(store).await;
    one_at_a_time_has_the_lock(store).await;
}

fn record(text: &str) -> Record {
    let tokens = Tokens {
        access_token: Secret::new(text),
        token_type: "Bearer".to_owned(),
        refresh_token: Some(Secret::new(format!("refresh {text} \u{1f511} \"\\\n"))),
        id_token: None,
        dpop_key: Some(Secret::new("key")),
        scope: Some("a b".to_owned()),
        at: Clock::manual().now(),
        expires_in: Some(u64::from(u32::MAX)),
        refresh_token_expires_in: None,
        authorization_expires_in: Some(1),
    };
    Record::default().followed_by(tokens)
}

async fn a_record_comes_back_whole(store: &dyn Store) {
    let name = "contract-whole";
    assert_eq!(store.load(name).await, Ok(None), "what was never kept is not there");
    let first = record("first");
    assert_eq!(store.replace(name, 0, &first).await, Ok(Replaced::Done));
    assert_eq!(store.load(name).await, Ok(Some(first.clone())));
    let second = first.intending(Intent { key: Secret::new("key"), of: "fingerprint".to_owned() });
    assert_eq!(store.replace(name, first.revision, &second).await, Ok(Replaced::Done));
    assert_eq!(store.load(name).await, Ok(Some(second.clone())));
    let ended = second.ended("invalid_grant");
    assert_eq!(store.replace(name, second.revision, &ended).await, Ok(Replaced::Done));
    assert_eq!(store.load(name).await, Ok(Some(ended)), "an end is kept, and its revision with it");
}

async fn only_the_revision_that_was_seen_is_replaced(store: &dyn Store) {
    let name = "contract-revision";
    let first = record("first");
    assert_eq!(store.replace(name, 1, &first).await, Ok(Replaced::Stale), "there is nothing to replace");
    assert_eq!(store.replace(name, 0, &first).await, Ok(Replaced::Done));
    assert_eq!(store.replace(name, 0, &record("again")).await, Ok(Replaced::Stale), "there is something already");
    let second = first.followed_by(record("second").tokens.expect("tokens"));
    assert_eq!(store.replace(name, 1, &second).await, Ok(Replaced::Done));
    assert_eq!(store.replace(name, 1, &first.ended("late")).await, Ok(Replaced::Stale), "nothing newer is overwritten");
    assert_eq!(store.load(name).await, Ok(Some(second)));
}

async fn names_do_not_meet(store: &dyn Store) {
    let names = ["contract-a", "contract-A", "contract-a.b", "contract-a b", "contract-\u{e9}", "contract-a%2f"];
    for name in names {
        assert_eq!(store.replace(name, 0, &record(name)).await, Ok(Replaced::Done), "{name}");
    }
    for name in names {
        assert_eq!(store.load(name).await, Ok(Some(record(name))), "{name}");
    }
}

async fn one_at_a_time_has_the_lock(store: &dyn Store) {
    let name = "contract-lock";
    let (brief, long) = (Duration::from_millis(20), Duration::from_secs(20));
    let held = store.lock(name, long).await.expect("a lock");
    assert!(held.is_held());
    assert!(!store.lock(name, brief).await.expect("an end of the patience").is_held(), "somebody has it");
    assert!(store.lock("contract-other", long).await.expect("a lock").is_held(), "another name has another lock");
    drop(held);
    assert!(store.lock(name, long).await.expect("a lock").is_held(), "it was given back");
}
