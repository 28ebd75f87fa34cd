//! The decision core, specified: what each function of `regrant-core` promises, told as stories.
//!
//! One module per question, in the order of a request's way; [`world`] holds what the stories share. The doc comment of each
//! test names the checks and laws that it proves.

mod world;

mod ages;
mod clocks;
mod codes;
mod devices;
mod epochs;
mod introspection;
mod keys;
mod recovery;
mod retries;
mod revocation;
mod rotation;
mod rows;
mod strangers;
mod texts;
mod verdicts;
