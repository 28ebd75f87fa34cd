//! Rows of grants: written by compare-and-set, in batches, in order; read as asked.

use std::sync::Arc;

use regrant_core::GrantId;
use regrant_core::grant::RowMac;
use regrant_core::issue::SubjectStatus;

use super::{Desk, MAC, Open, at, grant, held_by, new, next, replacing, terms, user};
use crate::Outcome::{Committed, Stale};
use crate::{Before, Grant, Record};

/// Every column comes back.
pub fn a_new_grant_is_loaded_as_it_was_written(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let grant = grant(1);
    assert_eq!(desk.one(new(&grant)), Committed);
    let row = desk.row(grant.id).expect("the grant is there");
    assert_eq!((row.grant, row.mac), (grant, MAC));
}

/// Numbers are never used twice.
pub fn a_taken_number_is_stale(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let first = grant(1);
    let second = Grant { id: GrantId { random: 9, ..first.id }, ..first.clone() };
    assert_eq!(desk.commit(&[new(&first), new(&second)]), [Committed, Stale]);
    assert_eq!(desk.one(new(&second)), Stale);
    assert_eq!(desk.row(first.id).map(|row| row.grant), Some(first), "the first is as it was");
    assert!(desk.row(second.id).is_none());
}

/// The new row stands in the old one's place, with its MAC.
pub fn a_write_replaces_the_version_it_was_decided_on(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let first = grant(1);
    desk.one(new(&first));
    let second = Grant { ratchet: None, current: None, retries: 9, ..next(&first) };
    let mac = RowMac { key_id: 2, mac: [13; 16] };
    let write = Record::Grant { expected: Some(1), grant: second.clone(), mac, events: Vec::new() };
    assert_eq!(desk.one(write), Committed);
    let row = desk.row(first.id).expect("the grant is there");
    assert_eq!((row.grant, row.mac), (second, mac));
}

/// Law L2: of two decisions on one version one is carried out, within a batch and across batches.
pub fn of_two_writers_on_one_version_one_is_stale(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let first = grant(1);
    desk.one(new(&first));
    let (mine, yours) = (Grant { write_id: 1, ..next(&first) }, Grant { write_id: 2, ..next(&first) });
    assert_eq!(desk.commit(&[replacing(1, &mine), replacing(1, &yours)]), [Committed, Stale]);
    assert_eq!(desk.one(replacing(1, &yours)), Stale);
    assert_eq!(desk.row(first.id).map(|row| row.grant), Some(mine), "the loser changed nothing");
}

/// There is no version to replace.
pub fn a_write_to_a_missing_grant_is_stale(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(desk.one(replacing(1, &grant(1))), Stale);
    assert!(desk.row(grant(1).id).is_none());
}

/// A refresh writes the hot half only, so no decision can change who gave what to whom.
pub fn the_terms_of_a_grant_are_written_once(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let first = grant(1);
    desk.one(new(&first));
    let other_terms = Grant { terms: Arc::new(terms("other", "usr_bob")), ..next(&first) };
    assert_eq!(desk.one(replacing(1, &other_terms)), Committed);
    let row = desk.row(first.id).expect("the grant is there");
    assert_eq!(row.grant, next(&first));
}

/// A record sees what the records before it in the batch have done.
pub fn records_take_effect_in_order(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let (first, second) = (grant(1), next(&grant(1)));
    let removal = Record::RemoveGrant { number: 1, expected: 2 };
    let batch = [removal.clone(), new(&first), replacing(1, &second), removal.clone(), removal];
    assert_eq!(desk.commit(&batch), [Stale, Committed, Committed, Committed, Stale]);
    assert!(desk.row(first.id).is_none());
}

/// One loser does not spoil the batch for the others.
pub fn a_stale_record_leaves_the_others_standing(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let client = Record::PutClient { id: "app".to_owned(), before: Before::Whatever, definition: "{}".to_owned() };
    let batch = [new(&grant(1)), replacing(9, &grant(1)), client, new(&grant(1)), new(&grant(2))];
    assert_eq!(desk.commit(&batch), [Committed, Stale, Committed, Stale, Committed]);
    assert_eq!(desk.grants(None, None, 0, 10), [1, 2]);
}

/// Gaps and repetitions stay where they are.
pub fn rows_come_in_the_order_asked(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[new(&grant(1)), new(&grant(2)), new(&grant(3))]);
    let rows = desk.load(&[grant(3).id, grant(9).id, grant(1).id, grant(3).id]);
    let numbers: Vec<_> = rows.iter().map(|row| row.as_ref().map(|row| row.grant.id.number)).collect();
    assert_eq!(numbers, [Some(3), None, Some(1), Some(3)]);
    assert_eq!(desk.load(&[]), []);
}

