//! What a player sees of a table.

use super::*;
use crate::games::wire::Finish;

fn seat(kind: SeatKind, name: Option<&str>, side: &str) -> Sitting {
    Sitting {
        kind,
        name: name.map(Into::into),
        side: side.into(),
        points: None,
        strength: None,
        present: matches!(kind, SeatKind::Player | SeatKind::Bot),
        again: false,
    }
}

fn state() -> State {
    State {
        game: "tictactoe".into(),
        protocol: 1,
        you: Some(0),
        seats: vec![
            seat(SeatKind::Player, Some("ada"), "X"),
            seat(SeatKind::Player, Some("bob"), "O"),
        ],
        spectators: vec![],
        status: Status::Playing,
        round: 1,
        turn: Some(0),
        board: vec!["1  . .".into(), "   a b".into()],
        position: "..".into(),
        last: None,
        moves: vec!["a1".into(), "b1".into()],
        draw: None,
        result: None,
        reason: None,
    }
}

#[test]
fn the_first_state_shows_who_plays_the_board_and_whose_turn_it_is() {
    let shown = news(None, &state(), TableId(3));
    assert_eq!(
        shown,
        "tictactoe, table 3, match 1: you (X), bob (O)\n\n1  . .\n   a b\n\nyour turn (X)\n"
    );
    assert_eq!(news(Some(&state()), &state(), TableId(3)), "");
}

#[test]
fn a_move_shows_the_board_and_a_spectator_only_a_line() {
    let mut now = state();
    now.turn = Some(1);
    now.last = Some("a1".into());
    now.position = "X.".into();
    now.seats[0].points = Some(1);
    let shown = news(Some(&state()), &now, TableId(3));
    assert!(
        shown.ends_with("last move: a1\npoints: you 1\nbob's turn (O)\n"),
        "{shown}"
    );
    let before = now.clone();
    now.spectators.push("eve".into());
    assert_eq!(news(Some(&before), &now, TableId(3)), "eve watches\n");
    assert_eq!(
        news(Some(&now), &before, TableId(3)),
        "eve watches no more\n"
    );
}

#[test]
fn who_goes_and_comes_back_is_told() {
    let mut away = state();
    away.seats[1] = seat(SeatKind::Abandoned, Some("bob"), "O");
    let told = news(Some(&state()), &away, TableId(3));
    assert_eq!(told, "bob is away, and the seat is kept\n");
    assert_eq!(news(Some(&away), &state(), TableId(3)), "bob is back\n");
    let mut open = state();
    open.seats[1] = seat(SeatKind::Open, None, "O");
    assert_eq!(news(Some(&state()), &open, TableId(3)), "bob has left\n");
    assert_eq!(news(Some(&open), &state(), TableId(3)), "bob sits down\n");
    assert_eq!(people(&away), "seat 0: you (X)\nseat 1: bob (O), away\n");
}

#[test]
fn who_is_waited_for_is_named_and_a_side_needs_no_second_brackets() {
    let mut kept = state();
    kept.status = Status::Waiting;
    kept.turn = None;
    kept.seats[1] = seat(SeatKind::Reserved, Some("bob"), "white (O)");
    kept.seats[1].points = Some(2);
    let told = news(None, &kept, TableId(3));
    assert!(told.ends_with("\nwaiting for bob\n"), "{told}");
    assert!(!told.contains("points"), "{told}");
    assert_eq!(
        people(&kept),
        "seat 0: you (X)\nseat 1: kept for bob (white, O)\n"
    );
}

#[test]
fn an_end_is_told_to_each_as_theirs() {
    let mut over = state();
    over.status = Status::Over;
    over.turn = None;
    over.reason = Some("three in a row".into());
    let finish = |seat, outcome| Finish { seat, outcome };
    over.result = Some(vec![finish(0, Outcome::Win), finish(1, Outcome::Loss)]);
    let told = |you| {
        let mut state = over.clone();
        state.you = you;
        board(&state)
    };
    assert!(told(Some(0)).contains("you have won: three in a row\n/again"));
    assert!(told(Some(1)).contains("you have lost: three in a row\n/again"));
    assert!(told(None).ends_with("ada has won: three in a row\n"));
    over.result = Some(vec![finish(0, Outcome::Tie), finish(1, Outcome::Tie)]);
    assert!(board(&over).contains("a tie: "));
}

#[test]
fn an_offer_and_its_refusal_are_told() {
    let mut offered = state();
    offered.draw = Some(1);
    let told = news(Some(&state()), &offered, TableId(3));
    assert!(told.starts_with("bob offers a draw: /draw"), "{told}");
    let told = news(Some(&offered), &state(), TableId(3));
    assert_eq!(told, "the draw is declined\n");
}

#[test]
fn nothing_that_others_say_commands_the_terminal() {
    let mut evil = state();
    let code = "\x1b[2J\r\n";
    evil.game = code.into();
    evil.board = vec![code.into()];
    evil.seats[1].name = Some(code.into());
    evil.seats[1].side = code.into();
    evil.spectators = vec![code.into()];
    evil.last = Some(code.into());
    evil.moves = vec![code.into()];
    evil.reason = Some(code.into());
    evil.turn = Some(1);
    let mut shown = news(None, &evil, TableId(1)) + &people(&evil) + &moves(&evil);
    shown += &news(Some(&state()), &evil, TableId(1));
    evil.status = Status::Over;
    shown += &board(&evil);
    assert!(!shown.contains(['\x1b', '\r']), "{shown:?}");
}
