//! Whether clients find this server where it says it is.

use std::time::Duration;

use regrant_server::Config;
use regrant_server::admin::Status;

use super::Finding;
use crate::context::runtime;
use crate::fetch::{Fetched, fetch};

const CHECK: &str = "issuer";
/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest metadata document that is read.
const MAX_DOCUMENT: usize = 256 * 1024;
/// The most that two machines' clocks may differ before tokens are refused elsewhere.
const SKEW: i64 = 30_000;

/// Asks for the metadata at the issuer, as a client would (RFC 8414 section 3), and compares its name byte by byte.
pub(super) fn reachable(config: &Config, status: Option<&Status>) -> Vec<Finding> {
    let Some(issuer) = config.issuer.clone().or_else(|| status.map(|status| status.issuer.clone())) else {
        return vec![Finding::note(
            CHECK,
            "it is not set: http:// and the bound address",
            "Set issuer before the first user: clients keep it.",
        )];
    };
    if config.source.file.is_some() && config.issuer.is_none() {
        return vec![Finding::note(
            CHECK,
            "it is not set: http:// and the bound address",
            "Set issuer before the first user: clients keep it.",
        )];
    }
    let url = format!("{issuer}/.well-known/openid-configuration");
    let asked = runtime().map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(get(&url)));
    judge(&issuer, &url, asked)
}

/// What came back: the announced issuer, and how far the `Date` of the answer is from our clock, in milliseconds.
struct Heard {
    issuer: Option<String>,
    status: u16,
    skew: Option<i64>,
}

fn judge(issuer: &str, url: &str, asked: Result<Heard, String>) -> Vec<Finding> {
    let remedy = "Start the server; let the name resolve to this machine or to the proxy before it; check the certificate and the proxy's path.";
    let heard = match asked {
        Err(why) => return vec![Finding::problem(CHECK, format!("{url} cannot be read from here: {why}"), remedy)],
        Ok(heard) => heard,
    };
    let mut findings = match heard.issuer {
        Some(found) if found == issuer => {
            vec![Finding::fine(CHECK, format!("{issuer} answers, and says so of itself"))]
        }
        Some(found) => {
            let says = format!("{url} is answered by a server that calls itself {found:?}");
            vec![Finding::problem(
                CHECK,
                says,
                "Clients refuse that (RFC 8414 section 3.3): set issuer to the URL that they use.",
            )]
        }
        None => vec![Finding::problem(
            CHECK,
            format!("{url} is answered with status {} and no metadata", heard.status),
            remedy,
        )],
    };
    if let Some(skew) = heard.skew.filter(|skew| skew.abs() > SKEW) {
        let says = format!("its clock and this machine's differ by {} s", skew / 1000);
        findings.push(Finding::note("clock", says, "Let both keep their time by NTP."));
    }
    findings
}

async fn get(url: &str) -> Result<Heard, String> {
    let Fetched { status, headers, document } = fetch(url, PATIENCE, MAX_DOCUMENT).await?;
    let status = status.as_u16();
    let skew = headers.get("date").and_then(|date| date.to_str().ok()).and_then(skew);
    let issuer = document["issuer"].as_str().filter(|_| status == 200).map(str::to_owned);
    Ok(Heard { issuer, status, skew })
}

/// `Date` (RFC 9110 section 6.6.1) against our clock.
fn skew(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    Some(date - regrant_server::Clock::system().now().millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn states(heard: Result<Heard, String>) -> Vec<State> {
        judge("https://a.example", "https://a.example/x", heard).iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn an_issuer_is_fine_when_it_answers_to_its_own_name() {
        let heard = |issuer: &str, skew| Ok(Heard { issuer: Some(issuer.to_owned()), status: 200, skew: Some(skew) });
        assert_eq!(states(heard("https://a.example", 900)), [State::Fine]);
        assert_eq!(states(heard("https://a.example", -90_000)), [State::Fine, State::Note]);
        assert_eq!(states(heard("https://a.example/", 0)), [State::Problem]);
        assert_eq!(states(Ok(Heard { issuer: None, status: 502, skew: None })), [State::Problem]);
        assert_eq!(states(Err("refused".to_owned())), [State::Problem]);
    }
}
