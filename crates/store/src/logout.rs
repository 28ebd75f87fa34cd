//! Logouts that clients are to hear of: OpenID Connect Back-Channel Logout 1.0.
//!
//! A store makes them itself, of the logins of a session, in the commit that ends it: whoever ends sessions need not think of it.

use regrant_core::Timestamp;

/// One client is to hear of one logout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutNotice {
    /// In order; never used twice.
    pub id: u64,
    /// Who is to hear of it.
    pub client: String,
    /// Who was logged out.
    pub subject: String,
    /// Of which session: its root.
    pub session: [u8; 32],
    /// When.
    pub at: Timestamp,
}
