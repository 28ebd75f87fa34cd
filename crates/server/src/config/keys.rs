//! `[keys]`: how long each kind of key is in use before the next one takes over.
//!
//! | setting                 | unless set | limits                                        |
//! |-------------------------|------------|-----------------------------------------------|
//! | `signing_rotation`      | 90d        | 1d to 3650d, or "never"                       |
//! | `signing_publish_ahead` | 1d         | 5m to 30d, shorter than `signing_rotation`    |
//! | `sealing_rotation`      | 30d        | 7d to 3650d, or "never"                       |
//! | `tag_rotation`          | 365d       | 30d to 3650d, or "never"                      |
//! | `seed_rotation`         | 1d         | 1h to 7d                                      |
//!
//! Tag and sealing keys have 255 numbers, none of which is used twice: the lower limits make them last for years.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::Section;
use super::duration;
use super::problem::Problem;
use crate::keyring::schedule::JWKS_MAX_AGE;
use crate::keyring::step::LAST_ID;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);
/// Below this, somebody should know when the ids are used up.
const SOON: Duration = Duration::from_secs(10 * 365 * 86_400);

/// `[keys]`, read. `None` where the file says "never".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySettings {
    /// Signing keys.
    pub signing_rotation: Option<Duration>,
    /// How long a signing key is published before it signs.
    pub signing_publish_ahead: Duration,
    /// Keys of opaque access tokens.
    pub sealing_rotation: Option<Duration>,
    /// Keys of the tags of refresh tokens and codes.
    pub tag_rotation: Option<Duration>,
    /// Keys that step the ratchet.
    pub seed_rotation: Duration,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            signing_rotation: Some(DAY * 90),
            signing_publish_ahead: DAY,
            sealing_rotation: Some(DAY * 30),
            tag_rotation: Some(DAY * 365),
            seed_rotation: DAY,
        }
    }
}

impl KeySettings {
    pub(super) fn read(section: &Section<'_>) -> Self {
        let default = Self::default();
        let rotation = |key, least: Duration, default: Option<Duration>| match section.string(key) {
            None => default,
            Some(word) if word == "never" => None,
            Some(text) => time(section, key, &text, least..=LONGEST, " or \"never\"").or(default),
        };
        let plain = |key, limits, default| match section.string(key) {
            None => default,
            Some(text) => time(section, key, &text, limits, "").unwrap_or(default),
        };
        let read = Self {
            signing_rotation: rotation("signing_rotation", DAY, default.signing_rotation),
            signing_publish_ahead: plain(
                "signing_publish_ahead",
                JWKS_MAX_AGE..=DAY * 30,
                default.signing_publish_ahead,
            ),
            sealing_rotation: rotation("sealing_rotation", DAY * 7, default.sealing_rotation),
            tag_rotation: rotation("tag_rotation", DAY * 30, default.tag_rotation),
            seed_rotation: plain("seed_rotation", HOUR..=DAY * 7, default.seed_rotation),
        };
        if let Some(rotation) = read.signing_rotation.filter(|rotation| *rotation <= read.signing_publish_ahead) {
            let (ahead, rotation) = (duration::write(read.signing_publish_ahead), duration::write(rotation));
            let what = format!("{ahead} is not shorter than signing_rotation ({rotation})");
            let remedy = "Shorten it, or lengthen signing_rotation.";
            section.problem(Problem::new("signing_publish_ahead", what, remedy));
        }
        section.finish(&super::TOP);
        read
    }

    /// One sentence for each choice that costs something.
    pub(super) fn costs(&self) -> Vec<String> {
        let mut costs = Vec::new();
        let rotations = [
            ("signing_rotation", self.signing_rotation, "whoever copied the key can write access tokens"),
            (
                "sealing_rotation",
                self.sealing_rotation,
                "whoever copied the key can read and write opaque access tokens",
            ),
            ("tag_rotation", self.tag_rotation, "whoever copied the key can end sessions by spent tokens"),
        ];
        for (key, rotation, means) in rotations {
            if rotation.is_none() {
                costs.push(format!(
                    "keys.{key} = \"never\": {means} until you find out and say `regrant keys compromise`"
                ));
            }
        }
        for (key, rotation) in [("sealing_rotation", self.sealing_rotation), ("tag_rotation", self.tag_rotation)] {
            let lasts = rotation.map(|rotation| rotation * LAST_ID).filter(|lasts| *lasts < SOON);
            if let (Some(lasts), Some(rotation)) = (lasts, rotation) {
                let (rotation, years) = (duration::write(rotation), lasts.as_secs() / (365 * 86_400));
                costs.push(format!(
                    "keys.{key} = {rotation}: its {LAST_ID} numbers, none of which is used twice, are used up after {years} years"
                ));
            }
        }
        costs
    }
}

fn time(
    section: &Section<'_>,
    key: &'static str,
    text: &str,
    limits: RangeInclusive<Duration>,
    also: &str,
) -> Option<Duration> {
    let (least, most) = (duration::write(*limits.start()), duration::write(*limits.end()));
    let remedy = format!("Use \"{least}\" to \"{most}\"{also}.");
    let shown: String = text.chars().take(40).collect();
    match duration::parse(text) {
        None => section.problem(Problem::new(key, format!("{shown:?} is no duration"), remedy)),
        Some(read) if !limits.contains(&read) => {
            section.problem(Problem::new(key, format!("{shown:?} is outside of its limits"), remedy));
        }
        Some(read) => return Some(read),
    }
    None
}
