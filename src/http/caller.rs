//! Who asks, and whether a browser was made to ask by another site.
//!
//! ```text
//!  Authorization: Bearer …  ─► session or token         the control socket, without the header
//!  Authorization: Basic …   ─► name and password          ─► root, or who runs the daemon
//!  Cookie: longhouse_session=… ─► session; changes and WebSockets only from a page of this box
//! ```
//!
//! Browsers send cookies and remembered Basic credentials by themselves, so for those the request's origin decides;
//! a bearer token is only ever sent by who holds it.

use std::time::Duration;

use data_encoding::BASE64;
use nix::unistd::{Uid, User};
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{
    Peer,
    problem::{Code, Fault},
};
use crate::{
    accounts::{Accounts, Caller, Principal, Secret},
    audit::Door,
};

/// The session cookie's name.
pub(crate) const COOKIE: &str = "longhouse_session";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request shows to prove who asks; kept by WebSockets, which prove it again from time to time.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// The kernel vouches for a process of this box.
    Local { uid: u32 },
    /// A browser's session.
    Cookie(String),
    /// A session or token that its holder sent on purpose.
    Bearer(String),
    /// A name and a password.
    Basic(String, Secret),
}

/// Where the page that asks comes from, as the browser says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Same,
    Foreign,
    Unsaid,
}

impl Proof {
    /// What `headers` show. A header that is there but makes no sense is refused, never ignored.
    pub(crate) fn of(peer: Peer, headers: &HeaderMap) -> Result<Self, Fault> {
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            return authorization(shown).ok_or_else(|| {
                let detail = "the authorization header is neither `Bearer TOKEN` nor `Basic …`";
                Fault::new(Code::Unauthenticated, detail)
            });
        }
        Ok(match (cookie(headers), peer) {
            (Some(session), _) => Self::Cookie(session),
            (None, Peer::Local { uid, .. }) => Self::Local { uid },
            (None, Peer::Tcp(_)) => Self::None,
        })
    }

    /// Refuses what another site made a browser send. `changes` is true for WebSockets too.
    pub(crate) fn same_site(&self, headers: &HeaderMap, changes: bool) -> Result<(), Fault> {
        let refused = |detail: &str| Err(Fault::new(Code::CrossSite, detail));
        match (self, origin(headers)) {
            _ if !changes => Ok(()),
            (Self::Bearer(_), _) | (_, Origin::Same) => Ok(()),
            (_, Origin::Foreign) => refused("a page of another site may not ask that"),
            (Self::Cookie(_), Origin::Unsaid) => refused(
                "with a session cookie, the request must say where it comes from (`Origin` or \
                 `Sec-Fetch-Site`); programs send the token as `Authorization: Bearer` instead",
            ),
            (_, Origin::Unsaid) => Ok(()),
        }
    }

    /// Whom it proves.
    pub(crate) async fn principal(
        &self,
        accounts: &Accounts,
        peer: Peer,
    ) -> Result<Principal, Fault> {
        let caller = caller(peer);
        Ok(match self {
            Self::None => {
                let detail = "log in first, or send a token as `Authorization: Bearer`";
                return Err(Fault::new(Code::Unauthenticated, detail));
            }
            Self::Local { uid } => Accounts::local(*uid, user(*uid)),
            Self::Cookie(token) | Self::Bearer(token) => accounts.by_token(&caller, token).await?,
            Self::Basic(name, password) => accounts.by_password(&caller, name, password).await?,
        })
    }

    /// The session's secret, where one was shown.
    pub(crate) fn session(&self) -> Option<&str> {
        match self {
            Self::Cookie(token) | Self::Bearer(token) => Some(token),
            _ => None,
        }
    }
}

/// The door and the address.
pub(crate) fn caller(peer: Peer) -> Caller {
    match peer {
        Peer::Tcp(address) => Caller {
            door: Door::Web,
            from: Some(address.ip().to_canonical()),
        },
        Peer::Local { .. } => Caller {
            door: Door::Control,
            from: None,
        },
    }
}

/// Whether a method changes something.
pub(crate) fn changes(method: &Method) -> bool {
    !method.is_safe()
}

/// The header that gives a browser its session. `Secure` when the page was fetched by TLS (from a proxy, so far).
pub(crate) fn keep(token: &str, life: Duration, headers: &HeaderMap) -> HeaderValue {
    let tls = headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if tls { "; Secure" } else { "" };
    let seconds = life.as_secs();
    format!("{COOKIE}={token}; HttpOnly; SameSite=Lax; Path=/; Max-Age={seconds}{secure}")
        .try_into()
        .expect("tokens are printable ASCII")
}

/// The header that takes it back.
pub(crate) fn forget() -> HeaderValue {
    HeaderValue::from_static("longhouse_session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0")
}

