//! Values at the ends of their ranges, and what is there after reopening.

use std::sync::Arc;

use regrant_core::decision::Event;
use regrant_core::epoch::Among;
use regrant_core::grant::{Binding, CodeTerms, EndReason, Rotation, RowMac};
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_core::openid::ClaimsAsked;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Epoch, EventKind, Grant, GrantId, OpenId, Resources, Scope, Selector, Terms, Timestamp};

use super::{Desk, MAC, Open, at, epochs, grant, new, next, replacing, terms, told, user};
use crate::Outcome::Committed;
use crate::{Answer, Before, Consent, EventRecord, KeyChange, KeyKind, KeyRecord, Question, Record, Session, User};

const FIRST: Timestamp = Timestamp::from_millis(i64::MIN);

/// Every number at its top, every option set.
pub fn the_greatest_values_come_back(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let (last, hash) = (Timestamp::MAX, Hash([0xff; 32]));
    let terms = Terms {
        client: ClientId::parse(&"c".repeat(255)).expect("a client id"),
        subject: "\u{10ffff}\0'\"".repeat(100),
        binding: Binding::Key(hash),
        rotation: Rotation::Reusable,
        refreshable: true,
        authenticated_at: last,
        created_at: last,
        epoch: u64::MAX,
        session: Some([0xff; 32]),
        code: Some(CodeTerms { secret: hash, challenge: Some(hash), redirect_uri: Some(hash), expires_at: last }),
        openid: Some(OpenId {
            nonce: Some("\u{10ffff}'\"".repeat(100)),
            acr: "a".repeat(1000),
            amr: vec!["m".to_owned(); 9],
            claims: ClaimsAsked { id_token: vec!["i".repeat(99); 9], userinfo: vec!["u".repeat(99); 9] },
            more: r#"{"tier":"gold"}"#.to_owned(),
        }),
        ..terms("app", "usr_ann")
    };
    let greatest = Grant {
        id: GrantId { number: u64::MAX, random: u64::MAX },
        version: u64::MAX - 1,
        write_id: u64::MAX,
        generation: u32::MAX,
        current: Some(hash),
        ratchet: Some([0xff; 32]),
        tag_key: u8::MAX,
        era: u16::MAX,
        seed_key: u32::MAX,
        rotated_at: last,
        previously_rotated_at: last,
        answered_at: last,
        retries: u32::MAX,
        retry_proof: Some(hash),
        idle_at: last,
        absolute_at: last,
        ended: Some((last, EndReason::GenerationsExhausted)),
        redeemed_at: Some(last),
        terms: Arc::new(terms),
    };
    comes_back(&mut desk, &greatest, RowMac { key_id: u8::MAX, mac: [0xff; 16] });
    desk.commit_at(&[], last);
    drop(desk);
    let mut desk = Desk::at(open);
    assert_eq!(desk.0.high_water(), last);
    assert!(desk.row(greatest.id).is_some_and(|row| row.grant.version == u64::MAX));
}

