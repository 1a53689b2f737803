//! Sets keys in ini-style files, and leaves every other byte as it is.

/// `text` with `key = value` in `[section]` (before the first section when it is empty): replaced where it is, added where it is not.
pub(super) fn set(text: &str, section: &str, key: &str, value: &str) -> String {
    let line = format!("{key} = {value}");
    let mut lines: Vec<&str> = text.lines().collect();
    let header = |line: &str| {
        let line = line.trim();
        line.strip_prefix('[')?
            .strip_suffix(']')
            .map(|name| name.trim().to_owned())
    };
    let start = match section {
        "" => 0,
        _ => match lines
            .iter()
            .position(|line| header(line).as_deref() == Some(section))
        {
            Some(at) => at + 1,
            None => {
                let gap = if text.is_empty() { "" } else { "\n" };
                return format!("{}{gap}[{section}]\n{line}\n", ended(text));
            }
        },
    };
    let end = (start..lines.len())
        .find(|&at| header(lines[at]).is_some())
        .unwrap_or(lines.len());
    let is_key = |line: &str| {
        line.split_once('=')
            .is_some_and(|(name, _)| name.trim() == key)
    };
    match lines[start..end].iter().position(|line| is_key(line)) {
        Some(at) => lines[start + at] = &line,
        None => {
            // After the last line of the section that says something.
            let last = lines[start..end]
                .iter()
                .rposition(|line| !line.trim().is_empty());
            lines.insert(start + last.map_or(0, |at| at + 1), &line);
        }
    }
    lines.join("\n") + "\n"
}

fn ended(text: &str) -> String {
    match text {
        "" => String::new(),
        _ if text.ends_with('\n') => text.into(),
        _ => format!("{text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_replaced_in_its_own_section_only() {
        let text = "; kept\nname = top\n\n[a]\nname = 1\nother = 2\n\n[b]\nname = 3\n";
        let text = set(text, "a", "name", "x = [y] ; z");
        let text = set(&text, "a", "new", "4");
        let text = set(&text, "", "name", "head");
        let text = set(&text, "c", "name", "5");
        assert_eq!(
            text,
            "; kept\nname = head\n\n[a]\nname = x = [y] ; z\nother = 2\nnew = 4\n\n[b]\nname = 3\n\n[c]\nname = 5\n"
        );
    }

    fn get<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
        let mut current = "";
        for line in text.lines() {
            if let Some(name) = line
                .trim()
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                current = name.trim();
            } else if let Some((name, value)) = line.split_once('=')
                && (current, name.trim()) == (section, key)
            {
                return Some(value.trim());
            }
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn what_is_set_is_read_and_the_rest_stays(
            text in "((\\[[ab]\\]|[xyz] ?= ?[0-9]|; c|)\n){0,8}",
            section in "[ab]?",
            key in "[xyz]",
            value in "[0-9a-z=;\\]\\[]{1,6}",
        ) {
            let after = set(&text, &section, &key, &value);
            prop_assert_eq!(get(&after, &section, &key), Some(&value[..]));
            for other in ["", "a", "b"] {
                for name in ["x", "y", "z"] {
                    if (other, name) != (&section, &key) {
                        prop_assert_eq!(get(&after, other, name), get(&text, other, name));
                    }
                }
            }
            prop_assert_eq!(set(&after, &section, &key, &value), after);
        }
    }
}
