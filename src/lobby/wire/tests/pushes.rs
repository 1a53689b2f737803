//! What servers say: written, and read as a client does.

use proptest::prelude::*;

use super::{
    super::{
        push::{
            About, Body, GameView, Hello, Place, PlayerView, Ranking, RoomView, SeatInfo, Stats,
            TableView, Update,
        },
        push_read::PushError,
        terms::{
            Action, ChatKind, Code, GameId, LeaveReason, Permissions, PlayerKind, RoomId, Seat,
            SeatKind, TableId, TableStatus,
        },
    },
    strategies, *,
};
use crate::accounts::Secret;

/// What a client makes of the last element of these bytes.
fn read(text: &str) -> Result<Option<Push>, PushError> {
    let (items, end) = items(Limits::PUSHES, &[text.as_bytes()]);
    assert_eq!(end, Ok(()), "{text}");
    match items.last() {
        Some(Item::Element(element)) => Push::decode(element),
        other => panic!("{other:?} from {text:?}"),
    }
}

fn result(action: Action, body: Body) -> Push {
    Push::Result {
        action,
        code: Code::Ok,
        body,
    }
}

fn player(stats: Stats) -> PlayerView {
    PlayerView {
        name: "alice".into(),
        kind: PlayerKind::Guest,
        table: None,
        permissions: Permissions::GUEST,
        lag: 1,
        stats,
    }
}

const RATED: Stats = Stats {
    records: Some([3, 2, 1, 0]),
    rating: Some(1512.0),
    highscore: Some(-7),
};

fn table() -> TableView {
    let seat = |kind, name: Option<&str>| Seat {
        kind,
        name: name.map(str::to_owned),
    };
    TableView {
        id: TableId(1),
        game: GameId(3),
        status: TableStatus::Waiting,
        description: "a 'quick' one".into(),
        seats: vec![
            seat(SeatKind::Player, Some("alice")),
            seat(SeatKind::Open, None),
            seat(SeatKind::Bot, None),
            seat(SeatKind::Abandoned, Some("bob")),
        ],
        spectators: vec![None, Some("carol".into())],
    }
}

const TABLE: &str = "<TABLE ID='1' GAME='3' STATUS='1' SEATS='4'>\n<DESC>a &apos;quick&apos; one</DESC>\n\
    <SEAT NUM='0' TYPE='player'>alice</SEAT>\n<SEAT NUM='1' TYPE='open'/>\n<SEAT NUM='2' TYPE='bot'/>\n\
    <SEAT NUM='3' TYPE='abandoned'>bob</SEAT>\n<SPECTATOR NUM='1'>carol</SPECTATOR>\n</TABLE>\n";

fn room(game: Option<u32>, description: Option<&str>) -> RoomView {
    RoomView {
        id: RoomId(2),
        name: "Eingang".into(),
        ref_name: "Entry".into(),
        game: game.map(GameId),
        players: 5,
        description: description.map(str::to_owned),
    }
}

fn game(about: bool) -> GameView {
    GameView {
        id: GameId(0),
        name: "Tic-Tac-Toe".into(),
        version: "0.0.14".into(),
        engine: "TicTacToe".into(),
        engine_version: "4".into(),
        players: "2".parse().unwrap(),
        bots: "1..2".parse().unwrap(),
        spectators: true,
        peers: false,
        named_bots: match about {
            true => vec![("Marvin".into(), "hard".into())],
            false => vec![],
        },
        about: about.then(|| About {
            author: "A & B".into(),
            url: "http://example.org/".into(),
            description: "three in a row".into(),
        }),
    }
}

/// Wraps a list as a RESULT has it.
fn listed(list: &str, inside: &str) -> String {
    format!("<RESULT ACTION='list' CODE='ok'>\n<LIST {list}>\n{inside}</LIST>\n</RESULT>\n")
}

/// Wraps an update.
fn updated(attributes: &str, inside: &str) -> String {
    format!("<UPDATE {attributes}>\n{inside}</UPDATE>\n")
}

