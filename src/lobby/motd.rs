//! The message of the day: a text in which `%x` stands for something about the box. Source: seed 002, facts 3.5.
//!
//! `%a` administrator, `%e` their mail address, `%C` processor, `%d` date, `%t` time, `%g` tables, `%G` always 0, `%h`
//! host, `%o` operating system, `%p` port, `%u` how long the box has been up, `%U` players, `%v` version. Any other `%x`
//! stays as it is, `%%` too.

use std::{io, path::Path, time::Duration};

use jiff::Zoned;

use super::definition::read_file;

/// The text, where the data folder has no `motd.txt`.
pub const DEFAULT: &str = include_str!("../../data/motd.txt");

/// A file that is longer is not read.
const MAX_FILE: usize = 16 << 10;

/// What a message of the day can tell.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who runs the box.
    pub admin: String,
    /// Their mail address.
    pub mail: String,
    /// The processor, as `uname -m` says it.
    pub machine: String,
    /// The host's name.
    pub host: String,
    /// The operating system's name.
    pub system: String,
    /// The lobby's port.
    pub port: u16,
    /// Since the box was started.
    pub uptime: Duration,
    /// In the box's time zone.
    pub now: Zoned,
    /// In all rooms.
    pub tables: usize,
    /// In all rooms, and between them.
    pub players: usize,
    /// Of the box.
    pub version: String,
}

/// Why there is no text. To be logged; [`DEFAULT`] serves until it is put right.
#[derive(Debug, thiserror::Error)]
#[error("the message of the day, {path}, cannot be read: {error}")]
pub struct MotdError {
    /// The file.
    path: String,
    error: io::Error,
}

/// The text as it is just now: `motd.txt` of the data folder, else [`DEFAULT`]. Blocks while it reads.
pub fn read(data: Option<&Path>) -> Result<String, MotdError> {
    let Some(data) = data else {
        return Ok(DEFAULT.into());
    };
    let path = data.join("motd.txt");
    match read_file(&path, MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DEFAULT.into()),
        read => read.map_err(|error| MotdError {
            path: path.display().to_string(),
            error,
        }),
    }
}

/// `text` with what it asks for put in, cut to `longest` bytes at a character's end.
pub fn render(text: &str, facts: &Facts, longest: usize) -> String {
    let mut done = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if done.len() >= longest {
            break;
        }
        let specifier = (c == '%').then(|| chars.next()).flatten();
        match specifier.map(|specifier| (specifier, facts.word(specifier))) {
            Some((_, Some(word))) => done.push_str(&word),
            Some((specifier, None)) => done.extend([c, specifier]),
            None => done.push(c),
        }
    }
    let mut end = longest.min(done.len());
    while !done.is_char_boundary(end) {
        end -= 1;
    }
    done.truncate(end);
    done
}

impl Facts {
    fn word(&self, specifier: char) -> Option<String> {
        Some(match specifier {
            'a' => self.admin.clone(),
            'C' => self.machine.clone(),
            'd' => self.now.strftime("%B %e, %Y").to_string(),
            'e' => self.mail.clone(),
            'g' => self.tables.to_string(),
            'G' => "0".into(),
            'h' => self.host.clone(),
            'o' => self.system.clone(),
            'p' => self.port.to_string(),
            't' => self.now.strftime("%H:%M %Z").to_string(),
            'u' => uptime(self.uptime),
            'U' => self.players.to_string(),
            'v' => self.version.clone(),
            _ => return None,
        })
    }
}

/// As the original says it: in whole days and hours.
fn uptime(up: Duration) -> String {
    let hours = up.as_secs() / 3600;
    let count = |n: u64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match (hours / 24, hours % 24) {
        (0, 0) => "less than 1 hour".into(),
        (0, hours) => count(hours, "hour"),
        (days, 0) => count(days, "day"),
        (days, hours) => format!("{} and {}", count(days, "day"), count(hours, "hour")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::{civil::date, tz::TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn facts() -> Facts {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Facts {
            admin: "Ada".into(),
            mail: "ada@example.org".into(),
            machine: "x86_64".into(),
            host: "box".into(),
            system: "Linux".into(),
            port: 5688,
            uptime: Duration::from_secs(2 * 86_400 + 3600),
            now: date(2026, 7, 4).at(9, 5, 0, 0).to_zoned(zone).unwrap(),
            tables: 3,
            players: 12,
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn every_specifier_of_the_original_is_put_in() {
        let text = "%a %C|%d|%e %g %G %h %o %p|%t|%u|%U %v";
        assert_eq!(
            render(text, &facts(), 1000),
            "Ada x86_64|July  4, 2026|ada@example.org 3 0 box Linux 5688|09:05 CEST|2 days and 1 hour|12 0.1.0"
        );
    }

    #[test]
    fn any_other_stays_as_it_is() {
        for text in ["100%", "%%", "%%a is %x", "%ä%", "%", ""] {
            assert_eq!(render(text, &facts(), 1000), text);
        }
    }

    #[test]
    fn what_is_put_in_is_not_looked_at_again() {
        let mut facts = facts();
        facts.admin = "%v%".into();
        assert_eq!(render("%av", &facts, 1000), "%v%v");
    }

    #[test]
    fn time_is_told_in_whole_hours() {
        let said = |hours: u64| uptime(Duration::from_secs(hours * 3600 + 3599));
        for (hours, expected) in [
            (0, "less than 1 hour"),
            (1, "1 hour"),
            (3, "3 hours"),
            (24, "1 day"),
            (48, "2 days"),
            (49, "2 days and 1 hour"),
            (24 + 5, "1 day and 5 hours"),
        ] {
            assert_eq!(said(hours), expected);
        }
    }

    #[test]
    fn the_file_is_read_anew_and_the_default_serves_without_one() {
        let data = tempfile::tempdir().unwrap();
        let motd = data.path().join("motd.txt");
        assert_eq!(read(None).unwrap(), DEFAULT);
        assert_eq!(read(Some(data.path())).unwrap(), DEFAULT);
        for text in ["one", "two"] {
            fs::write(&motd, text).unwrap();
            assert_eq!(read(Some(data.path())).unwrap(), text);
        }
        fs::write(&motd, "x".repeat(MAX_FILE + 1)).unwrap();
        let error = read(Some(data.path())).unwrap_err().to_string();
        assert!(
            error.contains("motd.txt") && error.contains("16384 bytes"),
            "{error}"
        );
    }

    #[test]
    fn the_default_leaves_nothing_unsaid() {
        let said = render(DEFAULT, &facts(), usize::MAX);
        assert!(!said.contains('%') && said.len() < 1024, "{said}");
    }

    proptest! {
        #[test]
        fn it_is_never_longer_than_it_may_be(text in "(%[aCdegGhoptuUv%]|\\PC){0,20}", longest in 0usize..60) {
            prop_assert!(render(&text, &facts(), longest).len() <= longest);
        }
    }
}
