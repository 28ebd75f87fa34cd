//! How the pages look: the built-in templates and style sheet, and what an operator's directory puts in their place.
//!
//! | in the directory                        | is                                                                          |
//! |-----------------------------------------|-----------------------------------------------------------------------------|
//! | `login.html` and its like               | what stands between head and foot of that page                              |
//! | `head.html`, `foot.html`, `macros.html` | the same for all pages                                                      |
//! | `style.css`                             | the style sheet, in place of ours                                           |
//! | `theme.css`                             | more of it, behind ours: for other colours this is enough                   |
//! | `favicon.svg`                           | the icon                                                                    |
//! | `assets/`                               | images, at `{base}/assets/` and their name                                  |
//!
//! A theme is judged whole before anybody sees it: each page is made in each shape and each language, and must have the fields and ids that
//! its form needs. What the policy of the pages (`default-src 'none'`) would stop is an error here and not an empty place later. What
//! others chose stays text: `safe` and `autoescape` are refused.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, HtmlEscape, UndefinedBehavior};

use super::samples;
use super::voice::Voice;
use super::words::{self, Language};

/// The longest template, style sheet or icon, and the longest image.
const MAX_FILE: u64 = 256 * 1024;
const MAX_IMAGE: u64 = 1024 * 1024;
const MAX_IMAGES: usize = 64;
/// The most errors that are told at once.
const MAX_FAULTS: usize = 50;
/// What stands at the top of the pages unless set.
pub const BRAND: &str = "Regrant";

const CSS: &str = include_str!("style.css");
const MACROS: &str = include_str!("macros.html");
const HEAD: &str = include_str!("head.html");
const FOOT: &str = include_str!("foot.html");

/// Name and text of each template, between `head.html` and `foot.html`.
pub(super) const TEMPLATES: [(&str, &str); 13] = [
    ("reasons", include_str!("reasons.html")),
    ("select", include_str!("select.html")),
    ("form_post", include_str!("form_post.html")),
    ("login", include_str!("login.html")),
    ("consent", include_str!("consent.html")),
    ("logout", include_str!("logout.html")),
    ("logged_out", include_str!("logged_out.html")),
    ("failure", include_str!("failure.html")),
    ("home", include_str!("home.html")),
    ("account", include_str!("account.html")),
    ("device", include_str!("device.html")),
    ("device_confirm", include_str!("device_confirm.html")),
    ("device_done", include_str!("device_done.html")),
];

/// Name and text of each built-in file that a theme can put another one in place of.
pub fn built_in_files() -> impl Iterator<Item = (String, &'static str)> {
    let pages = TEMPLATES.into_iter().map(|(name, text)| (format!("{name}.html"), text));
    let others = [
        ("macros.html", MACROS),
        ("head.html", HEAD),
        ("foot.html", FOOT),
        ("style.css", CSS),
        ("favicon.svg", super::FAVICON),
    ];
    pages.chain(others.into_iter().map(|(name, text)| (name.to_owned(), text)))
}

/// What the form of a page cannot do without; what else the built-in one has may go.
const NEEDED: [(&str, &[&str]); 8] = [
    ("login", &["name=\"request\"", "name=\"csrf\"", "name=\"username\"", "name=\"password\"", "id=\"login-submit\""]),
    (
        "consent",
        &["name=\"request\"", "name=\"csrf\"", "name=\"decision\"", "id=\"consent-allow\"", "id=\"consent-deny\""],
    ),
    ("select", &["name=\"request\"", "name=\"csrf\"", "name=\"account\"", "id=\"select-this\"", "id=\"select-other\""]),
    ("logout", &["name=\"request\"", "name=\"csrf\"", "id=\"logout-confirm\""]),
    ("device", &["name=\"user_code\"", "id=\"device-submit\""]),
    (
        "device_confirm",
        &["name=\"user_code\"", "name=\"csrf\"", "name=\"decision\"", "id=\"device-allow\"", "id=\"device-deny\""],
    ),
    ("account", &["name=\"csrf\"", "name=\"action\""]),
    ("form_post", &["id=\"form-post\"", "<script src="]),
];

