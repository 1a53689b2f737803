//! Section `files`: the files of servers.

use std::time::Duration;

use super::{keys::FILES_BIN, values::Values, words::duration};

/// The files of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// How long a file that was deleted can be had back.
    pub bin: Duration,
}

impl Files {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            bin: values.parse(FILES_BIN, duration),
        }
    }
}
