//! The client library, the commands that are made of it, and their agent: over real HTTP against this server, and against one that
//! forgives nothing.

mod client {
    pub(crate) mod support;

    mod agent;
    mod bound;
    mod cancelled;
    mod clocks;
    mod commands;
    mod crashes;
    mod disks;
    mod examples;
    mod fresh;
    mod interrupted;
    mod keychains;
    mod layers;
    mod logins;
    mod networks;
    mod phones;
    mod sessions;
    mod stores;
    mod storms;
}
