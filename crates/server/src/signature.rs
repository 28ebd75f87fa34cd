//! How requests of ours are signed: Standard Webhooks 1.0. `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,` with the
//! Base64 of HMAC-SHA-256 over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};
use regrant_core::Timestamp;

use crate::config::HookSecret;
use crate::outbound::NoAnswer;

/// The three headers for this body.
pub(crate) fn headers(
    secret: &HookSecret,
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Result<Vec<(HeaderName, HeaderValue)>, NoAnswer> {
    let timestamp = now.seconds().to_string();
    let signature = format!("v1,{}", sign(secret.expose(), id, &timestamp, body));
    let named = |(name, value): (&'static str, &str)| {
        let value = HeaderValue::from_str(value).map_err(|error| NoAnswer::Nonsense(error.to_string()))?;
        Ok((HeaderName::from_static(name), value))
    };
    [("webhook-id", id), ("webhook-timestamp", &timestamp), ("webhook-signature", &signature)]
        .into_iter()
        .map(named)
        .collect()
}

fn sign(secret: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    STANDARD.encode(context.sign())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("Base64");
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
