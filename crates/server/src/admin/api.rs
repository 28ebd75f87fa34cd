//! The admin API: what an operator can do, over HTTP, for programs and for `regrant --server`.
//!
//! ```text
//! operations.rs   the one table: method, path, types, command             operation.rs  what an entry is; shapes.rs, examples.rs
//! caller.rs       whose token it is: the door before everything           problem.rs    what went wrong (RFC 9457)
//! judge.rs        whether a body is what the document says                 openapi.rs    the document, made of the table
//! cursor.rs       where the next page begins                               condition.rs  If-Match, If-None-Match
//! repeat.rs       the same request again                                   api.rs        all of it in order
//! ```
//!
//! Each operation is a [`Command`](super::Command): what can be done, and what is noted of it, is the same as over the socket.

mod caller;
mod condition;
mod cursor;
mod examples;
mod judge;
mod listener;
mod openapi;
mod operation;
mod operations;
mod problem;
mod repeat;
mod shapes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::routing::any;
use http_body_util::{BodyExt as _, Limited};
use regrant_core::secret::Hash;
use regrant_store::Answer;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::acting::entity_tag;
use super::{Acting, AdminError, Condition, Operator};
use crate::app::App;
use crate::correlation::Correlation;
use crate::engine::with_first_commit;
use crate::form::{self, Form};
use crate::peer::Peer;
use crate::sight;
use crate::to_the_end::to_the_end;
use cursor::{Listing, Position};
use judge::Judge;
pub use listener::{ListenError, bind, standalone};
pub use openapi::document;
use operation::{Asked, MAX_PAGE, Operation, PAGE, Plan, Versions};
use operations::table;
use problem::{Fault, Kind, Problem};
use repeat::{Begun, Memory, Remembered};

/// Where the API is, below the issuer's path or on a listener of its own.
pub const BASE: &str = "/admin/v1";
/// The longest parameter of a path, in characters.
const MAX_PARAMETER: usize = 255;
/// The most parameters of a query.
const MAX_QUERY: usize = 16;

/// What all requests share.
#[derive(Clone, Debug)]
struct Api {
    app: Arc<App>,
    /// What its routes begin with.
    base: Arc<str>,
    memory: Memory,
}

/// The routes of the API below `path`, which is empty or the issuer's.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(app: &Arc<App>, path: &str) -> Router<S> {
    let base: Arc<str> = format!("{path}{BASE}").into();
    let mut paths: Vec<&str> = table().operations.iter().map(|operation| operation.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut router = Router::new();
    // What is nowhere is refused by the same door as what is somewhere.
    for path in paths.into_iter().chain(["", "/openapi.json", "/{*nowhere}"]) {
        router = router.route(&format!("{base}{path}"), any(endpoint));
    }
    router.with_state(Api { app: Arc::clone(app), base, memory: Memory::default() })
}

async fn endpoint(State(api): State<Api>, request: Request) -> Response<Body> {
    let correlation = sight::correlation();
    let told = match answer(&api, request, &correlation).await {
        Ok(told) => told,
        Err(problem) => problem.told(&correlation),
    };
    if !told.outcome.is_empty() {
        sight::outcome(told.outcome);
    }
    correlation.mark(respond(&told))
}

