//! What the daemon and a job's process say to each other: JSON, a line each.
//!
//! ```text
//!  daemon                                        job (`longhouse snapshot-job`, as the server's user)
//!    │ ◄──────────────── "ready" ──────────────────┤ it can no longer be traced or signalled
//!    ├── descriptors over 3: repository, then … ──► │ (see `Job::descriptors`)
//!    ├── Order, one line on standard input ───────► │
//!    │ ◄── Said::Progress, twice a second ──────────┤ standard output; silence means that it hangs
//!    │ ◄── Said::Done, or Said::Failed ─────────────┤
//! ```

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What a job says first.
pub(super) const READY: &str = "ready";
/// The longest line either way. A page of a listing is the longest that there is.
pub(super) const LONGEST: usize = 2 << 20;
/// Entries of a folder in one page.
pub(super) const PAGE: usize = 1000;
/// What was left out or changed, in words, in one answer.
pub(super) const NOTES: usize = 50;

/// Bytes of a path below the server's folder, without a leading slash: no text, since names need not be any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path(pub Vec<u8>);

impl Path {
    /// For people, with U+FFFD in place of what is not UTF-8.
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Its names, from the top; `None` where it would lead out, or names nothing.
    pub(super) fn names(&self) -> Option<Vec<&[u8]>> {
        if self.0.is_empty() {
            return Some(Vec::new());
        }
        let names: Vec<&[u8]> = self.0.split(|&byte| byte == b'/').collect();
        names.iter().all(|name| is_name(name)).then_some(names)
    }
}

/// Whether bytes can be the name of one entry of a folder.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes());
        bytes.map(Self).map_err(D::Error::custom)
    }
}

/// A job, and what it needs for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) job: Job,
    /// The repository's key, as the library writes it.
    pub(super) key: serde_json::Value,
    /// Bytes that may be read in a second; 0 is as many as there are.
    pub(super) rate: u64,
}

/// What is to be done. Snapshots are named by the repository's own ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(super) enum Job {
    /// Take one of the folder; what is as it was in `parent` is not read again.
    Take { parent: Option<String> },
    /// A page of what one holds in a folder, beginning after a name.
    List {
        snapshot: String,
        path: Path,
        after: Option<Path>,
        count: usize,
    },
    /// Write one file of it to the third descriptor.
    Read { snapshot: String, path: Path },
    /// Write all of it into an empty folder, which has this name among what is aside.
    Restore { snapshot: String, into: String },
    /// Put one file or folder of it in place; what is there moves aside.
    RestoreOne {
        snapshot: String,
        path: Path,
        to: Path,
        aside: String,
    },
    /// Put back what `RestoreOne` moved aside.
    PutBack {
        to: Path,
        aside: String,
        was_there: bool,
    },
    /// Let go of these; with `prune`, which names all that stay, give their room back.
    Forget {
        snapshots: Vec<String>,
        prune: Option<Vec<String>>,
    },
    /// Read everything, and say what is damaged in these.
    Check { snapshots: Vec<String> },
}

/// A descriptor that a job gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// The server's own folder.
    Folder,
    /// The folder for what was moved aside.
    Aside,
    /// Where a file's content goes.
    Output,
}

impl Job {
    /// What it gets after the repository, in this order.
    pub(super) fn descriptors(&self) -> &'static [Passed] {
        match self {
            Self::Take { .. } => &[Passed::Folder],
            Self::Restore { .. } => &[Passed::Aside],
            Self::RestoreOne { .. } | Self::PutBack { .. } => &[Passed::Folder, Passed::Aside],
            Self::Read { .. } => &[Passed::Output],
            Self::List { .. } | Self::Forget { .. } | Self::Check { .. } => &[],
        }
    }
}

/// What a job says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(super) enum Said {
    /// It is still there, and so far.
    Progress { bytes: u64 },
    /// It has ended, and this came of it.
    Done { result: Outcome },
    /// It has ended without.
    Failed { why: Why, text: String },
}

