//! `regrant pages export`: what a theme begins with is a theme.

use std::process::{Output, Stdio};

use sim::process::{Home, Scratch};

/// The built-in files are written whole, are taken as a theme as they are, and nothing is written over.
#[test]
fn the_built_in_pages_are_a_theme_to_begin_with() {
    let scratch = Scratch::new("pages-export");
    let home = Home::make(&scratch.path().join("home"));
    let run = |line: &[&str]| -> Output { home.command(line).stdin(Stdio::null()).output().expect("regrant runs") };
    let theme = scratch.path().join("theme");
    let shown = theme.display().to_string();
    let made = run(&["pages", "export", &shown]);
    assert!(made.status.success(), "{made:?}");
    for name in ["login.html", "head.html", "macros.html", "style.css", "favicon.svg"] {
        assert!(theme.join(name).metadata().is_ok_and(|found| found.len() > 0), "{name}");
    }
    let again = run(&["pages", "export", &shown]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing was written"), "{again:?}");
    let checked =
        home.command(&["config", "check"]).env("REGRANT_PAGES_THEME_DIR", &theme).output().expect("regrant runs");
    assert!(checked.status.success(), "{checked:?}");
}
