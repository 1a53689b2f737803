//! Small text files from folders that others write to.

use std::{
    fs::OpenOptions,
    io::{self, Error, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A file's text, if it is a file, has at most `longest` bytes, and is UTF-8. Never waits for a pipe's other end.
pub(in crate::lobby) fn read(path: &Path, longest: usize) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "is no file"));
    }
    let mut bytes = Vec::new();
    let limit = longest as u64 + 1;
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > longest {
        let what = format!("must be at most {longest} bytes");
        return Err(Error::new(ErrorKind::FileTooLarge, what));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_small_text_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("small"), "abc").unwrap();
        std::fs::write(at("bytes"), [0xff]).unwrap();
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(read(&at("small"), 3).unwrap(), "abc");
        let kind = |name, longest| read(&at(name), longest).unwrap_err().kind();
        assert_eq!(kind("small", 2), ErrorKind::FileTooLarge);
        assert_eq!(kind("bytes", 2), ErrorKind::InvalidData);
        assert_eq!(kind("pipe", 2), ErrorKind::InvalidInput);
        assert_eq!(kind("", 2), ErrorKind::InvalidInput);
        assert_eq!(kind("none", 2), ErrorKind::NotFound);
    }
}
