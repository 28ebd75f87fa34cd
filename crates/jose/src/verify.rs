//! Reading a signed token: RFC 7515 section 5.2 with the refusals of RFC 8725 section 3.
//!
//! In order, the cheap questions first: size, three parts, header, `crit` and `b64`, `alg`, `typ`, key, signature,
//! and only then the claims. Nothing of the payload is read before its signature holds, unless the caller says so
//! by [`Unverified::claims_unverified`].

use serde_json::{Map, Value};

use crate::json::read_object;
use crate::{Algorithm, Part, VerifyError, VerifyingKey, base64url};

/// The longest token that is made or read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a token's header must say about its kind, RFC 8725 section 3.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typ<'a> {
    /// `typ` must be there and be this media type, in any case, with or without `application/`.
    Is(&'a str),
    /// `typ` must be absent or `JWT`: for kinds that were standardized before typing, such as the client assertions
    /// of RFC 7523 and the ID tokens of other providers. What sets these apart must be in the claims.
    JwtOrAbsent,
    /// As [`Typ::JwtOrAbsent`], or this media type: for kinds that got a type of their own after they were in use, such as
    /// request objects (RFC 9101 section 10.8).
    JwtOr(&'a str),
}

/// What the header of a token says. Of the members that name keys (`jwk`, `jku`, `x5c`, `x5u`) we obey none.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `typ`, as it stood there.
    pub typ: Option<String>,
    /// `kid`.
    pub kid: Option<String>,
    /// All members, those above included. A DPoP proof has its `jwk` here (RFC 9449 section 4.2).
    pub members: Map<String, Value>,
}

/// A token whose signature holds and whose kind is the one asked for. Its claims are still to be judged:
/// [`Expected`](crate::Expected).
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The header.
    pub header: Header,
    /// The claims, no member twice at any level.
    pub claims: Map<String, Value>,
}

/// Verifies a compact JWS whose payload is a JSON object, as [`Unverified::parse`] and [`Unverified::verify`] with
/// [`Typ::Is`].
///
/// # Errors
/// [`VerifyError`], for the first thing that is wrong.
pub fn verify(token: &str, expected_typ: &str, keys: &[VerifyingKey]) -> Result<Verified, VerifyError> {
    Unverified::parse(token)?.verify(Typ::Is(expected_typ), keys)
}

/// A token that is well-formed and no more: anybody may have written it. Looked at before the keys are known, to
/// learn whose keys to fetch.
#[derive(Debug)]
pub struct Unverified<'a> {
    header: Header,
    signing_input: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a compact JWS apart: at most [`MAX_TOKEN_BYTES`], exactly three parts in canonical base64url, a header
    /// that is a JSON object without duplicate members, with an `alg` of ours, without `crit` and `b64`.
    ///
    /// # Errors
    /// [`VerifyError`], for the first of these that is not so.
    pub fn parse(token: &'a str) -> Result<Self, VerifyError> {
        let Parts { members, signing_input, payload, signature } = Parts::of(token)?;
        let header = read_header(members)?;
        Ok(Self { header, signing_input, payload, signature })
    }

    /// The header, which nobody vouches for yet.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The claims, which nobody vouches for yet: good for finding the issuer's or the client's keys and for
    /// nothing else.
    ///
    /// # Errors
    /// [`VerifyError`] if the payload is not a JSON object without duplicate members, at most 16 levels deep.
    pub fn claims_unverified(&self) -> Result<Map<String, Value>, VerifyError> {
        read_part(self.payload, Part::Payload)
    }

    /// Verifies kind and signature, then reads the claims. The key is the one with the header's `kid` and `alg`;
    /// without `kid`, the only one with its `alg`.
    ///
    /// # Errors
    /// [`VerifyError`], for the first thing that is wrong.
    pub fn verify(self, typ: Typ<'_>, keys: &[VerifyingKey]) -> Result<Verified, VerifyError> {
        if !typ.admits(self.header.typ.as_deref()) {
            return Err(VerifyError::WrongType);
        }
        let key = choose(&self.header, keys)?;
        if !key.accepts(self.signing_input.as_bytes(), &self.signature) {
            return Err(VerifyError::BadSignature);
        }
        let claims = self.claims_unverified()?;
        Ok(Verified { header: self.header, claims })
    }
}

