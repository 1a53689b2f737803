//! The verbs around schedules.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Session,
    args::{Planned, Schedule},
    fault::Fault,
    print::{Cell, Colour, Table, note},
    server::find,
    text,
};
use crate::{
    hosting::View,
    schedules::{Outcome, ScheduleRun, ScheduleView, Why},
};

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(300);

pub(crate) async fn run(session: &Session, verb: Schedule) -> Result<(), Fault> {
    match verb {
        Schedule::List(named) => list(session, &find(session, &named.server).await?).await,
        Schedule::Add {
            named,
            cron,
            steps,
            name,
            zone,
            disabled,
        } => {
            let wish = json!({
                "name": name, "cron": cron, "zone": zone, "steps": steps, "enabled": !disabled,
            });
            let server = find(session, &named.server).await?;
            written(session, Method::POST, &place(&server, ""), &wish).await
        }
        Schedule::Set {
            planned,
            steps,
            cron,
            name,
            zone,
            enable,
            disable,
        } => {
            let patch = json!({
                "name": name, "cron": cron, "zone": zone,
                "steps": (!steps.is_empty()).then_some(steps),
                "enabled": (enable || disable).then_some(enable),
            });
            let path = path(session, &planned).await?;
            written(session, Method::PATCH, &path, &patch).await
        }
        Schedule::Delete(planned) => {
            let path = path(session, &planned).await?;
            let answer = session.control.send(Method::DELETE, &path, None).await?;
            session.out.answer(&answer, || {
                note(&format!("deleted schedule {}", planned.id));
                Ok(String::new())
            })
        }
        Schedule::Run { planned, no_wait } => go(session, &planned, no_wait).await,
    }
}

fn place(server: &View, below: &str) -> String {
    format!("/servers/{}/schedules{below}", server.id.0)
}

async fn path(session: &Session, planned: &Planned) -> Result<String, Fault> {
    let server = find(session, &planned.named.server).await?;
    Ok(place(&server, &format!("/{}", planned.id)))
}

async fn list(session: &Session, server: &View) -> Result<(), Fault> {
    let answer = session.control.get(&place(server, "")).await?;
    session.out.answer(&answer, || {
        Ok(table(&answer.read::<Vec<ScheduleView>>()?).render(session.out.colour))
    })
}

fn table(schedules: &[ScheduleView]) -> Table {
    let mut table = Table::new(&["ID", "NAME", "WHEN", "ZONE", "NEXT", "AS", "LAST", "STEPS"]);
    for schedule in schedules {
        table.row([
            Cell::new(schedule.id),
            Cell::new(&schedule.name),
            Cell::new(&schedule.cron),
            Cell::new(&schedule.zone),
            match (schedule.enabled, schedule.next) {
                (false, _) => Cell::coloured("disabled", Colour::Quiet),
                (true, next) => Cell::maybe(next),
            },
            Cell::new(&schedule.author),
            last(schedule),
            Cell::new(schedule.steps.join("; ")),
        ]);
    }
    table
}

/// How it last went, or why it did not, whichever is newer.
fn last(schedule: &ScheduleView) -> Cell {
    let skipped = schedule.skipped.map(|skip| match skip.why {
        Why::Missed => (skip.due, format!("missed at {}", skip.due)),
        Why::Busy => (
            skip.due,
            format!("skipped at {}: the run before went on", skip.due),
        ),
    });
    match (&schedule.last, skipped) {
        (Some(run), Some((due, said))) if due > run.started => Cell::coloured(said, Colour::Busy),
        (Some(run), _) => Cell::coloured(told(run), colour(run.outcome)),
        (None, Some((_, said))) => Cell::coloured(said, Colour::Busy),
        (None, None) => Cell::maybe(None::<u8>),
    }
}

