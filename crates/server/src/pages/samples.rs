//! Every page in every shape it can take: what a theme is judged by before anybody sees it, and what the tests look at.

use serde::Serialize;

use super::{
    Account, Allowed, Connection, Consent, Device, DeviceConfirm, DeviceDone, Failure, Field, FormPost, Happened, Home,
    LoggedOut, Login, Logout, Qr, Reasons, ScopeLine, Select, Voice,
};
use crate::profile::Links;
use crate::reasons;

/// A page that was made, or why it was not.
pub(super) struct Sample {
    /// The name of its template.
    pub(super) name: &'static str,
    pub(super) made: Result<String, minijinja::Error>,
}

fn given(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// All of them, with `value` in each of their texts.
pub(super) fn all(voice: &Voice, value: &str) -> Vec<Sample> {
    let mut samples = prompts(voice, value);
    samples.extend(rest(voice, value));
    samples
}

fn sample(voice: &Voice, name: &'static str, value: &str, page: &impl Serialize) -> Sample {
    Sample { name, made: voice.made(name, value, page) }
}

/// What asks something.
fn prompts(voice: &Voice, value: &str) -> Vec<Sample> {
    let scopes = [ScopeLine { name: value, description: value }, ScopeLine { name: value, description: "" }];
    let asking = Login { base: value, client_name: value, request: value, csrf: value, username: value, error: None };
    let links = Links::default();
    let linked = Links { home: given(value), logo: given(value), policy: given(value), terms: given(value) };
    let full = Consent {
        base: value,
        client_name: value,
        client_host: value,
        username: value,
        scopes: &scopes,
        resources: &[value, value],
        lifetime: value,
        links: &links,
        request: value,
        csrf: value,
    };
    let fields = [Field { name: value, value }, Field { name: value, value: "" }];
    let posted = FormPost { base: value, action: value, client_host: value, fields: &fields, script: value };
    let asked = DeviceConfirm {
        base: value,
        client_name: value,
        username: value,
        user_code: value,
        asked_at: value,
        place: value,
        elsewhere: true,
        scopes: &scopes,
        resources: &[value, value],
        lifetime: value,
        csrf: value,
    };
    let qr = Qr { size: 29, path: value, text: value };
    let code = Device { base: value, username: value, user_code: value, error: Some(value), qr: Some(qr) };
    let chosen = Select { base: value, client_name: value, username: value, request: value, csrf: value };
    let leaving = Logout { base: value, client_name: value, username: Some(value), request: value, csrf: value };
    let unknown = DeviceConfirm { place: "", elsewhere: false, scopes: &[], resources: &[], lifetime: "", ..asked };
    vec![
        sample(voice, "login", value, &asking),
        sample(voice, "login", value, &Login { client_name: "", username: "", error: Some(value), ..asking }),
        sample(voice, "consent", value, &full),
        sample(voice, "consent", value, &Consent { scopes: &[], resources: &[], lifetime: "", links: &linked, ..full }),
        sample(voice, "select", value, &chosen),
        sample(voice, "form_post", value, &posted),
        sample(voice, "form_post", value, &FormPost { fields: &[], ..posted }),
        sample(voice, "logout", value, &leaving),
        sample(voice, "logout", value, &Logout { client_name: "", username: None, request: "", ..leaving }),
        sample(voice, "device", value, &code),
        sample(voice, "device", value, &Device { user_code: "", error: None, qr: None, ..code }),
        sample(voice, "device_confirm", value, &asked),
        sample(voice, "device_confirm", value, &unknown),
    ]
}

/// What shows something.
fn rest(voice: &Voice, value: &str) -> Vec<Sample> {
    let scopes = [ScopeLine { name: value, description: value }, ScopeLine { name: value, description: "" }];
    let connection = Connection {
        id: value,
        client_name: value,
        here: true,
        place: value,
        since: value,
        used: value,
        idle: value,
        end: value,
        scopes: &scopes,
    };
    let connections = [connection, Connection { here: false, place: "", scopes: &[], ..connection }];
    let allowed =
        Allowed { client: value, client_name: value, since: value, until: value, paused: true, scopes: &scopes };
    let consents = [allowed, Allowed { until: "", paused: false, scopes: &[], ..allowed }];
    let happened = Happened { at: value, what: value, client_name: value };
    let history = [happened, Happened { client_name: "", ..happened }];
    let whole = Account {
        base: value,
        username: value,
        csrf: value,
        done: value,
        error: Some(value),
        password_failed: true,
        grants: &connections,
        consents: &consents,
        history: &history,
        more: true,
    };
    let empty = Account { done: "", error: None, grants: &[], consents: &[], history: &[], ..whole };
    let calm = Account { done: "", error: None, password_failed: false, more: false, ..whole };
    let left = LoggedOut { base: value, next: value, next_host: value, frames: &[] };
    let done = DeviceDone { base: value, client_name: value, allowed: true };
    let failed = Failure { base: value, title: value, message: value, correlation: value };
    let (all, most) = (reasons::all(), 2);
    let some = all.get(..most).unwrap_or(&all);
    let home = Home { base: value, issuer: value, username: Some(value) };
    vec![
        sample(voice, "account", value, &whole),
        sample(voice, "account", value, &empty),
        sample(voice, "account", value, &calm),
        sample(voice, "logged_out", value, &left),
        sample(voice, "logged_out", value, &LoggedOut { next: "", next_host: "", ..left }),
        sample(voice, "device_done", value, &done),
        sample(voice, "device_done", value, &DeviceDone { allowed: false, ..done }),
        sample(voice, "failure", value, &failed),
        sample(voice, "failure", value, &Failure { correlation: "", ..failed }),
        sample(voice, "home", value, &home),
        sample(voice, "home", value, &Home { username: None, ..home }),
        sample(voice, "reasons", value, &Reasons { base: value, reasons: some }),
    ]
}
