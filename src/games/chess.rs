//! Chess, by the rules of the library: castling, en passant, promotion; draws by stalemate, by a position that comes a
//! third time, by fifty moves without a capture or a pawn's move, and by too few pieces to mate with.

use std::ops::RangeInclusive;

use cozy_chess::{
    BitBoard, Board, Color, File, GameStatus, Move, Piece, Rank, Square,
    util::{display_uci_move, parse_san_move, parse_uci_move},
};

use super::{
    rules::{Ending, Rules},
    search::{Effort, Judge, Strength},
};

/// A position, and what led to it as far as it matters.
#[derive(Debug, Clone)]
pub(crate) struct Chess {
    board: Board,
    /// Keys of the positions since the last move that cannot be undone, this one included; none while searching, where
    /// the search keeps its own.
    since: Option<Vec<u64>>,
}

impl Chess {
    #[cfg(test)]
    pub(crate) fn from_fen(fen: &str) -> Self {
        let board: Board = fen.parse().expect(fen);
        let since = Some(vec![board.hash()]);
        Self { board, since }
    }

    /// No sequence of moves can mate any more: bare kings, or one minor piece, or bishops on one colour only.
    fn lifeless(&self) -> bool {
        let pieces = |piece| self.board.pieces(piece);
        let heavy = pieces(Piece::Pawn) | pieces(Piece::Rook) | pieces(Piece::Queen);
        if !heavy.is_empty() {
            return false;
        }
        let (knights, bishops) = (pieces(Piece::Knight), pieces(Piece::Bishop));
        let alike = bishops & BitBoard::DARK_SQUARES == bishops
            || bishops & BitBoard::LIGHT_SQUARES == bishops;
        (knights.len() <= 1 && bishops.is_empty()) || (knights.is_empty() && alike)
    }

    fn legal_meaning(&self, mv: Move) -> Option<Move> {
        if self.board.is_legal(mv) {
            return Some(mv);
        }
        // A pawn that arrives without a word becomes a queen.
        let queen = Move {
            promotion: Some(Piece::Queen),
            ..mv
        };
        (mv.promotion.is_none() && self.board.is_legal(queen)).then_some(queen)
    }
}

impl Rules for Chess {
    type Move = Move;

    const NAME: &'static str = "chess";
    const PLAYERS: RangeInclusive<usize> = 2..=2;
    const SIDES: &'static [&'static str] = &["white", "black"];
    const DRAWS: bool = true;
    const NOTATION: &'static str = "a move is two squares, like e2e4, e1g1 to castle, e7e8q to promote; or like Nf3, exd5, O-O, e8=Q";

    fn new(_: usize) -> Self {
        let board = Board::default();
        let since = Some(vec![board.hash()]);
        Self { board, since }
    }

    fn turn(&self) -> usize {
        self.board.side_to_move() as usize
    }

    fn moves(&self, to: &mut Vec<Move>) {
        if self.since.is_some() && self.ending().is_some() {
            return;
        }
        self.board.generate_moves(|moves| {
            to.extend(moves);
            false
        });
    }

    fn play(&mut self, mv: Move) {
        self.board.play_unchecked(mv);
        if let Some(since) = &mut self.since {
            if self.board.halfmove_clock() == 0 {
                since.clear();
            }
            since.push(self.board.hash());
        }
    }

    fn ending(&self) -> Option<Ending> {
        match self.board.status() {
            GameStatus::Won => Some(Ending::won(self.turn() ^ 1, "checkmate")),
            GameStatus::Drawn if self.board.halfmove_clock() >= 100 => Some(Ending::drawn(
                "fifty moves without a capture or a pawn's move",
            )),
            GameStatus::Drawn => Some(Ending::drawn("stalemate")),
            GameStatus::Ongoing if self.lifeless() => {
                Some(Ending::drawn("too few pieces to mate with"))
            }
            GameStatus::Ongoing => {
                let since = self.since.as_ref()?;
                let same = since.iter().filter(|key| Some(*key) == since.last());
                (same.count() >= 3).then(|| Ending::drawn("the same position for the third time"))
            }
        }
    }

    fn read(&self, text: &str) -> Option<Move> {
        let squares = text.to_ascii_lowercase();
        if (4..=5).contains(&squares.len())
            && let Ok(mv) = parse_uci_move(&self.board, &squares)
        {
            return Some(self.legal_meaning(mv).unwrap_or(mv));
        }
        let castle = text.replace('0', "O");
        let text = if castle.starts_with("O-O") {
            &castle
        } else {
            text
        };
        parse_san_move(&self.board, text)
            .ok()
            .and_then(|mv| self.legal_meaning(mv))
    }

    fn write(&self, mv: Move) -> String {
        display_uci_move(&self.board, mv).to_string()
    }

    /// In FEN.
    fn position(&self) -> String {
        self.board.to_string()
    }

    fn board(&self) -> Vec<String> {
        let mut rows: Vec<_> = (0..8)
            .rev()
            .map(|rank| {
                let mut row = format!("{} ", rank + 1);
                for file in 0..8 {
                    let square = Square::new(File::index(file), Rank::index(rank));
                    row.push(' ');
                    row.push(match self.board.piece_on(square) {
                        None => '.',
                        Some(piece) => {
                            let letter = char::from(piece);
                            match self.board.color_on(square) {
                                Some(Color::White) => letter.to_ascii_uppercase(),
                                _ => letter,
                            }
                        }
                    });
                }
                row
            })
            .collect();
        rows.push(String::new());
        rows.push("   a b c d e f g h".to_owned());
        rows
    }
}

