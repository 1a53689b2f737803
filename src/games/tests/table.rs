//! One table: what people may do there, in stories and in any order.

mod properties;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::super::{
    chess::Chess,
    dots::Dots,
    rules::Rules,
    save::Saved,
    search::Strength,
    table::{Effect, Input, Link, PATIENCE, Place, Refused, SPECTATORS, Table},
    tictactoe::TicTacToe,
    wire::{Complaint, Draw, Say, State, Status, Told, Yes},
};
use crate::lobby::{
    dmod::wire::{GameState, Outcome, Score},
    wire::terms::{Seat, SeatKind},
};

fn seat(kind: SeatKind, name: Option<&str>) -> Seat {
    Seat {
        kind,
        name: name.map(Into::into),
    }
}

/// A table, its clock, and what has come of the last input.
struct Scene<R: Rules> {
    table: Table<R>,
    now: Instant,
    effects: Vec<Effect<R>>,
}

impl<R: Rules> Scene<R> {
    fn new(seats: &[SeatKind]) -> Self {
        let seats = seats.iter().map(|kind| seat(*kind, None)).collect();
        Self::open(Table::new(seats, Strength::Medium, None).unwrap())
    }

    fn open(mut table: Table<R>) -> Self {
        Self {
            effects: table.open(),
            table,
            now: Instant::now(),
        }
    }

    /// Two people, with connections 0 and 1, who play.
    fn of_two() -> Self {
        let mut scene = Self::new(&[SeatKind::Open; 2]);
        scene.sit(0, "ada", 0);
        scene.sit(1, "bob", 1);
        scene
    }

    fn apply(&mut self, input: Input<R::Move>) -> &mut Self {
        self.effects = self.table.apply(self.now, input);
        self
    }

    fn sit(&mut self, number: usize, name: &str, link: Link) -> &mut Self {
        let seat = seat(SeatKind::Player, Some(name));
        let link = Some(link);
        self.apply(Input::Seat { number, seat, link })
    }

    fn set(&mut self, number: usize, kind: SeatKind, name: Option<&str>) -> &mut Self {
        let seat = seat(kind, name);
        self.apply(Input::Seat {
            number,
            seat,
            link: None,
        })
    }

    fn say(&mut self, link: Link, say: Say) -> &mut Self {
        self.apply(Input::Said { link, say: Ok(say) })
    }

    fn moves(&mut self, moves: &str) -> &mut Self {
        for (at, text) in moves.split_whitespace().enumerate() {
            self.say(at as Link % 2, Say::Move(text.into()));
            assert_eq!(self.complaint(at as Link % 2), None, "{text}");
        }
        self
    }

    fn told(&self, link: Link) -> Option<&State> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Tell(to, Told::State(state)) if *to == link => Some(&**state),
            _ => None,
        })
    }

    fn complaint(&self, link: Link) -> Option<&str> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Tell(to, Told::Complaint(complaint)) if *to == link => {
                Some(complaint.error.as_str())
            }
            _ => None,
        })
    }

    fn report(&self) -> Option<Vec<(Option<&str>, SeatKind, Outcome)>> {
        let brief = |score: &Score| (score.name.clone(), score.seat, score.result);
        let scores = self.effects.iter().find_map(|effect| match effect {
            Effect::Report(scores) => Some(scores),
            _ => None,
        })?;
        let names = scores.iter().map(|score| score.name.as_deref());
        let rest = scores.iter().map(brief);
        Some(
            names
                .zip(rest)
                .map(|(name, (_, kind, result))| (name, kind, result))
                .collect(),
        )
    }

    fn states(&self) -> Vec<GameState> {
        let state = |effect: &Effect<R>| match effect {
            Effect::State(state) => Some(*state),
            _ => None,
        };
        self.effects.iter().filter_map(state).collect()
    }

    fn state(&self) -> State {
        self.table.state(None)
    }
}

#[test]
fn a_match_begins_when_all_sit_and_everybody_sees_all_of_it() {
    let mut scene = Scene::<Chess>::new(&[SeatKind::Open; 2]);
    assert_eq!(scene.states(), [GameState::Waiting]);
    scene.sit(0, "ada", 0);
    assert_eq!(scene.told(0).unwrap().status, Status::Waiting);
    scene.sit(1, "bob", 1);
    assert_eq!(scene.states(), [GameState::Playing]);
    let (ada, bob) = (scene.told(0).unwrap(), scene.told(1).unwrap());
    assert_eq!((ada.you, bob.you), (Some(0), Some(1)));
    assert_eq!(
        (ada.status, ada.turn, ada.moves.len()),
        (Status::Playing, Some(0), 20)
    );
    assert_eq!(
        (ada.seats[0].side.as_str(), ada.seats[1].side.as_str()),
        ("white", "black")
    );
}

