//! The verbs around servers' files.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::Duration,
};

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::{
    Session,
    args::{At, Files, FromTo},
    fault::Fault,
    print::{Cell, Colour, Table, note},
    server::find as find_server,
    storage::{Part, copy, target},
    text,
};
use crate::files::{CopyView, Deletion, Entry, Finds, Kind, Page, UploadView, Usage};

/// Bytes that are sent at a time.
const PIECE: u64 = 8 << 20;
/// How often a piece is sent again, and how long is waited before.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// Folders within folders that are sent.
const DEEP: usize = 64;

pub(crate) async fn run(session: &Session, verb: Files) -> Result<(), Fault> {
    match verb {
        Files::Ls { server, path } => list(session, &server, &path).await,
        Files::Get { at, file } => get(session, &at, file.as_deref()).await,
        Files::Put { server, file, path } => put(session, &server, &file, path.as_deref()).await,
        Files::Rm(at) => remove(session, &at).await,
        Files::Mv(two) => rename(session, &two).await,
        Files::Cp(two) => duplicate(session, &two).await,
        Files::Mkdir(at) => {
            let path = format!("/folder?path={}&parents=true", value(&at.path));
            ask(session, Method::POST, &at.server, &path).await
        }
        Files::Chmod { at, mode } => {
            let mode = value(OsStr::new(&mode));
            let path = format!("/mode?path={}&mode={mode}", value(&at.path));
            ask(session, Method::POST, &at.server, &path).await
        }
        Files::Bin { server } => bin(session, &server).await,
        Files::Undo { server, number, to } => undo(session, &server, number, to.as_deref()).await,
        Files::Find {
            server,
            path,
            name,
            text,
        } => find(session, &server, &path, name.as_deref(), text.as_deref()).await,
        Files::Usage { server } => usage(session, &server).await,
    }
}

/// A path, or anything, as a query's value.
fn value(path: &OsStr) -> String {
    percent_encode(path.as_bytes(), NON_ALPHANUMERIC).to_string()
}

/// Where the server's files are in the API.
async fn base(session: &Session, named: &str) -> Result<String, Fault> {
    let id = find_server(session, named).await?.id.0;
    Ok(format!("/servers/{id}/files"))
}

/// A change that has nothing to tell but that it is done.
async fn ask(session: &Session, method: Method, server: &str, path: &str) -> Result<(), Fault> {
    let path = base(session, server).await? + path;
    let answer = session.control.send_slowly(method, &path, None).await?;
    session.out.answer(&answer, || Ok(String::new()))
}

