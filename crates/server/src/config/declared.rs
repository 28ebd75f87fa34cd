//! `[[scope]]` and `[[resource]]`: what clients can ask for, and where it means something.

use std::collections::BTreeMap;

use regrant_core::{Resources, Scope};

use super::document::Section;
use super::problem::Problem;
use super::{ADMIN_RESOURCE, ADMIN_SCOPES, BUILT_IN_SCOPES, Config, TOP, claims, client, suggest};
use crate::claims::Rules;
use crate::pages::Language;

/// A `[[scope]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeSetting {
    /// Its token.
    pub name: String,
    /// What the consent page says; the name unless set.
    pub description: String,
    /// The same in languages for which there is a text of its own.
    pub descriptions: BTreeMap<Language, String>,
}

/// A `[[resource]]` (RFC 8707).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceSetting {
    /// The resource indicator.
    pub uri: String,
    /// The scopes that mean something there.
    pub scopes: Scope,
    /// What access tokens for it carry beside what RFC 9068 prescribes.
    pub claims: Rules,
}

pub(super) fn read_scope(section: &Section<'_>, config: &mut Config) {
    let name = section.string("name").unwrap_or_default();
    let description = section.string("description").unwrap_or_else(|| name.clone());
    if name.is_empty() || name.contains(' ') || Scope::parse(&name).is_err() {
        let remedy =
            "Use 1 to 100 visible ASCII characters without spaces, quotes and backslashes (RFC 6749 section 3.3).";
        section.problem(Problem::new("name", "it is no scope name", remedy));
    } else if name.len() > 100 {
        section.problem(Problem::new("name", "it is longer than 100 characters", "Shorten it."));
    } else if let Some(problem) = client::check_label("description", &description, client::misleads) {
        section.problem(problem);
    }
    if ADMIN_SCOPES.contains(&name.as_str()) {
        section.problem(Problem::new("name", "it opens the admin API, and is always there", "Leave the entry out."));
    }
    if config.scopes.iter().any(|scope| scope.name == name) {
        section.problem(Problem::new("name", "another [[scope]] has the same name", "Remove one of them."));
    }
    let descriptions = read_descriptions(section);
    section.finish(&TOP);
    config.scopes.push(ScopeSetting { name, description, descriptions });
}

/// The same in other languages, by their tags.
fn read_descriptions(section: &Section<'_>) -> BTreeMap<Language, String> {
    let key = "descriptions";
    let mut descriptions = BTreeMap::new();
    for (tag, text) in section.json(key).unwrap_or_default() {
        let language = Language::ALL.into_iter().find(|known| known.tag() == tag);
        match (language, text.as_str()) {
            (Some(language), Some(text)) => {
                if let Some(problem) = client::check_label(key, text, client::misleads) {
                    section.problem(problem);
                }
                descriptions.insert(language, text.to_owned());
            }
            _ => {
                let known = Language::ALL.map(Language::tag).join(", ");
                let remedy = format!("Write texts under the tags that the pages speak: {known}.");
                section.problem(Problem::new(key, "it names another language, or holds no text", remedy));
            }
        }
    }
    descriptions
}

pub(super) fn read_resource(section: &Section<'_>, config: &mut Config) {
    let uri = section.string("uri").unwrap_or_default();
    if Resources::new([uri.as_str()]).is_err() {
        let remedy = "Write the URL of the API, like \"https://api.example.com/\" (RFC 8707 section 2).";
        section.problem(Problem::new(
            "uri",
            "it is no absolute URI without a fragment of at most 512 characters",
            remedy,
        ));
    }
    if uri == ADMIN_RESOURCE {
        section.problem(Problem::new("uri", "it is the admin API, and is always there", "Leave the entry out."));
    }
    if config.resources.iter().any(|resource| resource.uri == uri) {
        section.problem(Problem::new("uri", "another [[resource]] has the same URI", "Remove one of them."));
    }
    let names = section.strings("scopes").unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        let known = || config.scopes.iter().map(|scope| scope.name.as_str()).chain(BUILT_IN_SCOPES);
        if !known().any(|known| known == name) {
            let remedy = format!("{}Declare it in a [[scope]].", suggest::did_you_mean(name, known()));
            section.problem(Problem::new("scopes", format!("{name:?} is not declared"), remedy).at(index));
        }
    }
    let scopes = Scope::from_tokens(names.iter().map(String::as_str)).unwrap_or_else(|_| {
        section.problem(Problem::new(
            "scopes",
            "they are more than 128, or one is malformed",
            "Name at most 128 scopes.",
        ));
        Scope::default()
    });
    let takes = section.strings("claims").unwrap_or_default();
    let fixed = section.json("static_claims").unwrap_or_default();
    let claims = claims::rules(("claims", &takes), &fixed).unwrap_or_else(|problems| {
        problems.into_iter().for_each(|problem| section.problem(problem));
        Rules::default()
    });
    section.finish(&TOP);
    config.resources.push(ResourceSetting { uri, scopes, claims });
}
