//! `[pages]`: how the built-in pages look, and what they speak where nobody asks for a language.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::Section;
use super::problem::{ConfigError, Problem};
use super::{TOP, places};
use crate::pages::{BRAND, Fault, Language, Theme};

/// The longest name, in characters.
const MAX_NAME: usize = 60;

/// A `[pages]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PagesSetting {
    /// Where the files of the theme are, if there is one.
    pub theme_dir: Option<PathBuf>,
    /// What stands at the top of each page.
    pub name: String,
    /// What is spoken where neither request nor browser asks.
    pub language: Language,
    /// The files, read and judged.
    pub theme: Arc<Theme>,
}

impl Default for PagesSetting {
    fn default() -> Self {
        Self { theme_dir: None, name: BRAND.to_owned(), language: Language::En, theme: Theme::built_in(BRAND) }
    }
}

/// Reads the section, and the files that it names.
pub(super) fn read(section: &Section<'_>, base: &Path) -> PagesSetting {
    let mut setting = PagesSetting::default();
    if let Some(name) = section.string("name") {
        if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            let remedy = format!("Write 1 to {MAX_NAME} characters: \"Example Login\".");
            section.problem(Problem::new("name", "it is no name", remedy));
        }
        setting.name = name;
    }
    if let Some(tag) = section.string("language") {
        match Language::ALL.into_iter().find(|known| known.tag() == tag) {
            Some(language) => setting.language = language,
            None => {
                let known = Language::ALL.map(|known| format!("\"{}\"", known.tag())).join(", ");
                let remedy = format!("Choose of {known}.");
                section.problem(Problem::new("language", "the pages do not speak it", remedy));
            }
        }
    }
    let directory = section.string("theme_dir").map(|path| places::under(base, &path));
    match directory.as_deref().map(|directory| Theme::load(directory, &setting.name)) {
        None => setting.theme = Theme::built_in(&setting.name),
        Some(Ok(theme)) => setting.theme = theme,
        Some(Err(faults)) => faults.into_iter().for_each(|fault| section.elsewhere(error("pages.theme_dir", fault))),
    }
    setting.theme_dir = directory;
    section.finish(&TOP);
    setting
}

fn error(key: &str, fault: Fault) -> ConfigError {
    let Fault { file, line, problem, remedy } = fault;
    ConfigError { file: file.display().to_string(), line, key: key.to_owned(), entry: None, problem, remedy }
}
