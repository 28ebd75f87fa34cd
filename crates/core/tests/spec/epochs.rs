//! Wide revocations: what they cover, and that what they cover is over for everybody.

use std::sync::Arc;

use regrant_core::access::AccessToken;
use regrant_core::grant::EndReason;
use regrant_core::issue::SubjectStatus;
use regrant_core::{Epoch, Grant, Refusal, Selector, Terms, introspect};

use crate::world::{START, World, scope, seconds};

fn everything(number: u64) -> Epoch {
    let selector = Selector { subject: Some("usr_alice".to_owned()), ..Selector::default() };
    let reason = selector.reason();
    Epoch { number, at: START, selector, reason, detail: String::new(), undo_until: None, undone_at: None }
}

fn made_after(grant: &Grant, epoch: u64) -> Grant {
    Grant { terms: Arc::new(Terms { epoch, ..(*grant.terms).clone() }), ..grant.clone() }
}

/// Law L10: the counter decides, not the clock.
#[test]
fn order_comes_from_the_counter() {
    let grant = World::public().grant;
    let made_after = |epoch| made_after(&grant, epoch);
    let epoch = Epoch { at: START.minus(seconds(1_000_000)), ..everything(5) };
    for (made, covered) in [(0, true), (4, true), (5, false), (6, false), (u64::MAX, false)] {
        assert_eq!(epoch.covers(&made_after(made)), covered, "{made}");
    }
    assert!(!Epoch { undone_at: Some(START), ..epoch }.covers(&made_after(0)));
}

/// "Issued before T" is a question of time, and its own instant is not before it.
#[test]
fn issued_before_looks_at_the_time_alone() {
    let grant = made_after(&World::public().grant, 9);
    let created_at = grant.terms.created_at;
    let before = |time| {
        let selector = Selector { issued_before: Some(time), ..Selector::default() };
        Epoch { selector, ..everything(1) }.covers(&grant)
    };
    assert!(before(created_at.plus(std::time::Duration::from_millis(1))));
    assert!(!before(created_at) && !before(created_at.minus(seconds(1))));
}

/// Law L9: whatever is asked of a covered grant, it has ended; and a grant that had ended keeps its reason.
#[test]
fn a_covered_grant_is_ended_for_everybody() {
    let mut world = World::public();
    let live = world.first.clone();
    let covered = Some(everything(1).covered());
    world.grant = world.grant.clone().seen_under(covered);
    assert_eq!(world.refresh(&live).map(|_| ()), Err(Refusal::Ended(EndReason::UserRevoked)));
    assert!(!introspect::refresh_is_active(&live, &world.grant, SubjectStatus::Enabled, world.now));
    assert!(world.grant.is_over(world.now));
    let again = Epoch { reason: EndReason::PasswordChanged, ..everything(2) }.covered();
    assert_eq!(world.grant.clone().seen_under(Some(again)).ended, world.grant.ended);
    assert_eq!(world.grant.clone().seen_under(None), world.grant);
}

/// OpenID Connect Core section 11: what was to outlive the session does.
#[test]
fn a_grant_with_offline_access_is_not_online() {
    let grant = World::public().grant;
    let with = |text: &str| {
        let terms = Terms { scope: scope(text), session: Some([1; 32]), ..(*grant.terms).clone() };
        Grant { terms: Arc::new(terms), ..grant.clone() }
    };
    let selector = Selector { session: Some([1; 32]), online_only: true, ..Selector::default() };
    let epoch = Epoch { selector, ..everything(1) };
    assert!(epoch.covers(&with("openid")));
    assert!(!epoch.covers(&with("offline_access openid")));
}

/// A token without a grant has no session and no tag key, and no other criterion is passed over.
#[test]
fn an_access_token_without_a_grant_is_covered_by_what_it_says() {
    let token = AccessToken {
        grant: None,
        client: "app".to_owned(),
        subject: "usr_alice".to_owned(),
        scope: "openid read".to_owned(),
        audience: vec!["urn:a".to_owned()],
        issued_at: START.seconds(),
        expires_at: i64::MAX,
        authenticated_at: None,
        jti: String::new(),
        session: None,
        more: String::new(),
    };
    let covers = |selector: Selector| Epoch { selector, ..everything(1) }.covers_access(&token);
    let none = Selector::default;
    assert!(covers(Selector { scope: Some("read".to_owned()), ..none() }));
    assert!(!covers(Selector { scope: Some("rea".to_owned()), ..none() }));
    assert!(covers(Selector { resource: Some("urn:a".to_owned()), ..none() }));
    assert!(!covers(Selector { resource: Some("urn:b".to_owned()), ..none() }));
    assert!(covers(Selector { client: regrant_core::ClientId::parse("app"), ..none() }));
    assert!(!covers(Selector { client: regrant_core::ClientId::parse("other"), ..none() }));
    assert!(!covers(Selector { subject: Some("usr_bob".to_owned()), ..none() }));
    assert!(!covers(Selector { session: Some([1; 32]), ..none() }));
    assert!(!covers(Selector { tag_key: Some(1), ..none() }));
    assert!(!covers(Selector { issued_before: Some(START), ..none() }));
    assert!(covers(Selector { issued_before: Some(START.plus(seconds(1))), ..none() }));
}

/// Each kind of selection has its reason.
#[test]
fn the_reason_tells_what_was_selected() {
    let none = Selector::default;
    let (user, client) = (Some("usr_alice".to_owned()), regrant_core::ClientId::parse("app"));
    let cases = [
        (Selector { subject: user.clone(), ..none() }, "user_revoked"),
        (Selector { client: client.clone(), ..none() }, "client_revoked"),
        (Selector { subject: user.clone(), client: client.clone(), ..none() }, "user_at_client_revoked"),
        (Selector { session: Some([1; 32]), ..none() }, "session_revoked"),
        (Selector { tag_key: Some(1), ..none() }, "key_revoked"),
        (Selector { scope: Some("read".to_owned()), ..none() }, "scope_revoked"),
        (Selector { resource: Some("urn:a".to_owned()), ..none() }, "resource_revoked"),
        (Selector { issued_before: Some(START), ..none() }, "issued_before_revoked"),
        (Selector { client, issued_before: Some(START), ..none() }, "selection_revoked"),
        (Selector { subject: user, scope: Some("read".to_owned()), ..none() }, "selection_revoked"),
    ];
    for (selector, reason) in cases {
        assert_eq!(selector.reason().as_str(), reason);
        assert!(!selector.is_everything());
    }
    assert!(none().is_everything());
}
