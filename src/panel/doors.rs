//! mfiled's two doors (seed 000): `/download` and `/upload`, which pages of others link to and post forms to.
//!
//! Who asks shows it as everywhere else, or by `auth`: the token of a session, or one of their own; what a server's owner
//! made public, anybody may fetch. What came of it is told as everywhere else, or with `redirect` by where the browser is sent: `mfiled_status=ok`, or `err` and why.

use std::io;

use futures_util::StreamExt as _;
use multer::Multipart;
use url::Url;
use warp::http::{HeaderValue, Method, StatusCode, header};

use super::{
    DONE, Outcome, State,
    files::{content, nine_bits},
};
use crate::{
    accounts::{Principal, ServerId},
    files::{Body, FilePath, FilesError, Reading, Replace, Wish, heard_out},
    http::{
        caller::Proof,
        problem::{Code, Fault},
        routes::{Call, Route, bare},
    },
};

const FAULTS: &[Code] = &[
    Code::Unauthenticated,
    Code::Forbidden,
    Code::NoSuchServer,
    Code::BadPath,
    Code::NoSuchFile,
    Code::WrongKind,
    Code::LeadsOut,
    Code::NotPermitted,
    Code::BrokenOff,
    Code::DiskFull,
    Code::OverLimit,
];

pub(super) fn routes() -> Vec<Route<State>> {
    let asks = |route: Route<State>| {
        route
            .query("server", "its id")
            .query("auth", "a token, when no cookie or header proves who asks")
            .query("path", "where; it may begin with a slash")
            .query(
                "redirect",
                "where a browser goes then: the box, or one of `http.redirects`",
            )
            .faults(FAULTS)
    };
    let about = "MyOTTD's door to fetch a file; what is public, anybody may";
    let fetch = Route::new(Method::GET, "/download", about, download).bare(StatusCode::OK);
    let about = "MyOTTD's door to send a file: as a form, or the bytes as they are";
    let send = Route::new(Method::POST, "/upload", about, upload).bare(DONE);
    let send = send.query("mode", "nine bits in octal, like 640");
    vec![asks(fetch), asks(send.takes_bytes())]
}

/// Where the browser is to end, if it is to be sent anywhere; looked at before anything is done.
fn target(doors: &State, call: &Call) -> Result<Option<Url>, Fault> {
    let Some(wanted) = call.text("redirect") else {
        return Ok(None);
    };
    let bad = |detail: String| Fault::new(Code::BadQuery, detail);
    let host = call.header(header::HOST).unwrap_or_default();
    let redirects = doors.redirects.reached_as(host);
    let url = redirects.check(wanted);
    url.map(Some)
        .map_err(|error| bad(format!("redirect: {error}")))
}

/// Sends the browser on, and tells the page there what came of it.
fn sent(mut target: Url, error: Option<&Fault>) -> Outcome {
    {
        let mut query = target.query_pairs_mut();
        match error {
            None => query.append_pair("mfiled_status", "ok"),
            Some(fault) => query
                .append_pair("mfiled_status", "err")
                .append_pair("mfiled_err", &fault.detail),
        };
    }
    let place = HeaderValue::try_from(target.as_str()).expect("a URL is ASCII");
    let mut answer = bare(StatusCode::SEE_OTHER);
    answer.headers_mut().insert(header::LOCATION, place);
    Ok(answer)
}

/// What is asked for, and by whom as far as the address says it.
fn what(call: &mut Call) -> Result<(ServerId, FilePath), Fault> {
    if let (Proof::None, Some(token)) = (&call.proof, call.text("auth")) {
        call.proof = Proof::Bearer(token.into());
    }
    let id = call.number("server", 0..=u64::MAX)?;
    let id = id.ok_or_else(|| Fault::new(Code::BadQuery, "`server` is missing"))?;
    let path = FilePath::rooted(&call.bytes("path").unwrap_or_default());
    Ok((ServerId(id), path.map_err(FilesError::from)?))
}

