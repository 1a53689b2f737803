//! Uploads in pieces, which go on where they were cut off.

use warp::http::{Method, StatusCode, header};

use super::{
    DONE, Outcome, State, api,
    files::{asked, checksum, nine_bits, path, replace},
    servers::made,
};
use crate::{
    files::{Entry, UploadView, Wish},
    http::{
        problem::{Code, Fault},
        range,
        routes::{Call, Route, bare, json},
    },
};

const FAULTS: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::NoSuchUpload,
    Code::Busy,
    Code::WrongOffset,
    Code::ContentMismatch,
    Code::BrokenOff,
    Code::FileExists,
    Code::WrongKind,
    Code::LeadsOut,
    Code::NotPermitted,
    Code::DiskFull,
    Code::OverLimit,
];

pub(super) fn routes() -> Vec<Route<State>> {
    vec![
        Route::new(
            Method::POST,
            api!("servers/{id}/files/uploads"),
            "Begins an upload in pieces; folders above the file are made when it is finished",
            begin,
        )
        .query("path", "what it will be, from the server's folder")
        .query("size", "bytes in all")
        .query("sha256", "what its content must be, in hex")
        .query("mode", "nine bits in octal, like 640")
        .query("replace", "false: only where nothing is")
        .answers::<UploadView>(StatusCode::CREATED)
        .faults(&[
            Code::Forbidden,
            Code::NoSuchServer,
            Code::BadPath,
            Code::FileExists,
            Code::WrongKind,
            Code::LeadsOut,
            Code::TooBusy,
            Code::DiskFull,
            Code::OverLimit,
        ]),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/uploads"),
            "The unfinished uploads",
            list,
        )
        .lists::<UploadView>()
        .faults(&[Code::Forbidden, Code::NoSuchServer]),
        Route::new(
            Method::GET,
            api!("servers/{id}/files/uploads/{upload}"),
            "How far an upload is; the header `upload-offset` says it, too",
            get,
        )
        .answers::<UploadView>(StatusCode::OK)
        .faults(FAULTS),
        Route::new(
            Method::PUT,
            api!("servers/{id}/files/uploads/{upload}"),
            "Adds the next piece; what came before it broke off stays",
            add,
        )
        .query(
            "offset",
            "where the piece begins, unless `Content-Range` says it",
        )
        .takes_bytes()
        .answers::<UploadView>(StatusCode::OK)
        .faults(FAULTS),
        Route::new(
            Method::POST,
            api!("servers/{id}/files/uploads/{upload}/finish"),
            "Puts the whole in its place, when it is what was announced",
            finish,
        )
        .answers::<Entry>(StatusCode::OK)
        .faults(FAULTS),
        Route::new(
            Method::DELETE,
            api!("servers/{id}/files/uploads/{upload}"),
            "Gives an upload up",
            abandon,
        )
        .bare(DONE)
        .faults(FAULTS),
    ]
}

async fn begin(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let size = call.number("size", 0..=i64::MAX as u64)?;
    let size = size.ok_or_else(|| Fault::new(Code::BadQuery, "`size` is missing"))?;
    let wish = Wish {
        path: path(&call, "path")?,
        mode: nine_bits(&call)?,
        sha256: checksum(&call)?,
        replace: replace(&call, true)?,
        tag: None,
        size: Some(size),
        parents: true,
    };
    let upload = doors.files.begin_upload(&by, id, wish, size).await?;
    let place = format!("/api/v1/servers/{}/files/uploads/{}", id.0, upload.id);
    made(&upload, &place)
}

async fn list(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    json(StatusCode::OK, &doors.files.uploads(&by, id).await?)
}

async fn get(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let upload = call.id("upload")?;
    told(&doors.files.upload(&by, id, upload).await?)
}

fn told(upload: &UploadView) -> Outcome {
    let mut answer = json(StatusCode::OK, upload)?;
    let headers = answer.headers_mut();
    headers.insert("upload-offset", upload.offset.into());
    headers.insert("upload-length", upload.size.into());
    Ok(answer)
}

async fn add(doors: State, mut call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let upload = call.id("upload")?;
    let said = call.header(header::CONTENT_RANGE).map(|said| {
        range::begins(said).ok_or_else(|| {
            let detail = "the content-range must be like `bytes 0-1048575/5000000`";
            Fault::new(Code::BadQuery, detail)
        })
    });
    let offset = match said.transpose()? {
        Some(offset) => Some(offset),
        None => call.number("offset", 0..=u64::MAX)?,
    };
    let offset = offset.ok_or_else(|| {
        let detail = "where the piece begins is missing: `offset`, or a content-range";
        Fault::new(Code::BadQuery, detail)
    })?;
    let size = call.length();
    let body = call.stream();
    let upload = doors
        .files
        .add(&by, id, upload, (offset, size), body)
        .await?;
    told(&upload)
}

async fn finish(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let upload = call.id("upload")?;
    let entry = doors.files.finish_upload(&by, id, upload).await?;
    json(StatusCode::OK, &entry)
}

async fn abandon(doors: State, call: Call) -> Outcome {
    let (by, id) = asked(&doors, &call).await?;
    let upload = call.id("upload")?;
    doors.files.drop_upload(&by, id, upload).await?;
    Ok(bare(DONE))
}
