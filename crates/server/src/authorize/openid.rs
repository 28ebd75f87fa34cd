//! The parameters of OpenID Connect Core sections 3.1.2.1 and 5.5: `nonce`, `max_age`, `id_token_hint`, `claims`.
//!
//! `display`, `claims_locales` and `acr_values` are wishes: read, and fulfilled by the one page and kind of login there is, or passed on to
//! the application that asks in our place. `ui_locales` is the language of the pages (`pages/words.rs`).

use regrant_core::openid::{self, ClaimsAsked, MAX_NONCE};
use regrant_core::prompt::Prompt;
use regrant_core::{Client, Scope};
use regrant_jose::check_audience;
use serde_json::{Map, Value};

use super::Denied;
use crate::app::App;
use crate::form::Form;
use crate::id_token_hint::{self, NoHint};

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) nonce: Option<String>,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
    /// The `sub`s that the user must have, as the client knows them: by `id_token_hint`, and by the value of a `sub` claim.
    pub(crate) named: Vec<String>,
    /// Filled in on the login page.
    pub(crate) login_hint: String,
    pub(crate) claims: ClaimsAsked,
    /// The `acr`s of which the login must have one; empty if any will do.
    pub(crate) acrs: Vec<String>,
}

impl Wishes {
    /// Reads them.
    pub(super) fn read(app: &App, form: &Form, client: &Client, prompt: Prompt) -> Result<Self, Denied> {
        let nonce = form.text("nonce", MAX_NONCE);
        let nonce = nonce.map_err(|_| Denied::invalid("nonce is too long or holds control characters"))?;
        let max_age = form.credential("max_age").map(|text| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            // A greater number than there are seconds limits nothing.
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        });
        let max_age = match max_age {
            Some(None) => return Err(Denied::invalid("max_age must be a number of seconds")),
            Some(age) => age,
            None => None,
        };
        let mut named = Vec::new();
        if let Some(hint) = form.credential("id_token_hint") {
            match id_token_hint::read(app, hint) {
                Ok(claims) => named.push(hinted(&claims, client.id.as_str()).ok_or(NO_HINT)?),
                // Who was logged in before cannot be told any more: without a page that is an answer, with one it is asked anew.
                Err(NoHint::KeyGone) if prompt.none => return Err(Denied::LOGIN_REQUIRED),
                Err(NoHint::KeyGone) => {}
                Err(NoHint::NotOurs) => return Err(NO_HINT),
            }
        }
        let (mut claims, mut acrs) = (ClaimsAsked::default(), Vec::new());
        if let Some(text) = form.credential("claims") {
            let settings = app.settings();
            let asked = read_claims(text, &client.scopes, &settings.config.interactions.all_acr_values())?;
            claims = asked.claims;
            acrs = asked.acrs;
            named.extend(asked.subject);
        }
        // A wish: what cannot be a name of a user is none.
        let login_hint = form.text("login_hint", crate::session::MAX_USERNAME_LEN).ok().flatten().unwrap_or_default();
        let (nonce, login_hint) = (nonce.map(str::to_owned), login_hint.to_owned());
        Ok(Self { nonce, max_age, named, login_hint, claims, acrs })
    }
}

const NO_HINT: Denied = Denied::invalid("id_token_hint is no ID token of this client");

/// The `sub` of an ID token that this server gave this client. Core section 3.1.2.1: "ID Token previously issued by the Authorization
/// Server being passed as a hint".
fn hinted(claims: &Map<String, Value>, client: &str) -> Option<String> {
    check_audience(claims, client).ok()?;
    claims.get("exp").filter(|exp| exp.is_number())?;
    claims.get("sub").and_then(Value::as_str).map(str::to_owned)
}

/// What a `claims` parameter asks for.
#[derive(Default, Debug)]
struct Asked {
    claims: ClaimsAsked,
    subject: Option<String>,
    acrs: Vec<String>,
}

