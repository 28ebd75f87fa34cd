//! May this client have this, in this way, for this user? One function for all flows, and every cell of its matrix.

use std::collections::HashSet;

use regrant_core::client::{Class, GrantType};
use regrant_core::grant::EndReason;
use regrant_core::issue::{Ask, Granted, Held, SubjectStatus, verdict};
use regrant_core::{Client, Refusal, Resources, Scope};

use crate::world::{client, resources, scope, seconds};

/// A question, owned, so that a cell can spoil it.
#[derive(Clone)]
struct Question {
    client: Client,
    grant_type: GrantType,
    subject: SubjectStatus,
    scope: Option<Scope>,
    resources: Resources,
    held: Option<(Scope, Resources)>,
}

impl Question {
    /// As good as each flow can be.
    fn good(grant_type: GrantType) -> Self {
        let held = matches!(grant_type, GrantType::RefreshToken | GrantType::AuthorizationCode | GrantType::DeviceCode);
        Self {
            client: client("app", Class::Secret),
            grant_type,
            subject: if grant_type == GrantType::ClientCredentials {
                SubjectStatus::None
            } else {
                SubjectStatus::Enabled
            },
            scope: Some(scope("openid")),
            resources: resources(&["https://api.example/"]),
            held: held
                .then(|| (scope("openid profile"), resources(&["https://api.example/", "https://files.example/"]))),
        }
    }

    fn asked(&self) -> Result<Granted, Refusal> {
        verdict(&Ask {
            client: &self.client,
            grant_type: self.grant_type,
            subject: self.subject,
            scope: self.scope.as_ref(),
            resources: &self.resources,
            held: self.held.as_ref().map(|(scope, resources)| Held { scope, resources }),
        })
    }
}

/// Something that makes a good question a bad one.
type Spoil = fn(&mut Question);

/// What can be wrong, in the order in which it is told.
const WRONGS: [(Spoil, Refusal); 7] = [
    (|q| q.client.disabled = true, Refusal::ClientDisabled),
    (|q| _ = q.client.grant_types.remove(&q.grant_type), Refusal::GrantTypeNotAllowed),
    (|q| q.subject = SubjectStatus::Disabled, Refusal::SubjectDisabled),
    (|q| q.subject = SubjectStatus::Gone, Refusal::SubjectGone),
    (|q| q.subject = SubjectStatus::Paused, Refusal::ConsentPaused),
    (|q| q.client.scopes = scope("profile"), Refusal::ScopeNotAllowed),
    (|q| q.client.resources = resources(&["https://mail.example/"]), Refusal::TargetNotAllowed),
];

/// Check M1: all flows against everything that can be wrong, alone and in pairs: the first in the documented order is told.
#[test]
fn every_flow_and_everything_that_can_be_wrong() {
    for grant_type in GrantType::ALL {
        let good = Question::good(grant_type);
        assert!(good.asked().is_ok(), "{grant_type:?}");
        for (first, (spoil, expected)) in WRONGS.iter().enumerate() {
            let mut question = good.clone();
            spoil(&mut question);
            assert_eq!(question.asked(), Err(*expected), "{grant_type:?}");
            for (also, _) in &WRONGS[first + 1..] {
                let mut question = question.clone();
                also(&mut question);
                let told = question.asked().expect_err("two things are wrong");
                // Of the states of one user only the later assignment can hold.
                let user = [Refusal::SubjectDisabled, Refusal::SubjectGone, Refusal::ConsentPaused];
                assert!(told == *expected || (user.contains(&told) && user.contains(expected)), "{grant_type:?}");
            }
        }
    }
}

/// Check M1: what was granted before bounds a refresh and a redemption, whatever the client may have otherwise.
#[test]
fn what_is_held_bounds_what_is_had() {
    for grant_type in [GrantType::RefreshToken, GrantType::AuthorizationCode] {
        let mut question = Question::good(grant_type);
        question.scope = Some(scope("openid write"));
        assert_eq!(question.asked(), Err(Refusal::ScopeExceeded));
        question.scope = None;
        question.resources = resources(&["https://mail.example/"]);
        assert_eq!(question.asked(), Err(Refusal::TargetExceeded));
        question.resources = Resources::default();
        let all = question.asked().expect("nothing asked for");
        assert_eq!((all.scope, all.resources), question.held.clone().expect("held"));
    }
}

