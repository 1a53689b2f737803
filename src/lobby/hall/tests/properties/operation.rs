//! What may happen, in any order.

use super::*;
use crate::lobby::wire::terms::ChatKind;

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Come(usize),
    Gone(usize),
    Channel(usize),
    Say(usize, Request),
    Kick(usize),
    Gag(usize, bool),
    Permit(usize, u32),
    Lag(usize, u8),
    Rated(usize, u32),
    /// Of the tables whose game runs, one, by a number.
    Game(usize, FromGame),
    Dies(usize, bool),
    Define(u8),
    LaunchFor(u32),
    Resume(u32),
    Wait(u64),
    Count,
}

/// Definitions as an administrator may come to change them.
pub(super) fn variation(variant: u8) -> Definitions {
    let mut all = definitions();
    if variant & 1 != 0 {
        Arc::make_mut(&mut all.rooms[1]).args.clear();
    }
    if variant & 2 != 0 {
        all.rooms.remove(2);
    }
    if variant & 4 != 0 {
        Arc::make_mut(&mut all.games[0]).spectators = false;
    }
    all
}

fn request() -> impl Strategy<Value = Request> {
    let words = [
        "open",
        "open",
        "bot",
        "bot Deep",
        "reserved ann",
        "reserved gus",
    ];
    let one = prop::sample::select(words.to_vec()).prop_map(seat);
    let seats = prop::collection::vec(one.clone(), 2);
    let names = prop::sample::select(CAST.map(|(name, ..)| name.to_owned()).to_vec());
    let table = (1..6u32).prop_map(TableId);
    let change = prop_oneof![
        Just(Change::Desc("ours".into())),
        (0..4u32, one).prop_map(|(number, seat)| Change::Seat(number, seat.unwrap())),
        names.clone().prop_map(Change::Boot),
    ];
    let kinds = [
        ChatKind::Normal,
        ChatKind::Table,
        ChatKind::Private,
        ChatKind::Announce,
    ];
    let reseats = prop::sample::select(vec![Reseat::Sit, Reseat::Stand, Reseat::Move]);
    let spot = prop::option::weighted(0.3, 0..4u32);
    prop_oneof![
        2 => (0..7u32).prop_map(|room| Request::Enter { room: RoomId(room) }),
        5 => (0..2u32, seats).prop_map(|(game, seats)| Request::Launch {
            game: GameId(game / 2),
            description: "mine".into(),
            seats,
        }),
        6 => (table.clone(), any::<bool>(), spot.clone()).prop_map(|(table, spectator, seat)| {
            Request::Join { table, spectator, seat }
        }),
        3 => any::<bool>().prop_map(leave),
        4 => (reseats, spot).prop_map(|(action, seat)| reseat(action, seat)),
        2 => (table, change).prop_map(|(table, change)| Request::Update {
            room: None,
            table,
            change,
        }),
        1 => (prop::sample::select(kinds.to_vec()), names).prop_map(|(kind, to)| Request::Chat {
            kind: Some(kind),
            to: Some(to),
            text: "hi".into(),
        }),
        1 => Just(Request::Info { seat: None }),
    ]
}

fn from_game() -> impl Strategy<Value = FromGame> {
    use GameState::{Created, Done, Playing, Waiting};
    let states = prop::sample::select(vec![Waiting, Waiting, Waiting, Playing, Playing, Created]);
    let names = prop::sample::select(CAST.map(|(name, ..)| name.to_owned()).to_vec());
    let score = (names.clone(), 0..2u8).prop_map(|(name, kind)| Score {
        name: Some(name),
        seat: [SeatKind::Player, SeatKind::Bot][kind as usize],
        team: None,
        result: Outcome::Win,
        score: 1,
    });
    prop_oneof![
        12 => states.prop_map(FromGame::State),
        1 => Just(FromGame::State(Done)),
        2 => (-1..5i32).prop_map(FromGame::NumSeats),
        1 => names.prop_map(FromGame::Boot),
        1 => (-1..5i32).prop_map(FromGame::Bot),
        2 => (-1..5i32).prop_map(FromGame::Open),
        3 => prop::collection::vec(score, 0..3).prop_map(FromGame::Report),
        1 => Just(FromGame::Savegame("file".into())),
    ]
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let who = 0..CAST.len();
    prop_oneof![
        4 => who.clone().prop_map(Operation::Come),
        3 => who.clone().prop_map(Operation::Gone),
        8 => who.clone().prop_map(Operation::Channel),
        24 => (who.clone(), request()).prop_map(|(who, request)| Operation::Say(who, request)),
        1 => who.clone().prop_map(Operation::Kick),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, gag)| Operation::Gag(who, gag)),
        1 => (who.clone(), 0..0x200u32).prop_map(|(who, bits)| Operation::Permit(who, bits)),
        1 => (who.clone(), 1..6u8).prop_map(|(who, lag)| Operation::Lag(who, lag)),
        1 => (who, any::<u32>()).prop_map(|(who, wins)| Operation::Rated(who, wins)),
        16 => (0..3usize, from_game()).prop_map(|(which, said)| Operation::Game(which, said)),
        1 => (0..3usize, any::<bool>()).prop_map(|(which, failed)| Operation::Dies(which, failed)),
        1 => (0..8u8).prop_map(Operation::Define),
        1 => (0..6u32).prop_map(Operation::LaunchFor),
        1 => (0..6u32).prop_map(Operation::Resume),
        1 => (0..700u64).prop_map(Operation::Wait),
        1 => Just(Operation::Count),
    ]
}
