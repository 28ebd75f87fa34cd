//! Random batches do the same to all stores: the same outcomes, the same newest time, the same answers to everything.
//!
//! Three stores: in memory, SQLite with each row written in its place, SQLite with the journal. Ids, names, versions and times
//! are few, so that records meet. Now and then an SQLite store is closed and opened again, in its own way or in the other; or it
//! crashes: what its files are between two commits is all that is left of it. Its log may be torn besides: then it is what it was
//! after some batch.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use regrant_core::access::AccessToken;
use regrant_core::decision::Event;
use regrant_core::epoch::Among;
use regrant_core::grant::{Binding, EndReason, Rotation, RowMac};
use regrant_core::keys::{DeploymentId, KeyStatus};
use regrant_core::secret::Hash;
use regrant_core::{ClientId, Epoch, EventKind, Grant, GrantId, Refusal, Resources, Scope, Selector, Terms, Timestamp};
use regrant_store::{
    Answer, Before, Consent, EventFilter, EventRecord, KeyChange, KeyKind, KeyRecord, Memory, Outcome, Question,
    Record, RegistrationToken, Revoked, Session, Sqlite, SqliteOptions, Store, Synchronous, User, Writes,
};

mod place;

fn open(directory: &place::Directory, writes: Writes) -> Sqlite {
    // No power is cut here.
    let options = SqliteOptions { synchronous: Synchronous::Off, writes, ..SqliteOptions::default() };
    Sqlite::open(&directory.file(), &options).expect("the store opens")
}

/// A copy of the files as they are.
fn left_of(directory: &place::Directory) -> place::Directory {
    let copy = place::Directory::new();
    for name in ["regrant.db", "regrant.db-wal"] {
        let (from, to) = (directory.file().with_file_name(name), copy.file().with_file_name(name));
        if from.exists() {
            fs::copy(from, to).expect("a copy");
        }
    }
    copy
}

/// What happens between two batches.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Reopened(Writes),
    Crashed(Writes),
}

struct Running {
    directory: place::Directory,
    store: Sqlite,
    writes: Writes,
}

impl Running {
    fn new(writes: Writes) -> Self {
        let directory = place::Directory::new();
        Self { store: open(&directory, writes), directory, writes }
    }

    fn then(self, between: Between) -> Self {
        let Self { directory, store, writes } = self;
        match between {
            Between::Nothing => Self { directory, store, writes },
            Between::Reopened(writes) => {
                drop(store);
                Self { store: open(&directory, writes), directory, writes }
            }
            Between::Crashed(writes) => {
                let left = left_of(&directory);
                drop(store);
                Self { store: open(&left, writes), directory: left, writes }
            }
        }
    }
}

fn between() -> impl Strategy<Value = Between> {
    let writes = || prop_oneof![3 => Just(Writes::Journal), 1 => Just(Writes::Rows)];
    prop_oneof![
        6 => Just(Between::Nothing),
        1 => writes().prop_map(Between::Reopened),
        1 => writes().prop_map(Between::Crashed),
    ]
}

/// Whether there is anything to fold is each store's own affair.
fn comparable(outcomes: Vec<Outcome>, records: &[Record]) -> Vec<Outcome> {
    let told = outcomes.into_iter().zip(records).filter(|(_, record)| !matches!(record, Record::Fold));
    told.map(|(outcome, _)| outcome).collect()
}

/// Everything that can be asked.
fn all_of(store: &mut dyn Store) -> Vec<Vec<String>> {
    let rows = store.load(&ids()).expect("the store can be read");
    let mut all = vec![vec![format!("{:?} {rows:?}", store.high_water())]];
    all.extend(questions().iter().map(|question| said(store.ask(question).expect("an answer"))));
    all
}

