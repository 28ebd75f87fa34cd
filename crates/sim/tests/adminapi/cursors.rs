//! Pages: each entry once, in order; and a cursor that is good for one listing and one query alone.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};
use sim::wire::{World, text};

use super::support::{Ops, problem, token};

async fn with_many() -> Ops {
    let ops = Ops::new().await;
    let users: Vec<Value> = (0..25).map(|number| json!({"username": format!("user {number:02} ä")})).collect();
    let _ = ops.post("/user-imports", &json!({ "users": users })).await.expect_status(200);
    for _ in 0..7 {
        let _ = ops.world.first("phone").await;
    }
    ops
}

/// All entries of a listing, page by page, by the link or by the member: both say the same.
async fn pages(ops: &Ops, path: &str, limit: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut next = Some(format!("{path}{joint}limit={limit}"));
    while let Some(page) = next {
        let reply = ops.get(&page).await.expect_status(200);
        let told = reply.json();
        let items = told["items"].as_array().expect("items").clone();
        assert!(items.len() <= limit);
        found.extend(items);
        assert!(found.len() < 10_000, "{path} has no end");
        let link = reply.header("link");
        assert_eq!(link.is_empty(), told["next"].is_null());
        next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).map(str::to_owned);
        if let (Some(next), Some(cursor)) = (&next, told["next"].as_str()) {
            assert!(next.ends_with(&format!("limit={limit}&cursor={cursor}")), "{next}");
        }
    }
    found
}

#[tokio::test]
async fn pages_hold_each_entry_once_and_in_order() {
    let ops = with_many().await;
    for path in [
        "/clients",
        "/users",
        "/user-exports",
        "/grants",
        "/grants?client=phone&user=alice",
        "/events",
        "/events?kind=grant_created",
        "/keys",
    ] {
        let whole = ops.get(path).await.expect_status(200).json()["items"].as_array().expect("items").clone();
        assert!((4..100).contains(&whole.len()), "{path}: {}", whole.len());
        for limit in [1, 3, 100] {
            assert_eq!(pages(&ops, path, limit).await, whole, "{path} by {limit}");
        }
        let once: BTreeSet<String> = whole.iter().map(Value::to_string).collect();
        assert_eq!(once.len(), whole.len(), "{path}");
    }
    for (limit, status) in [("0", 400), ("1001", 400), ("-1", 400), ("x", 400), ("1000", 200), ("", 200)] {
        let _ = ops.get(&format!("/users?limit={limit}")).await.expect_status(status);
    }
}

/// Check I12: a cursor that was forged, cut, of another listing, another query, another caller or another server is 400, and the
/// store never hears of it.
#[tokio::test]
async fn a_cursor_is_good_where_it_was_given_and_nowhere_else() {
    let ops = with_many().await;
    let cursor = async |path: &str| text(&ops.get(path).await.expect_status(200).json(), "next");
    let users = cursor("/users?limit=5").await;
    let grants = cursor("/grants?client=phone&limit=2").await;
    let other = with_many().await;
    let foreign = text(&other.get("/users?limit=5").await.expect_status(200).json(), "next");
    // Another deployment: its keys are derived from its own identity.
    assert_ne!(users, foreign);
    let mut forged = users.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let longer = format!("{users}A");
    let asked = [
        ("/users?cursor=", forged.as_str()),
        ("/users?cursor=", &longer),
        ("/users?cursor=", &users[..users.len() - 2]),
        ("/users?cursor=", "rgp_"),
        ("/users?cursor=", "alice"),
        ("/users?cursor=", "'%20OR%201=1--"),
        ("/users?cursor=", &foreign),
        ("/users?cursor=", &grants),
        ("/clients?cursor=", &users),
        ("/user-exports?cursor=", &users),
        ("/user-exports?hashes=included&cursor=", &users),
        ("/grants?cursor=", &grants),
        ("/grants?client=web&cursor=", &grants),
        ("/grants?client=phone&user=alice&cursor=", &grants),
    ];
    for (path, cursor) in asked {
        let before = ops.world.watch.reads();
        problem(&ops.get(&format!("{path}{cursor}")).await, 400, "bad-cursor");
        // What is asked on the way in: whether the access token was denied, or a wide revocation covers it.
        assert!(ops.world.watch.reads() - before <= 2, "{path}{cursor} reached the store");
    }
    let second = format!("Bearer {}", token(&ops.world, "ops-opaque").await);
    let path = format!("/admin/v1/users?cursor={users}");
    let reply =
        ops.world.http().send(Method::GET, &path, &[("authorization", &second)], axum::body::Body::empty()).await;
    problem(&reply, 400, "bad-cursor");
    // The order of parameters and another limit make no other query.
    let _ = ops.get(&format!("/grants?limit=3&cursor={grants}&client=phone")).await.expect_status(200);
    assert_eq!(Box::pin(restarted(ops.world, &users)).await, 200, "a cursor outlives a restart");
}

async fn restarted(world: World, cursor: &str) -> u16 {
    let world = world.restart().await;
    let bearer = format!("Bearer {}", token(&world, "ops").await);
    world.http().get(&format!("/admin/v1/users?cursor={cursor}"), &[("authorization", &bearer)]).await.status.as_u16()
}
