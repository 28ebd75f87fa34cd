//! Answers: judged where they are made, heard where they arrive. And what is durable, looked at.

use regrant_client::answer::{self as client, Verdict};
use regrant_core::GrantId;
use regrant_core::token::RefreshToken;
use regrant_store::{Answer, Question as Ask, Store};

use super::Mutant;
use super::acts;
use super::laws::{Law, Success, access_of};
use super::node::{Node, Up, What};
use super::parties::{Asker, Class, Kind, Question};
use super::world::World;
use crate::wire::Reply;

/// A plain client that asks again later than this may find its window closed.
const WINDOW: i64 = 60_000;
/// A token that came later than this after it was sent may be taken for a replay.
const STRAGGLER: i64 = 30_000;
/// How often a client is let try at the end: longer than the window of one that proves nothing.
const TRIES: usize = 40;

/// As the client library has it: it is the library that says what an answer means.
fn as_heard(reply: &Reply) -> client::Answer {
    let header = |name: &str| Some(reply.header(name)).filter(|value| !value.is_empty());
    client::Answer {
        status: reply.status.as_u16(),
        content_type: header("content-type"),
        retry_after: header("retry-after"),
        body: reply.body.clone(),
        ..client::Answer::default()
    }
}

impl World<'_> {
    /// A node has answered; the session, if it heard anything but 503.
    pub(super) fn answered(
        &mut self,
        number: usize,
        node: usize,
        (began, began_at): (u64, i64),
        reply: Reply,
    ) -> Option<usize> {
        let question = self.questions[number].clone();
        let status = reply.status.as_u16();
        self.note(&format!("node {node} answers {status} to {:?} of session {}", question.kind, question.session));
        match (status, question.kind) {
            (200, Kind::Redeem | Kind::Refresh) => self.granted(&question, node, (began, began_at), &reply),
            (200, Kind::Revoke) => {
                let step = self.step;
                self.sessions[question.session].life.end_was_confirmed(step);
            }
            (200, Kind::Introspect) => {
                let is_active = reply.json().get("active").and_then(serde_json::Value::as_bool) == Some(true);
                self.coverage.count(if is_active { "said: active" } else { "said: inactive" });
                if is_active {
                    let judged = self.sessions[question.session].life.is_open(began, "an introspection");
                    self.judge(judged);
                }
            }
            (503, _) => self.coverage.count("said: later (503)"),
            (400 | 401, _) => self.refused(&question, node, &reply),
            _ => self.judge(Err((Law::NoOtherError, format!("{:?} was answered {status}", question.kind)))),
        }
        self.answer(number, node, reply);
        (status != 503).then_some(question.session)
    }

    fn granted(&mut self, question: &Question, node: usize, (began, began_at): (u64, i64), reply: &Reply) {
        let newest = self.disk.newest().millis();
        let Some(up) = &self.nodes[node].up else { return };
        let keys = up.app.engine.keys();
        let json = reply.json();
        let word = |name: &str| json.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let count = |name: &str| json.get(name).and_then(serde_json::Value::as_i64).unwrap_or(0);
        let Some(token) = RefreshToken::open(&word("refresh_token"), &keys) else {
            return self.judge(Err((Law::Hist8, "an answer without a refresh token of ours".to_owned())));
        };
        let presented = RefreshToken::open(&question.text, &keys).map_or(0, |token| token.generation);
        let success = Success {
            class: question.class,
            presented,
            token: &token,
            began,
            began_at,
            newest,
            is_thief: question.asker == Asker::Thief,
            access: access_of(&word("access_token"), &keys),
            expires_in: count("expires_in"),
            ends_in: count("refresh_token_expires_in"),
        };
        self.coverage.count(match (question.kind, presented == token.generation) {
            (Kind::Redeem, _) => "said: redeemed",
            (_, true) => "said: reused",
            (_, false) if token.generation > self.sessions[question.session].life.issued => "said: rotated",
            (_, false) => "said: retried",
        });
        let life = &mut self.sessions[question.session].life;
        life.grant.get_or_insert(token.grant);
        let is_other = life.grant != Some(token.grant);
        let judged = life.succeeded(&success);
        self.judge(judged);
        if is_other {
            self.judge(Err((Law::Hist6, "one code, or one token, led to two grants".to_owned())));
        }
        if self.mutant == Some(Mutant::RepeatsAnswers) && question.kind == Kind::Refresh {
            self.remembered.push((question.text.clone(), reply.clone()));
        }
    }

    /// Somebody was refused: was it right?
    fn refused(&mut self, question: &Question, node: usize, reply: &Reply) {
        self.coverage.count("said: refused (400)");
        let now = self.decided_by(node);
        let presented = self.presented(question, node);
        let is_honest = matches!(question.asker, Asker::Worker(_)) && question.kind == Kind::Refresh;
        let life = &self.sessions[question.session].life;
        if !is_honest || life.excuse.is_some() || now >= life.promised {
            if let (true, Some(excuse)) = (is_honest, life.excuse) {
                self.coverage.count(excuse);
            }
            return;
        }
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        let (at, class, floor, grant) = (question.session, question.class, life.floor, life.grant);
        let told = self.told_of(grant);
        let what = format!(
            "session {at} ({class:?}) presented generation {presented} of {floor} and heard {said}; sent at {}, first at {}, decided at {now}; its last events: {told}",
            question.sent, question.first_sent
        );
        self.judge(Err((Law::Hist7, what)));
    }

    /// The generation that was presented.
    fn presented(&self, question: &Question, node: usize) -> u32 {
        let token =
            self.nodes[node].up.as_ref().and_then(|up| RefreshToken::open(&question.text, &up.app.engine.keys()));
        token.map_or(0, |token| token.generation)
    }

    /// The latest time by which a node can have decided just now: that of the store, if it is ahead of the node's own.
    fn decided_by(&self, node: usize) -> i64 {
        self.nodes[node].now().max(self.disk.newest().millis())
    }

    /// Behind a commit a node goes down, or does not know of it: what it has decided stands, and perhaps nobody is told.
    pub(super) fn notice_what_nobody_hears(&mut self, node: usize) {
        for number in self.nodes[node].up.as_ref().map(Up::questions).unwrap_or_default() {
            self.notice_whether_it_is_late(number, node);
        }
    }

    /// One question that a node has decided about.
    pub(super) fn notice_whether_it_is_late(&mut self, number: usize, node: usize) {
        let question = self.questions[number].clone();
        let presented = self.presented(&question, node);
        self.notice_what_is_late(&question, presented, self.decided_by(node));
    }

    /// What the server itself has noted of a grant, the newest first.
    fn told_of(&mut self, grant: Option<GrantId>) -> String {
        let Some(mut store) = self.disk.durable() else { return "not readable".to_owned() };
        let asked = store.ask(&Ask::Events { grant: grant.map(|id| id.number), limit: 3 });
        let Ok(Answer::Events(events)) = asked else { return "none".to_owned() };
        events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>().join("; ")
    }

    /// What comes too late may end the grant, and its client has nobody but the network to blame.
    fn notice_what_is_late(&mut self, question: &Question, presented: u32, now: i64) {
        let life = &mut self.sessions[question.session].life;
        if !matches!(question.asker, Asker::Worker(_)) || presented == 0 {
            return;
        }
        let is_slow = now - question.sent >= STRAGGLER;
        let is_out_of_its_window = question.class == Class::Plain && now - question.first_sent >= WINDOW;
        if is_slow {
            life.excuse.get_or_insert("excuse: a slow message");
        } else if is_out_of_its_window {
            life.excuse.get_or_insert("excuse: a late retry of a plain client");
        }
    }

    /// An answer arrives where somebody may be waiting for it.
    pub(super) fn hear(&mut self, number: usize, reply: &Reply) {
        let question = self.questions[number].clone();
        let verdict = client::judge(&as_heard(reply));
        if question.asker == Asker::Thief {
            if let Verdict::Success(tokens) = verdict
                && let Some(token) = tokens.refresh_token
            {
                self.took(question.session, token.expose().to_owned());
            }
            return;
        }
        let Asker::Worker(worker) = question.asker else { return };
        let session = &mut self.sessions[question.session];
        // Whoever has asked again does not hear the earlier answer.
        if session.workers[worker].waiting.map(|(waiting, _)| waiting) != Some(number) {
            return;
        }
        session.workers[worker].waiting = None;
        match (verdict, question.kind) {
            // Only in the place of what was presented: the store of two workers may be further.
            (Verdict::Success(tokens), Kind::Redeem | Kind::Refresh)
                if session.token.is_none() || session.token.as_deref() == Some(question.text.as_str()) =>
            {
                session.token = tokens.refresh_token.map(|token| token.expose().to_owned());
                session.access = Some(tokens.access_token.expose().to_owned());
                (session.key, session.first_sent) = (None, None);
            }
            (Verdict::Over(_) | Verdict::Refused(_), Kind::Redeem) => session.is_over = true,
            (Verdict::Over(_) | Verdict::Refused(_), Kind::Refresh) => {
                session.is_over |= session.token.as_deref() == Some(question.text.as_str());
            }
            _ => {}
        }
    }

    /// The planted fault: the answer that this token once got is given again.
    pub(super) fn sees_it_repeated(&mut self, number: usize, node: usize) -> bool {
        let question = self.questions[number].clone();
        if self.mutant != Some(Mutant::RepeatsAnswers) || question.kind != Kind::Refresh {
            return false;
        }
        let Some((_, reply)) = self.remembered.iter().find(|(text, _)| *text == question.text).cloned() else {
            return false;
        };
        let began = (self.step, self.disk.newest().millis());
        let _ = self.answered(number, node, began, reply);
        true
    }

    /// The durable rows, where they can be read beside the nodes.
    pub(super) fn look(&mut self) {
        if let Some(mut memory) = self.disk.durable() {
            self.look_at(&mut memory);
        }
    }

    pub(super) fn look_at(&mut self, store: &mut dyn Store) {
        let known: Vec<(usize, GrantId)> =
            self.sessions.iter().enumerate().filter_map(|(at, session)| Some((at, session.life.grant?))).collect();
        let ids: Vec<GrantId> = known.iter().map(|(_, id)| *id).collect();
        let Ok(rows) = store.load(&ids) else { return };
        let step = self.step;
        for ((at, _), row) in known.into_iter().zip(rows) {
            let judged = self.sessions[at].life.is_durable(row.as_ref().map(|row| &row.grant), step);
            self.judge(judged);
        }
    }

    /// Everything is mended, and every client that has no excuse goes on.
    pub(super) fn finish(&mut self) {
        self.note("everything is mended");
        self.forget_the_network();
        for node in 0..self.nodes.len() {
            self.nodes[node].stop();
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].is_cut_off = false;
            self.start(node);
        }
        // Where a clock ran ahead and back, time stands until it has caught up, and so does the window of a client that proves nothing:
        // used-up retries are sent away for as long.
        let behind = self.disk.newest().millis() - self.now;
        self.pass(u64::try_from(behind).unwrap_or(0));
        for at in 0..self.sessions.len() {
            let session = &mut self.sessions[at];
            session.workers.iter_mut().for_each(|worker| worker.waiting = None);
            if !session.is_over && session.token.is_some() && session.life.excuse.is_none() {
                self.goes_on(at);
            }
        }
    }

    fn goes_on(&mut self, at: usize) {
        for _ in 0..TRIES {
            let Some(token) = self.sessions[at].token.clone() else { return };
            let newest = self.disk.newest().millis();
            let first_sent = *self.sessions[at].first_sent.get_or_insert(newest);
            let key = self.sessions[at].key.clone();
            self.sessions[at].life.floor = self.sessions[at].life.issued;
            let number = self.questions.len();
            self.ask(at, Asker::Worker(0), Kind::Refresh, token.clone(), key, first_sent);
            self.arrive(number, 0);
            self.work_off(0);
            let Some(reply) = self.last_answer(number) else { continue };
            self.hear(number, &reply);
            if reply.status.as_u16() == 200 || self.sessions[at].is_over {
                return;
            }
            self.pass(2_500);
        }
        if self.sessions[at].life.excuse.is_none() {
            self.judge(Err((
                Law::Hist7,
                format!("session {at} was sent away {TRIES} times in a world without faults"),
            )));
        }
    }

    /// The audit log, at the end.
    pub(super) fn read_the_log(&mut self) {
        let (step, began_at) = (self.step, self.disk.newest().millis());
        if let Some(up) = &mut self.nodes[0].up {
            let work = acts::verify(up);
            up.begin(What::Verify, step, began_at, work);
            self.poll();
            self.work_off(0);
        }
        self.nodes.iter_mut().for_each(Node::stop);
        let mut store = self.disk.open();
        self.look_at(store.as_mut());
        for at in 0..self.sessions.len() {
            let Some(id) = self.sessions[at].life.grant else { continue };
            let asked = store.ask(&Ask::Events { grant: Some(id.number), limit: 1_000 });
            let Ok(Answer::Events(events)) = asked else { continue };
            let count = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
            let judged = self.sessions[at].life.is_told(count("grant_created"), count("grant_ended"));
            self.judge(judged);
        }
    }
}
