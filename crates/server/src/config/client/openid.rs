//! A client's settings for OpenID Connect, by the names of OpenID Connect Registration section 2 where it has them.
//!
//! | the client has                          | and                                           | then                                             |
//! |-----------------------------------------|-----------------------------------------------|--------------------------------------------------|
//! | `subject_type = "pairwise"`             | redirect URIs of several hosts                | error without `sector_identifier_uri` (Core 8.1) |
//! | the same                                | `access_token_format = "jwt"`                 | error: the token would show whom `sub` hides, or hide from APIs whom a revocation names |
//! | `sector_identifier_uri`                 | `subject_type = "public"`                     | error: it means nothing                          |
//! | `refresh_tokens = "offline_access"`     | no `refresh_token` grant, or no such scope    | error: it never gets any                         |
//! | a response type                         | not its grant types                           | error (RFC 7591 section 2.1)                     |

use std::collections::BTreeSet;
use std::time::Duration;

use regrant_core::client::{GrantType, RefreshTokens, SignatureAlgorithm, SubjectType};
use regrant_core::openid::OFFLINE_ACCESS;
use regrant_core::{ResponseType, Scope, redirect};

use super::super::problem::Problem;
use super::{Checks, ClientDefinition, policy};

/// What was read.
pub(super) struct OpenIdSettings {
    pub(super) id_token_algorithm: SignatureAlgorithm,
    pub(super) userinfo_algorithm: Option<SignatureAlgorithm>,
    pub(super) subject_type: SubjectType,
    pub(super) default_max_age: Option<Duration>,
    pub(super) refresh_tokens: RefreshTokens,
}

impl ClientDefinition {
    /// Whether it knows its users by `sub`s of its own. What is no choice is told by [`ClientDefinition::openid`].
    pub(super) fn is_pairwise(&self) -> bool {
        self.subject_type.as_deref() == Some("pairwise")
    }

