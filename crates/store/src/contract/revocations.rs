//! What resource servers must hear of: a row for each way of ending, in order, once.

use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Selector, Timestamp};

use super::{Desk, Open, at, grant, new, next, replacing, user};
use crate::Outcome::{Committed, Stale};
use crate::{Answer, Before, Question, Record, Revocation, Revoked};

fn rows(desk: &mut Desk, after: u64, limit: u32) -> Vec<Revocation> {
    let Answer::Revocations(rows) = desk.ask(&Question::Revocations { after, limit }) else {
        panic!("not revocations")
    };
    rows
}

fn told(desk: &mut Desk) -> Vec<(Revoked, Timestamp)> {
    rows(desk, 0, 100).into_iter().map(|row| (row.revoked, row.at)).collect()
}

fn ended(number: u64, millis: i64) -> regrant_core::Grant {
    regrant_core::Grant { ended: Some((at(millis), EndReason::RevokedByUser)), ..next(&grant(number)) }
}

fn revoke(revoked: Revoked, millis: i64) -> Record {
    Record::Revoke { revoked, at: at(millis) }
}

/// No way of ending is forgotten, for the row follows from the record itself; what is stale entails nothing.
pub fn whatever_ends_is_told(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.commit(&[new(&grant(1)), new(&grant(2)), replacing(1, &ended(1, 30))]), [Committed; 3]);
    assert_eq!(desk.one(replacing(9, &ended(2, 40))), Stale);
    let jti = [7; 32];
    desk.commit_at(&[Record::DenyAccess { jti, expires_at: at(99) }], at(31));
    let ann = user("usr_ann", "ann");
    desk.one(Record::AddUser(ann.clone()));
    let disabled = crate::User { disabled_at: Some(at(32)), version: 2, ..ann };
    assert_eq!(desk.one(Record::PutUser { expected: 1, user: disabled.clone() }), Committed);
    assert_eq!(desk.one(Record::PutUser { expected: 1, user: disabled }), Stale);
    let absent = [Record::RemoveUser { subject: "usr_b".to_owned() }, Record::RemoveClient { id: "b".to_owned() }];
    assert_eq!(desk.commit_at(&absent, at(33)), [Stale, Stale]);
    desk.one(Record::PutClient { id: "b".to_owned(), before: Before::Whatever, definition: "{}".to_owned() });
    assert_eq!(desk.commit_at(&[Record::RemoveClient { id: "b".to_owned() }], at(34)), [Committed]);
    let everything = Revoked::Matching(Selector::default());
    desk.one(revoke(everything.clone(), 35));
    let expected = [
        (Revoked::Grant(1), at(30)),
        (Revoked::Access(jti), at(31)),
        (Revoked::user("usr_ann"), at(32)),
        (Revoked::client(ClientId::parse("b").expect("a client id")), at(34)),
        (everything, at(35)),
    ];
    assert_eq!(told(&mut desk), expected);
    assert_eq!(desk.commit_at(&[Record::RemoveUser { subject: "usr_ann".to_owned() }], at(36)), [Committed]);
    assert_eq!(told(&mut desk).last(), Some(&(Revoked::user("usr_ann"), at(36))));
    drop(desk);
    assert_eq!(told(&mut Desk::at(open)).len(), 5, "the later of two rows about one thing took the other's place");
}

