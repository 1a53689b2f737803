//! A folder as it is: all that a snapshot has to bring back.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::{MetadataExt, lchown},
    path::Path,
};

/// An entry as one reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Is {
    kind: &'static str,
    owner: (u32, u32),
    mode: u32,
    written: (i64, i64),
    content: Vec<u8>,
    /// Which of its names came first, when it has several.
    same_as: Option<OsString>,
}

/// All that is below `top`, by path.
pub(crate) fn picture(top: &Path) -> BTreeMap<OsString, Is> {
    let mut all = BTreeMap::new();
    let mut inodes: BTreeMap<u64, OsString> = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            let about = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(top).unwrap().as_os_str().to_owned();
            let (kind, content) = if about.is_dir() {
                folders.push(path.clone());
                ("folder", Vec::new())
            } else if about.is_symlink() {
                (
                    "link",
                    fs::read_link(&path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes(),
                )
            } else if about.is_file() {
                ("file", fs::read(&path).unwrap())
            } else {
                ("other", Vec::new())
            };
            let same_as = (about.is_file() && about.nlink() > 1).then(|| {
                inodes
                    .entry(about.ino())
                    .or_insert_with(|| name.clone())
                    .clone()
            });
            let is = Is {
                kind,
                owner: (about.uid(), about.gid()),
                mode: about.mode() & 0o7777,
                written: (about.mtime(), about.mtime_nsec()),
                content,
                same_as,
            };
            all.insert(name, is);
        }
    }
    all
}

/// Gives all of it to the owner of its top, as the game's own files are.
pub(crate) fn give(top: &Path) {
    let about = top.metadata().unwrap();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            lchown(&path, Some(about.uid()), Some(about.gid())).unwrap();
            if path.symlink_metadata().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
}
