//! Device authorization: RFC 8628. What a device asks for, and what becomes of it.
//!
//! A device code is a grant before anybody has given it: it names the grant that it will be. Whoever answers the device on its page
//! makes that grant, allowed or refused, and so exactly one answer counts, however many there are.
//!
//! | the device asks again, and                          | it hears                                              |
//! |-----------------------------------------------------|-------------------------------------------------------|
//! | the code is another client's, or forged             | `invalid_grant`; nothing changes                      |
//! | nobody has answered, and there is time left         | `authorization_pending`, or `slow_down`               |
//! | nobody has answered in time, or it was long ago     | `expired_token`                                       |
//! | somebody refused                                    | `access_denied`                                       |
//! | somebody allowed it                                 | the first tokens, once: as a code ([`redeem`])        |

use std::time::Duration;

use crate::client::{Client, ClientId, GrantType};
use crate::decision::{Change, Decision, EventKind, event};
use crate::grant::{CodeTerms, EndReason, Grant, GrantId};
use crate::issue::{self, Ask, Granted, SubjectStatus};
use crate::keys::Keys;
use crate::redeem::{self, Consent, Issued};
use crate::refusal::Refusal;
use crate::scope::Resources;
use crate::secret::{Entropy, Hash, Seed};
use crate::time::Timestamp;
use crate::token::DeviceCode;

/// `expires_in` of RFC 8628 section 3.2: 10 minutes. Section 5.1 wants it short.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// `interval` of RFC 8628 section 3.2, and by how much `slow_down` lengthens it (section 3.5).
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Timers are not exact: who comes this much too early is in time.
const LEEWAY: Duration = Duration::from_millis(500);

/// What a device asked for, until it is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The grant that it will be.
    pub grant: GrantId,
    /// SHA-256 of the device code's secret.
    pub secret: Hash,
    /// Which client asked.
    pub client: ClientId,
    /// What for, within what the client may have.
    pub granted: Granted,
    /// When.
    pub asked_at: Timestamp,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// A client asks to be given a grant by whoever enters the user code.
#[must_use]
pub fn ask(
    grant: GrantId,
    client: &Client,
    granted: Granted,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> (Asked, DeviceCode) {
    let seed = Seed::new(entropy.secret());
    let (asked_at, expires_at) = (now, now.plus(LIFETIME));
    let asked = Asked { grant, secret: seed.hash(), client: client.id.clone(), granted, asked_at, expires_at };
    (asked, DeviceCode::new(keys.current_tag(), keys.era(), grant, seed))
}

/// What somebody answers a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It gets what it asked for.
    Allow,
    /// It does not.
    Refuse,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// To what.
    pub asked: Asked,
    /// Which.
    pub reply: Reply,
    /// Whose, and for what.
    pub consent: Consent,
}

/// Somebody answered. `grant` is the row that the first answer made, if there is one: a later answer changes nothing.
pub fn answer(
    grant: Option<&Grant>,
    answer: &Answer,
    client: &Client,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<()> {
    let Answer { asked, reply, consent } = answer;
    if grant.is_some() {
        return Decision::refuse(Refusal::CodeSpent);
    }
    if asked.client != client.id {
        return Decision::refuse(Refusal::OtherClient);
    }
    if asked.expires_at.is_over(now) {
        return Decision::refuse(Refusal::DeviceCodeExpired);
    }
    let expires_at = asked.expires_at;
    let code = CodeTerms { secret: asked.secret, challenge: None, redirect_uri: None, expires_at };
    let grant = Grant {
        idle_at: expires_at,
        absolute_at: expires_at,
        ended: (*reply == Reply::Refuse).then_some((now, EndReason::DeniedByUser)),
        ..redeem::blank(asked.grant, redeem::terms(client, consent.clone(), Some(code), now), keys, now, entropy)
    };
    let decision = Decision::accept(Change::Created, grant.clone(), ());
    match reply {
        Reply::Allow => decision,
        Reply::Refuse => {
            let told = event(EventKind::GrantEnded(EndReason::DeniedByUser), &grant, "device code".to_owned());
            decision.with_event(told)
        }
    }
}

/// When a device asked last, and how long it has to wait between two questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    asked: Duration,
    interval: Duration,
}

impl Pace {
    /// The first question.
    #[must_use]
    pub const fn begin(now: Duration) -> Self {
        Self { asked: now, interval: INTERVAL }
    }

