//! The computer player: alpha-beta with iterative deepening, bounded by depth, by positions, and by a deadline.
//!
//! Everybody but the searching player counts as one opponent, so that games of more than two, and games where somebody
//! moves twice running, need nothing of their own. All values are for that player; a node negates only where the side
//! changes.
//!
//! ```text
//!  choose ─► depth 1, 2, 3 … ─► node: known? ended? deep enough? ─► quiet: only what changes much (captures)
//!              │ best first next time   └► moves: remembered, promising, killers, the rest
//!              └ until depth, positions or time run out: the best so far
//! ```

use std::{str::FromStr, time::Instant};

use super::{
    dice::Dice,
    rules::{Rules, scatter},
};

/// How well the computer plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Strength {
    /// For who learns the rules: it sees one move ahead, and often not even that.
    Easy,
    /// For who knows the game.
    #[default]
    Medium,
    /// As well as it can within its bounds.
    Hard,
}

/// A word that is no strength.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a strength: easy, medium or hard")]
pub(crate) struct NoStrength(String);

impl FromStr for Strength {
    type Err = NoStrength;

    fn from_str(word: &str) -> Result<Self, NoStrength> {
        match word.to_ascii_lowercase().as_str() {
            "easy" => Ok(Self::Easy),
            "medium" => Ok(Self::Medium),
            "hard" => Ok(Self::Hard),
            _ => Err(NoStrength(word.chars().take(24).collect())),
        }
    }
}

impl Strength {
    /// What a bot's name says: `hard`, `Hard Hattie`, `chess-hard`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        name.split(|letter: char| !letter.is_ascii_alphanumeric())
            .find_map(|word| word.parse().ok())
    }

    /// As people say it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

/// How hard it may think about one move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Moves ahead.
    pub(crate) depth: u8,
    /// Positions looked at. This, and not a clock, bounds the shipped strengths: a box under load plays as well.
    pub(crate) nodes: u64,
    /// Moves in a hundred that are made without looking.
    pub(crate) slips: u8,
}

/// What a game tells the search beyond its rules.
pub(crate) trait Judge: Rules {
    /// Values differ by less than this from search to search, so that no two games are the same. 0: never.
    const WHIM: i32 = 0;
    /// A larger win is a better one: see [`Self::margin`].
    const COUNTS: bool = false;
    /// Late quiet moves may be looked at less deeply: right where a position has many and most are bad.
    const TAPERS: bool = false;

    /// Equal for equal positions, and else almost surely not.
    fn key(&self) -> u64;

    /// How well this player stands, in a game that goes on: 0 is even, and less than [`WON`] / 4.
    fn rate(&self, player: usize) -> i32;

    /// How much a finished game was won by, where that matters beyond winning.
    fn margin(&self, _player: usize) -> i32 {
        0
    }

    /// How hard it thinks.
    fn effort(strength: Strength) -> Effort;

    /// Adds the legal moves worth looking at: all of them, or at least one.
    fn candidates(&self, to: &mut Vec<Self::Move>) {
        self.moves(to);
    }

    /// Adds the moves without which a position cannot be judged, like captures. Returns whether one of them must be made.
    fn noisy(&self, _to: &mut Vec<Self::Move>) -> bool {
        false
    }

    /// How good a move looks at first sight; more than 0 for what changes much.
    fn promise(&self, _mv: Self::Move) -> i32 {
        0
    }

    /// Nobody may move but the opponent, if that can be tried in this position: a bound for what is not worth a look.
    fn pass(&self) -> Option<Self> {
        None
    }

    /// Keys of positions that were there before and may come again.
    fn past(&self) -> &[u64] {
        &[]
    }

    /// The position without what only the table needs.
    fn bare(&self) -> Self {
        self.clone()
    }
}

/// The value of a game won at once; later wins are worth a little less.
pub(crate) const WON: i32 = 1_000_000;
const FOREVER: i32 = 4 * WON;
/// Values beyond this are wins that have been seen to the end.
pub(crate) const SEEN: i32 = WON / 2;
const DEEPEST: usize = 96;

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<M> {
    /// The move.
    pub(crate) mv: M,
    /// Its value for who moves; 0 when it was not looked at.
    pub(crate) value: i32,
    /// How deep was looked in full.
    pub(crate) depth: u8,
}