#[test]
fn nobody_acts_out_of_turn_or_from_the_gallery() {
    let mut scene = Scene::<Chess>::of_two();
    let who = Some(("eve".to_owned(), 9));
    scene.apply(Input::Spectator { number: 0, who });
    assert_eq!(scene.told(9).unwrap().you, None);
    scene.say(1, Say::Move("e7e5".into()));
    assert_eq!(scene.complaint(1), Some("it is not your turn"));
    for say in [Say::Move("e2e4".into()), Say::Resign(Yes), Say::Again(Yes)] {
        scene.say(9, say);
        assert!(scene.complaint(9).unwrap().contains("watching"));
    }
    scene.say(77, Say::Resign(Yes)); // nobody's
    assert!(scene.effects.is_empty());
    scene.say(0, Say::Move("e2e5".into()));
    assert!(scene.complaint(0).unwrap().contains("not a legal move"));
    assert_eq!(scene.state().last, None);
}

#[test]
fn who_leaves_finds_the_match_as_it_was() {
    let mut scene = Scene::<Chess>::of_two();
    scene.moves("e2e4 e7e5");
    scene.set(0, SeatKind::Abandoned, Some("ada"));
    assert!(matches!(scene.effects[0], Effect::Close(0)));
    assert!(!scene.told(1).unwrap().seats[0].present);
    scene.sit(0, "ada", 5);
    let state = scene.told(5).unwrap();
    assert_eq!(
        (state.last.as_deref(), state.turn, state.you),
        (Some("e7e5"), Some(0), Some(0))
    );
    scene.say(5, Say::Move("d2d4".into()));
    assert_eq!(scene.state().last.as_deref(), Some("d2d4"));
}

#[test]
fn a_seat_that_the_lobby_opens_is_anybodys() {
    let mut scene = Scene::<Chess>::of_two();
    scene.moves("e2e4");
    scene
        .set(1, SeatKind::Abandoned, Some("bob"))
        .set(1, SeatKind::Open, None);
    scene.sit(1, "cleo", 5).say(5, Say::Move("e7e5".into()));
    assert_eq!(scene.state().last.as_deref(), Some("e7e5"));
    assert_eq!(scene.state().status, Status::Playing);
}

#[test]
fn a_match_can_be_claimed_from_who_stays_away_and_counts_as_a_forfeit() {
    let mut scene = Scene::<TicTacToe>::of_two();
    scene.say(0, Say::Claim(Yes));
    assert_eq!(scene.complaint(0), Some("nobody is away"));
    scene.set(1, SeatKind::Abandoned, Some("bob"));
    scene.now += PATIENCE - Duration::from_secs(1);
    scene.say(0, Say::Claim(Yes));
    assert_eq!(scene.complaint(0), Some("nobody has been away long enough"));
    scene.now += Duration::from_secs(1);
    scene.say(0, Say::Claim(Yes));
    assert_eq!(
        scene.report().unwrap(),
        [
            (Some("ada"), SeatKind::Player, Outcome::Win),
            (Some("bob"), SeatKind::Abandoned, Outcome::Forfeit),
        ]
    );
    assert_eq!(scene.states(), [GameState::Waiting]);
    assert_eq!(scene.state().seats[1].kind, SeatKind::Open);
}

#[test]
fn the_leader_of_those_who_stayed_wins_a_match_of_three() {
    let mut scene = Scene::<Dots>::new(&[SeatKind::Open; 3]);
    for (number, name) in ["ada", "bob", "cleo"].into_iter().enumerate() {
        scene.sit(number, name, number as Link);
    }
    for (link, mv) in [(0, "a1b1"), (1, "a1a2"), (2, "a2b2"), (0, "b1b2")] {
        scene.say(link, Say::Move(mv.into()));
    }
    scene.say(1, Say::Resign(Yes));
    assert!(scene.complaint(1).unwrap().contains("two"));
    scene.apply(Input::Hung(2));
    scene.now += PATIENCE;
    scene.say(1, Say::Claim(Yes));
    let results: Vec<_> = scene
        .report()
        .unwrap()
        .into_iter()
        .map(|(_, _, result)| result)
        .collect();
    assert_eq!(results, [Outcome::Win, Outcome::Loss, Outcome::Forfeit]);
}

