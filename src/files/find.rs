//! Looks for files by name and by content, within bounds of time, bytes and answers.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::{Duration, Instant},
};

use globset::{GlobBuilder, GlobMatcher};
use memchr::memmem::Finder;

use super::{
    about::Kind,
    error::FilesError,
    path::FilePath,
    root::Inside,
    view::{Find, Finds, shown},
    walk::Go,
};

/// One search goes on for so long.
const LONG: Duration = Duration::from_secs(5);
/// It reads so many bytes of content.
const BYTES: u64 = 512 << 20;
/// It brings back so much.
pub(crate) const MOST: usize = 1000;
/// A pattern or text has so many bytes.
const WORD: usize = 256;
/// A line is shown so far.
const SHOWN: usize = 200;
const CHUNK: usize = 64 << 10;

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) under: FilePath,
    name: Option<(GlobMatcher, bool)>,
    text: Option<Finder<'static>>,
    most: usize,
}

impl Search {
    /// Everything below `under` whose name fits `name` (its path, where the pattern has a slash) and whose content has
    /// `text`. In the pattern `*` is any part of a name, `**` any folders, `?` one letter, `{a,b}` one of these.
    pub(crate) fn new(
        under: FilePath,
        name: Option<&str>,
        text: Option<&str>,
        most: usize,
    ) -> Result<Self, FilesError> {
        for (what, word) in [("name", name), ("text", text)] {
            if word.is_some_and(|word| word.is_empty() || word.len() > WORD) {
                let why = format!("must have 1 to {WORD} bytes");
                return Err(FilesError::Bad { what, why });
            }
        }
        if name.is_none() && text.is_none() {
            let why = "or `text` must say what is looked for".into();
            return Err(FilesError::Bad { what: "name", why });
        }
        let glob = |pattern: &str| {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            let glob = glob.map_err(|error| FilesError::Bad {
                what: "name",
                why: error.to_string(),
            })?;
            Ok::<_, FilesError>((glob.compile_matcher(), pattern.contains('/')))
        };
        Ok(Self {
            under,
            name: name.map(glob).transpose()?,
            text: text.map(|text| Finder::new(text.as_bytes()).into_owned()),
            most: most.min(MOST),
        })
    }

    fn fits(&self, path: &FilePath) -> bool {
        self.name.as_ref().is_none_or(|(glob, whole)| {
            let words = match whole {
                true => path.as_bytes(),
                false => path.name(),
            };
            glob.is_match(Path::new(std::ffi::OsStr::from_bytes(words)))
        })
    }
}

impl Inside<'_> {
    /// Looks for it.
    pub(crate) fn search(&self, search: &Search) -> Result<Finds, FilesError> {
        let until = Instant::now() + LONG;
        let mut bytes = BYTES;
        let mut finds = Finds {
            found: Vec::new(),
            complete: true,
        };
        let passed = self.walk(&search.under, |path, about| {
            if Instant::now() > until || bytes == 0 || finds.found.len() == search.most {
                finds.complete = false;
                return Ok(Go::Stop);
            }
            if !search.fits(path) {
                return Ok(Go::On);
            }
            let hit = match &search.text {
                None => Some((None, None)),
                Some(_) if about.kind != Kind::File => None,
                Some(text) => match self.file(path) {
                    Ok((file, _)) => grep(file, text, &mut bytes, until)
                        .unwrap_or(None)
                        .map(|(line, shown)| (Some(line), Some(shown))),
                    Err(_) => None,
                },
            };
            if let Some((line, text)) = hit {
                let (path, raw) = shown(path.as_bytes());
                finds.found.push(Find {
                    path,
                    raw,
                    kind: about.kind,
                    line,
                    text,
                });
            }
            Ok(Go::On)
        })?;
        finds.complete &= passed == 0 && bytes > 0;
        Ok(finds)
    }
}

/// The first line with the text: its number, and as much of it as is shown.
fn grep(
    file: File,
    text: &Finder<'_>,
    bytes: &mut u64,
    until: Instant,
) -> io::Result<Option<(u64, String)>> {
    let overlap = text.needle().len() - 1;
    let mut file = file.take(*bytes);
    let mut held: Vec<u8> = Vec::with_capacity(CHUNK + SHOWN + overlap);
    let mut lines = 1;
    loop {
        let before = held.len();
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut held)?;
        *bytes -= read as u64;
        if let Some(at) = text.find(&held) {
            let line = memchr::memchr_iter(b'\n', &held[..at]).count() as u64;
            let start = memchr::memrchr(b'\n', &held[..at]).map_or(0, |newline| newline + 1);
            let start = start.max(at.saturating_sub(SHOWN / 2));
            let shown = held[start..].iter().take_while(|&&byte| byte != b'\n');
            let shown: Vec<u8> = shown.take(SHOWN).copied().collect();
            return Ok(Some((
                lines + line,
                String::from_utf8_lossy(&shown).into_owned(),
            )));
        }
        if read == 0 || held.len() == before || Instant::now() > until {
            return Ok(None);
        }
        // What is let go is counted; what may begin a hit is kept.
        let gone = held.len() - overlap.min(held.len());
        lines += memchr::memchr_iter(b'\n', &held[..gone]).count() as u64;
        held.drain(..gone);
    }
}
