//! Anything that the protocol can say.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::super::{
    numbers::MOST,
    push::{
        About, Body, GameView, Hello, Place, PlayerView, Push, Ranking, RoomView, SeatInfo, Stats,
        TableView, Update,
    },
    request::{AdminAction, Change, ListOf, Login, LoginKind, Request, Reseat},
    terms::{
        Action, ChatKind, Code, GameId, LeaveReason, Numbers, Permission, Permissions, PlayerKind,
        RoomId, Seat, SeatKind, TableId, TableStatus,
    },
};
use crate::accounts::Secret;

/// Any text that XML can have; not empty, as many fields cannot tell that from none.
pub(super) fn text() -> impl Strategy<Value = String> {
    "[ -~\t\n\r<>&'\"\\]äß😀\u{feff}]{1,40}"
}

fn name() -> impl Strategy<Value = String> {
    "[!-~ä]{1,16}"
}

fn one_of<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

fn room() -> impl Strategy<Value = RoomId> {
    any::<u32>().prop_map(RoomId)
}

fn table_id() -> impl Strategy<Value = TableId> {
    any::<u32>().prop_map(TableId)
}

fn asked_seat() -> impl Strategy<Value = Seat> {
    prop_oneof![
        Just((SeatKind::Open, None)),
        option::of(name()).prop_map(|name| (SeatKind::Bot, name)),
        option::of(name()).prop_map(|name| (SeatKind::Reserved, name)),
    ]
    .prop_map(|(kind, name)| Seat { kind, name })
}

fn seat() -> impl Strategy<Value = Seat> {
    (one_of(SeatKind::ALL), option::of(name())).prop_map(|(kind, name)| Seat { kind, name })
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![small_request(), large_request()]
}

fn small_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        text().prop_map(|language| Request::Language { language }),
        (name(), option::of(text())).prop_map(|(name, token)| Request::Channel { name, token }),
        Just(Request::TlsStart),
        (one_of(ListOf::ALL), any::<bool>(), option::of(room()))
            .prop_map(|(what, full, room)| Request::List { what, full, room }),
        room().prop_map(|room| Request::Enter { room }),
        (table_id(), any::<bool>(), option::of(any::<u32>())).prop_map(
            |(table, spectator, seat)| Request::Join {
                table,
                spectator,
                seat
            }
        ),
        any::<(bool, bool)>().prop_map(|(force, spectator)| Request::Leave { force, spectator }),
        (one_of(Reseat::ALL), option::of(any::<u32>()))
            .prop_map(|(action, seat)| Request::Reseat { action, seat }),
        option::of(any::<u32>()).prop_map(|seat| Request::Info { seat }),
        Just(Request::Rankings),
        Just(Request::Motd),
        Just(Request::Pong),
        Just(Request::Token),
        option::of(text()).prop_map(|id| Request::Ping { id }),
    ]
}

fn large_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (one_of(LoginKind::ALL), text(), text(), option::of(text())).prop_map(
            |(kind, name, password, email)| Request::Login(Login {
                kind,
                name,
                password: (kind != LoginKind::Guest).then(|| Secret::new(password)),
                email,
            })
        ),
        (
            option::of(one_of(ChatKind::ALL)),
            option::of(text()),
            text()
        )
            .prop_map(|(kind, to, text)| Request::Chat { kind, to, text }),
        (
            any::<u32>(),
            text(),
            vec(option::of(asked_seat()), 1..=MOST as usize)
        )
            .prop_map(|(game, description, seats)| Request::Launch {
                game: GameId(game),
                description,
                seats
            }),
        (option::of(room()), table_id(), change()).prop_map(|(room, table, change)| {
            Request::Update {
                room,
                table,
                change,
            }
        }),
        (one_of(AdminAction::ALL), name(), option::of(text())).prop_map(
            |(action, player, reason)| Request::Admin {
                action,
                player,
                reason
            }
        ),
        (name(), one_of(&Permission::ALL), any::<bool>()).prop_map(
            |(player, permission, value)| Request::AdminPerm {
                player,
                permission,
                value
            }
        ),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        text().prop_map(Change::Desc),
        (0..MOST, asked_seat()).prop_map(|(number, seat)| Change::Seat(number, seat)),
        name().prop_map(Change::Boot),
    ]
}