/// A wide revocation is one row, and the endings that are later written into the rows are none; each criterion counts.
pub fn a_wide_revocation_is_told_once(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let selectors = [
        Selector { subject: Some("usr_ann".to_owned()), online_only: true, ..Selector::default() },
        Selector { session: Some([3; 32]), ..Selector::default() },
        Selector { tag_key: Some(0), scope: Some(String::new()), ..Selector::default() },
        Selector { resource: Some("urn:a".to_owned()), client: ClientId::parse("app"), ..Selector::default() },
        Selector { issued_before: Some(at(1)), ..Selector::default() },
    ];
    for (selector, millis) in selectors.iter().zip(1..) {
        let epoch = Epoch {
            number: 0,
            at: at(millis),
            selector: selector.clone(),
            reason: EndReason::SelectionRevoked,
            detail: String::new(),
            undo_until: None,
            undone_at: None,
        };
        assert_eq!(desk.one(Record::Epoch { epoch: epoch.clone(), events: Vec::new() }), Committed);
        assert_eq!(desk.one(Record::Epoch { epoch: Epoch { number: 99, ..epoch }, events: Vec::new() }), Stale);
    }
    let settled = regrant_core::Grant { ended: Some((at(9), EndReason::SelectionRevoked)), ..ended(1, 9) };
    assert_eq!(desk.commit(&[new(&grant(1)), replacing(1, &settled)]), [Committed; 2]);
    drop(desk);
    let expected: Vec<_> = selectors.into_iter().map(Revoked::Matching).zip((1..).map(at)).collect();
    assert_eq!(told(&mut Desk::at(open)), expected);
}

/// What can be taken back has its number, so that another one of the same selection stands where this one is taken back.
pub fn a_wide_revocation_is_taken_back_by_its_number(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let selector = Selector { scope: Some("read".to_owned()), issued_before: Some(at(1)), ..Selector::default() };
    let epoch = |millis| Epoch {
        number: 0,
        at: at(millis),
        selector: selector.clone(),
        reason: EndReason::SelectionRevoked,
        detail: String::new(),
        undo_until: Some(at(100)),
        undone_at: None,
    };
    for millis in [1, 2] {
        desk.one(Record::Epoch { epoch: epoch(millis), events: Vec::new() });
    }
    let undo = |number, millis| Record::UndoEpoch { number, at: at(millis), events: Vec::new() };
    assert_eq!(desk.commit(&[undo(1, 3), undo(1, 4), undo(2, 100)]), [Committed, Stale, Stale]);
    let expected = [
        (Revoked::Bulk(1, selector.clone()), at(1)),
        (Revoked::Bulk(2, selector.clone()), at(2)),
        (Revoked::TakenBack(1), at(3)),
    ];
    assert_eq!(told(&mut desk), expected);
    drop(desk);
    assert_eq!(told(&mut Desk::at(open)), expected);
}

/// Whoever has read up to a position needs nothing before it, even if the newest row was swept.
pub fn a_place_in_the_revocations_is_never_used_twice(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let grants = [3, 1, 2].map(Revoked::Grant);
    desk.commit(&[revoke(grants[0].clone(), 10), revoke(grants[1].clone(), 20)]);
    // The same time, or an earlier one, says nothing new.
    desk.commit(&[revoke(grants[0].clone(), 10), revoke(grants[1].clone(), 5)]);
    let first: Vec<u64> = rows(&mut desk, 0, 100).iter().map(|row| row.position).collect();
    assert_eq!((first.len(), rows(&mut desk, first[0], 100).len(), rows(&mut desk, 0, 1).len()), (2, 1, 1));
    assert_eq!(rows(&mut desk, u64::MAX, 100), []);
    desk.one(Record::ForgetRevocations { before: at(21), limit: 100 });
    desk.one(revoke(grants[2].clone(), 30));
    let later = rows(&mut desk, first[1], 100);
    assert_eq!(later.iter().map(|row| &row.revoked).collect::<Vec<_>>(), [&grants[2]]);
    assert!(later[0].position > first[1]);
}

/// The oldest go first, and no more than were asked for.
pub fn revocations_are_forgotten_from_the_oldest(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[3, 1, 2].map(|number| revoke(Revoked::Grant(number), i64::try_from(number).expect("small"))));
    let forget = |before, limit| Record::ForgetRevocations { before: at(before), limit };
    assert_eq!(desk.commit(&[forget(1, 9), forget(9, 0)]), [Committed, Committed]);
    assert_eq!(told(&mut desk).len(), 3);
    desk.one(forget(9, 1));
    assert_eq!(told(&mut desk), [(Revoked::Grant(3), at(3)), (Revoked::Grant(2), at(2))]);
    // What was forgotten can be told again.
    desk.one(revoke(Revoked::Grant(1), 1));
    assert_eq!(told(&mut desk).len(), 3);
}
