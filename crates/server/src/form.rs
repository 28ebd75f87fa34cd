//! Request parameters: `application/x-www-form-urlencoded`, read strictly (RFC 6749 section 3.2 and appendix B).
//!
//! - "Request and response parameters MUST NOT be included more than once": refused, but for `resource` (RFC 8707 section 2).
//! - "Parameters sent without a value MUST be treated as if they were omitted from the request": an empty value is absent,
//!   and never a way around a check.
//! - "The authorization server MUST ignore unrecognized request parameters."

use std::fmt;

use regrant_core::Wiped;

/// The largest body of a form, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The most parameters in one request.
pub const MAX_PARAMETERS: usize = 64;

/// The one parameter that may be repeated.
const REPEATABLE: &str = "resource";

/// The parameters of a request.
pub struct Form {
    parameters: Vec<(Wiped<String>, Value)>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parameters.iter().map(|(name, _)| name.as_str())).finish()
    }
}

struct Value {
    /// Invalid UTF-8 is replaced: such a value is never taken where its characters matter.
    text: Wiped<String>,
    is_utf8: bool,
}

/// What is wrong with the parameters. The client hears `invalid_request`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// `%` without two hexadecimal digits.
    Encoding,
    /// A parameter that was sent twice.
    Repeated,
    /// More than [`MAX_PARAMETERS`].
    TooMany,
    /// A required parameter is missing or empty.
    Missing(&'static str),
    /// A character that this parameter cannot hold (RFC 6749 appendix A), or too many of them.
    Characters(&'static str),
    /// Parameters in the query of a request that carries a body (RFC 6749 section 2.3.1: "MUST NOT be included in the
    /// request URI").
    InQuery,
    /// Not `application/x-www-form-urlencoded`.
    ContentType,
    /// More than [`MAX_BODY`].
    TooLarge,
    /// Two ways of client authentication at once (RFC 6749 section 2.3).
    TwoAuthentications,
    /// `client_id` differs from the authenticated client.
    OtherClientId,
    /// The `Authorization` header cannot be read.
    Authorization,
    /// The `Idempotency-Key` header is repeated, too long, or holds other than visible ASCII characters.
    IdempotencyKey,
    /// Not a JSON object of the kind that the endpoint takes.
    Json,
    /// Not `application/json`.
    JsonType,
    /// A parameter holds none of the values it may have.
    Value(&'static str),
}

impl Malformed {
    /// For `error_description`: constant per code, free of what was sent.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Encoding => "the parameters are not application/x-www-form-urlencoded",
            Self::Repeated => "a parameter is included more than once",
            Self::TooMany => "too many parameters",
            Self::Missing(_) => "a required parameter is missing",
            Self::Characters(_) => "a parameter holds characters that it cannot hold",
            Self::InQuery => "parameters must be sent in the request body, not in the URI",
            Self::ContentType => "the content type must be application/x-www-form-urlencoded",
            Self::TooLarge => "the request body is too large",
            Self::TwoAuthentications => "more than one mechanism for client authentication is used",
            Self::OtherClientId => "client_id differs from the authenticated client",
            Self::Authorization => "the Authorization header is malformed",
            Self::IdempotencyKey => "the Idempotency-Key header must hold 1 to 255 visible ASCII characters, once",
            Self::Json => "the request must be an application/json object with a sub_id that names a subject",
            Self::JsonType => "the content type must be application/json",
            Self::Value(_) => "a parameter has a value that is not supported",
        }
    }

    /// The parameter it is about, for the log.
    #[must_use]
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Missing(name) | Self::Characters(name) | Self::Value(name) => name,
            _ => "",
        }
    }
}

