//! A number in digits, without an allocation: most heads have some.

/// The digits of a number.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    text: [u8; DIGITS_MAX],
    from: usize,
}

impl Digits {
    /// Writes a number.
    #[inline]
    pub fn of(number: u64) -> Self {
        let (mut text, mut from) = ([b'0'; DIGITS_MAX], DIGITS_MAX);
        let mut left = number;
        loop {
            from -= 1;
            text[from] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                return Self { text, from };
            }
        }
    }

    /// Returns them as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.from..]
    }
}

/// As many as 64 bits have.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_everybody_writes_it() {
        for number in [0, 1, 9, 10, 1024, 999_999, u64::MAX] {
            assert_eq!(Digits::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
