//! From the bytes of any archive to its entries.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read},
    rc::Rc,
};

use super::{
    super::FilesError,
    ArchiveError, Format,
    entry::{Entry, carried, damaged, proportion},
    tarball, zipped,
};

/// Of zstd's window: 128 MiB, which is what `--long` uses and all that its own decoder takes by default.
const WINDOW_LOG: u32 = 27;

/// What an archive is read from.
pub(crate) enum Source<'a> {
    /// A file, which can be gone through in any order.
    File(File),
    /// Bytes as they come; all but zip.
    Stream(&'a mut dyn Read),
}

/// How much of an archive came, and what it became so far. Its clones are the same sums.
#[derive(Clone, Default)]
pub(super) struct Tally(Rc<Sums>);

#[derive(Default)]
struct Sums {
    packed: Cell<u64>,
    unpacked: Cell<u64>,
}

impl Tally {
    fn came(&self, bytes: u64) {
        let packed = &self.0.packed;
        packed.set(packed.get().saturating_add(bytes));
    }

    fn became(&self, bytes: u64) -> Result<(), ArchiveError> {
        let unpacked = self.0.unpacked.get().saturating_add(bytes);
        self.0.unpacked.set(unpacked);
        proportion(self.0.packed.get(), unpacked)
    }

    /// `inner`, whose bytes count as what the archive became.
    pub(super) fn gauge<R>(&self, inner: R) -> Gauge<R> {
        let tally = self.clone();
        Gauge { inner, tally }
    }
}

/// Calls `each` with every entry of the archive, and counts in `tally`.
pub(super) fn entries(
    source: Source<'_>,
    format: Format,
    tally: &Tally,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let mut file;
    let stream: &mut dyn Read = match source {
        Source::File(file) if format == Format::Zip => return zip(file, tally, each),
        Source::Stream(_) if format == Format::Zip => return Err(ArchiveError::Unknown.into()),
        Source::File(opened) => {
            file = opened;
            &mut file
        }
        Source::Stream(stream) => stream,
    };
    let fail = |error| FilesError::from(damaged(format.name(), error));
    let meter = BufReader::with_capacity(
        64 << 10,
        Meter {
            inner: stream,
            tally: tally.clone(),
        },
    );
    let plain: Box<dyn Read + '_> = match format {
        Format::Tar | Format::Zip => Box::new(meter),
        Format::TarGz => Box::new(flate2::bufread::MultiGzDecoder::new(meter)),
        Format::TarBz2 => Box::new(bzip2::bufread::MultiBzDecoder::new(meter)),
        Format::TarZst => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(meter).map_err(fail)?;
            decoder.window_log_max(WINDOW_LOG).map_err(fail)?;
            Box::new(decoder)
        }
    };
    tarball::read(tally.gauge(plain), each)
}

fn zip(
    file: File,
    tally: &Tally,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let fail = |error| FilesError::from(damaged("zip", error));
    tally.came(file.metadata().map_err(fail)?.len());
    zipped::read(BufReader::new(file), &mut |entry: Entry<'_>| {
        each(Entry {
            name: entry.name,
            what: entry.what,
            mode: entry.mode,
            modified: entry.modified,
            size: entry.size,
            body: &mut tally.gauge(entry.body),
        })
    })
}

/// Counts what comes.
struct Meter<R> {
    inner: R,
    tally: Tally,
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.tally.came(read as u64);
        Ok(read)
    }
}

/// Stops when what was unpacked is out of proportion.
pub(super) struct Gauge<R> {
    inner: R,
    tally: Tally,
}

impl<R: Read> Read for Gauge<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.tally.became(read as u64).map_err(carried)?;
        Ok(read)
    }
}