/// Every number at its bottom, every option absent, every text and set empty.
pub fn the_smallest_values_come_back(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let terms = Terms {
        client: ClientId::parse("c").expect("a client id"),
        subject: String::new(),
        scope: Scope::default(),
        resources: Resources::default(),
        binding: Binding::Bearer,
        rotation: Rotation::SingleUse,
        refreshable: false,
        authenticated_at: FIRST,
        created_at: FIRST,
        epoch: 0,
        session: None,
        code: None,
        openid: None,
    };
    let smallest = Grant {
        id: GrantId { number: 1, random: 0 },
        version: 0,
        write_id: 0,
        generation: 0,
        current: None,
        ratchet: None,
        tag_key: 0,
        era: 0,
        seed_key: 0,
        rotated_at: FIRST,
        previously_rotated_at: FIRST,
        answered_at: FIRST,
        retries: 0,
        retry_proof: None,
        idle_at: FIRST,
        absolute_at: FIRST,
        ended: None,
        redeemed_at: None,
        terms: Arc::new(terms.clone()),
    };
    comes_back(&mut desk, &smallest, RowMac { key_id: 0, mac: [0; 16] });
    let code = CodeTerms { secret: Hash([0; 32]), challenge: None, redirect_uri: None, expires_at: FIRST };
    let terms = Terms { code: Some(code), binding: Binding::Client, openid: Some(OpenId::default()), ..terms };
    let half = Grant { id: GrantId { number: 2, random: 1 << 63 }, terms: Arc::new(terms), ..smallest };
    comes_back(&mut desk, &half, MAC);

    let nobody = User {
        disabled_at: Some(FIRST),
        created_at: FIRST,
        updated_at: FIRST,
        version: 0,
        password: String::new(),
        attributes: String::new(),
        ..user("", "")
    };
    let event = Event { kind: EventKind::Admin, grant: None, client: None, subject: None, detail: String::new() };
    let event = EventRecord { at: FIRST, event, correlation: String::new() };
    assert_eq!(desk.commit(&[Record::AddUser(nobody.clone()), Record::Event(event)]), [Committed, Committed]);
    assert_eq!(desk.user(""), Some(nobody));
    assert_eq!(desk.events(None).first().map(|event| event.at), Some(FIRST));
}

/// As a new row, and as the successor of a row.
fn comes_back(desk: &mut Desk, grant: &Grant, mac: RowMac) {
    let write = |expected, grant: &Grant| Record::Grant { expected, grant: grant.clone(), mac, events: Vec::new() };
    assert_eq!(desk.one(write(None, grant)), Committed);
    let row = desk.row(grant.id).expect("the grant is there");
    assert_eq!((&row.grant, row.mac), (grant, mac));
    let next = Grant { version: grant.version + 1, ..grant.clone() };
    assert_eq!(desk.one(write(Some(grant.version), &next)), Committed);
    assert_eq!(desk.row(grant.id).map(|row| row.grant), Some(next));
}

/// A request's scope is bounded as a text; what a client's settings allow is bounded by its count only.
pub fn a_long_scope_comes_back(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let tokens: Vec<String> = (0..100).map(|number| format!("{number:0100}")).collect();
    let scope = Scope::from_tokens(tokens.iter().map(String::as_str)).expect("a scope");
    let grant = Grant { terms: Arc::new(Terms { scope, ..terms("app", "usr_ann") }), ..grant(1) };
    comes_back(&mut desk, &grant, MAC);
}

