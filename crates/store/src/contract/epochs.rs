//! Wide revocations: one row ends many grants, by the counter and not by the clock.

use std::sync::Arc;

use regrant_core::access::AccessToken;
use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::{Epoch, EventKind, Grant, Selector, Terms, Timestamp};

use super::{Desk, Open, at, grant, new, terms, told};
use crate::{Answer, MOST_BROAD, Outcome, Question, Record};

pub(super) fn of_user(number: u64, subject: &str) -> Epoch {
    let selector = Selector { subject: Some(subject.to_owned()), ..Selector::default() };
    Epoch {
        number,
        at: at(50),
        reason: selector.reason(),
        selector,
        detail: "why".to_owned(),
        undo_until: None,
        undone_at: None,
    }
}

pub(super) fn put(epoch: &Epoch) -> Record {
    Record::Epoch { epoch: epoch.clone(), events: Vec::new() }
}

fn made_after(number: u64, epoch: u64, subject: &str) -> Record {
    let terms = Terms { epoch, ..terms("app", subject) };
    new(&Grant { terms: Arc::new(terms), ..grant(number) })
}

fn covered(desk: &mut Desk, number: u64) -> Option<(u64, EndReason)> {
    let row = desk.row(grant(number).id).expect("a row");
    let listed = Question::Grants { client: None, subject: None, after: number - 1, limit: 1 };
    let Answer::Grants(listed) = desk.ask(&listed) else { panic!("not grants") };
    assert_eq!(listed[0].covered, row.covered, "a list says what a load says");
    row.covered.map(|covered| (covered.number, covered.reason))
}

/// Law L10: what was made under a smaller count is ended, what was made after it is not, whatever the times say.
pub fn a_wide_revocation_ends_what_was_made_before_it(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.0.epoch(), 0);
    desk.commit(&[made_after(1, 0, "usr_ann"), made_after(2, 0, "usr_bob")]);
    assert_eq!(covered(&mut desk, 1), None);
    let events = vec![told(EventKind::Admin, None, at(1))];
    let record = Record::Epoch { epoch: of_user(1, "usr_ann"), events };
    assert_eq!(desk.one(record), Outcome::Committed);
    assert_eq!((desk.0.epoch(), desk.events(None).len()), (1, 1));
    desk.commit(&[made_after(3, 1, "usr_ann")]);
    assert_eq!(covered(&mut desk, 1), Some((1, EndReason::UserRevoked)));
    assert_eq!((covered(&mut desk, 2), covered(&mut desk, 3)), (None, None));
    let row = desk.row(grant(1).id).expect("a row");
    assert!(row.grant.ended.is_none(), "the row itself is as it was written");
    assert_eq!(row.grant.seen_under(row.covered).ended, Some((at(50), EndReason::UserRevoked)));
}

/// Of two that were decided at the same time one is stale, and changes nothing.
pub fn a_wide_revocation_takes_the_next_number_only(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let records = [of_user(2, "a"), of_user(1, "a"), of_user(1, "b"), of_user(2, "c"), of_user(0, "d")];
    let stale = Record::Epoch { epoch: of_user(9, "a"), events: vec![told(EventKind::Admin, None, at(1))] };
    let outcomes = desk.commit(&records.each_ref().map(put));
    use Outcome::{Committed, Stale};
    assert_eq!(outcomes, [Stale, Committed, Stale, Committed, Committed]);
    assert_eq!((desk.one(stale), desk.events(None).len(), desk.0.epoch()), (Stale, 0, 3));
    let Answer::Epochs { counter: 3, epochs } = desk.ask(&Question::Epochs) else { panic!("not epochs") };
    assert_eq!(epochs, [of_user(1, "a"), of_user(2, "c"), of_user(3, "d")], "0 takes whichever is next");
}

