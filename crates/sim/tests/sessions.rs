//! Devices, browser sessions and their end over real HTTP, a module per specification: each header quotes the MUSTs, and each test names
//! the one it holds.

mod sessions {
    pub(crate) mod support;

    mod back_channel;
    mod device_page;
    mod front_channel;
    mod logout_races;
    mod rfc8628;
    mod rp_initiated;
    mod session_management;
}
