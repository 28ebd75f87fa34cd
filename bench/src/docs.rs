//! The figures in the documents: `docs/performance.json`, the plot, and the tables between the marks in `README.md` and
//! `docs/performance.md`. So no number in them was written by hand.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use serde_json::json;

use crate::case::{Case, Flow};
use crate::plot;
use crate::report::{Row, markdown};

const BEGIN: &str = "<!-- figures: `cargo run --release -p bench -- refresh --docs` writes them -->";
const END: &str = "<!-- end of the figures -->";

/// Writes all of them below the repository's root.
///
/// # Errors
/// If a file cannot be written, or has no marks.
pub fn write(root: &Path, rows: &[Row]) -> Result<()> {
    let title = "Answers per second beside a bare HTTP server";
    fs::write(root.join("docs/performance.json"), serde_json::to_string_pretty(&json!({"rows": rows}))? + "\n")?;
    fs::write(root.join("docs/performance.svg"), plot::svg(rows, title))?;
    fill(&root.join("docs/performance.md"), &format!("![{title}](performance.svg)\n\n{}", markdown(rows)))?;
    let most = rows.iter().map(|row| row.grants).max().unwrap_or_default();
    let is_shown = |row: &&Row| {
        let is_refresh =
            row.case.parse().is_ok_and(|case: Case| case.flow == Flow::RefreshSingleUse && !case.is_public);
        row.grants == most && is_refresh
    };
    let shown: Vec<Row> = rows.iter().filter(is_shown).cloned().collect();
    fill(&root.join("README.md"), &format!("![{title}](docs/performance.svg)\n\n{}", markdown(&shown)))
}

fn fill(file: &Path, figures: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let missing = || Error::new(ErrorKind::InvalidData, format!("{} has no place for the figures", file.display()));
    fs::write(file, between(&text, figures).ok_or_else(missing)?)
}

/// The text with other figures between the marks.
fn between(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", figures.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("# Title\n{BEGIN}\nold\n{END}\nmore\n");
        let filled = between(&text, "new\n").expect("marks");
        assert_eq!(filled, format!("# Title\n{BEGIN}\n\nnew\n\n{END}\nmore\n"));
        assert_eq!(between(&filled, "new\n").as_ref(), Some(&filled), "again is the same");
        assert_eq!(between("no marks", "new"), None);
    }

    #[test]
    fn the_documents_have_a_place_for_the_figures() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in ["README.md", "docs/performance.md"] {
            let text = fs::read_to_string(root.join(file)).expect("a document");
            assert!(between(&text, "figures").is_some(), "{file}");
        }
    }
}
