//! Where one element ends, however the bytes are cut.

use proptest::prelude::*;

use super::{
    super::{terms::Code, xml::boundary},
    *,
};

const SESSION: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<SESSION>\n<LANGUAGE>en_GB</LANGUAGE>\n\
    <LOGIN TYPE='guest'>\n<NAME>a&amp;b</NAME>\n</LOGIN>\n<PONG/>\n</SESSION>\n";

fn framed(text: &str) -> (Vec<Item>, Result<(), XmlError>) {
    items(Limits::REQUESTS, &[text.as_bytes()])
}

/// How a document that begins a session ends.
fn end_of(text: impl AsRef<[u8]>) -> Result<(), XmlError> {
    items(Limits::REQUESTS, &[b"<SESSION>", text.as_ref()]).1
}

fn names(items: &[Item]) -> Vec<&str> {
    items
        .iter()
        .map(|item| match item {
            Item::Opened => "opened",
            Item::Element(element) => element.name.as_str(),
            Item::Closed => "closed",
        })
        .collect()
}

#[test]
fn a_session_is_framed_into_its_elements() {
    let (items, end) = framed(SESSION);
    assert_eq!(end, Ok(()));
    assert_eq!(
        names(&items),
        ["opened", "LANGUAGE", "LOGIN", "PONG", "closed"]
    );
    let Item::Element(login) = &items[2] else {
        panic!("{items:?}")
    };
    assert_eq!(login.attribute("type"), Some("guest"));
    assert_eq!(login.field("Name"), Some("a&b"));
}

#[test]
fn names_in_lower_case_are_the_same() {
    let (items, end) = framed("<session><login type=\"guest\"><name>ada</name></login></session>");
    assert_eq!(end, Ok(()));
    assert_eq!(names(&items), ["opened", "login", "closed"]);
    let Item::Element(login) = &items[1] else {
        panic!("{items:?}")
    };
    assert!(login.is("LOGIN"));
    assert_eq!(login.attribute("TYPE"), Some("guest"));
    assert_eq!(login.field("NAME"), Some("ada"));
}

#[test]
fn an_end_has_to_be_written_as_its_beginning() {
    assert_eq!(end_of("<login></LOGIN>"), Err(XmlError::Malformed));
    assert_eq!(end_of("<A><B></A></B>"), Err(XmlError::Malformed));
    assert_eq!(end_of("</session>"), Err(XmlError::Malformed));
    assert_eq!(end_of("</LOGIN>"), Err(XmlError::Malformed));
    assert_eq!(framed("</SESSION>").1, Err(XmlError::Malformed));
    assert_eq!(end_of("<A></A x='1'>"), Err(XmlError::Malformed));
}

#[test]
fn elements_without_a_session_are_taken_as_if_there_were_one() {
    let (items, end) = framed("<PING ID='1'/>\n<MOTD/><SESSION><PONG/></SESSION>");
    assert_eq!(end, Ok(()));
    assert_eq!(names(&items), ["PING", "MOTD", "opened", "PONG", "closed"]);
}

#[test]
fn an_empty_session_opens_and_closes() {
    let (items, end) = framed("<SESSION/><PING/>");
    assert_eq!(end, Ok(()));
    assert_eq!(names(&items), ["opened", "closed"]);
}

#[test]
fn text_between_children_is_run_together_and_text_of_children_is_theirs() {
    let chat = element("<CHAT>a<X>no</X>b<!-- no -->&lt;<![CDATA[<&]]>&#x41;&#66;</CHAT>");
    assert_eq!(chat.text, "ab<<&AB");
    assert_eq!(chat.field("x"), Some("no"));
}

#[test]
fn line_ends_are_one_kind_and_a_byte_order_mark_in_a_text_is_text() {
    let chat = element("\u{feff}<CHAT A='\u{feff}x'>\u{feff}a\r\nb\rc&#13;&amp;\u{feff}</CHAT>");
    assert_eq!(chat.text, "\u{feff}a\nb\nc\r&\u{feff}");
    assert_eq!(chat.attribute("A"), Some("\u{feff}x"));
}

#[test]
fn what_a_document_said_does_not_depend_on_its_chunks() {
    let whole = framed(SESSION);
    for at in 0..SESSION.len() {
        let (one, other) = SESSION.as_bytes().split_at(at);
        assert_eq!(items(Limits::REQUESTS, &[one, other]), whole, "at {at}");
    }
    let bytes: Vec<&[u8]> = SESSION.as_bytes().chunks(1).collect();
    assert_eq!(items(Limits::REQUESTS, &bytes), whole);
}

