//! Pushes beside the very lines that they are on the wire.

use super::*;

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

pub(super) fn all_golden() -> Vec<(String, Push)> {
    let parts = [
        golden(),
        golden_lists(),
        golden_player_updates(),
        golden_table_updates(),
        golden_room_updates(),
    ];
    parts.concat()
}
