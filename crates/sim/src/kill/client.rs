//! An honest client: one token, at most one request under way, and a memory for what it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use tokio::time::Instant;

use super::Report;
use crate::process::{Dice, Holder, pause};
use crate::wire::{Http, PASSWORD, Reply, USER, text};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client and its history.
#[derive(Debug)]
pub(crate) struct Client {
    number: u64,
    holder: Holder,
    dice: Dice,
    token: String,
    /// The key of the request that was not answered: it is sent again, and not another.
    unanswered: Option<String>,
    /// Since when it waits for its next token: over all repetitions of the request.
    waits: Option<Instant>,
    /// The token before, and the key of the request that replaced it.
    previous: Option<(String, String)>,
    is_lost: bool,
    /// What it was told.
    pub(crate) heard: Report,
}

/// Which token is presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Present {
    /// The last one that it was told of.
    Last,
    /// The one before, whose answer it has already: asked twice, the answer must be the same.
    Previous,
}

impl Client {
    /// Gets a grant.
    pub(crate) async fn connect(number: u64, holder: Holder, http: &Http, dice: Dice) -> Self {
        let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        let reply = send(http, holder, &parameters, "").await.expect("the server answers").expect_status(200);
        let token = text(&reply.json(), "refresh_token");
        let heard = Report::default();
        Self { number, holder, dice, token, unanswered: None, waits: None, previous: None, is_lost: false, heard }
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The last token that it was told of.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Notes what went wrong.
    pub(crate) fn trouble(&mut self, what: &str) {
        self.heard.troubles.push(format!("client {} ({:?}) {what}", self.number, self.holder));
    }

    /// Refreshes until the server is gone.
    pub(crate) async fn work(mut self, http: Http, is_over: Arc<AtomicBool>) -> Self {
        if self.unanswered.is_none() && self.previous.is_some() && self.dice.one_in(3) {
            let before = self.heard.repeated;
            if !self.ask(&http, Present::Previous).await {
                return self;
            }
            self.heard.repeated_after_kill += self.heard.repeated - before;
        }
        while !self.is_lost && !is_over.load(Ordering::SeqCst) {
            let again = self.unanswered.is_none() && self.previous.is_some() && self.dice.one_in(16);
            let present = if again { Present::Previous } else { Present::Last };
            if !self.ask(&http, present).await {
                break;
            }
        }
        self
    }

    /// Goes on, with a server that stays: the retry if there is one, and then a refresh. What is not answered in time is asked again, on a
    /// machine that stood still, say: the row must have no step that the client has not heard of.
    pub(crate) async fn settle(&mut self, http: &Http) {
        for _ in 0..50 {
            let told = self.heard.acknowledged + self.heard.reused;
            let was_retry = self.unanswered.is_some();
            let is_answered = self.ask(http, Present::Last).await;
            if self.is_lost {
                return;
            }
            if is_answered && !was_retry && self.heard.acknowledged + self.heard.reused > told {
                return;
            }
        }
        self.trouble("was never answered");
        self.heard.sessions_lost += 1;
    }

    /// One request. False if there was no answer.
    async fn ask(&mut self, http: &Http, present: Present) -> bool {
        let (token, key) = match (present, &self.previous) {
            (Present::Previous, Some((token, key))) => (token.clone(), key.clone()),
            (Present::Previous | Present::Last, _) => {
                let key = self.unanswered.clone().unwrap_or_else(|| format!("k{:016x}", self.dice.next()));
                (self.token.clone(), key)
            }
        };
        if present == Present::Last {
            self.waits.get_or_insert_with(Instant::now);
        }
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let sent = tokio::time::timeout(PATIENCE, send(http, self.holder, &parameters, &key)).await;
        let Ok(Ok(reply)) = sent else {
            self.heard.interrupted += 1;
            if present == Present::Last {
                self.unanswered = Some(key);
            }
            return false;
        };
        let answer = (reply.status.as_u16() == 200).then(|| text(&reply.json(), "refresh_token"));
        match answer {
            Some(successor) => self.hear(present, key, successor),
            None if reply.status.as_u16() == 503 => {
                self.heard.busy += 1;
                // The request may have been carried out: its key is kept for the retry.
                if present == Present::Last {
                    self.unanswered = Some(key);
                }
                pause(Duration::from_millis(20)).await;
            }
            None => {
                self.is_lost = true;
                self.heard.sessions_lost += 1;
                self.trouble(&format!("presented {present:?} and heard {} {}", reply.status, reply.text()));
            }
        }
        true
    }

    /// A 200.
    fn hear(&mut self, present: Present, key: String, successor: String) {
        if present == Present::Previous {
            self.heard.repeated += 1;
            if successor != self.token {
                self.heard.forks += 1;
                self.trouble("was told of two successors of one token");
            }
            return;
        }
        let waited = self.waits.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.heard.longest_wait = self.heard.longest_wait.max(waited);
        let was_retry = self.unanswered.take().is_some();
        self.heard.retried += u64::from(was_retry);
        let is_same = successor == self.token;
        if is_same != (self.holder == Holder::Reusable) {
            self.heard.forks += 1;
            self.trouble("was told of a successor that its rotation mode does not have");
        }
        if is_same {
            self.heard.reused += 1;
        } else {
            self.heard.acknowledged += 1;
            self.previous = Some((std::mem::replace(&mut self.token, successor), key));
        }
    }
}

async fn send(http: &Http, holder: Holder, parameters: &[(&str, &str)], key: &str) -> Result<Reply, String> {
    let (parameters, headers) = holder.request(parameters, key);
    let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    let body = Body::from(regrant_server::form::write(&parameters));
    http.try_send(Method::POST, "/oauth2/token", &headers, body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(holder: Holder) -> Client {
        Client {
            number: 1,
            holder,
            dice: Dice::new(1),
            token: "one".to_owned(),
            unanswered: None,
            waits: None,
            previous: None,
            is_lost: false,
            heard: Report::default(),
        }
    }

    #[test]
    fn a_second_successor_of_one_token_is_a_fork() {
        let mut client = client(Holder::Plain);
        client.hear(Present::Last, String::new(), "two".to_owned());
        client.hear(Present::Previous, String::new(), "two".to_owned());
        assert_eq!(client.heard.forks, 0);
        client.hear(Present::Previous, String::new(), "another".to_owned());
        assert_eq!((client.heard.acknowledged, client.heard.forks), (1, 1));
    }

    #[test]
    fn a_reusable_token_that_changes_is_a_fork() {
        let mut client = client(Holder::Reusable);
        client.hear(Present::Last, String::new(), "one".to_owned());
        assert_eq!((client.heard.reused, client.heard.forks), (1, 0));
        client.hear(Present::Last, String::new(), "two".to_owned());
        assert_eq!(client.heard.forks, 1);
    }
}
