//! What a user allows a client, and what it is worth the next time.

use std::time::Duration;

use regrant_core::{Client, Resources, Scope, Timestamp};
use regrant_store::{Answer, Cause, Consent, Outcome, Question, Record, Unavailable};

use super::Visit;
use crate::engine::Engine;
use crate::session::LoggedIn;

/// How often a consent is read again that others change at the same time.
const TRIES: u32 = 64;
/// For so long what was allowed need not be written again.
const A_MOMENT: Duration = Duration::from_secs(60);

/// A consent of before, as far as it counts.
pub(super) struct Remembered {
    pub(super) scope: Scope,
    pub(super) resources: Resources,
}

impl Visit {
    /// What this user allowed this client before. What was paused, or is over, is asked anew.
    pub(super) async fn remembered(&self, client: &Client, who: &LoggedIn) -> Result<Option<Remembered>, Unavailable> {
        let held = held(&self.app.engine, &who.user.subject, client.id.as_str()).await?;
        Ok(held
            .as_ref()
            .filter(|held| self.is_for(client, held))
            .and_then(|held| Remembered::of(held, self.app.engine.now())))
    }

    /// What a user allows a client, for the next time.
    pub(super) async fn remember(
        &self,
        client: &Client,
        asked: Scope,
        at: &Resources,
        who: &LoggedIn,
    ) -> Result<(), Unavailable> {
        let now = self.app.engine.now();
        let allowed = Allowed { subject: &who.user.subject, client: client.id.as_str(), asked: &asked, at };
        let mut seen = None;
        put_consent(&self.app.engine, (&who.user.subject, client.id.as_str()), |held: Option<&Consent>| {
            let held = held.filter(|held| self.is_for(client, held));
            let seen = *seen.get_or_insert(held.and_then(|held| held.paused_at));
            let consent = allowed.over(held, seen, now);
            // Many devices and tabs of one user at once need write it only once.
            Ok((!held.is_some_and(|held| says_as_much(held, &consent))).then_some((consent, None)))
        })
        .await
    }

    /// What was allowed to a client of this name that was removed is not for the one that came after it.
    fn is_for(&self, client: &Client, held: &Consent) -> bool {
        let added_at = self.app.settings().clients.profile(&client.id).and_then(|profile| profile.added_at);
        added_at.is_none_or(|added_at| held.at >= added_at)
    }
}

impl Remembered {
    fn of(held: &Consent, now: Timestamp) -> Option<Self> {
        if held.paused_at.is_some() || held.ends_at.is_some_and(|end| end.is_over(now)) {
            return None;
        }
        let scope = Scope::parse(&held.scope).unwrap_or_default();
        let resources = Resources::parse(&held.resources).unwrap_or_default();
        Some(Self { scope, resources })
    }
}

/// Whether this stands there already, and since a moment ago.
fn says_as_much(held: &Consent, consent: &Consent) -> bool {
    consent.at.since(held.at) < A_MOMENT && *held == Consent { at: held.at, ..consent.clone() }
}

/// What a user allows now.
struct Allowed<'a> {
    subject: &'a str,
    client: &'a str,
    asked: &'a Scope,
    at: &'a Resources,
}

impl Allowed<'_> {
    /// What stands there from now on. `seen` is since when it was paused when this began.
    fn over(&self, held: Option<&Consent>, seen: Option<Timestamp>, now: Timestamp) -> Consent {
        // What was allowed before at the same places stays allowed. At other places it does not count there: it is replaced.
        let before = held.and_then(|held| Remembered::of(held, now)).filter(|before| before.resources == *self.at);
        let both = before.and_then(|before| Scope::from_tokens(before.scope.iter().chain(self.asked.iter())).ok());
        Consent {
            subject: self.subject.to_owned(),
            client: self.client.to_owned(),
            scope: both.as_ref().unwrap_or(self.asked).to_string(),
            resources: self.at.to_string(),
            at: now,
            // Allowing it ends a pause, but for one of this very moment: the page was not about that.
            paused_at: held.and_then(|held| held.paused_at).filter(|paused_at| seen != Some(*paused_at)),
            // The last day that the user gave the client is the client's, wherever its tokens are good, and through a pause.
            ends_at: held.and_then(|held| held.ends_at).filter(|end| !end.is_over(now)),
        }
    }
}

/// Puts what `change` makes of what stands there, if anything, with what is told of it; again if somebody else was first.
pub(super) async fn put_consent<E: From<Unavailable>>(
    engine: &Engine,
    (subject, client): (&str, &str),
    mut change: impl FnMut(Option<&Consent>) -> Result<Option<(Consent, Option<Record>)>, E>,
) -> Result<(), E> {
    for _ in 0..TRIES {
        let held = held(engine, subject, client).await?;
        let Some((consent, told)) = change(held.as_ref())? else { return Ok(()) };
        let put = Record::PutConsent { before: held.into(), consent };
        if engine.commit(put.entailing(told)).await?.first() == Some(&Outcome::Committed) {
            return Ok(());
        }
    }
    let detail = "others change the same consent at the same time".to_owned();
    Err(Unavailable { cause: Cause::Locked, detail }.into())
}