pub(super) fn push() -> impl Strategy<Value = Push> {
    prop_oneof![
        (text(), name(), any::<bool>(), any::<u32>(), any::<bool>()).prop_map(
            |(name, version, tls, chat_length, full)| Push::Hello(Hello {
                name,
                version,
                tls,
                chat_length,
                full
            })
        ),
        (one_of(Action::ALL), one_of(Code::ALL), body())
            .prop_map(|(action, code, body)| Push::Result { action, code, body }),
        // A section cannot have a `\r`.
        (text(), option::of(text())).prop_map(|(text, url)| Push::Motd {
            text: text.replace('\r', "]]>"),
            url
        }),
        (
            option::of(one_of(ChatKind::ALL)),
            text(),
            option::of(text())
        )
            .prop_map(|(kind, from, text)| Push::Chat { kind, from, text }),
        Just(Push::Ping),
        option::of(text()).prop_map(|id| Push::Pong { id }),
        (table_id(), any::<bool>()).prop_map(|(table, spectator)| Push::Join { table, spectator }),
        (one_of(LeaveReason::ALL), option::of(text()))
            .prop_map(|(reason, player)| Push::Leave { reason, player }),
        update().prop_map(Push::Update),
        vec(seat_info(), 0..4).prop_map(|seats| Push::Info { seats }),
        vec(ranking(), 0..4).prop_map(|rankings| Push::Rankings { rankings }),
        text().prop_map(|token| Push::Token { token }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::None {}),
        text().prop_map(|text| Body::Password(Secret::new(text))),
        vec(game(), 0..4).prop_map(Body::Games),
        vec(room_view(), 0..4).prop_map(Body::Rooms),
        (room(), vec(player(), 0..4)).prop_map(|(room, players)| Body::Players(room, players)),
        (room(), vec(table(), 0..4)).prop_map(|(room, tables)| Body::Tables(room, tables)),
    ]
}

fn numbers() -> impl Strategy<Value = Numbers> {
    (0..1u64 << 33, option::of((0..=16u32, 16..=32u32)))
        .prop_map(|(singles, range)| Numbers { singles, range })
}

fn game() -> impl Strategy<Value = GameView> {
    let about = (text(), text(), text()).prop_map(|(author, url, description)| About {
        author,
        url,
        description,
    });
    (
        (any::<u32>(), text(), text(), text(), text()),
        (numbers(), numbers(), any::<bool>(), any::<bool>()),
        (vec((text(), text()), 0..3), option::of(about)),
    )
        .prop_map(
            |(
                (id, name, version, engine, engine_version),
                (players, bots, spectators, peers),
                (named_bots, about),
            )| GameView {
                id: GameId(id),
                name,
                version,
                engine,
                engine_version,
                players,
                bots,
                spectators,
                peers,
                named_bots,
                about,
            },
        )
}

fn room_view() -> impl Strategy<Value = RoomView> {
    (
        room(),
        text(),
        text(),
        option::of(any::<u32>()),
        any::<u32>(),
        option::of(text()),
    )
        .prop_map(
            |(id, name, ref_name, game, players, description)| RoomView {
                id,
                name,
                ref_name,
                game: game.map(GameId),
                players,
                description,
            },
        )
}

fn permissions() -> impl Strategy<Value = Permissions> {
    any::<u32>().prop_map(Permissions::from_bits)
}

fn stats() -> impl Strategy<Value = Stats> {
    (
        option::of(any::<[u32; 4]>()),
        option::of(-9999..9999i32),
        option::of(any::<i64>()),
    )
        .prop_map(|(records, rating, highscore)| Stats {
            records,
            rating: rating.map(f64::from),
            highscore,
        })
}

fn player() -> impl Strategy<Value = PlayerView> {
    (
        text(),
        one_of(PlayerKind::ALL),
        option::of(table_id()),
        permissions(),
        any::<u8>(),
        stats(),
    )
        .prop_map(|(name, kind, table, permissions, lag, stats)| PlayerView {
            name,
            kind,
            table,
            permissions,
            lag,
            stats,
        })
}