/// Each criterion alone, and all together.
pub fn every_criterion_narrows(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let row = grant(1);
    desk.commit(&[new(&row)]);
    let terms = &row.terms;
    let fitting = Selector {
        subject: Some(terms.subject.clone()),
        client: Some(terms.client.clone()),
        session: terms.session,
        tag_key: Some(row.tag_key),
        scope: Some("write".to_owned()),
        resource: Some("urn:files".to_owned()),
        issued_before: Some(terms.created_at.plus(std::time::Duration::from_millis(1))),
        online_only: true,
        among: Among::parse(&format!("only {} b", terms.client)),
        but_session: Some([98; 32]),
    };
    let other = Selector {
        subject: Some("usr_bob".to_owned()),
        client: regrant_core::ClientId::parse("other"),
        session: Some([99; 32]),
        tag_key: Some(99),
        scope: Some("rite".to_owned()),
        resource: Some("urn:file".to_owned()),
        issued_before: Some(terms.created_at),
        online_only: true,
        among: Among::parse(&format!("but b {}", terms.client)),
        but_session: terms.session,
    };
    type Copy = fn(&mut Selector, &Selector);
    let criteria: [Copy; 9] = [
        |to, from| to.subject.clone_from(&from.subject),
        |to, from| to.client.clone_from(&from.client),
        |to, from| to.session = from.session,
        |to, from| to.tag_key = from.tag_key,
        |to, from| to.scope.clone_from(&from.scope),
        |to, from| to.resource.clone_from(&from.resource),
        |to, from| to.issued_before = from.issued_before,
        |to, from| to.among.clone_from(&from.among),
        |to, from| to.but_session = from.but_session,
    ];
    let mut number = 0;
    let mut tried = |selector: &Selector| {
        number += 1;
        let epoch = Epoch { selector: selector.clone(), reason: selector.reason(), ..of_user(number, "") };
        desk.commit(&[put(&epoch)]);
        let found = covered(&mut desk, 1);
        desk.commit(&[Record::ForgetEpochs { numbers: vec![number] }]);
        found
    };
    for criterion in criteria {
        let (mut alone, mut wrong, mut one_wrong) = (Selector::default(), Selector::default(), fitting.clone());
        criterion(&mut alone, &fitting);
        criterion(&mut wrong, &other);
        criterion(&mut one_wrong, &other);
        assert!(tried(&alone).is_some_and(|(_, reason)| reason == alone.reason()), "{alone:?}");
        assert_eq!(tried(&wrong), None, "{wrong:?}");
        assert_eq!(tried(&one_wrong), None, "{one_wrong:?}");
    }
    assert!(tried(&fitting).is_some());
}

/// A grant keeps its first reason.
pub fn the_first_that_covers_a_row_is_told(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[made_after(1, 0, "usr_ann")]);
    let client = Selector { client: Some(grant(1).terms.client.clone()), ..Selector::default() };
    let of_client = Epoch { reason: client.reason(), selector: client, ..of_user(1, "") };
    desk.commit(&[put(&of_client), put(&of_user(2, "usr_ann"))]);
    assert_eq!(covered(&mut desk, 1), Some((1, EndReason::ClientRevoked)));
    desk.commit(&[Record::ForgetEpochs { numbers: vec![1] }]);
    assert_eq!(covered(&mut desk, 1), Some((2, EndReason::UserRevoked)));
}

/// An operator took it back in time; it stays in the list.
pub fn an_undone_revocation_covers_nothing(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[made_after(1, 0, "usr_ann")]);
    let undoable = Epoch { undo_until: Some(at(100)), ..of_user(1, "usr_ann") };
    desk.commit(&[put(&undoable)]);
    assert!(covered(&mut desk, 1).is_some());
    let events = vec![told(EventKind::Admin, None, at(1))];
    assert_eq!(desk.one(Record::UndoEpoch { number: 1, at: at(99), events }), Outcome::Committed);
    assert_eq!((covered(&mut desk, 1), desk.events(None).len()), (None, 1));
    let Answer::Epochs { epochs, .. } = desk.ask(&Question::Epochs) else { panic!("not epochs") };
    assert_eq!(epochs, [Epoch { undone_at: Some(at(99)), ..undoable }]);
}