/// The tables of grants at rest: every column of every row.
fn at_rest(directory: &Path) -> Vec<String> {
    let sql = rusqlite::Connection::open(directory).expect("a file of SQLite");
    let mut rows = Vec::new();
    for table in ["grants", "grant_terms", "journal"] {
        let mut statement = sql.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).expect("a statement");
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let values: rusqlite::Result<Vec<_>> =
                (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect();
            Ok(format!("{table} {:?}", values?))
        };
        rows.extend(statement.query_map([], row).expect("rows").map(|row| row.expect("a row")));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_stores_do_the_same(
        batches in prop::collection::vec((prop::collection::vec(record(), 0..12), small_time(), between()), 1..14)
    ) {
        let (mut memory, mut rows, mut journal) = (Memory::new(), Running::new(Writes::Rows), Running::new(Writes::Journal));
        for (records, now, between) in batches {
            let told = comparable(memory.commit(&records, now).expect("a commit"), &records);
            for running in [&mut rows, &mut journal] {
                let heard = comparable(running.store.commit(&records, now).expect("a commit"), &records);
                prop_assert_eq!(&told, &heard, "{:?} {:?}", running.writes, records);
            }
            journal = journal.then(between);
            let answers = all_of(&mut memory);
            prop_assert_eq!(&answers, &all_of(&mut rows.store));
            prop_assert_eq!(&answers, &all_of(&mut journal.store), "behind {:?}", between);
        }
        let files = [rows, journal].map(|Running { directory, store, .. }| {
            drop(store);
            at_rest(&directory.file())
        });
        prop_assert_eq!(&files[0], &files[1]);
    }

    /// Law L1: a batch is there as a whole or not at all, and none before it is missing.
    #[test]
    fn a_torn_log_is_an_earlier_moment(
        batches in prop::collection::vec(prop::collection::vec(record(), 1..8), 1..12),
        length in any::<prop::sample::Index>(),
        writes in prop::sample::select(vec![Writes::Journal, Writes::Rows]),
    ) {
        let mut journal = Running::new(Writes::Journal);
        let mut moments = vec![all_of(&mut journal.store)];
        for (records, now) in batches.iter().zip(1..) {
            journal.store.commit(records, Timestamp::from_millis(now)).expect("a commit");
            moments.push(all_of(&mut journal.store));
        }
        let left = left_of(&journal.directory);
        let log = fs::OpenOptions::new().write(true).open(left.file().with_file_name("regrant.db-wal")).expect("the log");
        let whole = log.metadata().expect("a length").len();
        let torn = length.index(usize::try_from(whole).expect("small") + 1) as u64;
        log.set_len(torn).expect("torn");
        let found = all_of(&mut open(&left, writes));
        prop_assert!(moments.contains(&found), "torn after {} of {} bytes", torn, whole);
        if torn == whole {
            prop_assert_eq!(moments.last(), Some(&found));
        }
    }
}

fn record() -> impl Strategy<Value = Record> {
    (bare(), prop::bool::weighted(0.25)).prop_map(|(record, is_entailed)| match record {
        Record::Grant { .. } | Record::RemoveGrant { .. } | Record::Fold => record,
        record if is_entailed => record.with(),
        record => record,
    })
}

fn before<T: Clone + std::fmt::Debug + 'static>(
    this: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Before<T>> {
    prop_oneof![Just(Before::Whatever), Just(Before::Nothing), this.prop_map(Before::This)]
}

fn consent() -> impl Strategy<Value = Consent> {
    let time = || prop::option::of(small_time());
    (subject(), client(), "[ab]?", small_time(), time(), time()).prop_map(
        |(subject, client, scope, at, paused_at, ends_at)| Consent {
            subject,
            client,
            scope,
            resources: String::new(),
            at,
            paused_at,
            ends_at,
        },
    )
}

