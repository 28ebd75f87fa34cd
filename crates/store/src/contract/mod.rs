//! The contract, as a suite that every store must pass.
//!
//! Each check is a story over a place of its own: a function that opens one and the same store each time it is called,
//! empty at first. [`contract_tests!`](crate::contract_tests) makes a test of each. They need neither keys nor a clock: to a
//! store a MAC is 16 bytes and a time is a number.
//!
//! | checks      | of                                                       |
//! |-------------|----------------------------------------------------------|
//! | [`grants`]  | rows, compare-and-set, batches, pages                    |
//! | [`events`]  | events and the newest time                               |
//! | [`chain`]   | the chain of events, and what is kept beside it          |
//! | [`people`]  | users, their sessions and consents                       |
//! | [`things`]  | the deployment, clients, keys, denied tokens, the sweep  |
//! | [`revocations`] | what resource servers must hear of                   |
//! | [`epochs`]  | wide revocations                                         |
//! | [`lasting`] | extreme values, and what is there after reopening        |
//!
//! [`sealed`] has no checks: the stores that last have tests of their own for what somebody else did to them.

pub mod chain;
pub mod epochs;
pub mod events;
pub mod grants;
pub mod lasting;
pub mod people;
pub mod revocations;
pub mod sealed;
pub mod things;

use std::sync::Arc;

use regrant_core::decision::Event;
use regrant_core::grant::{Binding, CodeTerms, Rotation, RowMac};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, EventKind, Grant, GrantId, OpenId, Resources, Scope, Terms, Timestamp};

use crate::{Answer, EventRecord, Loaded, Outcome, Question, Record, Store, StoredEvent, User};

/// Opens the store of one place. What it opened before is dropped by then.
pub type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Store>;

