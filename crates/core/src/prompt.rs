//! Which page an authorization request leads to: OpenID Connect Core sections 3.1.2.1 to 3.1.2.4, with `prompt`, `max_age`,
//! `id_token_hint` and the value of a `sub` claim.
//!
//! Asked in this order; the first line that holds decides:
//!
//! | what holds                                                     | with `none`           | without                          |
//! |----------------------------------------------------------------|-----------------------|----------------------------------|
//! | nobody is logged in                                            | `login_required`      | the login page                   |
//! | somebody else is than the request names                        | `login_required`      | the login page; `login_required` if he has just come from there |
//! | `login`, and nobody has just come from the login page          | –                     | the login page                   |
//! | the login is older than `max_age`, or `max_age` is 0, the same | `login_required`      | the login page                   |
//! | the login is of no `acr` that the request needs                | `login_required`      | the login page; `unmet_authentication_requirements` if he has just come from there |
//! | `select_account`, and no account was just chosen               | –                     | the page that shows the account  |
//! | the client is not allowed, or `consent`                        | `consent_required`    | the consent page                 |
//! | nothing of this                                                | the answer            | the answer                       |
//!
//! `account_selection_required` and `interaction_required` have no line: a browser has one account here, and every page has a code of
//! its own.

use std::time::Duration;

use crate::time::Timestamp;

/// How long coming from the login page counts for a request that wants a new login: as long as somebody reads a consent page.
pub const JUST_NOW: Duration = Duration::from_secs(600);

/// What the client wants the user to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prompt {
    /// Nothing at all.
    pub none: bool,
    /// To log in again.
    pub login: bool,
    /// For consent.
    pub consent: bool,
    /// Which account.
    pub select_account: bool,
}

/// What is wrong with the parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPrompt {
    /// "If this parameter contains none with any other value, an error is returned."
    NoneWithOthers,
    /// Initiating User Registration via OpenID Connect 1.0 section 4.1: "If the OpenID Provider receives a prompt value outside the set
    /// declared in the prompt_values_supported metadata element, it SHOULD respond with HTTP 400 (Bad Request) and an error value of
    /// invalid_request."
    Unknown,
}

impl Prompt {
    /// The values that mean something here.
    pub const NAMES: [&'static str; 4] = ["none", "login", "consent", "select_account"];

    /// Reads the parameter.
    ///
    /// # Errors
    /// [`BadPrompt`].
    pub fn parse(text: &str) -> Result<Self, BadPrompt> {
        let mut prompt = Self::default();
        let mut words = 0;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            words += 1;
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err(BadPrompt::Unknown),
            }
        }
        if prompt.none && words > 1 { Err(BadPrompt::NoneWithOthers) } else { Ok(prompt) }
    }
}

/// Which page the user has just come from, with this very request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// From none.
    Fresh,
    /// The one that shows the account.
    Chose,
    /// The login page.
    LoggedIn,
}

/// Somebody who is logged in at the browser.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// When he logged in.
    pub authenticated_at: Timestamp,
    /// Whether he is who the request names by `id_token_hint` or by the value of `sub`; `true` if it names nobody.
    pub is_named: bool,
    /// Whether his login is of an `acr` that the request needs; `true` if it needs none.
    pub is_strong: bool,
    /// Whether the client is trusted, or all of it was allowed before.
    pub consented: bool,
    /// Where he comes from.
    pub came: Came,
    /// Since when. Not when he logged in: another application may have had him log in long ago, and just now said who he is.
    pub came_at: Timestamp,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Show the login page.
    Login,
    /// Show the account, to go on or to take another one.
    Select,
    /// Show the consent page.
    Consent,
    /// Answer the client.
    Answer,
    /// Tell it `login_required`.
    LoginRequired,
    /// Tell it `consent_required`.
    ConsentRequired,
    /// Tell it `unmet_authentication_requirements`.
    Unmet,
}

