//! A refresh and a revocation of the same grant at the same time, again and again: whatever the refresh answered, nothing of it works once
//! the revocation was answered (check T40, law L9: no success begins after an acknowledged revocation).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use regrant_core::Client;
use regrant_server::admin::blacklist::Selection;
use regrant_server::admin::import::Effect;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{add_users, grant, subject};
use crate::process::{Home, Inside};

/// Races at the same time: they share batches, so that the two meet in one, too.
const AT_ONCE: u64 = 512;

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct RaceReport {
    /// How many races there were.
    pub races: u64,
    /// In how many the refresh was answered 200.
    pub refreshed_first: u64,
    /// In how many it was refused.
    pub revoked_first: u64,
    /// Refresh tokens that worked after the revocation was answered.
    pub refresh_works: u64,
    /// Access tokens that were vouched for after it.
    pub access_works: u64,
    /// Revocations that were not answered as done.
    pub not_revoked: u64,
}

impl RaceReport {
    /// Whether nothing worked that must not.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.refresh_works == 0
            && self.access_works == 0
            && self.not_revoked == 0
            && self.races == self.refreshed_first + self.revoked_first
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "races": self.races,
            "refreshed_first": self.refreshed_first,
            "revoked_first": self.revoked_first,
            "refresh_tokens_that_worked_afterwards": self.refresh_works,
            "access_tokens_that_worked_afterwards": self.access_works,
            "not_revoked": self.not_revoked,
            "holds": self.holds(),
        })
    }
}

impl fmt::Display for RaceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "races                      {}", self.races)?;
        writeln!(f, "the refresh came first in  {}", self.refreshed_first)?;
        writeln!(f, "the revocation came first  {}", self.revoked_first)?;
        writeln!(f, "refresh tokens that worked afterwards  {}", self.refresh_works)?;
        writeln!(f, "access tokens that worked afterwards   {}", self.access_works)?;
        writeln!(f, "revocations not done       {}", self.not_revoked)
    }
}

/// Races so often, on a store on disk.
///
/// # Panics
/// If the server fails.
pub async fn race(directory: &Path, races: u64, mut progress: impl FnMut(u64)) -> RaceReport {
    let home = Home::make(directory);
    let inside = Arc::new(home.open_inside());
    add_users(&inside, races).await;
    let client = |id| inside.app.client(id).expect("the client is declared");
    let (phone, opaque) = (client("phone"), client("opaque"));
    let mut report = RaceReport::default();
    let mut running = JoinSet::new();
    for number in 0..races {
        let (inside, client) = (Arc::clone(&inside), Arc::clone(if number % 2 == 0 { &phone } else { &opaque }));
        running.spawn(async move { one(&inside, &client, number).await });
        if running.len() as u64 >= AT_ONCE {
            take(&mut report, running.join_next().await);
            progress(report.races);
        }
    }
    while let Some(done) = running.join_next().await {
        take(&mut report, Some(done));
    }
    report
}

fn take(report: &mut RaceReport, done: Option<Result<RaceReport, tokio::task::JoinError>>) {
    let Some(done) = done else { return };
    let one = done.expect("no panic");
    report.races += 1;
    report.refreshed_first += one.refreshed_first;
    report.revoked_first += one.revoked_first;
    report.refresh_works += one.refresh_works;
    report.access_works += one.access_works;
    report.not_revoked += one.not_revoked;
}

async fn one(inside: &Arc<Inside>, client: &Arc<Client>, number: u64) -> RaceReport {
    let token = grant(inside, client, number).await;
    let id = client.id.as_str();
    let refresh = {
        let (inside, id, token) = (Arc::clone(inside), id.to_owned(), token.clone());
        async move { inside.refresh(&id, &token).await }
    };
    let revoke = {
        let (inside, id, token) = (Arc::clone(inside), id.to_owned(), token.clone());
        async move { revoked(&inside, &id, &token, number).await }
    };
    // Whoever is asked first has no advantage that lasts: both wait in the same queue.
    let (reply, done) = if number % 4 < 2 {
        let (refresh, revoke) = (tokio::spawn(refresh), tokio::spawn(revoke));
        (refresh.await.expect("no panic"), revoke.await.expect("no panic"))
    } else {
        let (revoke, refresh) = (tokio::spawn(revoke), tokio::spawn(refresh));
        let done = revoke.await.expect("no panic");
        (refresh.await.expect("no panic"), done)
    };
    let mut report = RaceReport { not_revoked: u64::from(!done), ..RaceReport::default() };
    let works = async |token: &str| u64::from(inside.refresh(id, token).await.status.as_u16() == 200);
    if reply.status.as_u16() == 200 {
        report.refreshed_first = 1;
        let answer = reply.json();
        let (access, next) = (crate::wire::text(&answer, "access_token"), crate::wire::text(&answer, "refresh_token"));
        let seen = inside.post("/oauth2/introspect", "api", &[("token", &access)]).await.json();
        report.access_works += u64::from(seen["active"] != false);
        report.refresh_works += works(&next).await;
    } else if reply.status.as_u16() == 400 {
        report.revoked_first = 1;
    }
    report.refresh_works += works(&token).await;
    report
}

/// Revokes in one of the ways there are; whether that was answered as done.
async fn revoked(inside: &Inside, client: &str, token: &str, number: u64) -> bool {
    let admin = inside.app.admin();
    match (number / 4) % 3 {
        0 => inside.post("/oauth2/revoke", client, &[("token", token)]).await.status.as_u16() == 200,
        1 => {
            let tokens = vec![regrant_server::admin::Password::new(token.to_owned().into())];
            admin.revoke_tokens(tokens, "raced").await.is_ok_and(|told| told[0].outcome == "revoked")
        }
        _ => {
            let selection = Selection { user: Some(subject(number)), ..Selection::default() };
            admin.revoke_selected(&selection, Effect::Write, "raced").await.is_ok()
        }
    }
}
