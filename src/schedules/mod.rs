//! Schedules: what a server does by the clock. Cron texts in a time zone, and steps that wait for each other.
//!
//! Owns the table `schedule`. Refuses to know how anything is done: a run asks hosting (and whoever takes snapshots)
//! as the person who wrote the schedule would, with the rights which that person has at that moment.
//!
//! ```text
//!  doors ──► Schedules (handle: rights, audit) ──► service (one task) ──► store: written before it is acted upon
//!                                                   │    ▲
//!                  wall clock ──► agenda (state.rs) ┘    └── how it ended ◄── run (one task each)
//!                                 what is due, what was missed                 │ step, wait, step, wait
//!                                                                              ▼
//!                                                            hosting: start, stop, restart, command; snapshots
//! ```
//!
//! - **Due** is what the cron text says in its zone (`when`); the record notes up to which moment all of it was dealt
//!   with, before anything is done. So nothing runs twice, whatever becomes of the daemon.
//! - **Missed** (the box was off, its clock was set forward): of what was due in the last quarter of an hour the newest
//!   runs, everything else is skipped, and the record says so. A clock that is set back by less than a day is waited out.
//! - **A run goes from step to step**, and the first that fails or takes too long is its last. While it goes on, what
//!   comes due is skipped. The end of the daemon ends its runs: they are recorded as interrupted, and not taken up again.
//! - **Whoever last wrote a schedule** is who it acts as, through [`Door::Box`](crate::audit::Door::Box).

mod error;
mod handle;
mod records;
mod run;
mod service;
mod state;
mod step;
mod view;
pub(crate) mod when;

use futures_util::future::BoxFuture;

pub use error::SchedulesError;
pub(crate) use handle::MOMENTS;
pub use handle::{Schedules, Settings, open};
pub(crate) use view::Moments;
pub use view::{NewSchedule, Outcome, SchedulePatch, ScheduleRun, ScheduleSkip, ScheduleView, Why};

use crate::{
    accounts::{Principal, ServerId},
    store::Catalog,
};

/// Takes snapshots of servers, for the step of that name.
pub trait Snapshot: Send + Sync {
    /// Takes one with the rights of `by`; returns once it is taken, or with why it was not, in words.
    fn take<'a>(
        &'a self,
        by: &'a Principal,
        server: ServerId,
        label: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog.with::<records::Schedule>()
}
