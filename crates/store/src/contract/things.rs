//! The deployment, clients, keys, denied access tokens, and the sweep.

use regrant_core::keys::DeploymentId;
use regrant_core::{EventKind, Timestamp};

use super::{Desk, Open, at, told};
use crate::Outcome::{Committed, Stale};
use crate::{Answer, Deployment, KeyKind, KeyRecord, Question, Record, Session};

fn deployment(desk: &mut Desk) -> Option<Deployment> {
    let Answer::Deployment(deployment) = desk.ask(&Question::Deployment) else { panic!("not the deployment") };
    deployment
}

/// The identity binds every token: it can never change.
pub fn a_deployment_is_initialised_once(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(deployment(&mut desk), None);
    let initialise = |byte| Record::Initialise { deployment: DeploymentId([byte; 16]), root_check: [byte; 16] };
    assert_eq!(desk.commit(&[initialise(1), initialise(2)]), [Committed, Stale]);
    let expected = Deployment { id: DeploymentId([1; 16]), root_check: [1; 16], era: 0, next_grant: 1 };
    assert_eq!(deployment(&mut desk), Some(expected));
}

/// Of two nodes that want one block, one gets it.
pub fn a_block_of_numbers_is_reserved_once(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.one(Record::Initialise { deployment: DeploymentId([1; 16]), root_check: [1; 16] });
    let half = 1 << 63;
    for (next, outcome, reserved) in [
        (0, Stale, 1),
        (1, Stale, 1),
        (1025, Committed, 1025),
        (1025, Stale, 1025),
        (1024, Stale, 1025),
        (half - 1, Committed, half - 1),
        (half, Committed, half),
        (half - 1, Stale, half),
        (2, Stale, half),
        (u64::MAX, Committed, u64::MAX),
        (half, Stale, u64::MAX),
    ] {
        assert_eq!(desk.one(Record::ReserveGrants { next }), outcome, "{next}");
        assert_eq!(deployment(&mut desk).map(|deployment| deployment.next_grant), Some(reserved), "{next}");
    }
}

/// Its definition is opaque.
pub fn a_client_is_replaced_and_removed(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let clients = |desk: &mut Desk| {
        let Answer::Clients(clients) = desk.ask(&Question::Clients) else { panic!("not clients") };
        clients
    };
    let put = |id: &str, definition: &str| Record::PutClient { id: id.to_owned(), definition: definition.to_owned() };
    assert_eq!(desk.commit(&[put("b", "{}"), put("a", "{}"), put("b", "not json\0é")]), [Committed; 3]);
    let expected = [("a", "{}"), ("b", "not json\0é")].map(|(id, text)| (id.to_owned(), text.to_owned()));
    assert_eq!(clients(&mut desk), expected);
    let remove = Record::RemoveClient { id: "a".to_owned() };
    assert_eq!(desk.commit(&[remove.clone(), remove]), [Committed, Stale]);
    assert_eq!(clients(&mut desk), expected[1..]);
}

/// Each kind counts by itself.
pub fn a_key_is_added_once_and_dropped(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let keys = |desk: &mut Desk, kind| {
        let Answer::Keys(keys) = desk.ask(&Question::Keys(kind)) else { panic!("not keys") };
        keys
    };
    let key = |kind, id, byte| KeyRecord {
        kind,
        id,
        algorithm: "ES256".to_owned(),
        wrapped: vec![byte; 48],
        created_at: at(i64::from(byte)),
    };
    let (seed, signing) = (key(KeyKind::Seed, u32::MAX, 1), key(KeyKind::Signing, u32::MAX, 2));
    let (zero, second) = (key(KeyKind::Seed, 0, 3), key(KeyKind::Seed, u32::MAX, 4));
    let batch = [seed.clone(), signing.clone(), zero.clone(), second].map(Record::PutKey);
    assert_eq!(desk.commit(&batch), [Committed, Committed, Committed, Stale]);
    assert_eq!(keys(&mut desk, KeyKind::Seed), [zero.clone(), seed], "in order of id, and the first stays");
    assert_eq!(keys(&mut desk, KeyKind::Signing), std::slice::from_ref(&signing));
    let drop = Record::DropKey { kind: KeyKind::Seed, id: u32::MAX };
    assert_eq!(desk.commit(&[drop.clone(), drop]), [Committed, Committed]);
    assert_eq!((keys(&mut desk, KeyKind::Seed), keys(&mut desk, KeyKind::Signing)), (vec![zero], vec![signing]));
}

