//! `--keep`: the server stays up, by the machine's clock, with live tokens in lines to copy.

use super::Trouble;
use super::flow::{self, Login};
use super::stage::{PUBLIC, REUSABLE, Stage, USER};
use super::telling;

/// Prints the lines and waits for Ctrl-C.
pub(super) async fn keep(mut stage: Stage) -> Result<(), Trouble> {
    telling::act("The server stays up, until Ctrl-C");
    telling::say(
        "It goes by the machine's clock now, and alice has logged in once more for you. Copy, paste, change, repeat:",
    );
    let tokens = flow::log_in(&stage, REUSABLE).await?;
    let secret = stage.secrets.of(REUSABLE).unwrap_or_default().to_owned();
    let issuer = format!("http://{}", stage.wire.address());
    let token = tokens.text("refresh_token");
    let client = format!("-d client_id={REUSABLE} -d client_secret={secret}");
    telling::commands(&[
        (
            format!(
                "curl -i {issuer}{} -d grant_type=refresh_token \\\n    {client} \\\n    -d refresh_token={token}",
                flow::ARTICLE_PATH
            ),
            "renew the access token: the request of act 3",
        ),
        (
            format!("curl {} -H 'Authorization: Bearer {}'", stage.things, tokens.text("access_token")),
            "the API, with an access token",
        ),
        (
            format!("curl {issuer}/oauth2/introspect {client} \\\n    -d token={token}"),
            "what the server says of the refresh token",
        ),
        (
            format!("curl -i {issuer}/oauth2/revoke {client} \\\n    -d token={token}"),
            "log out: from now on the first line hears invalid_grant, and the third \"active\":false",
        ),
        (format!("curl {issuer}/.well-known/oauth-authorization-server"), "what the server announces"),
    ]);
    in_a_browser(&stage, &issuer);
    telling::gap();
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => {
            stopped.map_err(Trouble::new)?;
            telling::say("The server stops.");
            stage.stop().await
        }
        served = stage.serving() => served,
    }
}

fn in_a_browser(stage: &Stage, issuer: &str) {
    let login = Login::new(PUBLIC);
    telling::say(&format!("In a browser, as {USER} with the password {}:", stage.password));
    telling::commands(&[
        (format!("{issuer}{}", login.path(stage, "code")), "log in, allow it, and see the code arrive"),
        (
            format!(
                "curl -i {issuer}/oauth2/token -d grant_type=authorization_code -d client_id={PUBLIC} \\\n    -d redirect_uri={} \\\n    \
                 -d code_verifier={} \\\n    -d code=PASTE_THE_CODE",
                stage.callback, login.verifier
            ),
            "then, within 60 seconds, redeem it",
        ),
    ]);
}
