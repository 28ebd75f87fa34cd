//! What a token will say is found before anything is consumed: who cannot be told what to say, or is denied by the hook, keeps
//! the code or refresh token as it was (law L1).
//!
//! ```text
//! 1. the client is authenticated, the token's tag is good                       (nothing was read yet)
//! 2. the grant is read, and judged as it will be again in step 5                (nothing is written; a refusal goes to step 5)
//! 3. claims are found: the user's record is read, the hook is asked             (a failure ends here)
//! 4. they are weighed                                                           (too large ends here)
//! 5. the engine decides, on the row of that moment, and writes
//! ```
//!
//! Nothing is told to the hook or asked of the store for a token that is not the caller's own (law L11). Where step 5 comes
//! to another verdict than step 2, for the row has changed in between, the client is told to ask again: no token goes out
//! that the hook was not asked about. Values are those of step 3, at each refresh and each retry anew. The configuration is that of step 1
//! to the end, also where it is reloaded while the hook is asked.

use regrant_core::client::GrantType;
use regrant_core::issue::Granted;
use regrant_core::redeem::Issued;
use regrant_core::refresh::Refreshed;
use regrant_core::{Client, Decision, Event, EventKind, Grant, GrantId, Refusal};
use regrant_store::{Answer, EventRecord, Question, Record, Unavailable, User};
use serde_json::{Map, Value};

use super::{Attributes, Rules, TokenClaims, found};
use crate::answer::Failure;
use crate::app::{App, Settings};
use crate::chance;
use crate::config::{OnFailure, TokenHookSetting};
use crate::correlation::Correlation;
use crate::engine::{Moment, Row};
use crate::hook::{self, Said};

/// For whom a token is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Minting<'a> {
    pub(crate) client: &'a Client,
    pub(crate) grant_type: GrantType,
    /// `sub`: the user, or the client itself.
    pub(crate) subject: &'a str,
    pub(crate) granted: &'a Granted,
    pub(crate) grant: Option<&'a Grant>,
    pub(crate) auth_time: Option<i64>,
    pub(crate) correlation: &'a Correlation,
}

/// An outcome that lets a token be made.
pub(crate) trait Grants {
    /// With which scope, for which resources.
    fn granted(&self) -> &Granted;
}

impl Grants for Refreshed {
    fn granted(&self) -> &Granted {
        &self.granted
    }
}

impl Grants for Issued {
    fn granted(&self) -> &Granted {
        &self.granted
    }
}

/// What was found for one grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Prepared {
    /// Nothing is configured that a token of this client could carry.
    NotNeeded,
    /// The grant would be refused: let it be, in the one place where that is told.
    Refused,
    /// For a token with this scope and these resources.
    Ready(Granted, TokenClaims),
}

impl Prepared {
    /// A decision that this was prepared for; another one is not carried out.
    pub(crate) fn vet<T: Grants>(&self, decision: Decision<T>) -> Decision<T> {
        let stands = match (&decision.outcome, self) {
            // It was good when it came: somebody used it while the hook was asked. Whether that was a double click or a theft is
            // judged when it comes again, by the time at which it comes.
            (Err(Refusal::Replayed | Refusal::CodeReplayed), Self::Ready(..)) => false,
            (Err(_), _) | (Ok(_), Self::NotNeeded) => true,
            (Ok(_), Self::Refused) => false,
            (Ok(outcome), Self::Ready(known, _)) => known == outcome.granted(),
        };
        if stands { decision } else { Decision::refuse(Refusal::NotPrepared) }
    }

    /// What the token says.
    pub(crate) fn claims(&self) -> TokenClaims {
        match self {
            Self::NotNeeded | Self::Refused => TokenClaims::default(),
            Self::Ready(_, claims) => claims.clone(),
        }
    }
}

