//! All orders in which the parts of a server can meet: the commit queue, the swap of keys, the memory of what is good once.
//!
//! Requests and the writer share a queue, a pair of locks and a few counters; between two touches of these each computes alone. So an
//! interleaving is an order of touches: a question is put into the queue, the writer takes a batch, the keys are replaced, an answer is
//! picked up. Here all of them are walked through, on the real code, in one thread. What this cannot show is an order that only a machine
//! of weak memory has: what is shared is behind locks and channels of the standard library, and no code here is `unsafe`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use regrant_core::Timestamp;
use regrant_server::Clock;
use regrant_server::admin::KeyTurn;
use serde_json::{Value, json};

use super::acts;
use super::node::{Done, Node, Up, What};
use super::parties::Class;
use super::template::Template;
use crate::wire::assertion::{TYPE, claims, key, sign};
use crate::wire::device::DEVICE_CODE;
use crate::wire::{Reply, START};

/// One touch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Touch {
    /// The question of this number is put into the queue of a node.
    Ask(usize, usize),
    /// A node's writer takes one job.
    One(usize),
    /// A node's writer takes all.
    All(usize),
    /// The keys of a node are rotated.
    Swap(usize),
    /// Answers are picked up.
    Hear,
}

/// What was walked through.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Name, and how many orders.
    pub walked: Vec<(&'static str, usize)>,
    /// What was wrong, and in which order.
    pub wrong: Vec<String>,
}

impl Orders {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let orders: usize = self.walked.iter().map(|(_, orders)| orders).sum();
        json!({"orders": orders, "walked": self.walked, "wrong": self.wrong, "holds": self.wrong.is_empty()})
    }
}

impl fmt::Display for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.walked.iter().try_for_each(|(name, orders)| writeln!(f, "{name:<44}{orders} orders"))?;
        writeln!(f, "wrong                                       {}", self.wrong.len())?;
        self.wrong.iter().take(5).try_for_each(|wrong| writeln!(f, "  {wrong}"))
    }
}

/// Walks through all of them.
#[must_use]
pub fn all() -> Orders {
    use Touch::{All, Ask, Hear, One, Swap};
    let template = Template::with_robot();
    let mut orders = Orders::default();
    let mut walk = |name, nodes, touches: &[Touch], kind: Asked| {
        let all = permutations(touches);
        orders.walked.push((name, all.len()));
        for order in all {
            if let Err(what) = Walk::new(&template, nodes, kind).through(&order) {
                orders.wrong.push(format!("{name}: {what} in {order:?}"));
            }
        }
    };
    let commits = [Ask(0, 0), Ask(1, 1), Ask(2, 0), One(0), One(0), All(1), Hear];
    walk("commit queue: three ask two nodes for one step", 2, &commits, Asked::Refresh);
    let swaps = [Ask(0, 0), Ask(1, 0), Swap(0), One(0), One(0), All(0)];
    walk("keys: swapped under two refreshes", 1, &swaps, Asked::Refresh);
    let jti = [Ask(0, 0), Ask(1, 1), Ask(2, 0), One(0), One(0), All(1)];
    walk("jti: one assertion, three times, two nodes", 2, &jti, Asked::Assertion);
    walk("device code: three ask two nodes", 2, &jti, Asked::Device);
    orders
}

/// All different orders.
fn permutations(touches: &[Touch]) -> BTreeSet<Vec<Touch>> {
    let Some((first, rest)) = touches.split_first() else { return BTreeSet::from([Vec::new()]) };
    let mut all = BTreeSet::new();
    for order in permutations(rest) {
        for at in 0..=order.len() {
            let mut longer = order.clone();
            longer.insert(at, *first);
            all.insert(longer);
        }
    }
    all
}

/// What all of them ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// The same refresh.
    Refresh,
    /// The same assertion.
    Assertion,
    /// The tokens for the same device code.
    Device,
}

struct Walk {
    nodes: Vec<Node>,
    asked: Asked,
    form: Vec<(&'static str, String)>,
    answers: Vec<Reply>,
    sent: usize,
}

impl Walk {
    fn new(template: &Template, count: usize, asked: Asked) -> Self {
        let (memory, clock) = (template.memory(), Clock::manual(Timestamp::from_millis(START)));
        let mut nodes = Vec::new();
        for _ in 0..count {
            let mut node = Node::new(clock.clone());
            node.start_on(&template.config, Box::new(memory.clone()));
            nodes.push(node);
        }
        let mut walk = Self { nodes, asked, form: Vec::new(), answers: Vec::new(), sent: 0 };
        walk.form = match asked {
            Asked::Refresh => {
                let first = walk.first();
                vec![
                    ("grant_type", "refresh_token".to_owned()),
                    ("refresh_token", first),
                    ("client_id", "phone".to_owned()),
                ]
            }
            Asked::Assertion => {
                let issuer = template.config.issuer.clone().unwrap_or_default();
                let signed = sign(key(), &claims("robot", &issuer, START / 1000));
                vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_assertion_type", TYPE.to_owned()),
                    ("client_assertion", signed),
                ]
            }
            Asked::Device => {
                let code = walk.allowed();
                vec![("grant_type", DEVICE_CODE.to_owned()), ("device_code", code), ("client_id", "tv".to_owned())]
            }
        };
        walk
    }

