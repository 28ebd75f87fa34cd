//! How it ends: by the operator, by the clocks, or before it began. And how it does not: by a restart.

use std::time::Duration;

use super::Trouble;
use super::acts::newest;
use super::exchange::Answer;
use super::flow::{self, Login, refresh};
use super::stage::{IMPLICIT, JOB, REUSABLE, SINGLE_USE, Stage};
use super::telling::{Row, check, compare, gap, require, say};

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

/// RFC 7009's effect by the operator's hand, and RFC 7662.
pub(super) async fn blacklist(stage: &Stage) -> Result<Row, Trouble> {
    say(
        "\"They can also be blacklisted by the authorization server.\" An API may ask the server whether it still vouches for a \
         token (introspection, RFC 7662). Before:",
    );
    let tokens = flow::log_in(stage, REUSABLE).await?;
    let (access_token, token) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let ask = flow::introspection(stage, &access_token);
    let before = stage.wire.quietly(&ask).await?;
    stage.wire.print_answer(&before);
    check(before.json()["active"] == true, "the access token is active")?;
    let (grant, _) = newest(stage, REUSABLE).await?;
    say(&format!("Now the operator ends the grant: regrant grants revoke {} --reason \"laptop stolen\"", grant.id));
    let admin = stage.app()?.admin();
    let was_live = admin.revoke_grant(&grant.id, "laptop stolen").await.map_err(Trouble::new)?;
    require(was_live, "the grant was live")?;
    let refused = stage.wire.show(&refresh(stage, REUSABLE, &token)).await?;
    check(refused.is_refusal(), "the refresh token is refused, reusable or not")?;
    say("And the same question to introspection:");
    let after = stage.wire.show(&ask).await?;
    check(after.json()["active"] == false, "the access token is no longer active")?;
    let alone = stage.wire.quietly(&flow::things(stage, &access_token)).await?;
    check(
        alone.is_ok(),
        &format!(
            "what this does not do: an API that only checks signatures accepts that access token until it expires, at most {} \
             seconds",
            tokens.number("expires_in")
        ),
    )?;
    let (grant, _) = newest(stage, REUSABLE).await?;
    check(grant.reason.as_deref() == Some("revoked_by_operator"), "the grant says who ended it: revoked_by_operator")?;
    Ok(Row {
        act: "blacklisted by the operator",
        happened: "the refresh token is refused, introspection says so".to_owned(),
        proof: format!("{} invalid_grant; active: {}", refused.status.as_u16(), after.json()["active"]),
    })
}

/// RFC 6749 sections 4.2.2 and 4.4.3.
pub(super) async fn flows_without(stage: &Stage) -> Result<Row, Trouble> {
    say(
        "The implicit grant: the token comes back in the fragment of the URL, straight into the browser, which cannot keep a secret. \
         So it is given nothing that lasts. (RFC 9700 section 2.1.2 advises against this flow; here only a client that lists it in \
         grant_types has it.)",
    );
    let back = flow::browse(stage, &Login::new(IMPLICIT).path(stage, "token")).await?;
    stage.wire.print_answer(&back.answer);
    check(flow::parameter(&back.location, "access_token").is_some(), "the fragment holds an access token")?;
    check(!back.location.contains("refresh_token"), "and no refresh token")?;
    say("The client credentials grant: there is no user, so there is nobody whom a refresh token would spare a login.");
    let ask = flow::as_client(stage, JOB, "/oauth2/token", &[("grant_type", "client_credentials")]);
    let answer = stage.wire.show(&ask).await?;
    check(answer.is_ok() && !answer.text("access_token").is_empty(), "the answer holds an access token")?;
    check(!answer.body.contains("refresh_token"), "and no refresh token")?;
    Ok(Row {
        act: "flows without one",
        happened: "implicit and client credentials give an access token only".to_owned(),
        proof: "no refresh_token in either answer".to_owned(),
    })
}

