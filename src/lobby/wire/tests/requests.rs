//! What clients say: read, and written as a client does.

use proptest::prelude::*;

use super::{
    super::{
        request::{AdminAction, Change, ListOf, Login, LoginKind, Reseat},
        terms::{Action, ChatKind, Code, GameId, Permission, RoomId, Seat, SeatKind, TableId},
    },
    strategies, *,
};
use crate::accounts::Secret;

fn login(kind: LoginKind, name: &str, password: Option<&str>, email: Option<&str>) -> Request {
    Request::Login(Login {
        kind,
        name: name.into(),
        password: password.map(Secret::new),
        email: email.map(str::to_owned),
    })
}

fn seat(kind: SeatKind, name: Option<&str>) -> Seat {
    Seat {
        kind,
        name: name.map(str::to_owned),
    }
}

fn admin(action: AdminAction, reason: Option<&str>) -> Request {
    Request::Admin {
        action,
        player: "bob".into(),
        reason: reason.map(str::to_owned),
    }
}

fn chat(kind: Option<ChatKind>, to: Option<&str>, text: &str) -> Request {
    Request::Chat {
        kind,
        to: to.map(str::to_owned),
        text: text.into(),
    }
}

fn join(spectator: bool, seat: Option<u32>) -> Request {
    Request::Join {
        table: TableId(1),
        spectator,
        seat,
    }
}

fn list(what: ListOf, full: bool, room: Option<u32>) -> Request {
    Request::List {
        what,
        full,
        room: room.map(RoomId),
    }
}

fn update(room: Option<u32>, change: Change) -> Request {
    Request::Update {
        room: room.map(RoomId),
        table: TableId(1),
        change,
    }
}

