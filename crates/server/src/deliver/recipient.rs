//! Who hears of events: a webhook by a signed POST, or a file by lines of JSON.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use serde::Serialize;

use crate::admin::events::EventLine;
use crate::app::App;
use crate::config::{Config, Lines, WebhookSetting};
use crate::outbound::{Call, NoAnswer};
use crate::signature;

/// The name of the file's delivery. No webhook can have it: theirs hold no spaces.
pub(crate) const LINES: &str = "json lines";
/// Between two tries of the file.
const FILE_BACKOFF: Duration = Duration::from_secs(1);

/// One of them, as the configuration says at this moment.
pub(crate) enum Recipient {
    Webhook(WebhookSetting),
    Lines(Lines),
}

/// Why an event was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Webhook(#[from] NoAnswer),
    #[error("the lines cannot be written: {0}")]
    File(#[from] std::io::Error),
}

impl Failed {
    /// Whether the answer speaks of this event, so that another one may do better: a 4xx that does not ask to come again.
    pub(crate) const fn is_about_the_event(&self) -> bool {
        match self {
            Self::Webhook(NoAnswer::Status(status)) => {
                400 <= *status && *status < 500 && !matches!(*status, 401 | 403 | 404 | 408 | 425 | 429)
            }
            Self::Webhook(_) | Self::File(_) => false,
        }
    }
}

/// The names of all of them.
pub(crate) fn names(config: &Config) -> Vec<String> {
    let lines = config.events.json_lines.iter().map(|_| LINES.to_owned());
    config.webhooks.iter().map(|webhook| webhook.name.clone()).chain(lines).collect()
}

/// What is posted.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: &'a str,
    issuer: &'a str,
    data: &'a EventLine,
}

impl Recipient {
    pub(crate) fn named(config: &Config, name: &str) -> Option<Self> {
        if name == LINES {
            return config.events.json_lines.clone().map(Self::Lines);
        }
        config.webhooks.iter().find(|webhook| webhook.name == name).cloned().map(Self::Webhook)
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Webhook(webhook) => &webhook.name,
            Self::Lines(_) => LINES,
        }
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.url.to_string(),
            Self::Lines(Lines::Stdout) => "stdout".to_owned(),
            Self::Lines(Lines::File(path)) => path.display().to_string(),
        }
    }

    /// The kinds that it hears of; empty for all.
    pub(crate) fn kinds(&self) -> &[String] {
        match self {
            Self::Webhook(webhook) => &webhook.kinds,
            Self::Lines(_) => &[],
        }
    }

    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.kinds().is_empty() || self.kinds().iter().any(|wanted| wanted == kind)
    }

    pub(crate) const fn backoff(&self) -> Duration {
        match self {
            Self::Webhook(webhook) => webhook.backoff,
            Self::Lines(_) => FILE_BACKOFF,
        }
    }

    /// A file is waited for without an end.
    pub(crate) const fn give_up_after(&self) -> Option<Duration> {
        match self {
            Self::Webhook(webhook) => Some(webhook.give_up_after),
            Self::Lines(_) => None,
        }
    }

    /// Delivers one event.
    pub(crate) async fn send(&self, app: &App, line: &EventLine) -> Result<(), Failed> {
        match self {
            Self::Lines(to) => write_lines(to, std::slice::from_ref(line)).await,
            Self::Webhook(webhook) => {
                let message = Message { kind: &line.kind, timestamp: &line.at, issuer: app.issuer(), data: line };
                let body = serde_json::to_vec(&message).map_err(|error| NoAnswer::Nonsense(error.to_string()))?;
                // The position alone would be the same in two deployments that tell one recipient.
                let id =
                    format!("evt_{}_{}", line.id, line.link.as_deref().and_then(|link| link.get(..8)).unwrap_or("0"));
                let headers = signature::headers(&webhook.secret, &id, app.engine.now(), &body)?;
                let call = Call { url: &webhook.url, media_type: "application/json", headers, body };
                Ok(app.outbound.tell(call, webhook.timeout).await?)
            }
        }
    }
}

/// Adds lines to the end of the file, which is opened anew each time: whoever rotates it needs to tell nobody. Durable when this returns.
pub(crate) async fn write_lines(to: &Lines, lines: &[EventLine]) -> Result<(), Failed> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line).map_err(std::io::Error::from)?;
        text.push(b'\n');
    }
    let to = to.clone();
    let written = tokio::task::spawn_blocking(move || match to {
        Lines::Stdout => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&text).and_then(|()| stdout.flush())
        }
        Lines::File(path) => {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            let before = file.metadata()?.len();
            file.write_all(&text).and_then(|()| file.sync_data()).inspect_err(|_| {
                // All of it comes again: a half of a line would spoil the first one.
                let _ = file.set_len(before);
            })
        }
    });
    Ok(written.await.map_err(std::io::Error::other)??)
}