/// Steps 2 to 4. `judge` is the decision of step 5.
pub(crate) async fn of_grant<T: Grants>(
    (app, settings): (&App, &Settings),
    (client, grant_type, correlation): (&Client, GrantType, &Correlation),
    id: GrantId,
    mut judge: impl FnMut(Row<'_>, &Moment<'_>) -> Decision<T>,
) -> Result<Prepared, Failure> {
    if !is_needed(settings, client, grant_type) {
        return Ok(Prepared::NotNeeded);
    }
    let Some(found) = app.engine.load(id).await? else { return Ok(Prepared::Refused) };
    let granted = {
        let keys = app.engine.keys();
        let moment = Moment { now: app.engine.now(), keys: &keys, entropy: chance::entropy() };
        // Only its outcome is looked at: what it would write is decided again by the engine.
        match judge(Some((&found.grant, found.subject)), &moment).outcome {
            Ok(outcome) => outcome.granted().clone(),
            Err(_) => return Ok(Prepared::Refused),
        }
    };
    let minting = Minting {
        client,
        grant_type,
        subject: &found.grant.terms.subject,
        granted: &granted,
        grant: Some(&found.grant),
        auth_time: Some(found.grant.terms.authenticated_at.seconds()),
        correlation,
    };
    let claims = of((app, settings), minting).await?;
    Ok(Prepared::Ready(granted, claims))
}

/// Steps 3 and 4, for a flow that has judged already.
pub(crate) async fn of((app, settings): (&App, &Settings), minting: Minting<'_>) -> Result<TokenClaims, Failure> {
    if !is_needed(settings, minting.client, minting.grant_type) {
        return Ok(TokenClaims::default());
    }
    let audience: Vec<&str> = minting.granted.resources.iter().collect();
    let known = looked_up(app, settings, minting.client, minting.subject, &audience).await?;
    let from_hook = match hook_of(settings, minting.client, minting.grant_type) {
        Some(setting) => ask(app, settings, setting, &minting).await?,
        None => Map::new(),
    };
    TokenClaims::new(known, from_hook).map_err(|large| Failure::ClaimsTooLarge(large.bytes))
}

/// What the user's record and the configuration say at this moment.
pub(crate) async fn looked_up(
    app: &App,
    settings: &Settings,
    client: &Client,
    subject: &str,
    audience: &[&str],
) -> Result<Map<String, Value>, Unavailable> {
    let own = settings.clients.claims(&client.id);
    let rules = rules(settings, own.as_deref().map(|own| &own.rules), audience);
    // A client that acts for itself has no attributes.
    let user = if subject != client.id.as_str() && rules.iter().any(|rules| !rules.takes.is_empty()) {
        user(app, subject).await?
    } else {
        None
    };
    let attributes = user.as_ref().map(Attributes::stored).transpose()?;
    Ok(found(&rules, user.as_ref().zip(attributes.as_ref())))
}

/// Whether tokens of this client can carry anything.
fn is_needed(settings: &Settings, client: &Client, grant_type: GrantType) -> bool {
    let own = settings.clients.claims(&client.id);
    own.is_some_and(|own| !own.rules.is_empty())
        || hook_of(settings, client, grant_type).is_some()
        || settings
            .config
            .resources
            .iter()
            .any(|known| !known.claims.is_empty() && client.resources.contains(&known.uri))
}

/// A resource's rules count only where it is in the audience.
fn rules<'a>(settings: &'a Settings, own: Option<&'a Rules>, audience: &[&str]) -> Vec<&'a Rules> {
    let resources = settings.config.resources.iter().filter(|known| audience.contains(&known.uri.as_str()));
    resources.map(|known| &known.claims).chain(own).collect()
}

fn hook_of<'a>(settings: &'a Settings, client: &Client, grant_type: GrantType) -> Option<&'a TokenHookSetting> {
    let setting = settings.config.token_hook.as_ref()?;
    let wanted = settings.clients.claims(&client.id).is_none_or(|own| own.hook);
    (wanted && setting.grant_types.contains(&grant_type)).then_some(setting)
}

async fn user(app: &App, subject: &str) -> Result<Option<User>, Unavailable> {
    match app.engine.ask(Question::UserBySubject(subject.to_owned())).await? {
        Answer::User(user) => Ok(user),
        _ => Ok(None),
    }
}

