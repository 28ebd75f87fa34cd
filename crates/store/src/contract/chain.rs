//! The chain of events, where grants are used, and what became of deliveries.

use regrant_core::{ChainKey, EventKind, Link, Timestamp};

use super::{Desk, Open, at, grant, new, told};
use crate::Outcome::{Committed, Stale};
use crate::beside::{DeadLetter, Delivery, Place, Places};
use crate::{Answer, ChainEnds, Question, Record, StoredEvent};

impl Desk {
    fn ends(&mut self) -> ChainEnds {
        let Answer::Chain(ends) = self.ask(&Question::Chain) else { panic!("not the ends") };
        ends
    }

    fn after(&mut self, after: u64, limit: u32) -> Vec<StoredEvent> {
        let Answer::Events(events) = self.ask(&Question::EventsAfter { after, limit }) else { panic!("no events") };
        events
    }

    fn places(&mut self, grant: u64) -> Option<Places> {
        let Answer::Places(places) = self.ask(&Question::Places(grant)) else { panic!("no places") };
        places
    }

    /// Asserts that what is there is one chain under this key, and returns its length.
    fn verified(&mut self, key: &ChainKey) -> usize {
        let ChainEnds { removed: (mut position, mut link), newest } = self.ends();
        let events = self.after(0, 1000);
        for event in &events {
            assert_eq!(event.id, position + 1, "no gap");
            assert_eq!(event.link, Some(event.link_behind(key, &link)), "{event:?}");
            (position, link) = (event.id, event.link.unwrap_or(link));
        }
        assert_eq!((position, link), newest);
        events.len()
    }
}

fn event(millis: i64) -> Record {
    Record::Event(told(EventKind::Admin, Some(&grant(1)), at(millis)))
}

/// One that was not kept, for it was one too many, leaves no gap.
pub fn each_event_is_linked_to_the_one_before_it(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.ends(), ChainEnds { removed: (0, Link::START), newest: (0, Link::START) });
    let key = ChainKey::new(&[3; 32]);
    desk.0.chain_under(key.clone()).expect("nobody has changed anything");
    let alarm = Record::Event(told(EventKind::Alarm, None, at(1)));
    desk.commit(&[event(1), alarm.clone(), alarm, event(2)]);
    assert_eq!(desk.verified(&key), 3);
    let events = desk.after(0, 10);
    let changed = StoredEvent { detail: "other".to_owned(), ..events[1].clone() };
    assert_ne!(Some(changed.link_behind(&key, &events[0].link.expect("a link"))), events[1].link);
}

/// Removed are the oldest by position: what is removed leaves its last link.
pub fn what_retention_leaves_still_verifies(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[event(1), event(2), event(9), event(3), event(4)]);
    desk.one(Record::Sweep { events_before: at(5), limit: 100 });
    assert_eq!(desk.verified(&ChainKey::public()), 3, "one that is to stay keeps those behind it");
    desk.one(Record::Sweep { events_before: at(100), limit: 2 });
    assert_eq!(desk.verified(&ChainKey::public()), 1);
    desk.one(Record::Sweep { events_before: Timestamp::MAX, limit: 100 });
    assert_eq!(desk.verified(&ChainKey::public()), 0);
    desk.one(event(200));
    assert_eq!((desk.verified(&ChainKey::public()), desk.ends().newest.0), (1, 6));
}

/// The ends are as durable as the rows.
pub fn a_chain_goes_on_after_reopening(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[event(1), event(2)]);
    drop(desk);
    let mut desk = Desk::at(open);
    desk.one(event(3));
    assert_eq!(desk.verified(&ChainKey::public()), 3);
}

/// In pages.
pub fn events_are_read_in_order_behind_a_position(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[event(3), event(1), event(2)]);
    let mut times = |after, limit| desk.after(after, limit).iter().map(|event| event.at.millis()).collect::<Vec<_>>();
    assert_eq!(times(0, 10), [3, 1, 2]);
    assert_eq!(times(0, 2), [3, 1]);
    assert_eq!(times(1, 2), [1, 2]);
    assert_eq!(times(3, 2), [] as [i64; 0]);
    assert_eq!(times(u64::MAX, 2), [] as [i64; 0]);
}

/// They go with the grant.
pub fn the_first_place_of_a_grant_stays_and_the_last_one_follows(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.places(1), None);
    let place =
        |millis, network: &str| Place { at: at(millis), network: network.to_owned(), agent: "Firefox".to_owned() };
    let seen = |place| Record::Seen { grant: 1, place };
    desk.commit(&[new(&grant(1)), seen(place(1, "a"))]);
    assert_eq!(desk.places(1), Some(Places { first: place(1, "a"), last: place(1, "a") }));
    desk.commit(&[seen(place(2, "a")), seen(place(3, "b")), seen(place(4, "b"))]);
    assert_eq!(desk.places(1), Some(Places { first: place(1, "a"), last: place(3, "b") }));
    desk.one(Record::RemoveGrant { number: 1, expected: 9 });
    assert!(desk.places(1).is_some());
    desk.one(Record::RemoveGrant { number: 1, expected: 1 });
    assert_eq!(desk.places(1), None);
}

/// Each its own.
pub fn a_delivery_remembers_how_far_it_came(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let come = |to: &str, position| Delivery { to: to.to_owned(), position };
    desk.commit(&[
        Record::PutDelivery(come("b", 7)),
        Record::PutDelivery(come("a", 1)),
        Record::PutDelivery(come("b", 9)),
    ]);
    let Answer::Deliveries(deliveries) = desk.ask(&Question::Deliveries) else { panic!("no deliveries") };
    assert_eq!(deliveries, [come("a", 1), come("b", 9)]);
}

/// In order of position.
pub fn dead_letters_are_kept_until_they_are_removed(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let letter = |to: &str, event| DeadLetter { to: to.to_owned(), event, at: at(5), failure: "status 500".to_owned() };
    for (to, event) in [("a", 9), ("a", 3), ("b", 4)] {
        desk.one(Record::PutDeadLetter(letter(to, event)));
    }
    let mut kept = |limit| {
        let Answer::DeadLetters(letters) = desk.ask(&Question::DeadLetters { to: "a".to_owned(), limit }) else {
            panic!("no letters")
        };
        letters
    };
    assert_eq!(kept(9), [letter("a", 3), letter("a", 9)]);
    assert_eq!(kept(1), [letter("a", 3)]);
    let remove = |event| Record::RemoveDeadLetter { to: "a".to_owned(), event };
    assert_eq!(desk.commit(&[remove(3), remove(3), remove(4)]), [Committed, Stale, Stale]);
}