/// Nothing but a bulk revocation within its time is taken back, and once only.
pub fn what_is_final_or_too_old_is_not_undone(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[made_after(1, 0, "usr_ann"), put(&of_user(1, "usr_ann"))]);
    let undoable = Epoch { undo_until: Some(at(100)), ..of_user(2, "usr_bob") };
    desk.commit(&[put(&undoable)]);
    let events = || vec![told(EventKind::Admin, None, at(1))];
    for (number, time) in [(1, 0), (2, 100), (3, 0), (0, 0)] {
        assert_eq!(desk.one(Record::UndoEpoch { number, at: at(time), events: events() }), Outcome::Stale, "{number}");
    }
    assert!(covered(&mut desk, 1).is_some());
    let undo = || Record::UndoEpoch { number: 2, at: at(99), events: Vec::new() };
    assert_eq!((desk.one(undo()), desk.one(undo())), (Outcome::Committed, Outcome::Stale));
    assert_eq!(desk.events(None).len(), 0);
}

/// The count never falls: a grant that was made after it is not touched by the next one's number.
pub fn a_forgotten_revocation_leaves_its_number_behind(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[put(&of_user(1, "usr_ann"))]);
    assert_eq!(desk.one(Record::ForgetEpochs { numbers: vec![1, 7] }), Outcome::Committed);
    assert_eq!((desk.0.epoch(), desk.one(put(&of_user(1, "usr_ann")))), (1, Outcome::Stale));
    drop(desk);
    let mut desk = Desk::at(open);
    assert_eq!((desk.0.epoch(), desk.one(put(&of_user(1, "usr_ann")))), (1, Outcome::Stale));
    assert_eq!(desk.one(put(&of_user(2, "usr_ann"))), Outcome::Committed);
}

/// Check X4: what is tried one by one is few.
pub fn no_more_than_so_many_are_kept_in_one_place(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let broad = |number: u64| {
        let selector = Selector { tag_key: Some(200), scope: Some(number.to_string()), ..Selector::default() };
        Epoch { reason: selector.reason(), selector, ..of_user(number, "") }
    };
    let most = MOST_BROAD as u64;
    let records: Vec<Record> = (1..=most).map(|number| put(&broad(number))).collect();
    assert!(desk.commit(&records).iter().all(|outcome| *outcome == Outcome::Committed));
    assert_eq!(desk.one(put(&broad(most + 1))), Outcome::Stale);
    assert_eq!(desk.one(put(&of_user(most + 1, "usr_ann"))), Outcome::Committed, "another place has room");
    desk.commit(&[Record::ForgetEpochs { numbers: vec![1] }]);
    assert_eq!(desk.one(put(&broad(most + 2))), Outcome::Committed);
}

