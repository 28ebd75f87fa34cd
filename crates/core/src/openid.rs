//! What OpenID Connect Core adds to a grant: section 2 (the ID token), 5.4 and 5.5 (which claims go where), 3.1.3.6 and 3.3.2.11
//! (`at_hash`, `c_hash`).
//!
//! | a claim is asked for by              | ID token                       | userinfo                     |
//! |--------------------------------------|--------------------------------|------------------------------|
//! | a scope                              | for `response_type=id_token`   | yes                          |
//! | `id_token` of the `claims` parameter | yes                            | no                           |
//! | `userinfo` of the `claims` parameter | no                             | yes                          |
//!
//! Nobody gets by the `claims` parameter what he could not ask for by a scope: a claim counts if the client may have the scope that it
//! belongs to, and the user is asked for consent to that scope.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::client::SignatureAlgorithm;
use crate::response_type::ResponseType;
use crate::scope::Scope;

/// Makes a request one of OpenID Connect: Core section 3.1.2.1.
pub const SCOPE: &str = "openid";
/// Core section 11.
pub const OFFLINE_ACCESS: &str = "offline_access";
/// The longest `nonce`, in bytes.
pub const MAX_NONCE: usize = 1024;
/// `acr` of a login with a password: Core section 2 leaves the name to the parties.
pub const ACR_PASSWORD: &str = "urn:regrant:acr:password";
/// `amr` of a login with a password: RFC 8176 section 2.
pub const AMR_PASSWORD: &str = "pwd";

/// Core section 5.4: the claims of each scope. All together are the standard claims of section 5.1, without `sub`.
pub const SCOPES: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
];

/// What a grant keeps for its ID tokens. No ID token is ever stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenId {
    /// `nonce` of the request, for the ID tokens of the login itself; a refreshed one carries none (Core section 12.2).
    pub nonce: Option<String>,
    /// How strong the login was.
    pub acr: String,
    /// By what the user logged in.
    pub amr: Vec<String>,
    /// The claims that were asked for by name.
    pub claims: ClaimsAsked,
    /// What an application that shows the login or the consent said besides: a JSON object in one line, or nothing.
    pub more: String,
}

/// The names in the `claims` parameter (Core section 5.5), as far as they count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClaimsAsked {
    /// For ID tokens.
    pub id_token: Vec<String>,
    /// For the userinfo endpoint.
    pub userinfo: Vec<String>,
}

impl OpenId {
    /// As the store keeps it: five lines, and one more where there is more.
    #[must_use]
    pub fn text(&self) -> String {
        let claims = &self.claims;
        let text = [
            self.nonce.as_deref().unwrap_or_default(),
            &self.acr,
            &self.amr.join(" "),
            &claims.id_token.join(" "),
            &claims.userinfo.join(" "),
        ]
        .join("\n");
        if self.more.is_empty() { text } else { format!("{text}\n{}", self.more) }
    }

    /// Reads what [`OpenId::text`] wrote: each value has one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words = |line: &str| match line {
            "" => Vec::new(),
            line => line.split(' ').map(str::to_owned).collect(),
        };
        let mut lines = text.split('\n');
        let mut line = || lines.next();
        let (nonce, acr, amr, id_token, userinfo) = (line()?, line()?, line()?, line()?, line()?);
        let more = match line() {
            None => "",
            Some(more) if more.starts_with('{') && more.ends_with('}') => more,
            Some(_) => return None,
        };
        line().is_none().then(|| Self {
            nonce: (!nonce.is_empty()).then(|| nonce.to_owned()),
            acr: acr.to_owned(),
            amr: words(amr),
            claims: ClaimsAsked { id_token: words(id_token), userinfo: words(userinfo) },
            more: more.to_owned(),
        })
    }
}

impl ClaimsAsked {
    /// The scopes whose claims are asked for by name: what the user is asked for beside the scope of the request.
    pub fn scopes<'a>(&'a self) -> impl Iterator<Item = &'a str> {
        self.id_token.iter().chain(&self.userinfo).filter_map(|name| -> Option<&'a str> { scope_of(name) })
    }
}

/// The claims of a scope; none if it is another one.
#[must_use]
pub fn claims_of(scope: &str) -> &'static [&'static str] {
    SCOPES.iter().find(|(name, _)| *name == scope).map_or(&[], |(_, claims)| claims)
}

fn named<'a>(scope: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    claims_of(scope).iter().copied()
}

/// The scope to which a standard claim belongs.
#[must_use]
pub fn scope_of(claim: &str) -> Option<&'static str> {
    SCOPES.iter().find(|(_, claims)| claims.contains(&claim)).map(|(name, _)| *name)
}

/// Whether a client with these scopes may ask for a claim by its name.
#[must_use]
pub fn may_ask(scopes: &Scope, claim: &str) -> bool {
    scope_of(claim).is_some_and(|scope| scopes.contains(scope))
}

