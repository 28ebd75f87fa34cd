//! What people are asked on the way of a login, a consent or a logout, as data; and what each answer leads to. It is the same whether our
//! own pages ask or an application of the operator's: [`crate::prompt`] says which is asked, this says what follows.
//!
//! | asked     | the answer                                       | then                                                         |
//! |-----------|--------------------------------------------------|--------------------------------------------------------------|
//! | any       | comes later than the interaction lives           | [`Unfit::Over`]                                              |
//! | any       | is one to another question                       | [`Unfit::Other`]                                             |
//! | `Login`   | a login                                          | a session begins; the request is judged again, as from there |
//! | `Login`   | one of the future, or too old for the request    | [`Unfit::NotThen`], [`Unfit::TooOld`]                        |
//! | `Login`   | of an `acr` that is not allowed, or not asked for| [`Unfit::Acr`]                                               |
//! | `Select`  | this account                                     | the request is judged again, as from there                   |
//! | `Select`  | another one                                      | a login is asked for                                         |
//! | `Consent` | all that was asked, or less                      | the client gets its answer                                   |
//! | `Consent` | more, or less than makes an answer               | [`Unfit::Wider`], [`Unfit::WithoutOpenId`]                   |
//! | `Logout`  | yes                                              | the session ends                                             |
//! | `Logout`  | no                                               | the session goes on, and the user is taken home              |
//! | the others| no                                               | the client hears why                                         |
//!
//! An error page is the end of an interaction and no question: nobody answers it.

use std::time::Duration;

use crate::openid::SCOPE;
use crate::scope::Scope;
use crate::time::Timestamp;

/// The most words of `amr`, and the longest.
pub const MOST_AMR: usize = 8;
/// The longest word of `amr`.
pub const LONGEST_AMR: usize = 64;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Who the user is.
    Login,
    /// Which account is to be used.
    Select,
    /// Whether a client may have what it asks for.
    Consent,
    /// Whether the session is to end.
    Logout,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Login, Self::Select, Self::Consent, Self::Logout];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Select => "select_account",
            Self::Consent => "consent",
            Self::Logout => "logout",
        }
    }

    /// By its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What an answer must fit.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// What was asked.
    pub kind: Kind,
    /// When.
    pub began_at: Timestamp,
    /// How long an answer counts.
    pub lifetime: Duration,
    /// Whether only a login of after `began_at` counts: `prompt=login`, `max_age=0`.
    pub anew: bool,
    /// How old a login may be, in seconds (`max_age`).
    pub max_age: Option<u64>,
    /// The `acr`s of which a login must have one: allowed here, and where the request has essential values, one of those.
    pub acrs: &'a [&'a str],
    /// What the client asks for.
    pub scope: &'a Scope,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Somebody has logged in.
    LoggedIn {
        /// When.
        at: Timestamp,
        /// How strongly.
        acr: String,
        /// By what.
        amr: Vec<String>,
    },
    /// The account that is logged in, or another one.
    Account {
        /// Whether it is the one.
        is_this: bool,
    },
    /// The client may have this.
    Allowed(Scope),
    /// Yes.
    Confirmed,
    /// No.
    Rejected(Rejection),
}

/// Why somebody said no: what the client hears (OpenID Connect Core section 3.1.2.6, RFC 6749 section 4.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// The user did not want to.
    AccessDenied,
    /// The user could not log in.
    LoginRequired,
    /// The user was not asked, and would have to be.
    ConsentRequired,
    /// No account was chosen.
    AccountSelectionRequired,
    /// Something else of the user is missing.
    InteractionRequired,
    /// No login is as strong as was asked for (OpenID Connect Core Error Code unmet_authentication_requirements 1.0).
    UnmetAuthenticationRequirements,
    /// Not now.
    TemporarilyUnavailable,
}

impl Rejection {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AccessDenied,
        Self::LoginRequired,
        Self::ConsentRequired,
        Self::AccountSelectionRequired,
        Self::InteractionRequired,
        Self::UnmetAuthenticationRequirements,
        Self::TemporarilyUnavailable,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::InteractionRequired => "interaction_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// By its code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rejection| rejection.as_str() == text)
    }
}