#[test]
fn a_document_cut_anywhere_says_only_what_was_complete() {
    let (all, _) = framed(SESSION);
    for at in 0..SESSION.len() {
        let (some, end) = framed(&SESSION[..at]);
        assert_eq!(end, Ok(()), "at {at}");
        assert_eq!(some, all[..some.len()], "at {at}");
        assert!(some.len() < all.len() || at == SESSION.len() - 1, "at {at}");
    }
}

#[test]
fn bytes_after_a_session_are_left_alone() {
    let mut framer = Framer::new(Limits::REQUESTS);
    framer.push(b"<SESSION><CHANNEL ID='ada'/></SESSION>\n\x00\x06<&");
    assert_eq!(framer.next(), Ok(Some(Item::Opened)));
    assert_eq!(framer.consumed(), 9);
    assert!(matches!(framer.next(), Ok(Some(Item::Element(_)))));
    assert_eq!(framer.next(), Ok(Some(Item::Closed)));
    assert_eq!(framer.consumed(), 38);
    assert_eq!(framer.next(), Ok(None));
    assert_eq!(framer.remaining(), b"\n\x00\x06<&");
}

#[test]
fn bytes_after_tls_start_are_left_for_tls() {
    let mut framer = Framer::new(Limits::REQUESTS);
    framer.push(b"<SESSION>\n<TLS_START/>\r\n\x16\x03\x01");
    assert_eq!(framer.next(), Ok(Some(Item::Opened)));
    assert!(matches!(framer.next(), Ok(Some(Item::Element(_)))));
    assert_eq!(framer.remaining(), b"\r\n\x16\x03\x01");
}

#[test]
fn who_consumes_to_each_boundary_takes_nothing_after_the_session() {
    let all = [SESSION.trim_end().as_bytes(), b">raw>"].concat();
    let (mut framer, mut rest, mut closed) = (Framer::new(Limits::REQUESTS), &all[..], false);
    while !closed {
        let (take, next) = rest.split_at(boundary(rest));
        rest = next;
        framer.push(take);
        while let Some(item) = framer.next().unwrap() {
            closed = item == Item::Closed;
        }
    }
    assert_eq!((framer.remaining(), rest), (&b""[..], &b">raw>"[..]));
    assert_eq!(boundary(b"no end"), 6);
    assert_eq!(boundary(b""), 0);
}

#[test]
fn a_billion_laughs_are_refused_at_the_first_bytes_of_the_dtd() {
    let laughs = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;'>]>\
        <SESSION>&lol2;</SESSION>";
    assert_eq!(framed(laughs), (vec![], Err(XmlError::Forbidden)));
    assert_eq!(framed("<!D").1, Err(XmlError::Forbidden));
    for text in ["&lol;", "<CHAT>&lol;</CHAT>", "<A B='&lol;'/>", "<!ELEMENT"] {
        assert_eq!(end_of(text), Err(XmlError::Forbidden), "{text}");
    }
    assert_eq!(XmlError::Forbidden.code(), Code::BadXml);
}

#[test]
fn only_one_declaration_at_the_start_is_allowed_and_no_other_instruction() {
    let good = [
        "<?xml version='1.0'?><SESSION>",
        " \n<?xml version=\"1.0\" encoding=\"utf-8\" ?><SESSION>",
        "\u{feff}<?xml version='1.0'?><SESSION>",
    ];
    for text in good {
        assert_eq!(framed(text), (vec![Item::Opened], Ok(())), "{text}");
    }
    for text in [
        "<?php ?>",
        "<?xml-stylesheet href='x'?>",
        "<SESSION><?xml version='1.0'?>",
        "<?xml version='1.0'?><?xml version='1.0'?>",
        "x<?xml version='1.0'?>",
        "<PING/><?xml version='1.0'?>",
    ] {
        assert_eq!(framed(text).1, Err(XmlError::Forbidden), "{text}");
    }
    for text in [
        "<?xml encoding='UTF-8'?>",
        "<?xml?>",
        "<?xml version='1.0' encoding='UTF-16'?>",
    ] {
        assert_eq!(framed(text).1, Err(XmlError::Malformed), "{text}");
    }
}

