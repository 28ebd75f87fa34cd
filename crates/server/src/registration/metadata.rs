//! What a client says of itself when it registers: OpenID Connect Registration section 2, RFC 7591 section 2.
//!
//! The members that are settings of ours become a [`ClientDefinition`], which is judged as one of the configuration is; here is
//! what is said of registrations alone. RFC 7591 section 2: "The authorization server MUST ignore any client metadata sent by the
//! client that it does not understand".
//!
//! | member                                             | becomes                                                                   |
//! |----------------------------------------------------|---------------------------------------------------------------------------|
//! | those of [`SETTINGS`]                              | the setting of the same name                                              |
//! | `client_name`, `scope`                             | `name`; `scopes`, as far as `[registration]` lets them be had               |
//! | `grant_types`, `response_types`                    | the settings, after the defaults of section 2; those that `[registration]` names |
//! | `redirect_uris` under `application_type`           | the setting, after the rules of section 2                                 |
//! | those of logouts                                   | the settings; where they may lead is said at [`check_logout`]             |
//! | those of [`KEPT`], and names in languages (`name#de`) | kept and told again                                                    |
//! | `software_statement`                               | refused: nobody is trusted to make them                                   |
//! | `client_id`, secrets, tokens, and the rest         | nothing                                                                   |

use regrant_core::client::{AuthMethod, GrantType};
use regrant_core::redirect;
use serde_json::{Map, Value};

use crate::config::{ClientDefinition, Problem, RegistrationSetting, is_hidden};
use crate::outbound::{check_link, check_url};

/// Members whose names are those of settings. A test holds that each is one.
pub(crate) const SETTINGS: [&str; 28] = [
    "backchannel_logout_session_required",
    "backchannel_logout_uri",
    "client_uri",
    "contacts",
    "frontchannel_logout_session_required",
    "frontchannel_logout_uri",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "id_token_signed_response_alg",
    "introspection_signed_response_alg",
    "jwks",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "post_logout_redirect_uris",
    "redirect_uris",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "request_object_signing_alg",
    "request_uris",
    "sector_identifier_uri",
    "subject_type",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "tos_uri",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "userinfo_signed_response_alg",
];
/// Settings that a client says by members of other names, or after the defaults of the specification.
const OWN: [&str; 5] = ["name", "grant_types", "response_types", "scopes", "default_max_age"];
/// Members that are kept as they are, and told again, each with its kind.
const KEPT: [(&str, Kind); 9] = [
    ("application_type", Kind::OneOf(&["web", "native"])),
    ("default_acr_values", Kind::Texts),
    ("default_max_age", Kind::Seconds),
    ("initiate_login_uri", Kind::Link),
    ("require_auth_time", Kind::Flag),
    ("software_id", Kind::Text),
    ("software_version", Kind::Text),
    ("client_name", Kind::Name),
    ("require_signed_request_object", Kind::Never),
];
/// Members that may be there in several languages (RFC 7591 section 2.2).
const IN_LANGUAGES: [&str; 5] = ["client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri"];
/// The most members, and the most names in languages.
const MAX_MEMBERS: usize = 128;
const MAX_LANGUAGES: usize = 40;
const MAX_TEXT: usize = 255;
/// The longest `default_max_age`: ten years.
const MAX_SECONDS: u64 = 315_360_000;

/// What a kept member must be.
enum Kind {
    OneOf(&'static [&'static str]),
    Text,
    Name,
    Texts,
    Seconds,
    Flag,
    Link,
    /// A promise that this server does not keep: only `false` may be said.
    Never,
}

/// Why a registration is refused. The client hears the code, and which member it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadMetadata {
    /// RFC 7591 section 3.2.2, `invalid_redirect_uri`: "The value of one or more redirection URIs is invalid."
    RedirectUri,
    /// `invalid_client_metadata`: this member, or it with another.
    Member(&'static str),
    /// `invalid_software_statement`.
    SoftwareStatement,
    /// `unapproved_software_statement`.
    UnapprovedSoftwareStatement,
}

/// What was understood.
#[derive(Debug)]
pub(crate) struct Understood {
    pub(crate) definition: ClientDefinition,
    /// What no setting holds.
    pub(crate) kept: Map<String, Value>,
    /// To be read before it is believed.
    pub(crate) sector: Option<http::Uri>,
}

