//! What goes on beside the conversations: saved games are taken up, files are watched, the box is announced.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    Lobby, RECENT, definition,
    ledger::Savegame,
    meta::{self, Directory, Target, Verdict},
};
use crate::{
    accounts::{AccountsError, Caller, Secret, Subject, Verb},
    audit::Door,
    clock::UnixMillis,
    discovery,
};

/// Of the tables that a box may have, this share may be taken by games that go on by themselves.
const SHARE: usize = 4;
/// How long the local network may take to be told that we are gone.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(2);

impl Lobby {
    /// Games that were going on when the box stopped go on, each with the last that it saved, if its game allows it. A
    /// table that had ended before is nobody's wish any more.
    pub(super) async fn take_up(&self, tables: usize) {
        let now = UnixMillis::now();
        let mut saved = self.ledger.savegames(None);
        saved.sort_by_key(|savegame| std::cmp::Reverse(savegame.when));
        let mut seen = HashSet::new();
        let lasts = |savegame: &Savegame| {
            let definitions = self.definitions();
            let mut games = definitions.games.iter();
            let game = games.find(|game| game.name == savegame.game);
            let restores = game.is_some_and(|game| game.restore);
            restores && !savegame.left && now.since(savegame.when) < RECENT
        };
        let newest: Vec<_> = saved
            .into_iter()
            .filter(|one| seen.insert(one.sitting.clone()) && lasts(one))
            .take(tables / SHARE)
            .collect();
        for savegame in newest {
            let Savegame { sitting, file, .. } = savegame;
            let room = sitting.room.clone();
            match self.go_on(sitting, file).await {
                Ok(_) => tracing::info!(room, "a saved game goes on"),
                Err(error) => tracing::warn!(room, %error, "a saved game cannot go on"),
            }
        }
    }

    /// Follows the files of the data folder until `stop`.
    pub(super) async fn keep_up(&self, data: Option<PathBuf>, stop: CancellationToken) {
        let Some(data) = data else {
            return;
        };
        let (_watching, mut changes) = match definition::watch(&data) {
            Ok(watching) => watching,
            Err(error) => {
                return tracing::warn!(%error, "changed definitions are seen at the next start only");
            }
        };
        while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
            match self.reread().await {
                Ok(()) => tracing::info!("read the definitions of rooms and table games anew"),
                Err(error) => tracing::error!(%error, "the definitions cannot be read anew"),
            }
        }
    }

    /// Tells the local network where the lobby is, until `stop`.
    pub(super) async fn announce(&self, port: u16, stop: CancellationToken) {
        let instance = discovery::ggz_instance(&self.house.name);
        let known = [("version", env!("CARGO_PKG_VERSION")), ("protocol", "10")];
        // It asks the system for its network cards.
        let announce = move || discovery::announce(discovery::GGZ, &instance, port, &known);
        let Ok(announcement) = tokio::task::spawn_blocking(announce).await else {
            return;
        };
        stop.cancelled().await;
        tokio::time::timeout(GOODBYE, announcement.withdraw())
            .await
            .ok(); // they will notice by themselves
    }

    /// Answers whoever asks what can be found here, and has the box listed elsewhere, until `stop`.
    pub(super) async fn be_found(
        &self,
        listener: Option<TcpListener>,
        target: Option<Target>,
        address: SocketAddr,
        stop: CancellationToken,
    ) {
        let directory = Directory::default();
        let serving = async {
            if let Some(listener) = listener {
                let lobby = self.clone();
                let may_publish = move |name, password, from: SocketAddr| {
                    let lobby = lobby.clone();
                    async move { lobby.may_publish(name, password, from.ip()).await }
                };
                let limits = meta::Limits::default();
                let (directory, stop) = (directory.clone(), stop.clone());
                meta::serve(listener, directory, may_publish, limits, stop).await;
            }
        };
        let publishing = async {
            if let Some(target) = target {
                let (state, _) = watch::channel(meta::Published::Unknown);
                let (directory, stop) = (directory.clone(), stop.clone());
                meta::publish(target, directory, meta::Pace::default(), state, stop).await;
            }
        };
        let mut defined = self.house.defined.subscribe();
        let listing = async {
            loop {
                let definitions = self.definitions();
                let entries = meta::Entry::of_box(&host(address), address.port(), &definitions);
                directory.set_own(entries);
                match stop.run_until_cancelled(defined.changed()).await {
                    Some(Ok(())) => {}
                    _ => return,
                }
            }
        };
        tokio::join!(listing, serving, publishing);
    }

    /// Hosts may have their own servers listed here.
    async fn may_publish(&self, name: String, password: Secret, from: IpAddr) -> Verdict {
        let caller = Caller {
            door: Door::Lobby,
            from: Some(from),
        };
        let proved = self.accounts.by_password(&caller, &name, &password).await;
        match proved {
            Ok(by) if self.accounts.allows(&by, Verb::LobbyModerate, Subject::Box) => {
                Verdict::Accepted(by.actor.name)
            }
            Ok(_) | Err(AccountsError::WrongCredentials | AccountsError::LockedOut { .. }) => {
                Verdict::Rejected
            }
            Err(error) => {
                tracing::warn!(%error, "whether somebody may publish here cannot be said");
                Verdict::Failed
            }
        }
    }
}

/// How others reach us: by the address that we are bound to, or by one that we have.
fn host(address: SocketAddr) -> String {
    match address.ip() {
        ip if !ip.is_unspecified() => ip.to_string(),
        _ => match crate::net::addresses()
            .into_iter()
            .find(|ip| !ip.is_loopback())
        {
            Some(ip) => ip.to_string(),
            None => crate::net::host_name(),
        },
    }
}