fn bare() -> impl Strategy<Value = Record> {
    prop_oneof![
        8 => (prop::option::of(0..4_u64), grant(), prop::collection::vec(event(), 0..3)).prop_map(
            |(expected, grant, events)| Record::Grant { expected, grant, mac: RowMac { key_id: 1, mac: [3; 16] }, events }
        ),
        2 => (number(), 0..4_u64).prop_map(|(number, expected)| Record::RemoveGrant { number, expected }),
        2 => event().prop_map(Record::Event),
        1 => any::<u8>().prop_map(|byte| {
            Record::Initialise { deployment: DeploymentId([byte; 16]), root_check: [byte; 16] }
        }),
        1 => number().prop_map(|next| Record::ReserveGrants { next }),
        2 => (client(), before("[ab]?"), "[ab]?").prop_map(|(id, before, definition)| Record::PutClient { id, before, definition }),
        1 => client().prop_map(|id| Record::RemoveClient { id }),
        2 => user().prop_map(Record::AddUser),
        2 => (0..3_u64, user()).prop_map(|(expected, user)| Record::PutUser { expected, user }),
        1 => subject().prop_map(|subject| Record::RemoveUser { subject }),
        2 => (0..3_u8, subject(), small_time(), small_time()).prop_map(|(id, subject, authenticated_at, expires_at)| {
            let (acr, amr, claims) = (format!("acr-{id}"), "pwd otp".to_owned(), String::new());
            let id = [id; 32];
            Record::PutSession(Session { id, root: id, subject, authenticated_at, expires_at, acr, amr, claims })
        }),
        1 => (0..3_u8).prop_map(|id| Record::EndSession { id: [id; 32] }),
        1 => (subject(), prop::option::of(0..3_u8)).prop_map(|(subject, but)| {
            Record::EndSessionsOf { subject, but: but.map(|id| [id; 32]) }
        }),
        2 => (0..3_u8, client()).prop_map(|(id, client)| Record::PutLogin { session: [id; 32], client }),
        1 => (0..4_u64).prop_map(|id| Record::RemoveLogoutNotice { id }),
        3 => (consent(), before(consent())).prop_map(|(consent, before)| Record::PutConsent { consent, before }),
        1 => (subject(), client()).prop_map(|(subject, client)| Record::RemoveConsent { subject, client }),
        1 => (0..3_u8, small_time()).prop_map(|(jti, expires_at)| Record::DenyAccess { jti: [jti; 32], expires_at }),
        2 => (0..7_u8, prop::sample::select(vec![1, 60_000, i64::MAX]), 0..4_u32)
            .prop_map(|(key, leak, most)| Record::CountFailure { key: [key; 32], leak, most }),
        1 => (0..7_u8).prop_map(|key| Record::ForgetFailures { key: [key; 32] }),
        2 => (0..3_u8, small_time()).prop_map(|(key, expires_at)| Record::UseOnce { key: [key; 32], expires_at }),
        1 => (0..3_u8, 0..3_u32, small_time()).prop_map(|(hash, uses, expires_at)| {
            let (label, created_at) = (String::new(), expires_at);
            Record::PutRegistrationToken(RegistrationToken { hash: [hash; 32], label, uses, created_at, expires_at })
        }),
        1 => (0..3_u8).prop_map(|hash| Record::RemoveRegistrationToken { hash: [hash; 32] }),
        2 => (client(), ".{0,8}", prop::option::of(0..3_u8)).prop_map(|(id, definition, token)| {
            Record::RegisterClient { id, definition, token: token.map(|token| [token; 32]) }
        }),
        3 => prop::collection::vec(key_change(), 0..3)
            .prop_map(|changes| Record::Keys { changes, events: Vec::new() }),
        4 => epoch().prop_map(|epoch| Record::Epoch { epoch, events: Vec::new() }),
        1 => (0..6_u64, small_time(), prop::collection::vec(event(), 0..2))
            .prop_map(|(number, at, events)| Record::UndoEpoch { number, at, events }),
        1 => (0..6_u64).prop_map(|number| Record::ForgetEpochs { numbers: vec![number] }),
        2 => (small_time(), 0..4_u32).prop_map(|(events_before, limit)| Record::Sweep { events_before, limit }),
        1 => Just(Record::Fold),
        2 => (revoked(), small_time()).prop_map(|(revoked, at)| Record::Revoke { revoked, at }),
        1 => (small_time(), 0..4_u32).prop_map(|(before, limit)| Record::ForgetRevocations { before, limit }),
    ]
}

