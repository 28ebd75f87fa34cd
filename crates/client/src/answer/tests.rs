//! The table of answers: what each of them is taken for.

use super::*;

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    Answer { status, content_type: Some(content_type.to_owned()), body: body.as_bytes().to_vec(), ..Answer::default() }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const GOOD: &str = r#"{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"r"}"#;

/// How an answer is told apart in the table.
fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Success(_) => "success",
        Verdict::Over(_) => "over",
        Verdict::Later { .. } => "later",
        Verdict::Refused(_) => "refused",
    }
}

#[test]
fn only_an_invalid_grant_in_json_ends_a_session() {
    let table: [(u16, &str, &str, &str); 42] = [
        (200, JSON, GOOD, "success"),
        (200, "text/plain", GOOD, "success"),
        (201, JSON, GOOD, "success"),
        (200, FORM, "access_token=a&token_type=bearer&expires_in=28800&refresh_token=r&scope=", "success"),
        (200, JSON, r#"{"access_token":"a"}"#, "success"),
        (400, JSON, r#"{"error":"invalid_grant"}"#, "over"),
        (400, JSON, r#"{"error":"invalid_grant","error_description":"Token is not active"}"#, "over"),
        (401, JSON, r#"{"error":"invalid_grant"}"#, "over"),
        (403, JSON, r#"{"error":"invalid_grant"}"#, "over"),
        (400, "text/plain", r#"{"error":"invalid_grant"}"#, "over"),
        // In HTML, as a text, in another member, in another case, or with a status that is no refusal, it is nobody's word.
        (400, HTML, "<p>invalid_grant</p>", "later"),
        (400, JSON, r#""invalid_grant""#, "later"),
        (400, JSON, r#"["invalid_grant"]"#, "later"),
        (400, JSON, r#"{"message":"invalid_grant"}"#, "later"),
        (400, JSON, r#"{"error":{"code":"invalid_grant"}}"#, "later"),
        (400, JSON, r#"{"error":"invalid_gr"#, "later"),
        (200, JSON, r#"{"error":"invalid_grant"}"#, "later"),
        (302, JSON, r#"{"error":"invalid_grant"}"#, "later"),
        (500, JSON, r#"{"error":"invalid_grant"}"#, "later"),
        (503, JSON, r#"{"error":"invalid_grant"}"#, "later"),
        (429, JSON, r#"{"error":"slow_down"}"#, "later"),
        (400, JSON, r#"{"error":"temporarily_unavailable"}"#, "later"),
        (400, JSON, r#"{"error":"slow_down"}"#, "later"),
        (400, JSON, r#"{"error":"use_dpop_nonce"}"#, "later"),
        (503, JSON, r#"{"error":"temporarily_unavailable"}"#, "later"),
        (401, JSON, r#"{"error":"invalid_client"}"#, "refused"),
        (400, JSON, r#"{"error":"invalid_request"}"#, "refused"),
        (400, JSON, r#"{"error":"invalid_scope"}"#, "refused"),
        (400, JSON, r#"{"error":"invalid_target"}"#, "refused"),
        (400, JSON, r#"{"error":"unauthorized_client"}"#, "refused"),
        (400, JSON, r#"{"error":"unsupported_grant_type"}"#, "refused"),
        (403, HTML, "<html>Blocked by your company</html>", "later"),
        (404, HTML, "<html>not found</html>", "later"),
        (401, "", "", "later"),
        (200, HTML, "<html>Log in to this network</html>", "later"),
        (200, JSON, r#"{"token_type":"Bearer"}"#, "later"),
        (200, JSON, r#"{"access_token":""}"#, "later"),
        (200, JSON, r#"{"access_token":"a","tok"#, "later"),
        (204, JSON, "", "later"),
        (302, HTML, "", "later"),
        (502, HTML, "<html>Bad Gateway</html>", "later"),
        (408, "", "", "later"),
    ];
    for (status, content_type, body, expected) in table {
        assert_eq!(kind(&judge(&answer(status, content_type, body))), expected, "{status} {content_type} {body}");
    }
}

#[test]
fn a_pause_is_the_one_that_the_server_asks_for() {
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    for (retry_after, date, expected) in [
        (None, None, PAUSE),
        (Some("7"), None, Duration::from_secs(7)),
        (Some("0"), None, Duration::ZERO),
        (Some("999999"), None, LONGEST_PAUSE),
        (Some("Sun, 06 Nov 1994 08:50:37 GMT"), date, Duration::from_secs(60)),
        (Some("Sun, 06 Nov 1994 08:48:37 GMT"), date, Duration::ZERO),
        (Some("Sun, 06 Nov 1994 08:50:37 GMT"), None, PAUSE),
        (Some("soon"), date, PAUSE),
        (Some("-5"), None, PAUSE),
    ] {
        let mut later = answer(503, JSON, "{}");
        (later.retry_after, later.date) = (retry_after.map(str::to_owned), date.map(str::to_owned));
        let Verdict::Later { after, .. } = judge(&later) else { panic!("{retry_after:?}") };
        assert_eq!(after, expected, "{retry_after:?}");
    }
}

#[test]
fn a_date_is_read_as_rfc_9110_writes_it() {
    for (text, expected) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49 GMT", None),
        ("", None),
    ] {
        assert_eq!(http_date(text), expected, "{text}");
    }
}

/// The shapes that well-known servers answer with.
#[test]
fn each_dialect_says_when_the_refresh_token_ends() {
    for (body, expires_in, refresh_ends) in [
        // Regrant
        (
            r#"{"access_token":"a","token_type":"Bearer","expires_in":3599,"refresh_token":"r",
            "refresh_token_expires_in":2591999,"refresh_token_timeout":2591999,"authorization_expires_in":31535999}"#,
            Some(3599),
            Some(2_591_999),
        ),
        // LinkedIn
        (
            r#"{"access_token":"a","expires_in":5184000,"refresh_token":"r","refresh_token_expires_in":31536000,"scope":"r_basicprofile"}"#,
            Some(5_184_000),
            Some(31_536_000),
        ),
        // Google: nothing of the refresh token on a refresh
        (
            r#"{"access_token":"a","expires_in":3920,"scope":"https://www.googleapis.com/auth/drive","token_type":"Bearer"}"#,
            Some(3920),
            None,
        ),
        // GitHub: numbers as texts
        (
            r#"{"access_token":"a","expires_in":"28800","refresh_token":"r","refresh_token_expires_in":"15811200","token_type":"bearer"}"#,
            Some(28_800),
            Some(15_811_200),
        ),
        // Keycloak: its own name, and zero where there is no end
        (
            r#"{"access_token":"a","expires_in":300,"refresh_expires_in":1800,"refresh_token":"r","token_type":"Bearer","not-before-policy":0}"#,
            Some(300),
            Some(1800),
        ),
        (
            r#"{"access_token":"a","expires_in":300,"refresh_expires_in":0,"refresh_token":"r","token_type":"Bearer"}"#,
            Some(300),
            None,
        ),
    ] {
        let Verdict::Success(tokens) = judge(&answer(200, JSON, body)) else { panic!("{body}") };
        assert_eq!((tokens.expires_in, tokens.refresh_token_expires_in), (expires_in, refresh_ends), "{body}");
    }
}

#[test]
fn what_a_server_says_is_bounded_before_it_is_shown() {
    let body = format!(r#"{{"error":"invalid_grant","error_description":"\u001b[31m{}"}}"#, "x".repeat(10_000));
    let Verdict::Over(words) = judge(&answer(400, JSON, &body)) else { panic!() };
    assert!(words.chars().count() <= LONGEST_TEXT && !words.contains('\u{1b}'), "{words}");
}

/// Of any server, and on any answer: it may be wrong, and stops nobody.
#[test]
fn a_date_that_cannot_be_is_none() {
    for time in ["9223372036854775807:00:00", "00:9223372036854775807:00", "61:00:00", "-1:00:00", "00:00:99"] {
        assert_eq!(http_date(&format!("Sun, 06 Nov 1994 {time} GMT")), None, "{time}");
    }
}