/// The user's claims in an ID token of the authorization endpoint (`Some`) or of the token endpoint (`None`).
///
/// Core section 5.4: the claims of scopes "are returned from the UserInfo Endpoint […] when a response_type value is used that results
/// in an Access Token being issued. However, when no Access Token is issued (which is the case for the response_type value id_token),
/// the resulting Claims are returned in the ID Token."
pub fn in_id_token<'a>(
    response_type: Option<ResponseType>,
    scope: &'a Scope,
    asked: &'a ClaimsAsked,
) -> impl Iterator<Item = &'a str> {
    let of_scopes = (response_type == Some(ResponseType::IdToken)).then(|| scope.iter().flat_map(named));
    of_scopes.into_iter().flatten().chain(asked.id_token.iter().map(String::as_str))
}

/// The user's claims at the userinfo endpoint, for a token with these scopes whose client may have `allowed`.
pub fn at_userinfo<'a>(scope: &'a str, asked: &'a [String], allowed: &'a Scope) -> impl Iterator<Item = &'a str> {
    let of_scopes = scope.split(' ').flat_map(named);
    of_scopes.chain(asked.iter().map(String::as_str).filter(|name| may_ask(allowed, name)))
}

/// `at_hash` or `c_hash` of a token or code: Core section 3.1.3.6, "the base64url encoding of the left-most half of the hash of the
/// octets of the ASCII representation […], where the hash algorithm used is the hash algorithm used in the alg Header Parameter".
#[must_use]
pub fn half_hash(algorithm: SignatureAlgorithm, text: &str) -> String {
    let with = match algorithm {
        SignatureAlgorithm::Es256 | SignatureAlgorithm::Ps256 | SignatureAlgorithm::Rs256 => &digest::SHA256,
        // RFC 8032 section 5.1: Ed25519 is made with SHA-512.
        SignatureAlgorithm::EdDsa => &digest::SHA512,
    };
    let hash = digest::digest(with, text.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Core appendix A.3 and A.4: token and code of the example requests, with RS256.
    #[test]
    fn the_hashes_are_those_of_the_specifications_examples() {
        let (token, code) = (
            "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
            "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk",
        );
        assert_eq!(half_hash(SignatureAlgorithm::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(half_hash(SignatureAlgorithm::Rs256, code), "LDktKdoQak3Pk0cnXxCltA");
        assert_eq!(half_hash(SignatureAlgorithm::EdDsa, token).len(), 43);
    }

    #[test]
    fn what_a_grant_keeps_is_read_as_it_was_written() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let full = OpenId {
            nonce: Some("n-0S6 WzA2Mj".to_owned()),
            acr: ACR_PASSWORD.to_owned(),
            amr: words("pwd otp"),
            claims: ClaimsAsked { id_token: words("email name"), userinfo: words("picture") },
            more: String::new(),
        };
        let more = OpenId { more: r#"{"tier":"gold"}"#.to_owned(), ..full.clone() };
        assert_eq!(OpenId::parse(&more.text()), Some(more));
        for openid in [full.clone(), OpenId { nonce: None, claims: ClaimsAsked::default(), ..full }, OpenId::default()]
        {
            assert_eq!(OpenId::parse(&openid.text()), Some(openid));
        }
        for bad in [
            "",
            "a",
            "a\nb\nc\nd",
            "a\nb\nc\nd\ne\nf",
            "a\nb\nc\nd\ne\n",
            "a\nb\nc\nd\ne\n{}\n",
            "a\nb\nc\nd\ne\n{",
            "a\nb\nc\nd\ne\nx}",
        ] {
            assert_eq!(OpenId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn each_standard_claim_belongs_to_one_scope() {
        let all: Vec<&str> = SCOPES.iter().flat_map(|(_, claims)| claims.iter().copied()).collect();
        for claim in &all {
            assert_eq!(all.iter().filter(|other| *other == claim).count(), 1, "{claim}");
            assert!(claims_of(scope_of(claim).expect("a scope")).contains(claim));
        }
        assert_eq!((scope_of("sub"), scope_of("groups"), claims_of("openid").len()), (None, None, 0));
    }

    /// The table of the module's description.
    #[test]
    fn each_claim_goes_where_it_was_asked_for() {
        let scope = Scope::parse("openid email").expect("a scope");
        let asked = ClaimsAsked { id_token: vec!["name".to_owned()], userinfo: vec!["picture".to_owned()] };
        let in_token = |kind| in_id_token(kind, &scope, &asked).collect::<Vec<_>>();
        assert_eq!(in_token(Some(ResponseType::IdToken)), ["email", "email_verified", "name"]);
        for kind in ResponseType::ALL.into_iter().filter(|kind| *kind != ResponseType::IdToken).map(Some).chain([None])
        {
            assert_eq!(in_token(kind), ["name"], "{kind:?}");
        }
        let allowed = Scope::parse("email profile").expect("a scope");
        let seen: Vec<_> = at_userinfo("openid email", &asked.userinfo, &allowed).collect();
        assert_eq!(seen, ["email", "email_verified", "picture"]);
        let lost = Scope::parse("email").expect("a scope");
        assert_eq!(at_userinfo("openid", &asked.userinfo, &lost).count(), 0, "the client may have it no more");
        assert_eq!(asked.scopes().collect::<Vec<_>>(), ["profile", "profile"]);
    }
}