/// What follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// A session begins, and the request is judged again as from a login.
    BeginSession,
    /// The request is judged again, as from the page that shows the account.
    GoOn,
    /// A login is asked for.
    AskForLogin,
    /// The client gets its answer, with this.
    Answer(Scope),
    /// The session ends.
    EndSession,
    /// Nothing ends; the user is taken home.
    Stay,
    /// The client hears why not.
    Tell(Rejection),
}

/// Why an answer does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// It comes too late.
    Over,
    /// It answers another question.
    Other,
    /// It tells of a login of the future.
    NotThen,
    /// The login is older than the request allows.
    TooOld,
    /// The `acr` is not one of those that count.
    Acr,
    /// `amr` is none.
    Amr,
    /// It allows more than was asked for.
    Wider,
    /// It leaves out `openid`, without which the request would be another one.
    WithoutOpenId,
}

/// Decides.
///
/// # Errors
/// [`Unfit`]: nothing follows, and the question stands.
pub fn then(rules: &Rules<'_>, reply: Reply, now: Timestamp) -> Result<Then, Unfit> {
    if now.since(rules.began_at) >= rules.lifetime {
        return Err(Unfit::Over);
    }
    match (rules.kind, reply) {
        (Kind::Login, Reply::LoggedIn { at, acr, amr }) => {
            is_fit(rules, at, &acr, &amr, now)?;
            Ok(Then::BeginSession)
        }
        (Kind::Select, Reply::Account { is_this: true }) => Ok(Then::GoOn),
        (Kind::Select, Reply::Account { is_this: false }) => Ok(Then::AskForLogin),
        (Kind::Consent, Reply::Allowed(scope)) => {
            if !scope.is_within(rules.scope) {
                return Err(Unfit::Wider);
            }
            if rules.scope.contains(SCOPE) && !scope.contains(SCOPE) {
                return Err(Unfit::WithoutOpenId);
            }
            Ok(Then::Answer(scope))
        }
        (Kind::Logout, Reply::Confirmed) => Ok(Then::EndSession),
        (Kind::Logout, Reply::Rejected(_)) => Ok(Then::Stay),
        (Kind::Login | Kind::Select | Kind::Consent, Reply::Rejected(why)) => Ok(Then::Tell(why)),
        (
            Kind::Login | Kind::Select | Kind::Consent | Kind::Logout,
            Reply::LoggedIn { .. } | Reply::Account { .. } | Reply::Allowed(_) | Reply::Confirmed,
        ) => Err(Unfit::Other),
    }
}