fn status() -> impl Strategy<Value = TableStatus> {
    one_of(&[
        TableStatus::Gone,
        TableStatus::Created,
        TableStatus::Waiting,
        TableStatus::Playing,
        TableStatus::Done,
    ])
}

fn table() -> impl Strategy<Value = TableView> {
    (
        table_id(),
        any::<u32>(),
        status(),
        text(),
        vec(seat(), 0..5),
        vec(option::of(name()), 0..5),
    )
        .prop_map(|(id, game, status, description, seats, mut spectators)| {
            // Nobody says that there are places at the end which nobody has.
            while spectators.last() == Some(&None) {
                spectators.pop();
            }
            TableView {
                id,
                game: GameId(game),
                status,
                description,
                seats,
                spectators,
            }
        })
}

fn update() -> impl Strategy<Value = Update> {
    prop_oneof![
        player_update(),
        table_update(),
        table_place(),
        room_update()
    ]
}

fn player_update() -> impl Strategy<Value = Update> {
    prop_oneof![
        (room(), player(), option::of(room())).prop_map(|(room, player, from_room)| {
            Update::PlayerAdd {
                room,
                player,
                from_room,
            }
        }),
        (room(), name(), option::of(room())).prop_map(|(room, name, to_room)| {
            Update::PlayerDelete {
                room,
                name,
                to_room,
            }
        }),
        (room(), name(), any::<u8>()).prop_map(|(room, name, lag)| Update::PlayerLag {
            room,
            name,
            lag
        }),
        (room(), name(), stats()).prop_map(|(room, name, stats)| Update::PlayerStats {
            room,
            name,
            stats
        }),
        (room(), name(), one_of(PlayerKind::ALL), permissions()).prop_map(
            |(room, name, kind, permissions)| Update::PlayerPerms {
                room,
                name,
                kind,
                permissions
            }
        ),
    ]
}

fn table_update() -> impl Strategy<Value = Update> {
    prop_oneof![
        (room(), table()).prop_map(|(room, table)| Update::TableAdd { room, table }),
        (room(), table()).prop_map(|(room, table)| Update::TableResize { room, table }),
        (room(), table_id(), any::<u32>())
            .prop_map(|(room, table, seats)| { Update::TableDelete { room, table, seats } }),
        (room(), table_id(), status(), any::<u32>()).prop_map(|(room, table, status, seats)| {
            Update::TableStatus {
                room,
                table,
                status,
                seats,
            }
        }),
        (room(), table_id(), any::<u32>(), seat(), any::<u32>()).prop_map(
            |(room, table, number, seat, seats)| Update::TableSeat {
                room,
                table,
                number,
                seat,
                seats
            }
        ),
        (room(), table_id(), text()).prop_map(|(room, table, description)| Update::TableDesc {
            room,
            table,
            description,
            seats: 0
        }),
    ]
}

fn table_place() -> impl Strategy<Value = Update> {
    let place = prop_oneof![
        any::<u32>().prop_map(Place::Seat),
        any::<u32>().prop_map(Place::Spectator)
    ];
    (
        room(),
        table_id(),
        place,
        name(),
        any::<u32>(),
        any::<bool>(),
    )
        .prop_map(|(room, table, place, name, seats, joins)| match joins {
            true => Update::TableJoin {
                room,
                table,
                place,
                name,
                seats,
            },
            false => Update::TableLeave {
                room,
                table,
                place,
                name,
                seats,
            },
        })
}

fn room_update() -> impl Strategy<Value = Update> {
    prop_oneof![
        (room(), any::<u32>()).prop_map(|(room, players)| Update::RoomPlayers { room, players }),
        room_view().prop_map(|room| Update::RoomAdd { room }),
        room().prop_map(|room| Update::RoomClose { room }),
        room().prop_map(|room| Update::RoomDelete { room }),
    ]
}

fn seat_info() -> impl Strategy<Value = SeatInfo> {
    (any::<u32>(), text(), text(), text()).prop_map(|(seat, real_name, photo, host)| SeatInfo {
        seat,
        real_name,
        photo,
        host,
    })
}

fn ranking() -> impl Strategy<Value = Ranking> {
    (any::<u32>(), text(), any::<i32>()).prop_map(|(position, player, score)| Ranking {
        position,
        player,
        score: f64::from(score),
    })
}
