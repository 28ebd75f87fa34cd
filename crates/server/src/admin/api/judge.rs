//! Whether a body or a query is what the document says: judged by the very schema that the document shows, so that neither can
//! part from the other. Names the member, never its value: it may be a password.
//!
//! What our types need of JSON Schema 2020-12, and no more; a unit test finds a schema that says something else.

use serde_json::{Map, Value};

use super::problem::Fault;

/// The most that is told of one request.
const MOST_FAULTS: usize = 20;
/// Schemas with the definitions that they refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) definitions: &'a Map<String, Value>,
}

impl Judge<'_> {
    /// What is wrong with a value; nothing if it is as the schema says.
    pub(super) fn faults(self, schema: &Value, value: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.look(schema, value, "", &mut faults);
        faults.truncate(MOST_FAULTS);
        faults
    }

    fn fits(self, schema: &Value, value: &Value) -> bool {
        self.faults(schema, value).is_empty()
    }

    fn look(self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<Fault>) {
        let Some(schema) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                faults.push(fault(at, "it may not be there", "Leave it out."));
            }
            return;
        };
        if faults.len() > MOST_FAULTS {
            return;
        }
        if let Some(named) = schema.get("$ref").and_then(|named| self.definitions.get(name_of(named))) {
            self.look(named, value, at, faults);
        }
        if let Some(kind) = schema.get("type").filter(|kind| !kinds(kind).any(|kind| is_kind(value, kind))) {
            let wanted: Vec<&str> = kinds(kind).map(word).collect();
            faults.push(fault(at, "it is of another type", format!("It must be {}.", wanted.join(" or "))));
            return;
        }
        let listed =
            schema.get("enum").and_then(Value::as_array).cloned().or(schema.get("const").map(|one| vec![one.clone()]));
        if let Some(listed) = listed.filter(|listed| !listed.contains(value)) {
            let words: Vec<String> = listed.iter().map(ToString::to_string).collect();
            faults.push(fault(at, "it is none of the words known here", format!("Write {}.", words.join(" or "))));
        }
        for part in list(schema, "allOf") {
            self.look(part, value, at, faults);
        }
        for key in ["anyOf", "oneOf"] {
            let parts = list(schema, key);
            if !parts.is_empty() && !parts.iter().any(|part| self.fits(part, value)) {
                // The first is the thing itself; the others are its absence.
                self.look(&parts[0], value, at, faults);
            }
        }
        match value {
            Value::Object(members) => self.members(schema, members, at, faults),
            Value::Array(items) => self.items(schema, items, at, faults),
            Value::String(text) => length(schema, text, at, faults),
            Value::Number(number) => {
                let bound = |key| schema.get(key).and_then(Value::as_f64);
                let number = number.as_f64().unwrap_or(f64::NAN);
                if bound("minimum").is_some_and(|least| number < least)
                    || bound("maximum").is_some_and(|most| number > most)
                {
                    let of = |key| schema.get(key).map_or_else(|| "…".to_owned(), ToString::to_string);
                    let remedy = format!("Use {} to {}.", of("minimum"), of("maximum"));
                    faults.push(fault(at, "it is outside of its limits", remedy));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn members(self, schema: &Map<String, Value>, members: &Map<String, Value>, at: &str, faults: &mut Vec<Fault>) {
        let known = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties");
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                faults.push(fault(&below(at, name), "it is missing", "Add it."));
            }
        }
        for (name, value) in members {
            match (known.and_then(|known| known.get(name)), rest) {
                (Some(schema), _) => self.look(schema, value, &below(at, name), faults),
                (None, Some(Value::Bool(false))) => {
                    let names: Vec<&str> =
                        known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
                    let remedy = match names.as_slice() {
                        [] => "Leave it out: nothing is known here.".to_owned(),
                        names => format!("Leave it out; known here: {}.", names.join(", ")),
                    };
                    faults.push(fault(&below(at, name), "there is no such member", remedy));
                }
                (None, Some(schema)) => self.look(schema, value, &below(at, name), faults),
                (None, None) => {}
            }
            if faults.len() > MOST_FAULTS {
                return;
            }
        }
    }

    fn items(self, schema: &Map<String, Value>, items: &[Value], at: &str, faults: &mut Vec<Fault>) {
        let bound = |key| schema.get(key).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        if bound("maxItems").is_some_and(|most| items.len() > most) {
            let remedy = format!("Send at most {} at once.", bound("maxItems").unwrap_or_default());
            faults.push(fault(at, "there are too many", remedy));
            return;
        }
        if bound("minItems").is_some_and(|least| items.len() < least) {
            faults.push(fault(
                at,
                "there are too few",
                format!("Send at least {}.", bound("minItems").unwrap_or_default()),
            ));
        }
        let Some(schema) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.look(schema, item, &below(at, &index.to_string()), faults);
            if faults.len() > MOST_FAULTS {
                return;
            }
        }
    }
}

