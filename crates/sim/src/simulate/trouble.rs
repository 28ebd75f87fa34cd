//! What a thief, an operator and misfortune do in a history.

use std::time::Duration;

use regrant_core::Timestamp;

use super::acts;
use super::node::{Node, What};
use super::parties::{Asker, Kind, Loot};
use super::world::{DAY, World};

impl World<'_> {
    /// A thief copies what a client has, or uses it.
    pub(super) fn steal(&mut self) {
        let open: Vec<usize> = (0..self.sessions.len()).filter(|at| self.sessions[*at].token.is_some()).collect();
        if open.is_empty() {
            return;
        }
        match self.loot.clone() {
            Some(loot) if !self.dice.one_in(3) => {
                self.coverage.count("party: thief asks");
                let newest = self.disk.newest().millis();
                self.ask(loot.session, Asker::Thief, Kind::Refresh, loot.token, loot.key, newest);
            }
            _ => {
                let at = open[self.dice.below(open.len())];
                let session = &self.sessions[at];
                let Some(token) = session.token.clone() else { return };
                self.loot = Some(Loot { session: at, token, key: session.key.clone() });
            }
        }
    }

    /// The thief was answered.
    pub(super) fn took(&mut self, session: usize, token: String) {
        self.loot = Some(Loot { session, token, key: None });
    }

    /// Somebody ends a grant, or asks whether it lives; or the keys are looked after.
    pub(super) fn operate(&mut self) {
        let open: Vec<usize> = (0..self.sessions.len()).filter(|at| self.sessions[*at].life.grant.is_some()).collect();
        let Some(at) = open.get(self.dice.below(open.len().max(1))).copied() else { return };
        let (node, step) = (self.dice.below(self.nodes.len()), self.step);
        let began_at = self.disk.newest().millis();
        match self.dice.below(10) {
            0..5 => {
                if let Some(access) = self.sessions[at].access.clone() {
                    let newest = self.disk.newest().millis();
                    self.ask(at, Asker::Resource, Kind::Introspect, access, None, newest);
                }
            }
            // More than one node learns of keys in a way that only a database for many nodes has.
            5..8 if self.nodes.len() == 1 => {
                let Some(up) = &mut self.nodes[node].up else { return };
                let work = acts::tend(up);
                up.begin(What::Tend, step, began_at, work);
                self.poll();
            }
            5..8 => {}
            8 => {
                let Some(token) = self.sessions[at].token.clone() else { return };
                self.sessions[at].life.excuse.get_or_insert("its client revoked it");
                self.coverage.count("party: client revokes");
                let newest = self.disk.newest().millis();
                self.ask(at, Asker::Worker(0), Kind::Revoke, token, None, newest);
            }
            _ => {
                let (grant, user, disables) =
                    (self.sessions[at].life.grant, self.sessions[at].user, self.dice.one_in(2));
                let (Some(up), Some(grant)) = (&mut self.nodes[node].up, grant) else { return };
                let work = acts::end(up, grant, user, disables);
                up.begin(What::End(at), step, began_at, work);
                self.sessions[at].life.excuse.get_or_insert("an operator ended it");
                self.coverage.count(if disables { "party: user disabled" } else { "party: operator revokes" });
                self.note(&format!("an operator ends session {at} at node {node}"));
                self.poll();
            }
        }
    }

    /// Something outside of the commits goes wrong.
    pub(super) fn trouble(&mut self) {
        let node = self.dice.below(self.nodes.len());
        if self.rates.jumps && self.dice.one_in(2) {
            return self.jump(node);
        }
        if self.rates.cuts && self.dice.one_in(2) {
            self.coverage.count("network: node cut off");
            self.note(&format!("node {node} is cut off"));
            self.nodes[node].is_cut_off = true;
            return;
        }
        if self.rates.crashes && self.dice.one_in(3) {
            self.coverage.count("crash: between commits");
            self.note("the power goes");
            self.disk.lose_power(self.dice.next());
            self.nodes.iter_mut().for_each(Node::stop);
            (0..self.nodes.len()).for_each(|node| self.network.drop_all_of(node));
        }
    }

    fn jump(&mut self, node: usize) {
        let far = match self.dice.below(8) {
            0..4 => self.dice.between(1_000, 120_000),
            4 | 5 => self.dice.between(120_000, DAY),
            6 => self.dice.between(DAY, 5 * DAY),
            _ => 400 * DAY,
        };
        let (clock, far) = (self.nodes[node].clock.clone(), Duration::from_millis(far));
        let (to, word) = if far > Duration::from_millis(30 * DAY) {
            (clock.now().plus(far), "clock: implausible")
        } else if self.dice.one_in(2) {
            (clock.now().minus(far), "clock: back")
        } else {
            (clock.now().plus(far), "clock: ahead")
        };
        clock.set(to);
        self.coverage.count(word);
        self.note(&format!("node {node}, {word} {} ms", far.as_millis()));
    }

    /// Somebody looks after a node: cables, clocks, processes.
    pub(super) fn mend(&mut self) {
        let node = self.dice.below(self.nodes.len());
        self.nodes[node].is_cut_off = false;
        if self.nodes[node].clock.now() > Timestamp::from_millis(self.now + 20 * 86_400_000) {
            self.nodes[node].clock.set(Timestamp::from_millis(self.now));
        }
        if self.nodes[node].up.is_none() || self.nodes[node].is_failed() {
            self.nodes[node].stop();
            self.start(node);
        }
    }
}
