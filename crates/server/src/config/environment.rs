//! Settings from the environment: each key of the file has its variable, and the variable wins.
//!
//! `issuer` is `REGRANT_ISSUER`, `certificate_file` of `[tls]` is `REGRANT_TLS_CERTIFICATE_FILE`, and the lists `[[scope]]`,
//! `[[resource]]` and `[[client]]` are `REGRANT_SCOPE` and so on, as a TOML array of tables. A value is taken as it stands
//! where a text is wanted; else it is read as TOML, and a list of texts may be written with commas.
//!
//! A variable that names no setting is a notice and not an error: service managers put variables of their own beside ours.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What our variables begin with.
pub(super) const PREFIX: &str = "REGRANT_";
/// Variables of that prefix that are no settings.
const RESERVED: [&str; 8] = [
    "REGRANT_CONFIG",
    "REGRANT_LOG",
    "REGRANT_BLESS",
    "REGRANT_SERVER",
    "REGRANT_TOKEN",
    "REGRANT_CLIENT_ID",
    "REGRANT_CLIENT_SECRET_FILE",
    "REGRANT_TOKEN_ISSUER",
];
/// The longest value that is read.
const MAX_VALUE: usize = 1024 * 1024;

/// Our variables at one moment.
pub type Variables = BTreeMap<String, String>;

/// Those of this process. Values that are no UTF-8 are left out.
#[must_use]
pub fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with(PREFIX) && value.len() <= MAX_VALUE)
        .collect()
}

/// The variables as a TOML text, so that their values are read like those of the file. Each is there in every form that it
/// can be read in, the first that fits is taken.
pub(super) fn as_document(variables: &Variables) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        let mut forms = vec![DeText(value).to_string()];
        let whole = format!("v = {value}");
        if !value.contains(['\n', '\r']) && DeTable::parse(&whole).is_ok_and(|table| table.get_ref().len() == 1) {
            forms.push(value.clone());
        }
        let items: Vec<String> = value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| DeText(item).to_string())
            .collect();
        forms.push(format!("[{}]", items.join(", ")));
        text.push_str(&format!(
            "{} = [{}]\n",
            DeText(name),
            forms.iter().map(|form| format!("{{v = {form}}}")).collect::<Vec<_>>().join(", ")
        ));
    }
    text
}

/// A TOML string.
struct DeText<'a>(&'a str);

impl std::fmt::Display for DeText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The variables while a configuration is read, and which of them were asked for.
pub(super) struct Environment<'a> {
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(table: Option<&'a DeTable<'a>>) -> Self {
        Self { table, asked: RefCell::default() }
    }

    /// The name of a setting's variable.
    pub(super) fn name(section: &str, key: &str) -> String {
        let joined = if section.is_empty() { key.to_owned() } else { format!("{section}_{key}") };
        format!("{PREFIX}{}", joined.to_ascii_uppercase())
    }

    /// Whether there is a variable for a setting of this section.
    pub(super) fn speaks_of(&self, section: &str) -> bool {
        let begins = Self::name(section, "");
        let speaks = |name: &str| name.starts_with(&begins) && !is_of_a_service_link(name);
        self.table.is_some_and(|table| table.keys().any(|name| speaks(name.get_ref())))
    }

    /// The forms of a variable's value, in the order in which they are tried; `None` if it is not set.
    pub(super) fn forms(&self, name: &str) -> Option<Vec<&'a Spanned<DeValue<'a>>>> {
        self.asked.borrow_mut().insert(name.to_owned());
        let forms = self.table?.get(name)?.get_ref().as_array()?;
        Some(forms.iter().filter_map(|form| form.get_ref().as_table()?.get("v")).collect())
    }

    /// Notices about variables that name no setting.
    pub(super) fn unknown(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let names = self.table.into_iter().flat_map(|table| table.iter()).map(|(name, _)| name.get_ref().to_string());
        names
            .filter(|name| !asked.contains(name) && !RESERVED.contains(&name.as_str()) && !is_of_a_service_link(name))
            .map(|name| {
                // Slips are looked for in the words of the file: lower case.
                let known: Vec<String> = asked.iter().map(|name| name.to_ascii_lowercase()).collect();
                let near = super::suggest::nearest(&name, known.iter().map(String::as_str));
                let did_you_mean =
                    near.map_or_else(String::new, |near| format!(". Did you mean {}?", near.to_ascii_uppercase()));
                format!("the environment variable {name} names no setting and is left aside{did_you_mean}")
            })
            .collect()
    }
}

/// Container platforms tell each program of the services beside it, and one of them may be called regrant, or regrant-tls.
fn is_of_a_service_link(name: &str) -> bool {
    let of_a_port = |rest: &str| {
        let mut words = rest.split('_');
        words.next().is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
            && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| of_a_port(rest))
}