fn is_fit(rules: &Rules<'_>, at: Timestamp, acr: &str, amr: &[String], now: Timestamp) -> Result<(), Unfit> {
    if at > now {
        return Err(Unfit::NotThen);
    }
    // OpenID Connect Core section 3.1.2.1: "If the elapsed time is greater than this value, the OP MUST attempt to actively
    // re-authenticate the End-User."
    let is_too_old = rules.max_age.is_some_and(|most| now.since(at) > Duration::from_secs(most));
    if (rules.anew || is_too_old) && at < rules.began_at {
        return Err(Unfit::TooOld);
    }
    if !rules.acrs.contains(&acr) {
        return Err(Unfit::Acr);
    }
    let is_word = |word: &String| {
        !word.is_empty() && word.len() <= LONGEST_AMR && word.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if amr.len() > MOST_AMR || !amr.iter().all(is_word) {
        return Err(Unfit::Amr);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn ago(seconds: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(seconds))
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).expect("a scope")
    }

    fn login(at: Timestamp, acr: &str) -> Reply {
        Reply::LoggedIn { at, acr: acr.to_owned(), amr: vec!["hwk".to_owned()] }
    }

    fn replies() -> [Reply; 7] {
        [
            login(NOW, "a"),
            Reply::Account { is_this: true },
            Reply::Account { is_this: false },
            Reply::Allowed(scope("openid read")),
            Reply::Allowed(scope("openid")),
            Reply::Confirmed,
            Reply::Rejected(Rejection::AccessDenied),
        ]
    }

    fn asked(kind: Kind, scope: &Scope) -> Rules<'_> {
        let lifetime = Duration::from_secs(600);
        Rules { kind, began_at: ago(60), lifetime, anew: false, max_age: None, acrs: &["a", "b"], scope }
    }

    /// The table of the module's description: each question with each answer.
    #[test]
    fn each_answer_fits_its_own_question() {
        let all = scope("openid read");
        let no = Then::Tell(Rejection::AccessDenied);
        for kind in Kind::ALL {
            for reply in replies() {
                let expected = match (kind, &reply) {
                    (Kind::Login, Reply::LoggedIn { .. }) => Ok(Then::BeginSession),
                    (Kind::Select, Reply::Account { is_this: true }) => Ok(Then::GoOn),
                    (Kind::Select, Reply::Account { is_this: false }) => Ok(Then::AskForLogin),
                    (Kind::Consent, Reply::Allowed(scope)) => Ok(Then::Answer(scope.clone())),
                    (Kind::Logout, Reply::Confirmed) => Ok(Then::EndSession),
                    (Kind::Logout, Reply::Rejected(_)) => Ok(Then::Stay),
                    (_, Reply::Rejected(_)) => Ok(no.clone()),
                    _ => Err(Unfit::Other),
                };
                assert_eq!(then(&asked(kind, &all), reply.clone(), NOW), expected, "{kind:?} {reply:?}");
                let late = Rules { began_at: ago(600), ..asked(kind, &all) };
                assert_eq!(then(&late, reply, NOW), Err(Unfit::Over), "something is over at its instant");
            }
        }
    }

    #[test]
    fn a_login_is_as_new_and_as_strong_as_the_request_wants_it() {
        let none = Scope::default();
        let rules = |anew, max_age| Rules { anew, max_age, ..asked(Kind::Login, &none) };
        let later = NOW.plus(Duration::from_millis(1));
        for (rules, reply, expected) in [
            (rules(false, None), login(ago(9_000), "b"), Ok(Then::BeginSession)),
            (rules(false, None), login(later, "a"), Err(Unfit::NotThen)),
            (rules(true, None), login(ago(60), "a"), Ok(Then::BeginSession)),
            (rules(true, None), login(ago(61), "a"), Err(Unfit::TooOld)),
            (rules(false, Some(100)), login(ago(100), "a"), Ok(Then::BeginSession)),
            (rules(false, Some(100)), login(ago(101), "a"), Err(Unfit::TooOld)),
            // Slower than max_age, and yet of this very question.
            (rules(false, Some(10)), login(ago(60), "a"), Ok(Then::BeginSession)),
            (rules(false, None), login(NOW, "c"), Err(Unfit::Acr)),
        ] {
            assert_eq!(then(&rules, reply.clone(), NOW), expected, "{rules:?} {reply:?}");
        }
        for amr in [vec![String::new()], vec!["a b".to_owned()], vec!["x".repeat(65)], vec!["x".to_owned(); 9]] {
            let reply = Reply::LoggedIn { at: NOW, acr: "a".to_owned(), amr };
            assert_eq!(then(&rules(false, None), reply, NOW), Err(Unfit::Amr));
        }
        for amr in [Vec::new(), vec!["x".repeat(LONGEST_AMR); MOST_AMR]] {
            let reply = Reply::LoggedIn { at: NOW, acr: "a".to_owned(), amr };
            assert_eq!(
                then(&rules(false, None), reply, NOW),
                Ok(Then::BeginSession),
                "none, and as much as there may be"
            );
        }
    }

    #[test]
    fn a_consent_gives_no_more_than_was_asked_for() {
        let all = scope("openid read");
        let allowed = |text: &str| then(&asked(Kind::Consent, &all), Reply::Allowed(scope(text)), NOW);
        assert_eq!(allowed("openid read write"), Err(Unfit::Wider));
        assert_eq!(allowed("read"), Err(Unfit::WithoutOpenId));
        assert_eq!(allowed("openid"), Ok(Then::Answer(scope("openid"))));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.as_str()) == Some(kind)));
        assert!(Rejection::ALL.into_iter().all(|why| Rejection::parse(why.as_str()) == Some(why)));
        assert_eq!((Kind::parse("error"), Rejection::parse("invalid_grant")), (None, None));
    }
}