fn told(run: &ScheduleRun) -> String {
    let how = match run.outcome {
        Outcome::Running => "running",
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted by the daemon's end",
    };
    match &run.why {
        Some(why) => format!("{how}: {why}"),
        None => how.into(),
    }
}

fn colour(outcome: Outcome) -> Colour {
    match outcome {
        Outcome::Running => Colour::Busy,
        Outcome::Done => Colour::Good,
        Outcome::Failed | Outcome::Interrupted => Colour::Bad,
    }
}

async fn written(session: &Session, method: Method, path: &str, wish: &Value) -> Result<(), Fault> {
    let answer = session
        .control
        .send(method.clone(), path, Some(wish))
        .await?;
    session.out.answer(&answer, || {
        let schedule: ScheduleView = answer.read()?;
        match (schedule.enabled, schedule.next) {
            (true, Some(next)) => note(&format!(
                "runs next at {next} (`{}` in {})",
                text::plain(&schedule.cron),
                text::plain(&schedule.zone)
            )),
            _ => note("does not run by itself"),
        }
        Ok(match method {
            Method::POST => format!("{}\n", schedule.id),
            _ => String::new(),
        })
    })
}

async fn go(session: &Session, planned: &Planned, no_wait: bool) -> Result<(), Fault> {
    let path = path(session, planned).await?;
    let mut answer = session
        .control
        .send(Method::POST, &format!("{path}/run"), None)
        .await?;
    let begun = answer.read::<ScheduleView>()?.last.map(|run| run.started);
    loop {
        let schedule: ScheduleView = answer.read()?;
        let goes_on =
            |run: &ScheduleRun| run.outcome == Outcome::Running && Some(run.started) == begun;
        if no_wait || !schedule.last.as_ref().is_some_and(goes_on) {
            session.out.answer(&answer, || Ok(String::new()))?;
            return match schedule.last {
                Some(run) if matches!(run.outcome, Outcome::Failed | Outcome::Interrupted) => {
                    Err(Fault::Unfinished {
                        name: schedule.name,
                        how: told(&run),
                    })
                }
                _ => Ok(()),
            };
        }
        tokio::time::sleep(LOOK).await;
        answer = session.control.get(&path).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(more: Value) -> ScheduleView {
        let mut schedule = json!({
            "id": 4, "server": 3, "name": "nightly", "cron": "0 4 * * *", "zone": "UTC", "enabled": true,
            "steps": ["stop", "wait 5s", "start"], "author": "ada", "created": "2026-01-01T00:00:00Z",
            "next": "2026-01-02T04:00:00Z", "last": null, "skipped": null,
        });
        let fields = more.as_object().unwrap().clone();
        schedule.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(schedule).unwrap()
    }

    #[test]
    fn a_list_shows_when_it_runs_next_and_how_it_last_went() {
        let run = json!({
            "due": "2026-01-01T04:00:00Z", "started": "2026-01-01T04:00:00Z", "ended": "2026-01-01T04:01:00Z",
            "outcome": "failed", "step": 3, "why": "step 3 (start): no\x1b",
        });
        let missed = json!({ "due": "2026-01-01T03:00:00Z", "why": "missed" });
        let busy = json!({ "due": "2026-01-01T05:00:00Z", "why": "busy" });
        for (more, wanted) in [
            (json!({}), "ada  -"),
            (json!({ "enabled": false, "next": null }), "disabled"),
            (
                json!({ "last": run, "skipped": missed }),
                "failed: step 3 (start): no\\x1b",
            ),
            (
                json!({ "last": run, "skipped": busy }),
                "skipped at 2026-01-01T05:00:00.000Z: the run before went on",
            ),
            (
                json!({ "skipped": missed }),
                "missed at 2026-01-01T03:00:00.000Z",
            ),
        ] {
            let shown = table(&[schedule(more)]).render(false);
            assert!(
                shown.contains(wanted) && shown.contains("stop; wait 5s; start"),
                "{wanted}: {shown}"
            );
        }
    }
}
