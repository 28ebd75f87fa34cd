//! What the store in memory answers.

use std::collections::BTreeSet;

use regrant_core::grant::RowMac;
use regrant_core::issue::SubjectStatus;
use regrant_core::{Grant, GrantId};

use super::{Contents, size};
use crate::beside::Delivery;
use crate::{Answer, Changes, Consent, Deployment, Loaded, Question, User};

impl Contents {
    pub(super) fn load(&self, id: GrantId) -> Option<Loaded> {
        self.grants.get(&id.number).filter(|(grant, _)| grant.id == id).map(|row| self.loaded(row))
    }

    fn loaded(&self, (grant, mac): &(Grant, RowMac)) -> Loaded {
        let subject = match self.users.get(&grant.terms.subject) {
            None => SubjectStatus::Gone,
            Some(User { disabled_at: Some(_), .. }) => SubjectStatus::Disabled,
            Some(User { disabled_at: None, .. }) => {
                let key = (grant.terms.subject.clone(), grant.terms.client.as_str().to_owned());
                self.consents.get(&key).map_or(SubjectStatus::Enabled, Consent::status)
            }
        };
        Loaded { grant: grant.clone(), mac: *mac, subject, covered: self.epochs.covering(grant) }
    }

    pub(super) fn user_named(&self, name: &str) -> Option<&User> {
        self.users.values().find(|user| user.name == name)
    }

    pub(super) fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Deployment => Answer::Deployment(self.deployment.map(|(id, root_check)| Deployment {
                id,
                root_check,
                era: self.era,
                next_grant: self.next_grant,
                recovery: self.recovery,
            })),
            Question::RegistrationTokens(hash) => {
                let found =
                    self.registration_tokens.values().filter(|token| hash.is_none_or(|hash| hash == token.hash));
                let mut found: Vec<_> = found.cloned().collect();
                found.sort_by_key(|token| (token.created_at, token.hash));
                Answer::RegistrationTokens(found)
            }
            Question::Changes => Answer::Changes(Changes::default()),
            Question::Clients => {
                Answer::Clients(self.clients.iter().map(|(id, definition)| (id.clone(), definition.clone())).collect())
            }
            Question::Client(id) => Answer::Clients(
                self.clients.get_key_value(id).map(|(id, text)| (id.clone(), text.clone())).into_iter().collect(),
            ),
            Question::UserByName(name) => Answer::User(self.user_named(name).cloned()),
            Question::UserBySubject(subject) => Answer::User(self.users.get(subject).cloned()),
            Question::Users { after, limit } => {
                let mut users: Vec<User> = self.users.values().filter(|user| user.name > *after).cloned().collect();
                users.sort_by(|one, other| one.name.cmp(&other.name));
                users.truncate(size(*limit));
                Answer::Users(users)
            }
            Question::Session(id) => Answer::Session(self.sessions.get(id).cloned()),
            Question::Logins(root) => {
                let logins = self.logins.keys().filter(|(of, _)| of == root);
                Answer::Logins(logins.map(|(_, client)| client.clone()).collect())
            }
            Question::LogoutNotices { client, limit } => {
                let notices = self.notices.values().filter(|notice| notice.client == *client);
                Answer::LogoutNotices(notices.take(size(*limit)).cloned().collect())
            }
            Question::LogoutClients { after, limit } => {
                let clients = self.notices.values().map(|notice| notice.client.clone());
                let clients: BTreeSet<String> = clients.filter(|client| client > after).collect();
                Answer::LogoutClients(clients.into_iter().take(size(*limit)).collect())
            }
            Question::DeviceRequest(number) => Answer::DeviceRequest(self.devices.get(number).cloned()),
            Question::DeviceRequestByUserCode(code) => {
                Answer::DeviceRequest(self.devices.values().find(|held| held.user_code == *code).cloned())
            }
            Question::Consent { subject, client } => {
                Answer::Consent(self.consents.get(&(subject.clone(), client.clone())).cloned())
            }
            Question::ConsentsOf(subject) => Answer::Consents(
                self.consents.values().filter(|consent| consent.subject == *subject).cloned().collect(),
            ),
            Question::EventsOf { subject, before, limit } => {
                let newest_first = self.events.range(..before).rev().map(|(_, (event, _))| event);
                let chosen = newest_first.filter(|event| event.subject.as_ref() == Some(subject));
                Answer::Events(chosen.take(size(*limit)).cloned().collect())
            }
            Question::AccessDenied(jti) => Answer::AccessDenied(self.denied_access.contains_key(jti)),
            Question::UsedOnce { key, now } => {
                Answer::UsedOnce(self.used_once.get(key).is_some_and(|until| until > now))
            }
            Question::Failures(keys) => {
                Answer::Failures(keys.iter().map(|key| self.failures.get(key).copied()).collect())
            }
            Question::Revocations { after, limit } => {
                let rows = self.revocations.values().filter(|row| row.position > *after);
                Answer::Revocations(rows.take(size(*limit)).cloned().collect())
            }
            Question::Keys(kind) => {
                Answer::Keys(self.keys.range((*kind, 0)..=(*kind, u32::MAX)).map(|(_, key)| key.clone()).collect())
            }
            Question::Epochs => Answer::Epochs { counter: self.epochs.counter(), epochs: self.epochs.all() },
            Question::CoveredAccess(token) => Answer::CoveredAccess(self.epochs.covering_access(token)),
            Question::Grants { client, subject, after, limit } => {
                let matches = |grant: &Grant| {
                    client.as_ref().is_none_or(|client| client == grant.terms.client.as_str())
                        && subject.as_ref().is_none_or(|subject| *subject == grant.terms.subject)
                };
                let rows = self.grants.values().filter(|(grant, _)| grant.id.number > *after && matches(grant));
                Answer::Grants(rows.take(size(*limit)).map(|row| self.loaded(row)).collect())
            }
            Question::Events { grant, limit } => {
                let newest_first = self.events.values().rev().map(|(event, _)| event);
                let chosen = newest_first.filter(|event| grant.is_none() || event.grant == *grant);
                Answer::Events(chosen.take(size(*limit)).cloned().collect())
            }
            Question::FindEvents(filter) => {
                let newest_first = self.events.values().rev().map(|(event, _)| event);
                let chosen = newest_first.filter(|event| filter.fits(event));
                Answer::Events(chosen.take(size(filter.limit)).cloned().collect())
            }
            Question::EventsAfter { after, limit } => {
                let behind = self.events.range(after.saturating_add(1)..).map(|(_, (event, _))| event.clone());
                Answer::Events(behind.take(size(*limit)).collect())
            }
            Question::Chain => Answer::Chain(self.ends),
            Question::Places(grant) => Answer::Places(self.places.get(grant).cloned()),
            Question::Deliveries => {
                let one = |(to, position): (&String, &u64)| Delivery { to: to.clone(), position: *position };
                Answer::Deliveries(self.deliveries.iter().map(one).collect())
            }
            Question::DeadLetters { to, limit } => {
                let all = (to.clone(), 0)..=(to.clone(), u64::MAX);
                let letters = self.dead_letters.range(all).map(|(_, letter)| letter.clone());
                Answer::DeadLetters(letters.take(size(*limit)).collect())
            }
        }
    }
}
