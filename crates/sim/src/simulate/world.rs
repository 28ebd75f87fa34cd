//! The world of one seed: each step, dice choose who does what, and what goes wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use regrant_core::Timestamp;
use regrant_server::Clock;
use regrant_store::Cause;

use super::acts;
use super::disk::{Disk, Fault, Kept};
use super::laws::{Broken, Judged, Law, Life};
use super::network::{DEADLINE, Message, Network};
use super::node::{Done, Node, Up, What};
use super::parties::{Asker, Class, Kind, Loot, Question, Session};
use super::template::{Template, USERS};
use super::torn::Torn;
use super::{Coverage, History, Mutant};
use crate::process::Dice;
use crate::wire::{Reply, START};

/// How many sessions live at the same time.
const LIVELY: usize = 4;
pub(super) const DAY: u64 = 86_400_000;

/// How much of what goes wrong in this history: each seed has a mixture of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) loses: bool,
    pub(super) doubles: bool,
    pub(super) cuts: bool,
    pub(super) jumps: bool,
    pub(super) crashes: bool,
    pub(super) commits: bool,
    pub(super) races: bool,
    pub(super) steals: bool,
    pub(super) operates: bool,
    pub(super) waits: bool,
}

impl Rates {
    const fn roll(dice: &mut Dice) -> Self {
        Self {
            loses: dice.one_in(2),
            doubles: dice.one_in(2),
            cuts: dice.one_in(3),
            jumps: dice.one_in(3),
            crashes: dice.one_in(2),
            commits: dice.one_in(2),
            races: dice.one_in(2),
            steals: dice.one_in(3),
            operates: dice.one_in(2),
            waits: dice.one_in(3),
        }
    }
}

pub(super) struct World<'a> {
    pub(super) template: &'a Template,
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) dice: Dice,
    /// True milliseconds, which nobody knows.
    pub(super) now: i64,
    pub(super) rates: Rates,
    pub(super) mutant: Option<Mutant>,
    pub(super) disk: Disk,
    is_file: bool,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) questions: Vec<Question>,
    pub(super) sessions: Vec<Session>,
    pub(super) loot: Option<Loot>,
    /// What a proxy remembers, for the mutant that has one.
    pub(super) remembered: Vec<(String, Reply)>,
    pub(super) coverage: Coverage,
    digest: u64,
    broken: Option<Broken>,
    tell: &'a mut dyn FnMut(&str),
}

