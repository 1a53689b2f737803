//! The bytes: as the original's programs send them, cut anywhere, and wrong.

use std::fmt::Debug;

use data_encoding::HEXLOWER_PERMISSIVE;
use proptest::{collection::vec, option, prelude::*};

use crate::lobby::{
    dmod::{
        framer::Message,
        fuzzing,
        wire::{
            DecodeError, Decoder, Framer, FromGame, GameState, Outcome, REPORTED, Score, ToGame,
        },
    },
    wire::terms::{Seat, SeatKind},
};

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER_PERMISSIVE
        .decode(text.replace([' ', '\n'], "").as_bytes())
        .unwrap()
}

fn seat(kind: SeatKind, name: &str) -> Seat {
    let name = Some(name).filter(|name| !name.is_empty());
    Seat {
        kind,
        name: name.map(Into::into),
    }
}

fn order(message: &ToGame) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn word(message: &FromGame) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

/// All that these bytes are.
fn all<M: Message>(bytes: &[u8]) -> Result<Vec<M>, DecodeError> {
    let mut framer = Framer::<M>::default();
    framer.push(bytes);
    let mut found = Vec::new();
    while let Some(message) = framer.next()? {
        found.push(message);
    }
    Ok(found)
}

fn orders() -> Vec<(&'static str, ToGame)> {
    use SeatKind::{Bot, Open, Player, Reserved};
    vec![
        (
            "00000000 0000000a 746963746163746f6500 00000001 00 00000003 00000000
             00000001 00000002 00000003 414900 00000004 00000006 616c69636500",
            ToGame::Launch {
                game: "tictactoe".into(),
                savegame: String::new(),
                seats: vec![seat(Open, ""), seat(Bot, "AI"), seat(Reserved, "alice")],
                spectators: 0,
            },
        ),
        (
            "00000001 00000000 00000003 00000006 616c69636500",
            ToGame::Seat {
                number: 0,
                seat: seat(Player, "alice"),
            },
        ),
        (
            "00000001 00000001 00000001 00000001 00",
            ToGame::Seat {
                number: 1,
                seat: seat(Open, ""),
            },
        ),
        (
            "00000002 00000004 00000004 626f6200",
            ToGame::Spectator {
                number: 4,
                name: Some("bob".into()),
            },
        ),
        (
            "00000002 00000004 00000001 00",
            ToGame::Spectator {
                number: 4,
                name: None,
            },
        ),
        (
            "00000003 00000002 00000001 00000005 00000000",
            ToGame::Reseat {
                from: 2,
                was_spectator: true,
                to: 5,
                is_spectator: false,
            },
        ),
        ("00000004", ToGame::State),
    ]
}

fn words() -> Vec<(&'static str, FromGame)> {
    let score = |name: &str, seat, team, result, score| Score {
        name: Some(name).filter(|name| !name.is_empty()).map(Into::into),
        seat,
        team,
        result,
        score,
    };
    vec![
        ("00000000 00000003 686900", FromGame::Log("hi".into())),
        ("00000001 01", FromGame::State(GameState::Waiting)),
        ("00000001 02", FromGame::State(GameState::Playing)),
        ("00000001 03", FromGame::State(GameState::Done)),
        ("00000002 00000004", FromGame::NumSeats(4)),
        (
            "00000003 00000006 616c69636500",
            FromGame::Boot("alice".into()),
        ),
        ("00000004 00000001", FromGame::Bot(1)),
        ("00000005 00000001", FromGame::Open(1)),
        // What cannot be is for the lobby to pass over, and no nonsense.
        ("00000005 ffffffff", FromGame::Open(-1)),
        (
            "00000006 00000002
             00000006 616c69636500 00000003 ffffffff 00000000 00000007
             00000001 00 00000002 00000001 00000001 fffffff9",
            FromGame::Report(vec![
                score("alice", SeatKind::Player, None, Outcome::Win, 7),
                score("", SeatKind::Bot, Some(1), Outcome::Loss, -7),
            ]),
        ),
        (
            "00000007 00000006 612e73617600",
            FromGame::Savegame("a.sav".into()),
        ),
    ]
}

#[test]
fn every_order_has_the_bytes_of_the_original() {
    let carrying = orders().into_iter().filter(|(_, order)| order.carries());
    assert_eq!(carrying.count(), 2);
    for (bytes, message) in orders() {
        assert_eq!(order(&message), hex(bytes));
        assert_eq!(all(&hex(bytes)), Ok(vec![message]));
    }
}

#[test]
fn every_word_of_a_game_has_the_bytes_of_the_original() {
    for (bytes, message) in words() {
        assert_eq!(word(&message), hex(bytes));
        assert_eq!(all(&hex(bytes)), Ok(vec![message]));
    }
}

