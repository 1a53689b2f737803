//! The bin after a power cut: what is written down of a deletion may be torn, and none of it is in the way.

use std::fs;

use super::{super::bin, *};

/// Tears what is written down of `id`.
fn tear(house: &House, id: u64, to: &str) {
    let note = house.files().parent().unwrap().join(format!("bin/{id}"));
    assert!(note.exists());
    fs::write(note, to).unwrap();
}

#[test]
fn a_deletion_of_which_nothing_whole_is_written_gives_way_like_any_other() {
    for torn in ["", "{\"path\":\"bi"] {
        let house = House::of(root("another user").then(user), Some(1 << 20));
        let big = vec![7; 600 << 10];
        house.write("big", &big).unwrap();
        let deletion = house.site.delete(&at("big")).unwrap();
        tear(&house, deletion.id, torn);
        assert_eq!(bin::list(&house.site).unwrap(), []);
        let refused = house.site.purge(deletion.id).unwrap_err();
        assert!(
            matches!(refused, FilesError::NoSuchDeletion(_)),
            "{refused}"
        );
        house.write("more", &big).unwrap();
        assert_eq!(house.site.usage().unwrap().bin >> 16, 0);
        assert!(!bin::drop_oldest(&house.site).unwrap());
    }
}

#[test]
fn a_note_of_what_was_never_moved_gives_way_to_nothing_else() {
    let house = House::of(None, Some(1 << 20));
    let big = vec![7; 600 << 10];
    house.write("big", &big).unwrap();
    let kept = house.site.delete(&at("big")).unwrap();
    // Older, and the power went before anything was moved.
    let outer = house.files().parent().unwrap().join("bin");
    fs::write(outer.join("1"), "").unwrap();
    house.write("small", b"x").unwrap();
    house.site.undo(kept.id, None).unwrap();
    house.site.delete(&at("big")).unwrap();
    house.write("more", &big).unwrap();
    assert_eq!(house.names(""), ["more", "small"]);
    assert!(!outer.join("1").exists());
}
