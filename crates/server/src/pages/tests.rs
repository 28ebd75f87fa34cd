//! Every page in every shape, with harmless and with hostile values.

use std::collections::HashSet;

use super::*;

/// Stands for a harmless value: one character that no template contains.
const MARK: &str = "\u{e000}";

/// Every page in every shape it can take, with `value` in each of its string fields.
fn every_page(value: &str) -> Vec<String> {
    every_page_in(Language::En, value)
}

fn every_page_in(language: Language, value: &str) -> Vec<String> {
    static THEME: LazyLock<std::sync::Arc<Theme>> = LazyLock::new(|| Theme::built_in(BRAND));
    let made = samples::all(&Voice::new(std::sync::Arc::clone(&THEME), language), value);
    made.into_iter().map(|sample| sample.made.unwrap_or_else(|error| panic!("{}: {error:#}", sample.name))).collect()
}

fn voice() -> Voice {
    Voice::new(Theme::built_in(BRAND), Language::En)
}

/// Where keys are named: the templates, and what stands beside them.
pub(super) fn sources() -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.join("pages"), root.join("interaction")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("words") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "html") {
                files.push(path);
            }
        }
    }
    files.extend([root.join("pages.rs"), root.join("interaction.rs")]);
    files
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Open(&'a str, Vec<(&'a str, String)>),
    Close(&'a str),
    Text(String),
}

impl<'a> Token<'a> {
    /// The same token with `value` where [`MARK`] was: in texts and attribute values, never in a name.
    fn with(&self, value: &str) -> Token<'a> {
        match self {
            Token::Text(text) => Token::Text(text.replace(MARK, value)),
            Token::Close(name) => Token::Close(name),
            Token::Open(name, attributes) => {
                let filled = attributes.iter().map(|(name, old)| (*name, old.replace(MARK, value)));
                Token::Open(name, filled.collect())
            }
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let Token::Open(_, attributes) = self else { return None };
        attributes.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }
}

/// Reads only the HTML that our templates are written in, and panics at anything else.
fn scan(page: &str) -> Vec<Token<'_>> {
    let mut rest = page.strip_prefix("<!doctype html>").expect("a doctype");
    let mut tokens = Vec::new();
    while let Some((text, tag)) = rest.split_once('<') {
        tokens.push(Token::Text(decoded(text)));
        if let Some(tag) = tag.strip_prefix('/') {
            let (name, after) = name(tag);
            tokens.push(Token::Close(name));
            rest = after;
        } else {
            let (tag, mut after) = name(tag);
            let mut attributes = Vec::new();
            while let Some(attribute) = after.strip_prefix(' ') {
                let (name, value) = name(attribute);
                let quoted = value.strip_prefix("=\"").map(|value| value.split_once('"').expect("a closing quote"));
                attributes.push((name, decoded(quoted.map_or("", |(raw, _)| raw))));
                after = quoted.map_or(value, |(_, after)| after);
            }
            tokens.push(Token::Open(tag, attributes));
            rest = after;
        }
        rest = rest.strip_prefix('>').expect("the end of a tag");
    }
    assert_eq!(rest, "\n", "nothing after the last tag");
    tokens
}

fn name(text: &str) -> (&str, &str) {
    let is_letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let end = text.bytes().take_while(is_letter).count();
    assert!(end > 0, "no name at {text:.40}");
    text.split_at(end)
}

fn decoded(raw: &str) -> String {
    assert!(!"<>\"'".chars().any(|c| raw.contains(c)), "not escaped: {raw:.80}");
    let mut parts = raw.split('&');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (entity, after) = part.split_once(';').expect("an escaped ampersand");
        text.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "#x27" => '\'',
            "#x2f" => '/',
            other => panic!("an entity of somebody else: {other:.20}"),
        });
        text.push_str(after);
    }
    text
}

const PIECES: [&str; 50] = [
    "\"",
    "'",
    "`",
    ">",
    "\">",
    "'>",
    "/>",
    "<",
    "</",
    " ",
    "\n",
    "\t",
    "\r",
    "/",
    "\0",
    "&",
    ";",
    "=",
    "-->",
    "<!--",
    "]]>",
    "<![CDATA[",
    "</title>",
    "</p>",
    "</main>",
    "</code>",
    "<script>alert(1)</script>",
    "<ScRiPt/x>",
    "</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<base href=//evil.example>",
    "<form action=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "<style>@import'//evil.example'</style>",
    " onfocus=alert(1) autofocus x=",
    " style=display:none ",
    " formaction=//evil.example ",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "&quot;",
    "+ADw-script+AD4-",
    "{{ 7 * 7 }}",
    "{{ page.csrf|safe }}",
    "{% raw %}",
    "{# ",
    "\u{202e}",
    "\u{2028}",
    "＜script＞",
];

