//! One operation of the API: everything that the router and the document know of it, in one value.
//!
//! An entry of the table is built as `get("/clients/{id}", "readClient", "…").answers::<T>(example).plan("command", |asked| …)`.
//! What it takes and gives are Rust types: the document shows their schemas, bodies are judged by them, and read as them.

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::cursor::Position;
use super::problem::Problem;
use crate::admin::Command;

/// The largest body, unless an operation takes more.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The largest body of all: a thousand users, as over the admin socket.
pub(super) const MAX_LARGE_BODY: usize = 16 * 1024 * 1024;
/// How many entries a page has unless `limit` says, and at most.
pub(super) const PAGE: u32 = 100;
pub(super) const MAX_PAGE: u32 = 1000;

/// A request, read: everything in it is as the operation's types say.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: Vec<(String, String)>,
    pub(super) query: Value,
    pub(super) body: Value,
    pub(super) after: Option<Position>,
    pub(super) limit: u32,
}

impl Asked {
    /// A parameter of the path.
    pub(super) fn path(&self, name: &str) -> String {
        self.path.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The name after which the page begins.
    pub(super) fn after_text(&self) -> Result<String, Problem> {
        match &self.after {
            None => Ok(String::new()),
            Some(Position::Text(text)) => Ok(text.clone()),
            Some(Position::Number(_)) => Err(super::bad_cursor()),
        }
    }

    /// The number after which the page begins.
    pub(super) fn after_number(&self) -> Result<u64, Problem> {
        match &self.after {
            None => Ok(0),
            Some(Position::Number(number)) => Ok(*number),
            Some(Position::Text(_)) => Err(super::bad_cursor()),
        }
    }

    fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
        // The parser's own words may quote what it read, and that may be a password.
        serde_json::from_value(value.clone()).map_err(|_| {
            Problem::at("the body", "a member of it cannot be read", "Compare it with the document at openapi.json.")
        })
    }
}

/// What is to be done, and what else goes into the answer.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) command: Command,
    /// A secret that was made for this request: the store keeps its hash.
    pub(super) secret: Option<String>,
}

impl From<Command> for Plan {
    fn from(command: Command) -> Self {
        Self { command, secret: None }
    }
}

/// What comes back.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// The last position of a page, if there may be more behind it.
    pub(super) next: Option<Position>,
}

/// A type with an example: its schema is asked for when the table is made.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) schema: Value,
    pub(super) example: Value,
}

/// The entries of a page, and where it ended if there may be more.
pub(super) type Page = (Vec<Value>, Option<Position>);
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
type MakePlan = Box<dyn Fn(&Asked) -> Result<Plan, Problem> + Send + Sync>;
type Give = Box<dyn Fn(Value, &Asked) -> Given + Send + Sync>;

/// What the versions of a thing are good for here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Versions {
    /// It has none.
    None,
    /// The answer carries one.
    Shown,
    /// A write may ask for one.
    Asked,
}

/// An operation.
pub(super) struct Operation {
    pub(super) id: &'static str,
    pub(super) method: Method,
    /// Below `/admin/v1`.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// The [`Command`] that it is, in the words of the socket.
    pub(super) command: &'static str,
    /// Of the listing's own parameters.
    pub(super) query: Option<Typed>,
    pub(super) body: Option<Typed>,
    pub(super) answer: Option<Typed>,
    pub(super) status: StatusCode,
    pub(super) is_list: bool,
    pub(super) versions: Versions,
    pub(super) max_body: usize,
    pub(super) plan: MakePlan,
    pub(super) give: Give,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Operation {
    /// Whether nothing is changed.
    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// The parameters of its path, in order.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// An entry on its way into the table.
pub(super) struct Entry {
    operation: Operation,
    query: Option<SchemaOf>,
    body: Option<SchemaOf>,
    answer: Option<SchemaOf>,
}

macro_rules! method {
    ($name:ident, $method:ident) => {
        pub(super) fn $name(path: &'static str, id: &'static str, summary: &'static str) -> Entry {
            Entry::new(Method::$method, path, id, summary)
        }
    };
}
method!(get, GET);
method!(post, POST);
method!(put, PUT);
method!(patch, PATCH);
method!(delete, DELETE);

impl Entry {
    fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let operation = Operation {
            id,
            method,
            path,
            summary,
            command: "",
            query: None,
            body: None,
            answer: None,
            status: StatusCode::NO_CONTENT,
            is_list: false,
            versions: Versions::None,
            max_body: MAX_BODY,
            plan: Box::new(|_| Err(super::bad_cursor())),
            give: Box::new(|_, _| Given { status: StatusCode::NO_CONTENT, body: Value::Null, next: None }),
        };
        Self { operation, query: None, body: None, answer: None }
    }

    /// The answer is the JSON of a `T`, like this one.
    pub(super) fn answers<T: JsonSchema>(mut self, example: &str) -> Self {
        self.answer = Some(|schemas| schemas.subschema_for::<T>());
        self.operation.answer = Some(typed(example));
        self.operation.status = StatusCode::OK;
        self.gives(|value, _| value)
    }

    /// The same with another status than 200.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.operation.status = status;
        self.operation.give = {
            let give = self.operation.give;
            Box::new(move |value, asked| Given { status, ..give(value, asked) })
        };
        self
    }

    /// The answer is made of the command's.
    pub(super) fn gives(mut self, made: impl Fn(Value, &Asked) -> Value + Send + Sync + 'static) -> Self {
        let status = self.operation.status;
        self.operation.give = Box::new(move |value, asked| Given { status, body: made(value, asked), next: None });
        self
    }

