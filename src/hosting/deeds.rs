//! What is asked of hosting less often: classes, mounting, another version, and destroying with a second confirmation.

use super::handle::{Hosting, subject, to_the_end};
use super::service::Command;
use super::{
    Class, ClassWish, Create, Creation, Desired, HostingError, News, Patch, State, Switch, View,
};
use crate::accounts::{AccountId, Principal, ServerId, Subject, Verb};

impl Hosting {
    /// The ten resource classes, by number. Anybody may know them.
    pub async fn classes(&self) -> Result<Vec<Class>, HostingError> {
        self.ask(Command::Classes).await
    }

    /// Makes a class another one; its servers follow at their next start.
    pub async fn set_class(
        &self,
        by: &Principal,
        number: u8,
        wish: ClassWish,
    ) -> Result<Class, HostingError> {
        if !self.accounts.allows(by, Verb::BoxManage, Subject::Box) {
            return Err(HostingError::MayNotSetClasses);
        }
        let detail = serde_json::json!({
            "name": wish.name.chars().take(40).collect::<String>(),
            "limits": wish.limits,
            "idle": wish.idle,
            "hosts": wish.hosts,
        });
        let class = wish.class(number)?;
        let hosting = self.clone();
        let work = async move { hosting.ask(|reply| Command::SetClass(class, reply)).await? };
        self.act(by, "class.set", format!("class {number}"), detail, work)
            .await
    }

    /// As `create`, for `owner`, and says what was done, step by step.
    pub(crate) async fn create_told(
        &self,
        by: &Principal,
        owner: AccountId,
        wish: Create,
    ) -> Result<Creation, HostingError> {
        let server = self.create_for(by, owner, wish).await?;
        let ports: Vec<_> = server
            .ports
            .iter()
            .map(|port| format!("{} {}", port.name, port.number))
            .collect();
        let mut steps = vec![
            format!(
                "record: server {} is {}, {} {}, class {}",
                server.id.0, server.name, server.game, server.version, server.class
            ),
            format!("ports: {}", ports.join(", ")),
        ];
        let home = self.home(by, Verb::ServerView, server.id).await?;
        if let Some(user) = home.user {
            steps.push(format!("user: {user}"));
        }
        steps.push(format!("folder: {}", home.folder.display()));
        steps.extend(
            server
                .notices
                .iter()
                .map(|notice| format!("notice: {notice}")),
        );
        Ok(Creation { server, steps })
    }

    /// Prepares it without starting it: its version is installed, its files are written, its share of the box is
    /// reserved. Returns when that is done; of a mounted one at once, which is nothing done and nothing recorded.
    pub async fn mount(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.allow(by, Verb::ServerPower, id)?;
        if let Some(view) = self.ask(|reply| Command::Mounts(id, reply)).await? {
            return Ok(self.shown(by, view));
        }
        let hosting = self.clone();
        let work = async move { hosting.ask(|reply| Command::Mount(id, reply)).await? };
        let view = self.act(by, "server.mount", subject(id), serde_json::json!({}), work);
        Ok(self.shown(by, view.await?))
    }

    /// Gives back what is reserved for a stopped one, and what preparing it made beside its files.
    pub async fn unmount(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.allow(by, Verb::ServerPower, id)?;
        let (hosting, because) = (self.clone(), format!("told to by {}", by.actor.name));
        let work = async move {
            hosting
                .ask(|reply| Command::Unmount(id, because, reply))
                .await?
        };
        let view = self.act(
            by,
            "server.unmount",
            subject(id),
            serde_json::json!({}),
            work,
        );
        Ok(self.shown(by, view.await?))
    }

    /// Gives it another version of its game, and stops it for that when it runs. It stays stopped.
    pub async fn switch_version(
        &self,
        by: &Principal,
        id: ServerId,
        version: String,
    ) -> Result<Switch, HostingError> {
        self.allow(by, Verb::ServerConfigure, id)?;
        let before = self.get(by, id).await?;
        self.can_be_had(&before.game, &version)?;
        let stopped = !matches!(before.state, State::Stopped | State::Failed);
        if stopped {
            self.rest(by, id).await?;
        }
        Ok(Switch {
            stopped,
            from: before.version,
            server: self.choose(by, id, version).await?,
        })
    }

    /// Has it prepared with the version of its record, after that became `version`, if one is said. What is prepared
    /// with another one is unmounted and mounted anew; if it runs it is stopped for that, and started again. Done to the
    /// end, even when whoever asked does not wait for it.
    pub(crate) async fn remount(
        &self,
        by: &Principal,
        id: ServerId,
        version: Option<String>,
    ) -> Result<View, HostingError> {
        self.allow(by, Verb::ServerPower, id)?;
        if version.is_some() {
            self.allow(by, Verb::ServerConfigure, id)?;
        }
        let (hosting, by) = (self.clone(), by.clone());
        let work = async move { hosting.remounted(&by, id, version).await };
        to_the_end(work).await
    }

