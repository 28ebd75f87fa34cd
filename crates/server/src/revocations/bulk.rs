//! Bulk revocations in the revocation journal, and that one was taken back.
//!
//! ```text
//! body       at 8 | reason 1 | may be taken back until 8, the largest if it is final | criteria
//! criterion  kind 1 | length 2 | value
//! kinds      1 user, 2 client, 3 session, 4 tag key, 5 scope, 6 resource, 7 issued before, 8 without `offline_access`,
//!            9 these clients or all but these, 10 not session
//! ```
//!
//! Not the number: after a restore the same numbers count others. All that is here together says which one it is.

use std::time::Duration;

use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Selector, Timestamp};

/// No grant lives longer, by what the configuration allows (`absolute_lifetime`).
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(3650 * 86_400);

/// A bulk revocation, by what identifies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bulk {
    /// When.
    pub at: Timestamp,
    /// What it ends.
    pub selector: Selector,
    /// Why.
    pub reason: EndReason,
    /// Until when it may be taken back; `None` if it is final.
    pub undo_until: Option<Timestamp>,
}

impl Bulk {
    /// Of a row.
    pub(crate) fn of(epoch: &Epoch) -> Self {
        let Epoch { number: _, at, selector, reason, detail: _, undo_until, undone_at: _ } = epoch;
        Self { at: *at, selector: selector.clone(), reason: *reason, undo_until: *undo_until }
    }

    /// The row that does the same in a store that has lost it.
    pub(crate) fn again(&self) -> Epoch {
        Epoch {
            // Whichever is next: above the count in every grant of the copy.
            number: 0,
            at: self.at,
            selector: self.selector.clone(),
            reason: self.reason,
            detail: "replayed from the revocation journal after a restore".to_owned(),
            undo_until: self.undo_until,
            undone_at: None,
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut body = self.at.millis().to_be_bytes().to_vec();
        body.push(self.reason.code());
        body.extend_from_slice(&self.undo_until.unwrap_or(Timestamp::MAX).millis().to_be_bytes());
        let Selector {
            subject,
            client,
            session,
            tag_key,
            scope,
            resource,
            issued_before,
            online_only,
            among,
            but_session,
        } = &self.selector;
        let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        let criteria = [
            text(subject),
            client.as_ref().map(|client| client.as_str().as_bytes().to_vec()),
            session.map(|session| session.to_vec()),
            tag_key.map(|key| vec![key]),
            text(scope),
            text(resource),
            issued_before.map(|before| before.millis().to_be_bytes().to_vec()),
            online_only.then(Vec::new),
            among.as_ref().map(|among| among.text().into_bytes()),
            but_session.map(|session| session.to_vec()),
        ];
        for (kind, value) in (1_u8..).zip(criteria) {
            let Some(value) = value else { continue };
            body.push(kind);
            body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            body.extend_from_slice(&value);
        }
        body
    }

    /// `None` also for a criterion that this program does not know: without it, more would end than was meant to.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (at, rest) = body.split_first_chunk::<8>()?;
        let (reason, rest) = rest.split_first()?;
        let (until, mut rest) = rest.split_first_chunk::<8>()?;
        let time = |bytes| Timestamp::from_millis(i64::from_be_bytes(bytes));
        let mut selector = Selector::default();
        while let Some((kind, behind)) = rest.split_first() {
            let (length, behind) = behind.split_first_chunk::<2>()?;
            let (value, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let text = || String::from_utf8(value.to_vec()).ok();
            match kind {
                1 => selector.subject = Some(text()?),
                2 => selector.client = Some(ClientId::parse(&text()?)?),
                3 => selector.session = Some(value.try_into().ok()?),
                4 => selector.tag_key = Some(u8::from_be_bytes(value.try_into().ok()?)),
                5 => selector.scope = Some(text()?),
                6 => selector.resource = Some(text()?),
                7 => selector.issued_before = Some(time(value.try_into().ok()?)),
                8 => selector.online_only = true,
                9 => selector.among = Some(Among::parse(&text()?)?),
                10 => selector.but_session = Some(value.try_into().ok()?),
                _ => return None,
            }
            rest = behind;
        }
        let until = time(*until);
        Some(Self {
            at: time(*at),
            // Whatever a newer program's reason was, it is revoked.
            reason: EndReason::from_code(*reason).unwrap_or(EndReason::SelectionRevoked),
            undo_until: (until != Timestamp::MAX).then_some(until),
            selector,
        })
        .filter(|bulk| !bulk.selector.is_everything())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// One with every criterion, each as long as it can be, and one with each alone.
    fn all() -> Vec<Bulk> {
        let full = Selector {
            subject: Some("s".repeat(255)),
            client: ClientId::parse(&"c".repeat(255)),
            session: Some([7; 32]),
            tag_key: Some(3),
            scope: Some("p".repeat(regrant_core::scope::MAX_SCOPE_LEN)),
            resource: Some("r".repeat(regrant_core::scope::MAX_RESOURCE_LEN)),
            issued_before: Some(at(-5)),
            online_only: true,
            among: Among::parse(&format!("but {}", "c".repeat(255))),
            but_session: Some([8; 32]),
        };
        let none = Selector::default;
        let selectors = [
            Selector { subject: full.subject.clone(), ..none() },
            Selector { client: full.client.clone(), ..none() },
            Selector { session: full.session, ..none() },
            Selector { tag_key: full.tag_key, ..none() },
            Selector { scope: full.scope.clone(), ..none() },
            Selector { resource: full.resource.clone(), ..none() },
            Selector { issued_before: full.issued_before, ..none() },
            Selector { online_only: true, ..none() },
            Selector { among: Among::parse("only a b"), ..none() },
            Selector { but_session: full.but_session, ..none() },
            full,
        ];
        let each = selectors.into_iter().zip([Some(at(77)), None].into_iter().cycle());
        each.map(|(selector, undo_until)| Bulk { at: at(9), reason: selector.reason(), selector, undo_until }).collect()
    }

    #[test]
    fn every_selection_is_read_again_as_it_was_and_fits() {
        for bulk in all() {
            assert!(bulk.write().len() <= super::super::MAX_BODY, "{}", bulk.write().len());
            assert_eq!(Bulk::read(&bulk.write()), Some(bulk.clone()));
            assert_eq!(Bulk::of(&bulk.again()), bulk);
        }
    }

    #[test]
    fn what_cannot_be_read_whole_selects_nothing() {
        for bulk in &all()[..10] {
            let body = bulk.write();
            for length in 0..body.len() {
                assert_eq!(Bulk::read(&body[..length]), None, "{length}: {bulk:?}");
            }
            assert_eq!(Bulk::read(&[body, vec![11, 0, 1, 0]].concat()), None, "a criterion of a newer program");
        }
        let everything = Bulk { selector: Selector::default(), ..all()[0].clone() };
        assert_eq!(Bulk::read(&everything.write()), None, "everything is never selected");
    }
}