impl<'a> World<'a> {
    pub(super) fn new(
        template: &'a Template,
        seed: u64,
        is_file: bool,
        mutant: Option<Mutant>,
        tell: &'a mut dyn FnMut(&str),
    ) -> Self {
        let mut dice = Dice::new(seed);
        let rates = Rates::roll(&mut dice);
        let kept = if is_file {
            Kept::File(Box::new(Torn::new(template.file.path(), dice.next())))
        } else {
            Kept::Memory(template.memory.copy())
        };
        let disk = Disk::new(kept, mutant);
        let count = if is_file || dice.one_in(3) { 1 } else { 2 };
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(Node::new(Clock::manual(Timestamp::from_millis(START))));
        }
        let mut world = Self {
            template,
            seed,
            step: 0,
            dice,
            now: START,
            rates,
            mutant,
            disk,
            is_file,
            nodes,
            network: Network::default(),
            questions: Vec::new(),
            sessions: Vec::new(),
            loot: None,
            remembered: Vec::new(),
            coverage: Coverage::default(),
            digest: 0xcbf2_9ce4_8422_2325,
            broken: None,
            tell,
        };
        for node in 0..count {
            world.start(node);
        }
        if count > 1 && world.rates.jumps {
            world.coverage.count("clock: skewed");
            let skew = world.dice.between(1_000, 300_000);
            world.nodes[1].clock.advance(Duration::from_millis(skew));
        }
        world
    }

    pub(super) fn history(mut self) -> History {
        self.coverage.set("commit: raced by another node", self.disk.races());
        self.coverage.set("crash: file torn", self.disk.torn());
        self.coverage.set("time: days", u64::try_from(self.now - START).unwrap_or(0) / DAY);
        self.coverage.set("steps", self.step);
        History { seed: self.seed, digest: self.digest, coverage: self.coverage, broken: self.broken }
    }

    pub(super) fn run(&mut self, steps: u64) {
        while self.step < steps && self.broken.is_none() {
            self.step += 1;
            self.act();
        }
        if self.broken.is_none() {
            self.finish();
        }
        if self.broken.is_none() {
            self.read_the_log();
        }
    }

    /// Something happened: told, and part of the digest.
    pub(super) fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        (self.tell)(&format!("{:>5} {:>12} ms  {what}", self.step, self.now - START));
    }

    pub(super) fn judge(&mut self, judged: Judged) {
        if let Err((law, what)) = judged {
            self.note(&format!("BROKEN {law}: {what}"));
            self.broken.get_or_insert(Broken { seed: self.seed, step: self.step, law, what });
        }
    }

    fn act(&mut self) {
        match self.dice.below(100) {
            0..32 => self.work(),
            32..66 => self.deliver(),
            66..86 => self.batch(),
            86..90 => self.wait(),
            90..93 if self.rates.steals => self.steal(),
            93..95 if self.rates.operates => self.operate(),
            95..98 => self.trouble(),
            98..100 => self.mend(),
            _ => self.batch(),
        }
        if self.network.is_empty() && self.dice.one_in(2) {
            self.batch();
        }
    }

    /// A worker does what is next: logs in, asks, or asks again.
    fn work(&mut self) {
        let lively = self.sessions.iter().filter(|session| !session.is_over).count();
        if lively < LIVELY && self.sessions.len() < USERS {
            return self.log_in();
        }
        let open: Vec<usize> = (0..self.sessions.len()).filter(|at| !self.sessions[*at].is_over).collect();
        let Some(at) = open.get(self.dice.below(open.len().max(1))).copied() else { return };
        let worker = self.dice.below(self.sessions[at].workers.len());
        if let Some((_, since)) = self.sessions[at].workers[worker].waiting {
            // Patience of some seconds.
            if self.now - since < i64::try_from(self.dice.between(500, 8_000)).unwrap_or(0) {
                return;
            }
            self.sessions[at].workers[worker].waiting = None;
            if self.sessions[at].token.is_none() {
                // A code is never sent twice: its user logs in again.
                self.sessions[at].is_over = true;
                return;
            }
        }
        let (newest, number) = (self.disk.newest().millis(), self.questions.len());
        let session = &mut self.sessions[at];
        // A code is sent once, by one worker.
        let (kind, text) = match (&session.token, session.code.take()) {
            (Some(token), _) => (Kind::Refresh, token.clone()),
            (None, Some(code)) => (Kind::Redeem, code),
            (None, None) => return,
        };
        if kind == Kind::Refresh && session.class == Class::Keyed && session.key.is_none() {
            session.key = Some(format!("key-{number}"));
        }
        let key = session.key.clone().filter(|_| kind == Kind::Refresh);
        let first_sent = *session.first_sent.get_or_insert(newest);
        self.ask(at, Asker::Worker(worker), kind, text, key, first_sent);
    }

    fn log_in(&mut self) {
        let user = self.sessions.len();
        let class = Class::ALL[self.dice.below(Class::ALL.len())];
        let workers = if self.dice.one_in(4) { 2 } else { 1 };
        if workers == 2 {
            self.coverage.count("party: two workers");
        }
        self.sessions.push(Session::new(class, user, workers));
        let node = self.dice.below(self.nodes.len());
        let (step, at) = (self.step, self.disk.newest().millis());
        match &mut self.nodes[node].up {
            Some(up) => {
                let work = acts::log_in(up, class, user);
                up.begin(What::Login(user), step, at, work);
            }
            None => self.sessions[user].is_over = true,
        }
        self.note(&format!("session {user} ({class:?}) logs in at node {node}"));
        self.poll();
    }

    pub(super) fn ask(
        &mut self,
        at: usize,
        asker: Asker,
        kind: Kind,
        text: String,
        key: Option<String>,
        first_sent: i64,
    ) {
        let (number, sent) = (self.questions.len(), self.disk.newest().millis());
        let class = self.sessions[at].class;
        let is_believed = self.mutant == Some(Mutant::LetsAnybodyIn);
        let question =
            Question { kind, asker, session: at, class, text, key, sent, first_sent, arrived: 0, is_believed };
        self.questions.push(question);
        if let Asker::Worker(worker) = asker {
            self.sessions[at].workers[worker].waiting = Some((number, self.now));
        }
        let node = self.dice.below(self.nodes.len());
        self.note(&format!("{asker:?} of session {at} sends {kind:?} to node {node}"));
        self.network.send(Message::Request(number), node, self.now);
    }

    fn deliver(&mut self) {
        let Some((packet, overtook)) = self.network.take(&mut self.dice) else { return self.batch() };
        let is_request = matches!(packet.message, Message::Request(_));
        if overtook {
            self.coverage.count("network: overtaken");
        }
        if self.now - packet.since > DEADLINE {
            return self.coverage.count("network: too late");
        }
        if self.nodes[packet.node].is_cut_off {
            return self.network.keep(packet);
        }
        if self.rates.loses && self.dice.one_in(6) {
            return self.coverage.count(if is_request { "network: request lost" } else { "network: answer lost" });
        }
        if self.rates.doubles && self.dice.one_in(8) {
            self.coverage.count(if is_request { "network: request doubled" } else { "network: answer doubled" });
            self.network.send(packet.message.clone(), packet.node, packet.since);
        }
        match packet.message {
            Message::Request(number) => self.arrive(number, packet.node),
            Message::Answer(number, reply) => self.hear(number, &reply),
        }
    }

    /// A question comes to a node.
    pub(super) fn arrive(&mut self, number: usize, node: usize) {
        if self.sees_it_repeated(number, node) {
            return;
        }
        let (step, at) = (self.step, self.disk.newest().millis());
        self.questions[number].arrived += 1;
        let question = self.questions[number].clone();
        let Some(up) = &mut self.nodes[node].up else { return };
        let (form, headers) = question.request();
        let mut request = Request::post(question.path()).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let work = up.send(request.body(Body::from(form)).expect("a request"));
        up.begin(What::Question(number), step, at, work);
        let life = &mut self.sessions[question.session].life;
        if question.asker == Asker::Thief && !question.class.is_bound() {
            life.excuse.get_or_insert("a thief");
        }
        if question.kind == Kind::Redeem && question.arrived > 1 {
            life.excuse.get_or_insert("a code that came twice");
        }
        self.poll();
    }

    /// A node that has something to do does it.
    fn batch(&mut self) {
        let busy: Vec<usize> =
            (0..self.nodes.len()).filter(|at| self.nodes[*at].up.as_ref().is_some_and(|up| !up.is_idle())).collect();
        let Some(node) = busy.get(self.dice.below(busy.len().max(1))).copied() else { return };
        let fault = self.fault(node);
        let rival = (self.nodes.len() > 1).then(|| 1 - node).and_then(|rival| self.nodes[rival].up.as_ref());
        self.disk.plan(fault, rival.map(|up| up.writer.clone()));
        let most = [1, 2, usize::MAX, usize::MAX][self.dice.below(4)];
        self.step_node(node, most, fault);
    }

    fn step_node(&mut self, node: usize, most: usize, fault: Option<Fault>) {
        let before: Vec<u64> = self
            .sessions
            .iter_mut()
            .map(|session| {
                session.life.floor = session.life.issued;
                session.life.version
            })
            .collect();
        let worked = self.nodes[node].up.as_ref().is_some_and(|up| up.step(most));
        let (carried_out, is_down) = self.disk.outcome();
        if !worked {
            return;
        }
        if let (Some(fault), true) = (fault, carried_out) {
            self.note(&format!("node {node} works: {fault:?}"));
            self.count_fault(fault);
        } else {
            self.note(&format!("node {node} works"));
        }
        let is_written =
            matches!(fault, Some(Fault::Crash { written: true } | Fault::Device { written: true } | Fault::AnswerLost));
        if carried_out && is_written {
            self.notice_what_nobody_hears(node);
        }
        if is_down {
            self.nodes[node].stop();
        }
        let told = self.poll();
        self.look();
        if let (Some(Fault::Refused(_)), true) = (fault, carried_out) {
            self.consumed_nothing(&before, &told);
        }
    }

    /// What was refused for the store's sake changed nothing.
    fn consumed_nothing(&mut self, before: &[u64], told: &BTreeSet<usize>) {
        for (at, version) in before.iter().enumerate() {
            let life: &Life = &self.sessions[at].life;
            if life.version != *version && !told.contains(&at) {
                let what = format!("session {at} was told 503, and its row went from {version} to {}", life.version);
                return self.judge(Err((Law::Hist9, what)));
            }
        }
    }

    fn fault(&mut self, node: usize) -> Option<Fault> {
        if self.rates.races && self.nodes.len() > 1 && self.dice.one_in(2) {
            return Some(Fault::Race);
        }
        if self.rates.crashes && self.dice.one_in(20) {
            return Some(Fault::Crash { written: self.dice.one_in(2) });
        }
        if !self.rates.commits || self.nodes[node].is_failed() || !self.dice.one_in(8) {
            return None;
        }
        let causes = [Cause::Full, Cause::ReadOnly, Cause::Locked, Cause::Io];
        Some(match self.dice.below(6) {
            0 | 1 => Fault::Refused(causes[self.dice.below(causes.len())]),
            2 | 3 => Fault::AnswerLost,
            4 => Fault::QuestionLost,
            _ => Fault::Device { written: self.dice.one_in(2) },
        })
    }

    fn count_fault(&mut self, fault: Fault) {
        self.coverage.count(match fault {
            Fault::Refused(_) => "commit: refused",
            Fault::AnswerLost => "commit: answer lost",
            Fault::QuestionLost => "commit: question lost",
            Fault::Device { .. } => "commit: device failed",
            Fault::Crash { written: true } => "crash: after a commit",
            Fault::Crash { written: false } => "crash: before a commit",
            Fault::Race => "commit: another node was let in",
        });
    }

    /// Time passes for everybody.
    fn wait(&mut self) {
        let millis = match self.dice.below(20) {
            0..14 => self.dice.between(1, 3_000),
            14..18 => self.dice.between(3_000, 9_000),
            18 => self.dice.between(9_000, 90_000),
            _ if self.rates.waits => self.dice.between(DAY / 24, DAY * 2),
            _ => self.dice.between(60_000, 3_600_000),
        };
        self.pass(millis);
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now += i64::try_from(millis).unwrap_or(0);
        self.nodes.iter().for_each(|node| node.clock.advance(Duration::from_millis(millis)));
        self.note(&format!("{millis} ms pass"));
    }

    pub(super) fn start(&mut self, node: usize) {
        self.nodes[node].clock.set(Timestamp::from_millis(self.now));
        if self.is_file {
            // What the file holds, before anybody writes to it again.
            let mut store = self.disk.open();
            self.look_at(store.as_mut());
        }
        self.note(&format!("node {node} starts"));
        self.nodes[node].start(&self.template.config, &self.disk);
        self.look();
    }

    /// A node does all that it has to do.
    pub(super) fn work_off(&mut self, node: usize) {
        while self.nodes[node].up.as_ref().is_some_and(|up| up.step(usize::MAX)) {
            self.poll();
        }
        self.look();
    }

    pub(super) fn last_answer(&mut self, number: usize) -> Option<Reply> {
        self.network.answer_to(number)
    }

    pub(super) fn forget_the_network(&mut self) {
        self.network = Network::default();
    }

    pub(super) fn answer(&mut self, number: usize, node: usize, reply: Reply) {
        self.network.send(Message::Answer(number, reply), node, self.now);
    }

    /// Everything that is done by now is answered; whose sessions heard anything but 503.
    pub(super) fn poll(&mut self) -> BTreeSet<usize> {
        let mut told = BTreeSet::new();
        let mut all = Vec::new();
        for node in 0..self.nodes.len() {
            let done = self.nodes[node].up.as_mut().map(Up::poll).unwrap_or_default();
            all.extend(done.into_iter().map(|done| (node, done)));
        }
        // Who came too late has ended it for those who are answered in the same moment, whoever is looked at first.
        for (node, (what, _, _, done)) in &all {
            if let (What::Question(number), Done::Reply(reply)) = (what, done)
                && matches!(reply.status.as_u16(), 400 | 401)
            {
                self.notice_whether_it_is_late(*number, *node);
            }
        }
        for (node, (what, began, at, done)) in all {
            if let Some(session) = self.done(node, what, (began, at), done) {
                told.insert(session);
            }
        }
        told
    }

    fn done(&mut self, node: usize, what: What, began: (u64, i64), done: Done) -> Option<usize> {
        match (what, done) {
            (What::Question(number), Done::Reply(reply)) => self.answered(number, node, began, reply),
            (What::Login(session), Done::Code(code)) => {
                self.sessions[session].is_over = code.is_none();
                self.sessions[session].life.grant =
                    code.as_deref().and_then(|code| acts::grant_of(&self.nodes[node], code));
                self.sessions[session].code = code;
                Some(session)
            }
            (What::End(session), Done::Acted(true)) => {
                let step = self.step;
                self.sessions[session].life.end_was_confirmed(step);
                Some(session)
            }
            (What::Tend, Done::Acted(true)) => {
                self.coverage.count("keys: rotated");
                None
            }
            (What::Verify, Done::Acted(false)) => {
                self.judge(Err((Law::Hist10, "the chain of events is broken".to_owned())));
                None
            }
            _ => None,
        }
    }
}