    async fn remounted(
        &self,
        by: &Principal,
        id: ServerId,
        version: Option<String>,
    ) -> Result<View, HostingError> {
        let mut before = self.get(by, id).await?;
        if before.mounted && before.mounted_version.is_none() && before.desired == Desired::Down {
            before = self.mount(by, id).await?; // somebody else's, which is under way
        }
        let wanted = version.unwrap_or_else(|| before.version.clone());
        let switches = wanted != before.version;
        let stale = match &before.mounted_version {
            Some(mounted) => *mounted != wanted,
            None => before.mounted && switches,
        };
        if switches || stale {
            self.can_be_had(&before.game, &wanted)?;
        }
        let ran = before.desired == Desired::Up && before.state != State::Failed;
        if stale && before.state != State::Stopped {
            self.rest(by, id).await?;
        }
        if switches {
            self.choose(by, id, wanted).await?;
        }
        if stale {
            self.unmount(by, id).await?;
        }
        let mounted = self.mount(by, id).await?;
        match stale && ran {
            true => self.start(by, id).await,
            false => Ok(mounted),
        }
    }

    /// What cannot be had stops no game.
    fn can_be_had(&self, game: &str, version: &str) -> Result<(), HostingError> {
        let Some(known) = self.games().into_iter().find(|known| known.name == game) else {
            return Ok(()); // which says more when it is used
        };
        let (game, version) = (game.to_owned(), version.to_owned());
        if !known.versions.contains(&version) {
            return Err(HostingError::NoSuchVersion { game, version });
        }
        match known.missing.get(&version).cloned() {
            Some(why) => Err(HostingError::Unavailable { game, why }),
            None => Ok(()),
        }
    }

    /// Stops it, and waits until it has ended, or somebody wants it up again.
    async fn rest(&self, by: &Principal, id: ServerId) -> Result<(), HostingError> {
        let news = self.news();
        self.stop(by, id).await?;
        self.until(by, id, news, |view| {
            matches!(view.state, State::Stopped | State::Failed) || view.desired == Desired::Up
        })
        .await
    }

    async fn choose(
        &self,
        by: &Principal,
        id: ServerId,
        version: String,
    ) -> Result<View, HostingError> {
        let patch = Patch {
            version: Some(version),
            ..Patch::default()
        };
        self.update(by, id, patch).await
    }

    /// Waits until a server reads so. A stop ends within the times that its definition names.
    async fn until(
        &self,
        by: &Principal,
        id: ServerId,
        mut news: tokio::sync::broadcast::Receiver<News>,
        fits: impl Fn(&View) -> bool,
    ) -> Result<(), HostingError> {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            if fits(&self.get(by, id).await?) {
                return Ok(());
            }
            if let Err(RecvError::Closed) = news.recv().await {
                return Err(HostingError::Closed);
            }
        }
    }

    /// The first half of destroying it: a mark in the record, and a file among its own that bears the same number. Who
    /// deletes the file takes it back.
    pub async fn mark(&self, by: &Principal, id: ServerId) -> Result<(), HostingError> {
        self.allow(by, Verb::ServerDelete, id)?;
        let hosting = self.clone();
        let work = async move {
            let (server, mark) = hosting.ask(|reply| Command::Mark(id, reply)).await??;
            Ok(hosting.worker.mark(&server, &mark).await?)
        };
        self.act(by, "server.mark", subject(id), serde_json::json!({}), work)
            .await
    }

    /// Whether it is marked: no longer than an hour ago, and its file still says so.
    pub async fn is_marked(&self, by: &Principal, id: ServerId) -> Result<bool, HostingError> {
        self.allow(by, Verb::ServerView, id)?;
        self.bears_mark(id, false).await
    }

    async fn bears_mark(&self, id: ServerId, stopped: bool) -> Result<bool, HostingError> {
        let server = self
            .ask(|reply| Command::Record(id, stopped, reply))
            .await??;
        Ok(self.worker.bears_mark(&server).await?)
    }

    /// Moves a stopped and marked server to the recycle bin. Returns once it is there.
    pub async fn destroy(&self, by: &Principal, id: ServerId) -> Result<(), HostingError> {
        self.allow(by, Verb::ServerDelete, id)?;
        let hosting = self.clone();
        let work = async move {
            if !hosting.bears_mark(id, true).await? {
                return Err(HostingError::NotMarked(id.0));
            }
            let server = hosting
                .ask(|reply| Command::Record(id, true, reply))
                .await??;
            let confirm = server.name;
            hosting
                .ask(|reply| Command::Delete { id, confirm, reply })
                .await?
        };
        self.act(
            by,
            "server.destroy",
            subject(id),
            serde_json::json!({}),
            work,
        )
        .await
    }
}
