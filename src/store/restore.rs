//! Restoring a backup: beside the store, then in its place, so that a bad file leaves nothing behind.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::Path,
};

use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{
    backup::{BackupError, FORMAT, Header, Line, Summary},
    catalog::{Catalog, Fault},
    engine::{Engine, remove},
    scan::within,
    table::{Counter, Record},
};

/// A record's JSON is longer than its bytes, but not more than six times.
const LINE_LIMIT: u64 = 1 << 20;
const FLUSH_EVERY: u64 = 4096;

/// Restores a backup into a state folder whose store is empty or missing. The caller holds the folder's lock.
pub fn restore(state: &Path, catalog: &Catalog, input: impl Read) -> Result<Summary, BackupError> {
    let (store, beside) = (state.join("store"), state.join("store.restoring"));
    if store.exists() && !empty(&Engine::open(&store)?)? {
        return Err(BackupError::NotEmpty { path: store });
    }
    remove(&beside)?;
    let restored = fill(&beside, catalog, input).and_then(|summary| {
        remove(&store)?;
        fs::rename(&beside, &store)?;
        File::open(state)?.sync_all()?;
        Ok(summary)
    });
    if restored.is_err() {
        remove(&beside)?;
    }
    restored
}

fn empty(engine: &Engine) -> Result<bool, BackupError> {
    for table in engine.tables() {
        let pairs = engine.pairs(&table, within(b""), false, 2)?;
        let own = |key: &[u8]| table == Counter::TABLE && key == b"schema";
        if !pairs.iter().all(|(key, _)| own(key)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn fill(folder: &Path, catalog: &Catalog, input: impl Read) -> Result<Summary, BackupError> {
    let mut file = Lines {
        input: BufReader::new(zstd::Decoder::new(input)?),
        line: 0,
        bytes: Vec::new(),
        sha256: Sha256::new(),
    };
    let header: Header = match file.next() {
        Ok(header) => header,
        Err(_) => return Err(BackupError::NotABackup),
    };
    if header.longhouse_backup > FORMAT {
        return Err(BackupError::Newer {
            version: header.version,
        });
    }
    let mut engine = Engine::open(folder)?;
    let mut summary = Summary::default();
    loop {
        let before = HEXLOWER.encode(&file.sha256.clone().finalize());
        let (table, key, stored) = match file.next()? {
            Line::End { records, sha256 } if records == summary.records && sha256 == before => {
                file.end()?;
                break;
            }
            Line::End { .. } => return Err(file.damaged("the content does not match its checksum")),
            Line::Raw { table, key, raw } => {
                let stored = HEXLOWER.decode(raw.as_bytes()).ok();
                (table, key, stored)
            }
            Line::Record {
                table,
                key,
                format,
                value,
            } => match catalog.stored(&table, format, value) {
                Some(stored) => (table, key, Some(stored)),
                None => {
                    return Err(BackupError::Unknown {
                        line: file.line,
                        table,
                        version: header.version,
                    });
                }
            },
        };
        let (Some(key), Some(stored)) = (key.into_bytes(), stored) else {
            return Err(file.damaged("a key or value is not hex"));
        };
        if !catalog.knows(&table) && !summary.tables.contains_key(&table) {
            let table = table.clone();
            summary.faults.push(Fault::UnknownTable { table });
        }
        engine.put(&table, &key, &stored)?;
        summary.count(&table);
        if summary.records % FLUSH_EVERY == 0 {
            engine.flush()?;
        }
    }
    engine.flush()?;
    Ok(summary)
}

struct Lines<R> {
    input: R,
    line: u64,
    bytes: Vec<u8>,
    sha256: Sha256,
}

impl<R: BufRead> Lines<R> {
    fn next<T: DeserializeOwned>(&mut self) -> Result<T, BackupError> {
        self.line += 1;
        self.bytes.clear();
        let mut input = self.input.by_ref().take(LINE_LIMIT);
        match input.read_until(b'\n', &mut self.bytes) {
            Ok(_) if self.bytes.ends_with(b"\n") => {}
            Ok(_) if self.bytes.len() as u64 == LINE_LIMIT => {
                return Err(self.damaged("the line is too long"));
            }
            Ok(_) | Err(_) => return Err(self.damaged("the file ends or breaks here")),
        }
        self.sha256.update(&self.bytes);
        serde_json::from_slice(&self.bytes)
            .map_err(|_| self.damaged("the line is not one of a backup"))
    }

    fn end(&mut self) -> Result<(), BackupError> {
        match self.input.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) | Err(_) => Err(self.damaged("something follows the end")),
        }
    }

    fn damaged(&self, what: &'static str) -> BackupError {
        BackupError::Damaged {
            line: self.line,
            what,
        }
    }
}
