//! Revocation at size and under fire: one row that ends a million grants, and refreshes that race a revocation (checks T33, T40, law L9).

mod cost;
mod epochs;
mod race;

use std::sync::Arc;

use regrant_core::issue::Granted;
use regrant_core::redeem::{self, Consent};
use regrant_core::{Client, Resources, Scope, Timestamp};
use regrant_store::{Record, User};

use crate::process::Inside;

pub use cost::{refreshes, revoke_others};
pub use epochs::{EpochReport, Size, epochs};
pub use race::{RaceReport, race};

/// Users in one commit.
const USERS: u64 = 1000;

/// The subject of a made user.
fn subject(number: u64) -> String {
    format!("usr_{number:022}")
}

/// Adds so many users who cannot log in, and need not.
pub(crate) async fn add_users(inside: &Inside, count: u64) {
    let user = |number: u64| User {
        subject: subject(number),
        name: format!("user{number}"),
        password: String::new(),
        disabled_at: None,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        version: 1,
        attributes: "{}".to_owned(),
    };
    let mut made = 0;
    while made < count {
        let next = count.min(made + USERS);
        let records = (made..next).map(|number| Record::AddUser(user(number))).collect();
        inside.app.engine.commit(records).await.expect("the store answers");
        made = next;
    }
}

/// A grant of this user, through engine and core; its first refresh token.
pub(crate) async fn grant(inside: &Inside, client: &Arc<Client>, number: u64) -> String {
    let (engine, client) = (inside.app.engine.clone(), Arc::clone(client));
    let epoch = engine.epoch();
    let made = engine.create("", move |id, moment| {
        let granted = Granted { scope: Scope::parse("read").expect("a scope"), resources: Resources::default() };
        let consent = Consent {
            subject: subject(number),
            granted,
            authenticated_at: moment.now,
            session: None,
            epoch,
            openid: None,
        };
        redeem::grant_at_once(id, &client, consent, moment.keys, moment.now, &moment.entropy)
    });
    let issued = made.await.expect("the store answers").expect("granted");
    issued.token.and_then(|token| token.text(&inside.app.engine.keys())).expect("a refresh token")
}
