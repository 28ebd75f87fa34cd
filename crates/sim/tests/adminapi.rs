//! The admin API over real HTTP: every operation, every kind of refusal, and that nobody gets in without its token.

mod adminapi {
    pub(crate) mod support;

    mod conditions;
    mod cursors;
    mod document;
    mod door;
    mod input;
    mod nodes;
    mod operations;
    mod remote;
    mod repeats;
}
