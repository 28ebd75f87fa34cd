//! Failpoints: every point of an operation at which a process can end, a store can fail, or time can pass.
//!
//! The points are not written down anywhere: an operation is run once and watched, and they are what it did. Between two of them the server
//! only computes, or waits.
//!
//! ```text
//! arrived      the request is at the node, and in the writer's queue
//! before X n   the writer is about to ask the store: load, ask or commit, the n-th time
//! after X n    the store has done it, and the writer does not know yet
//! decided      the writer is done; nobody has heard the answer
//! answered     the answer is made, and on its way
//! ```
//!
//! Then, at each of them: the process ends; the store fails (at `after commit`, its answer is lost); or three seconds pass, in which the
//! same request comes to another node, too. After each the deployment is started again where it has to be, the client does what an
//! honest one does, and the laws must hold.

mod cases;
mod device;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use regrant_core::{GrantId, Timestamp};
use regrant_server::admin::KeyTurn;
use regrant_server::{Clock, Config};
use regrant_store::Memory;
use serde_json::{Value, json};

use super::acts;
use super::node::{Done, Node, What};
use super::parties::Class;
use super::points::{Pointed, Watch};
use super::template::Template;
use crate::wire::{Reply, SECRET, START, http};

pub use cases::{Case, Holder, Mode, Operation, Point, Step};

/// What all cases have shown.
#[derive(Clone, Debug, Default)]
pub struct Failpoints {
    /// How many operations.
    pub operations: usize,
    /// How many points they have together.
    pub points: usize,
    /// How many cases were run.
    pub cases: usize,
    /// In how many the fault came.
    pub came: usize,
    /// What was wrong, and in which case.
    pub wrong: Vec<(Case, String)>,
}

impl Failpoints {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let wrong: Vec<_> =
            self.wrong.iter().map(|(case, what)| json!({"case": case.to_string(), "what": what})).collect();
        json!({"operations": self.operations, "points": self.points, "cases": self.cases, "came": self.came, "wrong": wrong, "holds": self.wrong.is_empty()})
    }
}

impl fmt::Display for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "operations                {}", self.operations)?;
        writeln!(f, "points                    {}", self.points)?;
        writeln!(f, "cases                     {} ({} came)", self.cases, self.came)?;
        writeln!(f, "wrong                     {}", self.wrong.len())?;
        self.wrong.iter().try_for_each(|(case, what)| writeln!(f, "  {case}: {what}"))
    }
}

/// Finds all points and runs all cases.
#[must_use]
pub fn all() -> Failpoints {
    let template = Template::with_doors();
    let mut report = Failpoints { operations: Operation::ALL.len(), ..Failpoints::default() };
    for operation in Operation::ALL {
        let points = Bench::new(&template, operation).points();
        report.points += points.len();
        for point in points {
            for mode in Mode::ALL {
                let case = Case { operation, point: point.clone(), mode };
                let mut bench = Bench::new(&template, operation);
                let wrong = bench.run(&case);
                report.cases += 1;
                report.came += usize::from(bench.watch.has_come());
                report.wrong.extend(wrong.err().map(|what| (case, what)));
            }
        }
    }
    report
}

/// One deployment, in which the operation is about to be done.
struct Bench {
    memory: Memory,
    config: Config,
    clock: Clock,
    watch: Watch,
    node: Node,
    operation: Operation,
    class: Class,
    code: String,
    grant: Option<GrantId>,
    /// What a device polls with.
    device_code: String,
    /// The tokens so far, oldest first.
    tokens: Vec<String>,
}

impl Bench {
    fn new(template: &Template, operation: Operation) -> Self {
        let class = match operation {
            Operation::Rotate(holder) | Operation::Retry(holder) => holder.class(),
            _ => Class::Plain,
        };
        let clock = Clock::manual(Timestamp::from_millis(START));
        let mut bench = Self {
            memory: template.memory(),
            config: template.config.clone(),
            clock: clock.clone(),
            watch: Watch::default(),
            node: Node::new(clock),
            operation,
            class,
            code: String::new(),
            grant: None,
            device_code: String::new(),
            tokens: Vec::new(),
        };
        bench.start();
        bench.prepare();
        bench
    }

    fn start(&mut self) {
        self.node.stop();
        let store = Pointed { store: self.memory.clone(), watch: self.watch.clone() };
        self.node.start_on(&self.config, Box::new(store));
    }