/// Every push but the lists and updates, as facts/ggz.md shows it.
fn golden() -> Vec<(String, Push)> {
    let chat = |kind, from: &str, text: Option<&str>| Push::Chat {
        kind,
        from: from.into(),
        text: text.map(str::to_owned),
    };
    let leave = |reason, player: Option<&str>| Push::Leave {
        reason,
        player: player.map(str::to_owned),
    };
    let failed = |action, code| Push::Result {
        action,
        code,
        body: Body::None {},
    };
    let hello = |full: bool| {
        Push::Hello(Hello {
            name: "The \"Box\"".into(),
            version: "0.1.0".into(),
            tls: !full,
            chat_length: 512,
            full,
        })
    };
    let greeting = |status: &str| {
        format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<SESSION>\n\
             <SERVER ID='GGZ-0.1.0' NAME='The &quot;Box&quot;' VERSION='10' {status}>\n\
             <OPTIONS CHATLEN='512'/>\n</SERVER>\n"
        )
    };
    let motd = Push::Motd {
        text: "Hi <you> & all\n]]> <b>".into(),
        url: Some("http://example.org/?a&b".into()),
    };
    let bare = Push::Motd {
        text: "Hi\n".into(),
        url: None,
    };
    let info = Push::Info {
        seats: vec![SeatInfo {
            seat: 0,
            real_name: "Alice A.".into(),
            photo: "".into(),
            host: "192.0.2.1".into(),
        }],
    };
    let rankings = Push::Rankings {
        rankings: vec![Ranking {
            position: 1,
            player: "alice".into(),
            score: 1512.0,
        }],
    };
    let text = |text: &str| text.to_owned();
    vec![
        (greeting("STATUS='ok' TLS_SUPPORT='yes'"), hello(false)),
        (greeting("STATUS='full' TLS_SUPPORT='no'"), hello(true)),
        (
            text("<RESULT ACTION='login' CODE='ok'/>\n"),
            result(Action::Login, Body::None {}),
        ),
        (
            text("<RESULT ACTION='login' CODE='ok'>\n<PASSWORD>pw</PASSWORD>\n</RESULT>\n"),
            result(Action::Login, Body::Password(Secret::new("pw"))),
        ),
        (
            text("<RESULT ACTION='login' CODE='username already taken'/>\n"),
            failed(Action::Login, Code::UsernameTaken),
        ),
        (
            text("<RESULT ACTION='protocol' CODE='bad xml'/>\n"),
            failed(Action::Protocol, Code::BadXml),
        ),
        (
            text(
                "<MOTD PRIORITY='normal' URL='http://example.org/?a&amp;b'>\
                 <![CDATA[Hi <you> & all\n]]]]><![CDATA[> <b>]]></MOTD>\n",
            ),
            motd,
        ),
        (
            text("<MOTD PRIORITY='normal' URL=''><![CDATA[Hi\n]]></MOTD>\n"),
            bare,
        ),
        (
            text("<CHAT TYPE='normal' FROM='alice'>hi &lt;all&gt;</CHAT>\n"),
            chat(Some(ChatKind::Normal), "alice", Some("hi <all>")),
        ),
        (
            text("<CHAT TYPE='beep' FROM='alice'/>\n"),
            chat(Some(ChatKind::Beep), "alice", None),
        ),
        (
            text("<CHAT TYPE='' FROM='alice'>hm</CHAT>\n"),
            chat(None, "alice", Some("hm")),
        ),
        (text("<PING/>\n"), Push::Ping),
        (text("<PONG/>\n"), Push::Pong { id: None }),
        (
            text("<PONG ID='7'/>\n"),
            Push::Pong {
                id: Some("7".into()),
            },
        ),
        (
            text("<JOIN TABLE='1' SPECTATOR='false'/>\n"),
            Push::Join {
                table: TableId(1),
                spectator: false,
            },
        ),
        (
            text("<LEAVE REASON='normal'/>\n"),
            leave(LeaveReason::Normal, None),
        ),
        (
            text("<LEAVE REASON='boot' PLAYER='[server]'/>\n"),
            leave(LeaveReason::Boot, Some("[server]")),
        ),
        (
            text("<LEAVE REASON='gameover'/>\n"),
            leave(LeaveReason::GameOver, None),
        ),
        (
            text("<LEAVE REASON='gameerror'/>\n"),
            leave(LeaveReason::GameError, None),
        ),
        (
            text(
                "<INFO>\n<PLAYERINFO SEAT='0' REALNAME='Alice A.' PHOTO='' HOST='192.0.2.1'/>\n</INFO>\n",
            ),
            info,
        ),
        (text("<INFO>\n</INFO>\n"), Push::Info { seats: vec![] }),
        (
            text("<RANKINGS>\n<RANKING POSITION='1' PLAYER='alice' SCORE='1512'/>\n</RANKINGS>\n"),
            rankings,
        ),
        (
            text("<TOKEN>s3cret</TOKEN>\n"),
            Push::Token {
                token: "s3cret".into(),
            },
        ),
    ]
}

