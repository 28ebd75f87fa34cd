//! `docs/conformance.md` and the code name the same sections: each `RFC n section m` in the sources has its row, and each
//! file and test that a row names exists.

use std::collections::BTreeSet;

use crate::{read, root, rust_files, shown};

#[test]
fn every_section_quoted_in_the_code_has_its_row() {
    let table = read(&root().join("docs/conformance.md"));
    let rows: BTreeSet<(String, String)> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.strip_prefix("RFC ")?.to_owned(), cells.next()?.to_owned()))
        })
        .collect();
    let mut missing = BTreeSet::new();
    for path in rust_files().into_iter().filter(|path| shown(path).contains("/src/")) {
        for quoted in sections(&read(&path)) {
            let covered = rows
                .iter()
                .any(|(rfc, section)| *rfc == quoted.0 && section.split(',').any(|row| covers(row.trim(), &quoted.1)));
            if !covered {
                missing.insert(format!("RFC {} section {} ({})", quoted.0, quoted.1, shown(&path)));
            }
        }
    }
    assert!(missing.is_empty(), "docs/conformance.md lacks {missing:#?}");
}

#[test]
fn every_row_names_what_exists() {
    let table = read(&root().join("docs/conformance.md"));
    let tests: String = rust_files().iter().map(|path| read(path)).collect();
    for line in table.lines().filter(|line| line.starts_with("| RFC ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert!(cells.len() >= 7, "a row has five cells: {line}");
        for name in cells[3].split('`').skip(1).step_by(2) {
            assert!(root().join("crates").join(name).exists(), "no file {name}: {line}");
        }
        let named: Vec<&str> = cells[4].split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || cells[4].starts_with('–'), "no test is named: {line}");
        for name in named {
            assert!(
                tests.contains(&format!("fn {name}(")) || root().join("crates").join(name).exists(),
                "no test {name}: {line}"
            );
        }
    }
}

/// A row for 4.1 covers a quote of 4.1.2.
fn covers(row: &str, quoted: &str) -> bool {
    row == quoted || quoted.starts_with(&format!("{row}."))
}

/// All `RFC n section m` of a text.
fn sections(text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let text = text.replace("\n//!", " ").replace("\n///", " ").replace("\n    ///", " ").replace("\n    //", " ");
    for (start, _) in text.match_indices("RFC ") {
        let rest = &text[start + 4..];
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let rest = rest[number.len()..].trim_start();
        let Some(rest) = rest.strip_prefix("section ").or_else(|| rest.strip_prefix("sections ")) else { continue };
        let section: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let section = section.trim_end_matches('.').to_owned();
        if !number.is_empty() && !section.is_empty() {
            found.insert((number, section));
        }
    }
    found
}
