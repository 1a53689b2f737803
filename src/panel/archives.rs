//! A server's files as archives: packed and unpacked in place, and whole folders as a stream either way.

use serde::Deserialize;
use utoipa::ToSchema;
use warp::{
    Reply as _,
    http::{HeaderValue, Method, StatusCode, header},
};

use super::{
    Outcome, State, api,
    files::{asked, attachment, path, replace},
};
use crate::{
    files::{
        CopyView, FilePath, FilesError, Replace,
        archive::{Format, PackWish},
    },
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, json},
    },
};

/// What any of it may meet.
const FAULTS: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::BadPath,
    Code::BadField,
    Code::BadArchive,
    Code::NoSuchFile,
    Code::WrongKind,
    Code::LeadsOut,
    Code::NotPermitted,
    Code::FileExists,
    Code::FileChanged,
    Code::BrokenOff,
    Code::Busy,
    Code::DiskFull,
    Code::OverLimit,
];

const PATH: &str = "the folder, from the server's; else the server's own";
const FORMAT: &str = "zip, tar, tar.gz, tar.zst; to unpack also tar.bz2";

pub(super) fn routes() -> Vec<Route<State>> {
    vec![
        Route::new(
            Method::POST,
            api!("servers/{id}/files/archive"),
            "Packs files and folders into an archive among the server's files",
            pack,
        )
        .takes::<Chosen>()
        .answers::<CopyView>(StatusCode::OK)
        .faults(FAULTS),
        Route::new(
            Method::POST,
            api!("servers/{id}/files/extract"),
            "Unpacks an archive among the server's files: all of it, or nothing",
            unpack,
        )
        .query("path", "the archive")
        .query(
            "to",
            "the folder, made when it is not there; else the server's own",
        )
        .query("format", FORMAT)
        .query("replace", "true: files that are there go")
        .answers::<CopyView>(StatusCode::OK)
        .faults(FAULTS),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/folder"),
            "A folder with all in it, as an archive",
            get,
        )
        .query("path", PATH)
        .query("format", FORMAT)
        .bare(StatusCode::OK)
        .faults(FAULTS),
        Route::new(
            Method::PUT,
            api!("servers/{id}/files/folder"),
            "Fills a folder from an archive: with all of it, or with nothing",
            put,
        )
        .query("path", PATH)
        .query("format", FORMAT)
        .query("replace", "true: files that are there go")
        .takes_bytes()
        .answers::<CopyView>(StatusCode::OK)
        .faults(FAULTS),
    ]
}

/// What is to be packed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Chosen {
    /// Files and folders in `base`.
    paths: Vec<String>,
    /// The folder that names in the archive begin at; the server's own when absent.
    #[serde(default)]
    base: String,
    /// The archive.
    to: String,
    /// `zip`, `tar`, `tar.gz` or `tar.zst`; by the archive's name when absent.
    format: Option<String>,
    /// Whether an archive that is there is replaced.
    #[serde(default)]
    replace: bool,
}

fn parsed(text: &str) -> Result<FilePath, FilesError> {
    Ok(FilePath::parse(text.as_bytes())?)
}

fn format(text: Option<&str>) -> Result<Option<Format>, Fault> {
    let format = text.map(str::parse).transpose();
    Ok(format.map_err(FilesError::from)?)
}

async fn pack(doors: State, mut call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let chosen: Chosen = call.json().await?;
    let paths: Result<Vec<_>, _> = chosen.paths.iter().map(|path| parsed(path)).collect();
    let wish = PackWish {
        base: parsed(&chosen.base)?,
        paths: paths?,
        to: parsed(&chosen.to)?,
        format: format(chosen.format.as_deref())?,
        replace: match chosen.replace {
            true => Replace::Yes,
            false => Replace::No,
        },
    };
    json(StatusCode::OK, &doors.files.pack(&by, id, wish).await?)
}

async fn unpack(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let (from, to) = (path(&call, "path")?, path(&call, "to")?);
    let (format, replace) = (format(call.text("format"))?, replace(&call, false)?);
    let unpacked = doors.files.unpack(&by, id, from, to, format, replace);
    json(StatusCode::OK, &unpacked.await?)
}

async fn get(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let format = format(call.text("format"))?.unwrap_or(Format::TarGz);
    let mut name = match path.name() {
        b"" => b"files".to_vec(),
        name => name.to_vec(),
    };
    name.extend_from_slice(format!(".{}", format.name()).as_bytes());
    let stream = doors.files.folder(&by, id, path, format).await?;
    let mut answer = warp::reply::stream(stream).into_response();
    let saved = FilePath::default().join(&name).unwrap_or_default();
    let kind = HeaderValue::from_static(format.media());
    let told = HeaderValue::try_from(attachment(&saved)).expect("it is made of header text");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, told);
    Ok(answer)
}

async fn put(doors: State, mut call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let path = path(&call, "path")?;
    let format = format(call.text("format"))?.ok_or_else(|| {
        let detail = "`format` is missing: zip, tar, tar.gz, tar.zst or tar.bz2";
        Fault::new(Code::BadQuery, detail)
    })?;
    let replace = replace(&call, false)?;
    let body = call.stream();
    let filled = doors.files.put_folder(&by, id, path, format, replace, body);
    json(StatusCode::OK, &filled.await?)
}
