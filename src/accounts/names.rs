//! What people may call themselves and their things.

use super::AccountsError;
use crate::mail::is_address;

/// A name as it is stored: lowercase, 1 to 32 of a-z, 0-9 and single inner hyphens, starting with a
/// letter (MyOTTD's rule, so that names fit host names and server names).
pub(crate) fn name(wish: &str) -> Result<String, AccountsError> {
    let name = wish.to_ascii_lowercase();
    let good = name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        Ok(name)
    } else {
        let shown: String = wish.escape_debug().take(64).collect();
        Err(AccountsError::BadName(shown))
    }
}

/// A mail address that letters can be sent to. None when empty.
pub(super) fn mail(wish: &str) -> Result<Option<String>, AccountsError> {
    match wish {
        "" => Ok(None),
        _ if is_address(wish) => Ok(Some(wish.into())),
        _ => Err(AccountsError::Invalid {
            what: "mail address",
            why: "does not look like one",
        }),
    }
}

/// What a token is for, in its owner's words.
pub(super) fn label(wish: &str) -> Result<String, AccountsError> {
    let length = wish.chars().count();
    if (1..=64).contains(&length) && !wish.contains(char::is_control) {
        Ok(wish.into())
    } else {
        Err(AccountsError::Invalid {
            what: "label",
            why: "must have 1 to 64 characters on one line",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "ada", "ada-2", "x-y-z", "Ada", &"a".repeat(32)] {
            assert_eq!(name(good).unwrap(), good.to_lowercase());
        }
        let long = "a".repeat(33);
        for bad in [
            "",
            "2a",
            "-a",
            "a-",
            "a--b",
            "a b",
            "a_b",
            "ä",
            "\u{212a}elvin",
            "a\0",
            "a\n",
            "../a",
            &long,
        ] {
            assert!(
                matches!(name(bad), Err(AccountsError::BadName(_))),
                "{bad:?}"
            );
        }
        let hostile = format!("\u{1b}[2J{}", "x".repeat(9999));
        let said = name(&hostile).unwrap_err().to_string();
        assert!(said.len() < 256 && !said.contains('\u{1b}'));
    }

    #[test]
    fn mail_and_labels_are_bounded() {
        assert_eq!(mail("ada@example.org").unwrap().unwrap(), "ada@example.org");
        assert_eq!(mail("").unwrap(), None);
        for bad in ["ada", "@x", "a@", "a b@c", "a@b\r\nBcc: c"] {
            assert!(mail(bad).is_err(), "{bad:?}");
        }
        assert!(label("my phone").is_ok());
        assert!(label("").is_err() && label("a\nb").is_err() && label(&"x".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn what_passes_is_a_fixed_point(wish in "\\PC{0,40}") {
            if let Ok(once) = name(&wish) {
                prop_assert_eq!(name(&once).unwrap(), once);
            }
        }
    }
}
