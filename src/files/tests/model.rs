//! Any order of operations, against a map of what should be there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{super::view::Deletion, *};

/// `None` is a folder.
type Tree = BTreeMap<String, Option<Vec<u8>>>;

#[derive(Debug, Clone)]
enum Op {
    Write(String, Vec<u8>),
    Append(String, Vec<u8>),
    Make(String),
    Rename(String, String),
    Copy(String, String),
    Delete(String),
    Undo(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c\nd"), Just("..e"), Just(" ")];
    let path = move || prop::collection::vec(name(), 0..4).prop_map(|names| names.join("/"));
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        3 => (path(), bytes()).prop_map(|(path, bytes)| Op::Write(path, bytes)),
        1 => (path(), bytes()).prop_map(|(path, bytes)| Op::Append(path, bytes)),
        3 => path().prop_map(Op::Make),
        2 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
        2 => (path(), path()).prop_map(|(from, to)| Op::Copy(from, to)),
        2 => path().prop_map(Op::Delete),
        2 => (0..4_usize).prop_map(Op::Undo),
    ]
}

#[derive(Default)]
struct Model {
    tree: Tree,
    bin: Vec<(String, Tree, Deletion)>,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn within(path: &str, folder: &str) -> bool {
    folder.is_empty() || path == folder || path.starts_with(&format!("{folder}/"))
}

impl Model {
    fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || self.tree.get(path) == Some(&None)
    }

    fn free(&self, path: &str) -> bool {
        !path.is_empty() && self.is_folder(parent(path)) && !self.tree.contains_key(path)
    }

    /// Everything at and below `path`, by what follows it.
    fn cut(&self, path: &str) -> Tree {
        let here = self.tree.iter().filter(|(name, _)| within(name, path));
        here.map(|(name, node)| (name[path.len()..].into(), node.clone()))
            .collect()
    }

    fn paste(&mut self, path: &str, what: &Tree) {
        for (rest, node) in what {
            self.tree.insert(format!("{path}{rest}"), node.clone());
        }
    }

    fn remove(&mut self, path: &str) {
        self.tree.retain(|name, _| !within(name, path));
    }

    /// Does it here and there; whether both agree on whether it can be done.
    fn step(&mut self, house: &House, op: &Op) -> bool {
        match op {
            Op::Write(path, bytes) => {
                let can = self.free(path) || matches!(self.tree.get(path), Some(Some(_)));
                if can {
                    self.tree.insert(path.clone(), Some(bytes.clone()));
                }
                can == house.write(path, bytes).is_ok()
            }
            Op::Append(path, bytes) => {
                let can = self.free(path) || matches!(self.tree.get(path), Some(Some(_)));
                if can {
                    let file = self.tree.entry(path.clone()).or_insert(Some(Vec::new()));
                    file.as_mut().unwrap().extend_from_slice(bytes);
                }
                can == house.site.append(&at(path), bytes).is_ok()
            }
            Op::Make(path) => {
                let can = self.free(path);
                if can {
                    self.tree.insert(path.clone(), None);
                }
                can == house.site.make(&at(path), false).is_ok()
            }
            Op::Rename(from, to) => {
                let can = self.tree.contains_key(from) && self.free(to) && !within(to, from);
                if can {
                    let moved = self.cut(from);
                    self.remove(from);
                    self.paste(to, &moved);
                }
                can == house.site.rename(&at(from), &at(to), Replace::No).is_ok()
            }
            Op::Copy(from, to) => {
                let can = self.tree.contains_key(from) && self.free(to) && !within(to, from);
                if can {
                    let copied = self.cut(from);
                    self.paste(to, &copied);
                }
                can == house.site.copy(&at(from), &at(to), Replace::No).is_ok()
            }
            Op::Delete(path) => match house.site.delete(&at(path)) {
                Ok(deletion) => {
                    let can = self.tree.contains_key(path);
                    self.bin.push((path.clone(), self.cut(path), deletion));
                    self.remove(path);
                    can
                }
                Err(_) => !self.tree.contains_key(path),
            },
            Op::Undo(which) => {
                let Some((path, what, deletion)) = self.bin.get(*which).cloned() else {
                    return true;
                };
                let above = path.match_indices('/').map(|(at, _)| &path[..at]);
                let above: Vec<_> = above.map(str::to_owned).collect();
                let way = above
                    .iter()
                    .all(|folder| !matches!(self.tree.get(folder), Some(Some(_))));
                let can = way && !self.tree.contains_key(&path);
                if can {
                    for folder in above {
                        self.tree.insert(folder, None);
                    }
                    self.paste(&path, &what);
                    self.bin.remove(*which);
                }
                can == house.site.undo(deletion.id, None).is_ok()
            }
        }
    }
}

/// What is really there.
fn tree(house: &House) -> Tree {
    let inside = house.site.enter().unwrap();
    let mut tree = Tree::new();
    inside
        .walk(&at(""), |path, about| {
            let node = match about.kind {
                super::super::Kind::Folder => None,
                _ => Some(house.read(&path.lossy()).unwrap()),
            };
            tree.insert(path.lossy(), node);
            Ok(super::super::walk::Go::On)
        })
        .unwrap();
    tree
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_done_in_whatever_order_what_should_be_there_is(ops in prop::collection::vec(op(), 1..30)) {
        let house = House::new();
        let mut model = Model::default();
        for op in &ops {
            prop_assert!(model.step(&house, op), "{op:?} in {:?}", model.tree);
        }
        prop_assert_eq!(tree(&house), model.tree);
        let bin = super::super::bin::list(&house.site).unwrap();
        let mut bin: Vec<_> = bin.into_iter().map(|deletion| deletion.id).collect();
        bin.reverse();
        let expected: Vec<_> = model.bin.iter().map(|(_, _, deletion)| deletion.id).collect();
        prop_assert_eq!(bin, expected);
    }
}
