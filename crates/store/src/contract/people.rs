//! Users, their sessions, and what they allowed.

use super::{Desk, Open, at, user};
use crate::Outcome::{Committed, Stale};
use crate::{Answer, Before, Consent, Failures, Question, Record, Session, User};

/// Two people never share a name or a subject.
pub fn a_name_and_a_subject_are_taken_once(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let add = |subject, name| Record::AddUser(user(subject, name));
    let batch =
        [add("usr_1", "ann"), add("usr_2", "ann"), add("usr_1", "bob"), add("usr_1", "ann"), add("usr_2", "Ann")];
    assert_eq!(desk.commit(&batch), [Committed, Stale, Stale, Stale, Committed]);
    assert_eq!(desk.user("ann"), Some(user("usr_1", "ann")));
    assert_eq!(desk.user("Ann"), Some(user("usr_2", "Ann")), "names are compared byte by byte");
    assert_eq!(desk.user("bob"), None);
}

/// All but the subject may change.
pub fn a_user_is_replaced_unless_the_name_is_taken(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit(&[Record::AddUser(user("usr_1", "ann")), Record::AddUser(user("usr_2", "bob"))]);
    let put = |user: &User| Record::PutUser { expected: 1, user: user.clone() };
    assert_eq!(desk.one(put(&user("usr_1", "bob"))), Stale);
    assert_eq!(desk.user("ann"), Some(user("usr_1", "ann")));
    let changed = User {
        name: "anna".to_owned(),
        password: "other".to_owned(),
        disabled_at: Some(at(-1)),
        created_at: at(9),
        updated_at: at(10),
        attributes: r#"{"name":"Änn"}"#.to_owned(),
        ..user("usr_1", "ann")
    };
    assert_eq!(desk.one(put(&changed)), Committed);
    assert_eq!(desk.one(put(&changed)), Committed, "its own name is not another's");
    assert_eq!((desk.user("ann"), desk.user("anna")), (None, Some(changed.clone())));
    let Answer::User(found) = desk.ask(&Question::UserBySubject("usr_1".to_owned())) else { panic!("not a user") };
    assert_eq!(found, Some(changed));
}

/// Of two that read the same row, the second to write reads again: what the first wrote is not undone.
pub fn a_user_is_replaced_at_its_version_only(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let ann = user("usr_1", "ann");
    let put = |expected, version, password: &str| Record::PutUser {
        expected,
        user: User { version, password: password.to_owned(), ..ann.clone() },
    };
    desk.one(Record::AddUser(ann.clone()));
    assert_eq!(desk.commit(&[put(1, 2, "new"), put(1, 2, "renewed"), put(3, 4, "early")]), [Committed, Stale, Stale]);
    assert_eq!(desk.user("ann").map(|user| (user.version, user.password)), Some((2, "new".to_owned())));
    assert_eq!(desk.one(put(2, u64::MAX, "last")), Committed);
    assert_eq!(desk.one(put(u64::MAX, 3, "around")), Committed);
    assert_eq!(desk.user("ann").map(|user| user.version), Some(3));
}

/// Nobody comes into being by a change.
pub fn a_missing_user_can_be_neither_replaced_nor_removed(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let removal = Record::RemoveUser { subject: "usr_1".to_owned() };
    assert_eq!(desk.commit(&[Record::PutUser { expected: 1, user: user("usr_1", "ann") }, removal]), [Stale, Stale]);
    assert_eq!(desk.user("ann"), None);
}

/// The name, not the subject: that is the caller's to choose anew.
pub fn a_removed_name_is_free_again(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let batch = [
        Record::AddUser(user("usr_1", "ann")),
        Record::RemoveUser { subject: "usr_1".to_owned() },
        Record::AddUser(user("usr_2", "ann")),
    ];
    assert_eq!(desk.commit(&batch), [Committed; 3]);
    assert_eq!(desk.user("ann"), Some(user("usr_2", "ann")));
}

/// What a removed user allowed is not there for whoever brings the subject back.
pub fn what_a_removed_user_allowed_goes_with_him(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let consent = |subject: &str| crate::Consent {
        subject: subject.to_owned(),
        client: "app".to_owned(),
        scope: "read".to_owned(),
        resources: String::new(),
        at: at(3),
        paused_at: None,
        ends_at: None,
    };
    let allowed = |desk: &mut Desk, subject: &str| {
        let question = Question::Consent { subject: subject.to_owned(), client: "app".to_owned() };
        let Answer::Consent(found) = desk.ask(&question) else { panic!("not a consent") };
        found.is_some()
    };
    let removal = Record::RemoveUser { subject: "usr_1".to_owned() };
    desk.commit(&[Record::PutConsent { consent: consent("usr_1"), before: Before::Whatever }, removal.clone()]);
    assert!(allowed(&mut desk, "usr_1"), "nobody was removed");
    let users = [Record::AddUser(user("usr_1", "ann")), Record::AddUser(user("usr_2", "bob"))];
    desk.commit(
        &[&users[..], &[Record::PutConsent { consent: consent("usr_2"), before: Before::Whatever }, removal]].concat(),
    );
    desk.one(Record::AddUser(user("usr_1", "ann")));
    assert_eq!((allowed(&mut desk, "usr_1"), allowed(&mut desk, "usr_2")), (false, true));
}

