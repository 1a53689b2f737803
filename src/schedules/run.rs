//! One run: from step to step, each waited for, until one fails. Acts as the schedule's author and decides nothing else.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::{Snapshot, records::Schedule, step::Step, view::Outcome};
use crate::{
    accounts::{Accounts, Caller, Principal, ServerId, Verb},
    audit::{Actor, Audit, AuditError, Door},
    clock::UnixMillis,
    hosting::{Desired, Event, Exit, Hosting, HostingError, State, View},
};

/// How long a step may take: longer than any shipped game needs, installation included.
const POWER: Duration = Duration::from_secs(30 * 60);
/// The same for a line that is typed.
const TYPED: Duration = Duration::from_secs(60);
/// The same for a snapshot of whatever a server may hold.
const TAKEN: Duration = Duration::from_secs(6 * 3600);
/// Characters of a reason that are kept.
const LONGEST_WHY: usize = 300;

/// What a run stands on.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) hosting: Hosting,
    pub(super) accounts: Accounts,
    pub(super) audit: Audit,
    /// None: this box takes no snapshots.
    pub(super) snapshots: Option<Arc<dyn Snapshot>>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) step: Option<u8>,
    pub(super) why: Option<String>,
}

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("the account that wrote this schedule is gone or disabled")]
    NoAuthor,
    #[error("{author} may not do that any more: {error}")]
    NotAllowed { author: String, error: HostingError },
    #[error("step {number} ({word}): {why}")]
    Step {
        number: u8,
        word: &'static str,
        why: Why,
    },
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Hosting(#[from] HostingError),
    #[error("not done within {}", humantime::format_duration(*.0))]
    Late(Duration),
    #[error("{0}")]
    Snapshot(String),
    #[error("this box takes no snapshots")]
    NoSnapshots,
    #[error("the server failed: {0}")]
    Failed(String),
    #[error("somebody else wants the server {0}")]
    Overruled(&'static str),
}

impl Hands {
    /// Who a schedule acts as, with the rights of now; none when that account is gone or may not come in.
    fn author(&self, schedule: &Schedule) -> Option<Principal> {
        let Some(account) = schedule.author else {
            let of_box = Accounts::local(0, "box".into());
            let actor = Actor {
                door: Door::Box,
                ..of_box.actor.clone()
            };
            return Some(Principal { actor, ..of_box });
        };
        let caller = Caller {
            door: Door::Box,
            from: None,
        };
        self.accounts.vouched(&caller, account)
    }

    /// All steps, in order, until one fails.
    pub(super) async fn perform(self, schedule: Schedule, due: Option<UnixMillis>) -> Ended {
        let failure = match self.author(&schedule) {
            Some(by) => {
                let detail = json!({ "schedule": schedule.id, "name": schedule.name, "due": due });
                let subject = format!("server {}", schedule.server.0);
                let work = self.steps(&by, &schedule);
                let audit = &self.audit;
                let done = audit.run(&by.actor, "schedule.steps", subject, detail, work);
                done.await.err()
            }
            None => Some(Failure::NoAuthor),
        };
        let (server, id) = (schedule.server.0, schedule.id);
        let Some(failure) = failure else {
            tracing::info!(server, schedule = id, "a schedule is done");
            return Ended {
                outcome: Outcome::Done,
                step: None,
                why: None,
            };
        };
        tracing::warn!(server, schedule = id, %failure, "a schedule failed");
        let step = match failure {
            Failure::Step { number, .. } => Some(number),
            _ => None,
        };
        Ended {
            outcome: Outcome::Failed,
            step,
            why: Some(failure.to_string().chars().take(LONGEST_WHY).collect()),
        }
    }

    async fn steps(&self, by: &Principal, schedule: &Schedule) -> Result<(), Failure> {
        // All of it is asked for before the first is done: half a restart is worse than none.
        for verb in verbs(&schedule.steps) {
            let home = self.hosting.home(by, verb, schedule.server);
            home.await.map_err(|error| Failure::NotAllowed {
                author: by.actor.name.clone(),
                error,
            })?;
        }
        for (number, step) in (1..).zip(&schedule.steps) {
            let done = self.step(by, schedule.server, step);
            done.await.map_err(|why| Failure::Step {
                number,
                word: step.word(),
                why,
            })?;
        }
        Ok(())
    }

    async fn step(&self, by: &Principal, server: ServerId, step: &Step) -> Result<(), Why> {
        match step {
            Step::Start => within(POWER, self.power(by, server, Goal::Started)).await,
            Step::Stop => within(POWER, self.power(by, server, Goal::Stopped)).await,
            Step::Restart => within(POWER, self.power(by, server, Goal::Restarted)).await,
            Step::Command(line) => {
                let typed = async { Ok(self.hosting.command(by, server, line).await?) };
                within(TYPED, typed).await
            }
            Step::Snapshot(label) => {
                let snapshots = self.snapshots.as_ref().ok_or(Why::NoSnapshots)?;
                let taken = async {
                    let taken = snapshots.take(by, server, label.as_deref());
                    taken.await.map_err(Why::Snapshot)
                };
                within(TAKEN, taken).await
            }
            Step::Wait(time) => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
        }
    }

    /// Wishes it, and waits for news until it is so.
    async fn power(&self, by: &Principal, server: ServerId, goal: Goal) -> Result<(), Why> {
        let mut news = self.hosting.news();
        let before = self.hosting.get(by, server).await?;
        match goal {
            Goal::Started => self.hosting.start(by, server).await?,
            Goal::Stopped => self.hosting.stop(by, server).await?,
            Goal::Restarted => self.hosting.restart(by, server).await?,
        };
        loop {
            let now = self.hosting.get(by, server).await?;
            if let Some(reached) = goal.reached(&before, &now) {
                return reached;
            }
            loop {
                match news.recv().await {
                    Ok(news) if is_about(&news.event, server) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Err(HostingError::Closed.into()),
                }
            }
        }
    }
}

/// What one must be allowed to write a schedule with these steps, and for each of its runs.
pub(super) fn verbs(steps: &[Step]) -> Vec<Verb> {
    let mut verbs: Vec<_> = steps.iter().filter_map(Step::verb).collect();
    verbs.push(Verb::ServerConfigure);
    verbs.sort_unstable();
    verbs.dedup();
    verbs
}

async fn within(limit: Duration, work: impl Future<Output = Result<(), Why>>) -> Result<(), Why> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or(Err(Why::Late(limit)))
}

