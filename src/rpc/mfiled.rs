//! mfiled: a server's files. A path may begin with a slash, which is the server's folder. What no string can carry (a
//! name or a file that is no text) comes as base64, and may be given so. What looks at files mounts the server first.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{
    Daemon, Services,
    fault::{Code, Fault},
    method::{Args, Asked, Method, Outcome, Type},
    wire::Value,
};
use crate::{
    accounts::{Principal, ServerId, Subject, Verb},
    files::{Entry, FilePath, FilesError, Kind, Page, Replace, Wish},
    hosting::HostingError,
};

/// Entries in one answer, at most.
const ENTRIES: usize = 10_000;
/// Bytes of a file in one answer, at most: what one call may bring, too.
const BYTES: u64 = 12 << 20;

pub(super) fn methods() -> Vec<Method> {
    const D: Daemon = Daemon::Mfiled;
    vec![
        Method::new(
            D,
            "file_list",
            "What is in a folder, with `.` and `..`: [{type, filename, filesize, perms, mtime}]. The type is dir, file, \
             dev, fifo or other, perms what the server's user may do as `rwx`, mtime seconds since 1970. At most 10000 \
             entries: the web API lists larger folders page by page. Mounts the server first, if who asks may.",
            file_list,
        )
        .takes("id", Type::Int)
        .takes("dir", Type::Data)
        .returns(Type::Array),
        Method::new(
            D,
            "file_info",
            "One file or folder: {type, filename, filesize, perms, mtime}. Mounts the server first, if who asks may.",
            file_info,
        )
        .takes("id", Type::Int)
        .takes("path", Type::Data)
        .returns(Type::Struct),
        Method::new(
            D,
            "file_delete",
            "Deletes a file, or a folder with all that is in it. The type says which of the two it is meant to be: \
             file or dir. It can be had back from the server's bin for a while.",
            file_delete,
        )
        .takes("id", Type::Int)
        .takes("path", Type::Data)
        .takes("type", Type::String)
        .changes(),
        Method::new(
            D,
            "file_get_contents",
            "What a file holds: a string, or base64 where it is no text. At most 12 MiB; /download has no limit. Mounts the \
             server first, if who asks may.",
            file_get_contents,
        )
        .takes("id", Type::Int)
        .takes("path", Type::Data)
        .returns(Type::Any),
        Method::new(
            D,
            "file_put_contents",
            "Replaces what a file holds, at once and as a whole; one that is not there is made.",
            file_put_contents,
        )
        .takes("id", Type::Int)
        .takes("path", Type::Data)
        .takes("data", Type::Data)
        .changes(),
    ]
}

/// A path, from the server's folder.
fn path(args: &mut Args) -> Result<FilePath, Fault> {
    let bytes = args.data()?;
    FilePath::rooted(&bytes).map_err(|error| FilesError::from(error).into())
}

/// As a string where XML can carry it as it is, else as base64.
fn told(bytes: Vec<u8>) -> Value {
    // A carriage return would arrive as a newline.
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    match String::from_utf8(bytes) {
        Ok(text)
            if text
                .chars()
                .all(|c| plain(c) && !matches!(c, '\u{fffe}' | '\u{ffff}')) =>
        {
            text.into()
        }
        Ok(text) => Value::Base64(text.into_bytes()),
        Err(error) => Value::Base64(error.into_bytes()),
    }
}

fn entry(entry: &Entry, filename: Value) -> Value {
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Folder => "dir",
        Kind::Device => "dev",
        Kind::Pipe => "fifo",
        Kind::Link | Kind::Socket => "other",
    };
    let bits = u32::from_str_radix(&entry.mode, 8).unwrap_or(0) >> 6;
    let letters = [(4, 'r'), (2, 'w'), (1, 'x')];
    let perms: String = letters
        .map(|(bit, letter)| if bits & bit == 0 { '-' } else { letter })
        .iter()
        .collect();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    // Sizes are ints, which have 32 bits on the wire; what has more comes as a double, which has 53.
    let size = match i32::try_from(entry.size) {
        Ok(size) => Value::Int(size.into()),
        Err(_) => Value::Double(entry.size as f64),
    };
    Value::record([
        ("type", kind.into()),
        ("filename", filename),
        ("filesize", size),
        ("perms", perms.into()),
        ("mtime", whole(entry.modified.0 / 1000).into()),
    ])
}

/// Its name as bytes.
fn name(entry: &Entry) -> Vec<u8> {
    let raw = entry
        .raw
        .as_deref()
        .and_then(|raw| FilePath::from_raw(raw).ok());
    raw.map_or_else(
        || entry.name.clone().into_bytes(),
        |path| path.as_bytes().to_vec(),
    )
}