fn authorization(shown: &HeaderValue) -> Option<Proof> {
    let (scheme, rest) = shown.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| Proof::Bearer(rest.into()));
    }
    let clear = BASE64.decode(rest.as_bytes()).ok()?;
    let clear = String::from_utf8(clear).ok()?;
    let (name, password) = clear.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| Proof::Basic(name.into(), Secret::new(password)))
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let mut pairs = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then(|| value.into())
    })
}

/// By `Origin` against `Host`, which every browser sends with what matters, also without TLS; else by `Sec-Fetch-Site`.
fn origin(headers: &HeaderMap) -> Origin {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let same = match (text(header::ORIGIN), text(SEC_FETCH_SITE)) {
        (Some(origin), _) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            match (authority, text(header::HOST)) {
                (Some(theirs), Some(ours)) => theirs.eq_ignore_ascii_case(ours),
                _ => false,
            }
        }
        (None, Some(site)) => site == "same-origin",
        (None, None) => return Origin::Unsaid,
    };
    if same { Origin::Same } else { Origin::Foreign }
}

fn user(uid: u32) -> String {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    known.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: Peer = Peer::Tcp(std::net::SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        9,
    ));

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn site(proof: &Proof, lines: &[(&'static str, &str)]) -> Option<Code> {
        let outcome = proof.same_site(&headers(lines), true);
        outcome.err().map(|fault| fault.code)
    }

    #[test]
    fn the_header_wins_over_the_cookie_and_the_cookie_over_the_socket() {
        let local = Peer::Local { uid: 0, pid: None };
        let both = headers(&[
            ("authorization", "bearer abc"),
            ("cookie", "a=b; longhouse_session=xyz"),
        ]);
        assert!(matches!(Proof::of(local, &both), Ok(Proof::Bearer(token)) if token == "abc"));
        let cookie = headers(&[("cookie", "a=b; longhouse_session=xyz")]);
        assert!(matches!(Proof::of(local, &cookie), Ok(Proof::Cookie(token)) if token == "xyz"));
        let none = HeaderMap::new();
        assert!(matches!(
            Proof::of(local, &none),
            Ok(Proof::Local { uid: 0 })
        ));
        assert!(matches!(Proof::of(TCP, &none), Ok(Proof::None)));
    }

    #[test]
    fn basic_credentials_keep_colons_in_passwords_and_nonsense_is_refused() {
        let basic = |clear: &str| format!("Basic {}", BASE64.encode(clear.as_bytes()));
        let ada = headers(&[("authorization", &basic("ada:pa:ss"))]);
        assert!(matches!(Proof::of(TCP, &ada), Ok(Proof::Basic(name, _)) if name == "ada"));
        for nonsense in [
            "Basic %%%",
            "Bearer ",
            "Digest abc",
            "x",
            &basic("no colon"),
        ] {
            let fault = Proof::of(TCP, &headers(&[("authorization", nonsense)])).unwrap_err();
            assert_eq!(fault.code, Code::Unauthenticated, "{nonsense}");
        }
    }

    #[test]
    fn another_sites_page_cannot_use_what_a_browser_sends_by_itself() {
        let cookie = Proof::Cookie("x".into());
        let basic = Proof::Basic("ada".into(), Secret::new("x"));
        let bearer = Proof::Bearer("x".into());
        let foreign = [("host", "box:8080"), ("origin", "http://evil.example")];
        let port = [("host", "box:8080"), ("origin", "http://box:8081")];
        let null = [("host", "box:8080"), ("origin", "null")];
        for lines in [&foreign, &port, &null] {
            assert_eq!(site(&cookie, lines), Some(Code::CrossSite));
            assert_eq!(site(&basic, lines), Some(Code::CrossSite));
            assert_eq!(site(&Proof::None, lines), Some(Code::CrossSite));
            assert_eq!(site(&bearer, lines), None);
        }
        let ours = [("host", "Box:8080"), ("origin", "http://box:8080")];
        assert_eq!(site(&cookie, &ours), None);
        assert_eq!(site(&cookie, &[("sec-fetch-site", "same-origin")]), None);
        assert_eq!(
            site(&cookie, &[("sec-fetch-site", "same-site")]),
            Some(Code::CrossSite)
        );
        assert_eq!(site(&cookie, &[]), Some(Code::CrossSite));
        assert_eq!(site(&basic, &[]), None);
        assert!(cookie.same_site(&headers(&foreign), false).is_ok());
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_secure_behind_tls() {
        let plain = keep("abc", Duration::from_secs(60), &HeaderMap::new());
        assert_eq!(
            plain,
            "longhouse_session=abc; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"
        );
        let tls = headers(&[("origin", "https://box")]);
        let secure = keep("abc", Duration::from_secs(60), &tls);
        assert!(secure.to_str().unwrap().ends_with("; Secure"));
    }
}
