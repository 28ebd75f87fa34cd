//! The OpenAPI 3.1 document, made of the table and of nothing else; `docs/openapi.json` is a copy of it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::operation::{MAX_PAGE, Operation, PAGE, Versions};
use super::operations::table;
use super::problem::{Kind, TYPE};
use super::{BASE, cursor};

const ABOUT: &str = "Everything that an operator can do with Regrant. Each request carries an access token by client credentials \
                     with the scope `regrant.admin` for the resource `urn:regrant:admin`. Errors are problems (RFC 9457). Writes \
                     can be repeated with an `Idempotency-Key`, and made conditional with `If-Match` and `If-None-Match: *`. \
                     docs/admin-api.md explains it in ten minutes.";

/// The document.
#[must_use]
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for operation in &table().operations {
            let path = paths.entry(format!("{BASE}{}", operation.path)).or_default();
            path.insert(operation.method.as_str().to_lowercase(), described(operation));
        }
        paths.insert(format!("{BASE}/openapi.json"), itself());
        json!({
            "openapi": "3.1.0",
            "info": {"title": "Regrant admin API", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT},
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {
                    "type": "http", "scheme": "bearer",
                    "description": "POST /oauth2/token with grant_type=client_credentials, scope=regrant.admin and \
                                    resource=urn:regrant:admin",
                }},
                "schemas": table().definitions,
            },
            "x-problem-types": problem_types(),
        })
    })
}

/// The document is an operation, too.
fn itself() -> Map<String, Value> {
    let mut responses = errors(&[Kind::NoToken, Kind::InvalidToken, Kind::Forbidden, Kind::TooMany, Kind::Unavailable]);
    let told = json!({"application/json": {"schema": {"type": "object"}, "example": {"openapi": "3.1.0"}}});
    responses.insert("200".to_owned(), json!({"description": "It is here", "content": told}));
    let read = json!({"operationId": "readDocument", "summary": "This document", "responses": responses});
    Map::from_iter([("get".to_owned(), read)])
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation
        .path_parameters()
        .map(|name| {
            let schema = json!({"type": "string", "maxLength": super::MAX_PARAMETER});
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    parameters.extend(of_the_listing(operation));
    parameters.extend(headers(operation));
    let mut responses = errors(&kinds(operation));
    let statuses = match (&operation.method, operation.versions) {
        (&Method::PUT, Versions::Asked) if operation.answer.is_some() => vec!["200", "201"],
        _ => vec![operation.status.as_str()],
    };
    for status in statuses {
        let mut response = json!({"description": "Done"});
        if let Some(answer) = &operation.answer {
            response["content"] = json!({"application/json": {"schema": answer.schema, "example": answer.example}});
        }
        if operation.is_list {
            let link = json!({"description": "`rel=\"next\"`: the next page", "schema": {"type": "string"}});
            response["headers"] = json!({ "Link": link });
        }
        if operation.shows_a_version() {
            let tag = json!({"description": "The version, for If-Match", "schema": {"type": "string"}});
            response["headers"] = json!({ "ETag": tag });
        }
        responses.insert(status.to_owned(), response);
    }
    if operation.is_read() && operation.shows_a_version() {
        responses.insert("304".to_owned(), json!({"description": "As in If-None-Match"}));
    }
    let mut told = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.path.split('/').nth(1).unwrap_or_default()],
        "responses": responses,
    });
    if !parameters.is_empty() {
        told["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        let json_body = json!({"schema": body.schema, "example": body.example});
        let mut content = Map::from_iter([("application/json".to_owned(), json_body.clone())]);
        if operation.method == Method::PATCH {
            content.insert("application/merge-patch+json".to_owned(), json_body);
        }
        told["requestBody"] = json!({"required": true, "content": content});
    }
    told
}

fn of_the_listing(operation: &Operation) -> Vec<Value> {
    let Some(query) = operation.query.as_ref() else { return Vec::new() };
    let properties = query.schema.get("properties").and_then(Value::as_object);
    let own = properties.into_iter().flatten().map(|(name, schema)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|members| members.remove("description")).unwrap_or_default();
        json!({"name": name, "in": "query", "description": description, "schema": schema})
    });
    let limit = json!({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE});
    let mut all: Vec<Value> = own.collect();
    all.push(json!({"name": "limit", "in": "query", "description": "At most this many entries", "schema": limit}));
    all.push(json!({
        "name": "cursor", "in": "query", "schema": {"type": "string", "maxLength": cursor::MAX_LEN},
        "description": "`next` of the page before, with the same other parameters",
    }));
    all
}

fn headers(operation: &Operation) -> Vec<Value> {
    let header = |name: &str, says: &str| json!({"name": name, "in": "header", "description": says, "schema": {"type": "string", "maxLength": 1024}});
    let mut all = Vec::new();
    match (operation.versions, operation.is_read()) {
        (Versions::None, _) => {}
        (_, true) => all.push(header("If-None-Match", "The ETag that is known already")),
        (_, false) => {
            all.push(header("If-Match", "The ETag that was read: 412 if it is another by now"));
            all.push(header("If-None-Match", "`*`: 412 if it is there"));
        }
    }
    if !operation.is_read() {
        let says = "1 to 255 visible characters, made anew for each thing to do: the same request with the same key is done once and \
                    answered again, for ten minutes";
        all.push(header("Idempotency-Key", says));
    }
    all
}

/// Every type of problem, whether or not an operation names it.
fn problem_types() -> Map<String, Value> {
    let told = |kind: &Kind| {
        (format!("{TYPE}{}", kind.word()), json!({"status": kind.status().as_u16(), "title": kind.title()}))
    };
    Kind::ALL.iter().map(told).collect()
}

/// Which problems an operation can have.
fn kinds(operation: &Operation) -> Vec<Kind> {
    let mut kinds = vec![Kind::Malformed, Kind::NoToken, Kind::InvalidToken, Kind::Forbidden, Kind::TooMany];
    kinds.extend([Kind::Failed, Kind::Unavailable]);
    let mut add = |more: &[Kind]| kinds.extend_from_slice(more);
    if operation.path_parameters().next().is_some() || operation.is_list || operation.path.starts_with("/interactions/")
    {
        add(&[Kind::NotFound]);
    }
    if operation.is_list {
        add(&[Kind::Cursor, Kind::Invalid]);
    }
    if !operation.is_read() {
        add(&[Kind::Invalid, Kind::Conflict, Kind::UnderWay, Kind::KeyReused]);
    }
    if operation.body.is_some() {
        add(&[Kind::TooLarge, Kind::MediaType]);
    }
    if operation.versions == Versions::Asked {
        add(&[Kind::Changed]);
    }
    kinds
}

/// A response for each status, with an example for each problem.
fn errors(kinds: &[Kind]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Map<String, Value>> = BTreeMap::new();
    for kind in kinds {
        let status = kind.status().as_u16();
        let told = json!({
            "type": format!("{TYPE}{}", kind.word()), "title": kind.title(), "status": status, "detail": "…",
            "correlation_id": "6f1b2c3d4e5f6071",
        });
        by_status
            .entry(status)
            .or_default()
            .insert(kind.word().to_owned(), json!({"summary": kind.title(), "value": told}));
    }
    let of = |(status, examples): (u16, Map<String, Value>)| {
        let words: Vec<&str> = examples.keys().map(String::as_str).collect();
        let description = words.join(", ");
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        let content = json!({"application/problem+json": {"schema": schema, "examples": examples}});
        (status.to_string(), json!({"description": description, "content": content}))
    };
    by_status.into_iter().map(of).collect()
}
