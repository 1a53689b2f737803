//! Uploads in pieces, cut anywhere.

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{super::records::Upload, *};
use crate::{accounts::ServerId, clock::UnixMillis};

pub(super) fn upload(id: u64, path: &str, size: u64) -> Upload {
    Upload {
        id,
        server: ServerId(7),
        path: at(path).raw(),
        size,
        sha256: None,
        mode: None,
        replace: true,
        created: UnixMillis::now(),
    }
}

/// Sends `bytes` from where the upload goes on, in one piece.
fn send(house: &House, upload: &Upload, bytes: &[u8]) -> Result<u64, FilesError> {
    let offset = house.site.upload(upload)?.offset;
    let mut piece = house.site.clone().piece(upload.clone(), offset, None)?;
    let put = piece.put(bytes);
    let at = piece.close()?;
    put.map(|()| at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn an_upload_that_is_cut_anywhere_is_whole_in_the_end(bytes in prop::collection::vec(any::<u8>(), 0..5000), cuts in prop::collection::vec(1..900_usize, 1..12)) {
        let house = House::new();
        let mut upload = upload(1, "a/b/file", bytes.len() as u64);
        upload.sha256 = Some(Sha256::digest(&bytes).into());
        house.site.begin_upload(&upload).unwrap();
        let mut cuts = cuts.into_iter().cycle();
        loop {
            let here = house.site.upload(&upload).unwrap().offset as usize;
            if here == bytes.len() {
                break;
            }
            prop_assert!(house.site.finish_upload(&upload).is_err());
            let end = (here + cuts.next().unwrap()).min(bytes.len());
            prop_assert_eq!(send(&house, &upload, &bytes[here..end]).unwrap(), end as u64);
        }
        house.site.finish_upload(&upload).unwrap();
        prop_assert_eq!(house.read("a/b/file").unwrap(), bytes);
        prop_assert!(house.site.upload(&upload).is_err());
    }
}

#[test]
fn a_piece_begins_where_the_last_one_ended_and_stays_within_what_was_announced() {
    let house = House::new();
    let upload = upload(1, "file", 10);
    house.site.begin_upload(&upload).unwrap();
    send(&house, &upload, b"01234").unwrap();
    let wrong = house
        .site
        .clone()
        .piece(upload.clone(), 3, None)
        .err()
        .unwrap();
    assert!(
        matches!(wrong, FilesError::Offset { at: 5, got: 3, .. }),
        "{wrong}"
    );
    let long = house
        .site
        .clone()
        .piece(upload.clone(), 5, Some(6))
        .err()
        .unwrap();
    assert!(matches!(
        long,
        FilesError::Length {
            expected: 10,
            found: 11
        }
    ));
    let long = send(&house, &upload, b"567890").unwrap_err();
    assert!(matches!(long, FilesError::Length { .. }));
    assert_eq!(send(&house, &upload, b"56789").unwrap(), 10);
    house.site.finish_upload(&upload).unwrap();
    assert_eq!(house.read("file").unwrap(), b"0123456789");
}

#[test]
fn what_is_not_what_was_announced_never_appears() {
    let house = House::new();
    let mut upload = upload(1, "file", 3);
    upload.sha256 = Some([7; 32]);
    house.site.begin_upload(&upload).unwrap();
    send(&house, &upload, b"abc").unwrap();
    let refused = house.site.finish_upload(&upload).unwrap_err();
    assert!(matches!(refused, FilesError::Checksum { .. }), "{refused}");
    assert!(house.names("").is_empty());
    house.site.drop_upload(&upload).unwrap();
    assert!(matches!(
        house.site.upload(&upload).unwrap_err(),
        FilesError::NoSuchUpload(1)
    ));
}

#[test]
fn uploads_count_against_the_limit_and_are_refused_at_once() {
    let house = House::of(None, Some(1 << 20));
    let refused = house
        .site
        .begin_upload(&upload(1, "huge", 2 << 20))
        .unwrap_err();
    assert!(matches!(refused, FilesError::OverLimit { .. }), "{refused}");
    let half = upload(2, "half", 700 << 10);
    house.site.begin_upload(&half).unwrap();
    send(&house, &half, &vec![1; 700 << 10]).unwrap();
    let refused = house.write("other", &vec![1; 400 << 10]).unwrap_err();
    assert!(matches!(refused, FilesError::OverLimit { .. }), "{refused}");
    house.site.drop_upload(&half).unwrap();
    house.write("other", &vec![1; 400 << 10]).unwrap();
}
