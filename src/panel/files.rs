//! A server's files. Paths are the query parameter `path`, percent-encoded bytes; what a file holds is the whole body.

use std::ops::Range;

use data_encoding::HEXLOWER_PERMISSIVE;
use warp::{
    Reply as _,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use super::{DONE, Outcome, State, api, servers::server};
use crate::{
    accounts::{Principal, ServerId},
    files::{
        CopyView, Deletion, Entry, FilePath, FilesError, Finds, Page, Reading, Replace, Search,
        Usage, Wish,
    },
    http::{
        problem::{Code, Fault},
        range::{Wanted, wanted},
        routes::{Call, Route, bare, json},
    },
};

/// What reading may meet.
const READ: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::BadPath,
    Code::NoSuchFile,
    Code::WrongKind,
    Code::LeadsOut,
    Code::NotPermitted,
];

/// What any change may meet.
const CHANGE: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::BadPath,
    Code::NoSuchFile,
    Code::WrongKind,
    Code::LeadsOut,
    Code::NotPermitted,
    Code::FileExists,
    Code::DiskFull,
    Code::OverLimit,
];

/// What writing content may meet.
const WRITE: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::BadPath,
    Code::NoSuchFile,
    Code::WrongKind,
    Code::LeadsOut,
    Code::NotPermitted,
    Code::FileExists,
    Code::FileChanged,
    Code::ContentMismatch,
    Code::BrokenOff,
    Code::BodyTooLarge,
    Code::DiskFull,
    Code::OverLimit,
];

const PATH: &str = "where, from the server's folder";

pub(super) fn routes() -> Vec<Route<State>> {
    vec![
        Route::new(
            Method::GET,
            api!("servers/{id}/files"),
            "A page of a folder, by name",
            list,
        )
        .query("path", "the folder; else the server's")
        .query("after", "the last page's `next`")
        .query("count", "how many at most: 1 to 1000, else 1000")
        .answers::<Page>(StatusCode::OK)
        .faults(READ),
        Route::new(
            Method::DELETE,
            api!("servers/{id}/files"),
            "Moves a file or a folder to the server's bin",
            delete,
        )
        .query("path", PATH)
        .answers::<Deletion>(StatusCode::OK)
        .faults(CHANGE),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/stat"),
            "One file or folder; a link as itself",
            stat,
        )
        .query("path", PATH)
        .answers::<Entry>(StatusCode::OK)
        .faults(READ),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/content"),
            "What a file holds; one range of it, when asked",
            read,
        )
        .query("path", PATH)
        .bare(StatusCode::OK)
        .faults(&[
            Code::Forbidden,
            Code::NoSuchServer,
            Code::BadPath,
            Code::NoSuchFile,
            Code::WrongKind,
            Code::LeadsOut,
            Code::NotPermitted,
            Code::BadRange,
        ]),
        Route::new(
            Method::PUT,
            api!("servers/{id}/files/content"),
            "Writes a file: it appears whole, or nothing changes",
            write,
        )
        .query("path", PATH)
        .query("mode", MODE)
        .query("sha256", "what its content must be, in hex")
        .query("parents", "true: folders above it are made")
        .query("replace", "false: only where nothing is")
        .takes_bytes()
        .answers::<Entry>(StatusCode::OK)
        .faults(WRITE),
        Route::new(
            Method::POST,
            api!("servers/{id}/files/append"),
            "Adds to the end of a file, at most 16 MiB at once",
            append,
        )
        .query("path", PATH)
        .takes_bytes()
        .answers::<Entry>(StatusCode::OK)
        .faults(WRITE),
        two(
            api!("servers/{id}/files/move"),
            "Gives a file or a folder another name",
            rename,
        )
        .answers::<Entry>(StatusCode::OK),
        two(
            api!("servers/{id}/files/copy"),
            "Copies a file, or a folder with all in it",
            copy,
        )
        .answers::<CopyView>(StatusCode::OK),
        Route::new(
            Method::POST,
            api!("servers/{id}/files/folder"),
            "Makes a folder",
            make,
        )
        .query("path", PATH)
        .query("parents", "true: folders above it are made")
        .answers::<Entry>(StatusCode::CREATED)
        .faults(CHANGE),
        Route::new(
            Method::POST,
            api!("servers/{id}/files/mode"),
            "Says who may do what with a file or a folder",
            mode,
        )
        .query("path", PATH)
        .query("mode", MODE)
        .answers::<Entry>(StatusCode::OK)
        .faults(CHANGE),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/search"),
            "Looks for files by name and content",
            search,
        )
        .query("path", "the folder to look in; else the server's")
        .query(
            "name",
            "a pattern like `*.cfg`, or `maps/**/*.map` for paths",
        )
        .query("text", "what the content must have")
        .query("count", "how many at most: 1 to 1000, else 1000")
        .answers::<Finds>(StatusCode::OK)
        .faults(READ),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/usage"),
            "How much room the server takes on the disk",
            usage,
        )
        .answers::<Usage>(StatusCode::OK)
        .faults(READ),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/bin"),
            "What was deleted and can be had back, newest first",
            bin,
        )
        .lists::<Deletion>()
        .faults(READ),
        Route::new(
            Method::POST,
            api!("servers/{id}/files/bin/{deletion}/undo"),
            "Has it back",
            undo,
        )
        .query("to", "where to; else where it was")
        .answers::<Entry>(StatusCode::OK)
        .faults(BIN),
        Route::new(
            Method::DELETE,
            api!("servers/{id}/files/bin/{deletion}"),
            "Removes it for good",
            purge,
        )
        .bare(DONE)
        .faults(BIN),
    ]
}

