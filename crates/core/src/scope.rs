//! Scopes (RFC 6749 section 3.3) and resource indicators (RFC 8707 section 2), as sets that are valid by construction.

use std::fmt;
use std::sync::Arc;

/// The longest `scope` parameter read, in bytes.
pub const MAX_SCOPE_LEN: usize = 4096;
/// The most scope tokens in one set.
pub const MAX_SCOPES: usize = 128;
/// The longest resource indicator, in bytes.
pub const MAX_RESOURCE_LEN: usize = 512;
/// The most resource indicators in one request.
pub const MAX_RESOURCES: usize = 16;

/// A set of scope tokens. Order and duplicates in a request mean nothing; kept sorted, so that equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Scope(Arc<[Box<str>]>);

/// The text is no scope: a foreign character, an empty token, or too much of it. The client hears `invalid_scope`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedScope;

impl Scope {
    /// Reads the `scope` parameter: tokens of `%x21 / %x23-5B / %x5D-7E`, separated by single spaces.
    ///
    /// # Errors
    /// [`MalformedScope`] for any other text. The empty text is the empty set.
    pub fn parse(text: &str) -> Result<Self, MalformedScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > MAX_SCOPE_LEN {
            return Err(MalformedScope);
        }
        Self::from_tokens(text.split(' '))
    }

    /// Builds a set from single tokens.
    ///
    /// # Errors
    /// [`MalformedScope`] if one of them is no scope token, or there are more than [`MAX_SCOPES`].
    pub fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, MalformedScope> {
        let mut set: Vec<Box<str>> = Vec::new();
        for token in tokens {
            if !is_scope_token(token) || set.len() >= MAX_SCOPE_LEN {
                return Err(MalformedScope);
            }
            set.push(token.into());
        }
        set.sort_unstable();
        set.dedup();
        if set.len() > MAX_SCOPES { Err(MalformedScope) } else { Ok(Self(set.into())) }
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether this token is in the set.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.binary_search_by(|held| held.as_ref().cmp(token)).is_ok()
    }

    /// Whether every token of this set is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.iter().all(|token| other.contains(token))
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.filtered(|token| other.contains(token))
    }

    /// Only the tokens that `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(&keep) {
            return self.clone();
        }
        Self(self.0.iter().filter(|token| keep(token)).cloned().collect())
    }
}

fn is_scope_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, self.iter())
    }
}

/// A set of resource indicators, compared byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Resources(Arc<[Box<str>]>);

/// The text is no resource indicator. The client hears `invalid_target`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedResource;

impl Resources {
    /// Builds a set from the `resource` parameters of a request.
    ///
    /// # Errors
    /// [`MalformedResource`] if one of them is not an absolute URI without a fragment of at most [`MAX_RESOURCE_LEN`] bytes,
    /// or there are more than [`MAX_RESOURCES`].
    pub fn new<'a>(uris: impl IntoIterator<Item = &'a str>) -> Result<Self, MalformedResource> {
        let mut set: Vec<Box<str>> = Vec::new();
        for uri in uris {
            if !is_resource(uri) || set.len() == MAX_RESOURCES {
                return Err(MalformedResource);
            }
            set.push(uri.into());
        }
        set.sort_unstable();
        set.dedup();
        Ok(Self(set.into()))
    }

    /// Reads what [`fmt::Display`] wrote: URIs separated by spaces.
    ///
    /// # Errors
    /// [`MalformedResource`] as [`Resources::new`].
    pub fn parse(text: &str) -> Result<Self, MalformedResource> {
        if text.is_empty() { Ok(Self::default()) } else { Self::new(text.split(' ')) }
    }

    /// Whether no resource is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URIs in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether this URI is named, byte by byte.
    #[must_use]
    pub fn contains(&self, uri: &str) -> bool {
        self.0.binary_search_by(|held| held.as_ref().cmp(uri)).is_ok()
    }

    /// Whether every URI of this set is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.iter().all(|uri| other.contains(uri))
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|uri| other.contains(uri)).cloned().collect())
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, self.iter())
    }
}

/// RFC 8707 section 2: "Its value MUST be an absolute URI […]. The URI MUST NOT include a fragment component."
fn is_resource(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    uri.len() <= MAX_RESOURCE_LEN
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte))
}

