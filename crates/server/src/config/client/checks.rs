//! Collects what is wrong with a definition, and checks what many settings have in common: choices and lists.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::super::problem::Problem;
use super::super::suggest::did_you_mean;

/// The most entries of a list.
const MAX_ENTRIES: usize = 64;

/// What was found so far.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<String>,
}

impl Checks {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn note(&mut self, problem: Option<Problem>) {
        self.problems.extend(problem);
    }

    /// The choice that a word names.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        word: &str,
        all: &[T],
        name: impl Fn(&T) -> &str,
    ) -> Option<T> {
        self.choice_at(key, None, word, all, name)
    }

    pub(super) fn choice_at<T: Copy>(
        &mut self,
        key: &'static str,
        index: Option<usize>,
        word: &str,
        all: &[T],
        name: impl Fn(&T) -> &str,
    ) -> Option<T> {
        let found = all.iter().find(|choice| name(choice) == word).copied();
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(&name).collect();
            let remedy = format!("{}Choose {}.", did_you_mean(word, names.iter().copied()), either(&names));
            let shown: String = word.chars().take(80).collect();
            self.problem(Problem { index, ..Problem::new(key, format!("{shown:?} is none of the choices"), remedy) });
        }
        found
    }

    /// A list of bounded length without repetitions.
    pub(super) fn list(&mut self, key: &'static str, items: &[impl AsRef<str> + Display]) {
        if items.len() > MAX_ENTRIES {
            let what = format!("there are {}, and {MAX_ENTRIES} are the limit", items.len());
            self.problem(Problem::new(key, what, "Keep those in use."));
        }
        self.distinct(key, items);
    }

    pub(super) fn distinct(&mut self, key: &'static str, items: &[impl AsRef<str> + Display]) {
        let mut seen = BTreeSet::new();
        if let Some(index) = items.iter().position(|item| !seen.insert(item.as_ref())) {
            let shown: String = items[index].as_ref().chars().take(80).collect();
            self.problem(Problem::new(key, format!("{shown:?} is named twice"), "Remove one of them.").at(index));
        }
    }
}

/// `"a", "b" or "c"`.
fn either(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}
