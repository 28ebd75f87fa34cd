//! Clients that are to hear of logouts: what waits for each, and what it will not hear of any more (`deliver/logout.rs`).

use std::collections::BTreeMap;

use regrant_core::EventKind;
use regrant_store::{Answer, Question};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::EventsWanted;
use super::{Admin, AdminError, rfc3339};

/// The most logouts that are shown as given up, and the most clients for which any wait.
const MOST: u32 = 1000;
/// The most logouts that are counted for one client.
const MOST_WAITING: u32 = 100;

/// A client, and what it has not heard of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogoutsView {
    /// The client.
    pub client: String,
    /// Logouts that it is still to hear of; 100 stand for 100 or more.
    pub waiting: u64,
    /// RFC 3339: when the oldest of them was.
    pub oldest_waiting_at: Option<String>,
    /// Those that it will not hear of, the newest first, for as long as their events are kept. At most 1000 of all clients.
    pub given_up: Vec<LogoutGivenUp>,
}

/// A logout of which a client will not hear.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogoutGivenUp {
    /// The position of the event that says so.
    pub event: u64,
    /// RFC 3339: when it was given up.
    pub at: String,
    /// The `sub` of the user who was logged out.
    pub subject: Option<String>,
    /// The user's name, if the user is there.
    pub user: Option<String>,
    /// Why.
    pub failure: String,
}

impl Admin {
    /// The clients that have not heard of a logout, in order.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn logouts(&self) -> Result<Vec<LogoutsView>, AdminError> {
        let mut views: BTreeMap<String, LogoutsView> = BTreeMap::new();
        let kind = Some(EventKind::LogoutUndelivered.as_str().to_owned());
        for event in self.events(&EventsWanted { kind, limit: MOST, ..EventsWanted::default() }).await? {
            let Some(client) = event.client else { continue };
            let (at, subject, user, failure) = (event.at, event.subject, event.user, event.detail);
            views.entry(client).or_default().given_up.push(LogoutGivenUp {
                event: event.id,
                at,
                subject,
                user,
                failure,
            });
        }
        let question = Question::LogoutClients { after: String::new(), limit: MOST };
        if let Answer::LogoutClients(clients) = self.app.engine.ask(question).await? {
            for client in clients {
                let question = Question::LogoutNotices { client: client.clone(), limit: MOST_WAITING };
                let Answer::LogoutNotices(notices) = self.app.engine.ask(question).await? else { continue };
                let view = views.entry(client).or_default();
                view.waiting = notices.len() as u64;
                view.oldest_waiting_at = notices.first().map(|notice| rfc3339(notice.at));
            }
        }
        Ok(views.into_iter().map(|(client, view)| LogoutsView { client, ..view }).collect())
    }
}
