//! A game that swaps folders and links while its files are worked with. Nothing outside is ever read or changed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{
    super::{about::Kind, find::Search},
    *,
};

pub(in crate::files) const SECRET: &[u8] = b"the secret that lies outside";
/// How often each call meets the swapping; what waits for the disk less often.
const ROUNDS: usize = 400;
pub(in crate::files) const FEW: usize = 60;

fn exchange(one: &Path, other: &Path) {
    let flags = RenameFlags::RENAME_EXCHANGE;
    renameat2(AT_FDCWD, one, AT_FDCWD, other, flags).unwrap();
}

/// Everything below `folder`, with modes and contents.
fn picture(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        let content = match about.is_dir() {
            true => picture(&entry.path()).join(","),
            false => String::from_utf8(fs::read(entry.path()).unwrap()).unwrap(),
        };
        let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
        lines.push(format!("{:?} {mode:o} {content}", entry.file_name()));
    }
    lines.sort();
    lines
}

/// Runs `call` again and again while the folder `dir` is a link to outside half of the time, and the file `file` in it one
/// to the secret; outside has all the same names.
pub(in crate::files) fn swapped(rounds: usize, call: impl Fn(&House, usize)) {
    let house = House::new();
    let (files, outside) = (house.files(), house.outside());
    for folder in [&outside, &files.join("dir")] {
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::create_dir(folder.join("empty")).unwrap();
    }
    for file in ["file", "sub/file"] {
        fs::write(files.join("dir").join(file), "mine").unwrap();
        fs::write(outside.join(file), SECRET).unwrap();
    }
    fs::write(files.join("plain"), "mine").unwrap();
    symlink(&outside, files.join("other")).unwrap();
    symlink(outside.join("file"), files.join("plain-other")).unwrap();
    let before = picture(&outside);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                exchange(&files.join("dir"), &files.join("other"));
                // It may be away, in the bin or elsewhere.
                let flags = RenameFlags::RENAME_EXCHANGE;
                let (one, other) = (files.join("plain"), files.join("plain-other"));
                renameat2(AT_FDCWD, &one, AT_FDCWD, &other, flags).ok();
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..rounds).for_each(|round| call(&house, round));
        }));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(picture(&outside), before);
}

#[test]
fn reading_never_leads_out() {
    swapped(ROUNDS, |house, _| {
        for path in ["dir/file", "dir/sub/file", "other/file", "plain"] {
            if let Ok(bytes) = house.read(path) {
                assert_eq!(bytes, b"mine");
            }
        }
    });
}

#[test]
fn writing_and_adding_never_lead_out() {
    swapped(FEW, |house, round| {
        house.write("dir/file", b"mine").ok();
        house.write(&format!("other/new-{round}"), b"mine").ok();
        house.write("plain", b"mine").ok();
        house.site.append(&at("dir/sub/file"), b"").ok();
        house.site.append(&at("plain"), b"").ok();
    });
}

#[test]
fn looking_never_leads_out() {
    swapped(ROUNDS, |house, _| {
        let inside = house.site.enter().unwrap();
        for path in ["dir", "other", ""] {
            inside.page(&at(path), None, 100).ok();
        }
        for path in ["dir/file", "dir/sub/file", "other/file"] {
            if let Ok(entry) = inside.entry(&at(path)) {
                assert_eq!(entry.size, 4);
            }
        }
        let search = Search::new(at(""), None, Some("secret"), 100).unwrap();
        assert_eq!(inside.search(&search).unwrap().found, []);
        inside
            .walk(&at(""), |_, about| {
                assert!(about.kind != Kind::File || about.size == 4);
                Ok(super::super::walk::Go::On)
            })
            .unwrap();
        inside.room(&at("dir")).ok();
    });
}

#[test]
fn making_and_modes_never_lead_out() {
    swapped(ROUNDS, |house, round| {
        house.site.make(&at(&format!("dir/d{round}")), false).ok();
        let deep = format!("other/x{round}/y");
        house.site.make(&at(&deep), true).ok();
        for path in ["dir/file", "dir/sub", "plain", "other/file"] {
            house.site.set_mode(&at(path), 0o700).ok();
        }
        let inside = house.site.enter().unwrap();
        inside.link(&at(&format!("dir/l{round}")), b"file").ok();
    });
}

#[test]
fn moving_and_copying_never_lead_out() {
    swapped(FEW, |house, round| {
        let site = &house.site;
        let (there, back) = (format!("dir/m{round}"), format!("moved{round}"));
        site.rename(&at("dir/sub/file"), &at(&there), Replace::Yes)
            .ok();
        site.rename(&at(&there), &at("dir/sub/file"), Replace::Yes)
            .ok();
        site.copy(&at("dir"), &at(&back), Replace::No).ok();
        if let Ok(bytes) = house.read(&format!("{back}/file")) {
            assert_eq!(bytes, b"mine");
        }
        house.site.delete(&at(&back)).ok();
        site.copy(&at("plain"), &at("dir/copied"), Replace::Yes)
            .ok();
        if let Ok(bytes) = house.read("dir/copied") {
            assert_eq!(bytes, b"mine");
        }
    });
}

#[test]
fn deleting_and_undoing_never_lead_out() {
    swapped(FEW, |house, _| {
        for path in ["dir/file", "dir/sub/file", "dir/empty", "other/sub"] {
            if let Ok(deletion) = house.site.delete(&at(path)) {
                // It may come back to where the link is now, which is refused; then to where nothing is.
                if house.site.undo(deletion.id, None).is_err() {
                    let to = at(&format!("back-{}", deletion.id));
                    house.site.undo(deletion.id, Some(&to)).unwrap();
                }
            }
        }
        let inside = house.site.enter().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        inside.remove_all(&at("dir/sub"), until).ok();
    });
}

#[test]
fn uploads_never_lead_out() {
    swapped(FEW, |house, round| {
        let upload = super::uploads::upload(round as u64 + 1, "dir/sub/file", 4);
        if house.site.begin_upload(&upload).is_ok() {
            let piece = house.site.clone().piece(upload.clone(), 0, Some(4));
            let mut piece = piece.unwrap();
            piece.put(b"mine").unwrap();
            piece.close().unwrap();
            house.site.finish_upload(&upload).ok();
            house.site.drop_upload(&upload).unwrap();
        }
    });
}
