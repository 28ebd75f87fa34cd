//! `regrant login`: makes or changes a profile, and begins its session.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use regrant_client::answer::TokenAnswer;
use regrant_client::discovery::Metadata;
use regrant_client::{Error, LoggedIn, Login, Profile, Session};

use super::failure;
use super::keychain::{self, Which};
use super::place::{Kept, Place, standard_input};
use crate::context::{Context, Done, Failure, runtime};
use crate::output;
use crate::remote::variable;

/// Which client, of which server, and how to log in.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "The client is named by --client-id, and its secret by --client-secret-file.\nWhat was said once is kept: `regrant login work` logs in again. With --issuer or --client-id the\nprofile is set up anew: of what was said before, --dpop, --client-credentials and a secret say,\nnothing is kept but what is said again. `regrant profiles remove` forgets it.\n\nThe server must know the client with the redirect URI\nhttp://127.0.0.1/callback, for which the port may be any (RFC 8252).\n\nExamples:\n  regrant login work --issuer https://as.example --client-id cli --scope \"openid notes:read\"\n  regrant login box --issuer https://as.example --client-id tv --device\n  regrant login robot --issuer https://as.example --client-id daemon \\\n      --client-secret-file daemon.secret --client-credentials --scope notes:read\n  pbpaste | regrant login old --issuer https://as.example --client-id phone --refresh-token-stdin"
)]
pub(crate) struct Args {
    /// The name under which profile and session are kept.
    profile: String,
    /// The issuer, as the server spells it.
    #[arg(long, value_name = "URL", help_heading = "Which client")]
    issuer: Option<String>,
    /// What to ask for, separated by spaces. With `openid` the server says who logged in.
    #[arg(long, help_heading = "Which client")]
    scope: Option<String>,
    /// An API that the tokens are for (RFC 8707); may be repeated.
    #[arg(long, value_name = "URI", help_heading = "Which client")]
    resource: Vec<String>,
    /// Send the client's secret in the form instead of a header: client_secret_post.
    #[arg(long, help_heading = "Which client")]
    secret_in_form: bool,
    /// Its private key instead of a secret, PKCS#8 as PEM: private_key_jwt.
    #[arg(long, value_name = "FILE", conflicts_with = "secret_in_form", help_heading = "Which client")]
    client_key_file: Option<PathBuf>,
    /// What it signs with: ES256 (default), RS256, PS256 or EdDSA.
    #[arg(long, value_name = "ALG", requires = "client_key_file", help_heading = "Which client")]
    client_key_algorithm: Option<String>,
    /// Bind the tokens to a key (RFC 9449). They can be used through `regrant proxy` only, which has the key.
    #[arg(long, conflicts_with = "refresh_token_stdin", help_heading = "Which client")]
    dpop: bool,
    /// Where codes and tokens come from, if the server publishes no metadata.
    #[arg(long, value_name = "URL", help_heading = "A server without metadata")]
    token_endpoint: Option<String>,
    /// Where users log in.
    #[arg(long, value_name = "URL", requires = "token_endpoint", help_heading = "A server without metadata")]
    authorization_endpoint: Option<String>,
    /// Where devices ask for codes.
    #[arg(long, value_name = "URL", requires = "token_endpoint", help_heading = "A server without metadata")]
    device_endpoint: Option<String>,
    /// Where tokens are given back.
    #[arg(long, value_name = "URL", requires = "token_endpoint", help_heading = "A server without metadata")]
    revocation_endpoint: Option<String>,
    /// Print a code to be entered on another device (RFC 8628).
    #[arg(long, group = "how", help_heading = "How to log in")]
    device: bool,
    /// As the client itself: nobody logs in.
    #[arg(long, group = "how", help_heading = "How to log in")]
    client_credentials: bool,
    /// Go on with a refresh token that you have, from standard input.
    #[arg(long, group = "how", help_heading = "How to log in")]
    refresh_token_stdin: bool,
    /// Print the address instead of opening a browser.
    #[arg(long, help_heading = "How to log in")]
    no_browser: bool,
    /// Keep the key of all sessions in a keychain from now on, and not in a file.
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, default_missing_value = "desktop", help_heading = "How to log in")]
    keychain: Option<Which>,
    /// The path of the redirect URI on this machine.
    #[arg(long, value_name = "PATH", default_value = "/callback", help_heading = "How to log in")]
    redirect_path: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Done {
    let place = Place::find()?;
    let kept = args.kept(context, &place)?;
    let profile = kept.opened(&args.profile)?;
    let name = args.profile.as_str();
    let failed = |error: &Error| failure(name, error);
    if let Some(which) = args.keychain {
        keychain::choose(&place, which)?;
    }
    runtime()?.block_on(async {
        // A store that cannot be written is told before anybody logs in.
        let store = Arc::new(place.store()?);
        if kept.client_credentials {
            Session::forget(&*store, name).await.map_err(|error| failed(&error))?;
            let session = Session::open(store, profile).await.map_err(|error| failed(&error))?;
            session.token().await.map_err(|error| failed(&error))?;
            place.keep(name, &kept)?;
            told(context, name, None);
            return Ok(());
        }
        let logged_in = if args.refresh_token_stdin {
            let tokens = TokenAnswer::of_refresh_token(standard_input()?);
            LoggedIn { tokens, identity: None }
        } else {
            let login = Login::new(profile.clone()).map_err(|error| failed(&error))?;
            args.ask(context, &login, &profile).await.map_err(|error| failed(&error))?
        };
        let identity = logged_in.identity.clone();
        let has_refresh_token = logged_in.tokens.refresh_token.is_some();
        let session = Session::begin(store, profile, logged_in).await.map_err(|error| failed(&error))?;
        place.keep(name, &kept)?;
        if args.refresh_token_stdin {
            session.token().await.map_err(|error| failed(&error))?;
        }
        if !has_refresh_token && !context.json {
            output::note("the server gave no refresh token: you will be asked again when the access token is over");
        }
        told(context, name, identity.as_ref().map(regrant_client::Identity::subject));
        Ok(())
    })
}

