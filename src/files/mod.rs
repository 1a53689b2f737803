//! A server's files, as those who may see and change them: over the web, the command line and MyOTTD's calls.
//!
//! Owns what is done with the contents of `STATE/servers/ID/files`, the bin, the uploads and what is in the making beside
//! it, and the table `upload`. Refuses to know who may do what (hosting says so) and what a game's files mean. Answers seed
//! 000 (mfiled).
//!
//! | file | what |
//! |---|---|
//! | `path.rs` | a path within a server's folder |
//! | `root.rs` | the folder held open: everything is resolved beneath it by the kernel, as the server's user |
//! | `fresh.rs` | a file in the making, which appears whole or not at all |
//! | `list.rs`, `walk.rs`, `find.rs` | a page of a folder, all below it, and what is looked for there |
//! | `archive/` | zip and tar, packed and unpacked, and whole folders as streams |
//! | `copy.rs`, `remove.rs` | whole trees |
//! | `passing.rs`, `merge.rs` | what is not whole yet, and how it comes into place: all of it or nothing |
//! | `room.rs` | how much a server has on the disk, against how much it may |
//! | `site.rs`, `bin.rs`, `upload.rs` | one server's files, bin and uploads: every operation, blocking |
//! | `handle.rs`, `uploads.rs` | what doors hold: rights, audit |
//! | `body.rs` | the bytes of a request on their way to the disk |
//! | `round.rs` | what time does to bins and uploads |

mod about;
pub(crate) mod archive;
mod bin;
mod body;
mod copy;
mod error;
mod find;
mod fresh;
mod handle;
mod list;
mod merge;
mod passing;
mod path;
mod read;
mod records;
mod remove;
mod room;
mod root;
mod round;
mod site;
#[cfg(test)]
mod tests;
mod upload;
mod uploads;
mod view;
mod walk;

pub use about::Kind;
pub use archive::ArchiveError;
pub(crate) use body::{Body, heard_out};
pub use error::FilesError;
pub(crate) use find::Search;
pub use handle::{Files, Settings, open, tables};
pub use path::{FilePath, PathError};
pub(crate) use read::Reading;
pub(crate) use root::Replace;
pub(crate) use site::Wish;
pub use view::{CopyView, Deletion, Entry, Find, Finds, Page, UploadView, Usage};