fn golden_lists() -> Vec<(String, Push)> {
    let list = |body| result(Action::List, body);
    let first = "<GAME ID='0' NAME='Tic-Tac-Toe' VERSION='0.0.14'>\n\
        <PROTOCOL ENGINE='TicTacToe' VERSION='4'/>\n\
        <ALLOW PLAYERS='2' BOTS='1..2' SPECTATORS='true' PEERS='false'/>\n";
    let about = "<BOT NAME='Marvin' CLASS='hard'/>\n<ABOUT AUTHOR='A &amp; B' URL='http://example.org/'/>\n\
        <DESC>three in a row</DESC>\n";
    let games = format!("{first}</GAME>\n{first}{about}</GAME>\n");
    let rooms = "<ROOM ID='2' NAME='Eingang' REFNAME='Entry' GAME='-1' PLAYERS='5'>\n</ROOM>\n\
        <ROOM ID='2' NAME='Eingang' REFNAME='Entry' GAME='3' PLAYERS='5'>\n<DESC>come in</DESC>\n</ROOM>\n";
    let players = "<PLAYER ID='alice' TYPE='guest' TABLE='-1' PERMS='0x00000043' LAG='1'/>\n\
        <PLAYER ID='alice' TYPE='guest' TABLE='-1' PERMS='0x00000043' LAG='1' WINS='3' LOSSES='2' TIES='1' \
        FORFEITS='0' RATING='1512' HIGHSCORE='-7'/>\n";
    vec![
        (
            listed("TYPE='game'", &games),
            list(Body::Games(vec![game(false), game(true)])),
        ),
        (
            listed("TYPE='room'", rooms),
            list(Body::Rooms(vec![
                room(None, None),
                room(Some(3), Some("come in")),
            ])),
        ),
        (
            listed("TYPE='player' ROOM='2'", players),
            list(Body::Players(
                RoomId(2),
                vec![player(Stats::default()), player(RATED)],
            )),
        ),
        (
            listed("TYPE='table' ROOM='2'", TABLE),
            list(Body::Tables(RoomId(2), vec![table()])),
        ),
        (
            listed("TYPE='table' ROOM='0'", ""),
            list(Body::Tables(RoomId(0), vec![])),
        ),
    ]
}

fn golden_player_updates() -> Vec<(String, Push)> {
    let (room, name) = (RoomId(2), "alice".to_owned());
    let alice = "<PLAYER ID='alice' TYPE='guest' TABLE='-1' PERMS='0x00000043' LAG='1'/>\n";
    let add = |from_room| Update::PlayerAdd {
        room,
        player: player(Stats::default()),
        from_room,
    };
    let delete = |to_room| Update::PlayerDelete {
        room,
        name: name.clone(),
        to_room,
    };
    let stats = Update::PlayerStats {
        room,
        name: name.clone(),
        stats: RATED,
    };
    let perms = Update::PlayerPerms {
        room,
        name: name.clone(),
        kind: PlayerKind::Admin,
        permissions: Permissions::ADMIN,
    };
    let lag = Update::PlayerLag {
        room,
        name: name.clone(),
        lag: 4,
    };
    [
        ("add' ROOM='2' FROMROOM='-1'", alice, add(None)),
        ("add' ROOM='2' FROMROOM='0'", alice, add(Some(RoomId(0)))),
        ("delete' ROOM='2' TOROOM='-1'", "<PLAYER ID='alice'/>\n", delete(None)),
        ("delete' ROOM='2' TOROOM='1'", "<PLAYER ID='alice'/>\n", delete(Some(RoomId(1)))),
        ("lag' ROOM='2'", "<PLAYER ID='alice' LAG='4'/>\n", lag),
        (
            "stats' ROOM='2'",
            "<PLAYER ID='alice' WINS='3' LOSSES='2' TIES='1' FORFEITS='0' RATING='1512' HIGHSCORE='-7'/>\n",
            stats,
        ),
        ("perms' ROOM='2'", "<PLAYER ID='alice' TYPE='admin' PERMS='0x0000019F'/>\n", perms),
    ]
    .map(|(action, inside, update)| {
        let text = updated(&format!("TYPE='player' ACTION='{action}"), inside);
        (text, Push::Update(update))
    })
    .into()
}