fn length(schema: &Map<String, Value>, text: &str, at: &str, faults: &mut Vec<Fault>) {
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    let length = text.chars().count() as u64;
    if let Some(most) = bound("maxLength").filter(|most| length > *most) {
        faults.push(fault(at, "it is too long", format!("Use at most {most} characters.")));
    }
    if let Some(least) = bound("minLength").filter(|least| length < *least) {
        faults.push(fault(at, "it is too short", format!("Use at least {least} characters.")));
    }
}

fn fault(at: &str, problem: &str, remedy: impl Into<String>) -> Fault {
    let at = if at.is_empty() { "the body" } else { at };
    Fault { at: at.to_owned(), problem: problem.to_owned(), remedy: remedy.into() }
}

/// RFC 6901, with a name that was sent cut short.
fn below(at: &str, name: &str) -> String {
    let name: String = name.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The definition that a reference names.
pub(super) fn name_of(reference: &Value) -> &str {
    reference.as_str().and_then(|text| text.rsplit('/').next()).unwrap_or_default()
}

fn kinds(kind: &Value) -> impl Iterator<Item = &str> {
    kind.as_str().into_iter().chain(kind.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn word(kind: &str) -> &str {
    match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
}

/// The keywords that are judged, and those that say nothing of what may be there.
#[cfg(test)]
const JUDGED: [&str; 17] = [
    "$ref",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "maxItems",
    "minItems",
];
#[cfg(test)]
const SILENT: [&str; 6] = ["title", "description", "default", "format", "examples", "writeOnly"];

/// The keywords of a schema that this judge would not look at: there should be none.
#[cfg(test)]
pub(super) fn unjudged(schema: &Value) -> Vec<String> {
    let Some(members) = schema.as_object() else { return Vec::new() };
    let mut found: Vec<String> = members
        .keys()
        .filter(|key| !JUDGED.contains(&key.as_str()) && !SILENT.contains(&key.as_str()))
        .cloned()
        .collect();
    let named = members.get("properties").and_then(Value::as_object).into_iter().flat_map(|named| named.values());
    let parts = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|key| list(members, key));
    let single = ["items", "additionalProperties"].into_iter().filter_map(|key| members.get(key));
    named.chain(parts).chain(single).for_each(|schema| found.extend(unjudged(schema)));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_its_remedy() {
        let definitions = json!({"Name": {"type": "string", "minLength": 1, "maxLength": 3}});
        let judge = Judge { definitions: definitions.as_object().expect("an object") };
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": {"$ref": "#/components/schemas/Name"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 5},
                "list": {"type": "array", "maxItems": 2, "items": {"enum": ["a", "b"]}},
                "maybe": {"anyOf": [{"$ref": "#/components/schemas/Name"}, {"type": "null"}]},
                "other": {"type": ["string", "null"]},
            }
        });
        let told = |value: Value| -> Vec<(String, String)> {
            judge.faults(&schema, &value).into_iter().map(|fault| (fault.at, fault.problem)).collect()
        };
        assert!(told(json!({"name": "abc", "limit": 5, "list": ["a"], "maybe": null, "other": null})).is_empty());
        for (value, at, problem) in [
            (json!([]), "the body", "another type"),
            (json!({}), "/name", "missing"),
            (json!({"name": ""}), "/name", "too short"),
            (json!({"name": "abcd"}), "/name", "too long"),
            (json!({"name": 1}), "/name", "another type"),
            (json!({"name": "a", "x/y": 1}), "/x~1y", "no such member"),
            (json!({"name": "a", "limit": 6}), "/limit", "outside"),
            (json!({"name": "a", "limit": 1.5}), "/limit", "another type"),
            (json!({"name": "a", "list": ["a", "c"]}), "/list/1", "none of the words"),
            (json!({"name": "a", "list": ["a", "a", "a"]}), "/list", "too many"),
            (json!({"name": "a", "maybe": "long one"}), "/maybe", "too long"),
        ] {
            let told = told(value);
            assert!(told.len() == 1 && told[0].0 == at && told[0].1.contains(problem), "{told:?}");
        }
        let many: Map<String, Value> = (0..1000).map(|number| (format!("m{number}"), json!(1))).collect();
        assert!(told(Value::Object(many)).len() <= MOST_FAULTS);
    }
}
