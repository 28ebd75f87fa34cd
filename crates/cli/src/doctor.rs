//! `regrant doctor`: looks at a deployment from outside and says what to do, before users find out.
//!
//! Changes nothing. Each finding is fine, a note, or a problem with its remedy; the exit code is 1 if there is a problem.

mod issuer;
mod machine;
mod store;
mod tls;

use serde::Serialize;

use crate::context::{Context, Done, Failure};
use crate::output;

/// What was found about one thing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    check: &'static str,
    state: State,
    /// What was seen.
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Fine,
    Note,
    Problem,
}

impl Finding {
    fn fine(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Fine, says: says.into(), remedy: String::new() }
    }

    fn note(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Note, says: says.into(), remedy: remedy.into() }
    }

    fn problem(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Problem, says: says.into(), remedy: remedy.into() }
    }
}

pub(crate) fn run(context: &Context) -> Done {
    context.say_defaults();
    let findings = examine(context);
    let problems = findings.iter().filter(|finding| finding.state == State::Problem).count();
    if context.json {
        output::json(&serde_json::json!({"healthy": problems == 0, "findings": findings}));
    } else {
        for finding in &findings {
            output::finding(finding.check, &finding.says, &finding.remedy, sign(finding.state));
        }
    }
    match problems {
        0 => Ok(()),
        1 => Err(Failure::new(1, "one problem was found")),
        _ => Err(Failure::new(1, format!("{problems} problems were found"))),
    }
}

const fn sign(state: State) -> output::Sign {
    match state {
        State::Fine => output::Sign::Fine,
        State::Note => output::Sign::Note,
        State::Problem => output::Sign::Problem,
    }
}

/// Everything, in the order in which a server that starts needs it.
fn examine(context: &Context) -> Vec<Finding> {
    let config = match context.load() {
        Ok(config) => config,
        Err(failure) => {
            return vec![Finding::problem("configuration", failure.to_string(), "Correct it, and ask again.")];
        }
    };
    let mut findings = vec![Finding::fine("configuration", "it is valid")];
    let lines = config.events.notice();
    let notices = config.notices.iter().filter(|notice| Some(*notice) != lines.as_ref());
    findings.extend(notices.map(|notice| Finding::note("configuration", notice, "")));
    findings.extend(store::root_key(&config));
    findings.extend(store::files(&config));
    if let Some((says, remedy)) = lines.as_deref().and_then(|lines| lines.split_once("\n  remedy: ")) {
        findings.push(Finding::problem("events", says, format!("{remedy}.")));
    }
    findings.extend(tls::certificate(&config));
    let (server, status) = store::server(&config);
    findings.extend(server);
    findings.extend(machine::clock(status.as_ref()));
    findings.extend(machine::limits());
    findings.extend(issuer::reachable(&config, status.as_ref()));
    findings
}
