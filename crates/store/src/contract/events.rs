//! Events, and the newest time.

use regrant_core::grant::EndReason;
use regrant_core::{EventKind, Timestamp};

use super::{Desk, MAC, Open, at, grant, new, next, replacing, told};
use crate::Outcome::{Committed, Stale};
use crate::{EventFilter, EventRecord, Grant, Record, StoredEvent};

const MINUTE: i64 = 60_000;

fn written_with(expected: Option<u64>, grant: Grant, events: Vec<EventRecord>) -> Record {
    Record::Grant { expected, grant, mac: MAC, events }
}

/// With and without a grant's write; with and without a reason.
pub fn an_event_is_kept_with_all_it_tells(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let grant = grant(7);
    let ended = told(EventKind::GrantEnded(EndReason::RefreshReplayed), Some(&grant), at(-5));
    let mut login = told(EventKind::Login, None, at(6));
    login.correlation = String::new();
    assert_eq!(desk.commit(&[written_with(None, grant, vec![ended]), Record::Event(login)]), [Committed, Committed]);
    let [login, ended] = &desk.events(None)[..] else { panic!("two events") };
    let expected = StoredEvent {
        id: ended.id,
        at: at(-5),
        kind: "grant_ended".to_owned(),
        reason: Some("refresh_replayed".to_owned()),
        grant: Some(7),
        client: Some("app".to_owned()),
        subject: Some("usr_ann".to_owned()),
        detail: "detail".to_owned(),
        correlation: "correlation".to_owned(),
        link: ended.link,
    };
    assert_eq!(*ended, expected);
    let nothing = (&None, &None, &None, &None);
    assert_eq!((&login.reason, &login.grant, &login.client, &login.subject), nothing);
    assert_eq!((login.at, &*login.kind, &*login.correlation), (at(6), "login", ""));
}

/// What did not happen is not told.
pub fn the_events_of_a_stale_write_are_not_kept(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let grant = grant(1);
    let event = |kind| vec![told(kind, Some(&grant), at(0))];
    let batch = [
        written_with(None, grant.clone(), event(EventKind::GrantCreated)),
        written_with(None, grant.clone(), event(EventKind::Admin)),
        written_with(Some(9), next(&grant), event(EventKind::Alarm)),
    ];
    assert_eq!(desk.commit(&batch), [Committed, Stale, Stale]);
    let kinds: Vec<_> = desk.events(None).into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["grant_created"]);
    // Nor does it use up the minute.
    assert_eq!(desk.one(written_with(Some(1), next(&grant), event(EventKind::Alarm))), Committed);
    assert_eq!(desk.events(None).len(), 2);
}

/// Nobody can fill the table by repeating himself.
pub fn a_noisy_kind_is_kept_once_a_minute_and_grant(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let (one, other) = (grant(1), grant(2));
    let event = |kind, grant, millis| Record::Event(told(kind, Some(grant), at(millis)));
    let batch = [
        event(EventKind::Straggler, &one, 0),
        event(EventKind::Straggler, &one, 1),
        event(EventKind::Straggler, &one, MINUTE - 1),
        event(EventKind::Straggler, &other, 1),
        event(EventKind::ReplayRefused, &one, 1),
        event(EventKind::Straggler, &one, MINUTE),
        event(EventKind::Straggler, &one, -1),
    ];
    assert_eq!(desk.commit(&batch), [Committed; 7], "one too many is no failure");
    assert_eq!(desk.one(event(EventKind::Straggler, &one, 2)), Committed);
    let times: Vec<_> = desk.events(Some(1)).into_iter().map(|event| (event.kind, event.at.millis())).collect();
    let straggler = || "straggler".to_owned();
    let expected = [(straggler(), -1), (straggler(), MINUTE), ("replay_refused".to_owned(), 1), (straggler(), 0)];
    assert_eq!(times, expected);
    assert_eq!(desk.events(Some(2)).len(), 1);
}

/// A failed log-in has no grant: one attacked user does not hide another.
pub fn a_noisy_kind_without_a_grant_is_kept_once_a_minute_and_user(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let failed = |subject: Option<&str>| {
        let mut record = told(EventKind::LoginFailed, None, at(1));
        record.event.subject = subject.map(str::to_owned);
        Record::Event(record)
    };
    let (ann, bob) = (Some("usr_ann"), Some("usr_bob"));
    desk.commit(&[failed(ann), failed(bob), failed(None), failed(ann), failed(bob), failed(None)]);
    let mut subjects: Vec<_> = desk.events(None).into_iter().map(|event| event.subject).collect();
    subjects.sort();
    assert_eq!(subjects, [None, ann.map(str::to_owned), bob.map(str::to_owned)]);
}