/// Reads the metadata of a registration.
pub(crate) fn understand(
    metadata: &Map<String, Value>,
    setting: &RegistrationSetting,
) -> Result<Understood, BadMetadata> {
    if metadata.len() > MAX_MEMBERS {
        return Err(BadMetadata::Member("metadata"));
    }
    if let Some(statement) = metadata.get("software_statement") {
        // RFC 7591 section 3.2.2: one that is none, or "The software statement presented is not approved for use by this
        // authorization server": nobody's is.
        let is_jwt = statement.as_str().is_some_and(|text| regrant_jose::peek(text).is_ok());
        return Err(if is_jwt { BadMetadata::UnapprovedSoftwareStatement } else { BadMetadata::SoftwareStatement });
    }
    // A member that is null is one that is not there (RFC 7592 section 2.2: "null […] as omitted").
    let said = |name: &str| metadata.get(name).filter(|value| !value.is_null());
    let mut members = Map::new();
    for name in SETTINGS {
        members.extend(said(name).map(|value| (name.to_owned(), value.clone())));
    }
    let kept = kept(metadata)?;
    let grant_types = grant_types(said("grant_types"), setting)?;
    let response_types = response_types(said("response_types"))?;
    check_pairs(&grant_types, &response_types)?;
    members.insert("grant_types".to_owned(), Value::from(grant_types.clone()));
    members.insert("response_types".to_owned(), Value::from(response_types));
    members.insert("scopes".to_owned(), Value::from(scopes(said("scope"), setting)?));
    members.extend(kept.get("client_name").map(|name| ("name".to_owned(), name.clone())));
    let age = kept.get("default_max_age").and_then(Value::as_u64).map(|seconds| format!("{seconds}s"));
    members.extend(age.map(|age| ("default_max_age".to_owned(), Value::from(age))));
    let mut kept = kept;
    let sector = sector(&mut members, &mut kept)?;
    logout(&mut members, &mut kept);
    members.insert("id".to_owned(), Value::from(""));
    let definition: ClientDefinition = serde_json::from_value(Value::Object(members.clone())).map_err(|_| {
        // Which one it is: each is tried alone.
        let fits = |name: &&str| {
            let alone = [("id", Value::from("")), (*name, members.get(*name).cloned().unwrap_or_default())];
            let alone = Value::Object(alone.map(|(name, value)| (name.to_owned(), value)).into_iter().collect());
            !members.contains_key(*name) || serde_json::from_value::<ClientDefinition>(alone).is_ok()
        };
        match SETTINGS.iter().find(|name| !fits(name)) {
            Some(&"redirect_uris") => BadMetadata::RedirectUri,
            Some(name) => BadMetadata::Member(name),
            None => BadMetadata::Member("metadata"),
        }
    })?;
    let definition = ClientDefinition { require_pkce: pkce(&definition), ..definition };
    let is_native = kept.get("application_type").is_some_and(|kind| kind == "native");
    let is_implicit = grant_types.iter().any(|word| word == GrantType::Implicit.as_str());
    check_redirects(&definition.redirect_uris, is_native, is_implicit)?;
    check_logout(&definition, is_native)?;
    Ok(Understood { definition, kept, sector })
}

/// RFC 9700 section 2.1.1 of public clients; the others may do without (OpenID Connect Core knows no PKCE).
fn pkce(definition: &ClientDefinition) -> Option<bool> {
    let is_public = definition.token_endpoint_auth_method.as_deref() == Some(AuthMethod::None.as_str());
    (!is_public).then_some(false)
}

/// What a client says of itself over what is stored of it. RFC 7592 section 2.2 has its own metadata replaced whole; what only an operator
/// sets stays: its resources, lifetimes, PKCE, and the rest.
pub(crate) fn overlaid(said: ClientDefinition, stored: &ClientDefinition) -> Option<ClientDefinition> {
    let require_pkce = if stored.require_pkce == pkce(stored) { said.require_pkce } else { stored.require_pkce };
    let (Ok(Value::Object(said)), Ok(Value::Object(mut whole))) =
        (serde_json::to_value(said), serde_json::to_value(stored))
    else {
        return None;
    };
    let is_its_own = |name: &str| SETTINGS.contains(&name) || OWN.contains(&name);
    whole.retain(|name, _| !is_its_own(name));
    whole.extend(said.into_iter().filter(|(name, _)| is_its_own(name)));
    let definition: ClientDefinition = serde_json::from_value(Value::Object(whole)).ok()?;
    Some(ClientDefinition { require_pkce, ..definition })
}