/// What the policy stops, or what would make markup of what others chose; with what to do instead.
const STOPPED: [(&str, &str); 16] = [
    ("<style", "Write it into theme.css."),
    (" style=", "Give the element a class, and write it into theme.css."),
    ("<base", "Leave it out: the policy of the pages allows none."),
    ("<object", "Leave it out: the policy of the pages allows none."),
    ("<embed", "Leave it out: the policy of the pages allows none."),
    ("http-equiv", "Leave it out: headers are the server's."),
    ("javascript:", "Leave it out: the pages have no scripts."),
    ("src=\"http", "Put the image into the directory assets, and refer to {{ page.base }}/assets/ and its name."),
    ("src=\"//", "Put the image into the directory assets, and refer to {{ page.base }}/assets/ and its name."),
    (
        "rel=\"stylesheet\" href=\"http",
        "Put it into theme.css: the policy of the pages allows no style sheet from elsewhere.",
    ),
    ("|safe", "Leave it out: what others chose would become markup."),
    ("| safe", "Leave it out: what others chose would become markup."),
    ("autoescape", "Leave it out: what others chose would become markup."),
    (" onclick=", "Leave it out: the pages have no scripts."),
    (" onload=", "Leave it out: the pages have no scripts."),
    (" onsubmit=", "Leave it out: the pages have no scripts."),
];

/// The same for style sheets.
const STOPPED_IN_CSS: [(&str, &str); 5] = [
    ("@import", "Write what it holds into this file."),
    ("@font-face", "Use a font that the reader's system has: the policy of the pages allows none to be loaded."),
    ("url(http", "Put the image into the directory assets, and refer to it by its name: url(logo.svg)."),
    ("url(\"http", "Put the image into the directory assets, and refer to it by its name: url(\"logo.svg\")."),
    ("url(//", "Put the image into the directory assets, and refer to it by its name: url(logo.svg)."),
];

/// What is wrong with a file of a theme.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which.
    pub file: PathBuf,
    /// Where, from 1; 0 if it is the whole file.
    pub line: usize,
    /// What.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// An image of a theme.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Image {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Arc<[u8]>,
}

/// Templates, style sheet and images, judged.
pub struct Theme {
    environment: Environment<'static>,
    /// The function `t` of each language.
    says: [Value; 6],
    brand: String,
    stylesheet: (String, String),
    favicon: String,
    images: BTreeMap<String, Image>,
    /// Of everything that it is made of.
    digest: Vec<u8>,
}

impl std::fmt::Debug for Theme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Theme").field("brand", &self.brand).finish_non_exhaustive()
    }
}

impl PartialEq for Theme {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Theme {}

/// The texts of a theme by the names of their files, before they are judged.
#[derive(Default)]
struct Files {
    texts: BTreeMap<String, String>,
    images: BTreeMap<String, Image>,
}

impl Theme {
    /// What is built in, under this name.
    #[must_use]
    pub fn built_in(brand: &str) -> Arc<Self> {
        Arc::new(Self::of(&Files::default(), brand).0)
    }

    /// What a directory makes of it.
    ///
    /// # Errors
    /// Everything that is wrong with its files.
    pub fn load(directory: &Path, brand: &str) -> Result<Arc<Self>, Vec<Fault>> {
        let mut faults = Vec::new();
        let files = read(directory, &mut faults);
        for (name, text) in &files.texts {
            let stopped: &[(&str, &str)] = if name.ends_with(".css") { &STOPPED_IN_CSS } else { &STOPPED };
            faults.extend(stopped_in(&directory.join(name), name, text, stopped));
        }
        let (theme, broken) = Self::of(&files, brand);
        let at = |(name, line, problem): (String, usize, String)| Fault {
            file: directory.join(name),
            line,
            problem,
            remedy: "Compare it with the built-in file of this name: docs/pages.md says where it is.".to_owned(),
        };
        let theme = Arc::new(theme);
        let broken = if broken.is_empty() { judged(&theme, &files) } else { broken };
        faults.extend(broken.into_iter().map(at));
        faults.truncate(MAX_FAULTS);
        if faults.is_empty() { Ok(theme) } else { Err(faults) }
    }

