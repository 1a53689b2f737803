//! The texts that letters are made of: shipped ones, and those in `DATA/mail/` in their place. Pure but for reading.
//!
//! ```text
//! Subject: {box}: a new password
//!
//! Hello {name}, ...
//! ```
//!
//! `{{` is a brace. What is put in cannot break out of its line: control characters are left out.

use std::{fs, io, path::Path};

use include_dir::{Dir, include_dir};

use super::LetterKind;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/mail");

/// Bytes of a text, at most.
const LONGEST: usize = 16 << 10;
/// Bytes of a subject, at most.
const SUBJECT: usize = 200;

const ALL: [LetterKind; 4] = [
    LetterKind::Verify,
    LetterKind::Reset,
    LetterKind::Notice,
    LetterKind::Test,
];

/// What can be put into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    Box,
    Link,
    Until,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    subject: Vec<Piece>,
    body: Vec<Piece>,
}

/// What is put in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) name: &'a str,
    pub(super) house: &'a str,
    pub(super) link: &'a str,
    pub(super) until: &'a str,
}

/// All texts.
#[derive(Debug, Clone)]
pub(super) struct Templates([Template; 4]);

/// What is wrong with the texts in `data`: a sentence each. Blocks while it reads.
pub fn check(data: Option<&Path>) -> Vec<String> {
    Templates::load(data).1
}

impl Templates {
    /// The shipped texts, and those of `data` that are whole in their place; what is wrong with the others.
    pub(super) fn load(data: Option<&Path>) -> (Self, Vec<String>) {
        let mut faults = Vec::new();
        let texts = ALL.map(|kind| {
            let own = data.and_then(|data| own(data, kind, &mut faults));
            own.unwrap_or_else(|| shipped(kind))
        });
        (Self(texts), faults)
    }

    /// Subject and body.
    pub(super) fn write(&self, kind: LetterKind, words: Words<'_>) -> (String, String) {
        let text = &self.0[kind as usize];
        (fill(&text.subject, words), fill(&text.body, words))
    }
}

impl LetterKind {
    fn file(self) -> &'static str {
        match self {
            Self::Verify => "verify.txt",
            Self::Reset => "reset.txt",
            Self::Notice => "notice.txt",
            Self::Test => "test.txt",
        }
    }

    fn has_link(self) -> bool {
        matches!(self, Self::Verify | Self::Reset)
    }
}

fn shipped(kind: LetterKind) -> Template {
    let file = SHIPPED.get_file(kind.file());
    let text = file.and_then(|file| file.contents_utf8());
    let text = text.expect("each kind has a shipped text");
    parse(kind, text).expect("a test reads the shipped texts")
}

