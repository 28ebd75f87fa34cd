//! RFC 6749 section 4.1, the authorization code: section 4.1.2: "The client MUST NOT use the authorization code more than once.
//! If an authorization code is used more than once, the authorization server MUST deny the request and SHOULD revoke (when
//! possible) all tokens previously issued based on that authorization code." Section 4.1.3 and RFC 7636 section 4.6: what the
//! code is bound to.

use regrant_core::client::{Class, GrantType, OnReplay};
use regrant_core::decision::Change;
use regrant_core::grant::{Binding, EndReason, Rotation};
use regrant_core::issue::{Granted, SubjectStatus};
use regrant_core::redeem::{self, Consent, Issued};
use regrant_core::token::Code;
use regrant_core::{
    Client, Decision, EventKind, Grant, GrantId, Keys, Policy, Refusal, Resources, Seed, Timestamp, Write,
};

use crate::world::{
    CODE_LIFETIME, REDIRECT_URI, START, VERIFIER, World, client, days, entropy, grant_with_code, keys, millis,
    resources, scope, seconds,
};
use regrant_core::keys::KeyStatus;

/// A code on its way to its client.
#[derive(Clone)]
struct Redemption {
    client: Client,
    grant: Grant,
    code: Code,
    redirect_uri: Option<&'static str>,
    verifier: Option<&'static str>,
    resources: Resources,
    subject: SubjectStatus,
    now: Timestamp,
}

impl Redemption {
    fn new() -> Self {
        Self::of(client("app", Class::Public))
    }

    fn of(client: Client) -> Self {
        let (grant, code) = grant_with_code(&client, &keys_now(), "openid profile", &["https://api.example/"]);
        let (redirect_uri, verifier) = (Some(REDIRECT_URI), Some(VERIFIER));
        let (resources, subject) = (Resources::default(), SubjectStatus::Enabled);
        Self { client, grant, code, redirect_uri, verifier, resources, subject, now: START }
    }

    fn decide(&self) -> Decision<Issued> {
        self.decide_with(&keys_now())
    }

    fn decide_with(&self, keys: &Keys) -> Decision<Issued> {
        let request = redeem::Request {
            code: &self.code,
            redirect_uri: self.redirect_uri,
            verifier: self.verifier,
            resources: &self.resources,
        };
        let grant = Some((&self.grant, self.subject));
        redeem::decide(grant, &request, &self.client, keys, self.now, &entropy(self.grant.version))
    }

    fn redeem(&mut self) -> Result<Issued, Refusal> {
        let decision = self.decide();
        if let regrant_core::Write::Grant { grant, .. } = decision.write {
            assert_eq!(grant.version, self.grant.version + 1);
            self.grant = grant;
        }
        decision.outcome
    }

    fn after(&self, duration: std::time::Duration) -> Self {
        Self { now: self.now.plus(duration), ..self.clone() }
    }
}

fn keys_now() -> Keys {
    keys(0, &[(1, KeyStatus::Current)])
}

/// Something done to a redemption before it is decided.
type Spoil = fn(&mut Redemption);

/// The ways to ask wrongly for a code that was stolen, and what each is told inside.
fn wrong_in_one_thing() -> Vec<(&'static str, Spoil, Refusal)> {
    vec![
        ("another client", |r| r.client = client("other", Class::Public), Refusal::OtherClient),
        ("another secret", |r| r.code.seed = Seed::new([3; 32]), Refusal::CodeForged),
        (
            "another redirect_uri",
            |r| r.redirect_uri = Some("https://app.example/callback/"),
            Refusal::RedirectUriMismatch,
        ),
        ("no redirect_uri", |r| r.redirect_uri = None, Refusal::RedirectUriMismatch),
        ("no verifier", |r| r.verifier = None, Refusal::VerifierMissing),
        ("an empty verifier", |r| r.verifier = Some(""), Refusal::VerifierMissing),
        ("a short verifier", |r| r.verifier = Some("short"), Refusal::VerifierMalformed),
        ("a wrong verifier", |r| r.verifier = Some(REDIRECT_VERIFIER), Refusal::VerifierWrong),
        ("another grant", |r| r.code.grant.random += 1, Refusal::UnknownGrant),
    ]
}

const REDIRECT_VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK";

