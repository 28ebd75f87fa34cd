//! Telling clients that a session has ended: OpenID Connect Back-Channel Logout 1.0.
//!
//! Who is to hear of it was written in the commit that ended the session (`store/src/logout.rs`), whoever ended it: the user, an operator,
//! another password. Each client has its own turn, in order, so that none waits for another one's.
//!
//! | what happens                         | then                                                                      |
//! |--------------------------------------|---------------------------------------------------------------------------|
//! | 2xx                                  | it has heard                                                              |
//! | anything else                        | again with a new token, after 1 s, twice as long each time, with jitter   |
//! | 400, five times                      | an event (`logout_undelivered`), and the next one                         |
//! | a day has gone by                    | the same                                                                  |
//! | the server stops or crashes          | those that were not noted come again: to log out twice is to log out once |
//! | the client has no URI any more       | nobody is to be told                                                      |
//! | the client registered itself         | it is asked where `[outbound]` lets a client's URL lead, and waits for its own kind only |

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use regrant_core::{Client, ClientId, Event, EventKind, Timestamp, codec};
use regrant_store::{Answer, EventRecord, LogoutNotice, Question, Record, Unavailable};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{PAUSE, REFUSALS, wait};
use crate::app::App;
use crate::chance;
use crate::form;
use crate::keyring::schedule::algorithm;
use crate::outbound::{Call, NoAnswer};
use crate::subject;

/// The first wait.
const BACKOFF: Duration = Duration::from_secs(1);
/// Nobody is told of a logout that was longer ago.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// For one answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a logout token may be used. Section 2.4 recommends at most two minutes.
const TOKEN_LIFETIME: i64 = 120;
/// Requests on their way to either kind of client, clients that have a turn, and rows read at once.
const AT_ONCE: usize = 16;
const MOST_CLIENTS: usize = 10_000;
const PAGE: u32 = 50;

/// Runs for as long as the server does.
pub(crate) async fn run(app: Arc<App>) {
    let (mut endings, slots) = (app.engine.endings(), Arc::new(Slots::new()));
    let (mut tasks, mut running) = (JoinSet::new(), HashSet::new());
    loop {
        endings.mark_unchanged();
        let again = match waiting(&app).await {
            Ok(clients) => {
                for client in clients {
                    if running.len() < MOST_CLIENTS && running.insert(client.clone()) {
                        tasks.spawn(follow(Arc::clone(&app), client, Arc::clone(&slots)));
                    }
                }
                None
            }
            Err(trouble) => {
                tracing::warn!(%trouble, "logouts to tell of could not be read; nothing is lost");
                Some(PAUSE)
            }
        };
        tokio::select! {
            changed = endings.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(Ok(ended)) = tasks.join_next(), if !tasks.is_empty() => {
                running.remove(&ended);
            }
            () = tokio::time::sleep(again.unwrap_or(PAUSE)), if again.is_some() => {}
        }
    }
}

/// Turns to send: clients that registered themselves, and may answer slowly on purpose, keep none of the operator's waiting.
struct Slots {
    declared: Semaphore,
    registered: Semaphore,
}

impl Slots {
    fn new() -> Self {
        Self { declared: Semaphore::new(AT_ONCE), registered: Semaphore::new(AT_ONCE) }
    }
}

/// The clients that are to hear of anything.
async fn waiting(app: &App) -> Result<Vec<String>, Unavailable> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let after = all.last().cloned().unwrap_or_default();
        let Answer::LogoutClients(page) = app.engine.ask(Question::LogoutClients { after, limit: PAGE }).await? else {
            return Ok(all);
        };
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last || all.len() >= MOST_CLIENTS {
            return Ok(all);
        }
    }
}

/// What to do after a turn.
enum Turn {
    /// There may be more.
    Goes,
    /// It has heard of all.
    Done,
    /// The same again, later.
    Again,
}

