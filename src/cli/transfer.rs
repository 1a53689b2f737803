//! Files and folders on their way between here and a server.
//!
//! A folder comes as one tar archive: many files cost one request, and it is there as a whole or not at all. It goes file
//! by file, so that a large one goes on where it was when the line breaks.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    time::Duration,
};

use hyper::Method;

use super::{
    Session,
    args::At,
    fault::Fault,
    files::{base, value},
    folder,
    print::note,
    storage::{Part, copy, target},
    text,
};
use crate::files::{UploadView, archive::Format};

/// Bytes that are sent at a time.
const PIECE: u64 = 8 << 20;
/// How often a piece is sent again, and how long is waited before.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// Folders within folders that are sent.
const DEEP: usize = 64;

/// Fetches a file.
pub(crate) async fn get(session: &Session, at: &At, file: Option<&Path>) -> Result<(), Fault> {
    let path = base(session, &at.server).await? + "/content?path=" + &value(&at.path);
    let fetched = to_file(session, &path, file.unwrap_or(name(at))).await;
    fetched.map_err(|fault| match fault {
        Fault::Refused(mut problem) if problem.detail.ends_with("is a folder") => {
            problem.hint = Some("-r fetches a folder with all in it".into());
            Fault::Refused(problem)
        }
        fault => fault,
    })
}

/// The last name of what is fetched.
fn name(at: &At) -> &Path {
    let mut names = at.path.as_bytes().split(|&byte| byte == b'/');
    let last = names.rfind(|name| !name.is_empty()).unwrap_or_default();
    Path::new(OsStr::from_bytes(last))
}

/// Brings what the API answers at `path` to a file, or to standard output.
async fn to_file(session: &Session, path: &str, file: &Path) -> Result<(), Fault> {
    if file == Path::new("-") {
        let mut pieces = session.control.stream(path).await?;
        return copy(&mut pieces, |piece| session.out.bytes(piece))
            .await
            .map(drop);
    }
    let target = target(file)?;
    let mut pieces = session.control.stream(path).await?;
    let mut part = Part::create(target)?;
    let size = copy(&mut pieces, |piece| part.write(piece)).await?;
    part.keep()?;
    note(&format!("fetched {size} bytes to {}", file.display()));
    Ok(())
}

/// Fetches a folder with all in it: as an archive where the file's name says so, else as a folder.
pub(crate) async fn get_folder(
    session: &Session,
    at: &At,
    file: Option<&Path>,
) -> Result<(), Fault> {
    let named = match name(at) {
        name if name == Path::new("") => Path::new("files"),
        name => name,
    };
    let file = file.unwrap_or(named);
    let format = match file == Path::new("-") {
        true => Some(Format::Tar),
        false => Format::of_name(file.as_os_str().as_bytes()),
    };
    let path = base(session, &at.server).await? + "/folder?path=" + &value(&at.path);
    let path = format!("{path}&format={}", format.unwrap_or(Format::Tar).name());
    match format {
        Some(_) => to_file(session, &path, file).await,
        None => folder::fetch(session, &path, file).await,
    }
}

/// Sends a file, or a folder with all in it.
pub(crate) async fn put(
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

pub(crate) fn at_file(path: &Path, source: io::Error) -> Fault {
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
    let mode = about.permissions().mode() & 0o777;
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
