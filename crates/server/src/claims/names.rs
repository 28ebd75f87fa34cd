//! Which names a claim may have, and which values (checks I10, I11, X4).
//!
//! A name that a specification gives a meaning in a token, or in the answer of the introspection endpoint (RFC 7662
//! section 2.2), cannot be given another one by a user's record, a configuration or a hook.

use serde_json::Value;

/// The claims that an access token without a grant asks of the userinfo endpoint by name (OpenID Connect Core section 5.5).
pub const USERINFO_CLAIMS: &str = "userinfo_claims";

/// Names that are the server's own.
pub const RESERVED: [&str; 40] = [
    // RFC 7519 section 4.1, RFC 9068 section 2.2.
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "auth_time",
    "acr",
    "amr",
    // OpenID Connect Core sections 2 and 5.6, and its logout specifications.
    "azp",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "events",
    "sub_jwk",
    "_claim_names",
    "_claim_sources",
    // Proof of possession, delegation, rich authorization: RFC 7800, RFC 8693, RFC 9396.
    "cnf",
    "act",
    "may_act",
    "authorization_details",
    // draft-ietf-oauth-status-list, section 6.1.
    "status",
    USERINFO_CLAIMS,
    // RFC 7662 section 2.2, and ours beside it.
    "active",
    "token_type",
    "token_use",
    "username",
    "error",
    "error_description",
    // Of the token's header, where a careless reader looks for both.
    "alg",
    "kid",
    "typ",
    // What breaks readers in scripts.
    "__proto__",
    "constructor",
    "prototype",
];

/// The longest name, in characters: room for a URI.
pub(super) const MAX_NAME: usize = 128;
/// The longest text within a value, in bytes.
pub(super) const MAX_TEXT: usize = 2048;
/// How deep a value may be nested, a text counting as one.
pub(super) const MAX_DEPTH: usize = 5;
/// The most elements of one list, and members of one object.
pub(super) const MAX_ENTRIES: usize = 256;
/// The greatest whole number that every reader of JSON keeps as it is: 2^53 - 1.
const MAX_WHOLE: u64 = (1 << 53) - 1;

/// Why a claim or an attribute cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadClaim {
    /// Not a name.
    #[error("a name has 1 to {MAX_NAME} visible ASCII characters without quotes, commas, backslashes and =")]
    Name,
    /// The server's own.
    #[error("the name is reserved: it means something else in a token")]
    Reserved,
    /// `null`, which readers take for absent or not as they like.
    #[error("null says nothing: leave it out")]
    Null,
    /// Nested too deep.
    #[error("it is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A text too long.
    #[error("a text in it is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// A text with control characters.
    #[error("a text in it has control characters")]
    Control,
    /// Too many elements.
    #[error("a list or object in it has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// Beyond what every reader keeps exactly.
    #[error("a whole number in it is beyond 2^53 - 1, which not every reader keeps: write it as a text")]
    Number,
}

/// Whether a claim may have this name.
///
/// # Errors
/// [`BadClaim::Name`] or [`BadClaim::Reserved`].
pub fn check_name(name: &str) -> Result<(), BadClaim> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\,=".contains(&byte));
    if !fits {
        return Err(BadClaim::Name);
    }
    // Without regard to case: a reader that does not mind it must not be told two issuers.
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(BadClaim::Reserved);
    }
    Ok(())
}

/// Whether a claim may have this value.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_value(value: &Value) -> Result<(), BadClaim> {
    check(value, MAX_DEPTH)
}

fn check(value: &Value, depth: usize) -> Result<(), BadClaim> {
    let Some(below) = depth.checked_sub(1) else { return Err(BadClaim::TooDeep) };
    match value {
        Value::Null => Err(BadClaim::Null),
        Value::Bool(_) => Ok(()),
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if whole.is_some_and(|whole| whole > MAX_WHOLE) { Err(BadClaim::Number) } else { Ok(()) }
        }
        Value::String(text) => check_text(text),
        Value::Array(items) if items.len() > MAX_ENTRIES => Err(BadClaim::TooMany),
        Value::Array(items) => items.iter().try_for_each(|item| check(item, below)),
        Value::Object(members) if members.len() > MAX_ENTRIES => Err(BadClaim::TooMany),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            let fits = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
            if !fits || name == "__proto__" {
                return Err(BadClaim::Name);
            }
            check(value, below)
        }),
    }
}

fn check_text(text: &str) -> Result<(), BadClaim> {
    if text.len() > MAX_TEXT {
        return Err(BadClaim::TooLong);
    }
    // A formatted address has line breaks (OpenID Connect Core section 5.1.1).
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\r') { Err(BadClaim::Control) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Check I11: none of the names that carry meaning can be given another one.
    #[test]
    fn a_name_that_means_something_is_nobodys_to_give() {
        for name in RESERVED {
            assert_eq!(check_name(name), Err(BadClaim::Reserved), "{name}");
            assert_eq!(check_name(&name.to_uppercase()), Err(BadClaim::Reserved), "{name}");
        }
        for name in ["", "a b", "a\"b", "a=b", "a,b", "ä", "a\n", &"x".repeat(129)] {
            assert_eq!(check_name(name), Err(BadClaim::Name), "{name:?}");
        }
        for name in ["groups", "roles", "department", "https://example.com/claims/tier", "id", "x-y_z.1"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    /// Checks I10, X4: what a value may be is bounded in depth, count, length and precision.
    #[test]
    fn a_value_is_bounded_in_every_direction() {
        let deep = (0..5).fold(json!(1), |inner, _| json!([inner]));
        for (value, expected) in [
            (json!(null), BadClaim::Null),
            (json!({"a": null}), BadClaim::Null),
            (deep, BadClaim::TooDeep),
            (json!("x".repeat(2049)), BadClaim::TooLong),
            (json!(vec![1; 257]), BadClaim::TooMany),
            (json!("a\u{0}b"), BadClaim::Control),
            (json!(9_007_199_254_740_993_u64), BadClaim::Number),
            (json!(-9_007_199_254_740_993_i64), BadClaim::Number),
            (json!(u64::MAX), BadClaim::Number),
            (json!({"__proto__": 1}), BadClaim::Name),
        ] {
            assert_eq!(check_value(&value), Err(expected), "{value}");
        }
        for value in
            [json!("a\nb"), json!(9_007_199_254_740_991_u64), json!([[[[1]]]]), json!(1.5), json!([]), json!({})]
        {
            assert_eq!(check_value(&value), Ok(()), "{value}");
        }
    }
}