/// All of a request in order; who asks comes before what is asked.
async fn answer(api: &Api, request: Request, correlation: &Correlation) -> Result<Remembered, Problem> {
    let (mut parts, body) = request.into_parts();
    let opening = caller::opening(&parts.method, below(api, &parts));
    let proved = caller::prove(&api.app, opening, &parts.headers, Peer::of(&parts.extensions)).await?;
    let client = proved.client;
    let caller = client.id.as_str();
    let Some(operation) = find(api, &parts)? else {
        return Ok(Remembered::json(StatusCode::OK, document()));
    };
    let path = path(&mut parts).await?;
    let listing = Query::read(operation, parts.uri.query().unwrap_or_default())?;
    let query = listing.own.to_string();
    let this = Listing { caller, operation: operation.id, query: &query };
    let after = listing.cursor.as_deref().map(|text| this.read(&api.app.cursor_key, text).ok_or_else(bad_cursor));
    let after = after.transpose()?;
    let condition = condition_of(operation, &parts.headers)?;
    let key = idempotency_key(operation, &parts.headers)?;
    let bytes = read_body(operation, &parts.headers, body).await?;
    let fingerprint = fingerprint(&parts, &bytes);
    let body = judged(operation, &bytes)?;
    let asked = Asked { path, query: listing.own, body, after, limit: listing.limit };
    let begun = key.as_ref().map(|key| api.memory.begin(caller, key, fingerprint, api.app.engine.clock().ran()));
    let ticket = match begun {
        None => None,
        Some(Begun::First(ticket)) => {
            let key = key.as_deref().unwrap_or_default();
            let question = repeat::was_done(caller, key, api.app.engine.now());
            let found = api.app.engine.ask(question).await.map_err(AdminError::from)?;
            if matches!(found, Answer::UsedOnce(true)) {
                let detail = "Its answer is not kept any more: look at what there is, and make a new key for another thing to do.";
                return Err(Problem::new(Kind::DoneBefore, detail));
            }
            Some(ticket)
        }
        Some(Begun::Again(told)) => return Ok(told.again()),
        Some(Begun::UnderWay) => {
            let wait = std::time::Duration::from_secs(1);
            return Err(Problem::new(Kind::UnderWay, "Its answer is not there yet: ask again.").after(wait));
        }
        Some(Begun::Reused) => {
            return Err(Problem::new(Kind::KeyReused, "Make a new Idempotency-Key for each thing to do."));
        }
    };
    let plan = (operation.plan)(&asked)?;
    if plan.command.tells_hashes() && !proved.may_change {
        return Err(caller::may_not());
    }
    let acting =
        Acting { by: Operator::Client(client.id.clone()), correlation: correlation.as_str().to_owned(), condition };
    let admin = api.app.admin().acting(acting);
    let task = Task { admin, operation, asked, plan, location: parts.uri.path().to_owned(), correlation: *correlation };
    let app = Arc::clone(&api.app);
    let mark = key.map(|key| repeat::mark(caller, &key, app.engine.now()));
    let is_one_commit = operation.max_body <= operation::MAX_BODY;
    // Whoever goes away does not leave half of it: what is durable has its effect, and the repetition its answer.
    let done = to_the_end(async move {
        let (with_it, behind_it) = if is_one_commit { (mark, None) } else { (None, mark) };
        let ((told, next), left) = with_first_commit(with_it, Box::pin(task.carry_out())).await;
        // What it had no commit for, like the end of a grant, does nothing the second time.
        if let Some(mark) = left.or(behind_it).filter(|_| told.status.is_success())
            && let Err(trouble) = app.engine.commit(vec![mark]).await
        {
            tracing::warn!(%trouble, "that a request was carried out could not be noted");
        }
        if let Some(ticket) = ticket {
            ticket.done(told.clone());
        }
        (told, next)
    });
    let (mut told, next) =
        done.await.ok_or_else(|| Problem::new(Kind::Failed, "It was broken off: look whether it was done."))?;
    if let Some(next) = next {
        told.page(&this.write(&api.app.cursor_key, &next), &parts, listing.limit);
    }
    if operation.is_read()
        && let Some(tag) = told.tag()
        && condition::is_known(&parts.headers, &tag)?
    {
        told.status = StatusCode::NOT_MODIFIED;
        told.body = Arc::default();
    }
    Ok(told)
}

/// Something to do, with everything that it needs.
struct Task {
    admin: super::Admin,
    operation: &'static Operation,
    asked: Asked,
    plan: Plan,
    location: String,
    correlation: Correlation,
}

impl Task {
    async fn carry_out(self) -> (Remembered, Option<Position>) {
        let Plan { command, secret } = self.plan;
        let value = match self.admin.run(command).await {
            Ok(value) => value,
            Err(error) => return (Problem::from(error).told(&self.correlation), None),
        };
        let operation::Given { status, body, next } = (self.operation.give)(value, &self.asked);
        let body = operation::with_secret(body, secret);
        if status == StatusCode::NO_CONTENT {
            return (Remembered { status, ..Remembered::default() }, None);
        }
        let mut told = Remembered::json(status, &body);
        if self.operation.shows_a_version() {
            told.headers.push((ETAG, format!("\"{}\"", entity_tag(&body))));
        }
        if status == StatusCode::CREATED {
            let made = ["id", "name"].into_iter().find_map(|name| body.get(name)?.as_str());
            let below =
                made.filter(|_| self.operation.method == Method::POST).map(|name| format!("/{}", form::encode(name)));
            told.headers.push((LOCATION, format!("{}{}", self.location, below.unwrap_or_default())));
        }
        (told, next)
    }
}

impl Operation {
    /// Whether the answer is the thing itself, which has versions.
    fn shows_a_version(&self) -> bool {
        self.versions != Versions::None && self.answer.is_some() && self.method != Method::POST
    }
}