/// A log-in in the same minute is another log-in.
pub fn a_quiet_kind_is_always_kept(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let login = Record::Event(told(EventKind::Login, Some(&grant(1)), at(1)));
    desk.commit(&[login.clone(), login.clone(), login]);
    assert_eq!(desk.events(None).len(), 3);
}

/// In the order in which they were written, backwards, whatever their times say.
pub fn events_come_newest_first(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for (number, millis) in [(1, 30), (2, 20), (1, 10), (2, 40)] {
        desk.one(Record::Event(told(EventKind::Admin, Some(&grant(number)), at(millis))));
    }
    let times = |events: Vec<StoredEvent>| events.into_iter().map(|event| event.at.millis()).collect::<Vec<_>>();
    assert_eq!(times(desk.events(None)), [40, 10, 20, 30]);
    assert_eq!(times(desk.events(Some(1))), [10, 30]);
    assert_eq!(times(desk.events(Some(3))), [] as [i64; 0]);
    let crate::Answer::Events(page) = desk.ask(&crate::Question::Events { grant: None, limit: 2 }) else {
        panic!("no events")
    };
    assert_eq!(times(page), [40, 10]);
}

/// By kind, client, user, time and position, alone and together.
pub fn events_are_found_by_what_is_asked_for(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let grant = grant(1);
    let batch: Vec<Record> = (0..6)
        .map(|millis| {
            let (kind, grant) =
                if millis % 2 == 0 { (EventKind::Login, None) } else { (EventKind::Admin, Some(&grant)) };
            let mut record = told(kind, grant, at(millis));
            if millis == 4 {
                record.event.subject = Some("usr_bob".to_owned());
            }
            Record::Event(record)
        })
        .collect();
    desk.commit(&batch);
    let first = desk.events(None).last().map(|event| event.id).expect("events");
    let mut found = |filter: EventFilter| {
        let crate::Answer::Events(events) = desk.ask(&crate::Question::FindEvents(filter)) else { panic!("no events") };
        events.into_iter().map(|event| event.at.millis()).collect::<Vec<_>>()
    };
    let all = EventFilter { limit: 100, ..EventFilter::default() };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(EventFilter::default()), [5], "the newest");
    assert_eq!(found(all.clone()), [5, 4, 3, 2, 1, 0]);
    assert_eq!(found(EventFilter { limit: 2, ..all.clone() }), [5, 4]);
    assert_eq!(found(EventFilter { kind: text("login"), ..all.clone() }), [4, 2, 0]);
    assert_eq!(found(EventFilter { kind: text("login' OR 1"), ..all.clone() }), []);
    assert_eq!(found(EventFilter { client: text("app"), ..all.clone() }), [5, 3, 1]);
    assert_eq!(found(EventFilter { subject: text("usr_bob"), ..all.clone() }), [4]);
    assert_eq!(found(EventFilter { since: Some(at(4)), ..all.clone() }), [5, 4]);
    assert_eq!(found(EventFilter { after: first, before: first + 4, ..all.clone() }), [3, 2, 1]);
    assert_eq!(
        found(EventFilter { kind: text("admin"), client: text("app"), since: Some(at(2)), limit: 1, ..all }),
        [5]
    );
}

/// Not even after the newest event was swept: a reader's bookmark stays true.
pub fn a_position_is_never_used_twice(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let event = |millis| Record::Event(told(EventKind::Admin, None, at(millis)));
    desk.commit(&[event(1), event(2)]);
    let newest = desk.events(None).first().map(|event| event.id).expect("two events");
    desk.one(Record::Sweep { events_before: Timestamp::MAX, limit: 10 });
    assert!(desk.events(None).is_empty());
    desk.one(event(3));
    assert!(desk.events(None).first().is_some_and(|event| event.id > newest));
}

/// Law L10: a clock that steps back revives nothing, not even across a restart.
pub fn the_newest_time_never_falls(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let fresh = desk.0.high_water();
    assert!(fresh <= Timestamp::EPOCH, "a fresh store has seen nothing");
    for (now, expected) in [(5, 5), (3, 5), (-9, 5), (6, 6)] {
        desk.commit_at(&[new(&grant(1))], at(now));
        assert_eq!(desk.0.high_water(), at(expected));
    }
    drop(desk);
    let mut desk = Desk::at(open);
    assert_eq!(desk.0.high_water(), at(6));
    desk.commit_at(&[new(&grant(2))], at(4));
    drop(desk);
    assert_eq!(Desk::at(open).0.high_water(), at(6));
}

/// A refusal was judged at this time too.
pub fn a_batch_that_changes_nothing_still_raises_the_newest_time(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.commit_at(&[replacing(1, &grant(1))], at(7)), [Stale]);
    assert_eq!(desk.0.high_water(), at(7));
    assert_eq!(desk.commit_at(&[], at(8)), []);
    assert_eq!(desk.commit_at(&[], at(8)), []);
    drop(desk);
    assert_eq!(Desk::at(open).0.high_water(), at(8));
}
