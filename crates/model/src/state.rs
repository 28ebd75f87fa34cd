//! One state of a small world: plain numbers, so that there can be millions of them.

/// The most messages under way at once.
pub(super) const SLOTS: usize = 4;
/// Ages are in seconds and stop here: beyond the core's longest limit, 60 s, all are alike.
pub(super) const OLD: u8 = 60;
/// A message that has been under way for this long arrives nowhere: its sender stopped waiting before.
pub(super) const LOST_AT: u8 = 30;

/// A refresh token, or with generation 0 the code. Seeds are numbers of the [`super::bench::Bench`]; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Token {
    pub(super) generation: u8,
    pub(super) seed: u16,
    /// In which it was minted.
    pub(super) era: u8,
}

/// The grant's row: the columns that the core writes, times as ages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Row {
    /// For compare-and-set only.
    pub(super) version: u16,
    pub(super) current: u16,
    pub(super) ratchet: u16,
    pub(super) generation: u8,
    /// In which it was answered last.
    pub(super) era: u8,
    pub(super) rotated: u8,
    pub(super) previously: u8,
    pub(super) answered: u8,
    pub(super) retries: u8,
    /// 0 is none; see [`proof_of`].
    pub(super) proof: u8,
    /// The number of an end reason; 0 is alive.
    pub(super) ended: u8,
    /// Since the redemption; `None` while there is only a code.
    pub(super) redeemed: Option<u8>,
}

impl Row {
    /// The row after some seconds.
    pub(super) fn aged(self, seconds: u8) -> Self {
        let older = |age: u8| older(age, seconds);
        Self {
            rotated: older(self.rotated),
            previously: older(self.previously),
            answered: older(self.answered),
            redeemed: self.redeemed.map(older),
            ..self
        }
    }
}

/// Who sends and hears.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Actor {
    Worker(u8),
    Thief,
}

/// Something under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Message {
    pub(super) actor: Actor,
    /// What was presented; of an answer, what it answers.
    pub(super) token: Token,
    /// The `Idempotency-Key` sent with it.
    pub(super) proof: u8,
    /// Since it was sent.
    pub(super) age: u8,
    /// The token had been replaced already when it was sent.
    pub(super) is_repeat: bool,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// On its way to the server.
    Asked,
    /// A server has loaded the row and not committed. The row is as it was then; `age` is since then.
    Loaded { row: Row, age: u8, chance: u8 },
    /// On its way back.
    Answered(Said),
}

/// What the server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// 200, with this refresh token.
    Token(Token),
    /// 503.
    Later,
    /// 400.
    Refused,
}

/// The whole world.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) row: Row,
    /// What the workers share.
    pub(super) store: Token,
    /// An `Idempotency-Key` lies beside it: a refresh was sent and its answer is not saved.
    pub(super) is_pending: bool,
    /// The client was told `invalid_grant` for what it holds.
    pub(super) is_logged_out: bool,
    /// How often the store was copied by the thief.
    pub(super) thefts: u8,
    /// What the thief holds.
    pub(super) thief: Option<Token>,
    /// The thief also has the `Idempotency-Key` of that token.
    pub(super) thief_has_key: bool,
    pub(super) net: [Option<Message>; SLOTS],
    pub(super) losses: u8,
    pub(super) doubles: u8,
    pub(super) crashes: u8,
    pub(super) revocations: u8,
    /// A thief presented something that he could have been taken for the client with.
    pub(super) has_thief_acted: bool,
    /// The client repeated itself outside its retry rule: what comes of it is its own doing.
    pub(super) is_excused: bool,
    /// Redemptions of the code that were answered 200.
    pub(super) redemptions: u8,
    /// The thief was answered with a token since the client last was.
    pub(super) is_ridden: bool,
    /// The generation of the last such ride.
    pub(super) ridden_until: u8,
    /// How often the client was answered after such a ride, and noticed nothing.
    pub(super) rides: u8,
    /// How often the store was set back.
    pub(super) era: u8,
    /// The copy that it can be set back to.
    pub(super) copy: Option<Row>,
}

impl State {
    pub(super) fn begin(row: Row, store: Token) -> Self {
        Self {
            row,
            store,
            is_pending: false,
            is_logged_out: false,
            thefts: 0,
            thief: None,
            thief_has_key: false,
            net: [None; SLOTS],
            losses: 0,
            doubles: 0,
            crashes: 0,
            revocations: 0,
            has_thief_acted: false,
            is_excused: false,
            redemptions: 0,
            is_ridden: false,
            ridden_until: 0,
            rides: 0,
            era: 0,
            copy: None,
        }
    }

