//! What is wrong in a definition, and where.

use std::fmt;

/// Something wrong in a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    /// The file, or where else it is from.
    pub(super) file: String,
    /// The key in it; empty when the fault is the file's.
    pub(super) key: String,
    /// What is wrong, and what would be right.
    pub(super) what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// The faults of one file so far.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    file: &'a str,
    found: Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        let found = Vec::new();
        Self { file, found }
    }

    pub(super) fn add(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.found.push(Fault {
            file: self.file.into(),
            key: key.into(),
            what: what.into(),
        });
    }

    /// Whether something is wrong with the key already; what follows from that need not be said.
    pub(super) fn has(&self, key: &str) -> bool {
        self.found.iter().any(|fault| fault.key == key)
    }

    /// `made`, if nothing was found wrong with it.
    pub(super) fn clear<T>(mut self, made: Option<T>) -> Result<T, Vec<Fault>> {
        match made {
            Some(made) if self.found.is_empty() => Ok(made),
            _ => {
                self.found.sort();
                Err(self.found)
            }
        }
    }
}
