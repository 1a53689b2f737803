//! What servers say: written, and read as a client does.

mod golden;

use proptest::prelude::*;

use self::golden::all_golden;
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
