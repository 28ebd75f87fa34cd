//! The sources: every file says what it is, and none grows into two.

use crate::{files, read, rust_files, shown};

/// The longest file without a stated reason.
const MAX_LINES: usize = 620;

#[test]
fn every_source_file_opens_with_what_it_is() {
    for path in rust_files() {
        let text = read(&path);
        assert!(text.starts_with("//!") || text.starts_with("#!["), "{} does not open with //!", shown(&path));
    }
}

#[test]
fn no_file_grows_into_two() {
    for path in
        rust_files().into_iter().filter(|path| !shown(path).contains("/tests/") && !shown(path).ends_with("/tests.rs"))
    {
        let lines = read(&path).lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines: two ideas in one room?", shown(&path));
    }
}

#[test]
fn nothing_is_left_for_later_in_the_sources() {
    // Put together here, so that this file does not hold them.
    let words = [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"]].map(|parts| parts.concat());
    let ignored = ["#[ig", "nore"].concat();
    for path in rust_files() {
        let text = read(&path);
        for word in &words {
            assert!(!text.contains(word), "{} holds {word}", shown(&path));
        }
        // The half of a test that its other half runs, in a process of its own, is not left out.
        let left_out = text.lines().any(|line| line.contains(&ignored) && !line.contains("run by the test above"));
        assert!(!left_out, "{} leaves a test out", shown(&path));
    }
}

#[test]
fn the_project_speaks_of_itself_only() {
    let registries =
        [["crates", ".io"], ["npmjs", ".com"], ["npmjs", ".org"], ["pypi", ".org"]].map(|parts| parts.concat());
    let machines = [["\"/", "work/"], ["\"/", "root/"], ["\"/", "home/"]].map(|parts| parts.concat());
    for ending in [".rs", ".md", ".toml", ".json", ".mjs", ".html", ".css", ".yml", "test", "run", ".lock"] {
        for path in files(".", ending).into_iter().filter(|path| !path.ends_with("Cargo.lock")) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for word in registries.iter().chain(&machines) {
                assert!(!text.contains(word.as_str()), "{} holds {word}", shown(&path));
            }
        }
    }
}

/// A test that waits for a clock is slow or wrong: time is moved.
#[test]
fn no_test_sleeps() {
    let word = "slee".to_owned() + "p(";
    for path in rust_files().into_iter().filter(|path| shown(path).contains("/tests/")) {
        for (number, line) in read(&path).lines().enumerate() {
            assert!(!line.contains(&word) || line.contains("// waits"), "{}:{} sleeps", shown(&path), number + 1);
        }
    }
}
