//! How clients come to be known and prove who they are: keys, assertions, registration, request objects, and what the server fetches
//! for it. A module per section of a specification.

mod clients {
    mod encryption;
    mod input;
    mod jwks_uri;
    mod limits;
    mod logout;
    mod openid_core_s6;
    mod openid_core_s9;
    mod outbound;
    mod registration_s2;
    mod rfc7523;
    mod rfc7591;
    mod rfc7592;
    mod support;
}
