//! Integers with a prefix of some bits (RFC 7541, 5.1).

/// Reads an integer whose first byte keeps `prefix` bits for it; returns it and how many bytes it
/// has. None, if it is not all there or above what any length or index can be.
pub(super) fn read(bytes: &[u8], prefix: u8) -> Option<(usize, usize)> {
    let mask = (1 << prefix) - 1;
    let first = usize::from(*bytes.first()?) & mask;
    if first < mask {
        return Some((first, 1));
    }
    let mut value = mask;
    for (place, &byte) in bytes[1..].iter().take(BYTES_MAX).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 2));
        }
    }
    None
}

/// Writes an integer behind the bits that its first byte has for others.
pub(super) fn write(out: &mut Vec<u8>, others: u8, prefix: u8, value: usize) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        out.push(others | value as u8);
        return;
    }
    out.push(others | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Four bytes of seven bits: 256 MiB.
const BYTES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_are_read_and_written() {
        // RFC 7541, C.1.
        for (prefix, value, bytes) in
            [(5, 10, &[10][..]), (5, 1337, &[31, 154, 10]), (8, 42, &[42]), (5, 31, &[31, 0])]
        {
            let mut out = Vec::new();
            write(&mut out, 0, prefix, value);
            assert_eq!(out, bytes);
            assert_eq!(read(bytes, prefix), Some((value, bytes.len())));
        }
    }

    #[test]
    fn an_integer_that_is_cut_or_has_no_end_is_none() {
        assert_eq!(read(&[], 5), None);
        assert_eq!(read(&[31], 5), None);
        assert_eq!(read(&[31, 0x80], 5), None);
        assert_eq!(read(&[31, 0x80, 0x80, 0x80, 0x80, 0], 5), None);
    }
}