    /// The theme, and what could not be read as a template: file, line, why.
    fn of(files: &Files, brand: &str) -> (Self, Vec<(String, usize, String)>) {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A line that holds only a block tag leaves nothing behind. If this failed the pages would have empty lines more.
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        let mut broken = Vec::new();
        // Each file by itself first: a block that is left open is this file's fault, and not of what comes behind it.
        for (name, text) in files.texts.iter().filter(|(name, _)| name.ends_with(".html")) {
            if let Err(error) = environment.template_from_named_str(name, text) {
                broken.push((name.clone(), error.line().unwrap_or(0), reason(&error)));
            }
        }
        let is_readable = broken.is_empty();
        for (name, text) in TEMPLATES {
            let whole = Whole::of(files, name, text);
            // A template that does not parse is missing, and its page is the fallback.
            if let Err(error) = environment.add_template_owned(name, whole.text())
                && is_readable
            {
                broken.push(whole.fault(&error));
            }
        }
        broken.sort();
        broken.dedup();
        let text = |name: &str| files.texts.get(name).map(String::as_str);
        let css = [text("style.css").unwrap_or(CSS), text("theme.css").unwrap_or_default()].concat();
        let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, css.as_bytes()));
        let mut all = brand.as_bytes().to_vec();
        for (name, text) in &files.texts {
            all.extend_from_slice(format!("\n{} {name} {}\n", text.len(), text).as_bytes());
        }
        for (name, image) in &files.images {
            all.extend_from_slice(format!("\n{} {name}\n", image.bytes.len()).as_bytes());
            all.extend_from_slice(&image.bytes);
        }
        let theme = Self {
            environment,
            says: Language::ALL.map(says),
            brand: brand.to_owned(),
            stylesheet: (format!("style-{hash}.css"), css),
            favicon: text("favicon.svg").unwrap_or(super::FAVICON).to_owned(),
            images: files.images.clone(),
            digest: digest(&SHA256, &all).as_ref().to_vec(),
        };
        (theme, broken)
    }

    /// A page of these values.
    pub(super) fn render(
        &self,
        language: Language,
        name: &str,
        title: &str,
        page: &impl serde::Serialize,
    ) -> Result<String, minijinja::Error> {
        let [en, de, fr, es, zh, ja] = &self.says;
        let t = match language {
            Language::En => en,
            Language::De => de,
            Language::Fr => fr,
            Language::Es => es,
            Language::Zh => zh,
            Language::Ja => ja,
        };
        self.environment.get_template(name)?.render(minijinja::context! {
            t,
            lang => language.tag(),
            title,
            brand => self.brand.as_str(),
            stylesheet => self.stylesheet.0.as_str(),
            page => minijinja::value::Serde(page),
        })
    }

    /// File name and text of the style sheet. The name holds a hash of the text: serve it as `immutable`.
    pub(crate) fn stylesheet(&self) -> (&str, &str) {
        (&self.stylesheet.0, &self.stylesheet.1)
    }

    /// The icon.
    pub(crate) fn favicon(&self) -> &str {
        &self.favicon
    }

    /// An image by its name.
    pub(crate) fn image(&self, name: &str) -> Option<&Image> {
        self.images.get(name)
    }
}

