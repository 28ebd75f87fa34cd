//! Where the model meets the core: plain rows become grants, the core decides, and what it decided becomes plain again.
//!
//! The core is pure, so an answer once given is remembered and not asked for again. Planted faults wrap its functions here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use regrant_core::client::{AuthMethod, Class, GrantType, OnReplay};
use regrant_core::decision::Change;
use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation};
use regrant_core::issue::SubjectStatus;
use regrant_core::keys::{DeploymentId, Purpose, RootKey};
use regrant_core::recovery::{Recovery, Unproven};
use regrant_core::redeem::{self, Issued};
use regrant_core::refresh::{self, Age, How, Refreshed};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, RefreshToken};
use regrant_core::{
    Client, ClientId, Decision, Entropy, Grant, GrantId, Keys, Policy, Refusal, Resources, Scope, Seed, Terms,
    Timestamp, Write, revoke,
};

use super::state::{Actor, OLD, Row, Token};
use super::{Fault, Holder};

/// Every decision is made at this moment: only ages matter.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ID: GrantId = GrantId { number: 1, random: 2 };
/// More counted retries than this are all alike.
const USED_UP: u8 = 4;
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A seed, and the number of the one it came of.
pub(super) type Descent = ([u8; 32], u16);

/// What is asked of the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ask {
    pub(super) actor: Actor,
    pub(super) token: Token,
    pub(super) proof: u8,
    /// The server's.
    pub(super) era: u8,
}

/// What the core decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ruling {
    /// The row to commit; `None` if nothing is written.
    pub(super) write: Option<(Change, Row)>,
    pub(super) outcome: Result<Answer, Refusal>,
}

/// An answer with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) token: Token,
    /// `None` for the redemption of a code.
    pub(super) how: Option<How>,
}

pub(super) struct Bench {
    holder: Holder,
    fault: Option<Fault>,
    client: Client,
    stranger: Client,
    /// One set for each era.
    keys: [Keys; 2],
    terms: Arc<Terms>,
    /// Seed number n is in place n; the first is none.
    seeds: Vec<Named>,
    numbers: HashMap<[u8; 32], u16>,
    ratchets: Vec<[u8; 32]>,
    rulings: HashMap<(Row, Ask, u8), Ruling>,
}

struct Named {
    seed: Seed,
    hash: Hash,
    /// The seed that was presented for it.
    parent: u16,
}

impl Bench {
    pub(super) fn new(holder: Holder, fault: Option<Fault>, unproven: Unproven) -> Self {
        let none = Seed::new([0; 32]);
        let code = Seed::new([1; 32]);
        let client = client("app", holder);
        let mut bench = Self {
            holder,
            fault,
            stranger: Client { id: client_id("stranger"), ..client.clone() },
            keys: [keys(0, None), keys(1, Some(unproven))],
            terms: Arc::new(terms(holder, &client, &code)),
            client,
            seeds: vec![Named { hash: none.hash(), seed: none, parent: 0 }],
            numbers: HashMap::new(),
            ratchets: vec![[0; 32]],
            rulings: HashMap::new(),
        };
        bench.number(&code, 0);
        bench
    }

    /// The grant in its code state, with the code.
    pub(super) fn with_code(&self) -> (Row, Token) {
        (Row { version: 1, ..Row::default() }, Token { generation: 0, seed: 1, era: 0 })
    }

    /// The grant some time after its code was redeemed, with its first refresh token.
    pub(super) fn redeemed(&mut self) -> (Row, Token) {
        let (row, code) = self.with_code();
        let ruling = self.rule(&row, Ask { actor: Actor::Worker(0), token: code, proof: 0, era: 0 }, 0);
        let (_, row) = ruling.write.expect("a redemption writes");
        (row.aged(OLD), ruling.outcome.expect("a fresh code is redeemed").token)
    }

