//! The browser side over real HTTP, a module per section in the order of the RFCs: each header quotes the MUSTs of its section, and
//! each test names the one it holds. Behind the sections come the pages: what people see, and what others try with them.

mod browser {
    pub(crate) mod support;

    mod rfc6749_s03_1;
    mod rfc6749_s04_1_1;
    mod rfc6749_s04_1_2;
    mod rfc6749_s04_2;
    mod rfc7636;
    mod rfc8252;
    mod rfc8414;
    mod rfc8707;
    mod rfc9207;
    mod rfc9700_s2;
    mod rfc9700_s4;

    mod account;
    mod consent;
    mod constants;
    mod cors;
    mod forms;
    mod guessing;
    mod headers;
    mod login;
    mod logout;
    mod prompts;
    mod redirects;
    mod reflection;
    mod sessions;
    mod two_users;
}