async fn list(session: &Session, server: &str, path: &OsStr) -> Result<(), Fault> {
    let base = base(session, server).await?;
    let mut table = Table::new(&["KIND", "SIZE", "MODE", "MODIFIED", "NAME"]);
    let mut after = String::new();
    loop {
        let path = format!("{base}?path={}{after}", value(path));
        let answer = session.control.get(&path).await?;
        let page: Page = answer.read()?;
        if session.out.json {
            session.out.line(answer.text().trim_end())?;
        }
        for entry in &page.entries {
            table.row(row(entry));
        }
        match page.next {
            // It is percent-encoded already.
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    match session.out.json {
        true => Ok(()),
        false => session
            .out
            .bytes(table.render(session.out.colour).as_bytes()),
    }
}

fn row(entry: &Entry) -> [Cell; 5] {
    let name = match &entry.target {
        Some(target) => format!("{} -> {target}", entry.name),
        None => entry.name.clone(),
    };
    let size = (entry.kind == Kind::File).then_some(entry.size);
    [
        Cell::coloured(entry.kind.name(), Colour::Quiet),
        Cell::maybe(size),
        Cell::new(&entry.mode),
        Cell::new(entry.modified),
        Cell::new(name),
    ]
}

async fn get(session: &Session, at: &At, file: Option<&Path>) -> Result<(), Fault> {
    let path = base(session, &at.server).await? + "/content?path=" + &value(&at.path);
    if file == Some(Path::new("-")) {
        let mut pieces = session.control.stream(&path).await?;
        return copy(&mut pieces, |piece| session.out.bytes(piece))
            .await
            .map(drop);
    }
    let name = at.path.as_bytes().rsplit(|&byte| byte == b'/').next();
    let name = Path::new(OsStr::from_bytes(name.unwrap_or_default()));
    let file = file.unwrap_or(name);
    let target = target(file)?;
    let mut pieces = session.control.stream(&path).await?;
    let mut part = Part::create(target)?;
    let size = copy(&mut pieces, |piece| part.write(piece)).await?;
    part.keep()?;
    note(&format!("fetched {size} bytes to {}", file.display()));
    Ok(())
}

async fn put(
    session: &Session,
    server: &str,
    file: &Path,
    path: Option<&OsStr>,
) -> Result<(), Fault> {
    let base = base(session, server).await?;
    let whole = file
        .canonicalize()
        .map_err(|source| at_file(file, source))?;
    let path = path.or(whole.file_name()).unwrap_or_default();
    let path = path.as_bytes().to_vec();
    let mut todo = vec![(whole, path, 0)];
    let (mut files, mut bytes) = (0_u64, 0);
    while let Some((file, path, depth)) = todo.pop() {
        let about = file
            .symlink_metadata()
            .map_err(|source| at_file(&file, source))?;
        if about.is_dir() && depth < DEEP {
            let made = format!(
                "{base}/folder?parents=true&path={}",
                value(OsStr::from_bytes(&path))
            );
            match session.control.send(Method::POST, &made, None).await {
                Err(Fault::Refused(problem)) if problem.code == "file-exists" => {}
                made => drop(made?),
            }
            let inner = file.read_dir().map_err(|source| at_file(&file, source))?;
            for entry in inner {
                let entry = entry.map_err(|source| at_file(&file, source))?;
                let mut path = path.clone();
                path.push(b'/');
                path.extend_from_slice(entry.file_name().as_bytes());
                todo.push((entry.path(), path, depth + 1));
            }
        } else if about.is_file() {
            bytes += send(session, &base, &file, &path).await?;
            files += 1;
        } else {
            note(&format!(
                "left out: {} is no plain file",
                text::plain(&file.to_string_lossy())
            ));
        }
    }
    note(&format!("sent {bytes} bytes in {files} files"));
    Ok(())
}

fn at_file(path: &Path, source: io::Error) -> Fault {
    Fault::File {
        path: path.into(),
        source,
    }
}

/// Sends one file, piece by piece; a piece that did not arrive is sent again.
async fn send(session: &Session, base: &str, file: &Path, path: &[u8]) -> Result<u64, Fault> {
    let failed = |source| at_file(file, source);
    let mut opened = File::open(file).map_err(failed)?;
    let about = opened.metadata().map_err(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777;
    let begin = format!(
        "{base}/uploads?path={}&size={}&mode={mode:o}",
        value(OsStr::from_bytes(path)),
        about.len()
    );
    let upload = session.control.send(Method::POST, &begin, None).await?;
    let upload: UploadView = upload.read()?;
    let place = format!("{base}/uploads/{}", upload.id);
    let (mut offset, mut tries) = (0, 0);
    while offset < upload.size {
        opened.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut piece = Vec::new();
        (&opened)
            .take(PIECE.min(upload.size - offset))
            .read_to_end(&mut piece)
            .map_err(failed)?;
        if piece.is_empty() {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let sent = session
            .control
            .put(&format!("{place}?offset={offset}"), piece.into())
            .await;
        let told = match sent {
            Err(fault) if fault.passes() && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
                session.control.get(&place).await
            }
            sent => sent,
        };
        match told {
            Ok(told) => offset = told.read::<UploadView>()?.offset,
            Err(fault) if fault.passes() && tries < TRIES => {}
            Err(fault) => return Err(fault),
        }
    }
    let finish = format!("{place}/finish");
    session
        .control
        .send_slowly(Method::POST, &finish, None)
        .await?;
    Ok(upload.size)
}

async fn remove(session: &Session, at: &At) -> Result<(), Fault> {
    let path = base(session, &at.server).await? + "?path=" + &value(&at.path);
    let answer = session.control.send(Method::DELETE, &path, None).await?;
    session.out.answer(&answer, || {
        let gone: Deletion = answer.read()?;
        note(&format!(
            "moved to the bin; have it back with `longhouse files undo {} {}`",
            text::plain(&at.server),
            gone.id
        ));
        Ok(String::new())
    })
}

fn two(two: &FromTo) -> String {
    let (from, to, replace) = (value(&two.from), value(&two.to), two.replace);
    format!("?from={from}&to={to}&replace={replace}")
}

async fn rename(session: &Session, paths: &FromTo) -> Result<(), Fault> {
    let path = format!("/move{}", two(paths));
    ask(session, Method::POST, &paths.server, &path).await
}

async fn duplicate(session: &Session, paths: &FromTo) -> Result<(), Fault> {
    let path = base(session, &paths.server).await? + "/copy" + &two(paths);
    let answer = session
        .control
        .send_slowly(Method::POST, &path, None)
        .await?;
    session.out.answer(&answer, || {
        let copied: CopyView = answer.read()?;
        let CopyView {
            files,
            bytes,
            skipped,
            ..
        } = copied;
        note(&format!("copied {bytes} bytes in {files} files"));
        if skipped > 0 {
            note(&format!(
                "left out: {skipped} pipes, devices, or what cannot be read"
            ));
        }
        Ok(String::new())
    })
}

async fn bin(session: &Session, server: &str) -> Result<(), Fault> {
    let path = base(session, server).await? + "/bin";
    let answer = session.control.get(&path).await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["NUMBER", "DELETED", "KIND", "PATH"]);
        for gone in answer.read::<Vec<Deletion>>()? {
            table.row([
                Cell::new(gone.id),
                Cell::new(gone.deleted),
                Cell::coloured(gone.kind.name(), Colour::Quiet),
                Cell::new(gone.path),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

async fn undo(
    session: &Session,
    server: &str,
    number: Option<u64>,
    to: Option<&OsStr>,
) -> Result<(), Fault> {
    let base = base(session, server).await?;
    let number = match number {
        Some(number) => number,
        None => {
            let bin: Vec<Deletion> = session.control.get(&format!("{base}/bin")).await?.read()?;
            bin.first().ok_or(Fault::EmptyBin)?.id
        }
    };
    let to = to.map_or(String::new(), |to| format!("?to={}", value(to)));
    let path = format!("{base}/bin/{number}/undo{to}");
    let answer = session.control.send(Method::POST, &path, None).await?;
    session.out.answer(&answer, || Ok(String::new()))
}

async fn find(
    session: &Session,
    server: &str,
    path: &OsStr,
    name: Option<&str>,
    text: Option<&str>,
) -> Result<(), Fault> {
    let mut asked = base(session, server).await? + "/search?path=" + &value(path);
    for (key, word) in [("name", name), ("text", text)] {
        if let Some(word) = word {
            asked += &format!("&{key}={}", value(OsStr::new(word)));
        }
    }
    let answer = session.control.get(&asked).await?;
    session.out.answer(&answer, || {
        let finds: Finds = answer.read()?;
        if !finds.complete {
            note(
                "there is more than one search goes through: name a folder, or a narrower pattern",
            );
        }
        let lines = finds.found.iter().map(|find| {
            let path = text::plain(&find.path);
            match (find.line, &find.text) {
                (Some(line), Some(text)) => format!("{path}:{line}: {}\n", text::plain(text)),
                _ => format!("{path}\n"),
            }
        });
        Ok(lines.collect())
    })
}

async fn usage(session: &Session, server: &str) -> Result<(), Fault> {
    let path = base(session, server).await? + "/usage";
    let answer = session.control.get_slowly(&path).await?;
    session.out.answer(&answer, || {
        let usage: Usage = answer.read()?;
        let mut table = Table::fields();
        table.field("used", usage.used);
        table.row([
            Cell::coloured("limit", Colour::Quiet),
            Cell::maybe(usage.limit),
        ]);
        table.field("bin", usage.bin);
        Ok(table.render(session.out.colour))
    })
}
