//! What agent and proxy share: a bounded HTTP/1.1 server over any stream, and sessions that stay open.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use regrant_client::{Error, Secret, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Semaphore};

use super::place::{Place, Stamp};

/// How many are served at once.
const CONNECTIONS: usize = 1024;
/// And how many of nobody's whom a rule names.
const STRANGERS: usize = 32;
/// How long somebody who has connected may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// The longest head of a request.
const LONGEST_HEAD: usize = 64 * 1024;

/// Room for all connections.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS))
}

/// Room for those who hear no more than that they may not: it is none that others wait for.
pub(crate) fn entrance() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(STRANGERS))
}

/// Serves a connection in a task of its own, as long as there is room.
pub(crate) fn serve<S, F>(
    stream: S,
    room: &Arc<Semaphore>,
    answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Ok(place) = Arc::clone(room).try_acquire_owned() else { return };
    tokio::spawn(async move {
        let service = service_fn(|request| {
            let answered = answer(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
        // Whoever goes away in the middle is no failure of ours.
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
        drop(place);
    });
}

/// The sessions that were asked for, opened once for each way in which their profile was set up.
#[derive(Debug)]
pub(crate) struct Sessions {
    place: Place,
    open: Mutex<HashMap<String, (Stamp, Session)>>,
}

/// Why there is no token, as an answer.
#[derive(Debug)]
pub(crate) struct Trouble {
    status: StatusCode,
    error: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Sessions {
    pub(crate) fn at(place: Place) -> Self {
        Self { place, open: Mutex::default() }
    }

    /// The names of all profiles.
    pub(crate) fn names(&self) -> Result<Vec<String>, Trouble> {
        self.place
            .profiles()
            .map(|profiles| profiles.into_keys().collect())
            .map_err(|failure| Trouble::of_profile(&failure))
    }

    /// The session of a profile, as its store has it now: what was logged out or in elsewhere is so here.
    pub(crate) async fn session(&self, profile: &str) -> Result<Session, Trouble> {
        let mut open = self.open.lock().await;
        let kept = self.place.profile(profile);
        let kept = kept.inspect_err(|_| drop(open.remove(profile))).map_err(|failure| Trouble::of_profile(&failure))?;
        let stamp = kept.stamp();
        match open.get(profile) {
            Some((opened, session)) if *opened == stamp => match session.reread().await {
                Ok(()) => return Ok(session.clone()),
                Err(error @ Error::Store(_)) => return Err(Trouble::of(&error)),
                Err(_) => drop(open.remove(profile)),
            },
            _ => drop(open.remove(profile)),
        }
        let opened = kept.opened(profile).map_err(|failure| Trouble::of_profile(&failure))?;
        let store = Arc::new(self.place.store().map_err(|failure| Trouble::of_profile(&failure))?);
        let session = Session::open(store, opened).await.map_err(|error| Trouble::of(&error))?;
        open.insert(profile.to_owned(), (stamp, session.clone()));
        Ok(session)
    }

    /// A fresh token; another one than `refused`, if that is there.
    pub(crate) async fn token(&self, profile: &str, refused: Option<&Secret>) -> Result<(Session, Secret), Trouble> {
        let session = self.session(profile).await?;
        let token = match refused {
            Some(refused) => session.token_after(refused).await,
            None => session.token().await,
        };
        token.map(|token| (session, token)).map_err(|error| Trouble::of(&error))
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl Trouble {
    pub(crate) fn new(status: StatusCode, error: &'static str, message: impl std::fmt::Display) -> Self {
        Self { status, error, message: message.to_string(), retry_after: None }
    }

    fn of_profile(failure: &crate::context::Failure) -> Self {
        let message = failure.to_string();
        match failure.code() {
            1 | 2 => Self::new(StatusCode::NOT_FOUND, "no_profile", message),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "misconfigured", message),
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::LoggedOut | Error::Terminal(_) | Error::Refused(_) => {
                Self::new(StatusCode::UNAUTHORIZED, "login_required", error)
            }
            Error::Retry { after, .. } => Self {
                retry_after: Some(*after),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", error)
            },
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "misconfigured", error),
        }
    }

    /// The answer that says so.
    pub(crate) fn answer(&self) -> Response<Body> {
        let body = serde_json::json!({"error": self.error, "message": self.message});
        let mut answer = answer(self.status, "application/json", format!("{body}\n"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

/// An answer that nobody keeps.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    answer
}
