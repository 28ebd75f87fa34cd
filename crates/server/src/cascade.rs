//! What revokes by itself: the one table of what happens and what ends with it (checks T23 to T29; docs/revocation.md tells why).
//!
//! | [`Happened`]          | concerns                      | setting                    | browser sessions | can be undone |
//! |-----------------------|-------------------------------|----------------------------|------------------|---------------|
//! | `UserDisabled`        | the user's grants             | `on_user_disabled`         | end              | no            |
//! | `UserRemoved`         | the user's grants             | always                     | end              | no            |
//! | `PasswordChanged`     | the user's grants             | `on_password_changed`      | end              | no            |
//! | `LoggedOut`           | grants given in the session   | `on_logout`, the client's own first | this one ends | no      |
//! | `ConsentWithdrawn`    | the user's at the client      | `on_consent_withdrawn`     | stay             | no            |
//! | `ClientRemoved`       | the client's grants           | `on_client_removed`        | stay             | yes           |
//! | `ClientDisabled`      | the client's grants           | `on_client_disabled`       | stay             | yes           |
//! | `ClientSecretRotated` | the client's grants           | `on_client_secret_rotated` | stay             | yes           |
//! | `RedirectUrisReduced` | the client's grants           | `on_redirect_uris_reduced` | stay             | yes           |
//!
//! Each is one row of a wide revocation ([`Epoch`]), durable in the same commit as what it follows from. What needs no row, for it is looked
//! at anew at each request: scopes, resources and grant types that a client lost (`core/src/issue.rs`), and the replay of a code or a
//! refresh token, which ends its own grant (`core/src/redeem.rs`, `core/src/refresh.rs`).

use std::sync::Arc;

use regrant_core::client::{Client, OnLogout};
use regrant_core::epoch::Among;
use regrant_core::grant::EndReason;
use regrant_core::{ClientId, Epoch, Selector, Timestamp};
use regrant_store::{Record, Session};

use crate::app::Clients;
use crate::config::{OnEvent, RevocationSettings};

/// Something after which grants may have to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happened<'a> {
    UserDisabled(&'a str),
    UserRemoved(&'a str),
    PasswordChanged(&'a str),
    /// Which session, and whose: by the user it is found without a look at every grant. Where the clients are not of one mind, some of them,
    /// and what is to become of their grants ([`logged_out`]).
    LoggedOut([u8; 32], &'a str, Option<(Among, OnEvent)>),
    ConsentWithdrawn(&'a str, ClientId),
    ClientRemoved(ClientId),
    ClientDisabled(ClientId),
    ClientSecretRotated(ClientId),
    RedirectUrisReduced(ClientId),
}

impl Happened<'_> {
    const fn effect(&self, settings: &RevocationSettings) -> OnEvent {
        match self {
            Self::UserDisabled(_) => settings.user_disabled,
            // A subject can be brought back by an import.
            Self::UserRemoved(_) => OnEvent::End,
            Self::PasswordChanged(_) => settings.password_changed,
            Self::LoggedOut(_, _, Some((_, own))) => *own,
            Self::LoggedOut(_, _, None) => settings.logout,
            Self::ConsentWithdrawn(..) => settings.consent_withdrawn,
            Self::ClientRemoved(_) => settings.client_removed,
            Self::ClientDisabled(_) => settings.client_disabled,
            Self::ClientSecretRotated(_) => settings.client_secret_rotated,
            Self::RedirectUrisReduced(_) => settings.redirect_uris_reduced,
        }
    }

    const fn reason(&self) -> EndReason {
        match self {
            Self::UserDisabled(_) => EndReason::UserDisabled,
            Self::UserRemoved(_) => EndReason::UserRemoved,
            Self::PasswordChanged(_) => EndReason::PasswordChanged,
            Self::LoggedOut(..) => EndReason::LoggedOut,
            Self::ConsentWithdrawn(..) => EndReason::ConsentWithdrawn,
            Self::ClientRemoved(_) => EndReason::ClientRemoved,
            Self::ClientDisabled(_) => EndReason::ClientSwitchedOff,
            Self::ClientSecretRotated(_) => EndReason::ClientSecretRotated,
            Self::RedirectUrisReduced(_) => EndReason::RedirectUrisReduced,
        }
    }

    fn selector(&self) -> Selector {
        let none = Selector::default;
        match self {
            Self::UserDisabled(subject) | Self::UserRemoved(subject) | Self::PasswordChanged(subject) => {
                Selector { subject: Some((*subject).to_owned()), ..none() }
            }
            Self::LoggedOut(session, subject, own) => {
                let among = own.as_ref().map(|(among, _)| among.clone());
                Selector { session: Some(*session), subject: Some((*subject).to_owned()), among, ..none() }
            }
            Self::ConsentWithdrawn(subject, client) => {
                Selector { subject: Some((*subject).to_owned()), client: Some(client.clone()), ..none() }
            }
            Self::ClientRemoved(client)
            | Self::ClientDisabled(client)
            | Self::ClientSecretRotated(client)
            | Self::RedirectUrisReduced(client) => Selector { client: Some(client.clone()), ..none() },
        }
    }

    /// What an operator changed about a client is his to take back; what concerns people is final.
    const fn can_be_undone(&self) -> bool {
        match self {
            Self::UserDisabled(_)
            | Self::UserRemoved(_)
            | Self::PasswordChanged(_)
            | Self::LoggedOut(..)
            | Self::ConsentWithdrawn(..) => false,
            Self::ClientRemoved(_)
            | Self::ClientDisabled(_)
            | Self::ClientSecretRotated(_)
            | Self::RedirectUrisReduced(_) => true,
        }
    }
}

/// What a logout is: one thing where all clients do as `[revocation]` says, and else one for each choice. No grant is looked at: one that is
/// made in this very moment ends as the others do.
pub(crate) fn logged_out<'a>(
    session: &'a Session,
    clients: &Clients,
    settings: &RevocationSettings,
) -> Vec<Happened<'a>> {
    let usual = settings.logout;
    let effect = |client: &Client| client.logout.on_logout.map_or(usual, OnEvent::from);
    let of = |wanted: OnEvent| -> Vec<ClientId> {
        let those = clients.all().filter(|client| effect(client) == wanted);
        those.map(|client| client.id.clone()).collect()
    };
    let happened = |own| Happened::LoggedOut(session.root, &session.subject, own);
    let others: Vec<ClientId> =
        clients.all().filter(|client| effect(client) != usual).map(|client| client.id.clone()).collect();
    if others.is_empty() {
        return vec![happened(None)];
    }
    let only =
        |effect: OnEvent| parts(of(effect)).into_iter().map(move |part| happened(Some((Among::Only(part), effect))));
    let mut all: Vec<Happened<'a>> = match <[Arc<[ClientId]>; 1]>::try_from(parts(others)) {
        Ok([others]) => vec![happened(Some((Among::But(others), usual)))],
        // So many of another mind that those of the usual one are named.
        Err(_) => only(usual).collect(),
    };
    for own in OnLogout::ALL.map(OnEvent::from) {
        if own != usual {
            all.extend(only(own));
        }
    }
    all
}

