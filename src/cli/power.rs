//! Starting and stopping servers, and waiting for the outcome.

use std::{future::Future, time::Duration};

use hyper::Method;

use super::{
    Session,
    args::Powered,
    control::Answer,
    fault::Fault,
    print::note,
    server::find,
    sheet::{news, word},
};
use crate::hosting::{Desired, Exit, State, View};

/// How a server is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// How often it is looked at.
    look: Duration,
    /// How long it may take: longer than any shipped game needs to be ready or to stop.
    settle: Duration,
    /// How long the daemon may be away meanwhile.
    away: Duration,
}

const PATIENCE: Patience = Patience {
    look: Duration::from_millis(200),
    settle: Duration::from_secs(300),
    away: Duration::from_secs(30),
};

/// What can be asked of a server's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Start,
    Stop,
    Restart,
    Kill,
}

impl Power {
    fn route(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
        }
    }

    /// Whether `now` is an outcome, and a good one; `before` is how it was when that was asked.
    fn settled(self, before: &View, now: &View) -> Option<bool> {
        match (self, now.state) {
            (Self::Stop | Self::Kill, State::Stopped | State::Failed) => Some(true),
            (Self::Stop | Self::Kill, _) if now.desired == Desired::Up => Some(false),
            (Self::Start, State::Running) => Some(true),
            // What still runs as before has not been restarted yet.
            (Self::Restart, State::Running) => (now.pid != before.pid).then_some(true),
            // What has not begun yet shows the old outcome.
            (Self::Start | Self::Restart, State::Failed) => {
                let fresh = now.exit != before.exit || now.starts != before.starts;
                (fresh || before.state != State::Failed).then_some(false)
            }
            (Self::Start | Self::Restart, _) if now.desired == Desired::Down => Some(false),
            _ => None,
        }
    }
}

/// Asks, and unless told otherwise waits until the server has settled.
pub(crate) async fn power(session: &Session, who: Powered, power: Power) -> Result<(), Fault> {
    let before = find(session, &who.named.server).await?;
    let path = format!("/servers/{}", before.id.0);
    let asked = session
        .control
        .send(Method::POST, &format!("{path}/{}", power.route()), None)
        .await?;
    if who.waiting.no_wait {
        return session.out.answer(&asked, || Ok(String::new()));
    }
    let (answer, now) = settle(power, &before, PATIENCE, || session.control.get(&path)).await?;
    session.out.answer(&answer, || Ok(String::new()))?;
    match power.settled(&before, &now) {
        Some(true) => Ok(()),
        _ => Err(Fault::Settled {
            name: now.name,
            state: word(now.state).into(),
            reason: now.exit.map(|exit| exit.reason),
        }),
    }
}

/// Looks until the server has settled, telling each change of state.
async fn settle<F: Future<Output = Result<Answer, Fault>>>(
    power: Power,
    before: &View,
    patience: Patience,
    look: impl Fn() -> F,
) -> Result<(Answer, View), Fault> {
    let begun = tokio::time::Instant::now();
    let mut seen = begun;
    let mut told: Option<(State, Option<Exit>)> = None;
    loop {
        match look().await {
            Ok(answer) => {
                seen = tokio::time::Instant::now();
                let now: View = answer.read()?;
                let shows = Some((now.state, now.exit.clone()));
                if told != shows {
                    note(&news(
                        &now,
                        told.as_ref()
                            .and_then(|(_, exit)| exit.as_ref())
                            .or(before.exit.as_ref()),
                    ));
                    told = shows;
                }
                if power.settled(before, &now).is_some() {
                    return Ok((answer, now));
                }
                if begun.elapsed() > patience.settle {
                    return Err(Fault::Unsettled {
                        name: now.name,
                        state: word(now.state).into(),
                        after: patience.settle,
                    });
                }
            }
            // A daemon that is restarted meanwhile carries on with it.
            Err(fault) if fault.passes() && seen.elapsed() < patience.away => {}
            Err(fault) => return Err(fault),
        }
        tokio::time::sleep(patience.look).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sheet::sample;

    #[test]
    fn a_restart_is_settled_only_by_another_process() {
        let before = sample(1, "x", "running");
        let mut now = before.clone();
        assert_eq!(Power::Restart.settled(&before, &now), None);
        assert_eq!(Power::Start.settled(&before, &now), Some(true));
        now.pid = Some(10);
        assert_eq!(Power::Restart.settled(&before, &now), Some(true));
    }

    #[test]
    fn the_failure_from_before_a_start_is_not_its_outcome() {
        let before = sample(1, "x", "failed");
        let mut now = before.clone();
        assert_eq!(Power::Start.settled(&before, &now), None);
        now.starts += 1;
        assert_eq!(Power::Start.settled(&before, &now), Some(false));
        now.state = State::Stopped;
        now.desired = Desired::Down;
        assert_eq!(Power::Start.settled(&before, &now), Some(false));
        assert_eq!(Power::Stop.settled(&before, &now), Some(true));
    }

    #[tokio::test]
    async fn waiting_survives_a_daemon_that_is_away_for_a_moment_but_not_for_good() {
        let hasty = Patience {
            look: Duration::ZERO,
            ..PATIENCE
        };
        let before = sample(1, "x", "starting");
        let looks = std::cell::Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            let answer = match looks.get() {
                1..9 => Err(Fault::Cut),
                9 => Ok(serde_json::to_string(&before).unwrap()),
                _ => Ok(serde_json::to_string(&sample(1, "x", "running")).unwrap()),
            };
            async { answer.map(Answer::from) }
        };
        let (_, now) = settle(Power::Start, &before, hasty, look).await.unwrap();
        assert_eq!(now.state, State::Running);
        let gone = || async { Err(Fault::Cut) };
        let fault = settle(
            Power::Start,
            &before,
            Patience {
                away: Duration::ZERO,
                ..hasty
            },
            gone,
        )
        .await
        .unwrap_err();
        assert!(matches!(fault, Fault::Cut));
        let stuck = || async { Ok(Answer::from(serde_json::to_string(&before).unwrap())) };
        let fault = settle(
            Power::Start,
            &before,
            Patience {
                settle: Duration::ZERO,
                ..hasty
            },
            stuck,
        )
        .await
        .unwrap_err();
        assert!(matches!(fault, Fault::Unsettled { .. }));
    }
}
