//! RFC 9110 section 13: a write on condition of what was read is made if and only if it still is so.

use axum::http::Method;
use regrant_server::admin::{AdminError, Command};
use regrant_server::config::ClientDefinition;
use serde_json::{Value, json};
use sim::wire::{PASSWORD, text};

use super::support::{Ops, definition, problem};

async fn tag(ops: &Ops, path: &str) -> String {
    let reply = ops.get(path).await.expect_status(200);
    let tag = reply.header("etag");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 20, "{tag:?}");
    tag
}

async fn with_client_and_user() -> Ops {
    let ops = Ops::new().await;
    let _ = ops.post("/clients", &definition("new")).await.expect_status(201);
    let _ = ops.post("/users", &json!({"name": "bob", "password": PASSWORD})).await.expect_status(201);
    ops
}

/// Section 13.1.1: "If-Match is most often used with state-changing methods […] to prevent accidental overwrites". Every write
/// to a named thing takes it, and each of them makes another version.
#[tokio::test]
async fn a_write_to_what_has_changed_since_is_refused() {
    let ops = with_client_and_user().await;
    let patch = json!({"attributes": {"email": "b@example.com"}});
    let password = json!({"password": "another battery"});
    let off = json!({"enabled": false});
    let writes: [(&str, Method, &str, Option<Value>); 7] = [
        ("/clients/new", Method::PUT, "/clients/new", Some(definition("new"))),
        ("/clients/new", Method::POST, "/clients/new/secret", Some(json!({}))),
        ("/users/bob", Method::PATCH, "/users/bob", Some(patch)),
        ("/users/bob", Method::PUT, "/users/bob/password", Some(password)),
        ("/users/bob", Method::PUT, "/users/bob/enabled", Some(off)),
        ("/users/bob", Method::DELETE, "/users/bob", None),
        ("/clients/new", Method::DELETE, "/clients/new", None),
    ];
    for (thing, method, path, body) in writes {
        let before = tag(&ops, thing).await;
        let send = async |tag: &str| ops.send(method.clone(), path, body.as_ref(), &[("if-match", tag)]).await;
        for stale in ["\"0123\"", "W/\"0123\"", &format!("W/{before}")] {
            problem(&send(stale).await, 412, "changed");
        }
        assert_eq!(tag(&ops, thing).await, before, "a refused write changes nothing");
        let done = send(&format!("\"0123\", {before}")).await;
        assert!(done.status.is_success(), "{path}: {}", done.text());
        if method == Method::DELETE {
            continue;
        }
        // A definition that is put as it was is no other.
        if method != Method::PUT || path != thing {
            assert_ne!(tag(&ops, thing).await, before, "{path}");
            problem(&send(&before).await, 412, "changed");
        }
        if !done.header("etag").is_empty() {
            assert_eq!(done.header("etag"), tag(&ops, thing).await);
        }
    }
}

/// Section 13.1.2: `If-None-Match: *` creates, and never replaces; `If-Match: *` replaces, and never creates.
#[tokio::test]
async fn creation_and_replacement_can_be_told_apart() {
    let ops = Ops::new().await;
    let put = async |headers: &[(&str, &str)]| ops.send(Method::PUT, "/clients/new", Some(&with_hash()), headers).await;
    problem(&put(&[("if-match", "*")]).await, 412, "changed");
    let created = put(&[("if-none-match", "*")]).await.expect_status(201);
    assert_eq!(created.header("location"), "/admin/v1/clients/new");
    problem(&put(&[("if-none-match", "*")]).await, 412, "changed");
    let _ = put(&[("if-match", "*")]).await.expect_status(200);
    problem(&put(&[("if-match", "*"), ("if-none-match", "*")]).await, 400, "malformed");
    for bad in ["0123", "\"a", "*, \"a\"", "", &"\"a\",".repeat(17)] {
        problem(&put(&[("if-match", bad)]).await, 400, "malformed");
    }
    problem(&put(&[("if-none-match", "\"0123\"")]).await, 400, "malformed");
    // A condition that nobody looks at would be taken for one that is met.
    problem(&ops.send(Method::POST, "/reload", None, &[("if-match", "*")]).await, 400, "malformed");
}

fn with_hash() -> Value {
    let mut definition = definition("new");
    definition["secret_hash"] = json!(format!("sha256:{}", "ab".repeat(32)));
    definition
}

/// Section 13.1.2: whoever has read it already is told so, and no more.
#[tokio::test]
async fn what_was_read_already_is_not_sent_again() {
    let ops = with_client_and_user().await;
    for path in ["/clients/new", "/clients/web", "/users/bob"] {
        let known = tag(&ops, path).await;
        let again = ops.send(Method::GET, path, None, &[("if-none-match", &known)]).await;
        assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, known.clone()));
        // A proxy that compresses weakens it: to a reader it is the same, to a writer it is none.
        let weak = format!("\"0123\", W/{known}");
        let again = ops.send(Method::GET, path, None, &[("if-none-match", &weak)]).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (304, known.clone()));
        let other = ops.send(Method::GET, path, None, &[("if-none-match", "\"0123\"")]).await;
        assert_eq!((other.status.as_u16(), other.header("etag")), (200, known));
    }
}

/// A command has the same condition: of two operators who change a client at once, the second does not undo what the first one did.
#[tokio::test]
async fn a_command_undoes_nothing_that_was_done_meanwhile() {
    let ops = with_client_and_user().await;
    let admin = ops.world.app.admin();
    let read = admin.client_detail("new").expect("it is there");
    let put = async |name: &str| {
        let definition = ClientDefinition { name: Some(name.to_owned()), ..read.definition.clone() };
        admin.run(Command::PutClient { definition: Box::new(definition), version: Some(read.version.clone()) }).await
    };
    put("first").await.expect("it is as it was read");
    assert!(matches!(put("second").await, Err(AdminError::Changed(_))));
    let now = admin.client_detail("new").expect("it is there");
    assert_eq!(now.definition.name.as_deref(), Some("first"));
}

/// Sixty-four write at once on condition of the same version: one of them does, round after round.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_one_wins_each_version() {
    let ops = std::sync::Arc::new(with_client_and_user().await);
    for (path, method) in [("/clients/new", Method::PUT), ("/users/bob", Method::PATCH)] {
        for round in 0..3 {
            let known = tag(&ops, path).await;
            let writers: Vec<_> = (0..64)
                .map(|writer| {
                    let (ops, known, method) = (std::sync::Arc::clone(&ops), known.clone(), method.clone());
                    let mut body = json!({"attributes": {"nickname": format!("{round} {writer}")}});
                    if method == Method::PUT {
                        body = definition("new");
                        body["name"] = json!(format!("{round} {writer}"));
                    }
                    tokio::spawn(async move { ops.send(method, path, Some(&body), &[("if-match", &known)]).await })
                })
                .collect();
            let mut won = Vec::new();
            for writer in writers {
                let reply = writer.await.expect("a writer");
                match reply.status.as_u16() {
                    200 => won.push(reply),
                    _ => drop(problem(&reply, 412, "changed")),
                }
            }
            assert_eq!(won.len(), 1, "{path}");
            let now = ops.get(path).await.expect_status(200);
            assert_eq!(won[0].json(), now.json(), "what is there is what the winner was told");
        }
    }
    assert!(text(&ops.newest().await, "detail").starts_with("user bob set (nickname)"));
}