fn own(data: &Path, kind: LetterKind, faults: &mut Vec<String>) -> Option<Template> {
    let path = data.join("mail").join(kind.file());
    let mut fault = |why: String| {
        faults.push(format!(
            "{}: {why}; the shipped text is used",
            path.display()
        ));
        None
    };
    match fs::metadata(&path) {
        Ok(file) if file.is_file() && file.len() <= LONGEST as u64 => {}
        Ok(_) => return fault(format!("this is no file of at most {LONGEST} bytes")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return fault(error.to_string()),
    }
    match fs::read_to_string(&path) {
        Ok(text) => parse(kind, &text).map_or_else(fault, Some),
        Err(error) => fault(error.to_string()),
    }
}

fn parse(kind: LetterKind, text: &str) -> Result<Template, String> {
    let text = text.replace("\r\n", "\n");
    let parts = text.strip_prefix("Subject: ");
    let parts = parts.and_then(|rest| rest.split_once("\n\n"));
    let (subject, body) =
        parts.ok_or("it does not begin with a line `Subject: ...` and an empty line")?;
    let bare = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if subject.contains(char::is_control) || body.contains(bare) {
        return Err("there is a control character in it".into());
    }
    if subject.trim().is_empty() || subject.len() > SUBJECT {
        return Err(format!(
            "its subject is empty or longer than {SUBJECT} bytes"
        ));
    }
    let template = Template {
        subject: pieces(subject)?,
        body: pieces(body)?,
    };
    let link = Piece::Place(Place::Link);
    if template.subject.contains(&link) {
        return Err("{link} does not belong into a subject, which others may see".into());
    }
    match (kind.has_link(), template.body.contains(&link)) {
        (true, false) => Err("{link} is missing: nobody could do what it asks for".into()),
        (false, true) => Err("there is no {link} in this letter".into()),
        _ => Ok(template),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        plain += before;
        if let Some(after) = after.strip_prefix('{') {
            plain.push('{');
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or("a `{` has no `}`")?;
        let place = match name {
            "name" => Place::Name,
            "box" => Place::Box,
            "link" => Place::Link,
            "until" => Place::Until,
            _ => {
                let name: String = name.escape_debug().take(40).collect();
                return Err(format!(
                    "{{{name}}} is none of {{name}}, {{box}}, {{link}}, {{until}}"
                ));
            }
        };
        pieces.push(Piece::Text(std::mem::take(&mut plain)));
        pieces.push(Piece::Place(place));
        rest = after;
    }
    plain += rest;
    pieces.push(Piece::Text(plain));
    Ok(pieces)
}

fn fill(pieces: &[Piece], words: Words<'_>) -> String {
    let mut text = String::new();
    for piece in pieces {
        let word = match piece {
            Piece::Text(plain) => {
                text += plain;
                continue;
            }
            Piece::Place(Place::Name) => words.name,
            Piece::Place(Place::Box) => words.house,
            Piece::Place(Place::Link) => words.link,
            Piece::Place(Place::Until) => words.until,
        };
        text.extend(word.chars().filter(|c| !c.is_control()));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: Words<'_> = Words {
        name: "ada",
        house: "The cellar",
        link: "http://box/verify?token=x",
        until: "tomorrow",
    };

    #[test]
    fn the_shipped_texts_are_whole() {
        let (texts, faults) = Templates::load(None);
        assert_eq!(faults, [""; 0]);
        for kind in ALL {
            let (subject, body) = texts.write(kind, WORDS);
            assert!(subject.contains("The cellar") && body.contains("ada"));
            assert_eq!(body.contains(WORDS.link), kind.has_link());
            assert!(
                body.is_ascii() && body.lines().all(|line| line.len() < 79),
                "{body}"
            );
        }
        assert_eq!(SHIPPED.files().count(), ALL.len());
    }

    #[test]
    fn a_text_of_ones_own_is_used_when_it_is_whole_and_else_named() {
        let data = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            fs::create_dir_all(data.path().join("mail")).unwrap();
            fs::write(data.path().join("mail").join(name), text).unwrap();
        };
        put(
            "verify.txt",
            "Subject: Grüße von {box}\r\n\r\n{{{name}: {link}",
        );
        put("reset.txt", "Subject: x\n\nno way");
        let (texts, faults) = Templates::load(Some(data.path()));
        let (subject, body) = texts.write(LetterKind::Verify, WORDS);
        assert_eq!(subject, "Grüße von The cellar");
        assert_eq!(body, "{ada: http://box/verify?token=x");
        assert!(texts.write(LetterKind::Reset, WORDS).1.contains(WORDS.link));
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].contains("reset.txt: {link} is missing"),
            "{faults:?}"
        );
        fs::remove_file(data.path().join("mail/reset.txt")).unwrap();
        fs::create_dir(data.path().join("mail/reset.txt")).unwrap();
        assert!(check(Some(data.path()))[0].contains("no file"));
    }

    #[test]
    fn what_cannot_be_a_text_is_said() {
        for (text, why) in [
            ("", "does not begin"),
            ("Hello {link}", "does not begin"),
            ("Subject: a\nBcc: b\n\n{link}", "control character"),
            ("Subject: a\rBcc: b\n\n{link}", "control character"),
            ("Subject: \n\n{link}", "subject is empty"),
            ("Subject: {link}\n\n{link}", "does not belong"),
            ("Subject: a\n\n{link} {password}", "{password} is none of"),
            ("Subject: a\n\n{link} {", "has no"),
        ] {
            let error = parse(LetterKind::Verify, text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let error = parse(LetterKind::Notice, "Subject: a\n\n{link}").unwrap_err();
        assert!(error.contains("no {link} in this letter"));
    }

    proptest! {
        #[test]
        fn what_is_put_in_cannot_add_a_line(name in "(?s).{0,40}", house in "(?s).{0,40}") {
            let (texts, _) = Templates::load(None);
            let words = Words { name: &name, house: &house, ..WORDS };
            let (subject, body) = texts.write(LetterKind::Verify, words);
            let lines = texts.write(LetterKind::Verify, WORDS).1.lines().count();
            prop_assert!(!subject.contains(char::is_control));
            prop_assert_eq!(body.split('\n').count(), lines + 1);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(Subject: |\n|[{]|[}]|link|name|a){0,20}") {
            for kind in ALL {
                parse(kind, &text).ok();
            }
        }
    }
}
