//! The acts, in the order of the story: each shows one thing, checks it, and leaves a row of the last table.

use regrant_server::admin::{EventView, GrantFilter, GrantView};

use super::stage::Stage;
use super::telling::{self, Row};
use super::{Trouble, article, endings, rotation};

/// Plays all of them.
pub(super) async fn all(stage: &mut Stage) -> Result<Vec<Row>, Trouble> {
    title(1, "The user logs in, once");
    let (row, first) = article::log_in(stage).await?;
    let mut rows = vec![row];
    title(2, "The access token opens the API, for a while");
    rows.push(article::access(stage, &first).await?);
    title(3, "The refresh token renews it, and the user is not asked");
    rows.push(article::renew(stage, &first).await?);
    title(4, "A reusable refresh token stays the same");
    rows.push(rotation::reusable(stage, &first).await?);
    title(5, "A single-use refresh token is replaced each time");
    rows.push(rotation::single_use(stage).await?);
    title(6, "An answer is lost, and asked for again");
    rows.push(rotation::lost_answer(stage).await?);
    title(7, "Two processes refresh at once");
    rows.push(rotation::at_once(stage).await?);
    title(8, "A stolen token is replayed");
    rows.push(rotation::replay(stage).await?);
    title(9, "The operator blacklists a token");
    rows.push(endings::blacklist(stage).await?);
    title(10, "Two flows give no refresh token");
    rows.push(endings::flows_without(stage).await?);
    title(11, "The refresh token ends, too");
    rows.push(endings::both_clocks(stage).await?);
    title(12, "The server stops, and starts again");
    rows.push(endings::restart(stage).await?);
    Ok(rows)
}

fn title(number: u32, text: &str) {
    telling::act(&format!("{number}. {text}"));
}

/// The newest grant of a client, and what happened to it: what an operator sees.
pub(super) async fn newest(stage: &Stage, client: &str) -> Result<(GrantView, Vec<EventView>), Trouble> {
    let admin = stage.app()?.admin();
    let filter = GrantFilter { client: Some(client.to_owned()), user: None };
    let (grants, _) = admin.grants(&filter, 0, 1000).await.map_err(Trouble::new)?;
    let last = grants.last().ok_or_else(|| Trouble::new(format!("client {client} has no grant")))?;
    admin.grant(&last.id).await.map_err(Trouble::new)
}