/// Byte by byte, from where the page before ended.
pub fn users_are_listed_in_order_of_name(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for (subject, name) in [("usr_1", "é"), ("usr_2", "b"), ("usr_3", "a"), ("usr_4", "B"), ("usr_5", "aa")] {
        desk.one(Record::AddUser(user(subject, name)));
    }
    let mut names = |after: &str, limit| {
        let Answer::Users(users) = desk.ask(&Question::Users { after: after.to_owned(), limit }) else {
            panic!("not users")
        };
        users.into_iter().map(|user| user.name).collect::<Vec<_>>()
    };
    assert_eq!(names("", 3), ["B", "a", "aa"]);
    assert_eq!(names("aa", 3), ["b", "é"]);
    assert_eq!(names("é", 3), [] as [&str; 0]);
    assert_eq!(names("", 0), [] as [&str; 0]);
}

fn session(id: u8, subject: &str) -> Session {
    let subject = subject.to_owned();
    let (acr, amr) = ("urn:example:acr:strong".to_owned(), "hwk pin".to_owned());
    let claims = r#"{"tier":"gold"}"#.to_owned();
    Session { id: [id; 32], root: [id; 32], subject, authenticated_at: at(1), expires_at: at(2), acr, amr, claims }
}

fn find(desk: &mut Desk, id: u8) -> Option<Session> {
    let Answer::Session(session) = desk.ask(&Question::Session([id; 32])) else { panic!("not a session") };
    session
}

/// Whether it has run out is the caller's question.
pub fn a_session_is_there_until_it_is_ended(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let first = session(1, "usr_ann");
    let longer = Session { expires_at: at(9), ..first.clone() };
    desk.commit_at(&[Record::PutSession(first.clone())], at(5));
    assert_eq!(find(&mut desk, 1), Some(first));
    assert_eq!(find(&mut desk, 2), None);
    assert_eq!(desk.one(Record::PutSession(longer.clone())), Committed);
    assert_eq!(find(&mut desk, 1), Some(longer));
    let end = Record::EndSession { id: [1; 32] };
    assert_eq!(desk.commit(&[end.clone(), end]), [Committed, Committed], "it may be gone already");
    assert_eq!(find(&mut desk, 1), None);
}

/// And nobody else's.
pub fn all_sessions_of_a_user_end_together(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for (id, subject) in [(1, "usr_ann"), (2, "usr_bob"), (3, "usr_ann")] {
        desk.one(Record::PutSession(session(id, subject)));
    }
    let end = Record::EndSessionsOf { subject: "usr_ann".to_owned(), but: None };
    assert_eq!(desk.commit(&[end.clone(), end]), [Committed, Committed]);
    assert_eq!([1, 2, 3].map(|id| find(&mut desk, id).is_some()), [false, true, false]);
}

fn login(session: u8, client: &str) -> Record {
    Record::PutLogin { session: [session; 32], client: client.to_owned() }
}

fn logins(desk: &mut Desk, session: u8) -> Vec<String> {
    let Answer::Logins(clients) = desk.ask(&Question::Logins([session; 32])) else { panic!("not logins") };
    clients
}

fn notices(desk: &mut Desk, client: &str) -> Vec<(u64, String, [u8; 32])> {
    let question = Question::LogoutNotices { client: client.to_owned(), limit: 10 };
    let Answer::LogoutNotices(notices) = desk.ask(&question) else { panic!("not notices") };
    notices.into_iter().map(|notice| (notice.id, notice.subject, notice.session)).collect()
}

fn notified(desk: &mut Desk) -> Vec<String> {
    let Answer::LogoutClients(clients) = desk.ask(&Question::LogoutClients { after: String::new(), limit: 10 }) else {
        panic!("not clients")
    };
    clients
}