/// The idle clock and the absolute one.
pub(super) async fn both_clocks(stage: &Stage) -> Result<Row, Trouble> {
    say(
        "\"The refresh token expires after some time, but this time is much longer than the expiration time of the access token.\" \
         Here it has two clocks: it ends when it was not used for 30 days, and at the latest after 365 days, or as each client is \
         set. alice logs in to 12345 and 67890, and from then on only 67890 refreshes.",
    );
    let unused = flow::log_in(stage, REUSABLE).await?;
    let used = flow::log_in(stage, SINGLE_USE).await?;
    compare(&[("12345", &told(&unused)), ("67890", &told(&used))]);
    let idle = Duration::from_secs(unused.number("refresh_token_expires_in"));
    let absolute = Duration::from_secs(used.number("authorization_expires_in"));
    let third_visit = absolute - DAY * 2;
    require(idle == DAY * 30 && absolute == DAY * 60, "the clocks are announced as they are set")?;

    stage.wait(idle - DAY);
    let used = step(stage, &used).await?;
    compare(&[("67890", &told(&used))]);
    check(used.number("refresh_token_expires_in") == idle.as_secs(), "67890 was used, and its 30 days begin anew")?;

    stage.wait(DAY - SECOND);
    let token = unused.text("refresh_token");
    let before = stage.wire.quietly(&flow::introspection(stage, &token)).await?;
    gap();
    check(
        before.json()["active"] == true,
        "12345: one second before its end, introspection calls the refresh token active",
    )?;
    stage.wait(SECOND);
    let refused = stage.wire.show(&refresh(stage, REUSABLE, &token)).await?;
    let (idle_grant, _) = newest(stage, REUSABLE).await?;
    check(
        refused.is_refusal() && idle_grant.state == "idle_expired",
        "12345: not used for 30 days, ended to the second",
    )?;

    stage.wait(third_visit - idle);
    let used = step(stage, &used).await?;
    compare(&[("67890", &told(&used))]);
    check(
        used.number("refresh_token_expires_in") == (DAY * 2).as_secs(),
        "67890: the end of its 60 days comes before 30 more days, and the answer says so",
    )?;
    stage.wait(DAY * 2);
    let ended = stage.wire.show(&refresh(stage, SINGLE_USE, &used.text("refresh_token"))).await?;
    let (absolute_grant, _) = newest(stage, SINGLE_USE).await?;
    check(ended.is_refusal() && absolute_grant.state == "absolute_expired", "67890: ended, however often it was used")?;
    Ok(Row {
        act: "the refresh token's own end",
        happened: "unused for 30 days; or 60 days old, and used".to_owned(),
        proof: format!("{}, {}", idle_grant.state, absolute_grant.state),
    })
}

async fn step(stage: &Stage, tokens: &Answer) -> Result<Answer, Trouble> {
    let answer = stage.wire.quietly(&refresh(stage, SINGLE_USE, &tokens.text("refresh_token"))).await?;
    require(answer.is_ok(), "a refresh before its end is answered 200")?;
    Ok(answer)
}

fn told(answer: &Answer) -> String {
    let days = |name: &str| format!("{name} {} ({} days)", answer.number(name), answer.number(name) / DAY.as_secs());
    format!("{}   {}", days("refresh_token_expires_in"), days("authorization_expires_in"))
}

/// Law L1: what was answered is durable.
pub(super) async fn restart(stage: &mut Stage) -> Result<Row, Trouble> {
    say(
        "What was answered is in the file. alice logs in once more, the server stops, and starts again on the same files: from now on \
         by the machine's clock, which has come up with the demonstration's.",
    );
    let tokens = flow::log_in(stage, SINGLE_USE).await?;
    stage.stop().await?;
    let gone = stage.wire.quietly(&refresh(stage, SINGLE_USE, &tokens.text("refresh_token"))).await;
    gap();
    check(gone.is_err(), "stopped: nobody answers")?;
    let last = stage.now();
    stage.start_again().await?;
    require(stage.now() >= last, "the demonstration's clock ended before now")?;
    let answer = stage.wire.quietly(&refresh(stage, SINGLE_USE, &tokens.text("refresh_token"))).await?;
    check(
        answer.is_ok() && answer.text("refresh_token") != tokens.text("refresh_token"),
        "started: the refresh token from before gives its successor (200)",
    )?;
    let replayed = newest(stage, super::stage::PUBLIC).await?.0;
    check(replayed.reason.as_deref() == Some("refresh_replayed"), "what was revoked is still revoked")?;
    Ok(Row {
        act: "a restart",
        happened: "the session goes on, the revoked stays revoked".to_owned(),
        proof: format!("{} after the restart", answer.status.as_u16()),
    })
}