#[test]
fn what_is_not_well_formed_is_bad_xml() {
    for text in [
        "<>",
        "</>",
        "< A/>",
        "<1/>",
        "<A B/>",
        "<A B=1/>",
        "<A B='1' b='2'/>",
        "<A <B/>>",
        "<A B='<'/>",
        "<A/ >",
        "<A;B/>",
        "&;",
        "& ",
        "<A>&amp</A>",
        "<A>& b;</A>",
        "<A>]]></A>",
        "<!-- a -- b -->",
        "<A B='&amp'/>",
    ] {
        let end = end_of(format!("{text}<PING/>")).map_err(XmlError::code);
        assert_eq!(end, Err(Code::BadXml), "{text}");
    }
}

#[test]
fn bytes_that_are_no_characters_of_xml_are_bad_xml() {
    for text in [
        &b"<A>\xff</A>"[..],
        b"<A>\xc3</A>",
        b"<A>\xed\xa0\x80</A>",
        b"<A>\0</A>",
        b"<A>\x07</A>",
        b"<A>\xef\xbf\xbf</A>",
        b"<A B='\xff'/>",
        b"<A B='\x01'/>",
        b"<A B='&#0;'/>",
        b"<A B='&#x1;'/>",
        b"<A>&#0;</A>",
        b"<A>&#xD800;</A>",
        b"<A>&#x110000;</A>",
        b"<A>&#8;</A>",
        b"<A>&#x;</A>",
        b"<A>&#-65;</A>",
        b"<A\xff/>",
        b"<A><![CDATA[\x02]]></A>",
        b"<!-- \x02 -->",
        b"\x02<A/>",
        b"\xff<A/>",
    ] {
        let end = end_of(text).map_err(XmlError::code);
        assert_eq!(end, Err(Code::BadXml), "{}", text.escape_ascii());
    }
    assert_eq!(end_of("<A>\t\n\r\u{85}\u{10ffff}\u{fffd}&#9;</A>"), Ok(()));
}

/// A document just at a limit passes, and one just over it is refused.
fn has_limit(error: XmlError, at: &str, over: &str) {
    assert_eq!(end_of(at), Ok(()));
    assert_eq!(end_of(over), Err(error));
    assert_eq!(error.code(), Code::BadOptions);
}

#[test]
fn depth_is_limited() {
    let nest = |depth: usize| "<A>".repeat(depth) + &"</A>".repeat(depth);
    has_limit(XmlError::Depth, &nest(8), &nest(9));
    has_limit(XmlError::Depth, &"<A>".repeat(8), &"<A>".repeat(9));
}

#[test]
fn attributes_are_limited_in_number_and_length() {
    let many = |number| {
        let attributes: String = (0..number).map(|n| format!(" A{n}='{n}'")).collect();
        format!("<A{attributes}/>")
    };
    has_limit(XmlError::Count, &many(16), &many(17));
    let long = |length| format!("<A B='{}'/>", "x".repeat(length));
    has_limit(XmlError::Length, &long(1024), &long(1025));
    let escaped = |length| format!("<A B='{}'/>", "&lt;".repeat(length));
    has_limit(XmlError::Length, &escaped(256), &escaped(257));
}

#[test]
fn children_and_all_elements_within_one_are_limited() {
    let many = |number| format!("<A>{}</A>", "<B/>".repeat(number));
    has_limit(XmlError::Count, &many(64), &many(65));
    let deep = |number| {
        let one = format!("<A>{}</A>", "<B/>".repeat(41));
        format!("<A>{}{}</A>", one.repeat(3), "<C/>".repeat(number))
    };
    has_limit(XmlError::Count, &deep(1), &deep(2));
    assert_eq!(end_of(many(64).repeat(10)), Ok(()));
}

#[test]
fn names_are_limited() {
    let element = |length| format!("<{}/>", "A".repeat(length));
    has_limit(XmlError::Length, &element(64), &element(65));
    let attribute = |length| format!("<A {}='1'/>", "B".repeat(length));
    has_limit(XmlError::Length, &attribute(64), &attribute(65));
}

#[test]
fn text_is_limited_and_a_long_chat_passes() {
    let text = |length| format!("<CHAT>{}</CHAT>", "x".repeat(length));
    assert_eq!(end_of(text(4096)), Ok(()));
    has_limit(XmlError::Length, &text(8 << 10), &text((8 << 10) + 1));
    let escaped = |length| format!("<CHAT>{}</CHAT>", "&amp;".repeat(length));
    has_limit(XmlError::Length, &escaped(8 << 10), &escaped((8 << 10) + 1));
    let section = |length| format!("<CHAT><![CDATA[{}]]></CHAT>", "x".repeat(length));
    has_limit(XmlError::Length, &section(8 << 10), &section((8 << 10) + 1));
}

