//! Response types and response modes: OAuth 2.0 Multiple Response Type Encoding Practices 1.0, Form Post Response Mode 1.0, and
//! OpenID Connect Core sections 3.1 to 3.3.
//!
//! | response type         | grant types of the client          | unless said | `query` | nonce    |
//! |-----------------------|------------------------------------|-------------|---------|----------|
//! | `code`                | `authorization_code`               | `query`     | yes     | may be   |
//! | `token`               | `implicit`                         | `fragment`  | no      | may be   |
//! | `id_token`            | `implicit`                         | `fragment`  | no      | required |
//! | `id_token token`      | `implicit`                         | `fragment`  | no      | required |
//! | `code token`          | both                               | `fragment`  | no      | may be   |
//! | `code id_token`       | both                               | `fragment`  | no      | required |
//! | `code id_token token` | both                               | `fragment`  | no      | required |
//!
//! `fragment` and `form_post` go with every type. The order of the words means nothing (Multiple Response Types section 3).

use crate::client::GrantType;

/// What the authorization endpoint answers with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ResponseType {
    /// RFC 6749 section 4.1.
    Code,
    /// RFC 6749 section 4.2.
    Token,
    /// An ID token alone: no access token is issued at all.
    IdToken,
    /// Both in front of the user.
    IdTokenToken,
    /// Hybrid.
    CodeToken,
    /// Hybrid.
    CodeIdToken,
    /// Hybrid.
    CodeIdTokenToken,
}

/// How the answer comes to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In its fragment.
    Fragment,
    /// In the body of a `POST` that the browser sends.
    FormPost,
}

/// Why a response mode is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadMode {
    /// None of ours.
    Unknown,
    /// Multiple Response Types section 3.0: tokens "MUST NOT be encoded in the query string".
    TokensInQuery,
}

impl ResponseMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Query, Self::Fragment, Self::FormPost];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }
}

impl ResponseType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Code,
        Self::IdToken,
        Self::IdTokenToken,
        Self::CodeIdToken,
        Self::CodeToken,
        Self::CodeIdTokenToken,
        Self::Token,
    ];

    /// The registered name, its words in the registered order.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Token => "token",
            Self::IdToken => "id_token",
            Self::IdTokenToken => "id_token token",
            Self::CodeToken => "code token",
            Self::CodeIdToken => "code id_token",
            Self::CodeIdTokenToken => "code id_token token",
        }
    }

    /// Reads it, with its words in any order; `None` if it is none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // No type has more words than three: a long text is not taken apart.
        let mut words: Vec<&str> = text.splitn(4, ' ').collect();
        words.sort_unstable();
        Self::ALL.into_iter().find(|kind| kind.as_str().split(' ').eq(words.iter().copied()))
    }

    /// Whether a code is given.
    #[must_use]
    pub const fn has_code(self) -> bool {
        matches!(self, Self::Code | Self::CodeToken | Self::CodeIdToken | Self::CodeIdTokenToken)
    }

    /// Whether an access token is given at once.
    #[must_use]
    pub const fn has_token(self) -> bool {
        matches!(self, Self::Token | Self::IdTokenToken | Self::CodeToken | Self::CodeIdTokenToken)
    }

    /// Whether an ID token is given at once; the request then must carry a nonce (OpenID Connect Core sections 3.2.2.1 and 3.3.2.11).
    #[must_use]
    pub const fn has_id_token(self) -> bool {
        matches!(self, Self::IdToken | Self::IdTokenToken | Self::CodeIdToken | Self::CodeIdTokenToken)
    }

    /// The grant types that a client needs for it: OpenID Connect Registration section 2.
    #[must_use]
    pub const fn grant_types(self) -> &'static [GrantType] {
        match self {
            Self::Code => &[GrantType::AuthorizationCode],
            Self::Token | Self::IdToken | Self::IdTokenToken => &[GrantType::Implicit],
            Self::CodeToken | Self::CodeIdToken | Self::CodeIdTokenToken => {
                &[GrantType::AuthorizationCode, GrantType::Implicit]
            }
        }
    }

    /// The response mode that goes with it unless the request names one.
    #[must_use]
    pub const fn default_mode(self) -> ResponseMode {
        match self {
            Self::Code => ResponseMode::Query,
            _ => ResponseMode::Fragment,
        }
    }

    /// The response mode of a request.
    ///
    /// # Errors
    /// [`BadMode`]; the error is told by [`ResponseType::default_mode`].
    pub fn mode(self, named: Option<&str>) -> Result<ResponseMode, BadMode> {
        let Some(named) = named else { return Ok(self.default_mode()) };
        match ResponseMode::ALL.into_iter().find(|mode| mode.as_str() == named) {
            None => Err(BadMode::Unknown),
            Some(ResponseMode::Query) if self != Self::Code => Err(BadMode::TokensInQuery),
            Some(mode) => Ok(mode),
        }
    }
}

