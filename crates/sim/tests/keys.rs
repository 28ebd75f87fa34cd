//! The life of keys over real HTTP: published ahead, in use, verifying, gone; rotation under load, and what is done when a key is known
//! to others (security section 4.6).

mod keys {
    pub(crate) mod support;

    mod algorithms;
    mod commands;
    mod emergency;
    mod life;
    mod load;
    mod numbers;
    mod restarts;
    mod secrets;
}
