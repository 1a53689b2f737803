//! Dots and boxes, for two to four: who draws a box's fourth side has the box and moves again.
//!
//! Six by six dots, `a1` to `f6` with row 1 on top; a move is a line between two neighbours: `a1b1`.

use std::ops::RangeInclusive;

use super::{
    rules::{self, Ending, Rules, scatter},
    search::{Effort, Judge, Strength},
};

/// Dots along a side.
const DOTS: u8 = 6;
/// Boxes along a side.
const SIDE: u8 = DOTS - 1;
const BOXES: u8 = SIDE * SIDE;
/// Lines that lie; as many stand.
const LYING: u8 = DOTS * SIDE;
const LINES: u8 = 2 * LYING;
const ALL: u64 = (1 << LINES) - 1;
const NOBODY: u8 = u8::MAX;

/// A position.
#[derive(Debug, Clone)]
pub(crate) struct Dots {
    /// Lying lines first: bit `row * 5 + column`; then standing ones: bit `30 + row * 6 + column`.
    drawn: u64,
    /// Whose each box is.
    owners: [u8; BOXES as usize],
    points: [u8; 4],
    players: usize,
    turn: usize,
}

/// Above, below, left, right.
const fn sides(cell: u8) -> [u8; 4] {
    let (row, column) = (cell / SIDE, cell % SIDE);
    let left = LYING + row * DOTS + column;
    [cell, cell + SIDE, left, left + 1]
}

/// The one or two boxes that a line is a side of.
fn beside(line: u8) -> impl Iterator<Item = u8> {
    let (first, second) = if line < LYING {
        (line.checked_sub(SIDE), (line < BOXES).then_some(line))
    } else {
        let (row, column) = ((line - LYING) / DOTS, (line - LYING) % DOTS);
        let cell = row * SIDE + column;
        (
            (column > 0).then(|| cell - 1),
            (column < SIDE).then_some(cell),
        )
    };
    first.into_iter().chain(second)
}

fn bits(mut set: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros() as u8;
        (set != 0).then(|| {
            set &= set - 1;
            bit
        })
    })
}

/// Lines that are missing around a box.
fn missing(drawn: u64, cell: u8) -> u64 {
    let around = sides(cell).into_iter().fold(0, |all, line| all | 1 << line);
    around & !drawn
}

impl Dots {
    /// Lines that may be drawn without giving a box away, and lines that take one.
    fn sorted(drawn: u64) -> (u64, u64) {
        let (mut safe, mut taking) = (ALL & !drawn, 0);
        for cell in 0..BOXES {
            let missing = missing(drawn, cell);
            match missing.count_ones() {
                1 => taking |= missing,
                2 => safe &= !missing,
                _ => {}
            }
        }
        (safe & !taking, taking)
    }

    /// How many boxes can be taken running, and what is drawn then.
    fn harvest(mut drawn: u64) -> (i32, u64) {
        let mut boxes = 0;
        loop {
            let (_, taking) = Self::sorted(drawn);
            let Some(line) = bits(taking).next() else {
                return (boxes, drawn);
            };
            boxes += beside(line)
                .filter(|cell| missing(drawn, *cell).count_ones() == 1)
                .count() as i32;
            drawn |= 1 << line;
        }
    }

    /// One line of each chain: all of a chain's are alike, but that the middle one of a pair leaves no choice.
    fn openings(&self, to: &mut Vec<u8>) {
        let mut seen = 0_u64;
        for line in bits(ALL & !self.drawn) {
            if seen & 1 << line != 0 {
                continue;
            }
            let (mut chain, mut grown) = (1 << line, 0_u64);
            while chain != grown {
                let fresh = chain & !grown;
                grown = chain;
                for cell in bits(fresh).flat_map(beside) {
                    let missing = missing(self.drawn, cell);
                    if missing.count_ones() == 2 {
                        chain |= missing;
                    }
                }
            }
            seen |= chain;
            if chain.count_ones() == 3 {
                // Of two boxes: the line between them, so that they can only be taken.
                let middle = bits(chain).find(|line| {
                    let mut cells = beside(*line);
                    cells.next().is_some()
                        && cells.next().is_some()
                        && beside(*line).all(|cell| missing(self.drawn, cell).count_ones() == 2)
                });
                to.extend(middle);
                if middle.is_some() {
                    continue;
                }
            }
            to.push(line);
        }
    }

    /// Instead of taking the last two boxes: the line beyond them, which leaves both to the next player, who then has to
    /// open the next chain.
    fn declining(&self, taking: u64) -> Option<u8> {
        bits(taking).find_map(|line| {
            let mut pair = beside(line).filter(|cell| missing(self.drawn, *cell).count_ones() == 2);
            let next = pair.next()?;
            bits(missing(self.drawn, next) & !(1 << line)).next()
        })
    }

