//! `regrant events verify`: whoever writes to the store behind the server's back is found.

use std::time::Duration;

use regrant_server::admin::chain::ChainReport;
use rusqlite::Connection;
use sim::process::Scratch;
use sim::wire::World;

async fn verified(world: &World) -> ChainReport {
    world.app.admin().verify_events().await.expect("an answer")
}

/// Changing, inserting and removing a row is found at its position; putting it right again mends the chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_tells_where_it_was_broken() {
    let scratch = Scratch::new("chain");
    let file = scratch.path().join("regrant.db");
    let mut world = World::on_sqlite(&file).await;
    for _ in 0..5 {
        let _ = world.first("phone").await;
    }
    let whole = verified(&world).await;
    assert_eq!((whole.broken.clone(), whole.verified, whole.newest), (None, 6, 6));
    for (breaks, mends, position) in [
        (
            "UPDATE events SET detail = 'other' WHERE id = 3",
            "UPDATE events SET detail = 'openid read write' WHERE id = 3",
            3,
        ),
        ("UPDATE events SET at = at - 1 WHERE id = 4", "UPDATE events SET at = at + 1 WHERE id = 4", 4),
        ("UPDATE events SET subject = NULL WHERE id = 1", "", 1),
    ] {
        let sql = |text: &'static str| {
            let file = file.clone();
            move || Connection::open(file).and_then(|store| store.execute_batch(text)).expect("the store is written")
        };
        world = world.restart_after(sql(breaks)).await;
        let broken = verified(&world).await.broken.expect("it is broken");
        assert_eq!(broken.event, position, "{breaks}: {broken:?}");
        if !mends.is_empty() {
            world = world.restart_after(sql(mends)).await;
            assert_eq!(verified(&world).await.broken, None, "{mends}");
        }
    }
}

/// A row in the middle, and the newest one.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_event_is_missed() {
    for (removed, position) in [(3, 3), (6, 6)] {
        let scratch = Scratch::new("chain");
        let file = scratch.path().join("regrant.db");
        let world = World::on_sqlite(&file).await;
        for _ in 0..5 {
            let _ = world.first("phone").await;
        }
        let sql = format!("DELETE FROM events WHERE id = {removed}");
        let world = world
            .restart_after(|| Connection::open(&file).and_then(|store| store.execute_batch(&sql)).expect("written"))
            .await;
        assert_eq!(verified(&world).await.broken.map(|broken| broken.event), Some(position));
    }
}

/// What retention removes leaves a chain that is whole.
#[tokio::test(flavor = "multi_thread")]
async fn retention_breaks_no_chain() {
    let config = format!("[events]\nkept = \"1d\"\n{}", sim::wire::CONFIG);
    let world = World::with(&config).await;
    for _ in 0..3 {
        let _ = world.first("phone").await;
    }
    world.advance(Duration::from_secs(2 * 86_400));
    let _ = world.first("phone").await;
    regrant_server::sweep::pass(&world.app, Duration::ZERO).await.expect("a sweep");
    let report = verified(&world).await;
    assert_eq!((report.broken.clone(), report.removed_up_to), (None, 4), "the user and three grants: {report:?}");
    assert_eq!(report.verified, report.newest - 4);
}
