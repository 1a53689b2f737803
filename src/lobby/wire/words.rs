//! The words that the protocol has for the kinds of things. Read without case; written as here.

use std::{fmt, str::FromStr};

use super::{
    request::{AdminAction, ListOf, LoginKind, Reseat},
    terms::{Action, ChatKind, Code, LeaveReason, PlayerKind, SeatKind},
};

/// A word that means nothing where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a word of the protocol here")]
pub struct UnknownWord(pub String);

macro_rules! words {
    ($($kind:ident { $($one:ident => $word:literal,)* })*) => {$(
        impl $kind {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$one,)*];

            /// As the protocol calls it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$one => $word,)*
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    )*};
}

macro_rules! read_words {
    ($($kind:ident)*) => {$(
        impl FromStr for $kind {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                find(Self::ALL, |one| one.word(), text)
            }
        }
    )*};
}

words! {
    SeatKind {
        None => "none",
        Open => "open",
        Bot => "bot",
        Player => "player",
        Reserved => "reserved",
        Abandoned => "abandoned",
    }
    ChatKind {
        Normal => "normal",
        Announce => "announce",
        Beep => "beep",
        Private => "private",
        Table => "table",
    }
    LeaveReason {
        Normal => "normal",
        Boot => "boot",
        GameOver => "gameover",
        GameError => "gameerror",
    }
    PlayerKind {
        Normal => "normal",
        Guest => "guest",
        Admin => "admin",
        Host => "host",
        Bot => "bot",
        Unknown => "unknown",
    }
    Action {
        Login => "login",
        List => "list",
        Enter => "enter",
        Chat => "chat",
        Launch => "launch",
        Join => "join",
        Leave => "leave",
        Reseat => "reseat",
        Update => "update",
        Motd => "motd",
        Admin => "admin",
        Info => "info",
        Rankings => "rankings",
        Channel => "channel",
        Protocol => "protocol",
    }
    AdminAction {
        Gag => "gag",
        Ungag => "ungag",
        Kick => "kick",
        Ban => "ban",
    }
    ListOf {
        Game => "game",
        Room => "room",
        Player => "player",
        Table => "table",
    }
    LoginKind {
        Guest => "guest",
        Normal => "normal",
        First => "first",
    }
    Reseat {
        Sit => "sit",
        Stand => "stand",
        Move => "move",
    }
    // In the order of their numbers: 0, -1, -2 and so on.
    Code {
        Ok => "ok",
        UsrLookup => "usr lookup",
        BadOptions => "bad options",
        RoomFull => "room full",
        TableFull => "table full",
        TableEmpty => "table empty",
        LaunchFail => "launch fail",
        JoinFail => "join fail",
        NoTable => "no table",
        LeaveFail => "leave fail",
        LeaveForbidden => "leave forbidden",
        AlreadyLoggedIn => "already logged in",
        NotLoggedIn => "not logged in",
        NotInRoom => "not in room",
        AtTable => "at table",
        InTransit => "in transit",
        NoPermission => "no permission",
        BadXml => "bad xml",
        SeatAssignFail => "seat assign fail",
        NoChannel => "no channel",
        TooLong => "too long",
        Unknown => "[unknown]",
        BadUsername => "bad username",
        WrongLoginType => "wrong login type",
        UserNotFound => "user not found",
        UsernameTaken => "username already taken",
        BadPassword => "bad password",
    }
}

read_words! {
    SeatKind ChatKind LeaveReason PlayerKind Action AdminAction ListOf LoginKind Reseat
}

impl Code {
    /// From 0 (ok) down to -26.
    pub fn number(self) -> i32 {
        let at = Self::ALL.iter().position(|one| *one == self);
        -i32::try_from(at.expect("all of them are in the list")).expect("it is short")
    }
}

/// By its text, or by its number as some servers send it.
impl FromStr for Code {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        find(Self::ALL, |one| one.word(), text).or_else(|unknown| {
            let numbered = |one: &&Self| text.trim_ascii().parse() == Ok(one.number());
            Self::ALL.iter().find(numbered).copied().ok_or(unknown)
        })
    }
}

fn find<T: Copy>(
    all: &[T],
    word: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, UnknownWord> {
    let found = all
        .iter()
        .find(|one| word(**one).eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| UnknownWord(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_without_case() {
        assert_eq!("GameOver".parse(), Ok(LeaveReason::GameOver));
        assert_eq!("BOT".parse(), Ok(SeatKind::Bot));
        assert_eq!("".parse::<ChatKind>(), Err(UnknownWord("".into())));
        assert_eq!(
            " normal".parse::<ChatKind>(),
            Err(UnknownWord(" normal".into()))
        );
    }

    #[test]
    fn codes_have_the_numbers_of_the_original() {
        for (code, number, text) in [
            (Code::Ok, 0, "ok"),
            (Code::UsrLookup, -1, "usr lookup"),
            (Code::BadOptions, -2, "bad options"),
            (Code::RoomFull, -3, "room full"),
            (Code::TableFull, -4, "table full"),
            (Code::TableEmpty, -5, "table empty"),
            (Code::LaunchFail, -6, "launch fail"),
            (Code::JoinFail, -7, "join fail"),
            (Code::NoTable, -8, "no table"),
            (Code::LeaveFail, -9, "leave fail"),
            (Code::LeaveForbidden, -10, "leave forbidden"),
            (Code::AlreadyLoggedIn, -11, "already logged in"),
            (Code::NotLoggedIn, -12, "not logged in"),
            (Code::NotInRoom, -13, "not in room"),
            (Code::AtTable, -14, "at table"),
            (Code::InTransit, -15, "in transit"),
            (Code::NoPermission, -16, "no permission"),
            (Code::BadXml, -17, "bad xml"),
            (Code::SeatAssignFail, -18, "seat assign fail"),
            (Code::NoChannel, -19, "no channel"),
            (Code::TooLong, -20, "too long"),
            (Code::Unknown, -21, "[unknown]"),
            (Code::BadUsername, -22, "bad username"),
            (Code::WrongLoginType, -23, "wrong login type"),
            (Code::UserNotFound, -24, "user not found"),
            (Code::UsernameTaken, -25, "username already taken"),
            (Code::BadPassword, -26, "bad password"),
        ] {
            assert_eq!((code.number(), code.to_string()), (number, text.to_owned()));
            assert_eq!(text.parse(), Ok(code));
            assert_eq!(number.to_string().parse(), Ok(code));
        }
        assert!("-27".parse::<Code>().is_err());
        assert_eq!(Code::ALL.len(), 27);
    }
}
