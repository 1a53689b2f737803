//! What doors ask of archives: rights, whose turn it is, and bytes that flow while they are packed or unpacked.

use std::{
    io::{self, BufWriter, Read, Write},
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
    sync::Arc,
};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc},
    task::spawn_blocking,
};

use super::{
    super::{
        CopyView, FilePath, Files, FilesError, Kind, Wish,
        body::{Body, heard_out},
        copy::Copied,
        error::io_at,
        handle::{blocking, joined},
        passing::{PASSING, passing_name},
        room::Growing,
        root::Replace,
        site::{Site, Writing},
    },
    ArchiveError, Format,
    extract::unpack,
    pace::{Piece, WAITING, doled, feed},
    pack::{Packing, gather, pack, written},
    read::Source,
};
use crate::accounts::{Principal, ServerId, Verb};

/// Archives that are worked on at once: each takes a thread, and some up to 128 MiB. The next one waits.
static WORK: Semaphore = Semaphore::const_new(3);
/// The same for folders on their way out, which are as slow as whoever takes them.
static OUT: Semaphore = Semaphore::const_new(12);
/// And for those on their way in. No other work waits for these, and they do not wait for each other.
static IN: Semaphore = Semaphore::const_new(6);
/// Bytes of one piece on its way out.
const PIECE: usize = 64 << 10;

async fn turn(of: &'static Semaphore) -> SemaphorePermit<'static> {
    of.acquire().await.expect("nobody closes it")
}

/// The server's own turn to pack or unpack in place, so that one server never takes all of [`WORK`].
fn one(site: &Site) -> Result<OwnedSemaphorePermit, FilesError> {
    let one = site.lasting.archiving.clone().try_acquire_owned();
    one.map_err(|_| FilesError::Busy("an archive of this server".into()))
}

/// What is to be packed, and where to.
#[derive(Debug, Clone)]
pub(crate) struct PackWish {
    /// The folder that names in the archive begin at.
    pub(crate) base: FilePath,
    /// What in it.
    pub(crate) paths: Vec<FilePath>,
    /// The archive.
    pub(crate) to: FilePath,
    /// By its name, when absent.
    pub(crate) format: Option<Format>,
    pub(crate) replace: Replace,
}

impl Files {
    /// Packs what was chosen into an archive among the server's own files.
    pub(crate) async fn pack(
        &self,
        by: &Principal,
        id: ServerId,
        wish: PackWish,
    ) -> Result<CopyView, FilesError> {
        self.site(by, Verb::FilesRead, id).await?;
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let format = wish.format.or_else(|| Format::of_name(wish.to.name()));
        let format = format.ok_or(ArchiveError::Unknown)?;
        let one = one(&site)?;
        let detail = json!({ "to": wish.to.to_string(), "format": format.name() });
        let work = async move {
            let permit = turn(&WORK).await;
            blocking(move || {
                let _permits = (one, permit);
                let packing = gather(&site.enter()?, &wish.base, &wish.paths, format)?;
                let packing = packing.within(site.most()?)?;
                let file = Wish {
                    path: wish.to,
                    mode: None,
                    sha256: None,
                    replace: wish.replace,
                    tag: None,
                    size: None,
                    parents: false,
                };
                let mut out = Out(Some(site.clone().write(file)?));
                let copied = {
                    let mut buffered = BufWriter::with_capacity(PIECE, &mut out);
                    pack(&site.root, &packing, format, &mut buffered)?
                };
                out.finish()?;
                Ok(copied.into())
            })
            .await
        };
        self.act(by, "files.pack", id, detail, work).await
    }

    /// Unpacks one of the server's own files into a folder.
    pub(crate) async fn unpack(
        &self,
        by: &Principal,
        id: ServerId,
        from: FilePath,
        to: FilePath,
        format: Option<Format>,
        replace: Replace,
    ) -> Result<CopyView, FilesError> {
        self.site(by, Verb::FilesRead, id).await?;
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let one = one(&site)?;
        let detail = json!({ "from": from.to_string(), "to": to.to_string() });
        let work = async move {
            let permit = turn(&WORK).await;
            blocking(move || {
                let _permits = (one, permit);
                let (file, _) = site.read(&from)?;
                let mut head = vec![0; Format::HEAD];
                let read = file
                    .read_at(&mut head, 0)
                    .map_err(|error| io_at(&from, error))?;
                let format = format.or_else(|| Format::of_content(&head[..read]));
                let format = format.ok_or(ArchiveError::Unknown)?;
                let unpacked = unpack(&site, Source::File(file), format, &to, replace);
                unpacked.map(CopyView::from)
            })
            .await
        };
        self.act(by, "files.unpack", id, detail, work).await
    }

    /// A folder as an archive, packed as it is taken. What goes wrong on the way breaks the bytes off, and so does taking
    /// them too slowly.
    pub(crate) async fn folder(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
        format: Format,
    ) -> Result<impl Stream<Item = Piece> + Send + Sync + use<>, FilesError> {
        let site = self.site(by, Verb::FilesRead, id).await?;
        if format == Format::TarBz2 {
            return Err(FilesError::Bad {
                what: "format",
                why: "is zip, tar, tar.gz or tar.zst: tar.bz2 is read only".into(),
            });
        }
        let one = site.lasting.emptying.clone().try_acquire_owned();
        let (Ok(one), Ok(permit)) = (one, OUT.try_acquire()) else {
            return Err(FilesError::Busy("folders on their way out".into()));
        };
        let at = site.clone();
        let packing = blocking(move || {
            let inside = at.enter()?;
            match inside.look(&path)?.kind {
                Kind::Folder => gather(&inside, &path, std::slice::from_ref(&path), format),
                _ => Err(FilesError::NotFolder(path)),
            }
        });
        let packing = packing.await?;
        let (pieces, packed) = mpsc::channel(1);
        spawn_blocking(move || {
            let _permits = (one, permit);
            outward(&site, &packing, format, pieces);
        });
        let (doling, taken) = doled();
        tokio::spawn(doling.run(packed));
        Ok(stream::unfold(taken, |mut taken| async move {
            let piece = taken.recv().await?;
            Some((piece, taken))
        }))
    }

    /// Unpacks an archive into a folder as its bytes come.
    pub(crate) async fn put_folder(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
        format: Format,
        replace: Replace,
        mut body: Body,
    ) -> Result<CopyView, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await;
        let site = heard_out(site, &mut body).await?;
        let one = site.lasting.filling.clone().try_acquire_owned();
        let (Ok(one), Ok(permit)) = (one, IN.try_acquire()) else {
            let busy = FilesError::Busy("folders on their way in".into());
            return heard_out(Err(busy), &mut body).await;
        };
        let detail = json!({ "to": path.to_string(), "format": format.name() });
        let work = async move {
            let (pieces, taken) = mpsc::channel(WAITING);
            let job = spawn_blocking(move || {
                let _permits = (one, permit);
                inward(&site, Intake::new(taken), format, &path, replace)
            });
            feed(&mut body, pieces).await;
            match joined(job.await) {
                Ok(view) => Ok(view),
                Err(broken @ FilesError::BrokenOff(_)) => Err(broken),
                Err(error) => heard_out(Err(error), &mut body).await,
            }
        };
        self.act(by, "files.unpack", id, detail, work).await
    }
}

