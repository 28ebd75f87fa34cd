//! The acts, in the order of the story: each shows one thing and checks it.

use std::time::Duration;

use regrant_server::admin::GrantFilter;

use super::exchange::{Answer, Ask};
use super::stage::Stage;
use super::{Trouble, check, flow};
use crate::{grants, output};

/// What an act showed, and how it ended: a row of the last table.
type Shown = Vec<(&'static str, String)>;

/// The client that keeps one refresh token.
const REUSABLE: &str = "12345";
/// The confidential client whose refresh tokens work once.
const SINGLE_USE: &str = "67890";
/// The public client.
const PUBLIC: &str = "phone";
/// The path of the article.
const ARTICLE_PATH: &str = "/oauth/v2/accessToken";

/// Plays all of them.
pub(super) async fn all(stage: &Stage) -> Result<Shown, Trouble> {
    let mut shown = Shown::new();
    let tokens = log_in(stage, &mut shown).await?;
    access(stage, &tokens, &mut shown).await?;
    renew(stage, &tokens, &mut shown).await?;
    single_use(stage, &mut shown).await?;
    lost_answer(stage, &mut shown).await?;
    at_once(stage, &mut shown).await?;
    replay(stage, &mut shown).await?;
    blacklist(stage, &mut shown).await?;
    none_for_implicit(stage, &mut shown).await?;
    none_for_client_credentials(stage, &mut shown).await?;
    the_end(stage, &mut shown).await?;
    Ok(shown)
}

fn say(title: &str, text: &str) {
    let bold = anstyle::Style::new().bold();
    output::line(&format!("\n{bold}── {title}{bold:#}\n"));
    note(text);
}

fn note(text: &str) {
    output::line(&format!("{text}\n"));
}

/// A refresh, as the client that holds the token.
fn refresh(stage: &Stage, client: &str, token: &str) -> Ask {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client)];
    if client != PUBLIC {
        form.push(("client_secret", &stage.secret));
    }
    Ask::post(ARTICLE_PATH, &form)
}

fn secret_of<'a>(stage: &'a Stage, client: &str) -> Option<&'a str> {
    (client != PUBLIC).then_some(stage.secret.as_str())
}

fn is_refused(answer: &Answer) -> bool {
    answer.status.as_u16() == 400 && answer.text("error") == "invalid_grant"
}

async fn log_in(stage: &Stage, shown: &mut Shown) -> Result<Answer, Trouble> {
    say(
        "The user logs in, once",
        "The app sends the browser to the authorization endpoint (RFC 6749 section 4.1, with PKCE). The user logs in and\nallows it, on the server's own pages; the browser comes back to the app with a code.",
    );
    let location = flow::authorize(&stage.wire, &flow::authorization_path(REUSABLE)).await?;
    note(&format!(
        "  GET {}\n  … login page, consent page …\n  303 See Other\n  Location: {}",
        stage.wire.short(&flow::authorization_path(REUSABLE)),
        stage.wire.short(&location)
    ));
    let code = flow::parameter(&location, "code").ok_or_else(|| Trouble::new("no code came back"))?;
    check(flow::parameter(&location, "state").as_deref() == Some("af0ifjsldkj"), "state comes back as it was sent")?;
    check(flow::parameter(&location, "iss").as_deref() == Some(stage.app.issuer()), "iss names the server")?;
    note("The app redeems the code. Look at the two tokens, and at when each ends.");
    let tokens = stage.wire.show(&flow::redemption(REUSABLE, Some(&stage.secret), &code)).await?;
    check(tokens.status.as_u16() == 200 && !tokens.text("refresh_token").is_empty(), "a code gives a refresh token")?;
    shown.push(("login by authorization code + PKCE", "an access token and a refresh token".to_owned()));
    Ok(tokens)
}

