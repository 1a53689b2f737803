//! Reversi: a disc turns what it shuts in between itself and another of its own. Row 1 is on top.
//!
//! Who cannot move is passed over by the rules; nobody has to say so.

use std::ops::RangeInclusive;

use super::{
    rules::{self, Ending, Rules, scatter},
    search::{Effort, Judge, Strength},
};

/// A position.
#[derive(Debug, Clone)]
pub(crate) struct Reversi {
    /// Each player's discs: bit `row * 8 + column`.
    own: [u64; 2],
    turn: usize,
}

const NOT_A: u64 = 0xfefe_fefe_fefe_fefe;
const NOT_H: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const CORNERS: u64 = 0x8100_0000_0000_0081;

/// All squares one step away in one of the eight ways.
fn step(from: u64, way: u8) -> u64 {
    match way {
        0 => from << 8,
        1 => from >> 8,
        2 => (from & NOT_H) << 1,
        3 => (from & NOT_A) >> 1,
        4 => (from & NOT_H) << 9,
        5 => (from & NOT_A) << 7,
        6 => (from & NOT_H) >> 7,
        _ => (from & NOT_A) >> 9,
    }
}

fn around(from: u64) -> u64 {
    (0..8).fold(0, |all, way| all | step(from, way))
}

/// Where `own` may be set against `other`.
fn places(own: u64, other: u64) -> u64 {
    let empty = !(own | other);
    (0..8).fold(0, |all, way| {
        let mut run = step(own, way) & other;
        for _ in 0..5 {
            run |= step(run, way) & other;
        }
        all | step(run, way) & empty
    })
}

/// What turns when `own` is set there.
fn turned(square: u64, own: u64, other: u64) -> u64 {
    (0..8).fold(0, |all, way| {
        let (mut run, mut next) = (0, step(square, way));
        while next & other != 0 {
            run |= next;
            next = step(next, way);
        }
        if next & own != 0 { all | run } else { all }
    })
}

impl Reversi {
    fn disc(&self, square: u8) -> char {
        match self.own.map(|own| own & 1 << square != 0) {
            [true, _] => 'X',
            [_, true] => 'O',
            _ => '.',
        }
    }

    fn free(&self, player: usize) -> u64 {
        places(self.own[player], self.own[player ^ 1])
    }

    fn count(&self, player: usize) -> i32 {
        self.own[player].count_ones() as i32
    }
}

impl Rules for Reversi {
    /// The square.
    type Move = u8;

    const NAME: &'static str = "reversi";
    const PLAYERS: RangeInclusive<usize> = 2..=2;
    const SIDES: &'static [&'static str] = &["black (X)", "white (O)"];
    const NOTATION: &'static str = "a move is a square from a1 to h8, row 1 on top";

    fn new(_: usize) -> Self {
        Self {
            own: [1 << 28 | 1 << 35, 1 << 27 | 1 << 36],
            turn: 0,
        }
    }

    fn turn(&self) -> usize {
        self.turn
    }

    fn moves(&self, to: &mut Vec<u8>) {
        let mut free = self.free(self.turn);
        while free != 0 {
            to.push(free.trailing_zeros() as u8);
            free &= free - 1;
        }
    }

    fn play(&mut self, square: u8) {
        let (mover, other) = (self.turn, self.turn ^ 1);
        let turned = turned(1 << square, self.own[mover], self.own[other]);
        self.own[mover] |= turned | 1 << square;
        self.own[other] &= !turned;
        if self.free(other) != 0 || self.free(mover) == 0 {
            self.turn = other;
        }
    }

    fn ending(&self) -> Option<Ending> {
        // `play` leaves the turn to who can move, if anybody can.
        (self.free(self.turn) == 0).then(|| {
            Ending::counted(
                [self.count(0), self.count(1)].into_iter(),
                "nobody can move",
            )
        })
    }

    fn read(&self, text: &str) -> Option<u8> {
        rules::square(text, 8, 8).map(|(column, row)| row * 8 + column)
    }

    fn write(&self, square: u8) -> String {
        rules::name(square % 8, square / 8)
    }

    fn position(&self) -> String {
        let rows: Vec<String> = (0..8)
            .map(|row| (0..8).map(|column| self.disc(row * 8 + column)).collect())
            .collect();
        format!("{} {}", rows.join("/"), ["X", "O"][self.turn])
    }

    fn board(&self) -> Vec<String> {
        let free = self.free(self.turn);
        let mut rows = vec!["  a b c d e f g h".to_owned()];
        for row in 0..8 {
            let mut line = (row + 1).to_string();
            for square in row * 8..row * 8 + 8 {
                line.push(' ');
                line.push(match self.disc(square) {
                    '.' if free & 1 << square != 0 => '*',
                    disc => disc,
                });
            }
            rows.push(line);
        }
        rows.push(format!("X {}  O {}", self.count(0), self.count(1)));
        rows
    }

    fn points(&self, player: usize) -> Option<i32> {
        Some(self.count(player))
    }
}