/// A code makes its grant, which lives from then on by its own clocks.
#[test]
fn a_code_is_redeemed_once_and_makes_its_grant() {
    let mut story = Redemption::new().after(seconds(7));
    let decision = story.decide();
    assert_eq!(decision.write.change(), Change::Redeemed);
    assert_eq!(decision.event.as_ref().map(|event| event.kind), Some(EventKind::GrantCreated));
    let issued = story.redeem().expect("a first redemption");
    let row = &story.grant;
    assert_eq!((row.generation, row.redeemed_at, row.ratchet), (1, Some(story.now), None));
    assert_eq!(row.current, issued.token.map(|token| token.seed.hash()));
    assert_eq!(row.idle_at, story.now.plus(Policy::IDLE_LIFETIME), "both clocks start at the redemption");
    assert_eq!(row.absolute_at, story.now.plus(Policy::ABSOLUTE_LIFETIME));
    assert_eq!(row.terms.authenticated_at, START.minus(seconds(30)));
    assert_eq!(
        issued.granted,
        Granted { scope: scope("openid profile"), resources: resources(&["https://api.example/"]) }
    );
}

/// Check A2: a code works until its instant, and not at it.
#[test]
fn a_code_is_over_at_its_instant() {
    let mut story = Redemption::new();
    assert!(story.after(CODE_LIFETIME.saturating_sub(millis(1))).redeem().is_ok());
    for late in [CODE_LIFETIME, CODE_LIFETIME + seconds(1), days(9)] {
        let decision = story.after(late).decide();
        assert_eq!(decision.write.change(), Change::Nothing);
        assert_eq!(decision.outcome.map(|_| ()), Err(Refusal::CodeExpired));
    }
    assert!(story.redeem().is_ok(), "nothing was consumed");
}

/// RFC 6749 section 4.1.2: the code has its own expiry. Until it is redeemed both clocks of its row stand there, for by these a store
/// knows which rows it may forget.
#[test]
fn the_row_of_a_code_is_kept_until_the_code_is_over() {
    let (row, end) = (Redemption::new().grant, START.plus(CODE_LIFETIME));
    assert_eq!((row.idle_at, row.absolute_at), (end, end));
    assert!(!row.is_over(end.minus(millis(1))) && row.is_over(end));
}

/// Checks A3, L3: within 500 ms a second presentation is refused only; from then on it ends the grant that the code made,
/// also after the code's own expiry and where replays of refresh tokens are only refused.
#[test]
fn a_code_presented_again_ends_its_grant() {
    let mut story = Redemption::of(client("app", Class::Key));
    assert_eq!(story.client.policy.on_replay, OnReplay::Refuse);
    story.redeem().expect("a first redemption");
    for soon in [millis(0), millis(499)] {
        let again = story.after(soon).decide();
        assert_eq!(again.write.change(), Change::Nothing);
        assert_eq!(again.event.map(|event| event.kind), Some(EventKind::Refused(Refusal::CodeSpent)));
        assert_eq!(again.outcome.map(|_| ()), Err(Refusal::CodeSpent));
    }
    for late in [millis(500), seconds(59), seconds(61), days(20)] {
        let mut story = story.after(late);
        let again = story.decide();
        assert_eq!(again.event.as_ref().map(|event| event.kind), Some(EventKind::GrantEnded(EndReason::CodeReplayed)));
        assert_eq!(story.redeem().map(|_| ()), Err(Refusal::CodeReplayed));
        assert_eq!(story.grant.ended, Some((story.now, EndReason::CodeReplayed)));
        let third = story.decide();
        assert_eq!(third.write.change(), Change::Nothing, "a grant ends once");
        assert_eq!(third.outcome.map(|_| ()), Err(Refusal::Ended(EndReason::CodeReplayed)));
    }
}

/// Check A3: the tokens that came of the code end with it.
#[test]
fn what_a_replayed_code_made_is_refused() {
    let mut world = World::public();
    let (_, code) = grant_with_code(&world.client, &world.keys, "email openid profile", &["https://api.example/"]);
    let first = world.first.clone();
    let live = world.rotate(&first);
    let none = Resources::default();
    let request =
        redeem::Request { code: &code, redirect_uri: Some(REDIRECT_URI), verifier: Some(VERIFIER), resources: &none };
    world.after(seconds(2));
    let entropy = world.draw();
    let grant = Some((&world.grant, SubjectStatus::Enabled));
    let replay = redeem::decide(grant, &request, &world.client, &world.keys, world.now, &entropy);
    assert_eq!(world.carry_out(replay).map(|_| ()), Err(Refusal::CodeReplayed));
    assert_eq!(world.refresh(&live).map(|_| ()), Err(Refusal::Ended(EndReason::CodeReplayed)));
}

