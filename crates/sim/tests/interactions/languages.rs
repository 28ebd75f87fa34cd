//! The languages of the pages: OpenID Connect Core section 3.1.2.1 (`ui_locales`), RFC 9110 section 12.5.4 (`Accept-Language`).

use regrant_server::pages::Language;
use sim::wire::{CONFIG, PASSWORD, Reply, USER, World, authorization};

async fn get(world: &World, path: &str, accepted: &str) -> Reply {
    world.http().get(path, &[("accept-language", accepted)]).await
}

fn lang(reply: &Reply) -> String {
    reply.text().split("<html lang=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a language").to_owned()
}

#[tokio::test]
async fn the_request_decides_before_the_browser_and_the_browser_before_the_operator() {
    let world = World::with(&format!("{CONFIG}\n[pages]\nlanguage = \"es\"\n")).await;
    let request = |locales| authorization("web", &[("ui_locales", locales)]);
    for (locales, accepted, expected) in [
        ("fr-CA de", "ja", "fr"),
        ("tlh", "ja, en;q=0.8", "ja"),
        ("", "tlh, zh-Hans;q=0.3", "zh"),
        ("", "", "es"),
        ("x y z", "*", "es"),
    ] {
        let page = get(&world, &request(locales), accepted).await.expect_status(200);
        assert_eq!(lang(&page), expected, "{locales} {accepted}");
    }
    let wrong = get(&world, "/oauth2/authorize?client_id=nobody&ui_locales=de", "fr").await.expect_status(400);
    assert_eq!(lang(&wrong), "de");
    assert!(wrong.text().contains("Dieser Server kennt die Anwendung nicht"), "{}", wrong.text());
    for path in ["/", "/logout", "/reasons", "/nowhere", "/account", "/device"] {
        assert_eq!(lang(&get(&world, path, "ja").await), "ja", "{path}");
    }
}

/// From the login to the answer, by `ui_locales` alone; what is posted is what it was in English.
#[tokio::test]
async fn a_whole_login_is_in_one_language_and_its_fields_have_the_same_names() {
    let world = World::new().await;
    for language in Language::ALL {
        let tag = language.tag();
        let mut browser = world.browser();
        let page = browser.get(&authorization("web", &[("scope", "openid read"), ("ui_locales", tag)])).await;
        let wrong = browser.submit(&page, &[("username", USER), ("password", "wrong")]).await;
        let right = browser.submit(&wrong, &[("username", USER), ("password", PASSWORD)]).await;
        let consent = browser.follow(right).await;
        for (page, id) in [(&page, "login-submit"), (&wrong, "login-submit"), (&consent, "consent-allow")] {
            assert_eq!(lang(page), tag);
            assert!(page.text().contains(&format!("id=\"{id}\"")), "{tag}");
        }
        assert!(wrong.text().contains("id=\"login-error\""), "{tag}");
        assert_eq!(wrong.text().contains("do not match"), language == Language::En, "{tag}");
        let denied = browser.submit(&consent, &[("decision", "deny")]).await;
        assert_eq!(denied.status, 303, "{tag}");
        let logout = browser.get(&format!("/oauth2/logout?ui_locales={tag}")).await;
        assert_eq!(lang(&logout), tag);
        assert!(logout.text().contains("id=\"logout-confirm\""), "{tag}");
    }
}

/// The operator's own words, where he has some.
#[tokio::test]
async fn a_scope_is_described_in_the_language_of_the_page() {
    let scope = "name = \"read\"\ndescription = \"Read your things\"";
    let config = CONFIG.replace(scope, &format!("{scope}\ndescriptions = {{ de = \"Ihre Dinge lesen\" }}"));
    let world = World::with(&config).await;
    for (tag, says) in [("de", "Ihre Dinge lesen"), ("fr", "Read your things")] {
        let mut browser = world.browser();
        let page = browser.get(&authorization("web", &[("scope", "read"), ("ui_locales", tag)])).await;
        let consent = browser.log_in(&page, USER).await;
        assert!(consent.text().contains(says), "{tag}: {}", consent.text());
    }
}

#[tokio::test]
async fn the_metadata_names_the_languages() {
    let world = World::new().await;
    let metadata = world.http().get("/.well-known/openid-configuration", &[]).await.json();
    assert_eq!(metadata["ui_locales_supported"], serde_json::json!(Language::ALL.map(Language::tag)));
}

/// The list of reasons is for developers, and English: its page says so in the reader's language and marks it for who has it read aloud. No
/// page that users see holds a sentence of it.
#[tokio::test]
async fn reasons_are_marked_as_english_and_shown_to_no_user() {
    let world = World::new().await;
    let sentences: Vec<&str> = regrant_server::reasons::all().iter().map(|reason| reason.happened).collect();
    let mut leads = std::collections::BTreeSet::new();
    for language in Language::ALL {
        let tag = language.tag();
        let page = get(&world, "/reasons", tag).await.expect_status(200);
        assert_eq!(lang(&page), tag);
        let (head, list) = page
            .text()
            .split_once("<dl class=\"facts\" lang=\"en\">")
            .map(|(head, list)| (head.to_owned(), list.to_owned()))
            .expect("a list in English");
        leads.insert(head.split("class=\"lead\">").nth(1).expect("what it is").to_owned());
        assert!(list.contains(sentences[0]), "{list:.200}");
        let mut browser = world.browser();
        let login = browser.get(&authorization("web", &[("ui_locales", tag)])).await;
        let wrong = browser.submit(&login, &[("username", USER), ("password", "wrong")]).await;
        let home = browser.log_in(&wrong, USER).await;
        let pages = [
            wrong,
            home,
            browser.get("/device?user_code=WRONG").await,
            browser.post("/account", &[("action", "password"), ("csrf", "x")]).await,
            get(&world, "/nowhere", tag).await,
            get(&world, "/oauth2/authorize?client_id=nobody", tag).await,
            get(&world, "/oauth2/authorize?client_id=web&redirect_uri=https://evil.example/", tag).await,
            get(&world, "/oauth2/logout?id_token_hint=x", tag).await,
            browser.post("/consent", &[("request", "client_id=web"), ("csrf", "x")]).await,
        ];
        for page in &pages {
            let text = page.text();
            let found = sentences.iter().find(|sentence| text.contains(**sentence));
            assert_eq!(found, None, "{tag}: {text}");
        }
    }
    assert_eq!(leads.len(), Language::ALL.len(), "each in its own words: {leads:?}");
}
