//! What is wrong with a configuration: where, what, and what to do about it.

use std::fmt;

/// One thing that is wrong with a definition, before it has a place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The setting, by its name in the file.
    pub key: &'static str,
    /// Which element of a list, from 0.
    pub index: Option<usize>,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do about it, a sentence.
    pub remedy: String,
}

impl Problem {
    /// A problem with a setting as a whole.
    #[must_use]
    pub fn new(key: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key, index: None, what: what.into(), remedy: remedy.into() }
    }

    /// The same, with one element of a list.
    #[must_use]
    pub fn at(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}", self.key, self.what, self.remedy)
    }
}

/// A problem with its place.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ConfigError {
    /// The file, as it was named to us.
    pub file: String,
    /// From 1; 0 if the file could not be read at all.
    pub line: usize,
    /// The setting with its section, `client.rotation`; empty if the text is no TOML.
    pub key: String,
    /// The id, name or URI of the entry it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if let Some(entry) = &self.entry {
            write!(f, " of {entry:?}")?;
        }
        write!(f, ": {}. {}", self.problem, self.remedy)
    }
}

/// Everything that is wrong with a configuration, in the order of the file. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