/// Makes a test of every check: `contract_tests!(place)`, where `place()` gives the function that opens a new place.
#[macro_export]
macro_rules! contract_tests {
    ($place:expr) => {
        $crate::contract_tests!($place, grants:
            a_new_grant_is_loaded_as_it_was_written,
            a_taken_number_is_stale,
            a_write_replaces_the_version_it_was_decided_on,
            of_two_writers_on_one_version_one_is_stale,
            a_write_to_a_missing_grant_is_stale,
            the_terms_of_a_grant_are_written_once,
            records_take_effect_in_order,
            a_stale_record_leaves_the_others_standing,
            rows_come_in_the_order_asked,
            another_random_half_finds_nothing,
            a_load_tells_whether_the_user_may_log_in,
            a_grant_is_removed_at_its_version_only,
            grants_are_listed_in_pages,
            the_greatest_numbers_come_last,
        );
        $crate::contract_tests!($place, events:
            an_event_is_kept_with_all_it_tells,
            the_events_of_a_stale_write_are_not_kept,
            a_noisy_kind_is_kept_once_a_minute_and_grant,
            a_noisy_kind_without_a_grant_is_kept_once_a_minute_and_user,
            a_quiet_kind_is_always_kept,
            events_come_newest_first,
            events_are_found_by_what_is_asked_for,
            a_position_is_never_used_twice,
            the_newest_time_never_falls,
            a_batch_that_changes_nothing_still_raises_the_newest_time,
        );
        $crate::contract_tests!($place, epochs:
            a_wide_revocation_ends_what_was_made_before_it,
            a_wide_revocation_takes_the_next_number_only,
            every_criterion_narrows,
            the_first_that_covers_a_row_is_told,
            an_undone_revocation_covers_nothing,
            what_is_final_or_too_old_is_not_undone,
            a_forgotten_revocation_leaves_its_number_behind,
            no_more_than_so_many_are_kept_in_one_place,
            a_full_place_makes_room_for_what_counts,
            an_access_token_without_a_grant_is_covered_by_its_time,
        );
        $crate::contract_tests!($place, chain:
            each_event_is_linked_to_the_one_before_it,
            what_retention_leaves_still_verifies,
            a_chain_goes_on_after_reopening,
            events_are_read_in_order_behind_a_position,
            the_first_place_of_a_grant_stays_and_the_last_one_follows,
            a_delivery_remembers_how_far_it_came,
            dead_letters_are_kept_until_they_are_removed,
        );
        $crate::contract_tests!($place, people:
            a_consent_is_put_only_over_what_was_read,
            a_name_and_a_subject_are_taken_once,
            a_user_is_replaced_unless_the_name_is_taken,
            a_user_is_replaced_at_its_version_only,
            a_missing_user_can_be_neither_replaced_nor_removed,
            a_removed_name_is_free_again,
            what_a_removed_user_allowed_goes_with_him,
            users_are_listed_in_order_of_name,
            a_session_is_there_until_it_is_ended,
            all_sessions_of_a_user_end_together,
            whoever_was_logged_in_to_is_to_hear_of_the_end,
            a_session_that_goes_on_keeps_its_logins,
            a_consent_is_replaced_and_forgotten,
            failures_are_counted_and_forgotten_one_by_one,
            no_more_failures_are_counted_than_are_asked_for,
            a_success_forgets_all_failures,
            forgotten_failures_leave_no_rows_behind,
        );
        $crate::contract_tests!($place, revocations:
            whatever_ends_is_told,
            a_wide_revocation_is_told_once,
            a_wide_revocation_is_taken_back_by_its_number,
            a_place_in_the_revocations_is_never_used_twice,
            revocations_are_forgotten_from_the_oldest,
        );
        $crate::contract_tests!($place, things:
            a_deployment_is_initialised_once,
            a_block_of_numbers_is_reserved_once,
            an_era_is_opened_once,
            a_client_is_replaced_and_removed,
            a_client_is_put_only_over_what_was_read,
            what_a_refused_record_entails_is_not_there,
            a_key_has_its_number_for_ever,
            a_key_lives_its_life_step_by_step,
            keys_change_together_or_not_at_all,
            a_destroyed_key_leaves_its_row,
            a_denied_token_stays_denied_until_its_later_end,
            a_sweep_removes_only_what_is_over,
            a_sweep_is_bounded_and_takes_the_oldest,
            a_swept_minute_can_be_told_again,
            what_is_good_once_is_used_once_until_it_is_over,
            a_client_registers_with_a_use_of_its_token_or_not_at_all,
            a_device_request_is_found_by_its_number_and_its_user_code,
            device_requests_that_are_over_make_room,
        );
        $crate::contract_tests!($place, lasting:
            the_greatest_values_come_back,
            the_smallest_values_come_back,
            a_long_scope_comes_back,
            everything_is_there_after_reopening,
            wide_revocations_are_there_after_reopening,
        );
    };
    ($place:expr, $module:ident: $($check:ident,)+) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $check() {
                    $crate::contract::$module::$check(&mut $place());
                }
            )+
        }
    };
}

/// A store and short ways to ask it.
struct Desk(Box<dyn Store>);

impl Desk {
    fn at(open: Open<'_>) -> Self {
        Self(open())
    }

    fn commit(&mut self, records: &[Record]) -> Vec<Outcome> {
        self.commit_at(records, Timestamp::EPOCH)
    }

    fn commit_at(&mut self, records: &[Record], now: Timestamp) -> Vec<Outcome> {
        let outcomes = self.0.commit(records, now).expect("the store can be written");
        assert_eq!(outcomes.len(), records.len(), "one outcome per record");
        outcomes
    }

    fn one(&mut self, record: Record) -> Outcome {
        let [outcome] = self.commit(&[record])[..] else { panic!("one record has one outcome") };
        outcome
    }

    fn load(&mut self, ids: &[GrantId]) -> Vec<Option<Loaded>> {
        let rows = self.0.load(ids).expect("the store can be read");
        assert_eq!(rows.len(), ids.len(), "one row per id");
        rows
    }

    fn row(&mut self, id: GrantId) -> Option<Loaded> {
        self.load(&[id]).pop().flatten()
    }

    fn ask(&mut self, question: &Question) -> Answer {
        self.0.ask(question).expect("the store can be read")
    }