fn revoked() -> impl Strategy<Value = Revoked> {
    let matching = (prop::option::of(client()), prop::option::of(subject()), prop::option::of("[ab]?"), any::<bool>());
    prop_oneof![
        number().prop_map(Revoked::Grant),
        (0..3_u8).prop_map(|jti| Revoked::Access([jti; 32])),
        number().prop_map(Revoked::TakenBack),
        matching.prop_map(|(client, subject, scope, online_only)| {
            let client = client.and_then(|client| ClientId::parse(&client));
            Revoked::Matching(Selector { client, subject, scope, online_only, ..Selector::default() })
        }),
    ]
}

fn grant() -> impl Strategy<Value = Grant> {
    let hash = || prop::option::of(any::<[u8; 32]>().prop_map(Hash));
    let ended = prop::option::of((small_time(), Just(EndReason::RevokedByUser)));
    (number(), 0..4_u64, any::<(u32, u8, u16, u32)>(), hash(), hash(), ended, client(), subject()).prop_map(
        |(number, version, (generation, tag_key, era, seed_key), current, key, ended, client, subject)| Grant {
            id: GrantId { number, random: number },
            version,
            write_id: u64::from(generation),
            generation,
            current,
            ratchet: current.map(|hash| hash.0),
            tag_key,
            era,
            seed_key,
            rotated_at: Timestamp::EPOCH,
            previously_rotated_at: Timestamp::EPOCH,
            answered_at: Timestamp::EPOCH,
            retries: generation,
            retry_proof: key,
            idle_at: Timestamp::MAX,
            absolute_at: Timestamp::MAX,
            ended,
            redeemed_at: None,
            terms: Arc::new(Terms {
                client: ClientId::parse(&client).expect("a client id"),
                subject,
                scope: Scope::default(),
                resources: Resources::default(),
                binding: key.map_or(Binding::Client, Binding::Key),
                rotation: Rotation::SingleUse,
                refreshable: key.is_some(),
                authenticated_at: Timestamp::EPOCH,
                created_at: Timestamp::from_millis(i64::from(generation % 3)),
                epoch: u64::from(generation % 5),
                session: key.map(|_| [era as u8 % 3; 32]),
                code: None,
                openid: key.map(|_| regrant_core::OpenId { nonce: Some("n".to_owned()), ..Default::default() }),
            }),
        },
    )
}

fn epoch() -> impl Strategy<Value = Epoch> {
    let broad = (prop::option::of(0..3_u8), prop::option::of(0..3_i64), any::<bool>());
    let narrow = (prop::option::of(subject()), prop::option::of(client()), prop::option::of(0..3_u8));
    let undo_until = prop::option::of(small_time());
    (0..6_u64, broad, narrow, undo_until).prop_map(|(number, broad, (subject, client, session), undo_until)| {
        let (tag_key, issued_before, online_only) = broad;
        let client = client.map(|client| ClientId::parse(&client).expect("a client id"));
        let issued_before = issued_before.map(Timestamp::from_millis);
        let session = session.map(|byte| [byte; 32]);
        let but_session = (number % 3 == 1).then_some([1; 32]);
        let clients = || ["app", "web"].into_iter().filter_map(ClientId::parse).collect();
        let among = match number {
            2 => Some(Among::Only(clients())),
            4 => Some(Among::But(clients())),
            _ => None,
        };
        let narrowed = Selector { subject, client, session, tag_key, ..Selector::default() };
        let selector = Selector { issued_before, online_only, among, but_session, ..narrowed };
        let reason = selector.reason();
        Epoch { number, at: Timestamp::EPOCH, selector, reason, detail: String::new(), undo_until, undone_at: None }
    })
}