/// The path as the table has it.
fn below<'a>(api: &Api, parts: &'a Parts) -> &'a str {
    let matched = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    matched.strip_prefix(&*api.base).unwrap_or_default()
}

/// The operation of a path and a method; `None` for the document.
fn find(api: &Api, parts: &Parts) -> Result<Option<&'static Operation>, Problem> {
    let path = below(api, parts);
    // RFC 9110 section 9.3.2: HEAD is GET without its content.
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    if path == "/openapi.json" && method == Method::GET {
        return Ok(None);
    }
    let here = || table().operations.iter().filter(|operation| operation.path == path);
    if let Some(operation) = here().find(|operation| operation.method == *method) {
        return Ok(Some(operation));
    }
    let mut allowed: Vec<&str> = here().map(|operation| operation.method.as_str()).collect();
    if path == "/openapi.json" {
        allowed.push("GET");
    }
    if allowed.is_empty() {
        return Err(Problem::new(Kind::NotFound, "There is no such path; openapi.json lists them all."));
    }
    let allowed = allowed.join(", ");
    Err(Problem::new(Kind::Method, format!("It takes {allowed}.")).allowing(allowed))
}

async fn path(parts: &mut Parts) -> Result<Vec<(String, String)>, Problem> {
    let bad = |name: &str| {
        Problem::at(
            &format!("the path's {name}"),
            "it is too long, or has a character that no name has",
            "Use the name as it is listed.",
        )
    };
    let found = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| bad("text"))?;
    let mut parameters = Vec::new();
    for (name, value) in &found {
        if value.chars().count() > MAX_PARAMETER || value.chars().any(char::is_control) {
            return Err(bad(name));
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    Ok(parameters)
}

/// What a query says.
struct Query {
    /// The operation's own parameters.
    own: Value,
    limit: u32,
    cursor: Option<String>,
}

impl Query {
    fn read(operation: &Operation, text: &str) -> Result<Self, Problem> {
        let unreadable = || Problem::at("the query", "it cannot be read", "Send each parameter once, percent-encoded.");
        let form = Form::parse(text.as_bytes()).map_err(|_| unreadable())?;
        let (mut own, mut limit, mut cursor) = (Map::new(), PAGE, None);
        for (count, (name, value)) in form.pairs().enumerate() {
            let value = value.filter(|value| !value.contains('\0')).ok_or_else(unreadable)?;
            if count == MAX_QUERY {
                return Err(Problem::at("the query", "there are too many parameters", "Send those that are known."));
            }
            match (operation.is_list, name) {
                (true, "limit") => {
                    let wanted = value.parse().ok().filter(|wanted| (1..=MAX_PAGE).contains(wanted));
                    limit = wanted.ok_or_else(|| {
                        Problem::at(
                            "the parameter limit",
                            "it is outside of its limits",
                            format!("Use 1 to {MAX_PAGE}."),
                        )
                    })?;
                }
                (true, "cursor") => cursor = Some(value.to_owned()),
                _ => drop(own.insert(name.to_owned(), value.into())),
            }
        }
        let own = Value::Object(own);
        let none = json!({"type": "object", "additionalProperties": false});
        let schema = operation.query.as_ref().map_or(&none, |query| &query.schema);
        let faults = Judge { definitions: &table().definitions }.faults(schema, &own);
        if faults.is_empty() {
            return Ok(Self { own, limit, cursor });
        }
        let in_query =
            |fault: Fault| Fault { at: format!("the parameter {}", fault.at.trim_start_matches('/')), ..fault };
        Err(Problem::malformed(faults.into_iter().map(in_query).collect()))
    }
}

fn condition_of(operation: &Operation, headers: &HeaderMap) -> Result<Condition, Problem> {
    match operation.versions {
        Versions::Asked => condition::of_a_write(headers),
        Versions::None if !operation.is_read() && condition::is_there(headers) => {
            // A condition that is not looked at would be taken for one that is met.
            Err(Problem::at(
                "If-Match",
                "what this operation does has no versions",
                "Leave If-Match and If-None-Match out.",
            ))
        }
        Versions::None | Versions::Shown => Ok(Condition::None),
    }
}

fn idempotency_key(operation: &Operation, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if operation.is_read() {
        return Ok(None);
    }
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_plain = (1..=255).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(text) if is_plain && values.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Problem::at("Idempotency-Key", "it cannot be a key", "Send 1 to 255 visible ASCII characters, once.")),
    }
}

