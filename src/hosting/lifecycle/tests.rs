//! Lives in any order of wishes and outcomes.

use super::*;
use proptest::prelude::*;

/// The world outside: answers each effect with one of the events that it allows.
#[derive(Default)]
struct World {
    keeper: bool,
    /// Launches, looks, sweeps, moves and ticks that are not answered yet.
    pending: Vec<Effect>,
    launches: usize,
}

impl World {
    fn take(&mut self, turned: bool, effect: Option<Effect>) {
        if turned {
            self.pending.retain(|&pending| pending != Effect::Later);
        }
        match effect {
            Some(Effect::Launch) => {
                assert!(!self.keeper, "launched while a keeper lives");
                assert!(
                    !self.pending.contains(&Effect::Launch),
                    "launched while a launch is under way"
                );
                self.launches += 1;
                self.pending.push(Effect::Launch);
            }
            Some(Effect::Move) => {
                let busy = [
                    Effect::Look,
                    Effect::Launch,
                    Effect::Sweep,
                    Effect::Mount,
                    Effect::Unmount,
                ];
                let busy = self.pending.iter().any(|effect| busy.contains(effect));
                assert!(!self.keeper && !busy, "moved while it may run");
                self.pending.push(Effect::Move);
            }
            Some(
                effect @ (Effect::Look
                | Effect::Sweep
                | Effect::Later
                | Effect::Mount
                | Effect::Unmount
                | Effect::Stop
                | Effect::Kill),
            ) => {
                self.pending.push(effect);
            }
            Some(Effect::Cancel) | None => {}
        }
    }

    /// The event for the `n`th thing that may happen next; `luck` chooses among its outcomes.
    fn event(&mut self, n: usize, luck: u8) -> Option<Event> {
        if self.pending.is_empty() {
            // A keeper may end by itself at any time.
            let end = match luck % 8 {
                0 => End::GaveUp,
                1 => End::Died { young: true },
                2 => End::Died { young: false },
                _ => return None,
            };
            return std::mem::take(&mut self.keeper).then_some(Event::Lost(end));
        }
        let effect = self.pending.remove(n % self.pending.len());
        Some(match effect {
            Effect::Look if self.keeper && luck.is_multiple_of(4) => Event::Unreachable,
            Effect::Look if self.keeper => Event::FoundAlive,
            Effect::Look => {
                [Event::FoundDown, Event::FoundFailed, Event::FoundDead][usize::from(luck % 3)]
            }
            Effect::Launch if luck.is_multiple_of(3) => Event::Unlaunched,
            Effect::Launch if luck.is_multiple_of(5) => Event::Hindered,
            Effect::Launch => {
                self.keeper = true;
                if luck.is_multiple_of(7) {
                    Event::Unreachable
                } else {
                    Event::Launched
                }
            }
            Effect::Stop | Effect::Kill => {
                if !std::mem::take(&mut self.keeper) {
                    return None;
                }
                let died = luck.is_multiple_of(5);
                Event::Lost(if died {
                    End::Died { young: false }
                } else {
                    End::Stopped
                })
            }
            Effect::Sweep if luck.is_multiple_of(5) => Event::Unswept,
            Effect::Sweep => Event::Swept,
            Effect::Move if luck.is_multiple_of(3) => Event::Unmoved,
            Effect::Move => Event::Moved,
            Effect::Mount => Event::Mounted,
            Effect::Unmount => Event::Unmounted,
            Effect::Later => Event::Tick,
            Effect::Cancel => return None,
        })
    }
}

fn wish() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => Just(Event::Start),
        4 => Just(Event::Stop),
        2 => Just(Event::Restart),
        2 => Just(Event::Kill),
        1 => Just(Event::Delete),
        2 => Just(Event::Mount),
        2 => Just(Event::Unmount),
    ]
}