    /// The next question, and whether it comes too soon. RFC 8628 section 3.5: "the interval MUST be increased by 5 seconds for
    /// this and all subsequent requests".
    #[must_use]
    pub fn again(self, now: Duration) -> (Self, Soon) {
        if now.saturating_sub(self.asked).saturating_add(LEEWAY) >= self.interval {
            return (Self { asked: now, ..self }, Soon::No);
        }
        (Self { asked: now, interval: self.interval.saturating_add(INTERVAL).min(LIFETIME) }, Soon::Yes)
    }

    /// When it asked last.
    #[must_use]
    pub const fn asked(self) -> Duration {
        self.asked
    }
}

/// Whether a question came too soon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Soon {
    /// It did.
    Yes,
    /// It did not.
    No,
}

/// A question of a device, parsed: the client is authenticated and the code's tag is good.
#[derive(Clone, Copy, Debug)]
pub struct Poll<'a> {
    /// The presented device code.
    pub code: &'a DeviceCode,
    /// What the device asked for, unless it was long ago.
    pub asked: Option<&'a Asked>,
    /// Whether it asks too soon.
    pub soon: Soon,
    /// The resources that the token is for; empty for all of the grant's (RFC 8707 section 2.2: "for all grant types").
    pub resources: &'a Resources,
}

/// What does the device hear? `grant` is the row that an answer made, if there is one, and its user's status.
pub fn decide(
    grant: Option<(&Grant, SubjectStatus)>,
    poll: &Poll<'_>,
    client: &Client,
    keys: &Keys,
    now: Timestamp,
    entropy: &Entropy,
) -> Decision<Issued> {
    let Some((found, subject)) = grant.filter(|(grant, _)| grant.id == poll.code.grant()) else {
        return Decision::refuse(waiting(poll, client, keys, now));
    };
    let code = poll.code.code();
    let refused_by_user = matches!(found.ended, Some((_, EndReason::DeniedByUser)));
    let is_its_own = found.terms.client == client.id
        && found.terms.code.as_ref().is_some_and(|known| known.secret == code.seed.hash());
    if refused_by_user && is_its_own {
        return Decision::refuse(Refusal::DeviceDenied);
    }
    let request = redeem::Request { code, redirect_uri: None, verifier: None, resources: poll.resources };
    let decision =
        redeem::decide_as(GrantType::DeviceCode, Some((found, subject)), &request, client, keys, now, entropy);
    let outcome = decision.outcome.map_err(|refusal| match refusal {
        Refusal::CodeExpired => Refusal::DeviceCodeExpired,
        other => other,
    });
    Decision { outcome, ..decision }
}

/// Nobody has answered.
fn waiting(poll: &Poll<'_>, client: &Client, keys: &Keys, now: Timestamp) -> Refusal {
    let code = poll.code.code();
    // The tag says that it was asked for: it is over, then, for what is asked for is kept until then.
    let Some(asked) = poll.asked.filter(|asked| asked.grant == code.grant) else { return Refusal::DeviceCodeExpired };
    if asked.client != client.id {
        return Refusal::OtherClient;
    }
    if asked.secret != code.seed.hash() {
        return Refusal::CodeForged;
    }
    if asked.expires_at.is_over(now) {
        return Refusal::DeviceCodeExpired;
    }
    // It may have been answered, and redeemed, in the time that a restored store has lost.
    if code.era < keys.era() {
        return Refusal::EraPast;
    }
    let ask = Ask {
        client,
        grant_type: GrantType::DeviceCode,
        subject: SubjectStatus::None,
        scope: None,
        resources: &asked.granted.resources,
        held: None,
    };
    match (issue::who(&ask), poll.soon) {
        (Err(refusal), _) => refusal,
        (Ok(()), Soon::Yes) => Refusal::DeviceTooFast,
        (Ok(()), Soon::No) => Refusal::DevicePending,
    }
}

/// What people type: ten letters, the last of which says whether the others were typed right.
///
/// RFC 8628 section 6.1 recommends letters alone, without vowels, in which no word can be read, and a comparison without case and
/// punctuation. There are 19 letters and 19 is a prime: a weighted sum modulo 19 tells every wrong letter and every two that
/// were exchanged. Nine letters are 38 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserCode([u8; USER_CODE_LEN]);

const ALPHABET: &[u8; 19] = b"BCDFGHJKLMNPQRSTWXZ";
const USER_CODE_LEN: usize = 10;

/// What is typed is no user code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mistyped;