async fn access(stage: &Stage, tokens: &Answer, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "The access token opens the API, for a while",
        "A small protected resource checks the token's signature, issuer, audience and time.",
    );
    let bearer = format!("Bearer {}", tokens.text("access_token"));
    let ask = Ask::get(&stage.things).with("Authorization", &bearer);
    let accepted = stage.wire.show(&ask).await?;
    check(accepted.status.as_u16() == 200, "the resource accepts a fresh access token")?;
    let seconds = tokens.json()["expires_in"].as_u64().unwrap_or_default();
    note(&format!("The clock moves on by {seconds} seconds: expires_in has passed."));
    stage.clock.advance(Duration::from_secs(seconds));
    let expired = stage.wire.show(&ask).await?;
    check(expired.status.as_u16() == 401, "the resource refuses an expired access token")?;
    shown.push(("access token at the API", format!("200, and after {seconds} s 401")));
    Ok(())
}

async fn renew(stage: &Stage, tokens: &Answer, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "The refresh token renews it; the user is not asked",
        "This is the request of the article, parameter by parameter, and its answer.",
    );
    let token = tokens.text("refresh_token");
    let renewed = stage.wire.show(&refresh(stage, REUSABLE, &token)).await?;
    check(renewed.status.as_u16() == 200, "a refresh is answered 200")?;
    for member in ["access_token", "token_type", "expires_in", "refresh_token", "refresh_token_expires_in", "scope"] {
        check(!renewed.json()[member].is_null(), &format!("the answer holds {member}"))?;
    }
    let bearer = format!("Bearer {}", renewed.text("access_token"));
    let accepted = stage.wire.quietly(&Ask::get(&stage.things).with("Authorization", &bearer)).await?;
    check(accepted.status.as_u16() == 200, "the resource accepts the new access token")?;
    shown.push(("POST /oauth/v2/accessToken", "a new access token, which the API accepts".to_owned()));
    note(
        "This client's refresh tokens are reusable: its secret binds them. The answer names the same one, and it works again.",
    );
    let again = stage.wire.quietly(&refresh(stage, REUSABLE, &token)).await?;
    check(
        renewed.text("refresh_token") == token && again.text("refresh_token") == token,
        "a reusable token stays the same",
    )?;
    note(&format!(
        "  before  {}\n  after   {}\n  again   {}",
        stage.wire.short(&token),
        stage.wire.short(&renewed.text("refresh_token")),
        stage.wire.short(&again.text("refresh_token"))
    ));
    shown.push(("a reusable refresh token", "the same token, three times".to_owned()));
    Ok(())
}

async fn single_use(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say("A single-use refresh token is replaced each time", "Another client, set to rotation = \"single_use\".");
    let first = flow::log_in(&stage.wire, SINGLE_USE, Some(&stage.secret)).await?.text("refresh_token");
    let second = stage.wire.show(&refresh(stage, SINGLE_USE, &first)).await?.text("refresh_token");
    let third = stage.wire.quietly(&refresh(stage, SINGLE_USE, &second)).await?.text("refresh_token");
    check(!second.is_empty() && !third.is_empty(), "a single-use token is answered with its successor")?;
    check(first != second && second != third, "each refresh gives another refresh token")?;
    note(&format!(
        "  first   {}\n  second  {}\n  third   {}",
        stage.wire.short(&first),
        stage.wire.short(&second),
        stage.wire.short(&third)
    ));
    shown.push(("a single-use refresh token", "each refresh gives its successor".to_owned()));
    Ok(())
}

/// A new grant of the public client, and its refresh token.
async fn phone(stage: &Stage) -> Result<String, Trouble> {
    Ok(flow::log_in(&stage.wire, PUBLIC, None).await?.text("refresh_token"))
}

/// The number of rotations of the newest grant of a client.
async fn generation(stage: &Stage, client: &str) -> Result<u32, Trouble> {
    Ok(newest(stage, client).await?.1)
}

/// Id and generation of the newest grant of a client.
async fn newest(stage: &Stage, client: &str) -> Result<(String, u32), Trouble> {
    let filter = GrantFilter { client: Some(client.to_owned()), user: None };
    let (grants, _) = stage.app.admin().grants(&filter, 0, 1000).await.map_err(Trouble::new)?;
    let last = grants.last().ok_or_else(|| Trouble::new(format!("client {client} has no grant")))?;
    Ok((last.id.clone(), last.generation))
}

