//! How well the computer plays. Bounded by positions, so that it is the same on any machine and in any build.

use std::time::{Duration, Instant};

use super::super::{
    chess::Chess,
    connectfour::ConnectFour,
    dice::Dice,
    dots::Dots,
    reversi::Reversi,
    rules::{Rules, checks::after},
    search::{Effort, Judge, SEEN, Strength, choose},
    tictactoe::TicTacToe,
};

/// An effort with fewer positions, for a build that is not optimised.
fn within<R: Judge>(strength: Strength, nodes: u64) -> Effort {
    let effort = R::effort(strength);
    Effort {
        nodes: effort.nodes.min(nodes),
        ..effort
    }
}

/// What the first player made of it: 1, 0 or -1.
fn contest<R: Judge>(efforts: [Effort; 2], seed: u64) -> i32 {
    let mut dice = Dice::new(seed);
    let mut position = R::new(2);
    loop {
        if let Some(ending) = position.ending() {
            return ending.of(0);
        }
        let found = choose(&position, efforts[position.turn()], None, &mut dice).unwrap();
        assert!(position.legal().contains(&found.mv));
        position.play(found.mv);
    }
}

/// Plays a series, each side beginning in turn; returns wins, ties and losses of the stronger one.
fn series<R: Judge>(games: u64, strong: Effort, weak: Effort) -> [usize; 3] {
    let mut results = [0; 3];
    for seed in 0..games {
        let value = match seed % 2 {
            0 => contest::<R>([strong, weak], seed),
            _ => -contest::<R>([weak, strong], seed),
        };
        results[usize::try_from(1 - value).unwrap()] += 1;
    }
    results
}

fn beats<R: Judge>(games: u64, nodes: u64) {
    let results = series::<R>(
        games,
        within::<R>(Strength::Hard, nodes),
        R::effort(Strength::Easy),
    );
    assert_eq!(results[2], 0, "{}: {results:?}", R::NAME);
    assert!(
        results[0] * 3 >= usize::try_from(games).unwrap() * 2,
        "{}: {results:?}",
        R::NAME
    );
}

fn best<R: Judge>(position: &R, nodes: u64) -> (String, i32) {
    let effort = within::<R>(Strength::Hard, nodes);
    let found = choose(position, effort, None, &mut Dice::new(1)).unwrap();
    (position.write(found.mv), found.value)
}

#[test]
fn hard_never_loses_to_easy_at_tic_tac_toe() {
    beats::<TicTacToe>(30, 20_000);
}

#[test]
fn hard_never_loses_to_easy_at_connect_four() {
    beats::<ConnectFour>(6, 3_000);
}

#[test]
fn hard_never_loses_to_easy_at_reversi() {
    beats::<Reversi>(4, 1_000);
}

#[test]
fn hard_never_loses_to_easy_at_dots() {
    beats::<Dots>(4, 1_500);
}

#[test]
fn hard_never_loses_to_easy_at_chess() {
    beats::<Chess>(2, 2_500);
}

#[test]
fn tic_tac_toe_is_played_perfectly() {
    // Whatever the other does, in every line of play.
    fn against(position: &TicTacToe, me: usize) {
        if let Some(ending) = position.ending() {
            assert_ne!(ending.of(me), -1, "{position:?}");
            return;
        }
        let moves = if position.turn() == me {
            let effort = TicTacToe::effort(Strength::Hard);
            vec![
                choose(position, effort, None, &mut Dice::new(7))
                    .unwrap()
                    .mv,
            ]
        } else {
            position.legal()
        };
        for mv in moves {
            let mut next = position.clone();
            next.play(mv);
            against(&next, me);
        }
    }
    against(&TicTacToe::new(2), 0);
    against(&TicTacToe::new(2), 1);
}

#[test]
fn a_win_is_taken_and_a_threat_is_answered() {
    let win: TicTacToe = after(2, "a1 b1 a2 b2");
    assert_eq!(best(&win, 20_000).0, "a3");
    let threat: ConnectFour = after(2, "1 2 1 2 1");
    assert_eq!(best(&threat, 3_000).0, "1");
    // Open on both sides: two ends for one answer.
    let fork: ConnectFour = after(2, "4 4 5 5");
    let (mv, value) = best(&fork, 20_000);
    assert!(
        value > SEEN && ["3", "6"].contains(&mv.as_str()),
        "{mv} {value}"
    );
}