impl UserCode {
    /// A new one, of fresh chance.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        let mut left = u128::from_be_bytes(random);
        let mut digits = [0; USER_CODE_LEN];
        // 2^128 is so much more than 19^9 that no letter is likelier than another by more than 2^-89.
        for digit in digits.iter_mut().take(USER_CODE_LEN - 1) {
            *digit = u8::try_from(left % 19).unwrap_or_default();
            left /= 19;
        }
        let check = (19 - weighted(&digits)) % 19;
        // The last weight is 1: whatever is missing to a multiple of 19 is the last letter.
        if let Some(last) = digits.last_mut() {
            *last = check;
        }
        Self(digits)
    }

    /// Reads what was typed: in any case, with any punctuation.
    ///
    /// # Errors
    /// [`Mistyped`] if a letter is wrong, missing or too many.
    pub fn parse(text: &str) -> Result<Self, Mistyped> {
        let mut digits = [0; USER_CODE_LEN];
        let mut places = digits.iter_mut();
        for letter in text.bytes().filter(u8::is_ascii_alphanumeric) {
            let place = ALPHABET.iter().position(|known| *known == letter.to_ascii_uppercase()).ok_or(Mistyped)?;
            *places.next().ok_or(Mistyped)? = u8::try_from(place).unwrap_or_default();
        }
        if places.next().is_some() || weighted(&digits) != 0 {
            return Err(Mistyped);
        }
        Ok(Self(digits))
    }

    /// As it is shown: `BCDFG-HJKLM`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(USER_CODE_LEN + 1);
        for (index, digit) in self.0.iter().enumerate() {
            if index == USER_CODE_LEN / 2 {
                text.push('-');
            }
            text.extend(ALPHABET.get(usize::from(*digit)).map(|letter| char::from(*letter)));
        }
        text
    }
}

/// The sum of the letters, the first ten times, the last once, modulo 19.
fn weighted(digits: &[u8; USER_CODE_LEN]) -> u8 {
    let sum: u32 = (1_u32..).zip(digits.iter().rev()).map(|(weight, digit)| weight * u32::from(*digit)).sum();
    u8::try_from(sum % 19).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> impl Iterator<Item = UserCode> {
        (0..200_u128).map(|number| {
            UserCode::new((number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834) % (1 << 120)).to_be_bytes())
        })
    }

    /// RFC 8628 section 6.1: "the server should ignore any characters like punctuation that are not in the user code character
    /// set" and "the server should uppercase them before comparison".
    #[test]
    fn a_user_code_is_read_however_it_is_typed() {
        for code in codes() {
            let text = code.text();
            assert_eq!((text.len(), text.find('-')), (11, Some(5)), "two halves of five letters");
            assert_eq!(UserCode::parse(&text), Ok(code));
            assert_eq!(UserCode::parse(&format!(" {} ", text.replace('-', " ").to_lowercase())), Ok(code));
        }
    }

    #[test]
    fn every_wrong_letter_and_every_two_exchanged_are_told() {
        for code in codes() {
            let text = code.text().replace('-', "");
            for place in 0..text.len() {
                for letter in ALPHABET.iter().map(|letter| char::from(*letter)) {
                    let wrong = format!("{}{letter}{}", &text[..place], &text[place + 1..]);
                    assert_eq!(UserCode::parse(&wrong).is_ok(), wrong == text, "{wrong} for {text}");
                }
                for other in 0..place {
                    let mut letters: Vec<char> = text.chars().collect();
                    letters.swap(place, other);
                    let wrong: String = letters.into_iter().collect();
                    assert_eq!(UserCode::parse(&wrong).is_ok(), wrong == text, "{wrong} for {text}");
                }
            }
            assert_eq!(UserCode::parse(&text[1..]), Err(Mistyped));
            assert_eq!(UserCode::parse(&format!("{text}B")), Err(Mistyped));
        }
        for bad in ["", "-", "AAAAA-AAAAA", "11111-11111", "ÄÖÜ"] {
            assert_eq!(UserCode::parse(bad), Err(Mistyped), "{bad}");
        }
    }

    /// Check B5: RFC 8628 section 5.1, the chance of ten guesses is below 2^-32.
    #[test]
    fn ten_guesses_at_a_user_code_succeed_with_less_than_two_to_the_minus_32() {
        let all = 19_u64.pow(9);
        assert!(all / 10 > 1 << 32, "{all}");
    }

    #[test]
    fn a_device_that_asks_too_soon_waits_five_seconds_longer_each_time() {
        let seconds = Duration::from_secs;
        let pace = Pace::begin(seconds(100));
        let (pace, soon) = pace.again(seconds(105));
        assert_eq!(soon, Soon::No);
        let (pace, soon) = pace.again(seconds(108));
        assert_eq!(soon, Soon::Yes);
        let (pace, soon) = pace.again(seconds(117));
        assert_eq!(soon, Soon::Yes, "ten seconds by now");
        let (_, soon) = pace.again(seconds(132));
        assert_eq!(soon, Soon::No, "fifteen seconds by now");
    }
}