fn golden_table_updates() -> Vec<(String, Push)> {
    let (room, id, seats) = (RoomId(2), TableId(1), 2);
    let join = |place, seats| Update::TableJoin {
        room,
        table: id,
        place,
        name: "alice".into(),
        seats,
    };
    let leave = |place, seats| Update::TableLeave {
        room,
        table: id,
        place,
        name: "alice".into(),
        seats,
    };
    let seat = Update::TableSeat {
        room,
        table: id,
        number: 1,
        seat: Seat {
            kind: SeatKind::Reserved,
            name: Some("bob".into()),
        },
        seats,
    };
    let status = Update::TableStatus {
        room,
        table: id,
        status: TableStatus::Playing,
        seats,
    };
    let desc = Update::TableDesc {
        room,
        table: id,
        description: "new".into(),
        seats: 0,
    };
    let add = Update::TableAdd {
        room,
        table: table(),
    };
    let resize = Update::TableResize {
        room,
        table: table(),
    };
    let delete = Update::TableDelete {
        room,
        table: id,
        seats,
    };
    let sat = "<TABLE ID='1' SEATS='2'>\n<SEAT NUM='0' TYPE='player'>alice</SEAT>\n</TABLE>\n";
    let watched = "<TABLE ID='1' SPECTATORS='3'>\n<SPECTATOR NUM='2'>alice</SPECTATOR>\n</TABLE>\n";
    let reserved = "<TABLE ID='1' SEATS='2'>\n<SEAT NUM='1' TYPE='reserved'>bob</SEAT>\n</TABLE>\n";
    [
        ("add", TABLE, add),
        ("resize", TABLE, resize),
        ("delete", "<TABLE ID='1' STATUS='-1' SEATS='2'/>\n", delete),
        ("status", "<TABLE ID='1' STATUS='2' SEATS='2'/>\n", status),
        ("join", sat, join(Place::Seat(0), 2)),
        ("leave", sat, leave(Place::Seat(0), 2)),
        ("join", watched, join(Place::Spectator(2), 3)),
        ("leave", watched, leave(Place::Spectator(2), 3)),
        ("seat", reserved, seat),
        ("desc", "<TABLE ID='1'>\n<DESC>new</DESC>\n</TABLE>\n", desc),
    ]
    .map(|(action, inside, update)| {
        let attributes = format!("TYPE='table' ACTION='{action}' ROOM='2'");
        (updated(&attributes, inside), Push::Update(update))
    })
    .into()
}

fn golden_room_updates() -> Vec<(String, Push)> {
    let add = "<ROOM ID='2' NAME='Eingang' REFNAME='Entry' GAME='3' PLAYERS='5'>\n<DESC>come in</DESC>\n</ROOM>\n";
    let id = RoomId(2);
    [
        (
            "players",
            "<ROOM ID='2' PLAYERS='9'/>\n",
            Update::RoomPlayers {
                room: id,
                players: 9,
            },
        ),
        (
            "add",
            add,
            Update::RoomAdd {
                room: room(Some(3), Some("come in")),
            },
        ),
        ("close", "<ROOM ID='2'/>\n", Update::RoomClose { room: id }),
        (
            "delete",
            "<ROOM ID='2'/>\n",
            Update::RoomDelete { room: id },
        ),
    ]
    .map(|(action, inside, update)| {
        let text = updated(&format!("TYPE='room' ACTION='{action}'"), inside);
        (text, Push::Update(update))
    })
    .into()
}

fn all_golden() -> Vec<(String, Push)> {
    let parts = [
        golden(),
        golden_lists(),
        golden_player_updates(),
        golden_table_updates(),
        golden_room_updates(),
    ];
    parts.concat()
}

#[test]
fn a_new_accounts_password_is_told_to_its_owner_and_not_to_the_log() {
    let (action, code) = (Action::Login, Code::Ok);
    let body = Body::Password(Secret::new("hunter22"));
    let push = Push::Result { action, code, body };
    assert!(!format!("{push:?}").contains("hunter22"));
    assert_eq!(
        serde_json::to_value(&push).unwrap(),
        serde_json::json!({"push": "result", "action": "login", "code": "ok", "password": "hunter22"})
    );
}

