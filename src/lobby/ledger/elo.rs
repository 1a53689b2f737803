//! Ratings, pure: what a match makes of those who played it. Source: seed 002.
//!
//! Strength is a normal distribution around the rating. A side's expectation is the chance that it is the strongest of
//! all, taken over its own strength in steps of [`STEPS`] to the unit:
//!
//! ```text
//!          299                                       R_i - R_j
//! E_i  =   sum   (Phi(z+.01) - Phi(z)) * prod Phi(z + ---------)      z = n/100
//!         n=-300                         j!=i            200
//!
//! new  =  old + K * (S_i - E_i / sum E)        K = 30 below 2000, 10 above 2400, 130 - old/20 between
//! ```

use std::sync::LazyLock;

use libm::erf;

use crate::lobby::dmod::wire::Outcome;

/// Of somebody who has not played yet.
pub(super) const START: f64 = 1500.0;

/// Steps to one unit of z.
const STEPS: i32 = 100;
/// How far z goes to either side.
const REACH: i32 = 3;
/// Rating points to one unit of z.
const SCALE: f64 = 200.0;

/// How likely each step of z is, with z.
static DENSITY: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let at = |n: i32| f64::from(n) / f64::from(STEPS);
    (-REACH * STEPS..REACH * STEPS)
        .map(|n| (at(n), phi(at(n + 1)) - phi(at(n))))
        .collect()
});

/// One who played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contestant {
    pub(super) rating: f64,
    /// None: a team of their own.
    pub(super) team: Option<u32>,
    pub(super) outcome: Outcome,
}

/// Those who play together.
#[derive(Default)]
struct Side {
    rating: f64,
    points: f64,
    members: f64,
}

/// The new rating of each.
pub(super) fn rate(contestants: &[Contestant]) -> Vec<f64> {
    let (sides, side_of) = sides(contestants);
    let scores = scores(&sides);
    let expected = expectations(&sides);
    let each = contestants.iter().zip(side_of);
    each.map(|(one, side)| one.rating + weight(one.rating) * (scores[side] - expected[side]))
        .collect()
}

/// The sides, and by contestant which is theirs.
fn sides(contestants: &[Contestant]) -> (Vec<Side>, Vec<usize>) {
    let mut sides: Vec<Side> = Vec::new();
    let mut teams: Vec<Option<u32>> = Vec::new();
    let mut side_of = Vec::with_capacity(contestants.len());
    for one in contestants {
        let known = one
            .team
            .and(teams.iter().position(|team| *team == one.team));
        let index = known.unwrap_or_else(|| {
            teams.push(one.team);
            sides.push(Side::default());
            sides.len() - 1
        });
        let side = &mut sides[index];
        side.rating += one.rating;
        side.points += points(one.outcome);
        side.members += 1.0;
        side_of.push(index);
    }
    for side in &mut sides {
        side.rating /= side.members;
        side.points /= side.members;
    }
    (sides, side_of)
}

/// What an outcome is worth. A team whose members ended differently has their mean.
fn points(outcome: Outcome) -> f64 {
    match outcome {
        Outcome::Win => 1.0,
        Outcome::Tie | Outcome::None => 0.5,
        Outcome::Loss | Outcome::Forfeit => 0.0,
    }
}

/// Each side's part of what there was to win.
fn scores(sides: &[Side]) -> Vec<f64> {
    let all: f64 = sides.iter().map(|side| side.points).sum();
    match all > 0.0 {
        true => sides.iter().map(|side| side.points / all).collect(),
        false => vec![1.0 / sides.len() as f64; sides.len()],
    }
}

/// Each side's part of what it was expected to win.
fn expectations(sides: &[Side]) -> Vec<f64> {
    let chance = |index: usize, side: &Side| -> f64 {
        let others = sides
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let leads: Vec<f64> = others
            .map(|(_, other)| (side.rating - other.rating) / SCALE)
            .collect();
        let step = |(z, density): &(f64, f64)| -> f64 {
            density * leads.iter().map(|lead| phi(z + lead)).product::<f64>()
        };
        DENSITY.iter().map(step).sum()
    };
    let chances: Vec<f64> = (0..).zip(sides).map(|(i, side)| chance(i, side)).collect();
    let all: f64 = chances.iter().sum();
    chances.into_iter().map(|chance| chance / all).collect()
}

