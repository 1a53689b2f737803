//! Where a browser may be sent once something is done: to the box itself, and to hosts that an administrator
//! named (`http.redirects`). Pure.
//!
//! What the box sends people to, they trust as they trust the box: without this check every link to it could end
//! at a stranger's page.

use std::str::FromStr;

use url::{Host, Url};

/// Bytes of a target, at most. Browsers and proxies take no more either.
const LONGEST: usize = 2048;

/// A host that people may be sent to, on one port or on any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: Host<String>,
    port: Option<u16>,
}

impl FromStr for Place {
    type Err = String;

    /// `example.org`, `example.org:8080`, `[2001:db8::1]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOST or HOST:PORT like example.org");
        let plain = |c: char| c.is_alphanumeric() || "-.:[]".contains(c);
        if text.is_empty() || !text.chars().all(plain) {
            return Err(wrong());
        }
        let url = Url::parse(&format!("http://{text}/")).map_err(|_| wrong())?;
        let host = url.host().ok_or_else(wrong)?.to_owned();
        // The URL forgets a port that is http's own.
        let bare = text.rsplit_once(']').map_or(text, |(_, rest)| rest);
        let port = match bare.rsplit_once(':') {
            Some((_, port)) => Some(port.parse().map_err(|_| wrong())?),
            None => None,
        };
        Ok(Self { host, port })
    }
}

/// Why a browser is not sent there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It is no address of a page.
    #[error("`{0}` is no http or https address")]
    NoAddress(String),
    /// It is a page of somebody else's.
    #[error("people are not sent to {0}: it is neither this box nor one of `http.redirects`")]
    Elsewhere(String),
}

/// Knows where people may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirects {
    base: Url,
    places: Vec<Place>,
}

impl Redirects {
    /// To the box, which people know as `base`, and to `places`.
    pub fn new(base: Url, places: Vec<Place>) -> Self {
        Self { base, places }
    }

    /// The same where a browser reached the box as `host`: that is the box too, whatever it is called there.
    pub fn reached_as(&self, host: &str) -> Self {
        let mut known = self.clone();
        let mut base = self.base.clone();
        let (name, port) = match host.parse::<Place>() {
            Ok(Place { host, port }) => (host.to_string(), port),
            Err(_) => return known,
        };
        if base.set_host(Some(&name)).is_ok() && base.set_port(port).is_ok() {
            known.places.extend(self.base.host().map(|host| Place {
                host: host.to_owned(),
                port: self.base.port_or_known_default(),
            }));
            known.base = base;
        }
        known
    }

    /// The target as it may go into a `Location`. What has no host is a page of the box.
    pub fn check(&self, target: &str) -> Result<Url, RedirectError> {
        let none = || RedirectError::NoAddress(target.escape_debug().take(100).collect());
        if target.len() > LONGEST {
            return Err(none());
        }
        let url = self.base.join(target).map_err(|_| none())?;
        let host = url.host().ok_or_else(none)?.to_owned();
        // A name before the host is there to be taken for the host.
        let plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(none());
        }
        let port = url.port_or_known_default();
        let named =
            |place: &Place| place.host == host && (place.port.is_none() || place.port == port);
        if url.origin() == self.base.origin() || self.places.iter().any(named) {
            Ok(url)
        } else {
            Err(RedirectError::Elsewhere(host.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redirects() -> Redirects {
        let base = Url::parse("http://box.example:8080/").unwrap();
        let places = ["friends.example", "Panel.example:8443", "[2001:db8::1]"];
        Redirects::new(base, places.map(|place| place.parse().unwrap()).into())
    }

    #[test]
    fn people_are_sent_to_the_box_and_to_named_hosts() {
        for (target, is) in [
            ("/panel?a=b#c", "http://box.example:8080/panel?a=b#c"),
            ("panel", "http://box.example:8080/panel"),
            ("http://BOX.example:8080/", "http://box.example:8080/"),
            ("https://friends.example:1/x", "https://friends.example:1/x"),
            ("https://panel.example:8443/", "https://panel.example:8443/"),
            ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
            (
                "/a\r\nSet-Cookie: b",
                "http://box.example:8080/aSet-Cookie:%20b",
            ),
        ] {
            assert_eq!(redirects().check(target).unwrap().as_str(), is);
        }
    }

    #[test]
    fn the_box_is_also_what_a_browser_reached_it_as() {
        let reached = redirects().reached_as("10.0.0.2:8080");
        for target in ["http://10.0.0.2:8080/a", "http://box.example:8080/a"] {
            assert_eq!(reached.check(target).unwrap().as_str(), target);
        }
        assert_eq!(
            reached.check("/a").unwrap().as_str(),
            "http://10.0.0.2:8080/a"
        );
        assert!(redirects().check("http://10.0.0.2:8080/a").is_err());
        for host in ["", "a b", "a/../b", "evil@box"] {
            assert_eq!(redirects().reached_as(host), redirects());
        }
    }

    #[test]
    fn people_are_sent_nowhere_else() {
        for target in [
            "http://evil.example/",
            "//evil.example/",
            "\\\\evil.example/",
            "/\\evil.example/",
            "http:/\\evil.example",
            "http://box.example/",
            "https://box.example:8080/",
            "https://panel.example/",
            "http://friends.example.evil.example/",
            "http://friends.example@evil.example/",
            "http://evil.example#@friends.example/",
            "http://u:p@friends.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://friends.example/",
            "file:///etc/passwd",
            "http://",
        ] {
            assert!(redirects().check(target).is_err(), "{target:?}");
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        assert!(redirects().check(&long).is_err());
    }

    #[test]
    fn a_place_is_a_host_with_or_without_a_port() {
        for bad in [
            "", "a b", "http://a", "a/b", "a:b", "a:99999", "u@a", "*", "a,b",
        ] {
            assert!(bad.parse::<Place>().is_err(), "{bad:?}");
        }
        let place: Place = "a.example:80".parse().unwrap();
        assert_eq!(place.port, Some(80));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_ends_at_a_known_host(target in "(https?:|//|/|\\\\|@|evil|friends[.]example|[.]|:|[a-z]|\r\n){0,8}") {
            if let Ok(url) = redirects().check(&target) {
                let host = url.host_str().unwrap();
                prop_assert!(["box.example", "friends.example", "panel.example", "[2001:db8::1]"].contains(&host));
                prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
