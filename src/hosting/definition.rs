//! What `games/NAME.toml` says of a game.
//!
//! Keys: `title`, `description`, `versions`, `[install]`, `[version."V"]`, `[run]`, `[[files]]`, `[[ports]]`, `[ready]`,
//! `[stop]`, `[restart]`, `[save]`, `[limits]`, `[players]`, `[idle]`, `[settings.NAME]`. A key that nothing reads is a
//! fault.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{IntoDeserializer as _, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use super::classes::Idle;
use super::players::Players;
use super::reading::duration;
use super::settings::Setting;
use super::template::{Escape, Template};
use super::{Limits, Restart};

/// A list that is longer is refused before it is looked at.
pub(super) const MAX_ITEMS: usize = 64;

/// One game that can be hosted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) versions: Vec<String>,
    pub(crate) install: Install,
    /// Versions that come in another way.
    pub(crate) version: BTreeMap<String, Version>,
    pub(crate) run: Run,
    pub(crate) files: Vec<File>,
    pub(crate) ports: Vec<PortRule>,
    pub(crate) ready: Ready,
    pub(crate) stop: Stop,
    pub(crate) restart: Restarts,
    pub(crate) save: Option<Save>,
    pub(crate) limits: Limits,
    pub(crate) players: Players,
    pub(crate) idle: Idle,
    pub(crate) settings: BTreeMap<String, Setting>,
}

/// How the game comes onto this box.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Install {
    /// Debian packages that the administrator installed; the paths in `requires` must exist.
    Debian {
        packages: Vec<String>,
        requires: Vec<String>,
    },
    /// A folder on this box, copied into the server's. `{version}` may stand in its path, which is below the data folder
    /// when it is relative.
    Dir {
        path: Template,
        /// Not copied: all servers use the folder itself, which is `{shared}` then.
        #[serde(default)]
        shared: bool,
    },
    /// A tar, tar.gz or tar.zst on this box, unpacked into the server's folder. Its path is as that of a folder.
    Archive {
        path: Template,
        /// Unpacked once for all servers, which can only read it, into the folder that is `{shared}` then.
        #[serde(default)]
        shared: bool,
    },
    /// A Steam application, installed by steamcmd into the server's folder.
    Steamcmd { app: u32 },
}

impl Install {
    /// Whether all servers use one copy.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::Dir { shared: true, .. } | Self::Archive { shared: true, .. }
        )
    }
}

/// A version that comes onto this box in a way of its own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Version {
    pub(crate) install: Install,
    /// What `{program}` is; `run.program` when absent.
    pub(crate) program: Option<Template>,
}

/// How it is run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) argv: Vec<Arg>,
    /// What `{program}` is, in versions that do not say otherwise.
    pub(crate) program: Option<Template>,
    /// `argv[0]` is a shell script without placeholders; the other arguments reach it as `$1` and so on.
    #[serde(default)]
    pub(crate) shell: bool,
    /// Below the server's folder.
    #[serde(default)]
    pub(crate) cwd: String,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, Template>,
}

/// One argument, or some that go together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    One(Template),
    /// Left out when a setting in it is empty, or is a path where nothing is.
    Group(Vec<Template>),
}

/// By hand, because an untagged enum would not tell what is wrong with a template.
impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Arg;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an argument, or a list of arguments that go together")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Arg, E> {
                Template::deserialize(text.into_deserializer()).map(Arg::One)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Arg, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Arg::Group)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A file in the server's folder that is written, or in which keys are set, before each start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) path: String,
    /// The whole file.
    pub(crate) write: Option<Template>,
    /// How values are written in `write`.
    #[serde(default)]
    pub(crate) escape: Escape,
    /// By section (`""`: before the first), keys to set in an ini-style file; all else in it stays.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, BTreeMap<String, Template>>,
}

/// One port that the game wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortRule {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tcp: bool,
    #[serde(default)]
    pub(crate) udp: bool,
    /// The game takes it itself, this far above the first port of the list.
    pub(crate) offset: Option<u16>,
}

/// How it says that players may come: one of `line` and `tcp`, or neither: as soon as it runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    /// A line of its output contains this.
    pub(crate) line: Option<String>,
    /// It accepts on the port of this name.
    pub(crate) tcp: Option<String>,
    #[serde(default = "Ready::timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
}

impl Ready {
    fn timeout() -> Duration {
        Duration::from_secs(120)
    }
}

/// How it is stopped: one of `console`, `signal` and `tcp`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// Lines on its standard input.
    pub(crate) console: Option<Vec<Template>>,
    /// `SIGTERM`, `SIGINT` and so on.
    pub(crate) signal: Option<String>,
    /// A console that it offers on a TCP port.
    pub(crate) tcp: Option<TcpStop>,
    /// How long that may take before SIGTERM.
    #[serde(default = "Stop::timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    /// How long SIGTERM may take before all is killed.
    #[serde(default = "Stop::term", deserialize_with = "duration")]
    pub(crate) term: Duration,
}

impl Stop {
    fn timeout() -> Duration {
        Duration::from_secs(20)
    }
    fn term() -> Duration {
        Duration::from_secs(10)
    }
}

/// A stop by TCP console.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpStop {
    /// The port's name.
    pub(crate) port: String,
    /// What to wait for (may be empty), and the line to send then.
    pub(crate) script: Vec<(String, Template)>,
}

/// How a running game is made to save, so that its files can be copied.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Save {
    /// Lines on its console.
    pub(crate) before: Vec<String>,
    /// A line of its output contains this once all is written; without it, that is so at once.
    pub(crate) line: Option<String>,
    /// A line of its output contains this when it could not save.
    pub(crate) failed: Option<String>,
    /// Lines on its console once it has saved, or has not.
    #[serde(default)]
    pub(crate) after: Vec<String>,
    #[serde(default = "Save::timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
}

impl Save {
    fn timeout() -> Duration {
        Duration::from_secs(60)
    }
}

/// When a game that ended by itself is started again, unless the server says otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Restarts {
    pub(crate) policy: Restart,
    /// So many ends within `window`, and it is left.
    pub(crate) limit: u32,
    #[serde(deserialize_with = "duration")]
    pub(crate) window: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            policy: Restart::Always,
            limit: 5,
            window: Duration::from_secs(120),
        }
    }
}

impl Definition {
    /// How `version` comes onto this box.
    pub(crate) fn install(&self, version: &str) -> &Install {
        let own = self.version.get(version);
        own.map_or(&self.install, |own| &own.install)
    }

    /// What `{program}` is in `version`.
    pub(crate) fn program(&self, version: &str) -> Option<&Template> {
        let own = self.version.get(version);
        own.and_then(|own| own.program.as_ref())
            .or(self.run.program.as_ref())
    }
}

impl Arg {
    pub(crate) fn templates(&self) -> &[Template] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Group(group) => group,
        }
    }
}
