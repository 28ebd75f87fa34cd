//! Other people's incidents: each that applies to what is here is a test that is named after it. What happened elsewhere stands in its
//! comment; what is told here in a few lines is proved at length where the comment says so. `docs/evidence.md` has the table.

mod incidents {
    mod clients;
    mod codes;
    mod refresh;
    mod web;
}
