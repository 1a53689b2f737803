//! What the API reads and sends about schedules. Shapes only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{accounts::ServerId, clock::UnixMillis};

/// A wish for a new schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// What people call it; what it does when absent.
    pub name: Option<String>,
    /// Minute, hour, day of month, month, day of week: `0 4 * * *`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    pub cron: String,
    /// The time zone, like `Europe/Berlin`; the box's when absent or empty.
    pub zone: Option<String>,
    /// Whether it runs by itself; true when absent.
    pub enabled: Option<bool>,
    /// What it does, in order: `start`, `stop`, `restart`, `command LINE`, `snapshot [LABEL]`, `wait TIME`. At most 16.
    pub steps: Vec<String>,
}

/// A change; absent fields stay. Whoever makes it is who the schedule acts as from then on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulePatch {
    /// New name.
    pub name: Option<String>,
    /// New cron text.
    pub cron: Option<String>,
    /// New zone; empty: the box's.
    pub zone: Option<String>,
    /// Whether it runs by itself.
    pub enabled: Option<bool>,
    /// New steps, as a whole.
    pub steps: Option<Vec<String>>,
}

/// How a run ended, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ScheduleOutcome)]
pub enum Outcome {
    /// It goes on.
    Running,
    /// Every step was done.
    Done,
    /// A step was not, and those after it were left.
    Failed,
    /// The daemon ended before it did.
    Interrupted,
}

/// Why something that was due did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ScheduleWhy)]
pub enum Why {
    /// The box was off, or its clock was set forward, for too long.
    Missed,
    /// The run before still went on.
    Busy,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleRun {
    /// When it was due; none when somebody asked for it.
    #[schema(value_type = Option<String>)]
    pub due: Option<UnixMillis>,
    /// When it began.
    #[schema(value_type = String)]
    pub started: UnixMillis,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub ended: Option<UnixMillis>,
    /// How.
    pub outcome: Outcome,
    /// The step that failed, from 1.
    pub step: Option<u8>,
    /// Why it failed, in words.
    pub why: Option<String>,
}

/// What was not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleSkip {
    /// When the first of it was due.
    #[schema(value_type = String)]
    pub due: UnixMillis,
    /// Why.
    pub why: Why,
}

/// A schedule as the API reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleView {
    /// Its id.
    pub id: u64,
    /// Its server.
    pub server: ServerId,
    /// What people call it.
    pub name: String,
    /// When it runs.
    pub cron: String,
    /// The zone in which that is read.
    pub zone: String,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// What it does; console lines as their first word alone for who may not change it.
    pub steps: Vec<String>,
    /// Whose rights its runs have: an account's name, or `box`.
    pub author: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: UnixMillis,
    /// When it runs next.
    #[schema(value_type = Option<String>)]
    pub next: Option<UnixMillis>,
    /// Its last run.
    pub last: Option<ScheduleRun>,
    /// What was last skipped.
    pub skipped: Option<ScheduleSkip>,
}

/// When a cron text comes due, as its zone's clocks show it with their offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Moments {
    /// The zone.
    pub(crate) zone: String,
    /// In order.
    pub(crate) moments: Vec<String>,
}