/// Law L9, check X4: whoever fills the place of a user with what he may do himself leaves room for what others do to him; and what ends all of
/// it, for good, needs no room beside it.
pub fn a_full_place_makes_room_for_what_counts(open: Open<'_>) {
    use Outcome::{Committed, Stale};
    let mut desk = Desk::at(open);
    let most = MOST_BROAD as u64;
    let own = |session: u64, undo_until| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&session.to_be_bytes());
        let selector = Selector { but_session: Some(id), ..of_user(0, "usr_ann").selector };
        Epoch { selector, undo_until, reason: EndReason::RevokedByUser, ..of_user(0, "usr_ann") }
    };
    let kept = |desk: &mut Desk| {
        let Answer::Epochs { epochs, .. } = desk.ask(&Question::Epochs) else { panic!("not epochs") };
        epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>()
    };
    // Law L10: what was made under a smaller count than any of them.
    desk.commit(&[made_after(1, 0, "usr_ann")]);
    // From one session however often: one row stays of those that would be too many.
    for _ in 0..most {
        assert_eq!(desk.one(put(&own(1, None))), Committed);
    }
    assert!(kept(&mut desk).len() as u64 <= most / 2, "{:?}", kept(&mut desk));
    // From as many sessions: no more than half.
    let told: Vec<Outcome> = (1..=most).map(|session| desk.one(put(&own(session, None)))).collect();
    assert_eq!(told.iter().filter(|outcome| **outcome == Committed).count() as u64, most / 2);
    assert_eq!(
        (told.first(), told.last()),
        (Some(&Committed), Some(&Stale)),
        "the first takes the place of its own kind"
    );
    // An operator's, that he may take back, have the other half.
    let taken_back = |number: u64| Epoch {
        selector: Selector { issued_before: Some(at(number.cast_signed())), ..of_user(0, "usr_ann").selector },
        undo_until: Some(at(1_000_000)),
        ..of_user(0, "usr_ann")
    };
    let told: Vec<Outcome> = (0..=most / 2).map(|number| desk.one(put(&taken_back(number)))).collect();
    assert_eq!(told.iter().filter(|outcome| **outcome == Committed).count() as u64, most / 2);
    assert_eq!(told.last(), Some(&Stale));
    // What ends all of a user's takes the place of what ends less, and not of what may be taken back.
    let before = kept(&mut desk);
    let whole = Epoch { reason: EndReason::UserDisabled, ..of_user(0, "usr_ann") };
    assert_eq!(desk.one(put(&whole)), Committed);
    let after = kept(&mut desk);
    assert_eq!((before.len() as u64, after.len() as u64), (most, most / 2 + 1));
    drop(desk);
    let mut desk = Desk::at(open);
    assert_eq!(kept(&mut desk), after, "and so it is read again");
    desk.commit(&[made_after(2, desk.0.epoch() - 1, "usr_ann"), made_after(3, desk.0.epoch(), "usr_ann")]);
    assert!(covered(&mut desk, 1).is_some() && covered(&mut desk, 2).is_some());
    assert_eq!(covered(&mut desk, 3), None);
    // One that was taken back ends nothing, and makes room as well.
    let more = (0..most / 2 - 1).map(|number| put(&taken_back(number))).collect::<Vec<_>>();
    assert!(desk.commit(&more).iter().all(|outcome| *outcome == Committed));
    assert_eq!(desk.one(put(&taken_back(0))), Stale);
    let number = *after.get(1).expect("an operator's");
    assert_eq!(desk.one(Record::UndoEpoch { number, at: at(60), events: Vec::new() }), Committed);
    assert_eq!(desk.one(put(&taken_back(0))), Committed);
}

/// It has no counter: the second it was issued in decides.
pub fn an_access_token_without_a_grant_is_covered_by_its_time(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let epoch = Epoch { at: at(10_500), ..of_user(1, "usr_ann") };
    desk.commit(&[put(&epoch)]);
    let mut is_dead = |subject: &str, issued_at| {
        let token = AccessToken {
            grant: None,
            client: "app".to_owned(),
            subject: subject.to_owned(),
            scope: "read".to_owned(),
            audience: Vec::new(),
            issued_at,
            expires_at: i64::MAX,
            authenticated_at: None,
            jti: String::new(),
            session: None,
            more: String::new(),
        };
        let Answer::CoveredAccess(found) = desk.ask(&Question::CoveredAccess(Box::new(token))) else { panic!("odd") };
        found.is_some()
    };
    assert!(is_dead("usr_ann", 9) && is_dead("usr_ann", 10));
    assert!(!is_dead("usr_ann", 11) && !is_dead("usr_bob", 9));
    let before = Selector { issued_before: Some(Timestamp::from_millis(5_000)), ..Selector::default() };
    desk.commit(&[put(&Epoch { reason: before.reason(), selector: before, ..of_user(2, "") })]);
    let Answer::Epochs { epochs, .. } = desk.ask(&Question::Epochs) else { panic!("not epochs") };
    assert_eq!(epochs[1].reason, EndReason::IssuedBeforeRevoked);
}
