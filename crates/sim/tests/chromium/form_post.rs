//! `response_mode=form_post` and `prompt=select_account`, in a browser with scripts and in one without.

use regrant_server::form::Form;

use super::client::Client;
use super::pages::{fits_a_phone, log_in, start_with, world};
use super::tab::{DESK, PHONE, Tab};

const POST: (&str, &str) = ("response_mode", "form_post");

/// What the browser posted to the client.
async fn posted(client: &mut Client) -> Form {
    let (_, request) = client.request("/cb").await;
    assert!(request.starts_with("POST /cb HTTP/1.1\r\n"), "{request}");
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert!(!head.to_lowercase().contains("\r\nreferer:"), "no referrer: {head}");
    Form::parse(body.as_bytes()).expect("a form")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_carries_the_answer_where_there_are_no_scripts() {
    let Some(mut tab) = Tab::open("post", PHONE, false).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start_with(&world, "phone", &client, &[POST])).await;
    log_in(&mut tab).await;
    tab.click("#consent-allow").await;
    tab.picture("1-button").await;
    fits_a_phone(&mut tab, &["#form-post-submit"]).await;
    tab.click("#form-post-submit").await;
    let form = posted(&mut client).await;
    assert!(form.credential("code").is_some());
    assert_eq!((form.utf8("state"), form.credential("iss")), (Some("s t&=%+ä"), Some(world.base.as_str())));
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_presses_the_button() {
    let Some(tab) = Tab::open("script", DESK, false).await else { return };
    let mut tab = tab.with_scripts().await;
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start_with(&world, "trusted", &client, &[POST])).await;
    log_in(&mut tab).await;
    assert!(posted(&mut client).await.credential("code").is_some());
    assert_eq!(tab.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_chosen_on_a_phone() {
    let Some(mut tab) = Tab::open("select", PHONE, true).await else { return };
    let (world, mut client) = (world().await, Client::start().await);
    tab.go(&start_with(&world, "trusted", &client, &[])).await;
    log_in(&mut tab).await;
    let _ = client.request("/cb").await;
    tab.go(&start_with(&world, "trusted", &client, &[("prompt", "select_account")])).await;
    tab.picture("1-account").await;
    fits_a_phone(&mut tab, &["#select-this", "#select-other"]).await;
    tab.click("#select-this").await;
    let (target, _) = client.request("/cb").await;
    assert!(target.contains("code="), "{target}");
    tab.go(&start_with(&world, "trusted", &client, &[("prompt", "select_account")])).await;
    tab.click("#select-other").await;
    assert!(tab.shows("#login-submit").await);
    assert_eq!(tab.complaints(), Vec::<String>::new());
}
