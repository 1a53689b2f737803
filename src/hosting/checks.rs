//! What must hold between the parts of a definition. Finds all that does not; changes nothing.

use std::str::FromStr;

use nix::sys::signal::Signal;

use super::definition::{Arg, Definition, MAX_ITEMS};
use super::reading::{Checker, NAME, is_name};
use super::settings::{printable, relative};
use super::template::{Escape, Slot, Template};

impl Definition {
    pub(super) fn check(&self, to: &mut Checker<'_>) {
        for (key, text, max) in [
            ("title", &self.title, 64),
            ("description", &self.description, 256),
        ] {
            if text.trim().is_empty() {
                to.fault(key, "must not be empty");
            } else if let Err(why) = printable(text, max) {
                to.fault(key, why);
            }
        }
        let version = |text: &String| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
            (1..=64).contains(&text.len())
                && text.chars().all(allowed)
                && !text.starts_with(['.', '-'])
        };
        if self.versions.is_empty()
            || self.versions.len() > MAX_ITEMS
            || !self.versions.iter().all(version)
        {
            to.fault(
                "versions",
                "must be 1 to 64 of letters, digits and . _ + -, the default first",
            );
        }
        self.check_ports(to);
        self.check_installs(to);
        self.check_players(to);
        self.check_run(to);
        self.check_files(to);
        self.check_ready_and_stop(to);
        self.check_save(to);
        if !(1..=1000).contains(&self.restart.limit) {
            to.fault("restart.limit", "must be from 1 to 1000");
        }
        if let Err((field, why)) = self.limits.check() {
            to.fault(format!("limits.{field}"), why);
        }
    }

    fn check_ports(&self, to: &mut Checker<'_>) {
        for (n, port) in self.ports.iter().enumerate() {
            let key = format!("ports[{n}]");
            if !is_name(&port.name) {
                to.fault(format!("{key}.name"), NAME);
            }
            if self.ports[..n].iter().any(|other| other.name == port.name) {
                to.fault(
                    format!("{key}.name"),
                    format!("`{}` is there twice", port.name),
                );
            }
            if !port.tcp && !port.udp {
                to.fault(&key, "needs `tcp = true` or `udp = true`");
            }
            if let Some(offset) = port.offset {
                let twice = self.ports[..n]
                    .iter()
                    .any(|other| other.offset == Some(offset));
                if n == 0 || twice || !(1..=99).contains(&offset) {
                    to.fault(
                        format!("{key}.offset"),
                        "must be from 1 to 99 above the first port, once each, and not on the first",
                    );
                }
            }
        }
    }

    fn check_run(&self, to: &mut Checker<'_>) {
        let run = &self.run;
        if run.argv.len() > MAX_ITEMS {
            to.fault("run.argv", format!("must be at most {MAX_ITEMS}"));
        }
        match run.argv.first() {
            Some(Arg::One(script)) if run.shell => {
                if script.slots().next().is_some() {
                    to.fault(
                        "run.argv[0]",
                        "a shell script holds no placeholders: pass them as arguments, and read $1",
                    );
                }
            }
            Some(Arg::One(program)) => {
                let own = matches!(program.slots().next(), Some(Slot::Dir | Slot::Program))
                    && program.head().is_empty();
                if !own && !program.head().starts_with('/') {
                    to.fault(
                        "run.argv[0]",
                        "must be an absolute path, or begin with {dir}/ or {program}",
                    );
                }
            }
            _ => to.fault("run.argv", "must begin with the program"),
        }
        for (n, arg) in run.argv.iter().enumerate() {
            let (Arg::One(_) | Arg::Group(_)) = arg;
            for template in arg.templates() {
                self.check_slots(to, &format!("run.argv[{n}]"), template);
            }
        }
        if !run.cwd.is_empty()
            && let Err(why) = relative(&run.cwd)
        {
            to.fault("run.cwd", why);
        }
        if run.env.len() > MAX_ITEMS {
            to.fault("run.env", format!("must be at most {MAX_ITEMS}"));
        }
        for (name, value) in &run.env {
            let key = format!("run.env.{name}");
            let fine =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !fine || name.starts_with("LONGHOUSE_") || name == "HOME" {
                to.fault(
                    &key,
                    "must be letters, digits and _; HOME and LONGHOUSE_ are set by the box",
                );
            }
            self.check_slots(to, &key, value);
        }
    }

    fn check_files(&self, to: &mut Checker<'_>) {
        for (n, file) in self.files.iter().enumerate() {
            let key = format!("files[{n}]");
            if let Err(why) = relative(&file.path) {
                to.fault(format!("{key}.path"), why);
            }
            if file.write.is_some() != file.set.is_empty() {
                to.fault(&key, "needs either `write` or `set`");
            }
            if let Some(template) = &file.write {
                self.check_slots(to, &format!("{key}.write"), template);
            }
            for (section, keys) in &file.set {
                let odd = |text: &str, marks: &[char]| {
                    text.contains(marks) || printable(text, 64).is_err()
                };
                if odd(section, &[']']) {
                    to.fault(format!("{key}.set"), format!("`{section}` is no section"));
                }
                for (name, value) in keys {
                    if name.trim() != name || name.is_empty() || odd(name, &['=', '[', ';', '#']) {
                        to.fault(
                            format!("{key}.set.{section}"),
                            format!("`{name}` is no key"),
                        );
                    }
                    self.check_slots(to, &format!("{key}.set.{section}.{name}"), value);
                }
            }
        }
    }

    fn check_ready_and_stop(&self, to: &mut Checker<'_>) {
        if self.ready.line.is_some() && self.ready.tcp.is_some() {
            to.fault("ready", "has either `line` or `tcp`");
        }
        if self
            .ready
            .line
            .as_ref()
            .is_some_and(|line| line.is_empty() || line.len() > 1024)
        {
            to.fault("ready.line", "must be 1 to 1024 bytes");
        }
        let tcp = |name: &String| self.ports.iter().any(|port| port.tcp && port.name == *name);
        if self.ready.tcp.as_ref().is_some_and(|name| !tcp(name)) {
            to.fault("ready.tcp", "must be the name of a TCP port in [[ports]]");
        }
        let stop = &self.stop;
        let ways = [
            stop.console.is_some(),
            stop.signal.is_some(),
            stop.tcp.is_some(),
        ];
        if ways.into_iter().filter(|&way| way).count() != 1 {
            to.fault("stop", "needs one of `console`, `signal` and `tcp`");
        }
        if stop
            .signal
            .as_ref()
            .is_some_and(|name| Signal::from_str(name).is_err())
        {
            to.fault("stop.signal", "must be a signal's name, like SIGTERM");
        }
        for line in stop.console.iter().flatten() {
            if line
                .fill(Escape::None, |_| String::new())
                .contains(['\n', '\r'])
            {
                to.fault("stop.console", "must be a list of single lines");
            }
            self.check_slots(to, "stop.console", line);
        }
        if let Some(script) = &stop.tcp {
            if !tcp(&script.port) {
                to.fault(
                    "stop.tcp.port",
                    "must be the name of a TCP port in [[ports]]",
                );
            }
            if script.script.is_empty() || script.script.len() > MAX_ITEMS {
                to.fault(
                    "stop.tcp.script",
                    "must be pairs: what to wait for, the line to send",
                );
            }
            for (_, line) in &script.script {
                if line
                    .fill(Escape::None, |_| String::new())
                    .contains(['\n', '\r'])
                {
                    to.fault("stop.tcp.script", "must send single lines");
                }
                self.check_slots(to, "stop.tcp.script", line);
            }
        }
    }

    fn check_save(&self, to: &mut Checker<'_>) {
        let Some(save) = &self.save else {
            return;
        };
        if save.before.is_empty() {
            to.fault(
                "save.before",
                "must be at least one line; a game that cannot be told to save has no [save]",
            );
        }
        for (key, lines) in [("save.before", &save.before), ("save.after", &save.after)] {
            let single = |line: &String| {
                (1..=1024).contains(&line.len()) && !line.contains(['\n', '\r', '\0'])
            };
            if lines.len() > MAX_ITEMS || !lines.iter().all(single) {
                to.fault(key, "must be at most 64 single lines of 1 to 1024 bytes");
            }
        }
        for (key, text) in [("save.line", &save.line), ("save.failed", &save.failed)] {
            if text
                .as_ref()
                .is_some_and(|text| text.is_empty() || text.len() > 1024)
            {
                to.fault(key, "must be 1 to 1024 bytes");
            }
        }
        if save.failed.is_some() && save.line.is_none() {
            to.fault(
                "save.failed",
                "needs `line`: without it nothing is waited for",
            );
        }
    }

    fn check_slots(&self, to: &mut Checker<'_>, key: &str, template: &Template) {
        for slot in template.slots() {
            let known = match slot {
                Slot::Port(name) => self.ports.iter().any(|port| port.name == *name),
                Slot::Setting(name) => self.settings.contains_key(name),
                Slot::Dir | Slot::Title | Slot::Name | Slot::Version | Slot::Secret => true,
                Slot::Program => {
                    let has = |version: &String| self.program(version).is_some();
                    self.versions.iter().all(has)
                }
                Slot::Shared => false,
            };
            if !known {
                let what = match slot {
                    Slot::Program => "{program} is not said: set run.program, or one per version",
                    Slot::Shared => "{shared} may stand in `program` only",
                    _ => &format!("{slot} is not declared"),
                };
                to.fault(key, what);
            }
        }
    }
}