/// Each page in each shape and each language: what fails, and what its form lacks.
fn judged(theme: &Arc<Theme>, files: &Files) -> Vec<(String, usize, String)> {
    let mut faults = Vec::new();
    for language in Language::ALL {
        for sample in samples::all(&Voice::new(Arc::clone(theme), language), "x") {
            let whole = Whole::of(files, sample.name, "");
            match &sample.made {
                Err(error) => faults.push(whole.fault(error)),
                Ok(page) => {
                    let needed = NEEDED.iter().find(|(name, _)| *name == sample.name).map_or(&[][..], |(_, all)| all);
                    let lacking = needed.iter().filter(|needed| !page.contains(**needed));
                    let file = format!("{}.html", sample.name);
                    faults.extend(lacking.map(|lacking| (file.clone(), 0, format!("the page lacks {lacking}"))));
                }
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The function `t` of a language: `t("login.asked", client=…)`. What is filled in is escaped, unless it is markup of a macro.
fn says(language: Language) -> Value {
    Value::from_function(move |key: &str, values: Kwargs| -> Result<Value, minijinja::Error> {
        let Some(text) = words::find(language, key) else {
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("there is no text {key:?}")));
        };
        let mut lacking = None;
        let html = words::filled(&HtmlEscape(text).to_string(), |name| match values.get::<Value>(name) {
            Ok(value) if value.is_safe() => Some(value.to_string()),
            Ok(value) => Some(HtmlEscape(&value.to_string()).to_string()),
            Err(_) => {
                lacking = Some(name.to_owned());
                None
            }
        });
        values.assert_all_used()?;
        match lacking {
            Some(name) => {
                Err(minijinja::Error::new(ErrorKind::MissingArgument, format!("the text {key:?} needs {name}=…")))
            }
            None => Ok(Value::from_safe_string(html)),
        }
    })
}

/// A template with what stands around it, and which line comes from where.
struct Whole<'a> {
    parts: [(String, &'a str); 4],
}

impl<'a> Whole<'a> {
    fn of(files: &'a Files, name: &str, built_in: &'a str) -> Self {
        let part = |name: &str, built_in: &'a str| {
            let file = format!("{name}.html");
            let text = files.texts.get(&file).map_or(built_in, String::as_str);
            (file, text)
        };
        let built_in = TEMPLATES.iter().find(|(known, _)| *known == name).map_or(built_in, |(_, text)| text);
        Self { parts: [part("macros", MACROS), part("head", HEAD), part(name, built_in), part("foot", FOOT)] }
    }

    fn text(&self) -> String {
        self.parts.iter().map(|(_, text)| *text).collect()
    }

    /// File, line and reason of what went wrong in it.
    fn fault(&self, error: &minijinja::Error) -> (String, usize, String) {
        let mut line = error.line().unwrap_or(0);
        let why = reason(error);
        for (file, text) in &self.parts {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count();
            if line <= lines {
                return (file.clone(), line, why);
            }
            line -= lines;
        }
        let [_, _, (file, _), _] = &self.parts;
        (file.clone(), 0, why)
    }
}

fn reason(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

fn stopped_in(file: &Path, name: &str, text: &str, stopped: &[(&str, &str)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |line, problem: String, remedy: &str| {
        faults.push(Fault { file: file.to_owned(), line, problem, remedy: remedy.to_owned() });
    };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.to_ascii_lowercase();
        for (what, remedy) in stopped {
            if line.contains(what) {
                fault(number, format!("there is {:?} in it", what.trim()), remedy);
            }
        }
        if line.contains("<script") && name != "form_post.html" {
            fault(number, "there is a script in it".to_owned(), "Leave it out: the pages have no scripts.");
        }
        if line.contains("<iframe") && name != "logged_out.html" {
            fault(number, "there is a frame in it".to_owned(), "Leave it out: the policy of the pages allows none.");
        }
    }
    faults
}

/// What is in a directory.
fn read(directory: &Path, faults: &mut Vec<Fault>) -> Files {
    let mut files = Files::default();
    let mut fault = |file: PathBuf, problem: String, remedy: &str| {
        faults.push(Fault { file, line: 0, problem, remedy: remedy.to_owned() });
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            fault(
                directory.to_owned(),
                format!("it cannot be read: {error}"),
                "Name a directory that the server may read.",
            );
            return files;
        }
    };
    let is_known = |name: &str| {
        let page = name.strip_suffix(".html");
        page.is_some_and(|page| TEMPLATES.iter().any(|(known, _)| *known == page))
            || ["macros.html", "head.html", "foot.html", "style.css", "theme.css", "favicon.svg"].contains(&name)
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name == "assets" {
            read_images(&path, &mut files, &mut fault);
        } else if is_known(&name) {
            match bytes(&path, MAX_FILE)
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned()))
            {
                Ok(text) => {
                    let text = if text.ends_with('\n') { text } else { format!("{text}\n") };
                    files.texts.insert(name, text);
                }
                Err(problem) => fault(path, problem, "Name it differently, or make it readable."),
            }
        } else if !name.starts_with('.') && !name.to_ascii_lowercase().starts_with("readme") {
            let remedy = "The names are those of the table in docs/pages.md; images go into the directory assets.";
            fault(path, "no file of this name is used".to_owned(), remedy);
        }
    }
    files
}

fn read_images(directory: &Path, files: &mut Files, fault: &mut impl FnMut(PathBuf, String, &str)) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        fault(directory.to_owned(), "it cannot be read".to_owned(), "Make it a directory that the server may read.");
        return;
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_plain =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && name.len() <= 100;
        match media_type(&name).filter(|_| is_plain) {
            None => {
                let remedy = "Use .svg, .png, .jpg, .webp or .gif, and letters, digits, -, _ and . in the name.";
                fault(path, "it is no image that browsers are shown".to_owned(), remedy);
            }
            Some(_) if files.images.len() == MAX_IMAGES => {
                fault(path, format!("there are more than {MAX_IMAGES} images"), "Remove those that are not used.");
                return;
            }
            Some(media_type) => match bytes(&path, MAX_IMAGE) {
                Ok(bytes) => drop(files.images.insert(name, Image { media_type, bytes: bytes.into() })),
                Err(problem) => fault(path, problem, "Make it smaller, or readable."),
            },
        }
    }
}

fn media_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        "gif" => Some("image/gif"),
        _ => None,
    }
}

fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > most { Err(format!("it is longer than {most} bytes")) } else { Ok(bytes) }
}
