//! What only the server's own side can see, and do: the row behind a token, what an operator is told of it, a token that is
//! genuine and was never issued.

use regrant_core::token::{Code, RefreshToken};
use regrant_core::{Grant, GrantId};
use regrant_server::admin::{EventView, GrantView};
use regrant_store::Record;

use super::World;

impl World {
    /// A refresh token of ours, taken apart.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn open(&self, token: &str) -> RefreshToken {
        RefreshToken::open(token, &self.app.engine.keys()).expect("a refresh token of ours")
    }

    /// The grant that a refresh token or a code belongs to.
    ///
    /// # Panics
    /// If it is neither.
    #[must_use]
    pub fn grant_of(&self, token: &str) -> GrantId {
        let keys = self.app.engine.keys();
        let refresh = RefreshToken::open(token, &keys).map(|token| token.grant);
        refresh.or_else(|| Code::open(token, &keys).map(|code| code.grant)).expect("a token or code of ours")
    }

    /// The row behind a refresh token or a code, every column of it: two equal rows mean that nothing happened in between.
    ///
    /// # Panics
    /// If it is not there, or not intact.
    pub async fn row(&self, token: &str) -> Grant {
        self.app.engine.load(self.grant_of(token)).await.expect("the store answers").expect("an intact row").grant
    }

    /// What an operator sees of it: the grant, and its events, newest first.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn seen(&self, token: &str) -> (GrantView, Vec<EventView>) {
        let id = self.grant_of(token).display(&self.app.engine.keys());
        self.app.admin().grant(&id).await.expect("the operator sees the grant")
    }

    /// How many events of this kind the grant has.
    pub async fn events(&self, token: &str, kind: &str) -> usize {
        self.seen(token).await.1.iter().filter(|event| event.kind == kind).count()
    }

    /// How many rows of grants there are.
    ///
    /// # Panics
    /// If the store does not answer.
    pub async fn grants(&self) -> usize {
        self.app.admin().grants(&Default::default(), 0, 10_000).await.expect("the store answers").0.len()
    }

    /// Writes a row as the server would, with a good MAC: for states that take too long to reach.
    ///
    /// # Panics
    /// If the store does not take it.
    pub async fn put_row(&self, change: impl FnOnce(&mut Grant), token: &str) {
        let mut grant = self.row(token).await;
        let expected = Some(grant.version);
        change(&mut grant);
        grant.version += 1;
        let mac = grant.mac(&self.app.engine.keys());
        let record = Record::Grant { expected, grant, mac, events: Vec::new() };
        self.app.engine.commit(vec![record]).await.expect("the store takes it");
    }

    /// A genuine token like this one, but for what is changed: what a leaked tag key could mint.
    ///
    /// # Panics
    /// If `token` is not ours.
    #[must_use]
    pub fn forge(&self, token: &str, change: impl FnOnce(&mut RefreshToken)) -> String {
        let mut token = self.open(token);
        change(&mut token);
        token.text(&self.app.engine.keys()).expect("the tag key is there")
    }
}
