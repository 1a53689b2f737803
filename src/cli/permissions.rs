//! What somebody may do in the lobby, as it is typed and shown.

use std::{fmt, str::FromStr};

use super::{Session, fault::Fault, print::Table};
use crate::lobby::wire::terms::{Permission, Permissions};

/// What can be typed in a mask's place.
const ROLES: [(&str, Permissions); 5] = [
    ("admin", Permissions::ADMIN),
    ("host", Permissions::HOST),
    ("registered", Permissions::REGISTERED),
    ("guest", Permissions::GUEST),
    ("chatbot", Permissions::CHATBOT),
];

/// What somebody is to be allowed: these permissions, or none of their own, so that their role decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowed(pub(crate) Option<Permissions>);

impl FromStr for Allowed {
    type Err = String;
    /// `default`, a number, or words: GGZ's roles, and names of permissions.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self(None));
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return mask(text).map(|mask| Self(Some(mask)));
        }
        let words = text.split(',').map(str::trim);
        let bits = words.map(|word| word_bits(word).ok_or(word));
        match bits.collect::<Result<Vec<_>, _>>() {
            Ok(bits) => {
                let all = bits.into_iter().fold(0, |all, bits| all | bits);
                Ok(Self(Some(Permissions::from_bits(all))))
            }
            Err(word) => {
                let known = ROLES.iter().map(|(name, _)| *name);
                let known = known.chain(Permission::ALL.iter().map(|one| one.name()));
                let known: Vec<_> = known.collect();
                Err(format!(
                    "`{word}` is no permission: there are {}, `default`, and masks like 7 or 0x1f",
                    known.join(", ")
                ))
            }
        }
    }
}

fn mask(text: &str) -> Result<Permissions, String> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match hex {
        // Rust's own would take a sign as well.
        Some(hex) if !hex.starts_with(['+', '-']) => u32::from_str_radix(hex, 16),
        Some(_) => return Err(format!("`{text}` is not a number")),
        None => text.parse(),
    };
    let bits = number.map_err(|_| format!("`{text}` is not a number like 7 or 0x1f"))?;
    let known = Permissions::from_bits(bits);
    match known.bits() == bits {
        true => Ok(known),
        false => Err(format!("`{text}` has bits that mean nothing")),
    }
}

fn word_bits(word: &str) -> Option<u32> {
    let role = ROLES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    match role {
        Some((_, permissions)) => Some(permissions.bits()),
        None => Permission::named(word).map(|one| 1 << one as u32),
    }
}

/// The names of what is in a mask.
struct Names(Permissions);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Permission::ALL.into_iter().filter(|one| self.0.has(*one));
        let names: Vec<_> = names.map(Permission::name).collect();
        match names.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&names.join(", ")),
        }
    }
}

/// As the API says it and hears it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Wire {
    /// None: the account's role decides.
    mask: Option<u32>,
}

/// Shows what the account with that id may, after changing it if it is to be changed.
pub(super) async fn run(session: &Session, id: u64, wish: Option<Allowed>) -> Result<(), Fault> {
    let path = format!("/lobby/permissions/{id}");
    let control = &session.control;
    let answer = match wish {
        None => control.get(&path).await?,
        Some(Allowed(permissions)) => {
            let mask = permissions.map(Permissions::bits);
            let body = serde_json::json!(Wire { mask });
            control.send(hyper::Method::PUT, &path, Some(&body)).await?
        }
    };
    session.out.answer(&answer, || {
        let Wire { mask } = answer.read()?;
        let mut table = Table::fields();
        match mask.map(Permissions::from_bits) {
            Some(permissions) => {
                table.field("mask", permissions);
                table.field("may", Names(permissions));
            }
            None => table.field("mask", "default: as the role says"),
        }
        Ok(table.render(session.out.colour))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(text: &str) -> Result<Option<u32>, String> {
        let Allowed(permissions) = text.parse()?;
        Ok(permissions.map(Permissions::bits))
    }

    #[test]
    fn masks_and_words_are_read() {
        for (text, mask) in [
            ("default", None),
            ("0", Some(0)),
            ("7", Some(7)),
            ("0x1f", Some(0x1f)),
            ("0X19F", Some(0x19f)),
            ("admin", Some(0x19f)),
            ("Host", Some(0x197)),
            ("registered", Some(7)),
            ("guest", Some(0x43)),
            ("chatbot", Some(0x27)),
            ("join_table", Some(1)),
            ("registered,chat_announce", Some(0x17)),
            ("registered, edit_tables", Some(0x87)),
        ] {
            assert_eq!(bits(text), Ok(mask), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "king",
            "7,king",
            "-1",
            "+7",
            "0x",
            "0x+7",
            "0xg",
            "512",
            "0x200",
            "99999999999",
            "7,",
            "registered default",
        ] {
            assert!(bits(text).is_err(), "{text}");
        }
        assert!(bits("king").unwrap_err().contains("chat_announce"));
    }

    #[test]
    fn a_mask_is_shown_by_its_names() {
        assert_eq!(Names(Permissions::from_bits(0)).to_string(), "nothing");
        let shown = Names(Permissions::REGISTERED).to_string();
        assert_eq!(shown, "join_table, launch_table, rooms_login");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(mask in 1u32..0x200) {
            let permissions = Permissions::from_bits(mask);
            prop_assert_eq!(bits(&Names(permissions).to_string()), Ok(Some(mask)));
            prop_assert_eq!(bits(&permissions.to_string()), Ok(Some(mask)));
        }
    }
}
