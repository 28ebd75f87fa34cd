//! From when until when a certificate is valid (RFC 5280 section 4.1.2.5): the one thing that rustls does not tell a server
//! about its own certificate. Reads the few DER elements on the way there and nothing else.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate begins and ends to be valid; nothing for what is no certificate.
pub(super) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (signed, _) = element(certificate, SEQUENCE)?;
    // version [0] DEFAULT v1, serialNumber, signature, issuer, validity
    let rest = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some((from, until))
}

/// The content of an element of this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, mut rest) = rest.split_first()?;
    let mut size = usize::from(*length);
    if size >= 0x80 {
        let digits = size & 0x7F;
        if !(1..=4).contains(&digits) {
            return None;
        }
        let (length, after) = rest.split_at_checked(digits)?;
        size = length.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        rest = after;
    }
    rest.split_at_checked(size)
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, century, rest) = match der.first()? {
        &UTC_TIME => element(der, UTC_TIME).map(|(text, rest)| (text, None, rest))?,
        _ => element(der, GENERALIZED_TIME).map(|(text, rest)| (text, text.get(..2), rest))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = if century.is_some() {
        text.to_owned()
    } else {
        // RFC 5280 section 4.1.2.5.1: "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY".
        format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" })
    };
    let moment = DateTime::strptime("%Y%m%d%H%M%S", &text).ok()?;
    Some((TimeZone::UTC.to_timestamp(moment).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_time_are_read() {
        for (tag, text, expected) in [
            (UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00Z")),
            (GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
            (UTC_TIME, "4912312359Z", None),
            (UTC_TIME, "491231235959", None),
        ] {
            let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
            assert_eq!(time(&der).map(|(time, _)| time.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        for der in [&[][..], &[0x30], &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], &[0x30, 0x80], &[0x30, 0x02, 0x30, 0x00]] {
            assert_eq!(validity(der), None);
        }
    }
}