/// The random half makes a guessed number worthless.
pub fn another_random_half_finds_nothing(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.one(new(&grant(1)));
    let id = grant(1).id;
    assert!(desk.row(GrantId { random: id.random ^ 1, ..id }).is_none());
    assert!(desk.row(id).is_some());
}

/// The status is the one of now, not of when the grant was made: that of the user, and of what the user said about the client.
pub fn a_load_tells_whether_the_user_may_log_in(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let grant = grant(1);
    let ann = user("usr_ann", "ann");
    let mut status_after = |record| {
        assert_eq!(desk.one(record), Committed);
        desk.row(grant.id).expect("the grant is there").subject
    };
    assert_eq!(status_after(new(&grant)), SubjectStatus::Gone);
    assert_eq!(status_after(Record::AddUser(ann.clone())), SubjectStatus::Enabled);
    let disabled = crate::User { disabled_at: Some(at(7)), ..ann.clone() };
    let consent = |paused_at, ends_at| {
        let client = grant.terms.client.as_str().to_owned();
        let (scope, resources) = (String::new(), String::new());
        let subject = "usr_ann".to_owned();
        let consent = crate::Consent { subject, client, scope, resources, at: at(5), paused_at, ends_at };
        Record::PutConsent { consent, before: Before::Whatever }
    };
    assert_eq!(status_after(consent(None, None)), SubjectStatus::Enabled);
    assert_eq!(status_after(consent(None, Some(at(9)))), SubjectStatus::Until(at(9)));
    assert_eq!(status_after(consent(Some(at(6)), Some(at(9)))), SubjectStatus::Paused);
    assert_eq!(status_after(Record::PutUser { expected: 1, user: disabled }), SubjectStatus::Disabled);
    assert_eq!(status_after(Record::PutUser { expected: 1, user: ann }), SubjectStatus::Paused);
    assert_eq!(status_after(consent(None, None)), SubjectStatus::Enabled);
    assert_eq!(status_after(Record::RemoveUser { subject: "usr_ann".to_owned() }), SubjectStatus::Gone);
}

/// What was written since it was judged stays.
pub fn a_grant_is_removed_at_its_version_only(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[new(&grant(1)), new(&grant(2))]);
    let removal = |expected| Record::RemoveGrant { number: 1, expected };
    assert_eq!(desk.commit(&[removal(2), removal(0)]), [Stale, Stale]);
    assert!(desk.row(grant(1).id).is_some());
    assert_eq!(desk.commit(&[removal(1), removal(1)]), [Committed, Stale]);
    assert!(desk.row(grant(1).id).is_none());
    assert_eq!(desk.grants(None, None, 0, 10), [2]);
    assert_eq!(desk.grants(Some("app"), None, 0, 10), [2]);
}

/// By client, by user, by both; from where the page before ended.
pub fn grants_are_listed_in_pages(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for number in (1..=9).rev() {
        let client = if number % 2 == 0 { "even" } else { "odd" };
        let subject = if number <= 4 { "usr_small" } else { "usr_large" };
        desk.one(new(&held_by(number, client, subject)));
    }
    assert_eq!(desk.grants(None, None, 0, 4), [1, 2, 3, 4]);
    assert_eq!(desk.grants(None, None, 4, 4), [5, 6, 7, 8]);
    assert_eq!(desk.grants(None, None, 8, 4), [9]);
    assert_eq!(desk.grants(None, None, 9, 4), [] as [u64; 0]);
    assert_eq!(desk.grants(Some("odd"), None, 1, 3), [3, 5, 7]);
    assert_eq!(desk.grants(None, Some("usr_large"), 6, 9), [7, 8, 9]);
    assert_eq!(desk.grants(Some("even"), Some("usr_small"), 0, 9), [2, 4]);
    assert_eq!(desk.grants(Some("none"), None, 0, 9), [] as [u64; 0]);
    assert_eq!(desk.grants(None, None, 0, 0), [] as [u64; 0]);
}

/// The order is that of the numbers, whatever a store's integers are.
pub fn the_greatest_numbers_come_last(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let half = 1 << 63;
    let numbers = [1, 2, half - 1, half, half + 1, u64::MAX];
    for number in numbers.into_iter().rev() {
        assert_eq!(desk.one(new(&grant(number))), Committed);
        assert!(desk.row(grant(number).id).is_some());
    }
    assert_eq!(desk.grants(None, None, 0, 10), numbers);
    assert_eq!(desk.grants(Some("app"), None, 1, 3), [2, half - 1, half]);
    assert_eq!(desk.grants(None, Some("usr_ann"), half - 1, 10), [half, half + 1, u64::MAX]);
    assert_eq!(desk.grants(None, None, half, 1), [half + 1]);
    assert_eq!(desk.grants(None, None, u64::MAX, 10), [] as [u64; 0]);
}