    /// Up to the operation.
    fn prepare(&mut self) {
        if let Operation::Device(step) = self.operation {
            self.prepare_device(step);
            return;
        }
        self.code = self.log_in();
        self.grant = acts::grant_of(&self.node, &self.code);
        if self.operation == Operation::Redeem {
            return;
        }
        let first = self.post(&self.redeeming());
        self.tokens.push(token_of(&first).expect("a first token"));
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(60));
            let next = self.refresh(self.tokens.len() - 1);
            self.tokens.push(token_of(&next).expect("a next token"));
        }
        if self.class == Class::Reusable {
            self.tokens.truncate(1);
        }
        // What comes now is neither a double click nor a straggler.
        self.clock.advance(Duration::from_secs(if matches!(self.operation, Operation::Retry(_)) { 8 } else { 60 }));
    }

    fn log_in(&mut self) -> String {
        let up = self.node.up.as_mut().expect("a node that runs");
        let work = acts::log_in(up, self.class, 0);
        up.begin(What::Login(0), 0, 0, work);
        match self.finish() {
            Some(Done::Code(Some(code))) => code,
            _ => panic!("no code"),
        }
    }

    fn redeeming(&self) -> (String, String, Vec<(&'static str, String)>) {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", self.code.as_str()),
            ("redirect_uri", crate::wire::CALLBACK),
            ("code_verifier", crate::wire::VERIFIER),
        ];
        self.as_client("/oauth2/token", &form, None)
    }

    fn refreshing(&self, at: usize) -> (String, String, Vec<(&'static str, String)>) {
        let token = self.tokens.get(at).map_or("", String::as_str);
        let key = (self.class == Class::Keyed).then(|| format!("key-{at}"));
        self.as_client("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)], key)
    }

    fn as_client(
        &self,
        path: &str,
        form: &[(&str, &str)],
        key: Option<String>,
    ) -> (String, String, Vec<(&'static str, String)>) {
        let mut form = form.to_vec();
        let mut headers: Vec<(&'static str, String)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        match self.class {
            Class::Plain | Class::Keyed => form.push(("client_id", "phone")),
            Class::Secret => form.extend([("client_id", "web"), ("client_secret", SECRET)]),
            Class::Reusable => headers.push(("authorization", http::basic("steady", SECRET))),
        }
        (path.to_owned(), regrant_server::form::write(&form), headers)
    }

    fn refresh(&mut self, at: usize) -> Reply {
        let request = self.refreshing(at);
        self.post(&request)
    }

    /// Sends it, and works until it is answered.
    fn post(&mut self, (path, body, headers): &(String, String, Vec<(&'static str, String)>)) -> Reply {
        self.begin(path, body, headers, "application/x-www-form-urlencoded");
        match self.finish() {
            Some(Done::Reply(reply)) => reply,
            Some(Done::Acted(done)) => panic!("an act ({done}) in the place of an answer"),
            Some(Done::Code(_)) => panic!("a code in the place of an answer"),
            None => panic!("no answer"),
        }
    }

    fn begin(&mut self, path: &str, body: &str, headers: &[(&'static str, String)], media_type: &str) {
        let mut request = Request::post(path).header("content-type", media_type);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let up = self.node.up.as_mut().expect("a node that runs");
        let work = up.send(request.body(Body::from(body.to_owned())).expect("a request"));
        up.begin(What::Question(0), 0, 0, work);
    }

    /// Works until nothing is under way; what the first question led to.
    fn finish(&mut self) -> Option<Done> {
        let up = self.node.up.as_mut()?;
        loop {
            if let Some((.., done)) = up.poll().into_iter().next() {
                return Some(done);
            }
            if !up.step(usize::MAX) {
                return None;
            }
        }
    }

    /// Sets the operation going.
    fn operate(&mut self) {
        let last = self.tokens.len().saturating_sub(1);
        let form = "application/x-www-form-urlencoded";
        match self.operation {
            Operation::Rotate(_) => self.send(&self.refreshing(last), form),
            Operation::Retry(_) => self.send(&self.refreshing(last - 1), form),
            Operation::Replay => self.send(&self.refreshing(0), form),
            Operation::Redeem => self.send(&self.redeeming(), form),
            Operation::Revoke => {
                let token = self.tokens[last].clone();
                self.send(&self.as_client("/oauth2/revoke", &[("token", &token)], None), form);
            }
            Operation::Register => {
                let metadata = json!({"redirect_uris": ["https://new.example/cb"], "client_name": "New", "token_endpoint_auth_method": "none"});
                self.begin("/oauth2/register", &metadata.to_string(), &[], "application/json");
            }
            Operation::End | Operation::Disable => {
                let (grant, disables) = (self.grant.expect("a grant"), self.operation == Operation::Disable);
                let up = self.node.up.as_mut().expect("a node that runs");
                let work = acts::end(up, grant, 0, disables);
                up.begin(What::End(0), 0, 0, work);
            }
            Operation::Device(step) => self.operate_device(step),
            Operation::Key(kind) => {
                let up = self.node.up.as_mut().expect("a node that runs");
                let app = Arc::clone(&up.app);
                let work =
                    Box::pin(
                        async move { Done::Acted(app.admin().rotate_key(kind, None, KeyTurn::AtOnce).await.is_ok()) },
                    );
                up.begin(What::Tend, 0, 0, work);
            }
        }
    }

    fn send(&mut self, (path, body, headers): &(String, String, Vec<(&'static str, String)>), media_type: &str) {
        self.begin(path, body, headers, media_type);
    }

    /// The operation, point by point; `None` if the process ended before it was answered.
    fn through(&mut self) -> Option<Done> {
        self.watch.with(|watched| watched.is_on = true);
        self.operate();
        let mut done = self.node.up.as_mut()?.poll().into_iter().next().map(|(.., done)| done);
        self.watch.pass("arrived");
        while !self.is_down() && done.is_none() {
            let up = self.node.up.as_mut()?;
            let worked = up.step(usize::MAX);
            if worked {
                self.watch.pass("decided");
            }
            if self.is_down() {
                break;
            }
            done = self.node.up.as_mut()?.poll().into_iter().next().map(|(.., done)| done);
            if !worked && done.is_none() {
                break;
            }
        }
        if !self.is_down() {
            self.watch.pass("answered");
        }
        let is_down = self.is_down();
        self.watch.with(|watched| watched.is_on = false);
        done.filter(|_| !is_down)
    }

    fn is_down(&self) -> bool {
        self.watch.with(|watched| watched.is_down)
    }

    /// All points of the operation.
    fn points(mut self) -> Vec<Point> {
        self.through();
        self.watch.with(|watched| std::mem::take(&mut watched.passed)).into_iter().map(Point).collect()
    }

    /// Runs a case, mends the deployment, and looks at what became of it.
    fn run(&mut self, case: &Case) -> Result<(), String> {
        let stall: Box<dyn FnOnce() + Send> = Box::new(self.meanwhile());
        self.watch.with(|watched| {
            watched.plan = Some((case.point.0.clone(), case.mode));
            watched.stall = Some(stall);
        });
        let done = self.through();
        // What was not answered by then is of no interest any more.
        let done = if self.is_down() { done } else { done.or_else(|| self.finish()) };
        if self.is_down() || self.node.is_failed() {
            self.start();
        }
        self.check(done)
    }

    /// What happens while the node is kept waiting: the same request at another node, and three seconds.
    fn meanwhile(&self) -> impl FnOnce() + Send + use<> {
        let (memory, config, clock) = (self.memory.clone(), self.config.clone(), self.clock.clone());
        let last = self.tokens.len().saturating_sub(1);
        let request = match self.operation {
            Operation::Rotate(_) => Some(self.refreshing(last)),
            Operation::Retry(_) => Some(self.refreshing(last - 1)),
            Operation::Device(Step::Redeem) => Some(self.polling()),
            _ => None,
        };
        move || {
            if let Some((path, body, headers)) = request {
                let mut other = Node::new(clock.clone());
                other.start_on(&config, Box::new(memory));
                if let Some(up) = &mut other.up {
                    let mut asked = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
                    for (name, value) in headers {
                        asked = asked.header(name, value);
                    }
                    let work = up.send(asked.body(Body::from(body)).expect("a request"));
                    up.begin(What::Question(0), 0, 0, work);
                    while up.poll().is_empty() && up.step(usize::MAX) {}
                }
            }
            clock.advance(Duration::from_secs(3));
        }
    }

    fn check(&mut self, done: Option<Done>) -> Result<(), String> {
        let last = self.tokens.len().saturating_sub(1);
        let status = match &done {
            Some(Done::Reply(reply)) => reply.status.as_u16(),
            Some(Done::Acted(true)) => 200,
            Some(Done::Acted(false) | Done::Code(_)) => 503,
            None => 0,
        };
        if status >= 500 && status != 503 {
            return Err(format!("answered {status}"));
        }
        match self.operation {
            Operation::Rotate(_) => self.goes_on(last, done),
            Operation::Retry(_) => self.goes_on(last - 1, done),
            Operation::Replay => self.ends(0, status),
            Operation::Redeem => self.redeemed(done.as_ref()),
            Operation::Revoke | Operation::End | Operation::Disable => self.revoked(status),
            Operation::Register => self.registered(done.as_ref()),
            Operation::Device(step) => self.device(step, done.as_ref()),
            Operation::Key(_) => self.goes_on(last, None),
        }
    }

    /// The client asks again, hears the one successor there is, and goes on with it.
    fn goes_on(&mut self, at: usize, done: Option<Done>) -> Result<(), String> {
        let heard = match done {
            Some(Done::Reply(reply)) if reply.status.as_u16() == 200 => token_of(&reply),
            Some(Done::Reply(reply)) if reply.status.as_u16() != 503 => {
                return Err(format!("an honest client heard {}", reply.status));
            }
            _ => None,
        };
        let again = self.refresh(at);
        let next = token_of(&again).ok_or_else(|| format!("the retry heard {}", again.status))?;
        if heard.as_ref().is_some_and(|heard| *heard != next) && self.class != Class::Reusable {
            return Err("the retry got another successor".to_owned());
        }
        self.tokens.push(next);
        self.clock.advance(Duration::from_secs(40));
        let further = self.refresh(self.tokens.len() - 1);
        let further = token_of(&further).ok_or_else(|| format!("the successor heard {}", further.status))?;
        self.tokens.push(further);
        // And what is spent is spent.
        if self.class != Class::Reusable && at > 0 {
            self.clock.advance(Duration::from_secs(90));
            let spent = self.refresh(at - 1);
            if spent.status.as_u16() != 400 {
                return Err(format!("a spent token heard {}", spent.status));
            }
        }
        Ok(())
    }

    /// The replay, or the next one, ends the grant.
    fn ends(&mut self, spent: usize, status: u16) -> Result<(), String> {
        if !matches!(status, 0 | 400 | 503) {
            return Err(format!("a replay heard {status}"));
        }
        if status != 400 {
            let again = self.refresh(spent);
            if again.status.as_u16() != 400 {
                return Err(format!("the second replay heard {}", again.status));
            }
        }
        self.is_over()
    }

    fn redeemed(&mut self, done: Option<&Done>) -> Result<(), String> {
        let heard = match done {
            Some(Done::Reply(reply)) => token_of(reply),
            _ => None,
        };
        let again = self.post(&self.redeeming());
        let second = token_of(&again);
        match (heard, second) {
            (Some(_), Some(_)) => Err("a code was redeemed twice".to_owned()),
            (Some(first), None) => {
                self.tokens.push(first);
                self.works_or_was_ended()
            }
            (None, Some(second)) => {
                self.tokens.push(second);
                let next = self.refresh(0);
                token_of(&next).map(|_| ()).ok_or_else(|| format!("the first token heard {}", next.status))
            }
            // It was spent, and its answer was lost: the user logs in again.
            (None, None) => Ok(()),
        }
    }

    /// A double click within 500 ms ends nothing.
    fn works_or_was_ended(&mut self) -> Result<(), String> {
        let next = self.refresh(0);
        let is_fine = matches!(next.status.as_u16(), 200 | 400);
        if is_fine { Ok(()) } else { Err(format!("the first token heard {}", next.status)) }
    }

    fn revoked(&mut self, status: u16) -> Result<(), String> {
        if status == 200 {
            return self.is_over();
        }
        // It was not confirmed, so that whoever wants it does it again.
        self.operate();
        match self.finish() {
            Some(Done::Reply(reply)) if reply.status.as_u16() == 200 => self.is_over(),
            Some(Done::Acted(true)) => self.is_over(),
            _ => Err("the second revocation was not confirmed".to_owned()),
        }
    }

    fn is_over(&mut self) -> Result<(), String> {
        let last = self.refresh(self.tokens.len() - 1);
        if last.status.as_u16() == 400 { Ok(()) } else { Err(format!("it has ended, and heard {}", last.status)) }
    }

    /// Who was answered 201 is there after a restart, whole.
    fn registered(&mut self, done: Option<&Done>) -> Result<(), String> {
        let id = match done {
            Some(Done::Reply(reply)) if reply.status.as_u16() == 201 => {
                reply.json().get("client_id").and_then(Value::as_str).map(str::to_owned)
            }
            _ => None,
        };
        self.start();
        let Some(up) = &self.node.up else { return Err("the node does not run".to_owned()) };
        match id {
            Some(id) if up.app.client(&id).is_none() => Err("a client that was registered is not there".to_owned()),
            _ => Ok(()),
        }
    }
}

fn token_of(reply: &Reply) -> Option<String> {
    if reply.status.as_u16() != 200 {
        return None;
    }
    reply.json().get("refresh_token").and_then(Value::as_str).map(str::to_owned)
}
