//! Opens the repository, takes snapshots, and reads what is in them.

use std::{
    fs,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
};

use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, IndexedFullStatus, KeyOptions, OpenStatus,
    ParentOptions, PruneOptions, Repository, RepositoryOptions, SnapshotOptions, TreeId,
    repofile::{MasterKey, Node, NodeType, SnapshotFile, SnapshotId, Tree},
};

use super::{Pace, Trouble, backend, source::Source};
use crate::snapshots::wire::{Entry, Kind, NOTES, Outcome, Path, Taken, is_name};

/// What all snapshots call where they come from: they are compared with each other by it.
const HOST: &str = "longhouse";
const FOLDER: &str = "files";
/// The library's name for what tells that there is a repository.
const CONFIG: &str = "config";
/// How the library's half-written files end.
const HALF: &str = "-tmp-";

/// Ready to be read as a whole.
pub(super) type Full = Repository<IndexedFullStatus>;

fn credentials(key: &serde_json::Value) -> Result<Credentials, Trouble> {
    let key: MasterKey = serde_json::from_value(key.clone())
        .map_err(|error| Trouble::Damaged(format!("its key makes no sense: {error}")))?;
    Ok(Credentials::Masterkey(key))
}

fn closed(pace: &Pace) -> Result<Repository<()>, Trouble> {
    let options = RepositoryOptions::default().no_cache(true);
    let backends = backend::backends(pace)?;
    Ok(Repository::new_with_progress(
        &options,
        &backends,
        pace.clone(),
    )?)
}

/// Opens it without its index.
pub(super) fn bare(
    key: &serde_json::Value,
    pace: &Pace,
) -> Result<Repository<OpenStatus>, Trouble> {
    if !fs::exists(CONFIG).map_err(Trouble::io("the repository"))? {
        return Err(Trouble::Damaged("there is none".into()));
    }
    Ok(closed(pace)?.open(&credentials(key)?)?)
}

/// Opens it to be read as a whole.
pub(super) fn open(key: &serde_json::Value, pace: &Pace) -> Result<Full, Trouble> {
    Ok(bare(key, pace)?.to_indexed()?)
}

/// The file of a snapshot.
pub(super) fn snapshot<S: rustic_core::Open>(
    repository: &Repository<S>,
    id: &str,
) -> Result<SnapshotFile, Trouble> {
    Ok(repository.get_file::<SnapshotFile>(&named(id)?)?)
}

pub(super) fn named(id: &str) -> Result<SnapshotId, Trouble> {
    id.parse::<rustic_core::Id>()
        .map(SnapshotId::from)
        .map_err(|_| Trouble::Damaged(format!("`{id}` is no snapshot's id")))
}

/// Takes one. A repository is made where there is none.
pub(super) fn take(
    folder: &OwnedFd,
    key: &serde_json::Value,
    parent: Option<String>,
    files: OwnedFd,
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let there = fs::exists(CONFIG).map_err(Trouble::io("the repository"))?;
    let repository = if there {
        bare(key, pace)?
    } else {
        closed(pace)?.init(
            &credentials(key)?,
            &KeyOptions::default(),
            &ConfigOptions::default(),
        )?
    };
    let repository = repository.to_indexed_ids()?;
    let against = match parent {
        Some(parent) => ParentOptions::default().parents(vec![parent]),
        None => ParentOptions::default().force(true),
    };
    let options = BackupOptions::default().no_scan(true).parent_opts(against);
    let fresh = SnapshotOptions::default()
        .host(HOST.to_owned())
        .to_snapshot()?;
    let source = Source::new(files, pace.clone());
    let snapshot = repository.archive(&options, &source, fresh, &[PathBuf::from(FOLDER)])?;
    nix::unistd::syncfs(folder).map_err(|error| Trouble::Io {
        what: "the repository".into(),
        source: error.into(),
    })?;
    let summary = snapshot.summary.unwrap_or_default();
    let seen = source.seen();
    Ok(Outcome::Taken(Taken {
        snapshot: snapshot.id.to_hex().as_str().to_owned(),
        bytes: summary.total_bytes_processed,
        files: summary.total_files_processed,
        added: summary.data_added_packed,
        notes: seen.left_out.told(),
        changed: seen.changed.told(),
    }))
}

/// What is at a path of a tree: the tree itself for an empty one.
pub(super) enum Found {
    Top(TreeId),
    Node(Box<Node>),
}

/// Finds it by the bytes of its names.
pub(super) fn find(repository: &Full, top: TreeId, path: &Path) -> Result<Found, Trouble> {
    let missing = || Trouble::NoSuchPath(path.lossy().into_owned());
    let names = path.names().ok_or_else(missing)?;
    let mut found = Found::Top(top);
    for name in names {
        let tree = match found {
            Found::Top(tree) => tree,
            Found::Node(node) => node.subtree.ok_or_else(missing)?,
        };
        let inner = tree_of(repository, tree)?.nodes.into_iter();
        let node = inner
            .into_iter()
            .find(|node| node.name().as_bytes() == name);
        found = Found::Node(Box::new(node.ok_or_else(missing)?));
    }
    Ok(found)
}