/// 10,000 different payloads of one to six pieces, the same in each run.
fn payloads() -> HashSet<String> {
    let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % limit as u64) as usize
    };
    let mut payloads: HashSet<String> = PIECES.iter().map(|&piece| piece.to_owned()).collect();
    while payloads.len() < 10_000 {
        let length = 1 + below(6);
        payloads.insert((0..length).map(|_| PIECES[below(PIECES.len())]).collect());
    }
    payloads
}

/// No value can add a tag or an attribute, or leave its place; and each arrives as it was, `state` for instance.
#[test]
fn hostile_values_stay_text() {
    let harmless = every_page(MARK);
    let harmless: Vec<Vec<Token<'_>>> = harmless.iter().map(|page| scan(page)).collect();
    for payload in payloads() {
        for (page, tokens) in every_page(&payload).iter().zip(&harmless) {
            let expected: Vec<Token<'_>> = tokens.iter().map(|token| token.with(&payload)).collect();
            assert_eq!(scan(page), expected, "for {payload:?}");
        }
    }
}

#[test]
fn every_page_is_rendered_whatever_it_holds() {
    for value in ["", " ", MARK, "\0", &"<\"&'>".repeat(100_000)] {
        for page in every_page(value) {
            assert_ne!(page, FALLBACK);
            assert!(page.ends_with("</html>\n"));
        }
    }
    assert!(voice().made("no such page", "", &()).is_err());
    assert!(voice().made("login", "", &()).is_err(), "a missing field must not go unnoticed");
}

#[test]
fn nothing_is_inline() {
    for tag in every_page(MARK).iter().flat_map(|page| scan(page)) {
        let Token::Open(name, attributes) = &tag else { continue };
        assert!(!matches!(*name, "style" | "iframe" | "object" | "embed" | "base"), "{name}");
        assert!(*name != "script" || tag.attribute("src").is_some(), "a script of a file of ours");
        for (attribute, _) in attributes {
            assert!(*attribute != "style" && !attribute.starts_with("on"), "{attribute}");
        }
    }
    let css = include_str!("style.css");
    assert!(!css.contains("url(") && !css.contains("@import"), "default-src 'none' would stop it");
}

#[test]
fn every_page_can_be_heard_and_typed() {
    for page in every_page(MARK) {
        let tokens = scan(&page);
        let with = |name: &str| tokens.iter().filter(|t| t.attribute(name).is_some()).collect::<Vec<_>>();
        let count = |tag: &str| tokens.iter().filter(|t| matches!(t, Token::Open(name, _) if *name == tag)).count();
        assert_eq!((count("html"), count("main"), count("h1")), (1, 1, 1), "{page}");
        assert_eq!(with("lang")[0].attribute("lang"), Some("en"));
        assert!(page.contains("name=\"viewport\""));
        assert!(with("autofocus").len() <= 1 && with("tabindex").is_empty(), "the order is that of the text");
        let ids: HashSet<_> = with("id").iter().filter_map(|t| t.attribute("id")).collect();
        assert_eq!(ids.len(), with("id").len(), "an id stands for one element");
        for reference in ["for", "aria-describedby", "aria-labelledby"] {
            assert!(with(reference).iter().filter_map(|t| t.attribute(reference)).all(|id| ids.contains(id)));
        }
        let labelled: HashSet<_> = with("for").iter().filter_map(|t| t.attribute("for")).collect();
        for input in tokens.iter().filter(|t| matches!(t, Token::Open("input", _))) {
            assert!(
                input.attribute("type") == Some("hidden")
                    || input.attribute("hidden").is_some()
                    || labelled.contains(input.attribute("id").expect("an id"))
            );
        }
    }
}