async fn lost_answer(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "An answer is lost, and asked for again",
        "A phone goes into a tunnel: the server has rotated the token durably, and the answer never arrives.\nOther servers log the user out here. The phone simply asks again, with the token it has.",
    );
    let first = phone(stage).await?;
    let ask = refresh(stage, PUBLIC, &first);
    stage.wire.hang_up(&ask, async || Ok(generation(stage, PUBLIC).await? == 2)).await?;
    stage.clock.advance(Duration::from_secs(20));
    note("Twenty seconds later, the same request:");
    let again = stage.wire.show(&ask).await?;
    check(again.status.as_u16() == 200, "a lost answer is given again")?;
    let once_more = stage.wire.quietly(&ask).await?;
    check(again.text("refresh_token") == once_more.text("refresh_token"), "every repetition gets the same successor")?;
    check(generation(stage, PUBLIC).await? == 2, "a repetition makes no new generation")?;
    note("Asked once more, the successor is the same: there is one branch, whatever gets lost.");
    shown.push(("an answer lost and asked again", "the same successor, generation 2".to_owned()));
    Ok(())
}

async fn at_once(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say("Two processes refresh at once", "Both hold the same token; both send it in the same moment.");
    let first = phone(stage).await?;
    let ask = refresh(stage, PUBLIC, &first);
    let (one, other) = tokio::join!(stage.wire.quietly(&ask), stage.wire.quietly(&ask));
    let (one, other) = (one?, other?);
    check(one.status.as_u16() == 200 && other.status.as_u16() == 200, "both are answered 200")?;
    check(one.text("refresh_token") == other.text("refresh_token"), "both get the same refresh token")?;
    check(generation(stage, PUBLIC).await? == 2, "there was one rotation")?;
    note(&format!(
        "  one    {}  refresh_token {}\n  other  {}  refresh_token {}",
        one.status,
        stage.wire.short(&one.text("refresh_token")),
        other.status,
        stage.wire.short(&other.text("refresh_token"))
    ));
    shown.push(("two refreshes at once", "200 and 200, the same successor, one rotation".to_owned()));
    Ok(())
}

async fn replay(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "An old token is replayed",
        "The app has gone on to its third token. Two hours later somebody presents the first: two parties hold tokens of one\ngrant, and the server cannot know which of them is the thief. It ends the grant (RFC 9700 section 4.14.2).",
    );
    let first = phone(stage).await?;
    let second = stage.wire.quietly(&refresh(stage, PUBLIC, &first)).await?.text("refresh_token");
    let third = stage.wire.quietly(&refresh(stage, PUBLIC, &second)).await?;
    stage.clock.advance(Duration::from_secs(7200));
    let refused = stage.wire.show(&refresh(stage, PUBLIC, &first)).await?;
    check(is_refused(&refused), "a spent token is refused")?;
    let newest_is_dead = stage.wire.quietly(&refresh(stage, PUBLIC, &third.text("refresh_token"))).await?;
    check(is_refused(&newest_is_dead), "the newest token is dead, too")?;
    let (id, _) = newest(stage, PUBLIC).await?;
    let (grant, events) = stage.app.admin().grant(&id).await.map_err(Trouble::new)?;
    note(&format!("The client hears no more than that. The operator sees why: `regrant grants show {id}`"));
    grants::print(&grant, &events);
    check(grant.state == "revoked" && grant.reason == Some("refresh_replayed"), "the grant says why it ended")?;
    let correlation = refused.text("correlation_id");
    let is_told = events.iter().any(|event| event.correlation == correlation && event.kind == "grant_ended");
    check(is_told, "the event carries the correlation id that the client was told")?;
    shown.push(("an old token replayed", "invalid_grant; grant revoked: refresh_replayed".to_owned()));
    Ok(())
}