#[test]
fn a_text_without_its_nul_is_understood_and_one_with_two_ends_at_the_first() {
    let log = |bytes: &str| all::<FromGame>(&hex(bytes)).unwrap();
    assert_eq!(log("00000000 00000002 6869"), [FromGame::Log("hi".into())]);
    assert_eq!(
        log("00000000 00000005 6869006900"),
        [FromGame::Log("hi".into())]
    );
    assert_eq!(log("00000000 00000000"), [FromGame::Log(String::new())]);
}

#[test]
fn a_log_is_mended_and_a_name_is_not() {
    assert_eq!(
        all(&hex("00000000 00000002 ff00")),
        Ok(vec![FromGame::Log("\u{fffd}".into())])
    );
    assert_eq!(
        all::<FromGame>(&hex("00000003 00000002 ff00")),
        Err(DecodeError::Text {
            what: "the name of who has to leave"
        })
    );
}

#[test]
fn what_is_too_long_or_means_nothing_is_an_error_as_soon_as_its_number_is_there() {
    let wrong = |bytes: &str| {
        let Err(error) = all::<FromGame>(&hex(bytes)) else {
            panic!("{bytes} was understood");
        };
        error.to_string()
    };
    for (bytes, why) in [
        ("00000008", "there is no message 8"),
        ("ffffffff", "there is no message -1"),
        (
            "00000000 00001001",
            "a line for the log of 4097 bytes, where 0 to 4096 are possible",
        ),
        (
            "00000000 7fffffff",
            "a line for the log of 2147483647 bytes, where 0 to 4096 are possible",
        ),
        (
            "00000000 80000000",
            "a line for the log of -2147483648 bytes, where 0 to 4096 are possible",
        ),
        ("00000001 04", "the state of a game cannot be 4"),
        (
            "00000003 00000101",
            "the name of who has to leave of 257 bytes, where 0 to 256 are possible",
        ),
        (
            "00000006 00000041",
            "the number of people in a report cannot be 65",
        ),
        (
            "00000006 00000001 00000001 00 00000001",
            "a seat in a report cannot be 1",
        ),
        (
            "00000006 00000001 00000001 00 00000003 fffffffe",
            "a team cannot be -2",
        ),
        (
            "00000006 00000001 00000001 00 00000003 00000000 00000005",
            "a result cannot be 5",
        ),
        (
            "00000007 7fffffff",
            "the name of a saved game of 2147483647 bytes, where 0 to 256 are possible",
        ),
    ] {
        assert_eq!(wrong(bytes), why);
    }
    for bytes in [
        "00000005",
        "00000000 00000001 00 00000001 00 00000021",
        "00000001 00000000 00000006",
    ] {
        all::<ToGame>(&hex(bytes)).unwrap_err();
    }
}

#[test]
fn after_an_error_there_is_only_that_error() {
    let mut framer = Framer::<FromGame>::default();
    framer.push(&hex("00000004 00000001 00000063 00000004 00000001"));
    assert_eq!(framer.next(), Ok(Some(FromGame::Bot(1))));
    for _ in 0..3 {
        assert_eq!(framer.next(), Err(DecodeError::Opcode(99)));
        framer.push(&hex("00000004 00000001"));
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-zäß漢!-~]{1,20}"
}

fn kind() -> impl Strategy<Value = SeatKind> {
    use SeatKind::*;
    prop::sample::select(vec![None, Open, Bot, Player, Reserved, Abandoned])
}

fn an_order() -> impl Strategy<Value = ToGame> {
    let launched = prop_oneof![
        Just(seat(SeatKind::Open, "")),
        option::of(name()).prop_map(|name| Seat {
            kind: SeatKind::Bot,
            name
        }),
        name().prop_map(|name| seat(SeatKind::Reserved, &name)),
    ];
    let number = 0u32..=i32::MAX as u32;
    prop_oneof![
        (name(), ".{0,20}", vec(launched, 0..=32), number.clone()).prop_map(
            |(game, savegame, seats, spectators)| ToGame::Launch {
                game,
                savegame: savegame.replace('\0', ""),
                seats,
                spectators
            }
        ),
        (0u32..32, kind(), option::of(name())).prop_map(|(number, kind, name)| ToGame::Seat {
            number,
            seat: Seat { kind, name }
        }),
        (number.clone(), option::of(name()))
            .prop_map(|(number, name)| ToGame::Spectator { number, name }),
        (number.clone(), any::<bool>(), number, any::<bool>()).prop_map(
            |(from, was_spectator, to, is_spectator)| ToGame::Reseat {
                from,
                was_spectator,
                to,
                is_spectator
            }
        ),
        Just(ToGame::State),
    ]
}