/// An operator reads what would have been accepted, and nothing of what was asked for.
#[test]
fn an_operator_reads_what_would_have_been_accepted() {
    let mut world = crate::world::World::public();
    world.sends.scope = Some(scope("openid everything"));
    let token = world.first.clone();
    let decision = world.decide(&token);
    assert_eq!(decision.outcome.as_ref().map(|_| ()), Err(&Refusal::ScopeExceeded));
    let detail = decision.event.expect("told of").detail;
    let (held, allowed) = (&world.grant.terms, &world.client);
    let (scope, resources) =
        (held.scope.intersection(&allowed.scopes), held.resources.intersection(&allowed.resources));
    assert_eq!(detail, format!("would have been accepted: scope \"{scope}\", resources \"{resources}\""));
    assert!(detail.contains("openid") && !detail.contains("everything"), "{detail}");
}

/// Without a grant, asking for nothing asks for all that the client may have.
#[test]
fn asking_for_nothing_asks_for_all() {
    for grant_type in [GrantType::Implicit, GrantType::Password, GrantType::ClientCredentials] {
        let question = Question { scope: None, resources: Resources::default(), ..Question::good(grant_type) };
        let granted = question.asked().expect("allowed");
        assert_eq!((granted.scope, granted.resources), (question.client.scopes, question.client.resources));
    }
}

/// A grant of nothing in particular stays that: an empty scope and the server's own audience are no refusal.
#[test]
fn an_empty_grant_is_refreshed_as_it_is() {
    let mut question = Question::good(GrantType::RefreshToken);
    (question.scope, question.resources) = (None, Resources::default());
    question.held = Some((Scope::default(), Resources::default()));
    assert_eq!(question.asked(), Ok(Granted { scope: Scope::default(), resources: Resources::default() }));
    question.scope = Some(scope("openid"));
    assert_eq!(question.asked(), Err(Refusal::ScopeExceeded), "nothing was granted, so anything is more");
}

/// Checks F1, F2, T38: a flow that was not registered is refused whatever else is right.
#[test]
fn no_flow_is_open_unless_it_was_registered() {
    for grant_type in GrantType::ALL {
        let mut question = Question::good(grant_type);
        question.client.grant_types.clear();
        assert_eq!(question.asked(), Err(Refusal::GrantTypeNotAllowed));
    }
}

/// Law L12: every refusal has a reason of its own; no two share a code.
#[test]
fn every_refusal_has_its_own_reason() {
    use Refusal::*;
    let refusals = [
        NotOurs,
        NotPrepared,
        UnknownGrant,
        OtherClient,
        OtherKey,
        TamperedRow,
        IdleExpired,
        AbsoluteExpired,
        SubjectDisabled,
        SubjectGone,
        ClientDisabled,
        GrantTypeNotAllowed,
        NotRefreshable,
        ReusableForPublic,
        ConsentPaused,
        ConsentOver,
        ScopeExceeded,
        ScopeNotAllowed,
        TargetExceeded,
        TargetNotAllowed,
        Straggler { retry_after: seconds(2) },
        SeedKeyNotYet,
        SeedKeyGone,
        Replayed,
        ReplayRefused,
        SpentUnderCompromisedKey,
        Unissued,
        EraAhead,
        EraPast,
        Superseded,
        Lost,
        ImpossibleGeneration,
        GenerationsExhausted,
        CodeExpired,
        CodeSpent,
        CodeReplayed,
        CodeForged,
        DevicePending,
        DeviceTooFast,
        DeviceDenied,
        DeviceCodeExpired,
        RedirectUriMismatch,
        VerifierMissing,
        VerifierUnexpected,
        VerifierMalformed,
        VerifierWrong,
        WrongPassword,
    ];
    let ended = EndReason::ALL.into_iter().map(Ended);
    let mut seen = HashSet::new();
    for refusal in refusals.into_iter().chain(ended) {
        let code = refusal.as_str();
        assert!(seen.insert(code), "{code}");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
    }
    assert_eq!(seen.len(), 74);
}
