//! The owning task: it alone changes schedules, and writes each change down before it acts upon it.

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};

use super::{
    SchedulesError,
    records::{Run, SCHEDULES, Schedule, Skip},
    run::{Ended, Hands},
    state::{Agenda, Due},
    view::Outcome,
    when::{self, Rhythm},
};
use crate::{
    accounts::{Accounts, ServerId},
    clock::UnixMillis,
    hosting::Event,
    store::{Store, StoreError},
};

/// Schedules of one server, at most.
pub(super) const MOST: usize = 32;
/// The wall clock may be set while we sleep: it is looked at so often at least.
const LOOK: Duration = Duration::from_secs(20);
/// Records in one transaction, at most.
const TOGETHER: usize = 64;

pub(super) type Reply<T> = oneshot::Sender<Result<T, SchedulesError>>;

/// What the handle asks.
pub(super) enum Command {
    List(ServerId, oneshot::Sender<Vec<Seen>>),
    Get(ServerId, u64, Reply<Seen>),
    /// A new one; its id is given here.
    Create(Box<Schedule>, Reply<Seen>),
    /// One that was changed: what it does and when, but not how far it has got.
    Update(Box<Schedule>, Reply<Seen>),
    Delete(ServerId, u64, Reply<()>),
    Run(ServerId, u64, Reply<Seen>),
}

/// A schedule, and when it is due next.
pub(super) struct Seen {
    pub(super) schedule: Schedule,
    pub(super) next: Option<UnixMillis>,
}

pub(super) struct Service {
    pub(super) store: Store,
    pub(super) zone: TimeZone,
    pub(super) hands: Hands,
    schedules: BTreeMap<u64, Schedule>,
    agenda: Agenda,
    runs: JoinSet<(u64, Ended)>,
    /// To end the run of a schedule that is deleted.
    going: BTreeMap<u64, AbortHandle>,
}

