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

/// Calls `each` with every entry of the archive.
pub(super) fn entries(
    source: Source<'_>,
    format: Format,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let mut file;
    let stream: &mut dyn Read = match source {
        Source::File(file) if format == Format::Zip => return zip(file, each),
        Source::Stream(_) if format == Format::Zip => return Err(ArchiveError::Unknown.into()),
        Source::File(opened) => {
            file = opened;
            &mut file
        }
        Source::Stream(stream) => stream,
    };
    let fail = |error| FilesError::from(damaged(format.name(), error));
    let packed = Rc::new(Cell::new(0));
    let meter = BufReader::with_capacity(
        64 << 10,
        Meter {
            inner: stream,
            count: packed.clone(),
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
    let gauge = Gauge {
        inner: plain,
        packed,
        unpacked: 0,
    };
    tarball::read(gauge, each)
}

fn zip(
    file: File,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let fail = |error| FilesError::from(damaged("zip", error));
    let packed = file.metadata().map_err(fail)?.len();
    let mut unpacked = 0;
    zipped::read(BufReader::new(file), &mut |entry: Entry<'_>| {
        let mut gauge = Gauge {
            inner: entry.body,
            packed: Rc::new(Cell::new(packed)),
            unpacked,
        };
        each(Entry {
            name: entry.name,
            what: entry.what,
            mode: entry.mode,
            modified: entry.modified,
            size: entry.size,
            body: &mut gauge,
        })?;
        unpacked = gauge.unpacked;
        Ok(())
    })
}

/// Counts what comes.
struct Meter<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Stops when what was unpacked is out of proportion.
struct Gauge<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
}

impl<R: Read> Read for Gauge<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        proportion(self.packed.get(), self.unpacked).map_err(carried)?;
        Ok(read)
    }
}
