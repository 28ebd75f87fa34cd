//! The pages of the device flow: RFC 8628 section 3.3.

use serde::Serialize;

use super::{Qr, ScopeLine};

/// Asks for the user code.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Device<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Who is logged in.
    pub username: &'a str,
    /// What was typed before.
    pub user_code: &'a str,
    /// What was wrong with it, a sentence.
    pub error: Option<&'a str>,
    /// This page's own address, for a phone.
    pub qr: Option<Qr<'a>>,
}

/// Asks whether a device may have what it asks for. Neither button has the focus.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DeviceConfirm<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The name that the client chose for itself.
    pub client_name: &'a str,
    /// Who is logged in.
    pub username: &'a str,
    /// To be compared with what the device shows; comes back as the field `user_code`.
    pub user_code: &'a str,
    /// When the device asked.
    pub asked_at: &'a str,
    /// From where; empty if that is not known.
    pub place: &'a str,
    /// Whether that is another network than the browser's.
    pub elsewhere: bool,
    /// What the grant would hold.
    pub scopes: &'a [ScopeLine<'a>],
    /// The resource indicators (RFC 8707), if it names any.
    pub resources: &'a [&'a str],
    /// As on the consent page.
    pub lifetime: &'a str,
    /// Comes back as the field `csrf`.
    pub csrf: &'a str,
}

/// Says what was answered.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DeviceDone<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// As before.
    pub client_name: &'a str,
    /// What.
    pub allowed: bool,
}