const MODE: &str = "nine bits in octal, like 640";

/// What the bin may meet.
const BIN: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::NoSuchDeletion,
    Code::FileExists,
    Code::BadPath,
    Code::LeadsOut,
    Code::NotPermitted,
];

/// An operation from one path to another.
fn two<F, A>(path: &'static str, about: &'static str, handler: F) -> Route<State>
where
    F: Fn(State, Call) -> A + Send + Sync + 'static,
    A: Future<Output = Outcome> + Send + 'static,
{
    Route::new(Method::POST, path, about, handler)
        .query("from", PATH)
        .query("to", PATH)
        .query("replace", "true: a file that is there goes")
        .faults(CHANGE)
}

/// Who asks, and about which server.
pub(super) async fn asked(doors: &State, call: &Call) -> Result<(Principal, ServerId), Fault> {
    let by = doors.by(call).await?;
    Ok((by, server(call)?))
}

/// The path that the parameter `name` is; the server's folder without it.
pub(super) fn path(call: &Call, name: &str) -> Result<FilePath, Fault> {
    let bytes = call.bytes(name).unwrap_or_default();
    Ok(FilePath::parse(&bytes).map_err(FilesError::from)?)
}

/// A parameter that is `true` or `false`.
pub(super) fn flag(call: &Call, name: &str, else_: bool) -> Result<bool, Fault> {
    match call.text(name) {
        None => Ok(else_),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => {
            let detail = format!("`{name}` must be true or false");
            Err(Fault::new(Code::BadQuery, detail))
        }
    }
}

pub(super) fn replace(call: &Call, else_: bool) -> Result<Replace, Fault> {
    Ok(match flag(call, "replace", else_)? {
        true => Replace::Yes,
        false => Replace::No,
    })
}

/// The nine bits that `mode` is.
pub(super) fn nine_bits(call: &Call) -> Result<Option<u32>, Fault> {
    let Some(text) = call.text("mode") else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok();
    let mode = mode.filter(|&mode| digits && mode <= 0o777);
    mode.map(Some).ok_or_else(|| {
        let detail =
            "`mode` must be 0 to 777 in octal: set-user, set-group and sticky bits are not given";
        Fault::new(Code::BadQuery, detail)
    })
}

/// The checksum that `sha256` is.
pub(super) fn checksum(call: &Call) -> Result<Option<[u8; 32]>, Fault> {
    let Some(text) = call.text("sha256") else {
        return Ok(None);
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Some)
        .ok_or_else(|| Fault::new(Code::BadQuery, "`sha256` must be 64 hexadecimal digits"))
}

/// How many, at most.
fn count(call: &Call) -> Result<usize, Fault> {
    let count = call.number("count", 1..=1000)?.unwrap_or(1000);
    Ok(usize::try_from(count).expect("it is at most a thousand"))
}

async fn list(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let (path, count) = (path(&call, "path")?, count(&call)?);
    let after = call.bytes("after");
    let page = doors.files.list(&by, id, path, after, Some(count)).await?;
    json(StatusCode::OK, &page)
}

async fn delete(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    json(StatusCode::OK, &doors.files.delete(&by, id, path).await?)
}

async fn stat(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    json(StatusCode::OK, &doors.files.stat(&by, id, path).await?)
}

async fn read(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let reading = doors.files.read(&by, id, path).await?;
    content(reading, &call.headers)
}

