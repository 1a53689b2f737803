//! What the verbs remember of their user: a folder in the state folder that the user has, not the box's.

use std::{env, fs, os::unix::fs::DirBuilderExt as _, path::PathBuf};

/// `longhouse/PART` in XDG_STATE_HOME, which is made if it is not there; none without a home.
pub(crate) fn folder(part: &str) -> Option<PathBuf> {
    let absolute = |name| Some(PathBuf::from(env::var_os(name)?)).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    let folder = state.join("longhouse").join(part);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .ok()?;
    Some(folder)
}
