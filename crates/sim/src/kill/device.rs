//! Devices under SIGKILL: they ask, are allowed and get their tokens (RFC 8628) from a real server that is killed again and again.
//!
//! A device knows what it was told. Whatever was cut off is asked again of the next server, and must fit:
//!
//! | told before the kill                       | after it                                                             |
//! |--------------------------------------------|----------------------------------------------------------------------|
//! | a device code                              | `authorization_pending`, or what its user's answer leads to          |
//! | that it was allowed                        | the code leads to tokens                                             |
//! | tokens                                     | the refresh token works, and the code gives no other ones            |
//! | nothing, to the question for tokens        | tokens, once; or `invalid_grant`: they are spent, and nobody has them |

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Fault;
use crate::process::{Dice, Home, Server, pause};
use crate::wire::browser::form;
use crate::wire::device::{DEVICE_CODE, DEVICES, browser_of_base};
use crate::wire::{Browser, CONFIG, Http, Reply, USER};

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceReport {
    /// Kills under load.
    pub cycles: u64,
    /// Devices that got tokens.
    pub given: u64,
    /// Requests that were not answered.
    pub interrupted: u64,
    /// Of those, questions for tokens that were asked again and answered with them.
    pub given_after_kill: u64,
    /// Of those, questions for tokens whose answer was lost, the code being spent.
    pub spent: u64,
    /// What went wrong.
    pub troubles: Vec<String>,
}

impl DeviceReport {
    fn add(&mut self, other: &Self) {
        self.given += other.given;
        self.interrupted += other.interrupted;
        self.given_after_kill += other.given_after_kill;
        self.spent += other.spent;
        self.troubles.extend(other.troubles.iter().cloned());
    }
}

/// How far a device has come.
#[derive(Clone, Debug, Default)]
enum Stage {
    /// It has no code, as far as it knows.
    #[default]
    New,
    /// It shows a code; the user has not heard that his answer counts.
    Shown { device_code: String, user_code: String },
    /// Its user was told that it is connected.
    Allowed { device_code: String, cut_off: bool },
    /// It has tokens.
    Given { device_code: String, refresh: String },
}

#[derive(Debug)]
struct Device {
    stage: Stage,
    heard: DeviceReport,
}

/// Kills a server with so many devices again and again. `fault` is what is wrong with the machine, half-way, to show that it would be
/// noticed.
///
/// # Panics
/// If the server does not start, or the deployment cannot be made.
pub async fn run(cycles: u64, devices: usize, seed: u64, fault: Option<Fault>, directory: &Path) -> DeviceReport {
    let home = Home::make_with(&directory.join("home"), &format!("{CONFIG}{DEVICES}\n[limits]\n{UNLIMITED}"));
    home.add_user();
    let mut dice = Dice::new(seed);
    let mut all: Vec<Device> =
        (0..devices).map(|_| Device { stage: Stage::New, heard: DeviceReport::default() }).collect();
    let mut report = DeviceReport::default();
    for cycle in 0..cycles {
        let set_back = fault == Some(Fault::SetBack) && cycle == cycles / 2;
        let earlier = set_back.then(|| home.copy_to(&directory.join("earlier")));
        let server = Server::start(&home);
        let browser = browser_of_base(server.base(), USER).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for device in all.drain(..) {
            tasks.spawn(device.work(server.http(), browser.clone(), Arc::clone(&is_over)));
        }
        pause(Duration::from_millis(dice.between(20, 200))).await;
        server.kill();
        is_over.store(true, Ordering::SeqCst);
        all = tasks.join_all().await;
        report.cycles += 1;
        if let Some(earlier) = earlier {
            std::fs::remove_dir_all(home.data()).expect("the store is removed");
            std::fs::rename(earlier.data(), home.data()).expect("the earlier store is put in its place");
        }
    }
    // Everybody comes to his end with a server that stays.
    let server = Server::start(&home);
    let browser = browser_of_base(server.base(), USER).await;
    for device in &mut all {
        while !matches!(device.stage, Stage::Given { .. }) && device.heard.troubles.is_empty() {
            device.step(&server.http(), &mut browser.clone()).await;
        }
        device.step(&server.http(), &mut browser.clone()).await;
    }
    server.stop();
    all.iter().for_each(|device| report.add(&device.heard));
    report
}

const UNLIMITED: &str = r#"
login_failures = "off"
login_failures_per_network = "off"
login_failures_per_account = "off"
failures_per_network = "off"
requests_per_grant = "off"
requests_per_client = "off"
device_codes = "off"
wrong_user_codes = "off"
codes_per_user = "off"
refusals_logged = "off"
"#;