/// What of a problem with the definition the client hears.
pub(crate) fn named(problems: &[Problem]) -> BadMetadata {
    match problems.first().map(|problem| problem.key) {
        Some("redirect_uris") => BadMetadata::RedirectUri,
        Some("name") => BadMetadata::Member("client_name"),
        Some("scopes") => BadMetadata::Member("scope"),
        Some(key) => BadMetadata::Member(key),
        None => BadMetadata::Member("metadata"),
    }
}

fn kept(metadata: &Map<String, Value>) -> Result<Map<String, Value>, BadMetadata> {
    let mut kept = Map::new();
    for (name, kind) in KEPT {
        let Some(value) = metadata.get(name).filter(|value| !value.is_null()) else { continue };
        if !kind.admits(value) {
            return Err(BadMetadata::Member(name));
        }
        kept.insert(name.to_owned(), value.clone());
    }
    // RFC 7591 section 2.2: "the member name […] followed by a "#" and the tag": told again, and shown to nobody here.
    let mut languages = 0;
    for (name, value) in metadata {
        let Some((base, tag)) = name.split_once('#') else { continue };
        let Some(base) = IN_LANGUAGES.into_iter().find(|known| *known == base) else { continue };
        let is_tag =
            (1..=35).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let kind = if base == "client_name" { Kind::Name } else { Kind::Link };
        languages += 1;
        if !is_tag || languages > MAX_LANGUAGES || !kind.admits(value) {
            return Err(BadMetadata::Member(base));
        }
        kept.insert(name.clone(), value.clone());
    }
    Ok(kept)
}

impl Kind {
    fn admits(&self, value: &Value) -> bool {
        let sound = |text: &str, most: usize| {
            !text.trim().is_empty() && text.chars().count() <= most && !text.chars().any(is_hidden)
        };
        match self {
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Text => value.as_str().is_some_and(|text| sound(text, MAX_TEXT)),
            Self::Name => value.as_str().is_some_and(|text| sound(text, 200)),
            Self::Texts => value.as_array().is_some_and(|texts| {
                texts.len() <= 16 && texts.iter().all(|text| text.as_str().is_some_and(|text| sound(text, MAX_TEXT)))
            }),
            Self::Seconds => value.as_u64().is_some_and(|seconds| seconds <= MAX_SECONDS),
            Self::Flag => value.is_boolean(),
            Self::Link => value.as_str().is_some_and(|text| check_link(text).is_some()),
            Self::Never => *value == Value::Bool(false),
        }
    }
}

fn words(value: &Value, name: &'static str) -> Result<Vec<String>, BadMetadata> {
    let texts = value.as_array().ok_or(BadMetadata::Member(name))?;
    let texts: Option<Vec<String>> = texts.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| (1..=16).contains(&texts.len())).ok_or(BadMetadata::Member(name))
}

/// RFC 7591 section 2: "If omitted, the default behavior is that the client will use only the "authorization_code" Grant Type."
fn grant_types(said: Option<&Value>, setting: &RegistrationSetting) -> Result<Vec<String>, BadMetadata> {
    let name = "grant_types";
    let Some(said) = said else { return Ok(vec![GrantType::AuthorizationCode.as_str().to_owned()]) };
    let words = words(said, name)?;
    let may = |word: &String| setting.grant_types.iter().any(|known| known.as_str() == word);
    if words.iter().all(may) { Ok(words) } else { Err(BadMetadata::Member(name)) }
}

/// The same section: "If omitted, the default is that the client will use only the "code" response type." The words of one type
/// come in any order (OAuth 2.0 Multiple Response Type Encoding Practices section 3): they are kept in one.
fn response_types(said: Option<&Value>) -> Result<Vec<String>, BadMetadata> {
    let Some(said) = said else { return Ok(vec!["code".to_owned()]) };
    let sorted = |kind: String| {
        let mut words: Vec<&str> = kind.split(' ').collect();
        words.sort_unstable();
        words.join(" ")
    };
    words(said, "response_types").map(|words| words.into_iter().map(sorted).collect())
}

