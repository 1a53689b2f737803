//! Text with placeholders, checked when the definition is read, filled when the server starts.
//!
//! `{port.NAME}` `{setting.NAME}` `{dir}` `{title}` `{name}` `{version}` `{secret}` `{program}`, and in what `{program}` is
//! also `{shared}`; `{{` and `}}` are braces.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The number of the port of that name.
    Port(String),
    /// The setting of that name.
    Setting(String),
    /// The server's folder, an absolute path.
    Dir,
    /// What people call the server.
    Title,
    /// `{owner}_{id}`.
    Name,
    /// The game's version.
    Version,
    /// 24 random hexadecimal digits, the server's own for its whole life.
    Secret,
    /// The version's program.
    Program,
    /// The folder of a version that all servers share.
    Shared,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(Slot),
}

/// Text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template(Vec<Piece>);

/// How a value is written so that a file's syntax takes it as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Escape {
    /// As it is: an argument, an environment variable.
    #[serde(skip)]
    None,
    /// The value runs to the end of its line, and the syntax has no escapes: `"` becomes `'`, `\` becomes `/`, a leading `{` becomes `(`.
    #[default]
    Line,
    /// Inside double quotes, where `\` escapes: JSON, TOML, Teeworlds.
    Backslash,
    /// Inside double quotes, where `^` escapes: Cube.
    Caret,
}

impl Escape {
    fn apply(self, value: String) -> String {
        let escaped = |mark: char| {
            value.chars().fold(String::new(), |mut out, c| {
                if c == '"' || c == mark {
                    out.push(mark);
                }
                out.push(c);
                out
            })
        };
        match self {
            Self::None => value,
            Self::Backslash => escaped('\\'),
            Self::Caret => escaped('^'),
            Self::Line => {
                let plain = value.replace('"', "'").replace('\\', "/");
                match plain.strip_prefix('{') {
                    Some(rest) => format!("({rest}"),
                    None => plain,
                }
            }
        }
    }
}

/// Why a text is no template.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error(
        "`{{{0}}}` is no placeholder: {{port.NAME}}, {{setting.NAME}}, {{dir}}, {{title}}, {{name}}, {{version}}, {{secret}}, {{program}}; write {{{{ for a brace"
    )]
    Unknown(String),
    #[error("a single brace: write {{{{ or }}}} for a brace")]
    Brace,
    #[error("longer than {max} bytes", max = Template::MAX)]
    Long,
    #[error("it holds a NUL")]
    Nul,
}

impl FromStr for Slot {
    type Err = TemplateError;

    fn from_str(name: &str) -> Result<Self, TemplateError> {
        Ok(match name.split_once('.') {
            Some(("port", port)) => Self::Port(port.into()),
            Some(("setting", setting)) => Self::Setting(setting.into()),
            _ => match name {
                "dir" => Self::Dir,
                "title" => Self::Title,
                "name" => Self::Name,
                "version" => Self::Version,
                "secret" => Self::Secret,
                "program" => Self::Program,
                "shared" => Self::Shared,
                _ => return Err(TemplateError::Unknown(name.chars().take(40).collect())),
            },
        })
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > Self::MAX {
            return Err(TemplateError::Long);
        }
        if text.contains('\0') {
            return Err(TemplateError::Nul);
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let tail = &rest[at..];
            if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                plain.push_str(&tail[..1]);
                rest = after;
                continue;
            }
            let (name, after) = tail
                .strip_prefix('{')
                .and_then(|tail| tail.split_once('}'))
                .ok_or(TemplateError::Brace)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Slot(name.parse()?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }
}

impl Template {
    const MAX: usize = 16 << 10;

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Slot(slot) => Some(slot),
            Piece::Text(_) => None,
        })
    }

    /// The text before the first placeholder.
    pub(crate) fn head(&self) -> &str {
        match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Puts a folder before the path that it is.
    pub(crate) fn below(&mut self, folder: &std::path::Path) {
        self.0
            .insert(0, Piece::Text(format!("{}/", folder.display())));
    }

    /// Fills the placeholders; only what `value` returns is escaped, never the definition's own text.
    pub(crate) fn fill(&self, escape: Escape, value: impl Fn(&Slot) -> String) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Slot(slot) => escape.apply(value(slot)),
            })
            .collect()
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(name) => write!(f, "{{port.{name}}}"),
            Self::Setting(name) => write!(f, "{{setting.{name}}}"),
            Self::Dir => f.write_str("{dir}"),
            Self::Title => f.write_str("{title}"),
            Self::Name => f.write_str("{name}"),
            Self::Version => f.write_str("{version}"),
            Self::Secret => f.write_str("{secret}"),
            Self::Program => f.write_str("{program}"),
            Self::Shared => f.write_str("{shared}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn placeholders_and_braces_are_told_apart() {
        let template: Template = "a{{{port.game}}}:{title}".parse().unwrap();
        assert_eq!(
            template.slots().collect::<Vec<_>>(),
            [&Slot::Port("game".into()), &Slot::Title]
        );
        let filled = template.fill(Escape::None, |slot| slot.to_string().to_uppercase());
        assert_eq!(filled, "a{{PORT.GAME}}:{TITLE}");
    }

    #[test]
    fn what_is_no_placeholder_is_named() {
        assert_eq!(
            "{nope}".parse::<Template>(),
            Err(TemplateError::Unknown("nope".into()))
        );
        for bad in ["{", "}", "a}b", "{dir"] {
            assert_eq!(bad.parse::<Template>(), Err(TemplateError::Brace), "{bad}");
        }
    }

    #[test]
    fn a_filled_value_is_never_read_as_a_placeholder() {
        let template: Template = "{title}".parse().unwrap();
        assert_eq!(
            template.fill(Escape::None, |_| "{secret}".into()),
            "{secret}"
        );
    }

    #[test]
    fn a_quote_cannot_end_the_string_it_is_in() {
        let fill = |escape| {
            let template: Template = "\"{title}\"".parse().unwrap();
            template.fill(escape, |_| r#"a";x \ ^"#.into())
        };
        assert_eq!(fill(Escape::Backslash), r#""a\";x \\ ^""#);
        assert_eq!(fill(Escape::Caret), r#""a^";x \ ^^""#);
        assert_eq!(fill(Escape::Line), r#""a';x / ^""#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_text_parses_or_is_refused(text in "[{}a-z.]{0,20}|.*") {
            text.parse::<Template>().ok();
        }

        #[test]
        fn quotes_stay_balanced(value in "[\"\\\\^a]{0,12}") {
            for (escape, mark) in [(Escape::Backslash, '\\'), (Escape::Caret, '^')] {
                let mut chars = escape.apply(value.clone()).chars().collect::<Vec<_>>().into_iter();
                let mut read = String::new();
                while let Some(c) = chars.next() {
                    prop_assert_ne!(c, '"');
                    read.push(if c == mark { chars.next().expect("a pair") } else { c });
                }
                prop_assert_eq!(&read, &value);
            }
        }
    }
}