#[test]
fn a_mate_is_seen_before_it_is_on_the_board() {
    // Two rooks: one cuts off, the other mates.
    let two: Chess = Chess::from_fen("7k/8/8/8/8/1R6/R7/K7 w - - 0 1");
    let (_, value) = best(&two, 30_000);
    assert!(value > SEEN, "{value}");
    let back = Chess::from_fen("6k1/5ppp/8/8/8/8/8/K3R3 w - - 0 1");
    assert_eq!(best(&back, 5_000).0, "e1e8");
    // Smothered: the queen gives herself.
    let smothered = Chess::from_fen("5r1k/6pp/7N/8/2Q5/8/8/7K w - - 0 1");
    assert_eq!(best(&smothered, 30_000).0, "c4g8");
}

#[test]
fn a_piece_that_hangs_is_taken_and_a_poisoned_one_is_left() {
    let hangs = Chess::from_fen("4k3/8/8/3q4/4P3/8/8/4K3 w - - 0 1");
    assert_eq!(best(&hangs, 5_000).0, "e4d5");
    let poisoned = Chess::from_fen("4k3/2p5/3p4/8/8/3Q4/8/4K3 w - - 0 1");
    assert_ne!(best(&poisoned, 5_000).0, "d3d6");
}

#[test]
fn no_chain_is_given_while_something_else_is_left() {
    // A game between two hard ones: as long as there are safe lines, no box is given.
    let effort = within::<Dots>(Strength::Hard, 400);
    let mut dice = Dice::new(3);
    let mut position = Dots::new(2);
    while let Some(found) = choose(&position, effort, None, &mut dice) {
        let safe = position.safe();
        if safe > 4 {
            assert!(position.points(0) == Some(0) && position.points(1) == Some(0));
        }
        position.play(found.mv);
    }
    assert!(position.ending().is_some());
}

#[test]
fn of_a_long_chain_the_last_two_boxes_are_left_to_win_the_next_one() {
    // Three chains of five, one of them open: who takes all five has to open the next.
    let mut position = Dots::chains();
    while position.turn() == 0 {
        let effort = within::<Dots>(Strength::Hard, 3_000);
        let found = choose(&position, effort, None, &mut Dice::new(1)).unwrap();
        position.play(found.mv);
    }
    assert_eq!(position.points(0), Some(8));
}

#[test]
fn a_search_stops_at_its_deadline_and_at_its_number_of_positions() {
    let endless = Effort {
        depth: 60,
        nodes: u64::MAX,
        slips: 0,
    };
    let begun = Instant::now();
    let found = choose(
        &Chess::new(2),
        endless,
        Some(begun + Duration::from_millis(30)),
        &mut Dice::new(1),
    );
    assert!(found.is_some());
    assert!(begun.elapsed() < Duration::from_secs(10));
    for nodes in [1, 2, 10, 100] {
        let found = choose(
            &Reversi::new(2),
            Effort { nodes, ..endless },
            None,
            &mut Dice::new(1),
        );
        assert!(found.is_some());
    }
}

#[test]
fn a_seed_repeats_and_another_seed_plays_another_game() {
    let effort = within::<Dots>(Strength::Hard, 200);
    let first = |seed| {
        choose(&Dots::new(2), effort, None, &mut Dice::new(seed))
            .unwrap()
            .mv
    };
    assert_eq!(first(5), first(5));
    assert!((0..20).any(|seed| first(seed) != first(5)));
}

#[test]
fn three_and_four_play_dots() {
    for players in [3, 4] {
        let mut dice = Dice::new(9);
        let mut position = Dots::new(players);
        while let Some(found) = choose(
            &position,
            within::<Dots>(Strength::Medium, 200),
            None,
            &mut dice,
        ) {
            position.play(found.mv);
        }
        assert!(position.ending().is_some());
    }
}
