//! The deployment, clients, keys, denied access tokens, and the sweep.

use regrant_core::device::Asked;
use regrant_core::issue::Granted;
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_core::recovery::{Recovery, Unproven};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, EventKind, GrantId, Resources, Scope, Timestamp};

use super::{Desk, Open, at, told};
use crate::Outcome::{Committed, Stale};
use crate::beside::Place;
use crate::{
    Answer, Before, Deployment, DeviceRequest, KeyChange, KeyKind, KeyRecord, Question, Record, RegistrationToken,
    Session,
};

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
    let expected = Deployment { id: DeploymentId([1; 16]), root_check: [1; 16], era: 0, next_grant: 1, recovery: None };
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

/// Each era is opened once, and leaves the numbers behind that may have been used in what was lost.
pub fn an_era_is_opened_once(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let recovery = |until| Recovery { lost_from: at(1), lost_until: at(until), unproven: Unproven::End };
    let era = |era, until, next_grant| Record::OpenEra { era, recovery: recovery(until), next_grant };
    assert_eq!(desk.one(era(1, 2, 5)), Stale, "a store without an identity has lost nothing");
    desk.one(Record::Initialise { deployment: DeploymentId([1; 16]), root_check: [1; 16] });
    for (record, outcome, expected) in [
        (era(0, 2, 5), Stale, (0, None, 1)),
        (era(1, 2, 5), Committed, (1, Some(recovery(2)), 5)),
        (era(1, 3, 9), Stale, (1, Some(recovery(2)), 5)),
        (era(4, 3, 2), Committed, (4, Some(recovery(3)), 5)),
        (era(3, 4, 9), Stale, (4, Some(recovery(3)), 5)),
    ] {
        assert_eq!(desk.one(record), outcome);
        let found = deployment(&mut desk).map(|found| (found.era, found.recovery, found.next_grant));
        assert_eq!(found, Some(expected));
    }
}

fn clients(desk: &mut Desk, question: &Question) -> Vec<(String, String)> {
    let Answer::Clients(clients) = desk.ask(question) else { panic!("not clients") };
    clients
}

/// Its definition is opaque.
pub fn a_client_is_replaced_and_removed(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let all = |desk: &mut Desk| clients(desk, &Question::Clients);
    let put = |id: &str, definition: &str| Record::PutClient {
        id: id.to_owned(),
        before: Before::Whatever,
        definition: definition.to_owned(),
    };
    assert_eq!(desk.commit(&[put("b", "{}"), put("a", "{}"), put("b", "not json\0é")]), [Committed; 3]);
    let expected = [("a", "{}"), ("b", "not json\0é")].map(|(id, text)| (id.to_owned(), text.to_owned()));
    assert_eq!(all(&mut desk), expected);
    let remove = Record::RemoveClient { id: "a".to_owned() };
    assert_eq!(desk.commit(&[remove.clone(), remove]), [Committed, Stale]);
    assert_eq!(all(&mut desk), expected[1..]);
    assert_eq!(clients(&mut desk, &Question::Client("a".to_owned())), []);
    assert_eq!(clients(&mut desk, &Question::Client("b".to_owned())), expected[1..]);
}

/// Of two nodes that change a client at once, the second does not undo what the first has changed.
pub fn a_client_is_put_only_over_what_was_read(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let put = |before: Before<String>, definition: &str| {
        [Record::PutClient { id: "app".to_owned(), before, definition: definition.to_owned() }]
    };
    let this = |text: &str| Before::This(text.to_owned());
    assert_eq!(desk.commit(&put(this("1"), "2")), [Stale], "there is none");
    assert_eq!(desk.commit(&put(Before::Nothing, "1")), [Committed]);
    assert_eq!(desk.commit(&put(Before::Nothing, "2")), [Stale]);
    assert_eq!(desk.commit(&put(this("2"), "3")), [Stale]);
    assert_eq!(desk.commit(&put(this("1"), "2")), [Committed]);
    assert_eq!(desk.commit(&put(this("1"), "3")), [Stale], "somebody was first");
    let found = clients(&mut desk, &Question::Client("app".to_owned()));
    assert_eq!(found, [("app".to_owned(), "2".to_owned())]);
}