#[test]
fn resigning_is_a_loss_and_again_swaps_the_sides() {
    let mut scene = Scene::<Chess>::of_two();
    scene.say(1, Say::Again(Yes));
    assert_eq!(scene.complaint(1), Some("the match is not over yet"));
    scene.say(1, Say::Resign(Yes));
    assert_eq!(
        scene.report().unwrap(),
        [
            (Some("ada"), SeatKind::Player, Outcome::Win),
            (Some("bob"), SeatKind::Player, Outcome::Loss),
        ]
    );
    assert_eq!(
        scene.told(0).unwrap().reason.as_deref(),
        Some("bob resigned")
    );
    scene.say(0, Say::Move("e2e4".into()));
    assert_eq!(scene.complaint(0), Some("the match is over"));
    scene.say(0, Say::Again(Yes));
    assert_eq!(scene.state().status, Status::Over);
    scene.say(1, Say::Again(Yes));
    let state = scene.state();
    assert_eq!(
        (state.status, state.round, state.turn),
        (Status::Playing, 2, Some(1))
    );
    assert_eq!(state.seats[1].side, "white");
    assert_eq!((state.result, state.reason), (None, None));
}

#[test]
fn a_draw_is_agreed_on_by_both_and_a_move_declines_it() {
    let mut scene = Scene::<Chess>::of_two();
    scene.say(0, Say::Draw(Draw::Accept));
    assert_eq!(scene.complaint(0), Some("nobody has offered you a draw"));
    scene.say(0, Say::Draw(Draw::Offer));
    assert_eq!(scene.told(1).unwrap().draw, Some(0));
    scene.say(0, Say::Draw(Draw::Offer));
    assert!(scene.complaint(0).unwrap().contains("already"));
    scene.moves("e2e4 e7e5");
    assert_eq!(scene.state().draw, None);
    scene
        .say(1, Say::Draw(Draw::Offer))
        .say(0, Say::Draw(Draw::Decline));
    assert_eq!(scene.state().draw, None);
    scene
        .say(0, Say::Draw(Draw::Offer))
        .say(1, Say::Draw(Draw::Accept));
    let results: Vec<_> = scene
        .report()
        .unwrap()
        .into_iter()
        .map(|(_, _, result)| result)
        .collect();
    assert_eq!(results, [Outcome::Tie; 2]);
    let mut scene = Scene::<TicTacToe>::of_two();
    scene.say(0, Say::Draw(Draw::Offer));
    assert!(scene.complaint(0).unwrap().contains("tictactoe"));
}

fn asked<R: Rules>(scene: &Scene<R>) -> Option<(u64, Strength)> {
    scene.effects.iter().find_map(|effect| match effect {
        Effect::Think {
            serial, strength, ..
        } => Some((*serial, *strength)),
        _ => None,
    })
}

#[test]
fn a_bot_thinks_as_its_name_says_and_a_stale_thought_is_nothing() {
    let mut scene = Scene::<TicTacToe>::new(&[SeatKind::Open, SeatKind::Open]);
    scene
        .set(0, SeatKind::Bot, Some("Hard Hattie"))
        .sit(1, "ada", 1);
    let (serial, strength) = asked(&scene).unwrap();
    assert_eq!(strength, Strength::Hard);
    // A person takes the seat while the bot thinks.
    scene.sit(0, "bob", 2);
    scene.apply(Input::Thought { serial, mv: 4 });
    assert_eq!(scene.state().last, None);
    scene.set(0, SeatKind::Bot, None);
    let (serial, strength) = asked(&scene).unwrap();
    assert_eq!(strength, Strength::Medium);
    scene.apply(Input::Thought { serial, mv: 4 });
    scene.apply(Input::Thought { serial, mv: 5 });
    assert_eq!(
        (scene.state().last.as_deref(), scene.state().turn),
        (Some("b2"), Some(1))
    );
}

#[test]
fn bots_alone_play_one_match_and_are_done() {
    let mut scene = Scene::<TicTacToe>::new(&[SeatKind::Bot; 2]);
    let mut reports = 0;
    while let Some((serial, _)) = asked(&scene) {
        assert!(
            !scene
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::Save(_)))
        );
        let text = scene.state().moves.remove(0);
        let mv = TicTacToe::new(2).read(&text).unwrap();
        scene.apply(Input::Thought { serial, mv });
        reports += usize::from(scene.report().is_some());
    }
    assert_eq!(reports, 1);
    assert_eq!(scene.states(), [GameState::Done]);
    assert!(matches!(scene.effects.last(), Some(Effect::End)));
}

