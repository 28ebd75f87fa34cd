//! Tokens in the words of those who ask for them.
//!
//! | format     | who asks                                                                                     |
//! |------------|----------------------------------------------------------------------------------------------|
//! | plain      | a shell: the token and a newline                                                             |
//! | json       | a program: token, type, scope, seconds that are left                                         |
//! | header     | `curl -H @-`: the whole header                                                               |
//! | kubernetes | a kubeconfig's `exec`: an `ExecCredential`                                                   |
//! | git        | `git credential`: user name and password                                                     |
//! | docker     | a Docker credential helper                                                                   |
//! | github     | a workflow of GitHub Actions: masked in its log, and as the output `token` of the step       |

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use regrant_client::{Secret, Session};

use crate::context::{Done, Failure};
use crate::output;

/// The most that is read of what a caller of a helper says.
const LARGEST: u64 = 64 * 1024;

/// How a token is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// The token alone.
    Plain,
    /// A JSON object with what is known of it.
    Json,
    /// `Authorization: Bearer …`.
    Header,
    /// `ExecCredential` of client.authentication.k8s.io/v1.
    Kubernetes,
    /// What `git credential` reads.
    Git,
    /// What Docker reads of a credential helper.
    Docker,
    /// Commands of a workflow of GitHub Actions.
    Github,
}

/// What a caller of a credential helper said on standard input.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// For which URL (Docker).
    pub(crate) url: String,
    /// The password that was refused (git's `erase`).
    password: Option<Secret>,
}

impl Asked {
    /// Reads it, where the format has any.
    pub(crate) fn read(format: Format, action: Option<&str>) -> Result<Self, Failure> {
        if action.is_none() || !matches!(format, Format::Git | Format::Docker) || std::io::stdin().is_terminal() {
            return Ok(Self::default());
        }
        let mut text = String::new();
        let read = std::io::stdin().take(LARGEST).read_to_string(&mut text);
        read.map_err(|error| Failure::new(65, format!("standard input cannot be read: {error}")))?;
        if format == Format::Docker {
            return Ok(Self { url: text.trim().to_owned(), password: None });
        }
        let password = text.lines().find_map(|line| line.strip_prefix("password="));
        let password = password.filter(|_| action == Some("erase")).map(Secret::new);
        Ok(Self { url: String::new(), password })
    }

    pub(crate) fn refused(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::expose)
    }
}

impl Format {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// What HTTP calls it.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::Kubernetes | Self::Docker => "application/json",
            Self::Plain | Self::Header | Self::Git | Self::Github => "text/plain; charset=utf-8",
        }
    }

    /// The token in this format. `url` is what Docker asked for.
    pub(crate) fn text(self, token: &Secret, session: &Session, url: &str) -> String {
        let tokens = session.tokens();
        let left = tokens.as_ref().and_then(|tokens| tokens.good_for(&session.now()));
        let scope = tokens.and_then(|tokens| tokens.scope);
        self.written(token.expose(), left, session.server_date(), scope.as_deref(), url)
    }

    fn written(self, token: &str, left: Option<Duration>, now: u64, scope: Option<&str>, url: &str) -> String {
        let ends = left.map(|left| now + left.as_secs());
        match self {
            Self::Plain => format!("{token}\n"),
            Self::Header => format!("Authorization: Bearer {token}\n"),
            Self::Json => {
                let left = left.map(|left| left.as_secs());
                let value = serde_json::json!({
                    "access_token": token, "token_type": "Bearer", "expires_in": left, "scope": scope,
                });
                format!("{value}\n")
            }
            Self::Kubernetes => {
                let mut status = serde_json::json!({"token": token});
                if let Some(ends) = ends.and_then(rfc3339) {
                    status["expirationTimestamp"] = ends.into();
                }
                let value = serde_json::json!({
                    "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status,
                });
                format!("{value}\n")
            }
            // The user name is what GitLab, Gitea and GitHub take beside an OAuth token.
            Self::Git => {
                let ends = ends.map_or_else(String::new, |ends| format!("password_expiry_utc={ends}\n"));
                format!("username=oauth2\npassword={token}\n{ends}")
            }
            Self::Docker => {
                let value = serde_json::json!({"ServerURL": url, "Username": "oauth2", "Secret": token});
                format!("{value}\n")
            }
            Self::Github => format!("::add-mask::{token}\ntoken={token}\n"),
        }
    }
}

/// The mask goes to the log of the step, the token to the file of its outputs, where there is one.
pub(crate) fn for_github(text: &str) -> Done {
    let Some(file) = std::env::var_os("GITHUB_OUTPUT").filter(|file| !file.is_empty()) else {
        output::raw(text.as_bytes());
        return Ok(());
    };
    let (mask, output) = text.split_once('\n').unwrap_or((text, ""));
    output::line(mask);
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    Ok(file.write_all(output.as_bytes())?)
}

fn rfc3339(seconds: u64) -> Option<String> {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asker_reads_its_own_words() {
        let written = |format: Format| {
            format.written("t", Some(Duration::from_secs(60)), 1_767_225_600, Some("read"), "registry.example")
        };
        assert_eq!(written(Format::Plain), "t\n");
        assert_eq!(written(Format::Header), "Authorization: Bearer t\n");
        assert_eq!(written(Format::Git), "username=oauth2\npassword=t\npassword_expiry_utc=1767225660\n");
        assert_eq!(written(Format::Github), "::add-mask::t\ntoken=t\n");
        let json = |format| serde_json::from_str::<serde_json::Value>(&written(format)).expect("JSON");
        assert_eq!(json(Format::Docker)["ServerURL"], "registry.example");
        assert_eq!(json(Format::Docker)["Secret"], "t");
        assert_eq!(json(Format::Kubernetes)["status"]["expirationTimestamp"], "2026-01-01T00:01:00Z");
        assert_eq!(json(Format::Kubernetes)["apiVersion"], "client.authentication.k8s.io/v1");
        assert_eq!(json(Format::Json)["expires_in"], 60);
    }
}
