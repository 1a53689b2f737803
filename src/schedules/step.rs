//! One thing that a schedule does, as people write it: `stop`, `command say good night`, `wait 5m`. Pure.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::accounts::Verb;

/// Bytes of a console line, at most: what hosting takes.
const LONGEST_LINE: usize = 1024;
/// Bytes of a snapshot's label, at most.
const LONGEST_LABEL: usize = 64;
/// How long one step may wait.
const WAIT: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// One step; stored and shown as its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) enum Step {
    /// Until it is ready for players.
    Start,
    /// Until nothing of it runs.
    Stop,
    /// Until another process is ready for players.
    Restart,
    /// Types a line into its console.
    Command(String),
    /// Until it is taken.
    Snapshot(Option<String>),
    /// Lets time pass.
    Wait(Duration),
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (word, rest) = match text.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim_start()),
            None => (text, ""),
        };
        match (word, rest) {
            ("start", "") => Ok(Self::Start),
            ("stop", "") => Ok(Self::Stop),
            ("restart", "") => Ok(Self::Restart),
            ("start" | "stop" | "restart", _) => Err(format!("`{word}` takes nothing after it")),
            ("command", "") => Err("`command` takes the line to type, like `command save`".into()),
            ("command", line) if line.len() > LONGEST_LINE || line.contains(['\n', '\r', '\0']) => {
                Err(format!(
                    "the line to type must be one of at most {LONGEST_LINE} bytes, without NUL"
                ))
            }
            ("command", line) => Ok(Self::Command(line.into())),
            ("snapshot", "") => Ok(Self::Snapshot(None)),
            ("snapshot", label)
                if label.len() > LONGEST_LABEL || label.contains(char::is_control) =>
            {
                Err(format!(
                    "a snapshot's label has at most {LONGEST_LABEL} bytes on one line"
                ))
            }
            ("snapshot", label) => Ok(Self::Snapshot(Some(label.into()))),
            ("wait", time) => match humantime::parse_duration(time) {
                Ok(time) if WAIT.contains(&time) => Ok(Self::Wait(time)),
                Ok(_) => Err("a wait takes from 1s to 24h".into()),
                Err(_) => Err("`wait` takes a time like 30s or 1h 30m".into()),
            },
            _ => {
                let word: String = word.chars().take(40).collect();
                Err(format!(
                    "`{word}` is no step: there are start, stop, restart, command LINE, snapshot [LABEL], wait TIME"
                ))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(line) => write!(f, "command {line}"),
            Self::Snapshot(Some(label)) => write!(f, "snapshot {label}"),
            Self::Wait(time) => write!(f, "wait {}", humantime::format_duration(*time)),
            Self::Start | Self::Stop | Self::Restart | Self::Snapshot(None) => {
                f.write_str(self.word())
            }
        }
    }
}

impl From<Step> for String {
    fn from(step: Step) -> Self {
        step.to_string()
    }
}

impl TryFrom<String> for Step {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Step {
    /// Its first word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Command(_) => "command",
            Self::Snapshot(_) => "snapshot",
            Self::Wait(_) => "wait",
        }
    }

    /// Its text without what may be a password: all of a console line but its first word.
    pub(super) fn concealed(&self) -> String {
        match self {
            Self::Command(line) => match line.split_once(char::is_whitespace) {
                Some((word, _)) => {
                    let word: String = word.chars().take(40).collect();
                    format!("command {word} ...")
                }
                None => format!("command {}", line.chars().take(40).collect::<String>()),
            },
            other => other.to_string(),
        }
    }

    /// What one must be allowed for it.
    pub(super) fn verb(&self) -> Option<Verb> {
        match self {
            Self::Start | Self::Stop | Self::Restart => Some(Verb::ServerPower),
            Self::Command(_) => Some(Verb::ConsoleWrite),
            Self::Snapshot(_) => Some(Verb::ServerSnapshot),
            Self::Wait(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_are_read_as_people_write_them() {
        for (text, step, shown) in [
            ("start", Step::Start, "start"),
            (" stop ", Step::Stop, "stop"),
            ("restart", Step::Restart, "restart"),
            (
                "command say  good night",
                Step::Command("say  good night".into()),
                "command say  good night",
            ),
            ("snapshot", Step::Snapshot(None), "snapshot"),
            (
                "snapshot before the match",
                Step::Snapshot(Some("before the match".into())),
                "snapshot before the match",
            ),
            (
                "wait 90s",
                Step::Wait(Duration::from_secs(90)),
                "wait 1m 30s",
            ),
        ] {
            let read: Step = text.parse().unwrap();
            assert_eq!((&read, read.to_string().as_str()), (&step, shown));
        }
    }

    #[test]
    fn what_is_no_step_is_refused_in_words() {
        for (text, why) in [
            ("", "is no step"),
            ("explode", "is no step"),
            ("start now", "nothing after"),
            ("command", "line to type"),
            ("command a\nb", "one of at most"),
            (&format!("command {}", "x".repeat(1025)), "one of at most"),
            ("snapshot a\x07", "one line"),
            (&format!("snapshot {}", "x".repeat(65)), "at most 64"),
            ("wait", "like 30s"),
            ("wait soon", "like 30s"),
            ("wait 0s", "from 1s"),
            ("wait 2d", "to 24h"),
        ] {
            let error = text.parse::<Step>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_may_be_a_password_is_not_shown() {
        let shown = |text: &str| text.parse::<Step>().unwrap().concealed();
        assert_eq!(shown("command rcon_pw secret"), "command rcon_pw ...");
        assert_eq!(shown("command save"), "command save");
        assert_eq!(shown("wait 5m"), "wait 5m");
    }

    proptest! {
        #[test]
        fn any_text_is_a_step_that_reads_back_as_itself_or_is_refused(
            text in prop_oneof![".{0,80}", "(start|stop|restart|command|snapshot|wait) .{0,20}", "wait [0-9]{1,6}(ms|s|m|h)"],
        ) {
            if let Ok(step) = text.parse::<Step>() {
                prop_assert_eq!(step.to_string().parse::<Step>(), Ok(step));
            }
        }
    }
}
