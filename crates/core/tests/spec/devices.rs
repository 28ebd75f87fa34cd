//! RFC 8628, the device authorization grant: section 3.5, what a device hears while it asks again and again; section 3.3, that one
//! person's answer counts.

use std::time::Duration;

use regrant_core::client::{Class, GrantType};
use regrant_core::decision::Change;
use regrant_core::device::{self, Answer, Asked, INTERVAL, LIFETIME, Pace, Poll, Reply, Soon};
use regrant_core::grant::EndReason;
use regrant_core::issue::{Granted, SubjectStatus};
use regrant_core::keys::KeyStatus;
use regrant_core::redeem::{Consent, Issued};
use regrant_core::token::DeviceCode;
use regrant_core::{Client, Decision, EventKind, Grant, GrantId, Keys, Refusal, Resources, Timestamp, Write};

use crate::world::{START, client, entropy, keys, millis, resources, scope, seconds};

const ID: GrantId = GrantId { number: 1, random: 2 };

/// A device with its code, and whoever may answer it.
#[derive(Clone)]
struct Story {
    client: Client,
    asked: Option<Asked>,
    code: DeviceCode,
    /// The row that an answer made.
    grant: Option<Grant>,
    era: u16,
    now: Timestamp,
    soon: Soon,
}

impl Story {
    /// A television has asked, and nobody has answered.
    fn new() -> Self {
        let client = client("tv", Class::Public);
        let (asked, code) = device::ask(ID, &client, granted(), &keys_of(3), START, &entropy(1));
        Self { client, asked: Some(asked), code, grant: None, era: 3, now: START, soon: Soon::No }
    }

    fn after(&self, duration: Duration) -> Self {
        Self { now: self.now.plus(duration), ..self.clone() }
    }

    /// The code of the same grant with another secret, as a leaked tag key could bring it.
    fn forged(&self) -> Self {
        let (_, code) = device::ask(ID, &self.client, granted(), &keys_of(3), START, &entropy(99));
        Self { code, ..self.clone() }
    }

