//! Where an answer goes, and how: RFC 6749 sections 4.1.2 and 4.2.2, OAuth 2.0 Form Post Response Mode 1.0, RFC 9207.

use regrant_core::{ResponseMode, redirect};

use crate::form;

/// The redirect URI of one request, with what goes back to it as it came.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) mode: ResponseMode,
}

/// An answer, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// By a redirect to this URL.
    Redirect(String),
    /// By a form of these fields, which the browser posts to the redirect URI.
    Post(Vec<(String, String)>),
}

impl Destination {
    /// The answer of these parameters, `state` as it was sent, and `iss` (RFC 9207 section 2).
    pub(crate) fn answer(&self, issuer: &str, parameters: &[(&str, &str)]) -> Way {
        let mut all = parameters.to_vec();
        all.extend(self.state.as_deref().map(|state| ("state", state)));
        all.push(("iss", issuer));
        let separator = match (self.mode, self.redirect_uri.contains('?')) {
            (ResponseMode::FormPost, _) => {
                return Way::Post(all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
            }
            (ResponseMode::Fragment, _) => '#',
            (ResponseMode::Query, true) => '&',
            (ResponseMode::Query, false) => '?',
        };
        Way::Redirect(format!("{}{separator}{}", self.redirect_uri, form::write(&all)))
    }

    /// For the `form-action` of our pages.
    pub(crate) fn form_action(&self) -> String {
        schemes(&self.redirect_uri)
    }
}

/// What the `form-action` of a page says from which a form leads to this registered URI. Browsers hold all the redirects that follow a form to
/// it, and where the client leads the browser on from its callback is not ours to say: so it names schemes.
pub(crate) fn schemes(uri: &str) -> String {
    match uri.split_once(':') {
        None => String::new(),
        Some(("https", _)) => "https:".to_owned(),
        Some(("http", _)) => "http: https:".to_owned(),
        Some((scheme, _)) => format!("{scheme}:"),
    }
}

/// The place of a registered URI, as a Content-Security-Policy names it.
pub(crate) fn source(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return String::new() };
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?']).next());
    match authority {
        // A host source cannot hold an IPv6 address: the scheme stands for it.
        Some(authority) if redirect::is_web(scheme) && !authority.starts_with('[') => {
            format!("{scheme}://{authority}")
        }
        _ => format!("{scheme}:"),
    }
}
