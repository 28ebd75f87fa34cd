//! RFC 7662, Token Introspection, section 2.2: "active": "a given token has been issued by this authorization server, has not been
//! revoked by the resource owner, and is within its given time window of validity".

use regrant_core::access::AccessToken;
use regrant_core::client::{Class, GrantType};
use regrant_core::grant::EndReason;
use regrant_core::introspect::{access_is_active, refresh_is_active, refresh_yields, shrunk};
use regrant_core::issue::{Granted, SubjectStatus};
use regrant_core::token::RefreshToken;
use regrant_core::{Client, Refusal};

use crate::world::{START, World, client, days, grant_with_code, millis, resources, scope, seconds, with_another_seed};

const ENABLED: SubjectStatus = SubjectStatus::Enabled;

fn access_token(world: &World) -> AccessToken {
    AccessToken {
        grant: Some((world.grant.id.number, world.grant.generation)),
        client: world.client.id.to_string(),
        subject: world.grant.terms.subject.clone(),
        scope: "openid".to_owned(),
        audience: vec!["https://api.example/".to_owned()],
        issued_at: world.now.seconds(),
        expires_at: world.now.seconds() + 3600,
        authenticated_at: None,
        jti: "jti".to_owned(),
        session: None,
        more: String::new(),
    }
}

/// Only the token that a refresh would rotate is active; to ask changes nothing, for it takes everything by reference.
#[test]
fn only_the_live_refresh_token_is_active() {
    let mut world = World::public();
    let first = world.first.clone();
    assert!(refresh_is_active(&first, &world.grant, ENABLED, world.now));
    let live = world.rotate(&first);
    assert!(refresh_is_active(&live, &world.grant, ENABLED, world.now));
    let future = RefreshToken { generation: 3, ..live.clone() };
    for token in [first, with_another_seed(&live), future, RefreshToken { generation: 0, ..live }] {
        assert!(!refresh_is_active(&token, &world.grant, ENABLED, world.now));
    }
}

/// Checks T22, T23, L9: what ended with its grant, its user or its clocks is inactive at once.
#[test]
fn nothing_of_an_ended_grant_is_active() {
    let world = World::public();
    let (access, refresh) = (access_token(&world), world.first.clone());
    assert!(access_is_active(&access, Some(&world.grant), ENABLED, world.now));
    let mut ended = world.clone();
    ended.grant.ended = Some((START, EndReason::RevokedByUser));
    let mut other = world.clone();
    other.grant.id.number += 1;
    let mut another_random_half = world.clone();
    another_random_half.grant.id.random += 1;
    for (story, subject, moment) in [
        (&ended, ENABLED, START),
        (&other, ENABLED, START),
        (&world, SubjectStatus::Disabled, START),
        (&world, SubjectStatus::Gone, START),
        (&world, ENABLED, START.plus(days(30))),
    ] {
        assert!(!access_is_active(&access, Some(&story.grant), subject, moment));
        assert!(!refresh_is_active(&refresh, &story.grant, subject, moment));
    }
    assert!(!refresh_is_active(&refresh, &another_random_half.grant, ENABLED, START));
    assert!(!access_is_active(&access, None, ENABLED, START), "its grant is not there");
}

/// An access token is over at its instant, whatever its grant does.
#[test]
fn an_access_token_is_over_at_its_instant() {
    let world = World::public();
    let access = access_token(&world);
    let end = START.plus(seconds(3600));
    assert!(access_is_active(&access, Some(&world.grant), ENABLED, end.minus(millis(1))));
    assert!(!access_is_active(&access, Some(&world.grant), ENABLED, end));
    for absurd in [i64::MIN, -1, 0] {
        assert!(!access_is_active(
            &AccessToken { expires_at: absurd, ..access.clone() },
            Some(&world.grant),
            ENABLED,
            START
        ));
    }
    assert!(access_is_active(&AccessToken { expires_at: i64::MAX, ..access }, Some(&world.grant), ENABLED, START));
}

/// Access tokens of earlier generations live on until they end by themselves; those of later ones are not vouched for.
#[test]
fn an_access_token_of_a_later_generation_is_not_vouched_for() {
    let mut world = World::public();
    let first = world.first.clone();
    world.rotate(&first);
    for (generation, active) in [(1, true), (2, true), (3, false), (u32::MAX, false)] {
        let access = AccessToken { grant: Some((1, generation)), ..access_token(&world) };
        assert_eq!(access_is_active(&access, Some(&world.grant), ENABLED, world.now), active);
    }
}

/// An access token names its client, and the row must agree; while there is only a code, nothing was issued.
#[test]
fn an_access_token_must_fit_its_grant() {
    let world = World::public();
    let other = AccessToken { client: "other".to_owned(), ..access_token(&world) };
    assert!(!access_is_active(&other, Some(&world.grant), ENABLED, world.now));
    let (grant, _) = grant_with_code(&world.client, &world.keys, "openid", &[]);
    let access = AccessToken { grant: Some((1, 0)), ..access_token(&world) };
    assert!(!access_is_active(&access, Some(&grant), ENABLED, world.now));
}

