//! One client, one grant, one clock: what the stories are told with. Nothing here is a mock; all of it is values.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use regrant_core::client::{AuthMethod, Class, GrantType, OnReplay};
use regrant_core::grant::{Binding, Rotation};
use regrant_core::issue::{Granted, SubjectStatus};
use regrant_core::keys::{DeploymentId, KeySet, KeyStatus, RootKey};
use regrant_core::redeem::{self, CodeRequest, Consent};
use regrant_core::refresh::{self, Refreshed};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, RefreshToken};
use regrant_core::{
    Client, ClientId, Decision, Entropy, Grant, GrantId, Keys, Policy, Refusal, Resources, Scope, Seed, Timestamp,
    Write,
};

/// When every story begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// The code verifier of every story (RFC 7636 appendix B).
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The redirect URI of every story.
pub(crate) const REDIRECT_URI: &str = "https://app.example/callback";
/// How long codes live here.
pub(crate) const CODE_LIFETIME: Duration = seconds(60);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

pub(crate) fn scope(text: &str) -> Scope {
    Scope::parse(text).expect("a scope")
}

pub(crate) fn resources(uris: &[&str]) -> Resources {
    Resources::new(uris.iter().copied()).expect("resource indicators")
}

pub(crate) fn hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

/// Chance that is the same in every run, and another for each number.
pub(crate) fn entropy(number: u64) -> Entropy {
    let (one, two) = (Hash::of(&number.to_be_bytes()).0, Hash::of(&[&number.to_le_bytes()[..], b"more"].concat()).0);
    let mut bytes = [0; Entropy::LEN];
    bytes[..32].copy_from_slice(&one);
    bytes[32..].copy_from_slice(&two[..12]);
    Entropy::from_bytes(&bytes)
}

pub(crate) fn root() -> RootKey {
    RootKey::new([1; 32])
}

pub(crate) const DEPLOYMENT: DeploymentId = DeploymentId([7; 16]);

/// The keys of a deployment with one seed key and these tag keys.
pub(crate) fn keys(era: u16, tag_keys: &[(u8, KeyStatus)]) -> Keys {
    seeded_keys(era, tag_keys, &[1])
}

/// The same, with these seed keys.
pub(crate) fn seeded_keys(era: u16, tag_keys: &[(u8, KeyStatus)], seed_keys: &[u32]) -> Keys {
    let seed_keys: Vec<_> =
        seed_keys.iter().map(|id| (*id, zeroize::Zeroizing::new(Hash::of(&id.to_be_bytes()).0))).collect();
    let sealing = [(1, KeyStatus::Current)];
    let set = KeySet { tag: tag_keys, sealing: &sealing, seed: &seed_keys };
    Keys::of(&root(), DEPLOYMENT, era, set).expect("a working set")
}

/// A client of a class, allowed everything that the stories need. Single-use, so that there is something to tell.
pub(crate) fn client(id: &str, class: Class) -> Client {
    Client {
        id: ClientId::parse(id).expect("a client id"),
        name: "App".to_owned(),
        auth: if class == Class::Public { AuthMethod::None } else { AuthMethod::ClientSecretBasic },
        secrets: Vec::new(),
        redirect_uris: vec![REDIRECT_URI.to_owned()],
        grant_types: BTreeSet::from(GrantType::ALL),
        response_types: BTreeSet::from(["code".to_owned(), "token".to_owned()]),
        scopes: scope("email openid profile write"),
        resources: resources(&["https://api.example/", "https://files.example/", "https://mail.example/"]),
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
        policy: Policy { rotation: Rotation::SingleUse, ..Policy::of(class) },
        logout: regrant_core::client::LogoutSettings::default(),
    }
}

/// What a request carries besides the token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sends {
    pub(crate) scope: Option<Scope>,
    pub(crate) resources: Resources,
    pub(crate) idempotency_key: Option<Hash>,
    pub(crate) holder_key: Option<Hash>,
}

/// The state of one story. Cloning it tells the story with two endings.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) keys: Arc<Keys>,
    pub(crate) now: Timestamp,
    pub(crate) grant: Grant,
    pub(crate) subject: SubjectStatus,
    pub(crate) sends: Sends,
    /// The grant's first refresh token.
    pub(crate) first: RefreshToken,
    /// How much chance was drawn.
    pub(crate) drawn: u64,
}

impl World {
    /// A public client with nothing but its token.
    pub(crate) fn public() -> Self {
        Self::of(client("app", Class::Public))
    }

    /// A public client that sends an `Idempotency-Key` with every refresh; the first is "one".
    pub(crate) fn public_with_idempotency_key() -> Self {
        let mut world = Self::public();
        world.sends.idempotency_key = Some(hash("one"));
        world
    }

    /// A client with a secret whose tokens are single-use by setting.
    pub(crate) fn secret() -> Self {
        Self::of(client("app", Class::Secret))
    }

    /// A client with a key whose tokens are single-use by setting; a replay is only refused.
    pub(crate) fn key() -> Self {
        Self::of(client("app", Class::Key))
    }

