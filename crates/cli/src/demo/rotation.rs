//! Which refresh token an answer holds: the same, a successor, the same successor again, or none ever more.

use std::time::Duration;

use super::Trouble;
use super::acts::newest;
use super::exchange::Answer;
use super::flow::{self, refresh};
use super::stage::{PUBLIC, REUSABLE, SINGLE_USE, Stage};
use super::telling::{Row, aside, check, compare, require, say};
use crate::grants;

pub(super) async fn reusable(stage: &Stage, tokens: &Answer) -> Result<Row, Trouble> {
    say(
        "\"Some tokens are single-use only and others can be used multiple times.\" Client 12345 has a secret, and a stolen token \
         is worth nothing without it: so its tokens are reusable. It sends the same one again and again.",
    );
    let token = tokens.text("refresh_token");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(stage.wire.quietly(&refresh(stage, REUSABLE, &token)).await?);
    }
    let shown: Vec<String> = answers
        .iter()
        .map(|answer| format!("{}  refresh_token {}", answer.status, stage.wire.short(&answer.text("refresh_token"))))
        .collect();
    compare(&[
        ("from the login", &format!("        refresh_token {}", stage.wire.short(&token))),
        ("second use", &shown[0]),
        ("third use", &shown[1]),
        ("fourth use", &shown[2]),
    ]);
    let is_same = answers.iter().all(|answer| answer.is_ok() && answer.text("refresh_token") == token);
    check(is_same, "each answer names the refresh token that was sent")?;
    let mut access_tokens: Vec<String> = answers.iter().map(|answer| answer.text("access_token")).collect();
    access_tokens.push(tokens.text("access_token"));
    access_tokens.sort();
    access_tokens.dedup();
    check(access_tokens.len() == 4, "and each gives another access token")?;
    Ok(Row {
        act: "reusable refresh token",
        happened: "each use gives an access token, and the same refresh token".to_owned(),
        proof: format!("{} access tokens, equal refresh tokens", access_tokens.len()),
    })
}

pub(super) async fn single_use(stage: &Stage) -> Result<Row, Trouble> {
    say(
        "Client 67890 is set to rotation = \"single_use\": each refresh is answered with the next refresh token, which replaces the \
         one that was sent. Look at refresh_token in the request, and in the answer.",
    );
    let first = flow::log_in(stage, SINGLE_USE).await?.text("refresh_token");
    let second = stage.wire.show(&refresh(stage, SINGLE_USE, &first)).await?;
    require(second.is_ok(), "a refresh is answered 200")?;
    let second = second.text("refresh_token");
    let third = stage.wire.quietly(&refresh(stage, SINGLE_USE, &second)).await?.text("refresh_token");
    say("And once more, with the second:");
    compare(&[
        ("first", &stage.wire.short(&first)),
        ("second", &stage.wire.short(&second)),
        ("third", &stage.wire.short(&third)),
    ]);
    check(!third.is_empty() && first != second && second != third && first != third, "three tokens, each another one")?;
    let (grant, _) = newest(stage, SINGLE_USE).await?;
    check(grant.generation == 3 && grant.state == "live", "the operator sees one grant, at generation 3")?;
    Ok(Row {
        act: "single-use refresh token",
        happened: "each refresh gives the successor".to_owned(),
        proof: format!("three tokens, generation {}", grant.generation),
    })
}

pub(super) async fn lost_answer(stage: &Stage) -> Result<Row, Trouble> {
    say(
        "A phone has no secret, so its tokens are single-use. It refreshes, and enters a tunnel: the server has replaced the token, \
         durably, and the answer never arrives. Where single use is taken literally, the user has to log in again now.",
    );
    let first = flow::log_in(stage, PUBLIC).await?.text("refresh_token");
    let ask = refresh(stage, PUBLIC, &first);
    stage.wire.print_request(&ask);
    let swallowed = stage.wire.lose(&ask).await?;
    say("… the connection ends before a byte of the answer arrives.");
    let (grant, _) = newest(stage, PUBLIC).await?;
    check(grant.generation == 2, "the server is at generation 2 already: the sent token was replaced")?;
    stage.wait(Duration::from_secs(20));
    say("The phone still has the token that was replaced. It simply sends the same request again:");
    let again = stage.wire.show(&ask).await?;
    require(again.is_ok(), "a lost answer is given again")?;
    say("The demonstration's network kept the answer that it swallowed. So, side by side:");
    compare(&[
        ("sent both times", &stage.wire.short(&first)),
        ("the lost answer", &stage.wire.short(&swallowed.text("refresh_token"))),
        ("the second answer", &stage.wire.short(&again.text("refresh_token"))),
    ]);
    let is_same = swallowed.is_ok() && swallowed.text("refresh_token") == again.text("refresh_token");
    check(is_same && again.text("refresh_token") != first, "the same successor")?;
    let (grant, _) = newest(stage, PUBLIC).await?;
    check(grant.generation == 2 && grant.state == "live", "still generation 2: asking again made no second branch")?;
    let next = stage.wire.quietly(&refresh(stage, PUBLIC, &again.text("refresh_token"))).await?;
    check(next.is_ok(), "and the successor works: the session goes on")?;
    Ok(Row {
        act: "an answer lost, asked again",
        happened: "the same successor again".to_owned(),
        proof: format!("equal tokens, generation {} both times", grant.generation),
    })
}