fn join<'a>(f: &mut fmt::Formatter<'_>, parts: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (position, part) in parts.enumerate() {
        if position > 0 {
            f.write_str(" ")?;
        }
        f.write_str(part)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_duplicates_mean_nothing() {
        assert_eq!(Scope::parse("b a b"), Scope::parse("a b"));
        assert_eq!(Scope::parse("b a b").map(|scope| scope.to_string()), Ok("a b".to_owned()));
    }

    #[test]
    fn a_foreign_character_is_no_scope() {
        for text in ["a  b", " a", "a ", "a\tb", "é", "\"", "a\\b", "a\0", "\u{7f}"] {
            assert_eq!(Scope::parse(text), Err(MalformedScope), "{text:?}");
        }
    }

    /// Check X4: many tokens cost n log n and end at a limit.
    #[test]
    fn too_many_scopes_are_refused() {
        let text = (0..=MAX_SCOPES).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(Scope::parse(&text), Err(MalformedScope));
        assert_eq!(Scope::parse(&"a ".repeat(MAX_SCOPE_LEN)), Err(MalformedScope));
        assert_eq!(Scope::from_tokens(std::iter::repeat("a")), Err(MalformedScope), "however many there are");
    }

    /// The limits are the largest that is taken, as documented.
    #[test]
    fn as_many_scopes_and_resources_as_may_be_are_taken() {
        let names: Vec<String> = (0..MAX_SCOPES).map(|number| number.to_string()).collect();
        assert_eq!(Scope::parse(&names.join(" ")).map(|scope| scope.iter().count()), Ok(MAX_SCOPES));
        assert!(Scope::parse(&"a".repeat(MAX_SCOPE_LEN)).is_ok());
        assert_eq!(Scope::parse(&"a".repeat(MAX_SCOPE_LEN + 1)), Err(MalformedScope));
        let uris: Vec<String> = (0..=MAX_RESOURCES).map(|number| format!("urn:{number}")).collect();
        let of = |count: usize| Resources::new(uris.iter().take(count).map(String::as_str));
        assert_eq!(of(MAX_RESOURCES).map(|all| all.iter().count()), Ok(MAX_RESOURCES));
        assert_eq!(of(MAX_RESOURCES + 1), Err(MalformedResource));
        let longest = format!("urn:{}", "a".repeat(MAX_RESOURCE_LEN - 4));
        assert!(Resources::new([longest.as_str()]).is_ok());
        assert_eq!(Resources::new([format!("{longest}a").as_str()]), Err(MalformedResource));
    }

    #[test]
    fn a_resource_is_an_absolute_uri_without_a_fragment() {
        // RFC 3986 section 3.1: "scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )".
        for good in ["https://api.example/", "urn:example:api", "https://api.example/a?b=c", "a1+b-c.d:x"] {
            assert!(Resources::new([good]).is_ok(), "{good}");
        }
        for bad in
            ["", "api", "/api", "https:", "https://a/#f", "1:x", "https://a b", "https://ä/", "x\n:y", "+a:x", "a_b:x"]
        {
            assert_eq!(Resources::new([bad]), Err(MalformedResource), "{bad:?}");
        }
    }

    /// What a store keeps, and a log shows.
    #[test]
    fn resources_are_read_as_they_were_written() {
        for uris in [&[][..], &["urn:a"], &["https://api.example/", "urn:a"]] {
            let resources = Resources::new(uris.iter().copied()).expect("resource indicators");
            assert_eq!(
                (resources.to_string(), Resources::parse(&uris.join(" "))),
                (uris.join(" "), Ok(resources.clone()))
            );
            assert!(resources.iter().eq(uris.iter().copied()) && resources.is_empty() == uris.is_empty());
        }
        for bad in [" ", "urn:a ", "urn:a  urn:b", "a"] {
            assert_eq!(Resources::parse(bad), Err(MalformedResource), "{bad:?}");
        }
    }

    #[test]
    fn narrowing_is_a_subset() {
        let (small, large) = (Scope::parse("a").expect("valid"), Scope::parse("a b").expect("valid"));
        assert!(small.is_within(&large) && !large.is_within(&small));
        assert_eq!(large.intersection(&small), small);
        assert!(Scope::default().is_within(&small));
    }
}