/// A compact JWS taken apart, whatever its algorithm.
pub(crate) struct Parts<'a> {
    pub(crate) members: Map<String, Value>,
    pub(crate) signing_input: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(token: &'a str) -> Result<Self, VerifyError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(VerifyError::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(VerifyError::NotThreeParts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(VerifyError::NotThreeParts)?;
        if payload.contains('.') {
            return Err(VerifyError::NotThreeParts);
        }
        let members = read_part(header, Part::Header)?;
        let signature = base64url::decode(signature).map_err(|_| VerifyError::NotBase64url(Part::Signature))?;
        Ok(Self { members, signing_input, payload, signature })
    }

    /// What every kind of header must and must not say, and its `alg`.
    pub(crate) fn named_algorithm(&self) -> Result<&str, VerifyError> {
        check_extensions(&self.members)?;
        text(&self.members, "alg")?.ok_or(VerifyError::BadHeaderMember("alg"))
    }

    pub(crate) fn check_typ(&self, typ: Typ<'_>) -> Result<(), VerifyError> {
        if typ.admits(text(&self.members, "typ")?) { Ok(()) } else { Err(VerifyError::WrongType) }
    }
}

pub(crate) fn read_part(text: &str, part: Part) -> Result<Map<String, Value>, VerifyError> {
    let bytes = base64url::decode(text).map_err(|_| VerifyError::NotBase64url(part))?;
    read_object(&bytes).map_err(|fault| VerifyError::BadJson(part, fault))
}

fn check_extensions(members: &Map<String, Value>) -> Result<(), VerifyError> {
    // RFC 7515 section 4.1.11: "If any of the listed extension Header Parameters are not understood and supported
    // by the recipient, then the JWS is invalid." We support none, and an empty list is forbidden.
    if members.contains_key("crit") {
        return Err(VerifyError::CriticalExtension);
    }
    // RFC 7797 section 7: "b64" with the value false MUST NOT be used in a JWT, and true adds nothing.
    if members.contains_key("b64") {
        return Err(VerifyError::UnencodedPayload);
    }
    Ok(())
}

fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, VerifyError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(VerifyError::BadHeaderMember(name)),
    }
}

fn read_header(members: Map<String, Value>) -> Result<Header, VerifyError> {
    check_extensions(&members)?;
    let algorithm = text(&members, "alg")?.ok_or(VerifyError::BadHeaderMember("alg"))?;
    let algorithm = algorithm.parse().map_err(|_| VerifyError::UnsupportedAlgorithm)?;
    let (typ, kid) = (text(&members, "typ")?.map(str::to_owned), text(&members, "kid")?.map(str::to_owned));
    Ok(Header { algorithm, typ, kid, members })
}

/// Two questions in this order, so that a known key used with another algorithm is told from an unknown key.
fn choose<'k>(header: &Header, keys: &'k [VerifyingKey]) -> Result<&'k VerifyingKey, VerifyError> {
    let named = |key: &&VerifyingKey| header.kid.as_deref().is_none_or(|kid| kid == key.kid());
    let mut fitting = keys.iter().filter(named).filter(|key| key.algorithm() == header.algorithm);
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(VerifyError::AmbiguousKey),
        (None, _) if keys.iter().any(|key| named(&key)) => Err(VerifyError::WrongAlgorithm),
        (None, _) => Err(VerifyError::UnknownKey),
    }
}

impl Typ<'_> {
    fn admits(self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::Is(expected), Some(typ)) => subtype(typ).eq_ignore_ascii_case(subtype(expected)),
            (Self::Is(_), None) => false,
            (Self::JwtOrAbsent, Some(typ)) => subtype(typ).eq_ignore_ascii_case("JWT"),
            (Self::JwtOr(own), Some(typ)) => {
                [own, "JWT"].iter().any(|known| subtype(typ).eq_ignore_ascii_case(subtype(known)))
            }
            (Self::JwtOrAbsent | Self::JwtOr(_), None) => true,
        }
    }
}

/// RFC 7515 section 4.1.9: a `typ` without a slash is read as if "application/" stood before it.
fn subtype(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}