    pub(super) fn openid(&self, flows: &BTreeSet<GrantType>, scopes: &Scope, checks: &mut Checks) -> OpenIdSettings {
        let mut algorithm = |key: &'static str, word: Option<&str>| {
            word.and_then(|word| checks.choice(key, word, &SignatureAlgorithm::ALL, |algorithm| algorithm.as_str()))
        };
        let id_token = algorithm("id_token_signed_response_alg", self.id_token_signed_response_alg.as_deref());
        let userinfo = algorithm("userinfo_signed_response_alg", self.userinfo_signed_response_alg.as_deref());
        let limits = Duration::ZERO..=policy::LONGEST_LIFETIME;
        OpenIdSettings {
            // OpenID Connect Registration section 2: "The default, if omitted, is RS256."
            id_token_algorithm: id_token.unwrap_or(SignatureAlgorithm::Rs256),
            userinfo_algorithm: userinfo,
            subject_type: self.subject_type(checks),
            default_max_age: policy::read(checks, "default_max_age", self.default_max_age.as_deref(), limits),
            refresh_tokens: self.refresh_tokens(flows, scopes, checks),
        }
    }

    fn subject_type(&self, checks: &mut Checks) -> SubjectType {
        const WORDS: [&str; 2] = ["public", "pairwise"];
        if let Some(word) = &self.subject_type {
            checks.choice("subject_type", word, &WORDS, |word| word);
        }
        let uri = self.sector_identifier_uri.as_deref();
        let sector = uri.map(|uri| (uri, uri.starts_with("https://") && redirect::check(uri).is_ok()));
        if let Some((_, false)) = sector {
            let remedy = "Write an https URI; its host is the sector (OpenID Connect Core section 8.1).";
            checks.problem(Problem::new("sector_identifier_uri", "it is no https URI", remedy));
        }
        if !self.is_pairwise() {
            if uri.is_some() {
                let what = "it means nothing to a client that knows the public sub of its users";
                let remedy = "Leave it out, or write subject_type = \"pairwise\".";
                checks.problem(Problem::new("sector_identifier_uri", what, remedy));
            }
            return SubjectType::Public;
        }
        if self.access_token_format.as_deref() == Some("jwt") {
            let what = "a JWT access token would show the client whom a pairwise sub hides from it";
            checks.problem(Problem::new("access_token_format", what, "Leave it out: it is \"opaque\" then."));
        }
        if let Some((uri, _)) = sector {
            return SubjectType::Pairwise(host(redirect::shown(uri)).to_owned());
        }
        let mut hosts: Vec<&str> = self.redirect_uris.iter().map(|uri| host(redirect::shown(uri))).collect();
        hosts.sort_unstable();
        hosts.dedup();
        match hosts.as_slice() {
            [one] => SubjectType::Pairwise((*one).to_owned()),
            // OpenID Connect Core section 8.1: "If there are multiple hostnames in the registered redirect_uris, the Client MUST
            // register a sector_identifier_uri."
            _ => {
                let what = "the redirect URIs do not name one host, so that nobody knows the client's sector";
                let remedy = "Add sector_identifier_uri = \"https://…\" (OpenID Connect Core section 8.1).";
                checks.problem(Problem::new("sector_identifier_uri", what, remedy));
                SubjectType::Public
            }
        }
    }

    fn refresh_tokens(&self, flows: &BTreeSet<GrantType>, scopes: &Scope, checks: &mut Checks) -> RefreshTokens {
        const CHOICES: [(&str, RefreshTokens); 2] =
            [("always", RefreshTokens::Always), (OFFLINE_ACCESS, RefreshTokens::OfflineAccess)];
        let key = "refresh_tokens";
        let Some(word) = self.refresh_tokens.as_deref() else { return RefreshTokens::Always };
        let chosen = checks.choice(key, word, &CHOICES, |(word, _)| word);
        let Some((_, RefreshTokens::OfflineAccess)) = chosen else { return RefreshTokens::Always };
        if !flows.contains(&GrantType::RefreshToken) || !scopes.contains(OFFLINE_ACCESS) {
            let what = "the client would never get a refresh token";
            let remedy = "Give it the grant type \"refresh_token\" and the scope \"offline_access\", or leave it out.";
            checks.problem(Problem::new(key, what, remedy));
        }
        RefreshTokens::OfflineAccess
    }

    /// The response types, each spelled as it is registered.
    pub(super) fn response_types(&self, flows: &BTreeSet<GrantType>, checks: &mut Checks) -> BTreeSet<String> {
        let key = "response_types";
        let Some(words) = &self.response_types else {
            let fitting = [ResponseType::Code, ResponseType::Token].into_iter();
            let fitting = fitting.filter(|kind| kind.grant_types().iter().all(|flow| flows.contains(flow)));
            return fitting.map(|kind| kind.as_str().to_owned()).collect();
        };
        checks.distinct(key, words);
        let mut kinds = Vec::new();
        for (index, word) in words.iter().enumerate() {
            // In the registered order, in which the choices are told.
            let name: &str = match ResponseType::parse(word) {
                Some(known) => known.as_str(),
                None => word,
            };
            kinds.extend(checks.choice_at(key, Some(index), name, &ResponseType::ALL, |kind| kind.as_str()));
        }
        let of_front = [GrantType::AuthorizationCode, GrantType::Implicit];
        for flow in of_front {
            let named = kinds.iter().find(|kind| kind.grant_types().contains(&flow));
            let (what, remedy) = match (named, flows.contains(&flow)) {
                (Some(kind), false) => (
                    format!("\"{}\" goes with the grant type \"{}\"", kind.as_str(), flow.as_str()),
                    "Add the grant type to grant_types, or remove the response type.",
                ),
                (None, true) if kinds.len() == words.len() => (
                    format!("none of them goes with the grant type \"{}\"", flow.as_str()),
                    "Add one that does, or remove the grant type.",
                ),
                _ => continue,
            };
            checks.problem(Problem::new(key, format!("{what} (RFC 7591 section 2.1)"), remedy));
        }
        kinds.into_iter().map(|kind| kind.as_str().to_owned()).collect()
    }
}

/// The host without its port: a sector is a host.
fn host(shown: &str) -> &str {
    match shown.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => shown,
    }
}
