//! What is measured, by name: which flow, which rotation, which access token, which client.

use std::fmt;
use std::str::FromStr;

/// The client of all cases.
pub const CLIENT: &str = "app";

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// A refresh of a token that is replaced by it.
    RefreshSingleUse,
    /// A refresh of a token that stays.
    RefreshReusable,
    /// An access token for the client itself.
    ClientCredentials,
    /// Whether an access token is active.
    Introspect,
    /// The redemption of a code.
    Code,
    /// The same where the answer has an ID token: signed with RS256, the default, beside an opaque access token, and with ES256 beside one
    /// that is.
    IdToken,
}

impl Flow {
    /// Whether a refresh token is presented.
    #[must_use]
    pub const fn is_refresh(self) -> bool {
        matches!(self, Self::RefreshSingleUse | Self::RefreshReusable)
    }
}

/// What comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A sealed access token.
    Opaque,
    /// One that is signed with ES256 (RFC 9068).
    Es256,
}

/// One case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    /// What is asked.
    pub flow: Flow,
    /// What comes back.
    pub format: Format,
    /// Whether the client has no secret.
    pub is_public: bool,
}

/// Which grants a store holds: what of a case is written in its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Of a client with a secret.
    SingleUse,
    /// Of a client with a secret whose tokens stay.
    Reusable,
    /// Of a client without one.
    Public,
}

impl Kind {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::SingleUse, Self::Reusable, Self::Public];

    /// For the name of its directory.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SingleUse => "single_use",
            Self::Reusable => "reusable",
            Self::Public => "public",
        }
    }
}

impl Case {
    /// All of them. A public client's tokens are never reusable (RFC 9700 section 4.14.2), so there is no such case.
    pub const ALL: [Self; 13] = [
        Self::of(Flow::RefreshSingleUse, Format::Opaque),
        Self::of(Flow::RefreshSingleUse, Format::Es256),
        Self::of(Flow::RefreshReusable, Format::Opaque),
        Self::of(Flow::RefreshSingleUse, Format::Opaque).public(),
        Self::of(Flow::RefreshSingleUse, Format::Es256).public(),
        Self::of(Flow::ClientCredentials, Format::Opaque),
        Self::of(Flow::ClientCredentials, Format::Es256),
        Self::of(Flow::Introspect, Format::Opaque),
        Self::of(Flow::Introspect, Format::Es256),
        Self::of(Flow::Code, Format::Opaque),
        Self::of(Flow::Code, Format::Es256),
        Self::of(Flow::IdToken, Format::Opaque),
        Self::of(Flow::IdToken, Format::Es256),
    ];

    const fn of(flow: Flow, format: Format) -> Self {
        Self { flow, format, is_public: false }
    }

    const fn public(self) -> Self {
        Self { is_public: true, ..self }
    }

    /// Which store it needs.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match (self.flow, self.is_public) {
            (Flow::RefreshReusable, _) => Kind::Reusable,
            (_, true) => Kind::Public,
            (_, false) => Kind::SingleUse,
        }
    }

    /// Where it is asked.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self.flow {
            Flow::Introspect => "/oauth2/introspect",
            _ => "/oauth2/token",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.flow {
            Flow::RefreshSingleUse => "refresh-single_use",
            Flow::RefreshReusable => "refresh-reusable",
            Flow::ClientCredentials => "client_credentials",
            Flow::Introspect => "introspect",
            Flow::Code => "code",
            Flow::IdToken => "id_token",
        })?;
        f.write_str(match self.format {
            Format::Opaque => "-opaque",
            Format::Es256 => "-es256",
        })?;
        f.write_str(if self.is_public { "-public" } else { "" })
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|case| case.to_string() == name).ok_or_else(|| {
            let names = Self::ALL.map(|case| case.to_string()).join(", ");
            let why = if name.contains("reusable") && name.ends_with("-public") {
                "a public client's refresh tokens always rotate (RFC 9700 section 4.14.2); "
            } else {
                ""
            };
            format!("{why}the cases are {names}")
        })
    }
}

/// The clients of `regrant.toml` for a store and a format of access tokens. `HASH` stands for the hash of the secret.
#[must_use]
pub fn clients(kind: Kind, format: Format) -> String {
    let format = match format {
        Format::Opaque => "access_token_format = \"opaque\"\nid_token_signed_response_alg = \"RS256\"",
        Format::Es256 => {
            "access_token_format = \"jwt\"\naccess_token_signed_response_alg = \"ES256\"\nid_token_signed_response_alg = \"ES256\""
        }
    };
    let secret = "token_endpoint_auth_method = \"client_secret_basic\"\nsecret_hash = \"HASH\"\nmay_introspect = true";
    let (who, flows, rotation) = match kind {
        Kind::SingleUse => (secret, ", \"client_credentials\"", "single_use"),
        Kind::Reusable => (secret, "", "reusable"),
        Kind::Public => ("token_endpoint_auth_method = \"none\"", "", "single_use"),
    };
    format!(
        r#"
[metrics]
listen = "127.0.0.1:0"
[[scope]]
name = "read"
description = "Read your things"
[[client]]
id = "{CLIENT}"
{who}
redirect_uris = ["https://app.example/cb"]
grant_types = ["authorization_code", "refresh_token"{flows}]
scopes = ["openid", "read"]
rotation = "{rotation}"
{format}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_by_its_name() {
        for case in Case::ALL {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        assert_eq!(Case::ALL[3].to_string(), "refresh-single_use-opaque-public");
    }

    #[test]
    fn what_rfc_9700_forbids_is_no_case() {
        let why = "refresh-reusable-opaque-public".parse::<Case>().expect_err("no case");
        assert!(why.contains("RFC 9700 section 4.14.2"), "{why}");
    }
}
