//! The edge: connections, TLS, limits, proxies, and how the server ends, over real sockets with raw bytes where no library would send
//! them. Time-outs are the shortest that can be set, and are waited for by what the server does.

mod edge {
    pub(crate) mod support;

    #[cfg(feature = "acme")]
    mod acme;
    mod drain;
    mod files;
    mod heads;
    mod http2;
    mod proxies;
    mod sizes;
    mod slow;
    mod systemd;
    mod times;
    mod tls;
}
