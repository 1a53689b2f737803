//! Why an archive is refused, as facts.

use super::super::path::{FilePath, PathError};

/// Why an archive is refused. Nothing of it is kept then.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is none that is known.
    #[error("this is no archive of a known kind: there are zip, tar, tar.gz, tar.zst and tar.bz2")]
    Unknown,
    /// Its bytes make no sense, or some are missing.
    #[error("the {kind} archive is damaged or cut short: {why}")]
    Damaged {
        /// What it should be.
        kind: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// One of its names can be none.
    #[error("{name:?} in the archive cannot be a name here: {why}")]
    Name {
        /// The name, as far as it is text.
        name: String,
        /// Why.
        why: PathError,
    },
    /// A zip archive's names have `/` between them; a backslash leads elsewhere on other systems.
    #[error("{0:?} in the archive has a backslash in its name")]
    Backslash(String),
    /// Folders in folders without end.
    #[error("{name} in the archive is nested deeper than {most} folders")]
    Deep {
        /// The name.
        name: FilePath,
        /// The most.
        most: usize,
    },
    /// Two entries have one name.
    #[error("{0} is twice in the archive")]
    Twice(FilePath),
    /// Something lies in what is no folder: a link would lead out.
    #[error("{name} in the archive lies in {within}, which is no folder there")]
    NotWithin {
        /// The entry.
        name: FilePath,
        /// What it lies in.
        within: FilePath,
    },
    /// A symbolic link that leads out of the server's folder.
    #[error("the link {0} in the archive leads out of the server's folder")]
    LinkLeadsOut(FilePath),
    /// A second name of a file that is not in the archive before it.
    #[error("{0} in the archive is a second name of a file that does not come before it")]
    NoSuchOriginal(FilePath),
    /// A device, a pipe, or another thing that a server has no use for.
    #[error("{name:?} in the archive is a {kind}, which is not unpacked")]
    Special {
        /// The name.
        name: String,
        /// `device`, `pipe`, `sparse file`, `volume`.
        kind: &'static str,
    },
    /// An encrypted entry, or one in a compression that is not known here.
    #[error("{name:?} in the archive cannot be read: {why}")]
    Unreadable {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// Less or more content than its entry says.
    #[error("{name} in the archive has another size than the {declared} bytes that it declares")]
    Size {
        /// The entry.
        name: FilePath,
        /// What it declares.
        declared: u64,
    },
    /// More than an archive may hold.
    #[error("the archive holds too much: at most {most} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// More is to be packed than could be unpacked again: there are files with large holes.
    #[error(
        "what is to be packed holds {bytes} bytes, holes in files among them, and at most {most} could be unpacked here again"
    )]
    Vast {
        /// What the files hold.
        bytes: u64,
        /// What the server may have on the disk, or all of the disk.
        most: u64,
    },
    /// It grows out of all proportion: a bomb.
    #[error(
        "the archive's {packed} bytes become more than {unpacked}: that is out of proportion, and nothing was kept"
    )]
    Bomb {
        /// Its bytes so far.
        packed: u64,
        /// What they became.
        unpacked: u64,
    },
    /// Two of its entries share bytes: a bomb.
    #[error("entries of the archive overlap")]
    Overlap,
    /// Only zip: names there are text.
    #[error("{0} has a name that is not UTF-8, which zip cannot hold: take tar")]
    NotText(FilePath),
}
