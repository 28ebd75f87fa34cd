//! The pages in a real browser: headless Chromium, driven over its own protocol (DevTools, by pipe), with a loopback client behind.
//!
//! The tests do what people do: they look for a field, type, and click; scripts of pages are switched off but where the test is about the one that there is. What they watch
//! for is what only a browser knows: that its Content-Security-Policy lets the redirect after a form reach the client (`form-action` is
//! applied to redirects, too), that nothing is refused or complained of on the way, that no frame shows a page, that a phone need not be
//! scrolled sideways, and what a screen reader is given. Pictures go to `target/screenshots/`.
//!
//! Without Chromium the tests say so and pass; with `CI=true` they fail.

mod chromium {
    pub(crate) mod client;
    pub(crate) mod devtools;
    pub(crate) mod tab;

    mod form_post;
    mod pages;
    mod sessions;
}
