//! The verbs around the box as a whole: how it is, what is wrong with it, saving and loading it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    Session,
    control::{Control, Pieces},
    fault::Fault,
    print::{Cell, Colour, Out, Table, note},
    sheet::time,
    text,
};
use crate::{
    config::Config,
    daemon,
    store::{self, StateLock, Store},
};

pub(crate) async fn status(session: &Session) -> Result<(), Fault> {
    told(session, "/status").await
}

pub(crate) async fn doctor(session: &Session) -> Result<(), Fault> {
    told(session, "/doctor").await
}

async fn told(session: &Session, path: &str) -> Result<(), Fault> {
    let answer = session.control.get_slowly(path).await?;
    session.out.answer(&answer, || {
        let mut table = Table::fields();
        fields(&mut table, "", &answer.read()?);
        Ok(table.render(session.out.colour))
    })
}

/// Whatever the daemon tells of itself, as names and values: a newer daemon may tell more.
fn fields(table: &mut Table, name: &str, value: &Value) {
    let below = |part: &str| match name {
        "" => part.to_owned(),
        name => format!("{name} {part}"),
    };
    match value {
        Value::Object(members) => {
            for (part, value) in members {
                if let ("uptime_s", Some(seconds)) = (part.as_str(), value.as_u64()) {
                    table.field(&below("up"), time(seconds));
                    continue;
                }
                fields(table, &below(&part.replace('_', " ")), value);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for item in items {
                let line = match item {
                    Value::Object(members) => {
                        members.values().map(scalar).collect::<Vec<_>>().join("  ")
                    }
                    item => scalar(item),
                };
                table.row([Cell::coloured(name, Colour::Quiet), Cell::new(line)]);
            }
        }
        value => table.row([
            Cell::coloured(name, Colour::Quiet),
            Cell::new(scalar(value)),
        ]),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Every fault at once: of the configuration, and what the daemon finds, or without one what can be found offline.
pub(crate) async fn check(out: Out, loaded: Result<Config, Vec<String>>) -> Result<(), Fault> {
    let mut found = Vec::new();
    match loaded {
        Err(faults) => found = faults,
        Ok(config) => match Control::new(&config.state).get_slowly("/check").await {
            Ok(answer) => found.extend(listed(&answer.read()?)),
            Err(Fault::NoDaemon(_)) => {
                note("no daemon runs: checking what is on disk");
                found = offline(&config)?;
            }
            Err(fault) => return Err(fault),
        },
    }
    if out.json {
        out.line(&json!({ "faults": found }).to_string())?;
    } else {
        for fault in &found {
            out.line(&text::plain(fault))?;
        }
    }
    match found.len() {
        0 => {
            note("no faults");
            Ok(())
        }
        count => Err(Fault::Faulty(count)),
    }
}

/// `{"faults": [...]}`: a fault is a sentence.
fn listed(answer: &Value) -> Vec<String> {
    let faults = answer.get("faults").unwrap_or(answer);
    faults
        .as_array()
        .into_iter()
        .flatten()
        .map(scalar)
        .collect()
}

/// What can be found while no daemon runs. Nothing is created that was not there.
fn offline(config: &Config) -> Result<Vec<String>, Fault> {
    let mut found = daemon::definition_faults(config.data.as_deref());
    if !config.state.join("store").exists() {
        note(&format!("{} holds no store yet", config.state.display()));
        return Ok(found);
    }
    let _lock = StateLock::take(&config.state)?;
    match Store::open(&config.state) {
        Ok(store) => {
            let faults = store.check(&daemon::catalog());
            found.extend(faults.iter().map(ToString::to_string));
        }
        Err(error) => found.push(error.to_string()),
    }
    Ok(found)
}

/// Saves the store. A file is replaced only by a whole and synced new one, readable by its owner alone.
pub(crate) async fn backup(session: &Session, file: &Path) -> Result<(), Fault> {
    if file == Path::new("-") {
        if io::stdout().is_terminal() {
            return Err(Fault::Terminal);
        }
        let mut pieces = session.control.stream("/backup").await?;
        return filled(copy(&mut pieces, |piece| session.out.bytes(piece)).await?).map(drop);
    }
    let target = target(file)?;
    let mut pieces = session.control.stream("/backup").await?;
    let mut part = Part::create(target)?;
    let size = filled(copy(&mut pieces, |piece| part.write(piece)).await?)?;
    part.keep()?;
    note(&format!("saved {size} bytes to {}", file.display()));
    Ok(())
}

fn filled(size: u64) -> Result<u64, Fault> {
    match size {
        0 => Err(Fault::Garbage("the backup is empty".into())),
        size => Ok(size),
    }
}

/// Brings all of an answer to where `write` puts it. Answers how many bytes that were.
pub(crate) async fn copy(
    pieces: &mut Pieces,
    mut write: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<u64, Fault> {
    let mut size = 0;
    while let Some(piece) = pieces.next().await? {
        write(&piece)?;
        size += piece.len() as u64;
    }
    Ok(size)
}

/// The file to replace, behind symbolic links; what is there and no plain file is left alone.
pub(crate) fn target(file: &Path) -> Result<PathBuf, Fault> {
    let refuse = |source| Fault::File {
        path: file.into(),
        source,
    };
    match fs::metadata(file) {
        Ok(there) if there.is_file() => fs::canonicalize(file).map_err(refuse),
        Ok(_) => Err(refuse(io::Error::other("this is no plain file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file.into()),
        Err(error) => Err(refuse(error)),
    }
}

/// A file in the making, beside the one it will replace; gone again unless it is kept.
pub(crate) struct Part {
    target: PathBuf,
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Part {
    pub(crate) fn create(target: PathBuf) -> Result<Self, Fault> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match file {
            Ok(file) => Ok(Self {
                target,
                path,
                file,
                kept: false,
            }),
            Err(source) => Err(Fault::File { path, source }),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_all(bytes).map_err(|source| Fault::File {
            path: self.path.clone(),
            source,
        })
    }

    pub(crate) fn keep(&mut self) -> Result<(), Fault> {
        let folder = match self.target.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, &self.target))
            .and_then(|()| {
                self.kept = true;
                File::open(folder)?.sync_all()
            })
            .map_err(|source| Fault::File {
                path: self.target.clone(),
                source,
            })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            fs::remove_file(&self.path).ok(); // nothing else can be done about it
        }
    }
}

/// Loads a backup into an empty store. It holds the state folder's lock, so that no daemon is there.
pub(crate) async fn restore(out: Out, config: Config, file: PathBuf) -> Result<(), Fault> {
    // On a thread of its own, so that a signal can end it; what was half loaded is not kept.
    let load = move || {
        let refuse = |source| Fault::Restore {
            path: file.clone(),
            source,
        };
        let input: Box<dyn io::Read> = if file == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(&file).map_err(|error| refuse(error.into()))?)
        };
        let _lock = StateLock::take(&config.state)?;
        store::restore(&config.state, &daemon::catalog(), input).map_err(refuse)
    };
    let summary = tokio::task::spawn_blocking(load)
        .await
        .expect("restoring does not panic")?;
    for fault in &summary.faults {
        note(&format!(
            "carried along: {}",
            text::plain(&fault.to_string())
        ));
    }
    note(&format!("restored {} records", summary.records));
    if out.json {
        let told = json!({ "records": summary.records, "tables": summary.tables });
        out.line(&told.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_daemon_tells_is_shown() {
        let mut table = Table::fields();
        let told = json!({
            "version": "0.1.0", "uptime_s": 61, "ready": true, "setup": null, "listeners": {"http_listen": "[::]:8080"},
            "notes": [], "ports": [1, 2], "missing": [{"what": "cgroups", "why": "x\u{1b}"}, "more"]
        });
        fields(&mut table, "", &told);
        let shown = table.render(false);
        for line in [
            "version                0.1.0",
            "up                     1m 1s",
            "ready                  yes",
            "setup                  -",
            "listeners http listen  [::]:8080",
            "notes                  none",
            "ports                  1, 2",
            "missing                cgroups  x\\x1b",
            "missing                more",
        ] {
            assert!(
                shown.lines().any(|shown| shown == line),
                "{line} is not in\n{shown}"
            );
        }
    }

    #[test]
    fn a_part_that_is_not_kept_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("box.backup");
        fs::write(&file, "old").unwrap();
        let mut part = Part::create(target(&file).unwrap()).unwrap();
        part.write(b"new").unwrap();
        drop(part);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        let mut part = Part::create(target(&file).unwrap()).unwrap();
        part.write(b"new").unwrap();
        part.keep().unwrap();
        drop(part);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(target(Path::new("/dev/null")).is_err());
        assert!(target(folder.path()).is_err());
    }
}
