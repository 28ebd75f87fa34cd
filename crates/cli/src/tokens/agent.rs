//! `regrant agent`: tokens for many programs, over a Unix socket that speaks HTTP.
//!
//! | request                            | answer                                                                        |
//! |------------------------------------|-------------------------------------------------------------------------------|
//! | `GET /v1/token/NAME?format=FORMAT` | a fresh token of that profile, in a format of `regrant token`                 |
//! | `POST /v1/token/NAME`              | the same, and not the token that is the body: an API has refused that one     |
//! | `GET /v1/profiles`                 | the names of the profiles that the caller may use                             |
//!
//! Who asks is what the kernel says of the other end of the socket: the user it runs as, and its group. What is not allowed is not
//! there. 401: log in again; 403: not for you; 404: no such profile; 503 with `Retry-After`: later.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use regrant_client::Secret;
use tokio::net::UnixListener;
use tokio::net::unix::UCred;
use tokio::signal::unix::{SignalKind, signal};

use super::format::Format;
use super::place::Place;
use super::serving::{Sessions, Trouble, answer, entrance, room, serve};
use crate::context::{Context, Done, Failure, runtime};
use crate::output;

/// The longest token that a caller may bring.
const LARGEST: usize = 64 * 1024;

/// Where to listen, and who may ask.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Without --allow the user who runs it may ask, for every profile, and nobody\nelse can connect. A socket that systemd passes on is used instead of --socket.\n\nExamples:\n  regrant agent\n  curl --unix-socket \"$XDG_RUNTIME_DIR/regrant-agent.sock\" http://agent/v1/token/work\n  regrant agent --socket /run/regrant/agent.sock --allow uid:1000=work,box --allow gid:docker=robot"
)]
pub(crate) struct Args {
    /// The socket. Default: regrant-agent.sock in XDG_RUNTIME_DIR; where that is not set, agent.sock beside the profiles.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Who may have which tokens: uid:WHO or gid:WHO, a number or a name, then =PROFILE,… or nothing for all; may be repeated.
    #[arg(long, value_name = "RULE")]
    allow: Vec<Rule>,
}

/// Who may have which tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    who: Who,
    /// `None`: all of them.
    profiles: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    User(u32),
    Group(u32),
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (who, profiles) = match text.split_once('=') {
            Some((who, profiles)) => (who, Some(profiles.split(',').map(str::to_owned).collect())),
            None => (text, None),
        };
        let who = match who.split_once(':') {
            Some(("uid", name)) => Who::User(number(name, "/etc/passwd")?),
            Some(("gid", name)) => Who::Group(number(name, "/etc/group")?),
            _ => return Err("a rule begins with uid: or gid:".to_owned()),
        };
        Ok(Self { who, profiles })
    }
}

/// A number, or the number of a name in one of the system's own lists.
fn number(name: &str, list: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = std::fs::read_to_string(list).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok()).flatten()
    });
    found.ok_or_else(|| format!("{name} is not in {list}"))
}

/// What is allowed.
#[derive(Clone, Debug)]
struct Rules(Arc<[Rule]>);

impl Rules {
    /// The rules that were given, or everything for one user.
    fn new(given: &[Rule], own: u32) -> Self {
        match given {
            [] => Self(Arc::new([Rule { who: Who::User(own), profiles: None }])),
            given => Self(given.into()),
        }
    }

    fn allow(&self, user: u32, group: u32, profile: &str) -> bool {
        let names =
            |rule: &Rule| rule.profiles.as_ref().is_none_or(|profiles| profiles.iter().any(|name| name == profile));
        self.of(user, group).any(names)
    }

    /// Whether anything is allowed to him.
    fn name(&self, user: u32, group: u32) -> bool {
        self.of(user, group).next().is_some()
    }

    fn of(&self, user: u32, group: u32) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(move |rule| match rule.who {
            Who::User(id) => id == user,
            Who::Group(id) => id == group,
        })
    }
}

pub(crate) fn run(_: &Context, args: &Args) -> Done {
    let place = Place::find()?;
    let own = rustix::process::geteuid().as_raw();
    let rules = Rules::new(&args.allow, own);
    let is_shared = !args.allow.is_empty();
    let passed = listenfd::ListenFd::from_env().take_unix_listener(0);
    let passed = passed.map_err(|error| Failure::new(69, format!("the socket that was passed on: {error}")))?;
    // A store that cannot be read is told now, not to the first who asks.
    place.store()?;
    runtime()?.block_on(async {
        let (listener, bound) = match passed {
            Some(socket) => {
                socket.set_nonblocking(true)?;
                let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
                (UnixListener::from_std(socket)?, Bound { path: path.unwrap_or_default(), is_ours: false })
            }
            None => bind(args.socket.clone().unwrap_or_else(|| place.socket()), is_shared)?,
        };
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        output::told(&serde_json::json!({"socket": bound.path}).to_string());
        let (sessions, room, entrance) = (Arc::new(Sessions::at(place)), room(), entrance());
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            };
            let Ok((stream, _)) = stream else {
                // Out of descriptors: those who are served end, and there are some again.
                tokio::task::yield_now().await;
                continue;
            };
            let Ok(peer) = stream.peer_cred() else { continue };
            let (sessions, rules) = (Arc::clone(&sessions), rules.clone());
            let room = if rules.name(peer.uid(), peer.gid()) { &room } else { &entrance };
            serve(stream, room, move |request| {
                let (sessions, rules) = (Arc::clone(&sessions), rules.clone());
                async move { asked(&sessions, &rules, peer, request).await.unwrap_or_else(|trouble| trouble.answer()) }
            });
        }
    })
}

