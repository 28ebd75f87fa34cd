//! What a device asked for (RFC 8628 section 3.1), until it is answered or over.

use regrant_core::device::Asked;

use crate::beside::Place;

/// No more wait at a time: beyond it, devices are asked to come again (check X9).
pub const MOST_DEVICE_REQUESTS: u32 = 20_000;
/// So many that are over go with each new one.
pub(crate) const TIDIED: u32 = 4;

/// What a device asked for. Whether it was answered is no column of it: the answer is a grant's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceRequest {
    /// What.
    pub asked: Asked,
    /// A keyed hash of the user code: the code itself is never stored.
    pub user_code: [u8; 32],
    /// From where.
    pub place: Place,
}
