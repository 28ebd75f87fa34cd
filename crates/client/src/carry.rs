//! One request to an API, whatever sends it: it carries a fresh token, and one that is refused as `invalid_token` is sent once more, with
//! another. The client, the tower layer and the middleware all come here.
//!
//! | the answer is 401 with                | the request is sent again                   | otherwise                               |
//! |---------------------------------------|---------------------------------------------|-----------------------------------------|
//! | `invalid_token`, for the first time   | with another token                          | its body cannot be copied: the next request has another token |
//! | `use_dpop_nonce`, for the first time  | with a proof that has the nonce             | its body cannot be copied: the next request has the nonce |
//! | anything else, or once more           | no                                          | it is the answer                        |

use http::header::{HeaderMap, WWW_AUTHENTICATE};
use http::{Method, StatusCode};

use crate::error::Error;
use crate::session::Session;

/// A request.
pub(crate) trait Parcel: Send + Sized {
    fn method(&self) -> &Method;
    fn url(&self) -> String;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// The same again; `None` if its body can be sent once only.
    fn copied(&self) -> Option<Self>;
}

/// What sends it.
pub(crate) trait Carrier<P>: Send {
    type Answer: Send;
    type Failure: From<Error>;

    fn carry(&mut self, parcel: P) -> impl Future<Output = Result<Self::Answer, Self::Failure>> + Send;

    /// What its status and headers say.
    fn said(answer: &Self::Answer) -> (StatusCode, &HeaderMap);
}

/// Sends a request, twice or three times if it must.
pub(crate) async fn deliver<P: Parcel, C: Carrier<P>>(
    session: &Session,
    mut parcel: P,
    carrier: &mut C,
) -> Result<C::Answer, C::Failure> {
    let url = parcel.url();
    let mut token = session.token().await?;
    let mut tries = Tries::default();
    loop {
        let again = parcel.copied();
        let method = parcel.method().clone();
        session.present(&token, method.as_str(), &url, parcel.headers_mut())?;
        let answer = carrier.carry(parcel).await?;
        let (status, headers) = C::said(&answer);
        match (tries.next(session, &url, status, headers), again) {
            (None, _) | (Some(Next::SameToken), None) => return Ok(answer),
            (Some(Next::SameToken), Some(again)) => parcel = again,
            (Some(Next::OtherToken), Some(again)) => {
                token = session.token_after(&token).await?;
                parcel = again;
            }
            (Some(Next::OtherToken), None) => {
                // The refusal is the answer; why there is no other token, if there is none, the next request hears.
                let _ = session.token_after(&token).await;
                return Ok(answer);
            }
        }
    }
}

/// Why a request is sent again: each reason counts once.
#[derive(Debug, Default)]
struct Tries {
    had_nonce: bool,
    had_other: bool,
}

/// With what it is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// With another token.
    OtherToken,
    /// With a proof that has the nonce of the answer.
    SameToken,
}

impl Tries {
    /// RFC 6750 section 3.1: "The access token provided is expired, revoked, malformed, or invalid for other reasons. [...] The client MAY
    /// request a new access token and retry the protected resource request." And RFC 9449 section 9, of `use_dpop_nonce`.
    fn next(&mut self, session: &Session, url: &str, status: StatusCode, headers: &HeaderMap) -> Option<Next> {
        let nonce = headers.get("dpop-nonce").and_then(|nonce| nonce.to_str().ok());
        session.heard_nonce(url, nonce);
        let says = |word: &str| {
            let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
            challenges.any(|value| value.to_str().is_ok_and(|value| value.contains(word)))
        };
        if status != StatusCode::UNAUTHORIZED {
            return None;
        }
        if says("use_dpop_nonce") && nonce.is_some() && !std::mem::replace(&mut self.had_nonce, true) {
            return Some(Next::SameToken);
        }
        (says("invalid_token") && !std::mem::replace(&mut self.had_other, true)).then_some(Next::OtherToken)
    }
}
