//! The claims every kind of signed token shares: `exp`, `nbf`, `iat`, `iss`, `aud`, RFC 7519 section 4.1.
//!
//! A claim of the wrong type is an error, never "absent": a string `exp` passed over as missing let tokens live for
//! ever elsewhere (CVE-2026-25537).

use serde_json::{Map, Value};

use crate::ClaimError;

/// The last second of the year 9999. A greater time is milliseconds taken for seconds, or mischief.
const LAST_SECOND: u64 = 253_402_300_799;

/// What a token's claims must say. The caller brings the time; nothing here looks at a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// `iss` must be exactly this.
    pub issuer: &'a str,
    /// `aud` must be exactly this, or an array that contains it.
    pub audience: &'a str,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
    /// How many seconds the clocks may differ. RFC 7519 section 4.1.4: "usually no more than a few minutes".
    pub leeway: u64,
}

/// The times of a token, in seconds since 1970-01-01T00:00:00Z. Fractions are rounded to the token's disadvantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// `exp`, rounded down.
    pub expires_at: u64,
    /// `nbf`, rounded up.
    pub not_before: Option<u64>,
    /// `iat`, rounded up.
    pub issued_at: Option<u64>,
}

impl Expected<'_> {
    /// Checks issuer, audience and times, in this order.
    ///
    /// # Errors
    /// [`ClaimError`], for the first claim that is missing, malformed or not as expected.
    pub fn check(&self, claims: &Map<String, Value>) -> Result<Times, ClaimError> {
        check_issuer(claims, self.issuer)?;
        check_audience(claims, self.audience)?;
        check_times(claims, self.now, self.leeway)
    }
}

/// Checks that the token is valid now: `exp` is required and to come, `nbf` and `iat`, if there, are not to come.
/// Each must be a JSON number between 0 and the year 9999, whole or not (RFC 7519 section 2, NumericDate).
///
/// # Errors
/// [`ClaimError::Missing`] (`exp` only), [`ClaimError::Malformed`], [`ClaimError::Expired`],
/// [`ClaimError::NotYetValid`] or [`ClaimError::IssuedInFuture`].
pub fn check_times(claims: &Map<String, Value>, now: u64, leeway: u64) -> Result<Times, ClaimError> {
    let expires_at = numeric_date(claims, "exp", f64::floor)?.ok_or(ClaimError::Missing("exp"))?;
    let not_before = numeric_date(claims, "nbf", f64::ceil)?;
    let issued_at = numeric_date(claims, "iat", f64::ceil)?;
    // RFC 7519 section 4.1.4: "on or after which the JWT MUST NOT be accepted".
    if now >= expires_at.saturating_add(leeway) {
        return Err(ClaimError::Expired);
    }
    let latest = now.saturating_add(leeway);
    if not_before.is_some_and(|not_before| not_before > latest) {
        return Err(ClaimError::NotYetValid);
    }
    if issued_at.is_some_and(|issued_at| issued_at > latest) {
        return Err(ClaimError::IssuedInFuture);
    }
    Ok(Times { expires_at, not_before, issued_at })
}

/// Checks that `iss` is a string and exactly `issuer`, compared byte by byte: no URL is normalized.
///
/// # Errors
/// [`ClaimError::Missing`], [`ClaimError::Malformed`] or [`ClaimError::OtherIssuer`].
pub fn check_issuer(claims: &Map<String, Value>, issuer: &str) -> Result<(), ClaimError> {
    match claims.get("iss") {
        None => Err(ClaimError::Missing("iss")),
        Some(Value::String(found)) if found == issuer => Ok(()),
        Some(Value::String(_)) => Err(ClaimError::OtherIssuer),
        Some(_) => Err(ClaimError::Malformed("iss")),
    }
}

/// Checks that `aud` is `audience`, or an array of strings that contains it, compared byte by byte.
///
/// # Errors
/// [`ClaimError::Missing`], [`ClaimError::Malformed`] (an array with anything but strings, too) or
/// [`ClaimError::OtherAudience`].
pub fn check_audience(claims: &Map<String, Value>, audience: &str) -> Result<(), ClaimError> {
    let named = match claims.get("aud") {
        None => return Err(ClaimError::Missing("aud")),
        Some(Value::String(found)) => found == audience,
        Some(Value::Array(found)) if found.iter().all(Value::is_string) => found.iter().any(|one| one == audience),
        Some(_) => return Err(ClaimError::Malformed("aud")),
    };
    if named { Ok(()) } else { Err(ClaimError::OtherAudience) }
}

fn numeric_date(
    claims: &Map<String, Value>,
    name: &'static str,
    round: fn(f64) -> f64,
) -> Result<Option<u64>, ClaimError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let Value::Number(number) = value else {
        return Err(ClaimError::Malformed(name));
    };
    let seconds = match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => whole,
        // Below the bound every whole f64 is exact, and the sign is checked, so the conversion loses nothing.
        (None, Some(fraction)) if (0.0..=LAST_SECOND as f64).contains(&fraction) => round(fraction) as u64,
        _ => return Err(ClaimError::Malformed(name)),
    };
    if seconds > LAST_SECOND { Err(ClaimError::Malformed(name)) } else { Ok(Some(seconds)) }
}
