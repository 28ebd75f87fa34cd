//! Logging users in, waiting for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::runtime;
use crate::error::Error;
use crate::login::{Begun, LoggedIn, Pending};
use crate::profile::Profile;
use crate::session::Settings;

/// As [`Login`](crate::Login). Clones are one.
#[derive(Clone, Debug)]
pub struct Login {
    login: crate::Login,
    runtime: Arc<Runtime>,
}

/// As [`Loopback`](crate::Loopback).
#[derive(Debug)]
pub struct Loopback {
    loopback: crate::Loopback,
    runtime: Arc<Runtime>,
}

/// As [`Device`](crate::Device).
#[derive(Debug)]
pub struct Device {
    device: crate::Device,
    runtime: Arc<Runtime>,
}

impl Login {
    /// As [`Login::new`](crate::Login::new).
    ///
    /// # Errors
    /// The same; [`Error::Misconfigured`] if no thread can be made.
    pub fn new(profile: Profile) -> Result<Self, Error> {
        Ok(Self { login: crate::Login::new(profile)?, runtime: Arc::new(runtime()?) })
    }

    /// As [`Login::with`](crate::Login::with).
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if no thread can be made.
    pub fn with(profile: Profile, settings: Settings) -> Result<Self, Error> {
        Ok(Self { login: crate::Login::with(profile, settings), runtime: Arc::new(runtime()?) })
    }

    /// As [`Login::begin`](crate::Login::begin).
    ///
    /// # Errors
    /// The same.
    pub fn begin(&self, redirect_uri: impl Into<String>) -> Result<Begun, Error> {
        self.runtime.block_on(self.login.begin(redirect_uri))
    }

    /// As [`Login::finish`](crate::Login::finish).
    ///
    /// # Errors
    /// The same.
    pub fn finish(&self, pending: &Pending, query: &str) -> Result<LoggedIn, Error> {
        self.runtime.block_on(self.login.finish(pending, query))
    }

    /// As [`Login::loopback`](crate::Login::loopback).
    ///
    /// # Errors
    /// The same.
    pub fn loopback(&self, path: &str) -> Result<Loopback, Error> {
        let loopback = self.runtime.block_on(self.login.loopback(path))?;
        Ok(Loopback { loopback, runtime: Arc::clone(&self.runtime) })
    }

    /// As [`Login::device`](crate::Login::device).
    ///
    /// # Errors
    /// The same.
    pub fn device(&self) -> Result<Device, Error> {
        let device = self.runtime.block_on(self.login.device())?;
        Ok(Device { device, runtime: Arc::clone(&self.runtime) })
    }
}

impl Loopback {
    /// Where the user logs in: open it in his browser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.loopback.url
    }

    /// As [`Loopback::wait`](crate::Loopback::wait).
    ///
    /// # Errors
    /// The same.
    pub fn wait(self) -> Result<LoggedIn, Error> {
        self.runtime.block_on(self.loopback.wait())
    }
}

impl Device {
    /// What the user enters.
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.device.user_code
    }

    /// Where.
    #[must_use]
    pub fn verification_uri(&self) -> &str {
        &self.device.verification_uri
    }

    /// Where without entering anything: for a QR code.
    #[must_use]
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.device.verification_uri_complete.as_deref()
    }

    /// How long the code is good.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.device.expires_in
    }

    /// As [`Device::wait`](crate::Device::wait).
    ///
    /// # Errors
    /// The same.
    pub fn wait(self) -> Result<LoggedIn, Error> {
        self.runtime.block_on(self.device.wait())
    }
}
