//! From a file to a database that many nodes share: nobody is logged out.

use std::path::Path;

use regrant_store::{
    Answer, MoveError, OpenError, Postgres, Question, Record, Sqlite, SqliteOptions, Store, move_store,
};
use sim::pg;
use sim::process::{Home, Scratch, Server};
use sim::wire::{CONFIG, Http, PASSWORD, USER, text};

use crate::contract::server;
use crate::races::{grant, write};

async fn refresh(http: &Http, token: &str) -> (u16, String) {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "phone")];
    let reply = http.post("/oauth2/token", &parameters, &[]).await;
    let status = reply.status.as_u16();
    (status, if status == 200 { text(&reply.json(), "refresh_token") } else { reply.text() })
}

/// Old tokens refresh on the new store, a lost answer is given again there, and a spent token is still spent.
#[tokio::test]
async fn tokens_of_the_file_refresh_on_the_database() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let home = Home::make_with(&scratch.path().join("home"), CONFIG);
    home.add_user();
    let before = Server::start(&home);
    let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD), ("client_id", "phone")];
    let first =
        text(&before.http().post("/oauth2/token", &parameters, &[]).await.expect_status(200).json(), "refresh_token");
    let (_, second) = refresh(&before.http(), &first).await;
    let (_, third) = refresh(&before.http(), &second).await;
    before.stop();

    let address = server().database().options().address;
    let store = format!("sqlite:{}", home.store().display());
    let moved = home.command(&["--json", "copy", "--from", &store, "--to", &address]).output().expect("regrant runs");
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let told: serde_json::Value = serde_json::from_slice(&moved.stdout).expect("JSON");
    assert_eq!((told["rows"]["grants"].as_u64(), told["compared"].as_u64()), (Some(1), Some(1)), "{told}");

    home.store_at(&address);
    let after = Server::start(&home);
    assert_eq!(refresh(&after.http(), &second).await, (200, third.clone()), "the answer before is given again");
    let (status, fourth) = refresh(&after.http(), &third).await;
    assert_eq!(status, 200, "{fourth}");
    let (status, _) = refresh(&after.http(), &first).await;
    assert_ne!(status, 200, "a spent token stays spent");
    after.stop();
}

fn file_with(path: &Path, grants: u64) {
    let mut store = Sqlite::open(path, &SqliteOptions::default()).expect("a store");
    let deployment = regrant_core::keys::DeploymentId([3; 16]);
    let rows: Vec<Record> = (1..=grants).map(|number| write(None, &grant(number))).collect();
    let first = [Record::Initialise { deployment, root_check: [4; 16] }];
    store.commit(&first, regrant_core::Timestamp::from_millis(5)).expect("written");
    store.commit(&rows, regrant_core::Timestamp::from_millis(5)).expect("written");
}

/// Broken off in the middle, no node opens the database; begun again, it goes on where it was.
#[test]
fn a_move_that_was_broken_off_goes_on() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let (path, database) = (scratch.path().join("regrant.db"), server().database());
    file_with(&path, 2_500);
    let broken = std::panic::catch_unwind(|| {
        let _ = move_store(&path, &database.options(), |table, done, _| {
            assert!(table != "grants" || done < 2_000, "the machine goes down");
        });
    });
    assert!(broken.is_err());
    let refused = Postgres::open(&database.options());
    assert!(matches!(&refused, Err(OpenError::Server { problem, .. }) if problem.contains("moved")), "{refused:?}");
    let mut begun = Vec::new();
    let moved = move_store(&path, &database.options(), |table, done, _| {
        if table == "grants" {
            begun.push(done);
        }
    });
    assert_eq!(moved.expect("it goes on").compared, 2_500);
    assert_eq!(begun.first(), Some(&2_000), "what was there was not sent again: {begun:?}");
    let mut store = database.node();
    let Ok(Answer::Deployment(Some(found))) = store.ask(&Question::Deployment) else { panic!("no deployment") };
    assert_eq!(found.id.0, [3; 16]);
}

/// Another deployment's database is left alone.
#[test]
fn a_database_in_use_is_no_place_to_move_to() {
    if !pg::is_there() {
        return;
    }
    let scratch = Scratch::new("moving");
    let (path, database) = (scratch.path().join("regrant.db"), server().database());
    file_with(&path, 1);
    let other = regrant_core::keys::DeploymentId([9; 16]);
    let record = Record::Initialise { deployment: other, root_check: [0; 16] };
    database.node().commit(&[record], regrant_core::Timestamp::from_millis(1)).expect("written");
    let refused = move_store(&path, &database.options(), |_, _, _| {});
    assert!(matches!(refused, Err(MoveError::InUse(_))), "{refused:?}");
}