/// Decides. `max_age` is in seconds.
#[must_use]
pub fn next(prompt: Prompt, max_age: Option<u64>, present: Option<Present>, now: Timestamp) -> Next {
    let login = if prompt.none { Next::LoginRequired } else { Next::Login };
    let Some(who) = present else { return login };
    let age = now.since(who.authenticated_at);
    let came = match who.came {
        Came::LoggedIn if now.since(who.came_at) > JUST_NOW => Came::Fresh,
        came => came,
    };
    if !who.is_named {
        // OpenID Connect Core section 3.1.2.2: "the Authorization Server MUST NOT reply with an ID Token or Access Token for a
        // different user".
        return if came == Came::LoggedIn { Next::LoginRequired } else { login };
    }
    // "max_age: […] If the elapsed time is greater than this value, the OP MUST attempt to actively re-authenticate the End-User.
    // […] Note that max_age=0 is equivalent to prompt=login."
    let too_old = max_age.is_some_and(|most| most == 0 || age > Duration::from_secs(most));
    if (prompt.login || too_old) && came != Came::LoggedIn {
        return login;
    }
    if !who.is_strong {
        // OpenID Connect Core section 5.5.1.1: without such a value, "treat that outcome as a failed authentication attempt".
        return if came == Came::LoggedIn { Next::Unmet } else { login };
    }
    if prompt.select_account && came == Came::Fresh {
        return Next::Select;
    }
    match (prompt.consent || !who.consented, prompt.none) {
        (true, true) => Next::ConsentRequired,
        (true, false) => Next::Consent,
        (false, _) => Next::Answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn who(seconds_ago: u64) -> Present {
        let authenticated_at = NOW.minus(Duration::from_secs(seconds_ago));
        let (came, came_at) = (Came::Fresh, authenticated_at);
        Present { authenticated_at, is_named: true, is_strong: true, consented: true, came, came_at }
    }

    fn asked(text: &str) -> Prompt {
        Prompt::parse(text).expect("a prompt")
    }

    #[test]
    fn none_goes_with_nothing_else() {
        for text in ["none login", "consent none", "none select_account", "none none"] {
            assert_eq!(Prompt::parse(text), Err(BadPrompt::NoneWithOthers), "{text}");
        }
        assert_eq!(asked(""), Prompt::default());
    }

    #[test]
    fn a_prompt_that_is_not_announced_is_told() {
        for text in ["create", "login create", "none create", "Login", "login,consent"] {
            assert_eq!(Prompt::parse(text), Err(BadPrompt::Unknown), "{text}");
        }
        for name in Prompt::NAMES {
            assert!(Prompt::parse(name).is_ok(), "{name}");
        }
    }

    /// The table of the module's description, line by line.
    #[test]
    fn each_line_of_the_table_decides() {
        let other = Present { is_named: false, ..who(5) };
        let weak = Present { is_strong: false, ..who(5) };
        let stranger = Present { consented: false, ..who(5) };
        let came = |came, who: Present| Present { came, ..who };
        for (text, max_age, present, expected) in [
            ("", None, None, Next::Login),
            ("none", None, None, Next::LoginRequired),
            ("", None, Some(other), Next::Login),
            ("none", None, Some(other), Next::LoginRequired),
            ("", None, Some(came(Came::LoggedIn, other)), Next::LoginRequired),
            ("", None, Some(came(Came::Chose, other)), Next::Login),
            ("login", None, Some(who(5)), Next::Login),
            ("login", None, Some(came(Came::Chose, who(5))), Next::Login),
            ("login", None, Some(came(Came::LoggedIn, who(5))), Next::Answer),
            ("login", None, Some(came(Came::LoggedIn, who(600))), Next::Answer),
            ("login", None, Some(came(Came::LoggedIn, who(601))), Next::Login),
            // An application that had him log in long ago, and has just said so.
            ("login", None, Some(Present { came_at: NOW, ..came(Came::LoggedIn, who(3600)) }), Next::Answer),
            (
                "",
                None,
                Some(Present { came_at: NOW, is_named: false, ..came(Came::LoggedIn, who(3600)) }),
                Next::LoginRequired,
            ),
            ("", Some(5), Some(who(5)), Next::Answer),
            ("", Some(5), Some(who(6)), Next::Login),
            ("none", Some(5), Some(who(6)), Next::LoginRequired),
            ("", Some(0), Some(who(0)), Next::Login),
            ("none", Some(0), Some(who(0)), Next::LoginRequired),
            ("", Some(0), Some(came(Came::LoggedIn, who(0))), Next::Answer),
            ("", Some(u64::MAX), Some(who(1_000)), Next::Answer),
            ("", None, Some(weak), Next::Login),
            ("none", None, Some(weak), Next::LoginRequired),
            ("", None, Some(came(Came::LoggedIn, weak)), Next::Unmet),
            ("select_account", None, Some(came(Came::Chose, weak)), Next::Login),
            ("select_account", None, None, Next::Login),
            ("select_account", None, Some(who(5)), Next::Select),
            ("select_account", None, Some(came(Came::Chose, who(5))), Next::Answer),
            ("select_account", None, Some(came(Came::LoggedIn, who(5))), Next::Answer),
            ("login select_account", None, Some(who(5)), Next::Login),
            ("select_account consent", None, Some(came(Came::Chose, who(5))), Next::Consent),
            ("", None, Some(stranger), Next::Consent),
            ("none", None, Some(stranger), Next::ConsentRequired),
            ("consent", None, Some(who(5)), Next::Consent),
            ("login consent", None, Some(came(Came::LoggedIn, who(5))), Next::Consent),
            ("none", None, Some(who(5)), Next::Answer),
            ("", None, Some(who(5)), Next::Answer),
        ] {
            assert_eq!(next(asked(text), max_age, present, NOW), expected, "{text:?} {max_age:?} {present:?}");
        }
    }

    /// "none: The Authorization Server MUST NOT display any authentication or consent user interface pages."
    #[test]
    fn none_never_leads_to_a_page() {
        for (is_named, consented) in [(true, true), (true, false), (false, true), (false, false)] {
            for came in [Came::Fresh, Came::Chose, Came::LoggedIn] {
                for max_age in [None, Some(0), Some(10), Some(1000)] {
                    let present = Present { is_named, consented, came, ..who(100) };
                    let to = next(asked("none"), max_age, Some(present), NOW);
                    assert!(!matches!(to, Next::Login | Next::Select | Next::Consent), "{present:?} {max_age:?}");
                }
            }
        }
    }
}