fn event() -> impl Strategy<Value = EventRecord> {
    let kind = prop::sample::select(vec![
        EventKind::Admin,
        EventKind::Alarm,
        EventKind::LoginFailed,
        EventKind::ReplayRefused,
        EventKind::Refused(Refusal::ScopeExceeded),
        EventKind::Refused(Refusal::IdleExpired),
        EventKind::GrantEnded(EndReason::CodeReplayed),
    ]);
    (kind, prop::option::of(number()), prop::option::of(subject()), small_time()).prop_map(
        |(kind, grant, subject, at)| {
            let grant = grant.map(|number| GrantId { number, random: number });
            let event = Event { kind, grant, client: None, subject, detail: String::new() };
            EventRecord { at, event, correlation: String::new() }
        },
    )
}

fn user() -> impl Strategy<Value = User> {
    (subject(), prop::sample::select(vec!["ann", "bob", "cyd"]), prop::option::of(small_time()), small_time(), 0..3_u64)
        .prop_map(|(subject, name, disabled_at, created_at, version)| User {
            subject,
            name: name.to_owned(),
            password: String::new(),
            disabled_at,
            created_at,
            updated_at: created_at,
            version,
            attributes: format!("{{\"version\":{version}}}"),
        })
}

const NUMBERS: [u64; 4] = [1, 2, 1 << 63, u64::MAX];
const SUBJECTS: [&str; 3] = ["usr_1", "usr_2", ""];
const CLIENTS: [&str; 2] = ["a", "b"];

fn number() -> impl Strategy<Value = u64> {
    prop::sample::select(NUMBERS.to_vec())
}

fn subject() -> impl Strategy<Value = String> {
    prop::sample::select(SUBJECTS.to_vec()).prop_map(str::to_owned)
}

fn client() -> impl Strategy<Value = String> {
    prop::sample::select(CLIENTS.to_vec()).prop_map(str::to_owned)
}

fn key_change() -> impl Strategy<Value = KeyChange> {
    let status = || prop::sample::select(vec![KeyStatus::Current, KeyStatus::Verify]);
    let bytes = prop::option::of(any::<[u8; 4]>().prop_map(|bytes| bytes.to_vec()));
    let times = (small_time(), prop::option::of(small_time()), prop::option::of(small_time()));
    let key = (prop::sample::select(KeyKind::ALL.to_vec()), 0..3_u32, status(), bytes, times);
    (prop::option::weighted(0.5, status()), key).prop_map(|(expected, (kind, id, status, wrapped, times))| {
        let (created_at, current_at, verify_at) = times;
        let (algorithm, outlived_by, gone_at) = ("ES256".to_owned(), u64::from(id), None);
        let key =
            KeyRecord { kind, id, status, algorithm, wrapped, outlived_by, created_at, current_at, verify_at, gone_at };
        KeyChange { expected, key }
    })
}

/// Around the edges of minutes.
fn small_time() -> impl Strategy<Value = Timestamp> {
    prop::sample::select(vec![-60_001, -1, 0, 1, 59_999, 60_000, 60_001, i64::MAX]).prop_map(Timestamp::from_millis)
}

fn ids() -> Vec<GrantId> {
    let right = NUMBERS.map(|number| GrantId { number, random: number });
    let wrong = NUMBERS.map(|number| GrantId { number, random: 0 });
    [right, wrong].concat()
}