async fn ask(
    app: &App,
    settings: &Settings,
    setting: &TokenHookSetting,
    minting: &Minting<'_>,
) -> Result<Map<String, Value>, Failure> {
    let granted = minting.granted;
    let scope = settings.scope_at(&granted.scope, &granted.resources).to_string();
    let question = hook::Question {
        kind: "token",
        issuer: app.issuer(),
        correlation_id: minting.correlation.as_str(),
        grant_type: minting.grant_type.as_str(),
        client_id: minting.client.id.as_str(),
        sub: minting.subject,
        scope: &scope,
        resources: granted.resources.iter().collect(),
        grant: minting.grant.map(|grant| grant.id.display(&app.engine.keys())),
        auth_time: minting.auth_time,
    };
    let (correlation, client) = (minting.correlation, &minting.client.id);
    match app.hook.ask(setting, &question, app.engine.now()).await {
        Ok(Said::Allow(claims)) => Ok(claims),
        Ok(Said::Deny(reason)) => {
            tracing::warn!(%correlation, %client, said = %reason.escape_debug(), "the token hook denied");
            note_denial(app, minting).await;
            Err(Failure::HookDenied)
        }
        // Nobody can switch the hook off by keeping it busy.
        Err(crate::outbound::NoAnswer::Busy) => Err(Failure::Busy),
        Err(trouble) => {
            tracing::error!(%correlation, %client, trouble = %trouble.to_string().escape_debug(), policy = ?setting.on_failure, "the token hook did not answer");
            match setting.on_failure {
                OnFailure::Deny => Err(Failure::HookFailed),
                OnFailure::Allow => Ok(Map::new()),
            }
        }
    }
}

/// Leaves an event, at most one per grant (or user) and minute. What the hook said is for the log: it may be anything.
async fn note_denial(app: &App, minting: &Minting<'_>) {
    let event = Event {
        kind: EventKind::HookDenied,
        grant: minting.grant.map(|grant| grant.id),
        client: Some(minting.client.id.clone()),
        subject: Some(minting.subject.to_owned()),
        detail: minting.grant_type.as_str().to_owned(),
    };
    let correlation = minting.correlation.as_str().to_owned();
    let record = EventRecord { at: app.engine.now(), event, correlation };
    if let Err(trouble) = app.engine.commit(vec![Record::Event(record)]).await {
        tracing::error!(correlation = %minting.correlation, %trouble, "an event could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use regrant_core::{Resources, Scope};

    use super::*;

    impl Grants for Granted {
        fn granted(&self) -> &Granted {
            self
        }
    }

    fn granted(scope: &str) -> Granted {
        Granted { scope: Scope::parse(scope).expect("a scope"), resources: Resources::default() }
    }

    fn yes(scope: &str) -> Decision<Granted> {
        Decision { write: regrant_core::Write::Nothing, event: None, outcome: Ok(granted(scope)) }
    }

    /// Law L11: no token goes out that the hook was not asked about, whatever has happened to the row since.
    #[test]
    fn a_decision_that_nothing_was_prepared_for_is_not_carried_out() {
        let ready = Prepared::Ready(granted("a"), TokenClaims::default());
        assert_eq!(Prepared::NotNeeded.vet(yes("a")).outcome, Ok(granted("a")));
        assert_eq!(ready.vet(yes("a")).outcome, Ok(granted("a")));
        assert_eq!(ready.vet(yes("a b")).outcome, Err(Refusal::NotPrepared));
        assert_eq!(Prepared::Refused.vet(yes("a")).outcome, Err(Refusal::NotPrepared));
        for prepared in [Prepared::NotNeeded, Prepared::Refused] {
            let refused = prepared.vet(Decision::<Granted>::refuse(Refusal::Replayed));
            assert_eq!(refused.outcome, Err(Refusal::Replayed), "a refusal keeps its own reason");
        }
        let expired = ready.vet(Decision::<Granted>::refuse(Refusal::AbsoluteExpired));
        assert_eq!(expired.outcome, Err(Refusal::AbsoluteExpired));
        for spent in [Refusal::Replayed, Refusal::CodeReplayed] {
            let late = ready.vet(Decision::<Granted>::refuse(spent));
            assert_eq!(late.outcome, Err(Refusal::NotPrepared), "it was good when it came");
        }
    }
}
