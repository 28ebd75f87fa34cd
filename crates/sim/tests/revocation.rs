//! What can be revoked, and what revokes by itself, over real HTTP: refresh, introspection, userinfo, and whether the same browser gets a
//! new grant without a word (`prompt=none`). Revocation of a client's own token is in `token/rfc7009.rs`.

mod revocation {
    pub(crate) mod support;

    mod bulk;
    mod cascade;
    mod clients;
    mod global;
    mod races;
    mod settling;
    mod tokens;
}