    /// What is under way, with its place.
    pub(super) fn messages(&self) -> impl Iterator<Item = (usize, Message)> + '_ {
        self.net.iter().enumerate().filter_map(|(place, message)| message.map(|message| (place, message)))
    }

    pub(super) fn count(&self, is_meant: impl Fn(&Message) -> bool) -> usize {
        self.messages().filter(|(_, message)| is_meant(message)).count()
    }

    /// The world with this message more.
    pub(super) fn with(mut self, message: Message) -> Self {
        if let Some(free) = self.net.iter_mut().find(|place| place.is_none()) {
            *free = Some(message);
        }
        self
    }

    /// The world with another message, or none, in this place.
    pub(super) fn replaced(mut self, place: usize, message: Option<Message>) -> Self {
        self.net[place] = message;
        self
    }

    /// The world after some seconds: what has been under way for too long is gone.
    pub(super) fn after(mut self, seconds: u8) -> Self {
        self.row = self.row.aged(seconds);
        self.copy = self.copy.map(|row| row.aged(seconds));
        for place in &mut self.net {
            *place = place.take().and_then(|message| aged(message, seconds));
        }
        self
    }

    /// All refresh tokens that anybody was answered with and somebody still has.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = Token> + '_ {
        let answers = self.messages().filter_map(|(_, message)| match message.stage {
            Stage::Answered(Said::Token(token)) => Some(token),
            Stage::Answered(Said::Later | Said::Refused) | Stage::Asked | Stage::Loaded { .. } => None,
        });
        let presented = self.messages().map(|(_, message)| message.token);
        [Some(self.store), self.thief]
            .into_iter()
            .flatten()
            .chain(presented)
            .chain(answers)
            .filter(|t| t.generation > 0)
    }

    /// 64 bits that are equal for states which differ only in the names of seeds, in version numbers or in the order of
    /// messages. `leads` says whether a seed is the one that led to the row's current seed.
    pub(super) fn fingerprint(&self, leads: impl Fn(u16) -> bool) -> u64 {
        let mut messages: Vec<_> = self.messages().map(|(_, message)| message).collect();
        messages.sort_by_key(|message| order(message, &self.row));
        let mut print = Print { bytes: Vec::with_capacity(160), names: vec![0, self.row.current], leads };
        print.row(&self.row);
        print.token(self.store);
        print.token(self.thief.unwrap_or_default());
        print.bytes.extend([self.losses, self.doubles, self.crashes, self.revocations, self.redemptions]);
        print.bytes.extend([self.rides, self.ridden_until, self.era, self.thefts]);
        if let Some(copy) = &self.copy {
            print.bytes.push(1);
            print.row(copy);
        }
        print.bytes.push(bits(&[
            self.is_pending,
            self.is_logged_out,
            self.thief.is_some(),
            self.thief_has_key,
            self.has_thief_acted,
            self.is_excused,
            self.is_ridden,
        ]));
        for message in &messages {
            print.message(message, &self.row);
        }
        hash(&print.bytes)
    }
}

/// The `Idempotency-Key` made for a generation: the honest client's, or the thief's own.
pub(super) const fn proof_of(generation: u8, is_thief: bool) -> u8 {
    generation * 2 + 2 + is_thief as u8
}

fn older(age: u8, seconds: u8) -> u8 {
    age.saturating_add(seconds).min(OLD)
}

fn aged(message: Message, seconds: u8) -> Option<Message> {
    let stage = match message.stage {
        Stage::Loaded { row, age, chance } => Stage::Loaded { row, age: age.saturating_add(seconds), chance },
        stage @ (Stage::Asked | Stage::Answered(_)) => stage,
    };
    let age = message.age.saturating_add(seconds);
    (age < LOST_AT).then_some(Message { age, stage, ..message })
}

/// An order of messages that does not depend on the names of seeds.
fn order(message: &Message, row: &Row) -> (Actor, u8, u8, u8, bool, u8, u8, u8) {
    let (stage, more, version) = match message.stage {
        Stage::Asked => (0, 0, 0),
        Stage::Loaded { row: seen, age, .. } => (1, age, u8::from(seen.version == row.version)),
        Stage::Answered(Said::Token(token)) => (2, token.generation, 0),
        Stage::Answered(Said::Later) => (3, 0, 0),
        Stage::Answered(Said::Refused) => (4, 0, 0),
    };
    (message.actor, stage, message.age, message.token.generation, message.is_repeat, more, version, message.proof)
}

struct Print<F> {
    bytes: Vec<u8>,
    names: Vec<u16>,
    leads: F,
}

impl<F: Fn(u16) -> bool> Print<F> {
    fn row(&mut self, row: &Row) {
        self.bytes.extend([
            row.generation,
            row.era,
            row.rotated,
            row.previously,
            row.answered,
            row.retries,
            row.proof,
            row.ended,
        ]);
        self.bytes.extend([row.redeemed.map_or(u8::MAX, |age| age), u8::from(row.ratchet != 0)]);
        self.seed(row.current);
    }

    fn token(&mut self, token: Token) {
        self.bytes.extend([token.generation, token.era]);
        self.seed(token.seed);
    }

    /// A seed by the order of its first appearance, and whether it leads to the current one.
    fn seed(&mut self, seed: u16) {
        let name = self.names.iter().position(|known| *known == seed).unwrap_or_else(|| {
            self.names.push(seed);
            self.names.len() - 1
        });
        self.bytes.push(name as u8 * 2 + u8::from((self.leads)(seed)));
    }

    fn message(&mut self, message: &Message, row: &Row) {
        let actor = match message.actor {
            Actor::Worker(number) => number,
            Actor::Thief => 9,
        };
        self.bytes.extend([actor, message.proof, message.age, u8::from(message.is_repeat)]);
        self.token(message.token);
        match message.stage {
            Stage::Asked => self.bytes.push(0),
            Stage::Loaded { row: seen, age, chance } => {
                self.bytes.extend([1, age, chance, u8::from(seen.version == row.version)]);
                self.row(&seen);
            }
            Stage::Answered(Said::Token(token)) => {
                self.bytes.push(2);
                self.token(token);
            }
            Stage::Answered(Said::Later) => self.bytes.push(3),
            Stage::Answered(Said::Refused) => self.bytes.push(4),
        }
    }
}

fn bits(flags: &[bool]) -> u8 {
    flags.iter().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
}

/// Multiply and fold, 8 bytes at a time: fast, and good enough that a million states collide with probability 10^-7.
fn hash(bytes: &[u8]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product >> 64) as u64 ^ product as u64
    };
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = fold(state ^ u64::from_le_bytes(word), 0xE703_7ED1_A0B4_28DB).wrapping_add(0x8EBC_6AF0_9C88_C6E3);
    }
    fold(state, 0x5899_65CC_7537_4CC3)
}
