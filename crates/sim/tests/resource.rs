//! How resource servers hear what a token is worth: the feed, the status lists, introspection as JWT, and the middleware that uses
//! them, against the real server.

mod resource {
    mod bulk;
    mod feed;
    mod introspection;
    mod middleware;
    mod status_lists;
    pub(crate) mod support;
}
