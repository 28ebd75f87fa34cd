//! What is done at a node beside HTTP: a login, an operator's acts, the look after keys. Each is the server's own code, waiting to be polled.

use std::sync::Arc;

use regrant_core::Resources;
use regrant_core::client::GrantType;
use regrant_core::decision::{Change, Decision};
use regrant_core::device;
use regrant_core::issue::{self, Ask, SubjectStatus};
use regrant_core::redeem::{self, CodeRequest};
use regrant_core::secret::Hash;
use regrant_core::token::{Code, DeviceCode};
use regrant_core::{GrantId, Refusal, Scope};
use regrant_store::{Answer, Question};

use super::laws::SCOPE;
use super::node::{Done, Node, Up, Work};
use super::parties::Class;
use super::template::subject;
use crate::wire::{CALLBACK, VERIFIER};

/// How long a code may be redeemed here.
const CODE_LIFETIME: std::time::Duration = std::time::Duration::from_secs(60);

/// A user has logged in and consented: the client gets a code, made as the authorization endpoint makes it.
pub(super) fn log_in(up: &Up, class: Class, user: usize) -> Work {
    let app = Arc::clone(&up.app);
    Box::pin(async move {
        let Some(client) = app.client(class.client()) else { return Done::Code(None) };
        let (scope, resources) = (Scope::parse(SCOPE).ok(), Resources::default());
        let ask = Ask {
            client: &client,
            grant_type: GrantType::AuthorizationCode,
            subject: SubjectStatus::Enabled,
            scope: scope.as_ref(),
            resources: &resources,
            held: None,
        };
        let Ok(granted) = issue::verdict(&ask) else { return Done::Code(None) };
        let consent = redeem::Consent {
            subject: subject(user),
            granted,
            authenticated_at: app.engine.now(),
            session: None,
            epoch: app.engine.epoch(),
            openid: None,
        };
        let bound = CodeRequest {
            challenge: Some(Hash::of(VERIFIER.as_bytes())),
            redirect_uri: Some(CALLBACK.to_owned()),
            lifetime: CODE_LIFETIME,
        };
        let made = app
            .engine
            .create("", move |id, moment| {
                let (grant, code) = redeem::grant_with_code(
                    id,
                    &client,
                    consent.clone(),
                    &bound,
                    moment.keys,
                    moment.now,
                    &moment.entropy,
                );
                match code.text(moment.keys) {
                    Some(text) => Decision::accept(Change::Created, grant, text),
                    None => Decision::refuse(Refusal::SeedKeyNotYet),
                }
            })
            .await;
        Done::Code(made.ok().and_then(Result::ok))
    })
}

/// A user has entered what a device shows, and answers: as the page does it, in one commit.
pub(super) fn answer_device(up: &Up, device_code: &str, reply: device::Reply, user: usize) -> Work {
    let (app, device_code) = (Arc::clone(&up.app), device_code.to_owned());
    Box::pin(async move {
        let Some(code) = DeviceCode::open(&device_code, &app.engine.keys()) else { return Done::Acted(false) };
        let Ok(Answer::DeviceRequest(Some(request))) =
            app.engine.ask(Question::DeviceRequest(code.grant().number)).await
        else {
            return Done::Acted(false);
        };
        let asked = request.asked;
        let Some(client) = app.client(asked.client.as_str()) else { return Done::Acted(false) };
        let consent = redeem::Consent {
            subject: subject(user),
            granted: asked.granted.clone(),
            authenticated_at: app.engine.now(),
            session: None,
            epoch: app.engine.epoch(),
            openid: None,
        };
        let (grant, answer) = (asked.grant, device::Answer { asked, reply, consent });
        let decided = app.engine.decide(grant, "", move |row, moment| {
            let row = row.map(|(grant, _)| grant);
            device::answer(row, &answer, &client, moment.keys, moment.now, &moment.entropy)
        });
        Done::Acted(matches!(decided.await, Ok(Ok(()))))
    })
}

/// The grant of a code of ours.
pub(super) fn grant_of(node: &Node, code: &str) -> Option<GrantId> {
    let up = node.up.as_ref()?;
    Code::open(code, &up.app.engine.keys()).map(|code| code.grant)
}

/// An operator ends a grant, or switches its user off.
pub(super) fn end(up: &Up, grant: GrantId, user: usize, disables: bool) -> Work {
    let app = Arc::clone(&up.app);
    Box::pin(async move {
        let admin = app.admin();
        let done = if disables {
            admin.set_user_disabled(&format!("user{user}"), true).await.is_ok()
        } else {
            let id = grant.display(&app.engine.keys());
            admin.revoke_grant(&id, "").await.is_ok()
        };
        Done::Acted(done)
    })
}

/// The keys are looked after; whether there was anything to do.
pub(super) fn tend(up: &Up) -> Work {
    let app = Arc::clone(&up.app);
    Box::pin(async move { Done::Acted(regrant_server::rotation::tend(&app).await.is_ok_and(|steps| steps > 0)) })
}

/// The chain of events is verified; false only if it is broken.
pub(super) fn verify(up: &Up) -> Work {
    let app = Arc::clone(&up.app);
    Box::pin(async move {
        let report = app.admin().verify_events().await;
        Done::Acted(report.is_ok_and(|report| report.broken.is_none()))
    })
}
