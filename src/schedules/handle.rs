//! What every door holds: rights are checked here, and each change is recorded before it is made.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{
    Moments, NewSchedule, SchedulePatch, ScheduleRun, ScheduleSkip, ScheduleView, SchedulesError,
    Snapshot,
    records::Schedule,
    run::{Hands, verbs},
    service::{Command, Seen, Service},
    step::Step,
    when::{self, Rhythm},
};
use crate::{
    accounts::{AccountId, Accounts, Principal, ServerId, Verb},
    audit::Audit,
    clock::UnixMillis,
    hosting::Hosting,
    store::Store,
};

/// Steps of one schedule, at most.
const STEPS: usize = 16;
/// Characters of a name, at most.
const LONGEST_NAME: usize = 64;
/// Moments of one preview, at most.
pub(crate) const MOMENTS: u64 = 100;

/// What schedules are told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The zone in which cron texts are read that name none; empty: the system's.
    pub zone: String,
}

/// Cheap to clone; all that a door holds.
#[derive(Clone)]
pub struct Schedules {
    commands: mpsc::Sender<Command>,
    hosting: Hosting,
    accounts: Accounts,
    audit: Audit,
    zone: TimeZone,
    snapshots: bool,
}

/// The handle to share and the task to run. Without `snapshots`, steps that take one are refused.
pub fn open(
    settings: &Settings,
    store: Store,
    hosting: Hosting,
    accounts: Accounts,
    audit: Audit,
    snapshots: Option<Arc<dyn Snapshot>>,
) -> Result<(Schedules, impl Future<Output = ()> + use<>), SchedulesError> {
    let zone = when::zone(&settings.zone).map_err(|why| bad("zone", why))?;
    let (commands, asked) = mpsc::channel(64);
    let schedules = Schedules {
        commands,
        hosting: hosting.clone(),
        accounts: accounts.clone(),
        audit: audit.clone(),
        zone: zone.clone(),
        snapshots: snapshots.is_some(),
    };
    let hands = Hands {
        hosting,
        accounts,
        audit,
        snapshots,
    };
    let service = Service::open(store, zone, hands);
    Ok((schedules, service.run(asked)))
}

fn bad(field: impl Into<String>, why: impl Into<String>) -> SchedulesError {
    SchedulesError::Bad {
        field: field.into(),
        why: why.into(),
    }
}

