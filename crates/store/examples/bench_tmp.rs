//! throw-away
use std::time::Instant;
use regrant_core::{Grant, Timestamp};
use regrant_store::{Sqlite, SqliteOptions, Store, Synchronous};
#[path = "../tests/rows/mod.rs"]
mod rows;
fn main() {
    let keys = rows::keys();
    for sync in [Synchronous::Full, Synchronous::Off] {
        let path = std::path::PathBuf::from(format!("/work/main/target/tmp/bench-{}.db", std::process::id()));
        for e in ["", "-wal", "-shm", ".lock"] { let _ = std::fs::remove_file(format!("{}{e}", path.display())); }
        let mut store = Sqlite::open(&path, &SqliteOptions { synchronous: sync, create: true }).unwrap();
        const N: u64 = 100_000;
        for c in (1..=N).collect::<Vec<_>>().chunks(1000) {
            let r: Vec<_> = c.iter().map(|n| rows::write(None, &rows::grant(*n), &keys)).collect();
            store.commit(&r, Timestamp::EPOCH).unwrap();
        }
        let mut versions = vec![1u64; N as usize + 1];
        let mut x = 12345u64; let mut now = 0;
        for batch in [1usize, 64, 256] {
            let start = Instant::now(); let mut done = 0; let mut commits = 0u64;
            while start.elapsed().as_millis() < 3000 {
                let mut ids = vec![];
                while ids.len() < batch { x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); let n = (x >> 33) % N + 1; if !ids.contains(&n) { ids.push(n); } }
                let gids: Vec<_> = ids.iter().map(|n| rows::grant(*n).id).collect();
                let loaded = store.load(&gids).unwrap();
                let r: Vec<_> = loaded.into_iter().map(|l| { let g = l.unwrap().grant; let v = g.version; versions[g.id.number as usize] = v + 1; rows::write(Some(v), &Grant { version: v + 1, generation: g.generation + 1, ..g }, &keys) }).collect();
                now += 1;
                store.commit(&r, Timestamp::from_millis(now)).unwrap();
                done += batch; commits += 1;
            }
            let s = start.elapsed().as_secs_f64();
            println!("{sync:?} batch {batch}: {:.0} commits/s, {:.0} refreshes/s (load+mac+commit)", commits as f64 / s, done as f64 / s);
        }
        drop(store);
        for e in ["", "-wal", "-shm", ".lock"] { let _ = std::fs::remove_file(format!("{}{e}", path.display())); }
    }
}
