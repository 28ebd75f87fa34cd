//! Where a client hears of logouts, and where its users go after one.

use regrant_core::client::LogoutUris;
use regrant_core::redirect;

use super::checks::Checks;
use super::{ClientDefinition, why_no_redirect};
use crate::config::problem::Problem;

impl ClientDefinition {
    pub(super) fn logout_uris(&self, checks: &mut Checks) -> LogoutUris {
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
        LogoutUris {
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone(),
            backchannel: self.backchannel_logout_uri.clone(),
            backchannel_session_required: self.backchannel_logout_session_required.unwrap_or(false),
            frontchannel: self.frontchannel_logout_uri.clone(),
            frontchannel_session_required: self.frontchannel_logout_session_required.unwrap_or(false),
        }
    }
}
