//! mottdd: the game in a server. It works for every game, not for OpenTTD alone; the names are MyOTTD's.

use std::fs;

use super::{
    Daemon, Services,
    fault::{Code, Fault},
    method::{Asked, Method, Outcome, Type},
    wire::Value,
};
use crate::{
    accounts::{Subject, Verb},
    console::{Entry, Kind},
    hosting::{HostingError, State, View},
};

/// Console lines in one answer, at most.
const LINES: usize = 10_000;
/// Bytes of a command line that are told.
const CMDLINE: usize = 4096;

pub(super) fn methods() -> Vec<Method> {
    const D: Daemon = Daemon::Mottdd;
    vec![
        Method::new(
            D,
            "server_status",
            "How a server and the game in it are: {is_vserver_running, is_ottd_running, ottd_version, ottd_uptime}. \
             The first says whether the server's processes are there or on their way, the second whether the game's \
             is. The version is the one that runs, else the one that will. The time is in seconds, and 0 while the \
             game does not run.",
            server_status,
        )
        .takes("id", Type::Int)
        .returns(Type::Struct),
        Method::new(
            D,
            "server_details",
            "The same with ottd_cmdline, the command line that the game runs with: empty while it does not run, and \
             for who may not change the server, since passwords may be in it.",
            server_details,
        )
        .takes("id", Type::Int)
        .returns(Type::Struct),
        Method::new(
            D,
            "server_start",
            "Starts a server. Extra arguments are not taken: the game's definition says what it is started with, and \
             the server's settings what is in there.",
            server_start,
        )
        .takes("id", Type::Int)
        .may_take("args", Type::Any)
        .changes(),
        Method::new(
            D,
            "server_stop",
            "Stops a server in its game's own way, then by force.",
            server_stop,
        )
        .takes("id", Type::Int)
        .changes(),
        Method::new(
            D,
            "server_version",
            "Chooses the version of the game that a server has, and stops it for that when it runs.",
            server_version,
        )
        .takes("id", Type::Int)
        .takes("version", Type::String)
        .changes(),
        Method::new(
            D,
            "server_console_fetch",
            "The newest lines of a server's console, oldest first: [{type, ts, line}]. The type is stdout, stderr, \
             stdin or log (what the box did), ts the time in seconds since 1970, a double. At most 10000 lines.",
            server_console_fetch,
        )
        .takes("id", Type::Int)
        .takes("count", Type::Int)
        .returns(Type::Array),
        Method::new(
            D,
            "server_console_write",
            "Types a line into a server's console. It shows in what server_console_fetch returns.",
            server_console_write,
        )
        .takes("id", Type::Int)
        .takes("line", Type::String)
        .changes(),
        Method::new(
            D,
            "server_console_stream",
            "Streams a server's console to an address and port, to which the box connects: what comes from now on, and \
             what is typed there. Returns once both greetings were exchanged. Goes to private addresses and to those \
             that the administrator named.",
            server_console_stream,
        )
        .takes("id", Type::Int)
        .takes("addr", Type::String)
        .takes("port", Type::Int)
        .changes(),
        Method::new(
            D,
            "server_config_path",
            "The path of the file that configures the game, as mfiled's methods take it.",
            server_config_path,
        )
        .takes("id", Type::Int)
        .returns(Type::String),
    ]
}

async fn server_status(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let view = services.hosting.get(&asked.by, id).await?;
    Ok(Value::record(status(&view)))
}

