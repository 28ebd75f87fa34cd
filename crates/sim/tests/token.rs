//! The token side over real HTTP, a module per section in the order of the RFCs: each header quotes the MUSTs of its section, and
//! each test names the one it holds. Behind the sections come the stories that cross them: bad input, races, restarts, clocks.

mod token {
    pub(crate) mod support;

    mod rfc6749_s02_3;
    mod rfc6749_s03_2;
    mod rfc6749_s04_1_3;
    mod rfc6749_s04_3;
    mod rfc6749_s04_4;
    mod rfc6749_s05_1;
    mod rfc6749_s05_2;
    mod rfc6749_s06;
    mod rfc6749_s10_4;
    mod rfc6750;
    mod rfc7009;
    mod rfc7662;
    mod rfc8707;
    mod rfc9068;
    mod rfc9700_s4_14;

    mod claims;
    mod clocks;
    mod faults;
    mod flows;
    mod hook;
    mod input;
    mod kinds;
    mod limits;
    mod races;
    mod reasons;
    mod restarts;
    mod sizes;
}
