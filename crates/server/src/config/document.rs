//! A TOML document with the place of everything in it, read so that all errors are found and not only the first.
//!
//! A [`Section`] knows which keys it was asked for: what is left over in the end is unknown, and is said so.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::environment::Environment;
use super::problem::{ConfigError, Problem};
use super::suggest::did_you_mean;

/// The most errors that are told at once.
const MAX_ERRORS: usize = 200;

/// Collects the errors of one file.
pub(super) struct Report<'a> {
    /// As it was named to us.
    pub(super) file: &'a str,
    text: &'a str,
    errors: RefCell<Vec<ConfigError>>,
    environment: Environment<'a>,
    /// For sections that the file does not have.
    empty: &'a DeTable<'a>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, environment: Environment<'a>, empty: &'a DeTable<'a>) -> Self {
        Self { file, text, errors: RefCell::default(), environment, empty }
    }

    /// Notices about variables that name no setting: asked when everything was read.
    pub(super) fn unknown_variables(&self) -> Vec<String> {
        self.environment.unknown()
    }

    /// The line of a position, from 1.
    fn line(&self, position: usize) -> usize {
        self.text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
    }

    pub(super) fn add(&self, at: usize, key: String, entry: Option<String>, problem: Problem) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_ERRORS {
            let line = self.line(at);
            let Problem { what, remedy, .. } = problem;
            errors.push(ConfigError { file: self.file.to_owned(), line, key, entry, problem: what, remedy });
        }
    }

    /// The same for a value that a variable of the environment gave.
    fn add_variable(&self, name: &str, key: String, entry: Option<String>, problem: Problem) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_ERRORS {
            let file = format!("environment variable {name}");
            let Problem { what, remedy, .. } = problem;
            errors.push(ConfigError { file, line: 0, key, entry, problem: what, remedy });
        }
    }

    /// What was found, in the order of the file.
    pub(super) fn finish(self) -> Vec<ConfigError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.line);
        errors
    }
}

