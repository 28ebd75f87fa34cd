//! Registered clients that nobody uses: removed after `reap_after`, so that registrations do not pile up.
//!
//! A client is used while it has a living grant, a code that can still be redeemed included, or one that was used within `reap_after`: who
//! only logs people in has no grant that lives for longer than a few minutes. Rows of grants that are over stay for `tombstones_kept`. What was
//! registered or changed a short while ago is left alone, whether or not it is used. Whether it has a grant is asked again at the last moment:
//! were one made between that question and the commit, its client would find it gone, as if it had come a moment later.

use std::collections::HashSet;
use std::sync::Arc;

use regrant_core::{Grant, Timestamp};
use regrant_store::{Answer, Question};

use crate::app::App;
use crate::config::ClientDefinition;
use crate::keyring::KeyringError;

/// The most that one pass removes: each is a commit of its own.
const MOST: usize = 256;

/// The registered clients of which a living grant was seen, or one that was used since.
pub(super) struct Used {
    since: Timestamp,
    clients: HashSet<String>,
}

impl Used {
    pub(super) fn begin(app: &App) -> Self {
        let since = app.engine.now().minus(app.settings().config.registration.reap_after);
        Self { since, clients: HashSet::new() }
    }

    pub(super) fn note(&mut self, grant: &Grant, is_covered: bool, now: Timestamp) {
        if self.is_use(grant, is_covered, now) && !self.clients.contains(grant.terms.client.as_str()) {
            self.clients.insert(grant.terms.client.as_str().to_owned());
        }
    }

    fn is_use(&self, grant: &Grant, is_covered: bool, now: Timestamp) -> bool {
        let is_living = grant.ended.is_none() && !is_covered && !grant.is_over(now);
        is_living || grant.redeemed_at.is_some_and(|at| at.max(grant.answered_at) > self.since)
    }
}

/// Removes those that are not used.
pub(super) async fn reap(app: &Arc<App>, used: &Used) -> Result<u64, KeyringError> {
    let (settings, now) = (app.settings(), app.engine.now());
    let before = now.minus(settings.config.registration.reap_after).seconds();
    let is_old = |definition: &&ClientDefinition| {
        definition.registration.as_ref().is_some_and(|registration| registration.changed_at <= before)
    };
    let added = settings.clients.iter().filter_map(|(_, definition)| definition);
    let unused = added.filter(is_old).filter(|definition| !used.clients.contains(&definition.id));
    let unused: Vec<ClientDefinition> = unused.take(MOST).cloned().collect();
    let mut reaped = 0;
    for definition in unused {
        if is_used(app, used, &definition.id).await? {
            continue;
        }
        match app.admin().forget(&definition, "was removed: it had no living grant, and none was used").await {
            Ok(()) => reaped += 1,
            Err(failure) => {
                tracing::warn!(client = %definition.id, reason = %failure.reason(), "a client could not be removed");
            }
        }
    }
    Ok(reaped)
}

/// Pages of the client's own grants, until one is a use.
async fn is_used(app: &App, used: &Used, id: &str) -> Result<bool, KeyringError> {
    let mut after = 0;
    loop {
        let question = Question::Grants { client: Some(id.to_owned()), subject: None, after, limit: 64 };
        let Answer::Grants(page) = app.engine.ask(question).await? else { return Ok(false) };
        let now = app.engine.now();
        if page.iter().any(|found| used.is_use(&found.grant, found.covered.is_some(), now)) {
            return Ok(true);
        }
        let Some(last) = page.last() else { return Ok(false) };
        after = last.grant.id.number;
    }
}
