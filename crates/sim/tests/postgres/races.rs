//! Two nodes on one thing at the same moment: one of them has it.

use std::sync::{Arc, Barrier};
use std::thread;

use regrant_core::grant::{Binding, Rotation, RowMac};
use regrant_core::issue::SubjectStatus;
use regrant_core::keys::DeploymentId;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Epoch, Grant, GrantId, Resources, Scope, Selector, Terms, Timestamp};
use regrant_server::keyring::schedule::Lifetimes;
use regrant_server::keyring::{self, Keyring};
use regrant_store::{Answer, Outcome, Question, Record, Store, User};
use sim::pg;

use crate::contract::server;

const ROUNDS: u64 = 40;
const NODES: usize = 5;
pub(crate) const MAC: RowMac = RowMac { key_id: 1, mac: [1; 16] };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn grant(number: u64) -> Grant {
    Grant {
        id: GrantId { number, random: 7 },
        version: 1,
        write_id: 1,
        generation: 1,
        current: Some(Hash([1; 32])),
        ratchet: Some([2; 32]),
        tag_key: 1,
        era: 0,
        seed_key: 1,
        rotated_at: at(1),
        previously_rotated_at: at(1),
        answered_at: at(1),
        retries: 0,
        retry_proof: None,
        idle_at: at(9_000_000),
        absolute_at: at(9_000_000),
        ended: None,
        redeemed_at: Some(at(1)),
        terms: Arc::new(Terms {
            client: ClientId::parse("app").expect("a client id"),
            subject: "usr_ann".to_owned(),
            scope: Scope::parse("read").expect("a scope"),
            resources: Resources::default(),
            binding: Binding::Bearer,
            rotation: Rotation::SingleUse,
            refreshable: true,
            authenticated_at: at(1),
            created_at: at(1),
            epoch: 0,
            session: None,
            openid: None,
            code: None,
        }),
    }
}

fn ann(version: u64, disabled_at: Option<Timestamp>) -> User {
    User {
        subject: "usr_ann".to_owned(),
        name: "ann".to_owned(),
        password: String::new(),
        disabled_at,
        created_at: at(1),
        updated_at: at(1),
        version,
        attributes: "{}".to_owned(),
    }
}

pub(crate) fn write(expected: Option<u64>, grant: &Grant) -> Record {
    Record::Grant { expected, grant: grant.clone(), mac: MAC, events: Vec::new() }
}

fn one(store: &mut dyn Store, record: Record) -> Outcome {
    store.commit(&[record], at(2)).expect("the store can be written")[0]
}

/// What each of two nodes hears that commits at the same moment, round by round.
fn race(made: impl Fn(u64, u64) -> Record + Sync) -> Vec<[Outcome; 2]> {
    let database = server().database();
    let mut first = database.node();
    let batch: Vec<Record> = (1..=ROUNDS).map(|number| write(None, &grant(number))).collect();
    first.commit(&batch, at(1)).expect("the store can be written");
    let (barrier, made) = (Barrier::new(2), &made);
    let run = |node: u64| {
        let (mut store, barrier) = (database.node(), &barrier);
        move || -> Vec<Outcome> {
            (1..=ROUNDS)
                .map(|round| {
                    barrier.wait();
                    one(&mut store, made(round, node))
                })
                .collect()
        }
    };
    let (left, right) = thread::scope(|scope| {
        let (left, right) = (scope.spawn(run(1)), scope.spawn(run(2)));
        (left.join().expect("a node"), right.join().expect("a node"))
    });
    left.into_iter().zip(right).map(|(left, right)| [left, right]).collect()
}

fn one_of_two(outcomes: &[[Outcome; 2]]) {
    for (round, both) in outcomes.iter().enumerate() {
        let won = both.iter().filter(|outcome| **outcome == Outcome::Committed).count();
        assert_eq!(won, 1, "round {round}: {both:?}");
    }
}

/// Check T1: one token, one code, one device code: each is a row at a version.
#[test]
fn of_two_nodes_on_one_row_one_is_stale() {
    if pg::is_there() {
        one_of_two(&race(|round, node| {
            let next = Grant { version: 2, generation: 2, write_id: node, ..grant(round) };
            write(Some(1), &next)
        }));
    }
}

/// An assertion's jti is used once, by whichever node.
#[test]
fn of_two_nodes_on_one_assertion_one_is_refused() {
    if pg::is_there() {
        one_of_two(&race(|round, _| Record::UseOnce { key: [round as u8; 32], expires_at: at(9_000_000) }));
    }
}

/// A block of grant numbers belongs to one node.
#[test]
fn of_two_nodes_on_one_block_of_numbers_one_has_it() {
    if pg::is_there() {
        one_of_two(&race(|round, _| Record::ReserveGrants { next: 1 + round * 1024 }));
    }
}

/// The first identity of a fresh database is the only one.
#[test]
fn of_two_nodes_that_start_at_once_one_names_the_deployment() {
    if pg::is_there() {
        let outcomes =
            race(|_, node| Record::Initialise { deployment: DeploymentId([node as u8; 16]), root_check: [0; 16] });
        one_of_two(&outcomes[..1]);
    }
}