    /// A public client whose tokens are bound to the key "mine" (DPoP).
    pub(crate) fn bound() -> Self {
        let mut world = Self::public();
        world.change_terms(|terms| terms.binding = Binding::Key(hash("mine")));
        world.sends.holder_key = Some(hash("mine"));
        world
    }

    /// A client with a secret and the defaults of its class: reusable tokens.
    pub(crate) fn reusable() -> Self {
        let mut client = client("app", Class::Secret);
        client.policy = Policy::of(Class::Secret);
        Self::of(client)
    }

    /// One world of each retry class.
    pub(crate) fn of_each_class() -> [Self; 5] {
        [Self::public(), Self::public_with_idempotency_key(), Self::secret(), Self::key(), Self::bound()]
    }

    /// A user gave this client a grant, and it redeemed the code at once.
    pub(crate) fn of(client: Client) -> Self {
        let keys = Arc::new(keys(0, &[(1, KeyStatus::Current)]));
        let (grant, code) = grant_with_code(&client, &keys, "email openid profile", &["https://api.example/"]);
        let none = Resources::default();
        let request = redeem::Request {
            code: &code,
            redirect_uri: Some(REDIRECT_URI),
            verifier: Some(VERIFIER),
            resources: &none,
        };
        let decision =
            redeem::decide(Some((&grant, SubjectStatus::Enabled)), &request, &client, &keys, START, &entropy(1));
        let issued = decision.outcome.expect("a first redemption");
        let first = issued.token.expect("a refresh token");
        let subject = SubjectStatus::Enabled;
        Self { client, keys, now: START, grant: issued.grant, subject, sends: Sends::default(), first, drawn: 1 }
    }

    /// Time passes.
    pub(crate) fn after(&mut self, duration: Duration) -> &mut Self {
        self.now = self.now.plus(duration);
        self
    }

    /// The same world at another moment.
    pub(crate) fn at(&self, moment: Timestamp) -> Self {
        Self { now: moment, ..self.clone() }
    }

    /// What the core says to this token, here and now. Nothing is carried out.
    pub(crate) fn decide(&mut self, token: &RefreshToken) -> Decision<Refreshed> {
        let entropy = self.draw();
        self.decide_as(token, &self.client, &entropy)
    }

    /// The same, presented by this client.
    pub(crate) fn decide_as(&self, token: &RefreshToken, client: &Client, entropy: &Entropy) -> Decision<Refreshed> {
        let request = refresh::Request {
            token,
            scope: self.sends.scope.as_ref(),
            resources: &self.sends.resources,
            idempotency_key: self.sends.idempotency_key,
            holder_key: self.sends.holder_key,
        };
        refresh::decide(Some((&self.grant, self.subject)), &request, client, &self.keys, self.now, entropy)
    }

    /// Presents this token and carries out what the core says.
    pub(crate) fn refresh(&mut self, token: &RefreshToken) -> Result<Refreshed, Refusal> {
        let decision = self.decide(token);
        self.carry_out(decision)
    }

    /// Presents this token, which must work, and returns what the client keeps.
    pub(crate) fn rotate(&mut self, token: &RefreshToken) -> RefreshToken {
        self.refresh(token).expect("a live token").token
    }

    /// Writes what a decision has to write, and tells its outcome.
    pub(crate) fn carry_out<T>(&mut self, decision: Decision<T>) -> Result<T, Refusal> {
        if let Write::Grant { grant, .. } = decision.write {
            assert_eq!(grant.version, self.grant.version + 1, "a write replaces exactly the version it was decided on");
            assert_ne!(grant.write_id, self.grant.write_id, "a write has a name of its own");
            self.grant = grant;
        }
        decision.outcome
    }

    /// Fresh chance.
    pub(crate) fn draw(&mut self) -> Entropy {
        self.drawn += 1;
        entropy(self.drawn)
    }

    /// A world that differs in what was granted.
    pub(crate) fn change_terms(&mut self, change: impl FnOnce(&mut regrant_core::Terms)) {
        let mut terms = (*self.grant.terms).clone();
        change(&mut terms);
        self.grant.terms = Arc::new(terms);
    }
}

/// A grant in its code state, with its code.
pub(crate) fn grant_with_code(client: &Client, keys: &Keys, granted: &str, audience: &[&str]) -> (Grant, Code) {
    let consent = Consent {
        subject: "usr_alice".to_owned(),
        granted: Granted { scope: scope(granted), resources: resources(audience) },
        authenticated_at: START.minus(seconds(30)),
        session: None,
        openid: None,
        epoch: 0,
    };
    let request = CodeRequest {
        challenge: Some(hash(VERIFIER)),
        redirect_uri: Some(REDIRECT_URI.to_owned()),
        lifetime: CODE_LIFETIME,
    };
    redeem::grant_with_code(GrantId { number: 1, random: 2 }, client, consent, &request, keys, START, &entropy(0))
}

/// The same token with another seed, as a leaked tag key or a restored store could bring it.
pub(crate) fn with_another_seed(token: &RefreshToken) -> RefreshToken {
    RefreshToken { seed: Seed::new([0xAB; 32]), ..token.clone() }
}

/// Settings that end a grant on a replay, or not.
pub(crate) fn on_replay(world: &mut World, on_replay: OnReplay) {
    world.client.policy.on_replay = on_replay;
}
