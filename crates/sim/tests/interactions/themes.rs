//! What an operator's directory changes of the pages, and what it cannot.

use std::path::{Path, PathBuf};

use regrant_server::Config;
use sim::wire::{CONFIG, USER, World, authorization};

struct Theme(PathBuf);

impl Theme {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("regrant-theme-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("assets")).expect("a directory");
        let theme = Self(dir);
        files.iter().for_each(|(name, text)| theme.write(name, text));
        theme
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("written");
    }

    fn config(&self) -> String {
        format!("{CONFIG}\n[pages]\nname = \"Example & Sons\"\ntheme_dir = \"{}\"\n", self.0.display())
    }

    /// What is wrong with it: file, line and the whole of it.
    fn faults(&self) -> Vec<(String, usize, String)> {
        let text = self.config().replace("HASH", &format!("sha256:{}", "0".repeat(64)));
        let Err(errors) = Config::parse(&text, "test.toml", Path::new(".")) else { return Vec::new() };
        let name = |file: &str| {
            Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        errors.0.iter().map(|error| (name(&error.file), error.line, error.to_string())).collect()
    }
}

impl Drop for Theme {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const LOGIN: &str = r#"<h1>{{ t("login.title") }} at {{ brand }}</h1>
<img src="{{ page.base }}/assets/logo.svg" alt="">
{% if page.error %}
<p role="alert">{{ page.error }}</p>
{% endif %}
<form method="post" action="{{ page.base }}/login">
<input type="hidden" name="request" value="{{ page.request }}">
<input type="hidden" name="csrf" value="{{ page.csrf }}">
<label for="username">Who</label><input id="username" name="username" value="{{ page.username }}">
<label for="password">Proof</label><input id="password" name="password" type="password">
<button id="login-submit">Go</button>
</form>
"#;

#[tokio::test]
async fn a_theme_changes_a_page_the_colours_and_the_icon_and_leaves_the_rest() {
    let css = ":root { --accent: #a1003c; }";
    let theme = Theme::new(
        "whole",
        &[("login.html", LOGIN), ("theme.css", css), ("README", "ours"), ("favicon.svg", "<svg/>")],
    );
    theme.write("assets/logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    assert_eq!(theme.faults(), []);
    let world = World::with(&theme.config()).await;
    let mut browser = world.browser();
    let page = browser.get(&authorization("web", &[("ui_locales", "de")])).await;
    assert!(
        page.text().contains("<h1>Anmelden at Example &amp; Sons</h1>") && page.text().contains(">Go</button>"),
        "{}",
        page.text()
    );
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "the policy is ours: {policy}");
    let style = page.text().replace("&#x2f;", "/");
    let style = style
        .split("rel=\"stylesheet\" href=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a style sheet");
    let sheet = browser.get(style).await.expect_status(200);
    assert!(
        sheet.text().contains("--accent: #0c6b61") && sheet.text().ends_with(&format!("{css}\n")),
        "ours, and theirs behind it"
    );
    let logo = browser.get("/assets/logo.svg").await.expect_status(200);
    assert_eq!(
        (logo.header("content-type"), logo.header("content-security-policy")),
        ("image/svg+xml".into(), "default-src 'none'".into())
    );
    assert_eq!(browser.get("/assets/favicon.svg").await.text(), "<svg/>\n");
    assert_eq!(browser.get("/assets/../login.html").await.status, 404);
    let consent = browser.log_in(&page, USER).await;
    assert!(
        consent.text().contains("id=\"consent-allow\"") && consent.text().contains("<span>Example &amp; Sons</span>"),
        "{}",
        consent.text()
    );
}

/// What is wrong is said with file and line before anybody sees it, and a reload with it changes nothing.
#[tokio::test]
async fn a_theme_is_judged_whole() {
    for (name, text, line, says) in [
        ("login.html", "<h1>\n{% if page.error %}\n", 2, "syntax"),
        ("login.html", "<h1>x</h1>\n<p>{{ page.passwrd }}</p>\n", 2, "undefined"),
        ("login.html", "<h1>{{ t(\"no.such\") }}</h1>\n", 1, "no text"),
        ("login.html", "<h1>{{ t(\"login.asked\") }}</h1>\n", 1, "needs client="),
        ("consent.html", "<h1>x</h1>\n<p style=\"color:red\">\n", 2, "style="),
        ("head.html", "<html>\n<script src=\"x\"></script>\n", 2, "script"),
        ("foot.html", "<p>\n<img src=\"https://elsewhere.example/x.png\">\n", 2, "src=\\\"http"),
        ("home.html", "<p onclick=\"x()\">\n{{ page.issuer|safe }}\n", 2, "safe"),
        ("style.css", "a {}\n@import url(x.css);\n", 2, "@import"),
        ("theme.css", "a { background: url(https://elsewhere.example/x.png) }\n", 1, "url(http"),
        ("macros.html", "{% macro named(x) %}{{ x }}{% endmacro %}\n", 0, ""),
        ("lgin.html", "x\n", 0, "no file of this name"),
    ] {
        let theme = Theme::new("judged", &[(name, text)]);
        let faults = theme.faults();
        let found = faults.iter().any(|(file, at, said)| {
            (file == name || name == "macros.html") && (*at == line || line == 0) && said.to_lowercase().contains(says)
        });
        assert!(found, "{name} {says}: {faults:#?}");
    }
    let without = LOGIN.replace("name=\"csrf\"", "name=\"crsf\"");
    let faults = Theme::new("judged", &[("login.html", &without)]).faults();
    assert!(
        faults.iter().any(|(file, _, said)| file == "login.html" && said.contains("lacks name=\"csrf\"")),
        "{faults:?}"
    );
    let theme = Theme::new("judged", &[]);
    theme.write("assets/font.woff2", "x");
    assert!(
        theme.faults().iter().any(|(file, _, said)| file == "font.woff2" && said.contains("no image")),
        "{:?}",
        theme.faults()
    );
    let missing = Theme::new("judged", &[]);
    std::fs::remove_dir_all(&missing.0).expect("removed");
    assert_eq!(missing.faults().len(), 1);
}

#[tokio::test]
async fn a_reload_takes_a_theme_up_whole_or_not_at_all() {
    let theme = Theme::new("reload", &[("theme.css", "a { color: red }")]);
    let world = World::with(&theme.config()).await;
    let style = async || {
        let home = world.http().get("/", &[]).await.text();
        home.split("style-").nth(1).and_then(|rest| rest.split('.').next()).expect("a style sheet").to_owned()
    };
    let before = style().await;
    theme.write("theme.css", "a { color: blue }");
    world.app.replace_config(sim::wire::config(&theme.config())).await.expect("a reload");
    let after = style().await;
    assert_ne!(before, after);
    theme.write("login.html", "{{ page.nothing }}");
    assert!(!theme.faults().is_empty());
    assert_eq!(style().await, after);
}