impl Schedules {
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, SchedulesError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| SchedulesError::Closed)?;
        answer.await.map_err(|_| SchedulesError::Closed)
    }

    /// Records the action, does it, records how it went: to the end, even when whoever asked does not wait for it.
    async fn act<T: Send + 'static>(
        &self,
        by: &Principal,
        action: &'static str,
        server: ServerId,
        detail: Value,
        work: impl Future<Output = Result<T, SchedulesError>> + Send + 'static,
    ) -> Result<T, SchedulesError> {
        let (audit, actor) = (self.audit.clone(), by.actor.clone());
        let subject = format!("server {}", server.0);
        let acting = async move { audit.run(&actor, action, subject, detail, work).await };
        match tokio::spawn(acting).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(SchedulesError::Closed),
            },
        }
    }

    async fn allow(
        &self,
        by: &Principal,
        server: ServerId,
        verbs: impl IntoIterator<Item = Verb>,
    ) -> Result<(), SchedulesError> {
        for verb in verbs {
            self.hosting.home(by, verb, server).await?;
        }
        Ok(())
    }

    /// The schedules of a server, by id.
    pub async fn list(
        &self,
        by: &Principal,
        server: ServerId,
    ) -> Result<Vec<ScheduleView>, SchedulesError> {
        self.allow(by, server, [Verb::ServerView]).await?;
        let seen = self.ask(|reply| Command::List(server, reply)).await?;
        let mut views = Vec::new();
        for seen in seen {
            views.push(self.shown(by, seen).await);
        }
        Ok(views)
    }

    /// One schedule.
    pub async fn get(
        &self,
        by: &Principal,
        server: ServerId,
        id: u64,
    ) -> Result<ScheduleView, SchedulesError> {
        self.allow(by, server, [Verb::ServerView]).await?;
        let seen = self.ask(|reply| Command::Get(server, id, reply)).await??;
        Ok(self.shown(by, seen).await)
    }

    /// Writes a new schedule.
    pub async fn create(
        &self,
        by: &Principal,
        server: ServerId,
        wish: NewSchedule,
    ) -> Result<ScheduleView, SchedulesError> {
        let steps = self.steps(&wish.steps)?;
        self.allow(by, server, verbs(&steps)).await?;
        let now = UnixMillis::now();
        let schedule = Schedule {
            id: 0,
            server,
            name: wish.name.unwrap_or_else(|| summary(&steps)),
            cron: wish.cron.trim().into(),
            zone: wish.zone.filter(|zone| !zone.is_empty()),
            enabled: wish.enabled.unwrap_or(true),
            steps,
            author: by.actor.account.map(AccountId),
            created: now,
            handled: now,
            last: None,
            skip: None,
        };
        let schedule = self.checked(schedule)?;
        let detail = detail(&schedule);
        let schedules = self.clone();
        let schedule = Box::new(schedule);
        let work = async move {
            schedules
                .ask(|reply| Command::Create(schedule, reply))
                .await?
        };
        let seen = self
            .act(by, "schedule.create", server, detail, work)
            .await?;
        Ok(self.shown(by, seen).await)
    }

    /// Changes one; from then on it acts as `by`.
    pub async fn update(
        &self,
        by: &Principal,
        server: ServerId,
        id: u64,
        patch: SchedulePatch,
    ) -> Result<ScheduleView, SchedulesError> {
        self.allow(by, server, [Verb::ServerConfigure]).await?;
        let known = self.ask(|reply| Command::Get(server, id, reply)).await??;
        let known = known.schedule;
        let steps = match &patch.steps {
            Some(steps) => self.steps(steps)?,
            None => known.steps.clone(),
        };
        self.allow(by, server, verbs(&steps)).await?;
        let schedule = self.checked(Schedule {
            name: patch.name.unwrap_or(known.name),
            cron: patch.cron.map_or(known.cron, |cron| cron.trim().into()),
            zone: match patch.zone {
                Some(zone) => Some(zone).filter(|zone| !zone.is_empty()),
                None => known.zone,
            },
            enabled: patch.enabled.unwrap_or(known.enabled),
            steps,
            author: by.actor.account.map(AccountId),
            ..known
        })?;
        let detail = detail(&schedule);
        let schedules = self.clone();
        let schedule = Box::new(schedule);
        let work = async move {
            schedules
                .ask(|reply| Command::Update(schedule, reply))
                .await?
        };
        let seen = self
            .act(by, "schedule.update", server, detail, work)
            .await?;
        Ok(self.shown(by, seen).await)
    }

    /// Deletes one; a run of it that goes on ends with the step that it is at.
    pub async fn delete(
        &self,
        by: &Principal,
        server: ServerId,
        id: u64,
    ) -> Result<(), SchedulesError> {
        self.allow(by, server, [Verb::ServerConfigure]).await?;
        let schedules = self.clone();
        let work = async move {
            schedules
                .ask(|reply| Command::Delete(server, id, reply))
                .await?
        };
        let detail = json!({ "schedule": id });
        self.act(by, "schedule.delete", server, detail, work).await
    }

    /// Runs one now, also one that does not run by itself; returns once that has begun. It acts as its author all the same.
    pub async fn run(
        &self,
        by: &Principal,
        server: ServerId,
        id: u64,
    ) -> Result<ScheduleView, SchedulesError> {
        self.allow(by, server, [Verb::ServerConfigure]).await?;
        let known = self.ask(|reply| Command::Get(server, id, reply)).await??;
        self.allow(by, server, verbs(&known.schedule.steps)).await?;
        let schedules = self.clone();
        let work = async move {
            schedules
                .ask(|reply| Command::Run(server, id, reply))
                .await?
        };
        let detail = json!({ "schedule": id, "name": known.schedule.name });
        let seen = self.act(by, "schedule.run", server, detail, work).await?;
        Ok(self.shown(by, seen).await)
    }

    /// The next `count` moments of a cron text in a zone, before anything is written.
    pub(crate) async fn moments(
        &self,
        by: &Principal,
        server: ServerId,
        cron: &str,
        zone: Option<&str>,
        count: usize,
    ) -> Result<Moments, SchedulesError> {
        self.allow(by, server, [Verb::ServerView]).await?;
        let zone = self.zone(zone.filter(|zone| !zone.is_empty()))?;
        let mut moment = UnixMillis::now();
        let rhythm = Rhythm::read(cron, zone.clone(), moment).map_err(|why| bad("cron", why))?;
        let mut moments = Vec::new();
        while moments.len() < count
            && let Some(next) = rhythm.next(moment)
            && let Some(local) = rhythm.local(next)
        {
            moments.push(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
            moment = next;
        }
        let zone = when::name(&zone).into();
        Ok(Moments { zone, moments })
    }

    fn zone(&self, name: Option<&str>) -> Result<TimeZone, SchedulesError> {
        match name {
            Some(name) => when::zone(name).map_err(|why| bad("zone", why)),
            None => Ok(self.zone.clone()),
        }
    }

    /// The steps of a wish.
    fn steps(&self, texts: &[String]) -> Result<Vec<Step>, SchedulesError> {
        if texts.is_empty() || texts.len() > STEPS {
            return Err(bad("steps", format!("must be 1 to {STEPS}")));
        }
        let read = |(index, text): (usize, &String)| {
            let field = format!("steps[{index}]");
            let step: Step = text.parse().map_err(|why: String| bad(&field, why))?;
            match step {
                Step::Snapshot(_) if !self.snapshots => {
                    Err(bad(field, "this box takes no snapshots"))
                }
                step => Ok(step),
            }
        };
        texts.iter().enumerate().map(read).collect()
    }

    /// Name, zone and cron text are as they may be.
    fn checked(&self, mut schedule: Schedule) -> Result<Schedule, SchedulesError> {
        let name = schedule.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control)
        {
            let why = format!("must be 1 to {LONGEST_NAME} characters on one line");
            return Err(bad("name", why));
        }
        schedule.name = name.into();
        let zone = self.zone(schedule.zone.as_deref())?;
        if schedule.zone.is_some() {
            schedule.zone = Some(when::name(&zone).into());
        }
        let now = UnixMillis::now();
        Rhythm::read(&schedule.cron, zone, now).map_err(|why| bad("cron", why))?;
        Ok(schedule)
    }

    async fn shown(&self, by: &Principal, Seen { schedule, next }: Seen) -> ScheduleView {
        let configure = self
            .hosting
            .home(by, Verb::ServerConfigure, schedule.server);
        let open = configure.await.is_ok();
        let steps = schedule.steps.iter().map(|step| match open {
            true => step.to_string(),
            false => step.concealed(),
        });
        let author = match schedule.author {
            None => "box".into(),
            Some(id) => self.accounts.name_of(id).unwrap_or_else(|| "gone".into()),
        };
        ScheduleView {
            id: schedule.id,
            server: schedule.server,
            steps: steps.collect(),
            name: schedule.name,
            cron: schedule.cron,
            zone: schedule
                .zone
                .unwrap_or_else(|| when::name(&self.zone).into()),
            enabled: schedule.enabled,
            author,
            created: schedule.created,
            next,
            last: schedule.last.map(|run| ScheduleRun {
                due: run.due,
                started: run.started,
                ended: run.ended,
                outcome: run.outcome,
                step: run.step,
                why: run.why,
            }),
            skipped: schedule.skip.map(|skip| ScheduleSkip {
                due: skip.due,
                why: skip.why,
            }),
        }
    }
}

/// What a schedule does, in a few words.
fn summary(steps: &[Step]) -> String {
    let words: Vec<_> = steps.iter().map(Step::word).collect();
    words.join(", ").chars().take(LONGEST_NAME).collect()
}

/// For the audit record, without what may be a password.
fn detail(schedule: &Schedule) -> Value {
    json!({
        "schedule": Some(schedule.id).filter(|id| *id > 0),
        "name": schedule.name,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "enabled": schedule.enabled,
        "steps": schedule.steps.iter().map(Step::concealed).collect::<Vec<_>>(),
    })
}
