//! A disk that is soon full.

use std::{fs::OpenOptions, io::Write, path::Path};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Everything below the state folder on a disk of 48 MiB, which only this thread and what it starts can see.
pub(crate) fn small_disk(state: &Path) {
    std::fs::create_dir_all(state).expect("a folder");
    unshare(CloneFlags::CLONE_NEWNS).expect("root may");
    let none: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).expect("root may");
    let size = Some("size=48m,mode=755");
    mount(Some("tmpfs"), state, Some("tmpfs"), MsFlags::empty(), size).expect("a small disk");
}

/// Up to the last byte.
pub(crate) fn fill(filler: &Path) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(filler)
        .expect("a file");
    for chunk in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; chunk]).is_ok() {}
    }
}