/// Law L1: one thing of each kind.
pub fn everything_is_there_after_reopening(open: Open<'_>) {
    let (first, ann) = (grant(1), user("usr_ann", "ann"));
    let session = Session {
        id: [1; 32],
        root: [9; 32],
        subject: ann.subject.clone(),
        authenticated_at: at(1),
        expires_at: at(2),
        acr: "a".to_owned(),
        amr: "pwd".to_owned(),
        claims: String::new(),
    };
    let consent = Consent {
        subject: ann.subject.clone(),
        client: "app".to_owned(),
        scope: "read".to_owned(),
        resources: String::new(),
        at: at(3),
        paused_at: None,
        ends_at: Some(at(9)),
    };
    let key = KeyRecord {
        kind: KeyKind::Signing,
        id: 1,
        status: KeyStatus::Current,
        algorithm: "ES256".to_owned(),
        wrapped: Some(vec![1, 2, 3]),
        outlived_by: 5,
        created_at: at(4),
        current_at: Some(at(7)),
        verify_at: None,
        gone_at: None,
    };
    let batch = [
        Record::Initialise { deployment: DeploymentId([2; 16]), root_check: [3; 16] },
        Record::ReserveGrants { next: 1025 },
        new(&first),
        replacing(1, &next(&first)),
        Record::Event(told(EventKind::Admin, Some(&first), at(5))),
        Record::AddUser(ann.clone()),
        Record::PutClient { id: "app".to_owned(), before: Before::Whatever, definition: "{}".to_owned() },
        Record::PutSession(session.clone()),
        Record::PutConsent { consent: consent.clone(), before: Before::Whatever },
        Record::DenyAccess { jti: [4; 32], expires_at: at(6) },
        Record::Keys { changes: vec![KeyChange { expected: None, key: key.clone() }], events: Vec::new() },
    ];
    let mut desk = Desk::at(open);
    assert_eq!(desk.commit_at(&batch, at(99)), [Committed; 11]);
    drop(desk);

    let mut desk = Desk::at(open);
    assert_eq!(desk.0.high_water(), at(99));
    assert_eq!(desk.row(first.id).map(|row| (row.grant, row.mac)), Some((next(&first), MAC)));
    assert_eq!(desk.events(Some(1)).len(), 1);
    assert_eq!(desk.user("ann"), Some(ann));
    let mut says = |question, expected: fn(&Answer) -> bool| {
        let answer = desk.ask(&question);
        assert!(expected(&answer), "{answer:?}");
        answer
    };
    says(Question::Deployment, |answer| {
        matches!(answer, Answer::Deployment(Some(deployment)) if deployment.next_grant == 1025
            && deployment.id == DeploymentId([2; 16]) && deployment.root_check == [3; 16])
    });
    says(Question::Clients, |answer| matches!(answer, Answer::Clients(clients) if clients.len() == 1));
    says(Question::AccessDenied([4; 32]), |answer| matches!(answer, Answer::AccessDenied(true)));
    let Answer::Session(found) = says(Question::Session([1; 32]), |_| true) else { panic!("not a session") };
    assert_eq!(found, Some(session));
    let question = Question::Consent { subject: "usr_ann".to_owned(), client: "app".to_owned() };
    let Answer::Consent(found) = says(question, |_| true) else { panic!("not a consent") };
    assert_eq!(found, Some(consent));
    let Answer::Keys(found) = says(Question::Keys(KeyKind::Signing), |_| true) else { panic!("not keys") };
    assert_eq!(found, [key]);
}

/// With every criterion and every time, and what they cover.
pub fn wide_revocations_are_there_after_reopening(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let row = grant(1);
    let full = Epoch {
        undo_until: Some(Timestamp::MAX),
        selector: Selector {
            subject: Some("\u{10ffff}\0'".to_owned()),
            client: ClientId::parse(&"c".repeat(255)),
            session: Some([0xff; 32]),
            tag_key: Some(u8::MAX),
            scope: Some("s".to_owned()),
            resource: Some("urn:x".to_owned()),
            issued_before: Some(Timestamp::MAX),
            online_only: true,
            among: Among::parse(&format!("but a {}", "b".repeat(255))),
            but_session: Some([0xfe; 32]),
        },
        ..epochs::of_user(1, "")
    };
    let all: Vec<Epoch> = std::iter::once(full)
        .chain([epochs::of_user(2, "usr_ann"), Epoch { undo_until: Some(at(9)), ..epochs::of_user(3, "usr_bob") }])
        .collect();
    let records: Vec<Record> = all.iter().map(epochs::put).collect();
    assert_eq!(desk.commit(&records), [Committed; 3]);
    desk.commit(&[new(&row), Record::UndoEpoch { number: 3, at: at(8), events: Vec::new() }]);
    let (before, found) = (desk.row(row.id), desk.ask(&Question::Epochs));
    assert!(before.as_ref().is_some_and(|row| row.covered.is_some_and(|covered| covered.number == 2)));
    drop(desk);
    let mut desk = Desk::at(open);
    assert_eq!(desk.row(row.id), before);
    assert_eq!(format!("{:?}", desk.ask(&Question::Epochs)), format!("{found:?}"));
}
