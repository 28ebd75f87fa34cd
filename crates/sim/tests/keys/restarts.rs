//! Keys and crashes: a step is durable before it has effect, so a crash leaves the keys before it or those after it, and nothing was ever
//! minted under a key that is not there afterwards. And stores of the first schema.

use std::path::{Path, PathBuf};

use regrant_server::admin::KeyTurn::{Announced, AtOnce};
use regrant_store::Cause;
use rusqlite::{Connection, params};
use sim::exploit::halves::{Cold, Hot};
use sim::process::Scratch;
use sim::wire::{World, log, text};

use super::support::{
    DAY, GRACE, is_active, keys, kid, machine_token, next, published, secs, statuses, sweep, tend, tokens, world,
};

const KINDS: [&str; 4] = ["tag", "seed", "sealing", "signing"];

/// The usual world on the embedded database.
async fn on(scratch: &Scratch) -> World {
    log::listen();
    World::on_sqlite(&store(scratch)).await
}

fn store(scratch: &Scratch) -> PathBuf {
    scratch.path().join("regrant.db")
}

/// Restarted in every state of every kind, on the embedded database: sessions, retries and access tokens go on.
#[tokio::test]
async fn a_restart_in_every_state_loses_nothing() {
    let scratch = Scratch::new("keys-states");
    let mut world = on(&scratch).await;
    let mut live = world.first("phone").await;
    for step in 0..7 {
        match step {
            0 => _ = world.app.admin().rotate_key("signing", None, Announced).await.expect("next"),
            1 => world.advance(secs(DAY)),
            2 => {
                for kind in ["tag", "seed", "sealing"] {
                    let _ = world.app.admin().rotate_key(kind, None, AtOnce).await.expect("verify");
                }
            }
            3 => world.advance(secs(3600 + GRACE)),
            4 => {
                for kind in KINDS {
                    let current =
                        keys(&world, kind).await.into_iter().find(|key| key.status == "current").expect("one");
                    let _ = world.app.admin().compromise_key(kind, &current.id.to_string()).await.expect("compromised");
                }
            }
            5 => world.advance(secs(100 * DAY / 4)),
            _ => _ = sweep(&world).await,
        }
        let _ = tend(&world).await;
        let (access, refresh) = tokens(world.refresh("phone", &live).await);
        let (opaque, machine) = (text(&world.grant("opaque").await, "access_token"), machine_token(&world).await);
        // As the one with which a server begins.
        let _ = sweep(&world).await;
        let mut before = Vec::new();
        for kind in KINDS {
            before.extend(keys(&world, kind).await);
        }
        let kids = published(&world).await;
        world = world.restart().await;
        let mut after = Vec::new();
        for kind in KINDS {
            after.extend(keys(&world, kind).await);
        }
        let shape = |keys: &[regrant_server::admin::KeyView]| -> Vec<_> {
            keys.iter()
                .map(|key| (key.kind.clone(), key.id, key.status.clone(), key.kid.clone(), key.since.clone()))
                .collect()
        };
        assert_eq!(shape(&after), shape(&before), "after step {step}");
        assert_eq!(published(&world).await, kids);
        for token in [&access, &opaque, &machine] {
            assert!(is_active(&world, token).await, "after step {step}");
        }
        assert_eq!(next(world.refresh("phone", &live).await), refresh, "the retry, after step {step}");
        live = refresh;
    }
}

/// A crash before the commit: nothing of the step is there, and the next round takes it.
#[tokio::test]
async fn a_step_that_is_not_durable_has_not_happened() {
    let world = world().await;
    let token = world.first("opaque").await;
    let before = (published(&world).await, statuses(&world, "tag").await, statuses(&world, "sealing").await);
    world.watch.refuse(Cause::Full, u64::MAX);
    for kind in KINDS {
        assert!(world.app.admin().rotate_key(kind, None, AtOnce).await.is_err());
        assert!(world.app.admin().compromise_key(kind, "1").await.is_err());
    }
    world.advance(secs(400 * DAY));
    assert!(regrant_server::rotation::tend(&world.app).await.is_err());
    world.watch.heal();
    assert_eq!((published(&world).await, statuses(&world, "tag").await, statuses(&world, "sealing").await), before);
    super::support::refused(&world.refresh("opaque", &token).await, 400, "invalid_grant", "absolute_expired");
    assert_eq!(world.open(&world.first("opaque").await).tag_key, 1);
    assert!(tend(&world).await >= 4, "seed, sealing, and the successors of both signing keys");
}

