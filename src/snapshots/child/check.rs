//! Reads everything that the repository holds for some snapshots, and names those of which something is damaged.
//!
//! Every piece is read once, decrypted (which proves it whole) and hashed; so the files that a damage touches are known
//! by name, where the library's own check would name the pack alone.

use std::collections::HashMap;

use rustic_core::{BlobId, CheckOptions, TreeId, repofile::BlobType};
use sha2::{Digest, Sha256};

use super::{Pace, Trouble, repository};
use crate::snapshots::wire::{Damage, NOTES, Outcome, Path};

pub(super) fn check(
    key: &serde_json::Value,
    ids: &[String],
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let bare = repository::bare(key, pace)?;
    // What the index says, and whether the packs that it names are there in the right size.
    let findings = bare.check_with_trees(CheckOptions::default(), Vec::new())?;
    let faults = findings
        .0
        .iter()
        .filter(|_| findings.is_ok().is_err())
        .map(|(_, fault)| fault.to_string())
        .take(NOTES)
        .collect();
    let mut walk = Walk {
        repository: bare.to_indexed()?,
        pace,
        trees: HashMap::new(),
        pieces: HashMap::new(),
    };
    let mut damaged = Vec::new();
    for id in ids {
        let what = match repository::snapshot(&walk.repository, id) {
            Ok(snapshot) => walk.tree(snapshot.tree, &mut Vec::new(), 0),
            Err(trouble) => vec![trouble.to_string()],
        };
        if !what.is_empty() {
            damaged.push(Damage {
                snapshot: id.clone(),
                what: what.into_iter().take(repository::TOLD).collect(),
            });
        }
    }
    Ok(Outcome::Checked { faults, damaged })
}

/// What was found so far: most of a snapshot is in the one before, too.
struct Walk<'a> {
    repository: repository::Full,
    pace: &'a Pace,
    /// Of each folder, what is damaged below it.
    trees: HashMap<TreeId, Vec<String>>,
    /// Of each piece, whether it is whole.
    pieces: HashMap<BlobId, bool>,
}

impl Walk<'_> {
    /// What is damaged below a folder, as paths below the top.
    fn tree(&mut self, id: TreeId, at: &mut Vec<u8>, depth: usize) -> Vec<String> {
        let here = || format!("{}/", Path(at.clone()).lossy());
        if depth > 1000 {
            return vec![format!("{}: folders without end", here())];
        }
        if let Some(known) = self.trees.get(&id)
            && known.is_empty()
        {
            return Vec::new();
        }
        let tree = match repository::tree_of(&self.repository, id) {
            Ok(tree) => tree,
            Err(trouble) => return vec![format!("{}: {trouble}", here())],
        };
        let mut damaged = Vec::new();
        for node in tree.nodes {
            let before = at.len();
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend(std::os::unix::ffi::OsStrExt::as_bytes(&*node.name()));
            if let Some(subtree) = node.subtree {
                damaged.extend(self.tree(subtree, at, depth + 1));
            }
            // All of them, so that each bad piece is known.
            let mut pieces = node.content.iter().flatten();
            let whole: Vec<bool> = pieces
                .by_ref()
                .map(|piece| self.piece(BlobId::from(**piece)))
                .collect();
            if whole.contains(&false) {
                damaged.push(Path(at.clone()).lossy().into_owned());
            }
            at.truncate(before);
        }
        damaged.truncate(NOTES);
        self.trees.insert(id, damaged.clone());
        damaged
    }

    fn piece(&mut self, id: BlobId) -> bool {
        if let Some(&whole) = self.pieces.get(&id) {
            return whole;
        }
        let read = self.repository.get_blob_cached(&id, BlobType::Data);
        let whole = read.is_ok_and(|bytes| {
            self.pace.count(bytes.len() as u64);
            let hash: [u8; 32] = Sha256::digest(&bytes).into();
            id.to_hex().as_str() == data_encoding::HEXLOWER.encode(&hash)
        });
        self.pieces.insert(id, whole);
        whole
    }
}
