//! JSON objects as RFC 7515 section 4 and RFC 7519 section 4 want them: member names "MUST be unique".
//!
//! Both allow a reader that keeps the last of two duplicates. Ours refuses them at every level: two readers that
//! choose differently are two meanings of one signature.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::JsonFault;

/// How deep objects and arrays may be nested, the outermost counted. A signed token of ours needs four.
pub(crate) const MAX_DEPTH: u8 = 16;

/// Reads one JSON object and nothing after it. The caller has bounded the size.
///
/// # Errors
/// [`JsonFault`]: no JSON, no object, a member twice at any level, or nested deeper than 16.
pub fn read_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    let fault = Cell::new(JsonFault::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, fault: &fault }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|_| fault.get())?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonFault::NotAnObject),
    }
}

/// Builds a [`Value`] like serde_json's own, but minds names and depth. serde's errors are text, so the
/// kind of fault is left in `fault`.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u8,
    fault: &'a Cell<JsonFault>,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            self.fault.set(JsonFault::TooDeep);
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let element = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(value) = sequence.next_element_seed(element)? {
            elements.push(value);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let member = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.contains_key(&name) {
                self.fault.set(JsonFault::DuplicateMember);
                return Err(A::Error::custom("duplicate member"));
            }
            let value = object.next_value_seed(member)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_reads_as_serde_json_reads_it() {
        let text = r#"{"a":[1,-2,3.5,null,true,"\u00e9"],"b":{"c":{}},"d":18446744073709551615}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Ok(&expected), read_object(text.as_bytes()).map(Value::Object).as_ref());
    }

    #[test]
    fn a_duplicate_member_is_refused_at_every_level_and_in_every_spelling() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"a":2}}"#, r#"{"x":[{"a":1,"a":2}]}"#, r#"{"a":1,"\u0061":2}"#]
        {
            assert_eq!(read_object(text.as_bytes()), Err(JsonFault::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn sixteen_levels_are_read_and_seventeen_are_not() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(read_object(nested(16).as_bytes()).is_ok());
        assert_eq!(read_object(nested(17).as_bytes()), Err(JsonFault::TooDeep));
        assert_eq!(read_object("[".repeat(10_000).as_bytes()), Err(JsonFault::TooDeep));
    }

    #[test]
    fn what_is_no_object_or_no_json_is_told_apart() {
        for text in ["[]", "\"a\"", "1", "null"] {
            assert_eq!(read_object(text.as_bytes()), Err(JsonFault::NotAnObject), "{text}");
        }
        for bytes in
            [&b""[..], b"{", b"{} {}", b"{}x", b"{'a':1}", b"{\"a\":1e999}", b"{\"a\":\"\xff\"}", b"{\"a\":NaN}"]
        {
            assert_eq!(read_object(bytes), Err(JsonFault::Syntax));
        }
    }
}