/// What a change entails, and what is told of it, is there together with it or not at all.
pub fn what_a_refused_record_entails_is_not_there(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let client = |id: &str, before: Before<String>| {
        let put = Record::PutClient { id: id.to_owned(), before, definition: "{}".to_owned() };
        let mark = Record::UseOnce { key: [id.len() as u8; 32], expires_at: at(9_000) };
        put.entailing([Record::Event(told(EventKind::Admin, None, at(id.len() as i64))), mark])
    };
    let this = Before::This("another".to_owned());
    let records = [client("a", Before::Nothing), client("bb", this), client("ccc", Before::Nothing)].concat();
    let expected = [Committed, Committed, Committed, Stale, Stale, Stale, Committed, Committed, Committed];
    assert_eq!(desk.commit(&records), expected);
    let Answer::Events(events) = desk.ask(&Question::Events { grant: None, limit: 10 }) else { panic!("not events") };
    assert_eq!(events.iter().map(|event| event.at).collect::<Vec<_>>(), [at(3), at(1)]);
    let alone = Record::Event(told(EventKind::Admin, None, at(4))).with();
    assert_eq!(desk.commit(&[alone]), [Committed]);
}

fn keys(desk: &mut Desk, kind: KeyKind) -> Vec<KeyRecord> {
    let Answer::Keys(keys) = desk.ask(&Question::Keys(kind)) else { panic!("not keys") };
    keys
}

/// A key at the beginning of its life.
fn key(kind: KeyKind, id: u32, byte: u8) -> KeyRecord {
    KeyRecord {
        kind,
        id,
        status: KeyStatus::Next,
        algorithm: "ES256".to_owned(),
        wrapped: Some(vec![byte; 48]),
        outlived_by: u64::from(byte),
        created_at: at(i64::from(byte)),
        current_at: None,
        verify_at: None,
        gone_at: None,
    }
}

fn change(expected: Option<KeyStatus>, key: &KeyRecord) -> KeyChange {
    KeyChange { expected, key: key.clone() }
}

fn changes(changes: &[KeyChange]) -> Record {
    Record::Keys { changes: changes.to_vec(), events: vec![told(EventKind::Admin, None, at(1))] }
}

/// Each kind counts by itself.
pub fn a_key_has_its_number_for_ever(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for kind in KeyKind::ALL {
        let (last, first, second) = (key(kind, u32::MAX, 1), key(kind, 0, 2), key(kind, u32::MAX, 3));
        assert_eq!(desk.one(changes(&[change(None, &last), change(None, &first)])), Committed);
        assert_eq!(desk.one(changes(&[change(None, &second)])), Stale);
        assert_eq!(keys(&mut desk, kind), [first, last], "in order of id, and the first stays");
    }
    assert_eq!(desk.events(None).len(), 4, "what is stale tells nothing");
}

/// Every status, every time, with and without bytes, after reopening too.
pub fn a_key_lives_its_life_step_by_step(open: Open<'_>) {
    for kind in KeyKind::ALL {
        let mut held = key(kind, 7, 1);
        let mut expected = None;
        for status in KeyStatus::ALL {
            let mut desk = Desk::at(open);
            held.status = status;
            held.outlived_by = u64::MAX;
            match status {
                KeyStatus::Next => {}
                KeyStatus::Current => held.current_at = Some(Timestamp::MAX),
                KeyStatus::Verify => held.verify_at = Some(at(i64::MIN)),
                KeyStatus::Compromised => held.wrapped = None,
                KeyStatus::Gone => held.gone_at = Some(at(-1)),
            }
            assert_eq!(desk.one(changes(&[change(expected, &held)])), Committed, "{kind} {status:?}");
            assert_eq!(desk.one(changes(&[change(expected, &held)])), Stale, "it is no longer as it was");
            drop(desk);
            assert_eq!(keys(&mut Desk::at(open), kind), std::slice::from_ref(&held), "{kind} {status:?}");
            expected = Some(status);
        }
    }
}