/// Mounts it first, as mvsrvd would, if who asks may: what the box writes among its files is there only then.
async fn mounted(services: &Services, by: &Principal, id: ServerId) -> Result<(), Fault> {
    let hosting = &services.hosting;
    let view = hosting.get(by, id).await?;
    let owner = view.owner_id;
    let subject = Subject::Server { id, owner };
    if view.mounted || !services.accounts.allows(by, Verb::ServerPower, subject) {
        return Ok(());
    }
    match hosting.mount(by, id).await {
        Ok(_) => Ok(()),
        // What cannot be mounted just now has files all the same.
        Err(
            HostingError::OverBudget { .. }
            | HostingError::Unavailable { .. }
            | HostingError::NoSuchGame(_)
            | HostingError::Busy { .. }
            | HostingError::NotStopped(_),
        ) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn file_list(services: Services, mut asked: Asked) -> Outcome {
    let (id, path) = (asked.args.server()?, path(&mut asked.args)?);
    mounted(&services, &asked.by, id).await?;
    let files = &services.files;
    let here = files.stat(&asked.by, id, path.clone()).await?;
    let parent = path
        .split()
        .map_or_else(FilePath::default, |(parent, _)| parent);
    let above = files.stat(&asked.by, id, parent).await?;
    let mut list = Vec::new();
    let mut after = None;
    loop {
        let page = files.list(&asked.by, id, path.clone(), after, None);
        let Page { entries, next } = page.await?;
        list.extend(entries.iter().map(|each| entry(each, told(name(each)))));
        if list.len() > ENTRIES {
            let why = "the folder has more than 10000 entries: the web API lists it page by page";
            return Err(Fault::argument("dir", why));
        }
        match next.map(|next| FilePath::from_raw(&next)) {
            Some(Ok(next)) => after = Some(next.as_bytes().to_vec()),
            _ => break,
        }
    }
    let mut all = vec![entry(&here, ".".into()), entry(&above, "..".into())];
    all.append(&mut list);
    Ok(all.into())
}

async fn file_info(services: Services, mut asked: Asked) -> Outcome {
    let (id, path) = (asked.args.server()?, path(&mut asked.args)?);
    mounted(&services, &asked.by, id).await?;
    let here = services.files.stat(&asked.by, id, path).await?;
    Ok(entry(&here, told(name(&here))))
}

async fn file_delete(services: Services, mut asked: Asked) -> Outcome {
    let (id, path) = (asked.args.server()?, path(&mut asked.args)?);
    let folder = match &*asked.args.text()? {
        "dir" => true,
        "file" => false,
        _ => return Err(Fault::argument("type", "must be file or dir")),
    };
    let here = services.files.stat(&asked.by, id, path.clone()).await?;
    match (here.kind == Kind::Folder, folder) {
        (true, false) => return Err(FilesError::IsFolder(path).into()),
        (false, true) => return Err(FilesError::NotFolder(path).into()),
        _ => {}
    }
    services.files.delete(&asked.by, id, path).await?;
    Ok(true.into())
}

async fn file_get_contents(services: Services, mut asked: Asked) -> Outcome {
    let (id, path) = (asked.args.server()?, path(&mut asked.args)?);
    mounted(&services, &asked.by, id).await?;
    let reading = services.files.read(&asked.by, id, path.clone()).await?;
    let size = reading.size();
    if size > BYTES {
        let why = format!("{path} has {size} bytes: /download fetches more than {BYTES}");
        return Err(Fault::argument("path", why));
    }
    let mut pieces = std::pin::pin!(reading.stream(0..size));
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|source| FilesError::Io {
            path: path.clone(),
            source,
        })?;
        bytes.extend_from_slice(&piece);
    }
    Ok(told(bytes))
}

async fn file_put_contents(services: Services, mut asked: Asked) -> Outcome {
    let (id, path) = (asked.args.server()?, path(&mut asked.args)?);
    let data = asked.args.data()?;
    let wish = Wish {
        size: Some(data.len() as u64),
        ..Wish::new(path, Replace::Yes)
    };
    let body = Box::pin(stream::iter([Ok(Bytes::from(data))]));
    services.files.write(&asked.by, id, wish, body).await?;
    Ok(true.into())
}

impl From<FilesError> for Fault {
    fn from(error: FilesError) -> Self {
        let text = error.to_string();
        let code = match error {
            FilesError::Store(error) => return error.into(),
            FilesError::Audit(error) => return error.into(),
            FilesError::Hosting(error) => return error.into(),
            FilesError::NoSuchFile(_)
            | FilesError::NoSuchUpload(_)
            | FilesError::NoSuchDeletion(_) => Code::NoSuchFile,
            FilesError::NotFolder(_)
            | FilesError::IsFolder(_)
            | FilesError::NotEmpty(_)
            | FilesError::Special { .. }
            | FilesError::Link(_)
            | FilesError::IntoItself { .. }
            | FilesError::Exists(_) => Code::FileKind,
            FilesError::Path(_) | FilesError::LeadsOut(_) => Code::FilePath,
            FilesError::NotPermitted(_) => Code::FilePermission,
            FilesError::OverLimit { .. } => Code::FileLimit,
            FilesError::DiskFull(_) => Code::DiskFull,
            FilesError::TooManyUploads(_) | FilesError::Busy(_) => Code::TooBusy,
            FilesError::Archive(_)
            | FilesError::Changed(_)
            | FilesError::Checksum { .. }
            | FilesError::Length { .. }
            | FilesError::TooLarge(_)
            | FilesError::Bad { .. }
            | FilesError::Offset { .. }
            | FilesError::BrokenOff(_) => Code::Argument,
            FilesError::Io { .. } => {
                let text =
                    "a file of the server could not be read or written; the box's log says which";
                return Self::internal(text, &error);
            }
        };
        Self::new(code, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_comes_as_base64() {
        for text in ["", "plain", "two\nlines\t", "\u{fc}"] {
            assert_eq!(told(text.as_bytes().to_vec()), Value::from(text));
        }
        for bytes in [
            &b"a\rb"[..],
            b"\0",
            b"\x1b[2J",
            b"\xff",
            "\u{ffff}".as_bytes(),
        ] {
            assert_eq!(told(bytes.to_vec()), Value::Base64(bytes.to_vec()));
        }
    }
}
