//! Chess as its rules and its computer player have it.

use super::{
    super::rules::{
        Unplayable,
        checks::{after, perft},
    },
    *,
};

fn ends(fen: &str) -> Option<&'static str> {
    Chess::from_fen(fen).ending().map(|ending| ending.reason)
}

#[test]
fn there_are_as_many_games_as_have_been_counted() {
    let counts: Vec<_> = (1..=3).map(|depth| perft(&Chess::new(2), depth)).collect();
    assert_eq!(counts, [20, 400, 8_902]);
    let busy =
        Chess::from_fen("r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1");
    assert_eq!(perft(&busy, 2), 2_039);
}

#[test]
fn moves_are_read_as_people_write_them() {
    let position: Chess = after(2, "e2e4 e5 Nf3 b8c6 Bc4 Bc5");
    for castle in ["e1g1", "E1G1", "O-O", "0-0"] {
        let mv = position.parse(castle).unwrap();
        assert_eq!(position.write(mv), "e1g1");
    }
    for wrong in ["e1c1", "e4e5", "a1a1"] {
        assert!(
            matches!(position.parse(wrong), Err(Unplayable::Illegal { .. })),
            "{wrong}"
        );
    }
    for wrong in ["", "e9e4", "hello", "Nh8", "e2e4e5", "é2e4"] {
        assert!(
            matches!(position.parse(wrong), Err(Unplayable::Unreadable { .. })),
            "{wrong}"
        );
    }
    let pawn = Chess::from_fen("7k/P7/8/8/8/8/8/K7 w - - 0 1");
    for (text, means) in [
        ("a7a8", "a7a8q"),
        ("a8=N", "a7a8n"),
        ("a7a8r", "a7a8r"),
        ("a7a8Q", "a7a8q"),
    ] {
        assert_eq!(pawn.write(pawn.parse(text).unwrap()), means);
    }
}

#[test]
fn every_end_has_its_reason() {
    let mated: Chess = after(2, "f3 e5 g4 Qh4");
    assert_eq!(mated.ending(), Some(Ending::won(1, "checkmate")));
    assert!(mated.legal().is_empty());
    assert_eq!(ends("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"), Some("stalemate"));
    assert_eq!(
        ends("7k/8/6K1/8/8/8/8/8 b - - 0 1"),
        Some("too few pieces to mate with")
    );
    assert_eq!(
        ends("7k/8/5K1N/8/8/8/8/8 b - - 0 1"),
        Some("too few pieces to mate with")
    );
    assert_eq!(ends("6bk/8/6KB/8/8/8/8/8 b - - 0 1"), None);
    assert_eq!(
        ends("5b1k/8/6KB/8/8/8/8/8 b - - 0 1"),
        Some("too few pieces to mate with")
    );
    assert_eq!(ends("7k/8/6K1/8/8/8/7P/8 b - - 0 1"), None);
    assert_eq!(
        ends("7k/8/6K1/8/8/8/7R/8 b - - 100 90"),
        Some("fifty moves without a capture or a pawn's move")
    );
}

#[test]
fn the_third_time_of_a_position_draws() {
    let twice: Chess = after(2, "Nf3 Nf6 Ng1 Ng8 Nf3 Nf6 Ng1");
    assert_eq!(twice.ending(), None);
    let thrice: Chess = after(2, "Nf3 Nf6 Ng1 Ng8 Nf3 Nf6 Ng1 Ng8");
    assert_eq!(
        thrice.ending(),
        Some(Ending::drawn("the same position for the third time"))
    );
    assert!(thrice.legal().is_empty());
}

#[test]
fn the_board_reads_well() {
    let position: Chess = after(2, "e4");
    assert_eq!(position.board()[0], "8  r n b q k b n r");
    assert_eq!(position.board()[4], "4  . . . . P . . .");
    assert!(
        position
            .position()
            .starts_with("rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq")
    );
}

#[test]
fn both_sides_are_judged_alike() {
    let position = Chess::new(2);
    assert_eq!(position.rate(0) + position.rate(1), 0);
    assert_eq!(position.rate(0), 10);
}
