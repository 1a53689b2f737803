//! Where a lobby is, and how one comes in: within TLS where another machine may listen.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use super::{
    super::{print::note, text},
    PlayError,
    lobby::Lobby,
    trust::{self, Fingerprint},
};

/// Where lobbies listen when nothing else is said.
const PORT: u16 = 5688;

/// The way into one lobby.
#[derive(Debug, Clone)]
pub(super) struct Door {
    address: String,
    cover: Cover,
    /// Who was behind it the last time that this program came in.
    met: Option<Fingerprint>,
}

/// Who else may listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// Nobody: it is this machine's.
    NotNeeded,
    /// Anybody, and it is all the same to the user.
    NotWanted,
    /// Anybody.
    Wanted,
}

impl Door {
    /// That of the box with this state folder.
    pub(super) fn of_box(state: &Path) -> Result<Self, PlayError> {
        Ok(Self {
            address: of_box(state)?,
            cover: Cover::NotNeeded,
            met: None,
        })
    }

    /// The one with this address; `plain`: without TLS.
    pub(super) fn at(address: &str, plain: bool) -> Self {
        Self {
            address: with_port(address),
            cover: if plain {
                Cover::NotWanted
            } else {
                Cover::Wanted
            },
            met: None,
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What has to be typed to come to it.
    pub(super) fn option(&self) -> String {
        let address = text::plain(&self.address);
        match self.cover {
            Cover::NotNeeded => String::new(),
            Cover::NotWanted => format!(" --server {address} --plain"),
            Cover::Wanted => format!(" --server {address}"),
        }
    }

    /// Comes in as far as the login; with a `secret` that is to be said there, not in clear.
    pub(super) async fn enter(&mut self, secret: bool) -> Result<Lobby, PlayError> {
        let address = || self.address.clone();
        let (lobby, hello) = Lobby::connect(&self.address).await?;
        if hello.full {
            return Err(PlayError::Full(address()));
        }
        match (self.cover, hello.tls) {
            (Cover::Wanted, true) => {}
            (Cover::Wanted, false) if secret => return Err(PlayError::Clear(address())),
            (Cover::Wanted, false) if self.known(trust::file().as_deref())?.is_some() => {
                return Err(PlayError::Uncovered(address()));
            }
            _ => return Ok(lobby.plain()),
        }
        let mut shown = None;
        let cover = async |stream| {
            let (stream, print) = trust::cover(stream).await?;
            shown = Some(print);
            Ok(stream)
        };
        let lobby = lobby.covered(cover).await?;
        let shown = shown.expect("who covers it shows who they are");
        self.check(&shown)?;
        self.met = Some(shown);
        Ok(lobby)
    }

    /// Who was behind it whenever there was TLS before, by what this program has seen, or by what `file` says.
    fn known(&self, file: Option<&Path>) -> Result<Option<Fingerprint>, PlayError> {
        match (&self.met, file) {
            (Some(met), _) => Ok(Some(met.clone())),
            (None, None) => Ok(None),
            (None, Some(file)) => {
                trust::recall(file, &self.address).map_err(|source| PlayError::Forgotten {
                    file: file.into(),
                    source,
                })
            }
        }
    }

    /// Whether it is the box that it always was; what is new is remembered, and told.
    fn check(&self, shown: &Fingerprint) -> Result<(), PlayError> {
        let file = trust::file();
        match self.known(file.as_deref())? {
            Some(known) if known == *shown => return Ok(()),
            Some(known) => {
                return Err(PlayError::Changed {
                    address: self.address.clone(),
                    known,
                    shown: shown.clone(),
                    file,
                });
            }
            None => {}
        }
        let place = text::plain(&self.address);
        note(&format!("new here: the lobby at {place} is {shown}"));
        let kept = file.map(|file| (trust::remember(&file, &self.address, shown), file));
        match kept {
            Some((Ok(()), file)) => note(&format!("remembered in {}", file.display())),
            Some((Err(error), file)) => {
                note(&format!(
                    "cannot be remembered in {}: {error}",
                    file.display()
                ));
            }
            None => note("cannot be remembered: neither XDG_STATE_HOME nor HOME is a folder"),
        }
        Ok(())
    }
}

fn with_port(address: &str) -> String {
    let bare = address.parse::<Ipv6Addr>().is_ok();
    let ends_in_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (bare, ends_in_port) {
        (true, _) => format!("[{address}]:{PORT}"),
        (false, true) => address.into(),
        (false, false) => format!("{address}:{PORT}"),
    }
}

/// Where the box of this state folder listens.
fn of_box(state: &Path) -> Result<String, PlayError> {
    let unknown = || PlayError::NoBox(state.into());
    let endpoints = fs::read(state.join("endpoints.json")).map_err(|_| unknown())?;
    let endpoints: BTreeMap<String, String> =
        serde_json::from_slice(&endpoints).map_err(|_| unknown())?;
    let listens = endpoints.get("lobby.listen").ok_or_else(unknown)?;
    let mut address: SocketAddr = listens.parse().map_err(|_| unknown())?;
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn a_lobby_that_is_known_by_its_tls_is_not_spoken_to_without() {
        let lobby = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = lobby.local_addr().unwrap().to_string();
        let enter = async |door: &mut Door| {
            let greet = async {
                let (mut stream, _) = lobby.accept().await.unwrap();
                let greeting = "<SESSION><SERVER ID='GGZ-0.0.14' NAME='box' VERSION='10' STATUS='ok' \
                                TLS_SUPPORT='no'><OPTIONS CHATLEN='255'/></SERVER>";
                stream.write_all(greeting.as_bytes()).await.unwrap();
                stream
            };
            tokio::join!(door.enter(false), greet).0.map(drop)
        };
        let mut door = Door::at(&address, false);
        enter(&mut door).await.unwrap();

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lobbies");
        assert_eq!(door.known(Some(&file)).unwrap(), None);
        fs::write(&file, format!("{address} SHA256:of-its-authority\n")).unwrap();
        door.met = door.known(Some(&file)).unwrap();
        let refused = enter(&mut door).await.unwrap_err();
        assert!(matches!(&refused, PlayError::Uncovered(at) if *at == address));
        assert!(refused.hint().unwrap().contains("--plain"));

        let mut plain = Door::at(&address, true);
        plain.met = door.met.clone();
        enter(&mut plain).await.unwrap();
    }

    #[test]
    fn a_server_without_a_port_has_the_lobbys() {
        for (given, address) in [
            ("box.example.org", "box.example.org:5688"),
            ("192.0.2.7:99", "192.0.2.7:99"),
            ("::1", "[::1]:5688"),
            ("[::1]:99", "[::1]:99"),
            ("[::1]", "[::1]:5688"),
        ] {
            assert_eq!(with_port(given), address);
        }
    }

    #[test]
    fn a_box_that_listens_everywhere_is_reached_at_home() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(of_box(folder.path()), Err(PlayError::NoBox(_))));
        for (listens, address) in [
            ("0.0.0.0:7", "127.0.0.1:7"),
            ("[::]:7", "[::1]:7"),
            ("192.0.2.7:7", "192.0.2.7:7"),
        ] {
            let endpoints = format!("{{\"lobby.listen\":\"{listens}\"}}");
            fs::write(folder.path().join("endpoints.json"), endpoints).unwrap();
            assert_eq!(of_box(folder.path()).unwrap(), address);
        }
    }
}
