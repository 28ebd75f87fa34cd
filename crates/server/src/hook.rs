//! The token hook: a program of the operator's that is asked before a token is made, and can deny it or add claims.
//!
//! The question is a POST of JSON, signed as `signature.rs` says. It holds what the grant is known to be, and never a token, a code
//! or a secret.
//!
//! ```text
//! → {"type":"token","issuer":…,"correlation_id":…,"grant_type":…,"client_id":…,"sub":…,"scope":…,"resources":[…],"grant":…,"auth_time":…}
//! ← {"allow":true,"claims":{"tier":"gold"}}        or   {"allow":false,"reason":"for the log"}
//! ```
//!
//! It is asked after the client is authenticated and its grant was found to be good, and before anything is consumed: a
//! denial, and a hook that does not answer, leave code and refresh token as they are.

use regrant_core::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::claims::{MAX_CLAIMS, check_name, check_value};
use crate::config::TokenHookSetting;
use crate::outbound::{Call, NoAnswer, Outbound};
use crate::signature;

/// How many questions may be on their way at once; the others wait, within their own time.
const MAX_AT_ONCE: usize = 64;
/// The longest reason that is logged, in characters.
const MAX_REASON: usize = 200;

/// Asks the hook.
pub(crate) struct Hook {
    outbound: Outbound,
    places: Semaphore,
}

/// What the hook is told.
#[derive(Serialize)]
pub(crate) struct Question<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) issuer: &'a str,
    pub(crate) correlation_id: &'a str,
    pub(crate) grant_type: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) resources: Vec<&'a str>,
    /// The grant's public id, for `regrant grants show`; none for flows without a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<i64>,
}

/// What the hook says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// Yes, with these claims more.
    Allow(Map<String, Value>),
    /// No, for this reason, which is for the log.
    Deny(String),
}

impl Hook {
    pub(crate) fn new() -> Self {
        Self { outbound: Outbound::new(), places: Semaphore::new(MAX_AT_ONCE) }
    }

    /// Asks. Waits at most the time-out for a place, and at most as long again for the answer.
    pub(crate) async fn ask(
        &self,
        setting: &TokenHookSetting,
        question: &Question<'_>,
        now: Timestamp,
    ) -> Result<Said, NoAnswer> {
        let body = serde_json::to_vec(question).map_err(|error| NoAnswer::Nonsense(error.to_string()))?;
        let headers = signature::headers(&setting.secret, question.correlation_id, now, &body)?;
        let place = tokio::time::timeout(setting.timeout, self.places.acquire()).await;
        let _place = place.map_err(|_| NoAnswer::Busy)?.map_err(|_| NoAnswer::Busy)?;
        let call = Call { url: &setting.url, media_type: "application/json", headers, body };
        let asked = self.outbound.post(call, setting.timeout);
        let answer = tokio::time::timeout(setting.timeout, asked).await.unwrap_or(Err(NoAnswer::TimedOut))?;
        read(&answer)
    }
}

/// Duplicate members, reserved names and oversized claims are no answer: what to do then is the operator's `on_failure`.
fn read(body: &[u8]) -> Result<Said, NoAnswer> {
    let nonsense = |what: String| NoAnswer::Nonsense(what);
    let mut members = regrant_jose::read_object(body).map_err(|fault| nonsense(format!("it {fault}")))?;
    match members.get("allow") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => {
            let reason = members.get("reason").and_then(Value::as_str).unwrap_or("no reason given");
            return Ok(Said::Deny(reason.chars().take(MAX_REASON).collect()));
        }
        _ => return Err(nonsense("there is no \"allow\" of true or false".to_owned())),
    }
    let claims = match members.remove("claims") {
        None => Map::new(),
        Some(Value::Object(claims)) => claims,
        Some(_) => return Err(nonsense("\"claims\" is no object".to_owned())),
    };
    for (name, value) in &claims {
        let shown = || name.chars().take(80).collect::<String>();
        check_name(name).and_then(|()| check_value(value)).map_err(|bad| nonsense(format!("{:?}: {bad}", shown())))?;
    }
    let bytes = serde_json::to_string(&claims).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_CLAIMS {
        return Err(nonsense(format!("its claims take {bytes} bytes, and {MAX_CLAIMS} are the limit")));
    }
    Ok(Said::Allow(claims))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Checks I10, I11: what a hook may not say is no answer at all.
    #[test]
    fn what_makes_no_sense_is_no_answer() {
        for body in [
            "",
            "nothing",
            "[]",
            "{}",
            r#"{"allow":"true"}"#,
            r#"{"allow":1}"#,
            r#"{"allow":true,"allow":false}"#,
            r#"{"allow":true,"claims":[]}"#,
            r#"{"allow":true,"claims":{"sub":"usr_2"}}"#,
            r#"{"allow":true,"claims":{"Client_ID":"x"}}"#,
            r#"{"allow":true,"claims":{"a":null}}"#,
            r#"{"allow":true,"claims":{"a":1e400}}"#,
            r#"{"allow":true,"claims":{"a":9007199254740993}}"#,
            r#"{"allow":true} x"#,
        ] {
            assert!(matches!(read(body.as_bytes()), Err(NoAnswer::Nonsense(_))), "{body}");
        }
        let large = json!({"allow": true, "claims": {"a": ["x".repeat(2000), "y".repeat(2000), "z".repeat(2000)]}});
        assert!(matches!(read(large.to_string().as_bytes()), Err(NoAnswer::Nonsense(_))));
        assert_eq!(read(br#"{"allow":true,"more":1}"#), Ok(Said::Allow(Map::new())));
        let denied = json!({"allow": false, "claims": 1, "reason": "x".repeat(1000)});
        assert_eq!(read(denied.to_string().as_bytes()), Ok(Said::Deny("x".repeat(200))));
    }
}
