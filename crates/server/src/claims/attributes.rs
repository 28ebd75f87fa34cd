//! What is known of a user: the standard claims of OpenID Connect Core section 5.1, groups, roles and entitlements (RFC 7643
//! section 4.1.2, as lists of texts), and attributes of the operator's own.
//!
//! `sub` and `updated_at` are the server's to say. A new address is not verified until somebody says so: setting `email` or
//! `phone_number` takes `email_verified` or `phone_number_verified` back, unless the same change sets it.

use regrant_core::Timestamp;
use regrant_store::{Cause, Unavailable, User};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::names::{self, BadClaim};

/// The most that a user's attributes may take, in bytes of JSON.
pub const MAX_ATTRIBUTES: usize = 16 * 1024;
/// The most attributes of one user.
pub const MAX_COUNT: usize = 128;
/// The lists (RFC 9068 section 2.2.3.1).
pub const LISTS: [&str; 3] = ["groups", "roles", "entitlements"];
/// The longest entry of a list, in bytes.
const MAX_LIST_ENTRY: usize = 256;
/// OpenID Connect Core section 5.1: texts.
const TEXTS: [&str; 15] = [
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
];
/// OpenID Connect Core section 5.1: true or false, and what each is about.
const VERIFIED: [(&str, &str); 2] = [("email", "email_verified"), ("phone_number", "phone_number_verified")];
/// OpenID Connect Core section 5.1.1.
const ADDRESS: [&str; 6] = ["formatted", "street_address", "locality", "region", "postal_code", "country"];

/// A user's attributes, checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attributes(Map<String, Value>);

/// What an operator changes, carried out in this order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UserChange {
    /// Attributes to remove.
    pub unset: Vec<String>,
    /// Attributes to set, as people write them: `email` and `a@example.com`, `address.country` and `DE`.
    pub texts: Vec<(String, String)>,
    /// Attributes to set.
    pub values: Vec<(String, Value)>,
    /// Entries to take out of lists.
    pub remove: Vec<(String, String)>,
    /// Entries to put into lists.
    pub add: Vec<(String, String)>,
}

/// Why a change is not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadAttribute {
    /// The name or the value.
    #[error("{0}: {1}")]
    Claim(String, BadClaim),
    /// Another kind of value than the name wants.
    #[error("{0}: it must be {1}")]
    Kind(String, &'static str),
    /// `updated_at`.
    #[error("updated_at: the server says it, at each change")]
    Maintained,
    /// Too many or too large.
    #[error("there are {0} attributes in {1} bytes of JSON; {MAX_COUNT} in {MAX_ATTRIBUTES} bytes are the limit")]
    TooLarge(usize, usize),
}

impl Attributes {
    /// What the store holds of this user.
    ///
    /// # Errors
    /// [`Unavailable`] if it is not what this program wrote: nothing is vouched for that cannot be read.
    pub fn stored(user: &User) -> Result<Self, Unavailable> {
        let damaged = |error: serde_json::Error| Unavailable {
            cause: Cause::Damaged,
            detail: format!("the attributes of {}: {error}", user.subject),
        };
        serde_json::from_str(&user.attributes).map(Self).map_err(damaged)
    }

