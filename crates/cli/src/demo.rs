//! `regrant demo`: being written.

use std::process::ExitCode;

/// How to play.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args) -> ExitCode {
    ExitCode::FAILURE
}