/// A pawn is 100.
fn worth(piece: Piece) -> i32 {
    match piece {
        Piece::Pawn => 100,
        Piece::Knight => 320,
        Piece::Bishop => 335,
        Piece::Rook => 500,
        Piece::Queen => 950,
        Piece::King => 0,
    }
}

/// How far from the middle: 0 on the four centre squares, 3 on the edge.
fn ring(square: Square) -> i32 {
    let off = |index: usize| (index as i32 * 2 - 7).abs() / 2;
    off(square.file() as usize).max(off(square.rank() as usize))
}

/// What a square is worth to a piece of `color`, with all pieces on the board and with few.
fn placed(piece: Piece, square: Square, color: Color) -> (i32, i32) {
    let ring = ring(square);
    let rank = square.rank().relative_to(color) as i32;
    let file = square.file() as i32;
    let middle = i32::from((3..=4).contains(&file));
    match piece {
        Piece::Pawn => {
            let early = match rank {
                1 if middle == 1 => -18,
                3 | 4 => 4 * rank + 12 * middle,
                _ => 4 * rank,
            };
            (early, 10 * rank)
        }
        Piece::Knight => (
            24 - 18 * ring - if rank == 0 { 10 } else { 0 },
            16 - 14 * ring,
        ),
        Piece::Bishop => (14 - 6 * ring - if rank == 0 { 14 } else { 0 }, 9 - 5 * ring),
        Piece::Rook => (
            if rank == 6 { 22 } else { 6 * middle },
            if rank == 6 { 12 } else { 0 },
        ),
        Piece::Queen => (if rank == 0 { 0 } else { -2 * ring }, 12 - 6 * ring),
        Piece::King => {
            let shelter = match (rank, file) {
                (0, 1 | 2 | 6) => 34,
                (0, 0 | 7) => 22,
                (0, _) => 0,
                _ => -26 * rank,
            };
            (shelter, 30 - 18 * ring)
        }
    }
}

/// How much a piece says about how far the game has come; 24 at the start.
fn phase(piece: Piece) -> i32 {
    match piece {
        Piece::Knight | Piece::Bishop => 1,
        Piece::Rook => 2,
        Piece::Queen => 4,
        Piece::Pawn | Piece::King => 0,
    }
}

/// Squares of this file and those beside it, in front of a pawn.
fn ahead(square: Square, color: Color, files: BitBoard) -> BitBoard {
    let rank = square.rank() as u32;
    let rows = match color {
        Color::White if rank == 7 => 0,
        Color::White => u64::MAX << (8 * (rank + 1)),
        Color::Black => (1 << (8 * rank)) - 1,
    };
    files & BitBoard(rows)
}

