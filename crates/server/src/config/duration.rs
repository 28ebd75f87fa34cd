//! Durations as people write them: `15m`, `30d`, `1h30m`, `0`.

use std::time::Duration;

const UNITS: [(char, u64); 5] = [('w', 7 * 86_400), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Reads whole numbers with the units `w d h m s`, largest first, each at most once; or a bare `0`.
/// `None` for anything else, a number without a unit included.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut units, mut seconds) = (text, UNITS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?.chars().next()?;
        let place = units.iter().position(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.checked_mul(units[place].1)?)?;
        units = &units[place + 1..];
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(Duration::from_secs(seconds))
}

/// Writes what [`parse`] reads, in at most two units where that is exact. Parts of a second are dropped.
#[must_use]
pub fn write(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (name, size) in UNITS {
        // Nobody says "4w2d" for 30 days.
        if rest >= size && (name != 'w' || rest.is_multiple_of(size)) {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("15m", 900),
            ("30d", 30 * 86_400),
            ("1h30m", 5400),
            ("2w", 14 * 86_400),
            ("1w1d1h1m1s", 694_861),
            ("90m", 5400),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "15", "m", "1.5h", "-1h", "1h 30m", "30m1h", "1h1h", "1y", "1H", "٣d", "99999999999999999999w"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for (seconds, text) in [(0, "0"), (60, "1m"), (5400, "1h30m"), (30 * 86_400, "30d"), (14 * 86_400, "2w")] {
            assert_eq!(write(Duration::from_secs(seconds)), text);
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)));
        }
    }
}