    fn by(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    fn answer(&self, reply: Reply) -> Decision<()> {
        let consent = Consent {
            subject: "usr_alice".to_owned(),
            granted: granted(),
            authenticated_at: START,
            session: None,
            epoch: 0,
            openid: None,
        };
        let answer = Answer { asked: self.asked.clone().expect("what was asked for"), reply, consent };
        device::answer(self.grant.as_ref(), &answer, &self.client, &keys_of(self.era), self.now, &entropy(2))
    }

    /// The same story, once somebody has answered.
    fn answered(&self, reply: Reply) -> Self {
        let Write::Grant { change: Change::Created, grant } = self.answer(reply).write else { panic!("{reply:?}") };
        Self { grant: Some(grant), ..self.clone() }
    }

    fn decide(&self) -> Decision<Issued> {
        let poll =
            Poll { code: &self.code, asked: self.asked.as_ref(), soon: self.soon, resources: &Resources::default() };
        let grant = self.grant.as_ref().map(|grant| (grant, SubjectStatus::Enabled));
        device::decide(grant, &poll, &self.client, &keys_of(self.era), self.now, &entropy(3))
    }

    /// What the device hears, inside.
    fn hears(&self) -> Refusal {
        let decision = self.decide();
        assert_eq!(decision.write.change(), Change::Nothing, "a refused question changes nothing");
        decision.outcome.map(|_| ()).expect_err("no tokens")
    }
}

fn keys_of(era: u16) -> Keys {
    keys(era, &[(1, KeyStatus::Current)])
}

fn granted() -> Granted {
    Granted { scope: scope("openid profile"), resources: resources(&["https://api.example/"]) }
}

/// Section 3.5: "authorization_pending: The authorization request is still pending"; "expired_token: The "device_code" has expired";
/// "slow_down", for who asks too soon. Over at its instant, or where nobody remembers what was asked for.
#[test]
fn a_device_waits_until_its_code_is_over() {
    let story = Story::new();
    assert_eq!(story.hears(), Refusal::DevicePending);
    assert_eq!(Story { soon: Soon::Yes, ..story.clone() }.hears(), Refusal::DeviceTooFast);
    assert_eq!(story.after(LIFETIME - millis(1)).hears(), Refusal::DevicePending);
    assert_eq!(story.after(LIFETIME).hears(), Refusal::DeviceCodeExpired);
    assert_eq!(Story { asked: None, ..story.clone() }.hears(), Refusal::DeviceCodeExpired);
    let mut another = story;
    another.asked.as_mut().expect("asked").grant.random += 1;
    assert_eq!(another.hears(), Refusal::DeviceCodeExpired, "what was asked for under this number before");
}

/// A client that lost the flow while its device waits hears that, and not to wait on.
#[test]
fn a_device_whose_client_may_no_longer_ask_is_told_so() {
    for soon in [Soon::No, Soon::Yes] {
        let mut story = Story { soon, ..Story::new() };
        story.client.grant_types.remove(&GrantType::DeviceCode);
        assert_eq!(story.hears(), Refusal::GrantTypeNotAllowed);
        story.client.disabled = true;
        assert_eq!(story.hears(), Refusal::ClientDisabled);
    }
}

/// Law L11: another client, and a secret that is not the code's, learn the same in every state, and nothing of what was answered.
#[test]
fn a_device_code_is_its_clients_alone() {
    let waiting = Story::new();
    for story in [waiting.clone(), waiting.answered(Reply::Allow), waiting.answered(Reply::Refuse)] {
        assert_eq!(story.by(client("other", Class::Public)).hears(), Refusal::OtherClient);
        assert_eq!(story.forged().hears(), Refusal::CodeForged);
    }
    let over = waiting.answered(Reply::Refuse).after(LIFETIME);
    assert_eq!(over.forged().by(client("other", Class::Public)).hears(), Refusal::OtherClient);
}

/// Section 3.5: "access_denied: The authorization request was denied." The row that says so is over with the code, and an operator
/// is told of it.
#[test]
fn who_is_refused_hears_it() {
    let story = Story::new().after(seconds(30));
    let decision = story.answer(Reply::Refuse);
    let told = decision.event.expect("an event");
    assert_eq!((told.kind, told.grant), (EventKind::GrantEnded(EndReason::DeniedByUser), Some(ID)));
    let refused = story.answered(Reply::Refuse);
    let row = refused.grant.as_ref().expect("a row");
    assert_eq!(row.ended, Some((story.now, EndReason::DeniedByUser)));
    assert_eq!((row.idle_at, row.absolute_at), (START.plus(LIFETIME), START.plus(LIFETIME)));
    assert_eq!(refused.hears(), Refusal::DeviceDenied);
    // Another end of the same row is no denial.
    let mut ended = Story::new().answered(Reply::Allow);
    ended.grant.as_mut().expect("a row").ended = Some((START, EndReason::UserRevoked));
    assert_eq!(ended.hears(), Refusal::Ended(EndReason::UserRevoked));
}

/// Who allowed it gives what was asked for, once: the first tokens, within the time of the code.
#[test]
fn who_is_allowed_gets_the_first_tokens_once() {
    let story = Story::new().after(seconds(30));
    assert!(story.answer(Reply::Allow).event.is_none(), "told of when it is redeemed");
    let mut allowed = story.answered(Reply::Allow);
    let row = allowed.grant.clone().expect("a row");
    assert_eq!((row.ended, row.idle_at, row.absolute_at), (None, START.plus(LIFETIME), START.plus(LIFETIME)));
    assert!(!row.is_over(START.plus(LIFETIME - millis(1))) && row.is_over(START.plus(LIFETIME)));
    assert_eq!(allowed.after(LIFETIME).hears(), Refusal::DeviceCodeExpired, "expired_token, as while it waited");
    let decision = allowed.decide();
    assert_eq!(decision.write.change(), Change::Redeemed);
    let issued = decision.outcome.expect("the first tokens");
    assert_eq!((issued.granted, issued.grant.id), (granted(), ID));
    allowed.grant = Some(issued.grant);
    assert_eq!(allowed.after(millis(100)).hears(), Refusal::CodeSpent);
    let again = allowed.after(seconds(1)).decide();
    assert_eq!((again.write.change(), again.outcome.map(|_| ())), (Change::Ended, Err(Refusal::CodeReplayed)));
    // The answer to another device is none to this one.
    let other = Grant { id: GrantId { number: 1, random: 3 }, ..row };
    assert_eq!(Story { grant: Some(other), ..story }.hears(), Refusal::DevicePending);
}

/// One answer counts, and it is the first; and it is to what its client asked, in time.
#[test]
fn one_answer_counts() {
    let waiting = Story::new();
    let refused = |story: &Story, reply| {
        let decision = story.answer(reply);
        assert_eq!(decision.write.change(), Change::Nothing);
        decision.outcome.expect_err("no answer")
    };
    for reply in [Reply::Allow, Reply::Refuse] {
        for first in [Reply::Allow, Reply::Refuse] {
            assert_eq!(refused(&waiting.answered(first), reply), Refusal::CodeSpent);
        }
        assert_eq!(refused(&waiting.by(client("other", Class::Public)), reply), Refusal::OtherClient);
        assert_eq!(refused(&waiting.after(LIFETIME), reply), Refusal::DeviceCodeExpired);
        assert!(waiting.after(LIFETIME - millis(1)).answer(reply).outcome.is_ok());
    }
}

/// A restored store does not know whether a code of an earlier era was answered, and redeemed, in the time that it has lost.
#[test]
fn a_device_code_of_an_earlier_era_is_not_waited_for() {
    let story = Story::new();
    assert_eq!(Story { era: 4, ..story.clone() }.hears(), Refusal::EraPast);
    assert_eq!(Story { era: 5, ..story }.hears(), Refusal::EraPast);
}

/// Section 3.5: a device that was told to slow down is measured from each question on, the one that came too soon included.
#[test]
fn each_question_is_counted_from_the_one_before_it() {
    let pace = Pace::begin(seconds(100));
    assert_eq!(pace.asked(), seconds(100));
    let (pace, soon) = pace.again(seconds(100) + INTERVAL - millis(500));
    assert_eq!((pace.asked(), soon), (seconds(105) - millis(500), Soon::No), "timers are not exact");
    let (pace, soon) = pace.again(pace.asked() + INTERVAL - millis(501));
    assert_eq!((pace.asked(), soon), (seconds(110) - millis(1001), Soon::Yes));
}