fn is_about(event: &Event, server: ServerId) -> bool {
    match event {
        Event::Created { server: view } | Event::Changed { server: view } => view.id == server,
        Event::Deleted { id } => *id == server,
    }
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Started,
    Stopped,
    Restarted,
}

impl Goal {
    /// Whether it is reached, or cannot be any more; `before` is how the server was when it was wished for.
    fn reached(self, before: &View, now: &View) -> Option<Result<(), Why>> {
        let failed = |exit: &Option<Exit>| {
            let reason = exit
                .as_ref()
                .map_or("no reason is known", |exit| &exit.reason);
            Why::Failed(reason.into())
        };
        match (self, now.state) {
            (Self::Stopped, _) if now.desired == Desired::Up => Some(Err(Why::Overruled("up"))),
            (Self::Stopped, State::Stopped | State::Failed) => Some(Ok(())),
            (Self::Started | Self::Restarted, _) if now.desired == Desired::Down => {
                Some(Err(Why::Overruled("down")))
            }
            (Self::Started, State::Running) => Some(Ok(())),
            // What still runs as before has not been restarted yet.
            (Self::Restarted, State::Running) => (now.pid != before.pid).then_some(Ok(())),
            // What has not begun yet shows the old outcome.
            (Self::Started | Self::Restarted, State::Failed) => {
                let fresh = now.exit != before.exit || now.starts != before.starts;
                (fresh || before.state != State::Failed).then(|| Err(failed(&now.exit)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: State, desired: Desired, pid: u32) -> View {
        let view = json!({
            "id": 1, "name": "ada_1", "title": "Tiny", "game": "tiny", "version": "1", "owner": "ada", "owner_id": 1,
            "class": 2, "ports": [], "desired": desired, "state": state, "pid": pid, "uptime_s": null, "starts": pid,
            "exit": null, "retry_at": null, "restart": "always", "settings": {}, "limits": {}, "notices": [],
            "idle": {}, "mounted": true, "players": null, "folder": "/x", "created": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(view).unwrap()
    }

    fn judged(goal: Goal, before: &View, now: &View) -> String {
        match goal.reached(before, now) {
            None => "waits".into(),
            Some(Ok(())) => "done".into(),
            Some(Err(why)) => why.to_string(),
        }
    }

    #[test]
    fn a_step_is_done_when_the_server_is_as_wished_and_not_before() {
        use Desired::{Down, Up};
        let up = view(State::Running, Up, 9);
        let down = view(State::Stopped, Down, 0);
        for (goal, before, now, wanted) in [
            (
                Goal::Started,
                &down,
                view(State::Installing, Up, 0),
                "waits",
            ),
            (Goal::Started, &down, view(State::Starting, Up, 9), "waits"),
            (Goal::Started, &down, view(State::Running, Up, 9), "done"),
            (Goal::Started, &down, view(State::Backoff, Up, 0), "waits"),
            (
                Goal::Started,
                &down,
                view(State::Failed, Up, 0),
                "the server failed: no reason is known",
            ),
            (
                Goal::Started,
                &down,
                view(State::Stopping, Down, 9),
                "somebody else wants the server down",
            ),
            (Goal::Stopped, &up, view(State::Stopping, Down, 9), "waits"),
            (Goal::Stopped, &up, view(State::Stopped, Down, 0), "done"),
            (Goal::Stopped, &up, view(State::Failed, Down, 0), "done"),
            (
                Goal::Stopped,
                &up,
                view(State::Stopping, Up, 9),
                "somebody else wants the server up",
            ),
            (Goal::Restarted, &up, view(State::Running, Up, 9), "waits"),
            (Goal::Restarted, &up, view(State::Stopping, Up, 9), "waits"),
            (Goal::Restarted, &up, view(State::Running, Up, 10), "done"),
            (Goal::Restarted, &down, view(State::Running, Up, 10), "done"),
            (
                Goal::Restarted,
                &up,
                view(State::Stopped, Down, 0),
                "somebody else wants the server down",
            ),
        ] {
            assert_eq!(
                judged(goal, before, &now),
                wanted,
                "{goal:?} {:?}",
                now.state
            );
        }
    }

    #[test]
    fn the_failure_from_before_a_start_is_not_its_outcome() {
        let before = view(State::Failed, Desired::Up, 3);
        assert_eq!(judged(Goal::Started, &before, &before), "waits");
        let again = view(State::Failed, Desired::Up, 4);
        assert!(judged(Goal::Started, &before, &again).starts_with("the server failed"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_fails_by_name() {
        let never = within(POWER, std::future::pending());
        assert_eq!(never.await.unwrap_err().to_string(), "not done within 30m");
    }

    #[test]
    fn each_step_asks_for_its_verb_and_all_for_the_servers_own() {
        let steps = ["wait 5s", "command x", "stop", "snapshot", "start"];
        let steps: Vec<Step> = steps.map(|step| step.parse().unwrap()).into();
        assert_eq!(
            verbs(&steps),
            [
                Verb::ServerPower,
                Verb::ServerConfigure,
                Verb::ConsoleWrite,
                Verb::ServerSnapshot
            ]
        );
        assert_eq!(verbs(&steps[..1]), [Verb::ServerConfigure]);
    }
}
