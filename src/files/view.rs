//! What the API says of files. A name that is not UTF-8 is shown as far as it is text, and percent-encoded beside it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    about::{About, Kind},
    copy::Copied,
    path::{FilePath, raw},
};
use crate::clock::UnixMillis;

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileEntry)]
pub struct Entry {
    /// Its name; empty for the server's folder itself.
    pub name: String,
    /// The name percent-encoded, when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of content; for others than files what the file system says.
    pub size: u64,
    /// Who may do what, in octal: `644`.
    pub mode: String,
    /// When its content last changed.
    #[schema(value_type = String)]
    pub modified: UnixMillis,
    /// Where a link leads, by its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Changes whenever the file does: for `If-Match`.
    pub tag: String,
}

impl Entry {
    pub(crate) fn new(path: &FilePath, about: &About, target: Option<&[u8]>) -> Self {
        let (name, raw) = shown(path.name());
        Self {
            name,
            raw,
            kind: about.kind,
            size: about.size,
            mode: format!("{:03o}", about.mode),
            modified: about.modified,
            target: target.map(|target| String::from_utf8_lossy(target).into_owned()),
            tag: about.tag(),
        }
    }
}

/// Bytes as text, and percent-encoded when they are none.
pub(crate) fn shown(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), None),
        Err(_) => (
            String::from_utf8_lossy(bytes).into_owned(),
            Some(raw(bytes)),
        ),
    }
}

/// One page of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FilePage)]
pub struct Page {
    /// By name.
    pub entries: Vec<Entry>,
    /// What to give as `after` for the next page, as it stands; none when this is the last.
    pub next: Option<String>,
}

/// What a copy came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileCopy)]
pub struct CopyView {
    /// Plain files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Pipes, sockets, devices, and what could not be read: these are not in the copy.
    pub skipped: u64,
}

impl From<Copied> for CopyView {
    fn from(copied: Copied) -> Self {
        let Copied {
            files,
            folders,
            links,
            bytes,
            skipped,
        } = copied;
        Self {
            files,
            folders,
            links,
            bytes,
            skipped,
        }
    }
}

/// Something that was deleted, and can be had back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileDeletion)]
pub struct Deletion {
    /// Its number in the bin.
    pub id: u64,
    /// Where it was.
    pub path: String,
    /// The same percent-encoded, when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// When it was deleted.
    #[schema(value_type = String)]
    pub deleted: UnixMillis,
    /// What it is.
    pub kind: Kind,
}

/// How much room a server takes on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileUsage)]
pub struct Usage {
    /// Bytes of its files, with its bin and unfinished uploads.
    pub used: u64,
    /// Bytes that it may have; none: as much as there is.
    pub limit: Option<u64>,
    /// Bytes of the bin alone, which gives way when room is needed.
    pub bin: u64,
}

/// Something that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileFind)]
pub struct Find {
    /// Where.
    pub path: String,
    /// The same percent-encoded, when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// The number of the first line with the text, when text was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// That line, cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileFinds)]
pub struct Finds {
    /// In no order.
    pub found: Vec<Find>,
    /// False when there was more than one search may go through or bring back.
    pub complete: bool,
}

/// An upload in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FileUpload)]
pub struct UploadView {
    /// Its number.
    pub id: u64,
    /// What it will be.
    pub path: String,
    /// The same percent-encoded, when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are here: where the next piece begins.
    pub offset: u64,
    /// When it is given up, unless a piece comes before.
    #[schema(value_type = String)]
    pub expires: UnixMillis,
}