/// Core section 5.5. "Any members used that are not understood MUST be ignored." `known` are the `acr`s that logins here can have.
fn read_claims(text: &str, scopes: &Scope, known: &[&str]) -> Result<Asked, Denied> {
    const MALFORMED: Denied = Denied::invalid("claims is not an object as OpenID Connect Core section 5.5 has it");
    let parameter = regrant_jose::read_object(text.as_bytes()).map_err(|_| MALFORMED)?;
    let (mut asked, mut subject, mut acrs) = (ClaimsAsked::default(), None, Vec::new());
    for (place, names) in [("id_token", &mut asked.id_token), ("userinfo", &mut asked.userinfo)] {
        let members = match parameter.get(place) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(members)) => members,
            Some(_) => return Err(MALFORMED),
        };
        for (name, wish) in members {
            let wish = match wish {
                Value::Null => &Map::new(),
                Value::Object(wish) => wish,
                _ => return Err(MALFORMED),
            };
            match (name.as_str(), wish.get("value")) {
                // Section 5.5.1: "the Claim be returned with a particular value. For instance the Claim request: "sub": {"value": …} can
                // be used to specify that the request apply to the End-User with Subject Identifier".
                ("sub", Some(Value::String(value))) if subject.as_ref().is_none_or(|before| before == value) => {
                    subject = Some(value.clone());
                }
                ("sub", Some(_)) => return Err(MALFORMED),
                ("acr", _) => acrs.extend(needed(wish, known)?),
                (name, _) if openid::may_ask(scopes, name) => names.push(name.to_owned()),
                _ => {}
            }
        }
        names.sort_unstable();
    }
    Ok(Asked { claims: asked, subject, acrs })
}

/// Core section 5.5.1.1: "If the acr Claim is requested as an Essential Claim for the ID Token with a values parameter requesting specific
/// Authentication Context Class Reference values […] the Authorization Server MUST return an acr Claim Value that matches one of the
/// requested values", or else "treat that outcome as a failed authentication attempt".
fn needed(wish: &Map<String, Value>, known: &[&str]) -> Result<Vec<String>, Denied> {
    if !is_essential(wish) {
        return Ok(Vec::new());
    }
    let values: Vec<&Value> = match (wish.get("value"), wish.get("values")) {
        (None, None) => return Ok(Vec::new()),
        (value, Some(Value::Array(values))) => value.into_iter().chain(values).collect(),
        (value, _) => value.into_iter().collect(),
    };
    let can_be: Vec<String> =
        values.into_iter().filter_map(Value::as_str).filter(|acr| known.contains(acr)).map(str::to_owned).collect();
    if can_be.is_empty() { Err(Denied::UNMET) } else { Ok(can_be) }
}

fn is_essential(wish: &Map<String, Value>) -> bool {
    wish.get("essential") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use regrant_core::openid::ACR_PASSWORD;

    use super::*;

    fn read(text: &str) -> Result<(ClaimsAsked, Option<String>), &'static str> {
        let scopes = Scope::parse("openid profile email").expect("a scope");
        let read = read_claims(text, &scopes, &[ACR_PASSWORD, "urn:example:strong"]).map_err(|denied| denied.error)?;
        Ok((read.claims, read.subject))
    }

    #[test]
    fn what_a_client_may_have_is_asked_for_by_name() {
        let text = r#"{"userinfo":{"picture":null,"address":null,"groups":{"essential":true},"unheard_of":{"x":1}},
            "id_token":{"email":{"essential":true},"auth_time":null,"sub":{"value":"usr_1"}},"others":7}"#;
        let (asked, subject) = read(text).expect("a claims parameter");
        assert_eq!((asked.userinfo, asked.id_token), (vec!["picture".to_owned()], vec!["email".to_owned()]));
        assert_eq!(subject.as_deref(), Some("usr_1"));
        assert_eq!(read("{}"), Ok(Default::default()));
        assert_eq!(read(r#"{"userinfo":null}"#), Ok(Default::default()));
    }

    #[test]
    fn what_is_no_claims_parameter_is_refused() {
        for bad in [
            "",
            "[]",
            "x",
            r#"{"userinfo":[]}"#,
            r#"{"id_token":{"email":true}}"#,
            r#"{"id_token":{"sub":{"value":7}}}"#,
            r#"{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}"#,
            r#"{"id_token":{"email":null,"email":null}}"#,
            &"{\"id_token\":".repeat(100),
        ] {
            assert_eq!(read(bad), Err("invalid_request"), "{bad}");
        }
    }

    #[test]
    fn an_acr_that_no_login_has_is_an_error_where_it_is_essential() {
        let acr = |wish: &str| read(&format!(r#"{{"id_token":{{"acr":{wish}}}}}"#)).err();
        let ours = format!(r#"{{"essential":true,"values":["x","{ACR_PASSWORD}"]}}"#);
        for met in ["null", r#"{"essential":true}"#, r#"{"values":["x"]}"#, &ours] {
            assert_eq!(acr(met), None, "{met}");
        }
        for unmet in [
            r#"{"essential":true,"values":["x"]}"#,
            r#"{"essential":true,"value":"x"}"#,
            r#"{"essential":true,"values":7}"#,
        ] {
            assert_eq!(acr(unmet), Some("unmet_authentication_requirements"), "{unmet}");
        }
    }
}
