//! A store of many grants, and what their clients hold.

use std::path::Path;

use regrant_core::decision::{Change, Decision};
use regrant_core::issue::Granted;
use regrant_core::openid::ACR_PASSWORD;
use regrant_core::redeem::{CodeRequest, Consent, grant_with_code};
use regrant_core::{Keys, OpenId, Refusal, Resources, Scope};
use regrant_store::{Answer, Question, Record, User};
use sim::process::{Home, Inside};
use sim::startup;
use tokio::task::JoinSet;

use std::sync::Arc;

use crate::case::{CLIENT, Flow, Format, Kind, clients};
use crate::pool::Pool;

/// The most users; each has ten grants where there are fewer of those.
const MAX_USERS: u64 = 100_000;
/// Records of one commit.
const AT_ONCE: u64 = 1000;
/// How long the codes may be redeemed: they are made before they are needed.
const CODE_LIFETIME: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A store, and the newest refresh token of each of its grants.
#[derive(Debug)]
pub struct Stock {
    /// The deployment.
    pub home: Home,
    /// Which grants it holds.
    pub kind: Kind,
    /// How many it was made with.
    pub grants: u64,
    /// What clients hold.
    pub pool: Pool,
    /// What opens their tokens.
    pub keys: Arc<Keys>,
}

impl Stock {
    /// Makes a store of this many grants in an empty directory, through the engine and the core.
    ///
    /// # Panics
    /// If the server fails.
    pub async fn make(directory: &Path, kind: Kind, grants: u64, progress: &mut dyn FnMut(u64)) -> Self {
        Self::fill(Home::make_with(directory, &clients(kind, Format::Opaque)), kind, grants, progress).await
    }

    /// The same in a home that was made, over whatever store it names.
    ///
    /// # Panics
    /// If the server fails.
    pub async fn fill(home: Home, kind: Kind, grants: u64, progress: &mut dyn FnMut(u64)) -> Self {
        let inside = home.open_inside();
        let users = (grants / 10).clamp(1, MAX_USERS);
        add_users(&inside, users).await;
        let keys = inside.app.engine.keys();
        let mut tokens = Vec::with_capacity(usize::try_from(grants).unwrap_or_default());
        startup::make(
            &inside,
            CLIENT,
            grants,
            |number| subject(number % users),
            |issued| {
                tokens.push(issued.token.and_then(|token| token.text(&keys)).expect("a refresh token"));
                if tokens.len() % 10_000 == 0 {
                    progress(tokens.len() as u64);
                }
            },
        )
        .await;
        let pool = Pool::new(tokens.iter().map(String::as_str));
        inside.close_in(&home).await;
        Self { home, kind, grants, pool, keys }
    }

    /// Adds this many grants that wait for their codes to be redeemed, with an ID token or without, and returns the codes.
    ///
    /// # Panics
    /// If the server fails.
    pub async fn codes(&self, count: u64, flow: Flow) -> Pool {
        let inside = self.home.open_inside();
        let client = inside.app.client(CLIENT).expect("the client");
        let mut codes: Vec<String> = Vec::new();
        while (codes.len() as u64) < count {
            let mut tasks = JoinSet::new();
            for _ in 0..AT_ONCE {
                let (engine, client) = (inside.app.engine.clone(), Arc::clone(&client));
                tasks.spawn(async move {
                    let made = engine.create("", move |id, moment| {
                        let is_openid = flow == Flow::IdToken;
                        let scope = Scope::parse(if is_openid { "openid read" } else { "read" }).expect("a scope");
                        let granted = Granted { scope, resources: Resources::default() };
                        let consent = Consent {
                            subject: subject(0),
                            granted,
                            authenticated_at: moment.now,
                            session: None,
                            openid: is_openid.then(login),
                            epoch: 0,
                        };
                        let request = CodeRequest { challenge: None, redirect_uri: None, lifetime: CODE_LIFETIME };
                        let (keys, now, entropy) = (moment.keys, moment.now, &moment.entropy);
                        let (grant, code) = grant_with_code(id, &client, consent, &request, keys, now, entropy);
                        match code.text(keys) {
                            Some(text) => Decision::accept(Change::Created, grant, text),
                            None => Decision::refuse(Refusal::NotOurs),
                        }
                    });
                    made.await.expect("the store answers").expect("made")
                });
            }
            codes.extend(tasks.join_all().await);
        }
        inside.close(&self.home.store()).await;
        Pool::new(codes.iter().map(String::as_str))
    }

    /// The sum of all generations in the store, which must not be served at the moment.
    ///
    /// # Panics
    /// If it cannot be read.
    pub async fn generations(&self) -> u64 {
        let inside = self.home.open_inside();
        let (mut sum, mut after) = (0, 0);
        loop {
            let question = Question::Grants { client: None, subject: None, after, limit: 1000 };
            let Ok(Answer::Grants(page)) = inside.app.engine.ask(question).await else {
                panic!("the store does not answer")
            };
            let Some(last) = page.last() else { break };
            after = last.grant.id.number;
            sum += page.iter().map(|loaded| u64::from(loaded.grant.generation)).sum::<u64>();
        }
        inside.close(&self.home.store()).await;
        sum
    }
}

/// A login of OpenID Connect, as the pages note it.
fn login() -> OpenId {
    OpenId {
        nonce: Some("n-0S6_WzA2Mj".to_owned()),
        acr: ACR_PASSWORD.to_owned(),
        amr: vec!["pwd".to_owned()],
        ..OpenId::default()
    }
}

/// The user of this number.
pub(crate) fn subject(number: u64) -> String {
    format!("usr_{number:022}")
}

/// Adds this many users, whom no password fits.
pub(crate) async fn add_users(inside: &Inside, users: u64) {
    let now = inside.app.engine.now();
    let user = |number| {
        Record::AddUser(User {
            subject: subject(number),
            name: format!("user-{number}"),
            password: String::new(),
            disabled_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
            attributes: "{}".to_owned(),
        })
    };
    for first in (0..users).step_by(AT_ONCE as usize) {
        let records = (first..users.min(first + AT_ONCE)).map(user).collect();
        inside.app.engine.commit(records).await.expect("the users are added");
    }
}
