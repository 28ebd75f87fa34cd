//! `claims` and `static_claims` of a resource, `access_token_claims` and `static_claims` of a client: what their access tokens
//! carry (RFC 9068 section 2.2.3), read once and checked whole.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::client::ClientDefinition;
use super::problem::Problem;
use crate::claims::{ClientClaims, Rules};

const REMEDY: &str = "Name attributes of users, like \"groups\", \"email\" or \"department as dept\"; reserved names are the server's own.";
const STATIC_REMEDY: &str =
    "Write a table of names and values, like { tenant = \"acme\" }; reserved names are the server's own.";

/// The rules of both settings, and everything that is wrong with them under these names.
pub(super) fn rules(
    (takes_key, takes): (&'static str, &[String]),
    fixed: &Map<String, Value>,
) -> Result<Rules, Vec<Problem>> {
    Rules::read(takes, fixed).map_err(|wrong| {
        let problem = |(index, what): (Option<usize>, String)| match index {
            Some(index) => Problem::new(takes_key, what, REMEDY).at(index),
            None if what.starts_with("there are") => Problem::new(takes_key, what, REMEDY),
            None => Problem::new("static_claims", what, STATIC_REMEDY),
        };
        wrong.into_iter().map(problem).collect()
    })
}

impl ClientDefinition {
    /// What its access tokens carry.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn claims(&self) -> Result<ClientClaims, Vec<Problem>> {
        let rules = rules(("access_token_claims", &self.access_token_claims), &self.static_claims)?;
        Ok(ClientClaims { rules, hook: self.token_hook.unwrap_or(true) })
    }
}

/// The JSON of a TOML table; `None` if it has a date, a number that JSON has not, or is nested absurdly deep.
pub(super) fn json_of(table: &DeTable<'_>) -> Option<Map<String, Value>> {
    members(table, 8)
}

fn members(table: &DeTable<'_>, depth: u8) -> Option<Map<String, Value>> {
    let depth = depth.checked_sub(1)?;
    table.iter().map(|(name, value)| Some((name.get_ref().to_string(), value_of(value.get_ref(), depth)?))).collect()
}

fn value_of(value: &DeValue<'_>, depth: u8) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from),
        DeValue::Float(number) => {
            let number: f64 = number.as_str().parse().ok()?;
            serde_json::Number::from_f64(number).map(Value::Number)
        }
        DeValue::Boolean(is) => Some(Value::Bool(*is)),
        DeValue::Datetime(_) => None,
        DeValue::Array(items) => {
            let depth = depth.checked_sub(1)?;
            items.iter().map(|item| value_of(item.get_ref(), depth)).collect()
        }
        DeValue::Table(table) => members(table, depth).map(Value::Object),
    }
}
