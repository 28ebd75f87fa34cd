//! The Secret Service of a Linux desktop (GNOME's and KDE's keyrings, KeePassXC), over D-Bus and encrypted on its way.
//!
//! Each call connects anew: it is asked a few times an hour, and may have been restarted or locked since. A locked one asks its user.

use std::collections::HashMap;

use secret_service::blocking::{Item, SecretService};
use secret_service::{EncryptionType, Error};
use zeroize::Zeroizing;

use super::Kept;
use crate::error::StoreError;

/// Whether there is one.
pub(super) fn is_there() -> Result<(), StoreError> {
    asked(|_| Ok(()))
}

/// What is kept for that account of that service.
pub(super) fn get(service: &str, account: &str) -> Result<Option<Kept>, StoreError> {
    asked(|desk| match item(desk, service, account)? {
        Some(item) => item.get_secret().map(Zeroizing::new).map(Some),
        None => Ok(None),
    })
}

/// Keeps it, in place of what was there.
pub(super) fn put(service: &str, account: &str, secret: &[u8]) -> Result<(), StoreError> {
    asked(|desk| {
        if let Some(item) = item(desk, service, account)? {
            return item.set_secret(secret, TEXT);
        }
        let collection = desk.get_default_collection()?;
        if collection.is_locked()? {
            collection.unlock()?;
        }
        let label = format!("{service}: {account}");
        collection.create_item(&label, attributes(service, account), secret, true, TEXT).map(|_| ())
    })
}

/// Deletes it, if it is there.
pub(super) fn delete(service: &str, account: &str) -> Result<(), StoreError> {
    asked(|desk| item(desk, service, account)?.map_or(Ok(()), |item| item.delete()))
}

const TEXT: &str = "text/plain";

/// By these it is found again, by us and by `secret-tool lookup service SERVICE username ACCOUNT`.
fn attributes<'a>(service: &'a str, account: &'a str) -> HashMap<&'a str, &'a str> {
    HashMap::from([("service", service), ("username", account)])
}

/// The item, unlocked.
fn item<'a>(desk: &'a SecretService<'_>, service: &str, account: &str) -> Result<Option<Item<'a>>, Error> {
    let found = desk.search_items(attributes(service, account))?;
    if let Some(item) = found.unlocked.into_iter().next() {
        return Ok(Some(item));
    }
    let Some(item) = found.locked.into_iter().next() else { return Ok(None) };
    item.unlock()?;
    Ok(Some(item))
}

/// Connects and asks, in a thread of its own: the connection waits in a runtime, and whoever calls us may be in one.
fn asked<T: Send>(act: impl FnOnce(&SecretService<'_>) -> Result<T, Error> + Send) -> Result<T, StoreError> {
    let ask = || SecretService::connect(EncryptionType::Dh).and_then(|desk| act(&desk));
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    let asked = asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    asked.map_err(|error| {
        let remedy = match error {
            Error::Unavailable => ". It is there in the session of a desktop (DBUS_SESSION_BUS_ADDRESS)",
            Error::Locked | Error::Prompt | Error::PromptDisconnected => ". Unlock it, and try again",
            Error::NoResult => ". It has no default keyring: make one with its own program",
            _ => "",
        };
        StoreError(format!("the Secret Service: {error}{remedy}"))
    })
}