impl Form {
    /// Reads the parameters of a body or a query.
    ///
    /// # Errors
    /// [`Malformed::Encoding`], [`Malformed::Repeated`] or [`Malformed::TooMany`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let form = Self::parse_repeated(bytes)?;
        // They are few: comparing each with those before it takes less than sorting them.
        for (index, (name, _)) in form.parameters.iter().enumerate() {
            let is_earlier = |(earlier, _): &(Wiped<String>, Value)| **earlier == **name;
            if name.as_str() != REPEATABLE && form.parameters.iter().take(index).any(is_earlier) {
                return Err(Malformed::Repeated);
            }
        }
        Ok(form)
    }

    /// The same without the rule against repetition, for a caller that must first see where an error may be sent.
    ///
    /// # Errors
    /// [`Malformed::Encoding`] or [`Malformed::TooMany`].
    pub fn parse_repeated(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut parameters = Vec::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(Malformed::TooMany);
            }
            let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(split);
            let mut name = decode(name)?;
            let value = decode(value.get(1..).unwrap_or_default())?;
            parameters.push((std::mem::take(&mut name.text), value));
        }
        Ok(Self { parameters })
    }

    /// Whether a parameter is there more than once.
    #[must_use]
    pub fn is_repeated(&self, name: &str) -> bool {
        self.parameters.iter().filter(|(known, _)| known.as_str() == name).count() > 1
    }

    /// Whether any of these parameters is there, even empty.
    #[must_use]
    pub fn has_any(&self, names: &[&str]) -> bool {
        self.parameters.iter().any(|(name, _)| names.contains(&name.as_str()))
    }

    /// A credential: whatever was sent. Text that is no credential of ours fails where credentials are opened.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<&str> {
        self.values(name).next().map(|value| value.text.as_str())
    }

    /// A parameter of any characters; nothing if it is not UTF-8.
    #[must_use]
    pub fn utf8(&self, name: &str) -> Option<&str> {
        self.values(name).next().filter(|value| value.is_utf8).map(|value| value.text.as_str())
    }

    /// A parameter of printable ASCII (RFC 6749 appendix A, `VSCHAR`), at most `max` characters.
    ///
    /// # Errors
    /// [`Malformed::Characters`].
    pub fn ascii(&self, name: &'static str, max: usize) -> Result<Option<&str>, Malformed> {
        match self.values(name).next() {
            None => Ok(None),
            Some(value) if value.text.len() <= max && value.text.bytes().all(|byte| (0x20..=0x7E).contains(&byte)) => {
                Ok(Some(&value.text))
            }
            Some(_) => Err(Malformed::Characters(name)),
        }
    }

    /// A parameter of any characters but control characters (RFC 6749 appendix A, `UNICODECHARNOCRLF`), at most `max` bytes.
    ///
    /// # Errors
    /// [`Malformed::Characters`].
    pub fn text(&self, name: &'static str, max: usize) -> Result<Option<&str>, Malformed> {
        match self.values(name).next() {
            None => Ok(None),
            Some(value) if value.is_utf8 && value.text.len() <= max && !value.text.chars().any(char::is_control) => {
                Ok(Some(&value.text))
            }
            Some(_) => Err(Malformed::Characters(name)),
        }
    }

    /// All values of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name).map(|value| value.text.as_str())
    }

    /// All parameters that are not empty, in their order; `None` for a value that is not UTF-8.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let there = self.parameters.iter().filter(|(_, value)| !value.text.is_empty());
        there.map(|(name, value)| (name.as_str(), value.is_utf8.then_some(value.text.as_str())))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.parameters
            .iter()
            .filter(move |(known, value)| known.as_str() == name && !value.text.is_empty())
            .map(|(_, value)| value)
    }
}

fn decode(bytes: &[u8]) -> Result<Value, Malformed> {
    // As far as nothing is encoded, it is what it says: nearly always to the end.
    let plain = bytes.iter().position(|byte| matches!(byte, b'+' | b'%')).unwrap_or(bytes.len());
    let (plain, mut rest) = bytes.split_at(plain);
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(plain);
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let (digits, tail) = tail.split_first_chunk::<2>().ok_or(Malformed::Encoding)?;
                out.push(hex(digits[0])? << 4 | hex(digits[1])?);
                rest = tail;
            }
            other => out.push(*other),
        }
    }
    Ok(match String::from_utf8(out) {
        Ok(text) => Value { text: Wiped::new(text), is_utf8: true },
        Err(error) => {
            Value { text: Wiped::new(String::from_utf8_lossy(error.as_bytes()).into_owned()), is_utf8: false }
        }
    })
}

fn hex(digit: u8) -> Result<u8, Malformed> {
    char::from(digit).to_digit(16).map(|value| value as u8).ok_or(Malformed::Encoding)
}

/// Percent-encodes a value for a query or a fragment: everything but unreserved characters (RFC 3986 section 2.3).
#[must_use]
pub fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    out
}

/// Joins parameters into a query or a fragment.
#[must_use]
pub fn write(parameters: &[(&str, &str)]) -> String {
    parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes()).expect("well-formed")
    }

    #[test]
    fn values_are_decoded_once() {
        let form = form("a=1+2%2B3&b=%25&=x&c&&state=%C3%A4");
        assert_eq!(form.ascii("a", 10), Ok(Some("1 2+3")));
        assert_eq!(form.credential("b"), Some("%"));
        assert_eq!(form.credential("c"), None);
        assert_eq!(form.text("state", 10), Ok(Some("ä")));
        assert_eq!(form.ascii("state", 10), Err(Malformed::Characters("state")));
    }

    /// Check I3: nothing but `resource` may be repeated, and an empty second value is a repetition too.
    #[test]
    fn a_parameter_is_there_once() {
        assert_eq!(Form::parse(b"a=1&a=").err(), Some(Malformed::Repeated));
        assert_eq!(form("resource=a:b&resource=c:d").all("resource").count(), 2);
    }

    /// Check I4: an empty value is an absent one.
    #[test]
    fn empty_is_absent() {
        assert_eq!(form("a=&b=1").ascii("a", 10), Ok(None));
    }

    /// Checks I5, I7.
    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in ["a=%", "a=%1", "a=%zz", "%=a"] {
            assert_eq!(Form::parse(bad.as_bytes()).err(), Some(Malformed::Encoding), "{bad}");
        }
        assert_eq!(Form::parse("a=1&".repeat(10_000).as_bytes()).err(), Some(Malformed::TooMany));
        let form = form("x=%00&y=%FF&z=%C0%80&w=%ED%A0%80");
        for name in ["x", "y", "z", "w"] {
            assert!(
                form.text(
                    match name {
                        "x" => "x",
                        "y" => "y",
                        "z" => "z",
                        _ => "w",
                    },
                    100
                )
                .is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_to_itself() {
        let hard = "a b+c%&=#/?\r\n\u{0}ä🦀";
        let text = format!("v={}", encode(hard));
        assert!(text.is_ascii());
        assert_eq!(Form::parse(text.as_bytes()).expect("well-formed").credential("v"), Some(hard));
    }
}