/// In the commit that ends the session, whoever ended it; and not twice.
pub fn whoever_was_logged_in_to_is_to_hear_of_the_end(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for (id, subject) in [(1, "usr_ann"), (2, "usr_bob"), (3, "usr_ann"), (4, "usr_ann")] {
        desk.one(Record::PutSession(session(id, subject)));
    }
    assert_eq!(desk.one(login(9, "app")), Stale, "there is no such session");
    let all = [login(1, "shop"), login(1, "app"), login(1, "app"), login(2, "app"), login(3, "app"), login(4, "app")];
    assert_eq!(desk.commit(&all), [Committed; 6]);
    assert_eq!(logins(&mut desk, 1), ["app", "shop"]);
    assert!(notified(&mut desk).is_empty());
    let end = Record::EndSession { id: [1; 32] };
    desk.commit(&[end.clone(), end]);
    assert_eq!(notified(&mut desk), ["app", "shop"]);
    assert_eq!(notices(&mut desk, "app"), [(1, "usr_ann".to_owned(), [1; 32])]);
    assert_eq!(notices(&mut desk, "shop"), [(2, "usr_ann".to_owned(), [1; 32])]);
    assert_eq!(desk.one(login(1, "app")), Stale, "it is over");
    desk.one(Record::EndSessionsOf { subject: "usr_ann".to_owned(), but: Some([4; 32]) });
    assert_eq!(notices(&mut desk, "app").len(), 2, "not of the one that stays, nor of another user's");
    assert!(find(&mut desk, 4).is_some() && find(&mut desk, 3).is_none());
    let heard = Record::RemoveLogoutNotice { id: 2 };
    assert_eq!(desk.commit(&[heard.clone(), heard]), [Committed, Stale]);
    assert_eq!(notified(&mut desk), ["app"]);
}

/// The user logs in again in the same browser: another cookie, the same session.
pub fn a_session_that_goes_on_keeps_its_logins(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.one(Record::PutSession(session(1, "usr_ann")));
    desk.one(login(1, "app"));
    let next = Session { id: [2; 32], expires_at: at(9), ..session(1, "usr_ann") };
    let renew = |session| Record::RenewSession { before: [1; 32], session };
    let foreign = Session { id: [2; 32], ..session(1, "usr_bob") };
    assert_eq!(desk.commit(&[renew(foreign), renew(next.clone()), renew(next.clone())]), [Stale, Committed, Stale]);
    assert_eq!((find(&mut desk, 1), find(&mut desk, 2)), (None, Some(next)));
    assert!(notified(&mut desk).is_empty(), "nobody was logged out");
    assert_eq!(logins(&mut desk, 1), ["app"]);
    desk.one(Record::EndSession { id: [2; 32] });
    assert_eq!(notices(&mut desk, "app"), [(1, "usr_ann".to_owned(), [1; 32])], "under the name that it had always");
}

/// One per user and client.
pub fn a_consent_is_replaced_and_forgotten(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let consent = |subject: &str, client: &str, scope: &str| Consent {
        subject: subject.to_owned(),
        client: client.to_owned(),
        scope: scope.to_owned(),
        resources: "urn:a urn:b".to_owned(),
        at: at(3),
        paused_at: None,
        ends_at: None,
    };
    let find = |desk: &mut Desk, subject: &str, client: &str| {
        let question = Question::Consent { subject: subject.to_owned(), client: client.to_owned() };
        let Answer::Consent(found) = desk.ask(&question) else { panic!("not a consent") };
        found
    };
    for (subject, client, scope) in [("usr_1", "a", "x"), ("usr_1", "b", "x"), ("usr_2", "a", "x"), ("usr_1", "a", "y")]
    {
        assert_eq!(
            desk.one(Record::PutConsent { consent: consent(subject, client, scope), before: Before::Whatever }),
            Committed
        );
    }
    assert_eq!(find(&mut desk, "usr_1", "a"), Some(consent("usr_1", "a", "y")));
    let forget = Record::RemoveConsent { subject: "usr_1".to_owned(), client: "a".to_owned() };
    assert_eq!(desk.commit(&[forget.clone(), forget]), [Committed, Committed]);
    assert_eq!(find(&mut desk, "usr_1", "a"), None);
    assert_eq!(find(&mut desk, "usr_1", "b"), Some(consent("usr_1", "b", "x")));
    assert_eq!(find(&mut desk, "usr_2", "a"), Some(consent("usr_2", "a", "x")));
}