async fn asked(
    sessions: &Sessions,
    rules: &Rules,
    peer: UCred,
    request: Request<Incoming>,
) -> Result<Response<Body>, Trouble> {
    let (parts, body) = request.into_parts();
    let allowed = |profile: &str| rules.allow(peer.uid(), peer.gid(), profile);
    if (&parts.method, parts.uri.path()) == (&Method::GET, "/v1/profiles") {
        let names: Vec<String> = sessions.names()?.into_iter().filter(|name| allowed(name)).collect();
        return Ok(answer(StatusCode::OK, "application/json", format!("{}\n", serde_json::json!(names))));
    }
    let Some(profile) = parts.uri.path().strip_prefix("/v1/token/") else {
        return Err(Trouble::new(StatusCode::NOT_FOUND, "not_found", "there are /v1/token/NAME and /v1/profiles"));
    };
    if !allowed(profile) {
        let who = format!("uid {} (gid {}) may not have tokens of {profile:?}", peer.uid(), peer.gid());
        return Err(Trouble::new(StatusCode::FORBIDDEN, "not_allowed", who));
    }
    let query = |name: &str| {
        let pairs = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    };
    let format = match query("format") {
        None => Format::Plain,
        Some(name) => Format::named(name).ok_or_else(|| {
            Trouble::new(StatusCode::BAD_REQUEST, "no_format", format!("there is no format {name:?}"))
        })?,
    };
    let refused = match parts.method {
        Method::GET => None,
        Method::POST => {
            let body = Limited::new(body, LARGEST).collect().await;
            let too_long = |_| Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "this is no token");
            let body = body.map_err(too_long)?.to_bytes();
            std::str::from_utf8(&body).ok().map(str::trim).filter(|text| !text.is_empty()).map(Secret::new)
        }
        _ => return Err(Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", "GET or POST")),
    };
    let (session, token) = sessions.token(profile, refused.as_ref()).await?;
    super::not_bound(profile, &session).map_err(|failure| Trouble::new(StatusCode::CONFLICT, "bound", failure))?;
    let url = query("url").unwrap_or_default();
    Ok(answer(StatusCode::OK, format.media_type(), format.text(&token, &session, url)))
}

/// A socket that we listen on. What we made we remove.
struct Bound {
    path: PathBuf,
    is_ours: bool,
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens where nobody does. A socket that an agent left behind is replaced; a file that is none is not.
fn bind(path: PathBuf, is_shared: bool) -> Result<(UnixListener, Bound), Failure> {
    let failed = |error: std::io::Error| Failure::new(69, format!("{}: {error}", path.display()));
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    if let Ok(found) = std::fs::symlink_metadata(&path) {
        if !found.file_type().is_socket() {
            return Err(Failure::new(69, format!("{} is there, and is no socket", path.display())));
        }
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            let remedy = "use that one, or name another with --socket";
            return Err(Failure::new(75, format!("an agent listens on {}\n  remedy: {remedy}", path.display())));
        }
        std::fs::remove_file(&path).map_err(failed)?;
    }
    // Made where nobody else can reach it, and opened to others when its mode is right.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&beside).map_err(failed)?;
    let mode = if is_shared { 0o666 } else { 0o600 };
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)?;
    Ok((listener, Bound { path, is_ours: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_lets_those_in_whom_it_names() {
        let rules: Vec<Rule> =
            ["uid:1000=work,box", "gid:33", "uid:root=root"].iter().map(|text| text.parse().expect("a rule")).collect();
        let rules = Rules::new(&rules, 7);
        for (user, group, profile, is_allowed) in [
            (1000, 1000, "work", true),
            (1000, 1000, "box", true),
            (1000, 1000, "other", false),
            (1001, 33, "anything", true),
            (33, 1001, "anything", false),
            (0, 0, "root", true),
            (0, 0, "work", false),
            // Whoever runs the agent is named like everybody else, once there are rules.
            (7, 7, "work", false),
        ] {
            assert_eq!(rules.allow(user, group, profile), is_allowed, "{user}:{group} {profile}");
        }
        assert!(Rules::new(&[], 7).allow(7, 1, "work") && !Rules::new(&[], 7).allow(0, 0, "work"));
    }

    #[test]
    fn a_rule_that_names_nobody_is_none() {
        for text in ["", "1000", "uid:", "uid:nobody-of-this-name", "user:1000", "gid:-1"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }
}
