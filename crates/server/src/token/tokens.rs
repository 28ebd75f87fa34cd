//! The answer with tokens: RFC 6749 section 5.1.

use std::fmt::Write as _;

use regrant_core::{Grant, Timestamp};

/// RFC 6749 section 5.1.
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
    pub(super) refresh: Option<RefreshAnswer>,
    /// OpenID Connect Core section 3.1.3.3.
    pub(super) id_token: Option<String>,
    pub(super) scope: Option<String>,
}

impl Tokens {
    /// In the order in which people read it; what is not there is left out. Written as it stands: no character of our tokens needs
    /// to be encoded in JSON, nor does one of a scope. RFC 6749 section 3.3: "scope-token = 1*( %x21 / %x23-5B / %x5D-7E )".
    pub(super) fn text(&self) -> String {
        let Self { access_token, token_type, expires_in, refresh, id_token, scope } = self;
        // It grows at most once.
        let mut text = String::with_capacity(
            512 + access_token.len() + id_token.as_ref().map_or(0, String::len) + scope.as_ref().map_or(0, String::len),
        );
        let put = |text: &mut String, name: &str, value: &str| {
            for part in ["\"", name, "\":\"", value, "\","] {
                text.push_str(part);
            }
        };
        let count = |text: &mut String, name: &str, value: u64| {
            let _ = write!(text, "\"{name}\":{value},");
        };
        text.push('{');
        put(&mut text, "access_token", access_token);
        put(&mut text, "token_type", token_type);
        count(&mut text, "expires_in", *expires_in);
        if let Some(refresh) = refresh {
            put(&mut text, "refresh_token", &refresh.refresh_token);
            count(&mut text, "refresh_token_expires_in", refresh.refresh_token_expires_in);
            count(&mut text, "refresh_token_timeout", refresh.refresh_token_timeout);
            count(&mut text, "authorization_expires_in", refresh.authorization_expires_in);
        }
        if let Some(id_token) = id_token {
            put(&mut text, "id_token", id_token);
        }
        if let Some(scope) = scope {
            put(&mut text, "scope", scope);
        }
        text.pop();
        text.push('}');
        text
    }
}

/// The refresh token, and when it all ends: an upper bound, for a revocation may come earlier.
pub(super) struct RefreshAnswer {
    refresh_token: String,
    /// Whole seconds to the earlier of the two clocks: the de-facto name.
    refresh_token_expires_in: u64,
    /// draft-ietf-oauth-refresh-token-expiration: seconds for which it may be held without a refresh.
    refresh_token_timeout: u64,
    /// The same draft: seconds of the user's authorization.
    authorization_expires_in: u64,
}

impl RefreshAnswer {
    pub(super) fn new(refresh_token: String, grant: &Grant, now: Timestamp) -> Self {
        let ends_in = grant.ends_at().since(now).as_secs();
        Self {
            refresh_token,
            refresh_token_expires_in: ends_in,
            refresh_token_timeout: ends_in,
            authorization_expires_in: grant.absolute_at.since(now).as_secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use regrant_core::Scope;

    use super::*;

    /// RFC 6749 section 5.1, of all characters that a scope may have.
    #[test]
    fn an_answer_is_json_whatever_the_scope() {
        let all: String = (0x21..=0x7e_u8).map(char::from).filter(|c| !matches!(c, '"' | '\\')).collect();
        let scope = Scope::parse(&format!("{all} a")).expect("a scope").to_string();
        let refresh = |refresh_token: &str| RefreshAnswer {
            refresh_token: refresh_token.to_owned(),
            refresh_token_expires_in: 1,
            refresh_token_timeout: 2,
            authorization_expires_in: u64::MAX,
        };
        for (scope, refresh) in [
            (Some(scope.as_str()), Some(refresh("rgr_1"))),
            (Some(""), Some(refresh("rgr_2"))),
            (Some("a"), None),
            (None, None),
        ] {
            let tokens = Tokens {
                access_token: "a.b-c_d".to_owned(),
                token_type: "Bearer",
                expires_in: 3600,
                scope: scope.map(ToOwned::to_owned),
                id_token: refresh.is_some().then(|| "e30.e30.c2ln".to_owned()),
                refresh,
            };
            let mut expected =
                serde_json::json!({"access_token": "a.b-c_d", "token_type": "Bearer", "expires_in": 3600});
            if let Some(refresh) = &tokens.refresh {
                expected["refresh_token"] = refresh.refresh_token.as_str().into();
                expected["refresh_token_expires_in"] = 1.into();
                expected["refresh_token_timeout"] = 2.into();
                expected["authorization_expires_in"] = u64::MAX.into();
                expected["id_token"] = "e30.e30.c2ln".into();
            }
            if let Some(scope) = scope {
                expected["scope"] = scope.into();
            }
            assert_eq!(serde_json::from_str::<serde_json::Value>(&tokens.text()).expect("JSON"), expected);
        }
    }
}
