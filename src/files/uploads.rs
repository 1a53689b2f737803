//! What doors ask of uploads in pieces.

use std::sync::Arc;

use serde_json::json;

use super::{
    Entry, Files, FilesError, UploadView,
    body::{Body, Stopped, heard_out, pour},
    handle::{blocking, joined, lock},
    records::{UPLOADS, Upload, key},
    root::Replace,
    site::{Site, Wish},
    upload,
};
use crate::{
    accounts::{Principal, ServerId, Verb},
    clock::UnixMillis,
};

/// An upload that nobody else touches meanwhile.
pub(super) struct Alone(Files, u64);

impl Drop for Alone {
    fn drop(&mut self) {
        lock(&self.0.0.busy).remove(&self.1);
    }
}

impl Files {
    /// Begins an upload in pieces. `wish` has its size.
    pub(crate) async fn begin_upload(
        &self,
        by: &Principal,
        id: ServerId,
        wish: Wish,
        size: u64,
    ) -> Result<UploadView, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let detail = json!({ "path": wish.path.to_string(), "bytes": size });
        let store = self.0.store.clone();
        let work = async move {
            let upload = store.write(|tx| {
                let of_server = tx.scan(UPLOADS, b"")?;
                let mine = of_server.iter().filter(|(_, upload)| upload.server == id);
                if mine.count() >= upload::MOST {
                    return Err(FilesError::TooManyUploads(upload::MOST));
                }
                let upload = Upload {
                    id: tx.next_id("upload")?,
                    server: id,
                    path: wish.path.raw(),
                    size,
                    sha256: wish.sha256,
                    mode: wish.mode,
                    replace: wish.replace == Replace::Yes,
                    created: UnixMillis::now(),
                };
                tx.put(UPLOADS, key(upload.id), &upload)?;
                Ok(upload)
            });
            let upload = upload.await?;
            let number = upload.id;
            let begun = blocking(move || {
                site.begin_upload(&upload)?;
                site.upload(&upload)
            });
            match begun.await {
                Ok(view) => Ok(view),
                Err(error) => {
                    let gone = store.write(|tx| tx.delete(UPLOADS, key(number)));
                    gone.await?;
                    Err(error)
                }
            }
        };
        self.act(by, "files.upload", id, detail, work).await
    }

    /// The upload of that number, and the server's files that it is to be among.
    async fn found(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<(Arc<Site>, Upload), FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let found = self.0.store.get(UPLOADS, key(number))?;
        let ours = found.filter(|upload| upload.server == id);
        Ok((site, ours.ok_or(FilesError::NoSuchUpload(number))?))
    }

    /// Keeps others from an upload until what this returns is dropped.
    pub(super) fn alone(&self, number: u64) -> Result<Alone, FilesError> {
        match lock(&self.0.busy).insert(number) {
            true => Ok(Alone(self.clone(), number)),
            false => Err(FilesError::Busy(format!("upload {number}"))),
        }
    }

    /// The server's unfinished uploads.
    pub(crate) async fn uploads(
        &self,
        by: &Principal,
        id: ServerId,
    ) -> Result<Vec<UploadView>, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let records = self.0.store.scan(UPLOADS, b"").flatten();
        let records: Vec<_> = records
            .map(|(_, upload)| upload)
            .filter(|upload| upload.server == id)
            .collect();
        blocking(move || {
            let views = records.iter().filter_map(|upload| site.upload(upload).ok());
            Ok(views.collect())
        })
        .await
    }

    /// How far an upload is.
    pub(crate) async fn upload(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<UploadView, FilesError> {
        let (site, upload) = self.found(by, id, number).await?;
        blocking(move || site.upload(&upload)).await
    }

    /// Adds a piece that begins at `offset`. What came before it broke off stays.
    pub(crate) async fn add(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
        (offset, size): (u64, Option<u64>),
        body: Body,
    ) -> Result<UploadView, FilesError> {
        let mut body = body;
        let begin = async {
            let (site, upload) = self.found(by, id, number).await?;
            let alone = self.alone(number)?;
            let (at, of) = (site.clone(), upload.clone());
            let piece = blocking(move || at.piece(of, offset, size)).await?;
            Ok::<_, FilesError>((site, upload, alone, piece))
        };
        let begun = heard_out(begin.await, &mut body).await;
        let (site, upload, alone, piece) = begun?;
        // To the end, so that what came is kept also when whoever sent it has gone.
        let work = async move {
            let (piece, poured) = pour(piece, |to, bytes| to.put(bytes), &mut body).await;
            let closed = blocking(move || piece.close()).await;
            drop(alone);
            match (poured, closed) {
                (Ok(()), Ok(_)) => blocking(move || site.upload(&upload)).await,
                (Ok(()), Err(error)) => Err(error),
                (Err(Stopped::Broke), closed) => Err(FilesError::BrokenOff(closed?)),
                (Err(Stopped::Refused(error)), _) => heard_out(Err(error), &mut body).await,
            }
        };
        joined(tokio::spawn(work).await)
    }

    /// Puts a whole upload in its place.
    pub(crate) async fn finish_upload(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<Entry, FilesError> {
        let (site, upload) = self.found(by, id, number).await?;
        let alone = self.alone(number)?;
        let detail = json!({ "upload": number, "path": upload.wish()?.path.to_string() });
        let store = self.0.store.clone();
        let work = async move {
            let _alone = alone;
            let entry = blocking(move || site.finish_upload(&upload)).await?;
            // It is there: that its record stays a while would be no harm.
            let gone = store.write(|tx| tx.delete(UPLOADS, key(number))).await;
            gone.map(|_| entry).map_err(FilesError::from)
        };
        self.act(by, "files.finish", id, detail, work).await
    }

    /// Gives an upload up.
    pub(crate) async fn drop_upload(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<(), FilesError> {
        let (site, upload) = self.found(by, id, number).await?;
        let alone = self.alone(number)?;
        let store = self.0.store.clone();
        let work = async move {
            let _alone = alone;
            blocking(move || site.drop_upload(&upload)).await?;
            store.write(|tx| tx.delete(UPLOADS, key(number))).await?;
            Ok(())
        };
        let detail = json!({ "upload": number });
        self.act(by, "files.abandon", id, detail, work).await
    }
}
