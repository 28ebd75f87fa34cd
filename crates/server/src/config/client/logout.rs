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
        if !self.has_own_frontchannel() {
            let what =
                "it is of another origin than every redirect URI (OpenID Connect Front-Channel Logout section 2)";
            let remedy = "Its scheme, host and port must be those of one of redirect_uris.";
            checks.problem(Problem::new("frontchannel_logout_uri", what, remedy));
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

    /// Front-Channel Logout section 2: "The domain, port, and scheme of this URL MUST be the same as that of a registered
    /// Redirection URI value." Of a redirect URI on a loopback address any port is registered (RFC 8252 section 7.3).
    pub(crate) fn has_own_frontchannel(&self) -> bool {
        let Some(front) = self.frontchannel_logout_uri.as_deref() else { return true };
        let Some(own) = origin(front) else { return false };
        self.redirect_uris.iter().filter_map(|uri| origin(uri)).any(|(is_https, host, port)| {
            let is_any_port = !is_https && ["127.0.0.1", "[::1]"].contains(&host.as_str());
            (is_https, &host) == (own.0, &own.1) && (port == own.2 || is_any_port)
        })
    }
}

/// Scheme, host and port.
fn origin(uri: &str) -> Option<(bool, String, u16)> {
    let url = http::Uri::try_from(uri).ok()?;
    let is_https = url.scheme_str()? == "https";
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    Some((is_https, url.host()?.to_ascii_lowercase(), port))
}
