//! Many stored grants, and one row that ends all those of a client; then one that ends those of a user.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regrant_server::admin::blacklist::Selection;
use regrant_server::admin::import::Effect;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{add_users, grant, subject};
use crate::process::{Home, Inside};

/// Grants made at the same time: as many as one batch of the writer takes.
const AT_ONCE: u64 = 1024;
/// Every so many grants, one is of another client, which is not revoked.
const OTHERS: u64 = 10;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Grants that the first revocation ends; a tenth more belong to another client.
    pub grants: u64,
    /// Whose they are.
    pub users: u64,
    /// How many of the revoked, and of the others, are refreshed.
    pub asked: usize,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct EpochReport {
    size: Size,
    /// From the call to its answer.
    pub answered: Duration,
    /// The same for the revocation of one user.
    pub user_answered: Duration,
    /// Of the revoked, refused for this reason.
    pub refused: usize,
    /// Of the others, served.
    pub served: usize,
    /// Of the revoked user's others, refused; the rest of the others served again.
    pub user_right: usize,
    /// How many of both were asked the second time.
    pub asked_again: usize,
}

impl EpochReport {
    /// Whether everything was as it must be. Time is told, and judged by whoever reads it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.refused == self.size.asked && self.served == self.size.asked && self.user_right == self.asked_again
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "grants": self.size.grants,
            "users": self.size.users,
            "answered_ms": self.answered.as_secs_f64() * 1000.0,
            "user_answered_ms": self.user_answered.as_secs_f64() * 1000.0,
            "revoked_asked": self.size.asked,
            "revoked_refused": self.refused,
            "others_served": self.served,
            "after_user_right": self.user_right,
            "after_user_asked": self.asked_again,
            "holds": self.holds(),
        })
    }
}

impl fmt::Display for EpochReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "grants revoked by one row  {} of {} users", self.size.grants, self.size.users)?;
        writeln!(f, "answered in                {:.2} ms", self.answered.as_secs_f64() * 1000.0)?;
        writeln!(f, "one user: answered in      {:.2} ms", self.user_answered.as_secs_f64() * 1000.0)?;
        writeln!(f, "refreshes of the revoked   {} of {} refused", self.refused, self.size.asked)?;
        writeln!(f, "refreshes of others        {} of {} served", self.served, self.size.asked)?;
        writeln!(f, "after the user's           {} of {} right", self.user_right, self.asked_again)
    }
}

/// Fills a store, revokes, and asks.
///
/// # Panics
/// If the server fails.
#[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
pub async fn epochs(directory: &Path, size: Size, mut progress: impl FnMut(u64)) -> EpochReport {
    let home = Home::make(directory);
    let inside = Arc::new(home.open_inside());
    add_users(&inside, size.users).await;
    let (mut revoked, mut others) = fill(&inside, size, &mut progress).await;
    revoked.truncate(size.asked);
    others.truncate(size.asked);
    let admin = inside.app.admin();
    let whole = Selection { client: Some("phone".to_owned()), ..Selection::default() };
    let begun = Instant::now();
    admin.revoke_selected(&whole, Effect::Write, "measured").await.expect("revoked");
    let answered = begun.elapsed();
    let mut refused = 0;
    for (_, token) in &revoked {
        let reply = inside.refresh("phone", token).await;
        refused += usize::from(reply.status.as_u16() == 400 && reply.json()["error"] == "invalid_grant");
    }
    let mut served = 0;
    for (_, token) in &mut others {
        let reply = inside.refresh("phone-strict", token).await;
        if reply.status.as_u16() == 200 {
            served += 1;
            *token = crate::wire::text(&reply.json(), "refresh_token");
        }
    }
    let chosen = others.first().map_or(0, |(user, _)| *user);
    let of_user = Selection { user: Some(subject(chosen)), ..Selection::default() };
    let begun = Instant::now();
    admin.revoke_selected(&of_user, Effect::Write, "measured").await.expect("revoked");
    let user_answered = begun.elapsed();
    let mut user_right = 0;
    for (user, token) in &others {
        let status = inside.refresh("phone-strict", token).await.status.as_u16();
        user_right += usize::from(status == if *user == chosen { 400 } else { 200 });
    }
    EpochReport { size, answered, user_answered, refused, served, user_right, asked_again: others.len() }
}

/// Tokens with their users.
type Sample = Vec<(u64, String)>;

/// Makes the grants; returns a sample of those of either client, spread over all.
async fn fill(inside: &Arc<Inside>, size: Size, progress: &mut impl FnMut(u64)) -> (Sample, Sample) {
    let client = |id| inside.app.client(id).expect("the client is declared");
    let (phone, strict) = (client("phone"), client("phone-strict"));
    let (mut revoked, mut others) = (Vec::new(), Vec::new());
    // One in so many is kept; of a prime distance to the users, so that the sample is of many.
    let asked = size.asked.max(1) as u64;
    let kept = |number: u64, of: u64| number % (of / asked).max(1) == 0;
    let all = size.grants + (size.grants / OTHERS).max(asked);
    let mut made = 0;
    while made < all {
        let mut tasks = JoinSet::new();
        for number in made..all.min(made + AT_ONCE) {
            let is_other = number >= size.grants;
            let (inside, user) = (Arc::clone(inside), spread(number) % size.users);
            let client = Arc::clone(if is_other { &strict } else { &phone });
            tasks.spawn(async move { (number, is_other, user, grant(&inside, &client, user).await) });
        }
        while let Some(done) = tasks.join_next().await {
            let (number, is_other, user, token) = done.expect("made");
            if is_other && kept(number - size.grants, all - size.grants) {
                others.push((user, token));
            } else if !is_other && kept(number, size.grants) {
                revoked.push((user, token));
            }
        }
        made = all.min(made + AT_ONCE);
        progress(made);
    }
    (revoked, others)
}

/// Numbers that look like chance, the same each time.
const fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
}