fn told(context: &Context, profile: &str, subject: Option<&str>) {
    if context.json {
        output::json(&serde_json::json!({"profile": profile, "subject": subject}));
        return;
    }
    let who = subject.map_or_else(String::new, |subject| format!(" as {subject}"));
    output::done(&format!("{profile} is logged in{}", output::clean(&who)));
}

impl Args {
    /// The profile: what is kept already, with what was said now.
    fn kept(&self, context: &Context, place: &Place) -> Result<Kept, Failure> {
        let before = match place.profile(&self.profile) {
            Ok(kept) => kept,
            Err(failure) if failure.code() == 1 => Kept::default(),
            Err(failure) => return Err(failure),
        };
        let mut kept = self.begun(before, context.remote.client_id.as_deref());
        let mut secret_file = context.remote.client_secret_file.clone();
        if kept.client_id.is_empty() {
            kept.client_id = variable("REGRANT_CLIENT_ID").unwrap_or_default();
            secret_file = secret_file.or_else(|| variable("REGRANT_CLIENT_SECRET_FILE").map(PathBuf::from));
        }
        if kept.issuer.is_empty() || kept.client_id.is_empty() {
            let remedy = format!("regrant login {} --issuer URL --client-id ID", self.profile);
            return Err(Failure::new(2, format!("a new profile needs a server and a client\n  remedy: {remedy}")));
        }
        check_issuer(&kept.issuer)?;
        let absolute = |file: &PathBuf| {
            std::path::absolute(file).map_err(|error| Failure::new(65, format!("{}: {error}", file.display())))
        };
        if let Some(file) = &secret_file {
            (kept.client_secret_file, kept.client_key_file) = (Some(absolute(file)?), None);
        }
        if let Some(file) = &self.client_key_file {
            (kept.client_key_file, kept.client_secret_file) = (Some(absolute(file)?), None);
            kept.client_key_algorithm.clone_from(&self.client_key_algorithm);
        }
        kept.secret_in_form |= self.secret_in_form;
        kept.dpop |= self.dpop;
        if self.scope.is_some() {
            kept.scope.clone_from(&self.scope);
        }
        if !self.resource.is_empty() {
            kept.resources.clone_from(&self.resource);
        }
        if self.device || self.refresh_token_stdin {
            kept.client_credentials = false;
        }
        kept.client_credentials |= self.client_credentials;
        if let Some(token_endpoint) = &self.token_endpoint {
            kept.metadata = Some(Metadata {
                authorization_endpoint: self.authorization_endpoint.clone(),
                device_authorization_endpoint: self.device_endpoint.clone(),
                revocation_endpoint: self.revocation_endpoint.clone(),
                ..Metadata::of(kept.issuer.clone(), token_endpoint.clone())
            });
        }
        Ok(kept)
    }

    /// What goes on of a profile that is there: all of it, or where server or client are named, nothing but these.
    fn begun(&self, before: Kept, client_id: Option<&str>) -> Kept {
        if self.issuer.is_none() && client_id.is_none() {
            return before;
        }
        let issuer = self.issuer.clone().unwrap_or_else(|| before.issuer.clone());
        // Another server's client is none of this one's.
        let known = if issuer == before.issuer { before.client_id } else { String::new() };
        Kept { client_id: client_id.map_or(known, str::to_owned), issuer, ..Kept::default() }
    }