    /// Seeds with the number of the one each came of, and ratchets, in the order of their numbers.
    pub(super) fn names(&self) -> (Vec<Descent>, &[[u8; 32]]) {
        (self.seeds.iter().map(|named| (*named.seed.expose(), named.parent)).collect(), &self.ratchets)
    }

    /// Gives a seed its number anew; false if it has another one.
    pub(super) fn name_seed(&mut self, number: u64, seed: [u8; 32], parent: u16) -> bool {
        // The first is none, and has no other way in.
        (number == 0 && seed == [0; 32]) || u64::from(self.number(&Seed::new(seed), parent)) == number
    }

    /// The same for a ratchet.
    pub(super) fn name_ratchet(&mut self, number: u64, ratchet: [u8; 32]) -> bool {
        u64::from(self.ratchet(ratchet)) == number
    }

    /// Whether the row's current seed came of this one.
    pub(super) fn leads(&self, seed: u16, row: &Row) -> bool {
        seed != 0 && row.current != 0 && self.seeds[usize::from(row.current)].parent == seed
    }

    /// What the server decides on this row, with as much chance as there are rows loaded at once.
    pub(super) fn rule(&mut self, row: &Row, ask: Ask, chance: u8) -> Ruling {
        let key = (Row { version: 0, ..*row }, ask, chance);
        let ruling = match self.rulings.get(&key) {
            Some(known) => *known,
            None => {
                let fresh = self.ask(&key.0, ask, chance);
                self.rulings.insert(key, fresh);
                fresh
            }
        };
        let versioned = |(change, written): (Change, Row)| (change, Row { version: row.version + 1, ..written });
        Ruling { write: ruling.write.map(versioned), ..ruling }
    }

    /// What an operator's revocation writes.
    pub(super) fn revoke(&self, row: &Row) -> Option<Row> {
        let decision = revoke::end(&self.grant(row), EndReason::RevokedByOperator, "", NOW, &entropy(row, 9));
        match decision.write {
            Write::Nothing => None,
            Write::Grant { grant, .. } => {
                Some(Row { version: row.version + 1, ..self.hot(&grant, row.current, row.ratchet) })
            }
        }
    }

    fn ask(&mut self, row: &Row, ask: Ask, chance: u8) -> Ruling {
        if ask.token.generation == 0 { self.ask_code(row, ask, chance) } else { self.ask_refresh(row, ask, chance) }
    }

    fn ask_code(&mut self, row: &Row, ask: Ask, chance: u8) -> Ruling {
        let grant = self.grant(row);
        let seed = self.seeds[usize::from(ask.token.seed)].seed.clone();
        let code = Code { tag_key: 1, era: 0, grant: ID, seed };
        let request = redeem::Request {
            code: &code,
            redirect_uri: None,
            verifier: (ask.actor != Actor::Thief).then_some(VERIFIER),
            resources: &Resources::default(),
        };
        let client = self.client_of(ask.actor);
        let row_read = Some((&grant, SubjectStatus::Enabled));
        let decision = redeem::decide(row_read, &request, client, self.keys(ask), NOW, &entropy(row, chance));
        self.plain(row, ask, decision, |issued: Issued| issued.token.map(|token| (token, None)))
    }

    fn ask_refresh(&mut self, row: &Row, ask: Ask, chance: u8) -> Ruling {
        let decision = match self.fault {
            None | Some(Fault::ReadThenWrite | Fault::AnswerUncompared | Fault::JournalForgotten | Fault::EraKept) => {
                self.core(row, ask, chance)
            }
            Some(Fault::RetryWithoutBound) => self.retry_without_bound(row, ask, chance),
            Some(Fault::RevokeBeforeClient) => self.revoke_before_client(row, ask, chance),
            Some(Fault::NoRetry) => self.no_retry(row, ask, chance),
            Some(Fault::RetryBranches) => self.retry_branches(row, ask, chance),
        };
        self.plain(row, ask, decision, |refreshed: Refreshed| Some((refreshed.token, Some(refreshed.how))))
    }

