//! One field line (RFC 9112, 5), and the tables of characters.
//!
//! Does not know what a field means. Every index is from the start of the slice it was given.
//! A line that has not ended yet is [`Line::Partial`], but a wrong byte is refused at once.

use super::refusal::{Flaw, malformed};

/// What stands at the start of a slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Not enough bytes to tell.
    Partial,
    /// A field.
    Field(Field<'a>),
    /// The empty line that ends a section: two bytes long.
    Empty,
}

/// A field line that is well formed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    /// Without the white space around it.
    pub(super) value: &'a [u8],
    /// Where the value begins in the line.
    pub(super) value_at: usize,
    /// How long the line is, with its end.
    pub(super) len: usize,
}

/// Reads the line at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Line<'_>, Flaw> {
    match bytes.first() {
        None => return Ok(Line::Partial),
        Some(b'\r' | b'\n') => {
            return Ok(if line_end(bytes, 0)?.is_some() { Line::Empty } else { Line::Partial });
        }
        Some(b' ' | b'\t') => return Err(malformed("a header line is folded")),
        Some(_) => {}
    }
    let colon = token_len(bytes);
    match bytes.get(colon) {
        None => return Ok(Line::Partial),
        Some(b':') if colon == 0 => return Err(malformed("a header has no name")),
        Some(b':') => {}
        Some(b' ' | b'\t') => return Err(malformed("white space in a header name")),
        Some(b'\r' | b'\n') => return Err(malformed("a header line has no colon")),
        Some(_) => return Err(malformed("a bad character in a header name")),
    }
    let end = value_end(bytes, colon + 1);
    let Some(next) = line_end(bytes, end)? else { return Ok(Line::Partial) };
    let (mut from, mut to) = (colon + 1, end);
    while from < to && is_blank(bytes[from]) {
        from += 1;
    }
    while to > from && is_blank(bytes[to - 1]) {
        to -= 1;
    }
    let (name, value) = (&bytes[..colon], &bytes[from..to]);
    Ok(Line::Field(Field { name, value, value_at: from, len: next }))
}

/// Returns where the line after the CRLF at `at` begins; nothing if the CRLF is not all there.
pub(super) fn line_end(bytes: &[u8], at: usize) -> Result<Option<usize>, Flaw> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(_)) => Err(malformed("a line ends with a bare CR")),
        (Some(b'\n'), _) => Err(malformed("a line ends with a bare LF")),
        (Some(_), _) => Err(malformed("a control character")),
    }
}

/// Returns how many token characters `bytes` begins with.
pub(super) fn token_len(bytes: &[u8]) -> usize {
    class_len(bytes, TOKEN)
}

/// Returns how many characters of a target `bytes` begins with.
pub(super) fn target_len(bytes: &[u8]) -> usize {
    class_len(bytes, TARGET)
}

/// Returns whether bytes are a token without upper case.
pub(crate) fn is_lower_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && class_len(bytes, LOWER) == bytes.len()
}

/// Returns whether bytes are what a target can have.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    target_len(bytes) == bytes.len()
}

fn class_len(bytes: &[u8], class: u8) -> usize {
    let is_other = |byte: &u8| CLASS[usize::from(*byte)] & class == 0;
    bytes.iter().position(is_other).unwrap_or(bytes.len())
}

/// Returns the place of the first byte from `at` on that a value cannot hold.
pub(super) fn value_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at += value_len(&bytes[at..]);
        match bytes.get(at) {
            Some(b'\t') => at += 1,
            _ => return at,
        }
    }
}

/// Returns whether bytes can be a value.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    value_end(bytes, 0) == bytes.len()
}

/// Returns how many bytes of `bytes` come before the first control character.
///
/// Eight at a time: values are most of a head. In `below` and `delete` the lowest set bit is
/// exact; bits above it can be false, since a borrow only runs upwards.
fn value_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let gone = word ^ (ONES * 0x7f);
        let delete = gone.wrapping_sub(ONES) & !gone & HIGH;
        let stop = below | delete;
        if stop != 0 {
            return index * 8 + (stop.trailing_zeros() / 8) as usize;
        }
    }
    let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
    let tail = rest.iter().position(is_control).unwrap_or(rest.len());
    bytes.len() - rest.len() + tail
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Which bytes may stand where; one table, so that it stays in the nearest cache.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        let is_token = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+')
            || matches!(byte, b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        let is_target = byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>');
        let is_lower = is_token && !byte.is_ascii_uppercase();
        table[byte as usize] = if is_token { TOKEN } else { 0 }
            | if is_target { TARGET } else { 0 }
            | if is_lower { LOWER } else { 0 };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
};

/// `tchar` of RFC 9110, 5.6.2.
const TOKEN: u8 = 1;

/// Visible ASCII without `#`, and without `<` and `>`, which the `http` crate's type for targets cannot hold.
const TARGET: u8 = 2;

/// `tchar` without upper case, as HTTP/2 has it (RFC 9113, 8.2.1).
const LOWER: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_its_first_control_character() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'\xff'; length];
                    bytes[place] = byte;
                    let ends = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                    let want = if ends { place } else { length };
                    assert_eq!(value_end(&bytes, 0), want, "{byte:#x} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_field_is_split_at_its_colon_and_trimmed() {
        let Ok(Line::Field(field)) = read(b"Accept:\t a, b \t\r\nHost") else { panic!("a field") };
        assert_eq!((field.name, field.value), (&b"Accept"[..], &b"a, b"[..]));
        assert_eq!((field.value_at, field.len), (9, 17));
    }
}