pub(super) async fn at_once(stage: &Stage) -> Result<Row, Trouble> {
    say("Two processes of one application hold the same single-use token, and both send it in the same moment.");
    let first = flow::log_in(stage, PUBLIC).await?.text("refresh_token");
    let ask = refresh(stage, PUBLIC, &first);
    let (wire, other_wire, other_ask) = (stage.wire.clone(), stage.wire.clone(), ask.clone());
    let one = tokio::spawn(async move { wire.quietly(&ask).await });
    let other = tokio::spawn(async move { other_wire.quietly(&other_ask).await });
    let (one, other) = (one.await.map_err(Trouble::new)??, other.await.map_err(Trouble::new)??);
    let told = |answer: &Answer| {
        format!("{}  refresh_token {}", answer.status, stage.wire.short(&answer.text("refresh_token")))
    };
    compare(&[("one", &told(&one)), ("the other", &told(&other))]);
    let successor = one.text("refresh_token");
    check(one.is_ok() && other.is_ok(), "both are answered 200")?;
    check(successor == other.text("refresh_token") && successor != first, "with the same successor")?;
    let (grant, _) = newest(stage, PUBLIC).await?;
    check(grant.generation == 2 && grant.state == "live", "the server has moved on by one generation, not by two")?;
    Ok(Row {
        act: "two refreshes at once",
        happened: "the same successor for both".to_owned(),
        proof: format!("{} and {}, generation {}", one.status.as_u16(), other.status.as_u16(), grant.generation),
    })
}

pub(super) async fn replay(stage: &Stage) -> Result<Row, Trouble> {
    say(
        "A thief has copied a phone's first refresh token. The phone knows nothing of it: it refreshes now, and again an hour later.",
    );
    let stolen = flow::log_in(stage, PUBLIC).await?.text("refresh_token");
    let second = stage.wire.quietly(&refresh(stage, PUBLIC, &stolen)).await?;
    stage.wait(Duration::from_secs(3600));
    let third = stage.wire.quietly(&refresh(stage, PUBLIC, &second.text("refresh_token"))).await?;
    require(second.is_ok() && third.is_ok(), "the phone refreshes twice")?;
    stage.wait(Duration::from_secs(600));
    say(
        "Then the thief sends the first token. Two parties hold tokens of one grant, and the server cannot know which of them is the \
         thief: it ends the grant (RFC 9700 section 4.14.2).",
    );
    let refused = stage.wire.show(&refresh(stage, PUBLIC, &stolen)).await?;
    check(refused.is_refusal(), "the thief gets nothing, and hears nothing of why")?;
    let newest_token = third.text("refresh_token");
    let dead = stage.wire.quietly(&refresh(stage, PUBLIC, &newest_token)).await?;
    check(dead.is_refusal(), "the phone's newest token is dead, too: whoever was the thief has to log in as alice")?;
    let (grant, events) = newest(stage, PUBLIC).await?;
    say(&format!("The operator sees why, with `regrant grants show {}`:", grant.id));
    aside(|| grants::print(&grant, &events));
    check(
        grant.state == "revoked" && grant.reason.as_deref() == Some("refresh_replayed"),
        "the grant is revoked, because of refresh_replayed",
    )?;
    let correlation = refused.text("correlation_id");
    let is_told =
        |event: &&regrant_server::admin::EventView| event.correlation == correlation && event.kind == "grant_ended";
    check(
        !correlation.is_empty() && events.iter().any(|event| is_told(&event)),
        &format!("the event carries {correlation}, the correlation_id of the refused request"),
    )?;
    Ok(Row {
        act: "a stolen token replayed",
        happened: "refused, and the whole grant ended".to_owned(),
        proof: format!(
            "{} invalid_grant; {}: {}",
            refused.status.as_u16(),
            grant.state,
            grant.reason.unwrap_or_default()
        ),
    })
}
