//! Wide revocations: what they cover, and that what they cover is over for everybody.

use std::sync::Arc;

use regrant_core::access::AccessToken;
use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::issue::SubjectStatus;
use regrant_core::{ClientId, Epoch, Grant, Refusal, Selector, Terms, introspect};

use crate::world::{START, World, millis, scope, seconds};

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

fn ids(ids: &[&str]) -> Arc<[ClientId]> {
    ids.iter().map(|id| ClientId::parse(id).expect("a client id")).collect()
}

/// Something that makes a selector pass over the grant of [`one_of_all_criteria`].
type Spoil = fn(&mut Selector);

/// Every criterion, each of which fits a grant of `usr_alice` to `app`, and for each a value that does not.
fn one_of_all_criteria() -> (Selector, [(&'static str, Spoil); 10]) {
    let fits = Selector {
        subject: Some("usr_alice".to_owned()),
        client: ClientId::parse("app"),
        session: Some([1; 32]),
        tag_key: Some(1),
        scope: Some("openid".to_owned()),
        resource: Some("https://api.example/".to_owned()),
        issued_before: Some(START.plus(seconds(1))),
        online_only: true,
        among: Some(Among::Only(ids(&["app", "web"]))),
        but_session: Some([2; 32]),
    };
    let spoils: [(&str, Spoil); 10] = [
        ("subject", |s| s.subject = Some("usr_bob".to_owned())),
        ("client", |s| s.client = ClientId::parse("other")),
        ("session", |s| s.session = Some([3; 32])),
        ("tag_key", |s| s.tag_key = Some(2)),
        ("scope", |s| s.scope = Some("write".to_owned())),
        ("resource", |s| s.resource = Some("https://files.example/".to_owned())),
        ("issued_before", |s| s.issued_before = Some(START)),
        ("among only", |s| s.among = Some(Among::Only(ids(&["web"])))),
        ("among but", |s| s.among = Some(Among::But(ids(&["app"])))),
        ("but_session", |s| s.but_session = Some([1; 32])),
    ];
    (fits, spoils)
}

/// Check T33: every criterion that is given fits, or nothing ends: criteria narrow, they never add.
#[test]
fn a_grant_that_one_criterion_passes_over_goes_on() {
    let grant = World::public().grant;
    let terms = Terms { scope: scope("openid"), session: Some([1; 32]), ..(*grant.terms).clone() };
    let grant = Grant { terms: Arc::new(terms), ..grant };
    let (fits, spoils) = one_of_all_criteria();
    let covers = |selector: &Selector| Epoch { selector: selector.clone(), ..everything(1) }.covers(&grant);
    assert!(covers(&fits));
    for (name, spoil) in spoils {
        let mut selector = fits.clone();
        spoil(&mut selector);
        assert!(!covers(&selector), "{name} beside all others");
        let mut alone = Selector::default();
        spoil(&mut alone);
        assert!(!covers(&alone), "{name} alone");
    }
    let terms = Terms { scope: scope("offline_access openid"), ..(*grant.terms).clone() };
    let lasting = Grant { terms: Arc::new(terms), ..grant.clone() };
    assert!(!Epoch { selector: fits.clone(), ..everything(1) }.covers(&lasting), "online_only");
    let undone = Epoch { selector: fits, undone_at: Some(START), ..everything(1) };
    assert!(!undone.covers(&grant), "whatever fits, it was taken back");
    let of_none = Selector { but_session: Some([1; 32]), ..Selector::default() };
    assert!(Epoch { selector: of_none, ..everything(1) }.covers(&World::public().grant), "given in no session");
}

/// The same for a token that belongs to no grant, which is of the session and has no tag key.
#[test]
fn an_access_token_that_one_criterion_passes_over_goes_on() {
    let (fits, spoils) = one_of_all_criteria();
    let fits = Selector { tag_key: None, ..fits };
    let token = AccessToken {
        grant: None,
        client: "app".to_owned(),
        subject: "usr_alice".to_owned(),
        scope: "openid read".to_owned(),
        audience: vec!["https://api.example/".to_owned()],
        issued_at: START.seconds(),
        expires_at: i64::MAX,
        authenticated_at: None,
        jti: String::new(),
        session: Some([1; 32]),
        more: String::new(),
    };
    let covers = |epoch: &Epoch| epoch.covers_access(&token);
    let epoch = Epoch { selector: fits.clone(), ..everything(1) };
    assert!(covers(&epoch));
    for (name, spoil) in spoils {
        let mut selector = fits.clone();
        spoil(&mut selector);
        assert!(!covers(&Epoch { selector, ..epoch.clone() }), "{name} beside all others");
    }
    assert!(!covers(&Epoch { undone_at: Some(START), ..epoch.clone() }), "it was taken back");
    // Without a time that was asked for, the second in which it was issued decides; one of the same second is dead, too.
    let timeless = Epoch { selector: Selector { issued_before: None, ..fits }, ..epoch };
    for (at, is_dead) in [(START.minus(seconds(1)), false), (START, true), (START.plus(seconds(1)), true)] {
        assert_eq!(covers(&Epoch { at, ..timeless.clone() }), is_dead, "{at:?}");
    }
}

/// What an operator did in bulk can be taken back once, until its window is over, and nothing else can.
#[test]
fn what_was_done_in_bulk_can_be_taken_back_for_a_while() {
    let until = |undo_until, undone_at| Epoch { undo_until, undone_at, ..everything(1) };
    let open = until(Some(START.plus(seconds(60))), None);
    assert!(open.can_be_undone(START) && open.can_be_undone(START.plus(millis(59_999))));
    assert!(!open.can_be_undone(START.plus(seconds(60))), "over at its instant");
    assert!(!until(None, None).can_be_undone(START), "final");
    assert!(!until(Some(START.plus(seconds(60))), Some(START)).can_be_undone(START), "taken back before");
}

/// An end that the user set only shortens: whichever of it and the clocks comes first.
#[test]
fn an_end_that_the_user_set_lengthens_no_clock() {
    let grant = World::public().grant;
    let (idle, absolute) = (grant.idle_at, grant.absolute_at);
    assert!(idle < absolute);
    let clocks = |end| {
        let seen = grant.clone().seen_until(end);
        (seen.idle_at, seen.absolute_at)
    };
    let (soon, between) = (idle.minus(seconds(1)), idle.plus(seconds(1)));
    assert_eq!(clocks(Some(soon)), (soon, soon));
    assert_eq!(clocks(Some(between)), (idle, between));
    assert_eq!(clocks(Some(absolute.plus(seconds(1)))), (idle, absolute));
    assert_eq!(clocks(None), (idle, absolute));
}

/// What a store keeps of several clients names each of them, and no other text is read.
#[test]
fn several_clients_are_read_as_they_were_written() {
    for (text, among, admitted) in [
        ("only app", Among::Only(ids(&["app"])), [true, false, false]),
        ("only app web", Among::Only(ids(&["app", "web"])), [true, true, false]),
        ("but app", Among::But(ids(&["app"])), [false, true, true]),
        ("but app web", Among::But(ids(&["app", "web"])), [false, false, true]),
    ] {
        assert_eq!((among.text(), Among::parse(text)), (text.to_owned(), Some(among.clone())));
        assert_eq!(["app", "web", "other"].map(|client| among.admits(client)), admitted, "{text}");
    }
    // What a store and a journal keep of one revocation has room for sixty-three clients, however long their names are.
    let longest =
        |count: usize| Among::But(vec![ClientId::parse(&"a".repeat(255)).expect("an id"); count].into()).text();
    assert!(longest(63).len() <= Among::MAX_LEN && longest(64).len() > Among::MAX_LEN);
    for bad in ["", "only", "only ", "all app", "only app  web", "only usr_alice", "app web"] {
        assert_eq!(Among::parse(bad), None, "{bad:?}");
    }
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
        (Selector { subject: user.clone(), scope: Some("read".to_owned()), ..none() }, "selection_revoked"),
        // Less than everything of a user is not told as everything of the user.
        (Selector { subject: user.clone(), online_only: true, ..none() }, "selection_revoked"),
        (Selector { subject: user.clone(), among: Some(Among::But(ids(&["app"]))), ..none() }, "selection_revoked"),
        (Selector { subject: user, but_session: Some([1; 32]), ..none() }, "selection_revoked"),
    ];
    for (selector, reason) in cases {
        assert_eq!(selector.reason().as_str(), reason);
        assert!(!selector.is_everything());
    }
    assert!(none().is_everything());
}
