//! What the store keeps of a schedule: what it does, and how far it has got.

use serde::{Deserialize, Serialize};

use super::{
    step::Step,
    view::{Outcome, Why},
};
use crate::{
    accounts::{AccountId, ServerId},
    clock::UnixMillis,
    store::{Record, Table},
};

/// The schedules, by server and id.
pub(super) const SCHEDULES: Table<Schedule> = Table::new();

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schedule {
    pub(super) id: u64,
    pub(super) server: ServerId,
    pub(super) name: String,
    pub(super) cron: String,
    /// A zone's name; none: the box's.
    pub(super) zone: Option<String>,
    pub(super) enabled: bool,
    pub(super) steps: Vec<Step>,
    /// Who last wrote it, and whose rights its runs have; none: the box itself.
    pub(super) author: Option<AccountId>,
    pub(super) created: UnixMillis,
    /// Whatever was due up to this moment has been dealt with.
    pub(super) handled: UnixMillis,
    pub(super) last: Option<Run>,
    pub(super) skip: Option<Skip>,
}

/// How it went when it last ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// For when; none: somebody asked for it.
    pub(super) due: Option<UnixMillis>,
    pub(super) started: UnixMillis,
    pub(super) ended: Option<UnixMillis>,
    pub(super) outcome: Outcome,
    /// The step that failed, from 1.
    pub(super) step: Option<u8>,
    pub(super) why: Option<String>,
}

/// What was last not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Skip {
    /// The first moment that was skipped.
    pub(super) due: UnixMillis,
    pub(super) why: Why,
}

impl Record for Schedule {
    const TABLE: &'static str = "schedule";
    const FORMAT: u8 = 1;
}

impl Schedule {
    pub(super) fn key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.server.0.to_be_bytes());
        key[8..].copy_from_slice(&self.id.to_be_bytes());
        key
    }
}