    /// Checks attributes as a whole.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn checked(members: Map<String, Value>) -> Result<Self, BadAttribute> {
        for (name, value) in &members {
            check(name, value)?;
        }
        let bytes = serde_json::to_string(&members).map_or(usize::MAX, |text| text.len());
        if members.len() > MAX_COUNT || bytes > MAX_ATTRIBUTES {
            return Err(BadAttribute::TooLarge(members.len(), bytes));
        }
        Ok(Self(members))
    }

    /// As the store keeps them.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_else(|_| "{}".to_owned())
    }

    /// All of them.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// One attribute, with those that the record itself answers.
    #[must_use]
    pub fn of(&self, user: &User, name: &str) -> Option<Value> {
        match (name, self.0.get(name)) {
            ("updated_at", _) => Some(Value::from(seconds(user.updated_at))),
            (_, Some(value)) => Some(value.clone()),
            // OpenID Connect Core section 5.1: "Shorthand name by which the End-User wishes to be referred to at the RP".
            ("preferred_username", None) => Some(Value::from(user.name.clone())),
            (_, None) => None,
        }
    }

    /// The attributes after a change; `self` is unchanged if any of it cannot be made.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn changed(&self, change: &UserChange) -> Result<Self, BadAttribute> {
        let mut next = self.0.clone();
        for name in &change.unset {
            next.remove(name);
        }
        for (name, text) in &change.texts {
            set_text(&mut next, name, text)?;
        }
        for (name, value) in &change.values {
            next.insert(name.clone(), value.clone());
        }
        for (list, entry) in &change.remove {
            entries(&mut next, list)?.retain(|known| known.as_str() != Some(entry));
        }
        for (list, entry) in &change.add {
            let entries = entries(&mut next, list)?;
            // Asked before the search, which would be quadratic over a list without an end (check X4).
            if entries.len() > names::MAX_ENTRIES {
                return Err(BadAttribute::Claim(list.clone(), BadClaim::TooMany));
            }
            if !entries.iter().any(|known| known.as_str() == Some(entry)) {
                entries.push(Value::from(entry.clone()));
            }
        }
        for list in LISTS {
            if next.get(list).and_then(Value::as_array).is_some_and(Vec::is_empty) {
                next.remove(list);
            }
        }
        for (name, verified) in VERIFIED {
            let is_said = change.texts.iter().map(|(name, _)| name).chain(change.values.iter().map(|(name, _)| name));
            let is_said = is_said.into_iter().any(|name| name == verified);
            match next.get(name) {
                None => drop(next.remove(verified)),
                Some(now) if !is_said && self.0.get(name) != Some(now) => {
                    next.insert(verified.to_owned(), Value::Bool(false));
                }
                Some(_) => {}
            }
        }
        Self::checked(next)
    }
}

/// OpenID Connect Core section 5.1: `updated_at` counts seconds.
pub(crate) const fn seconds(at: Timestamp) -> i64 {
    at.seconds()
}

/// `key=value` as people write it.
fn set_text(members: &mut Map<String, Value>, name: &str, text: &str) -> Result<(), BadAttribute> {
    if LISTS.contains(&name) {
        return Err(BadAttribute::Kind(name.to_owned(), "changed with --add and --remove, for it is a list"));
    }
    if VERIFIED.iter().any(|(_, verified)| *verified == name) {
        let value = text.parse().map_err(|_| BadAttribute::Kind(name.to_owned(), "true or false"))?;
        members.insert(name.to_owned(), Value::Bool(value));
        return Ok(());
    }
    if let Some(part) = name.strip_prefix("address.") {
        let address = members.entry("address").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(parts) = address {
            parts.insert(part.to_owned(), Value::from(text));
        }
        return Ok(());
    }
    members.insert(name.to_owned(), Value::from(text));
    Ok(())
}

/// The entries of a list, which is there from now on.
fn entries<'a>(members: &'a mut Map<String, Value>, list: &str) -> Result<&'a mut Vec<Value>, BadAttribute> {
    let wrong = || BadAttribute::Kind(list.to_owned(), "one of groups, roles and entitlements");
    if !LISTS.contains(&list) {
        return Err(wrong());
    }
    members.entry(list).or_insert_with(|| Value::Array(Vec::new())).as_array_mut().ok_or_else(wrong)
}