    /// The core's own function, on the row as a grant.
    fn core(&self, row: &Row, ask: Ask, chance: u8) -> Decision<Refreshed> {
        self.decide(&self.grant(row), row, ask, chance)
    }

    fn decide(&self, grant: &Grant, row: &Row, ask: Ask, chance: u8) -> Decision<Refreshed> {
        let (token, none) = (self.token(ask.token), Resources::default());
        let request = self.request(&token, &none, ask);
        let row_read = Some((grant, SubjectStatus::Enabled));
        refresh::decide(row_read, &request, self.client_of(ask.actor), self.keys(ask), NOW, &entropy(row, chance))
    }

    /// The planted fault: however late and however often, the predecessor is answered as if it had just been replaced.
    fn retry_without_bound(&self, row: &Row, ask: Ask, chance: u8) -> Decision<Refreshed> {
        let decision = self.core(row, ask, chance);
        if decision.outcome.is_ok() || ask.token.generation + 1 != row.generation || row.ended != 0 {
            return decision;
        }
        self.core(&Row { rotated: 0, retries: 0, ..*row }, ask, chance)
    }

    /// The planted fault: the replay is noticed, and acted on, before it is asked whose token it is.
    fn revoke_before_client(&self, row: &Row, ask: Ask, chance: u8) -> Decision<Refreshed> {
        let (grant, token, none) = (self.grant(row), self.token(ask.token), Resources::default());
        let request = self.request(&token, &none, ask);
        let age = Age::of(&request, &grant, &self.client.policy, self.keys(ask), NOW);
        if age != Age::Spent || row.ended != 0 {
            return self.core(row, ask, chance);
        }
        let end = revoke::end(&grant, EndReason::RefreshReplayed, "", NOW, &entropy(row, chance));
        Decision { write: end.write, event: end.event, outcome: Err(Refusal::Replayed) }
    }

    /// The planted fault: strict rotation. A predecessor is a replay at once.
    fn no_retry(&self, row: &Row, ask: Ask, chance: u8) -> Decision<Refreshed> {
        let grant = Grant { ratchet: None, ..self.grant(row) };
        let old = NOW.minus(Duration::from_secs(1000));
        let grant = if ask.token.generation < row.generation {
            Grant { rotated_at: old, answered_at: old, retries: 0, ..grant }
        } else {
            grant
        };
        self.decide(&grant, row, ask, chance)
    }

    /// The planted fault: a retry gets a successor of its own, as if the predecessor were still live.
    fn retry_branches(&self, row: &Row, ask: Ask, chance: u8) -> Decision<Refreshed> {
        let decision = self.core(row, ask, chance);
        let is_retry = matches!(&decision.outcome, Ok(answer) if answer.how == How::Retried);
        if !is_retry {
            return decision;
        }
        let token = self.token(ask.token);
        let live = Grant { generation: token.generation, current: Some(token.seed.hash()), ..self.grant(row) };
        self.decide(&live, &Row { retries: row.retries + 1, ..*row }, ask, chance + 4)
    }

    fn request<'a>(&self, token: &'a RefreshToken, none: &'a Resources, ask: Ask) -> refresh::Request<'a> {
        let proves_key = self.holder == Holder::Key && ask.actor != Actor::Thief;
        refresh::Request {
            token,
            scope: None,
            resources: none,
            idempotency_key: (ask.proof != 0).then(|| proof(ask.proof)),
            holder_key: proves_key.then(holder_key),
        }
    }

    /// A thief without the client's secret can only authenticate as somebody else.
    fn client_of(&self, actor: Actor) -> &Client {
        if self.holder == Holder::Secret && actor == Actor::Thief { &self.stranger } else { &self.client }
    }

    fn keys(&self, ask: Ask) -> &Keys {
        &self.keys[usize::from(ask.era).min(1)]
    }