    fn user(&mut self, name: &str) -> Option<User> {
        let Answer::User(user) = self.ask(&Question::UserByName(name.to_owned())) else { panic!("not a user") };
        user
    }

    fn events(&mut self, grant: Option<u64>) -> Vec<StoredEvent> {
        let Answer::Events(events) = self.ask(&Question::Events { grant, limit: 1000 }) else { panic!("no events") };
        events
    }

    fn grants(&mut self, client: Option<&str>, subject: Option<&str>, after: u64, limit: u32) -> Vec<u64> {
        let (client, subject) = (client.map(str::to_owned), subject.map(str::to_owned));
        let Answer::Grants(rows) = self.ask(&Question::Grants { client, subject, after, limit }) else {
            panic!("not grants")
        };
        rows.into_iter().map(|row| row.grant.id.number).collect()
    }
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A single-use grant of generation 1, whose values are all different.
fn grant(number: u64) -> Grant {
    Grant {
        id: GrantId { number, random: number ^ 0xabcd },
        version: 1,
        write_id: 77,
        generation: 1,
        current: Some(Hash([4; 32])),
        ratchet: Some([5; 32]),
        tag_key: 1,
        era: 2,
        seed_key: 3,
        rotated_at: at(1_001),
        previously_rotated_at: at(1_002),
        answered_at: at(1_003),
        retries: 6,
        retry_proof: Some(Hash([7; 32])),
        idle_at: at(1_004),
        absolute_at: at(1_005),
        ended: None,
        redeemed_at: Some(at(1_006)),
        terms: Arc::new(terms("app", "usr_ann")),
    }
}

fn terms(client: &str, subject: &str) -> Terms {
    Terms {
        client: ClientId::parse(client).expect("a client id"),
        subject: subject.to_owned(),
        scope: Scope::parse("read write").expect("a scope"),
        resources: Resources::parse("https://api.example/ urn:files").expect("resources"),
        binding: Binding::Key(Hash([8; 32])),
        rotation: Rotation::SingleUse,
        refreshable: true,
        authenticated_at: at(1_007),
        created_at: at(1_008),
        epoch: 0,
        session: Some([13; 32]),
        code: Some(CodeTerms {
            secret: Hash([9; 32]),
            challenge: Some(Hash([10; 32])),
            redirect_uri: Some(Hash([11; 32])),
            expires_at: at(1_009),
        }),
        openid: Some(OpenId { nonce: Some("n".to_owned()), acr: "a".to_owned(), ..OpenId::default() }),
    }
}

fn held_by(number: u64, client: &str, subject: &str) -> Grant {
    Grant { terms: Arc::new(terms(client, subject)), ..grant(number) }
}

const MAC: RowMac = RowMac { key_id: 1, mac: [12; 16] };

fn new(grant: &Grant) -> Record {
    Record::Grant { expected: None, grant: grant.clone(), mac: MAC, events: Vec::new() }
}

/// The row's next version.
fn next(grant: &Grant) -> Grant {
    Grant { version: grant.version + 1, generation: grant.generation + 1, ..grant.clone() }
}

fn replacing(expected: u64, grant: &Grant) -> Record {
    Record::Grant { expected: Some(expected), grant: grant.clone(), mac: MAC, events: Vec::new() }
}

fn told(kind: EventKind, grant: Option<&Grant>, at: Timestamp) -> EventRecord {
    let event = Event {
        kind,
        grant: grant.map(|grant| grant.id),
        client: grant.map(|grant| grant.terms.client.clone()),
        subject: grant.map(|grant| grant.terms.subject.clone()),
        detail: "detail".to_owned(),
    };
    EventRecord { at, event, correlation: "correlation".to_owned() }
}

fn user(subject: &str, name: &str) -> User {
    User {
        subject: subject.to_owned(),
        name: name.to_owned(),
        password: "$argon2id$".to_owned(),
        disabled_at: None,
        created_at: at(5),
        updated_at: at(6),
        version: 1,
        attributes: "{}".to_owned(),
    }
}