/// The move that the player whose turn it is makes; none when the game is over.
pub(crate) fn choose<R: Judge>(
    position: &R,
    effort: Effort,
    until: Option<Instant>,
    dice: &mut Dice,
) -> Option<Found<R::Move>> {
    let mut moves = position.legal();
    let slip = dice.below(100) < usize::from(effort.slips);
    if slip || moves.len() < 2 {
        let mv = *moves.get(dice.below(moves.len().max(1)))?;
        return Some(Found {
            mv,
            value: 0,
            depth: 0,
        });
    }
    moves.clear();
    position.candidates(&mut moves);
    dice.shuffle(&mut moves);
    moves.sort_by_key(|mv| -position.promise(*mv)); // stable: what is equal stays shuffled
    let mut search = Search::new(position, effort.nodes, until, dice.roll());
    let root = position.bare();
    let mut best = Found {
        mv: *moves.first()?,
        value: 0,
        depth: 0,
    };
    for depth in 1..=effort.depth {
        let (at, value) = search.root(&root, &moves, depth);
        // A cut-off round still knows better about the moves that it finished; the best one so far comes first in it.
        if let Some(at) = at {
            best.mv = moves[at];
            best.value = value;
            moves[..=at].rotate_right(1);
        }
        if search.over {
            break;
        }
        best.depth = depth;
        // A win is a win, unless a larger one counts for more.
        if moves.len() == 1 || (value.abs() > SEEN && !R::COUNTS) {
            break;
        }
    }
    Some(best)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Exact,
    Least,
    Most,
}

#[derive(Clone, Copy)]
struct Known<M> {
    key: u64,
    value: i32,
    depth: u8,
    bound: Bound,
    mv: Option<M>,
}

struct Search<R: Judge> {
    me: usize,
    left: u64,
    until: Option<Instant>,
    over: bool,
    whim: u64,
    known: Vec<Option<Known<R::Move>>>,
    killers: Vec<[Option<R::Move>; 2]>,
    /// Keys from the game's past, and down to the node in hand.
    path: Vec<u64>,
    /// Lists that are used again.
    spare: Vec<Vec<R::Move>>,
}

impl<R: Judge> Search<R> {
    fn new(position: &R, nodes: u64, until: Option<Instant>, whim: u64) -> Self {
        let slots = nodes.clamp(1 << 8, 1 << 17).next_power_of_two();
        Self {
            me: position.turn(),
            left: nodes,
            until,
            over: false,
            whim,
            known: vec![None; slots as usize],
            killers: vec![[None; 2]; DEEPEST + 1],
            path: position.past().to_vec(),
            spare: Vec::new(),
        }
    }

    /// Whether the searching player moves here.
    fn mine(&self, position: &R) -> bool {
        position.turn() == self.me
    }

    /// Counts one position; true when there is nothing left to count with.
    fn spent(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        // A clock costs more than a position.
        if self.left == 0
            || self.left.is_multiple_of(1024)
                && self.until.is_some_and(|until| Instant::now() >= until)
        {
            self.over = true;
        }
        self.over
    }

    fn root(&mut self, position: &R, moves: &[R::Move], depth: u8) -> (Option<usize>, i32) {
        let (mut best, mut value) = (None, -FOREVER);
        self.path.push(position.key());
        for (at, mv) in moves.iter().enumerate() {
            let mut next = position.clone();
            next.play(*mv);
            let found = self.child(position, &next, depth - 1, 1, (value, FOREVER));
            if self.over {
                break;
            }
            if found > value {
                (best, value) = (Some(at), found);
            }
        }
        self.path.pop();
        (best, value)
    }

    /// The value of `next` for who moves in `position`.
    fn child(
        &mut self,
        position: &R,
        next: &R,
        depth: u8,
        ply: usize,
        (low, high): (i32, i32),
    ) -> i32 {
        if self.mine(position) == self.mine(next) {
            self.node(next, depth, ply, low, high)
        } else {
            -self.node(next, depth, ply, -high, -low)
        }
    }

    /// The value for who moves, or did, when it is over.
    fn ended(&self, position: &R, ply: usize) -> Option<i32> {
        let ending = position.ending()?;
        let own = match ending.of(self.me) {
            0 => position.margin(self.me),
            sign => sign * (WON - ply as i32) + position.margin(self.me),
        };
        Some(if self.mine(position) { own } else { -own })
    }

    fn judged(&self, position: &R) -> i32 {
        let whim = match R::WHIM {
            0 => 0,
            size => (scatter(position.key() ^ self.whim) % size as u64) as i32,
        };
        let own = position.rate(self.me) + whim;
        if self.mine(position) { own } else { -own }
    }

