//! What is no XML of ours, cut off, too much or too deep: it costs its own connection.

use crate::common::{
    House,
    ggz::{Client, GREETING, say_and_listen},
};

const BAD_XML: &str = "<RESULT ACTION='protocol' CODE='bad xml'/>";
const TOO_MUCH: &str = "<RESULT ACTION='protocol' CODE='bad options'/>";

fn login(name: &str) -> String {
    format!(
        "{GREETING}<LANGUAGE>en_GB</LANGUAGE>\n<LOGIN TYPE='guest'>\n<NAME>{name}</NAME>\n</LOGIN>\n\
         <ENTER ROOM='0'/>\n</SESSION>\n"
    )
}

#[tokio::test]
async fn a_login_may_be_cut_anywhere_and_come_in_pieces() {
    let house = House::open().await;
    let whole = login("mallory");
    for length in 0..=whole.len() {
        let heard = say_and_listen(&house, &whole.as_bytes()[..length]);
        assert!(heard.contains("</SERVER>"), "{length}");
        assert!(!heard.contains("'protocol'"), "{length}: {heard}");
    }
    for length in 1..whole.len() {
        // In two pieces, each a read of its own as far as that can be had.
        let mut client = Client::connect(&house);
        let name = format!("m{length}");
        let whole = login(&name);
        let whole = whole.strip_prefix(GREETING).unwrap();
        let length = length % (whole.len() - 1) + 1;
        client.send(&whole[..length]);
        client.send("");
        client.send(&whole[length..]);
        let words = client.last_words();
        let [login, motd, enter, end] = &words[..] else {
            panic!("{length}: {words:?}")
        };
        assert_eq!(login, "<RESULT ACTION='login' CODE='ok'/>", "{length}");
        assert!(motd.starts_with("<MOTD "), "{length}");
        assert_eq!(enter, "<RESULT ACTION='enter' CODE='ok'/>", "{length}");
        assert_eq!(end, "</SESSION>", "{length}");
    }
    // Nobody is left.
    let mut alice = Client::guest(&house, "mallory");
    alice.enter(0);
    let list = alice.result("<LIST TYPE='player'/>");
    assert_eq!(list.matches("<PLAYER ").count(), 1, "{list}");
}

#[tokio::test]
async fn what_is_no_xml_ends_its_own_connection_before_and_after_a_login() {
    let house = House::open().await;
    let mut bystander = Client::guest_in(&house, "alice", 0);
    let bad: Vec<(String, &str)> = [
        ("<LOGIN><NAME>x</LOGIN></NAME>", BAD_XML),
        ("<CHAT><SESSION></CHAT></SESSION>", BAD_XML),
        ("<A></B>", BAD_XML),
        ("</A>", BAD_XML),
        ("<A B='1' B='2'/>", BAD_XML),
        ("<A B=1/>", BAD_XML),
        ("<A B='<'/>", BAD_XML),
        ("<1/>", BAD_XML),
        ("<>", BAD_XML),
        ("<CHAT>&lol;</CHAT>", BAD_XML),
        ("<CHAT>&#0;</CHAT>", BAD_XML),
        ("<CHAT>&#xD800;</CHAT>", BAD_XML),
        ("<CHAT TO='&x;'/>", BAD_XML),
        ("<CHAT>& </CHAT>", BAD_XML),
        ("<CHAT>]]></CHAT>", BAD_XML),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'>", BAD_XML),
        ("<!DOCTYPE a [<!ENTITY lol 'lol'>]>", BAD_XML),
        ("<?php echo 1 ?>", BAD_XML),
    ]
    .map(|(text, code)| (text.into(), code))
    .into_iter()
    .chain([
        ("x".repeat(600), TOO_MUCH),
        ("<A>".repeat(9), TOO_MUCH),
        (
            format!(
                "<A {}/>",
                (0..17).map(|n| format!("A{n}='' ")).collect::<String>()
            ),
            TOO_MUCH,
        ),
        (format!("<A B='{}'/>", "x".repeat(1025)), TOO_MUCH),
        (format!("<CHAT>{}</CHAT>", "x".repeat(8193)), TOO_MUCH),
        (format!("<A>{}</A>", "<B/>".repeat(65)), TOO_MUCH),
        (format!("<{}", "x".repeat(20_000)), TOO_MUCH),
    ])
    .collect();
    for (text, told) in &bad {
        for logged_in in [false, true] {
            let mut client = Client::connect(&house);
            if logged_in {
                client = client.into_guest("mallory");
                client.enter(0);
                bystander.until("ACTION='add'");
            }
            client.try_send(text.as_bytes()).ok(); // it may hang up in the middle
            client.try_send(b"\n<PING/>\n").ok();
            let words = client.last_words();
            let shown = &text[..text.len().min(80)];
            assert_eq!(words, [told, "</SESSION>"], "{logged_in}: {shown}");
            if logged_in {
                bystander.until("ACTION='delete'");
            }
        }
    }
    assert_eq!(bystander.ask("<CHAT>all quiet</CHAT>"), "ok");
    bystander.hears(&["<CHAT TYPE='normal' FROM='alice'>all quiet</CHAT>"]);
}

#[tokio::test]
async fn a_billion_laughs_and_bytes_that_are_no_text_are_refused() {
    let house = House::open().await;
    let mut laughs = String::from("<!DOCTYPE lolz [<!ENTITY lol 'lol'>");
    for n in 1..10 {
        let inner = "&lol;".repeat(10);
        laughs += &format!("<!ENTITY lol{n} '{inner}'>");
    }
    laughs += "]><LOGIN><NAME>&lol9;</NAME></LOGIN>";
    let heard = say_and_listen(&house, format!("{GREETING}{laughs}").as_bytes());
    assert!(
        heard.ends_with(&format!("{BAD_XML}\n</SESSION>\n")),
        "{heard}"
    );
    let heard = say_and_listen(&house, laughs.as_bytes());
    assert!(
        heard.ends_with(&format!("{BAD_XML}\n</SESSION>\n")),
        "{heard}"
    );
    for bytes in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xe4",
        b"\0",
        b"\x1b",
    ] {
        for (before, after) in [
            ("<CHAT>", "</CHAT>"),
            ("<CHAT TO='", "'/>"),
            ("<", "/>"),
            ("<LOGIN><NAME>", "</NAME></LOGIN>"),
        ] {
            let whole = [
                GREETING.as_bytes(),
                before.as_bytes(),
                bytes,
                after.as_bytes(),
            ]
            .concat();
            let heard = say_and_listen(&house, &whole);
            assert!(
                heard.ends_with(&format!("{BAD_XML}\n</SESSION>\n")),
                "{bytes:?}: {heard}"
            );
        }
    }
    // The most that is taken is taken.
    let mut alice = Client::guest_in(&house, "alice", 0);
    alice.all();
    let long = "x".repeat(513);
    assert_eq!(alice.ask(&format!("<CHAT>{long}</CHAT>")), "too long");
    let most = "x".repeat(512);
    assert_eq!(alice.ask(&format!("<CHAT>{most}</CHAT>")), "ok");
    alice.hears(&[&format!("<CHAT TYPE='normal' FROM='alice'>{most}</CHAT>")]);
    let utf8 = "\u{1f3f0}\u{e4}\u{304}";
    assert_eq!(alice.ask(&format!("<CHAT>{utf8}&#65;</CHAT>")), "ok");
    alice.hears(&[&format!("<CHAT TYPE='normal' FROM='alice'>{utf8}A</CHAT>")]);
}