/// Every request, as facts/ggz.md shows it, and as it is understood. These are written so as well.
fn golden() -> Vec<(&'static str, Request)> {
    let launch = Request::Launch {
        game: GameId(3),
        description: "come & play".into(),
        seats: vec![
            Some(seat(SeatKind::Open, None)),
            Some(seat(SeatKind::Bot, None)),
            Some(seat(SeatKind::Bot, Some("Marvin"))),
            Some(seat(SeatKind::Reserved, Some("bob"))),
        ],
    };
    let perm = Request::AdminPerm {
        player: "bob".into(),
        permission: Permission::ChatAnnounce,
        value: true,
    };
    let channel = |token: Option<&str>| Request::Channel {
        name: "alice".into(),
        token: token.map(str::to_owned),
    };
    let leave = |force, spectator| Request::Leave { force, spectator };
    let reseat = |action, seat| Request::Reseat { action, seat };
    vec![
        (
            "<LANGUAGE>en_GB</LANGUAGE>\n",
            Request::Language {
                language: "en_GB".into(),
            },
        ),
        (
            "<LOGIN TYPE='guest'>\n<NAME>alice</NAME>\n</LOGIN>\n",
            login(LoginKind::Guest, "alice", None, None),
        ),
        (
            "<LOGIN TYPE='normal'>\n<NAME>alice</NAME>\n<PASSWORD>p&lt;w</PASSWORD>\n</LOGIN>\n",
            login(LoginKind::Normal, "alice", Some("p<w"), None),
        ),
        (
            "<LOGIN TYPE='first'>\n<NAME>alice</NAME>\n<PASSWORD>pw</PASSWORD>\n<EMAIL>a@b.c</EMAIL>\n</LOGIN>\n",
            login(LoginKind::First, "alice", Some("pw"), Some("a@b.c")),
        ),
        ("<TLS_START/>\n", Request::TlsStart),
        (
            "<LIST TYPE='game' FULL='true'/>\n",
            list(ListOf::Game, true, None),
        ),
        (
            "<LIST TYPE='room' FULL='false'/>\n",
            list(ListOf::Room, false, None),
        ),
        (
            "<LIST TYPE='player' FULL='false'/>\n",
            list(ListOf::Player, false, None),
        ),
        (
            "<LIST TYPE='table' FULL='true' ROOM='7'/>\n",
            list(ListOf::Table, true, Some(7)),
        ),
        ("<ENTER ROOM='0'/>\n", Request::Enter { room: RoomId(0) }),
        (
            "<CHAT TYPE='normal'>hi &apos;all&apos;</CHAT>\n",
            chat(Some(ChatKind::Normal), None, "hi 'all'"),
        ),
        (
            "<CHAT TYPE='private' TO='bob'>psst</CHAT>\n",
            chat(Some(ChatKind::Private), Some("bob"), "psst"),
        ),
        (
            "<CHAT TYPE='beep' TO='bob'/>\n",
            chat(Some(ChatKind::Beep), Some("bob"), ""),
        ),
        (
            "<CHAT TYPE='announce'>hear</CHAT>\n",
            chat(Some(ChatKind::Announce), None, "hear"),
        ),
        (
            "<CHAT TYPE='table'>mine</CHAT>\n",
            chat(Some(ChatKind::Table), None, "mine"),
        ),
        (
            "<LAUNCH>\n<TABLE GAME='3' SEATS='4'>\n<DESC>come &amp; play</DESC>\n<SEAT NUM='0' TYPE='open'/>\n\
             <SEAT NUM='1' TYPE='bot'/>\n<SEAT NUM='2' TYPE='bot'>Marvin</SEAT>\n\
             <SEAT NUM='3' TYPE='reserved'>bob</SEAT>\n</TABLE>\n</LAUNCH>\n",
            launch,
        ),
        ("<JOIN TABLE='1' SPECTATOR='false'/>\n", join(false, None)),
        ("<JOIN TABLE='1' SPECTATOR='true'/>\n", join(true, None)),
        (
            "<JOIN TABLE='1' SPECTATOR='false' SEAT='2'/>\n",
            join(false, Some(2)),
        ),
        (
            "<LEAVE FORCE='true' SPECTATOR='false'/>\n",
            leave(true, false),
        ),
        (
            "<LEAVE FORCE='false' SPECTATOR='true'/>\n",
            leave(false, true),
        ),
        ("<RESEAT ACTION='sit'/>\n", reseat(Reseat::Sit, None)),
        ("<RESEAT ACTION='stand'/>\n", reseat(Reseat::Stand, None)),
        (
            "<RESEAT ACTION='move' SEAT='3'/>\n",
            reseat(Reseat::Move, Some(3)),
        ),
        (
            "<UPDATE TYPE='table' ACTION='desc' ROOM='0'>\n<TABLE ID='1'>\n<DESC>new</DESC>\n</TABLE>\n</UPDATE>\n",
            update(Some(0), Change::Desc("new".into())),
        ),
        (
            "<UPDATE TYPE='table' ACTION='seat' ROOM='0'>\n<TABLE ID='1' SEATS='2'>\n<SEAT NUM='1' TYPE='bot'/>\n\
             </TABLE>\n</UPDATE>\n",
            update(Some(0), Change::Seat(1, seat(SeatKind::Bot, None))),
        ),
        (
            "<UPDATE TYPE='table' ACTION='boot'>\n<TABLE ID='1' SEATS='1'>\n<SEAT NUM='0' TYPE='player'>bob</SEAT>\n\
             </TABLE>\n</UPDATE>\n",
            update(None, Change::Boot("bob".into())),
        ),
        ("<INFO/>\n", Request::Info { seat: None }),
        ("<INFO SEAT='1'/>\n", Request::Info { seat: Some(1) }),
        ("<RANKINGS/>\n", Request::Rankings),
        ("<MOTD/>\n", Request::Motd),
        ("<PING/>\n", Request::Ping { id: None }),
        (
            "<PING ID='a&quot;1'/>\n",
            Request::Ping {
                id: Some("a\"1".into()),
            },
        ),
        ("<PONG/>\n", Request::Pong),
        (
            "<ADMIN ACTION='gag' PLAYER='bob'/>\n",
            admin(AdminAction::Gag, None),
        ),
        (
            "<ADMIN ACTION='ungag' PLAYER='bob'/>\n",
            admin(AdminAction::Ungag, None),
        ),
        (
            "<ADMIN ACTION='kick' PLAYER='bob'>\n<REASON>noise</REASON>\n</ADMIN>\n",
            admin(AdminAction::Kick, Some("noise")),
        ),
        (
            "<ADMIN ACTION='ban' PLAYER='bob'/>\n",
            admin(AdminAction::Ban, None),
        ),
        (
            "<ADMINPERM PLAYER='bob' PERM='chat_announce' VALUE='true'/>\n",
            perm,
        ),
        ("<CHANNEL ID='alice'/>\n", channel(None)),
        (
            "<CHANNEL ID='alice' TOKEN='s3cret'/>\n",
            channel(Some("s3cret")),
        ),
        ("<TOKEN/>\n", Request::Token),
    ]
}

#[test]
fn every_request_is_read_and_written_as_the_protocol_has_it() {
    for (text, is) in golden() {
        assert_eq!(request(text).as_ref(), Ok(&is), "{text}");
        assert_eq!(request_bytes(&is), text);
    }
}

#[test]
fn a_request_cut_anywhere_is_none() {
    for (text, _) in golden() {
        for at in 0..text.len() - 1 {
            let cut = items(Limits::REQUESTS, &[&text.as_bytes()[..at]]);
            assert_eq!(cut, (vec![], Ok(())), "{text} at {at}");
        }
    }
}

