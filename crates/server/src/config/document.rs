//! A TOML document with the place of everything in it, read so that all errors are found and not only the first.
//!
//! A [`Section`] knows which keys it was asked for: what is left over in the end is unknown, and is said so.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::problem::{ConfigError, Problem};
use super::suggest::did_you_mean;

/// The most errors that are told at once.
const MAX_ERRORS: usize = 200;

/// Collects the errors of one file.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, errors: RefCell::default() }
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
        Self { report, name, table, span, asked: RefCell::default(), faulty: RefCell::default(), entry }
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

    /// The one table `[key]`, if it is there.
    pub(super) fn table(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.found(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(self.report, key, table, value.span(), None)),
            None => {
                self.wrong_type(key, value, &format!("written as [{key}] with its settings in the lines below"));
                None
            }
        }
    }

    /// The entries of `[[key]]`; `entry_key` names the one it is known by.
    pub(super) fn entries(&self, key: &'static str, entry_key: &'static str, most: usize) -> Vec<Section<'a>> {
        let shape = format!("written as [[{key}]], with two brackets on each side");
        let Some((value, report)) = self.found(key).map(|value| (value, self.report)) else {
            return Vec::new();
        };
        let tables: Option<Vec<_>> = value
            .get_ref()
            .as_array()
            .and_then(|items| items.iter().map(|item| Some((item.get_ref().as_table()?, item.span()))).collect());
        let Some(tables) = tables else {
            self.wrong_type(key, value, &shape);
            return Vec::new();
        };
        if tables.len() > most {
            let what = format!("there are {} entries, and {most} are the limit", tables.len());
            self.problem(Problem::new(key, what, "Add the others with `regrant client add`, or remove some."));
            return Vec::new();
        }
        tables.into_iter().map(|(table, span)| Section::new(report, key, table, span, Some(entry_key))).collect()
    }

    /// Reports a problem at its key, or at the section's head if the key is not there.
    pub(super) fn problem(&self, problem: Problem) {
        if self.faulty.borrow().contains(&problem.key) {
            return;
        }
        let found = self.table.get_key_value(problem.key);
        let at = found.map_or(self.span.start, |(key, value)| {
            let element = problem.index.and_then(|index| value.get_ref().as_array()?.get(index));
            element.map_or(key.span().start, |element| element.span().start)
        });
        self.report.add(at, self.full_name(problem.key), self.entry.clone(), problem);
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
            self.report.add(key.span().start, self.full_name(&shown), self.entry.clone(), problem);
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
        format!("{}Known here: {}.", did_you_mean(name, asked.iter().copied()), asked.join(", "))
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn found(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn value<T>(&self, key: &'static str, shape: &str, read: impl FnOnce(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        let value = self.found(key)?;
        let read = read(value.get_ref());
        if read.is_none() {
            self.wrong_type(key, value, shape);
        }
        read
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