/// OpenID Connect Registration section 2, the table of `grant_types`: each response type with what it needs.
fn check_pairs(grant_types: &[String], response_types: &[String]) -> Result<(), BadMetadata> {
    let uses = |grant_type: GrantType| grant_types.iter().any(|word| word == grant_type.as_str());
    for kind in response_types {
        let mut words = kind.split(' ');
        let has_code = kind.split(' ').any(|word| word == "code");
        let has_more = words.any(|word| word != "code");
        if (has_code && !uses(GrantType::AuthorizationCode)) || (has_more && !uses(GrantType::Implicit)) {
            return Err(BadMetadata::Member("response_types"));
        }
    }
    Ok(())
}

/// RFC 7591 section 2: "If omitted, an authorization server MAY register a client with a default set of scopes." What it may not
/// have it does not get, and is told what it has.
fn scopes(said: Option<&Value>, setting: &RegistrationSetting) -> Result<Vec<String>, BadMetadata> {
    let Some(said) = said else { return Ok(setting.scopes.clone()) };
    let text = said.as_str().filter(|text| text.len() <= 4096).ok_or(BadMetadata::Member("scope"))?;
    let asked: Vec<&str> = text.split(' ').collect();
    Ok(setting.scopes.iter().filter(|scope| asked.contains(&scope.as_str())).cloned().collect())
}

/// OpenID Connect Registration section 2, `application_type`: "Web Clients using the OAuth Implicit Grant Type MUST only register
/// URLs using the https scheme as redirect_uris; they MUST NOT use localhost as the hostname. Native Clients MUST only register
/// redirect_uris using custom URI schemes or loopback URLs using the http scheme". Of native ones claimed https URLs are taken as
/// well: RFC 8252 section 7.2 prefers them.
fn check_redirects(uris: &[String], is_native: bool, is_implicit: bool) -> Result<(), BadMetadata> {
    if uris.is_empty() || uris.len() > 64 {
        return Err(BadMetadata::RedirectUri);
    }
    let fits = uris.iter().all(|uri| fits(uri, is_native, is_implicit));
    if fits { Ok(()) } else { Err(BadMetadata::RedirectUri) }
}

fn fits(uri: &str, is_native: bool, is_implicit: bool) -> bool {
    if redirect::check(uri).is_err() {
        return false;
    }
    let is_https = uri.starts_with("https://");
    let host = http::Uri::try_from(uri).ok().and_then(|url| url.host().map(str::to_ascii_lowercase));
    let is_local = host.is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    let is_http = uri.starts_with("http://");
    match (is_native, is_implicit) {
        (true, _) => true,
        (false, true) => is_https && !is_local,
        (false, false) => is_https || is_http,
    }
}

/// Back-Channel Logout section 2.2 and Front-Channel Logout section 2: that no session is required is said by default, also where
/// there is no URI. It is kept then, and means nothing.
fn logout(members: &mut Map<String, Value>, kept: &mut Map<String, Value>) {
    for (uri, required) in [
        ("backchannel_logout_uri", "backchannel_logout_session_required"),
        ("frontchannel_logout_uri", "frontchannel_logout_session_required"),
    ] {
        if !members.contains_key(uri) && members.get(required) == Some(&Value::Bool(false)) {
            kept.extend(members.remove_entry(required));
        }
    }
}

/// Where logouts of a client that nobody vouches for may lead.
///
/// - RP-Initiated Logout section 3.1, `post_logout_redirect_uris`: like redirect URIs of the same kind of application.
/// - `backchannel_logout_uri`: this server asks it as it asks any URL of a client, by https (`outbound/strangers.rs`).
/// - Front-Channel Logout section 2, `frontchannel_logout_uri`: "The domain, port, and scheme of this URL MUST be the same as that of a
///   registered Redirection URI value."
fn check_logout(definition: &ClientDefinition, is_native: bool) -> Result<(), BadMetadata> {
    let check = |fits: bool, name| if fits { Ok(()) } else { Err(BadMetadata::Member(name)) };
    let mut after = definition.post_logout_redirect_uris.iter();
    check(after.all(|uri| fits(uri, is_native, false)), "post_logout_redirect_uris")?;
    let back = definition.backchannel_logout_uri.as_deref();
    check(back.is_none_or(|uri| check_url(uri).is_some()), "backchannel_logout_uri")?;
    check(definition.has_own_frontchannel(), "frontchannel_logout_uri")
}