    /// The first token of a grant.
    fn first(&mut self) -> String {
        let up = self.up(0);
        let work = acts::log_in(up, Class::Plain, 0);
        up.begin(What::Login(0), 0, 0, work);
        let _ = up.poll();
        up.step(usize::MAX);
        let code = up.poll().into_iter().find_map(|(.., done)| match done {
            Done::Code(code) => code,
            _ => None,
        });
        let code = code.expect("a code");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", crate::wire::CALLBACK),
            ("code_verifier", crate::wire::VERIFIER),
            ("client_id", "phone"),
        ];
        let work = up.send(request(&regrant_server::form::write(&form)));
        up.begin(What::Question(0), 0, 0, work);
        let _ = up.poll();
        up.step(usize::MAX);
        let reply = up.poll().into_iter().find_map(|(.., done)| match done {
            Done::Reply(reply) => Some(reply),
            _ => None,
        });
        word(&reply.expect("an answer"), "refresh_token").expect("a token")
    }

    /// A device code that its user has allowed.
    fn allowed(&mut self) -> String {
        let form = regrant_server::form::write(&[("client_id", "tv"), ("scope", "read")]);
        let up = self.up(0);
        let work = up.send(request_to("/oauth2/device_authorization", &form));
        up.begin(What::Question(0), 0, 0, work);
        let code = self.through_all().into_iter().find_map(|done| match done {
            Done::Reply(reply) => word(&reply, "device_code"),
            _ => None,
        });
        let code = code.expect("a device code");
        let up = self.up(0);
        let work = acts::answer_device(up, &code, regrant_core::device::Reply::Allow, 0);
        up.begin(What::End(0), 0, 0, work);
        assert!(self.through_all().into_iter().any(|done| matches!(done, Done::Acted(true))), "it is allowed");
        code
    }

    /// Everything that is under way at the first node, to its end.
    fn through_all(&mut self) -> Vec<Done> {
        let up = self.up(0);
        let mut all = Vec::new();
        while !up.is_idle() {
            all.extend(up.poll().into_iter().map(|(.., done)| done));
            up.step(usize::MAX);
        }
        all
    }

    fn up(&mut self, node: usize) -> &mut Up {
        self.nodes[node].up.as_mut().expect("a node that runs")
    }

    fn touch(&mut self, touch: Touch) {
        match touch {
            Touch::Ask(_, node) => {
                let form: Vec<(&str, &str)> = self.form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let body = regrant_server::form::write(&form);
                let up = self.up(node);
                let work = up.send(request(&body));
                up.begin(What::Question(0), 0, 0, work);
                self.sent += 1;
                self.hear(node);
            }
            Touch::One(node) => drop(self.up(node).step(1)),
            Touch::All(node) => drop(self.up(node).step(usize::MAX)),
            Touch::Swap(node) => {
                let up = self.up(node);
                let app = Arc::clone(&up.app);
                let work = Box::pin(async move {
                    let mut done = true;
                    for kind in ["tag", "seed", "mac"] {
                        done &= app.admin().rotate_key(kind, None, KeyTurn::AtOnce).await.is_ok();
                    }
                    Done::Acted(done)
                });
                up.begin(What::Tend, 0, 0, work);
                self.hear(node);
            }
            Touch::Hear => (0..self.nodes.len()).for_each(|node| self.hear(node)),
        }
    }

    fn hear(&mut self, node: usize) {
        for (.., done) in self.up(node).poll() {
            if let Done::Reply(reply) = done {
                self.answers.push(reply);
            }
        }
    }

    fn through(mut self, order: &[Touch]) -> Result<(), String> {
        order.iter().for_each(|touch| self.touch(*touch));
        // Then everything comes to its end.
        for _ in 0..16 {
            for node in 0..self.nodes.len() {
                self.hear(node);
                self.up(node).step(usize::MAX);
                self.hear(node);
            }
        }
        if self.answers.len() != self.sent {
            return Err(format!("{} questions, {} answers", self.sent, self.answers.len()));
        }
        let granted: Vec<&Reply> = self.answers.iter().filter(|reply| reply.status.as_u16() == 200).collect();
        match self.asked {
            Asked::Refresh => {
                let successors: BTreeSet<Option<String>> =
                    granted.iter().map(|reply| word(reply, "refresh_token").map(|token| seed(&token))).collect();
                let are_all = granted.len() == self.sent && successors.len() == 1 && !successors.contains(&None);
                if are_all {
                    Ok(())
                } else {
                    Err(format!("{} of {} heard {} successors", granted.len(), self.sent, successors.len()))
                }
            }
            Asked::Assertion | Asked::Device if granted.len() == 1 => Ok(()),
            Asked::Assertion => Err(format!("one assertion was good {} times", granted.len())),
            Asked::Device => Err(format!("one device code was good {} times", granted.len())),
        }
    }
}

/// What a token is, apart from the key that tags it.
fn seed(token: &str) -> String {
    crate::exploit::format::Token::read(token)
        .map_or_else(String::new, |token| format!("{}{:?}", token.generation, token.seed))
}

fn request(body: &str) -> Request<Body> {
    request_to("/oauth2/token", body)
}

fn request_to(path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body.to_owned())).expect("a request")
}

fn word(reply: &Reply, name: &str) -> Option<String> {
    reply.json().get(name).and_then(Value::as_str).map(str::to_owned)
}
