//! Tic-tac-toe: three in a row on nine squares, `a1` to `c3` with row 1 on top.

use std::ops::RangeInclusive;

use super::{
    rules::{self, Ending, Rules, scatter},
    search::{Effort, Judge, Strength},
};

/// A position.
#[derive(Debug, Clone)]
pub(crate) struct TicTacToe {
    /// Each player's squares: bit `row * 3 + column`.
    own: [u16; 2],
    turn: usize,
}

const FULL: u16 = 0x1ff;
const LINES: [u16; 8] = [
    0b000_000_111,
    0b000_111_000,
    0b111_000_000,
    0b001_001_001,
    0b010_010_010,
    0b100_100_100,
    0b100_010_001,
    0b001_010_100,
];

impl TicTacToe {
    fn mark(&self, square: u8) -> char {
        match self.own.map(|own| own & 1 << square != 0) {
            [true, _] => 'X',
            [_, true] => 'O',
            _ => '.',
        }
    }
}

impl Rules for TicTacToe {
    /// The square.
    type Move = u8;

    const NAME: &'static str = "tictactoe";
    const PLAYERS: RangeInclusive<usize> = 2..=2;
    const SIDES: &'static [&'static str] = &["X", "O"];
    const NOTATION: &'static str = "a move is a square from a1 to c3, row 1 on top";

    fn new(_: usize) -> Self {
        Self {
            own: [0; 2],
            turn: 0,
        }
    }

    fn turn(&self) -> usize {
        self.turn
    }

    fn moves(&self, to: &mut Vec<u8>) {
        if self.ending().is_none() {
            let taken = self.own[0] | self.own[1];
            to.extend((0..9).filter(|square| taken & 1 << square == 0));
        }
    }

    fn play(&mut self, square: u8) {
        self.own[self.turn] |= 1 << square;
        self.turn ^= 1;
    }

    fn ending(&self) -> Option<Ending> {
        let before = self.turn ^ 1;
        if LINES.iter().any(|line| self.own[before] & line == *line) {
            Some(Ending::won(before, "three in a row"))
        } else {
            (self.own[0] | self.own[1] == FULL).then(|| Ending::drawn("the board is full"))
        }
    }

    fn read(&self, text: &str) -> Option<u8> {
        rules::square(text, 3, 3).map(|(column, row)| row * 3 + column)
    }

    fn write(&self, square: u8) -> String {
        rules::name(square % 3, square / 3)
    }

    fn position(&self) -> String {
        let row =
            |row: u8| -> String { (0..3).map(|column| self.mark(row * 3 + column)).collect() };
        format!(
            "{}/{}/{} {}",
            row(0),
            row(1),
            row(2),
            Self::SIDES[self.turn]
        )
    }

    fn board(&self) -> Vec<String> {
        let mut rows = vec!["    a   b   c".to_owned()];
        for row in 0..3 {
            let marks: Vec<_> = (0..3)
                .map(|column| match self.mark(row * 3 + column) {
                    '.' => "   ".to_owned(),
                    mark => format!(" {mark} "),
                })
                .collect();
            rows.push(format!("{}  {}", row + 1, marks.join("|")));
            if row < 2 {
                rows.push("   ---+---+---".to_owned());
            }
        }
        rows
    }
}

impl Judge for TicTacToe {
    fn key(&self) -> u64 {
        scatter(u64::from(self.own[0]) << 16 | u64::from(self.own[1]))
    }

    fn rate(&self, _: usize) -> i32 {
        0
    }

    fn effort(strength: Strength) -> Effort {
        match strength {
            Strength::Easy => Effort {
                depth: 1,
                nodes: 100,
                slips: 50,
            },
            Strength::Medium => Effort {
                depth: 3,
                nodes: 2_000,
                slips: 10,
            },
            Strength::Hard => Effort {
                depth: 9,
                nodes: 20_000,
                slips: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::rules::checks::{after, perft},
        *,
    };

    #[test]
    fn there_are_as_many_games_as_have_been_counted() {
        let counts: Vec<_> = (1..=6)
            .map(|depth| perft(&TicTacToe::new(2), depth))
            .collect();
        assert_eq!(counts, [9, 72, 504, 3_024, 15_120, 54_720]);
    }

    #[test]
    fn three_in_a_row_win_and_a_full_board_draws() {
        let won: TicTacToe = after(2, "a1 b1 a2 b2 a3");
        assert_eq!(won.ending(), Some(Ending::won(0, "three in a row")));
        let full: TicTacToe = after(2, "b2 a1 c1 a3 a2 c2 b1 b3 c3");
        assert_eq!(full.ending(), Some(Ending::drawn("the board is full")));
        let last: TicTacToe = after(2, "a1 b1 c1 a2 c2 b2 b3 c3 a3");
        assert_eq!(last.ending(), Some(Ending::drawn("the board is full")));
    }

    #[test]
    fn the_board_reads_well() {
        let position: TicTacToe = after(2, "b2 a1");
        assert_eq!(position.position(), "O../.X./... X");
        assert_eq!(
            position.board(),
            [
                "    a   b   c",
                "1   O |   |   ",
                "   ---+---+---",
                "2     | X |   ",
                "   ---+---+---",
                "3     |   |   ",
            ]
        );
    }
}