#[test]
fn every_push_is_written_and_read_as_the_protocol_has_it() {
    for (text, push) in all_golden() {
        assert_eq!(push_bytes(&push), text);
        assert_eq!(read(&text), Ok(Some(push)), "{text}");
    }
    assert_eq!(push_bytes(&Push::End), "</SESSION>\n");
}

#[test]
fn a_push_cut_anywhere_is_none() {
    for (text, _) in all_golden() {
        for at in 0..text.len() - 1 {
            let (items, end) = items(Limits::PUSHES, &[&text.as_bytes()[..at]]);
            assert_eq!(end, Ok(()), "{text} at {at}");
            let is_element = |item: &Item| matches!(item, Item::Element(_));
            assert!(!items.iter().any(is_element), "{text} at {at}");
        }
    }
}

#[test]
fn ratings_and_scores_are_shown_as_whole_numbers() {
    let push = Push::Update(Update::PlayerStats {
        room: RoomId(0),
        name: "a".into(),
        stats: Stats {
            records: None,
            rating: Some(1499.5),
            highscore: None,
        },
    });
    assert!(push_bytes(&push).contains(" RATING='1500'/>"));
}

#[test]
fn a_client_reads_servers_that_say_less_and_more_than_they_should() {
    let ok = result(Action::Chat, Body::None {});
    for text in [
        "<RESULT ACTION='chat'/>",
        "<RESULT ACTION='chat' CODE='0'/>",
        "<result action='CHAT' code='OK' colour='red'><X/></result>",
    ] {
        assert_eq!(read(text), Ok(Some(ok.clone())), "{text}");
    }
    let codes = [
        ("-22", Code::BadUsername),
        ("no such code", Code::Unknown),
        ("[unknown]", Code::Unknown),
    ];
    for (text, is) in codes {
        let push = Push::Result {
            action: Action::Login,
            code: is,
            body: Body::None {},
        };
        let text = format!("<RESULT ACTION='login' CODE='{text}'/>");
        assert_eq!(read(&text), Ok(Some(push)), "{text}");
    }
    for text in [
        "<NEWS>hi</NEWS>",
        "<RESULT ACTION='dance' CODE='ok'/>",
        "<UPDATE TYPE='weather' ACTION='rain'/>",
        "<UPDATE TYPE='room' ACTION='paint'><ROOM ID='1'/></UPDATE>",
    ] {
        assert_eq!(read(text), Ok(None), "{text}");
    }
}

#[test]
fn what_a_client_cannot_use_is_an_error_with_its_place() {
    let version = "<SERVER ID='GGZ-1' NAME='x' VERSION='9' STATUS='ok'/>";
    assert_eq!(read(version), Err(PushError::Version("9".into())));
    let wrong = |element: &str, attribute| {
        Err(PushError::Attribute {
            element: element.into(),
            attribute,
        })
    };
    assert_eq!(read("<JOIN/>"), wrong("JOIN", "TABLE"));
    assert_eq!(read("<leave reason='x'/>"), wrong("leave", "REASON"));
    let table =
        |table: &str| format!("<UPDATE TYPE='table' ACTION='add' ROOM='0'>{table}</UPDATE>");
    let seat = "<TABLE ID='1' GAME='0' STATUS='1' SEATS='1'><SEAT NUM='1' TYPE='open'/></TABLE>";
    assert_eq!(read(&table(seat)), wrong("SEAT", "NUM"));
    assert_eq!(
        read(&table("")),
        Err(PushError::Child {
            element: "UPDATE".into(),
            child: "TABLE"
        })
    );
    for many in [
        "<TABLE ID='1' GAME='0' STATUS='1' SEATS='4000000000'/>",
        "<TABLE ID='1' GAME='0' STATUS='1' SEATS='1'><SPECTATOR NUM='4000000000'>a</SPECTATOR></TABLE>",
    ] {
        let read = read(&table(many));
        assert!(matches!(read, Err(PushError::Places { .. })), "{read:?}");
    }
}

proptest! {
    #[test]
    fn what_a_server_writes_is_what_a_client_reads(push in strategies::push()) {
        let text = push_bytes(&push);
        prop_assert!(text.ends_with(">\n"));
        prop_assert_eq!(read(&text), Ok(Some(push)));
    }
}