fn is_denied(desk: &mut Desk, jti: u8) -> bool {
    let Answer::AccessDenied(denied) = desk.ask(&Question::AccessDenied([jti; 32])) else { panic!("not an answer") };
    denied
}

fn deny(jti: u8, expires_at: i64) -> Record {
    Record::DenyAccess { jti: [jti; 32], expires_at: at(expires_at) }
}

/// A second denial cannot shorten the first.
pub fn a_denied_token_stays_denied_until_its_later_end(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.commit(&[deny(1, 50), deny(1, 20), deny(2, 20), deny(2, 50)]), [Committed; 4]);
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 10 }], at(40));
    assert_eq!([1, 2, 3].map(|jti| is_denied(&mut desk, jti)), [true, true, false]);
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 10 }], at(51));
    assert_eq!([1, 2].map(|jti| is_denied(&mut desk, jti)), [false, false]);
}

/// What ends now has not ended before now.
pub fn a_sweep_removes_only_what_is_over(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let session = |id: u8, expires_at| {
        Record::PutSession(Session { id: [id; 32], subject: "usr_1".to_owned(), authenticated_at: at(0), expires_at })
    };
    let event = |millis| Record::Event(told(EventKind::Admin, None, at(millis)));
    let sweep = Record::Sweep { events_before: at(30), limit: 100 };
    let old = [session(1, at(19)), session(2, at(20)), deny(1, 19), deny(2, 20), event(29), event(30)];
    desk.commit(&old);
    assert_eq!(desk.commit_at(&[sweep], at(20)), [Committed]);
    let sessions = [1, 2].map(|id: u8| matches!(desk.ask(&Question::Session([id; 32])), Answer::Session(Some(_))));
    assert_eq!(sessions, [false, true]);
    assert_eq!([1, 2].map(|jti| is_denied(&mut desk, jti)), [false, true]);
    assert_eq!(desk.events(None).iter().map(|event| event.at).collect::<Vec<_>>(), [at(30)]);
}

/// A batch that sweeps takes little longer than one that does not.
pub fn a_sweep_is_bounded_and_takes_the_oldest(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for id in [3, 1, 2_u8] {
        let expires_at = at(i64::from(id));
        let subject = "usr_1".to_owned();
        let session = Session { id: [id; 32], subject, authenticated_at: at(0), expires_at };
        let event = Record::Event(told(EventKind::Admin, None, expires_at));
        desk.commit(&[Record::PutSession(session), deny(id, i64::from(id)), event]);
    }
    let mut left_after = |limit| {
        desk.commit_at(&[Record::Sweep { events_before: at(100), limit }], at(100));
        let sessions =
            [1, 2, 3].map(|id: u8| matches!(desk.ask(&Question::Session([id; 32])), Answer::Session(Some(_))));
        assert_eq!(sessions, [1, 2, 3].map(|jti| is_denied(&mut desk, jti)));
        let events = desk.events(None);
        assert_eq!(sessions, [1, 2, 3].map(|millis| events.iter().any(|event| event.at == at(millis))));
        sessions
    };
    assert_eq!(left_after(0), [true, true, true]);
    assert_eq!(left_after(2), [false, false, true]);
    assert_eq!(left_after(2), [false, false, false]);
    assert_eq!(left_after(u32::MAX), [false, false, false]);
}

/// Only what is kept counts.
pub fn a_swept_minute_can_be_told_again(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let alarm = Record::Event(told(EventKind::Alarm, None, at(1)));
    desk.commit(&[alarm.clone(), Record::Sweep { events_before: Timestamp::MAX, limit: 9 }, alarm.clone(), alarm]);
    assert_eq!(desk.events(None).len(), 1);
}