    fn node(&mut self, position: &R, depth: u8, ply: usize, mut low: i32, high: i32) -> i32 {
        if self.spent() {
            return 0;
        }
        if let Some(value) = self.ended(position, ply) {
            return value;
        }
        let key = position.key();
        if self.path.contains(&key) {
            return 0; // what came once can come a third time
        }
        if depth == 0 || ply >= DEEPEST {
            return self.quiet(position, ply, low, high);
        }
        let slot = (key % self.known.len() as u64) as usize;
        let known = self.known[slot].filter(|known| known.key == key);
        if let Some(known) = known.filter(|known| known.depth >= depth) {
            let value = nearer(known.value, ply);
            match known.bound {
                Bound::Exact => return value,
                Bound::Least if value >= high => return value,
                Bound::Most if value <= low => return value,
                _ => {}
            }
        }
        if depth >= 3
            && high < SEEN
            && low > -SEEN
            && let Some(passed) = position.pass()
        {
            let value = self.child(position, &passed, depth - 3, ply + 1, (high - 1, high));
            if self.over {
                return 0;
            }
            if value >= high {
                return high;
            }
        }
        let mut moves = self.spare.pop().unwrap_or_default();
        position.candidates(&mut moves);
        self.sort(position, &mut moves, known.and_then(|known| known.mv), ply);
        // Where there is no choice, looking on costs nothing.
        let deeper = if moves.len() == 1 { depth } else { depth - 1 };
        let (mut best, mut value, before) = (None, -FOREVER, low);
        self.path.push(key);
        for (at, mv) in moves.iter().copied().enumerate() {
            let mut next = position.clone();
            next.play(mv);
            let mut found = FOREVER;
            if at > 0 {
                // Likely worse than the first: it is enough to see that it is, and late ones may be looked at less.
                let less =
                    u8::from(R::TAPERS && at > 3 && deeper >= 2 && position.promise(mv) <= 0);
                found = self.child(position, &next, deeper - less, ply + 1, (low, low + 1));
            }
            if found > low && !self.over {
                found = self.child(position, &next, deeper, ply + 1, (low, high));
            }
            if self.over {
                break;
            }
            if found > value {
                (best, value) = (Some(mv), found);
            }
            low = low.max(value);
            if low >= high {
                self.killed(position, mv, ply);
                break;
            }
        }
        self.path.pop();
        moves.clear();
        self.spare.push(moves);
        if self.over {
            return 0;
        }
        let bound = match value {
            value if value <= before => Bound::Most,
            value if value >= high => Bound::Least,
            _ => Bound::Exact,
        };
        self.known[slot] = Some(Known {
            key,
            value: farther(value, ply),
            depth,
            bound,
            mv: best,
        });
        value
    }

    /// The value when only moves that change much are made.
    fn quiet(&mut self, position: &R, ply: usize, mut low: i32, high: i32) -> i32 {
        let mut moves = self.spare.pop().unwrap_or_default();
        let forced = position.noisy(&mut moves) && ply < DEEPEST;
        let mut value = if forced {
            -FOREVER
        } else {
            self.judged(position)
        };
        low = low.max(value);
        if value < high && ply < DEEPEST {
            moves.sort_by_cached_key(|mv| -position.promise(*mv));
            for mv in moves.iter().copied() {
                let mut next = position.clone();
                next.play(mv);
                if self.spent() {
                    break;
                }
                let found = match self.ended(&next, ply + 1) {
                    Some(value) if self.mine(position) == self.mine(&next) => value,
                    Some(value) => -value,
                    None if self.mine(position) == self.mine(&next) => {
                        self.quiet(&next, ply + 1, low, high)
                    }
                    None => -self.quiet(&next, ply + 1, -high, -low),
                };
                value = value.max(found);
                low = low.max(value);
                if low >= high {
                    break;
                }
            }
        }
        moves.clear();
        self.spare.push(moves);
        value
    }

    fn sort(&self, position: &R, moves: &mut [R::Move], first: Option<R::Move>, ply: usize) {
        moves.sort_by_cached_key(|mv| {
            if Some(*mv) == first {
                return i32::MIN;
            }
            match position.promise(*mv) {
                promise if promise > 0 => -1000 - promise,
                _ if self.killers[ply].contains(&Some(*mv)) => -1000,
                promise => -promise,
            }
        });
    }

    /// Remembers a quiet move that refuted another: it often refutes its sisters, too.
    fn killed(&mut self, position: &R, mv: R::Move, ply: usize) {
        if position.promise(mv) <= 0 && self.killers[ply][0] != Some(mv) {
            self.killers[ply] = [Some(mv), self.killers[ply][0]];
        }
    }
}

/// A win is remembered by how far it is from its own node, not from the root.
fn farther(value: i32, ply: usize) -> i32 {
    match value {
        win if win > SEEN => win + ply as i32,
        loss if loss < -SEEN => loss - ply as i32,
        even => even,
    }
}

fn nearer(value: i32, ply: usize) -> i32 {
    match value {
        win if win > SEEN => win - ply as i32,
        loss if loss < -SEEN => loss + ply as i32,
        even => even,
    }
}