    /// How many lines give nothing away.
    #[cfg(test)]
    pub(crate) fn safe(&self) -> u32 {
        Self::sorted(self.drawn).0.count_ones()
    }

    /// The second and fourth rows are drawn shut; the first is a chain of five, one line of it drawn, so that its boxes
    /// can be taken, and the third and fifth are chains of five.
    #[cfg(test)]
    pub(crate) fn chains() -> Self {
        let mut position = Self::new(2);
        position.drawn = ALL;
        for row in [0, 2, 4] {
            for column in 0..DOTS {
                position.drawn &= !(1 << (LYING + row * DOTS + column));
            }
        }
        for (cell, owner) in position.owners.iter_mut().enumerate() {
            let shut = cell as u8 / SIDE % 2 == 1;
            *owner = if shut { (cell % 2) as u8 } else { NOBODY };
        }
        position.points = [5, 5, 0, 0];
        position.drawn |= 1 << LYING;
        position
    }

    fn others(&self, player: usize) -> i32 {
        (0..self.players)
            .filter(|other| *other != player)
            .map(|other| i32::from(self.points[other]))
            .max()
            .unwrap_or(0)
    }
}

impl Rules for Dots {
    /// The line.
    type Move = u8;

    const NAME: &'static str = "dots";
    const PLAYERS: RangeInclusive<usize> = 2..=4;
    const SIDES: &'static [&'static str] = &["A", "B", "C", "D"];
    const NOTATION: &'static str =
        "a move is a line between two neighbouring dots from a1 to f6, like a1b1 or a1a2";

    fn new(players: usize) -> Self {
        Self {
            drawn: 0,
            owners: [NOBODY; BOXES as usize],
            points: [0; 4],
            players,
            turn: 0,
        }
    }

    fn turn(&self) -> usize {
        self.turn
    }

    fn moves(&self, to: &mut Vec<u8>) {
        to.extend(bits(ALL & !self.drawn));
    }

    fn play(&mut self, line: u8) {
        self.drawn |= 1 << line;
        let mut again = false;
        for cell in beside(line).filter(|cell| missing(self.drawn, *cell) == 0) {
            self.owners[usize::from(cell)] = self.turn as u8;
            self.points[self.turn] += 1;
            again = true;
        }
        if !again {
            self.turn = (self.turn + 1) % self.players;
        }
    }

    fn ending(&self) -> Option<Ending> {
        (self.drawn == ALL).then(|| {
            let points = self.points[..self.players].iter();
            Ending::counted(points.map(|own| i32::from(*own)), "every box is taken")
        })
    }

    fn read(&self, text: &str) -> Option<u8> {
        let dots: String = text
            .chars()
            .filter(|letter| !"- ".contains(*letter))
            .collect();
        let from = rules::square(dots.get(..2)?, DOTS, DOTS)?;
        let to = rules::square(dots.get(2..)?, DOTS, DOTS)?;
        let ((column, row), (right, low)) = (from.min(to), from.max(to));
        match (right - column, low.checked_sub(row)?) {
            (1, 0) => Some(row * SIDE + column),
            (0, 1) => Some(LYING + row * DOTS + column),
            _ => None,
        }
    }

    fn write(&self, line: u8) -> String {
        if line < LYING {
            let (row, column) = (line / SIDE, line % SIDE);
            rules::name(column, row) + &rules::name(column + 1, row)
        } else {
            let (row, column) = ((line - LYING) / DOTS, (line - LYING) % DOTS);
            rules::name(column, row) + &rules::name(column, row + 1)
        }
    }

    /// The drawn lines as a number in base 16, whose each box is, row by row, and who moves.
    fn position(&self) -> String {
        let owners: String = self
            .owners
            .iter()
            .map(|owner| Self::SIDES.get(usize::from(*owner)).unwrap_or(&"."))
            .copied()
            .collect();
        format!("{:015x} {owners} {}", self.drawn, Self::SIDES[self.turn])
    }

    fn board(&self) -> Vec<String> {
        let drawn = |line: u8| self.drawn & 1 << line != 0;
        let mut rows = vec!["  a   b   c   d   e   f".to_owned()];
        for row in 0..DOTS {
            let mut line = format!("{} +", row + 1);
            for column in 0..SIDE {
                line += if drawn(row * SIDE + column) {
                    "---+"
                } else {
                    "   +"
                };
            }
            rows.push(line);
            if row == SIDE {
                break;
            }
            let mut line = String::from("  ");
            for column in 0..DOTS {
                line.push(if drawn(LYING + row * DOTS + column) {
                    '|'
                } else {
                    ' '
                });
                if column < SIDE {
                    let owner = self.owners[usize::from(row * SIDE + column)];
                    let owner = Self::SIDES.get(usize::from(owner)).unwrap_or(&" ");
                    line += &format!(" {owner} ");
                }
            }
            rows.push(line);
        }
        rows
    }

    fn points(&self, player: usize) -> Option<i32> {
        Some(i32::from(self.points[player]))
    }
}

