//! Public keys as JSON: RFC 7517, with the key kinds of RFC 7518 section 6 and RFC 8037 section 2, and their
//! thumbprints, RFC 7638.
//!
//! A [`Jwk`] is what somebody wrote; only [`VerifyingKey::from_jwk`](crate::VerifyingKey::from_jwk) says whether it
//! is a key. A key set may hold keys of kinds we do not know, and RFC 7517 section 5 has us ignore those.

use std::fmt;

use aws_lc_rs::digest;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{KeyError, base64url};

/// The members that only a private or a secret key has: RFC 7518 sections 6.2.2, 6.3.2 and 6.4, RFC 8037 section 2.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// A public key as JSON. There is no member for a private part, so none can be written by mistake.
///
/// Reading refuses private members and members given twice, and ignores unknown ones (RFC 7517 section 4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Jwk {
    /// The kind of key: `EC`, `RSA` or `OKP` for those we use.
    pub kty: String,
    /// The curve of an `EC` or `OKP` key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The x coordinate of an `EC` key, or the public key of an `OKP` key, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The y coordinate of an `EC` key, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus of an `RSA` key, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent of an `RSA` key, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// `use`: `sig` or `enc`.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// What the key may do, `verify` for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    /// The algorithm the key is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The name a token's header calls the key by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

/// A set of public keys, as `jwks_uri` serves it: RFC 7517 section 5.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys, at most [`JwkSet::MAX_KEYS`] on reading.
    #[serde(deserialize_with = "at_most_max_keys")]
    pub keys: Vec<Jwk>,
}

impl JwkSet {
    /// How many keys a set may hold that we read. Each may cost a verification's preparation.
    pub const MAX_KEYS: usize = 64;
}

impl Jwk {
    /// The private or secret member of a key as somebody wrote it, by name, if there is one: to tell him which. Its value is not looked at.
    #[must_use]
    pub fn private_member(written: &serde_json::Map<String, serde_json::Value>) -> Option<&'static str> {
        PRIVATE_MEMBERS.into_iter().find(|member| written.contains_key(*member))
    }

    /// The thumbprint with SHA-256, base64url: the same for the same key, whoever wrote it down (RFC 7638 section 3).
    ///
    /// # Errors
    /// [`KeyError`] if the members are not those of a key we use; nothing else has a thumbprint here.
    pub fn thumbprint(&self) -> Result<String, KeyError> {
        Ok(self.material()?.thumbprint())
    }

    /// The key's numbers, each canonical and of the right length. Not yet: whether they form a key.
    pub(crate) fn material(&self) -> Result<Material, KeyError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Ok(Material::P256 { x: exactly_32("x", &self.x)?, y: exactly_32("y", &self.y)? }),
            ("OKP", Some("Ed25519")) => Ok(Material::Ed25519 { x: exactly_32("x", &self.x)? }),
            ("RSA", _) => Ok(Material::Rsa { n: unsigned("n", &self.n)?, e: unsigned("e", &self.e)? }),
            ("EC" | "OKP", None) => Err(KeyError::MissingMember("crv")),
            _ => Err(KeyError::UnsupportedType),
        }
    }
}

/// The numbers of a public key, of a kind we use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Material {
    P256 {
        x: [u8; 32],
        y: [u8; 32],
    },
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ed25519 {
        x: [u8; 32],
    },
}

impl Material {
    pub(crate) fn jwk(&self) -> Jwk {
        let text = |bytes: &[u8]| Some(base64url::encode(bytes));
        let name = |name: &str| Some(name.to_owned());
        match self {
            Self::P256 { x, y } => {
                Jwk { kty: "EC".to_owned(), crv: name("P-256"), x: text(x), y: text(y), ..Jwk::default() }
            }
            Self::Rsa { n, e } => Jwk { kty: "RSA".to_owned(), n: text(n), e: text(e), ..Jwk::default() },
            Self::Ed25519 { x } => Jwk { kty: "OKP".to_owned(), crv: name("Ed25519"), x: text(x), ..Jwk::default() },
        }
    }

    /// RFC 7638 section 3: the required members only, in lexicographic order, without whitespace. The values are
    /// base64url, so nothing needs an escape.
    pub(crate) fn thumbprint(&self) -> String {
        let text = base64url::encode;
        let json = match self {
            Self::P256 { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y)),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        };
        base64url::encode(digest::digest(&digest::SHA256, json.as_bytes()).as_ref())
    }
}

fn bytes(name: &'static str, member: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let text = member.as_deref().ok_or(KeyError::MissingMember(name))?;
    base64url::decode(text).map_err(|_| KeyError::BadMember(name))
}

/// RFC 7518 section 6.2.1.2: "The length of this octet string MUST be the full size of a coordinate".
fn exactly_32(name: &'static str, member: &Option<String>) -> Result<[u8; 32], KeyError> {
    bytes(name, member)?.try_into().map_err(|_| KeyError::BadMember(name))
}

/// RFC 7518 section 2: "the octet sequence MUST utilize the minimum number of octets needed to represent the value".
fn unsigned(name: &'static str, member: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes(name, member)?;
    match bytes.first() {
        None | Some(0) => Err(KeyError::BadMember(name)),
        Some(_) => Ok(bytes),
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Jwk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a public JWK")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Jwk, A::Error> {
        let mut jwk = Jwk::default();
        let mut kty = None;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "kty" => once(&mut kty, &mut map)?,
                "crv" => once(&mut jwk.crv, &mut map)?,
                "x" => once(&mut jwk.x, &mut map)?,
                "y" => once(&mut jwk.y, &mut map)?,
                "n" => once(&mut jwk.n, &mut map)?,
                "e" => once(&mut jwk.e, &mut map)?,
                "use" => once(&mut jwk.usage, &mut map)?,
                "key_ops" => once(&mut jwk.key_ops, &mut map)?,
                "alg" => once(&mut jwk.alg, &mut map)?,
                "kid" => once(&mut jwk.kid, &mut map)?,
                // The value is not even looked at: it may be somebody's private key.
                private if PRIVATE_MEMBERS.contains(&private) => {
                    return Err(A::Error::custom("a private key where a public one is expected"));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        jwk.kty = kty.ok_or_else(|| A::Error::missing_field("kty"))?;
        Ok(jwk)
    }
}

fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(member: &mut Option<T>, map: &mut A) -> Result<(), A::Error> {
    match member.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(A::Error::custom("a key's member is given twice")),
    }
}

fn at_most_max_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Jwk>, D::Error> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<Jwk>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an array of at most {} keys", JwkSet::MAX_KEYS)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Jwk>, A::Error> {
            let mut keys = Vec::new();
            while let Some(key) = sequence.next_element()? {
                if keys.len() == JwkSet::MAX_KEYS {
                    return Err(A::Error::invalid_length(keys.len() + 1, &self));
                }
                keys.push(key);
            }
            Ok(keys)
        }
    }
    deserializer.deserialize_seq(Keys)
}
