//! The cookie of a browser in which somebody has logged in before.
//!
//! Whoever floods an account with wrong passwords from the victim's own network would make her wait with him, were it not for
//! this: her browser is known to the account, and counts by itself. The cookie logs nobody in. It is bound to the account's
//! name, so that an attacker's own account is of no use to him, and holds a random name of the browser, an issue day, and a MAC
//! over all three. A browser keeps the accounts of a family.

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use axum::http::{HeaderMap, HeaderValue};
use regrant_core::{Timestamp, codec};

use crate::app::App;
use crate::{chance, session};

/// A browser's name for one account: 96 bits of chance.
pub(crate) type BrowserName = [u8; 12];

const KIND: &str = "known";
const PREFIX: &str = "rgb_";
/// The most accounts that one browser is known to.
const MOST: usize = 4;
/// How long a browser is known without a log-in: browsers keep no cookie longer than 400 days.
const LIFETIME_DAYS: u64 = 400;
const DAY: u64 = 86_400;

/// Name, day, MAC.
type Part = [u8; 12 + 4 + 20];

/// The browser's name, if this account knows it.
pub(crate) fn name(app: &App, headers: &HeaderMap, account: &str) -> Option<BrowserName> {
    let today = day(app.engine.now());
    parts(app, headers).into_iter().find_map(|part| opened(app, &part, account, today))
}

/// The `Set-Cookie` value after this account has logged in.
pub(crate) fn remember(app: &App, headers: &HeaderMap, account: &str) -> HeaderValue {
    let today = day(app.engine.now());
    let known = name(app, headers, account);
    let mut all = vec![sealed(app, known.unwrap_or_else(chance::bytes), account, today)];
    let others = parts(app, headers).into_iter().filter(|part| opened(app, part, account, today).is_none());
    all.extend(others.take(MOST - 1));
    let text = all.iter().map(|part| codec::encode(PREFIX, part)).collect::<Vec<_>>().join(".");
    session::set_cookie(app, KIND, &text, Some(Duration::from_secs(LIFETIME_DAYS * DAY)))
}

fn parts(app: &App, headers: &HeaderMap) -> Vec<Part> {
    let name = app.issuer.cookie(KIND);
    let texts = session::cookie_texts(headers, &name);
    texts.flat_map(|text| text.split('.')).take(MOST).filter_map(|part| codec::decode(PREFIX, part)).collect()
}

fn opened(app: &App, part: &Part, account: &str, today: u32) -> Option<BrowserName> {
    let name: BrowserName = *part.first_chunk()?;
    let issued = u32::from_be_bytes(*part.get(12..)?.first_chunk()?);
    let is_fresh = u64::from(today.saturating_sub(issued)) <= LIFETIME_DAYS;
    let ours = sealed(app, name, account, issued);
    (is_fresh && constant_time::verify_slices_are_equal(part, &ours).is_ok()).then_some(name)
}

/// The label begins like none of the form tokens that are made with the same key.
fn sealed(app: &App, name: BrowserName, account: &str, issued: u32) -> Part {
    let mut context = hmac::Context::with_key(&app.csrf_key);
    context.update(b"known browser v1");
    context.update(&name);
    context.update(&issued.to_be_bytes());
    context.update(account.as_bytes());
    let mac = context.sign();
    let mut part = [0; 36];
    let bytes = name.into_iter().chain(issued.to_be_bytes()).chain(mac.as_ref().iter().copied());
    part.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    part
}

fn day(at: Timestamp) -> u32 {
    u32::try_from(at.seconds().max(0).unsigned_abs() / DAY).unwrap_or(u32::MAX)
}
