//! `docs/security-checks.md` is generated from the doc comments of the tests, so that it cannot part from the code.
//!
//! A doc comment that begins with `Check T1:`, `Checks T1, T2:` or `Law L3:` names what its test proves.

use std::collections::BTreeMap;

use crate::{read, root, rust_files, shown};

/// The named checks that exist here so far: each must be proved by a test.
const EXPECTED: &str = "T1 T2 T3 T4 T5 T8 T9 T10 T11 T12 T13 T14 T15 T16 T17 T18 T19 T20 T21 T22 T31 T32 T34 T36 T38 T39 \
    A1 A2 A3 A4 A5 A6 A8 A9 P1 P2 P3 P4 P5 P6 P7 P8 P9 C1 C2 C3 C11 C12 R1 R2 R3 R4 R5 R6 R7 I2 I3 I4 I5 I6 I7 I8 I9 I10 \
    W1 W2 W3 W4 W5 W6 W7 W8 W9 W10 W11 W12 W15 W16 G1 G8 F1 F2 F6 F7 F9 F10 F11 O1 O2 O3 O4 O5 K1 K2 K3 K4 K5 K6 K7 K8 N1 N3 N5 M1 \
    T6 T7 T35 B1 B2 B3 B4 B8 B9 B10 H1 H3 H4 H5 I11 O8 S1 S4 S5 S7 S8 S9 S10 X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 X11 X12 X13 X14 \
    X15 X16 Z2 Z4 Z5 Z11 Z16 \
    O6 I12 B5 B6 T30 W14 F12 C4 C5 C6 C7 C8 C9 C10 I1 N2 N4 Z3 Z6 \
    J1 J2 J3 J4 J5 J6 J7 J8 J9 J10 J11 J12 J13 J14 J15 J16 J17 J18 J19 J20 \
    L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12";

/// Checks of that list that have nothing here to bite on yet, and why.
const WITHOUT_SUBJECT: [(&str, &str); 1] = [("W9", "web_message is not implemented")];

struct Proof {
    id: String,
    holds: String,
    test: String,
}

#[test]
fn every_named_check_has_its_test_and_the_table_says_so() {
    let proofs = proofs();
    let mut missing = Vec::new();
    for id in EXPECTED.split_whitespace() {
        let known = proofs.contains_key(id) || WITHOUT_SUBJECT.iter().any(|(without, _)| *without == id);
        if !known {
            missing.push(id);
        }
    }
    assert!(missing.is_empty(), "no test names {missing:?}");
    let path = root().join("docs/security-checks.md");
    let document = document(&proofs);
    if std::env::var_os("REGRANT_BLESS").is_some() {
        std::fs::write(&path, &document).expect("the document is written");
    }
    assert!(
        read(&path) == document,
        "docs/security-checks.md is stale: REGRANT_BLESS=1 cargo test --profile proof -p sim --test tidy"
    );
}

/// All proofs, by id in natural order.
fn proofs() -> BTreeMap<String, Vec<Proof>> {
    let mut found: BTreeMap<String, Vec<Proof>> = BTreeMap::new();
    for path in rust_files() {
        let text = read(&path);
        let mut comment: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("///") {
                comment.push(words.trim());
            } else if let Some(name) = function(line) {
                for proof in read_comment(&comment.join(" "), &format!("{}: `{name}`", shown(&path))) {
                    found.entry(proof.id.clone()).or_default().push(proof);
                }
                comment.clear();
            } else if !line.starts_with("#[") {
                comment.clear();
            }
        }
    }
    found
}

fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// `Checks T1, T2: what holds.` → one proof for each id.
fn read_comment(comment: &str, test: &str) -> Vec<Proof> {
    let mut proofs = Vec::new();
    for word in ["Checks ", "Check ", "Laws ", "Law "] {
        for (start, _) in comment.match_indices(word) {
            let rest = &comment[start + word.len()..];
            let end = rest.find([':', '.', '(', ')', ';']).unwrap_or(rest.len());
            let ids: Vec<String> = rest[..end]
                .replace(" and ", ",")
                .replace(" to ", ",")
                .split(',')
                .map(|id| id.trim().to_owned())
                .filter(|id| is_id(id))
                .collect();
            let holds = rest.get(end + 1..).unwrap_or_default().trim();
            let holds = if holds.is_empty() { comment } else { holds };
            let holds: String = holds.chars().take(180).collect();
            proofs.extend(ids.into_iter().map(|id| Proof {
                id,
                holds: holds.replace('|', "\\|"),
                test: test.to_owned(),
            }));
        }
        if !proofs.is_empty() && word == "Checks " {
            continue;
        }
    }
    proofs
}

fn is_id(text: &str) -> bool {
    let letters = text.chars().take_while(char::is_ascii_uppercase).count();
    (1..=2).contains(&letters) && letters < text.len() && text[letters..].chars().all(|digit| digit.is_ascii_digit())
}

fn document(proofs: &BTreeMap<String, Vec<Proof>>) -> String {
    let mut out = String::from(
        "# The named checks\n\nGenerated from the doc comments of the tests by the tidy test (`REGRANT_BLESS=1 cargo test --profile proof -p sim --test \
         tidy`). Each id is a property that the best-known incidents of the field violate; each row names a test that `./test` runs.\n\n\
         | id | what holds | test |\n|---|---|---|\n",
    );
    let mut ids: Vec<&String> = proofs.keys().collect();
    ids.sort_by_key(|id| {
        let letters: String = id.chars().take_while(char::is_ascii_uppercase).collect();
        let number: u32 = id[letters.len()..].parse().unwrap_or(0);
        (letters, number)
    });
    for id in ids {
        for proof in &proofs[id] {
            out.push_str(&format!("| {id} | {} | {} |\n", proof.holds, proof.test));
        }
    }
    out.push_str("\nWithout a subject so far:\n\n");
    for (id, why) in WITHOUT_SUBJECT {
        out.push_str(&format!("- {id}: {why}\n"));
    }
    out
}
