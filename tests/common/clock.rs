//! A wall clock that a test sets, by libfaketime.

use std::path::PathBuf;

/// Where the library is, when it is installed.
pub(crate) fn library() -> String {
    let arch = std::env::consts::ARCH;
    format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1")
}

/// A wall clock that a test sets; what measures durations goes on as it does.
pub(crate) struct Clock(PathBuf);

impl Clock {
    /// One that is kept in this file, and shows nothing until it is set.
    pub(crate) fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// The clock of all that has this in its environment.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", &*library()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.to_str().expect("a path")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_NO_CACHE", "1"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
    }

    /// So far from the true time, like `-48h` or `+30s`; at once, for whoever looks.
    pub(crate) fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, offset).expect("a file");
        std::fs::rename(new, &self.0).expect("a file");
    }
}
