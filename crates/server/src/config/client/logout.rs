//! Where a client hears of logouts, where its users go after one, and what becomes of its grants.

use regrant_core::client::{LogoutSettings, OnLogout};
use regrant_core::redirect;

use super::checks::Checks;
use super::{ClientDefinition, why_no_redirect};
use crate::config::problem::Problem;

impl ClientDefinition {
    pub(super) fn logout(&self, checks: &mut Checks) -> LogoutSettings {
        let key = "post_logout_redirect_uris";
        checks.list(key, &self.post_logout_redirect_uris);
        for (index, uri) in self.post_logout_redirect_uris.iter().enumerate() {
            if let Err(bad) = redirect::check(uri) {
                let (what, remedy) = why_no_redirect(bad);
                checks.problem(Problem::new(key, what, remedy).at(index));
            }
        }
        for (key, uri) in [
            ("backchannel_logout_uri", &self.backchannel_logout_uri),
            ("frontchannel_logout_uri", &self.frontchannel_logout_uri),
        ] {
            let Some(uri) = uri else { continue };
            if let Err(bad) = redirect::check(uri) {
                let (what, remedy) = why_no_redirect(bad);
                checks.problem(Problem::new(key, what, remedy));
            } else if !uri.starts_with("https://") && !uri.starts_with("http://") {
                let remedy = "Write it like \"https://app.example.com/logout\".";
                checks.problem(Problem::new(key, "nothing can be sent to it but by https", remedy));
            }
        }
        for (key, required, uri, needs) in [
            (
                "backchannel_logout_session_required",
                self.backchannel_logout_session_required,
                &self.backchannel_logout_uri,
                "backchannel_logout_uri",
            ),
            (
                "frontchannel_logout_session_required",
                self.frontchannel_logout_session_required,
                &self.frontchannel_logout_uri,
                "frontchannel_logout_uri",
            ),
        ] {
            if required.is_some() && uri.is_none() {
                let remedy = format!("Add {needs}, or leave it out.");
                checks.problem(Problem::new(key, format!("it means nothing without {needs}"), remedy));
            }
        }
        let word = self.on_logout.as_deref();
        let on_logout =
            word.and_then(|word| checks.choice("on_logout", word, &OnLogout::ALL, |choice| choice.as_str()));
        LogoutSettings {
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone(),
            backchannel: self.backchannel_logout_uri.clone(),
            backchannel_session_required: self.backchannel_logout_session_required.unwrap_or(false),
            frontchannel: self.frontchannel_logout_uri.clone(),
            frontchannel_session_required: self.frontchannel_logout_session_required.unwrap_or(false),
            on_logout,
        }
    }
}
