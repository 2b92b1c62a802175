//! The static Huffman code (RFC 7541, appendix B).
//!
//! It is canonical: codes of one length go up with their symbols. So the lengths say everything.

/// Decodes a string behind what `out` holds; none if it is not one.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut input = bytes.iter();
    let (mut held, mut bits) = (0_u64, 0_u32);
    loop {
        while bits <= 56
            && let Some(byte) = input.next()
        {
            held = held << 8 | u64::from(*byte);
            bits += 8;
        }
        if bits == 0 {
            return Some(());
        }
        // The next bits, and ones behind the last.
        let next = match bits {
            32.. => (held >> (bits - 32)) as u32,
            _ => (held << (32 - bits)) as u32 | u32::MAX >> bits,
        };
        let (symbol, len) = match SHORT[(next >> 24) as usize] {
            (symbol, len @ 1..) => (u16::from(symbol), u32::from(len)),
            _ => long(next),
        };
        if len > bits {
            // Padding is less than a byte of ones, the start of the end's own code.
            let is_padding = bits < 8 && next == u32::MAX;
            return is_padding.then_some(());
        }
        out.push(u8::try_from(symbol).ok()?);
        bits -= len;
    }
}

/// Returns the symbol of a code with more than eight bits, and how many it has.
fn long(next: u32) -> (u16, u32) {
    let mut len = 9;
    while u64::from(next) >= CODES.ends[len] {
        len += 1;
    }
    let place = (next >> (32 - len)) - CODES.firsts[len];
    (CODES.symbols[(CODES.places[len] + place) as usize], len as u32)
}

/// The symbol of each start of eight bits that is a whole code or begins with one, and its length;
/// zero where the code is longer.
static SHORT: [(u8, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut symbol = 0;
    while symbol < 256 {
        let len = LENGTHS[symbol];
        if len <= 8 {
            let first = CODES.of[symbol] << (8 - len);
            let mut place = 0;
            while place < 1 << (8 - len) {
                table[(first + place) as usize] = (symbol as u8, len);
                place += 1;
            }
        }
        symbol += 1;
    }
    table
};

/// What follows from the lengths.
struct Codes {
    /// The code of each symbol, the end included.
    of: [u32; 257],
    /// The symbols by their codes, the shortest first.
    symbols: [u16; 257],
    /// Of each length: the first code, the place of its symbol, and what follows the last code, as
    /// the first of 32 bits.
    firsts: [u32; 31],
    places: [u32; 31],
    ends: [u64; 31],
}

static CODES: Codes = {
    let mut codes =
        Codes { of: [0; 257], symbols: [0; 257], firsts: [0; 31], places: [0; 31], ends: [0; 31] };
    let (mut code, mut place, mut len) = (0, 0, 1);
    while len <= 30 {
        code <<= 1;
        (codes.firsts[len], codes.places[len]) = (code, place);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == len {
                codes.of[symbol] = code;
                codes.symbols[place as usize] = symbol as u16;
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        codes.ends[len] = (code as u64) << (32 - len);
        len += 1;
    }
    codes
};

/// How many bits the code of each symbol has; the last symbol is the end.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(bytes: &[u8]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for &byte in bytes {
            let (code, len) = (CODES.of[usize::from(byte)], LENGTHS[usize::from(byte)]);
            bits.extend((0..len).rev().map(|place| code >> place & 1 == 1));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push(true);
        }
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        bits.chunks(8).map(byte).collect()
    }

    fn check(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_specification_are_decoded() {
        // RFC 7541, C.4 and C.6.
        let examples: [(&[u8], &str); 4] = [
            (
                &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x64, 0x02], "302"),
            (
                &[
                    0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04,
                    0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
                ],
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ];
        for (bytes, text) in examples {
            assert_eq!(check(bytes).as_deref(), Some(text.as_bytes()));
            assert_eq!(encode(text.as_bytes()), bytes);
        }
    }

    #[test]
    fn what_is_no_padding_is_refused() {
        assert_eq!(check(&[]), Some(vec![]));
        // A zero bit, a whole byte of ones, the end's own code.
        assert_eq!(check(&[0b0001_1110]), None);
        assert_eq!(check(&[0b0001_1111, 0xff]), None);
        assert_eq!(check(&[0xff; 4]), None);
        assert_eq!(check(&[0b0001_1111]), Some(b"a".to_vec()));
        // A code that is cut.
        assert_eq!(check(&[0xfe]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(check(&encode(&bytes)), Some(bytes));
        }
    }
}
