//! What becomes of a letter. Pure: time and chance are parameters.

use std::time::Duration;

use super::records::{Letter, State};
use crate::clock::UnixMillis;

/// The wait after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(30);
/// The longest wait, before jitter. Short against the hour that a reset's link lasts.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How long a letter that was given up is kept for administrators, after its link has ended.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Characters that are kept of what a server said.
const WORDS: usize = 200;

/// How long to wait after that many failures in a row. `chance`, from 0 to 1, spreads it by a quarter both ways, so that
/// letters that failed together do not come back together.
pub fn backoff(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
    doubled
        .min(LONGEST)
        .mul_f64(0.75 + 0.5 * chance.clamp(0.0, 1.0))
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it.
    Sent,
    /// The server will never take it.
    Refused(String),
    /// The server does not take it now.
    Failed(String),
    /// The server takes nothing now, or cannot be reached: that is not the letter's fault.
    Down(String),
    /// It was offered, and the answer is missing: the server may have it.
    Uncertain(String),
}

impl Letter {
    /// Whether it is to be tried now. A clock that was set back does not hold it up for longer than the longest wait.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        let soon = now.after(LONGEST.mul_f64(1.25));
        self.state == State::Waiting && (self.next <= now || self.next > soon)
    }

    /// Whether nobody wants it any more.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        self.state == State::GivenUp && now >= self.until.after(KEPT)
    }

    /// Whether what it says is no longer true.
    pub(super) fn is_too_old(&self, now: UnixMillis) -> bool {
        now >= self.until
    }

    /// Its text is about to be offered.
    pub(super) fn hand_over(&mut self) {
        self.state = State::Sending;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// An attempt has ended. False: the letter is done with.
    pub(super) fn end(&mut self, outcome: &Outcome, now: UnixMillis, chance: f64) -> bool {
        // What ended before its text was offered was an attempt, too.
        if self.state == State::Waiting {
            self.attempts = self.attempts.saturating_add(1);
        }
        let (state, words) = match outcome {
            Outcome::Sent => return false,
            Outcome::Refused(words) => (State::GivenUp, words.clone()),
            Outcome::Failed(words) | Outcome::Down(words) => (State::Waiting, words.clone()),
            Outcome::Uncertain(words) => (State::Waiting, format!("{words}; it may have arrived")),
        };
        self.wait(state, &words, now, chance);
        true
    }

    /// After a start of the box: what was being offered when it died may have arrived.
    pub(super) fn recover(&mut self, now: UnixMillis, chance: f64) -> bool {
        let lost = self.state == State::Sending;
        if lost {
            let words = "the box stopped while this was sent; it may have arrived";
            self.wait(State::Waiting, words, now, chance);
        }
        lost
    }

    /// Gives it up when what it says is no longer true. True when that changed something.
    pub(super) fn age(&mut self, now: UnixMillis) -> bool {
        let ends = self.state == State::Waiting && self.is_too_old(now);
        if ends {
            self.state = State::GivenUp;
            let last = self.error.take();
            let last = last.map(|last| format!(": {last}")).unwrap_or_default();
            self.error = Some(format!("not delivered in time{last}"));
        }
        ends
    }

    /// To be tried at once, as if for the first time.
    pub(super) fn again(&mut self, now: UnixMillis) {
        self.state = State::Waiting;
        self.attempts = 0;
        self.next = now;
    }

    fn wait(&mut self, state: State, words: &str, now: UnixMillis, chance: f64) {
        self.state = state;
        self.next = now.after(backoff(self.attempts, chance));
        let hidden = match &self.link {
            Some(link) => words.replace(link.as_str(), "[link]"),
            None => words.into(),
        };
        // Servers wrap lines, and may repeat a part of the link alone.
        let shown = match self.secret() {
            Some(secret) if hidden.contains(secret) => "the server repeated the link".into(),
            _ => hidden,
        };
        let shown = shown.replace(char::is_control, " ");
        self.error = Some(shown.chars().take(WORDS).collect());
    }

    /// The part of the link that nobody may see.
    fn secret(&self) -> Option<&str> {
        let (_, secret) = self.link.as_deref()?.rsplit_once("token=")?;
        (!secret.is_empty()).then_some(secret)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::LetterKind;

    pub(in crate::mail) fn letter() -> Letter {
        Letter {
            id: 1,
            kind: LetterKind::Verify,
            to: "ada@example.org".into(),
            account: Some(1),
            subject: "a subject".into(),
            body: "a body".into(),
            link: Some("http://box/verify?uid=1&token=secret".into()),
            message_id: "<1@box>".into(),
            created: UnixMillis(0),
            until: UnixMillis(4 * 24 * 3600 * 1000),
            state: State::Waiting,
            attempts: 0,
            next: UnixMillis(0),
            error: None,
        }
    }

    #[test]
    fn waits_double_up_to_half_an_hour_and_spread_by_a_quarter() {
        let seconds: Vec<_> = (1..=9).map(|n| backoff(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        assert_eq!(backoff(0, 0.5).as_secs(), 30);
        assert_eq!(backoff(u32::MAX, 2.0).as_secs(), 2250);
        assert_eq!(backoff(7, 0.0).as_secs(), 1350);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_a_letter_up() {
        let mut letter = letter();
        letter.next = UnixMillis(1_000_000_000);
        assert!(letter.is_due(UnixMillis(0)));
        letter.next = UnixMillis(60_000);
        assert!(!letter.is_due(UnixMillis(0)) && letter.is_due(UnixMillis(60_000)));
    }

    #[test]
    fn a_letter_is_given_up_when_its_link_has_ended_and_forgotten_a_week_later() {
        let (mut letter, end) = (letter(), letter().until);
        letter.end(&Outcome::Down("no route".into()), UnixMillis(0), 0.5);
        assert!(!letter.age(UnixMillis(end.0 - 1)) && letter.age(end));
        assert!(!letter.is_due(end) && !letter.is_over(end) && letter.is_over(end.after(KEPT)));
        let error = letter.error.unwrap();
        assert_eq!(error, "not delivered in time: no route");
    }

    #[test]
    fn what_a_server_says_is_kept_on_one_line_in_bounds_and_without_the_link() {
        let mut letter = letter();
        for said in [
            "spam: http://box/verify?uid=1&token=secret",
            "spam: token=3D\r\nsecret",
        ] {
            letter.end(&Outcome::Refused(said.into()), UnixMillis(0), 0.5);
            assert!(!letter.error.as_ref().unwrap().contains("secret"));
        }
        let long = format!("a\r\nb{}", "x".repeat(9999));
        letter.end(&Outcome::Failed(long), UnixMillis(0), 0.5);
        let kept = letter.error.unwrap();
        assert!(kept.starts_with("a  b") && kept.len() == WORDS);
    }

    /// What may happen to a letter and the box, one after the other.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        /// An attempt that the server answers so.
        Answer(u8),
        /// The box dies: before the mark, after it, after the server's 250, or after the commit.
        Crash(u8),
        /// Time passes.
        Wait(u32),
        /// An administrator asks for it.
        Retry,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => (0u8..6).prop_map(Event::Answer),
            2 => (0u8..4).prop_map(Event::Crash),
            2 => (0u32..7200).prop_map(Event::Wait),
            1 => Just(Event::Retry),
        ];
        prop::collection::vec(event, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The stored letter, the server's copy, and all that can come between them.
        #[test]
        fn nothing_is_lost_and_nothing_is_sent_twice_but_where_nobody_could_know(events in events()) {
            let mut stored = Some(letter());
            let (mut now, mut arrived, mut unknown) = (UnixMillis(0), 0, 0);
            for event in events {
                let Some(mut letter) = stored.take() else { break };
                match event {
                    Event::Wait(seconds) => now = now.after(Duration::from_secs(seconds.into())),
                    Event::Retry => letter.again(now),
                    // An attempt is made only of what is due.
                    Event::Answer(_) | Event::Crash(_) if !letter.is_due(now) => {}
                    Event::Answer(answer) => {
                        let words = String::from("words");
                        let outcome = match answer {
                            0 => Outcome::Down(words),
                            1 => Outcome::Failed(words),
                            2 => Outcome::Refused(words),
                            3 => Outcome::Sent,
                            _ => Outcome::Uncertain(words),
                        };
                        if answer > 0 {
                            letter.hand_over();
                        }
                        // Of those without an answer, one has arrived.
                        arrived += u32::from(answer == 3 || answer == 4);
                        unknown += u32::from(answer >= 4);
                        let refused = answer == 2;
                        let before = letter.message_id.clone();
                        if !letter.end(&outcome, now, 0.5) {
                            prop_assert_eq!(answer, 3);
                            continue;
                        }
                        prop_assert_eq!(&letter.message_id, &before);
                        prop_assert_eq!(letter.state == State::GivenUp, refused);
                    }
                    Event::Crash(0) => prop_assert!(!letter.recover(now, 0.5)),
                    Event::Crash(3) => {
                        arrived += 1;
                        continue;
                    }
                    Event::Crash(when) => {
                        letter.hand_over();
                        arrived += u32::from(when == 2);
                        unknown += 1;
                        prop_assert!(letter.recover(now, 0.5));
                    }
                }
                // It is always to be tried again, and soon, unless it was refused.
                let soon = now.after(LONGEST * 2);
                prop_assert!(letter.is_due(soon) || letter.state == State::GivenUp);
                stored = Some(letter);
            }
            prop_assert!(stored.is_some() || arrived > 0, "lost");
            prop_assert!(arrived <= 1 + unknown, "{} arrived, {} unknown", arrived, unknown);
        }
    }
}