#[test]
fn a_client_begins_with_a_declaration_and_a_session_and_ends_it() {
    let mut out = Vec::new();
    Request::greet(&mut out);
    assert_eq!(
        out.escape_ascii().to_string(),
        "<?xml version=\\'1.0\\' encoding=\\'UTF-8\\'?>\\n<SESSION>\\n"
    );
    assert_eq!(request_bytes(&Request::End), "</SESSION>\n");
    assert_eq!(request_bytes(&Request::Unknown), "");
}

#[test]
fn what_is_left_out_has_its_default() {
    for (text, is) in [
        (
            "<LOGIN><NAME>a</NAME></LOGIN>",
            login(LoginKind::Guest, "a", None, None),
        ),
        (
            "<login type='FIRST'><name>a</name></login>",
            login(LoginKind::First, "a", None, None),
        ),
        ("<LIST TYPE='Game'/>", list(ListOf::Game, false, None)),
        (
            "<LIST TYPE='table' FULL='maybe' ROOM='-1'/>",
            list(ListOf::Table, false, None),
        ),
        ("<CHAT>hi</CHAT>", chat(Some(ChatKind::Normal), None, "hi")),
        ("<CHAT TYPE='shout'>hi</CHAT>", chat(None, None, "hi")),
        ("<CHAT TYPE=''/>", chat(None, None, "")),
        ("<JOIN TABLE='0x1' SEAT='-1'/>", join(false, None)),
        ("<JOIN TABLE=' 1 ' SPECTATOR='TRUE'/>", join(true, None)),
        (
            "<LEAVE/>",
            Request::Leave {
                force: false,
                spectator: false,
            },
        ),
        ("<INFO SEAT='-1'/>", Request::Info { seat: None }),
        (
            "<UPDATE TYPE='TABLE' ACTION='SEAT'><TABLE ID='1'><SEAT NUM='31' TYPE='OPEN'>x</SEAT></TABLE></UPDATE>",
            update(None, Change::Seat(31, seat(SeatKind::Open, None))),
        ),
        (
            "<UPDATE TYPE='table' ACTION='desc'><TABLE ID='1'><DESC/></TABLE></UPDATE>",
            update(None, Change::Desc(String::new())),
        ),
        ("<BLINK>hi</BLINK>", Request::Unknown),
        ("<SESSION2/>", Request::Unknown),
    ] {
        assert_eq!(request(text), Ok(is), "{text}");
    }
}

#[test]
fn seats_that_are_not_said_or_cannot_be_launched_are_none() {
    let text = "<LAUNCH><TABLE GAME='0' SEATS='5'><SEAT NUM='0' TYPE='player'>x</SEAT>\
        <SEAT NUM='1' TYPE='abandoned'/><SEAT NUM='2'/><SEAT NUM='3' TYPE='reserved'>\n</SEAT></TABLE></LAUNCH>";
    let seats = vec![None, None, None, Some(seat(SeatKind::Reserved, None)), None];
    let is = Request::Launch {
        game: GameId(0),
        description: String::new(),
        seats,
    };
    assert_eq!(request(text), Ok(is));
}