async fn download(doors: State, mut call: Call) -> Outcome {
    let target = target(&doors, &call)?;
    let fetched = fetch(&doors, &mut call).await;
    // What arrives is the file: only who gets none is sent on.
    match (fetched, target) {
        (Err(fault), Some(target)) => sent(target, Some(&fault)),
        (Err(fault), None) => Err(fault),
        (Ok(reading), _) => content(reading, &call.headers),
    }
}

/// The file, for who may read it; what is public, anybody may.
async fn fetch(doors: &State, call: &mut Call) -> Result<Reading, Fault> {
    let (id, path) = what(call)?;
    match doors.files.read_public(id, path.clone()).await {
        Ok(Some(reading)) => return Ok(reading),
        Err(error) if matches!(call.proof, Proof::None) => return Err(error.into()),
        Ok(None) | Err(_) => {}
    }
    let by = doors.by(call).await?;
    Ok(doors.files.read(&by, id, path).await?)
}

async fn upload(doors: State, mut call: Call) -> Outcome {
    let mut body = call.stream();
    let target = heard_out(target(&doors, &call), &mut body).await?;
    let kept = keep(&doors, &mut call, body).await;
    match (kept, target) {
        (Ok(()), None) => Ok(bare(DONE)),
        (Err(fault), None) => Err(fault),
        (kept, Some(target)) => sent(target, kept.err().as_ref()),
    }
}

async fn keep(doors: &State, call: &mut Call, mut body: Body) -> Result<(), Fault> {
    let asked = async {
        let (id, path) = what(call)?;
        Ok::<_, Fault>((doors.by(call).await?, id, path, nine_bits(call)?))
    };
    let asked = heard_out(asked.await, &mut body).await;
    let (by, id, path, mode) = asked?;
    let kind = call.header(header::CONTENT_TYPE).unwrap_or_default();
    let (name, size, mut body) = match multer::parse_boundary(kind) {
        Err(_) => (None, call.length(), body),
        Ok(boundary) => {
            let (name, body) = file_of(body, boundary).await?;
            (Some(name), None, body)
        }
    };
    let place = place(doors, &by, id, path, name).await;
    let wish = Wish {
        mode,
        size,
        ..Wish::new(heard_out(place, &mut body).await?, Replace::Yes)
    };
    doors.files.write(&by, id, wish, body).await?;
    Ok(())
}

/// Where a file goes that is sent to `path`: into the folder that is there, under the name that a form gave it.
async fn place(
    doors: &State,
    by: &Principal,
    id: ServerId,
    path: FilePath,
    name: Option<String>,
) -> Result<FilePath, Fault> {
    if !doors.files.is_folder(by, id, path.clone()).await? {
        return Ok(path);
    }
    let name = name.ok_or(FilesError::IsFolder(path.clone()))?;
    // Some browsers send the whole path that the file had.
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = FilePath::parse(last.as_bytes()).map_err(FilesError::from)?;
    if name.is_root() {
        let detail = "the form's file has no name, and the path is a folder";
        return Err(Fault::new(Code::BadPath, detail));
    }
    Ok(path.join(name.as_bytes()).map_err(FilesError::from)?)
}

/// The first file of a form, and what it is called.
async fn file_of(body: Body, boundary: String) -> Result<(String, Body), Fault> {
    let bad = |error: multer::Error| {
        Fault::new(Code::BrokenOff, format!("the form makes no sense: {error}"))
    };
    let mut form = Multipart::new(body, boundary);
    while let Some(field) = form.next_field().await.map_err(bad)? {
        if let Some(name) = field.file_name() {
            let name = name.to_owned();
            let pieces = field.map(|piece| piece.map_err(io::Error::other));
            return Ok((name, Box::pin(pieces)));
        }
    }
    Err(Fault::new(Code::BrokenOff, "the form has no file"))
}
