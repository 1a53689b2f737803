//! Turns a wish into what the keeper is told: placeholders filled, files rendered. Pure, but for asking whether a file is there.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use nix::sys::{resource::Resource, signal::Signal};

use super::{Order, folder::Folder, ini};
use crate::hosting::definition::Arg;
use crate::hosting::template::{Escape, Slot, Template};
use crate::keeper::{Ready, Spec, Stop};

/// Where programs are looked for.
pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/// Largest configuration file in which keys are set.
const MAX_CONFIG: u64 = 4 << 20;

/// What of a spec is the box's matter, not the game's.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) files: PathBuf,
    /// The version that all servers share, where it is one.
    pub(super) shared: PathBuf,
    pub(super) console: PathBuf,
    pub(super) history: u64,
    pub(super) user: Option<u32>,
    pub(super) cgroup: Option<PathBuf>,
}

impl Order {
    /// What a placeholder stands for.
    fn value(&self, slot: &Slot, place: &Place) -> String {
        let server = &self.server;
        match slot {
            Slot::Dir => place.files.display().to_string(),
            Slot::Shared => place.shared.display().to_string(),
            Slot::Program => {
                let program = self.definition.program(&server.version);
                program.map_or_else(String::new, |program| {
                    self.fill(program, Escape::None, place)
                })
            }
            Slot::Title => server.title.clone(),
            Slot::Name => server.name.clone(),
            Slot::Version => server.version.clone(),
            Slot::Secret => server.secret.clone(),
            Slot::Port(name) => self.port(name).to_string(),
            Slot::Setting(name) => self.setting(name),
        }
    }

    fn fill(&self, template: &Template, escape: Escape, place: &Place) -> String {
        template.fill(escape, |slot| self.value(slot, place))
    }

    /// The number of a port; 0 when the definition gained it after the server was created.
    fn port(&self, name: &str) -> u16 {
        let port = self.server.ports.iter().find(|port| port.name == name);
        port.map_or(0, |port| port.number)
    }

    fn setting(&self, name: &str) -> String {
        let declared = self
            .definition
            .settings
            .get(name)
            .expect("checked when the definition was read");
        // What the definition does not accept any more, since it was changed, counts as not given.
        let given = self
            .server
            .settings
            .get(name)
            .and_then(|value| declared.accept(&value.json()).ok());
        declared.told(&given.unwrap_or_else(|| declared.default()))
    }

    fn argv(&self, place: &Place) -> Vec<String> {
        let run = &self.definition.run;
        // No group is left out for a path when nobody can look: then it counts as absent.
        let folder = Folder::open(&place.files, place.user).ok();
        let there = |name: &str| {
            let told = self.setting(name);
            let is_path = matches!(
                self.definition.settings.get(name),
                Some(crate::hosting::settings::Setting::Path { .. })
            );
            !told.is_empty()
                && (!is_path
                    || folder
                        .as_ref()
                        .is_some_and(|folder| folder.has(Path::new(&told))))
        };
        let wanted = |arg: &&Arg| match arg {
            Arg::One(_) => true,
            Arg::Group(group) => group
                .iter()
                .flat_map(Template::slots)
                .all(|slot| match slot {
                    Slot::Setting(name) => there(name),
                    _ => true,
                }),
        };
        let mut argv: Vec<String> = run
            .argv
            .iter()
            .filter(wanted)
            .flat_map(Arg::templates)
            .map(|template| self.fill(template, Escape::None, place))
            .collect();
        if run.shell {
            argv.splice(0..0, ["/bin/sh".into(), "-c".into()]);
            argv.insert(3, self.server.name.clone()); // $0
        }
        argv
    }

    /// All that the keeper needs.
    pub(super) fn spec(&self, place: &Place) -> Spec {
        let (server, definition) = (&self.server, &*self.definition);
        let home = place.files.display().to_string();
        let mut env = vec![
            ("PATH".into(), PATH.into()),
            ("HOME".into(), home),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        for (name, value) in &definition.run.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), self.fill(value, Escape::None, place)));
        }
        let mut rlimits = vec![(Resource::RLIMIT_CORE as u32, 0)];
        // Counted per user: only where the user is the server's own does it limit the server.
        if let (Some(pids), Some(_)) = (server.limits.pids, place.user) {
            rlimits.push((Resource::RLIMIT_NPROC as u32, pids.into()));
        }
        let line = |template: &Template| self.fill(template, Escape::None, place);
        let stop = &definition.stop;
        Spec {
            server: server.id.0,
            argv: self.argv(place),
            env,
            cwd: place.files.join(&definition.run.cwd),
            console: place.console.clone(),
            history: place.history,
            user: place.user.map(|id| (id, id)),
            cgroup: place.cgroup.clone(),
            rlimits,
            ready: match (&definition.ready.line, &definition.ready.tcp) {
                (Some(text), _) => Ready::Line(text.clone()),
                (None, Some(port)) => Ready::Tcp(self.port(port)),
                (None, None) => Ready::Running,
            },
            ready_timeout: definition.ready.timeout,
            stop: match (&stop.console, &stop.tcp, &stop.signal) {
                (Some(lines), ..) => Stop::Console(lines.iter().map(line).collect()),
                (None, Some(tcp), _) => Stop::Tcp {
                    port: self.port(&tcp.port),
                    script: tcp
                        .script
                        .iter()
                        .map(|(expect, send)| (expect.clone(), line(send)))
                        .collect(),
                },
                (None, None, name) => {
                    let signal = name
                        .as_deref()
                        .map_or(Ok(Signal::SIGTERM), Signal::from_str);
                    Stop::Signal(signal.expect("checked when the definition was read") as i32)
                }
            },
            stop_timeout: stop.timeout,
            term_timeout: stop.term,
            restart: server.restart,
            limit: definition.restart.limit,
            window: definition.restart.window,
        }
    }

    /// Writes the files that the definition wants written, and sets the keys that it wants set.
    pub(super) fn render(&self, place: &Place) -> io::Result<()> {
        let folder = Folder::open(&place.files, place.user)?;
        if !self.definition.run.cwd.is_empty() {
            folder.make(Path::new(&self.definition.run.cwd))?;
        }
        for file in &self.definition.files {
            let path = Path::new(&file.path);
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.path));
            let text = match &file.write {
                Some(template) => self.fill(template, file.escape, place),
                None => {
                    let bytes = folder
                        .read(path, MAX_CONFIG)
                        .map_err(named)?
                        .unwrap_or_default();
                    let mut text = String::from_utf8_lossy(&bytes).into_owned();
                    for (section, keys) in &file.set {
                        for (key, value) in keys {
                            let value = self.fill(value, Escape::Line, place);
                            text = ini::set(&text, section, key, &value);
                        }
                    }
                    text
                }
            };
            folder
                .write(path, &mut text.as_bytes(), 0o600)
                .map_err(named)?;
        }
        Ok(())
    }
}
