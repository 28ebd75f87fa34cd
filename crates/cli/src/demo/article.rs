//! What the article tells: login, an access token that expires, and the refresh token grant.

use std::time::Duration;

use axum::http::StatusCode;

use super::Trouble;
use super::exchange::{Answer, Ask};
use super::flow::{self, Login};
use super::stage::{REUSABLE, Stage};
use super::telling::{Row, check, require, say, words};

/// RFC 6749 section 4.1 with RFC 7636 and RFC 9207.
pub(super) async fn log_in(stage: &Stage) -> Result<(Row, Answer), Trouble> {
    say(
        "An application wants to read alice's things. It sends her browser to the authorization endpoint (RFC 6749 section 4.1), \
         with the hash of a random code_verifier that it keeps to itself (PKCE, RFC 7636).",
    );
    let login = Login::new(REUSABLE);
    let path = login.path(stage, "code");
    stage.wire.print_request(&Ask::get(&path));
    say(
        "The browser goes through the server's own pages. The password is typed there, and the application never sees it.",
    );
    let back = flow::browse(stage, &path).await?;
    flow::print_steps(&back.steps);
    say("The last answer sends the browser back to the application, with a code:");
    stage.wire.print_answer(&back.answer);
    let code = flow::parameter(&back.location, "code").ok_or_else(|| Trouble::new("no code came back"))?;
    check(
        flow::parameter(&back.location, "state").as_ref() == Some(&login.state),
        "state is what the application sent",
    )?;
    let issuer = stage.app()?.issuer().to_owned();
    check(flow::parameter(&back.location, "iss") == Some(issuer), "iss names this server (RFC 9207)")?;
    say(
        "The application redeems the code: not through the browser, but straight at the server, with its secret and the \
         code_verifier. Look at the two tokens, and at when each of them ends.",
    );
    let tokens = stage.wire.show(&login.redemption(stage, &code)).await?;
    let (access_ends, refresh_ends) = (tokens.number("expires_in"), tokens.number("refresh_token_expires_in"));
    require(tokens.is_ok() && !tokens.text("access_token").is_empty(), "a code gives an access token")?;
    require(!tokens.text("refresh_token").is_empty(), "a code gives a refresh token")?;
    let (access_ends, refresh_ends) = (Duration::from_secs(access_ends), Duration::from_secs(refresh_ends));
    check(
        access_ends < refresh_ends,
        &format!("the access token ends after {}, the refresh token after {}", words(access_ends), words(refresh_ends)),
    )?;
    let row = Row {
        act: "login: code + PKCE",
        happened: "a code, then an access token and a refresh token".to_owned(),
        proof: format!("{} and {}", words(access_ends), words(refresh_ends)),
    };
    Ok((row, tokens))
}

/// RFC 9068 section 4: the resource verifies the token by itself.
pub(super) async fn access(stage: &Stage, tokens: &Answer) -> Result<Row, Trouble> {
    say(
        "A small API stands beside the server. It has fetched the server's public keys over HTTP, and checks of each token the \
         type, the signature, the issuer, the audience, the time and the scope.",
    );
    let ask = flow::things(stage, &tokens.text("access_token"));
    let accepted = stage.wire.show(&ask).await?;
    check(accepted.is_ok(), "the API accepts the access token")?;
    stage.wait(Duration::from_secs(tokens.number("expires_in")));
    let expired = stage.wire.show(&ask).await?;
    let says = expired.header("www-authenticate");
    check(
        expired.status == StatusCode::UNAUTHORIZED && says.contains("invalid_token"),
        "expires_in has passed, and the API refuses the same token",
    )?;
    Ok(Row {
        act: "access token expires",
        happened: "the API accepts it, and later refuses it".to_owned(),
        proof: format!("{}, then {} invalid_token", accepted.status.as_u16(), expired.status.as_u16()),
    })
}

/// RFC 6749 section 6.
pub(super) async fn renew(stage: &Stage, tokens: &Answer) -> Result<Row, Trouble> {
    say(
        "\"If the client asks the user to authenticate and authorize every time the access token expires then it will be very \
         frustrating.\" So the application sends the refresh token instead, with its id and its secret. (The path is one that many \
         introductions show; it is another name of /oauth2/token.)",
    );
    let renewed = stage.wire.show(&flow::refresh(stage, REUSABLE, &tokens.text("refresh_token"))).await?;
    let members = ["access_token", "token_type", "expires_in", "refresh_token", "refresh_token_expires_in", "scope"];
    let body = renewed.json();
    check(
        renewed.is_ok() && members.iter().all(|member| !body[*member].is_null()),
        &format!("200, with {}", members.join(", ")),
    )?;
    check(
        !renewed.text("access_token").is_empty() && renewed.text("access_token") != tokens.text("access_token"),
        "the access token is a new one",
    )?;
    let accepted = stage.wire.quietly(&flow::things(stage, &renewed.text("access_token"))).await?;
    check(accepted.is_ok(), "the API accepts it (200)")?;
    Ok(Row {
        act: "access token renewed",
        happened: "the refresh token gives a new one, which the API accepts".to_owned(),
        proof: format!("{} at the server, {} at the API", renewed.status.as_u16(), accepted.status.as_u16()),
    })
}