/// A folder's entries. Names that could lead out of it are damage.
pub(super) fn tree_of(repository: &Full, tree: TreeId) -> Result<Tree, Trouble> {
    let tree = repository.get_tree(&tree)?;
    let bad = tree
        .nodes
        .iter()
        .find(|node| !is_name(node.name().as_bytes()));
    match bad {
        Some(node) => Err(Trouble::Damaged(format!("`{}` is no name", node.name))),
        None => Ok(tree),
    }
}

/// A page of a folder.
pub(super) fn list(
    repository: &Full,
    id: &str,
    path: &Path,
    after: Option<&Path>,
    count: usize,
) -> Result<Outcome, Trouble> {
    let top = snapshot(repository, id)?.tree;
    let tree = match find(repository, top, path)? {
        Found::Top(tree) => tree,
        Found::Node(node) => node.subtree.ok_or_else(|| Trouble::WrongKind {
            path: path.lossy().into_owned(),
            wanted: "folder",
        })?,
    };
    let mut nodes = tree_of(repository, tree)?
        .nodes
        .into_iter()
        .filter(|node| after.is_none_or(|after| node.name().as_bytes() > &after.0[..]));
    let entries = nodes
        .by_ref()
        .take(count)
        .map(|node| entry(&node))
        .collect();
    Ok(Outcome::Listed {
        entries,
        more: nodes.next().is_some(),
    })
}

fn entry(node: &Node) -> Entry {
    let modified = node.meta.mtime.map_or(0, |at| at.as_millisecond());
    Entry {
        name: Path(node.name().into_owned().into_vec()),
        kind: match node.node_type {
            NodeType::Dir => Kind::Dir,
            NodeType::Symlink { .. } => Kind::Link,
            _ => Kind::File,
        },
        size: if node.is_file() { node.meta.size } else { 0 },
        modified: u64::try_from(modified).unwrap_or(0),
        mode: node.meta.mode.unwrap_or(0) & 0o777,
        target: match node.node_type {
            NodeType::Symlink { .. } => Some(Path(
                node.node_type.to_link().as_os_str().as_bytes().to_vec(),
            )),
            _ => None,
        },
    }
}

/// Writes a file's content where it is wanted, and counts it.
pub(super) struct Counted<'a, W> {
    pub(super) to: W,
    pub(super) bytes: u64,
    pub(super) pace: &'a Pace,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        self.pace.count(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes one file to a descriptor.
pub(super) fn read(
    repository: &Full,
    id: &str,
    path: &Path,
    to: fs::File,
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let top = snapshot(repository, id)?.tree;
    let node = match find(repository, top, path)? {
        Found::Node(node) if node.is_file() => node,
        _ => {
            return Err(Trouble::WrongKind {
                path: path.lossy().into_owned(),
                wanted: "file",
            });
        }
    };
    let mut to = Counted { to, bytes: 0, pace };
    repository.dump(&node, &mut to)?;
    Ok(Outcome::Written {
        bytes: to.bytes,
        files: 1,
    })
}

/// Lets go of snapshots; those that are gone already are no fault.
pub(super) fn forget(
    key: &serde_json::Value,
    ids: &[String],
    prune: Option<&[String]>,
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let repository = bare(key, pace)?;
    let there: Vec<SnapshotId> = repository.list::<SnapshotId>()?.collect();
    let mut going = Vec::new();
    for id in ids {
        let id = named(id)?;
        if there.contains(&id) {
            going.push(id);
        }
    }
    if !going.is_empty() {
        repository.delete_snapshots(&going)?;
    }
    if let Some(staying) = prune {
        half_written()?;
        // What no snapshot needs is removed for good: so all that stay must have been seen.
        for id in staying {
            if !there.contains(&named(id)?) {
                return Err(Trouble::Damaged(format!("the snapshot {id} is missing")));
            }
        }
        // Nobody else has it open, so nothing has to wait.
        let options = PruneOptions::default().instant_delete(true);
        let plan = repository.prune_plan(&options)?;
        repository.prune(&options, plan)?;
    }
    Ok(Outcome::Forgotten)
}

/// Removes what a job left half-written that was killed.
fn half_written() -> Result<(), Trouble> {
    let failed = || Trouble::io("the repository");
    let mut folders = vec![PathBuf::from("data"), "index".into(), "snapshots".into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if entry.file_type().map_err(failed())?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().as_bytes().ends_with(HALF.as_bytes()) {
                fs::remove_file(entry.path()).map_err(failed())?;
            }
        }
    }
    Ok(())
}

/// The most that is told of one snapshot.
pub(super) const TOLD: usize = NOTES;