/// A crash after the commit, before anybody heard of it: the running server mints under the old keys until it knows, and both it and a new
/// process then use the new ones. What was minted in between is vouched for by either.
#[tokio::test]
async fn a_step_that_is_durable_and_unknown_is_found() {
    for restarts in [false, true] {
        for kind in KINDS {
            for compromised in [false, true] {
                let world = world().await;
                let (phone, opaque) = (world.first("phone").await, world.first("opaque").await);
                world.watch.lose_the_answer();
                let admin = world.app.admin();
                let lost = match compromised {
                    true => admin.compromise_key(kind, "1").await,
                    false => admin.rotate_key(kind, None, AtOnce).await,
                };
                assert!(lost.is_err(), "the operator hears that it failed");
                assert_eq!(statuses(&world, kind).await, ["current"], "and nothing has changed yet");
                let (_, phone) = tokens(world.refresh("phone", &phone).await);
                let (access, opaque) = tokens(world.refresh("opaque", &opaque).await);
                let world = if restarts { world.restart().await } else { world };
                let _ = tend(&world).await;
                let old = if compromised { "compromised" } else { "verify" };
                assert_eq!(statuses(&world, kind).await, [old, "current"], "{kind}");
                let dead = compromised && kind == "sealing";
                assert_eq!(is_active(&world, &access).await, !dead, "{kind}");
                let _ = next(world.refresh("phone", &phone).await);
                let _ = next(world.refresh("opaque", &opaque).await);
            }
        }
    }
}

/// A crash between `next` and `current`: each is a commit of its own, and each is there afterwards. A key that was announced while no
/// server ran is published for as long as anybody may hold the old key set before it signs.
#[tokio::test]
async fn a_crash_between_the_steps_of_a_signing_key_leaves_the_one_before() {
    let world = world().await;
    let first = kid(&machine_token(&world).await);
    let _ = world.app.admin().rotate_key("signing", None, Announced).await.expect("published");
    let kids = published(&world).await;
    let world = world.restart().await;
    assert_eq!(published(&world).await, kids);
    assert_eq!(kid(&machine_token(&world).await), first);
    // The server was down when its time came.
    world.advance(secs(DAY + 5));
    let world = world.restart().await;
    let _ = tend(&world).await;
    assert_eq!(kid(&machine_token(&world).await), first, "it was not published all this time");
    world.advance(secs(299));
    let _ = tend(&world).await;
    assert_eq!(kid(&machine_token(&world).await), first);
    world.advance(secs(1));
    let _ = tend(&world).await;
    assert_ne!(kid(&machine_token(&world).await), first);
    let world = world.restart().await;
    assert_ne!(kid(&machine_token(&world).await), first);
    assert_eq!(published(&world).await, kids);
}

/// A restored backup has no seed keys: their numbers are known, their bytes are not, and another number is used. Pending retries are
/// refused, and are no replay.
#[tokio::test]
async fn a_store_without_its_seed_keys_uses_a_new_number() {
    let scratch = Scratch::new("keys-backup");
    let world = on(&scratch).await;
    let first = world.first("web-single").await;
    let second = next(world.refresh("web-single", &first).await);
    let path = store(&scratch);
    let world = world
        .restart_after(move || {
            let sql = Connection::open(&path).expect("the file");
            sql.execute_batch("DELETE FROM seed_keys").expect("as in a backup");
        })
        .await;
    super::support::refused(&world.refresh("web-single", &first).await, 400, "invalid_grant", "seed_key_gone");
    let third = next(world.refresh("web-single", &second).await);
    assert_eq!(world.row(&third).await.seed_key, 2);
    let _ = sweep(&world).await;
    assert_eq!(statuses(&world, "seed").await, ["gone", "current"]);
}

/// A store that the first schema's program wrote: refresh tokens, retries, codes, JWTs and opaque tokens go on, and its keys live on from
/// where they stood.
#[tokio::test]
async fn a_store_of_the_first_schema_goes_on() {
    let scratch = Scratch::new("keys-first-schema");
    let world = on(&scratch).await;
    let first = world.first("phone").await;
    let (access, second) = tokens(world.refresh("phone", &first).await);
    let opaque = text(&world.grant("opaque").await, "access_token");
    let kids = published(&world).await;
    let path = store(&scratch);
    let world = world.restart_after(move || as_the_first_schema(&path)).await;
    assert_eq!(published(&world).await, kids);
    assert!(is_active(&world, &access).await && is_active(&world, &opaque).await);
    assert_eq!(next(world.refresh("phone", &first).await), second, "the retry needs the old seed key");
    for kind in KINDS {
        assert_eq!(statuses(&world, kind).await, ["current"], "{kind}");
    }
    world.advance(secs(89 * DAY));
    assert_eq!(tend(&world).await, 4, "seed, sealing, and the successors of both signing keys");
    assert_eq!(statuses(&world, "signing").await, ["current", "next"]);
}

