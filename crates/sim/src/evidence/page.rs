//! `docs/evidence.md`, written of the claims and of what was shown.

use std::fmt::Write as _;
use std::path::Path;

use regrant_core::Timestamp;

use super::{All, CLAIMS, FOUND, root};

/// The page.
#[must_use]
pub fn page(all: &All) -> String {
    let mut out = String::from(
        "# How we know\n\nWritten by `cargo run --profile proof -p sim -- evidence` of `docs/evidence.json`, which `evidence --run` fills by running each \
         command. No figure here was written by hand, and no claim stands here without its command. A claim that was not run says so.\n\n\
         What `./test` runs is short; the command is for as much as one has time for. What is seeded prints its seed, and the command that replays \
         it. The named checks, each with its test: [security-checks.md](security-checks.md).\n",
    );
    for claim in CLAIMS {
        let _ = write!(out, "\n## {}\n\n{}\n\n```sh\n{}\n```\n\n", claim.name, claim.says, claim.typed());
        match all.get(claim.name) {
            None => out.push_str("- **Not run yet for this page.**\n"),
            Some(shown) => {
                let counts: Vec<String> =
                    shown.counts.iter().map(|(name, value)| format!("{name} {}", counted(name, value))).collect();
                let word = if shown.holds { "held" } else { "**did not hold**" };
                let _ = writeln!(out, "- Last run: {word}; {}.", counts.join(", "));
                if shown.command != claim.typed() {
                    let _ = writeln!(out, "- As it was run: `{}`.", shown.command);
                }
                let day = day(&shown.day);
                let _ = writeln!(out, "- {} s, commit {}, {day}, {}.", shown.seconds, shown.commit, shown.machine);
            }
        }
        let _ = writeln!(out, "- In `./test`: {}.\n- Not covered: {}", claim.short, claim.beyond);
    }
    found(&mut out);
    incidents(&mut out);
    out
}

fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => grouped(whole),
            (None, Some(large)) if large >= 1000.0 => grouped(whole(large)),
            _ => number.to_string(),
        },
        serde_json::Value::Array(all) if all.is_empty() => "none".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, told without its fraction")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A seed is there to be typed again.
fn counted(name: &str, value: &serde_json::Value) -> String {
    if name.ends_with("seed") { value.to_string() } else { text(value) }
}

fn day(seconds: &str) -> String {
    let seconds: i64 = seconds.parse().unwrap_or(0);
    let text = regrant_server::admin::rfc3339(Timestamp::from_millis(seconds * 1000));
    text.chars().take(10).collect()
}

fn found(out: &mut String) {
    out.push_str("\n## What it has found in ourselves\n\n");
    out.push_str(
        "The model, the simulator, the failpoints, the orders, the kills, the power cuts, the abuse and the fuzz targets have found no fault of the \
         server so far. The others have; each is held by a test since.\n\n",
    );
    out.push_str("| what | replay | held since by |\n|---|---|---|\n");
    for (what, replay, test) in FOUND {
        let _ = writeln!(out, "| {what} | `{replay}` | {test} |");
    }
}

/// Other people's incidents: the comments of the tests that are named after them.
fn incidents(out: &mut String) {
    out.push_str(
        "\n## Other people's incidents\n\nEach that applies to what is here is a test named after it, in `crates/sim/tests/incidents/`.\n\n\
         | incident | test |\n|---|---|\n",
    );
    for file in ["refresh", "codes", "clients", "web"] {
        let path = root().join("crates/sim/tests/incidents").join(format!("{file}.rs"));
        for (incident, test) in told(&path) {
            let _ = writeln!(out, "| {incident} | `{test}` |");
        }
    }
}

fn told(path: &Path) -> Vec<(String, String)> {
    let source = std::fs::read_to_string(path).unwrap_or_default();
    let (mut comment, mut all) = (Vec::new(), Vec::new());
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            comment.push(words.trim());
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            let words = comment.join(" ");
            if let (Some(incident), Some((name, _))) = (words.strip_prefix("Incident "), rest.split_once('(')) {
                all.push((incident.replace('|', "\\|"), name.to_owned()));
            }
            comment.clear();
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Claim, shown};

    /// No claim without its command, and no figure that is not in the file.
    #[test]
    fn the_page_is_what_the_file_says() {
        let all = shown().expect("docs/evidence.json");
        let written = std::fs::read_to_string(root().join("docs/evidence.md")).expect("docs/evidence.md");
        assert!(written == page(&all), "docs/evidence.md is stale: cargo run --profile proof -p sim -- evidence");
        assert!(all.keys().all(|name| CLAIMS.iter().any(|claim| claim.name == name)), "a claim that nobody makes");
    }

    #[test]
    fn every_claim_has_its_command_and_its_limits() {
        let is_whole = |claim: &Claim| {
            !claim.says.is_empty() && !claim.short.is_empty() && !claim.beyond.is_empty() && !claim.typed().is_empty()
        };
        assert!(CLAIMS.iter().all(is_whole));
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
