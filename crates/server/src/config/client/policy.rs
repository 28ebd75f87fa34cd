//! A client's settings for refreshes: which choices it has, and how long things may live.
//!
//! | setting                 | limits                          | unless set                              |
//! |-------------------------|---------------------------------|-----------------------------------------|
//! | `retry_window`          | 0, or 10s to 1h; public clients | 60s                                     |
//! | `idle_lifetime`         | 1s to 3650d, ≤ absolute         | 30d, or the absolute one if shorter     |
//! | `absolute_lifetime`     | 1s to 3650d                     | 365d, or the idle one if longer         |
//! | `access_token_lifetime` | 1s to 365d, ≤ idle              | 1h, or the idle one if shorter          |

use std::ops::RangeInclusive;
use std::time::Duration;

use regrant_core::Policy;
use regrant_core::client::{AccessTokenFormat, Class, OnReplay, SignatureAlgorithm};
use regrant_core::grant::Rotation;

use super::super::duration;
use super::super::problem::Problem;
use super::{Checks, ClientDefinition};

const SECOND: Duration = Duration::from_secs(1);
/// Ten years: longer than any session should be, short enough that no arithmetic with times overflows.
pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);
/// The longest life of an access token.
pub const LONGEST_ACCESS_TOKEN: Duration = Duration::from_secs(365 * 86_400);
const LONGEST_RETRY_WINDOW: Duration = Duration::from_secs(3600);

impl ClientDefinition {
    /// `None` if something of it could not be read; the problems say what.
    pub(super) fn policy(&self, class: Class, checks: &mut Checks) -> Option<Policy> {
        let defaults = Policy::of(class);
        let before = checks.problems.len();
        let rotation = self.rotation(class, checks).unwrap_or(defaults.rotation);
        let on_replay = self.on_replay(class, checks).unwrap_or(defaults.on_replay);
        let of_subject = if self.is_pairwise() { AccessTokenFormat::Opaque } else { defaults.access_token_format };
        let access_token_format = self.format(checks).unwrap_or(of_subject);
        let algorithm = self.algorithm(access_token_format, checks).unwrap_or(defaults.access_token_algorithm);
        let retry_window = self.window(class, checks).unwrap_or(Policy::RETRY_WINDOW);
        let lifetime = SECOND..=LONGEST_LIFETIME;
        let absolute = read(checks, "absolute_lifetime", self.absolute_lifetime.as_deref(), lifetime.clone());
        let idle = read(checks, "idle_lifetime", self.idle_lifetime.as_deref(), lifetime);
        let access_limits = SECOND..=LONGEST_ACCESS_TOKEN;
        let access = read(checks, "access_token_lifetime", self.access_token_lifetime.as_deref(), access_limits);
        if checks.problems.len() > before {
            return None;
        }
        // What is not set follows what is: a short absolute_lifetime alone is a complete and sensible wish.
        let absolute_lifetime = absolute.unwrap_or_else(|| Policy::ABSOLUTE_LIFETIME.max(idle.unwrap_or_default()));
        let idle_lifetime = idle.unwrap_or_else(|| Policy::IDLE_LIFETIME.min(absolute_lifetime));
        let access_token_lifetime = access.unwrap_or_else(|| Policy::ACCESS_TOKEN_LIFETIME.min(idle_lifetime));
        let mut ordered = |key, longer_key: &str, this: Duration, longer: Duration| {
            if this > longer {
                let (this, longer) = (duration::write(this), duration::write(longer));
                let what = format!("{this} is longer than {longer_key} ({longer})");
                checks.problem(Problem::new(key, what, format!("Shorten it, or lengthen {longer_key}.")));
            }
        };
        ordered("idle_lifetime", "absolute_lifetime", idle_lifetime, absolute_lifetime);
        ordered("access_token_lifetime", "idle_lifetime", access_token_lifetime, idle_lifetime);
        Some(Policy {
            class,
            rotation,
            retry_window,
            on_replay,
            idle_lifetime,
            absolute_lifetime,
            access_token_lifetime,
            access_token_format,
            access_token_algorithm: algorithm,
        })
    }

    /// `None` for `auto`: the default of the client's class.
    fn rotation(&self, class: Class, checks: &mut Checks) -> Option<Rotation> {
        const CHOICES: [(&str, Option<Rotation>); 3] =
            [("auto", None), ("single_use", Some(Rotation::SingleUse)), ("reusable", Some(Rotation::Reusable))];
        let (_, rotation) = checks.choice("rotation", self.rotation.as_deref()?, &CHOICES, |(word, _)| word)?;
        if class == Class::Public && rotation == Some(Rotation::Reusable) {
            // RFC 9700 section 4.14.2: "Refresh tokens for public clients MUST be sender-constrained or use refresh token
            // rotation".
            let what = "a public client's refresh tokens must rotate (RFC 9700 section 4.14.2)";
            checks.problem(Problem::new("rotation", what, "Write \"single_use\", or leave it out."));
        }
        rotation
    }

