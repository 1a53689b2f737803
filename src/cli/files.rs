//! The verbs around servers' files.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::json;

use super::{
    Session,
    args::{At, Files, FromTo, Packing, Unpacking},
    control::Answer,
    fault::Fault,
    print::{Cell, Colour, Table, note},
    server::find as find_server,
    text, transfer,
};
use crate::files::{CopyView, Deletion, Entry, Finds, Kind, Page, Usage};

pub(crate) async fn run(session: &Session, verb: Files) -> Result<(), Fault> {
    match verb {
        Files::Ls { server, path } => list(session, &server, &path).await,
        Files::Get {
            at,
            file,
            recursive: false,
        } => transfer::get(session, &at, file.as_deref()).await,
        Files::Get { at, file, .. } => transfer::get_folder(session, &at, file.as_deref()).await,
        Files::Put { server, file, path } => {
            transfer::put(session, &server, &file, path.as_deref()).await
        }
        Files::Pack(packing) => pack(session, packing).await,
        Files::Unpack(unpacking) => unpack(session, &unpacking).await,
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
pub(crate) fn value(path: &OsStr) -> String {
    percent_encode(path.as_bytes(), NON_ALPHANUMERIC).to_string()
}

/// Where the server's files are in the API.
pub(crate) async fn base(session: &Session, named: &str) -> Result<String, Fault> {
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
    copied(session, &answer, "copied")
}

/// What of many files was done, and what was not.
fn copied(session: &Session, answer: &Answer, done: &str) -> Result<(), Fault> {
    session.out.answer(answer, || {
        let copied: CopyView = answer.read()?;
        let CopyView {
            files,
            bytes,
            skipped,
            ..
        } = copied;
        note(&format!("{done} {bytes} bytes in {files} files"));
        if skipped > 0 {
            note(&format!(
                "left out: {skipped} pipes, devices, or what cannot be read"
            ));
        }
        Ok(String::new())
    })
}

async fn pack(session: &Session, packing: Packing) -> Result<(), Fault> {
    let path = base(session, &packing.server).await? + "/archive";
    let wish = json!({
        "paths": packing.paths,
        "base": packing.base,
        "to": packing.archive,
        "replace": packing.replace,
    });
    let answer = session
        .control
        .send_slowly(Method::POST, &path, Some(&wish));
    copied(session, &answer.await?, "packed")
}

async fn unpack(session: &Session, unpacking: &Unpacking) -> Result<(), Fault> {
    let path = format!(
        "{}/extract?path={}&to={}&replace={}",
        base(session, &unpacking.server).await?,
        value(&unpacking.archive),
        value(&unpacking.to),
        unpacking.replace
    );
    let answer = session.control.send_slowly(Method::POST, &path, None);
    copied(session, &answer.await?, "unpacked")
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
