//! What is shown of servers, to whom: consoles, news, views, and where their files are.

use std::collections::BTreeMap;

use tokio::sync::{broadcast, watch};

use super::definition::Save;
use super::handle::Hosting;
use super::service::Command;
use super::{Event, Home, HostingError, News, View};
use crate::accounts::{AccountId, Principal, ServerId, Subject, Verb};
use crate::console;

impl Hosting {
    /// Where its files are and whose, for who may do `verb` with it.
    pub(crate) async fn home(
        &self,
        by: &Principal,
        verb: Verb,
        id: ServerId,
    ) -> Result<Home, HostingError> {
        self.allow(by, verb, id)?;
        self.ask(|reply| Command::Home(id, reply)).await?
    }

    /// The same for nobody in particular: what `public` in it names is all that may be read there.
    pub(crate) async fn home_for_all(&self, id: ServerId) -> Result<Home, HostingError> {
        self.ask(|reply| Command::Home(id, reply)).await?
    }

    /// The file that configures its game, below its folder: the first in which keys are set, else the first that is
    /// written; none when its definition names none.
    pub(crate) async fn config_path(
        &self,
        by: &Principal,
        id: ServerId,
    ) -> Result<Option<String>, HostingError> {
        let game = self.get(by, id).await?.game;
        let definition = self.library.get(&game);
        let definition = definition.ok_or(HostingError::NoSuchGame(game))?;
        let files = &definition.files;
        let set = files.iter().find(|file| !file.set.is_empty());
        Ok(set.or(files.first()).map(|file| file.path.clone()))
    }

    /// How a game is made to save while it runs, where it can be.
    pub(crate) fn saving(&self, game: &str) -> Option<Save> {
        self.library.get(game)?.save.clone()
    }

    /// Its console to read, and a watch of the newest sequence number.
    pub async fn console(
        &self,
        by: &Principal,
        id: ServerId,
    ) -> Result<(console::Reader, watch::Receiver<u64>), HostingError> {
        self.allow(by, Verb::ConsoleRead, id)?;
        self.ask(|reply| Command::Console(id, reply)).await?
    }

    /// News from now on; a listener that lags is told how many it missed.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// What `news` tells `by`, if they may see it.
    pub fn seen(&self, by: &Principal, news: News) -> Option<News> {
        let event = match news.event {
            Event::Created { server } if self.sees(by, server.id, server.owner_id) => {
                let server = Box::new(self.shown(by, *server));
                Event::Created { server }
            }
            Event::Changed { server } if self.sees(by, server.id, server.owner_id) => {
                let server = Box::new(self.shown(by, *server));
                Event::Changed { server }
            }
            // Its owner is known until its folder is purged.
            Event::Deleted { id } if self.owners.of(id).is_some_and(|o| self.sees(by, id, o)) => {
                Event::Deleted { id }
            }
            _ => return None,
        };
        Some(News { event, ..news })
    }

    /// Whether `by` may read its console, as of now.
    pub fn may_read(&self, by: &Principal, id: ServerId) -> bool {
        self.allow(by, Verb::ConsoleRead, id).is_ok()
    }

    /// Settings may be passwords: they are for those who may change them.
    pub(super) fn shown(&self, by: &Principal, view: View) -> View {
        let (id, owner) = (view.id, view.owner_id);
        let subject = Subject::Server { id, owner };
        match self.accounts.allows(by, Verb::ServerConfigure, subject) {
            true => view,
            false => View {
                settings: BTreeMap::new(),
                ..view
            },
        }
    }

    pub(super) fn sees(&self, by: &Principal, id: ServerId, owner: AccountId) -> bool {
        self.accounts
            .allows(by, Verb::ServerView, Subject::Server { id, owner })
    }
}