/// A file as an answer: what a browser saves and never shows, so that nothing stored here runs as a page of the box.
pub(crate) fn content(reading: Reading, headers: &HeaderMap) -> Outcome {
    let (size, tag) = (reading.size(), reading.tag());
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let same = text(header::IF_RANGE).is_none_or(|seen| seen == tag);
    let asked = text(header::RANGE).filter(|_| same);
    let (status, part): (_, Range<u64>) = match wanted(asked, size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => {
            let detail = format!("the file has {size} bytes: the range begins after them");
            let whole = HeaderValue::try_from(format!("bytes */{size}"));
            let whole = whole.expect("numbers are header text");
            return Err(Fault::new(Code::BadRange, detail).header(header::CONTENT_RANGE, whole));
        }
    };
    if text(header::IF_NONE_MATCH).is_some_and(|seen| seen == tag) {
        return Ok(bare(StatusCode::NOT_MODIFIED));
    }
    let mut lines = vec![
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, (part.end - part.start).to_string()),
        (header::CONTENT_DISPOSITION, attachment(reading.path())),
        (header::ACCEPT_RANGES, "bytes".into()),
        (header::ETAG, tag),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        let told = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        lines.push((header::CONTENT_RANGE, told));
    }
    let mut answer = warp::reply::stream(reading.stream(part)).into_response();
    *answer.status_mut() = status;
    for (name, value) in lines {
        let value = HeaderValue::try_from(value).expect("it is made of header text");
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

/// The name for saving: for every program in ASCII, and for those that know better as it is.
pub(super) fn attachment(path: &FilePath) -> String {
    let plain = |byte: &u8| match byte {
        b'"' | b'\\' | b'%' => '_',
        byte if byte.is_ascii_graphic() || *byte == b' ' => char::from(*byte),
        _ => '_',
    };
    let name: String = path.name().iter().map(plain).collect();
    let exact = percent_encoding::percent_encode(path.name(), percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{name}\"; filename*=UTF-8''{exact}")
}

async fn write(doors: State, mut call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let only_new = call.header(header::IF_NONE_MATCH) == Some("*");
    let wish = Wish {
        path: path(&call, "path")?,
        mode: nine_bits(&call)?,
        sha256: checksum(&call)?,
        replace: replace(&call, !only_new)?,
        tag: call.header(header::IF_MATCH).map(Into::into),
        size: call.length(),
        parents: flag(&call, "parents", false)?,
    };
    let body = call.stream();
    let entry = doors.files.write(&by, id, wish, body).await?;
    json(StatusCode::OK, &entry)
}

async fn append(doors: State, mut call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let body = call.stream();
    let entry = doors.files.append(&by, id, path, body).await?;
    json(StatusCode::OK, &entry)
}

async fn rename(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let (from, to) = (path(&call, "from")?, path(&call, "to")?);
    let replace = replace(&call, false)?;
    let entry = doors.files.rename(&by, id, from, to, replace).await?;
    json(StatusCode::OK, &entry)
}

async fn copy(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let (from, to) = (path(&call, "from")?, path(&call, "to")?);
    let replace = replace(&call, false)?;
    let copied = doors.files.copy(&by, id, from, to, replace).await?;
    json(StatusCode::OK, &copied)
}

async fn make(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let parents = flag(&call, "parents", false)?;
    let entry = doors.files.make(&by, id, path, parents).await?;
    json(StatusCode::CREATED, &entry)
}

async fn mode(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let mode = nine_bits(&call)?;
    let mode = mode.ok_or_else(|| Fault::new(Code::BadQuery, "`mode` is missing"))?;
    let entry = doors.files.set_mode(&by, id, path, mode).await?;
    json(StatusCode::OK, &entry)
}

async fn search(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let search = Search::new(path, call.text("name"), call.text("text"), count(&call)?)?;
    json(StatusCode::OK, &doors.files.search(&by, id, search).await?)
}

async fn usage(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    json(StatusCode::OK, &doors.files.usage(&by, id).await?)
}

async fn bin(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    json(StatusCode::OK, &doors.files.bin(&by, id).await?)
}

async fn undo(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let deletion = call.id("deletion")?;
    let to = call.bytes("to").map(|to| FilePath::parse(&to));
    let to = to.transpose().map_err(FilesError::from)?;
    let entry = doors.files.undo(&by, id, deletion, to).await?;
    json(StatusCode::OK, &entry)
}

async fn purge(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let deletion = call.id("deletion")?;
    doors.files.purge(&by, id, deletion).await?;
    Ok(bare(DONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_saving_cannot_break_out_of_its_header() {
        let path = FilePath::parse(b"a/evil\"\r\nx: y\xff.html").unwrap();
        let told = attachment(&path);
        assert_eq!(
            told,
            "attachment; filename=\"evil___x: y_.html\"; filename*=UTF-8''evil%22%0D%0Ax%3A%20y%FF%2Ehtml"
        );
        HeaderValue::try_from(told).unwrap();
    }
}
