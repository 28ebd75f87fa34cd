//! `[admin_api]`: where programs and `regrant --server` reach what an operator can do. Nowhere unless set, and never at two places.

use std::net::SocketAddr;

use super::document::Section;
use super::places;
use super::problem::Problem;

/// What stands in place of an address for the listener of everybody.
const MAIN: &str = "main";

/// Where the admin API answers. Its token is asked for wherever that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AdminApi {
    /// Nowhere.
    #[default]
    Closed,
    /// On the listener of everybody.
    Main,
    /// On a listener of its own, with the server's TLS if it has one.
    At(SocketAddr),
}

impl AdminApi {
    /// Its own address; `None` if it has none.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::Closed | Self::Main => None,
        }
    }
}

/// Reads the section. One setting says where, so that no second place can be left open by accident (check O6).
pub(super) fn read(section: &Section<'_>, has_tls: bool, main: SocketAddr) -> AdminApi {
    let read = match section.string("listen").as_deref() {
        None => {
            let what = "it is not said where the admin API answers";
            let remedy = "Write listen = \"127.0.0.1:8421\", or \"main\" for the server's own listener; or leave the section out.";
            section.problem(Problem::new("listen", what, remedy));
            AdminApi::Closed
        }
        Some(MAIN) => AdminApi::Main,
        Some(text) => match places::listen(text) {
            Ok(listen) if !has_tls && !places::is_loopback(listen.ip()) => {
                let what =
                    format!("{listen} can be reached from elsewhere, and whatever passes there would be unencrypted");
                let remedy = "Set [tls], with which this listener speaks TLS as well, or listen on 127.0.0.1.";
                section.problem(Problem::new("listen", what, remedy));
                AdminApi::Closed
            }
            Ok(listen) if places::is_taken(listen, &[main]) => {
                section.problem(places::taken(listen));
                AdminApi::Closed
            }
            Ok(listen) => AdminApi::At(listen),
            Err(Problem { what, .. }) => {
                let remedy = "Write \"127.0.0.1:8421\", or \"main\" for the server's own listener.";
                section.problem(Problem::new("listen", what, remedy));
                AdminApi::Closed
            }
        },
    };
    section.finish(&super::TOP);
    read
}