pub(super) fn outward(
    site: &Arc<Site>,
    packing: &Packing,
    format: Format,
    pieces: mpsc::Sender<Piece>,
) {
    let mut out = BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
    if let Err(error) = pack(&site.root, packing, format, &mut out) {
        tracing::debug!(%error, "a folder on its way out broke off");
        drop(out.into_parts()); // what is left of it is not sent
        pieces.blocking_send(Err(io::Error::other(error))).ok(); // nobody takes it any more
    }
}

pub(super) fn inward(
    site: &Site,
    mut intake: Intake,
    format: Format,
    to: &FilePath,
    replace: Replace,
) -> Result<CopyView, FilesError> {
    let done = match format {
        Format::Zip => spooled(site, &mut intake, to, replace),
        _ => unpack(site, Source::Stream(&mut intake), format, to, replace),
    };
    match done {
        Err(_) if intake.broke => Err(FilesError::BrokenOff(intake.count)),
        done => done.map(CopyView::from),
    }
}

/// A zip archive says at its end what is in it: it is kept first, without a name.
fn spooled(
    site: &Site,
    intake: &mut Intake,
    to: &FilePath,
    replace: Replace,
) -> Result<Copied, FilesError> {
    let mut growing = Growing::begin(site, 0)?;
    let held = site.held_root(PASSING)?;
    let name = FilePath::default().join(passing_name().as_bytes())?;
    let fresh = held.enter()?.fresh(&name)?;
    {
        let inside = site.enter()?;
        let mut buffer = vec![0; PIECE];
        loop {
            let read = intake.read(&mut buffer).map_err(written)?;
            if read == 0 {
                break;
            }
            growing.more(&inside, read as u64)?;
            growing.store(&inside, fresh.file(), to, &buffer[..read])?;
        }
    }
    let file = fresh.file().try_clone().map_err(|error| io_at(to, error))?;
    unpack(site, Source::File(file), Format::Zip, to, replace)
}

/// A file that is being written, as a writer.
struct Out(Option<Writing>);

impl Out {
    fn finish(mut self) -> Result<(), FilesError> {
        let writing = self.0.take().expect("it is finished once");
        writing.finish().map(drop)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let writing = self.0.as_mut().expect("it is not finished yet");
        writing.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes on their way out, to whoever takes them.
struct Pieces(mpsc::Sender<Piece>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as they come in.
pub(super) struct Intake {
    taken: mpsc::Receiver<Piece>,
    piece: Bytes,
    count: u64,
    /// They ended before their end.
    broke: bool,
}

impl Intake {
    pub(super) fn new(taken: mpsc::Receiver<Piece>) -> Self {
        Self {
            taken,
            piece: Bytes::new(),
            count: 0,
            broke: false,
        }
    }
}

impl Read for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.taken.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.broke = true;
                    return Err(error);
                }
                None if self.broke => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Ok(0),
            }
        }
        let size = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..size]);
        self.count += size as u64;
        Ok(size)
    }
}
