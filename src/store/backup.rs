//! Backups: zstd-compressed JSON lines that any engine, and any person with `zstdcat`, can read.
//!
//! ```text
//! {"longhouse_backup":1,"version":"0.1.0","moment":"2026-11-20T19:46:46.000Z"}
//! {"table":"account","key":"ada","format":1,"value":{...}}
//! {"table":"server","key":{"hex":"0000000000000007"},"format":1,"value":{...}}
//! {"table":"garden","key":"rose","raw":"01ff"}       not readable here: carried along
//! {"records":3,"sha256":"..."}                       of every byte before this line
//! ```
//!
//! A backup is the store at one moment: writers wait while its records are copied in memory (a table of 100,000
//! takes about a tenth of a second); converting and writing them holds nobody up.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, BufWriter, Write},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Store, StoreError,
    catalog::{Catalog, Fault, Json, corrupt, for_each},
};

/// The file format that this release writes.
pub(super) const FORMAT: u32 = 1;

/// Why a backup could not be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup could not be written or read, or the state folder not be changed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A restore needs an empty store.
    #[error("the store in {path} is not empty; restore into a new state folder")]
    NotEmpty {
        /// The store's folder.
        path: std::path::PathBuf,
    },
    /// Another file.
    #[error("this is not a backup of Longhouse")]
    NotABackup,
    /// A backup in a file format of a newer release.
    #[error("the backup was written by Longhouse {version}, which is newer; restore it with that")]
    Newer {
        /// The release that wrote it.
        version: String,
    },
    /// A truncated or altered file.
    #[error("the backup is damaged at line {line}: {what}")]
    Damaged {
        /// Counts from 1, the header.
        line: u64,
        /// How.
        what: &'static str,
    },
    /// A record that this release does not know.
    #[error(
        "line {line} of the backup, table `{table}`: not known to this release; restore with {version}"
    )]
    Unknown {
        /// Counts from 1, the header.
        line: u64,
        /// The table's name.
        table: String,
        /// The release that wrote it.
        version: String,
    },
}

/// What a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records in all.
    pub records: u64,
    /// Records by table.
    pub tables: BTreeMap<String, u64>,
    /// What was carried along without being understood.
    pub faults: Vec<Fault>,
}

impl Summary {
    pub(super) fn count(&mut self, table: &str) {
        self.records += 1;
        match self.tables.get_mut(table) {
            Some(count) => *count += 1,
            None => drop(self.tables.insert(table.into(), 1)),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) longhouse_backup: u32,
    pub(super) version: String,
    pub(super) moment: String,
}

/// Every line after the header.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Line {
    Record {
        table: String,
        key: Key,
        format: u8,
        value: Value,
    },
    Raw {
        table: String,
        key: Key,
        raw: String,
    },
    End {
        records: u64,
        sha256: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Key {
    Text(String),
    Hex { hex: String },
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        match str::from_utf8(key) {
            Ok(text) if !text.contains(char::is_control) => Self::Text(text.into()),
            _ => Self::Hex {
                hex: HEXLOWER.encode(key),
            },
        }
    }
}

impl Key {
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            Self::Hex { hex } => HEXLOWER.decode(hex.as_bytes()).ok(),
        }
    }
}

impl Store {
    /// Writes all records as of one moment; `moment` is only told to people. For a thread that may block.
    ///
    /// The caller makes `out` durable. The store's size is needed in memory meanwhile.
    pub fn backup(
        &self,
        catalog: &Catalog,
        moment: impl Display,
        out: impl Write,
    ) -> Result<Summary, BackupError> {
        let mut summary = Summary::default();
        let mut file = Lines {
            out: zstd::Encoder::new(BufWriter::new(out), 0)?,
            sha256: Sha256::new(),
        };
        file.write(&Header {
            longhouse_backup: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            moment: moment.to_string(),
        })?;
        for (table, pairs) in self.copy()? {
            if !catalog.knows(&table) {
                let table = table.clone();
                summary.faults.push(Fault::UnknownTable { table });
            }
            for (key, stored) in pairs {
                let json = catalog.json(&table, &stored);
                if json.is_none() && catalog.knows(&table) {
                    summary.faults.push(corrupt(&table, &key));
                }
                summary.count(&table);
                let (table, key) = (table.clone(), Key::from(&*key));
                file.write(&match json {
                    Some(Json::Exact(format, value)) => Line::Record {
                        table,
                        key,
                        format,
                        value,
                    },
                    Some(Json::Inexpressible) | None => Line::Raw {
                        table,
                        key,
                        raw: HEXLOWER.encode(&stored),
                    },
                })?;
            }
        }
        let sha256 = HEXLOWER.encode(&file.sha256.clone().finalize());
        file.write(&Line::End {
            records: summary.records,
            sha256,
        })?;
        file.out.finish()?.flush()?;
        Ok(summary)
    }

    fn copy(&self) -> Result<Vec<(String, Vec<super::engine::Pair>)>, StoreError> {
        let _still = self.0.gate.blocking_write();
        let shared = &self.0.shared;
        // This read has the last group applied; nobody adds to the next.
        let tables = shared.read(|engine| Ok(engine.tables()))?;
        let copied = tables.into_iter().map(|table| {
            let mut pairs = Vec::new();
            for_each(shared, &table, |pair| pairs.push(pair))?;
            Ok((table, pairs))
        });
        copied.collect()
    }
}

struct Lines<W: Write> {
    out: zstd::Encoder<'static, W>,
    sha256: Sha256,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.sha256.update(&bytes);
        self.out.write_all(&bytes)
    }
}