fn a_word() -> impl Strategy<Value = FromGame> {
    use GameState::*;
    let score = (
        option::of(name()),
        prop::sample::select(vec![SeatKind::Bot, SeatKind::Player, SeatKind::Abandoned]),
        option::of(0u32..=i32::MAX as u32),
        prop::sample::select(vec![
            Outcome::Win,
            Outcome::Loss,
            Outcome::Tie,
            Outcome::Forfeit,
            Outcome::None,
        ]),
        any::<i32>(),
    )
        .prop_map(|(name, seat, team, result, score)| Score {
            name,
            seat,
            team,
            result,
            score,
        });
    prop_oneof![
        "[^\0]{0,200}".prop_map(FromGame::Log),
        prop::sample::select(vec![Created, Waiting, Playing, Done]).prop_map(FromGame::State),
        any::<i32>().prop_map(FromGame::NumSeats),
        name().prop_map(FromGame::Boot),
        any::<i32>().prop_map(FromGame::Bot),
        any::<i32>().prop_map(FromGame::Open),
        vec(score, 0..=REPORTED as usize).prop_map(FromGame::Report),
        name().prop_map(FromGame::Savegame),
    ]
}

/// Truncated at every byte it is awaited; cut anywhere it is the same.
fn cut<M: Message + Debug + Clone + PartialEq>(message: &M, bytes: &[u8], size: usize) {
    for end in 0..bytes.len() {
        assert_eq!(all::<M>(&bytes[..end]), Ok(vec![]), "at {end}");
    }
    let twice = [bytes, bytes].concat();
    let (mut framer, mut found) = (Framer::<M>::default(), Vec::new());
    for piece in twice.chunks(size) {
        framer.push(piece);
        while let Some(message) = framer.next().unwrap() {
            found.push(message);
        }
    }
    assert_eq!(found, [message.clone(), message.clone()]);
    assert!(!framer.is_midway());
}

proptest! {
    #[test]
    fn orders_round_trip_and_no_cut_is_noticed(message in an_order(), size in 1usize..40) {
        cut(&message, &order(&message), size);
    }

    #[test]
    fn words_round_trip_and_no_cut_is_noticed(message in a_word(), size in 1usize..40) {
        cut(&message, &word(&message), size);
    }

    #[test]
    fn a_game_that_reads_what_is_wanted_never_reads_the_byte_of_a_descriptor(messages in vec(an_order(), 1..6)) {
        // Each message as it lies on the socket: with the byte that its descriptor rides on.
        let mut stream = Vec::new();
        for message in &messages {
            message.encode(&mut stream);
            if message.carries() {
                stream.push(0);
            }
        }
        let (mut decoder, mut rest) = (Decoder::default(), &stream[..]);
        for message in &messages {
            let read = loop {
                if let Some(read) = decoder.next().unwrap() {
                    break read;
                }
                decoder.push(rest.split_off(..decoder.wants()).unwrap());
            };
            prop_assert_eq!(&read, message);
            prop_assert!(!decoder.is_midway());
            if read.carries() {
                prop_assert_eq!(rest.split_off_first(), Some(&0));
            }
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn no_bytes_panic(opcode in 0u8..10, bytes in vec(prop_oneof![Just(0u8), 0u8..8, any::<u8>()], 0..120)) {
        for bytes in [&bytes[..], &[&[0, 0, 0, opcode], &bytes[..]].concat()] {
            fuzzing::link(bytes);
            fuzzing::orders(bytes);
        }
    }
}

#[test]
fn a_log_of_any_length_is_one_that_the_lobby_takes() {
    for text in ["é".repeat(5000), "x".repeat(4096), "\0".repeat(9)] {
        fuzzing::link(&word(&FromGame::Log(text)));
    }
    // All the bytes there may be, and none of them UTF-8.
    let bytes = [&hex("00000000 00001000")[..], &[0xff; 4096]].concat();
    fuzzing::link(&bytes);
    assert_eq!(all::<FromGame>(&bytes).unwrap().len(), 1);
}

/// The bytes in the lines of `docs/ggzdmod.md` from one that begins so up to the next blank one or the block's end.
fn on_the_page(beginning: &str) -> Vec<u8> {
    let page = include_str!("../../../../docs/ggzdmod.md");
    let mut lines = page.lines().skip_while(|line| !line.starts_with(beginning));
    lines.next().unwrap();
    let lines = lines.take_while(|line| !line.is_empty() && *line != "```");
    let is_hex =
        |word: &&str| word.len().is_multiple_of(2) && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = lines.flat_map(|line| line[4..].split_whitespace().take_while(is_hex));
    hex(&words.collect::<String>())
}

#[test]
fn the_examples_on_the_page_are_what_is_sent() {
    let launch = ToGame::Launch {
        game: "tictactoe".into(),
        savegame: String::new(),
        seats: vec![seat(SeatKind::Open, ""), seat(SeatKind::Reserved, "alice")],
        spectators: 0,
    };
    assert_eq!(on_the_page("offset  launch of tictactoe"), order(&launch));
    let sat = ToGame::Seat {
        number: 0,
        seat: seat(SeatKind::Player, "alice"),
    };
    assert_eq!(
        on_the_page("offset  alice sits down"),
        [order(&sat), vec![0]].concat()
    );
}
