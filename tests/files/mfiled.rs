//! What mfiled tells of files that are none of the usual.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    path::PathBuf,
};

use nix::{
    sys::stat::{Mode, SFlag, makedev, mknod},
    unistd::mkfifo,
};

use crate::{
    common::{House, root},
    doors::call,
    open,
};

/// A box with one server, the server's folder, and how calls name it.
async fn server() -> (House, PathBuf, String) {
    let (house, id) = open(&[]).await;
    // Its folder is made when it is first needed.
    let number = format!("<int>{id}</int>");
    call(&house, "file_list", &[number.clone(), "/".into()]).await;
    let folder = house.state().join(format!("servers/{id}/files"));
    (house, folder, number)
}

/// What a listing says the type of `name` is.
fn kind<'a>(list: &'a str, name: &str) -> &'a str {
    let entries = list.split("<struct>");
    let named = format!("<string>{name}</string>");
    let entry = entries
        .filter(|entry| entry.contains(&named))
        .last()
        .unwrap_or_else(|| panic!("{name} is not in {list}"));
    let kinds = ["file", "dir", "dev", "fifo", "other"];
    let told = |kind: &&str| entry.contains(&format!("<name>type</name><value><string>{kind}<"));
    let told = kinds.into_iter().find(told);
    told.unwrap_or_else(|| panic!("no type in {entry}"))
}

#[tokio::test]
async fn devices_pipes_sockets_and_links_are_told_apart_and_not_opened() {
    if !root("a device") {
        return;
    }
    let (house, folder, number) = server().await;
    let mode = Mode::from_bits_truncate(0o666);
    mkfifo(&folder.join("a-pipe"), mode).unwrap();
    mknod(&folder.join("a-disk"), SFlag::S_IFBLK, mode, makedev(7, 0)).unwrap();
    mknod(&folder.join("a-null"), SFlag::S_IFCHR, mode, makedev(1, 3)).unwrap();
    let _socket = UnixListener::bind(folder.join("a-socket")).unwrap();
    symlink("plain", folder.join("a-link")).unwrap();
    fs::write(folder.join("plain"), "x").unwrap();
    fs::create_dir(folder.join("a-folder")).unwrap();
    let list = call(&house, "file_list", &[number.clone(), "/".into()]).await;
    for (name, expected) in [
        ("a-pipe", "fifo"),
        ("a-disk", "dev"),
        ("a-null", "dev"),
        ("a-socket", "other"),
        ("a-link", "other"),
        ("plain", "file"),
        ("a-folder", "dir"),
    ] {
        assert_eq!(kind(&list, name), expected, "{name} in {list}");
        let told = call(&house, "file_info", &[number.clone(), name.into()]).await;
        assert_eq!(kind(&told, name), expected, "{told}");
    }
    for name in ["a-pipe", "a-disk", "a-null", "a-socket"] {
        let refused = call(&house, "file_get_contents", &[number.clone(), name.into()]).await;
        assert!(refused.contains("<int>4002</int>"), "{name}: {refused}");
        let put = [number.clone(), name.into(), "x".into()];
        let refused = call(&house, "file_put_contents", &put).await;
        assert!(refused.contains("<int>4002</int>"), "{name}: {refused}");
    }
    let behind = call(&house, "file_get_contents", &[number, "a-link".into()]).await;
    assert!(behind.contains("<string>x</string>"), "{behind}");
}

#[tokio::test]
async fn a_name_that_is_no_text_goes_to_and_fro_as_base64() {
    let (house, folder, number) = server().await;
    let name = folder.join(OsStr::from_bytes(b"\xff\xfe"));
    fs::write(&name, "odd").unwrap();
    let base64 = "<base64>//4=</base64>".to_owned();
    let list = call(&house, "file_list", &[number.clone(), "/".into()]).await;
    assert!(list.contains(&base64), "{list}");
    let at = [number.clone(), base64.clone()];
    let told = call(&house, "file_info", &at).await;
    assert!(told.contains(&base64), "{told}");
    let got = call(&house, "file_get_contents", &at).await;
    assert!(got.contains("<string>odd</string>"), "{got}");
    let put = [number.clone(), base64.clone(), "even".into()];
    call(&house, "file_put_contents", &put).await;
    assert_eq!(fs::read(&name).unwrap(), b"even");
    let gone = [number, base64, "file".into()];
    let gone = call(&house, "file_delete", &gone).await;
    assert!(gone.contains("<boolean>1</boolean>"), "{gone}");
    assert!(!fs::exists(&name).unwrap());
}

#[tokio::test]
async fn what_is_too_much_for_one_answer_is_refused_and_the_most_is_not() {
    let (house, folder, number) = server().await;
    let many = folder.join("many");
    fs::create_dir(&many).unwrap();
    for n in 0..10_000 {
        fs::File::create(many.join(format!("{n:05}"))).unwrap();
    }
    let at = [number.clone(), "many".into()];
    let list = call(&house, "file_list", &at).await;
    assert_eq!(list.matches("<name>filename</name>").count(), 10_002);
    fs::File::create(many.join("one-more")).unwrap();
    let refused = call(&house, "file_list", &at).await;
    assert!(refused.contains("<int>1102</int>"), "{refused}");
    assert!(refused.contains("10000 entries"), "{refused}");

    let large = folder.join("large");
    fs::write(&large, vec![b'a'; 12 << 20]).unwrap();
    let at = [number, "large".into()];
    let got = call(&house, "file_get_contents", &at).await;
    assert_eq!(got.matches('a').count() / 1_000_000, 12);
    let file = fs::File::options().write(true).open(&large).unwrap();
    file.set_len((12 << 20) + 1).unwrap();
    let refused = call(&house, "file_get_contents", &at).await;
    assert!(refused.contains("<int>1102</int>"), "{refused}");
    assert!(refused.contains("/download"), "{refused}");
}
