//! What every game is: positions, whose turn it is, moves and their text, and how it ends.
//!
//! Players are counted from 0 in the order in which they begin; which seat plays as which is the table's business.
//! A position is a value: it is cloned, searched and thrown away.

use std::{fmt, ops::RangeInclusive};

/// The rules of one game, as a position to which they are applied.
pub(crate) trait Rules: Clone + fmt::Debug + Send + 'static {
    /// A move, legal in the position that it came from.
    type Move: Copy + Eq + fmt::Debug + Send;

    /// As `longhouse game NAME` and the wire call it.
    const NAME: &'static str;
    /// How many can play.
    const PLAYERS: RangeInclusive<usize>;
    /// What each player is called: a colour or a mark.
    const SIDES: &'static [&'static str];
    /// Players may agree on a draw.
    const DRAWS: bool = false;
    /// How a move is written, for somebody who wrote another thing.
    const NOTATION: &'static str;

    /// The first position. `players` is one of [`Self::PLAYERS`].
    fn new(players: usize) -> Self;

    /// Who moves next; means nothing when it is over.
    fn turn(&self) -> usize;

    /// Adds every legal move; none exactly when it is over.
    fn moves(&self, to: &mut Vec<Self::Move>);

    /// Makes a legal move.
    fn play(&mut self, mv: Self::Move);

    /// How it ended, if it has.
    fn ending(&self) -> Option<Ending>;

    /// The move that somebody means; not yet known to be legal.
    fn read(&self, text: &str) -> Option<Self::Move>;

    /// As [`Self::read`] takes it and people say it.
    fn write(&self, mv: Self::Move) -> String;

    /// The whole position in one line, for programs.
    fn position(&self) -> String;

    /// The board in rows of text, for people.
    fn board(&self) -> Vec<String>;

    /// What this player has so far, in games that count.
    fn points(&self, _player: usize) -> Option<i32> {
        None
    }

    /// All legal moves.
    fn legal(&self) -> Vec<Self::Move> {
        let mut moves = Vec::new();
        self.moves(&mut moves);
        moves
    }

    /// The legal move that somebody wrote, or what is wrong with it.
    fn parse(&self, text: &str) -> Result<Self::Move, Unplayable> {
        let text = text.trim();
        if self.ending().is_some() {
            return Err(Unplayable::Over);
        }
        let short = || text.chars().take(24).collect();
        let mv = self.read(text).ok_or_else(|| Unplayable::Unreadable {
            text: short(),
            notation: Self::NOTATION,
        })?;
        if self.legal().contains(&mv) {
            Ok(mv)
        } else {
            Err(Unplayable::Illegal { text: short() })
        }
    }
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Bit n is player n. One has won; several have drawn with each other; the rest have lost.
    pub(crate) best: u8,
    /// Why, as people say it.
    pub(crate) reason: &'static str,
}

impl Ending {
    /// One player won.
    pub(crate) fn won(player: usize, reason: &'static str) -> Self {
        Self {
            best: 1 << player,
            reason,
        }
    }

    /// Two players drew.
    pub(crate) fn drawn(reason: &'static str) -> Self {
        Self { best: 0b11, reason }
    }

    /// The most points win; `points` yields each player's.
    pub(crate) fn counted(points: impl Iterator<Item = i32> + Clone, reason: &'static str) -> Self {
        let most = points.clone().max();
        let best = points
            .enumerate()
            .filter(|&(_, own)| Some(own) == most)
            .fold(0, |best, (player, _)| best | 1 << player);
        Self { best, reason }
    }

    /// 1: this player has won, 0: drawn with others, -1: lost.
    pub(crate) fn of(self, player: usize) -> i32 {
        match self.best & 1 << player {
            0 => -1,
            own if own == self.best => 1,
            _ => 0,
        }
    }
}

/// Why a move cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unplayable {
    /// It is not written as moves of this game are.
    #[error("{text:?} is not a move")]
    Unreadable {
        /// What was written, at most 24 letters of it.
        text: String,
        /// How it is written.
        notation: &'static str,
    },
    /// The rules do not allow it now.
    #[error("{text:?} is not a legal move now")]
    Illegal {
        /// What was written.
        text: String,
    },
    /// Nobody moves any more.
    #[error("this game is over")]
    Over,
}

