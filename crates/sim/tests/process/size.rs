//! Constant size (law L5).

use regrant_core::redeem::Issued;
use regrant_store::{Record, User};
use sim::process::{Home, Scratch};
use sim::size::{fill, held, refresh_all};
use sim::startup;

/// What the journal takes in the file, once, whatever the number of refreshes: 384 KiB.
const JOURNAL: u64 = 384 * 1024;

/// Law L5: a grant that was refreshed takes no more than 400 bytes of the tables, with its terms and all indices. What is told of how it
/// was made is as much as half of it again, and goes when the time of events is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_takes_at_most_four_hundred_bytes() {
    const GRANTS: u64 = 10_000;
    let scratch = Scratch::new("bytes");
    let home = Home::make(scratch.path());
    let inside = home.open_inside();
    let (keys, mut tokens) = (inside.app.engine.keys(), Vec::new());
    // Ten grants each.
    let subject = |number: u64| format!("usr_{:022}", number % (GRANTS / 10));
    let now = inside.app.engine.now();
    let user = |number| User {
        subject: subject(number),
        name: format!("user-{number}"),
        password: String::new(),
        disabled_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
        attributes: "{}".to_owned(),
    };
    let users = (0..GRANTS / 10).map(|number| Record::AddUser(user(number))).collect();
    inside.app.engine.commit(users).await.expect("the users are added");
    let show = |made: Issued| tokens.push(made.token.and_then(|token| token.text(&keys)).expect("a token"));
    startup::make(&inside, "phone", GRANTS, subject, show).await;
    inside.close(&home.store()).await;
    let _ = refresh_all(&home, &tokens, 1).await;
    let (lasting, events) = held(&home.store());
    println!("{} bytes a grant, and {} of its events", lasting / GRANTS, events / GRANTS);
    assert!(lasting <= 400 * GRANTS, "{lasting} bytes");
    assert!(events <= 200 * GRANTS, "{events} bytes of events");
}

/// Law L5: 10^4 refreshes of 100 grants leave 100 rows and the room of the journal, and 10^5 leave no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_refreshes_leave_a_hundred_rows_and_the_same_file() {
    for times in [100, 1000] {
        let scratch = Scratch::new("size");
        let home = Home::make(scratch.path());
        let (before, tokens) = fill(&home, 100).await;
        let after = refresh_all(&home, &tokens, times).await;
        println!("before {before:?}\nafter  {after:?}");
        assert_eq!((after.rows["grants"], after.rows["grant_terms"]), (100, 100));
        assert_eq!(after.rows, before.rows, "a refresh leaves no row anywhere");
        assert!(after.bytes <= before.bytes + JOURNAL, "{} and then {} bytes", before.bytes, after.bytes);
    }
}
