//! Whatever happens at a table, in whatever order.

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Sit(usize, u8),
    Set(usize, u8),
    Watch(u32, bool),
    Reseat(Place, Place),
    Say(u8, Say),
    Move(u8),
    Hung(u8),
    Think,
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let place = prop_oneof![
        (0_usize..4).prop_map(Place::Seat),
        (0_u32..3).prop_map(Place::Spectator)
    ];
    let say = prop_oneof![
        Just(Say::Resign(Yes)),
        Just(Say::Claim(Yes)),
        Just(Say::Again(Yes)),
        Just(Say::Done(Yes)),
        Just(Say::Draw(Draw::Offer)),
        Just(Say::Draw(Draw::Accept)),
        Just(Say::Move("nonsense".into())),
    ];
    let op = prop_oneof![
        4 => (0_usize..5, any::<u8>()).prop_map(|(seat, name)| Op::Sit(seat, name)),
        2 => (0_usize..5, any::<u8>()).prop_map(|(seat, kind)| Op::Set(seat, kind)),
        1 => (0_u32..3, any::<bool>()).prop_map(|(number, comes)| Op::Watch(number, comes)),
        1 => (place.clone(), place).prop_map(|(from, to)| Op::Reseat(from, to)),
        3 => (any::<u8>(), say).prop_map(|(link, say)| Op::Say(link, say)),
        12 => any::<u8>().prop_map(Op::Move),
        1 => any::<u8>().prop_map(Op::Hung),
        4 => Just(Op::Think),
        1 => Just(Op::Wait),
    ];
    proptest::collection::vec(op, 0..120)
}

fn holds_through<R: Rules>(seats: usize, ops: &[Op]) {
    let kinds = vec![SeatKind::Open; seats];
    let mut scene = Scene::<R>::new(&kinds);
    let (mut links, mut closed) = (0, BTreeSet::new());
    let (mut begun, mut reported, mut kept, mut ended) = (0, 0, false, false);
    let mut thought = None;
    for op in ops {
        let before = scene.state();
        let issued = links.max(1);
        let some = |link: u8| Link::from(link) % issued;
        let mut fresh = || {
            links += 1;
            links - 1
        };
        let mut speaker = None;
        let input = match op.clone() {
            Op::Sit(number, name) => Input::Seat {
                number,
                seat: seat(
                    SeatKind::Player,
                    Some(["ada", "bob", "cleo"][usize::from(name) % 3]),
                ),
                link: Some(fresh()),
            },
            Op::Set(number, kind) => {
                let kinds = [
                    SeatKind::Open,
                    SeatKind::Bot,
                    SeatKind::Reserved,
                    SeatKind::Abandoned,
                ];
                Input::Seat {
                    number,
                    seat: seat(kinds[usize::from(kind) % 4], None),
                    link: None,
                }
            }
            Op::Watch(number, comes) => Input::Spectator {
                number,
                who: comes.then(|| ("eve".into(), fresh())),
            },
            Op::Reseat(from, to) => Input::Reseat { from, to },
            Op::Say(link, say) => Input::Said {
                link: some(link),
                say: Ok(say),
            },
            Op::Move(at) => {
                // Anybody tries, with a move that is legal for whose turn it is.
                let link = some(at);
                speaker = Some(link);
                let text = before
                    .moves
                    .get(usize::from(at) % before.moves.len().max(1));
                let text = text.cloned().unwrap_or_else(|| "a1".into());
                Input::Said {
                    link,
                    say: Ok(Say::Move(text)),
                }
            }
            Op::Hung(link) => Input::Hung(some(link)),
            Op::Think => match thought.take() {
                Some((serial, mv)) => Input::Thought { serial, mv },
                None => continue,
            },
            Op::Wait => {
                scene.now += PATIENCE;
                continue;
            }
        };
        let by_thought = matches!(input, Input::Thought { .. });
        let seat_before = speaker.and_then(|link| scene.table.seat_of(link));
        scene.apply(input);
        assert!(
            !ended || scene.effects.is_empty(),
            "nothing comes after the end"
        );
        for effect in &scene.effects {
            match effect {
                Effect::State(GameState::Playing) => begun += 1,
                Effect::Report(scores) => {
                    reported += 1;
                    assert!(scores.len() <= seats);
                }
                Effect::Save(saved) => {
                    kept = true;
                    assert_eq!(saved.seats.len(), seats);
                }
                Effect::Forget => kept = false,
                Effect::Tell(link, _) => assert!(!closed.contains(link), "{link} is closed"),
                Effect::Close(link) => assert!(closed.insert(*link), "{link} is closed twice"),
                Effect::Think {
                    serial, position, ..
                } => {
                    thought = position.legal().first().map(|mv| (*serial, *mv));
                }
                Effect::End => ended = true,
                Effect::State(_) | Effect::Boot(_) | Effect::Log(_) => {}
            }
        }
        let after = scene.state();
        let playing = usize::from(after.status == Status::Playing);
        assert_eq!(begun, reported + playing, "one report for every match");
        assert!(
            !kept || after.status == Status::Playing,
            "a saved match is one that is played"
        );
        let moved = before.status == Status::Playing
            && after.position != before.position
            && begun == reported + playing;
        if moved && after.round == before.round && !by_thought {
            assert_eq!(seat_before, before.turn, "only who has the turn moves");
        }
        let held: Vec<_> = scene.table.held();
        let single: BTreeSet<_> = held.iter().collect();
        assert_eq!(single.len(), held.len(), "no connection is in two places");
        assert!(held.iter().all(|link| !closed.contains(link)));
        assert_eq!(after.moves.is_empty(), after.status != Status::Playing);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn whatever_happens_turns_reports_and_connections_are_right(ops in ops()) {
        holds_through::<TicTacToe>(2, &ops);
    }

    #[test]
    fn whatever_happens_at_a_table_of_three_all_is_right(ops in ops()) {
        holds_through::<Dots>(3, &ops);
    }
}
