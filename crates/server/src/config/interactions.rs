//! `[interactions]`: which steps of an authorization an application of the operator's own shows, in place of the built-in pages.

use std::time::Duration;

use http::Uri;
use regrant_core::openid::ACR_PASSWORD;

use super::TOP;
use super::document::Section;
use super::problem::Problem;

const MINUTE: Duration = Duration::from_secs(60);
const MAX_URL: usize = 1024;
const MAX_ACRS: usize = 16;
const MAX_ACR: usize = 255;

/// An `[interactions]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InteractionsSetting {
    /// Who asks the user to log in, and which account is to be used.
    pub login: Option<Uri>,
    /// Who asks for consent.
    pub consent: Option<Uri>,
    /// Who asks whether to log out.
    pub logout: Option<Uri>,
    /// Who tells the user what went wrong.
    pub error: Option<Uri>,
    /// How long an answer is waited for.
    pub lifetime: Duration,
    /// The `acr` values that the application's logins may have, beside the one of a password.
    pub acr_values: Vec<String>,
}

impl Default for InteractionsSetting {
    fn default() -> Self {
        let (login, consent, logout, error) = (None, None, None, None);
        Self { login, consent, logout, error, lifetime: 10 * MINUTE, acr_values: Vec::new() }
    }
}

impl InteractionsSetting {
    /// The URLs that are set.
    pub fn urls(&self) -> impl Iterator<Item = &Uri> {
        [&self.login, &self.consent, &self.logout, &self.error].into_iter().flatten()
    }

    /// Nobody could answer over HTTP.
    pub(super) fn notice(&self, is_closed: bool) -> Option<String> {
        let asks = self.login.is_some() || self.consent.is_some() || self.logout.is_some();
        (asks && is_closed).then(|| {
            "interactions: [admin_api] is closed, so that your application can answer at the admin socket alone; set admin_api.listen"
                .to_owned()
        })
    }

    /// How a login can be: by password where the built-in page asks, and as the application says where it does.
    #[must_use]
    pub fn all_acr_values(&self) -> Vec<&str> {
        [ACR_PASSWORD].into_iter().chain(self.acr_values.iter().map(String::as_str)).collect()
    }
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> InteractionsSetting {
    let mut setting = InteractionsSetting {
        login: url(section, "login"),
        consent: url(section, "consent"),
        logout: url(section, "logout"),
        error: url(section, "error"),
        ..InteractionsSetting::default()
    };
    if let Some(lifetime) = section.duration("lifetime", MINUTE..=60 * MINUTE) {
        setting.lifetime = lifetime;
    }
    for (index, acr) in section.strings("acr_values").unwrap_or_default().into_iter().enumerate() {
        let is_word = !acr.is_empty() && acr.len() <= MAX_ACR && acr.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_word || index >= MAX_ACRS || setting.acr_values.contains(&acr) || acr == ACR_PASSWORD {
            let what = "it is no acr, there before, or one too many";
            let remedy = format!("Name at most {MAX_ACRS}, each once, like \"urn:example:acr:passkey\".");
            section.problem(Problem::new("acr_values", what, remedy).at(index));
        } else {
            setting.acr_values.push(acr);
        }
    }
    if setting.login.is_none() && !setting.acr_values.is_empty() {
        let remedy = "Set login as well, or leave them out.";
        section.problem(Problem::new("acr_values", "the built-in login knows passwords only", remedy));
    }
    section.finish(&TOP);
    setting
}

/// Browsers go there with a challenge: https, or http on this machine.
fn url(section: &Section<'_>, key: &'static str) -> Option<Uri> {
    let text = section.string(key)?;
    let url = text.parse::<Uri>().ok().filter(|url| {
        let is_local = matches!(url.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_plain =
            text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['#', ';', ',', '\'', '"', '*']);
        let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        text.len() <= MAX_URL
            && is_plain
            && !has_user
            && (url.scheme_str() == Some("https") || (url.scheme_str() == Some("http") && is_local))
    });
    if url.is_none() {
        let what = "it is no https URL without a fragment (http for 127.0.0.1, [::1] and localhost alone)";
        let remedy = "Write the address of your own page: \"https://login.example.com/login\".";
        section.problem(Problem::new(key, what, remedy));
    }
    url
}
