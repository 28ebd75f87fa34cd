//! Redirect URIs: RFC 6749 section 3.1.2, RFC 9700 section 2.1, RFC 8252 section 7.3.
//!
//! RFC 9700 section 2.1: "authorization servers MUST utilize exact string matching except for port numbers in localhost
//! redirection URIs of native apps". No parser stands between the stored string and the comparison: equal bytes or refused.
//! The one exception is a shape that we spell out: `http://127.0.0.1` or `http://[::1]`, a port, the rest byte for byte.

/// The longest redirect URI, in bytes.
pub const MAX_LEN: usize = 2048;

/// Why a URI cannot be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadRedirectUri {
    /// Longer than [`MAX_LEN`].
    TooLong,
    /// A character that a URI cannot hold, or one that parsers read differently (a backslash, say).
    ForeignCharacter,
    /// Not absolute.
    NotAbsolute,
    /// RFC 6749 section 3.1.2: "The endpoint URI MUST NOT include a fragment component."
    Fragment,
    /// Plain `http` elsewhere than on the loopback interface by its number, or on `localhost`.
    PlainHttp,
    /// A scheme that browsers run or show (`javascript`, `data` …), or a private-use scheme without a dot (RFC 8252 section 7.1).
    Scheme,
    /// User information before the host.
    UserInfo,
    /// `http` or `https` without a host.
    NoHost,
}

/// Whether a URI may be registered for a client.
///
/// # Errors
/// What is wrong with it.
pub fn check(uri: &str) -> Result<(), BadRedirectUri> {
    if uri.len() > MAX_LEN {
        return Err(BadRedirectUri::TooLong);
    }
    if !uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        return Err(BadRedirectUri::ForeignCharacter);
    }
    if uri.contains('#') {
        return Err(BadRedirectUri::Fragment);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(BadRedirectUri::NotAbsolute)?;
    match scheme {
        "https" | "http" => {
            let authority = rest.strip_prefix("//").ok_or(BadRedirectUri::NotAbsolute)?;
            let authority = authority.split(['/', '?']).next().unwrap_or_default();
            if authority.contains('@') {
                return Err(BadRedirectUri::UserInfo);
            }
            // Nothing that parsers read differently, and nothing that could end a directive of a Content-Security-Policy.
            if !authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte)) {
                return Err(BadRedirectUri::ForeignCharacter);
            }
            if authority.is_empty() || authority.starts_with(':') {
                return Err(BadRedirectUri::NoHost);
            }
            if scheme == "http" && !is_local(authority) {
                return Err(BadRedirectUri::PlainHttp);
            }
            Ok(())
        }
        // RFC 8252 section 7.1: a private-use scheme is a reversed domain name, so it has a dot.
        private if private.contains('.') && is_scheme(private) && !rest.is_empty() => Ok(()),
        other if is_scheme(other) => Err(BadRedirectUri::Scheme),
        _ => Err(BadRedirectUri::NotAbsolute),
    }
}

/// Which registered URI the presented one matches: the same bytes, or a registered loopback URI with another port.
#[must_use]
pub fn matches<'a>(presented: &str, registered: impl IntoIterator<Item = &'a str>) -> bool {
    let loopback = Loopback::read(presented);
    registered.into_iter().any(|known| {
        known == presented || loopback.as_ref().is_some_and(|this| Loopback::read(known).as_ref() == Some(this))
    })
}

/// The part of a redirect URI that people should see before they consent: host and port, or the private-use scheme.
#[must_use]
pub fn shown(uri: &str) -> &str {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return uri;
    };
    match rest.strip_prefix("//") {
        Some(authority) if is_web(scheme) => authority.split(['/', '?']).next().unwrap_or(scheme),
        Some(_) | None => scheme,
    }
}

/// Whether a browser goes there itself. What is merely named like it (`https.evil.app`) is a private-use scheme.
#[must_use]
pub fn is_web(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

fn is_local(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { authority }
    });
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// RFC 8252 section 7.3: "The authorization server MUST allow any port to be specified at the time of the request for
/// loopback IP redirect URIs". `localhost` is a name and no such URI (section 8.3).
#[derive(PartialEq, Eq)]
struct Loopback<'a> {
    host: &'a str,
    path: &'a str,
}