impl Judge for Dots {
    const COUNTS: bool = true;

    fn key(&self) -> u64 {
        let points = self
            .points
            .iter()
            .fold(self.turn as u64, |all, own| all << 8 | u64::from(*own));
        scatter(self.drawn) ^ scatter(points | 1 << 63)
    }

    /// Boxes so far, those that can be taken now, and who will have to open the first chain.
    fn rate(&self, player: usize) -> i32 {
        let margin = 100 * (i32::from(self.points[player]) - self.others(player));
        let sign = if player == self.turn { 1 } else { -1 };
        let (boxes, drawn) = Self::harvest(self.drawn);
        let (safe, _) = Self::sorted(drawn);
        if safe != 0 || drawn == ALL {
            return margin + sign * 100 * boxes;
        }
        // After the harvest somebody opens the smallest chain, and who took most of the last one chooses who.
        let gift = bits(ALL & !drawn)
            .map(|line| Self::harvest(drawn | 1 << line).0)
            .min()
            .unwrap_or(0);
        margin + sign * 100 * (boxes - gift)
    }

    fn margin(&self, player: usize) -> i32 {
        100 * (i32::from(self.points[player]) - self.others(player))
    }

    fn candidates(&self, to: &mut Vec<u8>) {
        let (safe, taking) = Self::sorted(self.drawn);
        if taking != 0 {
            to.extend(bits(taking).next());
            let (rest, _) = Self::harvest(self.drawn);
            if rest <= 4 && safe == 0 {
                to.extend(self.declining(taking));
            }
        } else if safe.count_ones() > 12 {
            to.extend(bits(safe));
        } else {
            to.extend(bits(safe));
            self.openings(to);
            to.sort_unstable();
            to.dedup();
        }
    }

    fn promise(&self, line: u8) -> i32 {
        let open = beside(line).map(|cell| missing(self.drawn, cell).count_ones());
        match open.min() {
            Some(1) => 10,
            Some(2) => -10,
            _ => 0,
        }
    }

    fn effort(strength: Strength) -> Effort {
        match strength {
            Strength::Easy => Effort {
                depth: 1,
                nodes: 200,
                slips: 40,
            },
            Strength::Medium => Effort {
                depth: 2,
                nodes: 2_000,
                slips: 5,
            },
            Strength::Hard => Effort {
                depth: 40,
                nodes: 200_000,
                slips: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rules::checks::after, *};

    #[test]
    fn a_line_is_a_side_of_the_boxes_that_it_is_beside() {
        for cell in 0..BOXES {
            for line in sides(cell) {
                assert!(beside(line).any(|other| other == cell), "{cell} {line}");
            }
        }
        let sides = (0..LINES).map(|line| beside(line).count()).sum::<usize>();
        assert_eq!(sides, usize::from(BOXES) * 4);
    }

    #[test]
    fn who_closes_a_box_has_it_and_moves_again() {
        let mut position: Dots = after(3, "a1b1 a1-a2 b2a2");
        assert_eq!(position.turn(), 0);
        position.play(position.parse("B1B2").unwrap());
        assert_eq!((position.turn(), position.points(0)), (0, Some(1)));
        assert_eq!(
            position.board()[..4],
            [
                "  a   b   c   d   e   f",
                "1 +---+   +   +   +   +",
                "  | A |                ",
                "2 +---+   +   +   +   +",
            ]
        );
        for wrong in ["a1b2", "a1c1", "a1a1", "a1g1", "a1", "", "a1b1c1", "a2b1"] {
            assert_eq!(position.read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_chain_is_opened_by_one_line_for_all() {
        // Everything but the lines that stand within the first row of boxes: one chain of five, and it is shut.
        let mut position = Dots::new(2);
        for column in 0..=SIDE {
            position.drawn |= 1 << (LYING + column);
        }
        position.drawn = ALL & !position.drawn;
        let mut openings = Vec::new();
        position.openings(&mut openings);
        assert_eq!(openings.len(), 1);
        assert_eq!(Dots::harvest(position.drawn | 1 << openings[0]).0, 5);
    }
}
