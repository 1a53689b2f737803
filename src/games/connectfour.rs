//! Connect four: discs fall into seven columns of six; four in a line win.

use std::ops::RangeInclusive;

use super::{
    rules::{Ending, Rules, scatter},
    search::{Effort, Judge, Strength},
};

const COLUMNS: u8 = 7;
const ROWS: u8 = 6;
/// Bits from one column to the next: its six squares from the bottom, and one that stays empty between columns.
const STEP: u8 = ROWS + 1;
/// Up, along, and both diagonals.
const WAYS: [u8; 4] = [1, STEP, STEP - 1, STEP + 1];
/// All squares there are.
const BOARD: u64 = {
    let (mut board, mut column) = (0, 0);
    while column < COLUMNS {
        board |= 0x3f << (column * STEP);
        column += 1;
    }
    board
};
/// The bottom of each column.
const FLOOR: u64 = BOARD & !(BOARD << 1);
/// Rows 1, 3 and 5, from the bottom: who began gets the last square there when the columns fill up.
const ODD_ROWS: u64 = FLOOR | FLOOR << 2 | FLOOR << 4;

/// A position.
#[derive(Debug, Clone)]
pub(crate) struct ConnectFour {
    /// Each player's discs: bit `column * 7 + row`, row 0 at the bottom.
    own: [u64; 2],
    turn: usize,
}

impl ConnectFour {
    fn taken(&self) -> u64 {
        self.own[0] | self.own[1]
    }

    fn four(own: u64) -> bool {
        WAYS.into_iter().any(|way| {
            let pairs = own & own >> way;
            pairs & pairs >> (2 * way) != 0
        })
    }

    /// Empty squares that would complete a four of `own`.
    fn threats(own: u64, empty: u64) -> u64 {
        // Upwards there is only the square on top of three.
        let mut threats = own << 1 & own << 2 & own << 3;
        for way in &WAYS[1..] {
            let up = own << way & own << (2 * way);
            let down = own >> way & own >> (2 * way);
            threats |= up & (own << (3 * way) | own >> way);
            threats |= down & (own >> (3 * way) | own << way);
        }
        threats & empty
    }

    fn disc(&self, column: u8, row: u8) -> char {
        let bit = 1 << (column * STEP + row);
        match self.own.map(|own| own & bit != 0) {
            [true, _] => 'X',
            [_, true] => 'O',
            _ => '.',
        }
    }
}

impl Rules for ConnectFour {
    /// The column, from 0.
    type Move = u8;

    const NAME: &'static str = "connectfour";
    const PLAYERS: RangeInclusive<usize> = 2..=2;
    const SIDES: &'static [&'static str] = &["X", "O"];
    const NOTATION: &'static str = "a move is a column from 1 to 7";

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
        if Self::four(self.own[self.turn ^ 1]) {
            return;
        }
        let taken = self.taken();
        let free = |column: &u8| taken & 1 << (column * STEP + ROWS - 1) == 0;
        to.extend([3, 2, 4, 1, 5, 0, 6].iter().filter(|column| free(column)));
    }

    fn play(&mut self, column: u8) {
        let taken = self.taken();
        // One more than a full stack of ones in the column is its lowest empty square.
        let square = (taken + (1 << (column * STEP))) & (0x3f << (column * STEP));
        self.own[self.turn] |= square & !taken;
        self.turn ^= 1;
    }

    fn ending(&self) -> Option<Ending> {
        let before = self.turn ^ 1;
        if Self::four(self.own[before]) {
            Some(Ending::won(before, "four in a line"))
        } else {
            (self.taken() == BOARD).then(|| Ending::drawn("the board is full"))
        }
    }

    fn read(&self, text: &str) -> Option<u8> {
        match *text.as_bytes() {
            [digit @ b'1'..=b'7'] => Some(digit - b'1'),
            _ => None,
        }
    }

    fn write(&self, column: u8) -> String {
        (column + 1).to_string()
    }

    fn position(&self) -> String {
        let rows: Vec<String> = (0..ROWS)
            .rev()
            .map(|row| (0..COLUMNS).map(|column| self.disc(column, row)).collect())
            .collect();
        format!("{} {}", rows.join("/"), Self::SIDES[self.turn])
    }

    fn board(&self) -> Vec<String> {
        let mut rows: Vec<_> = (0..ROWS)
            .rev()
            .map(|row| {
                let discs: Vec<_> = (0..COLUMNS)
                    .map(|column| self.disc(column, row).to_string())
                    .collect();
                format!("| {} |", discs.join(" "))
            })
            .collect();
        rows.push("+---------------+".to_owned());
        rows.push("  1 2 3 4 5 6 7".to_owned());
        rows
    }
}

impl Judge for ConnectFour {
    fn key(&self) -> u64 {
        scatter(self.own[0]) ^ scatter(self.own[1] | 1 << 63)
    }

    fn rate(&self, player: usize) -> i32 {
        let empty = BOARD & !self.taken();
        let worth = |who: usize| {
            let threats = Self::threats(self.own[who], empty);
            // Who began wants threats in odd rows, the other in even ones.
            let fitting = threats & if who == 0 { ODD_ROWS } else { !ODD_ROWS };
            let centre = self.own[who] & 0x3f << (3 * STEP);
            let beside = self.own[who] & (0x3f << (2 * STEP) | 0x3f << (4 * STEP));
            let count = |bits: u64| bits.count_ones() as i32;
            20 * count(threats) + 20 * count(fitting) + 4 * count(centre) + 2 * count(beside)
        };
        worth(player) - worth(player ^ 1)
    }

    fn effort(strength: Strength) -> Effort {
        match strength {
            Strength::Easy => Effort {
                depth: 1,
                nodes: 200,
                slips: 30,
            },
            Strength::Medium => Effort {
                depth: 4,
                nodes: 10_000,
                slips: 5,
            },
            Strength::Hard => Effort {
                depth: 42,
                nodes: 1_200_000,
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
        let counts: Vec<_> = (1..=7)
            .map(|depth| perft(&ConnectFour::new(2), depth))
            .collect();
        assert_eq!(counts, [7, 49, 343, 2_401, 16_807, 117_649, 823_536]);
    }

    #[test]
    fn four_win_in_every_direction_and_a_column_holds_six() {
        for won in [
            "1 2 1 2 1 2 1",
            "1 1 2 2 3 3 4",
            "1 2 2 3 3 4 3 4 4 6 4",
            "7 6 6 5 5 4 5 4 4 2 4",
        ] {
            let position: ConnectFour = after(2, won);
            assert_eq!(
                position.ending(),
                Some(Ending::won(0, "four in a line")),
                "{won}"
            );
        }
        let full: ConnectFour = after(2, "1 1 1 1 1 1");
        assert!(full.parse("1").is_err());
        assert_eq!(full.legal().len(), 6);
    }

    #[test]
    fn a_line_does_not_go_around_the_edge() {
        // Three on top of column 1, and one at the bottom of column 2.
        let position: ConnectFour = after(2, "1 2 1 5 1 1 3 1 7 1");
        assert_eq!(position.ending(), None);
    }

    #[test]
    fn the_board_reads_well() {
        let position: ConnectFour = after(2, "4 4 5");
        let board = position.board();
        assert_eq!(board[4], "| . . . O . . . |");
        assert_eq!(board[5], "| . . . X X . . |");
        assert_eq!(
            position.position(),
            "......./......./......./......./...O.../...XX.. O"
        );
    }
}