    async fn ask(&self, context: &Context, login: &Login, profile: &Profile) -> Result<LoggedIn, Error> {
        if self.device {
            let device = login.device().await?;
            if context.json {
                output::told(
                    &serde_json::json!({
                        "user_code": device.user_code, "verification_uri": device.verification_uri,
                        "verification_uri_complete": device.verification_uri_complete,
                        "expires_in": device.expires_in.as_secs(),
                    })
                    .to_string(),
                );
            } else {
                output::error(&format!("Open   {}", output::clean(&device.verification_uri)));
                output::error(&format!("Enter  {}", output::clean(&device.user_code)));
                let whole = device.verification_uri_complete.as_deref().unwrap_or(&device.verification_uri);
                if let Some(code) = qr(whole).filter(|_| std::io::stderr().is_terminal()) {
                    output::error(&code);
                }
            }
            return device.wait().await;
        }
        let loopback = login.loopback(&self.redirect_path).await?;
        let opens = !self.no_browser && !context.json && open_browser(&loopback.url);
        if context.json {
            output::told(&serde_json::json!({"open": loopback.url}).to_string());
        } else if opens {
            output::error(&format!("Your browser asks you to log in at {}. If it does not, open:", profile.issuer));
            output::error(&loopback.url);
        } else {
            output::error("Open this in a browser on this machine:");
            output::error(&loopback.url);
        }
        if !context.json {
            let path = &self.redirect_path;
            output::error(&format!(
                "Waiting for its answer; Ctrl-C ends it. An error page instead of it may mean that {} does not know the \
                 redirect URI http://127.0.0.1{path} of {}.",
                profile.issuer, profile.client_id
            ));
        }
        loopback.wait().await
    }
}

/// Tokens are sent there: over TLS, or within this machine.
fn check_issuer(issuer: &str) -> Result<(), Failure> {
    let uri: Option<http::Uri> = issuer.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let is_here = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => Ok(()),
        Some("http") if is_here => Ok(()),
        _ => Err(Failure::new(
            2,
            format!("{issuer} is no issuer\n  remedy: name an https URL (http on this machine only)"),
        )),
    }
}

/// Opens an address in the user's browser; false if nothing here can.
fn open_browser(url: &str) -> bool {
    let named = std::env::var_os("BROWSER").filter(|browser| !browser.is_empty());
    let usual: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["xdg-open", "wslview"] };
    let programs = named.into_iter().chain(usual.iter().map(Into::into));
    programs.into_iter().any(|program| {
        let mut command = Command::new(program);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    })
}

/// A code for a phone's camera: two rows of it in each line, light as it is on paper, for terminals are dark more often than not.
fn qr(text: &str) -> Option<String> {
    /// The quiet zone that a camera needs around it.
    const QUIET: i32 = 2;
    let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Low).ok()?;
    let (low, high) = (-QUIET, code.size() + QUIET);
    let is_light = |x: i32, y: i32| !code.get_module(x, y);
    let cell = |x: i32, y: i32| match (is_light(x, y), is_light(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let mut drawn = String::new();
    for y in (low..high).step_by(2) {
        drawn.extend((low..high).map(|x| cell(x, y)));
        drawn.push('\n');
    }
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_over_tls_or_stay_on_this_machine() {
        for (issuer, is_one) in [
            ("https://as.example/realms/a", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://as.example", false),
            ("http://127.0.0.1.as.example", false),
            ("as.example", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(check_issuer(issuer).is_ok(), is_one, "{issuer}");
        }
    }

    #[test]
    fn a_profile_is_set_up_anew_where_server_or_client_are_named() {
        use clap::Parser as _;

        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let before = Kept {
            issuer: "https://as.example".to_owned(),
            client_id: "daemon".to_owned(),
            client_credentials: true,
            dpop: true,
            ..Kept::default()
        };
        let begun = |words: &[&str], client: Option<&str>| {
            Line::parse_from([&["login", "work"], words].concat()).args.begun(before.clone(), client)
        };
        assert_eq!(begun(&[], None), before, "what was said once is kept");
        let anew = |issuer: &str, client: &str| Kept {
            issuer: issuer.to_owned(),
            client_id: client.to_owned(),
            ..Kept::default()
        };
        assert_eq!(begun(&[], Some("phone")), anew("https://as.example", "phone"));
        assert_eq!(begun(&["--issuer", "https://as.example"], None), anew("https://as.example", "daemon"));
        assert_eq!(begun(&["--issuer", "https://b.example"], None), anew("https://b.example", ""));
    }

    #[test]
    fn a_code_for_a_camera_is_drawn() {
        let code = qr("https://as.example/device?user_code=WDJB-MJHT").expect("a code");
        assert!(code.lines().count() > 10 && code.lines().all(|line| line.chars().count() > 20), "{code}");
    }
}