/// The standard normal distribution.
fn phi(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// K: how much one match can change a rating. Those who have shown much are moved little.
fn weight(rating: f64) -> f64 {
    match rating {
        low if low < 2000.0 => 30.0,
        high if high > 2400.0 => 10.0,
        between => 130.0 - between / 20.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Outcome::{Forfeit, Loss, None as Nothing, Tie, Win};

    fn field(players: &[(f64, Option<u32>, Outcome)]) -> Vec<Contestant> {
        let each = players.iter();
        each.map(|&(rating, team, outcome)| Contestant {
            rating,
            team,
            outcome,
        })
        .collect()
    }

    fn rated(players: &[(f64, Option<u32>, Outcome)], golden: &[f64]) {
        let new = rate(&field(players));
        assert_eq!(new.len(), golden.len());
        for (new, golden) in new.iter().zip(golden) {
            assert!((new - golden).abs() < 1e-9, "{new}, and not {golden}");
        }
    }

    // The golden figures: a Python program that knows only the formula above, with Phi(x) = 0.5 * (1 + math.erf(x /
    // math.sqrt(2))), z = n/100 for n in range(-300, 300), and math.fsum for the sums; printed by repr().

    #[test]
    fn two_people_are_rated_as_the_formula_says() {
        rated(&[(1500., None, Win), (1500., None, Loss)], &[1515., 1485.]);
        rated(
            &[(1700., None, Loss), (1500., None, Win)],
            &[1677.1546747091634, 1522.8453252908366],
        );
        rated(
            &[(1700., None, Win), (1500., None, Forfeit)],
            &[1707.1546747091634, 1492.8453252908366],
        );
        rated(&[(3000., None, Loss), (1000., None, Win)], &[2990., 1030.]);
        for draw in [Tie, Nothing] {
            rated(
                &[(1600., None, draw), (1500., None, draw)],
                &[1595.8329754581139, 1504.1670245418861],
            );
        }
    }

    #[test]
    fn three_and_four_people_are_rated_as_the_formula_says() {
        rated(
            &[(1500., None, Win), (1600., None, Loss), (1400., None, Loss)],
            &[1520.9822396055697, 1583.4954906191256, 1395.522269775305],
        );
        rated(
            &[
                (1500., None, Win),
                (1600., None, Loss),
                (1400., None, Tie),
                (1800., None, Forfeit),
            ],
            &[
                1517.2535383708087,
                1594.0929260014261,
                1408.8742285047222,
                1779.779307123043,
            ],
        );
    }

    #[test]
    fn teams_are_rated_by_their_mean_and_who_has_none_is_a_team_of_their_own() {
        rated(
            &[
                (1500., Some(0), Win),
                (1600., Some(1), Loss),
                (1700., Some(0), Win),
                (1550., Some(1), Loss),
            ],
            &[
                1513.9377001110686,
                1586.0622998889314,
                1713.9377001110686,
                1536.0622998889314,
            ],
        );
        rated(
            &[
                (1500., Some(5), Loss),
                (1600., None, Win),
                (1700., Some(5), Loss),
                (1400., None, Loss),
            ],
            &[
                1486.6801125097595,
                1616.6801125097595,
                1686.6801125097595,
                1396.6397749804808,
            ],
        );
    }

    #[test]
    fn when_all_lose_or_all_tie_what_there_was_to_win_is_shared() {
        rated(
            &[
                (1500., None, Loss),
                (1700., None, Forfeit),
                (1600., None, Loss),
            ],
            &[1505.522269775305, 1693.4954906191256, 1600.9822396055697],
        );
        let tied = (1500., None, Tie);
        rated(&[tied, tied, tied], &[1500., 1500., 1500.]);
    }

    #[test]
    fn the_weight_of_a_match_bends_at_2000_and_at_2400() {
        rated(
            &[(1999., None, Win), (2000., None, Loss)],
            &[2014.042547734476, 1984.957452265524],
        );
        rated(
            &[(2400., None, Win), (2401., None, Loss)],
            &[2405.014182578159, 2395.985817421841],
        );
        rated(&[(2200., None, Win), (2200., None, Loss)], &[2210., 2190.]);
        for (rating, k) in [(1999.9, 30.), (2000., 30.), (2400., 10.), (2400.1, 10.)] {
            assert_eq!(weight(rating), k);
        }
    }

    #[test]
    fn who_plays_alone_or_not_at_all_changes_nothing() {
        assert!(rate(&[]).is_empty());
        rated(&[(1700., None, Loss)], &[1700.]);
        rated(
            &[(1700., Some(1), Win), (1500., Some(1), Win)],
            &[1700., 1500.],
        );
    }

    fn contestants(most: usize) -> impl Strategy<Value = Vec<Contestant>> {
        let outcome = prop::sample::select(&[Win, Loss, Tie, Forfeit, Nothing][..]);
        let one = (0.0..4000.0, prop::option::of(0u32..4), outcome);
        prop::collection::vec(one, 1..most).prop_map(|players| field(&players))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn two_of_equal_weight_win_what_the_other_loses(
            ratings in (500.0..1970.0, 500.0..1970.0),
            outcomes in (0usize..5, 0usize..5),
        ) {
            let all = [Win, Loss, Tie, Forfeit, Nothing];
            let two = field(&[
                (ratings.0, None, all[outcomes.0]),
                (ratings.1, None, all[outcomes.1]),
            ]);
            let new = rate(&two);
            prop_assert!((new[0] + new[1] - ratings.0 - ratings.1).abs() < 1e-9);
        }

        #[test]
        fn nobody_moves_further_than_their_weight(players in contestants(7)) {
            for (one, new) in players.iter().zip(rate(&players)) {
                prop_assert!((new - one.rating).abs() <= weight(one.rating) + 1e-9);
            }
        }

        #[test]
        fn the_order_of_seats_does_not_matter(players in contestants(7), by in 0usize..7) {
            let mut turned = players.clone();
            turned.rotate_left(by % players.len());
            let mut new = rate(&players);
            new.rotate_left(by % players.len());
            for (here, there) in rate(&turned).iter().zip(&new) {
                prop_assert!((here - there).abs() < 1e-9);
            }
        }
    }
}
