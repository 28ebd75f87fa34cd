//! `id_token_hint`: an ID token of this server, however old it is (OpenID Connect Core section 3.1.2.1, RP-Initiated Logout 1.0
//! section 2).
//!
//! Applications keep the ID token of a login for as long as its session lives, and a signing key verifies only as long as the tokens
//! that it signed. What names a key that is not here any more is therefore no reason to turn a user away: it says nothing, and
//! whoever sent it is treated as one without a hint.

use regrant_jose::{Typ, Unverified, VerifyError, check_issuer};
use serde_json::{Map, Value};

use crate::app::App;
use crate::encryption;

/// Why a hint says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoHint {
    /// It claims to be of this server, and names a key that is gone, or never was: nobody can tell.
    KeyGone,
    /// It is no ID token of this server's.
    NotOurs,
}

/// What it says. "the OP … SHOULD accept ID Tokens […] even when the exp time has passed" (RP-Initiated Logout section 4): `exp` is
/// not looked at.
pub(crate) fn read(app: &App, text: &str) -> Result<Map<String, Value>, NoHint> {
    // "The Client MAY re-encrypt the signed ID token to the Authentication Server".
    let text = encryption::opened(app, text).map_err(|_| NoHint::NotOurs)?;
    let token = Unverified::parse(&text).map_err(|_| NoHint::NotOurs)?;
    let claimed = token.claims_unverified().map_err(|_| NoHint::NotOurs)?;
    // Our keys sign nothing else without a type of its own, and this says that it was signed here.
    check_issuer(&claimed, app.issuer()).map_err(|_| NoHint::NotOurs)?;
    match token.verify(Typ::JwtOrAbsent, &app.signing().verifying) {
        Ok(verified) => Ok(verified.claims),
        Err(VerifyError::UnknownKey) => Err(NoHint::KeyGone),
        Err(_) => Err(NoHint::NotOurs),
    }
}
