//! The text of [`Numbers`]: `2 3 4`, `2..4`, `2 4..8`.

use std::{fmt, str::FromStr};

use super::terms::Numbers;

/// The largest number of players or bots that any game takes.
pub const MOST: u32 = 32;

/// What is wrong with a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumbersError {
    /// Something in it is neither a number from 0 to 32 nor a range of them.
    #[error("{0:?} is neither a number from 0 to 32 nor a range like 2..4")]
    Word(String),
    /// It has more than one range.
    #[error("{0:?} is a second range, and a list has one at most")]
    SecondRange(String),
}

/// The single numbers, and then the range.
impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let singles = (0..=MOST).filter(|number| self.singles & (1 << number) != 0);
        let mut space = "";
        for number in singles {
            write!(f, "{space}{number}")?;
            space = " ";
        }
        match self.range {
            Some((first, last)) => write!(f, "{space}{first}..{last}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Numbers {
    type Err = NumbersError;

    fn from_str(text: &str) -> Result<Self, NumbersError> {
        let mut numbers = Self::default();
        for word in text.split_ascii_whitespace() {
            let wrong = || NumbersError::Word(word.to_owned());
            let number = |text: &str| {
                let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse().ok().filter(|number| *number <= MOST);
                number.filter(|_| is_decimal).ok_or_else(wrong)
            };
            match word.split_once("..") {
                None => numbers.singles |= 1u64 << number(word)?,
                Some((first, last)) => {
                    let range = (number(first)?, number(last)?);
                    if range.0 > range.1 {
                        return Err(wrong());
                    }
                    if numbers.range.replace(range).is_some() {
                        return Err(NumbersError::SecondRange(word.to_owned()));
                    }
                }
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_numbers_is_written_singles_first_and_then_its_range() {
        for (text, written, has) in [
            ("2 3 4", "2 3 4", &[2, 3, 4][..]),
            ("2..4", "2..4", &[2, 3, 4]),
            (" 4..6\t1\n2 ", "1 2 4..6", &[1, 2, 4, 5, 6]),
            ("0", "0", &[0]),
            ("32", "32", &[32]),
            ("5..5", "5..5", &[5]),
            ("", "", &[]),
        ] {
            let numbers: Numbers = text.parse().unwrap();
            assert_eq!(numbers.to_string(), written, "{text:?}");
            let all: Vec<u32> = (0..100).filter(|number| numbers.has(*number)).collect();
            assert_eq!(all, has, "{text:?}");
            assert_eq!(numbers.most(), has.last().copied());
        }
    }

    #[test]
    fn what_is_no_list_of_numbers_is_refused_with_the_word_that_is_wrong() {
        for word in [
            "33",
            "-1",
            "+1",
            "x",
            "1,2",
            "4..2",
            "..2",
            "2..",
            "1..33",
            "1...3",
            "1..2..3",
            "99999999999",
        ] {
            let refused = format!("2 {word}").parse::<Numbers>();
            assert_eq!(refused, Err(NumbersError::Word(word.into())));
        }
        let two = "1..2 4..5".parse::<Numbers>();
        assert_eq!(two, Err(NumbersError::SecondRange("4..5".into())));
    }

    proptest! {
        #[test]
        fn numbers_outlast_being_written(
            singles in 0..1u64 << 33,
            range in proptest::option::of((0..=32u32, 0..=32u32)),
        ) {
            let range = range.map(|(one, other)| (one.min(other), one.max(other)));
            let numbers = Numbers { singles, range };
            prop_assert_eq!(numbers.to_string().parse(), Ok(numbers));
        }

        #[test]
        fn any_text_is_a_list_or_none(text: String) {
            text.parse::<Numbers>().ok();
        }
    }
}
