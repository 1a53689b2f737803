//! What must hold of how a game's versions come onto the box.

use std::path::Path;

use super::definition::{Definition, Install, MAX_ITEMS};
use super::reading::Checker;
use super::template::{Escape, Slot, Template};

impl Definition {
    pub(super) fn check_installs(&self, to: &mut Checker<'_>) {
        self.check_install(to, "", &self.install);
        if let Some(program) = &self.run.program {
            let unsaid = |version: &&String| !self.version.contains_key(*version);
            let shared = self.install.is_shared() || !self.versions.iter().any(|v| unsaid(&v));
            self.check_program(to, "run.program", program, shared);
        }
        for (name, version) in &self.version {
            let at = format!("version.{name}.");
            if !self.versions.contains(name) {
                to.fault(format!("version.{name}"), "must be one of `versions`");
            }
            self.check_install(to, &at, &version.install);
            if let Some(program) = &version.program {
                let key = format!("{at}program");
                self.check_program(to, &key, program, version.install.is_shared());
            }
        }
    }

    fn check_program(&self, to: &mut Checker<'_>, key: &str, program: &Template, shared: bool) {
        let odd = |slot: &&Slot| match slot {
            Slot::Dir | Slot::Version => false,
            Slot::Shared => !shared,
            _ => true,
        };
        match program.slots().find(odd) {
            Some(Slot::Shared) => to.fault(key, "{shared} needs an install with `shared = true`"),
            Some(slot) => to.fault(
                key,
                format!("may hold {{dir}}, {{shared}} and {{version}}, not {slot}"),
            ),
            None => {}
        }
        let rooted = matches!(program.slots().next(), Some(Slot::Dir | Slot::Shared))
            && program.head().is_empty();
        if !rooted && !program.head().starts_with('/') {
            to.fault(
                key,
                "must be an absolute path, or begin with {dir}/ or {shared}/",
            );
        }
    }

    /// What `[players]` says must be declared, and make sense together.
    pub(super) fn check_players(&self, to: &mut Checker<'_>) {
        let players = &self.players;
        if let Some(name) = &players.setting
            && !matches!(
                self.settings.get(name),
                Some(super::settings::Setting::Integer { .. })
            )
        {
            to.fault(
                "players.setting",
                "must be the name of an integer in [settings]",
            );
        }
        match (&players.join, &players.leave) {
            (Some(_), None) | (None, Some(_)) => {
                to.fault("players", "needs both `join` and `leave`, or neither");
            }
            // A player is known by their id where there is one, else by their name.
            (Some(join), Some(leave)) if join.captures("id") != leave.captures("id") => {
                to.fault(
                    "players",
                    "`join` and `leave` must both capture `id`, or neither",
                );
            }
            _ => {}
        }
        if let Some(name) = &players.port
            && !self.ports.iter().any(|port| port.tcp && port.name == *name)
        {
            to.fault(
                "players.port",
                "must be the name of a TCP port in [[ports]]",
            );
        }
    }

    /// The TCP port whose connections are players.
    pub(super) fn players_port(&self) -> Option<&str> {
        match &self.players.port {
            Some(name) => Some(name),
            None => self
                .ports
                .first()
                .filter(|port| port.tcp)
                .map(|port| port.name.as_str()),
        }
    }

    /// Whether anything can be known of who plays.
    pub(super) fn sees_players(&self) -> bool {
        self.players.join.is_some() || self.players_port().is_some()
    }

    /// Relative paths are below the data folder.
    pub(super) fn rooted(mut self, data: &Path) -> Self {
        let own = self
            .version
            .values_mut()
            .map(|version| &mut version.install);
        for install in own.chain([&mut self.install]) {
            if let Install::Dir { path, .. } | Install::Archive { path, .. } = install
                && !path.head().starts_with('/')
            {
                path.below(data);
            }
        }
        self
    }

    fn check_install(&self, to: &mut Checker<'_>, at: &str, install: &Install) {
        match install {
            Install::Debian { packages, requires } => {
                let package = |text: &String| {
                    !text.is_empty()
                        && text
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                };
                if packages.is_empty()
                    || packages.len() > MAX_ITEMS
                    || !packages.iter().all(package)
                {
                    to.fault(
                        format!("{at}install.packages"),
                        "must be names of Debian packages",
                    );
                }
                if requires.is_empty() || !requires.iter().all(|path| Path::new(path).is_absolute())
                {
                    to.fault(
                        format!("{at}install.requires"),
                        "must be absolute paths that those packages bring",
                    );
                }
            }
            Install::Dir { path, .. } | Install::Archive { path, .. } => {
                let filled = path.fill(Escape::None, |_| "1".into());
                if !path.head().starts_with('/') && super::settings::relative(&filled).is_err() {
                    to.fault(
                        format!("{at}install.path"),
                        "must be an absolute path, or one below the data folder",
                    );
                }
                if let Some(slot) = path.slots().find(|slot| **slot != Slot::Version) {
                    to.fault(
                        format!("{at}install.path"),
                        format!("may hold {{version}}, not {slot}"),
                    );
                }
            }
            Install::Steamcmd { app } => {
                if *app == 0 {
                    to.fault(
                        format!("{at}install.app"),
                        "must be the number of a Steam application",
                    );
                }
            }
        }
    }
}