/// A successor that is current beside its predecessor, or none at all, can never be seen.
pub fn keys_change_together_or_not_at_all(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for kind in KeyKind::ALL {
        let old = KeyRecord { status: KeyStatus::Current, ..key(kind, 1, 1) };
        let new = KeyRecord { status: KeyStatus::Current, ..key(kind, 2, 2) };
        assert_eq!(desk.one(changes(&[change(None, &old)])), Committed);
        let verify = KeyRecord { status: KeyStatus::Verify, ..old.clone() };
        let wrong = changes(&[change(None, &new), change(Some(KeyStatus::Next), &verify)]);
        assert_eq!(desk.commit(&[wrong, Record::Event(told(EventKind::Admin, None, at(1)))]), [Stale, Committed]);
        assert_eq!(keys(&mut desk, kind), [old]);
        let right = changes(&[change(None, &new), change(Some(KeyStatus::Current), &verify)]);
        assert_eq!(desk.one(right), Committed);
        assert_eq!(keys(&mut desk, kind), [verify, new]);
    }
}

/// The bytes go, the row with its number stays.
pub fn a_destroyed_key_leaves_its_row(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for kind in KeyKind::ALL {
        let held = key(kind, 1, 1);
        let gone = KeyRecord { status: KeyStatus::Gone, wrapped: None, gone_at: Some(at(9)), ..held.clone() };
        let step = changes(&[change(Some(KeyStatus::Next), &gone)]);
        assert_eq!(desk.commit(&[changes(&[change(None, &held)]), step]), [Committed; 2]);
        assert_eq!(desk.one(changes(&[change(None, &held)])), Stale);
        assert_eq!(keys(&mut desk, kind), [gone]);
    }
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
        let (id, subject) = ([id; 32], "usr_1".to_owned());
        let (acr, amr, claims) = (String::new(), String::new(), String::new());
        Record::PutSession(Session { id, root: id, subject, authenticated_at: at(0), expires_at, acr, amr, claims })
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
        let (acr, amr, claims) = (String::new(), String::new(), String::new());
        let authenticated_at = at(0);
        let session = Session { id: [id; 32], root: [id; 32], subject, authenticated_at, expires_at, acr, amr, claims };
        desk.commit(&[Record::PutSession(session), deny(id, i64::from(id))]);
    }
    for millis in 1..=3 {
        desk.one(Record::Event(told(EventKind::Admin, None, at(millis))));
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

/// Check C4: an assertion is taken once, also after a restart, and forgotten when its own time is over.
pub fn what_is_good_once_is_used_once_until_it_is_over(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let used = |key: u8, expires_at| Record::UseOnce { key: [key; 32], expires_at: at(expires_at) };
    assert_eq!(desk.commit_at(&[used(1, 50), used(1, 90), used(2, 50)], at(10)), [Committed, Stale, Committed]);
    drop(desk);
    let mut desk = Desk::at(open);
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 10 }], at(50));
    assert_eq!(desk.commit_at(&[used(1, 90)], at(50)), [Stale]);
    assert_eq!(desk.commit_at(&[used(1, 90), used(1, 90)], at(51)), [Committed, Stale]);
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 10 }], at(60));
    assert_eq!(desk.commit_at(&[used(1, 90), used(2, 90)], at(60)), [Stale, Committed]);
}

