//! `regrant ready`: whether a server takes requests, for whoever has no program that could ask: a container of our image, a script.
//!
//! | exit code | `/readyz`                                                           |
//! |-----------|---------------------------------------------------------------------|
//! | 0         | says yes                                                            |
//! | 1         | says no, and why: it stops, its store is away, its clock is not believed |
//! | 69        | did not answer in time                                              |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{StatusCode, Uri};
use serde_json::json;

use crate::context::{Context, Done, Failure, runtime};
use crate::fetch::fetch;
use crate::output;

/// The most that is read of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// Which server, and how long.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The server, like https://auth.example.com; without it, the one of the configuration, on this machine.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How many seconds to wait for its answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Asks it.
pub(crate) fn run(context: &Context, args: &Args) -> Done {
    let base = match &args.url {
        Some(url) => named(url)?,
        None => configured(context)?,
    };
    let heard = runtime()?
        .block_on(fetch(&format!("{base}/readyz"), Duration::from_secs(args.timeout), MAX_ANSWER))
        .map_err(|why| {
            Failure::new(
                69,
                format!("{base} is not ready: {why}\n  remedy: start the server, or name another with --url"),
            )
        })?;
    let says = heard.document["status"].as_str().unwrap_or("it does not say why").to_owned();
    if heard.status != StatusCode::OK {
        return Err(Failure::new(1, format!("{base} is not ready: {says}")));
    }
    if context.json {
        output::json(&json!({"url": base, "ready": true, "status": says}));
    } else {
        output::line(&says);
    }
    Ok(())
}

/// A URL without a slash at the end.
fn named(url: &str) -> Result<String, Failure> {
    let refuse = || Failure::new(2, format!("--url: {url} is no URL\n  remedy: write it like http://127.0.0.1:8420"));
    let uri: Uri = url.parse().map_err(|_| refuse())?;
    let is_whole = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
    if is_whole { Ok(url.trim_end_matches('/').to_owned()) } else { Err(refuse()) }
}

fn configured(context: &Context) -> Result<String, Failure> {
    let config = context.load()?;
    if config.tls.is_some() {
        let remedy = "name the server with --url, by a name that is in its certificate";
        return Err(Failure::new(2, format!("the server speaks TLS under a name of its own\n  remedy: {remedy}")));
    }
    Ok(format!("http://{}", here(config.listen)))
}

/// Where a server that listens everywhere is heard on this machine.
const fn here(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        for (listen, expected) in [
            ("0.0.0.0:8420", "127.0.0.1:8420"),
            ("[::]:8420", "[::1]:8420"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(here(listen.parse().expect("an address")).to_string(), expected);
        }
    }

    #[test]
    fn only_a_whole_url_is_asked() {
        assert_eq!(named("https://auth.example.com/").ok().as_deref(), Some("https://auth.example.com"));
        for bad in ["", "auth.example.com", "ftp://a.example", "http://", "https://a.example/?x=1"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