/// OpenID Connect Core section 8.1: whose sector a pairwise client belongs to. Of a public one it is kept, and means nothing.
fn sector(members: &mut Map<String, Value>, kept: &mut Map<String, Value>) -> Result<Option<http::Uri>, BadMetadata> {
    let name = "sector_identifier_uri";
    let Some(said) = members.get(name) else { return Ok(None) };
    let url = said.as_str().and_then(check_url).ok_or(BadMetadata::Member(name))?;
    if members.get("subject_type").is_none_or(|kind| kind != "pairwise") {
        kept.extend(members.remove_entry(name));
    }
    Ok(Some(url))
}

/// What is told of a member that is not what it must be.
pub(crate) fn description(name: &str) -> &'static str {
    let known = DESCRIPTIONS.iter().find(|(known, _)| *known == name);
    known.map_or("the client metadata is no JSON object of supported members", |(_, text)| text)
}

/// Each with its own sentence: a description is constant, and never holds what was sent.
macro_rules! descriptions {
    ($($name:literal),* $(,)?) => {
        [$(($name, concat!("the member ", $name, " is missing, malformed, not supported, or does not fit another"))),*]
    };
}

const DESCRIPTIONS: [(&str, &str); 45] = descriptions![
    "application_type",
    "backchannel_logout_session_required",
    "backchannel_logout_uri",
    "client_id",
    "client_id_issued_at",
    "client_name",
    "client_secret",
    "client_secret_expires_at",
    "client_uri",
    "contacts",
    "default_acr_values",
    "default_max_age",
    "frontchannel_logout_session_required",
    "frontchannel_logout_uri",
    "grant_types",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "id_token_signed_response_alg",
    "initiate_login_uri",
    "introspection_signed_response_alg",
    "jwks",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "post_logout_redirect_uris",
    "registration_access_token",
    "registration_client_uri",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "request_object_signing_alg",
    "request_uris",
    "require_auth_time",
    "require_signed_request_object",
    "response_types",
    "scope",
    "sector_identifier_uri",
    "software_id",
    "software_version",
    "subject_type",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "tos_uri",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "userinfo_signed_response_alg",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(metadata: &Value) -> Result<Understood, BadMetadata> {
        let setting = RegistrationSetting {
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::Implicit].into(),
            ..RegistrationSetting::default()
        };
        understand(metadata.as_object().expect("an object"), &setting)
    }

    #[test]
    fn each_setting_is_one() {
        let schema = serde_json::to_value(schemars::schema_for!(ClientDefinition)).expect("JSON");
        for name in SETTINGS.into_iter().chain(OWN) {
            assert!(schema["properties"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_specification() {
        let understood =
            of(&json!({"redirect_uris": ["https://a.example/cb"], "unknown": [1], "client_name": null})).expect("good");
        let definition = understood.definition;
        assert_eq!(definition.grant_types, Some(vec!["authorization_code".to_owned()]));
        assert_eq!(definition.response_types, Some(vec!["code".to_owned()]));
        assert_eq!((definition.token_endpoint_auth_method, definition.require_pkce), (None, Some(false)));
        assert!(understood.kept.is_empty());
        let public = of(&json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"}));
        assert_eq!(public.expect("good").definition.require_pkce, None);
    }

    #[test]
    fn a_redirect_uri_fits_the_kind_of_the_application() {
        let with = |uri: &str, kind: &str, grant: &str, response: &str| {
            of(&json!({"redirect_uris": [uri], "application_type": kind, "grant_types": [grant], "response_types": [response]})).err()
        };
        let bad = Some(BadMetadata::RedirectUri);
        assert_eq!(with("https://a.example/cb", "web", "implicit", "token"), None);
        assert_eq!(with("http://127.0.0.1/cb", "web", "implicit", "token"), bad);
        assert_eq!(with("https://localhost/cb", "web", "implicit", "token"), bad);
        assert_eq!(with("http://127.0.0.1/cb", "web", "authorization_code", "code"), None);
        assert_eq!(with("com.example.app:/cb", "web", "authorization_code", "code"), bad);
        assert_eq!(with("com.example.app:/cb", "native", "authorization_code", "code"), None);
        assert_eq!(with("http://app.example/cb", "native", "authorization_code", "code"), bad);
        assert_eq!(with("https://a.example/cb#f", "web", "authorization_code", "code"), bad);
        assert_eq!(
            with("https://a.example/cb", "web", "authorization_code", "id_token code"),
            Some(BadMetadata::Member("response_types"))
        );
    }
}
