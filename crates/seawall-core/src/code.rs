//! What an upstream said by a code: HTTP's 503, PostgreSQL's 40001.
//!
//! Does not know: what a code means; whoever speaks the protocol says that with an outcome.
//! Invariant: one to seven characters of visible ASCII, so that any log and any page can show it.

use std::fmt;
use std::num::NonZeroU8;

/// A code that an upstream answered with, as people know it: `503`, `40001`, `BUSY`.
///
/// Policies compare codes and never read them. It stands in place, so that an outcome that holds
/// one is copied without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// Never zero, so that an `Option` of a code is no larger.
    first: NonZeroU8,
    /// What follows; zero past the end.
    rest: [u8; Self::LEN_MAX - 1],
}

impl Code {
    /// How many characters a code has at most.
    pub const LEN_MAX: usize = 7;

    /// Makes a code of a text; `None` if it is empty, too long, or not visible ASCII.
    ///
    /// ```
    /// use seawall_core::Code;
    ///
    /// const SERIALIZATION_FAILURE: Code = Code::new("40001").unwrap();
    /// assert_eq!(SERIALIZATION_FAILURE.to_string(), "40001");
    /// assert_eq!(Code::new("503"), Some(Code::from(503)));
    /// assert_eq!(Code::new("too long a code"), None);
    /// ```
    pub const fn new(text: &str) -> Option<Self> {
        let [first, others @ ..] = text.as_bytes() else { return None };
        if others.len() >= Self::LEN_MAX || !first.is_ascii_graphic() {
            return None;
        }
        let Some(first) = NonZeroU8::new(*first) else { return None };
        let mut rest = [0; Self::LEN_MAX - 1];
        // A `for` cannot run in a constant.
        let mut place = 0;
        while place < others.len() {
            if !others[place].is_ascii_graphic() {
                return None;
            }
            rest[place] = others[place];
            place += 1;
        }
        Some(Self { first, rest })
    }

    /// Returns its characters, with zeros past the end.
    pub fn to_bytes(self) -> [u8; Self::LEN_MAX] {
        let mut bytes = [0; Self::LEN_MAX];
        bytes[0] = self.first.get();
        bytes[1..].copy_from_slice(&self.rest);
        bytes
    }
}

impl From<u16> for Code {
    /// Makes a code of a number, without leading zeros.
    fn from(number: u16) -> Self {
        let mut digits = [0; 5];
        let (mut place, mut left) = (digits.len(), number);
        loop {
            place -= 1;
            digits[place] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        let digits = str::from_utf8(&digits[place..]).expect("digits are ASCII");
        Self::new(digits).expect("it has one to five digits")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        let len = bytes.iter().take_while(|byte| **byte != 0).count();
        f.pad(str::from_utf8(&bytes[..len]).expect("a code is ASCII"))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_it_was_written() {
        for text in ["5", "503", "40001", "LOADING", "~!"] {
            assert_eq!(Code::new(text).expect("a code").to_string(), text);
        }
        for number in [0, 7, 10, 429, 503, 1205, u16::MAX] {
            assert_eq!(Code::from(number).to_string(), number.to_string());
        }
    }

    #[test]
    fn what_a_log_could_not_show_is_no_code() {
        for text in ["", "CONFLICT", "a b", "a\n", "\0", "5\0", "é", "\u{7f}"] {
            assert_eq!(Code::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn no_code_takes_no_room_of_its_own() {
        assert_eq!((size_of::<Code>(), size_of::<Option<Code>>()), (7, 7));
    }
}