    fn on_replay(&self, class: Class, checks: &mut Checks) -> Option<OnReplay> {
        const CHOICES: [(&str, OnReplay); 2] = [("revoke", OnReplay::Revoke), ("refuse", OnReplay::Refuse)];
        let (_, on_replay) = checks.choice("on_replay", self.on_replay.as_deref()?, &CHOICES, |(word, _)| word)?;
        if class == Class::Public && on_replay == OnReplay::Refuse {
            // RFC 9700 section 4.14.2: the server "cannot determine which party submitted the invalid refresh token, but it
            // will revoke the active refresh token".
            let what = "a replay of a public client's refresh token must end the grant (RFC 9700 section 4.14.2)";
            checks.problem(Problem::new("on_replay", what, "Write \"revoke\", or leave it out."));
        }
        Some(on_replay)
    }

    fn format(&self, checks: &mut Checks) -> Option<AccessTokenFormat> {
        const CHOICES: [(&str, AccessTokenFormat); 2] =
            [("jwt", AccessTokenFormat::Jwt), ("opaque", AccessTokenFormat::Opaque)];
        let key = "access_token_format";
        checks.choice(key, self.access_token_format.as_deref()?, &CHOICES, |(word, _)| word).map(|(_, format)| format)
    }

    /// No registered name exists for this; it follows `id_token_signed_response_alg` of OpenID Connect Registration section 2.
    fn algorithm(&self, format: AccessTokenFormat, checks: &mut Checks) -> Option<SignatureAlgorithm> {
        let key = "access_token_signed_response_alg";
        let word = self.access_token_signed_response_alg.as_deref()?;
        if format == AccessTokenFormat::Opaque {
            let what = "opaque access tokens are sealed and not signed";
            checks.problem(Problem::new(key, what, "Leave it out, or write access_token_format = \"jwt\"."));
        }
        checks.choice(key, word, &SignatureAlgorithm::ALL, |algorithm| algorithm.as_str())
    }

    /// RFC 9701 section 6: "If this is specified, the response will be signed using JWS and the configured algorithm."
    pub(super) fn introspection_algorithm(&self, checks: &mut Checks) -> Option<SignatureAlgorithm> {
        let key = "introspection_signed_response_alg";
        let word = self.introspection_signed_response_alg.as_deref()?;
        if self.may_introspect != Some(true) {
            let what = "the client may not introspect";
            checks.problem(Problem::new(key, what, "Leave it out, or write may_introspect = true."));
        }
        checks.choice(key, word, &SignatureAlgorithm::ALL, |algorithm| algorithm.as_str())
    }

    fn window(&self, class: Class, checks: &mut Checks) -> Option<Duration> {
        let key = "retry_window";
        let text = self.retry_window.as_deref()?;
        if class != Class::Public {
            let what = "it is for public clients only; this one may retry as long as it proves itself";
            checks.problem(Problem::new(key, what, "Leave it out."));
            return None;
        }
        let window = read(checks, key, Some(text), Duration::ZERO..=LONGEST_RETRY_WINDOW)?;
        if !window.is_zero() && window < Policy::SHORTEST_RETRY_WINDOW {
            let what = format!("{} is too short for a client to notice a loss and ask again", duration::write(window));
            checks.problem(Problem::new(key, what, "Use 10s to 1h, or \"0\" for none at all."));
        }
        Some(window)
    }
}

pub(super) fn read(
    checks: &mut Checks,
    key: &'static str,
    text: Option<&str>,
    limits: RangeInclusive<Duration>,
) -> Option<Duration> {
    let text = text?;
    let (least, most) = (duration::write(*limits.start()), duration::write(*limits.end()));
    let Some(read) = duration::parse(text) else {
        let shown: String = text.chars().take(40).collect();
        let remedy = "Write numbers with the units w, d, h, m or s, largest first: \"15m\", \"30d\", \"1h30m\".";
        checks.problem(Problem::new(key, format!("{shown:?} is no duration"), remedy));
        return None;
    };
    if !limits.contains(&read) {
        let what = format!("{text:?} is outside of its limits");
        checks.problem(Problem::new(key, what, format!("Use {least} to {most}.")));
        return None;
    }
    Some(read)
}
