//! Size: however often grants are refreshed, the store stays as large as it was (law L5).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use regrant_core::token::RefreshToken;
use regrant_core::{Client, Resources, refresh};
use regrant_server::engine::Engine;
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::process::{Home, Inside};

/// What the store holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Size {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Bytes of the database file.
    pub bytes: u64,
}

/// Measures a closed store.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn measure(store: &Path) -> Size {
    let connection = Connection::open(store).expect("a store");
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(sql).expect("a statement");
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).expect("tables").flatten().collect();
    let count = |table: &String| {
        let sql = format!("SELECT count(*) FROM \"{table}\"");
        let count = connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a count");
        (table.clone(), count.cast_unsigned())
    };
    Size { rows: tables.iter().map(count).collect(), bytes: std::fs::metadata(store).expect("a file").len() }
}

/// Bytes of a closed store that hold something: of what lasts, and of events, each with their indices. Events are history: the sweep removes
/// them when their time is over, and a grant that lives on has none any more.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn held(store: &Path) -> (u64, u64) {
    let connection = Connection::open(store).expect("a store");
    let sum = |which: &str| {
        let sql = format!("SELECT ifnull(sum(pgsize), 0) FROM dbstat WHERE name {which} LIKE 'events%'");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a sum").cast_unsigned()
    };
    (sum("NOT"), sum(""))
}

/// Makes `grants` grants of a plain public client, refreshes each once, and returns the size and the tokens.
///
/// # Panics
/// If the server fails.
pub async fn fill(home: &Home, grants: usize) -> (Size, Vec<String>) {
    let inside = home.open_inside();
    inside.add_user().await;
    let mut tokens = Vec::new();
    for _ in 0..grants {
        let first = inside.first("phone").await;
        tokens.push(inside.next("phone", &first).await);
    }
    inside.close(&home.store()).await;
    (measure(&home.store()), tokens)
}

/// Refreshes each grant `times` times, all grants at once, through the engine and the core, and returns the size.
///
/// # Panics
/// If any refresh is refused.
pub async fn refresh_all(home: &Home, tokens: &[String], times: u32) -> Size {
    let inside = home.open_inside();
    let client = inside.app.client("phone").expect("the client");
    let mut tasks = JoinSet::new();
    for token in tokens {
        let token = RefreshToken::open(token, &inside.app.engine.keys()).expect("our token");
        tasks.spawn(refresh_one(inside.app.engine.clone(), Arc::clone(&client), token, times));
    }
    let steps = tasks.join_all().await;
    assert!(steps.iter().all(|steps| *steps == times), "{steps:?}");
    close(inside, home).await;
    measure(&home.store())
}

async fn close(inside: Inside, home: &Home) {
    inside.close(&home.store()).await;
}

async fn refresh_one(engine: Engine, client: Arc<Client>, mut token: RefreshToken, times: u32) -> u32 {
    let first = token.generation;
    for _ in 0..times {
        let (client, presented) = (Arc::clone(&client), token.clone());
        let refreshed = engine
            .decide(token.grant, "", move |row, moment| {
                let resources = Resources::default();
                let request = refresh::Request {
                    token: &presented,
                    scope: None,
                    resources: &resources,
                    idempotency_key: None,
                    holder_key: None,
                };
                refresh::decide(row, &request, &client, moment.keys, moment.now, &moment.entropy)
            })
            .await;
        token = refreshed.expect("the store answers").expect("an honest refresh").token;
    }
    token.generation - first
}