#[test]
fn a_tag_that_never_ends_is_given_up() {
    let tag = |length: usize| format!("<A B='{}", ">".repeat(length - 6));
    has_limit(XmlError::Length, &tag(16 << 10), &tag((16 << 10) + 1));
    let text = |length| format!("<A>{}", "x".repeat(length));
    has_limit(XmlError::Length, &text(16 << 10), &text((16 << 10) + 1));
    let reference = |length| format!("<A>&{}", "x".repeat(length));
    assert_eq!(end_of(reference(15)), Ok(()));
    assert_eq!(end_of(reference(16)), Err(XmlError::Malformed));
}

#[test]
fn a_whole_element_is_limited() {
    let comments = |number| format!("<A>{}</A>", "<!--567-->".repeat(number));
    has_limit(XmlError::Length, &comments(6552), &comments(6553));
    assert_eq!(end_of(comments(6552).repeat(3)), Ok(()));
}

#[test]
fn text_outside_of_all_elements_is_ignored_and_limited() {
    has_limit(XmlError::Idle, &"x".repeat(512), &"x".repeat(513));
    assert_eq!(framed(&"x".repeat(512)), (vec![], Ok(())));
    assert_eq!(framed(&"x".repeat(513)).1, Err(XmlError::Idle));
    let with = |text: &str, times| format!("{text}<PING/>").repeat(times);
    assert_eq!(end_of(with(&" ".repeat(512), 9)), Ok(()));
    assert_eq!(end_of(with(&" ".repeat(513), 1)), Err(XmlError::Idle));
    assert_eq!(end_of("<!-- -->".repeat(65)), Err(XmlError::Idle));
    assert_eq!(end_of("&amp;".repeat(103)), Err(XmlError::Idle));
}

#[test]
fn who_failed_stays_failed() {
    let mut framer = Framer::new(Limits::REQUESTS);
    framer.push(b"<SESSION></A>");
    assert_eq!(framer.next(), Ok(Some(Item::Opened)));
    assert_eq!(framer.next(), Err(XmlError::Malformed));
    framer.push(b"<PING/>");
    assert_eq!(framer.next(), Err(XmlError::Malformed));
}

#[test]
fn whole_lists_pass_from_a_server() {
    let player = "<PLAYER ID='somebody' TYPE='guest' TABLE='-1' PERMS='0x00000043' LAG='1'/>\n";
    let list = format!(
        "<RESULT ACTION='list' CODE='ok'>\n<LIST TYPE='player' ROOM='0'>\n{}</LIST>\n</RESULT>\n",
        player.repeat(5000)
    );
    assert_eq!(element(&list).children[0].children.len(), 5000);
}

const KNOWN: &[&str] = &[
    "<SESSION>",
    "</SESSION>",
    "<A>",
    "</A>",
    "<A/>",
    "<A B='1'/>",
    "<A B='&lt;' C=\">\">",
    "text",
    "&amp;",
    "&#65;",
    "&x;",
    "<![CDATA[a]b>]]>",
    "<!-- c -->",
    "<!",
    "<?xml version='1.0'?>",
    "\n",
    "\u{feff}",
    "ä",
    "]]>",
    "<",
    ">",
    "&",
    ";",
    "'",
];

/// Pieces that make documents which are often well-formed.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::sample::select(KNOWN).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
        1 => (0..700usize).prop_map(|length| vec![b'x'; length]),
    ]
}

/// The same bytes, in chunks that end at these places.
fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn chunks_cannot_be_noticed(
        pieces in proptest::collection::vec(piece(), 0..40),
        cuts: Vec<prop::sample::Index>,
    ) {
        let bytes = pieces.concat();
        let whole = items(Limits::REQUESTS, &[&bytes]);
        prop_assert_eq!(&items(Limits::REQUESTS, &cut(&bytes, &cuts)), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&items(Limits::REQUESTS, &single), &whole);
    }

    #[test]
    fn any_bytes_are_a_document_or_an_error(bytes: Vec<u8>) {
        let (items, _) = items(Limits::REQUESTS, &[&bytes]);
        prop_assert!(items.len() <= bytes.len());
    }
}