/// Rows of grants, each value in its column. The first schema had none for epoch, session and ID tokens.
fn grants_as_columns(sql: &Connection) {
    let mut statement = sql
        .prepare("SELECT number, client, subject, hot, terms FROM newer.grants JOIN newer.grant_terms USING (number)")
        .expect("grants");
    let mut rows = statement.query([]).expect("grants");
    while let Some(row) = rows.next().expect("a grant") {
        let (number, client, subject) = (row.get::<_, i64>(0), row.get::<_, String>(1), row.get::<_, String>(2));
        let (number, client, subject) =
            (number.expect("a number"), client.expect("a client"), subject.expect("a user"));
        let bytes = |column| row.get::<_, Vec<u8>>(column).expect("bytes");
        let hot = Hot::read(&mut bytes(3).as_slice()).expect("it is there");
        let cold = Cold::read(&bytes(4));
        assert_eq!((cold.epoch, cold.session), (0, None), "nothing that the first schema could not say");
        sql.prepare(&format!("INSERT INTO main.grants VALUES (?{})", ", ?".repeat(21)))
            .and_then(|mut insert| {
                insert.execute(params![
                    number,
                    hot.random.cast_signed(),
                    hot.version.0.cast_signed(),
                    hot.version.1.cast_signed(),
                    hot.generation,
                    hot.current,
                    hot.ratchet,
                    hot.keys.0,
                    hot.keys.1,
                    hot.keys.2,
                    hot.times[0],
                    hot.times[1],
                    hot.times[2],
                    hot.retries.0,
                    hot.retries.1,
                    hot.times[3],
                    hot.times[4],
                    hot.ended.map(|(at, _)| at),
                    hot.ended.map(|(_, reason)| reason),
                    hot.redeemed_at,
                    hot.mac.0,
                    hot.mac.1,
                ])
            })
            .expect("a hot row");
        sql.prepare(&format!("INSERT INTO main.grant_terms VALUES (?{})", ", ?".repeat(14)))
            .and_then(|mut insert| {
                insert.execute(params![
                    number,
                    client,
                    subject,
                    cold.texts.0,
                    cold.texts.1,
                    cold.flags & 3,
                    cold.key,
                    i64::from(cold.flags & 4 != 0),
                    i64::from(cold.flags & 8 != 0),
                    cold.times[0],
                    cold.times[1],
                    cold.code[0],
                    cold.code[1],
                    cold.code[2],
                    cold.code_expires_at,
                ])
            })
            .expect("a cold row");
    }
}

/// Writes everything into a file of the schema of 0001.sql, as its program left it: without an anchor.
fn as_the_first_schema(path: &Path) {
    let newer = path.with_extension("newer");
    std::fs::rename(path, &newer).expect("the file");
    let sql = Connection::open(path).expect("another file");
    sql.execute_batch(include_str!("../../../store/src/sqlite/migrations/0001.sql")).expect("the first schema");
    sql.execute("ATTACH ?1 AS newer", [newer.to_str().expect("a name")]).expect("the file of before");
    for table in ["clients", "users", "sessions", "consents", "denied_access", "events", "meta"] {
        let mut statement = sql.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("columns");
        let columns: Vec<String> = statement.query_map([], |row| row.get(0)).expect("columns").flatten().collect();
        let columns = columns.join(", ");
        let copy = format!("INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}");
        sql.execute_batch(&copy).unwrap_or_else(|error| panic!("{copy}: {error}"));
    }
    grants_as_columns(&sql);
    sql.execute_batch(
        "INSERT INTO main.seed_keys SELECT k.id, '', b.wrapped, k.created_at FROM newer.keys k JOIN newer.seed_keys b USING (id)
             WHERE k.kind = 'seed';
         INSERT INTO main.signing_keys SELECT id, algorithm, wrapped, created_at FROM newer.keys WHERE kind = 'signing'
             AND algorithm = 'ES256';
         PRAGMA main.application_id = 1380405844; PRAGMA main.user_version = 1;",
    )
    .expect("its keys");
    std::fs::remove_file(path.with_extension("db.anchor")).expect("the anchor of before");
}