/// Checks A4, A5, A6, P1, L11: a code that is asked for wrongly is refused without a write, before and after its
/// redemption: whoever finds a code in a log can neither use it nor end its grant.
#[test]
fn a_code_asked_for_wrongly_changes_nothing() {
    let fresh = Redemption::new();
    let mut redeemed = fresh.clone();
    redeemed.redeem().expect("a first redemption");
    for (name, spoil, expected) in wrong_in_one_thing() {
        for before in [fresh.clone(), redeemed.after(seconds(2)), fresh.after(days(1))] {
            let mut story = before;
            spoil(&mut story);
            let decision = story.decide();
            assert_eq!(decision.write.change(), Change::Nothing, "{name}");
            let told = decision.event.map(|event| event.kind);
            assert_eq!(told, (expected != Refusal::UnknownGrant).then_some(EventKind::Refused(expected)), "{name}");
            assert_eq!(decision.outcome.map(|_| ()), Err(expected), "{name}");
        }
    }
}

/// Check P2: a verifier where no challenge was sent is refused, or an attacker could strip the challenge; likewise a
/// `redirect_uri` that the authorization request did not carry.
#[test]
fn a_verifier_or_redirect_uri_out_of_nowhere_is_refused() {
    let change = |story: &mut Redemption, change: fn(&mut regrant_core::grant::CodeTerms)| {
        let mut terms = (*story.grant.terms).clone();
        change(terms.code.as_mut().expect("a code"));
        story.grant.terms = terms.into();
    };
    let mut story = Redemption::new();
    change(&mut story, |code| code.challenge = None);
    assert_eq!(story.redeem().map(|_| ()), Err(Refusal::VerifierUnexpected));
    story.verifier = None;
    change(&mut story, |code| code.redirect_uri = None);
    assert_eq!(story.clone().redeem().map(|_| ()), Err(Refusal::RedirectUriMismatch));
    story.redirect_uri = None;
    assert!(story.redeem().is_ok(), "what was never sent need not come");
}

/// Checks A8, L1: a decision that was never committed redeemed nothing; one that was, is never made again.
#[test]
fn a_crash_before_the_commit_leaves_the_code() {
    let mut story = Redemption::new();
    let _lost = story.decide();
    assert!(story.redeem().is_ok());
    assert_eq!(story.redeem().map(|_| ()), Err(Refusal::CodeSpent), "a code is never retried");
}

/// Law L7: without the `refresh_token` grant type there is no refresh token, and the grant ends with its access token.
#[test]
fn a_client_that_may_not_refresh_gets_no_refresh_token() {
    let mut once = client("app", Class::Secret);
    once.grant_types.remove(&GrantType::RefreshToken);
    let mut story = Redemption::of(once);
    let issued = story.redeem().expect("a first redemption");
    assert_eq!(issued.token, None);
    assert_eq!((story.grant.generation, story.grant.current), (0, None));
    assert_eq!(story.grant.ends_at(), START.plus(Policy::ACCESS_TOKEN_LIFETIME));
    assert_eq!(issued.expires_in, 3600);
    assert_eq!(story.after(seconds(2)).redeem().map(|_| ()), Err(Refusal::CodeReplayed));
}

/// What was allowed at the authorization endpoint is asked again at the token endpoint.
#[test]
fn what_was_withdrawn_since_is_not_issued() {
    let withdraw: [(Spoil, Refusal); 6] = [
        (|r| r.client.disabled = true, Refusal::ClientDisabled),
        (|r| _ = r.client.grant_types.remove(&GrantType::AuthorizationCode), Refusal::GrantTypeNotAllowed),
        (|r| r.subject = SubjectStatus::Disabled, Refusal::SubjectDisabled),
        (|r| r.subject = SubjectStatus::Gone, Refusal::SubjectGone),
        (|r| r.client.scopes = scope("write"), Refusal::ScopeNotAllowed),
        (|r| r.resources = resources(&["https://files.example/"]), Refusal::TargetExceeded),
    ];
    for (withdraw, expected) in withdraw {
        let mut story = Redemption::new();
        withdraw(&mut story);
        let decision = story.decide();
        assert_eq!(decision.write.change(), Change::Nothing);
        assert_eq!(decision.outcome.map(|_| ()), Err(expected));
    }
}

/// A grant that an operator ended before its code was redeemed stays ended.
#[test]
fn the_code_of_an_ended_grant_is_refused() {
    let mut story = Redemption::new();
    story.grant.ended = Some((START, EndReason::RevokedByOperator));
    assert_eq!(story.redeem().map(|_| ()), Err(Refusal::Ended(EndReason::RevokedByOperator)));
}