impl Judge for Reversi {
    const WHIM: i32 = 4;
    const COUNTS: bool = true;

    fn key(&self) -> u64 {
        scatter(self.own[0]) ^ scatter(self.own[1]).rotate_left(17) ^ self.turn as u64
    }

    fn rate(&self, player: usize) -> i32 {
        let empty = !(self.own[0] | self.own[1]);
        let open_corners = CORNERS & empty;
        let worth = |who: usize| {
            let (own, other) = (self.own[who], self.own[who ^ 1]);
            let count = |bits: u64| bits.count_ones() as i32;
            let moves = places(own, other);
            // Discs that touch empty squares are what the other side can turn.
            let frontier = own & around(empty);
            // Next to an empty corner one gives it away, diagonally most of all.
            let mut beside = 0;
            let mut corners = open_corners;
            while corners != 0 {
                let corner = corners & corners.wrapping_neg();
                corners ^= corner;
                let diagonal = (4..8).fold(0, |all, way| all | step(corner, way));
                beside += count(own & around(corner)) + 2 * count(own & diagonal);
            }
            // What is joined to an own corner along the edge can never be turned.
            let mut firm = own & CORNERS;
            for _ in 0..7 {
                firm |= EDGES & own & (0..4).fold(0, |all, way| all | step(firm, way));
            }
            90 * count(own & CORNERS)
                + 25 * count(firm)
                + 9 * count(moves)
                + 30 * count(moves & CORNERS)
                - 7 * count(frontier)
                - 18 * beside
        };
        worth(player) - worth(player ^ 1)
    }

    fn margin(&self, player: usize) -> i32 {
        10 * (self.count(player) - self.count(player ^ 1))
    }

    fn promise(&self, square: u8) -> i32 {
        let square = 1 << square;
        if square & CORNERS != 0 {
            return 20;
        }
        let corners = CORNERS & !(self.own[0] | self.own[1]);
        let mover = self.own[self.turn];
        // The fewer answers, the better; that is dear to count, so only what is shut in roughly.
        -((turned(square, mover, self.own[self.turn ^ 1])).count_ones() as i32)
            - if square & around(corners) != 0 { 20 } else { 0 }
    }

    fn effort(strength: Strength) -> Effort {
        match strength {
            Strength::Easy => Effort {
                depth: 1,
                nodes: 200,
                slips: 35,
            },
            Strength::Medium => Effort {
                depth: 3,
                nodes: 10_000,
                slips: 5,
            },
            Strength::Hard => Effort {
                depth: 40,
                nodes: 250_000,
                slips: 0,
            },
        }
    }
}

const EDGES: u64 = 0xff81_8181_8181_81ff;

#[cfg(test)]
mod tests {
    use super::{
        super::{
            dice::Dice,
            rules::checks::{after, perft},
            search,
        },
        *,
    };

    #[test]
    fn there_are_as_many_games_as_have_been_counted() {
        let counts: Vec<_> = (1..=6)
            .map(|depth| perft(&Reversi::new(2), depth))
            .collect();
        assert_eq!(counts, [4, 12, 56, 244, 1_396, 8_200]);
    }

    #[test]
    fn the_board_reads_well() {
        let position: Reversi = after(2, "d3");
        assert_eq!(
            position.board(),
            [
                "  a b c d e f g h",
                "1 . . . . . . . .",
                "2 . . . . . . . .",
                "3 . . * X * . . .",
                "4 . . . X X . . .",
                "5 . . * X O . . .",
                "6 . . . . . . . .",
                "7 . . . . . . . .",
                "8 . . . . . . . .",
                "X 4  O 1",
            ]
        );
    }

    #[test]
    fn who_cannot_move_is_passed_over() {
        // Black has discs only where white shuts nothing in, so black moves again.
        let mut position = Reversi {
            own: [1 << 0 | 1 << 56, 1 << 1 | 1 << 57],
            turn: 0,
        };
        position.play(2);
        assert_eq!((position.turn(), position.legal()), (0, vec![58]));
        position.play(58);
        assert_eq!(position.ending(), Some(Ending::won(0, "nobody can move")));
    }

    #[test]
    fn a_corner_is_taken() {
        let position = Reversi {
            own: [
                1 << 18 | 1 << 27 | 1 << 35 | 1 << 36,
                1 << 9 | 1 << 28 | 1 << 26,
            ],
            turn: 0,
        };
        let effort = Effort {
            depth: 3,
            nodes: 2_000,
            slips: 0,
        };
        let found = search::choose(&position, effort, None, &mut Dice::new(1)).unwrap();
        assert_eq!(position.write(found.mv), "a1");
    }

    #[test]
    fn the_shortest_game_ends_with_nothing_left_of_white() {
        let position: Reversi = after(2, "e6 f4 e3 f6 g5 d6 e7 f5 c5");
        assert_eq!(position.points(1), Some(0));
        assert_eq!(position.ending(), Some(Ending::won(0, "nobody can move")));
    }
}