/// A token of two uses lets two clients in.
pub fn a_client_registers_with_a_use_of_its_token_or_not_at_all(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let token = |uses, expires_at| RegistrationToken {
        hash: [7; 32],
        label: "for the fair".to_owned(),
        uses,
        created_at: at(1),
        expires_at: at(expires_at),
    };
    let register = |id: &str, token| Record::RegisterClient { id: id.to_owned(), definition: "{}".to_owned(), token };
    let held = |desk: &mut Desk| {
        let Answer::RegistrationTokens(found) = desk.ask(&Question::RegistrationTokens(Some([7; 32]))) else {
            panic!("not an answer")
        };
        found
    };
    assert_eq!(desk.commit(&[register("a", None), register("a", None)]), [Committed, Stale]);
    assert_eq!(desk.one(register("b", Some([7; 32]))), Stale, "there is no such token");
    assert_eq!(desk.one(Record::PutRegistrationToken(token(2, 50))), Committed);
    assert_eq!(desk.commit_at(&[register("a", Some([7; 32]))], at(10)), [Stale], "a taken id uses nothing up");
    let three = ["b", "c", "d"].map(|id| register(id, Some([7; 32])));
    assert_eq!(desk.commit_at(&three, at(10)), [Committed, Committed, Stale]);
    assert_eq!(held(&mut desk), [token(0, 50)]);
    assert_eq!(desk.one(Record::PutRegistrationToken(token(2, 50))), Committed);
    assert_eq!(desk.commit_at(&[register("e", Some([7; 32]))], at(50)), [Stale], "it is over");
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 9 }], at(51));
    assert_eq!(held(&mut desk), []);
    assert_eq!(desk.one(Record::RemoveRegistrationToken { hash: [7; 32] }), Stale);
}

/// Only what is kept counts.
pub fn a_swept_minute_can_be_told_again(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let alarm = Record::Event(told(EventKind::Alarm, None, at(1)));
    desk.commit(&[alarm.clone(), Record::Sweep { events_before: Timestamp::MAX, limit: 9 }, alarm.clone(), alarm]);
    assert_eq!(desk.events(None).len(), 1);
}

fn device(number: u64, user_code: u8, expires_at: Timestamp) -> DeviceRequest {
    let asked = Asked {
        grant: GrantId { number, random: u64::MAX - number },
        secret: Hash([7; 32]),
        client: ClientId::parse("tv").expect("an id"),
        granted: Granted {
            scope: Scope::parse("read write").expect("a scope"),
            resources: Resources::parse("https://api.example/").expect("a resource"),
        },
        asked_at: at(1),
        expires_at,
    };
    let place = Place { at: at(1), network: "192.0.2.0/24".to_owned(), agent: "Chrome".to_owned() };
    DeviceRequest { asked, user_code: [user_code; 32], place }
}

fn asked(desk: &mut Desk, question: &Question) -> Option<DeviceRequest> {
    let Answer::DeviceRequest(found) = desk.ask(question) else { panic!("not what a device asked for") };
    found
}

/// As it was written, by either; and neither is given twice.
pub fn a_device_request_is_found_by_its_number_and_its_user_code(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let first = device(u64::MAX, 1, at(50));
    let put = |request: &DeviceRequest| Record::PutDeviceRequest(request.clone());
    assert_eq!(desk.commit_at(&[put(&first), put(&device(2, 1, at(50)))], at(2)), [Committed, Stale]);
    assert_eq!(asked(&mut desk, &Question::DeviceRequest(u64::MAX)), Some(first.clone()));
    assert_eq!(asked(&mut desk, &Question::DeviceRequestByUserCode([1; 32])), Some(first));
    assert_eq!(asked(&mut desk, &Question::DeviceRequest(2)), None);
    assert_eq!(asked(&mut desk, &Question::DeviceRequestByUserCode([2; 32])), None);
}

/// With the next one, and with a sweep.
pub fn device_requests_that_are_over_make_room(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let put = |number, code, until| Record::PutDeviceRequest(device(number, code, at(until)));
    assert_eq!(desk.commit_at(&[put(1, 1, 5), put(2, 2, 50)], at(2)), [Committed; 2]);
    assert_eq!(desk.commit_at(&[put(3, 1, 50)], at(6)), [Committed], "the user code is free again");
    assert_eq!(asked(&mut desk, &Question::DeviceRequest(1)), None);
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 1 }], at(60));
    let left = [2, 3].map(|number| asked(&mut desk, &Question::DeviceRequest(number)).is_some());
    assert_eq!(left, [false, true], "one at a time, the oldest first");
}