#[test]
fn who_is_alone_may_say_that_the_table_is_done() {
    let mut scene = Scene::<TicTacToe>::of_two();
    scene.say(0, Say::Resign(Yes)).say(0, Say::Done(Yes));
    assert_eq!(scene.complaint(0), Some("others sit here, too"));
    scene.set(1, SeatKind::Open, None).say(0, Say::Done(Yes));
    assert_eq!(scene.states(), [GameState::Done]);
    scene.sit(1, "bob", 7);
    assert!(scene.effects.is_empty());
}

#[test]
fn a_saved_match_goes_on_with_those_who_began_it() {
    let mut scene = Scene::<Chess>::of_two();
    scene.moves("e2e4 e7e5 g1f3");
    let saved = scene.effects.iter().find_map(|effect| match effect {
        Effect::Save(saved) => Some(saved.clone()),
        _ => None,
    });
    let saved = saved.unwrap();
    let open = vec![seat(SeatKind::Open, None); 2];
    let table = |saved: &Saved| Table::<Chess>::new(open.clone(), Strength::Medium, Some(saved));
    let mut scene = Scene::open(table(&saved).unwrap());
    scene.sit(0, "eve", 3);
    assert!(
        matches!(&scene.effects[..], [Effect::Tell(3, _), Effect::Close(3), Effect::Boot(name)] if name == "eve")
    );
    scene.sit(0, "Ada", 4).sit(1, "bob", 5);
    let state = scene.told(5).unwrap();
    assert_eq!(
        (state.status, state.turn, state.last.as_deref()),
        (Status::Playing, Some(1), Some("g1f3"))
    );
    let refused = |change: &dyn Fn(&mut Saved)| {
        let mut saved = saved.clone();
        change(&mut saved);
        table(&saved).unwrap_err()
    };
    assert!(matches!(
        refused(&|saved| saved.moves[1] = "e7e4".into()),
        Refused::Moves { number: 2, .. }
    ));
    assert!(matches!(
        refused(&|saved| saved.seats.clear()),
        Refused::OtherSeats { .. }
    ));
    assert!(matches!(
        refused(&|saved| saved.first = 2),
        Refused::First(2)
    ));
    let mated = |saved: &mut Saved| saved.moves = ["f3", "e5", "g4", "Qh4"].map(Into::into).into();
    assert_eq!(refused(&mated), Refused::Over);
}

#[test]
fn a_table_has_as_many_seats_as_the_rules_allow() {
    for count in [0, 1, 5] {
        let seats = vec![seat(SeatKind::Open, None); count];
        assert!(Table::<Dots>::new(seats, Strength::Medium, None).is_err());
    }
    let seats = vec![seat(SeatKind::Open, None); 3];
    let refused = Table::<Chess>::new(seats, Strength::Medium, None).unwrap_err();
    assert_eq!(refused.to_string(), "chess is for 2 to 2 players, not 3");
}

#[test]
fn the_gallery_has_an_end() {
    let mut scene = Scene::<TicTacToe>::of_two();
    for number in 0..=SPECTATORS as u32 {
        let who = Some((format!("s{number}"), 100 + Link::from(number)));
        scene.apply(Input::Spectator { number, who });
    }
    // The lobby is to send away whom it has let in.
    let refused = format!("s{SPECTATORS}");
    assert!(
        matches!(&scene.effects[..], [Effect::Tell(..), Effect::Close(_), Effect::Boot(name)] if *name == refused)
    );
    let last = 100 + SPECTATORS as Link;
    assert!(scene.complaint(last).unwrap().contains("watching already"));
    assert_eq!(scene.state().spectators.len(), SPECTATORS);
}

#[test]
fn who_stands_up_leaves_the_seat_abandoned_and_may_sit_down_again() {
    let mut scene = Scene::<TicTacToe>::of_two();
    let (seat, gallery) = (Place::Seat(0), Place::Spectator(3));
    scene.apply(Input::Reseat {
        from: seat,
        to: gallery,
    });
    assert_eq!(scene.told(0).unwrap().you, None);
    assert_eq!(scene.state().seats[0].kind, SeatKind::Abandoned);
    scene.apply(Input::Reseat {
        from: gallery,
        to: seat,
    });
    scene.say(0, Say::Move("b2".into()));
    assert_eq!(scene.state().last.as_deref(), Some("b2"));
}

/// Anything that can happen, whether or not a lobby would do it.
#[test]
fn what_cannot_be_read_is_answered_and_changes_nothing() {
    let mut scene = Scene::<TicTacToe>::of_two();
    let before = scene.state();
    let say = Err(Complaint::new("not understood"));
    scene.apply(Input::Said { link: 0, say });
    assert_eq!(scene.complaint(0), Some("not understood"));
    assert_eq!(scene.state(), before);
}
