//! An honest client of a cluster: one token, one request at a time, at whichever node; and a memory for what it was told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;

use super::{Report, Tally};
use crate::process::{Dice, Holder, pause};
use crate::wire::{Http, PASSWORD, Reply, USER, text};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// A client that was turned away so often without an answer has lost its session.
const TRIES: usize = 2_000;

/// The nodes of the moment: a killed one has another port when it is back.
#[derive(Debug, Default)]
pub(super) struct Nodes(Mutex<Vec<Http>>);

impl Nodes {
    pub(super) fn set(&self, node: usize, http: Http) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if node < nodes.len() {
            nodes[node] = http;
        } else {
            nodes.push(http);
        }
    }

    /// Whether there is nobody but a balancer.
    fn is_one(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() == 1
    }

    fn one(&self, dice: &mut Dice) -> Http {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes[dice.below(nodes.len())].clone()
    }
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    number: u64,
    holder: Holder,
    dice: Dice,
    token: String,
    /// The key of the request that was not answered: it is sent again, and not another.
    unanswered: Option<String>,
    /// Which successor it was told of, for each token.
    successors: HashMap<String, String>,
    heard: Report,
}

impl Client {
    /// Gets a grant.
    pub(super) async fn connect(number: u64, holder: Holder, nodes: &Nodes, mut dice: Dice) -> Self {
        let token = log_in(holder, nodes, &mut dice).await;
        let (unanswered, successors, heard) = (None, HashMap::new(), Report::default());
        Self { number, holder, dice, token, unanswered, successors, heard }
    }

    /// Refreshes until it is over, and once more then, at nodes that stay.
    pub(super) async fn work(mut self, nodes: Arc<Nodes>, is_over: Arc<AtomicBool>, tally: Arc<Tally>) -> Report {
        let mut left = TRIES;
        loop {
            let was_over = is_over.load(Ordering::SeqCst);
            let before = self.heard.acknowledged + self.heard.reused;
            if !self.ask(&nodes, &tally).await {
                return self.heard;
            }
            let was_told = self.heard.acknowledged + self.heard.reused > before;
            if was_told {
                left = TRIES;
                if was_over && self.unanswered.is_none() {
                    return self.heard;
                }
                if !was_over && self.dice.one_in(200) && !self.revoke(&nodes).await {
                    return self.heard;
                }
            }
            left -= 1;
            if left == 0 {
                self.lost("was never answered");
                return self.heard;
            }
        }
    }

    fn lost(&mut self, what: &str) {
        self.heard.sessions_lost += 1;
        self.heard.troubles.push(format!("client {} ({:?}) {what}", self.number, self.holder));
    }

    /// One refresh at one node. False if the session is lost.
    async fn ask(&mut self, nodes: &Nodes, tally: &Tally) -> bool {
        let key = self.unanswered.clone().unwrap_or_else(|| format!("k{:016x}", self.dice.next()));
        let presented = self.token.clone();
        let node = nodes.one(&mut self.dice);
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", presented.as_str())];
        let sent = tokio::time::timeout(PATIENCE, send(&node, self.holder, &parameters, &key)).await;
        let Ok(Ok(reply)) = sent else {
            self.heard.interrupted += 1;
            self.unanswered = Some(key);
            pause(Duration::from_millis(20)).await;
            return true;
        };
        match reply.status.as_u16() {
            200 => self.hear(presented, text(&reply.json(), "refresh_token"), tally),
            503 => {
                self.heard.busy += 1;
                if !reply.headers.contains_key("retry-after") {
                    self.heard.troubles.push(format!("client {} heard 503 without Retry-After", self.number));
                    self.heard.rude += 1;
                }
                self.unanswered = Some(key);
                pause(Duration::from_millis(50)).await;
            }
            // The balancer's own words: nobody has answered.
            502 | 504 if nodes.is_one() => {
                self.heard.interrupted += 1;
                self.unanswered = Some(key);
                pause(Duration::from_millis(20)).await;
            }
            status => {
                self.lost(&format!("presented its last token and heard {status} {}", reply.text()));
                return false;
            }
        }
        true
    }

    /// Hist1: at most one successor of each token.
    fn hear(&mut self, presented: String, successor: String, tally: &Tally) {
        self.heard.retried += u64::from(self.unanswered.take().is_some());
        tally.answered();
        if successor == presented {
            self.heard.reused += 1;
            return;
        }
        self.heard.acknowledged += 1;
        if self.successors.insert(presented, successor.clone()).is_some_and(|before| before != successor) {
            self.heard.forks += 1;
        }
        self.token = successor;
    }

    /// Hist3: what one node has revoked, no other one takes, from the answer on. Then the client gets another grant.
    async fn revoke(&mut self, nodes: &Nodes) -> bool {
        let node = nodes.one(&mut self.dice);
        let token = self.token.clone();
        let parameters = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
        let sent = tokio::time::timeout(PATIENCE, post(&node, "/oauth2/revoke", self.holder, &parameters, "")).await;
        if !matches!(&sent, Ok(Ok(reply)) if reply.status.as_u16() == 200) {
            // Nobody knows whether it is revoked: a grant that is no longer looked at.
            self.token = log_in(self.holder, nodes, &mut self.dice).await;
            self.successors.clear();
            return true;
        }
        self.heard.revoked += 1;
        for _ in 0..3 {
            let node = nodes.one(&mut self.dice);
            let parameters = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            let sent = tokio::time::timeout(PATIENCE, send(&node, self.holder, &parameters, "")).await;
            if let Ok(Ok(reply)) = sent
                && reply.status.as_u16() == 200
            {
                self.heard.revived += 1;
                self.heard.troubles.push(format!("client {} was served after its revocation", self.number));
            }
        }
        self.token = log_in(self.holder, nodes, &mut self.dice).await;
        self.successors.clear();
        true
    }
}

/// Until somebody answers.
async fn log_in(holder: Holder, nodes: &Nodes, dice: &mut Dice) -> String {
    loop {
        let node = nodes.one(dice);
        let parameters = [("grant_type", "password"), ("username", USER), ("password", PASSWORD)];
        let sent = tokio::time::timeout(PATIENCE, send(&node, holder, &parameters, "")).await;
        match sent {
            Ok(Ok(reply)) if reply.status.as_u16() == 200 => return text(&reply.json(), "refresh_token"),
            _ => pause(Duration::from_millis(50)).await,
        }
    }
}

async fn send(http: &Http, holder: Holder, parameters: &[(&str, &str)], key: &str) -> Result<Reply, String> {
    post(http, "/oauth2/token", holder, parameters, key).await
}

async fn post(
    http: &Http,
    path: &str,
    holder: Holder,
    parameters: &[(&str, &str)],
    key: &str,
) -> Result<Reply, String> {
    let (parameters, headers) = holder.request(parameters, key);
    let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    let body = Body::from(regrant_server::form::write(&parameters));
    http.try_send(Method::POST, path, &headers, body).await
}