    /// The answer is made of the command's, with its status.
    pub(super) fn gives_with_status(mut self, made: fn(Value) -> (StatusCode, Value)) -> Self {
        self.operation.give = Box::new(move |value, _| {
            let (status, body) = made(value);
            Given { status, body, next: None }
        });
        self
    }

    /// What the versions of the thing are good for.
    pub(super) fn versions(mut self, versions: Versions) -> Self {
        self.operation.versions = versions;
        self
    }

    /// The body may be larger than others.
    pub(super) fn large(mut self) -> Self {
        self.operation.max_body = MAX_LARGE_BODY;
        self
    }

    /// What it does, of its path alone.
    pub(super) fn plan(mut self, command: &'static str, plan: fn(&Asked) -> Command) -> Self {
        self.operation.command = command;
        self.operation.plan = Box::new(move |asked| Ok(plan(asked).into()));
        self
    }

    /// The same, where the path can be wrong.
    pub(super) fn plans(mut self, command: &'static str, plan: fn(&Asked) -> Result<Plan, Problem>) -> Self {
        self.operation.command = command;
        self.operation.plan = Box::new(plan);
        self
    }

    /// What it does, of its path and a body like this one.
    pub(super) fn takes<B: JsonSchema + DeserializeOwned + 'static>(
        mut self,
        example: &str,
        command: &'static str,
        plan: fn(&Asked, B) -> Result<Plan, Problem>,
    ) -> Self {
        self.body = Some(|schemas| schemas.subschema_for::<B>());
        self.operation.body = Some(typed(example));
        self.operation.command = command;
        self.operation.plan = Box::new(move |asked| plan(asked, Asked::read(&asked.body)?));
        self
    }

    /// A listing of `T` by the parameters `Q`: what is asked, and how the answer is cut into entries and the next position.
    pub(super) fn lists<Q: JsonSchema + DeserializeOwned + 'static, T: JsonSchema>(
        mut self,
        example: &str,
        command: &'static str,
        plan: fn(&Asked, Q) -> Result<Command, Problem>,
        page: fn(Value, &Asked) -> Page,
    ) -> Self {
        self.query = Some(|schemas| Q::json_schema(schemas));
        self.operation.query = Some(typed("{}"));
        self.answer = Some(|schemas| schemas.subschema_for::<T>());
        self.operation.answer = Some(typed(example));
        self.operation.status = StatusCode::OK;
        self.operation.is_list = true;
        self.operation.command = command;
        self.operation.plan = Box::new(move |asked| Ok(plan(asked, Asked::read(&asked.query)?)?.into()));
        self.operation.give = Box::new(move |value, asked| {
            let (items, next) = page(value, asked);
            Given { status: StatusCode::OK, body: json!({ "items": items }), next }
        });
        self
    }

    /// The entry, with its schemas.
    pub(super) fn finish(self, schemas: &mut SchemaGenerator) -> Operation {
        let mut operation = self.operation;
        let mut made = |of: Option<SchemaOf>| of.map(|of| of(schemas).to_value()).unwrap_or_default();
        let (query, body, answer) = (made(self.query), made(self.body), made(self.answer));
        if let Some(typed) = &mut operation.query {
            typed.schema = query;
        }
        if let Some(typed) = &mut operation.body {
            typed.schema = body;
        }
        if let Some(typed) = &mut operation.answer {
            if operation.is_list {
                typed.example = json!({"items": [typed.example], "next": "rgp_…"});
                typed.schema = page_of(&answer);
            } else {
                typed.schema = answer;
            }
        }
        operation
    }
}

fn page_of(item: &Value) -> Value {
    let next = "The cursor of the next page; absent on the last. Sent with the same parameters, and with no others.";
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {"type": "string", "description": next},
        },
    })
}

/// An example of the table. One that is no JSON shows as nothing, which a unit test finds.
fn typed(example: &str) -> Typed {
    Typed { schema: Value::Null, example: serde_json::from_str(example).unwrap_or_default() }
}

/// Puts a secret that was made into the answer that tells of it.
pub(super) fn with_secret(body: Value, secret: Option<String>) -> Value {
    let (Value::Object(mut members), Some(secret)) = (body.clone(), secret) else { return body };
    members.insert("client_secret".to_owned(), secret.into());
    Value::Object(members)
}

/// The entries behind a text, of a list that is there whole and in order.
pub(super) fn behind(list: Value, asked: &Asked, name: impl Fn(&Value) -> String) -> (Vec<Value>, Option<Position>) {
    let Value::Array(list) = list else { return (Vec::new(), None) };
    let limit = asked.limit as usize;
    let begin = match &asked.after {
        Some(Position::Text(after)) => list.iter().position(|item| name(item) == *after).map_or_else(
            // It is gone since: go on where it stood.
            || list.iter().position(|item| name(item) > *after).unwrap_or(list.len()),
            |at| at + 1,
        ),
        _ => 0,
    };
    let is_more = list.len() > begin + limit;
    let items: Vec<Value> = list.into_iter().skip(begin).take(limit).collect();
    let next = items.last().filter(|_| is_more).map(|last| Position::Text(name(last)));
    (items, next)
}

/// A page as it was asked for: whole, there may be more behind its last entry.
pub(super) fn full(
    list: Value,
    asked: &Asked,
    position: impl Fn(&Map<String, Value>) -> Option<Position>,
) -> (Vec<Value>, Option<Position>) {
    let Value::Array(items) = list else { return (Vec::new(), None) };
    let is_full = items.len() >= asked.limit as usize;
    let next = items.last().filter(|_| is_full).and_then(Value::as_object).and_then(position);
    (items, next)
}