impl Chess {
    /// Middle game, endgame, phase, for one side.
    fn side(&self, color: Color) -> (i32, i32, i32) {
        let (mut early, mut late, mut far) = (0, 0, 0);
        let occupied = self.board.occupied();
        let pawns = self.board.colored_pieces(color, Piece::Pawn);
        let others = self.board.colored_pieces(!color, Piece::Pawn);
        for piece in Piece::ALL {
            for square in self.board.colored_pieces(color, piece) {
                let (here, there) = placed(piece, square, color);
                early += here + worth(piece);
                late += there + worth(piece);
                far += phase(piece);
                let reach = match piece {
                    Piece::Bishop => {
                        4 * cozy_chess::get_bishop_moves(square, occupied).len() as i32
                    }
                    Piece::Rook => 2 * cozy_chess::get_rook_moves(square, occupied).len() as i32,
                    _ => 0,
                };
                early += reach;
                late += reach;
                let file = square.file();
                match piece {
                    Piece::Rook if (pawns & file.bitboard()).is_empty() => {
                        early += if (others & file.bitboard()).is_empty() {
                            22
                        } else {
                            11
                        };
                    }
                    Piece::Pawn => {
                        if (pawns & file.bitboard()).len() > 1 {
                            early -= 6;
                            late -= 12;
                        }
                        if (pawns & file.adjacent()).is_empty() {
                            early -= 10;
                            late -= 8;
                        }
                        let way = ahead(square, color, file.bitboard() | file.adjacent());
                        if (others & way).is_empty() {
                            let rank = square.rank().relative_to(color) as i32;
                            early += 3 * rank * rank / 2;
                            late += 5 * rank * rank / 2 + 8;
                        }
                    }
                    Piece::King => {
                        // Pawns before a king at home.
                        let near = ahead(square, color, file.bitboard() | file.adjacent());
                        if square.rank().relative_to(color) as i32 <= 1 {
                            early += 8 * (pawns & near).len().min(3) as i32;
                        }
                    }
                    _ => {}
                }
            }
        }
        if self.board.colored_pieces(color, Piece::Bishop).len() > 1 {
            early += 30;
            late += 40;
        }
        (early, late, far)
    }
}

impl Judge for Chess {
    const WHIM: i32 = 9;
    const TAPERS: bool = true;

    fn key(&self) -> u64 {
        self.board.hash()
    }

    fn rate(&self, player: usize) -> i32 {
        let (white, black) = (self.side(Color::White), self.side(Color::Black));
        let phase = (white.2 + black.2).min(24);
        let value = ((white.0 - black.0) * phase + (white.1 - black.1) * (24 - phase)) / 24;
        // Little is lost with every move that changes nothing, so that a won game is brought to its end.
        let value = value * (200 - i32::from(self.board.halfmove_clock())) / 200;
        let tempo = if player == self.turn() { 10 } else { -10 };
        tempo + if player == 0 { value } else { -value }
    }

    fn noisy(&self, to: &mut Vec<Move>) -> bool {
        if !self.board.checkers().is_empty() {
            self.board.generate_moves(|moves| {
                to.extend(moves);
                false
            });
            return true;
        }
        let mover = self.board.side_to_move();
        let targets = self.board.colors(!mover);
        let last = Rank::Eighth.relative_to(mover).bitboard();
        self.board.generate_moves(|mut moves| {
            moves.to &= match moves.piece {
                Piece::Pawn => targets | last,
                _ => targets,
            };
            to.extend(
                moves
                    .into_iter()
                    .filter(|mv| mv.promotion.is_none() || mv.promotion == Some(Piece::Queen)),
            );
            false
        });
        false
    }

    fn promise(&self, mv: Move) -> i32 {
        let piece = self.board.piece_on(mv.from).unwrap_or(Piece::Pawn);
        let promotion = mv.promotion.map_or(0, worth);
        let mover = self.board.side_to_move();
        let taken = match self.board.piece_on(mv.to) {
            Some(taken) if !self.board.colors(mover).has(mv.to) => taken, // castling is king to own rook
            _ if piece == Piece::Pawn && mv.from.file() != mv.to.file() => Piece::Pawn,
            _ if promotion > 0 => return promotion,
            _ => {
                // Quiet moves towards better squares first; never more than 0.
                let gain = placed(piece, mv.to, mover).0 - placed(piece, mv.from, mover).0;
                return gain.clamp(-90, 90) - 90;
            }
        };
        promotion + 10 * worth(taken) - worth(piece) / 10 + 100
    }

    fn pass(&self) -> Option<Self> {
        let mover = self.board.side_to_move();
        let pieces = self.board.pieces(Piece::Pawn) | self.board.pieces(Piece::King);
        // With pawns alone, having to move is often what loses.
        if (self.board.colors(mover) & !pieces).is_empty() {
            return None;
        }
        let board = self.board.null_move()?;
        Some(Self { board, since: None })
    }

    fn past(&self) -> &[u64] {
        self.since
            .as_deref()
            .map_or(&[], |since| &since[..since.len().saturating_sub(1)])
    }

    fn bare(&self) -> Self {
        Self {
            board: self.board.clone(),
            since: None,
        }
    }

    fn effort(strength: Strength) -> Effort {
        match strength {
            Strength::Easy => Effort {
                depth: 1,
                nodes: 1_000,
                slips: 25,
            },
            Strength::Medium => Effort {
                depth: 3,
                nodes: 20_000,
                slips: 2,
            },
            Strength::Hard => Effort {
                depth: 16,
                nodes: 400_000,
                slips: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests;