#[test]
fn what_is_missing_or_malformed_is_refused_with_its_action() {
    let seats = |seats: &str| format!("<LAUNCH><TABLE GAME='0' {seats}</TABLE></LAUNCH>");
    let table = |action: &str, inside: &str| {
        format!("<UPDATE TYPE='table' ACTION='{action}'><TABLE {inside}</TABLE></UPDATE>")
    };
    for (action, texts) in [
        (
            Action::Login,
            vec![
                "<LOGIN/>".to_owned(),
                "<LOGIN TYPE='guest'/>".into(),
                "<LOGIN TYPE='guest'><NAME/></LOGIN>".into(),
                "<LOGIN TYPE='root'><NAME>a</NAME></LOGIN>".into(),
                "<LOGIN TYPE='normal'><NAME>a</NAME></LOGIN>".into(),
                "<LOGIN TYPE='normal'><PASSWORD>a</PASSWORD></LOGIN>".into(),
            ],
        ),
        (
            Action::Channel,
            vec!["<CHANNEL/>".into(), "<CHANNEL ID=''/>".into()],
        ),
        (
            Action::List,
            vec![
                "<LIST/>".into(),
                "<LIST TYPE='cat'/>".into(),
                "<LIST TYPE='table' ROOM='x'/>".into(),
            ],
        ),
        (
            Action::Enter,
            vec![
                "<ENTER/>".into(),
                "<ENTER ROOM=''/>".into(),
                "<ENTER ROOM='-1'/>".into(),
                "<ENTER ROOM='4294967296'/>".into(),
                "<ENTER ROOM='hall'/>".into(),
            ],
        ),
        (
            Action::Launch,
            vec![
                "<LAUNCH/>".into(),
                "<LAUNCH><TABLE SEATS='1'/></LAUNCH>".into(),
                "<LAUNCH><TABLE GAME='0'/></LAUNCH>".into(),
                seats("SEATS='0'>"),
                seats("SEATS='33'>"),
                seats("SEATS='-2'>"),
                seats("SEATS='2147483647'>"),
                seats("SEATS='2'><SEAT TYPE='open'/>"),
                seats("SEATS='2'><SEAT NUM='2' TYPE='open'/>"),
                seats("SEATS='2'><SEAT NUM='-1' TYPE='open'/>"),
                seats("SEATS='2'><SEAT NUM='1' TYPE='open'/><SEAT NUM='1' TYPE='bot'/>"),
                seats("SEATS='2'><SEAT NUM='1'/><SEAT NUM='1' TYPE='bot'/>"),
            ],
        ),
        (
            Action::Join,
            vec![
                "<JOIN/>".into(),
                "<JOIN TABLE='x'/>".into(),
                "<JOIN TABLE='1' SEAT='x'/>".into(),
            ],
        ),
        (
            Action::Reseat,
            vec![
                "<RESEAT/>".into(),
                "<RESEAT ACTION='lie'/>".into(),
                "<RESEAT ACTION='sit' SEAT='-2'/>".into(),
            ],
        ),
        (
            Action::Update,
            vec![
                "<UPDATE/>".into(),
                "<UPDATE TYPE='player' ACTION='desc'/>".into(),
                "<UPDATE TYPE='table' ACTION='desc'/>".into(),
                table("desc", "ID='1'>"),
                table("desc", "><DESC>x</DESC>"),
                table("paint", "ID='1'>"),
                table("seat", "ID='1'>"),
                table("seat", "ID='1'><SEAT NUM='32' TYPE='open'/>"),
                table("seat", "ID='1' SEATS='1'><SEAT NUM='1' TYPE='open'/>"),
                table("seat", "ID='1'><SEAT NUM='1' TYPE='player'>bob</SEAT>"),
                table(
                    "seat",
                    "ID='1'><SEAT NUM='1' TYPE='open'/><SEAT NUM='2' TYPE='open'/>",
                ),
                table("boot", "ID='1'>"),
                table("boot", "ID='1'><SEAT NUM='0' TYPE='player'/>"),
            ],
        ),
        (Action::Info, vec!["<INFO SEAT='x'/>".into()]),
        (
            Action::Admin,
            vec![
                "<ADMIN/>".into(),
                "<ADMIN ACTION='gag'/>".into(),
                "<ADMIN ACTION='gag' PLAYER=''/>".into(),
                "<ADMIN ACTION='hug' PLAYER='bob'/>".into(),
                "<ADMINPERM/>".into(),
                "<ADMINPERM PLAYER='bob' PERM='fly' VALUE='true'/>".into(),
                "<ADMINPERM PLAYER='bob' PERM='chat_bot'/>".into(),
                "<ADMINPERM PLAYER='bob' PERM='chat_bot' VALUE='2'/>".into(),
                "<ADMINPERM PERM='chat_bot' VALUE='true'/>".into(),
            ],
        ),
    ] {
        for text in texts {
            let refusal = Refusal {
                action,
                code: Code::BadOptions,
            };
            assert_eq!(request(&text), Err(refusal), "{text}");
        }
    }
}

#[test]
fn characters_that_xml_has_not_do_not_leave_the_house() {
    let said = chat(
        Some(ChatKind::Normal),
        Some("a\nb\0"),
        "\0a\x1bb\u{fffe}\r\n\tc",
    );
    let text = request_bytes(&said);
    assert_eq!(
        text,
        "<CHAT TYPE='normal' TO='a&#10;b'>ab&#13;\n\tc</CHAT>\n"
    );
    let again = chat(Some(ChatKind::Normal), Some("a\nb"), "ab\r\n\tc");
    assert_eq!(request(&text), Ok(again));
}

proptest! {
    #[test]
    fn what_a_client_writes_is_what_a_server_reads(is in strategies::request()) {
        let text = request_bytes(&is);
        prop_assert!(text.ends_with('\n'));
        prop_assert_eq!(request(&text), Ok(is));
    }

    /// What the fuzz targets do, with requests and pushes that have a few bytes changed.
    #[test]
    fn changed_bytes_are_understood_or_refused(
        request in strategies::request(),
        push in strategies::push(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let texts = [request_bytes(&request), push_bytes(&push)];
        for mut bytes in texts.map(String::into_bytes) {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            fuzzing::client(&bytes);
            fuzzing::server(&bytes);
        }
    }
}