/// Lets the world answer until nothing more is asked of it.
fn rest(course: &mut Course, world: &mut World) {
    for _ in 0..1000 {
        if world.pending.is_empty() {
            return;
        }
        if let Some(event) = world.event(0, 1) {
            let (next, effect) = course.step(event);
            world.take(next.life != course.life, effect);
            *course = next;
        }
    }
    panic!("it never comes to rest: {course:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Never two keepers; and whatever happened, in the end it is what was wanted last.
    #[test]
    fn the_last_wish_is_what_it_comes_to(
        keeper in any::<bool>(),
        up in any::<bool>(),
        steps in prop::collection::vec((prop::option::weighted(0.4, wish()), any::<usize>(), any::<u8>()), 0..60),
    ) {
        let want = if up { Want::Up } else { Want::Down };
        let mut course = Course { want, life: Life::Looking };
        let mut world = World { keeper, pending: vec![Effect::Look], launches: 0 };
        for (wish, n, luck) in steps {
            let Some(event) = wish.or_else(|| world.event(n, luck)) else { continue };
            let (next, effect) = course.step(event);
            world.take(next.life != course.life, effect);
            course = next;
        }
        rest(&mut course, &mut world);
        match course.want {
            Want::Up => prop_assert!(matches!(course.life, Life::Kept | Life::Failed), "{course:?}"),
            Want::Down => prop_assert_eq!(course.life, Life::Down),
            Want::Gone => prop_assert_eq!(course.life, Life::Gone),
        }
        prop_assert_eq!(world.keeper, course.life == Life::Kept);
    }
}

fn after(life: Life, want: Want, events: &[Event]) -> (Course, Vec<Effect>) {
    let mut course = Course { want, life };
    let mut effects = Vec::new();
    for &event in events {
        let (next, effect) = course.step(event);
        course = next;
        effects.extend(effect);
    }
    (course, effects)
}

#[test]
fn starting_twice_at_once_is_one_start() {
    let (course, effects) = after(Life::Down, Want::Down, &[Event::Start, Event::Start]);
    assert_eq!(
        (course.life, effects),
        (Life::Launching, vec![Effect::Launch])
    );
}

#[test]
fn a_start_while_mounting_waits_for_it_and_a_stop_ends_it() {
    let mount = [Event::Mount, Event::Start, Event::Mounted];
    let (course, effects) = after(Life::Down, Want::Down, &mount);
    assert_eq!(course.life, Life::Launching);
    assert_eq!(effects, [Effect::Mount, Effect::Launch]);
    let stop = [Event::Mount, Event::Stop, Event::Mounted];
    let (course, effects) = after(Life::Down, Want::Down, &stop);
    assert_eq!(course.life, Life::Down);
    assert_eq!(effects, [Effect::Mount, Effect::Cancel]);
}

#[test]
fn nothing_is_given_back_while_something_may_run() {
    for life in [Life::Looking, Life::Launching, Life::Kept, Life::Ending] {
        let (course, effects) = after(life, Want::Up, &[Event::Unmount]);
        assert_eq!((course.life, effects), (life, vec![]));
    }
}

#[test]
fn a_start_while_stopping_is_done_after_the_stop() {
    let lost = Event::Lost(End::Stopped);
    let (course, effects) = after(Life::Kept, Want::Up, &[Event::Stop, Event::Start, lost]);
    assert_eq!(course.life, Life::Launching);
    assert_eq!(effects, [Effect::Stop, Effect::Launch]);
}

#[test]
fn a_stop_during_a_start_wins() {
    let (course, effects) = after(
        Life::Down,
        Want::Down,
        &[Event::Start, Event::Stop, Event::Launched],
    );
    assert_eq!(course.life, Life::Ending);
    assert_eq!(effects, [Effect::Launch, Effect::Cancel, Effect::Stop]);
}

#[test]
fn a_keeper_that_died_is_replaced_at_once_and_one_that_died_young_a_second_later() {
    let died = |young| Event::Lost(End::Died { young });
    assert_eq!(
        after(Life::Kept, Want::Up, &[died(false)]).1,
        [Effect::Launch]
    );
    assert_eq!(
        after(Life::Kept, Want::Up, &[died(true), Event::Tick]).1,
        [Effect::Later, Effect::Launch]
    );
}

#[test]
fn a_keeper_that_may_live_is_looked_for_before_anything_is_launched_or_moved() {
    let (course, effects) = after(
        Life::Down,
        Want::Down,
        &[Event::Start, Event::Unreachable, Event::Delete, Event::Tick],
    );
    assert_eq!(course.life, Life::Looking);
    assert_eq!(effects, [Effect::Launch, Effect::Later, Effect::Look]);
    let died = Event::Lost(End::Died { young: false });
    let (course, effects) = after(Life::Ending, Want::Down, &[died, Event::Unswept]);
    assert_eq!(course.life, Life::Looking);
    assert_eq!(effects, [Effect::Sweep, Effect::Later]);
}

#[test]
fn what_the_box_hindered_is_tried_again_until_somebody_stops_it() {
    let (course, effects) = after(
        Life::Launching,
        Want::Up,
        &[Event::Hindered, Event::Tick, Event::Hindered, Event::Stop],
    );
    assert_eq!(course.life, Life::Sweeping);
    use Effect::*;
    assert_eq!(effects, [Later, Launch, Later, Sweep]);
}

#[test]
fn what_policy_gave_up_stays_failed_over_a_restart_of_the_daemon() {
    let (course, effects) = after(Life::Looking, Want::Up, &[Event::FoundFailed]);
    assert_eq!((course.life, effects), (Life::Failed, vec![]));
}
