//! What is on its way. A message may be lost, doubled, overtaken, or kept back by a node that is cut off.

use crate::process::Dice;
use crate::wire::Reply;

/// Something on its way.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// To the node that the question names.
    Request(usize),
    /// Back to who asked.
    Answer(usize, Reply),
}

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) message: Message,
    /// To or from which node.
    pub(super) node: usize,
    /// Since when, in true milliseconds.
    pub(super) since: i64,
}

/// Longer than this nobody waits for an answer, and nobody answers (the server's own deadline is 30 s).
pub(super) const DEADLINE: i64 = 20_000;
/// The most that is on its way; what comes then is lost.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Network {
    packets: Vec<Packet>,
}

impl Network {
    /// Whether there was room.
    pub(super) fn send(&mut self, message: Message, node: usize, since: i64) -> bool {
        let has_room = self.packets.len() < MOST;
        if has_room {
            self.packets.push(Packet { message, node, since });
        }
        has_room
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Any packet, and whether it overtook another one.
    pub(super) fn take(&mut self, dice: &mut Dice) -> Option<(Packet, bool)> {
        if self.packets.is_empty() {
            return None;
        }
        // Mostly the oldest.
        let at = if dice.one_in(3) { dice.below(self.packets.len()) } else { 0 };
        Some((self.packets.remove(at), at > 0))
    }

    /// The answer to a question, taken out of turn.
    pub(super) fn answer_to(&mut self, number: usize) -> Option<Reply> {
        let is_it = |packet: &Packet| matches!(packet.message, Message::Answer(answered, _) if answered == number);
        let at = self.packets.iter().position(is_it)?;
        match self.packets.remove(at).message {
            Message::Answer(_, reply) => Some(reply),
            Message::Request(_) => None,
        }
    }

    /// Puts it back behind all others.
    pub(super) fn keep(&mut self, packet: Packet) {
        self.packets.push(packet);
    }

    /// A node's connections break.
    pub(super) fn drop_all_of(&mut self, node: usize) {
        self.packets.retain(|packet| packet.node != node);
    }
}