/// A table of the document: the top, or one entry of `[[client]]` and its like.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    /// `client`, or nothing for the top.
    name: &'static str,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    /// Keys that were asked for.
    asked: RefCell<Vec<&'static str>>,
    /// Keys whose value is of the wrong type: said once, and not again as "missing".
    faulty: RefCell<Vec<&'static str>>,
    entry: Option<String>,
    /// Entries of a list have no variables of their own: the whole list has one.
    has_variables: bool,
    /// The variable of the list that this is an entry of.
    given_by: Option<String>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        report: &'a Report<'a>,
        name: &'static str,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        entry_key: Option<&'static str>,
    ) -> Self {
        let entry =
            entry_key.and_then(|key| table.get(key)?.get_ref().as_str()).map(|text| text.chars().take(80).collect());
        let has_variables = entry_key.is_none();
        let (asked, faulty) = (RefCell::default(), RefCell::default());
        Self { report, name, table, span, asked, faulty, entry, has_variables, given_by: None }
    }

    /// A text.
    pub(super) fn string(&self, key: &'static str) -> Option<String> {
        self.value(key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        self.value(key, "true or false, without quotes", DeValue::as_bool)
    }

    /// A list of texts.
    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        self.value(key, "a list of texts: [\"one\", \"two\"]", |value| {
            value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// A whole number within limits.
    pub(super) fn number(&self, key: &'static str, limits: RangeInclusive<u64>) -> Option<u64> {
        let number = self.value(key, "a whole number, without quotes", |value| {
            let number = value.as_integer()?;
            i128::from_str_radix(number.as_str(), number.radix()).ok()
        })?;
        let fits = u64::try_from(number).ok().filter(|number| limits.contains(number));
        if fits.is_none() {
            let remedy = format!("Use {} to {}.", limits.start(), limits.end());
            self.problem(Problem::new(key, "it is outside of its limits", remedy));
        }
        fits
    }

    /// A duration within limits.
    pub(super) fn duration(&self, key: &'static str, limits: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.string(key)?;
        let Some(read) = duration::parse(&text) else {
            let shown: String = text.chars().take(40).collect();
            let remedy = "Write numbers with the units w, d, h, m or s, largest first: \"30s\", \"15m\", \"1h30m\".";
            self.problem(Problem::new(key, format!("{shown:?} is no duration"), remedy));
            return None;
        };
        if !limits.contains(&read) {
            let (least, most) = (duration::write(*limits.start()), duration::write(*limits.end()));
            self.problem(Problem::new(key, "it is outside of its limits", format!("Use {least} to {most}.")));
            return None;
        }
        Some(read)
    }

    /// The table `[key]`, a section of its own; there as well if only variables of the environment speak of it.
    pub(super) fn table(&self, key: &'static str) -> Option<Section<'a>> {
        let report = self.report;
        let Some(value) = self.found(key) else {
            return report.environment.speaks_of(key).then(|| Section::new(report, key, report.empty, 0..0, None));
        };
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(report, key, table, value.span(), None)),
            None => {
                self.wrong_type(key, value, &format!("written as [{key}], with one bracket on each side"));
                None
            }
        }
    }

    /// A table of names and values, as JSON.
    pub(super) fn json(&self, key: &'static str) -> Option<Map<String, Value>> {
        self.value(key, "a table of names and values without dates: { one = \"text\", two = 2 }", |value| {
            super::claims::json_of(value.as_table()?)
        })
    }

    /// A whole number in a range.
    pub(super) fn whole_number(&self, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (range.start(), range.end());
        let shape = format!("a whole number from {least} to {most}, without quotes");
        self.value(key, &shape, |value| {
            let number = value.as_integer().filter(|number| number.radix() == 10)?;
            number.as_str().parse().ok().filter(|number| range.contains(number))
        })
    }

    /// The entries of `[[key]]`; `entry_key` names the one it is known by.
    pub(super) fn entries(&self, key: &'static str, entry_key: &'static str, most: usize) -> Vec<Section<'a>> {
        let shape = format!("written as [[{key}]], with two brackets on each side");
        let read = |value: &'a DeValue<'a>| -> Option<Vec<_>> {
            value.as_array()?.iter().map(|item| Some((item.get_ref().as_table()?, item.span()))).collect()
        };
        if let Some(tables) = self.given_by_variable(key, &shape, read) {
            let given_by = Some(Environment::name(self.name, key));
            let sections = self.sections(key, entry_key, most, tables.unwrap_or_default()).into_iter();
            return sections.map(|section| Section { given_by: given_by.clone(), ..section }).collect();
        }
        let Some(value) = self.found(key) else { return Vec::new() };
        let tables = read(value.get_ref());
        let Some(tables) = tables else {
            self.wrong_type(key, value, &shape);
            return Vec::new();
        };
        self.sections(key, entry_key, most, tables)
    }

    fn sections(
        &self,
        key: &'static str,
        entry_key: &'static str,
        most: usize,
        tables: Vec<(&'a DeTable<'a>, Range<usize>)>,
    ) -> Vec<Section<'a>> {
        if tables.len() > most {
            let what = format!("there are {} entries, and {most} are the limit", tables.len());
            self.problem(Problem::new(key, what, "Add the others with `regrant client add`, or remove some."));
            return Vec::new();
        }
        tables.into_iter().map(|(table, span)| Section::new(self.report, key, table, span, Some(entry_key))).collect()
    }

    /// Reports a problem at its key, or at the section's head if the key is not there.
    pub(super) fn problem(&self, problem: Problem) {
        if self.faulty.borrow().contains(&problem.key) {
            return;
        }
        if let Some(variable) = self.variable(problem.key) {
            self.report.add_variable(&variable, self.full_name(problem.key), None, problem);
            return;
        }
        let found = self.table.get_key_value(problem.key);
        let at = found.map_or(self.span.start, |(key, value)| {
            let element = problem.index.and_then(|index| value.get_ref().as_array()?.get(index));
            element.map_or(key.span().start, |element| element.span().start)
        });
        self.tell(at, self.full_name(problem.key), problem);
    }

    /// Where a setting comes from, for what turns out to be wrong with it later.
    pub(super) fn place(&self, key: &str) -> Option<String> {
        if let Some(variable) = self.variable(key).or_else(|| self.given_by.clone()) {
            return Some(format!("environment variable {variable}"));
        }
        let (found, _) = self.table.get_key_value(key)?;
        Some(format!("{}:{}", self.report.file, self.report.line(found.span().start)))
    }

    /// A text that was read before: what is wrong with it has been told.
    pub(super) fn said(&self, key: &str) -> Option<String> {
        let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
        match self.variable(key) {
            Some(name) => self.report.environment.forms(&name)?.into_iter().find_map(|form| text(form.get_ref())),
            None => text(self.table.get(key)?.get_ref()),
        }
    }

    /// Where the whole list came from a variable, that is named, for no line of the file says it.
    fn tell(&self, at: usize, key: String, problem: Problem) {
        match &self.given_by {
            Some(variable) => self.report.add_variable(variable, key, self.entry.clone(), problem),
            None => self.report.add(at, key, self.entry.clone(), problem),
        }
    }

    /// Reports what is wrong with another file that a key names.
    pub(super) fn elsewhere(&self, error: ConfigError) {
        let mut errors = self.report.errors.borrow_mut();
        if errors.len() < MAX_ERRORS {
            errors.push(error);
        }
    }

    /// Reports every key that nobody asked for. `elsewhere` are the settings that stand at the top of the file.
    pub(super) fn finish(&self, elsewhere: &[&str]) {
        let asked = self.asked.borrow();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let shown: String = name.chars().take(80).collect();
            let remedy = self.remedy_for_unknown(name, &asked, elsewhere);
            let problem = Problem::new("", "there is no such setting", remedy);
            self.tell(key.span().start, self.full_name(&shown), problem);
        }
    }

    fn remedy_for_unknown(&self, name: &str, asked: &[&'static str], elsewhere: &[&str]) -> String {
        if self.name == "client" && matches!(name, "secret" | "client_secret" | "password") {
            return "Secrets stay out of this file: use secret_file, or secret_hash as `regrant client secret` prints it."
                .to_owned();
        }
        if elsewhere.contains(&name) {
            return format!("{name} belongs to the top of the file: move it above the first [[…]].");
        }
        // A slip needs no list of all that there is.
        match did_you_mean(name, asked.iter().copied()) {
            nothing if nothing.is_empty() => format!("Known here: {}.", asked.join(", ")),
            meant => meant.trim_end().to_owned(),
        }
    }

    /// A setting with its section.
    pub(super) fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn found(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn value<T>(&self, key: &'static str, shape: &str, read: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        if let Some(given) = self.given_by_variable(key, shape, &read) {
            return given;
        }
        let value = self.found(key)?;
        let read = read(value.get_ref());
        if read.is_none() {
            self.wrong_type(key, value, shape);
        }
        read
    }

    /// The variable of a key, if it is set.
    fn variable(&self, key: &str) -> Option<String> {
        let name = Environment::name(self.name, key);
        (self.has_variables && !key.is_empty() && self.report.environment.forms(&name).is_some()).then_some(name)
    }

    /// What a variable says; the inner `None` if it cannot be read as `shape`, which is then reported.
    fn given_by_variable<T>(
        &self,
        key: &'static str,
        shape: &str,
        read: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        let variable = self.variable(key)?;
        // The file's own value is known, and not read.
        let _ = self.found(key);
        let forms = self.report.environment.forms(&variable)?;
        let given = forms.into_iter().find_map(|form| read(form.get_ref()));
        if given.is_none() {
            let problem = Problem::new(key, "it cannot be read", format!("It must be {shape}."));
            self.report.add_variable(&variable, self.full_name(key), None, problem);
            self.faulty.borrow_mut().push(key);
        }
        Some(given)
    }

    fn wrong_type(&self, key: &'static str, value: &'a Spanned<DeValue<'a>>, shape: &str) {
        let kind = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list of something else",
            DeValue::Table(_) => "a table",
        };
        self.problem(Problem::new(key, format!("this is {kind}"), format!("It must be {shape}.")));
        self.faulty.borrow_mut().push(key);
    }
}