fn status(view: &View) -> [(&'static str, Value); 4] {
    let there = !matches!(view.state, State::Stopped | State::Failed);
    let uptime = i64::try_from(view.uptime_s.unwrap_or(0)).unwrap_or(i64::MAX);
    // The game that runs is of the version that was mounted; another one comes at its next start.
    let runs = view.mounted_version.as_ref().filter(|_| view.pid.is_some());
    let version = runs.unwrap_or(&view.version);
    [
        ("is_vserver_running", there.into()),
        ("is_ottd_running", view.pid.is_some().into()),
        ("ottd_version", version.clone().into()),
        ("ottd_uptime", uptime.into()),
    ]
}

async fn server_details(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let view = services.hosting.get(&asked.by, id).await?;
    let owner = view.owner_id;
    let subject = Subject::Server { id, owner };
    let may = services
        .accounts
        .allows(&asked.by, Verb::ServerConfigure, subject);
    let cmdline = match view.pid {
        Some(pid) if may => cmdline(pid),
        _ => String::new(),
    };
    let [a, b, c, d] = status(&view);
    Ok(Value::record([
        a,
        b,
        c,
        d,
        ("ottd_cmdline", cmdline.into()),
    ]))
}

/// What a process was started with, its words quoted where that is needed; nothing when it has ended meanwhile.
fn cmdline(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if words.is_empty() {
        return String::new();
    }
    let words: Vec<_> = words
        .strip_suffix(b"\0")
        .unwrap_or(&words)
        .split(|byte| *byte == 0)
        .map(|word| {
            let word: String = String::from_utf8_lossy(word).escape_debug().collect();
            match word.is_empty() || word.contains(char::is_whitespace) {
                true => format!("\"{word}\""),
                false => word,
            }
        })
        .collect();
    words.join(" ").chars().take(CMDLINE).collect()
}

async fn server_start(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let none = match asked.args.any() {
        None => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    if !none {
        let why = "extra arguments are not taken: leave them out, or change the server's settings";
        return Err(Fault::argument("args", why));
    }
    services.hosting.start(&asked.by, id).await?;
    Ok(true.into())
}

async fn server_stop(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    services.hosting.stop(&asked.by, id).await?;
    Ok(true.into())
}

async fn server_version(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let version = asked.args.text()?;
    let hosting = &services.hosting;
    hosting.switch_version(&asked.by, id, version).await?;
    Ok(true.into())
}

async fn server_console_fetch(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let count = asked.args.int()?;
    let count = usize::try_from(count).map_err(|_| Fault::argument("count", "is less than 0"))?;
    let (mut reader, _) = services.hosting.console(&asked.by, id).await?;
    let read = move || reader.last(count.min(LINES));
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(|_| Fault::new(Code::Closing, "the box is shutting down"))?;
    let batch = read.map_err(|source| {
        let path = "console".into();
        Fault::from(HostingError::Io { path, source })
    })?;
    Ok(lines(&batch.entries).into())
}

/// Pieces of one line are one line again.
fn lines(entries: &[Entry]) -> Vec<Value> {
    let mut lines: Vec<(&Entry, String)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for entry in entries {
        let known = open.iter().position(|at| lines[*at].0.kind == entry.kind);
        let at = match known {
            Some(known) => open[known],
            None => {
                lines.push((entry, String::new()));
                lines.len() - 1
            }
        };
        // Text for people: whoever needs each byte reads the console by the HTTP API.
        lines[at].1.extend(entry.lossy().chars().map(visible));
        match (entry.more, known) {
            (true, None) => open.push(at),
            (false, Some(known)) => drop(open.swap_remove(known)),
            _ => {}
        }
    }
    lines
        .into_iter()
        .map(|(entry, text)| {
            let seconds = entry.time.0 as f64 / 1000.0;
            Value::record([
                ("type", word(entry.kind).into()),
                ("ts", Value::Double(seconds)),
                ("line", text.into()),
            ])
        })
        .collect()
}

/// A line is a string for every client, so what XML cannot carry is shown as what cannot be shown.
fn visible(c: char) -> char {
    match c {
        '\t' | ' '..='\u{fffd}' | '\u{10000}'.. => c,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Stdout => "stdout",
        Kind::Stderr => "stderr",
        Kind::Stdin => "stdin",
        Kind::Log => "log",
    }
}

async fn server_console_write(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let line = asked.args.text()?;
    services.hosting.command(&asked.by, id, &line).await?;
    Ok(true.into())
}

async fn server_console_stream(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let host = asked.args.text()?;
    let port = asked.args.int()?;
    let port = u16::try_from(port).map_err(|_| Fault::argument("port", "must be 1 to 65535"))?;
    let streams = services.streams.clone();
    streams.open(&services, &asked.by, id, &host, port).await?;
    Ok(true.into())
}

async fn server_config_path(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let path = services.hosting.config_path(&asked.by, id).await?;
    match path {
        Some(path) => Ok(format!("/{path}").into()),
        None => Err(Fault::argument(
            "id",
            "this game's definition names no configuration file",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;

    fn entry(seq: u64, kind: Kind, text: &[u8], more: bool) -> Entry {
        let time = UnixMillis(1_500 + seq);
        let text = text.to_vec();
        Entry {
            seq,
            time,
            kind,
            text,
            more,
        }
    }

    #[test]
    fn pieces_are_put_together_by_kind_and_shown_as_text() {
        let entries = [
            entry(1, Kind::Stdout, b"one ", true),
            entry(2, Kind::Stderr, b"oh\x1b[0m", false),
            entry(3, Kind::Stdout, b"line", false),
            entry(4, Kind::Stdin, b"caf\xe9", false),
            entry(5, Kind::Stdout, b"unfinished", true),
        ];
        let told: Vec<_> = lines(&entries)
            .into_iter()
            .map(|line| match line {
                Value::Struct(mut line) => {
                    (line.remove("type").unwrap(), line.remove("line").unwrap())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            ("stdout", "one line"),
            ("stderr", "oh\u{fffd}[0m"),
            ("stdin", "caf\u{fffd}"),
            ("stdout", "unfinished"),
        ];
        assert_eq!(
            told,
            expected.map(|(kind, line)| (kind.into(), line.into()))
        );
    }

    #[test]
    fn a_command_line_is_told_as_it_could_be_typed() {
        assert!(cmdline(std::process::id()).contains("longhouse"));
        assert_eq!(cmdline(u32::MAX), "");
    }
}