/// What stands there.
pub(super) async fn held(engine: &Engine, subject: &str, client: &str) -> Result<Option<Consent>, Unavailable> {
    let question = Question::Consent { subject: subject.to_owned(), client: client.to_owned() };
    match engine.ask(question).await? {
        Answer::Consent(held) => Ok(held),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use regrant_core::keys::RootKey;
    use regrant_store::{Before, Memory};
    use tokio::runtime::Handle;

    use super::*;
    use crate::config::Config;
    use crate::{App, Clock};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_800_000_600_000);

    fn consent() -> Consent {
        let (subject, client) = ("usr_ann".to_owned(), "app".to_owned());
        let (scope, resources) = ("a b".to_owned(), String::new());
        Consent { subject, client, scope, resources, at: NOW, paused_at: None, ends_at: None }
    }

    fn app() -> Arc<App> {
        let config = Config::parse("", "regrant.toml", Path::new("/")).expect("a configuration");
        App::open_with(config, Box::new(Memory::new()), RootKey::new([1; 32]), Clock::manual(NOW)).expect("it opens")
    }

    /// What stood there, what is asked for, what stands there then.
    #[test]
    fn what_is_allowed_goes_over_what_was() {
        let (asked, nowhere) = (Scope::parse("b c").expect("scopes"), Resources::default());
        let over = |held: Option<Consent>, seen: Option<Timestamp>| {
            let allowed = Allowed { subject: "usr_ann", client: "app", asked: &asked, at: &nowhere };
            let consent = allowed.over(held.as_ref(), seen, NOW);
            assert_eq!((consent.subject.as_str(), consent.client.as_str(), consent.at), ("usr_ann", "app", NOW));
            (consent.scope, consent.paused_at, consent.ends_at)
        };
        let [only, both] = ["b c", "a b c"].map(str::to_owned);
        let paused = Consent { paused_at: Some(NOW), ..consent() };
        let until = |ends_at| Consent { ends_at: Some(ends_at), ..consent() };
        assert_eq!(over(None, None), (only.clone(), None, None));
        assert_eq!(over(Some(consent()), None), (both.clone(), None, None));
        let elsewhere = Consent { resources: "urn:a".to_owned(), ..consent() };
        assert_eq!(over(Some(elsewhere), None), (only.clone(), None, None));
        assert_eq!(over(Some(paused.clone()), Some(NOW)), (only.clone(), None, None), "allowed again");
        assert_eq!(over(Some(paused), None), (only.clone(), Some(NOW), None), "paused at this moment");
        assert_eq!(over(Some(until(LATER)), None), (both, None, Some(LATER)));
        assert_eq!(over(Some(until(NOW)), None), (only.clone(), None, None), "it was over");
        let paused = Consent { paused_at: Some(NOW), ..until(LATER) };
        assert_eq!(over(Some(paused), Some(NOW)), (only, None, Some(LATER)), "the end goes through the pause");
    }

    /// Sixty devices of one user that are allowed at once are one consent: nobody waits for sixty writes of the same.
    #[test]
    fn what_stands_there_is_not_written_again() {
        let later = |seconds| Consent { at: NOW.plus(Duration::from_secs(seconds)), ..consent() };
        assert!(says_as_much(&consent(), &later(0)) && says_as_much(&consent(), &later(59)));
        assert!(says_as_much(&later(9), &consent()), "another one was a little later");
        assert!(!says_as_much(&consent(), &later(60)));
        assert!(!says_as_much(&consent(), &Consent { scope: "a b c".to_owned(), ..consent() }));
        assert!(!says_as_much(&Consent { paused_at: Some(NOW), ..consent() }, &consent()));
        assert!(!says_as_much(&consent(), &Consent { ends_at: Some(LATER), ..consent() }));
    }

    /// Somebody pauses a client while a page of another tab allows it more: the pause stays.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_looks_again_if_another_one_was_first() {
        let app = app();
        let paused = Consent { paused_at: Some(LATER), ..consent() };
        let put = |consent: &Consent| Record::PutConsent { consent: consent.clone(), before: Before::Whatever };
        app.engine.commit(vec![put(&consent())]).await.expect("written");
        let mut found = Vec::new();
        let changed = put_consent(&app.engine, ("usr_ann", "app"), |held| {
            found.push(held.cloned());
            if found.len() == 1 {
                let other = app.engine.commit(vec![put(&paused)]);
                tokio::task::block_in_place(|| Handle::current().block_on(other)).expect("written");
            }
            let held = held.cloned().unwrap_or_else(consent);
            Ok::<_, Unavailable>(Some((Consent { scope: "a b c".to_owned(), ..held }, None)))
        });
        changed.await.expect("changed");
        assert_eq!(found, [Some(consent()), Some(paused.clone())]);
        let now = held(&app.engine, "usr_ann", "app").await.expect("readable");
        assert_eq!(now, Some(Consent { scope: "a b c".to_owned(), ..paused }));
    }

    /// Nobody goes round for ever.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_gives_up_where_others_never_end() {
        let app = app();
        let mut times = 0;
        let changed = put_consent(&app.engine, ("usr_ann", "app"), |_| {
            times += 1;
            let consent = Consent { scope: times.to_string(), ..consent() };
            let other = Record::PutConsent { consent: consent.clone(), before: Before::Whatever };
            let other = app.engine.commit(vec![other]);
            tokio::task::block_in_place(|| Handle::current().block_on(other)).expect("written");
            Ok::<_, Unavailable>(Some((consent, None)))
        });
        assert_eq!(changed.await.map_err(|trouble| trouble.cause), Err(Cause::Locked));
        assert_eq!(times, TRIES);
    }
}