/// Lists whose texts a store keeps.
fn parts(clients: Vec<ClientId>) -> Vec<Arc<[ClientId]>> {
    let (mut parts, mut part, mut length) = (Vec::new(), Vec::new(), 0);
    for client in clients {
        let more = client.as_str().len() + 1;
        if length + more > Among::MAX_LEN - 8 {
            parts.push(Arc::from(std::mem::take(&mut part)));
            length = 0;
        }
        length += more;
        part.push(client);
    }
    if !part.is_empty() {
        parts.push(Arc::from(part));
    }
    parts
}

/// What must be durable together with what happened: nothing, where nothing ends.
pub(crate) fn follows(happened: &Happened<'_>, settings: &RevocationSettings, now: Timestamp) -> Option<Record> {
    let effect = happened.effect(settings);
    if !matches!(effect, OnEvent::End | OnEvent::EndOnline) {
        return None;
    }
    let undoable = happened.can_be_undone() && !settings.undo_window.is_zero();
    let epoch = Epoch {
        // Whichever is next.
        number: 0,
        at: now,
        selector: Selector { online_only: effect == OnEvent::EndOnline, ..happened.selector() },
        reason: happened.reason(),
        detail: String::new(),
        undo_until: undoable.then(|| now.plus(settings.undo_window)),
        undone_at: None,
    };
    Some(Record::Epoch { epoch, events: Vec::new() })
}

/// What a reload of the configuration changes about clients that were there before it.
pub(crate) fn reloaded(before: &Clients, after: &Clients) -> Vec<Happened<'static>> {
    // What stood in for one that did not fit tells nothing of what it had.
    let are_known = before.all().filter(|client| !before.is_misfit(&client.id));
    are_known.flat_map(|client| of_client(client, after.get(&client.id).as_deref())).collect()
}

/// What another definition changes about a client.
pub(crate) fn of_client(before: &Client, after: Option<&Client>) -> Vec<Happened<'static>> {
    let id = || before.id.clone();
    let Some(after) = after else { return vec![Happened::ClientRemoved(id())] };
    let mut happened = Vec::new();
    if after.disabled && !before.disabled {
        happened.push(Happened::ClientDisabled(id()));
    }
    if before.secrets.first().map(|secret| secret.hash) != after.secrets.first().map(|secret| secret.hash) {
        happened.push(Happened::ClientSecretRotated(id()));
    }
    if before.redirect_uris.iter().any(|uri| !after.redirect_uris.contains(uri)) {
        happened.push(Happened::RedirectUrisReduced(id()));
    }
    happened
}