impl Service {
    pub(super) fn open(store: Store, zone: TimeZone, hands: Hands) -> Self {
        let mut service = Self {
            store,
            zone,
            hands,
            schedules: BTreeMap::new(),
            agenda: Agenda::default(),
            runs: JoinSet::new(),
            going: BTreeMap::new(),
        };
        for record in service.store.scan(SCHEDULES, b"") {
            match record {
                Ok((_, schedule)) => service.take(schedule),
                Err(error) => {
                    tracing::error!(%error, "a schedule cannot be read; the others can");
                }
            }
        }
        service
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut news = self.hands.hosting.news();
        self.mend().await;
        self.sweep().await;
        loop {
            let now = UnixMillis::now();
            self.look(now).await;
            let wake = self.agenda.wake().map_or(LOOK, |wake| wake.since(now));
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.answer(command).await,
                    None => return,
                },
                Some(ended) = self.runs.join_next() => self.ended(ended).await,
                news = news.recv() => match news {
                    Ok(news) => {
                        if let Event::Deleted { id } = news.event {
                            self.forget(id).await;
                        }
                    }
                    Err(RecvError::Lagged(_)) => self.sweep().await,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(wake.clamp(Duration::from_millis(1), LOOK)) => {}
            }
        }
    }

    /// A schedule as it is written now.
    fn take(&mut self, schedule: Schedule) {
        let rhythm = schedule.enabled.then(|| self.rhythm(&schedule)).flatten();
        self.agenda.put(schedule.id, rhythm, schedule.handled);
        self.schedules.insert(schedule.id, schedule);
    }

    fn rhythm(&self, schedule: &Schedule) -> Option<Rhythm> {
        let zone = match &schedule.zone {
            Some(name) => when::zone(name),
            None => Ok(self.zone.clone()),
        };
        let read = zone.and_then(|zone| Rhythm::read(&schedule.cron, zone, schedule.handled));
        read.inspect_err(|why| {
            let (server, id) = (schedule.server.0, schedule.id);
            tracing::error!(server, schedule = id, %why, "a schedule does not run any more");
        })
        .ok()
    }

    /// What the end of the last daemon cut short is not taken up again.
    async fn mend(&mut self) {
        let running = |run: &Run| run.outcome == Outcome::Running;
        let cut = self
            .schedules
            .values()
            .filter(|one| one.last.as_ref().is_some_and(running));
        let cut: Vec<Schedule> = cut.cloned().collect();
        for mut schedule in cut {
            let (server, id) = (schedule.server.0, schedule.id);
            tracing::warn!(
                server,
                schedule = id,
                "a schedule was interrupted by the daemon's end"
            );
            if let Some(run) = &mut schedule.last {
                run.outcome = Outcome::Interrupted;
                run.ended = Some(UnixMillis::now());
            }
            self.note(schedule).await;
        }
    }

    /// Forgets the schedules of servers that are gone.
    async fn sweep(&mut self) {
        let watcher = Accounts::local(0, "box".into());
        let Ok(servers) = self.hands.hosting.list(&watcher).await else {
            return; // shutting down
        };
        let mut gone: Vec<_> = self.schedules.values().map(|one| one.server).collect();
        gone.retain(|id| !servers.iter().any(|server| server.id == *id));
        gone.dedup();
        for server in gone {
            self.forget(server).await;
        }
    }

    /// A server is gone, and so is what it did by the clock.
    async fn forget(&mut self, server: ServerId) {
        let of_server = self.schedules.values().filter(|one| one.server == server);
        for id in of_server.map(|one| one.id).collect::<Vec<_>>() {
            if let Err(error) = self.delete(server, id).await {
                tracing::error!(server = server.0, schedule = id, %error, "a deleted server's schedule cannot be deleted");
            }
        }
    }

    // What is due.

    async fn look(&mut self, now: UnixMillis) {
        let all = self.agenda.look(now);
        for due in all.chunks(TOGETHER) {
            let changed: Vec<_> = due.iter().filter_map(|due| self.begun(due, now)).collect();
            if let Err(error) = write(&self.store, &changed).await {
                // It stays due, and is tried again as long as it is not too late.
                tracing::error!(%error, "schedules that are due cannot be recorded, and so not run");
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
            for (due, schedule) in due.iter().zip(changed) {
                self.agenda.settle(due, now);
                if let Some((first, why)) = due.skip {
                    let (server, id) = (schedule.server.0, schedule.id);
                    tracing::warn!(server, schedule = id, since = %first, ?why, "a schedule was skipped");
                }
                if let Some(run) = due.run {
                    self.go(&schedule, Some(run));
                }
                self.schedules.insert(schedule.id, schedule);
            }
        }
    }

    /// How a schedule is to be recorded when what is due of it is dealt with.
    fn begun(&self, due: &Due, now: UnixMillis) -> Option<Schedule> {
        let mut schedule = self.schedules.get(&due.id)?.clone();
        schedule.handled = schedule.handled.max(now);
        if let Some((due, why)) = due.skip {
            schedule.skip = Some(Skip { due, why });
        }
        if due.run.is_some() {
            schedule.last = Some(Run::begun(due.run, now));
        }
        Some(schedule)
    }

    fn go(&mut self, schedule: &Schedule, due: Option<UnixMillis>) {
        let (id, run) = (
            schedule.id,
            self.hands.clone().perform(schedule.clone(), due),
        );
        let handle = self.runs.spawn(async move { (id, run.await) });
        self.going.insert(id, handle);
    }

    async fn ended(&mut self, ended: Result<(u64, Ended), tokio::task::JoinError>) {
        let (id, ended) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return, // its schedule was deleted
        };
        self.going.remove(&id);
        self.agenda.busy(id, false);
        let Some(mut schedule) = self.schedules.get(&id).cloned() else {
            return;
        };
        if let Some(run) = &mut schedule.last {
            run.ended = Some(UnixMillis::now());
            run.outcome = ended.outcome;
            run.step = ended.step;
            run.why = ended.why;
        }
        self.note(schedule).await;
    }

    /// Records how it went; it went so even where that cannot be recorded.
    async fn note(&mut self, schedule: Schedule) {
        if let Err(error) = write(&self.store, std::slice::from_ref(&schedule)).await {
            let (server, id) = (schedule.server.0, schedule.id);
            tracing::error!(server, schedule = id, %error, "how a schedule went cannot be recorded");
        }
        self.schedules.insert(schedule.id, schedule);
    }

    // What is asked.

    async fn answer(&mut self, command: Command) {
        // Who asked may have gone meanwhile; then nobody needs the answer.
        match command {
            Command::List(server, reply) => {
                let of_server = self.schedules.values().filter(|one| one.server == server);
                reply
                    .send(of_server.map(|one| self.seen(one)).collect())
                    .ok();
            }
            Command::Get(server, id, reply) => {
                let found = self.find(server, id).map(|schedule| self.seen(schedule));
                reply.send(found).ok();
            }
            Command::Create(schedule, reply) => {
                reply.send(self.create(*schedule).await).ok();
            }
            Command::Update(schedule, reply) => {
                reply.send(self.update(*schedule).await).ok();
            }
            Command::Delete(server, id, reply) => {
                reply.send(self.delete(server, id).await).ok();
            }
            Command::Run(server, id, reply) => {
                reply.send(self.run_now(server, id).await).ok();
            }
        }
    }

    fn seen(&self, schedule: &Schedule) -> Seen {
        Seen {
            schedule: schedule.clone(),
            next: self.agenda.next(schedule.id),
        }
    }

    fn find(&self, server: ServerId, id: u64) -> Result<&Schedule, SchedulesError> {
        let found = self.schedules.get(&id);
        let of_server = found.filter(|schedule| schedule.server == server);
        let server = server.0;
        of_server.ok_or(SchedulesError::NoSuchSchedule { server, id })
    }

    async fn create(&mut self, mut schedule: Schedule) -> Result<Seen, SchedulesError> {
        let server = schedule.server;
        let of_server = self.schedules.values().filter(|one| one.server == server);
        if of_server.count() >= MOST {
            let (server, most) = (server.0, MOST);
            return Err(SchedulesError::TooMany { server, most });
        }
        let schedule = self
            .store
            .write(|tx| {
                schedule.id = tx.next_id("schedule")?;
                tx.put(SCHEDULES, schedule.key(), &schedule)?;
                Ok::<_, StoreError>(schedule)
            })
            .await?;
        self.take(schedule.clone());
        Ok(self.seen(&schedule))
    }

    async fn update(&mut self, wish: Schedule) -> Result<Seen, SchedulesError> {
        let known = self.find(wish.server, wish.id)?;
        let same =
            (&known.cron, &known.zone, known.enabled) == (&wish.cron, &wish.zone, wish.enabled);
        // What was due by another text, or while it did not run by itself, is not due by this one.
        let handled = match same {
            true => known.handled,
            false => known.handled.max(UnixMillis::now()),
        };
        let schedule = Schedule {
            handled,
            last: known.last.clone(),
            skip: known.skip,
            ..wish
        };
        write(&self.store, std::slice::from_ref(&schedule)).await?;
        self.take(schedule.clone());
        Ok(self.seen(&schedule))
    }

    async fn delete(&mut self, server: ServerId, id: u64) -> Result<(), SchedulesError> {
        let key = self.find(server, id)?.key();
        let deleted = self.store.write(|tx| tx.delete(SCHEDULES, key));
        deleted.await.map_err(SchedulesError::Store)?;
        self.schedules.remove(&id);
        self.agenda.remove(id);
        if let Some(run) = self.going.remove(&id) {
            run.abort();
        }
        Ok(())
    }

    async fn run_now(&mut self, server: ServerId, id: u64) -> Result<Seen, SchedulesError> {
        let mut schedule = self.find(server, id)?.clone();
        if self.going.contains_key(&id) {
            return Err(SchedulesError::Running(id));
        }
        schedule.last = Some(Run::begun(None, UnixMillis::now()));
        write(&self.store, std::slice::from_ref(&schedule)).await?;
        self.agenda.busy(id, true);
        self.go(&schedule, None);
        self.schedules.insert(id, schedule.clone());
        Ok(self.seen(&schedule))
    }
}

impl Run {
    fn begun(due: Option<UnixMillis>, now: UnixMillis) -> Self {
        Self {
            due,
            started: now,
            ended: None,
            outcome: Outcome::Running,
            step: None,
            why: None,
        }
    }
}

async fn write(store: &Store, schedules: &[Schedule]) -> Result<(), StoreError> {
    store
        .write(|tx| {
            for schedule in schedules {
                tx.put(SCHEDULES, schedule.key(), schedule)?;
            }
            Ok(())
        })
        .await
}