/// The bytes of a body, cut off at the operation's limit and never held beyond it.
async fn read_body(operation: &Operation, headers: &HeaderMap, body: Body) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let most = operation.max_body;
    let too_large = || Problem::new(Kind::TooLarge, format!("The body may have {most} bytes."));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    if announced.unwrap_or(0) == 0 && !headers.contains_key(TRANSFER_ENCODING) && http_body::Body::is_end_stream(&body)
    {
        return Ok(Zeroizing::default());
    }
    let read = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            too_large()
        } else {
            Problem::at("the body", "it broke off", "Send it again.")
        }
    })?;
    let bytes = Zeroizing::new(read.to_bytes().to_vec());
    if !bytes.is_empty() && operation.body.is_some() && !is_json(operation, headers) {
        return Err(Problem::new(Kind::MediaType, "Send Content-Type: application/json, once."));
    }
    Ok(bytes)
}

/// The media type, with no parameter but `charset=utf-8`; sent once.
fn is_json(operation: &Operation, headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let (essence, parameters) = (essence.trim(), parameters.trim());
    let is_patch = operation.method == Method::PATCH && essence.eq_ignore_ascii_case("application/merge-patch+json");
    (is_patch || essence.eq_ignore_ascii_case("application/json"))
        && (parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8"))
}

/// The body as JSON that is what the operation takes.
fn judged(operation: &Operation, bytes: &[u8]) -> Result<Value, Problem> {
    let Some(typed) = &operation.body else {
        return if bytes.is_empty() {
            Ok(Value::Null)
        } else {
            Err(Problem::at("the body", "this operation takes none", "Leave it out."))
        };
    };
    // Where every member can be left out, so can the braces.
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let members = regrant_jose::read_object(bytes)
        .map_err(|fault| Problem::at("the body", fault.to_string(), "Send one JSON object, with each member once."))?;
    let body = Value::Object(members);
    let faults = Judge { definitions: &table().definitions }.faults(&typed.schema, &body);
    if faults.is_empty() { Ok(body) } else { Err(Problem::malformed(faults)) }
}

/// What makes two requests the same.
fn fingerprint(parts: &Parts, body: &[u8]) -> Hash {
    let header = |name: HeaderName| parts.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut bytes = Zeroizing::new(Vec::with_capacity(body.len() + target.len() + 64));
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), header(IF_MATCH), header(IF_NONE_MATCH), body] {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Hash::of(&bytes)
}

fn bad_cursor() -> Problem {
    Problem::new(
        Kind::Cursor,
        "Begin without a cursor, and send each with the parameters of the page that it came with.",
    )
}

impl Remembered {
    fn json(status: StatusCode, body: &Value) -> Self {
        let headers = vec![(CONTENT_TYPE, "application/json".to_owned())];
        let body = Arc::new(Zeroizing::new(serde_json::to_vec(body).unwrap_or_default()));
        Self { status, headers, body, outcome: "" }
    }

    /// Adds the next page, to the body and as a link (RFC 8288).
    fn page(&mut self, cursor: &str, parts: &Parts, limit: u32) {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(&self.body) else { return };
        members.insert("next".to_owned(), cursor.into());
        self.body = Arc::new(Zeroizing::new(Value::Object(members).to_string().into_bytes()));
        let own = parts.uri.query().unwrap_or_default().split('&');
        let own =
            own.filter(|pair| !pair.is_empty() && !["limit", "cursor"].contains(&pair.split('=').next().unwrap_or("")));
        let mut query: Vec<String> = own.map(str::to_owned).collect();
        query.extend([format!("limit={limit}"), format!("cursor={}", form::encode(cursor))]);
        self.headers.push((LINK, format!("<{}?{}>; rel=\"next\"", parts.uri.path(), query.join("&"))));
    }

    /// The version that it shows.
    fn tag(&self) -> Option<String> {
        let (_, tag) = self.headers.iter().find(|(name, _)| *name == ETAG)?;
        Some(tag.trim_matches('"').to_owned())
    }

    /// The same, given again.
    fn again(mut self) -> Self {
        self.headers.push((HeaderName::from_static("idempotency-replayed"), "true".to_owned()));
        Self { outcome: "repeated", ..self }
    }
}

fn respond(told: &Remembered) -> Response<Body> {
    let mut response = Response::new(Body::from(told.body.to_vec()));
    *response.status_mut() = told.status;
    let headers = response.headers_mut();
    for (name, value) in &told.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    // What an operator reads is nobody else's.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