/// One client, until it has heard of everything. Returns its identifier.
async fn follow(app: Arc<App>, client: String, slots: Arc<Slots>) -> String {
    let mut tries = 0_u32;
    loop {
        let pause = match turn(&app, &client, &slots, tries).await {
            Ok(Turn::Done) => return client,
            Ok(Turn::Goes) => {
                tries = 0;
                continue;
            }
            Ok(Turn::Again) => {
                tries = tries.saturating_add(1);
                wait(BACKOFF, tries)
            }
            Err(trouble) => {
                tracing::warn!(%client, %trouble, "logouts could not be read or noted; nothing is lost");
                PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn turn(app: &App, id: &str, slots: &Slots, tries: u32) -> Result<Turn, Unavailable> {
    let question = Question::LogoutNotices { client: id.to_owned(), limit: PAGE };
    let Answer::LogoutNotices(notices) = app.engine.ask(question).await? else { return Ok(Turn::Done) };
    if notices.is_empty() {
        return Ok(Turn::Done);
    }
    let client = ClientId::parse(id).and_then(|id| app.settings().clients.get(&id));
    let mut records = Vec::new();
    let mut turn = Turn::Goes;
    for notice in notices {
        let target = client.as_ref().and_then(|client| Some((client, client.logout.backchannel.as_deref()?)));
        if let Some((client, uri)) = target
            && let Err(failure) = tell(app, client, uri, &notice, slots).await
        {
            let is_first = records.is_empty();
            let is_refused = is_first && is_about_it(&failure) && tries.saturating_add(1) >= REFUSALS;
            if !is_refused && app.engine.now().since(notice.at) < GIVE_UP {
                tracing::warn!(client = id, tries, %failure, "a client could not be told of a logout; it will be again");
                turn = if is_first { Turn::Again } else { Turn::Goes };
                break;
            }
            tracing::error!(client = id, %failure, "a client will not be told of a logout any more");
            app.metrics.deliveries.unheard();
            records.push(Record::Event(undelivered(client, &notice, app.engine.now(), &failure)));
        }
        records.push(Record::RemoveLogoutNotice { id: notice.id });
    }
    if !records.is_empty() {
        app.engine.commit(records).await?;
    }
    Ok(turn)
}

/// Whether the answer speaks of this logout: section 2.8, "the RP … MUST respond with an HTTP 400 Bad Request". Every other status is
/// one of whoever stands before it: a route, a method, a type that somebody mends within the day.
const fn is_about_it(failure: &NoAnswer) -> bool {
    matches!(failure, NoAnswer::Status(400))
}

fn undelivered(client: &Client, notice: &LogoutNotice, now: Timestamp, failure: &NoAnswer) -> EventRecord {
    let event = Event {
        kind: EventKind::LogoutUndelivered,
        grant: None,
        client: Some(client.id.clone()),
        subject: Some(notice.subject.clone()),
        detail: failure.to_string().chars().take(super::MAX_FAILURE).collect(),
    };
    EventRecord { at: now, event, correlation: String::new() }
}

async fn tell(app: &App, client: &Client, uri: &str, notice: &LogoutNotice, slots: &Slots) -> Result<(), NoAnswer> {
    let told = send(app, client, uri, notice, slots).await;
    app.metrics.deliveries.told(told.is_ok());
    told
}

async fn send(app: &App, client: &Client, uri: &str, notice: &LogoutNotice, slots: &Slots) -> Result<(), NoAnswer> {
    let settings = app.settings();
    let is_registered = settings.clients.profile(&client.id).is_some_and(|profile| profile.registration.is_some());
    let slots = if is_registered { &slots.registered } else { &slots.declared };
    let _slot = slots.acquire().await.map_err(|_| NoAnswer::Busy)?;
    let url: Uri = uri.parse().map_err(|_| NoAnswer::Broken("the URI cannot be read".to_owned()))?;
    let token = token(app, client, notice).ok_or_else(|| NoAnswer::Broken("nothing can be signed".to_owned()))?;
    let body = form::write(&[("logout_token", &token)]).into_bytes();
    let media_type = "application/x-www-form-urlencoded";
    let call = Call { url: &url, media_type, headers: Vec::new(), body };
    if is_registered {
        app.outbound.tell_stranger(&settings.config.outbound, call).await
    } else {
        app.outbound.tell(call, DEADLINE).await
    }
}

/// Section 2.4.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    events: Events,
    sid: String,
}

#[derive(Serialize)]
struct Events {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    logout: Empty,
}

#[derive(Serialize)]
struct Empty {}

/// A new one for each try: whoever has seen the one before may refuse it as a replay.
fn token(app: &App, client: &Client, notice: &LogoutNotice) -> Option<String> {
    let iat = app.engine.now().seconds();
    let claims = Claims {
        iss: app.issuer(),
        sub: &subject::told(app, client, &notice.subject),
        aud: client.id.as_str(),
        iat,
        exp: iat.saturating_add(TOKEN_LIFETIME),
        jti: codec::encode_plain(&chance::bytes::<16>()),
        events: Events { logout: Empty {} },
        sid: subject::sid(app, client, &notice.session),
    };
    // Section 2.6: "It is RECOMMENDED that … the same keys are used to sign … as for ID Tokens".
    app.signing().current.get(&algorithm(client.id_token_algorithm))?.sign("logout+jwt", &claims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 2.8. A logout that is given up over anything else leaves somebody logged in.
    #[test]
    fn a_400_alone_speaks_of_the_logout() {
        let about = |status: &u16| is_about_it(&NoAnswer::Status(*status));
        assert_eq!((100..600).filter(about).collect::<Vec<_>>(), [400]);
        assert!(!is_about_it(&NoAnswer::TimedOut));
    }
}
