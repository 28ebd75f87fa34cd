//! What people are told of a client: its page, its logo, its policy and its terms. Links on the consent page, for browsers to
//! follow: the server itself never asks for one of them (check S12).

use super::super::problem::Problem;
use super::{Checks, ClientDefinition, is_hidden};
use crate::outbound::check_link;

/// The most `contacts`, and the longest one.
const MAX_CONTACTS: usize = 10;
const MAX_CONTACT: usize = 254;

impl ClientDefinition {
    /// As a store has it that an older version wrote: without what people are no longer shown. The client itself goes on, and so does
    /// the start of the server.
    #[must_use]
    pub(crate) fn without_what_misleads(mut self) -> Self {
        for uri in [&mut self.client_uri, &mut self.logo_uri, &mut self.policy_uri, &mut self.tos_uri] {
            if uri.as_deref().is_some_and(|uri| check_link(uri).is_none()) {
                tracing::warn!(client = %self.id, "a link of a client is left out: it names more than one host");
                *uri = None;
            }
        }
        let name = self.name.take();
        self.name = name.map(|name| if name.chars().any(is_hidden) { name.replace(is_hidden, "") } else { name });
        if self.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            self.name = None;
        }
        self
    }

    pub(super) fn check_about(&self, checks: &mut Checks) {
        let links = [
            ("client_uri", &self.client_uri),
            ("logo_uri", &self.logo_uri),
            ("policy_uri", &self.policy_uri),
            ("tos_uri", &self.tos_uri),
        ];
        for (key, uri) in links {
            if uri.as_ref().is_some_and(|uri| check_link(uri).is_none()) {
                let what = "it is no https URL of one host, of at most 2048 characters and without user information";
                checks.problem(Problem::new(key, what, "Write it like \"https://app.example.com/\"."));
            }
        }
        checks.list("contacts", &self.contacts);
        let is_sound = |contact: &String| {
            !contact.is_empty() && contact.len() <= MAX_CONTACT && !contact.chars().any(char::is_control)
        };
        if self.contacts.len() > MAX_CONTACTS || !self.contacts.iter().all(is_sound) {
            let what = "they are more than 10, or one is empty or too long";
            checks.problem(Problem::new(
                "contacts",
                what,
                "Name e-mail addresses of people who answer for the client.",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An older version took it: the server starts, and shows none of it.
    #[test]
    fn what_misleads_in_a_stored_client_is_left_out_and_the_client_stays() {
        let link = |text: &str| Some(text.to_owned());
        let stored = ClientDefinition {
            id: "dyn_1".to_owned(),
            name: link("Fair\u{200b} App"),
            logo_uri: link("https://x.example;script-src/"),
            client_uri: link("https://app.example/"),
            ..ClientDefinition::default()
        };
        let shown = ClientDefinition { name: link("Fair App"), logo_uri: None, ..stored.clone() };
        assert_eq!(stored.without_what_misleads(), shown);
        assert_eq!(shown.clone().without_what_misleads(), shown);
    }
}