impl<'a> Loopback<'a> {
    fn read(uri: &'a str) -> Option<Self> {
        let rest = uri.strip_prefix("http://")?;
        let (host, rest) = ["127.0.0.1", "[::1]"].iter().find_map(|host| Some((*host, rest.strip_prefix(host)?)))?;
        let path = match rest.strip_prefix(':') {
            None => rest,
            Some(rest) => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                rest[..digits].parse::<u16>().ok().filter(|port| *port != 0)?;
                &rest[digits..]
            }
        };
        (path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
            .then_some(Self { host, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check R2.
    #[test]
    fn only_the_port_of_a_loopback_uri_may_differ() {
        let registered = ["http://127.0.0.1/cb", "http://[::1]:1/cb"];
        for same in ["http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", "http://[::1]/cb", "http://[::1]:65535/cb"] {
            assert!(matches(same, registered), "{same}");
        }
        for other in [
            "http://localhost/cb",
            "http://127.0.0.1:49152/cb/",
            "http://127.0.0.1:49152/CB",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:8a/cb",
            "http://127.0.0.1:80@evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1:1/cb#f",
            "https://127.0.0.1:1/cb",
            "http://127.0.0.2/cb",
            "HTTP://127.0.0.1/cb",
            "http://127.0.0.1",
            "http://127.0.0.1:99",
        ] {
            assert!(!matches(other, registered), "{other}");
        }
    }

    /// What could not be registered is matched by its bytes, if at all: no port of it is free.
    #[test]
    fn no_port_is_free_where_no_path_follows_or_more_than_one() {
        for (registered, other) in [
            ("http://127.0.0.1?x", "http://127.0.0.1:9?x"),
            ("http://127.0.0.1/cb#f", "http://127.0.0.1:9/cb#f"),
            ("http://127.0.0.1/c b", "http://127.0.0.1:9/c b"),
        ] {
            assert!(!matches(other, [registered]), "{other}");
        }
    }

    #[test]
    fn a_redirect_uri_has_a_greatest_length() {
        let long = |len: usize| format!("https://app.example/{}", "a".repeat(len - "https://app.example/".len()));
        assert_eq!(check(&long(MAX_LEN)), Ok(()));
        assert_eq!(check(&long(MAX_LEN + 1)), Err(BadRedirectUri::TooLong));
    }

    /// Checks R4, R5.
    #[test]
    fn what_may_be_registered() {
        for good in [
            "https://app.example/cb",
            "https://app.example",
            "http://localhost:3000/cb",
            "http://[::1]/",
            "com.example.app:/cb",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("https://app.example/cb#f", BadRedirectUri::Fragment),
            ("http://app.example/cb", BadRedirectUri::PlainHttp),
            ("http://localhost.evil.example/", BadRedirectUri::PlainHttp),
            ("https://u@app.example/", BadRedirectUri::UserInfo),
            ("https://app.example\\@evil.example/", BadRedirectUri::ForeignCharacter),
            ("https://app.example;script-src/", BadRedirectUri::ForeignCharacter),
            ("https://app%2eexample/", BadRedirectUri::ForeignCharacter),
            ("javascript:alert(1)", BadRedirectUri::Scheme),
            ("data:text/html,x", BadRedirectUri::Scheme),
            ("myapp:/cb", BadRedirectUri::Scheme),
            ("JavaScript:alert(1)", BadRedirectUri::NotAbsolute),
            ("1.example:/cb", BadRedirectUri::NotAbsolute),
            ("https:///cb", BadRedirectUri::NoHost),
            ("/cb", BadRedirectUri::NotAbsolute),
            ("https://a b/", BadRedirectUri::ForeignCharacter),
            ("https://ä.example/", BadRedirectUri::ForeignCharacter),
            ("", BadRedirectUri::NotAbsolute),
        ] {
            assert_eq!(check(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn people_are_shown_where_the_answer_goes() {
        assert_eq!(shown("https://app.example:8443/cb?x"), "app.example:8443");
        assert_eq!(shown("com.example.app:/cb"), "com.example.app");
        assert_eq!(shown("com.example.app://bank.example/cb"), "com.example.app");
        assert_eq!(
            shown("https.evil.app://accounts.example/cb"),
            "https.evil.app",
            "a scheme that is named like another"
        );
    }
}
