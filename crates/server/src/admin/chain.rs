//! Whether the chain of events is whole.

use regrant_core::keys::Purpose;
use regrant_core::{ChainKey, Link};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, rfc3339};
use crate::deliver;

/// Events that are read at once.
const PAGE: u32 = 1000;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChainReport {
    /// Events whose link fits.
    pub verified: u64,
    /// Events from before there was a chain: nothing is known of them.
    pub unchained: u64,
    /// The position up to which retention has removed them, 0 for nothing.
    pub removed_up_to: u64,
    /// The position of the newest.
    pub newest: u64,
    /// The newest one's link, 64 hexadecimal digits: kept elsewhere, it shows later that nothing was cut off behind it.
    pub newest_link: String,
    /// Where the chain breaks first.
    pub broken: Option<Break>,
}

/// Where a chain breaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Break {
    /// The position.
    pub event: u64,
    /// When the event there says that it happened; absent if there is none.
    pub at: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Admin {
    /// Follows the chain from the oldest event that is kept to the newest.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    pub async fn verify_events(&self) -> Result<ChainReport, AdminError> {
        let key = ChainKey::new(&self.app.keyring.lock().await.derive(Purpose::EventChain));
        let ends = deliver::ends(&self.app).await?;
        let mut report = ChainReport {
            verified: 0,
            unchained: 0,
            removed_up_to: ends.removed.0,
            newest: ends.newest.0,
            newest_link: ends.newest.1.hex(),
            broken: None,
        };
        let (mut after, (mut position, mut link)) = (0, ends.removed);
        let broken = |event, at, what: &str| Some(Break { event, at, what: what.to_owned() });
        loop {
            let page = deliver::read(&self.app, after, PAGE).await?;
            let Some(last) = page.last().map(|event| event.id) else { break };
            for event in page.iter().filter(|event| event.id <= ends.newest.0) {
                let at = Some(rfc3339(event.at));
                if event.id <= ends.removed.0 {
                    report.unchained += 1;
                    if event.link.is_some() {
                        report.broken = broken(event.id, at, "it was removed by retention, and is there");
                        return Ok(report);
                    }
                    continue;
                }
                if event.id != position + 1 {
                    // Retention may have gone on meanwhile.
                    let now = deliver::ends(&self.app).await?.removed;
                    if now.0 + 1 != event.id {
                        report.broken = broken(position + 1, None, "it is missing");
                        return Ok(report);
                    }
                    link = now.1;
                }
                if event.link != Some(event.link_behind(&key, &link)) {
                    let what = "its content or its link was changed, or what was before it";
                    report.broken = broken(event.id, at, what);
                    return Ok(report);
                }
                report.verified += 1;
                (position, link) = (event.id, event.link.unwrap_or(Link::START));
            }
            if last >= ends.newest.0 {
                break;
            }
            after = last;
        }
        if position < ends.newest.0 && deliver::ends(&self.app).await?.removed.0 < ends.newest.0 {
            report.broken = broken(position + 1, None, "it is missing, and all behind it");
        } else if position == ends.newest.0 && link != ends.newest.1 {
            report.broken = broken(position, None, "it is not the newest that was written");
        }
        Ok(report)
    }
}