impl Device {
    async fn work(mut self, http: Http, mut browser: Browser, is_over: Arc<AtomicBool>) -> Self {
        while !is_over.load(Ordering::SeqCst) && self.heard.troubles.is_empty() {
            if !self.step(&http, &mut browser).await {
                break;
            }
        }
        self
    }

    fn trouble(&mut self, what: &str, reply: &Reply) {
        self.heard.troubles.push(format!("{what}, and heard {} {:.300}", reply.status, reply.text()));
    }

    /// One step; false if it was not answered.
    async fn step(&mut self, http: &Http, browser: &mut Browser) -> bool {
        let stage = self.stage.clone();
        let answered = match &stage {
            Stage::New => self.ask(http).await,
            Stage::Shown { device_code, user_code } => self.allow(http, browser, device_code, user_code).await,
            Stage::Allowed { device_code, cut_off } => self.redeem(http, device_code, *cut_off).await,
            Stage::Given { device_code, refresh } => self.use_up(http, device_code, refresh).await,
        };
        self.heard.interrupted += u64::from(answered.is_none());
        answered.is_some()
    }

    async fn ask(&mut self, http: &Http) -> Option<()> {
        let reply = send(http, "/oauth2/device_authorization", &[("client_id", "tv"), ("scope", "read")]).await?;
        match (word(&reply, "device_code"), word(&reply, "user_code")) {
            (Some(device_code), Some(user_code)) => self.stage = Stage::Shown { device_code, user_code },
            _ => self.trouble("asked for a code", &reply),
        }
        Some(())
    }

    /// The user answers on the page. Where nobody knows whether that was heard, the device's own question says so.
    async fn allow(&mut self, http: &Http, browser: &mut Browser, device_code: &str, user_code: &str) -> Option<()> {
        let cookies: BTreeMap<String, String> = browser.cookies().clone();
        let cookies = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let path = format!("/device?user_code={user_code}");
        let page = http.try_send(Method::GET, &path, &[("cookie", &cookies)], Body::empty()).await.ok()?;
        if page.text().contains("id=\"device-allow\"") {
            let form = form(&page.text());
            let mut fields: Vec<(&str, &str)> =
                form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            fields.push(("decision", "allow"));
            let headers = [("cookie", cookies.as_str()), ("content-type", "application/x-www-form-urlencoded")];
            let body = Body::from(regrant_server::form::write(&fields));
            let reply = http.try_send(Method::POST, &form.action, &headers, body).await.ok()?;
            if reply.status != 200 {
                self.trouble("was allowed", &reply);
            }
        } else {
            // Unknown by now: the answer that was cut off has counted. Then the code leads to tokens.
            if page.status != 400 {
                self.trouble("its user came again", &page);
            }
        }
        self.stage = Stage::Allowed { device_code: device_code.to_owned(), cut_off: false };
        Some(())
    }

    async fn redeem(&mut self, http: &Http, device_code: &str, cut_off: bool) -> Option<()> {
        let Some(reply) = poll(http, device_code).await else {
            self.stage = Stage::Allowed { device_code: device_code.to_owned(), cut_off: true };
            return None;
        };
        match (word(&reply, "refresh_token"), word(&reply, "error").as_deref()) {
            (Some(refresh), _) => {
                self.heard.given += 1;
                self.heard.given_after_kill += u64::from(cut_off);
                self.stage = Stage::Given { device_code: device_code.to_owned(), refresh };
            }
            (None, Some("invalid_grant")) if cut_off => {
                self.heard.spent += 1;
                self.stage = Stage::New;
            }
            _ => self.trouble("was allowed, asked for its tokens", &reply),
        }
        Some(())
    }

    /// The token works, the code gives no other one, and the device begins anew.
    async fn use_up(&mut self, http: &Http, device_code: &str, refresh: &str) -> Option<()> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", "tv")];
        let reply = send(http, "/oauth2/token", &form).await?;
        if word(&reply, "refresh_token").is_none() {
            self.trouble("refreshed", &reply);
        }
        self.stage = Stage::New;
        let again = poll(http, device_code).await?;
        if word(&again, "error").as_deref() != Some("invalid_grant") {
            self.trouble("presented its code again", &again);
        }
        Some(())
    }
}

async fn poll(http: &Http, device_code: &str) -> Option<Reply> {
    send(http, "/oauth2/token", &[("grant_type", DEVICE_CODE), ("device_code", device_code), ("client_id", "tv")]).await
}

async fn send(http: &Http, path: &str, form: &[(&str, &str)]) -> Option<Reply> {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    http.try_send(Method::POST, path, &headers, Body::from(regrant_server::form::write(form))).await.ok()
}

fn word(reply: &Reply, name: &str) -> Option<String> {
    serde_json::from_slice::<Value>(&reply.body).ok()?.get(name)?.as_str().map(str::to_owned)
}