/// How the error of a request is told whose response type is none of ours: what asks for tokens is answered where tokens would stand.
#[must_use]
pub fn mode_of_unknown(response_type: &str, named: Option<&str>) -> ResponseMode {
    let asks_for_tokens = response_type.split(' ').any(|word| matches!(word, "token" | "id_token"));
    match named {
        Some("form_post") => ResponseMode::FormPost,
        Some("fragment") => ResponseMode::Fragment,
        _ if asks_for_tokens => ResponseMode::Fragment,
        _ => ResponseMode::Query,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_words_means_nothing() {
        for kind in ResponseType::ALL {
            assert_eq!(ResponseType::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ResponseType::parse("token id_token code"), Some(ResponseType::CodeIdTokenToken));
        assert_eq!(ResponseType::parse("id_token code"), Some(ResponseType::CodeIdToken));
        for bad in ["", "none", "code code", "code  token", "code token id_token x", "Code", " code", "id_token,token"]
        {
            assert_eq!(ResponseType::parse(bad), None, "{bad:?}");
        }
    }

    /// The table of the module's description, line by line.
    #[test]
    fn each_type_has_its_words_modes_and_grant_types() {
        for kind in ResponseType::ALL {
            let words: Vec<&str> = kind.as_str().split(' ').collect();
            assert_eq!(kind.has_code(), words.contains(&"code"));
            assert_eq!(kind.has_token(), words.contains(&"token"));
            assert_eq!(kind.has_id_token(), words.contains(&"id_token"));
            assert_eq!(kind.grant_types().contains(&GrantType::AuthorizationCode), kind.has_code());
            let is_implicit = kind.has_token() || kind.has_id_token();
            assert_eq!(kind.grant_types().contains(&GrantType::Implicit), is_implicit);
            assert_eq!(kind.mode(Some("form_post")), Ok(ResponseMode::FormPost));
            assert_eq!(kind.mode(Some("fragment")), Ok(ResponseMode::Fragment));
            let query = if is_implicit { Err(BadMode::TokensInQuery) } else { Ok(ResponseMode::Query) };
            assert_eq!(kind.mode(Some("query")), query, "{}", kind.as_str());
            assert_eq!(kind.mode(None), Ok(if is_implicit { ResponseMode::Fragment } else { ResponseMode::Query }));
            assert_eq!(kind.mode(Some("query.jwt")), Err(BadMode::Unknown));
        }
    }

    #[test]
    fn an_error_stands_where_the_answer_would() {
        assert_eq!(mode_of_unknown("code foo", None), ResponseMode::Query);
        assert_eq!(mode_of_unknown("token foo", Some("query")), ResponseMode::Fragment);
        assert_eq!(mode_of_unknown("", Some("form_post")), ResponseMode::FormPost);
        assert_eq!(mode_of_unknown("", Some("fragment")), ResponseMode::Fragment);
    }
}
