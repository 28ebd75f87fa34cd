//! The pages of one theme in one language: whoever answers a request takes one, and speaks with it from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::words::{self, Language};
use super::{
    Account, Consent, Device, DeviceConfirm, DeviceDone, FALLBACK, Failure, FormPost, Home, LoggedOut, Login, Logout,
    Reasons, Select, Theme,
};

/// A theme in a language.
#[derive(Clone, Debug)]
pub struct Voice {
    theme: Arc<Theme>,
    language: Language,
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident($page:ident) = $title:expr;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self, page: &$page<'_>) -> String {
                let title: fn(&Self, &$page<'_>) -> String = $title;
                self.render(stringify!($name), &title(self, page), page)
            }
        )*
    };
}

impl Voice {
    /// Speaks.
    #[must_use]
    pub const fn new(theme: Arc<Theme>, language: Language) -> Self {
        Self { theme, language }
    }

    /// The language.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    pages! {
        /// The page of reasons.
        reasons(Reasons) = |voice, _| voice.say("reasons.title");
        /// The login page.
        login(Login) = |voice, page| voice.titled("login.title", page.error);
        /// The consent page.
        consent(Consent) = |voice, _| voice.say("consent.title");
        /// The page that shows the account.
        select(Select) = |voice, _| voice.say("select.title");
        /// The page that posts an answer to the client.
        form_post(FormPost) = |voice, _| voice.say("form_post.title");
        /// The page that asks before it logs out.
        logout(Logout) = |voice, _| voice.say("logout.title");
        /// The page after a logout.
        logged_out(LoggedOut) = |voice, _| voice.say("logged_out.title");
        /// The page that asks for a user code.
        device(Device) = |voice, page| voice.titled("device.title", page.error);
        /// The page that asks whether a device may have what it asks for.
        device_confirm(DeviceConfirm) = |voice, _| voice.say("device_confirm.title");
        /// The page after the answer.
        device_done(DeviceDone) = |voice, page| {
            voice.say(if page.allowed { "device_done.allowed_title" } else { "device_done.denied_title" })
        };
        /// A user's own page.
        account(Account) = |voice, page| voice.titled("account.title", page.error);
        /// The error page.
        failure(Failure) = |_, page| page.title.to_owned();
        /// The home page.
        home(Home) = |voice, _| voice.say("home.title");
    }

    /// The title is what a screen reader says first.
    fn titled(&self, key: &str, error: Option<&str>) -> String {
        let title = self.say(key);
        if error.is_some() { self.say_with("error_title", &[("title", &title)]) } else { title }
    }

    fn render(&self, name: &str, title: &str, page: &impl Serialize) -> String {
        self.made(name, title, page).unwrap_or_else(|error| {
            tracing::error!(page = name, %error, "a page could not be made");
            FALLBACK.to_owned()
        })
    }

    pub(super) fn made(&self, name: &str, title: &str, page: &impl Serialize) -> Result<String, minijinja::Error> {
        self.theme.render(self.language, name, title, page)
    }

    /// A text.
    #[must_use]
    pub fn say(&self, key: &str) -> String {
        self.say_with(key, &[])
    }

    /// A text with names filled in. For a page, which escapes it.
    #[must_use]
    pub fn say_with(&self, key: &str, values: &[(&str, &str)]) -> String {
        let text = words::find(self.language, key).unwrap_or_default();
        words::filled(text, |name| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// "5 minutes": in the greatest unit of which there are two.
    #[must_use]
    pub fn spoken(&self, duration: Duration) -> String {
        let seconds = duration.as_secs();
        let (number, unit) = match seconds {
            0..120 => (seconds, "time.second"),
            120..7200 => (seconds / 60, "time.minute"),
            7200..172_800 => (seconds / 3600, "time.hour"),
            _ => (seconds / 86_400, "time.day"),
        };
        let forms = words::find(self.language, unit).unwrap_or_default();
        let (one, many) = forms.split_once('|').unwrap_or((forms, forms));
        words::filled(if number == 1 { one } else { many }, |_| Some(number.to_string()))
    }

    /// "28 November 2026".
    #[must_use]
    pub fn day(&self, at: regrant_core::Timestamp) -> String {
        let Ok(at) = jiff::Timestamp::from_millisecond(at.millis()) else { return String::new() };
        let date = jiff::tz::TimeZone::UTC.to_datetime(at);
        let months = words::find(self.language, "date.months").unwrap_or_default();
        let month = usize::try_from(date.month() - 1).ok().and_then(|index| months.split('|').nth(index));
        let (day, year) = (date.day().to_string(), date.year().to_string());
        self.say_with("date.day", &[("day", &day), ("month", month.unwrap_or_default()), ("year", &year)])
    }

    /// "28 November 2026, 20:38 UTC".
    #[must_use]
    pub fn minute(&self, at: regrant_core::Timestamp) -> String {
        let time = jiff::Timestamp::from_millisecond(at.millis()).map(|at| at.strftime("%H:%M").to_string());
        self.say_with("date.minute", &[("date", &self.day(at)), ("time", &time.unwrap_or_default())])
    }
}
