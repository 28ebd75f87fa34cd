//! The settings of OpenID Connect.

use regrant_core::client::{AccessTokenFormat, RefreshTokens, SignatureAlgorithm, SubjectType};

use super::*;

#[test]
fn a_client_of_openid_connect_needs_no_setting() {
    let client = good(&web("")).clients.remove(0);
    assert_eq!((client.id_token_algorithm, client.userinfo_algorithm), (SignatureAlgorithm::Rs256, None));
    assert_eq!((client.subject_type, client.default_max_age), (SubjectType::Public, None));
    assert_eq!(client.refresh_tokens, RefreshTokens::Always);
}

#[test]
fn each_setting_of_openid_connect_can_be_set() {
    for algorithm in SignatureAlgorithm::ALL {
        let name = algorithm.as_str();
        let both = format!("id_token_signed_response_alg = \"{name}\"\nuserinfo_signed_response_alg = \"{name}\"");
        let client = good(&web(&both)).clients.remove(0);
        assert_eq!((client.id_token_algorithm, client.userinfo_algorithm), (algorithm, Some(algorithm)));
    }
    let client = good(&web("default_max_age = \"0\"")).clients.remove(0);
    assert_eq!(client.default_max_age, Some(Duration::ZERO));
    let offline = "scopes = [\"offline_access\"]\nrefresh_tokens = \"offline_access\"";
    assert_eq!(good(&web(offline)).clients[0].refresh_tokens, RefreshTokens::OfflineAccess);
    assert_eq!(good(&web("refresh_tokens = \"always\"")).clients[0].refresh_tokens, RefreshTokens::Always);
}

#[test]
fn a_pairwise_client_has_one_sector_and_opaque_tokens() {
    let pairwise = |more: &str| good(&web(&format!("subject_type = \"pairwise\"\n{more}"))).clients.remove(0);
    let client = pairwise("");
    assert_eq!(client.policy.access_token_format, AccessTokenFormat::Opaque);
    assert!(matches!(client.subject_type, SubjectType::Pairwise(_)));
    let named = pairwise("sector_identifier_uri = \"https://group.example:8443/uris.json\"");
    assert_eq!(named.subject_type, SubjectType::Pairwise("group.example".to_owned()));
}

#[test]
fn a_bad_setting_of_openid_connect_is_refused_with_its_remedy() {
    let at = |key: &str| format!("client.{key}");
    for (text, line, key, says) in [
        ("id_token_signed_response_alg = \"none\"", 5, "id_token_signed_response_alg", "none of the choices"),
        ("userinfo_signed_response_alg = \"HS256\"", 5, "userinfo_signed_response_alg", "Choose \"ES256\""),
        (
            "id_token_encrypted_response_alg = \"ECDH-ES\"",
            5,
            "id_token_encrypted_response_alg",
            "no keys to encrypt to",
        ),
        ("id_token_encrypted_response_alg = \"RSA1_5\"", 5, "id_token_encrypted_response_alg", "Choose \"ECDH-ES\""),
        (
            "userinfo_encrypted_response_enc = \"A256GCM\"",
            5,
            "userinfo_encrypted_response_enc",
            "it means nothing without",
        ),
        ("request_object_encryption_alg = \"RSA-OAEP\"", 5, "request_object_encryption_alg", "none of the choices"),
        ("frontchannel_logout_uri = \"https://evil.example/out\"", 5, "frontchannel_logout_uri", "of another origin"),
        ("subject_type = \"pairwize\"", 5, "subject_type", "Did you mean \"pairwise\"?"),
        ("sector_identifier_uri = \"https://a.example/\"", 5, "sector_identifier_uri", "it means nothing"),
        (
            "subject_type = \"pairwise\"\nsector_identifier_uri = \"http://a.example/\"",
            6,
            "sector_identifier_uri",
            "it is no https URI",
        ),
        ("subject_type = \"pairwise\"\naccess_token_format = \"jwt\"", 6, "access_token_format", "\"opaque\" then"),
        ("default_max_age = \"soon\"", 5, "default_max_age", "is no duration"),
        ("default_max_age = \"4000d\"", 5, "default_max_age", "outside of its limits"),
        ("refresh_tokens = \"never\"", 5, "refresh_tokens", "none of the choices"),
        ("refresh_tokens = \"offline_access\"", 5, "refresh_tokens", "would never get a refresh token"),
        ("response_types = [\"code foo\"]", 5, "response_types", "none of the choices"),
        (
            "response_types = [\"code\", \"id_token\"]",
            5,
            "response_types",
            "\"id_token\" goes with the grant type \"implicit\"",
        ),
    ] {
        refused(&web(text), line, &at(key), says);
    }
}

/// OpenID Connect Registration section 2: which grant types each response type needs.
#[test]
fn response_types_go_with_their_grant_types() {
    let types = |flows: &str, kinds: &str| {
        let text = web(&format!("grant_types = [{flows}]\nresponse_types = [{kinds}]"));
        good(&text).clients.remove(0).response_types.into_iter().collect::<Vec<_>>()
    };
    let both = "\"authorization_code\", \"implicit\"";
    assert_eq!(types(both, "\"id_token code\", \"token id_token\""), ["code id_token", "id_token token"]);
    assert_eq!(types("\"implicit\"", "\"id_token\""), ["id_token"]);
    let text = web(&format!("grant_types = [{both}]\nresponse_types = [\"code\"]"));
    refused(&text, 6, "client.response_types", "none of them goes with the grant type \"implicit\"");
}