/// Positions of events are without a gap, whoever tells them, and the chain holds.
#[test]
fn events_of_two_nodes_are_one_chain() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let told = |node: u64| {
        let database = database.clone();
        move || {
            let mut store = database.node();
            for round in 0..ROUNDS {
                let event = regrant_core::decision::Event {
                    kind: regrant_core::EventKind::Admin,
                    grant: None,
                    client: None,
                    subject: None,
                    detail: format!("{node} {round}"),
                };
                let record = regrant_store::EventRecord { at: at(5), event, correlation: String::new() };
                assert_eq!(one(&mut store, Record::Event(record)), Outcome::Committed);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(told(1));
        scope.spawn(told(2));
    });
    let mut store = database.node();
    let Ok(Answer::Events(events)) = store.ask(&Question::EventsAfter { after: 0, limit: 1000 }) else {
        panic!("events")
    };
    assert_eq!(events.len() as u64, 2 * ROUNDS);
    let mut before = regrant_core::Link::START;
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.id, position);
        assert_eq!(event.link, Some(event.link_behind(&regrant_core::ChainKey::public(), &before)));
        before = event.link.expect("a link");
    }
}

/// Law L9: what one node revokes between another one's look at a row and its commit is not vouched for.
#[test]
fn what_is_revoked_between_look_and_commit_is_decided_again() {
    if !pg::is_there() {
        return;
    }
    type Restricted = (&'static str, fn() -> Record);
    let restrict: [Restricted; 3] = [
        ("a wide revocation", || {
            let selector = Selector { subject: Some("usr_ann".to_owned()), ..Selector::default() };
            let reason = selector.reason();
            let (undo_until, undone_at, detail) = (None, None, String::new());
            let epoch = Epoch { number: 0, at: at(3), selector, reason, detail, undo_until, undone_at };
            Record::Epoch { epoch, events: Vec::new() }
        }),
        ("a disabled user", || Record::PutUser { expected: 1, user: ann(2, Some(at(3))) }),
        ("a paused client", || {
            let consent = regrant_store::Consent {
                subject: "usr_ann".to_owned(),
                client: "app".to_owned(),
                scope: String::new(),
                resources: String::new(),
                at: at(3),
                paused_at: Some(at(3)),
                ends_at: None,
            };
            Record::PutConsent { consent, before: regrant_store::Before::Whatever }
        }),
    ];
    for (name, record) in restrict {
        let database = server().database();
        let (mut decides, mut revokes) = (database.node(), database.node());
        decides.commit(&[Record::AddUser(ann(1, None)), write(None, &grant(1))], at(1)).expect("written");
        let row = decides.load(&[grant(1).id]).expect("readable").remove(0).expect("the row");
        assert_eq!((row.subject, row.covered), (SubjectStatus::Enabled, None), "{name}");
        assert_eq!(one(&mut revokes, record()), Outcome::Committed, "{name}");
        let next = Grant { version: 2, generation: 2, ..grant(1) };
        assert_eq!(one(&mut decides, write(Some(1), &next)), Outcome::Stale, "{name}");
        let row = decides.load(&[grant(1).id]).expect("readable").remove(0).expect("the row");
        assert!(row.covered.is_some() || row.subject != SubjectStatus::Enabled, "{name}");
        // What was known before is no reason to decide for ever.
        let after = Grant { version: 3, generation: 3, ..grant(1) };
        assert_eq!(one(&mut decides, write(Some(2), &after)), Outcome::Committed, "{name}");
    }
}

/// Check N2: the newest time of any node is every node's.
#[test]
fn the_newest_time_is_that_of_the_node_that_is_ahead() {
    if !pg::is_there() {
        return;
    }
    let database = server().database();
    let (mut ahead, mut behind) = (database.node(), database.node());
    ahead.commit(&[], at(300_000)).expect("written");
    behind.load(&[]).expect("readable");
    assert_eq!(behind.high_water(), at(300_000));
    drop((ahead, behind));
    assert_eq!(database.node().high_water(), at(300_000), "and stays when the nodes are gone");
}

/// Nodes that start together in an empty database all start, and have the same keys: whoever comes second takes what is there.
#[test]
fn nodes_that_start_together_in_an_empty_database_all_start() {
    if !pg::is_there() {
        return;
    }
    let (database, root, barrier) = (server().database(), keyring::new_root_key(), Barrier::new(NODES));
    let start = || {
        let (mut store, root, barrier) = (database.node(), root.clone(), &barrier);
        move || {
            barrier.wait();
            let mut keyring = Keyring::open(&mut store, root, at(1)).expect("one identity for all");
            keyring.settle(&mut store, &Lifetimes::of_clients([]), at(1)).expect("one set of keys for all");
            keyring.rows().clone()
        }
    };
    let keys: Vec<_> = thread::scope(|scope| {
        let nodes: Vec<_> = (0..NODES).map(|_| scope.spawn(start())).collect();
        nodes.into_iter().map(|node| node.join().expect("a node")).collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
}
