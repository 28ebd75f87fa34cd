//! `[http]`, `[tls]`, `trusted_proxies`: what is refused, what is taken, and what listening for others then needs.

use std::net::IpAddr;

use super::*;
use crate::config::http::HttpSettings;
use crate::config::proxies::{ForwardedHeader, Network};
use crate::config::tls::{CertificateFiles, KeyPlace};

const HTTPS: &str = "issuer = \"https://a.example\"\n";

#[test]
fn a_bad_setting_of_the_edge_is_refused_with_its_line_and_remedy() {
    let tls = |more: &str| format!("{HTTPS}[tls]\n{more}");
    for (text, line, key, says) in [
        ("trusted_proxies = [\"0.0.0.0/0\"]".to_owned(), 1, "trusted_proxies", "holds every address"),
        ("trusted_proxies = [\n\"::1\",\n\"::/0\"]".to_owned(), 3, "trusted_proxies", "holds every address"),
        ("trusted_proxies = [\"10.0.0.1/8\"]".to_owned(), 1, "trusted_proxies", "bits are set behind"),
        ("trusted_proxies = [\"10.0.0.0/33\"]".to_owned(), 1, "trusted_proxies", "no number of bits"),
        ("trusted_proxies = [\"10.0.0.0/+8\"]".to_owned(), 1, "trusted_proxies", "no number of bits"),
        ("trusted_proxies = [\"proxy.example\"]".to_owned(), 1, "trusted_proxies", "no IP address"),
        ("trusted_proxies = \"::1\"".to_owned(), 1, "trusted_proxies", "a list of texts"),
        ("forwarded_header = \"x-real-ip\"".to_owned(), 1, "forwarded_header", "no such choice"),
        ("http = 1".to_owned(), 1, "http", "written as [http]"),
        ("[http]\nheader_timeout = 10".to_owned(), 2, "http.header_timeout", "this is a number"),
        ("[http]\nheader_timeout = \"10\"".to_owned(), 2, "http.header_timeout", "no duration"),
        ("[http]\nheader_timeout = \"0\"".to_owned(), 2, "http.header_timeout", "Use 1s to 5m"),
        ("[http]\nmax_headers = \"64\"".to_owned(), 2, "http.max_headers", "a whole number"),
        ("[http]\nmax_headers = 6.4".to_owned(), 2, "http.max_headers", "a whole number"),
        ("[http]\nmax_headers = -1".to_owned(), 2, "http.max_headers", "Use 16 to 1000"),
        ("[http]\nmax_head_size = 100".to_owned(), 2, "http.max_head_size", "Use 8192 to"),
        ("[http]\nmax_header = 64".to_owned(), 2, "http.max_header", "Did you mean \"max_headers\"?"),
        ("[http]\nlisten = \"[::1]:1\"".to_owned(), 2, "http.listen", "belongs to the top of the file"),
        (tls(""), 2, "tls.certificate_file", "no certificate"),
        (tls("certificate_file = \"c.pem\""), 3, "tls.certificate_file", "no key_file"),
        (tls("key_file = \"k.pem\""), 3, "tls.key_file", "no certificate_file"),
        (tls("certificate_file = \"c\"\nkey_file = \"credential:../k\""), 4, "tls.key_file", "no credential"),
        (tls("certificate_file = \"c\"\nkey_file = \"k\"\nkey = \"x\""), 5, "tls.key", "no such setting"),
        ("[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"".to_owned(), 1, "issuer", "there is no issuer"),
        (
            "issuer = \"http://[::1]:1\"\n[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"".to_owned(),
            1,
            "issuer",
            "an http URL",
        ),
    ] {
        refused(&text, line, key, says);
    }
}

#[test]
fn asking_for_certificates_needs_names_consent_and_a_program_that_can() {
    let acme = |more: &str| parse(&format!("{HTTPS}[tls]\nacme_domains = [\"a.example\"]\n{more}"));
    let said =
        |result: Result<Config, ConfigErrors>| result.map_or_else(|errors| errors.to_string(), |_| String::new());
    assert!(said(acme("")).contains("nobody has agreed"));
    for (more, says) in [
        ("acme_contact = [\"me@a.example\"]", "no list of mail addresses"),
        ("acme_directory = \"http://a.example\"", "no https URL"),
        ("certificate_file = \"c\"\nkey_file = \"k\"", "certificate files as well"),
    ] {
        let said = said(acme(&format!("acme_terms_agreed = true\n{more}")));
        assert!(said.contains(says), "{said}");
    }
    let plain = said(acme("acme_terms_agreed = true"));
    assert_eq!(plain.contains("built without ACME"), !cfg!(feature = "acme"), "{plain}");
    let wild = parse(&format!("{HTTPS}[tls]\nacme_domains = [\"*.a.example\"]\nacme_terms_agreed = true"));
    assert!(said(wild).contains("1 to 100 domain names"));
}

#[test]
fn every_choice_of_the_edge_can_be_made() {
    let text = "trusted_proxies = [\"10.0.0.0/8\", \"::1\", \"2001:db8::/32\"]\nforwarded_header = \"forwarded\"\n";
    let tls = "[tls]\ncertificate_file = \"c.pem\"\nkey_file = \"/k.pem\"\n";
    let http = "[http]\nheader_timeout = \"1s\"\nmax_connections = 5\nmax_streams = 7\ndrain_delay = \"0\"\n";
    let config = good(&format!("{HTTPS}listen = \"0.0.0.0:443\"\n{text}{tls}{http}"));
    assert!(config.notices.is_empty(), "TLS is spoken: {:?}", config.notices);
    let key = KeyPlace::File(PathBuf::from("/k.pem"));
    let files = CertificateFiles { certificate: PathBuf::from("/etc/regrant/c.pem"), key };
    assert_eq!(config.tls, Some(TlsSettings::Files(files)));
    assert_eq!(config.http.header_timeout, Duration::from_secs(1));
    assert_eq!((config.http.max_connections(1000), config.http.max_streams), (5, 7));
    assert_eq!(config.http.body_timeout, HttpSettings::default().body_timeout);
    assert_eq!(config.trusted_proxies.header, ForwardedHeader::Forwarded);
    for (address, is_trusted) in [
        ("10.255.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("11.0.0.1", false),
        ("::1", true),
        ("::2", false),
        ("2001:db8:ffff::1", true),
        ("2001:db9::", false),
    ] {
        let parsed: IpAddr = address.parse().expect("an address");
        assert_eq!(config.trusted_proxies.trusts(parsed), is_trusted, "{address}");
    }
    let credential = good(&format!("{HTTPS}[tls]\ncertificate_file = \"c\"\nkey_file = \"credential:tls.key\"\n"));
    let Some(TlsSettings::Files(files)) = credential.tls else { panic!("no files") };
    assert_eq!(files.key, KeyPlace::Credential("tls.key".to_owned()));
}

/// Nobody is trusted unless named, and nothing but loopback is plain without a word about it.
#[test]
fn the_defaults_of_the_edge() {
    let config = good("");
    assert_eq!((&config.http, &config.tls), (&HttpSettings::default(), &None));
    assert!(config.trusted_proxies.networks.is_empty());
    assert!(!config.trusted_proxies.trusts(IpAddr::from([127, 0, 0, 1])));
    assert_eq!([64, 1024, usize::MAX].map(|files| config.http.max_connections(files)), [8, 960, 20_000]);
    let proxied = good(&format!("{HTTPS}listen = \"0.0.0.0:80\"\ntrusted_proxies = [\"10.0.0.1\"]"));
    assert!(proxied.notices.is_empty(), "{:?}", proxied.notices);
    assert!(good(&format!("{HTTPS}listen = \"0.0.0.0:80\"")).notices[0].contains("trusted_proxies"));
}

#[test]
fn a_network_is_the_same_for_all_of_its_addresses() {
    let network = |address: &str| Network::around(address.parse().expect("an address"), 32, 64);
    assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
    assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
}

#[test]
fn new_files_are_taken_up_and_tls_itself_waits_for_a_restart() {
    let tls = |name: &str| good(&format!("{HTTPS}[tls]\ncertificate_file = \"{name}\"\nkey_file = \"k\""));
    let mut new = tls("new.pem");
    assert!(new.keep_what_needs_a_restart(&tls("old.pem")).is_empty());
    assert_eq!(new, tls("new.pem"));
    let mut without = good(HTTPS);
    assert_eq!(without.keep_what_needs_a_restart(&tls("old.pem")), ["tls"]);
    assert_eq!(without.tls, tls("old.pem").tls);
    let mut more = good("[http]\nmax_connections = 9\nheader_timeout = \"2s\"");
    assert_eq!(more.keep_what_needs_a_restart(&good("")), ["http.max_connections"]);
    assert_eq!((more.http.connections, more.http.header_timeout), (None, Duration::from_secs(2)));
}

#[test]
fn the_example_names_every_limit() {
    let example = example::with_everything_set();
    let section = example.split("\n[http]\n").nth(1).and_then(|rest| rest.split("\n[").next()).expect("[http]");
    let example = good(&format!("[http]\n{section}")).http;
    let usual = HttpSettings { connections: Some(http::DEFAULT_MAX_CONNECTIONS), ..HttpSettings::default() };
    assert_eq!(example, usual, "the example shows the defaults");
    let debug = format!("{usual:?}").replace("connections: Some", "max_connections: Some");
    for word in debug.split([' ', '{', ',']).filter_map(|word| word.strip_suffix(':')) {
        assert!(example::example(Path::new("")).contains(&format!("\n#{word} = ")), "{word} is not in the example");
    }
}