fn questions() -> Vec<Question> {
    let mut questions = vec![
        Question::Deployment,
        Question::Clients,
        Question::Users { after: String::new(), limit: 9 },
        Question::Users { after: "ann".to_owned(), limit: 1 },
        Question::UserByName("ann".to_owned()),
        Question::UserBySubject("usr_1".to_owned()),
        Question::Keys(KeyKind::Tag),
        Question::Keys(KeyKind::Seed),
        Question::Keys(KeyKind::Sealing),
        Question::Keys(KeyKind::Signing),
        Question::Epochs,
        Question::RegistrationTokens(None),
        Question::RegistrationTokens(Some([1; 32])),
        Question::CoveredAccess(Box::new(access("usr_1", "a"))),
        Question::CoveredAccess(Box::new(access("b", "b"))),
        Question::Failures((0..8).map(|key| [key; 32]).collect()),
        Question::Revocations { after: 0, limit: 100 },
        Question::Revocations { after: 0, limit: 2 },
        Question::Events { grant: None, limit: 100 },
        Question::Events { grant: None, limit: 2 },
        Question::Events { grant: Some(1), limit: 100 },
        Question::FindEvents(EventFilter { limit: 100, ..EventFilter::default() }),
        Question::FindEvents(EventFilter { kind: Some("login".to_owned()), limit: 100, ..EventFilter::default() }),
    ];
    for id in 0..3 {
        questions.extend([Question::Session([id; 32]), Question::Logins([id; 32]), Question::AccessDenied([id; 32])]);
    }
    for subject in SUBJECTS.map(str::to_owned) {
        questions.push(Question::ConsentsOf(subject.clone()));
        for (before, limit) in [(u64::MAX, 100), (u64::MAX, 1), (1, 1)] {
            questions.push(Question::EventsOf { subject: subject.clone(), before, limit });
        }
        for client in CLIENTS.map(str::to_owned) {
            questions.push(Question::LogoutNotices { client: client.clone(), limit: 2 });
            questions.push(Question::Consent { subject: subject.clone(), client });
        }
    }
    questions.push(Question::LogoutClients { after: String::new(), limit: 9 });
    for client in [None, Some("a".to_owned())] {
        for subject in [None, Some("usr_1".to_owned())] {
            for (after, limit) in [(0, 9), (0, 2), (1, 2), (1 << 63, 9)] {
                questions.push(Question::Grants { client: client.clone(), subject: subject.clone(), after, limit });
            }
        }
    }
    questions.extend([Question::Chain, Question::Deliveries, Question::Places(1), Question::Places(2)]);
    questions
}

fn access(subject: &str, client: &str) -> AccessToken {
    AccessToken {
        grant: None,
        client: client.to_owned(),
        subject: subject.to_owned(),
        scope: String::new(),
        audience: Vec::new(),
        issued_at: 0,
        expires_at: i64::MAX,
        authenticated_at: None,
        jti: String::new(),
        session: Some([1; 32]),
        more: String::new(),
    }
}

/// All of an answer in words: positions of events may differ, their order may not. Nothing is redacted here.
fn said(answer: Answer) -> Vec<String> {
    let full = |user: User| format!("{user:?} {} {} {:?}", user.name, user.password, user.created_at);
    match answer {
        Answer::User(user) => user.into_iter().map(full).collect(),
        Answer::Users(users) => users.into_iter().map(full).collect(),
        Answer::Keys(keys) => keys
            .into_iter()
            .map(|key| format!("{key:?} {} {:?} {:?}", key.algorithm, key.wrapped, key.created_at))
            .collect(),
        Answer::Events(events) => {
            assert!(events.is_sorted_by(|newer, older| newer.id > older.id), "{events:?}");
            events.into_iter().map(|event| format!("{:?}", regrant_store::StoredEvent { id: 0, ..event })).collect()
        }
        Answer::Revocations(rows) => {
            assert!(rows.is_sorted_by(|older, newer| older.position < newer.position), "{rows:?}");
            rows.into_iter().map(|row| format!("{:?}", regrant_store::Revocation { position: 0, ..row })).collect()
        }
        Answer::Grants(rows) => rows.into_iter().map(|row| format!("{row:?}")).collect(),
        Answer::Deployment(_)
        | Answer::Changes(_)
        | Answer::Clients(_)
        | Answer::Session(_)
        | Answer::Logins(_)
        | Answer::LogoutNotices(_)
        | Answer::LogoutClients(_)
        | Answer::DeviceRequest(_)
        | Answer::Consent(_)
        | Answer::Consents(_)
        | Answer::Failures(_)
        | Answer::Epochs { .. }
        | Answer::CoveredAccess(_)
        | Answer::AccessDenied(_)
        | Answer::UsedOnce(_)
        | Answer::Chain(_)
        | Answer::Places(_)
        | Answer::Deliveries(_)
        | Answer::DeadLetters(_)
        | Answer::RegistrationTokens(_) => vec![format!("{answer:?}")],
    }
}
