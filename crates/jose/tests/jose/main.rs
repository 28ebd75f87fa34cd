//! What the strict reader promises, one module per subject: published vectors, the header (RFC 7515 section 4), the
//! whole token (RFC 7515 section 5.2), keys (RFC 7517, RFC 7638), claims (RFC 7519 section 4.1), encrypted tokens (RFC 7516), and another crate beside ours.

#[cfg(test)]
mod claims;
#[cfg(test)]
mod header;
#[cfg(test)]
mod jwe;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod token;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod world;
#[cfg(test)]
mod wycheproof;
