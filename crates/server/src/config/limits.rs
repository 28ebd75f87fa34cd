//! `[limits]`: how much of what is too much. Each is a rate, such as `"600/m"`: so many at once, and so many in each period.

use std::time::Duration;

use super::document::Section;
use super::duration;
use super::problem::Problem;

/// How many in how long. At most the whole amount at once; it comes back evenly over the period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many; 0 is no limit.
    pub amount: u32,
    /// In how long.
    pub period: Duration,
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self { amount: 0, period: Duration::ZERO };

    const fn per(amount: u32, seconds: u64) -> Self {
        Self { amount, period: Duration::from_secs(seconds) }
    }

    /// Reads `"600/m"`, with `s`, `m`, `h` or `d`, or `"off"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::OFF);
        }
        let (amount, unit) = text.split_once('/')?;
        let digits = !amount.is_empty() && amount.len() <= 7 && amount.bytes().all(|byte| byte.is_ascii_digit());
        let amount: u32 = amount.parse().ok().filter(|amount| digits && (1..=MOST).contains(amount))?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Self::per(amount, seconds))
    }

    /// Whether there is no limit.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.amount == 0
    }
}

/// The largest number of a rate.
const MOST: u32 = 1_000_000;
/// The longest wait for a log-in that may be set: longer would be the lock-out that this is not.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The limits. Each has its reason in `docs/defaults.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Failed log-ins to one account from one network, or one browser that it knows, before the first wait.
    pub login_failures: Rate,
    /// Failed log-ins from one network, to whatever accounts, before it waits.
    pub login_failures_per_network: Rate,
    /// Failed log-ins to one account from everywhere, before each network gets a single attempt.
    pub login_failures_per_account: Rate,
    /// The longest that anybody waits for a log-in.
    pub longest_login_wait: Duration,
    /// Wrong client secrets for one client from one network.
    pub wrong_secrets: Rate,
    /// Requests from one network that fail before they prove anything.
    pub failures_per_network: Rate,
    /// Requests with genuine tokens of one grant.
    pub requests_per_grant: Rate,
    /// Requests of one client that has proved who it is.
    pub requests_per_client: Rate,
    /// Authorization codes for one user.
    pub codes_per_user: Rate,
    /// Device codes for one network, or for one client that has proved who it is.
    pub device_codes: Rate,
    /// User codes that no device shows, entered by one user or from one network.
    pub wrong_user_codes: Rate,
    /// Lines in the log about requests that prove nothing.
    pub refusals_logged: Rate,
    /// Clients that are registered from one network; also changes of what was registered, by client and by network.
    pub registrations_per_network: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_failures: Rate::per(5, 3600),
            login_failures_per_network: Rate::per(60, 3600),
            login_failures_per_account: Rate::per(20, 3600),
            longest_login_wait: Duration::from_secs(15 * 60),
            wrong_secrets: Rate::per(60, 60),
            failures_per_network: Rate::per(600, 60),
            requests_per_grant: Rate::per(600, 60),
            requests_per_client: Rate::per(300_000, 60),
            codes_per_user: Rate::per(60, 60),
            device_codes: Rate::per(600, 60),
            wrong_user_codes: Rate::per(10, 3600),
            refusals_logged: Rate::per(100, 1),
            registrations_per_network: Rate::per(30, 3600),
        }
    }
}

impl Limits {
    /// No limits, for programs that have their own.
    pub const OFF: Self = Self {
        login_failures: Rate::OFF,
        login_failures_per_network: Rate::OFF,
        login_failures_per_account: Rate::OFF,
        longest_login_wait: Duration::ZERO,
        wrong_secrets: Rate::OFF,
        failures_per_network: Rate::OFF,
        requests_per_grant: Rate::OFF,
        requests_per_client: Rate::OFF,
        codes_per_user: Rate::OFF,
        device_codes: Rate::OFF,
        wrong_user_codes: Rate::OFF,
        refusals_logged: Rate::OFF,
        registrations_per_network: Rate::OFF,
    };

    pub(super) fn read(section: &Section<'_>) -> Self {
        let mut limits = Self::default();
        for (key, limit) in [
            ("login_failures", &mut limits.login_failures),
            ("login_failures_per_network", &mut limits.login_failures_per_network),
            ("login_failures_per_account", &mut limits.login_failures_per_account),
            ("wrong_secrets", &mut limits.wrong_secrets),
            ("failures_per_network", &mut limits.failures_per_network),
            ("requests_per_grant", &mut limits.requests_per_grant),
            ("requests_per_client", &mut limits.requests_per_client),
            ("codes_per_user", &mut limits.codes_per_user),
            ("device_codes", &mut limits.device_codes),
            ("wrong_user_codes", &mut limits.wrong_user_codes),
            ("refusals_logged", &mut limits.refusals_logged),
            ("registrations_per_network", &mut limits.registrations_per_network),
        ] {
            let Some(text) = section.string(key) else { continue };
            match Rate::parse(&text) {
                Some(rate) => *limit = rate,
                None => {
                    let remedy = "Write how many in how long, like \"600/m\" (s, m, h or d; 1 to 1000000), or \"off\".";
                    section.problem(Problem::new(key, format!("{text:?} is no rate"), remedy));
                }
            }
        }
        let key = "longest_login_wait";
        if let Some(text) = section.string(key) {
            match duration::parse(&text).filter(|wait| !wait.is_zero() && *wait <= LONGEST_WAIT) {
                Some(wait) => limits.longest_login_wait = wait,
                None => {
                    let remedy = "Write a duration like \"15m\".";
                    section.problem(Problem::new(key, format!("{text:?} is not between 1s and 1d"), remedy));
                }
            }
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, amount, seconds) in
            [("5/h", 5, 3600), ("100/s", 100, 1), ("600/m", 600, 60), ("1/d", 1, 86_400), ("1000000/m", 1_000_000, 60)]
        {
            assert_eq!(Rate::parse(text), Some(Rate::per(amount, seconds)), "{text}");
        }
        assert!(Rate::parse("off").is_some_and(Rate::is_off));
        for bad in ["", "5", "/m", "5/", "0/m", "5/w", "5 /m", "+5/m", "5/m/m", "1000001/m", "00000001/m", "Off", "٣/m"]
        {
            assert_eq!(Rate::parse(bad), None, "{bad:?}");
        }
    }
}