async fn blacklist(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    let token = phone(stage).await?;
    let (id, _) = newest(stage, PUBLIC).await?;
    say(
        "The operator blacklists a token",
        &format!(
            "A phone was stolen. `regrant grants revoke {id}` ends its grant, and nothing of it is vouched for any more."
        ),
    );
    let introspect = Ask::post(
        "/oauth2/introspect",
        &[("token", token.as_str()), ("client_id", REUSABLE), ("client_secret", &stage.secret)],
    );
    stage.app.admin().revoke_grant(&id, "the phone was stolen").await.map_err(Trouble::new)?;
    let refused = stage.wire.show(&refresh(stage, PUBLIC, &token)).await?;
    check(is_refused(&refused), "a blacklisted token is refused")?;
    let inactive = stage.wire.quietly(&introspect).await?;
    check(inactive.json()["active"] == false, "introspection calls it inactive")?;
    let (grant, _) = stage.app.admin().grant(&id).await.map_err(Trouble::new)?;
    check(grant.reason == Some("revoked_by_operator"), "the grant says who ended it")?;
    shown.push(("a token blacklisted by the operator", "invalid_grant; introspection: inactive".to_owned()));
    Ok(())
}

async fn none_for_implicit(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "The implicit grant gives no refresh token",
        "An app in the browser cannot keep a secret, so it is given nothing that lasts. (RFC 9700 section 2.1.2: do not use this\nflow any more. Here it is off unless a client is given it.)",
    );
    let path = flow::authorization_path("old-browser-app").replace("response_type=code", "response_type=token");
    let location = flow::authorize(&stage.wire, &path).await?;
    note(&format!("  303 See Other\n  Location: {}", stage.wire.short(&location)));
    check(flow::parameter(&location, "access_token").is_some(), "the fragment holds an access token")?;
    check(flow::parameter(&location, "refresh_token").is_none(), "the fragment holds no refresh token")?;
    shown.push(("implicit grant", "an access token, no refresh token".to_owned()));
    Ok(())
}

async fn none_for_client_credentials(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "Client credentials give no refresh token",
        "There is no user who could be asked again: the client sends its credentials instead.",
    );
    let ask = Ask::post(
        "/oauth2/token",
        &[("grant_type", "client_credentials"), ("client_id", "daemon"), ("client_secret", &stage.secret)],
    );
    let answer = stage.wire.show(&ask).await?;
    check(answer.status.as_u16() == 200 && answer.json()["refresh_token"].is_null(), "no refresh token is given")?;
    shown.push(("client credentials grant", "an access token, no refresh token".to_owned()));
    Ok(())
}

async fn the_end(stage: &Stage, shown: &mut Shown) -> Result<(), Trouble> {
    say(
        "The refresh token ends, too",
        "Much later than the access token: after 30 days without use, and after 365 days whatever is done.",
    );
    let unused = flow::log_in(&stage.wire, REUSABLE, secret_of(stage, REUSABLE)).await?;
    let announced = unused.json()["refresh_token_expires_in"].as_u64().unwrap_or_default();
    let token = unused.text("refresh_token");
    stage.clock.advance(Duration::from_secs(announced - 1));
    let alive = stage.wire.quietly(&refresh(stage, REUSABLE, &token)).await?;
    check(alive.status.as_u16() == 200, "one second before its end it works, and the idle clock begins anew")?;
    note(&format!("refresh_token_expires_in was {announced}: after {} seconds it still works.", announced - 1));
    let day = Duration::from_secs(86_400);
    let mut days = 0;
    let last = loop {
        stage.clock.advance(day * 20);
        days += 20;
        let answer = stage.wire.quietly(&refresh(stage, REUSABLE, &token)).await?;
        if answer.status.as_u16() != 200 || days > 400 {
            break answer;
        }
    };
    note(&format!("Used every 20 days it goes on, until its absolute end. {days} days later:"));
    stage.wire.print_answer(&last);
    check(is_refused(&last) && days < 400, "the absolute end comes, however often it is used")?;
    let idle = flow::log_in(&stage.wire, REUSABLE, secret_of(stage, REUSABLE)).await?.text("refresh_token");
    stage.clock.advance(day * 30);
    let refused = stage.wire.quietly(&refresh(stage, REUSABLE, &idle)).await?;
    check(is_refused(&refused), "30 days without use end it")?;
    shown.push((
        "the refresh token's own end",
        format!("idle after 30 days, absolute after {} days at the latest", 365),
    ));
    Ok(())
}