fn check(name: &str, value: &Value) -> Result<(), BadAttribute> {
    if name == "updated_at" {
        return Err(BadAttribute::Maintained);
    }
    names::check_name(name)
        .and_then(|()| names::check_value(value))
        .map_err(|bad| BadAttribute::Claim(name.chars().take(names::MAX_NAME).collect(), bad))?;
    let kind = |fits: bool, what| if fits { Ok(()) } else { Err(BadAttribute::Kind(name.to_owned(), what)) };
    if TEXTS.contains(&name) {
        return kind(value.as_str().is_some_and(|text| !text.is_empty()), "a text that is not empty");
    }
    if VERIFIED.iter().any(|(_, verified)| *verified == name) {
        return kind(value.is_boolean(), "true or false");
    }
    if LISTS.contains(&name) {
        let is_entry = |entry: &Value| {
            entry.as_str().is_some_and(|text| {
                !text.is_empty() && text.len() <= MAX_LIST_ENTRY && !text.chars().any(char::is_control)
            })
        };
        let fits = value.as_array().is_some_and(|entries| entries.iter().all(is_entry));
        return kind(fits, "a list of texts of 1 to 256 bytes");
    }
    if name == "address" {
        let is_part = |(part, text): (&String, &Value)| ADDRESS.contains(&part.as_str()) && text.is_string();
        let fits = value.as_object().is_some_and(|parts| !parts.is_empty() && parts.iter().all(is_part));
        return kind(
            fits,
            "an object of texts: formatted, street_address, locality, region, postal_code, country (OpenID Connect Core section 5.1.1)",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(texts: &[(&str, &str)]) -> UserChange {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        UserChange { texts, ..UserChange::default() }
    }

    fn after(attributes: &Attributes, texts: &[(&str, &str)]) -> Attributes {
        attributes.changed(&change(texts)).unwrap_or_else(|bad| panic!("{bad}"))
    }

    #[test]
    fn a_new_address_is_not_verified_until_somebody_says_so() {
        let old = after(&Attributes::default(), &[("email", "a@example.com"), ("email_verified", "true")]);
        assert_eq!(old.members()["email_verified"], json!(true));
        assert_eq!(after(&old, &[("nickname", "al")]).members()["email_verified"], json!(true));
        assert_eq!(after(&old, &[("email", "a@example.com")]).members()["email_verified"], json!(true), "the same one");
        assert_eq!(after(&old, &[("email", "b@example.com")]).members()["email_verified"], json!(false));
        let gone = old.changed(&UserChange { unset: vec!["email".to_owned()], ..UserChange::default() }).expect("fine");
        assert_eq!(gone, Attributes::default(), "what is said of an address goes with it");
    }

    #[test]
    fn lists_hold_each_entry_once() {
        let pair = |list: &str, entry: &str| (list.to_owned(), entry.to_owned());
        let add = UserChange {
            add: vec![pair("groups", "a"), pair("groups", "b"), pair("groups", "a"), pair("roles", "x")],
            ..UserChange::default()
        };
        let held = Attributes::default().changed(&add).expect("fine");
        assert_eq!(json!(held.members()), json!({"groups": ["a", "b"], "roles": ["x"]}));
        let remove = UserChange { remove: vec![pair("groups", "a"), pair("roles", "x")], ..UserChange::default() };
        assert_eq!(json!(held.changed(&remove).expect("fine").members()), json!({"groups": ["b"]}));
        let endless = (0..100_000).map(|number| pair("groups", &number.to_string())).collect();
        let endless = held.changed(&UserChange { add: endless, ..UserChange::default() });
        assert_eq!(endless, Err(BadAttribute::Claim("groups".to_owned(), BadClaim::TooMany)));
        let nowhere = UserChange { add: vec![pair("email", "a")], ..UserChange::default() };
        assert!(held.changed(&nowhere).is_err());
    }

    /// Checks I11, X4: what cannot be a claim cannot be an attribute, and all of them are bounded together.
    #[test]
    fn what_cannot_be_kept_is_refused_and_named() {
        let with = |name: &str, value: Value| Attributes::checked(Map::from_iter([(name.to_owned(), value)]));
        for (name, value, says) in [
            ("sub", json!("usr_2"), "reserved"),
            ("iss", json!("x"), "reserved"),
            ("updated_at", json!(1), "the server says it"),
            ("email", json!(7), "a text"),
            ("email", json!(""), "a text"),
            ("email_verified", json!("yes"), "true or false"),
            ("groups", json!("admin"), "a list of texts"),
            ("groups", json!([1]), "a list of texts"),
            ("groups", json!([""]), "a list of texts"),
            ("address", json!("somewhere"), "an object"),
            ("address", json!({"planet": "Mars"}), "an object"),
            ("big", json!(1_u64 << 60), "2^53"),
            ("big", json!(vec!["x".repeat(2000); 9]), "bytes of JSON"),
        ] {
            let bad = with(name, value).expect_err(name).to_string();
            assert!(bad.contains(says), "{name}: {bad}");
        }
        let many = (0..=MAX_COUNT).map(|number| (format!("a{number}"), json!(1))).collect();
        assert!(matches!(Attributes::checked(many), Err(BadAttribute::TooLarge(..))));
        for name in ["department", "https://example.com/tier"] {
            assert!(with(name, json!({"a": [1, 2]})).is_ok());
        }
    }
}
