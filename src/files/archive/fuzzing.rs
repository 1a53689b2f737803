//! What the fuzz targets feed: archives, unpacked for real into a folder of their own.

use std::{fs::File, io::Write as _, sync::Arc};

use super::{
    super::{
        FilePath,
        root::Replace,
        site::{Lasting, Site},
    },
    Format,
    extract::unpack,
    read::Source,
};

/// What the folder may take: bombs are known by less.
const LIMIT: u64 = 1 << 20;
/// Where a header of tar has the sum of its bytes.
const SUM: std::ops::Range<usize> = 148..156;

/// A zip archive.
pub(crate) fn zip(bytes: &[u8]) {
    unpacked(bytes, Format::Zip);
}

/// A tar archive, compressed or not. Where it is not, the sums in its headers are made right: nobody guesses them.
pub(crate) fn tar(bytes: &[u8]) {
    match Format::of_content(&bytes[..bytes.len().min(Format::HEAD)]) {
        Some(format @ (Format::TarGz | Format::TarZst | Format::TarBz2)) => {
            unpacked(bytes, format);
        }
        _ => {
            let mut bytes = bytes.to_vec();
            for block in bytes.chunks_exact_mut(512) {
                if block.iter().all(|&byte| byte == 0) {
                    continue;
                }
                block[SUM].fill(b' ');
                let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
                block[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            bytes.extend([0; 1024]);
            unpacked(&bytes, Format::Tar);
        }
    }
}

/// All of it or nothing, and nowhere else.
fn unpacked(bytes: &[u8], format: Format) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("1/files");
    let lasting = Arc::new(Lasting::default());
    let site = Site::open(&folder, None, Some(LIMIT), lasting).expect("a folder of ours");
    let mut stream = bytes;
    let source = match format {
        Format::Zip => {
            let mut file: File = tempfile::tempfile().expect("a temporary file");
            file.write_all(bytes).expect("room for it");
            Source::File(file)
        }
        _ => Source::Stream(&mut stream),
    };
    let to = FilePath::parse(b"to").expect("a name");
    let done = unpack(&site, source, format, &to, Replace::No);
    let names = |folder: &std::path::Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder).expect("a folder of ours");
        entries.flatten().map(|entry| entry.file_name()).collect()
    };
    match done {
        Ok(_) => assert_eq!(names(&folder), ["to"]),
        Err(_) => assert!(names(&folder).is_empty()),
    }
    assert!(names(&home.path().join("1/passing/held")).is_empty());
    assert_eq!(names(home.path()), ["1"]);
}