/// Chromium's advice on forms that change a password: a field of text with the name, not shown.
#[test]
fn a_password_manager_knows_whose_password_is_changed() {
    let changing: Vec<String> =
        every_page(MARK).into_iter().filter(|page| page.contains("autocomplete=\"new-password\"")).collect();
    assert!(!changing.is_empty());
    for page in changing {
        let tokens = scan(&page);
        let names: Vec<_> = tokens.iter().filter(|t| t.attribute("autocomplete") == Some("username")).collect();
        assert_eq!(names.len(), 1, "{page}");
        assert_eq!((names[0].attribute("type"), names[0].attribute("value")), (Some("text"), Some(MARK)));
        assert!(names[0].attribute("hidden").is_some() && names[0].attribute("readonly").is_some());
    }
}

/// A page has many of them: each is heard with the application that it is about, in every language.
#[test]
fn the_end_of_a_permission_is_heard_with_its_application() {
    for language in Language::ALL {
        let about: Vec<String> = every_page_in(language, MARK)
            .iter()
            .flat_map(|page| {
                let is_about =
                    |t: &Token<'_>| t.attribute("type") == Some("date") || t.attribute("value") == Some("until");
                let labels = scan(page).into_iter().filter(is_about);
                labels.map(|t| t.attribute("aria-label").unwrap_or_default().to_owned()).collect::<Vec<_>>()
            })
            .collect();
        assert!(about.len() >= 2 && about.iter().all(|label| label.contains(MARK)), "{about:?}");
    }
}

#[test]
fn a_failed_login_is_heard_with_the_field() {
    let page = Login {
        base: "/op",
        client_name: "Notes",
        request: "a=b",
        csrf: "c",
        username: "ada",
        error: Some("The server is busy."),
    };
    let page = voice().login(&page);
    let tokens = scan(&page);
    let focused = tokens.iter().find(|t| t.attribute("autofocus").is_some()).expect("a field with the focus");
    assert_eq!(focused.attribute("name"), Some("password"), "the name is there already");
    let error = tokens.iter().find(|t| t.attribute("role") == Some("alert")).expect("an alert");
    assert_eq!(focused.attribute("aria-describedby"), error.attribute("id"));
}

#[test]
fn the_style_sheet_is_named_after_its_text() {
    let theme = Theme::built_in(BRAND);
    let (name, css) = theme.stylesheet();
    let hash = name.strip_prefix("style-").and_then(|rest| rest.strip_suffix(".css")).expect("style-HASH.css");
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(hash).expect("base64url"), digest(&SHA256, css.as_bytes()).as_ref());
    let page = voice().logged_out(&LoggedOut { base: "/op", next: "", next_host: "", frames: &[] });
    assert!(page.contains(&format!("href=\"&#x2f;op/assets/{name}\"")), "{page}");
}

/// Every page in every language: whole, and marked as what it is.
#[test]
fn every_page_is_in_every_language() {
    for language in Language::ALL {
        for page in every_page_in(language, MARK) {
            assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())), "{page}");
            assert!(
                page.ends_with("</html>\n") && !page.contains('{'),
                "{language:?}: a name was not filled in: {page}"
            );
            scan(&page);
        }
    }
}

/// WCAG 2.2 section 1.4.3 asks for 4.5 for text, section 1.4.11 for 3 for the edge of a field.
#[test]
fn colours_have_contrast_by_day_and_by_night() {
    let (day, night) = include_str!("style.css").split_once("prefers-color-scheme: dark").expect("both schemes");
    for scheme in [day, night] {
        let luminance = |name: &str| {
            let (_, after) = scheme.split_once(&format!("--{name}: #")).expect("a colour");
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&after[at..at + 2], 16).expect("hex")) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
        };
        let text = [("ink", "surface"), ("ink", "soft"), ("muted", "surface"), ("muted", "ground"), ("muted", "soft")];
        let marked =
            [("accent", "surface"), ("on-accent", "accent"), ("on-accent", "accent-strong"), ("alert", "alert-ground")];
        let least = |pairs: &[(&str, &str)]| {
            let contrast = |&(one, other): &(&str, &str)| {
                let (one, other) = (luminance(one), luminance(other));
                (one.max(other) + 0.05) / (one.min(other) + 0.05)
            };
            pairs.iter().map(contrast).fold(f64::INFINITY, f64::min)
        };
        assert!(least(&text) >= 4.5 && least(&marked) >= 4.5, "{} {}", least(&text), least(&marked));
        assert!(least(&[("edge", "surface")]) >= 3.0);
    }
}