/// A token without a grant (client credentials) stands alone.
#[test]
fn a_token_without_a_grant_stands_alone() {
    let world = World::public();
    let alone = AccessToken { grant: None, ..access_token(&world) };
    assert!(access_is_active(&alone, None, SubjectStatus::None, world.now));
    assert!(!access_is_active(&alone, None, SubjectStatus::None, START.plus(seconds(3600))));
}

/// A grant without refresh tokens has no active one.
#[test]
fn a_grant_that_promised_no_refresh_token_has_no_active_one() {
    let mut world = World::public();
    world.change_terms(|terms| terms.refreshable = false);
    assert!(!refresh_is_active(&world.first, &world.grant, ENABLED, world.now));
}

/// A refresh refuses generation 0, whatever the row says (it is never minted), and so it is not active either.
#[test]
fn a_token_that_a_refresh_calls_impossible_is_not_active() {
    let mut world = World::public();
    let impossible = RefreshToken { generation: 0, ..world.first.clone() };
    world.grant.generation = 0;
    assert_eq!(world.decide(&impossible).outcome.map(|_| ()), Err(Refusal::ImpossibleGeneration));
    assert!(!refresh_is_active(&impossible, &world.grant, ENABLED, world.now));
}

/// What the user said about the client since counts for both kinds of token at once: a pause, and an end at its instant. No user at all is
/// behind no refresh token.
#[test]
fn what_the_user_paused_or_ended_is_not_active() {
    let world = World::public();
    let (access, refresh, end) = (access_token(&world), world.first.clone(), START.plus(seconds(60)));
    for (subject, moment, active) in [
        (SubjectStatus::Paused, START, false),
        (SubjectStatus::Until(end), end.minus(millis(1)), true),
        (SubjectStatus::Until(end), end, false),
    ] {
        assert_eq!(access_is_active(&access, Some(&world.grant), subject, moment), active, "{subject:?}");
        assert_eq!(refresh_is_active(&refresh, &world.grant, subject, moment), active, "{subject:?}");
        let alone = AccessToken { grant: None, ..access.clone() };
        assert_eq!(access_is_active(&alone, None, subject, moment), active, "{subject:?}");
    }
    assert!(!refresh_is_active(&refresh, &world.grant, SubjectStatus::None, START));
}

/// Checks T23 to T29: what introspection says of a refresh token is what a refresh would yield now, and where a refresh would be refused the
/// token is not active.
#[test]
fn a_refresh_token_is_worth_what_a_refresh_would_yield() {
    let world = World::public();
    let yields = |client: &Client| refresh_yields(&world.first, &world.grant, ENABLED, client, world.now);
    let all = Granted { scope: scope("email openid profile"), resources: resources(&["https://api.example/"]) };
    assert_eq!(yields(&world.client), Some(all.clone()));
    let less = Client { scopes: scope("openid write"), ..world.client.clone() };
    assert_eq!(yields(&less), Some(Granted { scope: scope("openid"), ..all }));
    let mut barred = world.client.clone();
    barred.grant_types.remove(&GrantType::RefreshToken);
    for refused in [
        Client { scopes: scope("write"), ..world.client.clone() },
        Client { resources: resources(&["https://files.example/"]), ..world.client.clone() },
        Client { disabled: true, ..world.client.clone() },
        barred,
        client("other", Class::Public),
    ] {
        assert_eq!(yields(&refused), None);
    }
    assert_eq!(refresh_yields(&with_another_seed(&world.first), &world.grant, ENABLED, &world.client, START), None);
}

/// The same of an access token: it says no more than its client may have still, and where nothing of its scope or of its audience is left it
/// is not active. What never had a scope, or is for nobody in particular, has lost nothing.
#[test]
fn an_access_token_says_what_its_client_may_have_still() {
    const ISSUER: &str = "https://issuer.example";
    let world = World::public();
    let token = |scope: &str, audience: &[&str]| AccessToken {
        scope: scope.to_owned(),
        audience: audience.iter().map(|uri| (*uri).to_owned()).collect(),
        ..access_token(&world)
    };
    let client = Client { scopes: scope("openid"), resources: resources(&["urn:a"]), ..world.client.clone() };
    for (scope, audience, left) in [
        ("openid", &["urn:a"][..], Some(("openid", &["urn:a"][..]))),
        ("openid profile", &["urn:a", "urn:b"], Some(("openid", &["urn:a"]))),
        ("openid", &[ISSUER], Some(("openid", &[ISSUER]))),
        ("openid", &["urn:b", ISSUER], Some(("openid", &[ISSUER]))),
        ("openid", &[], Some(("openid", &[]))),
        ("", &["urn:a"], Some(("", &["urn:a"]))),
        ("", &[], Some(("", &[]))),
        ("profile", &["urn:a"], None),
        ("profile", &[], None),
        ("openid", &["urn:b"], None),
        ("", &["urn:b"], None),
        ("profile", &["urn:b"], None),
    ] {
        let left = left.map(|(scope, audience)| token(scope, audience));
        assert_eq!(shrunk(token(scope, audience), &client, ISSUER), left, "{scope:?} {audience:?}");
    }
}