/// Why a job ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Why {
    /// No room is left.
    DiskFull,
    /// No such file or folder in that snapshot.
    NoSuchPath,
    /// It is a folder where a file is needed, or the other way round.
    WrongKind,
    /// The repository is not as it should be.
    Damaged,
    /// Anything else.
    Failed,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum Outcome {
    Taken(Taken),
    Listed {
        entries: Vec<Entry>,
        more: bool,
    },
    Written {
        bytes: u64,
        files: u64,
    },
    /// Whether something was in the place of what was put there.
    Placed {
        was_there: bool,
        bytes: u64,
    },
    Forgotten,
    Checked {
        faults: Vec<String>,
        damaged: Vec<Damage>,
    },
}

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) snapshot: String,
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// Bytes by which the repository grew.
    pub(super) added: u64,
    /// What was left out, and why: at most [`NOTES`].
    pub(super) notes: Vec<String>,
    /// Files that changed while they were read: at most [`NOTES`].
    pub(super) changed: Vec<String>,
}

/// A snapshot of which something cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Damage {
    pub(super) snapshot: String,
    /// Files and folders, or what else is the matter: some of them.
    pub(super) what: Vec<String>,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SnapshotKind)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, as it was.
    Link,
}

/// An entry of a folder in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: Path,
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Milliseconds since 1970; 0 where it is not known.
    pub(super) modified: u64,
    pub(super) mode: u32,
    /// Where a link leads.
    pub(super) target: Option<Path>,
}

/// A line that is none of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("a line of {0} bytes, where at most {LONGEST} are allowed")]
    Long(usize),
    #[error("a line that makes no sense: {0}")]
    Senseless(#[from] serde_json::Error),
}

/// What a job said.
pub(super) fn decode(line: &[u8]) -> Result<Said, DecodeError> {
    if line.len() > LONGEST {
        return Err(DecodeError::Long(line.len()));
    }
    Ok(serde_json::from_slice(line)?)
}

/// A line of it.
pub(super) fn encode(thing: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(thing).expect("numbers, text and lists are JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_lines() {
        let take = Job::Take { parent: None };
        assert_eq!(encode(&take), b"{\"do\":\"take\",\"parent\":null}\n");
        let failed = Said::Failed {
            why: Why::DiskFull,
            text: "full".into(),
        };
        let line = b"{\"say\":\"failed\",\"why\":\"disk-full\",\"text\":\"full\"}\n";
        assert_eq!(encode(&failed), line);
        assert_eq!(decode(line).unwrap(), failed);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_is_looked_at() {
        let line = vec![b' '; LONGEST + 1];
        assert!(matches!(decode(&line), Err(DecodeError::Long(_))));
    }

    #[test]
    fn paths_that_lead_out_have_no_names() {
        for bad in ["/", "/a", "a/", "a//b", "..", "a/../b", ".", "a/.", "a\0b"] {
            assert_eq!(Path(bad.into()).names(), None, "{bad}");
        }
        assert_eq!(Path(Vec::new()).names(), Some(vec![]));
        let odd = Path(b"a\n/\xff".to_vec());
        assert_eq!(odd.names(), Some(vec![&b"a\n"[..], b"\xff"]));
    }

    proptest! {
        #[test]
        fn any_name_survives(bytes: Vec<u8>, more: bool) {
            let entry = Entry {
                name: Path(bytes.clone()),
                kind: Kind::Link,
                size: 1,
                modified: 2,
                mode: 0o777,
                target: Some(Path(bytes)),
            };
            let said = Said::Done { result: Outcome::Listed { entries: vec![entry], more } };
            prop_assert_eq!(decode(&encode(&said)).unwrap(), said);
        }

        #[test]
        fn any_bytes_decode_or_refuse(line: Vec<u8>) {
            decode(&line).ok();
        }
    }
}