/// Of two requests that change a consent at once, the second does not undo what the first has changed: a pause stays.
pub fn a_consent_is_put_only_over_what_was_read(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let (subject, client, nowhere) = ("usr_1".to_owned(), "a".to_owned(), String::new());
    let first = Consent {
        subject,
        client,
        scope: "x".to_owned(),
        resources: nowhere,
        at: at(3),
        paused_at: None,
        ends_at: None,
    };
    let paused = Consent { paused_at: Some(at(4)), ..first.clone() };
    let more = Consent { scope: "x y".to_owned(), at: at(5), ends_at: Some(at(9)), ..first.clone() };
    let put = |desk: &mut Desk, before: Before<Consent>, consent: &Consent| {
        desk.one(Record::PutConsent { consent: consent.clone(), before })
    };
    let this = |consent: &Consent| Before::This(consent.clone());
    assert_eq!(put(&mut desk, this(&first), &paused), Stale, "there is none");
    assert_eq!(put(&mut desk, Before::Nothing, &first), Committed);
    assert_eq!(put(&mut desk, Before::Nothing, &more), Stale);
    assert_eq!(put(&mut desk, this(&first), &paused), Committed);
    for other in
        [&first, &more, &Consent { at: at(4), ..paused.clone() }, &Consent { scope: "y".to_owned(), ..paused.clone() }]
    {
        assert_eq!(put(&mut desk, this(other), &more), Stale, "somebody was first");
    }
    let found = |desk: &mut Desk| {
        let question = Question::Consent { subject: "usr_1".to_owned(), client: "a".to_owned() };
        let Answer::Consent(Some(found)) = desk.ask(&question) else { panic!("no consent") };
        found
    };
    assert_eq!(found(&mut desk), paused);
    assert_eq!(put(&mut desk, this(&paused), &more), Committed);
    assert_eq!(put(&mut desk, this(&paused), &first), Stale);
    assert_eq!(put(&mut desk, this(&more), &first), Committed);
    assert_eq!(found(&mut desk), first);
}

fn count(key: u8, most: u32) -> Record {
    Record::CountFailure { key: [key; 32], leak: 100, most }
}

fn failures(desk: &mut Desk, key: u8) -> Option<Failures> {
    let Answer::Failures(found) = desk.ask(&Question::Failures(vec![[key; 32]])) else { panic!("not failures") };
    found[0]
}

/// By themselves, without a sweep.
pub fn failures_are_counted_and_forgotten_one_by_one(open: Open<'_>) {
    let mut desk = Desk::at(open);
    assert_eq!(failures(&mut desk, 1), None);
    desk.commit_at(&[count(1, 9), count(1, 9), count(2, 9)], at(1000));
    desk.commit_at(&[count(1, 9)], at(1050));
    let found = failures(&mut desk, 1).expect("failures");
    assert_eq!(found, Failures { last_at: at(1050), forgotten_at: at(1300) });
    let remembered = [1050, 1100, 1200, 1299, 1300, 9000].map(|now| found.remembered(at(now), 100));
    assert_eq!(remembered, [3, 2, 1, 1, 0, 0]);
    let Answer::Failures(both) = desk.ask(&Question::Failures(vec![[2; 32], [3; 32], [1; 32]])) else {
        panic!("not failures")
    };
    assert_eq!(both.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true], "in the order asked");
}

/// Or an attacker could make them last for ever.
pub fn no_more_failures_are_counted_than_are_asked_for(open: Open<'_>) {
    let mut desk = Desk::at(open);
    desk.commit_at(&vec![count(1, 5); 50], at(1000));
    assert_eq!(failures(&mut desk, 1).map(|found| found.remembered(at(1000), 100)), Some(5));
    desk.commit_at(&[Record::CountFailure { key: [1; 32], leak: i64::MAX, most: u32::MAX }], at(i64::MAX));
    assert_eq!(
        failures(&mut desk, 1).map(|found| found.forgotten_at),
        Some(at(i64::MAX)),
        "and no number is too large"
    );
}

/// Of this key and no other.
pub fn a_success_forgets_all_failures(open: Open<'_>) {
    let mut desk = Desk::at(open);
    let forget = Record::ForgetFailures { key: [1; 32] };
    assert_eq!(desk.commit(&[count(1, 9), count(2, 9), forget.clone(), forget]), [Committed; 4]);
    assert_eq!([1, 2].map(|key| failures(&mut desk, key).is_some()), [false, true]);
}

/// Whoever fills the table empties it, and the sweep takes what is left.
pub fn forgotten_failures_leave_no_rows_behind(open: Open<'_>) {
    let mut desk = Desk::at(open);
    for key in 0..200 {
        desk.commit_at(&[count(key, 9)], at(i64::from(key) * 50));
    }
    let left = (0..200).filter(|key| failures(&mut desk, *key).is_some()).count();
    assert!(left <= 4, "{left} rows of 200 are left");
    desk.commit_at(&[Record::Sweep { events_before: at(0), limit: 100 }], at(1_000_000));
    assert!((0..200).all(|key| failures(&mut desk, key).is_none()));
}
