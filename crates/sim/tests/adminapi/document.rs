//! The OpenAPI document: its structure is sound, and what is answered over the wire is as it says.

use std::collections::BTreeSet;

use axum::http::Method;
use regrant_server::admin::api::document;
use serde_json::{Map, Value};
use sim::wire::Reply;

/// Operations: method and path.
pub(crate) type Seen = BTreeSet<(String, String)>;

/// All operations of the document.
pub(crate) fn all() -> Seen {
    operations().map(|(path, method, _)| (method.to_uppercase(), path.clone())).collect()
}

fn operations() -> impl Iterator<Item = (&'static String, &'static String, &'static Map<String, Value>)> {
    let paths = document()["paths"].as_object().expect("paths").iter();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(move |(method, told)| (path, method, told.as_object().expect("an operation")))
    })
}

/// Asserts that status, media type and members of an answer are in the document.
pub(crate) fn answer_is_as_documented(method: &Method, template: &str, reply: &Reply) {
    let told = &document()["paths"][format!("/admin/v1{template}")][method.as_str().to_lowercase()];
    let response = &told["responses"][reply.status.as_str()];
    assert!(response.is_object(), "{method} {template} does not name {}", reply.status);
    if reply.body.is_empty() {
        assert!(response.get("content").is_none(), "{method} {template} promises a body");
        return;
    }
    let content = &response["content"][reply.header("content-type")];
    assert!(content.is_object(), "{method} {template}: {}", reply.header("content-type"));
    check(&content["schema"], &reply.json(), &format!("{method} {template}"));
}

/// What there is, is named; what must be there, is there; each of its type.
fn check(schema: &Value, value: &Value, at: &str) {
    if let Some(named) = schema["$ref"].as_str() {
        let schema = document().pointer(named.trim_start_matches('#')).unwrap_or_else(|| panic!("no {named}"));
        return check(schema, value, at);
    }
    let any = ["anyOf", "oneOf"].into_iter().find_map(|key| schema[key].as_array());
    if let (Some(any), false) = (any, value.is_null()) {
        return check(&any[0], value, at);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.is_empty() || kinds.contains(&kind), "{at}: {kind} is none of {kinds:?}");
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(value.get(name).is_some(), "{at}: {name} is missing in {value}");
    }
    if let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, value) in members {
            match known.get(name) {
                Some(schema) => check(schema, value, &format!("{at}/{name}")),
                None => assert!(
                    schema["additionalProperties"] != false && schema.get("additionalProperties").is_some(),
                    "{at}: {name} is not in the document"
                ),
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        items.iter().for_each(|item| check(schema, item, &format!("{at}[]")));
    }
}

/// OpenAPI 3.1: what each operation must have, and that nothing is referred to that is not there.
#[test]
fn the_document_is_sound() {
    let document = document();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = BTreeSet::new();
    for (path, method, told) in operations() {
        let at = format!("{method} {path}");
        assert!(ids.insert(told["operationId"].as_str().expect("an operationId")), "{at}: its id is there twice");
        assert!(told["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
        let names: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = told.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let of_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let declared: BTreeSet<&str> = of_path.map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        assert_eq!(names, declared, "{at}");
        assert!(parameters.iter().all(|parameter| parameter["schema"].is_object()), "{at}");
        if let Some(body) = told.get("requestBody") {
            assert!(body["content"]["application/json"]["example"].is_object(), "{at}: no example of its body");
        }
        let responses = told["responses"].as_object().expect("responses");
        for (status, response) in responses {
            assert!(response["description"].is_string(), "{at} {status}");
            for (media_type, content) in response.get("content").and_then(Value::as_object).into_iter().flatten() {
                let has_one = content.get("example").is_some() || content.get("examples").is_some();
                assert!(
                    has_one && content["schema"].is_object() | content["schema"].is_boolean(),
                    "{at} {status} {media_type}"
                );
            }
        }
        for status in ["401", "403", "429", "503"] {
            assert!(responses.contains_key(status), "{at} does not name {status}");
        }
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
    }
    references(document, &mut |named| {
        assert!(document.pointer(named.trim_start_matches('#')).is_some(), "{named} is not there");
    });
}

fn references(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(named) if name == "$ref" => found(named),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
