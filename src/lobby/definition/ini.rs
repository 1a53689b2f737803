//! The INI dialect of the original's files.
//!
//! `[Section]`; `key = value`, where the `=` may be left out; `#` at the start of a line is a comment. Keys are
//! case-sensitive, and the last of a name counts. A list is words with spaces between; a backslash keeps the next
//! character as it is. `Key[de]` translates `Key`.

use std::collections::BTreeMap;

/// A line that says nothing: its number, and what is wrong with it.
pub(super) type BadLine = (usize, &'static str);

/// A file, by section and key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Ini {
    /// Reads a whole file; the lines that say nothing are told, and the others count.
    pub(super) fn parse(text: &str) -> (Self, Vec<BadLine>) {
        let (mut ini, mut bad) = (Self::default(), Vec::new());
        let mut section = None;
        for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                section = rest.strip_suffix(']').map(|name| {
                    let name = name.trim().to_owned();
                    ini.sections.entry(name).or_default()
                });
                if section.is_none() {
                    bad.push((n + 1, "has `[` without `]`"));
                }
                continue;
            }
            let Some(section) = &mut section else {
                bad.push((n + 1, "is in no section"));
                continue;
            };
            let end = line
                .find(|c: char| c == '=' || c.is_whitespace())
                .unwrap_or(line.len());
            let (key, value) = line.split_at(end);
            if key.is_empty() {
                bad.push((n + 1, "has no key before the `=`"));
                continue;
            }
            let value = value.trim_start();
            let value = value.strip_prefix('=').unwrap_or(value).trim_start();
            section.insert(key.into(), value.into());
        }
        (ini, bad)
    }

    /// The value of a key; none where it is empty too.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.sections.get(section)?.get(key)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// A section's keys and values, in the order of the keys.
    pub(super) fn section(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let section = self.sections.get(section).into_iter().flatten();
        section.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The translations of a key, by language.
    pub(super) fn translations<'a>(
        &'a self,
        section: &str,
        key: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let section = self.sections.get(section).into_iter().flatten();
        section.filter_map(move |(name, value)| {
            let language = name
                .strip_prefix(key)?
                .strip_prefix('[')?
                .strip_suffix(']')?;
            Some((language, value.as_str()))
        })
    }
}

/// The words of a list.
pub(super) fn words(list: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let kept = chars.next().unwrap_or('\\');
                word.get_or_insert_default().push(kept);
            }
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read_with_and_without_the_equals_sign() {
        let text =
            "# a comment\n[A]\nx = 1 = 2 # kept\ny 3\n z=\n[B]\nx[de] = eins\nX = 4\n[A]\ny = 5\n";
        let (ini, bad) = Ini::parse(text);
        assert_eq!(bad, []);
        assert_eq!(ini.get("A", "x"), Some("1 = 2 # kept"));
        assert_eq!(ini.get("A", "y"), Some("5"));
        assert_eq!(ini.get("A", "z"), None);
        assert_eq!(ini.get("A", "X"), None);
        assert_eq!(ini.get("B", "X"), Some("4"));
        let translations: Vec<_> = ini.translations("B", "x").collect();
        assert_eq!(translations, [("de", "eins")]);
    }

    #[test]
    fn lines_that_say_nothing_are_told_and_the_others_count() {
        let (ini, bad) = Ini::parse("early = 1\n[A]\nx = 1\n= 2\n[B\ny = 3\n");
        assert_eq!(
            bad.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
            [1, 4, 5, 6]
        );
        assert_eq!(ini.section("A").collect::<Vec<_>>(), [("x", "1")]);
    }

    #[test]
    fn a_backslash_keeps_a_space_and_itself() {
        assert_eq!(words(r"  a\ b  c\\ \#d  "), [r"a b", r"c\", "#d"]);
        assert_eq!(words(r"end\"), [r"end\"]);
        assert_eq!(words("  "), Vec::<String>::new());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn words_come_back_as_they_were_escaped(list in prop::collection::vec("[ab \\\\#=]{1,6}", 0..5)) {
            let escaped: Vec<_> = list.iter().map(|word| word.replace('\\', r"\\").replace(' ', r"\ ")).collect();
            prop_assert_eq!(words(&escaped.join("  ")), list);
        }

        #[test]
        fn any_text_is_read(text in "\\PC{0,8}|([\\[\\]=#\\\\ a\n]{0,40})") {
            Ini::parse(&text);
            words(&text);
        }
    }
}