    fn token(&self, token: Token) -> RefreshToken {
        RefreshToken {
            tag_key: 1,
            era: u16::from(token.era),
            grant: ID,
            generation: u32::from(token.generation),
            seed: self.seeds[usize::from(token.seed)].seed.clone(),
        }
    }

    fn grant(&self, row: &Row) -> Grant {
        let ago = |age: u8| NOW.minus(Duration::from_secs(u64::from(age)));
        let far = |days: u64| NOW.plus(Duration::from_secs(days * 86_400));
        Grant {
            id: ID,
            version: 1,
            write_id: 0,
            generation: u32::from(row.generation),
            current: (row.current != 0).then(|| self.seeds[usize::from(row.current)].hash),
            ratchet: (row.ratchet != 0).then(|| self.ratchets[usize::from(row.ratchet)]),
            tag_key: 1,
            era: u16::from(row.era),
            seed_key: 1,
            rotated_at: ago(row.rotated),
            previously_rotated_at: ago(row.previously),
            answered_at: ago(row.answered),
            retries: u32::from(row.retries),
            retry_proof: (row.proof != 0).then(|| proof(row.proof)),
            idle_at: far(10),
            absolute_at: far(100),
            ended: EndReason::from_code(row.ended).map(|reason| (NOW, reason)),
            redeemed_at: row.redeemed.map(ago),
            terms: Arc::clone(&self.terms),
        }
    }

    /// The columns of a grant, with the seed and the ratchet by their numbers.
    fn hot(&self, grant: &Grant, current: u16, ratchet: u16) -> Row {
        let age = |at: Timestamp| u8::try_from(NOW.since(at).as_secs()).map_or(OLD, |age| age.min(OLD));
        Row {
            version: 0,
            current,
            ratchet: if grant.ratchet.is_some() { ratchet } else { 0 },
            generation: u8::try_from(grant.generation).unwrap_or(u8::MAX),
            era: u8::try_from(grant.era).unwrap_or(u8::MAX),
            rotated: age(grant.rotated_at),
            previously: age(grant.previously_rotated_at),
            answered: age(grant.answered_at),
            retries: u8::try_from(grant.retries).map_or(USED_UP, |retries| retries.min(USED_UP)),
            proof: grant.retry_proof.and_then(|hash| (1..u8::MAX).find(|number| proof(*number) == hash)).unwrap_or(0),
            ended: grant.ended.map_or(0, |(_, reason)| reason.code()),
            redeemed: grant.redeemed_at.map(age),
        }
    }

    fn plain<T>(
        &mut self,
        row: &Row,
        ask: Ask,
        decision: Decision<T>,
        token: impl Fn(T) -> Option<(RefreshToken, Option<How>)>,
    ) -> Ruling {
        let outcome = match decision.outcome.map(token) {
            Err(refusal) => Err(refusal),
            // A model without refresh tokens has nothing to check.
            Ok(None) => Err(Refusal::NotRefreshable),
            Ok(Some((token, how))) => {
                let generation = u8::try_from(token.generation).unwrap_or(u8::MAX);
                let era = u8::try_from(token.era).unwrap_or(u8::MAX);
                Ok(Answer { token: Token { generation, seed: self.number(&token.seed, ask.token.seed), era }, how })
            }
        };
        let write = match decision.write {
            Write::Nothing => None,
            Write::Grant { change, grant } => {
                let steps = matches!(change, Change::Rotated | Change::Redeemed);
                let current = outcome.ok().filter(|_| steps).map_or(row.current, |answer: Answer| answer.token.seed);
                let ratchet = grant.ratchet.map_or(0, |ratchet| self.ratchet(ratchet));
                Some((change, self.hot(&grant, current, ratchet)))
            }
        };
        Ruling { write, outcome }
    }

    /// The number of a seed; a new one remembers what it came of.
    fn number(&mut self, seed: &Seed, parent: u16) -> u16 {
        let next = u16::try_from(self.seeds.len()).expect("a world of fewer than 65,536 seeds");
        let number = *self.numbers.entry(*seed.expose()).or_insert(next);
        if number == next {
            self.seeds.push(Named { hash: seed.hash(), seed: seed.clone(), parent });
        }
        number
    }

