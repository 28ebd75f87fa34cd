//! OpenID Connect over real HTTP, a module per section in the order of the specifications: each header quotes the MUSTs of its section, and
//! each test names the one it holds. ID tokens are verified as a client does it: with the published keys.

mod openid {
    pub(crate) mod support;

    mod core_s02;
    mod core_s03_1_2;
    mod core_s03_1_3;
    mod core_s03_2;
    mod core_s03_3;
    mod core_s05_3;
    mod core_s05_4;
    mod core_s05_5;
    mod core_s08;
    mod core_s10_2;
    mod core_s11;
    mod core_s12;
    mod discovery_s3;
    mod form_post;
    mod malformed;
    mod multiple_response_types;
    mod self_service;
}