impl Unplayable {
    /// What would be right.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { notation, .. } => Some(notation),
            Self::Illegal { .. } => Some("the state's `moves` are the legal ones"),
            Self::Over => None,
        }
    }
}

/// Scatters the bits of a number, for the keys of positions.
pub(crate) fn scatter(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The column and row of a square like `c2`, counted from 0, on a board of this size.
pub(crate) fn square(text: &str, columns: u8, rows: u8) -> Option<(u8, u8)> {
    let [column, row] = *text.as_bytes() else {
        return None;
    };
    let column = column.to_ascii_lowercase().checked_sub(b'a')?;
    let row = row.checked_sub(b'1')?;
    (column < columns && row < rows).then_some((column, row))
}

/// A square's name; the opposite of [`square`].
pub(crate) fn name(column: u8, row: u8) -> String {
    format!("{}{}", char::from(b'a' + column), row + 1)
}

#[cfg(test)]
pub(crate) mod checks {
    //! What must hold in any position of any game.

    use super::*;

    /// How many sequences of so many moves there are; a finished game has none that are longer.
    pub(crate) fn perft<R: Rules>(position: &R, depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let moves = position.legal();
        if depth == 1 {
            return moves.len() as u64;
        }
        moves
            .into_iter()
            .map(|mv| {
                let mut next = position.clone();
                next.play(mv);
                perft(&next, depth - 1)
            })
            .sum()
    }

    /// The position after these moves.
    pub(crate) fn after<R: Rules>(players: usize, moves: &str) -> R {
        let mut position = R::new(players);
        for text in moves.split_whitespace() {
            let mv = position.parse(text).expect(text);
            position.play(mv);
        }
        position
    }

    /// Plays by `choice` to the end; every move's text reads back as itself.
    pub(crate) fn plays_out<R: Rules>(players: usize, mut choice: impl FnMut() -> usize) {
        let mut position = R::new(players);
        for _ in 0..20_000 {
            let moves = position.legal();
            assert_eq!(moves.is_empty(), position.ending().is_some());
            assert!(!position.board().is_empty());
            if moves.is_empty() {
                assert_eq!(position.parse("a1"), Err(Unplayable::Over));
                return;
            }
            let mv = moves[choice() % moves.len()];
            assert_eq!(position.parse(&position.write(mv)), Ok(mv));
            position.play(mv);
        }
        panic!("{} never ends", R::NAME);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            chess::Chess, connectfour::ConnectFour, dots::Dots, reversi::Reversi,
            tictactoe::TicTacToe,
        },
        checks::plays_out,
        *,
    };

    fn every_game_ends(seed: u64) {
        let mut dice = crate::games::dice::Dice::new(seed);
        let mut choice = || dice.below(1 << 20);
        plays_out::<TicTacToe>(2, &mut choice);
        plays_out::<ConnectFour>(2, &mut choice);
        plays_out::<Reversi>(2, &mut choice);
        for players in 2..=4 {
            plays_out::<Dots>(players, &mut choice);
        }
        plays_out::<Chess>(2, &mut choice);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn any_playout_ends_and_every_move_reads_back(seed: u64) {
            every_game_ends(seed);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_move_by_accident_or_a_panic(text in "\\PC{0,12}|[a-h1-8x=+#QO-]{0,8}") {
            TicTacToe::new(2).parse(&text).ok();
            ConnectFour::new(2).parse(&text).ok();
            Reversi::new(2).parse(&text).ok();
            Dots::new(2).parse(&text).ok();
            Chess::new(2).parse(&text).ok();
        }
    }

    #[test]
    fn who_ties_has_neither_won_nor_lost() {
        let ending = Ending::counted([3, 5, 5].into_iter(), "");
        assert_eq!([0, 1, 2].map(|player| ending.of(player)), [-1, 0, 0]);
        assert_eq!(Ending::won(1, "").of(1), 1);
        assert_eq!(Ending::won(1, "").of(0), -1);
    }
}