    fn ratchet(&mut self, ratchet: [u8; 32]) -> u16 {
        let known = self.ratchets.iter().position(|known| *known == ratchet);
        let place = known.unwrap_or_else(|| {
            self.ratchets.push(ratchet);
            self.ratchets.len() - 1
        });
        place as u16
    }
}

/// Chance that is another for each generation and each row loaded at the same time.
fn entropy(row: &Row, chance: u8) -> Entropy {
    let mut bytes = [0; Entropy::LEN];
    bytes[..2].copy_from_slice(&[row.generation + 1, chance + 1]);
    bytes[32] = chance + 1;
    Entropy::from_bytes(&bytes)
}

fn proof(number: u8) -> Hash {
    Hash([number; 32])
}

fn holder_key() -> Hash {
    Hash([0xCC; 32])
}

fn client_id(text: &str) -> ClientId {
    ClientId::parse(text).expect("a literal of this file")
}

fn keys(era: u16, unproven: Option<Unproven>) -> Keys {
    let (root, deployment) = (RootKey::new([1; 32]), DeploymentId([7; 16]));
    let seed_keys = [(1, root.derive(Purpose::Wrap, deployment, 1))];
    let recovery = unproven.map(|unproven| Recovery { lost_from: NOW, lost_until: NOW, unproven });
    let keys = Keys::new(&root, deployment, era, &seed_keys).expect("a fixed, working set of keys");
    keys.with_recovery(recovery)
}

fn client(id: &str, holder: Holder) -> Client {
    let class = match holder {
        Holder::Key => Class::Key,
        Holder::Secret => Class::Secret,
        Holder::IdempotencyKey | Holder::Plain => Class::Public,
    };
    Client {
        id: client_id(id),
        name: String::new(),
        auth: AuthMethod::None,
        secrets: Vec::new(),
        redirect_uris: Vec::new(),
        grant_types: BTreeSet::from(GrantType::ALL),
        response_types: BTreeSet::new(),
        scopes: Scope::default(),
        resources: Resources::default(),
        require_pkce: true,
        may_introspect: false,
        introspection_algorithm: regrant_core::client::SignatureAlgorithm::Rs256,
        id_token_algorithm: regrant_core::client::SignatureAlgorithm::Rs256,
        userinfo_algorithm: None,
        subject_type: regrant_core::client::SubjectType::Public,
        default_max_age: None,
        refresh_tokens: regrant_core::client::RefreshTokens::Always,
        may_revoke_users: false,
        allowed_origins: Vec::new(),
        skip_consent: false,
        disabled: false,
        // Single-use, also where the class would have reusable tokens; and a replay always ends the grant: the harder case.
        policy: Policy { rotation: Rotation::SingleUse, on_replay: OnReplay::Revoke, ..Policy::of(class) },
        logout: regrant_core::client::LogoutSettings::default(),
    }
}

fn terms(holder: Holder, client: &Client, code: &Seed) -> Terms {
    Terms {
        client: client.id.clone(),
        subject: "usr_1".to_owned(),
        scope: Scope::default(),
        resources: Resources::default(),
        binding: match holder {
            Holder::Key => Binding::Key(holder_key()),
            Holder::Secret => Binding::Client,
            Holder::IdempotencyKey | Holder::Plain => Binding::Bearer,
        },
        rotation: Rotation::SingleUse,
        refreshable: true,
        authenticated_at: NOW,
        created_at: NOW,
        epoch: 0,
        session: None,
        openid: None,
        code: Some(CodeTerms {
            secret: code.hash(),
            challenge: Some(Hash::of(VERIFIER.as_bytes())),
            redirect_uri: None,
            expires_at: NOW.plus(Duration::from_secs(600)),
        }),
    }
}
