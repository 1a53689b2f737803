//! Where the box listens, and how others learn of it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use tokio::net::{TcpListener, UnixListener};

use crate::{config::Config, net};

/// At this address, which stands in the configuration under `key`.
pub(super) fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    net::listen(address).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; hint: another program has that port: stop it",
            io::ErrorKind::PermissionDenied => "; hint: ports below 1024 are root's: become root",
            io::ErrorKind::AddrNotAvailable => "; hint: this box has no such address: take one it has",
            _ => "",
        };
        let or = match hint {
            "" => "; hint: choose",
            _ => ", or choose",
        };
        anyhow::anyhow!("cannot listen on {address} ({key}): {error}{hint}{or} another with --set {key}=ADDRESS:PORT")
    })
}

/// The control socket, for root and the daemon's own user. We hold the state folder's lock, so one that lies there is a dead daemon's.
pub(super) fn listen_locally(state: &Path) -> io::Result<UnixListener> {
    let path = state.join("control.sock");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // By way of the folder's descriptor: a socket's path is short, a state folder's need not be.
    let folder = fs::File::open(state)?;
    let short = format!(
        "/proc/self/fd/{}/control.sock",
        std::os::fd::AsRawFd::as_raw_fd(&folder)
    );
    let socket = UnixListener::bind(short)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// `endpoints.json`: whole or not at all, so that whoever waits for it can read it.
pub(super) fn publish(state: &Path, endpoints: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let (part, whole) = (
        state.join("endpoints.json.part"),
        state.join("endpoints.json"),
    );
    fs::write(&part, serde_json::to_vec_pretty(endpoints)?)
        .and_then(|()| fs::rename(&part, &whole))
        .with_context(|| format!("cannot write {}", whole.display()))
}

/// What an administrator wants to see first. The set-up link is told here alone, and never logged.
pub(super) fn greet(config: &Config, endpoints: &BTreeMap<String, String>, token: Option<&str>) {
    let base = reachable(&endpoints["http.listen"]);
    let mut text = format!(
        "Longhouse {}\n  state    {}\n  http     http://{base}\n  admin    http://{}\n  voice    {}\n  lobby    {}\n",
        env!("CARGO_PKG_VERSION"),
        config.state.display(),
        endpoints["admin.listen"],
        reachable(&endpoints["voice.listen"]),
        reachable(&endpoints["lobby.listen"]),
    );
    if let Some(token) = token {
        text += &format!("  set-up   http://{base}/setup?token={token}   (once)\n");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok(); // nobody reads it: then nobody needs it
}

/// An address that others can type: that of the first network card when we listen on all of them.
pub(super) fn reachable(bound: &str) -> String {
    let Ok(address) = bound.parse::<SocketAddr>() else {
        return bound.into();
    };
    if !address.ip().is_unspecified() {
        return bound.into();
    }
    let card = getifaddrs().ok().and_then(|mut cards| {
        cards.find_map(|card| {
            let up = card.flags.contains(InterfaceFlags::IFF_UP);
            let loopback = card.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            let address = card.address?.as_sockaddr_in()?.ip();
            (up && !loopback).then_some(address)
        })
    });
    let host = card.unwrap_or(Ipv4Addr::LOCALHOST);
    SocketAddr::new(IpAddr::V4(host), address.port()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_key_and_what_to_do() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = holder.local_addr().unwrap();
        let error = listen(address, "http.listen").unwrap_err().to_string();
        for part in [&address.to_string(), "http.listen", "hint:", "--set"] {
            assert!(error.contains(part), "{part} is missing from {error}");
        }
    }

    #[test]
    fn an_address_to_type_is_never_the_unspecified_one() {
        assert_eq!(reachable("127.0.0.1:80"), "127.0.0.1:80");
        assert!(!reachable("0.0.0.0:80").starts_with("0.0.0.0"));
    }
}
