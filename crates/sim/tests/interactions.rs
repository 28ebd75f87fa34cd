//! Interactions that an application of the operator's shows, themes, and languages: over real HTTP, with the cookies of real browsers.

mod interactions {
    mod answers;
    mod bounds;
    mod example;
    mod languages;
    mod support;
    mod themes;
}