/// What binds the tokens is fixed by what the client could prove when the grant was made.
#[test]
fn the_binding_follows_the_class() {
    for (class, binding) in
        [(Class::Public, Binding::Bearer), (Class::Secret, Binding::Client), (Class::Key, Binding::Client)]
    {
        let terms = Redemption::of(client("app", class)).grant.terms;
        assert_eq!((terms.binding, terms.rotation, terms.refreshable), (binding, Rotation::SingleUse, true));
    }
}

/// A grant without a code (the password grant) begins at generation 1 at once, and no code can be presented for it.
#[test]
fn a_grant_without_a_code_begins_at_once() {
    let (app, id) = (client("app", Class::Secret), GrantId { number: 1, random: 2 });
    let consent = Consent {
        subject: "usr_alice".to_owned(),
        granted: Granted { scope: scope("openid"), resources: Resources::default() },
        authenticated_at: START,
        session: None,
        openid: None,
        epoch: 0,
    };
    let decision = redeem::grant_at_once(id, &app, consent, &keys_now(), START, &entropy(4));
    assert_eq!(decision.write.change(), Change::Created);
    let issued = decision.outcome.expect("a grant");
    assert_eq!(issued.token.map(|token| token.generation), Some(1));
    assert_eq!((issued.grant.version, issued.grant.redeemed_at), (1, Some(START)));
    let mut story = Redemption { grant: issued.grant, ..Redemption::new() };
    assert_eq!(story.redeem().map(|_| ()), Err(Refusal::UnknownGrant));
}

/// A clock that steps back behind the redemption still refuses the second presentation.
#[test]
fn a_clock_that_steps_back_redeems_no_code_again() {
    let mut story = Redemption::new();
    story.redeem().expect("a first redemption");
    story.now = START.minus(days(30));
    assert_eq!(story.redeem().map(|_| ()), Err(Refusal::CodeSpent));
}

/// Check T35: the statuses of a tag key against the ages of a code that it tagged. Under a compromised one a code still works by
/// its secret; presented again, it is refused and ends nothing.
#[test]
fn the_status_of_the_key_and_the_age_of_the_code() {
    use KeyStatus::{Compromised, Current, Gone, Next, Verify};
    let text = Redemption::new().code.text(&keys_now()).expect("its key");
    for (status, again) in [
        (Next, Err(Refusal::CodeReplayed)),
        (Current, Err(Refusal::CodeReplayed)),
        (Verify, Err(Refusal::CodeReplayed)),
        (Compromised, Err(Refusal::SpentUnderCompromisedKey)),
        (Gone, Err(Refusal::NotOurs)),
    ] {
        let other = if status == Current { Verify } else { Current };
        let keys = keys(0, &[(1, status), (2, other)]);
        let opened = Code::open(&text, &keys);
        assert_eq!(opened.is_none(), status == Gone);
        let Some(code) = opened else { continue };
        let mut redemption = Redemption { code, ..Redemption::new() };
        let first = redemption.decide_with(&keys);
        let Write::Grant { grant, .. } = first.write else { panic!("a redemption writes") };
        assert!(first.outcome.is_ok(), "{status:?}");
        (redemption.grant, redemption.now) = (grant, START.plus(seconds(30)));
        let second = redemption.decide_with(&keys);
        assert_eq!(second.outcome.map(|_| ()), again, "{status:?}");
        assert!(second.event.is_some(), "an operator hears of it");
        assert_eq!(second.write.change() == Change::Nothing, status == Compromised, "{status:?}");
    }
}

/// The redemption begins the grant's life: every clock, the era and the tag key are those of that moment, not of the login.
#[test]
fn a_redemption_starts_every_clock_and_is_of_its_own_era() {
    let mut redemption = Redemption::new().after(seconds(20));
    let keys = keys(1, &[(1, KeyStatus::Verify), (2, KeyStatus::Current)]);
    redemption.code.era = 1;
    let decision = redemption.decide_with(&keys);
    let Write::Grant { grant: row, .. } = decision.write else { panic!("{:?}", decision.outcome) };
    assert_eq!((row.tag_key, row.era), (2, 1));
    assert_eq!([row.rotated_at, row.previously_rotated_at, row.answered_at], [redemption.now; 3]);
    assert_eq!(row.redeemed_at, Some(redemption.now));
}

/// An operator reads which kind of code it was.
#[test]
fn a_refused_code_is_named_for_what_it_is() {
    let stolen = Redemption { client: client("other", Class::Public), ..Redemption::new() };
    assert_eq!(stolen.decide().event.map(|event| event.detail).as_deref(), Some("authorization code"));
}
